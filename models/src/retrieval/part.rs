//! What the record of a part tells of it, as the numbers that the image tower sees: what the model said, where its heat map lies and of
//! what shape it is, and the sketch of the trunk's features. All of it stands in the journal, so what was recorded before there was a
//! search can be found too.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::retrieval::glossary::Glossary;
use crate::retrieval::reader::{Reader, Reading};
use crate::scatter::scatter;
use crate::sketch::{LEN, Sketch};

/// Cells across and down of the grid that a heat map is brought to.
pub(super) const GRID: usize = 8;
/// Numbers of a word that the glossary does not know.
pub(super) const HASHED: usize = 64;
/// Numbers of the heat map's shape: see [`shape`].
const SHAPE: usize = 14;
/// Cells of a share of the highest at least count as the defect.
const LIT: f32 = 0.5;

/// What a record says of a part.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// Each label with its score, 0 to 1.
    pub scores: &'a [(&'a str, f32)],
    /// A label that was not among the scores and that the verdict rests on: of a registered kind, of a memory of good parts.
    pub label: Option<&'a str>,
    /// Where the defect is.
    pub heat: Option<Heat<'a>>,
    /// What the trunk saw. None where it was another trunk than the retriever learned with: numbers of two trunks say nothing to each other.
    pub sketch: Option<&'a Sketch>,
}

/// A map of one label, row-major.
#[derive(Debug, Clone, Copy)]
pub struct Heat<'a> {
    /// Cells across.
    pub width: usize,
    /// Cells down.
    pub height: usize,
    /// Probability at each cell, 0 to 255.
    pub cells: &'a [u8],
}

/// Numbers that the image tower sees.
pub fn inputs() -> usize {
    named() + 1 + SHAPE + GRID * GRID + 1 + LEN
}

/// Numbers of names: concepts, then hashed words.
pub(super) fn named() -> usize {
    Glossary::get().len() + HASHED
}

impl Seen<'_> {
    /// What the image tower sees: [`inputs`] numbers, most of them between -1 and 1. None where nothing was seen: a part without a decision.
    pub fn numbers(&self, read: &Names) -> Option<Vec<f32>> {
        if self.scores.is_empty() && self.label.is_none() {
            return None;
        }
        let mut numbers = vec![0.0; inputs()];
        let (names, rest) = numbers.split_at_mut(named());
        for &(label, score) in self.scores {
            name(&read.of(label), score, names);
        }
        if let Some(label) = self.label.filter(|label| self.scores.iter().all(|(scored, _)| scored != label)) {
            name(&read.of(label), 1.0, names);
        }
        let (heat, sketch) = rest.split_at_mut(1 + SHAPE + GRID * GRID);
        if let Some(found) = self.heat.filter(Heat::is_sound) {
            heat[0] = 1.0;
            let grid = found.grid();
            heat[1..=SHAPE].copy_from_slice(&shape(&found));
            heat[1 + SHAPE..].copy_from_slice(&grid);
        }
        if let Some(known) = self.sketch {
            sketch[0] = 1.0;
            let length = known.values().iter().map(|&value| f32::from(value).powi(2)).sum::<f32>().sqrt().max(1.0);
            // At length 2: each number about as large as the others here.
            sketch[1..].iter_mut().zip(known.values()).for_each(|(to, &value)| *to = 2.0 * f32::from(value) / length);
        }
        Some(numbers)
    }
}

/// Adds a name: at its concepts where the glossary knows it, else as its hashed words, which are the same on the side of the question.
fn name(reading: &Reading, weight: f32, into: &mut [f32]) {
    let (concepts, hashed) = into.split_at_mut(Glossary::get().len());
    for &concept in &reading.concepts {
        concepts[concept] = concepts[concept].max(weight);
    }
    reading.others.iter().for_each(|word| hash(word, weight, hashed));
}

/// Names of labels as they are read: a line has the same few on every part, and reading one takes longer than all the rest. By the glossary
/// alone, so that what is kept of a part does not change with a plant's own words.
#[derive(Debug, Default)]
pub struct Names(RwLock<HashMap<String, Arc<Reading>>>);

/// Names that are kept at once; a line has some tens.
const NAMES: usize = 1000;

