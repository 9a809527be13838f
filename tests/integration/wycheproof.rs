//! C2SP Wycheproof: attacks on signature verification that real libraries fell for.

use cloudauth_core::signer::ecdsa_raw_from_der;
use cloudauth_core::soft::{HmacKey, SoftVerifier};
use cloudauth_core::verifier::{PublicKey, Verifier};
use cloudauth_core::{ErrorKind, Mac, Scheme};
use wycheproof::{HashFunction, TestResult};

/// How many vectors of a file went which way.
#[derive(Debug, Default, PartialEq)]
struct Tally {
    valid: usize,
    invalid: usize,
    acceptable: usize,
}

impl Tally {
    /// `accepted` must be what the vector says. "Acceptable" ones may go either way by Wycheproof; here
    /// all are refused, so that a change is noticed.
    fn check(&mut self, expected: TestResult, accepted: bool, context: &dyn core::fmt::Debug) {
        match expected {
            TestResult::Valid => self.valid += 1,
            TestResult::Invalid => self.invalid += 1,
            TestResult::Acceptable => self.acceptable += 1,
        }
        assert_eq!(accepted, expected == TestResult::Valid, "{context:?}");
    }
}

fn accepts(verifier: &SoftVerifier, scheme: Scheme, message: &[u8], signature: &[u8]) -> bool {
    match verifier.verify(scheme, message, signature) {
        Ok(()) => true,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Verification);
            false
        }
    }
}

#[test]
fn rsa_pkcs1() {
    use wycheproof::rsa_pkcs1_verify::{TestFlag, TestName, TestSet};
    for (name, bits, valid, invalid) in [
        (TestName::Rsa2048Sha256, 2048, 9, 249),
        (TestName::Rsa3072Sha256, 3072, 8, 250),
        (TestName::Rsa4096Sha256, 4096, 7, 250),
        (TestName::Rsa8192Sha256, 8192, 7, 250),
    ] {
        let mut tally = Tally::default();
        for group in TestSet::load(name).unwrap().test_groups {
            assert_eq!((group.hash, group.key_size), (HashFunction::Sha2_256, bits));
            let verifier = SoftVerifier::from_spki(&group.der).unwrap();
            for test in &group.tests {
                let accepted = accepts(&verifier, Scheme::RsaPkcs1Sha256, &test.msg, &test.sig);
                // The one "acceptable" vector leaves NULL out of DigestInfo, which RFC 8017, section
                // 9.2 allows only as a leniency: refused.
                assert!(
                    test.result != TestResult::Acceptable
                        || test.flags.contains(&TestFlag::MissingNull)
                );
                tally.check(test.result, accepted, test);
            }
        }
        assert_eq!(tally, Tally { valid, invalid, acceptable: 1 }, "{bits}");
    }
}

#[test]
fn rsa_pss() {
    use wycheproof::rsa_pss_verify::{TestName, TestSet};
    for name in [
        TestName::RsaPss2048Sha256Mgf1SaltLen32,
        TestName::RsaPss3072Sha256Mgf1SaltLen32,
        TestName::RsaPss4096Sha256Mgf1SaltLen32,
    ] {
        let mut tally = Tally::default();
        for group in TestSet::load(name).unwrap().test_groups {
            assert_eq!(group.hash, HashFunction::Sha2_256);
            assert_eq!(group.mgf_hash, Some(HashFunction::Sha2_256));
            assert_eq!(group.salt_size, 32);
            let verifier = SoftVerifier::from_spki(&group.der).unwrap();
            for test in &group.tests {
                let accepted = accepts(&verifier, Scheme::RsaPssSha256, &test.msg, &test.sig);
                tally.check(test.result, accepted, test);
            }
        }
        assert_eq!(tally, Tally { valid: 63, invalid: 45, acceptable: 0 });
    }
}

