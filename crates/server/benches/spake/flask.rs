//! Flask with PyPI `spake2`, in its own process.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use durward_testkit::python::venv;

pub(crate) struct Flask {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Flask {
    /// Starts it on a free port and waits until it listens.
    pub(crate) fn start(crate_folder: &Path) -> Self {
        let folder = crate_folder.join("benches/spake");
        let python = venv(&folder.join("flask_requirements.txt"));
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = Command::new(python);
        command.arg(folder.join("flask_service.py")).arg(address.port().to_string());
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let flask = Self { child, address };
        for _ in 0..200 {
            if TcpStream::connect(address).is_ok() {
                return flask;
            }
            std::thread::park_timeout(Duration::from_millis(50));
        }
        panic!("Flask does not listen on {address}");
    }

    /// CPU time of its process, threads included.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // proc(5): fields 14 and 15, user and system time in ticks of 10 ms; the name before may hold blanks.
        let after_name = stat.rsplit_once(')').unwrap().1;
        let ticks: u64 =
            after_name.split_whitespace().skip(11).take(2).map(|n| n.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 10)
    }
}

impl Drop for Flask {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
