//! One study: parts whose truth is known, seen again and again; who said what of them, and what comes next. Without clock, disk or lock.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use stages::check::Known;

use super::figures::{Appraiser, Figures, figures};

/// The one who rates without being asked.
pub const LINE: &str = "line";
/// Parts of a study.
pub const MOST_PARTS: usize = 500;
/// Repeats of a study.
pub const MOST_REPEATS: usize = 20;
/// People besides the line.
pub const MOST_PEOPLE: usize = 20;
/// Most characters of a name.
const LONGEST: usize = 64;

/// What a study begins with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// What people call it.
    pub name: String,
    /// The parts.
    pub parts: Vec<StudyPart>,
    /// How often each is seen.
    pub repeats: usize,
    /// Parts are known by their serial numbers and may come in any order, between others.
    pub by_serial: bool,
}

/// A part with its truth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StudyPart {
    /// What people call it; its serial number, where parts are known by that.
    pub name: String,
    /// What it is, by the master: a better measurement, or people who agree.
    pub master: Known,
}

/// What somebody said of a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rating {
    /// `line`, or a person's name.
    pub appraiser: Arc<str>,
    /// Its place among the parts, from 0.
    pub part: usize,
    /// Which time, from 0.
    pub repeat: usize,
    /// Whether it was called good: may it go on?
    pub good: bool,
    /// Of the line: the part on record.
    pub inspection: Option<u64>,
    /// Of the line: it got no decision, and counts as called bad, as at the gate.
    #[serde(default)]
    pub undecided: bool,
    /// When.
    pub at: Timestamp,
}

/// A study as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Study {
    /// From 1.
    pub number: u64,
    /// Its plan.
    pub plan: Plan,
    /// When it was planned.
    pub at: Timestamp,
    /// By whom.
    pub by: Arc<str>,
    /// Recipe and model that the line's ratings are of; none before the first.
    pub under: Option<(Arc<str>, Arc<str>)>,
    /// What was said, oldest first.
    pub ratings: Vec<Rating>,
}

impl Plan {
    /// What is wrong with it, in words.
    pub fn problem(&self) -> Option<String> {
        let wrong = |name: &str| !is_name(name);
        if wrong(&self.name) {
            return Some(format!("`name` is `{}`: give 1 to {LONGEST} characters", self.name));
        }
        if !(2..=MOST_PARTS).contains(&self.parts.len()) {
            return Some(format!("`parts` has {} entries: give 2 to {MOST_PARTS}; 50 say something", self.parts.len()));
        }
        if !(2..=MOST_REPEATS).contains(&self.repeats) {
            return Some(format!("`repeats` is {}: give 2 to {MOST_REPEATS}; 3 are usual", self.repeats));
        }
        if let Some(part) = self.parts.iter().find(|part| wrong(&part.name)) {
            return Some(format!("`parts.name` is `{}`: give 1 to {LONGEST} characters", part.name));
        }
        let mut names: Vec<&str> = self.parts.iter().map(|part| part.name.as_str()).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Some(format!("`parts.name` is `{}` twice: give each its own", twice[0]));
        }
        let good = self.parts.iter().filter(|part| part.master == Known::Good).count();
        (good == 0 || good == self.parts.len())
            .then(|| "`parts` are all of one kind: agreement with the master needs good and bad ones".to_owned())
    }
}

/// Whether people may be called so.
pub fn is_name(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().count() <= LONGEST && !text.chars().any(char::is_control)
}

impl Study {
    /// How often somebody has rated a part.
    fn times(&self, appraiser: &str, part: usize) -> usize {
        self.ratings.iter().filter(|rating| &*rating.appraiser == appraiser && rating.part == part).count()
    }

    /// What the line sees next, as (part, repeat): round by round, each in another order, so that nobody learns it by heart. None: it has
    /// seen all.
    pub fn next(&self) -> Option<(usize, usize)> {
        let seen: Vec<usize> = (0..self.plan.parts.len()).map(|part| self.times(LINE, part)).collect();
        let repeat = *seen.iter().min()?;
        if repeat >= self.plan.repeats {
            return None;
        }
        let open = (0..seen.len()).filter(|&part| seen[part] == repeat);
        open.min_by_key(|&part| self.draw(repeat, part)).map(|part| (part, repeat))
    }

    /// A part's place in a round, by lot: always the same for the same study.
    fn draw(&self, repeat: usize, part: usize) -> (u32, usize) {
        let text = format!("{} {repeat} {part} {}", self.number, self.at);
        (crc32fast::hash(text.as_bytes()), part)
    }

    /// Which part of the study the line sees, as (part, repeat); none: it is none of it, or was seen often enough.
    pub fn place_of(&self, serial: Option<&str>) -> Option<(usize, usize)> {
        if !self.plan.by_serial {
            return self.next();
        }
        let serial = serial?;
        let part = self.plan.parts.iter().position(|part| part.name == serial)?;
        let repeat = self.times(LINE, part);
        (repeat < self.plan.repeats).then_some((part, repeat))
    }

    /// Everybody who has said something, the line first.
    pub fn appraisers(&self) -> Vec<Appraiser> {
        let mut names: Vec<&str> = vec![LINE];
        for rating in &self.ratings {
            if !names.contains(&&*rating.appraiser) {
                names.push(&rating.appraiser);
            }
        }
        names.into_iter().map(|name| self.appraiser(name)).collect()
    }

    fn appraiser(&self, name: &str) -> Appraiser {
        let mut ratings = vec![vec![None; self.plan.repeats]; self.plan.parts.len()];
        for rating in self.ratings.iter().filter(|rating| &*rating.appraiser == name) {
            if let Some(place) = ratings.get_mut(rating.part).and_then(|of| of.get_mut(rating.repeat)) {
                *place = Some(rating.good);
            }
        }
        Appraiser { name: name.to_owned(), ratings }
    }

    /// All figures so far.
    pub fn figures(&self) -> Figures {
        let master: Vec<bool> = self.plan.parts.iter().map(|part| part.master == Known::Good).collect();
        figures(&master, &self.appraisers())
    }

    /// Ratings of the line, and how many there will be.
    pub fn progress(&self) -> (usize, usize) {
        let seen = self.ratings.iter().filter(|rating| &*rating.appraiser == LINE).count();
        (seen, self.plan.parts.len() * self.plan.repeats)
    }
}
