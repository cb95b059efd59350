//! A bundle that has given its own scores here. There is no other way to a network that inspects.

use std::path::Path;

use anyhow::{Context, bail};
use models::bundle::{Bundle, BundleError};
use models::precision::Precision;
use models::reproduce::{self, Difference};

use crate::network::{self, Network};

/// See the module.
pub(crate) struct Checked {
    pub(crate) bundle: Bundle,
    pub(crate) network: Network,
    /// The largest difference from what the bundle expects, over all its pictures and outputs.
    pub(crate) worst: Difference,
    /// What the bundle allows.
    pub(crate) tolerance: f32,
}

impl Checked {
    /// Reads a bundle, loads its graph, runs the calibration pictures.
    ///
    /// # Errors
    /// The file is no whole bundle; the graph does not run here; the scores are not those that the bundle expects.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Checked> {
        let name = || format!("bundle `{}`", path.display());
        let bundle = match Bundle::open(path) {
            // It names the file itself.
            Err(error @ BundleError::Io { .. }) => return Err(error.into()),
            opened => opened.with_context(name)?,
        };
        Checked::new(bundle).with_context(name)
    }

    fn new(bundle: Bundle) -> anyhow::Result<Checked> {
        let way_out = way_out(bundle.manifest.precision);
        let network = match Network::load(&bundle) {
            Ok(network) => network,
            Err(reason) => bail!("{} does not run its graph: {reason}; {way_out}", network::NAME),
        };
        let mut worst: Option<Difference> = None;
        let judge = |found: Difference| {
            if worst.as_ref().is_none_or(|worst| found.size() > worst.size()) {
                worst = Some(found);
            }
            Ok(())
        };
        let replayed = reproduce::replay(&bundle, |tensor| network.run(tensor), judge);
        replayed.with_context(|| format!("{} does not run its calibration pictures; {way_out}", network::NAME))?;
        let worst = worst.context("it has no calibration pictures to check it with: train or export it again")?;
        // What is computed here is never coarser than the graph: halves are computed in 32 bits (translate.rs).
        let tolerance = reproduce::tolerance(&bundle.manifest, Precision::Fp32);
        if worst.size() <= tolerance {
            return Ok(Checked { bundle, network, worst, tolerance });
        }
        let Difference { image, what, expected, got } = &worst;
        bail!(
            "refused, nothing was inspected: {} does not give its scores. Calibration picture {image}, {what}: expected {expected}, got \
             {got}, differs by {:.6} of at most {tolerance}; {way_out}",
            network::NAME,
            worst.size()
        )
    }
}

/// What to do with a bundle that does not run here.
fn way_out(precision: Precision) -> &'static str {
    match precision {
        Precision::Int8 => {
            "it is in int8 (QDQ), whose rounding need not come out the same in another runtime: take the fp32 or fp16 bundle \
             that it was exported from, or run it by `inspectd inspect`, under ONNX Runtime"
        }
        Precision::Fp16 | Precision::Fp32 => "run it by `inspectd inspect`, under ONNX Runtime",
    }
}
