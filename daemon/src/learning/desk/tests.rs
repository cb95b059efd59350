//! What was answered is there again after any end of the process.

use proptest::prelude::*;
use stages::sample::{Reason, Why};
use stages::verdict::Verdict;

use super::*;

fn item(id: u64) -> Item {
    Item {
        id,
        at: Timestamp::from_second(60 * id as i64).expect("a time"),
        serial: None,
        verdict: Verdict::Pass,
        label: None,
        reasons: vec![Reason { why: Why::LowMargin, value: 0.3 + (id % 7) as f32 / 10.0, detail: String::new() }],
        sketch: None,
        model: "m".into(),
    }
}

fn answer(desk: &Desk, id: u64, label: &str, by: &str) -> Result<(), LogError> {
    let mut state = desk.lock();
    let way = if state.queue.get(id).is_some() { Way::Queue } else { Way::Override };
    let answer = Answer::Label { label: label.into(), means: None };
    let number = state.labels.next_number();
    let answered = Answered { number, id, answer, by: by.into(), at: Timestamp::UNIX_EPOCH, way };
    state.keep(Event::Answered { answered, item: Box::new(item(id)) })
}

/// What can be told from outside.
fn picture(desk: &Desk) -> (Vec<u64>, Vec<(u64, String)>, usize) {
    let state = desk.lock();
    let waiting = state.queue.items().map(|item| item.id).collect();
    let labels = state.labels.all().map(|(id, labelled)| (id, labelled.label.to_string())).collect();
    let taken = state.queue.taken_in_hour(Timestamp::UNIX_EPOCH);
    (waiting, labels, taken)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]
    #[test]
    fn what_was_kept_is_there_again_and_so_it_is_after_the_log_was_written_anew(
        steps in prop::collection::vec((0_u8..4, 1_u64..40), 1..60), anew: bool,
    ) {
        let dir = tempfile::tempdir().expect("a folder");
        let desk = Desk::open(dir.path(), 0.0).expect("a desk");
        let budget = Budget { per_hour: 6, waiting: 9 };
        for (step, id) in steps {
            match step {
                0 | 1 => desk.lock().offer(item(id), &budget).expect("kept"),
                2 => answer(&desk, id, "scratch", "anna").expect("kept"),
                _ => drop(desk.undo(&"anna".into(), None)),
            }
        }
        let before = picture(&desk);
        if anew {
            let mut state = desk.lock();
            let events = snapshot(&state.queue, &state.labels);
            let mut other = State { revision: 0, log: Log::open(&dir.path().join("other"), "labels.log", Arc::new(RealDisk)).expect("a log").log, queue: Queue::default(), labels: Labels::new(0.0), seen: 0 };
            for event in events {
                other.keep(event).expect("kept");
            }
            drop(std::mem::replace(&mut *state, other));
            drop(state);
            prop_assert_eq!(&picture(&desk).0, &before.0);
            prop_assert_eq!(&picture(&desk).1, &before.1);
        } else {
            drop(desk);
            let again = Desk::open(dir.path(), 0.0).expect("a desk");
            prop_assert_eq!(picture(&again), before);
        }
    }

    #[test]
    fn a_log_that_ends_anywhere_loses_only_what_was_not_acknowledged(cut in 0.0_f64..1.0) {
        let dir = tempfile::tempdir().expect("a folder");
        let desk = Desk::open(dir.path(), 0.0).expect("a desk");
        let path = dir.path().join("labels.log");
        let mut ends = Vec::new();
        for id in 1..=8 {
            answer(&desk, id, "scratch", "anna").expect("kept");
            ends.push(std::fs::metadata(&path).expect("a file").len());
        }
        drop(desk);
        let bytes = std::fs::read(&path).expect("a file");
        let left = (cut * bytes.len() as f64) as usize;
        std::fs::write(&path, &bytes[..left]).expect("written");
        let whole = ends.iter().filter(|&&end| end <= left as u64 + 1).count();
        let desk = Desk::open(dir.path(), 0.0).expect("a desk");
        prop_assert_eq!(desk.lock().labels.all().count(), whole);
        answer(&desk, 99, "burr", "anna").expect("goes on");
        drop(desk);
        prop_assert_eq!(Desk::open(dir.path(), 0.0).expect("a desk").lock().labels.all().count(), whole + 1);
    }
}

#[test]
fn a_name_must_be_one() {
    for name in ["", "  ", "a\nb", "a/b", "a,b", &"x".repeat(65)] {
        let refused = checked(Answer::Label { label: name.into(), means: None });
        assert!(matches!(refused, Err(DeskError::Name(_))), "{name:?}");
    }
    let taken = checked(Answer::Label { label: " Lötstelle kalt ".into(), means: None }).expect("a name");
    assert_eq!(taken.label().map(|label| &**label), Some("Lötstelle kalt"));
}
