//! Serves a function over real TCP on a free port.

use std::net::SocketAddr;
use std::sync::Arc;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::approver::{Call, Reply};

/// What each 503 says in `Retry-After`.
pub const RETRY_AFTER_SECONDS: u64 = 7;

/// A running server; dropping it stops it.
#[derive(Debug)]
pub struct Served {
    /// Where.
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Served {
    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Answers every call with `answer`; `None` breaks the connection.
pub async fn serve(
    answer: impl Fn(Call) -> Option<Reply> + Send + Sync + 'static,
) -> std::io::Result<Served> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let answer = Arc::new(answer);
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let answer = Arc::clone(&answer);
            let service = service_fn(move |request| respond(request, Arc::clone(&answer)));
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::spawn(async move {
                let _ = connection.await; // a broken connection is what some tests want
            });
        }
    });
    Ok(Served { address, task })
}

async fn respond(
    request: Request<Incoming>,
    answer: Arc<impl Fn(Call) -> Option<Reply>>,
) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, 1 << 20).collect().await.map_err(std::io::Error::other)?.to_bytes();
    let call = Call {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        body: body.to_vec(),
    };
    let reply = answer(call).ok_or_else(|| std::io::Error::other("the connection is cut"))?;
    let mut response = Response::new(Full::new(Bytes::from(reply.body)));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if reply.status == 503 {
        response.headers_mut().insert("retry-after", hyper::header::HeaderValue::from(RETRY_AFTER_SECONDS));
    }
    response
        .headers_mut()
        .insert("content-type", hyper::header::HeaderValue::from_static("application/json"));
    Ok(response)
}
