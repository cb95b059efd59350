//! What `torch.save` wrote before version 1.6: five pickles (a number, the version, the machine, the object, the keys of its storages)
//! and then each storage, as its count of values and the values.
//!
//! Source: `_legacy_save` in torch/serialization.py.

use std::collections::HashMap;

use super::pickle::{Pickle, Value};

/// How such a file begins: protocol 2, a whole number of ten bytes, PyTorch's own.
pub(super) const MAGIC: &[u8] = &[0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, b'.'];

/// The object's pickle, and the bytes of each storage by its key.
pub(super) fn open(bytes: &[u8]) -> Result<(Pickle, HashMap<String, &[u8]>), String> {
    let next = |rest| Pickle::read_first(rest).map_err(|reason| format!("its pickle: {reason}"));
    let (_, rest) = next(&bytes[MAGIC.len()..])?;
    // PyTorch writes little-endian numbers on every machine.
    let (_, rest) = next(rest)?;
    let (object, rest) = next(rest)?;
    let (keys, mut rest) = next(rest)?;
    let widths = widths(&object);
    let mut storages = HashMap::new();
    for &key in keys.list(keys.root()).ok_or("it does not list its storages")? {
        let key = keys.text(key).ok_or("the key of a storage is no text")?;
        let width = *widths.get(key).ok_or_else(|| format!("storage `{key}` is of no known type"))?;
        let (count, values) = rest.split_first_chunk::<8>().ok_or("it ends too early")?;
        let length = usize::try_from(u64::from_le_bytes(*count)).ok().and_then(|count| count.checked_mul(width));
        let (values, after) =
            length.and_then(|length| values.split_at_checked(length)).ok_or("it ends inside a storage")?;
        storages.insert(key.to_owned(), values);
        rest = after;
    }
    Ok((object, storages))
}

/// Bytes of a value of each storage.
fn widths(object: &Pickle) -> HashMap<&str, usize> {
    let one = |description: &[usize]| {
        let &[_, kind, key, ..] = description else { return None };
        let Value::Global(kind) = object.get(kind) else { return None };
        let width = match kind.strip_prefix("torch ")? {
            "DoubleStorage" | "LongStorage" => 8,
            "FloatStorage" | "IntStorage" => 4,
            "HalfStorage" | "BFloat16Storage" | "ShortStorage" => 2,
            "ByteStorage" | "CharStorage" | "BoolStorage" => 1,
            _ => return None,
        };
        Some((object.text(key)?, width))
    };
    object.outside().filter_map(one).collect()
}
