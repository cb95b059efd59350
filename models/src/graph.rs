//! ONNX graphs: our own small builder over the field numbers of onnx.proto.
