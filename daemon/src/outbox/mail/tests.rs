//! A real mail server on this machine, over TLS with a certificate of its own, and some that are not what they should be.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, sync_channel};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::super::entry::Kind;
use super::*;

trait Wire: Read + Write + Send {}
impl<T: Read + Write + Send> Wire for T {}

/// How a server behaves.
#[derive(Clone, Default)]
struct Manner {
    /// Speaks TLS, from the first byte or after STARTTLS.
    tls: Option<Arc<ServerConfig>>,
    at_once: bool,
    /// User and password, base64 of AUTH PLAIN.
    login: Option<&'static str>,
    /// Recipients and what they are refused with.
    refuses: Vec<(&'static str, &'static str)>,
    /// The answer to a whole message.
    takes: Option<&'static str>,
}

/// A message as a server got it.
#[derive(Debug)]
struct Letter {
    encrypted: bool,
    from: String,
    to: Vec<String>,
    text: String,
}

/// Serves until the test ends.
fn server(manner: Manner) -> (u16, Receiver<Letter>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (send, receive) = sync_channel(16);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that hangs up ends its own conversation only.
            if let Some(letter) = converse(stream, &manner) {
                let _test_over = send.send(letter);
            }
        }
    });
    (port, receive)
}

fn secured(stream: TcpStream, config: &Arc<ServerConfig>) -> BufReader<Box<dyn Wire>> {
    let connection = ServerConnection::new(config.clone()).unwrap();
    BufReader::new(Box::new(StreamOwned::new(connection, stream)))
}

fn converse(stream: TcpStream, manner: &Manner) -> Option<Letter> {
    let bare = stream.try_clone().ok()?;
    let mut encrypted = manner.at_once;
    let mut wire: BufReader<Box<dyn Wire>> = match &manner.tls {
        Some(config) if manner.at_once => secured(stream, config),
        _ => BufReader::new(Box::new(stream)),
    };
    let mut bare = Some(bare);
    let (mut from, mut to, mut let_in) = (String::new(), Vec::new(), manner.login.is_none());
    let mut taken = None;
    let say = |wire: &mut BufReader<Box<dyn Wire>>, text: &str| {
        wire.get_mut().write_all(format!("{text}\r\n").as_bytes()).ok()
    };
    say(&mut wire, "220 mail.test ready")?;
    loop {
        let mut line = String::new();
        if wire.read_line(&mut line).ok()? == 0 {
            return taken;
        }
        let line = line.trim_end();
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb {
            "EHLO" => {
                let offer = if manner.tls.is_some() && !encrypted { "250-STARTTLS\r\n" } else { "" };
                say(&mut wire, &format!("250-mail.test\r\n{offer}250-8BITMIME\r\n250 AUTH PLAIN"))?;
            }
            "STARTTLS" => {
                say(&mut wire, "220 go on")?;
                (wire, encrypted) = (secured(bare.take()?, manner.tls.as_ref()?), true);
            }
            "AUTH" => {
                let_in = manner.login.is_some_and(|login| rest == format!("PLAIN {login}"));
                say(&mut wire, if let_in { "235 welcome" } else { "535 wrong password" })?;
            }
            "MAIL" if !let_in => say(&mut wire, "530 who are you")?,
            "MAIL" => {
                from = rest.to_owned();
                say(&mut wire, "250 fine")?;
            }
            "RCPT" => match manner.refuses.iter().find(|(who, _)| rest.contains(who)) {
                Some((_, answer)) => say(&mut wire, answer)?,
                None => {
                    to.push(rest.to_owned());
                    say(&mut wire, "250 fine")?;
                }
            },
            "DATA" => {
                say(&mut wire, "354 go on")?;
                let mut text = String::new();
                while !text.ends_with("\r\n.\r\n") {
                    wire.read_line(&mut text).ok()?;
                }
                if manner.takes.is_none() {
                    taken = Some(Letter { encrypted, from: from.clone(), to: to.clone(), text });
                }
                say(&mut wire, manner.takes.unwrap_or("250 taken"))?;
            }
            "QUIT" => {
                say(&mut wire, "221 bye")?;
                return taken;
            }
            _ => say(&mut wire, "500 what")?,
        }
    }
}

/// A certificate for `localhost`, and the file that makes a client trust it.
fn certificate(folder: &Path) -> (Arc<ServerConfig>, std::path::PathBuf) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let path = folder.join("ca.pem");
    std::fs::write(&path, made.cert.pem()).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key);
    (Arc::new(config.unwrap()), path)
}

