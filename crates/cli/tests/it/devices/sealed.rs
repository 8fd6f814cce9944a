//! `durward seal`, `durward open`, `durward devices fingerprint`: what a person types, without any daemon.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use durward_protocol::device::{DeviceId, DeviceName};
use durward_sealing::{DeviceIdentity, KeyFolder};
use insta::assert_snapshot;
use rand::SeedableRng as _;

use crate::env::{Finished, TestEnvironment};

/// A home with keys that are the same in every run.
fn home(seed: u64, name: &str) -> (TestEnvironment, DeviceIdentity) {
    let env = TestEnvironment::new();
    let make = || {
        let mut rng = rand::rngs::StdRng::seed_from_u64(seed);
        let id = DeviceId::new(time::OffsetDateTime::UNIX_EPOCH, &mut rng);
        DeviceIdentity::generate(id, DeviceName::parse(name).unwrap(), &mut rng)
    };
    let identity = KeyFolder::at(env.home()).identity_or(make).unwrap();
    (env, identity)
}

fn know(env: &TestEnvironment, device: &DeviceIdentity) {
    KeyFolder::at(env.home()).write_card(&device.card()).unwrap();
}

/// Two devices that know each other.
fn two() -> (TestEnvironment, TestEnvironment) {
    let ((laptop, one), (desktop, other)) = (home(1, "laptop"), home(2, "desktop"));
    know(&laptop, &other);
    know(&desktop, &one);
    (laptop, desktop)
}

/// A snapshot without dates and homes.
fn screens(name: &str, env: &TestEnvironment, all: &[(String, Finished)]) {
    let mut text = String::new();
    for (line, finished) in all {
        let _ = writeln!(text, "$ durward {line}\n{}", finished.screen(env));
    }
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"\d{4}-\d\d-\d\d \d\d:\d\dZ", "[when]");
    settings.add_filter(r"/\S*/\.tmp\w+", "[other]");
    settings.bind(|| assert_snapshot!(name, text));
}

fn run(env: &TestEnvironment, arguments: &[&str]) -> (String, Finished) {
    let line = arguments.join(" ").replace(&env.home().display().to_string(), "[HOME]");
    (line, env.run(arguments))
}

#[test]
fn a_file_goes_from_one_device_to_the_other() {
    let (laptop, desktop) = two();
    laptop.file("photo.jpg", "a photograph");
    let mut shown = vec![run(&laptop, &["seal", "--to", "desktop", "photo.jpg"])];
    let carried = laptop.path("photo.jpg.age");
    assert!(!std::fs::read_to_string(&carried).unwrap_or_default().contains("a photograph"));
    std::fs::copy(&carried, desktop.path("photo.jpg.age")).unwrap();
    shown.push(run(&desktop, &["open", "photo.jpg.age"]));
    assert_eq!(std::fs::read_to_string(desktop.path("photo.jpg")).unwrap(), "a photograph");
    shown.push(run(&desktop, &["open", "photo.jpg.age", "-o", "copy.jpg", "--json"]));
    shown.push(run(&desktop, &["open", "photo.jpg.age"]));
    shown.push(run(&desktop, &["open", "photo.jpg.age", "--force"]));
    shown
        .push(run(&laptop, &["seal", "--to", "Desktop", "--to", "laptop", "photo.jpg", "--force", "--json"]));
    shown.push(run(&laptop, &["open", "photo.jpg.age", "-o", "own.jpg"]));
    screens("seal_and_open", &desktop, &shown);
}

