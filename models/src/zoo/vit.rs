//! ViT-B/16 as torchvision has it, one picture at a time: tokens are the rows of a matrix.
//!
//! Source: torchvision `models/vision_transformer.py`; Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021.

use super::CLASSES;
use super::family::{Family, Published};
use super::frozen::Last;
use super::net::{Filter, Map, Net, Padding, Style};
use super::recipe::Recipe;
use super::tensors::{Role, Source};
use crate::graph::proto::AttributeProto;
use crate::weights::{Tensor, WeightsError};

/// 86.6 million parameters. The embedding of places fits one input size.
pub(super) const VIT_B_16: Family = Family {
    name: "vit_b_16",
    style: Style { source: Source::Torchvision, epsilon: EPSILON as f64, padding: Padding::Valid },
    size: 224,
    least: 224,
    recipe: Recipe::TORCHVISION,
    published: Published { top1_percent: 81.072, by: "torchvision, IMAGENET1K_V1" },
    last: Last::Tokens,
    features,
    classifier,
};

const PATCH: usize = 16;
const WIDTH: usize = 768;
const HEADS: usize = 12;
const HIDDEN: usize = 3072;
const LAYERS: usize = 12;
/// Added to the variance by every layer norm.
const EPSILON: f32 = 1e-6;

/// The last layer's tokens: the class token's row, then one row for each place.
fn features(net: &mut Net<'_>, image: &Map) -> Result<Map, WeightsError> {
    let patches = net.conv(image, "conv_proj", Filter::new(WIDTH, PATCH, PATCH))?;
    let places = patches.size[0] * patches.size[1];
    let flat = net.graph.reshape(&patches.name, &[WIDTH, places], "patches");
    let rows = net.graph.transpose(&flat, &[1, 0], "patches.rows");
    let class = matrix(net, "class_token", &[1, 1, WIDTH])?;
    let tokens = net.graph.concat(&[&class, &rows], 0, "tokens");
    let embedding = matrix(net, "encoder.pos_embedding", &[1, places + 1, WIDTH])?;
    let mut x = net.graph.add(&tokens, &embedding, "embedded");
    net.constant("epsilon", Some(Tensor::scalar(EPSILON)));
    net.constant("one", Some(Tensor::scalar(1.0)));
    net.constant("half", Some(Tensor::scalar(0.5)));
    net.constant("root", Some(Tensor::scalar(std::f32::consts::FRAC_1_SQRT_2)));
    net.constant("sharpness", Some(Tensor::scalar(1.0 / ((WIDTH / HEADS) as f32).sqrt())));
    for layer in 0..LAYERS {
        x = encode(net, &x, places + 1, &format!("encoder.layers.encoder_layer_{layer}"))?;
    }
    Ok(Map { name: norm(net, &x, "encoder.ln")?, ..patches })
}

fn classifier(net: &mut Net<'_>, tokens: &Map) -> Result<String, WeightsError> {
    let first = net.graph.pick(&tokens.name, 0, &[0], "first");
    net.dense(&first, [WIDTH, CLASSES], "heads.head")
}

/// A constant whose leading axis of 1 is left out.
fn matrix(net: &mut Net<'_>, name: &str, shape: &[usize]) -> Result<String, WeightsError> {
    let tensor = net.take(name.into(), shape, Role::Embedding)?;
    Ok(net.constant(name, tensor.map(|tensor| Tensor { shape: shape[1..].to_vec(), ..tensor })))
}

fn encode(net: &mut Net<'_>, x: &str, tokens: usize, name: &str) -> Result<String, WeightsError> {
    let y = norm(net, x, &format!("{name}.ln_1"))?;
    let y = attend(net, &y, tokens, &format!("{name}.self_attention"))?;
    let x = net.graph.add(x, &y, &format!("{name}.attended"));
    let y = norm(net, &x, &format!("{name}.ln_2"))?;
    let y = linear(net, &y, tokens, &format!("{name}.mlp.0"), [WIDTH, HIDDEN])?;
    let y = gelu(net, &y);
    let y = linear(net, &y, tokens, &format!("{name}.mlp.3"), [HIDDEN, WIDTH])?;
    Ok(net.graph.add(&x, &y, name))
}

