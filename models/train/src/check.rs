//! What is wrong with a data set, before anything is learned from it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use models::bundle::Disposition;
use models::image::{Image, PixelFormat};
use rayon::prelude::*;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::dataset::Folder;
use crate::error::TrainError;
use crate::formats::{Entry, Format};
use crate::near::{self, Embed, Near, Seen};
use crate::split::{Side, Together};

/// Images that are looked at together.
const TOGETHER: usize = 64;
/// Decides which pictures are shot again in thought.
const SEED: u64 = 1;

/// Images of one label.
#[derive(Debug, Clone, Serialize)]
pub struct ClassCount {
    /// The label.
    pub label: String,
    /// What it means for the part.
    pub verdict: Disposition,
    /// Images to learn from.
    pub train: usize,
    /// Images to measure on.
    pub test: usize,
    /// Boxes drawn.
    pub boxes: usize,
}

/// An image, and what is wrong with it.
#[derive(Debug, Clone, Serialize)]
pub struct Fault {
    /// Path below the data folder.
    pub path: String,
    /// In words.
    pub reason: String,
}

/// The sizes of the images.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Sizes {
    /// Width and height of the smallest, by area.
    pub smallest: [u32; 2],
    /// Of the largest.
    pub largest: [u32; 2],
    /// How many different sizes there are.
    pub different: usize,
    /// Grey images; the others are in colour.
    pub grey: usize,
}

/// Images with the same pixels and different labels.
#[derive(Debug, Clone, Serialize)]
pub struct Conflict {
    /// Each image with its labels.
    pub images: Vec<(String, Vec<String>)>,
}

/// Why images on both sides belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LeakKind {
    /// The list puts them into one group.
    Group,
    /// The same pixels.
    Exact,
    /// Nearly the same picture.
    Near,
}

/// Images that belong together and stand on both sides.
#[derive(Debug, Clone, Serialize)]
pub struct Leak {
    /// Why they belong together.
    pub kind: LeakKind,
    /// The group's name, where the list has one.
    pub group: Option<String>,
    /// Those to learn from.
    pub train: Vec<String>,
    /// Those to measure on.
    pub test: Vec<String>,
}

/// Near duplicates.
#[derive(Debug, Clone, Serialize)]
pub struct NearReport {
    /// Cosine from which two pictures look alike.
    pub cosine: f32,
    /// Correlation from which they show the same scene.
    pub agreement: f32,
    /// Paths of pictures that belong together.
    pub clusters: Vec<Vec<String>>,
}

/// What was found.
#[derive(Debug, Clone, Serialize)]
pub struct DataReport {
    /// The list's form.
    pub format: &'static str,
    /// Images on the list.
    pub images: usize,
    /// By label.
    pub classes: Vec<ClassCount>,
    /// Groups that the list names.
    pub groups: usize,
    /// Sizes of the images that could be read.
    pub sizes: Sizes,
    /// Images that cannot be read, and boxes that lie outside of their image.
    pub unreadable: Vec<Fault>,
    /// Images with the same pixels.
    pub duplicates: Vec<Vec<String>>,
    /// Nearly the same pictures; `None` where they were not looked for.
    pub near: Option<NearReport>,
    /// The same pixels under different labels.
    pub conflicts: Vec<Conflict>,
    /// Images that belong together on both sides.
    pub leaks: Vec<Leak>,
    /// Why no classifier could be learned from it. No problem where all that there is to learn from passes: then good parts alone are
    /// what is meant.
    pub untrainable: Option<String>,
    /// Whether all that there is to learn from passes.
    pub good_only: bool,
    /// SHA-256 of the data (see [`Folder::digest`]); `None` where a file cannot be read.
    pub digest: Option<String>,
    /// What the list left out.
    pub notes: Vec<String>,
    /// For each image of the list the number of its group: named, with the same pixels, or near.
    #[serde(skip)]
    pub together: Vec<usize>,
}

impl DataReport {
    /// How many things are wrong. Duplicates on one side under one label are no fault: they only count twice.
    pub fn problems(&self) -> usize {
        self.unreadable.len()
            + self.conflicts.len()
            + self.leaks.len()
            + usize::from(self.untrainable.is_some() && !self.good_only)
    }
}

/// How to look.
#[derive(Default)]
pub struct Look<'a> {
    /// Finds near duplicates; `None` leaves them out.
    pub embed: Option<&'a dyn Embed>,
    /// Cosine from which two pictures look alike; `None`: from the data (see [`near`]).
    pub cosine: Option<f32>,
}

/// What is known of an image that could be read.
struct Known {
    size: [u32; 2],
    grey: bool,
    pixels: [u8; 32],
}

/// It, or why the image could not be read.
type Readable = Result<Known, String>;

