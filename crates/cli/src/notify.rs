//! Telling the owner on the desktop, and through a program of theirs.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

use durward_server::{Hook, Notifier, OwnerNotice};

use crate::config::NotifyTable;
use crate::terminal::harmless;

/// Notices that wait for a desktop that is slow; more are dropped.
const MAX_WAITING: usize = 16;
/// Characters of an agent's reason that are shown.
const REASON_SHOWN: usize = 120;

/// What the `[notify]` table asks for.
pub(crate) fn notifiers(table: &NotifyTable) -> Vec<Arc<dyn Notifier>> {
    let mut notifiers: Vec<Arc<dyn Notifier>> = Vec::new();
    if let Some(hook) = table.command.clone().and_then(Hook::new) {
        notifiers.push(Arc::new(hook));
    }
    if table.desktop == Some(true) {
        match Desktop::start() {
            Ok(desktop) => notifiers.push(Arc::new(desktop)),
            Err(error) => tracing::warn!(%error, "the desktop cannot be told of anything"),
        }
    }
    notifiers
}

/// The desktop's notices, through a thread of their own: the library blocks on a bus.
#[derive(Debug)]
struct Desktop(SyncSender<(String, String)>);

impl Desktop {
    fn start() -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel::<(String, String)>(MAX_WAITING);
        std::thread::Builder::new().name("desktop".into()).spawn(move || {
            for (summary, body) in receiver {
                let mut notice = notify_rust::Notification::new();
                notice.appname("Durward").summary(&summary).body(&body);
                if let Err(error) = notice.show() {
                    tracing::warn!(%error, "the desktop did not take a notice");
                }
            }
        })?;
        Ok(Self(sender))
    }
}

impl Notifier for Desktop {
    fn tell(&self, notice: &OwnerNotice) {
        if let Some(text) = text(notice)
            && self.0.try_send(text).is_err()
        {
            tracing::warn!("the desktop is too slow: a notice was dropped");
        }
    }
}

/// Summary and body. What agents say is made harmless, and cannot be read as the markup that some desktops
/// take in the body.
fn text(notice: &OwnerNotice) -> Option<(String, String)> {
    let answer = "Answer with: durward approve";
    let (summary, body) = match notice {
        OwnerNotice::PairingWaiting { number, agent_id, agent_name, .. } => (
            format!("{} wants to pair", harmless(&agent_name.to_string())),
            format!("It calls itself {agent_id} and waits as number {number}. {answer}"),
        ),
        OwnerNotice::RequestWaiting { asks, .. } => (
            format!("{} asks for {}", harmless(&asks.agent_name.to_string()), asks.domain),
            format!("It says: {}. {answer}", shortened(&asks.reason)),
        ),
        OwnerNotice::DeviceAsks { device, asks } => (
            format!("{} asks for {} on {device}", harmless(&asks.agent_name.to_string()), asks.domain),
            format!("It says: {}. Answer with: durward requests --device", shortened(&asks.reason)),
        ),
        OwnerNotice::RequestExpired { agent_id, domain, .. } => {
            ("A request expired".into(), format!("{agent_id} asked for {domain}, and nobody answered."))
        }
        OwnerNotice::Alert { user, address, .. } => {
            ("Somebody guesses at an account".into(), format!("{} from {address}", harmless(user)))
        }
        OwnerNotice::StorageFailed => (
            "Durward cannot write to its store".into(),
            "Nothing is released until it can. Its log says why.".into(),
        ),
        _ => return None,
    };
    Some((summary, body.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")))
}

fn shortened(reason: &str) -> String {
    let shown = harmless(reason);
    match shown.char_indices().nth(REASON_SHOWN) {
        Some((at, _)) => format!("{}…", shown.get(..at).unwrap_or_default()),
        None => shown,
    }
}

#[cfg(test)]
mod tests {
    use durward_protocol::{AgentId, AgentName, Domain, RequestId, SessionId};
    use durward_server::Asks;
    use rand::SeedableRng as _;
    use time::OffsetDateTime;

    use super::*;

    fn request(reason: &str) -> OwnerNotice {
        let mut rng = rand::rngs::StdRng::seed_from_u64(1);
        let asks = Asks {
            session_id: SessionId::random(&mut rng),
            request_id: RequestId::random(&mut rng),
            agent_id: AgentId::parse("agent").unwrap(),
            agent_name: AgentName::parse("Flight bot").unwrap(),
            domain: Domain::parse("example.com").unwrap(),
            fields: Vec::new(),
            reason: reason.into(),
        };
        OwnerNotice::RequestWaiting { asks, expires_at: OffsetDateTime::UNIX_EPOCH }
    }

    #[test]
    fn an_agents_words_are_plain_text() {
        let (summary, body) = text(&request("<b>now</b>\u{1b}[2J\n&")).unwrap();
        assert_eq!(summary, "Flight bot asks for example.com");
        assert_eq!(body, "It says: &lt;b&gt;now&lt;/b&gt;\\u{1b}[2J &amp;. Answer with: durward approve");
        let (_, long) = text(&request(&"ä".repeat(5_000))).unwrap();
        assert!(long.chars().count() < 200, "{long}");
    }
}
