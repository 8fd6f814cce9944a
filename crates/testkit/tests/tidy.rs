//! The rules of the source tree that no compiler checks. Each failure says what to do.
//!
//! What compares words looks at code only: comments, strings and test modules are cut out first.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Which of our crates each crate may use outside its tests.
const ARROWS: &[(&str, &[&str])] = &[
    ("durward-protocol", &[]),
    ("durward-files", &[]),
    ("durward-bitwarden", &["durward-files"]),
    ("durward-broker", &["durward-protocol"]),
    ("durward-client", &["durward-protocol", "durward-files"]),
    ("durward-sealing", &["durward-protocol", "durward-files"]),
    ("durward-vault", &["durward-protocol", "durward-files", "durward-bitwarden"]),
    ("durward-store", &["durward-protocol", "durward-broker"]),
    (
        "durward-server",
        &[
            "durward-protocol",
            "durward-files",
            "durward-broker",
            "durward-sealing",
            "durward-store",
            "durward-vault",
            "durward-bitwarden",
        ],
    ),
    (
        "durward",
        &[
            "durward-protocol",
            "durward-files",
            "durward-broker",
            "durward-sealing",
            "durward-store",
            "durward-vault",
            "durward-bitwarden",
            "durward-server",
            "durward-client",
        ],
    ),
    ("durward-testkit", &["durward-protocol", "durward-bitwarden"]),
    // An example to copy: the SDK and nothing else of ours.
    ("durward-flight-agent", &["durward-protocol", "durward-client"]),
    ("durward-fuzz", &["durward-protocol", "durward-broker", "durward-vault", "durward-bitwarden"]),
];

/// Libraries that one crate alone may depend on outside tests.
const OWNED: &[(&str, &[&str])] = &[
    ("durward-server", &["axum", "axum-server", "tower-http"]),
    ("durward-store", &["sqlx", "rusqlite"]),
    ("durward-bitwarden", &["bitwarden-crypto"]),
    (
        "durward",
        &["clap", "rpassword", "inquire", "indicatif", "ratatui", "crossterm", "anstream", "comfy-table"],
    ),
];

/// Libraries that the pure crates must not depend on.
const IMPURE_CRATES: &[&str] =
    &["tokio", "getrandom", "rand", "tracing", "log", "hyper", "reqwest", "nix", "tempfile", "futures-util"];

/// What the pure crates must not name. Addresses of `std::net` are plain values, its sockets are not.
const IMPURE_WORDS: &[&str] = &[
    "SystemTime",
    "Instant::now",
    "now_utc",
    "now_local",
    "OsRng",
    "SysRng",
    "thread_rng",
    "getrandom",
    "tokio",
    "std::fs",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "ToSocketAddrs",
    "std::env",
    "std::process",
    "std::thread",
    "async fn",
    "tracing::",
];

/// What only the command line may do.
const TERMINAL_WORDS: &[&str] = &[
    "println!",
    "eprintln!",
    "print!",
    "eprint!",
    "dbg!",
    "std::env",
    "env::var",
    "env::args",
    "stdin()",
    "stdout()",
    "stderr()",
];

/// Bitwarden's addresses: in strings, so comments alone are cut out.
const BITWARDEN_WIRE: &[&str] = &["/identity/connect", "/connect/token", "/api/sync", "/accounts/prelogin"];

/// Direct dependencies that may have two requirements, and why.
const SECOND_VERSIONS: &[(&str, &str)] = &[
    ("rand_core", "spake2 0.4 and opaque-ke take the generator traits of 0.6"),
    ("curve25519-dalek", "spake2 0.4 is built on 4"),
    ("sha2", "opaque-ke takes the digest traits of 0.10"),
];

/// The longest file, in lines.
const MAX_LINES: usize = 500;

/// Files that may be longer, and why.
const LONG_FILES: &[(&str, &str)] = &[("crates/broker/src/spake/tests.rs", "tests only")];

#[test]
fn crates_point_one_way() {
    let mut problems = Vec::new();
    for package in packages() {
        let name = text(&package, "name");
        let Some((_, allowed)) = ARROWS.iter().find(|(known, _)| *known == name) else {
            problems.push(format!("{name} is not in ARROWS"));
            continue;
        };
        let ours = direct(&package).filter(|used| used.starts_with("durward"));
        problems.extend(
            ours.filter(|used| !allowed.contains(&used.as_str())).map(|used| format!("{name} uses {used}")),
        );
    }
    report(
        &problems,
        "move the code to the crate that may hold it, or change ARROWS here together with an ADR",
    );
}

