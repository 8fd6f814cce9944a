//! OPAQUE logins: two messages, counted at the first.

use durward_protocol::SecretBytes;
use rand_core::CryptoRng;
use time::OffsetDateTime;

use super::login::{AttemptFacts, Login, Verified};
use super::{Caller, Checked, Guess, resolve};
use crate::accounts::audit::AccountEvent;
use crate::accounts::device::UserId;
use crate::accounts::error::{ApiError, Refusal};
use crate::accounts::key::Challenge;
use crate::accounts::ladder::{Counted, LadderKey, LadderScope};
use crate::accounts::opaque::{LoginFinish, LoginRequest, LoginState, OpaqueError, OpaqueSetup};
use crate::accounts::records::{AccountPolicy, OpaqueLoginRecord, User};
use crate::accounts::wire::{OpaqueFinishRequest, OpaqueStartReply, OpaqueStartRequest};
use crate::accounts::write::{AccountWrite, Decision};

/// `POST /auth/opaque/start`, read and ready for its transaction.
#[derive(Debug)]
pub struct OpaqueStart {
    login: Login,
    message: LoginRequest,
}

impl OpaqueStart {
    /// Reads the request; a malformed message is refused before anything is counted.
    pub fn parse(
        request: OpaqueStartRequest,
        sole: Option<&UserId>,
        caller: &Caller,
        subjects: &SecretBytes<32>,
    ) -> Result<Self, Refusal> {
        let user = resolve(request.user, sole)?;
        let message = LoginRequest::parse(&request.start_login_request).map_err(|_| MALFORMED)?;
        let guess = Guess::new(AccountEvent::OpaqueLogin, LadderScope::Passphrase, user, caller, subjects);
        Ok(Self {
            login: Login { guess, challenge: request.challenge.parse()?, device: request.device },
            message,
        })
    }

    /// The account named; facts are to be read for it.
    pub fn user(&self) -> &UserId {
        &self.login.guess.user
    }

    /// The challenge sent.
    pub fn challenge(&self) -> &Challenge {
        &self.login.challenge
    }

    /// The counters that apply.
    pub fn ladder_key(&self) -> LadderKey {
        self.login.guess.key
    }

    /// First transaction: takes the challenge and counts the attempt, which a good finish gives back. It is counted
    /// here because the answer already lets the client test one phrase by itself.
    pub fn admit(
        self,
        facts: &AttemptFacts,
        now: OffsetDateTime,
    ) -> Decision<Result<OpaqueAdmitted, Refusal>> {
        let Self { login, message } = self;
        login.admit(facts, now, |login, counted| OpaqueAdmitted {
            login,
            message,
            stored: facts.user.clone(),
            counted,
        })
    }
}

const MALFORMED: ApiError = ApiError::InvalidRequest("The OPAQUE message is not one of the protocol");

/// A counted OPAQUE login to be answered.
#[derive(Debug)]
pub struct OpaqueAdmitted {
    login: Login,
    message: LoginRequest,
    stored: Option<User>,
    counted: Counted,
}

impl OpaqueAdmitted {
    /// The answer and the state to keep (about 0.2 ms). A name without account or enrolment gets an answer like any
    /// other. An error is the server's: 500.
    pub fn respond(
        self,
        setup: &OpaqueSetup,
        policy: &AccountPolicy,
        now: OffsetDateTime,
        rng: &mut impl CryptoRng,
    ) -> Result<Decision<OpaqueStartReply>, OpaqueError> {
        let Self { login, message, stored, counted } = self;
        let user = login.guess.user;
        let known = stored.is_some();
        let enrolled = stored.and_then(|user| user.opaque.map(|record| (record, user.phrase_revision)));
        let record = enrolled.as_ref().map(|(record, _)| record);
        let (state, login_response) = LoginState::start(setup, &user, record, message, rng)?;
        let login_id = Challenge::generate(rng);
        let reply = OpaqueStartReply {
            login_id: login_id.as_str().to_owned(),
            login_response,
            user: user.clone(),
            expires_in: u32::try_from(policy.opaque_lifetime.whole_seconds()).unwrap_or(u32::MAX),
            attempts_remaining: counted.attempts_remaining,
        };
        let kept = OpaqueLoginRecord {
            login_id,
            user_id: user,
            known,
            phrase_revision: enrolled.map(|(_, revision)| revision),
            device: login.device,
            address: login.guess.key.address,
            counted,
            state,
            expires_at: now.saturating_add(policy.opaque_lifetime),
        };
        let mut decision = Decision::only(reply);
        decision.writes.push(AccountWrite::InsertOpaqueLogin(Box::new(kept)));
        Ok(decision)
    }
}

/// `POST /auth/opaque/finish`, read.
#[derive(Debug)]
pub struct OpaqueFinish {
    login_id: Challenge,
    message: LoginFinish,
}

impl OpaqueFinish {
    /// Reads the request.
    pub fn parse(request: &OpaqueFinishRequest) -> Result<Self, Refusal> {
        let message = LoginFinish::parse(&request.finish_login_request).map_err(|_| MALFORMED)?;
        Ok(Self { login_id: request.login_id.parse()?, message })
    }

    /// Which login; take it from the store (`TakeOpaqueLogin`) before anything else.
    pub fn login_id(&self) -> &Challenge {
        &self.login_id
    }

    /// Checks the last message against the login taken. What is good goes on to [`Verified::issue`].
    pub fn check(
        self,
        taken: Option<OpaqueLoginRecord>,
        subjects: &SecretBytes<32>,
        now: OffsetDateTime,
    ) -> Checked<Verified> {
        let Some(record) = taken.filter(|record| record.login_id == self.login_id && now < record.expires_at)
        else {
            return Checked::Bad(Decision::only(ApiError::InvalidChallenge.into()));
        };
        // The counters of the start, wherever the finish comes from.
        let caller = Caller { address: record.address, key_of: None };
        let guess =
            Guess::new(AccountEvent::OpaqueLogin, LadderScope::Passphrase, record.user_id, &caller, subjects);
        let good = record.state.finish(self.message).is_ok();
        let Some(proven) = record.phrase_revision.filter(|_| good) else {
            return Checked::Bad(guess.failed(ApiError::InvalidPassphrase, record.counted, record.known));
        };
        let login = Login { guess, challenge: record.login_id, device: record.device };
        Checked::Good(Verified::by_opaque(login, proven, record.counted))
    }
}
