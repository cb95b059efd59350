//! What good parts look like: a part is anomalous where its features are far from all of those that good parts showed.
//!
//! Two ways to keep what good looks like. A *memory* of feature vectors, a part's cell being as anomalous as its distance to the
//! nearest of them: Roth et al., "Towards Total Recall in Industrial Anomaly Detection" (PatchCore), CVPR 2022. Or a *Gaussian* for
//! each position, the distance being Mahalanobis': Defard et al., "PaDiM", ICPR workshops 2021; for parts that always lie the same way.
//! Either becomes nodes of the graph that the trunk runs in, so that one pass gives scores, heat map and anomaly.
//!
//! Distances are written as shares of their threshold: from 1 on a part (or a cell) is anomalous.

use serde::{Deserialize, Serialize};

use super::attention::{HEAT, INPUT, SCORES};
use crate::graph::{self, Conv, GraphBuilder};
use crate::weights::{Tensor, Weights, WeightsError};
use crate::zoo::mobilenet_v3_small as trunk;

/// Name of the output of the part's anomaly score, a share of its threshold: `1 x 1`.
pub const ANOMALY: &str = "anomaly";
/// Name of the output of the cells' distances, shares of their threshold: `1 x 1 x height x width`.
pub const DISTANCES: &str = "distances";
/// Vectors that a memory holds at most.
pub const MOST_VECTORS: usize = 4000;
/// Vectors around the nearest one by which the re-weighted score asks how usual it is.
pub const NEIGHBOURS: usize = 9;
/// How fast a bundle's score for `anomaly` goes from 0 to 1 around the threshold: logit = STEEPNESS * (share - 1). Any positive
/// number gives the same verdicts at 0.5; this one keeps shares from 0 to 3 apart in 32-bit floats.
pub const STEEPNESS: f32 = 8.0;

/// Feature maps of several depths on one grid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Features {
    /// Blocks of the trunk whose outputs are taken, counted from 1.
    pub blocks: Vec<usize>,
    /// Input pixels per cell of the grid, each way. Finer maps are averaged to it, cells of coarser ones repeated.
    pub stride: usize,
}

impl Features {
    /// Values per cell.
    pub fn channels(&self) -> usize {
        self.blocks.iter().map(|&block| trunk::BLOCKS[block - 1].output).sum()
    }

    /// Cells down and across for an input of `[height, width]` pixels.
    pub fn grid(&self, size: [usize; 2]) -> [usize; 2] {
        size.map(|side| side / self.stride)
    }

    /// Refuses blocks that the trunk does not have, and grids that its maps do not divide into.
    ///
    /// # Errors
    /// In words.
    pub fn check(&self, size: [usize; 2]) -> Result<(), WeightsError> {
        let known = |block: &usize| (1..=trunk::BLOCKS.len()).contains(block);
        let rising = self.blocks.windows(2).all(|pair| pair[0] < pair[1]);
        let power = self.stride.is_power_of_two() && (4..=64).contains(&self.stride);
        let whole = power && size.iter().all(|side| side.is_multiple_of(self.stride) && *side > 0);
        match !self.blocks.is_empty() && self.blocks.iter().all(known) && rising && whole {
            true => Ok(()),
            false => Err(WeightsError::Invalid(format!(
                "features of blocks {:?} with {} pixels a cell at {} x {}: blocks are 1 to {} in rising order, and cells must \
                 divide the input",
                self.blocks,
                self.stride,
                size[1],
                size[0],
                trunk::BLOCKS.len()
            ))),
        }
    }

    /// Adds the maps to a graph that holds the trunk: `1 x channels x grid`.
    pub fn build(&self, graph: &mut GraphBuilder, size: [usize; 2], output: &str) -> Result<String, WeightsError> {
        self.check(size)?;
        let mut maps = Vec::new();
        for &block in &self.blocks {
            let value = trunk::block_output(block - 1);
            if !graph.makes(&value) {
                return Err(WeightsError::OtherNetwork(format!("its graph has no value `{value}`")));
            }
            let (own, wanted) = (trunk::block_stride(block - 1), self.stride);
            let name = format!("{output}.{block}");
            maps.push(match own.cmp(&wanted) {
                std::cmp::Ordering::Less => graph.average_pool(&value, wanted / own, wanted / own, 0, &name),
                std::cmp::Ordering::Equal => value,
                std::cmp::Ordering::Greater => graph.repeat_cells(&value, own / wanted, &name),
            });
        }
        let names: Vec<&str> = maps.iter().map(String::as_str).collect();
        Ok(graph.concat(&names, 1, output))
    }
}

