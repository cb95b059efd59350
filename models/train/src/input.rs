//! Input tensors in the form that the network's first layer takes: cut into patches, so that the stem is a product of
//! matrices like every other layer.

use burn::tensor::{Device, Tensor, TensorData};

/// Values of one patch of the stem: 3 channels x 3 x 3.
const PATCH: usize = 27;

/// Input tensors cut into the patches that the stem's convolution sees.
pub struct Batch {
    patches: Vec<f32>,
    /// Number of images.
    pub images: usize,
    /// Input pixels down.
    pub height: usize,
    /// Input pixels across.
    pub width: usize,
}

impl Batch {
    /// An empty batch for inputs of this size, both even.
    pub fn new(height: usize, width: usize) -> Batch {
        Batch { patches: Vec::new(), images: 0, height, width }
    }

    /// Adds an input tensor as [`models::preprocess::Preprocess::fill`] makes it: `3 x height x width`.
    pub fn push(&mut self, tensor: &[f32]) {
        let (height, width) = (self.height, self.width);
        assert_eq!(tensor.len(), 3 * height * width, "an input tensor's length");
        let start = self.patches.len();
        self.patches.resize(start + height / 2 * (width / 2) * PATCH, 0.0);
        let mut patches = self.patches[start..].chunks_exact_mut(PATCH);
        for row in (0..height).step_by(2) {
            for column in (0..width).step_by(2) {
                let patch = patches.next().expect("as many patches as stem outputs");
                for (channel, plane) in tensor.chunks_exact(height * width).enumerate() {
                    for ky in usize::from(row == 0)..3 {
                        let y = row + ky - 1;
                        for kx in usize::from(column == 0)..3 {
                            patch[channel * 9 + ky * 3 + kx] = plane[y * width + column + kx - 1];
                        }
                    }
                }
            }
        }
        self.images += 1;
    }

    /// The patches as rows: `images * height/2 * width/2 x 27`.
    pub(crate) fn patches(&self, device: &Device) -> Tensor<2> {
        let cells = self.images * (self.height / 2) * (self.width / 2);
        Tensor::from_data(TensorData::new(self.patches.clone(), [cells, PATCH]), device)
    }
}
