//! The server's life: bound before anything else starts, so that a busy port is said at once; stopped after the line.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use thiserror::Error;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::Setting;
use super::connection::Doorway;
use super::guard::Hosts;
use crate::access::tls::{self, TlsError};
use crate::background;
use crate::config::{AccessSection, ApiSection};
use crate::supervise::Board;

/// How long open requests may take to end.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why there is no server.
#[derive(Debug, Error)]
pub enum ApiError {
    /// Somebody else listens there.
    #[error(
        "the address {0} is in use by another program: stop that, or choose another port (`--listen`, `api.listen`; \
         port 0 takes any free one)"
    )]
    Busy(SocketAddr),
    /// The port is reserved.
    #[error("the address {0} is not allowed for this user: ports below 1024 need a privilege, so choose a higher one")]
    Forbidden(SocketAddr),
    /// This machine has no such address, or the like.
    #[error("the address {0} cannot be listened on: {1}; check `api.listen` against the output of `ip address`")]
    Address(SocketAddr, io::Error),
    /// No certificate, no TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The system gives no threads.
    #[error("the server gets no threads: {0}; raise the limit on tasks (TasksMax, ulimit -u)")]
    Threads(io::Error),
}

/// A port that is ours, with nobody answering yet.
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    hosts: Hosts,
    proxies: Arc<[IpAddr]>,
    max_connections: usize,
    tls: Option<TlsAcceptor>,
}

impl Bound {
    /// Takes the port, and reads the certificate. One of our own is kept in `state`, and made if need be.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub fn new(section: &ApiSection, access: &AccessSection, state: Option<&Path>) -> Result<Bound, ApiError> {
        let wanted = section.listen;
        let listener = TcpListener::bind(wanted).map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => ApiError::Busy(wanted),
            io::ErrorKind::PermissionDenied => ApiError::Forbidden(wanted),
            _ => ApiError::Address(wanted, error),
        })?;
        let ready = listener.set_nonblocking(true).and_then(|()| listener.local_addr());
        let address = ready.map_err(|error| ApiError::Address(wanted, error))?;
        let names = tls::names(address.ip(), &section.hosts);
        let tls = access.tls.as_ref().map(|tls| tls::acceptor(tls, &names, state)).transpose()?.flatten();
        Ok(Bound {
            listener,
            address,
            hosts: Hosts(section.hosts.as_slice().into()),
            proxies: access.trusted_proxies.as_slice().into(),
            max_connections: section.max_connections,
            tls,
        })
    }

    /// Where the page is.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        // A browser cannot go to "any address".
        match self.address.ip() {
            ip if ip.is_unspecified() => format!("{scheme}://127.0.0.1:{}/", self.address.port()),
            _ => format!("{scheme}://{}/", self.address),
        }
    }

    /// Answers from now on, on threads of its own.
    ///
    /// # Errors
    /// [`ApiError::Threads`].
    pub fn serve(self, board: Arc<Board>) -> Result<Server, ApiError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            // Reads of the store run here; more at once than the disk can answer would only queue there.
            .max_blocking_threads(16)
            .thread_name("api")
            .on_thread_start(background::yield_to_the_line)
            .enable_all()
            .build()
            .map_err(ApiError::Threads)?;
        let (stop, stopping) = watch::channel(false);
        let setting = Setting {
            hosts: self.hosts,
            proxies: self.proxies.clone(),
            port: self.address.port(),
            stopping: stopping.clone(),
        };
        let doorway = Doorway {
            router: super::router(board, setting),
            tls: self.tls,
            proxies: self.proxies,
            max_connections: self.max_connections,
            stopping: stopping.clone(),
        };
        let listener = self.listener;
        let work = move || serve(runtime, listener, doorway, stopping);
        let thread = std::thread::Builder::new().name("api".to_owned()).spawn(work).map_err(ApiError::Threads)?;
        Ok(Server { stop, thread })
    }
}

fn serve(runtime: Runtime, listener: TcpListener, doorway: Doorway, mut stopping: watch::Receiver<bool>) {
    background::yield_to_the_line();
    let served: io::Result<()> = runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        tokio::select! {
            () = doorway.serve(listener) => {}
            // A client that does not read its answer must not keep the program alive.
            () = async {
                let _ = stopping.wait_for(|stop| *stop).await;
                tokio::time::sleep(PATIENCE).await;
            } => {}
        }
        Ok(())
    });
    if let Err(error) = served {
        tracing::error!("the server ended: {error}");
    }
    runtime.shutdown_timeout(PATIENCE);
}

/// A server at work.
pub struct Server {
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl Server {
    /// Whether it still answers.
    pub fn alive(&self) -> bool {
        !self.thread.is_finished()
    }

    /// Ends open streams, waits a little for open requests, and lets go of the port.
    pub fn stop(self) {
        // Nobody receives only if the server has ended by itself.
        let _ = self.stop.send(true);
        if self.thread.join().is_err() {
            tracing::error!("the server's thread died");
        }
    }
}
