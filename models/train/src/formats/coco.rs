//! COCO's JSON: images, categories, and annotations that link them, with boxes. Source: <https://cocodataset.org/#format-data>.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Entries, Entry, LabelBox, MOST_BYTES, has_ending, labels_of, name_of, read_list, relative, side_of};
use super::{sorted, stays_below};
use crate::error::TrainError;
use crate::split::Side;

/// What is read of the file; the rest (licences, outlines, captions) is passed over.
#[derive(Deserialize)]
struct Document {
    images: Vec<Picture>,
    annotations: Vec<Annotation>,
    categories: Vec<Category>,
}

#[derive(Deserialize)]
struct Picture {
    id: i64,
    file_name: String,
}

#[derive(Deserialize)]
struct Annotation {
    image_id: i64,
    category_id: i64,
    /// Left, top, width, height. Absent where only the image is labelled.
    bbox: Option<[f32; 4]>,
}

#[derive(Deserialize)]
struct Category {
    id: i64,
    name: String,
}

/// The lists that come with a data folder: `annotations/*.json`, or `_annotations.coco.json` in the folder and its sides, or the
/// only `*.json` beside the images.
pub(super) fn lists(root: &Path) -> Result<Vec<PathBuf>, TrainError> {
    let annotations = root.join("annotations");
    if annotations.is_dir() {
        return Ok(sorted(&annotations)?.into_iter().filter(|path| has_ending(path, &["json"])).collect());
    }
    let sides = ["", "train", "valid", "val", "test"].map(|side| root.join(side).join("_annotations.coco.json"));
    let found: Vec<PathBuf> = sides.into_iter().filter(|path| path.is_file()).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let beside: Vec<PathBuf> = sorted(root)?.into_iter().filter(|path| has_ending(path, &["json"])).collect();
    Ok(if beside.len() == 1 { beside } else { Vec::new() })
}

pub(super) fn read(root: &Path, list: Option<&Path>, entries: &mut Entries) -> Result<(), TrainError> {
    let lists = list.map_or_else(|| lists(root), |list| Ok(vec![list.to_path_buf()]))?;
    if lists.is_empty() {
        let reason = "no COCO list in it (`annotations/*.json` or `_annotations.coco.json`): name one with `--split`";
        return Err(TrainError::Data(format!("`{}`: {reason}", root.display())));
    }
    for list in &lists {
        read_one(root, list, side(root, list)?, entries)?;
    }
    Ok(())
}

/// By the list's own name or that of the folder it lies in. A validation list is for learning: epochs are chosen on part of it.
fn side(root: &Path, list: &Path) -> Result<Side, TrainError> {
    let folder = list.parent().filter(|folder| *folder != root);
    let folder = folder.map(name_of).transpose()?.and_then(side_of);
    Ok(side_of(name_of(list)?).or(folder).unwrap_or(Side::Train))
}

fn read_one(root: &Path, list: &Path, side: Side, entries: &mut Entries) -> Result<(), TrainError> {
    let bytes = read_list(list, MOST_BYTES)?;
    let fail = |line: u64, reason: String| TrainError::Split { path: list.into(), line, reason };
    let document: Document =
        serde_json::from_slice(&bytes).map_err(|error| fail(error.line() as u64, format!("no COCO list: {error}")))?;
    let names: HashMap<i64, &str> = document.categories.iter().map(|it| (it.id, it.name.trim())).collect();
    if names.len() < document.categories.len() {
        return Err(fail(0, "two categories have the same id".into()));
    }
    let mut found: HashMap<i64, (Vec<LabelBox>, Vec<String>)> = HashMap::new();
    for image in &document.images {
        if found.insert(image.id, Default::default()).is_some() {
            return Err(fail(0, format!("two images have the id {}", image.id)));
        }
    }
    for (index, annotation) in document.annotations.iter().enumerate() {
        let at = |reason: String| fail(0, format!("annotation {index}: {reason}"));
        let name = names.get(&annotation.category_id);
        let name = name.ok_or_else(|| at(format!("no category has the id {}", annotation.category_id)))?;
        let image = found.get_mut(&annotation.image_id);
        let (boxes, labels) = image.ok_or_else(|| at(format!("no image has the id {}", annotation.image_id)))?;
        match annotation.bbox {
            Some([left, top, width, height]) => {
                boxes.push(LabelBox::checked(name, [left, top, left + width, top + height]).map_err(at)?);
            }
            None => labels.push((*name).to_owned()),
        }
    }
    for image in &document.images {
        let (boxes, plain) = found.remove(&image.id).unwrap_or_default();
        let labels = if boxes.is_empty() && !plain.is_empty() { plain } else { joined(labels_of(&boxes), plain) };
        let path = locate(root, list, &image.file_name).map_err(|reason| fail(0, reason))?;
        let entry = Entry { labels: deduplicated(labels), side, boxes, ..Entry::new(path, "") };
        entries.push(entry).map_err(|reason| fail(0, reason))?;
    }
    Ok(())
}

fn joined(mut labels: Vec<String>, more: Vec<String>) -> Vec<String> {
    labels.extend(more);
    labels
}

fn deduplicated(labels: Vec<String>) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    labels.into_iter().filter(|label| seen.insert(label.clone())).collect()
}

/// Where an image lies, as a path below the data folder: beside the list, in the data folder, or in its `images`. One that is
/// nowhere keeps the first of these, and is named when it is read.
fn locate(root: &Path, list: &Path, name: &str) -> Result<String, String> {
    if !stays_below(Path::new(name)) {
        return Err(format!("path `{name}` does not stay below the data folder"));
    }
    let beside = list.parent().filter(|folder| folder.starts_with(root)).unwrap_or(root);
    let subset = list.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.split_once('_'));
    let mut places = vec![beside.to_path_buf(), root.to_path_buf(), root.join("images")];
    places.extend(subset.map(|(_, subset)| root.join(subset)));
    let found = places.iter().map(|place| place.join(name)).find(|path| path.is_file());
    relative(root, &found.unwrap_or_else(|| root.join(name))).map_err(|error| error.to_string())
}
