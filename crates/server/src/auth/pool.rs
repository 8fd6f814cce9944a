//! Argon2id on as many threads as cores, each with memory of its own that it keeps while there is work.
//!
//! Fair: addresses take turns, so that one that guesses on two hundred connections holds nobody else up by more than
//! its turn. Bounded: past the limits a job is refused at once, and nothing was spent on it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use durward_broker::accounts::{Arena, ClientAddress};
use tokio::sync::oneshot;

use super::failure::Failure;

/// Jobs that wait.
const MAX_WAITING: usize = 1_024;
/// Jobs of one address that wait.
const MAX_WAITING_PER_ADDRESS: usize = 256;
/// An idle thread gives its memory back after so long.
const KEEP_MEMORY: Duration = Duration::from_secs(10);

type Job = Box<dyn FnOnce(&mut Arena) + Send>;

/// The threads and their queue.
pub(super) struct Pool {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    work: Condvar,
}

#[derive(Default)]
struct Queue {
    /// Addresses with jobs, the next to be served first.
    turns: VecDeque<ClientAddress>,
    jobs: HashMap<ClientAddress, VecDeque<Job>>,
    waiting: usize,
    closed: bool,
}

impl Pool {
    /// Starts `threads` threads.
    pub(super) fn new(threads: usize) -> Self {
        let shared = Arc::new(Shared::default());
        for n in 0..threads {
            let shared = Arc::clone(&shared);
            let thread = std::thread::Builder::new().name(format!("argon2-{n}"));
            if let Err(error) = thread.spawn(move || shared.run()) {
                tracing::error!(%error, "a thread for passphrases could not be started");
            }
        }
        Self { shared }
    }

    /// Runs `work` in its turn. Work whose caller went away meanwhile is not done.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        address: ClientAddress,
        work: impl FnOnce(&mut Arena) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let (done, result) = oneshot::channel();
        let job = Box::new(move |arena: &mut Arena| {
            if !done.is_closed() {
                let _ = done.send(work(arena));
            }
        });
        if !self.shared.queue().push(address, job) {
            return Err(Failure::Busy);
        }
        self.shared.work.notify_one();
        result.await.map_err(|_| Failure::Internal("a hash did not end".into()))
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.queue().closed = true;
        self.shared.work.notify_all();
    }
}

impl Queue {
    fn push(&mut self, address: ClientAddress, job: Job) -> bool {
        let own = self.jobs.entry(address).or_default();
        if self.waiting >= MAX_WAITING || own.len() >= MAX_WAITING_PER_ADDRESS {
            if own.is_empty() {
                self.jobs.remove(&address);
            }
            return false;
        }
        if own.is_empty() {
            self.turns.push_back(address);
        }
        own.push_back(job);
        self.waiting += 1;
        true
    }

    fn pop(&mut self) -> Option<Job> {
        let address = self.turns.pop_front()?;
        let own = self.jobs.get_mut(&address)?;
        let job = own.pop_front()?;
        if own.is_empty() {
            self.jobs.remove(&address);
        } else {
            self.turns.push_back(address);
        }
        self.waiting -= 1;
        Some(job)
    }
}

impl Shared {
    fn run(&self) {
        let mut arena = Arena::new();
        let mut queue = self.queue();
        while !queue.closed {
            if let Some(job) = queue.pop() {
                drop(queue);
                // A panic in one job must not take the thread, and with it everybody's logins, away.
                let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job(&mut arena)));
                if ran.is_err() {
                    arena = Arena::new();
                }
                queue = self.queue();
                continue;
            }
            let (held, timeout) =
                self.work.wait_timeout(queue, KEEP_MEMORY).unwrap_or_else(PoisonError::into_inner);
            queue = held;
            if timeout.timed_out() && arena.bytes() > 0 {
                arena = Arena::new();
            }
            if timeout.timed_out() && queue.turns.is_empty() && !queue.closed {
                // Nothing to free any more: sleep until there is work.
                queue = self.work.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u8) -> ClientAddress {
        ClientAddress::new(std::net::IpAddr::from([192, 0, 2, n]))
    }

    #[test]
    fn addresses_take_turns_and_are_bounded() {
        let mut queue = Queue::default();
        let served = Arc::new(Mutex::new(Vec::new()));
        let job = |n: u8| {
            let served = Arc::clone(&served);
            Box::new(move |_: &mut Arena| served.lock().unwrap().push(n)) as Job
        };
        for _ in 0..MAX_WAITING_PER_ADDRESS {
            assert!(queue.push(address(1), job(1)));
        }
        assert!(!queue.push(address(1), job(1)), "one address cannot fill the queue");
        assert!(queue.push(address(2), job(2)));
        let mut arena = Arena::new();
        for _ in 0..3 {
            queue.pop().unwrap()(&mut arena);
        }
        assert_eq!(*served.lock().unwrap(), [1, 2, 1], "the second address waits for one job, not for all");
        while queue.pop().is_some() {}
        assert!(queue.jobs.is_empty() && queue.turns.is_empty() && queue.waiting == 0);
    }

    #[tokio::test]
    async fn as_many_at_once_as_threads() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let pool = Arc::new(Pool::new(2));
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let tasks: Vec<_> = (0..50)
            .map(|n| {
                let (pool, now, most) = (Arc::clone(&pool), Arc::clone(&now), Arc::clone(&most));
                tokio::spawn(async move {
                    let work = move |_: &mut Arena| {
                        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::yield_now();
                        now.fetch_sub(1, Ordering::SeqCst);
                        n
                    };
                    pool.run(address(n % 5), work).await.unwrap()
                })
            })
            .collect();
        for (n, task) in tasks.into_iter().enumerate() {
            assert_eq!(usize::from(task.await.unwrap()), n);
        }
        assert!(most.load(Ordering::SeqCst) <= 2);
        let panicking = pool.run(address(1), |_| std::panic::panic_any("one job"));
        assert!(panicking.await.is_err());
        assert_eq!(pool.run(address(1), |_| 7).await.unwrap(), 7, "the threads live on");
    }
}
