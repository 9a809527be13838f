//! How a token can make each signature.

use cloudauth_core::Scheme;
use cryptoki::mechanism::MechanismType;
use cryptoki_sys as sys;

/// A mechanism that signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mechanism {
    /// Hash and sign in the token.
    Sha256RsaPkcs,
    Sha256RsaPkcsPss,
    EcdsaSha256,
    EcdsaSha384,
    /// Sign what was hashed here.
    RsaPkcs,
    RsaPkcsPss,
    Ecdsa,
    /// A tag.
    Sha256Hmac,
}

impl Mechanism {
    /// The mechanisms for a scheme: the token hashes, else it gets the digest.
    pub(crate) const fn of(scheme: Scheme) -> &'static [Self] {
        match scheme {
            Scheme::RsaPkcs1Sha256 => &[Self::Sha256RsaPkcs, Self::RsaPkcs],
            Scheme::RsaPssSha256 => &[Self::Sha256RsaPkcsPss, Self::RsaPkcsPss],
            Scheme::EcdsaP256Sha256 | Scheme::EcdsaP384Sha256 => &[Self::EcdsaSha256, Self::Ecdsa],
            Scheme::EcdsaP384Sha384 => &[Self::EcdsaSha384, Self::Ecdsa],
            _ => &[],
        }
    }

    /// Whether the token takes a digest, not the message.
    pub(crate) const fn takes_digest(self) -> bool {
        matches!(self, Self::RsaPkcs | Self::RsaPkcsPss | Self::Ecdsa)
    }

    pub(crate) const fn is_pss(self) -> bool {
        matches!(self, Self::Sha256RsaPkcsPss | Self::RsaPkcsPss)
    }

    pub(crate) const fn kind(self) -> MechanismType {
        match self {
            Self::Sha256RsaPkcs => MechanismType::SHA256_RSA_PKCS,
            Self::Sha256RsaPkcsPss => MechanismType::SHA256_RSA_PKCS_PSS,
            Self::EcdsaSha256 => MechanismType::ECDSA_SHA256,
            Self::EcdsaSha384 => MechanismType::ECDSA_SHA384,
            Self::RsaPkcs => MechanismType::RSA_PKCS,
            Self::RsaPkcsPss => MechanismType::RSA_PKCS_PSS,
            Self::Ecdsa => MechanismType::ECDSA,
            Self::Sha256Hmac => MechanismType::SHA256_HMAC,
        }
    }

    pub(crate) const fn number(self) -> sys::CK_MECHANISM_TYPE {
        match self {
            Self::Sha256RsaPkcs => sys::CKM_SHA256_RSA_PKCS,
            Self::Sha256RsaPkcsPss => sys::CKM_SHA256_RSA_PKCS_PSS,
            Self::EcdsaSha256 => sys::CKM_ECDSA_SHA256,
            Self::EcdsaSha384 => sys::CKM_ECDSA_SHA384,
            Self::RsaPkcs => sys::CKM_RSA_PKCS,
            Self::RsaPkcsPss => sys::CKM_RSA_PKCS_PSS,
            Self::Ecdsa => sys::CKM_ECDSA,
            Self::Sha256Hmac => sys::CKM_SHA256_HMAC,
        }
    }
}

/// `DigestInfo` of SHA-256 without the digest (RFC 8017, section 9.2, note 1).
pub(crate) const SHA256_DIGEST_INFO: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
    0x00, 0x04, 0x20,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_names_of_a_mechanism_are_the_same() {
        let all = Scheme::ALL.into_iter().flat_map(Mechanism::of).chain(&[Mechanism::Sha256Hmac]);
        let mut count = 0;
        for mechanism in all {
            assert_eq!(sys::CK_MECHANISM_TYPE::from(mechanism.kind()), mechanism.number());
            count += 1;
        }
        assert_eq!(count, 11);
    }
}
