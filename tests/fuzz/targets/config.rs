//! Configurations and recipes as people write them: refused in words, or accepted; never a panic.
#![no_main]

use std::path::Path;

use inspectd::config::{Config, parse_recipe};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let path = Path::new("fuzzed.toml");
    if let Err(error) = Config::parse(path, text) {
        assert!(error.to_string().contains("fuzzed.toml"));
    }
    match parse_recipe(path, text) {
        Ok(recipe) => assert!(recipe.problems().is_empty(), "{:?}", recipe.problems()),
        Err(error) => assert!(error.to_string().contains("fuzzed.toml")),
    }
});
