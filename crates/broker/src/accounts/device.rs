//! Names on the wire: accounts, device types, device ids, and what a device says about itself.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;

use super::body::DEVICE_TYPE;
use super::error::ApiError;

/// Longest account name in bytes.
pub(crate) const MAX_USER_BYTES: usize = 64;
/// Longest device name in characters.
pub(crate) const MAX_NAME_CHARS: usize = 64;
/// Longest fingerprint in characters.
pub(crate) const MAX_FINGERPRINT_CHARS: usize = 128;
/// Longest slug inside a device id.
pub(crate) const MAX_SLUG: usize = 40;
/// Longest device id that is looked up.
pub(crate) const MAX_DEVICE_ID: usize = 96;

/// An account's name: 1..=64 of `[a-z0-9._-]`, upper case is lowered, first character a letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(String);

impl UserId {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UserId {
    type Err = ApiError;

    fn from_str(text: &str) -> Result<Self, ApiError> {
        let lowered = text.to_ascii_lowercase();
        let bytes = lowered.as_bytes();
        let fits = (1..=MAX_USER_BYTES).contains(&bytes.len())
            && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
            && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        if fits {
            Ok(Self(lowered))
        } else {
            Err(ApiError::InvalidRequest("user: 1 to 64 letters, digits, dots, dashes or underscores"))
        }
    }
}

/// The nine kinds of device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeviceType {
    /// Command line or shell session.
    Terminal,
    /// Mobile phone.
    Phone,
    /// Wearable watch.
    Watch,
    /// Smart ring.
    Ring,
    /// Augmented-reality glasses.
    ArGlasses,
    /// Companion robot.
    Robot,
    /// Web interface.
    Browser,
    /// Sensor or other small machine.
    Iot,
    /// Anything else.
    Other,
}

impl DeviceType {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 9] = [
        Self::Terminal,
        Self::Phone,
        Self::Watch,
        Self::Ring,
        Self::ArGlasses,
        Self::Robot,
        Self::Browser,
        Self::Iot,
        Self::Other,
    ];

    /// The name on the wire and in keys and ids.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Terminal => "terminal",
            Self::Phone => "phone",
            Self::Watch => "watch",
            Self::Ring => "ring",
            Self::ArGlasses => "ar_glasses",
            Self::Robot => "robot",
            Self::Browser => "browser",
            Self::Iot => "iot",
            Self::Other => "other",
        }
    }
}

impl FromStr for DeviceType {
    type Err = ApiError;

    fn from_str(text: &str) -> Result<Self, ApiError> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(ApiError::InvalidRequest(DEVICE_TYPE))
    }
}

/// What people call a device: 1..=64 characters, no controls and no marks that turn the reading direction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DeviceName(String);

impl DeviceName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DeviceName {
    type Err = ApiError;

    fn from_str(text: &str) -> Result<Self, ApiError> {
        if !text.trim().is_empty() && showable(text, MAX_NAME_CHARS) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ApiError::InvalidRequest("device.name: 1 to 64 characters, no control characters"))
        }
    }
}

/// What tells one device from another, as the device itself says it: 1..=128 characters, no controls.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// The fingerprint.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Fingerprint {
    type Err = ApiError;

    fn from_str(text: &str) -> Result<Self, ApiError> {
        if !text.is_empty() && showable(text, MAX_FINGERPRINT_CHARS) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ApiError::InvalidRequest("device.fingerprint: 1 to 128 characters, no control characters"))
        }
    }
}

fn showable(text: &str, max_chars: usize) -> bool {
    // Direction marks would let a name read differently in a list than it is.
    let turns =
        |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().count() <= max_chars && !text.chars().any(|c| c.is_control() || turns(c))
}

/// What a device says about itself in a knock and, the same again, in the exchange.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Kind.
    #[serde(rename = "type")]
    pub kind: DeviceType,
    /// Name for people.
    pub name: DeviceName,
    /// Stable identity, if the device has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Fingerprint>,
}

impl Device {
    /// Whether a challenge made for `self` may be spent by `other`: same type and same fingerprint, and where
    /// there is none the same name.
    pub fn may_be_answered_by(&self, other: &Self) -> bool {
        self.kind == other.kind
            && self.fingerprint == other.fingerprint
            && (self.fingerprint.is_some() || self.name == other.name)
    }
}