/// What good looks like.
#[derive(Debug, Clone, PartialEq)]
pub enum Normal {
    /// Feature vectors of good parts, `vectors x dimensions`.
    Memory(Tensor),
    /// For each cell a matrix and an offset that turn the features of good parts into standard normal ones.
    Gaussian {
        /// `cells x dimensions x dimensions`.
        whitening: Tensor,
        /// `cells x dimensions x 1`.
        offset: Tensor,
    },
}

impl Normal {
    /// Makes a memory's vectors, and so all distances to them, `factor` times as long. A Gaussian measures in standard
    /// deviations, whatever the unit.
    pub fn scale(&mut self, factor: f32) {
        if let Normal::Memory(vectors) = self {
            vectors.data.iter_mut().for_each(|value| *value *= factor);
        }
    }
}

/// How the cells' distances become one score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scorer {
    /// The largest distance, weighted by how far its nearest vector is from the other vectors (Roth et al., equation 7). Of a
    /// Gaussian, which has no vectors, plainly the largest.
    Reweighted,
    /// Mean of the largest hundredth of the distances.
    TopMean,
    /// The largest mean over 3 x 3 cells.
    SmoothedMax,
}

impl Scorer {
    /// All of them.
    pub const ALL: [Scorer; 3] = [Scorer::Reweighted, Scorer::TopMean, Scorer::SmoothedMax];

    /// Distances that [`Scorer::TopMean`] averages over.
    pub fn top_count(cells: usize) -> usize {
        cells.div_ceil(100)
    }
}

/// The head: features, projection, what good looks like, score.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// What is looked at.
    pub features: Features,
    /// `dimensions x channels x 1 x 1`: turns a cell's features into those that are compared.
    pub projection: Tensor,
    /// Added after the projection: `dimensions`.
    pub offset: Tensor,
    /// What good looks like.
    pub normal: Normal,
    /// How cells become a score.
    pub scorer: Scorer,
    /// The score from which a part is anomalous.
    pub threshold: f32,
    /// The distance from which a cell is anomalous.
    pub cell_threshold: f32,
}

impl Head {
    /// Dimensions that are compared.
    pub fn dimensions(&self) -> usize {
        self.offset.data.len()
    }

    /// Adds the head and its two outputs to a graph that holds the trunk.
    ///
    /// # Errors
    /// When the graph is none of ours, the features do not fit the input, or shapes contradict each other.
    pub fn build(&self, graph: &mut GraphBuilder, size: [usize; 2]) -> Result<(), WeightsError> {
        self.check(size)?;
        let [height, width] = self.features.grid(size);
        let (cells, dimensions) = (height * width, self.dimensions());
        let maps = self.features.build(graph, size, "memory.features")?;
        graph.initializer("memory.projected.weight", &self.projection);
        graph.initializer("memory.projected.bias", &self.offset);
        let projected = graph.conv(&maps, Conv { kernel: 1, stride: 1, groups: 1 }, "memory.projected");
        let rows = graph.transpose(&projected, &[0, 2, 3, 1], "memory.last");
        let (distances, top) = match &self.normal {
            Normal::Memory(vectors) => {
                let rows = graph.reshape(&rows, &[cells, dimensions], "memory.rows");
                self.build_memory(graph, &rows, vectors)
            }
            Normal::Gaussian { whitening, offset } => {
                let columns = graph.reshape(&rows, &[cells, dimensions, 1], "memory.columns");
                graph.initializer("memory.whitening", whitening);
                graph.initializer("memory.offset", offset);
                let white = graph.node("MatMul", &["memory.whitening", &columns], "memory.turned", Vec::new());
                let white = graph.add(&white, "memory.offset", "memory.white");
                let distances = graph.reduce("ReduceL2", &white, &[1], "memory.distances");
                (graph.reshape(&distances, &[1, cells], "memory.flat"), None)
            }
        };
        let score = self.build_score(graph, &distances, top, [height, width]);
        let share = |graph: &mut GraphBuilder, x: &str, threshold: f32, output: &str| {
            let factor = graph.initializer(&format!("{output}.factor"), &Tensor::scalar(1.0 / threshold));
            graph.mul(x, &factor, output)
        };
        let map = graph.reshape(&distances, &[1, 1, height, width], "memory.map");
        share(graph, &map, self.cell_threshold, DISTANCES);
        share(graph, &score, self.threshold, ANOMALY);
        graph.output(ANOMALY, &[1, 1]);
        graph.output(DISTANCES, &[1, 1, height, width]);
        Ok(())
    }

