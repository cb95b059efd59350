//! Settings and figures of a training for TensorBoard's table of runs (its plugin `hparams`).

use std::collections::BTreeMap;

use prost::Message;

use super::proto::{
    Content, Dim, Experiment, FLOAT, HParamInfo, HParamsData, HParamsPluginData, Kind, MetricInfo, MetricName,
    PluginData, SessionEndInfo, SessionStartInfo, SummaryMetadata, SummaryValue, TensorProto, TensorShapeProto, Value,
};
use super::writer::now;
use crate::schedule::Schedule;
use crate::search::Point;

/// The tags under which the plugin looks.
const EXPERIMENT: &str = "_hparams_/experiment";
const START: &str = "_hparams_/session_start_info";
const END: &str = "_hparams_/session_end_info";

/// `DataType` of a column.
const TEXT: i32 = 1;
const FLAG: i32 = 2;
const NUMBER: i32 = 3;

/// The columns that settings have. TensorBoard takes them from whichever run it reads first, so every run names all of them, those of
/// another kind of training too.
const COLUMNS: [(&str, i32, &str); 32] = [
    ("network", TEXT, "what the trunk is"),
    ("seed", NUMBER, "decides every random choice"),
    ("size", NUMBER, "input pixels each way"),
    ("images", NUMBER, "images that are learned from"),
    ("labels", NUMBER, "labels that are told apart"),
    ("head_epochs", NUMBER, "rounds of the head alone"),
    ("head_rate", NUMBER, "its highest learning rate"),
    ("epochs", NUMBER, "rounds over the images at most, all layers learning"),
    ("steps", NUMBER, "the same in steps"),
    ("batch", NUMBER, "images of a step"),
    ("schedule", TEXT, "course of the learning rate"),
    ("rate", NUMBER, "highest learning rate, all layers learning"),
    ("patience", NUMBER, "looks without a new lowest loss that end the training; 0: none do"),
    ("weight_decay", NUMBER, "AdamW's"),
    ("layer_decay", NUMBER, "learning rate of a depth as a share of the one above it"),
    ("last_layers", NUMBER, "convolutions that learn; none given: all"),
    ("distill", NUMBER, "how strongly the trunk is held to its first features"),
    ("smoothing", NUMBER, "label smoothing"),
    ("focal", NUMBER, "gamma of the focal loss"),
    ("class_weights", NUMBER, "beta of the labels' weights; none given: no weights"),
    ("sampling", TEXT, "how often each label is drawn"),
    ("hard_examples", NUMBER, "share of a round that hard images take again"),
    ("augment", TEXT, "random changes of the images"),
    ("minutes", NUMBER, "time limit"),
    ("from_scratch", FLAG, "random weights at the start"),
    ("overkill", NUMBER, "good parts: share that may be rejected"),
    ("fine", FLAG, "good parts: finer grids too"),
    ("left_out", NUMBER, "search: blocks of the trunk that are left out"),
    ("width", NUMBER, "search: share of the channels inside blocks"),
    ("attention", NUMBER, "search: channels inside the attention"),
    ("sharpness", NUMBER, "search: the pooling's sharpness at the start"),
    ("augment_strength", NUMBER, "search: random changes, in multiples of the usual"),
];

