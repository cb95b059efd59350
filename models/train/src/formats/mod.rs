//! The forms in which labelled images come, one file a form. All end in the same list of [`Entry`]s.
//!
//! What is read here comes from other programs and from people: every list is bounded, every path stays below the data folder,
//! and what is wrong is refused with the file, the place in it and the way out.

mod coco;
mod folders;
mod records;
mod table;
pub mod voc;

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::{Component, Path, PathBuf};

use crate::error::TrainError;
use crate::split::Side;

/// Largest list that is read: a mistake in the command line should not fill the memory.
const MOST_BYTES: u64 = 1 << 30;
/// Most images of a data set.
const MOST_ENTRIES: usize = 5_000_000;
/// Longest label, in bytes.
const LONGEST_LABEL: usize = 200;
/// Label of an image whose label is not looked at.
pub(crate) const UNLABELLED: &str = "unlabelled";
/// Folders within folders that are looked into for pictures without labels.
const DEPTH: usize = 64;
/// Label of an image on which boxes were looked for and none was drawn.
pub const NO_BOX: &str = "good";

/// One image of a data set.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Path below the data folder, with `/`.
    pub path: String,
    /// Names of its labels, at least one; the first is the one that sampling and reports count it by.
    pub labels: Vec<String>,
    /// Its side.
    pub side: Side,
    /// What it must not be parted from (a serial number, a lot), where the data say so.
    pub group: Option<String>,
    /// Where its defects are, where the data say so.
    pub boxes: Vec<LabelBox>,
}

impl Entry {
    /// An image with one label, to learn from.
    pub fn new(path: impl Into<String>, label: impl Into<String>) -> Entry {
        Entry { path: path.into(), labels: vec![label.into()], side: Side::Train, group: None, boxes: Vec::new() }
    }

    /// The first label.
    pub fn label(&self) -> &str {
        self.labels.first().map_or("", String::as_str)
    }
}

/// A defect's place.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelBox {
    /// Its label.
    pub label: String,
    /// Left, top, right, bottom in pixels of the image, all finite, with `left < right` and `top < bottom`.
    pub bounds: [f32; 4],
}

impl LabelBox {
    /// Checks the numbers.
    pub(crate) fn checked(label: &str, bounds: [f32; 4]) -> Result<LabelBox, String> {
        let [left, top, right, bottom] = bounds;
        if !bounds.iter().all(|value| value.is_finite() && value.abs() < 1e6) {
            return Err(format!("a box of `{label}` has the bounds {bounds:?}: not pixels of a picture"));
        }
        if left >= right || top >= bottom {
            return Err(format!("a box of `{label}` has no area (left, top, right, bottom = {bounds:?})"));
        }
        Ok(LabelBox { label: label.to_owned(), bounds })
    }

    fn area(&self) -> f32 {
        let [left, top, right, bottom] = self.bounds;
        (right - left) * (bottom - top)
    }
}

/// The labels of boxes, the one with the most area first; [`NO_BOX`] where there is none.
fn labels_of(boxes: &[LabelBox]) -> Vec<String> {
    let mut areas = BTreeMap::<&str, f32>::new();
    boxes.iter().for_each(|one| *areas.entry(&one.label).or_default() += one.area());
    let mut labels: Vec<(&str, f32)> = areas.into_iter().collect();
    labels.sort_by(|a, b| b.1.total_cmp(&a.1));
    match labels.is_empty() {
        true => vec![NO_BOX.to_owned()],
        false => labels.into_iter().map(|(label, _)| label.to_owned()).collect(),
    }
}

/// The forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One folder per class; `train/CLASS` and `test/CLASS` make two sides.
    Folders,
    /// CSV with the columns `path,label,split` and perhaps `group`.
    Csv,
    /// COCO's JSON: boxes and categories.
    Coco,
    /// Pascal VOC: one XML file an image.
    Voc,
    /// What `inspectd records export` writes, with a label on each line, beside the evidence pictures.
    Records,
}

impl Format {
    /// All of them.
    pub const ALL: [Format; 5] = [Format::Folders, Format::Csv, Format::Coco, Format::Voc, Format::Records];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Format::Folders => "folders",
            Format::Csv => "csv",
            Format::Coco => "coco",
            Format::Voc => "voc",
            Format::Records => "records",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Format, String> {
        let found = Format::ALL.into_iter().find(|format| format.name() == text);
        found.ok_or_else(|| format!("`{text}` is no format; it is one of folders, csv, coco, voc, records"))
    }
}

