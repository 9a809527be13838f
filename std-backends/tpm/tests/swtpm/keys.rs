//! Keys of others: persistent handles and key files.

use cloudauth_core::{Mac as _, Scheme, SignError, Signer as _, ToSign};
use cloudauth_tpm::{Destination, KeyFile, KeyKind, KeySource, Parent, TpmKey, TpmMac, create};

use crate::support::{MESSAGE, Swtpm, auth, check, check_digest, sign, verify};

#[test]
#[ignore = "needs swtpm: tests/run tpm"]
fn persistent_handles() {
    let tpm = Swtpm::new();
    tpm.primary();
    tpm.key_at(0x8100_0010, "rsa2048", "");
    tpm.key_at(0x8100_0011, "ecc256", "");
    tpm.key_at(0x8100_0012, "ecc384", " -p secret");
    tpm.key_at(0x8100_0013, "rsa2048:rsassa-sha256:null", "");
    tpm.key_at(0x8100_0014, "rsa2048:rsapss-sha256:null", "");
    tpm.key_at(0x8100_0015, "ecc384:ecdsa-sha384:null", "");
    {
        let rsa = TpmKey::open(tpm.handle(0x8100_0010)).unwrap();
        check(&rsa, Scheme::RsaPkcs1Sha256);
        assert!(rsa.supports(Scheme::RsaPssSha256), "{:?}", rsa.notes());
        check(&rsa, Scheme::RsaPssSha256);
        assert!(!rsa.supports(Scheme::EcdsaP256Sha256));
        let to_sign = ToSign::new(MESSAGE, &[7; 32]);
        let refused = rsa.sign(Scheme::EcdsaP256Sha256, &to_sign, &mut [0; 512]);
        assert_eq!(refused, Err(SignError::UNSUPPORTED));
        let refused = rsa.sign(Scheme::RsaPkcs1Sha256, &to_sign, &mut [0; 255]);
        assert_eq!(refused, Err(SignError::TOO_SMALL));
        // Far beyond what a TPM hashes in one piece.
        let long = vec![0x61; 100_000];
        let signature = sign(&rsa, Scheme::RsaPkcs1Sha256, &long).unwrap();
        verify(rsa.public_key(), Scheme::RsaPkcs1Sha256, &long, &signature);

        // About one in 128 has a short r or s.
        let ec = TpmKey::open(tpm.handle(0x8100_0011)).unwrap();
        for _ in 0..400 {
            check(&ec, Scheme::EcdsaP256Sha256);
        }
        let mut p384 = tpm.handle(0x8100_0012);
        p384.access.key_auth = auth("secret");
        let p384 = TpmKey::open(p384).unwrap();
        for _ in 0..100 {
            check(&p384, Scheme::EcdsaP384Sha384);
            check(&p384, Scheme::EcdsaP384Sha256);
        }
        let only = |handle, scheme| {
            let key = TpmKey::open(tpm.handle(handle)).unwrap();
            check(&key, scheme);
            for other in Scheme::ALL.into_iter().filter(|other| *other != scheme) {
                assert!(!key.supports(other), "{handle:#x} {other:?}");
            }
        };
        only(0x8100_0013, Scheme::RsaPkcs1Sha256);
        only(0x8100_0014, Scheme::RsaPssSha256);
        only(0x8100_0015, Scheme::EcdsaP384Sha384);
    }
    assert_eq!(tpm.leftovers(), "");
}

#[test]
#[ignore = "needs swtpm: tests/run tpm"]
fn digests() {
    let tpm = Swtpm::new();
    tpm.primary();
    tpm.key_file("rsa", "rsa2048", "");
    tpm.key_file("p256", "ecc256", "");
    tpm.key_file("p384", "ecc384", "");
    {
        let open = |name| TpmKey::open(tpm.file(name)).unwrap();
        // The first signature with PSS tells the TPM's salts, of a digest, too.
        for _ in 0..2 {
            let rsa = open("rsa.pem");
            check_digest(&rsa, Scheme::RsaPssSha256);
            check_digest(&rsa, Scheme::RsaPkcs1Sha256);
            check(&rsa, Scheme::RsaPssSha256);
        }
        check_digest(&open("p256.pem"), Scheme::EcdsaP256Sha256);
        check_digest(&open("p384.pem"), Scheme::EcdsaP384Sha256);
        check_digest(&open("p384.pem"), Scheme::EcdsaP384Sha384);
    }
    assert_eq!(tpm.leftovers(), "");
}

