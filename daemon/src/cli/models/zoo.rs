//! `inspectd models zoo`: published networks that graphs can be built of, with what they cost; with `--measure` on this machine.

use std::hint::black_box;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use indicatif::ProgressBar;
use models::bundle::Machine;
use models::graph::ModelProto;
use models::runtime::{Probe, Provider, RuntimeError, init};
use models::zoo::{ALL, Family, LOGITS, Order, Random};
use serde_json::{Value, json};

use crate::cli::{FAILURE, SUCCESS, out};
use crate::words;

/// A network runs for this long, but at least [`LEAST_RUNS`] times.
const PATIENCE: Duration = Duration::from_secs(2);
const LEAST_RUNS: usize = 5;

/// Arguments of `zoo`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only these networks.
    #[arg(value_name = "NAME", value_parser = family)]
    names: Vec<&'static Family>,
    /// Run each on this machine, on the best provider that works, and say how long a pass takes on one thread and what memory it
    /// takes. Weights are random, which changes neither.
    #[arg(long)]
    measure: bool,
    /// One JSON line per network.
    #[arg(long)]
    json: bool,
}

/// Exit code 0 when every network could be measured, where that was asked for.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let families = match args.names.as_slice() {
        [] => ALL.to_vec(),
        names => names.to_vec(),
    };
    let mut rows = Vec::new();
    let bar = if args.measure { ProgressBar::new(families.len() as u64) } else { ProgressBar::hidden() };
    for family in &families {
        let mut row = describe(family)?;
        if args.measure {
            // Each in a process of its own, so that none runs in memory that another left.
            let measured = if families.len() == 1 { measure(family) } else { measure_apart(family) };
            match measured {
                Ok(measured) => row["measured"] = measured,
                Err(error) => row["problem"] = json!(words::of(&error)),
            }
        }
        bar.inc(1);
        rows.push(row);
    }
    bar.finish_and_clear();
    match args.json {
        true => rows.iter().try_for_each(out::json)?,
        false => tell(&rows, args.measure)?,
    }
    let failed = rows.iter().any(|row| row["problem"].is_string());
    Ok(ExitCode::from(if failed { FAILURE } else { SUCCESS }))
}

/// The network of this name.
pub(in crate::cli) fn family(name: &str) -> Result<&'static Family, String> {
    Family::find(name).ok_or_else(|| {
        let names: Vec<&str> = ALL.iter().map(|family| family.name).collect();
        format!("there is no network `{name}`: name one of {}", names.join(", "))
    })
}

fn describe(family: &Family) -> anyhow::Result<Value> {
    let books = family.books(family.size)?;
    let recipe = &family.recipe;
    Ok(json!({
        "name": family.name,
        "source": family.source().to_string(),
        "size": family.size,
        "parameters": books.parameters,
        "multiply_adds": books.multiply_adds,
        "top1_percent": family.published.top1_percent,
        "top1_by": family.published.by,
        "preprocessing": {
            "name": recipe.name,
            "order": if recipe.order == Order::Bgr { "bgr" } else { "rgb" },
            "mean": recipe.mean.map(six_places),
            "std": recipe.std.map(six_places),
        },
    }))
}

/// A number as it was written down, not with all that 32 bits make of it.
fn six_places(value: f32) -> f64 {
    (f64::from(value) * 1e6).round() / 1e6
}

/// In another process of this program: one network with `--measure --json`.
fn measure_apart(family: &Family) -> anyhow::Result<Value> {
    let program = std::env::current_exe().context("this program does not find itself")?;
    let child = Command::new(program)
        .args(["models", "zoo", family.name, "--measure", "--json"])
        .stderr(Stdio::inherit())
        .output()
        .context("the measuring process cannot be started")?;
    // A process that was killed, for want of memory most likely, has printed nothing.
    ensure!(!child.stdout.is_empty(), "the measuring process ended early ({})", child.status);
    let mut row: Value = serde_json::from_slice(&child.stdout).context("the measuring process said something else")?;
    match row["problem"].as_str() {
        Some(problem) => bail!("{problem}"),
        None => Ok(row["measured"].take()),
    }
}

