//! What is drawn, out of what the line answers. Answers are not trusted: every text is cut and cleaned here, every number may be absent.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

/// Characters of one text at most.
const LONGEST: usize = 300;

/// Everything on the screen.
#[derive(Debug, Clone, Default)]
pub(super) struct View {
    pub(super) url: String,
    /// None: it has never answered.
    pub(super) known: Option<Known>,
    /// None: it answers.
    pub(super) gone: Option<Gone>,
    pub(super) paused: bool,
    pub(super) help: bool,
    pub(super) colour: bool,
}

/// The line does not answer.
#[derive(Debug, Clone)]
pub(super) struct Gone {
    pub(super) why: String,
    /// Since its last answer, or since the start.
    pub(super) seconds: u64,
}

/// What the interface said, as it came.
pub(super) struct Answers {
    pub(super) line: Value,
    pub(super) trend: Result<Value, String>,
    pub(super) parts: Result<Value, String>,
    pub(super) health: Result<Value, String>,
    pub(super) alerts: Result<Value, String>,
}

impl Default for Answers {
    fn default() -> Answers {
        let none = || Ok(Value::Null);
        Answers { line: Value::Null, trend: none(), parts: none(), health: none(), alerts: none() }
    }
}

/// What the line said last.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) line: String,
    pub(super) state: String,
    pub(super) reason: String,
    pub(super) recipe: String,
    pub(super) model: String,
    pub(super) version: String,
    pub(super) up_s: Option<i64>,
    /// triggered, pass, fail, review, no decision, in flight.
    pub(super) counts: [Option<u64>; 6],
    pub(super) per_second: Option<f64>,
    /// Verdicts of each second, oldest first.
    pub(super) trend: Vec<u64>,
    pub(super) p50_ms: Option<f64>,
    pub(super) p99_ms: Option<f64>,
    pub(super) deadline_ms: Option<f64>,
    pub(super) stages: Vec<StageRow>,
    pub(super) health: Vec<Fact>,
    pub(super) alerts: Result<Vec<AlertRow>, String>,
    pub(super) parts: Result<Vec<PartRow>, String>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct StageRow {
    pub(super) name: String,
    pub(super) waiting: Option<u64>,
    pub(super) capacity: Option<u64>,
    pub(super) p50_ms: Option<f64>,
    pub(super) p99_ms: Option<f64>,
}

/// Something about the machine; `bad`: a person should look at it.
#[derive(Debug, Clone)]
pub(super) struct Fact {
    pub(super) name: &'static str,
    pub(super) words: String,
    pub(super) bad: bool,
}

#[derive(Debug, Clone)]
pub(super) struct AlertRow {
    pub(super) open: bool,
    pub(super) severity: String,
    pub(super) at: String,
    pub(super) words: String,
}

#[derive(Debug, Clone)]
pub(super) struct PartRow {
    pub(super) at: String,
    pub(super) id: String,
    pub(super) serial: String,
    pub(super) verdict: String,
    pub(super) label: String,
    pub(super) score: Option<f64>,
    pub(super) ms: Option<f64>,
}

impl Known {
    pub(super) fn of(answers: &Answers) -> Known {
        let line = &answers.line;
        let health = answers.health.as_ref();
        let model = &line["model"];
        let ms = |of: &Value| of.as_f64().map(|us| us / 1000.0);
        Known {
            line: said(&line["line"]),
            state: said(&line["state"]),
            reason: said(&line["state_reason"]),
            recipe: said(&line["recipe"]),
            model: format!("{} on {}", said(&model["name"]), said(&model["provider"])),
            version: said(&line["version"]),
            up_s: time(&line["started_at"]).map(|at| Timestamp::now().duration_since(at).as_secs()),
            counts: ["triggered", "pass", "fail", "review", "no_decision", "in_flight"]
                .map(|name| line["counts"][name].as_u64()),
            per_second: line["parts_per_s"].as_f64(),
            trend: answers.trend.as_ref().map_or_else(
                |_| Vec::new(),
                |trend| list(&trend["points"]).map(|point| point["triggered"].as_u64().unwrap_or(0)).collect(),
            ),
            p50_ms: ms(&line["latency"]["p50_us"]),
            p99_ms: ms(&line["latency"]["p99_us"]),
            deadline_ms: line["deadline_ms"].as_f64(),
            stages: stages(&line["stages"], health.map_or(&Value::Null, |health| &health["queues"]["stages"])),
            health: match health {
                Ok(health) => facts(health, &line["store"]),
                Err(why) => vec![Fact { name: "machine", words: why.clone(), bad: true }],
            },
            alerts: answers.alerts.as_ref().map(alert_rows).map_err(Clone::clone),
            parts: answers.parts.as_ref().map(|parts| list(&parts["items"]).map(part).collect()).map_err(Clone::clone),
        }
    }

    /// The law: every trigger is somewhere. None: some count is not known.
    pub(super) fn law_holds(&self) -> Option<bool> {
        let [triggered, rest @ ..] = self.counts;
        let sum = rest.into_iter().try_fold(0_u64, |sum, count| Some(sum.saturating_add(count?)))?;
        Some(triggered? == sum)
    }
}

