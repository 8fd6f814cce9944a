//! The service as a server of its own: `durward spake serve`.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{Method, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use durward_broker::spake::Health;
use durward_protocol::ErrorCode;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{SpakeService, routes};
use crate::Error;
use crate::clock::Clock;
use crate::config::Limits;
use crate::home::Home;
use crate::http::{ApiError, Connections, HostRule, admit, require_json, serve};
use crate::server::{bind, local};
use crate::token::{TokenScope, Tokens};

/// What the service alone is told.
#[derive(Clone, Debug)]
pub struct SpakeConfig {
    /// Where it listens: a loopback address.
    pub listen: SocketAddr,
    /// Who may call.
    pub access: SpakeAccess,
    /// Bounds of the server.
    pub limits: Limits,
}

/// Who may call the service alone.
#[derive(Clone, Debug)]
pub enum SpakeAccess {
    /// Who has the `spake` or the owner's token of this folder. The `spake` token is made if it is not there.
    Token(Home),
    /// Every process of this machine, of every user; no web page.
    Open,
}

impl Default for SpakeConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 5000)),
            access: SpakeAccess::Open,
            limits: Limits::default(),
        }
    }
}

/// The service alone, about to run.
pub struct SpakeServer;

/// The service alone, running.
pub struct SpakeRunning {
    /// Where applications reach it.
    pub listen: SocketAddr,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
    timer: JoinHandle<()>,
}

impl SpakeServer {
    /// Listens. When this returns, the service answers. Refuses any address but loopback: the calls carry the
    /// password and the secret.
    pub async fn start(config: SpakeConfig, clock: Clock) -> Result<SpakeRunning, Error> {
        if !config.listen.ip().is_loopback() {
            return Err(Error::SpakeNotLoopback(config.listen));
        }
        let tokens = match config.access {
            SpakeAccess::Token(home) => {
                let tokens = Tokens::new(home.clone());
                tokens.ensure_standard(TokenScope::Spake).map_err(Error::file(home.folder()))?;
                Some(tokens)
            }
            SpakeAccess::Open => None,
        };
        let listener = bind(config.listen, "--port").await?;
        let listen = local(&listener, config.listen)?;
        let service = SpakeService::new(config.limits.spake(), clock);
        let gate = Gate { host: HostRule::for_listener(listen), tokens: tokens.map(Arc::new) };
        let router = router(Arc::clone(&service), Arc::new(config.limits.clone()), gate);
        let (stop, mut stopping) = watch::channel(false);
        let stopped = async move {
            let _ = stopping.wait_for(|stop| *stop).await;
        };
        let server = tokio::spawn(serve(Connections::Tcp(listener), router, config.limits, None, stopped));
        let timer = tokio::spawn(service.run_timer());
        Ok(SpakeRunning { listen, stop, server, timer })
    }
}

impl SpakeRunning {
    /// Finishes what is in flight and forgets every session.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        let _ = self.server.await;
        self.timer.abort();
    }
}

/// The rules at the door.
#[derive(Clone)]
pub(super) struct Gate {
    pub(super) host: HostRule,
    /// `None`: no token is asked for.
    pub(super) tokens: Option<Arc<Tokens>>,
}

/// The whole server.
pub(super) fn router(service: Arc<SpakeService>, limits: Arc<Limits>, gate: Gate) -> Router {
    Router::new()
        .route("/health", get(|| async { Json(Health::HEALTHY) }))
        .merge(routes(service, limits))
        .fallback(|| async { ApiError::new(ErrorCode::NotFound) })
        .method_not_allowed_fallback(|| async { ApiError::new(ErrorCode::MethodNotAllowed) })
        .layer(from_fn_with_state(gate, guard))
}

async fn guard(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    if gate.tokens.is_none()
        && let Err(code) = no_web_page(&request)
    {
        return ApiError::new(code).into_response();
    }
    admit(request, next, gate.host, None, gate.tokens.as_deref()).await
}

/// Where no token forces a browser to ask first: what carries an `Origin` comes from a browser, and what is not
/// declared as JSON could.
fn no_web_page(request: &Request) -> Result<(), ErrorCode> {
    if request.headers().contains_key(header::ORIGIN) {
        return Err(ErrorCode::OriginRefused);
    }
    if request.method() == Method::POST {
        require_json(request.headers())?;
    }
    Ok(())
}
