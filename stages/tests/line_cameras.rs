//! GenICam cameras under a real line: Aravis' fake inside the process, its fake GigE Vision camera as a process of its own, and a double
//! for what neither can be made to do. Times of detection and recovery are printed; they are asserted against generous limits only.
#![allow(clippy::print_stdout)] // times are what this is read for

mod line_support;

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use line_support::*;
use stages::capture::genicam::aravis::{Bench, State, discover};
use stages::capture::genicam::driver::{Connection, Control, Convert, Driver, Facts, Pictures, Raw};
use stages::capture::genicam::feature::assignment;
use stages::capture::genicam::{Genicam, GenicamConfig, RawImage};
use stages::capture::statistics::{Packets, SourceStatistics};
use stages::capture::{Event, Source, SourceConfig, SourceError};
use stages::line::LineStatus;
use stages::verdict::{Cause, Verdict};

/// Beyond this a fault was not noticed, or not healed, in any sense.
const NOTICED: Duration = Duration::from_secs(8);
const HEALED: Duration = Duration::from_secs(20);

fn config(text: &str) -> GenicamConfig {
    toml::from_str(text).expect("a sound configuration")
}

fn fake(more: &str) -> GenicamConfig {
    config(&format!("interface = 'fake'\n{more}"))
}

fn line_of(source: Genicam) -> Rig {
    Setup::default().start(Box::new(source), vec![decider(|_| Verdict::Pass)])
}

fn counted(rig: &Rig) -> (LineStatus, SourceStatistics) {
    let status = rig.line.status();
    assert!(status.counts.obey_the_law(), "{:?}", status.counts);
    let source = status.source.clone().expect("a camera counts");
    (status, source)
}

/// Waits for something, and says how long it took.
fn timed(what: &str, limit: Duration, done: impl Fn() -> bool) -> Duration {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < limit, "in vain, {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
    let took = began.elapsed();
    println!("{what}: {} ms", took.as_millis());
    took
}

fn numbers(memory: &Memory) -> Vec<u64> {
    let number = |name: &str| name.rsplit_once('#').and_then(|(_, number)| number.parse().ok());
    memory.recorded().iter().filter_map(|inspection| number(inspection.origin.as_deref()?)).collect()
}

/// What a part was refused for.
fn details(memory: &Memory, cause: Cause) -> Vec<String> {
    let of = |inspection: stages::inspection::Inspection| {
        (inspection.verdict == Verdict::NoDecision(cause)).then_some(inspection.detail).flatten()
    };
    memory.recorded().into_iter().filter_map(of).collect()
}

mod inside_the_process {
    use super::*;

