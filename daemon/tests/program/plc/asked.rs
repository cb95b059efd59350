//! The other way round: the line is the client of the PLC's registers. The PLC here is a server's memory with a program that scans it.

use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio_modbus::server::Service;
use tokio_modbus::server::tcp::{Server, accept_tcp_connection};
use tokio_modbus::{ExceptionCode, Request, Response};

use super::rig::{Said, configure};
use crate::support::{PATIENCE, Program, json, law, text, wait_for};

const OUR_BLOCK: usize = 0;
const LINES_BLOCK: usize = 100;

/// The PLC's memory, and what was seen in it at each write.
#[derive(Clone)]
struct Memory(Arc<Mutex<Cells>>);

struct Cells {
    words: [u16; 200],
    /// A write that changed a result while its bit was up, or showed a bit before its values.
    torn: Option<String>,
}

impl Service for Memory {
    type Request = Request<'static>;
    type Response = Response;
    type Exception = ExceptionCode;
    type Future = Ready<Result<Response, ExceptionCode>>;

    fn call(&self, request: Request<'static>) -> Self::Future {
        let mut cells = self.0.lock().expect("nobody panics with it");
        ready(match request {
            Request::ReadHoldingRegisters(at, count) => {
                let at = usize::from(at);
                Ok(Response::ReadHoldingRegisters(cells.words[at..at + usize::from(count)].to_vec()))
            }
            Request::WriteMultipleRegisters(at, words) => {
                let before = Said::of(&cells.words[LINES_BLOCK..]);
                let from = usize::from(at);
                cells.words[from..from + words.len()].copy_from_slice(&words);
                let after = Said::of(&cells.words[LINES_BLOCK..]);
                let result = |said: &Said| (said.result_id, said.verdict, said.part, said.score);
                if before.result_ready && after.result_ready && result(&before) != result(&after) {
                    cells.torn = Some(format!("{before:?} became {after:?}"));
                }
                if after.result_ready && (after.part == 0 || after.verdict == 0) {
                    cells.torn = Some(format!("the bit is up before its values: {after:?}"));
                }
                Ok(Response::WriteMultipleRegisters(at, words.len() as u16))
            }
            _ => Err(ExceptionCode::IllegalFunction),
        })
    }
}

impl Memory {
    fn said(&self) -> Said {
        Said::of(&self.0.lock().expect("nobody panics with it").words[LINES_BLOCK..])
    }

    fn set(&self, id: u32, trigger: bool, ack: bool) {
        let mut cells = self.0.lock().expect("nobody panics with it");
        cells.words[OUR_BLOCK] = (id >> 16) as u16;
        cells.words[OUR_BLOCK + 1] = (id & 0xffff) as u16;
        cells.words[OUR_BLOCK + 19] = u16::from(trigger) + 2 * u16::from(ack);
    }

    fn wait(&self, what: &str, is_so: impl Fn(&Said) -> bool) -> Said {
        let until = Instant::now() + PATIENCE;
        loop {
            let said = self.said();
            if is_so(&said) {
                return said;
            }
            assert!(Instant::now() < until, "waited {PATIENCE:?} for {what}: {said:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Serves the memory until the runtime that is returned goes.
fn serve(memory: &Memory, address: SocketAddr) -> (tokio::runtime::Runtime, SocketAddr) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let listener = wait_for("the port", || {
        runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4().ok()?;
            socket.set_reuseaddr(true).ok()?;
            socket.bind(address).ok()?;
            socket.listen(8).ok()
        })
    });
    let address = listener.local_addr().expect("bound");
    let memory = memory.clone();
    runtime.spawn(async move {
        let connected = |stream, from| {
            let memory = memory.clone();
            async move { accept_tcp_connection(stream, from, |_| Ok(Some(memory.clone()))) }
        };
        let _ = Server::new(listener).serve(&connected, |_| ()).await;
    });
    (runtime, address)
}

#[test]
fn a_plc_that_is_asked_gets_whole_results_and_its_absence_is_noticed() {
    let memory = Memory(Arc::new(Mutex::new(Cells { words: [0; 200], torn: None })));
    let (runtime, address) = serve(&memory, "127.0.0.1:0".parse().expect("an address"));
    let dir = tempfile::tempdir().expect("a folder");
    let plc = format!("[plc]\nlost_ms = 500\n[plc.modbus_client]\naddress = \"{address}\"\npoll_ms = 2\n");
    let config = configure(dir.path(), "synthetic", "by = \"plc\"\nframe_ms = 1000\n", &plc);
    // It is up before the line has ever looked: that is no trigger.
    memory.set(99, true, false);
    let mut program = Program::start(&["run", "--config", text(&config)]);
    let url = program.url();
    memory.wait("a beat", |said| said.beat > 1);
    memory.set(0, false, false);
    let mut part = |id: u32| {
        memory.wait("readiness", |said| said.trigger_ready);
        memory.set(id, true, false);
        assert_eq!(memory.wait("the acknowledgement", |said| said.trigger_ack || said.error).ack_id, id);
        memory.set(id, false, false);
        let said = memory.wait("a result", |said| said.result_ready);
        assert_eq!(said.result_id, id);
        memory.set(id, false, true);
        memory.wait("its fall", |said| !said.result_ready);
        memory.set(id, false, false);
    };
    (1..=40).for_each(&mut part);

    // The PLC goes away with a trigger that was taken, and comes back.
    memory.set(41, true, false);
    memory.wait("the acknowledgement", |said| said.trigger_ack);
    drop(runtime);
    let report = || json(&format!("{url}/api/v1/plc"));
    wait_for("the loss", || (report()["state"] == "lost").then_some(()));
    let (_runtime, _) = serve(&memory, address);
    let said = memory.wait("the result", |said| said.result_ready);
    assert_eq!(said.result_id, 41);
    memory.set(41, false, true);
    memory.wait("its fall", |said| !said.result_ready);
    memory.set(41, false, false);
    memory.wait("readiness", |said| said.trigger_ready);
    let report = report();
    assert_eq!((law(&report["counts"]), &report["counts"]["acknowledged"]), (41, &41.into()));

    program.signal("TERM");
    let (status, _, stderr) = program.end();
    assert_eq!(status.code(), Some(0), "{stderr}");
    assert_eq!(memory.said(), Said::default(), "the last thing that was written is safe");
    assert_eq!(memory.0.lock().expect("nobody panics with it").torn, None);
}
