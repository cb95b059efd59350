//! What is on record over HTTP: filters, counts and names; exports that are read again; and people who mean ill.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use inspectd::store::{Filter, VerdictKind};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use stages::inspection::Inspection;

use crate::past::{PARTS, hours_later, line, part, parts, record};
use crate::support::{agent, get, json, wait_for};

fn bytes(url: &str) -> Vec<u8> {
    let mut answer = agent().get(url).call().expect("an answer");
    assert_eq!(answer.status(), 200, "{url}");
    answer.body_mut().with_config().limit(1 << 30).read_to_vec().expect("a whole file")
}

/// Ids by paging through, in the order of the answers.
fn paged(url: &str, query: &str) -> Vec<u64> {
    let (mut ids, mut before) = (Vec::new(), String::new());
    loop {
        let page = json(&format!("{url}/api/v1/inspections?limit=200&{query}{before}"));
        ids.extend(page["items"].as_array().expect("a list").iter().map(|it| it["id"].as_u64().expect("an id")));
        match page["next"].as_u64() {
            Some(next) => before = format!("&before={next}"),
            None => return ids,
        }
    }
}

fn naive(filter: &Filter) -> Vec<u64> {
    let mut ids: Vec<u64> = parts().iter().filter(|it| filter.matches(it)).map(|it| it.id).collect();
    ids.reverse();
    ids
}

/// The past ends where the demo's own parts begin.
const PAST: &str = "to=2026-11-04T00:00:00Z";

#[test]
fn the_record_is_filtered_counted_and_exported() {
    let dir = tempfile::tempdir().expect("a folder");
    record(dir.path(), parts().into_iter());
    let (_program, url) = line(dir.path());
    filters(&url);
    names(&url);
    csv(&url);
    parquet(&url);
    zip(&url);
    progress(&url);
    hostile(&url);
}

fn filters(url: &str) {
    let some = |text: &str| Some(text.to_owned());
    for (query, filter) in [
        ("verdict=fail", Filter { verdict: Some(VerdictKind::Fail), ..Filter::default() }),
        ("label=pit", Filter { label: some("pit"), ..Filter::default() }),
        ("lot=L2&camera=side", Filter { lot: some("L2"), camera: some("side"), ..Filter::default() }),
        (
            "recipe=bracket%402&verdict=review",
            Filter { recipe: some("bracket@2"), verdict: Some(VerdictKind::Review), ..Filter::default() },
        ),
        ("recipe=bracket", Filter { recipe: some("bracket"), ..Filter::default() }),
        ("model=ABAB&serial=L1-00077", Filter { model: some("abab"), serial: some("L1-00077"), ..Filter::default() }),
        ("score_from=0.7&score_to=0.71", Filter { score: (Some(0.7), Some(0.71)), ..Filter::default() }),
        ("label=good&score_from=0.99", Filter { label: some("good"), score: (Some(0.99), None), ..Filter::default() }),
        (
            "from=2026-11-02T05:00:00%2B01:00&label=scratch",
            Filter { from: Some(hours_later(4)), label: some("scratch"), ..Filter::default() },
        ),
        ("region=rim", Filter { region: some("rim"), ..Filter::default() }),
    ] {
        let expected = naive(&filter);
        assert_eq!(paged(url, &format!("{query}&{PAST}")), expected, "{query}");
        let counted = json(&format!("{url}/api/v1/inspections/count?{query}&{PAST}"));
        let about = counted["parts"].as_u64().expect("a number");
        assert!(about >= expected.len() as u64, "{query}: {counted}");
        assert!(query.contains('&') || about == expected.len() as u64, "{query}: {counted}");
    }
    let one = json(&format!("{url}/api/v1/inspections/77"));
    assert_eq!((one["lot"].as_str(), one["serial"].as_str()), (Some("L1"), Some("L1-00077")));
}

fn names(url: &str) {
    let known = json(&format!("{url}/api/v1/inspections/known"));
    let has = |kind: &str, name: &str| known[kind].as_array().expect("a list").iter().any(|it| it == name);
    assert!(has("labels", "scratch") && has("lots", "L3") && has("recipes", "bracket@2"), "{known}");
    assert!(has("cameras", "side") && has("models", &"ab".repeat(32)), "{known}");
}

fn csv(url: &str) {
    let file = bytes(&format!("{url}/api/v1/export?as=csv&verdict=fail&{PAST}"));
    let mut table = csv::Reader::from_reader(&file[..]);
    let heading = table.headers().expect("a heading").clone();
    let rows: Vec<BTreeMap<String, String>> = table
        .records()
        .map(|row| heading.iter().map(str::to_owned).zip(row.expect("a row").iter().map(str::to_owned)).collect())
        .collect();
    let expected = naive(&Filter { verdict: Some(VerdictKind::Fail), ..Filter::default() });
    assert_eq!(rows.iter().map(|row| row["id"].parse().expect("a number")).collect::<Vec<u64>>(), expected);
    for row in &rows {
        let part = part(row["id"].parse().expect("a number"));
        assert_eq!(row["lot"], part.lot.as_deref().expect("a lot"));
        assert_eq!(row["score"], part.scores[0].score.to_string());
        assert_eq!(row["triggered_at"], part.triggered_at.to_string());
    }
    let all = bytes(&format!("{url}/api/v1/export?as=csv&{PAST}"));
    let mut table = csv::Reader::from_reader(&all[..]);
    let rows: Vec<csv::StringRecord> = table.records().map(|row| row.expect("a row")).collect();
    assert_eq!(rows.len() as u64, PARTS);
    assert_eq!(&rows[PARTS as usize - 7][3], "'=7+7", "no spreadsheet computes it");
    let late = rows.iter().find(|row| &row[7] == "late").expect("one is late");
    assert_eq!(&late[15], "late, \"very\"\nlate");
}

