//! The PLC asks: a Modbus TCP server whose input registers are what the line says, and whose coils and holding registers are what the
//! PLC says. Modbus knows no passwords, so only addresses that are named are let in, and only one of them gives orders at a time.

use std::future::{Future, Ready, ready};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio_modbus::server::Service;
use tokio_modbus::server::tcp::Server;
use tokio_modbus::{ExceptionCode, Request, Response, SlaveRequest};

use super::guarded::Guarded;
use super::map::{self, BITS, COILS, CONTROL, INPUTS, OUTPUTS};
use crate::io::config::ModbusServerSection;
use crate::io::exchange::Exchange;
use crate::io::{FAREWELL, Fieldbus, PlcError, Stopping};

/// Where holding registers show the line's registers, for PLCs that read nothing else.
const MIRROR: usize = 100;
/// Most coils and registers in one request, as the specification has it.
const MOST_BITS: u16 = 2000;
const MOST_REGISTERS: u16 = 125;
/// How long the listener rests when the system refuses a connection.
const REST: Duration = Duration::from_millis(200);

/// A port that is ours.
pub struct ModbusServer {
    listener: TcpListener,
    address: SocketAddr,
    section: ModbusServerSection,
}

impl ModbusServer {
    /// Takes the port.
    ///
    /// # Errors
    /// [`PlcError::Listen`].
    pub fn bind(section: &ModbusServerSection) -> Result<ModbusServer, PlcError> {
        let failed = |error| PlcError::Listen { address: section.listen, error };
        let listener = TcpListener::bind(section.listen).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(ModbusServer { listener, address, section: section.clone() })
    }
}

impl Fieldbus for ModbusServer {
    fn describe(&self) -> String {
        format!("Modbus TCP server on {}", self.address)
    }

    fn carry(
        self: Box<Self>,
        exchange: Arc<Exchange>,
        mut stopping: Stopping,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let door = Arc::new(Door {
                exchange,
                unit: self.section.unit,
                allow: self.section.allow.iter().map(IpAddr::to_canonical).collect(),
                most: self.section.max_connections,
                idle: Duration::from_millis(u64::from(self.section.idle_ms)),
                open: AtomicU32::new(0),
                numbers: AtomicU64::new(0),
                written: Mutex::new(Written { registers: [0; INPUTS], master: None }),
            });
            let listener = match tokio::net::TcpListener::from_std(self.listener) {
                Ok(listener) => Server::new(listener),
                Err(error) => return tracing::error!("the PLC's port is lost: {error}"),
            };
            tokio::select! {
                () = door.serve(&listener) => {}
                () = async {
                    let _ = stopping.wait_for(|stop| *stop).await;
                    // Whoever still asks sees that nothing is promised any more.
                    tokio::time::sleep(FAREWELL).await;
                } => {}
            }
        })
    }
}

/// What all connections share.
struct Door {
    exchange: Arc<Exchange>,
    unit: Option<u8>,
    allow: Vec<IpAddr>,
    most: u32,
    idle: Duration,
    open: AtomicU32,
    numbers: AtomicU64,
    written: Mutex<Written>,
}

/// What was written, and by whom.
struct Written {
    registers: [u16; INPUTS],
    master: Option<Master>,
}

/// The connection that gives orders.
#[derive(Clone, Copy)]
struct Master {
    number: u64,
    address: IpAddr,
    heard_at: Instant,
}

impl Door {
    async fn serve(self: &Arc<Door>, listener: &Server) {
        let connected = |stream: TcpStream, from: SocketAddr| {
            let door = self.clone();
            async move { Ok(door.let_in(stream, from)) }
        };
        loop {
            let door = self.clone();
            let ended = move |error: io::Error| door.ended(&error);
            if let Err(error) = listener.serve(&connected, ended).await {
                self.exchange.note(|contact| {
                    contact.refused += 1;
                    contact.trouble = Some(format!("a connection could not be taken: {error}"));
                });
            }
            tokio::time::sleep(REST).await;
        }
    }

