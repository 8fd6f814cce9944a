//! `make demo-browser`: an owner, an approver, an airline and an agent with a real browser, on one machine.
//!
//! With `DEMO_AUTO=1` the demonstration plays the owner too; without, you type the code and the answer. Everything
//! lies in a folder that is removed at the end.

use std::process::Command;

use durward_flight_agent::airline::{DEMO_PASSWORD, DEMO_TOTP, DEMO_USERNAME, HOST};
use durward_testkit::owner::{Owner, Result, say};

fn main() -> Result<()> {
    let auto = std::env::var("DEMO_AUTO").is_ok_and(|value| value == "1");
    let owner = Owner::beside_this_example("demo-browser", &["durward", "flight-agent"])?;
    say("1. The owner makes a vault with a login for the demo airline: user name, password, TOTP secret.");
    owner.fill_vault(HOST, DEMO_USERNAME, &[("password", DEMO_PASSWORD), ("totp", DEMO_TOTP)])?;
    say("2. The owner starts the approver.");
    let mut server = owner.serve()?;
    let outcome = book(&owner, auto);
    server.kill()?;
    server.wait()?;
    outcome?;
    say("Done. The agent is examples/flight-agent; its README says how to point it at another site.");
    Ok(())
}

/// From the agent's browser to the audit log.
fn book(owner: &Owner, auto: bool) -> Result<()> {
    let approver = owner.approver()?;
    say("3. The agent opens Skyward Air in Chromium and asks. It has no session yet, so it shows a code.");
    let agent = agent(owner, &approver);
    if auto {
        owner.play(agent)?;
    } else {
        owner.by_hand(agent)?;
    }
    say("5. The audit log:");
    owner.run(&["audit"])
}

fn agent(owner: &Owner, approver: &str) -> Command {
    let mut command = owner.program("flight-agent");
    command
        .args(["--from", "JFK", "--to", "LHR", "--date", "2026-12-24", "--approver", approver, "--home"])
        .arg(owner.agent_home());
    if std::env::var_os("DISPLAY").is_some() || std::env::var_os("WAYLAND_DISPLAY").is_some() {
        command.arg("--window");
    }
    command
}
