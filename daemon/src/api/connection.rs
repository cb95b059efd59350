//! Connections: how many there may be, how long they may dawdle, and what the API learns of the other end.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::gate::Peer;

/// Whoever has not sent its request's head by then is dropped; also the longest silence between two requests.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// The same for TLS's first words.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// Whoever takes no byte of its answer for that long is dropped.
const TAKES_WITHIN: Duration = Duration::from_secs(10);
/// Bytes of one request's head, and of an answer on its way.
const BUFFER_BYTES: usize = 64 << 10;
const MAX_HEADERS: usize = 64;
/// What the system keeps of an answer for one reader. Left to itself it keeps up to 4 MiB: minutes of events, before anybody
/// notices that nobody reads.
const UNREAD_BYTES: usize = 128 << 10;
/// After the system had no more file descriptors.
const BREATHER: Duration = Duration::from_millis(100);

/// What the server asks of its connections.
#[derive(Clone)]
pub(super) struct Doorway {
    pub(super) router: Router,
    pub(super) tls: Option<TlsAcceptor>,
    /// Addresses that speak for many.
    pub(super) proxies: Arc<[IpAddr]>,
    pub(super) max_connections: usize,
    pub(super) stopping: watch::Receiver<bool>,
}

impl Doorway {
    /// Serves until the server stops, then until open requests have ended.
    pub(super) async fn serve(self, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(self.max_connections));
        let crowd = Crowd { most: self.max_connections.div_ceil(2), here: Arc::default() };
        let mut stopping = self.stopping.clone();
        loop {
            let accepted = tokio::select! {
                // A connection that finds no place waits in the system's queue.
                accepted = accept(&listener, &places) => accepted,
                () = stop(&mut stopping) => break,
            };
            let (stream, peer, place) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!("a connection cannot be taken: {error}");
                    sleep(BREATHER).await;
                    continue;
                }
            };
            let peer = peer.ip().to_canonical();
            let Some(guest) = crowd.enter(peer, self.proxies.contains(&peer)) else { continue };
            let door = self.clone();
            tokio::spawn(async move {
                let _leaves_with = (place, guest);
                door.welcome(stream, peer).await;
            });
        }
        drop(listener);
        // All places free: the last request has ended. The caller's patience bounds the wait.
        let _all = places.acquire_many(u32::try_from(self.max_connections).unwrap_or(u32::MAX)).await;
    }

    async fn welcome(self, stream: TcpStream, address: IpAddr) {
        // Small answers must not wait for one another.
        let _ = stream.set_nodelay(true);
        let _ = SockRef::from(&stream).set_send_buffer_size(UNREAD_BYTES);
        match &self.tls {
            None => self.talk(stream, Peer { address, tls: false }).await,
            Some(acceptor) => match timeout(HANDSHAKE_WITHIN, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => self.talk(stream, Peer { address, tls: true }).await,
                Ok(Err(error)) => tracing::debug!("{address} spoke no TLS: {error}"),
                Err(_) => tracing::debug!("{address} was too slow with TLS"),
            },
        }
    }

    async fn talk(mut self, stream: impl AsyncRead + AsyncWrite + Unpin, peer: Peer) {
        let router = TowerToHyperService::new(self.router);
        // Each request carries who is at the other end.
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            router.call(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_WITHIN)
            .max_headers(MAX_HEADERS)
            .max_buf_size(BUFFER_BYTES)
            .serve_connection(TokioIo::new(Impatient { stream, waiting: None }), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stop(&mut self.stopping) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!("the connection of {} ended: {error}", peer.address);
        }
    }
}

/// Returns when the server stops.
async fn stop(stopping: &mut watch::Receiver<bool>) {
    // An error: the server is gone, which is a stop too.
    let _ = stopping.wait_for(|stop| *stop).await;
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, place))
}

/// Connections by address: nobody may take every place.
struct Crowd {
    most: usize,
    here: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A connection that is counted as long as it lasts.
struct Guest {
    address: IpAddr,
    here: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Crowd {
    fn enter(&self, address: IpAddr, speaks_for_many: bool) -> Option<Guest> {
        let mut here = self.here.lock().unwrap_or_else(PoisonError::into_inner);
        let count = here.entry(address).or_default();
        if *count >= self.most && !speaks_for_many {
            return None;
        }
        *count += 1;
        Some(Guest { address, here: self.here.clone() })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut here = self.here.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = here.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                here.remove(&self.address);
            }
        }
    }
}

/// A stream that gives up on a reader who takes nothing.
struct Impatient<S> {
    stream: S,
    /// Runs while a write waits for the reader.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> Impatient<S> {
    fn judge<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.waiting = None;
            return polled;
        }
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(TAKES_WITHIN)));
        ready!(waiting.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the reader takes nothing")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.judge(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.judge(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.judge(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.judge(cx, polled)
    }
}
