//! IAM Roles Anywhere.

use cloudauth_core::aws::CreateSession;
use cloudauth_core::aws::rolesanywhere::Session;
use cloudauth_core::x509::Certificate;

use super::sts::cloudauth_aws_credentials;
use crate::azure::MAX_CHAIN;
use crate::bytes::{cloudauth_bytes, cloudauth_pair};
use crate::call::{Cx, InPlace, Outcome, Output};
use crate::exchange::{
    Answer, Parameters, cloudauth_attempt, cloudauth_refusal, needed, prepare, request_signed,
    response,
};
use crate::http::{cloudauth_request, cloudauth_response_head};
use crate::prepared::cloudauth_prepared;
use crate::result::{Fault, cloudauth_error, cloudauth_result};
use crate::signer::cloudauth_signer;

/// The most instance properties of a session.
pub const CLOUDAUTH_MAX_PROPERTIES: u32 = 32;

/// CreateSession of IAM Roles Anywhere: a certificate and a signature by its key, for credentials
/// of a role. The scheme follows from the certificate's key.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_rolesanywhere_create_session_params {
    /// sizeof(cloudauth_rolesanywhere_create_session_params)
    pub size: usize,
    /// The certificate of the signing key, in DER.
    pub certificate: cloudauth_bytes,
    /// Intermediate certificates in DER, the issuer of the first one first.
    pub chain: *const cloudauth_bytes,
    /// How many there are: at most 5.
    pub chain_count: usize,
    /// "arn:aws:rolesanywhere:REGION:ACCOUNT:trust-anchor/ID"
    pub trust_anchor_arn: cloudauth_bytes,
    /// "arn:aws:rolesanywhere:REGION:ACCOUNT:profile/ID"
    pub profile_arn: cloudauth_bytes,
    /// "arn:aws:iam::ACCOUNT:role/NAME"
    pub role_arn: cloudauth_bytes,
    /// The region; empty for the trust anchor's.
    pub region: cloudauth_bytes,
    /// A host, with an optional port, in place of the region's endpoint; empty for that.
    pub endpoint: cloudauth_bytes,
    /// The role session's name, for profiles that accept one; empty for none.
    pub role_session_name: cloudauth_bytes,
    /// Properties of the workload's instance, for profiles that require them.
    pub instance_properties: *const cloudauth_pair,
    /// How many there are: at most CLOUDAUTH_MAX_PROPERTIES.
    pub instance_property_count: usize,
    /// The life of the credentials, 900 to 43200 seconds; 0 leaves it to the profile.
    pub duration_seconds: u32,
    /// 1 to send the certificate in the body too, else 0.
    pub certificate_in_body: u32,
}

impl Parameters for cloudauth_rolesanywhere_create_session_params {
    type Flow<'a> = CreateSession<'a>;

    fn with(&self, cx: &Cx, then: &mut dyn FnMut(&CreateSession<'_>) -> Outcome) -> Outcome {
        if self.certificate_in_body > 1 {
            return Err(Fault::number("certificate_in_body"));
        }
        let mut chain = [[].as_slice(); MAX_CHAIN];
        let mut properties = [("", ""); CLOUDAUTH_MAX_PROPERTIES as usize];
        let list = (self.instance_properties, self.instance_property_count);
        let new = CreateSession::new(
            Certificate::parse(cx.bytes(self.certificate, "certificate")?)?,
            cx.text(self.trust_anchor_arn, "trust anchor ARN")?,
            cx.text(self.profile_arn, "profile ARN")?,
            cx.text(self.role_arn, "role ARN")?,
        );
        then(&CreateSession {
            chain: cx.octets((self.chain, self.chain_count), "certificate chain", &mut chain)?,
            region: cx.optional(self.region, "region")?,
            endpoint: cx.optional(self.endpoint, "endpoint")?,
            duration_seconds: Some(self.duration_seconds).filter(|seconds| *seconds != 0),
            role_session_name: cx.optional(self.role_session_name, "role session name")?,
            instance_properties: cx.pairs(list, "instance property", &mut properties)?,
            certificate_in_body: self.certificate_in_body != 0,
            ..new
        })
    }
}

/// What CreateSession gives.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_rolesanywhere_session {
    /// sizeof(cloudauth_rolesanywhere_session)
    pub size: usize,
    /// The access key id.
    pub access_key_id: cloudauth_bytes,
    /// The secret access key.
    pub secret_access_key: cloudauth_bytes,
    /// The session token: a secret.
    pub session_token: cloudauth_bytes,
    /// When the credentials end, in seconds since 1970.
    pub expiration: i64,
    /// The ARN of the role session; empty if the service gave none.
    pub assumed_role_arn: cloudauth_bytes,
    /// The ARN of the certificate's subject at the service; may be empty.
    pub subject_arn: cloudauth_bytes,
    /// The source identity of the session; may be empty.
    pub source_identity: cloudauth_bytes,
}

