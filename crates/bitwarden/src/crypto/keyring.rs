//! Which key opens what: user key, private key, organisation keys, item keys.

use std::collections::HashMap;
use std::sync::OnceLock;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bitwarden_crypto::{
    BitwardenLegacyKeyBytes, CoseKeyBytes, EncString, EncodedSymmetricKey, KeyDecryptable,
    Pkcs8PrivateKeyBytes, PrivateKey, SymmetricCryptoKey, UnsignedSharedKey,
};
use serde::{Deserialize, Serialize};

use super::UserKey;
use crate::Result;

/// An encrypted text as it stands in the vault.
pub type EncText<'a> = &'a str;

/// Where an organisation's key comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum OrgKeySource {
    /// Wrapped for the account's own RSA key.
    Organization {
        /// Type 3 or 4 text.
        key: String,
    },
    /// Wrapped under a provider's key.
    #[serde(rename_all = "camelCase")]
    Provider {
        /// Type 2 text.
        key: String,
        /// The provider's id.
        provider_id: String,
    },
}

/// All keys of an unlocked account. Organisation keys are unwrapped when first needed, because each costs an
/// RSA operation and most reads touch none.
pub struct Keyring {
    user: UserKey,
    wrapped_private: Option<String>,
    private: OnceLock<Option<PrivateKey>>,
    sources: HashMap<String, OrgKeySource>,
    providers: HashMap<String, String>,
    orgs: HashMap<String, OnceLock<Option<SymmetricCryptoKey>>>,
}

impl Drop for Keyring {
    fn drop(&mut self) {
        super::wipe_stack();
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keyring([redacted], {} organisations)", self.sources.len())
    }
}

impl Keyring {
    /// Puts the keys together. `wrapped_private` is the account's RSA key under the user key; `providers`
    /// maps a provider's id to its RSA-wrapped key.
    pub fn new(
        user: UserKey,
        wrapped_private: Option<String>,
        sources: HashMap<String, OrgKeySource>,
        providers: HashMap<String, String>,
    ) -> Self {
        let orgs = sources.keys().map(|id| (id.clone(), OnceLock::new())).collect();
        Self { user, wrapped_private, private: OnceLock::new(), sources, providers, orgs }
    }

    /// The user key.
    pub fn user(&self) -> &UserKey {
        &self.user
    }

    /// Whether the user key opens the account's private key: the check that a session belongs to this account.
    /// An account without one passes.
    pub fn user_key_fits(&self) -> bool {
        self.wrapped_private.is_none() || self.private().is_some()
    }

    /// The key of an owner: an organisation's, or the user key when `organization` is `None`. `None` when the
    /// account has no such key.
    pub(crate) fn owner(&self, organization: Option<&str>) -> Option<&SymmetricCryptoKey> {
        let Some(id) = organization else { return Some(self.user.sdk()) };
        self.orgs.get(id)?.get_or_init(|| self.unwrap_org(id)).as_ref()
    }

    fn unwrap_org(&self, id: &str) -> Option<SymmetricCryptoKey> {
        match self.sources.get(id)? {
            OrgKeySource::Organization { key } => self.unwrap_rsa(key),
            OrgKeySource::Provider { key, provider_id } => {
                let provider = self.unwrap_rsa(self.providers.get(provider_id)?)?;
                unwrap_item_key(&provider, key)
            }
        }
    }

    #[expect(deprecated, reason = "the replacement needs the library's key store, and adds no check")]
    fn unwrap_rsa(&self, wrapped: &str) -> Option<SymmetricCryptoKey> {
        let private = self.private()?;
        wrapped.parse::<UnsignedSharedKey>().ok()?.decapsulate_key_unsigned(private).ok()
    }

    fn private(&self) -> Option<&PrivateKey> {
        self.private.get_or_init(|| self.unwrap_private()).as_ref()
    }

    fn unwrap_private(&self) -> Option<PrivateKey> {
        let der = decrypt_bytes_with(self.user.sdk(), self.wrapped_private.as_ref()?)?;
        PrivateKey::from_der(&Pkcs8PrivateKeyBytes::from(der)).ok()
    }
}

