//! A disk fills up: days left at the last day's pace, or little free in any case.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Condition, Facts, Level, Look, Reading, Watch, falling, within};
use crate::health::DiskReport;

/// See the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DiskDays {
    /// Bad from here down, days; good from twice as many on.
    pub under_days: f64,
    /// Bad from here down whatever the pace, GiB free; good from one and a half times as much on.
    pub under_gib: f64,
}

impl Default for DiskDays {
    fn default() -> Self {
        DiskDays { under_days: 3.0, under_gib: 2.0 }
    }
}

impl Condition for DiskDays {
    const MACHINE: bool = true;

    fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        within(&mut problems, "under_days", self.under_days, 0.0, 3650.0);
        within(&mut problems, "under_gib", self.under_gib, 0.0, 1e6);
        problems
    }

    fn watch(&self) -> Box<dyn Watch> {
        Box::new(Watching(self.clone()))
    }
}

struct Watching(DiskDays);

impl Watch for Watching {
    fn look(&mut self, facts: &Facts) -> Look {
        let readings = facts.health.disks.iter().map(|disk| self.reading(disk)).collect();
        // A disk that cannot be asked did not become well by that.
        Look { readings, others: Level::Between }
    }
}

impl Watching {
    fn reading(&self, disk: &DiskReport) -> Reading {
        let DiskDays { under_days, under_gib } = self.0;
        let gib = disk.free_bytes as f64 / f64::from(1 << 30);
        let by_space = falling(gib, under_gib, 1.5 * under_gib);
        let by_days = disk.days_left.map_or(Level::Good, |days| falling(days, under_days, 2.0 * under_days));
        let level = match (by_space, by_days) {
            (Level::Bad, _) | (_, Level::Bad) => Level::Bad,
            (Level::Good, Level::Good) => Level::Good,
            _ => Level::Between,
        };
        let days = disk.days_left.map_or(String::new(), |days| format!(", full in {days:.1} days at this pace"));
        let text = format!("disk of `{}`: {gib:.1} GiB free{days}; free space, or keep fewer pictures", disk.path);
        Reading { subject: disk.path.clone(), level, value: disk.days_left.or(Some(gib)), text }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bench;
    use super::*;
    use crate::health::HealthReport;

    #[test]
    fn either_the_pace_or_the_space_is_enough() {
        let mut bench = Bench::new(&DiskDays::default());
        for (gib, days, level) in [
            (50, None, Level::Good),
            (50, Some(2.9), Level::Bad),
            (50, Some(5.0), Level::Between),
            (50, Some(6.1), Level::Good),
            (2, None, Level::Bad),
            (2, Some(100.0), Level::Bad),
        ] {
            let disk = DiskReport { path: "/state".into(), free_bytes: gib << 30, total_bytes: 100 << 30, days_left: days };
            bench.facts.health = HealthReport { disks: vec![disk], ..HealthReport::clone(&bench.facts.health) }.into();
            assert_eq!(bench.level(), level, "{gib} GiB, {days:?} days");
        }
    }
}
