//! One e-mail to a mail server: SMTP (RFC 5321) over TLS, to an address that was checked as those of webhooks are.
//!
//! Recipients are asked for one by one. Those that the server takes get the message; the message is offered again to the others
//! only. Over a restart they may all get it once more, under the same `Message-ID`.

use std::collections::{BTreeSet, HashMap};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MessageBuilder};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{Certificate, CertificateStore, SmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use serde::Deserialize;
use ureq::http::Uri;

use super::client::own_roots;
use super::destination::resolve;
use super::entry::Message;
use super::guard::{AllowList, check};
use super::queue::Outcome;

/// Messages of which it is remembered who has them already.
const REMEMBERED: usize = 1000;
/// Of a subject, so many characters are sent: mail programs show fewer.
const MAX_SUBJECT: usize = 200;
/// Both send the password as it is, which TLS hides; everything else is rarer or weaker.
const MECHANISMS: [Mechanism; 2] = [Mechanism::Plain, Mechanism::Login];

/// `mail = { ... }`: what e-mail needs beyond the server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MailOptions {
    /// The sender, as `inspectd@plant.example` or `Line 3 <line3@plant.example>`.
    pub from: String,
    /// Who gets it.
    pub recipients: Vec<String>,
    /// Whom the server knows us as; absent: it asks for nobody.
    pub user: Option<String>,
    /// The password, or `file:PATH`.
    pub password: Option<String>,
}

/// What a mail server is spoken to with.
pub(super) struct MailSetup<'a> {
    pub(super) url: &'a str,
    pub(super) options: &'a MailOptions,
    pub(super) ca_file: Option<&'a Path>,
    pub(super) timeout: Duration,
    pub(super) allowed: AllowList,
}

/// Where the server is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Server {
    host: String,
    port: u16,
    /// TLS from the first byte (RFC 8314), not after `STARTTLS`.
    implicit: bool,
}

/// Speaks SMTP to one server.
pub(super) struct MailClient {
    server: Server,
    tls: TlsParameters,
    hello: ClientId,
    from: Mailbox,
    recipients: Vec<Mailbox>,
    login: Option<Credentials>,
    timeout: Duration,
    allowed: AllowList,
    /// Recipients, by their places in the list, that have a message which others do not have.
    served: Mutex<HashMap<Arc<str>, BTreeSet<usize>>>,
}

/// Why a message was not taken, and by whom.
struct Refusal {
    reason: String,
    /// It is this message or its recipients, not the server.
    own: bool,
}

impl MailOptions {
    /// What is wrong with it by itself: key and reason.
    pub(super) fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        if self.from.is_empty() {
            problems.push(("mail.from", "is missing: say who writes, as inspectd@plant.example".to_owned()));
        } else {
            problems.extend(mailbox(&self.from).err().map(|text| ("mail.from", text)));
        }
        if self.recipients.is_empty() {
            problems.push(("mail.recipients", "are missing: say who is told".to_owned()));
        }
        let wrong = self.recipients.iter().filter_map(|text| mailbox(text).err());
        problems.extend(wrong.map(|text| ("mail.recipients", text)));
        if self.user.is_some() != self.password.is_some() {
            problems.push(("mail.password", "and `user` belong together: give both or none".to_owned()));
        }
        problems
    }

    pub(super) fn texts_mut(&mut self) -> impl Iterator<Item = &mut String> {
        self.password.iter_mut()
    }
}

/// What is wrong with a server's URL, if something is.
pub(super) fn problem(url: &str) -> Option<String> {
    Server::parse(url).err()
}

