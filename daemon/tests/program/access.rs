//! Who may do what: every route with every role, signing in, locking out, forged requests, TLS.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use ureq::http::{Request, Response};

use crate::command_line::sound;
use crate::support::{Program, agent, inspectd, output, text, wait_for, words};

const PASSWORD: &str = "blue kettle on monday";

/// A line with users.
struct Guarded {
    /// None only while it is started anew.
    program: Option<Program>,
    url: String,
    config: PathBuf,
    dir: tempfile::TempDir,
}

/// A configuration with users, and the line's folder.
fn with_users(dir: &Path) -> PathBuf {
    let config = sound(dir);
    let users = fs::read_to_string(&config).expect("text").replace("mode = \"open\"", "mode = \"users\"");
    fs::write(&config, users).expect("written");
    config
}

impl Guarded {
    /// A line with the users `operator`, `engineer` and `admin`.
    fn start() -> Guarded {
        let dir = tempfile::tempdir().expect("a folder");
        let config = with_users(dir.path());
        for role in ["admin", "operator", "engineer"] {
            add_user(&dir.path().join("state"), role, role);
        }
        let mut program = Program::start(&["run", "--config", text(&config)]);
        let url = program.url();
        Guarded { program: Some(program), url, config, dir }
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn restart(&mut self) {
        let old = self.program.take().expect("it runs");
        old.signal("TERM");
        assert_eq!(old.end().0.code(), Some(0));
        let mut program = Program::start(&["run", "--config", text(&self.config)]);
        self.url = program.url();
        self.program = Some(program);
    }

    fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Response<ureq::Body> {
        call(&self.url, method, path, headers, body)
    }

    /// The cookie that signing in gives.
    fn sign_in(&self, name: &str) -> String {
        let answer = self.call("POST", "/api/v1/session", &OURS, Some(&json!({ "name": name, "password": PASSWORD })));
        assert_eq!(answer.status(), 200, "{name}");
        cookie(&answer)
    }

    fn status(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
        self.call(method, path, headers, None).status().as_u16()
    }
}

/// What our own page sends with everything that changes something.
const OURS: [(&str, &str); 1] = [("x-inspectd", "1")];

fn call(url: &str, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Response<ureq::Body> {
    let mut request = Request::builder().method(method).uri(format!("{url}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = match body {
        Some(body) => {
            agent().run(request.header("content-type", "application/json").body(body.to_string()).expect("a request"))
        }
        None => agent().run(request.body(()).expect("a request")),
    };
    answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
}

fn cookie(answer: &Response<ureq::Body>) -> String {
    let set = answer.headers()["set-cookie"].to_str().expect("text");
    set.split(';').next().expect("a pair").to_owned()
}

fn problem(mut answer: Response<ureq::Body>) -> Value {
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    answer.body_mut().read_json().expect("JSON")
}

/// Adds a user as a person at the console does.
fn add_user(state: &Path, name: &str, role: &str) {
    let (code, stderr) = with_password(&["users", "add", name, "--role", role, "--state", text(state)]);
    assert_eq!(code, 0, "{stderr}");
}

fn with_password(arguments: &[&str]) -> (i32, String) {
    let mut child = inspectd(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    child.stdin.take().expect("piped").write_all(format!("{PASSWORD}\n").as_bytes()).expect("sent");
    let (code, _, stderr) = words(&child.wait_with_output().expect("it ends"));
    (code, stderr)
}

fn token(state: &Path, arguments: &[&str]) -> String {
    let (code, secret, stderr) = words(&output(&[&["tokens", "add", "--state", text(state)], arguments].concat()));
    assert_eq!(code, 0, "{stderr}");
    secret.trim().to_owned()
}

/// Everything that the description names, called as everybody: nobody gets further than it says, and nobody is kept out of
/// what it promises.
#[test]
fn every_route_asks_what_the_description_says() {
    let line = Guarded::start();
    let kiosk = format!("Bearer {}", token(&line.state(), &["hall", "--role", "kiosk"]));
    let screen = json!({ "token": kiosk.strip_prefix("Bearer ").expect("a token") });
    let screen = cookie(&line.call("POST", "/api/v1/session/kiosk", &OURS, Some(&screen)));
    type Caller<'a> = (&'a str, &'a str, Vec<(&'a str, String)>);
    let callers: Vec<Caller<'_>> = vec![
        ("anonymous", "anonymous", vec![]),
        ("kiosk", "a kiosk's token", vec![("authorization", kiosk)]),
        ("kiosk", "a kiosk's cookie", vec![("cookie", screen)]),
        ("operator", "operator", vec![("cookie", line.sign_in("operator"))]),
        ("engineer", "engineer", vec![("cookie", line.sign_in("engineer"))]),
        ("admin", "admin", vec![("cookie", line.sign_in("admin"))]),
    ];
    let rank = |role: &str| ["anonymous", "kiosk", "operator", "engineer", "admin"].iter().position(|it| *it == role);
    let mut document = line.call("GET", "/api/v1/openapi.json", &[], None);
    let document: Value = document.body_mut().read_json().expect("JSON");
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("methods") {
            operations.push((path.clone(), method.to_uppercase(), operation.clone()));
        }
    }
    // Signing out comes last: it ends the sessions that the others need.
    operations.sort_by_key(|(path, method, _)| path == "/api/v1/session" && method == "DELETE");
    let mut asked = 0;
    for (path, method, operation) in &operations {
        let needed = operation["x-role"].as_str().unwrap_or_else(|| panic!("{method} {path} has no role"));
        let path = path.replace("{id}", "999999999").replace("{name}", "nobody-of-that-name");
        for (role, who, headers) in &callers {
            let mut headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            headers.extend(OURS);
            // Nothing that is sent means anything, so nothing changes.
            let body = (method != "GET" && method != "DELETE").then(|| json!({}));
            let answer = line.call(method, &path, &headers, body.as_ref());
            let status = answer.status().as_u16();
            let let_in = rank(role) >= rank(needed);
            let said = format!("{method} {path} as {who}, which needs {needed}: {status}");
            match (let_in, *role) {
                (true, _) => assert!(![401, 403].contains(&status), "{said}"),
                (false, "anonymous") => assert_eq!(status, 401, "{said}"),
                (false, _) => assert_eq!(status, 403, "{said}"),
            }
            assert!(status < 500 || (status == 503 && path == "/api/v1/events"), "{said}");
            let documented = operation["responses"].get(status.to_string().as_str()).is_some();
            assert!(documented, "{said}, and the description does not name that answer");
            if status >= 400 {
                assert_eq!(answer.headers()["content-type"], "application/problem+json", "{said}");
            }
            asked += 1;
        }
    }
    assert!(asked >= 24 * callers.len(), "{asked} questions: the description has lost routes");
    let everyone = fs::read_to_string(line.state().join("access/accounts.json")).expect("a file");
    assert_eq!(
        serde_json::from_str::<Value>(&everyone).expect("JSON")["users"].as_object().map(serde_json::Map::len),
        Some(3)
    );
}

