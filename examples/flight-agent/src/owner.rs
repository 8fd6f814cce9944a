//! Asking the owner: at an approver with the SDK, or on this terminal through `durward request --mode local`.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use durward_client::{Agent, Ask, Begun, Error, PairingAsk, Wait};
use durward_protocol::{Credential, Domain, ErrorCode, Field, Limits, RequestId, Scope, SecretString};
use serde::Deserialize;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::Say;
use crate::ending::{Ending, revoked};

/// How long an approver that went away is waited for.
const PATIENCE: Duration = Duration::from_mins(2);
const PAUSE: Duration = Duration::from_secs(1);
/// More than any answer of `durward request --json`.
const MAX_ANSWER_BYTES: u64 = 256 * 1024;

/// Who is asked, and how.
#[derive(Debug)]
pub enum Owner {
    /// At an approver, sealed, over HTTP.
    Remote {
        /// The SDK's agent.
        agent: Box<Agent>,
        /// The request that waits, if one does.
        asked: Mutex<Option<RequestId>>,
    },
    /// On this terminal, by the program `durward`.
    Local(PathBuf),
}

impl Owner {
    /// An owner at an approver.
    pub fn remote(agent: Agent) -> Self {
        Self::Remote { agent: Box::new(agent), asked: Mutex::new(None) }
    }

    /// Pairs when there is no session, or when a person wants a new one. The session is for this one domain.
    pub async fn meet(&self, domain: &Domain, anew: bool, say: Say<'_>) -> Result<(), Ending> {
        let Self::Remote { agent, .. } = self else { return Ok(()) };
        if agent.session().is_some() && !anew {
            return Ok(());
        }
        let limits = Limits { domains: Some(vec![domain.clone()]), ..Limits::default() };
        let scope = Scope::new(&limits).map_err(Error::from)?;
        let Begun::Waiting(pairing) =
            agent.begin_pairing(PairingAsk { scope, accept_new_approver: false }).await?
        else {
            return Ok(());
        };
        let shown = pairing.number_code().expose_text();
        say(&format!("Type this at the approver ({}): {}", agent.approver(), shown.expose_secret()));
        drop(shown);
        let session = pairing.wait().await?;
        say(&format!("Paired. Both ends show: {}", session.fingerprint));
        Ok(())
    }

    /// Asks for fields of a domain and waits for the answer, also across a restart of the approver: the same request
    /// is sent again and joins what the approver has on disk, so the owner is asked once.
    pub async fn ask(
        &self,
        domain: &Domain,
        reason: &str,
        fields: &[Field],
        say: Say<'_>,
    ) -> Result<Credential, Ending> {
        say(&format!("Asking the owner for {domain}: {reason}"));
        let (agent, asked) = match self {
            Self::Remote { agent, asked } => (agent, asked),
            Self::Local(program) => return ask_here(program, domain, reason, fields).await,
        };
        let request = agent.prepare(Ask::new(domain.clone(), reason).fields(fields.to_vec()))?;
        let waits = |id: Option<RequestId>| *asked.lock().unwrap_or_else(PoisonError::into_inner) = id;
        waits(Some(request.id));
        let mut away: Option<Instant> = None;
        loop {
            let error = match agent.request(&request, Wait::UntilDecided).await {
                Err(error) if error.is_transient() => error,
                answer => {
                    waits(None);
                    return Ok(answer?.credential);
                }
            };
            let since = *away.get_or_insert_with(|| {
                say("The approver does not answer. It may be starting again; the request is kept and sent again.");
                Instant::now()
            });
            if since.elapsed() > PATIENCE {
                return Err(error.into());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Takes back what still waits, so that nobody is asked in vain. Best effort: a request ends by itself too.
    pub async fn take_back(&self) {
        let Self::Remote { agent, asked } = self else { return };
        let waiting = asked.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(id) = waiting {
            let _ = tokio::time::timeout(Duration::from_secs(3), agent.cancel(id)).await;
        }
    }

    /// Before each step with consequences: does the owner's approver still know this session? Its plain answer could
    /// be forged, so it makes the agent stop and nothing else. An approver that is away has not taken anything back.
    pub async fn still_agrees(&self) -> Result<(), Ending> {
        let Self::Remote { agent, .. } = self else { return Ok(()) };
        match agent.status().await {
            Err(Error::Refused { code: Some(ErrorCode::SessionNotFound), .. }) => Err(revoked()),
            _ => Ok(()),
        }
    }
}

/// What `durward request --json` prints.
#[derive(Deserialize)]
struct Answer {
    credential: Option<Released>,
    error: Option<Failed>,
}

#[derive(Deserialize)]
struct Released {
    username: Option<SecretString>,
    password: Option<SecretString>,
    totp: Option<SecretString>,
}

#[derive(Deserialize)]
struct Failed {
    message: String,
}

/// The child asks on `/dev/tty` and answers on a pipe that nobody else reads.
async fn ask_here(
    program: &PathBuf,
    domain: &Domain,
    reason: &str,
    fields: &[Field],
) -> Result<Credential, Ending> {
    let mut command = Command::new(program);
    command.args(["request", domain.as_str(), "--mode", "local", "--json", "--reason", reason]);
    for field in fields {
        command.arg("--field").arg(field.to_string());
    }
    command.stdin(Stdio::inherit()).stdout(Stdio::piped()).stderr(Stdio::inherit()).kill_on_drop(true);
    let cannot = |error: std::io::Error| {
        Ending::other(format!("Cannot run {}: {error}. Say where it is with --durward.", program.display()))
    };
    let mut child = command.spawn().map_err(cannot)?;
    let mut text = Zeroizing::new(Vec::with_capacity(16 * 1024));
    if let Some(stdout) = child.stdout.take() {
        stdout.take(MAX_ANSWER_BYTES).read_to_end(&mut text).await.map_err(cannot)?;
    }
    let status = child.wait().await.map_err(cannot)?;
    let exit = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    let answer: Option<Answer> = serde_json::from_slice(&text).ok();
    match answer {
        Some(Answer { credential: Some(released), .. }) if status.success() => {
            let Released { username, password, totp } = released;
            Ok(Credential { username, password, totp, ..Credential::default() })
        }
        Some(Answer { error: Some(failed), .. }) if exit == 6 => Err(Ending::new(
            exit,
            format!("The owner said no ({}). Nothing was typed into the airline's page.", failed.message),
        )),
        Some(Answer { error: Some(failed), .. }) => {
            Err(Ending::new(exit.max(1), format!("No credential: {}.", failed.message)))
        }
        _ => Err(Ending::new(exit.max(1), "`durward request` gave no answer; what it wrote above says why.")),
    }
}