    fn check(&self, size: [usize; 2]) -> Result<(), WeightsError> {
        self.features.check(size)?;
        let (channels, dimensions) = (self.features.channels(), self.dimensions());
        let cells: usize = self.features.grid(size).iter().product();
        let mut shapes = vec![(&self.projection, vec![dimensions, channels, 1, 1]), (&self.offset, vec![dimensions])];
        match &self.normal {
            Normal::Memory(vectors) => {
                let count = vectors.shape.first().copied().unwrap_or_default().clamp(1, MOST_VECTORS);
                shapes.push((vectors, vec![count, dimensions]));
            }
            Normal::Gaussian { whitening, offset } => {
                shapes.push((whitening, vec![cells, dimensions, dimensions]));
                shapes.push((offset, vec![cells, dimensions, 1]));
            }
        }
        for (tensor, wanted) in shapes {
            if tensor.shape != wanted || tensor.data.len() != wanted.iter().product::<usize>() {
                let (name, found) = ("memory".into(), tensor.shape.clone());
                return Err(WeightsError::Shape { name, found, wanted });
            }
            if !tensor.data.iter().all(|value| value.is_finite()) {
                return Err(WeightsError::NotFinite("memory".into()));
            }
        }
        match [self.threshold, self.cell_threshold].iter().all(|value| value.is_normal() && *value > 0.0) {
            true => Ok(()),
            false => Err(WeightsError::Invalid(format!(
                "anomaly thresholds {} and {}: both must be positive",
                self.threshold, self.cell_threshold
            ))),
        }
    }

    /// Distances to the nearest vector, `1 x cells`, and the re-weighted score where it is asked for.
    ///
    /// `|x - b|² = |x|² + (|b|² - 2 x b)`: a matrix product and a minimum, which is exact and what processors are best at. The
    /// features are centred, so that little is lost in the difference.
    fn build_memory(&self, graph: &mut GraphBuilder, rows: &str, vectors: &Tensor) -> (String, Option<String>) {
        let dimensions = self.dimensions();
        let square = |row: &[f32]| row.iter().map(|value| value * value).sum::<f32>();
        let squares: Vec<f32> = vectors.data.chunks_exact(dimensions).map(square).collect();
        let (count, cells) = (squares.len(), "memory.to_all");
        graph.initializer("memory.vectors", vectors);
        graph.initializer("memory.squares", &Tensor { shape: vec![count], data: squares });
        let to_all = graph.product_of_rows([rows, "memory.vectors", "memory.squares"], -2.0, cells);
        let nearest = graph.reduce("ReduceMin", &to_all, &[1], "memory.nearest");
        let length = graph.reduce("ReduceL2", rows, &[1], "memory.length");
        let length = graph.mul(&length, &length, "memory.length.square");
        let square = graph.add(&nearest, &length, "memory.square");
        let square = graph.relu(&square);
        let distances = graph.node("Sqrt", &[&square], "memory.distances", Vec::new());
        let distances = graph.transpose(&distances, &[1, 0], "memory.flat");
        let reweighted = (self.scorer == Scorer::Reweighted)
            .then(|| build_reweighted(graph, [rows, &to_all, &distances], count.min(NEIGHBOURS)));
        (distances, reweighted)
    }

    fn build_score(
        &self,
        graph: &mut GraphBuilder,
        distances: &str,
        reweighted: Option<String>,
        [height, width]: [usize; 2],
    ) -> String {
        let cells = height * width;
        match (self.scorer, reweighted) {
            (Scorer::Reweighted, Some(score)) => score,
            (Scorer::Reweighted, None) => graph.reduce("ReduceMax", distances, &[1], "memory.score"),
            (Scorer::TopMean, _) => {
                let [top, _] = graph.top(distances, Scorer::top_count(cells), true, "memory.top");
                graph.reduce("ReduceMean", &top, &[1], "memory.score")
            }
            (Scorer::SmoothedMax, _) => {
                let map = graph.reshape(distances, &[1, 1, height, width], "memory.cells");
                let smooth = graph.average_pool(&map, 3, 1, 1, "memory.smooth");
                let smooth = graph.reshape(&smooth, &[1, cells], "memory.smooth.flat");
                graph.reduce("ReduceMax", &smooth, &[1], "memory.score")
            }
        }
    }
}

