//! Software keys, tokens, and what is in them.

use std::sync::OnceLock;

use cloudauth::*;

use super::{Case, EMAIL, NOW, Shared, case};
use crate::probe::{CAP, Probe, blank, leak, text};

pub(crate) fn p256_key() -> *const cloudauth_p256_key {
    static KEY: OnceLock<Shared<cloudauth_p256_key>> = OnceLock::new();
    let make = || {
        let (p, key) = (Probe::good(), leak(cloudauth_p256_key { reserved: [0; 40] }));
        // SAFETY: as the header says.
        let made = || unsafe { cloudauth_p256_key_init(key, [5; 32].as_ptr(), p.error()) };
        // Under Miri nothing gets so far as to look at it.
        assert!(cfg!(miri) || made() == CLOUDAUTH_OK);
        Shared(key)
    };
    KEY.get_or_init(make).0
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

/// A token that the key signed. It is written down, as its public key is, because under Miri a single
/// operation on the curve takes a minute. Header, claims (iss, aud, iat, exp, flag), signature.
pub(crate) const TOKEN: &str = "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.\
    eyJpc3MiOiJyb2JvdEBwcm9qZWN0LmlhbS5nc2VydmljZWFjY291bnQuY29tIiwiYXVkIjoiaHR0cHM6Ly9wdWJzdW\
    IuZ29vZ2xlYXBpcy5jb20vIiwiaWF0IjoxNzk1ODYwMDAwLCJleHAiOjE3OTU4NjM2MDAsImZsYWciOnRydWV9.\
    faC_RfjcCbB0Fm9cii9Q9YPdvUTGpvyQX8x4L-c8uve917btJome8Ii5zqCXwzYTliSfpM7lGLq3Ttn-FWOabA";

pub(crate) fn expect(p: &Probe) -> *mut cloudauth_jws_expect {
    p.params(|e: &mut cloudauth_jws_expect| {
        (e.schemes, e.scheme_count) = p.elements(&[p.number(CLOUDAUTH_SCHEME_ECDSA_P256_SHA256)]);
        e.issuer = p.text(EMAIL);
        e.audience = p.text("https://pubsub.googleapis.com/");
        e.time = NOW;
        e.flags = p.number(0);
        e.reserved = p.number(0);
    })
}

pub(crate) fn key(p: &Probe) -> cloudauth_jws_key {
    const SPKI: &str = "3059301306072a8648ce3d020106082a8648ce3d03010703420004\
        07810ea974cea5773e63b897f37e3be9a09e7a5fe9b971a44d1065ac2a3a9311\
        637e47a4f99464a0fdce44a88ec7d703a9183c1d06552d9e2d6b76069481c577";
    let mut spki = [0; 91];
    cloudauth_core::encode::hex::decode(SPKI.as_bytes(), &mut spki).unwrap();
    let spki = p.octets(&spki);
    cloudauth_jws_key { kid: text(""), spki, scheme: p.number(0), reserved: p.number(0) }
}

pub(crate) const JWKS: &str = r#"{"keys":[{"crv":"P-256","kty":"EC","x":"B4EOqXTOpXc-Y7iX83476aCeel_puXGkTRBlrCo6kxE","y":"Y35HpPmUZKD9zkSojsfXA6kYPB0GVS2eLWt2BpSBxXc","alg":"ES256"}]}"#;

pub(crate) fn jwks(p: &Probe) -> *mut cloudauth_jwks {
    let (set, octets) = (leak(cloudauth_jwks { reserved: [0; 8] }), p.behind(JWKS.as_bytes()));
    let null = std::ptr::null_mut();
    // SAFETY: as the header says.
    let result = unsafe { cloudauth_jwks_parse(set, octets, JWKS.len(), null) };
    assert_eq!(result, CLOUDAUTH_OK);
    set
}

pub(crate) fn report(
    token: &str,
    set: impl FnOnce(&mut cloudauth_jws_expect),
) -> (cloudauth_result, *mut cloudauth_jws_report) {
    let (p, report) = (Probe::good(), blank::<cloudauth_jws_report>());
    // SAFETY: as the header says.
    let result = unsafe {
        let expect = expect(&p);
        set(&mut *expect);
        let (out, cap, len) = (p.out(), p.cap(), p.len());
        cloudauth_jws_verify_jwks(text(token), expect, jwks(&p), out, cap, len, report, p.error())
    };
    if result != CLOUDAUTH_OK {
        assert_eq!(p.content(), vec![0; CAP]);
    }
    (result, report)
}

pub(crate) fn claims() -> *const cloudauth_json {
    static CLAIMS: OnceLock<Shared<cloudauth_json>> = OnceLock::new();
    let make = || {
        let (result, report) = report(TOKEN, |_| {});
        assert_eq!(result, CLOUDAUTH_OK);
        // SAFETY: made by `report`.
        Shared(unsafe { &raw mut (*report).claims })
    };
    CLAIMS.get_or_init(make).0
}

pub(super) fn cases(c: &mut Vec<Case>) {
    case!(c, cloudauth_p256_key_init, slow, |p| p.plain(), p.array(&[5; 32]), p.error());
    case!(c, cloudauth_p256_signer, slow, |p| p.handle(p256_key()), p.made(), p.error());
    case!(c, cloudauth_hmac_key_init, |p| p.plain(), p.octets(b"key"), p.error());
    case!(c, cloudauth_hmac_key_init_aws, |p| p.plain(), p.text("key"), p.error());
    case!(c, cloudauth_hmac_mac, |p| p.handle(hmac_key()), p.made(), p.error());
    case!(
        c,
        cloudauth_jwks_parse,
        |p| p.plain(),
        p.in_place(JWKS.as_bytes()),
        p.length(JWKS.len()),
        p.error()
    );
    case!(
        c,
        cloudauth_jws_verify,
        fills slow,
        |p| p.text(TOKEN),
        expect(p),
        p.array_of(&[key(p)]),
        p.length(1),
        p.out(),
        p.cap(),
        p.len(),
        p.made(),
        p.error()
    );
    case!(
        c,
        cloudauth_jws_verify_jwks,
        fills slow,
        |p| p.text(TOKEN),
        expect(p),
        p.handle(jwks(p)),
        p.out(),
        p.cap(),
        p.len(),
        p.made(),
        p.error()
    );
    case!(c, cloudauth_json_kind, |p| p.handle(claims()), p.text("/iss"), p.plain(), p.error());
    case!(c, cloudauth_json_string, |p| p.handle(claims()), p.text("/iss"), p.plain(), p.error());
    case!(c, cloudauth_json_integer, |p| p.handle(claims()), p.text("/exp"), p.plain(), p.error());
    case!(c, cloudauth_json_bool, |p| p.handle(claims()), p.text("/flag"), p.plain(), p.error());
    case!(
        c,
        cloudauth_json_write,
        fills,
        |p| p.handle(claims()),
        p.text("/iss"),
        p.out(),
        p.cap(),
        p.len(),
        p.error()
    );
}