#[test]
fn libraries_have_one_owner() {
    let mut problems = Vec::new();
    for package in packages() {
        let name = text(&package, "name");
        let pure = ["durward-protocol", "durward-broker"].contains(&name.as_str());
        for used in direct(&package) {
            let owner = OWNED.iter().find(|(_, libraries)| libraries.contains(&used.as_str()));
            // Examples are programs of their own, with a command line of their own.
            let free = ["durward-testkit", "durward-flight-agent"].contains(&name.as_str());
            if owner.is_some_and(|(owner, _)| *owner != name) && !free {
                problems.push(format!("{name} depends on {used}"));
            }
            if pure && IMPURE_CRATES.contains(&used.as_str()) {
                problems.push(format!("{name} is pure and depends on {used}"));
            }
        }
    }
    report(
        &problems,
        "go through the crate that owns the library (OWNED); pure crates take time and generator as parameters",
    );
}

#[test]
fn only_the_command_line_talks_to_the_terminal_and_reads_the_environment() {
    let problems = named_in(|name| !["cli", "testkit"].contains(&name), TERMINAL_WORDS, code_of);
    report(
        &problems,
        "return the text, or take the value as a parameter; crates/cli prints, prompts and reads",
    );
}

#[test]
fn only_one_crate_speaks_bitwarden() {
    let others = |name: &str| !["bitwarden", "testkit"].contains(&name);
    let mut problems = named_in(others, BITWARDEN_WIRE, |source| without_tests(&blank(source, false)));
    problems.extend(named_in(others, &["bitwarden_crypto"], code_of));
    report(&problems, "call crates/bitwarden; nothing else knows Bitwarden's wire");
}

#[test]
fn pure_crates_have_no_clock_no_generator_no_io() {
    let problems = named_in(|name| ["protocol", "broker"].contains(&name), IMPURE_WORDS, code_of);
    report(
        &problems,
        "take `now` and the generator as parameters, and return an effect for what has to be done",
    );
}

#[test]
fn files_are_written_in_files_modules() {
    let mut problems = Vec::new();
    for (path, source) in sources(|name| name != "testkit") {
        if path.file_name().is_none_or(|name| name != "files.rs" && name != "file.rs") {
            problems.extend(words_in(
                &path,
                &code_of(&source),
                &["fs::write", "File::create", "create_new("],
            ));
        }
    }
    report(&problems, "write through durward-files: temporary name, 0600, fsync, rename");
}

#[test]
fn direct_dependencies_have_one_version() {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in packages() {
        for dependency in package["dependencies"].as_array().unwrap() {
            if dependency.get("path").is_none() {
                versions.entry(text(dependency, "name")).or_default().insert(text(dependency, "req"));
            }
        }
    }
    assert!(versions.len() > 20, "the search for dependencies found only {}", versions.len());
    let second = |name: &str| SECOND_VERSIONS.iter().any(|(known, _)| *known == name);
    let problems: Vec<_> = versions
        .iter()
        .filter(|(name, versions)| versions.len() > 1 && !second(name))
        .map(|(name, versions)| format!("{name}: {versions:?}"))
        .collect();
    report(
        &problems,
        "state the version once, in the root Cargo.toml, and say `NAME.workspace = true` in the crates",
    );
}

#[test]
fn every_crate_has_the_lints_and_code() {
    let manifest = |package: &Value| PathBuf::from(text(package, "manifest_path"));
    let members: BTreeSet<_> = packages().iter().map(manifest).collect();
    let mut problems = Vec::new();
    for folder in folders(&root().join("crates")) {
        let (shown, manifest) = (shown(&folder), folder.join("Cargo.toml"));
        if !members.contains(&manifest) {
            problems.push(format!(
                "{shown} is not in the workspace: add it to its members, or remove the folder"
            ));
            continue;
        }
        if !read(&manifest).contains("[lints]\nworkspace = true\n") {
            problems.push(format!("{shown}/Cargo.toml: add `[lints]` with `workspace = true`"));
        }
        let code: usize = rust_files(&folder.join("src")).iter().map(|file| code_of(&read(file)).len()).sum();
        if code < 1_000 {
            problems.push(format!("{shown} has no code: remove it until there is some"));
        }
    }
    report(&problems, "as each line says");
}

#[test]
fn files_are_short() {
    let mut problems = Vec::new();
    for file in folders(&root().join("crates")).iter().flat_map(|folder| rust_files(&folder.join("src"))) {
        let (lines, shown) = (read(&file).lines().count(), shown(&file));
        let excused = LONG_FILES.iter().any(|(known, _)| *known == shown);
        if (lines > MAX_LINES) != excused {
            problems.push(format!("{shown} has {lines} lines"));
        }
    }
    report(
        &problems,
        "split the file by ideas (about 300 lines each), or name it in LONG_FILES with a reason; take out what is short",
    );
}

