//! The outbox against a real receiver, a forgetful disk and kills, on a simulated clock.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;
use crate::store::JournalFile;

fn at(second: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_800_000_000 + second)
}

fn message(to: &str, n: u64, second: i64) -> Message {
    Message {
        id: message_id(&["test", to, &n.to_string()]),
        to: to.into(),
        kind: Kind::Alert,
        queued_at: at(second),
        subject: format!("message {n}"),
        body: format!("{{\"n\":{n}}}").into(),
        last_part: None,
    }
}

/// A disk of which a kill (or a power cut) leaves only what was synced, and perhaps a part of the rest.
#[derive(Debug, Clone, Default)]
struct Forgetful {
    synced: Arc<AtomicU64>,
    /// Fails the next sync.
    fails: Arc<AtomicBool>,
}

struct ForgetfulFile {
    file: fs::File,
    written: AtomicU64,
    disk: Forgetful,
}

impl Forgetful {
    fn wrap(&self, file: fs::File) -> io::Result<Arc<dyn JournalFile>> {
        let length = file.metadata()?.len();
        self.synced.store(length, Ordering::Relaxed);
        Ok(Arc::new(ForgetfulFile { file, written: AtomicU64::new(length), disk: self.clone() }))
    }

    /// What a kill leaves: everything synced, and a share of the rest.
    fn kill(&self, path: &Path, share: f64) {
        let file = fs::OpenOptions::new().write(true).open(path).unwrap();
        let (synced, length) = (self.synced.load(Ordering::Relaxed), file.metadata().unwrap().len());
        let lost = length.saturating_sub(synced) as f64 * share;
        file.set_len(length - lost as u64).unwrap();
    }
}

impl Disk for Forgetful {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn JournalFile>> {
        self.wrap(fs::OpenOptions::new().read(true).write(true).create_new(true).open(path)?)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn JournalFile>> {
        self.wrap(fs::OpenOptions::new().read(true).write(true).open(path)?)
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl JournalFile for ForgetfulFile {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(&self.file, bytes, offset)?;
        self.written.store(offset + bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        if self.disk.fails.swap(false, Ordering::Relaxed) {
            return Err(io::Error::other("the disk does not answer"));
        }
        self.disk.synced.store(self.written.load(Ordering::Relaxed), Ordering::Relaxed);
        Ok(())
    }
}

/// Deterministic draws.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as f64 / f64::from(1_u32 << 31)
    }
}

/// How a receiver is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Up,
    /// Answers 503.
    Busy,
    /// Hangs up without a word.
    Silent,
    /// Takes the message, and hangs up before it says so.
    Forgetting,
}

/// What a receiver was sent, by id: body and how often. It has verified every signature.
#[derive(Default)]
struct Got {
    messages: BTreeMap<String, (String, usize)>,
    /// Taken, though the sender was not told.
    untold: usize,
}

struct Receiver {
    url: String,
    allow: String,
    mood: Arc<Mutex<Mood>>,
    got: Arc<Mutex<Got>>,
    /// The sender's present second.
    now: Arc<AtomicU64>,
}

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

impl Receiver {
    fn start() -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let receiver = Receiver {
            url: format!("http://{address}/hook"),
            allow: address.to_string(),
            mood: Arc::new(Mutex::new(Mood::Up)),
            got: Arc::default(),
            now: Arc::default(),
        };
        let (mood, got, now) = (receiver.mood.clone(), receiver.got.clone(), receiver.now.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut reader = BufReader::new(stream.unwrap());
                let mood = *mood.lock().unwrap();
                if mood == Mood::Silent {
                    continue;
                }
                let (id, body) = verified(&mut reader, now.load(Ordering::Relaxed) as i64);
                let status = if mood == Mood::Busy { "503 Busy" } else { "200 OK" };
                if mood != Mood::Busy {
                    let mut got = got.lock().unwrap();
                    let entry = got.messages.entry(id).or_insert((body.clone(), 0));
                    assert_eq!(entry.0, body, "the same id with another body");
                    entry.1 += 1;
                    if mood == Mood::Forgetting {
                        got.untold += 1;
                        continue;
                    }
                }
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                reader.get_mut().write_all(answer.as_bytes()).unwrap();
            }
        });
        receiver
    }

    fn sender(&self) -> Sender {
        let destination =
            Destination { url: Some(self.url.clone()), secrets: vec![SECRET.into()], ..Destination::default() };
        let allowed = AllowList::new(std::slice::from_ref(&self.allow));
        assert_eq!(destination.problems(&allowed), []);
        destination.sender(&allowed).unwrap()
    }
}

