//! Hyperband's brackets: how many networks start with how many rounds, and how many of them go on.
//!
//! Source: Li, Jamieson, DeSalvo, Rostamizadeh and Talwalkar, "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization",
//! JMLR 18, 2018, algorithm 1. Its resource are rounds over the images here, so they are whole numbers.

/// A step of a bracket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rung {
    /// Networks on it.
    pub networks: usize,
    /// Rounds that each has learned in all at its end.
    pub rounds: u32,
}

/// The rungs of one bracket, from many networks of few rounds to few of many.
pub type Bracket = Vec<Rung>;

/// The brackets of `most` rounds and this factor, from the one that throws away soonest to the one that never does. Each costs about the
/// same.
///
/// In the paper's letters: `s_max` is the whole part of `log_factor(most)`; bracket `s` starts `ceil((s_max + 1) / (s + 1) * factor^s)`
/// networks; on its rung `i` the best `floor(n / factor^i)` of these come to `most * factor^(i - s)` rounds.
pub fn brackets(most: u32, factor: u32) -> Vec<Bracket> {
    let (most, factor) = (most.max(1), factor.max(2));
    let highest = (0..).take_while(|&s| factor.checked_pow(s).is_some_and(|power| power <= most)).last().unwrap_or(0);
    (0..=highest).rev().map(|s| bracket(s, highest, most, factor)).collect()
}

fn bracket(s: u32, highest: u32, most: u32, factor: u32) -> Bracket {
    let power = |exponent: u32| u64::from(factor).pow(exponent);
    let start = (u64::from(highest + 1) * power(s)).div_ceil(u64::from(s + 1));
    let rung = |i: u32| {
        let rounds = f64::from(most) / power(s - i) as f64;
        Rung { networks: (start / power(i)) as usize, rounds: (rounds.round() as u32).max(1) }
    };
    (0..=s).map(rung).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(brackets: &[Bracket]) -> Vec<Vec<(usize, u32)>> {
        brackets.iter().map(|bracket| bracket.iter().map(|rung| (rung.networks, rung.rounds)).collect()).collect()
    }

    #[test]
    fn the_papers_table_comes_out() {
        let wanted = [
            vec![(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
            vec![(34, 3), (11, 9), (3, 27), (1, 81)],
            vec![(15, 9), (5, 27), (1, 81)],
            vec![(8, 27), (2, 81)],
            vec![(5, 81)],
        ];
        assert_eq!(plain(&brackets(81, 3)), wanted);
    }

    #[test]
    fn fifty_rounds_are_rounded_and_end_at_fifty() {
        let wanted = [
            vec![(27, 2), (9, 6), (3, 17), (1, 50)],
            vec![(12, 6), (4, 17), (1, 50)],
            vec![(6, 17), (2, 50)],
            vec![(4, 50)],
        ];
        assert_eq!(plain(&brackets(50, 3)), wanted);
    }

    #[test]
    fn the_smallest_and_absurd_ones_are_whole() {
        assert_eq!(plain(&brackets(1, 3)), [[(1, 1)]]);
        assert_eq!(plain(&brackets(0, 0)), [[(1, 1)]], "taken for one round, by two");
        assert_eq!(plain(&brackets(2, 3)), [[(1, 2)]]);
        for (most, factor) in [(1000, 2), (u32::MAX, 2), (u32::MAX, u32::MAX)] {
            for bracket in brackets(most, factor) {
                assert!(bracket.iter().all(|rung| rung.networks > 0 && rung.rounds > 0));
                assert!(bracket.is_sorted_by(|a, b| a.networks > b.networks && a.rounds < b.rounds));
                assert_eq!(bracket.last().expect("a bracket has rungs").rounds, most);
            }
        }
    }
}
