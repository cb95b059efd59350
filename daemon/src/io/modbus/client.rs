//! We ask the PLC: a Modbus TCP client that reads the PLC's block of holding registers at a steady beat and writes ours at once when
//! something has changed.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, timeout};
use tokio_modbus::client::{Context, Reader, Writer, tcp};
use tokio_modbus::{ExceptionCode, Slave};

use super::map::{self, INPUTS, OUTPUTS, STATUS};
use crate::io::config::ModbusClientSection;
use crate::io::exchange::Exchange;
use crate::io::signals::Said;
use crate::io::{Fieldbus, Stopping};

/// Between two attempts to connect.
const REST: Duration = Duration::from_millis(500);
/// The bit that announces the result.
const RESULT_READY: u16 = 1 << 2;

/// A PLC that is asked.
pub struct ModbusClient {
    address: SocketAddr,
    unit: Slave,
    read_at: u16,
    write_at: u16,
    poll: Duration,
    answer: Duration,
}

impl ModbusClient {
    /// None: the section names no address.
    pub fn new(section: &ModbusClientSection) -> Option<ModbusClient> {
        let millis = |ms: u32| Duration::from_millis(u64::from(ms));
        Some(ModbusClient {
            address: section.address?,
            unit: section.unit.map_or(Slave::tcp_device(), Slave),
            read_at: section.read_at,
            write_at: section.write_at(),
            poll: millis(section.poll_ms()),
            answer: millis(section.answer_ms()),
        })
    }
}

impl Fieldbus for ModbusClient {
    fn describe(&self) -> String {
        format!("Modbus TCP client of {}, registers {} and {}", self.address, self.read_at, self.write_at)
    }

    fn carry(
        self: Box<Self>,
        exchange: Arc<Exchange>,
        mut stopping: Stopping,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let this: Arc<ModbusClient> = self.into();
            let mut primed = false;
            loop {
                // In a task of its own: an answer over which the decoder stumbles costs the connection, not the thread.
                let session = this.clone().session(exchange.clone(), stopping.clone(), primed);
                let end = tokio::spawn(session)
                    .await
                    .unwrap_or_else(|panic| Err(format!("the answer made no sense ({panic})")));
                if *stopping.borrow_and_update() {
                    return;
                }
                match end {
                    Ok(()) => {}
                    Err(why) => exchange.note(|contact| {
                        primed |= contact.connections > 0;
                        contact.connections = 0;
                        contact.refused += 1;
                        contact.trouble = Some(format!("PLC {}: {why}", this.address));
                    }),
                }
                let _ = timeout(REST, stopping.wait_for(|stop| *stop)).await;
            }
        })
    }
}

impl ModbusClient {
    /// One connection, to its end. Ok: told to stop, and the PLC has safe outputs.
    async fn session(
        self: Arc<ModbusClient>,
        exchange: Arc<Exchange>,
        mut stopping: Stopping,
        primed: bool,
    ) -> Result<(), String> {
        let stream = timeout(self.answer.max(REST), TcpStream::connect(self.address)).await;
        let stream = stream.map_err(|_| "no answer to the attempt to connect".to_owned())?;
        let stream = stream.map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let mut plc = Link { context: tcp::attach_slave(stream, self.unit), of: &self, shown: None };
        let heard = plc.read().await?;
        if !primed {
            // A trigger that is up before anybody has looked is no rise.
            exchange.prime(map::heard(&heard));
        }
        exchange.note(|contact| contact.connections = 1);
        exchange.contact();

        let mut beat = tokio::time::interval(self.poll);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = told(&mut stopping) => {
                    return plc.show(&exchange.said()).await;
                }
                () = exchange.changed() => {}
                _ = beat.tick() => {
                    exchange.hear(map::heard(&plc.read().await?));
                    exchange.contact();
                }
            }
            plc.show(&exchange.said()).await?;
        }
    }
}

/// An open connection.
struct Link<'a> {
    context: Context,
    of: &'a ModbusClient,
    /// What stands in the PLC's registers; none: unknown.
    shown: Option<[u16; OUTPUTS]>,
}

impl Link<'_> {
    async fn read(&mut self) -> Result<[u16; INPUTS], String> {
        let asked = self.context.read_holding_registers(self.of.read_at, INPUTS as u16);
        let registers = answered(timeout(self.of.answer, asked).await)?;
        registers.try_into().map_err(|_| "another number of registers than was asked for".to_owned())
    }

    /// Values first, then the bits that announce them. Bits that stand there for other values fall before these change.
    async fn show(&mut self, said: &Said) -> Result<(), String> {
        let wanted = map::registers(said);
        let before = self.shown.take();
        if before == Some(wanted) {
            self.shown = before;
            return Ok(());
        }
        let same = |range: std::ops::Range<usize>| before.is_some_and(|before| before[range.clone()] == wanted[range]);
        let values = STATUS + 1..OUTPUTS;
        if !same(values.clone()) {
            if before.is_none_or(|before| before[STATUS] & RESULT_READY != 0) && !same(9..OUTPUTS) {
                self.write(STATUS, &[wanted[STATUS] & !RESULT_READY]).await?;
            }
            self.write(values.start, &wanted[values]).await?;
        }
        self.write(STATUS, &wanted[..=STATUS]).await?;
        self.shown = Some(wanted);
        Ok(())
    }

    async fn write(&mut self, at: usize, words: &[u16]) -> Result<(), String> {
        let told = self.context.write_multiple_registers(self.of.write_at + at as u16, words);
        answered(timeout(self.of.answer, told).await)
    }
}

/// Waits until told to stop.
async fn told(stopping: &mut Stopping) {
    // Nobody can tell any more only if the program ends without asking.
    let _ = stopping.wait_for(|stop| *stop).await;
}

type Answered<T> = Result<tokio_modbus::Result<T>, tokio::time::error::Elapsed>;

fn answered<T>(answer: Answered<T>) -> Result<T, String> {
    match answer {
        Ok(Ok(Ok(value))) => Ok(value),
        Ok(Ok(Err(ExceptionCode::IllegalDataAddress))) => {
            Err("it has no such registers: check `read_at` and `write_at`".to_owned())
        }
        Ok(Ok(Err(exception))) => Err(format!("it refuses: {exception}")),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no answer in time".to_owned()),
    }
}
