//! `durward config`

mod change;
mod edit;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::{Value, json};

use super::owner::{OutputArgs, print};
use crate::config::FileConfig;
use crate::env_vars;
use crate::exit::{CliError, CommandResult, Exit};
use crate::paths::Paths;
use crate::rest_key::Choice;
use crate::settings::{self, ListenArgs};
use crate::terminal::harmless;

/// The settings in force, and where each comes from.
///
/// A flag wins over the environment, the environment over config.toml, the file over the default.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  durward config show\n  durward config show --port 5050 --json\n  \
    durward config set server.listen 127.0.0.1:5050\n  durward config unset server.listen\n  \
    durward config check\n  \"$EDITOR\" \"$(durward config path)\"")]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Every setting with its value and its source (the default). Takes the flags of `durward serve`.
    #[command(after_help = "Examples:\n  durward config show\n  durward config show --port 5050 --json")]
    Show(Box<ShowArgs>),
    /// Print the path of config.toml.
    #[command(after_help = "Examples:\n  \"$EDITOR\" \"$(durward config path)\"")]
    Path,
    /// Read config.toml, or another file, and say what is wrong with it.
    #[command(after_help = "Examples:\n  durward config check\n  durward config check new.toml")]
    Check {
        /// Which file [default: config.toml in the configuration folder].
        file: Option<PathBuf>,
    },
    /// Write one setting into config.toml. Comments stay; what the approver would not read is not written.
    #[command(after_help = "Examples:\n  durward config set server.listen 127.0.0.1:5050\n  \
        durward config set notify.command '[\"notify-send\", \"Durward\"]'")]
    Set {
        /// Which, as `durward config show` names it.
        key: String,
        /// Its value: a word, a number, true, false, or a list as in TOML.
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
    /// Take one setting out of config.toml: its default holds again.
    #[command(after_help = "Examples:\n  durward config unset server.listen")]
    Unset {
        /// Which.
        key: String,
    },
}

#[derive(Debug, Default, Args)]
struct ShowArgs {
    #[command(flatten)]
    listen: ListenArgs,
}

/// One setting.
#[derive(Debug, Serialize)]
pub(super) struct Setting {
    key: &'static str,
    value: Value,
    source: Source,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Source {
    Flag,
    Env,
    File,
    Default,
}

impl Source {
    fn as_str(self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Env => "env",
            Self::File => "file",
            Self::Default => "default",
        }
    }
}

pub(crate) fn run(args: ConfigArgs) -> CommandResult {
    let output = args.output;
    let act = || {
        let paths = Paths::discover()?;
        match args.verb.unwrap_or_else(|| Verb::Show(Box::default())) {
            Verb::Show(show) => {
                let file = FileConfig::load(&paths.config_file())?;
                let settings = settings(&paths, &file, &show.listen)?;
                print(output, &json!({ "file": paths.config_file(), "settings": settings }), |_| {
                    table(&settings)
                })
            }
            Verb::Path => {
                let path = paths.config_file();
                print(output, &json!({ "path": path, "exists": path.exists() }), |_| {
                    path.display().to_string()
                })
            }
            Verb::Check { file } => check(output, &paths, file),
            Verb::Set { key, value } => change::set(output, &paths, &key, &value),
            Verb::Unset { key } => change::unset(output, &paths, &key),
        }
    };
    act().map_err(|error: CliError| error.json(output.json))
}

fn check(output: OutputArgs, paths: &Paths, file: Option<PathBuf>) -> CommandResult {
    let named = file.is_some();
    let path = file.unwrap_or_else(|| paths.config_file());
    if named && !path.exists() {
        let text = format!("there is no file {}", path.display());
        return Err(CliError::new(Exit::NotFound, "config_not_found", text));
    }
    let config = FileConfig::load(&path)?;
    settings::check(&config)?;
    let result = json!({ "path": path, "exists": path.exists() });
    print(output, &result, |_| {
        if path.exists() {
            format!("{} is good.", path.display())
        } else {
            format!("There is no {}: every setting has its default.", path.display())
        }
    })
}

