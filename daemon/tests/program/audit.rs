//! The audit trail: what is done to its file is found, and where.

use std::fs;
use std::path::{Path, PathBuf};

use inspectd::access::Who;
use inspectd::audit::{self, Deed, Head, Trail, Trouble};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{output, text, words};

fn file(state: &Path) -> PathBuf {
    state.join("audit/trail.jsonl")
}

/// A trail of so many entries; its head.
fn written(state: &Path, entries: usize) -> Head {
    let trail = Trail::open(state).expect("a trail");
    for n in 0..entries {
        let deed =
            Deed::new("threshold.set", format!("scratch-{n}")).before(json!({ "at": n })).after(json!({ "at": n + 1 }));
        trail.append(&Who::program(), deed.because(Some("für den Test".to_owned()))).expect("written");
    }
    trail.head().expect("read")
}

fn lines(state: &Path) -> Vec<Vec<u8>> {
    let bytes = fs::read(file(state)).expect("a trail");
    bytes.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect()
}

/// What somebody may do to the file.
#[derive(Debug, Clone)]
enum Tampering {
    /// One bit of one byte of one line.
    Flip {
        line: usize,
        at: usize,
        bit: u8,
    },
    Remove {
        line: usize,
    },
    Swap {
        line: usize,
        other: usize,
    },
    Double {
        line: usize,
        behind: usize,
    },
    CutLines {
        keep: usize,
    },
    CutBytes {
        bytes: usize,
    },
    /// Another reason, and a hash that fits.
    Forge {
        line: usize,
    },
}

const ENTRIES: usize = 12;

fn tampering() -> impl Strategy<Value = Tampering> {
    let line = 0..ENTRIES;
    prop_oneof![
        4 => (line.clone(), any::<prop::sample::Index>(), 0u8..8)
            .prop_map(|(line, at, bit)| Tampering::Flip { line, at: at.index(200), bit }),
        1 => line.clone().prop_map(|line| Tampering::Remove { line }),
        1 => (line.clone(), line.clone()).prop_filter("two", |(a, b)| a != b)
            .prop_map(|(a, b)| Tampering::Swap { line: a.min(b), other: a.max(b) }),
        1 => (line.clone(), line.clone()).prop_map(|(line, behind)| Tampering::Double { line, behind }),
        1 => line.clone().prop_map(|keep| Tampering::CutLines { keep }),
        1 => (1usize..150).prop_map(|bytes| Tampering::CutBytes { bytes }),
        1 => line.prop_map(|line| Tampering::Forge { line }),
    ]
}

/// Does it; gives the numbers of entries of which one must be named.
fn tamper(lines: &mut Vec<Vec<u8>>, how: &Tampering) -> Vec<u64> {
    let number = |line: usize| line as u64 + 1;
    match *how {
        Tampering::Flip { line, at, bit } => {
            let at = at % lines[line].len();
            lines[line][at] ^= 1 << bit;
            // A newline that comes or goes moves the boundary to the next entry.
            vec![number(line), number(line) + 1]
        }
        Tampering::Remove { line } => {
            lines.remove(line);
            vec![number(line)]
        }
        Tampering::Swap { line, other } => {
            lines.swap(line, other);
            (number(line)..=number(other)).collect()
        }
        Tampering::Double { line, behind } => {
            let double = lines[line].clone();
            lines.insert(behind.max(line) + 1, double);
            vec![number(line)]
        }
        Tampering::CutLines { keep } => {
            lines.truncate(keep);
            (number(keep)..=ENTRIES as u64).collect()
        }
        Tampering::CutBytes { bytes } => {
            let last = lines.last_mut().expect("some");
            let keep = last.len().saturating_sub(bytes).max(1);
            last.truncate(keep);
            vec![ENTRIES as u64]
        }
        Tampering::Forge { line } => {
            forge(lines, line);
            vec![number(line), number(line) + 1]
        }
    }
}

