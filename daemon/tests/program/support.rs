//! Starts the program, makes what it needs: a model so small that it can be checked by hand, pictures, configurations.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use models::bundle::{Bundle, Disposition, Expectation, FORMAT, Label, Manifest, Pooling, Provenance, Tolerance};
use models::graph::{Conv, GraphBuilder};
use models::image::{Image, PixelFormat, encode_jpeg, encode_png};
use models::preprocess::Preprocess;
use models::weights::Tensor;
use serde_json::Value;

/// How long a loaded machine may take for something that usually takes a moment.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Input of the tiny model, pixels across and down.
const SIDE: usize = 16;

/// A model that calls a picture `scratch` (fail) if it is bright and `good` if it is dark: the mean of the input, scaled.
pub(crate) fn tiny_bundle(dir: &Path) -> PathBuf {
    biased_bundle(dir, "tiny", 0.0)
}

/// The same under another name, which sees scratches a little more readily (`bias` above 0) or less.
pub(crate) fn biased_bundle(dir: &Path, name: &str, bias: f32) -> PathBuf {
    let mut graph = GraphBuilder::new("tiny");
    let x = graph.input("image", &[1, 3, SIDE, SIDE]);
    let weights = Tensor { shape: vec![2, 3, 1, 1], data: vec![-2.0, -2.0, -2.0, 2.0, 2.0, 2.0] };
    graph.initializer("heat.weight", &weights);
    graph.initializer("heat.bias", &Tensor { shape: vec![2], data: vec![0.0, bias] });
    let heat = graph.conv(&x, Conv { kernel: 1, stride: 1, groups: 1 }, "heat");
    let mean = graph.global_average(&heat, "mean");
    let flat = graph.flatten(&mean, "flat");
    let scores = graph.softmax(&flat, "scores");
    graph.output(&scores, &[1, 2]);
    graph.output(&heat, &[1, 2, SIDE, SIDE]);
    let label = |name: &str, verdict| Label { name: name.to_owned(), verdict, threshold: 0.5 };
    let preprocess = Preprocess { width: SIDE as u32, height: SIDE as u32, mean: [0.5; 3], std: [0.25; 3] };
    let manifest = Manifest {
        format: FORMAT,
        name: name.to_owned(),
        labels: vec![label("good", Disposition::Pass), label("scratch", Disposition::Fail)],
        preprocess,
        pooling: Pooling::Mean,
        input: "image".to_owned(),
        scores: "scores".to_owned(),
        heat: "heat".to_owned(),
        heads: Default::default(),
        precision: Default::default(),
        graph_sha256: String::new(),
        files_sha256: BTreeMap::new(),
        tolerance: Tolerance { fp32: 1e-3, fp16: 2e-2 },
        provenance: Provenance::default(),
    };
    let expectations = [10, 240].map(|level| expectation(&manifest.preprocess, bias, textured(level, SIDE as u32)));
    let mut bundle = Bundle {
        manifest,
        graph: graph.finish(),
        expectations: expectations.into(),
        model_card: None,
        certificate: None,
        reference: None,
    };
    let path = dir.join(format!("{name}.bundle"));
    bundle.save(&path).expect("a sound bundle is saved");
    path
}

/// What the tiny model must say, computed here.
fn expectation(preprocess: &Preprocess, bias: f32, image: Image) -> Expectation {
    let mut tensor = vec![0.0; preprocess.tensor_len()];
    preprocess.fill(image.view(), &mut tensor);
    let cells = SIDE * SIDE;
    let sum = |cell: usize| (0..3).map(|channel| tensor[channel * cells + cell]).sum::<f32>();
    let logit = |(weight, bias): (f32, f32), cell| weight * sum(cell) + bias;
    let heat: Vec<f32> =
        [(-2.0, 0.0), (2.0, bias)].iter().flat_map(|&label| (0..cells).map(move |cell| logit(label, cell))).collect();
    let mean = |label: usize| heat[label * cells..(label + 1) * cells].iter().sum::<f32>() / cells as f32;
    let scratch = 1.0 / (1.0 + (mean(0) - mean(1)).exp());
    Expectation { image, scores: vec![1.0 - scratch, scratch], heat, named: BTreeMap::new() }
}

/// A picture around a grey level, with enough texture not to be blank.
pub(crate) fn textured(level: u8, side: u32) -> Image {
    let pixel =
        |at: u32| level.saturating_add_signed(if (at / 3 + at / (3 * side)).is_multiple_of(2) { 8 } else { -8 });
    Image { width: side, height: side, format: PixelFormat::Rgb8, data: (0..3 * side * side).map(pixel).collect() }
}

/// A picture as a JPEG file's bytes.
pub(crate) fn jpeg(level: u8) -> Vec<u8> {
    encode_jpeg(textured(level, 64).view(), 90).expect("a small picture is encoded")
}

/// A picture as a PNG file's bytes.
pub(crate) fn png(level: u8) -> Vec<u8> {
    encode_png(textured(level, 64).view()).expect("a small picture is encoded")
}