    #[test]
    fn three_hundred_software_triggers_are_three_hundred_pictures_in_order() {
        let config = fake(
            "region = { width = 1920, height = 1200 }\nbuffers = 16\ntrigger = { mode = 'software' }\npicture_timeout_ms = 5000",
        );
        let mut camera = Genicam::open(config).expect("the fake is always there");
        let mut asked = 0;
        let began = Instant::now();
        // The fake takes pictures at 25 a second, asked or not: those that nobody asked for must not become parts.
        let source = source(stages::capture::Pace::Triggered, move |wait| {
            if asked == 300 {
                return Ok(Event::End);
            }
            camera.expose()?;
            let until = Instant::now() + Duration::from_secs(6);
            while Instant::now() < until {
                if let Event::Trigger(trigger) = camera.next(wait)? {
                    asked += 1;
                    return Ok(Event::Trigger(trigger));
                }
            }
            Err(SourceError("no picture".into()))
        });
        let rig = Setup::default().start(source, vec![decider(|_| Verdict::Pass)]);
        assert!(rig.line.wait(Duration::from_secs(60)));
        println!("300 software triggers at 1920x1200: {:.1} s", began.elapsed().as_secs_f64());
        let counts = rig.line.counts();
        assert_eq!((counts.triggered, counts.pass, counts.in_flight), (300, 300, 0));
        let numbers = numbers(&rig.memory);
        // The fake counts in 16 bits, and goes past their end in between.
        let mut steps = numbers.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]) as i64);
        assert_eq!(numbers.len(), 300);
        assert!(steps.all(|step| !(-60_000..=0).contains(&step)), "{numbers:?}");
    }

    #[test]
    fn pictures_come_by_themselves_and_every_number_is_a_part() {
        for trigger in ["trigger = { mode = 'free', rate = 60.0 }", "trigger = { mode = 'hardware', line = 'Line0' }"] {
            let camera = Genicam::open(fake(&format!("region = {{ width = 1920, height = 1200 }}\n{trigger}")))
                .expect("the fake");
            let rig = line_of(camera);
            until("40 parts", || rig.line.counts().triggered >= 40);
            let (status, source) = counted(&rig);
            println!("{trigger}: {source:?}");
            assert_eq!((source.incomplete, source.repeated, source.frozen, source.lost), (0, 0, 0, 0));
            assert!(source.connected && source.device.expect("known").contains("Aravis Fake"));
            assert_eq!(status.source_trouble, None);
            let missing = rig.line.status().source.expect("counted").missing;
            let counts = rig.line.drain();
            assert!(counts.obey_the_law() && counts.in_flight == 0);
            // On a loaded machine the ring may overflow; then each number that is left out is a part without a decision.
            assert!(counts.no_decision >= missing && counts.pass >= 30, "{counts:?}, {missing} missing");
        }
    }

    #[test]
    fn settings_are_read_back_and_what_the_camera_cannot_do_is_refused_in_words() {
        let set = "exposure_us = 2500.0\ngain = 3.0\nregion = { x = 8, width = 640, height = 480 }\npixel_format = 'Mono8'\n[features]\nTestRegister = 7";
        let mut camera = Genicam::open(fake(set)).expect("it takes that");
        let trigger = loop {
            if let Event::Trigger(trigger) = camera.next(Duration::from_secs(1)).expect("a picture") {
                break trigger;
            }
        };
        let frame = trigger.frame.expect("whole");
        assert_eq!(frame.bytes().len(), 640 * 480);
        assert!(trigger.at <= Instant::now());
        drop(camera);
        let colour = Genicam::open(fake("pixel_format = 'BayerRG8'\nregion = { width = 64, height = 64 }"));
        let mut camera = colour.expect("it has mosaics");
        let frame = loop {
            if let Event::Trigger(trigger) = camera.next(Duration::from_secs(1)).expect("a picture") {
                break trigger.frame.expect("whole");
            }
        };
        assert_eq!(frame.bytes().len(), 3 * 64 * 64);

        for (text, words) in [
            ("exposure_us = 1e9", "give 10 to 10000000"),
            ("gain = 99.0", "give 0 to 10"),
            ("pixel_format = 'YUV422'", "choose one of"),
            ("region = { width = 4000, height = 100 }", "2048 x 2048"),
            ("trigger = { mode = 'hardware', line = 'Line9' }", "choose one of Line0, Software"),
            ("[features]\nBogus = 1", "no feature `Bogus`"),
            ("[features]\nBinning = 1", "did you mean `BinningHorizontal`"),
            ("[features]\nWidth = 100000", "from 1 to 2048"),
            ("[features]\nWidth = 'wide'", "a whole number"),
            ("[features]\nPixelFormat = 'Mono9'", "one of BayerBG8"),
            ("[features]\nSensorWidth = 5", "read only"),
            ("[features]\n'Width[TestRegister=xyz]' = 5", "TestRegister"),
        ] {
            let error = Genicam::open(fake(text)).err().unwrap_or_else(|| panic!("{text} was taken")).0;
            assert!(error.contains(words), "{text}: {error}");
        }
        let bench = Bench::open(&fake("")).expect("the fake");
        let features = bench.features();
        let width = features.iter().find(|feature| feature.name == "Width").expect("every camera has it");
        assert_eq!((width.group.as_str(), width.range), ("ImageFormatControl", Some((1.0, 2048.0))));
        let (name, value) = assignment("ExposureTimeAbs=1234").expect("sound");
        assert_eq!(bench.set(&name, &value).expect("taken"), "1234");
    }
}

