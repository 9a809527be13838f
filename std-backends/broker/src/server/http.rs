//! Requests and answers in HTTP/1.1: what is taken, and how it is answered.

use std::time::Duration;

use bytes::Bytes;
use cloudauth_core::Out;
use http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, RETRY_AFTER,
    TRANSFER_ENCODING,
};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::decision::Refusal;

/// The most octets of a request's body.
pub(super) const MAX_BODY: usize = 64 * 1024;

/// A request that is refused for its form alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    pub(super) status: StatusCode,
    pub(super) title: &'static str,
    /// Where the next request begins is not certain, or not to be waited for.
    pub(super) close: bool,
}

const fn bad(status: StatusCode, title: &'static str) -> Malformed {
    Malformed { status, title, close: false }
}

const fn worse(status: StatusCode, title: &'static str) -> Malformed {
    Malformed { status, title, close: true }
}

/// A body that is not what was expected.
pub(super) const fn content(title: &'static str) -> Malformed {
    bad(StatusCode::BAD_REQUEST, title)
}

/// Looks at the head, and gives the length of the body. hyper has taken what RFC 9112 leaves no choice about; here is
/// refused what two readers could understand in two ways, and what nobody needs.
pub(super) fn check(head: &Parts) -> Result<usize, Malformed> {
    let headers = &head.headers;
    if head.version != Version::HTTP_11 {
        return Err(worse(StatusCode::HTTP_VERSION_NOT_SUPPORTED, "HTTP/1.1 only"));
    }
    if headers.contains_key(TRANSFER_ENCODING) {
        return Err(worse(
            StatusCode::NOT_IMPLEMENTED,
            "no Transfer-Encoding; send a Content-Length",
        ));
    }
    if headers.contains_key(EXPECT) {
        return Err(worse(StatusCode::EXPECTATION_FAILED, "no Expect"));
    }
    if head.uri.authority().is_some() || !head.uri.path().starts_with('/') {
        return Err(worse(StatusCode::BAD_REQUEST, "the target must be a path"));
    }
    // Which host is meant does not matter: one that is named twice or cannot be one does.
    let host = only(headers, HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    if host.is_none_or(|host| host.as_str().contains('@')) {
        return Err(worse(StatusCode::BAD_REQUEST, "exactly one Host"));
    }
    if head.method != Method::POST {
        return match headers.contains_key(CONTENT_LENGTH) {
            true => Err(worse(StatusCode::METHOD_NOT_ALLOWED, "POST only")),
            false => Ok(0),
        };
    }
    let length = only(headers, CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    // No sign, no list, no empty text.
    let length = length.filter(|length| length.bytes().all(|c| c.is_ascii_digit()));
    let Some(length) = length.and_then(|length| length.parse::<u64>().ok()) else {
        return Err(worse(StatusCode::LENGTH_REQUIRED, "exactly one Content-Length"));
    };
    match usize::try_from(length) {
        Ok(length) if length <= MAX_BODY => Ok(length),
        _ => Err(worse(StatusCode::PAYLOAD_TOO_LARGE, "the body may have 64 KiB")),
    }
}

/// Refuses a body that is not said to be JSON in UTF-8.
pub(super) fn check_json(headers: &HeaderMap) -> Result<(), Malformed> {
    let kind = only(headers, CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let (kind, parameter) = kind.split_once(';').unwrap_or((kind, ""));
    let parameter = parameter.trim().to_ascii_lowercase();
    let utf8 = matches!(parameter.as_str(), "" | "charset=utf-8" | "charset=\"utf-8\"");
    if utf8 && kind.trim().eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(bad(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the Content-Type must be application/json"))
}

/// The one header of a name.
fn only(headers: &HeaderMap, name: http::HeaderName) -> Option<&HeaderValue> {
    let mut all = headers.get_all(name).iter();
    all.next().filter(|_| all.next().is_none())
}

/// The body, of `length` octets as its head says.
pub(super) async fn read(
    mut body: Incoming,
    length: usize,
    limit: Duration,
) -> Result<Zeroizing<Vec<u8>>, Malformed> {
    let reading = async {
        // Never grows: hyper ends a body where its length says.
        let mut octets = Zeroizing::new(Vec::with_capacity(length));
        while !body.is_end_stream() {
            match body.frame().await {
                Some(Ok(frame)) => octets.extend_from_slice(frame.data_ref().map_or(&[], |d| d)),
                Some(Err(_)) => return Err(worse(StatusCode::BAD_REQUEST, "the body broke off")),
                None => break,
            }
        }
        Ok(octets)
    };
    let slow = worse(StatusCode::REQUEST_TIMEOUT, "the body took too long");
    timeout(limit, reading).await.unwrap_or(Err(slow))
}

/// Why a request gets no answer of its own. What the client is told is this and no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    Malformed(Malformed),
    ChallengeExpired,
    ChannelMismatch,
    AttestationInvalid,
    Denied,
    RateLimited(Duration),
    Upstream,
    Unavailable,
}

impl From<Malformed> for Problem {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Malformed => Self::Malformed(content("the request cannot be read")),
            Refusal::ChannelMismatch => Self::ChannelMismatch,
            Refusal::AttestationInvalid => Self::AttestationInvalid,
            Refusal::Denied => Self::Denied,
            Refusal::Unavailable => Self::Unavailable,
        }
    }
}

impl Problem {
    /// The last part of its type.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::ChallengeExpired => "challenge_expired",
            Self::ChannelMismatch => "channel_mismatch",
            Self::AttestationInvalid => "attestation_invalid",
            Self::Denied => "denied",
            Self::RateLimited(_) => "rate_limited",
            Self::Upstream => "upstream",
            Self::Unavailable => "unavailable",
        }
    }

    const fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(malformed) => malformed.status,
            Self::ChallengeExpired => StatusCode::CONFLICT,
            Self::ChannelMismatch | Self::AttestationInvalid | Self::Denied => {
                StatusCode::FORBIDDEN
            }
            Self::RateLimited(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Upstream => StatusCode::BAD_GATEWAY,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    const fn title(&self) -> &'static str {
        match self {
            Self::Malformed(malformed) => malformed.title,
            Self::ChallengeExpired => "there is no challenge, or it is too old: ask for a new one",
            Self::ChannelMismatch => "the attestation was not made for this connection and request",
            Self::AttestationInvalid => "the attestation is not valid",
            Self::Denied => "this grant gives this workload nothing",
            Self::RateLimited(_) => "too many requests",
            Self::Upstream => "the cloud refused",
            Self::Unavailable => "not now: try again later",
        }
    }

    /// `application/problem+json` (RFC 9457).
    pub(super) fn answer(&self, instance: &str) -> Response<Full<Bytes>> {
        let body = json(256, |out| {
            let mut object = cloudauth_core::json::Object::new(out);
            object.string("type", &format!("urn:libcloudauth:error:{}", self.name()));
            object.number("status", self.status().as_u16().into());
            object.string("title", self.title()).string("instance", instance);
            object.end();
        });
        self.with_headers(response(self.status(), "application/problem+json", body))
    }

    /// As the older brokers answer: a status and a line of text.
    pub(super) fn plain(&self, instance: &str) -> Response<Full<Bytes>> {
        let status = match self.status() {
            status @ (StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS) => status,
            status if status.is_server_error() => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        };
        let text = format!("{}: {} ({instance})\n", self.name(), self.title());
        self.with_headers(response(status, "text/plain; charset=utf-8", text.into()))
    }

    fn with_headers(&self, mut response: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
        let headers = response.headers_mut();
        match self {
            Self::Malformed(Malformed { close: true, .. }) => close(headers),
            Self::Malformed(Malformed { status: StatusCode::METHOD_NOT_ALLOWED, .. }) => {
                headers.insert(ALLOW, HeaderValue::from_static("POST"));
            }
            Self::RateLimited(wait) => {
                headers.insert(RETRY_AFTER, wait.as_secs().saturating_add(1).into());
            }
            _ => {}
        }
        response
    }
}

