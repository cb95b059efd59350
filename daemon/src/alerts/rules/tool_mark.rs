//! The same defect at the same place, again and again: not bad luck with the material, but a mark of a tool, a burr in a die,
//! dirt on a fixture or on the lens.
//!
//! Of each failed part the place is the centre of mass of its heat map around the peak. By chance alone, of `window` places
//! spread evenly over the picture about `window · π · radius²` lie within the radius of the newest one (0.1 by default), and
//! four or more with a probability of 4 in a million (Poisson).

use std::collections::VecDeque;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use stages::inspection::{Inspection, KeptHeat};
use stages::verdict::Verdict;
use utoipa::ToSchema;

use super::{Condition, Facts, Level, Look, Reading, Watch, within};

/// See the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ToolMark {
    /// Bad from so many defects at one place on.
    pub count: usize,
    /// Among the last so many parts that failed with the same label.
    pub window: usize,
    /// What one place is: a share of the picture's longer side.
    pub radius: f64,
    /// Good once so many parts in a row have no such defect there.
    pub clear_parts: u32,
}

impl Default for ToolMark {
    fn default() -> Self {
        ToolMark { count: 5, window: 20, radius: 0.04, clear_parts: 50 }
    }
}

impl Condition for ToolMark {
    const MACHINE: bool = false;

    fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        within(&mut problems, "count", self.count, 2, 1000);
        within(&mut problems, "window", self.window, self.count, 1000);
        within(&mut problems, "radius", self.radius, 0.001, 0.5);
        within(&mut problems, "clear_parts", self.clear_parts, 1, 1_000_000);
        problems
    }

    fn watch(&self) -> Box<dyn Watch> {
        Box::new(Watching { config: self.clone(), marks: Vec::new() })
    }
}

type Place = (f64, f64);

/// What is known of one label.
struct Marks {
    label: String,
    places: VecDeque<Place>,
    /// Where the mark is, and how many defects lay there.
    mark: Option<(Place, usize)>,
    /// Parts since the last defect at the mark.
    clean: u32,
    /// Width and height of the picture, in the unit of the places.
    size: (f64, f64),
}

struct Watching {
    config: ToolMark,
    marks: Vec<Marks>,
}

impl Watch for Watching {
    fn part(&mut self, part: &Inspection, _now: Timestamp) {
        let failed = match (&part.verdict, &part.label, &part.heat) {
            (Verdict::Fail, Some(label), Some(heat)) => place(heat).map(|place| (label.to_string(), place, size(heat))),
            // Nothing was seen of the part: it is no clean one.
            (Verdict::NoDecision(_), ..) => return,
            _ => None,
        };
        for marks in &mut self.marks {
            marks.clean = marks.clean.saturating_add(1);
        }
        let Some((label, place, size)) = failed else { return };
        let at = match self.marks.iter().position(|marks| marks.label == label) {
            Some(at) => at,
            None => {
                self.marks.push(Marks { label, places: VecDeque::new(), mark: None, clean: 0, size });
                self.marks.len() - 1
            }
        };
        let config = &self.config;
        self.marks[at].add(place, config);
    }

    fn look(&mut self, _facts: &Facts) -> Look {
        let clear = self.config.clear_parts;
        let reading = |marks: &Marks| {
            let level = match marks.mark {
                Some(_) if marks.clean < clear => Level::Bad,
                None if marks.clean < clear => Level::Between,
                _ => Level::Good,
            };
            let ((x, y), count) = marks.mark.unwrap_or_default();
            let text = match level {
                Level::Bad => format!(
                    "`{}` at the same place on {count} of the last {} such parts: {:.0} % from the left, {:.0} % from the top; look at tool, fixture and lens",
                    marks.label,
                    marks.places.len(),
                    100.0 * x / marks.size.0,
                    100.0 * y / marks.size.1
                ),
                _ => format!("no `{}` at one place on the last {} parts", marks.label, marks.clean),
            };
            Reading { subject: marks.label.clone(), level, value: Some(count as f64), text }
        };
        let readings = self.marks.iter().map(reading).collect();
        for marks in self.marks.iter_mut().filter(|marks| marks.clean >= clear) {
            marks.mark = None;
        }
        // A label that was not seen since the start: nobody knows whether its mark is gone.
        Look { readings, others: Level::Between }
    }
}

