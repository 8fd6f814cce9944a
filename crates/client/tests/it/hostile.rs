//! Two agents, one approver, and somebody on the wire who drops, repeats, reorders, swaps, bends,
//! crosses, renames and widens: both ends agree or both refuse.

use durward_client::{Agent, Ask, PairingAsk, SessionInfo, Wait};
use durward_protocol::{Field, Scope, base64url_encode};
use durward_testkit::approver::value_of;
use durward_testkit::middle::{Mischief, any_mischief};
use proptest::prelude::*;

use crate::support::{Bench, domain};

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn both_ends_agree_or_both_refuse(script in proptest::collection::vec(any_mischief(), 0..24)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(play(script))?;
    }
}

async fn play(script: Vec<Mischief>) -> Result<(), TestCaseError> {
    let bench = Bench::with(script).await;
    let asked = Scope::parse(&base64url_encode(br#"{"domains":["example.com"]}"#)).unwrap();
    let agents = [bench.agent("one"), bench.agent("two")];
    for agent in &agents {
        for _ in 0..2 {
            let ask = PairingAsk { scope: asked.clone(), ..PairingAsk::default() };
            let Ok(durward_client::Begun::Waiting(pairing)) = agent.begin_pairing(ask).await else {
                continue;
            };
            bench.type_shown_code(&pairing, None);
            if let Ok(session) = pairing.wait().await {
                check_session(&bench, agent, &session, &asked)?;
                break;
            }
        }
    }
    check_approver(&bench, &asked)?;
    for (agent, name) in agents.iter().zip(["login.example.com", "example.com"]) {
        request(&bench, agent, name).await?;
    }
    check_approver(&bench, &asked)?;
    Ok(())
}

/// What the agent believes, the approver derived too. Whether it is live there, the plain answer to
/// `confirm` cannot prove: the middle may have kept MAC_A to itself, and then every request is refused.
fn check_session(
    bench: &Bench,
    agent: &Agent,
    session: &SessionInfo,
    asked: &Scope,
) -> Result<(), TestCaseError> {
    let middle = bench.middle();
    let derived = middle.approver.derived.get(&session.session_id);
    let profile = agent.profile();
    let believed =
        (session.fingerprint, profile.agent_id.clone(), profile.agent_name.clone(), session.scope.clone());
    prop_assert_eq!(derived, Some(&believed));
    prop_assert!(session.scope.is_within(asked));
    prop_assert_eq!(&session.approver_id, middle.approver.id());
    Ok(())
}

/// What the approver holds, some agent verified: it sent the MAC_A of that session, which only the keys
/// can make and which leaves only after MAC_B was good.
fn check_approver(bench: &Bench, asked: &Scope) -> Result<(), TestCaseError> {
    let middle = bench.middle();
    for (id, live) in middle.approver.sessions() {
        prop_assert!(live.scope.is_within(asked), "a widened scope was confirmed");
        prop_assert!(live.agent_name.as_str() != "Payroll", "a renamed agent was confirmed");
        let name = id.to_string();
        let named = |body: &[u8]| String::from_utf8_lossy(body).contains(&name);
        prop_assert!(middle.sent_to("/pairing/confirm").any(named), "nobody verified {}", id);
    }
    Ok(())
}

/// What arrives is what was asked for, and was released for that once.
async fn request(bench: &Bench, agent: &Agent, name: &str) -> Result<(), TestCaseError> {
    let Ok(request) = agent.prepare(Ask::new(domain(name), "Book the flight")) else { return Ok(()) };
    for _ in 0..3 {
        if let Ok(approval) = agent.request(&request, Wait::UntilDecided).await {
            for field in [Field::Username, Field::Password] {
                let value = approval.credential.get(&field).map(|value| value.expose_secret().to_owned());
                prop_assert_eq!(value, Some(value_of(name, &field)));
            }
            let middle = bench.middle();
            let released = middle.approver.releases.iter().filter(|id| **id == request.id).count();
            prop_assert_eq!(released, 1);
            let prompted = middle.approver.prompts.iter().filter(|(id, _)| *id == request.id).count();
            prop_assert_eq!(prompted, 1);
            return Ok(());
        }
    }
    Ok(())
}
