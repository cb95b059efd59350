//! Places that are not inspected: painted over with one grey, so that nothing that happens there reaches the model.

use models::image::Image;
use serde::{Deserialize, Serialize};

/// The grey that is painted: the middle of the range, far from no surface's.
pub const NEUTRAL: u8 = 128;

/// A place that is not inspected, in pixels of the prepared picture from its upper left corner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mask {
    /// Corners of a polygon, at least three.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub polygon: Option<Vec<[f64; 2]>>,
    /// Left, top, width, height.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rectangle: Option<[f64; 4]>,
}

impl Mask {
    /// What is wrong with it.
    pub(super) fn problem(&self) -> Option<&'static str> {
        match (&self.polygon, &self.rectangle) {
            (None, None) => Some("has no shape: give `polygon` or `rectangle`"),
            (Some(_), Some(_)) => {
                Some("has two shapes: give `polygon` or `rectangle`, and a `[[mask]]` of its own for the other")
            }
            (Some(corners), None) if corners.len() < 3 => Some("is a polygon of fewer than three corners"),
            (Some(corners), None) if !corners.iter().flatten().all(|value| value.is_finite()) => {
                Some("has a corner that is no number")
            }
            (None, Some(sides)) if !sides.iter().all(|value| value.is_finite()) => Some("has a side that is no number"),
            (None, Some([_, _, width, height])) if !(*width > 0.0 && *height > 0.0) => {
                Some("is empty: a rectangle is left, top, width, height")
            }
            _ => None,
        }
    }

    /// Its corners in order.
    fn corners(&self) -> Vec<[f64; 2]> {
        match (&self.polygon, self.rectangle) {
            (Some(corners), _) => corners.clone(),
            (None, Some([x, y, w, h])) => vec![[x, y], [x + w, y], [x + w, y + h], [x, y + h]],
            (None, None) => Vec::new(),
        }
    }

    /// Whether no pixel of a picture of this size can be in it.
    pub(super) fn is_outside(&self, [width, height]: [u32; 2]) -> bool {
        let corners = self.corners();
        let range = |axis: usize| {
            let of = corners.iter().map(move |corner| corner[axis]);
            (of.clone().fold(f64::INFINITY, f64::min), of.fold(f64::NEG_INFINITY, f64::max))
        };
        let ((left, right), (top, bottom)) = (range(0), range(1));
        !(left < f64::from(width) && right > 0.0 && top < f64::from(height) && bottom > 0.0)
    }
}

/// Masks, ready to be painted.
pub(super) struct Masks(Vec<Vec<[f64; 2]>>);

impl Masks {
    pub(super) fn new(masks: &[Mask]) -> Masks {
        Masks(masks.iter().map(Mask::corners).collect())
    }

