//! A real receiver on this machine, and many addresses that must never be reached.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};

use super::*;

/// Answers each connection with the next of these, and tells what it was asked.
fn receiver(answers: &[&'static str]) -> (SocketAddr, Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (send, receive) = sync_channel(16);
    let answers = answers.to_vec();
    std::thread::spawn(move || {
        for answer in answers {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream);
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
                head.push_str(&line);
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            send.send((head, String::from_utf8(body).unwrap())).unwrap();
            let stream = reader.get_mut();
            // The client may hang up on an answer that is too long.
            let _gone = stream.write_all(answer.as_bytes());
        }
    });
    (address, receive)
}

fn options<'a>(url: &'a str, allow: &[String]) -> HttpOptions<'a> {
    HttpOptions {
        url,
        secrets: Vec::new(),
        bearer: None,
        ca_file: None,
        timeout: Duration::from_secs(10),
        allowed: AllowList::new(allow),
    }
}

fn now() -> Timestamp {
    Timestamp::from_second(1_614_265_330).unwrap()
}

fn answer(status: &str, more: &str) -> &'static str {
    format!("HTTP/1.1 {status}\r\nconnection: close\r\n{more}").leak()
}

#[test]
fn a_receiver_can_verify_what_it_gets() {
    let ok = answer("204 No Content", "\r\n");
    let (address, asked) = receiver(&[ok]);
    let url = format!("http://{address}/hook?line=3");
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let client = HttpClient::new(HttpOptions {
        secrets: vec![Secret::parse(secret).unwrap()],
        bearer: Some("token".into()),
        ..options(&url, &[address.to_string()])
    });
    let outcome = client.unwrap().post("msg_p5jXN8AQM9LWM0D4loKWxJek", r#"{"test": 2432232314}"#, now());
    assert_eq!(outcome, Outcome::Delivered);
    let (head, body) = asked.recv().unwrap();
    let head = head.to_ascii_lowercase();
    assert!(head.starts_with("post /hook?line=3 http/1.1"), "{head}");
    for line in [
        "webhook-id: msg_p5jxn8aqm9lwm0d4lokwxjek",
        "webhook-timestamp: 1614265330",
        "webhook-signature: v1,g0hm9sse+otpjtgt/tmiktsyzle3ufjelvlniolj1oe=",
        "authorization: bearer token",
        "content-type: application/json",
    ] {
        assert!(head.lines().any(|got| got.trim() == line), "no `{line}` in {head}");
    }
    assert_eq!(body, r#"{"test": 2432232314}"#);
}

#[test]
fn answers_mean_what_they_say() {
    let long = format!("\r\n{}", "x".repeat(1 << 20));
    let answers = [
        answer("200 OK", "content-length: 0\r\n\r\n"),
        answer("410 Gone", "content-length: 0\r\n\r\n"),
        answer("422 Unprocessable", "content-length: 9\r\n\r\nno `line`"),
        answer("503 Busy", "retry-after: 120\r\ncontent-length: 0\r\n\r\n"),
        answer("302 Found", "location: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n"),
        answer("500 Long", &long),
        "not http at all\r\n\r\n",
    ];
    let (address, asked) = receiver(&answers);
    let url = format!("http://{address}/");
    let client = HttpClient::new(options(&url, &[address.to_string()])).unwrap();
    let post = || client.post("msg_1", "{}", now());
    assert_eq!(post(), Outcome::Delivered);
    assert!(matches!(post(), Outcome::Gone(_)));
    assert_eq!(post(), Outcome::Refused("it answers 422 Unprocessable Entity: no `line`".into()));
    assert!(matches!(post(), Outcome::Away(_, Some(wait)) if wait == Duration::from_secs(120)));
    assert!(matches!(post(), Outcome::Refused(reason) if reason.contains("redirects are not followed")));
    assert!(matches!(post(), Outcome::Away(reason, None) if reason.len() < 400), "a long answer is not kept");
    assert!(matches!(post(), Outcome::Away(..)));
    // The seven requests, and none to where the redirect pointed.
    assert_eq!(asked.iter().count(), 7);
}

#[test]
fn nobody_listening_is_away() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{address}/");
    let client = HttpClient::new(options(&url, &[address.to_string()])).unwrap();
    assert!(matches!(client.post("msg_1", "{}", now()), Outcome::Away(..)));
}

/// A resolver that gives what it is told, and counts the looks.
#[derive(Debug)]
struct Scripted(Mutex<Vec<Vec<SocketAddr>>>, Arc<AtomicUsize>);

impl Resolver for Scripted {
    fn resolve(
        &self,
        _: &Uri,
        _: &ureq::config::Config,
        _: ureq::unversioned::transport::NextTimeout,
    ) -> Result<ureq::unversioned::resolver::ResolvedSocketAddrs, Error> {
        self.1.fetch_add(1, Ordering::Relaxed);
        let mut found = self.empty();
        self.0.lock().unwrap().remove(0).into_iter().for_each(|address| found.push(address));
        Ok(found)
    }
}

/// A listener that must never be connected to.
fn trap() -> (TcpListener, u16) {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

#[test]
fn forbidden_hosts_are_refused_before_a_connection_is_made() {
    let (listener, port) = trap();
    // Everything that a URL can call this machine, its network or a cloud's metadata.
    let hosts = [
        "127.0.0.1",
        "127.1",
        "127.255.255.254",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "017700000001",
        "0",
        "0.0.0.0",
        "[::]",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:7f00:1::]",
        "[2001:0:7f00:1::]",
        "10.0.0.1",
        "10.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.0.1",
        "169.254.169.254",
        "2852039166",
        "0xa9fea9fe",
        "100.64.0.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "[fe80::1]",
        "[fc00::1]",
        "[fd00:ec2::254]",
        "[ff02::1]",
        "[2001:db8::1]",
    ];
    for host in hosts {
        let url = format!("https://{host}:{port}/");
        let client = HttpClient::new(HttpOptions { timeout: Duration::from_secs(5), ..options(&url, &[]) }).unwrap();
        match client.post("msg_1", "{}", now()) {
            Outcome::Away(reason, _) => assert!(
                reason.contains("not connected to") || reason.contains("not known") || reason.contains("lookup"),
                "{url}: {reason}"
            ),
            other => panic!("{url}: {other:?}"),
        }
    }
    assert!(hosts.len() >= 30);
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "somebody was connected to");
}

