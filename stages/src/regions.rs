//! Where in a picture the model looks: regions, each with its own model if need be, cut into tiles where defects are small.
//!
//! A network sees its whole input at one size: a defect of 20 pixels in a frame of 4000 is gone before it looks. A *tile* is a square of
//! the frame at its own scale; tiles overlap, so that a defect on a border lies whole in one of them. Each region is decided by its own
//! terms ([`RegionInForce::terms`]); the part gets the worst region's verdict.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use models::bundle::Manifest;
use models::image::{Image, ImageView};
use models::prediction::{Model, Prediction};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::frame::View;
use crate::part::Part;
use crate::recipe::{Quality, Recipe, RecipeError, RecipeInForce};
use crate::verdict::Cause;

/// Tiles of one part, at most: more is a mistake in the recipe, and no deadline would hold it.
pub const MAX_TILES: usize = 512;
/// Smallest tile, pixels.
const LEAST_TILE: u32 = 32;
/// Name of the region that is the whole picture.
const WHOLE: &str = "picture";

/// A rectangle of the picture, pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Area {
    /// From the left.
    pub x: u32,
    /// From the top.
    pub y: u32,
    /// Across.
    pub width: u32,
    /// Down.
    pub height: u32,
}

impl Area {
    /// All of a picture.
    pub fn of(view: ImageView<'_>) -> Area {
        Area { x: 0, y: 0, width: view.width, height: view.height }
    }

    fn fits(self, whole: Area) -> bool {
        let within = |from: u32, length: u32, all: u32| u64::from(from) + u64::from(length) <= u64::from(all);
        within(self.x, self.width, whole.width) && within(self.y, self.height, whole.height)
    }

    /// Copies these pixels into `out`, whose buffer is used again.
    ///
    /// # Errors
    /// The area reaches out of the picture.
    pub fn cut(self, view: ImageView<'_>, out: &mut Image) -> Result<(), OutOfPicture> {
        if !self.fits(Area::of(view)) {
            return Err(OutOfPicture { area: self, width: view.width, height: view.height });
        }
        let channels = view.format.channels();
        (out.width, out.height, out.format) = (self.width, self.height, view.format);
        out.data.clear();
        let (row, left, length) =
            (view.width as usize * channels, self.x as usize * channels, self.width as usize * channels);
        for y in self.y..self.y + self.height {
            let from = y as usize * row + left;
            out.data.extend_from_slice(&view.data[from..from + length]);
        }
        Ok(())
    }
}

impl From<[u32; 4]> for Area {
    fn from([x, y, width, height]: [u32; 4]) -> Area {
        Area { x, y, width, height }
    }
}

impl From<Area> for [u32; 4] {
    fn from(Area { x, y, width, height }: Area) -> [u32; 4] {
        [x, y, width, height]
    }
}

/// An area that a picture does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{} x {} pixels at {}, {} reach out of the picture of {width} x {height}", .area.width, .area.height, .area.x, .area.y)]
pub struct OutOfPicture {
    area: Area,
    width: u32,
    height: u32,
}

/// How a region is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tiles {
    /// Pixels across and down.
    pub size: u32,
    /// Pixels that neighbours share, at least: as much as the largest defect that must lie whole in one tile. Absent: an eighth of the size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<u32>,
}

impl Tiles {
    fn overlap(self) -> u32 {
        self.overlap.unwrap_or(self.size / 8)
    }

    fn problems(self, key: &str) -> Vec<String> {
        let mut problems = Vec::new();
        if self.size < LEAST_TILE {
            problems.push(format!("`{key}.size` is {}: give {LEAST_TILE} pixels or more", self.size));
        } else if self.overlap() > self.size / 2 {
            let (overlap, most) = (self.overlap(), self.size / 2);
            problems.push(format!("`{key}.overlap` is {overlap}: {most} (half a tile) is the most"));
        }
        problems
    }

