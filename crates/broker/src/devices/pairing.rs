//! The displayer's side of a device pairing: one at a time, one guess, in memory only.
//!
//! ```text
//! Idle -initiate-> Shown -exchange-> Exchanged -hello-> Requested -respond-> Over
//!                    '----- wrong MAC_B, time over, cancelled -------------> Over
//! ```

use durward_protocol::device::api::{PairState, PeerShown};
use durward_protocol::device::wire::{
    DeviceCancel, DeviceExchange, DeviceExchanged, DeviceHello, PairingOpened,
};
use durward_protocol::device::{
    DeviceChannel, DeviceDisplayer, DeviceId, DeviceKeys, DeviceName, Hello, PairTag, open_cancel,
    open_hello, seal_hello, seal_verdict,
};
use durward_protocol::{Code, Confirmation, ErrorCode, PairingId, PakeMessage, Side};
use rand_core::CryptoRng;
use time::{Duration, OffsetDateTime};

use super::peers::{Devices, This};
use crate::Now;

/// How long a code works, and how long an owner may take to answer.
pub const DISPLAY_SECONDS: i64 = 300;

/// How long after its last call the device that asks still counts as there. It calls again at once, and more often than
/// this the call that is held is looked at.
pub const ABSENT_SECONDS: i64 = 15;

/// Failed confirmations in an hour after which no code is made.
pub const MAX_FAILURES: usize = 5;

/// The setting that keeps when guesses failed: wall-clock seconds, blank between.
pub const GUESSES_SETTING: &str = "device_guesses";

/// The pairing of this device.
#[derive(Debug, Default)]
pub struct PairDesk {
    stage: Stage,
    /// When the last guesses came that were not right.
    guesses: Vec<i64>,
}

#[derive(Debug, Default)]
enum Stage {
    #[default]
    Idle,
    Live(Box<Live>),
    Over {
        state: PairState,
        tag: PairTag,
        peer: Option<PeerShown>,
        /// For whoever sends the same again.
        done: Option<Box<Done>>,
        forget_at: OffsetDateTime,
    },
}

#[derive(Debug)]
struct Live {
    id: PairingId,
    message_a: PakeMessage,
    tag: PairTag,
    expires_at: OffsetDateTime,
    step: Step,
}

#[derive(Debug)]
enum Step {
    Shown(DeviceDisplayer),
    Exchanged { channel: DeviceChannel, exchange: Exchanged },
    Requested(Box<Asked>),
}

/// A device that waits for the owner's answer.
#[derive(Debug)]
struct Asked {
    channel: DeviceChannel,
    exchange: Exchanged,
    /// Its hello as it came.
    envelope: String,
    hello: Hello,
    peer: PeerShown,
    /// When its call was there last.
    seen: OffsetDateTime,
}

#[derive(Clone, Debug)]
struct Exchanged {
    body: DeviceExchange,
    answer: DeviceExchanged,
}

#[derive(Debug)]
struct Done {
    exchange: Exchanged,
    id: PairingId,
    hello: String,
    verdict: String,
}

/// What to do with an exchange.
#[derive(Debug)]
pub enum Exchanging {
    /// The same body came before: the same answer.
    Repeat(DeviceExchanged),
    /// The one guess. The count has to be on disk first: then [`PairDesk::guess`].
    Guess {
        /// Value for [`GUESSES_SETTING`].
        count: String,
    },
}

/// How a hello stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HelloState {
    /// The owner has not answered.
    Waiting,
    /// The sealed verdict.
    Answered(String),
}

/// What the owner sees of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairView {
    /// Where it stands.
    pub state: PairState,
    /// Its tag.
    pub tag: Option<PairTag>,
    /// Seconds left.
    pub seconds_left: u64,
    /// Who asks, or asked.
    pub peer: Option<PeerShown>,
}

impl PairDesk {
    /// A desk that remembers the guesses of its last run.
    pub fn restore(guesses: Option<&str>) -> Self {
        let guesses = guesses.unwrap_or_default().split(' ').filter_map(|at| at.parse().ok()).collect();
        Self { stage: Stage::Idle, guesses }
    }

    /// Moves on when a time is over.
    pub fn tick(&mut self, now: Now) {
        match &self.stage {
            Stage::Live(live) if now.steady >= live.expires_at => self.end(now, PairState::Expired),
            Stage::Over { forget_at, .. } if now.steady >= *forget_at => self.stage = Stage::Idle,
            _ => {}
        }
    }

