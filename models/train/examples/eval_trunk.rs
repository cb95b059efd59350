//! Whether a trunk still sees what it was not taught: frozen features of several trunks side by side on real images.
//!
//!     cargo run -p models-train --example eval_trunk -- REFERENCE TRUNK...
//!
//! The sets are looked for under INSPECTD_DATA (NEU, MVTec bottle) and ELPV_DATA (a folder with `labels.csv` and `images/`); a set
//! that is not there is SKIPPED. Nothing is fitted but means and neighbours, so that the features alone are compared. For each
//! set: the figure of each trunk, and its difference from the reference with the 95 % interval of a paired bootstrap over
//! the test images.

#![allow(clippy::print_stdout)] // a report for the person who runs it

use std::error::Error;
use std::path::{Path, PathBuf};

use burn::module::Module;
use models::preprocess::Preprocess;
use models::weights::load_trunk;
use models::zoo::mobilenet_v3_small::FEATURES;
use models_train::TrainError;
use models_train::fit::Workers;
use models_train::input::Batch;
use models_train::net::Trunk;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Resamples of the bootstrap.
const RESAMPLES: usize = 1_000;
/// Draws of five images per label, for the prototypes.
const DRAWS: u64 = 20;
const SHOTS: usize = 5;
/// Cells of one block of ELPV, which share a side: neighbours in the list are often cells of one module.
const BLOCK: usize = 60;
const FOLDS: usize = 5;
/// Neighbours that vote on ELPV.
const NEIGHBOURS: usize = 15;

type Fallible<T> = Result<T, Box<dyn Error>>;

fn main() -> Fallible<()> {
    let paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if paths.len() < 2 {
        return Err("name the reference trunk and at least one other".into());
    }
    let workers = Workers::new(None)?;
    let load = |path: &PathBuf| Ok(Trunk::load(&load_trunk(path)?, &workers.device)?);
    let trunks = paths.iter().map(load).collect::<Fallible<Vec<_>>>()?;
    let data = std::env::var_os("INSPECTD_DATA").map(PathBuf::from);
    let neu = data.as_ref().map(|data| data.join("neu-surface-defects")).filter(|folder| folder.is_dir());
    let bottle = data.as_ref().map(|data| data.join("mvtec-bottle-512")).filter(|folder| folder.is_dir());
    let elpv = std::env::var_os("ELPV_DATA").map(PathBuf::from).filter(|folder| folder.is_dir());
    for (name, folder, list) in [
        ("NEU", neu, Set::neu as fn(&Path) -> Fallible<Set>),
        ("bottle", bottle, Set::bottle),
        ("ELPV", elpv, Set::elpv),
    ] {
        let Some(folder) = folder else {
            println!("SKIPPED {name}: the folder is not there");
            continue;
        };
        let set = list(&folder)?;
        let features: Vec<Vec<Feature>> =
            trunks.iter().map(|trunk| set.features(trunk, &workers)).collect::<Result<_, _>>()?;
        for (task, outcomes) in set.tasks(&features) {
            report(&format!("{name}, {task}"), &paths, &outcomes);
        }
    }
    Ok(())
}

/// One feature vector of an image, of length 1.
type Feature = Vec<f32>;

/// An image of a set.
struct Item {
    path: PathBuf,
    label: usize,
    /// Belongs to the test side; on ELPV the number of the fold.
    side: usize,
}

/// A set of images and how features are judged on it.
struct Set {
    size: u32,
    items: Vec<Item>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Several labels, one test side.
    Labels,
    /// Label 0 is good; only good images are learned from.
    GoodOnly,
    /// Label 1 is defective; folds.
    Folds,
}

/// What a figure is made of, per test image, so that it can be resampled.
enum Outcomes {
    /// Share of draws in which the image was named rightly.
    Right(Vec<f32>),
    /// Anomaly score and whether the image is defective.
    Ranked(Vec<(f32, bool)>),
}

impl Set {
    fn neu(folder: &Path) -> Fallible<Set> {
        let text = std::fs::read_to_string(folder.join("split.csv"))?;
        let rows: Vec<Vec<&str>> = text.lines().skip(1).map(|line| line.split(',').collect()).collect();
        let mut labels: Vec<&str> = rows.iter().map(|row| row[1]).collect();
        labels.sort_unstable();
        labels.dedup();
        let item = |row: &Vec<&str>| Item {
            path: folder.join(row[0]),
            label: labels.iter().position(|label| *label == row[1]).unwrap_or(0),
            side: usize::from(row[2] == "test"),
        };
        Ok(Set { size: 224, items: rows.iter().map(item).collect(), kind: Kind::Labels })
    }

