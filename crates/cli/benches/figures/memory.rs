//! What an approver holds and does while nothing happens.

use std::time::Duration;

use durward_testkit::wire::Wire;

use super::approver::{Approver, DOMAIN};
use super::table::Table;

/// How long an idle approver is watched.
const WATCHED: Duration = Duration::from_secs(10);

const SESSIONS: usize = 500;

pub(crate) fn idle(table: &mut Table) {
    let approver = Approver::start();
    std::thread::sleep(Duration::from_secs(15)); // what the start needed has ended, its threads too
    let before = approver.switches();
    std::thread::sleep(WATCHED);
    let woken = approver.switches() - before;
    table.put("idle approver, resident", Some(8.0), approver.resident() as f64 / 1024.0, "MiB", None);
    let own = approver.own_memory() as f64 / 1024.0;
    table.put("of that, not pages of the program's file", None, own, "MiB", None);
    table.put("idle approver, wake-ups in 10 s", Some(0.0), woken as f64, "", None);
}

pub(crate) fn sessions_and_waiting(table: &mut Table) {
    let approver = Approver::start();
    let mut rng = rand::rng();
    let mut agents = approver.pair(20, &mut rng); // what every later one finds there
    let before = approver.resident();
    let mut wire = Wire::agent_plane(approver.listen).unwrap();
    let mut owner = approver.owner();
    let more = (0..SESSIONS).map(|n| {
        durward_testkit::wire::WireAgent::pair(&mut wire, &mut owner, &format!("idle-{n}"), &mut rng).unwrap()
    });
    agents.extend(more);
    drop((wire, owner));
    let paired = approver.resident();
    let each = paired.saturating_sub(before) as f64 / SESSIONS as f64;
    table.put("an idle session", Some(4.0), each, "KiB", None);
    let held: Vec<_> = agents
        .iter()
        .map(|agent| {
            let mut wire = Wire::agent_plane(approver.listen).unwrap();
            let (_, body) = agent.request(DOMAIN, time::OffsetDateTime::now_utc(), &mut rng).unwrap();
            wire.send("POST", "/credential/request", "prefer: wait=300\r\n", &body).unwrap();
            wire
        })
        .collect();
    loop {
        let list: serde_json::Value = approver.owner().get("/status").unwrap();
        if list["waiting_requests"].as_u64() == Some(held.len() as u64) {
            break;
        }
    }
    let each = approver.resident().saturating_sub(paired) as f64 * 1.024 / held.len() as f64;
    table.put("a waiting agent, with its connection", Some(10.0), each, "kB", None);
}
