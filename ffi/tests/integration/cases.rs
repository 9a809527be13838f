//! A good call of every function, for everything else to be measured by.

use std::ffi::c_void;

use cloudauth::*;

use crate::probe::{Probe, blank, bytes, list, made, text};

pub(crate) const NOW: i64 = 1_795_860_000;
pub(crate) const RSA: &[u8] = include_bytes!("../../../tests/fuzz/seeds/certificate/rsa");
pub(crate) const P256: &[u8] = include_bytes!("../../../tests/fuzz/seeds/certificate/p256");
pub(crate) const ROLE: &str = "arn:aws:iam::123456789012:role/demo";
pub(crate) const ANCHOR: &str = "arn:aws:rolesanywhere:eu-central-1:123456789012:trust-anchor/a";
pub(crate) const PROFILE: &str = "arn:aws:rolesanywhere:eu-central-1:123456789012:profile/p";
pub(crate) const EMAIL: &str = "robot@project.iam.gserviceaccount.com";
pub(crate) const PROVIDER: &str =
    "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/robot";

/// A function, and how it is called.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// Whether it fills a buffer.
    pub(crate) fills: bool,
    /// Whether it takes seconds under Miri.
    pub(crate) slow: bool,
    pub(crate) call: fn(&Probe) -> cloudauth_result,
}

/// A signer that signs nothing well, and counts how often it is asked.
pub(crate) struct Stub {
    pub(crate) certificate: &'static [u8],
    pub(crate) result: cloudauth_result,
    pub(crate) excess: usize,
    pub(crate) asked: usize,
}

unsafe extern "C" fn stub_public_key(ctx: *mut c_void) -> cloudauth_bytes {
    // SAFETY: ctx is a Stub.
    let stub = unsafe { &*ctx.cast::<Stub>() };
    let certificate = blank::<cloudauth_certificate>();
    // SAFETY: as C would.
    unsafe { cloudauth_x509_parse(bytes(stub.certificate), certificate, std::ptr::null_mut()) };
    // SAFETY: made above.
    unsafe { (*certificate).spki }
}

unsafe extern "C" fn stub_supports(_: *mut c_void, _: cloudauth_scheme) -> u32 {
    1
}

unsafe extern "C" fn stub_max(_: *mut c_void, scheme: cloudauth_scheme) -> usize {
    if scheme == CLOUDAUTH_SCHEME_ECDSA_P256_SHA256 { 64 } else { 256 }
}

unsafe extern "C" fn stub_sign(
    ctx: *mut c_void,
    scheme: cloudauth_scheme,
    message: cloudauth_bytes,
    digest: cloudauth_bytes,
    entropy: *const u8,
    out: *mut u8,
    cap: usize,
    len: *mut usize,
) -> cloudauth_result {
    // SAFETY: as the header says.
    unsafe {
        let stub = &mut *ctx.cast::<Stub>();
        stub.asked += 1;
        assert!(message.len > 0 && digest.len == 32);
        let size = stub_max(ctx, scheme);
        for i in 0..size {
            // It is the digest and the entropy, over and over.
            let from = if i % 64 < 32 { digest.ptr.add(i % 32) } else { entropy.add(i % 32) };
            out.add(i).write(*from);
        }
        len.write(if stub.excess == 0 { size } else { cap + stub.excess });
        stub.result
    }
}

/// A signer for a stub.
pub(crate) fn signer(stub: *mut Stub) -> *mut cloudauth_signer {
    made(|signer: &mut cloudauth_signer| {
        signer.ctx = stub.cast();
        signer.public_key = Some(stub_public_key);
        signer.supports = Some(stub_supports);
        signer.max_signature_len = Some(stub_max);
        signer.sign = Some(stub_sign);
    })
}

pub(crate) fn stub(certificate: &'static [u8]) -> *mut Stub {
    crate::probe::leak(Stub { certificate, result: CLOUDAUTH_OK, excess: 0, asked: 0 })
}

pub(crate) fn at() -> *mut cloudauth_attempt {
    made(|at: &mut cloudauth_attempt| {
        at.time = NOW;
        at.random = [7; 32];
    })
}

