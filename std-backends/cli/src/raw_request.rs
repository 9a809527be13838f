//! Reading a raw HTTP/1.1 request from a file, and writing it again with other headers.

use crate::error::CliError;

/// A request as it stands in a file: line ends of either kind, and a header continued on an indented
/// line is one line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RawRequest {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) version: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    line_end: &'static str,
}

fn bad(line: usize, what: &str) -> CliError {
    CliError::input(format_args!("request, line {line}"), what)
}

impl RawRequest {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, CliError> {
        let first_end = bytes.iter().position(|c| *c == b'\n').unwrap_or(bytes.len());
        let line_end =
            if bytes.get(..first_end).is_some_and(|l| l.ends_with(b"\r")) { "\r\n" } else { "\n" };
        let mut rest = bytes;
        let mut number = 0;
        let mut lines: Vec<(usize, String)> = Vec::new();
        while !rest.is_empty() {
            number += 1;
            let end = rest.iter().position(|c| *c == b'\n');
            let (line, after) =
                rest.split_at_checked(end.unwrap_or(rest.len())).unwrap_or_default();
            rest = after.get(1..).unwrap_or_default();
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let line = core::str::from_utf8(line).map_err(|_| bad(number, "is not UTF-8"))?;
            if line.chars().any(|c| c.is_control() && c != '\t') {
                return Err(bad(number, "holds a control character"));
            }
            if line.is_empty() {
                break;
            }
            if !line.starts_with([' ', '\t']) {
                lines.push((number, line.to_owned()));
            } else if lines.len() < 2 {
                return Err(bad(number, "is indented, but continues no header"));
            } else if let Some((_, header)) = lines.last_mut() {
                header.push(' ');
                header.push_str(line.trim());
            }
        }
        let mut lines = lines.into_iter();
        let (_, request_line) = lines
            .next()
            .ok_or_else(|| bad(1, "expected METHOD TARGET HTTP/1.1, such as GET / HTTP/1.1"))?;
        let (method, target, version) = request_line_parts(&request_line)?;
        let mut headers = Vec::new();
        for (number, line) in lines {
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| bad(number, "expected a header, Name: value"))?;
            if name.is_empty() || name.contains([' ', '\t']) {
                return Err(bad(number, "the header's name is empty or holds a space"));
            }
            headers.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
        }
        let request = Self { method, target, version, headers, body: rest.to_vec(), line_end };
        request.check()?;
        Ok(request)
    }

    fn check(&self) -> Result<(), CliError> {
        if self.all("host").count() != 1 {
            return Err(CliError::input("request", "must have one Host header"));
        }
        // uri-host and port of RFC 9112, section 3.2: names, addresses, and what they are encoded with.
        let in_host = |c: char| c.is_ascii_alphanumeric() || "-._~%!$&'()*+,;=:[]".contains(c);
        if self.host().is_empty() || !self.host().chars().all(in_host) {
            return Err(CliError::input(
                "request",
                "Host: expected a host name, and a port or none",
            ));
        }
        if self.all("transfer-encoding").next().is_some() && !self.body.is_empty() {
            return Err(CliError::input(
                "request",
                "has a Transfer-Encoding; give the body as it is before any transfer coding",
            ));
        }
        if self.all("content-length").count() > 1 {
            return Err(CliError::input("request", "has more than one Content-Length"));
        }
        for length in self.all("content-length") {
            let digits = length.bytes().all(|c| c.is_ascii_digit());
            let stated: Result<usize, _> = if digits { length.parse() } else { "".parse() };
            // A file may hold the head alone, with the body somewhere else.
            if stated != Ok(self.body.len()) && !self.body.is_empty() || stated.is_err() {
                return Err(CliError::input(
                    "request",
                    format!(
                        "Content-Length is {length}, but the body has {} octets",
                        self.body.len()
                    ),
                ));
            }
        }
        Ok(())
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let same = move |n: &str| n.eq_ignore_ascii_case(name);
        self.headers.iter().filter(move |(n, _)| same(n)).map(|(_, v)| v.as_str())
    }

    /// The value of the header `name`, the first if it is repeated.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// The value of `Host`.
    pub(crate) fn host(&self) -> &str {
        self.header("host").unwrap_or_default()
    }

    /// Path and query.
    pub(crate) fn path_and_query(&self) -> (&str, &str) {
        self.target.split_once('?').unwrap_or((&self.target, ""))
    }

    /// Takes out every header of the name.
    pub(crate) fn remove(&mut self, name: &str) {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
    }

    /// Puts a header at the end, in place of those of the same name.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.headers.push((name.to_owned(), value.to_owned()));
    }

    /// The request as octets again, with the line ends it came with.
    pub(crate) fn write(&self) -> Vec<u8> {
        let end = self.line_end;
        let mut out = format!("{} {} {}{end}", self.method, self.target, self.version);
        for (name, value) in &self.headers {
            for part in [name, ": ", value, end] {
                out.push_str(part);
            }
        }
        out.push_str(end);
        let mut out = out.into_bytes();
        out.extend_from_slice(&self.body);
        out
    }
}

