//! The search on a cheap surrogate: a function of the settings with learning curves, noise and a price, computed in no time.

use std::path::Path;

use super::*;

/// Deterministic noise in -1..1, by trial and rounds.
fn noise(seed: u64, point: &Point, rounds: u32) -> f64 {
    let text = format!("{seed} {point:?} {rounds}");
    let mixed = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3).rotate_left(23)
    });
    (mixed >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

/// A world of networks.
struct World {
    seed: u64,
    /// Trainings left until the process is killed.
    lives: usize,
    timed: usize,
    rounds: u64,
}

impl World {
    fn new(seed: u64) -> World {
        World { seed, lives: usize::MAX, timed: 0, rounds: 0 }
    }

    /// Quick where it is small and cut.
    fn latency(point: &Point) -> f64 {
        let pixels = f64::from(point.size).powi(2) / 224.0_f64.powi(2);
        let work = (1.0 - 0.09 * point.left_out as f64) * (0.15 + 0.85 * point.width);
        10.0 * (0.1 + 0.9 * pixels * work) + 0.002 * point.attention as f64
    }

    /// Where its errors end: rates have their best, small networks cost, and so does a resolution that shows too little.
    fn floor(point: &Point) -> f64 {
        let off = |value: f64, best: f64| (value / best).ln().powi(2);
        let rates = 0.030 * off(point.rate, 6e-4) + 0.020 * off(point.head_rate, 1.5e-3);
        let head = 0.010 * off(point.sharpness, 4.0) + 0.006 * off(point.attention as f64, 64.0);
        let size = 0.12 * (1.0 - f64::from(point.size) / 224.0).powi(2);
        let trunk = 0.03 * (point.left_out as f64 / 6.0).powi(2) + 0.10 * (1.0 - point.width).powi(2);
        0.01 + rates + head + size + trunk + 0.04 * (point.augment - 1.2).powi(2)
    }

    /// The share of errors after so many rounds. Small rates learn slower.
    fn miss(&self, point: &Point, rounds: u32) -> f64 {
        let pace = 6.0 * (6e-4 / point.rate).powf(0.3);
        let curve = 0.5 * (-f64::from(rounds) / pace).exp();
        (World::floor(point) + curve + 0.004 * noise(self.seed, point, rounds)).clamp(0.0, 1.0)
    }
}

impl Train for World {
    fn latency_ms(&mut self, point: &Point) -> Result<f64, SearchError> {
        self.timed += 1;
        Ok(World::latency(point))
    }

    fn train(&mut self, _: usize, point: &Point, (before, rounds): (u32, u32)) -> Result<Measured, SearchError> {
        self.lives = self.lives.checked_sub(1).ok_or(SearchError::Stopped)?;
        self.rounds += u64::from(rounds - before);
        let miss = self.miss(point, rounds);
        let images = 10_000;
        Ok(Measured {
            rounds,
            ended: false,
            errors: (miss * images as f64) as usize,
            images,
            escape_rate: Some(miss),
            overkill_rate: Some(0.0),
            loss: Some(3.0 * miss),
            failed: None,
        })
    }
}

/// Rounds of one comparison: about what three passes over all brackets cost.
const ROUNDS: u64 = 2100;
const LIMIT_MS: f64 = 5.0;

fn settings(seed: u64, proposals: Proposals) -> Settings {
    Settings { seed, proposals, ..Settings::new(LIMIT_MS, Budget::Rounds(ROUNDS)) }
}

fn search(path: &Path, settings: &Settings, world: &mut World, resume: bool) -> Result<Past, SearchError> {
    let space = Space::up_to(224);
    let opened = Journal::open(path, &settings.terms(&space), &space, resume)?;
    run(settings, &space, opened, world, &mut |_, _, _| ())
}

/// The least misses that a search finds, by the truth of what it takes for the best.
fn found(seed: u64, proposals: Proposals) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(seed);
    let past = search(&folder.path().join("j"), &settings(seed, proposals), &mut world, false).unwrap();
    assert!(past.rounds >= ROUNDS && past.rounds < ROUNDS + 50, "{}", past.rounds);
    let best = best(&past).unwrap();
    assert!(best.latency_ms <= LIMIT_MS);
    World::floor(&best.point)
}

/// The same of random search: networks drawn evenly, each that is quick enough taught to its full length.
fn found_at_random(seed: u64) -> f64 {
    let (space, schedule) = (Space::up_to(224), Schedule::new(50, 3, LIMIT_MS));
    let mut world = World::new(seed);
    let mut trials: Vec<Trial> = Vec::new();
    while world.rounds < ROUNDS {
        let number = trials.len();
        let point = propose::propose(&space, &schedule, &trials, (Proposals::Random, seed));
        let latency_ms = World::latency(&point);
        let results =
            if latency_ms <= LIMIT_MS { vec![world.train(number, &point, (0, 50)).unwrap()] } else { Vec::new() };
        trials.push(Trial { number, point, latency_ms, results });
    }
    let past = Past { trials, ..Past::default() };
    World::floor(&best(&past).unwrap().point)
}