/// Reads a request and verifies its signature as a receiver does: by the headers and the bytes that came.
fn verified(reader: &mut impl BufRead, now: i64) -> (String, String) {
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        match line.trim_end().split_once(": ") {
            Some((name, value)) => drop(headers.insert(name.to_ascii_lowercase(), value.to_owned())),
            None if line.trim().is_empty() => break,
            None => {}
        }
    }
    let mut body = vec![0; headers["content-length"].parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    let (id, timestamp) = (headers["webhook-id"].clone(), headers["webhook-timestamp"].parse::<i64>().unwrap());
    assert_eq!(timestamp, now, "the attempt's time, not the message's");
    let expected = signature(&[Secret::parse(SECRET).unwrap()], &id, timestamp, &body);
    assert_eq!(headers["webhook-signature"], expected, "the signature of {id}");
    (id, String::from_utf8(body).unwrap())
}

#[test]
fn a_day_without_receiver_and_many_kills_lose_nothing_and_repeat_ids() {
    const HOUR: i64 = 3600;
    let receiver = Receiver::start();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("outbox/outbox.log");
    let disk = Forgetful::default();
    let mut draw = Draw(11);
    let mut outbox = Some(Outbox::open_on(dir.path(), Arc::new(disk.clone())).unwrap());
    let sender = receiver.sender();
    let (mut pushed, mut kills, mut attempts) = (Vec::new(), 0, 0);
    let mut second = 0;
    while second < 27 * HOUR {
        second += 1 + (240.0 * draw.next()) as i64;
        receiver.now.store(at(second).as_second() as u64, Ordering::Relaxed);
        *receiver.mood.lock().unwrap() = match (second, draw.next()) {
            (HOUR..=90_000, share) if share < 0.5 => Mood::Busy,
            (HOUR..=90_000, _) => Mood::Silent,
            (_, share) if share < 0.3 => Mood::Forgetting,
            _ => Mood::Up,
        };
        let open = outbox.as_ref().unwrap();
        let message = message("mes", pushed.len() as u64, second);
        open.push(vec![message.clone()]).unwrap();
        pushed.push(message.id.to_string());
        // A few attempts, and sometimes the process dies in the middle of them.
        for _ in 0..20 {
            if deliver_next(open, "mes", &sender, at(second)).is_none() {
                break;
            }
            attempts += 1;
        }
        if draw.next() < 0.1 {
            drop(outbox.take());
            disk.kill(&path, draw.next());
            outbox = Some(Outbox::open_on(dir.path(), Arc::new(disk.clone())).unwrap());
            kills += 1;
        }
    }
    // The rest, undisturbed.
    *receiver.mood.lock().unwrap() = Mood::Up;
    let open = outbox.unwrap();
    for _ in 0..3 {
        second += 2 * HOUR;
        receiver.now.store(at(second).as_second() as u64, Ordering::Relaxed);
        while deliver_next(&open, "mes", &sender, at(second)).is_some() {
            attempts += 1;
        }
    }
    let got = receiver.got.lock().unwrap();
    let missing: Vec<&String> = pushed.iter().filter(|id| !got.messages.contains_key(*id)).collect();
    assert!(missing.is_empty(), "{} of {} never arrived", missing.len(), pushed.len());
    assert_eq!(got.messages.len(), pushed.len(), "nothing else arrived");
    assert!(kills > 30 && got.untold > 10, "{kills} kills, {} untold: nothing was tested", got.untold);
    let repeated = got.messages.values().filter(|(_, times)| *times > 1).count();
    assert!(repeated >= got.untold.min(10), "what the sender was not told of came again under its id: {repeated}");
    assert_eq!((open.contents().waiting.len(), open.dead_letters()), (0, 0));
    // A day is 86,400 s: without back-off there would be an attempt every two minutes for every message.
    assert!(attempts < 3 * pushed.len(), "{attempts} attempts for {} messages", pushed.len());
    println!("{} messages, {kills} kills, {attempts} attempts, {repeated} ids repeated", pushed.len());
}

fn opened() -> (tempfile::TempDir, Outbox) {
    let dir = tempfile::tempdir().unwrap();
    let outbox = Outbox::open(dir.path()).unwrap();
    (dir, outbox)
}

fn due(outbox: &Outbox, to: &str, second: i64) -> Option<String> {
    outbox.due(to, at(second)).map(|message| message.subject)
}

fn away() -> Outcome {
    Outcome::Away("nobody answers".into(), None)
}