/// A data set's list.
#[derive(Debug, Clone)]
pub struct Listing {
    /// The form that it was read from.
    pub format: Format,
    /// Its images, none twice.
    pub entries: Vec<Entry>,
    /// What was left out and why, for a person.
    pub notes: Vec<String>,
}

/// Reads the list of a data folder. `list` is the file (or folder of XML files) that names the images; a bare name is looked
/// for in the data folder too. Without `format` it is told by the list's ending, or by what lies in the folder.
///
/// # Errors
/// When the folder or list cannot be read, is malformed, or names no image.
pub fn read(root: &Path, list: Option<&Path>, format: Option<Format>) -> Result<Listing, TrainError> {
    if !root.is_dir() {
        return Err(TrainError::Data(format!("`{}` is not a folder", root.display())));
    }
    // A bare name means the file that comes with the data, wherever the command is started.
    let list = list.map(|list| match !list.exists() && list.is_relative() {
        true => root.join(list),
        false => list.to_path_buf(),
    });
    let list = list.as_deref();
    let format = match (format, list) {
        (Some(format), _) => format,
        (None, Some(list)) => of_list(list),
        (None, None) => of_folder(root)?,
    };
    let mut entries = Entries::default();
    match format {
        Format::Folders => folders::read(root, &mut entries)?,
        Format::Csv => table::read(list.unwrap_or(&root.join("split.csv")), &mut entries)?,
        Format::Coco => coco::read(root, list, &mut entries)?,
        Format::Voc => voc::read(root, list, &mut entries)?,
        Format::Records => records::read(root, list.unwrap_or(&root.join("records.jsonl")), &mut entries)?,
    }
    let Entries { entries, notes, .. } = entries;
    match entries.is_empty() {
        true => Err(TrainError::Data(format!("`{}` lists no image with a label{}", root.display(), in_words(&notes)))),
        false => Ok(Listing { format, entries, notes }),
    }
}

fn in_words(notes: &[String]) -> String {
    notes.iter().map(|note| format!("; {note}")).collect()
}

fn of_list(list: &Path) -> Format {
    let ending = list.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    match ending.as_deref() {
        _ if list.is_dir() => Format::Voc,
        Some("json") => Format::Coco,
        Some("jsonl") => Format::Records,
        Some("xml") => Format::Voc,
        // The oldest form, whatever the file is called.
        _ => Format::Csv,
    }
}

fn of_folder(root: &Path) -> Result<Format, TrainError> {
    if root.join("records.jsonl").is_file() {
        return Ok(Format::Records);
    }
    if !coco::lists(root)?.is_empty() {
        return Ok(Format::Coco);
    }
    Ok(if voc::is_voc(root)? { Format::Voc } else { Format::Folders })
}

/// A list in the making.
#[derive(Default)]
pub(crate) struct Entries {
    entries: Vec<Entry>,
    seen: HashSet<String>,
    notes: Vec<String>,
}

impl Entries {
    /// Adds an image after checking what every form must keep.
    ///
    /// # Errors
    /// With the reason alone: the caller knows the place.
    pub(crate) fn push(&mut self, entry: Entry) -> Result<(), String> {
        if self.entries.len() == MOST_ENTRIES {
            return Err(format!("more than {MOST_ENTRIES} images: cut the list"));
        }
        match entry.label() {
            "" => return Err(format!("no label for `{}`", entry.path)),
            _ if entry.labels.iter().any(String::is_empty) => {
                return Err(format!("an empty label for `{}`", entry.path));
            }
            _ => entry.labels.iter().try_for_each(|label| check_label(label))?,
        }
        if !stays_below(Path::new(&entry.path)) {
            return Err(format!("path `{}` does not stay below the data folder", entry.path));
        }
        if !self.seen.insert(entry.path.clone()) {
            return Err(format!("`{}` stands twice in the list", entry.path));
        }
        self.entries.push(entry);
        Ok(())
    }

    pub(crate) fn note(&mut self, note: String) {
        self.notes.push(note);
    }
}

