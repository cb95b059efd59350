//! The progress of a training on standard error: a bar on a terminal, now and then a line in a log.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use models_train::progress::{Progress, Stage};

/// Between two lines where there is no terminal.
const LOG_EVERY: Duration = Duration::from_secs(20);
/// Steps of the bar.
const STEPS: u64 = 1000;

/// What a person sees of a training.
pub(super) struct Bar {
    bar: ProgressBar,
    stage: Option<Stage>,
    selection: String,
    logged: Instant,
}

impl Bar {
    pub(super) fn new() -> Bar {
        let bar = ProgressBar::new(STEPS);
        let style = ProgressStyle::with_template("{prefix:9} {bar:28} {percent:3} %  {msg}");
        bar.set_style(style.expect("the template is fixed and names known keys"));
        Bar { bar, stage: None, selection: String::new(), logged: Instant::now() }
    }

    /// Shows how far it is.
    pub(super) fn show(&mut self, progress: &Progress) {
        if self.stage != Some(progress.stage) {
            self.stage = Some(progress.stage);
            self.selection.clear();
        }
        if let Some(score) = progress.selection {
            self.selection = format!("  selection {:.1} % loss {:.3}", 100.0 * score.accuracy(), score.mean_loss());
        }
        let eta = progress.eta.as_secs();
        let learned = match progress.stage {
            Stage::Features => String::new(),
            _ => format!("loss {:.3}  accuracy {:.1} %", progress.loss, 100.0 * progress.accuracy),
        };
        let text = format!("{learned}{}  {}:{:02} left", self.selection, eta / 60, eta % 60);
        let stage = word(progress.stage);
        if self.bar.is_hidden() {
            if progress.selection.is_some() || self.logged.elapsed() >= LOG_EVERY {
                self.logged = Instant::now();
                tracing::info!("{stage}: epoch {}, {:.0} %  {text}", progress.epoch, 100.0 * progress.done);
            }
            return;
        }
        self.bar.set_prefix(stage);
        self.bar.set_message(text);
        self.bar.set_position((progress.done * STEPS as f64) as u64);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn word(stage: Stage) -> &'static str {
    match stage {
        Stage::Features => "features",
        Stage::Head => "head",
        Stage::All => "all",
    }
}
