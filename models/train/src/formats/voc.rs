//! Pascal VOC: one XML file an image, with a box for each object. Source: Everingham et al., "The Pascal Visual Object Classes
//! Challenge", IJCV 2010, and its development kit.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use roxmltree::{Document, Node};

use super::{Entries, Entry, LabelBox, below, has_ending, is_image, labels_of, name_of, read_list, relative, sorted};
use crate::error::TrainError;
use crate::split::Side;

/// Largest annotation of one image.
const MOST_BYTES: u64 = 4 << 20;
/// How deep folders are searched.
const DEPTH: usize = 5;

/// Whether a data folder holds VOC's XML: in `Annotations`, or beside the images.
pub(super) fn is_voc(root: &Path) -> Result<bool, TrainError> {
    for folder in ["Annotations", "", "train"].map(|folder| root.join(folder)) {
        if folder.is_dir() && sorted(&folder)?.iter().any(|path| has_ending(path, &["xml"])) {
            return Ok(true);
        }
    }
    Ok(false)
}

pub(super) fn read(root: &Path, list: Option<&Path>, entries: &mut Entries) -> Result<(), TrainError> {
    let folder = match list {
        Some(list) => list.to_path_buf(),
        None if root.join("Annotations").is_dir() => root.join("Annotations"),
        None => root.to_path_buf(),
    };
    let files = match folder.is_dir() {
        true => below(&folder, DEPTH, &|path| has_ending(path, &["xml"]))?,
        false => vec![folder.clone()],
    };
    if files.is_empty() {
        return Err(TrainError::Data(format!("`{}` holds no XML file of Pascal VOC's kind", folder.display())));
    }
    let mut images: HashMap<String, Vec<PathBuf>> = HashMap::new();
    for image in below(root, DEPTH, &is_image)? {
        images.entry(stem(&image)?).or_default().push(image);
    }
    let total: usize = images.values().map(Vec::len).sum();
    let tests = test_side(root)?;
    for file in &files {
        let boxes = boxes_of(file)?;
        let fail = |reason: String| TrainError::Split { path: file.clone(), line: 0, reason };
        let stem = stem(file)?;
        let image = match images.get(&stem).map(Vec::as_slice) {
            Some([image]) => image,
            Some(several) => nearest(file, several).ok_or_else(|| {
                fail(format!("{} images are called `{stem}`: which one is meant cannot be told", several.len()))
            })?,
            None => return Err(fail(format!("no image called `{stem}` lies below `{}`", root.display()))),
        };
        let path = relative(root, image)?;
        let side = if tests(&path, &stem) { Side::Test } else { Side::Train };
        let entry = Entry { labels: labels_of(&boxes), side, boxes, ..Entry::new(path, "") };
        entries.push(entry).map_err(fail)?;
    }
    if total > files.len() {
        entries.note(format!("{} images without an XML file were left out", total - files.len()));
    }
    Ok(())
}

fn stem(path: &Path) -> Result<String, TrainError> {
    let name = name_of(path)?;
    Ok(Path::new(name).file_stem().and_then(|stem| stem.to_str()).unwrap_or(name).to_owned())
}

/// The image in the same folder as the XML file, or in a folder of the same name.
fn nearest<'a>(file: &Path, images: &'a [PathBuf]) -> Option<&'a PathBuf> {
    let name = |path: &Path| path.parent().and_then(Path::file_name).map(ToOwned::to_owned);
    let beside = images.iter().find(|image| image.parent() == file.parent());
    let mut alike = images.iter().filter(|image| name(image) == name(file));
    beside.or_else(|| alike.next().filter(|_| alike.next().is_none()))
}

/// Which images are for measuring: those of `ImageSets/Main/test.txt`, and those in a folder `test`.
fn test_side(root: &Path) -> Result<impl Fn(&str, &str) -> bool, TrainError> {
    let list = root.join("ImageSets/Main/test.txt");
    let text = match list.is_file() {
        true => String::from_utf8_lossy(&read_list(&list, super::MOST_BYTES)?).into_owned(),
        false => String::new(),
    };
    let named: std::collections::HashSet<String> =
        text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect();
    Ok(move |path: &str, stem: &str| path.starts_with("test/") || named.contains(stem))
}

/// The boxes of one XML file.
///
/// # Errors
/// When it cannot be read, is not XML, or an object has no name or no box.
pub fn boxes_of(file: &Path) -> Result<Vec<LabelBox>, TrainError> {
    let bytes = read_list(file, MOST_BYTES)?;
    let fail = |line: u64, reason: String| TrainError::Split { path: file.into(), line, reason };
    let text = std::str::from_utf8(&bytes).map_err(|error| fail(0, format!("not UTF-8: {error}")))?;
    // A document type would let the file define entities that grow without bound; VOC has none, the parser refuses it.
    let document =
        Document::parse(text).map_err(|error| fail(u64::from(error.pos().row), format!("not XML: {error}")))?;
    let root = document.root_element();
    if root.tag_name().name() != "annotation" {
        return Err(fail(1, format!("the root is `{}`, not `annotation`", root.tag_name().name())));
    }
    let objects = root.children().filter(|node| node.has_tag_name("object"));
    objects
        .map(|object| {
            let line = u64::from(document.text_pos_at(object.range().start).row);
            box_of(object).map_err(|reason| fail(line, reason))
        })
        .collect()
}

fn box_of(object: Node<'_, '_>) -> Result<LabelBox, String> {
    let child = |node: Node<'_, '_>, name: &str| {
        let found = node.children().find(|child| child.has_tag_name(name));
        found.and_then(|child| child.text()).map(|text| text.trim().to_owned())
    };
    let name = child(object, "name").filter(|name| !name.is_empty()).ok_or("an object without a name")?;
    let bounds = object.children().find(|child| child.has_tag_name("bndbox"));
    let bounds = bounds.ok_or_else(|| format!("object `{name}` has no `bndbox`"))?;
    let mut values = [0.0; 4];
    for (value, key) in values.iter_mut().zip(["xmin", "ymin", "xmax", "ymax"]) {
        let text = child(bounds, key).ok_or_else(|| format!("object `{name}` has no `{key}`"))?;
        *value = text.parse().map_err(|_| format!("object `{name}`: `{key}` is `{text}`, not a number"))?;
    }
    // VOC counts pixels from 1, and its right and bottom are inside the box.
    LabelBox::checked(&name, [values[0] - 1.0, values[1] - 1.0, values[2], values[3]])
}

/// The XML file in `folder` that belongs to an image, by its name: below the same folders as the image, or fewer of them.
pub fn beside(folder: &Path, image: &str) -> Option<PathBuf> {
    let xml = PathBuf::from(image).with_extension("xml");
    let parts: Vec<_> = xml.iter().collect();
    (0..parts.len()).map(|skip| folder.join(parts[skip..].iter().collect::<PathBuf>())).find(|path| path.is_file())
}
