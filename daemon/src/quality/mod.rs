//! How good the parts were: yield, control chart, what was wrong and where, escapes and overkill; of a shift, a day, any time, and of two times
//! beside each other. Everything is counted by the store's roll-ups and by people's labels; nothing here keeps anything.

mod change;
mod chart;
mod compare;
mod config;
mod overview;
mod pdf;
mod table;

pub use change::Change;
pub use chart::{Chart, Judged, Point, judge};
pub use compare::{Difference, difference};
pub use config::{QualitySection, Shift, ShiftSpan};
pub use overview::{Beside, By, Each, Group, Only, Overview, QualityError, Question, Rank, Totals, Ways, Wrong};
pub use pdf::pdf;
pub use table::csv;

/// Confidence of every interval that is shown.
pub const CONFIDENCE: f64 = 0.95;
