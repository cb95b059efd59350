//! Weights of any network of the zoo by the names that their source gave them, from whatever file a user has.

use std::io::Cursor;
use std::path::Path;

use ::safetensors::SafeTensors;
use zip::ZipArchive;

use super::keras::{self, KerasFile};
use super::torch_file::TorchFile;
use super::{Tensor, Weights, WeightsError, safetensors};
use crate::graph::GraphError;
use crate::zoo::{Beside, Family, Spec, Tensors, Timm};

/// The largest published file of a family of the zoo, VGG19's, has 575 MB.
const MAX_FILE_BYTES: u64 = 2 << 30;

/// A file's tensors, read one at a time.
pub struct Checkpoint<'a> {
    kind: Kind<'a>,
    beside: Beside,
    /// Of the family that it is read for, where its names are timm's.
    timm: Option<Timm>,
}

enum Kind<'a> {
    Torch(Box<TorchFile<'a>>),
    Safetensors(SafeTensors<'a>),
    Keras(KerasFile),
    Onnx(Weights),
}

impl<'a> Checkpoint<'a> {
    /// A file's bytes, for [`open`](Self::open).
    ///
    /// # Errors
    /// [`WeightsError::Io`]; [`WeightsError::Invalid`] where it is larger than any network's weights.
    pub fn read(path: &Path) -> Result<Vec<u8>, WeightsError> {
        let io = |source| WeightsError::Io { path: path.into(), source };
        let bytes = std::fs::metadata(path).map(|meta| meta.len()).map_err(io)?;
        match bytes > MAX_FILE_BYTES {
            true => Err(WeightsError::Invalid(format!(
                "weights `{}`: {bytes} bytes are too many (limit {MAX_FILE_BYTES})",
                path.display()
            ))),
            false => std::fs::read(path).map_err(io),
        }
    }

    /// Looks at a file's bytes, whatever its name: `torch.save` before and since version 1.6, `.safetensors`, Keras' `.h5` and
    /// `.keras`, and ONNX models whose batch norms are nodes of their own (exported with constant folding off).
    ///
    /// # Errors
    /// [`WeightsError::UnknownKind`], or why the file of its kind cannot be read.
    pub fn open(bytes: &'a [u8]) -> Result<Checkpoint<'a>, WeightsError> {
        if bytes.starts_with(b"PK") {
            let archive = ZipArchive::new(Cursor::new(bytes));
            let keras = archive.ok().filter(|archive| archive.index_for_name(keras::ENTRY).is_some());
            if let Some(mut archive) = keras {
                return Ok(Kind::Keras(KerasFile::open_archive(&mut archive)?).alone());
            }
        }
        let kind = if TorchFile::looks_like(bytes) {
            Kind::Torch(Box::new(TorchFile::open(bytes)?))
        } else if KerasFile::looks_like(bytes) {
            Kind::Keras(KerasFile::open(bytes)?)
        } else if safetensors::looks_like(bytes) {
            Kind::Safetensors(safetensors::open(bytes)?)
        } else {
            Kind::Onnx(Weights::from_graph(bytes).map_err(|error| match error {
                WeightsError::Graph(GraphError::Malformed(_)) => WeightsError::UnknownKind,
                other => other,
            })?)
        };
        Ok(kind.alone())
    }

    /// The same with what stands beside the file at `path`: what timm saves needs its `config.json`.
    ///
    /// # Errors
    /// [`WeightsError::Io`] where that cannot be read.
    pub fn beside(self, path: &Path) -> Result<Checkpoint<'a>, WeightsError> {
        Ok(Checkpoint { beside: Beside::read(path)?, ..self })
    }
}

impl<'a> Kind<'a> {
    fn alone(self) -> Checkpoint<'a> {
        Checkpoint { kind: self, beside: Beside::default(), timm: None }
    }

    /// Whether it has a tensor of this name. Keras has names with slashes, as nobody else.
    fn holds(&self, name: &str) -> bool {
        match self {
            Kind::Torch(file) => file.holds(name),
            Kind::Safetensors(file) => file.tensor(name).is_ok(),
            Kind::Keras(_) => false,
            Kind::Onnx(weights) => weights.0.contains_key(name),
        }
    }

    fn tensor(&mut self, spec: &Spec) -> Result<Tensor, WeightsError> {
        let Spec { name, shape, .. } = spec;
        let tensor = match self {
            Kind::Torch(file) => file.tensor(name, shape)?,
            Kind::Safetensors(file) => safetensors::tensor(file, name, shape)?,
            Kind::Keras(file) => file.tensor(spec)?,
            Kind::Onnx(weights) => weights.expect(name, shape).map_err(unfolded)?.clone(),
        };
        match tensor.data.iter().all(|value| value.is_finite()) {
            true => Ok(tensor),
            false => Err(WeightsError::NotFinite(name.clone())),
        }
    }
}

/// Most exporters fold batch norms, and then no constant has the source's name.
fn unfolded(error: WeightsError) -> WeightsError {
    match error {
        WeightsError::Missing(name) => WeightsError::Invalid(format!(
            "the ONNX model holds no constant `{name}`: it is another network, or its batch norms are folded (export it with \
             `training=TrainingMode.PRESERVE, do_constant_folding=False`, or give the source's own file)"
        )),
        other => other,
    }
}

impl Tensors for Checkpoint<'_> {
    fn begin(&mut self, family: &Family) -> Result<(), WeightsError> {
        self.timm = Timm::of(family, |name| self.kind.holds(name), &self.beside)?;
        Ok(())
    }

    fn tensor(&mut self, spec: &Spec) -> Result<Tensor, WeightsError> {
        match &self.timm {
            Some(timm) => timm.tensor(spec, |theirs| self.kind.tensor(theirs)),
            None => self.kind.tensor(spec),
        }
    }
}
