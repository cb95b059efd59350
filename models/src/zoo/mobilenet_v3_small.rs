//! MobileNetV3-Small up to its last feature map, the batch norm folded into the convolutions.
//!
//! Source: Howard et al., "Searching for MobileNetV3", ICCV 2019, table 2, with torchvision's channel counts. In: `1 x 3 x
//! height x width` (RGB, torchvision's ImageNet recipe); out: `1 x 576 x height/32 x width/32`.
//!
//! A trunk may be cut: blocks with a shortcut may be left out, and channels inside a block. Its weights say which ([`blocks_of`]).

use crate::graph::{Conv, GraphBuilder};
use crate::weights::{Layer, Weights, WeightsError};

/// Channels after the first convolution.
pub const STEM: usize = 16;
/// Channels of the last feature map.
pub const FEATURES: usize = 576;
/// Input pixels per cell of the last feature map, each way.
pub const STRIDE: usize = 32;

/// The non-linearity of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `max(x, 0)`.
    Relu,
    /// `x * clamp(x / 6 + 1/2, 0, 1)`.
    HardSwish,
}

/// An inverted residual block: expand (1x1, activation), depthwise (kernel, stride, activation), squeeze and excitation
/// (ReLU inside, hard sigmoid gate), project (1x1, no activation). The input is added to the output where
/// [`Block::has_shortcut`]; the expansion is left out where [`Block::has_expansion`] says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Channels in.
    pub input: usize,
    /// Side of the depthwise kernel.
    pub kernel: usize,
    /// Channels of the depthwise convolution.
    pub expanded: usize,
    /// Channels out.
    pub output: usize,
    /// Channels inside squeeze and excitation, where the block has one.
    pub squeeze: Option<usize>,
    /// After the expansion and after the depthwise convolution.
    pub activation: Activation,
    /// Of the depthwise convolution.
    pub stride: usize,
}

impl Block {
    /// Whether the input is added to the output.
    pub const fn has_shortcut(&self) -> bool {
        self.stride == 1 && self.input == self.output
    }

    /// Whether there is an expansion: not where it would change no channel count.
    pub const fn has_expansion(&self) -> bool {
        self.expanded != self.input
    }
}

/// The blocks, in order, after the first convolution (3x3, stride 2, [`STEM`] channels, hard swish) and before the last
/// one (1x1, [`FEATURES`] channels, hard swish).
#[rustfmt::skip]
pub const BLOCKS: &[Block] = &[
    Block { input: 16, kernel: 3, expanded:  16, output: 16, squeeze: Some(8),   activation: Activation::Relu,      stride: 2 },
    Block { input: 16, kernel: 3, expanded:  72, output: 24, squeeze: None,      activation: Activation::Relu,      stride: 2 },
    Block { input: 24, kernel: 3, expanded:  88, output: 24, squeeze: None,      activation: Activation::Relu,      stride: 1 },
    Block { input: 24, kernel: 5, expanded:  96, output: 40, squeeze: Some(24),  activation: Activation::HardSwish, stride: 2 },
    Block { input: 40, kernel: 5, expanded: 240, output: 40, squeeze: Some(64),  activation: Activation::HardSwish, stride: 1 },
    Block { input: 40, kernel: 5, expanded: 240, output: 40, squeeze: Some(64),  activation: Activation::HardSwish, stride: 1 },
    Block { input: 40, kernel: 5, expanded: 120, output: 48, squeeze: Some(32),  activation: Activation::HardSwish, stride: 1 },
    Block { input: 48, kernel: 5, expanded: 144, output: 48, squeeze: Some(40),  activation: Activation::HardSwish, stride: 1 },
    Block { input: 48, kernel: 5, expanded: 288, output: 96, squeeze: Some(72),  activation: Activation::HardSwish, stride: 2 },
    Block { input: 96, kernel: 5, expanded: 576, output: 96, squeeze: Some(144), activation: Activation::HardSwish, stride: 1 },
    Block { input: 96, kernel: 5, expanded: 576, output: 96, squeeze: Some(144), activation: Activation::HardSwish, stride: 1 },
];

/// The first convolution.
pub fn stem() -> Layer {
    Layer { name: "stem".into(), inputs: 3, outputs: STEM, conv: Conv { kernel: 3, stride: 2, groups: 1 } }
}

/// The convolutions of block `index`, in the order in which they run.
pub struct BlockLayers {
    /// 1x1 to the expanded channels, where the block has one.
    pub expand: Option<Layer>,
    /// Depthwise.
    pub depthwise: Layer,
    /// Squeeze (1x1 on the global average) and excitation (1x1 back), where the block has them.
    pub squeeze: Option<(Layer, Layer)>,
    /// 1x1 to the block's output.
    pub project: Layer,
}

