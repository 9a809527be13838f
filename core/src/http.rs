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
        header_lines(self.head)
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
    // Octet by octet: the library's searches and its reader of addresses can panic, for all a linker knows.
    let colon = text.bytes().rposition(|c| c == b':').filter(|_| !text.ends_with(']'));
    let (host, port) = match colon {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default()),
        None => (text, "443"),
    };
    let label = |label: &[u8]| {
        (1..=63).contains(&label.len())
            && label.first() != Some(&b'-')
            && label.last() != Some(&b'-')
            && label.iter().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_'))
    };
    let good_host = match host.as_bytes() {
        [b'[', address @ .., b']'] => is_ipv6(address),
        name => name.len() <= 253 && name.split(|c| *c == b'.').all(label),
    };
    let good_port =
        port.bytes().all(|c| c.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|p| p != 0);
    if good_host && good_port {
        Ok(())
    } else {
        Err(Error::invalid(field, "expected a host name with an optional port, and no path"))
    }
}

/// Whether `text` is an IPv6 address (RFC 4291, section 2.2).
fn is_ipv6(text: &[u8]) -> bool {
    let (mut groups, mut gap, mut rest) = (0, false, text);
    if let [b':', b':', after @ ..] = rest {
        (gap, rest) = (true, after);
    }
    while !(rest.is_empty() && gap) {
        let end = rest.iter().position(|c| *c == b':');
        let (group, after) = rest.split_at_checked(end.unwrap_or(rest.len())).unwrap_or_default();
        let hex = (1..=4).contains(&group.len()) && group.iter().all(u8::is_ascii_hexdigit);
        // The last two may be an IPv4 address.
        if !hex && (end.is_some() || !is_ipv4(group)) {
            return false;
        }
        groups += if hex { 1 } else { 2 };
        rest = match after {
            [] => break,
            [b':', b':', ..] if gap => return false,
            [b':', b':', after @ ..] => {
                gap = true;
                after
            }
            [_, after @ ..] if !after.is_empty() => after,
            _ => return false,
        };
    }
    if gap { groups <= 7 } else { groups == 8 }
}

/// Whether `text` is an IPv4 address in four decimal numbers.
fn is_ipv4(text: &[u8]) -> bool {
    let number = |digits: &[u8]| {
        (1..=3).contains(&digits.len())
            && digits.iter().all(u8::is_ascii_digit)
            && (digits.len() == 1 || digits.first() != Some(&b'0'))
            && digits.iter().fold(0, |n, c| n * 10 + u32::from(c - b'0')) <= 255
    };
    text.split(|c| *c == b'.').count() == 4 && text.split(|c| *c == b'.').all(number)
}

/// Name and value of each line `Name: value`, with CR LF between them.
pub(crate) fn header_lines(head: &str) -> impl Iterator<Item = (&str, &str)> {
    // The library's search for a text is long, and can panic, for all a linker knows.
    fn cut<'t>(text: &'t str, at: &[u8; 2]) -> (&'t str, Option<&'t str>) {
        match text.as_bytes().windows(2).position(|two| two == at) {
            Some(end) => (text.get(..end).unwrap_or_default(), text.get(end + 2..)),
            None => (text, None),
        }
    }
    let mut rest = Some(head);
    let lines = core::iter::from_fn(move || {
        let line;
        (line, rest) = cut(rest?, b"\r\n");
        Some(line)
    });
    lines.filter_map(|line| match cut(line, b": ") {
        (name, Some(value)) => Some((name, value)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn addresses_are_what_the_library_reads(
            text in "([0-9a-fA-F]{0,5}[:.]{1,2}){0,9}[0-9a-f]{0,5}",
            groups in proptest::collection::vec("[0-9a-f]{1,4}", 0..9),
            (gap, four) in (0..10usize, any::<bool>()),
            numbers in any::<[u8; 4]>(),
        ) {
            let is = |text: &str| text.parse::<core::net::Ipv6Addr>().is_ok();
            prop_assert_eq!(is_ipv6(text.as_bytes()), is(&text), "{}", text);
            // Most of these are addresses.
            let mut made = groups;
            if four {
                made.push(core::net::Ipv4Addr::from(numbers).to_string());
            }
            if gap < made.len() {
                made[gap] = String::new();
            }
            for text in [made.join(":"), format!(":{}", made.join(":")), format!("{}:", made.join(":"))] {
                prop_assert_eq!(is_ipv6(text.as_bytes()), is(&text), "{}", text);
            }
        }

        #[test]
        fn four_numbers_are_what_the_library_reads(text in "([0-9]{1,4}\\.){2,4}[0-9]{0,3}") {
            prop_assert_eq!(is_ipv4(text.as_bytes()), text.parse::<core::net::Ipv4Addr>().is_ok());
        }

        #[test]
        fn lines_are_what_the_library_splits(head in "[a:\r\n ]{0,30}") {
            let theirs = head.split("\r\n").filter_map(|line| line.split_once(": "));
            prop_assert!(header_lines(&head).eq(theirs), "{:?}", head);
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
