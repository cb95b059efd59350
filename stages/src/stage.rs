//! The one trait of the line.

use crate::inspection::{KeptHeat, LabelScore, RegionSays};
use crate::part::Part;
use crate::recipe::RecipeInForce;
use crate::sample::Sample;
use crate::verdict::{Cause, Verdict};

/// Where a part goes after a stage.
#[allow(clippy::large_enum_variant)] // parts move on in nearly every case; boxing them would allocate on the hot path
pub enum Flow {
    /// On to the next stage.
    Next(Part),
    /// The part is decided here.
    Decided(Part, Decision),
    /// The part is lost, and not by its own fault: the stage, or what it works with, failed. Several in a row end in safe hold.
    Failed(Part, Decision),
}

/// A verdict with what it rests on.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The answer.
    pub verdict: Verdict,
    /// The label it rests on.
    pub label: Option<std::sync::Arc<str>>,
    /// Every label over its threshold, worst first.
    pub found: Vec<LabelScore>,
    /// Every label's score, in the model's order.
    pub scores: Vec<LabelScore>,
    /// Heat map of `label`.
    pub heat: Option<KeptHeat>,
    /// In words; always there for `NoDecision`.
    pub detail: Option<String>,
    /// What each region says, the worst first; none where the model sees the whole picture at once.
    pub regions: Vec<RegionSays>,
    /// Whether a person should look, and why.
    pub sample: Sample,
}

impl Decision {
    /// No decision, with its cause and the reason in words.
    pub fn none(cause: Cause, detail: impl Into<String>) -> Self {
        Decision {
            verdict: Verdict::NoDecision(cause),
            label: None,
            found: Vec::new(),
            scores: Vec::new(),
            heat: None,
            detail: Some(detail.into()),
            regions: Vec::new(),
            sample: Sample::default(),
        }
    }
}

/// One step from camera to verdict. It runs on a thread of its own (or several); a panic costs one part.
pub trait Stage: Send {
    /// Works on one part.
    fn process(&mut self, part: Part) -> Flow;
}

/// Makes a stage's runtime: at the start, after a panic, for each worker.
pub trait StageFactory: Send + Sync {
    /// The stage's name, a verb.
    fn name(&self) -> &'static str;
    /// Threads that work at once.
    fn workers(&self) -> usize;
    /// A new runtime.
    fn build(&self) -> Box<dyn Stage>;
    /// Whether there is anything to do under a recipe. Parts of one that asks nothing of the stage go past it.
    fn is_asked(&self, _recipe: &RecipeInForce) -> bool {
        true
    }
}

/// Takes one part through a chain on this thread: the line's own path, for a single file.
pub fn run_chain(chain: &mut [Box<dyn Stage>], part: Part) -> (Part, Decision) {
    let mut part = part;
    for stage in chain {
        match stage.process(part) {
            Flow::Next(next) => part = next,
            Flow::Decided(part, decision) | Flow::Failed(part, decision) => return (part, decision),
        }
    }
    (part, undecided())
}

/// What a part gets that passed every stage and was decided by none.
pub(crate) fn undecided() -> Decision {
    Decision::none(Cause::StageFailed, "no stage decided: the chain must end with `decide`")
}
