//! The `align` stage: makes the picture's geometry ready for the model, as the recipe asks for it: lens, pose, masks (`prepare`). A
//! part that cannot be aligned is `NoDecision`, never a guess. A recipe that asks for nothing has its parts passed on untouched.

use crate::part::Part;
use crate::prepare::Scratch;
use crate::recipe::{Recipe, RecipeInForce};
use crate::stage::{Decision, Flow, Stage, StageFactory};
use crate::verdict::Cause;

/// Makes the `align` stage.
pub struct Align {
    /// Threads that align at once.
    pub workers: usize,
}

impl StageFactory for Align {
    fn name(&self) -> &'static str {
        "align"
    }

    fn workers(&self) -> usize {
        self.workers
    }

    fn build(&self) -> Box<dyn Stage> {
        Box::new(Worker::default())
    }

    fn is_asked(&self, recipe: &RecipeInForce) -> bool {
        recipe.preparation.is_some()
    }
}

#[derive(Default)]
struct Worker {
    scratch: Scratch,
}

impl Stage for Worker {
    fn process(&mut self, mut part: Part) -> Flow {
        let Some(preparation) = part.recipe.preparation.clone() else { return Flow::Next(part) };
        let Recipe { align, calibration, .. } = &part.recipe.recipe;
        if !part.frame.views().is_empty() && (align.is_some() || calibration.is_some()) {
            let detail = "several cameras see the part, and the recipe's `align` and `calibration` are for one alone";
            return Flow::Decided(part, Decision::none(Cause::NotAligned, detail));
        }
        let mut prepared = part.buffers.image();
        let applied = part.captured().map(|view| preparation.apply(view, &mut self.scratch, &mut prepared));
        match applied {
            Some(Ok(pose)) => {
                part.prepared = Some(prepared);
                part.pose = Some(pose);
                Flow::Next(part)
            }
            Some(Err(refusal)) => Flow::Decided(part, Decision::none(refusal.cause, refusal.detail)),
            None => {
                let decision = Decision::none(Cause::StageFailed, "align: the part arrived without pixels");
                Flow::Decided(part, decision)
            }
        }
    }
}
