//! Kill -9 of both ends while they send to each other: what was accepted arrives once, in order.

use serde_json::Value;

use super::pairing::Device;
use crate::home::Home;

/// Drops in all; after each second one an end is killed.
const DROPS: usize = 16;

impl Device {
    /// Killed, and started again where the others look for it.
    fn dies_and_comes_back(&mut self, name: &str) {
        let listen = self.daemon.listen.to_string();
        self.daemon.process.kill();
        let arguments = ["serve", "--listen", &listen, "--control", "127.0.0.1:0", "--device-name", name];
        self.daemon = Home::served(self.home.start(&arguments));
    }
}

fn names(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().unwrap();
    items
        .iter()
        .map(|item| item["file_name"].as_str().unwrap_or_else(|| panic!("{item}")).to_owned())
        .collect()
}

#[test]
fn what_was_accepted_arrives_once_whoever_is_killed() {
    let (mut laptop, mut desktop) = (Device::start("laptop"), Device::start("desktop"));
    desktop.pair_with(&laptop);
    let back = desktop.daemon.listen.to_string();
    laptop.ok(&["devices", "set-address", "desktop", &back]);
    let (mut to_laptop, mut to_desktop) = (Vec::new(), Vec::new());
    for nth in 0..DROPS {
        let name = format!("note-{nth:02}");
        let (from, to, sent) = if nth % 3 == 0 {
            (&laptop, "desktop", &mut to_desktop)
        } else {
            (&desktop, "laptop", &mut to_laptop)
        };
        let accepted = from.home.run_with(&["send", to, "-", "--name", &name], "kept");
        assert!([0, 11].contains(&accepted.code), "{accepted:?}");
        sent.push(name);
        match nth % 4 {
            1 => laptop.dies_and_comes_back("laptop"),
            3 => desktop.dies_and_comes_back("desktop"),
            _ => {}
        }
    }
    for (device, expected) in [(&laptop, &to_laptop), (&desktop, &to_desktop)] {
        let arrived = device.wait(&["inbox"], |list| {
            let arrived = names(list);
            (arrived.len() >= expected.len()).then_some(arrived)
        });
        let mut arrived: Vec<String> = arrived;
        arrived.sort();
        assert_eq!(&arrived, expected);
    }
    for device in [&laptop, &desktop] {
        device.home.audit_holds();
    }
}
