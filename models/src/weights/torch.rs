//! torchvision's own file of the trunk, `mobilenet_v3_small-047dcff4.pth` (sha256 047dcff4addef86ea5bc2eff13c9614dc11f47ab1160d0a71a25e7db994f4e1f):
//! what `torch.save` writes since version 1.6, a zip with a pickle and one file per tensor.
//!
//! The batch norm is folded into the convolutions here: `w * gamma / sqrt(var + eps)`, `beta - mean * gamma / sqrt(var + eps)`.
//!
//! Not run: the real file was not at hand when this was written. The tests read a pickle with all of its names and
//! shapes, which CPython's own pickler wrote, around tensors of the tests' making.

use super::torch_file::TorchFile;
use super::{Layer, Tensor, Weights, WeightsError};
use crate::zoo::mobilenet_v3_small::{self as trunk, BlockLayers};

/// Of torchvision's MobileNetV3 (`norm_layer=partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)`).
const EPSILON: f64 = 1e-3;
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
