//! The one shape of every credential flow: a request to build and sign, an answer to read.

mod detached;

use core::fmt::{self, Write as _};

use crate::encode::{base64, hex};
use crate::http::{HttpRequest, ResponseHead};
use crate::out::{Out, Sink};
use crate::signer::{
    MAX_ECDSA_DER_LEN, MAX_SIGNATURE_LEN, Scheme, Signer, ToSign, derive, ecdsa_der_from_raw,
    sign_into,
};
use crate::verifier::PublicKey;
use crate::{Error, Result, UnixTime};

pub use detached::{Detached, DetachedJws};

/// What a flow must be told because this crate reads no clock and no random source. Make a new one for
/// every try: token ids, salts and retry tokens come from it.
#[derive(Clone)]
pub struct Attempt {
    time: UnixTime,
    random: [u8; 32],
}

impl Attempt {
    /// The present time, and 32 octets from the system's random source.
    #[must_use]
    pub const fn new(time: UnixTime, random: [u8; 32]) -> Self {
        Self { time, random }
    }

    /// The time of this try.
    #[must_use]
    pub const fn time(&self) -> UnixTime {
        self.time
    }

    /// A token id (`jti`): a version 4 UUID (RFC 9562, section 5.4) made from the random octets, which
    /// it does not give away.
    #[must_use]
    pub fn uuid(&self) -> [u8; 36] {
        let mut bits = [0u8; 16];
        for (to, from) in bits.iter_mut().zip(derive(&self.random, b"jti")) {
            *to = from;
        }
        bits[6] = bits[6] & 0x0f | 0x40;
        bits[8] = bits[8] & 0x3f | 0x80;
        let mut text = [b'-'; 36];
        let mut out = Out::new(&mut text);
        let mut rest = bits.as_slice();
        for group in [4, 2, 2, 2, 6] {
            let (now, later) = rest.split_at_checked(group).unwrap_or_default();
            if rest.len() < 16 {
                out.put(b"-");
            }
            hex::encode(now, &mut out);
            rest = later;
        }
        text
    }

    /// The message, with this attempt's entropy at hand for whoever signs it.
    #[must_use]
    pub const fn to_sign<'a>(&'a self, message: &'a [u8]) -> ToSign<'a> {
        ToSign::new(message, &self.random)
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Attempt({})", self.time.as_secs())
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.random);
    }
}

/// One credential flow: STS, Roles Anywhere, Entra, Google, a broker. The value that implements it holds
/// the flow's parameters.
///
/// With a [`Signer`] at hand, call [`request`](Self::request). Where signing happens elsewhere (another
/// task, a remote service, C), call [`prepare`](Self::prepare), sign what [`Prepared::to_sign`] gives,
/// and hand the signature to [`Prepared::finish`]. Flows without a signer are [`build`](Self::build)t.
/// Send the request, and give the answer to [`response`](Self::response).
pub trait Exchange {
    /// What a good answer holds, as slices into its body.
    type Output<'b>;

    /// Writes the request, but for its signature. Flows implement this; callers use the methods below.
    ///
    /// # Errors
    /// Whatever is wrong with the parameters. A buffer that is too small is not this method's matter.
    fn write(&self, at: &Attempt, draft: &mut Draft<'_>) -> Result<()>;

    /// The SubjectPublicKeyInfo that must sign, for flows that also send a certificate.
    fn certified_key(&self) -> Option<&[u8]> {
        None
    }

    /// Reads an answer. Strings are unescaped in place, so `body` is changed.
    ///
    /// # Errors
    /// [`Failure::Service`] when the service says no, [`Failure::Answer`] when its answer cannot be
    /// understood.
    fn response<'b>(
        &self,
        head: &ResponseHead<'b>,
        body: &'b mut [u8],
    ) -> core::result::Result<Self::Output<'b>, Failure<'b>>;

    /// The buffer size in octets for a signature of `signature_len` octets (0 where nothing is signed).
    ///
    /// # Errors
    /// As [`write`](Self::write).
    fn needed(&self, at: &Attempt, signature_len: usize) -> Result<usize> {
        let mut draft = Draft::new(&mut []);
        self.write(at, &mut draft)?;
        Ok(draft.needed(signature_len))
    }

