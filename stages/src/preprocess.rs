//! The `preprocess` stage: pixels to the network's input, by the same code that training uses.

use crate::part::Part;
use crate::stage::{Decision, Flow, Stage, StageFactory};
use crate::verdict::Cause;

/// Makes the `preprocess` stage.
pub struct Preprocess {
    /// Threads that preprocess at once.
    pub workers: usize,
}

impl StageFactory for Preprocess {
    fn name(&self) -> &'static str {
        "preprocess"
    }

    fn workers(&self) -> usize {
        self.workers
    }

    fn build(&self) -> Box<dyn Stage> {
        Box::new(Worker)
    }
}

struct Worker;

impl Stage for Worker {
    fn process(&mut self, mut part: Part) -> Flow {
        let recipe = part.recipe.clone();
        // Regions are cut and made ready one after the other, by whoever looks at them: all at once they would be hundreds of megabytes.
        if !recipe.regions.is_empty() {
            return Flow::Next(part);
        }
        if let [first, ..] = part.frame.views() {
            let detail = format!(
                "several cameras see the part (`{}`, ...), but the recipe does not say where the model looks: give each view a region (`[[regions]]` \
                 with `view`)",
                first.name
            );
            return Flow::Decided(part, Decision::none(Cause::WrongSize, detail));
        }
        let manifest = recipe.model.manifest();
        let mut tensor = part.buffers.tensor(manifest.tensor_len());
        let Some(view) = part.view() else {
            let decision = Decision::none(Cause::StageFailed, "preprocess: the part arrived without pixels");
            return Flow::Decided(part, decision);
        };
        manifest.fill(view, &mut tensor);
        part.tensor = Some(tensor);
        Flow::Next(part)
    }
}
