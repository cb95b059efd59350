//! What a model says of pictures of a kind that it never saw, one JSON line a picture: by this the worth of a part for the review queue
//! was chosen (docs/LEARNING.md).
//!
//!     cargo run -p inspectd --example novelty -- BUNDLE DATA SPLIT
//!
//! The test side of SPLIT is looked at; of labels that the model does not know too.

#![allow(clippy::print_stdout)] // a report for the person who runs it

use inspectd::supervise::open_bundle;
use models::heads::appearance::{Eye, Views};
use models::prediction::Model;
use models::predictor::Predictor;
use models::runtime::SessionOptions;
use models_train::dataset::Folder;
use models_train::samples::Samples;
use models_train::split::Side;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [bundle, data, split] = &arguments[..] else { anyhow::bail!("give the bundle, the data and the split") };
    models::runtime::init(None)?;
    let mut eye = Eye::of(&open_bundle(bundle.as_ref())?)?;
    let model = Predictor::load(open_bundle(bundle.as_ref())?, &SessionOptions::default())?;
    let folder = Folder::open(data.as_ref(), Some(split.as_ref()))?;
    let files = folder.files(Some(Side::Test), &folder.classes)?;
    let mut tensor = vec![0.0; model.preprocess().tensor_len()];
    for index in 0..files.len() {
        let sample = files.load(index)?;
        model.preprocess().fill(sample.image.view(), &mut tensor);
        let prediction = model.predict(&tensor)?;
        let appearance = eye.look_at_views(sample.image.view(), Views::One)?;
        let line = serde_json::json!({
            "label": folder.classes[files.label(index)].name,
            "scores": prediction.scores,
            "embedding": prediction.embedding,
            "appearance": appearance[0],
            "distances": prediction.prototypes.as_ref().map(|it| it.distances.clone()),
            "unknown": prediction.prototypes.as_ref().map(|it| it.unknown),
        });
        println!("{line}");
    }
    Ok(())
}