#[test]
fn what_another_site_causes_is_refused() {
    let line = Guarded::start();
    let admin = line.sign_in("admin");
    let with = |more: &[(&'static str, &'static str)]| {
        let mut headers = vec![("cookie", admin.as_str())];
        headers.extend_from_slice(more);
        headers.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect::<Vec<_>>()
    };
    let status = |method: &str, path: &str, headers: &[(String, String)]| {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        line.status(method, path, &headers)
    };
    let gone = "/api/v1/users/nobody-of-that-name";
    assert_eq!(status("DELETE", gone, &with(&OURS)), 404, "our own page gets there");
    assert_eq!(status("DELETE", gone, &with(&[])), 403, "a form cannot send our header");
    for foreign in [
        [("x-inspectd", "1"), ("origin", "http://evil.example")],
        [("x-inspectd", "1"), ("origin", "http://127.0.0.1:1")],
        [("x-inspectd", "1"), ("origin", "null")],
        [("x-inspectd", "1"), ("sec-fetch-site", "cross-site")],
        [("x-inspectd", "1"), ("sec-fetch-site", "same-site")],
    ] {
        assert_eq!(status("DELETE", gone, &with(&foreign)), 403, "{foreign:?}");
        assert_eq!(status("GET", "/api/v1/events", &with(&foreign)), 403, "{foreign:?}: events");
        assert_eq!(status("GET", "/api/v1/line", &with(&foreign)), 403, "{foreign:?}: data");
    }
    // Links to the page itself may come from anywhere.
    assert_eq!(line.status("GET", "/", &[("sec-fetch-site", "cross-site")]), 200);

    let answer = line.call("POST", "/api/v1/session", &OURS, Some(&json!({ "name": "Admin", "password": PASSWORD })));
    let set = answer.headers()["set-cookie"].to_str().expect("text");
    assert!(
        set.starts_with("inspectd-") && set.contains("; HttpOnly; SameSite=Strict") && !set.contains("Max-Age"),
        "{set}"
    );
    let kept = fs::read_to_string(line.state().join("access/sessions.json")).expect("a file");
    let secret = cookie(&answer).split_once('=').expect("a pair").1.to_owned();
    assert!(!kept.contains(&secret), "only a digest is kept");
}