fn settings(paths: &Paths, file: &FileConfig, listen: &ListenArgs) -> Result<Vec<Setting>, CliError> {
    let config = settings::config(file, listen)?;
    let (server, session) = (&file.server, &file.session);
    let mut settings = Vec::new();
    let mut add = |key, value: Value, source| settings.push(Setting { key, value, source });
    let from = |flag: bool, env: bool, in_file: bool| match (flag, env, in_file) {
        (true, false, _) => Source::Flag,
        (_, true, _) => Source::Env,
        (_, _, true) => Source::File,
        _ => Source::Default,
    };
    let env = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());

    let mode = env(env_vars::DURWARD_MODE);
    let mode_source = from(false, mode.is_some(), file.mode.is_some());
    let mode = mode.map_or_else(|| json!(file.mode.unwrap_or(super::Mode::Remote)), Value::String);
    add("mode", mode, mode_source);
    let in_env = env(env_vars::DURWARD_REST_KEY).is_some();
    add("rest_key", json!(Choice::read(paths)?), from(false, in_env, file.rest_key.is_some()));

    let port_in_env =
        listen.port.is_some_and(|port| env(env_vars::PORT).is_some_and(|text| text.parse() == Ok(port)));
    let by_flag = listen.listen.is_some() || listen.port.is_some() && !port_in_env;
    let port_in_env = port_in_env && listen.listen.is_none();
    add("server.listen", json!(config.listen), from(by_flag, port_in_env, server.listen.is_some()));
    add("server.control", json!(config.control), {
        let flag = listen.control.is_some() || listen.no_control_port;
        from(flag, false, server.control.is_some() || server.control_port.is_some())
    });
    add("server.control_port", json!(config.control.is_some()), {
        from(listen.control.is_some() || listen.no_control_port, false, server.control_port.is_some())
    });
    add("server.allowed_origins", json!(config.allowed_origins), {
        from(false, false, !server.allowed_origins.is_empty())
    });
    let durability = if config.durability == durward_store::Durability::Full { "full" } else { "normal" };
    add("server.durability", json!(durability), from(false, false, server.durability.is_some()));
    let tls = listen.tls_cert.is_some() || listen.tls_self_signed;
    let text = if listen.tls_self_signed {
        json!("self-signed")
    } else {
        json!(listen.tls_cert.as_ref().or(server.tls_cert.as_ref()))
    };
    add("server.tls_cert", text, from(tls, false, server.tls_cert.is_some()));
    add("server.tls_key", json!(listen.tls_key.as_ref().or(server.tls_key.as_ref())), {
        from(listen.tls_key.is_some(), false, server.tls_key.is_some())
    });
    add("server.accounts", json!(config.accounts.is_some()), {
        from(listen.no_accounts, false, server.accounts.is_some())
    });
    add(
        "server.trusted_proxies",
        {
            let flags: Vec<String> = listen.trusted_proxy.iter().map(ToString::to_string).collect();
            if flags.is_empty() { json!(server.trusted_proxies) } else { json!(flags) }
        },
        from(!listen.trusted_proxy.is_empty(), false, !server.trusted_proxies.is_empty()),
    );
    let alert = config.accounts.as_ref().and_then(|accounts| accounts.alert_command.clone());
    add("server.alert_command", json!(alert), {
        from(listen.alert_command.is_some(), false, server.alert_command.is_some())
    });
    let lifetime = config.accounts.as_ref().and_then(|accounts| accounts.policy.key_lifetime);
    let lifetime = lifetime.map(|lifetime| format!("{}m", lifetime.whole_minutes()));
    add("server.key_lifetime", json!(lifetime), {
        from(listen.key_lifetime.is_some(), false, server.key_lifetime.is_some())
    });
    // A URL may hold a password: that there is one is all that is said.
    let url_in_env = env(env_vars::DURWARD_DATABASE_URL)
        .is_some_and(|url| listen.database_url.as_ref().is_some_and(|given| given.expose_secret() == url));
    let database = if listen.database_url.is_some() { "a database URL (not shown)" } else { "durward.db" };
    add("database", json!(database), from(listen.database_url.is_some() && !url_in_env, url_in_env, false));

    let approval = &config.approval;
    add("session.idle_minutes", json!(approval.session_idle.whole_minutes()), {
        from(false, false, session.idle_minutes.is_some())
    });
    add("session.absolute_hours", json!(approval.session_absolute.whole_hours()), {
        from(false, false, session.absolute_hours.is_some())
    });
    add("session.request_minutes", json!(approval.request_life.whole_minutes()), {
        from(false, false, session.request_minutes.is_some())
    });
    let (devices, in_use) = (&file.devices, config.devices.as_ref());
    add(
        "devices.enabled",
        json!(in_use.is_some()),
        from(listen.no_devices, false, devices.enabled.is_some()),
    );
    add("devices.name", json!(in_use.and_then(|devices| devices.name.clone())), {
        from(listen.device_name.is_some(), false, devices.name.is_some())
    });
    add("devices.mdns", json!(in_use.is_some_and(|devices| devices.mdns)), {
        from(listen.no_mdns, false, devices.mdns.is_some())
    });
    let notify = &file.notify;
    add(
        "notify.desktop",
        json!(notify.desktop.unwrap_or(false)),
        from(false, false, notify.desktop.is_some()),
    );
    add("notify.command", json!(notify.command), from(false, false, notify.command.is_some()));
    add("notify.bell", json!(notify.bell.unwrap_or(true)), from(false, false, notify.bell.is_some()));
    let defaults = serde_json::to_value(durward_server::Limits::default()).unwrap_or_default();
    if let Ok(Value::Object(limits)) = serde_json::to_value(&file.limits) {
        for (name, value) in limits {
            let source = from(false, false, defaults.get(&name) != Some(&value));
            if let Some(key) = LIMITS.iter().find(|key| key.strip_prefix("limits.") == Some(name.as_str())) {
                add(key, value, source);
            }
        }
    }
    Ok(settings)
}

