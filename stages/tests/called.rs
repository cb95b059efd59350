//! Parts that are called for from outside: every call that is taken is one part, and no picture gets a verdict that nobody asked for.

use std::collections::VecDeque;
use std::fs;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use stages::capture::called::{Call, Called, Caller, Missed, called};
use stages::capture::folder::{After, FolderConfig, Mode};
use stages::capture::synthetic::SyntheticConfig;
use stages::capture::{Event, Pace, Source, SourceConfig, SourceError, Trigger};
use stages::frame::{Content, Frame};
use stages::verdict::Cause;

const SOON: Duration = Duration::from_millis(20);
/// Long enough for any machine.
const PATIENT: Duration = Duration::from_secs(10);

fn call(caller: &Caller, id: u32) -> Result<(), Missed> {
    caller.call(Call { at: Instant::now(), id, serial: None })
}

/// The next part; none at the end.
fn next(source: &mut Called) -> Option<Trigger> {
    let until = Instant::now() + PATIENT;
    while Instant::now() < until {
        match source.next(SOON).expect("the source works") {
            Event::Trigger(trigger) => return Some(trigger),
            Event::End => return None,
            Event::Idle => {}
        }
    }
    panic!("nothing came for {PATIENT:?}");
}

/// What a fake camera does when it is asked.
enum Act {
    /// A picture that was taken then.
    Frame(Instant),
    Fail(&'static str),
}

/// A camera that delivers by itself what a test puts into it.
#[derive(Clone, Default)]
struct Fake {
    acts: Arc<Mutex<VecDeque<Act>>>,
    exposed: Arc<Mutex<u32>>,
}

impl Fake {
    fn put(&self, act: Act) {
        self.acts.lock().expect("nobody panics with it").push_back(act);
    }
}

impl Source for Fake {
    fn name(&self) -> &str {
        "fake"
    }

    fn pace(&self) -> Pace {
        Pace::Triggered
    }

    fn expose(&mut self) -> Result<(), SourceError> {
        *self.exposed.lock().expect("nobody panics with it") += 1;
        Ok(())
    }

