//! A systemd that runs units for a test: the one of the user who tests, or, for root, one of our own in a mount namespace, where it finds
//! itself on a machine that was booted with systemd. Containers have no other.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use system_tests::wait_for;
use tempfile::TempDir;

/// Where control groups lie, in the layouts that systemd knows.
const HIERARCHIES: [&str; 3] = ["/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"];

/// Makes this machine, as far as the manager sees, one that was booted with systemd; `$@` are the control groups that it lives in.
const ENTER: &str = r#"
for group in "$@"; do echo $$ >"$group/cgroup.procs" || exit 1; done
mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system || exit 1
exec /lib/systemd/systemd --user --log-target=console
"#;

pub(crate) struct Manager {
    /// `XDG_RUNTIME_DIR`: its socket, and units that live as long as it.
    runtime: PathBuf,
    /// One of our own, with what is removed after it.
    own: Option<Own>,
    /// Units that were put before it.
    units: Vec<PathBuf>,
}

struct Own {
    process: Child,
    groups: Vec<PathBuf>,
    _folder: TempDir,
}

impl Manager {
    /// One that answers, or why there is none.
    pub(crate) fn start() -> Result<Manager, String> {
        if let Some(runtime) = std::env::var_os("XDG_RUNTIME_DIR") {
            let manager = Manager { runtime: runtime.into(), own: None, units: Vec::new() };
            if manager.answers() {
                return Ok(manager);
            }
        }
        let (own, runtime) = Own::start()?;
        let mut manager = Manager { runtime, own: Some(own), units: Vec::new() };
        let until = Instant::now() + Duration::from_secs(20);
        while !manager.answers() {
            let ended = manager.own.as_mut().and_then(|own| own.process.try_wait().ok().flatten());
            if let Some(status) = ended {
                return Err(format!("this machine lets no systemd run for a user: it ended with {status}"));
            }
            if Instant::now() > until {
                return Err("a systemd for this user started and does not answer".to_owned());
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(manager)
    }

    fn answers(&self) -> bool {
        let said = self.systemctl(&["is-system-running"]);
        matches!(String::from_utf8_lossy(&said.stdout).trim(), "running" | "degraded")
    }

    /// `systemctl --user`.
    pub(crate) fn systemctl(&self, arguments: &[&str]) -> Output {
        let mut command = match &self.own {
            Some(own) => {
                let mut command = Command::new("nsenter");
                command.args(["--mount", "--target", &own.process.id().to_string(), "systemctl"]);
                command
            }
            None => Command::new("systemctl"),
        };
        command.arg("--user").args(arguments).env("XDG_RUNTIME_DIR", &self.runtime);
        // Who has neither is told the same as who has no manager.
        command.output().unwrap_or_else(|why| Output {
            status: std::os::unix::process::ExitStatusExt::from_raw(1 << 8),
            stdout: Vec::new(),
            stderr: why.to_string().into_bytes(),
        })
    }

    /// The same where it must work.
    pub(crate) fn does(&self, arguments: &[&str]) {
        let said = self.systemctl(arguments);
        assert!(said.status.success(), "systemctl {arguments:?}: {}", String::from_utf8_lossy(&said.stderr));
    }

    /// Puts a unit before it.
    pub(crate) fn add(&mut self, name: &str, text: &str) {
        let folder = self.runtime.join("systemd/user");
        fs::create_dir_all(&folder).expect("made");
        let path = folder.join(name);
        fs::write(&path, text).expect("written");
        self.units.push(path);
        self.does(&["daemon-reload"]);
    }

    /// What it says of a unit.
    pub(crate) fn says(&self, unit: &str, property: &str) -> String {
        let said = self.systemctl(&["show", "--value", "--property", property, unit]);
        String::from_utf8_lossy(&said.stdout).trim().to_owned()
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        for unit in &self.units {
            let name = unit.file_name().and_then(|name| name.to_str()).expect("text");
            // It may have ended already, or hang: it is killed then, and not waited for.
            self.systemctl(&["kill", "--signal=KILL", name]);
            self.systemctl(&["stop", name]);
            let _gone_already = fs::remove_file(unit);
        }
        let Some(own) = &mut self.own else {
            self.systemctl(&["daemon-reload"]);
            return;
        };
        let asked = Command::new("kill").args(["-TERM", &own.process.id().to_string()]).status();
        if asked.is_ok_and(|status| status.success()) {
            wait_for("the manager's end", || own.process.try_wait().expect("a child can be asked"));
        }
        own.groups.iter().for_each(|group| remove(group));
    }
}

impl Own {
    fn start() -> Result<(Own, PathBuf), String> {
        let folder = tempfile::tempdir().expect("a folder");
        let runtime = folder.path().join("run");
        fs::create_dir(&runtime).expect("made");
        let name = format!("inspectd-test-{}", std::process::id());
        let groups: Vec<PathBuf> = HIERARCHIES
            .iter()
            .filter(|hierarchy| Path::new(hierarchy).join("cgroup.procs").exists())
            .map(|hierarchy| Path::new(hierarchy).join(&name))
            .collect();
        for group in &groups {
            fs::create_dir(group)
                .map_err(|why| format!("no control group `{}` can be made: {why}", group.display()))?;
        }
        if groups.is_empty() {
            return Err("there are no control groups here".to_owned());
        }
        let process = Command::new("unshare")
            .args(["--mount", "sh", "-c", ENTER, "sh"])
            .args(&groups)
            .env("XDG_RUNTIME_DIR", &runtime)
            .env("XDG_CONFIG_HOME", folder.path())
            .env("XDG_DATA_HOME", folder.path())
            .env_remove("DBUS_SESSION_BUS_ADDRESS")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|why| format!("`unshare` cannot be run: {why}"))?;
        Ok((Own { process, groups, _folder: folder }, runtime))
    }
}

/// Removes a control group with those below it.
fn remove(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path());
        }
    }
    let _in_use_or_gone = fs::remove_dir(group);
}
