//! What tests of golden samples and studies share: a recipe in force whose model is never run.

use std::sync::Arc;

use models::bundle::{Disposition, FORMAT, Label, Manifest, Pooling, Provenance, Tolerance};
use models::prediction::{Model, Prediction};
use models::preprocess::Preprocess;
use models::runtime::{Provider, RuntimeError};
use stages::check::GoldenSamples;
use stages::recipe::{Recipe, RecipeInForce};

struct NoModel(Manifest, Arc<str>);

impl Model for NoModel {
    fn manifest(&self) -> &Manifest {
        &self.0
    }
    fn digest(&self) -> &Arc<str> {
        &self.1
    }
    fn provider(&self) -> Provider {
        Provider::Cpu
    }
    fn predict(&self, _: &[f32]) -> Result<Prediction, RuntimeError> {
        unreachable!("no test runs it")
    }
}

/// `r@VERSION`.
pub(crate) fn recipe_with(version: u32, golden_samples: Option<GoldenSamples>) -> Arc<RecipeInForce> {
    let manifest = Manifest {
        format: FORMAT,
        name: "none".into(),
        labels: vec![Label { name: "good".into(), verdict: Disposition::Pass, threshold: 0.5 }],
        preprocess: Preprocess::imagenet(32),
        pooling: Pooling::Mean,
        input: "input".into(),
        scores: "scores".into(),
        heat: "heat".into(),
        heads: Default::default(),
        precision: Default::default(),
        graph_sha256: String::new(),
        files_sha256: Default::default(),
        tolerance: Tolerance { fp32: 1e-3, fp16: 1e-2 },
        provenance: Provenance::default(),
    };
    let text = format!("name = 'r'\nversion = {version}\ndeadline_ms = 100\n");
    let recipe = Recipe { golden_samples, ..toml::from_str(&text).expect("a sound recipe") };
    Arc::new(RecipeInForce::new(recipe, Arc::new(NoModel(manifest, "m".into()))).expect("sound"))
}
