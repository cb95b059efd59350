//! What differs between two recipes, key by key, and a recipe with some keys replaced.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value as Json;
use toml::{Table, Value};
use utoipa::ToSchema;

/// A key with its values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = RecipeChange)]
pub struct Change {
    /// As in the file: `thresholds.scratch`, `regions[0].area.x`.
    pub key: String,
    /// Before; none: it was not there.
    #[schema(required = true)]
    pub before: Option<String>,
    /// After; none: it is not there any more.
    #[schema(required = true)]
    pub after: Option<String>,
}

/// Every key that differs, by name.
pub fn changed(before: &Table, after: &Table) -> Vec<Change> {
    let (old, new) = (flat(before), flat(after));
    let keys: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    keys.into_iter()
        .filter(|key| old.get(*key) != new.get(*key))
        .map(|key| Change { key: key.clone(), before: old.get(key).cloned(), after: new.get(key).cloned() })
        .collect()
}

fn flat(table: &Table) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    table.iter().for_each(|(key, value)| flatten(key, value, &mut all));
    all
}

fn flatten(path: &str, value: &Value, all: &mut BTreeMap<String, String>) {
    match value {
        Value::Table(table) => table.iter().for_each(|(key, value)| flatten(&format!("{path}.{key}"), value, all)),
        Value::Array(list) if list.iter().any(Value::is_table) => {
            list.iter().enumerate().for_each(|(at, value)| flatten(&format!("{path}[{at}]"), value, all));
        }
        value => {
            all.insert(path.to_owned(), value.to_string());
        }
    }
}

/// A recipe with the top-level keys of `change` in the place of its own; null takes one away.
///
/// # Errors
/// A value that TOML cannot hold, in words.
pub fn merged(mut base: Table, change: &serde_json::Map<String, Json>) -> Result<Table, String> {
    for (key, value) in change {
        match value {
            Json::Null => {
                base.remove(key);
            }
            value => {
                let value = toml_of(value).ok_or_else(|| format!("`{key}` has a value that no recipe can hold"))?;
                base.insert(key.clone(), value);
            }
        }
    }
    Ok(base)
}

/// None: a number that is none, or null within a list.
fn toml_of(value: &Json) -> Option<Value> {
    Some(match value {
        Json::Null => return None,
        Json::Bool(yes) => Value::Boolean(*yes),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Value::Integer(whole),
            None => Value::Float(number.as_f64().filter(|it| it.is_finite())?),
        },
        Json::String(text) => Value::String(text.clone()),
        Json::Array(list) => Value::Array(list.iter().map(toml_of).collect::<Option<_>>()?),
        // A key without a value is a key that is not there.
        Json::Object(object) => Value::Table(
            object
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| Some((key.clone(), toml_of(value)?)))
                .collect::<Option<_>>()?,
        ),
    })
}
