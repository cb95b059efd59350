//! How long a verdict takes: one image after the other, nothing else of this program running.

use std::time::{Duration, Instant};

use models::prediction::Model;
use models::ruling;
use serde::Serialize;

use crate::error::TrainError;
use crate::samples::Samples;

/// Images that are timed, at most.
const TIMED: usize = 200;
/// Runs before the clock counts.
const WARM_UP: usize = 3;

/// Milliseconds; a percentile is one of the measured values (nearest rank).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Percentiles {
    /// Half of them took no longer.
    pub p50: f64,
    /// 95 of a hundred.
    pub p95: f64,
    /// 99 of a hundred.
    pub p99: f64,
    /// None took longer.
    pub max: f64,
}

/// Time of the verdict alone (resize, normalise, network, thresholds), with the time to read and decode the file apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Latency {
    /// Images that were timed.
    pub images: usize,
    /// The verdict.
    #[serde(flatten)]
    pub verdict: Percentiles,
    /// Reading and decoding the file before it.
    pub decode: Percentiles,
}

/// Times the model on images spread over the samples.
///
/// # Errors
/// When there is no sample, one cannot be loaded, or the model does not run.
pub fn measure(model: &dyn Model, samples: &dyn Samples) -> Result<Latency, TrainError> {
    let images = samples.len().min(TIMED);
    if images == 0 {
        return Err(TrainError::Data("there is no image to measure on".into()));
    }
    let mut tensor = vec![0.0; model.tensor_len()];
    let (mut decodes, mut verdicts) = (Vec::new(), Vec::new());
    for nth in 0..images + WARM_UP {
        let start = Instant::now();
        let sample = samples.load(nth.saturating_sub(WARM_UP) * samples.len() / images)?;
        let decoded = Instant::now();
        model.manifest().fill(sample.image.view(), &mut tensor);
        let (said, manifest) = (model.predict(&tensor)?, model.manifest());
        let said = ruling::decide(&said.scores, said.beside(), &manifest.labels, &manifest.heads);
        let decided = decoded.elapsed();
        std::hint::black_box(said);
        if nth >= WARM_UP {
            decodes.push(decoded - start);
            verdicts.push(decided);
        }
    }
    Ok(Latency { images, verdict: percentiles(verdicts), decode: percentiles(decodes) })
}

/// The percentiles of at least one value.
fn percentiles(mut times: Vec<Duration>) -> Percentiles {
    times.sort_unstable();
    let ms = |share: f64| {
        let rank = ((times.len() as f64 * share).ceil() as usize).clamp(1, times.len());
        1e3 * times[rank - 1].as_secs_f64()
    };
    Percentiles { p50: ms(0.5), p95: ms(0.95), p99: ms(0.99), max: ms(1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_measured_values() {
        let times = (1..=200).rev().map(Duration::from_millis).collect();
        assert_eq!(percentiles(times), Percentiles { p50: 100.0, p95: 190.0, p99: 198.0, max: 200.0 });
        let one = percentiles(vec![Duration::from_millis(7)]);
        assert_eq!((one.p50, one.max), (7.0, 7.0));
    }
}
