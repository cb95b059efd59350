//! Looks inside a graph: gives the values between its nodes.

use ort::value::TensorRef;

use super::{EngineOptions, Provider, RuntimeError, SessionOptions, build, environment, explain, load_tensorrt};
use crate::graph::ModelProto;
use crate::graph::proto::{FLOAT, TensorTypeProto, TypeProto, ValueInfoProto};
use prost::Message;

/// A graph whose inner values are outputs.
pub struct Probe {
    session: ort::session::Session,
    provider: Provider,
    shape: [i64; 4],
    values: Vec<String>,
}

impl Probe {
    /// Makes the values of these names outputs of the graph, on the processor. `shape` is that of its one input.
    ///
    /// # Errors
    /// As [`super::Session::new`]; also when the graph has no value of one of the names, or it is none of 32-bit floats.
    pub fn new(model: &ModelProto, shape: [usize; 4], values: &[String]) -> Result<Probe, RuntimeError> {
        Self::on(Provider::Cpu, model, shape, values)
    }

    /// The same on exactly `provider`.
    ///
    /// # Errors
    /// As [`new`](Self::new); [`RuntimeError::ProviderUnavailable`].
    pub fn on(
        provider: Provider,
        model: &ModelProto,
        shape: [usize; 4],
        values: &[String],
    ) -> Result<Probe, RuntimeError> {
        let mut model = model.clone();
        if let Some(graph) = &mut model.graph {
            let open = |name: &String| ValueInfoProto {
                name: name.clone(),
                r#type: Some(TypeProto { tensor_type: Some(TensorTypeProto { elem_type: FLOAT, shape: None }) }),
            };
            graph.output = values.iter().map(open).collect();
        }
        let failed = |reason: String| match provider {
            Provider::Cpu => RuntimeError::GraphRefused(reason),
            _ => RuntimeError::ProviderUnavailable { provider, reason: explain(provider, reason) },
        };
        let environment = environment(None)?;
        if provider == Provider::Tensorrt {
            load_tensorrt(environment).map_err(failed)?;
        }
        let (options, engine) = (SessionOptions::default(), EngineOptions::throw_away());
        let session = build(environment, &model.encode_to_vec(), provider, &options, engine).map_err(failed)?;
        Ok(Probe { session, provider, shape: shape.map(|size| size as i64), values: values.to_vec() })
    }

    /// Runs one input and hands each value, in the order of the names, to `see`.
    ///
    /// # Errors
    /// [`RuntimeError::Run`].
    pub fn run(&mut self, tensor: &[f32], mut see: impl FnMut(usize, &[f32])) -> Result<(), RuntimeError> {
        let provider = self.provider;
        let failed = |reason: String| RuntimeError::Run { provider, reason };
        let input = TensorRef::from_array_view((self.shape, tensor)).map_err(|e| failed(e.to_string()))?;
        let outputs = self.session.run([input.into()]).map_err(|e| failed(e.to_string()))?;
        for (index, name) in self.values.iter().enumerate() {
            let value = outputs.get(name.as_str()).ok_or_else(|| failed(format!("no value `{name}`")))?;
            let (_, data) = value.try_extract_tensor::<f32>().map_err(|e| failed(e.to_string()))?;
            see(index, data);
        }
        Ok(())
    }
}
