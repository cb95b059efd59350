//! A camera's features: what there are, and setting one with a look at what became of it.

use std::collections::HashSet;

use aravis::glib::object::{Cast, ObjectExt};
use aravis::prelude::*;
use aravis::{
    Camera, Gc, GcAccessMode, GcBoolean, GcCategory, GcCommand, GcEnumeration, GcFeatureNode, GcFloat, GcInteger,
    GcNode, GcString,
};

use crate::capture::SourceError;
use crate::capture::genicam::feature::{Access, Feature, FeatureName, FeatureValue, Kind};

/// More features than any camera has.
const MOST: usize = 10_000;

/// What became of a value.
pub(super) struct Set {
    /// As the camera says it now.
    pub(super) got: String,
    /// The camera took another value than it was asked for, in words.
    pub(super) note: Option<String>,
}

/// Every feature that the camera has now.
pub(super) fn all(camera: &Camera) -> Vec<Feature> {
    camera.device().and_then(|device| device.genicam()).map_or_else(Vec::new, |gc| listed(&gc))
}

/// A camera's description is somebody else's file: categories may stand in circles, so each name is looked at once.
fn listed(gc: &Gc) -> Vec<Feature> {
    let (mut features, mut seen) = (Vec::new(), HashSet::new());
    let mut waiting = vec![("Root".to_owned(), String::new())];
    while let Some((name, group)) = waiting.pop() {
        let node = gc.node(&name);
        if seen.len() >= MOST || !seen.insert(name.clone()) {
            continue;
        }
        let Some(node) = node else { continue };
        if let Some(category) = node.dynamic_cast_ref::<GcCategory>() {
            let inner = if name == "Root" { String::new() } else { name };
            // Taken from the end, so the camera's own order comes out.
            waiting.extend(category.features().into_iter().rev().map(|feature| (String::from(feature), inner.clone())));
        } else if let Some(feature) = node.dynamic_cast_ref::<GcFeatureNode>()
            && feature.is_implemented().unwrap_or(false)
        {
            features.push(describe(&node, feature, &name, &group));
        }
    }
    features
}

fn describe(node: &GcNode, feature: &GcFeatureNode, name: &str, group: &str) -> Feature {
    let kind = kind_of(node);
    let access = access_of(feature);
    let readable = matches!(access, Access::Read | Access::ReadWrite) && !matches!(kind, Kind::Command | Kind::Other);
    let (mut range, mut step, mut unit, mut entries) = (None, None, None, Vec::new());
    if readable && let Some(number) = node.dynamic_cast_ref::<GcInteger>().filter(|_| kind == Kind::Integer) {
        range = GcIntegerExt::min(number)
            .ok()
            .zip(GcIntegerExt::max(number).ok())
            .map(|(least, most)| (least as f64, most as f64));
        step = number.inc().ok().map(|step| step as f64);
        unit = number.unit().map(String::from);
    } else if readable && let Some(number) = node.dynamic_cast_ref::<GcFloat>().filter(|_| kind == Kind::Float) {
        range = GcFloatExt::min(number).ok().zip(GcFloatExt::max(number).ok());
        step = number.inc().ok().filter(|step| *step > f64::MIN_POSITIVE);
        unit = number.unit().map(String::from);
    } else if let Some(choice) = node.dynamic_cast_ref::<GcEnumeration>() {
        entries = choices(choice);
    }
    Feature {
        name: name.to_owned(),
        group: group.to_owned(),
        kind,
        value: if readable { feature.value_as_string().ok().map(String::from) } else { None },
        unit: unit.filter(|unit| !unit.is_empty()),
        range,
        step,
        entries,
        access,
        description: feature
            .description()
            .or_else(|| feature.tooltip())
            .map(String::from)
            .filter(|text| !text.is_empty()),
    }
}

