//! Freezes what a training learns from: every picture under a name of its own, a list with labels and sides, and a digest. Pictures are
//! hard links where the disk allows it, so a version costs next to nothing, and no clean-up elsewhere takes a picture from it.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use models::image;
use models_train::dataset::Folder;
use models_train::split::Side;
use serde::{Deserialize, Serialize};
use stages::recipe::RecipeInForce;
use stages::regions::Area;

use super::super::{Labelled, Learning, seen};
use crate::store::Store;

/// Folder of the pictures that a person labelled on the line; those of the configured data lie in `base`.
pub(super) const LINE: &str = "line";
const BASE: &str = "base";
/// The list.
pub(super) const LIST: &str = "split.csv";
/// Of the labelled parts of each label, one in so many is held out: the newest.
const HELD_OUT: usize = 5;

/// What a version holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dataset {
    /// SHA-256 over paths, labels, sides and contents.
    pub digest: String,
    /// Pictures.
    pub images: usize,
    /// Of these, from parts that a person labelled on the line and that are learned from.
    pub labelled: usize,
    /// From the newest such parts, which are not learned from.
    pub held_out: usize,
    /// From the test side of the configured data: the golden set.
    pub golden: usize,
    /// Pictures of each label.
    pub labels: BTreeMap<String, usize>,
    /// Labelled parts whose picture is gone, or that rest on the word of a region with a model of its own.
    pub gone: usize,
}

/// A picture on its way into the version.
struct Row {
    from: PathBuf,
    /// The part of it that is learned from; none: all.
    tile: Option<Area>,
    path: String,
    labels: Vec<String>,
    side: Side,
    group: Option<String>,
}

/// A labelled part of the line.
struct Part {
    id: u64,
    /// Number of the answer that holds.
    answer: u64,
    label: Arc<str>,
    serial: Option<Arc<str>>,
}

/// Freezes the configured data and all that people labelled into `dir`. Labels that are in dispute are left out.
///
/// # Errors
/// Nothing to learn from, or the disk refuses.
pub(super) fn freeze(
    learning: &Learning,
    store: &Store,
    recipe: &RecipeInForce,
    dir: &Path,
) -> anyhow::Result<Dataset> {
    let mut rows = match &learning.section.data {
        Some(data) => base(data, learning.section.split.as_deref())?,
        None => Vec::new(),
    };
    let golden = rows.iter().filter(|row| row.side == Side::Test).count();
    let (line, gone) = labelled(learning, store)?;
    if line.is_empty() {
        bail!("no part was labelled yet whose picture is still there: label some first");
    }
    let held_out = line.iter().filter(|row| row.side == Side::Test).count();
    let labelled = line.len() - held_out;
    rows.extend(line);
    let mut labels: BTreeMap<String, usize> = BTreeMap::new();
    let mut list = String::from("path,label,split,group\n");
    for row in &rows {
        place(&row.from, recipe, row.tile, &dir.join(&row.path))?;
        for label in &row.labels {
            *labels.entry(label.clone()).or_default() += 1;
            let side = if row.side == Side::Test { "test" } else { "train" };
            let group = row.group.as_deref().unwrap_or(&row.path);
            writeln!(list, "{},{},{side},{}", quoted(&row.path), quoted(label), quoted(group)).context("the list")?;
        }
    }
    let list_path = dir.join(LIST);
    fs::write(&list_path, list).with_context(|| format!("cannot write {}", list_path.display()))?;
    let folder = Folder::open(dir, Some(&list_path))?;
    folder.check_trainable()?;
    Ok(Dataset { digest: folder.digest()?, images: rows.len(), labelled, held_out, golden, labels, gone })
}

