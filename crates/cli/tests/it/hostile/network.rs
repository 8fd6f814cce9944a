//! Fifty agents, the SDK in each, behind a network that cuts, repeats and reorders; the owner is a robot
//! beside the approver.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use durward_client::{Agent, Ask, Begun, Config, Error, PairingAsk, RestKeyFile, Timeouts, Wait};
use durward_protocol::{
    CredentialResponse, Domain, RestKeyKeeper as _, SecretBytes, SecretString, SessionId, SessionKeys, Side,
    Verdict, base64url_decode, lp_all, open,
};
use durward_vault::{BuiltinVault, Item};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::proxy::{Network, direct};
use super::{number, report, seed};
use crate::home::{Daemon, Home, VAULT_PASSWORD};

const AGENTS: usize = 50;

/// In every password of this test: no byte of it may cross the network in the open.
const NEEDLE: &str = "only-for-agent-";

/// How long one call of the SDK may take before the test calls it a hang: several holds and three tries.
const PATIENCE: Duration = Duration::from_mins(3);

/// Pairings at once: an approver shows sixteen at most.
const PAIRING_AT_ONCE: usize = 8;

/// What memory may grow by. An answered request is remembered for a while; nothing else stays.
const GROWTH_KB: u64 = 96 * 1024;

/// How a story may end besides with a credential. Each of these says what happened; none of them says that
/// something else was received than what an honest approver sent.
const CLEAR_ENDS: [&str; 16] = [
    "agent_paused",
    "cancelled",
    "cannot_connect",
    "connection_lost",
    "denied",
    "expired",
    "pairing_not_found",
    "pairing_refused",
    "pairing_used",
    "pending",
    "rate_limited",
    "replayed",
    "session_not_found",
    "session_revoked",
    "timeout",
    "too_many_pairings",
];

/// 20 seconds; `DURWARD_TEST_SECONDS` for more, `DURWARD_TEST_SEED` for another network.
#[test]
fn fifty_agents_get_what_is_theirs_once_over_a_network_that_cuts_repeats_and_reorders() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(story(number("DURWARD_TEST_SECONDS", 20), seed()));
}

async fn story(seconds: u64, seed: u64) {
    let home = Home::with_vault();
    add_items(&home);
    let mut daemon = home.serve_quietly();
    let desk = Arc::new(Desk::of(&home, &daemon));
    desk.unlock().await;
    let (network, address) = Network::before(daemon.listen, NEEDLE, seed).await;
    let agents = Home::empty();
    let books = Arc::new(Books::default());
    let mut rng = StdRng::seed_from_u64(seed ^ 0x5eed);
    let robot =
        tokio::spawn(robot(Arc::clone(&desk), Arc::clone(&books), StdRng::seed_from_u64(rng.random())));
    let pairing = Arc::new(Semaphore::new(PAIRING_AT_ONCE));
    let mut lives = JoinSet::new();
    for number in 0..AGENTS {
        let life = Life {
            number,
            folder: agents.path(&format!("agent-{number}")),
            agent: open_agent(&agents, number, address),
            keys: agents.path("keys"),
            rng: StdRng::seed_from_u64(rng.random()),
            desk: Arc::clone(&desk),
            books: Arc::clone(&books),
            pairing: Arc::clone(&pairing),
        };
        lives.spawn(life.live());
    }
    let started = daemon.resident_kb();
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let stormy = daemon.resident_kb();
    network.calm();
    books.calm.store(true, Ordering::SeqCst);
    while let Some(ended) = lives.join_next().await {
        ended.unwrap_or_else(|error| panic!("seed {seed}: an agent failed: {error}"));
    }
    books.over.store(true, Ordering::SeqCst);
    robot.await.unwrap_or_else(|error| panic!("seed {seed}: the owner failed: {error}"));

    let after = daemon.resident_kb();
    assert!(
        after.max(stormy) < started + GROWTH_KB,
        "seed {seed}: grew from {started} to {stormy} and {after} kB"
    );
    assert!(daemon.process.child.try_wait().unwrap().is_none(), "seed {seed}: the approver is gone");
    assert!(!daemon.process.stderr.text().contains("panicked"), "{}", daemon.process.stderr.text());
    books.check(&network, &desk.released().await, seed);
    let verdict = desk.get("/audit/verify").await;
    assert_eq!(verdict["ok"], true, "seed {seed}: {verdict}");
    let (calls, fates) = network.summary();
    let ends = books.ends.lock().unwrap().clone();
    report(&format!(
        "hostile network: seed {seed}, {seconds} s, {AGENTS} agents, {calls} calls ({fates}), {} pairings, \
         {} credentials, ends {ends:?}, memory {started} -> {after} kB",
        books.keys.lock().unwrap().len(),
        books.approved.lock().unwrap().len(),
    ));
}

