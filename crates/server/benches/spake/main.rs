//! Exchanges through REST, beside the bare cryptography of the same suite and beside Flask with PyPI `spake2`.
//!
//! ```text
//! cargo bench -p durward-server --bench spake [-- --seconds 2 --rounds 3 --no-flask --json FILE]
//! ```
//!
//! An exchange is `initiate` and `exchange`, with a token, over 32 connections that are kept. Server and generator
//! share the machine. "bare" is our key pair and the shared key from one good message, as a library's example does
//! it: no JSON, no checks, no confirmation. CPU time is what counts; "of bare" is bare CPU through the server's CPU
//! an exchange, the share of its cores' time that the service leaves to the cryptography. Everything is measured in
//! turn, several times over, and the best of each is shown: a busy machine only makes things slower.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a bench prints, writes its rows and may panic"
)]

mod bare;
mod flask;
mod load;

use std::path::Path;
use std::time::Duration;

use durward_broker::spake::Suite;
use durward_server::{Clock, Home, Limits, SpakeAccess, SpakeConfig, SpakeServer};

use load::{Load, Rate};

/// What is measured, and its best so far.
struct Case {
    name: &'static str,
    suite: Suite,
    password: &'static str,
    key: &'static str,
    bare_micros: f64,
    service: Option<Rate>,
}

const W: &str = "2ee57912099d31560b3a44b1184b9b4866e904c49d12ac5042c97dca461b1a5f";
const KEY_P256: &str = "04a56fa807caaa53a4d28dbb9853b9815c61a411118a6fe516a8798434751470f9010153ac33d0d5f2047ffdb1a3e42c9b4e6be662766e1eeb4116988ede5f912c";
const KEY_ED25519: &str = "41262d0f891ddc5697075c089ad722c1b8bbb643aa50218db38f59fe4cce961f85";

fn main() {
    let number = |flag: &str, otherwise: u64| {
        let mut arguments = std::env::args().skip_while(|argument| argument != flag).skip(1);
        arguments.next().map_or(otherwise, |value| value.parse().expect("a number"))
    };
    let time = Duration::from_secs(number("--seconds", 2));
    let rounds = number("--rounds", 3);
    let with_flask = !std::env::args().any(|argument| argument == "--no-flask");

    let case = |name, suite, password, key| Case {
        name,
        suite,
        password,
        key,
        bare_micros: f64::MAX,
        service: None,
    };
    let mut cases = [
        case("spake2-ed25519", Suite::Spake2Ed25519, "847293", KEY_ED25519),
        case("p256-sha256-raw", Suite::P256Sha256Raw, W, KEY_P256),
        case("p256-sha256, with the stretch", Suite::P256Sha256, "847293", KEY_P256),
    ];
    let folder = tempfile::tempdir().unwrap();
    let home = Home::open(folder.path()).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = SpakeConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        access: SpakeAccess::Token(home.clone()),
        limits: Limits::default(),
    };
    let running = runtime.block_on(SpakeServer::start(config, Clock::system())).unwrap();
    let token = std::fs::read_to_string(home.token("spake")).unwrap();
    let mut flask = with_flask.then(|| flask::Flask::start(Path::new(env!("CARGO_MANIFEST_DIR"))));
    let mut flask_best: Option<Rate> = None;

    for _ in 0..rounds {
        for case in &mut cases {
            case.bare_micros =
                case.bare_micros.min(bare::micros(case.suite, case.password, case.key, time / 2));
            let load = Load {
                address: running.listen,
                token: &token,
                suite: Some(case.suite.name()),
                password: case.password,
                key: case.key,
            };
            let rate = load::run(&load, time, load::own_cpu);
            case.service = Some(Rate::best(case.service.take(), rate));
        }
        if let Some(flask) = &mut flask {
            let load =
                Load { address: flask.address, token: "", suite: None, password: "847293", key: KEY_ED25519 };
            let rate = load::run(&load, time, || flask.cpu());
            flask_best = Some(Rate::best(flask_best.take(), rate));
        }
    }
    report(&cases, flask_best.as_ref());
    if let Some(path) = std::env::args().skip_while(|argument| argument != "--json").nth(1) {
        std::fs::write(path, json(&cases, flask_best.as_ref())).unwrap();
    }
    runtime.block_on(running.stop());
}

/// The rows of the table that `make bench` prints.
fn json(cases: &[Case], flask: Option<&Rate>) -> String {
    let row = |name: String, goal: Option<f64>, measured: f64, unit: &str, ratio: Option<f64>| serde_json::json!({ "name": name, "goal": goal, "measured": measured, "unit": unit, "ratio_to_floor": ratio });
    let mut rows = Vec::new();
    for case in cases {
        let Some(rate) = &case.service else { continue };
        let (name, of_bare) = (case.name, 100.0 * case.bare_micros / rate.server_micros);
        let goal = (case.suite == Suite::Spake2Ed25519).then_some(8_000.0);
        rows.push(row(format!("SPAKE {name}"), goal, rate.per_second, "1/s", None));
        rows.push(row("  of the bare rate".into(), Some(80.0), of_bare, "%", None));
        rows.push(row("  server CPU".into(), None, rate.server_micros, "µs", Some(100.0 / of_bare)));
    }
    if let Some(rate) = flask {
        rows.push(row("Flask, PyPI spake2 (Ed25519)".into(), None, rate.per_second, "1/s", None));
    }
    serde_json::json!({ "figures": rows }).to_string()
}

fn report(cases: &[Case], flask: Option<&Rate>) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!(
        "{cores} cores, {} connections, server and generator together; best of each\n",
        load::CONNECTIONS
    );
    println!(
        "{:<32}{:>9}{:>13}{:>13}{:>13}{:>9}",
        "", "a second", "server CPU", "bare CPU", "generator", "of bare"
    );
    for case in cases {
        let Some(rate) = &case.service else { continue };
        println!(
            "{:<32}{:>9.0}{:>10.1} µs{:>10.1} µs{:>10.1} µs{:>8.0}%",
            case.name,
            rate.per_second,
            rate.server_micros,
            case.bare_micros,
            rate.generator_micros,
            100.0 * case.bare_micros / rate.server_micros
        );
    }
    if let (Some(flask), Some(ours)) = (flask, cases.first().and_then(|case| case.service.as_ref())) {
        println!(
            "{:<32}{:>9.0}{:>10.1} µs",
            "Flask, PyPI spake2 (Ed25519)", flask.per_second, flask.server_micros
        );
        println!(
            "\nthe Ed25519 suite against Flask: {:.0} times the exchanges, {:.0} times less CPU each",
            ours.per_second / flask.per_second,
            flask.server_micros / ours.server_micros
        );
    }
}
