//! Clients of the PLC's port that mean ill or know no better. They are answered by an exception or dropped; the line runs on.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::rig::{Line, TEN};
use crate::support::{json, law, wait_for};

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("connected");
    stream.set_read_timeout(Some(TEN)).expect("a timeout");
    stream
}

/// Header and body of a request.
fn request(body: &[u8]) -> Vec<u8> {
    let length = (body.len() + 1) as u16;
    [&[0x12, 0x34, 0, 0][..], &length.to_be_bytes(), &[1], body].concat()
}

/// The body of the answer; none: the connection was closed.
fn answer(stream: &mut TcpStream, request: &[u8]) -> Option<Vec<u8>> {
    stream.write_all(request).ok()?;
    let mut head = [0; 7];
    stream.read_exact(&mut head).ok()?;
    assert_eq!(head[..4], [0x12, 0x34, 0, 0], "the answer belongs to the request");
    let mut body = vec![0; usize::from(u16::from_be_bytes([head[4], head[5]])) - 1];
    stream.read_exact(&mut body).ok()?;
    Some(body)
}

/// Waits until the other side has closed.
fn is_closed(mut stream: &TcpStream) -> bool {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

/// One part from trigger to acknowledgement.
fn inspects(line: &Line, id: u32) {
    let mut plc = wait_for("a place", || {
        let mut plc = line.plc();
        plc.try_read().is_ok().then_some(plc)
    });
    plc.wait("readiness", |said| said.trigger_ready);
    plc.trigger(id, 0, "");
    assert_eq!(plc.wait("a result", |said| said.result_ready).result_id, id);
    plc.acknowledge();
}

#[test]
fn what_cannot_be_done_is_answered_by_an_exception_and_what_is_no_request_by_the_end() {
    let line = Line::start("", "");
    let mut stream = connect(line.address);
    for (body, exception) in [
        (vec![4, 0, 0, 0, 0], [0x84, 3]),
        (vec![4, 0, 0, 0, 126], [0x84, 3]),
        (vec![4, 0, 0, 0, 21], [0x84, 2]),
        (vec![4, 0xff, 0xff, 0, 1], [0x84, 2]),
        (vec![3, 0, 90, 0, 20], [0x83, 2]),
        (vec![2, 0, 8, 0, 1], [0x82, 2]),
        (vec![1, 0, 0, 0, 3], [0x81, 2]),
        (vec![5, 0, 2, 0xff, 0], [0x85, 2]),
        (vec![6, 0, 20, 0, 1], [0x86, 2]),
        (vec![6, 0, 100, 0, 1], [0x86, 2]),
        (vec![0x10, 0, 19, 0, 2, 4, 0, 1, 0, 1], [0x90, 2]),
        (vec![0x16, 0, 0, 0, 0, 0, 0], [0x96, 1]),
        (vec![0x11], [0x91, 1]),
        (vec![0x41, 1, 2, 3], [0xc1, 1]),
        (vec![0x2b, 0x0e, 1, 0], [0xab, 1]),
    ] {
        assert_eq!(answer(&mut stream, &request(&body)), Some(exception.to_vec()), "{body:02x?}");
    }
    // What there is, in each way to read it.
    let read = |stream: &mut TcpStream, body: &[u8]| answer(stream, &request(body)).expect("an answer");
    assert_eq!(read(&mut stream, &[4, 0, 0, 0, 20]).len(), 42);
    assert_eq!(read(&mut stream, &[3, 0, 100, 0, 20]).len(), 42, "the same as holding registers");
    assert_eq!(read(&mut stream, &[2, 0, 0, 0, 8]).len(), 3);
    assert_eq!(read(&mut stream, &[0x17, 0, 119, 0, 1, 0, 2, 0, 1, 2, 0, 9]), [0x17, 2, 0, 1], "version 1 of the map");
    assert_eq!(read(&mut stream, &[3, 0, 2, 0, 1]), [3, 2, 0, 9], "what was written");

    for bad in [
        request(&[4, 0, 0, 0]),
        request(&[0x0f, 0, 0, 0x07, 0xd0, 1, 3]),
        request(&[0x10, 0, 0, 0x9c, 0x40, 0]),
        request(&[0x17, 0, 0, 0, 1, 0, 0, 0x80, 0, 0]),
        request(&[0x84, 1]),
        vec![0, 1, 0, 7, 0, 6, 1, 4, 0, 0, 0, 1],
        vec![0, 1, 0, 0, 0, 1, 1],
        vec![0, 1, 0, 0, 0xff, 0xff, 1, 4],
        b"GET / HTTP/1.1\r\nHost: plc\r\n\r\n".to_vec(),
    ] {
        let mut stream = connect(line.address);
        stream.write_all(&bad).expect("sent");
        assert!(is_closed(&stream), "still open after {bad:02x?}");
    }
    inspects(&line, 1);
    assert!(!line.program.printed().contains("panicked"), "{}", line.program.printed());
    let report = json(&format!("{}/api/v1/plc", line.url));
    assert!(report["wrong_requests"].as_u64() >= Some(24), "{report}");
}

/// Random bytes, random requests, and good ones with something changed.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let body = prop::collection::vec(any::<u8>(), 1..40);
    let framed =
        (prop::sample::select(vec![1_u8, 2, 3, 4, 5, 6, 15, 16, 22, 23, 43]), body).prop_map(|(function, mut body)| {
            body[0] = function;
            request(&body)
        });
    let changed = (
        prop::sample::select(vec![
            request(&[4, 0, 0, 0, 20]),
            request(&[0x10, 0, 0, 0, 2, 4, 0, 0, 0, 7]),
            request(&[0x0f, 0, 0, 0, 2, 1, 0]),
            request(&[5, 0, 0, 0xff, 0]),
            request(&[0x17, 0, 0, 0, 1, 0, 2, 0, 1, 2, 0, 9]),
        ]),
        any::<prop::sample::Index>(),
        any::<u8>(),
    )
        .prop_map(|(mut request, at, byte)| {
            let at = at.index(request.len());
            request[at] = byte;
            request
        });
    prop_oneof![1 => prop::collection::vec(any::<u8>(), 0..300), 2 => framed, 3 => changed]
}

