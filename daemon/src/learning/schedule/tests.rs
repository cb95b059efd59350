//! Simulated time: weeks with summer time, clocks that are set, restarts and days off.

use std::collections::BTreeSet;

use jiff::civil::date;
use proptest::prelude::*;

use super::*;

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).expect("a zone")
}

fn entries(texts: &[&str]) -> Vec<Entry> {
    texts.iter().map(|text| Entry::parse(text).expect("an entry")).collect()
}

/// Looks every `step` from one moment to another; what was due. The first look is the program's first start.
fn watch(
    texts: &[&str],
    zone: &TimeZone,
    seen: &mut Seen,
    from: Timestamp,
    to: Timestamp,
    step: SignedDuration,
) -> Vec<Due> {
    let (entries, mut now, mut due) = (entries(texts), from, Vec::new());
    while now <= to {
        due.extend(look(&entries, zone, seen, now));
        now += step;
    }
    due
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

const SECOND: SignedDuration = SignedDuration::from_secs(1);
const MINUTE: SignedDuration = SignedDuration::from_mins(1);

#[test]
fn entries_are_read_and_told_as_they_are_written() {
    for (text, told) in [("sat 02:00", "sat 02:00"), ("  Daily   22:30 ", "daily 22:30"), ("MON 00:00", "mon 00:00")] {
        assert_eq!(Entry::parse(text).expect(text).to_string(), told);
    }
    for (bad, says) in [
        ("", "as \"sat 02:00\""),
        ("sat", "as \"sat 02:00\""),
        ("02:00", "as \"sat 02:00\""),
        ("sat 2:00", "as \"sat 02:00\""),
        ("sat 02:00 03:00", "as \"sat 02:00\""),
        ("sat 24:00", "as \"sat 02:00\""),
        ("sat 02:60", "as \"sat 02:00\""),
        ("sat -1:00", "as \"sat 02:00\""),
        ("sat 0200!", "as \"sat 02:00\""),
        ("saturday 02:00", "one of mon, tue"),
        ("☃ 02:00", "`☃` is no day"),
    ] {
        let words = Entry::parse(bad).expect_err(bad);
        assert!(words.contains(&format!("`{bad}`")) && words.contains(says), "{bad}: {words}");
    }
}

#[test]
fn each_time_comes_once_as_the_clock_shows_it() {
    let berlin = zone("Europe/Berlin");
    let mut seen = Seen::default();
    let (from, to) = (at("2026-06-01T00:00:00Z"), at("2026-06-15T00:00:00Z"));
    let due = watch(&["sat 02:00", "daily 22:30"], &berlin, &mut seen, from, to, SECOND);
    assert_eq!(due.len(), 2 + 14);
    assert!(due.iter().all(|due| due.when == When::OnTime));
    let saturday = due.iter().find(|due| due.entry.to_string() == "sat 02:00").expect("a Saturday");
    assert_eq!(saturday.at, at("2026-06-06T00:00:00Z"), "Berlin's two o'clock in summer");
    let coming = next(&entries(&["sat 02:00", "daily 22:30"]), &berlin, from).expect("a next one");
    assert_eq!((coming.0.to_string().as_str(), coming.1), ("daily 22:30", at("2026-06-01T20:30:00Z")));
}

#[test]
fn a_skipped_time_comes_after_the_gap_and_a_doubled_one_once() {
    let berlin = zone("Europe/Berlin");
    // 2026-03-29: 02:00 becomes 03:00. 2026-10-25: 03:00 becomes 02:00.
    for (day, expected) in [(date(2026, 3, 29), "2026-03-29T01:30:00Z"), (date(2026, 10, 25), "2026-10-25T00:30:00Z")] {
        let from = berlin.to_timestamp(day.at(0, 0, 0, 0)).expect("midnight");
        let mut seen = Seen::default();
        let due = watch(&["daily 02:30"], &berlin, &mut seen, from, from + SignedDuration::from_hours(12), MINUTE);
        assert_eq!(due.iter().map(|due| due.at).collect::<Vec<_>>(), [at(expected)], "{day}");
    }
    // Samoa had no 30 December 2011: that day's time falls on the next day's.
    let apia = zone("Pacific/Apia");
    let mut seen = Seen::default();
    let (from, to) = (at("2011-12-29T11:00:00Z"), at("2012-01-01T11:00:00Z"));
    let due = watch(&["daily 02:30"], &apia, &mut seen, from, to, MINUTE);
    let distinct: BTreeSet<Timestamp> = due.iter().map(|due| due.at).collect();
    assert_eq!(distinct.len(), due.len(), "{due:?}");
}

#[test]
fn what_was_missed_is_made_up_for_once_and_not_after_hours() {
    let utc = TimeZone::UTC;
    let mut seen = Seen::default();
    let texts = ["daily 02:00", "daily 03:00"];
    watch(&texts, &utc, &mut seen, at("2026-05-01T00:00:00Z"), at("2026-05-01T04:00:00Z"), MINUTE);
    // The machine is off from the 1st until the 4th, 05:00.
    let due = watch(&texts, &utc, &mut seen, at("2026-05-04T05:00:00Z"), at("2026-05-04T12:00:00Z"), MINUTE);
    let [made_up] = due.as_slice() else { panic!("once: {due:?}") };
    assert_eq!((made_up.at, made_up.when), (at("2026-05-04T03:00:00Z"), When::MadeUp));
    // Off again until the 5th, 18:00: too late.
    let due = watch(&texts, &utc, &mut seen, at("2026-05-05T18:00:00Z"), at("2026-05-05T23:00:00Z"), MINUTE);
    assert_eq!(due.iter().map(|due| due.when).collect::<Vec<_>>(), [When::TooLate]);
}

#[test]
fn what_is_new_in_the_schedule_begins_now() {
    let (utc, mut seen) = (TimeZone::UTC, Seen::default());
    assert_eq!(look(&entries(&["daily 02:00"]), &utc, &mut seen, at("2026-05-01T03:00:00Z")), None, "a first start");
    assert_eq!(look(&entries(&["daily 02:30"]), &utc, &mut seen, at("2026-05-01T03:00:01Z")), None, "a new entry");
    assert_eq!(look(&[], &utc, &mut seen, at("2026-05-02T03:00:00Z")), None);
    assert_eq!(seen, Seen::default(), "what is no entry any more is forgotten");
}

#[test]
fn a_clock_that_was_far_ahead_does_not_stop_the_schedule() {
    let (utc, mut seen) = (TimeZone::UTC, Seen::default());
    watch(&["daily 02:00"], &utc, &mut seen, at("2036-01-01T00:00:00Z"), at("2036-01-02T00:00:00Z"), MINUTE);
    let due = watch(&["daily 02:00"], &utc, &mut seen, at("2026-05-01T00:00:00Z"), at("2026-05-03T00:00:00Z"), MINUTE);
    assert_eq!(due.len(), 2, "{due:?}");
}

#[test]
fn the_ends_of_time_are_no_panic() {
    let mut seen = Seen::default();
    for now in [Timestamp::MIN, Timestamp::MAX, Timestamp::UNIX_EPOCH, Timestamp::MIN] {
        look(&entries(&["sat 02:00", "daily 23:59"]), &zone("Pacific/Apia"), &mut seen, now);
        next(&entries(&["daily 00:00"]), &zone("America/New_York"), now);
    }
}

/// What happens to a clock that somebody looks at.
#[derive(Debug, Clone)]
enum Step {
    /// It goes on, looked at each minute.
    Run(i64),
    /// The machine is off for so many minutes.
    Off(i64),
    /// It is set back by so many minutes, less than a day.
    Back(i64),
    /// The program starts anew: what it knows was written down.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1_i64..2000).prop_map(Step::Run),
        (1_i64..20_000).prop_map(Step::Off),
        (1_i64..1300).prop_map(Step::Back),
        Just(Step::Restart),
    ]
}

