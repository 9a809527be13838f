//! AWS Signature Version 4: in headers, or in the query of a presigned URL.
//!
//! ```
//! use cloudauth_core::UnixTime;
//! use cloudauth_core::aws::sigv4::{Payload, Request, SigV4};
//! use cloudauth_core::aws::{SecretAccessKey, SigningKey};
//!
//! let now = UnixTime::parse("2015-08-30T12:36:00Z")?;
//! let secret = SecretAccessKey::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")?;
//! let key = SigningKey::derive(&secret, now, "us-east-1", "service")?; // keep it for the day
//! let request = Request {
//!     method: "GET",
//!     path: "/",
//!     query: "",
//!     headers: &[("Host", "example.amazonaws.com")],
//!     payload: Payload::Bytes(b""),
//! };
//! let mut buf = [0u8; 512];
//! let signed = SigV4::new("AKIDEXAMPLE", &key).sign(&request, now, &mut buf)?;
//! assert!(signed.signature().starts_with("5fa00fa31553b73ebf1942676e86291e8372ff2a"));
//! for (name, value) in signed.headers() {
//!     assert!(name == "x-amz-date" || name == "Authorization" && value.len() > 100);
//! }
//! # Ok::<(), cloudauth_core::Error>(())
//! ```

use core::fmt;

use super::canonical::{Canonical, Header, HeaderOrder, Pair, PairValue, any, query_has};
use super::signing_key::SigningKey;
use crate::digest::{Sha256, sha256};
use crate::encode::hex;
use crate::out::decimal;
use crate::{Error, Out, Result, Sink, UnixTime};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// The request to sign. Nothing of it is copied, and nothing has a size limit.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The method, in upper case.
    pub method: &'a str,
    /// The path as on the request line, without the query.
    pub path: &'a str,
    /// The query without its `?`; empty when there is none.
    pub query: &'a str,
    /// Every header that is sent, `Host` among them. `Authorization`, `User-Agent`,
    /// `Transfer-Encoding`, `X-Amzn-Trace-Id` are not signed; a header that signing adds replaces one of
    /// the same name.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub payload: Payload<'a>,
}

/// What is signed of the body.
#[derive(Clone, Copy)]
pub enum Payload<'a> {
    /// The body itself (empty for none), hashed here.
    Bytes(&'a [u8]),
    /// The SHA-256 of a body that is hashed elsewhere.
    Sha256([u8; 32]),
    /// Nothing: the literal `UNSIGNED-PAYLOAD`. S3 over TLS accepts it.
    Unsigned,
    /// The literal `STREAMING-UNSIGNED-PAYLOAD-TRAILER`: S3 uploads in chunks with a checksum behind.
    StreamingUnsignedTrailer,
}

/// A signature's parameters: who signs, with which derived key, and how.
#[derive(Clone, Copy)]
pub struct SigV4<'a> {
    /// The access key id.
    pub access_key_id: &'a str,
    /// The session token of temporary credentials.
    pub session_token: Option<&'a str>,
    /// The key derived for the day, the region and the service.
    pub key: &'a SigningKey,
    /// How the request is put in canonical form.
    pub settings: Settings,
}

/// How services differ in reading a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Resolve `.`, `..` and repeated slashes in the path. Every service but S3.
    pub normalize_path: bool,
    /// Percent-encode the path, as it is on the request line, once more. Every service but S3.
    pub double_encode: bool,
    /// Add `X-Amz-Content-Sha256`. S3 demands it.
    pub content_sha256_header: bool,
    /// Add the session token after signing, without signing it. Few services demand it.
    pub session_token_after_signing: bool,
}

impl Settings {
    /// For S3: the path as it is, and the payload's hash in a header.
    pub const S3: Self = Self {
        normalize_path: false,
        double_encode: false,
        content_sha256_header: true,
        session_token_after_signing: false,
    };
}

