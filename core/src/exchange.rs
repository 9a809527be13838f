//! The one shape of every credential flow: a request to build and sign, an answer to read.

mod answer;
mod detached;
mod draft;

use core::fmt;

use crate::encode::{base64, hex};
use crate::http::{HttpRequest, ResponseHead};
use crate::out::{Out, Sink};
use crate::signer::{MAX_SIGNATURE_LEN, Scheme, Signer, ToSign, derive, sign_into};
use crate::verifier::PublicKey;
use crate::{Error, Result, UnixTime};

pub use answer::{Failure, Secret, ServiceError};
pub use detached::{Detached, DetachedJws};
pub use draft::{Draft, Prepared, PreparedJws};

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
