//! What every provider offers.

use durward_protocol::{Credential, Domain, Field, SecretString};
use serde::Serialize;
use time::OffsetDateTime;

use crate::Error;

/// A place where credentials live.
pub trait Vault: Send + Sync {
    /// What this vault is, without opening it.
    fn describe(&self) -> VaultInfo;

    /// Opens the vault; dropping what is returned locks it and wipes every item.
    ///
    /// A vault whose [`VaultInfo::needs_password`] is false ignores `password`.
    fn unlock(&self, password: &SecretString) -> Result<Box<dyn OpenVault>, Error>;
}

/// A vault that is open.
pub trait OpenVault: Send + Sync {
    /// False when the vault changed since it was opened: what this one finds may be out of date.
    fn is_current(&self) -> bool;

    /// The items for `domain`, best match first; empty when there is none.
    fn find(&self, domain: &Domain) -> Result<Vec<Candidate>, Error>;

    /// Of one item, those of `fields` that exist. [`Field::Totp`] yields the code of the moment `now`,
    /// never its seed. [`Field::Uri`] is the address that matches `domain`, else the item's first.
    ///
    /// [`Error::ItemNotFound`] when no item has the id `item_id`.
    fn read(
        &self,
        item_id: &str,
        fields: &[Field],
        domain: &Domain,
        now: OffsetDateTime,
    ) -> Result<Credential, Error>;
}

/// What a vault says of itself while it is locked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VaultInfo {
    /// `builtin` or `command`.
    pub provider: &'static str,
    /// The owner's name for it.
    pub name: String,
    /// Path of the file or of the program.
    pub location: String,
    /// Whether there is anything at that location.
    pub exists: bool,
    /// Whether [`Vault::unlock`] wants a password.
    pub needs_password: bool,
}

/// An item that may be the one that is asked for. Carries no secret but the login name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// The provider's id of the item, for [`OpenVault::read`].
    pub item_id: String,
    /// The item's name.
    pub name: String,
    /// The login name, so that the owner can tell two accounts apart.
    pub username: Option<String>,
    /// Why it is in the list.
    pub match_kind: MatchKind,
}

/// How an item's address relates to the domain that was asked for; the best comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MatchKind {
    /// The same host.
    ExactHost,
    /// The item is for a parent of the host: `example.com` for `login.example.com`.
    ParentDomain,
    /// Another host under the same registrable domain: `mail.example.com` for `login.example.com`.
    RegistrableDomain,
    /// The provider chose it and told no address.
    Provider,
}
