//! The outermost cells of a heat map that nobody taught.
//!
//! Convolutions take zeros for what lies outside of a picture. A cell at the border therefore has features like no cell inside,
//! the more so in a corner, and they tell how bright the whole picture is. Where a network learns from the pictures' labels alone,
//! the smooth maximum takes the evidence from wherever it is strongest, and for surfaces whose label follows from their brightness
//! that is a corner: the label is right, the map points at nothing. (How much position a network reads off its zero padding: Islam et al.,
//! "How much position information do convolutional neural networks encode?", ICLR 2020.) Where the label of each pixel is known, the
//! clean cells at the border are taught too, and this does not happen.
//!
//! So in an untaught map the outermost cells take the word of the cells beside them, at half its strength: the cells beside them see
//! the border as well (a cell of the last feature map looks far beyond its own edges), and a word that was only passed on shall not
//! outshine its source. What it costs: a defect that lies wholly within the outermost cells shows further inside, and weaker.

use crate::graph::GraphBuilder;
use crate::heads::attention::HEAT;
use crate::weights::{Tensor, Weights};

/// Name among the weights (shape `1`) that says that no cell was taught by the labels of its pixels.
const UNTAUGHT: &str = "heat.border_untaught";
/// Cells of a side from which on its ends do not speak for themselves; in a smaller map most cells lie at the border.
const LEAST_CELLS: usize = 5;
/// What the logits of a cell that only passes on another's are multiplied with.
const PASSED_ON: f32 = 0.5;

/// Notes among the weights that the cells were not taught.
pub fn note_untaught(weights: &mut Weights) {
    weights.insert(UNTAUGHT, Tensor::scalar(1.0));
}

/// Whether the cells were not taught. Weights that were read back from a graph say so by the strengths that [`build`] put there.
pub fn is_untaught(weights: &Weights) -> bool {
    weights.0.contains_key(UNTAUGHT) || weights.0.contains_key(&strength_of(HEAT))
}

fn strength_of(map: &str) -> String {
    format!("{map}.strength")
}

/// Which cell speaks at each place of a side of so many cells.
fn speakers(cells: usize) -> Vec<usize> {
    let last = cells.saturating_sub(1);
    let inside = if cells < LEAST_CELLS { [0, last] } else { [1, last - 1] };
    (0..cells).map(|cell| cell.clamp(inside[0], inside[1])).collect()
}

/// What the logits at each place are multiplied with, `height x width`.
fn strengths([rows, columns]: [&[usize]; 2]) -> Vec<f32> {
    let strength = |own: bool| if own { 1.0 } else { PASSED_ON };
    let row = |(y, &row): (usize, &usize)| {
        columns.iter().enumerate().map(move |(x, &column)| strength(y == row && x == column)).collect::<Vec<_>>()
    };
    rows.iter().enumerate().flat_map(row).collect()
}

/// Adds a map whose outermost cells take the word of the cells beside them. `map`: `1 x labels x height x width`, `size` its last two
/// sizes.
pub fn build(graph: &mut GraphBuilder, map: &str, size: [usize; 2], output: &str) -> String {
    let [rows, columns] = size.map(speakers);
    let shape = vec![1, 1, size[0], size[1]];
    let strength = Tensor { shape, data: strengths([&rows, &columns]) };
    let [rows, columns] = [rows, columns].map(|side| side.iter().map(|&cell| cell as i64).collect::<Vec<_>>());
    let down = graph.pick(map, 2, &rows, &format!("{output}.down"));
    let across = graph.pick(&down, 3, &columns, &format!("{output}.across"));
    let strength = graph.initializer(&strength_of(output), &strength);
    graph.mul(&across, &strength, output)
}

/// The same of values: `labels x height x width`, row-major, any number of labels.
pub fn pass_on(map: &[f32], size: [usize; 2]) -> Vec<f32> {
    let [rows, columns] = size.map(speakers);
    let strengths = strengths([&rows, &columns]);
    let places: Vec<usize> =
        rows.iter().flat_map(|row| columns.iter().map(move |column| row * size[1] + column)).collect();
    let label = |cells: &[f32]| -> Vec<f32> { places.iter().zip(&strengths).map(|(&at, k)| cells[at] * k).collect() };
    map.chunks_exact(size[0] * size[1]).flat_map(label).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outermost_cells_pass_on_half_of_what_the_cells_beside_them_say() {
        let map: Vec<f32> = (0..2 * 5 * 6).map(|value| value as f32).collect();
        let quiet = pass_on(&map, [5, 6]);
        let at = |label: usize, row: usize, column: usize| quiet[(label * 5 + row) * 6 + column];
        assert_eq!([at(0, 0, 0), at(0, 0, 1), at(0, 1, 0), at(0, 1, 1)], [3.5, 3.5, 3.5, 7.0]);
        assert_eq!([at(1, 4, 5), at(1, 3, 4)], [26.0, 52.0]);
        assert_eq!([at(0, 2, 2), at(1, 2, 3)], [14.0, 45.0], "inside nothing changes");
    }

    #[test]
    fn a_map_of_few_cells_stays_as_it_is() {
        let map: Vec<f32> = (0..4 * 5).map(|value| value as f32).collect();
        assert_eq!(
            pass_on(&map, [4, 5])[..6],
            [0.5, 1.0, 2.0, 3.0, 1.5, 3.0],
            "four rows are few, five columns are not"
        );
        assert_eq!(pass_on(&map[..16], [4, 4]), map[..16]);
        assert_eq!(pass_on(&map[..1], [1, 1]), [0.0]);
    }
}
