//! What the owner is told when no screen shows it: by a program that reads JSON, or by whatever else the
//! caller brings. Never a secret: names, numbers and reasons only.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use durward_broker::accounts::{Alert, LadderAlert};
use durward_broker::approval::Notice;
use durward_protocol::device::DeviceName;
use durward_protocol::{AgentId, AgentName, Domain, Field, PairingNumber, RequestId, SessionId, Verdict};
use serde::Serialize;
use time::OffsetDateTime;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::{Semaphore, broadcast};

/// Programs at once …
const MAX_RUNNING: usize = 4;
/// … and notices that wait for one of them to end; more are only logged.
const MAX_WAITING: usize = 64;
/// A program that takes longer is killed, with what it started.
const PATIENCE: Duration = Duration::from_secs(30);

/// Something that wants the owner's eyes.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum OwnerNotice {
    /// An agent waits for its code to be typed.
    PairingWaiting {
        /// The number before the code.
        number: PairingNumber,
        /// The claimed id.
        agent_id: AgentId,
        /// The claimed name.
        agent_name: AgentName,
        /// When it ends unused.
        #[serde(with = "time::serde::rfc3339")]
        expires_at: OffsetDateTime,
    },
    /// A request waits for a decision.
    RequestWaiting {
        /// Whose.
        session_id: SessionId,
        /// Which.
        request_id: RequestId,
        /// The agent.
        agent_id: AgentId,
        /// Its name.
        agent_name: AgentName,
        /// What for.
        domain: Domain,
        /// Fields asked for.
        fields: Vec<Field>,
        /// Why, in the agent's words.
        reason: String,
        /// When it stops waiting.
        #[serde(with = "time::serde::rfc3339")]
        expires_at: OffsetDateTime,
    },
    /// A request waits on another device, for a decision here.
    DeviceAsks {
        /// The device.
        device: DeviceName,
        /// The session there.
        session_id: SessionId,
        /// The request there.
        request_id: RequestId,
        /// The agent.
        agent_id: AgentId,
        /// Its name.
        agent_name: AgentName,
        /// What for.
        domain: Domain,
        /// Fields asked for.
        fields: Vec<Field>,
        /// Why, in the agent's words.
        reason: String,
    },
    /// Nobody decided in time.
    RequestExpired {
        /// Whose.
        session_id: SessionId,
        /// Which.
        request_id: RequestId,
        /// The agent.
        agent_id: AgentId,
        /// What for.
        domain: Domain,
    },
    /// Somebody guesses at an account.
    Alert {
        /// `persistent_guessing` or `distributed_guessing`.
        alert: &'static str,
        /// Which counter.
        scope: &'static str,
        /// Whose account.
        user: String,
        /// From where.
        address: String,
        /// When.
        #[serde(with = "time::serde::rfc3339")]
        at: OffsetDateTime,
    },
    /// The approver cannot write: nothing is released.
    StorageFailed,
}

impl OwnerNotice {
    /// What of the broker's notices is for the owner.
    fn of(notice: Notice) -> Option<Self> {
        Some(match notice {
            Notice::PairingWaiting { pairing } => Self::PairingWaiting {
                number: pairing.number,
                agent_id: pairing.agent_id,
                agent_name: pairing.agent_name,
                expires_at: pairing.expires_at,
            },
            Notice::RequestWaiting { request } => Self::RequestWaiting {
                session_id: request.session_id,
                request_id: request.request_id,
                agent_id: request.agent_id,
                agent_name: request.agent_name,
                domain: request.domain,
                fields: request.fields,
                reason: request.reason,
                expires_at: request.expires_at,
            },
            Notice::RequestOver {
                session_id,
                request_id,
                agent_id,
                domain,
                verdict: Verdict::Expired,
                ..
            } => Self::RequestExpired { session_id, request_id, agent_id, domain },
            Notice::DeviceAsks { device, asked } => Self::DeviceAsks {
                device,
                session_id: asked.session_id,
                request_id: asked.request_id,
                agent_id: asked.agent_id,
                agent_name: asked.agent_name,
                domain: asked.domain,
                fields: asked.fields,
                reason: asked.reason,
            },
            Notice::StorageFailed => Self::StorageFailed,
            _ => return None,
        })
    }

    /// An alert of the accounts' ladder.
    pub(crate) fn alert(alert: &Alert, at: OffsetDateTime) -> Self {
        let kind = match alert.kind {
            LadderAlert::Persistent => "persistent_guessing",
            LadderAlert::Distributed => "distributed_guessing",
        };
        Self::Alert {
            alert: kind,
            scope: alert.scope.as_str(),
            user: alert.user.to_string(),
            address: alert.address.to_string(),
            at,
        }
    }
}

/// A way to tell the owner. Called from the runtime: it must not block.
pub trait Notifier: std::fmt::Debug + Send + Sync {
    /// Passes it on, or drops it when there is too much.
    fn tell(&self, notice: &OwnerNotice);
}

