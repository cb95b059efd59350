//! A line of its own configuration, whose state lies where the test wants it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use system_tests::{Program, wait_for};

/// Writes configuration and recipe into `folder`; gives the configuration. `more`: further lines of it.
pub(crate) fn configured(folder: &Path, state: &Path, more: &str) -> PathBuf {
    let bundle = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/weights/default.bundle");
    let recipe = format!(
        "name = \"faults\"\nversion = 1\nbundle = {bundle:?}\ndeadline_ms = 5000\n[identity]\nfrom = \"counted\"\nprefix = \"F-\"\n"
    );
    fs::write(folder.join("recipe.toml"), recipe).expect("written");
    let config = format!(
        "format = 1\n[line]\nname = \"faults\"\nrecipe = \"recipe.toml\"\n[line.limits]\nhang_ms = 20000\n[access]\nmode = \"open\"\n\
         [api]\nlisten = \"127.0.0.1:0\"\n[source]\nkind = \"synthetic\"\nseed = 12\nrate = 20.0\ndefect_rate = 0.5\n[store]\ndir = {state:?}\n{more}"
    );
    let path = folder.join("line.toml");
    fs::write(&path, config).expect("written");
    path
}

/// The command that runs it.
pub(crate) fn run(mut command: Command, config: &Path) -> Command {
    command.args(["run", "--config"]).arg(config);
    command
}

/// The line's state, and why.
pub(crate) fn state(program: &Program) -> (String, String) {
    let line = program.get("/api/v1/line");
    let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
    (text("state"), text("state_reason"))
}

/// Waits until so many more parts are acknowledged.
pub(crate) fn more(what: &str, count: impl Fn() -> usize, by: usize) {
    let before = count();
    wait_for(what, || (count() >= before + by).then_some(()));
}
