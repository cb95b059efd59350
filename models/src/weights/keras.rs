//! Keras' weights: `.weights.h5` and `.keras` of Keras 3, and the `.h5` files of before, which `keras.applications` still fetches.
//!
//! Source: `H5IOStore` in keras/src/saving/saving_lib.py, `save_weights_to_hdf5_group` in keras/src/legacy/saving/legacy_h5_format.py.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use hdf5_reader::group::Group;
use hdf5_reader::{Dataset, Hdf5File, OpenOptions};
use zip::ZipArchive;

use super::strided::gather;
use super::{Tensor, WeightsError};
use crate::zoo::{Role, Spec};

/// The file in a `.keras` archive that holds the weights.
pub(super) const ENTRY: &str = "model.weights.h5";
/// How an HDF5 file begins.
const MAGIC: &[u8] = b"\x89HDF\r\n\x1a\n";
/// VGG19, the largest network of the zoo, has 575 MB.
const MAX_BYTES: u64 = 2 << 30;
/// Groups and tensors of a file; the deepest network of the zoo has 2,000.
const MAX_MEMBERS: usize = 100_000;
/// Groups within groups.
const MAX_DEPTH: usize = 8;

/// An open file: its tensors by layer and part, as `conv1_conv/kernel`. Keras 3 numbers the parts: `conv1_conv/0`.
pub(super) struct KerasFile(BTreeMap<String, Dataset>);

impl KerasFile {
    pub(super) fn looks_like(bytes: &[u8]) -> bool {
        bytes.starts_with(MAGIC)
    }

    /// An `.h5` file.
    pub(super) fn open(bytes: &[u8]) -> Result<KerasFile, WeightsError> {
        let options = OpenOptions::default().with_max_read_bytes(MAX_BYTES as usize);
        let file = Hdf5File::from_bytes_with_options(bytes, options).map_err(refuse)?;
        let mut found = Found { tensors: BTreeMap::new(), members: 0 };
        found.walk(&file.root_group().map_err(refuse)?, "", MAX_DEPTH)?;
        Ok(KerasFile(found.tensors))
    }

    /// A `.keras` archive.
    pub(super) fn open_archive(archive: &mut ZipArchive<Cursor<&[u8]>>) -> Result<KerasFile, WeightsError> {
        let entry = archive.by_name(ENTRY).map_err(refuse)?;
        let mut bytes = Vec::new();
        entry.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(refuse)?;
        match bytes.len() as u64 > MAX_BYTES {
            true => Err(refuse(format!("`{ENTRY}` has more than {MAX_BYTES} bytes"))),
            false => KerasFile::open(&bytes),
        }
    }

    pub(super) fn tensor(&self, spec: &Spec) -> Result<Tensor, WeightsError> {
        let Spec { name, shape, role } = spec;
        let numbered = || Some(format!("{}/{}", name.rsplit_once('/')?.0, number(name)?));
        let dataset = self.0.get(name).or_else(|| self.0.get(&numbered()?));
        let dataset = dataset.ok_or_else(|| WeightsError::Missing(name.clone()))?;
        let found: Vec<usize> = dataset.shape().iter().map(|&size| size as usize).collect();
        let strides = match *role == Role::Kernel {
            true => kernel_strides(shape, &found),
            false => (found == *shape).then(|| row_major(shape)),
        };
        let Some(strides) = strides else {
            return Err(WeightsError::Shape { name: name.clone(), found, wanted: shape.clone() });
        };
        let mut stored = vec![0.0; spec.len()];
        dataset.read_into::<f32>(&mut stored).map_err(|error| refuse(format!("tensor `{name}`: {error}")))?;
        let data = gather(&stored, 0, shape, &strides).ok_or_else(|| WeightsError::Missing(name.clone()))?;
        Ok(Tensor { shape: shape.clone(), data })
    }
}

fn refuse(reason: impl std::fmt::Display) -> WeightsError {
    WeightsError::Keras(reason.to_string())
}

struct Found {
    tensors: BTreeMap<String, Dataset>,
    members: usize,
}

impl Found {
    /// Adds the tensors of `group`, which belongs to `layer`. Links may go round in circles, so depth and number are bounded.
    fn walk(&mut self, group: &Group, layer: &str, depth: usize) -> Result<(), WeightsError> {
        let (groups, datasets) = group.members().map_err(refuse)?;
        self.members += groups.len() + datasets.len();
        if depth == 0 || self.members > MAX_MEMBERS {
            return Err(refuse("its groups are nested as no network's are"));
        }
        for dataset in datasets {
            // TensorFlow's names end in the output of the operation that made the variable.
            let part = dataset.name().rsplit('/').next().unwrap_or_default().trim_end_matches(":0");
            let name = format!("{layer}/{part}");
            if self.tensors.contains_key(&name) {
                return Err(refuse(format!(
                    "two tensors are called `{name}`: save the network alone, not inside another"
                )));
            }
            self.tensors.insert(name, dataset);
        }
        for group in groups {
            let own = group.name().rsplit('/').next().unwrap_or_default().to_owned();
            if own.starts_with("optimizer") {
                continue;
            }
            // Keras 3 calls groups by class and number; the layer's own name is written on its variables.
            let layer = match own == "vars" {
                true => group.attribute("name").and_then(|name| name.read_string()).map_err(refuse)?,
                false => own,
            };
            self.walk(&group, &layer, depth - 1)?;
        }
        Ok(())
    }
}

/// At which place Keras 3 writes a part of a layer.
fn number(name: &str) -> Option<usize> {
    Some(match name.rsplit('/').next()? {
        "kernel" | "gamma" | "mean" | "depthwise_kernel" => 0,
        "bias" | "beta" | "variance" | "pointwise_kernel" => 1,
        "moving_mean" => 2,
        "moving_variance" => 3,
        _ => return None,
    })
}

fn row_major(shape: &[usize]) -> Vec<usize> {
    (0..shape.len()).map(|axis| shape[axis + 1..].iter().product()).collect()
}

/// Where a step along each axis of our order (outputs first) leads in Keras' (outputs last), or nothing for another kernel.
fn kernel_strides(ours: &[usize], theirs: &[usize]) -> Option<Vec<usize>> {
    match *ours {
        [outputs, 1, height, width] if theirs == [height, width, outputs, 1] => {
            Some(vec![1, 1, width * outputs, outputs])
        }
        // A dense layer on a map flattened by rows, columns and channels is a convolution over the whole map.
        [outputs, inputs, height, width]
            if theirs == [height, width, inputs, outputs] || theirs == [height * width * inputs, outputs] =>
        {
            Some(vec![1, outputs, width * inputs * outputs, inputs * outputs])
        }
        [outputs, inputs] if theirs == [inputs, outputs] => Some(vec![1, outputs]),
        _ => None,
    }
}
