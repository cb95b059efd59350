//! Everything about a time: totals, chart, what was wrong and where, groups, the audit, and the same of another time.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Unit, ZonedRound};
use models::bundle::Disposition;
use stages::verdict::Verdict;
use thiserror::Error;

use super::change::{Change, change};
use super::chart::{Chart, Point, judge};
use super::compare::{Difference, difference};
use super::config::{QualitySection, ShiftSpan};
use crate::learning::{Audited, names};
use crate::store::{Counted, PLACES, Place, StoreError, Tally, is_model, is_recipe, verdict_words};
use crate::supervise::Board;

/// The longest time.
const MOST_DAYS: i64 = 400;
/// Groups that are told; the rest of the parts stands in the total.
const GROUPS: usize = 200;

/// Why a question is not answered.
#[derive(Debug, Error)]
pub enum QualityError {
    /// It makes no sense.
    #[error("{0}")]
    Question(String),
    /// Nothing can be counted.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// By what parts are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Each shift of each day.
    Shift,
    /// Lots.
    Lot,
    /// Recipes with their versions.
    Recipe,
    /// Sources.
    Camera,
    /// Models.
    Model,
}

/// What a point of the chart is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Each {
    /// An hour.
    Hour,
    /// A shift.
    Shift,
    /// A day.
    Day,
}

/// Which parts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Only {
    /// `name@version`, or the name for all its versions.
    pub recipe: Option<String>,
    /// The model whose digest begins so.
    pub model: Option<String>,
    /// This source.
    pub camera: Option<String>,
    /// This lot.
    pub lot: Option<String>,
}

/// What is asked.
#[derive(Debug, Clone)]
pub struct Question {
    /// First moment.
    pub from: Timestamp,
    /// The first after it.
    pub to: Timestamp,
    /// Groups, if any.
    pub by: Option<By>,
    /// Points; none: what suits the length.
    pub each: Option<Each>,
    /// Which parts.
    pub only: Only,
    /// Another time to stand beside this one.
    pub beside: Option<(Timestamp, Timestamp)>,
}

/// Parts by their verdicts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// All.
    pub parts: u64,
    /// Good.
    pub pass: u64,
    /// Bad.
    pub fail: u64,
    /// For a person.
    pub review: u64,
    /// Without an answer.
    pub no_decision: u64,
}

/// What keeps a part from passing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrong {
    /// A label.
    Label(Arc<str>),
    /// The cause of no decision, as in the API.
    Cause(&'static str),
    /// No label says.
    Unnamed,
}

/// How often something was wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rank {
    /// What.
    pub wrong: Wrong,
    /// How many parts.
    pub parts: u64,
    /// And in the other time, if one was asked for.
    pub beside: Option<u64>,
}

/// Parts that have something in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// What; empty: nothing says.
    pub name: String,
    /// Of a shift: the day, and when.
    pub shift: Option<ShiftSpan>,
    /// How many.
    pub totals: Totals,
}

/// Where a label was seen, on [`PLACES`] by [`PLACES`] cells of the picture, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ways {
    /// The label.
    pub label: Option<Arc<str>>,
    /// Parts in each cell.
    pub cells: Vec<u64>,
}

/// Another time, in short.
#[derive(Debug, Clone, PartialEq)]
pub struct Beside {
    /// First moment.
    pub from: Timestamp,
    /// The first after it.
    pub to: Timestamp,
    /// Parts.
    pub totals: Totals,
    /// How far the share of rejects of the asked time lies above this one's.
    pub difference: Option<Difference>,
}

/// The answer.
#[derive(Debug, Clone)]
pub struct Overview {
    /// First moment.
    pub from: Timestamp,
    /// The first after it.
    pub to: Timestamp,
    /// The time zone of shifts and days.
    pub zone: TimeZone,
    /// Parts.
    pub totals: Totals,
    /// What the chart's points are.
    pub each: Each,
    /// The chart.
    pub chart: Chart,
    /// Since when it is otherwise, if it clearly is.
    pub change: Option<Change>,
    /// What was wrong, the most frequent first.
    pub ranks: Vec<Rank>,
    /// Where, by label, the most frequent first.
    pub places: Vec<Ways>,
    /// By what was asked, in order of time, or the most parts first.
    pub groups: Vec<Group>,
    /// What people said of parts that were chosen by lot.
    pub audited: Audited,
    /// The other time.
    pub beside: Option<Beside>,
    /// Older parts may be missing.
    pub rebuilding: bool,
    /// The oldest record, where the time that was asked for begins before it and older records were let go.
    pub since: Option<Timestamp>,
}

impl Totals {
    /// Did not pass: what a line treats as a reject.
    pub fn rejects(&self) -> u64 {
        self.parts - self.pass
    }

