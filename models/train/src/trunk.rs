//! The trunk that training starts from when it is given no other.

use models::weights::{Weights, WeightsError, trunk_from_bytes};

use crate::export::{IMAGENET, TORCHVISION};

/// torchvision's MobileNetV3-Small without its classifier, batch norm folded, in half precision. Made from
/// `mobilenet_v3_small-047dcff4.pth` (sha256 047dcff4addef86ea5bc2eff13c9614dc11f47ab1160d0a71a25e7db994f4e1f).
const FILE: &[u8] = include_bytes!("../../weights/mobilenet_v3_small_imagenet_f16.onnx");

/// What the provenance of a bundle says of [`imagenet`].
pub const IMAGENET_TRUNK: &str =
    "torchvision MobileNetV3-Small, ImageNet (mobilenet_v3_small-047dcff4), half precision";

/// The weights learned from ImageNet that come with this program.
///
/// # Errors
/// When the file that was compiled in is damaged.
pub fn imagenet() -> Result<Weights, WeightsError> {
    trunk_from_bytes(FILE)
}

/// The licence notices that travel with them.
pub fn imagenet_licences() -> Vec<String> {
    vec![TORCHVISION.into(), IMAGENET.into()]
}
