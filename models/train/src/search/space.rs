//! What is searched over: eight settings of a network and its training, and how far each may go.

use serde::{Deserialize, Serialize};

/// Blocks that may be left out: those whose input and output have the same shape.
pub const MOST_LEFT_OUT: usize = 6;
/// Shares of the channels inside the blocks that may be kept.
pub const WIDTHS: [f64; 6] = [0.25, 0.375, 0.5, 0.625, 0.75, 1.0];
/// Channels inside the attention.
pub const ATTENTIONS: [usize; 5] = [8, 16, 32, 64, 128];
/// The smallest input, pixels each way, and the steps from there.
pub const SIZE_STEP: u32 = 32;
const SMALLEST: u32 = 64;

/// Number of settings.
pub const AXES: usize = 8;

/// A network and how it is trained.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// Blocks of the trunk that are left out.
    pub left_out: usize,
    /// Share of the channels inside the blocks that are kept.
    pub width: f64,
    /// Input pixels each way.
    pub size: u32,
    /// Channels inside the attention.
    pub attention: usize,
    /// The pooling's sharpness at the start, one over its temperature: near 0 it is a mean over the cells, at large values their maximum.
    pub sharpness: f64,
    /// Highest learning rate of the head on the frozen trunk.
    pub head_rate: f64,
    /// Highest learning rate while all layers learn.
    pub rate: f64,
    /// How strong the random changes are, in multiples of what is usual.
    pub augment: f64,
}

impl Point {
    /// What a training takes that nobody searched for, at this input size.
    pub fn usual(size: u32) -> Point {
        Point {
            left_out: 0,
            width: 1.0,
            size,
            attention: 32,
            sharpness: 2.0,
            head_rate: 2e-3,
            rate: 1e-3,
            augment: 1.0,
        }
    }

    /// Whether both are the same network, however trained: it takes as long.
    pub fn same_network(&self, other: &Point) -> bool {
        let network = |point: &Point| (point.left_out, point.width, point.size, point.attention);
        network(self) == network(other)
    }
}

/// How one setting goes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Axis {
    /// So many values in order; what counts is which of them.
    Grid(usize),
    /// From one number to another, alike in ratio.
    Ratio(f64, f64),
    /// From one number to another, alike in difference.
    Even(f64, f64),
}

/// All points.
#[derive(Debug, Clone, PartialEq)]
pub struct Space {
    /// Input sizes, rising.
    sizes: Vec<u32>,
}

impl Space {
    /// All points with inputs up to this size.
    pub fn up_to(size: u32) -> Space {
        let size = size.max(SIZE_STEP);
        let sizes = (SMALLEST.min(size)..size).step_by(SIZE_STEP as usize).chain([size]).collect();
        Space { sizes }
    }

    /// The largest input.
    pub fn largest(&self) -> u32 {
        self.sizes.last().copied().unwrap_or(SIZE_STEP)
    }

    fn axes(&self) -> [Axis; AXES] {
        [
            Axis::Grid(MOST_LEFT_OUT + 1),
            Axis::Grid(WIDTHS.len()),
            Axis::Grid(self.sizes.len()),
            Axis::Grid(ATTENTIONS.len()),
            Axis::Ratio(0.5, 8.0),
            Axis::Ratio(5e-4, 8e-3),
            Axis::Ratio(1e-4, 4e-3),
            Axis::Even(0.0, 2.0),
        ]
    }

    /// Where a point lies, each setting from 0 to 1. The values of a grid lie in the middle of equal parts.
    pub fn place(&self, point: &Point) -> [f64; AXES] {
        let index = |found: Option<usize>| found.unwrap_or_default() as f64;
        let values = [
            point.left_out as f64,
            index(WIDTHS.iter().position(|width| *width == point.width)),
            index(self.sizes.iter().position(|size| *size == point.size)),
            index(ATTENTIONS.iter().position(|channels| *channels == point.attention)),
            point.sharpness,
            point.head_rate,
            point.rate,
            point.augment,
        ];
        let mut place = values;
        for (value, axis) in place.iter_mut().zip(self.axes()) {
            *value = match axis {
                Axis::Grid(count) => (*value + 0.5) / count as f64,
                Axis::Ratio(low, high) => (*value / low).ln() / (high / low).ln(),
                Axis::Even(low, high) => (*value - low) / (high - low),
            };
        }
        place
    }

    /// The point at a place; beyond its ends a setting has its last value. Numbers are rounded to what a person would write.
    pub fn point(&self, place: &[f64; AXES]) -> Point {
        let mut values = *place;
        for (value, axis) in values.iter_mut().zip(self.axes()) {
            let at = value.clamp(0.0, 1.0);
            *value = match axis {
                Axis::Grid(count) => (at * count as f64).floor().min(count as f64 - 1.0),
                Axis::Ratio(low, high) => tidy(low * (high / low).powf(at)).clamp(low, high),
                Axis::Even(low, high) => tidy(low + (high - low) * at).clamp(low, high),
            };
        }
        let [left_out, width, size, attention, sharpness, head_rate, rate, augment] = values;
        Point {
            left_out: left_out as usize,
            width: WIDTHS[width as usize],
            size: self.sizes[size as usize],
            attention: ATTENTIONS[attention as usize],
            sharpness,
            head_rate,
            rate,
            augment,
        }
    }

    /// Whether a point is of this space.
    pub fn holds(&self, point: &Point) -> bool {
        let numbers = [point.sharpness, point.head_rate, point.rate, point.augment];
        let within = |(axis, number): (&Axis, f64)| match *axis {
            Axis::Ratio(low, high) | Axis::Even(low, high) => (low..=high).contains(&number),
            Axis::Grid(_) => false,
        };
        point.left_out <= MOST_LEFT_OUT
            && WIDTHS.contains(&point.width)
            && self.sizes.contains(&point.size)
            && ATTENTIONS.contains(&point.attention)
            && self.axes()[AXES - numbers.len()..].iter().zip(numbers).all(within)
    }
}

/// Three significant digits.
fn tidy(value: f64) -> f64 {
    format!("{value:.2e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_and_places_are_the_same() {
        let space = Space::up_to(224);
        let point = Point { left_out: 3, width: 0.625, size: 128, attention: 16, ..Point::usual(224) };
        assert_eq!(space.point(&space.place(&point)), point);
        assert!(space.holds(&space.point(&[-1.0; AXES])) && space.holds(&space.point(&[2.0; AXES])));
        assert!(space.holds(&point) && space.holds(&Point::usual(224)) && space.largest() == 224);
    }

    #[test]
    fn what_lies_outside_is_known() {
        let space = Space::up_to(224);
        let usual = Point::usual(224);
        for outside in [
            Point { left_out: 7, ..usual },
            Point { width: 0.3, ..usual },
            Point { size: 256, ..usual },
            Point { attention: 0, ..usual },
            Point { rate: 1.0, ..usual },
            Point { augment: f64::NAN, ..usual },
        ] {
            assert!(!space.holds(&outside), "{outside:?}");
        }
    }

    #[test]
    fn small_inputs_leave_one_size() {
        for size in [0, 32, 64] {
            assert_eq!(Space::up_to(size).sizes, [size.max(32)]);
        }
        assert_eq!(Space::up_to(96).sizes, [64, 96]);
    }

    #[test]
    fn numbers_have_three_digits() {
        assert_eq!([tidy(0.001_234_5), tidy(2.0), tidy(0.0)], [0.00123, 2.0, 0.0]);
    }
}