#[test]
fn no_paths_of_one_machine() {
    let places = [["/wo", "rk/"].concat(), ["/ro", "ot/"].concat()];
    let mut problems = Vec::new();
    for file in tracked() {
        let Ok(text) = std::fs::read_to_string(&file) else { continue }; // not text
        let lines = text.lines().enumerate();
        let bad = lines.filter(|(_, line)| places.iter().any(|place| line.contains(place.as_str())));
        problems.extend(bad.map(|(at, _)| format!("{}:{}", shown(&file), at + 1)));
    }
    report(&problems, "write the path relative to the repository, or as a placeholder such as ~/");
}

#[test]
fn links_between_documents_resolve() {
    let mut problems = Vec::new();
    for file in tracked().into_iter().filter(|file| is_page(file)) {
        for link in links(&read(&file)) {
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if path.is_empty() { file.clone() } else { file.with_file_name(path) };
            let has_anchor =
                || anchor.is_empty() || !is_page(&target) || anchors(&read(&target)).contains(anchor);
            if !target.exists() || !has_anchor() {
                problems.push(format!("{}: ({link})", shown(&file)));
            }
        }
    }
    report(&problems, "correct the link, or the heading it names");
}

// What the rules see, on samples: a rule that finds nothing anywhere protects nothing.

#[test]
fn code_is_seen_and_comments_strings_and_tests_are_not() {
    let source = "//! println!\nfn a() { call(\"println!\"); } // eprintln!\n/* dbg! */ let c = '\"'; print!();\n\
                  #[cfg(test)]\nmod tests {\n    fn b() { eprint!(); }\n}\nfn d() { stdin(); }\n";
    let code = code_of(source);
    let seen: Vec<_> = TERMINAL_WORDS.iter().filter(|word| contains_word(&code, word)).collect();
    assert_eq!(seen, [&"print!", &"stdin()"]);
    assert_eq!(code.lines().count(), source.lines().count(), "line numbers stay");
    let raw = "let a = r#\"tokio \" tokio\"#; keep";
    assert_eq!(code_of(raw), "let a = ; keep\n");
    assert_eq!(blank("a(\"/api/sync\") // /api/sync", false), "a(\"/api/sync\") ");
    assert!(!contains_word("let my_tokio = 1;", "tokio"));
    assert!(contains_word("use tokio::fs;", "tokio"));
}

#[test]
fn links_are_seen() {
    let page = "# A page: two, `words`\n[a](b.md#c) ![i](x.png)\n```\n[no](no.md)\n```\n\
                [w](https://example.com) [s](#a-page-two-words)\n";
    assert_eq!(links(page), ["b.md#c", "x.png", "#a-page-two-words"]);
    assert!(anchors(page).contains("a-page-two-words"));
}

fn report(problems: &[String], advice: &str) {
    assert!(
        problems.is_empty(),
        "{} found:\n  {}\nWhat to do: {advice}.",
        problems.len(),
        problems.join("\n  ")
    );
}

/// Words in some crates, by folder name, in what `view` leaves of each source.
fn named_in(which: impl Fn(&str) -> bool, words: &[&str], view: impl Fn(&str) -> String) -> Vec<String> {
    sources(which).iter().flat_map(|(path, source)| words_in(path, &view(source), words)).collect()
}

fn words_in(path: &Path, code: &str, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (at, line) in code.lines().enumerate() {
        let words = words.iter().filter(|word| contains_word(line, word));
        found.extend(words.map(|word| format!("{}:{}: {word}", shown(path), at + 1)));
    }
    found
}

/// Whether `word` stands in `line`, not as the end of a longer name.
fn contains_word(line: &str, word: &str) -> bool {
    let in_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .any(|(at, _)| !word.starts_with(in_name) || !line[..at].chars().next_back().is_some_and(in_name))
}

/// The sources of some crates, by folder name, without files that are compiled for tests only.
fn sources(which: impl Fn(&str) -> bool) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for folder in folders(&root().join("crates")) {
        if folder.file_name().and_then(|name| name.to_str()).is_some_and(&which) {
            let files = rust_files(&folder.join("src"));
            let tests: Vec<_> = files.iter().flat_map(|file| test_modules(file)).collect();
            let is_test = |file: &Path| {
                tests.iter().any(|test| file == test.with_extension("rs") || file.starts_with(test))
            };
            found.extend(files.into_iter().filter(|file| !is_test(file)).map(|file| {
                let source = read(&file);
                (file, source)
            }));
        }
    }
    assert!(found.len() > 5, "the search for sources found only {}", found.len());
    found
}

