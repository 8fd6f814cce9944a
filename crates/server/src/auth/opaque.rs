//! `/auth/opaque/*`: logins in which the phrase stays on the device.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use durward_broker::accounts::{
    AccountWrite, Decision, LoginState, OpaqueFinish, OpaqueFinishRequest, OpaqueLoginRecord, OpaqueStart,
    OpaqueStartRequest,
};
use durward_store::Ask;

use super::Accounts;
use super::failure::{Failure, good};
use crate::keys::os_rng;

const KIND: &str = "opaque login";

/// `POST /auth/opaque/start`
pub(super) async fn start(
    State(accounts): State<Arc<Accounts>>,
    request: Request,
) -> Result<Response, Failure> {
    let caller = accounts.caller(&request).await?;
    let body: OpaqueStartRequest = accounts.body(request).await?;
    let sole = accounts.sole(body.user.as_ref()).await?;
    let start = OpaqueStart::parse(body, sole.as_ref(), &caller, &accounts.subjects)?;
    let ask = accounts.attempt(start.user(), start.ladder_key(), start.challenge());
    let admitted = accounts.decide(ask, move |facts, now| start.admit(&facts.attempt(), now)).await??;
    let now = accounts.now();
    let mut decision = admitted.respond(&accounts.setup, &accounts.policy, now, &mut os_rng())?;
    for write in &mut decision.writes {
        if let AccountWrite::InsertOpaqueLogin(record) = write {
            accounts.seal(record)?;
        }
    }
    Ok(good(accounts.decide(Ask::default(), move |_, _| decision).await?))
}

/// `POST /auth/opaque/finish`
pub(super) async fn finish(
    State(accounts): State<Arc<Accounts>>,
    request: Request,
) -> Result<Response, Failure> {
    let from = accounts.address(&request);
    let body: OpaqueFinishRequest = accounts.body(request).await?;
    let finish = OpaqueFinish::parse(&body)?;
    let ask = Ask { take_login: Some(finish.login_id().clone()), ..Ask::default() };
    let mut taken = accounts.decide(ask, |facts, _| Decision::only(facts.login)).await?;
    if let Some(record) = &mut taken {
        accounts.unseal(record)?;
    }
    let checked = finish.check(taken, &accounts.subjects, accounts.now());
    Ok(good(accounts.issue(checked, from).await?))
}

impl Accounts {
    /// Whoever reads the state in time could finish the login: it lies sealed, bound to its id.
    fn seal(&self, record: &mut OpaqueLoginRecord) -> Result<(), Failure> {
        let id = record.login_id.as_str().as_bytes();
        let sealed = self.rest.seal(KIND, id, record.state.expose_bytes(), &mut os_rng());
        let sealed = sealed.map_err(|error| Failure::Internal(error.to_string()))?;
        record.state = LoginState::from_stored(sealed);
        Ok(())
    }

    fn unseal(&self, record: &mut OpaqueLoginRecord) -> Result<(), Failure> {
        let id = record.login_id.as_str().as_bytes();
        let opened = self.rest.open(KIND, id, record.state.expose_bytes());
        let opened = opened.map_err(|error| Failure::Internal(error.to_string()))?;
        record.state = LoginState::from_stored(opened.to_vec());
        Ok(())
    }
}
