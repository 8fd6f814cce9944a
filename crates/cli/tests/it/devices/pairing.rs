//! Two daemons on one machine, `--address` between them: what both owners see, whatever the answer.

use durward_protocol::Code;
use serde_json::Value;

use crate::env::{Terminal, TestEnvironment};
use crate::home::{Daemon, Finished, Home, Process};

/// A device whose daemon runs.
pub(super) struct Device {
    pub(super) env: TestEnvironment,
    pub(super) home: Home,
    pub(super) daemon: Daemon,
}

impl Device {
    pub(super) fn start(name: &str) -> Self {
        let env = TestEnvironment::new();
        let home = Home::around(env.home());
        let daemon = home.serve_with(&["--device-name", name]);
        Self { env, home, daemon }
    }

    fn address(&self) -> String {
        self.daemon.listen.to_string()
    }

    /// `durward pair` on a terminal, the code on its screen, and what stands there before and behind it.
    fn show_code(&self) -> (Terminal, String, String) {
        let mut screen = self.env.terminal(&["pair"]);
        let before = screen.wait_for("PAIRING CODE: ");
        let code = screen.wait_for(" ");
        assert!(code.parse::<Code>().is_ok(), "{code:?}");
        let shown = format!("{before}PAIRING CODE: {code} {}", screen.wait_for("Waiting for connection..."));
        (screen, code, shown)
    }

    /// `durward pair --code …` against another one.
    pub(super) fn join(&self, code: &str, other: &Self) -> Process {
        self.home.start(&["pair", "--code", code, "--address", &other.address()])
    }

    /// Both without a person. `other` shows the code.
    pub(super) fn pair_with(&self, other: &Self) {
        let showing = other.home.start(&["pair", "--yes", "--json"]);
        let code = code_of(&showing);
        let joined = self.join(&code, other).finish();
        assert_eq!(joined.code, 0, "{joined:?}");
        let shown = showing.finish();
        assert_eq!((shown.code, &shown.json()["success"]), (0, &Value::Bool(true)), "{shown:?}");
    }

    /// A command that must work.
    pub(super) fn ok(&self, arguments: &[&str]) -> String {
        let finished = self.home.run(arguments);
        assert_eq!(finished.code, 0, "{arguments:?} {finished:?}");
        finished.stdout
    }

    pub(super) fn wait<T>(&self, arguments: &[&str], found: impl Fn(&Value) -> Option<T>) -> T {
        self.home.wait_json(arguments, found)
    }
}

pub(super) fn code_of(process: &Process) -> String {
    process.stderr.wait("a code", |text| {
        let code = text.split("PAIRING CODE: ").nth(1)?.get(..6)?;
        code.parse::<Code>().is_ok().then(|| code.to_owned())
    })
}

fn settings() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", "[id]");
    settings.add_filter(r"[0-9a-f]{8}\.\.\.[0-9a-f]{8}", "[key]");
    settings.add_filter(r"[0-9a-f]{64}", "[whole key]");
    settings.add_filter(r"(PAIRING CODE: |--code )\d{6}", "$1[code]");
    settings.add_filter(r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "[time]");
    settings.add_filter(r"\d{4}-\d\d-\d\d \d\d:\d\dZ", "[time]");
    settings.add_filter(r"(127\.0\.0\.1|\[::1\]):\d+", "[address]");
    settings.add_filter(r"(?m)^  [a-z]+(-[a-z]+)+\r?$", "  [two-words]");
    settings.add_filter(r"\x1b\[[0-9;?]*[A-Za-z]", "");
    settings.add_filter(r"expires in \d+ seconds", "expires in [n] seconds");
    settings
}

/// The terminal's library makes a character of each byte.
fn utf8(text: &str) -> String {
    let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_else(|| text.to_owned())
}

