//! Through the SDK: pairing, and requests one after the other.

use std::cell::Cell;
use std::time::Instant;

use durward_client::{Agent, Ask, Begun, Config, PairingAsk, Wait};
use durward_protocol::Domain;
use serde_json::{Value, json};

use super::SAMPLES;
use super::approver::{Approver, DOMAIN};
use super::load::median;
use super::table::Table;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn agent(approver: &Approver, name: &str) -> Agent {
    let folder = approver.folder().join("library").join(name);
    let mut config = Config::new(folder.join("profile"), folder.join("keys"));
    config.approver = Some(approver.url().parse().unwrap());
    Agent::open(config).unwrap()
}

/// From the decision to pair to a session at both ends. The owner types at once.
async fn pair(approver: &Approver, agent: &Agent) {
    let Begun::Waiting(pairing) = agent.begin_pairing(PairingAsk::default()).await.unwrap() else {
        panic!("nobody else pairs this profile");
    };
    let (number, text) = (pairing.number_code().number(), pairing.number_code().expose_text());
    let code = text.expose_secret().split_once('-').unwrap().1.to_owned();
    let mut owner = approver.owner();
    let typed = tokio::task::spawn_blocking(move || {
        loop {
            let list: Value = owner.get("/pairings").unwrap();
            let all = list["pairings"].as_array().unwrap();
            if all.iter().any(|pairing| pairing["number"] == json!(number)) {
                let typed = json!({ "number": number, "code": code });
                return owner.post("/pairings/enter", &typed).unwrap().good::<Value>().unwrap();
            }
        }
    });
    pairing.wait().await.unwrap();
    typed.await.unwrap();
}

pub(crate) fn pairing(approver: &Approver, table: &mut Table) {
    let (runtime, agent) = (runtime(), agent(approver, "pairing"));
    runtime.block_on(pair(approver, &agent));
    let p50 = median((0..SAMPLES / 2).map(|_| {
        let started = Instant::now();
        runtime.block_on(pair(approver, &agent));
        started.elapsed()
    }));
    let floor = median((0..SAMPLES / 2).map(|n| {
        let path = approver.folder().join(format!("floor-{n}"));
        let started = Instant::now();
        let mut file = std::fs::File::create(&path).unwrap();
        std::io::Write::write_all(&mut file, &[b'x'; 300]).unwrap();
        file.sync_all().unwrap();
        std::fs::File::open(approver.folder()).unwrap().sync_all().unwrap();
        started.elapsed()
    }));
    table.put("pairing, library, both ends, p50", Some(1.2), p50, "ms", Some(p50 / floor));
    table.put("one small file written and synced, p50", None, floor, "ms", None);
}

/// One paired agent with a grant.
pub(crate) struct Library {
    runtime: tokio::runtime::Runtime,
    agent: Agent,
    asked: Cell<usize>,
}

impl Library {
    pub(crate) fn new(approver: &Approver) -> Self {
        let (runtime, agent) = (runtime(), agent(approver, "requests"));
        runtime.block_on(pair(approver, &agent));
        let library = Self { runtime, agent, asked: Cell::new(0) };
        std::thread::scope(|scope| {
            scope.spawn(|| approver.approve_all());
            library.ask(1, 1);
        });
        library
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.get()
    }

    async fn once(&self) {
        let request =
            self.agent.prepare(Ask::new(Domain::parse(DOMAIN).unwrap(), "to book the flight")).unwrap();
        let approval = self.agent.request(&request, Wait::UntilDecided).await.unwrap();
        assert!(approval.credential.password.is_some());
    }

    /// So many, several at a time.
    pub(crate) fn ask(&self, count: usize, at_once: usize) {
        let begun = Cell::new(0);
        self.runtime.block_on(futures_util::future::join_all((0..at_once).map(|_| async {
            while begun.get() < count {
                begun.set(begun.get() + 1);
                self.once().await;
            }
        })));
        self.asked.set(self.asked.get() + count);
    }

    /// One after the other, in ms.
    pub(crate) fn p50(&self, count: usize) -> f64 {
        self.asked.set(self.asked.get() + count);
        median((0..count).map(|_| {
            let started = Instant::now();
            self.runtime.block_on(self.once());
            started.elapsed()
        }))
    }
}
