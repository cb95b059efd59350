//! The options of fitting: how long, how fast, which layers, which loss.

use models_train::fit::ON_GPU;
use models_train::mixed::Precision;
use models_train::schedule::Schedule;
use models_train::stage_two::Length;
use models_train::{Settings, TrainError};

/// How the network is fitted. The defaults are meant for any set of images; docs/MODELS.md says how they were chosen.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Fitting")]
pub(super) struct FitArgs {
    /// Rounds over the images at most with all layers learning; 0 trains the head alone. Default: as many as make 1,000 steps,
    /// or 8 if these are more; it ends before when the selection set's loss falls no further (see --patience).
    #[arg(long, value_name = "N")]
    epochs: Option<usize>,
    /// The same in steps of 32 images.
    #[arg(long, value_name = "N", conflicts_with = "epochs")]
    steps: Option<usize>,
    /// Looks at the selection set (one a round of the images, but not more often than every 20 steps) without a new lowest
    /// loss, after which the training ends [default: 24]. The best network is kept in any case. 0 goes on to the full length.
    #[arg(long, value_name = "LOOKS")]
    patience: Option<usize>,
    /// Let only the last N of the trunk's 52 convolutions learn, and the head; those before stand still and cost no backward
    /// pass. Default: all.
    #[arg(long, value_name = "N")]
    last_layers: Option<usize>,
    /// Learning rate of each depth as a share of the one above it: head, last convolution, each block down to the first
    /// convolution. 1 is the same rate for all.
    #[arg(long, value_name = "SHARE")]
    layer_decay: Option<f64>,
    /// Course of the learning rate: `cosine` rises briefly and falls along half a cosine; `piecewise` is constant between the
    /// steps of --boundaries.
    #[arg(long, value_enum, default_value = "cosine")]
    schedule: Course,
    /// Highest learning rate of the cosine.
    #[arg(long, value_name = "RATE")]
    rate: Option<f64>,
    /// Steps at which the piecewise rate changes [default: 1000,3000].
    #[arg(long, value_name = "STEPS", value_delimiter = ',')]
    boundaries: Option<Vec<usize>>,
    /// The piecewise rates, one more than boundaries [default: 1e-4,1e-5,1e-6].
    #[arg(long, value_name = "RATES", value_delimiter = ',')]
    rates: Option<Vec<f64>>,
    /// Batches whose gradients are added up to one step.
    #[arg(long, value_name = "N")]
    accumulate: Option<usize>,
    /// Share of each target that is spread over all labels (label smoothing).
    #[arg(long, value_name = "SHARE")]
    smoothing: Option<f32>,
    /// Focal loss: an example counts less the surer it is, by (1 - p)^GAMMA. 2 is usual, 0 is the plain cross entropy.
    #[arg(long, value_name = "GAMMA")]
    focal: Option<f32>,
    /// Draw the images as often as they come and weigh the labels in the loss by their effective number of samples instead of
    /// drawing each label as often as the others. BETA from 0 (all alike) to below 1; 0.999 is usual.
    #[arg(long, value_name = "BETA")]
    pub(super) class_weights: Option<f64>,
    /// Compute the trunk in 16-bit floats while all layers learn, with a scale on the loss; weights stay in 32 bits. For GPUs: refused
    /// by a build without CUDA, as a processor only gets slower by it.
    #[arg(long)]
    mixed: bool,
    /// The control: start from random weights instead of a trunk that has learned to see.
    #[arg(long, conflicts_with = "trunk")]
    pub(super) from_scratch: bool,
}

/// The course of the learning rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Course {
    Cosine,
    Piecewise,
}

impl FitArgs {
    /// Puts the options into the settings.
    pub(super) fn apply(&self, settings: &mut Settings) -> Result<(), TrainError> {
        let two = &mut settings.two;
        two.length = match (self.epochs, self.steps) {
            (Some(rounds), _) => Length::Rounds(rounds),
            (_, Some(steps)) => Length::Steps(steps),
            _ => two.length,
        };
        if let Some(patience) = self.patience {
            two.patience = (patience > 0).then_some(patience);
        }
        if let Some(schedule) = self.schedule()? {
            two.schedule = schedule;
        }
        two.last_layers = self.last_layers.or(two.last_layers);
        two.layer_decay = self.layer_decay.unwrap_or(two.layer_decay);
        two.accumulate = self.accumulate.unwrap_or(two.accumulate);
        if self.mixed {
            if !ON_GPU {
                return Err(TrainError::Settings(
                    "--mixed is for training on a GPU, and this build has none (docs/TRAINING.md says how to make one): leave it out".into(),
                ));
            }
            settings.precision = Precision::Mixed;
        }
        settings.loss.smoothing = self.smoothing.unwrap_or(settings.loss.smoothing);
        settings.loss.focus = self.focal.unwrap_or(settings.loss.focus);
        if self.from_scratch {
            // A head on features of random weights would be thrown away by what follows.
            settings.one.epochs = 0;
        }
        Ok(())
    }

    fn schedule(&self) -> Result<Option<Schedule>, TrainError> {
        let refuse = |words: &str| Err(TrainError::Settings(words.into()));
        match (self.schedule, self.rate, &self.boundaries, &self.rates) {
            (Course::Cosine, _, Some(_), _) | (Course::Cosine, _, _, Some(_)) => {
                refuse("--boundaries and --rates belong to `--schedule piecewise`")
            }
            (Course::Cosine, rate, None, None) => Ok(rate.map(|peak| Schedule::Cosine { peak })),
            (Course::Piecewise, Some(_), ..) => refuse("--rate belongs to the cosine; give --rates"),
            (Course::Piecewise, None, None, None) => Ok(Some(Schedule::original())),
            (Course::Piecewise, None, Some(steps), Some(rates)) => {
                Ok(Some(Schedule::Piecewise { steps: steps.clone(), rates: rates.clone() }))
            }
            (Course::Piecewise, None, ..) => refuse("give --boundaries and --rates together"),
        }
    }

    /// The first given option that concerns all layers learning.
    pub(super) fn of_all_layers(&self) -> Option<&'static str> {
        const OF_THE_HEAD: [&str; 3] = ["smoothing", "focal", "class-weights"];
        self.given().into_iter().map(|(option, _)| option).find(|option| !OF_THE_HEAD.contains(option))
    }

    /// The options that were given, as a person would write them again.
    pub(super) fn given(&self) -> Vec<(&'static str, String)> {
        fn one<T: ToString>(value: &Option<T>) -> Option<String> {
            value.as_ref().map(T::to_string)
        }
        fn list<T: ToString>(values: &Option<Vec<T>>) -> Option<String> {
            values.as_ref().map(|values| values.iter().map(T::to_string).collect::<Vec<_>>().join(","))
        }
        let all = [
            ("epochs", one(&self.epochs)),
            ("steps", one(&self.steps)),
            ("patience", one(&self.patience)),
            ("last-layers", one(&self.last_layers)),
            ("layer-decay", one(&self.layer_decay)),
            ("schedule", (self.schedule == Course::Piecewise).then(|| "piecewise".into())),
            ("rate", one(&self.rate)),
            ("boundaries", list(&self.boundaries)),
            ("rates", list(&self.rates)),
            ("accumulate", one(&self.accumulate)),
            ("smoothing", one(&self.smoothing)),
            ("focal", one(&self.focal)),
            ("class-weights", one(&self.class_weights)),
            ("mixed", self.mixed.then(String::new)),
            ("from-scratch", self.from_scratch.then(String::new)),
        ];
        all.into_iter().filter_map(|(option, value)| Some((option, value?))).collect()
    }
}
