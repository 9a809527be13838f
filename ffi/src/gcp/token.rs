//! Tokens of service accounts.

use cloudauth_core::gcp::{AccessTokenRequest, Grant, IdTokenRequest, SelfSigned, TOKEN_URI};
use cloudauth_core::{AccessToken, Scheme, Secret};

use crate::bytes::cloudauth_bytes;
use crate::call::{Cx, InPlace, Outcome, Output};
use crate::exchange::{
    Answer, Parameters, cloudauth_attempt, cloudauth_refusal, jws_needed, jws_prepare, needed,
    prepare, request_signed, response, sign,
};
use crate::http::{cloudauth_request, cloudauth_response_head};
use crate::prepared::cloudauth_prepared;
use crate::result::{cloudauth_error, cloudauth_result};
use crate::signer::{cloudauth_scheme, cloudauth_signer, scheme_or};

/// The most scopes, and the most delegates, of a request.
pub const CLOUDAUTH_MAX_SCOPES: u32 = 32;

/// The same, for arrays.
pub(crate) const MAX_SCOPES: usize = CLOUDAUTH_MAX_SCOPES as usize;

/// A token that a Google service account signs for itself, for an API. Exactly one of scopes and
/// audience is given.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_gcp_self_signed_params {
    /// sizeof(cloudauth_gcp_self_signed_params)
    pub size: usize,
    /// The service account's e-mail.
    pub email: cloudauth_bytes,
    /// The key's id at Google (kid); empty if it is not known.
    pub key_id: cloudauth_bytes,
    /// OAuth scopes, for every API that takes them.
    pub scopes: *const cloudauth_bytes,
    /// How many there are: at most CLOUDAUTH_MAX_SCOPES.
    pub scope_count: usize,
    /// One API, such as "https://pubsub.googleapis.com/".
    pub audience: cloudauth_bytes,
    /// The user to act for by domain-wide delegation; empty for none.
    pub subject: cloudauth_bytes,
    /// How long the token is valid, in seconds: 1 to 3600; 0 for 3600.
    pub lifetime: u32,
    /// CLOUDAUTH_SCHEME_RSA_PKCS1_SHA256 or CLOUDAUTH_SCHEME_ECDSA_P256_SHA256; 0 for the first.
    pub scheme: cloudauth_scheme,
}

impl Parameters for cloudauth_gcp_self_signed_params {
    type Flow<'a> = SelfSigned<'a>;

    fn with(&self, cx: &Cx, then: &mut dyn FnMut(&SelfSigned<'_>) -> Outcome) -> Outcome {
        let mut space = [""; MAX_SCOPES];
        let scopes = cx.texts((self.scopes, self.scope_count), "scope", &mut space)?;
        let grant = match (scopes, cx.optional(self.audience, "audience")?) {
            (scopes, None) => Grant::Scopes(scopes),
            ([], Some(audience)) => Grant::Audience(audience),
            _ => {
                let help = "give scopes or an audience, not both";
                return Err(cloudauth_core::Error::invalid("audience", help).into());
            }
        };
        then(&SelfSigned {
            key_id: cx.optional(self.key_id, "key id")?,
            grant,
            subject: cx.optional(self.subject, "subject")?,
            lifetime: lifetime(self.lifetime),
            scheme: scheme_or(self.scheme, Scheme::RsaPkcs1Sha256)?,
            ..SelfSigned::new(cx.text(self.email, "service account e-mail")?)
        })
    }
}

/// 0 is the longest that Google takes.
const fn lifetime(seconds: u32) -> u32 {
    if seconds == 0 { SelfSigned::MAX_LIFETIME } else { seconds }
}

/// A service account's access token from Google's token endpoint.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_gcp_access_token_params {
    /// sizeof(cloudauth_gcp_access_token_params)
    pub size: usize,
    /// The service account's e-mail.
    pub email: cloudauth_bytes,
    /// The key's id at Google (kid); empty if it is not known.
    pub key_id: cloudauth_bytes,
    /// What the access token is for.
    pub scopes: *const cloudauth_bytes,
    /// How many scopes there are: 1 to CLOUDAUTH_MAX_SCOPES.
    pub scope_count: usize,
    /// The user to act for by domain-wide delegation; empty for none.
    pub subject: cloudauth_bytes,
    /// The token endpoint, an https URI; empty for Google's. Whoever answers there gets the
    /// assertion.
    pub token_uri: cloudauth_bytes,
    /// How long the assertion is valid, in seconds: 1 to 3600; 0 for 3600.
    pub lifetime: u32,
    /// CLOUDAUTH_SCHEME_RSA_PKCS1_SHA256 or CLOUDAUTH_SCHEME_ECDSA_P256_SHA256; 0 for the first.
    pub scheme: cloudauth_scheme,
}

impl Parameters for cloudauth_gcp_access_token_params {
    type Flow<'a> = AccessTokenRequest<'a>;

