//! The software keys and the software verifier against AWS-LC, in both directions.

use aws_lc_rs::encoding::{AsBigEndian, AsDer, EcPrivateKeyBin, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{self as lc, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey};
use cloudauth_core::signer::{MAX_ECDSA_DER_LEN, ecdsa_der_from_raw, ecdsa_raw_from_der};
use cloudauth_core::soft::{P256Key, P384Key, RsaKey, SoftVerifier};
use cloudauth_core::verifier::{KeyAlgorithm, PublicKey, Verifier, spki_from_ec};
use cloudauth_core::{ErrorKind, Scheme, SignError, Signer, ToSign};

/// AWS-LC's opinion of a signature in our form. The key goes in as our SubjectPublicKeyInfo.
fn lc_accepts(spki: &[u8], scheme: Scheme, message: &[u8], signature: &[u8]) -> bool {
    let mut der = [0; MAX_ECDSA_DER_LEN];
    let (algorithm, signature): (&dyn lc::VerificationAlgorithm, &[u8]) = match scheme {
        Scheme::RsaPkcs1Sha256 => (&lc::RSA_PKCS1_2048_8192_SHA256, signature),
        // AWS-LC's default, like ours, is a salt of exactly the length of the hash.
        Scheme::RsaPssSha256 => (&lc::RSA_PSS_2048_8192_SHA256, signature),
        Scheme::EcdsaP256Sha256 => (&lc::ECDSA_P256_SHA256_FIXED, signature),
        Scheme::EcdsaP384Sha384 => (&lc::ECDSA_P384_SHA384_FIXED, signature),
        Scheme::EcdsaP384Sha256 => {
            (&lc::ECDSA_P384_SHA256_ASN1, ecdsa_der_from_raw(signature, &mut der).unwrap())
        }
        _ => unreachable!("a new scheme needs a line here"),
    };
    UnparsedPublicKey::new(algorithm, spki).verify(message, signature).is_ok()
}

/// Signs with every scheme that `key` supports, checks the signatures with AWS-LC and with the software
/// verifier, and that neither accepts anything altered.
fn check_signer(key: &dyn Signer, schemes: &[Scheme]) {
    let public = PublicKey::from_spki(key.public_key()).unwrap();
    let verifier = SoftVerifier::from_spki(key.public_key()).unwrap();
    for scheme in Scheme::ALL {
        let len = key.max_signature_len(scheme);
        assert_eq!(key.supports(scheme), schemes.contains(&scheme));
        assert_eq!(verifier.supports(scheme), key.supports(scheme));
        assert_eq!(public.max_signature_len(scheme), len);
        let to_sign = ToSign::new(b"message", &[9; 32]);
        let mut out = vec![0; len + 3];
        if !key.supports(scheme) {
            assert_eq!(key.sign(scheme, &to_sign, &mut out), Err(SignError::UNSUPPORTED));
            let error = verifier.verify(scheme, b"message", &out).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            continue;
        }
        let short = out.get_mut(..len - 1).unwrap();
        assert_eq!(key.sign(scheme, &to_sign, short), Err(SignError::TOO_SMALL));

        for seed in 0..12 {
            let message = vec![seed; usize::from(seed) * 50];
            assert_eq!(key.sign(scheme, &ToSign::new(&message, &[seed; 32]), &mut out), Ok(len));
            let signature = out.get(..len).unwrap();
            assert!(lc_accepts(key.public_key(), scheme, &message, signature), "{scheme:?}");
            verifier.verify(scheme, &message, signature).unwrap();
            // AWS-LC's digest, and no more than that, gives the same one.
            let digest = lc_digest(scheme, &message);
            let random = [seed; 32];
            let to_sign = ToSign::prehashed(digest.as_ref(), &random);
            let mut again = vec![0; len];
            assert_eq!(key.sign(scheme, &to_sign, &mut again), Ok(len));
            assert_eq!(again, signature, "{scheme:?}");
            for (message, signature) in
                [(&b"other"[..], signature), (&message, &out), (&message, &out[1..len])]
            {
                assert!(!lc_accepts_any_length(key.public_key(), scheme, message, signature));
                let error = verifier.verify(scheme, message, signature).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Verification);
            }
            // Every octet of the first ECDSA signature; a few of the others, which take long.
            let step = if seed == 0 && scheme.coordinate_len().is_some() { 1 } else { 61 };
            for at in (0..len).step_by(step) {
                let mut altered = out[..len].to_vec();
                altered[at] ^= 1 << (seed % 8);
                assert!(verifier.verify(scheme, &message, &altered).is_err(), "{scheme:?} {at}");
            }
        }

        for wrong in
            [0, 20, 31, 33, 47, 49, 64, if scheme == Scheme::EcdsaP384Sha384 { 32 } else { 48 }]
        {
            let to_sign = ToSign::prehashed(&[7; 64][..wrong], &[9; 32]);
            assert_eq!(key.sign(scheme, &to_sign, &mut out), Err(SignError::DIGEST_LENGTH));
        }

        // One message, two seeds: other randomness, another signature; but RS256 has none.
        let mut sign = |seed| {
            key.sign(scheme, &ToSign::new(b"message", &[seed; 32]), &mut out).unwrap();
            out[..len].to_vec()
        };
        let (a, b, c) = (sign(1), sign(2), sign(1));
        assert_eq!(a, c, "the same seed gives the same signature");
        assert_eq!(a == b, scheme == Scheme::RsaPkcs1Sha256, "{scheme:?}");
        if scheme.coordinate_len().is_some() {
            let half = len / 2;
            assert_ne!(a[..half], b[..half], "another r, so another per-signature secret");
        }
    }
}

