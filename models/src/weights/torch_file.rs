//! What `torch.save` writes: since version 1.6 a zip with a pickle and one file per storage, before that [`plain`] pickles.

use std::collections::HashMap;
use std::io::{Cursor, Read};

use zip::ZipArchive;

use super::pickle::{Id, Pickle, Value};
use super::strided::gather;
use super::torch_plain as plain;
use super::{Tensor, WeightsError};

/// A pickle of ResNet152's names has 200 kB.
const MAX_PICKLE_BYTES: u64 = 16 << 20;
/// Values of a storage that tensors of any size may look into.
const MAX_SHARED_VALUES: usize = 4 << 20;

/// A state dictionary and where its tensors' values lie.
pub(super) struct TorchFile<'a> {
    storages: Storages<'a>,
    pickle: Pickle,
    /// Tensors by name.
    tensors: HashMap<String, Id>,
}

/// Values of tensors by the key of their storage.
enum Storages<'a> {
    /// Since PyTorch 1.6: files of this folder of an archive.
    Zip(Box<ZipArchive<Cursor<&'a [u8]>>>, String),
    /// Before: behind the pickles, [`plain`].
    Plain(HashMap<String, &'a [u8]>),
}

impl<'a> TorchFile<'a> {
    /// Whether `torch.save` may have written these bytes: an archive, or a pickle that begins with the old format's number.
    pub(super) fn looks_like(bytes: &[u8]) -> bool {
        bytes.starts_with(b"PK") || bytes.starts_with(plain::MAGIC)
    }

    pub(super) fn open(bytes: &'a [u8]) -> Result<TorchFile<'a>, WeightsError> {
        if bytes.starts_with(plain::MAGIC) {
            let (pickle, values) = plain::open(bytes).map_err(WeightsError::Torch)?;
            return TorchFile::of(pickle, Storages::Plain(values));
        }
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
        TorchFile::of(pickle, Storages::Zip(Box::new(archive), folder))
    }

    fn of(pickle: Pickle, storages: Storages<'a>) -> Result<TorchFile<'a>, WeightsError> {
        let tensors = state_dict(&pickle)
            .ok_or_else(|| WeightsError::Torch("it holds no state dictionary: save `model.state_dict()`".into()))?;
        Ok(TorchFile { storages, pickle, tensors })
    }

    pub(super) fn holds(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The values of a tensor of this shape, whatever its strides in the file.
    pub(super) fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Tensor, WeightsError> {
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
        // Several tensors may share a storage, but none a storage of another size altogether.
        if values > MAX_SHARED_VALUES && values / 2 > shape.iter().product() {
            return Err(refuse("it is a small part of something absurdly large"));
        }
        let read;
        let bytes = match &mut self.storages {
            Storages::Zip(archive, folder) => {
                read = read_entry(archive, &format!("{folder}/data/{key}"), 4 * values as u64)?;
                read.as_slice()
            }
            Storages::Plain(all) => all.get(key).copied().ok_or_else(|| refuse("its values are not in the file"))?,
        };
        let (stored, _) = bytes.as_chunks::<4>();
        let data = gather(stored, offset, shape, &strides).ok_or_else(|| refuse("it reaches beyond its storage"))?;
        let data = data.into_iter().map(f32::from_le_bytes).collect();
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
    // The old format says at last whether the storage is part of another.
    let &[tag, kind, key, _, values, ..] = pickle.tuple(*storage)? else { return None };
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
