//! The report of a shift as a table: one row a fact, so that a spreadsheet can filter and a program can read it.

use models_train::evaluation::intervals::two_sided;

use super::CONFIDENCE;
use super::config::ShiftSpan;
use super::overview::{Overview, Totals, Wrong};
use crate::words::harmless;

const HEADING: [&str; 13] = [
    "what",
    "name",
    "from",
    "to",
    "parts",
    "pass",
    "fail",
    "review",
    "no_decision",
    "share",
    "share_low",
    "share_high",
    "rules",
];

/// The report. Shares are of parts that passed (`total`, `lot`), that did not (`hour`), of rejects (`wrong`), of bad parts that passed
/// (`escapes`), of good parts that failed (`overkill`).
pub fn csv(line: &str, shift: &ShiftSpan, overview: &Overview) -> Vec<u8> {
    let mut rows: Vec<[String; 13]> = vec![HEADING.map(str::to_owned)];
    let (from, to) = (overview.from.to_string(), overview.to.to_string());
    let mut total = row("total", &format!("{line} {} {}", shift.name, shift.date));
    (total[2], total[3]) = (from, to);
    rows.push(counted(total, &overview.totals));
    for judged in &overview.chart.points {
        let point = &judged.point;
        let mut row = row("hour", "");
        (row[2], row[3], row[4]) = (point.from.to_string(), point.to.to_string(), point.parts.to_string());
        if let Some(share) = judged.share {
            row[9] = number(share);
        }
        (row[10], row[11]) = (number(judged.low), number(judged.high));
        row[12] = judged.rules.iter().map(u8::to_string).collect::<Vec<_>>().join(" ");
        rows.push(row);
    }
    let rejects = overview.totals.rejects();
    for rank in &overview.ranks {
        let mut row = row("wrong", &words(&rank.wrong));
        row[4] = rank.parts.to_string();
        rows.push(shared(row, rank.parts, rejects));
    }
    rows.extend(overview.groups.iter().map(|group| counted(row("lot", &group.name), &group.totals)));
    let audited = overview.audited;
    for (what, seen, of) in [("escapes", audited.escapes, audited.bad), ("overkill", audited.overkill, audited.good)] {
        let mut row = row(what, "");
        row[4] = of.to_string();
        rows.push(shared(row, seen, of));
    }
    let mut table = ::csv::Writer::from_writer(Vec::new());
    for row in rows {
        // A vector takes everything.
        let _ = table.write_record(row);
    }
    table.into_inner().unwrap_or_default()
}

/// What was wrong, as the API names it.
pub(super) fn words(wrong: &Wrong) -> String {
    match wrong {
        Wrong::Label(label) => label.to_string(),
        Wrong::Cause(cause) => format!("no decision: {cause}"),
        Wrong::Unnamed => "without a label".to_owned(),
    }
}

fn row(what: &str, name: &str) -> [String; 13] {
    let mut row: [String; 13] = Default::default();
    (row[0], row[1]) = (what.to_owned(), harmless(name));
    row
}

fn counted(mut row: [String; 13], totals: &Totals) -> [String; 13] {
    let Totals { parts, pass, fail, review, no_decision } = *totals;
    for (cell, count) in row[4..9].iter_mut().zip([parts, pass, fail, review, no_decision]) {
        *cell = count.to_string();
    }
    shared(row, pass, parts)
}

fn shared(mut row: [String; 13], seen: u64, of: u64) -> [String; 13] {
    if of > 0 {
        let [low, high] = two_sided(seen as usize, of as usize, CONFIDENCE);
        (row[9], row[10], row[11]) = (number(seen as f64 / of as f64), number(low), number(high));
    }
    row
}

fn number(share: f64) -> String {
    format!("{share:.6}")
}