/// The program, not yet started.
pub(crate) fn inspectd(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_inspectd"));
    command.args(arguments).stdin(Stdio::null()).env_remove("STATE_DIRECTORY").env_remove("NOTIFY_SOCKET");
    command
}

/// Runs it to its end.
pub(crate) fn output(arguments: &[&str]) -> Output {
    inspectd(arguments).output().expect("the program starts")
}

/// Standard output and standard error, and the exit code.
pub(crate) fn words(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// Asks until there is an answer.
pub(crate) fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = probe() {
            return answer;
        }
        assert!(Instant::now() < until, "waited {PATIENCE:?} for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The program at work. Killed when dropped.
pub(crate) struct Program {
    child: Child,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
    readers: Vec<std::thread::JoinHandle<()>>,
}

impl Program {
    pub(crate) fn start(arguments: &[&str]) -> Program {
        Program::spawn(inspectd(arguments))
    }

    pub(crate) fn spawn(command: Command) -> Program {
        Program::spawn_read_by(command, collect)
    }

    /// The same for what draws on a terminal, where no line ever ends.
    pub(crate) fn spawn_drawing(command: Command) -> Program {
        Program::spawn_read_by(command, collect_drawing)
    }

    fn spawn_read_by(
        mut command: Command,
        read: fn(std::process::ChildStdout, Arc<Mutex<String>>) -> std::thread::JoinHandle<()>,
    ) -> Program {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let (stdout, stderr) = (Arc::new(Mutex::new(String::new())), Arc::new(Mutex::new(String::new())));
        let readers = vec![
            read(child.stdout.take().expect("piped"), stdout.clone()),
            collect(child.stderr.take().expect("piped"), stderr.clone()),
        ];
        Program { child, stdout, stderr, readers }
    }

    /// Everything printed so far, both streams.
    pub(crate) fn printed(&self) -> String {
        format!("{}{}", self.stdout.lock().expect("readers live"), self.stderr.lock().expect("readers live"))
    }

    /// The page's address, without a slash at its end, once the line is ready.
    pub(crate) fn url(&mut self) -> String {
        let url = self.url_of_a_short_line();
        wait_for("readiness", || {
            self.must_run();
            agent().get(format!("{url}/readyz")).call().ok().filter(|answer| answer.status() == 200)
        });
        url
    }

    /// The same of a line that may have ended its parts already.
    pub(crate) fn url_of_a_short_line(&mut self) -> String {
        wait_for("the page's address", || {
            self.must_run();
            let printed = self.printed();
            let from = printed.find("http://127.0.0.1:")?;
            let rest = &printed[from..];
            rest["http://".len()..].find('/').map(|end| rest[.."http://".len() + end].to_owned())
        })
    }

    fn must_run(&mut self) {
        if let Some(status) = self.child.try_wait().expect("a child can be asked") {
            panic!("the program ended ({status}):\n{}", self.printed());
        }
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().expect("kill runs").success());
    }

    /// Waits for the end; exit status, standard output, standard error.
    pub(crate) fn end(mut self) -> (ExitStatus, String, String) {
        let status = wait_for("the program's end", || self.child.try_wait().expect("a child can be asked"));
        for reader in self.readers.drain(..) {
            reader.join().expect("readers do not panic");
        }
        let text = |stream: &Mutex<String>| stream.lock().expect("readers are done").clone();
        (status, text(&self.stdout), text(&self.stderr))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn collect(pipe: impl Read + Send + 'static, into: Arc<Mutex<String>>) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let mut text = into.lock().expect("nobody panics with it");
            text.push_str(&line);
            text.push('\n');
        }
    })
}

fn collect_drawing(mut pipe: std::process::ChildStdout, into: Arc<Mutex<String>>) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(read @ 1..) = pipe.read(&mut piece) {
            // A sign that is cut in two is no word that a test looks for.
            into.lock().expect("nobody panics with it").push_str(&String::from_utf8_lossy(&piece[..read]));
        }
    })
}

/// A client that gives back every status as an answer, with a bound on every wait.
pub(crate) fn agent() -> ureq::Agent {
    let config =
        ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(20))).http_status_as_error(false);
    config.build().into()
}

/// An answer: status, content type, JSON (null if it is none).
pub(crate) fn get(url: &str) -> (u16, String, Value) {
    let mut answer = agent().get(url).call().unwrap_or_else(|error| panic!("GET {url}: {error}"));
    let kind = answer.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
    let json = answer.body_mut().read_json().unwrap_or(Value::Null);
    (answer.status().as_u16(), kind, json)
}

/// The JSON of a good answer.
pub(crate) fn json(url: &str) -> Value {
    let (status, _, json) = get(url);
    assert_eq!(status, 200, "GET {url}: {json}");
    json
}

/// Asserts the law on an object with the counts; gives `triggered`.
pub(crate) fn law(counts: &Value) -> u64 {
    let number = |name: &str| counts[name].as_u64().unwrap_or_else(|| panic!("no number `{name}` in {counts}"));
    let sum: u64 = ["pass", "fail", "review", "no_decision", "in_flight"].into_iter().map(number).sum();
    assert_eq!(number("triggered"), sum, "the law is broken: {counts}");
    sum
}

/// A path as text.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}
