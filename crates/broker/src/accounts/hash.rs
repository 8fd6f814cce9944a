//! Argon2id hashes of canonical phrases, in PHC format, over memory that the caller keeps.
//!
//! Allocating 19 MiB afresh costs half as much again as the hash itself (page faults), so hashing takes an
//! [`Arena`]: the server keeps one per core, hands them out in turn and thereby bounds memory, too.

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Block, Params, Version};
use rand_core::CryptoRng;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroize as _;

use super::phrase::CanonicalPhrase;

const SALT_BYTES: usize = 16;
const OUTPUT_BYTES: usize = 32;
/// A stored hash that asks for more is refused rather than computed: a bent row must not take the machine down.
const MAX_MEMORY_KIB: u32 = 1 << 20;
const MAX_PASSES: u32 = 64;
const MAX_LANES: u32 = 64;

/// What one Argon2id hash costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashCost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl HashCost {
    /// OWASP's first choice: 19 MiB, two passes, one lane.
    pub const DEFAULT: Self = Self { memory_kib: 19 * 1024, passes: 2, lanes: 1 };

    /// Checks the bounds: memory 8·lanes..=1 GiB in KiB, 1..=64 passes and lanes.
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, HashError> {
        let fits = (1..=MAX_PASSES).contains(&passes)
            && (1..=MAX_LANES).contains(&lanes)
            && (8 * lanes..=MAX_MEMORY_KIB).contains(&memory_kib);
        if fits { Ok(Self { memory_kib, passes, lanes }) } else { Err(HashError::Cost) }
    }

    fn argon2(self) -> Result<Argon2<'static>, HashError> {
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(OUTPUT_BYTES))
            .map_err(|_| HashError::Cost)?;
        Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
    }
}

/// Why a stored hash cannot be used. Nothing that a peer sends leads here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// Cost outside the bounds of [`HashCost::new`].
    #[error("Argon2id cost out of bounds: 8 KiB a lane to 1 GiB, 1 to 64 passes, 1 to 64 lanes")]
    Cost,
    /// Not an `$argon2id$v=19$…` string with salt and 32 bytes of output.
    #[error("not an Argon2id hash in PHC format")]
    Format,
}

/// Working memory of one hash at a time. Grows to the largest cost it meets and stays there.
///
/// What a hash leaves behind is overwritten by the next and is wiped when the arena is dropped.
#[derive(Default)]
pub struct Arena(Vec<Block>);

impl Arena {
    /// An arena that takes its memory at the first hash.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.0.len() * Block::SIZE
    }

    /// At least `blocks` KiB of memory.
    pub(super) fn blocks(&mut self, blocks: usize) -> &mut [Block] {
        if self.0.len() < blocks {
            self.0.resize(blocks, Block::new());
        }
        &mut self.0
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl std::fmt::Debug for Arena {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Arena({} bytes)", self.bytes())
    }
}

/// A stored hash, `$argon2id$v=19$m=…,t=…,p=…$salt$output`.
#[derive(Clone, PartialEq, Eq)]
pub struct PhraseHash(String);

impl PhraseHash {
    /// Hashes `phrase` under a new salt.
    pub fn create(
        phrase: &CanonicalPhrase,
        cost: HashCost,
        arena: &mut Arena,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, HashError> {
        let mut salt = [0; SALT_BYTES];
        rng.fill_bytes(&mut salt);
        let mut output = compute(phrase, &salt, cost, arena)?;
        let mut params = ParamsString::new();
        for (name, value) in [("m", cost.memory_kib), ("t", cost.passes), ("p", cost.lanes)] {
            params.add_decimal(name, value).map_err(|_| HashError::Format)?;
        }
        let phc = PasswordHash {
            algorithm: ARGON2ID_IDENT,
            version: Some(Version::V0x13.into()),
            params,
            salt: Some(Salt::new(&salt).map_err(|_| HashError::Format)?),
            hash: Some(Output::new(&output).map_err(|_| HashError::Format)?),
        };
        output.zeroize();
        Ok(Self(phc.to_string()))
    }

    /// Takes a stored string; its form is checked when it is used.
    #[must_use]
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The PHC string, for the store only.
    pub fn expose_phc(&self) -> &str {
        &self.0
    }

    /// Whether `phrase` is the one that was hashed. Costs one Argon2id at the stored cost.
    pub fn verify(&self, phrase: &CanonicalPhrase, arena: &mut Arena) -> Result<bool, HashError> {
        let parsed = Parsed::read(&self.0)?;
        let mut output = compute(phrase, parsed.salt.as_ref(), parsed.cost, arena)?;
        let same = output.ct_eq(parsed.output.as_bytes()).into();
        output.zeroize();
        Ok(same)
    }

    /// Whether the hash was made at another cost than `wanted`, so that the next good login should replace it.
    pub fn needs_upgrade(&self, wanted: HashCost) -> bool {
        Parsed::read(&self.0).is_ok_and(|parsed| parsed.cost != wanted)
    }
}

impl std::fmt::Debug for PhraseHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PhraseHash([redacted])")
    }
}

/// Names one setting of a phrase: a new phrase gets a new one, a stronger hash of the same phrase keeps it.
///
/// A key is issued only if the revision is still the one that was verified, so that a phrase changed in between
/// issues nothing, while two logins that upgrade the same hash at once both succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PhraseRevision([u8; 16]);

