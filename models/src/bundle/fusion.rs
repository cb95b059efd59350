//! Several views of one part (bright field, dark field, ...) that one graph sees together.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::manifest::check_name;
use super::{BundleError, HeadOutput};

/// Views that one graph may see; a source joins no more cameras either.
const MOST: usize = 8;

/// What a graph with several pictures as its input asks for and gives.
///
/// Its inputs are the views' pictures, `{input}.0`, `{input}.1`, ... by the manifest's name of the input, and `present`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FusionSpec {
    /// Names of the views, in the order of the inputs; 2 to 8.
    pub views: Vec<String>,
    /// Name of the graph's input that says which views there are: `1 x views`, each 1 or 0.
    pub present: String,
    /// Name of the graph's output of what each view weighs in the decision: `1 x views`, which add up to 1. A view that is not
    /// there weighs 0.
    pub weights: String,
}

impl FusionSpec {
    /// The inputs of the pictures, by the manifest's name.
    pub fn inputs<'a>(&'a self, input: &'a str) -> impl Iterator<Item = String> + 'a {
        (0..self.views.len()).map(move |view| format!("{input}.{view}"))
    }

    pub(super) fn output(&self) -> HeadOutput {
        HeadOutput { name: self.weights.clone(), shape: vec![Some(1), Some(self.views.len())] }
    }

    pub(super) fn check(&self, input: &str) -> Result<(), BundleError> {
        let refuse = |reason: String| Err(BundleError::Manifest(reason));
        let count = self.views.len();
        if !(2..=MOST).contains(&count) {
            return refuse(format!("heads.fusion.views has {count} names: a model of several views has 2 to {MOST}"));
        }
        let mut seen = BTreeSet::new();
        for view in &self.views {
            check_name("a view", view)?;
            if !seen.insert(view) {
                return refuse(format!("view `{view}` stands twice"));
            }
        }
        check_name("heads.fusion.present", &self.present)?;
        match self.inputs(input).any(|name| name == self.present) {
            true => refuse(format!("input `{}` is named for two purposes", self.present)),
            false => Ok(()),
        }
    }
}