    /// The first of two steps: everything but the signature. The buffer must have room for the largest
    /// signature of the scheme (RSA: [`MAX_SIGNATURE_LEN`]), so that the second step does not fail after
    /// a device has signed.
    ///
    /// # Errors
    /// As [`write`](Self::write); [`BufferTooSmall`](crate::ErrorKind::BufferTooSmall).
    fn prepare<'b>(&self, at: &Attempt, buf: &'b mut [u8]) -> Result<Prepared<'b>> {
        let mut draft = Draft::new(buf);
        self.write(at, &mut draft)?;
        let room = draft.layout.signing.map_or(0, |s| max_signature_len(s.scheme));
        draft.seal(at, room)
    }

    /// The whole request of a flow that no [`Signer`] has a part in: nothing is signed, or a derived key
    /// that the flow holds signs while it writes, as in STS.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare); [`Invalid`](crate::ErrorKind::Invalid) when a signer is needed.
    fn build<'b>(&self, at: &Attempt, buf: &'b mut [u8]) -> Result<HttpRequest<'b>> {
        let prepared = self.prepare(at, buf)?;
        if prepared.to_sign().is_some() {
            return Err(Error::invalid("signer", "this request needs one; call request with it"));
        }
        prepared.finish(&[])
    }

    /// Both steps in one, with a signer at hand. The capacity is checked before the signer is asked.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare); [`Mismatch`](crate::ErrorKind::Mismatch) when the signer's key is
    /// not the certificate's; [`Signer`](crate::ErrorKind::Signer) when signing fails.
    fn request<'b>(
        &self,
        signer: &dyn Signer,
        at: &Attempt,
        buf: &'b mut [u8],
    ) -> Result<HttpRequest<'b>> {
        check_certified(self.certified_key(), signer)?;
        let mut draft = Draft::new(buf);
        self.write(at, &mut draft)?;
        let room = match draft.layout.signing {
            Some(signing) => {
                check_signature_room(signer, signing.scheme)?;
                signer.max_signature_len(signing.scheme)
            }
            None => 0,
        };
        let prepared = draft.seal(at, room)?;
        let mut space = [0u8; MAX_SIGNATURE_LEN];
        let signature = match prepared.to_sign() {
            Some((scheme, to_sign)) => sign_into(signer, scheme, &to_sign, &mut space)?,
            None => &[],
        };
        prepared.finish(signature)
    }
}

/// A compact JWS (RFC 7515) that a key signs: a self-signed Google token, an Azure client assertion, a
/// subject token. The same two ways as an [`Exchange`]: [`sign`](Self::sign) at once, or
/// [`prepare`](Self::prepare) and [`PreparedJws::finish`].
pub trait Assertion {
    /// The scheme it is signed with.
    fn scheme(&self) -> Scheme;

    /// The SubjectPublicKeyInfo that must sign, for assertions that name a certificate.
    fn certified_key(&self) -> Option<&[u8]> {
        None
    }

    /// Writes the signing input: header and claims in base64url, joined by a dot.
    ///
    /// # Errors
    /// Whatever is wrong with the parameters.
    fn write(&self, at: &Attempt, out: &mut Out<'_>) -> Result<()>;

    /// The buffer size in octets for a signature of `signature_len` octets.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    fn needed(&self, at: &Attempt, signature_len: usize) -> Result<usize> {
        let mut out = Out::new(&mut []);
        self.write(at, &mut out)?;
        Ok(out.len() + 1 + base64::url_encoded_len(signature_len))
    }

    /// The first of two steps: the signing input, with room for the largest signature of the scheme.
    ///
    /// # Errors
    /// As [`write`](Self::write); [`BufferTooSmall`](crate::ErrorKind::BufferTooSmall).
    fn prepare<'b>(&self, at: &Attempt, buf: &'b mut [u8]) -> Result<PreparedJws<'b>> {
        prepare_jws(self, at, max_signature_len(self.scheme()), buf)
    }

    /// Both steps in one: the finished token.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare); [`Mismatch`](crate::ErrorKind::Mismatch) when the signer's key is
    /// not the certificate's; [`Signer`](crate::ErrorKind::Signer) when signing fails.
    fn sign<'b>(&self, signer: &dyn Signer, at: &Attempt, buf: &'b mut [u8]) -> Result<&'b str> {
        check_certified(self.certified_key(), signer)?;
        let scheme = self.scheme();
        check_signature_room(signer, scheme)?;
        let prepared = prepare_jws(self, at, signer.max_signature_len(scheme), buf)?;
        let mut space = [0u8; MAX_SIGNATURE_LEN];
        let signature = sign_into(signer, scheme, &prepared.to_sign().1, &mut space)?;
        prepared.finish(signature)
    }
}

