//! What the program embeds: the dashboard, if it was built, and the model that ships with it, if it was made.
//! Both may be missing, so that a bare `cargo build` works; the program then says so where it needs them.

use std::path::Path;
use std::{env, fs, io};

const DASHBOARD: &str = "../web-ui/dist";
const MODELS: &str = "../models/weights";
const MODEL: &str = "../models/weights/default.bundle";

fn main() -> io::Result<()> {
    // The folder must be there for the embedding; without a page in it a placeholder is served.
    fs::create_dir_all(DASHBOARD)?;
    println!("cargo:rerun-if-changed={DASHBOARD}");

    // A path that is missing would make every build start anew, so the folder is watched.
    let watched = if Path::new(MODELS).exists() { MODELS } else { "build.rs" };
    println!("cargo:rerun-if-changed={watched}");
    let model = match fs::canonicalize(MODEL) {
        Ok(path) => format!("Some(include_bytes!({path:?}))"),
        Err(_) => "None".to_owned(),
    };
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("OUT_DIR is set by cargo"))?;
    fs::write(Path::new(&out).join("shipped.rs"), model)
}