/// Freezes the parts that hold a label given after answer `known` into `dir`, all of them to be judged by; how many.
///
/// # Errors
/// The disk refuses.
pub(super) fn freeze_later(
    learning: &Learning,
    store: &Store,
    recipe: &RecipeInForce,
    known: u64,
    dir: &Path,
) -> anyhow::Result<usize> {
    let parts = parts_of(learning).into_iter().filter(|part| part.answer > known);
    let mut list = String::from("path,label,split,group\n");
    let mut count = 0;
    for Part { id, label, serial, .. } in parts {
        let Some((from, tile)) = picture_of(store, id)? else { continue };
        let path = path_of(id, &from, tile);
        place(&from, recipe, tile, &dir.join(&path))?;
        let group = serial.map_or_else(|| path.clone(), |serial| format!("serial {serial}"));
        writeln!(list, "{},{},test,{}", quoted(&path), quoted(&label), quoted(&group)).context("the list")?;
        count += 1;
    }
    if count > 0 {
        let path = dir.join(LIST);
        fs::write(&path, list).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(count)
}

fn base(data: &Path, split: Option<&Path>) -> anyhow::Result<Vec<Row>> {
    let folder = Folder::open(data, split).with_context(|| format!("`learning.data` {}", data.display()))?;
    let row = |entry: &models_train::formats::Entry| Row {
        from: folder.path_of(entry),
        tile: None,
        path: format!("{BASE}/{}", entry.path),
        labels: entry.labels.clone(),
        side: entry.side,
        group: entry.group.clone(),
    };
    Ok(folder.entries().iter().map(row).collect())
}

/// The labelled parts of the line, and how many have no picture any more. The newest answers are held out, label by label; all parts of
/// one serial number stand on one side.
fn labelled(learning: &Learning, store: &Store) -> anyhow::Result<(Vec<Row>, usize)> {
    let mut parts = parts_of(learning);
    parts.sort_unstable_by_key(|part| Reverse(part.answer));
    let (mut rows, mut gone) = (Vec::new(), 0);
    let mut of_label: BTreeMap<Arc<str>, usize> = BTreeMap::new();
    for part in &parts {
        *of_label.entry(part.label.clone()).or_default() += 1;
    }
    let mut out: BTreeMap<Arc<str>, usize> = BTreeMap::new();
    let mut side_of: BTreeMap<Arc<str>, Side> = BTreeMap::new();
    for Part { id, label, serial, .. } in parts {
        let Some((from, tile)) = picture_of(store, id)? else {
            gone += 1;
            continue;
        };
        let held = out.entry(label.clone()).or_default();
        let own = if *held < of_label[&label] / HELD_OUT { Side::Test } else { Side::Train };
        let side = serial.as_ref().map_or(own, |serial| *side_of.entry(serial.clone()).or_insert(own));
        *held += usize::from(side == Side::Test);
        let group = serial.map(|serial| format!("serial {serial}"));
        rows.push(Row { path: path_of(id, &from, tile), from, tile, labels: vec![label.to_string()], side, group });
    }
    Ok((rows, gone))
}

/// Every part that holds a label.
fn parts_of(learning: &Learning) -> Vec<Part> {
    let desk = learning.desk.lock();
    let part = |(id, labelled): (u64, Labelled<'_>)| Part {
        id,
        answer: labelled.given.answered.number,
        label: labelled.label.clone(),
        serial: labelled.given.item.serial.clone(),
    };
    desk.labels.all().map(part).collect()
}

/// The picture of a part and what of it is learned from, if it is still there and the recipe's own model decided it.
fn picture_of(store: &Store, id: u64) -> anyhow::Result<Option<(PathBuf, Option<Area>)>> {
    let Some(part) = store.get(id)?.map(|stored| stored.inspection) else { return Ok(None) };
    let path = part.evidence.as_ref().map(|path| store.evidence_dir().join(path)).filter(|path| path.is_file());
    Ok(path.zip(seen::tile(&part)))
}

/// Where it lies in a version.
fn path_of(id: u64, from: &Path, tile: Option<Area>) -> String {
    let own = from.extension().and_then(|it| it.to_str()).unwrap_or("bin");
    format!("{LINE}/{id}.{}", if tile.is_some() { "png" } else { own })
}

fn place(from: &Path, recipe: &RecipeInForce, tile: Option<Area>, to: &Path) -> anyhow::Result<()> {
    let words = || format!("cannot put {} into the version", from.display());
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).with_context(words)?;
    }
    if tile.is_some() {
        let cut = seen::cut(&fs::read(from).with_context(words)?, recipe, tile).with_context(words)?;
        return fs::write(to, image::encode_png(cut.view())?).with_context(words);
    }
    // A link to a link would follow it away from the picture.
    let from = from.canonicalize().with_context(words)?;
    match fs::hard_link(&from, to) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(_) => fs::copy(&from, to).map(drop).with_context(words),
        Ok(()) => Ok(()),
    }
}

/// As RFC 4180 has it.
fn quoted(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}
