//! One line with its store and its page: how they are put together, watched over and ended in order.

mod board;
mod changeover;
mod recipe;
mod run;
mod shipped;
mod signals;
mod tally;
mod trend;

pub use board::{Board, SourceName, Viewer};
pub use changeover::{ChangeoverError, changeover};
pub use recipe::{Kitchen, Prepared, open_bundle, open_trusted, read_bundle};
pub use run::{Ending, Reload, Running, Service};
pub use shipped::{DEMO_RECIPE, shipped_bundle, shipped_bytes};
pub use signals::{Signal, Signals};
pub use tally::{BandFigures, Figures, Tally};
pub use trend::{Point, Trend};
