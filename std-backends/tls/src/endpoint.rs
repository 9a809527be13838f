//! Where requests go.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use http::uri::{Authority, Scheme};
use rustls::pki_types::ServerName;

use crate::TransportError;

/// Where requests go: scheme, host, port and a path that is put before each request's own. It is parsed
/// once, from a URL such as `https://sts.example:8443/prefix`.
///
/// Plain `http` is for loopback hosts only (`localhost`, 127.0.0.0/8, `[::1]`): everything else would
/// carry credentials in the clear.
///
/// Where a request is signed, its host is signed too. So an exchange that has an `endpoint` field is given
/// [`authority`](Self::authority) there, and sent [`via`](crate::Transport::via) the same endpoint. An
/// exchange that was not told keeps the `Host` of the service and only travels another way. The path
/// prefix is never signed: it is for gateways that take it off again.
///
/// ```
/// use cloudauth_tls::Endpoint;
///
/// let emulator = Endpoint::parse("http://localhost:4566")?;
/// assert_eq!(emulator.authority(), "localhost:4566");
/// assert!(Endpoint::parse("http://sts.example").is_err());
/// # Ok::<(), cloudauth_tls::TransportError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    tls: bool,
    /// In lower case; an IPv6 address stands in brackets.
    host: String,
    port: u16,
    /// Empty, or begins with a slash and does not end with one.
    prefix: String,
}

impl Endpoint {
    /// Reads `https://host[:port][/prefix]`, or `http` for a loopback host.
    ///
    /// # Errors
    /// [`TransportError::Config`] for any other scheme, for `http` to a host that is not loopback, and
    /// for a URL with user, query or fragment.
    pub fn parse(url: &str) -> Result<Self, TransportError> {
        let bad = |help| Err(TransportError::config("endpoint URL", help));
        if url.contains(['@', '?', '#']) {
            return bad("it must not hold a user, a query or a fragment");
        }
        let Ok(uri) = url.parse::<http::Uri>() else {
            return bad("expected https://host[:port][/prefix]");
        };
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return bad("expected it to begin with https:// (or http:// for a loopback host)"),
        };
        let Some(authority) = uri.authority() else {
            return bad("expected a host after https://");
        };
        let prefix = uri.path().trim_end_matches('/').to_owned();
        let endpoint = Self::new(tls, authority, prefix)?;
        if !tls && !endpoint.is_loopback() {
            return bad("plain http is allowed to loopback hosts only; use https");
        }
        Ok(endpoint)
    }

    /// `https` to `host[:port]`, as it stands in a request.
    pub(crate) fn https(authority: &str) -> Result<Self, TransportError> {
        match authority.parse::<Authority>() {
            Ok(authority) if !authority.as_str().contains('@') => {
                Self::new(true, &authority, String::new())
            }
            _ => Err(TransportError::config("request's host", "expected host[:port]")),
        }
    }

    /// A proxy, which may speak plain `http`: what goes through it is TLS to the host behind it.
    pub(crate) fn proxy(tls: bool, authority: &Authority) -> Result<Self, TransportError> {
        Self::new(tls, authority, String::new())
    }

    fn new(tls: bool, authority: &Authority, prefix: String) -> Result<Self, TransportError> {
        let host = authority.host().to_ascii_lowercase();
        let port = match authority.port() {
            Some(port) => port.as_u16(),
            // A colon that no number follows, or one that is too large.
            None if authority.as_str().len() != host.len() => 0,
            None if tls => 443,
            None => 80,
        };
        let endpoint = Self { tls, host, port, prefix };
        let bracketed = endpoint.host.starts_with('[');
        let name = endpoint.name();
        if port == 0
            || ServerName::try_from(name).is_err()
            || bracketed && name.parse::<Ipv6Addr>().is_err()
        {
            return Err(TransportError::config(
                "endpoint URL",
                "expected a host name or address, and a port from 1 to 65535 if any",
            ));
        }
        Ok(endpoint)
    }

    /// `host[:port]`, without the port where it is the scheme's own: what an exchange's `endpoint` field
    /// takes, and what stands in the `Host` header.
    #[must_use]
    pub fn authority(&self) -> String {
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => self.host.clone(),
            (_, port) => format!("{}:{port}", self.host),
        }
    }

    /// `host:port`, for a proxy.
    pub(crate) fn host_and_port(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The host, an IPv6 address without its brackets.
    pub(crate) fn name(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    pub(crate) const fn is_tls(&self) -> bool {
        self.tls
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether it is this machine, by its name alone.
    pub(crate) fn is_loopback(&self) -> bool {
        let name = self.name();
        name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        for (url, authority, port, prefix) in [
            ("https://sts.example", "sts.example", 443, ""),
            ("https://STS.example:443/", "sts.example", 443, ""),
            ("https://sts.example:8443/a/b/", "sts.example:8443", 8443, "/a/b"),
            ("https://[::1]:8443", "[::1]:8443", 8443, ""),
            ("http://localhost:4566", "localhost:4566", 4566, ""),
            ("http://127.9.9.9", "127.9.9.9", 80, ""),
            ("http://[::1]/x", "[::1]", 80, "/x"),
        ] {
            let endpoint = Endpoint::parse(url).unwrap();
            assert_eq!(
                (endpoint.authority().as_str(), endpoint.port(), endpoint.prefix()),
                (authority, port, prefix),
                "{url}",
            );
        }
        assert_eq!(
            Endpoint::https("a.example:8443").unwrap().to_string(),
            "https://a.example:8443"
        );
    }

    #[test]
    fn refusals() {
        for url in [
            "",
            "sts.example",
            "/path",
            "ftp://sts.example",
            "http://sts.example",
            "http://10.0.0.1",
            "http://localhost.example",
            "http://128.0.0.1",
            "http://[::2]",
            "http://0.0.0.0",
            "https://user@sts.example",
            "https://user:secret@sts.example",
            "https://sts.example?x",
            "https://sts.example/#x",
            "https://sts.example:",
            "https://sts.example:0",
            "https://sts.example:99999",
            "https://:443",
            "https://[x]",
            "https://[127.0.0.1]",
            "https://-a.example",
            "https://a b",
        ] {
            let error = Endpoint::parse(url).unwrap_err();
            assert!(matches!(error, TransportError::Config { .. }), "{url}: {error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        for authority in ["", "u@h", "h/x", "h:0", "a b"] {
            assert!(Endpoint::https(authority).is_err(), "{authority}");
        }
    }
}
