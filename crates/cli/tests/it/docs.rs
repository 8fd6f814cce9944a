//! The documents: links lead somewhere, and command lines in them exist.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Every page at the root, in `docs/` and in `docs/adr/`.
fn pages() -> Vec<(PathBuf, String)> {
    let folders = [root(), root().join("docs"), root().join("docs/adr")];
    let mut paths: Vec<PathBuf> = folders
        .iter()
        .flat_map(|folder| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    paths.sort();
    assert!(paths.len() > 10, "where are the pages?");
    paths.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut broken = Vec::new();
    for (path, text) in pages() {
        for link in links(&text) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let there = target.exists()
                && (anchor.is_empty()
                    || std::fs::read_to_string(&target).is_ok_and(|text| has_anchor(&text, anchor)));
            if !there {
                broken.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_decision_is_in_the_index() {
    let folder = root().join("docs/adr");
    let index = std::fs::read_to_string(folder.join("0000-index.md")).unwrap();
    let mut decisions = 0;
    for (path, text) in pages().iter().filter(|(path, _)| path.parent() == Some(folder.as_path())) {
        let name = path.file_name().unwrap().to_str().unwrap();
        if name != "0000-index.md" {
            let title = text.lines().next().unwrap().trim_start_matches("# ");
            assert!(
                index.contains(&format!("- [{title}]({name})")),
                "the index lacks {name}, or has another title"
            );
            decisions += 1;
        }
    }
    assert_eq!(index.matches("\n- [").count(), decisions, "a line twice, or one too many");
}

#[test]
fn every_named_test_and_source_exists() {
    let sources = sources();
    let mut missing = Vec::new();
    for page in ["ARCHITECTURE.md", "docs/threat-model.md", "docs/pake.md"] {
        let text = std::fs::read_to_string(root().join(page)).unwrap();
        for span in lines(&text).flat_map(|(_, line)| line.split('`').skip(1).step_by(2)) {
            let word = |c: char| c.is_ascii_lowercase() || c == '_';
            let is_test = span.chars().all(word) && span.matches('_').count() >= 2;
            let there = if is_test {
                sources.iter().any(|(_, code)| code.contains(&format!("fn {span}(")))
            } else if Path::new(span).extension().is_some_and(|ending| ending == "rs") && !span.contains('{')
            {
                let tail = span.trim_start_matches("crates/").replace("B/", "broker/src/approval/tests/");
                sources.iter().any(|(path, _)| path.ends_with(&tail))
            } else {
                true
            };
            if !there {
                missing.push(format!("{page}: {span}"));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// Every Rust file of the workspace.
fn sources() -> Vec<(PathBuf, String)> {
    let mut folders = vec![root().join("crates"), root().join("examples"), root().join("fuzz")];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources.push((path.clone(), std::fs::read_to_string(path).unwrap()));
            }
        }
    }
    sources
}

/// Targets of `[text](target)` inside the project, outside of code.
fn links(text: &str) -> Vec<&str> {
    let mut links = Vec::new();
    for (in_fence, line) in lines(text) {
        for after in line.split("](").skip(1).filter(|_| !in_fence) {
            let target = after.split(')').next().unwrap_or_default();
            if !target.contains("://") && !target.starts_with("mailto:") {
                links.push(target);
            }
        }
    }
    links
}

/// Lines, and whether each is in a fenced block.
fn lines(text: &str) -> impl Iterator<Item = (bool, &str)> {
    let mut in_fence = false;
    text.lines().map(move |line| {
        let fence = line.trim_start().starts_with("```");
        in_fence ^= fence;
        (in_fence || fence, line)
    })
}

/// Headings as their anchors, the way forges make them.
fn has_anchor(text: &str, anchor: &str) -> bool {
    lines(text).filter(|(in_fence, line)| !in_fence && line.starts_with('#')).any(|(_, line)| {
        let heading = line.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).eq(anchor.chars())
    })
}

/// Described in a page before it is built; checked like all others as soon as it exists.
const PLANNED: [&str; 1] = ["account"];

#[test]
fn every_command_line_exists() {
    let mut help = Help::default();
    let mut wrong = Vec::new();
    let mut checked = 0;
    for (path, text) in pages() {
        for command in commands(&text) {
            checked += 1;
            if PLANNED.iter().any(|word| command.starts_with(word) && !help.knows(word)) {
                continue;
            }
            if let Err(why) = help.check(&command) {
                wrong.push(format!("{}: `{command}`: {why}", path.display()));
            }
        }
    }
    assert!(checked > 50, "only {checked} command lines found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What follows `durward ` in inline code and at the start of lines of fenced blocks.
fn commands(text: &str) -> Vec<String> {
    let mut commands = Vec::new();
    for (in_fence, line) in lines(text) {
        if in_fence {
            let line = line.trim_start().trim_start_matches("$ ");
            commands.extend(line.strip_prefix("durward ").map(str::to_owned));
        } else {
            let spans = line.split('`').skip(1).step_by(2);
            commands.extend(spans.filter_map(|span| span.strip_prefix("durward ")).map(str::to_owned));
        }
    }
    commands.retain(|command| command.starts_with(|c: char| c.is_ascii_lowercase()));
    commands
}

/// Help texts by command.
#[derive(Default)]
struct Help(HashMap<Vec<String>, Option<String>>);

impl Help {
    /// Follows the words down the tree of commands, then looks for each option in the last help.
    fn check(&mut self, line: &str) -> Result<(), String> {
        let ours = line.split(['|', '<', '>', '#', ';', '&']).next().unwrap_or_default();
        let words: Vec<&str> = ours.split_whitespace().take_while(|word| *word != "--").collect();
        let mut path: Vec<String> = Vec::new();
        for word in &words {
            // `sessions|status|forget` names several.
            let next = [path.clone(), vec![(*word).to_owned()]].concat();
            let is_word = word.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !word.starts_with('-');
            if !is_word || self.text(&next).is_none() {
                break;
            }
            path = next;
        }
        let text = self.text(&path).filter(|_| !path.is_empty()).ok_or("there is no such command")?;
        for option in words.iter().filter_map(|word| word.strip_prefix("--")) {
            let name =
                option.split(|c: char| !(c.is_ascii_lowercase() || c == '-')).next().unwrap_or_default();
            if !text.contains(&format!("--{name}")) {
                return Err(format!("`{}` has no --{name}", path.join(" ")));
            }
        }
        let rest =
            words.get(path.len()).filter(|word| text.contains("\nCommands:") && !word.starts_with('-'));
        rest.map_or(Ok(()), |word| Err(format!("`{}` has no {word}", path.join(" "))))
    }

    fn knows(&mut self, command: &str) -> bool {
        self.text(&[command.to_owned()]).is_some()
    }

    fn text(&mut self, path: &[String]) -> Option<String> {
        let read = || {
            let run = Command::new(env!("CARGO_BIN_EXE_durward")).args(path).arg("--help").output().unwrap();
            let text = String::from_utf8(run.stdout).unwrap();
            // A word that is an argument is taken as one, and the help is its command's.
            let usage = text.lines().find(|line| line.starts_with("Usage:")).unwrap_or_default();
            let name = path.last().map(String::as_str).unwrap_or_default();
            let own = name == "daemon" || usage.split_whitespace().any(|word| word == name);
            (run.status.success() && own).then_some(text)
        };
        self.0.entry(path.to_vec()).or_insert_with(read).clone()
    }
}
