//! Writing to the audit log from a process that does not own it, or that owns it for this moment.

use durward_broker::approval::{AuditEntry, Write};
use durward_server::Home;
use durward_server::control::api::Done;
use durward_store::{Durability, Store};

use crate::control::{Control, Failure, SecretBody};
use crate::exit::{CliError, Exit};
use crate::paths::Paths;

/// Returns when the entry is on disk: written by the approver that runs here, else by this process, which then
/// holds the folder's lock.
pub(super) async fn record(paths: &Paths, entry: &AuditEntry) -> Result<(), CliError> {
    let control = Control::at(paths.control_socket());
    match control.post::<Done>("/audit", SecretBody::new(entry)).await {
        Ok(_) => Ok(()),
        Err(Failure::NotRunning) => directly(paths, entry).await.map_err(|error| failed(&error)),
        Err(failure) => Err(failed(&failure)),
    }
}

async fn directly(paths: &Paths, entry: &AuditEntry) -> anyhow::Result<()> {
    let home = Home::open(paths.data())?;
    let _lock = home.lock()?;
    let store = Store::open_sqlite(&home.database(), Durability::Full).await?;
    let written = store.submit(vec![Write::Audit(entry.clone())]).await;
    store.close().await;
    written?;
    Ok(())
}

fn failed(error: &impl std::fmt::Display) -> CliError {
    let text = format!("the audit log cannot be written, so nothing is released: {error}");
    CliError::new(Exit::Other, "audit_failed", text)
}
