//! Requests to a line that runs in this process, over a real socket. An input is a method, a space, a target, a line feed and a body; the
//! seeds have one of each operation of the interface. No panic; no status of the 500s but 503 (not now) and 507 (no room); an answer of the
//! 400s is a problem in words.
//!
//! Left out: what looks for cameras on the network (seconds each), and the stream of events (it never ends). Children that the program
//! starts for heavy work end at once: they are this very file.
#![no_main]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use clap::Parser;
use inspectd::cli::{self, Cli};
use libfuzzer_sys::fuzz_target;

static PORT: OnceLock<u16> = OnceLock::new();

/// A line that sees a few parts and then waits for more, which never come.
fn configure(folder: &Path, port: u16) {
    let bundle = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/weights/default.bundle");
    let config = format!(
        "format = 1\n[line]\nname = \"fuzzed\"\nrecipe = \"recipe.toml\"\n[access]\nmode = \"open\"\n[api]\nlisten = \"127.0.0.1:{port}\"\n\
         [source]\nkind = \"folder\"\npath = \"camera\"\nmode = \"watch\"\n[store]\ndir = \"state\"\n"
    );
    let recipe = format!(
        "name = \"fuzzed\"\nversion = 1\nbundle = {bundle:?}\ndeadline_ms = 20000\n[evidence]\npass_fraction = 1.0\n"
    );
    std::fs::write(folder.join("line.toml"), config).expect("written");
    std::fs::write(folder.join("recipe.toml"), recipe).expect("written");
    let camera = folder.join("camera");
    std::fs::create_dir(&camera).expect("made");
    let picture = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds/image/a.png");
    for part in 0..6 {
        std::fs::copy(&picture, camera.join(format!("{part}.png"))).expect("copied");
    }
}

fn begin() {
    if std::env::args().nth(1).is_some_and(|argument| argument == "worker") {
        std::process::exit(1);
    }
    let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
    let folder = tempfile::tempdir().expect("a folder").keep();
    configure(&folder, port);
    std::thread::spawn(move || {
        let config = folder.join("line.toml");
        let cli = Cli::parse_from([
            "inspectd".as_ref(),
            "--log-level".as_ref(),
            "off".as_ref(),
            "run".as_ref(),
            "--config".as_ref(),
            config.as_os_str(),
        ]);
        cli::run(cli).expect("it runs until the process ends");
    });
    let until = Instant::now() + Duration::from_secs(60);
    while !exchange(port, b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .starts_with(b"HTTP/1.1 200")
    {
        assert!(Instant::now() < until, "the line is not ready");
        std::thread::sleep(Duration::from_millis(50));
    }
    PORT.set(port).expect("the first");
}

/// What comes back until the other side closes.
fn exchange(port: u16, request: &[u8]) -> Vec<u8> {
    let mut answer = Vec::new();
    if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
        stream.set_read_timeout(Some(Duration::from_secs(15))).expect("not zero");
        // It may refuse before it has read all.
        let _ = stream.write_all(request);
        stream.take(16 << 20).read_to_end(&mut answer).ok();
    }
    answer
}

fn request(input: &[u8]) -> Option<Vec<u8>> {
    let end = input.iter().position(|&byte| byte == b'\n')?;
    let (line, body) = (&input[..end], &input[end + 1..]);
    let space = line.iter().position(|&byte| byte == b' ')?;
    let (method, target) = (&line[..space], &line[space + 1..]);
    let left_out: [&[u8]; 2] = [b"/cameras", b"/events"];
    let hit = |words: &[u8]| target.windows(words.len()).any(|window| window == words);
    // More lines would be headers; those are hyper's, not ours.
    if left_out.iter().any(|words| hit(words)) || line.contains(&b'\r') {
        return None;
    }
    let head = format!(
        " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Inspectd: 1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    Some([method, b" ", target, head.as_bytes(), body].concat())
}

fuzz_target!(init: begin(), |input: &[u8]| {
    let Some(request) = request(input) else { return };
    let answer = exchange(*PORT.get().expect("begun"), &request);
    let text = String::from_utf8_lossy(&answer);
    let status = text.split(' ').nth(1).and_then(|word| word.parse::<u16>().ok());
    // No answer at all: hyper closes on what is no HTTP.
    let Some(status) = status else { return };
    assert!(status < 500 || matches!(status, 503 | 507), "{text}");
    // Without a body: the answer to HEAD, and hyper's own to what is no HTTP.
    let said = text.ends_with("\r\n\r\n") || text.to_ascii_lowercase().contains("application/problem+json");
    let api = input.windows(8).any(|window| window == b" /api/v1");
    assert!(status < 400 || said || !api, "{text}");
});
