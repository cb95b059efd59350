//! The HTTP interface, questioned by schemathesis from its own description: whatever is asked, no answer is a failure of the
//! program, and none is missing from the description.

use std::process::Command;

use system_tests::{Program, binary, python_tools};

/// Seconds that the questions may take.
const BUDGET_S: &str = "40";
/// Not judged: whether what contradicts a schema is refused with 4xx, since a query with `limit=` is understood on purpose.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,unsupported_method";

#[test]
fn every_answer_is_in_the_description() {
    let Some(binary) = binary() else { return };
    let Some(python) = python_tools("schemathesis") else { return };
    let state = tempfile::tempdir().expect("a folder");
    let arguments =
        ["demo", "--listen", "127.0.0.1:0", "--rate", "5", "--state", state.path().to_str().expect("a plain path")];
    let program = Program::start(&binary, &arguments);
    let before = program.counts();
    let output = Command::new("python3")
        .arg(python.join("bin/schemathesis"))
        .args(["run", &format!("{}/api/v1/openapi.json", program.url), "--url", &program.url])
        // A stream never ends, so nobody can wait for its end.
        .args(["--exclude-path", "/api/v1/events", "--checks", CHECKS, "--phases", "examples,coverage,fuzzing"])
        .args(["--header", "X-Inspectd: 1", "--max-examples", "15", "--max-time", BUDGET_S, "--seed", "1"])
        .args(["--request-timeout", "20", "--suppress-health-check", "all", "--no-color", "--continue-on-failure"])
        .env("PYTHONPATH", &python)
        .current_dir(state.path())
        .output()
        .expect("python3 starts");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    // It must have asked, not only started.
    assert!(said.contains("Test cases:"), "{said}");
    assert!(program.counts().triggered > before.triggered, "the line goes on meanwhile");
}
