//! Impersonation of service accounts.

use cloudauth_core::Secret;
use cloudauth_core::gcp::{
    CLOUD_PLATFORM, DEFAULT_UNIVERSE, GenerateAccessToken, GenerateIdToken, ImpersonatedToken,
};

use super::token::{MAX_SCOPES, cloudauth_id_token};
use crate::bytes::cloudauth_bytes;
use crate::call::{Cx, InPlace, Outcome, Output, unused};
use crate::exchange::{
    Answer, Parameters, cloudauth_attempt, cloudauth_refusal, needed, request_unsigned, response,
};
use crate::http::{cloudauth_request, cloudauth_response_head};
use crate::result::{Fault, cloudauth_error, cloudauth_result};

/// An access token of a service account, for whoever may impersonate it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_gcp_generate_access_token_params {
    /// sizeof(cloudauth_gcp_generate_access_token_params)
    pub size: usize,
    /// The access token of whoever asks: a secret.
    pub token: cloudauth_bytes,
    /// The e-mail of the service account to impersonate.
    pub email: cloudauth_bytes,
    /// What the new token is for; none for all of Google Cloud.
    pub scopes: *const cloudauth_bytes,
    /// How many scopes there are: at most CLOUDAUTH_MAX_SCOPES.
    pub scope_count: usize,
    /// The e-mails of service accounts in between, each of which may impersonate the next.
    pub delegates: *const cloudauth_bytes,
    /// How many delegates there are: at most CLOUDAUTH_MAX_SCOPES.
    pub delegate_count: usize,
    /// The domain of the cloud; empty for "googleapis.com".
    pub universe: cloudauth_bytes,
    /// How long the new token is to be valid, in seconds: 1 to 43200; 0 for 3600.
    pub lifetime: u32,
    /// 0.
    pub reserved: u32,
}

impl Parameters for cloudauth_gcp_generate_access_token_params {
    type Flow<'a> = GenerateAccessToken<'a>;

    fn with(&self, cx: &Cx, then: &mut dyn FnMut(&GenerateAccessToken<'_>) -> Outcome) -> Outcome {
        unused(self.reserved)?;
        let (mut space, mut more_space) = ([""; MAX_SCOPES], [""; MAX_SCOPES]);
        let scopes = cx.texts((self.scopes, self.scope_count), "scope", &mut space)?;
        let delegates = (self.delegates, self.delegate_count);
        let token = Secret::new(cx.text(self.token, "token")?);
        then(&GenerateAccessToken {
            scopes: if scopes.is_empty() { &[CLOUD_PLATFORM] } else { scopes },
            lifetime: if self.lifetime == 0 { 3600 } else { self.lifetime },
            delegates: cx.texts(delegates, "delegate", &mut more_space)?,
            universe: cx.optional(self.universe, "universe domain")?.unwrap_or(DEFAULT_UNIVERSE),
            ..GenerateAccessToken::new(token, cx.text(self.email, "service account e-mail")?)
        })
    }
}

/// What generateAccessToken gives.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_gcp_impersonated_token {
    /// sizeof(cloudauth_gcp_impersonated_token)
    pub size: usize,
    /// The access token: a secret. Printable ASCII without spaces.
    pub access_token: cloudauth_bytes,
    /// When it ends, in seconds since 1970.
    pub expiration: i64,
}

impl Answer for cloudauth_gcp_generate_access_token_params {
    type Output = cloudauth_gcp_impersonated_token;

    fn output(token: ImpersonatedToken<'_>) -> cloudauth_gcp_impersonated_token {
        cloudauth_gcp_impersonated_token {
            size: 0,
            access_token: cloudauth_bytes::text(token.access_token.expose()),
            expiration: token.expiration.as_secs().cast_signed(),
        }
    }
}

/// An ID token of a service account, for whoever may impersonate it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_gcp_generate_id_token_params {
    /// sizeof(cloudauth_gcp_generate_id_token_params)
    pub size: usize,
    /// The access token of whoever asks: a secret.
    pub token: cloudauth_bytes,
    /// The e-mail of the service account to impersonate.
    pub email: cloudauth_bytes,
    /// Who the ID token is for (aud).
    pub audience: cloudauth_bytes,
    /// As in cloudauth_gcp_generate_access_token_params.
    pub delegates: *const cloudauth_bytes,
    /// How many delegates there are: at most CLOUDAUTH_MAX_SCOPES.
    pub delegate_count: usize,
    /// The domain of the cloud; empty for "googleapis.com".
    pub universe: cloudauth_bytes,
    /// 1 to leave the service account's e-mail out of the ID token, 0 to have it there.
    pub without_email: u32,
    /// 0.
    pub reserved: u32,
}

impl Parameters for cloudauth_gcp_generate_id_token_params {
    type Flow<'a> = GenerateIdToken<'a>;

