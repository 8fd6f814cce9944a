//! schemathesis, which reads the agent plane's OpenAPI document and sends what it allows and what it forbids.

use std::path::{Path, PathBuf};
use std::process::Command;

use durward_testkit::python::venv;

use super::serving::{Serving, account, device};
use crate::env::TestEnvironment;

/// No call of the document makes the server fail, with a live key and with none.
#[test]
fn schemathesis_finds_no_5xx() {
    let env = TestEnvironment::new();
    // Calls that wait for a person are answered soon: nobody is there.
    env.file("config.toml", "[limits]\ndefault_wait_seconds = 1\nmax_wait_seconds = 1\n");
    let server = Serving::start(&env, &[]);
    account(&env, "alan");
    let (one, two) = (server.key("alan", &device("one")), server.key("alan", &device("two")));
    // A rotation without grace would end the key: these calls get one of their own, at the end.
    let enders = "^/auth/(rotate|revoke|passphrase).*";
    run(&env, &server, Some(&one), &["--exclude-path-regex", enders, "--max-examples", "12"]);
    run(&env, &server, None, &["--include-path-regex", "^/(auth|health|session).*", "--max-examples", "4"]);
    run(&env, &server, Some(&two), &["--include-path-regex", enders, "--max-examples", "12"]);
    assert_eq!(server.get("/auth/verify", Some(&one)).status, 200, "it lives, and knows its keys");
}

fn run(env: &TestEnvironment, server: &Serving, key: Option<&str>, more: &[&str]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python: PathBuf = venv(&root.join("tests/interop/schemathesis/requirements.txt"));
    let mut command = Command::new(python.with_file_name("schemathesis"));
    command.current_dir(env.home()).arg("run").arg(root.join("docs/openapi/agent.json"));
    command.args([
        "--url",
        &server.url(),
        "--checks",
        "not_a_server_error",
        "--phases",
        "examples,coverage,fuzzing",
    ]);
    command.args([
        "--seed",
        "20260101",
        "--no-color",
        "--generation-deterministic",
        "--request-timeout",
        "30",
    ]);
    // Three runs of fifteen seconds at most.
    command.args(["--max-time", "15"]);
    command.args(more).env("HYPOTHESIS_STORAGE_DIRECTORY", env.home().join("hypothesis"));
    if let Some(key) = key {
        command.args(["--header", &format!("X-API-Key: {key}")]);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("passed"), "it tested something: {text}");
}