    /// First pixel of each tile along a side, and the tiles' length: as few as cover it with the overlap, spread evenly.
    fn along(self, side: u32) -> (Vec<u32>, u32) {
        if side <= self.size {
            return (vec![0], side);
        }
        let room = side - self.size;
        let steps = room.div_ceil((self.size - self.overlap()).max(1));
        let at = |step: u32| (u64::from(room) * u64::from(step) / u64::from(steps)) as u32;
        ((0..=steps).map(at).collect(), self.size)
    }

    /// The tiles of an area, row by row.
    pub fn of(self, area: Area) -> Vec<Area> {
        let ((columns, width), (rows, height)) = (self.along(area.width), self.along(area.height));
        let cells = rows.iter().flat_map(|y| columns.iter().map(move |x| (area.x + x, area.y + y)));
        cells.map(|(x, y)| Area { x, y, width, height }).collect()
    }

    /// How many that are, without making them.
    fn count(self, area: Area) -> u64 {
        let along = |side: u32| {
            1 + u64::from(side.saturating_sub(self.size).div_ceil(self.size.saturating_sub(self.overlap()).max(1)))
        };
        along(area.width) * along(area.height)
    }
}

/// A region as written in a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// Its name, for people and records.
    pub name: String,
    /// Which camera sees it, where there are several for one part ([`crate::capture::views`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<String>,
    /// Views that its model sees together, all of each: the names that the model knows them by. A view that did not come is left out of
    /// the decision, if the source lets such a part pass ([`crate::capture::views::Missing`]).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub views: Vec<String>,
    /// Which pixels of the picture, or of its view; absent: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub area: Option<Area>,
    /// Its model; relative to the recipe's file. Absent: the recipe's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<PathBuf>,
    /// Replaces its model's thresholds, by label. A region with the recipe's own model has the recipe's thresholds beside these.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub thresholds: BTreeMap<String, f32>,
    /// Cuts it into tiles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tiles: Option<Tiles>,
}

/// Everything wrong with a recipe's regions themselves.
pub(crate) fn problems(recipe: &Recipe) -> Vec<String> {
    let mut problems = Vec::new();
    if recipe.tiles.is_some() && !recipe.regions.is_empty() {
        problems.push("`tiles` is for the whole picture; with `regions` give each its own `tiles`".to_owned());
    }
    if let Some(tiles) = recipe.tiles {
        problems.extend(tiles.problems("tiles"));
    }
    let mut names = BTreeSet::new();
    for (number, region) in recipe.regions.iter().enumerate() {
        let key = format!("regions[{number}]");
        if region.name.trim().is_empty() || region.name.chars().any(char::is_control) || region.name.len() > 64 {
            problems.push(format!("`{key}.name` is {:?}: give 1 to 64 printable characters", region.name));
        }
        if !names.insert(&region.name) {
            problems.push(format!("`{key}.name` is `{}`, which another region has already", region.name));
        }
        if !region.views.is_empty() && (region.view.is_some() || region.area.is_some() || region.tiles.is_some()) {
            problems.push(format!("`{key}.views` are seen whole and together: leave out `view`, `area` and `tiles`"));
        }
        if region.area.is_some_and(|area| area.width == 0 || area.height == 0) {
            problems.push(format!("`{key}.area` is empty: give width and height in pixels"));
        }
        for (label, threshold) in &region.thresholds {
            if !(0.0..=1.0).contains(threshold) {
                problems.push(format!("`{key}.thresholds.{label}` is {threshold}: it must lie between 0 and 1"));
            }
        }
        if let Some(tiles) = region.tiles {
            problems.extend(tiles.problems(&format!("{key}.tiles")));
        }
        if let (Some(area), Some([width, height])) = (region.area, recipe.quality.size)
            && region.view.is_none()
            && recipe.align.is_none()
            && !area.fits(Area { x: 0, y: 0, width, height })
        {
            problems.push(format!("`{key}.area` reaches out of `quality.size`, {width} x {height} pixels"));
        }
    }
    problems
}

