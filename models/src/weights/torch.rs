//! torchvision's own file of the trunk, `mobilenet_v3_small-047dcff4.pth` (sha256 047dcff4addef86ea5bc2eff13c9614dc11f47ab1160d0a71a25e7db994f4e1f):
//! what `torch.save` writes since version 1.6, a zip with a pickle and one file per tensor.
//!
//! The batch norm is folded into the convolutions here: `w * gamma / sqrt(var + eps)`, `beta - mean * gamma / sqrt(var + eps)`.
//!
//! Not run: the real file was not at hand when this was written. The tests read a pickle with all of its names and
//! shapes, which CPython's own pickler wrote, around tensors of the tests' making.

use std::collections::HashMap;
use std::io::{Cursor, Read};

use zip::ZipArchive;

use super::pickle::{Id, Pickle, Value};
use super::{Layer, Tensor, Weights, WeightsError};
use crate::zoo::mobilenet_v3_small::{self as trunk, BlockLayers};

/// Of torchvision's MobileNetV3 (`norm_layer=partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)`).
const EPSILON: f64 = 1e-3;
/// The real pickle has 40 kB.
const MAX_PICKLE_BYTES: u64 = 16 << 20;
/// The largest tensor of the trunk has 83,000 values, its classifier one of a million.
const MAX_VALUES: usize = 4 << 20;

/// A layer of ours and its names in the file.
struct Source {
    layer: Layer,
    /// Prefix of the convolution's tensors.
    conv: String,
    /// Prefix of the batch norm's tensors; a layer without one has a bias.
    norm: Option<String>,
}

/// Reads and folds the trunk.
pub(super) fn trunk(bytes: &[u8]) -> Result<Weights, WeightsError> {
    let mut file = TorchFile::open(bytes)?;
    let mut weights = Weights::default();
    for Source { layer, conv, norm } in sources() {
        let [(weight_name, weight_shape), (bias_name, bias_shape)] = layer.tensors();
        let mut weight = file.tensor(&format!("{conv}.weight"), &weight_shape)?;
        let bias = match norm {
            None => file.tensor(&format!("{conv}.bias"), &bias_shape)?,
            Some(norm) => fold(&mut weight, &mut file, &norm)?,
        };
        weights.insert(weight_name, weight);
        weights.insert(bias_name, bias);
    }
    weights.only(&trunk::layers())
}

/// Scales the weight by the batch norm of this prefix and returns the bias that takes the batch norm's place.
fn fold(weight: &mut Tensor, file: &mut TorchFile<'_>, norm: &str) -> Result<Tensor, WeightsError> {
    let outputs = weight.shape[0];
    let mut read = |part: &str| file.tensor(&format!("{norm}.{part}"), &[outputs]);
    let (gamma, beta) = (read("weight")?, read("bias")?);
    let (mean, variance) = (read("running_mean")?, read("running_var")?);
    let mut bias = Tensor::zeros(&[outputs]);
    let per_output = weight.data.len() / outputs;
    for (output, values) in weight.data.chunks_exact_mut(per_output).enumerate() {
        let scale = f64::from(gamma.data[output]) / (f64::from(variance.data[output]) + EPSILON).sqrt();
        values.iter_mut().for_each(|value| *value = (f64::from(*value) * scale) as f32);
        bias.data[output] = (f64::from(beta.data[output]) - f64::from(mean.data[output]) * scale) as f32;
    }
    Ok(bias)
}

/// All layers of the trunk in order, with torchvision's names: a block is a sequence of two to four modules.
fn sources() -> Vec<Source> {
    let normed =
        |layer: Layer, module: String| Source { layer, conv: format!("{module}.0"), norm: Some(format!("{module}.1")) };
    let mut all = vec![normed(trunk::stem(), "features.0".into())];
    for index in 0..trunk::BLOCKS.len() {
        let BlockLayers { expand, depthwise, squeeze, project } = BlockLayers::of(index);
        let mut modules = (0..).map(|module| format!("features.{}.block.{module}", index + 1));
        let mut next = || modules.next().expect("the range has no end");
        all.extend(expand.map(|expand| normed(expand, next())));
        all.push(normed(depthwise, next()));
        if let Some((reduce, expand)) = squeeze {
            let module = next();
            all.push(Source { layer: reduce, conv: format!("{module}.fc1"), norm: None });
            all.push(Source { layer: expand, conv: format!("{module}.fc2"), norm: None });
        }
        all.push(normed(project, next()));
    }
    all.push(normed(trunk::last(), format!("features.{}", trunk::BLOCKS.len() + 1)));
    all
}

/// A state dictionary and the archive that holds its tensors' values.
struct TorchFile<'a> {
    archive: ZipArchive<Cursor<&'a [u8]>>,
    /// Name of the folder in the archive.
    folder: String,
    pickle: Pickle,
    /// Tensors by name.
    tensors: HashMap<String, Id>,
}

