//! A family's layers up to the last feature map, with its source's weights: a trunk that stands still while a head learns on it.

use super::family::Family;
use super::net::{Map, Net};
use super::recipe::Order;
use super::tensors::Tensors;
use crate::graph::{GraphBuilder, ModelProto};
use crate::preprocess::Preprocess;
use crate::weights::WeightsError;

/// Name of the last feature map of a frozen trunk: `1 x channels x size/32 x size/32`.
pub const MAP: &str = "map";
/// Input pixels per cell of it, each way.
pub const STRIDE: usize = 32;

/// What a family's layers before the classifier give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    /// A feature map.
    Cells,
    /// Rows: a class token, then one for each place.
    Tokens,
}

/// A trunk that stands still.
#[derive(Clone)]
pub struct Frozen {
    /// Whose it is.
    pub family: &'static Family,
    /// Input pixels each way.
    pub size: usize,
    /// Channels of the last feature map.
    pub channels: usize,
    /// From [`super::INPUT`] to [`MAP`].
    pub model: ModelProto,
}

impl Family {
    /// The layers up to the last feature map with these weights. The input is what [`Frozen::preprocess`] makes: red, green, blue.
    ///
    /// Tokens stand for places of 16 pixels; the mean of four is a cell of 32, as every head here expects.
    ///
    /// # Errors
    /// [`WeightsError::Invalid`] for a size that it does not take, or that is no multiple of 32; what `tensors` says.
    pub fn freeze(&'static self, size: usize, tensors: &mut dyn Tensors) -> Result<Frozen, WeightsError> {
        if !size.is_multiple_of(STRIDE) {
            return Err(WeightsError::Invalid(format!(
                "input size {size} does not fit: a trunk takes multiples of {STRIDE} pixels each way"
            )));
        }
        let (mut net, mut image) = self.begin(size, Some(tensors))?;
        if self.recipe.order == Order::Bgr {
            image.name = net.graph.pick(&image.name, 1, &[2, 1, 0], "bgr");
        }
        let last = (self.features)(&mut net, &image)?;
        let last = if self.last == Last::Tokens { cells(&mut net, &last) } else { last };
        if last.size != [size / STRIDE; 2] {
            let [rows, columns] = last.size;
            return Err(WeightsError::Invalid(format!(
                "{} makes a map of {rows} x {columns} cells of {size} pixels: this size cannot be cut into cells of {STRIDE}",
                self.name
            )));
        }
        net.graph.node("Identity", &[&last.name], MAP, Vec::new());
        net.graph.output(MAP, &[1, last.channels, last.size[0], last.size[1]]);
        let model = ModelProto::read(&net.graph.finish())?;
        Ok(Frozen { family: self, size, channels: last.channels, model })
    }
}

/// From rows of tokens to cells of 32 pixels.
fn cells(net: &mut Net<'_>, tokens: &Map) -> Map {
    let [rows, columns] = tokens.size;
    let places: Vec<i64> = (1..=(rows * columns) as i64).collect();
    let graph = &mut net.graph;
    let places = graph.pick(&tokens.name, 0, &places, "places");
    let channels = graph.transpose(&places, &[1, 0], "places.by_channel");
    let map = graph.reshape(&channels, &[1, tokens.channels, rows, columns], "places.map");
    let name = graph.average_pool(&map, 2, 2, 0, "places.cells");
    Map { name, channels: tokens.channels, size: [rows / 2, columns / 2] }
}

impl std::fmt::Debug for Frozen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {} px", self.family.name, self.size)
    }
}

impl Frozen {
    /// What the input is made by.
    pub fn preprocess(&self) -> Preprocess {
        let side = self.size as u32;
        Preprocess { width: side, height: side, mean: self.family.recipe.mean, std: self.family.recipe.std }
    }

    /// The graph, to be gone on with from [`MAP`].
    pub(crate) fn graph(&self) -> GraphBuilder {
        let mut model = self.model.clone();
        if let Some(graph) = &mut model.graph {
            graph.output.clear();
        }
        GraphBuilder::from_model(model)
    }
}