#[test]
fn one_that_is_refused_waits_and_the_others_go_on() {
    let (_dir, outbox) = opened();
    outbox.push((0..3).map(|n| message("mes", n, 0)).collect()).unwrap();
    outbox.push(vec![message("chat", 9, 0)]).unwrap();
    let first = outbox.due("mes", at(0)).unwrap();
    outbox.note(&first.id, &Outcome::Refused("422".into()), at(0));
    assert_eq!(due(&outbox, "mes", 0).as_deref(), Some("message 1"));
    let second = outbox.due("mes", at(0)).unwrap();
    outbox.note(&second.id, &away(), at(0));
    assert_eq!(due(&outbox, "mes", 3), None, "all of them wait");
    assert_eq!(due(&outbox, "chat", 3).as_deref(), Some("message 9"), "but nobody else's");
    assert_eq!(due(&outbox, "mes", 7).as_deref(), Some("message 0"), "in their order");
}

#[test]
fn a_message_is_given_up_after_three_days_and_can_be_sent_again() {
    let (dir, outbox) = opened();
    outbox.push(vec![message("mes", 1, 0)]).unwrap();
    let id = outbox.due("mes", at(0)).unwrap().id;
    let (mut second, mut attempts) = (0, 0);
    while let Some(message) = outbox.due("mes", at(second)) {
        outbox.note(&message.id, &away(), at(second));
        attempts += 1;
        // To the moment when it is due again.
        second += (1..7200).find(|later| outbox.due("mes", at(second + later)).is_some()).unwrap_or(7200);
    }
    assert!((3 * 86_400..3 * 86_400 + 12_000).contains(&second), "given up after {second} s");
    assert!((70..100).contains(&attempts), "{attempts} attempts");
    let dead = outbox.contents().dead.remove(0);
    assert!(dead.reason.contains("nobody answers") && dead.reason.contains("three days"), "{}", dead.reason);
    drop(outbox);
    let outbox = Outbox::open(dir.path()).unwrap();
    assert!(matches!(outbox.replay("msg_other", at(second)), Err(OutboxError::Unknown(_))));
    outbox.replay(&id, at(second)).unwrap();
    let again = outbox.due("mes", at(second)).unwrap();
    assert_eq!((again.id.clone(), again.queued_at), (id, at(second)), "the same id, three more days");
    outbox.note(&again.id, &Outcome::Delivered, at(second));
    assert_eq!(outbox.dead_letters(), 0);
}

#[test]
fn who_is_gone_is_disabled_until_somebody_enables_it() {
    let (dir, outbox) = opened();
    outbox.push((0..2).map(|n| message("mes", n, 0)).collect()).unwrap();
    let first = outbox.due("mes", at(0)).unwrap();
    outbox.note(&first.id, &Outcome::Gone("410".into()), at(0));
    outbox.push(vec![message("mes", 7, 1)]).unwrap();
    drop(outbox);
    let outbox = Outbox::open(dir.path()).unwrap();
    assert_eq!((due(&outbox, "mes", 9), outbox.dead_letters()), (None, 2));
    assert_eq!(outbox.replay_all(Some("other"), at(9)).unwrap(), 0);
    assert_eq!(outbox.replay_all(Some("mes"), at(9)).unwrap(), 2);
    assert_eq!(due(&outbox, "mes", 9).as_deref(), Some("message 7"));
    assert_eq!(outbox.contents().waiting.len(), 3);
}

#[test]
fn what_waits_for_a_destination_that_was_taken_out_is_put_aside() {
    let (_dir, outbox) = opened();
    outbox.push(vec![message("mes", 0, 0), message("chat", 1, 0)]).unwrap();
    outbox.retire(|to| to == "chat", at(5)).unwrap();
    let contents = outbox.contents();
    assert_eq!((contents.waiting.len(), contents.dead.len()), (1, 1));
    assert!(contents.dead[0].reason.contains("no longer configured"));
}

#[test]
fn a_message_offered_twice_is_sent_once() {
    let (dir, outbox) = opened();
    outbox.push(vec![message("mes", 1, 0)]).unwrap();
    outbox.push(vec![message("mes", 1, 5)]).unwrap();
    let id = outbox.due("mes", at(5)).unwrap().id;
    outbox.note(&id, &Outcome::Delivered, at(5));
    drop(outbox);
    let outbox = Outbox::open(dir.path()).unwrap();
    outbox.push(vec![message("mes", 1, 9)]).unwrap();
    assert_eq!(due(&outbox, "mes", 9), None);
}