#[test]
fn mistakes_with_sealed_files() {
    let (laptop, desktop) = two();
    let (stranger, eve) = home(3, "eve");
    let desktop_identity = KeyFolder::at(desktop.home()).identity().unwrap();
    know(&stranger, &desktop_identity);
    know(&stranger, &home(1, "laptop").1);
    laptop.file("a", "content");
    stranger.file("a", "content");
    std::fs::DirBuilder::new().create(laptop.path("folder")).unwrap();
    let mut shown = vec![
        run(&laptop, &["seal", "a"]),
        run(&laptop, &["seal", "--to", "nobody", "a"]),
        run(&laptop, &["seal", "--to", "desktop", "missing"]),
        run(&laptop, &["seal", "--to", "desktop", "folder"]),
        run(&laptop, &["seal", "--to", "desktop", "a", "-o", "folder"]),
        run(&laptop, &["seal", "--to", "desktop", "a", "-o", "folder", "--force"]),
        run(&laptop, &["seal", "--to", "desktop", "a", "-o", "no/such/folder"]),
        run(&laptop, &["seal", "--to", "desktop", "a", "-o", "-", "--json"]),
        run(&laptop, &["seal", "--to", "desktop", "a", "-o", "a.age"]),
        run(&laptop, &["seal", "--to", "desktop", "a"]),
        run(&laptop, &["open", "a"]),
        run(&laptop, &["open", "a", "-o", "b"]),
        run(&laptop, &["open", "a.age", "-o", "b"]),
        run(&laptop, &["open", "missing.age"]),
        run(&laptop, &["open", "missing.age", "--json"]),
    ];
    let sealed = std::fs::read(laptop.path("a.age")).unwrap();
    let put = |name: &str, bytes: &[u8]| {
        let mut file = std::fs::File::create(desktop.path(name)).unwrap();
        std::io::Write::write_all(&mut file, bytes).unwrap();
    };
    put("cut.age", &sealed[..sealed.len() - 1]);
    shown.push(run(&desktop, &["open", "cut.age"]));
    assert!(!desktop.path("cut").exists(), "nothing of a damaged file is kept");
    assert_eq!(stranger.run(&["seal", "--to", "desktop", "a"]).code, 0);
    put("eve.age", &std::fs::read(stranger.path("a.age")).unwrap());
    shown.push(run(&desktop, &["open", "eve.age"]));
    shown.push(run(&desktop, &["open", "eve.age", "--allow-stranger"]));
    let new = TestEnvironment::new();
    shown.push(run(&new, &["seal", "--to", "desktop", "a"]));
    shown.push(run(&new, &["devices", "fingerprint"]));
    drop(eve);
    screens("sealed_mistakes", &laptop, &shown);
}

#[test]
fn pipes_and_age_on_either_side() {
    let (laptop, desktop) = two();
    let content: String = (0..40_000).map(|n| format!("{n}\n")).collect();
    laptop.file("plain", &content);
    let age = |arguments: &[&str]| {
        let run = Command::new("age").args(arguments).current_dir(desktop.home()).output();
        let run = run.expect("this test needs age: apt-get install age");
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        String::from_utf8(run.stdout).unwrap()
    };
    let sealed = desktop.path("sealed.age").display().to_string();
    assert_eq!(laptop.run(&["seal", "--to", "desktop", "plain", "-o", &sealed]).code, 0);
    assert!(age(&["-d", "-i", "keys/local.key", &sealed]) == content, "age opens what is sealed here");

    // stdin to stdout, as in `tar c … | durward seal --to desktop - | ssh desktop durward open - | tar x`
    let seal = laptop.command(&["seal", "--to", "desktop", "-"]);
    let bytes = through(seal, content.as_bytes());
    let opened = through(desktop.command(&["open", "-"]), &bytes);
    assert!(opened == content.as_bytes());

    let recipients = desktop.path("sync/keys/desktop.pub").display().to_string();
    let by_age = desktop.path("by-age.age").display().to_string();
    age(&["-R", &recipients, "-o", &by_age, &laptop.path("plain").display().to_string()]);
    let refused = desktop.run(&["open", &by_age]);
    assert_eq!(refused.code, 9, "{refused:?}");
    assert!(refused.stderr.contains("--allow-unsigned"), "{refused:?}");
    let allowed = desktop.run(&["open", &by_age, "--allow-unsigned"]);
    assert_eq!(allowed.code, 0, "{allowed:?}");
    assert!(allowed.stderr.contains("Nobody signed this file"), "{allowed:?}");
    assert!(std::fs::read_to_string(desktop.path("by-age")).unwrap() == content);
}