/// Unwraps an item's (or a provider organisation's) own key. `None` when it does not open.
pub(crate) fn unwrap_item_key(
    owner: &SymmetricCryptoKey,
    wrapped: EncText<'_>,
) -> Option<SymmetricCryptoKey> {
    let bytes = decrypt_bytes_with(owner, wrapped)?;
    // Under a COSE key, a COSE key is wrapped as it is; elsewhere it is padded to more than 64 bytes.
    let cose = matches!(bytes.first(), Some(0xA0..=0xBF)) && wrapped.starts_with("7.") && bytes.len() != 64;
    if cose && let Ok(key) = EncodedSymmetricKey::CoseKey(CoseKeyBytes::from(bytes.as_slice())).try_into() {
        return Some(key);
    }
    SymmetricCryptoKey::try_from(&BitwardenLegacyKeyBytes::from(bytes)).ok()
}

/// Decrypts a text; `None` for a bad MAC, a foreign key, text that is not UTF-8 or an unauthenticated type.
pub(crate) fn decrypt_with(key: &SymmetricCryptoKey, text: EncText<'_>) -> Option<String> {
    let bytes = decrypt_bytes_with(key, text)?;
    String::from_utf8(bytes).ok()
}

fn decrypt_bytes_with(key: &SymmetricCryptoKey, text: EncText<'_>) -> Option<Vec<u8>> {
    let sealed = usual(text).or_else(|| EncString::parse_strict(text).ok())?;
    // Type 0 has no MAC: whoever can write to the server's database could bend it bit by bit.
    if matches!(sealed, EncString::Aes256Cbc_B64 { .. }) {
        return None;
    }
    KeyDecryptable::<SymmetricCryptoKey, Vec<u8>>::decrypt_with_key(&sealed, key).ok()
}

/// The usual type of encrypted text. The library reads it too, with ten allocations that are each zeroed; a search
/// reads thousands. Whatever is unusual about a text is left to the library.
fn usual(text: EncText<'_>) -> Option<EncString> {
    let mut parts = text.strip_prefix("2.")?.split('|');
    let (iv, data, mac) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let data = STANDARD.decode(data).ok()?;
    Some(EncString::Aes256Cbc_HmacSha256_B64 { iv: fixed(iv)?, mac: fixed(mac)?, data })
}

fn fixed<const N: usize>(text: &str) -> Option<[u8; N]> {
    // The longest, a MAC, and what the decoder wants to have spare.
    let mut bytes = [0; 36];
    let length = STANDARD.decode_slice(text, &mut bytes).ok()?;
    bytes.get(..length)?.try_into().ok()
}

/// Makes an RSA key pair and wraps its private half under the user key; returns `(wrapped PKCS #8, public
/// SPKI DER)`. For registration in tests.
///
/// # Errors
/// [`crate::Error::Decrypt`] when the cryptographic library refuses.
pub fn make_key_pair(user: &UserKey) -> Result<(String, Vec<u8>)> {
    let private = PrivateKey::make(bitwarden_crypto::PublicKeyEncryptionAlgorithm::RsaOaepSha1);
    let wrapped = user.encrypt_bytes(private.to_der()?.as_ref())?;
    Ok((wrapped, private.to_public_key().to_der()?.as_ref().to_vec()))
}

/// Wraps a key for the holder of an RSA key (type 4), as sharing an organisation does. For tests.
///
/// # Errors
/// [`crate::Error::Decrypt`] when the public key (SPKI DER) is none.
pub fn share_key(key: &UserKey, public_der: &[u8]) -> Result<String> {
    let public = bitwarden_crypto::PublicKey::from_der(&bitwarden_crypto::SpkiPublicKeyBytes::from(
        public_der.to_vec(),
    ))?;
    #[expect(deprecated, reason = "the replacement needs the library's key store, and adds no check")]
    let shared = UnsignedSharedKey::encapsulate_key_unsigned(key.sdk(), &public)?;
    Ok(shared.to_string())
}
