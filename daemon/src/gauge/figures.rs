//! What ratings say of who gave them: repeatability, agreement with the master and with each other, effectiveness, misses, false alarms.
//!
//! Source: AIAG, "Measurement Systems Analysis", 4th edition, 2010, chapter III section C (attribute measurement systems), whose limits
//! the verdicts follow. Intervals of shares are Clopper and Pearson's, as in the handbook.

use models_train::evaluation::intervals;
use serde::Serialize;
use utoipa::ToSchema;

use super::kappa::{CONFIDENCE, Kappa, cohen, fleiss};

/// One who rates, with all ratings: by part, by repeat; none: not rated yet. True: good.
#[derive(Debug, Clone, PartialEq)]
pub struct Appraiser {
    /// `line`, or a person's name.
    pub name: String,
    /// By part, by repeat.
    pub ratings: Vec<Vec<Option<bool>>>,
}

/// A counted share.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
#[schema(as = GaugeShare)]
pub struct Share {
    /// How many.
    pub seen: usize,
    /// Of how many.
    pub of: usize,
    /// The one by the other; none of nothing.
    #[schema(required = true)]
    pub share: Option<f64>,
    /// 95 % of it.
    #[schema(required = true)]
    pub ci: Option<[f64; 2]>,
}

/// A figure against the handbook's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = GaugeGrade)]
pub enum Grade {
    /// Good enough.
    Acceptable,
    /// May be good enough, depending on what it is for.
    Marginal,
    /// Not good enough.
    Unacceptable,
}

/// What one's ratings say.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = GaugeAppraiser)]
pub struct AppraiserFigures {
    /// `line`, or a person's name.
    pub name: String,
    /// Ratings that were given.
    pub ratings: usize,
    /// Parts of which every repeat was rated alike, of those rated in full.
    pub repeatability: Share,
    /// Parts of which every repeat was rated as the master is: the handbook's effectiveness.
    pub effectiveness: Share,
    /// Ratings of bad parts that called them good.
    pub miss: Share,
    /// Ratings of good parts that called them bad.
    pub false_alarm: Share,
    /// Of the repeats among each other (Fleiss).
    #[schema(required = true)]
    pub kappa_within: Option<Kappa>,
    /// With the master, over all ratings (Cohen).
    #[schema(required = true)]
    pub kappa_master: Option<Kappa>,
    /// 90 % and 80 %.
    #[schema(required = true)]
    pub effectiveness_grade: Option<Grade>,
    /// 2 % and 5 %.
    #[schema(required = true)]
    pub miss_grade: Option<Grade>,
    /// 5 % and 10 %.
    #[schema(required = true)]
    pub false_alarm_grade: Option<Grade>,
    /// Kappa with the master: 0.75 and 0.40.
    #[schema(required = true)]
    pub kappa_grade: Option<Grade>,
    /// The worst of the four; none as long as one of them is not known.
    #[schema(required = true)]
    pub grade: Option<Grade>,
}

/// Two who rate.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = GaugePair)]
pub struct Pair {
    /// One.
    pub first: String,
    /// The other.
    pub second: String,
    /// Of their ratings of the same part at the same repeat (Cohen).
    #[schema(required = true)]
    pub kappa: Option<Kappa>,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = GaugeFigures)]
pub struct Figures {
    /// One each.
    pub appraisers: Vec<AppraiserFigures>,
    /// Each two of them.
    pub pairs: Vec<Pair>,
    /// Parts that all rated alike, always; with one who rates only, as their repeatability.
    pub all_agree: Share,
    /// Parts that all rated as the master is, always.
    pub all_right: Share,
    /// Of all ratings of each part (Fleiss).
    #[schema(required = true)]
    pub kappa_all: Option<Kappa>,
}

impl Share {
    fn of(seen: usize, of: usize) -> Share {
        let known = of > 0;
        Share {
            seen,
            of,
            share: known.then(|| seen as f64 / of as f64),
            ci: known.then(|| intervals::two_sided(seen, of, CONFIDENCE)),
        }
    }

    fn count<'a, T: 'a>(of: impl Iterator<Item = T> + Clone + 'a, is: impl Fn(&T) -> bool) -> Share {
        Share::of(of.clone().filter(|it| is(it)).count(), of.count())
    }
}

impl Grade {
    /// Larger is better.
    fn at_least(value: f64, acceptable: f64, marginal: f64) -> Grade {
        match value {
            value if value >= acceptable => Grade::Acceptable,
            value if value >= marginal => Grade::Marginal,
            _ => Grade::Unacceptable,
        }
    }

