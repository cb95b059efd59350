//! A line that is called by a PLC, and a PLC made of single requests.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio_modbus::Slave;
use tokio_modbus::client::{Context, Reader, Writer, tcp};

use crate::support::{PATIENCE, Program, jpeg, text, tiny_bundle, wait_for};

pub(crate) const TEN: Duration = Duration::from_secs(10);

/// Writes a configuration with everything it needs; `kind`: the source.
pub(crate) fn configure(dir: &Path, kind: &str, trigger: &str, plc: &str) -> PathBuf {
    tiny_bundle(dir);
    let recipe = "name = \"bracket\"\nversion = 1\nbundle = \"tiny.bundle\"\ndeadline_ms = 1500\n";
    fs::write(dir.join("bracket.toml"), recipe).expect("written");
    let source = match kind {
        "folder" => {
            let camera = dir.join("camera");
            fs::create_dir_all(&camera).expect("a folder");
            for (name, level) in [("a.jpg", 40), ("b.jpg", 215)] {
                fs::write(camera.join(name), jpeg(level)).expect("written");
            }
            "path = \"camera\"\n"
        }
        "genicam" => {
            "interface = \"fake\"\ntrigger = { mode = \"software\" }\nregion = { width = 1920, height = 1200 }\n"
        }
        _ => "size = 128\nbad_frame_rate = 0.0\n",
    };
    let config = format!(
        "format = 1\n[line]\nname = \"press-3\"\nrecipe = \"bracket.toml\"\n[source]\nkind = \"{kind}\"\n{source}\
         [trigger]\n{trigger}{plc}[store]\ndir = \"state\"\n[api]\nlisten = \"127.0.0.1:0\"\n[access]\nmode = \"open\"\n"
    );
    let file = dir.join("line.toml");
    fs::write(&file, config).expect("written");
    file
}

/// The program at work.
pub(crate) struct Line {
    pub(crate) program: Program,
    pub(crate) url: String,
    pub(crate) address: SocketAddr,
    config: PathBuf,
    _dir: tempfile::TempDir,
}

impl Line {
    /// A synthetic line with further keys of `[plc]` and of `[plc.modbus_server]`.
    pub(crate) fn start(plc: &str, server: &str) -> Line {
        Line::of("synthetic", plc, server)
    }

    pub(crate) fn of(kind: &str, plc: &str, server: &str) -> Line {
        let plc = format!("[plc]\n{plc}[plc.modbus_server]\nlisten = \"127.0.0.1:0\"\n{server}");
        let dir = tempfile::tempdir().expect("a folder");
        let config = configure(dir.path(), kind, "by = \"plc\"\nframe_ms = 1000\n", &plc);
        let (program, url, address) = run(&config);
        Line { program, url, address, config, _dir: dir }
    }

    /// The same after its end.
    pub(crate) fn again(&mut self) {
        (self.program, self.url, self.address) = run(&self.config);
    }

    pub(crate) fn plc(&self) -> Plc {
        self.plc_of_unit(255)
    }

    pub(crate) fn plc_of_unit(&self, unit: u8) -> Plc {
        Plc::connect(self.address, unit)
    }
}

fn run(config: &Path) -> (Program, String, SocketAddr) {
    let mut program = Program::start(&["run", "--config", text(config)]);
    let url = program.url();
    let address = wait_for("the PLC's port", || {
        let printed = program.printed();
        let rest = printed.split("Modbus TCP server on ").nth(1)?;
        rest.split_whitespace().next()?.parse().ok()
    });
    (program, url, address)
}

/// What the line says, by its addresses.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Said {
    pub(crate) trigger_ready: bool,
    pub(crate) trigger_ack: bool,
    pub(crate) result_ready: bool,
    pub(crate) accept: bool,
    pub(crate) busy: bool,
    pub(crate) error: bool,
    pub(crate) ack_overdue: bool,
    pub(crate) beat: u16,
    pub(crate) session: u16,
    pub(crate) error_code: u16,
    pub(crate) recipe: u16,
    pub(crate) ack_id: u32,
    pub(crate) missed: u32,
    pub(crate) verdict: u16,
    pub(crate) cause: u16,
    pub(crate) result_id: u32,
    pub(crate) label: u16,
    pub(crate) score: u16,
    pub(crate) part: u32,
}

