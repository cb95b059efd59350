//! What is true of a part, as far as words can say it: what a caption may say, and by which the answers to a question are judged.

use models::retrieval::{Concept, Glossary};

/// A defect, by what may be said of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Defect {
    /// Its label, as the model names it.
    pub label: String,
    /// Concepts that are true of it, beside what it is: place, size, shape, how much of it shows.
    pub concepts: Vec<Concept>,
}

/// A part, by what may be said of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Truth {
    /// Its defects; none: it is good.
    pub defects: Vec<Defect>,
    /// Concepts that are true of the part as a whole: its surface, that it has several defects.
    pub concepts: Vec<Concept>,
}

/// A caption, or a question: one defect, or a good part, on a surface.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Caption {
    /// What it is; none: whatever it is.
    pub label: Option<String>,
    /// What else is said of the defect.
    pub concepts: Vec<Concept>,
    /// What is said of the part.
    pub part: Vec<Concept>,
}

/// Concepts that say where.
pub const PLACES: [&str; 7] = ["left", "right", "top", "bottom", "centre", "border", "corner"];
/// Label of parts without a defect.
pub const GOOD: &str = "good";

impl Truth {
    /// Whether a caption is true of the part: all of it of the part, and all that it says of a defect of one and the same.
    pub fn fits(&self, caption: &Caption) -> bool {
        let whole = caption.part.iter().all(|concept| self.concepts.contains(concept));
        let said = |defect: &Defect| {
            caption.label.as_ref().is_none_or(|label| *label == defect.label)
                && caption.concepts.iter().all(|concept| defect.concepts.contains(concept))
        };
        let good = caption.label.as_deref() == Some(GOOD) && self.defects.is_empty();
        let nothing = caption.label.is_none() && caption.concepts.is_empty();
        whole && (nothing || (good && caption.concepts.is_empty()) || self.defects.iter().any(said))
    }
}

/// Where a defect lies on a picture, how large it is and of what shape, from its pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Extent {
    /// Its centre, 0 to 1 across and down.
    pub centre: [f32; 2],
    /// Its longest way, as a share of the picture's side.
    pub length: f32,
    /// How much longer than wide: 1 is round.
    pub stretch: f32,
    /// Direction of its long axis, 0 (across) to pi.
    pub angle: f32,
}

impl Extent {
    /// Of the pixels of one label in a mask; none where there are none.
    pub fn of(mask: &[u8], width: usize, label: u8) -> Option<Extent> {
        let height = mask.len() / width.max(1);
        let places = || {
            let here = mask.iter().enumerate().filter(|(_, found)| **found == label);
            here.map(|(at, _)| [(at % width) as f64 + 0.5, (at / width) as f64 + 0.5])
        };
        let count = places().count() as f64;
        if count == 0.0 {
            return None;
        }
        let mean = |of: &dyn Fn([f64; 2]) -> f64| places().map(of).sum::<f64>() / count;
        let (x, y) = (mean(&|at| at[0]), mean(&|at| at[1]));
        let (xx, yy) = (mean(&|at| (at[0] - x).powi(2)), mean(&|at| (at[1] - y).powi(2)));
        let xy = mean(&|at| (at[0] - x) * (at[1] - y));
        let (half, apart) = ((xx + yy) / 2.0, (((xx - yy) / 2.0).powi(2) + xy * xy).sqrt());
        // A line of length l has a variance of l * l / 12 along itself. A pixel has one of its own.
        let axis = |variance: f64| (12.0 * (variance.max(0.0) + 1.0 / 12.0)).sqrt();
        let angle = 0.5 * (2.0 * xy).atan2(xx - yy);
        Some(Extent {
            centre: [(x / width as f64) as f32, (y / height as f64) as f32],
            length: (axis(half + apart) / width.max(height) as f64) as f32,
            stretch: (axis(half + apart) / axis(half - apart)) as f32,
            angle: (if angle < 0.0 { angle + std::f64::consts::PI } else { angle }) as f32,
        })
    }

