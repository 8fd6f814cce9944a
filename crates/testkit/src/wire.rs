//! Agents by the hundred: the protocol over kept connections, with blocking calls and no library's waiting in between.

use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use durward_protocol::wire::{
    AnswerStatus, ConfirmRequest, CredentialAnswer, ExchangeRequest, ExchangeResponse, InitiateRequest,
    InitiateResponse, SealedRequest,
};
use durward_protocol::{
    AgentId, AgentName, Code, Confirmation, CredentialRequest, CredentialResponse, Displayer, Domain, Field,
    Header, PairingOffer, PakeMessage, RequestId, Scope, SessionId, SessionKeys, Side, open, seal,
};
use rand::CryptoRng;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use time::OffsetDateTime;

/// A connection that is kept, one call at a time; a call may be sent now and its answer read later.
#[derive(Debug)]
pub struct Wire<S> {
    stream: S,
    host: String,
    filled: Vec<u8>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Body.
    pub body: Vec<u8>,
}

impl Answer {
    /// A good body, read.
    pub fn good<T: DeserializeOwned>(&self) -> io::Result<T> {
        if self.status != 200 {
            return Err(io::Error::other(format!(
                "HTTP {}: {}",
                self.status,
                String::from_utf8_lossy(&self.body)
            )));
        }
        Ok(serde_json::from_slice(&self.body)?)
    }
}

impl Wire<TcpStream> {
    /// To an agent plane.
    pub fn agent_plane(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, host: address.to_string(), filled: Vec::new() })
    }
}

impl Wire<UnixStream> {
    /// To a control plane.
    pub fn control(socket: &Path) -> io::Result<Self> {
        Ok(Self { stream: UnixStream::connect(socket)?, host: "durward".into(), filled: Vec::new() })
    }
}

impl<S: Read + Write> Wire<S> {
    /// Sends a call with these header lines, each with its end.
    pub fn send(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> io::Result<()> {
        self.stream.write_all(&http_request(&self.host, method, path, headers, body))
    }

    /// Reads the answer to the call sent last.
    pub fn receive(&mut self) -> io::Result<Answer> {
        self.filled.clear();
        let mut chunk = [0; 4096];
        loop {
            if let Some((status, head)) = http_answer(&self.filled) {
                let body = self.filled.get(head..).unwrap_or_default().to_vec();
                return Ok(Answer { status, body });
            }
            let read = self.stream.read(&mut chunk)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.filled.extend_from_slice(chunk.get(..read).unwrap_or_default());
        }
    }

    /// `POST`, and its answer.
    pub fn post(&mut self, path: &str, body: &impl Serialize) -> io::Result<Answer> {
        self.send("POST", path, "", &serde_json::to_vec(body)?)?;
        self.receive()
    }

    /// `GET`, and its answer, which must be good.
    pub fn get<T: DeserializeOwned>(&mut self, path: &str) -> io::Result<T> {
        self.send("GET", path, "", b"")?;
        self.receive()?.good()
    }
}

/// The bytes of a call.
pub fn http_request(host: &str, method: &str, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256 + body.len());
    let length = body.len();
    let _ = write!(
        bytes,
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n{headers}content-length: {length}\r\n\r\n"
    );
    bytes.extend_from_slice(body);
    bytes
}

/// Status and length of the head, once the whole answer is there.
pub fn http_answer(bytes: &[u8]) -> Option<(u16, usize)> {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(bytes.get(..head)?).ok()?;
    let status = text.get(9..12)?.parse().ok()?;
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    })?;
    (bytes.len() >= head + length).then_some((status, head))
}

/// One side of a session.
#[derive(Debug)]
pub struct WireAgent {
    /// Its session.
    pub session_id: SessionId,
    keys: SessionKeys,
}

