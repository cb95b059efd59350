//! Few-shot prototypes: a new kind of picture is learned from one to twenty examples, without touching the trunk.
//!
//! A picture's [appearance](super::appearance) is compared with the centre of every kind: the model's own labels, whose centres
//! are measured when it is trained, and kinds that were registered since. The nearest wins; a softmax over the distances says how
//! surely; beyond a radius it is unlike all of them. Sources: Snell et al., "Prototypical Networks for Few-shot Learning",
//! NeurIPS 2017 (centres and softmax over distances); Ledoit and Wolf, J. Multivariate Analysis 2004 (a shrunk covariance).
//!
//! All of it is part of the graph: one pass gives the scores and the distances.

mod background;
mod distance;
mod fit;
mod graph;
mod linear;
mod radius;

use thiserror::Error;

pub use background::Background;
pub use fit::Picture;
pub use graph::{read, write};

use crate::bundle::{Disposition, Kind, Metric, PrototypeSpec, Unknown};
use crate::heads::appearance::mean;
use crate::runtime::RuntimeError;
use distance::Distance;

/// Most pictures that a kind is registered from.
pub const MAX_SHOTS: usize = 20;
/// Most kinds that can be registered beside a model's own.
pub const MAX_REGISTERED: usize = 50;

/// Why a kind cannot be registered or taken out.
#[derive(Debug, Error)]
pub enum PrototypeError {
    /// The name is in use.
    #[error(
        "`{0}` is a label of this model already: give the new kind another name, or take out the old one with `unregister`"
    )]
    Taken(String),
    /// The name is no registered kind.
    #[error("`{name}` is not a registered kind; registered are: {registered}")]
    NotRegistered {
        /// As given.
        name: String,
        /// The names that are.
        registered: String,
    },
    /// Too few or too many pictures.
    #[error("{0} pictures: a kind is registered from 1 to {MAX_SHOTS}")]
    Shots(usize),
    /// Too many kinds.
    #[error("{MAX_REGISTERED} kinds are registered, and there is no room for more: train a model with them")]
    Full,
    /// Not a bundle that can learn kinds.
    #[error("{0}")]
    Unfit(String),
    /// The graph could not be run.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
}

/// A kind with what is known of its pictures.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// What the manifest says of it.
    pub kind: Kind,
    /// The appearance of each shot, averaged over its views; of a label of the model's own only the centre.
    pub rows: Vec<Vec<f32>>,
    /// The appearance of each shot as it is, without its other views: a picture comes to the line in one view. Empty for a label of
    /// the model's own.
    pub plain: Vec<Vec<f32>>,
}

/// The head, apart from any graph.
#[derive(Debug, Clone, PartialEq)]
pub struct Prototypes {
    /// How pictures of one kind differ.
    pub background: Background,
    /// How distances are measured.
    pub metric: Metric,
    /// The kinds.
    pub groups: Vec<Group>,
    /// What a picture beyond the radius means.
    pub unknown: Unknown,
    /// Probability from which a registered kind counts.
    pub sure: f32,
    /// The radius, as held-out pictures of the training have it.
    reach: f32,
    /// The softmax's temperature, as the same pictures have it.
    temperature: f32,
    quantile: f32,
}

/// The head fitted to its kinds: what goes into the graph.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    distance: Distance,
    spec: PrototypeSpec,
}

impl Prototypes {
    /// Adds a kind from its shots, each given by the appearances of its views, of which the first is the picture as it is.
    ///
    /// # Errors
    /// When the name is a label or kind already, or the number of shots is not 1 to [`MAX_SHOTS`].
    pub fn register(
        &mut self,
        name: &str,
        verdict: Disposition,
        shots: &[Vec<Vec<f32>>],
    ) -> Result<(), PrototypeError> {
        if self.groups.iter().any(|group| group.kind.name == name) {
            return Err(PrototypeError::Taken(name.into()));
        }
        if !(1..=MAX_SHOTS).contains(&shots.len()) || shots.iter().any(Vec::is_empty) {
            return Err(PrototypeError::Shots(shots.len()));
        }
        if self.groups.iter().filter(|group| group.kind.registered).count() >= MAX_REGISTERED {
            return Err(PrototypeError::Full);
        }
        let kind = Kind { name: name.into(), verdict, shots: shots.len(), registered: true };
        let (rows, plain) = shots.iter().map(|views| (mean(views), views[0].clone())).unzip();
        self.groups.push(Group { kind, rows, plain });
        Ok(())
    }

    /// Takes a registered kind out.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn unregister(&mut self, name: &str) -> Result<(), PrototypeError> {
        match self.groups.iter().position(|group| group.kind.registered && group.kind.name == name) {
            Some(at) => {
                self.groups.remove(at);
                Ok(())
            }
            None => {
                let names: Vec<&str> = self
                    .groups
                    .iter()
                    .filter(|group| group.kind.registered)
                    .map(|group| group.kind.name.as_str())
                    .collect();
                let registered = if names.is_empty() { "none".into() } else { names.join(", ") };
                Err(PrototypeError::NotRegistered { name: name.into(), registered })
            }
        }
    }
}

impl Fitted {
    /// What the head says of a picture of this appearance.
    pub fn judge(&self, appearance: &[f32]) -> Likeness {
        Likeness::new(&self.spec, self.distance.of(appearance))
    }

    /// What the manifest says of it.
    pub fn spec(&self) -> &PrototypeSpec {
        &self.spec
    }
}

/// What the few-shot head says of a picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Likeness {
    /// Squared distance from each kind, in the manifest's order.
    pub distances: Vec<f32>,
    /// Probability of each kind, given that it is one of them; they sum to 1.
    pub probabilities: Vec<f32>,
    /// The nearest kind.
    pub nearest: usize,
    /// It is unlike all of them.
    pub unknown: bool,
}

impl Likeness {
    /// From the distances, by the manifest's temperature and radius.
    pub fn new(spec: &PrototypeSpec, distances: Vec<f32>) -> Likeness {
        let nearest = (0..distances.len()).min_by(|&a, &b| distances[a].total_cmp(&distances[b])).unwrap_or(0);
        let least = distances.get(nearest).copied().unwrap_or(f32::INFINITY);
        let weights: Vec<f32> = distances.iter().map(|it| ((least - it) / (2.0 * spec.temperature)).exp()).collect();
        let sum: f32 = weights.iter().sum();
        let probabilities = weights.iter().map(|weight| weight / sum).collect();
        Likeness { probabilities, nearest, unknown: least > spec.radius, distances }
    }
}
