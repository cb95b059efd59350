//! The server's certificate: the plant's own, or one that signs itself.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use thiserror::Error;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};

use super::files;
use crate::config::TlsSection;

/// Browsers of some makers refuse certificates that live longer.
const LIFE: Duration = Duration::from_secs(820 * 24 * 3600);
/// A new one is made this long before the end.
const RENEW_BEFORE: Duration = Duration::from_secs(60 * 24 * 3600);
/// Clocks differ.
const BACKDATE: Duration = Duration::from_secs(24 * 3600);

/// Why there is no TLS.
#[derive(Debug, Error)]
pub enum TlsError {
    /// The files cannot be read or written.
    #[error("the certificate or key `{}` cannot be {what}: {source}; check the path and its permissions", .path.display())]
    Io {
        /// `read` or `written`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// They are not what they should be.
    #[error("`{}` cannot be used: {reason}; give PEM files, the certificate with its chain", .path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// None could be made.
    #[error("no certificate can be made: {0}; give one with `access.tls.certificate` and `access.tls.key`")]
    Make(rcgen::Error),
}

/// Names under which the server is reached: those given, this machine's, and its addresses.
pub(crate) fn names(listen: IpAddr, hosts: &[String]) -> Vec<String> {
    let machine = fs::read_to_string("/proc/sys/kernel/hostname").ok().map(|name| name.trim().to_owned());
    let mut names: Vec<String> = hosts.iter().cloned().chain(machine).collect();
    names.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
    if !listen.is_unspecified() && !listen.is_loopback() {
        names.push(listen.to_string());
    }
    names.sort_unstable();
    names.dedup();
    names
}

/// What speaks TLS for the server. None: the certificate is ours, and there is no `state` to keep it in.
///
/// # Errors
/// See [`TlsError`].
pub(crate) fn acceptor(
    section: &TlsSection,
    names: &[String],
    state: Option<&Path>,
) -> Result<Option<TlsAcceptor>, TlsError> {
    let (certificate, key) = match (&section.certificate, &section.key, state) {
        (Some(certificate), Some(key), _) => (certificate.clone(), key.clone()),
        (_, _, None) => return Ok(None),
        (_, _, Some(state)) => our_own(&state.join("access"), names)?,
    };
    let chain = CertificateDer::pem_file_iter(&certificate).and_then(Iterator::collect);
    let chain: Vec<CertificateDer<'static>> = chain.map_err(|error| unusable(&certificate, &error))?;
    if chain.is_empty() {
        return Err(unusable(&certificate, &"there is no certificate in it"));
    }
    let private = PrivateKeyDer::from_pem_file(&key).map_err(|error| unusable(&key, &error))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| unusable(&certificate, &error))?
        .with_no_client_auth()
        .with_single_cert(chain, private);
    let mut config = config.map_err(|error| unusable(&certificate, &error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}

fn unusable(path: &Path, reason: &dyn std::fmt::Display) -> TlsError {
    TlsError::Unusable { path: path.to_owned(), reason: reason.to_string() }
}

/// The certificate that we made, as long as it is good for these names and for a while.
fn our_own(dir: &Path, names: &[String]) -> Result<(PathBuf, PathBuf), TlsError> {
    let (certificate, key, about) = (dir.join("certificate.pem"), dir.join("key.pem"), dir.join("certificate.names"));
    let wanted = names.join("\n");
    let made = fs::metadata(&certificate).and_then(|meta| meta.modified()).ok();
    let young = made.and_then(|made| made.elapsed().ok()).is_some_and(|age| age < LIFE - RENEW_BEFORE);
    let sound = CertificateDer::from_pem_file(&certificate).is_ok() && PrivateKeyDer::from_pem_file(&key).is_ok();
    if young && sound && fs::read_to_string(&about).is_ok_and(|kept| kept == wanted) {
        return Ok((certificate, key));
    }
    let mut params = CertificateParams::new(names.to_vec()).map_err(TlsError::Make)?;
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, names.first().map_or("inspectd", String::as_str));
    params.distinguished_name = subject;
    let now = SystemTime::now();
    (params.not_before, params.not_after) = ((now - BACKDATE).into(), (now + LIFE).into());
    let pair = KeyPair::generate().map_err(TlsError::Make)?;
    let signed = params.self_signed(&pair).map_err(TlsError::Make)?;
    files::private_dir(dir).map_err(|source| TlsError::Io { what: "written", path: dir.to_owned(), source })?;
    for (path, text) in [(&key, pair.serialize_pem()), (&certificate, signed.pem()), (&about, wanted)] {
        let written = files::replace(path, text.as_bytes());
        written.map_err(|source| TlsError::Io { what: "written", path: path.clone(), source })?;
    }
    tracing::warn!("a certificate that signs itself was made for {}: browsers will warn of it", names.join(", "));
    Ok((certificate, key))
}