    fn with(&self, cx: &Cx, then: &mut dyn FnMut(&AccessTokenRequest<'_>) -> Outcome) -> Outcome {
        let mut space = [""; MAX_SCOPES];
        let scopes = cx.texts((self.scopes, self.scope_count), "scope", &mut space)?;
        then(&AccessTokenRequest {
            key_id: cx.optional(self.key_id, "key id")?,
            subject: cx.optional(self.subject, "subject")?,
            lifetime: lifetime(self.lifetime),
            scheme: scheme_or(self.scheme, Scheme::RsaPkcs1Sha256)?,
            token_uri: cx.optional(self.token_uri, "token URI")?.unwrap_or(TOKEN_URI),
            ..AccessTokenRequest::new(cx.text(self.email, "service account e-mail")?, scopes)
        })
    }
}

/// An access token out of an answer (RFC 6749, section 5.1).
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_access_token {
    /// sizeof(cloudauth_access_token)
    pub size: usize,
    /// The token: a secret. Printable ASCII without spaces.
    pub access_token: cloudauth_bytes,
    /// "Bearer", in the letter case of the answer.
    pub token_type: cloudauth_bytes,
    /// How long it is good for, in seconds from the moment of the answer: never 0.
    pub expires_in: i64,
}

impl cloudauth_access_token {
    pub(crate) fn of(token: &AccessToken<'_>) -> Self {
        Self {
            size: 0,
            access_token: cloudauth_bytes::text(token.access_token.expose()),
            token_type: cloudauth_bytes::text(token.token_type),
            expires_in: token.expires_in.cast_signed(),
        }
    }
}

impl Answer for cloudauth_gcp_access_token_params {
    type Output = cloudauth_access_token;

    fn output(token: AccessToken<'_>) -> cloudauth_access_token {
        cloudauth_access_token::of(&token)
    }
}

/// A service account's ID token from Google's token endpoint.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_gcp_id_token_params {
    /// sizeof(cloudauth_gcp_id_token_params)
    pub size: usize,
    /// The service account's e-mail.
    pub email: cloudauth_bytes,
    /// The key's id at Google (kid); empty if it is not known.
    pub key_id: cloudauth_bytes,
    /// Who the ID token is for: the service's URL, or an OAuth client id.
    pub target_audience: cloudauth_bytes,
    /// The token endpoint, an https URI; empty for Google's. Whoever answers there gets the
    /// assertion.
    pub token_uri: cloudauth_bytes,
    /// How long the assertion is valid, in seconds: 1 to 3600; 0 for 3600.
    pub lifetime: u32,
    /// CLOUDAUTH_SCHEME_RSA_PKCS1_SHA256 or CLOUDAUTH_SCHEME_ECDSA_P256_SHA256; 0 for the first.
    pub scheme: cloudauth_scheme,
}

impl Parameters for cloudauth_gcp_id_token_params {
    type Flow<'a> = IdTokenRequest<'a>;

    fn with(&self, cx: &Cx, then: &mut dyn FnMut(&IdTokenRequest<'_>) -> Outcome) -> Outcome {
        let email = cx.text(self.email, "service account e-mail")?;
        then(&IdTokenRequest {
            key_id: cx.optional(self.key_id, "key id")?,
            lifetime: lifetime(self.lifetime),
            scheme: scheme_or(self.scheme, Scheme::RsaPkcs1Sha256)?,
            token_uri: cx.optional(self.token_uri, "token URI")?.unwrap_or(TOKEN_URI),
            ..IdTokenRequest::new(email, cx.text(self.target_audience, "target audience")?)
        })
    }
}

/// An ID token out of an answer. It is not verified: it is meant for someone else.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_id_token {
    /// sizeof(cloudauth_id_token)
    pub size: usize,
    /// The token: a secret.
    pub token: cloudauth_bytes,
}

impl cloudauth_id_token {
    pub(crate) fn of(token: &Secret<'_>) -> Self {
        Self { size: 0, token: cloudauth_bytes::text(token.expose()) }
    }
}

impl Answer for cloudauth_gcp_id_token_params {
    type Output = cloudauth_id_token;

    fn output(token: Secret<'_>) -> cloudauth_id_token {
        cloudauth_id_token::of(&token)
    }
}

/// Gives the size of the buffer for a self-signed token, for a signature of `signature_len` octets:
/// 64 for P-256, 96 for P-384, the length of the modulus for RSA. The two-step form always needs
/// room for 1024 where the scheme is one of RSA.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED,
/// CLOUDAUTH_ERR_MISMATCH or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used;
/// CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
/// CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_gcp_self_signed_needed(
    params: *const cloudauth_gcp_self_signed_params,
    at: *const cloudauth_attempt,
    signature_len: usize,
    len: *mut usize,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe { jws_needed(params, at, signature_len, len, error) }
}

/// Makes a self-signed token: the signed token is in `out`, `*len` octets. Nothing is signed before
/// the buffer is known to be large enough.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_SIGNER;
/// CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED, CLOUDAUTH_ERR_MISMATCH
/// or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used; CLOUDAUTH_ERR_NULL,
/// CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
/// CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_gcp_self_signed_sign(
    params: *const cloudauth_gcp_self_signed_params,
    signer: *const cloudauth_signer,
    at: *const cloudauth_attempt,
    out: *mut u8,
    cap: usize,
    len: *mut usize,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe { sign(params, signer, at, Output { ptr: out, cap, len }, error) }
}

