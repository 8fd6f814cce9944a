//! Checking the audit log, against itself and against what agents have seen of it.

use durward_broker::approval::{AgentHeads, ChainHead, HeadsProblem};
use durward_store::Store;

use crate::control::api::AuditVerdict;

/// Follows the chain, then looks for the records that agents have seen.
pub async fn verify_audit(
    store: &Store,
    agents: &[AgentHeads],
) -> Result<AuditVerdict, durward_store::Error> {
    let head = store.head().await?;
    let (records, problem) = match store.verify_audit().await? {
        Ok(head) => (head.n, None),
        Err(problem) => (head.n, Some(problem.to_string())),
    };
    let mut verdict = AuditVerdict { ok: true, records, problem, missing: Vec::new(), agents: Vec::new() };
    for agent in agents {
        verdict.missing.extend(missing(store, head, agent).await?);
        if let Some(problem) = agent.problem.as_ref().filter(|problem| !problem.concerns_log()) {
            verdict.agents.push(problem.text(&agent.agent_id));
        }
    }
    verdict.ok = verdict.problem.is_none() && verdict.missing.is_empty();
    Ok(verdict)
}

async fn missing(
    store: &Store,
    head: ChainHead,
    agent: &AgentHeads,
) -> Result<Option<String>, durward_store::Error> {
    let seen = agent.seen.as_ref().and_then(|seen| Some(ChainHead { n: seen.n, hash: seen.hash_bytes()? }));
    let Some(seen) = seen else { return Ok(None) };
    let problem = if seen.n > head.n {
        HeadsProblem::LogEndsBefore { n: seen.n }
    } else if !store.has_record(&seen).await? {
        HeadsProblem::LogDiffers { n: seen.n }
    } else {
        return Ok(None);
    };
    Ok(Some(problem.text(&agent.agent_id)))
}