impl Names {
    pub(super) fn of(&self, name: &str) -> Arc<Reading> {
        if let Some(known) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return known.clone();
        }
        let reading = Arc::new(Reader::default().read(name));
        let mut names = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if names.len() >= NAMES {
            names.clear();
        }
        names.insert(name.to_owned(), reading.clone());
        reading
    }
}

/// Adds a word that nobody knows: random signs that follow from its letters, at length 1.
pub(super) fn hash(word: &str, weight: f32, into: &mut [f32]) {
    // FNV-1a, spread: the same on every machine and for ever, since vectors are kept.
    let letters = word
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let signs = scatter(letters);
    let unit = weight / (HASHED as f32).sqrt();
    for (at, value) in into.iter_mut().enumerate() {
        *value += if signs >> at & 1 == 1 { unit } else { -unit };
    }
}

impl Heat<'_> {
    /// What was kept by another program, or damaged, is no map.
    fn is_sound(&self) -> bool {
        self.width > 0 && self.height > 0 && self.cells.len() == self.width * self.height
    }

    /// The highest cell of each field of the grid.
    fn grid(&self) -> [f32; GRID * GRID] {
        let mut grid = [0.0_f32; GRID * GRID];
        for (at, &cell) in self.cells.iter().enumerate() {
            let (x, y) = (at % self.width, at / self.width);
            // A map coarser than the grid fills several fields with one cell.
            for row in fields(y, self.height) {
                for column in fields(x, self.width) {
                    let field = &mut grid[row * GRID + column];
                    *field = field.max(f32::from(cell) / 255.0);
                }
            }
        }
        grid
    }
}

/// Fields of the grid that a cell lies in.
fn fields(at: usize, cells: usize) -> std::ops::RangeInclusive<usize> {
    let first = at * GRID / cells;
    first..=(((at + 1) * GRID).div_ceil(cells) - 1).max(first).min(GRID - 1)
}

