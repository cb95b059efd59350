//! `inspectd top` in a real terminal: util-linux' `script` gives it one and passes keys on.

use std::io::{PipeWriter, Write};
use std::process::Command;

use crate::support::{Program, output, text, tiny_bundle, wait_for, words};

/// A shell in a terminal of 100 x 30 that says how the terminal is set, runs the program, and says both again. Keys go into the pipe.
fn in_a_terminal(before: &str, url: &str) -> (Program, PipeWriter) {
    let program = env!("CARGO_BIN_EXE_inspectd");
    let run = format!(
        "stty cols 100 rows 30; echo before=$(stty -g)=; {before} {program} top --url {url}; \
         echo code=$?=; echo after=$(stty -g)="
    );
    let (reader, keys) = std::io::pipe().expect("a pipe");
    let mut command = Command::new("script");
    command.args(["-q", "-e", "-c", &run, "/dev/null"]).stdin(reader);
    command.env("TERM", "xterm").env("SHELL", "/bin/sh").env_remove("NO_COLOR");
    (Program::spawn_drawing(command), keys)
}

/// What stands between a name and the next `=`.
fn said<'a>(printed: &'a str, name: &str) -> &'a str {
    let rest = printed.split_once(name).unwrap_or_else(|| panic!("no `{name}`: {printed:?}")).1;
    rest.split_once('=').expect("its end").0
}

fn is_given_back(printed: &str) {
    assert_eq!(said(printed, "code="), "0", "{printed:?}");
    assert_eq!(said(printed, "before="), said(printed, "after="), "the terminal is set as it was");
    let (entered, left) = (printed.rfind("\u{1b}[?1049h"), printed.rfind("\u{1b}[?1049l"));
    assert!(entered.is_some() && left > entered, "the screen is the shell's again: {printed:?}");
    assert!(printed.rfind("\u{1b}[?25h") > printed.rfind("\u{1b}[?25l"), "the cursor is seen again: {printed:?}");
}

#[test]
fn it_shows_the_line_and_gives_the_terminal_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let (bundle, state) = (tiny_bundle(folder.path()), folder.path().join("state"));
    let demo = ["demo", "--listen", "127.0.0.1:0", "--rate", "20", "--bundle", text(&bundle), "--state", text(&state)];
    let mut line = Program::start(&demo);
    let url = line.url();

    let (top, mut keys) = in_a_terminal("", &url);
    // Blanks are jumped over, so words stand alone.
    wait_for("the line on the screen", || {
        let printed = top.printed();
        ["RUNNING", "triggered", "Verdicts", "pass", "Machine"].iter().all(|word| printed.contains(word)).then_some(())
    });
    line.signal("KILL");
    wait_for("the line's end on the screen", || top.printed().contains("REACHABLE").then_some(()));
    keys.write_all(b"q").expect("it listens");
    let (_, printed, _) = top.end();
    is_given_back(&printed);
}

#[test]
fn a_signal_gives_the_terminal_back_too() {
    let (top, _keys) = in_a_terminal("timeout --foreground --preserve-status 8", "http://127.0.0.1:9");
    let (_, printed, _) = top.end();
    assert!(printed.contains("REACHABLE"), "{printed:?}");
    is_given_back(&printed);
}

#[test]
fn without_a_terminal_it_names_the_way_out() {
    let (code, _, said) = words(&output(&["top"]));
    assert_eq!(code, 1);
    assert!(said.contains("inspectd status --json"), "{said}");
}