    fn bottle(folder: &Path) -> Fallible<Set> {
        let mut items = Vec::new();
        let mut add = |folder: PathBuf, label: usize, side: usize| -> Fallible<()> {
            let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)?.flatten().map(|entry| entry.path()).collect();
            paths.sort();
            items.extend(paths.into_iter().map(|path| Item { path, label, side }));
            Ok(())
        };
        add(folder.join("train/good"), 0, 0)?;
        for entry in std::fs::read_dir(folder.join("test"))? {
            let entry = entry?;
            add(entry.path(), usize::from(entry.file_name() != "good"), 1)?;
        }
        Ok(Set { size: 512, items, kind: Kind::GoodOnly })
    }

    fn elpv(folder: &Path) -> Fallible<Set> {
        let text = std::fs::read_to_string(folder.join("labels.csv"))?;
        let rows = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).enumerate();
        let items = rows.map(|(place, row)| {
            let probability: f32 = row[1].parse()?;
            Ok(Item { path: folder.join(row[0]), label: usize::from(probability >= 0.5), side: place / BLOCK % FOLDS })
        });
        Ok(Set { size: 224, items: items.collect::<Fallible<_>>()?, kind: Kind::Folds })
    }

    fn features(&self, trunk: &Trunk, workers: &Workers) -> Result<Vec<Feature>, TrainError> {
        let preprocess = Preprocess::imagenet(self.size);
        let side = self.size as usize;
        let still = trunk.clone().no_grad();
        let parts = workers.map(&self.items, 4, |items| {
            let mut batch = Batch::new(side, side);
            let mut tensor = vec![0.0; preprocess.tensor_len()];
            for item in items {
                let bytes = std::fs::read(&item.path)
                    .map_err(|error| TrainError::Data(format!("`{}`: {error}", item.path.display())))?;
                let image = models::image::decode(&bytes).map_err(|error| TrainError::Data(error.to_string()))?;
                preprocess.fill(image.view(), &mut tensor);
                batch.push(&tensor);
            }
            let map = still.clone().fork(&workers.device).no_grad().forward(&batch, &workers.device);
            let [images, rows, columns, _] = map.dims();
            let values: Vec<f32> = map.into_data().try_into_vec().expect("the trunk computes in f32");
            let cells = rows * columns;
            Ok((0..images)
                .map(|image| average(&values[image * cells * FEATURES..][..cells * FEATURES]))
                .collect::<Vec<_>>())
        })?;
        Ok(parts.into_iter().flatten().collect())
    }

    /// Each task with the outcomes of each trunk.
    fn tasks(&self, trunks: &[Vec<Feature>]) -> Vec<(String, Vec<Outcomes>)> {
        let each = |f: &dyn Fn(&[Feature]) -> Outcomes| trunks.iter().map(|features| f(features)).collect::<Vec<_>>();
        match self.kind {
            Kind::Labels => vec![
                ("nearest neighbour, accuracy".into(), each(&|features| self.nearest(features))),
                (
                    format!("{SHOTS}-shot prototypes, accuracy of {DRAWS} draws"),
                    each(&|features| self.few_shot(features)),
                ),
            ],
            Kind::GoodOnly => {
                vec![("distance to the nearest good part, AUROC".into(), each(&|features| self.good_only(features)))]
            }
            Kind::Folds => vec![(
                format!("vote of {NEIGHBOURS} neighbours, AUROC of {FOLDS} folds"),
                each(&|features| self.folds(features)),
            )],
        }
    }

    fn of_side(&self, side: usize) -> Vec<usize> {
        (0..self.items.len()).filter(|&at| self.items[at].side == side).collect()
    }

    fn nearest(&self, features: &[Feature]) -> Outcomes {
        let train = self.of_side(0);
        let right = |&at: &usize| {
            let near = train
                .iter()
                .max_by(|&&a, &&b| dot(&features[at], &features[a]).total_cmp(&dot(&features[at], &features[b])));
            f32::from(u8::from(near.is_some_and(|&near| self.items[near].label == self.items[at].label)))
        };
        Outcomes::Right(self.of_side(1).iter().map(right).collect())
    }

    fn few_shot(&self, features: &[Feature]) -> Outcomes {
        let labels = self.items.iter().map(|item| item.label).max().unwrap_or(0) + 1;
        let test = self.of_side(1);
        let mut right = vec![0.0; test.len()];
        for draw in 0..DRAWS {
            let mut train = self.of_side(0);
            train.shuffle(&mut ChaCha8Rng::seed_from_u64(draw));
            let prototype = |label| {
                let shots = train.iter().filter(|&&at| self.items[at].label == label).take(SHOTS);
                let mut mean = vec![0.0; FEATURES];
                shots.for_each(|&at| mean.iter_mut().zip(&features[at]).for_each(|(sum, value)| *sum += value));
                unit(mean)
            };
            let prototypes: Vec<Feature> = (0..labels).map(prototype).collect();
            for (&at, right) in test.iter().zip(&mut right) {
                let best = (0..labels)
                    .max_by(|&a, &b| dot(&features[at], &prototypes[a]).total_cmp(&dot(&features[at], &prototypes[b])));
                *right += f32::from(u8::from(best == Some(self.items[at].label))) / DRAWS as f32;
            }
        }
        Outcomes::Right(right)
    }

    fn good_only(&self, features: &[Feature]) -> Outcomes {
        let train = self.of_side(0);
        let ranked = |&at: &usize| {
            let nearest =
                train.iter().map(|&good| dot(&features[at], &features[good])).fold(f32::NEG_INFINITY, f32::max);
            (-nearest, self.items[at].label != 0)
        };
        Outcomes::Ranked(self.of_side(1).iter().map(ranked).collect())
    }

    fn folds(&self, features: &[Feature]) -> Outcomes {
        let ranked = |at: usize| {
            let others = (0..self.items.len()).filter(|&other| self.items[other].side != self.items[at].side);
            let mut near: Vec<(f32, usize)> =
                others.map(|other| (dot(&features[at], &features[other]), self.items[other].label)).collect();
            near.sort_by(|a, b| b.0.total_cmp(&a.0));
            let votes: f32 = near[..NEIGHBOURS].iter().map(|&(likeness, label)| likeness.powi(8) * label as f32).sum();
            let all: f32 = near[..NEIGHBOURS].iter().map(|&(likeness, _)| likeness.powi(8)).sum();
            (votes / all, self.items[at].label != 0)
        };
        Outcomes::Ranked((0..self.items.len()).map(ranked).collect())
    }
}

