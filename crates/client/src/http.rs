//! JSON over HTTP with limits: how long, how large, no redirects, no proxies from the environment.

use std::time::Duration;

use durward_protocol::wire::ErrorBody;
use reqwest::header::{CONTENT_TYPE, HeaderName, RETRY_AFTER};
use reqwest::{Client, redirect};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{ApproverUrl, Error};

/// Largest answer that is read: an envelope has at most 43,746 characters.
const MAX_ANSWER_BYTES: usize = 65_536;

const PREFER: HeaderName = HeaderName::from_static("prefer");

/// Limits on waiting.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For a connection.
    pub connect: Duration,
    /// For a whole answer that is not held open; a held one gets this on top of its wait.
    pub answer: Duration,
    /// How long the approver is asked to hold an answer; it takes 300 s at most.
    pub hold: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            answer: Duration::from_secs(15),
            hold: Duration::from_mins(1),
        }
    }
}

/// Connections to one approver, reused between calls.
#[derive(Debug)]
pub(crate) struct Http {
    client: Client,
    approver: ApproverUrl,
    timeouts: Timeouts,
}

/// A good answer, or the word that there is none yet.
#[derive(Debug)]
pub(crate) enum Reply<T> {
    /// 200.
    Ready(T),
    /// 202: ask again.
    Pending,
}

impl Http {
    pub(crate) fn new(approver: ApproverUrl, timeouts: Timeouts) -> Result<Self, Error> {
        // Another provider that the program installed before is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .tcp_nodelay(true)
            .connect_timeout(timeouts.connect)
            .redirect(redirect::Policy::none())
            .referer(false)
            .no_proxy();
        if !approver.is_tls() {
            // Reading the system's certificates takes longer than the whole request.
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(|error| Error::Transport { reason: innermost(&error) })?;
        Ok(Self { client, approver, timeouts })
    }

    pub(crate) fn approver(&self) -> &ApproverUrl {
        &self.approver
    }

    pub(crate) fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    /// `POST`, answered at once.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Error> {
        match self.post_held(path, body, None, Duration::ZERO).await? {
            Reply::Ready(answer) => Ok(answer),
            Reply::Pending => Err(Error::BadAnswer { reason: "pending where nothing can be" }),
        }
    }

    /// `POST` with `Prefer: wait=N`, held open by the approver for at most `patience`.
    pub(crate) async fn post_held<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        hold: Option<Duration>,
        patience: Duration,
    ) -> Result<Reply<T>, Error> {
        let body = serde_json::to_vec(body).map_err(|_| Error::BadAnswer { reason: "body" })?;
        let mut request = self
            .client
            .post(self.approver.endpoint(path))
            .header(CONTENT_TYPE, "application/json")
            .timeout(self.timeouts.answer + patience)
            .body(body);
        if let Some(hold) = hold {
            request = request.header(PREFER, format!("wait={}", hold.as_secs()));
        }
        self.send(request).await
    }

    /// `GET` with one query parameter.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: Option<(&str, &str)>,
    ) -> Result<T, Error> {
        let mut url = self.approver.endpoint(path);
        if let Some((name, value)) = query {
            url.query_pairs_mut().append_pair(name, value);
        }
        match self.send(self.client.get(url).timeout(self.timeouts.answer)).await? {
            Reply::Ready(answer) => Ok(answer),
            Reply::Pending => Err(Error::BadAnswer { reason: "pending where nothing can be" }),
        }
    }

    async fn send<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> Result<Reply<T>, Error> {
        let mut response = request.send().await.map_err(|error| self.explain(&error))?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| seconds(value.to_str().ok()?));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.explain(&error))? {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(Error::BadAnswer { reason: "it is larger than any answer can be" });
            }
            body.extend_from_slice(&chunk);
        }
        match status {
            200 => serde_json::from_slice(&body)
                .map(Reply::Ready)
                .map_err(|_| Error::BadAnswer { reason: "it does not have the fields it should" }),
            202 => Ok(Reply::Pending),
            _ => Err(refusal(status, &body, retry_after)),
        }
    }

    fn explain(&self, error: &reqwest::Error) -> Error {
        if error.is_connect() {
            Error::CannotConnect { url: self.approver.to_string(), reason: innermost(error) }
        } else if error.is_timeout() {
            Error::Timeout
        } else {
            Error::ConnectionLost { reason: innermost(error) }
        }
    }
}

/// An error body, cut to a length that a screen can take. Something that is none of ours (a proxy's
/// page, another server on the port) says so.
fn refusal(status: u16, body: &[u8], retry_after: Option<Duration>) -> Error {
    let Ok(body) = serde_json::from_slice::<ErrorBody>(body) else {
        return Error::Refused {
            status,
            code: None,
            name: format!("http_{status}"),
            message: format!("what answers there is not an approver (HTTP {status})"),
            approver_time: None,
            retry_after,
        };
    };
    Error::Refused {
        status,
        code: body.code(),
        name: cut(&body.error, 64),
        message: cut(&body.message, 512),
        approver_time: body.approver_time.map(durward_protocol::Timestamp::get),
        retry_after,
    }
}

/// Of the two forms of `Retry-After` the one that an approver sends.
fn seconds(text: &str) -> Option<Duration> {
    text.trim().parse().ok().map(Duration::from_secs)
}

fn cut(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}

/// The last cause: "connection refused" and not "error sending request".
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
