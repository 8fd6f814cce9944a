//! The full screen in a real terminal, with a real approver and a real agent behind it.

use crate::home::{Home, PASSWORD, Process, USERNAME, VAULT_PASSWORD};
use crate::tmux::Tmux;

const QUIET: &str = "Waiting for agents.";

fn ask(agent: &Home, url: &str) -> Process {
    agent.start(&["request", "example.com", "--reason", "Book it\u{1b}[2J", "--approver", url])
}

/// The six digits, without the number before them.
fn digits(code: &str) -> &str {
    code.split_once('-').unwrap().1
}

/// An agent that has paired, and its request.
fn paired_and_asking(home: &Home, agent: &Home, url: &str) -> Process {
    let asking = ask(agent, url);
    let code = asking.code();
    home.wait_json(&["pairing"], |list| list["pairings"].get(0).cloned());
    let entered = home.enter(&code);
    assert_eq!(entered.code, 0, "{entered:?}");
    home.wait_requests(1);
    asking
}

#[test]
fn pairing_and_releasing_fewer_fields_than_were_asked_for() {
    let (home, agent) = (Home::with_vault(), Home::empty());
    let daemon = home.serve();
    let screen = Tmux::durward(&home, "tmux", &["approve"]);
    screen.wait(QUIET);
    let asking = ask(&agent, &daemon.url());
    let code = asking.code();
    screen.wait(&format!("Pairing {}", code.split_once('-').unwrap().0));
    screen.type_text(digits(&code));
    screen.press(&["Enter"]);
    let shown = screen.wait("same five words");
    screen.press(&["Enter"]);
    screen.wait("Domain   example.com");
    assert!(screen.wait("Reason").contains("Book it\\u{1b}[2J"), "{}", screen.shown());
    screen.press(&["Down", "Space"]);
    screen.wait("[ ] password");
    screen.answer("y", "Vault password");
    screen.type_text("a wrong one");
    screen.press(&["Enter"]);
    screen.wait("Wrong vault password");
    screen.type_text(VAULT_PASSWORD);
    let typed = screen.shown();
    assert!(!typed.contains(VAULT_PASSWORD) && !typed.contains("a wrong one"), "{typed}");
    screen.press(&["Enter"]);
    screen.wait("Released: username.");
    let got = asking.finish();
    assert_eq!(got.code, 0, "{got:?}");
    assert!(got.stdout.contains(USERNAME) && !got.stdout.contains(PASSWORD), "{got:?}");
    let words = got.stderr.lines().find_map(|line| line.split_once("Both ends show: ")).unwrap().1;
    assert!(shown.contains(words.trim()), "the same words on both screens: {shown}");
    screen.press(&["q"]);
    assert_eq!(screen.exit_code(), 0, "{}", screen.shown());
    assert!(!screen.full_screen(), "the terminal is given back");
    home.audit_holds();
}

#[test]
fn a_code_typed_at_a_request_makes_no_grant_and_a_standing_yes_is_confirmed() {
    let (home, agent, other) = (Home::with_vault(), Home::empty(), Home::empty());
    let daemon = home.serve();
    let unlocked = home.run_with(&["unlock", "--password-stdin"], VAULT_PASSWORD);
    assert_eq!(unlocked.code, 0, "{unlocked:?}");
    let screen = Tmux::durward(&home, "tmux", &["approve"]);
    let asking = paired_and_asking(&home, &agent, &daemon.url());
    screen.wait("Domain   example.com");
    let pairing = ask(&other, &daemon.url());
    let code = pairing.code();
    screen.wait("Waiting 2 of 2");
    screen.type_text("724716");
    screen.press(&["Enter"]);
    screen.wait("Y releases what is ticked");
    screen.type_text("4");
    let shown = screen.wait("A pairing waits: press Left, then Up first to type its code.");
    assert!(shown.contains("[1 once]"), "{shown}");
    screen.press(&["Left", "Up"]);
    screen.wait("Type the six digits");
    screen.type_text("abc");
    screen.type_text(digits(&code));
    screen.press(&["Enter"]);
    screen.wait("same five words");
    screen.press(&["Enter"]);
    home.wait_requests(2);
    screen.wait("Domain   example.com");
    screen.press(&["3"]);
    screen.wait("[3 session]");
    screen.answer("y", "Without asking");
    screen.press(&["Enter"]);
    screen.wait("Nothing was done; the request keeps waiting.");
    assert_eq!(home.json(&["grants"])["grants"].as_array().map(Vec::len), Some(0));
    screen.answer("y", "Without asking");
    screen.answer("y", "Released: username, password.");
    assert_eq!(home.json(&["grants"])["grants"].as_array().map(Vec::len), Some(1));
    drop((asking, pairing));
}