/// The first of two steps: a self-signed token but for its signature. Sign what
/// cloudauth_prepared_to_sign tells, then call cloudauth_prepared_jws_finish.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_STATE;
/// CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED, CLOUDAUTH_ERR_MISMATCH
/// or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used; CLOUDAUTH_ERR_NULL,
/// CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
/// CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_gcp_self_signed_prepare(
    params: *const cloudauth_gcp_self_signed_params,
    at: *const cloudauth_attempt,
    out: *mut u8,
    cap: usize,
    len: *mut usize,
    prepared: *mut cloudauth_prepared,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe { jws_prepare(params, at, Output { ptr: out, cap, len }, prepared, error) }
}

/// Gives the size of the buffer for a request for an access token, for a signature of
/// `signature_len` octets: 64 for P-256, 96 for P-384, the length of the modulus for RSA. The
/// two-step form always needs room for 1024 where the scheme is one of RSA.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED,
/// CLOUDAUTH_ERR_MISMATCH or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used;
/// CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
/// CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_gcp_access_token_needed(
    params: *const cloudauth_gcp_access_token_params,
    at: *const cloudauth_attempt,
    signature_len: usize,
    len: *mut usize,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe { needed(params, at, signature_len, len, error) }
}

/// Makes a request for an access token, signed by `signer`. `*request` points into `out`, of which
/// `*len` octets are used. Nothing is signed before the buffer is known to be large enough.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_SIGNER;
/// CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED, CLOUDAUTH_ERR_MISMATCH
/// or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used; CLOUDAUTH_ERR_NULL,
/// CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
/// CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_gcp_access_token_request(
    params: *const cloudauth_gcp_access_token_params,
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

/// The first of two steps: a request for an access token but for its signature. Sign what
/// cloudauth_prepared_to_sign tells, then call cloudauth_prepared_finish.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_STATE;
/// CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED, CLOUDAUTH_ERR_MISMATCH
/// or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used; CLOUDAUTH_ERR_NULL,
/// CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
/// CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_gcp_access_token_prepare(
    params: *const cloudauth_gcp_access_token_params,
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

/// Reads the answer to a request for an access token. The body is changed in place, and `*output`
/// points into it. `refusal` may be NULL.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_SERVICE if the service refused: `*refusal` says why;
/// CLOUDAUTH_ERR_MALFORMED for what is no such answer; CLOUDAUTH_ERR_CAPACITY for more than
/// CLOUDAUTH_MAX_HEADERS headers; otherwise as cloudauth_gcp_access_token_request.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_gcp_access_token_response(
    params: *const cloudauth_gcp_access_token_params,
    head: *const cloudauth_response_head,
    body: *mut u8,
    body_len: usize,
    output: *mut cloudauth_access_token,
    refusal: *mut cloudauth_refusal,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe { response(params, head, InPlace { ptr: body, len: body_len }, output, refusal, error) }
}

/// Gives the size of the buffer for a request for an ID token, for a signature of `signature_len`
/// octets: 64 for P-256, 96 for P-384, the length of the modulus for RSA. The two-step form always
/// needs room for 1024 where the scheme is one of RSA.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED,
/// CLOUDAUTH_ERR_MISMATCH or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used;
/// CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
/// CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_gcp_id_token_needed(
    params: *const cloudauth_gcp_id_token_params,
    at: *const cloudauth_attempt,
    signature_len: usize,
    len: *mut usize,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe { needed(params, at, signature_len, len, error) }
}

/// Makes a request for an ID token, signed by `signer`. `*request` points into `out`, of which
/// `*len` octets are used. Nothing is signed before the buffer is known to be large enough.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_SIGNER;
/// CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED, CLOUDAUTH_ERR_MISMATCH
/// or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used; CLOUDAUTH_ERR_NULL,
/// CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
/// CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_gcp_id_token_request(
    params: *const cloudauth_gcp_id_token_params,
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

/// The first of two steps: a request for an ID token but for its signature. Sign what
/// cloudauth_prepared_to_sign tells, then call cloudauth_prepared_finish.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_STATE;
/// CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED, CLOUDAUTH_ERR_MISMATCH
/// or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used; CLOUDAUTH_ERR_NULL,
/// CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
/// CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_gcp_id_token_prepare(
    params: *const cloudauth_gcp_id_token_params,
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

/// Reads the answer to a request for an ID token. The body is changed in place, and `*output`
/// points into it. `refusal` may be NULL.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_SERVICE if the service refused: `*refusal` says why;
/// CLOUDAUTH_ERR_MALFORMED for what is no such answer; CLOUDAUTH_ERR_CAPACITY for more than
/// CLOUDAUTH_MAX_HEADERS headers; otherwise as cloudauth_gcp_id_token_request.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_gcp_id_token_response(
    params: *const cloudauth_gcp_id_token_params,
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