/// A text as it may go to a terminal: no control characters (a serial number may hold escape sequences), nothing invisible or that turns
/// the direction of writing, and no more than fits any screen.
pub(super) fn clean(text: &str) -> String {
    let hidden = |c: char| matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    text.chars().take(LONGEST).map(|c| if c.is_control() || hidden(c) { '·' } else { c }).collect()
}

fn said(value: &Value) -> String {
    clean(value.as_str().unwrap_or_default())
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// As the clock on the wall has it.
fn clock(value: &Value) -> String {
    time(value).map_or("-".to_owned(), |at| at.to_zoned(TimeZone::system()).strftime("%H:%M:%S").to_string())
}

/// The stages with their times; what waits in front of a stage stands in another answer.
fn stages(times: &Value, queues: &Value) -> Vec<StageRow> {
    let ms = |of: &Value| of.as_f64().map(|us| us / 1000.0);
    let timed = list(times).map(|stage| {
        let queue = list(queues).find(|queue| queue["stage"] == stage["name"]).unwrap_or(&Value::Null);
        StageRow {
            name: said(&stage["name"]),
            waiting: queue["waiting"].as_u64(),
            capacity: queue["capacity"].as_u64(),
            p50_ms: ms(&stage["p50_us"]),
            p99_ms: ms(&stage["p99_us"]),
        }
    });
    timed.collect()
}

fn facts(health: &Value, store: &Value) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut fact = |name, words: String, bad| facts.push(Fact { name, words, bad });
    let gb = |bytes: &Value| bytes.as_f64().map_or("-".to_owned(), |bytes| format!("{:.1}", bytes / 1e9));
    let percent = |of: &Value| of.as_f64().map_or("-".to_owned(), |of| format!("{of:.0} %"));
    let cpu = &health["cpu"];
    let cores = cpu["cores"].as_u64().map_or(String::new(), |cores| format!(" of {cores} cores"));
    fact("CPU", format!("{}{cores}", percent(&cpu["busy_percent"])), cpu["busy_percent"].as_f64() > Some(95.0));
    let memory = &health["memory"];
    let (free, all) = (memory["available_bytes"].as_f64(), memory["total_bytes"].as_f64());
    let scarce = free.zip(all).is_some_and(|(free, all)| free < 0.05 * all);
    let words = format!(
        "{} of {} GB free, own {}",
        gb(&memory["available_bytes"]),
        gb(&memory["total_bytes"]),
        gb(&memory["own_bytes"])
    );
    fact("memory", words, scarce);
    for disk in list(&health["disks"]).take(2) {
        let days = disk["days_left"].as_f64();
        let left = days.map_or(String::new(), |days| format!(", full in {days:.0} days"));
        fact("disk", format!("{} GB free{left}", gb(&disk["free_bytes"])), days.is_some_and(|days| days < 7.0));
    }
    for card in list(&health["gpus"]["cards"]).take(2) {
        let heat = card["temperature_c"].as_u64().map_or(String::new(), |heat| format!(", {heat} °C"));
        let slow = list(&card["throttled_by"]).next().is_some();
        let words = format!("{}{heat}{}", percent(&card["busy_percent"]), if slow { ", throttled" } else { "" });
        fact("GPU", words, slow);
    }
    if let Some(trouble) = health["gpus"]["trouble"].as_str() {
        fact("GPU", clean(trouble), true);
    }
    let pending = health["queues"]["records_pending"].as_u64().map_or(String::new(), |n| format!(", {n} wait"));
    let detail = store["detail"].as_str().map_or(String::new(), |detail| format!(": {}", clean(detail)));
    fact("records", format!("{}{pending}{detail}", said(&store["state"])), store["state"] != "ok");
    facts
}

/// Those that are on, then those that are over.
fn alert_rows(alerts: &Value) -> Vec<AlertRow> {
    let row = |open: bool| {
        move |alert: &Value| AlertRow {
            open,
            severity: said(&alert["severity"]),
            at: clock(&alert["fired_at"]),
            words: format!("{}: {}", said(&alert["rule"]), said(&alert["text"])),
        }
    };
    list(&alerts["active"]).map(row(true)).chain(list(&alerts["recent"]).map(row(false))).take(24).collect()
}

fn part(part: &Value) -> PartRow {
    let label = &part["label"];
    let score = list(&part["scores"]).find(|score| !label.is_null() && score["label"] == *label);
    PartRow {
        at: clock(&part["triggered_at"]),
        id: part["id"].as_u64().map_or("-".to_owned(), |id| id.to_string()),
        serial: said(&part["serial"]),
        verdict: said(&part["verdict"]).replace('_', " "),
        // A part without a decision has a cause in place of a label.
        label: said(if label.is_null() { &part["cause"] } else { label }),
        score: score.and_then(|score| score["score"].as_f64()),
        ms: part["ledger"]["total_us"].as_f64().map(|us| us / 1000.0),
    }
}
