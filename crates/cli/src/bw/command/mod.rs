//! One module per group of commands.

mod config;
mod login;
mod read;
mod session;
mod sso;
mod tools;

use durward_bitwarden::Result;

use crate::context::Context;
use crate::help;
use crate::output::Response;

/// Runs the command.
pub(crate) fn run(context: &Context) -> Result<Response> {
    match context.invocation.command.name {
        "login" => login::run(context),
        "logout" => session::logout(context),
        "lock" => session::lock(context),
        "unlock" => session::unlock(context),
        "status" => session::status(context),
        "sync" => session::sync(context),
        "config" => config::run(context),
        "list" => read::list(context),
        "get" => read::get(context),
        "generate" => tools::generate(context),
        "encode" => tools::encode(),
        "completion" => Ok(tools::completion(context)),
        _ => Ok(Response::failure(help::elsewhere(context.invocation.command))),
    }
}

/// The block that tells how to use a new session key.
fn session_message(title: &'static str, key: &durward_bitwarden::crypto::SessionKey) -> Response {
    use secrecy::{ExposeSecret as _, SecretString};
    let raw = key.expose_base64();
    let key = raw.expose_secret();
    let block = format!(
        "\nTo unlock your vault, set your session key to the `BW_SESSION` environment variable. ex:\n\
         $ export BW_SESSION=\"{key}\"\n> $env:BW_SESSION=\"{key}\"\n\n\
         You can also pass the session key to any command with the `--session` option. ex:\n\
         $ bw list items --session {key}"
    );
    Response::Message { title, message: Some(SecretString::from(block)), raw: Some(raw.clone()) }
}
