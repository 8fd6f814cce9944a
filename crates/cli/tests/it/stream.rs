//! The output of a process that runs, as it comes.

use std::io::Read;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// How long a test waits for something that should come soon. Only failing tests wait that long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Seen {
    bytes: Vec<u8>,
    ended: bool,
}

/// Everything a process has written to one of its outputs.
#[derive(Clone, Default)]
pub(crate) struct Stream(Arc<(Mutex<Seen>, Condvar)>);

impl Stream {
    /// Reads it to its end in a thread of its own, so that the process never blocks.
    pub(crate) fn of(mut output: impl Read + Send + 'static) -> Self {
        let stream = Self::default();
        let writer = stream.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n) = output.read(&mut buffer) {
                if n == 0 {
                    break;
                }
                writer.push(&buffer[..n]);
            }
            let (seen, changed) = &*writer.0;
            seen.lock().unwrap().ended = true;
            changed.notify_all();
        });
        stream
    }

    /// Adds bytes.
    pub(crate) fn push(&self, bytes: &[u8]) {
        let (seen, changed) = &*self.0;
        seen.lock().unwrap().bytes.extend_from_slice(bytes);
        changed.notify_all();
    }

    /// Everything up to now.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.0.lock().unwrap().bytes.clone()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    /// Waits until `found` finds something in the text.
    pub(crate) fn wait<T>(&self, what: &str, found: impl Fn(&str) -> Option<T>) -> T {
        let (lock, changed) = &*self.0;
        let deadline = Instant::now() + PATIENCE;
        let mut seen = lock.lock().unwrap();
        loop {
            let text = String::from_utf8_lossy(&seen.bytes).into_owned();
            if let Some(value) = found(&text) {
                return value;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!seen.ended && !left.is_zero(), "never saw {what}; it wrote:\n{text}");
            seen = changed.wait_timeout(seen, left).unwrap().0;
        }
    }

    /// Waits for a text.
    pub(crate) fn wait_for(&self, wanted: &str) {
        self.wait(wanted, |text| text.contains(wanted).then_some(()));
    }

    /// Waits until there are so many of a text.
    pub(crate) fn wait_for_count(&self, wanted: &str, count: usize) {
        self.wait(wanted, |text| (text.matches(wanted).count() >= count).then_some(()));
    }

    /// Waits for the end and returns everything.
    pub(crate) fn to_end(&self) -> String {
        let (lock, changed) = &*self.0;
        let seen = lock.lock().unwrap();
        let (seen, timeout) = changed.wait_timeout_while(seen, PATIENCE, |seen| !seen.ended).unwrap();
        let text = String::from_utf8_lossy(&seen.bytes).into_owned();
        assert!(!timeout.timed_out(), "the process did not end; it wrote:\n{text}");
        text
    }
}
