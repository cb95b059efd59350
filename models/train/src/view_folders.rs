//! Pictures of the same parts by several cameras: a folder for each view, in which a part has the same path, but for the ending.

use std::collections::BTreeMap;
use std::path::Path;

use models::preprocess::Preprocess;
use sha2::{Digest, Sha256};

use crate::dataset::{Files, Folder};
use crate::error::TrainError;
use crate::fusion::Parts;
use crate::samples::{Class, Samples};
use crate::split::Side;

/// The lists of all views, each of the same parts in the same order.
pub struct ViewFolders {
    names: Vec<String>,
    folders: Vec<Folder>,
}

impl ViewFolders {
    /// Reads `root/VIEW` for each view. Parts that some view lacks are left out, with a note on the first list.
    ///
    /// # Errors
    /// When a folder cannot be read, a view is named twice, a part has one label in one view and another in the next, or no part is
    /// seen by all.
    pub fn open(root: &Path, views: &[String]) -> Result<ViewFolders, TrainError> {
        if let Some(twice) = views.iter().enumerate().find(|(at, view)| views[..*at].contains(view)) {
            return Err(TrainError::Data(format!("view `{}` is named twice", twice.1)));
        }
        let mut folders = Vec::new();
        for view in views {
            let folder = root.join(view);
            if Path::new(view).components().count() != 1 || !folder.is_dir() {
                return Err(TrainError::Data(format!(
                    "view `{view}` has no folder `{}`: each view has a folder of its name there, in which a part has the same path",
                    folder.display()
                )));
            }
            folders.push(Folder::open(&folder, None)?);
        }
        let places: Vec<BTreeMap<String, usize>> = folders.iter().map(places).collect::<Result<_, _>>()?;
        let Some((first, others)) = places.split_first() else {
            return Err(TrainError::Data("there is no view".into()));
        };
        let common: Vec<&String> =
            first.keys().filter(|key| others.iter().all(|other| other.contains_key(*key))).collect();
        let all: usize = places.iter().map(BTreeMap::len).max().unwrap_or(0);
        for (key, view) in common.iter().flat_map(|key| (1..folders.len()).map(move |view| (*key, view))) {
            let [one, other] = [0, view].map(|view| folders[view].entries()[places[view][key]].labels.join("+"));
            if one != other {
                let (a, b) = (&views[0], &views[view]);
                return Err(TrainError::Data(format!(
                    "part `{key}` is `{one}` in view `{a}` and `{other}` in view `{b}`"
                )));
            }
        }
        if common.is_empty() {
            return Err(TrainError::Data(format!(
                "no part is seen by all views ({}): a part has the same path in each, but for the ending",
                views.join(", ")
            )));
        }
        let orders: Vec<Vec<usize>> = places.iter().map(|of| common.iter().map(|key| of[*key]).collect()).collect();
        let kept = common.len();
        folders.iter_mut().zip(&orders).for_each(|(folder, order)| folder.keep(order));
        if kept < all {
            folders[0].notes.push(format!("{} parts were left out: some view has no picture of them", all - kept));
        }
        Ok(ViewFolders { names: views.to_vec(), folders })
    }

    /// The list of the first view, which stands for the parts.
    pub fn first(&self) -> &Folder {
        &self.folders[0]
    }

    /// The pictures of one side, or of both, of each view, resized where a recipe is given.
    ///
    /// # Errors
    /// When a label is not among the classes.
    pub fn files(
        &self,
        side: Option<Side>,
        classes: &[Class],
        preprocess: Option<&Preprocess>,
    ) -> Result<Vec<Files>, TrainError> {
        let files = |folder: &Folder| {
            let files = folder.files(side, classes)?;
            Ok(match preprocess {
                Some(preprocess) => files.resized(preprocess),
                None => files,
            })
        };
        self.folders.iter().map(files).collect()
    }

    /// The same as parts.
    ///
    /// # Errors
    /// As [`files`](Self::files).
    pub fn parts(
        &self,
        side: Option<Side>,
        classes: &[Class],
        preprocess: &Preprocess,
    ) -> Result<Parts<'static>, TrainError> {
        let files = self.files(side, classes, None)?;
        Parts::new(files.into_iter().map(|files| Box::new(files) as Box<dyn Samples>).collect(), preprocess)
    }

    /// SHA-256 over the views' names and their data.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn digest(&self) -> Result<String, TrainError> {
        let mut digest = Sha256::new();
        for (name, folder) in self.names.iter().zip(&self.folders) {
            digest.update((name.len() as u64).to_le_bytes());
            digest.update(name);
            digest.update(folder.digest()?);
        }
        Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// Where each part stands in a list: by its path without the ending.
fn places(folder: &Folder) -> Result<BTreeMap<String, usize>, TrainError> {
    let mut places = BTreeMap::new();
    for (index, entry) in folder.entries().iter().enumerate() {
        let key = Path::new(&entry.path).with_extension("").to_string_lossy().into_owned();
        if places.insert(key, index).is_some() {
            let path = folder.path_of(entry);
            return Err(TrainError::Data(format!(
                "`{}` has the name of another picture but for its ending: which one shows the part?",
                path.display()
            )));
        }
    }
    Ok(places)
}
