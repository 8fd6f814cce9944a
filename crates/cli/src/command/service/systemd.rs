//! A systemd unit of the user.

use std::path::PathBuf;
use std::process::Command;

use etcetera::{BaseStrategy as _, choose_base_strategy};

use super::{Service, Started};
use crate::exit::{CliError, Exit};

const UNIT: &str = "durward.service";

/// Where the unit lies.
pub(super) fn path() -> Result<PathBuf, CliError> {
    let base = choose_base_strategy().map_err(|_| super::no_home())?;
    Ok(base.config_dir().join("systemd/user").join(UNIT))
}

/// The unit: this program, this folder, and no more of the system than it needs.
pub(super) fn text(service: &Service) -> Result<String, CliError> {
    let home = match &service.home {
        Some(folder) => format!("Environment={}\n", quoted(&format!("DURWARD_HOME={}", folder.display()))?),
        None => String::new(),
    };
    let program = quoted(&service.program.display().to_string())?;
    Ok(format!(
        "# Written by `durward service install`.\n\
        [Unit]\n\
        Description=Durward approver\n\
        Documentation=man:durward(1)\n\
        \n\
        [Service]\n\
        {home}ExecStart={program} serve\n\
        Restart=on-failure\n\
        UMask=0077\n\
        LimitCORE=0\n\
        NoNewPrivileges=yes\n\
        LockPersonality=yes\n\
        RestrictRealtime=yes\n\
        RestrictSUIDSGID=yes\n\
        RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK\n\
        SystemCallArchitectures=native\n\
        \n\
        [Install]\n\
        WantedBy=default.target\n"
    ))
}

/// How it is started.
pub(super) const START: &str = "Start it, now and with each session:\n  systemctl --user daemon-reload\n  \
    systemctl --user enable --now durward\nIts log: journalctl --user -u durward";

/// How it is stopped once its file is gone.
pub(super) const STOP: &str = "systemctl --user disable --now durward\n  systemctl --user daemon-reload";

/// What systemd says of it.
pub(super) fn started() -> Started {
    let said = |what: &str| {
        let asked = Command::new("systemctl").args(["--user", what, UNIT]).output().ok()?;
        let word = String::from_utf8(asked.stdout).ok()?.trim().to_owned();
        (!word.is_empty() && word.len() < 40).then_some(word)
    };
    Started { active: said("is-active"), enabled: said("is-enabled") }
}

/// A word as systemd reads it: quoted, with its specifiers and variables escaped.
fn quoted(word: &str) -> Result<String, CliError> {
    if word.chars().any(char::is_control) {
        let text = format!("{} has control characters in it, which a unit cannot hold", word.escape_debug());
        return Err(CliError::new(Exit::Usage, "bad_path", text));
    }
    let escaped = word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-=".contains(&b);
    Ok(if word.bytes().all(plain) { escaped } else { format!("\"{escaped}\"") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_unit() {
        for (word, quoted_word) in [
            ("/usr/bin/durward", "/usr/bin/durward"),
            ("/home/a b/durward", "\"/home/a b/durward\""),
            ("/x%h\"$y\\z", "\"/x%%h\\\"$$y\\\\z\""),
        ] {
            assert_eq!(quoted(word).unwrap(), quoted_word);
        }
        assert!(quoted("a\nExecStartPre=rm").is_err());
    }
}
