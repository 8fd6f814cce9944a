//! The rest keys in a real Secret Service, GNOME's, on a bus of the test's own; and without one.

use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::home::{Daemon, Home, Process};
use crate::stream::PATIENCE;

/// A session bus in a folder of its own.
pub(crate) struct Bus {
    folder: TempDir,
    _daemon: Process,
    keyring: Option<Process>,
}

impl Bus {
    /// Only the bus.
    pub(crate) fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("bus-").tempdir().unwrap();
        // No folder with services: the bus starts nothing by itself, such as a second keyring.
        let config = format!(
            "<busconfig><type>session</type><listen>unix:path={}</listen><policy context=\"default\">\
            <allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/><allow own=\"*\"/>\
            </policy></busconfig>",
            folder.path().join("bus").display()
        );
        let file = folder.path().join("bus.conf");
        std::io::Write::write_all(&mut std::fs::File::create(&file).unwrap(), config.as_bytes()).unwrap();
        let mut daemon = Command::new("dbus-daemon");
        daemon
            .args(["--nofork", "--nopidfile", "--print-address"])
            .arg(format!("--config-file={}", file.display()))
            .env_clear()
            .env("HOME", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let daemon = Home::start_with(&mut daemon); // scripts/setup-tests.sh installs it
        daemon.stdout.wait_for("unix:path=");
        Self { folder, _daemon: daemon, keyring: None }
    }

    /// With an unlocked keyring on it.
    pub(crate) fn with_keyring() -> Self {
        let mut bus = Self::start();
        let mut keyring = Command::new("gnome-keyring-daemon");
        keyring
            .args(["--foreground", "--unlock", "--components=secrets", "--control-directory"])
            .arg(bus.folder.path().join("control"))
            .env_clear()
            .env("HOME", bus.folder.path())
            .env("XDG_RUNTIME_DIR", bus.folder.path())
            .env("DBUS_SESSION_BUS_ADDRESS", bus.address())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut keyring = Home::start_with(&mut keyring);
        keyring.say("a password of the keyring");
        keyring.close_stdin();
        bus.keyring = Some(keyring);
        bus.wait_for_keyring();
        bus
    }

    pub(crate) fn address(&self) -> String {
        format!("unix:path={}", self.folder.path().join("bus").display())
    }

    /// Asks the way Durward asks, each time as a process, until the keyring answers.
    fn wait_for_keyring(&self) {
        let home = Home::empty();
        let keyring = self.keyring.as_ref().unwrap();
        let opened = self.folder.path().join(".local/share/keyrings/login.keyring");
        let deadline = std::time::Instant::now() + 2 * PATIENCE;
        while std::time::Instant::now() < deadline {
            let mut doctor = home.command(&["doctor", "--json"]);
            let doctor = Home::start_with(self.environment(&mut doctor, "keyring")).finish();
            let checks = doctor.json()["checks"].as_array().unwrap().clone();
            let key = checks.into_iter().find(|check| check["check"] == "rest key").unwrap();
            if key["state"] == "ok" && opened.exists() {
                return;
            }
        }
        panic!("the keyring never answered: {}", keyring.stderr.text());
    }

