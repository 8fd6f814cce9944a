//! git's credential helper protocol (gitcredentials(7), git-credential(1)): lines `key=value` both ways.

use clap::{Args, ValueEnum};
use durward_protocol::{Credential, Domain, Field, SecretString};
use zeroize::Zeroizing;

use super::{AskArgs, question, value};
use crate::command::agent::raw_value;
use crate::exit::{CliError, CommandResult, Exit};

/// Answer git: username and password for the host of a remote.
///
/// Only https hosts are answered, and http on this machine: elsewhere git would send the password in the open.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  git config --global credential.helper '!durward credential-helper git'")]
pub(super) struct GitArgs {
    /// What git wants. `store` and `erase` do nothing: the vault is the owner's.
    #[arg(value_enum)]
    operation: Operation,
    #[command(flatten)]
    ask: AskArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Operation {
    /// Print username and password.
    Get,
    /// Do nothing.
    Store,
    /// Do nothing.
    Erase,
}

pub(super) fn run(args: GitArgs) -> CommandResult {
    let text = question()?;
    if args.operation != Operation::Get {
        return Ok(Exit::success());
    }
    let wanted = Wanted::parse(&text)?;
    let credential =
        match args.ask.ask("git", wanted.domain.as_str(), &["username", "password"], &wanted.reason()) {
            Ok(credential) => credential,
            Err(error) => {
                // git would go on and ask the person; a no is a no.
                if matches!(error.exit, Exit::Denied | Exit::Refused | Exit::Interrupted) {
                    raw_value("quit=1");
                }
                return Err(error);
            }
        };
    raw_value(&answer(&wanted, &credential)?);
    Ok(Exit::success())
}

/// What git says about the remote.
#[derive(Debug, PartialEq)]
struct Wanted {
    domain: Domain,
    host: String,
    path: Option<String>,
    username: Option<String>,
}

impl Wanted {
    /// Unknown keys are ignored, as gitcredentials(7) asks.
    fn parse(text: &str) -> Result<Self, CliError> {
        let bad =
            |why: &str| CliError::new(Exit::Usage, "invalid_question", format!("git's question: {why}"));
        let of = |key: &str| {
            let mut values =
                text.lines().filter_map(|line| line.split_once('=')).filter(|(name, _)| *name == key);
            values.next_back().map(|(_, value)| value.to_owned()).filter(|value| !value.is_empty())
        };
        let host = of("host").ok_or_else(|| bad("there is no host"))?;
        let domain = Domain::from_input(&host).map_err(|error| bad(&error.to_string()))?;
        let name = domain.as_str();
        let here = name == "localhost"
            || name.ends_with(".localhost")
            || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        match of("protocol").as_deref() {
            Some("https") => {}
            Some("http") if here => {}
            Some("http") => {
                let text = format!("git would send the password for {name} in the open, over http");
                return Err(
                    CliError::new(Exit::Refused, "insecure", text).hint("use the remote's https address")
                );
            }
            _ => return Err(bad("the protocol is neither https nor http")),
        }
        Ok(Self { domain, host, path: of("path"), username: of("username") })
    }

    fn reason(&self) -> String {
        let path = self.path.as_ref().map(|path| format!("/{path}")).unwrap_or_default();
        let user = self.username.as_ref().map(|user| format!(" as {user}")).unwrap_or_default();
        let mut reason = format!("git: {}{path}{user}", self.host);
        reason.truncate(reason.floor_char_boundary(1_000));
        reason
    }
}

fn answer(wanted: &Wanted, credential: &Credential) -> Result<Zeroizing<String>, CliError> {
    let username = value(credential, &Field::Username)?;
    let password = value(credential, &Field::Password)?;
    // An address with another person's name in it must not be answered with this person's password.
    if wanted.username.as_ref().is_some_and(|wanted| wanted != username.expose_secret()) {
        let text =
            format!("the item for {} has another username than the remote's address names", wanted.domain);
        return Err(CliError::new(Exit::NotFound, "other_username", text));
    }
    let fits = |value: &SecretString| !value.expose_secret().contains(['\n', '\r', '\0']);
    if !fits(username) || !fits(password) {
        let text = "git's protocol has no way to say a value with a line end in it";
        return Err(CliError::new(Exit::Other, "not_expressible", text));
    }
    Ok(Zeroizing::new(format!(
        "username={}\npassword={}",
        username.expose_secret(),
        password.expose_secret()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(username: &str, password: &str) -> Credential {
        Credential {
            username: Some(SecretString::new(username.to_owned())),
            password: Some(SecretString::new(password.to_owned())),
            ..Credential::default()
        }
    }

    #[test]
    fn questions() {
        let text = "capability[]=authtype\nprotocol=https\nhost=Git.Example:8443\npath=a/b.git\nwwwauth[]=Basic x=y\n\n";
        let wanted = Wanted::parse(text).unwrap();
        assert_eq!((wanted.domain.as_str(), wanted.username.as_deref()), ("git.example", None));
        assert_eq!(wanted.reason(), "git: Git.Example:8443/a/b.git");
        for good in ["protocol=http\nhost=127.0.0.1:80\n", "protocol=http\nhost=a.localhost\n"] {
            Wanted::parse(good).unwrap();
        }
        for bad in [
            "",
            "protocol=https\n",
            "protocol=https\nhost=\n",
            "host=git.example\n",
            "protocol=ssh\nhost=a.b\n",
        ] {
            assert_eq!(Wanted::parse(bad).unwrap_err().exit, Exit::Usage, "{bad:?}");
        }
        let open = Wanted::parse("protocol=http\nhost=git.example\n").unwrap_err();
        assert_eq!((open.exit, open.code.as_str()), (Exit::Refused, "insecure"));
    }

    #[test]
    fn answers() {
        let wanted = Wanted::parse("protocol=https\nhost=git.example\nusername=ada\n").unwrap();
        assert_eq!(
            answer(&wanted, &credential("ada", "a=b")).unwrap().as_str(),
            "username=ada\npassword=a=b"
        );
        assert_eq!(answer(&wanted, &credential("eve", "x")).unwrap_err().code, "other_username");
        assert_eq!(answer(&wanted, &credential("ada", "x\nquit=1")).unwrap_err().code, "not_expressible");
        assert_eq!(answer(&wanted, &Credential::default()).unwrap_err().exit, Exit::NotFound);
    }
}