impl Answer for cloudauth_rolesanywhere_create_session_params {
    type Output = cloudauth_rolesanywhere_session;

    fn output(session: Session<'_>) -> cloudauth_rolesanywhere_session {
        let credentials = cloudauth_aws_credentials::of(&session.credentials);
        cloudauth_rolesanywhere_session {
            size: 0,
            access_key_id: credentials.access_key_id,
            secret_access_key: credentials.secret_access_key,
            session_token: credentials.session_token,
            expiration: credentials.expiration,
            assumed_role_arn: cloudauth_bytes::optional(session.assumed_role_arn),
            subject_arn: cloudauth_bytes::optional(session.subject_arn),
            source_identity: cloudauth_bytes::optional(session.source_identity),
        }
    }
}

/// Gives the size of the buffer for a CreateSession request, for a signature of `signature_len`
/// octets: 64 for P-256, 96 for P-384, the length of the modulus for RSA. The two-step form always
/// needs room for 1024 where the scheme is one of RSA.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED,
/// CLOUDAUTH_ERR_MISMATCH or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used;
/// CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
/// CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_rolesanywhere_create_session_needed(
    params: *const cloudauth_rolesanywhere_create_session_params,
    at: *const cloudauth_attempt,
    signature_len: usize,
    len: *mut usize,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe { needed(params, at, signature_len, len, error) }
}

/// Makes a CreateSession request, signed by `signer`. `*request` points into `out`, of which `*len`
/// octets are used. Nothing is signed before the buffer is known to be large enough.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_SIGNER;
/// CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED, CLOUDAUTH_ERR_MISMATCH
/// or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used; CLOUDAUTH_ERR_NULL,
/// CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
/// CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_rolesanywhere_create_session_request(
    params: *const cloudauth_rolesanywhere_create_session_params,
    signer: *const cloudauth_signer,
    at: *const cloudauth_attempt,
    out: *mut u8,
    cap: usize,
    len: *mut usize,
    request: *mut cloudauth_request,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe { request_signed(params, signer, at, Output { ptr: out, cap, len }, request, error) }
}

/// The first of two steps: a CreateSession request but for its signature. Sign what
/// cloudauth_prepared_to_sign tells, then call cloudauth_prepared_finish.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_STATE;
/// CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED, CLOUDAUTH_ERR_MISMATCH
/// or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used; CLOUDAUTH_ERR_NULL,
/// CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
/// CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_rolesanywhere_create_session_prepare(
    params: *const cloudauth_rolesanywhere_create_session_params,
    at: *const cloudauth_attempt,
    out: *mut u8,
    cap: usize,
    len: *mut usize,
    prepared: *mut cloudauth_prepared,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe { prepare(params, at, Output { ptr: out, cap, len }, prepared, error) }
}

/// Reads the answer to a CreateSession request. The body is changed in place, and `*output` points
/// into it. `refusal` may be NULL.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_SERVICE if the service refused: `*refusal` says why;
/// CLOUDAUTH_ERR_MALFORMED for what is no such answer; CLOUDAUTH_ERR_CAPACITY for more than
/// CLOUDAUTH_MAX_HEADERS headers; otherwise as cloudauth_rolesanywhere_create_session_request.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_rolesanywhere_create_session_response(
    params: *const cloudauth_rolesanywhere_create_session_params,
    head: *const cloudauth_response_head,
    body: *mut u8,
    body_len: usize,
    output: *mut cloudauth_rolesanywhere_session,
    refusal: *mut cloudauth_refusal,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe { response(params, head, InPlace { ptr: body, len: body_len }, output, refusal, error) }
}
