//! What several devices say about the same thing, and which of it holds: vector clocks and registers.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use durward_protocol::device::{DeviceId, EventId};
use serde::{Deserialize, Serialize};

/// Most devices in a clock that is taken from a peer.
pub const MAX_CLOCK_ENTRIES: usize = 256;

/// Largest count in a clock. A count that is there stays there: words of one device then differ by their ids.
pub const MAX_COUNT: u64 = 1 << 40;

/// Counts each device's messages, as far as one device has heard of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VectorClock(BTreeMap<DeviceId, u64>);

impl VectorClock {
    /// What it has heard of one device.
    pub fn count(&self, device: DeviceId) -> u64 {
        self.0.get(&device).copied().unwrap_or(0)
    }

    /// Counts one more message of `device`.
    pub fn tick(&mut self, device: DeviceId) {
        self.raise(device, self.count(device).saturating_add(1));
    }

    /// There were so many messages of `device`, or more.
    pub fn raise(&mut self, device: DeviceId, count: u64) {
        let mine = self.0.entry(device).or_default();
        *mine = (*mine).max(count).min(MAX_COUNT);
    }

    /// Takes in everything `other` has heard of.
    pub fn merge(&mut self, other: &Self) {
        for (device, count) in &other.0 {
            self.raise(*device, *count);
        }
    }

    /// Forgets devices until so few are left that others take this clock: those that are not to stay, the lowest count
    /// first.
    pub(super) fn shrink(&mut self, stays: impl Fn(DeviceId) -> bool) {
        while self.0.len() > MAX_CLOCK_ENTRIES {
            let others = self.0.iter().filter(|(device, _)| !stays(**device));
            let Some(lowest) = others.min_by_key(|(_, count)| **count).map(|(device, _)| *device) else {
                return;
            };
            self.0.remove(&lowest);
        }
    }

    /// Forgets devices that are not to stay.
    pub(super) fn keep_only(&mut self, stays: impl Fn(DeviceId) -> bool) {
        self.0.retain(|device, _| stays(*device));
    }

    /// Whether a clock from a peer can be taken: not too many devices, no absurd numbers.
    pub fn is_plausible(&self) -> bool {
        self.0.len() <= MAX_CLOCK_ENTRIES && self.0.values().all(|count| *count <= MAX_COUNT)
    }

    /// Whether everything in `self` is in `other`, and something more.
    pub fn is_before(&self, other: &Self) -> bool {
        let within = self.0.iter().all(|(device, count)| other.0.get(device).copied().unwrap_or(0) >= *count);
        within && self.total() < other.total()
    }

    /// All messages it has heard of. What causes comes before what is caused, so this grows along every chain of causes.
    pub(super) fn total(&self) -> u128 {
        self.0.values().map(|count| u128::from(*count)).sum()
    }
}

/// When something was said: orders all sayings the same way on every device.
///
/// "The later clock wins, ties by id" is no order: with a and b at the same time, b and c at the same time and a before
/// c, ids may say a > b > c and c > a. The number of messages known is one, and agrees with what caused what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// The sayer's clock, this message counted.
    pub clock: VectorClock,
    /// Who said it.
    pub author: DeviceId,
    /// In which message.
    pub event: EventId,
}

impl Ord for Stamp {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_total = self.clock.total().cmp(&other.clock.total());
        by_total.then(self.author.cmp(&other.author)).then(self.event.cmp(&other.event))
    }
}

impl PartialOrd for Stamp {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// What a register is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegisterField {
    /// The name a device gives itself.
    Name,
    /// `removed`, or empty after a new pairing.
    Removed,
}

impl RegisterField {
    /// The word in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Removed => "removed",
        }
    }

    /// The reverse.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Name, Self::Removed].into_iter().find(|field| field.as_str() == text)
    }
}

/// A value and who said it when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register {
    /// The value.
    pub value: String,
    /// The stamp.
    pub stamp: Stamp,
}

/// All registers: the same set of sayings, in any order, any number of times, leaves the same values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registers(BTreeMap<(DeviceId, RegisterField), Register>);

impl Registers {
    /// Takes a saying. `true`: it holds now, and did not before.
    pub fn put(&mut self, device: DeviceId, field: RegisterField, register: Register) -> bool {
        match self.0.get(&(device, field)) {
            Some(known) if known.stamp >= register.stamp => false,
            _ => {
                self.set(device, field, register);
                true
            }
        }
    }

    /// What holds from here on, whatever was said before.
    pub(super) fn set(&mut self, device: DeviceId, field: RegisterField, register: Register) {
        self.0.insert((device, field), register);
    }

    /// Forgets a register.
    pub(super) fn forget(&mut self, device: DeviceId, field: RegisterField) {
        self.0.remove(&(device, field));
    }

    /// What holds.
    pub fn get(&self, device: DeviceId, field: RegisterField) -> Option<&Register> {
        self.0.get(&(device, field))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (DeviceId, RegisterField, &Register)> {
        self.0.iter().map(|((device, field), register)| (*device, *field, register))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn device(n: u8) -> DeviceId {
        DeviceId::from_bytes([n, 0, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 0]).unwrap()
    }

    /// Up to four devices that hear of each other at random.
    fn sayings() -> impl Strategy<Value = Vec<(u8, u8, bool)>> {
        proptest::collection::vec((0..4_u8, 0..4_u8, any::<bool>()), 1..40)
    }

    fn stamps(script: &[(u8, u8, bool)]) -> Vec<Stamp> {
        let mut clocks = vec![VectorClock::default(); 4];
        let mut all: Vec<Stamp> = Vec::new();
        for (n, (who, other, hear)) in script.iter().enumerate() {
            let (who, other) = (usize::from(*who), usize::from(*other));
            if *hear {
                let heard = clocks[other].clone();
                clocks[who].merge(&heard);
            }
            clocks[who].tick(device(u8::try_from(who).unwrap()));
            let event = device(100 + u8::try_from(n).unwrap());
            all.push(Stamp { clock: clocks[who].clone(), author: device(u8::try_from(who).unwrap()), event });
        }
        all
    }

    proptest! {
        #[test]
        fn the_order_of_stamps_follows_causes(script in sayings()) {
            let all = stamps(&script);
            for a in &all {
                for b in &all {
                    if a.clock.is_before(&b.clock) {
                        prop_assert!(a < b);
                    }
                }
            }
        }

        #[test]
        fn any_order_leaves_the_same_registers(script in sayings(), seed: u64) {
            let put = |all: &[Stamp]| {
                let mut registers = Registers::default();
                for stamp in all {
                    let value = stamp.event.to_string();
                    registers.put(device(1), RegisterField::Name, Register { value, stamp: stamp.clone() });
                }
                registers
            };
            let all = stamps(&script);
            let mut mixed = [all.clone(), all.clone()].concat();
            let mut state = seed | 1;
            for at in (1..mixed.len()).rev() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                mixed.swap(at, usize::try_from(state >> 33).unwrap() % (at + 1));
            }
            prop_assert_eq!(put(&all), put(&mixed));
        }
    }

    #[test]
    fn a_flood_of_devices_in_a_clock_is_not_taken() {
        let mut clock = VectorClock::default();
        clock.0.insert(device(1), u64::MAX);
        assert!(!clock.is_plausible());
        let many = (0..=u8::MAX).flat_map(|a| {
            [
                (device(a), 1),
                (DeviceId::from_bytes([a, 1, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 0]).unwrap(), 1),
            ]
        });
        assert!(!VectorClock(many.collect()).is_plausible());
    }
}
