//! `--network`: a published network stands still under the head.

use std::path::Path;

use models::weights::Checkpoint;
use models::zoo::{Family, Frozen, STRIDE};
use models_train::TrainError;

use super::Args;

/// A network of the zoo and the file that its weights come from.
pub(super) struct Network<'a> {
    family: &'static Family,
    path: &'a Path,
    frozen: Frozen,
}

impl<'a> Network<'a> {
    /// Reads the weights that `--trunk` names, where `--network` says whose they are.
    pub(super) fn of(args: &'a Args) -> Result<Option<Network<'a>>, TrainError> {
        let (Some(family), Some(path)) = (args.network, &args.trunk) else { return Ok(None) };
        if let Some(option) = args.fit.of_all_layers() {
            let reason = format!("--{option} is about all layers learning: with --network only the head learns");
            return Err(TrainError::Settings(reason));
        }
        let size = args.size.map_or_else(|| family.size.next_multiple_of(STRIDE), |size| size as usize);
        let bytes = Checkpoint::read(path)?;
        let frozen = family.freeze(size, &mut Checkpoint::open(&bytes)?.beside(path)?)?;
        Ok(Some(Network { family, path, frozen }))
    }

    pub(super) fn frozen(&self) -> &Frozen {
        &self.frozen
    }

    /// Said of the bundle.
    pub(super) fn words(&self) -> String {
        format!("{} as {} has it, standing still", self.family.name, self.family.source())
    }

    pub(super) fn file(&self) -> String {
        self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy().into_owned()
    }

    pub(super) fn licences(&self) -> Vec<String> {
        vec![format!(
            "The trunk, {}, has the weights of the file `{}`. Whose they are and under which licence is not known to inspectd: \
             check it for your use.",
            self.words(),
            self.file()
        )]
    }
}
