//! `durward receipt`

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use durward_client::StoredReceipt;
use durward_protocol::{ApproverId, Receipt, hex_encode};
use serde_json::{Value, json};

use super::agent::{ConnectArgs, explain};
use crate::exit::{CliError, CommandResult, Exit};
use crate::terminal::{self, harmless};

/// Largest file that is read as a receipt.
const MAX_FILE_BYTES: u64 = 64 * 1_024;

/// Receipts: what the owner decided, signed by the approver. Needs no approver and no network.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  durward receipt list\n  durward receipt show 12 --raw > receipt.txt\n  \
    durward receipt verify receipt.txt\n  durward receipt verify"
)]
pub(crate) struct ReceiptArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Those this profile received, oldest first.
    #[command(after_help = "Example:\n  durward receipt list --agent ci")]
    List {
        #[command(flatten)]
        connect: ConnectArgs,
    },
    /// One of them, whole.
    #[command(
        after_help = "Examples:\n  durward receipt show 12\n  durward receipt show 12 --raw > receipt.txt"
    )]
    Show {
        /// Its number in the list, or the request's id.
        #[arg(allow_hyphen_values = true)]
        which: String,
        /// Print the receipt itself, to be given to somebody else.
        #[arg(long)]
        raw: bool,
        #[command(flatten)]
        connect: ConnectArgs,
    },
    /// Check the signature of a receipt in a file; without a file all that this profile received.
    Verify(VerifyArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  durward receipt verify\n  \
    durward receipt verify receipt.txt --reason \"Book the flight\"")]
struct VerifyArgs {
    /// The receipt, as `show --raw` or `show --json` prints it; `-` for standard input.
    file: Option<PathBuf>,
    /// The approver that must have signed it. Without this any approver's signature is good.
    #[arg(long = "signed-by", value_name = "APPROVER_ID", requires = "file")]
    signed_by: Option<String>,
    /// The reason it must be about.
    #[arg(long, requires = "file")]
    reason: Option<String>,
    #[command(flatten)]
    connect: ConnectArgs,
}

pub(crate) fn run(args: ReceiptArgs) -> CommandResult {
    match args.verb {
        Verb::List { connect } => list(&connect).map_err(|error| error.json(connect.json)),
        Verb::Show { which, raw, connect } => {
            show(&connect, &which, raw).map_err(|error| error.json(connect.json))
        }
        Verb::Verify(args) => {
            let json = args.connect.json;
            verify(&args).map_err(|error| error.json(json))
        }
    }
}

fn list(connect: &ConnectArgs) -> CommandResult {
    let kept = receipts(connect)?;
    if connect.json {
        let list: Vec<Value> = kept.iter().map(as_json).collect();
        terminal::json(&json!({ "success": true, "receipts": list }));
    } else if kept.is_empty() {
        terminal::note("No receipts yet.");
    }
    for receipt in kept.iter().filter(|_| !connect.json) {
        let said = &receipt.receipt.statement;
        let mark = if receipt.problem.is_some() { "  !" } else { "" };
        terminal::out(&format!(
            "{:>4}  {}  {}  {}  by {}  {}{mark}",
            receipt.n,
            said.at,
            said.domain,
            said.verdict,
            said.decided_by,
            harmless(if said.fields_released.is_empty() { "-" } else { &said.fields_released }),
        ));
    }
    Ok(Exit::success())
}

fn show(connect: &ConnectArgs, which: &str, raw: bool) -> CommandResult {
    let kept = receipts(connect)?;
    let number = which.parse::<u64>().ok();
    let found = kept
        .iter()
        .find(|receipt| Some(receipt.n) == number)
        .or_else(|| kept.iter().rfind(|r| r.receipt.statement.request_id.to_string() == which));
    let found = found.ok_or_else(|| {
        let text = format!("there is no receipt {}", harmless(which));
        CliError::new(Exit::NotFound, "receipt_not_found", text).hint("`durward receipt list` shows them")
    })?;
    if connect.json {
        terminal::json(&json!({ "success": true, "receipt": as_json(found) }));
    } else if raw {
        terminal::out(&found.text);
    } else {
        terminal::out(&text(&found.receipt));
        terminal::out(&format!("Reason    {}", harmless(&found.reason)));
        if let Some(problem) = &found.problem {
            terminal::out(&format!("!         {}", harmless(problem)));
        }
    }
    Ok(Exit::success())
}