    /// A connection's session, or none: it is turned away.
    fn let_in(self: &Arc<Door>, stream: TcpStream, from: SocketAddr) -> Option<(Session, Guarded<TcpStream>)> {
        let address = from.ip().to_canonical();
        let why = if !address.is_loopback() && !self.allow.contains(&address) {
            Some("is not named in `plc.modbus_server.allow`")
        } else if self.open.load(Ordering::Relaxed) >= self.most {
            Some("is one connection too many (`plc.modbus_server.max_connections`)")
        } else {
            stream.set_nodelay(true).is_err().then_some("was gone at once")
        };
        if let Some(why) = why {
            tracing::debug!("PLC: {from} {why}");
            self.exchange.note(|contact| {
                contact.refused += 1;
                contact.trouble = Some(format!("{address} {why}"));
            });
            return None;
        }
        self.open.fetch_add(1, Ordering::Relaxed);
        self.exchange.note(|contact| contact.connections += 1);
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        Some((Session { door: self.clone(), number, address }, Guarded::new(stream, self.idle)))
    }

    /// A connection ended by a fault.
    fn ended(&self, error: &io::Error) {
        self.exchange.note(|contact| {
            contact.wrong += u64::from(error.kind() == io::ErrorKind::InvalidData);
            contact.trouble = Some(format!("a connection ended: {error}"));
        });
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection.
struct Session {
    door: Arc<Door>,
    number: u64,
    address: IpAddr,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.door.open.fetch_sub(1, Ordering::Relaxed);
        self.door.exchange.note(|contact| contact.connections -= 1);
        let mut written = self.door.written();
        if written.master.is_some_and(|master| master.number == self.number) {
            written.master = None;
        }
    }
}

impl Service for Session {
    type Request = SlaveRequest<'static>;
    type Response = Response;
    type Exception = ExceptionCode;
    type Future = Ready<Result<Response, ExceptionCode>>;

    /// At once, under locks that nobody holds while waiting.
    fn call(&self, asked: SlaveRequest<'static>) -> Self::Future {
        let answer = self.answer(asked);
        if answer.is_err() {
            self.door.exchange.note(|contact| contact.wrong += 1);
        }
        ready(answer)
    }
}

impl Session {
    fn answer(&self, asked: SlaveRequest<'static>) -> Result<Response, ExceptionCode> {
        if self.door.unit.is_some_and(|unit| unit != asked.slave) {
            return Err(ExceptionCode::GatewayTargetDevice);
        }
        self.heard();
        match asked.request {
            Request::ReadCoils(at, count) => {
                let control = self.door.written().registers[CONTROL];
                let coils: [bool; COILS] = std::array::from_fn(|coil| control >> coil & 1 != 0);
                part(&coils, at, count, MOST_BITS).map(Response::ReadCoils)
            }
            Request::ReadDiscreteInputs(at, count) => {
                let bits: [bool; BITS] = map::bits(&self.door.exchange.said());
                part(&bits, at, count, MOST_BITS).map(Response::ReadDiscreteInputs)
            }
            Request::ReadInputRegisters(at, count) => {
                let registers: [u16; OUTPUTS] = map::registers(&self.door.exchange.said());
                part(&registers, at, count, MOST_REGISTERS).map(Response::ReadInputRegisters)
            }
            Request::ReadHoldingRegisters(at, count) => self.holding(at, count).map(Response::ReadHoldingRegisters),
            Request::WriteSingleCoil(at, coil) => {
                self.write(usize::from(at), &[coil], COILS, set_coils)?;
                Ok(Response::WriteSingleCoil(at, coil))
            }
            Request::WriteMultipleCoils(at, coils) => {
                self.write(usize::from(at), &coils, COILS, set_coils)?;
                Ok(Response::WriteMultipleCoils(at, coils.len() as u16))
            }
            Request::WriteSingleRegister(at, word) => {
                self.write(usize::from(at), &[word], INPUTS, set_registers)?;
                Ok(Response::WriteSingleRegister(at, word))
            }
            Request::WriteMultipleRegisters(at, words) => {
                self.write(usize::from(at), &words, INPUTS, set_registers)?;
                Ok(Response::WriteMultipleRegisters(at, words.len() as u16))
            }
            Request::ReadWriteMultipleRegisters(read_at, count, write_at, words) => {
                self.holding(read_at, count)?;
                self.write(usize::from(write_at), &words, INPUTS, set_registers)?;
                self.holding(read_at, count).map(Response::ReadWriteMultipleRegisters)
            }
            _ => Err(ExceptionCode::IllegalFunction),
        }
    }

