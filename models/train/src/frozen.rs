//! Learning a head on a network of the zoo that stands still: stage one alone, the maps by ONNX Runtime.

use std::borrow::Cow;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use burn::tensor::Device;
use models::graph::ModelProto;
use models::heads::{attention, border};
use models::runtime::Probe;
use models::weights::{Tensor, Weights};
use models::zoo::{Frozen, MAP};
use prost::Message;
use sha2::{Digest, Sha256};

use crate::batch::{Prepare, Targets};
use crate::error::TrainError;
use crate::fit::Workers;
use crate::net::Head;
use crate::progress::Observer;
use crate::stage_one::{self, Still};
use crate::train::{Data, Settings, Trained, check, head_task, knows_places};

/// A graph that makes a last feature map called [`MAP`], at work in as many sessions as there are threads.
pub(crate) struct Looker<'a> {
    graph: Cow<'a, ModelProto>,
    channels: usize,
    idle: Mutex<Vec<Probe>>,
}

impl<'a> Looker<'a> {
    /// Sessions are made as threads ask.
    pub(crate) fn new(graph: Cow<'a, ModelProto>, channels: usize) -> Looker<'a> {
        Looker { graph, channels, idle: Mutex::new(Vec::new()) }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Probe>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Still for Looker<'_> {
    fn channels(&self) -> usize {
        self.channels
    }

    fn look(
        &self,
        prepare: &Prepare<'_>,
        tickets: &[(u64, usize)],
        _device: &Device,
    ) -> Result<(Vec<f32>, Targets), TrainError> {
        let (channels, input) = (self.channels, prepare.preprocess);
        let waiting = self.idle().pop();
        let mut probe = match waiting {
            Some(probe) => probe,
            None => {
                let shape = [1, 3, input.height as usize, input.width as usize];
                Probe::new(&self.graph, shape, &[MAP.to_owned()])?
            }
        };
        let cells: usize = prepare.cells().iter().product();
        let mut maps = Vec::with_capacity(tickets.len() * cells * channels);
        let targets = prepare.each(tickets, |tensor| {
            // Channels first there, last here.
            let see = |_: usize, map: &[f32]| {
                maps.extend((0..cells).flat_map(|cell| (0..channels).map(move |channel| map[channel * cells + cell])));
            };
            Ok(probe.run(tensor, see)?)
        })?;
        self.idle().push(probe);
        Ok((maps, targets))
    }
}

/// What several processes must have alike, as text.
fn words(settings: &Settings, trunk: &Frozen, data: &Data<'_>) -> String {
    let Settings { classes, preprocess, seed, augment, loss, sampling, shares, boost, sharpness, choice, one, .. } =
        settings;
    let (name, channels, learn, select) = (trunk.family.name, trunk.channels, data.learn.len(), data.select.len());
    let graph: String = Sha256::digest(trunk.model.encode_to_vec()).iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "{name} {channels} {graph} {classes} {preprocess:?} {seed} {augment:?} {loss:?} {sampling} {shares:?} {boost} {sharpness:?} \
         {choice:?} {one:?} {learn} {select}"
    )
}

/// Trains a head. The weights that come out are the head's alone.
///
/// # Errors
/// When settings or data do not fit, a sample cannot be loaded, training diverges or learns nothing, or the observer stops it.
pub fn train(
    settings: &Settings,
    trunk: &Frozen,
    data: &Data<'_>,
    observe: &mut Observer<'_>,
) -> Result<Trained, TrainError> {
    check(settings, data)?;
    let start = Instant::now();
    let workers = Workers::new(settings.threads)?.among(settings.peers.clone());
    if !workers.peers.is_alone() {
        workers.peers.agree_at_start("settings and trunk", &words(settings, trunk, data))?;
    }
    let mut weights = attention::init_on(trunk.channels, settings.classes, settings.seed);
    if let Some(sharpness) = settings.sharpness {
        weights.insert(attention::SHARPNESS, Tensor::scalar(sharpness));
    }
    let head = Head::load(&weights, trunk.channels, settings.classes, &workers.device)?;
    let task = head_task(settings, data, &settings.preprocess);
    let looker = Looker::new(Cow::Borrowed(&trunk.model), trunk.channels);
    let (head, score) = stage_one::run(&settings.one, &task, &workers, (&looker, head), observe)?;
    score.better_than_a_guess(settings.classes)?;
    let mut weights = Weights::default();
    head.save(&mut weights);
    if settings.loss.cell_weight == 0.0 || !knows_places(data.learn)? {
        border::note_untaught(&mut weights);
    }
    let spent: Duration = start.elapsed();
    Ok(Trained { weights, stage_one: score, stage_two: score, finish: None, spent })
}
