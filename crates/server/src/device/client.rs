//! Calling another device. What counts in its answers is sealed or signed; TLS, where it is asked for, only hides
//! them once more, so any certificate will do.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use durward_protocol::ErrorCode;
use durward_protocol::wire::ErrorBody;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(5);

/// How long an answer may take beyond the time it is held.
const PATIENCE: Duration = Duration::from_secs(10);

/// Longest answer taken.
const MAX_ANSWER: usize = 128 * 1024;

/// Where a device is: `HOST:PORT`, `https://HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Address {
    host: String,
    port: u16,
    tls: bool,
}

impl Address {
    pub(super) fn new(ip: std::net::IpAddr, port: u16, tls: bool) -> Self {
        Self { host: ip.to_string(), port, tls }
    }

    /// Host and port as they stand in an address.
    fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is no address: write HOST:PORT or https://HOST:PORT");
        let text_ = text.trim();
        let (tls, rest) = match (text_.strip_prefix("https://"), text_.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => (false, text_),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = rest.rsplit_once(':').ok_or_else(bad)?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(bad)?;
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(v6) => v6.parse::<std::net::Ipv6Addr>().map_err(|_| bad())?.to_string(),
            // Without brackets, nobody can tell where an IPv6 address ends and its port begins.
            None if host.contains(':') => return Err(bad()),
            None => host.to_owned(),
        };
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if !(1..=253).contains(&host.len()) || !host.chars().all(good) {
            return Err(bad());
        }
        Ok(Self { host, port, tls })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.tls { "https://" } else { "" }, self.authority())
    }
}

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CallError {
    /// No answer.
    Unreachable(String),
    /// The device said no.
    Refused(ErrorCode),
    /// The answer makes no sense.
    Nonsense(String),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) => f.write_str(why),
            Self::Refused(code) => write!(f, "it refused: {code}"),
            Self::Nonsense(why) => write!(f, "what answers there is no Durward device ({why})"),
        }
    }
}

/// Posts JSON and reads JSON. The status comes along: 202 means not yet.
pub(super) async fn post<A: DeserializeOwned>(
    address: &Address,
    path: &str,
    body: &impl Serialize,
    hold: Option<Duration>,
) -> Result<(u16, A), CallError> {
    let body = serde_json::to_vec(body).map_err(|error| CallError::Nonsense(error.to_string()))?;
    let connecting = TcpStream::connect((address.host.as_str(), address.port));
    let stream = match tokio::time::timeout(CONNECT, connecting).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(CallError::Unreachable(format!("{address}: {}", error.kind()))),
        Err(_) => return Err(CallError::Unreachable(format!("{address}: no answer within five seconds"))),
    };
    let _ = stream.set_nodelay(true); // slower without, nothing else
    let talk = async {
        if address.tls {
            let name = ServerName::try_from(address.host.clone());
            let name = name.map_err(|_| CallError::Unreachable(format!("{address}: not a host name")))?;
            let connected = connector()?.connect(name, stream).await;
            let stream =
                connected.map_err(|error| CallError::Unreachable(format!("{address}: TLS: {error}")))?;
            send(stream, address, path, body, hold).await
        } else {
            send(stream, address, path, body, hold).await
        }
    };
    let (status, bytes) = tokio::time::timeout(PATIENCE + hold.unwrap_or_default(), talk)
        .await
        .map_err(|_| CallError::Unreachable(format!("{address}: the answer did not come in time")))??;
    if status == 200 || status == 202 {
        let answer = durward_protocol::from_json_object(&bytes);
        return answer.map(|answer| (status, answer)).map_err(|error| CallError::Nonsense(error.to_string()));
    }
    let refusal = durward_protocol::from_json_object::<ErrorBody>(&bytes).ok().and_then(|body| body.code());
    Err(refusal.map_or_else(|| CallError::Nonsense(format!("status {status}")), CallError::Refused))
}

async fn send<S>(
    stream: S,
    address: &Address,
    path: &str,
    body: Vec<u8>,
    hold: Option<Duration>,
) -> Result<(u16, Bytes), CallError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let lost = |error: &dyn fmt::Display| CallError::Unreachable(format!("{address}: {error}"));
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| lost(&error))?;
    let connection = AbortOnDrop(tokio::spawn(connection));
    let mut request =
        Request::post(path).header("host", address.authority()).header("content-type", "application/json");
    if let Some(hold) = hold {
        request = request.header("prefer", format!("wait={}", hold.as_secs()));
    }
    let request = request.body(Full::new(Bytes::from(body))).map_err(|error| lost(&error))?;
    let response = sender.send_request(request).await.map_err(|error| lost(&error))?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
    let bytes = body.map_err(|error| CallError::Nonsense(error.to_string()))?.to_bytes();
    drop(connection);
    Ok((status, bytes))
}

struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn connector() -> Result<TlsConnector, CallError> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(AnyCertificate(Arc::clone(&provider)));
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| CallError::Unreachable(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Takes every certificate. Whoever sits in between sees what anybody on a plain connection would: sealed hellos and
/// signed, sealed messages. Code and peers' keys decide who is who.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl rustls::client::danger::ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let shown = |text: &str| text.parse::<Address>().map(|address| address.to_string());
        assert_eq!(shown("192.168.1.2:5000"), Ok("192.168.1.2:5000".into()));
        assert_eq!(shown(" http://laptop.local:5000/ "), Ok("laptop.local:5000".into()));
        assert_eq!(shown("https://[::1]:5000"), Ok("https://[::1]:5000".into()));
        for bad in [
            "",
            "laptop",
            "laptop:0",
            "laptop:99999",
            "a b:1",
            "a/b:1",
            "::1:5000",
            "x@y:1",
            "[::1:5000",
            "a\r\nb:1",
        ] {
            assert!(shown(bad).is_err(), "{bad}");
        }
    }
}