/// A device id: `dev_{type}_{slug}_{YYYYMMDD}`, with `-2`, `-3` behind when taken.
///
/// A parsed one may have been made elsewhere: it is only checked for its characters and length.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceId(String);

impl DeviceId {
    /// The first id for `device` that is not in `taken`. `taken` needs only the ids that begin with [`Self::stem`].
    ///
    /// Revoked ids count as taken: an id names one key for ever, so that revoking twice can hit nothing else.
    #[must_use]
    pub fn first_free(device: &Device, today: OffsetDateTime, taken: &[Self]) -> Self {
        let stem = Self::stem(device, today);
        let is_free = |candidate: &Self| !taken.contains(candidate);
        if is_free(&stem) {
            return stem;
        }
        // With n ids taken, one of the n + 1 candidates from here on is free.
        (2..taken.len().saturating_add(3))
            .map(|n| Self(format!("{}-{n}", stem.0)))
            .find(is_free)
            .unwrap_or(stem)
    }

    /// The id without a collision suffix.
    #[must_use]
    pub fn stem(device: &Device, today: OffsetDateTime) -> Self {
        let source = device.fingerprint.as_ref().map_or(device.name.as_str(), Fingerprint::as_str);
        let utc = today.to_offset(time::UtcOffset::UTC);
        let (year, month, day) = (utc.year(), u8::from(utc.month()), utc.day());
        Self(format!("dev_{}_{}_{year:04}{month:02}{day:02}", device.kind.as_str(), slug(source)))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `[A-Za-z0-9.-]`, at most 40: each run of anything else becomes one dash.
fn slug(text: &str) -> String {
    let mut slug = String::new();
    for c in text.chars() {
        if slug.len() >= MAX_SLUG {
            break;
        }
        if c.is_ascii_alphanumeric() || c == '.' {
            slug.push(c);
        } else if !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let trimmed = slug.trim_matches('-');
    if trimmed.is_empty() { "device".to_owned() } else { trimmed.to_owned() }
}

impl FromStr for DeviceId {
    type Err = ApiError;

    fn from_str(text: &str) -> Result<Self, ApiError> {
        let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if text.len() <= MAX_DEVICE_ID
            && text.len() > 4
            && text.starts_with("dev_")
            && text.bytes().all(known)
        {
            Ok(Self(text.to_owned()))
        } else {
            // The same answer as for an id that nobody has: it cannot be anybody's.
            Err(ApiError::UnknownDevice)
        }
    }
}

/// Where a call came from, as far as counters care: an IPv4 address, or the /64 of an IPv6 address.
///
/// One household or one attacker has a whole /64, so single IPv6 addresses would make the counters free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientAddress(IpAddr);

impl ClientAddress {
    /// Cuts IPv6 to its /64; an IPv4 address inside IPv6 is that IPv4 address.
    #[must_use]
    pub fn new(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(v6) => Self(IpAddr::V6((v6.to_bits() & (u128::MAX << 64)).into())),
            v4 @ IpAddr::V4(_) => Self(v4),
        }
    }
}

impl ClientAddress {
    /// The network that an address belongs to, as text: /24 of IPv4, all of loopback, /48 of IPv6. Whoever has many
    /// addresses mostly has neighbours.
    pub(super) fn network(self) -> String {
        match self.0 {
            IpAddr::V4(v4) if v4.is_loopback() => "127.0.0.0/8".to_owned(),
            IpAddr::V4(v4) => format!("{}/24", Ipv4Addr::from_bits(v4.to_bits() & 0xffff_ff00)),
            IpAddr::V6(v6) => format!("{}/48", Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 80))),
        }
    }
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(v4) => write!(f, "{v4}"),
            IpAddr::V6(v6) => write!(f, "{v6}/64"),
        }
    }
}

macro_rules! text_on_the_wire {
    ($($type:ty),*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    )*};
}

