//! Decisions on their way through the writer.

use durward_broker::accounts::{AccountAudit, AccountWrite, Alert, Decision};
use durward_broker::approval::ChainHead;
use time::OffsetDateTime;
use tokio::sync::oneshot;

use super::apply::{Applier, Touched};
use super::ask::{Ask, Facts, gather};
use super::keys::KeyMap;
use super::sweep;
use super::touch::{self, Touch};
use crate::Error;
use crate::approval::log;
use crate::database::{Connection, Dialect, Link, Value};
use crate::store::Store;
use crate::writer::{Message, roll_back};

/// A decision that is committed.
#[derive(Debug)]
pub struct Done<T> {
    /// The answer.
    pub outcome: T,
    /// To act on now.
    pub alerts: Vec<Alert>,
}

impl Store {
    /// Locks and reads what `ask` names, decides, writes, appends the audit records under `at`, commits.
    ///
    /// The decision is made by the writer's task: it must be quick. [`Error::Conflict`]: a guarded write hit no row
    /// and nothing happened. After any other error the decision may have been committed, if only its COMMIT was
    /// not answered; its outcome is gone either way.
    pub async fn decide<T: Send + 'static>(
        &self,
        ask: Ask,
        at: OffsetDateTime,
        decide: impl FnOnce(Facts) -> Decision<T> + Send + 'static,
    ) -> Result<Done<T>, Error> {
        let (done, answer) = oneshot::channel();
        let step = Deciding { decide: Some(decide), outcome: None, done };
        self.send_job(AccountJob { at, work: Work::Decide { ask: Box::new(ask), step: Box::new(step) } });
        answer.await.unwrap_or(Err(Error::Stopped))
    }

    /// Notes uses of keys, where they are newer than what is stored. An imported key's use is audited here.
    pub async fn touch(&self, touches: Vec<Touch>, at: OffsetDateTime) -> Result<(), Error> {
        let (done, answer) = oneshot::channel();
        self.send_job(AccountJob { at, work: Work::Touch { touches, done: Some(done) } });
        answer.await.unwrap_or(Err(Error::Stopped))
    }

    /// Deletes challenges, logins and counters that say nothing any more.
    pub async fn sweep_accounts(&self, now: OffsetDateTime) -> Result<(), Error> {
        let (done, answer) = oneshot::channel();
        self.send_job(AccountJob { at: now, work: Work::Sweep { done: Some(done) } });
        answer.await.unwrap_or(Err(Error::Stopped))
    }

    /// Keeps a sealed secret if there is none of this name, and gives the one that is kept.
    pub async fn keep_auth_secret(&self, name: &str, value: Vec<u8>) -> Result<Vec<u8>, Error> {
        self.put_auth_secret(name, value, false).await
    }

    /// Replaces a secret whose seal cannot be opened any more. All OPAQUE enrolments end with it.
    pub async fn replace_auth_secret(&self, name: &str, value: Vec<u8>) -> Result<Vec<u8>, Error> {
        self.put_auth_secret(name, value, true).await
    }

    async fn put_auth_secret(&self, name: &str, value: Vec<u8>, replace: bool) -> Result<Vec<u8>, Error> {
        let (done, answer) = oneshot::channel();
        let work = Work::Secret { name: name.to_owned(), value, replace, done: Some(done) };
        self.send_job(AccountJob { at: OffsetDateTime::UNIX_EPOCH, work });
        answer.await.unwrap_or(Err(Error::Stopped))?;
        let kept = self.auth_secret(name).await?;
        kept.ok_or_else(|| Error::Damaged("a secret of the accounts is missing".into()))
    }

    fn send_job(&self, job: AccountJob) {
        if let Err(unsent) = self.send(Message::Account(job))
            && let (Message::Account(job), error) = *unsent
        {
            job.finish(Err(error));
        }
    }
}

/// One transaction about accounts, and who waits for it.
pub(crate) struct AccountJob {
    at: OffsetDateTime,
    work: Work,
}

enum Work {
    Decide { ask: Box<Ask>, step: Box<dyn Step> },
    Touch { touches: Vec<Touch>, done: Option<oneshot::Sender<Result<(), Error>>> },
    Sweep { done: Option<oneshot::Sender<Result<(), Error>>> },
    Secret { name: String, value: Vec<u8>, replace: bool, done: Option<oneshot::Sender<Result<(), Error>>> },
}

