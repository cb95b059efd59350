//! Names and values of a camera's features, as people write them and as cameras list them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A feature's name, with the selectors that are set before it: `Gain`, `Gain[GainSelector=DigitalAll]`.
///
/// Names are letters, digits and `_`, as GenICam's schema has them, so nothing else ever reaches the driver.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FeatureName {
    /// The feature.
    pub name: String,
    /// Selectors and their entries, in the order in which they are set.
    pub selectors: Vec<(String, String)>,
}

/// Why a text is no name or no value of a feature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadFeature(String);

impl FromStr for FeatureName {
    type Err = BadFeature;

    fn from_str(text: &str) -> Result<FeatureName, BadFeature> {
        let bad = || {
            let shown: String = text.chars().take(80).collect();
            BadFeature(format!(
                "`{}` is no feature's name: write `Gain` or `Gain[GainSelector=All]`",
                shown.escape_debug()
            ))
        };
        let (name, inside) = match text.split_once('[') {
            None => (text, None),
            Some((name, rest)) => (name, Some(rest.strip_suffix(']').ok_or_else(bad)?)),
        };
        let mut selectors = Vec::new();
        for pair in inside.into_iter().flat_map(|inside| inside.split(',')) {
            let (selector, entry) = pair.split_once('=').ok_or_else(bad)?;
            selectors.push((selector.trim().to_owned(), entry.trim().to_owned()));
        }
        let sound = is_name(name) && selectors.iter().all(|(selector, entry)| is_name(selector) && is_name(entry));
        if sound { Ok(FeatureName { name: name.to_owned(), selectors }) } else { Err(bad()) }
    }
}

/// Letters, digits and `_`, not a digit first for names; entries may begin with a digit, and nobody minds here.
fn is_name(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl fmt::Display for FeatureName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.name)?;
        if self.selectors.is_empty() {
            return Ok(());
        }
        let pairs: Vec<String> = self.selectors.iter().map(|(selector, entry)| format!("{selector}={entry}")).collect();
        write!(out, "[{}]", pairs.join(","))
    }
}

impl TryFrom<String> for FeatureName {
    type Error = BadFeature;

    fn try_from(text: String) -> Result<FeatureName, BadFeature> {
        text.parse()
    }
}

impl From<FeatureName> for String {
    fn from(name: FeatureName) -> String {
        name.to_string()
    }
}

/// A value as a configuration or a command line gives it. What it means depends on the feature's kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FeatureValue {
    /// For switches.
    Bool(bool),
    /// For numbers.
    Integer(i64),
    /// For numbers.
    Float(f64),
    /// For choices and texts; on the command line, for everything.
    Text(String),
}

impl fmt::Display for FeatureValue {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FeatureValue::Bool(value) => value.fmt(out),
            FeatureValue::Integer(value) => value.fmt(out),
            FeatureValue::Float(value) => value.fmt(out),
            FeatureValue::Text(value) => value.fmt(out),
        }
    }
}

impl FeatureValue {
    /// As a switch, if it can be one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            FeatureValue::Bool(value) => Some(*value),
            FeatureValue::Integer(value @ (0 | 1)) => Some(*value == 1),
            FeatureValue::Text(text) => match text.to_ascii_lowercase().as_str() {
                "true" | "on" | "yes" | "1" => Some(true),
                "false" | "off" | "no" | "0" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    /// As a whole number, if it can be one; texts in decimal or `0x` hexadecimal.
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            FeatureValue::Integer(value) => Some(*value),
            FeatureValue::Float(value) if value.fract() == 0.0 && value.abs() < 9e15 => Some(*value as i64),
            FeatureValue::Text(text) => match text.strip_prefix("0x") {
                Some(digits) => i64::from_str_radix(digits, 16).ok(),
                None => text.parse().ok(),
            },
            _ => None,
        }
    }

    /// As a number, if it can be a finite one.
    pub fn as_float(&self) -> Option<f64> {
        let value = match self {
            FeatureValue::Integer(value) => *value as f64,
            FeatureValue::Float(value) => *value,
            FeatureValue::Text(text) => text.parse().ok()?,
            FeatureValue::Bool(_) => return None,
        };
        value.is_finite().then_some(value)
    }
}

/// Reads `NAME=VALUE`, as `inspectd cameras set` takes it.
///
/// # Errors
/// There is no `=` outside of brackets, or no name before it.
pub fn assignment(text: &str) -> Result<(FeatureName, FeatureValue), BadFeature> {
    // A selector has its own `=` inside the brackets.
    let from = text.find(']').unwrap_or(0);
    let Some(at) = text[from..].find('=').map(|at| from + at) else {
        let shown: String = text.chars().take(80).collect();
        return Err(BadFeature(format!("`{}` sets nothing: write NAME=VALUE", shown.escape_debug())));
    };
    let value = text[at + 1..].trim();
    if value.is_empty() || value.len() > 1024 || value.chars().any(char::is_control) {
        return Err(BadFeature("the value is empty, longer than 1024 bytes, or has control characters".to_owned()));
    }
    Ok((text[..at].trim().parse()?, FeatureValue::Text(value.to_owned())))
}

/// A feature as a camera describes it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Feature {
    /// SFNC name, or the vendor's.
    pub name: String,
    /// The category that lists it.
    pub group: String,
    /// What kind of value it has.
    pub kind: Kind,
    /// The value now; none for commands, and for what cannot be read.
    pub value: Option<String>,
    /// Unit of a number, where the camera names one.
    pub unit: Option<String>,
    /// Least and greatest value of a number.
    pub range: Option<(f64, f64)>,
    /// A number moves in steps of this.
    pub step: Option<f64>,
    /// What may be chosen.
    pub entries: Vec<String>,
    /// What may be done with it now.
    pub access: Access,
    /// The camera's own words for it.
    pub description: Option<String>,
}

/// Kind of a feature's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the words of the standard
pub enum Kind {
    Integer,
    Float,
    Enumeration,
    Boolean,
    String,
    Command,
    Other,
}

/// What may be done with a feature now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Read only.
    Read,
    /// Write only: commands.
    Write,
    /// Both.
    ReadWrite,
    /// Nothing: not in this mode of the camera.
    None,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn assignments_with_and_without_selectors() {
        let (name, value) = assignment("ExposureTime=1200.5").expect("sound");
        assert_eq!((name.to_string().as_str(), value.as_float()), ("ExposureTime", Some(1200.5)));
        let (name, value) = assignment("Gain[GainSelector=DigitalAll]=0x10").expect("sound");
        assert_eq!(name.selectors, [("GainSelector".to_owned(), "DigitalAll".to_owned())]);
        assert_eq!((name.to_string().as_str(), value.as_integer()), ("Gain[GainSelector=DigitalAll]", Some(16)));
        for bad in ["", "=", "Gain", "=5", "Ga in=5", "Gain[=5", "Gain[x]=5", "Gain=", "Gain[a=b=5", "Gäin=5", "a\0=1"]
        {
            assert!(assignment(bad).is_err(), "{bad}");
        }
        assert_eq!(FeatureValue::Text("nan".into()).as_float(), None);
        assert_eq!(FeatureValue::Text("on".into()).as_bool(), Some(true));
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_read_is_written_back(text in "\\PC{0,60}|[A-Za-z\\[\\]=,_ .0-9]{0,40}") {
            if let Ok((name, _)) = assignment(&text) {
                prop_assert_eq!(name.to_string().parse::<FeatureName>(), Ok(name));
            }
            if let Ok(name) = text.parse::<FeatureName>() {
                prop_assert!(name.to_string().bytes().all(|byte| byte.is_ascii_graphic()));
            }
        }
    }
}
