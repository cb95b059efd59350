//! Closed days into a store that speaks S3: keys that are wrong, a bucket that is not there, a server that dies and comes back, another line's day, a day that grew.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use system_tests::{Program, binary, wait_for};

use crate::archive::{DAY_MS, duckdb};
use crate::bucket::{BUCKET, KEY, Store};
use crate::line::{configured, more, run};
use crate::oracle::Oracle;
use crate::shim::Shim;

/// A line whose parts are three days old, so that their day is closed.
struct Line<'a> {
    binary: &'a Path,
    shim: &'a Shim,
    folder: &'a Path,
    state: PathBuf,
    seed: u32,
}

impl Line<'_> {
    /// Runs it at noon three days ago, until there are so many more parts.
    fn inspects(&self, parts: usize) {
        let config = configured(self.folder, &self.state, "");
        let text = fs::read_to_string(&config).expect("readable");
        fs::write(&config, text.replace("seed = 12", &format!("seed = {}", self.seed))).expect("written");
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_millis() as i64;
        self.shim.clock_off_by_ms(DAY_MS / 2 - now % DAY_MS - 3 * DAY_MS);
        let oracle = Oracle::default();
        let program = self.starts(&config);
        let listener = oracle.listen(&program);
        more("parts", || oracle.count(), parts);
        program.kill();
        listener.join().expect("the oracle saw nothing wrong");
        self.shim.clock_off_by_ms(0);
    }

    fn starts(&self, config: &Path) -> Program {
        Program::spawn(run(self.shim.command(self.binary, &self.state), config)).unwrap_or_else(|why| panic!("{why}"))
    }

    /// Writes a configuration that archives into the store; `secret`: the key that its file holds.
    fn archives_into(&self, to: &str, endpoint: &str, id: &str, secret: &str) {
        fs::write(self.folder.join("archive.secret"), format!("{secret}\n")).expect("written");
        let file = self.folder.join("archive.secret");
        let section = format!(
            "[archive]\nto = {to:?}\nendpoint = {endpoint:?}\nallow_http = true\nkey_id = {id:?}\nsecret_key = \"file:{}\"\n",
            file.display()
        );
        configured(self.folder, &self.state, &section);
    }

    /// `inspectd archive` as the configuration says.
    fn archive(&self, more: &[&str]) -> (i32, String) {
        let output = Command::new(self.binary)
            .args(["archive", "--config", "line.toml"])
            .args(more)
            .current_dir(self.folder)
            .output()
            .expect("it starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap_or(-1), format!("{}{}", text(&output.stdout), text(&output.stderr)))
    }
}

/// The days of an archive that lies in a folder, as a store over a folder has it too.
fn days(root: &Path) -> Vec<PathBuf> {
    let below = |dir: &Path| -> Vec<PathBuf> {
        let items = fs::read_dir(dir).into_iter().flatten().map(|item| item.expect("an item").path());
        items.filter(|path| path.is_dir() && path.to_string_lossy().contains('=')).collect()
    };
    let mut days: Vec<PathBuf> = below(root).iter().flat_map(|date| below(date)).collect();
    days.sort();
    days
}

fn manifest(day: &Path) -> Value {
    serde_json::from_slice(&fs::read(day.join("_manifest.json")).expect("a manifest")).expect("JSON")
}

fn pictures(manifest: &Value) -> usize {
    manifest["files"].as_object().expect("files").keys().filter(|name| name.starts_with("_images/")).count()
}

