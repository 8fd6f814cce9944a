//! What the owner is told when no screen shows it: by a program that reads JSON, or by whatever else the
//! caller brings. Never a secret: names, numbers and reasons only.

mod hook;

use std::sync::Arc;

use durward_broker::accounts::{Alert, LadderAlert};
use durward_broker::approval::Notice;
use durward_protocol::device::DeviceName;
use durward_protocol::{AgentId, AgentName, Domain, Field, PairingNumber, RequestId, SessionId, Verdict};
use serde::Serialize;
use time::OffsetDateTime;
use tokio::sync::broadcast;

pub use hook::Hook;

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
        /// What is asked.
        #[serde(flatten)]
        asks: Asks,
        /// When it stops waiting.
        #[serde(with = "time::serde::rfc3339")]
        expires_at: OffsetDateTime,
    },
    /// A request waits on another device, for a decision here.
    DeviceAsks {
        /// The device.
        device: DeviceName,
        /// What is asked there.
        #[serde(flatten)]
        asks: Asks,
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

/// A request of an agent.
#[derive(Clone, Debug, Serialize)]
pub struct Asks {
    /// Whose.
    pub session_id: SessionId,
    /// Which.
    pub request_id: RequestId,
    /// The agent.
    pub agent_id: AgentId,
    /// Its name.
    pub agent_name: AgentName,
    /// What for.
    pub domain: Domain,
    /// Fields asked for.
    pub fields: Vec<Field>,
    /// Why, in the agent's words.
    pub reason: String,
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
                asks: Asks {
                    session_id: request.session_id,
                    request_id: request.request_id,
                    agent_id: request.agent_id,
                    agent_name: request.agent_name,
                    domain: request.domain,
                    fields: request.fields,
                    reason: request.reason,
                },
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
                asks: Asks {
                    session_id: asked.session_id,
                    request_id: asked.request_id,
                    agent_id: asked.agent_id,
                    agent_name: asked.agent_name,
                    domain: asked.domain,
                    fields: asked.fields,
                    reason: asked.reason,
                },
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
    fn what_a_device_asks_is_flat_too() {
        use rand::SeedableRng as _;
        let mut rng = rand::rngs::StdRng::seed_from_u64(1);
        let asks = Asks {
            session_id: SessionId::random(&mut rng),
            request_id: RequestId::random(&mut rng),
            agent_id: AgentId::parse("agent").unwrap(),
            agent_name: AgentName::parse("Agent").unwrap(),
            domain: Domain::parse("example.com").unwrap(),
            fields: vec![Field::Username],
            reason: "why".into(),
        };
        let keys = ["session_id", "request_id", "agent_id", "agent_name", "domain", "fields", "reason"];
        let device = DeviceName::parse("phone").unwrap();
        let elsewhere = OwnerNotice::DeviceAsks { device, asks: asks.clone() };
        let here = OwnerNotice::RequestWaiting { asks, expires_at: OffsetDateTime::UNIX_EPOCH };
        for (notice, event, more) in
            [(here, "request_waiting", "expires_at"), (elsewhere, "device_asks", "device")]
        {
            let json = serde_json::to_value(notice).unwrap();
            assert_eq!((json["event"].as_str(), json.as_object().unwrap().len()), (Some(event), 9), "{json}");
            for key in keys.into_iter().chain([more]) {
                assert!(!json[key].is_null(), "{key} in {json}");
            }
        }
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
}
