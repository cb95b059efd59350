//! Live streams under a real line: MJPEG over HTTP from a server in the test, which stops, hangs, sends garbage and comes back; and a V4L2
//! camera's supervision with a double. Times are printed; they are asserted against generous limits only.
#![allow(clippy::print_stdout)] // times are what this is read for

mod line_support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use line_support::*;
use stages::capture::live::driver::{Connection, Control, Convert, Driver, Facts, Pictures, Raw, Shape};
use stages::capture::statistics::{Packets, SourceStatistics};
use stages::capture::{SourceConfig, SourceError, v4l};
use stages::verdict::Verdict;

const NOTICED: Duration = Duration::from_secs(15);
const HEALED: Duration = Duration::from_secs(30);

/// What the server does.
const GOOD: u8 = 0;
/// It takes connections and says nothing.
const HANGS: u8 = 1;
/// Bytes that are no pictures.
const GARBAGE: u8 = 2;
/// The same picture again and again.
const FROZEN: u8 = 3;

struct Server {
    address: SocketAddr,
    mood: Arc<AtomicU8>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    fn start(address: &str) -> Server {
        let until = Instant::now() + HEALED;
        let listener = loop {
            match TcpListener::bind(address) {
                Ok(listener) => break listener,
                Err(error) => assert!(Instant::now() < until, "{address}: {error}"),
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        listener.set_nonblocking(true).expect("set");
        let (mood, stop) = (Arc::new(AtomicU8::new(GOOD)), Arc::new(AtomicBool::new(false)));
        let address = listener.local_addr().expect("bound");
        let (served, ended) = (mood.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            let mut clients = Vec::new();
            while !ended.load(Ordering::SeqCst) {
                match listener.accept() {
                    Ok((client, _)) => {
                        let (mood, stop) = (served.clone(), ended.clone());
                        clients.push(std::thread::spawn(move || serve(client, &mood, &stop)));
                    }
                    Err(_) => std::thread::sleep(Duration::from_millis(10)),
                }
            }
            clients.into_iter().for_each(|client| client.join().expect("no panic"));
        });
        Server { address, mood, stop, thread: Some(thread) }
    }

    fn is(&self, mood: u8) {
        self.mood.store(mood, Ordering::SeqCst);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// 20 pictures a second, each another one. An error is a client that is gone.
fn serve(mut client: TcpStream, mood: &AtomicU8, stop: &AtomicBool) {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    client.set_nonblocking(false).expect("set");
    client.set_read_timeout(Some(Duration::from_secs(2))).expect("set");
    client.set_write_timeout(Some(Duration::from_secs(2))).expect("set");
    let _ = client.read(&mut [0; 4096]);
    let head = "HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n";
    let mut begun = false;
    let mut sent = 0_u64;
    while !stop.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(50));
        let bytes = match mood.load(Ordering::SeqCst) {
            HANGS => continue,
            GARBAGE => (0..5000_u64).map(|at| (at.wrapping_mul(2_654_435_761) >> 7) as u8).collect(),
            FROZEN => part(&jpeg(7)),
            _ => part(&jpeg(COUNT.fetch_add(1, Ordering::SeqCst))),
        };
        if !begun && client.write_all(head.as_bytes()).is_err() {
            return;
        }
        begun = true;
        if client.write_all(&bytes).is_err() {
            return;
        }
        sent += 1;
        // A sender that only talks nonsense closes, as real ones do.
        if mood.load(Ordering::SeqCst) == GARBAGE && sent > 20 {
            return;
        }
    }
}

fn part(jpeg: &[u8]) -> Vec<u8> {
    let mut out = format!("--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", jpeg.len()).into_bytes();
    out.extend_from_slice(jpeg);
    out.extend_from_slice(b"\r\n");
    out
}

fn jpeg(number: u64) -> Vec<u8> {
    let picture = image::RgbImage::from_fn(160, 120, |x, y| {
        let bar = u64::from(x / 8) == number % 20;
        image::Rgb([if bar { 220 } else { 60 }, (x + y) as u8 / 2, ((number * 40) % 200) as u8])
    });
    let mut out = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut out, image::ImageFormat::Jpeg).expect("encoded");
    out.into_inner()
}