#[test]
fn guessing_is_slowed_down_and_a_restart_forgives_nothing() {
    let mut line = Guarded::start();
    let attempt = |line: &Guarded, password: &str| {
        line.call("POST", "/api/v1/session", &OURS, Some(&json!({ "name": "operator", "password": password })))
    };
    for n in 0..5 {
        assert_eq!(problem(attempt(&line, "a wrong password"))["status"], 401, "attempt {n}");
    }
    let refused = attempt(&line, PASSWORD);
    assert_eq!(refused.status(), 429, "even the right one must wait now");
    let wait: u64 = refused.headers()["retry-after"].to_str().expect("text").parse().expect("seconds");
    assert!((1..=30).contains(&wait), "{wait}");
    assert!(!line.sign_in("engineer").is_empty(), "others are not concerned");
    line.restart();
    assert_eq!(attempt(&line, PASSWORD).status(), 429, "after a restart");
    let (code, stderr) = with_password(&["users", "passwd", "operator", "--state", text(&line.state())]);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(attempt(&line, PASSWORD).status(), 200, "an admin has set the password anew");

    let (_, listed, _) = words(&output(&["audit", "list", "--state", text(&line.state())]));
    assert_eq!(listed.lines().filter(|entry| entry.contains("session.refuse")).count(), 5, "{listed}");
    assert!(listed.contains("locked_s") && listed.contains("user.password"), "{listed}");
    let (code, said, _) = words(&output(&["audit", "verify", "--state", text(&line.state())]));
    assert_eq!(code, 0, "{said}");
}

#[test]
fn sessions_outlive_the_program_and_end_with_their_right() {
    let mut line = Guarded::start();
    let (operator, admin) = (line.sign_in("operator"), line.sign_in("admin"));
    line.restart();
    // The port is another one now, and with it the cookie's name.
    let port = line.url.rsplit(':').next().expect("a port").to_owned();
    let renamed = |cookie: &str| format!("inspectd-{port}={}", cookie.split_once('=').expect("a pair").1);
    let (operator, admin) = (renamed(&operator), renamed(&admin));
    let me = |cookie: &str| {
        let mut answer = line.call("GET", "/api/v1/session", &[("cookie", cookie)], None);
        answer.body_mut().read_json::<Value>().expect("JSON")["who"].clone()
    };
    assert_eq!(me(&operator), json!({ "name": "operator", "role": "operator", "via": "session" }));

    // A stream that is open when the right goes ends by itself.
    let mut stream = line.call("GET", "/api/v1/events", &[("cookie", &operator)], None);
    let mut ends = BufReader::new(stream.body_mut().as_reader()).lines();
    assert!(ends.next().expect("a stream").expect("a line").starts_with("event:"));
    let headers = [("cookie", admin.as_str()), OURS[0]];
    let removed = line.call("DELETE", "/api/v1/users/operator?reason=left", &headers, None);
    assert_eq!(removed.status(), 204);
    while let Some(Ok(_)) = ends.next() {}
    assert_eq!(me(&operator), Value::Null);
    assert_eq!(line.status("GET", "/api/v1/line", &[("cookie", &operator)]), 401);

    let changed = line.call("PUT", "/api/v1/users/engineer", &headers, Some(&json!({ "role": "admin" })));
    assert_eq!(changed.status(), 200);
    assert_eq!(line.call("DELETE", "/api/v1/session", &headers, None).status(), 204);
    assert_eq!(me(&admin), Value::Null, "signed out");
    assert_eq!(line.status("GET", "/api/v1/users", &[("cookie", &line.sign_in("engineer"))]), 200);
}

