//! The real program on the synthetic line, and how long its parts waited: shared by the benchmarks that put something beside a line.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Parts of a window, and the first ones, which belong to the change of sides.
pub(crate) const PARTS: usize = 100;
pub(crate) const SETTLE: usize = 10;
pub(crate) const PACE: &str = "10";
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A running line.
pub(crate) struct Line {
    program: Child,
    pub(crate) url: String,
}

impl Line {
    pub(crate) fn start(folder: &Path) -> Line {
        let mut command = Command::new(env!("CARGO_BIN_EXE_inspectd"));
        command
            .args(["--log-level", "error", "demo", "--rate", PACE, "--listen", "127.0.0.1:0", "--state"])
            .arg(folder.join("state"));
        let mut program = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().expect("the line starts");
        let stdout = BufReader::new(program.stdout.take().expect("piped"));
        let mut lines = stdout.lines().map_while(Result::ok);
        let address = lines.find_map(|line| {
            let from = line.find("http://")?;
            Some(line[from..].split_whitespace().next()?.trim_end_matches('/').to_owned())
        });
        // Whoever prints into a closed pipe ends, so it is read to its end.
        std::thread::spawn(move || lines.for_each(drop));
        Line { program, url: address.expect("the line says where it is") }
    }

    /// Trigger to verdict of the parts that come from now on, in milliseconds.
    pub(crate) fn window(&self) -> Vec<f64> {
        let newest = || self.parts("?limit=1").first().map_or(0, |part| part["id"].as_u64().expect("an id"));
        let first = newest() + SETTLE as u64;
        let since = Instant::now();
        while newest() < first + (PARTS - SETTLE) as u64 {
            assert!(since.elapsed() < PATIENCE, "the line stands still");
            sleep(Duration::from_millis(200));
        }
        let parts = self.parts("?limit=200");
        let those = parts.iter().filter(|part| part["id"].as_u64().is_some_and(|id| id > first));
        those
            .map(|part| part["ledger"]["total_us"].as_f64().expect("a latency") / 1000.0)
            .take(PARTS - SETTLE)
            .collect()
    }

    fn parts(&self, query: &str) -> Vec<Value> {
        let answer = ureq::get(format!("{}/api/v1/inspections{query}", self.url)).call();
        let mut answer = answer.expect(
            "the line answers: where it gave up, its words stand above, and the machine is too busy to measure on",
        );
        let page: Value = answer.body_mut().read_json().expect("JSON");
        page["items"].as_array().expect("items").clone()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        end(&mut self.program);
    }
}

pub(crate) fn end(program: &mut Child) {
    let _ended_already = program.kill();
    let _reaped = program.wait();
}

/// Nearest rank.
pub(crate) fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((share * sorted.len() as f64).ceil() as usize).clamp(1, sorted.len()) - 1]
}
