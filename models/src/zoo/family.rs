//! A family: what a network is called, where its definition stands, what goes in, and how it is built.

use super::CLASSES;
use super::frozen::Last;
use super::net::{Map, Net, Style};
use super::recipe::Recipe;
use super::tensors::{Source, Spec, Tensors};
use crate::weights::WeightsError;

/// Name of the graph's input: `1 x 3 x size x size`.
pub const INPUT: &str = "image";
/// Name of the graph's output: `1 x 1000`, before any softmax.
pub const LOGITS: &str = "logits";

/// A published accuracy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Published {
    /// Share of ImageNet's validation set whose best class is right, in percent.
    pub top1_percent: f64,
    /// Who says so, and of which weights.
    pub by: &'static str,
}

/// A published classifier.
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// Names, epsilon and padding of its source.
    pub(super) style: Style,
    /// Side of the input in pixels, as the published weights want it.
    pub size: usize,
    /// The least side that it takes; where it is [`size`](Self::size), that one alone.
    pub least: usize,
    /// What its input is made by.
    pub recipe: Recipe,
    /// How good it is.
    pub published: Published,
    /// What [`features`](Self::features) gives.
    pub(super) last: Last,
    /// Adds the layers up to the last feature map to a network.
    pub(super) features: fn(&mut Net<'_>, &Map) -> Result<Map, WeightsError>,
    /// Adds the classifier on it; gives the name of the logits.
    pub(super) classifier: fn(&mut Net<'_>, &Map) -> Result<String, WeightsError>,
}

impl std::fmt::Debug for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// The books of a network at one input size.
#[derive(Debug, Clone, PartialEq)]
pub struct Books {
    /// The tensors it takes, in the order in which they are used.
    pub tensors: Vec<Spec>,
    /// Parameters as its source counts them: Keras' totals hold the running statistics of batch norms.
    pub parameters: usize,
    /// Multiplications of one pass, biases and activations left out.
    pub multiply_adds: u64,
}

impl Family {
    /// The family of this name.
    pub fn find(name: &str) -> Option<&'static Family> {
        super::ALL.iter().find(|family| family.name == name).copied()
    }

    /// Where its definition stands.
    pub fn source(&self) -> Source {
        self.style.source
    }

    /// What it takes and costs with an input of `size` pixels each way, without building it.
    ///
    /// # Errors
    /// [`WeightsError::Invalid`] for a size that it does not take.
    pub fn books(&self, size: usize) -> Result<Books, WeightsError> {
        let (net, _) = self.run(size, None)?;
        let source = self.source();
        let counted = net.specs.iter().filter(|spec| source.counts(spec.role));
        let parameters = counted.map(Spec::len).sum();
        Ok(Books { parameters, multiply_adds: net.multiply_adds, tensors: net.specs })
    }

    /// The network as an ONNX model, with [`INPUT`] and [`LOGITS`].
    ///
    /// # Errors
    /// [`WeightsError::Invalid`] for a size that it does not take; what `tensors` says.
    pub fn build(&self, size: usize, tensors: &mut dyn Tensors) -> Result<Vec<u8>, WeightsError> {
        let (mut net, logits) = self.run(size, Some(tensors))?;
        net.graph.node("Identity", &[&logits], LOGITS, Vec::new());
        net.graph.output(LOGITS, &[1, CLASSES]);
        Ok(net.graph.finish())
    }

    fn run<'a>(&self, size: usize, tensors: Option<&'a mut dyn Tensors>) -> Result<(Net<'a>, String), WeightsError> {
        let (mut net, image) = self.begin(size, tensors)?;
        let last = (self.features)(&mut net, &image)?;
        let logits = (self.classifier)(&mut net, &last)?;
        Ok((net, logits))
    }

    /// An empty network with its input.
    pub(super) fn begin<'a>(
        &self,
        size: usize,
        mut tensors: Option<&'a mut dyn Tensors>,
    ) -> Result<(Net<'a>, Map), WeightsError> {
        let most = if self.least == self.size { self.size } else { 2048 };
        if !(self.least..=most).contains(&size) {
            return Err(WeightsError::Invalid(format!(
                "{} takes inputs of {} to {most} pixels each way, not {size}",
                self.name, self.least
            )));
        }
        if let Some(tensors) = &mut tensors {
            tensors.begin(self)?;
        }
        let mut net = Net::new(self.name, self.style, tensors);
        let image = Map { name: net.graph.input(INPUT, &[1, 3, size, size]), channels: 3, size: [size; 2] };
        Ok((net, image))
    }
}
