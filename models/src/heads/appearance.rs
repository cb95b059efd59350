//! What a picture looks like, as numbers: the mean and the standard deviation of every channel of four feature maps, from
//! fine to coarse. The last map alone knows things; the finer ones know textures, which most surfaces are.
//!
//! Mean and deviation of feature channels are what texture and style transfer compare (Gatys et al., CVPR 2016; Huang and
//! Belongie, ICCV 2017). Each of the eight parts has length 1, so that none drowns the others.

use crate::bundle::{Bundle, Heads};
use crate::graph::{GraphBuilder, ModelProto};
use crate::image::{Image, ImageView};
use crate::preprocess::Preprocess;
use crate::runtime::{Provider, RuntimeError, Session, SessionOptions};
use crate::weights::Tensor;
use crate::zoo::mobilenet_v3_small as trunk;

/// The last blocks before the picture is halved again (to 1/8, 1/16 and 1/32 of the input).
const BLOCKS: [usize; 3] = [2, 7, 10];
/// Name of the values, `1 x` [`len`]; every node that makes them begins with it.
pub const APPEARANCE: &str = "appearance";

/// Number of values.
pub fn len() -> usize {
    2 * maps().iter().map(|(_, channels)| channels).sum::<usize>()
}

/// Where among the values the mean of the last map stands, at length 1: what plain prototypes compare.
pub fn averaged_last_map() -> std::ops::Range<usize> {
    len() - 2 * trunk::FEATURES..len() - trunk::FEATURES
}

/// Names and channels of the maps, finest first.
fn maps() -> Vec<(String, usize)> {
    let blocks = BLOCKS.map(|block| (trunk::block_output(block), trunk::BLOCKS[block].output));
    blocks.into_iter().chain([(trunk::LAST_MAP.to_owned(), trunk::FEATURES)]).collect()
}

/// Adds the values to a graph that holds the trunk, if they are not there yet; returns their name.
///
/// # Errors
/// In words, when the graph does not hold the trunk's feature maps.
pub fn build(graph: &mut GraphBuilder) -> Result<String, String> {
    if graph.makes(APPEARANCE) {
        return Ok(APPEARANCE.into());
    }
    let least = graph.initializer("appearance.least_length", &Tensor::scalar(1e-6));
    let mut parts = Vec::new();
    for (map, _) in maps() {
        if !graph.makes(&map) {
            return Err(format!(
                "the graph has no feature map `{map}`: only bundles on inspectd's own trunk (`inspectd train` without `--network`) can learn new kinds"
            ));
        }
        let mean = graph.global_average(&map, &format!("appearance.{map}.mean"));
        let deviation = graph.deviation(&map, &mean, &format!("appearance.{map}.deviation"));
        parts.push(graph.unit_length(&mean, &least, &format!("{mean}.unit")));
        parts.push(graph.unit_length(&deviation, &least, &format!("{deviation}.unit")));
    }
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    Ok(graph.concat(&parts, 1, APPEARANCE))
}

/// Ways to turn a picture over that leave a part the same part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Views {
    /// As it is: parts that always lie the same way.
    One,
    /// As it is and mirrored: four.
    Flips,
    /// Mirrored and turned by quarters: eight; four for an input that is not square.
    #[default]
    Turns,
}

impl Views {
    /// The views of a picture for an input of this recipe.
    pub fn of(self, image: ImageView<'_>, recipe: &Preprocess) -> Vec<Image> {
        let swaps: &[bool] = match self {
            Views::Turns if recipe.width == recipe.height => &[false, true],
            _ => &[false],
        };
        let flips: &[bool] = if self == Views::One { &[false] } else { &[false, true] };
        let each = |swap: bool| flips.iter().flat_map(move |&x| flips.iter().map(move |&y| (swap, x, y)));
        swaps.iter().flat_map(|&swap| each(swap)).map(|(swap, x, y)| turned(image, swap, x, y)).collect()
    }
}

/// The picture with its axes swapped, then mirrored.
fn turned(image: ImageView<'_>, swap: bool, mirror_x: bool, mirror_y: bool) -> Image {
    let (width, height) = if swap { (image.height, image.width) } else { (image.width, image.height) };
    let bytes = image.format.channels();
    let mut data = Vec::with_capacity(image.data.len());
    for y in 0..height {
        for x in 0..width {
            let x = if mirror_x { width - 1 - x } else { x };
            let y = if mirror_y { height - 1 - y } else { y };
            let (column, row) = if swap { (y, x) } else { (x, y) };
            let at = (row as usize * image.width as usize + column as usize) * bytes;
            data.extend_from_slice(&image.data[at..at + bytes]);
        }
    }
    Image { width, height, format: image.format, data }
}

/// Computes appearances with a bundle's trunk, on the processor.
pub struct Eye {
    session: Session,
    preprocess: Preprocess,
    tensor: Vec<f32>,
}

impl Eye {
    /// Makes a session of the bundle's graph that gives the appearance.
    ///
    /// # Errors
    /// [`RuntimeError::GraphRefused`] when the graph does not hold the trunk; as [`Session::new`].
    pub fn of(bundle: &Bundle) -> Result<Eye, RuntimeError> {
        let mut bundle =
            Bundle { expectations: Vec::new(), model_card: None, certificate: None, reference: None, ..bundle.clone() };
        let refused = |words: String| RuntimeError::GraphRefused(words);
        let model = ModelProto::read(&bundle.graph).map_err(|error| refused(error.to_string()))?;
        let mut graph = GraphBuilder::from_model(model);
        let name = build(&mut graph).map_err(refused)?;
        graph.output(&name, &[1, len()]);
        bundle.graph = graph.finish();
        bundle.manifest.heads = Heads { embedding: Some(name), ..Heads::default() };
        let session = Session::new(&bundle, Provider::Cpu, &SessionOptions::default())?;
        let preprocess = bundle.manifest.preprocess;
        Ok(Eye { session, tensor: vec![0.0; preprocess.tensor_len()], preprocess })
    }

    /// The appearance of one picture: [`len`] values.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn look(&mut self, image: ImageView<'_>) -> Result<Vec<f32>, RuntimeError> {
        self.preprocess.fill(image, &mut self.tensor);
        let mut outputs = self.session.run(&self.tensor)?;
        let values = outputs.named.remove(APPEARANCE).map(|output| output.data).unwrap_or_default();
        match values.iter().all(|value| value.is_finite()) {
            true => Ok(values),
            false => Err(RuntimeError::NotFinite("appearance's values")),
        }
    }

    /// The appearance of every view of a picture.
    ///
    /// # Errors
    /// As [`look`](Self::look).
    pub fn look_at_views(&mut self, image: ImageView<'_>, views: Views) -> Result<Vec<Vec<f32>>, RuntimeError> {
        let recipe = self.preprocess.clone();
        views.of(image, &recipe).iter().map(|view| self.look(view.view())).collect()
    }
}

/// Mean of some vectors of the same length; at least one.
pub fn mean(rows: &[Vec<f32>]) -> Vec<f32> {
    let mut sum = vec![0.0; rows.first().map_or(0, Vec::len)];
    for row in rows {
        sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
    }
    sum.iter_mut().for_each(|sum| *sum /= rows.len() as f32);
    sum
}