/// The fake has one port, so one of them runs at a time: here for `cargo test`, by a group for nextest, where each test is a process.
static ONE_PORT: Mutex<()> = Mutex::new(());

/// Aravis' fake GigE Vision camera.
struct GigeFake {
    child: Child,
}

impl GigeFake {
    /// None, and why, where it cannot be started.
    fn start(serial: &str) -> Result<GigeFake, String> {
        GigeFake::with(serial, &[])
    }

    fn with(serial: &str, more: &[&str]) -> Result<GigeFake, String> {
        let mut command = Command::new("arv-fake-gv-camera-0.8");
        command
            .args(["-i", "127.0.0.1", "-s", serial])
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .map_err(|error| format!("arv-fake-gv-camera-0.8 does not start: {error} (package aravis-tools)"))?;
        std::thread::sleep(Duration::from_millis(300));
        if child.try_wait().is_ok_and(|ended| ended.is_some()) {
            let mut said = String::new();
            let _ = child.stdout.take().map(|mut out| out.read_to_string(&mut said));
            return Err(format!("arv-fake-gv-camera-0.8 ends at once: {said}"));
        }
        Ok(GigeFake { child })
    }
}

impl Drop for GigeFake {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_gige_camera_is_lost_noticed_and_found_again() {
    let _alone = ONE_PORT.lock();
    let serial = format!("T{}", std::process::id());
    let fake = match GigeFake::start(&serial) {
        Ok(fake) => fake,
        Err(why) => return println!("SKIPPED: {why}"),
    };
    if !discover(false).iter().any(|camera| camera.serial == serial && camera.state == State::Free) {
        return println!(
            "SKIPPED: the fake GigE camera does not answer on the loopback (another one may have the port)"
        );
    }
    let text = format!(
        "serial = '{serial}'\nregion = {{ width = 256, height = 128 }}\ntrigger = {{ mode = 'free', rate = 20.0 }}\n[features]\nTestRegister = 7"
    );
    let source = SourceConfig::Genicam(Box::new(config(&text))).open().expect("it is there");
    let rig = Setup::default().start(source, vec![decider(|_| Verdict::Pass)]);
    let parts = |rig: &Rig| rig.line.counts().triggered;
    until("20 parts", || parts(&rig) >= 20);
    let held = discover(false).into_iter().find(|camera| camera.serial == serial).expect("still there");
    assert_eq!(held.state, State::HeldHere);