    fn add(&mut self, verdict: Verdict, parts: u64) {
        self.parts += parts;
        *match verdict {
            Verdict::Pass => &mut self.pass,
            Verdict::Fail => &mut self.fail,
            Verdict::Review => &mut self.review,
            Verdict::NoDecision(_) => &mut self.no_decision,
        } += parts;
    }

    fn of<'a>(parts: impl Iterator<Item = &'a Counted>) -> Totals {
        parts.fold(Totals::default(), |mut totals, it| {
            totals.add(it.verdict, it.parts);
            totals
        })
    }
}

impl Only {
    fn takes(&self, recipe: &Option<Arc<str>>, camera: &Option<Arc<str>>, lot: &Option<Arc<str>>) -> bool {
        let is = |asked: &Option<String>, name: &Option<Arc<str>>| {
            asked.as_deref().is_none_or(|asked| name.as_deref() == Some(asked))
        };
        let recipe = self.recipe.as_deref().is_none_or(|it| recipe.as_deref().is_some_and(|tag| is_recipe(tag, it)));
        recipe && is(&self.camera, camera) && is(&self.lot, lot)
    }

    fn part(&self, it: &Counted) -> bool {
        let model = self.model.as_deref().is_none_or(|of| it.model.as_deref().is_some_and(|it| is_model(it, of)));
        model && self.takes(&it.recipe, &it.camera, &it.lot)
    }

    /// Places know no model.
    fn place(&self, it: &Place) -> bool {
        self.takes(&it.recipe, &it.camera, &it.lot)
    }

    fn is_everything(&self) -> bool {
        *self == Only::default()
    }
}

impl Overview {
    /// Answers a question about a line.
    ///
    /// # Errors
    /// It makes no sense, or nothing can be counted now.
    pub fn of(board: &Board, question: &Question) -> Result<Overview, QualityError> {
        let Question { from, to, by, only, beside, .. } = question;
        checked(*from, *to)?;
        beside.map_or(Ok(()), |(from, to)| checked(from, to))?;
        let section = &board.quality;
        let zone = section.zone();
        let each = question.each.unwrap_or_else(|| usual_each(*from, *to));
        let points = points(section, &zone, each, (*from, *to));
        let shifts = if *by == Some(By::Shift) { section.between(*from, *to) } else { Vec::new() };

        // All times in one go: the whole, the other one, the points, the shifts.
        let mut times = vec![(*from, *to), beside.unwrap_or((*from, *from))];
        times.extend(&points);
        times.extend(shifts.iter().map(|it| (it.from.max(*from), it.to.min(*to))));
        let mut tallies = board.store.tally(&times)?;
        tallies.iter_mut().for_each(|tally| tally.parts.retain(|it| only.part(it)));
        let totals: Vec<Totals> = tallies.iter().map(|it| Totals::of(it.parts.iter())).collect();

        let of_shifts = &totals[2 + points.len()..];
        let points: Vec<Point> = points
            .iter()
            .zip(&totals[2..])
            .map(|(&(from, to), totals)| Point { from, to, parts: totals.parts, rejects: totals.rejects() })
            .collect();
        let groups = match by {
            None => Vec::new(),
            Some(By::Shift) => shifts
                .into_iter()
                .zip(of_shifts)
                .map(|(shift, totals)| Group { name: shift.name.clone(), shift: Some(shift), totals: *totals })
                .collect(),
            Some(by) => grouped(&tallies[0], *by),
        };
        let beside = beside.map(|(from, to)| Beside {
            from,
            to,
            totals: totals[1],
            difference: difference((totals[0].rejects(), totals[0].parts), (totals[1].rejects(), totals[1].parts)),
        });
        let changed = change(&points);
        Ok(Overview {
            from: *from,
            to: *to,
            zone,
            totals: totals[0],
            each,
            chart: judge(&points),
            change: changed,
            ranks: ranks(&tallies[0], beside.is_some().then(|| &tallies[1])),
            places: places(&tallies[0], only),
            groups,
            audited: audited(board, question),
            beside,
            rebuilding: board.store.rebuilding().is_some(),
            since: board.store.records_since().filter(|since| from < since),
        })
    }
}

fn checked(from: Timestamp, to: Timestamp) -> Result<(), QualityError> {
    let refused = |words: String| Err(QualityError::Question(words));
    if from >= to {
        return refused(format!("`to` ({to}) is not after `from` ({from})"));
    }
    if to.duration_since(from).as_hours() > 24 * MOST_DAYS {
        return refused(format!("from {from} to {to} is more than {MOST_DAYS} days: ask for less at once"));
    }
    Ok(())
}

/// Some ten to a hundred points.
fn usual_each(from: Timestamp, to: Timestamp) -> Each {
    match to.duration_since(from).as_hours() {
        ..=80 => Each::Hour,
        81..=1000 => Each::Shift,
        _ => Each::Day,
    }
}

