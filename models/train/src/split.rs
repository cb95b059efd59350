//! Which image is for learning, which for measuring.

use std::path::{Component, Path, PathBuf};

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

use crate::error::TrainError;

/// The two sides of a split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// To learn from.
    Train,
    /// To measure on, never to learn or to choose from.
    Test,
}

/// One line of a data set's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Path below the data folder, with `/`.
    pub path: String,
    /// Name of its label.
    pub label: String,
    /// Its side.
    pub side: Side,
}

/// Reads a split file: CSV with the columns `path,label,split`, `split` being `train` or `test`. Paths are relative to
/// the data folder and stay below it.
///
/// # Errors
/// With the line: a missing column, an unknown split, an empty label, a path that leaves the folder or comes twice.
pub fn read(path: &Path) -> Result<Vec<Entry>, TrainError> {
    let bytes = std::fs::read(path).map_err(TrainError::io(path))?;
    let fail = |line: u64, reason: String| TrainError::Split { path: path.into(), line, reason };
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(bytes.as_slice());
    let headers = reader.headers().map_err(|error| fail(1, error.to_string()))?.clone();
    let column = |name: &str| {
        headers.iter().position(|header| header == name).ok_or_else(|| {
            let found = headers.iter().collect::<Vec<_>>().join(",");
            fail(1, format!("no column `{name}` (found `{found}`); the header must be `path,label,split`"))
        })
    };
    let [path_at, label_at, split_at] = [column("path")?, column("label")?, column("split")?];
    let mut seen = std::collections::HashSet::new();
    let mut entries = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| {
            let line = error.position().map_or(0, csv::Position::line);
            fail(line, error.to_string())
        })?;
        let line = record.position().map_or(0, csv::Position::line);
        let field = |at: usize| record.get(at).unwrap_or_default().to_owned();
        let side = match field(split_at).as_str() {
            "train" => Side::Train,
            "test" => Side::Test,
            other => return Err(fail(line, format!("unknown split `{other}`; it is `train` or `test`"))),
        };
        let entry = Entry { path: field(path_at), label: field(label_at), side };
        if entry.label.is_empty() {
            return Err(fail(line, format!("no label for `{}`", entry.path)));
        }
        if !stays_below(Path::new(&entry.path)) {
            return Err(fail(line, format!("path `{}` does not stay below the data folder", entry.path)));
        }
        if !seen.insert(entry.path.clone()) {
            return Err(fail(line, format!("`{}` stands twice in the split", entry.path)));
        }
        entries.push(entry);
    }
    match entries.is_empty() {
        true => Err(fail(0, "it lists no image".into())),
        false => Ok(entries),
    }
}

fn stays_below(path: &Path) -> bool {
    path.components().count() > 0 && path.components().all(|part| matches!(part, Component::Normal(_)))
}

/// Image file endings that a folder is searched for.
pub(crate) const ENDINGS: &[&str] = &["jpg", "jpeg", "png", "bmp", "tif", "tiff", "webp", "pgm", "ppm", "pnm"];

/// Lists a data folder that holds one folder per class. All of it is for learning.
///
/// # Errors
/// When the folder cannot be read or holds no folder with images.
pub fn list_folders(root: &Path) -> Result<Vec<Entry>, TrainError> {
    let mut entries = Vec::new();
    for class in sorted(root)?.into_iter().filter(|path| path.is_dir()) {
        let label = name_of(&class);
        for image in sorted(&class)? {
            let ending = image.extension().map(|ending| ending.to_string_lossy().to_lowercase());
            if image.is_file() && ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str())) {
                let path = format!("{label}/{}", name_of(&image));
                entries.push(Entry { path, label: label.clone(), side: Side::Train });
            }
        }
    }
    match entries.is_empty() {
        true => Err(TrainError::Data(format!(
            "`{}` holds no folders with images: give one folder per class, or a split file",
            root.display()
        ))),
        false => Ok(entries),
    }
}

