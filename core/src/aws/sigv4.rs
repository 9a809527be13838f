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

pub use super::canonical::HeaderList;
use super::canonical::{ADDED, AddedPairs, Canonical, HeaderOrder, Headers, query_has};
use super::class::{NO_GRAPHIC, has};
use super::signing_key::SigningKey;
use crate::digest::{Sha256, sha256};
use crate::encode::{hex, percent};
use crate::http::header_lines;
use crate::out::decimal;
use crate::{Error, Out, Result, SMALL, Sink, UnixTime};

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
        header_lines(self.head)
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
        self.sign_onto(request, None, time, &mut out)?;
        Ok(Signed { head: finished(out)? })
    }

    /// Writes the lines that [`sign`](Self::sign) gives behind what `out` already holds, for whoever has the
    /// headers in another form: `headers` take the place of the request's. Gives where in `out` the value
    /// of `Authorization` starts; it reaches to the end.
    ///
    /// # Errors
    /// As [`sign`](Self::sign); a buffer that is too small shows when `out` is finished.
    pub fn sign_onto(
        &self,
        request: &Request<'_>,
        headers: Option<&dyn HeaderList>,
        time: UnixTime,
        out: &mut Out<'_>,
    ) -> Result<usize> {
        self.in_headers(request, headers, time, |canonical, order, date| {
            self.key.check_day(date)?;
            // A processor that fetches ahead does better to read nothing back that was just written in pieces.
            let mut tag = [0; 32];
            if !SMALL {
                let names = |hash: &mut Sha256| canonical.write_signed_headers(order, hash);
                self.tag(date, |hash| hash_of(canonical, order, names, hash), &mut tag);
            }
            for (name, value) in ADDED.iter().zip(canonical.added) {
                if !value.is_empty() {
                    put_line(name, value, out);
                }
            }
            if self.settings.session_token_after_signing
                && let Some(token) = self.session_token
            {
                put_line("x-amz-security-token", token.as_bytes(), out);
            }
            out.text("Authorization: ");
            let start = out.len();
            out.text("AWS4-HMAC-SHA256 Credential=");
            out.text(self.access_key_id);
            out.octet(b'/');
            out.put(self.key.scope_octets());
            out.text(", SignedHeaders=");
            let from = out.len();
            canonical.write_signed_headers(order, out);
            let to = out.len();
            out.text(", Signature=");
            match out.written(from, to) {
                _ if !SMALL => {}
                // They did not fit, so that nothing but the size is asked for.
                [] => {}
                names => {
                    let names = |hash: &mut Sha256| hash.put(names);
                    self.tag(date, |hash| hash_of(canonical, order, names, hash), &mut tag);
                }
            }
            hex::put_digest(&tag, out);
            Ok(start)
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
        self.presign_list(request, None, time, expires, buf)
    }

    /// As [`presign`](Self::presign), for whoever has the headers in another form: `headers` take the place
    /// of the request's.
    ///
    /// # Errors
    /// As [`presign`](Self::presign).
    pub fn presign_list<'b>(
        &self,
        request: &Request<'_>,
        headers: Option<&dyn HeaderList>,
        time: UnixTime,
        expires: u32,
        buf: &'b mut [u8],
    ) -> Result<&'b str> {
        self.in_query(request, headers, time, expires, |canonical, order, date| {
            self.key.check_day(date)?;
            let mut tag = [0; 32];
            let names = |hash: &mut Sha256| canonical.write_signed_headers(order, hash);
            self.tag(date, |hash| hash_of(canonical, order, names, hash), &mut tag);
            let mut out = Out::new(buf);
            out.text(if request.path.is_empty() { "/" } else { request.path });
            let mut separator = "?";
            if !request.query.is_empty() {
                out.text("?");
                out.text(request.query);
                separator = "&";
            }
            let mut number = 0;
            while let Some(name) = canonical.pairs.name(number) {
                for part in [separator, name, "="] {
                    out.text(part);
                }
                separator = "&";
                canonical.pairs.write_value(number, canonical, order, &mut out);
                number += 1;
            }
            if self.settings.session_token_after_signing
                && let Some(token) = self.session_token
            {
                out.text("&X-Amz-Security-Token=");
                percent::encode(token.as_bytes(), &mut out);
            }
            out.text("&X-Amz-Signature=");
            hex::put_digest(&tag, &mut out);
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
            let mut hash = Sha256::new();
            canonical.write(order, &mut hash);
            write_scope_to_sign(date, self.key, out);
            hex::put_digest(&hash.finish(), out);
            Ok(())
        })
    }

    /// The tag over the string to sign, in which the canonical request has the hash that `hash` gives.
    fn tag(&self, date: &[u8; 16], hash: impl FnOnce(&mut [u8; 32]), tag: &mut [u8; 32]) {
        if SMALL {
            // The MAC does not lie on the stack meanwhile.
            let mut digest = [0; 32];
            hash(&mut digest);
            return self.tag_over(date, |mac| hex::put_digest(&digest, mac), tag);
        }
        // The other way about, what was written in pieces would be read as a block at once.
        let put = |mac: &mut Sha256| {
            let mut digest = [0; 32];
            hash(&mut digest);
            hex::put_digest(&digest, mac);
        };
        self.tag_over(date, put, tag);
    }

    #[cfg_attr(all(target_os = "none", target_pointer_width = "32"), inline(never))]
    fn tag_over(&self, date: &[u8; 16], hash: impl FnOnce(&mut Sha256), tag: &mut [u8; 32]) {
        let write = |mac: &mut Sha256| {
            write_scope_to_sign(date, self.key, mac);
            hash(mac);
        };
        self.key.tag_of(write, tag);
    }

    fn with_canonical<T>(
        &self,
        request: &Request<'_>,
        time: UnixTime,
        form: Form,
        then: impl FnOnce(&Canonical<'_>, &HeaderOrder, &[u8; 16]) -> Result<T>,
    ) -> Result<T> {
        match form {
            Form::Headers => self.in_headers(request, None, time, then),
            Form::Query { expires } => self.in_query(request, None, time, expires, then),
        }
    }

    /// Calls `then` with the canonical form of a request that is signed in its headers.
    #[inline(always)]
    fn in_headers<T>(
        &self,
        request: &Request<'_>,
        headers: Option<&dyn HeaderList>,
        time: UnixTime,
        then: impl FnOnce(&Canonical<'_>, &HeaderOrder, &[u8; 16]) -> Result<T>,
    ) -> Result<T> {
        let (date, mut hash) = (time.basic(), [0; 64]);
        let mut canonical = self.canonical(request, headers);
        canonical.payload = payload(&request.payload, &mut hash);
        let token = self.signed_token().unwrap_or_default();
        canonical.added = [&date, token.as_bytes(), &[]];
        if self.settings.content_sha256_header {
            let [.., content] = &mut canonical.added;
            *content = canonical.payload;
        }
        if self.settings.session_token_after_signing {
            canonical.unsigned = &["x-amz-security-token"];
        }
        let order = canonical.header_order(self.check(&canonical)?);
        then(&canonical, &order, &date)
    }

    /// Calls `then` with the canonical form of a request that is signed in its query.
    #[inline(always)]
    fn in_query<T>(
        &self,
        request: &Request<'_>,
        headers: Option<&dyn HeaderList>,
        time: UnixTime,
        expires: u32,
        then: impl FnOnce(&Canonical<'_>, &HeaderOrder, &[u8; 16]) -> Result<T>,
    ) -> Result<T> {
        let (date, mut hash) = (time.basic(), [0; 64]);
        let mut canonical = self.canonical(request, headers);
        canonical.payload = payload(&request.payload, &mut hash);
        if !(1..=604_800).contains(&expires) {
            return Err(Error::invalid("expires", "must be 1 to 604800 seconds"));
        }
        let mut digits = [0u8; 6];
        let mut out = Out::new(&mut digits);
        decimal(&mut out, u64::from(expires));
        let pairs = Presigned { by: self, date: &date, expires: out.finish()? };
        let taken = |name: &&str| query_has(request.query, name);
        if Presigned::NAMES.iter().any(taken) || query_has(request.query, "X-Amz-Signature") {
            return Err(Error::invalid("query", "is already signed; remove the X-Amz- parameters"));
        }
        canonical.pairs = &pairs;
        // A presigned URL is used by whoever holds it, with headers of their own.
        canonical.unsigned = &["x-amz-user-agent", "x-amz-checksum-mode"];
        let order = canonical.header_order(self.check(&canonical)?);
        then(&canonical, &order, &date)
    }

    /// The session token, if it is signed.
    fn signed_token(&self) -> Option<&'a str> {
        self.session_token.filter(|_| !self.settings.session_token_after_signing)
    }

    /// What the canonical forms have in common.
    fn canonical<'c>(
        &self,
        request: &Request<'c>,
        headers: Option<&'c dyn HeaderList>,
    ) -> Canonical<'c> {
        Canonical {
            method: request.method,
            path: request.path,
            normalize_path: self.settings.normalize_path,
            double_encode: self.settings.double_encode,
            query: request.query,
            pairs: &(),
            headers: headers.map_or(Headers::Slice(request.headers), Headers::List),
            added: [&[]; 3],
            unsigned: &[],
            payload: &[],
        }
    }

    /// Refuses what cannot be signed. Gives what [`Canonical::check`] gives.
    fn check(&self, canonical: &Canonical<'_>) -> Result<bool> {
        let id = self.access_key_id.as_bytes();
        // Looked for octet by octet: the library's search is long.
        let slash = id.iter().fold(false, |found, c| found | (*c == b'/'));
        if id.is_empty() || has::<NO_GRAPHIC>(id) || slash {
            return Err(Error::invalid("access key id", "expected printable characters, no slash"));
        }
        if let Some(token) = self.session_token
            && (token.is_empty() || has::<NO_GRAPHIC>(token.as_bytes()))
        {
            return Err(Error::invalid(
                "session token",
                "expected printable characters, no spaces",
            ));
        }
        canonical.check()
    }
}