fn measure(family: &Family) -> anyhow::Result<Value> {
    init(None)?;
    let before = resident_bytes()?;
    let (provider, mut probe) = load(family)?;
    let input: Vec<f32> = Random(2).uniform("input", 3 * family.size * family.size).collect();
    let mut pass = || -> Result<f64, RuntimeError> {
        let start = Instant::now();
        probe.run(&input, |_, logits| {
            black_box(logits);
        })?;
        Ok(1e3 * start.elapsed().as_secs_f64())
    };
    // The first pass lays memory out.
    pass()?;
    let start = Instant::now();
    let mut passes = Vec::new();
    while passes.len() < LEAST_RUNS || start.elapsed() < PATIENCE {
        passes.push(pass()?);
    }
    passes.sort_by(f64::total_cmp);
    Ok(json!({
        "provider": provider,
        "latency_ms": passes[passes.len() / 2],
        "fastest_ms": passes[0],
        "passes": passes.len(),
        "memory_bytes": resident_bytes()?.saturating_sub(before),
        "machine": Machine::this(),
    }))
}

/// On the best provider that works here. The graph is dropped: what stays is the session's own.
fn load(family: &Family) -> anyhow::Result<(Provider, Probe)> {
    let model = ModelProto::read(&family.build(family.size, &mut Random(1))?)?;
    let shape = [1, 3, family.size, family.size];
    let mut refused = None;
    for provider in Provider::ALL {
        match Probe::on(provider, &model, shape, &[LOGITS.to_owned()]) {
            Ok(probe) => return Ok((provider, probe)),
            Err(error) => refused = Some(error),
        }
    }
    Err(refused.map_or_else(|| anyhow::anyhow!("there is no provider"), Into::into))
}

/// Memory that this process holds, proc_pid_status(5).
fn resident_bytes() -> anyhow::Result<u64> {
    let path = "/proc/self/status";
    let status = std::fs::read_to_string(path).with_context(|| format!("`{path}` cannot be read"))?;
    let kibibytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    Ok(kibibytes.with_context(|| format!("`{path}` does not say how much memory is in use"))? << 10)
}

fn tell(rows: &[Value], measured: bool) -> anyhow::Result<()> {
    let head = ["network", "source", "input", "parameters", "multiply-adds", "top-1", "preprocessing", "ms", "MB"];
    let columns = if measured { 9 } else { 7 };
    let mut table = vec![head.map(str::to_owned)];
    table.extend(rows.iter().map(cells));
    let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in &table {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
        out::line(cells.join("  ").trim_end())?;
    }
    out::line("\nTop-1 on ImageNet's validation set is what these publish of their weights, not measured here:")?;
    for row in rows {
        out::line(format_args!("{}: {}", text(&row["name"]), text(&row["top1_by"])))?;
    }
    if let Some(row) = rows.iter().find(|row| row["measured"].is_object()) {
        let (machine, provider) = (&row["measured"]["machine"], &row["measured"]["provider"]);
        out::line(format_args!(
            "\nMeasured with random weights on {} ({}), one thread, provider {}, ONNX Runtime {}: the median pass, and what the \
             process held more afterwards.",
            text(&machine["processor"]),
            text(&machine["system"]),
            text(provider),
            text(&machine["onnxruntime"])
        ))?;
    }
    for row in rows.iter().filter(|row| row["problem"].is_string()) {
        out::line(format_args!("{} could not be measured: {}", text(&row["name"]), text(&row["problem"])))?;
    }
    Ok(())
}

fn cells(row: &Value) -> [String; 9] {
    let number = |value: &Value, unit: f64, places: usize| {
        value.as_f64().map_or("-".to_owned(), |value| format!("{:.places$}", value / unit))
    };
    [
        text(&row["name"]),
        text(&row["source"]),
        row["size"].to_string(),
        row["parameters"].to_string(),
        format!("{} G", number(&row["multiply_adds"], 1e9, 3)),
        format!("{} %", number(&row["top1_percent"], 1.0, 1)),
        text(&row["preprocessing"]["name"]),
        number(&row["measured"]["latency_ms"], 1.0, 1),
        number(&row["measured"]["memory_bytes"], 1e6, 0),
    ]
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
