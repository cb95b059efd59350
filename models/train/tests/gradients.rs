//! Every layer kind against finite differences, and against burn's own operations.

use burn::tensor::{Device, Tensor, TensorData};
use models::heads::attention;
use models::weights::{Tensor as Array, Weights};
use models::zoo::mobilenet_v3_small as zoo;
use models_train::batch::Targets;
use models_train::loss::Loss;
use models_train::net::Head;
use models_train::ops::{Activation, Depthwise, average, depthwise, pointwise, scale};
use models_train::stage_two::distance;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const ACTIVATIONS: [Activation; 5] =
    [Activation::Linear, Activation::Relu, Activation::HardSwish, Activation::HardSigmoid, Activation::Sigmoid];

/// Values of an operand and its sizes.
type Operand = (Vec<f32>, Vec<usize>);

fn random(shape: &[usize], seed: u64) -> Operand {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    ((0..shape.iter().product()).map(|_| random.random_range(-2.0..2.0)).collect(), shape.to_vec())
}

fn tensor<const D: usize>((values, shape): &Operand, device: &Device) -> Tensor<D> {
    let shape: [usize; D] = shape.as_slice().try_into().expect("the operand's rank");
    Tensor::from_data(TensorData::new(values.clone(), shape), device)
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("f32")
}

/// One differentiable number out of a tensor, to which each element contributes differently.
fn weigh<const D: usize>(y: Tensor<D>) -> Tensor<1> {
    let count = y.shape().num_elements();
    let weights: Vec<f32> = (0..count).map(|i| (i as f32 * 0.7).sin() + 0.3).collect();
    let weights = Tensor::<1>::from_data(TensorData::new(weights, [count]), &y.device());
    (y.reshape([count]) * weights).sum()
}

/// Compares the gradient of `f` by its first operand with central differences.
fn check<const D: usize>(name: &str, x: &Operand, f: impl Fn(Tensor<D>) -> Tensor<1>) {
    let device = Device::flex().autodiff();
    let leaf = tensor::<D>(x, &device).require_grad();
    let gradients = f(leaf.clone()).backward();
    let analytic = numbers(leaf.grad(&gradients).expect("the operand takes part"));
    let value = |x: &Operand| f64::from(numbers(f(tensor::<D>(x, &device)))[0]);
    const STEP: f32 = 4e-3;
    let mut worst = 0.0_f64;
    let scale = analytic.iter().fold(1.0_f32, |top, g| top.max(g.abs()));
    for (at, &gradient) in analytic.iter().enumerate() {
        let mut moved = x.clone();
        moved.0[at] = x.0[at] + STEP;
        let up = value(&moved);
        moved.0[at] = x.0[at] - STEP;
        let numeric = (up - value(&moved)) / f64::from(2.0 * STEP);
        worst = worst.max((numeric - f64::from(gradient)).abs());
    }
    assert!(worst < 0.01 * f64::from(scale), "{name}: gradient off by {worst:.5} of {scale:.3}");
    assert!(analytic.iter().any(|g| g.abs() > 1e-3), "{name}: a gradient of zeros proves nothing");
}

#[test]
fn pointwise_gradients() {
    let (x, weight, bias) = (random(&[6, 5], 1), random(&[5, 4], 2), random(&[4], 3));
    for activation in ACTIVATIONS {
        let device = Device::flex().autodiff();
        let (tx, tw, tb) = (tensor(&x, &device), tensor(&weight, &device), tensor(&bias, &device));
        let name = |of: &str| format!("pointwise {activation:?} by {of}");
        check::<2>(&name("x"), &x, |x| weigh(pointwise(x, tensor(&weight, &device), tb.clone(), activation)));
        check::<2>(&name("weight"), &weight, |w| weigh(pointwise(tx.clone(), w, tensor(&bias, &device), activation)));
        check::<1>(&name("bias"), &bias, |b| weigh(pointwise(tensor(&x, &device), tw.clone(), b, activation)));
    }
}

#[test]
fn depthwise_gradients() {
    let device = Device::flex().autodiff();
    for (kernel, stride, height, width) in [(3, 1, 4, 5), (3, 2, 5, 4), (5, 1, 3, 4), (5, 2, 6, 7), (5, 1, 1, 2)] {
        let geometry = Depthwise { kernel, stride };
        let x = random(&[2, height, width, 3], 4);
        let (weight, bias) = (random(&[kernel * kernel, 3], 5), random(&[3], 6));
        for activation in [Activation::Relu, Activation::HardSwish] {
            let name = |of: &str| format!("depthwise {kernel}/{stride} {activation:?} by {of}");
            let run = |x, w, b| weigh(depthwise(x, w, b, geometry, activation));
            check::<4>(&name("x"), &x, |x| run(x, tensor(&weight, &device), tensor(&bias, &device)));
            check::<2>(&name("weight"), &weight, |w| run(tensor(&x, &device), w, tensor(&bias, &device)));
            check::<1>(&name("bias"), &bias, |b| run(tensor(&x, &device), tensor(&weight, &device), b));
        }
    }
}