fn counted(rig: &Rig) -> SourceStatistics {
    let status = rig.line.status();
    assert!(status.counts.obey_the_law(), "{:?}", status.counts);
    status.source.expect("a live source counts")
}

fn timed(what: &str, limit: Duration, done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < limit, "in vain, {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
    println!("{what}: {} ms", began.elapsed().as_millis());
}

fn line_of(source: Box<dyn stages::capture::Source>) -> Rig {
    Setup::default().start(source, vec![decider(|_| Verdict::Pass)])
}

#[test]
fn a_stream_that_stops_hangs_or_sends_garbage_is_noticed_and_comes_back() {
    let mut server = Server::start("127.0.0.1:0");
    let address = server.address.to_string();
    let text = format!("kind = 'stream'\nurl = 'http://{address}/live.mjpg'\nstall_ms = 800\nopen_ms = 2000");
    let config: SourceConfig = toml::from_str(&text).expect("sound");
    let source = match config.open() {
        Ok(source) => source,
        Err(error) => panic!("this OpenCV opens no MJPEG over HTTP: {error}"),
    };
    let rig = line_of(source);
    let more = |than: u64| until("ten parts more", || rig.line.counts().triggered >= than + 10);
    let parts = || rig.line.counts().triggered;
    let troubled = || rig.line.status().source_trouble.is_some();
    more(0);
    assert_eq!(rig.line.status().source_trouble, None);

    server.is(HANGS);
    timed("stream: hang noticed after", NOTICED, troubled);
    println!("told: {:?}", rig.line.status().source_trouble);
    let before = parts();
    server.is(GOOD);
    timed("stream: first picture after the hang", HEALED, || parts() > before);
    more(before);

    drop(server);
    timed("stream: a server that is gone noticed after", NOTICED, troubled);
    println!("told: {:?}", rig.line.status().source_trouble);
    let before = parts();
    server = Server::start(&address);
    timed("stream: first picture after the server's return", HEALED, || parts() > before);
    more(before);

    server.is(GARBAGE);
    timed("stream: garbage noticed after", NOTICED, troubled);
    println!("told: {:?}", rig.line.status().source_trouble);
    let before = parts();
    server.is(GOOD);
    timed("stream: first picture after the garbage", HEALED, || parts() > before);
    more(before);

    server.is(FROZEN);
    timed("stream: a frozen picture noticed after", NOTICED, || counted(&rig).frozen > 0);
    server.is(GOOD);
    let before = parts();
    more(before);
    println!("{:?}", counted(&rig));
    let counts = rig.line.drain();
    assert!(counts.obey_the_law() && counts.in_flight == 0, "{counts:?}");
}

#[test]
fn only_the_newest_picture_gets_a_verdict_and_what_is_older_is_counted() {
    let server = Server::start("127.0.0.1:0");
    let text = format!("kind = 'stream'\nurl = 'http://{}/live.mjpg'\nopen_ms = 3000", server.address);
    let config: SourceConfig = toml::from_str(&text).expect("sound");
    let mut source = config.open().expect("it is there");
    let taken = |source: &mut Box<dyn stages::capture::Source>| loop {
        match source.next(Duration::from_secs(5)).expect("it delivers") {
            stages::capture::Event::Trigger(trigger) => break trigger,
            _ => continue,
        }
    };
    taken(&mut source);
    // Nobody asks for a second: twenty pictures pass.
    std::thread::sleep(Duration::from_secs(1));
    let late = taken(&mut source);
    assert!(late.at.elapsed() < Duration::from_millis(400), "{:?} old", late.at.elapsed());
    let counted = source.gauge().expect("counts").read();
    assert!(counted.stale >= 5, "{counted:?}");
}

/// A V4L2 camera that does what a test says.
#[derive(Default)]
struct Double {
    away: AtomicBool,
    silent: AtomicBool,
    frozen: AtomicBool,
    places: Mutex<Vec<Option<String>>>,
}