    /// Whoever gives orders is the PLC; as long as nobody does, whoever asks.
    fn heard(&self) {
        let is_plc = match &mut self.door.written().master {
            Some(master) if master.number == self.number => {
                master.heard_at = Instant::now();
                true
            }
            Some(master) => master.address == self.address,
            None => true,
        };
        if is_plc {
            self.door.exchange.contact();
        }
    }

    fn holding(&self, at: u16, count: u16) -> Result<Vec<u16>, ExceptionCode> {
        match usize::from(at).checked_sub(MIRROR) {
            None => part(&self.door.written().registers, at, count, MOST_REGISTERS),
            Some(at) => {
                let registers = map::registers(&self.door.exchange.said());
                part(&registers, at as u16, count, MOST_REGISTERS)
            }
        }
    }

    /// Writes and tells the line, as one step.
    fn write<T>(
        &self,
        at: usize,
        values: &[T],
        size: usize,
        set: impl Fn(&mut [u16; INPUTS], usize, &[T]),
    ) -> Result<(), ExceptionCode> {
        if values.is_empty() {
            return Err(ExceptionCode::IllegalDataValue);
        }
        if at + values.len() > size {
            return Err(ExceptionCode::IllegalDataAddress);
        }
        let mut written = self.door.written();
        self.take_command(&mut written)?;
        set(&mut written.registers, at, values);
        self.door.exchange.hear(map::heard(&written.registers));
        Ok(())
    }

    /// One connection gives orders at a time. A PLC that comes back takes over from its own old connection, which may look open for a
    /// long while; another machine only when that one has fallen silent.
    fn take_command(&self, written: &mut Written) -> Result<(), ExceptionCode> {
        let now = Instant::now();
        let mine = Master { number: self.number, address: self.address, heard_at: now };
        match written.master {
            Some(master) if master.number > self.number && master.address == self.address => {
                Err(ExceptionCode::ServerDeviceBusy)
            }
            Some(master) if master.address != self.address && now - master.heard_at < self.door.idle => {
                Err(ExceptionCode::ServerDeviceBusy)
            }
            _ => {
                written.master = Some(mine);
                Ok(())
            }
        }
    }
}

fn set_coils(registers: &mut [u16; INPUTS], at: usize, coils: &[bool]) {
    for (place, &coil) in coils.iter().enumerate() {
        let bit = 1 << (at + place);
        registers[CONTROL] = registers[CONTROL] & !bit | if coil { bit } else { 0 };
    }
}

fn set_registers(registers: &mut [u16; INPUTS], at: usize, words: &[u16]) {
    registers[at..at + words.len()].copy_from_slice(words);
}

/// What a read asks for.
fn part<T: Copy>(all: &[T], at: u16, count: u16, most: u16) -> Result<Vec<T>, ExceptionCode> {
    if !(1..=most).contains(&count) {
        return Err(ExceptionCode::IllegalDataValue);
    }
    let at = usize::from(at);
    all.get(at..at + usize::from(count)).map(<[T]>::to_vec).ok_or(ExceptionCode::IllegalDataAddress)
}