impl PhraseRevision {
    /// The revision that begins with this hash; unique because its salt is.
    pub fn of(first: &PhraseHash) -> Self {
        let digest: [u8; 32] = Sha256::digest(first.0.as_bytes()).into();
        let mut revision = [0; 16];
        revision.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        Self(revision)
    }

    /// The 16 bytes, for a binary column.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// From a binary column.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

/// The work of [`PhraseHash::verify`] for a name that has no account: the same cost, the result thrown away.
pub(crate) fn verify_nobody(
    phrase: &CanonicalPhrase,
    cost: HashCost,
    arena: &mut Arena,
) -> Result<(), HashError> {
    let mut output = compute(phrase, &[0; SALT_BYTES], cost, arena)?;
    output.zeroize();
    Ok(())
}

struct Parsed {
    cost: HashCost,
    salt: Salt,
    output: Output,
}

impl Parsed {
    fn read(text: &str) -> Result<Self, HashError> {
        let phc = PasswordHash::new(text).map_err(|_| HashError::Format)?;
        if phc.algorithm != ARGON2ID_IDENT || phc.version != Some(Version::V0x13.into()) {
            return Err(HashError::Format);
        }
        let param = |name: &str| phc.params.get_decimal(name).ok_or(HashError::Format);
        let cost = HashCost::new(param("m")?, param("t")?, param("p")?)?;
        let output = phc.hash.filter(|output| output.len() == OUTPUT_BYTES).ok_or(HashError::Format)?;
        Ok(Self { cost, salt: phc.salt.ok_or(HashError::Format)?, output })
    }
}

fn compute(
    phrase: &CanonicalPhrase,
    salt: &[u8],
    cost: HashCost,
    arena: &mut Arena,
) -> Result<[u8; OUTPUT_BYTES], HashError> {
    let argon2 = cost.argon2()?;
    let blocks = arena.blocks(argon2.params().block_count());
    let mut output = [0; OUTPUT_BYTES];
    argon2
        .hash_password_into_with_memory(phrase.expose_phrase().as_bytes(), salt, &mut output, blocks)
        .map_err(|_| HashError::Format)?;
    Ok(output)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    fn phrase(text: &str) -> CanonicalPhrase {
        CanonicalPhrase::new(&text.to_owned().into())
    }

    fn cheap() -> HashCost {
        HashCost::new(32, 1, 1).unwrap()
    }

    #[test]
    fn hashes_verify_and_only_the_right_phrase_does() {
        let (mut arena, mut rng) = (Arena::new(), StdRng::seed_from_u64(1));
        let hash = PhraseHash::create(&phrase("one two three"), cheap(), &mut arena, &mut rng).unwrap();
        assert!(hash.expose_phc().starts_with("$argon2id$v=19$m=32,t=1,p=1$"));
        assert!(hash.verify(&phrase("One, two, three!"), &mut arena).unwrap());
        assert!(!hash.verify(&phrase("one two four"), &mut arena).unwrap());
        let again = PhraseHash::create(&phrase("one two three"), cheap(), &mut arena, &mut rng).unwrap();
        assert_ne!(hash, again, "salted");
    }

    #[test]
    fn the_arena_is_reused_and_takes_any_cost() {
        let (mut arena, mut rng) = (Arena::new(), StdRng::seed_from_u64(2));
        let large = HashCost::new(256, 2, 2).unwrap();
        let first = PhraseHash::create(&phrase("a"), large, &mut arena, &mut rng).unwrap();
        let held = arena.bytes();
        assert_eq!(held, 256 * 1024);
        let second = PhraseHash::create(&phrase("b"), cheap(), &mut arena, &mut rng).unwrap();
        assert_eq!(arena.bytes(), held);
        assert!(first.verify(&phrase("a"), &mut arena).unwrap());
        assert!(second.verify(&phrase("b"), &mut arena).unwrap());
    }

    #[test]
    fn an_independent_hash_verifies() {
        // Argon2's reference command: echo -n 'password' | argon2 somesalt -id -t 2 -k 65536 -p 1
        let stored = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        let hash = PhraseHash::from_stored(stored.to_owned());
        assert!(hash.verify(&phrase("password"), &mut Arena::new()).unwrap());
    }

    #[test]
    fn cost_decides_about_the_upgrade() {
        let (mut arena, mut rng) = (Arena::new(), StdRng::seed_from_u64(3));
        let hash = PhraseHash::create(&phrase("a"), cheap(), &mut arena, &mut rng).unwrap();
        assert!(hash.needs_upgrade(HashCost::DEFAULT));
        assert!(!hash.needs_upgrade(cheap()));
    }

    #[test]
    fn absurd_stored_costs_are_refused_not_computed() {
        let bent =
            "$argon2id$v=19$m=4294967295,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        let outcome = PhraseHash::from_stored(bent.to_owned()).verify(&phrase("a"), &mut Arena::new());
        assert_eq!(outcome, Err(HashError::Cost));
    }

    proptest! {
        #[test]
        fn stored_text_never_panics(text in "(\\$argon2id\\$v=19\\$)?.{0,80}") {
            let hash = PhraseHash::from_stored(text);
            let _ = hash.needs_upgrade(HashCost::DEFAULT);
        }
    }
}