fn options(recipients: &[&str]) -> MailOptions {
    MailOptions {
        from: "Line 3 <line3@plant.example>".into(),
        recipients: recipients.iter().map(|&text| text.into()).collect(),
        user: None,
        password: None,
    }
}

fn client(url: &str, options: &MailOptions, ca_file: Option<&Path>, allow: &[String]) -> MailClient {
    let timeout = Duration::from_secs(5);
    MailClient::new(MailSetup { url, options, ca_file, timeout, allowed: AllowList::new(allow) }).unwrap()
}

fn message(subject: &str, body: &str) -> Message {
    Message {
        id: "msg_1".into(),
        to: "quality".into(),
        kind: Kind::Alert,
        queued_at: now(),
        subject: subject.into(),
        body: body.into(),
        last_part: None,
    }
}

fn now() -> Timestamp {
    Timestamp::from_second(1_614_265_330).unwrap()
}

fn allow(port: u16) -> [String; 1] {
    [format!("localhost:{port}")]
}

#[test]
fn a_message_arrives_over_tls_with_everything_that_a_mail_program_needs() {
    let folder = tempfile::tempdir().unwrap();
    let (tls, ca) = certificate(folder.path());
    let login = STANDARD.encode("\0line3\0secret");
    let mut options = options(&["qa@plant.example", "Shift <shift@plant.example>"]);
    let password = folder.path().join("password");
    std::fs::write(&password, "secret\n").unwrap();
    (options.user, options.password) = (Some("line3".into()), Some(format!("file:{}", password.display())));
    for (scheme, at_once) in [("smtp", false), ("smtps", true)] {
        let manner = Manner { tls: Some(tls.clone()), at_once, login: Some(login.clone().leak()), ..Manner::default() };
        let (port, letters) = server(manner);
        let client = client(&format!("{scheme}://localhost:{port}"), &options, Some(&ca), &allow(port));
        let sent = client.send(&message("[press-3] CRITICAL: 91 °C", "CRITICAL\n.\n91 °C"), now());
        assert_eq!(sent, Outcome::Delivered, "{scheme}");
        let letter = letters.recv().unwrap();
        assert!(letter.encrypted && letter.from.starts_with("FROM:<line3@plant.example>"), "{letter:?}");
        assert_eq!(letter.to, ["TO:<qa@plant.example>", "TO:<shift@plant.example>"]);
        for line in [
            "From: \"Line 3\" <line3@plant.example>",
            "To: qa@plant.example, Shift <shift@plant.example>",
            "Message-ID: <msg_1@plant.example>",
            "Date: Thu, 25 Feb 2021 15:02:10 +0000",
            "Auto-Submitted: auto-generated",
            "Content-Type: text/plain; charset=utf-8",
        ] {
            assert!(letter.text.lines().any(|got| got == line), "no `{line}` in\n{}", letter.text);
        }
        assert!(letter.text.is_ascii() && letter.text.contains("91 =C2=B0C"), "{}", letter.text);
    }
}

#[test]
fn nothing_in_a_subject_becomes_a_header() {
    let (port, letters) = server(Manner::default());
    let client = client(&format!("smtp://localhost:{port}"), &options(&["qa@plant.example"]), None, &allow(port));
    let subject = format!("a\r\nBcc: everybody@plant.example\r\n\r\n{}", "x".repeat(100_000));
    assert_eq!(client.send(&message(&subject, "a\r\n.\r\nRCPT TO:<x@y.example>"), now()), Outcome::Delivered);
    let letter = letters.recv().unwrap();
    assert_eq!(letter.to.len(), 1);
    assert!(!letter.text.lines().any(|line| line.starts_with("Bcc")), "{}", letter.text);
    assert!(letter.text.len() < 2000 && letter.text.contains("RCPT TO"), "{}", letter.text);
}

#[test]
fn recipients_are_told_once_each_while_another_is_refused() {
    let refuses = vec![("gone@", "550 no such user"), ("grey@", "451 try later")];
    let (port, letters) = server(Manner { refuses, ..Manner::default() });
    let everybody = ["qa@plant.example", "gone@plant.example", "grey@plant.example"];
    let client = client(&format!("smtp://localhost:{port}"), &options(&everybody), None, &allow(port));
    let both = |outcome: Outcome| {
        let Outcome::Refused(reason) = outcome else { panic!("{outcome:?}") };
        assert!(reason.contains("gone@plant.example: it answers 550: no such user"), "{reason}");
        assert!(reason.contains("grey@plant.example: it answers 451"), "{reason}");
    };
    both(client.send(&message("s", "b"), now()));
    assert_eq!(letters.recv().unwrap().to, ["TO:<qa@plant.example>"]);
    both(client.send(&message("s", "b"), now()));
    assert!(letters.recv_timeout(Duration::from_millis(200)).is_err(), "told twice");
}