#[test]
#[ignore = "needs swtpm: tests/run tpm"]
fn key_files() {
    let tpm = Swtpm::new();
    tpm.primary();
    tpm.key_file("rsa", "rsa2048", "");
    tpm.key_file("ec", "ecc256", " -p secret");
    {
        check(&TpmKey::open(tpm.file("rsa.pem")).unwrap(), Scheme::RsaPkcs1Sha256);
        let mut ec = tpm.file("ec.pem");
        ec.access.key_auth = auth("secret");
        check(&TpmKey::open(ec).unwrap(), Scheme::EcdsaP256Sha256);
    }
    // tpm2-openssl, under a hierarchy and under a persistent parent with an authorization value.
    let genpkey = "openssl genpkey -provider tpm2 -provider default";
    tpm.run(&format!("{genpkey} -algorithm EC -pkeyopt group:P-384 -out o384.pem"));
    tpm.run(&format!(
        "{genpkey} -algorithm RSA -pkeyopt bits:2048 -pkeyopt user-auth:pw -out orsa.pem"
    ));
    tpm.run("tpm2_createprimary -Q -C o -G rsa -p parent -c q.ctx");
    tpm.run("tpm2_flushcontext -t");
    tpm.run("tpm2_evictcontrol -Q -C o -c q.ctx 0x81000020");
    tpm.run("tpm2_flushcontext -t");
    tpm.run(&format!(
        "{genpkey} -algorithm EC -pkeyopt group:P-256 -pkeyopt parent:0x81000020 -pkeyopt \
         parent-auth:parent -out op.pem"
    ));
    {
        check(&TpmKey::open(tpm.file("o384.pem")).unwrap(), Scheme::EcdsaP384Sha384);
        let mut rsa = tpm.file("orsa.pem");
        rsa.access.key_auth = auth("pw");
        check(&TpmKey::open(rsa).unwrap(), Scheme::RsaPkcs1Sha256);
        let mut ec = tpm.file("op.pem");
        ec.access.parent_auth = auth("parent");
        let ec = TpmKey::open(ec).unwrap();
        check(&ec, Scheme::EcdsaP256Sha256);
    }
    {
        let mut wrong = tpm.file("rsa.pem");
        wrong.access.parent = Some(Parent::parse("owner-rsa").unwrap());
        let error = TpmKey::open(wrong).unwrap_err().to_string();
        assert!(error.contains("Esys_Load: TPM_RC_INTEGRITY"), "{error}");
    }
    assert_eq!(tpm.leftovers(), "");
}

#[test]
#[ignore = "needs swtpm: tests/run tpm"]
fn hmac_keys() {
    let tpm = Swtpm::new();
    tpm.primary();
    let secret = b"AWS4wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    std::fs::write(tpm.path("secret"), secret).unwrap();
    tpm.run("tpm2_import -Q -C p.ctx -G hmac -i secret -u h.pub -r h.priv -p auth");
    tpm.run("tpm2_flushcontext -t");
    tpm.encode("h");
    tpm.key_file("rsa", "rsa2048", "");
    {
        let mut query = tpm.file("h.pem");
        query.access.key_auth = auth("auth");
        let mac = TpmMac::open(query).unwrap();
        for message in [&b"20150830"[..], b"", &[0x61; 1024]] {
            let tag = mac.hmac_sha256(message).unwrap();
            assert_eq!(tag, cloudauth_core::digest::hmac_sha256(secret, message));
        }
        let long = mac.hmac_sha256(&[0; 1025]).unwrap_err().to_string();
        assert!(long.contains("1024 octets"), "{long}");
        let error = TpmMac::open(tpm.file("rsa.pem")).unwrap_err().to_string();
        assert!(error.contains("no HMAC key"), "{error}");
        let mut query = tpm.file("h.pem");
        query.access.key_auth = auth("auth");
        let error = TpmKey::open(query).unwrap_err().to_string();
        assert!(error.contains("secret key"), "{error}");
    }
    assert_eq!(tpm.leftovers(), "");
}

/// A key that was wrapped elsewhere for this TPM (tpm2_duplicate), in a file that has its secret.
#[test]
#[ignore = "needs swtpm: tests/run tpm"]
fn importable_files() {
    let tpm = Swtpm::new();
    tpm.primary();
    let policy = |session: &str| {
        tpm.run(&format!("tpm2_startauthsession {session}-S s.ctx"));
        tpm.run("tpm2_policycommandcode -Q -S s.ctx -L d.policy TPM2_CC_Duplicate");
    };
    policy("");
    tpm.run("tpm2_flushcontext s.ctx");
    tpm.run(
        "tpm2_create -Q -C p.ctx -G ecc -L d.policy -a sensitivedataorigin|userwithauth|sign -u k.pub -r \
         k.priv -c k.ctx",
    );
    tpm.run("tpm2_flushcontext -t");
    policy("--policy-session ");
    tpm.run("tpm2_duplicate -Q -C p.ctx -c k.ctx -G null -p session:s.ctx -r dup.priv -s dup.seed");
    tpm.run("tpm2_flushcontext s.ctx");
    tpm.run("tpm2_flushcontext -t");
    let read = |name: &str| std::fs::read(tpm.path(name)).unwrap();
    let tlv = |tag: u8, value: &[u8]| {
        let len = u16::try_from(value.len()).unwrap().to_be_bytes();
        [&[tag, 0x82][..], &len, value].concat()
    };
    // DER wants short lengths in their short form.
    let short = |tag: u8, value: &[u8]| match value.len() {
        len @ ..=127 => [&[tag, u8::try_from(len).unwrap()][..], value].concat(),
        len @ ..=255 => [&[tag, 0x81, u8::try_from(len).unwrap()][..], value].concat(),
        _ => tlv(tag, value),
    };
    let body = [
        short(0x06, &[0x67, 0x81, 0x05, 0x0a, 0x01, 0x04]),
        short(0xa0, &short(0x01, &[0xff])),
        short(0xa2, &short(0x04, &read("dup.seed"))),
        short(0x02, &[0x40, 0, 0, 1]),
        short(0x04, &read("k.pub")),
        short(0x04, &read("dup.priv")),
    ]
    .concat();
    let file = KeyFile::from_der(&short(0x30, &body)).unwrap();
    {
        let key = TpmKey::open(tpm.query(KeySource::File(Box::new(file)))).unwrap();
        check(&key, Scheme::EcdsaP256Sha256);
    }
    assert_eq!(tpm.leftovers(), "");
}

