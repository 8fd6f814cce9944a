//! The Ed25519 group of the SPAKE2 library, with tables for the three points that never change.
//!
//! The library multiplies the base point, M and N as if each were new. All three are constants, so a table computed
//! once does the same in less than half the time. The arithmetic, the constants and the hashing stay the libraries';
//! the scalars are wiped on drop, which the library's own are not. A test compares every output with the library's.

use std::sync::LazyLock;

use curve25519_dalek_4::constants::ED25519_BASEPOINT_TABLE;
use curve25519_dalek_4::edwards::{EdwardsBasepointTable, EdwardsPoint};
use curve25519_dalek_4::scalar::Scalar;
use curve25519_dalek_4::traits::BasepointTable;
use rand_core_06::{CryptoRng, RngCore};
use spake2::{Ed25519Group, Group};
use zeroize::Zeroize;

/// [`Ed25519Group`] with tables.
pub(super) struct TabledGroup;

/// A point, or one of the constants by name, so that its table can be found.
pub(super) enum Element {
    M,
    N,
    Point(EdwardsPoint),
}

/// A scalar that wipes itself.
pub(super) struct WipedScalar(Scalar);

impl Drop for WipedScalar {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

static TABLE_M: LazyLock<EdwardsBasepointTable> =
    LazyLock::new(|| EdwardsBasepointTable::create(&Ed25519Group::const_m()));
static TABLE_N: LazyLock<EdwardsBasepointTable> =
    LazyLock::new(|| EdwardsBasepointTable::create(&Ed25519Group::const_n()));

impl Element {
    fn point(&self) -> EdwardsPoint {
        match self {
            Self::M => Ed25519Group::const_m(),
            Self::N => Ed25519Group::const_n(),
            Self::Point(point) => *point,
        }
    }
}

impl Group for TabledGroup {
    type Scalar = WipedScalar;
    type Element = Element;
    type TranscriptHash = <Ed25519Group as Group>::TranscriptHash;

    fn name() -> &'static str {
        Ed25519Group::name()
    }

    fn const_m() -> Element {
        Element::M
    }

    fn const_n() -> Element {
        Element::N
    }

    fn const_s() -> Element {
        Element::Point(Ed25519Group::const_s())
    }

    fn hash_to_scalar(password: &[u8]) -> WipedScalar {
        WipedScalar(Ed25519Group::hash_to_scalar(password))
    }

    fn random_scalar<T: RngCore + CryptoRng>(rng: &mut T) -> WipedScalar {
        WipedScalar(Ed25519Group::random_scalar(rng))
    }

    fn scalar_neg(scalar: &WipedScalar) -> WipedScalar {
        WipedScalar(-scalar.0)
    }

    fn element_to_bytes(element: &Element) -> Vec<u8> {
        Ed25519Group::element_to_bytes(&element.point())
    }

    fn bytes_to_element(bytes: &[u8]) -> Option<Element> {
        Ed25519Group::bytes_to_element(bytes).map(Element::Point)
    }

    fn element_length() -> usize {
        Ed25519Group::element_length()
    }

    fn basepoint_mult(scalar: &WipedScalar) -> Element {
        Element::Point(ED25519_BASEPOINT_TABLE * &scalar.0)
    }

    fn scalarmult(element: &Element, scalar: &WipedScalar) -> Element {
        Element::Point(match element {
            Element::M => TABLE_M.mul_base(&scalar.0),
            Element::N => TABLE_N.mul_base(&scalar.0),
            Element::Point(point) => point * scalar.0,
        })
    }

    fn add(a: &Element, b: &Element) -> Element {
        Element::Point(a.point() + b.point())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use spake2::{Identity, Password, Spake2};

    use super::*;
    use durward_protocol::Rng06;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_tables_change_nothing(password: Vec<u8>, id_a: Vec<u8>, id_b: Vec<u8>, seeds: [u64; 2]) {
            let password = Password::new(password);
            let (id_a, id_b) = (Identity::new(&id_a), Identity::new(&id_b));
            let [x, y] = seeds.map(|seed| move || StdRng::seed_from_u64(seed));
            let (a, message_a) =
                Spake2::<Ed25519Group>::start_a_with_rng(&password, &id_a, &id_b, Rng06(&mut x()));
            let (b, message_b) =
                Spake2::<Ed25519Group>::start_b_with_rng(&password, &id_a, &id_b, Rng06(&mut y()));
            let (tabled_a, tabled_message_a) =
                Spake2::<TabledGroup>::start_a_with_rng(&password, &id_a, &id_b, Rng06(&mut x()));
            let (tabled_b, tabled_message_b) =
                Spake2::<TabledGroup>::start_b_with_rng(&password, &id_a, &id_b, Rng06(&mut y()));
            prop_assert_eq!((&message_a, &message_b), (&tabled_message_a, &tabled_message_b));
            let key = a.finish(&message_b).unwrap();
            prop_assert_eq!(&key, &b.finish(&message_a).unwrap());
            prop_assert_eq!(&key, &tabled_a.finish(&message_b).unwrap());
            prop_assert_eq!(&key, &tabled_b.finish(&message_a).unwrap());
        }
    }

    #[test]
    fn the_unused_corners_agree_too() {
        let scalar = || WipedScalar(Scalar::from(77_u64));
        for (ours, theirs) in [
            (TabledGroup::const_m(), Ed25519Group::const_m()),
            (TabledGroup::const_n(), Ed25519Group::const_n()),
            (TabledGroup::const_s(), Ed25519Group::const_s()),
            (TabledGroup::add(&Element::M, &Element::N), Ed25519Group::const_m() + Ed25519Group::const_n()),
            (TabledGroup::basepoint_mult(&scalar()), Ed25519Group::basepoint_mult(&scalar().0)),
        ] {
            assert_eq!(TabledGroup::element_to_bytes(&ours), Ed25519Group::element_to_bytes(&theirs));
        }
        assert_eq!(TabledGroup::name(), Ed25519Group::name());
    }
}
