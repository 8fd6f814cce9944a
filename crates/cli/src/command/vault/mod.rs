//! `durward vault …`: where credentials live.

mod access;
mod add;
mod edit;
mod export;
mod fields;
mod generate;
mod import;
mod init;
mod list;
mod passwd;
mod remove;
mod several;
mod show;

use clap::{Args, Subcommand};

pub(crate) use access::explain;

use crate::exit::CommandResult;

/// The vault: make it, fill it, look into it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  durward vault init\n  durward vault add example.com --username ada\n  \
    durward vault list\n  durward vault show example.com")]
pub(crate) struct VaultArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Init(init::InitArgs),
    Add(add::AddArgs),
    List(list::ListArgs),
    Show(show::ShowArgs),
    Edit(edit::EditArgs),
    Remove(remove::RemoveArgs),
    Passwd(passwd::PasswdArgs),
    Import(import::ImportArgs),
    Export(export::ExportArgs),
    Generate(generate::GenerateArgs),
    Use(several::UseArgs),
    Connect(several::ConnectArgs),
    Disconnect(several::DisconnectArgs),
    Path(several::PathArgs),
}

pub(crate) fn run(args: VaultArgs) -> CommandResult {
    match args.verb {
        Verb::Init(args) => init::run(&args),
        Verb::Add(args) => add::run(&args),
        Verb::List(args) => list::run(&args),
        Verb::Show(args) => show::run(&args),
        Verb::Edit(args) => edit::run(&args),
        Verb::Remove(args) => remove::run(&args),
        Verb::Passwd(args) => passwd::run(&args),
        Verb::Import(args) => import::run(&args),
        Verb::Export(args) => export::run(&args),
        Verb::Generate(args) => generate::run(&args),
        Verb::Use(args) => several::choose(&args),
        Verb::Connect(args) => several::connect(&args),
        Verb::Disconnect(args) => several::disconnect(&args),
        Verb::Path(args) => several::path(&args),
    }
}
