//! Files that are not as they were written: a bit flipped or the end cut off, in any file of the state folder. The program starts all the
//! same, says what is lost, keeps the damaged file aside, and everything else is as it was.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rand::Rng;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use system_tests::{Program, agent, binary};

use crate::line::{configured, more, run};
use crate::oracle::{Oracle, Records, everything};
use crate::rounds;

/// What can be damaged: a name, and the folders or files of the state folder that it stands for.
const WHERE: [(&str, &[&str]); 6] = [
    ("journal", &["journal"]),
    ("index", &["index"]),
    ("pictures", &["evidence"]),
    ("register", &["models"]),
    ("audit", &["audit"]),
    ("the rest", &["access", "learning", "recipes", "alerts", "outbox", "counters.json"]),
];

/// They carry no checksum: what still can be understood is believed.
const UNCHECKED: [&str; 3] = ["accounts.json", "counters.json", "mine.toml"];

#[test]
fn damaged_files_cost_what_they_held_and_nothing_else() {
    let Some(binary) = binary() else { return };
    let cases = rounds(12, 510);
    let seed = 500;
    println!("seed {seed}, {cases} cases");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let folder = tempfile::tempdir().expect("a folder");
    let (state, sound) = (folder.path().join("state"), folder.path().join("sound"));
    let config = configured(folder.path(), &state, "");
    let start = || Program::spawn(run(Command::new(&binary), &config));
    let before = live(start().unwrap_or_else(|why| panic!("{why}")));
    copy(&state, &sound);

    let mut silent: BTreeMap<String, usize> = BTreeMap::new();
    let mut lost = 0;
    for case in 0..cases {
        if case % 30 == 0 && case > 0 {
            println!("{case} of {cases} cases, {lost} records lost so far, each told");
        }
        let (what, places) = WHERE[case % WHERE.len()];
        fs::remove_dir_all(&state).expect("removed");
        copy(&sound, &state);
        let damage = Damage::done(&state, places, &mut random);
        let context = format!("case {case}: {what}, {} at byte {}, cut: {}", damage.name(), damage.at, damage.cut);

        let program = start().unwrap_or_else(|why| panic!("{context}: {why}"));
        let kept = everything(&program);
        let unlike: Vec<u64> =
            before.records.iter().filter(|(id, r)| kept.get(id) != Some(r)).map(|(id, _)| *id).collect();
        let output = program.output();
        if what == "journal" {
            damage.cost_only_what_it_held(&unlike, &kept, &output, &context);
            lost += unlike.len();
        } else {
            assert!(unlike.is_empty(), "{context}: records {unlike:?}\n{output}");
        }
        let after = Memory::of(&program);
        for (name, known) in &before.memory.0 {
            // What was said of a part whose record is gone is not shown.
            let gone = what == "journal" && damage.cut && *name == "labels";
            if !gone && !holds(name, after.0.get(name), known) {
                assert_ne!(what, "journal", "{context}: {name} was {known}, is {:?}", after.0.get(name));
                let told = damage.is_told(&output) || what == "audit" && verify_finds_it(&binary, &state);
                if !told {
                    *silent.entry(format!("{what}: {}", damage.name())).or_default() += 1;
                }
            }
        }
        assert!(!panicked(&output), "{context}\n{output}");
        damage.is_kept(what, &state, &context);
        // Every now and then: it ends in order and starts again, and says nothing twice.
        if case % 5 == 0 {
            let (status, output) = program.terminate();
            assert!(status.success(), "{context}: {status}\n{output}");
            let again = start().unwrap_or_else(|why| panic!("{context}, the second start: {why}"));
            assert!(!again.output().contains("bytes at"), "{context}: told twice\n{}", again.output());
        }
    }
    println!(
        "{cases} bit flips and truncations: 0 failed starts, 0 panics, {lost} records lost, each with its bytes of the journal; changes that nothing \
         told: {silent:?}"
    );
    silent.retain(|file, _| !UNCHECKED.iter().any(|unchecked| file.contains(unchecked)));
    assert!(silent.is_empty(), "{silent:?}");
}

