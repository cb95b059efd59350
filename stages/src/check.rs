//! Parts that are sent through the line on purpose, to check the line itself: golden samples, parts of a gauge study, parts shown while a
//! line is set up. They are inspected as any other and obey the law as any other; their records say what they are, so that nobody
//! counts them as production.

use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::inspection::Inspection;
use crate::recipe::{Gate, RecipeInForce};
use crate::verdict::Verdict;

/// Most samples of a routine.
const MOST_SAMPLES: usize = 100;
/// Most characters of a sample's name or serial number.
const LONGEST: usize = 64;

/// Why a part was sent through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Its answer is known: the line must give it.
    GoldenSample,
    /// It is seen again and again: how well does the line agree with itself and with the truth?
    Gauge,
    /// The line learns from it what good looks like.
    SetUp,
}

/// What a part is known to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Known {
    /// It must pass.
    Good,
    /// It must not.
    Bad,
}

/// What the record says of such a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckMark {
    /// Why it was sent through.
    pub purpose: Purpose,
    /// Number of the run or study; 0: outside of one, known by its serial number.
    pub run: u64,
    /// Its place in it, from 1.
    pub sample: u32,
    /// How often it was seen in it, this time included.
    pub repeat: u32,
    /// What it is known to be; none: that does not matter.
    pub known: Option<Known>,
    /// Whether the line judged it so.
    pub right: Option<bool>,
}

/// Whoever knows of such parts. It is asked under the lock of the line's books: it must not block and must not call the line.
pub trait Checker: Send + Sync {
    /// Why no part may be decided now, in words. Asked at each trigger, with what that part would be inspected with.
    fn refuses(&self, recipe: &RecipeInForce) -> Option<Arc<str>>;

    /// Whether parts that come now may be such parts: their pictures are kept.
    fn is_on(&self) -> bool;

    /// A verdict is about to go out; called in trigger order. The mark is set here. A part that is none of those awaited may lose its
    /// verdict to no decision, as long as the line has not shown that it judges right.
    fn verdict(&self, inspection: &mut Inspection, recipe: &RecipeInForce, triggered: Instant);
}

/// Whether the gate lets a part with this verdict go on.
pub fn goes_on(verdict: Verdict, review_as: Gate) -> bool {
    match verdict {
        Verdict::Pass => true,
        Verdict::Review => review_as == Gate::Accept,
        Verdict::Fail | Verdict::NoDecision(_) => false,
    }
}

/// The routine of a recipe: parts whose answer is known, and when they have to be shown.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GoldenSamples {
    /// Beginnings of shifts, `06:00`: at each the samples have to be shown.
    pub shifts: Vec<String>,
    /// Hours after which they have to be shown again; 0: not by hours.
    pub every_h: f64,
    /// They have to be shown when a recipe comes into force.
    pub on_changeover: bool,
    /// The samples, in the order in which they are shown, unless they are known by serial number.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sample: Vec<GoldenSample>,
}

/// One part whose answer is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoldenSample {
    /// What people call it.
    pub name: String,
    /// What it is.
    pub known: Known,
    /// Of a bad one: a label that must be found on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Its serial number; `*` stands for anything. With serial numbers, samples may come in any order, and between other parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
}

impl GoldenSamples {
    /// Whether somebody has to show the samples at times.
    pub fn is_demanded(&self) -> bool {
        self.on_changeover || self.every_h > 0.0 || !self.shifts.is_empty()
    }

    /// Whether samples are known by their serial numbers.
    pub fn by_serial(&self) -> bool {
        self.sample.iter().any(|sample| sample.serial.is_some())
    }

