//! Adds what its network learned from to a model of the synthetic line that was trained before bundles said it; `inspectd train` writes it by
//! itself. The model that ships got it so (models/weights/README.md).
//!
//!     cargo run -p inspectd --example reference -- BUNDLE OUT

use inspectd::drawn::Drawn;
use inspectd::supervise::open_bundle;
use models_train::reference;
use stages::capture::synthetic::TrainingSet;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [bundle, out] = &arguments[..] else { anyhow::bail!("give the bundle and where to write the new one") };
    models::runtime::init(None)?;
    let mut bundle = open_bundle(bundle.as_ref())?;
    // The parts that `inspectd train --synthetic` shows the head, and those that it chooses by.
    let parts = TrainingSet::new(bundle.manifest.provenance.seed, bundle.manifest.preprocess.width);
    let learned = Drawn::half_good(&parts, 2_000_000, 2_400);
    let held_out = Drawn::half_good(&parts, 500_000, 1_600);
    bundle.reference = reference::of(&bundle, &learned, &held_out)?;
    bundle.save(out.as_ref())?;
    Ok(())
}
