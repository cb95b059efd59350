//! `make bench`: from the last byte of a frame to the verdict's bit, as a Modbus client sees it that reads every millisecond. The
//! real line with the shipped model and a store on disk, called over Modbus TCP ten times a second.
//!
//! *Outside the model* is what is left when the time inside the stage `infer` is taken off: stages, queues, keeper, handshake, network,
//! the client's own beat (half a millisecond on average).

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
use stages::capture::{Event, Pace, Source, SourceError};
use stages::inspection::Inspection;
use stages::line::{Limits, Line, LineConfig, standard};
use stages::record::VerdictSink;
use tokio_modbus::client::{Reader, Writer, tcp};

const PARTS: u32 = 300;
const PACE: f64 = 10.0;
const SCAN: Duration = Duration::from_millis(1);

/// When each part's frame was whole, in the order of parts, and how long the model took, by the call's id.
#[derive(Default)]
struct Times {
    framed: Mutex<Vec<Instant>>,
    model: Mutex<HashMap<u32, Duration>>,
}

/// A camera whose frames are noted as they leave it.
struct Noted {
    inner: Synthetic,
    times: Arc<Times>,
}

impl Source for Noted {
    fn name(&self) -> &str {
        "noted"
    }

    fn pace(&self) -> Pace {
        Pace::OnDemand
    }

    fn next(&mut self, wait: Duration) -> Result<Event, SourceError> {
        let event = self.inner.next(wait);
        if matches!(event, Ok(Event::Trigger(_))) {
            self.times.framed.lock().expect("nobody panics with it").push(Instant::now());
        }
        event
    }
}

impl VerdictSink for Times {
    fn verdict(&self, inspection: &Inspection) {
        let infer = inspection.ledger.marks.iter().find(|mark| mark.stage == "infer");
        let took = infer.map_or(0, |mark| mark.left_us - mark.entered_us);
        if let Some(call) = inspection.call {
            let took = Duration::from_micros(took.into());
            self.model.lock().expect("nobody panics with it").insert(call, took);
        }
    }
}

fn main() {
    let config = SyntheticConfig { seed: 4711, bad_frame_rate: 0.0, ..SyntheticConfig::default() };
    let mut recipe = parse_recipe(Path::new("the demo's recipe"), DEMO_RECIPE).expect("the shipped recipe is sound");
    recipe.quality = config.quality();
    let limits = Limits::default();
    let kitchen = Kitchen { workers: limits.worker_threads(), ..Kitchen::default() };
    let recipe = kitchen.prepare(recipe, None).expect("the shipped model runs here").in_force;

    let times = Arc::new(Times::default());
    let source = Noted { inner: Synthetic::open(config).expect("the synthetic line opens"), times: times.clone() };
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
        stages: standard(&limits),
        recipe,
        recorder: Arc::new(store),
        serials: None,
        sinks: vec![times.clone(), plc.sink()],
        limits,
    })
    .expect("the line starts");
    let address = plc.link().description.rsplit(' ').next().and_then(|it| it.parse().ok()).expect("an address");
    let at_work = plc.start(Box::new(|_| LineLook { takes: true, held: false, recipe: 0 })).expect("a thread");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let seen = runtime.block_on(play(address));
    at_work.stop();
    assert_eq!(line.drain().triggered, u64::from(PARTS));

    let framed = times.framed.lock().expect("nobody panics with it");
    let model = times.model.lock().expect("nobody panics with it");
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let mut whole: Vec<f64> = seen.iter().zip(framed.iter()).map(|(seen, framed)| ms(*seen - *framed)).collect();
    let took = |at: usize| model.get(&(at as u32 + 1)).copied().map_or(0.0, ms);
    let mut outside: Vec<f64> = whole.iter().enumerate().map(|(at, whole)| whole - took(at)).collect();
    let share = outside.iter().sum::<f64>() / whole.iter().sum::<f64>();
    println!("{PARTS} parts at {PACE} parts/s, a Modbus client that reads every {} ms", SCAN.as_millis());
    println!("last byte of the frame to the verdict's bit: {}", words(&mut whole));
    println!("outside the model: {} (wanted: p99 <= 3 ms), {:.0} % of the time", words(&mut outside), share * 100.0);
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
