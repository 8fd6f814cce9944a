//! The vault's contents: encrypted as they lie on disk, decrypted as they are shown, and how they are found.

mod encrypted;
mod filter;
mod open;
mod order;
mod search;
mod uri;
mod view;

pub use filter::{ItemFilter, Wanted};
pub use uri::{UriMatch, base_domain, hostname};
pub use view::{Attachment, Collection, CustomField, Folder, Item, ItemText, Login, LoginUri, Organization};

pub(crate) use encrypted::{EncCollection, EncFolder, Members, Text};
pub(crate) use filter::{find_item, is_guid, list_for, list_items, search_names};
pub(crate) use order::sort_by_name;

#[cfg(test)]
mod tests;
