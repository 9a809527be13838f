//! What comes out is what the core gives for the same parameters, octet by octet.

use cloudauth::*;
use cloudauth_core::aws::rolesanywhere::CreateSession;
use cloudauth_core::aws::sigv4::SigV4;
use cloudauth_core::aws::{
    AssumeRole, AssumeRoleWithWebIdentity, GetCallerIdentity, GetSessionToken, SigningKey,
};
use cloudauth_core::azure::{ClientAssertion, Credential, TokenRequest};
use cloudauth_core::gcp::{
    AccessTokenRequest, GenerateAccessToken, GenerateIdToken, Grant, IdTokenRequest, SelfSigned,
    Subject, SubjectToken, TokenExchange,
};
use cloudauth_core::x509::Certificate;
use cloudauth_core::{
    Assertion, Attempt, Exchange, HttpRequest, Mac, Scheme, Secret, SignError, Signer, ToSign,
    UnixTime,
};

use crate::cases::{self, EMAIL, NOW, P256, PROVIDER, ROLE, RSA, at, signer};
use crate::probe::{Probe, blank, bytes, held};

/// The stub of the cases, as the core knows signers.
struct Stub(&'static [u8]);

impl Signer for Stub {
    fn public_key(&self) -> &[u8] {
        Certificate::parse(self.0).unwrap().spki()
    }

    fn supports(&self, _: Scheme) -> bool {
        true
    }

    fn max_signature_len(&self, scheme: Scheme) -> usize {
        if scheme == Scheme::EcdsaP256Sha256 { 64 } else { 256 }
    }

    fn sign(&self, scheme: Scheme, what: &ToSign<'_>, out: &mut [u8]) -> Result<usize, SignError> {
        let size = self.max_signature_len(scheme);
        let (digest, entropy) = (what.digest(scheme)?, what.entropy());
        for (i, octet) in out[..size].iter_mut().enumerate() {
            *octet = if i % 64 < 32 { digest.as_ref()[i % 32] } else { entropy[i % 32] };
        }
        Ok(size)
    }
}

struct MacStub;

impl Mac for MacStub {
    fn hmac_sha256(&self, message: &[u8]) -> Result<[u8; 32], SignError> {
        Ok([u8::try_from(message.len()).unwrap(); 32])
    }
}

fn attempt() -> Attempt {
    Attempt::new(time(), [7; 32])
}

fn time() -> UnixTime {
    UnixTime::new(NOW.unsigned_abs()).unwrap()
}

/// Every part of a request.
fn same(request: *const cloudauth_request, expected: &HttpRequest<'_>) {
    // SAFETY: made by the library.
    let request = unsafe { &*request };
    assert_eq!(held(request.method), expected.method().as_bytes());
    assert_eq!(held(request.host), expected.host().as_bytes());
    assert_eq!(held(request.target), expected.target().as_bytes());
    assert_eq!(held(request.headers), expected.head().as_bytes());
    assert_eq!(held(request.body), expected.body());
    let (p, mut buf) = (Probe::good(), [0; 8192]);
    // SAFETY: as the header says.
    let result = unsafe { cloudauth_http1_write(request, p.out(), p.cap(), p.len(), p.error()) };
    assert_eq!(result, CLOUDAUTH_OK);
    assert_eq!(p.content()[..p.written()], *expected.write_http1(&mut buf).unwrap());
    for (index, (name, value)) in expected.headers().enumerate() {
        let mut pair = cloudauth_pair { name: bytes(b""), value: bytes(b"") };
        // SAFETY: as the header says.
        let result = unsafe {
            cloudauth_header_at(request.headers, index, &raw mut pair, std::ptr::null_mut())
        };
        assert_eq!(result, CLOUDAUTH_OK);
        assert_eq!((held(pair.name), held(pair.value)), (name.into(), value.into()));
    }
}

/// Signs what is prepared, as the stub does.
fn signature(prepared: *const cloudauth_prepared) -> cloudauth_bytes {
    let to_sign = blank::<cloudauth_to_sign>();
    // SAFETY: as the header says.
    let to_sign = unsafe {
        let result = cloudauth_prepared_to_sign(prepared, to_sign, std::ptr::null_mut());
        assert_eq!(result, CLOUDAUTH_OK);
        &*to_sign
    };
    let scheme = Scheme::ALL.into_iter().find(|s| *s as u32 == to_sign.scheme).unwrap();
    let message = held(to_sign.message);
    let seed = [7; 32];
    let what = ToSign::new(&message, &seed);
    assert_eq!(
        to_sign.digest[..to_sign.digest_len as usize],
        *what.digest(scheme).unwrap().as_ref()
    );
    assert_eq!(to_sign.entropy, what.entropy());
    let mut out = [0; 256];
    let len = Stub(P256).sign(scheme, &what, &mut out).unwrap();
    bytes(&out[..len])
}

/// An exchange that a signer signs: in one call, in two steps, and its size.
macro_rules! signed {
    ($params:expr, $certificate:expr, $core:expr, $needed:ident, $request:ident, $prepare:ident) => {{
        let (core, mut buf) = ($core, [0; 8192]);
        let expected = core.request(&Stub($certificate), &attempt(), &mut buf).unwrap();
        // SAFETY: as the header says.
        unsafe {
            let (p, request) = (Probe::good(), blank());
            let result = $request(
                $params(&p),
                signer(&p, $certificate),
                at(&p),
                p.out(),
                p.cap(),
                p.len(),
                request,
                p.error(),
            );
            assert_eq!(result, CLOUDAUTH_OK);
            same(request, &expected);

            let (p, request) = (Probe::good(), blank());
            let prepared = crate::probe::leak(cloudauth_prepared { reserved: [9; 32] });
            let result =
                $prepare($params(&p), at(&p), p.out(), p.cap(), p.len(), prepared, p.error());
            assert_eq!(result, CLOUDAUTH_OK);
            let signature = signature(prepared);
            // A signature that cannot be right changes nothing.
            let wrong = cloudauth_prepared_finish(prepared, bytes(&[1; 7]), request, p.error());
            assert_eq!(wrong, CLOUDAUTH_ERR_INVALID);
            let result = cloudauth_prepared_finish(prepared, signature, request, p.error());
            assert_eq!(result, CLOUDAUTH_OK);
            same(request, &expected);
            let again = cloudauth_prepared_finish(prepared, signature, request, p.error());
            assert_eq!((again, (*prepared).reserved), (CLOUDAUTH_ERR_STATE, [0; 32]));

            let p = Probe::good();
            let result = $needed($params(&p), at(&p), signature.len, p.len(), p.error());
            assert_eq!(result, CLOUDAUTH_OK);
            assert_eq!(p.written(), core.needed(&attempt(), signature.len).unwrap());
        }
    }};
}

macro_rules! assertion {
    ($params:expr, $certificate:expr, $core:expr, $needed:ident, $sign:ident, $prepare:ident) => {{
        let (core, mut buf) = ($core, [0; 8192]);
        let expected = core.sign(&Stub($certificate), &attempt(), &mut buf).unwrap();
        // SAFETY: as the header says.
        unsafe {
            let p = Probe::good();
            let result = $sign(
                $params(&p),
                signer(&p, $certificate),
                at(&p),
                p.out(),
                p.cap(),
                p.len(),
                p.error(),
            );
            assert_eq!(result, CLOUDAUTH_OK);
            assert_eq!(p.content()[..p.written()], *expected.as_bytes());

            let p = Probe::good();
            let prepared = crate::probe::leak(cloudauth_prepared { reserved: [9; 32] });
            let result =
                $prepare($params(&p), at(&p), p.out(), p.cap(), p.len(), prepared, p.error());
            assert_eq!(result, CLOUDAUTH_OK);
            let (signature, mut token) = (signature(prepared), bytes(b""));
            let wrong = cloudauth_prepared_finish(prepared, signature, blank(), p.error());
            assert_eq!(wrong, CLOUDAUTH_ERR_STATE);
            let result =
                cloudauth_prepared_jws_finish(prepared, signature, &raw mut token, p.error());
            assert_eq!(result, CLOUDAUTH_OK);
            assert_eq!(held(token), expected.as_bytes());

            let p = Probe::good();
            let result = $needed($params(&p), at(&p), signature.len, p.len(), p.error());
            assert_eq!(result, CLOUDAUTH_OK);
            assert_eq!(p.written(), core.needed(&attempt(), signature.len).unwrap());
        }
    }};
}

macro_rules! unsigned {
    ($params:expr, $core:expr, $needed:ident, $request:ident) => {{
        let (core, mut buf) = ($core, [0; 8192]);
        let expected = core.build(&attempt(), &mut buf).unwrap();
        // SAFETY: as the header says.
        unsafe {
            let (p, request) = (Probe::good(), blank());
            let result =
                $request($params(&p), at(&p), p.out(), p.cap(), p.len(), request, p.error());
            assert_eq!(result, CLOUDAUTH_OK);
            same(request, &expected);
            let p = Probe::good();
            assert_eq!($needed($params(&p), at(&p), 0, p.len(), p.error()), CLOUDAUTH_OK);
            assert_eq!(p.written(), core.needed(&attempt(), 0).unwrap());
        }
    }};
}

const CLIENT: &str = "00001111-aaaa-2222-bbbb-3333cccc4444";

fn subject_token() -> SubjectToken<'static> {
    SubjectToken::new(PROVIDER, "https://issuer.example", "robot-7")
}