#[test]
fn it_beats_random_search_at_equal_budget() {
    let seeds = [1, 2, 3, 4, 5];
    let ours = seeds.map(|seed| found(seed, Proposals::Tpe));
    let halving = seeds.map(|seed| found(seed, Proposals::Random));
    let random = seeds.map(found_at_random);
    println!("ours {ours:.4?}\nhalving {halving:.4?}\nrandom {random:.4?}");
    for (words, others) in [("random search", random), ("Hyperband on random networks", halving)] {
        let wins = ours.iter().zip(&others).filter(|(ours, other)| ours < other).count();
        let mean = |values: &[f64; 5]| values.iter().sum::<f64>() / 5.0;
        assert!(wins >= 4, "{words}: {ours:?} against {others:?}");
        assert!(mean(&ours) < 0.9 * mean(&others), "{words}: {} against {}", mean(&ours), mean(&others));
    }
}

#[test]
fn a_search_that_is_killed_goes_on_to_the_same_trials() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    let settings = Settings { budget: Budget::Rounds(400), ..settings(7, Proposals::Tpe) };
    let wanted = search(&whole, &settings, &mut World::new(7), false).unwrap();
    let (mut resumed, mut known) = (false, Vec::new());
    let past = loop {
        let mut world = World { lives: 5, ..World::new(7) };
        match search(&killed, &settings, &mut world, resumed) {
            Ok(past) => break past,
            Err(SearchError::Stopped) => {
                let now = std::fs::read(&killed).unwrap();
                assert!(now.starts_with(&known) && now.len() > known.len());
                known.clone_from(&now);
                // Killed while it wrote: the last line is torn.
                std::fs::write(&killed, [&now[..], b"0123abcd {\"proposed\":{\"tri"].concat()).unwrap();
            }
            Err(other) => panic!("{other}"),
        }
        resumed = true;
    };
    let plain =
        |past: &Past| past.trials.iter().map(|t| (t.point, t.latency_ms, t.results.clone())).collect::<Vec<_>>();
    assert_eq!(plain(&past), plain(&wanted));
    assert_eq!(past.rounds, wanted.rounds);
}

#[test]
fn a_finished_search_may_go_on_for_longer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("j");
    let of = |rounds| Settings { budget: Budget::Rounds(rounds), last_share: 0.0, ..settings(3, Proposals::Tpe) };
    let short = search(&path, &of(60), &mut World::new(3), false).unwrap();
    let long = search(&path, &of(200), &mut World::new(3), true).unwrap();
    for (before, after) in short.trials.iter().zip(&long.trials) {
        assert_eq!((before.point, &before.results[..]), (after.point, &after.results[..before.results.len()]));
    }
    assert!(long.rounds >= 200 && long.trials.len() > short.trials.len());
}

#[test]
fn what_is_too_slow_costs_no_round_and_an_impossible_limit_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(1);
    let settings_of = |ms| Settings { max_latency_ms: ms, ..settings(1, Proposals::Tpe) };
    let past = search(&folder.path().join("a"), &settings_of(3.0), &mut world, false).unwrap();
    let slow: Vec<&Trial> = past.trials.iter().filter(|trial| trial.latency_ms > 3.0).collect();
    assert!(!slow.is_empty() && slow.iter().all(|trial| trial.results.is_empty()));
    assert_eq!(world.timed, past.trials.len());
    let error = search(&folder.path().join("b"), &settings_of(0.5), &mut world, false).map(drop).unwrap_err();
    assert!(error.to_string().contains("none keeps to 0.5 ms"), "{error}");
}

#[test]
fn the_end_of_the_budget_belongs_to_what_stands_first() {
    let folder = tempfile::tempdir().unwrap();
    // Too little for Hyperband to bring one network to its full length.
    let settings = Settings { budget: Budget::Rounds(100), ..settings(2, Proposals::Tpe) };
    let past = search(&folder.path().join("j"), &settings, &mut World::new(2), false).unwrap();
    assert!(past.trials.iter().any(|trial| trial.latest().is_some_and(|latest| latest.rounds == 50)));
    let front = front(&past);
    assert!(front.is_sorted_by(|a, b| a.latency_ms < b.latency_ms));
    assert!(front.iter().any(|trial| Some(trial.number) == best(&past).map(|best| best.number)));
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let good = settings(1, Proposals::Tpe);
    for (number, bad) in [
        Settings { rounds: 0, ..good.clone() },
        Settings { factor: 1, ..good.clone() },
        Settings { max_latency_ms: f64::NAN, ..good.clone() },
        Settings { last_share: 2.0, ..good },
    ]
    .into_iter()
    .enumerate()
    {
        let path = folder.path().join(number.to_string());
        assert!(matches!(search(&path, &bad, &mut World::new(1), false), Err(SearchError::Settings(_))));
    }
}
