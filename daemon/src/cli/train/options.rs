//! Arguments that say how a data folder is read and what is made of its images.

use std::path::{Path, PathBuf};

use models_train::TrainError;
use models_train::augment::Augment;
use models_train::dataset::{Files, Folder};
use models_train::formats::Format;
use models_train::sampler::Sampling;

use crate::cli::recipe::{Preparing, prepared};

/// See the fields.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Form of the data: folders, csv, coco, voc or records; default: told by what is there.
    #[arg(long, value_name = "FORM", requires = "data")]
    format: Option<Format>,
    /// How often each label is drawn: balanced (each as often), plain (each image as often) or effective[:BETA] (between them).
    #[arg(long, value_name = "HOW", default_value = "balanced", requires = "data", conflicts_with = "class_weights")]
    pub(super) sampling: Sampling,
    /// Random changes of the images: standard, any-orientation, fixed-pose, views, none, or a TOML file; docs/DATA.md has the keys.
    #[arg(long, value_name = "PRESET|FILE", default_value = "standard", requires = "data")]
    augment: String,
    /// Draw hard images again within a round over a label's images: this share of the round's places goes to images with a high loss,
    /// each up to three times in all. Off unless given; without a number 0.5.
    #[arg(long, value_name = "SHARE", num_args = 0..=1, default_missing_value = "0.5", require_equals = true, requires = "data")]
    #[arg(value_parser = boost)]
    hard_examples: Option<f32>,
    /// Let near duplicates (one part shot twice) stand on both sides of the cut that chooses epoch and thresholds: does not look for
    /// them, which costs a pass of the trunk over each image.
    #[arg(long, requires = "data")]
    pub(super) no_near: bool,
    /// Teach the heat map where defects are, from the boxes that come with COCO's or Pascal VOC's form, or with `--boxes`.
    #[arg(long, requires = "data")]
    teach_boxes: bool,
    /// Folder of Pascal VOC XML files, named as the images.
    #[arg(long, value_name = "DIR", requires = "teach_boxes")]
    boxes: Option<PathBuf>,
}

fn boost(text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(share) if share > 0.0 && share <= 2.0 => Ok(share),
        _ => Err("a share of a round is a number above 0, 2 at most".into()),
    }
}

/// Random changes by the name of a preset or of a file.
pub(in crate::cli) fn augment(given: &str) -> Result<Augment, TrainError> {
    if let Some(preset) = Augment::preset(given) {
        return Ok(preset);
    }
    let text = std::fs::read_to_string(given).map_err(|error| {
        let presets = models_train::augment::PRESETS.map(|(name, _)| name).join(", ");
        TrainError::Settings(format!("--augment `{given}` is none of {presets}, and no file: {error}"))
    })?;
    Augment::from_toml(&text).map_err(|error| TrainError::Settings(format!("`{given}`: {error}")))
}

impl Options {
    /// See [`models_train::Settings::boost`].
    pub(super) fn boost(&self) -> f32 {
        self.hard_examples.unwrap_or(0.0)
    }

    /// Reads the list of a data folder, and tells what it left out.
    pub(super) fn open(&self, root: &Path, list: Option<&Path>, preparing: &Preparing) -> Result<Folder, TrainError> {
        let mut folder = Folder::open_as(root, list, self.format)?;
        if let Some(boxes) = &self.boxes {
            let found = folder.take_boxes(boxes)?;
            tracing::info!("boxes of {found} images in `{}`", boxes.display());
        }
        folder.notes.iter().for_each(|note| tracing::warn!("`{}`: {note}", root.display()));
        prepared(folder, preparing)
    }

    /// What the product is invariant to.
    pub(super) fn augment(&self) -> Result<Augment, TrainError> {
        augment(&self.augment)
    }

    /// What the random changes are called: a preset or a file's name.
    pub(super) fn augment_name(&self) -> String {
        let path = Path::new(&self.augment);
        path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
    }

    /// The files, with masks where these are asked for.
    pub(super) fn teach(&self, files: Files) -> Result<Files, TrainError> {
        if self.teach_boxes { files.teaching_boxes() } else { Ok(files) }
    }

    /// Hands on what differs from the defaults, for the provenance: no paths of this machine but file names.
    pub(super) fn tell(&self, add: &mut impl FnMut(&str, Option<String>)) {
        let file = |path: &Path| path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        add("format", self.format.map(|format| format.to_string()));
        add("sampling", (self.sampling != Sampling::Balanced).then(|| self.sampling.to_string()));
        add("augment", (self.augment != "standard").then(|| self.augment_name()));
        add("hard-examples", self.hard_examples.map(|share| share.to_string()));
        add("no-near", self.no_near.then(String::new));
        add("teach-boxes", self.teach_boxes.then(String::new));
        add("boxes", self.boxes.as_deref().map(file));
    }
}