impl AccountJob {
    /// Answers who waits.
    pub(crate) fn finish(self, result: Result<(), Error>) {
        match self.work {
            Work::Decide { step, .. } => step.finish(result),
            Work::Touch { done, .. } | Work::Sweep { done } | Work::Secret { done, .. } => {
                if let Some(done) = done {
                    let _ = done.send(result);
                }
            }
        }
    }

    pub(crate) fn fail_all(jobs: Vec<Self>, error: &Error) {
        for job in jobs {
            job.finish(Err(error.clone()));
        }
    }

    /// Whether it can no longer be run anew.
    pub(crate) fn is_decided(&self) -> bool {
        matches!(&self.work, Work::Decide { step, .. } if step.is_decided())
    }

    /// Everything but the audit log.
    async fn run(
        &mut self,
        link: &mut Link<'_>,
        dialect: Dialect,
    ) -> Result<(Vec<AccountAudit>, Vec<Touched>), Error> {
        match &mut self.work {
            Work::Decide { ask, step } => {
                let facts = gather(link, dialect, ask).await?;
                let (writes, audit) = step.decide(facts)?;
                let mut applier = Applier {
                    link,
                    dialect,
                    at: self.at,
                    max_unknown: ask.max_unknown_subjects,
                    touched: Vec::new(),
                };
                for write in writes {
                    applier.apply(write).await?;
                }
                Ok((audit, applier.touched))
            }
            Work::Touch { touches, .. } => Ok((touch::run(link, touches).await?, Vec::new())),
            Work::Secret { name, value, replace, .. } => {
                put_secret(link, name, value, *replace).await.map(|()| (Vec::new(), Vec::new()))
            }
            Work::Sweep { .. } => sweep::sweep(link, self.at).await.map(|()| (Vec::new(), Vec::new())),
        }
    }
}

async fn put_secret(link: &mut Link<'_>, name: &str, value: &[u8], replace: bool) -> Result<(), Error> {
    let values = || vec![Value::from(name.to_owned()), Value::from(value)];
    if replace {
        let sql = "INSERT INTO auth_secrets (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
        link.execute(sql, values()).await?;
        link.execute("UPDATE users SET opaque_record = NULL", vec![]).await?;
    } else {
        let sql = "INSERT INTO auth_secrets (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        link.execute(sql, values()).await?;
    }
    Ok(())
}

/// A decision with its types erased.
trait Step: Send {
    fn decide(&mut self, facts: Facts) -> Result<(Vec<AccountWrite>, Vec<AccountAudit>), Error>;
    fn is_decided(&self) -> bool;
    fn finish(self: Box<Self>, result: Result<(), Error>);
}

struct Deciding<T, F> {
    decide: Option<F>,
    outcome: Option<Done<T>>,
    done: oneshot::Sender<Result<Done<T>, Error>>,
}

impl<T: Send, F: FnOnce(Facts) -> Decision<T> + Send> Step for Deciding<T, F> {
    fn decide(&mut self, facts: Facts) -> Result<(Vec<AccountWrite>, Vec<AccountAudit>), Error> {
        let decide = self.decide.take().ok_or(Error::Stopped)?;
        let Decision { outcome, writes, audit, alerts } = decide(facts);
        self.outcome = Some(Done { outcome, alerts });
        Ok((writes, audit))
    }

    fn is_decided(&self) -> bool {
        self.decide.is_none()
    }

    fn finish(self: Box<Self>, result: Result<(), Error>) {
        let Self { outcome, done, .. } = *self;
        let _ = done.send(result.and_then(|()| outcome.ok_or(Error::Stopped))); // nobody waiting is fine
    }
}