#[test]
fn the_first_screen_shows_the_first_steps_and_a_second_one_where_it_is() {
    let home = Home::empty();
    let screen = Tmux::durward(&home, "tmux", &["up", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"]);
    let shown = screen.wait("durward vault init");
    let url = home.json(&["status"])["listen"].as_str().unwrap().to_owned();
    assert!(shown.contains(&format!("They reach it at {url}")), "{shown}");
    let shown = shown.replace(['│', '\n'], " ").split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        shown.contains(&format!("durward request example.com --reason \"Try it\" --approver {url}")),
        "{shown}"
    );
    let second = Tmux::durward(&home, "tmux2", &["up"]);
    second.wait("An approver runs already; attached to it.");
    screen.resize("40", "20");
    screen.wait("5. Answer what it asks: Y or N.");
    screen.press(&["c"]);
    screen.wait("Close pairing?");
    screen.press(&["y"]);
    screen.wait("! Pairing is closed");
    screen.press(&["q"]);
    screen.wait("N, Enter");
    screen.press(&["Enter"]);
    screen.wait("Nothing was done.");
}

#[test]
fn denying_with_words_for_the_agent() {
    let (home, agent) = (Home::with_vault(), Home::empty());
    let daemon = home.serve();
    let screen = Tmux::durward(&home, "tmux", &["approve"]);
    let asking = paired_and_asking(&home, &agent, &daemon.url());
    screen.wait("Domain   example.com");
    screen.answer("n", "Words for it");
    screen.type_text("not before noon");
    screen.press(&["Enter"]);
    screen.wait("Denied.");
    let denied = asking.finish();
    assert_eq!(denied.code, 6, "{denied:?}");
    assert!(denied.stderr.contains("not before noon"), "{denied:?}");
}

#[test]
fn revoking_while_a_request_hangs() {
    let (home, agent) = (Home::with_vault(), Home::empty());
    let daemon = home.serve();
    let screen = Tmux::durward(&home, "tmux", &["approve"]);
    let asking = paired_and_asking(&home, &agent, &daemon.url());
    screen.wait("Domain   example.com");
    screen.answer("r", "Revoke the session of");
    screen.press(&["y"]);
    screen.wait("Session revoked");
    let ended = asking.finish();
    assert_ne!(ended.code, 0, "{ended:?}");
    assert!(!ended.stdout.contains(PASSWORD));
    assert_eq!(home.json(&["sessions"])["sessions"].as_array().map(Vec::len), Some(0));
    screen.wait(QUIET);
}

#[test]
fn a_noisy_agent_is_locked_out_and_let_in_again() {
    let (home, agent) = (Home::with_vault(), Home::empty());
    let daemon = home.serve();
    let screen = Tmux::durward(&home, "tmux", &["approve"]);
    let asking = paired_and_asking(&home, &agent, &daemon.url());
    screen.wait("Domain   example.com");
    screen.press(&["p"]);
    screen.wait("until you resume it");
    screen.press(&["y"]);
    screen.wait("is paused");
    assert_ne!(asking.finish().code, 0, "what it had asked is denied");
    let refused = ask(&agent, &daemon.url()).finish();
    assert_ne!(refused.code, 0, "{refused:?}");
    screen.press(&["s"]);
    screen.wait("paused:");
    screen.press(&["p"]);
    screen.wait("may ask again");
    let asking = ask(&agent, &daemon.url());
    home.wait_requests(1);
    screen.press(&["w"]);
    screen.wait("Domain   example.com");
    screen.answer("y", "Vault password");
    screen.type_text(VAULT_PASSWORD);
    screen.press(&["Enter"]);
    screen.wait("Released");
    assert_eq!(asking.finish().code, 0);
}

#[test]
fn a_closed_terminal_leaves_the_request_waiting() {
    let (home, agent) = (Home::with_vault(), Home::empty());
    let daemon = home.serve();
    let screen = Tmux::durward(&home, "tmux", &["approve"]);
    let asking = paired_and_asking(&home, &agent, &daemon.url());
    screen.wait("Domain   example.com");
    screen.answer("y", "Vault password");
    screen.close();
    let approved = home.approve_first();
    assert_eq!(approved.code, 0, "{approved:?}");
    assert_eq!(asking.finish().code, 0);
    home.audit_holds();
}

#[test]
fn it_fits_the_terminal_and_says_what_was_missed() {
    let (home, agent) = (Home::with_vault(), Home::empty());
    let daemon = home.serve();
    let screen = Tmux::durward(&home, "tmux", &["approve"]);
    screen.wait(QUIET);
    screen.press(&["q"]);
    assert_eq!(screen.exit_code(), 0, "{}", screen.shown());
    drop(screen);
    let asking = paired_and_asking(&home, &agent, &daemon.url());
    let screen = Tmux::durward(&home, "tmux2", &["approve", "--ascii"]);
    let shown = screen.wait("While you were away: 1 waiting since ");
    assert!(shown.is_ascii(), "{shown}");
    screen.wait_for("two panes", |shown| shown.contains("Waiting 1 of 1") && shown.contains("Request"));
    screen.resize("40", "20");
    screen.wait_for("one pane", |shown| !shown.contains("1 of 1") && shown.contains("Domain   example.com"));
    screen.press(&["Left"]);
    screen.wait("Waiting 1 of 1");
    screen.resize("20", "8");
    screen.wait("Durward needs");
    screen.resize("120", "40");
    screen.wait_for("two panes", |shown| shown.contains("Waiting 1 of 1") && shown.contains("Request"));
    screen.answer("n", "Words for it");
    screen.press(&["Enter"]);
    assert_eq!(asking.finish().code, 6);
}

#[test]
fn suspending_gives_the_terminal_back_and_fg_brings_the_screen() {
    let home = Home::with_vault();
    let _daemon = home.serve();
    let shell = Tmux::start(&home, "tmux", &["sh", "-i"]);
    shell.wait("ready>");
    shell.type_text(&format!("{} approve", env!("CARGO_BIN_EXE_durward")));
    shell.press(&["Enter"]);
    shell.wait(QUIET);
    assert!(shell.full_screen());
    shell.press(&["C-z"]);
    shell.wait("Suspended; `fg` brings the screen back.");
    shell.type_text("echo still''here");
    shell.press(&["Enter"]);
    shell.wait("stillhere");
    assert!(!shell.full_screen());
    shell.type_text("fg");
    shell.press(&["Enter"]);
    shell.wait(QUIET);
    assert!(shell.full_screen());
    shell.press(&["C-c"]);
    shell.wait("stopped; requests keep waiting");
    shell.type_text("stty -a");
    shell.press(&["Enter"]);
    let modes = shell.wait("icanon");
    assert!(modes.contains(" echo ") && !modes.contains("-icanon"), "{modes}");
}

#[test]
fn a_signal_gives_the_terminal_back() {
    let home = Home::with_vault();
    let screen = Tmux::durward(&home, "tmux", &["up", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"]);
    screen.wait(QUIET);
    let pid = nix::unistd::Pid::from_raw(i32::try_from(screen.pid()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert_eq!(screen.exit_code(), 0, "{}", screen.shown());
    assert!(!screen.full_screen());
    assert_eq!(home.run(&["status"]).code, 2, "its server stopped with it");
}

#[test]
fn up_asks_before_it_stops_the_server() {
    let home = Home::with_vault();
    let screen = Tmux::durward(&home, "tmux", &["up", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"]);
    screen.wait(QUIET);
    screen.press(&["q"]);
    screen.wait("The server stops with this screen");
    screen.press(&["n"]);
    screen.wait("Nothing was done.");
    let mut second = Tmux::durward(&home, "tmux2", &["up"]);
    second.wait(QUIET);
    second.press(&["q"]);
    assert_eq!(second.exit_code(), 0, "{}", second.shown());
    let program = format!("{} approve; echo \"exit $?\"; read line", env!("CARGO_BIN_EXE_durward"));
    second = Tmux::start(&home, "tmux3", &["sh", "-c", &program]);
    second.wait(QUIET);
    screen.press(&["q"]);
    screen.wait("The server stops with this screen");
    screen.press(&["y"]);
    assert_eq!(screen.exit_code(), 0, "{}", screen.shown());
    let rest = second.wait("exit 0");
    assert!(rest.contains("The approver has stopped."), "{rest}");
}

/// The approver's daemon and its screen, of one device.
fn device<'a>(home: &'a Home, name: &'static str) -> (crate::home::Daemon, Tmux<'a>) {
    let daemon = home.serve_with(&["--device-name", name]);
    let screen = Tmux::durward(home, "tmux", &["approve"]);
    screen.wait(QUIET);
    screen.press(&["d"]);
    screen.wait(&format!("{name} (this device)"));
    (daemon, screen)
}

/// The code that a screen shows for another device.
fn device_code(screen: &Tmux<'_>) -> String {
    screen.wait("P pair");
    screen.press(&["p"]);
    let shown = screen.wait("durward pair --code ");
    shown.split("durward pair --code ").nth(1).unwrap().get(..6).unwrap().to_owned()
}

#[test]
fn two_devices_are_paired_on_their_screens() {
    let (laptop, desktop) = (Home::empty(), Home::empty());
    let (daemon, here) = device(&laptop, "laptop");
    let (_other, there) = device(&desktop, "desktop");
    let code = device_code(&here);
    there.press(&["j"]);
    there.wait("Type the code that the other device shows.");
    there.type_text(&code);
    there.press(&["Tab"]);
    there.type_text(&daemon.listen.to_string());
    there.press(&["Enter"]);
    let asks = here.wait("A device asks");
    let key = desktop.json(&["devices"])["this"]["fingerprint"].as_str().unwrap().to_owned();
    assert!(asks.contains("Device   desktop") && asks.contains(&key), "{asks}");
    assert!(!asks.contains(&code), "it is used up: {asks}");
    there.wait("Waiting for the other device's owner.");
    here.answer("y", "Paired with desktop.");
    there.wait("Paired with laptop");
    here.wait("Devices 1]");

    here.press(&["Down", "e"]);
    here.wait("Another name for desktop");
    here.press(&["C-u"]);
    here.type_text("tower");
    here.press(&["Enter"]);
    here.wait("It is called tower now.");
    here.wait("▸ tower ");
    here.press(&["r"]);
    here.wait("Remove tower?");
    here.press(&["y"]);
    here.wait("Removed tower.");
    let left = laptop.json(&["devices"]);
    assert_eq!(left["devices"].as_array().map(Vec::len), Some(0), "{left}");
    laptop.audit_holds();
}

#[test]
fn a_rejected_device_is_none_and_a_code_dies_with_its_screen() {
    let (laptop, desktop) = (Home::empty(), Home::empty());
    let (daemon, here) = device(&laptop, "laptop");
    let _other = desktop.serve_with(&["--device-name", "desktop"]);
    let code = device_code(&here);
    let joining = desktop.start(&["pair", "--code", &code, "--address", &daemon.listen.to_string()]);
    here.wait("A device asks");
    here.resize("40", "20");
    here.wait_for("the narrow page", |shown| {
        let narrow = shown.lines().all(|line| line.chars().count() <= 40);
        narrow && shown.contains("Device   desktop") && shown.contains("Key      ")
    });
    here.answer("n", "Pairing was rejected");
    let rejected = joining.finish();
    assert_eq!(rejected.code, 6, "{rejected:?}");
    device_code(&here);
    here.press(&["q"]);
    assert_eq!(here.exit_code(), 0, "{}", here.shown());
    let pairing = &laptop.json(&["status"])["devices"]["pairing"];
    assert_eq!(pairing, "cancelled");
    // A pairing that began in another terminal shows here too.
    let screen = Tmux::durward(&laptop, "tmux2", &["approve"]);
    screen.wait(QUIET);
    screen.press(&["d"]);
    let begun = laptop.start(&["pair", "--yes"]);
    screen.wait("Another screen shows a code for");
    screen.press(&["n"]);
    screen.wait("The pairing was given up");
    assert_eq!(begun.finish().code, 12);
}

#[test]
fn hanging_up_reads_the_policy_and_ends_only_a_screen_without_a_terminal() {
    let home = Home::with_vault();
    let screen = Tmux::durward(&home, "tmux", &["up", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"]);
    screen.wait(QUIET);
    let pid = nix::unistd::Pid::from_raw(i32::try_from(screen.pid()).unwrap());
    let hang_up = || nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGHUP).unwrap();
    home.put("policy.toml", "[[rule]]\ndomain = \"evil.example\"\nverdict = \"deny\"\n");
    hang_up();
    screen.wait("The policy was read anew: 1 rule.");
    home.put("policy.toml", "nonsense");
    hang_up();
    screen.wait("policy.toml");
    assert!(home.run(&["policy", "show"]).stdout.contains("evil.example"), "the rules stay as they were");
    screen.close();
    let stopped = || home.run(&["status"]).code == 2;
    assert!((0..500).any(|_| stopped()), "its server stops with its terminal");
}

/// An idle screen sleeps: while other programs run, none of its threads is woken.
#[test]
#[cfg(target_os = "linux")]
fn an_idle_screen_sleeps() {
    let home = Home::with_vault();
    let _daemon = home.serve();
    let screen = Tmux::durward(&home, "tmux", &["approve"]);
    sleeps(&home, &screen);
}

/// And so does the server that `up` runs behind it.
#[test]
#[cfg(target_os = "linux")]
fn an_idle_up_sleeps() {
    let home = Home::with_vault();
    let screen = Tmux::durward(&home, "tmux", &["up", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"]);
    sleeps(&home, &screen);
}

#[cfg(target_os = "linux")]
fn sleeps(home: &Home, screen: &Tmux<'_>) {
    screen.wait(QUIET);
    screen.press(&["d"]);
    screen.wait("(this device)");
    screen.press(&["?"]);
    screen.wait("release the ticked fields");
    // Once a minute its connection is kept alive, and at the start there is still something to do; between these nothing
    // at all may wake it. A window is some seconds long: it would not miss a clock that ticks each second.
    let window = || {
        let (switches, ticks) = effort(screen.pid());
        for _ in 0..WINDOW {
            assert_eq!(home.run(&["--version"]).code, 0); // time passes
        }
        let (switches_after, ticks_after) = effort(screen.pid());
        let woken = switches_after.iter().map(|(thread, n)| n - switches.get(thread).unwrap_or(&0));
        (woken.sum::<u64>(), ticks_after - ticks)
    };
    let mut seen = Vec::new();
    while seen.last() != Some(&(0, 0)) {
        assert!(seen.len() < 5, "woken so often, and so many ticks of CPU, in each window: {seen:?}");
        seen.push(window());
    }
}

/// Programs that are started while an idle screen is watched.
#[cfg(target_os = "linux")]
const WINDOW: usize = 200;

/// Voluntary switches of each thread, and ticks of CPU time.
#[cfg(target_os = "linux")]
fn effort(pid: u32) -> (std::collections::HashMap<String, u64>, u64) {
    let mut switches = std::collections::HashMap::new();
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().map(Result::unwrap) {
        // One that has just ended wakes no more.
        let Ok(status) = std::fs::read_to_string(task.path().join("status")) else { continue };
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        let thread = task.file_name().into_string().unwrap();
        switches.insert(thread, line.unwrap().trim().parse().unwrap());
    }
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let numbers: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks = |at: usize| numbers[at].parse::<u64>().unwrap();
    (switches, ticks(11) + ticks(12))
}

#[path = "../../examples/screens/pictures.rs"]
mod pictures;
#[path = "../../examples/screens/svg.rs"]
mod svg;

#[test]
fn the_pictures_in_the_documents_are_what_the_screen_draws() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/screens");
    let pictures = pictures::pictures().unwrap();
    for (file, svg) in &pictures {
        let committed = std::fs::read_to_string(folder.join(file)).unwrap_or_default();
        assert!(
            committed == *svg,
            "docs/screens/{file} is out of date: `cargo run -p durward --example screens` draws it"
        );
    }
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), pictures.len(), "no picture is left over");
}
