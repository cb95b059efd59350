//! Whether the exported graph is the network that was trained, on images that it did not learn from.

use burn::module::Module;
use burn::tensor::Device;
use models::bundle::{Bundle, Certificate, Compared, Machine};
use models::certify::{Agreement, Comparison, Said};
use models::heads::border;
use models::ruling::verdict_by_scores;
use models::runtime::{Provider, Session, SessionOptions};
use models::weights::Weights;
use models::zoo::mobilenet_v3_small::STRIDE;

use crate::batch::Prepare;
use crate::error::TrainError;
use crate::fit::Workers;
use crate::net::{Net, numbers};
use crate::samples::Samples;

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
    let net = Net::from_weights(weights, labels, &workers.device)?;
    let indices: Vec<usize> = (0..samples.len()).collect();
    let mut comparison = Comparison::new(&bundle.manifest.labels, verdict_by_scores);
    // A round at a time: the heat maps of a whole set would take gigabytes.
    for round in indices.chunks(256) {
        let pairs = workers.map(round, AT_ONCE, |part| {
            // Without a tape: it would keep every activation, for gradients that nobody asks for.
            let net = Trained {
                net: net.clone().fork(&workers.device).no_grad(),
                untaught_border: border::is_untaught(weights),
            };
            run((&net, &workers.device), bundle, samples, part)
        })?;
        for (index, Pair { network, graph }) in round.iter().zip(pairs.iter().flatten()) {
            comparison.note(&samples.name(*index), network.said(), graph.said());
        }
    }
    Ok(comparison.finish())
}

/// The trained network, and what its graph does to the map.
struct Trained {
    net: Net,
    untaught_border: bool,
}

fn run(
    (trained, device): (&Trained, &Device),
    bundle: &Bundle,
    samples: &dyn Samples,
    part: &[usize],
) -> Result<Vec<Pair>, TrainError> {
    let preprocess = &bundle.manifest.preprocess;
    let mut session = Session::new(bundle, Provider::Cpu, &SessionOptions::default())?;
    let classes = bundle.manifest.labels.len();
    let prepare = Prepare { samples, classes, preprocess, augment: None, seed: 0 };
    let items: Vec<(u64, usize)> = part.iter().map(|&index| (0, index)).collect();
    let (batch, _) = prepare.batch(&items)?;
    let outputs = trained.net.forward(&batch, device);
    // The temperature is the graph's own: it was fitted after the training.
    let inverse = bundle.manifest.provenance.calibration.map_or(1.0, |fitted| (1.0 / fitted.temperature) as f32);
    let scores = numbers(burn::tensor::activation::softmax(outputs.logits.mul_scalar(inverse), 1));
    // `images x cells x labels` there, `labels x cells` an image here.
    let heat = numbers(outputs.cells.swap_dims(1, 2));
    let heat = match trained.untaught_border {
        true => border::pass_on(&heat, [batch.height / STRIDE, batch.width / STRIDE]),
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
