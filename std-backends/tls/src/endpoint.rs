//! Where requests go.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};

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
    /// Where to connect, when not to host and port.
    route: Route,
    /// The name that the server's certificate must have, when it is another than the one connected to.
    server_name: Option<String>,
}

/// Where an endpoint's connections go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Route {
    #[default]
    Url,
    /// To another host and port.
    Dial(String, u16),
    /// To a Unix socket.
    Socket(PathBuf),
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

    /// Plain `http` over the Unix socket at `path`, which is on this machine like a loopback host. No
    /// proxy stands before it. Errors name the socket. Where the system has no such sockets, connecting
    /// fails.
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self {
            tls: false,
            host: "localhost".to_owned(),
            port: 80,
            prefix: String::new(),
            route: Route::Socket(path.into()),
            server_name: None,
        }
    }

    /// The same endpoint, connected to at `address` (`host:port`). Requests still name the URL's host; the
    /// server's certificate must name `address`'s, unless [`server_name`](Self::server_name) says another.
    ///
    /// # Errors
    /// [`TransportError::Config`] for anything but `host:port`, and for plain `http` to a host that is not
    /// loopback.
    pub fn dial(self, address: &str) -> Result<Self, TransportError> {
        const WHAT: &str = "address to connect to";
        let bad = |_| TransportError::config(WHAT, "expected host:port");
        let to = Self::https(address).map_err(bad)?;
        let has_port = address.parse::<Authority>().is_ok_and(|a| a.port().is_some());
        if !has_port {
            return Err(TransportError::config(WHAT, "expected host:port"));
        }
        if !self.tls && !to.is_loopback() {
            return Err(TransportError::config(
                WHAT,
                "plain http is allowed to loopback hosts only",
            ));
        }
        Ok(Self { route: Route::Dial(to.host, to.port), ..self })
    }

    /// The same endpoint, with the name that its certificate must have, and that TLS tells the server
    /// (RFC 6066, section 3).
    ///
    /// # Errors
    /// [`TransportError::Config`] for what is no host name or address.
    pub fn server_name(self, name: &str) -> Result<Self, TransportError> {
        if ServerName::try_from(name).is_err() {
            return Err(TransportError::config(
                "server name",
                "expected a host name or an address",
            ));
        }
        Ok(Self { server_name: Some(name.to_owned()), ..self })
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
        let endpoint = Self { tls, host, port, prefix, route: Route::Url, server_name: None };
        let bracketed = endpoint.host.starts_with('[');
        let name = unbracketed(&endpoint.host);
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

    /// `host:port` of where to connect, for a proxy.
    pub(crate) fn host_and_port(&self) -> String {
        match &self.route {
            Route::Dial(host, port) => format!("{host}:{port}"),
            Route::Url | Route::Socket(_) => format!("{}:{}", self.host, self.port),
        }
    }

    /// The name of the server for TLS: a name, or an address without brackets.
    pub(crate) fn tls_name(&self) -> &str {
        match &self.server_name {
            Some(name) => name,
            None => self.address().0,
        }
    }

    /// Where to connect: a host, an IPv6 address without its brackets, and a port.
    pub(crate) fn address(&self) -> (&str, u16) {
        match &self.route {
            Route::Dial(host, port) => (unbracketed(host), *port),
            Route::Url | Route::Socket(_) => (unbracketed(&self.host), self.port),
        }
    }

    /// The Unix socket, if it is one.
    pub(crate) fn socket(&self) -> Option<&Path> {
        match &self.route {
            Route::Socket(path) => Some(path),
            Route::Url | Route::Dial(..) => None,
        }
    }

    /// What errors call it.
    pub(crate) fn label(&self) -> String {
        match &self.route {
            Route::Socket(path) => format!("socket {path:?}"),
            Route::Url | Route::Dial(..) => self.authority(),
        }
    }

    pub(crate) const fn is_tls(&self) -> bool {
        self.tls
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether it is this machine, by its name alone.
    pub(crate) fn is_loopback(&self) -> bool {
        let (name, _) = self.address();
        name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

/// An IPv6 address without its brackets.
fn unbracketed(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = self.socket() {
            return write!(f, "unix:{}", path.display());
        }
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
                (endpoint.authority().as_str(), endpoint.address().1, endpoint.prefix()),
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
    fn other_ways_to_it() {
        let url = Endpoint::parse("https://broker.example:8443/x").unwrap();
        assert_eq!((url.address(), url.tls_name()), (("broker.example", 8443), "broker.example"));
        let dialled = url.clone().dial("localhost:8081").unwrap();
        assert_eq!(dialled.address(), ("localhost", 8081));
        assert_eq!((dialled.tls_name(), dialled.is_loopback()), ("localhost", true));
        assert_eq!((dialled.authority().as_str(), dialled.prefix()), ("broker.example:8443", "/x"));
        let named = dialled.server_name("server.example").unwrap();
        assert_eq!((named.tls_name(), named.address()), ("server.example", ("localhost", 8081)));
        assert_eq!(url.clone().dial("[::1]:1").unwrap().address(), ("::1", 1));
        for bad in
            ["", "localhost", "localhost:", "localhost:0", "a b:1", "u@h:1", "https://h:1", "h:1/x"]
        {
            assert!(url.clone().dial(bad).is_err(), "{bad}");
        }
        for bad in ["", "a b", "a:1", "-a"] {
            assert!(url.clone().server_name(bad).is_err(), "{bad}");
        }
        let plain = Endpoint::parse("http://localhost:1").unwrap();
        assert!(plain.clone().dial("sts.example:1").is_err());
        assert!(plain.dial("127.0.0.1:1").is_ok());
        let socket = Endpoint::unix("/run/a b.sock");
        assert_eq!((socket.is_tls(), socket.authority().as_str()), (false, "localhost"));
        assert_eq!(socket.label(), "socket \"/run/a b.sock\"");
        assert_eq!(socket.to_string(), "unix:/run/a b.sock");
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
