//! Three daemons, each in a network namespace of its own, on one switch: they find each other by mDNS, one is cut
//! off and comes back, one is removed.
//!
//! Needs root and `ip` (Debian's iproute2). Elsewhere it says so, loudly, and tests nothing.

use std::io::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::pairing::code_of;
use crate::home::{Daemon, Home, Process};

/// A bound for a broken test. Finding each other takes seconds, and a device that was away is tried again with
/// growing pauses.
const PATIENCE: Duration = Duration::from_secs(150);

/// A switch with machines on it; all of it goes when this is dropped.
struct Network {
    id: String,
    machines: Vec<String>,
}

impl Network {
    /// `None` where namespaces cannot be made.
    fn new() -> Option<Self> {
        let network = Self { id: format!("dw{}", std::process::id()), machines: Vec::new() };
        if !nix::unistd::geteuid().is_root() || !Self::try_ip(&["netns", "add", &network.switch()]) {
            // Not by eprintln!, which a passing test swallows.
            let _ = writeln!(
                std::io::stderr(),
                "\n*** SKIPPED: devices in network namespaces. Run the tests as root, with iproute2, where \
                 namespaces are allowed. ***\n"
            );
            return None;
        }
        let switch = network.switch();
        Network::ip(&["-n", &switch, "link", "add", "br0", "type", "bridge", "mcast_snooping", "0"]);
        Network::ip(&["-n", &switch, "link", "set", "br0", "up"]);
        Some(network)
    }

    fn switch(&self) -> String {
        format!("{}-sw", self.id)
    }

    /// A machine with an address, and the namespace it is.
    fn machine(&mut self, number: usize) -> (String, String) {
        let (machine, switch) = (format!("{}-{number}", self.id), self.switch());
        let (cable, address) = (format!("v{number}"), format!("10.77.0.{number}"));
        Self::ip(&["netns", "add", &machine]);
        self.machines.push(machine.clone());
        let veth = ["link", "add", &cable, "type", "veth", "peer", "name", "eth0", "netns", &machine];
        Self::ip(&[&["-n", &switch][..], &veth].concat());
        Self::ip(&["-n", &switch, "link", "set", &cable, "master", "br0", "up"]);
        Self::ip(&["-n", &machine, "address", "add", &format!("{address}/24"), "dev", "eth0"]);
        Self::ip(&["-n", &machine, "link", "set", "lo", "up"]);
        Self::ip(&["-n", &machine, "link", "set", "eth0", "up"]);
        Self::ip(&["-n", &machine, "route", "add", "224.0.0.0/4", "dev", "eth0"]);
        (machine, address)
    }

    /// Pulls the cable of a machine, or puts it back.
    fn cable(&self, number: usize, state: &str) {
        Self::ip(&["-n", &self.switch(), "link", "set", &format!("v{number}"), state]);
    }

    fn ip(arguments: &[&str]) {
        assert!(Self::try_ip(arguments), "ip {}", arguments.join(" "));
    }

    fn try_ip(arguments: &[&str]) -> bool {
        Command::new("ip").args(arguments).output().is_ok_and(|run| run.status.success())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in self.machines.iter().chain([&self.switch()]) {
            let _ = Command::new("ip").args(["netns", "delete", name]).output();
        }
    }
}

struct Device {
    home: Home,
    _daemon: Daemon,
}

impl Device {
    fn start(network: &mut Network, number: usize, name: &str) -> Self {
        let home = Home::empty();
        let (machine, address) = network.machine(number);
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &machine, env!("CARGO_BIN_EXE_durward"), "serve", "--no-accounts"]);
        command.args(["--listen", &format!("{address}:5000"), "--control", "127.0.0.1:0"]);
        command.args(["--device-name", name]);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command.env("DURWARD_HOME", home.folder()).env("DURWARD_LOG", "info,mdns_sd=off");
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let daemon = Home::served(Home::start_with(&mut command));
        Self { home, _daemon: daemon }
    }

    fn show_code(&self) -> (Process, String, String) {
        let showing = self.home.start(&["pair", "--yes"]);
        let code = code_of(&showing);
        let tag = showing.stderr.text();
        let tag = tag.lines().map(str::trim).skip_while(|line| line.is_empty());
        let tag = { tag }.find(|line| line.contains('-') && !line.contains(' ')).unwrap().to_owned();
        (showing, code, tag)
    }

    /// Joins by the network alone. The search listens for two seconds; on a slow machine the other may not have
    /// announced itself by then, and the code is not used up by a search.
    fn join(&self, code: &str, more: &[&str]) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let joined = self.home.run(&[&["pair", "--code", code], more].concat());
            if joined.code == 0 {
                return;
            }
            let nobody = joined.stderr.contains("shows a code on this network");
            assert!(nobody && Instant::now() < deadline, "{joined:?}");
        }
    }

    fn send(&self, to: &str, text: &str) -> Value {
        let sent = self.home.run_with(&["send", to, "-", "--name", "note.txt", "--json"], text);
        assert_eq!(sent.code, 0, "{sent:?}");
        sent.json()
    }

    fn wait<T>(&self, what: &str, arguments: &[&str], found: impl Fn(&Value) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.home.json(arguments);
            if let Some(value) = found(&answer) {
                return value;
            }
            assert!(Instant::now() < deadline, "{what}: {answer}");
        }
    }

    /// Waits for a drop of this text and takes it.
    fn receive(&self, text: &str) {
        self.wait(text, &["inbox"], |inbox| inbox["items"].get(0).cloned());
        let got = self.home.run(&["inbox", "save", "1", "-o", "-"]);
        assert_eq!(got.stdout, text, "{got:?}");
        assert_eq!(self.home.run(&["inbox", "remove", "1"]).code, 0);
    }

    fn peers(&self) -> usize {
        self.home.json(&["devices"])["devices"].as_array().unwrap().len()
    }
}