/// Place, size and shape of what is lit: highest and mean, share of cells, centre across and down, how far it is from the middle and from
/// the next border, length of its long and of its short axis, how much longer than wide it is, its direction as the double angle's cosine and
/// sine, the share of it that touches the border, how scattered it is.
fn shape(heat: &Heat<'_>) -> [f32; SHAPE] {
    let highest = heat.cells.iter().copied().max().unwrap_or(0);
    let mean = heat.cells.iter().map(|&cell| f32::from(cell)).sum::<f32>() / (255.0 * heat.cells.len() as f32);
    let least = (LIT * f32::from(highest)).max(1.0);
    let lit = |cell: u8| f32::from(cell) >= least;
    let places = heat.cells.iter().enumerate().filter(|(_, cell)| lit(**cell)).map(|(at, &cell)| {
        let (x, y) = ((at % heat.width) as f32 + 0.5, (at / heat.width) as f32 + 0.5);
        (x / heat.width as f32, y / heat.height as f32, f32::from(cell))
    });
    let places: Vec<(f32, f32, f32)> = places.collect();
    let weight: f32 = places.iter().map(|(.., weight)| weight).sum();
    if weight == 0.0 {
        return [0.0; SHAPE];
    }
    let about = |of: &dyn Fn(f32, f32) -> f32| places.iter().map(|&(x, y, w)| w * of(x, y)).sum::<f32>() / weight;
    let (x, y) = (about(&|x, _| x), about(&|_, y| y));
    let (xx, yy) = (about(&|at, _| (at - x).powi(2)), about(&|_, at| (at - y).powi(2)));
    let xy = about(&|ax, ay| (ax - x) * (ay - y));
    let (half, apart) = ((xx + yy) / 2.0, (((xx - yy) / 2.0).powi(2) + xy * xy).sqrt());
    let [long, short] = [half + apart, (half - apart).max(0.0)].map(f32::sqrt);
    let stretch = if long > 0.0 { (long - short) / (long + short) } else { 0.0 };
    let (cos, sin) = if apart > 1e-9 { ((xx - yy) / (2.0 * apart), xy / apart) } else { (0.0, 0.0) };
    let border = [x, 1.0 - x, y, 1.0 - y].into_iter().fold(f32::INFINITY, f32::min);
    let touching = about(&|x, y| {
        let (across, down) = (1.0 / heat.width as f32, 1.0 / heat.height as f32);
        f32::from(u8::from(x < across || x > 1.0 - across || y < down || y > 1.0 - down))
    });
    let share = places.len() as f32 / heat.cells.len() as f32;
    let full = (long * short * 4.0).max(1e-4);
    [
        f32::from(highest) / 255.0,
        4.0 * mean,
        4.0 * share,
        2.0 * x - 1.0,
        2.0 * y - 1.0,
        2.0 * ((x - 0.5).powi(2) + (y - 0.5).powi(2)).sqrt(),
        2.0 * border,
        4.0 * long,
        4.0 * short,
        stretch,
        stretch * cos,
        stretch * sin,
        touching,
        (full / share).min(2.0),
    ]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn map(width: usize, height: usize, lit: &[(usize, usize)]) -> Vec<u8> {
        let mut cells = vec![0; width * height];
        lit.iter().for_each(|&(x, y)| cells[y * width + x] = 200);
        cells
    }

    #[test]
    fn places_and_shapes_are_told_apart() {
        let of = |lit: &[(usize, usize)]| shape(&Heat { width: 16, height: 16, cells: &map(16, 16, lit) });
        let corner = of(&[(0, 0)]);
        assert!(corner[3] < -0.9 && corner[4] < -0.9 && corner[6] < 0.1 && corner[12] == 1.0, "{corner:?}");
        let row: Vec<(usize, usize)> = (3..13).map(|x| (x, 8)).collect();
        let line = of(&row);
        assert!(line[9] > 0.9 && line[10] > 0.9 && line[7] > 4.0 * line[8], "{line:?}");
        let column: Vec<(usize, usize)> = row.iter().map(|&(x, y)| (y, x)).collect();
        assert!(of(&column)[10] < -0.9, "{:?}", of(&column));
        let slanted: Vec<(usize, usize)> = (3..13).map(|x| (x, x)).collect();
        assert!(of(&slanted)[11] > 0.9, "{:?}", of(&slanted));
    }

    #[test]
    fn a_map_of_any_size_lies_on_the_grid_where_it_lies() {
        for (width, height, at, field) in
            [(16, 16, (15, 0), (7, 0)), (8, 8, (3, 5), (3, 5)), (2, 2, (1, 1), (7, 7)), (20, 10, (10, 9), (4, 7))]
        {
            let cells = map(width, height, &[at]);
            let grid = Heat { width, height, cells: &cells }.grid();
            assert!(grid[field.1 * GRID + field.0] > 0.7, "{width} x {height}: {grid:?}");
        }
    }

    #[test]
    fn what_was_not_decided_or_is_damaged_has_no_numbers_of_it() {
        let names = Names::default();
        let nothing = Seen { scores: &[], label: None, heat: None, sketch: None };
        assert_eq!(nothing.numbers(&names), None);
        let torn = Some(Heat { width: 4, height: 4, cells: &[1, 2, 3] });
        let seen = Seen { scores: &[("scratch", 0.9)], heat: torn, ..nothing };
        let whole = Seen { heat: None, ..seen };
        assert_eq!(seen.numbers(&names), whole.numbers(&names));
        assert_eq!(seen.numbers(&names).map(|numbers| numbers.len()), Some(inputs()));
    }

    #[test]
    fn a_name_that_nobody_knows_is_the_same_on_both_sides() {
        let names = Names::default();
        let [mut one, mut other] = [vec![0.0; named()], vec![0.0; named()]];
        name(&names.of("burr"), 1.0, &mut one);
        name(&names.of("BURR"), 1.0, &mut other);
        assert_eq!(one, other);
        assert!((one.iter().map(|value| value * value).sum::<f32>() - 1.0).abs() < 1e-5);
    }

    proptest! {
        #[test]
        fn numbers_are_numbers(width in 1_usize..24, height in 1_usize..24, seed in any::<u64>()) {
            let cells: Vec<u8> = (0..width * height).map(|at| scatter(seed ^ at as u64) as u8).collect();
            let heat = Some(Heat { width, height, cells: &cells });
            let seen = Seen { scores: &[("crack", 0.5), ("grat", 0.5)], label: None, heat, sketch: None };
            let numbers = seen.numbers(&Names::default()).expect("it was decided");
            prop_assert!(numbers.iter().all(|number| number.is_finite() && number.abs() < 8.0), "{numbers:?}");
        }
    }
}
