//! The thread that lets go. A round looks at what has come, then lets a few pictures go if there are too many; now and then it looks at the oldest
//! file of records.
//!
//! A kill at any moment leaves whole files: a picture is there or not, and so is a file of records. What was counted is counted anew at the next start.

use std::collections::{HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use jiff::Timestamp;
use stages::inspection::Inspection;

use super::config::VERDICTS;
use super::rate::{Rate, days};
use super::shelf::{Picture, Rank, Shelf};
use super::walk::walk;
use super::{OfVerdict, Retention};
use crate::access::Who;
use crate::audit::Deed;
use crate::background::yield_to_the_line;
use crate::store::{Filter, Glance, IndexState, OldestFile, VerdictKind};
use crate::supervise::Board;

/// Between two rounds.
const ROUND: Duration = Duration::from_millis(500);
/// Between two rounds that let pictures go.
const BUSY: Duration = Duration::from_millis(20);
/// Pictures of a round.
const PICTURES: usize = 32;
/// Records that are looked at in one go.
const RECORDS: usize = 256;
/// How often the oldest file of records is looked at.
const FILES: Duration = Duration::from_secs(30);
/// A picture that is not on the disk so long after its record never will be.
const WRITTEN_WITHIN: Duration = Duration::from_secs(60);
/// A part that was not offered to the review queue so long after its record never will be.
const OFFERED_WITHIN: Duration = Duration::from_secs(30);
/// A clock that was set by more than this is not believed about ages until a restart.
const JUMP_S: i64 = 24 * 3600;

/// The thread at work.
pub struct AtWork {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl AtWork {
    /// Ends it after the picture at hand.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Release);
        let _ = self.thread.join();
    }
}

impl Retention {
    /// Works from now on.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(self: &Arc<Retention>, board: &Arc<Board>) -> anyhow::Result<AtWork> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut work = Work::new(self.clone(), board.clone(), stop.clone());
        board.store.pictures_let_go(self.standing().gone.up_to);
        let run = move || {
            yield_to_the_line();
            work.run();
        };
        let thread = std::thread::Builder::new().name("retention".into()).spawn(run);
        Ok(AtWork { stop, thread: thread.context("retention gets no thread")? })
    }
}

struct Work {
    retention: Arc<Retention>,
    board: Arc<Board>,
    stop: Arc<AtomicBool>,
    shelf: Shelf,
    rate: Rate,
    /// Every record up to this one was looked at; none: pictures are not counted yet.
    seen: Option<u64>,
    /// Records whose pictures are on their way to the disk.
    coming: VecDeque<(Arc<Inspection>, Instant)>,
    clock: Clock,
    /// Of the review queue and the holds, as they were last looked at.
    people: u64,
    holds: u64,
    looked: Option<Instant>,
    /// The oldest file of records stays as long as these are the same: its number, the queue's and the holds' revisions.
    stays: Option<(u32, u64, u64)>,
    said: Option<String>,
}

/// Says what time it is, unless it was set by more than a day.
struct Clock {
    wall: Timestamp,
    steady: Instant,
}

impl Clock {
    fn new() -> Clock {
        Clock { wall: Timestamp::now(), steady: Instant::now() }
    }

    fn now(&self, wall: Timestamp, steady: Instant) -> Option<Timestamp> {
        let should = self.wall.as_second() + steady.duration_since(self.steady).as_secs() as i64;
        ((wall.as_second() - should).abs() <= JUMP_S).then_some(wall)
    }
}

impl Work {
    fn new(retention: Arc<Retention>, board: Arc<Board>, stop: Arc<AtomicBool>) -> Work {
        Work {
            retention,
            board,
            stop,
            shelf: Shelf::default(),
            rate: Rate::default(),
            seen: None,
            coming: VecDeque::new(),
            clock: Clock::new(),
            people: u64::MAX,
            holds: 0,
            looked: None,
            stays: None,
            said: None,
        }
    }

