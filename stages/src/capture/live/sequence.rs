//! The camera's own count of its pictures: which are missing, which came twice.

use std::collections::VecDeque;

/// GigE Vision 1 counts in 16 bits and leaves 0 out.
const SHORT: u64 = 1 << 16;
/// More than this many at once is no loss but a camera that counts anew.
const PLAUSIBLE: u64 = 10_000;
/// A picture with holes is waited for, so others may overtake it, but no more than this many.
const OVERTAKEN: u64 = 64;

/// What a picture's number says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// So many numbers before it were left out.
    Ahead(u64),
    /// It was overtaken: its number was among those left out.
    Late,
    /// This number has come before.
    Repeated,
    /// The camera has begun to count anew.
    Anew,
}

/// Follows the numbers of one connection.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    last: Option<u64>,
    /// Numbers left out lately.
    missing: VecDeque<u64>,
    /// The camera does use 0, whatever the standard says.
    zero: bool,
    /// Pictures whose number was lost with their first packet: the next gap holds so many less.
    nameless: u64,
}

impl Sequence {
    /// The number of a picture with holes. Its first packet carries the number: where that one was lost, the number is an old one or 0,
    /// and the picture stands for one of those that the next number leaves out.
    pub(super) fn step_with_holes(&mut self, number: u64) -> Step {
        // Near the end of 16 bits 0 lies just ahead, and yet it is what an empty buffer says.
        let named = number != 0 || self.zero;
        let near = |last| (1..=OVERTAKEN).contains(&self.distance(last, number));
        let plausible = named && self.last.is_some_and(near);
        if plausible || self.missing.contains(&number) {
            return self.step(number);
        }
        self.nameless += 1;
        Step::Ahead(0)
    }

    /// The next picture's number.
    pub(super) fn step(&mut self, number: u64) -> Step {
        self.zero |= number == 0;
        let Some(last) = self.last else {
            self.last = Some(number);
            self.nameless = 0;
            return Step::Ahead(0);
        };
        if number == last {
            return Step::Repeated;
        }
        let (forward, back) = (self.distance(last, number), self.distance(number, last));
        if back <= OVERTAKEN {
            let place = self.missing.iter().position(|&missing| missing == number);
            return place.and_then(|place| self.missing.remove(place)).map_or(Step::Repeated, |_| Step::Late);
        }
        self.last = Some(number);
        let nameless = std::mem::take(&mut self.nameless);
        if forward > PLAUSIBLE {
            self.missing.clear();
            return Step::Anew;
        }
        let mut left_out = last;
        for _ in 1..forward {
            left_out = if left_out + 1 == SHORT && number < last { u64::from(!self.zero) } else { left_out + 1 };
            self.missing.push_back(left_out);
        }
        let beyond = self.missing.len().saturating_sub(OVERTAKEN as usize);
        self.missing.drain(..beyond);
        Step::Ahead((forward - 1).saturating_sub(nameless))
    }

    /// Steps from one number on to another; past the end of 16 bits where that is the shorter way.
    fn distance(&self, from: u64, to: u64) -> u64 {
        match to.checked_sub(from) {
            Some(steps) => steps,
            None if from < SHORT && from - to > SHORT / 2 => to + SHORT - from - u64::from(!self.zero),
            None => u64::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn follow(numbers: &[u64]) -> (u64, u64, u64) {
        let mut sequence = Sequence::default();
        numbers.iter().fold((0, 0, 0), |(missing, repeated, anew), &number| match sequence.step(number) {
            Step::Ahead(left_out) => (missing + left_out, repeated, anew),
            // It is not missing after all.
            Step::Late => (missing - 1, repeated, anew),
            Step::Repeated => (missing, repeated + 1, anew),
            Step::Anew => (missing, repeated, anew + 1),
        })
    }

    #[test]
    fn gaps_repetitions_and_the_end_of_16_bits() {
        assert_eq!(follow(&[5, 6, 7]), (0, 0, 0));
        assert_eq!(follow(&[5, 8, 9]), (2, 0, 0));
        assert_eq!(follow(&[5, 5, 6, 6]), (0, 2, 0));
        assert_eq!(follow(&[65_534, 65_535, 1, 2]), (0, 0, 0), "0 is left out");
        assert_eq!(follow(&[65_535, 2]), (1, 0, 0));
        assert_eq!(follow(&[65_535, 0, 1]), (0, 0, 0), "a camera that uses 0");
        assert_eq!(follow(&[40_000, 1, 2]), (0, 0, 1), "a camera that was started anew");
        assert_eq!(follow(&[1 << 40, 1 + (1 << 40), 3 + (1 << 40)]), (1, 0, 0), "64 bits");
        assert_eq!(follow(&[7, 9, 8, 10]), (0, 0, 0), "overtaken");
        assert_eq!(follow(&[7, 9, 8, 8, 10]), (0, 1, 0), "overtaken, and once more");
        assert_eq!(follow(&[65_534, 2, 65_535, 1, 3]), (0, 0, 0), "overtaken at the end of 16 bits");
    }

    #[test]
    fn a_picture_with_holes_whose_number_is_lost_is_one_of_the_gap() {
        let mut sequence = Sequence::default();
        assert_eq!(sequence.step_with_holes(0), Step::Ahead(0), "the first of all");
        assert_eq!(sequence.step(65_402), Step::Ahead(0));
        assert_eq!(sequence.step_with_holes(65_403), Step::Ahead(0), "its number came");
        assert_eq!(sequence.step_with_holes(0), Step::Ahead(0), "a new buffer's number");
        assert_eq!(sequence.step_with_holes(65_390), Step::Ahead(0), "an old buffer's number");
        assert_eq!(sequence.step(65_406), Step::Ahead(0), "two of two were these");
        assert_eq!(sequence.step_with_holes(65_406), Step::Ahead(0));
        assert_eq!(sequence.step(65_409), Step::Ahead(1), "one of two");
        assert_eq!(sequence.step_with_holes(65_408), Step::Late, "overtaken");
        assert_eq!(sequence.step(65_410), Step::Ahead(0));
        // The end of 16 bits, which leaves 0 out.
        assert_eq!(sequence.step(65_530), Step::Ahead(119));
        assert_eq!(sequence.step_with_holes(0), Step::Ahead(0), "65531, whose number is lost");
        assert_eq!([65_532, 65_535, 1].map(|number| sequence.step(number)), [0, 2, 0].map(Step::Ahead));
    }

    proptest! {
        #[test]
        fn what_is_left_out_is_counted_exactly(kept in proptest::collection::vec(any::<bool>(), 2..400), first in 1_u64..65_536) {
            // Any run through the end of 16 bits, with any numbers left out between the first and the last.
            let number = |at: usize| (first - 1 + at as u64) % 65_535 + 1;
            let last = kept.len() - 1;
            let came: Vec<u64> = (0..kept.len()).filter(|&at| kept[at] || at == 0 || at == last).map(number).collect();
            prop_assert_eq!(follow(&came), ((kept.len() - came.len()) as u64, 0, 0));
        }
    }
}