    fn next(&mut self, wait: Duration) -> Result<Event, SourceError> {
        let until = Instant::now() + wait;
        loop {
            match self.acts.lock().expect("nobody panics with it").pop_front() {
                Some(Act::Frame(at)) => {
                    let frame = Ok(Frame::from_vec(Content::Encoded, vec![1], 0, None));
                    return Ok(Event::Trigger(Trigger { at, serial: None, frame, truth: None, call: None }));
                }
                Some(Act::Fail(why)) => return Err(SourceError(why.to_owned())),
                None if Instant::now() >= until => return Ok(Event::Idle),
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }
}

#[test]
fn a_folder_and_a_synthetic_line_answer_calls_and_nothing_else() {
    let dir = tempfile::tempdir().expect("a folder");
    for name in ["a.jpg", "b.jpg"] {
        fs::write(dir.path().join(name), b"bytes").expect("written");
    }
    let folder = |mode| FolderConfig {
        path: dir.path().to_owned(),
        mode,
        rate: None,
        after: After::Keep,
        settle_ms: 100,
        serial_from_name: true,
    };
    let synthetic = |rate| SyntheticConfig { size: 128, rate, ..SyntheticConfig::default() };
    for config in [
        SourceConfig::Folder(folder(Mode::Loop)),
        SourceConfig::Synthetic(synthetic(None)),
        SourceConfig::Synthetic(synthetic(Some(200.0))),
    ] {
        let (mut source, caller) = called(config.open().expect("opened"), PATIENT, 8);
        assert!(matches!(source.next(SOON), Ok(Event::Idle)), "nobody has called: {config:?}");
        for id in 10..15 {
            let at = Instant::now();
            let serial = (id == 12).then(|| "S-12".into());
            caller.call(Call { at, id, serial }).expect("taken");
            let part = next(&mut source).expect("a part");
            assert_eq!((part.call, part.at), (Some(id), at), "{config:?}");
            assert!(part.frame.is_ok() && part.serial.is_some(), "{config:?}");
            assert_eq!(part.serial.as_deref() == Some("S-12"), id == 12, "the caller knows best: {config:?}");
        }
        assert_eq!((caller.counts().taken, caller.counts().missed), (5, 0));
    }

    // Read once: the call after the last picture gets none, and then it is over.
    let (mut source, caller) = called(SourceConfig::Folder(folder(Mode::Once)).open().expect("opened"), SOON, 8);
    for id in 0..4 {
        call(&caller, id).expect("taken");
    }
    let parts: Vec<Trigger> = std::iter::from_fn(|| next(&mut source)).collect();
    assert_eq!(parts.iter().map(|part| part.call).collect::<Vec<_>>(), [Some(0), Some(1), Some(2), Some(3)]);
    assert_eq!(parts.iter().map(|part| part.frame.is_ok()).collect::<Vec<_>>(), [true, true, false, false]);
    assert_eq!(call(&caller, 5), Err(Missed::Closed));
}

#[test]
fn a_call_without_a_picture_is_a_part_without_one() {
    let fake = Fake::default();
    let (mut source, caller) = called(Box::new(fake.clone()), Duration::from_millis(50), 8);
    call(&caller, 7).expect("taken");
    let part = next(&mut source).expect("a part");
    assert_eq!(part.call, Some(7));
    let fault = part.frame.err().expect("no picture");
    assert_eq!(fault.cause, Cause::NoFrame);
    assert!(fault.detail.contains("within 50 ms"), "{}", fault.detail);
    assert_eq!(caller.counts().without_frame, 1);
    assert_eq!(*fake.exposed.lock().expect("held by nobody"), 1);
}

#[test]
fn a_picture_that_nobody_called_for_is_dropped_and_counted() {
    let fake = Fake::default();
    let (mut source, caller) = called(Box::new(fake.clone()), PATIENT, 8);
    // Before any call.
    for _ in 0..3 {
        fake.put(Act::Frame(Instant::now()));
    }
    assert!(matches!(source.next(SOON), Ok(Event::Idle)));
    assert_eq!(caller.counts().stale, 3);
    // Taken before the call, and delivered after it.
    let early = Instant::now();
    std::thread::sleep(Duration::from_millis(2));
    call(&caller, 1).expect("taken");
    std::thread::sleep(Duration::from_millis(2));
    let own = Instant::now();
    fake.put(Act::Frame(early));
    fake.put(Act::Frame(own));
    let part = next(&mut source).expect("a part");
    assert!(part.frame.is_ok() && part.call == Some(1));
    assert_eq!(caller.counts().stale, 4);
}

#[test]
fn a_late_picture_is_not_taken_for_the_next_calls() {
    let fake = Fake::default();
    let wait = Duration::from_millis(200);
    let (mut source, caller) = called(Box::new(fake.clone()), wait, 8);
    call(&caller, 1).expect("taken");
    assert!(next(&mut source).expect("a part").frame.is_err(), "nothing came");
    // The next call is there before the late picture, which a camera that stamps late would pass off as its own.
    call(&caller, 2).expect("taken");
    fake.put(Act::Frame(Instant::now() + PATIENT));
    let second = next(&mut source).expect("a part");
    assert!(second.frame.err().is_some_and(|fault| fault.detail.contains("call before")));
    std::thread::sleep(wait);
    assert!(matches!(source.next(SOON), Ok(Event::Idle)), "the late one is dropped");
    assert_eq!(caller.counts().stale, 1);
    call(&caller, 3).expect("taken");
    fake.put(Act::Frame(Instant::now() + PATIENT));
    assert!(next(&mut source).expect("a part").frame.is_ok(), "and then it goes on");
}

#[test]
fn calls_that_cannot_wait_are_missed_and_counted() {
    let fake = Fake::default();
    let (source, caller) = called(Box::new(fake), SOON, 2);
    assert_eq!([call(&caller, 1), call(&caller, 2), call(&caller, 3)], [Ok(()), Ok(()), Err(Missed::Full)]);
    drop(source);
    assert_eq!(call(&caller, 4), Err(Missed::Closed));
    assert_eq!((caller.counts().taken, caller.counts().missed), (2, 2));
}

#[test]
fn a_camera_that_is_away_is_told_and_calls_are_still_answered() {
    let fake = Fake::default();
    let (mut source, caller) = called(Box::new(fake.clone()), PATIENT, 8);
    fake.put(Act::Fail("link down"));
    call(&caller, 1).expect("taken");
    let fault = next(&mut source).expect("a part").frame.err().expect("no picture");
    assert_eq!((fault.cause, fault.detail.as_str()), (Cause::NoFrame, "camera `fake`: link down"));
    // While nobody calls the trouble is told, until the camera answers again.
    for _ in 0..50 {
        fake.put(Act::Fail("link down"));
    }
    assert!(source.next(SOON).err().is_some_and(|error| error.0 == "link down"));
    fake.acts.lock().expect("held by nobody").clear();
    assert!(matches!(source.next(SOON), Ok(Event::Idle)));
}
