//! AWS.

use std::ffi::c_void;
use std::sync::OnceLock;

use cloudauth::*;

use super::{Case, NOW, P256, RSA, Shared, at, case, flow, head, response, signer};
use crate::probe::{Callback, Probe, leak, text};

pub(crate) const ROLE: &str = "arn:aws:iam::123456789012:role/demo";
pub(crate) const ANCHOR: &str = "arn:aws:rolesanywhere:eu-central-1:123456789012:trust-anchor/a";
pub(crate) const PROFILE: &str = "arn:aws:rolesanywhere:eu-central-1:123456789012:profile/p";

pub(crate) fn create_session(p: &Probe) -> *mut cloudauth_rolesanywhere_create_session_params {
    p.params(|params: &mut cloudauth_rolesanywhere_create_session_params| {
        params.certificate = p.octets(P256);
        params.trust_anchor_arn = p.text(ANCHOR);
        params.profile_arn = p.text(PROFILE);
        params.role_arn = p.text(ROLE);
        params.certificate_in_body = p.number(0);
    })
}

/// One with every list.
fn detailed(p: &Probe) -> *mut cloudauth_rolesanywhere_create_session_params {
    p.params(|params: &mut cloudauth_rolesanywhere_create_session_params| {
        params.certificate = p.octets(P256);
        (params.chain, params.chain_count) = p.elements(&[p.octets(RSA)]);
        params.trust_anchor_arn = p.text(ANCHOR);
        params.profile_arn = p.text(PROFILE);
        params.role_arn = p.text(ROLE);
        params.role_session_name = p.text("robot-7");
        (params.instance_properties, params.instance_property_count) = p.pairs(&[("a", "b")]);
    })
}

/// `ctx` says what it does.
unsafe extern "C" fn hmac(ctx: *mut c_void, message: cloudauth_bytes, tag: *mut u8) -> i32 {
    // SAFETY: as the header says.
    unsafe {
        match *ctx.cast::<Option<Callback>>() {
            Some(Callback::Fails(result)) => return result,
            Some(Callback::Nothing) => return CLOUDAUTH_OK,
            Some(Callback::Zeros) => tag.write_bytes(0, 32),
            Some(Callback::Reenters) => {
                derived("iam");
            }
            _ => {}
        }
        if !matches!(*ctx.cast::<Option<Callback>>(), Some(Callback::Zeros)) {
            tag.write_bytes(u8::try_from(message.len).unwrap(), 32);
        }
    }
    CLOUDAUTH_OK
}

pub(crate) fn mac(p: &Probe) -> *mut cloudauth_mac {
    p.params(|mac: &mut cloudauth_mac| {
        mac.ctx = p.handle(leak(p.callback())).cast();
        mac.ctx_size = p.length(size_of::<Option<Callback>>());
        mac.hmac_sha256 = Some(hmac);
    })
}

pub(crate) fn sigv4_key(service: &str) -> *const cloudauth_sigv4_key {
    static S3: OnceLock<Shared<cloudauth_sigv4_key>> = OnceLock::new();
    static STS: OnceLock<Shared<cloudauth_sigv4_key>> = OnceLock::new();
    let key = if service == "s3" { &S3 } else { &STS };
    key.get_or_init(|| Shared(derived(service))).0
}

fn derived(service: &str) -> *mut cloudauth_sigv4_key {
    let q = Probe::good();
    let key = leak(cloudauth_sigv4_key { reserved: [0; 56] });
    let (region, service) = (text("eu-central-1"), text(service));
    // SAFETY: as the header says.
    let result =
        unsafe { cloudauth_sigv4_key_derive(key, mac(&q), NOW, region, service, q.error()) };
    assert_eq!(result, CLOUDAUTH_OK);
    key
}

pub(crate) fn sigv4(p: &Probe, service: &str) -> *mut cloudauth_sigv4_params {
    p.params(|params: &mut cloudauth_sigv4_params| {
        params.access_key_id = p.text("AKIDEXAMPLE");
        params.session_token = p.text("session+token");
        params.key = p.handle(sigv4_key(service));
        params.flags = p.number(CLOUDAUTH_SIGV4_S3);
        params.reserved = p.number(0);
    })
}

pub(crate) fn sigv4_request(p: &Probe) -> *mut cloudauth_sigv4_request {
    p.params(|params: &mut cloudauth_sigv4_request| {
        params.method = p.text("PUT");
        params.path = p.text("/a b");
        params.query = p.text("x=1");
        (params.headers, params.header_count) = p.pairs(&[("Host", "bucket.example")]);
        params.payload = p.octets(b"payload");
        params.payload_kind = p.number(CLOUDAUTH_SIGV4_PAYLOAD_BYTES);
        params.reserved = p.number(0);
    })
}

/// What is not S3 has no such flags.
fn sts(p: &Probe) -> *mut cloudauth_sigv4_params {
    let params = sigv4(p, "sts");
    // SAFETY: made here, or null.
    if let Some(params) = unsafe { params.as_mut() }
        && params.flags == CLOUDAUTH_SIGV4_S3
    {
        params.flags = 0;
    }
    params
}

pub(crate) fn assume_role(p: &Probe) -> *mut cloudauth_sts_assume_role_params {
    p.params(|params: &mut cloudauth_sts_assume_role_params| {
        params.signer = sts(p);
        params.role_arn = p.text(ROLE);
        params.role_session_name = p.text("robot-7");
        params.accept_json = p.number(0);
    })
}