pub(crate) fn self_signed() -> *mut cloudauth_gcp_self_signed_params {
    made(|p: &mut cloudauth_gcp_self_signed_params| {
        p.email = text(EMAIL);
        p.audience = text("https://pubsub.googleapis.com/");
        p.scheme = CLOUDAUTH_SCHEME_ECDSA_P256_SHA256;
    })
}

pub(crate) fn access_token() -> *mut cloudauth_gcp_access_token_params {
    made(|p: &mut cloudauth_gcp_access_token_params| {
        p.email = text(EMAIL);
        (p.scopes, p.scope_count) = list(&["https://www.googleapis.com/auth/pubsub", "email"]);
        p.scheme = CLOUDAUTH_SCHEME_ECDSA_P256_SHA256;
    })
}

pub(crate) fn id_token() -> *mut cloudauth_gcp_id_token_params {
    made(|p: &mut cloudauth_gcp_id_token_params| {
        p.email = text(EMAIL);
        p.target_audience = text("https://service.example");
    })
}

pub(crate) fn subject_token() -> *mut cloudauth_gcp_subject_token_params {
    made(|p: &mut cloudauth_gcp_subject_token_params| {
        p.provider = text(PROVIDER);
        p.issuer = text("https://issuer.example");
        p.subject = text("robot-7");
    })
}

pub(crate) fn federation() -> *mut cloudauth_gcp_federation_params {
    made(|p: &mut cloudauth_gcp_federation_params| {
        p.signed_token = subject_token();
        (p.scopes, p.scope_count) = list(&["email"]);
    })
}

pub(crate) fn generate_access_token() -> *mut cloudauth_gcp_generate_access_token_params {
    made(|p: &mut cloudauth_gcp_generate_access_token_params| {
        p.token = text("ya29.token");
        p.email = text(EMAIL);
    })
}

pub(crate) fn generate_id_token() -> *mut cloudauth_gcp_generate_id_token_params {
    made(|p: &mut cloudauth_gcp_generate_id_token_params| {
        p.token = text("ya29.token");
        p.email = text(EMAIL);
        p.audience = text("https://service.example");
    })
}

pub(crate) fn client_assertion() -> *mut cloudauth_azure_client_assertion_params {
    made(|p: &mut cloudauth_azure_client_assertion_params| {
        p.certificate = bytes(RSA);
        p.tenant = text("contoso.example");
        p.client_id = text("00001111-aaaa-2222-bbbb-3333cccc4444");
    })
}

pub(crate) fn azure_token() -> *mut cloudauth_azure_token_params {
    made(|p: &mut cloudauth_azure_token_params| {
        (p.scopes, p.scope_count) = list(&["https://vault.azure.net/.default"]);
        p.credential = CLOUDAUTH_AZURE_CREDENTIAL_ASSERTION;
        p.assertion = client_assertion();
    })
}

pub(crate) fn create_session() -> *mut cloudauth_rolesanywhere_create_session_params {
    made(|p: &mut cloudauth_rolesanywhere_create_session_params| {
        p.certificate = bytes(P256);
        p.trust_anchor_arn = text(ANCHOR);
        p.profile_arn = text(PROFILE);
        p.role_arn = text(ROLE);
    })
}

unsafe extern "C" fn hmac(_: *mut c_void, message: cloudauth_bytes, tag: *mut u8) -> i32 {
    // SAFETY: as the header says.
    unsafe { tag.write_bytes(u8::try_from(message.len).unwrap(), 32) };
    CLOUDAUTH_OK
}

pub(crate) fn mac() -> *mut cloudauth_mac {
    made(|mac: &mut cloudauth_mac| mac.hmac_sha256 = Some(hmac))
}

pub(crate) fn sigv4_key(service: &str) -> *mut cloudauth_sigv4_key {
    let key = crate::probe::leak(cloudauth_sigv4_key { reserved: [0; 56] });
    let (region, service) = (text("eu-central-1"), text(service));
    let error = std::ptr::null_mut();
    // SAFETY: as the header says.
    let result = unsafe { cloudauth_sigv4_key_derive(key, mac(), NOW, region, service, error) };
    assert_eq!(result, CLOUDAUTH_OK);
    key
}

