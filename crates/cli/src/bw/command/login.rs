//! `login`: by master password, by API key, through an organisation; second factors and new devices on the way.

use std::io::IsTerminal as _;

use durward_bitwarden::api::{
    Grant, SecondFactor, TokenAnswer, TokenOutcome, TwoFactorChallenge, TwoFactorProvider,
};
use durward_bitwarden::client::{Client, Online, PasswordLogin};
use durward_bitwarden::crypto::SessionKey;
use durward_bitwarden::policy::violates_policy;
use durward_bitwarden::{Error, Result};
use secrecy::{ExposeSecret as _, SecretString};

use super::{session_message, sso};
use crate::context::{Context, online};
use crate::env;
use crate::output::{Response, note};
use crate::password::{self, Source};
use crate::{prompt, spinner};

const LOGGED_IN: &str = "You are logged in!";
const THEN_UNLOCK: &str = "\nTo unlock your vault, use the `unlock` command. ex:\n$ bw unlock";
const WEAK: &str = "Your master password does not meet one or more of your organization policies. In order to access the vault, you must update your master password now via the web app. You have been logged out.";
const RESET: &str = "An organization administrator recently changed your master password. In order to access the vault, you must update your master password now via the web app. You have been logged out.";
/// How often a code may be typed.
const CODE_TRIES: u32 = 3;

/// Logs in.
pub(super) fn run(context: &Context) -> Result<Response> {
    let folder = context.folder()?;
    let document = folder.read()?;
    let account = document.account()?;
    let check = context.invocation.has("check");
    if check && !names_credentials(context) {
        return Ok(match account {
            Some(_) => Response::title(LOGGED_IN),
            None => Error::NotLoggedIn.into(),
        });
    }
    if let Some(account) = account
        && !check
    {
        return Err(Error::AlreadyLoggedIn(account.email()?));
    }
    let client = context.online_client(folder);
    let method = match context.invocation.value("method").map(method) {
        Some(None) => return Ok(Response::failure("Invalid two-step login method.")),
        Some(method) => method,
        None => None,
    };
    if context.invocation.has("apikey") {
        by_api_key(context, &client, check)
    } else if context.invocation.has("sso") && !context.no_interaction && !check {
        let identifier = context.invocation.value("sso");
        online(by_sso(context, &client, identifier, method))
    } else {
        by_password(context, &client, method, check)
    }
}

/// Whether `--check` has something to check.
fn names_credentials(context: &Context) -> bool {
    let options = ["passwordenv", "passwordfile", "apikey"];
    context.arg(0).is_some()
        && (context.arg(1).is_some() || options.iter().any(|o| context.invocation.has(o)))
        || context.invocation.has("apikey")
}

fn method(text: &str) -> Option<TwoFactorProvider> {
    let digits: String = text.trim().chars().take_while(char::is_ascii_digit).collect();
    TwoFactorProvider::from_id(digits.parse().ok()?)
}

fn by_password(
    context: &Context,
    client: &Client,
    method: Option<TwoFactorProvider>,
    check: bool,
) -> Result<Response> {
    let email = match context.arg(0) {
        Some(email) => email.to_owned(),
        None if context.no_interaction => String::new(),
        None => prompt::line("Email address:")?,
    };
    if email.trim().is_empty() {
        return Ok(Response::failure("Email address is required."));
    }
    if !email.contains('@') {
        return Ok(Response::failure("Email address is invalid."));
    }
    let password = match password::find(context, context.arg(1))? {
        Source::Given(password) => password,
        Source::Missing(reason) => {
            return Ok(Response::failure(
                reason.unwrap_or_else(|| "Master password is required.".to_owned()),
            ));
        }
    };
    online(async {
        let server = client.connect(!check)?;
        let prelogin = server.api().prelogin(&email).await?;
        let login = spinner::busy(context, "Deriving the key", || {
            PasswordLogin::derive(&email, &password, &prelogin)
        })?;
        let steps = Steps { context, client, server: &server, method };
        let answer = match steps.password(&login).await? {
            Next::Granted(answer) => answer,
            Next::Said(response) => return Ok(response),
            Next::Sso(_) if context.no_interaction || check => {
                return Ok(Response::failure(
                    "Your organization requires single sign-on. Run `bw login --sso` in interactive mode.",
                ));
            }
            Next::Sso(organization) => {
                return by_sso(context, client, Some(&organization), method).await;
            }
        };
        if check {
            login.open_user_key(&answer)?;
            return Ok(Response::title("Valid credentials"));
        }
        if answer.force_password_reset {
            return Ok(Response::failure(RESET));
        }
        if violates_policy(&answer.password_policy, &password) {
            return Ok(Response::failure(WEAK));
        }
        if let Some(token) = &answer.remember_token {
            client.folder().update(|document| document.set_remember_token(&email, Some(token)))?;
        }
        let (session, user) = server.store_password_login(&login, *answer, context.now())?;
        drop((login, password));
        first_sync(context, &server).await?;
        server.backfill_key_id(&user, context.now()).await?;
        Ok(session_message(LOGGED_IN, &session))
    })
}

