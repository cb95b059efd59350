//! What is done to a picture's geometry before the model sees it, as the line and training both ask for it. The crate that knows how
//! (`stages`) implements it; those that load pictures only take it.

use crate::image::{Image, ImageView};

/// A picture made ready for the model.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// The pixels.
    pub image: Image,
    /// Where a place of it lies in the picture as captured: `x' = m[0] x + m[1] y + m[2]`, `y' = m[3] x + m[4] y + m[5]`, in pixels
    /// from the upper left corner.
    pub to_captured: [f64; 6],
}

impl Prepared {
    /// The box around a box of the picture as captured (left, top, right, bottom); `None` where it lies outside.
    pub fn bounds(&self, captured: [f32; 4]) -> Option<[f32; 4]> {
        let [a, b, c, d, e, f] = self.to_captured;
        let det = a * e - b * d;
        if det == 0.0 {
            return None;
        }
        let [left, top, right, bottom] = captured.map(f64::from);
        let corners = [(left, top), (right, top), (left, bottom), (right, bottom)].map(|(x, y)| {
            let (x, y) = (x - c, y - f);
            ((e * x - b * y) / det, (a * y - d * x) / det)
        });
        let least = |of: fn(&(f64, f64)) -> f64| corners.iter().map(of).fold(f64::INFINITY, f64::min).max(0.0);
        let most = |of: fn(&(f64, f64)) -> f64| corners.iter().map(of).fold(f64::NEG_INFINITY, f64::max);
        let bounds = [
            least(|at| at.0),
            least(|at| at.1),
            most(|at| at.0).min(f64::from(self.image.width)),
            most(|at| at.1).min(f64::from(self.image.height)),
        ];
        (bounds[0] < bounds[2] && bounds[1] < bounds[3]).then_some(bounds.map(|value| value as f32))
    }
}

/// Makes pictures ready.
pub trait Prepare: std::fmt::Debug + Send + Sync {
    /// The picture as the model is to see it.
    ///
    /// # Errors
    /// In words, why this picture cannot be made ready: the line gives such a part no decision.
    fn prepare(&self, picture: ImageView<'_>) -> Result<Prepared, String>;

    /// SHA-256 over all that decides what comes out.
    fn digest(&self) -> &str;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::PixelFormat;

    #[test]
    fn a_box_follows_the_picture_and_is_none_outside_of_it() {
        let image = Image { width: 20, height: 10, format: PixelFormat::Mono8, data: vec![0; 200] };
        // The prepared picture's x runs down the captured one from (30, 40): a quarter turn.
        let prepared = Prepared { image, to_captured: [0.0, -1.0, 30.0, 1.0, 0.0, 40.0] };
        assert_eq!(prepared.bounds([24.0, 42.0, 28.0, 45.0]), Some([2.0, 2.0, 5.0, 6.0]));
        assert_eq!(prepared.bounds([24.0, 30.0, 28.0, 45.0]), Some([0.0, 2.0, 5.0, 6.0]), "cut at the edge");
        assert_eq!(prepared.bounds([24.0, 80.0, 28.0, 85.0]), None);
    }
}
