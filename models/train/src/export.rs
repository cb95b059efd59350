//! From learned weights to a bundle: graph, thresholds, calibration images with what ONNX Runtime says of them, model card.

use std::collections::BTreeMap;

use models::bundle::{
    Bundle, Calibration, Disposition, FORMAT, FusionSpec, Heads, Label, Manifest, Provenance, Tolerance,
};
use models::heads::{attention, fusion, prototypes};
use models::image::{Image, encode_png};
use models::predictor::{Predictor, expectations};
use models::preprocess::Preprocess;
use models::runtime::{Provider, SessionOptions};
use models::weights::{Tensor, Weights};
use models::zoo::{Frozen, mobilenet_v3_small};

use crate::certify::certify;
use crate::checkpoint::pooling;
use crate::error::TrainError;
use crate::evaluation::operating_point::{self, Aim};
use crate::evaluation::{Detail, Report, Scored, Settings, TrueClass, calibration, score_all, thresholds, truth};
use crate::few_shot;
use crate::samples::{Class, Samples};

/// Notice of torchvision's licence, under which the trunk's starting weights are.
pub const TORCHVISION: &str = "Trunk initialised from torchvision's MobileNetV3-Small (BSD-3-Clause). Copyright (c) Soumith \
Chintala 2016. All rights reserved. Redistribution and use in source and binary forms, with or without modification, are \
permitted provided that the following conditions are met: redistributions of source code must retain the above copyright \
notice, this list of conditions and the following disclaimer; redistributions in binary form must reproduce the above \
copyright notice, this list of conditions and the following disclaimer in the documentation and/or other materials provided \
with the distribution; neither the name of the copyright holder nor the names of its contributors may be used to endorse or \
promote products derived from this software without specific prior written permission. THIS SOFTWARE IS PROVIDED BY THE \
COPYRIGHT HOLDERS AND CONTRIBUTORS \"AS IS\" AND ANY EXPRESS OR IMPLIED WARRANTIES, INCLUDING, BUT NOT LIMITED TO, THE IMPLIED \
WARRANTIES OF MERCHANTABILITY AND FITNESS FOR A PARTICULAR PURPOSE ARE DISCLAIMED. IN NO EVENT SHALL THE COPYRIGHT HOLDER OR \
CONTRIBUTORS BE LIABLE FOR ANY DIRECT, INDIRECT, INCIDENTAL, SPECIAL, EXEMPLARY, OR CONSEQUENTIAL DAMAGES (INCLUDING, BUT NOT \
LIMITED TO, PROCUREMENT OF SUBSTITUTE GOODS OR SERVICES; LOSS OF USE, DATA, OR PROFITS; OR BUSINESS INTERRUPTION) HOWEVER \
CAUSED AND ON ANY THEORY OF LIABILITY, WHETHER IN CONTRACT, STRICT LIABILITY, OR TORT (INCLUDING NEGLIGENCE OR OTHERWISE) \
ARISING IN ANY WAY OUT OF THE USE OF THIS SOFTWARE, EVEN IF ADVISED OF THE POSSIBILITY OF SUCH DAMAGE.";

/// Line on the images that torchvision's weights were learned from.
pub const IMAGENET: &str = "The starting weights were learned from ImageNet (ILSVRC 2012), whose images are provided for \
non-commercial research and education; whether that binds the weights is not settled: check it for your use.";

/// PNG bytes that the calibration images may take; larger images are stored at half their size, as often as it takes.
const CALIBRATION_BYTES: usize = 3 << 20;

/// What a bundle is made of, apart from the weights.
pub struct Ingredients<'a> {
    /// Name of the model.
    pub name: String,
    /// The labels, in the order of the network's outputs.
    pub classes: &'a [Class],
    /// The trunk of the zoo that the head was learned on; `None`: our own, whose weights come with the head's.
    pub frozen: Option<&'a Frozen>,
    /// Names of the views that the network sees together, and of which a sample's picture is made side by side; none: it sees one.
    pub views: &'a [String],
    /// The input.
    pub preprocess: &'a Preprocess,
    /// Where it comes from.
    pub provenance: Provenance,
    /// Samples that were not learned from: thresholds are chosen on them, calibration images are taken from them.
    pub select: &'a dyn Samples,
    /// What is asked of the thresholds; `None`: the least cost on the selection set.
    pub aim: Option<Aim>,
    /// What the model card says of the training: Markdown.
    pub story: String,
}