text_on_the_wire!(UserId, DeviceType, DeviceName, Fingerprint, DeviceId);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;

    fn device(kind: DeviceType, name: &str, fingerprint: Option<&str>) -> Device {
        Device { kind, name: name.parse().unwrap(), fingerprint: fingerprint.map(|f| f.parse().unwrap()) }
    }

    #[test]
    fn ids_are_those_of_the_documentation() {
        let terminal = device(DeviceType::Terminal, "MacBook Terminal", Some("osx-Mac.lan"));
        let day = datetime!(2026-01-19 07:10 UTC);
        let first = DeviceId::first_free(&terminal, day, &[]);
        assert_eq!(first.as_str(), "dev_terminal_osx-Mac.lan_20260119");
        let second = DeviceId::first_free(&terminal, day, std::slice::from_ref(&first));
        assert_eq!(second.as_str(), "dev_terminal_osx-Mac.lan_20260119-2");
        let third = DeviceId::first_free(&terminal, day, &[first, second]);
        assert_eq!(third.as_str(), "dev_terminal_osx-Mac.lan_20260119-3");
        let unnamed = device(DeviceType::Ring, "戒指", None);
        assert_eq!(DeviceId::stem(&unnamed, day).as_str(), "dev_ring_device_20260119");
        // Ids that older software made are accepted when they are looked up.
        assert!("dev_glasses_envision_20260115".parse::<DeviceId>().is_ok());
    }

    #[test]
    fn the_date_is_that_of_utc() {
        let d = device(DeviceType::Other, "x", None);
        assert!(DeviceId::stem(&d, datetime!(2026-01-19 23:30 -2)).as_str().ends_with("_20260120"));
    }

    #[test]
    fn ipv6_counts_by_64() {
        let a = ClientAddress::new("2001:db8:1:2:3::4".parse().unwrap());
        let b = ClientAddress::new("2001:db8:1:2:ffff::9".parse().unwrap());
        let c = ClientAddress::new("2001:db8:1:3::1".parse().unwrap());
        assert_eq!(a, b);
        assert_ne!(a, c);
        assert_eq!(a.to_string(), "2001:db8:1:2::/64");
        assert_eq!(
            ClientAddress::new("::ffff:192.0.2.1".parse().unwrap()),
            ClientAddress::new("192.0.2.1".parse().unwrap())
        );
    }

    #[test]
    fn a_challenge_is_bound_to_fingerprint_else_to_name_and_always_to_type() {
        let knock = device(DeviceType::Terminal, "a", Some("f"));
        assert!(knock.may_be_answered_by(&device(DeviceType::Terminal, "renamed", Some("f"))));
        assert!(!knock.may_be_answered_by(&device(DeviceType::Terminal, "a", Some("g"))));
        assert!(!knock.may_be_answered_by(&device(DeviceType::Terminal, "a", None)));
        assert!(!knock.may_be_answered_by(&device(DeviceType::Phone, "a", Some("f"))));
        let bare = device(DeviceType::Terminal, "a", None);
        assert!(bare.may_be_answered_by(&bare.clone()));
        assert!(!bare.may_be_answered_by(&device(DeviceType::Terminal, "b", None)));
        assert!(!bare.may_be_answered_by(&knock));
    }

    proptest! {
        #[test]
        fn ids_keep_to_their_characters(name in "\\PC{1,64}", print in proptest::option::of("\\PC{1,100}")) {
            let Ok(name) = name.parse::<DeviceName>() else { return Ok(()) };
            let Ok(fingerprint) = print.map(|p| p.parse::<Fingerprint>()).transpose() else { return Ok(()) };
            let device = Device { kind: DeviceType::ArGlasses, name, fingerprint };
            let id = DeviceId::stem(&device, datetime!(2026-01-19 0:00 UTC));
            let slug = id.as_str().strip_prefix("dev_ar_glasses_").unwrap().strip_suffix("_20260119").unwrap();
            prop_assert!((1..=MAX_SLUG).contains(&slug.len()));
            prop_assert!(slug.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-'));
            prop_assert_eq!(id.as_str().parse::<DeviceId>().unwrap(), id);
        }

        #[test]
        fn parsers_never_panic(text in ".*") {
            let _ = text.parse::<UserId>();
            let _ = text.parse::<DeviceId>();
            let _ = text.parse::<DeviceType>();
            let _ = text.parse::<DeviceName>();
            let _ = text.parse::<Fingerprint>();
        }
    }
}
