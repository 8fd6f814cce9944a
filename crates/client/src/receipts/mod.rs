//! Receipts as they were received: a small hash-chained record in the profile, oldest first, so that an agent
//! can show later what the owner decided, and notice when the approver's log lost something.
//!
//! `receipts/receipts.jsonl` is only ever appended to, a line a receipt; when it is full it takes the place of
//! `receipts.1.jsonl`, and the oldest are gone. Lines are not fsynced: losing power may cost the last ones.

mod record;

use durward_protocol::{CredentialResponse, Header, Heads, Receipt, Timestamp, field_names};
pub(crate) use record::Record;
use record::{Body, Line};

use crate::session::Session;
use crate::{Agent, Error, PendingRequest};

/// A receipt of the record, its signature checked when it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredReceipt {
    /// Its number here.
    pub n: u64,
    /// When it came.
    pub received_at: Timestamp,
    /// The reason given with the request: the receipt holds its hash.
    pub reason: String,
    /// The receipt as it came.
    pub text: String,
    /// What it says.
    pub receipt: Receipt,
    /// What of the two records did not agree when it came, for a person.
    pub problem: Option<String>,
}

/// What checking the whole record found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReceiptCheck {
    /// Receipts in it.
    pub count: u64,
    /// The number of the newest; older ones than are there were put away.
    pub newest: u64,
    /// What is wrong, for a person; empty when all is well.
    pub problems: Vec<String>,
}

impl Agent {
    /// The receipts of this profile that are kept, oldest first. Lines that cannot be read are left out;
    /// [`Agent::check_receipts`] tells of them.
    pub fn receipts(&self) -> Result<Vec<StoredReceipt>, Error> {
        let read = self.receipts.text()?;
        Ok(read.lines().filter_map(stored).collect())
    }

    /// Checks every signature and the chain from the oldest receipt that is kept to the newest.
    pub fn check_receipts(&self) -> Result<ReceiptCheck, Error> {
        let text = self.receipts.text()?;
        let mut check = ReceiptCheck::default();
        let mut before: Option<(u64, String)> = None;
        for (at, text) in text.lines().enumerate() {
            let Some((line, body)) = Line::parse(text) else {
                check.problems.push(format!("line {} of the record cannot be read", at + 1));
                continue;
            };
            let follows = before.as_ref().is_none_or(|(n, hash)| line.n == n + 1 && line.previous == *hash);
            if !follows || !line.holds() {
                check.problems.push(format!("receipt {} was changed, or one before it was removed", line.n));
            }
            if let Err(error) = Receipt::verify_from(&body.receipt, &body.approver_id) {
                check.problems.push(format!("receipt {}: {error}", line.n));
            }
            check.problems.extend(body.problem.map(|problem| format!("receipt {}: {problem}", line.n)));
            check.count += 1;
            check.newest = line.n;
            before = Some((line.n, line.hash));
        }
        Ok(check)
    }

    /// What goes with a request: the newest of this record, and the newest seen of this approver's log.
    pub(crate) fn heads(&self, session: &Session) -> Option<Heads> {
        let heads = self.receipts.heads(&session.info.approver_id);
        heads.inspect_err(|error| tracing::warn!(%error, "the record of receipts cannot be read")).ok()
    }

    /// Writes a receipt down. That it cannot be written is no reason to lose the answer.
    pub(crate) fn keep_receipt(
        &self,
        session: &Session,
        request: &PendingRequest,
        header: Header,
        response: &CredentialResponse,
    ) {
        let Some(receipt) = &response.receipt else { return };
        let body = Body {
            at: Timestamp::new(self.clock.now()),
            request_id: request.id,
            verdict: response.status,
            reason: request.reason.clone(),
            approver_id: session.info.approver_id.clone(),
            receipt: receipt.clone(),
            seen: None,
            sealed_at: header.timestamp,
            problem: None,
        };
        if let Err(error) = self.receipts.append(body, response.heads.as_ref()) {
            tracing::warn!(%error, "the receipt could not be written down");
        }
    }
}

/// A receipt must be the approver's, and say what the answer says about what was asked.
pub(crate) fn check(
    session: &Session,
    request: &PendingRequest,
    response: &CredentialResponse,
) -> Result<(), Error> {
    let Some(text) = &response.receipt else { return Ok(()) };
    let bad = || Error::BadAnswer { reason: "its receipt does not verify" };
    let receipt = Receipt::verify_from(text, &session.info.approver_id).map_err(|_| bad())?;
    let said = &receipt.statement;
    let right = said.agent_id == session.info.agent_id
        && said.fingerprint == session.keys.fingerprint()
        && said.request_id == request.id
        && said.domain == request.domain
        && receipt.is_for_reason(&request.reason)
        && said.fields_asked == field_names(&request.fields)
        && said.fields_released == field_names(&response.credential.fields())
        && said.verdict == response.status;
    if right { Ok(()) } else { Err(bad()) }
}

fn stored(text: &str) -> Option<StoredReceipt> {
    let (line, body) = Line::parse(text)?;
    let receipt = Receipt::verify_from(&body.receipt, &body.approver_id).ok()?;
    Some(StoredReceipt {
        n: line.n,
        received_at: body.at,
        reason: body.reason,
        text: body.receipt,
        receipt,
        problem: body.problem,
    })
}