    /// Whether a pairing is under way.
    pub fn is_live(&self) -> bool {
        matches!(self.stage, Stage::Live(_))
    }

    /// When something happens by itself.
    pub fn deadline(&self) -> Option<OffsetDateTime> {
        match &self.stage {
            Stage::Idle => None,
            Stage::Live(live) => Some(live.expires_at),
            Stage::Over { forget_at, .. } => Some(*forget_at),
        }
    }

    /// The tag to announce, while somebody may still come.
    pub fn announced(&self) -> Option<&PairTag> {
        match &self.stage {
            Stage::Live(live) if matches!(live.step, Step::Shown(_)) => Some(&live.tag),
            _ => None,
        }
    }

    /// What the owner sees.
    pub fn view(&self, now: Now) -> PairView {
        let left = |until: OffsetDateTime| (until - now.steady).whole_seconds().try_into().unwrap_or(0);
        match &self.stage {
            Stage::Idle => PairView { state: PairState::Idle, tag: None, seconds_left: 0, peer: None },
            Stage::Live(live) => {
                let (state, peer) = match &live.step {
                    Step::Shown(_) => (PairState::Waiting, None),
                    Step::Exchanged { .. } => (PairState::Exchanged, None),
                    Step::Requested(asked) => (PairState::Requested, Some(asked.peer.clone())),
                };
                PairView { state, tag: Some(live.tag.clone()), seconds_left: left(live.expires_at), peer }
            }
            Stage::Over { state, tag, peer, .. } => {
                PairView { state: *state, tag: Some(tag.clone()), seconds_left: 0, peer: peer.clone() }
            }
        }
    }

    /// Makes a code. The caller shows it and forgets it.
    pub fn initiate(&mut self, now: Now, rng: &mut impl CryptoRng) -> Result<(Code, PairTag), ErrorCode> {
        self.tick(now);
        if self.is_live() {
            return Err(ErrorCode::PairingBusy);
        }
        if self.is_paused(now) {
            return Err(ErrorCode::PairingPaused);
        }
        let code = Code::random(rng);
        let tag = PairTag::random(rng);
        let id = PairingId::random(rng);
        let displayer = DeviceDisplayer::start(id, &code, rng);
        self.stage = Stage::Live(Box::new(Live {
            id,
            message_a: *displayer.message(),
            tag: tag.clone(),
            expires_at: now.steady + Duration::seconds(DISPLAY_SECONDS),
            step: Step::Shown(displayer),
        }));
        Ok((code, tag))
    }

    fn forget_old(&mut self, now: Now) {
        let hour_ago = now.wall.unix_timestamp() - 3_600;
        // One in the future was counted before the clock was set back: it counts until the clock is there.
        self.guesses.retain(|at| *at > hour_ago);
    }

    fn setting(&self) -> String {
        let guesses: Vec<String> = self.guesses.iter().map(i64::to_string).collect();
        guesses.join(" ")
    }

    /// `POST /device/pair/open`: gives nothing away and changes nothing.
    pub fn open(&mut self, now: Now, tag: Option<&PairTag>) -> Result<PairingOpened, ErrorCode> {
        self.tick(now);
        match &self.stage {
            Stage::Live(live) if tag.is_none_or(|tag| *tag == live.tag) => {
                Ok(PairingOpened { pairing_id: live.id, pake_message: live.message_a.encode() })
            }
            _ => Err(ErrorCode::PairingNotFound),
        }
    }

    /// `POST /device/pair/exchange`, first half: is it well formed, and is it the first?
    pub fn exchange(&mut self, now: Now, body: &DeviceExchange) -> Result<Exchanging, ErrorCode> {
        self.tick(now);
        let known = match &self.stage {
            Stage::Live(live) if live.id == body.pairing_id => match &live.step {
                Step::Shown(_) => None,
                Step::Exchanged { exchange, .. } => Some(exchange),
                Step::Requested(asked) => Some(&asked.exchange),
            },
            Stage::Over { done: Some(done), .. } if done.id == body.pairing_id => Some(&done.exchange),
            _ => return Err(ErrorCode::PairingNotFound),
        };
        if let Some(known) = known {
            let same = known.body == *body;
            return if same {
                Ok(Exchanging::Repeat(known.answer.clone()))
            } else {
                Err(ErrorCode::PairingUsed)
            };
        }
        // What is no guess burns nothing.
        parse(body)?;
        self.forget_old(now);
        self.guesses.push(now.wall.unix_timestamp());
        Ok(Exchanging::Guess { count: self.setting() })
    }