/// Signatures that are valid under other hashes, other MGF1 hashes or other salt lengths: only what is
/// exactly our scheme may pass.
#[test]
fn rsa_pss_with_other_parameters() {
    use wycheproof::rsa_pss_verify::{TestName, TestSet};
    let (mut ours, mut foreign) = (0, 0);
    for name in [
        TestName::RsaPssmisc,
        TestName::RsaPss2048Sha256Mgf1SaltLen0,
        TestName::RsaPss2048Sha256Mgf1Sha1_20,
    ] {
        for group in TestSet::load(name).unwrap().test_groups {
            let our_scheme = group.hash == HashFunction::Sha2_256
                && group.mgf_hash == Some(HashFunction::Sha2_256)
                && group.salt_size == 32;
            let verifier = SoftVerifier::from_spki(&group.der).unwrap();
            for test in group.tests.iter().filter(|t| t.result == TestResult::Valid) {
                let accepted = accepts(&verifier, Scheme::RsaPssSha256, &test.msg, &test.sig);
                assert_eq!(accepted, our_scheme, "{test:?}");
                if our_scheme { ours += 1 } else { foreign += 1 }
            }
        }
    }
    assert!(ours > 0 && foreign > 200, "{ours} {foreign}");
}

#[test]
fn ecdsa_fixed_width() {
    use wycheproof::ecdsa::{TestName, TestSet};
    for (name, scheme, hash, valid, invalid) in [
        (
            TestName::EcdsaSecp256r1Sha256P1363,
            Scheme::EcdsaP256Sha256,
            HashFunction::Sha2_256,
            173,
            89,
        ),
        (
            TestName::EcdsaSecp384r1Sha384P1363,
            Scheme::EcdsaP384Sha384,
            HashFunction::Sha2_384,
            193,
            87,
        ),
    ] {
        let mut tally = Tally::default();
        for group in TestSet::load(name).unwrap().test_groups {
            assert_eq!(group.hash, hash);
            let verifier = SoftVerifier::from_spki(&group.der).unwrap();
            for test in &group.tests {
                let accepted = accepts(&verifier, scheme, &test.msg, &test.sig);
                tally.check(test.result, accepted, test);
            }
        }
        assert_eq!(tally, Tally { valid, invalid, acceptable: 0 }, "{scheme:?}");
    }
}

#[test]
fn ecdsa_der() {
    use wycheproof::ecdsa::{TestName, TestSet};
    for (name, scheme, hash, valid, invalid) in [
        (TestName::EcdsaSecp256r1Sha256, Scheme::EcdsaP256Sha256, HashFunction::Sha2_256, 174, 310),
        (TestName::EcdsaSecp384r1Sha256, Scheme::EcdsaP384Sha256, HashFunction::Sha2_256, 162, 310),
        (TestName::EcdsaSecp384r1Sha384, Scheme::EcdsaP384Sha384, HashFunction::Sha2_384, 194, 310),
    ] {
        let size = scheme.coordinate_len().unwrap();
        let mut tally = Tally::default();
        let mut refused_by_reader = 0;
        for group in TestSet::load(name).unwrap().test_groups {
            assert_eq!(group.hash, hash);
            let verifier = SoftVerifier::from_spki(&group.der).unwrap();
            for test in &group.tests {
                let mut raw = [0; 96];
                let accepted = match ecdsa_raw_from_der(&test.sig, size, &mut raw) {
                    Ok(raw) => accepts(&verifier, scheme, &test.msg, raw),
                    Err(_) => {
                        refused_by_reader += 1;
                        false
                    }
                };
                tally.check(test.result, accepted, test);
            }
        }
        assert_eq!(tally, Tally { valid, invalid, acceptable: 0 }, "{scheme:?}");
        // Both stages have something to do.
        assert!((100..invalid).contains(&refused_by_reader), "{refused_by_reader}");
    }
}

#[test]
fn public_keys_read_alike() {
    use wycheproof::ecdsa::{TestName, TestSet};
    let mut keys = 0;
    for name in [TestName::EcdsaSecp256r1Sha256, TestName::EcdsaSecp384r1Sha384] {
        for group in TestSet::load(name).unwrap().test_groups {
            let key = PublicKey::from_spki(&group.der).unwrap();
            assert_eq!(key.ec_point().unwrap(), &group.key.key[..]);
            keys += 1;
        }
    }
    assert!(keys > 200, "{keys}");
}

#[test]
fn hmac_sha256() {
    use wycheproof::mac::{TestName, TestSet};
    let mut tally = Tally::default();
    for group in TestSet::load(TestName::HmacSha256).unwrap().test_groups {
        for test in &group.tests {
            let tag = HmacKey::new(&test.key).hmac_sha256(&test.msg).unwrap();
            let accepted = tag.get(..group.tag_size / 8) == Some(&test.tag[..]);
            tally.check(test.result, accepted, test);
        }
    }
    assert_eq!(tally, Tally { valid: 66, invalid: 108, acceptable: 0 });
}
