//! The one task that writes: drains the queue, commits what waits in one transaction, answers.
//!
//! While one transaction runs the next batches gather, so the busier the store, the larger the groups.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use durward_broker::approval::{ChainHead, Write};
use tokio::sync::{mpsc, oneshot};

use crate::accounts::{AccountJob, KeyMap, run_shared, run_single};
use crate::approval::{encode, log};
use crate::database::{Connection, Dialect, Link, Target};
use crate::direct::Direct;
use crate::plan::{Op, Plan, append, append_direct};
use crate::statement::Statements;
use crate::{Committed, Error};

/// Most batches in one transaction.
const MAX_BATCHES: usize = 512;

/// Most writes in one transaction, unless one batch alone has more.
const MAX_WRITES: usize = 8_192;

/// Longest wait for a database server, connecting or working, before the connection is given up.
const SERVER_TIMEOUT: Duration = Duration::from_secs(30);

/// One batch and who waits for it.
pub(crate) struct Job {
    pub(crate) writes: Vec<Write>,
    pub(crate) done: oneshot::Sender<Result<Committed, Error>>,
}

impl Job {
    fn finish(self, result: Result<Committed, Error>) {
        let _ = self.done.send(result); // nobody waiting is fine: the write counts, not the answer
    }
}

/// What the queue carries.
pub(crate) enum Message {
    /// Commit this.
    Write(Job),
    /// Read, decide, write: in a transaction of its own, or with others that decide.
    Account(AccountJob),
    /// Commit everything queued so far, then stop.
    Close(oneshot::Sender<()>),
}

pub(crate) struct Writer {
    target: Target,
    connection: Option<Connection>,
    /// For batches on SQLite.
    direct: Option<Direct>,
    statements: Statements,
    /// The end of the log, where only this process can have moved it. `None`: read it.
    head: Option<ChainHead>,
    /// What callers are told when their group had no audit entry.
    last_head: ChainHead,
    /// The heads of a group whose COMMIT was sent and not answered: it may have taken effect.
    unanswered: Option<Vec<ChainHead>>,
    waiting: Arc<AtomicUsize>,
    keys: Option<Arc<KeyMap>>,
}

impl Writer {
    pub(crate) fn new(
        target: Target,
        connection: Connection,
        head: ChainHead,
        waiting: Arc<AtomicUsize>,
        keys: Option<Arc<KeyMap>>,
    ) -> Self {
        let statements = Statements::new(target.dialect());
        let connection = Some(connection);
        Self {
            target,
            connection,
            direct: None,
            statements,
            head: None,
            last_head: head,
            unanswered: None,
            waiting,
            keys,
        }
    }

