//! One trace per part, as a collector at a real socket gets it from the real program.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use inspectd::traces::otlp::{Export, Span};
use prost::Message;

use crate::command_line::sound;
use crate::support::{jpeg, output, text, words};

/// A collector, and the spans that it was told so far.
fn collector() -> (String, Arc<Mutex<Vec<Span>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}/v1/traces", listener.local_addr().expect("an address"));
    let got: Arc<Mutex<Vec<Span>>> = Arc::default();
    let into = got.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream.try_clone().expect("a handle"));
            let mut length = 0;
            for line in reader.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty()) {
                if let Some(bytes) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = bytes.trim().parse().expect("a length");
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).expect("the body");
            let export = Export::decode(&body[..]).expect("OTLP");
            let spans = export.resource_spans.into_iter().flat_map(|it| it.scope_spans).flat_map(|it| it.spans);
            into.lock().expect("nobody panics with it").extend(spans);
            let _gone_already = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    (endpoint, got)
}

#[test]
fn every_part_of_a_run_has_its_trace_at_the_end() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = sound(dir.path());
    let (endpoint, got) = collector();
    let once = fs::read_to_string(&config).expect("text").replace("\"loop\"", "\"once\"").replace("rate = 20.0\n", "");
    fs::write(&config, format!("{once}\n[traces]\nendpoint = \"{endpoint}\"\n")).expect("written");
    for (name, bytes) in [("a.jpg", jpeg(40)), ("b.jpg", jpeg(215)), ("c.jpg", jpeg(40)[..200].to_vec())] {
        fs::write(dir.path().join("camera").join(name), bytes).expect("written");
    }
    let (code, _, stderr) = words(&output(&["run", "--once", "--config", text(&config)]));
    assert_eq!(code, 0, "{stderr}");

    let spans = got.lock().expect("nobody panics with it");
    let (roots, stages): (Vec<&Span>, Vec<&Span>) = spans.iter().partition(|span| span.parent_span_id.is_empty());
    assert_eq!(roots.len(), 3, "{spans:#?}");
    assert_eq!(roots.iter().map(|root| &root.trace_id).collect::<BTreeSet<_>>().len(), 3, "a trace for each");
    assert_eq!(roots.iter().filter(|root| root.status.is_some()).count(), 1, "the file that is cut off");
    for stage in &stages {
        let root = roots.iter().find(|root| root.trace_id == stage.trace_id).expect("its part");
        assert_eq!(stage.parent_span_id, root.span_id);
        assert!(root.start_time_unix_nano <= stage.start_time_unix_nano, "{stage:?} of {root:?}");
        assert!(stage.end_time_unix_nano <= root.end_time_unix_nano, "{stage:?} of {root:?}");
    }
    let names: BTreeSet<&str> = stages.iter().map(|stage| stage.name.as_str()).collect();
    assert!(["quality", "preprocess", "infer"].iter().all(|name| names.contains(name)), "{names:?}");
}

#[test]
fn a_collector_that_cannot_be_told_is_refused_before_the_line_starts() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = sound(dir.path());
    let sound = fs::read_to_string(&config).expect("text");
    for (section, says) in [
        ("endpoint = \"http://collector.plant:4318/v1/traces\"", "insecure = true"),
        ("endpoint = \"https://collector.plant/v1/traces\"\nbearer = \"file:/nowhere/token\"", "/nowhere/token"),
        ("endpoints = \"x\"", "did you mean `endpoint`"),
    ] {
        fs::write(&config, format!("{sound}\n[traces]\n{section}\n")).expect("written");
        let (code, _, stderr) = words(&output(&["run", "--once", "--config", text(&config)]));
        assert!(code != 0 && stderr.contains(says), "{section}: {code} {stderr}");
    }
}
