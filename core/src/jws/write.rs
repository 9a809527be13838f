//! The writing half. Header and claims go straight into base64url, with no buffer between.

use crate::encode::base64::UrlEncoder;
use crate::json::Object;
use crate::out::{Out, Sink};
use crate::{Error, Result, Scheme};

/// One JSON object of a JWS while it is written: header or claims.
pub type Part<'p, 's, 'o> = Object<'p, UrlEncoder<'s, Out<'o>>>;

/// Appends the signing input (RFC 7515, section 5.1): `base64url(header) "." base64url(claims)`.
///
/// The header starts with `alg`, the JWS name of `scheme`, and `typ`, `JWT`; `header` adds the members
/// after these and must not repeat them. This is what an [`Assertion`](crate::Assertion) of your own
/// calls from its `write`:
///
/// ```
/// use cloudauth_core::{Assertion, Attempt, Out, Result, Scheme, UnixTime, jws};
///
/// struct Greeting<'a>(&'a str);
///
/// impl Assertion for Greeting<'_> {
///     fn scheme(&self) -> Scheme {
///         Scheme::EcdsaP256Sha256
///     }
///
///     fn write(&self, at: &Attempt, out: &mut Out<'_>) -> Result<()> {
///         jws::signing_input(
///             out,
///             self.scheme(),
///             |header| {
///                 header.string("kid", "1");
///             },
///             |claims| {
///                 claims.string("sub", self.0).number("iat", at.time().as_secs());
///             },
///         )
///     }
/// }
///
/// let at = Attempt::new(UnixTime::new(0)?, [7; 32]);
/// let mut buf = [0; 512];
/// let prepared = Greeting("you").prepare(&at, &mut buf)?;
/// let message = prepared.to_sign().1.message().unwrap();
/// assert!(message.starts_with(b"eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCI"));
/// # Ok::<(), cloudauth_core::Error>(())
/// ```
///
/// # Errors
/// [`Unsupported`](crate::ErrorKind::Unsupported) for a scheme without a JWS name.
pub fn signing_input(
    out: &mut Out<'_>,
    scheme: Scheme,
    header: impl FnOnce(&mut Part<'_, '_, '_>),
    claims: impl FnOnce(&mut Part<'_, '_, '_>),
) -> Result<()> {
    let Some(alg) = scheme.jws_name() else {
        return Err(Error::unsupported(
            "signature scheme",
            "JWS has no name for P-384 with SHA-256; use SHA-384 (ES384)",
        ));
    };
    part(out, |object| {
        object.string("alg", alg).string("typ", "JWT");
        header(object);
    });
    out.octet(b'.');
    part(out, claims);
    Ok(())
}

fn part(out: &mut Out<'_>, members: impl FnOnce(&mut Part<'_, '_, '_>)) {
    let mut encoder = UrlEncoder::new(out);
    let mut object = Object::new(&mut encoder);
    members(&mut object);
    object.end();
    encoder.finish();
}

/// A string member made of pieces. What `write` writes must need no escaping.
pub(crate) fn plain<S: Sink>(object: &mut Object<'_, S>, name: &str, write: impl FnOnce(&mut S)) {
    let to = object.name(name);
    to.octet(b'"');
    write(to);
    to.octet(b'"');
}

/// What the tests of every assertion share.
#[cfg(test)]
pub(crate) mod testing {
    use serde_json::Value;

    use crate::encode::base64::url_decode;
    use crate::{Assertion, Attempt, ErrorKind, Scheme, SignError, Signer, ToSign, UnixTime};

    /// 2026-11-22T12:00:00Z.
    pub(crate) const NOW: u64 = 1_795_348_800;

    pub(crate) fn attempt() -> Attempt {
        Attempt::new(UnixTime::new(NOW).unwrap(), [7; 32])
    }

    /// A signer whose signature is always the same `len` octets.
    #[derive(Debug)]
    pub(crate) struct StandIn {
        pub(crate) spki: Vec<u8>,
        pub(crate) len: usize,
    }

    impl Signer for StandIn {
        fn public_key(&self) -> &[u8] {
            &self.spki
        }

        fn supports(&self, _: Scheme) -> bool {
            true
        }

        fn max_signature_len(&self, _: Scheme) -> usize {
            self.len
        }

        fn sign(&self, _: Scheme, _: &ToSign<'_>, out: &mut [u8]) -> Result<usize, SignError> {
            out.get_mut(..self.len).ok_or(SignError::TOO_SMALL)?.fill(0xa5);
            Ok(self.len)
        }
    }

    pub(crate) fn text(part: &str) -> String {
        let mut buf = vec![0; part.len()];
        String::from_utf8(url_decode(part.as_bytes(), &mut buf).unwrap().to_vec()).unwrap()
    }

    /// Header and claims as they were written.
    pub(crate) fn texts(assertion: &dyn Assertion) -> crate::Result<(String, String)> {
        let mut buf = vec![0; 65_536];
        let prepared = assertion.prepare(&attempt(), &mut buf)?;
        let message = core::str::from_utf8(prepared.to_sign().1.message().unwrap()).unwrap();
        let (header, claims) = message.split_once('.').unwrap();
        Ok((text(header), text(claims)))
    }

    /// Header and claims as serde_json reads them.
    pub(crate) fn values(assertion: &dyn Assertion) -> crate::Result<(Value, Value)> {
        let (header, claims) = texts(assertion)?;
        Ok((serde_json::from_str(&header).unwrap(), serde_json::from_str(&claims).unwrap()))
    }

    /// The size that is asked for is exact, and both ways of signing make the same token.
    pub(crate) fn signs_both_ways(assertion: &dyn Assertion, signer: &StandIn) {
        let at = attempt();
        let needed = assertion.needed(&at, signer.len).unwrap();
        let mut exact = vec![0; needed];
        let token = assertion.sign(signer, &at, &mut exact).unwrap().to_owned();
        assert_eq!(token.len(), needed);
        let refused = assertion.sign(signer, &at, &mut vec![0; needed - 1]).unwrap_err();
        assert_eq!((refused.kind(), refused.needed()), (ErrorKind::BufferTooSmall, Some(needed)));
        let mut buf = vec![0; needed + 2000];
        let prepared = assertion.prepare(&at, &mut buf).unwrap();
        let (scheme, to_sign) = prepared.to_sign();
        assert_eq!(scheme, assertion.scheme());
        let signed_part = token.rsplit_once('.').unwrap().0;
        assert_eq!(to_sign.message(), Some(signed_part.as_bytes()));
        assert_eq!(prepared.finish(&vec![0xa5; signer.len]).unwrap(), token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The header and claims of RFC 7519, section 3.1, but for its line breaks.
    #[test]
    fn writes_text_that_is_known() {
        let mut buf = [0; 256];
        let mut out = Out::new(&mut buf);
        signing_input(
            &mut out,
            Scheme::EcdsaP256Sha256,
            |_| {},
            |claims| {
                claims.string("iss", "joe").number("exp", 1_300_819_380);
                plain(claims, "aud", |to| to.text("x y"));
            },
        )
        .unwrap();
        // By `basenc --base64url`.
        assert_eq!(
            core::str::from_utf8(out.finish().unwrap()).unwrap(),
            "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.\
             eyJpc3MiOiJqb2UiLCJleHAiOjEzMDA4MTkzODAsImF1ZCI6InggeSJ9"
        );
    }

    #[test]
    fn refuses_a_scheme_without_a_name() {
        let mut out = Out::new(&mut []);
        for scheme in Scheme::ALL {
            let written = signing_input(&mut out, scheme, |_| {}, |_| {});
            assert_eq!(written.is_err(), scheme == Scheme::EcdsaP384Sha256, "{scheme:?}");
        }
    }
}
