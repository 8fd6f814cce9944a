//! What the owner is told without a screen.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::home::{Home, PASSWORD, VAULT_PASSWORD};
use crate::keyring::Bus;
use crate::stream::PATIENCE;

fn configure(home: &Home, text: &str) {
    let mut file = std::fs::File::create(home.path("config.toml")).unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
}

/// Each notice is a file of its own, there whole or not at all.
const HOOK: &str = r#"[notify]
command = ["sh", "-c", "t=$(mktemp \"$DURWARD_HOME/told/.XXXXXX\") && cat > \"$t\" && mv \"$t\" \"$DURWARD_HOME/told/$(basename \"$t\" | tr -d .).json\""]
"#;

fn told(home: &Home, event: &str) -> Value {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let files = std::fs::read_dir(home.path("told")).unwrap().map(|entry| entry.unwrap().path());
        let json = files.filter(|path| path.extension().is_some_and(|ending| ending == "json"));
        let mut notices = json.map(|path| {
            let text = std::fs::read_to_string(path).unwrap();
            serde_json::from_str::<Value>(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
        });
        if let Some(notice) = notices.find(|notice| notice["event"] == event) {
            return notice;
        }
        assert!(std::time::Instant::now() < deadline, "{event} was never told");
        std::thread::yield_now();
    }
}

#[test]
fn a_program_is_told_what_waits_and_no_secrets() {
    let (home, agent) = (Home::with_vault(), Home::empty());
    std::fs::DirBuilder::new().create(home.path("told")).unwrap();
    configure(&home, HOOK);
    let daemon = home.serve();
    let url = daemon.url();
    let asking = agent.start(&["request", "example.com", "--reason", "To \"test\"", "--approver", &url]);
    let code = asking.code();
    let pairing = told(&home, "pairing_waiting");
    assert_eq!(pairing["number"].as_u64().unwrap().to_string(), code.split_once('-').unwrap().0);
    assert_eq!(home.enter(&code).code, 0);
    let request = told(&home, "request_waiting");
    assert_eq!(
        (request["domain"].as_str(), request["reason"].as_str()),
        (Some("example.com"), Some("To \"test\""))
    );
    assert_eq!(home.approve_first().code, 0);
    assert_eq!(asking.finish().code, 0);
    for notice in [pairing, request] {
        let text = notice.to_string();
        for secret in [PASSWORD, VAULT_PASSWORD, code.split_once('-').unwrap().1] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[test]
fn a_program_that_cannot_be_run_stops_nothing() {
    let (home, agent) = (Home::with_vault(), Home::empty());
    configure(&home, "[notify]\ncommand = [\"/nonexistent/program\"]\n");
    let daemon = home.serve();
    let asking = agent.start(&["request", "example.com", "--reason", "test", "--approver", &daemon.url()]);
    assert_eq!(home.enter(&asking.code()).code, 0);
    daemon.process.stderr.wait_for("the program for notices failed");
    assert_eq!(home.approve_first().code, 0);
    assert_eq!(asking.finish().code, 0);
}

/// The call to the desktop is seen on the bus; whether a desktop is there to show it does not matter here.
#[test]
fn the_desktop_is_told() {
    let bus = Bus::start();
    let mut monitor = Command::new("dbus-monitor");
    monitor
        .args(["--address", &bus.address(), "interface='org.freedesktop.Notifications'"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let monitor = Home::start_with(&mut monitor);
    monitor.stdout.wait_for("NameAcquired");
    let (home, agent) = (Home::with_vault(), Home::empty());
    configure(&home, "[notify]\ndesktop = true\n");
    let mut serve = home.command(&["serve", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"]);
    let daemon = Home::served(Home::start_with(serve.env("DBUS_SESSION_BUS_ADDRESS", bus.address())));
    let arguments = ["request", "example.com", "--reason", "<b>now</b>", "--approver", &daemon.url()];
    let asking = agent.start(&arguments);
    let code = asking.code();
    monitor.stdout.wait_for("wants to pair");
    assert_eq!(home.enter(&code).code, 0);
    monitor.stdout.wait_for("asks for example.com");
    monitor.stdout.wait_for("&lt;b&gt;now&lt;/b&gt;");
    assert!(!monitor.stdout.text().contains(code.split_once('-').unwrap().1));
}
