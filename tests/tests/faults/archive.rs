//! Closed days as Parquet: DuckDB reads what `inspectd archive` writes, and its counts are those of the line's own interface. Without DuckDB (`tests/python.txt`)
//! that part says SKIPPED.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use system_tests::{Program, binary, python_tools};

use crate::line::{configured, more, run};
use crate::oracle::{Oracle, Records, everything};
use crate::shim::Shim;

/// By verdict: records, those with a picture, the lowest and the highest id; and every picture's path.
const ASK: &str = r#"
import duckdb, json, sys
table = f"read_parquet('{sys.argv[1]}/*/*/*.parquet', hive_partitioning = true)"
rows = duckdb.sql(f"select verdict, count(*), count(evidence), min(id), max(id) from {table} where line = 'faults' group by all").fetchall()
places = duckdb.sql(f"select id, cast(date as varchar), evidence from {table} where evidence is not null").fetchall()
kinds = duckdb.sql(f"select typeof(triggered_at), typeof(date) from {table} limit 1").fetchall()[0]
print(json.dumps({"rows": rows, "places": places, "kinds": kinds}))
"#;

pub(crate) const DAY_MS: i64 = 24 * 3600 * 1000;

fn archive(binary: &Path, folder: &Path, more: &[&str]) -> (i32, String) {
    let output =
        Command::new(binary).args(["archive", "archive"]).args(more).current_dir(folder).output().expect("it starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), format!("{}{}", text(&output.stdout), text(&output.stderr)))
}

#[test]
fn duckdb_counts_in_the_archive_what_the_interface_counts_on_the_line() {
    let Some(binary) = binary() else { return };
    let Some(shim) = Shim::build() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    let config = configured(folder.path(), &state, "");
    // Parts of three days ago, so that their day is closed; beside the line, whose today is not.
    shim.clock_off_by_ms(-3 * DAY_MS);
    let oracle = Oracle::default();
    let program = Program::spawn(run(shim.command(&binary, &state), &config)).unwrap_or_else(|why| panic!("{why}"));
    let listener = oracle.listen(&program);
    more("parts", || oracle.count(), 40);
    program.kill();
    listener.join().expect("the oracle saw nothing wrong");
    shim.clock_off_by_ms(0);
    let program = Program::spawn(run(shim.command(&binary, &state), &config)).unwrap_or_else(|why| panic!("{why}"));
    let (code, said) = archive(&binary, folder.path(), &["--state", "state", "--again"]);
    assert!(code == 1 && said.contains("is not there: is its disk?"), "{code} {said}");
    assert!(!folder.path().join("archive").exists(), "it wrote to the mount point");
    let (code, said) = archive(&binary, folder.path(), &["--state", "state"]);
    assert_eq!(code, 0, "{said}");
    let (code, again) = archive(&binary, folder.path(), &["--state", "state", "--again"]);
    assert!(code == 0 && again.contains("there already") && again.contains("0 days are new"), "{again}");

    let day = |it: &Value| it["triggered_at"].as_str().and_then(|at| at.get(..10)).expect("a day").to_owned();
    more("a part of today", || everything(&program).values().filter(|it| it["cause"] != "restart").count(), 1);
    let all = everything(&program);
    let today = day(all.values().next_back().expect("parts"));
    // Three days lie between; the day before today is closed an hour after midnight.
    let closed: Records = all.into_iter().filter(|(_, it)| day(it) < today).collect();
    assert!(closed.len() >= 40, "{}", closed.len());
    let counted = |verdict: &str| {
        let path = format!("/api/v1/inspections/count?verdict={verdict}&to={today}T00:00:00Z");
        program.get(&path)["parts"].as_u64().expect("a number")
    };
    let (code, checked) = archive(&binary, folder.path(), &["--verify"]);
    assert!(code == 0 && checked.contains(&format!("{} records", closed.len())), "{checked}");

    if let Some(found) = duckdb(&folder.path().join("archive")) {
        let rows: BTreeMap<String, Vec<u64>> = found["rows"]
            .as_array()
            .expect("rows")
            .iter()
            .map(|row| {
                let numbers = row.as_array().expect("a row")[1..].iter().filter_map(Value::as_u64).collect();
                (row[0].as_str().expect("a verdict").to_owned(), numbers)
            })
            .collect();
        let mut all = 0;
        for verdict in ["pass", "fail", "review", "no_decision"] {
            let of = rows.get(verdict).cloned().unwrap_or(vec![0; 4]);
            assert_eq!(of[0], counted(verdict), "{verdict}: {rows:?}");
            let ids: Vec<u64> = closed.iter().filter(|(_, it)| it["verdict"] == verdict).map(|(id, _)| *id).collect();
            assert_eq!(of[0], ids.len() as u64);
            assert!(ids.is_empty() || (of[2], of[3]) == (ids[0], ids[ids.len() - 1]), "{verdict}: {rows:?}");
            all += of[0];
        }
        assert_eq!(all, closed.len() as u64);
        assert_eq!(found["kinds"], serde_json::json!(["TIMESTAMP WITH TIME ZONE", "DATE"]));
        let places = found["places"].as_array().expect("places");
        assert!(!places.is_empty(), "bad parts have pictures");
        for place in places {
            let day = format!("archive/date={}/line=faults", place[1].as_str().expect("a day"));
            let path = folder.path().join(day).join(place[2].as_str().expect("a path"));
            assert!(fs::metadata(&path).is_ok_and(|it| it.len() > 0), "{}", path.display());
        }
        println!("{all} records, {} pictures: DuckDB counts what the interface counts", places.len());
    }

    // A byte that flips is named; so is a folder that cannot be.
    let tables = Command::new("find").args(["archive", "-name", "records.parquet"]).current_dir(folder.path()).output();
    let tables = String::from_utf8_lossy(&tables.expect("find").stdout).into_owned();
    let table = folder.path().join(tables.lines().next().expect("a table"));
    let mut bytes = fs::read(&table).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::write(&table, &bytes).expect("written");
    let (code, said) = archive(&binary, folder.path(), &["--verify"]);
    assert!(code == 1 && said.contains("records.parquet"), "{said}");
    for (more, word) in [
        (&["--state", "nowhere"][..], "nowhere"),
        (&["--from", "2026-13-40"], "2026-13-40"),
        (&["--verify", "--no-images"], "cannot be used with"),
    ] {
        let (code, said) = archive(&binary, folder.path(), more);
        assert!(code != 0 && said.contains(word), "{more:?}: {said}");
    }
}

pub(crate) fn duckdb(archive: &Path) -> Option<Value> {
    let python = python_tools("duckdb")?;
    let output =
        Command::new("python3").args(["-c", ASK]).arg(archive).env("PYTHONPATH", &python).output().expect("python3");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if said.contains("No module named 'duckdb'") && std::env::var("CI").as_deref() != Ok("true") {
        return None;
    }
    assert!(output.status.success(), "{said}");
    Some(serde_json::from_slice(&output.stdout).expect("JSON"))
}
