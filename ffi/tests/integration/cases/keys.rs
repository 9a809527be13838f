//! Software keys, tokens, and what is in them. Under Miri a single operation on a curve takes seconds, so
//! each is made once.

use std::sync::OnceLock;

use cloudauth::*;

use super::{Case, EMAIL, NOW, at, case, self_signed};
use crate::probe::{CAP, Probe, blank, leak, text};

/// Memory that is made once, and only read.
struct Shared<T>(*mut T);

// SAFETY: nobody writes there.
unsafe impl<T> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Shared<T> {}

pub(crate) fn p256_key() -> *const cloudauth_p256_key {
    static KEY: OnceLock<Shared<cloudauth_p256_key>> = OnceLock::new();
    let make = || {
        let (p, key) = (Probe::good(), leak(cloudauth_p256_key { reserved: [0; 40] }));
        // SAFETY: as the header says.
        let result = unsafe { cloudauth_p256_key_init(key, [5; 32].as_ptr(), p.error()) };
        assert_eq!(result, CLOUDAUTH_OK);
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

/// A token that the software key signs.
pub(crate) fn token() -> &'static str {
    static TOKEN: OnceLock<String> = OnceLock::new();
    TOKEN.get_or_init(|| {
        let p = Probe::good();
        // SAFETY: as the header says.
        let result = unsafe {
            cloudauth_gcp_self_signed_sign(
                self_signed(&p),
                p256_signer(),
                at(&p),
                p.out(),
                p.cap(),
                p.len(),
                p.error(),
            )
        };
        assert_eq!(result, CLOUDAUTH_OK);
        String::from_utf8(p.content()[..p.written()].to_vec()).unwrap()
    })
}

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
    // SAFETY: as the header says.
    let spki = unsafe {
        let signer = &*p256_signer();
        signer.public_key.unwrap()(signer.ctx)
    };
    let spki = p.octets(&crate::probe::held(spki));
    cloudauth_jws_key { kid: text(""), spki, scheme: p.number(0), reserved: p.number(0) }
}

pub(crate) fn jwks_text() -> &'static [u8] {
    static TEXT: OnceLock<Vec<u8>> = OnceLock::new();
    TEXT.get_or_init(|| {
        let spki = crate::probe::held(key(&Probe::good()).spki);
        let key = cloudauth_core::verifier::PublicKey::from_spki(&spki).unwrap();
        let mut buf = [0; 512];
        let mut out = cloudauth_core::Out::new(&mut buf);
        key.write_jwk(None, Some("ES256"), &mut out);
        let jwk = String::from_utf8(out.finish().unwrap().to_vec()).unwrap();
        format!(r#"{{"keys":[{jwk}]}}"#).into_bytes()
    })
}

pub(crate) fn jwks(p: &Probe) -> *mut cloudauth_jwks {
    let (set, octets) = (leak(cloudauth_jwks { reserved: [0; 8] }), p.behind(jwks_text()));
    let null = std::ptr::null_mut();
    // SAFETY: as the header says.
    let result = unsafe { cloudauth_jwks_parse(set, octets, jwks_text().len(), null) };
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
        let (result, report) = report(&flagged(), |expect| {
            expect.issuer = text("");
            expect.audience = text("");
            expect.flags = CLOUDAUTH_JWS_ANY_ISSUER | CLOUDAUTH_JWS_ANY_AUDIENCE;
        });
        assert_eq!(result, CLOUDAUTH_OK);
        // SAFETY: made by `report`.
        Shared(unsafe { &raw mut (*report).claims })
    };
    CLAIMS.get_or_init(make).0
}

/// A token with a boolean in it.
fn flagged() -> String {
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
                    claims.string("iss", EMAIL);
                    claims.name("flag").put(b"true");
                },
            )
        }
    }
    let key = cloudauth_core::soft::P256Key::from_bytes(&[5; 32]).unwrap();
    let at = Attempt::new(UnixTime::new(NOW.unsigned_abs()).unwrap(), [7; 32]);
    Flags.sign(&key, &at, &mut [0; 1024]).unwrap().to_owned()
}

pub(super) fn cases(c: &mut Vec<Case>) {
    case!(c, cloudauth_p256_key_init, slow, |p| p.plain(), p.array(&[5; 32]), p.error());
    case!(c, cloudauth_p256_signer, |p| p.handle(p256_key()), p.made(), p.error());
    case!(c, cloudauth_hmac_key_init, |p| p.plain(), p.octets(b"key"), p.error());
    case!(c, cloudauth_hmac_key_init_aws, |p| p.plain(), p.text("key"), p.error());
    case!(c, cloudauth_hmac_mac, |p| p.handle(hmac_key()), p.made(), p.error());
    case!(
        c,
        cloudauth_jwks_parse,
        |p| p.plain(),
        p.in_place(jwks_text()),
        p.length(jwks_text().len()),
        p.error()
    );
    case!(
        c,
        cloudauth_jws_verify,
        fills slow,
        |p| p.text(token()),
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
        |p| p.text(token()),
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