    /// Smaller is better.
    fn at_most(value: f64, acceptable: f64, marginal: f64) -> Grade {
        Grade::at_least(-value, -acceptable, -marginal)
    }

    /// In words.
    pub fn word(self) -> &'static str {
        match self {
            Grade::Acceptable => "acceptable",
            Grade::Marginal => "marginal",
            Grade::Unacceptable => "unacceptable",
        }
    }
}

/// All figures. `master`: what each part is; true: good.
pub fn figures(master: &[bool], appraisers: &[Appraiser]) -> Figures {
    let pairs = appraisers.iter().enumerate().flat_map(|(at, first)| {
        appraisers[at + 1..].iter().map(move |second| Pair {
            first: first.name.clone(),
            second: second.name.clone(),
            kappa: cohen(&rated_by_both(first, second)),
        })
    });
    // Parts that everybody has rated in full.
    let all: Vec<(bool, Vec<bool>)> = (0..master.len())
        .filter_map(|part| {
            let of = appraisers.iter().map(|one| one.ratings.get(part).and_then(|it| whole(it)));
            Some((master[part], of.collect::<Option<Vec<_>>>()?.concat()))
        })
        .filter(|(_, ratings)| !ratings.is_empty())
        .collect();
    let counts: Vec<Vec<usize>> = all.iter().map(|(_, ratings)| classes(ratings)).collect();
    Figures {
        appraisers: appraisers.iter().map(|one| of_one(master, one)).collect(),
        pairs: pairs.collect(),
        all_agree: Share::count(all.iter(), |(_, ratings)| alike(ratings)),
        all_right: Share::count(all.iter(), |(master, ratings)| ratings.iter().all(|rating| rating == master)),
        kappa_all: fleiss(&counts),
    }
}

fn of_one(master: &[bool], one: &Appraiser) -> AppraiserFigures {
    let parts = master.iter().copied().zip(&one.ratings);
    let each: Vec<(bool, bool)> =
        parts.clone().flat_map(|(master, of)| of.iter().flatten().map(move |&rating| (rating, master))).collect();
    let full: Vec<(bool, Vec<bool>)> = parts.filter_map(|(master, of)| Some((master, whole(of)?))).collect();
    let counts: Vec<Vec<usize>> = full.iter().map(|(_, ratings)| classes(ratings)).collect();
    let effectiveness = Share::count(full.iter(), |(master, of)| of.iter().all(|rating| rating == master));
    let miss = Share::count(each.iter().filter(|(_, master)| !master), |(rating, _)| *rating);
    let false_alarm = Share::count(each.iter().filter(|(_, master)| *master), |(rating, _)| !*rating);
    let kappa_master = cohen(&each);
    let effectiveness_grade = effectiveness.share.map(|it| Grade::at_least(it, 0.9, 0.8));
    let miss_grade = miss.share.map(|it| Grade::at_most(it, 0.02, 0.05));
    let false_alarm_grade = false_alarm.share.map(|it| Grade::at_most(it, 0.05, 0.10));
    let kappa_grade = kappa_master.map(|it| Grade::at_least(it.value, 0.75, 0.40));
    let grades = [effectiveness_grade, miss_grade, false_alarm_grade, kappa_grade];
    AppraiserFigures {
        name: one.name.clone(),
        ratings: each.len(),
        repeatability: Share::count(full.iter(), |(_, of)| alike(of)),
        effectiveness,
        miss,
        false_alarm,
        kappa_within: fleiss(&counts),
        kappa_master,
        effectiveness_grade,
        miss_grade,
        false_alarm_grade,
        kappa_grade,
        grade: grades.into_iter().collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().max()),
    }
}

/// Every repeat of a part; none: one is missing.
fn whole(ratings: &[Option<bool>]) -> Option<Vec<bool>> {
    ratings.iter().copied().collect::<Option<Vec<bool>>>().filter(|all| !all.is_empty())
}

fn alike(ratings: &[bool]) -> bool {
    ratings.iter().all(|rating| *rating == ratings[0])
}

fn classes(ratings: &[bool]) -> Vec<usize> {
    let good = ratings.iter().filter(|rating| **rating).count();
    vec![ratings.len() - good, good]
}