fn check_label(label: &str) -> Result<(), String> {
    if label.len() > LONGEST_LABEL {
        return Err(format!("a label of {} bytes; at most {LONGEST_LABEL}", label.len()));
    }
    match label.chars().any(char::is_control) {
        true => Err(format!("label {label:?} holds control characters")),
        false => Ok(()),
    }
}

pub(crate) fn stays_below(path: &Path) -> bool {
    path.components().count() > 0 && path.components().all(|part| matches!(part, Component::Normal(_)))
}

/// Image file endings that a folder is searched for.
pub(crate) const ENDINGS: &[&str] = &["jpg", "jpeg", "png", "bmp", "tif", "tiff", "webp", "gif", "pgm", "ppm", "pnm"];

/// Every picture below a folder, whatever its folders are called.
///
/// # Errors
/// When a folder cannot be read, or there is no picture.
pub(crate) fn unlabelled(root: &Path) -> Result<Vec<Entry>, TrainError> {
    if !root.is_dir() {
        return Err(TrainError::Data(format!("`{}` is not a folder", root.display())));
    }
    let found = below(root, DEPTH, &is_image)?;
    if found.is_empty() {
        return Err(TrainError::Data(format!("`{}` holds no pictures ({})", root.display(), ENDINGS.join(", "))));
    }
    found.iter().map(|path| Ok(Entry::new(relative(root, path)?, UNLABELLED))).collect()
}

fn is_image(path: &Path) -> bool {
    has_ending(path, ENDINGS) && path.is_file()
}

fn has_ending(path: &Path, endings: &[&str]) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    ending.is_some_and(|ending| endings.contains(&ending.as_str()))
}

/// What lies in a folder, sorted.
fn sorted(folder: &Path) -> Result<Vec<PathBuf>, TrainError> {
    let entries = std::fs::read_dir(folder).map_err(TrainError::io(folder))?;
    let paths: Result<Vec<PathBuf>, _> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut paths = paths.map_err(TrainError::io(folder))?;
    paths.sort();
    Ok(paths)
}

/// All files below a folder that `wanted` picks, sorted; links to folders are not followed, they may lead in circles.
fn below(folder: &Path, depth: usize, wanted: &dyn Fn(&Path) -> bool) -> Result<Vec<PathBuf>, TrainError> {
    let mut found = Vec::new();
    for path in sorted(folder)? {
        if path.is_dir() && !path.is_symlink() {
            if depth > 0 {
                found.extend(below(&path, depth - 1, wanted)?);
            }
        } else if wanted(&path) {
            found.push(path);
        }
        if found.len() > MOST_ENTRIES {
            return Err(TrainError::Data(format!("`{}` holds more than {MOST_ENTRIES} files", folder.display())));
        }
    }
    Ok(found)
}

/// A path's last name. Names that are no UTF-8 are refused: they could not be written into a list or a report.
fn name_of(path: &Path) -> Result<&str, TrainError> {
    path.file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(|| TrainError::Data(format!("`{}`: the name is not valid UTF-8; rename it", path.display())))
}

/// A path below the data folder as it stands in a list: with `/`.
fn relative(root: &Path, path: &Path) -> Result<String, TrainError> {
    let outside = || TrainError::Data(format!("`{}` does not lie below `{}`", path.display(), root.display()));
    let below = path.strip_prefix(root).map_err(|_| outside())?;
    let names: Result<Vec<&str>, TrainError> = below.iter().map(|name| name_of(Path::new(name))).collect();
    Ok(names?.join("/"))
}

/// The bytes of a list, if it is no larger than any real one.
fn read_list(path: &Path, most: u64) -> Result<Vec<u8>, TrainError> {
    let len = std::fs::metadata(path).map_err(TrainError::io(path))?.len();
    if len > most {
        let reason = format!("{} MB are more than a list of this kind has", len >> 20);
        return Err(TrainError::Split { path: path.into(), line: 0, reason });
    }
    std::fs::read(path).map_err(TrainError::io(path))
}

/// Side by the name of a list or folder.
fn side_of(name: &str) -> Option<Side> {
    let name = name.to_lowercase();
    let has = |word: &str| name.split(|c: char| !c.is_alphabetic()).any(|part| part == word);
    let sides = [("train", Side::Train), ("trainval", Side::Train), ("test", Side::Test)];
    sides.into_iter().find(|(word, _)| has(word)).map(|(_, side)| side)
}