    drop(fake);
    timed("GigE: link loss noticed after", NOTICED, || rig.line.status().source_trouble.is_some());
    let (status, source) = counted(&rig);
    println!("GigE: told: {}", status.source_trouble.expect("told"));
    assert!(!source.connected && source.lost == 1, "{source:?}");
    let before = parts(&rig);
    // It comes back with a bad cable: of a thousand packets twenty are lost, and the fake sends none again.
    let fake = GigeFake::with(&serial, &["-r", "20"]).expect("it starts again");
    timed("GigE: first picture after the camera's return after", HEALED, || parts(&rig) > before);
    until("20 parts more", || parts(&rig) >= before + 20);
    until("a picture with holes", || counted(&rig).1.incomplete > 0);
    let (status, source) = counted(&rig);
    assert_eq!((status.source_trouble, source.connections), (None, 2));
    println!("GigE: {source:?}");
    let counts = rig.line.drain();
    println!("GigE: {counts:?}");
    assert!(counts.obey_the_law() && counts.in_flight == 0);
    // Each picture with holes, and each that is missing, is a part without a decision. Where the packet with the number was lost, none
    // beside it is missed: the fake begins near the end of 16 bits, so that would be a hundred.
    let answered = source.incomplete + source.missing;
    assert!(counts.no_decision >= answered && source.missing < 50, "{counts:?} {source:?}");
    println!("GigE: of {answered} or more lost pictures each is one part without a decision: {}", counts.no_decision);
    drop(fake);
}

#[test]
fn a_hostile_description_is_refused_or_read_as_far_as_it_goes() {
    let _alone = ONE_PORT.lock();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("camera.xml");
    let head = "<?xml version=\"1.0\"?><RegisterDescription ModelName=\"x\" VendorName=\"y\" SchemaMajorVersion=\"1\" SchemaMinorVersion=\"0\" \
                SchemaSubMinorVersion=\"1\" MajorVersion=\"1\" MinorVersion=\"0\" SubMinorVersion=\"0\">";
    // Each lists all the others, and itself.
    let members: String = ["Root"]
        .into_iter()
        .map(str::to_owned)
        .chain((0..20).map(|at| format!("C{at}")))
        .map(|name| format!("<pFeature>{name}</pFeature>"))
        .collect();
    let circle: String = ["Root".to_owned()]
        .into_iter()
        .chain((0..20).map(|at| format!("C{at}")))
        .map(|name| format!("<Category Name=\"{name}\">{members}</Category>"))
        .collect();
    let texts = [
        ("no XML", "\u{7}\u{0}garbage <<<".repeat(50)),
        ("ends early", format!("{head}<Category Name=\"Root\"><pFeature>Wid")),
        ("circles", format!("{head}{circle}</RegisterDescription>")),
        (
            "hostile names",
            format!(
                "{head}<Category Name=\"Root\"><pFeature>%n%s</pFeature><pFeature></pFeature></Category></RegisterDescription>"
            ),
        ),
    ];
    for (what, text) in texts {
        std::fs::write(&file, text).expect("written");
        let serial = format!("H{}", std::process::id());
        let fake = match GigeFake::with(&serial, &["-g", file.to_str().expect("UTF-8")]) {
            Ok(fake) => fake,
            Err(why) => return println!("SKIPPED: {what}: {why}"),
        };
        let hostile = config(&format!("serial = '{serial}'"));
        if what == "circles" {
            let bench = Bench::open(&hostile).expect("it can be opened");
            println!("{what}: {} features", bench.features().len());
        }
        let error = Genicam::open(hostile).err().unwrap_or_else(|| panic!("{what}: a line cannot run on that"));
        println!("{what}: {error}");
        drop(fake);
    }
}

/// A camera that does what a test says.
#[derive(Default)]
struct Double {
    away: AtomicBool,
    /// Calls do not return while this is set.
    hung: AtomicBool,
    opened: AtomicU64,
    fired: AtomicU64,
    feed: Mutex<Option<Sender<Shot>>>,
    wanted: Mutex<Vec<Option<String>>>,
}

/// What the double sends: a number, a grey level; none: with holes.
type Shot = (u64, Option<u8>);

impl Double {
    fn send(&self, shots: impl IntoIterator<Item = Shot>) {
        let feed = self.feed.lock().expect("unpoisoned").clone().expect("connected");
        shots.into_iter().for_each(|shot| feed.send(shot).expect("somebody listens"));
    }

