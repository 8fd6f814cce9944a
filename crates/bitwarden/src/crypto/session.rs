//! The session key (`BW_SESSION`) and the one thing it protects on disk: the user key.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bitwarden_crypto::{
    BitwardenLegacyKeyBytes, EncString, KeyDecryptable, KeyEncryptable, OctetStreamBytes, SymmetricCryptoKey,
    SymmetricKeyAlgorithm,
};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::{Error, Result};

/// The key at the root of an account's vault. Wiped on drop.
#[derive(Clone)]
pub struct UserKey(SymmetricCryptoKey);

impl std::fmt::Debug for UserKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("UserKey([redacted])")
    }
}

impl UserKey {
    pub(crate) fn new(key: SymmetricCryptoKey) -> Self {
        Self(key)
    }

    pub(crate) fn sdk(&self) -> &SymmetricCryptoKey {
        &self.0
    }

    /// A fresh random key of the usual kind (AES-256-CBC with HMAC-SHA256), for tests and registration.
    pub fn generate() -> Self {
        Self(SymmetricCryptoKey::make(SymmetricKeyAlgorithm::Aes256CbcHmac))
    }

    /// Reads the base64 form: 64 bytes, or a padded COSE key.
    ///
    /// # Errors
    /// [`Error::Decrypt`] when it is neither.
    pub fn from_base64(text: &SecretString) -> Result<Self> {
        SymmetricCryptoKey::try_from(text.expose_secret().to_owned()).map(Self).map_err(|_| Error::Decrypt)
    }

    /// The base64 form.
    pub fn expose_base64(&self) -> SecretString {
        SecretString::from(self.0.to_base64().to_string())
    }

    /// The key's public id, 16 bytes in hex: for 64-byte keys half of the RFC 9679 thumbprint.
    pub fn id(&self) -> Option<String> {
        self.0.key_id().map(|id| id.to_string())
    }

    /// Encrypts a text under this key.
    ///
    /// # Errors
    /// [`Error::Decrypt`] when the cryptographic library refuses.
    pub fn encrypt(&self, text: &str) -> Result<String> {
        Ok(text.encrypt_with_key(&self.0)?.to_string())
    }

    /// Encrypts bytes under this key.
    ///
    /// # Errors
    /// [`Error::Decrypt`] when the cryptographic library refuses.
    pub fn encrypt_bytes(&self, bytes: &[u8]) -> Result<String> {
        Ok(OctetStreamBytes::from(bytes.to_vec()).encrypt_with_key(&self.0)?.to_string())
    }

    /// Decrypts a text of the vault. Encryption without a MAC is refused.
    ///
    /// # Errors
    /// [`Error::Decrypt`] for another key, a bent value or a refused type.
    pub fn decrypt(&self, text: &str) -> Result<String> {
        super::keyring::decrypt_with(&self.0, text).ok_or(Error::Decrypt)
    }
}

/// The 64 random bytes that travel as `BW_SESSION`. Wiped on drop.
pub struct SessionKey(SymmetricCryptoKey);

impl std::fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionKey([redacted])")
    }
}

impl SessionKey {
    /// A new one from the operating system's generator.
    pub fn generate() -> Self {
        Self(SymmetricCryptoKey::make(SymmetricKeyAlgorithm::Aes256CbcHmac))
    }

    /// Reads the 88 characters. Anything that is not base64 of 64 bytes is no key, which the official
    /// command line treats as "locked", not as an error.
    pub fn parse(text: &SecretString) -> Option<Self> {
        let bytes = Zeroizing::new(STANDARD.decode(text.expose_secret().trim()).ok()?);
        if bytes.len() != 64 {
            return None;
        }
        SymmetricCryptoKey::try_from(&BitwardenLegacyKeyBytes::from(bytes.to_vec())).ok().map(Self)
    }

    /// The 88 characters.
    pub fn expose_base64(&self) -> SecretString {
        SecretString::from(self.0.to_base64().to_string())
    }

    /// Seals the user key: base64 of `02 | iv | hmac | ciphertext` over the raw key bytes.
    ///
    /// # Errors
    /// [`Error::Decrypt`] when the cryptographic library refuses.
    pub fn protect(&self, key: &UserKey) -> Result<String> {
        let bytes = key.0.to_encoded();
        let sealed = OctetStreamBytes::from(bytes.as_ref().to_vec()).encrypt_with_key(&self.0)?;
        Ok(STANDARD.encode(sealed.to_buffer()?))
    }

    /// Opens a protected entry. `None` for another session key, a bent or a short value: all of them mean
    /// that the vault is locked.
    pub fn open(&self, entry: &str) -> Option<UserKey> {
        let bytes = STANDARD.decode(entry.trim()).ok()?;
        let sealed = EncString::from_buffer(&bytes).ok()?;
        if !matches!(sealed, EncString::Aes256Cbc_HmacSha256_B64 { .. }) {
            return None;
        }
        let plain: Vec<u8> = sealed.decrypt_with_key(&self.0).ok()?;
        let plain = Zeroizing::new(plain);
        SymmetricCryptoKey::try_from(&BitwardenLegacyKeyBytes::from(plain.to_vec())).ok().map(UserKey)
    }
}
