//! Accepting and serving connections: bounded in number, patient with the honest, short with the slow.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::response::{IntoResponse as _, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use super::{Callers, without_idle_body};
use crate::config::Limits;

/// How long a stop waits for calls under way.
const GRACE: Duration = Duration::from_secs(5);

/// Most of a request head that is kept; one that does not fit is refused.
const BUFFER_BYTES: usize = 16 * 1024;

/// Where connections come from.
pub(crate) enum Connections {
    Tcp(TcpListener),
    /// TCP, with TLS in it.
    Tls(TcpListener, TlsAcceptor),
    Unix(UnixListener),
}

/// The user id at the other end of a Unix socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeerUid(pub(crate) u32);

/// Serves `router` until `stop` resolves, then finishes what is in flight. With `callers` an address has no more
/// connections than its share.
pub(crate) async fn serve(
    from: Connections,
    router: Router,
    limits: Limits,
    callers: Option<Arc<Callers>>,
    stop: impl Future<Output = ()>,
) {
    let slots = Arc::new(Semaphore::new(limits.max_connections));
    let (graceful, limits) = (GracefulShutdown::new(), Arc::new(limits));
    let mut stop = std::pin::pin!(stop);
    loop {
        // A connection past the limit waits in the kernel's queue, not in our memory.
        let slot = tokio::select! {
            () = &mut stop => break,
            slot = Arc::clone(&slots).acquire_owned() => slot,
        };
        let Ok(slot) = slot else { break };
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = accept(&from) => accepted,
        };
        let (stream, caller) = match accepted {
            Ok(Accepted::Tcp(stream, peer)) => {
                let stream = match &from {
                    Connections::Tls(_, acceptor) => Stream::Tls(stream, acceptor.clone()),
                    _ => Stream::Tcp(stream),
                };
                (stream, Caller::Tcp(peer))
            }
            Ok(Accepted::Unix(stream, uid)) => (Stream::Unix(stream), Caller::Unix(uid)),
            Err(error) => {
                // Out of descriptors, most likely: wait for one instead of spinning.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let guest = match (&callers, caller) {
            (Some(callers), Caller::Tcp(peer)) => Some(callers.connect(peer.ip())),
            _ => None,
        };
        if let Some(None) = guest {
            tracing::debug!("a connection past its address's share was closed");
            continue;
        }
        let slot = (slot, guest);
        let watcher = graceful.watcher();
        let limits = Arc::clone(&limits);
        let service = Service { router: router.clone(), limits: Arc::clone(&limits), caller };
        // A task each, as large as its own kind: one for all three would be as large as TLS for everybody.
        match stream {
            Stream::Tcp(stream) => drop(tokio::spawn(async move {
                connection(stream, service, &limits, watcher).await;
                drop(slot);
            })),
            Stream::Tls(stream, acceptor) => drop(tokio::spawn(async move {
                let patience = Duration::from_secs(limits.header_timeout_seconds);
                match tokio::time::timeout(patience, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => connection(stream, service, &limits, watcher).await,
                    Ok(Err(error)) => tracing::debug!(%error, "no TLS connection came about"),
                    Err(_) => tracing::debug!("a TLS handshake took too long"),
                }
                drop(slot);
            })),
            Stream::Unix(stream) => drop(tokio::spawn(async move {
                connection(stream, service, &limits, watcher).await;
                drop(slot);
            })),
        }
    }
    drop(from);
    if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!("some calls did not end in time and were cut off");
    }
}

enum Accepted {
    Tcp(tokio::net::TcpStream, std::net::SocketAddr),
    Unix(tokio::net::UnixStream, u32),
}

enum Stream {
    Tcp(tokio::net::TcpStream),
    Tls(tokio::net::TcpStream, TlsAcceptor),
    Unix(tokio::net::UnixStream),
}

async fn accept(from: &Connections) -> io::Result<Accepted> {
    match from {
        Connections::Tcp(listener) | Connections::Tls(listener, _) => {
            let (stream, peer) = listener.accept().await?;
            // Without it Nagle's algorithm and delayed ACKs add 40 ms to every answer.
            stream.set_nodelay(true)?;
            Ok(Accepted::Tcp(stream, peer))
        }
        Connections::Unix(listener) => {
            let (stream, _) = listener.accept().await?;
            let uid = stream.peer_cred()?.uid();
            Ok(Accepted::Unix(stream, uid))
        }
    }
}

/// Who is at the other end.
#[derive(Clone, Copy)]
enum Caller {
    Tcp(std::net::SocketAddr),
    Unix(u32),
}

/// What one connection needs to answer a request. The router is shared: a layer for each connection would copy it.
struct Service {
    router: Router,
    limits: Arc<Limits>,
    caller: Caller,
}

impl Service {
    fn answer(
        &self,
        request: hyper::Request<Incoming>,
    ) -> impl Future<Output = Result<Response, Infallible>> + use<> {
        let mut request = request.map(axum::body::Body::new);
        match self.caller {
            Caller::Tcp(peer) => request.extensions_mut().insert(ConnectInfo(peer)).map(drop),
            Caller::Unix(uid) => request.extensions_mut().insert(PeerUid(uid)).map(drop),
        };
        let (router, limits) = (self.router.clone(), Arc::clone(&self.limits));
        async move {
            match without_idle_body(request, &limits).await {
                Ok(request) => router.oneshot(request).await,
                Err(error) => Ok(error.into_response()),
            }
        }
    }
}

async fn connection<S>(
    stream: S,
    service: Service,
    limits: &Limits,
    watcher: hyper_util::server::graceful::Watcher,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |request| service.answer(request));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(limits.header_timeout_seconds))
        .max_buf_size(BUFFER_BYTES)
        .max_headers(limits.max_headers)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "a connection ended early");
    }
}
