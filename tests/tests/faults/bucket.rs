//! A store that speaks S3, at a real socket, over a folder of the test's: it checks keys and signatures, and dies when it is told to.

use std::convert::Infallible;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// The key that it knows.
pub(crate) const KEY: (&str, &str) = ("line-3", "a-secret-of-the-plant");
/// The bucket that it has.
pub(crate) const BUCKET: &str = "inspection";

/// What the server, its connections and the test share.
#[derive(Default)]
struct Shared {
    /// Files that were put and acknowledged, in order.
    put: Vec<String>,
    /// Requests to put that may still come; none: any number.
    left: Option<usize>,
    /// Gone: it died.
    runtime: Option<Runtime>,
}

/// The store.
pub(crate) struct Store {
    shared: Arc<Mutex<Shared>>,
    address: SocketAddr,
    root: PathBuf,
}

impl Store {
    /// Over a folder, at any free port.
    pub(crate) fn new(root: &Path) -> Store {
        fs::create_dir_all(root.join(BUCKET)).expect("made");
        let mut store = Store {
            shared: Arc::default(),
            address: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0),
            root: root.to_owned(),
        };
        store.address = store.serve();
        store
    }

    /// It is there again, at the same address, with what it had.
    pub(crate) fn come_back(&self) {
        self.serve();
    }

    fn serve(&self) -> SocketAddr {
        let mut builder = S3ServiceBuilder::new(FileSystem::new(&self.root).expect("a folder"));
        builder.set_auth(SimpleAuth::from_single(KEY.0, KEY.1));
        let service = builder.build();
        let runtime = Runtime::new().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind(self.address)).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::clone(&self.shared);
        runtime.spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (service, shared) = (service.clone(), Arc::clone(&shared));
                let answer = service_fn(move |request| answer(service.clone(), Arc::clone(&shared), request));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), answer));
            }
        });
        self.locked(|it| (it.runtime, it.left) = (Some(runtime), None));
        address
    }

    fn locked<T>(&self, with: impl FnOnce(&mut Shared) -> T) -> T {
        with(&mut self.shared.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// It dies in the middle of the upload after so many.
    pub(crate) fn dies_after(&self, uploads: usize) {
        self.locked(|it| it.left = Some(uploads));
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.locked(|it| it.runtime.is_none())
    }

    /// It goes at once, with its connections.
    pub(crate) fn die(&self) {
        die(&self.shared);
    }

    /// Paths that were put and acknowledged since this was asked last.
    pub(crate) fn put(&self) -> Vec<String> {
        self.locked(|it| std::mem::take(&mut it.put))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.die();
    }
}

fn die(shared: &Mutex<Shared>) {
    if let Some(runtime) = shared.lock().unwrap_or_else(PoisonError::into_inner).runtime.take() {
        runtime.shutdown_background();
    }
}

async fn answer(
    service: S3Service,
    shared: Arc<Mutex<Shared>>,
    request: Request<Incoming>,
) -> Result<hyper::Response<s3s::Body>, Infallible> {
    let (put, path) = (request.method() == Method::PUT, request.uri().path().to_owned());
    if put {
        let dead = {
            let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
            match &mut shared.left {
                Some(0) => true,
                Some(left) => {
                    *left -= 1;
                    false
                }
                None => false,
            }
        };
        if dead {
            die(&shared);
            std::future::pending::<()>().await;
        }
    }
    let response = Service::call(&service, request).await.expect("it answers");
    if put && response.status() == StatusCode::OK {
        shared.lock().unwrap_or_else(PoisonError::into_inner).put.push(path);
    }
    Ok(response)
}
