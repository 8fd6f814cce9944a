//! The enterer's side: a person typed a code here. One at a time; a code is tried on one pairing, once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use durward_broker::approval::{Actor, AuditEntry, AuditEvent};
use durward_broker::devices::{DISPLAY_SECONDS, PeerRecord, shown};
use durward_protocol::device::api::{JoinStatus, PairJoined, PeerShown};
use durward_protocol::device::wire::{
    DeviceCancel, DeviceCancelled, DeviceExchange, DeviceExchanged, DeviceHello, DeviceVerdict, OpenPairing,
    PairingOpened,
};
use durward_protocol::device::{
    DeviceChannel, DeviceProof, Hello, PairTag, open_hello, open_verdict, seal_cancel, seal_hello,
};
use durward_protocol::{Code, Confirmation, ErrorCode, PairingId, PakeMessage, SecretBytes, Side, lp_all};
use hmac::{Hmac, KeyInit as _, Mac as _};
use rand_core::Rng as _;
use sha2::Sha256;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::client::{Address, CallError, post};
use super::service::DeviceService;
use crate::keys::os_rng;

/// How long the network is listened to before a pairing is chosen.
const LISTEN: Duration = Duration::from_secs(2);

/// How long a hello is held at a time.
const HOLD: Duration = Duration::from_mins(1);

/// A refusal: the code, and more for the owner.
pub(crate) type Refusal = (ErrorCode, Option<String>);

type Outcome = Option<Result<PairJoined, Refusal>>;

/// The join that runs, or the last one.
pub(super) struct Joining {
    /// Recognises a code without keeping it.
    key: SecretBytes<32>,
    job: Mutex<Option<Job>>,
}

struct Job {
    /// HMAC of code, tag and address: the same call joins the same job.
    call: [u8; 32],
    /// HMAC of the code alone.
    code: [u8; 32],
    /// Whether the code was sent against a pairing.
    tried: Arc<AtomicBool>,
    outcome: watch::Receiver<Outcome>,
    /// Told when the owner here gives it up.
    given_up: Arc<Notify>,
    ends: Instant,
}

/// A device that shows a code, proved by the code, with the channel to it.
struct Met {
    address: Address,
    channel: DeviceChannel,
    pairing_id: PairingId,
    hello: Hello,
}

/// What a person typed.
pub(crate) struct Typed {
    pub(crate) code: Code,
    pub(crate) tag: Option<PairTag>,
    pub(crate) address: Option<Address>,
}

impl Joining {
    pub(super) fn new() -> Self {
        let mut key = [0; 32];
        os_rng().fill_bytes(&mut key);
        Self { key: SecretBytes::new(key), job: Mutex::new(None) }
    }

    fn digest(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut digest = [0; 32];
        if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.key.expose_bytes()) {
            mac.update(&lp_all(parts));
            digest = mac.finalize().into_bytes().into();
        }
        digest
    }

    /// Whether one runs.
    pub(super) fn is_busy(&self) -> bool {
        let job = self.job.lock().unwrap_or_else(PoisonError::into_inner);
        job.as_ref().is_some_and(Job::is_running)
    }

    /// Gives up the join that runs, unless the other owner has said yes already. Whether one ran.
    pub(super) fn give_up(&self) -> bool {
        let job = self.job.lock().unwrap_or_else(PoisonError::into_inner);
        let running = job.as_ref().filter(|job| job.is_running());
        running.inspect(|job| job.given_up.notify_one()).is_some()
    }
}

impl Job {
    fn is_running(&self) -> bool {
        self.outcome.borrow().is_none() && self.outcome.has_changed().is_ok()
    }
}

impl DeviceService {
    /// Joins, or goes on waiting for a join of the same words. Returns after `hold` at the latest.
    pub(crate) async fn join(self: &Arc<Self>, typed: Typed, hold: Duration) -> Result<PairJoined, Refusal> {
        let mut outcome = self.start_join(typed).await.map_err(|code| (code, None))?;
        let ended = tokio::time::timeout(hold, outcome.wait_for(Option::is_some));
        let over = tokio::select! {
            over = ended => over.ok(),
            () = self.stopped() => None,
        };
        match over {
            Some(Ok(outcome)) => outcome.clone().unwrap_or(Err((ErrorCode::Internal, None))),
            Some(Err(_gone)) => Err((ErrorCode::Internal, None)),
            None => Ok(PairJoined {
                status: JoinStatus::Pending,
                message: "The other device's owner has not answered yet; call again.".into(),
                name: None,
                peer: None,
            }),
        }
    }

