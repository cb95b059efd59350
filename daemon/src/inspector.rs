//! The stages of a line on one thread, for pictures that lie in files: what the line would say of each.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use stages::capture::folder::frame_from_file;
use stages::line::{Limits, standard};
use stages::part::Part;
use stages::recipe::RecipeInForce;
use stages::recycle::Buffers;
use stages::stage::{Decision, Stage, run_chain};
use stages::verdict::Cause;

/// The chain of a line, on one thread.
pub(crate) struct Inspector {
    recipe: Arc<RecipeInForce>,
    chain: Vec<Box<dyn Stage>>,
    buffers: Buffers,
    next_id: u64,
}

impl Inspector {
    pub(crate) fn new(recipe: Arc<RecipeInForce>) -> Inspector {
        Inspector { recipe, chain: chain(), buffers: Buffers::new(4), next_id: 1 }
    }

    /// What the next file is inspected with.
    pub(crate) fn swap_recipe(&mut self, recipe: Arc<RecipeInForce>) {
        self.recipe = recipe;
    }

    /// What the line would say of this file.
    pub(crate) fn decide(&mut self, path: &Path) -> Decision {
        match frame_from_file(path) {
            Err(fault) => Decision::none(fault.cause, fault.detail),
            Ok(frame) => {
                let part = Part::new(self.next_id, frame, self.recipe.clone(), self.buffers.clone());
                self.next_id += 1;
                // As on the line: a stage that panics costs one part and is made anew.
                let inspected = catch_unwind(AssertUnwindSafe(|| run_chain(&mut self.chain, part).1));
                inspected.unwrap_or_else(|_| {
                    self.chain = chain();
                    Decision::none(Cause::StageFailed, "a stage panicked on this file; the log says where")
                })
            }
        }
    }
}

fn chain() -> Vec<Box<dyn Stage>> {
    standard(&Limits { workers: 1, ..Limits::default() }).iter().map(|stage| stage.build()).collect()
}