    fn with(&self, cx: &Cx, then: &mut dyn FnMut(&GenerateIdToken<'_>) -> Outcome) -> Outcome {
        unused(self.reserved)?;
        if self.without_email > 1 {
            return Err(Fault::number("without_email"));
        }
        let mut space = [""; MAX_SCOPES];
        let email = cx.text(self.email, "service account e-mail")?;
        let token = Secret::new(cx.text(self.token, "token")?);
        let delegates = (self.delegates, self.delegate_count);
        then(&GenerateIdToken {
            include_email: self.without_email == 0,
            delegates: cx.texts(delegates, "delegate", &mut space)?,
            universe: cx.optional(self.universe, "universe domain")?.unwrap_or(DEFAULT_UNIVERSE),
            ..GenerateIdToken::new(token, email, cx.text(self.audience, "audience")?)
        })
    }
}

impl Answer for cloudauth_gcp_generate_id_token_params {
    type Output = cloudauth_id_token;

    fn output(token: Secret<'_>) -> cloudauth_id_token {
        cloudauth_id_token::of(&token)
    }
}

/// Gives the size of the buffer for a call of generateAccessToken. No signer has a part in it:
/// `signature_len` is 0.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED,
/// CLOUDAUTH_ERR_MISMATCH or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used;
/// CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
/// CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_gcp_generate_access_token_needed(
    params: *const cloudauth_gcp_generate_access_token_params,
    at: *const cloudauth_attempt,
    signature_len: usize,
    len: *mut usize,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe { needed(params, at, signature_len, len, error) }
}

/// Makes a call of generateAccessToken. `*request` points into `out`, of which `*len` octets are
/// used.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_STATE;
/// CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED, CLOUDAUTH_ERR_MISMATCH
/// or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used; CLOUDAUTH_ERR_NULL,
/// CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
/// CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_gcp_generate_access_token_request(
    params: *const cloudauth_gcp_generate_access_token_params,
    at: *const cloudauth_attempt,
    out: *mut u8,
    cap: usize,
    len: *mut usize,
    request: *mut cloudauth_request,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe { request_unsigned(params, at, Output { ptr: out, cap, len }, request, error) }
}

/// Reads the answer to a call of generateAccessToken. The body is changed in place, and `*output`
/// points into it. `refusal` may be NULL.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_SERVICE if the service refused: `*refusal` says why;
/// CLOUDAUTH_ERR_MALFORMED for what is no such answer; CLOUDAUTH_ERR_CAPACITY for more than
/// CLOUDAUTH_MAX_HEADERS headers; otherwise as cloudauth_gcp_generate_access_token_request.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_gcp_generate_access_token_response(
    params: *const cloudauth_gcp_generate_access_token_params,
    head: *const cloudauth_response_head,
    body: *mut u8,
    body_len: usize,
    output: *mut cloudauth_gcp_impersonated_token,
    refusal: *mut cloudauth_refusal,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe { response(params, head, InPlace { ptr: body, len: body_len }, output, refusal, error) }
}

/// Gives the size of the buffer for a call of generateIdToken. No signer has a part in it:
/// `signature_len` is 0.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED,
/// CLOUDAUTH_ERR_MISMATCH or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used;
/// CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
/// CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_gcp_generate_id_token_needed(
    params: *const cloudauth_gcp_generate_id_token_params,
    at: *const cloudauth_attempt,
    signature_len: usize,
    len: *mut usize,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe { needed(params, at, signature_len, len, error) }
}

/// Makes a call of generateIdToken. `*request` points into `out`, of which `*len` octets are used.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_STATE;
/// CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED, CLOUDAUTH_ERR_MISMATCH
/// or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used; CLOUDAUTH_ERR_NULL,
/// CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
/// CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_gcp_generate_id_token_request(
    params: *const cloudauth_gcp_generate_id_token_params,
    at: *const cloudauth_attempt,
    out: *mut u8,
    cap: usize,
    len: *mut usize,
    request: *mut cloudauth_request,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe { request_unsigned(params, at, Output { ptr: out, cap, len }, request, error) }
}

/// Reads the answer to a call of generateIdToken. The body is changed in place, and `*output`
/// points into it. `refusal` may be NULL.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_SERVICE if the service refused: `*refusal` says why;
/// CLOUDAUTH_ERR_MALFORMED for what is no such answer; CLOUDAUTH_ERR_CAPACITY for more than
/// CLOUDAUTH_MAX_HEADERS headers; otherwise as cloudauth_gcp_generate_id_token_request.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_gcp_generate_id_token_response(
    params: *const cloudauth_gcp_generate_id_token_params,
    head: *const cloudauth_response_head,
    body: *mut u8,
    body_len: usize,
    output: *mut cloudauth_id_token,
    refusal: *mut cloudauth_refusal,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe { response(params, head, InPlace { ptr: body, len: body_len }, output, refusal, error) }
}
