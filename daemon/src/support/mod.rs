//! What somebody far away needs to understand a line: one zip file with versions, findings, configuration, state, last verdicts and log. No pictures, no secrets, no names of
//! people: what goes in is chosen piece by piece, and every text passes `scrub` on its way.

mod scrub;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::health::{Finding, examine};
use crate::store::{self, Exported, StoreError};
use crate::words::of as words_of;

/// Verdicts that go along.
const VERDICTS: usize = 200;
/// Lines of the log.
const LINES: &str = "5000";
/// Files of the state that are listed.
const FILES: usize = 20_000;
/// A longer file is no configuration.
const MAX_BYTES: u64 = 1 << 20;

/// What the bundle is made of.
pub struct Sources<'a> {
    /// The configuration.
    pub config: &'a Path,
    /// The state directory.
    pub state: &'a Path,
    /// What the line that runs says, by name; an error where none answers.
    pub answers: Vec<(&'static str, anyhow::Result<Value>)>,
}

/// Writes the bundle; what could not be had, each with the reason.
///
/// # Errors
/// It cannot be written.
pub fn write(sources: Sources<'_>, out: &Path) -> io::Result<Vec<String>> {
    let mut bundle = Bundle { zip: ZipWriter::new(File::create_new(out)?), lacks: Vec::new() };
    bundle.about()?;
    bundle.config(sources.config)?;
    for (name, answer) in sources.answers {
        bundle.answer(name, answer)?;
    }
    bundle.verdicts(sources.state)?;
    bundle.state(sources.state)?;
    bundle.log()?;
    let lacks = bundle.lacks.join("\n");
    bundle.put("LACKS.txt", &lacks)?;
    bundle.zip.finish().map_err(io::Error::other)?.sync_all()?;
    Ok(bundle.lacks)
}

struct Bundle {
    zip: ZipWriter<File>,
    lacks: Vec<String>,
}

impl Bundle {
    /// Every text goes through here.
    fn put(&mut self, name: &str, text: &str) -> io::Result<()> {
        self.zip.start_file(name, SimpleFileOptions::default()).map_err(io::Error::other)?;
        self.zip.write_all(scrub::text(text).as_bytes())
    }

    fn lack(&mut self, what: &str, why: &str) {
        self.lacks.push(format!("{what}: {}", scrub::text(why)));
    }

    fn about(&mut self) -> io::Result<()> {
        let machine = ["/proc/sys/kernel/osrelease", "/etc/debian_version"]
            .map(|path| format!("{path}: {}\n", fs::read_to_string(path).unwrap_or_default().trim()))
            .concat();
        let made = jiff::Timestamp::now();
        self.put("about.txt", &format!("inspectd {}\nmade {made}\n{machine}", env!("CARGO_PKG_VERSION")))
    }

    fn config(&mut self, path: &Path) -> io::Result<()> {
        let recipe = |text: &str| -> Option<PathBuf> {
            let table: toml::Table = text.parse().ok()?;
            Some(path.parent()?.join(table.get("line")?.get("recipe")?.as_str()?))
        };
        match read(path) {
            Ok(text) => {
                self.put("config/inspectd.toml", &scrub::config(&text))?;
                if let Some(path) = recipe(&text) {
                    match read(&path) {
                        Ok(text) => self.put("config/recipe.toml", &scrub::config(&text))?,
                        Err(error) => self.lack("the recipe", &error.to_string()),
                    }
                }
            }
            Err(error) => self.lack("the configuration", &format!("`{}`: {error}", path.display())),
        }
        Ok(())
    }

    fn answer(&mut self, name: &str, answer: anyhow::Result<Value>) -> io::Result<()> {
        match answer {
            Ok(mut value) => {
                without_people(&mut value);
                self.put(&format!("line/{name}.json"), &format!("{value:#}"))
            }
            Err(error) => {
                self.lack(name, &words_of(&error));
                Ok(())
            }
        }
    }

    /// The last verdicts, read from the journal's last files: that goes without a line that answers.
    fn verdicts(&mut self, state: &Path) -> io::Result<()> {
        match newest(state) {
            Ok(lines) => self.put("verdicts.jsonl", &lines.join("\n")),
            Err(error) => {
                self.lack("verdicts", &error.to_string());
                Ok(())
            }
        }
    }

    fn state(&mut self, state: &Path) -> io::Result<()> {
        let findings: Vec<String> = examine(state)
            .into_iter()
            .map(|Finding { severity, what, said, remedy }| {
                format!("{:<8} {what}: {said} {}", severity.word(), remedy.unwrap_or_default())
            })
            .collect();
        self.put("doctor.txt", &findings.join("\n"))?;
        let mut files = Vec::new();
        sizes(state, Path::new(""), &mut files);
        self.put("state.txt", &files.join("\n"))
    }

    fn log(&mut self) -> io::Result<()> {
        let arguments = ["--no-pager", "-q", "-o", "short-iso", "-n", LINES, "-u", "inspectd*"];
        match Command::new("journalctl").args(arguments).output() {
            Ok(output) if output.status.success() && !output.stdout.is_empty() => {
                self.put("log.txt", &String::from_utf8_lossy(&output.stdout))
            }
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                self.lack("the log", &format!("journalctl has nothing of `inspectd*` for this user {said}"));
                Ok(())
            }
            Err(error) => {
                self.lack("the log", &format!("journalctl: {error}"));
                Ok(())
            }
        }
    }
}

fn read(path: &Path) -> io::Result<String> {
    if fs::metadata(path)?.len() > MAX_BYTES {
        return Err(io::Error::other("it is too large"));
    }
    fs::read_to_string(path)
}

/// Records without sketches and heat maps, which are a sort of picture.
fn newest(state: &Path) -> Result<Vec<String>, StoreError> {
    let mut lines = std::collections::VecDeque::new();
    for record in store::export_newest(state)? {
        let Exported::Inspection(part) = record? else { continue };
        let mut value = serde_json::to_value(&*part).unwrap_or_default();
        for name in ["heat", "sample", "truth"] {
            value.as_object_mut().and_then(|it| it.remove(name));
        }
        lines.push_back(value.to_string());
        if lines.len() > VERDICTS {
            lines.pop_front();
        }
    }
    Ok(lines.into())
}

/// Who did something is nobody's business far away.
fn without_people(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if matches!(name.as_str(), "by" | "acknowledged" | "resolved_by" | "who" | "name_of")
                    && !value.is_boolean()
                {
                    *value = Value::String(scrub::GONE.to_owned());
                } else {
                    without_people(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(without_people),
        _ => {}
    }
}

/// Paths and sizes, nothing of what stands in them; pictures are counted by their days alone.
fn sizes(state: &Path, below: &Path, into: &mut Vec<String>) {
    let Ok(items) = fs::read_dir(state.join(below)) else { return };
    let pictures = below.starts_with("evidence") && below.components().count() == 4;
    let (mut count, mut bytes) = (0, 0);
    for item in items.flatten() {
        let path = below.join(item.file_name());
        let Ok(meta) = item.metadata() else { continue };
        if meta.is_dir() {
            sizes(state, &path, into);
        } else if pictures {
            (count, bytes) = (count + 1, bytes + meta.len());
        } else if into.len() < FILES {
            into.push(format!("{:>14} {}", meta.len(), path.display()));
        }
    }
    if pictures {
        into.push(format!("{bytes:>14} {} ({count} pictures)", below.display()));
    }
}
