//! `make bench`: from the last byte of a frame to the verdict's bit, as a Modbus client sees it that reads every millisecond. The
//! real line with the shipped model and a store on disk, called over Modbus TCP ten times a second.
//!
//! *Outside the model* is what is left when the time inside the stage `infer` is taken off: stages, queues, keeper, handshake, network,
//! the client's own beat (half a millisecond on average). Where it goes is printed stage by stage, and what lies before and after them.

#![allow(clippy::print_stdout)] // a report for the person who runs it

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use inspectd::config::parse_recipe;
use inspectd::io::Plc;
use inspectd::io::config::{ModbusServerSection, PlcSection, TriggerSection, TriggeredBy};
use inspectd::io::handshake::LineLook;
use inspectd::store::{Options, Store};
use inspectd::supervise::{DEMO_RECIPE, Kitchen};
use stages::capture::synthetic::{Synthetic, SyntheticConfig};
use stages::capture::{Event, Pace, Source, SourceError, Trigger};
use stages::frame::Frame;
use stages::inspection::Inspection;
use stages::ledger::{Ledger, Mark};
use stages::line::{Limits, Line, LineConfig, standard, urgent};
use stages::record::VerdictSink;
use tokio_modbus::client::{Reader, Writer, tcp};

const PARTS: u32 = 300;
const PACE: f64 = 10.0;
const SCAN: Duration = Duration::from_millis(1);
const PICTURES: usize = 24;
const REALTIME: u8 = 10;

/// When each part's frame was whole, in the order of parts, and its way through the line, by the call's id.
#[derive(Default)]
struct Times {
    framed: Mutex<Vec<Instant>>,
    ways: Mutex<HashMap<u32, Way>>,
}

/// A part's way through the line.
struct Way {
    ledger: Ledger,
    decided: Instant,
}

/// A camera that costs this machine nothing, as a real one: its pictures were drawn before. When each leaves it is noted.
struct Noted {
    pictures: Vec<Frame>,
    given: usize,
    times: Arc<Times>,
}

impl Noted {
    fn draw(config: SyntheticConfig, times: &Arc<Times>) -> Noted {
        let mut line = Synthetic::open(config).expect("the synthetic line opens");
        let mut pictures = Vec::new();
        while pictures.len() < PICTURES {
            if let Ok(Event::Trigger(Trigger { frame: Ok(frame), .. })) = line.next(Duration::from_secs(1)) {
                pictures.push(frame);
            }
        }
        Noted { pictures, given: 0, times: times.clone() }
    }
}

impl Source for Noted {
    fn name(&self) -> &str {
        "noted"
    }

    fn pace(&self) -> Pace {
        Pace::OnDemand
    }

    fn next(&mut self, _wait: Duration) -> Result<Event, SourceError> {
        let frame = self.pictures[self.given % PICTURES].clone();
        self.given += 1;
        let at = Instant::now();
        self.times.framed.lock().expect("nobody panics with it").push(at);
        Ok(Event::Trigger(Trigger { at, serial: None, frame: Ok(frame), truth: None, call: None }))
    }
}

impl VerdictSink for Times {
    fn verdict(&self, inspection: &Inspection) {
        if let Some(call) = inspection.call {
            let way = Way { ledger: inspection.ledger.clone(), decided: Instant::now() };
            self.ways.lock().expect("nobody panics with it").insert(call, way);
        }
    }
}

fn main() {
    println!("{PARTS} parts at {PACE} parts/s, a Modbus client that reads every {} ms", SCAN.as_millis());
    for realtime_priority in [0, REALTIME, 0, REALTIME] {
        println!("limits.realtime_priority = {realtime_priority}");
        run(&Limits { realtime_priority, ..Limits::default() });
    }
}

fn run(limits: &Limits) {
    let config = SyntheticConfig { seed: 4711, bad_frame_rate: 0.0, ..SyntheticConfig::default() };
    let mut recipe = parse_recipe(Path::new("the demo's recipe"), DEMO_RECIPE).expect("the shipped recipe is sound");
    recipe.quality = config.quality();
    let kitchen = Kitchen { workers: limits.worker_threads(), ..Kitchen::default() };
    let recipe = kitchen.prepare(recipe, None).expect("the shipped model runs here").in_force;

    let times = Arc::new(Times::default());
    let source = Noted::draw(config, &times);
    let listen = "127.0.0.1:0".parse().expect("an address");
    let server = ModbusServerSection { listen, ..ModbusServerSection::default() };
    let section = PlcSection { modbus_server: Some(server), ..PlcSection::default() };
    let trigger = TriggerSection { by: TriggeredBy::Plc, frame_ms: 1000 };
    let (plc, source) = Plc::open(&section, &trigger, Box::new(source)).expect("a free port");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let options = Options { line: "bench".into(), ..Options::default() };
    let (store, report) = Store::open(folder.path(), options).expect("a store in an empty folder");
    let line = Line::start(LineConfig {
        name: "bench".into(),
        first_id: report.next_id,
        source,
        stages: standard(limits),
        recipe,
        recorder: Arc::new(store),
        serials: None,
        checker: None,
        sinks: vec![times.clone(), plc.sink()],
        limits: limits.clone(),
    })
    .expect("the line starts");
    let address = plc.link().description.rsplit(' ').next().and_then(|it| it.parse().ok()).expect("an address");
    let look = Box::new(|_: &_| LineLook { takes: true, held: false, recipe: 0 });
    let at_work = plc.start(look, limits.realtime_priority).expect("a thread");
    let client = std::thread::spawn(move || {
        // The PLC has a machine of its own: what else runs here does not hold it up.
        urgent::from_now_on(urgent::MOST);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(play(address))
    });
    let seen = client.join().expect("the client sees every result");
    at_work.stop();
    assert_eq!(line.drain().triggered, u64::from(PARTS));

    let framed = times.framed.lock().expect("nobody panics with it");
    let ways = times.ways.lock().expect("nobody panics with it");
    take_apart(&framed, &ways, &seen);
}