fn lc_digest(scheme: Scheme, message: &[u8]) -> aws_lc_rs::digest::Digest {
    use aws_lc_rs::digest::{SHA256, SHA384, digest};
    digest(if scheme == Scheme::EcdsaP384Sha384 { &SHA384 } else { &SHA256 }, message)
}

/// As [`lc_accepts`], for signatures of the wrong length, which have no DER form.
fn lc_accepts_any_length(spki: &[u8], scheme: Scheme, message: &[u8], signature: &[u8]) -> bool {
    let convertible = scheme != Scheme::EcdsaP384Sha256 || signature.len() == 96;
    convertible && lc_accepts(spki, scheme, message, signature)
}

#[test]
fn p256_both_ways() {
    for _ in 0..4 {
        let theirs = EcdsaKeyPair::generate(&lc::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let scalar: EcPrivateKeyBin<'_> = theirs.private_key().as_be_bytes().unwrap();
        let ours = P256Key::from_bytes(scalar.as_ref().try_into().unwrap()).unwrap();
        let public = PublicKey::from_spki(ours.public_key()).unwrap();
        assert_eq!(public.ec_point().unwrap(), theirs.public_key().as_ref());
        assert_eq!(public.algorithm(), KeyAlgorithm::P256);
        check_signer(&ours, &[Scheme::EcdsaP256Sha256]);

        let verifier = SoftVerifier::from_spki(ours.public_key()).unwrap();
        let signature = theirs.sign(&SystemRandom::new(), b"theirs").unwrap();
        verifier.verify(Scheme::EcdsaP256Sha256, b"theirs", signature.as_ref()).unwrap();
        let wrong = verifier.verify(Scheme::EcdsaP256Sha256, b"there's", signature.as_ref());
        assert_eq!(wrong.unwrap_err().kind(), ErrorKind::Verification);
    }
}

#[test]
fn p384_both_ways() {
    for _ in 0..2 {
        let theirs = EcdsaKeyPair::generate(&lc::ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
        let scalar: EcPrivateKeyBin<'_> = theirs.private_key().as_be_bytes().unwrap();
        let ours = P384Key::from_bytes(scalar.as_ref().try_into().unwrap()).unwrap();
        let public = PublicKey::from_spki(ours.public_key()).unwrap();
        assert_eq!(public.ec_point().unwrap(), theirs.public_key().as_ref());
        assert_eq!(public.algorithm(), KeyAlgorithm::P384);
        check_signer(&ours, &[Scheme::EcdsaP384Sha256, Scheme::EcdsaP384Sha384]);

        let verifier = SoftVerifier::from_spki(ours.public_key()).unwrap();
        let signature = theirs.sign(&SystemRandom::new(), b"theirs").unwrap();
        verifier.verify(Scheme::EcdsaP384Sha384, b"theirs", signature.as_ref()).unwrap();
        let wrong = verifier.verify(Scheme::EcdsaP384Sha256, b"theirs", signature.as_ref());
        assert_eq!(wrong.unwrap_err().kind(), ErrorKind::Verification);
    }
}

/// AWS-LC does not sign with this pair of curve and hash, OpenSSL does: `openssl dgst -sha256 -sign`.
#[test]
fn p384_with_sha256_from_openssl() {
    let decode = |text: &str| {
        let mut out = vec![0; text.len()];
        cloudauth_core::encode::base64::decode(text.as_bytes(), &mut out).unwrap().to_vec()
    };
    let spki = decode(
        "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEQzj/Vv/vGjXeuZkqdkqNBAQUBDSEkciUsYXbCveezoc3sU+cLN4u7oG66fvo\
         POoWpCZsZ77WrYMCur9FgtsyYlR/At9b0OghyBtQGTjgq8TECwuKVN3+j1NygWsFCIot",
    );
    let signature = decode(
        "MGYCMQD8LXyc01QKiojVA8CYZtnmSbMverfF/g6azyu6llBAGZrpQtRX/nlRojdz7xMr9/gCMQDdlxpCcO4F/26wboHv\
         Xk84t5gpK73jyD6qCB4+a9CTXgA3U40P1yVIbv21RB3NTL4=",
    );
    let mut raw = [0; 96];
    let raw = ecdsa_raw_from_der(&signature, 48, &mut raw).unwrap();
    let verifier = SoftVerifier::from_spki(&spki).unwrap();
    verifier.verify(Scheme::EcdsaP384Sha256, b"P-384 with SHA-256", raw).unwrap();
    for (scheme, message) in [
        (Scheme::EcdsaP384Sha256, &b"P-384 with SHA-384"[..]),
        (Scheme::EcdsaP384Sha384, b"P-384 with SHA-256"),
    ] {
        let error = verifier.verify(scheme, message, raw).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Verification);
    }
}

#[test]
fn rsa_both_ways() {
    for (size, bits) in
        [(KeySize::Rsa2048, 2048), (KeySize::Rsa3072, 3072), (KeySize::Rsa4096, 4096)]
    {
        let theirs = RsaKeyPair::generate(size).unwrap();
        let pkcs8: Pkcs8V1Der<'_> = theirs.as_der().unwrap();
        let pkcs8 = pkcs8.as_ref();
        let ours = RsaKey::from_pkcs8_der(pkcs8).unwrap();
        let public = PublicKey::from_spki(ours.public_key()).unwrap();
        assert_eq!(public.algorithm(), KeyAlgorithm::Rsa { bits });
        let their_public: PublicKeyX509Der<'_> = theirs.public_key().as_der().unwrap();
        assert_eq!(ours.public_key(), their_public.as_ref());
        let schemes = [Scheme::RsaPkcs1Sha256, Scheme::RsaPssSha256];
        check_signer(&ours, &schemes);

        let verifier = SoftVerifier::from_spki(ours.public_key()).unwrap();
        let encodings: [&'static dyn lc::RsaEncoding; 2] =
            [&lc::RSA_PKCS1_SHA256, &lc::RSA_PSS_SHA256];
        for (scheme, encoding) in schemes.into_iter().zip(encodings) {
            let mut signature = vec![0; theirs.public_modulus_len()];
            theirs.sign(encoding, &SystemRandom::new(), b"theirs", &mut signature).unwrap();
            verifier.verify(scheme, b"theirs", &signature).unwrap();
            let other = schemes.into_iter().find(|s| *s != scheme).unwrap();
            let error = verifier.verify(other, b"theirs", &signature).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Verification);
        }

        // The PKCS#1 key stands in the PKCS#8 OCTET STRING: version, algorithm, then it.
        let pkcs1 = pkcs8.get(26..).unwrap();
        let same = RsaKey::from_pkcs1_der(pkcs1).unwrap();
        assert_eq!(same.public_key(), ours.public_key());
        assert!(RsaKey::from_pkcs1_der(pkcs8).is_err());
        assert!(RsaKey::from_pkcs8_der(pkcs1).is_err());
        assert_eq!(format!("{ours:?}"), "RsaKey([key])");
        // No prefix is a key; nor is a key whose numbers do not belong together.
        for end in (0..pkcs8.len()).step_by(37) {
            assert!(RsaKey::from_pkcs8_der(&pkcs8[..end]).is_err());
        }
        let mut refused = 0;
        for at in (0..pkcs8.len()).step_by(if bits == 2048 { 3 } else { 97 }) {
            let mut altered = pkcs8.to_vec();
            altered[at] ^= 4;
            match RsaKey::from_pkcs8_der(&altered) {
                // The CRT values at the end are computed anew, not believed.
                Ok(key) => assert!(key.public_key() == ours.public_key() && at > pkcs8.len() / 2),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Malformed);
                    refused += 1;
                }
            }
        }
        assert!(refused > 10, "{refused}");
    }
}

#[test]
fn points_off_the_curve_are_refused() {
    for len in [32, 48] {
        let spki = spki_from_ec(&vec![1; len], &vec![2; len], &mut [0; 120]).unwrap().to_vec();
        assert!(PublicKey::from_spki(&spki).is_ok(), "the form is right");
        let error = SoftVerifier::from_spki(&spki).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed);
        assert!(error.help().contains("curve"), "{error}");
    }
}
