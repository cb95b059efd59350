//! What is known of the trunk that a training starts from.

use crate::export::{IMAGENET, TORCHVISION};

/// The licence notices of a trunk that descends from torchvision's ImageNet weights, as every one known to us does.
pub fn torchvision_licences() -> Vec<String> {
    vec![TORCHVISION.into(), IMAGENET.into()]
}