impl Default for Settings {
    /// For every service but S3.
    fn default() -> Self {
        Self {
            normalize_path: true,
            double_encode: true,
            content_sha256_header: false,
            session_token_after_signing: false,
        }
    }
}

/// Where the signature goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The `Authorization` header.
    Headers,
    /// The query: a presigned URL, good for `expires` seconds (1 to 604,800).
    Query {
        /// Seconds from the time of signing.
        expires: u32,
    },
}

/// The headers to add to a request that was signed.
#[derive(Clone, Copy)]
pub struct Signed<'b> {
    head: &'b str,
}

impl<'b> Signed<'b> {
    /// The headers to add as lines: `name: value`, CR LF between them and none at the end.
    #[must_use]
    pub const fn head(&self) -> &'b str {
        self.head
    }

    /// Name and value of each header to add, `Authorization` last. They replace the request's headers of
    /// the same names.
    pub fn headers(&self) -> impl Iterator<Item = (&'b str, &'b str)> + use<'b> {
        self.head.split("\r\n").filter_map(|line| line.split_once(": "))
    }

    /// The value of `Authorization`.
    #[must_use]
    pub fn authorization(&self) -> &'b str {
        self.headers().last().map_or("", |(_, value)| value)
    }

    /// The signature: 64 hexadecimal digits.
    #[must_use]
    pub fn signature(&self) -> &'b str {
        let at = self.head.len().saturating_sub(64);
        self.head.get(at..).unwrap_or_default()
    }
}

impl fmt::Debug for Signed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.headers().map(|(name, _)| name)).finish()
    }
}

impl<'a> SigV4<'a> {
    /// Long-term credentials and default settings.
    #[must_use]
    pub fn new(access_key_id: &'a str, key: &'a SigningKey) -> Self {
        Self { access_key_id, session_token: None, key, settings: Settings::default() }
    }