impl Marks {
    fn add(&mut self, place: Place, config: &ToolMark) {
        self.places.push_back(place);
        if self.places.len() > config.window {
            self.places.pop_front();
        }
        let near = |other: &&Place| (other.0 - place.0).hypot(other.1 - place.1) <= config.radius;
        let around: Vec<&Place> = self.places.iter().filter(near).collect();
        if around.len() >= config.count {
            let n = around.len() as f64;
            let mean = (around.iter().map(|p| p.0).sum::<f64>() / n, around.iter().map(|p| p.1).sum::<f64>() / n);
            self.mark = Some((mean, around.len()));
            self.clean = 0;
        } else if self.mark.is_some_and(|(mark, _)| near(&&mark)) {
            self.clean = 0;
        }
    }
}

fn size(heat: &KeptHeat) -> (f64, f64) {
    let (width, height) = (f64::from(heat.width), f64::from(heat.height));
    (width / width.max(height), height / width.max(height))
}

/// Centre of mass around the peak, as shares of the longer side; none without a peak. Finer than a cell.
fn place(heat: &KeptHeat) -> Option<Place> {
    let (width, height) = (usize::from(heat.width), usize::from(heat.height));
    if width == 0 || height == 0 || heat.cells.len() != width * height {
        return None;
    }
    let (peak, &value) = heat.cells.iter().enumerate().max_by_key(|&(at, &value)| (value, std::cmp::Reverse(at)))?;
    if value == 0 {
        return None;
    }
    let (px, py) = (peak % width, peak / width);
    let (mut mass, mut x, mut y) = (0.0, 0.0, 0.0);
    for row in py.saturating_sub(1)..=(py + 1).min(height - 1) {
        for column in px.saturating_sub(1)..=(px + 1).min(width - 1) {
            let weight = f64::from(heat.cells[row * width + column]);
            (mass, x, y) = (mass + weight, x + weight * (column as f64 + 0.5), y + weight * (row as f64 + 0.5));
        }
    }
    let side = width.max(height) as f64;
    Some((x / mass / side, y / mass / side))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{Bench, fail_at, pass};
    use super::*;

    #[test]
    fn a_mark_is_found_among_scattered_defects_and_is_gone_after_clean_parts() {
        let mut bench = Bench::new(&ToolMark::default());
        for n in 0..5 {
            assert!(bench.readings().iter().all(|it| it.level != Level::Bad), "after {n} at the place");
            bench.part(&fail_at("pit", 0.3, 0.7));
            bench.part(&fail_at("pit", 0.1 + 0.2 * f64::from(n), 0.1));
            bench.part(&pass());
        }
        let reading = bench.readings().remove(0);
        assert_eq!((reading.level, reading.subject.as_str()), (Level::Bad, "pit"));
        assert!(reading.text.contains("30 % from the left, 70 % from the top"), "{}", reading.text);
        (0..47).for_each(|_| bench.part(&pass()));
        assert_eq!(bench.level(), Level::Bad);
        (0..2).for_each(|_| bench.part(&pass()));
        assert_eq!(bench.level(), Level::Good);
    }

    #[test]
    fn another_label_at_the_place_is_another_matter() {
        let mut bench = Bench::new(&ToolMark::default());
        for label in ["pit", "dent", "crack"].repeat(4) {
            bench.part(&fail_at(label, 0.5, 0.5));
        }
        assert!(bench.readings().iter().all(|it| it.level == Level::Between), "four of each: {:?}", bench.readings());
    }

    #[test]
    fn scattered_defects_are_no_mark() {
        // The stated chance: 4 in a million a part. Of 20,000 seeded parts none may be taken for a mark.
        let mut bench = Bench::new(&ToolMark::default());
        let mut state = 7_u64;
        let mut draw = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            0.02 + 0.96 * ((state >> 33) as f64 / f64::from(1_u32 << 31))
        };
        for _ in 0..20_000 {
            let (x, y) = (draw(), draw());
            bench.part(&fail_at("pit", x, y));
            assert_ne!(bench.level(), Level::Bad, "at {x} {y}");
        }
    }

    proptest! {
        #[test]
        fn the_place_is_finer_than_a_cell(x in 0.1_f64..0.9, y in 0.1_f64..0.9) {
            let heat = fail_at("pit", x, y).heat.expect("a heat map");
            let (px, py) = place(&heat).expect("a peak");
            prop_assert!((px - x).hypot(py - y) < 0.02, "{px} {py} instead of {x} {y}");
        }

        #[test]
        fn odd_heat_maps_have_no_place_or_one_inside(width in 0_u16..5, height in 0_u16..5, cells in proptest::collection::vec(any::<u8>(), 0..25)) {
            if let Some((x, y)) = place(&KeptHeat { label: "x".into(), width, height, cells }) {
                prop_assert!((0.0..=1.0).contains(&x) && (0.0..=1.0).contains(&y));
            }
        }
    }
}
