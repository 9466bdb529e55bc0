//! An S3 server in this process, over a folder that is removed with it.

#![expect(clippy::unwrap_used, reason = "without a server there is nothing to test")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tokio::sync::RwLock;

pub(crate) const ACCESS_KEY: &str = "test-access";
pub(crate) const SECRET_KEY: &str = "test-canary-secret";

/// A server, until the process ends.
pub(crate) struct Server {
    address: SocketAddr,
    folder: tempfile::TempDir,
    buckets: AtomicU64,
}

impl Server {
    /// Starts a server on its own thread.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = s3s_fs::FileSystem::new(folder.path()).unwrap();
        let mut service = S3ServiceBuilder::new(files);
        service.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let service = service.build();
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                // Without it, several creates of one object win: the server checks, then writes.
                let lock = Arc::new(RwLock::new(()));
                loop {
                    let (socket, _) = listener.accept().await.unwrap();
                    // Without it, each answer waits for the client's delayed acknowledgement, 40 ms.
                    socket.set_nodelay(true).unwrap();
                    let (service, lock) = (service.clone(), lock.clone());
                    tokio::spawn(async move {
                        let answer = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                            let (service, lock) = (service.clone(), lock.clone());
                            async move {
                                let reads = matches!(*request.method(), hyper::Method::GET | hyper::Method::HEAD);
                                let _guard = match reads {
                                    true => (Some(lock.read().await), None),
                                    false => (None, Some(lock.write().await)),
                                };
                                Ok::<_, Infallible>(Service::call(&service, request).await.unwrap())
                            }
                        });
                        // A client that hangs up is not the server's error.
                        let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), answer).await;
                    });
                }
            });
        });
        Self { address: told.recv().unwrap(), folder, buckets: AtomicU64::new(0) }
    }

    /// Creates an empty bucket and returns its location. Each test gets its own, because this server walks a whole
    /// bucket to list part of it.
    pub(crate) fn bucket(&self) -> String {
        let name = format!("bucket-{}", self.buckets.fetch_add(1, Ordering::SeqCst));
        std::fs::create_dir(self.folder.path().join(&name)).unwrap();
        format!("s3://{name}?endpoint=http://{}&region=us-east-1", self.address)
    }
}
