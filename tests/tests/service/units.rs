//! The units as systemd reads and scores them, and what a clean machine makes of the package's other files.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Exposure that a line may have, in tenths; lower is better.
const LINE: u32 = 20;
/// A training or a backup needs neither network nor devices.
const BESIDE: u32 = 8;

/// What a unit can be here.
const KINDS: [&str; 4] = [".service", ".path", ".timer", ".slice"];

/// Keys that would take from a line what it works with, each with what would be gone.
const NOT_FOR_A_LINE: [(&str, &str); 8] = [
    ("MemoryDenyWriteExecute", "GPU drivers compile kernels at run time"),
    ("PrivateDevices", "cameras, graphics cards and GPIO chips are devices"),
    ("PrivateNetwork", "GigE cameras and PLCs are on the network"),
    ("PrivateUsers", "groups of devices would be nobody's"),
    ("RestrictRealtime", "`line.limits.realtime_priority`"),
    ("IPAddressDeny", "cameras, PLCs and browsers have addresses of the plant"),
    ("RootDirectory", "the graphics driver's libraries are the machine's"),
    ("DynamicUser", "the state belongs to one user over years"),
];

pub(crate) fn systemd_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").join("systemd")
}

fn read(name: &str) -> String {
    fs::read_to_string(systemd_folder().join(name)).expect(name)
}

/// Names of all units of a kind, as they are or as instances.
fn units(kinds: &[&str]) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(systemd_folder())
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
        .filter(|name| kinds.iter().any(|kind| name.ends_with(kind)))
        .map(|name| name.replace("@.", "@left."))
        .collect();
    names.sort();
    assert!(!names.is_empty());
    names
}

/// Has a tool of systemd been run? Without it the test is skipped, except in CI.
pub(crate) fn said_by(tool: &str, arguments: &[&str]) -> Option<(bool, String, String)> {
    let Ok(output) = Command::new(tool).args(arguments).env("LC_ALL", "C.UTF-8").output() else {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{tool} is not here, but CI must run this test");
        eprintln!("SKIPPED: there is no {tool} here");
        return None;
    };
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    Some((output.status.success(), text(output.stdout), text(output.stderr)))
}

/// A root folder in which nothing is missing that the units name, so that every word of `verify` is about the units themselves.
fn root() -> TempDir {
    let root = tempfile::tempdir().expect("a folder");
    let at = |path: &str| {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        path
    };
    for program in ["usr/bin/inspectd", "bin/kill"] {
        fs::write(at(program), "#!/bin/sh\n").expect("written");
        fs::set_permissions(at(program), fs::Permissions::from_mode(0o755)).expect("executable");
    }
    for entry in fs::read_dir(systemd_folder()).expect("the folder").map(|entry| entry.expect("an entry")) {
        let name = entry.file_name().into_string().expect("text");
        if KINDS.iter().any(|kind| name.ends_with(kind)) {
            fs::copy(entry.path(), at(&format!("etc/systemd/system/{name}"))).expect("copied");
        }
    }
    for target in ["sysinit", "basic", "shutdown", "multi-user", "network-online", "time-sync", "paths", "timers"] {
        let path = at(&format!("usr/lib/systemd/system/{target}.target"));
        fs::write(path, format!("[Unit]\nDescription={target}\nDefaultDependencies=no\n")).expect("written");
    }
    root
}

/// What `systemd-analyze verify` says of all units in a root folder.
fn verify(root: &Path) -> Option<(bool, String)> {
    let root = format!("--root={}", root.display());
    let names = units(&KINDS);
    let arguments: Vec<&str> =
        ["verify", "--man=no", &root].into_iter().chain(names.iter().map(String::as_str)).collect();
    let (fine, stdout, stderr) = said_by("systemd-analyze", &arguments)?;
    Some((fine, stdout + &stderr))
}

#[test]
fn every_key_is_one_that_systemd_knows() {
    let root = root();
    // It ends well even if it does not know a key, so every word counts.
    let Some(said) = verify(root.path()) else { return };
    assert_eq!(said, (true, String::new()));

    // And it would have had a word for each of these.
    let unit = root.path().join("etc/systemd/system/inspectd@.service");
    let sound = fs::read_to_string(&unit).expect("the unit");
    for (right, wrong) in
        [("ProtectClock=", "ProtectClocks="), ("UMask=0027", "UMask=rwx"), ("TasksMax=512", "TasksMax=x")]
    {
        assert!(sound.contains(right));
        fs::write(&unit, sound.replace(right, wrong)).expect("written");
        let (_, words) = verify(root.path()).expect("it was here a moment ago");
        assert!(words.contains("inspectd@.service"), "nothing is said of {wrong}");
    }
}

#[test]
fn every_service_is_confined() {
    for name in units(&[".service"]) {
        let most = if name.contains("training") || name.contains("backup") { BESIDE } else { LINE };
        let unit = systemd_folder().join(name.replace("@left.", "@."));
        let threshold = format!("--threshold={most}");
        let arguments = ["security", "--offline=true", "--no-pager", &threshold, unit.to_str().expect("text")];
        let Some((fine, stdout, stderr)) = said_by("systemd-analyze", &arguments) else { return };
        let overall = stdout.lines().find_map(|line| line.split("exposure level for ").nth(1)).expect("a score");
        let score = overall.split(": ").nth(1).and_then(|it| it.split(' ').next()).expect("a score");
        let score: f64 = score.parse().expect("a number");
        assert!(fine && stderr.is_empty() && score <= f64::from(most) / 10.0, "{name}: {score}\n{stdout}{stderr}");
    }
}

