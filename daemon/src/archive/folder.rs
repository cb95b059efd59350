//! Days in a folder: made beside, then put under their names.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::ArchiveError;
use super::day::IMAGES;
use super::manifest::{self, Manifest, hex};
use super::shelf::{Read, Shelf};

/// What is not whole yet. One at a time: an archive that breaks off leaves one at most, and the next takes its place.
const UNFINISHED: &str = "_unfinished";

/// An archive in a folder.
pub(super) struct Folder {
    root: PathBuf,
    /// Where the day that began will be.
    day: PathBuf,
}

impl Folder {
    pub(super) fn open(root: &Path, write: bool) -> Result<Folder, ArchiveError> {
        if write {
            fs::create_dir_all(root).map_err(ArchiveError::io("make", root))?;
        }
        Ok(Folder { root: root.to_owned(), day: PathBuf::new() })
    }

    fn new_day(&self) -> PathBuf {
        self.root.join(UNFINISHED)
    }
}

impl Shelf for Folder {
    fn named(&self, path: &str) -> String {
        self.root.join(path).display().to_string()
    }

    fn read(&mut self, path: &str) -> Result<Read, ArchiveError> {
        Ok(match fs::read(self.root.join(path)) {
            Ok(bytes) => Read::Bytes(bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => Read::Missing,
            Err(error) => Read::Unreadable(error.to_string()),
        })
    }

    fn days(&mut self) -> Result<Vec<String>, ArchiveError> {
        let mut days = Vec::new();
        for date in folders(&self.root, "date=")? {
            let lines = folders(&self.root.join(&date), "line=")?;
            days.extend(lines.into_iter().map(|line| format!("{date}/{line}")));
        }
        Ok(days)
    }

    fn begin(&mut self, day: &str, _: bool) -> Result<(), ArchiveError> {
        let new = self.new_day();
        gone(&new)?;
        let images = new.join(IMAGES);
        fs::create_dir_all(&images).map_err(ArchiveError::io("make", &images))?;
        self.day = self.root.join(day);
        Ok(())
    }

    fn put(&mut self, name: &str, bytes: Vec<u8>, _: &str, _: bool) -> Result<(), ArchiveError> {
        let path = self.new_day().join(name);
        fs::write(&path, bytes).map_err(ArchiveError::io("write", &path))
    }

    fn keep(&mut self, name: &str) -> Result<Option<String>, ArchiveError> {
        let Ok(bytes) = fs::read(self.day.join(name)) else { return Ok(None) };
        let sum = hex(&bytes);
        self.put(name, bytes, &sum, false)?;
        Ok(Some(sum))
    }

    fn settle(&mut self, manifest: &Manifest) -> Result<(), ArchiveError> {
        let (new, folder, root) = (self.new_day(), &self.day, &self.root);
        let path = new.join(manifest::NAME);
        fs::write(&path, manifest.bytes()?).map_err(ArchiveError::io("write", &path))?;
        let handle = File::open(&new).map_err(ArchiveError::io("open", &new))?;
        nix::unistd::syncfs(&handle).map_err(|error| ArchiveError::io("sync", root)(error.into()))?;
        let parent = folder.parent().unwrap_or(root);
        fs::create_dir_all(parent).map_err(ArchiveError::io("make", parent))?;
        let aside = root.join("_replaced");
        gone(&aside)?;
        if folder.exists() {
            fs::rename(folder, &aside).map_err(ArchiveError::io("move away", folder))?;
        }
        fs::rename(&new, folder).map_err(ArchiveError::io("make", folder))?;
        nix::unistd::syncfs(&handle).map_err(|error| ArchiveError::io("sync", root)(error.into()))?;
        gone(&aside)
    }
}

fn gone(path: &Path) -> Result<(), ArchiveError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(ArchiveError::io("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Names of folders that begin so.
fn folders(dir: &Path, prefix: &str) -> Result<Vec<String>, ArchiveError> {
    let mut found = Vec::new();
    for item in fs::read_dir(dir).map_err(ArchiveError::io("read", dir))? {
        let item = item.map_err(ArchiveError::io("read", dir))?;
        let name = item.file_name().into_string().ok().filter(|name| name.starts_with(prefix));
        found.extend(name.filter(|_| item.path().is_dir()));
    }
    found.sort_unstable();
    Ok(found)
}
