//! What can go wrong, in variants a caller can act on.

use std::path::PathBuf;

/// Every way an operation of this crate can fail.
///
/// The `Display` text is a whole sentence for a person; where the official command line has a text for the
/// situation, it is that text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No account is logged in in this data folder.
    #[error("You are not logged in.")]
    NotLoggedIn,
    /// Somebody is logged in already; carries the e-mail address.
    #[error("You are already logged in as {0}.")]
    AlreadyLoggedIn(String),
    /// The vault is locked: no session key, or one that opens nothing.
    #[error("Vault is locked.")]
    Locked,
    /// The vault cannot be locked, only left; the account has been logged out.
    #[error(
        "You cannot lock your vault because you are using Key Connector. To protect your vault, you have been logged out."
    )]
    NoLock,
    /// The session key opens a user key that is not this account's.
    #[error("The stored key does not belong to this account.")]
    ForeignKey,
    /// The master password does not open the user key.
    #[error("Invalid master password.")]
    WrongPassword,
    /// The account's key derivation is weaker than any server should ask for.
    #[error(
        "KDF settings are below the minimum ({0}). Possible pre-login downgrade attack detected; the password was not used."
    )]
    KdfTooWeak(String),
    /// The account's key derivation would take more memory or time than any account may ask for.
    #[error(
        "KDF settings are above what is allowed ({0}). The server may be hostile; the password was not used."
    )]
    KdfTooStrong(String),
    /// The server names a key derivation this client does not know.
    #[error("The server asks for an unknown key derivation ({0}). Update this program.")]
    KdfUnknown(u64),
    /// The account logs in in a way that has no master password here.
    #[error("{0}")]
    Unsupported(&'static str),
    /// An encrypted value could not be decrypted with the key at hand.
    #[error(
        "A stored key could not be decrypted. Run `bw sync`; if that does not help, log out and in again."
    )]
    Decrypt,
    /// A URL that does not use TLS.
    #[error("Insecure URL not allowed. All URLs must use HTTPS.")]
    InsecureUrl,
    /// A URL that does not parse.
    #[error("Invalid server URL: {0}")]
    InvalidUrl(String),
    /// The server's URLs cannot change while an account is active.
    #[error("Logout required before server config update.")]
    LogoutRequired,
    /// No answer from the server.
    #[error("Cannot connect to server. Check your internet connection. ({host}: {reason})")]
    Network {
        /// Host and port that were tried.
        host: String,
        /// What the network said, in short.
        reason: String,
    },
    /// The server answered something that is not what the interface promises.
    #[error("The server at {host} sent an answer that is not understood ({what}). Is it a Bitwarden server?")]
    BadAnswer {
        /// Host and port.
        host: String,
        /// What was wrong with the answer.
        what: String,
    },
    /// The server refused; the text is the server's own.
    #[error("{message}")]
    Api {
        /// HTTP status.
        status: u16,
        /// What the server said.
        message: String,
    },
    /// Too many attempts.
    #[error("Rate limit exceeded. Try again later.")]
    RateLimited,
    /// The server failed.
    #[error("Server error. Please try again later.")]
    Server {
        /// HTTP status, 500 and above.
        status: u16,
    },
    /// The server does not take the token.
    #[error("Session expired. Please run `bw login` again.")]
    Unauthorized,
    /// The server refuses this account the call.
    #[error("Session expired. Please run `bw login` again.")]
    Forbidden,
    /// The session at the server has ended.
    #[error("Session expired. Please run `bw login` again.")]
    SessionExpired,
    /// A proxy or a certificate file cannot be used.
    #[error("{0}")]
    Configuration(String),
    /// The folder's lock could not be had in time.
    #[error("The data file is locked by another process ({}). If none runs, remove that folder.", .0.display())]
    StateLocked(PathBuf),
    /// The data file was written by a program older than this one can read.
    #[error(
        "The data file has the layout of an older program (stateVersion {0}). Log out with that program first."
    )]
    StateTooOld(u64),
    /// Reading or writing the data folder failed.
    #[error("{}: {source}", .path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A value in the data file has another shape than it should.
    #[error("The data file holds something unexpected at {0}. Log out and in again.")]
    BadState(String),
    /// No item fits.
    #[error("Not found.")]
    NotFound,
    /// An organisation does not let items of this type be seen.
    #[error("Access to this item type is restricted by organizational policy.")]
    RestrictedType,
    /// Several items fit; their ids in list order.
    #[error(
        "More than one result was found. Try getting a specific object by `id` instead. The following objects were found:\n{}",
        .0.join("\n")
    )]
    Ambiguous(Vec<String>),
    /// The TOTP setting of an item gives no code.
    #[error("Couldn't generate TOTP code.")]
    BadTotp,
    /// TOTP codes need a premium account.
    #[error("Premium status is required to use this feature.")]
    PremiumRequired,
}

/// Short for a result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl From<bitwarden_crypto::CryptoError> for Error {
    fn from(_: bitwarden_crypto::CryptoError) -> Self {
        // The crate's own text says nothing a person could act on.
        Self::Decrypt
    }
}

impl Error {
    /// Wraps a file-system error with the path it belongs to.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