struct Shared(Arc<Double>);

impl Driver for Shared {
    fn connect(&self, place: Option<&str>) -> Result<Connection, SourceError> {
        self.0.places.lock().expect("unpoisoned").push(place.map(str::to_owned));
        if self.0.away.load(Ordering::SeqCst) {
            return Err(SourceError("not there".into()));
        }
        let facts = Facts { model: "Double".into(), serial: "usb-1.2".into(), rate: Some(50.0), ..Facts::default() };
        Ok(Connection { facts, control: Box::new(Shared(self.0.clone())), pictures: Box::new(Film(self.0.clone(), 0)) })
    }
}

impl Control for Shared {
    fn start(&mut self) -> Result<(), String> {
        Ok(())
    }
    fn stop(&mut self) {}
    fn fire(&mut self) -> Result<(), String> {
        Ok(())
    }
    fn alive(&mut self) -> Result<(), String> {
        if self.0.away.load(Ordering::SeqCst) { Err("it does not answer: unplugged?".into()) } else { Ok(()) }
    }
}

struct Film(Arc<Double>, u64);

struct Grey(u8);

impl Convert for Grey {
    fn bytes_after(&self) -> usize {
        64
    }
    fn convert(&self, out: &mut Vec<u8>) -> Result<Shape, String> {
        out.clear();
        out.extend((0..64).map(|at| self.0.wrapping_add(at)));
        Ok((8, 8, models::image::PixelFormat::Mono8))
    }
}

impl Pictures for Film {
    fn next(&mut self, wait: Duration, take: &mut dyn FnMut(Raw<'_>)) {
        std::thread::sleep(Duration::from_millis(20).min(wait));
        if self.0.away.load(Ordering::SeqCst) || self.0.silent.load(Ordering::SeqCst) {
            return std::thread::sleep(wait);
        }
        // Every tenth is lost in the driver.
        self.1 += if self.1 % 10 == 8 { 2 } else { 1 };
        let level = if self.0.frozen.load(Ordering::SeqCst) { 7 } else { self.1 as u8 };
        let image = Grey(level);
        take(Raw { number: self.1, stamp_ns: 0, arrived: Instant::now(), exposure_us: None, image: Ok(&image) });
    }
    fn packets(&self) -> Packets {
        Packets::default()
    }
}

#[test]
fn a_v4l_camera_that_is_unplugged_stalls_or_freezes_is_noticed_and_found_again_by_its_place() {
    let double = Arc::new(Double::default());
    let config: v4l::V4lConfig = toml::from_str("stall_ms = 500").expect("sound");
    let rig = line_of(v4l::open_with(&config, Arc::new(Shared(double.clone()))).expect("there"));
    let parts = || rig.line.counts().triggered;
    let troubled = || rig.line.status().source_trouble.is_some();
    until("40 parts", || parts() >= 40);
    let source = counted(&rig);
    assert!(source.missing >= 2 && source.repeated == 0, "{source:?}");

    double.away.store(true, Ordering::SeqCst);
    timed("v4l double: unplugged noticed after", NOTICED, troubled);
    double.away.store(false, Ordering::SeqCst);
    let before = parts();
    timed("v4l double: first picture after its return", HEALED, || parts() > before);

    double.silent.store(true, Ordering::SeqCst);
    timed("v4l double: stall noticed after (limit 500 ms)", NOTICED, || counted(&rig).stalls > 0);
    double.silent.store(false, Ordering::SeqCst);
    let before = parts();
    timed("v4l double: first picture after the stall", HEALED, || parts() > before);

    double.frozen.store(true, Ordering::SeqCst);
    timed("v4l double: frozen noticed after", NOTICED, || counted(&rig).frozen > 0);
    double.frozen.store(false, Ordering::SeqCst);
    let before = parts();
    until("ten parts more", || parts() >= before + 10);
    let places = double.places.lock().expect("unpoisoned").clone();
    assert!(places[0].is_none() && places[1..].iter().all(|place| place.as_deref() == Some("usb-1.2")), "{places:?}");
    assert!(rig.line.drain().obey_the_law());
}
