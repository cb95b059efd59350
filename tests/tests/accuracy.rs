//! The shipped model on a line that it never saw, in short; `make accept` runs the long form.

use std::process::Command;

use serde_json::Value;
use system_tests::{Counts, binary};

#[test]
fn the_shipped_model_sees_the_visible_defects_and_refuses_the_bad_frames() {
    let Some(binary) = binary() else { return };
    let arguments =
        ["--parts", "240", "--defect-rate", "0.5", "--bad-frame-rate", "0.05", "--rate", "max", "--seed", "77"];
    let output =
        Command::new(binary).arg("demo").args(arguments).args(["--no-serve", "--json"]).output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}\n{text}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_str(text.lines().last().expect("a line")).expect("JSON");
    println!("{report}");

    let counts = Counts::of(&report);
    assert_eq!((counts.triggered, counts.in_flight), (240, 0));
    let number = |name: &str| report[name].as_f64().unwrap_or_else(|| panic!("no number `{name}` in {report}"));
    assert_eq!(counts.no_decision as f64, number("bad_frames"), "bad frames, and no others, get no decision");
    assert!(number("bad_frames") >= 3.0, "too few bad frames to say anything");
    assert!(number("defective") >= 80.0 && number("good") >= 80.0, "too few parts of a kind to say anything");
    // A model that passes or fails everything misses one of the first two by far. The bounds leave room for two parts.
    assert!(number("escapes_percent_from_cnr_3") <= 4.0);
    assert!(number("overkill_percent") <= 3.0);
    assert!(number("review_percent") <= 5.0);
    assert!(number("label_accuracy") >= 0.90);
}