/// The vault and the server's settings right after a login. Without them the login stands all the same.
async fn first_sync(context: &Context, server: &Online<'_>) -> Result<()> {
    match server.pull(context.now()).await {
        Ok(()) => {}
        Err(Error::NotLoggedIn | Error::SessionExpired) => return Err(Error::SessionExpired),
        Err(e) if context.quiet => drop(e),
        Err(e) => note(&format!("Warning: logged in, but the vault could not be synced: {e}")),
    }
    server.refresh_config(context.now()).await;
    Ok(())
}

fn by_api_key(context: &Context, client: &Client, check: bool) -> Result<Response> {
    let asked = |variable: &str, ask: &dyn Fn() -> Result<SecretString>| match env::get(variable) {
        Some(value) => Ok(SecretString::from(value)),
        None if context.no_interaction => Ok(SecretString::from("")),
        None => ask(),
    };
    let client_id = asked(env::CLIENT_ID, &|| prompt::line("client_id:").map(SecretString::from))?;
    if client_id.expose_secret().trim().is_empty() {
        return Ok(Response::failure("client_id is required."));
    }
    let secret = asked(env::CLIENT_SECRET, &|| prompt::secret("client_secret:"))?;
    if secret.expose_secret().is_empty() {
        return Ok(Response::failure("client_secret is required."));
    }
    let client_id = client_id.expose_secret();
    if !client_id.starts_with("user") {
        return Ok(Response::failure("Invalid API Key; Organization API Key currently not supported"));
    }
    online(async {
        let server = client.connect(!check)?;
        let grant = Grant::ApiKey { client_id, secret: &secret };
        let TokenOutcome::Granted(answer) = server.api().token(grant, None).await? else {
            return Ok(Response::failure("Login failed."));
        };
        if check {
            return Ok(Response::title("Valid credentials"));
        }
        server.store_api_key_login(*answer, client_id, &secret, context.now())?;
        first_sync(context, &server).await?;
        Ok(locked_success(context))
    })
}

async fn by_sso(
    context: &Context,
    client: &Client,
    identifier: Option<&str>,
    method: Option<TwoFactorProvider>,
) -> Result<Response> {
    let server = client.connect(true)?;
    let Some(callback) = sso::ask_browser(server.api().environment(), identifier).await? else {
        return Ok(Response::failure("Something went wrong. Try again."));
    };
    let steps = Steps { context, client, server: &server, method };
    let answer = match steps.sso(&callback).await? {
        Next::Granted(answer) => answer,
        Next::Said(response) => return Ok(response),
        Next::Sso(_) => return Ok(Response::failure("Login failed.")),
    };
    if answer.force_password_reset {
        return Ok(Response::failure(RESET));
    }
    let remember = answer.remember_token.clone();
    let session = server.store_sso_login(*answer, context.now()).await?;
    if let Some(token) = remember {
        // Nobody typed an address; the account says which it is.
        client.folder().update(|document| {
            let email = document.account()?.ok_or(Error::NotLoggedIn)?.email()?;
            document.set_remember_token(&email, Some(&token))
        })?;
    }
    first_sync(context, &server).await?;
    Ok(match session {
        Some(session) => session_message(LOGGED_IN, &session),
        None => locked_success(context),
    })
}

/// Logged in, vault locked. Without interaction the official client prints a session key that opens nothing;
/// scripts read it, so there is one here too.
fn locked_success(context: &Context) -> Response {
    if context.no_interaction {
        return session_message(LOGGED_IN, &SessionKey::generate());
    }
    Response::Message { title: LOGGED_IN, message: Some(SecretString::from(THEN_UNLOCK)), raw: None }
}

/// Where a login stands after the server's questions were answered.
enum Next {
    Granted(Box<TokenAnswer>),
    Sso(String),
    Said(Response),
}

/// The questions of the token endpoint.
struct Steps<'a> {
    context: &'a Context,
    client: &'a Client,
    server: &'a Online<'a>,
    method: Option<TwoFactorProvider>,
}

