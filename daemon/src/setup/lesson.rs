//! Parts that a person shows to a new line as good ones: their records are marked, so that they are no production, and their pictures are
//! kept. Nothing of it outlives the program: showing twenty parts again takes a minute.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use stages::check::{CheckMark, Known, Purpose};
use stages::inspection::Inspection;
use stages::verdict::{Cause, Verdict};

/// Parts that may be shown.
const MOST: usize = 500;

/// See the module.
#[derive(Default)]
pub struct Lesson {
    on: AtomicBool,
    shown: Mutex<Shown>,
}

#[derive(Default)]
struct Shown {
    since: Option<Instant>,
    wanted: usize,
    parts: Vec<u64>,
    /// Parts whose picture cannot be learned from.
    spoilt: usize,
}

/// How far it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LessonView {
    /// Parts are taken.
    pub on: bool,
    /// How many are wanted.
    pub wanted: usize,
    /// Those that were taken, by their number on record.
    pub parts: Vec<u64>,
    /// Parts whose picture was no good: out of focus, blank, cut short. They are not learned from.
    pub spoilt: usize,
}

impl Lesson {
    /// The next parts are good ones; what was shown before is forgotten.
    pub fn begin(&self, wanted: usize) {
        // Said under the lock, as everywhere: of two who begin and end at once, flag and lesson agree.
        let mut shown = self.shown();
        *shown = Shown { since: Some(Instant::now()), wanted: wanted.clamp(1, MOST), ..Shown::default() };
        self.on.store(true, Ordering::Release);
    }

    /// Parts are production again. What was shown stays.
    pub fn end(&self) {
        let mut shown = self.shown();
        self.on.store(false, Ordering::Release);
        shown.since = None;
    }

    /// Takes out a part that should not have been shown.
    pub fn leave_out(&self, part: u64) -> bool {
        let mut shown = self.shown();
        let before = shown.parts.len();
        shown.parts.retain(|other| *other != part);
        shown.parts.len() != before
    }

    /// Whether the parts that come are taken.
    pub fn is_on(&self) -> bool {
        self.on.load(Ordering::Acquire)
    }

    /// How far it is.
    pub fn view(&self) -> LessonView {
        let shown = self.shown();
        LessonView { on: self.is_on(), wanted: shown.wanted, parts: shown.parts.clone(), spoilt: shown.spoilt }
    }

    /// A verdict is about to go out. True: the part was shown, and is marked so.
    pub fn verdict(&self, part: &mut Inspection, triggered: Instant) -> bool {
        if !self.is_on() {
            return false;
        }
        let mut shown = self.shown();
        if shown.since.is_none_or(|since| triggered < since) {
            return false;
        }
        // What the model in force says of it does not matter, but there must be a whole picture.
        let spoilt = match part.verdict {
            Verdict::NoDecision(cause) => !matches!(cause, Cause::Late | Cause::StageFailed),
            Verdict::Pass | Verdict::Fail | Verdict::Review => false,
        };
        let sample = u32::try_from(shown.parts.len() + 1).unwrap_or(u32::MAX);
        let purpose = Purpose::SetUp;
        part.check = Some(CheckMark { purpose, run: 1, sample, repeat: 1, known: Some(Known::Good), right: None });
        match spoilt {
            true => shown.spoilt += 1,
            false => shown.parts.push(part.id),
        }
        if shown.parts.len() >= shown.wanted {
            self.on.store(false, Ordering::Release);
            shown.since = None;
        }
        true
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