/// What the program knew when it was well.
struct Before {
    records: Records,
    memory: Memory,
}

/// A line with something in each of its files.
fn live(program: Program) -> Before {
    let oracle = Oracle::default();
    let listener = oracle.listen(&program);
    more("parts", || oracle.count(), 150);
    let ids: Vec<u64> = oracle.records().keys().copied().take(4).collect();
    for (at, id) in ids.iter().enumerate() {
        program.post(
            &format!("/api/v1/inspections/{id}/label"),
            &json!({ "answer": "label", "label": format!("kind {at}") }),
        );
    }
    for name in ["anna", "bert"] {
        program.post(
            "/api/v1/users",
            &json!({ "name": name, "password": "a long pass phrase, indeed", "role": "operator" }),
        );
    }
    program.post("/api/v1/tokens", &json!({ "name": "mes", "role": "kiosk" }));
    let rule = json!({ "when": { "kind": "safe_hold" } });
    let put =
        agent().put(format!("{}/api/v1/alerts/rules/mine", program.url)).header("x-inspectd", "1").send_json(&rule);
    assert!(put.is_ok(), "{put:?}");
    program.post("/api/v1/recipes", &json!({ "from": "faults@1", "change": { "deadline_ms": 6000 } }));
    let memory = Memory::of(&program);
    let (status, output) = program.terminate();
    assert!(status.success(), "{output}");
    listener.join().expect("the oracle saw nothing wrong");
    Before { records: oracle.records(), memory }
}