/// Layer norm of each row, written out: the operator of its own is younger than some runtimes.
fn norm(net: &mut Net<'_>, x: &str, layer: &str) -> Result<String, WeightsError> {
    let [gamma, beta] = [("weight", Role::Gamma), ("bias", Role::Beta)].map(|(part, role)| {
        let name = format!("{layer}.{part}");
        let tensor = net.take(name.clone(), &[WIDTH], role)?;
        Ok::<_, WeightsError>(net.constant(&name, tensor))
    });
    let (gamma, beta) = (gamma?, beta?);
    let name = |part: &str| format!("{layer}.{part}");
    let graph = &mut net.graph;
    let mean = graph.mean_along(x, 1, true, &name("mean"));
    let off = graph.node("Sub", &[x, &mean], &name("off"), Vec::new());
    let square = graph.mul(&off, &off, &name("square"));
    let variance = graph.mean_along(&square, 1, true, &name("variance"));
    let variance = graph.add(&variance, "epsilon", &name("variance.epsilon"));
    let deviation = graph.node("Sqrt", &[&variance], &name("deviation"), Vec::new());
    let normed = graph.node("Div", &[&off, &deviation], &name("normed"), Vec::new());
    let scaled = graph.mul(&normed, &gamma, &name("scaled"));
    Ok(graph.add(&scaled, &beta, layer))
}

/// A dense layer on each row.
fn linear(net: &mut Net<'_>, x: &str, tokens: usize, layer: &str, sizes: [usize; 2]) -> Result<String, WeightsError> {
    let weight = net.take(format!("{layer}.weight"), &[sizes[1], sizes[0]], Role::Kernel)?;
    let bias = net.take(format!("{layer}.bias"), &[sizes[1]], Role::Bias)?;
    Ok(net.rows(x, tokens, layer, [weight, bias], sizes))
}

/// `x / 2 * (1 + erf(x / sqrt(2)))`, exact.
fn gelu(net: &mut Net<'_>, x: &str) -> String {
    let graph = &mut net.graph;
    let scaled = graph.mul(x, "root", &format!("{x}.root"));
    let erf = graph.node("Erf", &[&scaled], &format!("{x}.erf"), Vec::new());
    let sum = graph.add(&erf, "one", &format!("{x}.sum"));
    let product = graph.mul(x, &sum, &format!("{x}.product"));
    graph.mul(&product, "half", &format!("{x}.gelu"))
}

/// Each token looks at all of them, by several heads side by side.
fn attend(net: &mut Net<'_>, x: &str, tokens: usize, name: &str) -> Result<String, WeightsError> {
    // One tensor holds the rows of queries, keys and values.
    let weight = net.take(format!("{name}.in_proj_weight"), &[3 * WIDTH, WIDTH], Role::Kernel)?;
    let bias = net.take(format!("{name}.in_proj_bias"), &[3 * WIDTH], Role::Bias)?;
    let mut project = |at: usize, part: &str, order: &[i64]| {
        let third = |tensor: &Option<Tensor>, shape: &[usize]| {
            let third = tensor.as_ref()?.data.chunks_exact(shape.iter().product()).nth(at)?;
            Some(Tensor { shape: shape.to_vec(), data: third.to_vec() })
        };
        let tensors = [third(&weight, &[WIDTH, WIDTH]), third(&bias, &[WIDTH])];
        let layer = format!("{name}.{part}");
        let rows = net.rows(x, tokens, &layer, tensors, [WIDTH, WIDTH]);
        let heads = net.graph.reshape(&rows, &[tokens, HEADS, WIDTH / HEADS], &format!("{layer}.heads"));
        net.graph.transpose(&heads, order, &format!("{layer}.by_head"))
    };
    let queries = project(0, "queries", &[1, 0, 2]);
    let keys = project(1, "keys", &[1, 2, 0]);
    let values = project(2, "values", &[1, 0, 2]);
    net.multiply_adds += 2 * (tokens * tokens * WIDTH) as u64;
    let graph = &mut net.graph;
    let queries = graph.mul(&queries, "sharpness", &format!("{name}.sharpened"));
    let alike = graph.product(&queries, &keys, &format!("{name}.alike"));
    let last = vec![AttributeProto::int("axis", 2)];
    let shares = graph.node("Softmax", &[&alike], &format!("{name}.shares"), last);
    let seen = graph.product(&shares, &values, &format!("{name}.seen"));
    let seen = graph.transpose(&seen, &[1, 0, 2], &format!("{name}.by_token"));
    let seen = graph.reshape(&seen, &[tokens, WIDTH], &format!("{name}.rows"));
    linear(net, &seen, tokens, &format!("{name}.out_proj"), [WIDTH, WIDTH])
}
