//! `[store.retention]`: how long pictures and records are kept. Without it everything is, for as long as there is room.

use serde::Deserialize;

use crate::store::VerdictKind;

/// Longer than any line lives; larger figures are a slip of the pen.
const MOST_DAYS: u32 = 36_500;
/// A petabyte, in megabytes.
const MOST_MB: u64 = 1 << 30;

/// How much is kept, and how long.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionSection {
    /// All pictures together, in megabytes.
    pub pictures_mb: Option<u64>,
    /// Pictures are let go while less than this is free on their disk, in megabytes.
    pub least_free_mb: Option<u64>,
    /// `[store.retention.pictures]`: by verdict.
    pub pictures: PicturesByVerdict,
    /// `[store.retention.records]`: by verdict.
    pub records: RecordsByVerdict,
}

/// How pictures of parts with each verdict are kept.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PicturesByVerdict {
    /// Of good parts.
    pub pass: PictureLimits,
    /// Of bad ones.
    pub fail: PictureLimits,
    /// Of those for a person.
    pub review: PictureLimits,
    /// Of those without an answer.
    pub no_decision: PictureLimits,
}

/// What bounds the pictures of one verdict; whatever is reached first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PictureLimits {
    /// Older ones go.
    pub days: Option<u32>,
    /// The newest so many stay.
    pub count: Option<u64>,
    /// The newest that fit into so many megabytes stay.
    pub mb: Option<u64>,
}

/// How records of parts with each verdict are kept.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RecordsByVerdict {
    /// Of good parts.
    pub pass: RecordLimits,
    /// Of bad ones.
    pub fail: RecordLimits,
    /// Of those for a person.
    pub review: RecordLimits,
    /// Of those without an answer.
    pub no_decision: RecordLimits,
}

/// What bounds the records of one verdict. A file of the journal goes when every record in it is past this.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RecordLimits {
    /// Older ones may go.
    pub days: Option<u32>,
    /// The newest so many stay.
    pub count: Option<u64>,
}

impl RecordLimits {
    fn is_none(self) -> bool {
        self == RecordLimits::default()
    }
}

impl PicturesByVerdict {
    /// Of one verdict.
    pub fn of(&self, verdict: VerdictKind) -> PictureLimits {
        match verdict {
            VerdictKind::Pass => self.pass,
            VerdictKind::Fail => self.fail,
            VerdictKind::Review => self.review,
            VerdictKind::NoDecision => self.no_decision,
        }
    }
}

impl RecordsByVerdict {
    /// Of one verdict.
    pub fn of(&self, verdict: VerdictKind) -> RecordLimits {
        match verdict {
            VerdictKind::Pass => self.pass,
            VerdictKind::Fail => self.fail,
            VerdictKind::Review => self.review,
            VerdictKind::NoDecision => self.no_decision,
        }
    }
}

/// Every verdict, in the order of the configuration.
pub(super) const VERDICTS: [VerdictKind; 4] =
    [VerdictKind::Pass, VerdictKind::Fail, VerdictKind::Review, VerdictKind::NoDecision];

impl RetentionSection {
    /// Whether pictures are ever let go.
    pub fn bounds_pictures(&self) -> bool {
        self.pictures_mb.is_some() || self.least_free_mb.is_some() || self.pictures != PicturesByVerdict::default()
    }

    /// Whether records are ever let go.
    pub fn bounds_records(&self) -> bool {
        self.records != RecordsByVerdict::default()
    }