/// What people told it.
#[derive(Debug, PartialEq)]
struct Memory(BTreeMap<&'static str, Value>);

impl Memory {
    fn of(program: &Program) -> Memory {
        let all = |path: &str| ask(program, path);
        let names = |list: &Value, key: &str| -> Value {
            list.as_array().map(|items| items.iter().map(|item| item[key].clone()).collect()).unwrap_or_default()
        };
        let mut memory = BTreeMap::new();
        memory.insert(
            "labels",
            (1..=4).map(|id| all(&format!("/api/v1/inspections/{id}/label"))["label"].clone()).collect(),
        );
        memory.insert("users", names(&all("/api/v1/users")["items"], "name"));
        memory.insert("tokens", names(&all("/api/v1/tokens")["items"], "name"));
        memory.insert("recipes", names(&all("/api/v1/recipes")["versions"], "tag"));
        memory.insert("models", names(&all("/api/v1/models")["models"], "digest"));
        memory.insert("rule", json!(!all("/api/v1/alerts/rules")["mine"].is_null()));
        memory.insert("audit", names(&all("/api/v1/audit?limit=50")["items"], "subject"));
        Memory(memory)
    }
}

/// Whether what was known is known. The program itself may have added to the audit trail and the register: kinds are made of labels.
fn holds(name: &str, now: Option<&Value>, known: &Value) -> bool {
    match (now.and_then(Value::as_array), known.as_array()) {
        (Some(now), Some(known)) if matches!(name, "audit" | "models") => known.iter().all(|item| now.contains(item)),
        _ => now == Some(known),
    }
}

/// A resource; null where it is refused.
fn ask(program: &Program, path: &str) -> Value {
    let answer = agent().get(format!("{}{path}", program.url)).call();
    answer.ok().and_then(|mut answer| answer.body_mut().read_json().ok()).unwrap_or_default()
}

/// Whether the command that looks for damage in the audit trail names some.
fn verify_finds_it(binary: &Path, state: &Path) -> bool {
    let verify = Command::new(binary).args(["audit", "verify", "--state"]).arg(state).output().expect("it runs");
    !verify.status.success()
}

/// sled's panics are its way to say that it is damaged: the index catches them.
fn panicked(output: &str) -> bool {
    let lines: Vec<&str> = output.lines().collect();
    lines.iter().any(|line| line.contains("panicked at") && !line.contains("/sled-"))
}

struct Damage {
    path: PathBuf,
    at: u64,
    cut: bool,
    /// The file as it is now.
    bytes: Vec<u8>,
}

impl Damage {
    fn done(state: &Path, places: &[&str], random: &mut ChaCha8Rng) -> Damage {
        let mut files: Vec<PathBuf> = places.iter().flat_map(|place| below(&state.join(place))).collect();
        files.retain(|path| fs::metadata(path).is_ok_and(|about| about.len() > 0) && !path.ends_with("lock"));
        files.sort();
        assert!(!files.is_empty(), "nothing lies in {places:?}");
        let path = files.swap_remove(random.random_range(0..files.len()));
        let mut bytes = fs::read(&path).expect("readable");
        let at = random.random_range(0..bytes.len());
        let cut = random.random_bool(0.3);
        if cut {
            bytes.truncate(at);
        } else {
            bytes[at] ^= 1 << random.random_range(0..8);
        }
        fs::write(&path, &bytes).expect("written");
        Damage { path, at: at as u64, cut, bytes }
    }

    fn name(&self) -> String {
        self.path.file_name().expect("a name").to_string_lossy().into_owned()
    }

    /// Of the journal: a flipped bit costs its frame, a cut what was behind it. What is lost is said to the byte.
    fn cost_only_what_it_held(&self, unlike: &[u64], kept: &Records, output: &str, context: &str) {
        for id in unlike {
            let now = kept.get(id);
            let restart = now.is_some_and(|record| record["cause"] == "restart");
            assert!(restart || (self.cut && now.is_none()), "{context}: part {id} is {now:?}");
        }
        if self.cut {
            let first = unlike.first().copied().unwrap_or(u64::MAX);
            assert!(unlike.iter().zip(first..).all(|(id, next)| *id == next), "{context}: not the end: {unlike:?}");
            return;
        }
        assert!(unlike.len() <= 1, "{context}: one frame at most: {unlike:?}");
        let told = output.lines().filter_map(range).any(|(from, bytes)| (from..from + bytes).contains(&self.at));
        assert!(told, "{context}: no line names the byte\n{output}");
    }

    /// Whether a line names the file, or what it belongs to.
    fn is_told(&self, output: &str) -> bool {
        let folder = self.path.parent().and_then(Path::file_name).expect("a folder").to_string_lossy().into_owned();
        let loud = output.lines().filter(|line| line.contains("WARN") || line.contains("ERROR"));
        let words =
            [self.name(), format!("/{folder}"), if folder == "models" { "register".to_owned() } else { self.name() }];
        loud.into_iter().any(|line| words.iter().any(|word| line.contains(word.as_str())))
    }

    /// The damaged bytes are still there: in the file itself, which was not touched or only grew, or beside it.
    fn is_kept(&self, what: &str, state: &Path, context: &str) {
        // A moment's worth, and made anew at any time.
        let passing = self.name() == "state.json" || self.name().starts_with("drift");
        if matches!(what, "index" | "pictures") || self.bytes.is_empty() || passing {
            return;
        }
        let kept = below(state).into_iter().any(|path| {
            let bytes = fs::read(path).unwrap_or_default();
            bytes.windows(self.bytes.len().min(bytes.len()).max(1)).any(|window| window == self.bytes)
        });
        let aside = what == "journal" && state.join("damaged").exists();
        assert!(kept || aside || self.cut, "{context}: the damaged bytes are gone");
    }
}

/// First byte and number of bytes of a damage that the log tells.
fn range(line: &str) -> Option<(u64, u64)> {
    let (before, after) = line.split_once(" bytes at ")?;
    let bytes = before.rsplit(' ').next()?.parse().ok()?;
    Some((after.split(' ').next()?.parse().ok()?, bytes))
}

fn below(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let items = fs::read_dir(path).into_iter().flatten().map(|item| item.expect("an item").path());
    items.flat_map(|item| below(&item)).collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for item in fs::read_dir(from).expect("a folder").map(|item| item.expect("an item").path()) {
        let to = to.join(item.file_name().expect("a name"));
        if item.is_dir() {
            copy(&item, &to);
        } else {
            fs::copy(&item, &to).expect("copied");
        }
    }
}
