//! `POST /accounts`: the owner's commands about accounts. On the socket only: phrases and codes pass here.

use axum::Json;
use axum::extract::State;
use durward_protocol::ErrorCode;

use super::ControlPlane;
use crate::auth::owner::{AccountCommand, AccountReply, OwnerError};
use crate::http::{ApiError, Body, HostRule};

/// `POST /accounts`
pub(super) async fn command(
    State(plane): State<ControlPlane>,
    Body(command): Body<AccountCommand>,
) -> Result<Json<AccountReply>, ApiError> {
    let accounts = plane.accounts.as_ref().filter(|_| matches!(plane.host, HostRule::Socket));
    let Some(accounts) = accounts else { return Err(ErrorCode::NotFound.into()) };
    accounts.command(command).await.map(Json).map_err(|error| {
        let code = match &error {
            OwnerError::Invalid(_) | OwnerError::Taken(_) => ErrorCode::InvalidRequest,
            OwnerError::NoAccount(_) | OwnerError::NoDevice { .. } => ErrorCode::NotFound,
            OwnerError::Store(_) => ErrorCode::StorageFailed,
            OwnerError::Internal(_) => ErrorCode::Internal,
        };
        if let OwnerError::Store(_) | OwnerError::Internal(_) = error {
            tracing::error!(%error, "an account could not be changed");
        }
        ApiError::new(code).detail(error.to_string())
    })
}