/// A region with its model loaded and verified.
pub struct RegionInForce {
    /// Its name.
    pub name: Arc<str>,
    view: Option<String>,
    /// Whether its model sees several views together.
    fused: bool,
    area: Option<Area>,
    tiles: Option<Tiles>,
    /// What it is decided by: a recipe without regions, of the region's own model and thresholds.
    pub terms: Arc<RecipeInForce>,
}

impl RegionInForce {
    /// The regions of a recipe; none where the model sees the whole picture at once. `others` has the models of regions that have their
    /// own, by the path in the recipe.
    pub(crate) fn all(
        recipe: &Recipe,
        model: &Arc<dyn Model>,
        others: &BTreeMap<PathBuf, Arc<dyn Model>>,
    ) -> Result<Vec<RegionInForce>, Vec<String>> {
        let whole = recipe.tiles.map(|tiles| Region {
            name: WHOLE.to_owned(),
            view: None,
            views: Vec::new(),
            area: None,
            bundle: None,
            thresholds: BTreeMap::new(),
            tiles: Some(tiles),
        });
        let mut problems = Vec::new();
        let mut regions = Vec::new();
        for region in recipe.regions.iter().chain(&whole) {
            match RegionInForce::one(region, recipe, model, others) {
                Ok(one) => regions.push(one),
                Err(words) => {
                    problems.extend(words.into_iter().map(|word| format!("region `{}`: {word}", region.name)));
                }
            }
        }
        if problems.is_empty() { Ok(regions) } else { Err(problems) }
    }

    fn one(
        region: &Region,
        recipe: &Recipe,
        model: &Arc<dyn Model>,
        others: &BTreeMap<PathBuf, Arc<dyn Model>>,
    ) -> Result<RegionInForce, Vec<String>> {
        let mut thresholds = region.thresholds.clone();
        let model = match &region.bundle {
            None => {
                for (label, &threshold) in &recipe.thresholds {
                    thresholds.entry(label.clone()).or_insert(threshold);
                }
                model
            }
            Some(path) => {
                others.get(path).ok_or_else(|| vec![format!("its model {} is not loaded", path.display())])?
            }
        };
        fits_views(region, model.manifest())?;
        // The picture is prepared before it is cut.
        let quality = Quality { golden: None, ..recipe.quality.clone() };
        let whole = Recipe { quality, calibration: None, align: None, mask: Vec::new(), ..recipe.clone() };
        let own = Recipe { regions: Vec::new(), tiles: None, bundle: region.bundle.clone(), thresholds, ..whole };
        let terms = RecipeInForce::new(own, model.clone()).map_err(|RecipeError { problems, .. }| problems)?;
        Ok(RegionInForce {
            name: region.name.as_str().into(),
            view: region.view.clone(),
            fused: !region.views.is_empty(),
            area: region.area,
            tiles: region.tiles,
            terms: Arc::new(terms),
        })
    }
}

/// Whether a model sees the views that its region names, or one picture where it names none.
fn fits_views(region: &Region, manifest: &Manifest) -> Result<(), Vec<String>> {
    let sorted = |names: &[String]| names.iter().cloned().collect::<BTreeSet<_>>();
    if sorted(&region.views) == sorted(manifest.views()) && region.views.len() == manifest.views().len() {
        return Ok(());
    }
    let quoted = |names: &[String]| names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    let model = &manifest.name;
    Err(vec![match manifest.views() {
        [] => format!("`views` is given, but model `{model}` sees one picture: give the region one `view`"),
        views => format!("model `{model}` sees views together: give the region `views = [{}]`", quoted(views)),
    }])
}

/// Paths of the models that a recipe's regions have of their own.
pub fn bundles(recipe: &Recipe) -> BTreeSet<&Path> {
    recipe.regions.iter().filter_map(|region| region.bundle.as_deref()).collect()
}