    fn stops(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn run(&mut self) {
        while !self.stops() {
            let more = match self.round() {
                Ok(more) => {
                    self.trouble(None);
                    more
                }
                Err(error) => {
                    self.trouble(Some(crate::words::of(&error)));
                    false
                }
            };
            let until = Instant::now() + if more { BUSY } else { ROUND };
            while Instant::now() < until && !self.stops() {
                std::thread::sleep(BUSY);
            }
        }
        self.retention.keep_figures();
    }

    /// Said once in the log, shown as long as it lasts.
    fn trouble(&mut self, words: Option<String>) {
        let clock = self.trusted_now().is_none() && self.retention.section().bounds_pictures();
        let words = words.or_else(|| {
            clock.then(|| {
                "the clock was set by more than a day: nothing is let go for its age until a restart".to_owned()
            })
        });
        if let Some(words) = words.as_ref().filter(|words| self.said.as_ref() != Some(words)) {
            tracing::error!("retention: {words}");
        }
        self.said.clone_from(&words);
        self.retention.stands(|standing| standing.trouble = words);
    }

    /// One round; whether there is more to do at once.
    fn round(&mut self) -> anyhow::Result<bool> {
        if self.seen.is_none() && !self.count()? {
            return Ok(false);
        }
        let behind = self.follow();
        self.people_and_holds();
        let gone = self.let_pictures_go()?;
        if self.looked.is_none_or(|at| at.elapsed() >= FILES) && !behind {
            let removed = self.let_records_go()?;
            self.looked = (!removed).then(Instant::now);
        }
        self.show(gone);
        Ok(behind || gone)
    }

    /// Counts what is there. False: not yet.
    fn count(&mut self) -> anyhow::Result<bool> {
        let store = &self.board.store;
        match store.stats().index {
            IndexState::Ready => {}
            IndexState::Rebuilding(_) => return Ok(false),
            IndexState::Off(reason) => bail!("nothing is let go without an index: {reason}"),
        }
        let seen = store.newest_id().unwrap_or(0);
        let mut shelf = Shelf::default();
        let stop = self.stop.clone();
        if !walk(store, seen, &mut shelf, &|| stop.load(Ordering::Acquire))
            .with_context(|| format!("the pictures in `{}` cannot be counted", store.evidence_dir().display()))?
        {
            return Ok(false);
        }
        shelf.each(|picture| self.rate.add(picture.at_s, picture.bytes));
        (self.shelf, self.seen) = (shelf, Some(seen));
        Ok(true)
    }

    /// Takes in what has come; whether there may be more.
    fn follow(&mut self) -> bool {
        let store = self.board.store.clone();
        let news = store.after(self.seen.unwrap_or(0), RECORDS);
        let behind = news.len() == RECORDS;
        for stored in news {
            self.seen = Some(stored.inspection.id);
            if stored.inspection.evidence.is_some() {
                self.coming.push_back((stored.inspection, Instant::now()));
            }
        }
        let mut later = VecDeque::new();
        let offered = self.board.learning.desk.lock().seen();
        while let Some((part, since)) = self.coming.pop_front() {
            // Whether it waits for people is known once the desk has seen it.
            if part.id > offered && since.elapsed() < OFFERED_WITHIN {
                later.push_back((part, since));
                continue;
            }
            let file = part.evidence.as_deref().and_then(|path| self.file(path));
            match file.and_then(|file| Some((file.metadata().ok()?.len(), file))) {
                Some((bytes, file)) => {
                    let ending = file.extension().and_then(|it| it.to_str()).and_then(|it| self.shelf.ending(it));
                    let at_s = part.triggered_at.as_second();
                    let verdict = Some(part.verdict.into());
                    self.shelf.put(part.id, Picture { at_s, bytes, verdict, ending: ending.unwrap_or(u8::MAX) });
                    self.rate.add(at_s, bytes);
                }
                None if since.elapsed() < WRITTEN_WITHIN => later.push_back((part, since)),
                None => {}
            }
        }
        self.coming = later;
        behind
    }

    fn file(&self, path: &str) -> Option<PathBuf> {
        let dir = self.board.store.evidence_dir();
        crate::store::evidence_file(dir.parent()?, path)
    }

    /// Ranks follow what people were asked and answered, and what they hold.
    fn people_and_holds(&mut self) {
        let desk = self.board.learning.desk.lock();
        let revision = desk.revision();
        if revision != self.people {
            let waiting: HashSet<u64> = desk.queue.items().map(|item| item.id).collect();
            let answered: HashSet<u64> = desk.labels.answered().collect();
            drop(desk);
            self.shelf.people(waiting, answered);
            self.people = revision;
        }
        let revision = self.retention.holds.read().revision();
        if revision != self.holds {
            self.shelf.look_again();
            self.holds = revision;
        }
    }

    /// A few, if there are too many; whether there may be more.
    fn let_pictures_go(&mut self) -> anyhow::Result<bool> {
        let section = self.retention.section().clone();
        if !section.bounds_pictures() {
            return Ok(false);
        }
        let now_s = self.trusted_now().map(Timestamp::as_second);
        let most = section.pictures_mb.map_or(u64::MAX, |mb| mb << 20);
        let least_free = section.least_free_mb.map_or(0, |mb| mb << 20);
        let mut free = if least_free > 0 { self.board.store.free_bytes().unwrap_or(u64::MAX) } else { u64::MAX };
        for _ in 0..PICTURES {
            if self.stops() {
                return Ok(false);
            }
            let short = self.shelf.all().bytes > most || free < least_free;
            let next = self.shelf.beyond_limits(&section.pictures, now_s);
            let next = next.or_else(|| self.shelf.least().filter(|_| short).map(|(id, _)| id));
            let Some(id) = next else { return Ok(false) };
            free = free.saturating_add(self.let_go(id)?);
        }
        Ok(true)
    }

    /// Lets a picture go, unless somebody holds it; the bytes that it gave back.
    fn let_go(&mut self, id: u64) -> anyhow::Result<u64> {
        let store = self.board.store.clone();
        let record = match store.get(id) {
            Ok(record) => record.map(|stored| stored.inspection),
            // Nobody knows whether it is held: it stays.
            Err(error) => {
                self.shelf.hold(id);
                tracing::error!("the picture of part {id} stays, for its record cannot be read: {error}");
                return Ok(0);
            }
        };
        let retention = self.retention.clone();
        let holds = retention.holds.read();
        let held = match &record {
            Some(part) => holds.over(part).next().is_some(),
            // Of a picture without a record nothing is known but its part.
            None => holds.all().any(|hold| hold.of.part.is_none_or(|part| part == id)),
        };
        if held {
            self.shelf.hold(id);
            return Ok(0);
        }
        let path = match record.as_ref().and_then(|part| part.evidence.clone()) {
            Some(path) => path,
            None => self.path(id).with_context(|| format!("the picture of part {id} has no place"))?,
        };
        store.remove_picture(id, &path)?;
        drop(holds);
        let bytes = self.shelf.take(id).map_or(0, |picture| picture.bytes);
        self.retention.stands(|standing| {
            standing.gone.pictures += 1;
            standing.gone.bytes += bytes;
            standing.gone.up_to = standing.gone.up_to.max(id);
        });
        Ok(bytes)
    }

    /// Where a picture without a record lies.
    fn path(&self, id: u64) -> Option<String> {
        let picture = self.shelf.get(id)?;
        let day = Timestamp::from_second(picture.at_s).ok()?.strftime("%Y/%m/%d").to_string();
        Some(format!("{day}/{id}.{}", self.shelf.ending_of(picture.ending)))
    }

    /// Removes the oldest file of records, if all of them are past their limits, nobody waits for one, and none is held.
    fn let_records_go(&mut self) -> anyhow::Result<bool> {
        if !self.retention.section().bounds_records() {
            return Ok(false);
        }
        let store = self.board.store.clone();
        let Some(oldest) = store.oldest_file()? else { return Ok(false) };
        let key = (oldest.number, self.people, self.holds);
        let Some(now) = self.trusted_now() else { return Ok(false) };
        if self.stays == Some(key) && !self.retention.holds.read().is_empty() {
            return Ok(false);
        }
        if !self.are_past(&oldest.records, now)? {
            return Ok(false);
        }
        if self.is_wanted(&oldest) {
            self.stays = Some(key);
            return Ok(false);
        }
        for record in &oldest.records {
            if self.shelf.has(record.id) {
                self.let_go(record.id)?;
                // Somebody holds it since a moment ago.
                if self.shelf.has(record.id) {
                    return Ok(false);
                }
            }
        }
        self.remove(&oldest)
    }

    /// Whether each record is past its verdict's limits.
    fn are_past(&self, records: &[Glance], now: Timestamp) -> anyhow::Result<bool> {
        for verdict in VERDICTS {
            let limits = self.retention.section().records.of(verdict);
            let mut of_it: Vec<&Glance> = records.iter().filter(|record| record.verdict == verdict).collect();
            if of_it.is_empty() {
                continue;
            }
            of_it.sort_unstable_by_key(|record| record.id);
            let all = match limits.count {
                Some(_) => self.board.store.count(&Filter { verdict: Some(verdict), ..Filter::default() })?,
                None => 0,
            };
            let before = limits.days.map(|days| now.as_second() - i64::from(days) * 86_400);
            let past = |(at, record): (usize, &&Glance)| {
                let newer = all.saturating_sub(at as u64 + 1);
                limits.count.is_some_and(|most| newer >= most)
                    || before.is_some_and(|before| record.at.as_second() < before)
            };
            if !of_it.iter().enumerate().all(past) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether people wait for a record of the file, or hold one.
    fn is_wanted(&self, oldest: &OldestFile) -> bool {
        let desk = self.board.learning.desk.lock();
        if oldest.records.iter().any(|record| desk.queue.get(record.id).is_some()) {
            return true;
        }
        drop(desk);
        if self.retention.holds.read().is_empty() {
            return false;
        }
        oldest.records.iter().any(|record| match self.board.store.get(record.id) {
            Ok(Some(stored)) => self.retention.holds.read().over(&stored.inspection).next().is_some(),
            Ok(None) => false,
            Err(_) => true,
        })
    }

    fn remove(&mut self, oldest: &OldestFile) -> anyhow::Result<bool> {
        let holds = self.retention.holds.read();
        if holds.revision() != self.holds {
            return Ok(false);
        }
        let ids = oldest.records.iter().map(|record| record.id);
        let what = serde_json::json!({
            "records": oldest.records.len(), "from": ids.clone().min(), "to": ids.max(), "bytes": oldest.bytes,
        });
        let deed = Deed::new("records.let_go", format!("journal file {}", oldest.number)).before(what);
        self.board.access.trail().append(&Who::program(), deed)?;
        self.board.store.remove_oldest(oldest)?;
        drop(holds);
        let records = oldest.records.len() as u64;
        tracing::info!("{records} records are let go with journal file {}", oldest.number);
        self.retention.stands(|standing| standing.gone.records += records);
        self.retention.keep_figures();
        Ok(true)
    }

    fn trusted_now(&self) -> Option<Timestamp> {
        self.clock.now(Timestamp::now(), Instant::now())
    }

    fn show(&self, busy: bool) {
        let section = self.retention.section();
        let all = self.shelf.all();
        let of = |verdict: VerdictKind| {
            let (sum, oldest) = self.shelf.of_verdict(verdict);
            let oldest = oldest.and_then(|at_s| Timestamp::from_second(at_s).ok());
            OfVerdict { verdict, pictures: sum.pictures, bytes: sum.bytes, oldest }
        };
        let bytes_a_day = self.rate.a_day(Timestamp::now().as_second());
        let room = |most: u64, used: u64| most.saturating_sub(used);
        let by_quota = section.pictures_mb.map(|mb| room(mb << 20, all.bytes));
        let by_disk = section.least_free_mb.and_then(|least| Some(room(self.board.store.free_bytes()?, least << 20)));
        let left = [by_quota, by_disk].into_iter().flatten().min();
        let was_busy = self.retention.standing().busy;
        self.retention.stands(|standing| {
            standing.counted = true;
            (standing.pictures, standing.bytes) = (all.pictures, all.bytes);
            standing.by_verdict = VERDICTS.map(of).to_vec();
            standing.waiting = self.shelf.of_rank(Rank::Waiting).pictures;
            standing.held = self.shelf.of_rank(Rank::Held).pictures;
            standing.bytes_a_day = bytes_a_day;
            standing.days_left = left.zip(bytes_a_day).map(|(left, a_day)| days(left, a_day));
            standing.busy = busy;
        });
        if was_busy && !busy {
            self.retention.keep_figures();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_by_more_than_a_day_ages_nothing() {
        let clock = Clock::new();
        let later = |seconds: i64| Timestamp::from_second(clock.wall.as_second() + seconds).expect("in range");
        let steady = clock.steady + Duration::from_secs(100);
        assert_eq!(clock.now(later(100), steady), Some(later(100)));
        assert_eq!(
            clock.now(later(100 + 3600), steady),
            Some(later(100 + 3600)),
            "an hour is daylight saving, at worst"
        );
        assert_eq!(clock.now(later(100 + 400 * 86_400), steady), None);
        assert_eq!(clock.now(later(100 - 400 * 86_400), steady), None);
    }
}
