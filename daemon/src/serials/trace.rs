//! Which serial numbers repeat, and which are left out: a plain state machine with bounded memory.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use stages::identify::serial::numbered;
use stages::inspection::MissingSerials;

/// Serial numbers in memory; older ones are looked for in the store's index.
const RECENT: usize = 4096;
/// Series that are followed at once, by what stands before their numbers.
const SERIES: usize = 64;
/// More numbers at once are no gap but another series.
const PLAUSIBLE: u64 = 10_000;

/// What a number says in its series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// The next one, the first of a series, or no number at all.
    Usual,
    /// Some were left out before it.
    Missing(MissingSerials),
    /// It comes before one that was there already.
    Late,
}

struct Series {
    before: String,
    highest: u64,
    /// Parts without a serial number since: some of what seems left out may be theirs.
    nameless: u64,
}

#[derive(Default)]
pub(super) struct Trace {
    recent: VecDeque<(Arc<str>, u64)>,
    newest: HashMap<Arc<str>, u64>,
    /// The one that was used last stands last.
    series: Vec<Series>,
}

impl Trace {
    /// A part has this serial number; the newest one in memory that had it before.
    pub(super) fn seen(&mut self, serial: &Arc<str>, part: u64) -> Option<u64> {
        let before = self.newest.insert(serial.clone(), part);
        self.recent.push_back((serial.clone(), part));
        if self.recent.len() > RECENT
            && let Some((serial, part)) = self.recent.pop_front()
            && self.newest.get(&serial) == Some(&part)
        {
            self.newest.remove(&serial);
        }
        before
    }

    /// A part has no serial number.
    pub(super) fn nameless(&mut self) {
        for series in &mut self.series {
            series.nameless += 1;
        }
    }

    /// What a part's serial number says in its series.
    pub(super) fn step(&mut self, serial: &str) -> Step {
        let Some((before, number)) = numbered(serial) else { return Step::Usual };
        let digits = serial.len() - before.len();
        let Some(at) = self.series.iter().position(|series| series.before == before) else {
            if self.series.len() >= SERIES {
                self.series.remove(0);
            }
            self.series.push(Series { before: before.to_owned(), highest: number, nameless: 0 });
            return Step::Usual;
        };
        let mut series = self.series.remove(at);
        let ahead = number.checked_sub(series.highest);
        let step = match ahead {
            Some(0) => Step::Usual,
            Some(ahead) if ahead <= PLAUSIBLE => {
                let count = (ahead - 1).saturating_sub(series.nameless);
                let named = |number: u64| format!("{before}{number:0digits$}").into();
                match count {
                    0 => Step::Usual,
                    count => Step::Missing(MissingSerials {
                        count,
                        first: named(series.highest + 1),
                        last: named(number - 1),
                    }),
                }
            }
            None if series.highest - number <= PLAUSIBLE => Step::Late,
            _ => Step::Usual,
        };
        if step != Step::Late && ahead != Some(0) {
            series.highest = number;
            series.nameless = 0;
        }
        self.series.push(series);
        step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(count: u64, first: &str, last: &str) -> Step {
        Step::Missing(MissingSerials { count, first: first.into(), last: last.into() })
    }

    #[test]
    fn what_is_left_out_is_named_with_its_zeros() {
        let mut trace = Trace::default();
        for (serial, step) in [
            ("A-0008", Step::Usual),
            ("A-0009", Step::Usual),
            ("A-0012", missing(2, "A-0010", "A-0011")),
            ("A-0011", Step::Late),
            ("A-0013", Step::Usual),
            ("B7", Step::Usual),
            ("A-0015", missing(1, "A-0014", "A-0014")),
            ("A-0015", Step::Usual),
            ("A-9000000", Step::Usual),
            ("A-1", Step::Usual),
            ("A-2", Step::Usual),
            ("no number", Step::Usual),
        ] {
            assert_eq!(trace.step(serial), step, "{serial}");
        }
    }

    #[test]
    fn parts_without_a_serial_take_the_blame_first() {
        let mut trace = Trace::default();
        trace.step("7");
        trace.nameless();
        trace.nameless();
        assert_eq!(trace.step("10"), Step::Usual, "two numbers, two parts");
        trace.nameless();
        assert_eq!(trace.step("14"), missing(2, "11", "13"), "of three numbers one may be the nameless part's");
    }

    #[test]
    fn memory_is_bounded_whatever_comes() {
        let mut trace = Trace::default();
        for part in 0..20_000_u64 {
            let serial: Arc<str> = format!("P{part}-1").into();
            assert_eq!(trace.seen(&serial, part), None);
            trace.step(&serial);
        }
        assert!(trace.recent.len() <= RECENT && trace.newest.len() <= RECENT && trace.series.len() <= SERIES);
        assert_eq!(trace.seen(&"P19999-1".into(), 20_000), Some(19_999));
        assert_eq!(trace.seen(&"P19999-1".into(), 20_001), Some(20_000), "the newest before it");
    }
}
