//! A trunk alone, with where it comes from: an ONNX model that any reader of ONNX takes, whose metadata hold the provenance.

use std::path::Path;

use prost::Message;

use super::{Weights, WeightsError};
use crate::bundle::{Provenance, write};
use crate::graph::ModelProto;
use crate::graph::proto::StringStringEntryProto;
use crate::zoo::mobilenet_v3_small as zoo;

/// Key of the metadata.
const PROVENANCE: &str = "inspectd.provenance";
/// Side of the graph's input. Whoever takes the weights builds a graph of their own.
const SIDE: usize = 224;

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub struct TrunkFile {
    /// The trunk's weights.
    pub weights: Weights,
    /// Where they come from.
    pub provenance: Provenance,
}

impl TrunkFile {
    /// Writes it, atomically. [`super::load_trunk`] reads the weights.
    ///
    /// # Errors
    /// When the weights are not a whole trunk's, or the file cannot be written; an older file of this name is then unharmed.
    pub fn save(&self, path: &Path) -> Result<(), WeightsError> {
        let graph = zoo::build_map(&self.weights.only(&zoo::layers())?, [SIDE; 2])?;
        let mut model = ModelProto::read(&graph)?;
        let value = serde_json::to_string(&self.provenance).expect("plain text and numbers");
        model.metadata_props.push(StringStringEntryProto { key: PROVENANCE.into(), value });
        let io = |source| WeightsError::Io { path: path.into(), source };
        write::atomically(path, &model.encode_to_vec()).map_err(io)
    }

    /// The provenance in a file's bytes; none where it is no such file.
    ///
    /// # Errors
    /// When there is one that this version cannot read: its licence notices would be lost.
    pub fn provenance_in(bytes: &[u8]) -> Result<Option<Provenance>, WeightsError> {
        let Ok(model) = ModelProto::read(bytes) else { return Ok(None) };
        let Some(entry) = model.metadata_props.iter().find(|entry| entry.key == PROVENANCE) else { return Ok(None) };
        let unread = |error| {
            WeightsError::Invalid(format!("the trunk's provenance cannot be read (a newer version's?): {error}"))
        };
        serde_json::from_str(&entry.value).map(Some).map_err(unread)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::{kaiming, load_trunk};

    #[test]
    fn weights_and_provenance_come_back_and_other_files_have_none() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("line.trunk.onnx");
        let provenance = Provenance {
            command: "inspectd pretrain".into(),
            licences: vec!["of somebody".into()],
            ..Default::default()
        };
        let file = TrunkFile { weights: kaiming(&zoo::layers(), 3), provenance };
        file.save(&path).expect("a whole trunk");
        assert_eq!(load_trunk(&path).expect("a trunk"), file.weights);
        let bytes = std::fs::read(&path).expect("it is there");
        assert_eq!(TrunkFile::provenance_in(&bytes).expect("ours"), Some(file.provenance.clone()));
        assert_eq!(TrunkFile::provenance_in(&bytes[..bytes.len() / 2]).expect("no model"), None);
        let plain = zoo::build_map(&file.weights, [SIDE; 2]).expect("a graph");
        assert_eq!(TrunkFile::provenance_in(&plain).expect("another's"), None);
        let newer = ModelProto {
            metadata_props: vec![StringStringEntryProto { key: PROVENANCE.into(), value: r#"{"of":"later"}"#.into() }],
            ..ModelProto::read(&plain).expect("a model")
        };
        assert!(TrunkFile::provenance_in(&newer.encode_to_vec()).is_err(), "its notices are not taken for others");

        let part = TrunkFile { weights: Weights::default(), ..file };
        assert!(part.save(&path).is_err() && load_trunk(&path).is_ok(), "the older file is unharmed");
    }
}