    /// What may be said of it, with how much of it shows (contrast-to-noise ratio). Between two words lies a gap in which neither is said,
    /// as people would not agree there.
    pub fn concepts(&self, cnr: f32) -> Vec<Concept> {
        let [x, y] = self.centre;
        let border = [x, 1.0 - x, y, 1.0 - y].into_iter().fold(f32::INFINITY, f32::min);
        let across = self.angle.min(std::f32::consts::PI - self.angle).to_degrees();
        let long = self.stretch > 2.5;
        let said = [
            ("left", x < 0.38),
            ("right", x > 0.62),
            ("top", y < 0.38),
            ("bottom", y > 0.62),
            ("centre", (0.32..0.68).contains(&x) && (0.32..0.68).contains(&y)),
            ("border", border < 0.16),
            ("corner", x.min(1.0 - x) < 0.25 && y.min(1.0 - y) < 0.25),
            ("small", self.length < 0.09),
            ("large", self.length > 0.17),
            ("thin", long && self.length > 0.1),
            ("round", self.stretch < 1.6),
            ("horizontal", long && across < 20.0),
            ("vertical", long && across > 70.0),
            ("diagonal", long && (30.0..60.0).contains(&across)),
            ("faint", cnr < 3.5),
            ("strong", cnr > 7.0),
        ];
        said.into_iter().filter(|(_, holds)| *holds).filter_map(|(name, _)| concept(name)).collect()
    }
}

/// A concept by its name in the glossary.
pub fn concept(name: &str) -> Option<Concept> {
    Glossary::get().concept(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(extent: &Extent, cnr: f32) -> Vec<&'static str> {
        extent.concepts(cnr).into_iter().map(|concept| Glossary::get().name(concept)).collect()
    }

    #[test]
    fn places_sizes_and_directions_follow_from_pixels() {
        let mut mask = vec![0; 200 * 100];
        (10..70).for_each(|x| mask[12 * 200 + x] = 3);
        let extent = Extent::of(&mask, 200, 3).expect("it has pixels");
        assert!((extent.length - 0.3).abs() < 0.01 && extent.stretch > 20.0, "{extent:?}");
        assert_eq!(said(&extent, 8.0), ["left", "top", "border", "corner", "large", "thin", "horizontal", "strong"]);
        assert_eq!(Extent::of(&mask, 200, 4), None);
        let mut mask = vec![0; 100 * 100];
        (0..25).for_each(|at| mask[(48 + at / 5) * 100 + 48 + at % 5] = 1);
        let extent = Extent::of(&mask, 100, 1).expect("it has pixels");
        assert_eq!(said(&extent, 3.0), ["centre", "small", "round", "faint"]);
        let mut mask = vec![0; 100 * 100];
        (0..40).for_each(|at| mask[(60 - at) * 100 + 30 + at] = 1);
        let extent = Extent::of(&mask, 100, 1).expect("it has pixels");
        assert!(said(&extent, 5.0).contains(&"diagonal"), "{extent:?}");
    }

    #[test]
    fn a_caption_must_be_true_of_one_and_the_same_defect() {
        let [left, top] = ["left", "top"].map(|name| concept(name).expect("it is in the glossary"));
        let defect = |label: &str, concepts: &[Concept]| Defect { label: label.into(), concepts: concepts.to_vec() };
        let truth = Truth { defects: vec![defect("scratch", &[left]), defect("pit", &[top])], concepts: vec![] };
        let asks = |label: Option<&str>, concepts: &[Concept]| {
            let caption = Caption { label: label.map(str::to_owned), concepts: concepts.to_vec(), part: vec![] };
            truth.fits(&caption)
        };
        assert!(asks(Some("scratch"), &[left]) && asks(Some("pit"), &[top]) && asks(None, &[top]));
        assert!(!asks(Some("scratch"), &[top]) && !asks(None, &[left, top]) && !asks(Some("good"), &[]));
        let good = Caption { label: Some(GOOD.into()), ..Caption::default() };
        assert!(Truth::default().fits(&good) && !truth.fits(&good));
    }
}