    /// Paints every pixel whose centre lies in a mask (even-odd rule), and no other. `crossings` is scratch.
    pub(super) fn paint(&self, image: &mut Image, crossings: &mut Vec<f64>) {
        let (width, channels) = (image.width as usize, image.format.channels());
        if width == 0 {
            return;
        }
        for corners in &self.0 {
            for (y, row) in image.data.chunks_exact_mut(width * channels).enumerate() {
                let centre = y as f64 + 0.5;
                crossings.clear();
                let edges = corners.iter().zip(corners.iter().cycle().skip(1));
                crossings.extend(
                    edges
                        .filter(|(a, b)| (a[1] <= centre) != (b[1] <= centre))
                        .map(|(a, b)| a[0] + (centre - a[1]) / (b[1] - a[1]) * (b[0] - a[0])),
                );
                crossings.sort_unstable_by(f64::total_cmp);
                for pair in crossings.chunks_exact(2) {
                    // A negative number becomes 0.
                    let [from, to] = [pair[0], pair[1]].map(|at| ((at - 0.5).ceil() as usize).min(width));
                    row[from * channels..to * channels].fill(NEUTRAL);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use models::image::PixelFormat;
    use proptest::prelude::*;

    use super::*;

    fn painted(masks: &[Mask], width: u32, height: u32, format: PixelFormat) -> Image {
        let data = vec![7; (width * height) as usize * format.channels()];
        let mut image = Image { width, height, format, data };
        Masks::new(masks).paint(&mut image, &mut Vec::new());
        image
    }

    fn polygon(corners: &[[f64; 2]]) -> Mask {
        Mask { polygon: Some(corners.to_vec()), rectangle: None }
    }

    #[test]
    fn a_rectangle_covers_its_pixels_and_no_other() {
        let mask = Mask { polygon: None, rectangle: Some([2.0, 1.0, 3.0, 2.0]) };
        for format in [PixelFormat::Mono8, PixelFormat::Rgb8] {
            let image = painted(std::slice::from_ref(&mask), 8, 5, format);
            for (at, pixel) in image.data.chunks(format.channels()).enumerate() {
                let inside = (2..5).contains(&(at % 8)) && (1..3).contains(&(at / 8));
                assert!(pixel.iter().all(|&value| value == if inside { NEUTRAL } else { 7 }), "{at}");
            }
        }
    }

    #[test]
    fn masks_beyond_the_picture_are_cut_and_told() {
        let over = polygon(&[[-1e9, -1e9], [1e9, -1e9], [1e9, 1e9], [-1e9, 1e9]]);
        assert!(painted(std::slice::from_ref(&over), 3, 3, PixelFormat::Mono8).data.iter().all(|&it| it == NEUTRAL));
        assert!(!over.is_outside([3, 3]));
        let away = Mask { polygon: None, rectangle: Some([3.0, 0.0, 5.0, 5.0]) };
        assert!(painted(std::slice::from_ref(&away), 3, 3, PixelFormat::Mono8).data.iter().all(|&it| it == 7));
        assert!(away.is_outside([3, 3]));
        assert!(!painted(&[over], 1, 1, PixelFormat::Rgb8).data.is_empty());
    }

    #[test]
    fn shapes_that_are_none_are_named() {
        let nan = polygon(&[[0.0, f64::NAN], [1.0, 1.0], [2.0, 0.0]]);
        let none = Mask { polygon: None, rectangle: None };
        let line = polygon(&[[0.0, 0.0], [1.0, 1.0]]);
        let empty = Mask { polygon: None, rectangle: Some([0.0, 0.0, 0.0, 4.0]) };
        let two = Mask { rectangle: Some([0.0, 0.0, 1.0, 1.0]), ..polygon(&[[0.0, 0.0], [1.0, 1.0], [2.0, 0.0]]) };
        for (mask, words) in
            [(nan, "no number"), (none, "no shape"), (line, "three corners"), (empty, "is empty"), (two, "two shapes")]
        {
            assert!(mask.problem().is_some_and(|said| said.contains(words)), "{mask:?}");
        }
    }

    proptest! {
        /// Against the definition: a pixel is painted exactly where a ray from its centre crosses the outline an odd number of times.
        #[test]
        fn every_polygon_covers_exactly_the_centres_inside(corners in prop::collection::vec([-5.0..25.0_f64, -5.0..20.0_f64], 3..8)) {
            let image = painted(&[polygon(&corners)], 20, 14, PixelFormat::Mono8);
            for (at, &value) in image.data.iter().enumerate() {
                let (x, y) = ((at % 20) as f64 + 0.5, (at / 20) as f64 + 0.5);
                let mut inside = false;
                for (a, b) in corners.iter().zip(corners.iter().cycle().skip(1)) {
                    if (a[1] <= y) != (b[1] <= y) && a[0] + (y - a[1]) / (b[1] - a[1]) * (b[0] - a[0]) <= x {
                        inside = !inside;
                    }
                }
                prop_assert_eq!(value == NEUTRAL, inside, "pixel {} {}", x, y);
            }
        }
    }
}