/// The columns that figures have: their tags among the scalars, and what they are called.
const FIGURES: [(&str, &str); 8] = [
    (SELECTION_ACCURACY, "selection accuracy"),
    (SELECTION_LOSS, "selection loss"),
    (TEST_ACCURACY, "test accuracy"),
    (TEST_ESCAPES, "test escapes"),
    (PASTED_AUROC, "AUROC, pasted"),
    (HELD_OUT_OVERKILL, "overkill, held out"),
    (SEARCH_MISSES, "search: misses"),
    (SEARCH_LATENCY, "search: latency in ms"),
];
/// Share of the selection set that the finished bundle has right.
pub const SELECTION_ACCURACY: &str = "final/selection_accuracy";
/// Mean loss there of the network that was kept.
pub const SELECTION_LOSS: &str = "final/selection_loss";
/// Share of the test side that the bundle has right.
pub const TEST_ACCURACY: &str = "final/test_accuracy";
/// Share of its bad parts that pass.
pub const TEST_ESCAPES: &str = "final/test_escape_rate";
/// Good parts: area under the ROC curve, pasted anomalies against held-out parts.
pub const PASTED_AUROC: &str = "final/pasted_auroc";
/// Good parts: share of held-out parts beyond the threshold.
pub const HELD_OUT_OVERKILL: &str = "final/held_out_overkill";
/// Search: share of bad parts that pass on the selection set, or of images that are named wrong where no label passes a part.
pub const SEARCH_MISSES: &str = "final/search_misses";
/// Search: time of a verdict on this machine.
pub const SEARCH_LATENCY: &str = "final/search_latency_ms";

/// A setting.
#[derive(Debug, Clone, PartialEq)]
pub enum Setting {
    /// A number.
    Number(f64),
    /// Words.
    Text(String),
    /// Yes or no.
    Flag(bool),
}

/// The settings of a training, by column. A column that does not concern it is left out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings(BTreeMap<&'static str, Setting>);

impl Settings {
    /// Adds one. TensorBoard shows it where there is such a column.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: Setting) -> Settings {
        self.0.insert(name, value);
        self
    }

    /// The same for a number that need not be there.
    #[must_use]
    pub fn with_number(self, name: &'static str, value: Option<f64>) -> Settings {
        match value {
            Some(value) => self.with(name, Setting::Number(value)),
            None => self,
        }
    }

    /// Those of a training on so many images.
    pub fn of(settings: &crate::Settings, images: usize) -> Settings {
        let crate::Settings { preprocess, one, loss, .. } = settings;
        let number = |value: usize| Some(value as f64);
        Settings::default()
            .with_number("seed", Some(settings.seed as f64))
            .with_number("size", Some(f64::from(preprocess.width)))
            .with_number("images", number(images))
            .with_number("labels", number(settings.classes))
            .with_number("head_epochs", number(one.epochs))
            .with_number("head_rate", Some(one.rate))
            .with_number("smoothing", Some(tidy(loss.smoothing)))
            .with_number("focal", Some(tidy(loss.focus)))
            .with_number("hard_examples", Some(tidy(settings.boost)))
            .with_number("minutes", settings.limit.map(|limit| limit.as_secs_f64() / 60.0))
            .with("sampling", Setting::Text(settings.sampling.to_string()))
    }

    /// Those of a network that was searched for, after so many rounds.
    pub fn of_point(point: &Point, rounds: u32) -> Settings {
        Settings::default()
            .with_number("size", Some(f64::from(point.size)))
            .with_number("left_out", Some(point.left_out as f64))
            .with_number("width", Some(point.width))
            .with_number("attention", Some(point.attention as f64))
            .with_number("sharpness", Some(point.sharpness))
            .with_number("head_rate", Some(point.head_rate))
            .with_number("rate", Some(point.rate))
            .with_number("augment_strength", Some(point.augment))
            .with_number("epochs", Some(f64::from(rounds)))
    }

    /// Adds what is about all layers learning.
    #[must_use]
    pub fn with_all_layers(self, settings: &crate::Settings, images: usize) -> Settings {
        let two = &settings.two;
        let (steps, batch) = (two.steps(images), two.batch * two.accumulate);
        let (schedule, rate) = match &two.schedule {
            Schedule::Cosine { peak } => ("cosine", Some(*peak)),
            Schedule::Piecewise { rates, .. } => ("piecewise", rates.first().copied()),
        };
        let number = |value: usize| Some(value as f64);
        self.with_number("steps", number(steps))
            .with_number("epochs", Some((steps * batch) as f64 / images.max(1) as f64))
            .with_number("batch", number(batch))
            .with("schedule", Setting::Text(schedule.into()))
            .with_number("rate", rate)
            .with_number("patience", number(two.patience.unwrap_or(0)))
            .with_number("weight_decay", Some(tidy(two.decay)))
            .with_number("layer_decay", Some(two.layer_decay))
            .with_number("last_layers", two.last_layers.map(|count| count as f64))
            .with_number("distill", Some(tidy(two.distill)))
    }
}

