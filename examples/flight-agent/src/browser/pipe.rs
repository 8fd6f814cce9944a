//! The Chrome DevTools Protocol over two pipes (`--remote-debugging-pipe`): JSON, each message ended by a zero byte.
//! A port would let every process of the machine drive the signed-in browser; a pipe belongs to this process.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe::{Receiver, Sender};
use zeroize::Zeroizing;

use super::BrowserError;

/// How long one command may take on a slow machine.
const PATIENCE: Duration = Duration::from_mins(1);
/// The longest message that is read: a whole page as text.
const MAX_MESSAGE_BYTES: usize = 16 << 20;

/// Both pipes, and the page they talk to.
#[derive(Debug)]
pub(super) struct Pipe {
    commands: Sender,
    messages: Receiver,
    /// Read, and not yet a whole message.
    pending: Vec<u8>,
    last_id: u64,
    session: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Command<'a, P> {
    id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<&'a str>,
    method: &'a str,
    params: &'a P,
}

#[derive(Deserialize)]
struct Message {
    id: Option<u64>,
    #[serde(default)]
    result: Value,
    error: Option<Failure>,
    method: Option<String>,
}

#[derive(Deserialize)]
struct Failure {
    message: String,
}

impl Pipe {
    pub(super) fn new(commands: Sender, messages: Receiver) -> Self {
        Self { commands, messages, pending: Vec::new(), last_id: 0, session: None }
    }

    /// From now on commands are for this page.
    pub(super) fn attach(&mut self, session: String) {
        self.session = Some(session);
    }

    /// One command and its answer. Parameters may hold a secret: the bytes are wiped when they are written.
    pub(super) async fn call(
        &mut self,
        method: &str,
        params: &impl Serialize,
    ) -> Result<Value, BrowserError> {
        self.last_id += 1;
        let id = self.last_id;
        let command = Command { id, session_id: self.session.as_deref(), method, params };
        // Large enough not to be moved while it grows, which would leave a copy behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(64 * 1024));
        serde_json::to_writer(&mut *bytes, &command)
            .map_err(|error| BrowserError::Broken(error.to_string()))?;
        bytes.push(0);
        let talk = async {
            self.commands.write_all(&bytes).await.map_err(closed)?;
            loop {
                let message = self.next().await?;
                if message.method.as_deref() == Some("Inspector.targetCrashed") {
                    return Err(BrowserError::Broken("its page crashed".to_owned()));
                }
                // Events are not needed: what is waited for is looked for in the page.
                if message.id == Some(id) {
                    return message
                        .error
                        .map_or(Ok(message.result), |error| Err(BrowserError::Refused(error.message)));
                }
            }
        };
        tokio::time::timeout(PATIENCE, talk)
            .await
            .unwrap_or_else(|_| Err(BrowserError::Silent(method.to_owned())))
    }

    async fn next(&mut self) -> Result<Message, BrowserError> {
        let mut searched = 0;
        loop {
            let end = self.pending.iter().skip(searched).position(|byte| *byte == 0).map(|at| at + searched);
            if let Some(end) = end {
                let rest = self.pending.split_off(end + 1);
                let message = std::mem::replace(&mut self.pending, rest);
                return serde_json::from_slice(message.get(..end).unwrap_or_default()).map_err(|error| {
                    BrowserError::Broken(format!("it wrote something else than JSON: {error}"))
                });
            }
            searched = self.pending.len();
            if searched > MAX_MESSAGE_BYTES {
                return Err(BrowserError::Broken("the page is larger than 16 MiB".to_owned()));
            }
            if self.messages.read_buf(&mut self.pending).await.map_err(closed)? == 0 {
                return Err(BrowserError::Broken("it ended".to_owned()));
            }
        }
    }
}

fn closed(error: std::io::Error) -> BrowserError {
    BrowserError::Broken(format!("its pipe broke: {error}"))
}
