//! What a search leaves behind: the networks on the front as bundles, a page, TensorBoard's table of runs.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context, bail};
use models::bundle::Provenance;
use models_train::dataset::Folder;
use models_train::search::network::{Networks, words};
use models_train::search::page::Page;
use models_train::search::{Past, Settings, Trial, best, front};
use models_train::tensorboard::{Run, hparams};
use models_train::{Report, TrainError};
use serde_json::{Value, json};

use crate::cli::train::folder::measure;

/// Names within the folder of a search.
const BEST: &str = "best.bundle";
const PAGE: &str = "search.html";
const TENSORBOARD: &str = "tensorboard";

/// See above.
pub(super) struct Results<'a, 'n> {
    pub(super) out: &'a Path,
    pub(super) settings: &'a Settings,
    pub(super) past: &'a Past,
    pub(super) networks: &'a Networks<'n>,
    pub(super) provenance: Provenance,
}

/// A network that was written.
struct Kept<'a> {
    trial: &'a Trial,
    name: String,
    selection: Report,
    /// On the test side, where there is one: by it nothing was chosen.
    test: Option<Report>,
}

impl Results<'_, '_> {
    /// Writes everything; what there is to say of it.
    pub(super) fn write(&self, folder: &Folder) -> anyhow::Result<Value> {
        self.page()?;
        self.tensorboard().context("TensorBoard's log")?;
        let Some(best) = best(self.past) else {
            bail!("no network learned within the budget: give more time; `--resume` goes on");
        };
        let mut kept = Vec::new();
        for trial in front(self.past) {
            let name = format!("trial-{:03}", trial.number);
            let (mut bundle, selection) = self.networks.export(trial, name.clone(), self.provenance.clone())?;
            bundle.save(&self.out.join(format!("{name}.bundle")))?;
            if trial.number == best.number {
                bundle.save(&self.out.join(BEST))?;
            }
            let test = folder.has_test_side().then(|| measure(folder, &bundle)).transpose()?;
            kept.push(Kept { trial, name, selection, test });
        }
        Ok(json!({ "summary": self.summary(best, &kept), "text": self.text(best, &kept) }))
    }

    fn page(&self) -> anyhow::Result<()> {
        let Provenance { command, data_digest, version, trunk, .. } = &self.provenance;
        let facts = [
            ("Command", command.clone()),
            ("Data (SHA-256)", data_digest.clone()),
            ("Trunk", trunk.clone()),
            ("inspectd", version.clone()),
            ("Seconds", format!("{:.0}", self.past.seconds)),
        ]
        .map(|(name, value)| (name.to_owned(), value));
        let page = Page { settings: self.settings, past: self.past, facts: &facts }.render();
        let path = self.out.join(PAGE);
        fs::write(&path, page).with_context(|| format!("the page `{}`", path.display()))
    }

    /// One run a trial that learned. The journal holds all of it, so that a search that went on writes it anew.
    fn tensorboard(&self) -> Result<(), TrainError> {
        let logs = self.out.join(TENSORBOARD);
        for trial in &self.past.trials {
            let Some(latest) = trial.latest() else { continue };
            let name = format!("trial-{:03}", trial.number);
            // Its own from before, and nothing else that may lie there.
            match fs::remove_dir_all(logs.join(&name)) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(TrainError::Io { path: logs.join(name), source });
                }
                _ => {}
            }
            let mut run = Run::create(&logs, &name, &self.out.join(&name))?;
            run.begin(&hparams::Settings::of_point(&trial.point, latest.rounds), &words(&trial.point))?;
            match &latest.failed {
                Some(why) => run.fail(why)?,
                None => {
                    let loss = latest.loss.map(|loss| (hparams::SELECTION_LOSS, loss));
                    let accuracy = 1.0 - latest.errors as f64 / latest.images.max(1) as f64;
                    let mut figures = vec![
                        (hparams::SEARCH_MISSES, latest.miss()),
                        (hparams::SEARCH_LATENCY, trial.latency_ms),
                        (hparams::SELECTION_ACCURACY, accuracy),
                    ];
                    figures.extend(loss);
                    run.done(&figures, None)?;
                }
            }
        }
        Ok(())
    }

    fn summary(&self, best: &Trial, kept: &[Kept<'_>]) -> Value {
        let one = |kept: &Kept<'_>| {
            json!({
                "trial": kept.trial.number,
                "bundle": self.out.join(format!("{}.bundle", kept.name)).to_string_lossy(),
                "point": kept.trial.point,
                "latency_ms": kept.trial.latency_ms,
                "measured": kept.trial.latest(),
                "selection": kept.selection,
                "test": kept.test,
            })
        };
        json!({
            "best": best.number,
            "bundle": self.out.join(BEST).to_string_lossy(),
            "front": kept.iter().map(one).collect::<Vec<_>>(),
            "trials": self.past.trials.len(),
            "rounds": self.past.rounds,
            "seconds": self.past.seconds,
            "max_latency_ms": self.settings.max_latency_ms,
        })
    }

    fn text(&self, best: &Trial, kept: &[Kept<'_>]) -> String {
        let Past { trials, rounds, seconds } = self.past;
        let mut text = format!(
            "{} networks, {rounds} rounds, {seconds:.0} s; on the front, from the quickest on:\n",
            trials.len()
        );
        for Kept { trial, name, selection, test } in kept {
            let mark = if trial.number == best.number { "*" } else { " " };
            let wrong = |report: &Report| format!("{} of {} wrong", report.errors.len(), report.n);
            let test = test.as_ref().map(|test| format!(", test {}", wrong(test))).unwrap_or_default();
            text += &format!(
                "{mark} {name}.bundle  {:.2} ms  selection {}{test}\n    {}\n",
                trial.latency_ms,
                wrong(selection),
                words(&trial.point)
            );
        }
        text += &format!("* is {BEST}; {PAGE} shows all networks (`{}`)\n", self.out.display());
        text
    }
}
