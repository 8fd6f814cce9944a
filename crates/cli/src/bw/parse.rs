//! From words to a command, by the rules of the parser that the official command line uses: options anywhere,
//! values behind `=` or as the next word, short switches in one bundle, `--` ends the options.

use std::collections::HashMap;

use crate::spec::{Arg, COMMANDS, Command, GLOBAL, Opt, Value};

/// What the words mean.
#[derive(Debug)]
pub(crate) enum Parsed {
    /// `-v`.
    Version,
    /// `-h`, or `help NAME`.
    Help(Option<&'static Command>),
    /// Nothing at all.
    NoCommand,
    /// A mistake, with its text.
    Usage(String),
    /// A command nobody knows, with all words.
    Unknown(String),
    /// A command to run.
    Run(Invocation),
}

/// A command with its arguments and options.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) command: &'static Command,
    pub(crate) args: Vec<String>,
    options: HashMap<&'static str, Option<String>>,
}

impl Invocation {
    /// Whether an option was given.
    pub(crate) fn has(&self, long: &str) -> bool {
        self.options.contains_key(long)
    }

    /// The value of an option.
    pub(crate) fn value(&self, long: &str) -> Option<&str> {
        self.options.get(long)?.as_deref()
    }

    /// A positional argument.
    pub(crate) fn arg(&self, at: usize) -> Option<&str> {
        self.args.get(at).map(String::as_str)
    }
}

/// Reads the words.
pub(crate) fn parse(words: &[String]) -> Parsed {
    let mut parser = Parser { words, at: 0, command: None, args: Vec::new(), options: HashMap::new() };
    match parser.run() {
        Ok(()) => parser.finish(),
        Err(ended) => ended,
    }
}

struct Parser<'w> {
    words: &'w [String],
    at: usize,
    command: Option<&'static Command>,
    args: Vec<String>,
    options: HashMap<&'static str, Option<String>>,
}

impl Parser<'_> {
    fn run(&mut self) -> Result<(), Parsed> {
        let mut only_args = false;
        while let Some(word) = self.words.get(self.at) {
            self.at += 1;
            if only_args || !word.starts_with('-') || word == "-" {
                self.word(word)?;
            } else if word == "--" {
                only_args = true;
            } else if let Some(long) = word.strip_prefix("--") {
                self.long(word, long)?;
            } else {
                self.shorts(word)?;
            }
        }
        Ok(())
    }

    fn word(&mut self, word: &str) -> Result<(), Parsed> {
        if self.command.is_some() {
            self.args.push(word.to_owned());
            return Ok(());
        }
        if word == "help" {
            return Err(match self.words.get(self.at) {
                None => Parsed::Help(None),
                Some(name) => find(name).map_or(Parsed::NoCommand, |c| Parsed::Help(Some(c))),
            });
        }
        let rest = self.words.get(self.at - 1..).unwrap_or_default();
        self.command = Some(find(word).ok_or_else(|| Parsed::Unknown(rest.join(" ")))?);
        Ok(())
    }

    fn long(&mut self, word: &str, long: &str) -> Result<(), Parsed> {
        let (name, given) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (long, None),
        };
        match name {
            "help" => return Err(Parsed::Help(self.command)),
            "version" => return Err(Parsed::Version),
            _ => {}
        }
        let Some(option) = self.known().find(|o| o.long == name) else {
            return self.unknown(word.split('=').next().unwrap_or(word));
        };
        self.take(option, given)
    }

    fn shorts(&mut self, word: &str) -> Result<(), Parsed> {
        for (i, c) in word.char_indices().skip(1) {
            match c {
                'h' => return Err(Parsed::Help(self.command)),
                'v' => return Err(Parsed::Version),
                _ => {}
            }
            let Some(option) = self.known().find(|o| o.short == Some(c)) else {
                return self.unknown(if i == 1 { word.to_owned() } else { format!("-{c}") }.as_str());
            };
            self.take(option, None)?;
        }
        Ok(())
    }

    fn known(&self) -> impl Iterator<Item = &'static Opt> + use<> {
        GLOBAL.iter().chain(self.command.map_or(&[][..], |c| c.options))
    }

    fn unknown(&mut self, word: &str) -> Result<(), Parsed> {
        // What is only elsewhere is answered as such, whatever its options are.
        if self.command.is_some_and(|c| !c.here) {
            return Ok(());
        }
        Err(Parsed::Usage(format!("error: unknown option '{word}'")))
    }

    fn take(&mut self, option: &'static Opt, given: Option<String>) -> Result<(), Parsed> {
        let value = match option.value {
            Value::None => None,
            Value::Required(name) => Some(given.or_else(|| self.next()).ok_or_else(|| {
                Parsed::Usage(format!("error: option '--{} <{name}>' argument missing", option.long))
            })?),
            Value::Optional(_) => {
                let next = self.words.get(self.at).is_some_and(|w| !w.starts_with('-'));
                given.or_else(|| if next { self.next() } else { None })
            }
        };
        self.options.insert(option.long, value);
        Ok(())
    }

    fn next(&mut self) -> Option<String> {
        let word = self.words.get(self.at)?;
        self.at += 1;
        Some(word.clone())
    }

    fn finish(self) -> Parsed {
        let Some(command) = self.command else { return Parsed::NoCommand };
        if command.here {
            if let Some(missing) = missing(command.args, self.args.len()) {
                return Parsed::Usage(format!("error: missing required argument '{}'", missing.name));
            }
            if self.args.len() > command.args.len() {
                return Parsed::Usage(too_many(command, self.args.len()));
            }
        }
        Parsed::Run(Invocation { command, args: self.args, options: self.options })
    }
}

fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|c| c.name == name)
}

fn missing(args: &'static [Arg], given: usize) -> Option<&'static Arg> {
    args.get(given..)?.iter().find(|a| a.required)
}

fn too_many(command: &Command, given: usize) -> String {
    let expected = command.args.len();
    let s = if expected == 1 { "" } else { "s" };
    format!(
        "error: too many arguments for '{}'. Expected {expected} argument{s} but got {given}.",
        command.name
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Parsed {
        parse(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    fn run(text: &str) -> Invocation {
        match words(text) {
            Parsed::Run(invocation) => invocation,
            other => panic!("{text}: {other:?}"),
        }
    }

    fn usage(text: &str) -> String {
        match words(text) {
            Parsed::Usage(message) => message,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn options_stand_anywhere() {
        for text in [
            "--session K list items --search=x",
            "list --session=K --search x items",
            "list items --search x --session K",
        ] {
            let run = run(text);
            assert_eq!((run.command.name, run.arg(0)), ("list", Some("items")), "{text}");
            assert_eq!((run.value("session"), run.value("search")), (Some("K"), Some("x")), "{text}");
        }
        assert_eq!(run("get item -- --odd").arg(1), Some("--odd"));
    }

    #[test]
    fn short_switches_bundle() {
        let run = run("generate -lusn --length 18");
        assert!(["lowercase", "uppercase", "special", "number"].iter().all(|o| run.has(o)));
        assert_eq!(run.value("length"), Some("18"));
        assert!(!run.has("passphrase"));
    }

    #[test]
    fn an_optional_value_is_not_the_next_option() {
        assert_eq!(run("login --sso --check").value("sso"), None);
        assert!(run("login --sso --check").has("check"));
        assert_eq!(run("login --sso acme").value("sso"), Some("acme"));
    }

    #[test]
    fn mistakes_have_the_official_texts() {
        assert_eq!(usage("lock --foo"), "error: unknown option '--foo'");
        assert_eq!(usage("status -x"), "error: unknown option '-x'");
        assert_eq!(usage("get"), "error: missing required argument 'object'");
        assert_eq!(usage("get item"), "error: missing required argument 'id'");
        assert_eq!(usage("login --method"), "error: option '--method <method>' argument missing");
        assert_eq!(usage("lock x"), "error: too many arguments for 'lock'. Expected 0 arguments but got 1.");
        assert!(matches!(words("foo bar --baz"), Parsed::Unknown(w) if w == "foo bar --baz"));
        assert!(matches!(words(""), Parsed::NoCommand));
        assert!(matches!(words("create item --odd x"), Parsed::Run(_)));
    }
}
