//! Features of pictures, computed by ONNX Runtime through the graph that the line will run.

use models::bundle::{Bundle, Disposition, FORMAT, Heads, Label, Manifest, Pooling, Provenance, Tolerance};
use models::heads::memory::{self, Features};
use models::image::Image;
use models::preprocess::Preprocess;
use models::runtime::{Provider, Session, SessionOptions};
use models::weights::Weights;
use models::zoo::mobilenet_v3_small::BLOCKS;
use rayon::prelude::*;

use crate::error::TrainError;

/// Feature maps of one picture.
pub(super) struct Maps {
    /// `channels x height x width` of the extractor's features.
    cells: Vec<f32>,
    /// The last feature map averaged over all cells.
    pub(super) embedding: Vec<f32>,
}

/// Computes features of many depths at once, of which candidates take what they want.
pub(super) struct Extractor {
    bundle: Bundle,
    features: Features,
    size: [usize; 2],
}

impl Extractor {
    /// For one input and the finest grid that is wanted of it.
    pub(super) fn new(weights: &Weights, preprocess: &Preprocess, features: Features) -> Result<Extractor, TrainError> {
        let size = [preprocess.height as usize, preprocess.width as usize];
        let graph = memory::build_features(weights, size, &features)?;
        // The runtime reads a model through a manifest with as many labels as there are maps.
        let label =
            |channel| Label { name: format!("channel {channel}"), verdict: Disposition::Review, threshold: 0.5 };
        let manifest = Manifest {
            format: FORMAT,
            name: "features".into(),
            labels: (0..features.channels()).map(label).collect(),
            preprocess: preprocess.clone(),
            pooling: Pooling::Mean,
            input: models::heads::attention::INPUT.into(),
            scores: "average".into(),
            heat: "features".into(),
            heads: Heads { embedding: Some("embedding".into()), ..Heads::default() },
            precision: Default::default(),
            graph_sha256: String::new(),
            files_sha256: Default::default(),
            tolerance: Tolerance { fp32: 1e-3, fp16: 1e-2 },
            provenance: Provenance::default(),
        };
        let bundle =
            Bundle { manifest, graph, expectations: Vec::new(), model_card: None, certificate: None, reference: None };
        Ok(Extractor { bundle, features, size })
    }

    /// Passes pictures `0..count` through the trunk and keeps what `keep` makes of each. Runs on the current thread pool.
    pub(super) fn map<T: Send>(
        &self,
        count: usize,
        load: impl Fn(usize) -> Result<Image, TrainError> + Sync,
        keep: impl Fn(usize, Maps) -> T + Sync,
    ) -> Result<Vec<T>, TrainError> {
        let preprocess = &self.bundle.manifest.preprocess;
        let start = || (Session::new(&self.bundle, Provider::Cpu, &SessionOptions::default()), Vec::new());
        let run = |(session, tensor): &mut (Result<Session, _>, Vec<f32>), index: usize| {
            let image = load(index)?;
            tensor.resize(preprocess.tensor_len(), 0.0);
            preprocess.fill(image.view(), tensor);
            let session = match session {
                Ok(session) => session,
                // Made anew for the error's sake: a session that cannot be made now could not be made before.
                Err(_) => &mut Session::new(&self.bundle, Provider::Cpu, &SessionOptions::default())?,
            };
            let mut outputs = session.run(tensor)?;
            let embedding = outputs.named.remove("embedding").map(|output| output.data).unwrap_or_default();
            Ok(keep(index, Maps { cells: outputs.heat, embedding }))
        };
        (0..count).into_par_iter().map_init(start, run).collect()
    }

    /// A picture's features as rows, one a cell: `cells x channels` of `wanted`, which takes some of the extractor's blocks on
    /// the same or a coarser grid.
    pub(super) fn rows(&self, maps: &Maps, wanted: &Features) -> Vec<f32> {
        let [height, width] = self.features.grid(self.size);
        let [rows, columns] = wanted.grid(self.size);
        let (factor, channels) = (wanted.stride / self.features.stride, wanted.channels());
        let share = 1.0 / (factor * factor) as f32;
        let mut out = vec![0.0; rows * columns * channels];
        let (mut from, mut to) = (0, 0);
        for &block in &self.features.blocks {
            let count = BLOCKS[block - 1].output;
            if wanted.blocks.contains(&block) {
                for channel in 0..count {
                    let map = &maps.cells[(from + channel) * height * width..][..height * width];
                    for y in 0..rows * factor {
                        for x in 0..columns * factor {
                            let cell = y / factor * columns + x / factor;
                            out[cell * channels + to + channel] += share * map[y * width + x];
                        }
                    }
                }
                to += count;
            }
            from += count;
        }
        out
    }
}
