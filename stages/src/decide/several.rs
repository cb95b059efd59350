//! A part whose picture was looked at in several places: each tile is decided by its region's own terms, the worst one speaks for its
//! region and the worst region for the part.

use std::collections::BTreeMap;
use std::sync::Arc;

use models::bundle::{Disposition, Manifest};
use models::ruling::Ruling;

use super::ruled;
use crate::inspection::{KeptHeat, LabelScore, RegionSays, ViewWeight};
use crate::recipe::RecipeInForce;
use crate::regions::{Area, Finding};
use crate::stage::Decision;

/// Cells of the part's heat map along the picture's longer side, at most. One of a single look has 32.
const HEAT_CELLS: u32 = 64;

/// The part's decision and where it comes from.
pub(super) struct Joined {
    pub(super) decision: Decision,
    /// Place of the tile that it rests on.
    pub(super) deciding: usize,
    /// How that tile was decided.
    pub(super) ruling: Ruling,
}

/// Decides a part from what was found in its picture, of so many pixels across and down. There is a finding.
pub(super) fn joined(findings: &[Finding], recipe: &RecipeInForce, whole: [u32; 2]) -> Joined {
    let mut ruled: Vec<(Decision, Ruling)> = findings
        .iter()
        .map(|Finding { region, prediction, .. }| ruled(prediction, &recipe.regions[*region].terms))
        .collect();
    let bad = |at: usize| (ruled[at].1.verdict, share_bad(&findings[at], &ruled[at].1, recipe));
    let worse = |a: &usize, b: &usize| bad(*b).0.cmp(&bad(*a).0).then(bad(*b).1.total_cmp(&bad(*a).1));
    let mut order: Vec<usize> = (0..findings.len()).collect();
    order.sort_by(worse);
    let mut worst_of: Vec<usize> = Vec::new();
    for &at in &order {
        if worst_of.iter().all(|&other| findings[other].region != findings[at].region) {
            worst_of.push(at);
        }
    }
    let regions: Vec<RegionSays> = worst_of.iter().map(|&at| says(&findings[at], &ruled[at].0, recipe)).collect();
    let found = found(ruled.iter().map(|(decision, _)| decision));
    let deciding = worst_of[0];
    let heat = heat(findings, &ruled, deciding, whole);
    let (decision, ruling) = ruled.swap_remove(deciding);
    let name = &recipe.regions[findings[deciding].region].name;
    let detail = decision.detail.as_ref().map(|detail| format!("region `{name}`: {detail}"));
    let detail = match lacking(&regions) {
        None => detail,
        Some(lack) => Some(detail.map_or_else(|| lack.clone(), |detail| format!("{detail}; {lack}"))),
    };
    Joined { decision: Decision { regions, found, heat, detail, ..decision }, deciding, ruling }
}

/// In words, which views a decision had to do without.
fn lacking(regions: &[RegionSays]) -> Option<String> {
    let lacks = regions.iter().flat_map(|region| &region.weights).filter(|it| it.weight.is_none());
    let names: Vec<String> = lacks.map(|it| format!("`{}`", it.view)).collect();
    (!names.is_empty()).then(|| format!("decided without view {}, whose picture did not come", names.join(", ")))
}

/// How far a tile is from a good one, for the order among equals.
fn share_bad(finding: &Finding, ruling: &Ruling, recipe: &RecipeInForce) -> f32 {
    if let Some(anomaly) = finding.prediction.anomaly.as_ref().filter(|_| ruling.by_memory) {
        return anomaly.share;
    }
    let labels = &recipe.regions[finding.region].terms.labels;
    let scores = labels.iter().zip(&finding.prediction.scores);
    1.0 - scores.filter(|(label, _)| label.verdict == Disposition::Pass).map(|(_, &score)| score).fold(0.0, f32::max)
}