/// Modules in files of their own that `file` declares under `#[cfg(test)]`, without extension.
fn test_modules(file: &Path) -> Vec<PathBuf> {
    let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let here = ["lib", "main", "mod"].contains(&stem);
    let folder = if here { file.with_file_name("") } else { file.with_extension("") };
    let text = read(file);
    let declared = text.split("#[cfg(test)]").skip(1).filter_map(|rest| {
        let (before, name) = rest.lines().find(|line| line.contains("mod "))?.split_once("mod ")?;
        (before.is_empty() || before.starts_with("pub")).then_some(name)?.strip_suffix(';')
    });
    declared.map(|name| folder.join(name)).collect()
}

/// The source without comments, strings and inline test modules; lines stay where they are.
fn code_of(source: &str) -> String {
    without_tests(&blank(source, true))
}

fn without_tests(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let (mut skipping, mut after_cfg) = (false, false);
    for line in source.lines() {
        skipping |= after_cfg && line.starts_with("mod ") && line.ends_with('{');
        after_cfg = line == "#[cfg(test)]";
        if !skipping {
            code.push_str(line);
        }
        code.push('\n');
        skipping &= line != "}";
    }
    code
}

/// Cuts comments out, and strings too when told.
fn blank(source: &str, strings: bool) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let length = text_length(rest);
        let (text, after) = rest.split_at(length.max(first.len_utf8()));
        if length > 0 && (strings || text.starts_with('/')) {
            out.extend(text.chars().filter(|c| *c == '\n'));
        } else {
            out.push_str(text);
        }
        rest = after;
    }
    out
}

/// Bytes of the comment or literal that starts here; 0 when none does.
fn text_length(rest: &str) -> usize {
    let until =
        |from: usize, end: &str| rest[from..].find(end).map_or(rest.len(), |at| from + at + end.len());
    if rest.starts_with("//") {
        rest.find('\n').unwrap_or(rest.len())
    } else if rest.starts_with("/*") {
        until(2, "*/")
    } else if rest.starts_with("r\"") {
        until(2, "\"")
    } else if rest.starts_with("r#\"") {
        until(3, "\"#")
    } else if rest.starts_with("'\"'") {
        3
    } else if rest.starts_with("'\\\"'") {
        4
    } else if rest.starts_with('"') {
        let mut escaped = false;
        let end = rest.char_indices().skip(1).find(|(_, c)| {
            let ends = *c == '"' && !escaped;
            escaped = *c == '\\' && !escaped;
            ends
        });
        end.map_or(rest.len(), |(at, _)| at + 1)
    } else {
        0
    }
}

fn is_page(file: &Path) -> bool {
    file.extension().is_some_and(|kind| kind == "md")
}

fn links(page: &str) -> Vec<String> {
    let targets = outside_fences(page).into_iter().flat_map(|line| {
        line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target.to_owned())
    });
    targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:")).collect()
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = outside_fences(page).into_iter().filter(|line| line.starts_with('#'));
    let slug = |line: &str| -> String {
        let words = line.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(slug).collect()
}

fn outside_fences(page: &str) -> Vec<&str> {
    let mut inside = false;
    let keep = |line: &&str| {
        let fence = line.trim_start().starts_with("```");
        inside ^= fence;
        !inside && !fence
    };
    page.lines().filter(keep).collect()
}

/// The workspace's packages, as cargo sees them.
fn packages() -> Vec<Value> {
    let arguments = ["metadata", "--no-deps", "--offline", "--format-version", "1"];
    let output = run(Command::new(env!("CARGO")).args(arguments));
    let metadata: Value = serde_json::from_str(&output).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

/// Names of what a package depends on outside its tests.
fn direct(package: &Value) -> impl Iterator<Item = String> + '_ {
    let dependencies = package["dependencies"].as_array().unwrap().iter();
    dependencies.filter(|dependency| dependency["kind"] != "dev").map(|dependency| text(dependency, "name"))
}

fn tracked() -> Vec<PathBuf> {
    let files = run(Command::new("git").args(["ls-files", "-z"]));
    let files = files.split('\0').filter(|file| !file.is_empty()).map(|file| root().join(file));
    files.filter(|file| file.is_file()).collect()
}

fn run(command: &mut Command) -> String {
    let output = command.current_dir(root()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    entries(folder).into_iter().filter(|path| path.is_dir()).collect()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let (folders, files): (Vec<_>, Vec<_>) = entries(folder).into_iter().partition(|path| path.is_dir());
    let own = files.into_iter().filter(|path| path.extension().is_some_and(|kind| kind == "rs"));
    own.chain(folders.iter().flat_map(|folder| rust_files(folder))).collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut entries: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}")).to_owned()
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}
