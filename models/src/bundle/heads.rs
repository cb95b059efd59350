//! What else a graph gives besides scores and heat map, and who reads it.

use serde::{Deserialize, Serialize};

use super::memory::{MemorySpec, Rule, check_rules};
use super::{BundleError, FusionSpec, Label, PrototypeSpec};

/// Most values of one further output; more is no head of ours.
const MAX_VALUES: usize = 1 << 22;

/// The heads beside the classifier. All are optional: a bundle from before they existed has none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heads {
    /// Name of the graph's output of the trunk's last feature map averaged over all cells, `1 x n`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding: Option<String>,
    /// Several views of one part that the graph sees together; none: it sees one picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fusion: Option<FusionSpec>,
    /// Kinds learned from a few pictures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prototypes: Option<PrototypeSpec>,
    /// What good parts look like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemorySpec>,
    /// How the memory's word joins the classifier's; empty: only the scores decide, as in a model whose scores come from the
    /// memory itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
}

/// An output that a head reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadOutput {
    /// Its name in the graph.
    pub name: String,
    /// Its sizes, outermost first; `None` where the head takes any.
    pub shape: Vec<Option<usize>>,
}

impl Heads {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Heads::default()
    }

    /// The graph's outputs that these heads read. Each is asked of every run, kept in [`crate::runtime::Outputs::named`] and
    /// compared when the bundle is verified.
    pub fn outputs(&self) -> Vec<HeadOutput> {
        let embedding = self.embedding.iter().map(|name| HeadOutput { name: name.clone(), shape: vec![Some(1), None] });
        let prototypes = self.prototypes.iter().flat_map(PrototypeSpec::outputs);
        let fusion = self.fusion.iter().map(FusionSpec::output);
        embedding.chain(fusion).chain(prototypes).chain(self.memory.iter().flat_map(MemorySpec::outputs)).collect()
    }

    /// Refuses an output that two would read under different meanings.
    pub(super) fn check(&self, scores: &str, heat: &str, labels: &[Label]) -> Result<(), BundleError> {
        let mut taken = vec![scores.to_owned(), heat.to_owned()];
        for HeadOutput { name, .. } in self.outputs() {
            if taken.contains(&name) {
                return Err(BundleError::Manifest(format!("output `{name}` is named for two purposes")));
            }
            taken.push(name);
        }
        self.prototypes.iter().try_for_each(|prototypes| prototypes.check(labels))?;
        check_rules(&self.rules, self.memory.as_ref())
    }
}

impl HeadOutput {
    /// Number of values of an output of this shape.
    ///
    /// # Errors
    /// In words, when the head cannot read such an output.
    pub fn values(&self, found: &[usize]) -> Result<usize, String> {
        let fits = found.len() == self.shape.len()
            && found.iter().zip(&self.shape).all(|(&found, wanted)| found > 0 && wanted.is_none_or(|it| it == found));
        let values = found.iter().try_fold(1_usize, |product, &size| product.checked_mul(size));
        match values.filter(|&values| fits && values <= MAX_VALUES) {
            Some(values) => Ok(values),
            None => {
                let wanted: Vec<String> =
                    self.shape.iter().map(|size| size.map_or("any".into(), |size| size.to_string())).collect();
                Err(format!("its output `{}` is {found:?} instead of [{}]", self.name, wanted.join(", ")))
            }
        }
    }
}
