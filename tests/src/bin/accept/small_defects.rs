//! Defects no larger than a cell: what pooling does to them.

use std::path::{Path, PathBuf};

use super::{Bounds, json_line};

/// The same frozen trunk and parts, two heads: recall of the smooth maximum against that of the mean, at equal overkill.
pub(super) fn run(binary: &Path, bounds: &mut Bounds) {
    println!("\n== defects in a box of 32 x 32 of 512 x 512 pixels, CNR >= 3, two heads that differ in pooling");
    let Some((example, trunk)) = example(binary).zip(trunk()) else { return };
    let report = json_line(&example, &[&trunk.to_string_lossy()]);
    println!("{report}");
    let number = |name: &str| report[name].as_f64().unwrap_or(f64::NAN);
    bounds.at_least("one-cell defects: recall with the smooth maximum over recall with the mean", number("ratio"), 2.0);
}

/// The example that measures it: it teaches heads, which the program alone does not offer.
fn example(binary: &Path) -> Option<PathBuf> {
    let example = binary.with_file_name("examples").join("small_defects");
    let there = example.exists();
    if !there {
        println!(
            "SKIPPED: small-defects (`{}` is not built: cargo build --workspace --all-targets)",
            example.display()
        );
    }
    there.then_some(example)
}

/// ImageNet's trunk where there is one: the shipped one learned with the smooth maximum, which would favour it.
fn trunk() -> Option<PathBuf> {
    let Some(data) = system_tests::data() else {
        println!("SKIPPED: small-defects (INSPECTD_DATA is not set, and with it no ImageNet trunk)");
        return None;
    };
    let trunk = data.join("../weights/mobilenet_v3_small_imagenet_features.onnx");
    let there = trunk.exists();
    if !there {
        println!("SKIPPED: small-defects (`{}` is not there)", trunk.display());
    }
    there.then_some(trunk)
}
