//! Software keys and the verification of tokens.

use cloudauth::*;

use crate::cases::{EMAIL, NOW, at, self_signed};
use crate::probe::{Probe, blank, bytes, held, leak, made, text};

pub(crate) fn p256_key() -> *mut cloudauth_p256_key {
    let key = leak(cloudauth_p256_key { reserved: [0; 40] });
    // SAFETY: as the header says.
    let result = unsafe { cloudauth_p256_key_init(key, [5; 32].as_ptr(), std::ptr::null_mut()) };
    assert_eq!(result, CLOUDAUTH_OK);
    key
}

pub(crate) fn p256_signer() -> *mut cloudauth_signer {
    let signer = blank();
    // SAFETY: as the header says.
    let result = unsafe { cloudauth_p256_signer(p256_key(), signer, std::ptr::null_mut()) };
    assert_eq!(result, CLOUDAUTH_OK);
    signer
}

pub(crate) fn hmac_key() -> *mut cloudauth_hmac_key {
    let key = leak(cloudauth_hmac_key { reserved: [0; 40] });
    // SAFETY: as the header says.
    let result = unsafe { cloudauth_hmac_key_init_aws(key, text("secret"), std::ptr::null_mut()) };
    assert_eq!(result, CLOUDAUTH_OK);
    key
}

/// A token that the software key signs.
pub(crate) fn token() -> cloudauth_bytes {
    let p = Probe::good();
    // SAFETY: as the header says.
    let result = unsafe {
        cloudauth_gcp_self_signed_sign(
            self_signed(),
            p256_signer(),
            at(),
            p.out(),
            p.cap(),
            p.len(),
            p.error,
        )
    };
    assert_eq!(result, CLOUDAUTH_OK);
    bytes(&p.content()[..p.written()])
}

pub(crate) fn expect() -> *mut cloudauth_jws_expect {
    made(|e: &mut cloudauth_jws_expect| {
        e.schemes = leak(CLOUDAUTH_SCHEME_ECDSA_P256_SHA256);
        e.scheme_count = 1;
        e.issuer = text(EMAIL);
        e.audience = text("https://pubsub.googleapis.com/");
        e.time = NOW;
    })
}

pub(crate) fn key() -> *mut cloudauth_jws_key {
    // SAFETY: as the header says.
    let spki = unsafe {
        let signer = &*p256_signer();
        signer.public_key.unwrap()(signer.ctx)
    };
    leak(cloudauth_jws_key { kid: text(""), spki, scheme: 0, reserved: 0 })
}

