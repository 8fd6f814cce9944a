//! The record's file, and what is remembered of its end: a receipt costs the same whatever lies before it.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use durward_protocol::{
    ApproverId, Head, Heads, RequestId, Timestamp, Verdict, base64url_array, base64url_encode, chain_hash,
};
use serde::{Deserialize, Serialize};
use time::Duration;

use crate::{Error, files};

/// A file longer than this is put aside: about a thousand receipts. Two are kept.
const FULL_BYTES: u64 = 768 * 1_024;

/// So many of the newest are compared with what an answer says, and looked through for the same answer.
const RECENT: usize = 128;

/// As many of them as are read again when another process has written.
const READ_AGAIN: usize = 32;

/// Answers overtake each other: only one sealed so much later than another tells of a shorter log.
const OVERTAKING: Duration = Duration::seconds(5);

/// One line. `hash` chains it to the line before, as in the approver's log.
#[derive(Serialize, Deserialize)]
pub(super) struct Line {
    pub(super) n: u64,
    pub(super) previous: String,
    body: String,
    pub(super) hash: String,
}

/// What is hashed.
#[derive(Serialize, Deserialize)]
pub(super) struct Body {
    pub(super) at: Timestamp,
    pub(super) request_id: RequestId,
    pub(super) verdict: Verdict,
    pub(super) reason: String,
    pub(super) approver_id: ApproverId,
    pub(super) receipt: String,
    /// The approver's newest record that was seen, and when the answer that named it was sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) seen: Option<Head>,
    pub(super) sealed_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) problem: Option<String>,
}

impl Line {
    pub(super) fn parse(text: &str) -> Option<(Self, Body)> {
        let line: Self = serde_json::from_str(text).ok()?;
        let body = serde_json::from_str(&line.body).ok()?;
        Some((line, body))
    }

    pub(super) fn holds(&self) -> bool {
        let previous = base64url_array::<32>(&self.previous).ok();
        let made = previous.map(|previous| base64url_encode(&chain_hash(self.n, &previous, &self.body)));
        made.is_some_and(|hash| hash == self.hash)
    }
}

/// What is needed of a line once it is written.
struct Recent {
    n: u64,
    hash: String,
    request_id: RequestId,
    verdict: Verdict,
}

/// What the newest line says of the approver's log.
#[derive(Clone)]
struct Newest {
    approver_id: ApproverId,
    seen: Option<Head>,
    sealed_at: Timestamp,
}

impl Newest {
    fn of(body: &Body) -> Self {
        let approver_id = body.approver_id.clone();
        Self { approver_id, seen: body.seen.clone(), sealed_at: body.sealed_at }
    }
}

/// The end of the record when its file looked like `mark`; without one it is read again.
#[derive(Default)]
struct Tail {
    mark: Option<files::Mark>,
    newest: Option<Newest>,
    recent: VecDeque<Recent>,
}

impl Tail {
    fn push(&mut self, line: &Line, body: &Body) {
        self.newest = Some(Newest::of(body));
        let (request_id, verdict) = (body.request_id, body.verdict);
        self.recent.push_back(Recent { n: line.n, hash: line.hash.clone(), request_id, verdict });
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
    }

    /// Takes the last whole lines; half a line is what a crash left.
    fn take(&mut self, text: &str) {
        let lines: Vec<_> = text.lines().rev().filter_map(Line::parse).take(READ_AGAIN).collect();
        self.recent.clear();
        self.newest = None;
        for (line, body) in lines.into_iter().rev() {
            self.push(&line, &body);
        }
    }

    fn head(&self) -> Head {
        let last = self.recent.back().map(|last| Head { n: last.n, hash: last.hash.clone() });
        last.unwrap_or_else(|| Head::new(0, &[0; 32]))
    }
}

/// `receipts.jsonl` and the file it replaces when it is full, in a folder of the profile.
pub(crate) struct Record {
    folder: PathBuf,
    tail: Mutex<Tail>,
}

impl Record {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder, tail: Mutex::default() }
    }

    /// All that is kept, oldest first.
    pub(super) fn text(&self) -> Result<String, Error> {
        let read = |path: &Path| -> Result<String, Error> {
            Ok(String::from_utf8_lossy(&files::read(path)?.unwrap_or_default()).into_owned())
        };
        Ok(read(&self.older())? + &read(&self.file())?)
    }

    /// The newest here, and the newest seen of this approver's log.
    pub(super) fn heads(&self, approver: &ApproverId) -> Result<Heads, Error> {
        let tail = self.current()?;
        let yours = tail.newest.as_ref().filter(|newest| newest.approver_id == *approver);
        Ok(Heads { mine: tail.head(), yours: yours.and_then(|newest| newest.seen.clone()) })
    }

    /// Adds a receipt, and in its body what the heads of its answer tell. The same answer is written once.
    pub(super) fn append(&self, mut body: Body, heads: Option<&Heads>) -> Result<(), Error> {
        let file = self.file();
        let _lock = files::lock(&self.folder.join("lock"))?;
        let mut tail = self.current()?;
        let same = |old: &Recent| (old.request_id, old.verdict) == (body.request_id, body.verdict);
        if tail.recent.iter().any(same) {
            return Ok(());
        }
        if tail.mark.is_some_and(|mark| mark.length() > FULL_BYTES) {
            files::rename(&file, &self.older())?;
        }
        look(&mut body, heads, &tail);
        let damaged = || Error::DamagedState { path: file.clone() };
        let last = tail.head();
        let bytes = last.hash_bytes().ok_or_else(damaged)?;
        let json = serde_json::to_string(&body).map_err(|_| damaged())?;
        let hash = base64url_encode(&chain_hash(last.n + 1, &bytes, &json));
        let line = Line { n: last.n + 1, previous: last.hash, body: json, hash };
        let mut json = serde_json::to_vec(&line).map_err(|_| damaged())?;
        json.push(b'\n');
        tail.mark = None; // unless all of it is written
        tail.mark = Some(files::append(&file, &json)?);
        tail.push(&line, &body);
        Ok(())
    }

    /// The end as it is on disk: as it was left here, unless another process has written.
    fn current(&self) -> Result<MutexGuard<'_, Tail>, Error> {
        let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        let file = self.file();
        if tail.mark.is_none() || tail.mark != Some(files::mark(&file)?) {
            let (text, mark) = files::read_end(&file)?;
            tail.take(&text);
            if tail.recent.is_empty() {
                let (text, _) = files::read_end(&self.older())?;
                tail.take(&text);
            }
            tail.mark = Some(mark);
        }
        Ok(tail)
    }

    fn file(&self) -> PathBuf {
        self.folder.join("receipts.jsonl")
    }

    fn older(&self) -> PathBuf {
        self.folder.join("receipts.1.jsonl")
    }
}

/// Compares the heads of an answer with what is known here.
fn look(body: &mut Body, heads: Option<&Heads>, tail: &Tail) {
    let before = tail.newest.as_ref().filter(|before| before.approver_id == body.approver_id);
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
    let known = tail.recent.iter().find(|line| line.n == yours.n);
    if yours.n > tail.head().n {
        body.problem = Some(format!(
            "this record ends before number {}, which the approver has seen: deleted, restored from backup, or lost with power",
            yours.n
        ));
    } else if known.is_some_and(|line| line.hash != yours.hash) {
        body.problem =
            Some(format!("number {} of this record is not the one the approver has seen", yours.n));
    }
}