fn parquet(url: &str) {
    let file = bytes(&format!("{url}/api/v1/export?as=parquet&{PAST}"));
    let reader = SerializedFileReader::new(axum_bytes(file)).expect("a Parquet file");
    let mut seen = 0;
    for row in reader.get_row_iter(None).expect("rows") {
        let row = row.expect("a row");
        let fields: BTreeMap<&str, &Field> =
            row.get_column_iter().map(|(name, field)| (name.as_str(), field)).collect();
        let Field::Long(id) = fields["id"] else { panic!("{row}") };
        let part = part(*id as u64);
        let text = |name: &str| match fields[name] {
            Field::Str(text) => Some(text.clone()),
            Field::Null => None,
            other => panic!("{name}: {other}"),
        };
        let plain = |name: Option<&str>| name.map(str::to_owned);
        assert_eq!(text("serial"), plain(part.serial.as_deref()));
        assert_eq!(text("label"), plain(part.label.as_deref()));
        assert_eq!(text("evidence"), part.evidence);
        assert_eq!(text("recipe"), plain(Some(&part.recipe)));
        assert_eq!(*fields["triggered_at"], Field::TimestampMicros(part.triggered_at.as_microsecond()));
        assert_eq!(*fields["score"], part.scores.first().map_or(Field::Null, |it| Field::Float(it.score)));
        seen += 1;
    }
    assert_eq!(seen, PARTS);
}

fn axum_bytes(file: Vec<u8>) -> axum::body::Bytes {
    file.into()
}

fn zip(url: &str) {
    let file = bytes(&format!("{url}/api/v1/export?as=zip&verdict=fail&lot=L1&{PAST}"));
    let mut archive = zip::ZipArchive::new(Cursor::new(file)).expect("a zip file");
    let wanted = |it: &Inspection| it.evidence.is_some() && it.lot.as_deref() == Some("L1");
    let expected: Vec<u64> = parts().iter().filter(|it| wanted(it)).map(|it| it.id).rev().collect();
    assert!(expected.len() > 10);
    let names: Vec<String> = (1..archive.len())
        .map(|at| archive.by_index(at).expect("there").name().expect("a name").into_owned())
        .collect();
    let named: Vec<String> = expected.iter().map(|id| format!("pictures/{id}-L1-{id:05}.jpg")).collect();
    assert_eq!(names, named);
    let mut picture = Vec::new();
    archive.by_index(1).expect("there").read_to_end(&mut picture).expect("read");
    assert_eq!(picture, crate::support::jpeg(120));
    let mut table = String::new();
    archive.by_name("records.csv").expect("the table").read_to_string(&mut table).expect("read");
    assert_eq!(table.lines().count(), expected.len() + 1);
}

fn progress(url: &str) {
    bytes(&format!("{url}/api/v1/export?as=csv&ticket=test-ticket-1&{PAST}"));
    let done = wait_for("the export to be done", || {
        let standing = json(&format!("{url}/api/v1/exports/test-ticket-1"));
        (standing["state"] == "done").then_some(standing)
    });
    assert_eq!((done["done"].as_u64(), done["of"].as_u64()), (Some(PARTS), Some(PARTS)));
    let (status, _, problem) = get(&format!("{url}/api/v1/export?as=csv&ticket=test-ticket-1"));
    assert_eq!((status, problem["status"].as_u64()), (409, Some(409)));
    let unknown = json(&format!("{url}/api/v1/exports/another-ticket"));
    assert_eq!((&unknown["state"], &unknown["done"]), (&"unknown".into(), &0.into()), "it may still come");
    assert_eq!(get(&format!("{url}/api/v1/exports/short")).0, 400);

    // Whoever goes away leaves nothing behind that others would wait for.
    for at in 0..4 {
        let answer =
            agent().get(format!("{url}/api/v1/export?as=csv&ticket=gone-away-{at}")).call().expect("an answer");
        drop(answer);
        wait_for("the end of an export that nobody takes", || {
            let standing = json(&format!("{url}/api/v1/exports/gone-away-{at}"));
            ["done", "failed"].contains(&standing["state"].as_str()?).then_some(())
        });
    }
}

fn hostile(url: &str) {
    for query in [
        "score_from=1.1",
        "score_from=NaN",
        "score_to=-0.1",
        "score_to=high",
        "verdict=bad",
        "model=xyz1",
        "model=ab",
        "from=yesterday",
        "to=2026-13-01T00:00:00Z",
        "limit=0",
        "limit=100000",
        "before=-1",
        "nonsense=1",
        "label=a&label=b",
    ] {
        for path in ["inspections", "inspections/count", "export"] {
            let form = if path == "export" { "&as=csv" } else { "" };
            let (status, kind, problem) = get(&format!("{url}/api/v1/{path}?{query}{form}"));
            assert_eq!((status, kind.as_str()), (400, "application/problem+json"), "{path}?{query}");
            assert!(problem["detail"].as_str().is_some_and(|it| !it.is_empty()), "{path}?{query}: {problem}");
        }
    }
    for query in ["", "as=exe", "as=csv&ticket=short", "as=csv&ticket=../../../etc", "as=csv&as=zip"] {
        assert_eq!(get(&format!("{url}/api/v1/export?{query}")).0, 400, "{query}");
    }
    // Odd, and yet a question: nothing is like that.
    for query in
        ["label=%00", "serial=%F0%9F%A6%80", "lot=%27%3B--", "recipe=%40", "camera=..%2F..", "score_from=1&score_to=0"]
    {
        let page = json(&format!("{url}/api/v1/inspections?{query}"));
        assert_eq!(page["items"].as_array().map(Vec::len), Some(0), "{query}");
    }
}