    async fn start_join(self: &Arc<Self>, typed: Typed) -> Result<watch::Receiver<Outcome>, ErrorCode> {
        let digits = typed.code.expose_digits().as_bytes();
        let tag = typed.tag.as_ref().map(PairTag::as_str).unwrap_or_default();
        let address = typed.address.as_ref().map(ToString::to_string).unwrap_or_default();
        let call = self.joining.digest(&[digits, tag.as_bytes(), address.as_bytes()]);
        let code = self.joining.digest(&[digits]);
        // One pairing at a time, whichever end this is.
        let displaying = self.desk().await.desk.is_live();
        let mut slot = self.joining.job.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(job) = slot.as_ref() {
            let over = !job.is_running();
            let tried = job.tried.load(Ordering::SeqCst);
            let remembered = job.ends > Instant::now();
            if job.call == call && remembered && (!over || tried) {
                return Ok(job.outcome.clone());
            }
            if !over {
                return Err(ErrorCode::PairingBusy);
            }
            if job.code == code && tried && remembered {
                return Err(ErrorCode::CodeAlreadyTyped);
            }
        }
        if displaying {
            return Err(ErrorCode::PairingBusy);
        }
        let (sender, outcome) = watch::channel(None);
        let tried = Arc::new(AtomicBool::new(false));
        let ends = Instant::now() + Duration::from_secs(DISPLAY_SECONDS.unsigned_abs() * 2);
        let given_up = Arc::new(Notify::new());
        *slot = Some(Job {
            call,
            code,
            tried: Arc::clone(&tried),
            outcome: outcome.clone(),
            given_up: Arc::clone(&given_up),
            ends,
        });
        let service = Arc::clone(self);
        tokio::spawn(async move {
            let work = service.run_join(typed, &tried, &given_up);
            let result = tokio::time::timeout_at(ends, work).await.unwrap_or_else(|_| Ok(expired()));
            sender.send_replace(Some(result));
        });
        Ok(outcome)
    }

    async fn run_join(
        &self,
        typed: Typed,
        tried: &AtomicBool,
        given_up: &Notify,
    ) -> Result<PairJoined, Refusal> {
        let given = typed.address.clone();
        let met = tokio::select! {
            biased;
            met = self.meet(typed, tried) => met?,
            () = given_up.notified() => return Ok(abandoned()),
        };
        let met = match met {
            Ok(met) => met,
            Err(joined) => return Ok(joined),
        };
        let peer = match self.introduce_itself(&met, given_up).await? {
            Ok(peer) => peer,
            Err(joined) => return Ok(joined),
        };
        let stored = self.store_peer(&met.hello, met.pairing_id, given.as_ref()).await.map_err(|code| {
            let why = "the other device knows this one already; pair the two again";
            (code, Some(why.to_owned()))
        })?;
        let message = "Device paired successfully. The two sync whenever they can reach each other.".into();
        Ok(PairJoined { status: JoinStatus::Accepted, message, name: Some(stored.name), peer: Some(peer) })
    }

    /// Everything before this device says who it is. Dropped on the way, it leaves nothing at either end.
    async fn meet(&self, typed: Typed, tried: &AtomicBool) -> Result<Result<Met, PairJoined>, Refusal> {
        let Typed { code, tag, address } = typed;
        let addresses = match address {
            Some(address) => vec![address],
            None => self.find_pairing(tag.as_ref()).await?,
        };
        let (address, opened) = open(&addresses, tag).await?;
        let message_a =
            PakeMessage::parse(&opened.pake_message, Side::A).map_err(|error| (error.code(), None))?;
        let proof = DeviceProof::enter(opened.pairing_id, &message_a, &code, &mut os_rng())
            .map_err(|error| (error.code(), None))?;
        drop(code);
        let body = DeviceExchange {
            pairing_id: opened.pairing_id,
            pake_message: proof.message.encode(),
            confirmation: proof.mac_b.encode(),
        };
        tried.store(true, Ordering::SeqCst);
        let exchanged: DeviceExchanged = match patiently(&address, "/device/pair/exchange", &body, None).await
        {
            Ok((_, exchanged)) => exchanged,
            Err(CallError::Refused(ErrorCode::ConfirmationFailed)) => return Ok(Err(wrong_code())),
            Err(error) => return over(&address, &error).map(Err),
        };
        let verified = Confirmation::parse(&exchanged.confirmation).and_then(|mac_a| proof.verify(&mac_a));
        let Ok(channel) = verified else { return Ok(Err(wrong_code())) };
        let hello = open_hello(&channel, &exchanged.envelope).map_err(|error| (error.code(), None))?;
        Ok(Ok(Met { address, channel, pairing_id: opened.pairing_id, hello }))
    }

