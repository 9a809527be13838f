//! The first of two steps set apart from its buffer, for callers whose language keeps the two apart.

use super::draft::{Layout, Prepared, PreparedJws, Signing, finish_jws};
use crate::http::HttpRequest;
use crate::{Attempt, Result, Scheme, ToSign};

/// All that [`Prepared`] knows but for the octets: it can be kept without borrowing the buffer, as the C
/// interface does. The buffer must not change in between.
#[derive(Clone, Debug)]
pub struct Detached {
    pub(super) layout: Layout,
    pub(super) at: Attempt,
}

impl Detached {
    /// What [`Prepared::to_sign`] gives, out of the buffer it was taken from, whole.
    #[must_use]
    pub fn to_sign<'a>(&'a self, buf: &'a [u8]) -> Option<(Scheme, ToSign<'a>)> {
        let Signing { scheme, message, .. } = self.layout.signing?;
        let message = buf.get(message.from..message.to).unwrap_or_default();
        Some((scheme, self.at.to_sign(message)))
    }

    /// [`Prepared::finish`], in the buffer it was taken from, whole.
    ///
    /// # Errors
    /// As [`Prepared::finish`].
    pub fn finish<'b>(&self, buf: &'b mut [u8], signature: &[u8]) -> Result<HttpRequest<'b>> {
        self.layout.finish(buf, signature)
    }
}

impl Prepared<'_> {
    /// Lets go of the buffer.
    #[must_use]
    pub fn detach(self) -> Detached {
        self.rest
    }
}

/// The same of a [`PreparedJws`].
#[derive(Clone, Debug)]
pub struct DetachedJws {
    pub(super) len: usize,
    pub(super) scheme: Scheme,
    pub(super) at: Attempt,
}

impl DetachedJws {
    /// What [`PreparedJws::to_sign`] gives, out of the buffer it was taken from, whole.
    #[must_use]
    pub fn to_sign<'a>(&'a self, buf: &'a [u8]) -> (Scheme, ToSign<'a>) {
        (self.scheme, self.at.to_sign(buf.get(..self.len).unwrap_or_default()))
    }

    /// The octets of the token that [`PreparedJws::finish`] gives, in the buffer it was taken from, whole.
    ///
    /// # Errors
    /// As [`PreparedJws::finish`].
    pub fn finish<'b>(&self, buf: &'b mut [u8], signature: &[u8]) -> Result<&'b [u8]> {
        finish_jws(buf, self.len, self.scheme, signature)
    }
}

impl PreparedJws<'_> {
    /// Lets go of the buffer.
    #[must_use]
    pub fn detach(self) -> DetachedJws {
        self.rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::UnixTime;
    use crate::exchange::{Assertion, Draft, Exchange, Failure};
    use crate::http::ResponseHead;
    use crate::out::{Out, Sink};

    struct Flow;

    impl Assertion for Flow {
        fn scheme(&self) -> Scheme {
            Scheme::EcdsaP256Sha256
        }

        fn write(&self, _: &Attempt, out: &mut Out<'_>) -> Result<()> {
            out.text("header.claims");
            Ok(())
        }
    }

    impl Exchange for Flow {
        type Output<'b> = ();

        fn write(&self, _: &Attempt, draft: &mut Draft<'_>) -> Result<()> {
            draft.host(|out| out.text("a.example"));
            draft.body(|out| out.text("header.claims"));
            draft.sign_jws(Scheme::EcdsaP256Sha256, 9);
            Ok(())
        }

        fn response<'b>(
            &self,
            _: &ResponseHead<'b>,
            _: &'b mut [u8],
        ) -> core::result::Result<(), Failure<'b>> {
            Ok(())
        }
    }

    #[test]
    fn a_detour_changes_nothing() {
        let at = Attempt::new(UnixTime::new(0).unwrap(), [7; 32]);
        let (mut straight, mut detour) = ([0; 256], [0; 256]);

        let request = Exchange::prepare(&Flow, &at, &mut straight).unwrap().finish(&[5; 64]);
        let prepared = Exchange::prepare(&Flow, &at, &mut detour).unwrap();
        let message = prepared.to_sign().unwrap().1.message().unwrap().to_vec();
        let detached = prepared.detach();
        let (scheme, what) = detached.to_sign(&detour).unwrap();
        assert_eq!((scheme, what.message()), (Scheme::EcdsaP256Sha256, Some(&*message)));
        assert_eq!(message, b"header.claims");
        let again = detached.finish(&mut detour, &[5; 64]).unwrap();
        assert_eq!(again.body(), request.unwrap().body());

        let token = Assertion::prepare(&Flow, &at, &mut straight).unwrap().finish(&[5; 64]);
        let detached = Assertion::prepare(&Flow, &at, &mut detour).unwrap().detach();
        assert_eq!(detached.to_sign(&detour).1.message(), Some(&b"header.claims"[..]));
        assert_eq!(detached.finish(&mut detour, &[5; 64]), token.map(str::as_bytes));
        assert!(token.unwrap().starts_with("header.claims.BQUF"));
    }
}
