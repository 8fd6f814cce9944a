//! The service against independent Python: PyPI `spake2` and RFC 9382 written on PyPI `ecdsa`.

use std::io::BufReader;
use std::path::Path;
use std::process::{Command, Stdio};

use durward_testkit::python::venv;

#[path = "../examples/spake_stdio/serve.rs"]
mod serve;

#[test]
fn every_suite_and_role_agrees_with_python() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/spake-python");
    let mut python = Command::new(venv(&example.join("requirements.txt")))
        .arg(example.join("check.py"))
        .arg("--stdio")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let requests = BufReader::new(python.stdout.take().unwrap());
    let served = serve::serve(requests, python.stdin.take().unwrap());
    let output = python.wait_with_output().unwrap();
    let report = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{report}");
    served.unwrap();
    for suite in ["p256-sha256", "p256-sha256-raw", "spake2-ed25519"] {
        for role in ["a", "b"] {
            let line = format!("ok {suite}, service is {role}");
            assert!(report.contains(&line), "no line {line:?} in\n{report}");
        }
    }
}