/// Enumerations are integers too, for Aravis: the narrower kind comes first.
fn kind_of(node: &GcNode) -> Kind {
    if node.is::<GcEnumeration>() {
        Kind::Enumeration
    } else if node.is::<GcBoolean>() {
        Kind::Boolean
    } else if node.is::<GcCommand>() {
        Kind::Command
    } else if node.is::<GcInteger>() {
        Kind::Integer
    } else if node.is::<GcFloat>() {
        Kind::Float
    } else if node.is::<GcString>() {
        Kind::String
    } else {
        Kind::Other
    }
}

fn access_of(feature: &GcFeatureNode) -> Access {
    if !feature.is_available().unwrap_or(false) {
        return Access::None;
    }
    match (feature.actual_access_mode(), feature.is_locked().unwrap_or(false)) {
        (GcAccessMode::Ro, _) | (GcAccessMode::Rw, true) => Access::Read,
        (GcAccessMode::Wo, false) => Access::Write,
        (GcAccessMode::Rw, false) => Access::ReadWrite,
        _ => Access::None,
    }
}

fn choices(choice: &GcEnumeration) -> Vec<String> {
    choice.dup_available_string_values().map(|names| names.into_iter().map(String::from).collect()).unwrap_or_default()
}

/// Sets a feature, its selectors first, and reads it back.
pub(super) fn set(camera: &Camera, name: &FeatureName, value: &FeatureValue) -> Result<Set, SourceError> {
    let gc = camera
        .device()
        .and_then(|device| device.genicam())
        .ok_or_else(|| SourceError("the camera has no description".to_owned()))?;
    for (selector, entry) in &name.selectors {
        set_one(&gc, selector, &FeatureValue::Text(entry.clone()))?;
    }
    set_one(&gc, &name.name, value)
}

fn set_one(gc: &Gc, name: &str, value: &FeatureValue) -> Result<Set, SourceError> {
    let unknown = || {
        SourceError(format!(
            "the camera has no feature `{name}`{}; `inspectd cameras show` lists them",
            similar(gc, name)
        ))
    };
    let node = gc.node(name).ok_or_else(unknown)?;
    let feature = node.dynamic_cast_ref::<GcFeatureNode>().ok_or_else(unknown)?;
    let described = describe(&node, feature, name, "");
    match (described.access, described.kind) {
        (Access::None, _) => {
            return Err(SourceError(format!(
                "feature `{name}` is not available in the camera's present mode (a selector, or another feature, switches it)"
            )));
        }
        (Access::Read, _) => {
            return Err(SourceError(format!(
                "feature `{name}` cannot be set: it is read only, or locked while the camera runs"
            )));
        }
        _ => {}
    }
    let wrong = |wants: String| SourceError(format!("feature `{name}` does not take `{value}`: give {wants}"));
    let refused = |error: aravis::glib::Error| {
        SourceError(format!(
            "the camera refuses `{value}` for feature `{name}`: {}{}",
            error.message(),
            allowed(&described)
        ))
    };
    // A number out of range never reaches the camera, so that it cannot quietly do something else.
    let in_range = |number: f64| described.range.is_none_or(|(least, most)| (least..=most).contains(&number));
    match described.kind {
        Kind::Enumeration => {
            let choice = node.dynamic_cast_ref::<GcEnumeration>().ok_or_else(unknown)?;
            let text = value.to_string();
            if !described.entries.contains(&text) {
                return Err(wrong(format!("one of {}", described.entries.join(", "))));
            }
            choice.set_string_value(&text).map_err(refused)?;
        }
        Kind::Boolean => {
            let on = value.as_bool().ok_or_else(|| wrong("true or false".to_owned()))?;
            feature.set_value_from_string(if on { "true" } else { "false" }).map_err(refused)?;
        }
        Kind::Integer => {
            let number = value.as_integer().filter(|number| in_range(*number as f64));
            let number = number.ok_or_else(|| wrong(format!("a whole number{}", allowed(&described))))?;
            node.dynamic_cast_ref::<GcInteger>().ok_or_else(unknown)?.set_value(number).map_err(refused)?;
        }
        Kind::Float => {
            let number = value.as_float().filter(|number| in_range(*number));
            let number = number.ok_or_else(|| wrong(format!("a number{}", allowed(&described))))?;
            node.dynamic_cast_ref::<GcFloat>().ok_or_else(unknown)?.set_value(number).map_err(refused)?;
        }
        Kind::String => feature.set_value_from_string(&value.to_string()).map_err(refused)?,
        Kind::Command => {
            let go = value.as_bool() == Some(true);
            if !go {
                return Err(wrong("true, which executes it".to_owned()));
            }
            node.dynamic_cast_ref::<GcCommand>().ok_or_else(unknown)?.execute().map_err(refused)?;
            return Ok(Set { got: "executed".to_owned(), note: None });
        }
        Kind::Other => return Err(SourceError(format!("feature `{name}` is of a kind that cannot be set here"))),
    }
    let got = feature.value_as_string().map(String::from).map_err(|error| {
        SourceError(format!("feature `{name}` was set but cannot be read back: {}", error.message()))
    })?;
    compare(name, value, got, described.kind)
}