/// One with every list.
fn tagged(p: &Probe) -> *mut cloudauth_sts_assume_role_params {
    const POLICY: &str = "arn:aws:iam::aws:policy/ReadOnlyAccess";
    const CONTEXT: &str = "arn:aws:iam::aws:contextProvider/IdentityCenter";
    p.params(|params: &mut cloudauth_sts_assume_role_params| {
        params.signer = sts(p);
        params.role_arn = p.text(ROLE);
        params.role_session_name = p.text("robot-7");
        (params.policy_arns, params.policy_arn_count) = p.texts(&[POLICY]);
        (params.tags, params.tag_count) = p.pairs(&[("team", "red")]);
        (params.transitive_tag_keys, params.transitive_tag_key_count) = p.texts(&["team"]);
        (params.provided_contexts, params.provided_context_count) =
            p.pairs(&[(CONTEXT, "assertion")]);
        params.external_id = p.text("external");
    })
}

pub(crate) fn web_identity(p: &Probe) -> *mut cloudauth_sts_assume_role_with_web_identity_params {
    p.params(|params: &mut cloudauth_sts_assume_role_with_web_identity_params| {
        params.region = p.text("eu-central-1");
        params.role_arn = p.text(ROLE);
        params.role_session_name = p.text("robot-7");
        params.web_identity_token = p.text("a.b.c");
        params.accept_json = p.number(0);
    })
}

pub(crate) fn session_token(p: &Probe) -> *mut cloudauth_sts_get_session_token_params {
    p.params(|params: &mut cloudauth_sts_get_session_token_params| {
        // Long-term credentials: it takes no others.
        params.signer = p.params(|params: &mut cloudauth_sigv4_params| {
            params.access_key_id = p.text("AKIDEXAMPLE");
            params.key = p.handle(sigv4_key("sts"));
        });
        params.accept_json = p.number(0);
    })
}

pub(crate) fn caller_identity(p: &Probe) -> *mut cloudauth_sts_get_caller_identity_params {
    p.params(|params: &mut cloudauth_sts_get_caller_identity_params| {
        params.signer = sts(p);
        params.accept_json = p.number(0);
        params.reserved = p.number(0);
    })
}

pub(crate) const SESSION: &str = r#"{"credentialSet":[{"credentials":{"accessKeyId":"ASIA","secretAccessKey":"s","sessionToken":"t","expiration":"2026-11-22T12:00:00Z"}}]}"#;

pub(super) fn cases(c: &mut Vec<Case>) {
    const ROLE: &str = include_str!("../../../../core/src/aws/sts/testdata/assume-role.xml");
    const WEB: &str = include_str!("../../../../core/src/aws/sts/testdata/web-identity.xml");
    const TOKEN: &str = include_str!("../../../../core/src/aws/sts/testdata/session-token.xml");
    const CALLER: &str = include_str!("../../../../core/src/aws/sts/testdata/caller-identity.xml");
    flow!(c, create_session, P256, cloudauth_rolesanywhere_create_session_needed,
        signed cloudauth_rolesanywhere_create_session_request,
        cloudauth_rolesanywhere_create_session_prepare);
    flow!(c, detailed, cloudauth_rolesanywhere_create_session_needed);
    flow!(c, assume_role, cloudauth_sts_assume_role_needed, unsigned cloudauth_sts_assume_role_request);
    flow!(c, tagged, cloudauth_sts_assume_role_needed);
    flow!(c, web_identity, cloudauth_sts_assume_role_with_web_identity_needed,
        unsigned cloudauth_sts_assume_role_with_web_identity_request);
    flow!(c, session_token, cloudauth_sts_get_session_token_needed,
        unsigned cloudauth_sts_get_session_token_request);
    flow!(c, caller_identity, cloudauth_sts_get_caller_identity_needed,
        unsigned cloudauth_sts_get_caller_identity_request);
    response!(c, cloudauth_rolesanywhere_create_session_response, create_session, 201, SESSION);
    response!(c, cloudauth_sts_assume_role_response, assume_role, 200, ROLE);
    response!(c, cloudauth_sts_assume_role_with_web_identity_response, web_identity, 200, WEB);
    response!(c, cloudauth_sts_get_session_token_response, session_token, 200, TOKEN);
    response!(c, cloudauth_sts_get_caller_identity_response, caller_identity, 200, CALLER);
    case!(
        c,
        cloudauth_sigv4_key_derive,
        |p| p.plain(),
        mac(p),
        NOW,
        p.text("eu-central-1"),
        p.text("s3"),
        p.error()
    );
    case!(c, cloudauth_sigv4_key_covers, |p| p.handle(sigv4_key("s3")), NOW, p.plain(), p.error());
    case!(
        c,
        cloudauth_sigv4_sign,
        fills,
        |p| sigv4(p, "s3"),
        sigv4_request(p),
        NOW,
        p.out(),
        p.cap(),
        p.len(),
        p.made(),
        p.error()
    );
    case!(
        c,
        cloudauth_sigv4_presign,
        fills,
        |p| sigv4(p, "s3"),
        sigv4_request(p),
        NOW,
        60,
        p.out(),
        p.cap(),
        p.len(),
        p.error()
    );
}