#[test]
fn a_token_reaches_no_further_than_its_scopes_and_is_made_once() {
    let line = Guarded::start();
    let reader = format!("Bearer {}", token(&line.state(), &["mes", "--role", "engineer", "--scope", "records:read"]));
    let as_mes = [("authorization", reader.as_str())];
    assert_eq!(line.status("GET", "/api/v1/inspections", &as_mes), 200);
    let refused = problem(line.call("GET", "/api/v1/line", &as_mes, None));
    assert!(refused["detail"].as_str().expect("words").contains("line:read"), "{refused}");
    assert_eq!(line.status("GET", "/api/v1/inspections", &[("authorization", "Bearer inspectd_guessed")]), 401);

    let admin = line.sign_in("admin");
    let headers = [("cookie", admin.as_str()), OURS[0], ("idempotency-key", "k-1")];
    let wish = json!({ "name": "gate", "role": "operator", "scopes": ["alerts:write"] });
    let made = |wish: &Value| {
        let mut answer = line.call("POST", "/api/v1/tokens", &headers, Some(wish));
        let replayed = answer.headers().contains_key("idempotent-replayed");
        (answer.status().as_u16(), replayed, answer.body_mut().read_json::<Value>().expect("JSON"))
    };
    let (status, replayed, first) = made(&wish);
    assert_eq!((status, replayed), (201, false), "{first}");
    let (status, replayed, second) = made(&wish);
    assert_eq!((status, replayed, &second["secret"]), (201, true, &first["secret"]), "the same answer again");
    let (status, ..) = made(&json!({ "name": "other", "role": "operator" }));
    assert_eq!(status, 422, "another request under the same key");
    let again = line.call("POST", "/api/v1/tokens", &headers[..2], Some(&wish));
    assert_eq!(problem(again)["status"], 409, "without the key it is a second one");
    let (_, listed, _) = words(&output(&["audit", "list", "--state", text(&line.state())]));
    assert_eq!(
        listed.lines().filter(|entry| entry.contains("token.add") && entry.contains("gate")).count(),
        1,
        "{listed}"
    );

    assert_eq!(line.status("DELETE", "/api/v1/tokens/mes", &headers[..2]), 204);
    assert_eq!(line.status("GET", "/api/v1/inspections", &as_mes), 401, "withdrawn");
}

#[test]
fn the_first_admin_is_made_with_the_token_from_the_console() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = with_users(dir.path());
    let mut program = Program::start(&["run", "--config", text(&config)]);
    let url = program.url();
    let secret = wait_for("the token", || {
        let printed = program.printed();
        let from = printed.find("first-")?;
        Some(printed[from..].split_whitespace().next().expect("a token").to_owned())
    });
    let set_up = |token: &str, password: &str| {
        call(
            &url,
            "POST",
            "/api/v1/session/setup",
            &OURS,
            Some(&json!({ "token": token, "name": "Anna", "password": password })),
        )
    };
    assert_eq!(problem(set_up("first-guessed", PASSWORD))["status"], 401);
    assert_eq!(problem(set_up(&secret, "short"))["status"], 422);
    let mut made = set_up(&secret, PASSWORD);
    let session: Value = made.body_mut().read_json().expect("JSON");
    assert_eq!((&session["who"]["name"], &session["who"]["role"]), (&json!("anna"), &json!("admin")));
    assert_eq!(session["needs_setup"], false);
    assert_eq!(call(&url, "GET", "/api/v1/users", &[("cookie", &cookie(&made))], None).status(), 200);
    assert_eq!(problem(set_up(&secret, PASSWORD))["status"], 401, "once only");
}