fn prepare_jws<'b, A: Assertion + ?Sized>(
    assertion: &A,
    at: &Attempt,
    signature_len: usize,
    buf: &'b mut [u8],
) -> Result<PreparedJws<'b>> {
    let mut out = Out::new(&mut *buf);
    assertion.write(at, &mut out)?;
    let len = out.len();
    let needed = len + 1 + base64::url_encoded_len(signature_len);
    if buf.len() < needed {
        return Err(Error::too_small("token buffer", needed));
    }
    let rest = DetachedJws { len, scheme: assertion.scheme(), at: at.clone() };
    Ok(PreparedJws { buf, rest })
}

/// The largest signature of a scheme; for RSA, of the largest key this crate has room for.
const fn max_signature_len(scheme: Scheme) -> usize {
    match scheme.coordinate_len() {
        Some(size) => 2 * size,
        None => MAX_SIGNATURE_LEN,
    }
}

fn check_signature_room(signer: &dyn Signer, scheme: Scheme) -> Result<()> {
    if signer.max_signature_len(scheme) > MAX_SIGNATURE_LEN {
        return Err(Error::new(
            crate::ErrorKind::Capacity,
            "signature",
            "longer than MAX_SIGNATURE_LEN; sign in two steps with a buffer of your own",
        ));
    }
    Ok(())
}

fn check_certified(certified: Option<&[u8]>, signer: &dyn Signer) -> Result<()> {
    if let Some(spki) = certified
        && PublicKey::from_spki(spki)? != PublicKey::from_spki(signer.public_key())?
    {
        return Err(Error::mismatch(
            "certificate",
            "its public key is not the signing key's; give the certificate that was issued for this key",
        ));
    }
    Ok(())
}

/// A JWS without its signature.
pub struct PreparedJws<'b> {
    buf: &'b mut [u8],
    rest: DetachedJws,
}

impl fmt::Debug for PreparedJws<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PreparedJws({:?}, {} octets)", self.rest.scheme, self.rest.len)
    }
}

impl<'b> PreparedJws<'b> {
    /// What to sign, and how.
    #[must_use]
    pub fn to_sign(&self) -> (Scheme, ToSign<'_>) {
        self.rest.to_sign(self.buf)
    }

    /// The second step: the token, with `signature` (ECDSA: r||s) appended.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) when the signature's length cannot be right;
    /// [`BufferTooSmall`](crate::ErrorKind::BufferTooSmall).
    pub fn finish(self, signature: &[u8]) -> Result<&'b str> {
        check_signature_len(self.rest.scheme, signature)?;
        let end = append(self.buf, self.rest.len, Encoding::Jws, signature)?;
        text(self.buf, Span { from: 0, to: end })
    }
}

/// A request under construction. Parts are written in any order, each at once; the part that takes the
/// signature (headers or body) comes last.
#[derive(Debug)]
pub struct Draft<'b> {
    /// Where the parts are written.
    pub out: Out<'b>,
    layout: Layout,
}

#[derive(Clone, Copy, Debug)]
struct Layout {
    method: &'static str,
    host: Span,
    target: Span,
    head: Span,
    body: Span,
    end: usize,
    signing: Option<Signing>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Span {
    pub(crate) from: usize,
    pub(crate) to: usize,
}

#[derive(Clone, Copy, Debug)]
struct Signing {
    scheme: Scheme,
    message: Span,
    encoding: Encoding,
}

/// How a signature is written where it belongs.
#[derive(Clone, Copy, Debug)]
enum Encoding {
    /// `.` and base64url, at the end of the body.
    Jws,
    /// Hexadecimal (ECDSA: of the DER form), at the end of the headers.
    Hex,
}

impl<'b> Draft<'b> {
    fn new(buf: &'b mut [u8]) -> Self {
        let none = Span::default();
        Self {
            out: Out::new(buf),
            layout: Layout {
                method: "GET",
                host: none,
                target: none,
                head: none,
                body: none,
                end: 0,
                signing: None,
            },
        }
    }

    /// Sets the method (`GET`, `POST`, `PUT`).
    pub fn method(&mut self, method: &'static str) {
        self.layout.method = method;
    }