impl<'a> TorchFile<'a> {
    fn open(bytes: &'a [u8]) -> Result<TorchFile<'a>, WeightsError> {
        let mut archive =
            ZipArchive::new(Cursor::new(bytes)).map_err(|error| WeightsError::Torch(error.to_string()))?;
        let folder = archive
            .file_names()
            .filter_map(|name| Some(name.ok()?.strip_suffix("/data.pkl")?.to_owned()))
            .next()
            .ok_or(WeightsError::UnknownKind)?;
        let order = format!("{folder}/byteorder");
        if archive.index_for_name(&order).is_some() && read_entry(&mut archive, &order, 16)? != b"little" {
            return Err(WeightsError::Torch("its numbers are big-endian: save it on a little-endian machine".into()));
        }
        let pickle = read_entry(&mut archive, &format!("{folder}/data.pkl"), MAX_PICKLE_BYTES)?;
        let pickle = Pickle::read(&pickle).map_err(|reason| WeightsError::Torch(format!("its pickle: {reason}")))?;
        let tensors = state_dict(&pickle)
            .ok_or_else(|| WeightsError::Torch("it holds no state dictionary: save `model.state_dict()`".into()))?;
        Ok(TorchFile { archive, folder, pickle, tensors })
    }

    /// The values of a tensor of this shape, whatever its strides in the file.
    fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Tensor, WeightsError> {
        let id = *self.tensors.get(name).ok_or_else(|| WeightsError::Missing(name.into()))?;
        let refuse = |reason: &str| WeightsError::Torch(format!("tensor `{name}`: {reason}"));
        let View { kind, key, values, offset, sizes, strides } =
            view(&self.pickle, id).ok_or_else(|| refuse("it is not stored as a plain tensor"))?;
        if kind != "torch FloatStorage" {
            return Err(refuse(&format!("it is `{kind}`, not 32-bit floats")));
        }
        if sizes != shape {
            return Err(WeightsError::Shape { name: name.into(), found: sizes, wanted: shape.to_vec() });
        }
        if values > MAX_VALUES {
            return Err(refuse("it is absurdly large"));
        }
        let bytes = read_entry(&mut self.archive, &format!("{}/data/{key}", self.folder), 4 * values as u64)?;
        let (stored, _) = bytes.as_chunks::<4>();
        let data = gather(stored, offset, shape, &strides).ok_or_else(|| refuse("it reaches beyond its storage"))?;
        Ok(Tensor { shape: shape.to_vec(), data })
    }
}

/// Tensors by name. A training checkpoint often wraps the dictionary in another one.
fn state_dict(pickle: &Pickle) -> Option<HashMap<String, Id>> {
    let pairs = |id| match pickle.get(id) {
        Value::Dict(pairs) => Some(pairs),
        _ => None,
    };
    let root = pairs(pickle.root())?;
    let wrapped = root.iter().find(|(key, _)| matches!(pickle.text(*key), Some("state_dict" | "model")));
    let dict = wrapped.and_then(|&(_, inner)| pairs(inner)).unwrap_or(root);
    Some(dict.iter().filter_map(|&(key, value)| Some((pickle.text(key)?.to_owned(), value))).collect())
}

/// Where a tensor's values lie.
struct View<'a> {
    kind: &'a str,
    key: &'a str,
    /// Values in the storage.
    values: usize,
    offset: usize,
    sizes: Vec<usize>,
    strides: Vec<usize>,
}

/// Reads `_rebuild_tensor_v2(storage, offset, sizes, strides, ...)`, bare or inside `_rebuild_parameter(tensor, ...)`.
fn view(pickle: &Pickle, id: Id) -> Option<View<'_>> {
    let call = |id| match pickle.get(id) {
        Value::Call(function, arguments) => match pickle.get(*function) {
            Value::Global(name) => Some((name.as_str(), pickle.tuple(*arguments)?)),
            _ => None,
        },
        _ => None,
    };
    let (name, arguments) = match call(id)? {
        ("torch._utils _rebuild_parameter", arguments) => call(*arguments.first()?)?,
        other => other,
    };
    let ("torch._utils _rebuild_tensor_v2", &[storage, offset, sizes, strides, ..]) = (name, arguments) else {
        return None;
    };
    let Value::Persistent(storage) = pickle.get(storage) else { return None };
    let &[tag, kind, key, _, values] = pickle.tuple(*storage)? else { return None };
    let (Some("storage"), Value::Global(kind)) = (pickle.text(tag), pickle.get(kind)) else { return None };
    let (sizes, strides) = (pickle.sizes(sizes)?, pickle.sizes(strides)?);
    let view = View {
        kind,
        key: pickle.text(key)?,
        values: pickle.size(values)?,
        offset: pickle.size(offset)?,
        sizes,
        strides,
    };
    (view.sizes.len() == view.strides.len()).then_some(view)
}

/// The values in row-major order, or nothing where one would lie outside.
fn gather(stored: &[[u8; 4]], offset: usize, shape: &[usize], strides: &[usize]) -> Option<Vec<f32>> {
    let mut positions = vec![offset];
    for (&size, &stride) in shape.iter().zip(strides) {
        let along = (0..size).map(|step| step.checked_mul(stride)).collect::<Option<Vec<usize>>>()?;
        let next = positions.iter().flat_map(|&start| along.iter().map(move |&step| start.checked_add(step)));
        positions = next.collect::<Option<_>>()?;
    }
    positions.into_iter().map(|at| stored.get(at).map(|bytes| f32::from_le_bytes(*bytes))).collect()
}

/// A file of the archive, refused where it has more bytes than `limit`.
fn read_entry(archive: &mut ZipArchive<Cursor<&[u8]>>, name: &str, limit: u64) -> Result<Vec<u8>, WeightsError> {
    let refuse = |reason: String| WeightsError::Torch(format!("`{name}`: {reason}"));
    let entry = archive.by_name(name).map_err(|error| refuse(error.to_string()))?;
    let mut content = Vec::new();
    entry.take(limit + 1).read_to_end(&mut content).map_err(|error| refuse(error.to_string()))?;
    match content.len() as u64 > limit {
        true => Err(refuse(format!("it has more than the {limit} bytes that it should have"))),
        false => Ok(content),
    }
}
