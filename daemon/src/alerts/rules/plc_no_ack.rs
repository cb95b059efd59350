//! The PLC does not acknowledge a result: it may not have read it, and soon no further part can be taken.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Condition, Facts, Level, Look, Watch};

/// See the module. How long is too long stands in the line's configuration (`plc.ack_ms`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PlcNoAck {}

impl Condition for PlcNoAck {
    const MACHINE: bool = false;

    fn watch(&self) -> Box<dyn Watch> {
        Box::new(Watching)
    }
}

struct Watching;

impl Watch for Watching {
    fn look(&mut self, facts: &Facts) -> Look {
        let Some(plc) = &facts.plc else { return Look::whole(Level::Good, None, "there is no PLC") };
        match plc.overdue {
            Some((id, waits)) => {
                let seconds = waits.as_secs_f64();
                let text = format!(
                    "the PLC has not acknowledged the result of part {id} for {seconds:.1} s; {} results wait, {} triggers were missed so far",
                    plc.waiting, plc.missed
                );
                Look::whole(Level::Bad, Some(seconds), text)
            }
            None => Look::whole(Level::Good, Some(0.0), "the PLC acknowledges its results"),
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
    fn a_result_that_waits_is_told_with_what_it_costs() {
        let mut bench = Bench::new(&PlcNoAck {});
        assert_eq!(bench.level(), Level::Good);
        let overdue = Some((41, Duration::from_millis(2500)));
        bench.facts.plc = Some(PlcFacts { link: "Modbus".into(), lost: None, overdue, waiting: 8, missed: 3 });
        assert_eq!((bench.level(), bench.value()), (Level::Bad, Some(2.5)));
        let text = bench.text();
        assert!(text.contains("part 41 for 2.5 s") && text.contains("8 results wait, 3 triggers"), "{text}");
    }
}
