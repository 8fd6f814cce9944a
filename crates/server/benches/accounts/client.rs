//! A client that costs little: a connection that is kept, no HTTP library.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

/// An address that nobody has used, as `X-Forwarded-For`: knocks and failures are counted by address.
pub(crate) fn fresh_address() -> Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(0x0a00_0000);
    Ipv4Addr::from(NEXT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) struct Client {
    stream: TcpStream,
    address: SocketAddr,
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, address, buffer: vec![0; 16_384] }
    }

    pub(crate) fn post(&mut self, from: Ipv4Addr, path: &str, body: &Value) -> (u16, Value) {
        let body = body.to_string();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nX-Forwarded-For: {from}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        self.stream.write_all(request.as_bytes()).unwrap();
        let mut filled = 0;
        loop {
            let read = self.stream.read(self.buffer.get_mut(filled..).unwrap()).unwrap();
            assert!(read > 0, "the server hung up");
            filled += read;
            let answer = self.buffer.get(..filled).unwrap();
            if let Some((head, length)) = complete(answer) {
                assert_eq!(length, filled, "more than one answer");
                return (status(answer), serde_json::from_slice(answer.get(head..).unwrap()).unwrap());
            }
        }
    }

    /// Knocks, for a device and from an address of its own.
    pub(crate) fn knock(&mut self, from: Ipv4Addr) -> (Value, Value) {
        let device = json!({ "type": "terminal", "name": format!("d{from}") });
        let (status, body) = self.post(from, "/auth/knock", &json!({ "device": device }));
        assert_eq!(status, 200, "{body}");
        (body["challenge"].clone(), device)
    }

    /// The exchange alone, after a knock.
    pub(crate) fn exchange(
        &mut self,
        from: Ipv4Addr,
        knocked: &(Value, Value),
        user: &str,
        phrase: &str,
    ) -> (u16, Value) {
        let (challenge, device) = knocked;
        let body = json!({ "challenge": challenge, "device": device, "user": user, "passphrase": phrase });
        self.post(from, "/auth/exchange", &body)
    }
}

pub(crate) fn status(answer: &[u8]) -> u16 {
    let code = answer.get(9..12).and_then(|code| std::str::from_utf8(code).ok());
    code.and_then(|code| code.parse().ok()).unwrap_or(0)
}

/// Where the body begins and the answer ends, once it is complete.
pub(crate) fn complete(answer: &[u8]) -> Option<(usize, usize)> {
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(answer.get(..head)?).unwrap().to_ascii_lowercase();
    let length = text.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
    let whole = head + length.map_or(0, |length| length.parse::<usize>().unwrap());
    (answer.len() >= whole).then_some((head, whole))
}