impl BlockLayers {
    /// The layers of block `index` of [`BLOCKS`].
    pub fn of(index: usize) -> BlockLayers {
        BlockLayers::of_block(index, &BLOCKS[index])
    }

    /// The same of what a cut left of it.
    pub fn of_block(index: usize, block: &Block) -> BlockLayers {
        let name = |part: &str| format!("blocks.{index}.{part}");
        let conv = Conv { kernel: block.kernel, stride: block.stride, groups: block.expanded };
        BlockLayers {
            expand: block.has_expansion().then(|| Layer::pointwise(name("expand"), block.input, block.expanded)),
            depthwise: Layer { name: name("depthwise"), inputs: block.expanded, outputs: block.expanded, conv },
            squeeze: block.squeeze.map(|squeeze| {
                let reduce = Layer::pointwise(name("se.reduce"), block.expanded, squeeze);
                (reduce, Layer::pointwise(name("se.expand"), squeeze, block.expanded))
            }),
            project: Layer::pointwise(name("project"), block.expanded, block.output),
        }
    }
}

/// The last convolution.
pub fn last() -> Layer {
    Layer::pointwise("last", BLOCKS[BLOCKS.len() - 1].output, FEATURES)
}

/// The blocks that weights hold, each with its place in [`BLOCKS`]: all as they stand there, or what a cut left of them. Of a block that
/// is there only in part nothing is taken to be cut; its weights are then refused.
pub fn blocks_of(weights: &Weights) -> Vec<(usize, Block)> {
    let of = |(index, &whole): (usize, &Block)| {
        let prefix = format!("blocks.{index}.");
        let is_there = weights.0.range(prefix.clone()..).next().is_some_and(|(name, _)| name.starts_with(&prefix));
        if whole.has_shortcut() && !is_there {
            return None;
        }
        let depthwise = weights.0.get(&format!("{prefix}depthwise.weight"));
        let expanded = depthwise.and_then(|weight| weight.shape.first()).copied().unwrap_or(whole.expanded);
        let cut = whole.has_expansion() && (1..whole.expanded).contains(&expanded) && expanded != whole.input;
        Some((index, if cut { Block { expanded, ..whole } } else { whole }))
    };
    BLOCKS.iter().enumerate().filter_map(of).collect()
}

/// Whether these are the weights of a whole trunk, of which nothing was cut.
pub fn is_whole(weights: &Weights) -> bool {
    blocks_of(weights).into_iter().eq(BLOCKS.iter().copied().enumerate())
}

/// Refuses the weights of a cut trunk where a whole one is needed.
///
/// # Errors
/// [`WeightsError::Invalid`]; what is none of our trunk's weights at all is let through.
pub fn refuse_cut(weights: &Weights) -> Result<(), WeightsError> {
    match !is_whole(weights) && weights.only(&layers_of(weights)).is_ok() {
        true => Err(WeightsError::Invalid(
            "its trunk was cut by a search for a quicker network (docs/SEARCH.md), and this needs a whole one: take the bundle, or the \
             trunk, that the search began with, or train one by `inspectd train`"
                .into(),
        )),
        false => Ok(()),
    }
}

/// All convolutions of the whole trunk, in the order in which they run.
pub fn layers() -> Vec<Layer> {
    layers_of_blocks(BLOCKS.iter().copied().enumerate())
}

/// All convolutions of the trunk that weights hold.
pub fn layers_of(weights: &Weights) -> Vec<Layer> {
    layers_of_blocks(blocks_of(weights))
}

fn layers_of_blocks(blocks: impl IntoIterator<Item = (usize, Block)>) -> Vec<Layer> {
    let mut all = vec![stem()];
    for (index, block) in blocks {
        let BlockLayers { expand, depthwise, squeeze, project } = BlockLayers::of_block(index, &block);
        all.extend(expand);
        all.push(depthwise);
        all.extend(squeeze.into_iter().flat_map(|(reduce, expand)| [reduce, expand]));
        all.push(project);
    }
    all.push(last());
    all
}

/// Name of the value that block `index` gives in a graph of ours: `1 x output x height/stride x width/stride`.
pub fn block_output(index: usize) -> String {
    match BLOCKS[index].has_shortcut() {
        true => format!("blocks.{index}"),
        false => format!("blocks.{index}.project"),
    }
}

/// Input pixels per cell, each way, after block `index`.
pub fn block_stride(index: usize) -> usize {
    BLOCKS[..=index].iter().fold(stem().conv.stride, |stride, block| stride * block.stride)
}