#[test]
fn days_reach_a_store_whole_or_not_at_all_and_what_is_there_is_not_sent_again() {
    let Some(binary) = binary() else { return };
    let Some(shim) = Shim::build() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let line =
        Line { binary: &binary, shim: &shim, folder: folder.path(), state: folder.path().join("state"), seed: 12 };
    line.inspects(40);
    let program = line.starts(&configured(folder.path(), &line.state, ""));
    let root = folder.path().join("store");
    let place = format!("s3://{BUCKET}/plant/line-3");
    let store = Store::new(&root);
    let lies = root.join(BUCKET).join("plant/line-3");

    // What cannot work is said, with the way out, and leaves nothing behind.
    for (to, id, secret, words) in [
        (&*place, KEY.0, "another-secret", "does not take the key"),
        (&*place, "nobody", KEY.1, "`key_id`"),
        ("s3://no-such-bucket/plant", KEY.0, KEY.1, "no such bucket"),
    ] {
        line.archives_into(to, &store.endpoint(), id, secret);
        for more in [&[][..], &["--verify"]] {
            let (code, said) = line.archive(more);
            assert!(code == 1 && said.contains(words) && !said.contains(secret), "{to} {more:?}: {said}");
        }
    }
    assert_eq!((store.put(), days(&lies)), (vec![], vec![]));

    // It dies during an upload, and stays away: the run ends by itself, and the line has gone on. No manifest, so no day; it is not taken for one.
    let before = program.counts();
    line.archives_into(&place, &store.endpoint(), KEY.0, KEY.1);
    store.dies_after(9);
    let (code, said) = line.archive(&[]);
    assert!(code == 1 && said.contains("cannot be reached") && said.contains("goes on"), "{said}");
    assert!(program.counts().pass > before.pass + 5, "the line stood still: {before:?}");
    let mut sent = store.put();
    assert!(store.is_dead() && !sent.is_empty() && sent.len() <= 9, "{sent:?}");
    store.come_back();
    let (code, said) = line.archive(&["--verify"]);
    assert!(code == 1 && said.contains("_manifest.json") && said.contains("0 whole days"), "{said}");

    // It dies again and comes back while the run still tries: the run goes on, and sends nothing a second time.
    store.dies_after(7);
    let (code, said) = std::thread::scope(|scope| {
        scope.spawn(|| {
            wait_for("its death", || store.is_dead().then_some(()));
            std::thread::sleep(Duration::from_millis(700));
            store.come_back();
        });
        line.archive(&[])
    });
    assert!(code == 0 && said.contains("1 days are new"), "{said}");
    sent.extend(store.put());
    let there = days(&lies);
    let [day] = &*there else { panic!("{there:?}") };
    let held = manifest(day);
    assert_eq!(sent.len(), sent.iter().collect::<BTreeSet<_>>().len(), "something was sent twice: {sent:?}");
    // Three others are on their way when it dies: what of them it had written and not answered is there as well.
    let all = held["files"].as_object().expect("files").len() + 1;
    assert!((all - 6..=all).contains(&sent.len()), "{} of {all}: {sent:?}", sent.len());
    assert!(sent.last().is_some_and(|path| path.ends_with("/_manifest.json")), "{sent:?}");
    assert!(pictures(&held) > 16, "it died twice among pictures");

    // The same as a folder has, and as the interface and DuckDB count.
    let (code, said) = line.archive(&["archive"]);
    assert_eq!(code, 0, "{said}");
    let in_folder = days(&folder.path().join("archive"));
    assert_eq!(manifest(&in_folder[0]), held);
    let (code, said) = line.archive(&["--verify"]);
    let records = held["records"].as_u64().expect("a number");
    assert!(code == 0 && said.contains(&format!("1 whole days with {records} records")), "{said}");
    let date = day.parent().and_then(Path::file_name).expect("a date").to_string_lossy().replace("date=", "");
    let counted = program.get(&format!("/api/v1/inspections/count?to={date}T23:59:59.999999Z"))["parts"].as_u64();
    assert_eq!(counted, Some(records));
    if let Some(found) = duckdb(&lies) {
        let rows = found["rows"].as_array().expect("rows").iter();
        assert_eq!(rows.map(|row| row[1].as_u64().expect("a number")).sum::<u64>(), records);
        assert_eq!(found["places"].as_array().expect("places").len(), pictures(&held));
    }
    let (code, said) = line.archive(&[]);
    assert!(code == 0 && said.contains("there already") && store.put().is_empty(), "{said}");
    program.kill();

    // Another line of the same name is told, and what is there stays.
    let elsewhere = tempfile::tempdir().expect("a folder");
    let other = Line { folder: elsewhere.path(), state: elsewhere.path().join("state"), seed: 77, ..line };
    other.inspects(12);
    other.archives_into(&place, &store.endpoint(), KEY.0, KEY.1);
    let (code, said) = other.archive(&[]);
    assert!(code == 1 && said.contains("second line named `faults`") && said.contains("1 were refused"), "{said}");
    // The same where the first one's upload is not whole.
    fs::rename(day.join("_manifest.json"), root.join("manifest")).expect("moved");
    let (code, said) = other.archive(&[]);
    assert!(code == 1 && said.contains("second line of this name"), "{said}");
    fs::rename(root.join("manifest"), day.join("_manifest.json")).expect("moved");
    let (code, said) = line.archive(&["--verify"]);
    assert!(code == 0, "what was there is not as it was: {said}");
    store.put();

    // The clock was set back, the day grew: written anew, without sending a picture again, and with one that the line no longer has.
    let kept = held["files"].as_object().expect("files").keys().find(|name| name.starts_with("_images/"));
    let kept = fs::read(day.join(kept.expect("a picture"))).expect("readable");
    fs::remove_file(with_content(&line.state, &kept).expect("the line's own")).expect("removed");
    line.inspects(5);
    line.archives_into(&place, &store.endpoint(), KEY.0, KEY.1);
    let (code, said) = line.archive(&[]);
    assert!(code == 0 && said.contains("1 days are new"), "{said}");
    let grown = manifest(day);
    assert!(grown["records"].as_u64().expect("a number") >= records + 5, "{grown}");
    for (name, sum) in held["files"].as_object().expect("files").iter().filter(|(name, _)| name.starts_with("_images/"))
    {
        assert_eq!(grown["files"][name], *sum, "{name}");
    }
    let put = store.put();
    assert_eq!(put.len(), pictures(&grown) - pictures(&held) + 2, "{put:?}");
    let (code, said) = line.archive(&["--verify"]);
    assert!(code == 0 && said.contains("1 whole days"), "{said}");

    // What was changed or lost in the store is named; a newer program's day is left alone.
    let table = day.join("records.parquet");
    let mut bytes = fs::read(&table).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::write(&table, &bytes).expect("written");
    let picture = grown["files"].as_object().expect("files").keys().next().expect("a picture").clone();
    fs::remove_file(day.join(&picture)).expect("removed");
    let (code, said) = line.archive(&["--verify"]);
    let named = said.contains("records.parquet: its checksum") && said.contains(&format!("{picture}: is missing"));
    assert!(code == 1 && named, "{said}");
    fs::write(day.join("_manifest.json"), r#"{"format": 2, "days": []}"#).expect("written");
    let (code, said) = line.archive(&[]);
    assert!(code == 1 && said.contains("format 2") && said.contains("update inspectd"), "{said}");
    let (code, said) = line.archive(&["--verify"]);
    assert!(code == 1 && said.contains("format 2"), "{said}");
    assert!(store.put().is_empty());
}

/// A picture below a folder.
fn with_content(dir: &Path, content: &[u8]) -> Option<PathBuf> {
    fs::read_dir(dir).expect("a folder").map(|item| item.expect("an item").path()).find_map(|path| {
        if path.is_dir() {
            return with_content(&path, content);
        }
        let same = fs::metadata(&path).is_ok_and(|it| it.len() == content.len() as u64);
        (same && fs::read(&path).expect("readable") == content).then_some(path)
    })
}
