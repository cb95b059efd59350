//! Boxes that teach the heat map, beside image labels alone.

use std::path::Path;

use serde_json::Value;

use crate::Bounds;
use crate::good::example;

/// Drawn parts, the head alone and then all layers, from the ImageNet trunk, which has never seen a drawn surface.
pub(crate) fn run(binary: &Path, trunk: &Path, bounds: &mut Bounds) {
    println!("\n== boxes that teach the heat map: drawn windows, pointing at the defect's pixels");
    let trunk = trunk.to_string_lossy();
    for (name, length) in [("head", ["--epochs", "0"]), ("all layers", ["--steps", "200"])] {
        let arguments = [&["400", "1", "--trunk", &trunk][..], &length].concat();
        let Some(report) = example(binary, "teach_boxes", &arguments) else {
            return println!("SKIPPED: teach-boxes (no example `teach_boxes` beside the program)");
        };
        println!("{name}: {}", report.trim());
        let report: Value = serde_json::from_str(&report).unwrap_or_default();
        let pointing = |which: &str| 100.0 * report[which]["pointing"].as_f64().unwrap_or(f64::NAN);
        let gain = pointing("boxes") - pointing("image_labels");
        bounds.above(&format!("{name}: boxes above image labels, points"), gain, 0.0);
    }
}
