//! One part as a trace: the root is the part from trigger to verdict, its children are the marks of its ledger.

use sha2::{Digest, Sha256};
use stages::inspection::Inspection;
use stages::verdict::Verdict;

use super::otlp::{KeyValue, Span, Status};

const INTERNAL: i32 = 1;
const ERROR: i32 = 2;

/// A part's place among all traces, the same whenever it is asked for: of the line, the part's id, which a line never uses twice, and the
/// trigger's time, which tells two lives of a state directory apart.
pub fn trace_id(part: &Inspection) -> [u8; 16] {
    let mut hash = Sha256::new();
    hash.update(part.line.as_bytes());
    hash.update([0]);
    hash.update(part.id.to_le_bytes());
    hash.update(part.triggered_at.as_nanosecond().to_le_bytes());
    let mut id = [0; 16];
    id.copy_from_slice(&hash.finalize()[..16]);
    id
}

/// Whether a part is sent, at this share of parts. What was rejected or not decided always is.
pub fn is_wanted(part: &Inspection, share: f64) -> bool {
    if matches!(part.verdict, Verdict::Fail | Verdict::NoDecision(_)) {
        return true;
    }
    let drawn = trace_id(part)[..4].iter().fold(0u32, |sum, &byte| sum << 8 | u32::from(byte));
    f64::from(drawn) / (f64::from(u32::MAX) + 1.0) < share
}

/// The part's spans, the root first. None where its time lies before 1970.
pub fn spans(part: &Inspection) -> Vec<Span> {
    let Ok(start) = u64::try_from(part.triggered_at.as_nanosecond()) else { return Vec::new() };
    let trace = trace_id(part);
    let at = |us: u32| start.saturating_add(u64::from(us) * 1000);
    let total = part.ledger.total_us;
    let root = span_id(&trace, 0);
    let mut spans = vec![Span {
        trace_id: trace.to_vec(),
        span_id: root.clone(),
        parent_span_id: Vec::new(),
        name: "part".to_owned(),
        kind: INTERNAL,
        start_time_unix_nano: start,
        end_time_unix_nano: at(total),
        attributes: facts(part),
        status: status(part),
    }];
    for (number, mark) in (1u64..).zip(&part.ledger.marks) {
        // A record from a damaged or foreign journal must not make a span that ends before it begins, or outside its part.
        let entered = mark.entered_us.min(total);
        spans.push(Span {
            trace_id: trace.to_vec(),
            span_id: span_id(&trace, number),
            parent_span_id: root.clone(),
            name: mark.stage.to_string(),
            kind: INTERNAL,
            start_time_unix_nano: at(entered),
            end_time_unix_nano: at(mark.left_us.clamp(entered, total)),
            attributes: Vec::new(),
            status: None,
        });
    }
    spans
}

fn span_id(trace: &[u8; 16], number: u64) -> Vec<u8> {
    let mut hash = Sha256::new();
    hash.update(trace);
    hash.update(number.to_le_bytes());
    hash.finalize()[..8].to_vec()
}

fn facts(part: &Inspection) -> Vec<KeyValue> {
    let (verdict, cause) = words(part.verdict);
    let mut facts = vec![
        KeyValue::text("inspectd.line", &part.line),
        KeyValue::whole("inspectd.part", part.id),
        KeyValue::text("inspectd.camera", &part.camera),
        KeyValue::text("inspectd.verdict", verdict),
        KeyValue::text("inspectd.recipe", &part.recipe),
        KeyValue::text("inspectd.model", &part.model),
    ];
    let maybe = [
        ("inspectd.serial", part.serial.as_deref()),
        ("inspectd.lot", part.lot.as_deref()),
        ("inspectd.label", part.label.as_deref()),
        ("inspectd.cause", cause.as_deref()),
    ];
    facts.extend(maybe.into_iter().filter_map(|(key, value)| value.map(|value| KeyValue::text(key, value))));
    facts
}

/// A rejected part is the line's work done well; only a part without a decision is an error.
fn status(part: &Inspection) -> Option<Status> {
    let Verdict::NoDecision(_) = part.verdict else { return None };
    Some(Status { message: part.detail.clone().unwrap_or_default(), code: ERROR })
}

fn words(verdict: Verdict) -> (&'static str, Option<String>) {
    match verdict {
        Verdict::Pass => ("pass", None),
        Verdict::Fail => ("fail", None),
        Verdict::Review => ("review", None),
        Verdict::NoDecision(cause) => {
            let word = serde_json::to_value(cause).ok().and_then(|word| word.as_str().map(str::to_owned));
            ("no_decision", word)
        }
    }
}