    /// Second half, once the count is on disk. A wrong MAC_B ends the pairing before anything leaves. With the answer
    /// comes the setting that takes the count back.
    pub fn guess(
        &mut self,
        now: Now,
        body: &DeviceExchange,
        this: &This,
        keys: &dyn DeviceKeys,
        rng: &mut impl CryptoRng,
    ) -> Result<(DeviceExchanged, String), ErrorCode> {
        let (message_b, mac_b) = parse(body)?;
        let Stage::Live(mut live) = std::mem::take(&mut self.stage) else {
            return Err(ErrorCode::PairingNotFound);
        };
        let Step::Shown(displayer) = live.step else {
            self.stage = Stage::Live(live);
            return Err(ErrorCode::PairingUsed);
        };
        let Ok((channel, mac_a)) = displayer.answer(&message_b, &mac_b) else {
            self.stage = over(now, PairState::InvalidCode, live.tag, None, None);
            return Err(ErrorCode::ConfirmationFailed);
        };
        self.guesses.pop();
        let Ok(envelope) = seal_hello(&channel, this.id, this.name.as_str(), keys, rng) else {
            self.stage = over(now, PairState::Cancelled, live.tag, None, None);
            return Err(ErrorCode::Internal);
        };
        let answer = DeviceExchanged { confirmation: mac_a.encode(), envelope };
        let exchange = Exchanged { body: body.clone(), answer: answer.clone() };
        live.step = Step::Exchanged { channel, exchange };
        self.stage = Stage::Live(live);
        Ok((answer, self.setting()))
    }

    /// The count could not be written: no guess was made.
    pub fn uncount(&mut self) {
        self.guesses.pop();
    }

    /// `POST /device/pair/hello`. One that does not open leaves the pairing alone; the first that does is the one.
    pub fn hello(
        &mut self,
        now: Now,
        body: &DeviceHello,
        devices: &Devices,
    ) -> Result<HelloState, ErrorCode> {
        self.tick(now);
        let (opened, answer) = match &mut self.stage {
            Stage::Live(live) if live.id == body.pairing_id => match &mut live.step {
                Step::Shown(_) => return Err(ErrorCode::PairingNotWaiting),
                Step::Requested(asked) => {
                    let waiting = same(&asked.envelope, body, HelloState::Waiting)?;
                    asked.seen = now.steady;
                    return Ok(waiting);
                }
                Step::Exchanged { channel, .. } => {
                    let hello = open_hello(channel, &body.envelope).map_err(durward_protocol::Error::code)?;
                    let known = devices.check_new(hello.device_id, &hello.keys);
                    let replaces = known.map(|known| known.map(|peer| peer.name.clone()));
                    (hello, replaces)
                }
            },
            Stage::Over { done: Some(done), .. } if done.id == body.pairing_id => {
                return same(&done.hello, body, HelloState::Answered(done.verdict.clone()));
            }
            _ => return Err(ErrorCode::PairingNotFound),
        };
        let replaces = match answer {
            Ok(replaces) => replaces,
            Err(code) => {
                self.end(now, PairState::Rejected);
                return Err(code);
            }
        };
        self.stage = match std::mem::take(&mut self.stage) {
            Stage::Live(live) => Stage::Live(Box::new(live.requested(now, &body.envelope, opened, replaces))),
            other => other,
        };
        Ok(HelloState::Waiting)
    }

    /// The owner answers: the sealed verdict, and whom it is about. Nothing has changed before [`PairDesk::decided`].
    pub fn verdict(
        &mut self,
        now: Now,
        accept: bool,
        device: Option<DeviceId>,
        rng: &mut impl CryptoRng,
    ) -> Result<(String, Hello, PairingId), ErrorCode> {
        self.tick(now);
        let Stage::Live(live) = &self.stage else { return Err(ErrorCode::PairingNotFound) };
        let Step::Requested(asked) = &live.step else {
            return Err(ErrorCode::PairingNotWaiting);
        };
        let Asked { channel, hello, seen, .. } = asked.as_ref();
        if device.is_some_and(|device| device != hello.device_id) {
            return Err(ErrorCode::PairingNotWaiting);
        }
        if accept && now.steady - *seen > Duration::seconds(ABSENT_SECONDS) {
            // It went away without a word: a peer here would be unknown there.
            self.end(now, PairState::Cancelled);
            return Err(ErrorCode::PairingNotFound);
        }
        let sealed = seal_verdict(channel, accept, rng).map_err(|_| ErrorCode::Internal)?;
        Ok((sealed, hello.clone(), live.id))
    }

