//! The first of two steps set apart from its buffer, for callers whose language keeps the two apart.

use super::{Layout, Prepared, PreparedJws, Signing};
use crate::{Attempt, Scheme};

/// All that [`Prepared`] knows but for the octets: it can be kept without borrowing the buffer, as the C
/// interface does. The buffer must not change in between.
#[derive(Clone, Debug)]
pub struct Detached {
    layout: Layout,
    at: Attempt,
}

impl Detached {
    /// The scheme to sign with; `None` where nothing is signed.
    #[must_use]
    pub fn scheme(&self) -> Option<Scheme> {
        self.layout.signing.map(|Signing { scheme, .. }| scheme)
    }

    /// Back to the buffer it was taken from, whole.
    #[must_use]
    pub fn attach(self, buf: &mut [u8]) -> Prepared<'_> {
        Prepared { buf, layout: self.layout, at: self.at }
    }
}

impl Prepared<'_> {
    /// Lets go of the buffer.
    #[must_use]
    pub fn detach(self) -> Detached {
        Detached { layout: self.layout, at: self.at }
    }
}

/// The same of a [`PreparedJws`].
#[derive(Clone, Debug)]
pub struct DetachedJws {
    len: usize,
    scheme: Scheme,
    at: Attempt,
}

impl DetachedJws {
    /// Back to the buffer it was taken from, whole.
    #[must_use]
    pub fn attach(self, buf: &mut [u8]) -> PreparedJws<'_> {
        PreparedJws { buf, len: self.len, scheme: self.scheme, at: self.at }
    }
}

impl PreparedJws<'_> {
    /// Lets go of the buffer.
    #[must_use]
    pub fn detach(self) -> DetachedJws {
        DetachedJws { len: self.len, scheme: self.scheme, at: self.at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::{Assertion, Draft, Exchange, Failure};
    use crate::http::ResponseHead;
    use crate::out::{Out, Sink};
    use crate::{Result, UnixTime};

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
        let message = prepared.to_sign().unwrap().1.message().to_vec();
        let detached = prepared.detach();
        assert_eq!(detached.scheme(), Some(Scheme::EcdsaP256Sha256));
        let prepared = detached.attach(&mut detour);
        assert_eq!(prepared.to_sign().unwrap().1.message(), message);
        assert_eq!(message, b"header.claims");
        let again = prepared.finish(&[5; 64]).unwrap();
        assert_eq!(again.body(), request.unwrap().body());

        let token = Assertion::prepare(&Flow, &at, &mut straight).unwrap().finish(&[5; 64]);
        let detached = Assertion::prepare(&Flow, &at, &mut detour).unwrap().detach();
        assert_eq!(detached.attach(&mut detour).finish(&[5; 64]), token);
        assert!(token.unwrap().starts_with("header.claims.BQUF"));
    }
}