/// The payload's hash in hexadecimal, or what stands for it.
#[cfg_attr(all(target_os = "none", target_pointer_width = "32"), inline(never))]
fn payload<'p>(payload: &Payload<'_>, hash: &'p mut [u8; 64]) -> &'p [u8] {
    let made;
    let digest = match payload {
        Payload::Bytes([]) => return EMPTY_SHA256.as_bytes(),
        Payload::Bytes(bytes) => {
            made = sha256(bytes);
            &made
        }
        Payload::Sha256(digest) => digest,
        Payload::Unsigned => return b"UNSIGNED-PAYLOAD",
        Payload::StreamingUnsignedTrailer => return b"STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    };
    hex::write(digest, hash);
    hash
}

/// What a presigned URL says in its query.
struct Presigned<'a> {
    by: &'a SigV4<'a>,
    date: &'a [u8],
    expires: &'a [u8],
}

impl Presigned<'_> {
    /// In the order of AWS's examples; the token is last so that it can be left out.
    const NAMES: [&'static str; 6] = [
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Date",
        "X-Amz-Expires",
        "X-Amz-SignedHeaders",
        "X-Amz-Security-Token",
    ];
}

impl AddedPairs for Presigned<'_> {
    fn name(&self, number: usize) -> Option<&'static str> {
        Self::NAMES.get(number).copied().filter(|_| number < 5 || self.by.signed_token().is_some())
    }

    fn write_value(
        &self,
        number: usize,
        canonical: &Canonical<'_>,
        order: &HeaderOrder,
        out: &mut dyn Sink,
    ) {
        let mut encode = |text: &[u8]| percent::encode(text, out);
        match number {
            0 => encode(ALGORITHM.as_bytes()),
            1 => {
                encode(self.by.access_key_id.as_bytes());
                encode(b"/");
                encode(self.by.key.scope_octets());
            }
            2 => encode(self.date),
            3 => encode(self.expires),
            4 => canonical.signed_names(order, |name, first| {
                if !first {
                    out.put(b"%3B");
                }
                for c in name {
                    percent::encode(&[c.to_ascii_lowercase()], out);
                }
            }),
            _ => encode(self.by.signed_token().unwrap_or_default().as_bytes()),
        }
    }
}

