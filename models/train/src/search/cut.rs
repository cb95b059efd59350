//! A trunk made smaller: blocks left out, channels inside blocks taken away.
//!
//! A block with a shortcut gives its input and a correction; without the block the input goes on, and all shapes stay. Inside a block each
//! channel passes expansion, depthwise convolution, squeeze and excitation and projection by itself, so that it can be taken out of all of
//! them; what a block takes and gives stays as it is, and so do the shortcuts. Kept are the channels of largest norm.
//!
//! Sources: Li et al., "Pruning Filters for Efficient ConvNets", ICLR 2017 (norms); Liu et al., "Learning Efficient Convolutional Networks
//! through Network Slimming", ICCV 2017 (the batch norm's scale tells what a channel is worth: here it is folded into the depthwise filter).

use models::weights::{Layer, Tensor, Weights, WeightsError};
use models::zoo::mobilenet_v3_small::{BLOCKS, Block, BlockLayers, last, layers, stem};

/// Channels are kept by so many, which processors take together.
const TOGETHER: usize = 8;

/// The trunk without its last `left_out` blocks of those with a shortcut, and with this share of the channels inside each other block, 0 to 1.
///
/// # Errors
/// When the weights are not those of a whole trunk.
pub fn cut(trunk: &Weights, left_out: usize, width: f64) -> Result<Weights, WeightsError> {
    let whole = trunk.only(&layers())?;
    let gone: Vec<usize> =
        (0..BLOCKS.len()).rev().filter(|&index| BLOCKS[index].has_shortcut()).take(left_out).collect();
    let mut weights = whole.only(&[stem(), last()])?;
    for (index, block) in BLOCKS.iter().enumerate().filter(|(index, _)| !gone.contains(index)) {
        weights.merge(cut_block(&whole, index, block, kept(block, width))?);
    }
    Ok(weights)
}

/// How many channels of a block are kept. Never as many as it takes in: a block without an expansion is another one.
fn kept(block: &Block, width: f64) -> usize {
    if !block.has_expansion() {
        return block.expanded;
    }
    let share = (width.clamp(0.0, 1.0) * block.expanded as f64).ceil() as usize;
    let kept = share.next_multiple_of(TOGETHER).max(TOGETHER);
    let kept = if kept == block.input { kept + TOGETHER } else { kept };
    kept.min(block.expanded)
}

/// A block with so many of its channels.
fn cut_block(whole: &Weights, index: usize, block: &Block, count: usize) -> Result<Weights, WeightsError> {
    let BlockLayers { expand, depthwise, squeeze, project } = BlockLayers::of(index);
    let kept = of_largest_norm(whole, &depthwise, &project, count)?;
    let mut weights = Weights::default();
    let mut give = |layer: &Layer, outputs: bool| {
        let [(weight, shape), (bias, bias_shape)] = layer.tensors();
        let (of, bias_of) = (whole.expect(&weight, &shape)?, whole.expect(&bias, &bias_shape)?);
        match outputs {
            true => {
                weights.insert(weight, rows(of, &kept));
                weights.insert(bias, rows(bias_of, &kept));
            }
            false => {
                weights.insert(weight, columns(of, &kept, block.expanded));
                weights.insert(bias, bias_of.clone());
            }
        }
        Ok::<(), WeightsError>(())
    };
    expand.iter().chain([&depthwise]).try_for_each(|layer| give(layer, true))?;
    if let Some((reduce, excite)) = &squeeze {
        give(reduce, false)?;
        give(excite, true)?;
    }
    give(&project, false)?;
    Ok(weights)
}

/// The channels that count most, rising: by the norm of the filter that makes one, times that of the weights by which it goes on.
fn of_largest_norm(
    whole: &Weights,
    depthwise: &Layer,
    project: &Layer,
    count: usize,
) -> Result<Vec<usize>, WeightsError> {
    let tensor = |layer: &Layer| {
        let [(weight, shape), _] = layer.tensors();
        whole.expect(&weight, &shape)
    };
    let (filters, onward) = (tensor(depthwise)?, tensor(project)?);
    let channels = depthwise.outputs;
    let filter = filters.data.len() / channels;
    let worth = |channel: usize| {
        let made: f32 = filters.data[channel * filter..][..filter].iter().map(|value| value * value).sum();
        let used: f32 = onward.data.iter().skip(channel).step_by(channels).map(|value| value * value).sum();
        made * used
    };
    let worths: Vec<f32> = (0..channels).map(worth).collect();
    let mut order: Vec<usize> = (0..channels).collect();
    order.sort_by(|&a, &b| worths[b].total_cmp(&worths[a]).then(a.cmp(&b)));
    order.truncate(count);
    order.sort_unstable();
    Ok(order)
}

