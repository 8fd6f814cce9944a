//! Standing rules and pauses, from the policy file to the agent, with the owner's own commands.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use durward_client::{Agent, Ask, Begun, Config, Error, PairingAsk, Wait};
use durward_protocol::{Domain, ErrorCode, SecretString};
use durward_server::{Clock, Home, Running, Server, VaultSource};
use durward_vault::{CommandConfig, CommandVault};

use crate::real::Owner;

const RULES: &str = "[[rule]]\ndomain = \"bank.example\"\nverdict = \"deny\"\n\n\
    [[rule]]\ndomain = \"wiki.example\"\nfields = [\"username\", \"password\"]\nverdict = \"allow\"\n\n\
    [[rule]]\nagent = \"*\"\ndomain = \"named.example\"\nverdict = \"allow\"\n";

struct Finished {
    code: i32,
    stdout: String,
    stderr: String,
}

async fn durward(home: &Path, arguments: &[&str]) -> Finished {
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_durward"))
        .args(arguments)
        .env_clear()
        .env("DURWARD_HOME", home)
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Finished {
        code: output.status.code().unwrap(),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    }
}

async fn start(home: &Home) -> (Running, Owner) {
    let config = durward_server::Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        control: Some("127.0.0.1:0".parse().unwrap()),
        policy: Some(home.folder().join("policy.toml")),
        ..durward_server::Config::default()
    };
    let vault: VaultSource = Box::new(|| {
        let arguments = ["-c", r#"printf '{"username":"me","password":"pw-%s"}' "$1""#, "sh", "{domain}"];
        let config = CommandConfig::new("/bin/sh", arguments.map(str::to_owned).to_vec());
        CommandVault::new("test", config).map(|vault| Arc::new(vault) as Arc<dyn durward_vault::Vault>)
    });
    let running = Server::start(config, home.clone(), vault, Clock::system()).await.unwrap();
    let token = std::fs::read_to_string(home.token("api")).unwrap().trim().to_owned();
    let owner = Owner { address: running.control.unwrap(), token };
    (running, owner)
}

async fn pair(agent: &Agent, owner: &Owner, apply_rules: bool) -> serde_json::Value {
    let Begun::Waiting(pairing) = agent.begin_pairing(PairingAsk::default()).await.unwrap() else {
        unreachable!()
    };
    let shown = pairing.number_code().expose_text();
    let (number, code) = shown.expose_secret().split_once('-').unwrap();
    let body = format!(r#"{{"number":{number},"code":"{code}","apply_rules":{apply_rules}}}"#);
    let typing = async {
        let waiting = loop {
            let list = owner.call("GET", "/pairings", "").await;
            if let Some(first) = list["pairings"].get(0) {
                break first.clone();
            }
        };
        owner.call("POST", "/pairings/enter", &body).await;
        waiting
    };
    let (session, shown) = tokio::join!(pairing.wait(), typing);
    session.unwrap();
    shown
}

async fn ask(agent: &Agent, domain: &str, wait: Wait) -> Result<Option<String>, Error> {
    let request = agent.prepare(Ask::new(Domain::parse(domain).unwrap(), "Try it")).unwrap();
    let approval = agent.request(&request, wait).await?;
    Ok(approval.credential.password.as_ref().map(SecretString::expose_secret).map(str::to_owned))
}

#[tokio::test]
async fn rules_release_and_deny_and_an_agent_denied_three_times_is_paused_until_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::open(&folder.path().join("approver")).unwrap();
    let file = home.folder().join("policy.toml");
    durward_files::write_private(&file, RULES.as_bytes()).unwrap();
    let (running, owner) = start(&home).await;
    let mut config = Config::new(folder.path().join("agent"), folder.path().join("keys"));
    config.approver = Some(format!("http://{}", running.listen).parse().unwrap());
    let agent = Agent::open(config).unwrap();
    let shown = pair(&agent, &owner, false).await;
    assert_eq!(shown["rules"].as_array().unwrap().len(), 1, "{shown}");

    // Rules: one releases, one denies, and the one that names agents needs a yes.
    let at_once = Wait::AtMost(Duration::ZERO);
    let released = ask(&agent, "wiki.example", Wait::UntilDecided).await.unwrap();
    assert_eq!(released.as_deref(), Some("pw-wiki.example"));
    let denied = ask(&agent, "bank.example", Wait::UntilDecided).await;
    assert!(matches!(&denied, Err(Error::Denied { reason: Some(r) }) if r == "policy"), "{denied:?}");
    let named = ask(&agent, "named.example", at_once).await;
    assert!(matches!(named, Err(Error::Pending { .. })), "{named:?}");

    // A mistake leaves the rules as they were; `check` and `show` say where it is.
    let wrong = RULES.replace("\"deny\"", "\"dney\"");
    durward_files::write_private(&file, wrong.as_bytes()).unwrap();
    let checked = durward(home.folder(), &["policy", "check"]).await;
    assert_eq!(checked.code, 64);
    assert!(checked.stderr.contains("line 3") && checked.stderr.contains("dney"), "{}", checked.stderr);
    let denied = ask(&agent, "bank.example", Wait::UntilDecided).await;
    assert!(matches!(denied, Err(Error::Denied { .. })), "{denied:?}");
    let shown = durward(home.folder(), &["policy", "show"]).await;
    assert!(shown.stdout.contains("deny  domain bank.example") && shown.stdout.contains("line 3"));
    assert_ne!(durward(home.folder(), &["policy", "reload"]).await.code, 0);
    durward_files::write_private(&file, RULES.as_bytes()).unwrap();
    assert_eq!(durward(home.folder(), &["policy", "reload"]).await.code, 0);

    // Three denials in a row: the waiting one above is among them.
    for domain in ["named.example", "b.example", "c.example"] {
        let _ = ask(&agent, domain, Wait::AtMost(Duration::ZERO)).await;
        let denied = durward(home.folder(), &["requests", "deny", "1"]).await;
        assert_eq!(denied.code, 0, "{}", denied.stderr);
    }
    let refused = ask(&agent, "wiki.example", Wait::UntilDecided).await;
    assert!(
        matches!(&refused, Err(Error::Refused { code: Some(ErrorCode::AgentPaused), .. })),
        "{refused:?}"
    );
    let paused = durward(home.folder(), &["sessions", "paused"]).await;
    assert!(paused.stdout.contains("denied three times in a row"), "{}", paused.stdout);
    let resumed = durward(home.folder(), &["sessions", "resume", "1"]).await;
    assert_eq!(resumed.code, 0, "{}", resumed.stderr);
    assert_eq!(durward(home.folder(), &["sessions", "resume", "1"]).await.code, 4);
    assert!(ask(&agent, "wiki.example", Wait::UntilDecided).await.is_ok());

    // With the yes the rule that names agents counts.
    agent.revoke().await.unwrap();
    pair(&agent, &owner, true).await;
    assert!(ask(&agent, "named.example", Wait::UntilDecided).await.is_ok());
    running.stop().await;
}