/// The SHA-256 of nothing.
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The hash of a canonical request; `names` adds those of the signed headers.
#[cfg_attr(all(target_os = "none", target_pointer_width = "32"), inline(never))]
fn hash_of(
    canonical: &Canonical<'_>,
    order: &HeaderOrder,
    names: impl FnOnce(&mut Sha256),
    digest: &mut [u8; 32],
) {
    let mut hash = Sha256::new();
    canonical.write_headers(order, &mut hash);
    names(&mut hash);
    canonical.write_payload(&mut hash);
    hash.end(digest);
}

/// Writes the string to sign up to the hash of the canonical request, which is its end.
fn write_scope_to_sign(date: &[u8; 16], key: &SigningKey, out: &mut impl Sink) {
    out.text(ALGORITHM);
    out.octet(b'\n');
    out.put(date);
    out.octet(b'\n');
    out.put(key.scope_octets());
    out.octet(b'\n');
}

/// Writes a header line.
fn put_line(name: &str, value: &[u8], out: &mut Out<'_>) {
    out.text(name);
    out.text(": ");
    out.put(value);
    out.text("\r\n");
}

fn finished(out: Out<'_>) -> Result<&str> {
    let text = out.finish()?;
    core::str::from_utf8(text).map_err(|_| Error::invalid("request", "is not UTF-8"))
}
