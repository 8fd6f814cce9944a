//! The least that an answer costs here: axum with one route and no work, what `make bench-peers` compares with.
//!
//! Prints its address and serves until its standard input ends.
#![allow(clippy::print_stdout, reason = "its address is for the program that started it")]

use std::io::Read as _;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;

/// As long as the answer about a key.
const ANSWER: &str = r#"{"valid":true,"user":"bench","device":"0123456789abcdef0123456789abcdef"}"#;

async fn answer() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], ANSWER)
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let router = Router::new().route("/", get(answer));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    let (over, ended) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        over.send(())
    });
    tokio::select! {
        served = axum::serve(listener, router) => served,
        _ = ended => Ok(()),
    }
}