/// The time, cut where hours, shifts or days begin.
fn points(
    section: &QualitySection,
    zone: &TimeZone,
    each: Each,
    (from, to): (Timestamp, Timestamp),
) -> Vec<(Timestamp, Timestamp)> {
    let within = |a: Timestamp, b: Timestamp| (a.max(from), b.min(to));
    if each == Each::Shift {
        return section.between(from, to).iter().map(|it| within(it.from, it.to)).collect();
    }
    let (unit, step) = if each == Each::Hour { (Unit::Hour, 1.hour()) } else { (Unit::Day, 1.day()) };
    let floor = ZonedRound::new().smallest(unit).mode(jiff::RoundMode::Trunc);
    let Ok(mut at) = from.to_zoned(zone.clone()).round(floor) else { return vec![(from, to)] };
    let mut points = Vec::new();
    while at.timestamp() < to {
        let Ok(next) = at.checked_add(step) else { break };
        points.push(within(at.timestamp(), next.timestamp()));
        at = next;
    }
    points
}

fn grouped(tally: &Tally, by: By) -> Vec<Group> {
    let mut groups: BTreeMap<&str, Totals> = BTreeMap::new();
    for it in &tally.parts {
        let name = match by {
            By::Lot => &it.lot,
            By::Recipe => &it.recipe,
            By::Camera => &it.camera,
            By::Model | By::Shift => &it.model,
        };
        groups.entry(name.as_deref().unwrap_or_default()).or_default().add(it.verdict, it.parts);
    }
    let mut groups: Vec<Group> =
        groups.into_iter().map(|(name, totals)| Group { name: name.to_owned(), shift: None, totals }).collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.totals.parts));
    groups.truncate(GROUPS);
    groups
}

fn ranks(tally: &Tally, beside: Option<&Tally>) -> Vec<Rank> {
    let counted = |tally: &Tally| {
        let mut counts: BTreeMap<Wrong, u64> = BTreeMap::new();
        for it in tally.parts.iter().filter(|it| it.verdict != Verdict::Pass) {
            let wrong = match (it.verdict, &it.label) {
                (Verdict::NoDecision(_), _) => Wrong::Cause(verdict_words(it.verdict).1),
                (_, Some(label)) => Wrong::Label(label.clone()),
                (_, None) => Wrong::Unnamed,
            };
            *counts.entry(wrong).or_default() += it.parts;
        }
        counts
    };
    let other = beside.map(&counted);
    let mut counts = counted(tally);
    // What was wrong only then has a place of its own too: that it is gone is news.
    other.iter().flatten().for_each(|(wrong, _)| {
        counts.entry(wrong.clone()).or_default();
    });
    let mut ranks: Vec<Rank> = counts
        .into_iter()
        .map(|(wrong, parts)| {
            let beside = other.as_ref().map(|other| other.get(&wrong).copied().unwrap_or(0));
            Rank { wrong, parts, beside }
        })
        .collect();
    ranks.sort_by_key(|rank| std::cmp::Reverse(rank.parts));
    ranks
}

fn places(tally: &Tally, only: &Only) -> Vec<Ways> {
    let cells = usize::from(PLACES) * usize::from(PLACES);
    let mut labels: BTreeMap<Option<Arc<str>>, Vec<u64>> = BTreeMap::new();
    for it in tally.places.iter().filter(|it| only.place(it)) {
        let map = labels.entry(it.label.clone()).or_insert_with(|| vec![0; cells]);
        map[usize::from(it.y) * usize::from(PLACES) + usize::from(it.x)] += it.parts;
    }
    let mut places: Vec<Ways> = labels.into_iter().map(|(label, cells)| Ways { label, cells }).collect();
    places.sort_by_key(|it| std::cmp::Reverse(it.cells.iter().sum::<u64>()));
    places
}

/// What people said of parts of that time that were chosen by lot.
fn audited(board: &Board, question: &Question) -> Audited {
    let prepared = board.recipe.load();
    let meaning: BTreeMap<&str, Disposition> = names(prepared.manifest()).collect();
    let is_good = |label: &str| Some(*meaning.get(label)? == Disposition::Pass);
    let only = &question.only;
    let desk = board.learning.desk.lock();
    desk.labels.audited_of(is_good, |item| {
        let asked = item.at >= question.from
            && item.at < question.to
            && only.model.as_deref().is_none_or(|model| is_model(&item.model, model));
        // Only the record knows the rest, and few parts come that far.
        asked
            && (only.is_everything()
                || board.store.get(item.id).ok().flatten().is_some_and(|stored| {
                    let part = &stored.inspection;
                    only.takes(&Some(part.recipe.clone()), &Some(part.camera.clone()), &part.lot)
                }))
    })
}
