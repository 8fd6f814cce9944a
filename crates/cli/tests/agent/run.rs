//! `durward run` and `durward inject`

use durward_testkit::approver::Owner;

use crate::bench::Bench;

fn secrets() -> Vec<&'static str> {
    vec!["run", "--domain", "db.internal", "--env", "PGPASSWORD=password", "--env", "PGUSER=username"]
}

fn running<'a>(options: &[&'a str], command: &[&'a str]) -> Vec<&'a str> {
    [secrets().as_slice(), options, &["--"], command].concat()
}

#[tokio::test]
async fn the_child_has_the_values_and_its_output_does_not() {
    let bench = Bench::paired().await;
    let print =
        "printf %s \"$PGPASSWORD\" | cut -c1-8; echo \"$PGPASSWORD\"; echo err \"$PGUSER\" >&2; exit 7";
    let masked = bench.run(&running(&[], &["sh", "-c", print])).await;
    assert_eq!(masked.stdout, "password\n[masked]\n", "a part of a value is not the value");
    assert!(masked.stderr.ends_with("err [masked]\n"), "{}", masked.stderr);
    assert_eq!(masked.code, 7, "the child's own code");
    let plain = bench.run(&running(&["--no-mask"], &["sh", "-c", "echo $PGPASSWORD"])).await;
    assert_eq!(plain.stdout, "password of db.internal\n");
}

#[tokio::test]
async fn values_split_across_writes_are_masked() {
    let bench = Bench::paired().await;
    // One byte a write.
    let print = "printf %s \"$PGPASSWORD\" | while IFS= read -r -n1 c; do printf %s \"${c:- }\"; done; echo";
    let masked = bench.run(&running(&[], &["bash", "-c", print])).await;
    assert_eq!(masked.stdout, "[masked]\n");
}

#[tokio::test]
#[cfg(unix)]
async fn signals_reach_the_child_and_its_end_is_ours() {
    let bench = Bench::paired().await;
    let killed = bench.run(&running(&[], &["sh", "-c", "kill -TERM $$"])).await;
    assert_eq!(killed.code, 128 + 15);
    let passed = bench
        .run(&running(
            &[],
            &["sh", "-c", "trap 'exit 42' TERM; kill -TERM $PPID; while :; do sleep 0.01; done"],
        ))
        .await;
    assert_eq!(passed.code, 42, "{passed:?}");
}

#[tokio::test]
async fn the_owner_is_not_asked_for_nothing() {
    let bench = Bench::paired().await;
    let calls = bench.approver().calls;
    let missing = bench.run(&running(&[], &["no-such-command-anywhere"])).await;
    assert_eq!(missing.code, 127, "{missing:?}");
    std::fs::File::create(bench.path("text")).unwrap();
    let text = bench.run(&running(&["--json"], &["./text"])).await;
    assert_eq!((text.code, &text.json()["error"]["code"]), (126, &"cannot_run".into()), "{text:?}");
    let dashes = bench.run(&[secrets().as_slice(), &["true"]].concat()).await;
    assert_eq!(dashes.code, 64);
    assert!(dashes.stderr.contains("put `--` before the command"), "{}", dashes.stderr);
    for arguments in [
        vec!["run", "--", "true"],
        vec!["run", "--domain", "a.example", "--", "true"],
        vec!["run", "--env", "A=password", "--", "true"],
        vec!["run", "--domain", "a.example", "--env", "A", "--", "true"],
        vec!["run", "--domain", "a.example", "--env", "A=pin", "--", "true"],
        secrets(),
    ] {
        assert_eq!(bench.run(&arguments).await.code, 64, "{arguments:?}");
    }
    assert_eq!(bench.approver().calls, calls);
    bench.approver().owner = Owner::Denies("no".into());
    let denied = bench.run(&running(&[], &["sh", "-c", "echo ran"])).await;
    assert_eq!((denied.code, denied.stdout.as_str()), (6, ""));
}

#[tokio::test]
async fn environment_files_name_what_they_need() {
    let bench = Bench::paired().await;
    let file = "# settings\nexport PLAIN=\"as it is\"\n\nDB=durward://db.internal/password\nAPI='durward://api.example/custom:key'\n";
    std::io::Write::write_all(&mut std::fs::File::create(bench.path("env")).unwrap(), file.as_bytes())
        .unwrap();
    let script = "echo \"$PLAIN|$DB|$API\"";
    let all = bench.run(&["run", "--env-file", "env", "--no-mask", "--", "sh", "-c", script]).await;
    assert_eq!(all.stdout, "as it is|password of db.internal|custom:key of api.example\n", "{all:?}");
    assert_eq!(bench.approver().prompts.len(), 3, "one question a domain, after the first pairing's");
    let missing = bench.run(&["run", "--env-file", "nowhere", "--", "true"]).await;
    assert_eq!(missing.code, 64);
    assert!(missing.stderr.contains("cannot read nowhere"), "{}", missing.stderr);
}

#[tokio::test]
async fn templates_are_filled() {
    let bench = Bench::paired().await;
    let template = "url=postgres://{{ durward://db.internal/username }}@db\nother={{ not ours }}\n";
    let filled = bench.run_with_input(&["inject", "--reason", "Start"], template).await;
    assert_eq!(
        filled.stdout, "url=postgres://username of db.internal@db\nother={{ not ours }}\n",
        "{filled:?}"
    );
    std::io::Write::write_all(&mut std::fs::File::create(bench.path("in")).unwrap(), template.as_bytes())
        .unwrap();
    let written = bench.run(&["inject", "--reason", "Start", "--in", "in", "--out", "out"]).await;
    assert_eq!((written.code, written.stdout.as_str()), (0, ""), "{written:?}");
    assert_eq!(std::fs::read_to_string(bench.path("out")).unwrap(), filled.stdout);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(bench.path("out")).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[tokio::test]
async fn a_template_that_is_too_large_is_refused_whole() {
    let bench = Bench::paired().await;
    let calls = bench.approver().calls;
    // The limit is in the middle of a character.
    let template = format!("{{{{ durward://db.internal/password }}}}{}", "ä".repeat(1 << 19));
    std::io::Write::write_all(&mut std::fs::File::create(bench.path("in")).unwrap(), template.as_bytes())
        .unwrap();
    let large = bench.run(&["inject", "--reason", "Start", "--in", "in", "--out", "out"]).await;
    assert_eq!(large.code, 64, "{large:?}");
    assert!(large.stderr.contains("larger than 1 MiB"), "{}", large.stderr);
    assert!(!bench.path("out").exists());
    assert_eq!(bench.approver().calls, calls);
}

#[tokio::test]
async fn inject_answers_in_json() {
    let bench = Bench::paired().await;
    let template = "p={{ durward://db.internal/password }}\n";
    let text = bench.run_with_input(&["inject", "--reason", "Start", "--json"], template).await;
    let expected = serde_json::json!({ "success": true, "text": "p=password of db.internal\n" });
    assert_eq!(text.json(), expected);
    let file = bench.run_with_input(&["inject", "--reason", "Start", "--json", "--out", "o"], template).await;
    assert_eq!(file.json(), serde_json::json!({ "success": true, "path": "o" }));
    assert_eq!(std::fs::read_to_string(bench.path("o")).unwrap(), "p=password of db.internal\n");
}
