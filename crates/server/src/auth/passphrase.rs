//! `/auth/passphrase/change` and `/auth/recover`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use durward_broker::accounts::{Change, ChangeRequest, RateKey, Recover, RecoverRequest};
use durward_store::{Ask, Error as StoreError};

use super::Accounts;
use super::failure::{Failure, good};
use super::request::AuthedDevice;
use crate::keys::os_rng;
use durward_broker::accounts::ApiError;

/// `POST /auth/passphrase/change`
pub(super) async fn change(
    State(accounts): State<Arc<Accounts>>,
    device: AuthedDevice,
    request: Request,
) -> Result<Response, Failure> {
    let body: ChangeRequest = accounts.body(request).await?;
    let (user, caller) = (device.user().clone(), device.caller());
    let change = Change::parse(&body, user.clone(), &caller, &accounts.subjects)?;
    drop(body);
    let ask = Ask {
        ladder: Some(change.ladder_key()),
        rate: Some(RateKey::Change(user.clone())),
        user: Some(user),
        ..Ask::default()
    };
    let again = ask.clone();
    let admitted = accounts.decide(ask, move |facts, now| change.admit(facts.change(), now)).await??;
    let policy = accounts.policy;
    let checked = accounts
        .pool
        .run(caller.address, move |arena| admitted.verify(&policy, arena, &mut os_rng()))
        .await??;
    let commit = accounts.good_or_committed(checked).await?;
    let answer = accounts.decide(again, move |facts, now| commit.commit(&facts.change(), now));
    Ok(good(answer.await??))
}

/// `POST /auth/recover`
pub(super) async fn recover(
    State(accounts): State<Arc<Accounts>>,
    request: Request,
) -> Result<Response, Failure> {
    let caller = accounts.caller(&request).await?;
    let body: RecoverRequest = accounts.body(request).await?;
    let sole = accounts.sole(body.user.as_ref()).await?;
    let recover = Recover::parse(body, sole.as_ref(), &caller, &accounts.subjects)?;
    let ask = accounts.attempt(recover.user(), recover.ladder_key(), recover.challenge());
    let ask = Ask { codes: true, ..ask };
    let again = Ask { passphrase_ladder: true, challenge: None, ..ask.clone() };
    let admitted = accounts.decide(ask, move |facts, now| recover.admit(&facts.recover(), now)).await??;
    let policy = accounts.policy;
    let commit = accounts
        .pool
        .run(caller.address, move |arena| admitted.hash(&policy, arena, &mut os_rng()))
        .await??;
    let answer = accounts.decide(again, move |facts, now| commit.commit(&facts.recover(), now));
    match answer.await {
        Ok(reply) => Ok(good(reply?)),
        Err(Failure::Store(StoreError::Conflict(_))) => Err(ApiError::InvalidRecoveryCode.into()),
        Err(failure) => Err(failure),
    }
}