    /// Writes the host.
    pub fn host(&mut self, write: impl FnOnce(&mut Out<'b>)) {
        self.layout.host = self.part(write);
    }

    /// Writes path and query.
    pub fn target(&mut self, write: impl FnOnce(&mut Out<'b>)) {
        self.layout.target = self.part(write);
    }

    /// Writes the body.
    pub fn body(&mut self, write: impl FnOnce(&mut Out<'b>)) {
        self.layout.body = self.part(write);
    }

    /// Writes the headers: `Name: value` lines with CR LF between them, none at the end.
    pub fn head(&mut self, write: impl FnOnce(&mut Out<'b>)) {
        self.layout.head = self.part(write);
    }

    fn part(&mut self, write: impl FnOnce(&mut Out<'b>)) -> Span {
        let from = self.out.len();
        write(&mut self.out);
        self.layout.end = self.out.len();
        Span { from, to: self.layout.end }
    }

    pub(crate) const fn host_span(&self) -> Span {
        self.layout.host
    }

    pub(crate) const fn target_span(&self) -> Span {
        self.layout.target
    }

    pub(crate) fn body_written(&self) -> &[u8] {
        self.out.written(self.layout.body.from, self.layout.body.to)
    }

    /// The body ends with the JWS signing input that starts at `from`; the signature is appended to it.
    pub fn sign_jws(&mut self, scheme: Scheme, from: usize) {
        let message = Span { from, to: self.layout.body.to };
        self.layout.signing = Some(Signing { scheme, message, encoding: Encoding::Jws });
    }

    /// The headers end where the hexadecimal signature of `message` goes. The message itself is written
    /// behind them, into room that the signature takes over.
    pub fn sign_header(&mut self, scheme: Scheme, message: impl FnOnce(&mut Out<'b>)) {
        let end = self.layout.end;
        let message = self.part(message);
        self.layout.end = end;
        self.layout.signing = Some(Signing { scheme, message, encoding: Encoding::Hex });
    }

    fn needed(&self, signature_len: usize) -> usize {
        let signature = match self.layout.signing {
            None => 0,
            Some(Signing { encoding: Encoding::Jws, .. }) => {
                1 + base64::url_encoded_len(signature_len)
            }
            Some(Signing { encoding: Encoding::Hex, scheme, .. }) => hex::encoded_len(
                // DER adds three header octets pairwise, and a zero before a set top bit.
                signature_len + if scheme.coordinate_len().is_some() { 8 } else { 0 },
            ),
        };
        self.out.len().max(self.layout.end + signature)
    }

    fn seal(self, at: &Attempt, signature_len: usize) -> Result<Prepared<'b>> {
        let needed = self.needed(signature_len);
        let Self { out, layout } = self;
        let buf = out.into_buffer();
        if buf.len() < needed {
            return Err(Error::too_small("request buffer", needed));
        }
        Ok(Prepared { buf, rest: Detached { layout, at: at.clone() } })
    }
}

/// A request without its signature.
pub struct Prepared<'b> {
    buf: &'b mut [u8],
    rest: Detached,
}

impl fmt::Debug for Prepared<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Prepared({} octets)", self.rest.layout.end)
    }
}

impl<'b> Prepared<'b> {
    /// What to sign, and how; `None` where nothing is signed.
    #[must_use]
    pub fn to_sign(&self) -> Option<(Scheme, ToSign<'_>)> {
        self.rest.to_sign(self.buf)
    }

    /// The second step: the request, with `signature` (ECDSA: r||s; empty where nothing is signed) in
    /// its place.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) when the signature's length cannot be right;
    /// [`BufferTooSmall`](crate::ErrorKind::BufferTooSmall).
    pub fn finish(self, signature: &[u8]) -> Result<HttpRequest<'b>> {
        let Self { buf, rest: Detached { mut layout, .. } } = self;
        match layout.signing {
            Some(Signing { scheme, encoding, .. }) => {
                check_signature_len(scheme, signature)?;
                let der = &mut [0u8; MAX_ECDSA_DER_LEN];
                let signature = match encoding {
                    Encoding::Hex if scheme.coordinate_len().is_some() => {
                        ecdsa_der_from_raw(signature, der)?
                    }
                    _ => signature,
                };
                let end = append(buf, layout.end, encoding, signature)?;
                match encoding {
                    Encoding::Jws => layout.body.to = end,
                    Encoding::Hex => layout.head.to = end,
                }
            }
            None if !signature.is_empty() => {
                return Err(Error::invalid("signature", "this request is not signed"));
            }
            None => {}
        }
        let buf: &'b [u8] = buf;
        Ok(HttpRequest {
            method: layout.method,
            host: text(buf, layout.host)?,
            target: text(buf, layout.target)?,
            head: text(buf, layout.head)?,
            body: buf.get(layout.body.from..layout.body.to).unwrap_or_default(),
        })
    }
}

fn check_signature_len(scheme: Scheme, signature: &[u8]) -> Result<()> {
    let good = match scheme.coordinate_len() {
        Some(size) => signature.len() == 2 * size,
        None => (256..=MAX_SIGNATURE_LEN).contains(&signature.len()),
    };
    if good {
        Ok(())
    } else {
        Err(Error::invalid("signature", "its length does not fit the scheme (ECDSA: r||s)"))
    }
}

/// Writes the signature's text at `end` and returns where it stops.
fn append(buf: &mut [u8], end: usize, encoding: Encoding, signature: &[u8]) -> Result<usize> {
    let mut out = Out::new(buf.get_mut(end..).unwrap_or_default());
    match encoding {
        Encoding::Jws => {
            out.put(b".");
            base64::url_encode(signature, &mut out);
        }
        Encoding::Hex => hex::encode(signature, &mut out),
    }
    let stop = end + out.len();
    match out.finish() {
        Ok(_) => Ok(stop),
        Err(_) => Err(Error::too_small("request buffer", stop)),
    }
}

fn text(buf: &[u8], span: Span) -> Result<&str> {
    let part = buf.get(span.from..span.to).unwrap_or_default();
    core::str::from_utf8(part).map_err(|_| Error::invalid("request", "a parameter is not UTF-8"))
}

/// Why an answer gave no credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure<'b> {
    /// The answer cannot be understood: not what this service sends.
    Answer(Error),
    /// The service refused.
    Service(ServiceError<'b>),
}

impl From<Error> for Failure<'_> {
    fn from(e: Error) -> Self {
        Self::Answer(e)
    }
}

impl fmt::Display for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(e) => e.fmt(f),
            Self::Service(e) => e.fmt(f),
        }
    }
}