    fn environment<'a>(&self, command: &'a mut Command, choice: &str) -> &'a mut Command {
        command.env("DBUS_SESSION_BUS_ADDRESS", self.address()).env("DURWARD_REST_KEY", choice)
    }

    fn serve(&self, home: &Home, choice: &str) -> Daemon {
        let mut command = home.command(&["serve", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"]);
        Home::served(Home::start_with(self.environment(&mut command, choice)))
    }

    /// An agent asks; with a code to type when it has to pair.
    fn ask(&self, owner: &Home, agent: &Home, daemon: &Daemon, choice: &str, pair: bool) -> String {
        let url = daemon.url();
        let arguments =
            ["request", "example.com", "--reason", "test", "--approver", &url, "--field", "password"];
        let mut command = agent.command(&arguments);
        let asking = Home::start_with(self.environment(&mut command, choice));
        if pair {
            let entered = owner.enter(&asking.code());
            assert_eq!(entered.code, 0, "{entered:?}");
        }
        let approved = owner.approve_first();
        assert_eq!(approved.code, 0, "{approved:?}");
        let finished = asking.finish();
        assert_eq!(finished.code, 0, "{finished:?}");
        finished.stdout
    }
}

/// Its folder is free afterwards.
fn stop(owner: &Home, daemon: Daemon) {
    assert_eq!(owner.run(&["down"]).code, 0);
    assert_eq!(daemon.process.finish().code, 0);
}

fn places(home: &Home, folder: &str) -> (bool, bool) {
    let there = |name: &str| home.path(&format!("{folder}/{name}")).exists();
    (there("rest.key"), there("rest.key.keyring"))
}

const IN_KEYRING: (bool, bool) = (false, true);
const IN_FILE: (bool, bool) = (true, false);

#[test]
fn keys_live_in_the_keyring_and_move_without_ending_a_session() {
    let bus = Bus::with_keyring();
    let (owner, agent) = (Home::with_vault(), Home::empty());
    let (keys, agents_keys) = ("keys", "agents/.keys");
    let mut daemon = bus.serve(&owner, "keyring");
    let password = bus.ask(&owner, &agent, &daemon, "keyring", true);
    assert_eq!(places(&owner, keys), IN_KEYRING);
    assert_eq!(places(&agent, agents_keys), IN_KEYRING);

    // To files and back: the same session goes on.
    for (choice, place) in
        [("file", IN_FILE), ("auto", IN_FILE), ("keyring", IN_KEYRING), ("auto", IN_KEYRING)]
    {
        stop(&owner, daemon);
        daemon = bus.serve(&owner, choice);
        assert_eq!(bus.ask(&owner, &agent, &daemon, choice, false), password, "{choice}");
        assert_eq!(places(&owner, keys), place, "{choice}");
        assert_eq!(places(&agent, agents_keys), place, "{choice}");
    }

    // Without the bus the key cannot be had; nobody takes that for a lost key.
    stop(&owner, daemon);
    let refused = owner.run(&["serve", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("unlock the keyring"), "{refused:?}");
    let refused = agent.run(&["agent", "status", "--json"]);
    assert_eq!(refused.code, 3, "{refused:?}");
    assert_eq!(refused.json()["error"]["code"], "rest_key_unreachable");
    let daemon = bus.serve(&owner, "auto");
    assert_eq!(bus.ask(&owner, &agent, &daemon, "auto", false), password);

    // A keyring that answers and is empty: the key is lost, sessions end, and both ends say so.
    stop(&owner, daemon);
    let empty = Bus::with_keyring();
    let daemon = empty.serve(&owner, "auto");
    daemon.process.stderr.wait_for("the rest key is not the one from before");
    assert!(owner.json(&["sessions"])["sessions"].as_array().unwrap().is_empty());
    let mut status = agent.command(&["agent", "status", "--json"]);
    let status = Home::start_with(empty.environment(&mut status, "auto")).finish();
    assert_eq!(status.json()["error"]["code"], "rest_key_lost", "{status:?}");
}

/// A bus on which nobody ever answers: waited for, but not for ever.
#[test]
fn a_keyring_that_hangs_is_given_up() {
    let home = Home::with_vault();
    let socket = home.path("hang");
    let _listener = UnixListener::bind(&socket).unwrap();
    let mut command = home.command(&["serve", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"]);
    command
        .env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", socket.display()))
        .env("DURWARD_REST_KEY", "auto");
    let daemon = Home::served(Home::start_with(&mut command));
    assert!(daemon.process.stderr.text().contains("no keyring: the rest key lies in a file"));
    assert_eq!(places(&home, "keys"), IN_FILE);
}

#[test]
fn without_a_keyring_it_is_a_file_and_a_wrong_word_is_said() {
    let home = Home::with_vault();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"];
    let wrong = Home::start_with(home.command(&arguments).env("DURWARD_REST_KEY", "drawer")).finish();
    assert_eq!(wrong.code, 64, "{wrong:?}");
    assert!(wrong.stderr.contains("auto, keyring or file"), "{wrong:?}");
    let asked = Home::start_with(home.command(&arguments).env("DURWARD_REST_KEY", "keyring")).finish();
    assert_eq!(asked.code, 1, "{asked:?}");
    assert!(asked.stderr.contains("no bus"), "{asked:?}");
    let _daemon = home.serve(); // in one folder: the file is the default
    assert_eq!(places(&home, "keys"), IN_FILE);
}