#[test]
fn urls_that_hide_where_they_go_are_no_urls_here() {
    let none = AllowList::default();
    for url in [
        "http://mes.example/",
        "ftp://mes.example/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:25/",
        "//127.0.0.1/",
        "https://mes.example@127.0.0.1/",
        "https://user:secret@mes.example/",
        "https:///x",
        "mes.example",
        "",
        "https://[fe80::1%25eth0]/",
        "javascript:alert(1)",
    ] {
        assert!(super::problem(url, &none).is_some(), "{url}");
    }
    assert_eq!(super::problem("https://mes.example:8443/hook", &none), None);
    let plant = AllowList::new(&["mes.plant:8080".to_owned()]);
    assert_eq!(super::problem("http://mes.plant:8080/", &plant), None);
    assert!(super::problem("http://mes.plant/", &plant).is_some());
}

#[test]
fn a_name_that_answers_differently_the_second_time_gains_nothing() {
    let (listener, port) = trap();
    let public: SocketAddr = format!("93.184.216.34:{port}").parse().unwrap();
    let own: SocketAddr = format!("127.0.0.1:{port}").parse().unwrap();
    let looks = Arc::new(AtomicUsize::new(0));
    // One bad address among good ones is enough; and each attempt looks once and checks what it then connects to.
    let script = Scripted(Mutex::new(vec![vec![own], vec![public, own], vec![own, public]]), looks.clone());
    let url = format!("https://rebind.example:{port}/");
    let client = HttpClient::with_resolver(options(&url, &[]), script).unwrap();
    for attempt in 1..=3 {
        assert!(
            matches!(client.post("msg_1", "{}", now()), Outcome::Away(reason, _) if reason.contains("not connected to"))
        );
        assert_eq!(looks.load(Ordering::Relaxed), attempt);
    }
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn an_allowed_host_is_allowed_at_its_port_only() {
    let (address, _asked) = receiver(&[answer("200 OK", "content-length: 0\r\n\r\n")]);
    let (listener, other) = trap();
    let allow = [address.to_string()];
    let url = format!("http://{address}/");
    assert_eq!(HttpClient::new(options(&url, &allow)).unwrap().post("msg_1", "{}", now()), Outcome::Delivered);
    let url = format!("http://127.0.0.1:{other}/");
    assert!(matches!(HttpClient::new(options(&url, &allow)).unwrap().post("msg_1", "{}", now()), Outcome::Away(..)));
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}