fn through(mut command: Command, input: &[u8]) -> Vec<u8> {
    let output = assert_cmd::Command::from_std(std::mem::replace(&mut command, Command::new("true")))
        .write_stdin(input)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn ctrl_c_leaves_nothing() {
    let (laptop, _) = two();
    let folder = laptop.path("out");
    std::fs::DirBuilder::new().create(&folder).unwrap();
    let mut command = laptop.command(&["seal", "--to", "desktop", "-", "-o", "out/sealed.age"]);
    command.stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, &vec![7; 1 << 20]).unwrap();
    let files = |folder: &Path| std::fs::read_dir(folder).unwrap().count();
    let deadline = std::time::Instant::now() + crate::stream::PATIENCE;
    while files(&folder) == 0 {
        assert!(std::time::Instant::now() < deadline, "it never began to write");
        std::thread::yield_now();
    }
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    let ended = child.wait_with_output().unwrap();
    drop(input);
    assert_eq!(ended.status.code(), Some(130), "{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(files(&folder), 0);
}

#[test]
fn keys_are_shown_whole_and_a_bad_file_is_said() {
    let (laptop, _) = two();
    let (_, eve) = home(3, "eve");
    know(&laptop, &eve);
    let path = laptop.path("sync/keys/eve.pub");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut shown = vec![
        run(&laptop, &["devices", "fingerprint"]),
        run(&laptop, &["devices", "fingerprint", "DESKTOP"]),
        run(&laptop, &["devices", "fingerprint", "desktop", "--json"]),
        run(&laptop, &["devices", "fingerprint", "nobody"]),
    ];
    laptop.file("sync/keys/eve.pub", &text.replace("# fingerprint: ", "# fingerprint: 0"));
    shown.push(run(&laptop, &["devices", "fingerprint", "laptop"]));
    let removed = run(&laptop, &["devices", "remove", "desktop"]);
    shown.push(removed);
    shown.push(run(&laptop, &["devices", "remove", "desktop", "--yes"]));
    assert!(!laptop.path("sync/keys/desktop.pub").exists());
    shown.push(run(&laptop, &["devices", "remove", "desktop", "--yes"]));
    screens("fingerprints", &laptop, &shown);
}

#[test]
fn without_a_daemon_each_command_says_what_to_start() {
    let (laptop, _) = two();
    laptop.file("a", "content");
    for arguments in [
        vec!["pair", "--yes"],
        vec!["pair", "--code", "847293"],
        vec!["devices"],
        vec!["devices", "list"],
        vec!["devices", "rename", "desktop", "tower"],
        vec!["devices", "set-address", "desktop", "10.0.0.7:5000"],
        vec!["devices", "rotate", "--yes"],
        vec!["devices", "introduce", "desktop", "laptop"],
        vec!["devices", "confirm", "desktop", "--yes"],
        vec!["send", "desktop", "a"],
        vec!["inbox"],
        vec!["inbox", "save", "1"],
        vec!["inbox", "remove", "1"],
    ] {
        let finished = laptop.run(&arguments);
        assert_eq!((finished.code, finished.stdout.as_str()), (2, ""), "{arguments:?} {finished:?}");
        assert!(finished.stderr.contains("Failed to connect to daemon"), "{finished:?}");
        assert!(finished.stderr.contains("The daemon must be running: `durward daemon`"), "{finished:?}");
        let finished = laptop.run(&[arguments.as_slice(), &["--json"]].concat());
        assert_eq!(finished.json()["error"]["code"], "not_running", "{arguments:?}");
    }
}

#[test]
fn wrong_codes_are_told_apart_before_anything_is_sent() {
    let (laptop, _) = two();
    let mut shown = Vec::new();
    for code in ["12-847293", "84729", "047293", "letters", ""] {
        shown.push(run(&laptop, &["pair", "--code", code]));
    }
    shown.push(run(&laptop, &["pair", "--code"]));
    shown.push(run(&laptop, &["pair", "--code-stdin"]));
    shown.push(run(&laptop, &["pair", "--code", "847293", "--tag", "amber/otter"]));
    shown.push(run(&laptop, &["pair", "--address", "10.0.0.7:5000"]));
    shown.push(run(&laptop, &["pair", "--code", "847293", "--yes"]));
    shown.push(run(&laptop, &["pair"]));
    screens("pair_usage", &laptop, &shown);
}

#[test]
fn help_has_examples() {
    let env = TestEnvironment::new();
    for command in ["pair", "devices", "seal", "open", "send", "inbox"] {
        let help = env.run(&[command, "--help"]);
        assert_eq!(help.code, 0);
        assert!(help.stdout.contains(&format!("durward {command}")), "{command}: {}", help.stdout);
        assert!(help.stdout.contains("Example"), "{command}: {}", help.stdout);
        assert!(help.stdout.contains("--json"), "{command}: {}", help.stdout);
    }
}