impl Outcomes {
    fn len(&self) -> usize {
        match self {
            Outcomes::Right(right) => right.len(),
            Outcomes::Ranked(ranked) => ranked.len(),
        }
    }

    /// The figure over some of the images, each as often as it is named.
    fn figure(&self, places: &[usize]) -> f64 {
        match self {
            Outcomes::Right(right) => places.iter().map(|&at| f64::from(right[at])).sum::<f64>() / places.len() as f64,
            Outcomes::Ranked(ranked) => auroc(places.iter().map(|&at| ranked[at]).collect()),
        }
    }
}

/// Prints each trunk's figure and its difference from the first's.
fn report(what: &str, trunks: &[PathBuf], outcomes: &[Outcomes]) {
    println!("\n{what} (n = {})", outcomes[0].len());
    let all: Vec<usize> = (0..outcomes[0].len()).collect();
    for (path, outcome) in trunks.iter().zip(outcomes) {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut differences: Vec<f64> = (0..RESAMPLES)
            .map(|_| {
                let places: Vec<usize> = all.iter().map(|_| random.random_range(0..all.len())).collect();
                outcome.figure(&places) - outcomes[0].figure(&places)
            })
            .collect();
        differences.sort_by(f64::total_cmp);
        let at = |share: f64| 100.0 * differences[(share * (RESAMPLES - 1) as f64) as usize];
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        println!(
            "  {name:<44} {:6.2} %   difference {:+.2} to {:+.2}",
            100.0 * outcome.figure(&all),
            at(0.025),
            at(0.975)
        );
    }
}

/// Area under the ROC curve: the share of pairs in which the defective image ranks higher, ties counting half.
fn auroc(mut ranked: Vec<(f32, bool)>) -> f64 {
    ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut sum, mut start) = (0.0, 0);
    while start < ranked.len() {
        let tied = ranked[start..].iter().take_while(|(score, _)| *score == ranked[start].0).count();
        let rank = start as f64 + (tied as f64 + 1.0) / 2.0;
        sum += rank * ranked[start..start + tied].iter().filter(|(_, bad)| *bad).count() as f64;
        start += tied;
    }
    let bad = ranked.iter().filter(|(_, bad)| *bad).count() as f64;
    let good = ranked.len() as f64 - bad;
    (sum - bad * (bad + 1.0) / 2.0) / (bad * good)
}

/// Mean over the cells, of length 1.
fn average(cells: &[f32]) -> Feature {
    let mut sum = vec![0.0; FEATURES];
    cells.chunks_exact(FEATURES).for_each(|cell| sum.iter_mut().zip(cell).for_each(|(sum, value)| *sum += value));
    unit(sum)
}

fn unit(mut values: Feature) -> Feature {
    let length = dot(&values, &values).sqrt().max(f32::MIN_POSITIVE);
    values.iter_mut().for_each(|value| *value /= length);
    values
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
