//! `durward status`, `durward unlock`, `durward lock`

use std::fmt::Write as _;

use clap::Args;
use durward_protocol::{ErrorCode, SecretString};
use durward_server::control::api;

use super::owner::{OutputArgs, print, with_control};
use crate::control::{Control, Failure, SecretBody};
use crate::duration::parse_seconds;
use crate::exit::CommandResult;
use crate::prompt::{self, PasswordArgs};
use crate::{approver, terminal};

/// What the approver that runs here is doing.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  durward status\n  durward status --json")]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) fn status(args: StatusArgs) -> CommandResult {
    with_control(args.output, |control| async move {
        let status: api::Status = control.get("/status").await?;
        print(args.output, &status, text)
    })
}

fn text(status: &api::Status) -> String {
    let mut text = format!("durward {} (pid {}), data in {}\n", status.version, status.pid, status.home);
    let _ = writeln!(text, "agents    {}", status.listen);
    let _ = writeln!(text, "control   {}", status.control.as_deref().unwrap_or("socket only"));
    let _ = writeln!(text, "approver  {}", status.approver_id);
    let open = if status.pairing_open { "open" } else { "closed" };
    let _ = writeln!(text, "pairing   {open}, {} waiting", status.waiting_pairings);
    let _ = writeln!(text, "sessions  {}, {} grants", status.active_sessions, status.grants);
    let _ = writeln!(text, "requests  {} waiting", status.waiting_requests);
    if let Some(away) = &status.away {
        let _ = writeln!(text, "away      {}", approver::away(away));
    }
    let _ = writeln!(text, "vault     {}", vault(&status.vault));
    let _ = write!(text, "audit     {} records", status.audit_records);
    match &status.devices {
        Some(devices) => text.push_str(&super::device::status(devices)),
        None => text.push_str("\ndevices   switched off"),
    }
    text
}

fn vault(vault: &api::VaultStatus) -> String {
    if let Some(problem) = &vault.problem {
        return format!("cannot be used: {problem}");
    }
    if !vault.exists {
        return "none; make one with `durward vault init`".into();
    }
    let state = match (&vault.open_until, vault.needs_password) {
        (Some(until), _) => format!("open until {:02}:{:02}Z", until.hour(), until.minute()),
        (None, true) => "locked".into(),
        (None, false) => "needs no password".into(),
    };
    format!("{} ({}, {}), {state}", vault.name, vault.provider, vault.location)
}

/// Keep the vault open for a while, so that approvals do not ask for its password.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  durward unlock --for 10m\n  durward unlock --for 1h --password-stdin < password.txt"
)]
pub(crate) struct UnlockArgs {
    /// For how long.
    #[arg(long = "for", value_name = "TIME", value_parser = parse_seconds, default_value = "10m")]
    seconds: u64,
    #[command(flatten)]
    password: PasswordArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) fn unlock(args: UnlockArgs) -> CommandResult {
    with_control(args.output, |control| async move {
        if !control.is_running().await {
            return Err(Failure::NotRunning.into());
        }
        // A person may try three times, a script once.
        let mut left = if args.password.is_given() { 1 } else { prompt::ATTEMPTS };
        let status = loop {
            let password = prompt::password("Vault password: ", &args.password)?;
            left -= 1;
            match open(&control, &password, args.seconds).await {
                Err(Failure::Refused(refusal)) if left > 0 && refusal.is(ErrorCode::WrongPassword) => {
                    terminal::note("Wrong vault password.");
                }
                result => break result?,
            }
        };
        print(args.output, &status, vault)
    })
}

async fn open(control: &Control, password: &SecretString, seconds: u64) -> Result<api::VaultStatus, Failure> {
    let spinner = approver::spinner(terminal::interactive(), "Opening the vault");
    let body = SecretBody::default().secret("password", password).set("seconds", seconds);
    let result = control.post::<api::VaultStatus>("/vault/unlock", body).await;
    spinner.finish_and_clear();
    result
}

/// Lock the vault now.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  durward lock")]
pub(crate) struct LockArgs {
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) fn lock(args: LockArgs) -> CommandResult {
    with_control(args.output, |control| async move {
        let done: api::Done = control.post("/vault/lock", SecretBody::default()).await?;
        print(args.output, &done, |done| {
            if done.done > 0 { "Locked.".into() } else { "It was locked already.".into() }
        })
    })
}
