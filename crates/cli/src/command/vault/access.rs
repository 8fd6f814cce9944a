//! Which vault, its password, and what goes wrong in the words of the exit codes.

use clap::Args;
use durward_protocol::SecretString;
use durward_vault::{BuiltinVault, Error, Items, OpenBuiltin, Registry};
use time::OffsetDateTime;

use crate::exit::{CliError, Exit};
use crate::paths::Paths;
use crate::prompt::{self, PasswordArgs};
use crate::terminal;

/// Which vault, and how the command answers.
#[derive(Clone, Debug, Args)]
pub(super) struct Common {
    /// The vault [default: the one in use].
    #[arg(long, value_name = "NAME")]
    pub(super) vault: Option<String>,
    /// Print one JSON object on stdout.
    #[arg(long)]
    pub(super) json: bool,
}

impl Common {
    /// The vault, when it is a built-in one.
    pub(super) fn builtin(&self) -> Result<BuiltinVault, CliError> {
        let paths = Paths::discover()?;
        let registry = Registry::load(&paths.vaults_file()).map_err(explain)?;
        let name = self.vault.as_deref().unwrap_or(registry.in_use());
        registry.builtin(name, paths.data()).map_err(explain)
    }

    /// The same, when its file is there: said before anybody types a password.
    pub(super) fn existing(&self) -> Result<BuiltinVault, CliError> {
        let vault = self.builtin()?;
        if !vault.exists() {
            return Err(explain(Error::NotFound { path: vault.path().to_owned() }));
        }
        Ok(vault)
    }
}

/// Opens the vault. A person may try three times, a script once.
pub(super) fn open(
    vault: &BuiltinVault,
    passwords: &PasswordArgs,
) -> Result<(OpenBuiltin, SecretString), CliError> {
    let given = passwords.given()?;
    attempts(vault, given, |password| {
        let opened = prompt::spinning("opening the vault", || vault.open(password))?;
        Ok((opened, password.duplicate()))
    })
}

/// Changes the vault. `given` is the script's password; a person may try three times.
pub(super) fn edit<T>(
    vault: &BuiltinVault,
    given: Option<SecretString>,
    change: impl FnOnce(&mut Items) -> Result<T, Error>,
) -> Result<T, CliError> {
    // Taken only once the password was right.
    let mut change = Some(change);
    attempts(vault, given, |password| {
        prompt::spinning("writing the vault", || {
            vault.edit(password, |items| match change.take() {
                Some(change) => change(items),
                None => Err(Error::WrongPassword),
            })
        })
    })
}

/// Tries passwords until one is right.
pub(super) fn attempts<T>(
    vault: &BuiltinVault,
    given: Option<SecretString>,
    mut attempt: impl FnMut(&SecretString) -> Result<T, Error>,
) -> Result<T, CliError> {
    if let Some(password) = given {
        return attempt(&password).map_err(explain);
    }
    let question = format!("Password of the vault {}: ", vault.path().display());
    for _ in 1..prompt::ATTEMPTS {
        match attempt(&prompt::typed_password(&question)?) {
            Err(Error::WrongPassword) => terminal::note("Wrong password."),
            other => return other.map_err(explain),
        }
    }
    attempt(&prompt::typed_password(&question)?).map_err(explain)
}

/// For a name that several items have: which of them there are, by what tells them apart.
pub(super) fn which(items: &Items, error: Error) -> CliError {
    let Error::Ambiguous { ids, .. } = &error else { return explain(error) };
    let line = |id: &String| {
        let item = items.get(id).ok()?;
        let user = item.username.as_ref().map_or("(no login name)", SecretString::expose_secret);
        Some(format!("  {id}  {}  {}", terminal::harmless(&item.name), terminal::harmless(user)))
    };
    let lines: Vec<String> = ids.iter().filter_map(line).collect();
    explain(error).hint(format!("they are:\n{}", lines.join("\n")))
}

/// Fewer characters than this are a matter of seconds to whoever gets the file.
const SHORT: usize = 8;

/// A new password of the vault. A short one is asked about on a terminal, and refused from a script that does not say `--weak`.
pub(super) fn chosen(
    question: &str,
    given: Option<SecretString>,
    twins: &str,
    weak: bool,
) -> Result<SecretString, CliError> {
    let typed = given.is_none();
    let password = prompt::new_password(question, given, twins)?;
    if weak || password.expose_secret().chars().count() >= SHORT {
        return Ok(password);
    }
    let text =
        format!("the password has less than {SHORT} characters: whoever gets the file can try them all");
    if !typed {
        return Err(
            CliError::new(Exit::Usage, "weak_password", text).hint("choose a longer one; --weak takes it")
        );
    }
    terminal::note(&format!("Careful: {text}."));
    if prompt::confirm("Take it all the same?", false)? {
        return Ok(password);
    }
    prompt::new_password(question, None, twins)
}

/// `1 item`, `2 items`.
pub(super) fn count_of(items: usize) -> String {
    if items == 1 { "1 item".to_owned() } else { format!("{items} items") }
}

/// The clock.
pub(super) fn now() -> OffsetDateTime {
    durward_server::Clock::system().now().wall
}

/// A vault's error as exit code and stable code.
#[expect(clippy::needless_pass_by_value, reason = "handed to map_err")]
pub(crate) fn explain(error: Error) -> CliError {
    let (exit, code) = match &error {
        Error::NotFound { .. } => (Exit::NotFound, "vault_not_found"),
        Error::AlreadyExists { .. } => (Exit::Usage, "already_exists"),
        Error::WrongPassword => (Exit::VaultLocked, "wrong_password"),
        Error::EmptyPassword => (Exit::Usage, "empty_password"),
        Error::Damaged { .. } => (Exit::Other, "vault_damaged"),
        Error::ExcessiveWork { .. } | Error::TooNew { .. } => (Exit::Other, "vault_unreadable"),
        Error::TooLarge { .. } => (Exit::Other, "vault_too_large"),
        Error::Busy { .. } => (Exit::Other, "vault_busy"),
        Error::ItemNotFound { .. } => (Exit::NotFound, "item_not_found"),
        Error::Ambiguous { .. } => (Exit::Usage, "ambiguous_item"),
        Error::InvalidItem { .. } => (Exit::Usage, "invalid_item"),
        Error::InvalidTotp { .. } => (Exit::Usage, "invalid_totp"),
        Error::NoSpace { .. } => (Exit::Other, "no_space"),
        Error::Timeout { .. } => (Exit::TimedOut, "command_timeout"),
        Error::Command { .. } => (Exit::Other, "command_failed"),
        Error::InvalidCommand { .. } => (Exit::Usage, "invalid_command"),
        Error::Rules { .. } => (Exit::Usage, "invalid_rules"),
        Error::Config { .. } => (Exit::Other, "invalid_config"),
        Error::UnknownVault { .. } => (Exit::NotFound, "unknown_vault"),
        Error::VaultNameTaken { .. } => (Exit::Usage, "vault_name_taken"),
        Error::VaultInUse { .. } => (Exit::Usage, "vault_in_use"),
        Error::InvalidVaultName { .. } => (Exit::Usage, "invalid_vault_name"),
        Error::NotBuiltin { .. } => (Exit::Usage, "not_builtin"),
        Error::Import { .. } => (Exit::Other, "import_failed"),
        _ => (Exit::Other, "vault_error"),
    };
    CliError::new(exit, code, error.to_string())
}