fn verify(args: &VerifyArgs) -> CommandResult {
    let Some(file) = &args.file else { return verify_all(&args.connect) };
    let (receipt_text, told) = read(file)?;
    let bad = |error: durward_protocol::Error, code| CliError::new(Exit::Mismatch, code, error.to_string());
    let receipt = Receipt::verify(&receipt_text).map_err(|error| bad(error, "bad_receipt"))?;
    if let Some(wanted) = &args.signed_by {
        let wanted = ApproverId::parse(wanted)
            .map_err(|error| CliError::new(Exit::Usage, "invalid_id", error.to_string()))?;
        if receipt.approver_id != wanted {
            return Err(bad(durward_protocol::Error::ReceiptOfAnother, "receipt_of_another"));
        }
    }
    if let Some(reason) = args.reason.as_ref().or(told.as_ref())
        && !receipt.is_for_reason(reason)
    {
        let text = "the receipt is good and about another reason";
        return Err(CliError::new(Exit::Mismatch, "another_reason", text));
    }
    if args.connect.json {
        terminal::json(&json!({ "success": true, "receipt": statement_json(&receipt) }));
    } else {
        terminal::out(&text(&receipt));
        terminal::out("The signature is good. Compare the approver's key with one that you trust.");
    }
    Ok(Exit::success())
}

fn verify_all(connect: &ConnectArgs) -> CommandResult {
    let agent = connect.open(None)?;
    let check = agent.check_receipts().map_err(|error| explain(&error, Some(&agent)))?;
    let good = check.problems.is_empty();
    if connect.json {
        terminal::json(
            &json!({ "success": good, "receipts": check.count, "newest": check.newest, "problems": check.problems }),
        );
    } else {
        for problem in &check.problems {
            terminal::out(&harmless(problem));
        }
        if good {
            terminal::out(&format!("{} receipts; signatures and chain hold.", check.count));
        }
    }
    Ok(if good { Exit::success() } else { (Exit::Other as u8).into() })
}

fn receipts(connect: &ConnectArgs) -> Result<Vec<StoredReceipt>, CliError> {
    let agent = connect.open(None)?;
    agent.receipts().map_err(|error| explain(&error, Some(&agent)))
}

/// The receipt, and the reason if the file is what `show --json` prints.
fn read(file: &Path) -> Result<(String, Option<String>), CliError> {
    let failed = |error: &std::io::Error| {
        let exit = if error.kind() == std::io::ErrorKind::NotFound { Exit::NotFound } else { Exit::Other };
        CliError::new(exit, "unreadable", format!("{}: {error}", file.display()))
    };
    let mut text = String::new();
    let source: Box<dyn std::io::Read> = if file == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(file).map_err(|error| failed(&error))?)
    };
    source.take(MAX_FILE_BYTES).read_to_string(&mut text).map_err(|error| failed(&error))?;
    let json: Option<Value> = serde_json::from_str(&text).ok();
    let Some(shown) = json.as_ref().and_then(|json| json.get("receipt")) else {
        return Ok((text.trim().to_owned(), None));
    };
    let string = |key: &str| shown.get(key).and_then(Value::as_str).map(str::to_owned);
    Ok((string("receipt").unwrap_or_default(), string("reason")))
}

fn text(receipt: &Receipt) -> String {
    let said = &receipt.statement;
    let or_none = |text: &str| if text.is_empty() { "none".to_owned() } else { harmless(text) };
    [
        ("Verdict", format!("{}, by {}", said.verdict, said.decided_by)),
        ("Domain", said.domain.to_string()),
        ("Asked", or_none(&said.fields_asked)),
        ("Released", or_none(&said.fields_released)),
        ("Time", said.at.to_string()),
        ("Agent", said.agent_id.to_string()),
        ("Key", said.fingerprint.words()),
        ("Request", said.request_id.to_string()),
        ("Policy", or_none(&said.policy_version)),
        ("Approver", receipt.approver_id.to_string()),
    ]
    .map(|(label, value)| format!("{label:<9} {value}"))
    .join("\n")
}

fn statement_json(receipt: &Receipt) -> Value {
    let said = &receipt.statement;
    json!({
        "approver_id": receipt.approver_id.as_str(),
        "agent_id": said.agent_id.as_str(),
        "fingerprint": said.fingerprint.words(),
        "request_id": said.request_id.to_string(),
        "domain": said.domain.as_str(),
        "reason_sha256": hex_encode(&said.reason_hash),
        "fields_asked": said.fields_asked,
        "fields_released": said.fields_released,
        "verdict": said.verdict.as_str(),
        "decided_by": said.decided_by.as_str(),
        "time": said.at.to_string(),
        "policy_version": said.policy_version,
    })
}

fn as_json(kept: &StoredReceipt) -> Value {
    let mut value = statement_json(&kept.receipt);
    if let Some(object) = value.as_object_mut() {
        object.insert("n".into(), kept.n.into());
        object.insert("reason".into(), kept.reason.clone().into());
        object.insert("received_at".into(), kept.received_at.to_string().into());
        object.insert("receipt".into(), kept.text.clone().into());
        object.insert("problem".into(), kept.problem.clone().into());
    }
    value
}