pub(crate) fn sigv4(service: &str) -> *mut cloudauth_sigv4_params {
    made(|p: &mut cloudauth_sigv4_params| {
        p.access_key_id = text("AKIDEXAMPLE");
        p.session_token = text("session+token");
        p.key = sigv4_key(service);
    })
}

pub(crate) fn sigv4_request() -> *mut cloudauth_sigv4_request {
    made(|p: &mut cloudauth_sigv4_request| {
        p.method = text("GET");
        p.path = text("/a b");
        p.query = text("x=1");
        let header = cloudauth_pair { name: text("Host"), value: text("bucket.example") };
        p.headers = crate::probe::leak(header);
        p.header_count = 1;
    })
}

pub(crate) fn assume_role() -> *mut cloudauth_sts_assume_role_params {
    made(|p: &mut cloudauth_sts_assume_role_params| {
        p.signer = sigv4("sts");
        p.role_arn = text(ROLE);
        p.role_session_name = text("robot-7");
    })
}

pub(crate) fn web_identity() -> *mut cloudauth_sts_assume_role_with_web_identity_params {
    made(|p: &mut cloudauth_sts_assume_role_with_web_identity_params| {
        p.region = text("eu-central-1");
        p.role_arn = text(ROLE);
        p.role_session_name = text("robot-7");
        p.web_identity_token = text("a.b.c");
    })
}

pub(crate) fn session_token() -> *mut cloudauth_sts_get_session_token_params {
    made(|p: &mut cloudauth_sts_get_session_token_params| {
        // Long-term credentials: it takes no others.
        p.signer = made(|p: &mut cloudauth_sigv4_params| {
            p.access_key_id = text("AKIDEXAMPLE");
            p.key = sigv4_key("sts");
        });
    })
}

pub(crate) fn caller_identity() -> *mut cloudauth_sts_get_caller_identity_params {
    made(|p: &mut cloudauth_sts_get_caller_identity_params| p.signer = sigv4("sts"))
}

pub(crate) fn head(status: u32) -> *mut cloudauth_response_head {
    made(|head: &mut cloudauth_response_head| head.status = status)
}

/// A request that is made and one that is prepared.
pub(crate) fn request() -> *mut cloudauth_request {
    let (p, request) = (Probe::good(), blank());
    // SAFETY: as the header says.
    let result = unsafe {
        cloudauth_gcp_generate_id_token_request(
            generate_id_token(),
            at(),
            p.out(),
            p.cap(),
            p.len(),
            request,
            p.error,
        )
    };
    assert_eq!(result, CLOUDAUTH_OK);
    request
}

pub(crate) fn prepared() -> *mut cloudauth_prepared {
    let (p, prepared) =
        (Probe::good(), crate::probe::leak(cloudauth_prepared { reserved: [9; 32] }));
    // SAFETY: as the header says.
    let result = unsafe {
        cloudauth_gcp_access_token_prepare(
            access_token(),
            at(),
            p.out(),
            p.cap(),
            p.len(),
            prepared,
            p.error,
        )
    };
    assert_eq!(result, CLOUDAUTH_OK);
    prepared
}

pub(crate) fn prepared_jws() -> *mut cloudauth_prepared {
    let (p, prepared) =
        (Probe::good(), crate::probe::leak(cloudauth_prepared { reserved: [9; 32] }));
    // SAFETY: as the header says.
    let result = unsafe {
        cloudauth_gcp_self_signed_prepare(
            self_signed(),
            at(),
            p.out(),
            p.cap(),
            p.len(),
            prepared,
            p.error,
        )
    };
    assert_eq!(result, CLOUDAUTH_OK);
    prepared
}

