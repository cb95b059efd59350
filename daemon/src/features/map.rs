//! The map: t-SNE (`models_train::places`) over the newest parts' sketches. Records are read
//! beside a running line, without a lock and without changing anything.
//!
//! A sketch is 64 bytes that keep the angles between embeddings give or take a tenth (`models::sketch`); the embedding itself is on
//! no record. Near and far on the map mean something, distances and directions do not.

use std::collections::{BTreeSet, VecDeque};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, ensure};
use jiff::Timestamp;
use models::sketch::LEN;
use models_train::places::places;
use serde::{Deserialize, Serialize};
use stages::inspection::Inspection;
use stages::verdict::Verdict;
use utoipa::ToSchema;

use crate::access::files;
use crate::learning::Item;
use crate::store::{self, Exported};
use crate::worker::child::Reporter;

/// Fewest parts that make a map.
pub(crate) const LEAST: usize = 20;
/// Most parts of a map.
pub(crate) const MOST: usize = 10_000;
/// The points, beside the question.
pub(crate) const POINTS: &str = "points.json";

/// Share of the work that reading the records is said to be.
const READING: f64 = 0.1;

/// Which parts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Question {
    /// The state directory, where the records are.
    pub(crate) state: PathBuf,
    /// Digests of the models whose sketches can be compared with one another; none: those of the newest part's model.
    pub(crate) models: BTreeSet<Arc<str>>,
    /// So many of the newest parts.
    pub(crate) limit: usize,
}

/// A part on the map.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Point {
    pub(crate) id: u64,
    /// -1 to 1.
    pub(crate) x: f32,
    /// -1 to 1.
    pub(crate) y: f32,
    pub(crate) at: Timestamp,
    pub(crate) verdict: Verdict,
    /// What the verdict rests on.
    pub(crate) label: Option<Arc<str>>,
    /// Where the picture lies, below the evidence folder.
    pub(crate) evidence: Option<String>,
}

/// What a map has, and what it lacks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = FeatureMapFound)]
pub(crate) struct Found {
    /// Parts on the map.
    parts: u64,
    /// Newer than the oldest of them and left out: other models saw them, whose sketches say nothing to these.
    of_other_models: u64,
    /// The same of parts that no model saw, or one that gives no embedding.
    without_sketch: u64,
}

/// Draws the map that a file asks for, and leaves its points beside it. `None`: it was asked to stop.
///
/// # Errors
/// The question cannot be read, there is too little to draw, or the points cannot be kept.
pub(crate) fn work(question: &Path, reporter: &Reporter) -> anyhow::Result<Option<Found>> {
    let named = || format!("the question `{}`", question.display());
    let asked: Question = serde_json::from_slice(&std::fs::read(question).with_context(named)?).with_context(named)?;
    let started = Instant::now();
    let tell = |done: f64| reporter.share(done, started.elapsed().mul_f64((1.0 - done).max(0.0) / done.max(1e-3)));
    let (points, found) = draw(&asked, &tell)?;
    if reporter.asked_to_stop() {
        return Ok(None);
    }
    let path = question.with_file_name(POINTS);
    let keep = || -> anyhow::Result<()> {
        let mut out = BufWriter::new(files::private(&path, false)?);
        serde_json::to_writer(&mut out, &points)?;
        Ok(out.flush()?)
    };
    keep().with_context(|| format!("the map cannot be kept in `{}`: is the disk full?", path.display()))?;
    Ok(Some(found))
}

/// Draws a map; `tell` hears how far it is, 0 to 1.
///
/// # Errors
/// There are no records, or too few that can be compared.
pub(crate) fn draw(question: &Question, tell: &dyn Fn(f64) -> bool) -> anyhow::Result<(Vec<Point>, Found)> {
    let (parts, found) = gather(question)?;
    ensure!(
        parts.len() >= LEAST,
        "a map takes {LEAST} parts with a sketch by the model in force or by one on the same trunk, and {} are on record ({} \
         by other models, {} without a sketch): let the line inspect some more",
        parts.len(),
        found.of_other_models,
        found.without_sketch
    );
    tell(READING);
    let looks: Vec<[f32; LEN]> = parts.iter().map(|part| part.look).collect();
    let places = places(&looks, &|done| tell(READING + (1.0 - READING) * done));
    let points = parts.into_iter().zip(places).map(|(part, [x, y])| Point { x, y, ..part.point });
    Ok((points.collect(), found))
}

/// A part before it has its place.
struct Part {
    point: Point,
    /// Its sketch at unit length.
    look: [f32; LEN],
}

/// The newest parts that can be compared, oldest first.
fn gather(question: &Question) -> anyhow::Result<(VecDeque<Part>, Found)> {
    let state = &question.state;
    let mut parts: VecDeque<Part> = VecDeque::new();
    // Ids of those left out, so that only those newer than the oldest on the map are counted.
    let (mut strange, mut blank): (VecDeque<u64>, VecDeque<u64>) = Default::default();
    let records = store::export(state).with_context(|| format!("no records in `{}`", state.display()))?;
    let mut models = question.models.clone();
    if models.is_empty() {
        models.extend(newest_model(state)?);
    }
    for record in records {
        let Exported::Inspection(part) = record? else { continue };
        // What was sent through to check the line is no production, and what it is is known.
        if part.check.is_some() {
            continue;
        }
        let item = Item::of(&part);
        let Some(look) = item.sketch.and_then(|sketch| unit(sketch.values())) else {
            push(&mut blank, part.id);
            continue;
        };
        if !models.contains(&item.model) {
            push(&mut strange, part.id);
            continue;
        }
        if parts.len() == question.limit.clamp(LEAST, MOST) {
            parts.pop_front();
        }
        parts.push_back(Part { point: point(&part), look });
    }
    let oldest = parts.front().map_or(0, |part| part.point.id);
    let newer = |ids: &VecDeque<u64>| ids.iter().filter(|&&id| id > oldest).count() as u64;
    let found = Found { parts: parts.len() as u64, of_other_models: newer(&strange), without_sketch: newer(&blank) };
    Ok((parts, found))
}

/// Of whom nobody says which models to take: the model of the newest part that has a sketch.
fn newest_model(state: &Path) -> anyhow::Result<Option<Arc<str>>> {
    let mut newest = None;
    for record in store::export(state)? {
        if let Exported::Inspection(part) = record?
            && part.sample.sketch.is_some()
        {
            newest = Some(Item::of(&part).model);
        }
    }
    Ok(newest)
}

fn push(ids: &mut VecDeque<u64>, id: u64) {
    if ids.len() == MOST {
        ids.pop_front();
    }
    ids.push_back(id);
}

fn point(part: &Inspection) -> Point {
    Point {
        id: part.id,
        x: 0.0,
        y: 0.0,
        at: part.triggered_at,
        verdict: part.verdict,
        label: part.label.clone(),
        evidence: part.evidence.clone(),
    }
}

/// Angles are what a sketch keeps, and on the unit sphere distances are angles. A sketch of another length is all zeros.
fn unit(values: &[i8; LEN]) -> Option<[f32; LEN]> {
    let length = values.iter().map(|&value| f32::from(value).powi(2)).sum::<f32>().sqrt();
    (length > 0.0).then(|| values.map(|value| f32::from(value) / length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sketch_of_another_version_has_no_direction() {
        assert!(unit(&[0; LEN]).is_none());
        let look = unit(&[3; LEN]).expect("a sketch");
        assert!((look.iter().map(|value| value * value).sum::<f32>() - 1.0).abs() < 1e-6);
    }
}
