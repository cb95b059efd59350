//! How good the parts were over HTTP, beside a naive count; what people say of audited parts; the report of a shift, and the command that
//! fetches it.

use std::collections::BTreeMap;
use std::process::Command;

use inspectd::quality::QualitySection;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use stages::inspection::Inspection;
use stages::verdict::Verdict;

use crate::past::{hours_later, line, midnight, parts, record};
use crate::support::{agent, get, json as read, output, text, words};

#[test]
fn quality_is_what_the_records_say() {
    let dir = tempfile::tempdir().expect("a folder");
    record(dir.path(), parts().into_iter());
    let (_program, url) = line(dir.path());
    totals_chart_and_places(&url);
    groups(&url);
    two_times(&url);
    audit(&url);
    hostile(&url);
    report(&url, dir.path());
}

fn ask(url: &str, from: Timestamp, to: Timestamp, more: &str) -> Value {
    read(&format!("{url}/api/v1/quality?from={from}&to={to}{more}"))
}

fn of(from: Timestamp, to: Timestamp) -> Vec<Inspection> {
    parts().into_iter().filter(|it| it.triggered_at >= from && it.triggered_at < to).collect()
}

fn count(parts: &[Inspection], which: impl Fn(&Inspection) -> bool) -> u64 {
    parts.iter().filter(|it| which(it)).count() as u64
}

fn totals_chart_and_places(url: &str) {
    for (from, to) in [
        (midnight(), hours_later(48)),
        (midnight() + SignedDuration::from_mins(90), hours_later(47) + SignedDuration::from_mins(11)),
        (hours_later(30), hours_later(31)),
        (hours_later(30) + SignedDuration::from_secs(1), hours_later(30) + SignedDuration::from_secs(2)),
    ] {
        let (quality, parts) = (ask(url, from, to, "&each=hour"), of(from, to));
        let totals = &quality["totals"];
        let said =
            ["parts", "pass", "fail", "review", "no_decision"].map(|name| totals[name].as_u64().expect("a number"));
        let is = |verdict| count(&parts, |it| it.verdict == verdict);
        let (pass, fail, review) = (is(Verdict::Pass), is(Verdict::Fail), is(Verdict::Review));
        assert_eq!(said, [parts.len() as u64, pass, fail, review, parts.len() as u64 - pass - fail - review]);
        let points = quality["chart"]["points"].as_array().expect("points");
        let sum = |name: &str| points.iter().map(|it| it[name].as_u64().expect("a number")).sum::<u64>();
        assert_eq!((sum("parts"), sum("rejects")), (said[0], said[0] - pass));
        let mut wrong: BTreeMap<String, u64> = BTreeMap::new();
        for part in parts.iter().filter(|it| it.verdict != Verdict::Pass) {
            *wrong.entry(part.label.as_deref().unwrap_or("late").to_owned()).or_default() += 1;
        }
        let ranks = quality["wrong"].as_array().expect("a list").iter();
        let ranks =
            ranks.map(|it| (it["name"].as_str().expect("a name").to_owned(), it["parts"].as_u64().expect("a number")));
        assert_eq!(ranks.collect::<BTreeMap<_, _>>(), wrong);
        let seen: u64 = quality["places"]["labels"]
            .as_array()
            .expect("a list")
            .iter()
            .flat_map(|it| it["cells"].as_array().expect("cells"))
            .map(|it| it.as_u64().expect("a number"))
            .sum();
        assert_eq!(seen, fail, "each one that failed has a heat map");
    }
    let whole = ask(url, midnight(), hours_later(48), "");
    let change: Timestamp = whole["change"]["at"].as_str().expect("a change").parse().expect("a time");
    assert!((change.duration_since(hours_later(36))).as_hours().abs() <= 2, "{}", whole["change"]);
    let share = &whole["totals"]["yield"];
    assert!(share["low"].as_f64() < share["share"].as_f64() && share["share"].as_f64() < share["high"].as_f64());
    let broken = whole["chart"]["points"].as_array().expect("points").iter().filter(|it| it["rules"] != json!([]));
    assert!(broken.count() > 3, "the second afternoon is out of control");
}