/// Changes an entry's words and computes its hash as the program does.
fn forge(lines: &mut [Vec<u8>], line: usize) {
    use sha2::Digest;
    let before = match line {
        0 => "0".repeat(64),
        _ => String::from_utf8_lossy(&lines[line - 1][..64]).into_owned(),
    };
    let old = String::from_utf8(lines[line][65..].to_vec()).expect("text");
    let json = old.trim_end().replace("den Test", "die Revision");
    let digest = sha2::Sha256::digest(format!("{before} {json}").as_bytes());
    let hash: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    lines[line] = format!("{hash} {json}\n").into_bytes();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_done_to_the_trail_is_found_where_it_was_done(how in tampering()) {
        let dir = tempfile::tempdir().expect("a folder");
        written(dir.path(), ENTRIES);
        let sound = audit::verify(dir.path(), None).expect("read");
        prop_assert_eq!((sound.entries, &sound.findings), (ENTRIES as u64, &vec![]));
        let mut lines = lines(dir.path());
        let named = tamper(&mut lines, &how);
        fs::write(file(dir.path()), lines.concat()).expect("written");
        let report = audit::verify(dir.path(), None).expect("read");
        let first = report.findings.first().map(|finding| finding.entry);
        prop_assert!(first.is_some_and(|first| named.contains(&first)), "{how:?}: {named:?}, found {:?}", report.findings);
    }
}

#[test]
fn what_was_done_is_named() {
    for (how, trouble, entry) in [
        (Tampering::Remove { line: 4 }, Trouble::Missing, 5),
        (Tampering::Swap { line: 4, other: 5 }, Trouble::Moved, 5),
        (Tampering::Double { line: 4, behind: 7 }, Trouble::Doubled, 5),
        (Tampering::CutLines { keep: 11 }, Trouble::CutOff, 12),
        (Tampering::CutBytes { bytes: 9 }, Trouble::Torn, 12),
        (Tampering::Forge { line: 4 }, Trouble::Edited, 6),
        // Nothing follows the last entry, but the head beside the trail knows it.
        (Tampering::Forge { line: 11 }, Trouble::Rewritten, 12),
    ] {
        let dir = tempfile::tempdir().expect("a folder");
        written(dir.path(), ENTRIES);
        let mut lines = lines(dir.path());
        tamper(&mut lines, &how);
        fs::write(file(dir.path()), lines.concat()).expect("written");
        let report = audit::verify(dir.path(), None).expect("read");
        let found = report.findings.iter().any(|finding| (finding.trouble, finding.entry) == (trouble, entry));
        assert!(found, "{how:?}: {:?}", report.findings);
    }
}

#[test]
fn a_trail_written_anew_with_its_head_is_found_only_by_a_head_kept_elsewhere() {
    let dir = tempfile::tempdir().expect("a folder");
    let noted = written(dir.path(), ENTRIES);
    fs::remove_dir_all(dir.path().join("audit")).expect("removed");
    written(dir.path(), ENTRIES + 3);
    assert_eq!(audit::verify(dir.path(), None).expect("read").findings, [], "nothing on this machine tells");
    let report = audit::verify(dir.path(), Some(noted)).expect("read");
    assert_eq!(report.findings.len(), 1, "{report:?}");
    assert_eq!((report.findings[0].trouble, report.findings[0].entry), (Trouble::Rewritten, ENTRIES as u64));

    // And an old head put back beside the trail is seen for what it is.
    fs::write(dir.path().join("audit/head"), format!("{}\n", Head::EMPTY)).expect("written");
    let report = audit::verify(dir.path(), None).expect("read");
    assert_eq!(report.findings.iter().map(|it| it.trouble).collect::<Vec<_>>(), [Trouble::HeadLost]);
}

#[test]
fn an_entry_that_a_crash_cut_short_is_no_entry_and_the_next_follows() {
    let dir = tempfile::tempdir().expect("a folder");
    written(dir.path(), 3);
    let mut bytes = fs::read(file(dir.path())).expect("a trail");
    bytes.extend_from_slice(b"5f2b half a li");
    fs::write(file(dir.path()), &bytes).expect("written");
    let trail = Trail::open(dir.path()).expect("opened");
    assert_eq!(trail.append(&Who::program(), Deed::new("line.stop", "x")).expect("written"), 4);
    let report = audit::verify(dir.path(), None).expect("read");
    assert_eq!((report.entries, report.findings.as_slice()), (4, [].as_slice()));
}

