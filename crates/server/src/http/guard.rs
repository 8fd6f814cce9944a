//! `Host`: the guard against DNS rebinding, where a web page makes a browser talk to us under its own name.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, header};
use durward_protocol::ErrorCode;

/// Which `Host` headers are good.
#[derive(Clone, Copy, Debug)]
pub(crate) enum HostRule {
    /// Exactly one, naming this machine's loopback with our port.
    Loopback(u16),
    /// At most one; any name: the server is meant to be reached from elsewhere.
    Any,
    /// None needed: a Unix socket.
    Socket,
}

impl HostRule {
    /// The rule for a listener.
    pub(crate) fn for_listener(address: SocketAddr) -> Self {
        if address.ip().is_loopback() { Self::Loopback(address.port()) } else { Self::Any }
    }
}

/// Checks the header against the rule.
pub(crate) fn check_host(headers: &HeaderMap, rule: HostRule) -> Result<(), ErrorCode> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (first, second) = (hosts.next(), hosts.next());
    let good = match rule {
        HostRule::Socket => true,
        HostRule::Any => second.is_none(),
        HostRule::Loopback(port) => {
            second.is_none()
                && first.and_then(|host| host.to_str().ok()).is_some_and(|host| is_ours(host, port))
        }
    };
    if good { Ok(()) } else { Err(ErrorCode::WrongHost) }
}

fn is_ours(host: &str, port: u16) -> bool {
    let Some((name, host_port)) = host.rsplit_once(':') else {
        return port == 80 && is_loopback_name(host);
    };
    host_port.parse() == Ok(port) && is_loopback_name(name)
}

fn is_loopback_name(name: &str) -> bool {
    let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names() {
        let check = |hosts: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(header::HOST, host.parse().unwrap());
            }
            check_host(&headers, HostRule::Loopback(5000)).is_ok()
        };
        for good in ["127.0.0.1:5000", "localhost:5000", "LOCALHOST:5000", "[::1]:5000", "127.0.0.2:5000"] {
            assert!(check(&[good]), "{good}");
        }
        for bad in [
            "evil.example:5000",
            "127.0.0.1:5001",
            "127.0.0.1",
            "localhost.evil.example:5000",
            "",
            "10.0.0.1:5000",
        ] {
            assert!(!check(&[bad]), "{bad}");
        }
        assert!(!check(&[]));
        assert!(!check(&["localhost:5000", "localhost:5000"]), "two of them");
    }
}