pub(crate) fn jwks_text() -> cloudauth_bytes {
    // The key of the scalar 0x0505…05.
    let key = cloudauth_core::soft::P256Key::from_bytes(&[5; 32]).unwrap();
    let key =
        cloudauth_core::verifier::PublicKey::from_spki(cloudauth_core::Signer::public_key(&key))
            .unwrap();
    let mut buf = [0; 512];
    let mut out = cloudauth_core::Out::new(&mut buf);
    key.write_jwk(None, Some("ES256"), &mut out);
    let jwk = String::from_utf8(out.finish().unwrap().to_vec()).unwrap();
    text(&format!(r#"{{"keys":[{jwk}]}}"#))
}

pub(crate) fn jwks() -> *mut cloudauth_jwks {
    let (set, text) = (leak(cloudauth_jwks { reserved: [0; 8] }), jwks_text());
    // SAFETY: as the header says.
    let result =
        unsafe { cloudauth_jwks_parse(set, text.ptr.cast_mut(), text.len, std::ptr::null_mut()) };
    assert_eq!(result, CLOUDAUTH_OK);
    set
}

fn report(
    token: cloudauth_bytes,
    expect: *mut cloudauth_jws_expect,
) -> (i32, *mut cloudauth_jws_report) {
    let (p, report) = (Probe::good(), blank::<cloudauth_jws_report>());
    // SAFETY: as the header says.
    let result = unsafe {
        cloudauth_jws_verify_jwks(token, expect, jwks(), p.out(), p.cap(), p.len(), report, p.error)
    };
    if result != CLOUDAUTH_OK {
        assert_eq!(p.content(), vec![0; p.content().len()]);
    }
    (result, report)
}

pub(crate) fn claims() -> *mut cloudauth_json {
    let (result, report) = report(token(), expect());
    assert_eq!(result, CLOUDAUTH_OK);
    // SAFETY: made by `report`.
    unsafe { &raw mut (*report).claims }
}

/// Claims with a boolean in them.
pub(crate) fn flags() -> *mut cloudauth_json {
    use cloudauth_core::{Assertion, Attempt, Out, Result, Scheme, Sink as _, UnixTime, jws};
    struct Flags;
    impl Assertion for Flags {
        fn scheme(&self) -> Scheme {
            Scheme::EcdsaP256Sha256
        }

        fn write(&self, at: &Attempt, out: &mut Out<'_>) -> Result<()> {
            jws::signing_input(
                out,
                self.scheme(),
                |_| {},
                |claims| {
                    claims.number("exp", at.time().as_secs() + 60);
                    claims.name("flag").put(b"true");
                },
            )
        }
    }
    let key = cloudauth_core::soft::P256Key::from_bytes(&[5; 32]).unwrap();
    let at = Attempt::new(UnixTime::new(NOW.unsigned_abs()).unwrap(), [7; 32]);
    let mut buf = [0; 1024];
    let token = text(Flags.sign(&key, &at, &mut buf).unwrap());
    let expect = expect();
    // SAFETY: just made.
    unsafe {
        (*expect).issuer = text("");
        (*expect).audience = text("");
        (*expect).flags = CLOUDAUTH_JWS_ANY_ISSUER | CLOUDAUTH_JWS_ANY_AUDIENCE;
    }
    let (result, report) = report(token, expect);
    assert_eq!(result, CLOUDAUTH_OK);
    // SAFETY: made by `report`.
    unsafe { &raw mut (*report).claims }
}

#[test]
fn verified_claims_can_be_read() {
    let claims = claims();
    let (mut string, mut number) = (text(""), 0);
    // SAFETY: as the header says.
    unsafe {
        let null = std::ptr::null_mut();
        assert_eq!(
            cloudauth_json_string(claims, text("/iss"), &raw mut string, null),
            CLOUDAUTH_OK
        );
        assert_eq!(held(string), EMAIL.as_bytes());
        assert_eq!(
            cloudauth_json_integer(claims, text("/iat"), &raw mut number, null),
            CLOUDAUTH_OK
        );
        assert_eq!(number, NOW);
        let missing = cloudauth_json_string(claims, text("/nope"), &raw mut string, null);
        assert_eq!((missing, string.len), (CLOUDAUTH_ERR_NOT_FOUND, 0));
        let other = cloudauth_json_string(claims, text("/iat"), &raw mut string, null);
        assert_eq!(other, CLOUDAUTH_ERR_MALFORMED);
    }
}

#[test]
fn a_refused_token_tells_every_check_and_no_claims() {
    let expect = expect();
    // SAFETY: just made.
    unsafe {
        (*expect).audience = text("https://elsewhere.example/");
        (*expect).time = NOW + 7200;
    }
    let (result, report) = report(token(), expect);
    assert_eq!(result, CLOUDAUTH_ERR_VERIFICATION);
    // SAFETY: made by `report`.
    let report = unsafe { &*report };
    let outcomes = report.checks.map(|check| check.outcome);
    let at = |check: u32| outcomes[check as usize];
    assert_eq!(at(CLOUDAUTH_JWS_CHECK_SIGNATURE), CLOUDAUTH_JWS_PASSED);
    assert_eq!(at(CLOUDAUTH_JWS_CHECK_EXP), CLOUDAUTH_JWS_FAILED);
    assert_eq!(at(CLOUDAUTH_JWS_CHECK_AUD), CLOUDAUTH_JWS_FAILED);
    assert_eq!(at(CLOUDAUTH_JWS_CHECK_ISS), CLOUDAUTH_JWS_PASSED);
    assert_eq!(at(CLOUDAUTH_JWS_CHECK_TYP), CLOUDAUTH_JWS_NOT_ASKED);
    assert_eq!(held(report.checks[CLOUDAUTH_JWS_CHECK_AUD as usize].field), b"aud");
    assert_eq!(report.claims.reserved, [0; 6]);
}

#[test]
fn what_is_not_pinned_must_be_waived() {
    for (issuer, flags) in [("", 0), (EMAIL, CLOUDAUTH_JWS_ANY_ISSUER)] {
        let expect = expect();
        // SAFETY: just made.
        unsafe {
            (*expect).issuer = text(issuer);
            (*expect).flags = flags;
        }
        assert_eq!(report(token(), expect).0, CLOUDAUTH_ERR_INVALID);
    }
}

#[test]
fn another_key_does_not_verify() {
    let other = cloudauth_core::soft::P256Key::from_bytes(&[6; 32]).unwrap();
    let spki = bytes(cloudauth_core::Signer::public_key(&other));
    let keys = [
        cloudauth_jws_key { kid: text(""), spki, scheme: 0, reserved: 0 },
        // A key for another scheme, and one that is damaged.
        cloudauth_jws_key { scheme: CLOUDAUTH_SCHEME_ECDSA_P384_SHA384, ..unsafe_copy(key()) },
        cloudauth_jws_key { kid: text(""), spki: text("damaged"), scheme: 0, reserved: 0 },
    ];
    let results = keys.map(|key| {
        let p = Probe::good();
        // SAFETY: as the header says.
        unsafe {
            cloudauth_jws_verify(
                token(),
                expect(),
                &raw const key,
                1,
                p.out(),
                p.cap(),
                p.len(),
                blank(),
                p.error,
            )
        }
    });
    assert_eq!(
        results,
        [CLOUDAUTH_ERR_VERIFICATION, CLOUDAUTH_ERR_VERIFICATION, CLOUDAUTH_ERR_MALFORMED]
    );
}

fn unsafe_copy(key: *const cloudauth_jws_key) -> cloudauth_jws_key {
    // SAFETY: made by `key`.
    unsafe { *key }
}

#[test]
fn a_wiped_key_is_refused_and_holds_nothing() {
    let (key, mac) = (hmac_key(), hmac_key());
    // SAFETY: as the header says.
    unsafe {
        cloudauth_hmac_key_wipe(key);
        cloudauth_hmac_key_wipe(std::ptr::null_mut());
        assert_eq!((*key).reserved, [0; 40]);
        let refused = cloudauth_hmac_mac(key, blank(), std::ptr::null_mut());
        assert_eq!(refused, CLOUDAUTH_ERR_STATE);
        // A key of one kind is none of another.
        let other = cloudauth_p256_signer(mac.cast(), blank(), std::ptr::null_mut());
        assert_eq!(other, CLOUDAUTH_ERR_STATE);
    }
    let signer = p256_signer();
    // SAFETY: as the header says.
    unsafe {
        cloudauth_p256_key_wipe((*signer).ctx.cast());
        let p = Probe::good();
        let result = cloudauth_gcp_self_signed_sign(
            self_signed(),
            signer,
            at(),
            p.out(),
            p.cap(),
            p.len(),
            p.error,
        );
        assert_eq!(result, CLOUDAUTH_ERR_SIGNER);
    }
}
