//! Google Cloud.

use cloudauth::*;

use super::{Case, P256, RSA, at, case, flow, head, maybe_signer, response, signer};
use crate::probe::Probe;

pub(crate) const EMAIL: &str = "robot@project.iam.gserviceaccount.com";
pub(crate) const PROVIDER: &str =
    "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/robot";

pub(crate) fn self_signed(p: &Probe) -> *mut cloudauth_gcp_self_signed_params {
    p.params(|params: &mut cloudauth_gcp_self_signed_params| {
        params.email = p.text(EMAIL);
        params.audience = p.text("https://pubsub.googleapis.com/");
        params.scheme = p.number(CLOUDAUTH_SCHEME_ECDSA_P256_SHA256);
    })
}

pub(crate) fn access_token(p: &Probe) -> *mut cloudauth_gcp_access_token_params {
    p.params(|params: &mut cloudauth_gcp_access_token_params| {
        params.email = p.text(EMAIL);
        (params.scopes, params.scope_count) =
            p.texts(&["https://www.googleapis.com/auth/pubsub", "email"]);
        params.scheme = p.number(CLOUDAUTH_SCHEME_ECDSA_P256_SHA256);
    })
}

pub(crate) fn id_token(p: &Probe) -> *mut cloudauth_gcp_id_token_params {
    p.params(|params: &mut cloudauth_gcp_id_token_params| {
        params.email = p.text(EMAIL);
        params.target_audience = p.text("https://service.example");
        params.scheme = p.number(0);
    })
}

fn set_subject_token(params: &mut cloudauth_gcp_subject_token_params, p: &Probe) {
    params.provider = p.text(PROVIDER);
    params.issuer = p.text("https://issuer.example");
    params.subject = p.text("robot-7");
    params.scheme = p.number(0);
}

pub(crate) fn subject_token(p: &Probe) -> *mut cloudauth_gcp_subject_token_params {
    p.params(|params| set_subject_token(params, p))
}

pub(crate) fn federation(p: &Probe) -> *mut cloudauth_gcp_federation_params {
    p.params(|params: &mut cloudauth_gcp_federation_params| {
        // Null would be the other form.
        params.signed_token = p.never_null(|params| set_subject_token(params, p));
        (params.scopes, params.scope_count) = p.texts(&["email"]);
        params.reserved = p.number(0);
    })
}

/// The other half of its members: a token that was given.
fn given(p: &Probe) -> *mut cloudauth_gcp_federation_params {
    p.params(|params: &mut cloudauth_gcp_federation_params| {
        params.token = p.text("a.b.c");
        params.provider = p.text(PROVIDER);
        params.token_type = p.number(CLOUDAUTH_GCP_TOKEN_TYPE_JWT);
        (params.scopes, params.scope_count) = p.texts(&["email"]);
        params.universe = p.text("googleapis.com");
    })
}

pub(crate) fn generate_access_token(p: &Probe) -> *mut cloudauth_gcp_generate_access_token_params {
    p.params(|params: &mut cloudauth_gcp_generate_access_token_params| {
        params.token = p.text("ya29.token");
        params.email = p.text(EMAIL);
        params.reserved = p.number(0);
    })
}

pub(crate) fn generate_id_token(p: &Probe) -> *mut cloudauth_gcp_generate_id_token_params {
    p.params(|params: &mut cloudauth_gcp_generate_id_token_params| {
        params.token = p.text("ya29.token");
        params.email = p.text(EMAIL);
        params.audience = p.text("https://service.example");
        params.without_email = p.number(0);
        params.reserved = p.number(0);
    })
}

/// One with every list.
fn delegated(p: &Probe) -> *mut cloudauth_gcp_generate_id_token_params {
    p.params(|params: &mut cloudauth_gcp_generate_id_token_params| {
        params.token = p.text("ya29.token");
        params.email = p.text(EMAIL);
        params.audience = p.text("https://service.example");
        (params.delegates, params.delegate_count) = p.texts(&[EMAIL]);
    })
}

pub(crate) const ACCESS_TOKEN: &str =
    r#"{"access_token":"t","token_type":"Bearer","expires_in":3599}"#;

pub(super) fn cases(c: &mut Vec<Case>) {
    const FEDERATED: &str = r#"{"access_token":"t","token_type":"Bearer","expires_in":3599,"issued_token_type":"urn:ietf:params:oauth:token-type:access_token"}"#;
    flow!(c, self_signed, P256, cloudauth_gcp_self_signed_needed, sign cloudauth_gcp_self_signed_sign,
        cloudauth_gcp_self_signed_prepare);
    flow!(c, access_token, P256, cloudauth_gcp_access_token_needed,
        signed cloudauth_gcp_access_token_request, cloudauth_gcp_access_token_prepare);
    flow!(c, id_token, RSA, cloudauth_gcp_id_token_needed, signed cloudauth_gcp_id_token_request,
        cloudauth_gcp_id_token_prepare);
    flow!(c, subject_token, RSA, cloudauth_gcp_subject_token_needed,
        sign cloudauth_gcp_subject_token_sign, cloudauth_gcp_subject_token_prepare);
    flow!(c, federation, RSA, cloudauth_gcp_federation_needed, maybe cloudauth_gcp_federation_request,
        cloudauth_gcp_federation_prepare);
    flow!(c, given, cloudauth_gcp_federation_needed);
    flow!(c, generate_access_token, cloudauth_gcp_generate_access_token_needed,
        unsigned cloudauth_gcp_generate_access_token_request);
    flow!(c, generate_id_token, cloudauth_gcp_generate_id_token_needed,
        unsigned cloudauth_gcp_generate_id_token_request);
    flow!(c, delegated, cloudauth_gcp_generate_id_token_needed);
    response!(c, cloudauth_gcp_access_token_response, access_token, 200, ACCESS_TOKEN);
    response!(c, cloudauth_gcp_id_token_response, id_token, 200, r#"{"id_token":"t"}"#);
    response!(c, cloudauth_gcp_federation_response, federation, 200, FEDERATED);
    response!(
        c,
        cloudauth_gcp_generate_access_token_response,
        generate_access_token,
        200,
        r#"{"accessToken":"t","expireTime":"2026-11-22T12:00:00Z"}"#
    );
    response!(
        c,
        cloudauth_gcp_generate_id_token_response,
        generate_id_token,
        200,
        r#"{"token":"t"}"#
    );
}
