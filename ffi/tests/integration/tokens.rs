//! Software keys and the verification of tokens.

use cloudauth::*;

use crate::cases::{
    EMAIL, NOW, TOKEN, at, claims, expect, hmac_key, key, p256_key, report, self_signed,
};
use crate::probe::{Probe, blank, bytes, held, text};

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
            cloudauth_json_integer(claims, text("/exp"), &raw mut number, null),
            CLOUDAUTH_OK
        );
        assert_eq!(number, NOW + 3600);
        let missing = cloudauth_json_string(claims, text("/nope"), &raw mut string, null);
        assert_eq!((missing, string.len), (CLOUDAUTH_ERR_NOT_FOUND, 0));
        let other = cloudauth_json_string(claims, text("/exp"), &raw mut string, null);
        assert_eq!(other, CLOUDAUTH_ERR_MALFORMED);
    }
}

#[test]
fn a_refused_token_tells_every_check_and_no_claims() {
    let (result, report) = report(TOKEN, |expect| {
        expect.audience = text("https://elsewhere.example/");
        expect.time = NOW + 7200;
    });
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
        let (result, _) = report(TOKEN, |expect| {
            expect.issuer = text(issuer);
            expect.flags = flags;
        });
        assert_eq!(result, CLOUDAUTH_ERR_INVALID);
    }
}

#[test]
fn another_key_does_not_verify() {
    let other = cloudauth_core::soft::P256Key::from_bytes(&[6; 32]).unwrap();
    let spki = bytes(cloudauth_core::Signer::public_key(&other));
    let keys = [
        cloudauth_jws_key { kid: text(""), spki, scheme: 0, reserved: 0 },
        // A key for another scheme, and one that is damaged.
        cloudauth_jws_key { scheme: CLOUDAUTH_SCHEME_ECDSA_P384_SHA384, ..key(&Probe::good()) },
        cloudauth_jws_key { kid: text(""), spki: text("damaged"), scheme: 0, reserved: 0 },
    ];
    let results = keys.map(|key| {
        let p = Probe::good();
        // SAFETY: as the header says.
        unsafe {
            cloudauth_jws_verify(
                text(TOKEN),
                expect(&p),
                &raw const key,
                1,
                p.out(),
                p.cap(),
                p.len(),
                blank(),
                p.error(),
            )
        }
    });
    assert_eq!(
        results,
        [CLOUDAUTH_ERR_VERIFICATION, CLOUDAUTH_ERR_VERIFICATION, CLOUDAUTH_ERR_MALFORMED]
    );
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
    let (p, signer) = (Probe::good(), blank::<cloudauth_signer>());
    // SAFETY: as the header says.
    unsafe {
        let key = p.handle(p256_key());
        assert_eq!(cloudauth_p256_signer(key, signer, p.error()), CLOUDAUTH_OK);
        cloudauth_p256_key_wipe(key);
        let result = cloudauth_gcp_self_signed_sign(
            self_signed(&p),
            signer,
            at(&p),
            p.out(),
            p.cap(),
            p.len(),
            p.error(),
        );
        assert_eq!(result, CLOUDAUTH_ERR_SIGNER);
    }
}
