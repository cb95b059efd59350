//! Clients that mean ill, or know no better: slow heads, crowds, huge bodies, readers that do not read. They are dropped, the
//! program stays small, and the line goes on as if there were none.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{PATIENCE, Program, agent, json, law, text, tiny_bundle, wait_for};

/// What the resident memory may grow by under attack.
const MAX_GROWTH_KIB: u64 = 64 * 1024;

struct Demo {
    program: Program,
    url: String,
    _dir: tempfile::TempDir,
}

impl Demo {
    fn start() -> Demo {
        let dir = tempfile::tempdir().expect("a folder");
        let bundle = tiny_bundle(dir.path());
        let state = dir.path().join("state");
        let arguments =
            ["demo", "--rate", "40", "--listen", "127.0.0.1:0", "--bundle", text(&bundle), "--state", text(&state)];
        let mut program = Program::start(&arguments);
        let url = program.url();
        let demo = Demo { program, url, _dir: dir };
        // Buffers and caches have their size after some parts.
        demo.parts(80);
        demo
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.url.trim_start_matches("http://")).expect("connected");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream
    }

    fn memory_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.program.id())).expect("a process");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("its memory");
        line.split_whitespace().nth(1).expect("a number").parse().expect("KiB")
    }

    /// Name and niceness of each thread; see proc_pid_stat(5).
    fn threads(&self) -> Vec<(String, i32)> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.program.id())).expect("a process");
        // A thread may end meanwhile.
        let stats = tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("stat")).ok());
        let thread = |stat: String| {
            let (name, fields) = stat.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')')).expect("a name");
            let nice = fields.split_whitespace().nth(16).expect("niceness");
            (name.to_owned(), nice.parse().expect("a number"))
        };
        stats.map(thread).collect()
    }

    /// The counts, which obey the law, as soon as there are so many parts more.
    fn parts(&self, more: u64) {
        let counts = || {
            // A crowd may have every place for a moment: then one asks again.
            let mut answer = agent().get(format!("{}/api/v1/line", self.url)).call().ok()?;
            let line: Value = answer.body_mut().read_json().ok()?;
            Some((law(&line["counts"]), line["counts"]["no_decision"].as_u64()?))
        };
        let (before, _) = wait_for("the counts", counts);
        wait_for("more parts", || counts().filter(|(now, _)| *now >= before + more));
    }
}

/// Waits until the other side has closed; what it sent before that.
fn until_closed(mut stream: &TcpStream) -> Vec<u8> {
    let mut said = Vec::new();
    // Reset is closed too.
    let _ = stream.read_to_end(&mut said);
    said
}

#[test]
fn who_looks_on_yields_to_the_line() {
    let demo = Demo::start();
    let threads = demo.threads();
    let nice = |name: &str| threads.iter().filter(|(of, _)| of == name).map(|(_, nice)| *nice).collect::<Vec<_>>();
    let usual = nice("capture")[0];
    for name in ["api", "preview"] {
        assert!(!nice(name).is_empty() && nice(name).iter().all(|&nice| nice == 15), "{name}: {threads:?}");
    }
    for name in ["record", "deadlines", "journal-sync", "evidence"] {
        assert_eq!(nice(name), [usual], "{name}: {threads:?}");
    }
}

#[test]
fn slow_heads_and_crowds_are_dropped_and_the_line_goes_on() {
    let demo = Demo::start();
    let before = demo.memory_kib();
    let crowd: Vec<TcpStream> = (0..500)
        .map(|_| {
            let mut stream = demo.connect();
            // Half a head, as Slowloris sends it. Those who find no place may be closed already.
            let _ = stream.write_all(b"GET /api/v1/line HTTP/1.1\r\nHost: localhost\r\nX-Slow: ");
            stream
        })
        .collect();
    let under_attack = demo.memory_kib();
    assert!(under_attack < before + MAX_GROWTH_KIB, "{before} KiB, and with 500 connections {under_attack} KiB");
    let since = Instant::now();
    for stream in &crowd {
        until_closed(stream);
    }
    assert!(since.elapsed() < PATIENCE, "somebody was let in for ever");
    demo.parts(20);
    let after = demo.memory_kib();
    assert!(after < before + MAX_GROWTH_KIB, "{before} KiB, then {after} KiB");
}