/// What all agents were told.
#[derive(Default)]
struct Books {
    calm: AtomicBool,
    over: AtomicBool,
    /// Keys of every session an agent ever held, and whose it was.
    keys: Mutex<BTreeMap<String, (SessionId, SessionKeys, usize)>>,
    /// Requests that ended with a credential.
    approved: Mutex<BTreeSet<String>>,
    /// Every other end, by its code.
    ends: Mutex<BTreeMap<String, usize>>,
}

impl Books {
    fn is_calm(&self) -> bool {
        self.calm.load(Ordering::SeqCst)
    }

    fn ended(&self, number: usize, error: &Error) {
        let code = error.code().to_owned();
        assert!(CLEAR_ENDS.contains(&code.as_str()), "agent {number}: {code}: {error}");
        assert!(error.to_string().len() > 10, "agent {number}: {code} says too little");
        *self.ends.lock().unwrap().entry(code).or_default() += 1;
    }

    /// Opens every verdict that crossed the network, received or lost, with the keys of its session.
    fn check(&self, network: &Network, released: &BTreeMap<String, usize>, seed: u64) {
        let (seen, keys) = (network.seen.lock().unwrap(), self.keys.lock().unwrap());
        assert_eq!(seen.leaks, 0, "seed {seed}: a password crossed the network in the open");
        assert_eq!(seen.hangs, 0, "seed {seed}: calls were not answered");
        let bad: Vec<_> = seen.statuses.keys().filter(|status| **status == 0 || **status >= 500).collect();
        assert!(bad.is_empty(), "seed {seed}: {:?}", seen.statuses);
        let mut sealed: BTreeMap<String, &str> = BTreeMap::new();
        for (session, payload) in &seen.verdicts {
            let (id, keys, number) = keys.get(session).unwrap_or_else(|| panic!("seed {seed}: {session}"));
            let plaintext = open(keys, Side::B, id, payload).unwrap();
            let (_, response) = CredentialResponse::parse(&plaintext).unwrap();
            if response.status != Verdict::Approved {
                assert!(response.credential.password.is_none(), "seed {seed}: a password without a yes");
                continue;
            }
            let request = response.in_reply_to.to_string();
            assert_eq!(
                response.credential.password.as_ref().map(SecretString::expose_secret),
                Some(password(*number).as_str()),
                "seed {seed}: agent {number} got what is not its own"
            );
            if let Some(other) = sealed.insert(request.clone(), payload) {
                assert_eq!(other, payload, "seed {seed}: {request} was delivered as other bytes");
            }
        }
        for (request, times) in released {
            assert_eq!(*times, 1, "seed {seed}: {request} was released {times} times");
        }
        let approved = self.approved.lock().unwrap();
        for request in sealed.keys().chain(approved.iter()) {
            assert!(
                released.contains_key(request),
                "seed {seed}: {request} was delivered and is not on record"
            );
        }
        for request in approved.iter() {
            assert!(sealed.contains_key(request), "seed {seed}: {request} was received from nowhere");
        }
        assert!(approved.len() >= AGENTS, "seed {seed}: each agent got a credential in the end");
    }
}

/// One agent, from its first pairing to its last credential.
struct Life {
    number: usize,
    folder: PathBuf,
    keys: PathBuf,
    agent: Agent,
    rng: StdRng,
    desk: Arc<Desk>,
    books: Arc<Books>,
    pairing: Arc<Semaphore>,
}

impl Life {
    /// Asks until the storm is over, and then until it has its credential once more.
    async fn live(mut self) {
        let mut calm_tries = 0;
        loop {
            let was_calm = self.books.is_calm();
            calm_tries += usize::from(was_calm);
            assert!(calm_tries < 60, "agent {}: nothing works although the network does", self.number);
            let ended = match self.agent.session() {
                None => timeout(PATIENCE, self.pair()).await.expect("a pairing hangs").map(|()| false),
                Some(_) => timeout(PATIENCE, self.ask()).await.expect("a request hangs").map(|()| true),
            };
            match ended {
                Ok(true) if was_calm => return,
                Ok(_) => {}
                Err(error) => {
                    self.books.ended(self.number, &error);
                    if matches!(error.code(), "session_not_found" | "session_revoked") {
                        self.agent.forget().unwrap();
                    }
                    let pause = self.rng.random_range(20..200);
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                }
            }
        }
    }