impl core::error::Error for Failure<'_> {}

/// A service's refusal, in its own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceError<'b> {
    /// The HTTP status.
    pub status: u16,
    /// The error's name (`AccessDeniedException`, `invalid_client`); empty when the service gave none.
    pub code: &'b str,
    /// The service's text for people; empty when there is none.
    pub message: &'b str,
}

impl ServiceError<'_> {
    /// Whether the same request may succeed later: throttling (429 or its name) and failures of the
    /// server. OAuth's names for these (RFC 6749, section 4.1.2.1; RFC 8628, section 3.5; Google's
    /// `internal_failure`) and AWS's come with any status.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        const OAUTH: [&str; 4] =
            ["internal_failure", "server_error", "slow_down", "temporarily_unavailable"];
        // As botocore's standard retry mode has them.
        const AWS: [&str; 7] = [
            "BandwidthLimitExceeded",
            "IDPCommunicationError",
            "PriorRequestNotComplete",
            "RequestLimitExceeded",
            "RequestTimeout",
            "RequestTimeoutException",
            "TooManyRequestsException",
        ];
        self.status >= 500
            || matches!(self.status, 408 | 429)
            || self.code.contains("Throttl")
            || OAUTH.contains(&self.code)
            || AWS.contains(&self.code)
    }
}

impl fmt::Display for ServiceError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the service answered {}", self.status)?;
        for part in [self.code, self.message] {
            if part.is_empty() {
                continue;
            }
            f.write_str(": ")?;
            // Line ends and terminal escapes are for nobody's log.
            for c in part.chars() {
                f.write_char(if c.is_control() { ' ' } else { c })?;
            }
        }
        Ok(())
    }
}

/// A secret in an answer. It shows itself only when asked, and compares in constant time.
#[derive(Clone, Copy)]
pub struct Secret<'b>(&'b str);

impl PartialEq for Secret<'_> {
    fn eq(&self, other: &Self) -> bool {
        subtle::ConstantTimeEq::ct_eq(self.0.as_bytes(), other.0.as_bytes()).into()
    }
}

impl Eq for Secret<'_> {}

impl<'b> Secret<'b> {
    /// Wraps a secret.
    #[must_use]
    pub const fn new(secret: &'b str) -> Self {
        Self(secret)
    }

    /// The secret itself.
    #[must_use]
    pub const fn expose(&self) -> &'b str {
        self.0
    }
}

impl fmt::Debug for Secret<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
