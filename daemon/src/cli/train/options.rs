//! Arguments that say how a data folder is read and what is made of its images.

use std::path::{Path, PathBuf};

use models_train::TrainError;
use models_train::augment::Augment;
use models_train::dataset::{Files, Folder};
use models_train::formats::Format;
use models_train::sampler::Sampling;

/// See the fields.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Form of the data: folders, csv, coco, voc or records; default: told by what is there.
    #[arg(long, value_name = "FORM", requires = "data")]
    format: Option<Format>,
    /// How often each label is drawn: balanced (each as often), plain (each image as often) or effective[:BETA] (between them).
    #[arg(long, value_name = "HOW", default_value = "balanced", requires = "data", conflicts_with = "class_weights")]
    pub(super) sampling: Sampling,
    /// Random changes of the images: standard, any-orientation, fixed-pose, none, or a TOML file; docs/DATA.md has the keys.
    #[arg(long, value_name = "PRESET|FILE", default_value = "standard", requires = "data")]
    augment: String,
    /// Teach the heat map where defects are, from the boxes that come with COCO's or Pascal VOC's form, or with `--boxes`.
    #[arg(long, requires = "data")]
    teach_boxes: bool,
    /// Folder of Pascal VOC XML files, named as the images.
    #[arg(long, value_name = "DIR", requires = "teach_boxes")]
    boxes: Option<PathBuf>,
}

impl Options {
    /// Reads the list of a data folder, and tells what it left out.
    pub(super) fn open(&self, root: &Path, list: Option<&Path>) -> Result<Folder, TrainError> {
        let mut folder = Folder::open_as(root, list, self.format)?;
        if let Some(boxes) = &self.boxes {
            let found = folder.take_boxes(boxes)?;
            tracing::info!("boxes of {found} images in `{}`", boxes.display());
        }
        folder.notes.iter().for_each(|note| tracing::warn!("`{}`: {note}", root.display()));
        Ok(folder)
    }

    /// What the product is invariant to.
    pub(super) fn augment(&self) -> Result<Augment, TrainError> {
        if let Some(preset) = Augment::preset(&self.augment) {
            return Ok(preset);
        }
        let text = std::fs::read_to_string(&self.augment).map_err(|error| {
            let presets = models_train::augment::PRESETS.map(|(name, _)| name).join(", ");
            TrainError::Settings(format!("--augment `{}` is none of {presets}, and no file: {error}", self.augment))
        })?;
        Augment::from_toml(&text).map_err(|error| TrainError::Settings(format!("`{}`: {error}", self.augment)))
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
        add("augment", (self.augment != "standard").then(|| file(Path::new(&self.augment))));
        add("teach-boxes", self.teach_boxes.then(String::new));
        add("boxes", self.boxes.as_deref().map(file));
    }
}
