//! The secrets of the accounts, sealed in the store under the rest key.

use durward_broker::accounts::OpaqueSetup;
use durward_protocol::{RestKey, SecretBytes};
use durward_store::Store;
use rand_core::Rng as _;
use zeroize::Zeroizing;

use crate::Error;
use crate::keys::os_rng;

const KIND: &str = "accounts";

/// The HMAC key of the counters' names.
pub(super) async fn subjects(store: &Store, rest: &RestKey) -> Result<SecretBytes<32>, Error> {
    let mut fresh = Zeroizing::new([0; 32]);
    os_rng().fill_bytes(fresh.as_mut());
    let kept = keep(store, rest, "subjects", fresh.as_ref()).await?;
    let bytes: [u8; 32] = kept.as_slice().try_into().map_err(|_| Error::ForeignRestKey)?;
    Ok(SecretBytes::new(bytes))
}

/// The OPAQUE setup.
pub(super) async fn setup(store: &Store, rest: &RestKey) -> Result<OpaqueSetup, Error> {
    let fresh = OpaqueSetup::generate(&mut os_rng()).expose_bytes();
    let kept = keep(store, rest, "opaque_setup", &fresh).await?;
    OpaqueSetup::from_stored(&kept).map_err(|_| Error::ForeignRestKey)
}

/// The stored secret, or `fresh` where there is none yet. One that does not open was sealed under another rest key:
/// on a database of our own that key is lost, and a new secret begins; on a shared one another server uses it.
async fn keep(store: &Store, rest: &RestKey, name: &str, fresh: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    let seal = || {
        let sealed = rest.seal(KIND, name.as_bytes(), fresh, &mut os_rng());
        sealed.map_err(|_| Error::BadKeyFile("rest key".into()))
    };
    let kept = match store.auth_secret(name).await? {
        Some(kept) => kept,
        None => store.keep_auth_secret(name, seal()?).await?,
    };
    if let Ok(opened) = rest.open(KIND, name.as_bytes(), &kept) {
        return Ok(opened);
    }
    if store.is_shared() {
        return Err(Error::ForeignRestKey);
    }
    tracing::warn!(
        name,
        "the rest key is not the one of this database: OPAQUE enrolments end, plain logins go on"
    );
    let kept = store.replace_auth_secret(name, seal()?).await?;
    rest.open(KIND, name.as_bytes(), &kept).map_err(|_| Error::ForeignRestKey)
}