/// How often a model looks at one part; none where that depends on the picture's size, which the recipe does not say.
pub fn looks(recipe: &Recipe) -> Option<u64> {
    // Alignment may give the picture another size.
    let size = recipe.quality.size.filter(|_| recipe.align.is_none());
    let whole = size.map(|[width, height]| Area { x: 0, y: 0, width, height });
    if recipe.regions.is_empty() {
        return recipe.tiles.map_or(Some(1), |tiles| Some(tiles.count(whole?)));
    }
    let of = |region: &Region| match region.tiles {
        None => Some(1),
        // A view has a size of its own.
        Some(tiles) => Some(tiles.count(region.area.or(whole.filter(|_| region.view.is_none()))?)),
    };
    recipe.regions.iter().map(of).sum()
}

/// What a model says of one tile; a region that is not cut is one tile.
pub struct Finding {
    /// Place of its region in [`RecipeInForce::regions`].
    pub region: usize,
    /// Which pixels; of several views seen together those of the one that weighed most.
    pub tile: Area,
    /// What its region's model says.
    pub prediction: Prediction,
}

/// The picture in which a region lies: its view, where there are several.
fn within(region: &RegionInForce, views: &[View], whole: Area) -> Result<Area, String> {
    let names = || views.iter().map(|view| format!("`{}`", view.name)).collect::<Vec<_>>().join(", ");
    match &region.view {
        None if views.is_empty() => Ok(whole),
        None => Err(format!("several cameras see the part, so it needs a `view`: {}", names())),
        Some(name) if views.is_empty() => Err(format!("its view is `{name}`, but one camera alone sees the part")),
        Some(name) => views
            .iter()
            .find(|view| *view.name == **name)
            .map(|view| view.area)
            .ok_or_else(|| format!("its view is `{name}`, but the part is seen by {}", names())),
    }
}

/// Everything wrong between a recipe's regions and the views of a line's source; none: one camera sees the part.
pub fn misfits(recipe: &Recipe, views: &[&str]) -> Vec<String> {
    let names = views.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let mut problems = Vec::new();
    if !views.is_empty() && (recipe.align.is_some() || recipe.calibration.is_some()) {
        problems
            .push("`align` and `calibration` are for one camera, but several see a part: leave them out".to_owned());
    }
    if !views.is_empty() && recipe.regions.is_empty() {
        problems.push(format!(
            "several cameras see a part, but the recipe has no `[[regions]]`: give one to each of the views {names}"
        ));
    }
    for (number, region) in recipe.regions.iter().enumerate() {
        let key = format!("`regions[{number}].view`");
        for name in &region.views {
            match views {
                [] => {
                    problems.push(format!("`regions[{number}].views` has `{name}`, but one camera alone sees a part"));
                }
                _ if !views.contains(&name.as_str()) => {
                    problems.push(format!("`regions[{number}].views` has `{name}`; there are {names}"));
                }
                _ => {}
            }
        }
        match &region.view {
            None if !region.views.is_empty() => {}
            None if !views.is_empty() => {
                problems.push(format!("{key} is missing: several cameras see a part, {names}"));
            }
            Some(name) if views.is_empty() => {
                problems.push(format!("{key} is `{name}`, but one camera alone sees a part: leave it out"));
            }
            Some(name) if !views.contains(&name.as_str()) => {
                problems.push(format!("{key} is `{name}`; there are {names}"));
            }
            _ => {}
        }
    }
    let sees =
        |region: &Region, name: &str| region.view.as_deref() == Some(name) || region.views.iter().any(|it| it == name);
    for name in views.iter().filter(|name| !recipe.regions.iter().any(|region| sees(region, name))) {
        if !recipe.regions.is_empty() {
            problems.push(format!("no region lies in view `{name}`: nobody would look at it"));
        }
    }
    problems
}

/// Why a part cannot be looked at: the cause, and in words.
type Refusal = (Cause, String);