/// Some of a tensor's outermost parts.
fn rows(tensor: &Tensor, kept: &[usize]) -> Tensor {
    let size = tensor.shape[1..].iter().product::<usize>();
    let data = kept.iter().flat_map(|&row| tensor.data[row * size..][..size].iter().copied()).collect();
    Tensor { shape: [&[kept.len()][..], &tensor.shape[1..]].concat(), data }
}

/// Some of the inputs of a 1x1 convolution, `out x in x 1 x 1`.
fn columns(tensor: &Tensor, kept: &[usize], inputs: usize) -> Tensor {
    let data = tensor.data.chunks_exact(inputs).flat_map(|row| kept.iter().map(|&column| row[column])).collect();
    Tensor { shape: vec![tensor.shape[0], kept.len(), 1, 1], data }
}

#[cfg(test)]
mod tests {
    use models::weights::kaiming;
    use models::zoo::mobilenet_v3_small::{blocks_of, build_map, is_whole, layers_of, refuse_cut};

    use super::super::space::{MOST_LEFT_OUT, WIDTHS};
    use super::*;

    #[test]
    fn nothing_cut_is_the_same_trunk() {
        let trunk = kaiming(&layers(), 3);
        let same = cut(&trunk, 0, 1.0).unwrap();
        assert_eq!(same, trunk);
        assert!(is_whole(&same) && build_map(&same, [64, 64]).unwrap() == build_map(&trunk, [64, 64]).unwrap());
    }

    #[test]
    fn every_cut_is_a_network_that_its_weights_describe() {
        let trunk = kaiming(&layers(), 3);
        for left_out in 0..=MOST_LEFT_OUT {
            for width in WIDTHS {
                let small = cut(&trunk, left_out, width).unwrap();
                assert_eq!(blocks_of(&small).len(), BLOCKS.len() - left_out);
                assert_eq!(small.only(&layers_of(&small)).unwrap(), small, "{left_out} {width}");
                build_map(&small, [64, 64]).unwrap();
                assert_eq!(is_whole(&small), left_out == 0 && width == 1.0);
                for (index, block) in blocks_of(&small) {
                    assert_eq!(block.has_expansion(), BLOCKS[index].has_expansion(), "block {index} at {width}");
                    assert!(block.expanded == BLOCKS[index].expanded || block.expanded % TOGETHER == 0);
                }
            }
        }
    }

    #[test]
    fn blocks_go_from_the_end_and_only_those_with_a_shortcut() {
        let small = cut(&kaiming(&layers(), 3), 2, 1.0).unwrap();
        let left: Vec<usize> = blocks_of(&small).into_iter().map(|(index, _)| index).collect();
        assert_eq!(left, [0, 1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn channels_of_no_worth_go_without_a_trace() {
        // Half of block 4's channels make nothing: without them it gives the same.
        let mut trunk = kaiming(&layers(), 3);
        let dead = |channel: usize| channel.is_multiple_of(2);
        for (name, size) in [("depthwise.weight", 25), ("depthwise.bias", 1)] {
            let values = &mut trunk.0.get_mut(&format!("blocks.4.{name}")).unwrap().data;
            values.iter_mut().enumerate().filter(|(at, _)| dead(at / size)).for_each(|(_, value)| *value = 0.0);
        }
        let BlockLayers { depthwise, project, .. } = BlockLayers::of(4);
        let kept = of_largest_norm(&trunk, &depthwise, &project, 120).unwrap();
        assert!(kept.len() == 120 && kept.iter().all(|&channel| !dead(channel)) && kept.is_sorted());
    }

    #[test]
    fn a_cut_trunk_is_no_whole_one() {
        let whole = kaiming(&layers(), 3);
        refuse_cut(&whole).expect("nothing is cut");
        refuse_cut(&Weights::default()).expect("none of ours");
        let mut damaged = whole.clone();
        damaged.0.remove("last.bias");
        refuse_cut(&damaged).expect("what is missing is told elsewhere");
        for (left_out, width) in [(1, 1.0), (0, 0.5), (6, 0.25)] {
            let refused = refuse_cut(&cut(&whole, left_out, width).unwrap()).unwrap_err().to_string();
            assert!(refused.contains("cut by a search"), "{refused}");
        }
    }

    #[test]
    fn another_network_is_refused() {
        let mut trunk = kaiming(&layers(), 3);
        trunk.0.remove("blocks.10.project.bias");
        assert!(cut(&trunk, 1, 0.5).unwrap_err().to_string().contains("blocks.10.project.bias"));
    }
}
