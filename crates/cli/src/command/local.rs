//! Local mode: one process, no network, the owner answers on this terminal.
//!
//! Question and answer go over `/dev/tty` and never over stdin or stdout, which belong to whoever started the
//! command: a script that feeds stdin cannot approve. The vault password is asked for every credential, there
//! are no grants, and the approval has no twin for scripts. What is released is written to the audit log
//! first; if that cannot be done, nothing is released.

mod record;
mod tty;

use durward_broker::approval::{Actor, AuditEntry, AuditEvent};
use durward_client::Approval;
use durward_protocol::{AgentId, AgentName, Credential, Field};
use durward_server::Clock;
use durward_vault::{Candidate, Error, OpenVault, Registry};

use super::agent::{Fetched, Question};
use super::vault::explain;
use crate::exit::{CliError, Exit};
use crate::paths::Paths;
use crate::prompt::{self, ATTEMPTS};
use crate::terminal::harmless;
use record::record;
use tty::Tty;

/// Asks one question after the other. `agent` is the profile's name, for the person and the log; `name` is what it wants
/// to be called.
pub(crate) async fn request(
    agent: &str,
    name: Option<&str>,
    questions: Vec<Question>,
) -> Result<Vec<Fetched>, CliError> {
    let paths = Paths::discover()?;
    let agent = AgentId::parse(agent).map_err(|error| {
        CliError::new(Exit::Usage, "invalid_agent", format!("{error}: choose another --agent NAME"))
    })?;
    let name = name.map(AgentName::parse).transpose().map_err(|error| {
        CliError::new(Exit::Usage, "invalid_agent_name", format!("{error}: choose another --name"))
    })?;
    let mut tty = Tty::open()?;
    let mut fetched = Vec::with_capacity(questions.len());
    for question in questions {
        let asking =
            Asking { paths: &paths, agent: agent.as_str(), name: name.as_ref(), question: &question };
        let credential = asking.ask(&mut tty).await?;
        let approval = Approval { credential, reason: None, receipt: None };
        fetched.push(Fetched { domain: question.domain, approval });
    }
    Ok(fetched)
}

/// One question.
struct Asking<'a> {
    paths: &'a Paths,
    agent: &'a str,
    name: Option<&'a AgentName>,
    question: &'a Question,
}

