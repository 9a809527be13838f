//! What belongs to no flow.

use cloudauth::*;

use super::{Case, NOW, RSA, access_token, at, case, generate_id_token, self_signed};
use crate::probe::{CAP, Probe, blank, leak};

/// A request as parts.
pub(crate) fn request(p: &Probe) -> *mut cloudauth_request {
    p.params(|request: &mut cloudauth_request| {
        request.method = p.text("POST");
        request.host = p.text("a.example");
        request.target = p.text("/");
        request.headers = p.text("A: b\r\nC: d");
        request.body = p.octets(b"body");
    })
}

/// One that is made.
pub(crate) fn made_request() -> *mut cloudauth_request {
    let (p, request) = (Probe::good(), blank());
    // SAFETY: as the header says.
    let result = unsafe {
        cloudauth_gcp_generate_id_token_request(
            generate_id_token(&p),
            at(&p),
            p.out(),
            p.cap(),
            p.len(),
            request,
            p.error(),
        )
    };
    assert_eq!(result, CLOUDAUTH_OK);
    request
}

/// What is prepared, and its buffer.
fn prepared(buf: *mut u8) -> *mut cloudauth_prepared {
    let (p, prepared) = (Probe::good(), leak(cloudauth_prepared { reserved: [9; 32] }));
    // SAFETY: as the header says.
    let result = unsafe {
        let params = access_token(&p);
        cloudauth_gcp_access_token_prepare(params, at(&p), buf, CAP, p.len(), prepared, p.error())
    };
    assert_eq!(result, CLOUDAUTH_OK);
    prepared
}

fn prepared_jws(buf: *mut u8) -> *mut cloudauth_prepared {
    let (p, prepared) = (Probe::good(), leak(cloudauth_prepared { reserved: [9; 32] }));
    // SAFETY: as the header says.
    let result = unsafe {
        let params = self_signed(&p);
        cloudauth_gcp_self_signed_prepare(params, at(&p), buf, CAP, p.len(), prepared, p.error())
    };
    assert_eq!(result, CLOUDAUTH_OK);
    prepared
}

pub(crate) fn binder(p: &Probe) -> *mut cloudauth_ekm_binder {
    p.params(|b: &mut cloudauth_ekm_binder| {
        b.prover = p.number(CLOUDAUTH_EKM_CLIENT);
        b.reserved = p.number(0);
        b.exported = p.array(&[1; 32]);
        b.challenge = p.array(&[2; 32]);
        b.server_spki = p.octets(b"abc");
        b.audience = p.text("https://broker.example");
        b.request = p.octets(br#"{"grant":"g"}"#);
    })
}

pub(super) fn cases(c: &mut Vec<Case>) {
    const DER: &[u8] = include_bytes!("../../../../tests/fuzz/seeds/certificate/signature");
    const NONCE: &str = "helxS8Y09fTajT90ewPY6JziPEcef0wWUErQliIgZ-M";
    case!(c, cloudauth_header_at, |p| p.text("A: b\r\nC: d"), 1, p.plain(), p.error());
    case!(c, cloudauth_http1_write, fills, |p| request(p), p.out(), p.cap(), p.len(), p.error());
    case!(
        c,
        cloudauth_prepared_to_sign,
        |p| p.handle(prepared(p.behind(&[0; CAP]))),
        p.made(),
        p.error()
    );
    case!(
        c,
        cloudauth_prepared_finish,
        |p| p.consumed(prepared(p.behind(&[0; CAP]))),
        p.octets(&[1; 64]),
        p.made(),
        p.error()
    );
    case!(
        c,
        cloudauth_prepared_jws_finish,
        |p| p.consumed(prepared_jws(p.behind(&[0; CAP]))),
        p.octets(&[1; 64]),
        p.plain(),
        p.error()
    );
    case!(
        c,
        cloudauth_base64url_encode,
        fills,
        |p| p.octets(b"Hello"),
        p.out(),
        p.cap(),
        p.len(),
        p.error()
    );
    case!(
        c,
        cloudauth_base64url_decode,
        fills,
        |p| p.octets(b"SGVsbG8"),
        p.out(),
        p.cap(),
        p.len(),
        p.error()
    );
    case!(
        c,
        cloudauth_ecdsa_der_from_raw,
        fills,
        |p| p.octets(&[1; 64]),
        p.out(),
        p.cap(),
        p.len(),
        p.error()
    );
    case!(
        c,
        cloudauth_ecdsa_raw_from_der,
        fills,
        |p| p.octets(DER),
        p.number(32) as usize,
        p.out(),
        p.cap(),
        p.len(),
        p.error()
    );
    case!(c, cloudauth_ekm_label, |p| p.number(CLOUDAUTH_EKM_SERVER), p.plain(), p.error());
    case!(c, cloudauth_ekm_nonce, fills, |p| binder(p), p.out(), p.cap(), p.len(), p.error());
    case!(c, cloudauth_ekm_verify, |p| binder(p), p.text(NONCE), p.error());
    case!(
        c,
        cloudauth_ekm_compat_label,
        |p| p.number(CLOUDAUTH_EKM_COMPAT_SEED),
        p.plain(),
        p.error()
    );
    case!(
        c,
        cloudauth_ekm_compat_nonce,
        fills,
        |p| p.number(CLOUDAUTH_EKM_COMPAT_SEED),
        p.array(&[1; 32]),
        p.out(),
        p.cap(),
        p.len(),
        p.error()
    );
    case!(
        c,
        cloudauth_ekm_compat_verify,
        |p| p.number(CLOUDAUTH_EKM_COMPAT_SEED),
        p.array(&[1; 32]),
        p.text(&"01".repeat(32)),
        p.error()
    );
    case!(c, cloudauth_x509_parse, |p| p.octets(RSA), p.made(), p.error());
    case!(c, cloudauth_x509_check_validity, |p| p.octets(RSA), NOW, p.error());
    case!(
        c,
        cloudauth_x509_serial_decimal,
        fills,
        |p| p.octets(RSA),
        p.out(),
        p.cap(),
        p.len(),
        p.error()
    );
    case!(
        c,
        cloudauth_x509_thumbprint_sha256,
        |p| p.octets(RSA),
        p.plain::<[u8; 32]>().cast(),
        p.error()
    );
    case!(
        c,
        cloudauth_x509_thumbprint_sha1,
        |p| p.octets(RSA),
        p.plain::<[u8; 20]>().cast(),
        p.error()
    );
}
