//! `list` and `get`.

use durward_bitwarden::items::{Item, ItemFilter, ItemText, Wanted};
use durward_bitwarden::state::Document;
use durward_bitwarden::{Error, Result, Vault};

use super::session::NO_PASSWORD;
use crate::context::Context;
use crate::output::{Kind, Response};
use crate::password::{self, Source};
use crate::spinner;

const LISTS: [&str; 6] =
    ["items", "folders", "collections", "org-collections", "org-members", "organizations"];
/// What the official command line has beyond this one.
const LISTS_ELSEWHERE: [&str; 2] = ["org-collections", "org-members"];
const OBJECTS_ELSEWHERE: [&str; 6] =
    ["exposed", "attachment", "org-collection", "template", "fingerprint", "send"];
const OBJECTS: [&str; 15] = [
    "item",
    "username",
    "password",
    "uri",
    "totp",
    "notes",
    "exposed",
    "attachment",
    "folder",
    "collection",
    "org-collection",
    "organization",
    "template",
    "fingerprint",
    "send",
];

/// There is no master password to ask for.
const LOCKED_BY_CONNECTOR: &str = "Your vault is locked. You must unlock your vault using your session key.\nIf you do not have your session key, you can get a new one by logging out and logging in again.";

/// Several objects.
pub(super) fn list(context: &Context) -> Result<Response> {
    let object = context.arg(0).unwrap_or_default();
    if let Some(unknown) = unknown(object, &LISTS) {
        return Ok(unknown);
    }
    if LISTS_ELSEWHERE.contains(&object) {
        return Ok(not_here(&format!("list {object}")));
    }
    let option = |name: &str| context.invocation.value(name).filter(|v| !v.is_empty()).map(str::to_owned);
    let filter = ItemFilter {
        search: option("search"),
        url: option("url"),
        folder: option("folderid"),
        collection: option("collectionid"),
        organization: option("organizationid"),
        trash: context.invocation.has("trash"),
        archived: context.invocation.has("archived"),
    };
    let search = filter.search.as_deref();
    with_vault(context, |vault| {
        Ok(match object {
            "items" => Response::json(&vault.items(&filter), Kind::List),
            "folders" => Response::json(&vault.folders(search), Kind::List),
            "collections" => {
                Response::json(&vault.collections(filter.organization.as_deref(), search), Kind::List)
            }
            "organizations" => Response::json(&vault.organizations(search), Kind::List),
            other => not_here(&format!("list {other}")),
        })
    })
}

/// One object, or one value of one.
pub(super) fn get(context: &Context) -> Result<Response> {
    let object = context.arg(0).unwrap_or_default();
    if let Some(unknown) = unknown(object, &OBJECTS) {
        return Ok(unknown);
    }
    if OBJECTS_ELSEWHERE.contains(&object) {
        return Ok(not_here(&format!("get {object}")));
    }
    let term = context.arg(1).unwrap_or_default();
    let value = |text: Option<&ItemText>| text.map(|t| Response::string(t.expose())).ok_or(Error::NotFound);
    with_vault(context, |vault| match object {
        "item" => Ok(Response::json(&vault.item(term, Wanted::Item)?, Kind::Object)),
        "username" => value(login(&vault.item(term, Wanted::Username)?, |l| l.username.as_ref())),
        "password" => {
            let item = vault.item(term, Wanted::Password)?;
            if hidden(&item) {
                return Ok(Response::failure("No password available for this login."));
            }
            value(login(&item, |l| l.password.as_ref()))
        }
        "uri" => value(login(&vault.item(term, Wanted::Uri)?, |l| l.uris.first().map(|u| &u.uri))),
        "notes" => value(vault.item(term, Wanted::Notes)?.notes.as_ref()),
        "totp" => {
            let item = vault.item(term, Wanted::Totp)?;
            if hidden(&item) {
                return Ok(Response::failure("No TOTP available for this login."));
            }
            let at = u64::try_from(context.now().unix_timestamp()).unwrap_or(0);
            value(Some(&vault.totp(&item, at)?))
        }
        "folder" => Ok(Response::json(&vault.folder(term)?, Kind::Object)),
        "collection" => Ok(Response::json(&vault.collection(term)?, Kind::Object)),
        "organization" => Ok(Response::json(&vault.organization(term)?, Kind::Object)),
        other => Ok(not_here(&format!("get {other}"))),
    })
}

/// Whether the account may use, but not see, the item's secrets.
fn hidden(item: &Item) -> bool {
    item.login.as_ref().is_some_and(|l| !l.visible)
}

/// A value of a login.
fn login<'i>(
    item: &'i Item,
    of: impl Fn(&'i durward_bitwarden::items::Login) -> Option<&'i ItemText>,
) -> Option<&'i ItemText> {
    item.login.as_ref().and_then(of)
}

/// Runs over the open vault: with the session key, else with the master password where that may be asked for.
fn with_vault(context: &Context, work: impl FnOnce(&Vault<'_>) -> Result<Response>) -> Result<Response> {
    let folder = context.folder()?;
    let document = folder.read()?;
    let account = document.account()?.ok_or(Error::NotLoggedIn)?;
    if let Some(session) = context.session() {
        match Vault::with_session(&document, &session) {
            Err(Error::Locked) => {}
            Err(Error::ForeignKey) => context.discard(&folder, &session)?,
            vault => return work(&vault?),
        }
    }
    if context.no_interaction {
        return Err(Error::Locked);
    }
    if account.uses_key_connector()? {
        return Ok(Response::failure(LOCKED_BY_CONNECTOR));
    }
    let password = match password::find(context, None)? {
        Source::Given(password) => password,
        Source::Missing(reason) => {
            return Ok(Response::failure(reason.unwrap_or_else(|| NO_PASSWORD.to_owned())));
        }
    };
    let user = spinner::busy(context, "Deriving the key", || account.open_with_password(&password))?;
    drop(password);
    work(&Vault::with_user_key(open_account(&document)?, user)?)
}

fn open_account(document: &Document) -> Result<durward_bitwarden::state::Account<'_>> {
    document.account()?.ok_or(Error::NotLoggedIn)
}

fn unknown(object: &str, known: &[&str]) -> Option<Response> {
    (!known.contains(&object)).then(|| {
        Response::failure(format!("Unknown object \"{object}\". Allowed objects are: {}.", known.join(", ")))
    })
}

fn not_here(what: &str) -> Response {
    Response::failure(format!(
        "`bw {what}` is not part of this program. Use Bitwarden's own command line for it (npm install -g \
         @bitwarden/cli); it works on the same data folder and session."
    ))
}