/// Every key of `[limits]`.
const LIMITS: [&str; 11] = [
    "limits.max_connections",
    "limits.max_body_bytes",
    "limits.header_timeout_seconds",
    "limits.body_timeout_seconds",
    "limits.max_headers",
    "limits.default_wait_seconds",
    "limits.max_wait_seconds",
    "limits.max_spake_sessions",
    "limits.max_connections_per_address",
    "limits.max_calls_per_address",
    "limits.max_pairings_per_address",
];

fn table(settings: &[Setting]) -> String {
    let widest = settings.iter().map(|setting| setting.key.len()).max().unwrap_or(0);
    let line = |setting: &Setting| {
        let value = match &setting.value {
            Value::String(text) => harmless(text),
            Value::Null => "none".into(),
            other => harmless(&other.to_string()),
        };
        format!("{:<widest$}  {:<7}  {value}", setting.key, setting.source.as_str())
    };
    settings.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_shown() {
        let paths = Paths::discover().unwrap();
        let shown = settings(&paths, &FileConfig::default(), &ListenArgs::default()).unwrap();
        let mut shown: Vec<&str> =
            shown.iter().map(|setting| setting.key).filter(|key| *key != "database").collect();
        let mut keys = change::keys();
        shown.sort_unstable();
        keys.sort();
        assert_eq!(shown, keys);
    }

    #[test]
    fn every_limit_is_listed() {
        let Value::Object(limits) = serde_json::to_value(durward_server::Limits::default()).unwrap() else {
            panic!("a table")
        };
        let mut keys: Vec<String> = limits.keys().map(|name| format!("limits.{name}")).collect();
        let mut listed = LIMITS.map(str::to_owned).to_vec();
        keys.sort();
        listed.sort();
        assert_eq!(keys, listed);
    }
}
