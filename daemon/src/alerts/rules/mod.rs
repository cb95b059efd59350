//! The conditions, one file each. A new one is a file with a config struct, `impl Condition`, a watcher, its tests; and a line in
//! the list below.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use stages::inspection::Inspection;
use utoipa::ToSchema;

use super::facts::Facts;
use super::machine::{Level, Reading};

/// A condition as configured.
pub(crate) trait Condition {
    /// Whether it is about the machine rather than the line. Alerts about the machine are noted in the records of the parts
    /// inspected meanwhile.
    const MACHINE: bool;

    /// What is wrong with it: key, and a text that reads on after it.
    fn problems(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// Begins to watch.
    fn watch(&self) -> Box<dyn Watch>;
}

/// What a condition sees at one look.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// One a subject.
    pub readings: Vec<Reading>,
    /// How subjects are that have no reading here.
    pub others: Level,
}

/// A condition at work.
pub trait Watch: Send {
    /// One more part has its verdict on record.
    fn part(&mut self, _part: &Inspection, _now: Timestamp) {}

    /// How things are now. Called about once a second.
    fn look(&mut self, facts: &Facts) -> Look;

    /// What must outlive a restart.
    fn memory(&self) -> Option<serde_json::Value> {
        None
    }

    /// Gets back what it gave.
    fn recall(&mut self, _memory: &serde_json::Value) {}

    /// Somebody resolved the alert about this subject by hand: what it was about is as it should be.
    fn forget(&mut self, _subject: &str) {}
}

macro_rules! conditions {
    ($($file:ident :: $config:ident $name:tt),* $(,)?) => {
        $(mod $file;)*

        // A name is taken as a token: as a literal it reaches the description in a group that it does not read.
        /// A condition, by its `kind`.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
        #[serde(tag = "kind")]
        #[schema(as = AlertCondition)]
        pub enum When {
            $(
                #[serde(rename = $name)]
                #[doc = $name]
                $config($file::$config),
            )*
        }

        impl When {
            /// Its `kind`.
            pub fn kind(&self) -> &'static str {
                match self { $(When::$config(_) => $name,)* }
            }

            /// See [`Condition::MACHINE`].
            pub fn about_the_machine(&self) -> bool {
                match self { $(When::$config(_) => $file::$config::MACHINE,)* }
            }

            /// See [`Condition::problems`].
            pub fn problems(&self) -> Vec<(&'static str, String)> {
                match self { $(When::$config(it) => it.problems(),)* }
            }

            /// Begins to watch.
            pub fn watch(&self) -> Box<dyn Watch> {
                match self { $(When::$config(it) => it.watch(),)* }
            }
        }
    };
}

mod without_verdict;

conditions! {
    reject_rate::RejectRate "reject_rate",
    fails_in_a_row::FailsInARow "fails_in_a_row",
    tool_mark::ToolMark "tool_mark",
    camera_lost::CameraLost "camera_lost",
    lateness::Lateness "lateness",
    overload::Overload "overload",
    safe_hold::SafeHold "safe_hold",
    provider_fell_back::ProviderFellBack "provider_fell_back",
    gpu_hot::GpuHot "gpu_hot",
    gpu_throttling::GpuThrottling "gpu_throttling",
    gpu_lost::GpuLost "gpu_lost",
    gpu_errors::GpuErrors "gpu_errors",
    disk_days::DiskDays "disk_days",
    memory_low::MemoryLow "memory_low",
    clock_free::ClockFree "clock_free",
    store_degraded::StoreDegraded "store_degraded",
    outbox_stuck::OutboxStuck "outbox_stuck",
    drift::Drift "drift",
    plc_lost::PlcLost "plc_lost",
    plc_no_ack::PlcNoAck "plc_no_ack",
    codes_unread::CodesUnread "codes_unread",
    serial_repeated::SerialRepeated "serial_repeated",
    serials_missing::SerialsMissing "serials_missing",
}

impl Look {
    /// Of the line or the machine as a whole.
    fn whole(level: Level, value: Option<f64>, text: impl Into<String>) -> Look {
        Look {
            readings: vec![Reading { subject: String::new(), level, value, text: text.into() }],
            others: Level::Good,
        }
    }
}

/// Bad from `bad` on, good up to `good`: the gap is the hysteresis.
fn rising(value: f64, bad: f64, good: f64) -> Level {
    match value {
        value if value >= bad => Level::Bad,
        value if value <= good => Level::Good,
        _ => Level::Between,
    }
}

/// Bad up to `bad`, good from `good` on.
fn falling(value: f64, bad: f64, good: f64) -> Level {
    match value {
        value if value <= bad => Level::Bad,
        value if value >= good => Level::Good,
        _ => Level::Between,
    }
}

/// What a key must lie within.
fn within<T: Copy + PartialOrd + std::fmt::Display>(
    problems: &mut Vec<(&'static str, String)>,
    key: &'static str,
    value: T,
    least: T,
    most: T,
) {
    if !(value >= least && value <= most) {
        problems.push((key, format!("is {value}: give {least} to {most}")));
    }
}

/// Parts of the last seconds, and how many of them count.
#[derive(Debug)]
struct Window {
    seconds: i64,
    /// One a second: when, parts, those that count.
    buckets: VecDeque<(Timestamp, u64, u64)>,
}

impl Window {
    fn new(seconds: u32) -> Window {
        Window { seconds: i64::from(seconds), buckets: VecDeque::new() }
    }

    fn add(&mut self, counts: bool, now: Timestamp) {
        match self.buckets.back_mut().filter(|(at, ..)| at.as_second() == now.as_second()) {
            Some((_, parts, counted)) => (*parts, *counted) = (*parts + 1, *counted + u64::from(counts)),
            None => self.buckets.push_back((now, 1, u64::from(counts))),
        }
    }

    /// Parts, and those that count.
    fn sums(&mut self, now: Timestamp) -> (u64, u64) {
        let span = SignedDuration::from_secs(self.seconds);
        // Also what lies in the future, after the clock was set back.
        self.buckets.retain(|(at, ..)| (SignedDuration::ZERO..span).contains(&now.duration_since(*at)));
        self.buckets.iter().fold((0, 0), |(all, some), (_, parts, counted)| (all + parts, some + counted))
    }

    /// The share that counts, percent; unknown with fewer parts than `least`.
    fn percent(&mut self, now: Timestamp, least: u64) -> (Option<f64>, u64, u64) {
        let (parts, counted) = self.sums(now);
        ((parts >= least.max(1)).then(|| 100.0 * counted as f64 / parts as f64), parts, counted)
    }
}

#[cfg(test)]
pub(crate) mod testing;
