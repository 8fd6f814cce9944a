//! `config server`.

use durward_bitwarden::Result;
use durward_bitwarden::environment::{DEFAULT_SERVER, Environment, Urls};

use crate::context::Context;
use crate::output::Response;

const SERVICES: [&str; 6] = ["web-vault", "api", "identity", "icons", "notifications", "events"];

/// Shows or sets the server.
pub(super) fn run(context: &Context) -> Result<Response> {
    if !context.arg(0).is_some_and(|s| s.eq_ignore_ascii_case("server")) {
        return Ok(Response::failure("Unknown setting."));
    }
    let folder = context.folder()?;
    let url = context.arg(1).filter(|u| !u.trim().is_empty());
    let given = |name: &str| context.invocation.value(name).filter(|v| !v.is_empty()).map(str::to_owned);
    if url.is_none() && SERVICES.iter().all(|s| given(s).is_none()) {
        let environment = folder.read()?.environment()?;
        return Ok(Response::string(environment.shown().unwrap_or(DEFAULT_SERVER)));
    }
    let environment = Environment::from_urls(&Urls {
        base: url.map(str::to_owned),
        web_vault: given("web-vault"),
        api: given("api"),
        identity: given("identity"),
        icons: given("icons"),
        notifications: given("notifications"),
        events: given("events"),
        key_connector: given("key-connector"),
        send: None,
    });
    folder.update(|document| document.set_environment(&environment))?;
    Ok(Response::title("Saved setting `config`."))
}