impl Asking<'_> {
    async fn ask(&self, tty: &mut Tty) -> Result<Credential, CliError> {
        let answered = self.decide(tty).await;
        if let Err(CliError { exit: Exit::Cancelled | Exit::Interrupted, .. }) = &answered {
            self.decline("cancelled").await;
        }
        answered
    }

    async fn decide(&self, tty: &mut Tty) -> Result<Credential, CliError> {
        self.show(tty);
        let open = self.unlock(tty).await?;
        let mut candidates = open.find(&self.question.domain).map_err(explain)?;
        if let Some(wanted) = &self.question.item {
            candidates.retain(|candidate| candidate.item_id == *wanted);
        }
        let Some(item) = self.choose(tty, &candidates)? else {
            if candidates.is_empty() {
                return Err(self.nothing().await);
            }
            return Err(self.denied().await);
        };
        let now = Clock::system().now().wall;
        let fields = self.fields();
        let credential = open.read(&item.item_id, &fields, &self.question.domain, now).map_err(explain)?;
        drop(open);
        if credential.fields().is_empty() {
            return Err(self.nothing_of(item, &fields).await);
        }
        if !self.approve(tty, item, &fields, &credential)? {
            return Err(self.denied().await);
        }
        let entry = AuditEntry {
            fields: credential.fields(),
            ..self.entry(AuditEvent::LocalReleased, &format!("item {}", item.item_id))
        };
        // Not written down, not released: the credential is dropped here.
        record(self.paths, &entry.outcome("approved")).await?;
        Ok(credential)
    }

    fn show(&self, tty: &mut Tty) {
        tty.say("");
        tty.say("A program on this terminal asks for a credential.");
        tty.say(&format!("  agent   {}", self.called()));
        tty.say(&format!("  domain  {}", self.question.domain));
        tty.say(&format!("  reason  {}", harmless(&self.question.reason)));
        tty.say(&format!("  fields  {}", list(&self.fields())));
    }

    /// Opens the vault for this one credential. An empty password is a no.
    async fn unlock(&self, tty: &mut Tty) -> Result<Box<dyn OpenVault>, CliError> {
        let registry = Registry::load(&self.paths.vaults_file()).map_err(explain)?;
        let vault = registry.vault(registry.in_use(), self.paths.data()).map_err(explain)?;
        let info = vault.describe();
        if !info.exists {
            return Err(explain(Error::NotFound { path: info.location.into() }));
        }
        if !info.needs_password {
            return vault.unlock(&String::new().into()).map_err(explain);
        }
        for _ in 0..ATTEMPTS {
            let password = prompt::hidden("Vault password (Enter denies): ")?;
            if password.is_empty() {
                return Err(self.denied().await);
            }
            match prompt::spinning("opening the vault", || vault.unlock(&password)) {
                Ok(open) => return Ok(open),
                Err(Error::WrongPassword) => {
                    let entry = self.entry(AuditEvent::VaultPasswordWrong, "local mode");
                    record(self.paths, &entry).await?;
                    tty.say("Wrong password.");
                }
                Err(other) => return Err(explain(other)),
            }
        }
        Err(explain(Error::WrongPassword))
    }

    /// The item; `None` when there is none or the owner wants none of them.
    fn choose<'c>(
        &self,
        tty: &mut Tty,
        candidates: &'c [Candidate],
    ) -> Result<Option<&'c Candidate>, CliError> {
        if let [] | [_] = candidates {
            return Ok(candidates.first());
        }
        tty.say(&format!("{} items are for {}:", candidates.len(), self.question.domain));
        for (index, candidate) in candidates.iter().enumerate() {
            tty.say(&format!("  {}  {}", index + 1, describe(candidate)));
        }
        loop {
            let answer = tty.line(&format!("Which one? [1-{}, N denies] ", candidates.len()))?;
            let number = answer.trim().parse::<usize>().ok().and_then(|number| number.checked_sub(1));
            if let Some(chosen) = number.and_then(|index| candidates.get(index)) {
                return Ok(Some(chosen));
            }
            if matches!(answer.trim(), "" | "n" | "N" | "no") {
                return Ok(None);
            }
        }
    }

    fn approve(
        &self,
        tty: &mut Tty,
        item: &Candidate,
        asked: &[Field],
        credential: &Credential,
    ) -> Result<bool, CliError> {
        let missing: Vec<Field> =
            asked.iter().filter(|field| credential.get(field).is_none()).cloned().collect();
        tty.say(&format!("  item    {}", describe(item)));
        if !missing.is_empty() {
            tty.say(&format!("  it has no {}", list(&missing)));
        }
        let question = format!("Release {} to {}? [y/N] ", list(&credential.fields()), self.called());
        let answer = tty.line(&question)?;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
    }

    /// The name it gives itself, and its profile.
    fn called(&self) -> String {
        match self.name {
            Some(name) => format!("{} ({})", harmless(name.as_str()), harmless(self.agent)),
            None => harmless(self.agent),
        }
    }

    async fn nothing(&self) -> CliError {
        self.decline("not_found").await;
        let item = if self.question.item.is_some() { "no such item" } else { "nothing" };
        let text = format!("the vault has {item} for {}", self.question.domain);
        CliError::new(Exit::NotFound, "not_found", text).hint("add it with `durward vault add`")
    }

    /// There is an item, and nothing in it to ask the owner about.
    async fn nothing_of(&self, item: &Candidate, asked: &[Field]) -> CliError {
        self.decline("not_found").await;
        let text = format!("{} has no {}", describe(item), list(asked));
        CliError::new(Exit::NotFound, "field_not_found", text).hint("add it with `durward vault edit`")
    }

    /// A no is a no, whether or not it can be written down.
    async fn denied(&self) -> CliError {
        self.decline("denied").await;
        CliError::new(Exit::Denied, "denied", "the owner denied the request")
    }

    async fn decline(&self, outcome: &str) {
        let entry = self.entry(AuditEvent::LocalDenied, "nothing left the vault").outcome(outcome);
        if let Err(error) = record(self.paths, &entry).await {
            crate::terminal::note(&error.message);
        }
    }

    fn entry(&self, event: AuditEvent, detail: &str) -> AuditEntry {
        let mut entry = AuditEntry::new(Clock::system().now().wall, event, Actor::Owner)
            .detail(format!("profile {}, {detail}", self.agent));
        entry.domain = Some(self.question.domain.clone());
        entry.fields = self.fields();
        entry
    }

    fn fields(&self) -> Vec<Field> {
        if self.question.fields.is_empty() { Field::default_set() } else { self.question.fields.clone() }
    }
}

fn list(fields: &[Field]) -> String {
    fields.iter().map(|field| harmless(&field.to_string())).collect::<Vec<_>>().join(", ")
}

fn describe(item: &Candidate) -> String {
    match &item.username {
        Some(username) => format!("{} ({})", harmless(&item.name), harmless(username)),
        None => harmless(&item.name),
    }
}