/// Looks at every image of a data set. `observe` is told how many were looked at, and stops it by `false`.
///
/// # Errors
/// When the network does not run, or the observer stops it. What is wrong with the data is no error but the answer.
pub fn check(
    folder: &Folder,
    look: &Look<'_>,
    observe: &mut dyn FnMut(usize) -> bool,
) -> Result<DataReport, TrainError> {
    let entries: Vec<&Entry> = folder.entries().iter().collect();
    let (known, near) = look_over(folder, &entries, look, observe)?;
    Ok(report(folder, &known, near.as_ref()))
}

/// For each image of [`Folder::files`] of a side the number of its group (see [`Folder::groups`]) with near duplicates in one, and how
/// many images have such. The other side is not looked at: it takes no part in learning, not even by what counts as near.
///
/// # Errors
/// As [`check`], and when a file cannot be read.
pub fn near_groups(
    folder: &Folder,
    side: Side,
    look: &Look<'_>,
    observe: &mut dyn FnMut(usize) -> bool,
) -> Result<(Vec<usize>, usize), TrainError> {
    let entries: Vec<&Entry> = folder.entries().iter().filter(|entry| entry.side == side).collect();
    let mut together = Together::new(entries.len());
    together.join_equal(folder.groups(Some(side))?.into_iter().enumerate());
    let (_, near) = look_over(folder, &entries, look, observe)?;
    let clusters = near.map_or_else(Vec::new, |near| near.clusters);
    clusters.iter().for_each(|of| of.iter().for_each(|&index| together.join(of[0], index)));
    Ok((together.groups(), clusters.iter().map(Vec::len).sum()))
}

/// What could be read, and which images are near to each other, by their places in `entries`.
fn look_over(
    folder: &Folder,
    entries: &[&Entry],
    look: &Look<'_>,
    observe: &mut dyn FnMut(usize) -> bool,
) -> Result<(Vec<Readable>, Option<Near>), TrainError> {
    let mut known: Vec<Readable> = Vec::with_capacity(entries.len());
    let (mut seen, mut copies) = (Vec::new(), Vec::new());
    let copied: BTreeSet<usize> = near::copied(entries.len(), SEED).into_iter().collect();
    for some in entries.chunks(TOGETHER) {
        let first = known.len();
        let looked: Vec<_> = some.par_iter().map(|entry| look_at(folder, entry, look.embed)).collect();
        let (mut images, mut places) = (Vec::new(), Vec::new());
        for (at, result) in looked.into_iter().enumerate() {
            known.push(result.map(|(known, image)| {
                if let Some(image) = image {
                    images.push(image);
                    places.push(first + at);
                }
                known
            }));
        }
        if let Some(embed) = look.embed {
            let again = places.iter().zip(&images).enumerate().filter(|(_, (place, _))| copied.contains(*place));
            let (originals, again): (Vec<usize>, Vec<Image>) =
                again.map(|(at, (&place, image))| (seen.len() + at, near::shot_again(image, place, SEED))).unzip();
            let vectors = embed.embed(&again)?.into_iter().zip(&again);
            copies.extend(
                originals.into_iter().zip(vectors).map(|(place, (vector, image))| Seen::new(place, vector, image)),
            );
            let vectors = embed.embed(&images)?.into_iter().zip(&images);
            seen.extend(
                places.into_iter().zip(vectors).map(|(index, (vector, image))| Seen::new(index, vector, image)),
            );
        }
        if !observe(known.len()) {
            return Err(TrainError::Stopped);
        }
    }
    let near = look.embed.map(|_| near::compare(seen, copies, look.cosine));
    Ok((known, near))
}

fn look_at(folder: &Folder, entry: &Entry, embed: Option<&dyn Embed>) -> Result<(Known, Option<Image>), String> {
    let bytes = std::fs::read(folder.path_of(entry)).map_err(|error| error.to_string())?;
    let image = models::image::decode(&bytes).map_err(|error| error.to_string())?;
    let (width, height) = (image.width as f32, image.height as f32);
    let outside = |bounds: &[f32; 4]| bounds[0] >= width || bounds[1] >= height || bounds[2] <= 0.0 || bounds[3] <= 0.0;
    if let Some(one) = entry.boxes.iter().find(|one| outside(&one.bounds)) {
        return Err(format!("a box of `{}` lies outside of the {width} x {height} pixels", one.label));
    }
    let mut digest = Sha256::new();
    digest.update(image.width.to_le_bytes());
    digest.update(image.height.to_le_bytes());
    digest.update(&image.data);
    let grey = image.format == PixelFormat::Mono8;
    let known = Known { size: [image.width, image.height], grey, pixels: digest.finalize().into() };
    Ok((known, embed.map(|embed| embed.prepare(&image))))
}

