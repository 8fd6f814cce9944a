//! Accounts of the second kind: a COSE key at the root, a signing key, a signed public key and a signed statement of
//! which formats the account has left behind. The official server calls them V2.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bitwarden_crypto::{
    BitwardenLegacyKeyBytes, CoseSerializable as _, CoseSign1Bytes, EncString, KeyEncryptable as _,
    Pkcs8PrivateKeyBytes, PublicKey, SignatureAlgorithm, SignedPublicKeyMessage, SigningKey,
    SigningNamespace, SpkiPublicKeyBytes, SymmetricCryptoKey, SymmetricKeyAlgorithm,
};
use durward_bitwarden::crypto::UserKey;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

/// The version from which an address's checksum is enforced; what the official clients write today.
const SECURITY_VERSION: u64 = 2;

/// What such an account has beside the usual.
#[derive(Clone, Debug)]
pub(super) struct Signing {
    wrapped_signing_key: String,
    verifying_key: String,
    signed_public_key: String,
    security_state: String,
}

/// The statement that the signing key signs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SecurityState {
    entity_id: EntityId,
    version: u64,
}

/// The account's id as sixteen bytes.
struct EntityId([u8; 16]);

impl Serialize for EntityId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

#[allow(clippy::expect_used, reason = "a test cannot go on without its account")]
impl Signing {
    /// Keys for an account's id, wrapped under its user key.
    pub(super) fn new(id: &str, user: &UserKey, public_der: &[u8]) -> Self {
        let signing = SigningKey::make(SignatureAlgorithm::Ed25519);
        let public = PublicKey::from_der(&SpkiPublicKeyBytes::from(public_der.to_vec())).expect("a key");
        let message = SignedPublicKeyMessage::from_public_key(&public).expect("a message");
        let signed = CoseSign1Bytes::from(message.sign(&signing).expect("signs"));
        let id = u128::from_str_radix(&id.replace('-', ""), 16).expect("a GUID").to_be_bytes();
        let state = SecurityState { entity_id: EntityId(id), version: SECURITY_VERSION };
        let state = signing.sign(&state, &SigningNamespace::SecurityState).expect("signs").to_cose();
        let wrapped: EncString = signing.to_cose().encrypt_with_key(&sdk(user)).expect("wraps");
        Self {
            wrapped_signing_key: wrapped.to_string(),
            verifying_key: STANDARD.encode(signing.to_verifying_key().to_cose().as_ref()),
            signed_public_key: STANDARD.encode(signed.as_ref()),
            security_state: STANDARD.encode(state.as_ref()),
        }
    }

    /// `accountKeys` of an answer gains its three other parts.
    pub(super) fn extend(&self, keys: &mut Value) {
        keys["signatureKeyPair"] = json!({
            "wrappedSigningKey": self.wrapped_signing_key, "verifyingKey": self.verifying_key,
            "object": "signatureKeyPair",
        });
        keys["publicKeyEncryptionKeyPair"]["signedPublicKey"] = json!(self.signed_public_key);
        keys["securityState"] = json!({
            "securityState": self.security_state, "securityVersion": SECURITY_VERSION, "object": "securityState",
        });
    }
}

/// A user key of the second kind.
#[allow(clippy::expect_used, reason = "the library reads what it has written")]
pub(super) fn user_key(algorithm: SymmetricKeyAlgorithm) -> UserKey {
    let key = SymmetricCryptoKey::make(algorithm).to_base64().to_string();
    UserKey::from_base64(&SecretString::from(key)).expect("a key")
}

/// An item's key under its owner's, marked as what it is: the official clients refuse it unmarked under a COSE key.
#[allow(clippy::expect_used, reason = "encryption of test data does not fail")]
pub(super) fn wrap_item_key(owner: &UserKey, item: &UserKey) -> String {
    let raw = STANDARD.decode(item.expose_base64().expose_secret()).expect("base64");
    let wrapped: EncString = BitwardenLegacyKeyBytes::from(raw).encrypt_with_key(&sdk(owner)).expect("wraps");
    wrapped.to_string()
}

/// A private key under the user key, marked as PKCS #8.
#[allow(clippy::expect_used, reason = "encryption of test data does not fail")]
pub(super) fn wrap_private_key(user: &UserKey, der: &[u8]) -> String {
    let wrapped: EncString =
        Pkcs8PrivateKeyBytes::from(der.to_vec()).encrypt_with_key(&sdk(user)).expect("wraps");
    wrapped.to_string()
}

#[allow(clippy::expect_used, reason = "the library reads what it has written")]
fn sdk(key: &UserKey) -> SymmetricCryptoKey {
    SymmetricCryptoKey::try_from(key.expose_base64().expose_secret().to_owned()).expect("a key")
}