    async fn pair(&self) -> Result<(), Error> {
        let _turn = self.pairing.acquire().await.expect("it is never closed");
        if let Begun::Waiting(pairing) = self.agent.begin_pairing(PairingAsk::default()).await? {
            let shown = pairing.number_code().expose_text();
            let (number, code) = shown.expose_secret().split_once('-').unwrap();
            let typed = self.desk.type_code(number.parse().unwrap(), code.to_owned());
            let canceller = pairing.canceller();
            let mut waited = std::pin::pin!(pairing.wait());
            tokio::select! {
                done = &mut waited => { done?; }
                typed = typed => {
                    if typed {
                        waited.await?;
                    } else {
                        canceller.cancel().await;
                        return Err(Error::PairingEnded);
                    }
                }
            }
        }
        self.remember_keys();
        Ok(())
    }

    /// One request, to its end.
    async fn ask(&mut self) -> Result<(), Error> {
        let mut ask = Ask::new(domain(self.number), "the network is hostile");
        ask.expires_in = Some(120);
        let request = self.agent.prepare(ask)?;
        if self.rng.random_bool(0.05) {
            let given_up = self.agent.request(&request, Wait::AtMost(Duration::ZERO)).await;
            if matches!(given_up, Err(Error::Pending { .. })) {
                self.agent.cancel(request.id).await?;
            }
        }
        let mut tries = 0;
        loop {
            tries += 1;
            let asked = self.agent.request(&request, Wait::AtMost(Duration::from_secs(4))).await;
            match asked {
                Ok(approval) => {
                    let credential = approval.credential;
                    let got = credential.password.as_ref().map(SecretString::expose_secret);
                    assert_eq!(got, Some(password(self.number).as_str()), "agent {}", self.number);
                    assert_eq!(
                        credential.username.as_ref().map(SecretString::expose_secret),
                        Some(format!("user-{}", self.number).as_str())
                    );
                    self.books.approved.lock().unwrap().insert(request.id.to_string());
                    return Ok(());
                }
                // Sent again under its id it joins: nobody is asked twice, and nothing is sealed twice.
                Err(error)
                    if tries < 10
                        && (error.is_transient() || matches!(error.code(), "replayed" | "pending")) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads the session the SDK has written down, as another process of the profile would.
    fn remember_keys(&self) {
        let text = std::fs::read(self.folder.join("session.json")).unwrap();
        let stored: Value = serde_json::from_slice(&text).unwrap();
        let part = |name: &str| stored[name].as_str().unwrap().to_owned();
        let (session, agent, approver, scope) =
            (part("session_id"), part("agent_id"), part("approver_id"), part("scope"));
        let identity = lp_all(&[session.as_bytes(), agent.as_bytes(), approver.as_bytes(), scope.as_bytes()]);
        let rest = RestKeyFile::in_folder(&self.keys).load().unwrap().unwrap();
        let sealed = base64url_decode(&part("sealed_keys")).unwrap();
        let opened = rest.open("agent session", &identity, &sealed).unwrap();
        let bytes: [u8; SessionKeys::STORED_BYTES] = opened.as_slice().try_into().unwrap();
        let keys = SessionKeys::from_stored(&SecretBytes::new(bytes));
        let id: SessionId = serde_json::from_value(stored["session_id"].clone()).unwrap();
        self.books.keys.lock().unwrap().insert(session, (id, keys, self.number));
    }
}

/// The owner's place: the control port, beside the network.
struct Desk {
    control: SocketAddr,
    authorization: String,
}

impl Desk {
    fn of(home: &Home, daemon: &Daemon) -> Self {
        let token = std::fs::read_to_string(home.path("api.token")).unwrap();
        Self { control: daemon.control, authorization: format!("authorization: Bearer {}", token.trim()) }
    }

    async fn call(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let call = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n{}\r\ncontent-length: {}\r\n\r\n{body}",
            self.control,
            self.authorization,
            body.len()
        );
        let answer = timeout(PATIENCE, direct(self.control, call.as_bytes())).await;
        answer.ok().flatten().unwrap_or_else(|| panic!("the control port does not answer {path}"))
    }

    async fn get(&self, path: &str) -> Value {
        let (status, body) = self.call("GET", path, &Value::Null).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    async fn unlock(&self) {
        let body = json!({ "password": VAULT_PASSWORD, "seconds": 86_400 });
        assert_eq!(self.call("POST", "/vault/unlock", &body).await.0, 200);
    }

    /// Types a code once its agent waits. Whether the pairing came about.
    async fn type_code(&self, number: u64, code: String) -> bool {
        for _ in 0..300 {
            let list = self.get("/pairings").await;
            let mut waiting = list["pairings"].as_array().into_iter().flatten();
            if waiting.any(|pairing| pairing["number"] == number) {
                let body = json!({ "number": number, "code": code });
                let (status, answer) = self.call("POST", "/pairings/enter", &body).await;
                if status != 409 || answer["error"] != "pairing_not_waiting" {
                    return status == 200;
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        false
    }

    /// How often each request was released, as the log says.
    async fn released(&self) -> BTreeMap<String, usize> {
        let (mut released, mut last) = (BTreeMap::new(), 0);
        loop {
            let page = self.get(&format!("/audit?after={last}&limit=1000")).await;
            let records = page["records"].as_array().unwrap();
            if records.is_empty() {
                return released;
            }
            for record in records {
                last += 1;
                let entry: Value = serde_json::from_str(record["body"].as_str().unwrap()).unwrap();
                if entry["event"] == "credential_released" {
                    let id = entry["request_id"].as_str().unwrap().to_owned();
                    *released.entry(id).or_default() += 1;
                }
            }
        }
    }
}

/// The owner: mostly yes, sometimes no, sometimes later, sometimes goodbye.
async fn robot(desk: Arc<Desk>, books: Arc<Books>, mut rng: StdRng) {
    while !books.over.load(Ordering::SeqCst) {
        let list = desk.get("/requests?all=true").await;
        for request in list["requests"].as_array().into_iter().flatten() {
            let luck = if books.is_calm() { 0 } else { rng.random_range(0..100) };
            let mut order = match luck {
                0..70 => json!({ "verdict": "approve" }),
                70..78 => json!({ "verdict": "approve", "grant": { "kind": "uses", "uses": 3 } }),
                78..88 => json!({ "verdict": "deny", "reason": "not now" }),
                88..90 => {
                    let body = json!({ "session_id": request["session_id"] });
                    let (status, answer) = desk.call("POST", "/session/revoke", &body).await;
                    assert!([200, 404].contains(&status), "{status} {answer}");
                    continue;
                }
                _ => continue,
            };
            order["session_id"] = request["session_id"].clone();
            order["request_id"] = request["request_id"].clone();
            let (status, answer) = desk.call("POST", "/requests/decide", &order).await;
            assert!([200, 404, 409].contains(&status), "{status} {answer}");
            if order["verdict"] == "deny" {
                // Three in a row would pause the agent.
                desk.call("POST", "/agents/resume", &json!({ "agent_id": request["agent_id"] })).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

fn open_agent(home: &Home, number: usize, address: SocketAddr) -> Agent {
    let mut config = Config::new(home.path(&format!("agent-{number}")), home.path("keys"));
    config.approver = Some(format!("http://{address}").parse().unwrap());
    config.timeouts = Timeouts {
        connect: Duration::from_secs(10),
        answer: Duration::from_secs(20),
        hold: Duration::from_secs(4),
    };
    Agent::open(config).unwrap()
}

fn add_items(home: &Home) {
    let vault = BuiltinVault::at(home.path("vault.age")).with_work_factor_for_tests(1);
    let owner = SecretString::new(VAULT_PASSWORD.to_owned());
    let add = |items: &mut durward_vault::Items| {
        for number in 0..AGENTS {
            let name = domain(number).as_str().to_owned();
            let mut item = Item::new(&name);
            item.uris.push(name);
            item.username = Some(SecretString::new(format!("user-{number}")));
            item.password = Some(SecretString::new(password(number)));
            items.add(item, &mut rand::rng(), time::OffsetDateTime::UNIX_EPOCH)?;
        }
        Ok(())
    };
    // A process that another test starts at this moment holds a copy of the lock until it execs.
    while let Err(error) = vault.edit(&owner, add) {
        assert!(matches!(error, durward_vault::Error::Busy { .. }), "{error}");
        std::thread::yield_now();
    }
}

fn domain(number: usize) -> Domain {
    Domain::parse(&format!("agent-{number}.example")).unwrap()
}

fn password(number: usize) -> String {
    format!("{NEEDLE}{number}-K7")
}
