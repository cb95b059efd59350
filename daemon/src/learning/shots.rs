//! Kinds from a few pictures: what registering one needs, on the command line and on the line.

use anyhow::Context;
use models::bundle::Bundle;
use models::heads::prototypes::{self, Prototypes};
use models::predictor::Predictor;
use models::runtime::{Provider, SessionOptions};
use models::weights::Weights;
use models::zoo::mobilenet_v3_small::refuse_cut;
use models_train::TrainError;
use models_train::few_shot::learn;
use models_train::samples::{Class, Sample, Samples};
use stages::capture::synthetic::{LABELS, TrainingSet};

/// Synthetic parts that a background is measured on, where a bundle brings none.
const PARTS: usize = 200;

/// The bundle's head for kinds, ready to take one more.
///
/// # Errors
/// The bundle's network is not ours.
pub fn head_of(bundle: &Bundle) -> anyhow::Result<Prototypes> {
    if let Ok(weights) = Weights::from_graph(&bundle.graph) {
        refuse_cut(&weights).with_context(|| format!("the model `{}`", bundle.manifest.name))?;
    }
    match prototypes::read(bundle)? {
        Some(head) => Ok(head),
        None => foreign_background(bundle),
    }
}

/// Puts the head into the bundle, which is loaded once from its own bytes: it still says of its calibration images what it said
/// before.
///
/// # Errors
/// It does not.
pub fn put(bundle: &mut Bundle, head: &Prototypes) -> anyhow::Result<()> {
    prototypes::write(bundle, head)?;
    let copy = Bundle::from_bytes(&bundle.to_bytes()?)?;
    Predictor::load(copy, &SessionOptions { require: Some(Provider::Cpu), ..SessionOptions::default() })?;
    Ok(())
}

/// A bundle from before kinds could be registered does not know how its pictures differ.
fn foreign_background(bundle: &Bundle) -> anyhow::Result<Prototypes> {
    tracing::warn!(
        model = %bundle.manifest.name,
        "the model was trained before kinds could be registered: how pictures of one kind differ is taken from the synthetic line \
         (some seconds, once); training it again would be better"
    );
    let mut head = synthetic_background(bundle)?;
    head.forget_labels();
    Ok(head)
}

/// A head learned from parts of the synthetic line: for the background alone.
///
/// # Errors
/// The bundle's network is not ours.
pub fn synthetic_background(bundle: &Bundle) -> anyhow::Result<Prototypes> {
    let size = bundle.manifest.preprocess.width.max(bundle.manifest.preprocess.height).max(64);
    let parts = Parts(TrainingSet::new(1, size));
    let classes: Vec<Class> = LABELS.iter().map(|label| Class::named(label)).collect();
    learn(bundle, &parts, &classes)?.context("no background could be measured")
}

struct Parts(TrainingSet);

impl Samples for Parts {
    fn len(&self) -> usize {
        PARTS
    }

    fn label(&self, index: usize) -> usize {
        self.0.label(index as u64)
    }

    fn load(&self, index: usize) -> Result<Sample, TrainError> {
        let drawn = self.0.sample(index as u64);
        Ok(Sample { image: drawn.image, labels: drawn.labels, weight: 1.0, mask: None })
    }

    fn name(&self, index: usize) -> String {
        format!("synthetic {index}")
    }
}
