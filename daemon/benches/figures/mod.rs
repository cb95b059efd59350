//! What benchmarks print: a line for people, and one of JSON in the file that `INSPECTD_BENCH_JSON` names, so that two runs can be compared.

use std::fs::OpenOptions;
use std::io::Write;

use serde_json::json;

/// The middle of some measurements, and between which two of them the true median lies with 95 % confidence (sign test).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Median {
    pub(crate) value: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Median {
    /// With fewer than six the interval is their range, and its confidence lower.
    pub(crate) fn of(values: &[f64]) -> Median {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let n = sorted.len();
        // The chance that fewer than `outer + 1` of `n` fair coins show heads, as long as it is below a fortieth.
        let (mut outer, mut chance, mut ways) = (0, 0.0, 1.0);
        while outer < n / 2 {
            chance += ways * 0.5_f64.powi(n as i32);
            if chance > 0.025 {
                break;
            }
            ways *= (n - outer) as f64 / (outer + 1) as f64;
            outer += 1;
        }
        let outer = outer.saturating_sub(1);
        Median { value: sorted[n / 2], low: sorted[outer], high: sorted[n - 1 - outer] }
    }
}

impl std::fmt::Display for Median {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.3} ({:.3} to {:.3})", self.value, self.low, self.high)
    }
}

/// Prints a figure and notes it. `better`: whether more of it is better or less, for who compares.
pub(crate) fn note(name: &str, unit: &str, better: &str, figure: Median) {
    println!("{name}: {figure} {unit}");
    let Ok(path) = std::env::var("INSPECTD_BENCH_JSON") else { return };
    let line = json!({
        "name": name, "unit": unit, "better": better, "median": figure.value, "low": figure.low, "high": figure.high,
    });
    let file = OpenOptions::new().create(true).append(true).open(&path);
    file.and_then(|mut file| writeln!(file, "{line}"))
        .unwrap_or_else(|error| panic!("the figures cannot be written to {path}: {error}"));
}
