//! From what was learned to a bundle: one that knows good parts alone, or a classifier's with the memory added.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use models::bundle::{
    Bundle, Disposition, FORMAT, Heads, Label, Manifest, Method, Pooling, Provenance, Rule, ThresholdNote, Tolerance,
};
use models::heads::{attention, memory};
use models::predictor::expectations;
use models::runtime::{Provider, Session, SessionOptions};
use models::weights::Weights;
use models::zoo::mobilenet_v3_small as zoo;
use serde::Serialize;

use super::{GoodReport, Learned};
use crate::error::TrainError;
use crate::export::{predictor, shrink};

/// Runs of each network when their times are compared.
const RUNS: usize = 15;

/// Where a bundle comes from.
pub struct Origin {
    /// Name of the model.
    pub name: String,
    /// Command, data, seed, trunk.
    pub provenance: Provenance,
}

/// Time of one picture on one thread of this machine, tensor to verdict's numbers.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Cost {
    /// Trunk and classifier alone, at the same input size.
    pub classifier_ms: f64,
    /// The bundle.
    pub whole_ms: f64,
    /// One over the other.
    pub ratio: f64,
}

/// A bundle that knows good parts alone: its labels are `good` and `anomaly`.
///
/// # Errors
/// When weights and head do not fit, or ONNX Runtime does not run the network.
pub fn make(weights: &Weights, learned: Learned, origin: Origin) -> Result<(Bundle, GoodReport, Cost), TrainError> {
    let Learned { head, preprocess, spec, report, mut replay } = learned;
    let size = [preprocess.height as usize, preprocess.width as usize];
    let trunk = weights.only(&zoo::layers())?;
    let label = |name: &str, verdict| Label { name: name.into(), verdict, threshold: 0.5 };
    let manifest = Manifest {
        format: FORMAT,
        name: origin.name,
        labels: vec![label("good", Disposition::Pass), label("anomaly", Disposition::Fail)],
        preprocess,
        // There are no cells to pool: the head has a score of its own.
        pooling: Pooling::Mean,
        input: attention::INPUT.into(),
        scores: attention::SCORES.into(),
        heat: attention::HEAT.into(),
        heads: Heads { memory: Some(spec), ..Heads::default() },
        precision: Default::default(),
        graph_sha256: String::new(),
        files_sha256: BTreeMap::new(),
        tolerance: Tolerance { fp32: 1e-3, fp16: 5e-2 },
        provenance: origin.provenance,
    };
    let graph = memory::good_only(&trunk, size, &head)?;
    let mut bundle =
        Bundle { manifest, graph, expectations: Vec::new(), model_card: None, certificate: None, reference: None };
    shrink(&mut replay)?;
    bundle.expectations = expectations(&bundle, replay)?;
    let cost = cost(&trunk, &bundle)?;
    let Provenance { command, data_digest, seed, version, trunk, licences, .. } = &bundle.manifest.provenance;
    let licences: String = licences.iter().map(|licence| format!("- {licence}\n")).collect();
    bundle.model_card = Some(format!(
        "# {}\n\nKnows good parts alone: whatever is unlike all of them is called `anomaly`.\n\n{}\n- Command: `{command}`\n- Data \
         (SHA-256): `{data_digest}`\n- Seed: {seed}\n- inspectd {version}\n- Trunk: {trunk}\n\n## Limits\n\nIt has seen no defect: \
         how many escape is not known until it is measured on defective parts (`inspectd eval`). Good parts of another light, \
         position or batch than those learned from look anomalous.\n\n## Licences\n\n{licences}",
        bundle.manifest.name,
        card(&report, cost)
    ));
    // What is handed out has been loaded and has reproduced its own scores once.
    predictor(&mut bundle)?;
    Ok((bundle, report, cost))
}

/// A classifier's bundle with the memory added: one graph, one pass. Labels, thresholds and scores stay what they were.
///
/// # Errors
/// When the bundle's network is none of ours, has a memory already, or does not give its own scores any more.
pub fn add_memory(classifier: Bundle, learned: Learned) -> Result<(Bundle, GoodReport, Cost), TrainError> {
    let Learned { head, preprocess, spec, report, .. } = learned;
    if preprocess != classifier.manifest.preprocess {
        return Err(TrainError::Settings("the memory was learned for another input than the bundle's".into()));
    }
    if classifier.manifest.precision != Default::default() {
        return Err(TrainError::Settings(
            "the bundle was exported in reduced precision: add the memory to the bundle that it was made from".into(),
        ));
    }
    let trunk = Weights::from_graph(&classifier.graph)?.only(&zoo::layers())?;
    let size = [preprocess.height as usize, preprocess.width as usize];
    // A certificate speaks of the graph as it was.
    let mut bundle = Bundle { certificate: None, ..classifier };
    bundle.graph = memory::onto(&bundle.graph, size, &head)?;
    bundle.manifest.heads.memory = Some(spec);
    bundle.manifest.heads.rules = Rule::defaults();
    let before = std::mem::take(&mut bundle.expectations);
    bundle.expectations = expectations(&bundle, before.iter().map(|old| old.image.clone()).collect())?;
    for (at, (old, new)) in before.iter().zip(&bundle.expectations).enumerate() {
        let differs = |(a, b): (&f32, &f32)| (a - b).abs() > bundle.manifest.tolerance.fp32;
        if old.scores.iter().zip(&new.scores).any(differs) {
            return Err(TrainError::Data(format!(
                "calibration image {at}: the classifier's scores changed from {:?} to {:?}",
                old.scores, new.scores
            )));
        }
    }
    let cost = cost(&trunk, &bundle)?;
    let card = card(&report, cost);
    let old = bundle.model_card.take().unwrap_or_default();
    bundle.model_card = Some(format!(
        "{old}\n# A memory of good parts, added\n\nWhat the classifier takes for good although it is unlike all good parts goes to a \
         person (`Review`); the manifest's `heads.rules` say so.\n\n{card}"
    ));
    predictor(&mut bundle)?;
    Ok((bundle, report, cost))
}

