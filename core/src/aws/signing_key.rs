//! The chain of keys of Signature Version 4.
//!
//! Source: AWS, "Create a signed AWS API request", step "Derive a signing key".

use core::fmt;

use zeroize::optimization_barrier;

use super::class::{NO_GRAPHIC, RESERVED, has};
use super::endpoint::check_region;
use crate::digest::{Chain, KeyStates, Sha256};
use crate::out::copy;
use crate::signer::Mac;
use crate::{Error, ErrorKind, Out, Result, SignError, Sink, UnixTime};

/// A secret access key in memory, as the [`Mac`] that starts the chain: the key is `"AWS4"` and the
/// secret, as it would be inside a device.
#[derive(Clone)]
pub struct SecretAccessKey(pub(crate) KeyStates);

impl SecretAccessKey {
    /// The secret as AWS gives it (`wJalr…`, without the `AWS4` prefix).
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) when it is empty, longer than 128 octets, or not plain printable
    /// ASCII.
    pub fn new(secret: &str) -> Result<Self> {
        const PREFIX: &[u8] = b"AWS4";
        let mut key = [0u8; PREFIX.len() + 128];
        let end = PREFIX.len() + secret.len();
        let good = !secret.is_empty() && !has::<NO_GRAPHIC>(secret.as_bytes());
        let (Some(filled), true) = (key.get_mut(..end), good) else {
            return Err(Error::invalid(
                "secret access key",
                "expected up to 128 printable characters without spaces",
            ));
        };
        let (prefix, rest) = filled.split_at_mut_checked(PREFIX.len()).unwrap_or_default();
        copy(PREFIX, prefix);
        copy(secret.as_bytes(), rest);
        let states = KeyStates::new(filled);
        key = [0; _];
        optimization_barrier(&key);
        Ok(Self(states))
    }
}

impl Mac for SecretAccessKey {
    fn hmac_sha256(&self, message: &[u8]) -> core::result::Result<[u8; 32], SignError> {
        Ok(self.0.tag(message))
    }
}

impl fmt::Debug for SecretAccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretAccessKey(…)")
    }
}

/// The most octets of a credential scope (`20150830/us-east-1/service/aws4_request`) that a
/// [`SigningKey`] holds.
pub const MAX_SCOPE_LEN: usize = 96;

const END: &str = "aws4_request";

/// A derived signing key: good for one day, one region and one service. Making it costs more than half
/// of a signature, so keep it for the day; it wipes itself.
#[derive(Clone)]
pub struct SigningKey {
    key: KeyStates,
    scope: [u8; MAX_SCOPE_LEN],
    scope_len: usize,
    region_len: usize,
}

impl SigningKey {
    /// Derives the key for the UTC day of `time`. Only the first of the four steps runs in `secret`, so
    /// a device is asked once; its answer (a key for everything of that day) is wiped at once.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) for a region or service that cannot be one,
    /// [`Capacity`](ErrorKind::Capacity) when the scope is longer than [`MAX_SCOPE_LEN`],
    /// [`Signer`](ErrorKind::Signer) when the device fails.
    pub fn derive(secret: &dyn Mac, time: UnixTime, region: &str, service: &str) -> Result<Self> {
        let mut key = Self::unset();
        key.fill(secret, time, region, service)?;
        Ok(key)
    }

    /// A key that is good for nothing yet: see [`renew`](Self::renew).
    #[must_use]
    pub const fn unset() -> Self {
        Self { key: KeyStates::unset(), scope: [0; MAX_SCOPE_LEN], scope_len: 0, region_len: 0 }
    }

    /// Derives a key, as [`derive`](Self::derive) does, in the place of this one.
    ///
    /// # Errors
    /// As [`derive`](Self::derive). The key is good for nothing then.
    pub fn renew(
        &mut self,
        secret: &dyn Mac,
        time: UnixTime,
        region: &str,
        service: &str,
    ) -> Result<()> {
        *self = Self::unset();
        self.fill(secret, time, region, service)
    }

    /// Nothing is written before all that can fail.
    fn fill(
        &mut self,
        secret: &dyn Mac,
        time: UnixTime,
        region: &str,
        service: &str,
    ) -> Result<()> {
        check_region(region)?;
        // Letters, digits, `-`, `_` and `.`.
        if service.is_empty()
            || has::<RESERVED>(service.as_bytes())
            || service.bytes().any(|c| c == b'~')
        {
            return Err(Error::invalid("service", "expected a signing name such as s3 or sts"));
        }
        let date = time.date();
        let parts = [region.as_bytes(), service.as_bytes(), END.as_bytes()];
        let scope_len =
            parts.iter().fold(date.len(), |len, part| len.saturating_add(1 + part.len()));
        let mut chain = Chain::default();
        let fits = chain.load(parts);
        if !fits || scope_len > MAX_SCOPE_LEN {
            return Err(Error::new(
                ErrorKind::Capacity,
                "credential scope",
                "region and service together are longer than MAX_SCOPE_LEN allows",
            ));
        }
        let mut answer = secret.hmac_sha256(&date);
        let link = match &mut answer {
            Ok(link) => link,
            Err(error) => return Err((*error).into()),
        };
        chain.run(link);
        self.key.set(link);
        answer = Ok([0; 32]);
        optimization_barrier(&answer);
        let mut out = Out::new(&mut self.scope);
        out.put(&date);
        for part in &parts {
            out.octet(b'/');
            out.put(part);
        }
        (self.scope_len, self.region_len) = (scope_len, region.len());
        Ok(())
    }

