//! A secret among the arguments, most likely from the environment.

use std::convert::Infallible;
use std::str::FromStr;
use std::sync::Arc;

use durward_protocol::SecretString;

/// Wiped when dropped; `Debug` says `[redacted]`, so that arguments can be printed whole.
#[derive(Clone, Debug)]
pub(crate) struct SecretArg(Arc<SecretString>);

impl SecretArg {
    pub(crate) fn expose_secret(&self) -> &str {
        self.0.expose_secret()
    }

    /// The secret, shared.
    pub(crate) fn shared(&self) -> Arc<SecretString> {
        Arc::clone(&self.0)
    }
}

impl FromStr for SecretArg {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(Arc::new(SecretString::new(text.to_owned()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        let Ok(arg) = "postgres://ada:hunter2@db/x".parse::<SecretArg>();
        assert!(!format!("{arg:?}").contains("hunter2"));
        assert_eq!(arg.expose_secret(), "postgres://ada:hunter2@db/x");
    }
}
