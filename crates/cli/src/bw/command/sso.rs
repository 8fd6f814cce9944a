//! Single sign-on: the browser goes to the web vault and comes back to a port of this machine (RFC 8252), with a
//! code that only the holder of the PKCE verifier (RFC 7636) can use.

use std::fmt::Write as _;
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use durward_bitwarden::environment::Environment;
use durward_bitwarden::generate::{PasswordRules, password};
use durward_bitwarden::{Error, Result};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Digest as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::output::note;

/// The ports that servers accept in a redirect.
const PORTS: std::ops::RangeInclusive<u16> = 8065..=8070;
/// How long the person may take.
const PATIENCE: Duration = Duration::from_mins(10);
const REQUEST_LIMIT: usize = 16 << 10;
const RANDOM: PasswordRules = PasswordRules {
    uppercase: true,
    lowercase: true,
    number: true,
    special: false,
    length: 64,
    min_number: 1,
    min_special: 0,
    avoid_ambiguous: false,
};

/// What came back.
#[derive(Debug)]
pub(super) struct Callback {
    pub(super) code: SecretString,
    pub(super) verifier: SecretString,
    pub(super) redirect_uri: String,
}

/// Sends the person to the browser and waits for the answer. `None` when it was no good one.
pub(super) async fn ask_browser(
    environment: &Environment,
    identifier: Option<&str>,
) -> Result<Option<Callback>> {
    let state = password(&RANDOM)?;
    let verifier = SecretString::from(password(&RANDOM)?.as_str());
    let challenge = URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(verifier.expose_secret().as_bytes()));
    let listener = listen().await?;
    let port = listener.local_addr().map_err(|e| failed(&e))?.port();
    let redirect_uri = format!("http://localhost:{port}");
    let mut url = format!(
        "{}/#/sso?clientId=cli&redirectUri={}&state={}&codeChallenge={challenge}",
        environment.web_vault(),
        encode(&redirect_uri),
        *state
    );
    if let Some(identifier) = identifier {
        url.push_str("&identifier=");
        url.push_str(&encode(identifier));
    }
    note(if open(&url) {
        "A browser was opened. If none appears, open this address yourself:"
    } else {
        "No browser could be opened. Open this address in one on this machine:"
    });
    note(&url);
    let code = tokio::time::timeout(PATIENCE, wait(&listener, &state)).await.unwrap_or(None);
    Ok(code.map(|code| Callback { code, verifier, redirect_uri }))
}

async fn listen() -> Result<TcpListener> {
    let mut last = std::io::Error::from(ErrorKind::AddrInUse);
    for port in PORTS {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            Ok(listener) => return Ok(listener),
            Err(e) => last = e,
        }
    }
    Err(failed(&last))
}

fn failed(error: &std::io::Error) -> Error {
    Error::Configuration(format!(
        "None of the ports {} to {} can be used: {error}",
        PORTS.start(),
        PORTS.end()
    ))
}

/// Browsers also ask for icons and open connections in advance; only a request with a code counts.
async fn wait(listener: &TcpListener, state: &str) -> Option<SecretString> {
    loop {
        let (mut stream, _) = listener.accept().await.ok()?;
        let Some(target) = request_target(&mut stream).await else { continue };
        let query = target.split_once('?').map_or("", |(_, q)| q);
        let (mut code, mut given) = (None, None);
        for (name, value) in query.split('&').filter_map(|p| p.split_once('=')) {
            match name {
                "code" => code = Some(decode(value)),
                "state" => given = Some(decode(value)),
                _ => {}
            }
        }
        if code.is_none() && given.is_none() {
            answer(&mut stream, "404 Not Found", "Nothing here.").await;
            continue;
        }
        // The web vault may append the organisation to the state.
        let fits = given.as_deref().and_then(|g| g.split("_identifier=").next()) == Some(state);
        let Some(code) = code.filter(|c| fits && !c.is_empty()) else {
            answer(&mut stream, "400 Bad Request", "Failed to authenticate. Return to the terminal.").await;
            return None;
        };
        answer(&mut stream, "200 OK", "Successfully authenticated. Return to the terminal.").await;
        return Some(SecretString::from(code));
    }
}

async fn request_target(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut buffer = [0; 2048];
    let read = async {
        while !head.windows(4).any(|w| w == b"\r\n\r\n") && head.len() < REQUEST_LIMIT {
            let n = stream.read(&mut buffer).await.ok()?;
            if n == 0 {
                break;
            }
            head.extend_from_slice(buffer.get(..n)?);
        }
        Some(())
    };
    tokio::time::timeout(Duration::from_secs(10), read).await.ok()??;
    let text = String::from_utf8_lossy(&head);
    let mut words = text.lines().next()?.split(' ');
    (words.next()? == "GET").then(|| words.next().map(str::to_owned))?
}

async fn answer(stream: &mut TcpStream, status: &str, text: &str) {
    let page = format!("<!doctype html><title>bw</title><p>{text}</p>");
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        page.len()
    );
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(page.as_bytes()).await;
    let _ = stream.shutdown().await;
}

fn open(url: &str) -> bool {
    let program = if cfg!(target_os = "macos") {
        "open"
    } else if cfg!(windows) {
        "explorer"
    } else {
        "xdg-open"
    };
    Command::new(program)
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .is_ok()
}

fn encode(text: &str) -> String {
    let mut done = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            done.push(char::from(byte));
        } else {
            let _ = write!(done, "%{byte:02X}");
        }
    }
    done
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut done = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = bytes.get(at + 1..at + 3).and_then(|h| std::str::from_utf8(h).ok());
        match (byte, hex.and_then(|h| u8::from_str_radix(h, 16).ok())) {
            (b'%', Some(value)) => {
                done.push(value);
                at += 3;
            }
            (b'+', _) => {
                done.push(b' ');
                at += 1;
            }
            _ => {
                done.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&done).into_owned()
}
