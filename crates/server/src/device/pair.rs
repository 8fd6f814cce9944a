//! The owner's side of a pairing at the device that shows the code.

use std::time::Duration;

use durward_broker::approval::{Actor, AuditEntry, AuditEvent, Write};
use durward_broker::devices::{GUESSES_SETTING, PeerRecord};
use durward_protocol::device::Hello;
use durward_protocol::device::api::{PairInitiated, PairPending, PairRespond, PairResponded, PairState};
use durward_protocol::{ErrorCode, SecretString};
use tokio::time::Instant;

use super::client::Address;
use super::contact::Contact;
use super::service::{DeviceService, State};
use crate::keys::os_rng;

impl DeviceService {
    /// Makes a code.
    pub(crate) async fn initiate(&self) -> Result<PairInitiated, ErrorCode> {
        if self.joining.is_busy() {
            return Err(ErrorCode::PairingBusy);
        }
        let now = self.now();
        let mut state = self.desk().await;
        let (code, tag) = state.desk.initiate(now, &mut os_rng())?;
        self.announce(&state);
        self.tell();
        let entry = AuditEntry::new(now.wall, AuditEvent::DevicePairing, Actor::Owner).outcome("code_shown");
        // The record says who may have come in later: without it no code.
        let written = self.save(vec![Write::Audit(entry)]).await;
        if let Err(error) = written {
            state.desk.cancel(now);
            self.announce(&state);
            return Err(error);
        }
        Ok(PairInitiated {
            code: SecretString::new(code.expose_digits().to_owned()),
            expires_in_seconds: durward_broker::devices::DISPLAY_SECONDS.unsigned_abs(),
            tag,
            addresses: own_addresses(self.listen, self.tls),
        })
    }

    /// Where the pairing stands; with `hold`, once somebody has come or it is over.
    pub(crate) async fn pending(&self, hold: Duration) -> PairPending {
        let until = Instant::now() + hold;
        let mut changes = self.changes();
        loop {
            let now = self.now();
            let view = self.desk().await.desk.view(now);
            let early = matches!(view.state, PairState::Waiting | PairState::Exchanged);
            if !early || !self.another(&mut changes, until).await {
                return PairPending {
                    pending: view.state == PairState::Requested,
                    state: view.state,
                    tag: view.tag,
                    expires_in_seconds: view.seconds_left,
                    request: view.peer,
                };
            }
        }
    }

    /// The owner answers the device that asks.
    pub(crate) async fn respond(&self, body: &PairRespond) -> Result<PairResponded, ErrorCode> {
        let now = self.now();
        let mut guard = self.state().await?;
        let state = &mut *guard;
        let verdict = state.desk.verdict(now, body.accept, body.device_id, &mut os_rng());
        self.announce(state);
        self.tell(); // it may be over: the device went away
        let (verdict, hello, stream) = verdict?;
        let device = if body.accept { Some(self.accept(state, &hello, stream).await?) } else { None };
        state.desk.decided(now, body.accept, verdict);
        self.announce(state);
        self.tell();
        let status = if body.accept { PairState::Accepted } else { PairState::Rejected };
        if !body.accept {
            let entry = AuditEntry::new(now.wall, AuditEvent::DevicePairing, Actor::Owner);
            let entry = entry.outcome("rejected").detail(format!("{} {}", hello.name, hello.device_id));
            let _ = self.save(vec![Write::Audit(entry)]).await; // nothing was given away
        }
        Ok(PairResponded { status, device: device.map(|peer| self.view(state, &peer)) })
    }

    async fn accept(
        &self,
        state: &mut State,
        hello: &Hello,
        stream: durward_protocol::PairingId,
    ) -> Result<PeerRecord, ErrorCode> {
        let now = self.now().wall;
        let paired = self.change(state, |devices, _| {
            let peer = devices.pair(hello, stream, now, &mut os_rng())?;
            let detail = format!("{} {} {}", peer.name, peer.id, peer.keys.fingerprint());
            Ok((peer, vec![AuditEntry::new(now, AuditEvent::DevicePaired, Actor::Owner).detail(detail)]))
        });
        let peer = paired.await?;
        self.contact(peer.id, |contact| *contact = Contact::default());
        tracing::info!(device = %peer.id, name = %peer.name, "paired");
        Ok(peer)
    }

    /// The owner gives the pairing up, whichever end this is.
    pub(crate) async fn cancel(&self) -> bool {
        let joining = self.joining.give_up();
        let mut state = self.desk().await;
        let cancelled = state.desk.cancel(self.now());
        self.announce(&state);
        self.tell();
        cancelled || joining
    }

    /// The owner knows who typed the codes that failed: new ones are made again. Whether none was made.
    pub(crate) async fn resume_pairing(&self) -> Result<bool, ErrorCode> {
        let now = self.now();
        let mut state = self.desk().await;
        if !state.desk.is_paused(now) {
            return Ok(false);
        }
        let entry = AuditEntry::new(now.wall, AuditEvent::DevicePairing, Actor::Owner).outcome("resumed");
        let forgotten = Write::Setting { key: GUESSES_SETTING.into(), value: None };
        self.save(vec![forgotten, Write::Audit(entry)]).await?;
        state.desk.resume();
        Ok(true)
    }
}

/// Where other machines may reach this one. The system picks the outgoing address; nothing is sent.
fn own_addresses(listen: std::net::SocketAddr, tls: bool) -> Vec<String> {
    let ip = if listen.ip().is_unspecified() {
        let socket = std::net::UdpSocket::bind((std::net::Ipv4Addr::UNSPECIFIED, 0));
        let routed = socket.and_then(|socket| {
            socket.connect((std::net::Ipv4Addr::new(192, 0, 2, 1), 9))?;
            socket.local_addr()
        });
        routed.ok().map(|address| address.ip())
    } else {
        Some(listen.ip())
    };
    ip.map(|ip| Address::new(ip, listen.port(), tls).to_string()).into_iter().collect()
}