    /// The verdict counts: a new peer is on disk, or nothing is. From here on whoever said hello gets it.
    pub fn decided(&mut self, now: Now, accepted: bool, verdict: String) {
        self.stage = match std::mem::take(&mut self.stage) {
            Stage::Live(live) => match live.step {
                Step::Requested(asked) => {
                    let Asked { exchange, envelope, peer, .. } = *asked;
                    let state = if accepted { PairState::Accepted } else { PairState::Rejected };
                    let done = Done { exchange, id: live.id, hello: envelope, verdict };
                    over(now, state, live.tag, Some(peer), Some(Box::new(done)))
                }
                _ => over(now, PairState::Cancelled, live.tag, None, None),
            },
            other => other,
        };
    }

    /// `POST /device/pair/cancel`: the joiner gives it up, before this owner has answered.
    pub fn cancelled_there(&mut self, now: Now, body: &DeviceCancel) -> Result<(), ErrorCode> {
        self.tick(now);
        let channel = match &self.stage {
            Stage::Live(live) if live.id == body.pairing_id => match &live.step {
                Step::Shown(_) => return Err(ErrorCode::PairingNotWaiting),
                Step::Exchanged { channel, .. } => channel,
                Step::Requested(asked) => &asked.channel,
            },
            Stage::Over { done: Some(done), .. } if done.id == body.pairing_id => {
                return Err(ErrorCode::PairingUsed);
            }
            _ => return Err(ErrorCode::PairingNotFound),
        };
        open_cancel(channel, &body.envelope).map_err(durward_protocol::Error::code)?;
        self.end(now, PairState::Cancelled);
        Ok(())
    }

    /// Whether no code is made, because too many guesses failed in the last hour.
    pub fn is_paused(&mut self, now: Now) -> bool {
        self.forget_old(now);
        self.guesses.len() >= MAX_FAILURES
    }

    /// The owner knows who guessed: codes are made again. The caller clears [`GUESSES_SETTING`] first.
    pub fn resume(&mut self) {
        self.guesses.clear();
    }

    /// The owner gives it up. Whether there was one.
    pub fn cancel(&mut self, now: Now) -> bool {
        self.tick(now);
        let live = self.is_live();
        if live {
            self.end(now, PairState::Cancelled);
        }
        live
    }

    fn end(&mut self, now: Now, state: PairState) {
        self.stage = match std::mem::take(&mut self.stage) {
            Stage::Live(live) => {
                let peer = match live.step {
                    Step::Requested(asked) => Some(asked.peer),
                    _ => None,
                };
                over(now, state, live.tag, peer, None)
            }
            other => other,
        };
    }
}

impl Live {
    fn requested(mut self, now: Now, envelope: &str, hello: Hello, replaces: Option<DeviceName>) -> Self {
        self.step = match self.step {
            Step::Exchanged { channel, exchange } => {
                let peer = shown(&hello, replaces);
                Step::Requested(Box::new(Asked {
                    channel,
                    exchange,
                    envelope: envelope.to_owned(),
                    hello,
                    peer,
                    seen: now.steady,
                }))
            }
            other => other,
        };
        // The owner has as long to answer as the other one had to type.
        self.expires_at = now.steady + Duration::seconds(DISPLAY_SECONDS);
        self
    }
}

fn over(now: Now, state: PairState, tag: PairTag, peer: Option<PeerShown>, done: Option<Box<Done>>) -> Stage {
    Stage::Over { state, tag, peer, done, forget_at: now.steady + Duration::seconds(DISPLAY_SECONDS) }
}

fn same(known: &str, body: &DeviceHello, answer: HelloState) -> Result<HelloState, ErrorCode> {
    if *known == body.envelope { Ok(answer) } else { Err(ErrorCode::PairingUsed) }
}

fn parse(body: &DeviceExchange) -> Result<(PakeMessage, Confirmation), ErrorCode> {
    let message = PakeMessage::parse(&body.pake_message, Side::B).map_err(durward_protocol::Error::code)?;
    let mac = Confirmation::parse(&body.confirmation).map_err(durward_protocol::Error::code)?;
    Ok((message, mac))
}

/// A device as people check it.
pub fn shown(hello: &Hello, replaces: Option<DeviceName>) -> PeerShown {
    PeerShown {
        device_id: hello.device_id,
        device_name: hello.name.clone(),
        public_key: hello.keys.x25519_hex(),
        signing_key: hello.keys.ed25519_hex(),
        fingerprint: hello.keys.fingerprint(),
        replaces,
    }
}