    /// Keys below `store.retention`, each with what is wrong with it. `evidence_mb`: `store.evidence.least_free_mb`.
    pub fn problems(&self, evidence_mb: u32) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        let mut number = |key: String, value: Option<u64>, most: u64, zero: &str| match value {
            Some(0) => problems.push((key, format!("is 0: {zero}; give 1 to {most}, or leave it out"))),
            Some(value) if value > most => problems.push((key, format!("is {value}: give 1 to {most}"))),
            _ => {}
        };
        number("pictures_mb".into(), self.pictures_mb, MOST_MB, "no picture would be kept");
        number("least_free_mb".into(), self.least_free_mb, MOST_MB, "that is what no key says, too");
        for verdict in VERDICTS {
            let name = verdict.name();
            let PictureLimits { days, count, mb } = self.pictures.of(verdict);
            let nothing = "no such picture would be kept (which are, is the recipe's matter: `[evidence]`)";
            number(format!("pictures.{name}.days"), days.map(u64::from), MOST_DAYS.into(), nothing);
            number(format!("pictures.{name}.count"), count, u64::from(u32::MAX), nothing);
            number(format!("pictures.{name}.mb"), mb, MOST_MB, nothing);
            let RecordLimits { days, count } = self.records.of(verdict);
            let nothing = "no such record would be kept";
            number(format!("records.{name}.days"), days.map(u64::from), MOST_DAYS.into(), nothing);
            number(format!("records.{name}.count"), count, u64::from(u32::MAX), nothing);
        }
        if let Some(least) = self.least_free_mb.filter(|&least| least > 0 && least <= u64::from(evidence_mb)) {
            let text = format!(
                "is {least}, and `store.evidence.least_free_mb` is {evidence_mb}: new pictures would be left out before \
                 old ones are let go; give more than that"
            );
            problems.push(("least_free_mb".to_owned(), text));
        }
        problems.extend(self.of_records());
        problems
    }

    fn of_records(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        if !self.bounds_records() {
            return problems;
        }
        for verdict in VERDICTS {
            let (name, records, pictures) = (verdict.name(), self.records.of(verdict), self.pictures.of(verdict));
            if records.is_none() {
                let text = "has no limit, and the other verdicts' records have one: records go in whole files, so a single one \
                            without a limit would keep them all; give each verdict one";
                problems.push((format!("records.{name}"), text.to_owned()));
            }
            if let (Some(days), Some(pictures)) = (records.days, pictures.days)
                && days < pictures
            {
                let text = format!(
                    "is {days}, less than the {pictures} of `pictures.{name}.days`: nobody finds a picture whose record is gone"
                );
                problems.push((format!("records.{name}.days"), text));
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let section: RetentionSection = toml::from_str(text).expect("it is read");
        section.problems(256).into_iter().map(|(key, text)| format!("{key} {text}")).collect()
    }

    #[test]
    fn what_makes_no_sense_is_named_with_the_way_out() {
        assert!(problems("").is_empty());
        assert!(
            problems(
                "pictures_mb = 50000\nleast_free_mb = 1024\npictures.pass = { days = 30, count = 100000, mb = 9000 }"
            )
            .is_empty()
        );
        for (text, word) in [
            ("pictures_mb = 0", "no picture would be kept"),
            ("pictures_mb = 99999999999", "give 1 to"),
            ("pictures.pass.days = 0", "pictures.pass.days is 0"),
            ("pictures.fail.count = 0", "pictures.fail.count is 0"),
            ("pictures.no_decision.days = 40000", "give 1 to 36500"),
            ("least_free_mb = 256", "new pictures would be left out before"),
            ("records.pass.days = 30", "records.fail has no limit"),
        ] {
            let found = problems(text);
            assert!(found.iter().any(|it| it.contains(word)), "{text}: {found:?}");
        }
        let all = |days: u32| {
            ["pass", "fail", "review", "no_decision"].map(|it| format!("records.{it}.days = {days}\n")).concat()
        };
        assert!(problems(&all(400)).is_empty());
        let found = problems(&format!("{}pictures.fail.days = 500\n", all(400)));
        assert!(found[0].contains("nobody finds a picture whose record is gone"), "{found:?}");
    }

    #[test]
    fn unknown_keys_are_refused() {
        for text in ["picture_mb = 3", "pictures.pass.weeks = 3", "records.pass.mb = 3", "pictures.good.days = 3"] {
            assert!(toml::from_str::<RetentionSection>(text).is_err(), "{text}");
        }
        for text in ["pictures_mb = -1", "pictures.pass.days = 1.5", "pictures.pass.days = \"30\""] {
            assert!(toml::from_str::<RetentionSection>(text).is_err(), "{text}");
        }
    }
}