/// `(1 - exp(d) / sum exp(d_k)) * d`: `d` is the largest distance, between a cell and its nearest vector; `d_k` are that cell's
/// distances to the vectors nearest to that vector, itself included.
fn build_reweighted(graph: &mut GraphBuilder, [rows, to_all, distances]: [&str; 3], neighbours: usize) -> String {
    let [value, cell] = graph.top(distances, 1, true, "memory.worst");
    let cell = graph.reshape(&cell, &[1], "memory.worst.cell");
    let to_all = graph.rows_at(to_all, &cell, "memory.worst.to_all");
    let [_, nearest] = graph.top(&to_all, 1, false, "memory.match");
    let nearest = graph.reshape(&nearest, &[1], "memory.match.vector");
    let nearest = graph.rows_at("memory.vectors", &nearest, "memory.match.row");
    let between = graph.product_of_rows([&nearest, "memory.vectors", "memory.squares"], -2.0, "memory.match.to_all");
    let [_, around] = graph.top(&between, neighbours, false, "memory.around");
    let around = graph.reshape(&around, &[neighbours], "memory.around.vectors");
    let around = graph.rows_at("memory.vectors", &around, "memory.around.rows");
    let row = graph.rows_at(rows, &cell, "memory.worst.row");
    let difference = graph.node("Sub", &[&around, &row], "memory.around.difference", Vec::new());
    let distances = graph.reduce("ReduceL2", &difference, &[1], "memory.around.distances");
    let distances = graph.reshape(&distances, &[1, neighbours], "memory.around.flat");
    let shares = graph.softmax(&distances, "memory.around.shares");
    let shares = graph.transpose(&shares, &[1, 0], "memory.around.turned");
    let first = graph.integers("memory.first", &[0]);
    let first = graph.rows_at(&shares, &first, "memory.around.first");
    let one = graph.initializer("memory.one", &Tensor::scalar(1.0));
    let weight = graph.node("Sub", &[&one, &first], "memory.weight", Vec::new());
    graph.mul(&weight, &value, "memory.score")
}

/// A model that knows good parts alone: trunk and head, with the labels `good` and `anomaly` made from the anomaly score, so that
/// thresholds, evaluation, line and page treat it like any other.
///
/// # Errors
/// When weights, size or head do not fit.
pub fn good_only(weights: &Weights, size: [usize; 2], head: &Head) -> Result<Vec<u8>, WeightsError> {
    let [height, width] = trunk::checked_size(size)?;
    let mut graph = GraphBuilder::new("mobilenet_v3_small_memory");
    let image = graph.input(INPUT, &[1, 3, height, width]);
    trunk::build(&mut graph, weights, &image)?;
    head.build(&mut graph, size)?;
    // Two opposite logits whose difference is STEEPNESS * (share - 1).
    let half = STEEPNESS / 2.0;
    for name in [HEAT, "memory.logits"] {
        graph.initializer(&format!("{name}.weight"), &Tensor { shape: vec![2, 1, 1, 1], data: vec![-half, half] });
        graph.initializer(&format!("{name}.bias"), &Tensor { shape: vec![2], data: vec![half, -half] });
    }
    let conv = Conv { kernel: 1, stride: 1, groups: 1 };
    graph.conv(DISTANCES, conv, HEAT);
    let score = graph.reshape(ANOMALY, &[1, 1, 1, 1], "memory.anomaly");
    let logits = graph.conv(&score, conv, "memory.logits");
    let logits = graph.flatten(&logits, "memory.logits.flat");
    graph.softmax(&logits, SCORES);
    let [rows, columns] = head.features.grid(size);
    graph.output(SCORES, &[1, 2]);
    graph.output(HEAT, &[1, 2, rows, columns]);
    Ok(graph.finish())
}

/// The graph of an existing bundle with the head added: its classifier stays as it is.
///
/// # Errors
/// When the graph is refused, is none of ours, or has such a head already.
pub fn onto(model: &[u8], size: [usize; 2], head: &Head) -> Result<Vec<u8>, WeightsError> {
    let mut graph = GraphBuilder::from_model(graph::check(model)?);
    if graph.makes(ANOMALY) {
        return Err(WeightsError::Invalid(
            "the model has a memory of good parts already: start from one without".into(),
        ));
    }
    head.build(&mut graph, size)?;
    Ok(graph.finish())
}

/// The trunk with its features for learning a memory: input `image`, output `features` (`1 x channels x grid`), their average
/// over all cells `average` (`1 x channels`), and the average of the last feature map `embedding` (`1 x 576`).
///
/// # Errors
/// When weights or size do not fit.
pub fn build_features(weights: &Weights, size: [usize; 2], features: &Features) -> Result<Vec<u8>, WeightsError> {
    let [height, width] = trunk::checked_size(size)?;
    let mut graph = GraphBuilder::new("mobilenet_v3_small_features");
    let image = graph.input(INPUT, &[1, 3, height, width]);
    let last = trunk::build(&mut graph, weights, &image)?;
    let maps = features.build(&mut graph, size, "features")?;
    let average = graph.global_average(&maps, "average.cells");
    graph.flatten(&average, "average");
    let average = graph.global_average(&last, "embedding.cells");
    graph.flatten(&average, "embedding");
    let [rows, columns] = features.grid(size);
    graph.output("features", &[1, features.channels(), rows, columns]);
    graph.output("average", &[1, features.channels()]);
    graph.output("embedding", &[1, trunk::FEATURES]);
    Ok(graph.finish())
}