#[test]
fn nothing_is_open_to_other_machines_without_users_and_tls() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = sound(dir.path());
    let open = fs::read_to_string(&config).expect("text");
    let check = |change: &dyn Fn(&str) -> String| {
        fs::write(&config, change(&open)).expect("written");
        let (code, stdout, _) = words(&output(&["check", "--no-io", "--config", text(&config)]));
        (code, stdout)
    };
    let far = |text: &str| text.replace("127.0.0.1:0", "0.0.0.0:0");
    let (code, said) = check(&|text| far(text));
    assert_eq!(code, 1);
    assert!(said.contains("`access.mode` is `open`") && said.contains("`access.tls` is missing"), "{said}");
    let (code, said) = check(&|text| far(text).replace("mode = \"open\"", "mode = \"users\""));
    assert!(code == 1 && said.contains("self_signed") && said.contains("proxy"), "{said}");
    let (code, said) =
        check(&|text| far(text).replace("mode = \"open\"", "mode = \"users\"\n[access.tls]\nself_signed = true"));
    assert_eq!(code, 0, "{said}");
    let (code, said) = check(&|text| text.replace("max_viewers = 1", "max_viewers = 1\nhosts = [\"line.plant\"]"));
    assert!(code == 1 && said.contains("`api.hosts` has names for others"), "{said}");
    let (code, _, stderr) = words(&output(&["demo", "--listen", "0.0.0.0:0"]));
    assert_eq!(code, 1);
    assert!(stderr.contains("127.0.0.1") && stderr.contains("[access]"), "{stderr}");
}

#[test]
fn over_tls_the_cookie_is_bound_to_the_host() {
    use std::sync::Arc;
    use tokio_rustls::rustls::pki_types::CertificateDer;
    use tokio_rustls::rustls::pki_types::pem::PemObject;
    use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto::ring};

    let dir = tempfile::tempdir().expect("a folder");
    let config = with_users(dir.path());
    let plain = fs::read_to_string(&config).expect("text");
    fs::write(&config, format!("{plain}[access.tls]\nself_signed = true\n")).expect("written");
    let state = dir.path().join("state");
    add_user(&state, "anna", "admin");
    let program = Program::start(&["run", "--config", text(&config)]);
    let port = wait_for("the address", || {
        let printed = program.printed();
        let from = printed.find("https://127.0.0.1:")? + "https://127.0.0.1:".len();
        printed[from..].split('/').next()?.parse::<u16>().ok()
    });
    let root = CertificateDer::from_pem_file(state.join("access/certificate.pem")).expect("a certificate");
    let mut roots = RootCertStore::empty();
    roots.add(root).expect("a root");
    let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = Arc::new(client);
    let ask = |request: String| {
        let connection =
            ClientConnection::new(client.clone(), "localhost".try_into().expect("a name")).expect("a client");
        let stream = wait_for("a connection", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
        let mut stream = StreamOwned::new(connection, stream);
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = Vec::new();
        // The server may close without TLS's farewell.
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    };
    let body = json!({ "name": "anna", "password": PASSWORD }).to_string();
    let answer = ask(format!(
        "POST /api/v1/session HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\nX-Inspectd: 1\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let set = answer.lines().find_map(|line| line.strip_prefix("set-cookie: ")).expect("a cookie");
    assert!(set.starts_with(&format!("__Host-inspectd-{port}=")) && set.contains("; Secure"), "{set}");
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Strict") && set.contains("Path=/;"), "{set}");
    let key = fs::metadata(state.join("access/key.pem")).expect("a key");
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&key.permissions()) & 0o077, 0, "nobody else reads the key");
}
