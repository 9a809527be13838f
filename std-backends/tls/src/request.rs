//! A request that owns its octets.

use std::fmt;

use bytes::Bytes;
use cloudauth_core::{Attempt, Error, ErrorKind, Exchange, HttpRequest, Result, Scheme, Signer};
use http::header::{CONNECTION, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use http_body_util::Full;
use zeroize::Zeroizing;

/// A request that owns its octets: what a builder hands to [`Transport::call`](crate::Transport::call).
/// Its body is wiped when it is dropped.
pub struct Request {
    method: Method,
    host: String,
    target: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Request {
    /// Copies a request out of the buffer it was built in.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) for a header that HTTP does not allow.
    pub fn new(request: &HttpRequest<'_>) -> Result<Self> {
        const BAD: Error = Error::invalid("request", "a header holds what HTTP does not allow");
        let mut headers = HeaderMap::new();
        for (name, value) in request.headers() {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| BAD)?;
            let mut value = HeaderValue::from_str(value).map_err(|_| BAD)?;
            value.set_sensitive(true);
            headers.append(name, value);
        }
        let method = Method::from_bytes(request.method().as_bytes()).map_err(|_| BAD)?;
        let body = match request.body() {
            [] => Bytes::new(),
            body => Bytes::from_owner(Zeroizing::new(body.to_vec())),
        };
        Ok(Self {
            method,
            host: request.host().to_owned(),
            target: request.target().to_owned(),
            headers,
            body,
        })
    }

    /// A `GET` of an `https` URL, for documents that everyone may read, such as an issuer's keys.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) for another scheme, and for a URL with a user or a fragment.
    pub fn get(url: &str) -> Result<Self> {
        const BAD: Error = Error::invalid("URL", "expected https://host[:port]/path[?query]");
        let rest =
            url.strip_prefix("https://").filter(|rest| !rest.contains(['@', '#'])).ok_or(BAD)?;
        let uri: Uri = url.parse().map_err(|_| BAD)?;
        let host = uri.authority().filter(|host| rest.starts_with(host.as_str())).ok_or(BAD)?;
        Ok(Self {
            method: Method::GET,
            host: host.as_str().to_owned(),
            target: uri.path_and_query().map_or("/", |target| target.as_str()).to_owned(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        })
    }

    /// Builds an exchange's request, `signer` signing it where it needs a signature. This asks the key,
    /// which may take its time.
    ///
    /// # Errors
    /// Those of [`Exchange::request`], and of [`new`](Self::new).
    pub fn build<E: Exchange + ?Sized>(
        exchange: &E,
        signer: Option<&dyn Signer>,
        at: &Attempt,
    ) -> Result<Self> {
        // No larger than needed: wiping takes its time, an octet after the other.
        let signature_len = signer.map_or(0, |signer| {
            let lengths = Scheme::ALL.iter().filter(|s| signer.supports(**s));
            lengths.map(|s| signer.max_signature_len(*s)).max().unwrap_or_default()
        });
        let mut buf = Zeroizing::new(vec![0; exchange.needed(at, signature_len)?]);
        let request = match signer {
            Some(signer) => exchange.request(signer, at, &mut buf),
            // There is room for everything but a signature.
            None => exchange.build(at, &mut buf).map_err(|e| match e.kind() {
                ErrorKind::BufferTooSmall => {
                    Error::invalid("signer", "this request needs one; give the key that signs it")
                }
                _ => e,
            }),
        };
        Self::new(&request?)
    }

    /// The host, with its port unless that is 443: what was signed, where the request is signed.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// For hyper. `prefix` is put before the path; the last request on a connection says so.
    pub(crate) fn into_http(self, prefix: &str, last: bool) -> Result<http::Request<Full<Bytes>>> {
        const BAD: Error = Error::invalid("request", "its host, path or query cannot be sent");
        let uri: Uri = match prefix {
            "" => self.target.parse(),
            prefix => format!("{prefix}{}", self.target).parse(),
        }
        .map_err(|_| BAD)?;
        let mut request = http::Request::new(Full::new(self.body));
        *request.method_mut() = self.method;
        *request.uri_mut() = uri;
        *request.headers_mut() = self.headers;
        let host = HeaderValue::from_str(&self.host).map_err(|_| BAD)?;
        request.headers_mut().insert(HOST, host);
        let agent = HeaderValue::from_static(concat!("libcloudauth/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().entry(USER_AGENT).or_insert(agent);
        if last {
            request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(request)
    }
}

impl fmt::Debug for Request {
    /// Header values, query and body are left out: they hold tokens and signatures.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.target.split('?').next().unwrap_or_default();
        write!(f, "Request({} {} {path}, {} octets)", self.method, self.host, self.body.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_get_of_a_url() {
        for (url, host, target) in [
            ("https://issuer.example/.well-known/x", "issuer.example", "/.well-known/x"),
            ("https://issuer.example:8443/a?b=c", "issuer.example:8443", "/a?b=c"),
            ("https://issuer.example", "issuer.example", "/"),
            ("https://[::1]:443/a", "[::1]:443", "/a"),
        ] {
            let request = Request::get(url).unwrap();
            assert_eq!((request.host(), &*request.target), (host, target));
        }
        for bad in [
            "http://issuer.example/",
            "HTTPS://issuer.example/",
            "https://user@issuer.example/",
            "https://issuer.example/#a",
            "https:///a",
            "https://",
            "file:///etc/passwd",
            "/a",
            "",
            "https://issuer.example/a b",
            "https://issuer.example/\r\nX: y",
        ] {
            assert!(Request::get(bad).is_err(), "{bad}");
        }
    }
}