/// Times the bundle beside trunk and classifier alone, in turns, so that whatever else runs on the machine slows both.
fn cost(trunk: &Weights, bundle: &Bundle) -> Result<Cost, TrainError> {
    let preprocess = &bundle.manifest.preprocess;
    let mut weights = trunk.clone();
    weights.merge(attention::init(2, 1));
    let size = [preprocess.height as usize, preprocess.width as usize];
    let mut alone = bundle.clone();
    alone.graph = attention::build(&weights, size, 2, Pooling::LogMeanExp(4.0))?;
    alone.manifest.heads = Heads::default();
    alone.manifest.labels = ["good", "anomaly"]
        .map(|name| Label { name: name.into(), verdict: Disposition::Review, threshold: 0.5 })
        .into();
    let options = SessionOptions { threads: 1, ..SessionOptions::default() };
    let mut sessions = [Session::new(&alone, Provider::Cpu, &options)?, Session::new(bundle, Provider::Cpu, &options)?];
    let tensor = vec![0.1; preprocess.tensor_len()];
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..RUNS {
        for (session, times) in sessions.iter_mut().zip(&mut times) {
            let start = Instant::now();
            session.run(&tensor)?;
            times.push(start.elapsed());
        }
    }
    let [classifier_ms, whole_ms] = times.map(|mut times: Vec<Duration>| {
        times.sort();
        1e3 * times[RUNS / 2].as_secs_f64()
    });
    Ok(Cost { classifier_ms, whole_ms, ratio: whole_ms / classifier_ms })
}

/// The part of the model card that says what was tried, chosen and measured.
fn card(report: &GoodReport, cost: Cost) -> String {
    let ThresholdNote { asked_overkill, held_out, above, overkill_ci: [low, high] } = report.threshold;
    let percent = |share: f64| 100.0 * share;
    let suspects: String =
        report.suspects.iter().map(|suspect| format!("- `{}`: {:.2}\n", suspect.name, suspect.share)).collect();
    format!(
        "## Learning\n\n{} good parts ({} pictures in the folder). The way to look at them was chosen on anomalies pasted onto \
         held-out good parts (cuts, scars, noise, smears), no picture of a defect:\n\n{}\nNearest neighbour of whole-picture \
         averages, the trivial way: AUROC {:.3}.\n\n## Threshold\n\nSet by good parts alone, each scored by a memory of the other \
         four fifths, for an overkill of {:.2} %. Of {held_out} held-out parts {above} reach it: {:.2} %, with 95 % confidence \
         {:.2} to {:.2} %.\n\nThe parts least like the others (1 is the threshold): is each of them good?\n\n{suspects}\n## \
         Time\n\nOne picture on one thread of the machine that learned: {:.1} ms, trunk and classifier alone {:.1} ms \
         (x {:.2}).\n",
        report.parts,
        report.found,
        table(report),
        report.baseline_auroc,
        percent(asked_overkill),
        percent(above as f64 / held_out.max(1) as f64),
        percent(low),
        percent(high),
        cost.whole_ms,
        cost.classifier_ms,
        cost.ratio,
    )
}

/// What was tried, best first, as Markdown; the chosen one is marked.
pub(super) fn table(report: &GoodReport) -> String {
    let mut order: Vec<usize> = (0..report.tried.len()).collect();
    order.sort_by(|&a, &b| report.tried[b].auroc.total_cmp(&report.tried[a].auroc));
    let mut text = String::from(
        "| | method | input | blocks | grid | dimensions | vectors | score | AUROC | cut | scar | noise | smear | cost |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for at in order {
        let it = &report.tried[at];
        let mark = if at == report.chosen { "chosen" } else { "" };
        let method = if it.method == Method::Memory { "memory" } else { "gaussian" };
        let blocks: Vec<String> = it.blocks.iter().map(usize::to_string).collect();
        let kinds: Vec<String> = it.by_kind.iter().map(|area| format!("{area:.3}")).collect();
        text.push_str(&format!(
            "| {mark} | {method} | {}x{} | {} | {}x{} | {} | {} | {:?} | {:.4} | {} | {:.2} |\n",
            it.size[0],
            it.size[1],
            blocks.join("+"),
            it.grid[0],
            it.grid[1],
            it.dimensions,
            it.vectors,
            it.scorer,
            it.auroc,
            kinds.join(" | "),
            it.cost,
        ));
    }
    text
}

impl std::fmt::Display for GoodReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ThresholdNote { asked_overkill, held_out, above, overkill_ci: [low, high] } = self.threshold;
        writeln!(
            f,
            "{} good parts; tried on pasted anomalies (cost: share of the trunk's multiplications):\n",
            self.parts
        )?;
        writeln!(f, "{}", table(self))?;
        writeln!(f, "nearest neighbour of whole-picture averages: AUROC {:.4}", self.baseline_auroc)?;
        writeln!(
            f,
            "threshold for an overkill of {:.2} %: {above} of {held_out} held-out good parts reach it (95 %: {:.2} to {:.2} %)",
            100.0 * asked_overkill,
            100.0 * low,
            100.0 * high
        )?;
        writeln!(f, "least like the others (1 is the threshold), is each of them good?")?;
        self.suspects.iter().try_for_each(|suspect| writeln!(f, "  {:.2}  {}", suspect.share, suspect.name))
    }
}
