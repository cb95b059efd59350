//! Small files that only the daemon's user may read: replaced as a whole, synced, never half.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Makes a directory that only its owner may enter, and its parents.
pub(crate) fn private_dir(dir: &Path) -> io::Result<()> {
    if let Some(parent) = dir.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        // What is synced in it is of no use if its own name is lost with the power.
        result => result.and_then(|()| sync_dir(dir)),
    }
}

/// Opens a file for its owner alone, making it if need be.
pub(crate) fn private(path: &Path, append: bool) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).append(append).create(true).truncate(false).mode(0o600).open(path)
}

/// Replaces a file by one with these bytes: a crash leaves the old or the new.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    sync_dir(path)
}

/// Keeps a copy of a damaged file beside it, for whoever wants to know what it said: the newest damage takes the place of the one before. Gives
/// the end of a sentence that says so.
pub(crate) fn aside(path: &Path) -> String {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".damaged");
    let kept = path.with_file_name(name);
    let copied = File::open(path).and_then(|mut from| {
        let mut to = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&kept)?;
        io::copy(&mut from, &mut to)?;
        to.sync_all()
    });
    match copied {
        Ok(()) => format!("; as it was it is kept as `{}`", kept.display()),
        Err(error) => format!("; it could not be kept as `{}`: {error}", kept.display()),
    }
}

/// Makes the names in a file's directory durable.
pub(crate) fn sync_dir(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}