impl WireAgent {
    /// Pairs under this id; the owner's side is played over the control plane.
    pub fn pair(
        agents: &mut Wire<TcpStream>,
        owner: &mut Wire<UnixStream>,
        id: &str,
        rng: &mut impl CryptoRng,
    ) -> io::Result<Self> {
        let (agent_id, agent_name) =
            (AgentId::parse(id).map_err(io::Error::other)?, AgentName::parse(id).map_err(io::Error::other)?);
        let ask = InitiateRequest {
            agent_id: id.to_owned(),
            agent_name: id.to_owned(),
            scope: None,
            pairing_code: None,
        };
        let opened: InitiateResponse = agents.post("/pairing/initiate", &ask)?.good()?;
        let pairing_id = opened.pairing_id;
        let offer = PairingOffer {
            pairing_id,
            agent_id,
            agent_name,
            approver_id: opened.approver_id,
            scope_asked: Scope::none(),
        };
        let code = fresh_code(rng);
        let displayer = Displayer::start(offer, &code, rng);
        let pake_message = displayer.message().encode();
        let exchange = ExchangeRequest { pairing_id, pake_message, pairing_code: None };
        agents.send("POST", "/pairing/exchange", "", &serde_json::to_vec(&exchange)?)?;
        loop {
            let list: Value = owner.get("/pairings")?;
            if list["pairings"]
                .as_array()
                .is_some_and(|all| all.iter().any(|p| p["number"] == json!(opened.number)))
            {
                break;
            }
        }
        let typed = json!({ "number": opened.number, "code": code.expose_digits() });
        owner.send("POST", "/pairings/enter", "", &serde_json::to_vec(&typed)?)?;
        let answer: ExchangeResponse = agents.receive()?.good()?;
        let message = PakeMessage::parse(&answer.pake_message, Side::B).map_err(io::Error::other)?;
        let mac_b = Confirmation::parse(&answer.confirmation).map_err(io::Error::other)?;
        let verified =
            displayer.verify(answer.session_id, Scope::none(), &message, &mac_b).map_err(io::Error::other)?;
        let confirm =
            ConfirmRequest { session_id: verified.session_id, confirmation: verified.mac_a.encode() };
        let _: Value = agents.post("/pairing/confirm", &confirm)?.good()?;
        let _: Value = owner.receive()?.good()?;
        Ok(Self { session_id: verified.session_id, keys: verified.keys })
    }

    /// The body of a new request for user name and password.
    pub fn request(
        &self,
        domain: &str,
        now: OffsetDateTime,
        rng: &mut impl CryptoRng,
    ) -> io::Result<(RequestId, Vec<u8>)> {
        let request = CredentialRequest {
            id: RequestId::random(rng),
            domain: Domain::parse(domain).map_err(io::Error::other)?,
            reason: "to book the flight".into(),
            fields: Field::default_set(),
            item_id: None,
            expires_in: None,
            heads: None,
        };
        let plaintext = request.to_plaintext(Header::new(now, rng)).map_err(io::Error::other)?;
        let payload =
            seal(&self.keys, Side::A, &self.session_id, &plaintext, rng).map_err(io::Error::other)?;
        let body = SealedRequest { session_id: self.session_id, encrypted_payload: Some(payload) };
        Ok((request.id, serde_json::to_vec(&body)?))
    }

    /// The verdict in an answer.
    pub fn verdict(&self, answer: &Answer) -> io::Result<CredentialResponse> {
        let answered: CredentialAnswer = answer.good()?;
        if answered.status != AnswerStatus::Answered {
            return Err(io::Error::other("pending"));
        }
        let payload = answered.encrypted_payload.unwrap_or_default();
        let plaintext = open(&self.keys, Side::B, &self.session_id, &payload).map_err(io::Error::other)?;
        Ok(CredentialResponse::parse(&plaintext).map_err(io::Error::other)?.1)
    }
}

/// A code that this process has not shown before: an approver refuses to try one code on two pairings, and among a
/// thousand codes two are likely to be the same.
fn fresh_code(rng: &mut impl CryptoRng) -> Code {
    static SHOWN: Mutex<Option<HashSet<String>>> = Mutex::new(None);
    let mut shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let shown = shown.get_or_insert_default();
    loop {
        let code = Code::random(rng);
        if shown.insert(code.expose_digits().to_owned()) {
            return code;
        }
    }
}