#[test]
fn a_huge_body_is_refused_unread() {
    let demo = Demo::start();
    let before = demo.memory_kib();
    let mut declared = demo.connect();
    declared
        .write_all(b"POST /api/v1/tokens HTTP/1.1\r\nHost: localhost\r\nX-Inspectd: 1\r\nContent-Type: application/json\r\nContent-Length: 104857600\r\n\r\n")
        .expect("sent");
    let said = String::from_utf8_lossy(&until_closed(&declared)).into_owned();
    assert!(said.starts_with("HTTP/1.1 413 ") && said.contains("application/problem+json"), "{said}");

    // Without a length it is found out while reading.
    let mut chunked = demo.connect();
    let head = b"POST /api/v1/tokens HTTP/1.1\r\nHost: localhost\r\nX-Inspectd: 1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    chunked.write_all(head).expect("sent");
    let chunk = [&b"100000\r\n"[..], &vec![b' '; 0x10_0000], b"\r\n"].concat();
    let taken = (0..100).take_while(|_| chunked.write_all(&chunk).is_ok()).count();
    assert!(taken < 100, "100 MB were taken");
    demo.parts(20);
    let after = demo.memory_kib();
    assert!(after < before + MAX_GROWTH_KIB, "{before} KiB, then {after} KiB");
}

#[test]
fn a_body_that_dribbles_is_not_waited_for() {
    let demo = Demo::start();
    let mut stream = demo.connect();
    stream
        .write_all(b"POST /api/v1/tokens HTTP/1.1\r\nHost: localhost\r\nX-Inspectd: 1\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
        .expect("sent");
    let mut start = [0; 12];
    stream.read_exact(&mut start).expect("an answer");
    assert_eq!(&start, b"HTTP/1.1 408", "{}", String::from_utf8_lossy(&start));
}

#[test]
fn a_listener_that_never_reads_is_dropped() {
    let demo = Demo::start();
    let before = demo.memory_kib();
    let pid = demo.program.id();
    let sockets = || {
        let fds = fs::read_dir(format!("/proc/{pid}/fd")).expect("a process");
        fds.flatten()
            .filter(|fd| fs::read_link(fd.path()).is_ok_and(|to| to.to_string_lossy().starts_with("socket:")))
            .count()
    };
    // Connections that asked before are still being closed: the least of a second's looks has none of them.
    let look = |_| {
        std::thread::sleep(Duration::from_millis(50));
        sockets()
    };
    let without = (0..20).map(look).min().expect("some looks");
    let deaf: Vec<TcpStream> = (0..8)
        .map(|_| {
            let mut stream = narrow(&demo.url);
            stream.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
            stream
        })
        .collect();
    wait_for("their connections", || (sockets() >= without + deaf.len()).then_some(()));
    // They go when their buffers are full and nobody reads for a while.
    let until = Instant::now() + Duration::from_secs(120);
    while sockets() > without {
        assert!(Instant::now() < until, "{} sockets, without them there were {without}", sockets());
        std::thread::sleep(Duration::from_millis(200));
    }
    let after = demo.memory_kib();
    assert!(after < before + MAX_GROWTH_KIB, "{before} KiB, then {after} KiB");
    demo.parts(20);
    let counts = &json(&format!("{}/api/v1/line", demo.url))["counts"];
    law(counts);
}

/// A connection whose receiver has little room: it is full soon.
fn narrow(url: &str) -> TcpStream {
    let address = url.trim_start_matches("http://").parse().expect("an address");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a small buffer");
        socket.connect(address).await.expect("connected").into_std().expect("a stream")
    });
    stream.set_nonblocking(false).expect("a blocking stream");
    stream
}

#[test]
fn refusals_before_any_handler_are_problems_too() {
    let demo = Demo::start();
    let said = |request: &str| {
        let mut stream = demo.connect();
        stream.write_all(request.as_bytes()).expect("sent");
        String::from_utf8_lossy(&until_closed(&stream)).into_owned()
    };
    for (request, status) in [
        ("POST /api/v1/line HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 405),
        ("POST /api/v1/nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 404),
        ("POST /api/v1/tokens HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 403),
        (
            "POST /api/v1/tokens HTTP/1.1\r\nHost: localhost\r\nX-Inspectd: 1\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
            415,
        ),
        (
            "POST /api/v1/tokens HTTP/1.1\r\nHost: localhost\r\nX-Inspectd: 1\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
            422,
        ),
        (
            "POST /api/v1/tokens HTTP/1.1\r\nHost: localhost\r\nX-Inspectd: 1\r\nContent-Type: application/json\r\nContent-Length: 1\r\nConnection: close\r\n\r\n{",
            400,
        ),
        ("GET /api/v1/line HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", 421),
    ] {
        let answer = said(request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answer}");
        assert!(answer.contains("application/problem+json") && answer.contains("content-security-policy"), "{answer}");
        if status == 405 {
            assert!(answer.to_lowercase().contains("\r\nallow: get"), "{answer}");
        }
    }
}
