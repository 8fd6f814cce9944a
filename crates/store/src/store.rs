//! The store: one entrance for all tables.

use std::fmt;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use durward_broker::approval::{AuditRecord, ChainError, ChainHead, Snapshot, Write};
use durward_broker::devices::DeviceSnapshot;
use time::OffsetDateTime;
use tokio::sync::{mpsc, oneshot};

use crate::Error;
use crate::accounts::KeyMap;
use crate::approval::{self, log};
use crate::database::{Connection, Dialect, Link, Readers, Target};
use crate::devices;
use crate::open::{self, Durability};
use crate::writer::{Job, Message, Writer};

/// Most batches that may wait for the writer.
pub const MAX_WAITING: usize = 32_768;

/// Records read at a time when verifying the log.
const VERIFY_PAGE: u32 = 1_000;

/// The broker's records in a database. Cheap to clone; all clones share one writer.
///
/// What was submitted is committed even when every clone is dropped, as long as the tokio runtime
/// lives; [`Store::close`] waits for it.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    readers: Readers,
    queue: mpsc::UnboundedSender<Message>,
    waiting: Arc<AtomicUsize>,
    /// The live keys, where no other process can change them.
    keys: Option<Arc<KeyMap>>,
}

impl Store {
    /// Opens a SQLite database, making the file (0600), and its folder (0700) where there is none, and
    /// runs the migrations.
    ///
    /// One process may own a database: that is the caller's lock to hold. Where another one has it
    /// locked all the same, this is [`Error::Busy`] after two seconds. Needs a tokio runtime with time.
    pub async fn open_sqlite(path: &Path, durability: Durability) -> Result<Self, Error> {
        Self::start(open::open_sqlite(path, durability).await?).await
    }

    /// Opens `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/DATABASE`. Several servers may share a
    /// PostgreSQL database: its audit log stays one chain.
    ///
    /// The URL, and with it the password, shows in no error and no `Debug`. What a PostgreSQL URL leaves
    /// out is taken from libpq's usual places (`PGHOST`, `~/.pgpass`, …).
    pub async fn open_url(url: &str, durability: Durability) -> Result<Self, Error> {
        Self::start(open::open_url(url, durability).await?).await
    }

    async fn start((target, mut connection, readers): (Target, Connection, Readers)) -> Result<Self, Error> {
        let head = log::head(&mut connection.reference()).await?;
        let waiting = Arc::new(AtomicUsize::new(0));
        let (queue, messages) = mpsc::unbounded_channel();
        let keys = match target.dialect() {
            Dialect::Sqlite => Some(Arc::new(KeyMap::load(&mut connection.reference()).await?)),
            Dialect::Postgres => None,
        };
        let on_a_thread = target.dialect() == Dialect::Sqlite;
        let writer = Writer::new(target, connection, head, Arc::clone(&waiting), keys.clone());
        if on_a_thread {
            start_thread(writer, messages)?;
        } else {
            tokio::spawn(writer.run(messages));
        }
        Ok(Self { shared: Arc::new(Shared { readers, queue, waiting, keys }) })
    }

    /// Queues something for the writer, or gives it back.
    pub(crate) fn send(&self, message: Message) -> Result<(), Box<(Message, Error)>> {
        if self.shared.waiting.fetch_add(1, Ordering::Relaxed) >= MAX_WAITING {
            self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(Box::new((message, Error::Overloaded)));
        }
        self.shared.queue.send(message).map_err(|unsent| {
            self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
            Box::new((unsent.0, Error::Stopped))
        })
    }

    pub(crate) fn readers(&self) -> &Readers {
        &self.shared.readers
    }

    pub(crate) fn keys(&self) -> Option<&KeyMap> {
        self.shared.keys.as_deref()
    }

    /// Everything a start needs, as of one moment: sessions and grants that have not ended (also those
    /// whose time is over: ending them is the broker's to do and to log), all requests, the nonces that
    /// are not past at `now`, the settings. Times are whole microseconds: finer parts are cut when written.
    pub async fn load(&self, now: OffsetDateTime) -> Result<Snapshot, Error> {
        match &self.shared.readers {
            Readers::Sqlite(pool) => {
                let mut transaction = pool.begin().await?;
                let snapshot = approval::load(&mut Link::Sqlite(&mut transaction), now).await?;
                transaction.commit().await?;
                Ok(snapshot)
            }
            Readers::Postgres(pool) => {
                let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
                let mut transaction = pool.begin_with(begin).await?;
                let snapshot = approval::load(&mut Link::Postgres(&mut transaction), now).await?;
                transaction.commit().await?;
                Ok(snapshot)
            }
        }
    }

    /// Everything about devices, as of one moment.
    pub async fn load_devices(&self) -> Result<DeviceSnapshot, Error> {
        match &self.shared.readers {
            Readers::Sqlite(pool) => {
                let mut transaction = pool.begin().await?;
                let snapshot = devices::load(&mut Link::Sqlite(&mut transaction)).await?;
                transaction.commit().await?;
                Ok(snapshot)
            }
            Readers::Postgres(pool) => {
                let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
                let mut transaction = pool.begin_with(begin).await?;
                let snapshot = devices::load(&mut Link::Postgres(&mut transaction)).await?;
                transaction.commit().await?;
                Ok(snapshot)
            }
        }
    }