pub(crate) fn binder() -> *mut cloudauth_ekm_binder {
    made(|b: &mut cloudauth_ekm_binder| {
        b.prover = CLOUDAUTH_EKM_CLIENT;
        b.exported = bytes(&[1; 32]).ptr;
        b.challenge = bytes(&[2; 32]).ptr;
        b.server_spki = text("abc");
        b.audience = text("https://broker.example");
        b.request = text(r#"{"grant":"g"}"#);
    })
}

macro_rules! case {
    ($cases:ident, $name:ident, |$p:ident| $($args:expr),*) => {
        case!($cases, $name, false, false, |$p| $($args),*)
    };
    ($cases:ident, $name:ident, fills, |$p:ident| $($args:expr),*) => {
        case!($cases, $name, true, false, |$p| $($args),*)
    };
    ($cases:ident, $name:ident, slow, |$p:ident| $($args:expr),*) => {
        case!($cases, $name, false, true, |$p| $($args),*)
    };
    ($cases:ident, $name:ident, fills slow, |$p:ident| $($args:expr),*) => {
        case!($cases, $name, true, true, |$p| $($args),*)
    };
    ($cases:ident, $name:ident, $fills:literal, $slow:literal, |$p:ident| $($args:expr),*) => {
        $cases.push(Case {
            name: stringify!($name),
            fills: $fills,
            slow: $slow,
            // SAFETY: all as the header says, but for what the probe makes wrong.
            call: |$p| unsafe { $name($($args),*) },
        })
    };
}

macro_rules! flow {
    ($cases:ident, $params:expr, $needed:ident) => {
        case!($cases, $needed, |p| p.params($params), p.params(at()), 0, p.len(), p.error);
    };
    ($cases:ident, $params:expr, $certificate:expr, $needed:ident, prepare $prepare:ident) => {
        flow!($cases, $params, $needed);
        case!($cases, $prepare, fills, |p| p.params($params), p.params(at()), p.out(), p.cap(), p.len(),
            p.ptr(crate::probe::leak(cloudauth_prepared { reserved: [9; 32] })), p.error);
    };
    ($cases:ident, $params:expr, $certificate:expr, $needed:ident, sign $sign:ident, $prepare:ident) => {
        flow!($cases, $params, $certificate, $needed, prepare $prepare);
        case!($cases, $sign, fills, |p| p.params($params), p.params(signer(stub($certificate))),
            p.params(at()), p.out(), p.cap(), p.len(), p.error);
    };
    ($cases:ident, $params:expr, $certificate:expr, $needed:ident, signed $request:ident, $prepare:ident) => {
        flow!($cases, $params, $certificate, $needed, prepare $prepare);
        case!($cases, $request, fills, |p| p.params($params), p.params(signer(stub($certificate))),
            p.params(at()), p.out(), p.cap(), p.len(), p.output(blank()), p.error);
    };
    ($cases:ident, $params:expr, $certificate:expr, $needed:ident, maybe $request:ident, $prepare:ident) => {
        flow!($cases, $params, $certificate, $needed, prepare $prepare);
        // A null signer is allowed.
        case!($cases, $request, fills, |p| p.params($params), signer(stub($certificate)),
            p.params(at()), p.out(), p.cap(), p.len(), p.output(blank()), p.error);
    };
    ($cases:ident, $params:expr, $needed:ident, unsigned $request:ident) => {
        flow!($cases, $params, $needed);
        case!($cases, $request, fills, |p| p.params($params), p.params(at()), p.out(), p.cap(), p.len(),
            p.output(blank()), p.error);
    };
}

macro_rules! response {
    ($cases:ident, $name:ident, $params:expr, $status:expr, $body:expr) => {
        case!(
            $cases,
            $name,
            |p| p.params($params),
            p.params(head($status)),
            p.ptr(bytes($body.as_bytes()).ptr.cast_mut()),
            $body.len(),
            p.output(blank()),
            std::ptr::null_mut(),
            p.error
        );
    };
}

pub(crate) const ACCESS_TOKEN: &str =
    r#"{"access_token":"t","token_type":"Bearer","expires_in":3599}"#;
pub(crate) const SESSION: &str = r#"{"credentialSet":[{"credentials":{"accessKeyId":"ASIA","secretAccessKey":"s","sessionToken":"t","expiration":"2026-11-22T12:00:00Z"}}]}"#;

/// Every function that can fail.
pub(crate) fn all() -> Vec<Case> {
    let mut c = Vec::new();
    flow!(c, self_signed(), P256, cloudauth_gcp_self_signed_needed, sign cloudauth_gcp_self_signed_sign,
        cloudauth_gcp_self_signed_prepare);
    flow!(c, access_token(), P256, cloudauth_gcp_access_token_needed,
        signed cloudauth_gcp_access_token_request, cloudauth_gcp_access_token_prepare);
    flow!(c, id_token(), RSA, cloudauth_gcp_id_token_needed, signed cloudauth_gcp_id_token_request,
        cloudauth_gcp_id_token_prepare);
    flow!(c, subject_token(), RSA, cloudauth_gcp_subject_token_needed,
        sign cloudauth_gcp_subject_token_sign, cloudauth_gcp_subject_token_prepare);
    flow!(c, federation(), RSA, cloudauth_gcp_federation_needed, maybe cloudauth_gcp_federation_request,
        cloudauth_gcp_federation_prepare);
    flow!(c, generate_access_token(), cloudauth_gcp_generate_access_token_needed,
        unsigned cloudauth_gcp_generate_access_token_request);
    flow!(c, generate_id_token(), cloudauth_gcp_generate_id_token_needed,
        unsigned cloudauth_gcp_generate_id_token_request);
    flow!(c, client_assertion(), RSA, cloudauth_azure_client_assertion_needed,
        sign cloudauth_azure_client_assertion_sign, cloudauth_azure_client_assertion_prepare);
    flow!(c, azure_token(), RSA, cloudauth_azure_token_needed, maybe cloudauth_azure_token_request,
        cloudauth_azure_token_prepare);
    flow!(c, create_session(), P256, cloudauth_rolesanywhere_create_session_needed,
        signed cloudauth_rolesanywhere_create_session_request,
        cloudauth_rolesanywhere_create_session_prepare);
    flow!(c, assume_role(), cloudauth_sts_assume_role_needed, unsigned cloudauth_sts_assume_role_request);
    flow!(c, web_identity(), cloudauth_sts_assume_role_with_web_identity_needed,
        unsigned cloudauth_sts_assume_role_with_web_identity_request);
    flow!(c, session_token(), cloudauth_sts_get_session_token_needed,
        unsigned cloudauth_sts_get_session_token_request);
    flow!(c, caller_identity(), cloudauth_sts_get_caller_identity_needed,
        unsigned cloudauth_sts_get_caller_identity_request);
    answers(&mut c);
    helpers(&mut c);
    keys(&mut c);
    c
}

fn answers(c: &mut Vec<Case>) {
    const ROLE: &str = include_str!("../../../core/src/aws/sts/testdata/assume-role.xml");
    const WEB: &str = include_str!("../../../core/src/aws/sts/testdata/web-identity.xml");
    const TOKEN: &str = include_str!("../../../core/src/aws/sts/testdata/session-token.xml");
    const CALLER: &str = include_str!("../../../core/src/aws/sts/testdata/caller-identity.xml");
    const FEDERATED: &str = r#"{"access_token":"t","token_type":"Bearer","expires_in":3599,"issued_token_type":"urn:ietf:params:oauth:token-type:access_token"}"#;
    response!(c, cloudauth_gcp_access_token_response, access_token(), 200, ACCESS_TOKEN);
    response!(c, cloudauth_gcp_id_token_response, id_token(), 200, r#"{"id_token":"t"}"#);
    response!(c, cloudauth_gcp_federation_response, federation(), 200, FEDERATED);
    response!(
        c,
        cloudauth_gcp_generate_access_token_response,
        generate_access_token(),
        200,
        r#"{"accessToken":"t","expireTime":"2026-11-22T12:00:00Z"}"#
    );
    response!(
        c,
        cloudauth_gcp_generate_id_token_response,
        generate_id_token(),
        200,
        r#"{"token":"t"}"#
    );
    response!(c, cloudauth_azure_token_response, azure_token(), 200, ACCESS_TOKEN);
    response!(c, cloudauth_rolesanywhere_create_session_response, create_session(), 201, SESSION);
    response!(c, cloudauth_sts_assume_role_response, assume_role(), 200, ROLE);
    response!(c, cloudauth_sts_assume_role_with_web_identity_response, web_identity(), 200, WEB);
    response!(c, cloudauth_sts_get_session_token_response, session_token(), 200, TOKEN);
    response!(c, cloudauth_sts_get_caller_identity_response, caller_identity(), 200, CALLER);
}

fn helpers(c: &mut Vec<Case>) {
    const DER: &[u8] = include_bytes!("../../../tests/fuzz/seeds/certificate/signature");
    case!(
        c,
        cloudauth_header_at,
        |p| p.bytes(text("A: b\r\nC: d")),
        1,
        p.ptr(crate::probe::leak(cloudauth_pair { name: text(""), value: text("") })),
        p.error
    );
    case!(
        c,
        cloudauth_http1_write,
        fills,
        |p| p.params(request()),
        p.out(),
        p.cap(),
        p.len(),
        p.error
    );
    case!(c, cloudauth_prepared_to_sign, |p| p.input(prepared()), p.output(blank()), p.error);
    case!(
        c,
        cloudauth_prepared_finish,
        |p| p.ptr(prepared()),
        p.bytes(bytes(&[1; 64])),
        p.output(blank()),
        p.error
    );
    case!(
        c,
        cloudauth_prepared_jws_finish,
        |p| p.ptr(prepared_jws()),
        p.bytes(bytes(&[1; 64])),
        p.ptr(crate::probe::leak(text(""))),
        p.error
    );
    case!(
        c,
        cloudauth_sigv4_key_derive,
        |p| p.ptr(crate::probe::leak(cloudauth_sigv4_key { reserved: [0; 56] })),
        p.params(mac()),
        NOW,
        p.bytes(text("eu-central-1")),
        p.bytes(text("s3")),
        p.error
    );
    case!(
        c,
        cloudauth_sigv4_key_covers,
        |p| p.input(sigv4_key("s3")),
        NOW,
        p.ptr(crate::probe::leak(0)),
        p.error
    );
    case!(
        c,
        cloudauth_sigv4_sign,
        fills,
        |p| p.params(sigv4("s3")),
        p.params(sigv4_request()),
        NOW,
        p.out(),
        p.cap(),
        p.len(),
        p.output(blank()),
        p.error
    );
    case!(
        c,
        cloudauth_sigv4_presign,
        fills,
        |p| p.params(sigv4("s3")),
        p.params(sigv4_request()),
        NOW,
        60,
        p.out(),
        p.cap(),
        p.len(),
        p.error
    );
    case!(
        c,
        cloudauth_base64url_encode,
        fills,
        |p| p.bytes(text("Hello")),
        p.out(),
        p.cap(),
        p.len(),
        p.error
    );
    case!(
        c,
        cloudauth_base64url_decode,
        fills,
        |p| p.bytes(text("SGVsbG8")),
        p.out(),
        p.cap(),
        p.len(),
        p.error
    );
    case!(
        c,
        cloudauth_ecdsa_der_from_raw,
        fills,
        |p| p.bytes(bytes(&[1; 64])),
        p.out(),
        p.cap(),
        p.len(),
        p.error
    );
    case!(
        c,
        cloudauth_ecdsa_raw_from_der,
        fills,
        |p| p.bytes(bytes(DER)),
        32,
        p.out(),
        p.cap(),
        p.len(),
        p.error
    );
    case!(
        c,
        cloudauth_ekm_label,
        |p| CLOUDAUTH_EKM_SERVER,
        p.ptr(crate::probe::leak(text(""))),
        p.error
    );
    case!(
        c,
        cloudauth_ekm_nonce,
        fills,
        |p| p.params(binder()),
        p.out(),
        p.cap(),
        p.len(),
        p.error
    );
    case!(
        c,
        cloudauth_ekm_verify,
        |p| p.params(binder()),
        p.bytes(text("helxS8Y09fTajT90ewPY6JziPEcef0wWUErQliIgZ-M")),
        p.error
    );
    case!(
        c,
        cloudauth_ekm_compat_label,
        |p| CLOUDAUTH_EKM_COMPAT_SEED,
        p.ptr(crate::probe::leak(text(""))),
        p.error
    );
    case!(
        c,
        cloudauth_ekm_compat_nonce,
        fills,
        |p| CLOUDAUTH_EKM_COMPAT_SEED,
        p.input(bytes(&[1; 32]).ptr.cast_mut()),
        p.out(),
        p.cap(),
        p.len(),
        p.error
    );
    case!(
        c,
        cloudauth_ekm_compat_verify,
        |p| CLOUDAUTH_EKM_COMPAT_SEED,
        p.input(bytes(&[1; 32]).ptr.cast_mut()),
        p.bytes(text(&"01".repeat(32))),
        p.error
    );
    case!(c, cloudauth_x509_parse, |p| p.bytes(bytes(RSA)), p.output(blank()), p.error);
    case!(c, cloudauth_x509_check_validity, |p| p.bytes(bytes(RSA)), NOW, p.error);
    case!(
        c,
        cloudauth_x509_serial_decimal,
        fills,
        |p| p.bytes(bytes(RSA)),
        p.out(),
        p.cap(),
        p.len(),
        p.error
    );
    case!(
        c,
        cloudauth_x509_thumbprint_sha256,
        |p| p.bytes(bytes(RSA)),
        p.ptr(crate::probe::leak([0u8; 32]).cast()),
        p.error
    );
    case!(
        c,
        cloudauth_x509_thumbprint_sha1,
        |p| p.bytes(bytes(RSA)),
        p.ptr(crate::probe::leak([0u8; 20]).cast()),
        p.error
    );
}

fn keys(c: &mut Vec<Case>) {
    use crate::tokens::{claims, expect, jwks, jwks_text, key, p256_key, token};
    case!(
        c,
        cloudauth_p256_key_init,
        slow,
        |p| p.ptr(crate::probe::leak(cloudauth_p256_key { reserved: [0; 40] })),
        p.input(bytes(&[5; 32]).ptr.cast_mut()),
        p.error
    );
    case!(c, cloudauth_p256_signer, slow, |p| p.input(p256_key()), p.output(blank()), p.error);
    case!(
        c,
        cloudauth_hmac_key_init,
        |p| p.ptr(crate::probe::leak(cloudauth_hmac_key { reserved: [0; 40] })),
        p.bytes(text("key")),
        p.error
    );
    case!(
        c,
        cloudauth_hmac_key_init_aws,
        |p| p.ptr(crate::probe::leak(cloudauth_hmac_key { reserved: [0; 40] })),
        p.bytes(text("key")),
        p.error
    );
    case!(
        c,
        cloudauth_hmac_mac,
        |p| p.input(crate::tokens::hmac_key()),
        p.output(blank()),
        p.error
    );
    case!(
        c,
        cloudauth_jwks_parse,
        |p| p.ptr(crate::probe::leak(cloudauth_jwks { reserved: [0; 8] })),
        p.ptr(jwks_text().ptr.cast_mut()),
        jwks_text().len,
        p.error
    );
    case!(c, cloudauth_jws_verify, fills slow, |p| p.bytes(token()), p.params(expect()), p.input(key()), 1,
        p.out(), p.cap(), p.len(), p.output(blank()), p.error);
    case!(c, cloudauth_jws_verify_jwks, fills slow, |p| p.bytes(token()), p.params(expect()),
        p.input(jwks()), p.out(), p.cap(), p.len(), p.output(blank()), p.error);
    case!(
        c,
        cloudauth_json_kind,
        slow,
        |p| p.input(claims()),
        p.bytes(text("/iat")),
        p.ptr(crate::probe::leak(0)),
        p.error
    );
    case!(
        c,
        cloudauth_json_string,
        slow,
        |p| p.input(claims()),
        p.bytes(text("/iss")),
        p.ptr(crate::probe::leak(text(""))),
        p.error
    );
    case!(
        c,
        cloudauth_json_integer,
        slow,
        |p| p.input(claims()),
        p.bytes(text("/iat")),
        p.ptr(crate::probe::leak(0)),
        p.error
    );
    case!(
        c,
        cloudauth_json_bool,
        slow,
        |p| p.input(crate::tokens::flags()),
        p.bytes(text("/flag")),
        p.ptr(crate::probe::leak(0)),
        p.error
    );
    case!(c, cloudauth_json_write, fills slow, |p| p.input(claims()), p.bytes(text("/iss")), p.out(),
        p.cap(), p.len(), p.error);
}
