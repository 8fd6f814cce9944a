//! The page of devices: which line the keys act on, and the pairing under way as this screen knows it.

use durward_protocol::device::api::{DeviceView, IntroducedView, PairInitiated, PairState, ThisDevice};
use durward_protocol::device::{DeviceId, DeviceName};
use time::{Duration, OffsetDateTime};

use super::State;

/// What the page remembers beside the lists.
#[derive(Debug, Default)]
pub(crate) struct DevicesPage {
    /// Which line.
    pub(crate) at: usize,
    /// The code that was made here. It is wiped as soon as it is used up.
    pub(crate) code: Option<ShownCode>,
    /// Until when the pairing under way lasts.
    pub(crate) until: Option<OffsetDateTime>,
    /// A code was typed here, and the other device's owner has not answered.
    pub(crate) joining: bool,
    /// Since when the device that asks has been on the screen.
    pub(crate) shown: Option<(DeviceId, OffsetDateTime)>,
    /// The answer to it is on its way.
    pub(crate) answering: bool,
}

/// A code, and when its time is over.
#[derive(Debug)]
pub(crate) struct ShownCode {
    pub(crate) begun: Box<PairInitiated>,
    pub(crate) until: OffsetDateTime,
}

/// One line of the page.
#[derive(Clone, Copy, Debug)]
pub(crate) enum DeviceRow<'a> {
    This(&'a ThisDevice),
    Peer(&'a DeviceView),
    /// A peer told of it, and nobody has confirmed it.
    Introduced(&'a IntroducedView),
}

impl DeviceRow<'_> {
    pub(crate) fn id(self) -> DeviceId {
        match self {
            Self::This(device) => device.device_id,
            Self::Peer(device) => device.device_id,
            Self::Introduced(device) => device.device.device_id,
        }
    }

    pub(crate) fn name(&self) -> &DeviceName {
        match self {
            Self::This(device) => &device.name,
            Self::Peer(device) => &device.name,
            Self::Introduced(device) => &device.device.device_name,
        }
    }
}

impl State {
    /// This device, its peers, and who was introduced.
    pub(crate) fn device_rows(&self) -> Vec<DeviceRow<'_>> {
        let Some(devices) = &self.known.devices else { return Vec::new() };
        let this = std::iter::once(DeviceRow::This(&devices.this));
        let peers = devices.devices.iter().map(DeviceRow::Peer);
        this.chain(peers).chain(devices.introduced.iter().map(DeviceRow::Introduced)).collect()
    }

    pub(crate) fn selected_device(&self) -> Option<DeviceRow<'_>> {
        self.device_rows().get(self.devices.at).copied()
    }

    /// The code that was made here, while another device may still type it.
    pub(crate) fn device_code(&self) -> Option<&PairInitiated> {
        let pairing = self.known.live_pairing().filter(|pairing| pairing.state == PairState::Waiting)?;
        let code = self.devices.code.as_ref().map(|code| code.begun.as_ref());
        code.filter(|code| Some(&code.tag) == pairing.tag.as_ref())
    }

    /// Takes over what the lists say about devices.
    pub(crate) fn note_devices(&mut self) {
        self.devices.at = self.devices.at.min(self.device_rows().len().saturating_sub(1));
        self.devices.answering = false;
        let live = self.known.live_pairing();
        let seconds = live.map(|pairing| i64::try_from(pairing.expires_in_seconds).unwrap_or(0));
        self.devices.until = seconds.map(|seconds| self.now + Duration::seconds(seconds));
        // Lists that were on their way when the code was made know nothing of it yet: they do not end it.
        let pairing = self.known.device_pairing.as_ref();
        let (now, is_live) = (self.now, live.is_some());
        self.devices.code = self.devices.code.take().filter(|code| {
            let of_it = pairing.filter(|pairing| pairing.tag.as_ref() == Some(&code.begun.tag));
            let waits = of_it.map_or(!is_live, |pairing| pairing.state == PairState::Waiting);
            waits && now < code.until
        });
    }
}