/// Where the time goes, from a part's frame to its bit.
fn take_apart(framed: &[Instant], ways: &HashMap<u32, Way>, seen: &[Instant]) {
    let mut whole = Vec::new();
    let mut outside = Vec::new();
    let mut pieces: Vec<(String, Vec<f64>)> = Vec::new();
    for (at, (framed, seen)) in framed.iter().zip(seen).enumerate() {
        let Some(way) = ways.get(&(at as u32 + 1)) else { continue };
        let took = |mark: &Mark| f64::from(mark.left_us - mark.entered_us) / 1e3;
        let total = ms(*seen - *framed);
        let model: f64 = way.ledger.marks.iter().filter(|mark| mark.stage == "infer").map(took).sum();
        let stages: f64 = way.ledger.marks.iter().map(took).sum();
        let inside = ms(way.decided - *framed);
        whole.push(total);
        outside.push(total - model);
        let mut piece = |name: &str, took: f64| match pieces.iter_mut().find(|(known, _)| known == name) {
            Some((_, all)) => all.push(took),
            None => pieces.push((name.to_owned(), vec![took])),
        };
        let (Some(first), Some(last)) = (way.ledger.marks.first(), way.ledger.marks.last()) else { continue };
        // The ledger counts from the trigger.
        let at_end = f64::from(way.ledger.total_us);
        let begun = inside - (at_end - f64::from(first.entered_us)) / 1e3;
        piece("from the frame to the first stage", begun);
        for mark in &way.ledger.marks {
            piece(&mark.stage, took(mark));
        }
        piece("between stages", f64::from(last.left_us - first.entered_us) / 1e3 - stages);
        piece("from the last stage to the verdict", (at_end - f64::from(last.left_us)) / 1e3);
        piece("from the verdict to the client", total - inside);
    }
    let share = outside.iter().sum::<f64>() / whole.iter().sum::<f64>();
    println!("last byte of the frame to the verdict's bit: {}", words(&mut whole));
    println!("outside the model: {} (wanted: p99 <= 3 ms), {:.0} % of the time", words(&mut outside), share * 100.0);
    for (name, took) in &mut pieces {
        println!("  {name:36} {}", words(took));
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// When each part's result was seen.
async fn play(address: SocketAddr) -> Vec<Instant> {
    let mut plc = tcp::connect(address).await.expect("connected");
    let mut scan = tokio::time::interval(SCAN);
    scan.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut seen = Vec::new();
    let mut due = Instant::now() + Duration::from_millis(500);
    let (mut control, mut next_id) = (0_u16, 1_u32);
    while seen.len() < PARTS as usize || control != 0 {
        scan.tick().await;
        let said = plc.read_input_registers(0, 20).await.expect("an answer").expect("registers");
        let now = Instant::now();
        let bit = |at: u16| said[0] & (1 << at) != 0;
        let mut wanted = control;
        match control & 1 != 0 {
            true if bit(1) => wanted &= !1,
            false if next_id <= PARTS && now >= due && bit(0) => {
                wanted |= 1;
                due += Duration::from_secs_f64(1.0 / PACE);
            }
            _ => {}
        }
        if control & 2 != 0 && !bit(2) {
            wanted &= !2;
        } else if control & 2 == 0 && bit(2) {
            seen.push(now);
            wanted |= 2;
        }
        if wanted != control {
            if wanted & 1 != 0 && control & 1 == 0 {
                let id = [(next_id >> 16) as u16, (next_id & 0xffff) as u16];
                plc.write_multiple_registers(0, &id).await.expect("an answer").expect("written");
                next_id += 1;
            }
            plc.write_single_register(19, wanted).await.expect("an answer").expect("written");
            control = wanted;
        }
    }
    seen
}

fn words(values: &mut [f64]) -> String {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
    format!("p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms", at(0.5), at(0.99), at(1.0))
}
