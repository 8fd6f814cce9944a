//! A server's steps over a store, with a clock that stands still.

use durward_broker::accounts::*;
use durward_protocol::{SecretBytes, SecretString};
use durward_store::{Ask, Error, Store};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

pub(crate) const PHRASE: &str = "I remember what I have learned from you.";
pub(crate) const WRONG: &str = "I forgot what I have learned from you.";

/// One server.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) store: Store,
    pub(crate) now: OffsetDateTime,
    pub(crate) policy: AccountPolicy,
}

pub(crate) fn subjects() -> SecretBytes<32> {
    SecretBytes::new([9; 32])
}

fn rng() -> StdRng {
    static SEED: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    StdRng::seed_from_u64(SEED.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
}

pub(crate) fn user(name: &str) -> UserId {
    name.parse().unwrap()
}

pub(crate) fn from(address: &str) -> Caller {
    Caller { address: ClientAddress::new(address.parse().unwrap()), key_of: None }
}

pub(crate) fn mac() -> Value {
    json!({ "type": "terminal", "name": "MacBook Terminal", "fingerprint": "osx-Mac.lan" })
}

impl Desk {
    pub(crate) fn new(store: Store) -> Self {
        let hash_cost = HashCost::new(32, 1, 1).unwrap();
        let policy = AccountPolicy { hash_cost, max_unknown_subjects: 5, ..AccountPolicy::DEFAULT };
        Self { store, now: crate::sample::NOW, policy }
    }

    pub(crate) fn later(&self, by: Duration) -> Self {
        Self { now: self.now + by, ..self.clone() }
    }

    pub(crate) async fn add(&self, name: &str) -> Result<Vec<RecoveryCode>, Error> {
        let phrase = CanonicalPhrase::new(&SecretString::new(PHRASE.into()));
        let hash = PhraseHash::create(&phrase, self.policy.hash_cost, &mut Arena::new(), &mut rng()).unwrap();
        let new = NewAccount { user: user(name), hash, opaque: None };
        let now = self.now;
        let done = self.store.decide(Ask::default(), now, move |_| add_account(new, now, &mut rng())).await;
        done.map(|done| done.outcome)
    }

    pub(crate) async fn knock(&self, caller: &Caller, device: Value) -> Result<String, Refusal> {
        let request: KnockRequest = parse_body(json!({ "device": device }).to_string().as_bytes()).unwrap();
        let ask = Ask {
            rate: Some(RateKey::Knock(caller.address)),
            open_challenges: Some(self.now),
            success_from: Some((caller.address, self.now - SUCCESS_MEMORY)),
            ..Ask::default()
        };
        let (caller, now, policy) = (caller.clone(), self.now, self.policy);
        let done = self
            .store
            .decide(ask, now, move |facts| knock(request, &caller, facts.knock(), &policy, now, &mut rng()))
            .await;
        done.unwrap().outcome.map(|reply| reply.challenge)
    }

    pub(crate) async fn admit(
        &self,
        caller: &Caller,
        name: &str,
        challenge: &str,
        phrase: &str,
    ) -> Result<Admitted, Refusal> {
        let body = json!({ "challenge": challenge, "passphrase": phrase, "device": mac(), "user": name });
        let request: ExchangeRequest = parse_body(body.to_string().as_bytes()).unwrap();
        let exchange = Exchange::parse(request, None, caller, &subjects())?;
        let ask = Ask {
            user: Some(exchange.user().clone()),
            challenge: Some(exchange.challenge().clone()),
            ladder: Some(exchange.ladder_key()),
            max_unknown_subjects: Some(self.policy.max_unknown_subjects),
            ..Ask::default()
        };
        let now = self.now;
        let done = self.store.decide(ask, now, move |facts| exchange.admit(&facts.attempt(), now)).await;
        done.unwrap().outcome
    }

    pub(crate) async fn exchange(
        &self,
        caller: &Caller,
        name: &str,
        phrase: &str,
    ) -> Result<ExchangeReply, Refusal> {
        let challenge = self.knock(&from(&fresh_address()), mac()).await.unwrap();
        let admitted = self.admit(caller, name, &challenge, phrase).await?;
        self.issue(admitted).await
    }

    pub(crate) async fn issue(&self, admitted: Admitted) -> Result<ExchangeReply, Refusal> {
        let now = self.now;
        let verified = match admitted.verify(&self.policy, &mut Arena::new(), &mut rng()).unwrap() {
            Checked::Good(verified) => verified,
            Checked::Bad(decision) => {
                let done = self.store.decide(Ask::default(), now, move |_| decision).await;
                return Err(done.unwrap().outcome);
            }
        };
        let ask = Ask {
            user: Some(verified.user().clone()),
            ladder: Some(verified.ladder_key()),
            id_stem: Some(verified.id_stem(now)),
            fingerprint: verified.device().fingerprint.clone(),
            ..Ask::default()
        };
        let policy = self.policy;
        let done = self
            .store
            .decide(ask, now, move |facts| verified.issue(&facts.issue(), &policy, now, &mut rng()))
            .await;
        done.unwrap().outcome.map(|issued| issued.reply)
    }

    pub(crate) async fn works(&self, key: &str) -> bool {
        let hash = KeyHash::of_presented(key).unwrap();
        let found = self.store.key(&hash).await.unwrap();
        check_key(found.as_ref().map(|row| row.record()), &hash, self.now).is_ok()
    }

    pub(crate) async fn revoke(&self, name: &str, device: &DeviceId) -> Result<RevokeReply, Refusal> {
        let ask = Ask { device: Some(device.clone()), ..Ask::default() };
        let (owner, now) = (user(name), self.now);
        let done =
            self.store.decide(ask, now, move |facts| revoke(&owner, facts.device.as_ref(), None, now)).await;
        done.unwrap().outcome
    }

    pub(crate) async fn rotate(&self, device: &DeviceId, key: &str) -> Result<RotateReply, Refusal> {
        let ask = Ask { device: Some(device.clone()), ..Ask::default() };
        let (hash, now, policy) = (KeyHash::of_presented(key).unwrap(), self.now, self.policy);
        let done = self
            .store
            .decide(ask, now, move |facts| {
                let address = from("192.0.2.1").address;
                match &facts.device {
                    Some(record) => {
                        let request = RotateRequest::default();
                        rotate(record, hash, request, address, &policy, now, &mut rng())
                    }
                    None => Decision::only(Err(ApiError::InvalidApiKey.into())),
                }
            })
            .await;
        done.unwrap().outcome
    }

    pub(crate) async fn details(&self) -> Vec<String> {
        let log = self.store.audit(0, 10_000).await.unwrap();
        assert!(self.store.verify_audit().await.unwrap().is_ok());
        log.iter()
            .map(|record| {
                let entry = record.entry().unwrap();
                format!("{} {}", entry.detail.unwrap_or_default(), entry.outcome.unwrap_or_default())
            })
            .collect()
    }
}

/// An address that nobody has used: knocks are limited.
fn fresh_address() -> String {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    std::net::Ipv4Addr::from(0x0a00_0000 + NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
        .to_string()
}
