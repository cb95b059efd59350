//! From boxes drawn by people to the label of each pixel.

/// A pixel whose label nobody knows.
pub const UNKNOWN: u8 = 255;

/// Labels that a mask can tell apart.
pub const MOST_LABELS: usize = UNKNOWN as usize;

/// A box with the number of its label.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// The label's number, below [`MOST_LABELS`].
    pub label: usize,
    /// Left, top, right, bottom in pixels of the image as it was drawn on.
    pub bounds: [f32; 4],
}

/// The label of each pixel of an image that was `from` wide and high when the boxes were drawn and is `to` now. Outside of all
/// boxes that is `clean`, or [`UNKNOWN`] where no label means "nothing wrong". Where boxes overlap the smaller one counts: it says
/// more of the place.
pub fn of_boxes(places: &[Place], from: [u32; 2], to: [u32; 2], clean: Option<usize>) -> Vec<u8> {
    let [width, height] = to.map(|side| side as usize);
    let outside = clean.map_or(UNKNOWN, |label| label as u8);
    let mut mask = vec![outside; width * height];
    let area = |place: &Place| (place.bounds[2] - place.bounds[0]) * (place.bounds[3] - place.bounds[1]);
    let mut order: Vec<&Place> = places.iter().collect();
    order.sort_by(|a, b| area(b).total_cmp(&area(a)));
    for place in order {
        let scale = |value: f32, axis: usize| value * to[axis] as f32 / from[axis].max(1) as f32;
        let [left, top, right, bottom] = place.bounds;
        let columns = pixels(scale(left, 0), scale(right, 0), width);
        for row in pixels(scale(top, 1), scale(bottom, 1), height) {
            mask[row * width..][columns.clone()].fill(place.label as u8);
        }
    }
    mask
}

/// The pixels whose centres lie between two positions; a thin box keeps at least the pixel that it lies on.
fn pixels(from: f32, to: f32, size: usize) -> std::ops::Range<usize> {
    let start = ((from - 0.5).ceil().max(0.0) as usize).min(size);
    let end = ((to - 0.5).ceil().max(0.0) as usize).min(size);
    match start < end {
        true => start..end,
        false => {
            let on = (((from + to) / 2.0).max(0.0) as usize).min(size.saturating_sub(1));
            on..(on + 1).min(size)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(label: usize, bounds: [f32; 4]) -> Place {
        Place { label, bounds }
    }

    #[test]
    fn boxes_scale_with_the_image_and_the_smaller_one_lies_on_top() {
        let places = [place(2, [20.0, 20.0, 40.0, 40.0]), place(1, [0.0, 0.0, 80.0, 80.0])];
        let mask = of_boxes(&places, [160, 160], [80, 80], Some(0));
        let at = |x: usize, y: usize| mask[y * 80 + x];
        assert_eq!([at(0, 0), at(39, 39), at(40, 40), at(79, 79)], [1, 1, 0, 0]);
        assert_eq!([at(9, 9), at(10, 10), at(19, 19), at(20, 20)], [1, 2, 2, 1]);
        assert_eq!(mask.iter().filter(|&&label| label == 2).count(), 100);
    }

    #[test]
    fn without_a_passing_label_the_rest_is_unknown_and_wild_boxes_stay_inside() {
        let mask = of_boxes(&[place(0, [-50.0, 5.0, 4.0, 5.2])], [10, 10], [10, 10], None);
        assert_eq!(mask.iter().filter(|&&label| label == 0).count(), 4, "a line one pixel high, clipped at the left");
        assert!(mask[60..].iter().all(|&label| label == UNKNOWN));
        let outside = of_boxes(&[place(0, [900.0, 900.0, 990.0, 990.0])], [10, 10], [10, 10], None);
        assert_eq!(outside.iter().filter(|&&label| label == 0).count(), 1, "on the nearest pixel");
    }
}
