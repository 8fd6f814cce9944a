//! One HTTP call, over TCP or a Unix socket, reading no more than it needs.

use std::net::SocketAddr;
use std::path::PathBuf;

use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};

/// Where a plane is.
pub(crate) enum Plane {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) retry_after: bool,
    /// Nothing for a stream or a text.
    pub(crate) body: Option<Value>,
}

impl Reply {
    /// The code of an error.
    pub(crate) fn error(&self) -> Option<&str> {
        self.body.as_ref()?.get("error")?.as_str()
    }
}

/// Calls with an empty JSON object, or without a body for `GET`.
pub(crate) async fn call(plane: &Plane, method: &str, path: &str) -> Reply {
    match plane {
        Plane::Tcp(address) => {
            let stream = tokio::net::TcpStream::connect(address).await.unwrap();
            send(stream, &address.to_string(), method, path).await
        }
        Plane::Unix(path_of_socket) => {
            let stream = tokio::net::UnixStream::connect(path_of_socket).await.unwrap();
            send(stream, "localhost", method, path).await
        }
    }
}

async fn send<S>(stream: S, host: &str, method: &str, path: &str) -> Reply
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let body = if method == "GET" { "" } else { "{}" };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", host)
        .header("content-type", "application/json")
        .header("prefer", "wait=0")
        .body(Full::new(Bytes::from(body)))
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    let status = response.status().as_u16();
    let retry_after = response.headers().contains_key("retry-after");
    let json = response.headers().get("content-type").is_some_and(|kind| kind == "application/json");
    let body = if json {
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        Some(serde_json::from_slice(&bytes).unwrap())
    } else {
        None
    };
    connection.abort();
    Reply { status, retry_after, body }
}