/// Makes a bundle, verified by running it. Also gives the report on the selection set.
///
/// # Errors
/// When the weights do not fit, ONNX Runtime is missing, or there is no sample to calibrate on.
pub fn bundle(weights: &Weights, from: Ingredients<'_>) -> Result<(Bundle, Report), TrainError> {
    let Preprocess { width, height, .. } = *from.preprocess;
    let pooling = pooling(weights);
    let mut manifest = manifest(from.name, from.classes, from.preprocess, weights, from.provenance);
    if !from.views.is_empty() {
        let (present, weights) = (fusion::PRESENT.into(), fusion::WEIGHTS.into());
        manifest.heads.fusion = Some(FusionSpec { views: from.views.to_vec(), present, weights });
    }
    let labels = from.classes.len();
    let build = |weights: &Weights| match from.frozen {
        Some(frozen) => attention::build_on(frozen, weights, labels, pooling),
        None if !from.views.is_empty() => {
            fusion::build(weights, from.views.len(), [height as usize, width as usize], labels, pooling)
        }
        None => attention::build(weights, [height as usize, width as usize], labels, pooling),
    };
    let graph = build(weights)?;
    let mut bundle =
        Bundle { manifest, graph, expectations: Vec::new(), model_card: None, certificate: None, reference: None };
    let images = calibration_images(from.select)?;
    bundle.expectations = expectations(&bundle, images.clone())?;

    let mut scored = score_all(&predictor(&mut bundle)?, from.select, from.classes.len(), None, &|| ())?;
    let classes = truth::same_labels(&bundle.manifest.labels);
    if let Some(calibration) = calibration::calibrate(&mut scored, &classes, &Settings::of(&bundle.manifest)) {
        let mut weights = weights.clone();
        weights.insert(attention::INVERSE_TEMPERATURE, Tensor::scalar((1.0 / calibration.temperature) as f32));
        bundle.graph = build(&weights)?;
        bundle.expectations = expectations(&bundle, images)?;
        bundle.manifest.provenance.calibration = Some(calibration);
    }
    let chosen = thresholds::choose(&scored, from.classes);
    (bundle.manifest.labels, bundle.manifest.provenance.thresholds) = chosen;
    if let Some(aim) = from.aim {
        operating_point(&mut bundle.manifest, &scored, &classes, aim);
    }
    let report = Report::new(&scored, &classes, &Settings::of(&bundle.manifest), |index| from.select.name(index));
    // Prototypes of the labels, and how pictures of one label differ: so that a new kind can be registered later. They compare what our
    // trunk sees, the whole of it.
    let head = match from.frozen {
        None if from.views.is_empty() && mobilenet_v3_small::is_whole(weights) => {
            few_shot::learn(&bundle, from.select, from.classes)?
        }
        _ => None,
    };
    if let Some(head) = head {
        prototypes::write(&mut bundle, &head)?;
    }
    // The comparison with the network that learned knows one picture; of several views a test makes it.
    if from.views.is_empty() {
        bundle.certificate = Some(certify(weights, &bundle, from.select)?);
    }
    bundle.model_card = Some(card(&bundle.manifest, &from.story, &report));
    // What is handed out has been loaded and has reproduced its own scores once.
    predictor(&mut bundle)?;
    Ok((bundle, report))
}

/// The manifest of a classifier with these weights, every threshold at 1/2.
pub(crate) fn manifest(
    name: String,
    classes: &[Class],
    preprocess: &Preprocess,
    weights: &Weights,
    provenance: Provenance,
) -> Manifest {
    let label = |class: &Class| Label { name: class.name.clone(), verdict: class.verdict, threshold: 0.5 };
    Manifest {
        format: FORMAT,
        name,
        labels: classes.iter().map(label).collect(),
        preprocess: preprocess.clone(),
        pooling: pooling(weights),
        input: attention::INPUT.into(),
        scores: attention::SCORES.into(),
        heat: attention::HEAT.into(),
        heads: Heads { embedding: Some(attention::EMBEDDING.into()), ..Heads::default() },
        precision: Default::default(),
        graph_sha256: String::new(),
        files_sha256: BTreeMap::new(),
        tolerance: Tolerance { fp32: 1e-3, fp16: 2e-2 },
        provenance,
    }
}

/// Sets the thresholds that keep to the aim, with the evidence. Where the selection set cannot prove so much they stay as they are, and
/// the manifest says what is missing.
fn operating_point(manifest: &mut Manifest, scored: &[Scored], classes: &[TrueClass], aim: Aim) {
    let ranking = Detail::new(scored, classes, &Settings::of(manifest)).ranking;
    let chosen = match &ranking {
        Some(ranking) => operating_point::choose(ranking, aim).map_err(|error| error.to_string()),
        None => Err("there is no label that passes a part, and so there are no escapes".into()),
    };
    let Manifest { labels, provenance, .. } = manifest;
    match chosen {
        Ok(chosen) => {
            let data =
                format!("{}, {} images of it that chose the network as well", provenance.data_digest, scored.len());
            let point = chosen.evidence(aim, data);
            operating_point::set(labels, point.threshold);
            provenance.thresholds = operating_point::words(&point);
            provenance.operating_point = Some(point);
        }
        Err(why) => {
            let kept = std::mem::take(&mut provenance.thresholds);
            provenance.thresholds = format!("{kept}. Asked for was that {aim}, in vain: {why}");
        }
    }
}

