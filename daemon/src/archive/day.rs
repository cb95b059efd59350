//! One day of one line: made beside the archive, then put under its name.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use jiff::civil::Date;

use super::manifest::{self, Manifest, hex};
use super::{ArchiveError, Day, Found, date_of, folder_word};
use crate::exports::parquet::{Layout, Table};
use crate::store::{self, Exported, evidence_path};

const TABLE: &str = "records.parquet";
/// Begins the path of each picture.
pub(super) const IMAGES: &str = "_images/";
/// What is not whole yet. One at a time: an archive that breaks off leaves one at most, and the next takes its place.
const UNFINISHED: &str = "_unfinished";

/// Archives a day, unless it is there with as many records.
pub(super) fn archive(
    state: &Path,
    dest: &Path,
    (date, line): (Date, &str),
    found: Found,
    no_images: bool,
) -> Result<Day, ArchiveError> {
    let folder = dest.join(format!("date={date}")).join(format!("line={}", folder_word(line)));
    let before = manifest::read(&folder);
    if let Some(before) = before.as_ref().filter(|before| before.records >= found.records) {
        let images = before.images();
        return Ok(Day { date, line: line.to_owned(), records: before.records, images, there: true });
    }
    let new = dest.join(UNFINISHED);
    gone(&new)?;
    fs::create_dir_all(new.join(IMAGES)).map_err(ArchiveError::io("make", &new))?;
    let mut making =
        Making { state, old: before.is_some().then_some(&*folder), new: &new, no_images, files: BTreeMap::new() };
    let records = making.table((date, line), found)?;
    let images = making.files.len() as u64;
    let table = fs::read(new.join(TABLE)).map_err(ArchiveError::io("read", &new))?;
    making.files.insert(TABLE.to_owned(), hex(&table));
    let manifest = Manifest::new(date.to_string(), line.to_owned(), records, making.files);
    let path = new.join(manifest::NAME);
    let written = serde_json::to_vec_pretty(&manifest).map_err(std::io::Error::other);
    written.and_then(|bytes| fs::write(&path, bytes)).map_err(ArchiveError::io("write", &path))?;
    settle(dest, &new, &folder)?;
    Ok(Day { date, line: line.to_owned(), records, images, there: false })
}

/// A day in the making.
struct Making<'a> {
    state: &'a Path,
    /// The same day with fewer records: its pictures may be the last ones.
    old: Option<&'a Path>,
    new: &'a Path,
    no_images: bool,
    files: BTreeMap<String, String>,
}

impl Making<'_> {
    /// Writes the table, and the pictures beside it; how many records.
    fn table(&mut self, (date, line): (Date, &str), found: Found) -> Result<u64, ArchiveError> {
        let path = self.new.join(TABLE);
        let failed = |source| ArchiveError::Table { path: path.clone(), source };
        let file = File::create(&path).map_err(ArchiveError::io("write", &path))?;
        let mut table = Table::begin(BufWriter::new(file), Layout::WithoutLine).map_err(failed)?;
        let mut records = 0;
        for record in store::export_files(self.state, found.first, found.last)? {
            let Exported::Inspection(part) = record? else { continue };
            if date_of(part.triggered_at) != date || *part.line != *line {
                continue;
            }
            let image = match evidence_path(self.state, &part) {
                Some(from) if !self.no_images => self.image(part.id, &from)?,
                _ => None,
            };
            records += 1;
            table.add(part, image).map_err(failed)?;
        }
        table.end().map_err(failed)?;
        Ok(records)
    }

    /// Copies a picture; where it lies now. None: it was let go, or never reached the disk.
    fn image(&mut self, id: u64, from: &Path) -> Result<Option<String>, ArchiveError> {
        let ending = from.extension().and_then(|it| it.to_str()).unwrap_or("bin");
        let name = format!("{IMAGES}{id}.{ending}");
        let places: [Option<PathBuf>; 2] = [Some(from.to_owned()), self.old.map(|old| old.join(&name))];
        let Some(bytes) = places.into_iter().flatten().find_map(|place| fs::read(place).ok()) else { return Ok(None) };
        let path = self.new.join(&name);
        fs::write(&path, &bytes).map_err(ArchiveError::io("write", &path))?;
        self.files.insert(name.clone(), hex(&bytes));
        Ok(Some(name))
    }
}

/// Puts what was made under its name, once it is on the medium.
fn settle(dest: &Path, new: &Path, folder: &Path) -> Result<(), ArchiveError> {
    let handle = File::open(new).map_err(ArchiveError::io("open", new))?;
    nix::unistd::syncfs(&handle).map_err(|error| ArchiveError::io("sync", dest)(error.into()))?;
    let parent = folder.parent().unwrap_or(dest);
    fs::create_dir_all(parent).map_err(ArchiveError::io("make", parent))?;
    let aside = dest.join("_replaced");
    gone(&aside)?;
    if folder.exists() {
        fs::rename(folder, &aside).map_err(ArchiveError::io("move away", folder))?;
    }
    fs::rename(new, folder).map_err(ArchiveError::io("make", folder))?;
    nix::unistd::syncfs(&handle).map_err(|error| ArchiveError::io("sync", dest)(error.into()))?;
    gone(&aside)
}

fn gone(path: &Path) -> Result<(), ArchiveError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(ArchiveError::io("remove", path)(error)),
        _ => Ok(()),
    }
}