#[test]
fn a_line_has_what_it_works_with() {
    for name in ["inspectd.service", "inspectd@.service"] {
        let unit = read(name);
        let settings: Vec<(&str, &str)> = unit.lines().filter_map(|line| line.split_once('=')).collect();
        let has = |key: &str, value: &str| settings.contains(&(key, value));
        for (key, gone) in NOT_FOR_A_LINE {
            let set = settings.iter().any(|(it, _)| *it == key);
            assert!(!set, "{name} sets {key}: {gone}");
        }
        assert!(has("ProcSubset", "all"), "the NVIDIA driver reads /proc/driver");
        for group in ["nvidia", "nvidia-frontend", "nvidia-uvm", "nvidia-caps", "nvidiactl"] {
            assert!(has("DeviceAllow", &format!("char-{group} rw")), "{name}: a card without {group}");
        }
        for group in ["video4linux", "usb_device", "gpiochip"] {
            assert!(has("DeviceAllow", &format!("char-{group} rw")), "{name}: no {group}");
        }
        let families = settings.iter().find(|(key, _)| *key == "RestrictAddressFamilies").expect("set").1;
        for family in ["AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK"] {
            assert!(families.split(' ').any(|it| it == family), "{name}: no {family}");
        }
        assert!(settings.iter().any(|(key, value)| *key == "LimitRTPRIO" && value.parse::<u32>().unwrap() >= 20));
        let allowed: BTreeSet<&str> = settings
            .iter()
            .filter(|(key, value)| *key == "SystemCallFilter" && !value.starts_with('~'))
            .flat_map(|(_, value)| value.split(' '))
            .collect();
        assert!(allowed.contains("sched_setscheduler"), "{name}: no real-time priority");
    }
}

#[test]
fn trainings_backups_and_archives_come_last_and_end_first() {
    let beside = units(&[".service"]).into_iter().map(|name| name.replace("@left.", "@."));
    for name in beside.filter(|name| ["training", "backup", "archive"].iter().any(|what| name.contains(what))) {
        let name = name.as_str();
        let unit = read(name);
        for line in ["CPUSchedulingPolicy=idle", "CPUWeight=idle", "IOSchedulingClass=idle", "MemorySwapMax=0"] {
            assert!(unit.lines().any(|it| it == line), "{name}: no {line}");
        }
        assert!(unit.lines().any(|it| it.starts_with("MemoryMax=")), "{name} has no ceiling");
    }
    for name in units(&[".service"]) {
        let unit = read(&name.replace("@left.", "@."));
        assert!(unit.lines().any(|it| it == "Slice=inspectd.slice"), "{name} is in another slice");
    }
}

#[test]
fn templates_say_what_the_single_line_says() {
    let lines = |name: &str| -> Vec<String> {
        let worth = |line: &&str| !line.starts_with('#') && !line.is_empty() && !line.starts_with("Description=");
        read(name).lines().filter(worth).map(str::to_owned).collect()
    };
    for name in [
        "inspectd.service",
        "inspectd-training.service",
        "inspectd-training.path",
        "inspectd-backup.service",
        "inspectd-backup.timer",
        "inspectd-archive.service",
        "inspectd-archive.timer",
    ] {
        let several = lines(&name.replace('.', "@."));
        let one: Vec<String> = several
            .iter()
            .map(|line| match line.as_str() {
                line if line.starts_with("ExecStart=") => line.replace("%i.toml", "inspectd.toml").replace("/%i", ""),
                line => line.replace("@%i", "").replace("/%i", ""),
            })
            .collect();
        assert_eq!(lines(name), one, "{name}");
        assert_ne!(several, one, "{name}: nothing of it is the line's own");
    }
}

#[test]
fn user_and_folders_are_made_on_a_clean_machine() {
    let root = tempfile::tempdir().expect("a folder");
    let mine = fs::metadata(root.path()).expect("it is there").uid();
    if mine != 0 {
        eprintln!("SKIPPED: only root makes users and gives folders to them");
        return;
    }
    for (file, folder) in [("inspectd.sysusers", "sysusers.d"), ("inspectd.tmpfiles", "tmpfiles.d")] {
        let folder = root.path().join("usr/lib").join(folder);
        fs::create_dir_all(&folder).expect("made");
        fs::copy(systemd_folder().join("package").join(file), folder.join("inspectd.conf")).expect("copied");
    }
    fs::create_dir_all(root.path().join("etc/inspectd")).expect("made");
    let at = format!("--root={}", root.path().display());
    let Some((made, _, words)) = said_by("systemd-sysusers", &[&at, "inspectd.conf"]) else { return };
    assert!(made, "{words}");
    let Some((made, _, words)) = said_by("systemd-tmpfiles", &[&at, "--create", "inspectd.conf"]) else { return };
    assert!(made && words.is_empty(), "{words}");

    let passwd = fs::read_to_string(root.path().join("etc/passwd")).expect("users");
    let user: Vec<&str> = passwd.lines().find(|line| line.starts_with("inspectd:")).expect("ours").split(':').collect();
    assert_eq!(user[6], "/usr/sbin/nologin");
    let groups = fs::read_to_string(root.path().join("etc/group")).expect("groups");
    assert!(groups.lines().any(|line| line.starts_with("video:") && line.ends_with("inspectd")), "{groups}");
    for (folder, owner) in [("etc/inspectd", "0"), ("var/lib/inspectd", user[2]), ("var/cache/inspectd", user[2])] {
        let meta = fs::metadata(root.path().join(folder)).expect(folder);
        assert_eq!((meta.uid().to_string().as_str(), meta.mode() & 0o7777), (owner, 0o750), "{folder}");
        assert_eq!(meta.gid().to_string(), user[3], "{folder}");
    }
    // The units speak of the same user.
    for name in units(&[".service"]) {
        assert!(read(&name.replace("@left.", "@.")).lines().any(|line| line == "User=inspectd"), "{name}");
    }
}
