//! What ships inside the program: a model and the recipe of the synthetic line.

use anyhow::{Context, bail};
use models::bundle::Bundle;

/// The recipe of `inspectd demo`.
pub const DEMO_RECIPE: &str = include_str!("demo.toml");

/// The model, if one was there when the program was built.
const BUNDLE: Option<&[u8]> = include!(concat!(env!("OUT_DIR"), "/shipped.rs"));

/// The model that recipes without a `bundle` use.
///
/// # Errors
/// The program was built without one.
pub fn shipped_bundle() -> anyhow::Result<Bundle> {
    Bundle::from_bytes(shipped_bytes()?).context("the model inside the program")
}

/// The bytes of that model's file.
///
/// # Errors
/// As [`shipped_bundle`].
pub fn shipped_bytes() -> anyhow::Result<&'static [u8]> {
    match BUNDLE {
        Some(bytes) => Ok(bytes),
        None => bail!(
            "this program was built without a model: put one at models/weights/default.bundle (`make model`) and build \
             again, or name one (`bundle` in the recipe, `--bundle` on the command line)"
        ),
    }
}
