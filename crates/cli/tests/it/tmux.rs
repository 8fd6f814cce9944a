//! A terminal that a person could sit at, kept by tmux: keys go in, what the screen shows comes out.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::home::Home;

/// How long something may take on a busy machine. Each look is a process of its own, so waiting costs little.
const PATIENCE: Duration = Duration::from_mins(1);

/// One terminal with one program in it; its server ends when it is dropped.
pub(crate) struct Tmux<'a> {
    home: &'a Home,
    name: &'static str,
}

impl<'a> Tmux<'a> {
    /// Runs `durward` with these arguments at 80 x 24.
    pub(crate) fn durward(home: &'a Home, name: &'static str, arguments: &[&str]) -> Self {
        let code = home.path(name).with_extension("code");
        let wrapper = ["sh", "-c", r#""$@"; echo "$?" > "$0""#, code.to_str().unwrap()];
        Self::start(home, name, &[&wrapper, &[env!("CARGO_BIN_EXE_durward")][..], arguments].concat())
    }

    /// Runs any program.
    pub(crate) fn start(home: &'a Home, name: &'static str, program: &[&str]) -> Self {
        let terminal = Self { home, name };
        let config = home.path("tmux.conf");
        let mut file = std::fs::File::create(&config).unwrap();
        std::io::Write::write_all(&mut file, b"set -g status off\nset -g remain-on-exit on\n").unwrap();
        let path = format!("PATH={}", std::env::var("PATH").unwrap());
        let folder = format!("DURWARD_HOME={}", home.folder().display());
        let bare = ["env", "-i", &path, &folder, "TERM=screen", "LANG=C.UTF-8", "PS1=ready> "];
        let config = config.to_str().unwrap();
        let new = ["-f", config, "new-session", "-d", "-x", "80", "-y", "24"];
        let output = terminal.tmux(&[&new[..], &bare, program].concat());
        assert!(output.status.success(), "{output:?}");
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> std::process::Output {
        let mut command = Command::new("tmux");
        command.arg("-u").arg("-S").arg(self.home.path(self.name)).args(arguments);
        command.env_remove("TMUX").env("TERM", "screen").stdin(Stdio::null()).output().unwrap()
    }

    /// What is on the screen.
    pub(crate) fn shown(&self) -> String {
        String::from_utf8_lossy(&self.tmux(&["capture-pane", "-p"]).stdout).into_owned()
    }

    /// Waits until the screen shows it; returns the whole screen.
    pub(crate) fn wait(&self, text: &str) -> String {
        self.wait_for(text, |shown| shown.contains(text))
    }

    pub(crate) fn wait_for(&self, what: &str, found: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            let shown = self.shown();
            if found(&shown) {
                return shown;
            }
            assert!(start.elapsed() < PATIENCE, "the screen never showed {what}:\n{shown}");
        }
    }

    /// Presses keys, by tmux's names: `Enter`, `C-z`, `y`.
    pub(crate) fn press(&self, keys: &[&str]) {
        assert!(self.tmux(&[&["send-keys"], keys].concat()).status.success(), "{keys:?}");
    }

    /// Types text as it stands.
    pub(crate) fn type_text(&self, text: &str) {
        assert!(self.tmux(&["send-keys", "-l", text]).status.success());
    }

    /// Answers a question: a key pressed in the first half second is refused, so a person presses again.
    pub(crate) fn answer(&self, key: &str, then: &str) -> String {
        loop {
            self.press(&[key]);
            let again = "press the key again";
            let shown = self.wait_for(then, |shown| shown.contains(then) || shown.contains(again));
            if shown.contains(then) {
                return shown;
            }
            // Any key takes the message away; only then is the next answer told from this one.
            self.press(&["Home"]);
            self.wait_for("the question alone", |shown| !shown.contains(again));
        }
    }

    pub(crate) fn resize(&self, columns: &str, rows: &str) {
        assert!(self.tmux(&["resize-window", "-x", columns, "-y", rows]).status.success());
    }

    /// Closes the terminal, as a person closes its window.
    pub(crate) fn close(&self) {
        self.tmux(&["kill-server"]);
    }

    /// The `durward` in it.
    pub(crate) fn pid(&self) -> u32 {
        let shell = self.about("#{pane_pid}");
        let children = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).unwrap();
        children.trim().parse().unwrap()
    }

    /// Whether a program holds the second screen.
    pub(crate) fn full_screen(&self) -> bool {
        self.about("#{alternate_on}") == "1"
    }

    /// The exit code of `durward`, once it has one. The shell around it writes it down: tmux 3.3 now and then closes
    /// a terminal and never learns how its process ended.
    pub(crate) fn exit_code(&self) -> i32 {
        let start = Instant::now();
        let code = self.home.path(self.name).with_extension("code");
        loop {
            let written = std::fs::read_to_string(&code).unwrap_or_default();
            if let Some(code) = written.strip_suffix('\n') {
                return code.parse().unwrap();
            }
            assert!(start.elapsed() < PATIENCE, "it never ended:\n{}", self.shown());
            std::thread::yield_now();
        }
    }

    fn about(&self, format: &str) -> String {
        String::from_utf8_lossy(&self.tmux(&["display-message", "-p", format]).stdout).trim().to_owned()
    }
}

impl Drop for Tmux<'_> {
    fn drop(&mut self) {
        self.close();
    }
}
