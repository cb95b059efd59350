//! The `infer` stage: runs the model of the recipe in force. Sessions live in the model's own pool, so a worker that
//! hangs or panics takes none down with it.

use crate::part::Part;
use crate::regions;
use crate::stage::{Decision, Flow, Stage, StageFactory};
use crate::verdict::Cause;

/// Makes the `infer` stage.
pub struct Infer {
    /// Threads that infer at once.
    pub workers: usize,
}

impl StageFactory for Infer {
    fn name(&self) -> &'static str {
        "infer"
    }

    fn workers(&self) -> usize {
        self.workers
    }

    fn build(&self) -> Box<dyn Stage> {
        Box::new(Worker { lanes: self.workers })
    }
}

struct Worker {
    /// Threads that look at one part's regions at once.
    lanes: usize,
}

impl Stage for Worker {
    fn process(&mut self, mut part: Part) -> Flow {
        if !part.recipe.regions.is_empty() {
            return match regions::look(&part, self.lanes) {
                Ok(findings) => {
                    part.findings = findings;
                    Flow::Next(part)
                }
                Err((Cause::StageFailed, detail)) => failed(part, detail),
                Err((cause, detail)) => Flow::Decided(part, Decision::none(cause, detail)),
            };
        }
        // Taken, not borrowed: the tensor is free for the next part as soon as this one is through.
        let Some(tensor) = part.tensor.take() else {
            let decision = Decision::none(Cause::StageFailed, "infer: the part arrived without a tensor");
            return Flow::Decided(part, decision);
        };
        match part.recipe.model.predict(&tensor) {
            Ok(prediction) => {
                part.prediction = Some(prediction);
                Flow::Next(part)
            }
            Err(error) => failed(part, format!("infer: {error}")),
        }
    }
}

fn failed(part: Part, detail: String) -> Flow {
    Flow::Failed(part, Decision::none(Cause::StageFailed, detail))
}