impl Server {
    fn parse(url: &str) -> Result<Server, String> {
        let form = || format!("is `{url}`: give smtp://HOST:587 (STARTTLS) or smtps://HOST:465 (TLS at once)");
        let uri: Uri = url.parse().map_err(|_| form())?;
        let implicit = match uri.scheme_str() {
            Some("smtp") => false,
            Some("smtps") => true,
            _ => return Err(form()),
        };
        let host = uri.host().filter(|host| !host.is_empty() && !host.contains('%')).ok_or_else(form)?;
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err("has a user name in it: use `mail.user` and `mail.password`".to_owned());
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(form());
        }
        let port = uri.port_u16().unwrap_or(if implicit { 465 } else { 587 });
        Ok(Server { host: host.to_owned(), port, implicit })
    }

    /// Its addresses, all of them such that may be connected to.
    fn addresses(&self, allowed: &AllowList) -> Result<Vec<SocketAddr>, String> {
        let plain = self.host.trim_matches(['[', ']']);
        let found = (plain, self.port).to_socket_addrs();
        let found: Vec<SocketAddr> = found.map_err(|error| format!("its name is not known: {error}"))?.collect();
        check(&self.host, self.port, found.iter().copied(), allowed).map_err(|refused| refused.to_string())?;
        Ok(found)
    }
}

impl MailClient {
    /// # Errors
    /// A file cannot be used, or an address is none.
    pub(super) fn new(setup: MailSetup<'_>) -> Result<MailClient, String> {
        let MailSetup { url, options, ca_file, timeout, allowed } = setup;
        let server = Server::parse(url)?;
        let password = options.password.as_deref().map(resolve).transpose()?;
        let login = options.user.clone().zip(password).map(|(user, password)| Credentials::new(user, password));
        let recipients = options.recipients.iter().map(|text| mailbox(text)).collect::<Result<_, _>>()?;
        Ok(MailClient {
            tls: tls(&server.host, ca_file)?,
            hello: hello(),
            from: mailbox(&options.from)?,
            server,
            recipients,
            login,
            timeout,
            allowed,
            served: Mutex::default(),
        })
    }

    /// Sends a message, once, to those who do not have it.
    pub(super) fn send(&self, message: &Message, now: Timestamp) -> Outcome {
        let mut served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        let has_it = served.remove(&message.id).unwrap_or_default();
        let (has_it, refusal) = self.offer(message, now, has_it);
        let Some(Refusal { reason, own }) = refusal else { return Outcome::Delivered };
        if !has_it.is_empty() {
            // Beyond that many, some are told twice rather than never.
            if served.len() >= REMEMBERED {
                served.clear();
            }
            served.insert(message.id.clone(), has_it);
        }
        if own { Outcome::Refused(reason) } else { Outcome::Away(reason, None) }
    }

    /// Who has the message afterwards, and why the others do not.
    fn offer(&self, message: &Message, now: Timestamp, has_it: BTreeSet<usize>) -> (BTreeSet<usize>, Option<Refusal>) {
        let away = |reason: String| Some(Refusal { reason, own: false });
        let missing: Vec<usize> = (0..self.recipients.len()).filter(|at| !has_it.contains(at)).collect();
        let letter = match self.letter(message, now) {
            Ok(letter) => letter,
            Err(reason) => return (has_it, Some(Refusal { reason, own: true })),
        };
        let mut server = match self.connect() {
            Ok(server) => server,
            Err(reason) => return (has_it, away(reason)),
        };
        let mut refused = Vec::new();
        let mut taken = Vec::new();
        if let Err(error) = server.command(Mail::new(Some(self.from.email.clone()), Vec::new())) {
            return (has_it, Some(refusal(&error)));
        }
        for at in missing {
            let recipient = &self.recipients[at].email;
            match server.command(Rcpt::new(recipient.clone(), Vec::new())) {
                Ok(_) => taken.push(at),
                Err(error) if error.status().is_some() => refused.push(format!("{recipient}: {}", said(&error))),
                Err(error) => return (has_it, away(said(&error))),
            }
        }
        if !taken.is_empty()
            && let Err(error) = server.command(Data).and_then(|_| server.message(&letter))
        {
            return (has_it, Some(refusal(&error)));
        }
        // It has taken the message: how it takes the farewell changes nothing.
        let _ = server.quit();
        let has_it = has_it.into_iter().chain(taken).collect();
        let refusal = (!refused.is_empty()).then(|| Refusal { reason: refused.join("; "), own: true });
        (has_it, refusal)
    }