fn client_assertion() -> ClientAssertion<'static> {
    ClientAssertion::new(Certificate::parse(RSA).unwrap(), "contoso.example", CLIENT)
}

#[test]
fn google() {
    let es256 = Scheme::EcdsaP256Sha256;
    let audience = Grant::Audience("https://pubsub.googleapis.com/");
    assertion!(
        cases::self_signed,
        P256,
        SelfSigned { grant: audience, scheme: es256, ..SelfSigned::new(EMAIL) },
        cloudauth_gcp_self_signed_needed,
        cloudauth_gcp_self_signed_sign,
        cloudauth_gcp_self_signed_prepare
    );
    let scopes = ["https://www.googleapis.com/auth/pubsub", "email"];
    signed!(
        cases::access_token,
        P256,
        AccessTokenRequest { scheme: es256, ..AccessTokenRequest::new(EMAIL, &scopes) },
        cloudauth_gcp_access_token_needed,
        cloudauth_gcp_access_token_request,
        cloudauth_gcp_access_token_prepare
    );
    signed!(
        cases::id_token,
        RSA,
        IdTokenRequest::new(EMAIL, "https://service.example"),
        cloudauth_gcp_id_token_needed,
        cloudauth_gcp_id_token_request,
        cloudauth_gcp_id_token_prepare
    );
}

