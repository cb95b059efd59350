//! Agreement beyond chance.
//!
//! Sources: Cohen, "A coefficient of agreement for nominal scales", Educational and Psychological Measurement 20, 1960, with the standard error
//! given there; Fleiss, "Measuring nominal scale agreement among many raters", Psychological Bulletin 76, 1971.

use models_train::evaluation::intervals::deviations;
use serde::Serialize;
use utoipa::ToSchema;

/// Of the intervals.
pub const CONFIDENCE: f64 = 0.95;

/// 1: always of one mind; 0: no more often than by chance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
#[schema(as = GaugeKappa)]
pub struct Kappa {
    /// The coefficient.
    pub value: f64,
    /// 95 % of it, where a standard error is known.
    #[schema(required = true)]
    pub ci: Option<[f64; 2]>,
}

/// Of two who rate the same things; none: nothing was rated, or both put everything into one and the same class, of which kappa says nothing.
pub fn cohen(pairs: &[(bool, bool)]) -> Option<Kappa> {
    if pairs.is_empty() {
        return None;
    }
    let n = pairs.len() as f64;
    let share = |is: &dyn Fn(&(bool, bool)) -> bool| pairs.iter().filter(|pair| is(pair)).count() as f64 / n;
    let (first, second) = (share(&|pair| pair.0), share(&|pair| pair.1));
    let seen = share(&|pair| pair.0 == pair.1);
    let chance = first * second + (1.0 - first) * (1.0 - second);
    let left = 1.0 - chance;
    if left < f64::EPSILON {
        return None;
    }
    let value = (seen - chance) / left;
    let spread = deviations(CONFIDENCE) * (seen * (1.0 - seen) / n).sqrt() / left;
    Some(Kappa { value, ci: Some([(value - spread).max(-1.0), (value + spread).min(1.0)]) })
}

/// Of several ratings of each thing: for each, how many put it into each class. None: as with [`cohen`], or fewer than two ratings each.
pub fn fleiss(counts: &[Vec<usize>]) -> Option<Kappa> {
    let raters = counts.first()?.iter().sum::<usize>();
    if raters < 2 || counts.iter().any(|of| of.iter().sum::<usize>() != raters) {
        return None;
    }
    let (n, m) = (counts.len() as f64, raters as f64);
    let agreement = |of: &Vec<usize>| of.iter().map(|&k| (k * k) as f64 - k as f64).sum::<f64>() / (m * (m - 1.0));
    let seen = counts.iter().map(agreement).sum::<f64>() / n;
    let classes = counts[0].len();
    let share = |class: usize| counts.iter().map(|of| of[class] as f64).sum::<f64>() / (n * m);
    let chance = (0..classes).map(|class| share(class).powi(2)).sum::<f64>();
    let left = 1.0 - chance;
    (left >= f64::EPSILON).then(|| Kappa { value: (seen - chance) / left, ci: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many pairs of each kind.
    fn table(both_bad: usize, first_bad: usize, second_bad: usize, both_good: usize) -> Vec<(bool, bool)> {
        let kinds = [
            ((false, false), both_bad),
            ((false, true), first_bad),
            ((true, false), second_bad),
            ((true, true), both_good),
        ];
        kinds.into_iter().flat_map(|(pair, count)| vec![pair; count]).collect()
    }

    /// The attribute study of AIAG, "Measurement Systems Analysis", 4th edition, chapter III section C: 50 parts, three appraisers, three
    /// trials. The cross tables and the kappas printed beside them.
    #[test]
    fn the_worked_example_of_the_handbook() {
        for (name, pairs, printed) in [
            ("A * B", table(44, 6, 3, 97), 0.86),
            ("B * C", table(42, 5, 9, 94), 0.79),
            ("A * C", table(43, 7, 8, 92), 0.78),
            ("A * reference", table(45, 5, 3, 97), 0.88),
            ("B * reference", table(45, 2, 3, 100), 0.92),
            ("C * reference", table(42, 9, 6, 93), 0.77),
        ] {
            let kappa = cohen(&pairs).expect("both classes were used");
            assert!((kappa.value - printed).abs() < 0.005, "{name}: {kappa:?}, printed {printed}");
            let [low, high] = kappa.ci.expect("it has a standard error");
            assert!(low < kappa.value && kappa.value < high);
        }
    }

    /// Ten things, fourteen raters, five classes: the table with kappa 0.210 that goes with Fleiss' definition in Wikipedia, "Fleiss' kappa".
    #[test]
    fn many_raters() {
        let counts: Vec<Vec<usize>> = [
            [0, 0, 0, 0, 14],
            [0, 2, 6, 4, 2],
            [0, 0, 3, 5, 6],
            [0, 3, 9, 2, 0],
            [2, 2, 8, 1, 1],
            [7, 7, 0, 0, 0],
            [3, 2, 6, 3, 0],
            [2, 5, 3, 2, 2],
            [6, 5, 2, 1, 0],
            [0, 2, 2, 3, 7],
        ]
        .map(Vec::from)
        .into();
        let kappa = fleiss(&counts).expect("several classes");
        assert!((kappa.value - 0.210).abs() < 0.0005, "{kappa:?}");
    }

    #[test]
    fn where_nothing_can_be_said() {
        assert_eq!(cohen(&[]), None);
        assert_eq!(cohen(&table(0, 0, 0, 9)), None, "one class only");
        assert_eq!(fleiss(&[]), None);
        assert_eq!(fleiss(&[vec![1, 0]]), None, "one rating");
        assert_eq!(fleiss(&[vec![2, 0], vec![1, 0]]), None, "not as many ratings of each");
        let perfect = cohen(&table(5, 0, 0, 5)).expect("both classes");
        assert!((perfect.value - 1.0).abs() < 1e-12);
        let opposite = cohen(&table(0, 5, 5, 0)).expect("both classes");
        assert!((opposite.value + 1.0).abs() < 1e-12);
    }
}