#[test]
fn what_is_the_servers_fault_holds_up_everything_and_what_is_the_messages_only_itself() {
    let outcome = |manner: Manner, login: bool| {
        let (port, _letters) = server(manner);
        let mut options = options(&["qa@plant.example"]);
        if login {
            (options.user, options.password) = (Some("line3".into()), Some("secret".into()));
        }
        client(&format!("smtp://localhost:{port}"), &options, None, &allow(port)).send(&message("s", "b"), now())
    };
    let refused = outcome(Manner { takes: Some("554 looks like spam"), ..Manner::default() }, false);
    assert!(matches!(&refused, Outcome::Refused(reason) if reason.contains("looks like spam")), "{refused:?}");
    let full = outcome(Manner { takes: Some("452 the disk is full"), ..Manner::default() }, false);
    assert!(matches!(&full, Outcome::Away(reason, None) if reason.contains("452")), "{full:?}");
    // A password does not go out in the clear, not even to a server that is allowed.
    let clear = outcome(Manner::default(), true);
    assert!(matches!(&clear, Outcome::Away(reason, None) if reason.contains("offers no encryption")), "{clear:?}");
    // A certificate that nobody vouches for.
    let folder = tempfile::tempdir().unwrap();
    let (tls, _) = certificate(folder.path());
    let unknown = outcome(Manner { tls: Some(tls), ..Manner::default() }, false);
    assert!(matches!(&unknown, Outcome::Away(reason, None) if reason.contains("certificate")), "{unknown:?}");
}

#[test]
fn a_wrong_password_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let (tls, ca) = certificate(folder.path());
    let (port, _letters) = server(Manner { tls: Some(tls), login: Some("eA=="), ..Manner::default() });
    let mut options = options(&["qa@plant.example"]);
    (options.user, options.password) = (Some("line3".into()), Some("wrong".into()));
    let sent =
        client(&format!("smtp://localhost:{port}"), &options, Some(&ca), &allow(port)).send(&message("s", "b"), now());
    assert!(matches!(&sent, Outcome::Away(reason, None) if reason.contains("does not let us in")), "{sent:?}");
}

#[test]
fn private_servers_are_not_connected_to_unless_allowed() {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    for host in ["localhost", "127.0.0.1", "2130706433", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"] {
        let client = client(&format!("smtp://{host}:{port}"), &options(&["qa@plant.example"]), None, &[]);
        let sent = client.send(&message("s", "b"), now());
        assert!(matches!(&sent, Outcome::Away(reason, None) if reason.contains("alerts.allow")), "{host}: {sent:?}");
    }
    assert!(listener.accept().is_err(), "somebody connected");
}

#[test]
fn servers_that_are_none_are_away() {
    for bytes in [&b""[..], b"HTTP/1.1 400 Bad\r\n\r\n", b"\xff\xfe\xfd\r\n", b"220-", &[b'2'; 1 << 20]] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let _gone = stream.write_all(bytes);
            }
        });
        let client = client(&format!("smtp://localhost:{port}"), &options(&["qa@plant.example"]), None, &allow(port));
        let sent = client.send(&message("s", "b"), now());
        assert!(matches!(&sent, Outcome::Away(reason, None) if reason.len() < 400), "{sent:?}");
    }
}

#[test]
fn addresses_and_servers_are_checked_beforehand() {
    for bad in
        ["mail.plant", "smtp://", "http://mail.plant", "smtp://u:p@mail.plant", "smtp://mail.plant/x", "smtp://%31:25"]
    {
        assert!(problem(bad).is_some(), "{bad}");
    }
    for good in
        ["smtp://mail.plant", "smtp://mail.plant:25/", "smtps://mail.plant", "smtp://10.0.0.5:587", "smtp://[fd00::1]"]
    {
        assert_eq!(problem(good), None, "{good}");
    }
    let keys = |options: MailOptions| options.problems().into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    assert_eq!(keys(MailOptions::default()), ["mail.from", "mail.recipients"]);
    assert_eq!(keys(options(&["qa@plant.example", "no address", "a@b>\r\nDATA"])), ["mail.recipients"; 2]);
    assert_eq!(keys(MailOptions { user: Some("u".into()), ..options(&["qa@plant.example"]) }), ["mail.password"]);
}