    fn wait_while_hung(&self) {
        while self.hung.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

struct Shared(Arc<Double>);

impl Driver for Shared {
    fn connect(&self, _: &GenicamConfig, serial: Option<&str>) -> Result<Connection, SourceError> {
        self.0.wanted.lock().expect("unpoisoned").push(serial.map(str::to_owned));
        if self.0.away.load(Ordering::SeqCst) {
            return Err(SourceError("not there".into()));
        }
        let (feed, shots) = bounded(100);
        *self.0.feed.lock().expect("unpoisoned") = Some(feed);
        self.0.opened.fetch_add(1, Ordering::SeqCst);
        let facts = Facts { vendor: "Test".into(), model: "Double".into(), serial: "D1".into(), ..Facts::default() };
        Ok(Connection { facts, control: Box::new(Shared(self.0.clone())), pictures: Box::new(Film(shots)) })
    }
}

impl Control for Shared {
    fn start(&mut self) -> Result<(), String> {
        self.0.wait_while_hung();
        Ok(())
    }
    fn stop(&mut self) {
        self.0.wait_while_hung();
    }
    fn fire(&mut self) -> Result<(), String> {
        self.0.wait_while_hung();
        self.0.fired.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
    fn alive(&mut self) -> Result<(), String> {
        self.0.wait_while_hung();
        if self.0.away.load(Ordering::SeqCst) { Err("no answer".into()) } else { Ok(()) }
    }
}

struct Film(Receiver<Shot>);

impl Pictures for Film {
    fn next(&mut self, wait: Duration, take: &mut dyn FnMut(Raw<'_>)) {
        let Ok((number, level)) = self.0.recv_timeout(wait) else {
            return std::thread::sleep(wait.min(Duration::from_millis(1)));
        };
        let bytes: Vec<u8> = (0..64).map(|at| level.unwrap_or(0).wrapping_add(at)).collect();
        let image = RawImage { width: 8, height: 8, format: 0x0108_0001, padding: 0, bytes: &bytes };
        let image: Result<&dyn Convert, String> =
            if level.is_some() { Ok(&image) } else { Err("packets were lost".to_owned()) };
        take(Raw { number, stamp_ns: 0, arrived: Instant::now(), exposure_us: None, image });
    }
    fn packets(&self) -> Packets {
        Packets::default()
    }
}

/// A line with a double that has been started.
fn doubled(text: &str) -> (Arc<Double>, Rig) {
    let double = Arc::new(Double::default());
    let source = Genicam::open_with(config(text), Arc::new(Shared(double.clone()))).expect("the double is there");
    (double, line_of(source))
}

const PATIENT: &str = "stall_ms = 600000";

#[test]
fn missing_repeated_and_incomplete_pictures_are_parts_without_a_decision_and_counted_exactly() {
    let (double, rig) = doubled(PATIENT);
    double.send([(1, Some(10)), (2, Some(20)), (5, Some(30)), (5, Some(40)), (6, None), (7, Some(50))]);
    until("eight parts", || rig.line.counts().triggered == 8);
    // 4 was only overtaken, but its part has had its answer: it must not become a second one.
    double.send([(4, Some(60)), (8, Some(70))]);
    until("nine parts", || rig.line.counts().triggered == 9);
    let (_, source) = counted(&rig);
    assert_eq!(
        (source.pictures, source.missing, source.repeated, source.incomplete, source.late),
        (6, 2, 1, 1, 1),
        "{source:?}"
    );
    let counts = rig.line.drain();
    assert_eq!((counts.pass, counts.no_decision), (5, 4));
    let no_frame = [(Cause::NoFrame, 3), (Cause::Truncated, 1)];
    // Four: two left out, one repeated, one with holes.
    let recorded = |cause| rig.memory.recorded().iter().filter(|it| it.verdict == Verdict::NoDecision(cause)).count();
    assert_eq!(no_frame.map(|(cause, _)| (cause, recorded(cause))), no_frame);
}

#[test]
fn a_hung_driver_never_holds_the_line_and_nothing_stale_is_judged() {
    let (double, rig) = doubled(&format!("{PATIENT}\nanswer_ms = 400"));
    double.send([(1, Some(10))]);
    until("a part", || rig.line.counts().triggered == 1);
    let old = double.feed.lock().expect("unpoisoned").clone().expect("connected");
    double.away.store(true, Ordering::SeqCst);
    double.hung.store(true, Ordering::SeqCst);
    timed("double: a driver that hangs noticed after", NOTICED, || rig.line.status().source_trouble.is_some());
    let (status, source) = counted(&rig);
    let trouble = status.source_trouble.expect("told");
    assert!(
        trouble.contains("camera `genicam`: no answer") && trouble.contains("looking for serial number D1"),
        "{trouble}"
    );
    assert!(!source.connected && source.lost == 1);
    // A picture of before comes out of the hung driver when nobody wants it any more.
    let _ = old.send((2, Some(66)));
    assert!(rig.line.healthy(), "the capture thread does not hang with the driver");
    double.away.store(false, Ordering::SeqCst);
    timed("double: healed after", HEALED, || rig.line.status().source.is_some_and(|source| source.connected));
    double.hung.store(false, Ordering::SeqCst);
    until("the old driver thread is done", || double.opened.load(Ordering::SeqCst) == 2);
    double.send([(1, Some(90))]);
    // A part is counted before it is on record.
    until("the next part's record", || numbers(&rig.memory).len() == 2);
    assert_eq!(numbers(&rig.memory), [1, 1], "nothing of the old connection");
    let wanted = double.wanted.lock().expect("unpoisoned").clone();
    assert!(wanted[0].is_none() && wanted[1..].iter().all(|serial| serial.as_deref() == Some("D1")), "{wanted:?}");
    let counts = rig.line.drain();
    assert!(counts.obey_the_law() && counts.pass == 2);
}

#[test]
fn a_stall_is_noticed_although_the_camera_answers() {
    let (double, rig) = doubled("stall_ms = 300");
    double.send([(1, Some(10))]);
    timed("double: a stall noticed after (limit 300 ms)", NOTICED, || rig.line.status().source_trouble.is_some());
    let (status, source) = counted(&rig);
    assert!(status.source_trouble.expect("told").contains("although the camera answers"));
    assert_eq!((source.stalls, source.lost), (1, 0), "{source:?}");
    timed("double: opened anew after", HEALED, || double.opened.load(Ordering::SeqCst) >= 2);
    rig.line.drain();
}

#[test]
fn a_frozen_picture_gets_no_verdict_and_the_camera_is_opened_anew() {
    let (double, rig) = doubled(PATIENT);
    double.send([(1, Some(10)), (2, Some(11)), (3, Some(11))]);
    timed("double: a frozen picture noticed after", NOTICED, || rig.line.status().source_trouble.is_some());
    timed("double: opened anew after", HEALED, || rig.line.status().source.is_some_and(|source| source.connected));
    // Still the same: at once no verdict.
    double.send([(4, Some(11))]);
    until("four parts", || rig.line.counts().triggered == 4);
    timed("double: opened once more after", HEALED, || {
        double.opened.load(Ordering::SeqCst) == 3 && rig.line.status().source.is_some_and(|source| source.connected)
    });
    double.send([(5, Some(12))]);
    until("five parts", || rig.line.counts().triggered == 5);
    let (_, source) = counted(&rig);
    assert_eq!(source.frozen, 2);
    let counts = rig.line.drain();
    assert_eq!((counts.pass, counts.no_decision), (3, 2));
    assert!(details(&rig.memory, Cause::NoFrame)[0].contains("bit for bit"));
}

#[test]
fn a_software_trigger_without_an_answer_is_a_part_without_a_decision() {
    let double = Arc::new(Double::default());
    let text = format!("{PATIENT}\npicture_timeout_ms = 100\ntrigger = {{ mode = 'software' }}");
    let mut camera = Genicam::open_with(config(&text), Arc::new(Shared(double.clone()))).expect("there");
    let gauge = camera.gauge().expect("a camera counts");
    let (asks, asked) = bounded::<()>(10);
    let source = source(stages::capture::Pace::Triggered, move |wait| {
        if asked.try_recv().is_ok() {
            camera.expose()?;
        }
        camera.next(wait.min(Duration::from_millis(10)))
    });
    let rig = Setup::default().start(source, vec![decider(|_| Verdict::Pass)]);
    let parts = |wanted| until("parts", || rig.line.counts().triggered == wanted);
    let unasked = |wanted| until("an unasked picture", || gauge.read().unasked == wanted);
    // It is open, and starts with the first question.
    double.send([(1, Some(10))]);
    unasked(1);
    asks.send(()).expect("asked");
    until("a command", || double.fired.load(Ordering::SeqCst) == 1);
    double.send([(2, Some(20))]);
    parts(1);
    asks.send(()).expect("asked");
    parts(2);
    // The answer, too late: it is nobody's.
    double.send([(3, Some(30))]);
    unasked(2);
    assert_eq!(gauge.read().unanswered, 1);
    let counts = rig.line.drain();
    assert_eq!((counts.triggered, counts.pass, counts.no_decision, counts.in_flight), (2, 1, 1, 0));
    assert!(details(&rig.memory, Cause::NoFrame)[0].contains("after a software trigger"));
}
