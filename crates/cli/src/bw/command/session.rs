//! `unlock`, `lock`, `logout`, `status`, `sync`: what changes or shows the state of the account here.

use std::io::IsTerminal as _;

use durward_bitwarden::state::{Account, DataFolder};
use durward_bitwarden::{Error, Result};
use serde::Serialize;

use super::session_message;
use crate::context::{Context, online};
use crate::output::{Kind, Response};
use crate::password::{self, Source};
use crate::{prompt, spinner};

/// Said when no password can be had.
pub(super) const NO_PASSWORD: &str = "Master password is required. Try again in interactive mode or provide a password file or environment variable.";

/// Opens the vault with the master password.
pub(super) fn unlock(context: &Context) -> Result<Response> {
    let folder = context.folder()?;
    let document = folder.read()?;
    let account = document.account()?.ok_or(Error::NotLoggedIn)?;
    if context.invocation.has("check") {
        return check(context, &folder, account);
    }
    let password = match password::find(context, context.arg(0))? {
        Source::Given(password) => password,
        Source::Missing(reason) => {
            return Ok(Response::failure(reason.unwrap_or_else(|| NO_PASSWORD.to_owned())));
        }
    };
    let user = spinner::busy(context, "Deriving the key", || account.open_with_password(&password))?;
    let id = account.id().to_owned();
    // The file is read again under the lock; a large vault need not be in memory twice.
    drop((password, document));
    let key = context.client(folder).start_session(&id, &user, context.now())?;
    Ok(session_message("Your vault is now unlocked!", &key))
}

/// With a password: is it right? Without: does the session key open the vault?
fn check(context: &Context, folder: &DataFolder, account: Account<'_>) -> Result<Response> {
    match password::named(context, context.arg(0)) {
        Source::Given(password) => {
            spinner::busy(context, "Deriving the key", || account.open_with_password(&password))?;
            Ok(Response::title("Valid credentials"))
        }
        Source::Missing(Some(reason)) => Ok(Response::failure(reason)),
        Source::Missing(None) => {
            let open = context.user_key(folder, account)?.is_some();
            Ok(if open { Response::title("Vault is unlocked!") } else { Error::Locked.into() })
        }
    }
}

/// Makes every session key worthless.
pub(super) fn lock(context: &Context) -> Result<Response> {
    context.client(context.folder()?).lock()?;
    Ok(Response::title("Your vault is locked."))
}

/// Forgets the account; asks first on a terminal.
pub(super) fn logout(context: &Context) -> Result<Response> {
    let folder = context.folder()?;
    let document = folder.read()?;
    let account = document.account()?.ok_or(Error::NotLoggedIn)?;
    let asks = std::io::stdin().is_terminal() && !context.no_interaction && !context.invocation.has("force");
    if asks && !prompt::confirm(&format!("Log out {}?", account.email()?))? {
        return Ok(Response::failure("Logout cancelled. You are still logged in."));
    }
    context.client(folder).logout()?;
    Ok(Response::title("You have logged out."))
}

/// The five facts, in the official order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names of the printed members")]
struct Status<'a> {
    server_url: Option<String>,
    last_sync: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
    status: &'static str,
}

/// Shows where the account stands.
pub(super) fn status(context: &Context) -> Result<Response> {
    let folder = context.folder()?;
    let document = folder.read()?;
    let status = match document.account()? {
        None => Status {
            server_url: document.environment()?.shown().map(str::to_owned),
            last_sync: None,
            user_email: None,
            user_id: None,
            status: "unauthenticated",
        },
        Some(account) => {
            let open = context.user_key(&folder, account)?.is_some();
            Status {
                server_url: account.environment()?.shown().map(str::to_owned),
                last_sync: account.last_sync()?,
                user_email: Some(account.email()?),
                user_id: Some(account.id()),
                status: if open { "unlocked" } else { "locked" },
            }
        }
    };
    Ok(Response::json(&status, Kind::Template))
}

/// Pulls the vault, or says when that last happened.
pub(super) fn sync(context: &Context) -> Result<Response> {
    let folder = context.folder()?;
    let document = folder.read()?;
    let account = document.account()?.ok_or(Error::NotLoggedIn)?;
    if context.invocation.has("last") {
        return Ok(account.last_sync()?.map_or(Response::NoText, Response::string));
    }
    let client = context.online_client(folder);
    let now = context.now();
    let synced = spinner::busy(context, "Syncing", || {
        online(async {
            let online = client.connect(true)?;
            online.sync(context.invocation.has("force"), now).await
        })
    });
    match synced {
        Ok(_) => Ok(Response::title("Syncing complete.")),
        Err(Error::NotLoggedIn) => Err(Error::NotLoggedIn),
        Err(e) => Ok(Response::failure(format!("Syncing failed: {e}"))),
    }
}
