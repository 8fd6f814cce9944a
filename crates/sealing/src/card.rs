//! What devices know of each other.

use bech32::{Bech32, Hrp};
use durward_protocol::device::{DeviceId, DeviceName, DevicePublic};

const RECIPIENT_PREFIX: &str = "age";

/// Id, name and public keys of a device.
///
/// As text it is a recipients file of `age` that a person can read: the age recipient stands alone on its line and
/// everything else in comments, so `age -R sync/keys/NAME.pub` encrypts for that device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceCard {
    /// Its id.
    pub id: DeviceId,
    /// Its name.
    pub name: DeviceName,
    /// Its keys.
    pub public: DevicePublic,
}

impl DeviceCard {
    /// The X25519 key as `age -r` takes it: `age1…`.
    pub fn age_recipient(&self) -> String {
        age_recipient(&self.public.x25519)
    }

    /// First and last eight hex digits of the X25519 key.
    pub fn fingerprint(&self) -> String {
        self.public.fingerprint()
    }

    /// The content of a peer's `NAME.pub`.
    pub fn to_text(&self) -> String {
        self.text_under(
            "A device known to Durward. Deleting this file unpairs it; the private keys stay on that device.",
        )
    }

    /// The content of this device's own.
    pub(crate) fn to_own_text(&self) -> String {
        self.text_under("This device itself, for others to know; its private keys are in keys/local.key. Written again when missing.")
    }

    fn text_under(&self, what: &str) -> String {
        format!(
            "# {what}\n\
             # name: {}\n# device: {}\n# fingerprint: {}\n# ed25519: {}\n{}\n",
            self.name,
            self.id,
            self.fingerprint(),
            self.public.ed25519_hex(),
            self.age_recipient(),
        )
    }

    /// Reads [`DeviceCard::to_text`] back; on failure says what is missing.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let field = |name| comment(text, name);
        let id = field("device").and_then(|id| id.parse().ok()).ok_or("it has no good `# device:` line")?;
        let name = field("name").and_then(|name| DeviceName::parse(name).ok());
        let name = name.ok_or("it has no good `# name:` line")?;
        let ed25519 = field("ed25519").and_then(decode_hex).ok_or("it has no good `# ed25519:` line")?;
        let x25519 = key_line(text).and_then(decode_recipient);
        let x25519 = x25519.ok_or("it has not exactly one good line age1…")?;
        let public = DevicePublic::new(x25519, ed25519).map_err(|_| "its keys are weak")?;
        // What people compare must be what is used.
        if field("fingerprint") != Some(public.fingerprint().as_str()) {
            return Err("its `# fingerprint:` line is not that of its age1… key");
        }
        Ok(Self { id, name, public })
    }
}

/// Bech32 of a key, as `age -r` takes it.
pub(crate) fn age_recipient(x25519: &[u8; 32]) -> String {
    let encode = |hrp| bech32::encode_lower::<Bech32>(hrp, x25519).ok();
    Hrp::parse(RECIPIENT_PREFIX).ok().and_then(encode).unwrap_or_default()
}

/// The value of the one line `# name: value`; none when there are several.
pub(crate) fn comment<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let value = |line: &'a str| line.strip_prefix("# ")?.strip_prefix(name)?.strip_prefix(": ");
    only(text.lines().filter_map(value)).map(str::trim_end)
}

/// The one line that is neither empty nor a comment.
pub(crate) fn key_line(text: &str) -> Option<&str> {
    only(text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')))
}

fn only<T>(mut all: impl Iterator<Item = T>) -> Option<T> {
    let first = all.next()?;
    all.next().is_none().then_some(first)
}

fn decode_recipient(text: &str) -> Option<[u8; 32]> {
    let (hrp, bytes) = bech32::decode(text).ok()?;
    let right = hrp.as_str() == RECIPIENT_PREFIX && text.starts_with("age1");
    bytes.try_into().ok().filter(|_| right)
}

fn decode_hex(text: &str) -> Option<[u8; 32]> {
    let digit = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes: Option<Vec<u8>> = pairs.iter().map(|[a, b]| Some(digit(*a)? << 4 | digit(*b)?)).collect();
    bytes?.try_into().ok().filter(|_| rest.is_empty())
}

#[cfg(test)]
pub(crate) mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;
    use crate::DeviceIdentity;

    pub(crate) fn seeded(seed: u64) -> StdRng {
        StdRng::seed_from_u64(seed)
    }

    pub(crate) fn identity(seed: u64, name: &str) -> DeviceIdentity {
        let mut rng = seeded(seed);
        let at = time::OffsetDateTime::UNIX_EPOCH + time::Duration::days(20_000);
        let id = DeviceId::new(at, &mut rng);
        DeviceIdentity::generate(id, DeviceName::parse(name).unwrap(), &mut rng)
    }

    #[test]
    fn a_card_is_text_for_people_and_for_age() {
        let card = identity(1, "Zoës Rechner").card();
        let text = card.to_text();
        assert_eq!(DeviceCard::parse(&text), Ok(card.clone()));
        for part in ["Zoës Rechner", &card.id.to_string(), &card.fingerprint(), &card.age_recipient()] {
            assert!(text.contains(part), "{part}");
        }
        let plain = text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>();
        assert_eq!(plain, [card.age_recipient()], "for age all else is comment");
        assert_eq!(DeviceCard::parse(&text.replace('\n', "\r\n")), Ok(card), "edited on Windows");
    }

    #[test]
    fn edited_cards_are_refused() {
        let (one, other) = (identity(1, "one").card(), identity(2, "other").card());
        let text = one.to_text();
        for bad in [
            text.replace("# name: one", "# name: ../one"),
            text.replace("# name: one", "# name: one\n# name: two"),
            text.replace(&one.id.to_string(), "7"),
            text.replace(&one.age_recipient(), &other.age_recipient()),
            text.replace(&one.age_recipient(), ""),
            text.replace(&one.fingerprint(), &other.fingerprint()),
            text.replace(&one.public.ed25519_hex(), &"0".repeat(64)),
            text.replace(&one.public.ed25519_hex(), &one.public.ed25519_hex().to_uppercase()),
            format!("{text}{}\n", one.age_recipient()),
            String::new(),
        ] {
            assert!(DeviceCard::parse(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn hex_is_whole() {
        assert_eq!(decode_hex(&"0a".repeat(32)), Some([10; 32]));
        for bad in ["", "0", "0a", "zz", &"0A".repeat(32), &"0a".repeat(33)] {
            assert_eq!(decode_hex(bad), None, "{bad}");
        }
    }
}
