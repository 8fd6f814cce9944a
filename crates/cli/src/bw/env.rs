//! Every environment variable this program reads, in one place.

use std::path::PathBuf;

/// `BW_SESSION`: the session key.
pub(crate) const SESSION: &str = "BW_SESSION";
/// `BW_CLIENTID`: an API key's id.
pub(crate) const CLIENT_ID: &str = "BW_CLIENTID";
/// `BW_CLIENTSECRET`: an API key's secret.
pub(crate) const CLIENT_SECRET: &str = "BW_CLIENTSECRET";
/// `BITWARDENCLI_APPDATA_DIR`: the data folder.
pub(crate) const DATA_DIR: &str = "BITWARDENCLI_APPDATA_DIR";
/// `NODE_EXTRA_CA_CERTS`: a PEM file of roots to trust beside the system's.
pub(crate) const EXTRA_CA: &str = "NODE_EXTRA_CA_CERTS";
/// `http_proxy`, `https_proxy` and their capitals, the first that is set: a proxy for all calls. The official program
/// knows the first two, in this order.
pub(crate) const PROXIES: [&str; 4] = ["http_proxy", "https_proxy", "HTTPS_PROXY", "HTTP_PROXY"];
/// `BW_PRETTY=true` and so on: the switches of the same names.
pub(crate) const PRETTY: &str = "BW_PRETTY";
pub(crate) const RAW: &str = "BW_RAW";
pub(crate) const RESPONSE: &str = "BW_RESPONSE";
pub(crate) const QUIET: &str = "BW_QUIET";
pub(crate) const NO_INTERACTION: &str = "BW_NOINTERACTION";
/// `BW_CLEANEXIT`, not empty: exit 0 also when the command failed.
pub(crate) const CLEAN_EXIT: &str = "BW_CLEANEXIT";
/// `NO_COLOR`, not empty: no colours.
pub(crate) const NO_COLOR: &str = "NO_COLOR";

/// A variable that is set and not empty.
pub(crate) fn get(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|v| !v.is_empty())
}

/// The same for a path, which need not be Unicode.
pub(crate) fn path(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from)
}

/// Whether a switch variable says `true`.
pub(crate) fn is_true(name: &str) -> bool {
    std::env::var(name).is_ok_and(|v| v == "true")
}
