//! One file a command. Each module has its `Args` and a `run`.

mod account;
mod agent;
mod audit;
mod backup;
mod completions;
mod config;
mod credential_helper;
pub(crate) mod device;
mod doctor;
mod explain;
mod grants;
mod inject;
mod key;
mod local;
mod man;
mod owner;
mod pairing;
mod policy;
mod receipt;
mod reference;
mod request;
mod requests;
mod run;
mod selftest;
mod serve;
mod service;
mod sessions;
mod spake;
mod status;
mod table;
mod token;
mod vault;
mod version;

use clap::{Parser, Subcommand};

pub(crate) use agent::Mode;

use crate::clipboard;
use crate::exit::CommandResult;

/// Hands a credential to an agent, a script or a device only on its owner's say-so.
#[derive(Debug, Parser)]
#[command(name = "durward", version, about, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    // The owner's.
    Up(serve::UpArgs),
    #[command(alias = "daemon")]
    Serve(serve::ServeArgs),
    Approve(serve::ApproveArgs),
    Down(serve::DownArgs),
    Status(status::StatusArgs),
    Pairing(pairing::PairingArgs),
    Sessions(sessions::SessionsArgs),
    Requests(requests::RequestsArgs),
    Grants(grants::GrantsArgs),
    Policy(policy::PolicyArgs),
    Unlock(status::UnlockArgs),
    Vault(vault::VaultArgs),
    Lock(status::LockArgs),
    Audit(audit::AuditArgs),
    Token(token::TokenArgs),
    Account(account::AccountArgs),
    // Devices.
    Pair(device::PairArgs),
    Devices(device::DevicesArgs),
    Seal(device::SealArgs),
    Open(device::OpenArgs),
    Send(device::SendArgs),
    Inbox(device::InboxArgs),
    Config(config::ConfigArgs),
    Doctor(doctor::DoctorArgs),
    Service(service::ServiceArgs),
    Backup(backup::BackupArgs),
    Restore(backup::RestoreArgs),
    // The agent's.
    Request(request::RequestArgs),
    Run(run::RunArgs),
    Inject(inject::InjectArgs),
    Agent(agent::AgentArgs),
    Key(key::KeyArgs),
    Receipt(receipt::ReceiptArgs),
    CredentialHelper(credential_helper::CredentialHelperArgs),
    // Anybody's.
    Explain(explain::ExplainArgs),
    Selftest(selftest::SelftestArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
    Version(version::VersionArgs),
    #[command(name = clipboard::CLEAR_COMMAND, hide = true)]
    ClearClipboard(clipboard::ClearArgs),
    Spake(spake::SpakeArgs),
}

/// Runs the command that was asked for.
pub(crate) fn run(cli: Cli) -> CommandResult {
    match cli.command {
        Command::Up(args) => serve::up(args),
        Command::Serve(args) => serve::serve(args),
        Command::Approve(args) => serve::approve(args),
        Command::Down(args) => serve::down(args),
        Command::Status(args) => status::status(args),
        Command::Pairing(args) => pairing::pairing(args),
        Command::Sessions(args) => sessions::sessions(args),
        Command::Requests(args) => requests::run(args),
        Command::Grants(args) => grants::grants(args),
        Command::Policy(args) => policy::run(args),
        Command::Unlock(args) => status::unlock(args),
        Command::Lock(args) => status::lock(args),
        Command::Audit(args) => audit::run(args),
        Command::Pair(args) => device::pair(args),
        Command::Devices(args) => device::devices(args),
        Command::Seal(args) => device::seal(args),
        Command::Open(args) => device::open(args),
        Command::Send(args) => device::send(args),
        Command::Inbox(args) => device::inbox(args),
        Command::Request(args) => request::run(args),
        Command::Run(args) => run::run(args),
        Command::Inject(args) => inject::run(args),
        Command::Agent(args) => agent::run(args),
        Command::Explain(args) => explain::run(&args),
        Command::Selftest(args) => selftest::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
        Command::Version(args) => version::run(&args),
        Command::Config(args) => config::run(args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Service(args) => service::run(&args),
        Command::Backup(args) => backup::backup(&args),
        Command::Restore(args) => backup::restore(&args),
        Command::Vault(args) => vault::run(args),
        Command::Token(args) => token::run(&args),
        Command::Account(args) => account::run(args),
        Command::Key(args) => key::run(args),
        Command::Receipt(args) => receipt::run(args),
        Command::CredentialHelper(args) => credential_helper::run(args),
        Command::ClearClipboard(args) => clipboard::run(&args),
        Command::Spake(args) => spake::run(args),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// Commands and groups of them, each with its whole name.
    fn all(command: &clap::Command, name: &str, found: &mut Vec<(String, String)>) {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        found.push((name.to_owned(), help));
        let below = command.get_subcommands().filter(|below| !below.is_hide_set());
        below.for_each(|below| all(below, &format!("{name} {}", below.get_name()), found));
    }

    #[test]
    fn help_has_an_example_of_every_command() {
        let mut found = Vec::new();
        all(&Cli::command(), "durward", &mut found);
        // By the command's own name, or its value in another's command line.
        let has = |help: &str| help.contains("Example") && help.contains("durward");
        // The whole program's help is the list of its commands.
        let without = found.iter().skip(1).filter(|(_, help)| !has(help)).map(|(name, _)| name);
        assert_eq!(without.collect::<Vec<_>>(), Vec::<&String>::new(), "no example");
    }
}
