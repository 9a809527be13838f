//! Requests as slices into the caller's buffer, and the head of an answer.

use core::fmt;

use crate::out::{Out, Sink, decimal};
use crate::{Error, Result};

/// A request, ready to send. Everything but the method points into the buffer it was built in.
///
/// `Host` and `Content-Length` are not among [`headers`](Self::headers): HTTP libraries write them by
/// themselves, and [`write_http1`](Self::write_http1) adds them.
#[derive(Clone, Copy)]
pub struct HttpRequest<'b> {
    pub(crate) method: &'static str,
    pub(crate) host: &'b str,
    pub(crate) target: &'b str,
    pub(crate) head: &'b str,
    pub(crate) body: &'b [u8],
}

impl<'b> HttpRequest<'b> {
    /// `GET`, `POST`, `PUT`.
    #[must_use]
    pub const fn method(&self) -> &'static str {
        self.method
    }

    /// The value of the `Host` header: a name, with a port unless it is the scheme's own. Where a
    /// request is signed this is the host that was signed.
    #[must_use]
    pub const fn host(&self) -> &'b str {
        self.host
    }

    /// Path and query as they go on the request line.
    #[must_use]
    pub const fn target(&self) -> &'b str {
        self.target
    }

    /// The further headers as lines: `Name: value`, CR LF between them and none at the end.
    #[must_use]
    pub const fn head(&self) -> &'b str {
        self.head
    }

    /// Name and value of each further header, in order.
    pub fn headers(&self) -> impl Iterator<Item = (&'b str, &'b str)> + use<'b> {
        self.head.split("\r\n").filter_map(|line| line.split_once(": "))
    }

    /// The value of the header `name`, of either case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'b str> {
        self.headers().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v)
    }

    /// The body; empty for a `GET`.
    #[must_use]
    pub const fn body(&self) -> &'b [u8] {
        self.body
    }

    /// Writes the whole request in HTTP/1.1 (RFC 9112) to the start of `buf`, with `Host` first and,
    /// unless it is a `GET`, `Content-Length` last. For whoever has a TLS connection but no HTTP library.
    ///
    /// # Errors
    /// [`BufferTooSmall`](crate::ErrorKind::BufferTooSmall) with the needed size.
    pub fn write_http1<'o>(&self, buf: &'o mut [u8]) -> Result<&'o [u8]> {
        let mut out = Out::new(buf);
        for part in [self.method, " ", self.target, " HTTP/1.1\r\nHost: ", self.host, "\r\n"] {
            out.text(part);
        }
        if !self.head.is_empty() {
            out.text(self.head);
            out.text("\r\n");
        }
        if self.method != "GET" {
            out.text("Content-Length: ");
            decimal(&mut out, self.body.len() as u64);
            out.text("\r\n");
        }
        out.text("\r\n");
        out.put(self.body);
        Ok(out.finish()?)
    }
}

impl fmt::Debug for HttpRequest<'_> {
    /// Header values, query and body are left out: they hold tokens and signatures.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.target.split('?').next().unwrap_or_default();
        write!(f, "HttpRequest({} https://{}{path}", self.method, self.host)?;
        for (name, _) in self.headers() {
            write!(f, ", {name}")?;
        }
        write!(f, ", {} octets)", self.body.len())
    }
}

/// Status and headers of an answer. AWS names the error in a header, Key Vault its authority.
#[derive(Clone, Copy)]
pub struct ResponseHead<'a> {
    /// The status code.
    pub status: u16,
    /// Name and value of each header, as received.
    pub headers: &'a [(&'a str, &'a str)],
}

impl fmt::Debug for ResponseHead<'_> {
    /// Header values are left out: they may hold cookies and tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResponseHead({}", self.status)?;
        self.headers.iter().try_for_each(|(name, _)| write!(f, ", {name}"))?;
        f.write_str(")")
    }
}

impl<'a> ResponseHead<'a> {
    /// The value of the header `name`, of either case; the first when it is repeated.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| *v)
    }
}

/// Refuses a host that would end the header it stands in, or point somewhere else: a name, an IPv4
/// address or an IPv6 address in brackets, with an optional port, and nothing besides.
pub(crate) fn check_host(text: &str, field: &'static str) -> Result<()> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !text.ends_with(']') => (host, port),
        _ => (text, "443"),
    };
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_'))
    };
    let good_host = match host.strip_prefix('[') {
        Some(rest) => {
            rest.strip_suffix(']').is_some_and(|ip| ip.parse::<core::net::Ipv6Addr>().is_ok())
        }
        None => host.len() <= 253 && host.split('.').all(label),
    };
    let good_port =
        port.bytes().all(|c| c.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|p| p != 0);
    if good_host && good_port {
        Ok(())
    } else {
        Err(Error::invalid(field, "expected a host name with an optional port, and no path"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for good in ["localhost", "a.example:8443", "127.0.0.1:1", "[::1]", "[::1]:443", "a_b.c"] {
            assert!(check_host(good, "host").is_ok(), "{good}");
        }
        for bad in [
            "",
            ":443",
            "host:port",
            "host:99999",
            "host:0",
            "host:",
            "host:+1",
            "a..b",
            ".a",
            "a.",
            "-",
            "-a",
            "::",
            "::1",
            "]:[",
            "[::1",
            "[::1]x",
            "[x]",
            "a/b",
            "a b",
            "a\r\nb",
            "u@h",
            "a:b:c",
        ] {
            assert!(check_host(bad, "host").is_err(), "{bad}");
        }
    }
}
