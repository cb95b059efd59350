//! CSV with the columns `path,label,split` and, where parts were shot more than once, `group`.

use std::path::Path;

use super::{Entries, Entry, MOST_BYTES, read_list};
use crate::error::TrainError;
use crate::split::Side;

/// Reads a split file, `split` being `train` or `test`. Paths are relative to the data folder and stay below it. An empty group
/// means that the image stands for itself.
pub(super) fn read(path: &Path, entries: &mut Entries) -> Result<(), TrainError> {
    let bytes = read_list(path, MOST_BYTES)?;
    let fail = |line: u64, reason: String| TrainError::Split { path: path.into(), line, reason };
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(bytes.as_slice());
    let headers = reader.headers().map_err(|error| fail(1, error.to_string()))?.clone();
    let find = |name: &str| headers.iter().position(|header| header == name);
    let column = |name: &str| {
        find(name).ok_or_else(|| {
            let found = headers.iter().collect::<Vec<_>>().join(",");
            let wanted = "the header must be `path,label,split` or `path,label,split,group`";
            fail(1, format!("no column `{name}` (found `{found}`); {wanted}"))
        })
    };
    let [path_at, label_at, split_at] = [column("path")?, column("label")?, column("split")?];
    let group_at = find("group");
    let mut count = 0_usize;
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
        let group = group_at.map(field).filter(|group| !group.is_empty());
        let entry = Entry { side, group, ..Entry::new(field(path_at), field(label_at)) };
        entries.push(entry).map_err(|reason| fail(line, reason))?;
        count += 1;
    }
    match count {
        0 => Err(fail(0, "it lists no image".into())),
        _ => Ok(()),
    }
}
