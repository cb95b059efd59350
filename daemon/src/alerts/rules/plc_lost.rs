//! The PLC that calls for parts is not heard of: its cable, its program, or its network.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Condition, Facts, Level, Look, Watch};

/// See the module. How long is too long stands in the line's configuration (`plc.lost_ms`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PlcLost {}

impl Condition for PlcLost {
    const MACHINE: bool = false;

    fn watch(&self) -> Box<dyn Watch> {
        Box::new(Watching)
    }
}

struct Watching;

impl Watch for Watching {
    fn look(&mut self, facts: &Facts) -> Look {
        let Some(plc) = &facts.plc else { return Look::whole(Level::Good, None, "there is no PLC") };
        let link = &plc.link;
        match &plc.lost {
            Some((silent, trouble)) => {
                let seconds = silent.as_secs_f64();
                let why = trouble.as_ref().map(|why| format!("; the last trouble was: {why}")).unwrap_or_default();
                let text = format!("nothing was heard of the PLC for {seconds:.0} s ({link}){why}");
                Look::whole(Level::Bad, Some(seconds), text)
            }
            None => Look::whole(Level::Good, Some(0.0), format!("the PLC is there ({link})")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::super::facts::PlcFacts;
    use super::super::testing::Bench;
    use super::*;

    #[test]
    fn a_silent_plc_is_told_with_the_last_trouble() {
        let mut bench = Bench::new(&PlcLost {});
        assert_eq!(bench.level(), Level::Good, "without a PLC there is none to lose");
        let mut plc = PlcFacts { link: "Modbus".into(), lost: None, overdue: None, waiting: 0, missed: 0 };
        bench.facts.plc = Some(plc.clone());
        assert_eq!(bench.level(), Level::Good);
        plc.lost = Some((Duration::from_secs(7), Some("connection reset".into())));
        bench.facts.plc = Some(plc);
        assert_eq!((bench.level(), bench.value()), (Level::Bad, Some(7.0)));
        assert!(bench.text().contains("for 7 s (Modbus)") && bench.text().ends_with("connection reset"), "{}", bench.text());
    }
}
