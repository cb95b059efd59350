//! Camera to verdict: sources, stages, and the line that wires them. The only crate that names OpenCV and
//! Aravis.

pub mod align;
pub mod capture;
pub mod check;
pub mod decide;
pub mod frame;
pub mod identify;
pub mod infer;
pub mod inspection;
pub mod ledger;
pub mod line;
pub mod part;
pub mod prepare;
pub mod preprocess;
pub mod quality;
pub mod recipe;
pub mod record;
pub mod recycle;
pub mod regions;
pub mod sample;
pub mod stage;
pub mod verdict;
