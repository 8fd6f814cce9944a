//! Why a server does not start or stops.

use std::net::SocketAddr;
use std::path::PathBuf;

/// What went wrong, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another process owns the folder.
    #[error("another durward ({}) runs on {}; talk to it, stop it with `durward down`, or set DURWARD_HOME to another folder", owner(*.pid), .folder.display())]
    InUse {
        /// Its process id, when the lock file tells.
        pid: Option<u32>,
        /// The folder.
        folder: PathBuf,
    },
    /// The data folder is another user's.
    #[error("{} belongs to another user ({uid}), who could put tokens and keys there; set DURWARD_HOME to a folder of your own", .folder.display())]
    FolderOfAnother {
        /// Which.
        folder: PathBuf,
        /// Whose.
        uid: u32,
    },
    /// Others may write to the data folder.
    #[error("others can write to {} (mode {mode:o}), and so put tokens and keys there; look what is in it, then close it: chmod go-w {}", .folder.display(), .folder.display())]
    FolderOpen {
        /// Which.
        folder: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A port is taken.
    #[error("{address} is taken by another program; choose another port with {flag}{}", air_play(.address))]
    PortTaken {
        /// The address.
        address: SocketAddr,
        /// The flag that moves it.
        flag: &'static str,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}; choose another with {flag}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The flag that moves it.
        flag: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// The control socket's path is too long for the system.
    #[error("the path of the control socket is too long for this system ({} bytes); set DURWARD_HOME to a shorter one: {}", .path.as_os_str().len(), .path.display())]
    SocketPath {
        /// The path.
        path: PathBuf,
    },
    /// The control plane would be reachable from other machines.
    #[error("{0} is not a loopback address: the control plane is for this machine only")]
    ControlNotLoopback(SocketAddr),
    /// The SPAKE service would be reachable from other machines.
    #[error(
        "{0} is not a loopback address: the SPAKE service is called with the password and answers with the secret, so it serves applications on this machine only; run one on each host and send public_key and confirmation between them"
    )]
    SpakeNotLoopback(SocketAddr),
    /// A file or folder cannot be used.
    #[error("cannot use {}: {source}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A key file does not hold a key.
    #[error("{} does not hold a key; move it away to start with a new one (sessions will end)", .0.display())]
    BadKeyFile(PathBuf),
    /// The place of the rest key does not answer.
    #[error(transparent)]
    RestKey(durward_protocol::KeeperError),
    /// The policy file has a mistake. Without its `deny` rules nothing starts.
    #[error("the policy cannot be read; correct it or move it away, then start again\n{0}")]
    Policy(String),
    /// Secrets would travel bare.
    #[error(
        "{0} can be reached from other machines, and passphrases and API keys must not travel bare: give --tls-cert and --tls-key, try with --tls-self-signed, listen on 127.0.0.1 behind a proxy, or switch accounts off with --no-accounts"
    )]
    PlainAccounts(SocketAddr),
    /// Certificate or key cannot be used.
    #[error("cannot use {} for TLS: {}", .0.display(), .1)]
    Tls(PathBuf, String),
    /// The secrets of a shared database were sealed under another rest key.
    #[error(
        "this database was set up with another rest key: copy keys/rest.key of its first server to every server's data folder, 0600"
    )]
    ForeignRestKey,
    /// The device's keys.
    #[error(transparent)]
    DeviceKeys(#[from] durward_sealing::Error),
    /// The database in the data folder.
    #[error("{}: {source}", .path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: durward_store::Error,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] durward_store::Error),
}

fn owner(pid: Option<u32>) -> String {
    pid.map_or_else(|| "pid unknown".to_owned(), |pid| format!("pid {pid}"))
}

fn air_play(address: &SocketAddr) -> &'static str {
    if cfg!(target_os = "macos") && address.port() == 5000 {
        " (on macOS, AirPlay Receiver uses 5000)"
    } else {
        ""
    }
}

impl Error {
    /// Wraps an I/O error with the path it is about.
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}
