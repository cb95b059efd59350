//! Alerts by e-mail, taken by somebody else's mail server and read by Python's own mail parser.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use system_tests::{binary, python_tools};

/// Prints its port, then each message as a line of JSON.
const SERVER: &str = r#"
import email, json, socket, sys
from email import policy
from aiosmtpd.controller import Controller

class Handler:
    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=policy.default)
        print(json.dumps({"to": envelope.rcpt_tos, "headers": dict(message.items()), "text": message.get_content(),
                          "defects": [str(defect) for defect in message.defects]}), flush=True)
        return "250 taken"

with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
Controller(Handler(), hostname="127.0.0.1", port=port).start()
print(port, flush=True)
sys.stdin.read()
"#;

/// Killed when dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_mail_program_can_read_what_is_sent() {
    let (Some(binary), Some(python)) = (binary(), python_tools("aiosmtpd")) else { return };
    let mut server = Command::new("python3")
        .args(["-c", SERVER])
        .env("PYTHONPATH", &python)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map(Server)
        .expect("python3 starts");
    let mut said = BufReader::new(server.0.stdout.take().expect("piped")).lines().map(|line| line.expect("text"));
    let port = said.next().expect("a port");

    let dir = tempfile::tempdir().expect("a folder");
    let config = dir.path().join("line.toml");
    let text = format!(
        "format = 1\n[line]\nname = \"press-3\"\nrecipe = \"bracket.toml\"\n[source]\nkind = \"folder\"\npath = \".\"\n\
         [alerts]\nallow = [\"127.0.0.1:{port}\"]\n[alerts.destinations.quality]\nkind = \"email\"\n\
         url = \"smtp://127.0.0.1:{port}\"\n\
         mail = {{ from = \"inspectd@plant.example\", recipients = [\"qa@plant.example\", \"shift@plant.example\"] }}\n"
    );
    std::fs::File::create(&config).and_then(|mut file| file.write_all(text.as_bytes())).expect("written");
    let output = Command::new(binary).args(["alerts", "test", "--config"]).arg(&config).output().expect("it starts");
    assert!(output.status.success(), "{output:?}");

    let letter: Value = serde_json::from_str(&said.next().expect("a message")).expect("JSON");
    assert_eq!(letter["defects"], serde_json::json!([]), "{letter}");
    assert_eq!(letter["to"], serde_json::json!(["qa@plant.example", "shift@plant.example"]), "{letter}");
    let subject = letter["headers"]["Subject"].as_str().expect("a subject");
    assert!(subject.starts_with("[press-3] INFO test: this is a test"), "{letter}");
    assert_eq!(letter["headers"]["Auto-Submitted"], "auto-generated", "{letter}");
    let text = letter["text"].as_str().expect("a text");
    assert_eq!(text.lines().next(), Some("INFO on line press-3"), "{text}");
}