fn report(folder: &Folder, known: &[Readable], near: Option<&Near>) -> DataReport {
    let entries = folder.entries();
    let path = |&index: &usize| entries[index].path.clone();
    let fault = |(entry, result): (&Entry, &Readable)| {
        Some(Fault { path: entry.path.clone(), reason: result.as_ref().err()?.clone() })
    };
    let mut same: BTreeMap<[u8; 32], Vec<usize>> = BTreeMap::new();
    for (index, known) in known.iter().enumerate() {
        if let Ok(known) = known {
            same.entry(known.pixels).or_default().push(index);
        }
    }
    let mut same: Vec<Vec<usize>> = same.into_values().filter(|of| of.len() > 1).collect();
    same.sort();
    let mut named: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, entry) in entries.iter().enumerate() {
        entry.group.as_deref().into_iter().for_each(|group| named.entry(group).or_default().push(index));
    }
    let mut named: Vec<(&str, Vec<usize>)> = named.into_iter().collect();
    named.sort();
    let clusters = near.map_or(&[][..], |near| near.clusters.as_slice());
    let groups = named.iter().map(|(name, of)| (LeakKind::Group, Some(*name), of));
    let exact = same.iter().map(|of| (LeakKind::Exact, None, of));
    let close = clusters.iter().map(|of| (LeakKind::Near, None, of));
    let all: Vec<(LeakKind, Option<&str>, &Vec<usize>)> = groups.chain(exact).chain(close).collect();
    let mut together = Together::new(entries.len());
    all.iter().for_each(|(_, _, of)| of.iter().for_each(|&index| together.join(of[0], index)));
    let classes = count(folder);
    let learned = || classes.iter().filter(|class| class.train > 0);
    DataReport {
        format: Format::name(folder.format),
        images: entries.len(),
        good_only: learned().count() > 0 && learned().all(|class| class.verdict == Disposition::Pass),
        classes: classes.clone(),
        groups: named.len(),
        sizes: sizes(known.iter().flatten()),
        unreadable: entries.iter().zip(known).filter_map(fault).collect(),
        duplicates: same.iter().map(|of| of.iter().map(path).collect()).collect(),
        conflicts: same.iter().filter_map(|of| conflict(entries, of)).collect(),
        leaks: leaks(entries, &all),
        untrainable: folder.check_trainable().err().map(|error| error.to_string()),
        digest: folder.digest().ok(),
        notes: folder.notes.clone(),
        together: together.groups(),
        near: near.map(|near| NearReport {
            cosine: near.cosine,
            agreement: near.agreement,
            clusters: near.clusters.iter().map(|of| of.iter().map(path).collect()).collect(),
        }),
    }
}

fn count(folder: &Folder) -> Vec<ClassCount> {
    let of = |label: &str, side: Side| {
        folder.entries().iter().filter(|entry| entry.side == side && entry.label() == label).count()
    };
    let boxes =
        |label: &str| folder.entries().iter().flat_map(|entry| &entry.boxes).filter(|one| one.label == label).count();
    let class = |class: &crate::samples::Class| ClassCount {
        label: class.name.clone(),
        verdict: class.verdict,
        train: of(&class.name, Side::Train),
        test: of(&class.name, Side::Test),
        boxes: boxes(&class.name),
    };
    folder.classes.iter().map(class).collect()
}

fn sizes<'a>(known: impl Iterator<Item = &'a Known>) -> Sizes {
    let (mut all, mut grey) = (Vec::new(), 0);
    for one in known {
        all.push(one.size);
        grey += usize::from(one.grey);
    }
    all.sort_by_key(|&[width, height]| (u64::from(width) * u64::from(height), width));
    let (smallest, largest) = (all.first().copied().unwrap_or_default(), all.last().copied().unwrap_or_default());
    all.dedup();
    Sizes { smallest, largest, different: all.len(), grey }
}

fn conflict(entries: &[Entry], of: &[usize]) -> Option<Conflict> {
    let set = |index: usize| entries[index].labels.iter().collect::<BTreeSet<_>>();
    let differs = of.iter().any(|&index| set(index) != set(of[0]));
    let image = |&index: &usize| (entries[index].path.clone(), entries[index].labels.clone());
    differs.then(|| Conflict { images: of.iter().map(image).collect() })
}

/// Groups on both sides. Pictures that are alike because they are the same are named once.
fn leaks(entries: &[Entry], all: &[(LeakKind, Option<&str>, &Vec<usize>)]) -> Vec<Leak> {
    let mut leaks = Vec::new();
    let mut told: BTreeSet<usize> = BTreeSet::new();
    for (kind, group, of) in all {
        let side = |side: Side| of.iter().copied().filter(move |&index| entries[index].side == side);
        if side(Side::Train).next().is_none() || side(Side::Test).next().is_none() {
            continue;
        }
        if *kind == LeakKind::Near && of.iter().all(|index| told.contains(index)) {
            continue;
        }
        told.extend(of.iter());
        let paths = |of: Side| side(of).map(|index| entries[index].path.clone()).collect();
        let (train, test) = (paths(Side::Train), paths(Side::Test));
        leaks.push(Leak { kind: *kind, group: group.map(str::to_owned), train, test });
    }
    leaks
}