fn sorted(folder: &Path) -> Result<Vec<PathBuf>, TrainError> {
    let entries = std::fs::read_dir(folder).map_err(TrainError::io(folder))?;
    let paths: Result<Vec<PathBuf>, _> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut paths = paths.map_err(TrainError::io(folder))?;
    paths.sort();
    Ok(paths)
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Cuts the selection set out of the training set: `(learn, select)`, indices into `labels`. Every label with at least
/// two samples gives `share` of them, at least one and never all.
pub fn cut_selection(labels: &[usize], share: f32, seed: u64) -> (Vec<usize>, Vec<usize>) {
    let classes = labels.iter().max().map_or(0, |top| top + 1);
    let (mut learn, mut select) = (Vec::new(), Vec::new());
    for class in 0..classes {
        let mut of_class: Vec<usize> = (0..labels.len()).filter(|&index| labels[index] == class).collect();
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(class as u64);
        of_class.shuffle(&mut random);
        let wanted = (of_class.len() as f32 * share).round() as usize;
        let taken = if of_class.len() < 2 { 0 } else { wanted.clamp(1, of_class.len() - 1) };
        learn.extend_from_slice(&of_class[taken..]);
        select.extend_from_slice(&of_class[..taken]);
    }
    learn.sort_unstable();
    select.sort_unstable();
    (learn, select)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_selection_is_disjoint_complete_and_stratified(
            labels in prop::collection::vec(0_usize..6, 1..300), share in 0.05_f32..0.5, seed: u64,
        ) {
            let (learn, select) = cut_selection(&labels, share, seed);
            let mut all: Vec<usize> = learn.iter().chain(&select).copied().collect();
            all.sort_unstable();
            prop_assert_eq!(all, (0..labels.len()).collect::<Vec<_>>());
            for class in 0..6 {
                let count = |of: &[usize]| of.iter().filter(|&&index| labels[index] == class).count();
                let (kept, cut) = (count(&learn), count(&select));
                if kept + cut >= 2 {
                    prop_assert!(kept >= 1 && cut >= 1);
                    let exact = (kept + cut) as f32 * share;
                    prop_assert!((cut as f32 - exact).abs() <= 1.0, "{cut} of {} at share {share}", kept + cut);
                } else {
                    prop_assert_eq!(cut, 0);
                }
            }
        }
    }

    fn read_text(text: &str) -> Result<Vec<Entry>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("split.csv");
        std::fs::write(&path, text).unwrap();
        read(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn a_split_is_read_whatever_the_order_of_its_columns() {
        let entries = read_text("split,path,label\ntrain,a/1.jpg,a\ntest, b/2.jpg ,b\n").unwrap();
        assert_eq!(entries[1], Entry { path: "b/2.jpg".into(), label: "b".into(), side: Side::Test });
        assert_eq!(entries[0].side, Side::Train);
    }

    #[test]
    fn bad_splits_are_refused_with_the_line() {
        for (text, words) in [
            ("path,label\nx.jpg,a\n", "no column `split`"),
            ("path,label,split\nx.jpg,a,train\ny.jpg,a,validation\n", "line 3: unknown split `validation`"),
            ("path,label,split\nx.jpg,,train\n", "no label"),
            ("path,label,split\n../x.jpg,a,train\n", "does not stay below"),
            ("path,label,split\n/etc/x.jpg,a,train\n", "does not stay below"),
            ("path,label,split\n,a,train\n", "does not stay below"),
            ("path,label,split\nx.jpg,a,train\nx.jpg,b,test\n", "line 3: `x.jpg` stands twice"),
            ("path,label,split\nx.jpg,a\n", "line 2"),
            ("path,label,split\n", "lists no image"),
        ] {
            let message = read_text(text).expect_err(text);
            assert!(message.contains(words), "{text:?}: {message}");
        }
        let message = read(Path::new("/nowhere/split.csv")).unwrap_err().to_string();
        assert!(message.contains("/nowhere/split.csv"), "{message}");
    }
}