/// Several decisions in one transaction, each in a savepoint, and their audit records behind them: for SQLite,
/// whose one lock is held anyway. Answers everyone. The new end of the log, if it moved.
pub(crate) async fn run_shared(
    link: &mut Link<'_>,
    jobs: Vec<AccountJob>,
    head: Option<ChainHead>,
    keys: Option<&KeyMap>,
) -> Result<Option<ChainHead>, Error> {
    if let Err(error) = link.execute("BEGIN IMMEDIATE", vec![]).await {
        AccountJob::fail_all(jobs, &error);
        return Err(error);
    }
    let (mut good, mut audit, mut touched) = (Vec::new(), Vec::new(), Vec::new());
    let mut jobs = jobs.into_iter();
    while let Some(mut job) = jobs.next() {
        match in_savepoint(link, &mut job).await {
            Ok(Ok((entries, keys))) => {
                audit.extend(entries.into_iter().map(|entry| (entry, job.at)));
                touched.extend(keys);
                good.push(job);
            }
            Ok(Err(error)) => job.finish(Err(error)),
            Err(error) => {
                roll_back(link).await;
                good.push(job);
                good.extend(jobs);
                AccountJob::fail_all(good, &error);
                return Err(error);
            }
        }
    }
    let committed = commit(link, Dialect::Sqlite, head, &audit, &touched, keys).await;
    match committed {
        Ok((head, fresh)) => {
            if let Some(keys) = keys {
                keys.replace(fresh);
            }
            for job in good {
                job.finish(Ok(()));
            }
            Ok(head)
        }
        Err(error) => {
            // Whether an unanswered COMMIT took effect is unknown: look keys up in the database until they are read anew.
            if let Some(keys) = keys {
                keys.forget();
            }
            roll_back(link).await;
            AccountJob::fail_all(good, &error);
            Err(error)
        }
    }
}

type Ran = (Vec<AccountAudit>, Vec<Touched>);

/// The outer error: the transaction is broken.
async fn in_savepoint(link: &mut Link<'_>, job: &mut AccountJob) -> Result<Result<Ran, Error>, Error> {
    link.execute("SAVEPOINT decision", vec![]).await?;
    let ran = job.run(link, Dialect::Sqlite).await;
    if let Err(error) = &ran {
        // One row that cannot be read is no reason to fail its neighbours.
        if error.is_outage() && !matches!(error, Error::Damaged(_)) {
            return Err(error.clone());
        }
        link.execute("ROLLBACK TO decision", vec![]).await?;
    }
    link.execute("RELEASE decision", vec![]).await?;
    Ok(ran)
}

/// One decision in a transaction of its own. The new end of the log, if it moved.
pub(crate) async fn run_single(
    connection: &mut Connection,
    job: &mut AccountJob,
) -> Result<Option<ChainHead>, Error> {
    let mut link = connection.reference();
    link.execute("BEGIN ISOLATION LEVEL READ COMMITTED", vec![]).await?;
    let done = match job.run(&mut link, Dialect::Postgres).await {
        Ok((audit, touched)) => {
            let audit: Vec<_> = audit.into_iter().map(|entry| (entry, job.at)).collect();
            commit(&mut link, Dialect::Postgres, None, &audit, &touched, None).await
        }
        Err(error) => Err(error),
    };
    if done.is_err() {
        roll_back(&mut link).await;
    }
    done.map(|(head, _)| head)
}

type Fresh = Vec<(Touched, Vec<durward_broker::accounts::DeviceKeyRecord>)>;

async fn commit(
    link: &mut Link<'_>,
    dialect: Dialect,
    head: Option<ChainHead>,
    audit: &[(AccountAudit, OffsetDateTime)],
    touched: &[Touched],
    keys: Option<&KeyMap>,
) -> Result<(Option<ChainHead>, Fresh), Error> {
    let fresh = match keys {
        Some(keys) => keys.read(link, touched).await?,
        None => Vec::new(),
    };
    let mut moved = None;
    if !audit.is_empty() {
        let mut end = match head {
            Some(head) => head,
            None => log::lock_head(link, dialect).await?,
        };
        for (entry, at) in audit {
            let (row, next) = log::link_entry(&end, &entry.to_entry(*at))?;
            link.execute("INSERT INTO audit (n, body, hash) VALUES ($1, $2, $3)", row).await?;
            end = next;
        }
        log::set_head(link, &end).await?;
        moved = Some(end);
    }
    link.execute("COMMIT", vec![]).await?;
    Ok((moved, fresh))
}
