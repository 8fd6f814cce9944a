//! Whole processes: from the start to the exit.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use durward_protocol::TypedCode;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use serde_json::json;

use super::SAMPLES;
use super::approver::{Approver, DOMAIN, durward};
use super::load::median;
use super::table::Table;

/// Median time, and CPU each, in ms.
pub(crate) fn measure(mut command: impl FnMut() -> Command) -> (f64, f64) {
    let before = children_cpu();
    let wall = median((0..SAMPLES).map(|_| {
        let mut command = command();
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let started = Instant::now();
        let status = command.status().unwrap();
        assert!(status.success(), "{status}");
        started.elapsed()
    }));
    (wall, children_cpu().saturating_sub(before).as_secs_f64() * 1e3 / SAMPLES as f64)
}

fn children_cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(u64::try_from(micros).unwrap())
}

pub(crate) fn starts(table: &mut Table) {
    let home = tempfile::tempdir().unwrap();
    let (floor, _) = measure(|| Command::new("/bin/true"));
    let (version, cpu) = measure(|| {
        let mut command = durward(home.path());
        command.arg("--version");
        command
    });
    table.put("a process that does nothing", None, floor, "ms", None);
    table.put("durward --version", None, version, "ms", Some(version / floor));
    table.put("durward --version, CPU", None, cpu, "ms", None);
}

/// `durward request --json` with a stored session and a grant.
pub(crate) fn request(approver: &Approver, table: &mut Table) {
    let home = tempfile::tempdir().unwrap();
    let command = || {
        let mut command = durward(home.path());
        command.args(["request", DOMAIN, "--reason", "to book the flight", "--json"]);
        command.env("DURWARD_APPROVER", approver.url());
        command
    };
    let mut first = command().stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(first.stderr.take().unwrap()).lines();
    let typed = lines
        .by_ref()
        .find_map(|line| line.unwrap().trim().trim_matches('│').trim().parse::<TypedCode>().ok());
    let typed = typed.unwrap();
    let body = json!({ "number": typed.number, "code": typed.code.expose_digits() });
    while approver.owner().post("/pairings/enter", &body).unwrap().status != 200 {}
    std::thread::spawn(move || lines.for_each(drop));
    approver.approve_all();
    assert!(first.wait().unwrap().success());
    let (wall, cpu) = measure(command);
    let (floor, _) = measure(|| Command::new("/bin/true"));
    table.put("durward request --json, stored session", Some(7.0), wall, "ms", Some(wall / floor));
    table.put("durward request --json, CPU", None, cpu, "ms", None);
}
