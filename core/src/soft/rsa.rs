//! RSA with a key in memory.

use alloc::boxed::Box;
use core::convert::Infallible;
use core::fmt;

use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::DecodePrivateKey;
use rsa::rand_core::{TryCryptoRng, TryRng};
use rsa::traits::PublicKeyParts;
use rsa::{Pkcs1v15Sign, Pss, RsaPrivateKey};
use zeroize::Zeroize;

use crate::digest::HmacSha256;
use crate::signer::{Scheme, SignError, Signer, ToSign};
use crate::verifier::{MAX_SPKI_LEN, spki_from_rsa};
use crate::{Error, Result};

/// An RSA private key in memory. It signs with `RS256` and `PS256`, and wipes itself.
///
/// RUSTSEC-2023-0071: the timing of its private-key operation is not proven free of the key. Every
/// signature is blinded, with [`ToSign::entropy`] as the source, but use it only where nobody can time
/// it.
#[derive(Clone)]
pub struct RsaKey {
    key: RsaPrivateKey,
    spki: Box<[u8]>,
}

impl RsaKey {
    /// Reads a PKCS#8 PrivateKeyInfo (RFC 5958) in DER, not encrypted.
    ///
    /// # Errors
    /// [`Malformed`](crate::ErrorKind::Malformed) when it is not one, or its numbers do not belong
    /// together; [`Unsupported`](crate::ErrorKind::Unsupported) below 2048 and above 8192 bits.
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self> {
        let key = RsaPrivateKey::from_pkcs8_der(der).map_err(|_| {
            Error::malformed("RSA key", "expected a PKCS#8 PrivateKeyInfo of an RSA key in DER")
        })?;
        Self::new(key)
    }

    /// Reads a PKCS#1 RSAPrivateKey (RFC 8017, appendix A.1.2) in DER, with two primes.
    ///
    /// # Errors
    /// As [`from_pkcs8_der`](Self::from_pkcs8_der).
    pub fn from_pkcs1_der(der: &[u8]) -> Result<Self> {
        let key = RsaPrivateKey::from_pkcs1_der(der).map_err(|_| {
            Error::malformed("RSA key", "expected a PKCS#1 RSAPrivateKey with two primes in DER")
        })?;
        Self::new(key)
    }

    fn new(key: RsaPrivateKey) -> Result<Self> {
        let mut spki = [0; MAX_SPKI_LEN];
        let spki = spki_from_rsa(&key.n_bytes(), &key.e_bytes(), &mut spki)?.into();
        Ok(Self { key, spki })
    }
}

impl Signer for RsaKey {
    fn public_key(&self) -> &[u8] {
        &self.spki
    }

    fn supports(&self, scheme: Scheme) -> bool {
        matches!(scheme, Scheme::RsaPkcs1Sha256 | Scheme::RsaPssSha256)
    }

    fn max_signature_len(&self, scheme: Scheme) -> usize {
        if self.supports(scheme) { self.key.size() } else { 0 }
    }

    fn sign(
        &self,
        scheme: Scheme,
        to_sign: &ToSign<'_>,
        out: &mut [u8],
    ) -> core::result::Result<usize, SignError> {
        if !self.supports(scheme) {
            return Err(SignError::UNSUPPORTED);
        }
        let out = out.get_mut(..self.key.size()).ok_or(SignError::TOO_SMALL)?;
        let digest = to_sign.digest(scheme)?;
        let mut entropy = to_sign.entropy();
        let mut rng = Expand::new(&entropy);
        entropy.zeroize();
        // The generator gives the salt of PSS, and in both schemes the blinding.
        let signature = if scheme == Scheme::RsaPssSha256 {
            let pss = Pss::<sha2::Sha256>::new_with_salt(32);
            self.key.sign_with_rng(&mut rng, pss, digest.as_ref())
        } else {
            let pkcs1 = Pkcs1v15Sign::new::<sha2::Sha256>();
            self.key.sign_with_rng(&mut rng, pkcs1, digest.as_ref())
        };
        const FAULT: SignError =
            SignError::new("RSA signature", "the computation went wrong: check the key");
        let signature = signature.map_err(|_| FAULT)?;
        if signature.len() != out.len() {
            return Err(FAULT);
        }
        out.copy_from_slice(&signature);
        Ok(out.len())
    }
}

impl fmt::Debug for RsaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RsaKey([key])")
    }
}

/// A stream of octets from 32 secret ones: HMAC-SHA256 over a counter, as in the expansion of NIST SP
/// 800-108 in counter mode.
struct Expand {
    mac: HmacSha256,
    counter: u64,
}

impl Expand {
    fn new(seed: &[u8; 32]) -> Self {
        Self { mac: HmacSha256::new(seed), counter: 0 }
    }

    /// Whole blocks only: what is left of one is thrown away.
    fn fill(&mut self, out: &mut [u8]) {
        for part in out.chunks_mut(32) {
            self.counter = self.counter.wrapping_add(1);
            let mut mac = self.mac.clone();
            mac.update(&self.counter.to_be_bytes());
            let mut block = mac.finish();
            for (to, from) in part.iter_mut().zip(block) {
                *to = from;
            }
            block.zeroize();
        }
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut octets = [0; N];
        self.fill(&mut octets);
        octets
    }
}

impl TryRng for Expand {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> core::result::Result<u32, Infallible> {
        Ok(u32::from_be_bytes(self.array()))
    }

    fn try_next_u64(&mut self) -> core::result::Result<u64, Infallible> {
        Ok(u64::from_be_bytes(self.array()))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> core::result::Result<(), Infallible> {
        self.fill(out);
        Ok(())
    }
}

impl TryCryptoRng for Expand {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_does_not_repeat() {
        let mut first = [0u8; 96];
        let mut rng = Expand::new(&[7; 32]);
        rng.fill(&mut first);
        assert_ne!(first[..32], first[32..64]);
        let mut second = [0u8; 96];
        rng.fill(&mut second);
        assert_ne!(first, second);
        // The same seed gives the same stream, another seed another.
        Expand::new(&[7; 32]).fill(&mut second);
        assert_eq!(first, second);
        Expand::new(&[8; 32]).fill(&mut second);
        assert_ne!(first, second);
    }
}