/// Multiplications of one pass up to the last feature map at `[height, width]` pixels, biases and activations left out.
pub fn multiplications(size: [usize; 2]) -> usize {
    let pixels = size[0] * size[1];
    let at = |layer: &Layer, stride: usize| {
        pixels / (stride * stride) * layer.outputs * layer.weight_shape()[1..].iter().product::<usize>()
    };
    let mut stride = stem().conv.stride;
    let mut sum = at(&stem(), stride);
    for index in 0..BLOCKS.len() {
        let BlockLayers { expand, depthwise, project, .. } = BlockLayers::of(index);
        sum += expand.map_or(0, |expand| at(&expand, stride));
        stride = block_stride(index);
        sum += at(&depthwise, stride) + at(&project, stride);
    }
    sum + at(&last(), stride)
}

/// Name of the last feature map in a graph of ours.
pub const LAST_MAP: &str = "last.hard_swish";

/// Adds the trunk to a graph, cut as its weights are; returns the name of the last feature map.
pub fn build(graph: &mut GraphBuilder, weights: &Weights, input: &str) -> Result<String, WeightsError> {
    let x = stem().build(graph, weights, input)?;
    let mut x = graph.hard_swish(&x);
    for (index, block) in blocks_of(weights) {
        x = build_block(graph, weights, (index, &block), &x)?;
    }
    let x = last().build(graph, weights, &x)?;
    Ok(graph.hard_swish(&x))
}

fn build_block(
    graph: &mut GraphBuilder,
    weights: &Weights,
    (index, block): (usize, &Block),
    input: &str,
) -> Result<String, WeightsError> {
    let BlockLayers { expand, depthwise, squeeze, project } = BlockLayers::of_block(index, block);
    let mut x = input.to_owned();
    if let Some(expand) = expand {
        x = expand.build(graph, weights, &x)?;
        x = activate(graph, block.activation, &x);
    }
    x = depthwise.build(graph, weights, &x)?;
    x = activate(graph, block.activation, &x);
    if let Some((reduce, expand)) = squeeze {
        let average = graph.global_average(&x, &format!("blocks.{index}.se.average"));
        let squeezed = reduce.build(graph, weights, &average)?;
        let squeezed = graph.relu(&squeezed);
        let gate = expand.build(graph, weights, &squeezed)?;
        let gate = graph.hard_sigmoid(&gate);
        x = graph.mul(&x, &gate, &format!("blocks.{index}.se"));
    }
    x = project.build(graph, weights, &x)?;
    if block.has_shortcut() {
        x = graph.add(&x, input, &format!("blocks.{index}"));
    }
    Ok(x)
}

fn activate(graph: &mut GraphBuilder, activation: Activation, x: &str) -> String {
    match activation {
        Activation::Relu => graph.relu(x),
        Activation::HardSwish => graph.hard_swish(x),
    }
}

/// The trunk alone as a model: input `image` (`1 x 3 x height x width`), output `features` (`1 x 576`), the global
/// average. `size` is `[height, width]`, each a multiple of [`STRIDE`].
pub fn build_features(weights: &Weights, size: [usize; 2]) -> Result<Vec<u8>, WeightsError> {
    let [height, width] = checked_size(size)?;
    let mut graph = GraphBuilder::new("mobilenet_v3_small");
    let image = graph.input("image", &[1, 3, height, width]);
    let map = build(&mut graph, weights, &image)?;
    let average = graph.global_average(&map, "average");
    graph.flatten(&average, "features");
    graph.output("features", &[1, FEATURES]);
    Ok(graph.finish())
}

/// The trunk alone as a model: input `image` (`1 x 3 x height x width`), output `map` (`1 x 576 x height/32 x width/32`),
/// the last feature map. What a trainer with a frozen trunk caches.
pub fn build_map(weights: &Weights, size: [usize; 2]) -> Result<Vec<u8>, WeightsError> {
    let [height, width] = checked_size(size)?;
    let mut graph = GraphBuilder::new("mobilenet_v3_small");
    let image = graph.input("image", &[1, 3, height, width]);
    let map = build(&mut graph, weights, &image)?;
    graph.node("Identity", &[&map], "map", Vec::new());
    graph.output("map", &[1, FEATURES, height / STRIDE, width / STRIDE]);
    Ok(graph.finish())
}

/// Refuses input sizes (`[height, width]` in pixels) that do not divide into whole cells.
pub fn checked_size(size: [usize; 2]) -> Result<[usize; 2], WeightsError> {
    let whole = |side: usize| side.is_multiple_of(STRIDE) && (STRIDE..=4096).contains(&side);
    match size.iter().all(|&side| whole(side)) {
        true => Ok(size),
        false => Err(WeightsError::Invalid(format!(
            "input size {} x {} does not fit: each side must be a multiple of {STRIDE} between {STRIDE} and 4096",
            size[1], size[0]
        ))),
    }
}
