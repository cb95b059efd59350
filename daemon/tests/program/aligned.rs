//! Parts at any angle: learned, measured and inspected through the recipe that aligns them.

use std::path::Path;

use models::image::encode_png;
use serde_json::Value;
use stages::capture::synthetic::pin;

use crate::support::output;

const RECIPE: &str = "name = \"pin\"\nversion = 1\ndeadline_ms = 1000\nquality = { size = [320, 320] }\n\
                      [align]\nmethod = \"outline\"\nsize = [208, 80]\n";

fn pins(folder: &Path, numbers: std::ops::Range<u64>, cnr: Option<f64>) {
    std::fs::create_dir_all(folder).expect("a folder");
    for number in numbers {
        let picture = pin::draw(5, number, cnr);
        std::fs::write(folder.join(format!("{number:03}.png")), encode_png(picture.view()).expect("PNG"))
            .expect("a file");
    }
}

fn json(arguments: &[&str]) -> Value {
    let output = output(arguments);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(text.lines().last().unwrap_or_default()).expect("one JSON line")
}

#[test]
fn small_spots_on_pins_at_any_angle_are_found_once_they_are_aligned() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    pins(&folder.path().join("good"), 0..40, None);
    pins(&folder.path().join("test/good"), 40..60, None);
    pins(&folder.path().join("test/spot"), 60..90, Some(4.0));
    std::fs::write(path("pin.toml"), RECIPE).expect("a recipe");
    // What has no part on it is left out of both.
    let empty = models::image::Image {
        width: 320,
        height: 320,
        format: models::image::PixelFormat::Mono8,
        data: vec![90; 320 * 320],
    };
    std::fs::write(path("good/empty.png"), encode_png(empty.view()).expect("PNG")).expect("a file");

    let mut areas = Vec::new();
    for recipe in [None, Some(path("pin.toml"))] {
        if recipe.is_none() {
            std::fs::rename(path("good/empty.png"), path("empty.png")).expect("moved away");
        } else {
            std::fs::rename(path("empty.png"), path("good/empty.png")).expect("moved back");
        }
        let given: Vec<&str> = recipe.iter().flat_map(|recipe| ["--recipe", recipe]).collect();
        let (good, test, bundle) = (path("good"), path("test"), path("pin.bundle"));
        let learn = ["train", "--good", &good, "--out", &bundle, "--json", "--priority", "normal"];
        let learned = json(&[&learn[..], &given].concat());
        assert_eq!(learned["report"]["parts"], 40, "{}", learned["report"]["parts"]);
        assert_eq!(learned["provenance"]["preparation"].as_str().is_some(), recipe.is_some());
        let eval = ["eval", "--bundle", &bundle, "--data", &test, "--good-label", "good", "--json"];
        areas.push(json(&[&eval[..], &given].concat())["auroc"].as_f64().expect("a number"));
    }
    assert!(areas[1] >= 0.95 && areas[0] < areas[1], "AUROC not aligned and aligned: {areas:?}");

    // The line's own stages, with the same recipe.
    let inspect = |file: &str| {
        output(&["inspect", "--recipe", &path("pin.toml"), "--bundle", &path("pin.bundle"), "--json", &path(file)])
    };
    let text = |output: &std::process::Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let refused = inspect("good/empty.png");
    assert_eq!(refused.status.code(), Some(3), "{}", text(&refused));
    let said: Value = serde_json::from_str(text(&refused).trim()).expect("one JSON line");
    assert_eq!(said["cause"], "blank");
    let plain = "name = \"pin\"\nversion = 1\ndeadline_ms = 1000\nquality = { min_deviation = 0.0 }\n";
    std::fs::write(path("pin.toml"), RECIPE.replace("size = [320, 320]", "min_deviation = 0.0")).expect("a recipe");
    let said: Value = serde_json::from_str(text(&inspect("good/empty.png")).trim()).expect("one JSON line");
    assert_eq!(said["cause"], "not_aligned", "{said}");
    assert!(said["detail"].as_str().is_some_and(|words| words.contains("stands out from the background")), "{said}");

    // A recipe that does not prepare as the model learned is warned of.
    std::fs::write(path("pin.toml"), plain).expect("a recipe");
    let warned = inspect("test/good");
    assert!(String::from_utf8_lossy(&warned.stderr).contains("learned from pictures prepared by"), "{warned:?}");
}