/// The number that a person wrote: 0.05 and not 0.05000000074505806.
fn tidy(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

/// What stands at the beginning: the table's columns, and the settings of this run.
pub(super) fn start(settings: &Settings) -> Vec<SummaryValue> {
    let column = |&(name, kind, description): &(&str, i32, &str)| HParamInfo {
        name: name.into(),
        description: description.into(),
        r#type: kind,
        // One run does not know. What does not differ is hidden at first, and nobody would look for it.
        differs: true,
    };
    let figure = |&(tag, name): &(&str, &str)| MetricInfo {
        name: Some(MetricName { tag: tag.into() }),
        display_name: name.into(),
    };
    let time = now();
    let experiment = Experiment {
        description: "Trainings of inspectd".into(),
        time_created_secs: time,
        hparam_infos: COLUMNS.iter().map(column).collect(),
        metric_infos: FIGURES.iter().map(figure).collect(),
    };
    let kind = |setting: &Setting| match setting {
        Setting::Number(number) => Kind::Number(*number),
        Setting::Text(text) => Kind::Text(text.clone()),
        Setting::Flag(flag) => Kind::Flag(*flag),
    };
    let hparams = settings.0.iter().map(|(name, value)| ((*name).to_owned(), Value { kind: Some(kind(value)) }));
    let session = SessionStartInfo { hparams: hparams.collect(), start_time_secs: time };
    vec![
        summary(EXPERIMENT, HParamsData::Experiment(experiment)),
        summary(START, HParamsData::SessionStartInfo(session)),
    ]
}

/// What stands at the end: how the training ended.
pub(super) fn end(success: bool) -> SummaryValue {
    let status = if success { 1 } else { 2 };
    summary(END, HParamsData::SessionEndInfo(SessionEndInfo { status, end_time_secs: now() }))
}

/// A summary that is all metadata; its value is an empty list of numbers, as TensorBoard's own writer has it.
fn summary(tag: &str, data: HParamsData) -> SummaryValue {
    let content = HParamsPluginData { version: 0, data: Some(data) }.encode_to_vec();
    let plugin_data = Some(PluginData { plugin_name: "hparams".into(), content });
    let shape = TensorShapeProto { dim: vec![Dim { size: 0 }] };
    let nothing = TensorProto { dtype: FLOAT, tensor_shape: Some(shape), string_val: Vec::new() };
    SummaryValue {
        tag: tag.into(),
        metadata: Some(SummaryMetadata { plugin_data, ..SummaryMetadata::default() }),
        value: Some(Content::Tensor(nothing)),
    }
}

#[cfg(test)]
mod tests {
    use models::preprocess::Preprocess;

    use super::*;

    #[test]
    fn every_setting_has_its_column() {
        let mut settings = crate::Settings::new(2, Preprocess::imagenet(64));
        settings.two.last_layers = Some(3);
        settings.limit = Some(std::time::Duration::from_secs(90));
        let Settings(all) = Settings::of(&settings, 60).with_all_layers(&settings, 60);
        assert!(all.len() > 18 && all["smoothing"] == Setting::Number(0.05) && all["minutes"] == Setting::Number(1.5));
        let Settings(searched) = Settings::of_point(&Point::usual(64), 50);
        for (name, setting) in all.into_iter().chain(searched) {
            let kind = match setting {
                Setting::Text(_) => TEXT,
                Setting::Flag(_) => FLAG,
                Setting::Number(_) => NUMBER,
            };
            assert!(COLUMNS.iter().any(|(column, of, _)| (*column, *of) == (name, kind)), "{name}");
        }
    }
}
