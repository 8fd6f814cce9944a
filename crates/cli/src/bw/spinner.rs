//! Something to look at while the machine works: a line that turns, with the time so far.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::context::Context;
use crate::env;

const TURN: Duration = Duration::from_millis(120);

/// How the line is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// Not at all.
    Hidden,
    /// Without colours.
    Plain,
    /// In colours.
    Coloured,
}

impl Look {
    fn new(terminal: bool, silent: bool, no_color: bool) -> Self {
        match (terminal && !silent, no_color) {
            (false, _) => Self::Hidden,
            (true, true) => Self::Plain,
            (true, false) => Self::Coloured,
        }
    }
}

/// Shows the line while `work` runs: only on a terminal, only where words are wanted at all, and gone afterwards.
pub(crate) fn busy<T>(context: &Context, what: &'static str, work: impl FnOnce() -> T) -> T {
    let silent = context.quiet || context.response || context.no_interaction;
    let look = Look::new(std::io::stderr().is_terminal(), silent, env::get(env::NO_COLOR).is_some());
    let started = Instant::now();
    let Some(line) = line(look, what, ProgressDrawTarget::stderr(), move || started.elapsed()) else {
        return work();
    };
    line.enable_steady_tick(TURN);
    let result = work();
    line.finish_and_clear();
    result
}

/// The line; the clock says how long it has been there.
fn line(
    look: Look,
    what: &'static str,
    target: ProgressDrawTarget,
    clock: impl Fn() -> Duration + Clone + Send + Sync + 'static,
) -> Option<ProgressBar> {
    let template = match look {
        Look::Hidden => return None,
        Look::Plain => "{spinner} {msg} ({since})",
        Look::Coloured => "\u{1b}[36m{spinner}\u{1b}[39m {msg} \u{1b}[2m({since})\u{1b}[22m",
    };
    let bar = ProgressBar::with_draw_target(None, target).with_message(what);
    let since = move |_: &ProgressState, text: &mut dyn std::fmt::Write| {
        let _ = write!(&mut *text, "{}", shown(clock()));
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.with_key("since", since));
    }
    Some(bar)
}

/// `7s`, `2m05s`.
fn shown(time: Duration) -> String {
    let seconds = time.as_secs();
    let mut text = String::new();
    let _ = match seconds / 60 {
        0 => write!(text, "{seconds}s"),
        minutes => write!(text, "{minutes}m{:02}s", seconds % 60),
    };
    text
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Arc, Mutex};

    use indicatif::TermLike;

    use super::*;

    /// A terminal of one line; the cursor only ever stands in it.
    #[derive(Clone, Debug, Default)]
    struct Paper(Arc<Mutex<String>>);

    impl TermLike for Paper {
        fn width(&self) -> u16 {
            80
        }
        fn move_cursor_up(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> std::io::Result<()> {
            self.write_str(text)
        }
        fn write_str(&self, text: &str) -> std::io::Result<()> {
            self.0.lock().unwrap().push_str(text);
            Ok(())
        }
        fn clear_line(&self) -> std::io::Result<()> {
            self.0.lock().unwrap().clear();
            Ok(())
        }
        fn flush(&self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// The line at each of these moments, and what is left of it at the end.
    fn frames(look: Look, what: &'static str, moments: &[u64]) -> String {
        let (paper, now) = (Paper::default(), Arc::new(AtomicU64::new(0)));
        let clock = {
            let now = Arc::clone(&now);
            move || Duration::from_secs(now.load(Ordering::Relaxed))
        };
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(paper.clone()), 255);
        let shown = || paper.0.lock().unwrap().trim_end().replace('\u{1b}', "^");
        let Some(line) = line(look, what, target, clock) else { return format!("[{}]", shown()) };
        let mut all = String::new();
        for moment in moments {
            now.store(*moment, Ordering::Relaxed);
            line.force_draw();
            writeln!(all, "{:>4} s [{}]", moment, shown()).unwrap();
        }
        line.finish_and_clear();
        writeln!(all, "   end [{}]", shown()).unwrap();
        all
    }

    #[test]
    fn the_line_says_what_and_for_how_long() {
        insta::assert_snapshot!("plain", frames(Look::Plain, "Deriving the key", &[0, 1, 59, 60, 125]));
        insta::assert_snapshot!("coloured", frames(Look::Coloured, "Syncing", &[0, 3]));
    }

    #[test]
    fn nothing_is_shown_where_nobody_looks() {
        for (terminal, silent, no_color, look) in [
            (false, false, false, Look::Hidden),
            (false, true, true, Look::Hidden),
            (true, true, false, Look::Hidden),
            (true, false, true, Look::Plain),
            (true, false, false, Look::Coloured),
        ] {
            assert_eq!(Look::new(terminal, silent, no_color), look, "{terminal} {silent} {no_color}");
        }
        assert_eq!(frames(Look::Hidden, "Syncing", &[0, 3]), "[]");
    }
}