/// Passes on what the broker says, until dropped.
pub(crate) async fn run(mut notices: broadcast::Receiver<Notice>, notifiers: Vec<Arc<dyn Notifier>>) {
    loop {
        match notices.recv().await {
            Ok(notice) => {
                if let Some(notice) = OwnerNotice::of(notice) {
                    for notifier in &notifiers {
                        notifier.tell(&notice);
                    }
                }
            }
            Err(broadcast::error::RecvError::Lagged(missed)) => {
                tracing::warn!(missed, "too much happens to tell the owner of everything");
            }
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

/// A program that reads one JSON object from its standard input. No shell is involved.
#[derive(Clone, Debug)]
pub struct Hook {
    command: Arc<[String]>,
    waiting: Arc<Semaphore>,
    running: Arc<Semaphore>,
}

impl Hook {
    /// Program and arguments; `None` when there are none.
    pub fn new(command: Vec<String>) -> Option<Self> {
        (!command.is_empty()).then(|| Self {
            command: command.into(),
            waiting: Arc::new(Semaphore::new(MAX_WAITING)),
            running: Arc::new(Semaphore::new(MAX_RUNNING)),
        })
    }
}

impl Notifier for Hook {
    fn tell(&self, notice: &OwnerNotice) {
        let Ok(body) = serde_json::to_string(notice) else { return };
        let Ok(place) = Arc::clone(&self.waiting).try_acquire_owned() else {
            tracing::warn!("too many notices wait for their program: one was dropped");
            return;
        };
        let hook = self.clone();
        tokio::spawn(async move {
            let Ok(_slot) = hook.running.acquire().await else { return };
            drop(place);
            match tokio::time::timeout(PATIENCE, call(&hook.command, &body)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "the program for notices failed"),
                Err(_) => tracing::error!("the program for notices took too long and was killed"),
            }
        });
    }
}

async fn call(command: &[String], body: &str) -> std::io::Result<()> {
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    #[cfg(unix)]
    command.process_group(0);
    let mut child = command.kill_on_drop(true).spawn()?;
    #[cfg(unix)]
    let mut group = Group(child.id().and_then(|id| i32::try_from(id).ok()));
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read is none of our trouble.
        let _ = stdin.write_all(body.as_bytes()).await;
    }
    let status = child.wait().await?;
    #[cfg(unix)]
    group.0.take();
    if status.success() { Ok(()) } else { Err(std::io::Error::other(format!("it ended with {status}"))) }
}

/// Kills the program and what it started, when it is given up before its end.
#[cfg(unix)]
struct Group(Option<i32>);

#[cfg(unix)]
impl Drop for Group {
    fn drop(&mut self) {
        if let Some(id) = self.0 {
            let _ =
                nix::sys::signal::killpg(nix::unistd::Pid::from_raw(id), nix::sys::signal::Signal::SIGKILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_flat_json() {
        let notice = OwnerNotice::Alert {
            alert: "persistent_guessing",
            scope: "user",
            user: "alan".into(),
            address: "192.0.2.1".into(),
            at: OffsetDateTime::UNIX_EPOCH,
        };
        let json = serde_json::to_string(&notice).unwrap();
        assert_eq!(
            json,
            r#"{"event":"alert","alert":"persistent_guessing","scope":"user","user":"alan","address":"192.0.2.1","at":"1970-01-01T00:00:00Z"}"#
        );
        assert_eq!(
            serde_json::to_string(&OwnerNotice::StorageFailed).unwrap(),
            r#"{"event":"storage_failed"}"#
        );
        assert!(OwnerNotice::of(Notice::PairingSwitched { open: true }).is_none());
    }

    #[test]
    fn an_expired_request_is_told_and_a_decided_one_is_not() {
        use durward_broker::approval::Actor;
        use rand::SeedableRng as _;
        let over = |verdict| {
            let mut rng = rand::rngs::StdRng::seed_from_u64(1);
            OwnerNotice::of(Notice::RequestOver {
                session_id: SessionId::random(&mut rng),
                request_id: RequestId::random(&mut rng),
                agent_id: AgentId::parse("agent").unwrap(),
                domain: Domain::parse("example.com").unwrap(),
                verdict,
                by: Actor::System,
            })
        };
        assert!(over(Verdict::Approved).is_none());
        let json = serde_json::to_value(over(Verdict::Expired).unwrap()).unwrap();
        assert_eq!(
            (json["event"].as_str(), json["domain"].as_str()),
            (Some("request_expired"), Some("example.com"))
        );
    }

    #[test]
    fn no_program_is_no_hook() {
        assert!(Hook::new(Vec::new()).is_none());
    }

    /// What a program that is given up has started goes with it: its end of the pipe closes.
    #[cfg(unix)]
    #[tokio::test]
    async fn a_program_that_is_given_up_is_killed_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        // The child holds the fifo open for writing; its end is what the reader below waits for.
        let script = format!("sleep 600 > '{}' & cat > /dev/null; wait", fifo.display());
        let command = vec!["sh".to_owned(), "-c".to_owned(), script];
        let opened = tokio::task::spawn_blocking(move || std::fs::File::open(fifo).unwrap());
        let calling = tokio::spawn(async move { call(&command, "{}").await });
        let mut reader = opened.await.unwrap();
        calling.abort();
        assert!(calling.await.unwrap_err().is_cancelled());
        let mut rest = Vec::new();
        tokio::task::spawn_blocking(move || std::io::Read::read_to_end(&mut reader, &mut rest))
            .await
            .unwrap()
            .unwrap();
    }
}
