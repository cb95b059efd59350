//! A bundle's graph under tract. The only file that names it.

use std::collections::BTreeMap;
use std::sync::Arc;

use models::bundle::{Bundle, HeadOutput};
use models::graph;
use models::precision;
use models::runtime::{NamedOutput, Outputs, Provider, RuntimeError};
use prost::Message;
use tract_onnx::prelude::*;

use crate::translate::for_tract;

/// What runs the graph, for messages.
pub(crate) const NAME: &str = "tract";

/// A graph that is ready to run. Several threads may run it at once.
pub(crate) struct Network {
    plan: Arc<TypedRunnableModel>,
    /// `1 x 3 x height x width`.
    input: [usize; 4],
    labels: usize,
    /// What the manifest's heads read, in the order in which the graph gives it after scores and heat map.
    heads: Vec<HeadOutput>,
}

impl Network {
    /// Loads a bundle's graph.
    ///
    /// # Errors
    /// In words, when the graph is not what its manifest says, or tract lacks something that it needs.
    pub(crate) fn load(bundle: &Bundle) -> Result<Network, String> {
        let manifest = &bundle.manifest;
        if !manifest.views().is_empty() {
            return Err(
                "it sees several views of a part together, which this program does not: run it with inspectd".into()
            );
        }
        let model = graph::check(&bundle.graph).map_err(|error| error.to_string())?;
        precision::check(&model, manifest.precision)?;
        let heads = manifest.heads.outputs();
        let outputs = [&manifest.scores, &manifest.heat].into_iter().chain(heads.iter().map(|head| &head.name));
        let outputs: Vec<&str> = outputs.map(String::as_str).collect();
        let model = for_tract(model, &outputs).map_err(|error| error.to_string())?;
        let plan = plan(&model.encode_to_vec()).map_err(|error| format!("{error:#}"))?;
        let [height, width] = [manifest.preprocess.height, manifest.preprocess.width].map(|side| side as usize);
        Ok(Network { plan, input: [1, 3, height, width], labels: manifest.labels.len(), heads })
    }

    /// Runs one input of `1 x 3 x height x width` values.
    ///
    /// # Errors
    /// [`RuntimeError::Input`] for another length; [`RuntimeError::Run`], also where an output has not the shape that the manifest says.
    pub(crate) fn run(&self, tensor: &[f32]) -> Result<Outputs, RuntimeError> {
        let expected = self.input.iter().product();
        if tensor.len() != expected {
            return Err(RuntimeError::Input { expected, got: tensor.len() });
        }
        let failed = |reason: String| RuntimeError::Run { provider: Provider::Cpu, reason };
        let input = Tensor::from_shape(&self.input, tensor).map_err(|error| failed(format!("{error:#}")))?;
        let values = self.plan.run(tvec!(input.into_tvalue())).map_err(|error| failed(format!("{error:#}")))?;
        let mut values = values.iter().map(named_output);
        let mut next = |name: &str| {
            let value = values.next().ok_or_else(|| failed(format!("no output `{name}`")))?;
            value.map_err(|reason| failed(format!("output `{name}`: {reason}")))
        };
        let (scores, heat) = (next("scores")?, next("heat")?);
        let heat_size = match (scores.shape.as_slice(), heat.shape.as_slice()) {
            ([1, k], [1, maps, height, width]) if [*k, *maps] == [self.labels; 2] => [*height, *width],
            others => return Err(failed(format!("{} labels, but scores and heat map are {others:?}", self.labels))),
        };
        let mut named = BTreeMap::new();
        for head in &self.heads {
            let value = next(&head.name)?;
            head.values(&value.shape).map_err(failed)?;
            named.insert(head.name.clone(), value);
        }
        Ok(Outputs { scores: scores.data, heat: heat.data, heat_size, named })
    }
}

/// tract's own steps from a file to something that runs.
fn plan(graph: &[u8]) -> TractResult<Arc<TypedRunnableModel>> {
    let mut bytes = graph;
    tract_onnx::onnx().model_for_read(&mut bytes)?.into_optimized()?.into_runnable()
}

fn named_output(value: &TValue) -> Result<NamedOutput, String> {
    let data = value.try_as_plain_ram().and_then(|plain| plain.as_slice::<f32>().map(<[f32]>::to_vec));
    Ok(NamedOutput { shape: value.shape().to_vec(), data: data.map_err(|error| format!("{error:#}"))? })
}