/// Which tiles a part has.
fn plan(part: &Part, whole: Area) -> Result<Vec<(usize, Area)>, Refusal> {
    let mut plan = Vec::new();
    for (index, region) in part.recipe.regions.iter().enumerate() {
        let wrong = |words: String| (Cause::WrongSize, format!("region `{}`: {words}", region.name));
        let seen = match region.fused {
            true => whole,
            false => within(region, part.frame.views(), whole).map_err(wrong)?,
        };
        let area = match region.area {
            None => seen,
            Some(area) if area.fits(Area { x: 0, y: 0, ..seen }) => {
                Area { x: seen.x + area.x, y: seen.y + area.y, ..area }
            }
            Some(area) => {
                let Area { width, height, .. } = seen;
                return Err(wrong(OutOfPicture { area, width, height }.to_string()));
            }
        };
        if plan.len() as u64 + region.tiles.map_or(1, |tiles| tiles.count(area)) > MAX_TILES as u64 {
            let Area { width, height, .. } = whole;
            return Err(wrong(format!(
                "more than {MAX_TILES} tiles in a picture of {width} x {height}; make tiles larger or regions smaller"
            )));
        }
        let tiles = region.tiles.map_or_else(|| vec![area], |tiles| tiles.of(area));
        plan.extend(tiles.into_iter().map(|tile| (index, tile)));
    }
    Ok(plan)
}

/// Fills a tensor with the views that a model sees together. A view of the source that did not come is left out.
fn fill_views(
    part: &Part,
    terms: &RecipeInForce,
    picture: ImageView<'_>,
    cut: &mut Image,
    tensor: &mut [f32],
) -> Result<(), Refusal> {
    let manifest = terms.model.manifest();
    let mut came = 0;
    for (number, name) in manifest.views().iter().enumerate() {
        match part.frame.views().iter().find(|view| *view.name == **name) {
            Some(View { area, .. }) => {
                area.cut(picture, cut).map_err(|error| (Cause::WrongSize, format!("view `{name}`: {error}")))?;
                manifest.fill_view(number, Some(cut.view()), tensor);
                came += 1;
            }
            None => manifest.fill_view(number, None, tensor),
        }
    }
    let names = || manifest.views().iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match came {
        0 => Err((Cause::NoFrame, format!("none of the views {} came", names()))),
        _ => Ok(()),
    }
}

/// The place of the view that weighed most in a decision by several.
fn heaviest(part: &Part, terms: &RecipeInForce, prediction: &Prediction) -> Option<Area> {
    let weights = prediction.views.as_ref()?;
    let (name, _) = terms.model.manifest().views().iter().zip(weights).max_by(|a, b| a.1.total_cmp(b.1))?;
    part.frame.views().iter().find(|view| *view.name == **name).map(|view| view.area)
}

