//! Requests as slices into the caller's buffer, and the head of an answer.

use core::fmt;

use crate::out::{Out, Sink, decimal};
use crate::{Error, Result};

/// A request, ready to send. Everything but the method, which is static, points into the buffer it was
/// built in.
///
/// `Host` and `Content-Length` are not among [`headers`](Self::headers): HTTP libraries write them by
/// themselves, and [`write_http1`](Self::write_http1) adds them.
#[derive(Clone, Copy)]
pub struct HttpRequest<'b> {
    pub(crate) method: &'b str,
    pub(crate) host: &'b str,
    pub(crate) target: &'b str,
    pub(crate) head: &'b str,
    pub(crate) body: &'b [u8],
}

impl<'b> HttpRequest<'b> {
    /// A request out of parts that were kept apart, as the C interface does.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) when method, host or target is empty or has other characters
    /// than printable ones, or when `head` is not lines with CR LF between them, none of them empty: nothing
    /// gets into a request that would end a line before its time.
    pub fn from_parts(
        method: &'b str,
        host: &'b str,
        target: &'b str,
        head: &'b str,
        body: &'b [u8],
    ) -> Result<Self> {
        for (part, field) in [(method, "method"), (host, "host"), (target, "target")] {
            if part.is_empty() || part.bytes().any(|c| !c.is_ascii_graphic()) {
                return Err(Error::invalid(field, "expected printable characters without spaces"));
            }
        }
        // A CR LF is taken for the end of a line, and every other one of them for what must not be there.
        let mut line_len = 0_usize;
        let mut rest = head.as_bytes();
        while let [c, after @ ..] = rest {
            (line_len, rest) = match (c, after) {
                (b'\r', [b'\n', next @ ..]) if line_len > 0 && !next.is_empty() => (0, next),
                (b'\r' | b'\n', _) => {
                    let help = "expected lines with CR LF between them, none of them empty";
                    return Err(Error::invalid("headers", help));
                }
                _ => (line_len + 1, after),
            };
        }
        Ok(Self { method, host, target, head, body })
    }

    /// `GET`, `POST`, `PUT`.
    #[must_use]
    pub const fn method(&self) -> &'b str {
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
    fn parts() {
        let make = |method, host, target, head| {
            HttpRequest::from_parts(method, host, target, head, b"body").map(|request| {
                let mut buf = [0; 128];
                String::from_utf8(request.write_http1(&mut buf).unwrap().to_vec()).unwrap()
            })
        };
        let whole = "POST / HTTP/1.1\r\nHost: a\r\nA: b\r\nC: d\r\nContent-Length: 4\r\n\r\nbody";
        assert_eq!(make("POST", "a", "/", "A: b\r\nC: d").as_deref(), Ok(whole));
        assert!(make("POST", "a", "/", "").is_ok());
        for (method, host, target) in
            [("", "a", "/"), ("P T", "a", "/"), ("GET", "", "/"), ("GET", "a\r\nX: y", "/")]
        {
            assert!(make(method, host, target, "").is_err());
        }
        for target in ["", "/ HTTP/1.0", "/\n", "/ä"] {
            assert!(make("GET", "a", target, "").is_err(), "{target}");
        }
        for head in
            ["\r\n", "A: b\r\n", "\r\nA: b", "A\r\n\r\nB", "A\nB", "A\rB", "A\r", "A\n", "A\r\n\nB"]
        {
            assert!(make("GET", "a", "/", head).is_err(), "{head:?}");
        }
    }

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