#[test]
fn google_federation() {
    assertion!(
        cases::subject_token,
        RSA,
        subject_token(),
        cloudauth_gcp_subject_token_needed,
        cloudauth_gcp_subject_token_sign,
        cloudauth_gcp_subject_token_prepare
    );
    signed!(
        cases::federation,
        RSA,
        TokenExchange::new(Subject::Signed(subject_token()), &["email"]),
        cloudauth_gcp_federation_needed,
        cloudauth_gcp_federation_request,
        cloudauth_gcp_federation_prepare
    );
    let token = Secret::new("ya29.token");
    unsigned!(
        cases::generate_access_token,
        GenerateAccessToken::new(token, EMAIL),
        cloudauth_gcp_generate_access_token_needed,
        cloudauth_gcp_generate_access_token_request
    );
    unsigned!(
        cases::generate_id_token,
        GenerateIdToken::new(token, EMAIL, "https://service.example"),
        cloudauth_gcp_generate_id_token_needed,
        cloudauth_gcp_generate_id_token_request
    );
}

#[test]
fn azure() {
    assertion!(
        cases::client_assertion,
        RSA,
        client_assertion(),
        cloudauth_azure_client_assertion_needed,
        cloudauth_azure_client_assertion_sign,
        cloudauth_azure_client_assertion_prepare
    );
    let credential = Credential::Assertion(client_assertion());
    let scopes = &["https://vault.azure.net/.default"];
    signed!(
        cases::azure_token,
        RSA,
        TokenRequest { scopes, claims: None, credential },
        cloudauth_azure_token_needed,
        cloudauth_azure_token_request,
        cloudauth_azure_token_prepare
    );
}

#[test]
fn aws() {
    signed!(
        cases::create_session,
        P256,
        CreateSession::new(Certificate::parse(P256).unwrap(), cases::ANCHOR, cases::PROFILE, ROLE,),
        cloudauth_rolesanywhere_create_session_needed,
        cloudauth_rolesanywhere_create_session_request,
        cloudauth_rolesanywhere_create_session_prepare
    );
    let key = SigningKey::derive(&MacStub, time(), "eu-central-1", "sts").unwrap();
    let sigv4 = SigV4 { session_token: Some("session+token"), ..SigV4::new("AKIDEXAMPLE", &key) };
    unsigned!(
        cases::assume_role,
        AssumeRole::new(sigv4, ROLE, "robot-7"),
        cloudauth_sts_assume_role_needed,
        cloudauth_sts_assume_role_request
    );
    unsigned!(
        cases::web_identity,
        AssumeRoleWithWebIdentity::new("eu-central-1", ROLE, "robot-7", "a.b.c"),
        cloudauth_sts_assume_role_with_web_identity_needed,
        cloudauth_sts_assume_role_with_web_identity_request
    );
    unsigned!(
        cases::session_token,
        GetSessionToken::new(SigV4 { session_token: None, ..sigv4 }),
        cloudauth_sts_get_session_token_needed,
        cloudauth_sts_get_session_token_request
    );
    unsigned!(
        cases::caller_identity,
        GetCallerIdentity::new(sigv4),
        cloudauth_sts_get_caller_identity_needed,
        cloudauth_sts_get_caller_identity_request
    );
}

