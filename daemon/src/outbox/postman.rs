//! Delivers what waits, on one thread a destination, so that one that hangs keeps nobody else waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;

use super::Outbox;
use super::client::HttpClient;
use super::entry::Message;
use super::mail::MailClient;
use super::queue::Outcome;

/// A thread looks at least this often: clocks may be set.
const LOOK: Duration = Duration::from_secs(30);

/// Speaks to one destination.
pub struct Sender(Speaker);

enum Speaker {
    Http(HttpClient),
    Mail(Box<MailClient>),
}

impl Sender {
    pub(super) fn http(client: HttpClient) -> Sender {
        Sender(Speaker::Http(client))
    }

    pub(super) fn mail(client: MailClient) -> Sender {
        Sender(Speaker::Mail(Box::new(client)))
    }

    /// Sends a message, once. `now` goes into its timestamp.
    pub fn send(&self, message: &Message, now: Timestamp) -> Outcome {
        match &self.0 {
            Speaker::Http(client) => client.post(&message.id, &message.body, now),
            Speaker::Mail(client) => client.send(message, now),
        }
    }
}

/// Sends the message that is due for `to`, if one is, and notes what became of it.
pub fn deliver_next(outbox: &Outbox, to: &str, sender: &Sender, now: Timestamp) -> Option<Outcome> {
    let message = outbox.due(to, now)?;
    let outcome = sender.send(&message, now);
    outbox.note(&message.id, &outcome, now);
    match &outcome {
        Outcome::Delivered => tracing::debug!("`{to}` has {}", message.id),
        Outcome::Refused(reason) | Outcome::Away(reason, _) => {
            tracing::info!("`{to}` did not take {} ({}): {reason}; it is tried again", message.id, message.subject);
        }
        Outcome::Gone(reason) => tracing::error!(
            "`{to}` wants nothing any more ({reason}): it is disabled, its messages are dead letters; \
             `inspectd alerts replay --to {to}` enables it again"
        ),
    }
    Some(outcome)
}

/// The threads that deliver.
pub struct Postman {
    outbox: Arc<Outbox>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Postman {
    /// Delivers from now on.
    ///
    /// # Errors
    /// The system gives no threads.
    pub fn start(outbox: Arc<Outbox>, senders: Vec<(Arc<str>, Sender)>) -> std::io::Result<Postman> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut postman = Postman { outbox, stop, threads: Vec::new() };
        for (to, sender) in senders {
            let (outbox, stop) = (postman.outbox.clone(), postman.stop.clone());
            let work = move || {
                loop {
                    // Before the looks, so that nothing falls between them and the wait.
                    let seen = outbox.news();
                    if stop.load(Ordering::Acquire) {
                        break;
                    }
                    if deliver_next(&outbox, &to, &sender, Timestamp::now()).is_none() {
                        outbox.wait(&to, LOOK, seen);
                    }
                }
            };
            postman.threads.push(std::thread::Builder::new().name("postman".to_owned()).spawn(work)?);
        }
        Ok(postman)
    }

    /// Delivers no more. A thread in the middle of an attempt is left behind: its message is sent again after the next start,
    /// under the same id.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Release);
        self.outbox.wake();
        // Those that wait end at once; a moment for those that are about to note an outcome.
        for _ in 0..20 {
            if self.threads.iter().all(JoinHandle::is_finished) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        tracing::info!("a delivery is left unfinished; it is repeated after the next start");
    }
}
