//! To the server that runs here, else to its store.

use durward_protocol::{ErrorCode, SecretString};
use durward_server::Home;
use durward_server::auth::owner::{AccountCommand, AccountReply, Owner, OwnerError};

use crate::command::serve::start_error;
use crate::control::{Control, Failure, SecretBody};
use crate::exit::{CliError, Exit};
use crate::paths::Paths;
use crate::rest_key;

/// Does one command.
pub(super) fn send(body: SecretBody, database: Option<&SecretString>) -> Result<AccountReply, CliError> {
    let paths = Paths::discover()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::new(Exit::Other, "start_failed", format!("cannot start: {error}")))?;
    runtime.block_on(async {
        let control = Control::at(paths.control_socket());
        if control.is_running().await {
            return control.post("/accounts", body).await.map_err(explain);
        }
        without_server(&paths, &body, database).await
    })
}

async fn without_server(
    paths: &Paths,
    body: &SecretBody,
    database: Option<&SecretString>,
) -> Result<AccountReply, CliError> {
    let command: AccountCommand = serde_json::from_slice(&body.bytes())
        .map_err(|_| CliError::new(Exit::Usage, "invalid_request", "the command is not understood"))?;
    let home = Home::open(paths.data()).map_err(start_error)?;
    let owner =
        Owner::open(&home, database, Some(rest_key::of_approver(paths)?)).await.map_err(start_error)?;
    let answer = owner.run(command).await;
    owner.close().await;
    answer.map_err(|error| {
        let (exit, code) = match &error {
            OwnerError::Invalid(_) | OwnerError::Taken(_) => (Exit::Usage, "invalid_request"),
            OwnerError::NoAccount(_) | OwnerError::NoDevice { .. } => (Exit::NotFound, "not_found"),
            OwnerError::Store(_) | OwnerError::Internal(_) => (Exit::Other, "store"),
        };
        CliError::new(exit, code, error.to_string())
    })
}

/// The server's words: what it says in brackets is what a person needs.
fn explain(failure: Failure) -> CliError {
    let Failure::Refused(refusal) = failure else { return failure.into() };
    let detail = refusal.message.split_once(" (").and_then(|(_, rest)| rest.strip_suffix(')'));
    let exit = match ErrorCode::parse(&refusal.error) {
        Some(ErrorCode::InvalidRequest) => Exit::Usage,
        Some(ErrorCode::NotFound) => Exit::NotFound,
        _ => Exit::Other,
    };
    match detail {
        Some(detail) => CliError::new(exit, refusal.error.clone(), detail),
        None if exit == Exit::NotFound => CliError::new(
            Exit::Refused,
            "accounts_off",
            "the server that runs here was started without accounts",
        ),
        None => CliError::new(exit, refusal.error.clone(), refusal.message.clone()),
    }
}