#[test]
fn signature_version_4() {
    use cloudauth_core::aws::sigv4::{Payload, Request, Settings};
    let key = SigningKey::derive(&MacStub, time(), "eu-central-1", "s3").unwrap();
    let headers = &[("Host", "bucket.example")];
    let payload = Payload::Bytes(b"payload");
    let request = Request { method: "PUT", path: "/a b", query: "x=1", headers, payload };
    for (flags, settings) in [(0, Settings::default()), (CLOUDAUTH_SIGV4_S3, Settings::S3)] {
        let session_token = Some("session+token");
        let sigv4 = SigV4 { session_token, settings, ..SigV4::new("AKIDEXAMPLE", &key) };
        let params = cases::sigv4(&Probe::good(), "s3");
        // SAFETY: as the header says.
        unsafe {
            (*params).flags = flags;
            let mut buf = [0; 2048];
            let expected = sigv4.sign(&request, time(), &mut buf).unwrap();
            let (p, signed) = (Probe::good(), blank::<cloudauth_sigv4_signed>());
            let c_request = cases::sigv4_request(&Probe::good());
            let result = cloudauth_sigv4_sign(
                params,
                c_request,
                NOW,
                p.out(),
                p.cap(),
                p.len(),
                signed,
                p.error(),
            );
            assert_eq!(result, CLOUDAUTH_OK);
            assert_eq!(held((*signed).headers), expected.head().as_bytes());
            assert_eq!(held((*signed).authorization), expected.authorization().as_bytes());
            assert_eq!(held((*signed).signature), expected.signature().as_bytes());

            let expected = sigv4.presign(&request, time(), 60, &mut buf).unwrap();
            let p = Probe::good();
            let result = cloudauth_sigv4_presign(
                params,
                c_request,
                NOW,
                60,
                p.out(),
                p.cap(),
                p.len(),
                p.error(),
            );
            assert_eq!(result, CLOUDAUTH_OK);
            assert_eq!(p.content()[..p.written()], *expected.as_bytes());
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "takes minutes")]
fn the_software_key_signs_as_the_cores() {
    let key = cloudauth_core::soft::P256Key::from_bytes(&[5; 32]).unwrap();
    let grant = Grant::Audience("https://pubsub.googleapis.com/");
    let scheme = Scheme::EcdsaP256Sha256;
    let mut buf = [0; 2048];
    let core = SelfSigned { grant, scheme, ..SelfSigned::new(EMAIL) };
    let expected = core.sign(&key, &attempt(), &mut buf).unwrap();
    let p = Probe::good();
    // SAFETY: as the header says.
    let result = unsafe {
        let (params, signer) = (cases::self_signed(&p), cases::p256_signer());
        let (at, out, cap, len) = (at(&p), p.out(), p.cap(), p.len());
        cloudauth_gcp_self_signed_sign(params, signer, at, out, cap, len, p.error())
    };
    assert_eq!(result, CLOUDAUTH_OK);
    assert_eq!(p.content()[..p.written()], *expected.as_bytes());
}

#[test]
fn the_software_mac_is_awss() {
    let (mac, mut tag) = (blank::<cloudauth_mac>(), [0; 32]);
    // SAFETY: as the header says.
    unsafe {
        let made = cloudauth_hmac_mac(cases::hmac_key(), mac, std::ptr::null_mut());
        assert_eq!(made, CLOUDAUTH_OK);
        let hmac = (*mac).hmac_sha256.unwrap();
        assert_eq!(hmac((*mac).ctx, bytes(b"20261122"), tag.as_mut_ptr()), CLOUDAUTH_OK);
    }
    let secret = cloudauth_core::aws::SecretAccessKey::new("secret").unwrap();
    assert_eq!(tag, secret.hmac_sha256(b"20261122").unwrap());
}
