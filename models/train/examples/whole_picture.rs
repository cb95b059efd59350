//! The trivial way to find anomalies, to print beside a memory of good parts: distance of a picture's average features to the nearest
//! good part's. `cargo run -p models-train --example whole_picture -- TRAIN_GOOD TEST [TRUNK]`; TEST holds a folder `good` and others,
//! whose parts count as defective. Prints the AUROC.

#![allow(clippy::print_stdout)] // a tool for the terminal

use std::path::{Path, PathBuf};

use models::preprocess::Preprocess;
use models::weights::load_trunk;
use models_train::good::{Parts, whole_picture_auroc};

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../weights/default.bundle");

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [learn, test, trunk @ ..] = args.as_slice() else {
        return Err("usage: whole_picture TRAIN_GOOD TEST [TRUNK]".into());
    };
    let weights = load_trunk(trunk.first().map_or(Path::new(SHIPPED), PathBuf::as_path))?;
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(test)? {
        let entry = entry?;
        let side = if entry.file_name() == "good" { &mut good } else { &mut bad };
        side.push(Parts::list(&entry.path())?);
    }
    let auroc = whole_picture_auroc(&Parts::open(learn)?, &weights, &Preprocess::imagenet(512), [&good, &bad])?;
    println!("{auroc:.4}");
    Ok(())
}
