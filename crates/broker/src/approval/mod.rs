//! Pairings, sessions, requests, decisions, grants and the audit log.

mod audit;
mod by_device;
mod commit;
mod confirm;
mod decision;
mod event;
mod fatigue;
mod grant;
mod heads;
mod machine;
mod meter;
mod notice;
mod pairing;
mod pairing_end;
mod pairing_table;
mod past;
mod policy;
mod receipt;
mod records;
mod release;
mod request;
mod request_end;
mod restore;
mod ruled;
mod session;
mod settings;
#[cfg(test)]
mod tests;
mod view;

pub use audit::{Actor, AuditEntry, AuditEvent, AuditRecord, ChainError, ChainHead};
pub use by_device::{AskedOf, RunsOn};
pub use decision::MAX_DENIAL_BYTES;
pub use event::{
    Answer, Decision, Effect, Event, GrantSpec, ItemChoice, Notice, Ticket, VaultFailure, Waiter,
};
pub use fatigue::{DENIALS_UNTIL_PAUSE, Paused, PausedAgent, PausedWhy};
pub use grant::{MAX_GRANT_SECONDS, MAX_GRANT_USES};
pub use heads::{AgentHeads, HeadsProblem, agent_heads};
pub use machine::Approval;
pub use past::{APPROVALS_UNTIL_SUGGESTION, Suggestion};
pub use policy::{
    Explanation, Held, MAX_POLICY_RULES, MatchedRule, Past, Policy, PolicyFile, PolicyQuestion,
    PolicyVerdict, Rule, RuleRole, Ruling, Zone,
};
pub use records::{
    Ended, GrantRecord, NonceRecord, RequestRecord, SessionRecord, Snapshot, StoredRequestState, Write,
};
pub use settings::Settings;
pub use view::{GrantView, PairingView, RequestView, SessionView};
