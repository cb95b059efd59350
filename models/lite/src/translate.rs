//! A graph in the words that tract reads. Each change has its reason; whether the result is still the same network is not believed but
//! measured, by the bundle's own pictures (`checked.rs`).

use models::graph::proto::{AttributeProto, FLOAT, FLOAT16, TensorProto, ValueInfoProto};
use models::graph::{GraphError, ModelProto};

/// The graph with exactly these outputs, in this order, and nothing that tract lacks.
pub(crate) fn for_tract(mut model: ModelProto, outputs: &[&str]) -> Result<ModelProto, GraphError> {
    let Some(graph) = &mut model.graph else { return Ok(model) };
    // tract gives all outputs of a graph in its order; those that nobody reads would be computed too.
    let find = |name: &&str| graph.output.iter().find(|value| value.name == **name).cloned();
    graph.output = outputs.iter().filter_map(find).collect::<Vec<ValueInfoProto>>();
    // Halves: tract would compute them in halves, sums included, where ONNX Runtime's processor kernels, which the bundle's scores come
    // from, compute in 32 bits. The weights keep their rounded values.
    for tensor in &mut graph.initializer {
        widen(tensor)?;
    }
    for node in &mut graph.node {
        for attribute in &mut node.attribute {
            if let Some(tensor) = &mut attribute.t {
                widen(tensor)?;
            }
            if node.op_type == "Cast" {
                widen_cast(attribute);
            }
        }
    }
    Ok(model)
}

fn widen(tensor: &mut TensorProto) -> Result<(), GraphError> {
    if tensor.data_type == FLOAT16 {
        let dims = tensor.dims.clone();
        *tensor = TensorProto { dims, ..TensorProto::from_tensor(&tensor.name, &tensor.to_tensor()?) };
    }
    Ok(())
}

/// A cast to halves becomes one to 32 bits, which is none.
fn widen_cast(attribute: &mut AttributeProto) {
    if attribute.name == "to" && attribute.i == Some(i64::from(FLOAT16)) {
        attribute.i = Some(i64::from(FLOAT));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use models::bundle::Bundle;
    use models::graph;
    use models::precision::to_half;

    use super::*;

    #[test]
    fn halves_become_whole_and_only_what_is_read_is_an_output() {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../weights/default.bundle");
        let graph = Bundle::open(&shipped).expect("the shipped bundle is in the tree").graph;
        let half = graph::check(&to_half(&graph).expect("converts")).expect("a sound graph");
        let halves = |model: &ModelProto| {
            let constants = model.graph().initializer.iter().filter(|it| it.data_type == FLOAT16).count();
            let casts = model.graph().node.iter().filter(|node| node.op_type == "Cast");
            let to_half = casts.filter(|node| node.attribute.iter().any(|it| it.i == Some(i64::from(FLOAT16)))).count();
            [constants, to_half]
        };
        assert!(halves(&half).iter().all(|&count| count > 0), "{:?}", halves(&half));
        let sizes = |model: &ModelProto| -> Vec<Vec<i64>> {
            model.graph().initializer.iter().map(|it| it.dims.clone()).collect()
        };
        let before = sizes(&half);
        let whole = for_tract(half, &["heat", "scores"]).expect("translates");
        assert_eq!(halves(&whole), [0, 0]);
        assert_eq!(sizes(&whole), before);
        let names: Vec<&str> = whole.graph().output.iter().map(|value| value.name.as_str()).collect();
        assert_eq!(names, ["heat", "scores"]);
    }
}
