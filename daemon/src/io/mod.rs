//! Signals to and from the machine around the line: a PLC that calls for parts and takes their results. docs/PLC.md.
//!
//! - [`signals`]: what the two say to each other; [`handshake`]: in which order, as a plain state machine.
//! - [`exchange`]: where they meet, behind one lock that nobody holds while waiting.
//! - [`Fieldbus`]: one way to carry the signals. A new protocol is a folder with an implementation, and a section in [`config`].
//!
//! This is not a safety function: who must not be hurt is protected by other means.

pub mod config;
pub mod exchange;
pub mod handshake;
pub mod modbus;
pub mod signals;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use stages::capture::Source;
use stages::capture::called::{Caller, called};
use stages::line::urgent;
use stages::recipe::Recipe;
use stages::record::VerdictSink;
use thiserror::Error;
use tokio::sync::watch;

use self::config::{PlcSection, TriggerSection};
use self::exchange::{Exchange, Report};
use self::handshake::{LineLook, Terms};
use self::modbus::{ModbusClient, ModbusServer};

/// Results that may wait for their acknowledgement, together with parts that have none yet.
pub const CAPACITY: usize = 8;
/// How often the line is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How long safe outputs are shown before the connection goes.
const FAREWELL: Duration = Duration::from_millis(500);

/// How the line is, for the handshake. Called on the PLC's own thread.
pub type Look = Box<dyn Fn(&PlcLink) -> LineLook + Send>;

/// Told to stop: becomes true.
pub type Stopping = watch::Receiver<bool>;

/// One way to carry the signals between a PLC and the exchange.
pub trait Fieldbus: Send {
    /// Protocol and address, for people.
    fn describe(&self) -> String;

    /// Carries what the PLC says to [`Exchange::hear`] and what [`Exchange::said`] to the PLC, until told to stop; then it shows the PLC what
    /// is said last, which is safe. It survives every fault of the network and of the PLC. Values are there before the bit that announces
    /// them.
    fn carry(self: Box<Self>, exchange: Arc<Exchange>, stopping: Stopping) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// Why there is no way to the PLC.
#[derive(Debug, Error)]
pub enum PlcError {
    /// No section names a protocol.
    #[error("`plc` does not say how the PLC is reached: add `[plc.modbus_server]` or `[plc.modbus_client]`")]
    NoProtocol,
    /// The port cannot be had.
    #[error(
        "the PLC's port {address} cannot be listened on: {error}; is it in use, or below 1024 and the user has no right to it?"
    )]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// The system's words.
        error: io::Error,
    },
    /// The system gives no thread.
    #[error("the PLC gets no thread: {0}; raise the limit on tasks (TasksMax, ulimit -u)")]
    Thread(io::Error),
}

/// The way to a PLC, ready to be used.
pub struct Plc {
    exchange: Arc<Exchange>,
    bus: Box<dyn Fieldbus>,
    patience: Duration,
}

impl Plc {
    /// Takes the port, and puts the source under the PLC's command.
    ///
    /// # Errors
    /// See [`PlcError`].
    pub fn open(
        section: &PlcSection,
        trigger: &TriggerSection,
        source: Box<dyn Source>,
    ) -> Result<(Plc, Box<dyn Source>), PlcError> {
        let bus = fieldbus(section)?;
        let (source, caller) = called(source, millis(trigger.frame_ms), CAPACITY);
        let plc = Plc { exchange: Arc::new(exchange(section, caller)), bus, patience: millis(section.ack_ms) };
        Ok((plc, Box::new(source)))
    }

    /// To be told each verdict.
    pub fn sink(&self) -> Arc<dyn VerdictSink> {
        self.exchange.clone()
    }

    /// For whoever looks on.
    pub fn link(&self) -> PlcLink {
        PlcLink { exchange: self.exchange.clone(), description: self.bus.describe() }
    }

