//! Whether the exported graph is the network that was trained, on images that it did not learn from.

use std::borrow::Cow;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use models::bundle::{Bundle, Certificate, Compared, Machine};
use models::certify::{Agreement, Comparison, Said};
use models::graph::{GraphError, ModelProto};
use models::heads::border;
use models::ruling::verdict_by_scores;
use models::runtime::{Provider, Session, SessionOptions};
use models::weights::Weights;
use models::zoo::MAP;

use crate::batch::Prepare;
use crate::error::TrainError;
use crate::fit::Workers;
use crate::frozen::Looker;
use crate::net::{Head, Net, Outputs, numbers};
use crate::samples::Samples;
use crate::stage_one::Still;

/// Images of one pass of the trained network.
const AT_ONCE: usize = 8;

/// What one computation says of one image.
struct Answer {
    scores: Vec<f32>,
    heat: Vec<f32>,
}

impl Answer {
    fn said(&self) -> Said<'_> {
        Said { scores: &self.scores, heat: &self.heat }
    }
}

/// What one image gives: from the trained network and from the graph.
struct Pair {
    network: Answer,
    graph: Answer,
}

/// Runs the trained network and the bundle's graph on every sample and compares verdicts, probabilities and heat maps.
///
/// # Errors
/// [`TrainError::Export`] where a verdict flips or a probability differs by more than the bundle allows; a sample that cannot be
/// loaded; a graph that does not run.
pub fn certify(weights: &Weights, bundle: &Bundle, samples: &dyn Samples) -> Result<Certificate, TrainError> {
    let agreement = compare(weights, bundle, samples)?;
    let tolerance = bundle.manifest.tolerance.fp32;
    if agreement.flips > 0 || agreement.largest_difference > tolerance {
        return Err(TrainError::Export { agreement, tolerance });
    }
    Ok(Certificate {
        compared_with: Compared::TrainedNetwork,
        agreement,
        provider: Provider::Cpu,
        machine: Machine::this(),
        export: None,
    })
}

fn compare(weights: &Weights, bundle: &Bundle, samples: &dyn Samples) -> Result<Agreement, TrainError> {
    let workers = Workers::new(None)?;
    let labels = bundle.manifest.labels.len();
    let network = Network::of(weights, bundle, labels, &workers.device)?;
    let indices: Vec<usize> = (0..samples.len()).collect();
    let mut comparison = Comparison::new(&bundle.manifest.labels, verdict_by_scores);
    // A round at a time: the heat maps of a whole set would take gigabytes.
    for round in indices.chunks(256) {
        let pairs = workers.map(round, AT_ONCE, |part| {
            // Without a tape: it would keep every activation, for gradients that nobody asks for.
            run((&network, border::is_untaught(weights), &workers.device), bundle, samples, part)
        })?;
        for (index, Pair { network, graph }) in round.iter().zip(pairs.iter().flatten()) {
            comparison.note(&samples.name(*index), network.said(), graph.said());
        }
    }
    Ok(comparison.finish())
}

/// The trained network.
enum Network<'a> {
    /// Our trunk and its head.
    Whole(Box<Net>),
    /// A head that was trained on the map of a trunk that stood still: only the head is computed by both.
    Head(Box<(Head, Looker<'a>)>),
}

impl Network<'_> {
    fn of(weights: &Weights, bundle: &Bundle, labels: usize, device: &Device) -> Result<Self, TrainError> {
        let graph = ModelProto::read(&bundle.graph).map_err(|error: GraphError| TrainError::Weights(error.into()))?;
        let on_a_map = graph.graph().node.iter().any(|node| node.output.iter().any(|output| output == MAP));
        let channels = weights.0.get("classifier.weight").and_then(|classifier| classifier.shape.get(1));
        match (on_a_map, channels) {
            (true, Some(&channels)) => {
                let head = Head::load(weights, channels, labels, device)?;
                Ok(Network::Head(Box::new((head, Looker::new(Cow::Owned(graph), channels)))))
            }
            _ => Ok(Network::Whole(Box::new(Net::from_weights(weights, labels, device)?))),
        }
    }

    fn outputs(&self, prepare: &Prepare<'_>, tickets: &[(u64, usize)], device: &Device) -> Result<Outputs, TrainError> {
        Ok(match self {
            Network::Whole(net) => net.clone().fork(device).no_grad().forward(&prepare.batch(tickets)?.0, device),
            Network::Head(both) => {
                let (head, looker) = &**both;
                let ([rows, columns], channels) = (prepare.cells(), looker.channels());
                let (maps, _) = looker.look(prepare, tickets, device)?;
                let maps = TensorData::new(maps, [tickets.len(), rows, columns, channels]);
                head.clone().fork(device).no_grad().forward(Tensor::from_data(maps, device))
            }
        })
    }
}

/// `untaught_border`: what the graph does to the map, after the network.
fn run(
    (network, untaught_border, device): (&Network<'_>, bool, &Device),
    bundle: &Bundle,
    samples: &dyn Samples,
    part: &[usize],
) -> Result<Vec<Pair>, TrainError> {
    let preprocess = &bundle.manifest.preprocess;
    let mut session = Session::new(bundle, Provider::Cpu, &SessionOptions::default())?;
    let classes = bundle.manifest.labels.len();
    let prepare = Prepare { samples, classes, preprocess, augment: None, seed: 0 };
    let items: Vec<(u64, usize)> = part.iter().map(|&index| (0, index)).collect();
    let outputs = network.outputs(&prepare, &items, device)?;
    // The temperature is the graph's own: it was fitted after the training.
    let inverse = bundle.manifest.provenance.calibration.map_or(1.0, |fitted| (1.0 / fitted.temperature) as f32);
    let scores = numbers(burn::tensor::activation::softmax(outputs.logits.mul_scalar(inverse), 1));
    // `images x cells x labels` there, `labels x cells` an image here.
    let heat = numbers(outputs.cells.swap_dims(1, 2));
    let heat = match untaught_border {
        true => border::pass_on(&heat, prepare.cells()),
        false => heat,
    };
    let heat_len = heat.len() / part.len();
    let mut tensor = vec![0.0; preprocess.tensor_len()];
    let pair = |(at, index): (usize, &usize)| {
        preprocess.fill(samples.load(*index)?.image.view(), &mut tensor);
        let graph = session.run(&tensor)?;
        let network = Answer {
            scores: scores[at * classes..][..classes].to_vec(),
            heat: heat[at * heat_len..][..heat_len].to_vec(),
        };
        Ok(Pair { network, graph: Answer { scores: graph.scores, heat: graph.heat } })
    };
    part.iter().enumerate().map(pair).collect()
}
