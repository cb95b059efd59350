//! `config.json`, which timm publishes and saves (`timm.models.save_for_hf`) beside weights: which network, and what pixels it takes.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::family::Family;
use crate::weights::WeightsError;

const FILE: &str = "config.json";
/// timm's have 1 kB, with the names of many classes 1 MB.
const MAX_BYTES: u64 = 16 << 20;

/// What stands beside a file of weights.
#[derive(Default)]
pub(crate) struct Beside(Option<Vec<u8>>);

/// What timm says of weights.
pub(super) struct Config {
    /// What it calls the network.
    pub(super) architecture: String,
    /// Subtracted from red, green and blue after scaling to 0..1.
    pub(super) mean: [f32; 3],
    /// Divides red, green and blue after the mean is subtracted.
    pub(super) std: [f32; 3],
    /// What was changed of the network when it was made.
    arguments: Map<String, Value>,
}

/// As it is written.
#[derive(Deserialize)]
struct Written {
    architecture: String,
    #[serde(default)]
    model_args: Map<String, Value>,
    pretrained_cfg: Pretrained,
}

#[derive(Deserialize)]
struct Pretrained {
    mean: [f32; 3],
    std: [f32; 3],
}

impl Beside {
    /// Of the weights `file`.
    ///
    /// # Errors
    /// [`WeightsError::Io`] where there is a description that cannot be read.
    pub(crate) fn read(file: &Path) -> Result<Beside, WeightsError> {
        let path: PathBuf = file.with_file_name(FILE);
        if !path.is_file() {
            return Ok(Beside(None));
        }
        let mut bytes = Vec::new();
        let read = std::fs::File::open(&path).and_then(|file| file.take(MAX_BYTES).read_to_end(&mut bytes));
        read.map(|_| Beside(Some(bytes))).map_err(|source| WeightsError::Io { path, source })
    }

    /// timm's description, if it is one: other programs call theirs so as well.
    pub(super) fn config(&self) -> Option<Config> {
        Config::of(self.0.as_deref()?).ok()
    }

    /// timm's description, which weights with a tensor of its name `theirs` need.
    pub(super) fn required(
        &self,
        theirs: &str,
        family: &Family,
        architectures: &[&str],
    ) -> Result<Config, WeightsError> {
        let wanted = architectures.join("` or `");
        let Some(bytes) = &self.0 else {
            return Err(WeightsError::Invalid(format!(
                "the weights hold timm's `{theirs}`, and networks of timm's that compute differently share their names: for {} put \
                 the `{FILE}` of timm's `{wanted}` that belongs to them beside the file",
                family.name
            )));
        };
        Config::of(bytes).map_err(|error| {
            WeightsError::Invalid(format!(
                "the weights hold timm's `{theirs}`, and the `{FILE}` beside them is not timm's ({error}): put the one of timm's \
                 `{wanted}` that belongs to them there"
            ))
        })
    }
}

impl Config {
    fn of(bytes: &[u8]) -> Result<Config, serde_json::Error> {
        let Written { architecture, model_args, pretrained_cfg } = serde_json::from_slice(bytes)?;
        let Pretrained { mean, std } = pretrained_cfg;
        Ok(Config { architecture, mean, std, arguments: model_args })
    }

    /// Refuses all networks but these, and those that were made otherwise.
    pub(super) fn fits(&self, family: &Family, architectures: &[&str]) -> Result<(), WeightsError> {
        let refuse = |reason: String| {
            Err(WeightsError::Invalid(format!(
                "the `{FILE}` beside the weights says that they are of timm's `{}`{reason}",
                self.architecture
            )))
        };
        if !architectures.contains(&self.architecture.as_str()) {
            let wanted = architectures.join("` or `");
            return refuse(format!(
                ", which does not compute what {} does (padding, activations, layers): it takes weights of timm's `{wanted}` or of {}",
                family.name,
                family.source()
            ));
        }
        match self.arguments.iter().find(|(argument, value)| !harmless(argument, value)) {
            None => Ok(()),
            Some((argument, _)) => refuse(format!(
                " made with `{argument}` changed: {} takes weights of the network as timm makes it by itself",
                family.name
            )),
        }
    }
}

/// Arguments that timm writes down always, and those that change nothing outside of training. Sizes show in the tensors.
fn harmless(argument: &str, value: &Value) -> bool {
    match argument {
        "in_chans" | "num_classes" | "img_size" | "drop_rate" | "drop_path_rate" | "proj_drop_rate"
        | "attn_drop_rate" => true,
        "global_pool" => matches!(value.as_str(), Some("avg" | "token")),
        _ => value.is_null(),
    }
}
