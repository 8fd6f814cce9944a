//! Receipts as they were received: a small hash-chained record in the profile, oldest first, so that an agent
//! can show later what the owner decided, and notice when the approver's log lost something.
//!
//! `receipts/receipts.jsonl` is only ever appended to, a line a receipt; when it is full it takes the place of
//! `receipts.1.jsonl`, and the oldest are gone. Lines are not fsynced: losing power may cost the last ones.

use std::path::PathBuf;

use durward_protocol::{
    ApproverId, CredentialResponse, Head, Header, Heads, Receipt, RequestId, Timestamp, Verdict,
    base64url_array, base64url_encode, chain_hash, field_names,
};
use serde::{Deserialize, Serialize};
use time::Duration;

use crate::profile::Profile;
use crate::session::Session;
use crate::{Agent, Error, PendingRequest, files};

/// A file longer than this is put aside: about a thousand receipts. Two are kept.
const FULL_BYTES: usize = 768 * 1_024;

/// Answers overtake each other: only one sealed so much later than another tells of a shorter log.
const OVERTAKING: Duration = Duration::seconds(5);

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

/// One line. `hash` chains it to the line before, as in the approver's log.
#[derive(Serialize, Deserialize)]
struct Line {
    n: u64,
    previous: String,
    body: String,
    hash: String,
}

/// What is hashed.
#[derive(Serialize, Deserialize)]
struct Body {
    at: Timestamp,
    request_id: RequestId,
    verdict: Verdict,
    reason: String,
    approver_id: ApproverId,
    receipt: String,
    /// The approver's newest record that was seen, and when the answer that named it was sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seen: Option<Head>,
    sealed_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

impl Line {
    fn parse(text: &str) -> Option<(Self, Body)> {
        let line: Self = serde_json::from_str(text).ok()?;
        let body = serde_json::from_str(&line.body).ok()?;
        Some((line, body))
    }

    fn holds(&self) -> bool {
        let previous = base64url_array::<32>(&self.previous).ok();
        let made = previous.map(|previous| base64url_encode(&chain_hash(self.n, &previous, &self.body)));
        made.is_some_and(|hash| hash == self.hash)
    }
}

impl Agent {
    /// The receipts of this profile that are kept, oldest first. Lines that cannot be read are left out;
    /// [`Agent::check_receipts`] tells of them.
    pub fn receipts(&self) -> Result<Vec<StoredReceipt>, Error> {
        let read = read_all(&self.profile)?;
        Ok(read.lines().filter_map(stored).collect())
    }