fn request_line_parts(line: &str) -> Result<(String, String, String), CliError> {
    const EXPECTED: &str = "expected METHOD TARGET HTTP/1.1, such as GET / HTTP/1.1";
    // A target that is not encoded yet may hold spaces: the first and the last space divide the line.
    let (method, rest) = line.split_once(' ').ok_or_else(|| bad(1, EXPECTED))?;
    let (target, version) = rest.rsplit_once(' ').ok_or_else(|| bad(1, EXPECTED))?;
    if version != "HTTP/1.1" && version != "HTTP/1.0" {
        return Err(bad(1, EXPECTED));
    }
    if !target.starts_with('/') {
        return Err(bad(1, "the target must be a path that starts with /; name the host in Host"));
    }
    if target.contains('#') {
        return Err(bad(
            1,
            "the target holds a fragment (#), which is never sent; remove it or write %23",
        ));
    }
    Ok((method.to_owned(), target.to_owned(), version.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn folded_headers_and_line_ends() {
        let raw = b"GET /a b?x=1 HTTP/1.1\r\nHost:h\r\nA:1\r\n  2\r\n\t3 \r\nB: x\r\n\r\n\n body";
        let request = RawRequest::parse(raw).unwrap();
        assert_eq!((request.host(), request.path_and_query()), ("h", ("/a b", "x=1")));
        assert_eq!(request.headers[1], ("A".to_owned(), "1 2 3".to_owned()));
        assert_eq!(request.body, b"\n body");
        assert_eq!(
            request.write(),
            b"GET /a b?x=1 HTTP/1.1\r\nHost: h\r\nA: 1 2 3\r\nB: x\r\n\r\n\n body"
        );
    }

    #[test]
    fn refusals_name_the_line() {
        for (bad, line) in [
            ("", "line 1"),
            ("GET /", "line 1"),
            ("GET / HTTP/2\nHost: h\n", "line 1"),
            ("GET http://h/ HTTP/1.1\nHost: h\n", "line 1"),
            ("GET /#f HTTP/1.1\nHost: h\n", "line 1"),
            ("GET / HTTP/1.1\n Host: h\n", "line 2"),
            ("GET / HTTP/1.1\nHost: h\nnothing\n", "line 3"),
            ("GET / HTTP/1.1\nHost: h\nA b: c\n", "line 3"),
            ("GET / HTTP/1.1\nHost: h\nA: b\rc: d\n", "line 3"),
            ("GET / HTTP/1.1\n\n", "one Host"),
            ("GET / HTTP/1.1\nHost: h\nHost: i\n", "one Host"),
            ("GET / HTTP/1.1\nHost:\n", "host name"),
            ("GET / HTTP/1.1\nHost: a b\n", "host name"),
            ("GET / HTTP/1.1\nHost: a/b\n", "host name"),
            ("GET / HTTP/1.1\nHost: \u{e4}.de\n", "host name"),
            ("POST / HTTP/1.1\nHost: h\nContent-Length: +2\n\nab", "Content-Length is +2"),
            (
                "POST / HTTP/1.1\nHost: h\nContent-Length: 2\nContent-Length: 2\n\nab",
                "more than one",
            ),
            ("POST / HTTP/1.1\nHost: h\nContent-Length: 3\n\nab", "Content-Length is 3"),
            ("POST / HTTP/1.1\nHost: h\nContent-Length: x\n\n", "Content-Length is x"),
            ("POST / HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\n\n0\n\n", "Transfer-Encoding"),
        ] {
            let error = RawRequest::parse(bad.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(line), "{bad:?}: {error}");
        }
        assert!(RawRequest::parse(b"GET / HTTP/1.1\nHost: \xff\n").is_err());
    }

    proptest! {
        #[test]
        fn never_panics_and_is_stable(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let mut raw = b"GET / HTTP/1.1\nHost: h\n".to_vec();
            raw.extend_from_slice(&bytes);
            if let Ok(request) = RawRequest::parse(&raw) {
                prop_assert_eq!(RawRequest::parse(&request.write()).unwrap(), request);
            }
            let _ = RawRequest::parse(&bytes);
        }
    }
}