fn groups(url: &str) {
    let (from, to) = (midnight(), hours_later(48));
    let parts = of(from, to);
    for (by, name) in [("lot", "L2"), ("recipe", "bracket@1"), ("camera", "side")] {
        let quality = ask(url, from, to, &format!("&by={by}"));
        let groups = quality["groups"].as_array().expect("a list");
        let own = |it: &Inspection| match by {
            "lot" => it.lot.as_deref() == Some(name),
            "recipe" => *it.recipe == *name,
            _ => *it.camera == *name,
        };
        let group = groups.iter().find(|it| it["name"] == name).expect("there");
        assert_eq!(group["totals"]["parts"], count(&parts, own), "{by}");
        assert_eq!(group["totals"]["fail"], count(&parts, |it| own(it) && it.verdict == Verdict::Fail), "{by}");
        // The same by a condition.
        let only = ask(url, from, to, &format!("&{by}={}", name.replace('@', "%40")));
        assert_eq!(only["totals"]["parts"], group["totals"]["parts"], "{by}");
    }
    let shifts = ask(url, from, to, "&by=shift");
    let groups = shifts["groups"].as_array().expect("a list");
    let sum: u64 = groups.iter().map(|it| it["totals"]["parts"].as_u64().expect("a number")).sum();
    assert_eq!(sum, parts.len() as u64, "shifts cover the day, each part once");
    assert!(groups.iter().any(|it| it["name"] == "early" && it["totals"]["parts"] == 480), "{groups:?}");
}

fn two_times(url: &str) {
    let second = (hours_later(36), hours_later(48));
    let first = (hours_later(12), hours_later(24));
    let more = format!("&and_from={}&and_to={}", first.0, first.1);
    let quality = ask(url, second.0, second.1, &more);
    let beside = &quality["beside"];
    assert_eq!(beside["totals"]["parts"], of(first.0, first.1).len() as u64);
    assert!(beside["difference"]["low"].as_f64() > Some(0.0), "clearly more: {beside}");
    let scratch =
        quality["wrong"].as_array().expect("a list").iter().find(|it| it["name"] == "scratch").expect("there");
    let scratched = |it: &Inspection| it.verdict == Verdict::Fail;
    assert_eq!(scratch["beside"], count(&of(first.0, first.1), scratched));
}

fn audit(url: &str) {
    let drawn = |it: &Inspection| !it.sample.reasons.is_empty();
    let parts = of(midnight(), hours_later(24));
    // A person says of the first audited ones: a scratch that passed, a good one that failed, and some that were right.
    let passed: Vec<u64> = parts.iter().filter(|it| drawn(it) && it.verdict == Verdict::Pass).map(|it| it.id).collect();
    let failed: Vec<u64> = parts.iter().filter(|it| drawn(it) && it.verdict == Verdict::Fail).map(|it| it.id).collect();
    let not_drawn = parts.iter().find(|it| !drawn(it) && it.verdict == Verdict::Pass).expect("there").id;
    assert!(passed.len() > 4 && failed.len() > 1);
    let mut said: Vec<(u64, &str)> = passed[1..5].iter().map(|id| (*id, "good")).collect();
    said.extend([(passed[0], "scratch"), (failed[0], "good"), (failed[1], "scratch"), (not_drawn, "scratch")]);
    for (id, label) in said {
        let answer = agent()
            .post(format!("{url}/api/v1/inspections/{id}/label"))
            .header("x-inspectd", "1")
            .send_json(json!({ "answer": "label", "label": label }))
            .expect("an answer");
        assert!(answer.status().is_success(), "{id}: {}", answer.status());
    }
    let told = |more: &str| {
        let audit = ask(url, midnight(), hours_later(24), more)["audit"].clone();
        let share = |of: &Value| (of["seen"].as_u64().unwrap_or(0), of["of"].as_u64().unwrap_or(0));
        (audit["parts"].as_u64().expect("a number"), share(&audit["escapes"]), share(&audit["overkill"]))
    };
    assert_eq!(told(""), (7, (1, 2), (1, 5)));
    assert_eq!(told("&recipe=plate"), (0, (0, 0), (0, 0)));
    assert_eq!(told("&recipe=bracket&lot=L9"), (0, (0, 0), (0, 0)));
    let later = ask(url, hours_later(24), hours_later(48), "");
    assert_eq!(later["audit"]["parts"], 0);
}