#[test]
fn three_devices_on_a_network_of_their_own() {
    let Some(mut network) = Network::new() else { return };
    let laptop = Device::start(&mut network, 1, "laptop");
    let desktop = Device::start(&mut network, 2, "desktop");
    let phone = Device::start(&mut network, 3, "phone");

    // One code on the network: no address, no tag.
    let (showing, code, _) = laptop.show_code();
    desktop.join(&code, &[]);
    assert_eq!(showing.finish().code, 0);

    // Two codes: the tag says which.
    let (on_laptop, laptop_code, laptop_tag) = laptop.show_code();
    let (on_desktop, desktop_code, desktop_tag) = desktop.show_code();
    phone.join(&laptop_code, &["--tag", &laptop_tag]);
    assert_eq!(on_laptop.finish().code, 0);
    phone.join(&desktop_code, &["--tag", &desktop_tag]);
    assert_eq!(on_desktop.finish().code, 0);
    assert_eq!([laptop.peers(), desktop.peers(), phone.peers()], [2, 2, 2]);

    // Both ways between each two.
    let all = [("laptop", &laptop), ("desktop", &desktop), ("phone", &phone)];
    for (from, sender) in &all {
        for (to, receiver) in all.iter().filter(|(to, _)| to != from) {
            let text = format!("from {from} to {to}");
            sender.send(to, &text);
            receiver.receive(&text);
        }
    }

    // One is cut off: what is meant for it waits, and says why. It comes back: everything arrives, in order.
    network.cable(2, "down");
    for number in 1..=3 {
        laptop.send("desktop", &format!("while away {number}"));
    }
    let peer = |all: &Value| {
        let peers = all["devices"].as_array()?;
        peers.iter().find(|peer| peer["name"] == "desktop").cloned()
    };
    let reason = laptop.wait("a reason", &["devices"], |all| {
        let peer = peer(all).filter(|peer| peer["outbox"] == 3)?;
        peer["reason"].as_str().map(str::to_owned)
    });
    assert!(!reason.is_empty());
    let status = laptop.home.run(&["status"]);
    assert!(status.stdout.contains("3 waiting"), "{status:?}");
    phone.send("laptop", "still here");
    laptop.receive("still here");
    network.cable(2, "up");
    for number in 1..=3 {
        desktop.receive(&format!("while away {number}"));
    }
    laptop.wait("an empty outbox", &["devices"], |all| peer(all).filter(|peer| peer["outbox"] == 0));

    // One is removed: the other device hears of it and removes it too, nothing of it is taken any more, and the
    // two that stay go on.
    assert_eq!(laptop.home.run(&["devices", "remove", "phone", "--yes"]).code, 0);
    let names = |all: &Value| {
        let peers = all["devices"].as_array()?;
        peers.iter().map(|peer| peer["name"].as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
    };
    desktop.wait("one peer", &["devices"], |all| names(all).filter(|names| *names == ["laptop"]));
    phone.send("laptop", "let me in");
    phone.send("desktop", "let me in");
    desktop.send("laptop", "good morning");
    laptop.receive("good morning");
    laptop.send("desktop", "good evening");
    desktop.receive("good evening");
    for stays in [&laptop, &desktop] {
        assert_eq!(stays.home.json(&["inbox"])["items"], Value::Array(Vec::new()));
        assert_eq!(stays.home.run_with(&["send", "phone", "-"], "x").code, 4);
    }
}
