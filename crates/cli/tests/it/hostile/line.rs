//! A connection that is kept from call to call: a new one each time would measure the kernel.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::wire::{Answer, read};

/// How long an answer may take before the test calls it a hang.
const PATIENCE: Duration = Duration::from_mins(1);

/// A kept connection to one address.
pub(super) struct Line {
    pub(super) address: SocketAddr,
    stream: TcpStream,
}

impl Line {
    pub(super) fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { address, stream }
    }

    /// One call and its answer. A kept connection may have been closed meanwhile: then once more on a new one.
    pub(super) fn call(&mut self, method: &str, path: &str, headers: &[String], body: &[u8]) -> Answer {
        let mut bytes = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.address).into_bytes();
        for header in headers {
            bytes.extend_from_slice(header.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
        bytes.extend_from_slice(body);
        for _ in 0..2 {
            // Who does not take the body answers before it is sent, and closes: the answer is there all the same.
            let _ = self.stream.write_all(&bytes);
            if let Some(answer) = read(&mut self.stream) {
                let head = answer.head.to_lowercase();
                // Without a length the answer is a stream of events: whoever reads it never comes to its end.
                if head.contains("connection: close") || !head.contains("content-length:") {
                    *self = Self::to(self.address);
                }
                return answer;
            }
            *self = Self::to(self.address);
        }
        let start = String::from_utf8_lossy(body.get(..200).unwrap_or(body));
        panic!("{method} {path} {headers:?}: no answer to {} bytes, {start:?}", body.len());
    }
}