fn rated_by_both(first: &Appraiser, second: &Appraiser) -> Vec<(bool, bool)> {
    let parts = first.ratings.iter().zip(&second.ratings);
    parts.flat_map(|(a, b)| a.iter().zip(b).filter_map(|(a, b)| Some(((*a)?, (*b)?)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The figures that the handbook prints for its appraisers A, B and C: 50 parts (16 bad), three trials. Only the counts are rebuilt here:
    /// as many wrong ratings on as many parts.
    #[test]
    fn effectiveness_misses_and_false_alarms_as_the_handbook_prints_them() {
        let master: Vec<bool> = (0..50).map(|part| part >= 16).collect();
        // Wrong ratings of bad parts and of good ones, as (ratings, parts over which they are spread).
        for (name, misses, alarms, effective, ci, miss, alarm) in [
            ("A", (3, 3), (5, 5), 0.84, [0.71, 0.93], 0.063, 0.049),
            ("B", (3, 3), (2, 2), 0.90, [0.78, 0.97], 0.063, 0.020),
            ("C", (6, 4), (9, 6), 0.80, [0.66, 0.90], 0.125, 0.088),
        ] {
            let mut ratings: Vec<Vec<Option<bool>>> = master.iter().map(|good| vec![Some(*good); 3]).collect();
            let mut spoil = |first: usize, (wrong, parts): (usize, usize)| {
                for one in 0..wrong {
                    let of = &mut ratings[first + one % parts][one / parts];
                    *of = of.map(|rating| !rating);
                }
            };
            spoil(0, misses);
            spoil(16, alarms);
            let figures = figures(&master, &[Appraiser { name: name.into(), ratings }]);
            let one = &figures.appraisers[0];
            let near = |is: Option<f64>, printed: f64| is.is_some_and(|is| (is - printed).abs() < 0.0051);
            assert!(near(one.effectiveness.share, effective), "{name}: {:?}", one.effectiveness);
            let [low, high] = one.effectiveness.ci.expect("there are parts");
            assert!(near(Some(low), ci[0]) && near(Some(high), ci[1]), "{name}: {low} to {high}");
            assert!(near(one.miss.share, miss) && one.miss.of == 48, "{name}: {:?}", one.miss);
            assert!(near(one.false_alarm.share, alarm) && one.false_alarm.of == 102, "{name}: {:?}", one.false_alarm);
            assert_eq!(one.grade, Some(Grade::Unacceptable), "more than 5 % are missed");
        }
    }

    /// By hand: two parts, two repeats. The line says good, good of the good part, bad, good of the bad one.
    #[test]
    fn a_small_study_by_hand() {
        let line = |second: [Option<bool>; 2]| Appraiser {
            name: "line".into(),
            ratings: vec![vec![Some(true), Some(true)], second.into()],
        };
        let one = figures(&[true, false], &[line([Some(false), Some(true)])]);
        let of = &one.appraisers[0];
        assert_eq!((of.repeatability.seen, of.repeatability.of), (1, 2));
        assert_eq!((of.effectiveness.seen, of.effectiveness.of), (1, 2));
        assert_eq!((of.miss.seen, of.miss.of, of.false_alarm.seen), (1, 2, 0));
        // Observed 3 of 4; chance 3/4 * 1/2 + 1/4 * 1/2 = 1/2; so 0.5.
        assert!((of.kappa_master.expect("two classes").value - 0.5).abs() < 1e-12);
        // Of the repeats: observed (1 + 0) / 2, chance (3/4)^2 + (1/4)^2 = 0.625; so -1/3.
        assert!((of.kappa_within.expect("two classes").value + 1.0 / 3.0).abs() < 1e-12);
        assert_eq!(of.grade, Some(Grade::Unacceptable));
        // A person who is always right agrees with it 3 of 4 times.
        let person = Appraiser { name: "ann".into(), ..line([Some(false), Some(false)]) };
        let both = figures(&[true, false], &[line([Some(false), Some(true)]), person]);
        assert_eq!(both.appraisers[1].grade, Some(Grade::Acceptable));
        assert!((both.pairs[0].kappa.expect("two classes").value - 0.5).abs() < 1e-12);
        assert_eq!((both.all_agree.seen, both.all_right.seen, both.all_agree.of), (1, 1, 2));
        // A part that is not rated in full counts only where single ratings do.
        let half = figures(&[true, false], &[line([Some(false), None])]);
        assert_eq!((half.appraisers[0].repeatability.of, half.appraisers[0].ratings), (1, 3));
    }

    #[test]
    fn nothing_is_said_of_nothing() {
        let none = figures(&[true, false], &[Appraiser { name: "line".into(), ratings: vec![vec![None; 2]; 2] }]);
        let of = &none.appraisers[0];
        assert_eq!((of.effectiveness.share, of.kappa_master, of.grade), (None, None, None));
        assert_eq!(none.all_agree.of, 0);
        assert!(figures(&[], &[]).appraisers.is_empty());
    }
}