    /// Checks every signature and the chain from the oldest receipt that is kept to the newest.
    pub fn check_receipts(&self) -> Result<ReceiptCheck, Error> {
        let text = read_all(&self.profile)?;
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
        match newest(&self.profile) {
            Ok(Some((line, body))) => {
                let yours = body.seen.filter(|_| body.approver_id == session.info.approver_id);
                Some(Heads { mine: Head { n: line.n, hash: line.hash }, yours })
            }
            Ok(None) => Some(Heads { mine: Head::new(0, &[0; 32]), yours: None }),
            Err(error) => {
                tracing::warn!(%error, "the record of receipts cannot be read");
                None
            }
        }
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
        if let Err(error) = append(&self.profile, body, response.heads.as_ref()) {
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

fn append(profile: &Profile, mut body: Body, heads: Option<&Heads>) -> Result<(), Error> {
    let (file, older) = paths(profile);
    let _lock = files::lock(&profile.receipts_folder().join("lock"))?;
    let mut text = read_text(&file)?;
    let id = body.request_id.to_string();
    let known = |line: &str| {
        let same = |(_, old): (Line, Body)| (old.request_id, old.verdict) == (body.request_id, body.verdict);
        line.contains(&id) && Line::parse(line).is_some_and(same)
    };
    if text.lines().any(known) {
        return Ok(());
    }
    if text.len() > FULL_BYTES {
        files::rename(&file, &older)?;
        text.clear();
    }
    let last = match last_line(&text) {
        Some(last) => Some(last),
        None => last_line(&read_text(&older)?),
    };
    let (n, previous) =
        last.as_ref().map_or((0, base64url_encode(&[0; 32])), |(line, _)| (line.n, line.hash.clone()));
    let before = last.filter(|(_, before)| before.approver_id == body.approver_id).map(|(_, before)| before);
    look(&mut body, heads, before.as_ref(), n, |wanted| {
        let lines = text.lines().filter_map(Line::parse);
        lines.map(|(line, _)| line).find(|line| line.n == wanted).map(|line| line.hash)
    });
    let body = serde_json::to_string(&body).map_err(|_| Error::DamagedState { path: file.clone() })?;
    let bytes = base64url_array::<32>(&previous).map_err(|_| Error::DamagedState { path: file.clone() })?;
    let hash = base64url_encode(&chain_hash(n + 1, &bytes, &body));
    let line = Line { n: n + 1, previous, body, hash };
    let mut json = serde_json::to_vec(&line).map_err(|_| Error::DamagedState { path: file.clone() })?;
    json.push(b'\n');
    files::append(&file, &json)
}

/// Compares the heads of an answer with what is known here.
fn look(
    body: &mut Body,
    heads: Option<&Heads>,
    before: Option<&Body>,
    own: u64,
    own_hash: impl Fn(u64) -> Option<String>,
) {
    body.seen = before.and_then(|before| before.seen.clone());
    let seen_at = before.map(|before| before.sealed_at);
    let Some(heads) = heads.filter(|heads| heads.mine.hash_bytes().is_some()) else {
        body.sealed_at = seen_at.unwrap_or(body.sealed_at);
        return;
    };
    let later = seen_at.is_none_or(|at| body.sealed_at.get() > at.get() + OVERTAKING);
    match &body.seen {
        Some(seen) if heads.mine.n < seen.n && later => {
            body.problem = Some(format!(
                "the approver's log ends before record {}, which was seen here: deleted, restored from backup, or lost with power",
                seen.n
            ));
            body.seen = Some(heads.mine.clone());
        }
        Some(seen) if heads.mine.n < seen.n => body.sealed_at = seen_at.unwrap_or(body.sealed_at),
        Some(seen) if heads.mine.n == seen.n && heads.mine.hash != seen.hash => {
            body.problem = Some(format!("record {} of the approver's log is not the one seen here", seen.n));
            body.seen = Some(heads.mine.clone());
        }
        _ => body.seen = Some(heads.mine.clone()),
    }
    let Some(yours) = &heads.yours else { return };
    if yours.n > own {
        body.problem = Some(format!(
            "this record ends before number {}, which the approver has seen: deleted, restored from backup, or lost with power",
            yours.n
        ));
    } else if own_hash(yours.n).is_some_and(|hash| hash != yours.hash) {
        body.problem =
            Some(format!("number {} of this record is not the one the approver has seen", yours.n));
    }
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

fn newest(profile: &Profile) -> Result<Option<(Line, Body)>, Error> {
    let (file, older) = paths(profile);
    match last_line(&files::read_end(&file)?) {
        Some(last) => Ok(Some(last)),
        None => Ok(last_line(&files::read_end(&older)?)),
    }
}

/// The last whole line; half a line is what a crash left.
fn last_line(text: &str) -> Option<(Line, Body)> {
    text.lines().rev().find_map(Line::parse)
}

fn read_all(profile: &Profile) -> Result<String, Error> {
    let (file, older) = paths(profile);
    Ok(read_text(&older)? + &read_text(&file)?)
}

fn read_text(path: &std::path::Path) -> Result<String, Error> {
    let bytes = files::read(path)?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn paths(profile: &Profile) -> (PathBuf, PathBuf) {
    let folder = profile.receipts_folder();
    (folder.join("receipts.jsonl"), folder.join("receipts.1.jsonl"))
}
