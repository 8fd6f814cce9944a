//! Receipts: what is signed about each verdict.

use durward_protocol::{
    CredentialRequest, Domain, Field, Statement, Timestamp, Verdict, field_names, reason_hash,
};

use super::audit::Actor;
use super::machine::Approval;
use super::request::{Details, RequestKey};
use crate::Now;

/// What a receipt repeats of a request.
pub(super) struct Facts {
    domain: Domain,
    reason_hash: [u8; 32],
    fields_asked: String,
}

impl Facts {
    /// Of one that is known here.
    pub(super) fn about(details: &Details) -> Self {
        Self::new(&details.domain, &details.reason, &details.fields)
    }

    /// Of one whose details were forgotten, from the agent's repetition of it: its digest was compared.
    pub(super) fn of(request: &CredentialRequest) -> Self {
        Self::new(&request.domain, &request.reason, &request.fields)
    }

    fn new(domain: &Domain, reason: &str, fields: &[Field]) -> Self {
        Self { domain: domain.clone(), reason_hash: reason_hash(reason), fields_asked: field_names(fields) }
    }
}

impl Approval {
    /// The signed word on a verdict. `None` only for a session without keys, which seals nothing either.
    pub(super) fn receipt(
        &self,
        now: Now,
        key: RequestKey,
        facts: &Facts,
        verdict: Verdict,
        released: &[Field],
        by: Actor,
    ) -> Option<String> {
        let session = self.sessions.get(&key.0)?;
        let statement = Statement {
            agent_id: session.record.agent_id.clone(),
            fingerprint: session.fingerprint()?,
            request_id: key.1,
            domain: facts.domain.clone(),
            reason_hash: facts.reason_hash,
            fields_asked: facts.fields_asked.clone(),
            fields_released: field_names(released),
            verdict,
            decided_by: by.decider(),
            at: Timestamp::new(now.wall),
            policy_version: self.policy.version().to_owned(),
        };
        Some(statement.sign(&self.approver))
    }
}