    /// Everything wrong with it by itself.
    pub fn problems(&self) -> Vec<String> {
        let key = "golden_samples";
        let mut problems = Vec::new();
        let mut refuse = |wrong: bool, words: String| {
            if wrong {
                problems.push(words);
            }
        };
        refuse(
            !(self.every_h.is_finite() && (0.0..=1000.0).contains(&self.every_h)),
            format!("`{key}.every_h` is {}: give hours up to 1000, or 0", self.every_h),
        );
        for shift in &self.shifts {
            refuse(!is_time(shift), format!("`{key}.shifts` has `{shift}`, which is no time of day: write \"06:00\""));
        }
        refuse(self.sample.is_empty(), format!("`{key}` has no samples: add `[[{key}.sample]]`, or leave it out"));
        let count = self.sample.len();
        refuse(count > MOST_SAMPLES, format!("`{key}.sample` has {count} entries: {MOST_SAMPLES} are enough"));
        let with = self.sample.iter().filter(|sample| sample.serial.is_some()).count();
        refuse(
            with != 0 && with != count,
            format!("`{key}.sample`: {with} of {count} have a `serial`: give all of them one, or none"),
        );
        for (at, sample) in self.sample.iter().enumerate() {
            let GoldenSample { name, known, label, serial } = sample;
            refuse(!is_name(name), format!("`{key}.sample.name` is `{name}`: give 1 to {LONGEST} characters"));
            let before = &self.sample[..at];
            refuse(
                before.iter().any(|other| other.name == *name),
                format!("`{key}.sample.name` is `{name}` twice: give each its own"),
            );
            refuse(
                label.is_some() && *known == Known::Good,
                format!("`{key}.sample.label` of `{name}`: a good part has no defect; leave it out"),
            );
            let Some(serial) = serial else { continue };
            refuse(
                !is_name(serial) || serial.chars().all(|c| c == '*'),
                format!(
                    "`{key}.sample.serial` of `{name}` is `{serial}`: give a serial number, with `*` for what may vary"
                ),
            );
            refuse(
                before.iter().any(|other| other.serial.as_ref() == Some(serial)),
                format!("`{key}.sample.serial` is `{serial}` twice: each sample needs its own"),
            );
        }
        problems
    }
}

impl GoldenSample {
    /// Whether a part with this serial number is this sample.
    pub fn is(&self, serial: &str) -> bool {
        self.serial.as_ref().is_some_and(|pattern| fits(pattern, serial))
    }

    /// Whether the line has judged it right.
    pub fn is_right(&self, inspection: &Inspection, review_as: Gate) -> bool {
        let undecided = matches!(inspection.verdict, Verdict::NoDecision(_));
        match self.known {
            Known::Good => inspection.verdict == Verdict::Pass,
            Known::Bad => {
                let found = |label: &String| {
                    inspection.label.as_deref() == Some(label) || inspection.found.iter().any(|it| *it.label == **label)
                };
                !undecided && !goes_on(inspection.verdict, review_as) && self.label.as_ref().is_none_or(found)
            }
        }
    }
}

fn is_name(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().count() <= LONGEST && !text.chars().any(char::is_control)
}

fn is_time(text: &str) -> bool {
    text.len() == 5 && jiff::civil::Time::strptime("%H:%M", text).is_ok()
}

/// Whether a text fits a pattern in which `*` stands for anything. In linear time for each star: serial numbers come from outside.
pub fn fits(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some(last) = pieces.next_back() else { return rest.is_empty() };
    for piece in pieces {
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    rest.len() >= last.len() && rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, text, expected) in [
            ("GS-1", "GS-1", true),
            ("GS-1", "GS-10", false),
            ("GS-*", "GS-10", true),
            ("*-10", "GS-10", true),
            ("G*S*0", "GS-10", true),
            ("G*S*0", "G-10", false),
            ("AB*B", "AB", false),
            ("AB*B", "ABB", true),
            ("", "", true),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn every_fault_of_a_routine_is_named() {
        let sample = |name: &str, known, serial: Option<&str>| GoldenSample {
            name: name.into(),
            known,
            label: None,
            serial: serial.map(Into::into),
        };
        let sound = GoldenSamples {
            shifts: vec!["06:00".into()],
            every_h: 8.0,
            on_changeover: true,
            sample: vec![sample("good", Known::Good, None), sample("bad", Known::Bad, None)],
        };
        assert_eq!(sound.problems(), Vec::<String>::new());
        let faults: [(&str, GoldenSamples); 6] = [
            ("no samples", GoldenSamples { sample: Vec::new(), ..sound.clone() }),
            ("time of day", GoldenSamples { shifts: vec!["6 am".into()], ..sound.clone() }),
            ("every_h", GoldenSamples { every_h: f64::NAN, ..sound.clone() }),
            ("twice", GoldenSamples { sample: vec![sample("a", Known::Good, None); 2], ..sound.clone() }),
            (
                "give all of them one",
                GoldenSamples {
                    sample: vec![sample("a", Known::Good, Some("X")), sample("b", Known::Bad, None)],
                    ..sound.clone()
                },
            ),
            ("may vary", GoldenSamples { sample: vec![sample("a", Known::Good, Some("**"))], ..sound }),
        ];
        for (words, faulty) in faults {
            let problems = faulty.problems();
            assert!(problems.iter().any(|problem| problem.contains(words)), "{words}: {problems:?}");
        }
    }
}