    /// The credential scope: `20150830/us-east-1/service/aws4_request`.
    #[must_use]
    pub fn scope(&self) -> &str {
        core::str::from_utf8(self.scope_octets()).unwrap_or_default()
    }

    pub(crate) fn scope_octets(&self) -> &[u8] {
        self.scope.get(..self.scope_len).unwrap_or_default()
    }

    /// The region it is good for.
    #[must_use]
    pub fn region(&self) -> &str {
        // The date and its slash are nine octets.
        self.scope().get(9..9 + self.region_len).unwrap_or_default()
    }

    /// The service it is good for.
    #[must_use]
    pub fn service(&self) -> &str {
        self.scope().split('/').nth(2).unwrap_or_default()
    }

    /// Whether it is good at `time`: the same UTC day.
    #[must_use]
    pub fn covers(&self, time: UnixTime) -> bool {
        self.scope.first_chunk() == Some(&time.date())
    }

    /// Refuses a time, in ISO 8601 basic, of another day.
    pub(crate) fn check_day(&self, basic: &[u8; 16]) -> Result<()> {
        if basic.first_chunk::<8>() != self.scope.first_chunk::<8>() {
            return Err(Error::mismatch("signing key", "derived for another day; derive it anew"));
        }
        Ok(())
    }

    /// The tag over what `write` writes.
    #[inline(always)]
    pub(crate) fn tag_of(&self, write: impl FnOnce(&mut Sha256), tag: &mut [u8; 32]) {
        self.key.tag_of(write, tag);
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, …)", self.scope())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::hmac_sha256;

    const NOW: &str = "20150830T123600Z";

    fn at() -> UnixTime {
        UnixTime::parse(NOW).unwrap()
    }

    fn tag_of_x(key: &SigningKey) -> [u8; 32] {
        let mut tag = [0; 32];
        key.tag_of(|hash| hash.update(b"x"), &mut tag);
        tag
    }

    // The chain's last value for this secret, day, region and service was computed with botocore
    // 1.44.5; it must key the same MAC.
    #[test]
    fn chain_as_botocore() {
        let secret = SecretAccessKey::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY").unwrap();
        let mut date = [0u8; 32];
        let want = "0138c7a6cbd60aa727b2f653a522567439dfb9f3e72b21f9b25941a42f04a7cd";
        crate::encode::hex::decode(want.as_bytes(), &mut date).unwrap();
        assert_eq!(secret.hmac_sha256(b"20150830").unwrap(), date);
        let key = SigningKey::derive(&secret, at(), "us-east-1", "sts").unwrap();
        let mut signing = [0u8; 32];
        let want = "a9d028e9e96178f3ed6acfa66eff308447119de7ba1dd1dc7b666bbcb5686dfd";
        crate::encode::hex::decode(want.as_bytes(), &mut signing).unwrap();
        assert_eq!(tag_of_x(&key), hmac_sha256(&signing, b"x"));
        assert_eq!(key.scope(), "20150830/us-east-1/sts/aws4_request");
        assert_eq!((key.region(), key.service()), ("us-east-1", "sts"));
        assert!(key.check_day(b"20150830T123600Z").is_ok());
        assert!(key.check_day(b"20150831T000000Z").is_err());
        assert!(!key.covers(at().plus(86_400)));
        let tomorrow = at().plus(86_400);
        let mut renewed = key.clone();
        renewed.renew(&secret, tomorrow, "us-east-1", "sts").unwrap();
        assert!(renewed.covers(tomorrow) && !renewed.covers(at()));
        for (region, service) in
            [("US", "s3"), ("us-east-1", "s/3"), ("us-east-1", &*"s".repeat(99))]
        {
            let mut renewed = key.clone();
            assert!(renewed.renew(&secret, at(), region, service).is_err());
            assert!(!renewed.covers(at()) && renewed.scope().is_empty());
            assert!(renewed.check_day(b"20150830T123600Z").is_err());
        }
        assert!(!format!("{key:?}{secret:?}").contains("wJalr"));
    }

    #[test]
    fn a_device_is_asked_once_for_the_date() {
        struct Device(core::cell::Cell<usize>);
        impl Mac for Device {
            fn hmac_sha256(&self, message: &[u8]) -> core::result::Result<[u8; 32], SignError> {
                self.0.set(self.0.get() + 1);
                Ok(hmac_sha256(b"AWS4secret", message))
            }
        }
        let device = Device(core::cell::Cell::new(0));
        let key = SigningKey::derive(&device, at(), "eu-west-1", "s3").unwrap();
        assert_eq!(device.0.get(), 1);
        let soft = SecretAccessKey::new("secret").unwrap();
        let soft = SigningKey::derive(&soft, at(), "eu-west-1", "s3").unwrap();
        assert_eq!(tag_of_x(&key), tag_of_x(&soft));
    }

    #[test]
    fn refusals() {
        assert!(SecretAccessKey::new("").is_err());
        assert!(SecretAccessKey::new("a b").is_err());
        assert!(SecretAccessKey::new(&"x".repeat(129)).is_err());
        assert!(SecretAccessKey::new(&"x".repeat(128)).is_ok());
        let secret = SecretAccessKey::new("s").unwrap();
        let derive = |region, service: &str| SigningKey::derive(&secret, at(), region, service);
        assert!(derive("us-east-1\n", "s3").is_err());
        assert!(derive("us-east-1", "").is_err());
        assert!(derive("us-east-1", "s3/x").is_err());
        let long = "s".repeat(MAX_SCOPE_LEN - 9 - 10 - 1 - 12);
        assert!(derive("us-east-1", &long).is_ok());
        let error = derive("us-east-1", &format!("{long}s")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Capacity);
    }
}
