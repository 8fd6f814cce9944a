//! `/auth/knock`, `/auth/exchange`, and the issue of a key.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use durward_broker::accounts::{
    Arena, Checked, ClientAddress, Decision, Enrolment, Exchange, ExchangeReply, ExchangeRequest,
    KnockRequest, RateKey, Refusal, SUCCESS_MEMORY, Verified, knock as decide_knock,
};
use durward_store::Ask;

use super::Accounts;
use super::failure::{Failure, good};
use crate::keys::os_rng;

/// `POST /auth/knock`
pub(super) async fn knock(
    State(accounts): State<Arc<Accounts>>,
    request: Request,
) -> Result<Response, Failure> {
    let caller = accounts.caller(&request).await?;
    let body: KnockRequest = accounts.body(request).await?;
    let now = accounts.now();
    let ask = Ask {
        rate: Some(RateKey::Knock(caller.address)),
        open_challenges: Some(now),
        success_from: Some((caller.address, now.saturating_sub(SUCCESS_MEMORY))),
        ..Ask::default()
    };
    let policy = accounts.policy;
    let answer = accounts.decide(ask, move |facts, now| {
        decide_knock(body, &caller, facts.knock(), &policy, now, &mut os_rng())
    });
    Ok(good(answer.await??))
}

/// `POST /auth/exchange`
pub(super) async fn exchange(
    State(accounts): State<Arc<Accounts>>,
    request: Request,
) -> Result<Response, Failure> {
    let caller = accounts.caller(&request).await?;
    let body: ExchangeRequest = accounts.body(request).await?;
    let sole = accounts.sole(body.user.as_ref()).await?;
    let exchange = Exchange::parse(body, sole.as_ref(), &caller, &accounts.subjects)?;
    let ask = accounts.attempt(exchange.user(), exchange.ladder_key(), exchange.challenge());
    let admitted = accounts.decide(ask, move |facts, now| exchange.admit(&facts.attempt(), now)).await??;
    let policy = accounts.policy;
    let checked = accounts
        .pool
        .run(caller.address, move |arena| admitted.verify(&policy, arena, &mut os_rng()))
        .await??;
    Ok(good(accounts.issue(checked, caller.address).await?))
}

impl Accounts {
    /// The key for who has proven to know the phrase, or the refusal that was decided, committed first.
    pub(super) async fn issue(
        self: &Arc<Self>,
        checked: Checked<Verified>,
        from: ClientAddress,
    ) -> Result<ExchangeReply, Failure> {
        let verified = self.good_or_committed(checked).await?;
        let ask = Ask {
            user: Some(verified.user().clone()),
            ladder: Some(verified.ladder_key()),
            fingerprint: verified.device().fingerprint.clone(),
            id_stem: Some(verified.id_stem(self.now())),
            ..Ask::default()
        };
        let policy = self.policy;
        let issued = self
            .decide(ask, move |facts, now| verified.issue(&facts.issue(), &policy, now, &mut os_rng()))
            .await??;
        if let Some(enrolment) = issued.enrol {
            self.enrol(enrolment, from);
        }
        Ok(issued.reply)
    }

    /// Commits a failed check before it is answered.
    pub(super) async fn good_or_committed<T>(&self, checked: Checked<T>) -> Result<T, Failure> {
        match checked {
            Checked::Good(good) => Ok(good),
            Checked::Bad(decision) => Err(Failure::Refusal(self.commit(decision).await?)),
        }
    }

    /// Commits a decision that needs no facts.
    pub(super) async fn commit(&self, decision: Decision<Refusal>) -> Result<Refusal, Failure> {
        self.decide(Ask::default(), move |_, _| decision).await
    }

    /// Enrols the account for OPAQUE after the answer. One at a time, with memory that is given back: where one is
    /// under way already, the next login does it.
    fn enrol(self: &Arc<Self>, enrolment: Enrolment, from: ClientAddress) {
        let accounts = Arc::clone(self);
        tokio::spawn(async move {
            let Ok(_turn) = accounts.enrolling.try_acquire() else { return };
            let worker = Arc::clone(&accounts);
            let run = accounts
                .pool
                .run(from, move |_| enrolment.run(&worker.setup, &mut Arena::new(), &mut os_rng()));
            let result = match run.await {
                Ok(Ok(write)) => {
                    let decision = Decision { writes: vec![write], ..Decision::only(()) };
                    accounts.decide(Ask::default(), move |_, _| decision).await
                }
                Ok(Err(error)) => Err(error.into()),
                Err(error) => Err(error),
            };
            if let Err(error) = result {
                tracing::warn!(?error, "an account could not be enrolled for OPAQUE");
            }
        });
    }
}