fn snapshot(name: &str, text: &str) {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    settings().bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn a_person_pairs_two_devices() {
    let (laptop, desktop) = (Device::start("laptop"), Device::start("desktop"));
    let (mut screen, code, shown) = laptop.show_code();
    assert!(shown.starts_with("Starting pairing session...\r\n"), "{shown}");
    let joining = desktop.join(&code, &laptop);
    let asked = screen.answer("Accept this device? [y/N] ", "y");
    let asked = format!("{shown}Waiting for connection...{asked}Accept this device? [y/N] ");
    let (ended, rest) = screen.end();
    assert_eq!(ended, 0, "{rest}");
    let joined = joining.finish();
    assert_eq!(joined.code, 0, "{joined:?}");
    for shown in [rest.as_str(), joined.stdout.as_str()] {
        assert!(shown.contains(
            "Device paired successfully!\nThe devices will now sync automatically when discovered on the network."
        ));
    }
    snapshot("pair_asked", &utf8(&asked));
    snapshot("pair_joined", &joined.shown());

    // Whoever joined knows where the other one is; a drop goes that way, and what comes back finds its way.
    let listed = desktop.ok(&["devices"]);
    assert!(listed.contains("laptop") && listed.contains(&laptop.address()), "{listed}");
    laptop.wait(&["devices"], |all| all["devices"].get(0)?["name"].as_str().map(str::to_owned));
    for (device, name) in [(&laptop, "laptop"), (&desktop, "desktop")] {
        for file in ["laptop.pub", "desktop.pub"] {
            assert!(device.env.path("sync/keys").join(file).is_file(), "{name} has {file}");
        }
    }
}

/// What the one with the code and the one that joins see, and their exit codes.
fn both(name: &str, shows: Finished, joins: Finished, codes: (i32, i32)) {
    assert_eq!((shows.code, joins.code), codes, "{shows:?} {joins:?}");
    snapshot(name, &format!("$ durward pair\n{}\n$ durward pair --code …\n{}", shows.shown(), joins.shown()));
}

#[test]
fn no_wrong_codes_and_interrupts_pair_nothing() {
    let (laptop, desktop) = (Device::start("laptop"), Device::start("desktop"));
    let end = |screen: Terminal| {
        let (code, stderr) = screen.end();
        Finished { code, stdout: String::new(), stderr }
    };

    let (mut screen, code, _) = laptop.show_code();
    let joining = desktop.join(&code, &laptop);
    screen.answer("Accept this device? [y/N] ", "n");
    both("pair_rejected", end(screen), joining.finish(), (6, 6));

    let (screen, code, _) = laptop.show_code();
    let other = format!("{}", 100_000 + (code.parse::<u32>().unwrap() - 99_999) % 900_000);
    let joined = desktop.join(&other, &laptop).finish();
    both("pair_wrong_code", end(screen), joined, (5, 5));

    let (mut screen, code, _) = laptop.show_code();
    screen.control('c');
    let interrupted = end(screen);
    let joined = desktop.join(&code, &laptop).finish();
    assert_eq!(interrupted.code, 130, "{interrupted:?}");
    assert_ne!(joined.code, 0, "{joined:?}");
    snapshot("pair_cancelled", &joined.shown());

    let (mut screen, code, _) = laptop.show_code();
    let joining = desktop.join(&code, &laptop);
    screen.wait_for("Accept this device? [y/N] ");
    screen.control('c');
    both("pair_interrupted", end(screen), joining.finish(), (130, 7));

    let nobody = desktop.home.run(&["pair", "--code", "847293"]);
    assert_ne!(nobody.code, 0);
    snapshot("pair_nobody", &nobody.shown());
    for device in [&laptop, &desktop] {
        assert_eq!(device.home.json(&["devices"])["devices"], Value::Array(Vec::new()));
    }
}

#[test]
fn a_joiner_that_gives_up_ends_the_question() {
    let (laptop, desktop) = (Device::start("laptop"), Device::start("desktop"));
    let (mut screen, code, _) = laptop.show_code();
    let joining = desktop.join(&code, &laptop);
    screen.wait_for("Accept this device? [y/N] ");
    joining.signal(nix::sys::signal::Signal::SIGINT);
    let (ended, shown) = screen.end();
    assert_eq!(ended, 12, "{shown}");
    assert!(shown.contains("The pairing was cancelled"), "{shown}");
    assert_eq!(joining.finish().code, 130);
    for device in [&laptop, &desktop] {
        assert_eq!(device.home.json(&["devices"])["devices"], Value::Array(Vec::new()));
    }
}

#[test]
fn a_name_that_is_taken_is_said_at_both_ends() {
    let (laptop, twin, other) = (Device::start("laptop"), Device::start("twin"), Device::start("twin"));
    twin.pair_with(&laptop);
    let showing = laptop.home.start(&["pair", "--yes", "--json"]);
    let joined = other.join(&code_of(&showing), &laptop).finish();
    assert_eq!(joined.code, 0, "{joined:?}");
    let shown = showing.finish();
    let answer = shown.json();
    assert_eq!((&answer["device"]["device_name"], &answer["name"]), (&"twin".into(), &"twin-2".into()));
    // These two search no network: the one with the code does not know where the other one is.
    assert!(shown.stderr.contains("set-address \"twin-2\" HOST:PORT"), "{shown:?}");
}

#[test]
fn lifting_a_pause_asks_first() {
    let laptop = Device::start("laptop");
    let refused = laptop.home.run(&["pair", "--resume"]);
    assert_ne!(refused.code, 0, "{refused:?}");
    assert!(
        refused.stderr.contains("somebody may be guessing") && refused.stderr.contains("--yes"),
        "{refused:?}"
    );
    assert_eq!(laptop.ok(&["pair", "--resume", "--yes"]), "Pairing was not stopped\n");
}

#[test]
fn a_key_file_put_there_by_hand_is_no_pairing() {
    let (laptop, desktop) = (Device::start("laptop"), Device::start("desktop"));
    laptop.env.file("photo", "a photograph");
    let card = "sync/keys/desktop.pub";
    std::fs::copy(desktop.env.path(card), laptop.env.path(card)).unwrap();
    let file = laptop.env.path("photo").display().to_string();
    let sealed = laptop.home.run(&["seal", "--to", "desktop", &file]);
    assert_eq!(sealed.code, 0, "{sealed:?}");
    assert!(sealed.stderr.contains("this device is not paired with it"), "{sealed:?}");
    desktop.pair_with(&laptop);
    let sealed = laptop.home.run(&["seal", "--to", "desktop", "--force", &file]);
    assert!(!sealed.stderr.contains("not paired"), "{sealed:?}");
}

#[test]
fn an_agents_code_is_no_devices_code() {
    let device = Device::start("laptop");
    let agent = Home::empty();
    let url = device.daemon.url();
    let asking = agent.start(&["request", "example.com", "--reason", "x", "--approver", &url]);
    let (_, code) = { asking.code() }.split_once('-').map(|(n, c)| (n.to_owned(), c.to_owned())).unwrap();
    device.wait(&["pairing"], |list| list["pairings"].get(0).cloned());
    let joined = device.home.run(&["pair", "--code", &code]);
    assert_ne!(joined.code, 0);
    assert!(joined.stderr.contains("type it at the approver"), "{joined:?}");
}

#[test]
fn drops_names_and_addresses() {
    let (laptop, desktop) = (Device::start("laptop"), Device::start("desktop"));
    desktop.pair_with(&laptop);
    let mut shown = String::new();
    let mut run = |device: &Device, arguments: &[&str]| {
        let name = if std::ptr::eq(device, &raw const laptop) { "laptop" } else { "desktop" };
        let finished = device.home.run(arguments);
        let text = format!("{name}$ durward {}\n{}\n", arguments.join(" "), finished.shown());
        shown.push_str(&text);
        finished
    };
    desktop.env.file("wifi.txt", "swordfish");
    run(&desktop, &["inbox"]);
    let sent = run(&desktop, &["send", "laptop", "wifi.txt"]);
    assert_eq!(sent.code, 0, "{sent:?}");
    laptop.wait(&["inbox"], |inbox| inbox["items"].get(0).cloned());
    run(&laptop, &["inbox"]);
    run(&laptop, &["inbox", "save", "1"]);
    assert_eq!(std::fs::read_to_string(laptop.env.path("wifi.txt")).unwrap(), "swordfish");
    laptop.env.file("wifi.txt", "changed since");
    run(&laptop, &["inbox", "save", "1"]);
    assert_eq!(std::fs::read_to_string(laptop.env.path("wifi.txt")).unwrap(), "changed since");
    assert_eq!(std::fs::read_to_string(laptop.env.path("wifi-2.txt")).unwrap(), "swordfish");
    run(&laptop, &["inbox", "save", "1", "-o", "wifi.txt"]);
    let printed = run(&laptop, &["inbox", "save", "1", "-o", "-"]);
    assert_eq!(printed.stdout, "swordfish");
    run(&laptop, &["inbox", "save", "7"]);
    run(&laptop, &["inbox", "remove", "1"]);
    assert_eq!(laptop.home.json(&["inbox"])["items"], Value::Array(Vec::new()));

    run(&laptop, &["devices", "set-address", "desktop", "nonsense"]);
    let address = desktop.address();
    run(&laptop, &["devices", "set-address", "desktop", &address]);
    let sent = laptop.home.run_with(&["send", "desktop", "-", "--name", "note"], "from a pipe");
    assert_eq!(sent.code, 0, "{sent:?}");
    desktop.wait(&["inbox"], |inbox| inbox["items"].get(0).cloned());
    assert_eq!(desktop.ok(&["inbox", "save", "1", "-o", "-"]), "from a pipe");
    desktop.env.file("large", &"x".repeat(20_000));
    run(&desktop, &["send", "laptop", "large"]);
    run(&desktop, &["send", "nobody", "wifi.txt"]);
    run(&desktop, &["send", "desktop", "wifi.txt"]);

    run(&desktop, &["devices", "rename", "laptop", "a/b"]);
    run(&desktop, &["devices", "rename", "laptop", "desktop"]);
    run(&desktop, &["devices", "rename", "laptop", "notebook"]);
    assert!(desktop.env.path("sync/keys/notebook.pub").is_file());
    run(&desktop, &["devices", "rename", "desktop", "tower"]);
    laptop.wait(&["devices"], |all| (all["devices"][0]["name"] == "tower").then_some(()));
    snapshot("drops_names_addresses", &shown);
}

#[test]
fn removing_a_device_and_making_new_keys() {
    let (laptop, desktop) = (Device::start("laptop"), Device::start("desktop"));
    desktop.pair_with(&laptop);
    std::fs::remove_file(laptop.env.path("sync/keys/desktop.pub")).unwrap();
    let refused = laptop.home.run(&["devices", "remove", "desktop", "--yes"]);
    assert_eq!(refused.code, 4, "the file is gone, so is the device: {refused:?}");
    laptop.wait(&["devices"], |all| all["devices"].as_array()?.is_empty().then_some(()));

    desktop.ok(&["devices", "remove", "laptop", "--yes"]);
    assert!(!desktop.env.path("sync/keys/laptop.pub").exists());
    desktop.pair_with(&laptop);

    laptop.env.file("secret", "content");
    laptop.ok(&["seal", "--to", "desktop", "secret"]);
    let before = laptop.home.json(&["devices", "fingerprint", "laptop"]);
    let asked = laptop.home.run(&["devices", "rotate"]);
    assert_eq!(asked.code, 64, "{asked:?}");
    let rotated = laptop.home.json(&["devices", "rotate", "--yes"]);
    assert_eq!(rotated["removed"], serde_json::json!(["desktop"]), "{rotated}");
    let after = laptop.home.json(&["devices", "fingerprint", "laptop"]);
    assert_ne!(before["devices"][0]["public_key"], after["devices"][0]["public_key"]);
    assert_eq!(before["devices"][0]["device_id"], after["devices"][0]["device_id"]);

    // Sealed for this device's old key: still opened. Signed with the old key of the other: still known there.
    std::fs::copy(laptop.env.path("secret.age"), desktop.env.path("secret.age")).unwrap();
    let opened = desktop.home.run(&["open", "secret.age"]);
    assert_eq!(opened.code, 0, "{opened:?}");
    desktop.ok(&["seal", "--to", "laptop", "secret", "-o", "back.age"]);
    std::fs::copy(desktop.env.path("back.age"), laptop.env.path("back.age")).unwrap();
    let stranger = laptop.home.run(&["open", "back.age"]);
    assert_eq!(stranger.code, 9, "desktop is no peer any more: {stranger:?}");
    laptop.ok(&["open", "back.age", "--allow-stranger"]);
    assert_eq!(std::fs::read_to_string(laptop.env.path("back")).unwrap(), "content");

    desktop.pair_with(&laptop);
    laptop.wait(&["devices"], |all| all["devices"].get(0).cloned());
}
