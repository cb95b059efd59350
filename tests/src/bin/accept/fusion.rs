//! Several views decided together on the simulated line: each part in bright field and in dark field, of which each hides some defects.
//! What the two are worth together, what each is worth to a model of its own, and what is left when a view does not come.

use std::path::Path;

use serde_json::Value;

use super::{Bounds, json_line};

const SEEDS: [&str; 3] = ["1", "2", "3"];
const VIEWS: [&str; 2] = ["bright_field", "dark_field"];
const LEARN: &str = "400";
const MEASURE: &str = "300";
const SIZE: &str = "256";

pub(super) fn run(binary: &Path, bounds: &mut Bounds) {
    println!(
        "\n== fusion: {LEARN} drawn parts to learn from, {MEASURE} others to measure on, {SIZE} px, heads on a frozen trunk"
    );
    println!("balanced accuracy of ten labels, %, and AUROC of good against defective");
    let (mut gains, mut losses) = (Vec::new(), Vec::new());
    for seed in SEEDS {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        let draw = |name: &str, parts: &str, more: &[&str]| {
            let out = at(name);
            let arguments =
                [&["data", "draw", &out, "--parts", parts, "--size", SIZE, "--seed", seed][..], more].concat();
            let status = std::process::Command::new(binary).args(arguments).status().expect("the program starts");
            assert!(status.success(), "inspectd data draw failed ({status})");
        };
        draw("learn", LEARN, &[]);
        draw("measure", MEASURE, &["--to-measure"]);
        let (learn, measure, bundle) = (at("learn"), at("measure"), at("both.bundle"));
        let how = ["--seed", seed, "--priority", "normal", "--no-near", "--json"];
        let views = VIEWS.join(",");
        json_line(binary, &[&["train", "--data", &learn, "--views", &views, "--out", &bundle][..], &how].concat());
        let eval = |more: &[&str]| {
            json_line(binary, &[&["eval", "--bundle", &bundle, "--data", &measure, "--json"], more].concat())
        };
        let both = Figures::of("both views", seed, &eval(&[]));
        let alone = VIEWS.map(|view| {
            let (learn, measure, bundle) =
                (at(&format!("learn/{view}")), at(&format!("measure/{view}")), at("one.bundle"));
            json_line(binary, &[&["train", "--data", &learn, "--epochs", "0", "--out", &bundle][..], &how].concat());
            let said = json_line(binary, &["eval", "--bundle", &bundle, "--data", &measure, "--json"]);
            Figures::of(&format!("{view}, a model of its own"), seed, &said)
        });
        let lacking =
            VIEWS.map(|view| Figures::of(&format!("both, but {view} never came"), seed, &eval(&["--without", view])));
        let best = alone.iter().map(|it| it.labels).fold(f64::MIN, f64::max);
        // Each of the two is missing as often as the other. What remains then is one view, and the best that a model of it can do.
        let missing = lacking.iter().map(|it| it.labels).sum::<f64>() / 2.0;
        let remaining = alone.iter().map(|it| it.labels).sum::<f64>() / 2.0;
        println!(
            "seed {seed}: one view missing at random {missing:.1}, models of the views that remain {remaining:.1}"
        );
        gains.push(both.labels - best);
        losses.push(missing - remaining);
    }
    println!("trivial baseline, one label for all: 10.0, 0.500");
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    bounds.at_least("fusion above the best single view, points of balanced accuracy", mean(&gains), 5.0);
    bounds.at_least("a view missing at random, against models of the view that remains, points", mean(&losses), -2.0);
}

/// What a model is worth on the parts to measure on.
struct Figures {
    /// Balanced accuracy of the labels, %.
    labels: f64,
}

impl Figures {
    fn of(what: &str, seed: &str, report: &Value) -> Figures {
        let number = |name: &str| report[name].as_f64().unwrap_or(f64::NAN);
        let labels = 100.0 * number("balanced_accuracy");
        println!("seed {seed}: {what:<36} {labels:5.1}  {:.3}", number("auroc"));
        Figures { labels }
    }
}
