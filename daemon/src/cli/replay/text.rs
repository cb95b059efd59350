//! The report in plain words, for who has to find the parts.

use std::io::{self, Write};

use crate::replay::report::{Basis, Change, Changed, Report, Said, Source, Unseen, Which, time};

/// Serial numbers and pictures that a line of text lists; the rest is counted, and `--json` has all.
const LISTED: usize = 20;

/// Prints it all.
pub(super) fn print(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    question(report, out)?;
    counts(report, out)?;
    unseen("picture missing", &report.missing, out)?;
    unseen("picture unreadable", &report.unreadable, out)?;
    for group in &report.undecidable {
        let (first, last) = (which(&group.first), which(&group.last));
        writeln!(out, "cannot be decided anew: {}, first {first}, last {last}: {}", parts(group.parts), group.reason)?;
    }
    for note in &report.notes {
        writeln!(out, "note: {note}")?;
    }
    if report.damaged_bytes > 0 {
        writeln!(
            out,
            "note: {} bytes of the journal are no records; beside a running line the last may be half written",
            report.damaged_bytes
        )?;
    }
    verdicts(report, out)?;
    report.changes.iter().try_for_each(|it| change(it, out))?;
    changed(report, out)
}

fn question(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let tried = &report.tried;
    let mut with: Vec<String> = Vec::new();
    if let Some(model) = &tried.model {
        with.push(format!("model `{}` ({})", model.name, model.digest.get(..12).unwrap_or(&model.digest)));
    }
    with.extend(tried.recipe.iter().map(|recipe| format!("recipe {recipe}")));
    with.extend(tried.thresholds.iter().map(|(label, value)| format!("{label} from {value} on")));
    let from = match tried.from {
        Basis::Scores => "the scores on record",
        Basis::Pictures => "the pictures that were kept, on the processor",
    };
    let (begin, end) = (time(report.range.from), time(report.range.to));
    writeln!(out, "{begin} to {end}, decided anew with {}, from {from}", with.join(", "))?;
    for recipe in &report.recipes {
        let words = match recipe.source {
            Source::File => "as in the recipe file of this version".to_owned(),
            Source::Trail => "its thresholds as the audit trail has them".to_owned(),
            Source::Given => format!("NOT KNOWN HERE: {} is taken for it, as given", recipe.taken),
            Source::Configured => {
                format!("NOT KNOWN HERE: {}, which the line has today, is taken for it", recipe.taken)
            }
            Source::Model => format!("NOT KNOWN HERE: {} are taken; --recipe may name it", recipe.taken),
        };
        writeln!(out, "recipe {} ({}): {words}", recipe.recipe, parts(recipe.parts))?;
    }
    Ok(())
}

fn counts(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let counts = &report.parts;
    writeln!(
        out,
        "\nlooked at {}: {} decided anew, of which {} change and {} keep their verdict",
        parts(counts.asked_for - counts.beyond_limit),
        counts.decided,
        counts.changed,
        counts.unchanged
    )?;
    let mut line = |count: u64, words: &str| match count {
        0 => Ok(()),
        _ => writeln!(out, "{count:>9}  {words}"),
    };
    line(counts.other_label, "of the unchanged: the same verdict by another label")?;
    line(
        counts.not_reproduced,
        "of those decided: the recorded verdict does not follow from the recipe taken for that time",
    )?;
    line(counts.without_picture, "not decided: no picture was kept")?;
    line(counts.missing, "not decided: the picture is missing")?;
    line(counts.unreadable, "not decided: the picture cannot be read")?;
    line(counts.without_scores, "not decided: no scores on record, the model never judged them")?;
    line(counts.undecidable, "not decided: see below")?;
    line(counts.beyond_limit, "not looked at: beyond --limit")
}

fn unseen(what: &str, unseen: &[Unseen], out: &mut dyn Write) -> io::Result<()> {
    for Unseen { part, verdict, picture, reason } in unseen.iter().take(LISTED) {
        writeln!(out, "{what}: {}, {verdict}, {}: {}", which(part), plain(picture), plain(reason))?;
    }
    more(unseen.len(), &format!("{what}: "), out)
}

fn more(all: usize, before: &str, out: &mut dyn Write) -> io::Result<()> {
    match all.saturating_sub(LISTED) {
        0 => Ok(()),
        more => writeln!(out, "{before}and {more} more; --json lists all"),
    }
}

fn verdicts(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    if report.verdicts.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{:<12}    {:<12} {:>9}", "on record", "decided anew", "parts")?;
    for cell in &report.verdicts {
        writeln!(out, "{:<12} -> {:<12} {:>9}", cell.before, cell.after, cell.parts)?;
    }
    Ok(())
}

fn change(change: &Change, out: &mut dyn Write) -> io::Result<()> {
    let Change { before, after, first, last, serials, without_serial, .. } = change;
    write!(out, "\n{before} -> {after}: {}, first {}, last {}", parts(change.parts), which(first), which(last))?;
    if !serials.is_empty() {
        let shown: Vec<String> = serials.iter().take(LISTED).map(|serial| plain(serial)).collect();
        write!(out, "; serials: {}", shown.join(", "))?;
        if serials.len() > LISTED {
            write!(out, " and {} more", serials.len() - LISTED)?;
        }
    }
    if *without_serial > 0 {
        write!(out, "; {} without a serial number", parts(*without_serial))?;
    }
    writeln!(out)
}

fn changed(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    if report.changed.is_empty() {
        return writeln!(out, "\nno verdict changes");
    }
    writeln!(
        out,
        "\n{:>8}  {:<24}  {:<14} {:<24} {:<24} highest score",
        "part", "time", "serial", "on record", "decided anew"
    )?;
    for Changed { part, before, after, top } in &report.changed {
        let serial = plain(part.serial.as_deref().unwrap_or("-"));
        let top = top.as_ref().map_or_else(|| "-".into(), |top| format!("{} {:.3}", plain(&top.label), top.score));
        let (at, before, after) = (time(part.at), said(before), said(after));
        writeln!(out, "{:>8}  {at:<24}  {serial:<14} {before:<24} {after:<24} {top}", part.id)?;
    }
    Ok(())
}

fn said(said: &Said) -> String {
    match said.label.as_ref().or(said.cause.as_ref()) {
        Some(why) => format!("{} ({})", said.verdict, plain(why)),
        None => said.verdict.clone(),
    }
}

fn which(part: &Which) -> String {
    let serial = part.serial.as_ref().map_or_else(String::new, |serial| format!(" serial {}", plain(serial)));
    format!("{} part {}{serial}", time(part.at), part.id)
}

fn parts(count: u64) -> String {
    format!("{count} part{}", if count == 1 { "" } else { "s" })
}

/// A serial number comes from a scanner or a file's name: nothing in it may move the terminal's cursor.
fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}