#[test]
fn whatever_bytes_come_nothing_panics_and_the_line_runs_on() {
    // The connection gives orders, too: it may raise triggers, so the law is what is looked at.
    let line = Line::start("", "idle_ms = 500\n");
    let mut runner = TestRunner::new(Config { cases: 200, failure_persistence: None, ..Config::default() });
    let address = line.address;
    runner
        .run(&prop::collection::vec(bytes(), 1..8), |pieces| {
            let mut stream = connect(address);
            for piece in pieces {
                // It may have been closed by an earlier piece.
                if stream.write_all(&piece).is_err() {
                    break;
                }
            }
            Ok(())
        })
        .expect("no case fails");
    let printed = line.program.printed();
    assert!(!printed.contains("panicked"), "{printed}");
    law(&json(&format!("{}/api/v1/plc", line.url))["counts"]);
    // A PLC that begins anew lowers its bits, reads away what is shown, and goes on.
    let mut plc = wait_for("a place", || {
        let mut plc = line.plc();
        plc.try_read().is_ok().then_some(plc)
    });
    plc.lower();
    loop {
        plc.acknowledge();
        let counts = &json(&format!("{}/api/v1/plc", line.url))["counts"];
        law(counts);
        if counts["waiting"] == 0 && counts["in_flight"] == 0 {
            break;
        }
    }
    let id = plc.read().ack_id.wrapping_add(1_000_000);
    drop(plc);
    inspects(&line, id);
}

#[test]
fn crowds_floods_and_sleepers_cost_the_line_nothing() {
    let line = Line::start("", "idle_ms = 700\nmax_connections = 4\n");
    // Half a request each, as a dead peer leaves it.
    let sleepers: Vec<TcpStream> = (0..4)
        .map(|_| {
            let mut stream = connect(line.address);
            stream.write_all(&request(&[4, 0, 0, 0, 20])[..9]).expect("sent");
            stream
        })
        .collect();
    wait_for("the crowd", || (json(&format!("{}/api/v1/plc", line.url))["connections"] == 4).then_some(()));
    assert!(is_closed(&connect(line.address)), "one too many was let in");
    for sleeper in &sleepers {
        assert!(is_closed(sleeper), "a sleeper was waited for");
    }
    // As fast as it goes, without reading an answer.
    let address = line.address;
    let flood = std::thread::spawn(move || {
        let mut stream = connect(address);
        stream.set_write_timeout(Some(Duration::from_secs(1))).expect("a timeout");
        let many = request(&[4, 0, 0, 0, 20]).repeat(1000);
        (0..2000).take_while(|_| stream.write_all(&many).is_ok()).count()
    });
    for id in 1..=20 {
        inspects(&line, id);
    }
    let taken = flood.join().expect("no panic");
    assert!(taken < 2000, "two million requests were swallowed");
    let report = json(&format!("{}/api/v1/plc", line.url));
    assert_eq!((law(&report["counts"]), &report["counts"]["acknowledged"]), (20, &20.into()));
    assert!(report["refused_connections"].as_u64() >= Some(1));
}

#[test]
fn only_one_machine_gives_orders_and_it_may_come_back() {
    let line = Line::start("", "");
    let mut first = line.plc();
    first.wait("readiness", |said| said.trigger_ready);
    first.trigger(1, 0, "");
    // The same machine again, while its old connection looks open: it takes over, and the old one is told so.
    let mut second = line.plc();
    assert_eq!(second.wait("a result", |said| said.result_ready).result_id, 1);
    second.acknowledge();
    second.trigger(2, 0, "");
    assert_eq!(second.wait("a result", |said| said.result_ready).result_id, 2);
    let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| first.lower()));
    assert!(refused.is_err(), "two connections gave orders");
    second.acknowledge();
    assert!(!second.read().result_ready);
}
