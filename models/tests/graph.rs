//! Graphs that are refused before any runtime sees them, each with the reason.
#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the failure")]

use models::graph::proto::{AttributeProto, NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorProto};
use models::graph::{self, GraphBuilder, GraphError, ModelProto};
use models::weights::Tensor;
use prost::Message;

/// `y = relu(x + one)`.
fn model() -> ModelProto {
    let mut graph = GraphBuilder::new("small");
    let x = graph.input("x", &[1, 3]);
    let one = graph.initializer("one", &Tensor { shape: vec![1, 3], data: vec![1.0; 3] });
    let sum = graph.add(&x, &one, "sum");
    let y = graph.relu(&sum);
    graph.output(&y, &[1, 3]);
    ModelProto::read(&graph.finish()).unwrap()
}

fn spoilt(spoil: impl Fn(&mut ModelProto)) -> GraphError {
    let mut model = model();
    spoil(&mut model);
    graph::check(&model.encode_to_vec()).expect_err("must be refused")
}

fn node(model: &mut ModelProto) -> &mut NodeProto {
    &mut model.graph.as_mut().unwrap().node[0]
}

fn constant(model: &mut ModelProto) -> &mut TensorProto {
    &mut model.graph.as_mut().unwrap().initializer[0]
}

#[test]
fn a_plain_network_passes_and_reads_as_it_was_written() {
    let bytes = model().encode_to_vec();
    let read = graph::check(&bytes).unwrap();
    assert_eq!(read, model());
    assert_eq!(read.graph().initializer[0].to_tensor().unwrap().data, [1.0; 3]);
}

#[test]
fn weights_outside_are_refused_wherever_they_hide() {
    let outside = || TensorProto {
        name: "outside".into(),
        external_data: vec![StringStringEntryProto { key: "location".into(), value: "/etc/passwd".into() }],
        ..TensorProto::default()
    };
    let attribute = |t, tensors| AttributeProto { name: "value".into(), t, tensors, ..AttributeProto::default() };
    assert!(matches!(spoilt(|m| constant(m).data_location = 1), GraphError::ExternalData(name) if name == "one"));
    assert!(matches!(spoilt(|m| *constant(m) = outside()), GraphError::ExternalData(_)));
    let in_attribute = spoilt(|m| node(m).attribute.push(attribute(Some(outside()), Vec::new())));
    assert!(matches!(in_attribute, GraphError::ExternalData(_)));
    let in_list = spoilt(|m| node(m).attribute.push(attribute(None, vec![outside()])));
    assert!(matches!(in_list, GraphError::ExternalData(_)));
}

#[test]
fn foreign_operators_are_refused_by_name() {
    assert_eq!(spoilt(|m| node(m).domain = "com.evil".into()), GraphError::Domain("com.evil".into()));
    let custom = OperatorSetIdProto { domain: "com.microsoft".into(), version: 1 };
    assert_eq!(spoilt(|m| m.opset_import.push(custom.clone())), GraphError::Domain("com.microsoft".into()));
    let refused = spoilt(|m| node(m).op_type = "NonZero".into());
    assert_eq!(refused, GraphError::Operator { op: "NonZero".into(), node: "sum".into() });
    let unnamed = spoilt(|m| {
        node(m).op_type = "Loop".into();
        node(m).name.clear();
    });
    assert!(unnamed.to_string().contains("`Loop` (node `sum`)"), "{unnamed}");
}

#[test]
fn versions_out_of_range_are_refused() {
    assert!(matches!(
        spoilt(|m| m.opset_import[0].version = 18),
        GraphError::TooNew { what: "opset", found: 18, limit: 17 }
    ));
    assert!(matches!(spoilt(|m| m.ir_version = 10), GraphError::TooNew { what: "ir_version", found: 10, limit: 9 }));
    assert!(matches!(spoilt(|m| m.ir_version = 0), GraphError::Malformed(_)));
    assert!(matches!(spoilt(|m| m.opset_import[0].version = 6), GraphError::Unsupported(_)));
    assert!(matches!(spoilt(|m| m.opset_import.clear()), GraphError::Malformed(_)));
    assert!(matches!(spoilt(|m| m.opset_import.push(m.opset_import[0].clone())), GraphError::Malformed(_)));
}

#[test]
fn shapes_that_are_not_fixed_are_refused() {
    let with_dim = |value: Option<i64>, name: Option<&str>| {
        spoilt(|model| {
            let input = &mut model.graph.as_mut().unwrap().input[0];
            let shape = input.r#type.as_mut().unwrap().tensor_type.as_mut().unwrap().shape.as_mut().unwrap();
            shape.dim[0].dim_value = value;
            shape.dim[0].dim_param = name.map(Into::into);
        })
    };
    let refused = GraphError::DynamicShape("x".into());
    assert_eq!(with_dim(None, Some("batch")), refused);
    assert_eq!(with_dim(None, None), refused);
    assert_eq!(with_dim(Some(0), None), refused);
    assert_eq!(with_dim(Some(-1), None), refused);
    assert_eq!(spoilt(|m| m.graph.as_mut().unwrap().input[0].r#type = None), refused);
}

#[test]
fn what_plain_networks_do_not_hold_is_refused() {
    let attribute = |edit: &dyn Fn(&mut AttributeProto)| {
        spoilt(|m| {
            let mut attribute = AttributeProto { name: "a".into(), ..AttributeProto::default() };
            edit(&mut attribute);
            node(m).attribute.push(attribute);
        })
    };
    let refusals = [
        attribute(&|a| a.g = Some(Vec::new())),
        attribute(&|a| a.graphs.push(Vec::new())),
        attribute(&|a| a.sparse_tensor = Some(Vec::new())),
        attribute(&|a| a.ref_attr_name = "outer".into()),
        spoilt(|m| m.functions.push(Vec::new())),
        spoilt(|m| m.training_info.push(Vec::new())),
        spoilt(|m| m.graph.as_mut().unwrap().sparse_initializer.push(Vec::new())),
    ];
    for refusal in refusals {
        assert!(matches!(refusal, GraphError::Unsupported(_)), "{refusal}");
    }
}

#[test]
fn graphs_that_do_not_hang_together_are_refused() {
    let refusals = [
        (spoilt(|m| node(m).input[0] = "nothing".into()), "uses `nothing`"),
        (spoilt(|m| m.graph.as_mut().unwrap().node.reverse()), "uses `sum`"),
        (spoilt(|m| node(m).output[0] = "one".into()), "two values are named `one`"),
        (spoilt(|m| m.graph.as_mut().unwrap().node.truncate(1)), "its output `sum.relu`"),
        (spoilt(|m| constant(m).dims[1] = 4), "as many values as its shape"),
        (spoilt(|m| constant(m).dims = vec![i64::MAX, i64::MAX]), "as many values as its shape"),
        (spoilt(|m| constant(m).dims = vec![-1, -3]), "as many values as its shape"),
        (spoilt(|m| constant(m).float_data = vec![1.0; 3]), "as many values as its shape"),
        (spoilt(|m| m.graph = None), "no graph"),
    ];
    for (refusal, wanted) in refusals {
        assert!(refusal.to_string().contains(wanted), "wanted `{wanted}`, got: {refusal}");
    }
}