    /// Says who this device is, and waits for the other owner's answer. Given up, the other end hears of it, so that
    /// its owner does not pair with a device that has left.
    async fn introduce_itself(
        &self,
        met: &Met,
        given_up: &Notify,
    ) -> Result<Result<PeerShown, PairJoined>, Refusal> {
        let Met { address, channel, pairing_id, hello } = met;
        // Before this device says who it is: is that one a possible peer?
        let (this, keys, replaces) = {
            let state = self.state().await.map_err(|code| (code, None))?;
            let known = state.devices.check_new(hello.device_id, &hello.keys).map_err(|code| (code, None))?;
            let replaces = known.map(|peer| peer.name.clone());
            (state.devices.this().clone(), Arc::clone(&state.keys), replaces)
        };
        let peer = shown(hello, replaces);
        let envelope = seal_hello(channel, this.id, this.name.as_str(), keys.as_ref(), &mut os_rng())
            .map_err(|error| (error.code(), None))?;
        let body = DeviceHello { pairing_id: *pairing_id, envelope };
        let mut may_leave = true;
        let sealed = loop {
            let answer = tokio::select! {
                biased;
                answer = patiently(address, "/device/pair/hello", &body, Some(HOLD)) => answer,
                () = self.leaving(given_up), if may_leave => {
                    if take_back(met).await {
                        return Ok(Err(abandoned()));
                    }
                    // The other owner has answered already: that answer counts at both ends.
                    may_leave = false;
                    continue;
                }
            };
            match answer {
                Ok((_, DeviceVerdict { envelope: Some(sealed) })) => break sealed,
                Ok((_, DeviceVerdict { envelope: None })) => {}
                Err(error) => return over(address, &error).map(Err),
            }
        };
        let accepted = open_verdict(channel, &sealed).map_err(|error| (error.code(), None))?;
        if !accepted {
            let message = "The other device's owner said no.".into();
            return Ok(Err(PairJoined {
                status: JoinStatus::Rejected,
                message,
                name: None,
                peer: Some(peer),
            }));
        }
        Ok(Ok(peer))
    }

    /// The owner here gives the join up, or the server stops.
    async fn leaving(&self, given_up: &Notify) {
        tokio::select! {
            () = given_up.notified() => {}
            () = self.stopped() => {}
        }
    }

    /// Makes the other end a peer. An address that was given stays known. A store that is in trouble for a moment is
    /// tried again, because the other end has stored already.
    async fn store_peer(
        &self,
        hello: &Hello,
        stream: PairingId,
        address: Option<&Address>,
    ) -> Result<PeerRecord, ErrorCode> {
        let mut pauses = [1, 3].into_iter();
        loop {
            match self.pair_with(hello, stream, address).await {
                Ok(peer) => return Ok(peer),
                Err(ErrorCode::StorageFailed) => match pauses.next() {
                    Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
                    None => return Err(ErrorCode::StorageFailed),
                },
                Err(code) => return Err(code),
            }
        }
    }

    /// One more peer, with its files, rows and audit record.
    pub(super) async fn pair_with(
        &self,
        hello: &Hello,
        stream: PairingId,
        address: Option<&Address>,
    ) -> Result<PeerRecord, ErrorCode> {
        let now = self.now().wall;
        let mut state = self.state().await?;
        let paired = self.change(&mut state, |devices, _| {
            let peer = devices.pair(hello, stream, now, &mut os_rng())?;
            if let Some(address) = address {
                devices.set_address(peer.id, Some(address.to_string()))?;
            }
            let peer = devices.peer(peer.id)?.clone();
            let detail = format!("{} {} {}", peer.name, peer.id, peer.keys.fingerprint());
            Ok((peer, vec![AuditEntry::new(now, AuditEvent::DevicePaired, Actor::Owner).detail(detail)]))
        });
        let peer = paired.await?;
        self.contact(peer.id, |contact| *contact = super::contact::Contact::default());
        tracing::info!(device = %peer.id, name = %peer.name, "paired");
        Ok(peer)
    }

