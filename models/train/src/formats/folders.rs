//! One folder per class. With the two folders `train` and `test`, each of which holds one folder per class, both sides.

use std::path::{Path, PathBuf};

use super::{Entries, Entry, is_image, name_of, relative, side_of, sorted};
use crate::error::TrainError;
use crate::split::Side;

pub(super) fn read(root: &Path, entries: &mut Entries) -> Result<(), TrainError> {
    for (side, folder) in sides(root)? {
        let mut found = 0;
        for class in sorted(&folder)?.into_iter().filter(|path| path.is_dir()) {
            let label = name_of(&class)?.to_owned();
            for image in sorted(&class)?.iter().filter(|path| is_image(path)) {
                let entry = Entry { side, ..Entry::new(relative(root, image)?, label.clone()) };
                entries.push(entry).map_err(|reason| TrainError::Data(format!("`{}`: {reason}", root.display())))?;
                found += 1;
            }
        }
        if found == 0 {
            return Err(none_in(root, &folder));
        }
    }
    Ok(())
}

/// `train` and `test` are sides where they hold folders and no images; else the data folder itself is all there is.
fn sides(root: &Path) -> Result<Vec<(Side, PathBuf)>, TrainError> {
    let mut sides = Vec::new();
    for folder in sorted(root)?.into_iter().filter(|path| path.is_dir()) {
        let exact = ["train", "test"].contains(&name_of(&folder)?);
        if let Some(side) = side_of(name_of(&folder)?).filter(|_| exact)
            && !sorted(&folder)?.iter().any(|path| is_image(path))
        {
            sides.push((side, folder));
        }
    }
    // A test side alone is a data folder with a class of that name, or nothing to learn from: read it as it stands.
    let learns = sides.iter().any(|(side, _)| *side == Side::Train);
    Ok(if learns { sides } else { vec![(Side::Train, root.to_path_buf())] })
}

fn none_in(root: &Path, folder: &Path) -> TrainError {
    let lists = sorted(root).unwrap_or_default();
    let list = lists.iter().find(|path| path.extension().is_some_and(|ending| ending == "csv"));
    let hint = match list.and_then(|path| path.file_name()) {
        Some(name) => format!("; there is a list: `--split {}`", name.to_string_lossy()),
        None => String::new(),
    };
    TrainError::Data(format!(
        "`{}` holds no folders with images: give one folder per class, or a split file{hint}",
        folder.display()
    ))
}