#[test]
fn a_damaged_line_costs_itself_only() {
    let (dir, outbox) = opened();
    (0..3).for_each(|n| outbox.push(vec![message("mes", n, 0)]).unwrap());
    drop(outbox);
    let path = dir.path().join("outbox/outbox.log");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    bytes.extend_from_slice(b"0badc0de {\"entry\":\"queued\",\"to");
    fs::write(&path, &bytes).unwrap();
    let outbox = Outbox::open(dir.path()).unwrap();
    let left: Vec<String> = outbox.contents().waiting.into_iter().map(|it| it.message.subject).collect();
    assert_eq!(left, ["message 0", "message 2"]);
    outbox.push(vec![message("mes", 3, 0)]).unwrap();
    drop(outbox);
    assert_eq!(Contents::read(dir.path()).unwrap().waiting.len(), 3, "the torn end swallows nothing");
}

#[test]
fn after_an_error_of_the_disk_nothing_that_was_taken_over_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Forgetful::default();
    let outbox = Outbox::open_on(dir.path(), Arc::new(disk.clone())).unwrap();
    outbox.push(vec![message("mes", 0, 0)]).unwrap();
    disk.fails.store(true, Ordering::Relaxed);
    assert!(outbox.push(vec![message("mes", 1, 0)]).is_err());
    assert_eq!(outbox.contents().waiting.len(), 1, "what was not taken over is not sent");
    outbox.push(vec![message("mes", 2, 0)]).unwrap();
    drop(outbox);
    disk.kill(&dir.path().join("outbox/outbox.log"), 1.0);
    let left = Contents::read(dir.path()).unwrap().waiting;
    assert_eq!(left.iter().map(|it| it.message.subject.as_str()).collect::<Vec<_>>(), ["message 0", "message 2"]);
}

#[test]
fn one_process_at_a_time_delivers() {
    let (dir, outbox) = opened();
    assert!(matches!(Outbox::open(dir.path()), Err(OutboxError::Log(LogError::Locked(_)))));
    assert!(Contents::read(dir.path()).is_ok(), "but everybody may look");
    drop(outbox);
    Outbox::open(dir.path()).unwrap();
}

/// Something that happens to an outbox.
#[derive(Debug, Clone)]
enum Step {
    Push(u8),
    Attempt(u8),
    ReplayAll,
    Kill(f64),
    Wait(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0_u8..2).prop_map(Step::Push),
        5 => (0_u8..8).prop_map(Step::Attempt),
        1 => Just(Step::ReplayAll),
        1 => (0.0_f64..1.0).prop_map(Step::Kill),
        2 => (0_u32..200_000).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_happens_each_message_waits_is_delivered_or_is_a_dead_letter(steps in proptest::collection::vec(step(), 1..60)) {
        let dir = tempfile::tempdir().unwrap();
        let path: PathBuf = dir.path().join("outbox/outbox.log");
        let disk = Forgetful::default();
        let open = || Outbox::open_on(dir.path(), Arc::new(disk.clone())).unwrap();
        let mut outbox = Some(open());
        let (mut taken, mut delivered, mut second) = (Vec::new(), Vec::new(), 0);
        for step in steps {
            let now = outbox.as_ref().unwrap();
            match step {
                Step::Push(to) => {
                    let message = message(["mes", "chat"][usize::from(to)], taken.len() as u64, second);
                    now.push(vec![message.clone()]).unwrap();
                    taken.push(message.id);
                }
                Step::Attempt(draw) => {
                    let to = ["mes", "chat"][usize::from(draw % 2)];
                    let Some(message) = now.due(to, at(second)) else { continue };
                    let outcome = match draw / 2 {
                        0 => Outcome::Delivered,
                        1 => Outcome::Refused("no".into()),
                        2 => away(),
                        _ => Outcome::Gone("gone".into()),
                    };
                    if outcome == Outcome::Delivered {
                        delivered.push(message.id.clone());
                    }
                    now.note(&message.id, &outcome, at(second));
                }
                Step::ReplayAll => drop(now.replay_all(None, at(second)).unwrap()),
                Step::Kill(share) => {
                    drop(outbox.take());
                    disk.kill(&path, share);
                    outbox = Some(open());
                }
                Step::Wait(seconds) => second += i64::from(seconds),
            }
            let contents = outbox.as_ref().unwrap().contents();
            for id in &taken {
                let waits = contents.waiting.iter().filter(|it| it.message.id == *id).count();
                let dead = contents.dead.iter().filter(|it| it.message.id == *id).count();
                prop_assert!(waits + dead <= 1, "{} is there twice", id);
                prop_assert!(waits + dead == 1 || delivered.contains(id), "{} is lost", id);
            }
            let counted: usize = contents.standings.iter().map(|(_, standing)| standing.waiting).sum();
            prop_assert_eq!(counted, contents.waiting.len());
        }
    }
}