impl Said {
    pub(crate) fn of(registers: &[u16]) -> Said {
        let bit = |at: u16| registers[0] & (1 << at) != 0;
        let pair = |at: usize| u32::from(registers[at]) * 0x1_0000 + u32::from(registers[at + 1]);
        Said {
            trigger_ready: bit(0),
            trigger_ack: bit(1),
            result_ready: bit(2),
            accept: bit(3),
            busy: bit(4),
            error: bit(5),
            ack_overdue: bit(7),
            beat: registers[1],
            session: registers[2],
            error_code: registers[3],
            recipe: registers[4],
            ack_id: pair(5),
            missed: pair(7),
            verdict: registers[9],
            cause: registers[10],
            result_id: pair(11),
            label: registers[13],
            score: registers[14],
            part: pair(15),
        }
    }
}

/// A PLC's connection.
pub(crate) struct Plc {
    runtime: Runtime,
    context: Context,
}

impl Plc {
    pub(crate) fn connect(address: SocketAddr, unit: u8) -> Plc {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let context = runtime.block_on(tcp::connect_slave(address, Slave(unit))).expect("connected");
        Plc { runtime, context }
    }

    /// All that the line says; an error when it does not answer.
    pub(crate) fn try_read(&mut self) -> Result<Said, String> {
        let asked = async { tokio::time::timeout(TEN, self.context.read_input_registers(0, 20)).await };
        let registers = self.runtime.block_on(asked).map_err(|_| "no answer".to_owned())?;
        let registers = registers.map_err(|error| error.to_string())?.map_err(|exception| exception.to_string())?;
        Ok(Said::of(&registers))
    }

    pub(crate) fn read(&mut self) -> Said {
        self.try_read().expect("an answer")
    }

    /// Reads until it is so.
    pub(crate) fn wait(&mut self, what: &str, is_so: impl Fn(&Said) -> bool) -> Said {
        let until = Instant::now() + PATIENCE;
        loop {
            let said = self.read();
            if is_so(&said) {
                return said;
            }
            assert!(Instant::now() < until, "waited {PATIENCE:?} for {what}: {said:?}");
        }
    }

    fn coil(&mut self, at: u16, up: bool) {
        let told = self.context.write_single_coil(at, up);
        self.runtime.block_on(told).expect("an answer").expect("the coil is there");
    }

    /// Writes the values, then the bit.
    pub(crate) fn raise(&mut self, id: u32, recipe: u16, serial: &str) {
        let mut registers = vec![(id >> 16) as u16, (id & 0xffff) as u16, recipe];
        let mut bytes = serial.as_bytes().to_vec();
        bytes.resize(32, 0);
        registers.extend(bytes.chunks(2).map(|pair| u16::from(pair[0]) * 256 + u16::from(pair[1])));
        let told = self.context.write_multiple_registers(0, &registers);
        self.runtime.block_on(told).expect("an answer").expect("the registers are there");
        self.coil(0, true);
    }

    pub(crate) fn lower(&mut self) {
        self.coil(0, false);
    }

    pub(crate) fn raise_ack(&mut self) {
        self.coil(1, true);
    }

    /// A trigger that must be taken, up and down.
    pub(crate) fn trigger(&mut self, id: u32, recipe: u16, serial: &str) {
        self.raise(id, recipe, serial);
        let said = self.wait("the trigger's acknowledgement", |said| said.trigger_ack || said.error);
        assert!(said.trigger_ack && said.ack_id == id, "{said:?}");
        self.lower();
        self.wait("its fall", |said| !said.trigger_ack);
    }

    /// Acknowledges the result that is shown, up and down.
    pub(crate) fn acknowledge(&mut self) {
        self.raise_ack();
        let said = self.wait("the result's fall", |said| !said.result_ready);
        assert_eq!((said.verdict, said.result_id, said.accept), (0, 0, false), "without its bit nothing stands there");
        self.coil(1, false);
    }
}