    /// A server that has heard who we are, over TLS.
    fn connect(&self) -> Result<SmtpConnection, String> {
        let Server { host, port, implicit } = &self.server;
        let addresses = self.server.addresses(&self.allowed)?;
        let at_once = implicit.then_some(&self.tls);
        let connected = SmtpConnection::connect(&addresses[..], Some(self.timeout), &self.hello, at_once, None);
        let mut server = connected.map_err(|error| said(&error))?;
        if !implicit && server.can_starttls() {
            server.starttls(&self.tls, &self.hello).map_err(|error| said(&error))?;
        }
        if !server.is_encrypted() && (self.login.is_some() || !self.allowed.includes(host, *port)) {
            return Err(format!(
                "it offers no encryption (STARTTLS); without a password it is used all the same once \"{host}:{port}\" is in `alerts.allow`"
            ));
        }
        if let Some(login) = &self.login {
            server.auth(&MECHANISMS, login).map_err(|error| format!("it does not let us in: {}", said(&error)))?;
        }
        Ok(server)
    }

    /// The message as it is sent: headers and text.
    fn letter(&self, message: &Message, now: Timestamp) -> Result<Vec<u8>, String> {
        let one_line = |c: char| if c.is_control() { ' ' } else { c };
        let subject: String = message.subject.chars().map(one_line).take(MAX_SUBJECT).collect();
        let id = format!("<{}@{}>", message.id, self.from.email.domain());
        let to_all = |letter: MessageBuilder, to: &Mailbox| letter.to(to.clone());
        let letter = lettre::Message::builder().from(self.from.clone());
        let letter = self.recipients.iter().fold(letter, to_all).subject(subject).message_id(Some(id));
        let letter = letter.date(SystemTime::from(now)).header(ContentType::TEXT_PLAIN).raw_header(automatic());
        let letter = letter.body(message.body.to_string()).map_err(|error| format!("it makes no e-mail: {error}"))?;
        Ok(letter.formatted())
    }
}

/// RFC 3834: nobody's holiday message answers it.
fn automatic() -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned())
}

fn tls(host: &str, ca_file: Option<&Path>) -> Result<TlsParameters, String> {
    let mut tls = TlsParameters::builder(host.trim_matches(['[', ']']).to_owned());
    if let Some(path) = ca_file {
        tls = tls.certificate_store(CertificateStore::None);
        for root in own_roots(path)? {
            let root = Certificate::from_der(root.der().to_vec());
            tls = tls.add_root_certificate(root.map_err(|error| format!("`{}`: {error}", path.display()))?);
        }
    }
    tls.build().map_err(|error| format!("cannot speak TLS to `{host}`: {error}"))
}

/// The name that a mail server is greeted with.
fn hello() -> ClientId {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok().map(|name| name.trim().to_owned());
    let sound =
        |name: &String| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.');
    ClientId::Domain(name.filter(sound).unwrap_or_else(|| "localhost".to_owned()))
}

fn mailbox(text: &str) -> Result<Mailbox, String> {
    text.parse()
        .map_err(|error| format!("has `{text}`, which is no e-mail address ({error}): give one as qa@plant.example"))
}

/// A refusal with a reply belongs to the message (5yz) or passes (4yz); without one the server is away.
fn refusal(error: &Error) -> Refusal {
    Refusal { reason: said(error), own: error.is_permanent() }
}

fn said(error: &Error) -> String {
    let text = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    let text: String = text.chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect();
    match error.status() {
        Some(code) => format!("it answers {code}: {text}"),
        None if error.is_timeout() => "it does not answer in time".to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests;
