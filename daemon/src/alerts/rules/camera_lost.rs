//! The source delivers nothing, or no picture.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Condition, Facts, Level, Look, Watch};

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CameraLost {}

impl Condition for CameraLost {
    const MACHINE: bool = false;

    fn watch(&self) -> Box<dyn Watch> {
        Box::new(Watching)
    }
}

struct Watching;

impl Watch for Watching {
    fn look(&mut self, facts: &Facts) -> Look {
        let camera = &facts.line.camera;
        match &facts.line.source_trouble {
            Some(trouble) => Look::whole(Level::Bad, None, format!("camera `{camera}`: {trouble}")),
            None => Look::whole(Level::Good, None, format!("camera `{camera}` delivers")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bench;
    use super::*;

    #[test]
    fn the_sources_own_words_are_told() {
        let mut bench = Bench::new(&CameraLost {});
        assert_eq!(bench.level(), Level::Good);
        bench.facts.line.source_trouble = Some("no frame for 3 s (link down?)".into());
        assert_eq!((bench.level(), bench.text()), (Level::Bad, "camera `camera`: no frame for 3 s (link down?)".into()));
    }
}
