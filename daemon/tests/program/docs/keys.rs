//! Configuration as documents write it, tried on the readers of configurations, recipes, alert rules and augmentations. They alone know which
//! keys there are.

use std::path::Path;

use inspectd::config::{Config, ConfigError, load_rule, parse_recipe};
use models_train::augment::Augment;
use toml::{Table, Value};

/// Sections of a line's configuration, and of a recipe: what begins with another word is no key of theirs.
const CONFIG: [&str; 12] =
    ["line", "source", "trigger", "plc", "store", "api", "access", "alerts", "learning", "quality", "models", "log"];
const RECIPE: [&str; 10] =
    ["thresholds", "quality", "identity", "golden_samples", "tiles", "regions", "align", "mask", "evidence", "review"];

/// What is written like a key, and is none.
const OTHERS: [&str; 5] = [
    // Of a record, and of the line's state (docs/IDENTITY.md).
    "identity.state",
    "identity.detail",
    "identity.repeats",
    "identity.missing",
    // Of the line's state (docs/CAMERAS.md).
    "source.statistics.adjusted",
];

/// Lists of tables. `views` is one of `source`.
const LISTS: [&str; 5] = ["regions", "mask", "golden_samples.sample", "quality.shifts", "views"];

/// Kinds of sources: each has keys of its own.
const SOURCES: [&str; 7] = ["folder", "video", "synthetic", "genicam", "v4l", "stream", "views"];

/// Why nobody reads this block; none: somebody does. What is missing is no fault: blocks show a part.
pub(super) fn refused(block: &str) -> Option<String> {
    let opened: Vec<&str> = block.lines().map(open).collect();
    // What is commented out shows other keys, and may contradict the rest so far that both together are no TOML.
    let text = Some(opened.join("\n")).filter(|text| text.parse::<Table>().is_ok()).unwrap_or_else(|| block.to_owned());
    if let Err(error) = text.parse::<Table>() {
        return Some(format!("not TOML: {}", error.message()));
    }
    let rule = || {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("rule.toml");
        std::fs::write(&file, &text).expect("written");
        faults(load_rule(&file, &[]).err())
    };
    let readers = [
        faults(Config::parse(Path::new("line.toml"), &text).err()),
        faults(parse_recipe(Path::new("recipe.toml"), &text).err()),
        rule(),
        Augment::from_toml(&text).err().into_iter().map(|error| error.to_string()).collect(),
    ];
    let best = readers.into_iter().min_by_key(Vec::len).expect("four readers");
    (!best.is_empty()).then(|| best.join("; "))
}

fn open(line: &str) -> &str {
    let body = line.trim_start().strip_prefix("# ").filter(|body| body.starts_with('[') || body.contains(" = "));
    body.unwrap_or(line)
}

/// What a reader says of keys and values that it does not know.
fn faults(error: Option<ConfigError>) -> Vec<String> {
    let wrong = |text: &str| {
        ["is no key", "is wrong", "which is not known", "not TOML"].iter().any(|words| text.contains(words))
    };
    let problems = error.map(|error| error.problems).unwrap_or_default();
    problems.iter().map(ToString::to_string).filter(|text| wrong(text)).collect()
}

/// The key that a span names, if it is one of a configuration or recipe and does not exist.
pub(super) fn unknown(span: &str) -> Option<String> {
    let key = named(span)?;
    let first = key.split('.').next()?;
    let file = [".toml", ".rs", ".jpg", ".png", ".json", ".log"].iter().any(|ending| key.ends_with(ending));
    let ours = CONFIG.contains(&first) || RECIPE.contains(&first);
    let exists = OTHERS.contains(&key.as_str())
        || (CONFIG.contains(&first) && known_to_config(&key))
        || (RECIPE.contains(&first) && known(&key, &|text| parse_recipe(Path::new("r.toml"), text).err()));
    (ours && !file && !exists).then_some(key)
}

/// `a.b`, `a.b = 1`, `[a.b]`, `[[a]]`, `[a] b = 1`: a dotted key.
fn named(span: &str) -> Option<String> {
    let (section, rest) = match span.strip_prefix('[') {
        Some(rest) => rest.trim_start_matches('[').split_once(']')?,
        None => ("", span),
    };
    let rest = rest.trim_start_matches(']').split(" = ").next()?.trim();
    let key = [section, rest].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".");
    let plain = key
        .split('.')
        .all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'));
    (plain && (key.contains('.') || !section.is_empty())).then_some(key)
}

fn known_to_config(key: &str) -> bool {
    let read = |text: &str| Config::parse(Path::new("line.toml"), text).err();
    let Some(of_source) = key.strip_prefix("source.") else { return known(key, &read) };
    let read_as = |kind: &str| {
        let kind = format!("[source]\nkind = \"{kind}\"\n");
        known(of_source, &|text| read(&(kind.clone() + &text.replace('[', "[source."))))
    };
    of_source == "kind" || SOURCES.into_iter().any(read_as)
}

/// Whether a reader looks at a key. Its value here may be wrong; it may not be unknown.
fn known(key: &str, read: &dyn Fn(&str) -> Option<ConfigError>) -> bool {
    let text = toml::to_string(&nested("", key)).expect("a table of one key");
    let problems = read(&text).map(|error| error.problems).unwrap_or_default();
    let shape = |text: &str| text.starts_with("is wrong: map") || text.starts_with("is wrong: sequence");
    !problems.iter().any(|problem| problem.text.contains("is no key") || shape(&problem.text))
}

/// A table with one key.
fn nested(above: &str, key: &str) -> Table {
    let (first, rest) = key.split_once('.').unwrap_or((key, ""));
    let path = format!("{above}{first}");
    let value = match rest {
        "" => Value::Integer(1),
        _ => Value::Table(nested(&format!("{path}."), rest)),
    };
    let value = if LISTS.contains(&path.as_str()) { Value::Array(vec![value]) } else { value };
    Table::from_iter([(first.to_owned(), value)])
}