fn says(finding: &Finding, decision: &Decision, recipe: &RecipeInForce) -> RegionSays {
    let region = &recipe.regions[finding.region];
    let score = decision.scores.iter().find(|scored| Some(&scored.label) == decision.label.as_ref());
    RegionSays {
        region: region.name.clone(),
        verdict: decision.verdict,
        label: decision.label.clone(),
        score: score.map(|scored| scored.score),
        tile: finding.tile.into(),
        model: region.terms.model.digest().clone(),
        weights: weights(finding, region.terms.model.manifest()),
    }
}

/// What each view weighed, the heaviest first. One that was not there is exactly 0 in the graph, and no other is: a softmax has no zeros.
fn weights(finding: &Finding, manifest: &Manifest) -> Vec<ViewWeight> {
    let weights = finding.prediction.views.iter().flatten();
    let weight = |(view, &weight): (&String, &f32)| ViewWeight {
        view: view.as_str().into(),
        weight: (weight > 0.0).then_some(weight),
    };
    let mut all: Vec<ViewWeight> = manifest.views().iter().zip(weights).map(weight).collect();
    all.sort_by(|a, b| b.weight.unwrap_or(0.0).total_cmp(&a.weight.unwrap_or(0.0)));
    all
}

/// Every label that was found anywhere, with its highest score: the worst first, as each tile has them.
fn found<'a>(decisions: impl Iterator<Item = &'a Decision>) -> Vec<LabelScore> {
    let mut highest: BTreeMap<Arc<str>, (usize, f32)> = BTreeMap::new();
    for decision in decisions {
        for (place, LabelScore { label, score }) in decision.found.iter().enumerate() {
            let known = highest.entry(label.clone()).or_insert((place, *score));
            *known = (known.0.min(place), known.1.max(*score));
        }
    }
    let mut found: Vec<_> = highest.into_iter().collect();
    found.sort_by(|(_, a), (_, b)| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)));
    found.into_iter().map(|(label, (_, score))| LabelScore { label, score }).collect()
}

/// The deciding region's maps, laid into one over the whole picture: what people and rules read has one frame of reference. Other regions
/// are blank; where tiles overlap, the higher value counts.
fn heat(findings: &[Finding], ruled: &[(Decision, Ruling)], deciding: usize, whole: [u32; 2]) -> Option<KeptHeat> {
    let label = ruled[deciding].0.heat.as_ref()?.label.clone();
    let longer = whole[0].max(whole[1]).max(1);
    let [width, height] = whole.map(|side| (HEAT_CELLS * side).div_ceil(longer).max(1) as usize);
    let mut cells = vec![0_u8; width * height];
    for (finding, (decision, _)) in findings.iter().zip(ruled) {
        let own = decision.heat.as_ref().filter(|_| finding.region == findings[deciding].region);
        let Some(own) =
            own.filter(|own| own.label == label && own.cells.len() == usize::from(own.width) * usize::from(own.height))
        else {
            continue;
        };
        let Area { x, y, width: across, height: down } = finding.tile;
        // The cells that a tile's cell touches: `at` of `of` along a side that begins at `from` and is `length` long.
        let touched = |at: usize, of: u16, from: u32, length: u32, side: u32, cells: usize| {
            let pixel = |at: usize| f64::from(from) + f64::from(length) * at as f64 / f64::from(of);
            let scale = cells as f64 / f64::from(side);
            let (first, end) = ((pixel(at) * scale).floor() as usize, (pixel(at + 1) * scale).ceil() as usize);
            first.min(cells - 1)..end.clamp(first + 1, cells.max(first + 1)).min(cells)
        };
        for (at, &value) in own.cells.iter().enumerate() {
            let (column, row) = (at % usize::from(own.width), at / usize::from(own.width));
            for to_row in touched(row, own.height, y, down, whole[1], height) {
                for to in touched(column, own.width, x, across, whole[0], width) {
                    let cell = &mut cells[to_row * width + to];
                    *cell = value.max(*cell);
                }
            }
        }
    }
    Some(KeptHeat { label, width: width as u16, height: height as u16, cells })
}