/// What the camera has made of a value: numbers may be rounded, which is noted; anything else must be as it was asked for.
pub(super) fn compare(name: &str, value: &FeatureValue, got: String, kind: Kind) -> Result<Set, SourceError> {
    let read = FeatureValue::Text(got.clone());
    let same = match kind {
        Kind::Boolean => value.as_bool() == read.as_bool(),
        Kind::Integer | Kind::Float => {
            match (value.as_float().or_else(|| value.as_integer().map(|it| it as f64)), read.as_float()) {
                (Some(asked), Some(read)) => (asked - read).abs() <= 1e-6 * asked.abs().max(1.0),
                _ => false,
            }
        }
        _ => value.to_string() == got,
    };
    match (same, kind) {
        (true, _) => Ok(Set { got, note: None }),
        (false, Kind::Integer | Kind::Float) => {
            let note = format!("the camera has made {got} of `{name}` = {value}");
            Ok(Set { got, note: Some(note) })
        }
        (false, _) => Err(SourceError(format!(
            "the camera has taken `{name}` = {value} without a word, and says {got}: it does not support that value"
        ))),
    }
}

fn allowed(feature: &Feature) -> String {
    let Some((least, most)) = feature.range else { return String::new() };
    let step = feature
        .step
        .filter(|step| *step != 1.0 && *step != 0.0)
        .map_or(String::new(), |step| format!(", in steps of {step}"));
    let unit = feature.unit.as_ref().map_or(String::new(), |unit| format!(" {unit}"));
    format!(" from {least} to {most}{unit}{step}")
}

/// Names that differ by little, or are part of each other.
fn similar(gc: &Gc, name: &str) -> String {
    let features = listed(gc);
    let lower = name.to_ascii_lowercase();
    let near = features.iter().map(|feature| &feature.name).filter(|known| {
        let known = known.to_ascii_lowercase();
        lower.len() >= 3 && (known.contains(&lower) || lower.contains(&known))
    });
    let near: Vec<String> = near.take(3).map(|known| format!("`{known}`")).collect();
    if near.is_empty() { String::new() } else { format!(" (did you mean {}?)", near.join(" or ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_noted_and_anything_else_is_refused() {
        let compared = |value: FeatureValue, got: &str, kind| compare("X", &value, got.to_owned(), kind);
        assert!(compared(FeatureValue::Float(100.0), "100.0000001", Kind::Float).expect("same").note.is_none());
        let note = compared(FeatureValue::Float(100.0), "96.5", Kind::Float).expect("rounded").note.expect("noted");
        assert_eq!(note, "the camera has made 96.5 of `X` = 100");
        assert!(compared(FeatureValue::Integer(1001), "1000", Kind::Integer).expect("rounded").note.is_some());
        assert!(compared(FeatureValue::Text("On".into()), "true", Kind::Boolean).expect("same").note.is_none());
        let said = compared(FeatureValue::Text("Mono12".into()), "Mono8", Kind::Enumeration).err().expect("refused").0;
        assert!(said.contains("says Mono8"), "{said}");
    }
}
