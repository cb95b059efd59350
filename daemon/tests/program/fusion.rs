//! Several views of one part decided together, through the whole program: parts drawn under two lights, learned from, measured, and
//! inspected on a line of two cameras.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{Program, inspectd, json, text, wait_for};

/// One JSON line of a run that must succeed.
fn result(arguments: &[&str], dir: &Path) -> Value {
    let output = inspectd(arguments).current_dir(dir).output().expect("the program starts");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
}

/// Standard error of a run that must be refused.
fn refusal(arguments: &[&str], dir: &Path) -> String {
    let output = inspectd(arguments).current_dir(dir).output().expect("the program starts");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && !text.contains("panicked"), "{arguments:?}: {text}");
    text
}

/// Mean share of each label's parts that are told right. Always the same label: 0.1.
fn balanced(report: &Value) -> f64 {
    report["balanced_accuracy"].as_f64().unwrap_or_else(|| panic!("no figure in {report}"))
}

#[test]
fn fusion_from_drawn_parts_to_the_record() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path();
    result(&["data", "draw", "learn", "--parts", "270", "--size", "128"], dir);
    result(&["data", "draw", "measure", "--parts", "180", "--size", "128", "--to-measure"], dir);
    let quick = ["--priority", "normal", "--no-near", "--json"];
    let train = ["train", "--data", "learn", "--views", "bright_field,dark_field", "--out", "both.bundle"];
    let trained = result(&[&train[..], &quick].concat(), dir);
    let command = trained["provenance"]["command"].as_str().expect("a command");
    assert!(command.contains("--data learn --views bright_field,dark_field"), "{command}");

    let eval = |more: &[&str]| result(&[&["eval", "--json"], more].concat(), dir);
    let both = ["--bundle", "both.bundle", "--data", "measure"];
    let all = balanced(&eval(&both));
    let lacking =
        ["dark_field", "bright_field"].map(|view| balanced(&eval(&[&both[..], &["--without", view]].concat())));
    let single = ["bright_field", "dark_field"].map(|view| {
        let [learn, measure] = ["learn", "measure"].map(|side| format!("{side}/{view}"));
        result(&[&["train", "--data", &learn, "--epochs", "0", "--out", "one.bundle"][..], &quick].concat(), dir);
        balanced(&eval(&["--bundle", "one.bundle", "--data", &measure]))
    });
    let (best, mean) = (single[0].max(single[1]), (lacking[0] + lacking[1]) / 2.0);
    // The full figures are those of `accept fusion`; of so few parts only that each view has its share in it.
    assert!(all > best, "both {all}, single {single:?}, lacking one {lacking:?}");
    assert!(mean > 0.2 && mean < all, "both {all}, lacking one {lacking:?}");

    let said = refusal(&["eval", "--bundle", "both.bundle", "--data", "measure", "--without", "infrared"], dir);
    assert!(said.contains("the model sees bright_field, dark_field"), "{said}");
    let said = refusal(&["train", "--data", "learn", "--views", "bright_field,infrared", "--out", "x.bundle"], dir);
    assert!(said.contains("view `infrared` has no folder"), "{said}");
    let said = refusal(&["data", "draw", "learn"], dir);
    assert!(said.contains("is not empty"), "{said}");
    on_a_line(dir);
}

/// Two cameras of the simulated line, each under its light.
fn on_a_line(dir: &Path) {
    let recipe = "name = \"disc\"\nversion = 1\nbundle = \"both.bundle\"\ndeadline_ms = 20000\n[quality]\nmin_deviation = 0.5\n[[regions]]\nname = \"part\"\n\
                  views = [\"bright_field\", \"dark_field\"]\n";
    fs::write(dir.join("recipe.toml"), recipe).expect("written");
    let camera = |light: &str| {
        format!(
            "[[source.views]]\nname = \"{light}\"\nsource = {{ kind = \"synthetic\", light = \"{light}\", size = 128, parts = 30, \
             defect_rate = 0.6, bad_frame_rate = 0.0 }}\n"
        )
    };
    let config = format!(
        "format = 1\n[line]\nname = \"discs\"\nrecipe = \"recipe.toml\"\n[store]\ndir = \"state\"\n[api]\nlisten = \"127.0.0.1:0\"\n\
         [access]\nmode = \"open\"\n[source]\nkind = \"views\"\n{}{}",
        camera("bright_field"),
        camera("dark_field")
    );
    fs::write(dir.join("line.toml"), config).expect("written");
    let mut program = Program::start(&["run", "--config", text(&dir.join("line.toml"))]);
    let url = program.url_of_a_short_line();
    wait_for("thirty parts on record", || {
        (json(&format!("{url}/api/v1/line"))["store"]["acknowledged"] == 30).then_some(())
    });
    let parts = json(&format!("{url}/api/v1/inspections?limit=50"));
    let parts = parts["items"].as_array().expect("a list");
    let decided: Vec<&Value> = parts.iter().filter(|part| part["verdict"] != "no_decision").collect();
    assert!(decided.len() >= 25, "{parts:?}");
    for part in decided {
        let weights = part["regions"][0]["weights"].as_array().expect("weights");
        let sum: f64 = weights.iter().filter_map(|it| it["weight"].as_f64()).sum();
        assert!(weights.len() == 2 && (sum - 1.0).abs() < 1e-3, "{part}");
        // The heaviest stands first, and its picture is the one that the verdict rests on.
        let view = weights[0]["view"].as_str().expect("a name");
        let place =
            part["views"].as_array().and_then(|views| views.iter().find(|it| it["name"] == view)).expect("a place");
        assert_eq!(part["regions"][0]["tile"], place["area"]);
    }
    program.signal("TERM");
    let (status, _, err) = program.end();
    assert!(status.success(), "{err}");
}