/// Looks at every tile of a part, on so many threads at once.
///
/// # Errors
/// Why there can be no decision: a region reaches out of the picture, a model failed.
pub(crate) fn look(part: &Part, lanes: usize) -> Result<Vec<Finding>, Refusal> {
    let Some(view) = part.view() else {
        return Err((Cause::StageFailed, "infer: the part arrived without pixels".to_owned()));
    };
    let plan = plan(part, Area::of(view))?;
    let (next, findings) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(plan.len())));
    let lane = || -> Result<(), Refusal> {
        let mut cut = part.buffers.image();
        while let Some(&(region, tile)) = plan.get(next.fetch_add(1, Ordering::Relaxed)) {
            let terms = &part.recipe.regions[region].terms;
            let mut tensor = part.buffers.tensor(terms.model.tensor_len());
            match part.recipe.regions[region].fused {
                true => fill_views(part, terms, view, &mut cut, &mut tensor)?,
                false => {
                    tile.cut(view, &mut cut).map_err(|error| (Cause::WrongSize, error.to_string()))?;
                    terms.model.preprocess().fill(cut.view(), &mut tensor);
                }
            }
            let prediction = terms.model.predict(&tensor).map_err(|error| {
                // The others need not begin what nobody will read.
                next.store(plan.len(), Ordering::Relaxed);
                let name = &part.recipe.regions[region].name;
                (Cause::StageFailed, format!("infer: region `{name}`: {error}"))
            })?;
            let tile = heaviest(part, terms, &prediction).unwrap_or(tile);
            let mut findings = findings.lock().unwrap_or_else(PoisonError::into_inner);
            findings.push(Finding { region, tile, prediction });
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..lanes.min(plan.len())).map(|_| scope.spawn(lane)).collect();
        let own = lane();
        others.into_iter().fold(own, |so_far, other| {
            // A panic is the part's, as it would be on this thread.
            so_far.and(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })
    })?;
    let mut findings = findings.into_inner().unwrap_or_else(PoisonError::into_inner);
    // Whichever thread came first: the answer is the same each time.
    findings.sort_by_key(|finding| (finding.region, finding.tile.y, finding.tile.x));
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use models::image::PixelFormat;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Every pixel lies in a tile, every defect no larger than the overlap lies whole in one, no tile reaches out.
        #[test]
        fn tiles_cover_an_area_with_their_overlap(
            size in LEAST_TILE..600, share in 0_u32..=50, width in 1_u32..3000, height in 1_u32..3000, x in 0_u32..100, y in 0_u32..100,
            at in (0.0_f64..1.0, 0.0_f64..1.0),
        ) {
            let tiles = Tiles { size, overlap: Some(size * share / 100) };
            prop_assert_eq!(tiles.problems("tiles"), Vec::<String>::new());
            let area = Area { x, y, width, height };
            let all = tiles.of(area);
            prop_assert_eq!(all.len() as u64, tiles.count(area));
            for tile in &all {
                prop_assert!(tile.x >= x && tile.y >= y && tile.width <= size && tile.height <= size);
                prop_assert!(tile.x + tile.width <= x + width && tile.y + tile.height <= y + height);
            }
            // A defect as large as the overlap, anywhere.
            let defect = tiles.overlap().max(1);
            let (across, down) = (defect.min(width), defect.min(height));
            let left = x + (at.0 * f64::from(width - across)) as u32;
            let top = y + (at.1 * f64::from(height - down)) as u32;
            let whole = |tile: &Area| {
                tile.x <= left && left + across <= tile.x + tile.width && tile.y <= top && top + down <= tile.y + tile.height
            };
            prop_assert!(all.iter().any(whole), "{across} x {down} at {left}, {top} lies in none of {all:?}");
        }
    }

    #[test]
    fn no_more_tiles_than_needed() {
        let area = |width, height| Area { x: 0, y: 0, width, height };
        let tiles = Tiles { size: 512, overlap: Some(64) };
        for (side, count) in [(1, 1), (512, 1), (513, 2), (960, 2), (961, 3)] {
            assert_eq!(tiles.of(area(side, 100)).len(), count, "{side}");
        }
        assert_eq!(tiles.of(area(4000, 3000)).len(), 9 * 7);
    }

    #[test]
    fn a_cut_is_the_pixels_of_its_area() {
        for format in [PixelFormat::Mono8, PixelFormat::Rgb8] {
            let data: Vec<u8> = (0..7 * 5 * format.channels()).map(|byte| byte as u8).collect();
            let image = Image { width: 7, height: 5, format, data };
            let mut out = Image::empty();
            Area { x: 2, y: 1, width: 3, height: 4 }.cut(image.view(), &mut out).expect("inside");
            assert!(out.view().is_consistent());
            let pixel = |image: &Image, x: u32, y: u32| {
                let at = (y * image.width + x) as usize * format.channels();
                image.data[at..at + format.channels()].to_vec()
            };
            for (x, y) in (0..3).flat_map(|x| (0..4).map(move |y| (x, y))) {
                assert_eq!(pixel(&out, x, y), pixel(&image, x + 2, y + 1));
            }
            for outside in [[5, 0, 3, 1], [0, 5, 1, 1], [u32::MAX, 0, 2, 1]] {
                assert!(Area::from(outside).cut(image.view(), &mut out).is_err(), "{outside:?}");
            }
        }
    }
}
