//! What the program embeds: the dashboard, if it was built, and the model and the retriever that ship with it, if they were made.
//! All may be missing, so that a bare `cargo build` works; the program then says so where it needs them.

use std::path::Path;
use std::{env, fs, io};

const DASHBOARD: &str = "../web-ui/dist";
const MODELS: &str = "../models/weights";

fn main() -> io::Result<()> {
    // The folder must be there for the embedding; without a page in it a placeholder is served.
    fs::create_dir_all(DASHBOARD)?;
    println!("cargo:rerun-if-changed={DASHBOARD}");

    // A path that is missing would make every build start anew, so the folder is watched.
    let watched = if Path::new(MODELS).exists() { MODELS } else { "build.rs" };
    println!("cargo:rerun-if-changed={watched}");
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("OUT_DIR is set by cargo"))?;
    for (name, source) in [("default.bundle", "shipped.rs"), ("retriever.safetensors", "retriever.rs")] {
        let bytes = match fs::canonicalize(Path::new(MODELS).join(name)) {
            Ok(path) => format!("Some(include_bytes!({path:?}))"),
            Err(_) => "None".to_owned(),
        };
        fs::write(Path::new(&out).join(source), bytes)?;
    }
    Ok(())
}