    /// Signs in headers: gives the lines to add, separated by CR LF in `buf`.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) when a part of the request cannot be signed (the error
    /// names it); [`Mismatch`](crate::ErrorKind::Mismatch) when the key is of another day;
    /// [`BufferTooSmall`](crate::ErrorKind::BufferTooSmall).
    pub fn sign<'b>(
        &self,
        request: &Request<'_>,
        time: UnixTime,
        buf: &'b mut [u8],
    ) -> Result<Signed<'b>> {
        let mut out = Out::new(buf);
        self.sign_onto(request, time, &mut out)?;
        Ok(Signed { head: finished(out)? })
    }

    /// The lines that [`sign`](Self::sign) gives, behind what `out` already holds.
    pub(crate) fn sign_onto(
        &self,
        request: &Request<'_>,
        time: UnixTime,
        out: &mut Out<'_>,
    ) -> Result<()> {
        self.with_canonical(request, time, Form::Headers, |canonical, order, date| {
            self.key.check_day(date)?;
            let signature = self.signature(canonical, order, date);
            for (name, value) in canonical.added {
                out.text(name);
                out.text(": ");
                out.text(value);
                out.text("\r\n");
            }
            if self.settings.session_token_after_signing
                && let Some(token) = self.session_token
            {
                for part in ["x-amz-security-token: ", token, "\r\n"] {
                    out.text(part);
                }
            }
            out.text("Authorization: AWS4-HMAC-SHA256 Credential=");
            out.text(self.access_key_id);
            out.text("/");
            out.put(self.key.scope_octets());
            out.text(", SignedHeaders=");
            canonical.write_signed_headers(order, out);
            out.text(", Signature=");
            out.put(&signature);
            Ok(())
        })
    }

    /// Signs in the query: gives path and query of the presigned URL, for a request line.
    ///
    /// # Errors
    /// As [`sign`](Self::sign), and [`Invalid`](crate::ErrorKind::Invalid) when `expires` is not 1 to
    /// 604,800 seconds or the query already has a parameter that signing adds.
    pub fn presign<'b>(
        &self,
        request: &Request<'_>,
        time: UnixTime,
        expires: u32,
        buf: &'b mut [u8],
    ) -> Result<&'b str> {
        self.with_canonical(request, time, Form::Query { expires }, |canonical, order, date| {
            self.key.check_day(date)?;
            let signature = self.signature(canonical, order, date);
            let mut out = Out::new(buf);
            out.text(if request.path.is_empty() { "/" } else { request.path });
            let mut separator = "?";
            if !request.query.is_empty() {
                out.text("?");
                out.text(request.query);
                separator = "&";
            }
            for pair in canonical.pairs {
                for part in [separator, pair.name, "="] {
                    out.text(part);
                }
                separator = "&";
                canonical.write_pair_value(pair.value, order, &mut out);
            }
            if self.settings.session_token_after_signing
                && let Some(token) = self.session_token
            {
                out.text("&X-Amz-Security-Token=");
                crate::encode::percent::encode(token.as_bytes(), &mut out);
            }
            out.text("&X-Amz-Signature=");
            out.put(&signature);
            finished(out)
        })
    }

    /// Writes the canonical request, to show why a signature does not match. Signing itself never holds
    /// it in memory.
    ///
    /// # Errors
    /// As [`sign`](Self::sign).
    pub fn canonical_request(
        &self,
        request: &Request<'_>,
        time: UnixTime,
        form: Form,
        out: &mut impl Sink,
    ) -> Result<()> {
        self.with_canonical(request, time, form, |canonical, order, _| {
            canonical.write(order, out);
            Ok(())
        })
    }

    /// Writes the string to sign, to show why a signature does not match.
    ///
    /// # Errors
    /// As [`sign`](Self::sign).
    pub fn string_to_sign(
        &self,
        request: &Request<'_>,
        time: UnixTime,
        form: Form,
        out: &mut impl Sink,
    ) -> Result<()> {
        self.with_canonical(request, time, form, |canonical, order, date| {
            write_string_to_sign(date, self.key, canonical, order, out);
            Ok(())
        })
    }

    fn signature(&self, canonical: &Canonical<'_>, order: &HeaderOrder, date: &str) -> [u8; 64] {
        let mut mac = self.key.mac();
        write_string_to_sign(date, self.key, canonical, order, &mut mac);
        hex::digest(&mac.finish())
    }

    fn with_canonical<T>(
        &self,
        request: &Request<'_>,
        time: UnixTime,
        form: Form,
        then: impl FnOnce(&Canonical<'_>, &HeaderOrder, &str) -> Result<T>,
    ) -> Result<T> {
        let plain =
            |s: &str, but: u8| !s.is_empty() && !any(s, |c| !c.is_ascii_graphic() | (c == but));
        if !plain(self.access_key_id, b'/') {
            return Err(Error::invalid("access key id", "expected printable characters, no slash"));
        }
        if !self.session_token.is_none_or(|token| plain(token, b' ')) {
            return Err(Error::invalid(
                "session token",
                "expected printable characters, no spaces",
            ));
        }
        let hash;
        let payload: &[u8] = match request.payload {
            Payload::Bytes([]) => EMPTY_SHA256.as_bytes(),
            Payload::Bytes(bytes) => {
                hash = hex::digest(&sha256(bytes));
                &hash
            }
            Payload::Sha256(digest) => {
                hash = hex::digest(&digest);
                &hash
            }
            Payload::Unsigned => b"UNSIGNED-PAYLOAD",
            Payload::StreamingUnsignedTrailer => b"STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        };
        let date = time.basic();
        let date = ascii(&date);
        let token = self.session_token.filter(|_| !self.settings.session_token_after_signing);
        let mut canonical = Canonical {
            method: request.method,
            path: request.path,
            normalize_path: self.settings.normalize_path,
            double_encode: self.settings.double_encode,
            query: request.query,
            pairs: &[],
            headers: request.headers,
            added: &[],
            unsigned: &[],
            payload,
        };
        // The service takes the payload's hash from this header where there is one.
        let stated = |(name, value): &Header<'_>| {
            name.eq_ignore_ascii_case("x-amz-content-sha256") && value.trim().as_bytes() != payload
        };
        let replaced = self.settings.content_sha256_header && form == Form::Headers;
        if !replaced && request.headers.iter().any(stated) {
            return Err(Error::mismatch(
                "X-Amz-Content-Sha256",
                "the request's own header is not the payload's; leave it out, or give that payload",
            ));
        }
        match form {
            Form::Headers => {
                let mut added: [Header<'_>; 3] = [("x-amz-date", date); 3];
                let mut extra = added.iter_mut().skip(1);
                let optional = [
                    token.map(|token| ("x-amz-security-token", token)),
                    self.settings
                        .content_sha256_header
                        .then(|| ("x-amz-content-sha256", ascii(payload))),
                ];
                let mut count = 1;
                for (header, slot) in optional.into_iter().flatten().zip(&mut extra) {
                    *slot = header;
                    count += 1;
                }
                canonical.added = added.get(..count).unwrap_or_default();
                if self.settings.session_token_after_signing {
                    canonical.unsigned = &["x-amz-security-token"];
                }
                let order = canonical.header_order(canonical.check()?);
                then(&canonical, &order, date)
            }
            Form::Query { expires } => {
                if !(1..=604_800).contains(&expires) {
                    return Err(Error::invalid("expires", "must be 1 to 604800 seconds"));
                }
                let mut digits = [0u8; 6];
                let mut out = Out::new(&mut digits);
                decimal(&mut out, u64::from(expires));
                let expires = ascii(out.finish()?);
                let credential = PairValue::Credential {
                    access_key_id: self.access_key_id,
                    scope: self.key.scope(),
                };
                let pair = |name, value| Pair { name, value };
                // In the order of AWS's examples; a token is last so that it can be left out.
                let pairs = [
                    pair("X-Amz-Algorithm", PairValue::Text(ALGORITHM)),
                    pair("X-Amz-Credential", credential),
                    pair("X-Amz-Date", PairValue::Text(date)),
                    pair("X-Amz-Expires", PairValue::Text(expires)),
                    pair("X-Amz-SignedHeaders", PairValue::SignedHeaders),
                    pair("X-Amz-Security-Token", PairValue::Text(token.unwrap_or_default())),
                ];
                let taken = |pair: &Pair<'_>| query_has(request.query, pair.name);
                if pairs.iter().any(taken) || query_has(request.query, "X-Amz-Signature") {
                    return Err(Error::invalid(
                        "query",
                        "is already signed; remove the X-Amz- parameters",
                    ));
                }
                let count = pairs.len() - usize::from(token.is_none());
                canonical.pairs = pairs.get(..count).unwrap_or_default();
                // A presigned URL is used by whoever holds it, with headers of their own.
                canonical.unsigned = &["x-amz-user-agent", "x-amz-checksum-mode"];
                let order = canonical.header_order(canonical.check()?);
                then(&canonical, &order, date)
            }
        }
    }
}

/// The SHA-256 of nothing.
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Writes the string to sign: the canonical request goes straight into its hash.
fn write_string_to_sign(
    date: &str,
    key: &SigningKey,
    canonical: &Canonical<'_>,
    order: &HeaderOrder,
    out: &mut impl Sink,
) {
    out.text(ALGORITHM);
    out.text("\n");
    out.text(date);
    out.text("\n");
    out.put(key.scope_octets());
    out.text("\n");
    let mut hash = Sha256::new();
    canonical.write(order, &mut hash);
    out.put(&hex::digest(&hash.finish()));
}

fn ascii(bytes: &[u8]) -> &str {
    core::str::from_utf8(bytes).unwrap_or_default()
}

fn finished(out: Out<'_>) -> Result<&str> {
    let text = out.finish()?;
    core::str::from_utf8(text).map_err(|_| Error::invalid("request", "is not UTF-8"))
}