/// The bundle, gone through its own file format and ready to run on the processor.
///
/// # Errors
/// When it does not load, or does not reproduce its own scores.
pub fn predictor(bundle: &mut Bundle) -> Result<Predictor, TrainError> {
    let copy = Bundle::from_bytes(&bundle.to_bytes()?)?;
    Ok(Predictor::load(copy, &SessionOptions { require: Some(Provider::Cpu), ..SessionOptions::default() })?)
}

/// Images of as many labels as possible, in turn.
fn calibration_images(samples: &dyn Samples) -> Result<Vec<Image>, TrainError> {
    let classes = (0..samples.len()).map(|index| samples.label(index)).max().map_or(0, |top| top + 1);
    let mut of_class: Vec<Vec<usize>> = vec![Vec::new(); classes];
    (0..samples.len()).rev().for_each(|index| of_class[samples.label(index)].push(index));
    let mut indices = Vec::new();
    while indices.len() < Bundle::EXPECTATIONS.min(samples.len()) {
        indices.extend(of_class.iter_mut().filter_map(Vec::pop));
    }
    indices.truncate(Bundle::EXPECTATIONS);
    if indices.is_empty() {
        return Err(TrainError::Data("there is no sample to calibrate the bundle on".into()));
    }
    let images = indices.into_iter().map(|index| samples.load(index).map(|sample| sample.image));
    let mut images = images.collect::<Result<Vec<_>, _>>()?;
    shrink(&mut images)?;
    Ok(images)
}

/// Halves the images as often as it takes for them to fit into a bundle.
pub(crate) fn shrink(images: &mut [Image]) -> Result<(), TrainError> {
    while png_bytes(images)? > CALIBRATION_BYTES {
        images.iter_mut().for_each(halve);
    }
    Ok(())
}

fn png_bytes(images: &[Image]) -> Result<usize, TrainError> {
    let size = |image: &Image| encode_png(image.view()).map(|png| png.len());
    images
        .iter()
        .map(size)
        .sum::<Result<usize, _>>()
        .map_err(|source| TrainError::Image { path: "calibration".into(), source })
}

/// An image at half its size, by the recipe's own resize.
fn halve(image: &mut Image) {
    let half =
        Preprocess { width: (image.width / 2).max(1), height: (image.height / 2).max(1), ..Preprocess::imagenet(1) };
    let mut small = Image { width: 0, height: 0, format: image.format, data: Vec::new() };
    half.fill_image(image.view(), &mut small);
    *image = small;
}

/// The model card: what the model is for, how it was made and measured, its limits.
fn card(manifest: &Manifest, story: &str, report: &Report) -> String {
    let word = |verdict: Disposition| match verdict {
        Disposition::Pass => "pass",
        Disposition::Review => "review",
        Disposition::Fail => "fail",
    };
    let row = |label: &Label| format!("| {} | {} | {:.2} |\n", label.name, word(label.verdict), label.threshold);
    let labels: String = manifest.labels.iter().map(row).collect();
    let Preprocess { width, height, .. } = manifest.preprocess;
    let Provenance { command, data_digest, seed, version, trunk, licences, network, thresholds, .. } =
        &manifest.provenance;
    let network = if network.is_empty() { String::new() } else { format!("- Network: {network}\n") };
    let calibration = match &manifest.provenance.calibration {
        Some(Calibration { temperature, images, ece_before, ece_after }) => format!(
            "- Scores: temperature {temperature:.2}, fitted on {images} images (calibration error {:.2} % before, {:.2} % after)\n",
            100.0 * ece_before,
            100.0 * ece_after
        ),
        None => String::new(),
    };
    let views = match manifest.views() {
        [] => String::new(),
        views => format!(" Sees together: {}.", views.join(", ")),
    };
    let licences: String = licences.iter().map(|licence| format!("- {licence}\n")).collect();
    format!(
        "# {name}\n\nMobileNetV3-Small with channel attention and one logit per label at every cell, {width} x {height} \
         pixels.{views}\n\n| label | verdict | threshold |\n|---|---|---|\n{labels}\n## Training\n\n{story}\n\n- Command: \
         `{command}`\n- Data (SHA-256): `{data_digest}`\n- Seed: {seed}\n- inspectd {version}\n- Trunk: {trunk}\n{network}{calibration}- Thresholds: \
         {thresholds}\n\n## \
         Measured on the selection set\n\nChoices were made on these samples (above), so the figures flatter: \
         measure on your own test images with `inspectd eval`.\n\n```\n{report}```\n\n## Limits\n\nIt knows the surfaces, \
         lights and defects of its training data and no others. A defect that it was never shown may pass.\n\n## \
         Licences\n\n{licences}",
        name = manifest.name,
    )
}
