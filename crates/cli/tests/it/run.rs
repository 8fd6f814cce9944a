//! `durward run` with the real approver, and with a real database.

use std::process::Command;

use nix::sys::signal::Signal;

use crate::home::{Daemon, Home, PASSWORD, VAULT_PASSWORD};

/// An agent with a session, and a vault that is open, with a grant for db.internal.
fn bench() -> (Home, Home, Daemon) {
    let (home, agent) = (Home::with_vault(), Home::empty());
    let daemon = home.serve();
    let asking = agent.start(&["request", "db.internal", "--reason", "x", "--approver", &daemon.url()]);
    let code = asking.code();
    home.wait_json(&["pairing"], |list| list["pairings"].get(0).cloned());
    assert_eq!(home.enter(&code).code, 0);
    assert_eq!(home.run_with(&["unlock", "--password-stdin"], VAULT_PASSWORD).code, 0);
    home.wait_requests(1);
    assert_eq!(home.run(&["requests", "approve", "1", "--session"]).code, 0);
    assert_eq!(asking.finish().code, 0);
    (home, agent, daemon)
}

const SECRETS: [&str; 6] =
    ["--domain", "db.internal", "--env", "PGPASSWORD=password", "--env", "PGUSER=username"];

fn running<'a>(command: &[&'a str]) -> Vec<&'a str> {
    [&["run"], SECRETS.as_slice(), &["--"], command].concat()
}

#[test]
fn the_values_are_in_the_environment_and_nowhere_else() {
    let (_home, agent, _daemon) = bench();
    let script = "echo \"$PGPASSWORD\"; printf %s \"$PGPASSWORD\" | wc -c; tr '\\0' ' ' < /proc/$PPID/cmdline; echo; env | grep -c '^PG'";
    let masked = agent.run(&running(&["sh", "-c", script]));
    assert_eq!(masked.code, 0, "{masked:?}");
    assert!(!masked.stdout.contains(PASSWORD) && masked.stdout.starts_with("[masked]\n"), "{masked:?}");
    assert!(masked.stdout.contains(&PASSWORD.len().to_string()), "the child had all of it: {masked:?}");
    assert!(masked.stdout.trim_end().ends_with('2'), "{masked:?}");
    let code = agent.run(&running(&["sh", "-c", "exit 37"]));
    assert_eq!(code.code, 37);
}

#[test]
fn signals_reach_the_child() {
    let (_home, agent, _daemon) = bench();
    let script = "trap 'echo caught; exit 42' TERM; echo ready; while :; do sleep 0.01; done";
    let running = agent.start(&running(&["sh", "-c", script]));
    running.stdout.wait_for("ready");
    running.signal(Signal::SIGTERM);
    let finished = running.finish();
    assert_eq!((finished.code, finished.stdout.as_str()), (42, "ready\ncaught\n"), "{finished:?}");
}

/// A PostgreSQL of the test's own on a socket in its folder, where `initdb` is installed and may run.
struct Database<'a> {
    home: &'a Home,
}

impl<'a> Database<'a> {
    fn start(home: &'a Home) -> Option<Self> {
        let folder = home.path("pg");
        let password = home.path("pw");
        std::io::Write::write_all(&mut std::fs::File::create(&password).unwrap(), PASSWORD.as_bytes())
            .unwrap();
        let mut initdb = as_nobody(home, "initdb")?;
        initdb.arg("-D").arg(&folder).args(["-U", crate::home::USERNAME, "-A", "scram-sha-256", "--no-sync"]);
        let made = initdb.arg(format!("--pwfile={}", password.display())).output().ok()?;
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let options = format!("-k {} -c listen_addresses='' -F", home.folder().display());
        let mut start = as_nobody(home, "pg_ctl")?;
        start
            .arg("-D")
            .arg(&folder)
            .args(["-w", "-l"])
            .arg(home.path("pg.log"))
            .args(["-o", &options, "start"]);
        let status = start.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null()).status();
        assert!(status.unwrap().success());
        Some(Self { home })
    }
}

impl Drop for Database<'_> {
    fn drop(&mut self) {
        if let Some(mut stop) = as_nobody(self.home, "pg_ctl") {
            let _ = stop.arg("-D").arg(self.home.path("pg")).args(["-m", "immediate", "stop"]).output();
        }
    }
}

/// PostgreSQL refuses to run as root.
fn as_nobody(home: &Home, program: &str) -> Option<Command> {
    use std::os::unix::process::CommandExt as _;
    let found = std::env::split_paths(&std::env::var_os("PATH")?)
        .chain(["/usr/lib/postgresql/15/bin".into(), "/usr/lib/postgresql/17/bin".into()])
        .map(|folder| folder.join(program))
        .find(|path| path.exists())?;
    let mut command = Command::new(found);
    command.current_dir(home.folder());
    if nix::unistd::geteuid().is_root() {
        let nobody = nix::unistd::User::from_name("nobody").ok()??;
        nix::unistd::chown(home.folder(), Some(nobody.uid), None).ok()?;
        command.uid(nobody.uid.as_raw()).gid(nobody.gid.as_raw());
    }
    Some(command)
}

#[test]
fn psql_logs_in_with_what_the_owner_released() {
    let (_home, agent, _daemon) = bench();
    let folder = Home::empty();
    let database = Database::start(&folder).expect("this test needs PostgreSQL's initdb and pg_ctl");
    let host = folder.folder().display().to_string();
    let query = ["psql", "-w", "-h", &host, "-d", "postgres", "-Atc", "select 6 * 7, current_user"];
    let answered = agent.run(&running(&query));
    assert_eq!((answered.code, answered.stdout.as_str()), (0, "42|[masked]\n"), "{answered:?}");
    // The script of the examples says the same in fewer words, and leaves psql's output alone.
    let mut script = Command::new(crate::helpers::scripts().join("psql-durward"));
    script.arg("db.internal").args(["-w", "-h", &host, "-d", "postgres", "-Atc", "select 6 * 7"]);
    script.env_clear().env("PATH", crate::helpers::path()).env("DURWARD_HOME", agent.folder());
    let shown = script.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&shown.stdout), "42\n", "{shown:?}");
    let without =
        Command::new("psql").args(&query[1..]).env("PGUSER", crate::home::USERNAME).output().unwrap();
    assert!(!without.status.success(), "the database asks for the password");
    drop(database);
}
