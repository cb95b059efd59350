//! What a part was sent through for: production, or to check the line.

use std::str::FromStr;

use stages::check::Purpose;
use stages::inspection::Inspection;

/// What a part was sent through for. Only production is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PurposeKind {
    /// It was made to be sold.
    Production,
    /// Its answer was known: the line had to give it.
    GoldenSample,
    /// It belonged to a gauge study.
    Gauge,
    /// The line learned from it what good looks like.
    SetUp,
}

impl PurposeKind {
    const ALL: [PurposeKind; 4] =
        [PurposeKind::Production, PurposeKind::GoldenSample, PurposeKind::Gauge, PurposeKind::SetUp];

    /// Of a record.
    pub fn of(part: &Inspection) -> PurposeKind {
        match part.check.as_ref().map(|check| check.purpose) {
            None => PurposeKind::Production,
            Some(Purpose::GoldenSample) => PurposeKind::GoldenSample,
            Some(Purpose::Gauge) => PurposeKind::Gauge,
            Some(Purpose::SetUp) => PurposeKind::SetUp,
        }
    }

    /// As in the API: `production`, `golden_sample`, `gauge`, `set_up`.
    pub fn name(self) -> &'static str {
        match self {
            PurposeKind::Production => "production",
            PurposeKind::GoldenSample => "golden_sample",
            PurposeKind::Gauge => "gauge",
            PurposeKind::SetUp => "set_up",
        }
    }

    /// Its number in the index, below 8; production is 0. Never changed, only added to.
    pub(crate) fn code(self) -> u8 {
        self as u8
    }
}

impl FromStr for PurposeKind {
    type Err = String;
    fn from_str(text: &str) -> Result<PurposeKind, String> {
        let found = PurposeKind::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| format!("unknown purpose `{text}`: use production, golden_sample, gauge or set_up"))
    }
}
