//! ONNX Runtime: whether the library loads, and on which providers networks run here.

use models::runtime::{Provider, available_providers, loaded_library};

use super::Finding;

pub(super) fn findings() -> Vec<Finding> {
    const WHAT: &str = "onnx runtime";
    let providers = match available_providers() {
        Ok(providers) => providers,
        Err(error) => {
            let remedy = "run `./setup.sh build` in the source tree, or install the package again; `ORT_DYLIB_PATH` names another";
            return vec![Finding::broken(WHAT, error.to_string(), remedy)];
        }
    };
    let place = loaded_library().map_or(String::new(), |path| format!("`{}`", path.display()));
    let mut findings = vec![Finding::ok(WHAT, format!("the library loads: {place}"))];
    findings.extend(providers.into_iter().map(|status| match (status.problem, status.provider) {
        (None, provider) => Finding::ok("provider", format!("{provider} works")),
        (Some(reason), Provider::Cpu) => {
            Finding::broken("provider", format!("CPU does not work: {reason}"), "install ONNX Runtime again")
        }
        // The plain library has no GPU providers: nothing is wrong with that.
        (Some(reason), provider) => Finding::note("provider", format!("{provider} does not work: {reason}")),
    }));
    findings
}
