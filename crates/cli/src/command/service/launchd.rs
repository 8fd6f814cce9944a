//! A launchd agent of the user, for macOS. Its text is tested where Durward is built; it has not been run there.

use std::path::{Path, PathBuf};
use std::process::Command;

use etcetera::home_dir;

use super::{Service, Started};
use crate::exit::{CliError, Exit};

const LABEL: &str = "durward.approver";

/// Where the agent lies.
pub(super) fn path() -> Result<PathBuf, CliError> {
    let file = format!("{LABEL}.plist");
    Ok(home_dir().map_err(|_| super::no_home())?.join("Library/LaunchAgents").join(file))
}

/// Where the approver logs: launchd keeps no log, so this file is Durward's own, of bounded size.
pub(super) fn log() -> Result<PathBuf, CliError> {
    Ok(home_dir().map_err(|_| super::no_home())?.join("Library/Logs/durward.log"))
}

/// The property list.
pub(super) fn text(service: &Service, log: &Path) -> Result<String, CliError> {
    let home = match &service.home {
        Some(folder) => format!(
            "\t<key>EnvironmentVariables</key>\n\t<dict>\n\t\t<key>DURWARD_HOME</key>\n\t\t{}\n\t</dict>\n",
            string(folder)?
        ),
        None => String::new(),
    };
    let (program, log) = (string(&service.program)?, string(log)?);
    Ok(format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
        <!-- Written by `durward service install`. -->\n\
        <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
        <plist version=\"1.0\">\n\
        <dict>\n\
        \t<key>Label</key>\n\
        \t<string>{LABEL}</string>\n\
        \t<key>ProgramArguments</key>\n\
        \t<array>\n\
        \t\t{program}\n\
        \t\t<string>serve</string>\n\
        \t\t<string>--log-file</string>\n\
        \t\t{log}\n\
        \t</array>\n\
        {home}\
        \t<key>RunAtLoad</key>\n\
        \t<true/>\n\
        \t<key>KeepAlive</key>\n\
        \t<dict>\n\
        \t\t<key>SuccessfulExit</key>\n\
        \t\t<false/>\n\
        \t</dict>\n\
        \t<key>Umask</key>\n\
        \t<integer>63</integer>\n\
        \t<key>SoftResourceLimits</key>\n\
        \t<dict>\n\
        \t\t<key>Core</key>\n\
        \t\t<integer>0</integer>\n\
        \t</dict>\n\
        \t<key>HardResourceLimits</key>\n\
        \t<dict>\n\
        \t\t<key>Core</key>\n\
        \t\t<integer>0</integer>\n\
        \t</dict>\n\
        </dict>\n\
        </plist>\n"
    ))
}

/// How it is started.
pub(super) fn start(path: &Path, log: &Path) -> String {
    format!(
        "Start it, now and with each session:\n  launchctl bootstrap gui/$(id -u) {}\nIts log: {}\n\
        Port 5000 may be AirPlay's here: `durward config set server.listen 127.0.0.1:5050` moves Durward.",
        in_shell(path),
        log.display()
    )
}

/// How it is stopped once its file is gone.
pub(super) fn stop() -> String {
    format!("launchctl bootout gui/$(id -u)/{LABEL}")
}

/// What launchd says of it.
pub(super) fn started() -> Started {
    let target = format!("gui/{}/{LABEL}", nix::unistd::getuid());
    let asked = Command::new("launchctl").args(["print", &target]).output().ok();
    let loaded = asked.as_ref().map(|asked| asked.status.success());
    let runs = asked.and_then(|asked| {
        let said = String::from_utf8_lossy(&asked.stdout).into_owned();
        let state = said.lines().find_map(|line| line.trim().strip_prefix("state = "))?.to_owned();
        (state.len() < 40).then_some(state)
    });
    let word = |loaded| if loaded { "enabled" } else { "disabled" };
    Started { active: runs, enabled: loaded.map(|loaded| word(loaded).to_owned()) }
}

/// A path as a property list has it.
fn string(path: &Path) -> Result<String, CliError> {
    let text = path.display().to_string();
    // Of these XML has no way to write most.
    if text.chars().any(|c| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}')) {
        let text = format!("{} has characters in it that a property list cannot hold", text.escape_debug());
        return Err(CliError::new(Exit::Usage, "bad_path", text));
    }
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    Ok(format!("<string>{escaped}</string>"))
}

/// A path as a shell reads it.
fn in_shell(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-".contains(&b);
    if text.bytes().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(program: &str, home: Option<&str>) -> Service {
        Service { program: program.into(), home: home.map(PathBuf::from) }
    }

    #[test]
    fn the_property_list() {
        let log = Path::new("/Users/ada/Library/Logs/durward.log");
        let plain = text(&service("/opt/homebrew/bin/durward", None), log).unwrap();
        let odd = service("/Users/a & b/<bin>/durward", Some("/Volumes/\"Work\"/it's"));
        let odd = text(&odd, Path::new("/Users/a & b/Library/Logs/durward.log")).unwrap();
        insta::assert_snapshot!(format!("{plain}\n--- with odd folders\n{odd}"));
        assert!(text(&service("/a\u{1b}b", None), log).is_err());
    }

    #[test]
    fn commands_that_can_be_pasted() {
        let path = Path::new("/Users/it's me/Library/LaunchAgents/durward.approver.plist");
        let shown = start(path, Path::new("/l"));
        assert!(shown.contains(r"gui/$(id -u) '/Users/it'\''s me/Library"), "{shown}");
        assert_eq!(stop(), "launchctl bootout gui/$(id -u)/durward.approver");
    }
}
