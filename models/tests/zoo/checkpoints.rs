//! A family's weights read from files by the source's names: the graph is the one that was built of the same values directly.

use models::weights::{Checkpoint, WeightsError};
use models::zoo::{Family, Random, Spec, Tensors};
use serde_json::json;

const SEED: u64 = 5;

/// A small family, its tensors, and the graph that they give.
fn wanted() -> (&'static Family, Vec<Spec>, Vec<u8>) {
    let family = Family::find("mobilenet_v3_small").unwrap();
    let graph = family.build(64, &mut Random(SEED)).unwrap();
    (family, family.books(64).unwrap().tensors, graph)
}

fn values(spec: &Spec) -> Vec<u8> {
    Random(SEED).tensor(spec).unwrap().data.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn safetensors(specs: &[Spec]) -> Vec<u8> {
    safetensors_of(specs.iter().map(|spec| (spec.name.clone(), spec.shape.clone(), values(spec))))
}

/// A file of these names, shapes and bytes.
pub(crate) fn safetensors_of(tensors: impl Iterator<Item = (String, Vec<usize>, Vec<u8>)>) -> Vec<u8> {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    header.insert("__metadata__".into(), json!({ "format": "pt" }));
    for (name, shape, values) in tensors {
        let from = data.len();
        data.extend(values);
        header.insert(name, json!({ "dtype": "F32", "shape": shape, "data_offsets": [from, data.len()] }));
    }
    let header = serde_json::to_vec(&header).unwrap();
    [&(header.len() as u64).to_le_bytes(), &header[..], &data].concat()
}

#[test]
fn safetensors_give_the_same_graph() {
    let (family, specs, graph) = wanted();
    let file = safetensors(&specs);
    assert!(family.build(64, &mut Checkpoint::open(&file).unwrap()).unwrap() == graph);
}

#[test]
fn safetensors_that_do_not_fit_are_refused_by_name() {
    let (family, specs, _) = wanted();
    let refused =
        |file: &[u8]| Checkpoint::open(file).and_then(|mut weights| family.build(64, &mut weights)).unwrap_err();
    let without = refused(&safetensors(&specs[1..]));
    assert!(matches!(&without, WeightsError::Missing(name) if *name == specs[0].name), "{without}");
    let mut other = specs.clone();
    other[0].shape = vec![16, 27];
    assert!(matches!(refused(&safetensors(&other)), WeightsError::Shape { .. }));
    let whole = safetensors(&specs);
    let cut = refused(&whole[..whole.len() - 4]);
    assert!(matches!(cut, WeightsError::Safetensors(_)), "{cut}");
    assert!(matches!(Checkpoint::open(b"no weights at all"), Err(WeightsError::UnknownKind)));
}

/// The opcodes of Python's pickle that `torch.save` uses.
mod pickle {
    pub(super) fn text(out: &mut Vec<u8>, text: &str) {
        out.push(b'X');
        out.extend((text.len() as u32).to_le_bytes());
        out.extend(text.as_bytes());
    }

    pub(super) fn int(out: &mut Vec<u8>, number: usize) {
        out.push(b'J');
        out.extend((number as i32).to_le_bytes());
    }

    pub(super) fn ints(out: &mut Vec<u8>, numbers: &[usize]) {
        out.push(b'(');
        numbers.iter().for_each(|&number| int(out, number));
        out.push(b't');
    }
}

/// What `torch.save` wrote before version 1.6. The tensors lie in memory the other way round, as convolutions in "channels last" do.
fn old_pth(specs: &[Spec]) -> Vec<u8> {
    let mut file = vec![0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, b'.'];
    file.extend([0x80, 2, b'M', 0xe9, 3, b'.']);
    file.extend([0x80, 2, b'}', b'.']);
    file.extend([0x80, 2, b'}', b'(']);
    for (key, spec) in specs.iter().enumerate() {
        pickle::text(&mut file, &spec.name);
        file.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        pickle::text(&mut file, "storage");
        file.extend(b"ctorch\nFloatStorage\n");
        pickle::text(&mut file, &key.to_string());
        pickle::text(&mut file, "cpu");
        pickle::int(&mut file, spec.len());
        file.extend(b"NtQ");
        pickle::int(&mut file, 0);
        pickle::ints(&mut file, &spec.shape);
        let strides: Vec<usize> = (0..spec.shape.len()).map(|axis| spec.shape[..axis].iter().product()).collect();
        pickle::ints(&mut file, &strides);
        file.extend([0x89, b'N', b't', b'R']);
    }
    file.extend(b"u.");
    file.extend([0x80, 2, b']', b'(']);
    (0..specs.len()).for_each(|key| pickle::text(&mut file, &key.to_string()));
    file.extend(b"e.");
    for spec in specs {
        file.extend((spec.len() as u64).to_le_bytes());
        file.extend(reversed_axes(spec));
    }
    file
}

/// The values with the first axis running fastest.
fn reversed_axes(spec: &Spec) -> Vec<u8> {
    let rows = values(spec);
    let mut out = vec![0; rows.len()];
    for (at, value) in rows.as_chunks::<4>().0.iter().enumerate() {
        let (mut rest, mut place) = (at, 0);
        for axis in (0..spec.shape.len()).rev() {
            place += rest % spec.shape[axis] * spec.shape[..axis].iter().product::<usize>();
            rest /= spec.shape[axis];
        }
        out[4 * place..][..4].copy_from_slice(value);
    }
    out
}

#[test]
fn a_pth_from_before_version_1_6_gives_the_same_graph_whatever_its_strides() {
    let (family, specs, graph) = wanted();
    let file = old_pth(&specs);
    assert!(family.build(64, &mut Checkpoint::open(&file).unwrap()).unwrap() == graph);
    let refused = Checkpoint::open(&file[..file.len() - 4]).map(drop).unwrap_err();
    assert!(refused.to_string().contains("it ends inside a storage"), "{refused}");
}