/// An answer that is not to be kept by anybody.
pub(super) fn response(
    status: StatusCode,
    kind: &'static str,
    body: Bytes,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Closes the connection after this answer.
pub(super) fn close(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
}

/// What `write` writes, in a buffer that is wiped when hyper lets go of it. It has room for `size` octets; where that
/// is too little, `write` is called once more.
pub(super) fn json(size: usize, write: impl Fn(&mut Out<'_>)) -> Bytes {
    let mut octets = Zeroizing::new(vec![0; size]);
    let mut out = Out::new(&mut octets);
    write(&mut out);
    let len = out.len();
    if len > size {
        return json(len, write);
    }
    octets.truncate(len);
    Bytes::from_owner(octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn head(change: impl FnOnce(http::request::Builder) -> http::request::Builder) -> Parts {
        let request = Request::builder().method("POST").uri("/v1/challenge");
        let request = request.header("host", "broker.example:8443").header("content-length", "2");
        change(request).body(()).unwrap().into_parts().0
    }

    fn status(change: impl FnOnce(http::request::Builder) -> http::request::Builder) -> u16 {
        let malformed = check(&head(change)).unwrap_err();
        assert!(malformed.close);
        malformed.status.as_u16()
    }

    fn with(name: &'static str, value: &'static str) -> Parts {
        let mut head = head(|request| request);
        head.headers.insert(name, HeaderValue::from_static(value));
        head
    }

    #[test]
    fn heads() {
        assert_eq!(check(&head(|request| request)), Ok(2));
        assert_eq!(check(&with("content-length", "65536")), Ok(65536));
        assert_eq!(check(&with("host", "[::1]")), Ok(2));
        assert_eq!(status(|request| request.header("transfer-encoding", "chunked")), 501);
        assert_eq!(status(|request| request.header("transfer-encoding", "identity")), 501);
        assert_eq!(status(|request| request.header("expect", "100-continue")), 417);
        assert_eq!(status(|request| request.header("host", "other.example")), 400);
        assert_eq!(status(|request| request.header("content-length", "2")), 411);
        assert_eq!(status(|request| request.uri("https://broker.example/v1/challenge")), 400);
        assert_eq!(status(|request| request.uri("*")), 400);
        assert_eq!(status(|request| request.version(Version::HTTP_10)), 505);
        assert_eq!(status(|request| request.version(Version::HTTP_2)), 505);
        assert_eq!(status(|request| request.method("GET")), 405);
        for (name, value, status) in [
            ("content-length", "+2", 411),
            ("content-length", "2, 2", 411),
            ("content-length", "", 411),
            ("content-length", "0x2", 411),
            ("content-length", "99999999999999999999", 411),
            ("content-length", "65537", 413),
            ("host", "", 400),
            ("host", "a b", 400),
            ("host", "user@broker.example", 400),
        ] {
            let malformed = check(&with(name, value)).unwrap_err();
            assert_eq!(malformed.status.as_u16(), status, "{name}: {value}");
        }
        for missing in ["host", "content-length"] {
            let mut head = head(|request| request);
            head.headers.remove(missing);
            assert!(check(&head).unwrap_err().close);
            head.method = Method::GET;
            assert_eq!(check(&head).is_ok(), missing == "content-length");
        }
    }

    #[test]
    fn content_types() {
        let check = |value| check_json(&with("content-type", value).headers).is_ok();
        for good in ["application/json", "Application/JSON; charset=UTF-8"] {
            assert!(check(good), "{good}");
        }
        for bad in ["", "text/plain", "application/jsonp", "application/json; charset=latin1"] {
            assert!(!check(bad), "{bad}");
        }
        let mut twice = with("content-type", "application/json").headers;
        twice.append("content-type", HeaderValue::from_static("application/json"));
        assert!(check_json(&twice).is_err());
    }

    async fn text(response: Response<Full<Bytes>>) -> String {
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec())
            .unwrap()
    }

    #[tokio::test]
    async fn problems() {
        let answer = Problem::RateLimited(Duration::from_millis(1500)).answer("0a");
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["retry-after"]),
            (429, &"2".parse().unwrap())
        );
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        assert_eq!(
            text(answer).await,
            "{\"type\":\"urn:libcloudauth:error:rate_limited\",\"status\":429,\"title\":\"too many requests\",\
             \"instance\":\"0a\"}"
        );
        let plain = Problem::Upstream.plain("0a");
        assert_eq!(plain.status(), 500);
        assert_eq!(text(plain).await, "upstream: the cloud refused (0a)\n");
        assert_eq!(Problem::ChallengeExpired.plain("0a").status(), 400);
        assert_eq!(Problem::from(Refusal::Denied).plain("0a").status(), 403);
    }

    #[test]
    fn buffers_grow_once() {
        let text = |size| json(size, |out| cloudauth_core::Sink::text(out, "0123456789"));
        assert_eq!(text(3), text(100));
        assert_eq!(&text(10)[..], b"0123456789");
    }
}