proptest! {
    #[test]
    fn no_time_comes_twice_and_none_is_lost_that_was_watched(
        steps in prop::collection::vec(step(), 1..25),
        start in 0_i64..5_000_000,
        texts in prop::sample::subsequence(vec!["sat 02:00", "daily 02:30", "sun 02:30", "wed 23:59", "daily 00:00"], 1..5),
        zone_name in prop::sample::select(vec!["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"]),
    ) {
        let (zone, entries) = (zone(zone_name), entries(&texts));
        // From September on, over the ends of summer time in both halves of the world.
        let mut now = at("2026-09-01T00:00:00Z") + SignedDuration::from_secs(start);
        let mut seen = Seen::default();
        let mut handled: BTreeSet<Timestamp> = BTreeSet::new();
        look(&entries, &zone, &mut seen, now);
        let mut furthest = now;
        for step in steps {
            match step {
                Step::Run(minutes) => for _ in 0..minutes {
                    let before = now;
                    now += MINUTE;
                    let due = look(&entries, &zone, &mut seen, now);
                    // On ground that no clock has shown yet, each time comes as it comes.
                    let expected = entries.iter().filter_map(|entry| entry.last(&zone, now)).filter(|at| *at > before).max();
                    if before >= furthest {
                        prop_assert_eq!(due.map(|due| due.at), expected);
                        prop_assert!(due.is_none_or(|due| due.when == When::OnTime));
                    }
                    if let Some(due) = due {
                        prop_assert!(handled.insert(due.at), "{} twice", due.at);
                    }
                    furthest = furthest.max(now);
                },
                Step::Off(minutes) => {
                    now += SignedDuration::from_mins(minutes);
                    if let Some(due) = look(&entries, &zone, &mut seen, now) {
                        prop_assert!(handled.insert(due.at), "{} twice", due.at);
                        let late = now.duration_since(due.at) > SignedDuration::from_hours(MAKE_UP_H);
                        prop_assert_eq!(due.when == When::TooLate, late);
                    }
                    furthest = furthest.max(now);
                }
                // Never more than a day behind the furthest, or that clock would count as wrong.
                Step::Back(minutes) => now = (now - SignedDuration::from_mins(minutes)).max(furthest - SignedDuration::from_hours(23)),
                Step::Restart => {
                    let kept = serde_json::to_string(&seen).expect("JSON");
                    seen = serde_json::from_str(&kept).expect("the same");
                }
            }
        }
    }
}