fn hostile(url: &str) {
    let (a, b) = ("2026-11-02T00:00:00Z", "2026-11-03T00:00:00Z");
    for query in [
        String::new(),
        format!("from={a}"),
        format!("from={b}&to={a}"),
        format!("from={a}&to={a}"),
        format!("from={a}&to=2036-11-03T00:00:00Z"),
        "from=-009999-01-01T00:00:00Z&to=9999-01-01T00:00:00Z".into(),
        format!("from={a}&to={b}&by=colour"),
        format!("from={a}&to={b}&each=second"),
        format!("from={a}&to={b}&and_from={a}"),
        format!("from={a}&to={b}&and_from={b}&and_to={a}"),
        format!("from={a}&to={b}&nonsense=1"),
    ] {
        let (status, kind, _) = get(&format!("{url}/api/v1/quality?{query}"));
        assert_eq!((status, kind.as_str()), (400, "application/problem+json"), "{query}");
    }
    for (query, status) in [
        ("shift=early&date=2026-11-03", 400),
        ("shift=early&date=2026-02-30&as=pdf", 400),
        ("shift=early&date=tomorrow&as=pdf", 400),
        ("shift=early&date=2026-11-03&as=exe", 400),
        ("shift=noon&date=2026-11-03&as=pdf", 404),
        ("shift=..%2F..&date=2026-11-03&as=csv", 404),
    ] {
        assert_eq!(get(&format!("{url}/api/v1/quality/report?{query}")).0, status, "{query}");
    }
    // Nothing came then, and that is an answer.
    let nothing = read(&format!("{url}/api/v1/quality?from=2020-01-01T00:00:00Z&to=2020-06-01T00:00:00Z&by=shift"));
    assert_eq!((&nothing["totals"]["parts"], &nothing["chart"]["mean"]), (&json!(0), &Value::Null));
}

#[allow(clippy::print_stdout)] // what is skipped is said
fn report(url: &str, dir: &std::path::Path) {
    let shift = QualitySection::default().shift("early", "2026-11-03".parse().expect("a day")).expect("a shift");
    let parts = of(shift.from, shift.to);
    let table = dir.join("report.csv");
    let run = |out: &std::path::Path, shift: &str| {
        words(&output(&["report", "--url", url, "--shift", shift, "--date", "2026-11-03", "--out", text(out)]))
    };
    assert_eq!(run(&table, "early").0, 0);
    let mut rows = csv::Reader::from_path(&table).expect("a table");
    let rows: Vec<csv::StringRecord> = rows.records().map(|row| row.expect("a row")).collect();
    assert_eq!((&rows[0][0], &rows[0][4]), ("total", parts.len().to_string().as_str()));
    assert_eq!(&rows[0][6], count(&parts, |it| it.verdict == Verdict::Fail).to_string());
    assert_eq!(rows.iter().filter(|row| &row[0] == "hour").count(), 8);
    let scratch = rows.iter().find(|row| &row[0] == "wrong" && &row[1] == "scratch").expect("there");
    assert_eq!(&scratch[4], count(&parts, |it| it.label.as_deref() == Some("scratch")).to_string());

    let sheet = dir.join("report.pdf");
    assert_eq!(run(&sheet, "early").0, 0);
    let bytes = std::fs::read(&sheet).expect("a file");
    assert!(bytes.starts_with(b"%PDF-") && bytes.trim_ascii_end().ends_with(b"%%EOF"));
    match Command::new("pdftotext").args([text(&sheet), "-"]).output() {
        Ok(read) => {
            let said = String::from_utf8_lossy(&read.stdout).into_owned();
            for words in ["early shift of 2026-11-03", "Yield", "scratch", "What was wrong", "Where on the picture"] {
                assert!(said.contains(words), "{words}: {said}");
            }
        }
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "pdftotext is not here ({error}): run ./setup.sh test");
            println!("SKIPPED: pdftotext is not here: run ./setup.sh test");
        }
    }
    let (code, _, said) = run(&dir.join("report.txt"), "early");
    assert!(code != 0 && said.contains(".pdf"), "{said}");
    let (code, _, said) = run(&sheet, "noon");
    assert!(code != 0 && said.contains("no shift is called `noon`"), "{said}");
}
