//! From a new line to one that inspects: what is shown to it as good, what it learns from that, and what a threshold would cost.
//! docs/SETUP.md.

mod learn;
mod lesson;
mod tradeoff;

pub use learn::{Learner, SetupError, Standing};
pub use lesson::{Lesson, LessonView};
pub use tradeoff::{Point, Tradeoff, tradeoff};
