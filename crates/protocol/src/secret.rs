//! Secrets that wipe themselves and say `[redacted]`.
//!
//! No `Display`, no `Serialize`, no `Clone`: each way out is a method whose name says that it exposes.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A secret text: a password, a code typed by a person, a token.
#[derive(Zeroize, ZeroizeOnDrop)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(extend("format" = "password")))]
pub struct SecretString(String);

impl SecretString {
    /// Takes ownership of `text`; the caller's buffer becomes the one that is wiped.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself. Do not format, log or store what this returns.
    pub fn expose_secret(&self) -> &str {
        &self.0
    }

    /// A second copy, wiped on its own. Named, because each copy is one more place to look after.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }

    /// Whether the text has no characters.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Hands out the inner buffer; from here on wiping is the caller's business.
    pub fn into_exposed(mut self) -> String {
        std::mem::take(&mut self.0)
    }
}

impl From<String> for SecretString {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl PartialEq for SecretString {
    /// Constant time for texts of equal length; the length itself is not hidden.
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for SecretString {}

impl fmt::Debug for SecretString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Reads a secret out of a message. There is no way back: nothing serialises one by accident.
impl<'de> serde::Deserialize<'de> for SecretString {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

/// Secret bytes of a fixed length: a key, a MAC key, a seed.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct SecretBytes<const N: usize>([u8; N]);

impl<const N: usize> SecretBytes<N> {
    /// Wraps `bytes`. Arrays are `Copy`: wipe the original if it stays in scope.
    pub fn new(bytes: [u8; N]) -> Self {
        Self(bytes)
    }

    /// The bytes themselves. Do not format, log or store what this returns.
    pub fn expose_bytes(&self) -> &[u8; N] {
        &self.0
    }

    /// A second copy, wiped on its own.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self(self.0)
    }
}

impl<const N: usize> PartialEq for SecretBytes<N> {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl<const N: usize> Eq for SecretBytes<N> {}

impl<const N: usize> fmt::Debug for SecretBytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_says_nothing() {
        assert_eq!(format!("{:?}", SecretString::new("hunter2".into())), "[redacted]");
        assert_eq!(format!("{:?}", SecretBytes::new([7_u8; 32])), "[redacted]");
    }

    #[test]
    fn equality_compares_contents() {
        assert_eq!(SecretString::new("a".into()), SecretString::new("a".into()));
        assert_ne!(SecretString::new("a".into()), SecretString::new("b".into()));
        assert_ne!(SecretBytes::new([1]), SecretBytes::new([2]));
    }
}
