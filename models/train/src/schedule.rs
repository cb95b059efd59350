//! How the learning rate changes over a training.

use crate::error::TrainError;

/// The learning rate over a stage.
#[derive(Debug, Clone, PartialEq)]
pub enum Schedule {
    /// A short rise to the peak, then half a cosine down to a hundredth of it at the end. See [`cosine`].
    Cosine {
        /// Highest rate.
        peak: f64,
    },
    /// Constant in pieces: `rates[i]` before step `steps[i]`, the last rate from the last of them on. One rate more than steps.
    Piecewise {
        /// Steps at which the rate changes, rising.
        steps: Vec<usize>,
        /// The rates.
        rates: Vec<f64>,
    },
}

impl Schedule {
    /// The steps and rates of the program that inspectd's method comes from.
    pub fn original() -> Schedule {
        Schedule::Piecewise { steps: vec![1000, 3000], rates: vec![1e-4, 1e-5, 1e-6] }
    }

    /// The rate at a step, counted from 0, when `done` (0 to 1) of the stage is over.
    pub fn rate(&self, step: usize, done: f64) -> f64 {
        match self {
            Schedule::Cosine { peak } => cosine(done, *peak),
            Schedule::Piecewise { steps, rates } => rates[steps.partition_point(|&change| change <= step)],
        }
    }

    /// Refuses rates that are no positive numbers and pieces that do not fit together.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), TrainError> {
        let (steps, rates) = match self {
            Schedule::Cosine { peak } => (&[][..], std::slice::from_ref(peak)),
            Schedule::Piecewise { steps, rates } => (&steps[..], &rates[..]),
        };
        let refuse = |reason: String| Err(TrainError::Settings(reason));
        if let Some(rate) = rates.iter().find(|rate| !(rate.is_finite() && **rate > 0.0)) {
            return refuse(format!("learning rate {rate}: give a positive number"));
        }
        if rates.len() != steps.len() + 1 {
            let (rates, steps) = (rates.len(), steps.len());
            return refuse(format!("{steps} changes of the learning rate need {} rates, there are {rates}", steps + 1));
        }
        match steps.windows(2).all(|pair| pair[0] < pair[1]) {
            true => Ok(()),
            false => refuse(format!("the steps {steps:?} at which the learning rate changes must rise")),
        }
    }
}

/// The learning rate at a point of training (0 to 1): a short rise, then half a cosine down to a hundredth.
/// Source: Loshchilov and Hutter, "SGDR", ICLR 2017.
pub fn cosine(done: f64, peak: f64) -> f64 {
    const RISE: f64 = 0.04;
    if done < RISE {
        return peak * (0.05 + 0.95 * done / RISE);
    }
    let fall = (done.min(1.0) - RISE) / (1.0 - RISE);
    peak * (0.01 + 0.99 * 0.5 * (1.0 + (std::f64::consts::PI * fall).cos()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_original_steps_down_by_ten_at_its_steps() {
        let schedule = Schedule::original();
        let rates = [0, 999, 1000, 2999, 3000, 1_000_000].map(|step| schedule.rate(step, 0.0));
        assert_eq!(rates, [1e-4, 1e-4, 1e-5, 1e-5, 1e-6, 1e-6]);
    }

    #[test]
    fn the_cosine_rises_briefly_and_falls_to_a_hundredth() {
        let rates: Vec<f64> =
            (0..=100).map(|percent| Schedule::Cosine { peak: 2.0 }.rate(0, f64::from(percent) / 100.0)).collect();
        let top = rates.iter().position(|&rate| (rate - 2.0).abs() < 1e-9).expect("it reaches its peak");
        assert!(rates[..=top].is_sorted() && rates[top..].is_sorted_by(|a, b| a >= b) && top <= 10);
        assert!((rates[100] - 0.02).abs() < 1e-9 && rates[0] > 0.0);
    }

    #[test]
    fn schedules_that_cannot_be_are_refused() {
        let piecewise =
            |steps: &[usize], rates: &[f64]| Schedule::Piecewise { steps: steps.into(), rates: rates.into() };
        for (schedule, words) in [
            (piecewise(&[10], &[1e-3]), "need 2 rates"),
            (piecewise(&[10, 10], &[1e-3, 1e-4, 1e-5]), "must rise"),
            (piecewise(&[], &[]), "need 1 rates"),
            (piecewise(&[], &[-1.0]), "positive"),
            (Schedule::Cosine { peak: f64::NAN }, "positive"),
        ] {
            let message = schedule.check().expect_err(words).to_string();
            assert!(message.contains(words), "{message}");
        }
        Schedule::original().check().expect("the original's own");
    }
}
