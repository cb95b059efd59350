//! Keras' files, written by Keras itself (`tests/data/keras_weights.py`): every value of every layer at its place.

use models::weights::{Checkpoint, Tensor, WeightsError};
use models::zoo::{Role, Spec, Tensors};

const FILES: [(&str, &[u8]); 4] = [
    ("Keras 3's .weights.h5", include_bytes!("../data/keras.weights.h5")),
    ("Keras 3's .keras", include_bytes!("../data/keras.keras")),
    ("Keras 3's whole .h5", include_bytes!("../data/keras_whole.h5")),
    ("Keras 2's .h5", include_bytes!("../data/keras_2.h5")),
];

fn spec(name: &str, shape: &[usize], role: Role) -> Spec {
    Spec { name: name.into(), shape: shape.into(), role }
}

/// A value for each place of `shape`, from the place.
fn each<const N: usize>(shape: [usize; N], value: impl Fn([usize; N]) -> usize) -> Tensor {
    let count: usize = shape.iter().product();
    let place = |at: usize| {
        let mut rest = at;
        let mut place = [0; N];
        for axis in (0..N).rev() {
            place[axis] = rest % shape[axis];
            rest /= shape[axis];
        }
        value(place) as f32
    };
    Tensor { shape: shape.to_vec(), data: (0..count).map(place).collect() }
}

fn vector(from: usize, len: usize) -> Tensor {
    each([len], |[at]| from + at)
}

/// What each tensor holds, from the order in which the script counts: rows, columns, inputs, outputs.
fn expected() -> Vec<(Spec, Tensor)> {
    vec![
        (
            spec("a_conv/kernel", &[4, 3, 3, 3], Role::Kernel),
            each([4, 3, 3, 3], |[output, input, row, column]| ((row * 3 + column) * 3 + input) * 4 + output),
        ),
        (spec("a_conv/bias", &[4], Role::Bias), vector(108, 4)),
        (spec("a_bn/gamma", &[4], Role::Gamma), vector(112, 4)),
        (spec("a_bn/beta", &[4], Role::Beta), vector(116, 4)),
        (spec("a_bn/moving_mean", &[4], Role::Mean), vector(120, 4)),
        (spec("a_bn/moving_variance", &[4], Role::Variance), vector(124, 4)),
        (
            spec("a_dw/kernel", &[4, 1, 3, 3], Role::Kernel),
            each([4, 1, 3, 3], |[channel, _, row, column]| 128 + (row * 3 + column) * 4 + channel),
        ),
        (spec("sep/depthwise_kernel", &[4, 1, 1, 1], Role::Kernel), each([4, 1, 1, 1], |[channel, ..]| 164 + channel)),
        (
            spec("sep/pointwise_kernel", &[5, 4, 1, 1], Role::Kernel),
            each([5, 4, 1, 1], |[output, input, ..]| 168 + input * 5 + output),
        ),
        // A dense layer on the flattened map of 2 x 2 cells is a convolution over it.
        (
            spec("fc1/kernel", &[2, 5, 2, 2], Role::Kernel),
            each([2, 5, 2, 2], |[output, input, row, column]| 188 + ((row * 2 + column) * 5 + input) * 2 + output),
        ),
        (spec("fc1/bias", &[2], Role::Bias), vector(228, 2)),
        (spec("predictions/kernel", &[3, 2], Role::Kernel), each([3, 2], |[output, input]| 230 + input * 3 + output)),
        (spec("predictions/bias", &[3], Role::Bias), vector(236, 3)),
    ]
}

#[test]
fn every_form_gives_every_value_at_its_place() {
    for (file, bytes) in FILES {
        let mut checkpoint = Checkpoint::open(bytes).unwrap();
        for (spec, expected) in expected() {
            assert_eq!(checkpoint.tensor(&spec).unwrap(), expected, "{} of {file}", spec.name);
        }
    }
}

#[test]
fn tensors_that_do_not_fit_are_refused_by_name() {
    for (file, bytes) in FILES {
        let mut checkpoint = Checkpoint::open(bytes).unwrap();
        let missing = checkpoint.tensor(&spec("b_conv/kernel", &[4, 3, 3, 3], Role::Kernel)).unwrap_err();
        assert!(matches!(&missing, WeightsError::Missing(name) if name == "b_conv/kernel"), "{file}: {missing}");
        let other = checkpoint.tensor(&spec("a_conv/kernel", &[8, 3, 3, 3], Role::Kernel)).unwrap_err();
        assert!(matches!(&other, WeightsError::Shape { found, .. } if *found == [3, 3, 3, 4]), "{file}: {other}");
        let dense = checkpoint.tensor(&spec("predictions/kernel", &[2, 3], Role::Kernel)).unwrap_err();
        assert!(matches!(dense, WeightsError::Shape { .. }), "{file}: {dense}");
    }
}

/// Damage gives an error or, beyond what is read, nothing: never a panic, and never more memory than the tensor that was asked for.
#[test]
fn damaged_files_are_refused_without_panic() {
    for (file, bytes) in FILES {
        for at in (0..bytes.len()).step_by(97) {
            let mut damaged = bytes.to_vec();
            damaged[at] ^= 0x5a;
            let cut = &bytes[..at];
            for some in [damaged.as_slice(), cut] {
                if let Ok(mut checkpoint) = Checkpoint::open(some) {
                    expected().iter().for_each(|(spec, _)| drop(checkpoint.tensor(spec)));
                }
            }
        }
        let half = Checkpoint::open(&bytes[..bytes.len() / 2]).map(drop).unwrap_err();
        println!("half of {file}: {half}");
    }
}
