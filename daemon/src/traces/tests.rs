//! Spans at a real socket: what a collector gets, and what becomes of parts that it does not take.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;

use jiff::Timestamp;
use stages::ledger::{Ledger, Mark};
use stages::sample::Sample;
use stages::verdict::{Cause, Verdict};
use tokio::sync::broadcast::{Sender, channel};

use super::otlp::{Span, Value};
use super::*;

/// Longer than anything here takes on the busiest machine.
const LONG: Duration = Duration::from_secs(60);

fn part(id: u64, verdict: Verdict) -> Inspection {
    let mark = |stage: &'static str, entered_us, left_us| Mark { stage: stage.into(), entered_us, left_us };
    Inspection {
        id,
        line: "press".into(),
        camera: "folder".into(),
        serial: Some("SN-7".into()),
        lot: None,
        identity: None,
        call: None,
        origin: None,
        triggered_at: Timestamp::from_second(1_700_000_000).expect("a time"),
        verdict,
        detail: None,
        label: Some("scratch".into()),
        found: Vec::new(),
        scores: Vec::new(),
        heat: None,
        regions: Vec::new(),
        views: Arc::default(),
        recipe: "bracket@1".into(),
        model: "digest".into(),
        provider: None,
        ledger: Ledger { marks: vec![mark("capture", 0, 900), mark("inference", 1000, 9000)], total_us: 9500 },
        evidence: None,
        truth: None,
        image: None,
        pose: None,
        sample: Sample::default(),
        conditions: Vec::new(),
        check: None,
    }
}

/// What a collector got: the request's head, and its spans.
type Got = (String, Vec<Span>);

/// A collector that gives these answers, one a connection, and the last one ever after. An empty answer: it hangs.
fn collector(answers: &'static [&'static str]) -> (String, mpsc::Receiver<Got>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}/v1/traces", listener.local_addr().expect("an address"));
    let (tell, told) = mpsc::sync_channel(1024);
    std::thread::spawn(move || {
        let mut hung = Vec::new();
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.expect("a connection");
            let mut reader = BufReader::new(stream.try_clone().expect("a handle"));
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
                    break;
                }
                let line = line.to_ascii_lowercase();
                if let Some(bytes) = line.strip_prefix("content-length:") {
                    length = bytes.trim().parse().expect("a length");
                }
                head.push_str(&line);
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).expect("the body");
            let export = Export::decode(&body[..]).expect("OTLP");
            let spans = export.resource_spans.into_iter().flat_map(|it| it.scope_spans).flat_map(|it| it.spans);
            let _ = tell.send((head, spans.collect()));
            match answers[number.min(answers.len() - 1)] {
                "" => hung.push(stream),
                answer => {
                    let text = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                    let _ = stream.write_all(text.as_bytes());
                }
            }
        }
    });
    (endpoint, told)
}

fn start(endpoint: String, sample: f64) -> (Exporter, Sender<Arc<Inspection>>) {
    let (tell, parts) = channel(256);
    let target = Target { endpoint, sample, bearer: Some("hush".to_owned()), roots: None };
    (Exporter::start(target, parts, || {}).expect("a thread"), tell)
}

fn of(counts: &Counts) -> [u64; 3] {
    [&counts.sent, &counts.left_out, &counts.dropped].map(|count| count.load(Ordering::Relaxed))
}

fn text(span: &Span, key: &str) -> Option<String> {
    let value = span.attributes.iter().find(|it| it.key == key)?.value.clone()?.value?;
    match value {
        Value::Text(text) => Some(text),
        Value::Whole(number) => Some(number.to_string()),
    }
}

