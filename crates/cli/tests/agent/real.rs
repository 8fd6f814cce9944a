//! The SDK against the real server, its owner on the control port.

use std::sync::Arc;

use durward_client::{Agent, Ask, Begun, Config, Error, PairingAsk, Wait};
use durward_protocol::Domain;
use durward_server::{Clock, Home, Server, VaultSource};
use durward_vault::BuiltinVault;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub(crate) struct Owner {
    pub(crate) address: std::net::SocketAddr,
    pub(crate) token: String,
}

impl Owner {
    pub(crate) async fn call(&self, method: &str, path: &str, body: &str) -> serde_json::Value {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.address,
            self.token,
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    }
}

#[tokio::test]
async fn the_real_server_pairs_denies_and_revokes() {
    let folder = tempfile::tempdir().unwrap();
    let config = durward_server::Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        control: Some("127.0.0.1:0".parse().unwrap()),
        ..durward_server::Config::default()
    };
    let path = folder.path().join("vault.age");
    let vault: VaultSource = Box::new(move || Ok(Arc::new(BuiltinVault::at(path.clone()))));
    let home = Home::open(&folder.path().join("approver")).unwrap();
    let running = Server::start(config, home.clone(), vault, Clock::system()).await.unwrap();
    let token = std::fs::read_to_string(home.token("api")).unwrap().trim().to_owned();
    let owner = Owner { address: running.control.unwrap(), token };

    let mut config = Config::new(folder.path().join("agent"), folder.path().join("keys"));
    config.approver = Some(format!("http://{}", running.listen).parse().unwrap());
    let agent = Agent::open(config).unwrap();
    let Begun::Waiting(pairing) = agent.begin_pairing(PairingAsk::default()).await.unwrap() else {
        unreachable!()
    };
    let shown = pairing.number_code().expose_text();
    let (number, code) = shown.expose_secret().split_once('-').unwrap();
    let body = format!(r#"{{"number":{number},"code":"{code}"}}"#);
    let typing = async {
        // The pairing waits once its exchange is there.
        while owner.call("GET", "/pairings", "").await["pairings"].as_array().is_none_or(Vec::is_empty) {}
        owner.call("POST", "/pairings/enter", &body).await
    };
    let (session, entered) = tokio::join!(pairing.wait(), typing);
    let session = session.unwrap_or_else(|error| unreachable!("{error} {entered}"));
    assert!(entered["session"].to_string().contains(&session.session_id.to_string()), "{entered}");
    assert!(agent.status().await.unwrap().active);

    let request = agent.prepare(Ask::new(Domain::parse("example.com").unwrap(), "Try it")).unwrap();
    let pending = agent.request(&request, Wait::AtMost(std::time::Duration::ZERO)).await;
    assert!(matches!(pending, Err(Error::Pending { .. })), "{pending:?}");
    let body = serde_json::json!({ "session_id": session.session_id, "request_id": request.id, "verdict": "deny", "reason": "no" });
    let decided = owner.call("POST", "/requests/decide", &body.to_string()).await;
    let denied = agent.request(&request, Wait::UntilDecided).await;
    assert!(
        matches!(&denied, Err(Error::Denied { reason: Some(reason) }) if reason == "no"),
        "{denied:?} {decided}"
    );
    agent.revoke().await.unwrap();
    assert!(agent.session().is_none());
    running.stop().await;
}