impl Steps<'_> {
    async fn password(&self, login: &PasswordLogin) -> Result<Next> {
        self.answer_all(Some(login), async |factor, otp| self.server.password_token(login, factor, otp).await)
            .await
    }

    async fn sso(&self, callback: &sso::Callback) -> Result<Next> {
        let grant = Grant::Sso {
            code: &callback.code,
            verifier: &callback.verifier,
            redirect_uri: &callback.redirect_uri,
        };
        self.answer_all(None, async |factor, _| self.server.api().token(grant, factor).await).await
    }

    async fn answer_all(
        &self,
        login: Option<&PasswordLogin>,
        ask: impl AsyncFn(Option<&SecondFactor>, Option<&SecretString>) -> Result<TokenOutcome>,
    ) -> Result<Next> {
        let mut factor = self.first_factor(login)?;
        let mut outcome = ask(factor.as_ref(), None).await?;
        if let TokenOutcome::TwoFactor(challenge) = &outcome {
            self.forget_stale_token(login, factor.as_ref())?;
            let provider = match self.choose(challenge)? {
                Ok(provider) => provider,
                Err(response) => return Ok(Next::Said(response)),
            };
            if provider == TwoFactorProvider::Email && self.context.invocation.value("code").is_none() {
                let named = challenge.account_email.as_deref();
                let Some(email) = login.map(PasswordLogin::email).or(named) else {
                    return Ok(Next::Said(Response::failure(
                        "The server does not say which address the code goes to. Log in with the address and the master password, or choose another method with `--method`.",
                    )));
                };
                self.server.send_email_code(email, login, challenge).await?;
            }
            (outcome, factor) = match self.with_code(provider, &ask).await? {
                Ok(done) => done,
                Err(response) => return Ok(Next::Said(response)),
            };
        }
        if matches!(outcome, TokenOutcome::NewDevice) {
            let question = "New device verification required. Enter OTP sent to login email:";
            let otp = if self.context.no_interaction { String::new() } else { prompt::line(question)? };
            if otp.is_empty() {
                return Ok(Next::Said(Response::failure("Code is required.")));
            }
            outcome = ask(factor.as_ref(), Some(&SecretString::from(otp))).await?;
        }
        Ok(match outcome {
            TokenOutcome::Granted(answer) => Next::Granted(answer),
            TokenOutcome::Sso(organization) => Next::Sso(organization),
            _ => Next::Said(Response::failure("Login failed.")),
        })
    }

    /// What goes with the first request: method and code when both were given, else a remembered token.
    fn first_factor(&self, login: Option<&PasswordLogin>) -> Result<Option<SecondFactor>> {
        if let Some(code) = self.context.invocation.value("code") {
            return Ok(self.method.map(|provider| self.factor(provider, code)));
        }
        let Some(login) = login else { return Ok(None) };
        let token = self.client.folder().read()?.remember_token(login.email())?;
        Ok(token.map(|code| SecondFactor { provider: TwoFactorProvider::Remember, code, remember: false }))
    }

    fn forget_stale_token(&self, login: Option<&PasswordLogin>, factor: Option<&SecondFactor>) -> Result<()> {
        match (login, factor) {
            (Some(login), Some(factor)) if factor.provider == TwoFactorProvider::Remember => {
                self.client.folder().update(|document| document.set_remember_token(login.email(), None))
            }
            _ => Ok(()),
        }
    }

    fn factor(&self, provider: TwoFactorProvider, code: &str) -> SecondFactor {
        let remember = self.context.invocation.has("remember");
        SecondFactor { provider, code: SecretString::from(code), remember }
    }

    fn choose(
        &self,
        challenge: &TwoFactorChallenge,
    ) -> Result<std::result::Result<TwoFactorProvider, Response>> {
        let providers = &challenge.providers;
        if providers.is_empty() {
            return Ok(Err(Response::failure("No providers available for this client.")));
        }
        if let Some(method) = self.method.filter(|m| providers.contains(m)) {
            return Ok(Ok(method));
        }
        if let [only] = providers[..] {
            return Ok(Ok(only));
        }
        if self.context.no_interaction {
            return Ok(Err(Response::failure("Login failed. No provider selected.")));
        }
        let names: Vec<&str> = providers.iter().map(|p| name(*p)).collect();
        Ok(match prompt::choose("Two-step login method:", &names)?.and_then(|i| providers.get(i)) {
            Some(provider) => Ok(*provider),
            None => Err(Response::failure("Login failed.")),
        })
    }

    /// Sends the given code, or asks for one; on a terminal a wrong one may be typed again.
    async fn with_code(
        &self,
        provider: TwoFactorProvider,
        ask: &impl AsyncFn(Option<&SecondFactor>, Option<&SecretString>) -> Result<TokenOutcome>,
    ) -> Result<std::result::Result<(TokenOutcome, Option<SecondFactor>), Response>> {
        if let Some(code) = self.context.invocation.value("code").filter(|c| !c.is_empty()) {
            let factor = self.factor(provider, code);
            return Ok(Ok((ask(Some(&factor), None).await?, Some(factor))));
        }
        let tries = if std::io::stdin().is_terminal() { CODE_TRIES } else { 1 };
        for left in (0..tries).rev() {
            let code = if self.context.no_interaction {
                String::new()
            } else {
                prompt::line("Two-step login code:")?
            };
            if code.trim().is_empty() {
                return Ok(Err(Response::failure("Code is required.")));
            }
            let factor = self.factor(provider, code.trim());
            match ask(Some(&factor), None).await {
                Err(Error::Api { status: 400, message }) if left > 0 => note(&message),
                outcome => return Ok(Ok((outcome?, Some(factor)))),
            }
        }
        Ok(Err(Response::failure("Login failed.")))
    }
}

fn name(provider: TwoFactorProvider) -> &'static str {
    match provider {
        TwoFactorProvider::Authenticator => "Authenticator App",
        TwoFactorProvider::YubiKey => "YubiKey OTP Security Key",
        TwoFactorProvider::Email => "Email",
        _ => "Other",
    }
}
