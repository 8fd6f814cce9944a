//! Every environment variable that `durward` reads, in one place.

/// One folder for configuration, data and state: hermetic tests, two approvers on one machine.
pub(crate) const DURWARD_HOME: &str = "DURWARD_HOME";
/// The approver's URL, for agents.
pub(crate) const DURWARD_APPROVER: &str = "DURWARD_APPROVER";
/// The agent's profile.
pub(crate) const DURWARD_AGENT: &str = "DURWARD_AGENT";
/// Where agents ask the owner: `remote` or `local`.
pub(crate) const DURWARD_MODE: &str = "DURWARD_MODE";
/// Database other than the file in the data folder: `postgres://…`.
pub(crate) const DURWARD_DATABASE_URL: &str = "DURWARD_DATABASE_URL";
/// Port of the agent plane (also of `spake serve`).
pub(crate) const PORT: &str = "PORT";
/// Any value switches colours off (<https://no-color.org>).
pub(crate) const NO_COLOR: &str = "NO_COLOR";
/// Bitwarden's data folder, for `vault connect --provider bitwarden` and for `bw`.
#[cfg(feature = "bitwarden")]
pub(crate) const BITWARDENCLI_APPDATA_DIR: &str = "BITWARDENCLI_APPDATA_DIR";
/// Log filter, as `tracing_subscriber` reads it.
pub(crate) const DURWARD_LOG: &str = "DURWARD_LOG";
/// Set by Wayland desktops: their clipboard is used.
pub(crate) const WAYLAND_DISPLAY: &str = "WAYLAND_DISPLAY";
/// Set by X11 desktops: their clipboard is used.
pub(crate) const DISPLAY: &str = "DISPLAY";
/// What the terminal can do; `dumb` takes no full screen.
pub(crate) const TERM: &str = "TERM";
/// The locale: without UTF-8 in it the full screen is drawn in ASCII. The first that is set counts.
pub(crate) const LC_ALL: &str = "LC_ALL";
/// See [`LC_ALL`].
pub(crate) const LC_CTYPE: &str = "LC_CTYPE";
/// See [`LC_ALL`].
pub(crate) const LANG: &str = "LANG";
/// Where the rest key lies: `auto`, `keyring` or `file`.
pub(crate) const DURWARD_REST_KEY: &str = "DURWARD_REST_KEY";
/// The session's bus, where the Secret Service and the desktop's notices are.
pub(crate) const DBUS_SESSION_BUS_ADDRESS: &str = "DBUS_SESSION_BUS_ADDRESS";
/// The folder with the session's bus, where its address is not set.
pub(crate) const XDG_RUNTIME_DIR: &str = "XDG_RUNTIME_DIR";