#[test]
fn squeeze_and_excitation_gradients() {
    let device = Device::flex().autodiff();
    let (x, gate) = (random(&[2, 6, 4], 7), random(&[2, 4], 8));
    check::<3>("average", &x, |x| weigh(average(x)));
    check::<3>("scale by x", &x, |x| weigh(scale(x, tensor(&gate, &device))));
    check::<2>("scale by gate", &gate, |gate| weigh(scale(tensor(&x, &device), gate)));
}

/// Head weights small enough to differentiate numerically: everything but the feature count is as in the network.
fn head_weights(labels: usize, sharpness: Option<f32>) -> Weights {
    let mut weights = attention::init(labels, 9);
    if let Some(sharpness) = sharpness {
        weights.insert(attention::SHARPNESS, Array::scalar(sharpness));
    }
    weights
}

#[test]
fn head_pooling_and_loss_gradients() {
    let device = Device::flex().autodiff();
    let targets = Targets {
        images: vec![0.5, 0.5, 0.0, 0.0, 0.0, 1.0],
        weights: vec![1.0, 0.4],
        cells: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 1.0]].concat(),
        cell_weights: vec![0.5, 0.5, 0.0, 0.4],
        labels: vec![vec![0, 1], vec![2]],
    };
    for (sharpness, focus) in [(None, 0.0), (Some(0.7), 0.0), (Some(5.0), 0.0), (Some(5.0), 1.5)] {
        let loss = Loss { smoothing: 0.1, cell_weight: 0.7, focus };
        let head = Head::load(&head_weights(3, sharpness), zoo::FEATURES, 3, &device).unwrap();
        // 2 images of 1 x 2 cells; a window of the 576 features moves, the others stand.
        let (base, _) = random(&[2, 1, 2, 576], 10);
        let window: Operand = (base[..40].to_vec(), vec![40]);
        check::<1>(&format!("head with sharpness {sharpness:?}, focus {focus}"), &window, |window| {
            let rest = Tensor::<1>::from_data(TensorData::new(base[40..].to_vec(), [base.len() - 40]), &device);
            let map = Tensor::cat(vec![window, rest], 0).reshape([2, 1, 2, 576]);
            loss.of(head.forward(map), &targets, 1.4, &device).0 * 10.0
        });
    }
}

#[test]
fn distance_to_a_teacher_gradient() {
    let device = Device::flex().autodiff();
    let (map, _) = random(&[2, 2, 3, 4], 19);
    let teacher = tensor::<4>(&random(&[2, 2, 3, 4], 20), &device);
    check::<4>("distance", &(map.clone(), vec![2, 2, 3, 4]), |map| distance(map, teacher.clone()) * 10.0);
    let none = distance(teacher.clone(), teacher.clone());
    let whole = distance(teacher.zeros_like(), teacher);
    assert_eq!((numbers(none), numbers(whole)), (vec![0.0], vec![1.0]), "a share of the teacher's square");
}

#[test]
fn the_operations_agree_with_burns_own() {
    // On a device without a tape the operations fall back to burn's own.
    let (recorded, plain) = (Device::flex().autodiff(), Device::flex());
    let near = |name: &str, a: Vec<f32>, b: Vec<f32>| {
        assert_eq!(a.len(), b.len(), "{name}");
        let worst = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-4, "{name}: {worst}");
    };
    for activation in ACTIVATIONS {
        let (x, weight, bias) = (random(&[7, 19], 11), random(&[19, 13], 12), random(&[13], 13));
        let run = |d: &Device| numbers(pointwise(tensor(&x, d), tensor(&weight, d), tensor(&bias, d), activation));
        near("pointwise", run(&recorded), run(&plain));
        for (kernel, stride) in [(3, 1), (3, 2), (5, 1), (5, 2)] {
            let (x, weight, bias) = (random(&[2, 9, 6, 24], 14), random(&[kernel * kernel, 24], 15), random(&[24], 16));
            let geometry = Depthwise { kernel, stride };
            let run = |d: &Device| {
                numbers(depthwise(tensor(&x, d), tensor(&weight, d), tensor(&bias, d), geometry, activation))
            };
            near("depthwise", run(&recorded), run(&plain));
        }
    }
    let (x, gate) = (random(&[3, 10, 8], 17), random(&[3, 8], 18));
    near("average", numbers(average(tensor(&x, &recorded))), numbers(average(tensor(&x, &plain))));
    let run = |d: &Device| numbers(scale(tensor(&x, d), tensor(&gate, d)));
    near("scale", run(&recorded), run(&plain));
}
