//! `durward version`

use clap::Args;
use serde_json::json;

use super::owner::{OutputArgs, print};
use crate::exit::CommandResult;

/// Version, protocol, features and build of this program.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  durward version\n  durward version --json")]
pub(crate) struct VersionArgs {
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) fn run(args: &VersionArgs) -> CommandResult {
    let features: &[&str] = if cfg!(feature = "bitwarden") { &["bitwarden"] } else { &[] };
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    let target = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
    let protocol = durward_protocol::ENVELOPE_VERSION;
    let version = env!("CARGO_PKG_VERSION");
    let result = json!({
        "version": version,
        "protocol": protocol,
        "features": features,
        "build": build,
        "target": target,
    });
    print(args.output, &result, |_| {
        let features = if features.is_empty() { "none".to_owned() } else { features.join(", ") };
        format!("durward {version} ({build}, {target})\nprotocol  {protocol}\nfeatures  {features}")
    })
}
