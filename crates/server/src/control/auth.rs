//! Who may call: on the socket the same user, on the port who has a token of the right scope.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use durward_protocol::ErrorCode;

use super::ControlPlane;
use crate::http::{ApiError, HostRule, PeerUid, admit};

/// Checks the caller: on the socket its user, on the port `Host`, `Origin` and token.
pub(super) async fn guard(State(plane): State<ControlPlane>, request: Request, next: Next) -> Response {
    if let HostRule::Socket = plane.host {
        let uid = request.extensions().get::<PeerUid>().map(|peer| peer.0);
        return if uid == Some(own_uid()) {
            next.run(request).await
        } else {
            ApiError::new(ErrorCode::Unauthorized).into_response()
        };
    }
    let port = plane.about.control.map(|address| address.port());
    admit(request, next, plane.host, port, Some(&plane.tokens)).await
}

fn own_uid() -> u32 {
    nix::unistd::geteuid().as_raw()
}