#[test]
fn several_writers_make_one_chain() {
    let dir = tempfile::tempdir().expect("a folder");
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let state = dir.path();
            scope.spawn(move || {
                // Each has a trail of its own, as the daemon and a command beside it have.
                let trail = Trail::open(state).expect("a trail");
                for n in 0..10 {
                    trail.append(&Who::program(), Deed::new("label.set", format!("{writer}-{n}"))).expect("written");
                }
            });
        }
    });
    let report = audit::verify(dir.path(), None).expect("read");
    assert_eq!((report.entries, report.findings.as_slice()), (40, [].as_slice()));
}

#[test]
fn the_command_finds_lists_and_hides_names() {
    let dir = tempfile::tempdir().expect("a folder");
    let state = text(dir.path());
    let with_password = |arguments: &[&str]| {
        use std::io::Write;
        let mut child = crate::support::inspectd(&[arguments, &["--state", state]].concat())
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("started");
        child.stdin.take().expect("piped").write_all(b"blue kettle on monday\n").expect("sent");
        words(&child.wait_with_output().expect("it ends"))
    };
    let (code, _, stderr) = with_password(&["users", "add", "Anna.Weber", "--role", "admin"]);
    assert_eq!(code, 0, "{stderr}");
    let (code, _, stderr) = with_password(&["users", "add", "bert", "--reason", "anna.weber asked for it."]);
    assert_eq!(code, 0, "{stderr}");
    let (code, _, stderr) = words(&output(&["users", "remove", "anna.weber", "--state", state]));
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("last admin"), "{stderr}");
    let (code, secret, stderr) = words(&output(&["tokens", "add", "hall-3", "--state", state]));
    assert_eq!(code, 0, "{stderr}");
    assert!(secret.trim().starts_with("inspectd_") && secret.trim().len() > 40, "{secret}");
    let (_, listed, _) = words(&output(&["tokens", "list", "--state", state]));
    assert!(listed.contains("hall-3") && listed.contains("records:read") && !listed.contains(":write"), "{listed}");

    let (code, said, _) = words(&output(&["audit", "verify", "--state", state]));
    assert_eq!(code, 0, "{said}");
    let head = said.trim().rsplit(' ').next().expect("a head").to_owned();
    assert!(head.starts_with("3:"), "{said}");
    let (_, listed, _) = words(&output(&["audit", "list", "--state", state]));
    assert!(listed.contains("user.add") && listed.contains("anna.weber") && listed.lines().count() == 3, "{listed}");

    let export = |more: &[&str]| words(&output(&[&["audit", "export", "--state", state], more].concat())).1;
    let hidden = export(&["--pseudonymise"]);
    assert!(!hidden.to_lowercase().contains("anna") && !hidden.contains("bert"), "{hidden}");
    let entries: Vec<Value> = hidden.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let anna = entries[0]["subject"].as_str().expect("a pseudonym");
    assert!(anna.starts_with("person-"), "{hidden}");
    assert_eq!(entries[1]["reason"], format!("{anna} asked for it."), "the same person is the same");
    assert_eq!(hidden, export(&["--pseudonymise"]), "and stays so");
    assert!(export(&["--format", "csv"]).contains("anna.weber"));
    assert!(!fs::read_to_string(dir.path().join("access/accounts.json")).expect("a file").contains("kettle"));

    let bytes = fs::read_to_string(file(dir.path())).expect("a trail").replacen("bert", "kurt", 1);
    fs::write(file(dir.path()), bytes).expect("written");
    let (code, said, _) = words(&output(&["audit", "verify", "--state", state]));
    assert_eq!(code, 1);
    assert!(said.contains("line 2: entry 2 was edited"), "{said}");
    let (code, said, _) = words(&output(&["audit", "verify", "--json", "--head", &head, "--state", state]));
    assert_eq!(code, 1);
    let report: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((&report["entries"], &report["findings"][0]["entry"]), (&json!(3), &json!(2)));
}