#[test]
fn spans_of_a_part_reach_the_collector() {
    let (endpoint, got) = collector(&["200 OK"]);
    let (exporter, tell) = start(endpoint, 1.0);
    tell.send(Arc::new(part(7, Verdict::NoDecision(Cause::Late)))).expect("a listener");
    let (head, spans) = got.recv_timeout(LONG).expect("a request");
    assert!(head.starts_with("post /v1/traces ") && head.contains("content-type: application/x-protobuf"), "{head}");
    assert!(head.contains("authorization: bearer hush"), "{head}");
    let [root, children @ ..] = &spans[..] else { panic!("no spans") };
    assert!(root.parent_span_id.is_empty() && root.trace_id.len() == 16 && root.span_id.len() == 8);
    assert_eq!(root.start_time_unix_nano, 1_700_000_000_000_000_000);
    assert_eq!(root.end_time_unix_nano, 1_700_000_000_009_500_000);
    assert_eq!(children.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["capture", "inference"]);
    assert_eq!(children[1].start_time_unix_nano, 1_700_000_000_001_000_000);
    assert!(children.iter().all(|it| it.parent_span_id == root.span_id && it.trace_id == root.trace_id));
    assert_ne!(children[0].span_id, children[1].span_id);
    let said = ["part", "serial", "verdict", "cause", "label"].map(|key| text(root, &format!("inspectd.{key}")));
    assert_eq!(said.map(Option::unwrap_or_default), ["7", "SN-7", "no_decision", "late", "scratch"]);
    assert_eq!(root.status.as_ref().map(|it| it.code), Some(2));
    let counts = exporter.counts();
    drop(exporter);
    assert_eq!(of(&counts), [1, 0, 0]);
}

#[test]
fn spans_stay_inside_their_part_whatever_its_ledger_says() {
    let mut odd = part(1, Verdict::Pass);
    let mark = |entered_us, left_us| Mark { stage: "x".into(), entered_us, left_us };
    odd.ledger.marks = vec![mark(u32::MAX, 0), mark(5, 1), mark(0, u32::MAX)];
    let spans = part::spans(&odd);
    let (start, end) = (spans[0].start_time_unix_nano, spans[0].end_time_unix_nano);
    let inside = |it: &Span| start <= it.start_time_unix_nano && it.end_time_unix_nano <= end;
    assert!(spans.iter().all(|it| inside(it) && it.start_time_unix_nano <= it.end_time_unix_nano));
    odd.triggered_at = Timestamp::MIN;
    assert!(part::spans(&odd).is_empty());
}

#[test]
fn spans_of_a_share_of_parts_and_of_every_reject() {
    let wanted = |verdict, share| (0..4000).filter(|&id| part::is_wanted(&part(id, verdict), share)).count();
    assert_eq!(wanted(Verdict::Fail, 0.0), 4000);
    assert_eq!(wanted(Verdict::NoDecision(Cause::Overload), 0.0), 4000);
    assert_eq!((wanted(Verdict::Pass, 0.0), wanted(Verdict::Pass, 1.0)), (0, 4000));
    // Five standard deviations.
    assert!((863..=1137).contains(&wanted(Verdict::Pass, 0.25)));
}

#[test]
fn spans_are_sent_again_to_a_collector_that_was_away() {
    let (endpoint, got) = collector(&["503 Service Unavailable", "200 OK"]);
    let (exporter, tell) = start(endpoint, 1.0);
    tell.send(Arc::new(part(1, Verdict::Pass))).expect("a listener");
    let first = got.recv_timeout(LONG).expect("a request").1;
    assert_eq!(got.recv_timeout(LONG).expect("another").1, first);
    let counts = exporter.counts();
    drop(exporter);
    assert_eq!(of(&counts), [1, 0, 0]);
}

#[test]
fn spans_that_nobody_takes_are_counted_and_hold_up_nobody() {
    for answer in [&["500 Internal Server Error"][..], &["400 Bad Request"], &[""]] {
        let (endpoint, got) = collector(answer);
        let (exporter, tell) = start(endpoint, 0.0);
        for id in 0..2000 {
            let verdict = if id % 2 == 0 { Verdict::Fail } else { Verdict::Pass };
            tell.send(Arc::new(part(id, verdict))).expect("a listener");
        }
        got.recv_timeout(LONG).expect("a request");
        let counts = exporter.counts();
        drop(exporter);
        let [sent, left_out, dropped] = of(&counts);
        assert_eq!((sent, left_out + dropped), (0, 2000), "{answer:?}");
    }
}

#[test]
fn spans_for_a_port_where_nobody_listens_are_dropped() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let (exporter, tell) = start(format!("http://{free}/v1/traces"), 1.0);
    tell.send(Arc::new(part(1, Verdict::Pass))).expect("a listener");
    let counts = exporter.counts();
    drop(exporter);
    assert_eq!(of(&counts), [0, 0, 1]);
}