    /// Listens for two seconds; then the only pairing there, or the one of this tag.
    async fn find_pairing(&self, tag: Option<&PairTag>) -> Result<Vec<Address>, Refusal> {
        let until = Instant::now() + LISTEN;
        let mut changes = self.discovery.watch();
        loop {
            let there: Vec<_> =
                self.discovery.found().into_iter().filter(|found| found.tag.is_some()).collect();
            if let Some(tag) = tag
                && let Some(found) = there.iter().find(|found| found.tag.as_ref() == Some(tag))
            {
                return Ok(found.addresses.clone());
            }
            if matches!(tokio::time::timeout_at(until, changes.changed()).await, Ok(Ok(()))) {
                continue;
            }
            return match there.as_slice() {
                [only] if tag.is_none() => Ok(only.addresses.clone()),
                [] | [_] => Err((ErrorCode::PairingNotFound, Some(self.nothing_found(tag)))),
                several if tag.is_none() => {
                    let tags: Vec<String> = several
                        .iter()
                        .filter_map(|found| found.tag.as_ref().map(ToString::to_string))
                        .collect();
                    let hint = format!(
                        "several devices show a code: {}; say which with its two words",
                        tags.join(", ")
                    );
                    Err((ErrorCode::SeveralPairings, Some(hint)))
                }
                _ => Err((ErrorCode::PairingNotFound, Some(self.nothing_found(tag)))),
            };
        }
    }

    fn nothing_found(&self, tag: Option<&PairTag>) -> String {
        let what =
            tag.map_or_else(|| "no device".to_owned(), |tag| format!("no device with the words {tag}"));
        let why = self.discovery.status().1.map(|why| format!(" ({why})")).unwrap_or_default();
        format!(
            "{what} shows a code on this network{why}; check the other screen, or give its address, HOST:PORT"
        )
    }
}

async fn open(addresses: &[Address], tag: Option<PairTag>) -> Result<(Address, PairingOpened), Refusal> {
    let mut problem = (ErrorCode::DeviceUnreachable, None);
    for address in addresses {
        let body = OpenPairing { tag: tag.clone() };
        match patiently(address, "/device/pair/open", &body, None).await {
            Ok((_, opened)) => return Ok((address.clone(), opened)),
            Err(CallError::Refused(code)) => problem = (code, Some(format!("{address} shows no such code"))),
            Err(error) => problem = (ErrorCode::DeviceUnreachable, Some(error.to_string())),
        }
    }
    Err(problem)
}

/// A call that is made again when its answer was lost: the same body gets the same answer.
async fn patiently<A: serde::de::DeserializeOwned>(
    address: &Address,
    path: &str,
    body: &impl serde::Serialize,
    hold: Option<Duration>,
) -> Result<(u16, A), CallError> {
    let mut pauses = [200, 1_000].into_iter();
    loop {
        match post(address, path, body, hold).await {
            Err(CallError::Unreachable(why)) => match pauses.next() {
                Some(millis) => tokio::time::sleep(Duration::from_millis(millis)).await,
                None => return Err(CallError::Unreachable(why)),
            },
            other => return other,
        }
    }
}

/// Tells the other end that nothing comes of it. `false`: its owner has answered already.
async fn take_back(met: &Met) -> bool {
    let Ok(envelope) = seal_cancel(&met.channel, &mut os_rng()) else { return true };
    let body = DeviceCancel { pairing_id: met.pairing_id, envelope };
    let told = patiently::<DeviceCancelled>(&met.address, "/device/pair/cancel", &body, None).await;
    // Where it cannot be told, it notices that nobody calls any more.
    !matches!(told, Err(CallError::Refused(ErrorCode::PairingUsed)))
}

fn wrong_code() -> PairJoined {
    let message =
        "The code was wrong, or somebody is in between. It is used up: show a new one on the other device.";
    PairJoined { status: JoinStatus::InvalidCode, message: message.into(), name: None, peer: None }
}

fn abandoned() -> PairJoined {
    let message = "It was given up here; nothing comes of it on the other device.";
    PairJoined { status: JoinStatus::Expired, message: message.into(), name: None, peer: None }
}

fn expired() -> PairJoined {
    let message = "The code's time is over: show a new one on the other device.";
    PairJoined { status: JoinStatus::Expired, message: message.into(), name: None, peer: None }
}

/// How a pairing ends that the other device does not go on with.
fn over(address: &Address, error: &CallError) -> Result<PairJoined, Refusal> {
    match error {
        CallError::Refused(ErrorCode::PairingNotFound) => Ok(expired()),
        CallError::Refused(code) => Err((*code, Some(format!("{address} refused")))),
        other => Err((ErrorCode::DeviceUnreachable, Some(other.to_string()))),
    }
}
