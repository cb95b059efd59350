//! Frames that are spoilt between the lamp and the program. The quality gate has to catch each of them.

use serde::{Deserialize, Serialize};

use super::random::Dice;

/// How a frame is spoilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BadFrame {
    /// The strobe did not fire: dark noise only. The gate says `Blank` (or `Saturated`: most pixels are 0).
    Black,
    /// The strobe fired twice: most pixels are 255. The gate says `Saturated` (or `Blank`).
    BlownOut,
    /// The transfer broke off: fewer rows than the recipe asks for. The gate says `WrongSize`.
    Truncated,
    /// The lens is far out of focus. The gate says `OutOfFocus`.
    Defocused,
}

/// Radius of the defocus filter, pixels, applied three times.
const DEFOCUS: usize = 5;

impl BadFrame {
    /// All of them.
    pub const ALL: [BadFrame; 4] = [BadFrame::Black, BadFrame::BlownOut, BadFrame::Truncated, BadFrame::Defocused];

    pub(super) fn draw(dice: &mut Dice) -> Self {
        Self::ALL[dice.below(Self::ALL.len())]
    }

    /// Spoils the light on the sensor; the sensor's noise is added later, as on every frame.
    pub(super) fn spoil(self, luma: &mut [f32], width: usize, spare: &mut Vec<f32>) {
        match self {
            BadFrame::Black => luma.iter_mut().for_each(|l| *l *= 0.004),
            BadFrame::BlownOut => luma.iter_mut().for_each(|l| *l *= 8.0),
            BadFrame::Truncated => {}
            BadFrame::Defocused => {
                for _ in 0..3 {
                    blur(luma, width, spare);
                }
            }
        }
    }

    /// Rows that arrive of `height`.
    pub(super) fn rows(self, height: usize, dice: &mut Dice) -> usize {
        match self {
            BadFrame::Truncated => ((height as f32 * dice.range(0.1, 0.9)) as usize).clamp(1, height - 1),
            _ => height,
        }
    }
}

/// One box filter along rows and columns; the border's pixels count as repeated.
fn blur(luma: &mut [f32], width: usize, spare: &mut Vec<f32>) {
    let (r, scale) = (DEFOCUS as isize, 1.0 / (2 * DEFOCUS + 1) as f32);
    spare.clear();
    spare.extend_from_slice(luma);
    for (from, to) in spare.chunks_exact(width).zip(luma.chunks_exact_mut(width)) {
        let at = |x: isize| from[x.clamp(0, width as isize - 1) as usize];
        let mut sum: f32 = (-r..=r).map(at).sum();
        for (x, value) in to.iter_mut().enumerate() {
            *value = sum * scale;
            sum += at(x as isize + r + 1) - at(x as isize - r);
        }
    }
    spare.copy_from_slice(luma);
    let height = (luma.len() / width) as isize;
    for (y, to) in luma.chunks_exact_mut(width).enumerate() {
        to.fill(0.0);
        for k in -r..=r {
            let from = (y as isize + k).clamp(0, height - 1) as usize * width;
            to.iter_mut().zip(&spare[from..from + width]).for_each(|(sum, v)| *sum += v * scale);
        }
    }
}