    /// Carries signals from now on, on a thread of its own (`limits.realtime_priority`). The heart beats as long as `look` answers.
    ///
    /// # Errors
    /// [`PlcError::Thread`].
    pub fn start(self, look: Look, realtime_priority: u8) -> Result<AtWork, PlcError> {
        let link = self.link();
        tracing::info!("PLC: {}", link.description);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(PlcError::Thread)?;
        let (stop, stopping) = watch::channel(false);
        let Plc { exchange, bus, patience } = self;
        let work = move || {
            urgent::from_now_on(realtime_priority);
            runtime.block_on(async move {
                tokio::select! {
                    () = keep_looking(&link, &look) => {}
                    () = bus.carry(link.exchange.clone(), stopping) => {}
                }
            });
        };
        let thread = std::thread::Builder::new().name("plc".to_owned()).spawn(work).map_err(PlcError::Thread)?;
        Ok(AtWork { exchange, patience, stop, thread })
    }
}

async fn keep_looking(link: &PlcLink, look: &Look) {
    loop {
        link.exchange.look(look(link));
        tokio::time::sleep(LOOK).await;
    }
}

/// Whether the port that a section names can be had, or why not.
///
/// # Errors
/// See [`PlcError`].
pub fn try_out(section: &PlcSection) -> Result<String, PlcError> {
    fieldbus(section).map(|bus| bus.describe())
}

fn fieldbus(section: &PlcSection) -> Result<Box<dyn Fieldbus>, PlcError> {
    Ok(match (&section.modbus_server, &section.modbus_client) {
        (Some(server), _) => Box::new(ModbusServer::bind(server)?),
        (None, Some(client)) => Box::new(ModbusClient::new(client).ok_or(PlcError::NoProtocol)?),
        (None, None) => return Err(PlcError::NoProtocol),
    })
}

fn exchange(section: &PlcSection, caller: Caller) -> Exchange {
    let terms = Terms {
        capacity: CAPACITY,
        ack_wait: millis(section.ack_ms),
        heartbeat: millis(section.heartbeat_ms),
        recipes: u16::try_from(section.recipes.len()).unwrap_or(u16::MAX),
        session: session(),
    };
    Exchange::new(terms, caller, section.recipes.clone(), millis(section.lost_ms))
}

/// A number that differs from that of the program's last start, and is never 0.
fn session() -> u16 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    // Tenths of a second: two starts within 1.8 hours get different numbers, unless they are as close as no two starts are.
    (since.as_millis() / 100 % u128::from(u16::MAX)) as u16 + 1
}

fn millis(ms: u32) -> Duration {
    Duration::from_millis(u64::from(ms))
}

/// What others may know of the way to the PLC.
#[derive(Clone)]
pub struct PlcLink {
    exchange: Arc<Exchange>,
    /// Protocol and address.
    pub description: String,
}

impl PlcLink {
    /// How things are.
    pub fn report(&self) -> Report {
        self.exchange.report()
    }

    /// A recipe is in force: its index for the PLC.
    pub fn recipe(&self, recipe: &Recipe) -> u16 {
        self.exchange.recipe(recipe)
    }
}

/// The way to a PLC at work.
pub struct AtWork {
    exchange: Arc<Exchange>,
    patience: Duration,
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl AtWork {
    /// Whether signals are still carried.
    pub fn alive(&self) -> bool {
        !self.thread.is_finished()
    }

    /// Takes no further trigger, and waits until the line has answered those that were taken, for at most `patience`.
    pub fn quiet(&self, patience: Duration) {
        self.exchange.quiet();
        let until = Instant::now() + patience;
        while !self.exchange.is_idle().0 && self.alive() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Gives the PLC the time that it has anyway to acknowledge each result that waits, then makes the outputs safe and lets go.
    pub fn stop(self) {
        let mut acknowledged = self.exchange.report().tally.acknowledged;
        let mut until = Instant::now() + self.patience;
        while !self.exchange.is_idle().1 && self.alive() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
            let now = self.exchange.report().tally.acknowledged;
            if now != acknowledged {
                (acknowledged, until) = (now, Instant::now() + self.patience);
            }
        }
        let waiting = self.exchange.report().tally.waiting;
        if waiting > 0 {
            tracing::warn!("the PLC has not acknowledged {waiting} results; they stand on record");
        }
        self.exchange.end();
        // Nobody receives only if the thread has ended by itself.
        let _ = self.stop.send(true);
        if self.thread.join().is_err() {
            tracing::error!("the PLC's thread died");
        }
    }
}
