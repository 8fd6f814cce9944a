//! What this device says and hears about devices: its clock, and which word holds.

use durward_protocol::device::{DeviceId, EventId};

use super::clock::{Register, RegisterField, Stamp, VectorClock};
use super::peers::Devices;
use super::records::{DeviceWrite, RegisterRecord};

/// How far one message can raise what is known of a device's count: more than honest devices ever say, and so little
/// that nobody can use the numbers up.
const MAX_STEP: u64 = 1 << 16;

impl Devices {
    /// This device says something about a device, later than what it said before and than what it says it instead of.
    pub(super) fn say(&mut self, device: DeviceId, field: RegisterField, value: &str, event: EventId) {
        let this = self.this.id;
        self.clock.tick(this);
        let own = self.registers.iter().filter(|(_, _, known)| known.stamp.author == this);
        let own = own.map(|(_, _, known)| known.stamp.clock.total()).max().unwrap_or(0);
        let other = self.registers.get(device, field).map_or(0, |known| known.stamp.clock.total());
        // A peer that counts absurdly high does not take this device's numbers with it.
        let other = other.min(self.clock.total() + u128::from(MAX_STEP));
        let missing = (own.max(other) + 1).saturating_sub(self.clock.total());
        let missing = u64::try_from(missing).unwrap_or(u64::MAX);
        self.clock.raise(this, self.clock.count(this).saturating_add(missing));
        let stamp = Stamp { clock: self.clock.clone(), author: this, event };
        self.keep(device, field, Register { value: value.into(), stamp });
    }

    /// A peer's message came with this clock. Of it counts what the peer knows at first hand, its own messages; and of
    /// this device's own no more than a device needs that came back from a backup.
    pub(super) fn hear_clock(&mut self, from: DeviceId, clock: &VectorClock) {
        for id in [from, self.this.id] {
            let most = self.clock.count(id).saturating_add(MAX_STEP);
            if clock.count(id) > 0 {
                self.clock.raise(id, clock.count(id).min(most));
            }
        }
        self.clock.shrink(|id| id == self.this.id || self.peers.contains_key(&id));
    }

    /// A register holds from here on.
    pub(super) fn keep(&mut self, device: DeviceId, field: RegisterField, register: Register) {
        if self.registers.get(device, field).is_none() {
            self.make_room_for_register();
        }
        self.registers.set(device, field, register.clone());
        self.writes.push(DeviceWrite::Register(RegisterRecord { device, field, register }));
    }

    /// Where there are too many registers, the oldest about a device that is no peer goes.
    pub(super) fn make_room_for_register(&mut self) {
        while self.registers.len() >= self.limits.registers {
            let stays = |id: DeviceId| id == self.this.id || self.peers.contains_key(&id);
            let others = self.registers.iter().filter(|(device, _, _)| !stays(*device));
            let oldest = others.min_by(|(_, _, a), (_, _, b)| a.stamp.cmp(&b.stamp));
            let Some((device, field)) = oldest.map(|(device, field, _)| (device, field)) else { return };
            self.registers.forget(device, field);
            self.writes.push(DeviceWrite::RemoveRegister(device, field));
        }
    }

    /// Puts a register about a peer. `true`: it holds now.
    pub(super) fn hear(&mut self, device: DeviceId, field: RegisterField, value: &str, stamp: Stamp) -> bool {
        if self.registers.get(device, field).is_none() {
            self.make_room_for_register();
        }
        let register = Register { value: value.into(), stamp };
        let holds = self.registers.put(device, field, register.clone());
        if holds {
            self.writes.push(DeviceWrite::Register(RegisterRecord { device, field, register }));
        }
        holds
    }
}