    /// The end of the audit log.
    pub async fn head(&self) -> Result<ChainHead, Error> {
        match &self.shared.readers {
            Readers::Sqlite(pool) => log::head(&mut Link::Sqlite(&mut *pool.acquire().await?)).await,
            Readers::Postgres(pool) => log::head(&mut Link::Postgres(&mut *pool.acquire().await?)).await,
        }
    }

    /// Queues one batch and returns at once; may be called under a lock, from synchronous code.
    ///
    /// The order of calls is the order of commits. The writes of a batch are committed together or not
    /// at all, and one batch that cannot be stored does not fail another. Dropping the [`Commit`] does
    /// not undo the write. More than [`MAX_WAITING`] waiting batches are [`Error::Overloaded`].
    pub fn submit(&self, writes: Vec<Write>) -> Commit {
        let (done, receiver) = oneshot::channel();
        if let Err(unsent) = self.send(Message::Write(Job { writes, done }))
            && let (Message::Write(job), error) = *unsent
        {
            let _ = job.done.send(Err(error));
        }
        Commit { receiver }
    }

    /// At most `limit` audit records after number `after`, ascending.
    pub async fn audit(&self, after: u64, limit: u32) -> Result<Vec<AuditRecord>, Error> {
        match &self.shared.readers {
            Readers::Sqlite(pool) => {
                log::read(&mut Link::Sqlite(&mut *pool.acquire().await?), after, limit).await
            }
            Readers::Postgres(pool) => {
                log::read(&mut Link::Postgres(&mut *pool.acquire().await?), after, limit).await
            }
        }
    }

    /// The last `limit` audit records, ascending.
    pub async fn audit_tail(&self, limit: u32) -> Result<Vec<AuditRecord>, Error> {
        match &self.shared.readers {
            Readers::Sqlite(pool) => log::tail(&mut Link::Sqlite(&mut *pool.acquire().await?), limit).await,
            Readers::Postgres(pool) => {
                log::tail(&mut Link::Postgres(&mut *pool.acquire().await?), limit).await
            }
        }
    }

    /// Whether the audit log has this very record.
    pub async fn has_record(&self, head: &ChainHead) -> Result<bool, Error> {
        match &self.shared.readers {
            Readers::Sqlite(pool) => {
                log::contains(&mut Link::Sqlite(&mut *pool.acquire().await?), head).await
            }
            Readers::Postgres(pool) => {
                log::contains(&mut Link::Postgres(&mut *pool.acquire().await?), head).await
            }
        }
    }

    /// Checks the whole audit log, a page at a time. The outer error: it could not be read.
    ///
    /// Changed, inserted and missing records show, and a log that ends before the stored head. Whoever
    /// rewrites every record and the head as well does not: heads exchanged with agents are for that.
    pub async fn verify_audit(&self) -> Result<Result<ChainHead, ChainError>, Error> {
        let end = self.head().await?;
        let mut head = ChainHead::default();
        loop {
            let records = self.audit(head.n, VERIFY_PAGE).await?;
            if records.is_empty() {
                break;
            }
            head = match log::follow(head, &records, &end) {
                Ok(head) => head,
                Err(error) => return Ok(Err(error)),
            };
        }
        if head.n < end.n {
            return Ok(Err(ChainError::Cut { last: head.n, expected: end.n }));
        }
        Ok(Ok(head))
    }

    /// Commits what was submitted before, then closes the database, for all clones: what they submit
    /// afterwards is [`Error::Stopped`].
    pub async fn close(self) {
        let (done, closed) = oneshot::channel();
        if self.shared.queue.send(Message::Close(done)).is_ok() {
            let _ = closed.await; // an error: the writer is gone already
        }
        match &self.shared.readers {
            Readers::Sqlite(pool) => pool.close().await,
            Readers::Postgres(pool) => pool.close().await,
        }
    }
}

/// SQLite's calls block, so they get a thread of their own. It ends with the queue, or with the runtime that opened
/// the store.
fn start_thread(writer: Writer, messages: mpsc::UnboundedReceiver<Message>) -> Result<(), Error> {
    let runtime = tokio::runtime::Handle::current();
    let (alive, gone) = oneshot::channel::<()>();
    let (running, ended) = oneshot::channel::<()>();
    tokio::spawn(async move {
        let _ = ended.await;
        drop(alive); // the runtime drops this task, and with it `alive`, when it ends before the thread
    });
    let work = move || {
        runtime.block_on(async {
            tokio::select! {
                biased;
                _ = gone => {}
                () = writer.run(messages) => {}
            }
        });
        drop(running);
    };
    let started = std::thread::Builder::new().name("durward-store".into()).spawn(work);
    started.map(drop).map_err(|error| Error::Other(format!("no thread for the database: {}", error.kind())))
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.shared.readers {
            Readers::Sqlite(_) => "sqlite",
            Readers::Postgres(_) => "postgres",
        };
        f.debug_struct("Store").field("kind", &kind).finish_non_exhaustive()
    }
}

/// A batch on its way to the disk: resolves when it is there, or when it is known not to get there.
#[derive(Debug)]
#[must_use = "a batch may fail: await the commit, or drop it on purpose"]
pub struct Commit {
    receiver: oneshot::Receiver<Result<Committed, Error>>,
}

impl Future for Commit {
    type Output = Result<Committed, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.receiver).poll(context).map(|result| result.unwrap_or(Err(Error::Stopped)))
    }
}

/// A batch that is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The end of the audit log after this batch, as far as this server knows.
    pub head: ChainHead,
}