    /// Runs until the queue is closed and empty.
    pub(crate) async fn run(mut self, mut queue: mpsc::UnboundedReceiver<Message>) {
        let mut messages = Vec::with_capacity(MAX_BATCHES);
        let mut closing = Vec::new();
        while queue.recv_many(&mut messages, MAX_BATCHES).await > 0 {
            let mut group = Vec::with_capacity(messages.len());
            let mut accounts = Vec::new();
            let mut writes = 0;
            for message in messages.drain(..) {
                // Batches and decisions take turns, each in groups: the order of calls is the order of commits.
                match message {
                    Message::Write(job) => {
                        self.waiting.fetch_sub(1, Ordering::Relaxed);
                        self.decide(std::mem::take(&mut accounts)).await;
                        if writes + job.writes.len() > MAX_WRITES && !group.is_empty() {
                            self.commit(std::mem::take(&mut group)).await;
                            writes = 0;
                        }
                        writes += job.writes.len();
                        group.push(job);
                    }
                    Message::Account(job) => {
                        self.waiting.fetch_sub(1, Ordering::Relaxed);
                        self.commit(std::mem::take(&mut group)).await;
                        writes = 0;
                        accounts.push(job);
                    }
                    Message::Close(done) => {
                        queue.close();
                        closing.push(done);
                    }
                }
            }
            self.commit(group).await;
            self.decide(accounts).await;
        }
        self.direct = None; // closed before anybody hears that it is
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "the database connection did not close in order");
        }
        for done in closing {
            let _ = done.send(());
        }
    }

    /// Runs decisions: on SQLite in one transaction, on a shared database each in its own, so that no two
    /// accounts are locked together.
    async fn decide(&mut self, jobs: Vec<AccountJob>) {
        if jobs.is_empty() {
            return;
        }
        self.unanswered = None;
        if self.target.dialect() == Dialect::Postgres {
            for job in jobs {
                self.decide_alone(job).await;
            }
            return;
        }
        let mut connection = match self.connect().await {
            Ok(connection) => connection,
            Err(error) => return AccountJob::fail_all(jobs, &error),
        };
        let head = self.head;
        match run_shared(&mut connection.reference(), jobs, head, self.keys.as_deref()).await {
            Ok(Some(head)) => {
                self.head = Some(head);
                self.last_head = head;
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, "decisions about accounts were not committed");
                self.head = None;
            }
        }
        self.connection = Some(connection);
    }

    /// One decision on a shared database. Until it is made a lost connection or a lost race is tried once more.
    async fn decide_alone(&mut self, mut job: AccountJob) {
        for last in [false, true] {
            let error = match self.connect().await {
                Ok(mut connection) => {
                    let work = run_single(&mut connection, &mut job);
                    let done =
                        tokio::time::timeout(SERVER_TIMEOUT, work).await.unwrap_or_else(|_| Err(timed_out()));
                    if !matches!(&done, Err(Error::Unreachable(_) | Error::Stopped)) {
                        self.connection = Some(connection);
                    }
                    match done {
                        Ok(head) => {
                            self.last_head = head.unwrap_or(self.last_head);
                            return job.finish(Ok(()));
                        }
                        Err(error) => error,
                    }
                }
                Err(error) => error,
            };
            let again = matches!(error, Error::Unreachable(_) | Error::Busy) && !job.is_decided();
            if last || !again {
                return job.finish(Err(error));
            }
        }
    }

    /// Commits a group together; when one of its batches is to blame for a failure, each one by itself.
    async fn commit(&mut self, group: Vec<Job>) {
        if group.is_empty() {
            return;
        }
        let (mut jobs, mut batches) = (Vec::with_capacity(group.len()), Vec::with_capacity(group.len()));
        for job in group {
            match encode(&job.writes) {
                Ok(ops) => {
                    jobs.push(job);
                    batches.push(ops);
                }
                Err(error) => job.finish(Err(error)),
            }
        }
        match self.transact(&jobs, batches).await {
            Ok(heads) => {
                for (job, head) in jobs.into_iter().zip(heads) {
                    job.finish(Ok(Committed { head }));
                }
            }
            Err(error) if error.is_outage() || jobs.len() < 2 => {
                tracing::warn!(%error, batches = jobs.len(), "a transaction failed");
                for job in jobs {
                    job.finish(Err(error.clone()));
                }
            }
            Err(error) => {
                tracing::warn!(%error, batches = jobs.len(), "a transaction failed: its batches go one by one");
                self.commit_singly(jobs).await;
            }
        }
    }

    async fn commit_singly(&mut self, jobs: Vec<Job>) {
        let mut outage: Option<Error> = None;
        for job in jobs {
            let result = match &outage {
                Some(error) => Err(error.clone()),
                None => match encode(&job.writes) {
                    Ok(ops) => self.transact(std::slice::from_ref(&job), vec![ops]).await,
                    Err(error) => Err(error),
                },
            };
            if let Err(error) = &result {
                tracing::warn!(%error, "a batch was not committed");
                if error.is_outage() {
                    outage = Some(error.clone());
                }
            }
            let head = result.map(|heads| heads.last().copied().unwrap_or(self.last_head));
            job.finish(head.map(|head| Committed { head }));
        }
    }

    /// One transaction. A lost connection or a lost race with another server is tried once more: rows are
    /// written whole, and the chain tells whether an unanswered COMMIT took effect.
    async fn transact(&mut self, jobs: &[Job], batches: Vec<Vec<Op>>) -> Result<Vec<ChainHead>, Error> {
        self.unanswered = None;
        let error = match self.attempt(Plan::new(batches)).await {
            Ok(heads) => return Ok(heads),
            Err(error) => error,
        };
        self.head = None;
        let again = matches!(error, Error::Unreachable(_) | Error::Busy);
        if self.target.dialect() == Dialect::Sqlite || !again {
            return Err(error);
        }
        tracing::debug!(%error, "a transaction is tried once more");
        let batches = jobs.iter().map(|job| encode(&job.writes)).collect::<Result<_, _>>()?;
        self.attempt(Plan::new(batches)).await
    }

    async fn attempt(&mut self, plan: Plan) -> Result<Vec<ChainHead>, Error> {
        if plan.is_empty() {
            return Ok(plan.chain(self.last_head)?.1);
        }
        if self.direct.is_none() {
            self.direct = self.target.open_direct()?;
        }
        if self.direct.is_some() {
            return self.work_direct(plan);
        }
        let mut connection = self.connect().await?;
        let result = tokio::time::timeout(SERVER_TIMEOUT, self.work(&mut connection, plan))
            .await
            .unwrap_or_else(|_| Err(timed_out()));
        if !matches!(&result, Err(Error::Unreachable(_) | Error::Stopped)) {
            self.connection = Some(connection);
        }
        result
    }

    async fn connect(&mut self) -> Result<Connection, Error> {
        match self.connection.take() {
            Some(connection) => Ok(connection),
            None => tokio::time::timeout(SERVER_TIMEOUT, self.target.connect())
                .await
                .unwrap_or_else(|_| Err(timed_out())),
        }
    }

    /// The same on SQLite. Nobody else appends to its log, so the head is read once.
    fn work_direct(&mut self, mut plan: Plan) -> Result<Vec<ChainHead>, Error> {
        let Some(direct) = &self.direct else { return Err(Error::Stopped) };
        let heads = direct.transact(|direct| {
            plan.run_direct(direct, &mut self.statements)?;
            if !plan.has_audit() {
                return Ok(plan.chain(self.last_head)?.1);
            }
            let head = self.head.map_or_else(|| direct.head(), Ok)?;
            let (rows, heads) = plan.chain(head)?;
            if let Some(end) = heads.last() {
                append_direct(direct, &mut self.statements, &rows, end)?;
            }
            Ok(heads)
        })?;
        self.last_head = heads.last().copied().unwrap_or(self.last_head);
        if plan.has_audit() {
            self.head = Some(self.last_head);
        }
        Ok(heads)
    }

    /// One transaction on a database server.
    async fn work(&mut self, connection: &mut Connection, mut plan: Plan) -> Result<Vec<ChainHead>, Error> {
        let mut link = connection.reference();
        link.execute("BEGIN", vec![]).await?;
        let done = match self.fill(&mut link, &mut plan).await {
            Ok(heads) => {
                self.unanswered = plan.has_audit().then(|| heads.clone());
                link.execute("COMMIT", vec![]).await.map(|_| heads)
            }
            Err(error) => Err(error),
        };
        match done {
            Ok(heads) => {
                self.unanswered = None;
                self.last_head = heads.last().copied().unwrap_or(self.last_head);
                Ok(heads)
            }
            Err(error) => {
                roll_back(&mut link).await;
                Err(error)
            }
        }
    }

    /// Everything between BEGIN and COMMIT. The log comes last: on a shared database its lock is held shortly.
    async fn fill(&mut self, link: &mut Link<'_>, plan: &mut Plan) -> Result<Vec<ChainHead>, Error> {
        plan.run(link, &mut self.statements).await?;
        if !plan.has_audit() {
            return Ok(plan.chain(self.last_head)?.1);
        }
        let head = log::lock_head(link, self.target.dialect()).await?;
        // Under the lock an earlier attempt is over, one way or the other.
        if let Some(heads) = self.unanswered.take()
            && let Some(end) = heads.last()
            && log::contains(link, end).await?
        {
            return Ok(heads);
        }
        let (rows, heads) = plan.chain(head)?;
        if let Some(end) = heads.last() {
            append(link, &mut self.statements, rows, end).await?;
        }
        Ok(heads)
    }
}

/// Ends a failed transaction. SQLite may have ended it by itself, which makes this an error of no interest.
pub(crate) async fn roll_back(link: &mut Link<'_>) {
    if let Err(error) = link.execute("ROLLBACK", vec![]).await {
        tracing::debug!(%error, "nothing to roll back");
    }
}

fn timed_out() -> Error {
    Error::Unreachable("no answer within 30 seconds".into())
}
