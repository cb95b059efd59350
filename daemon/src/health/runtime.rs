//! ONNX Runtime: whether the library loads.

use super::Finding;

pub(super) fn findings() -> Vec<Finding> {
    const WHAT: &str = "onnx runtime";
    match models::runtime::init(None) {
        Ok(()) => vec![Finding::ok(WHAT, "the library loads")],
        Err(error) => {
            vec![Finding::broken(WHAT, error.to_string(), "run `make setup`, or install the package's library")]
        }
    }
}