/// Somebody is asked for a value that no source gives, where the key may have one; Enter stands for none.
#[test]
#[ignore = "needs swtpm: tests/run tpm"]
fn values_that_are_asked_for() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    let tpm = Swtpm::new();
    tpm.primary();
    tpm.key_at(0x8100_0010, "ecc256", " -p secret");
    tpm.key_at(0x8100_0011, "ecc256", "");
    let plain = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign|noda";
    tpm.key_at(0x8100_0012, "ecc256", &format!(" -a {plain}"));
    let genpkey =
        "openssl genpkey -provider tpm2 -provider default -algorithm EC -pkeyopt group:P-256";
    tpm.run(&format!("{genpkey} -pkeyopt user-auth:pw -out auth.pem"));
    tpm.run(&format!("{genpkey} -out none.pem"));
    for (query, given, answer, questions) in [
        (tpm.handle(0x8100_0010), None, "secret", 1),
        (tpm.handle(0x8100_0010), Some("secret"), "", 0),
        (tpm.handle(0x8100_0011), None, "", 1),
        (tpm.handle(0x8100_0012), None, "", 0),
        (tpm.file("auth.pem"), None, "pw", 1),
        (tpm.file("none.pem"), None, "", 0),
    ] {
        let mut query = query;
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        if let Some(value) = given {
            query.access.key_auth = auth(value);
        }
        query.access.ask_key_auth = Box::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
            Ok(Some(zeroize::Zeroizing::new(answer.as_bytes().to_vec())))
        });
        let name = format!("{query:?} {given:?}");
        let key = TpmKey::open(query).unwrap();
        check(&key, Scheme::EcdsaP256Sha256);
        check(&key, Scheme::EcdsaP256Sha256);
        assert_eq!(asked.load(Ordering::Relaxed), questions, "{name}");
    }
    assert_eq!(tpm.failures(), 0);
    assert_eq!(tpm.leftovers(), "");
}

/// As long as the digest of the hash of the key's Name, and no longer: a TPM would count it as a wrong one.
#[test]
#[ignore = "needs swtpm: tests/run tpm"]
fn long_values() {
    const LONG: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdefg";
    let long = |len: usize| LONG.get(..len).unwrap();
    let tpm = Swtpm::new();
    tpm.primary();
    tpm.key_file("a", "ecc256", &format!(" -p {}", long(32)));
    // A Name by SHA-384.
    tpm.key_file("b", "ecc256", &format!(" -g sha384 -p {}", long(48)));
    for (file, len, good) in [
        ("a.pem", 32, true),
        ("a.pem", 33, false),
        ("b.pem", 48, true),
        ("b.pem", 49, false),
        ("a.pem", 64, false),
        ("a.pem", 65, false),
    ] {
        let mut query = tpm.file(file);
        query.access.key_auth = auth(long(len));
        match TpmKey::open(query) {
            Ok(key) => {
                assert!(good, "{file} {len}");
                check(&key, Scheme::EcdsaP256Sha256);
            }
            Err(error) => {
                let error = error.to_string();
                assert!(!good && error.contains("auth-source: the value is longer"), "{error}");
            }
        }
    }
    // New keys have Names by SHA-256.
    for (len, good) in [(33, false), (32, true)] {
        let mut access = tpm.access();
        access.key_auth = auth(long(len));
        let to = Destination::File(tpm.path("new.pem"));
        match create(&access, KeyKind::EcP256, None, &to) {
            Ok(_) => assert!(good),
            Err(error) => assert!(!good && error.to_string().contains("longer"), "{error}"),
        }
    }
    assert_eq!(tpm.failures(), 0);
    assert_eq!(tpm.leftovers(), "");
}
