//! Security Token Service: the functions.

use super::{
    cloudauth_aws_credentials, cloudauth_sts_assume_role_params,
    cloudauth_sts_assume_role_with_web_identity_params, cloudauth_sts_caller_identity,
    cloudauth_sts_federated_role, cloudauth_sts_get_caller_identity_params,
    cloudauth_sts_get_session_token_params, cloudauth_sts_role,
};
use crate::call::{InPlace, Output};
use crate::exchange::{cloudauth_attempt, cloudauth_refusal, needed, request_unsigned, response};
use crate::http::{cloudauth_request, cloudauth_response_head};
use crate::result::{cloudauth_error, cloudauth_result};

/// Gives the size of the buffer for an AssumeRole request. No signer has a part in it:
/// `signature_len` is 0.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED,
/// CLOUDAUTH_ERR_MISMATCH or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used;
/// CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
/// CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_sts_assume_role_needed(
    params: *const cloudauth_sts_assume_role_params,
    at: *const cloudauth_attempt,
    signature_len: usize,
    len: *mut usize,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe { needed(params, at, signature_len, len, error) }
}

/// Makes an AssumeRole request. `*request` points into `out`, of which `*len` octets are used.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_STATE;
/// CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED, CLOUDAUTH_ERR_MISMATCH
/// or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used; CLOUDAUTH_ERR_NULL,
/// CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
/// CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_sts_assume_role_request(
    params: *const cloudauth_sts_assume_role_params,
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

/// Reads the answer to an AssumeRole request. The body is changed in place, and `*output` points
/// into it. `refusal` may be NULL.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_SERVICE if the service refused: `*refusal` says why;
/// CLOUDAUTH_ERR_MALFORMED for what is no such answer; CLOUDAUTH_ERR_CAPACITY for more than
/// CLOUDAUTH_MAX_HEADERS headers; otherwise as cloudauth_sts_assume_role_request.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_sts_assume_role_response(
    params: *const cloudauth_sts_assume_role_params,
    head: *const cloudauth_response_head,
    body: *mut u8,
    body_len: usize,
    output: *mut cloudauth_sts_role,
    refusal: *mut cloudauth_refusal,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe { response(params, head, InPlace { ptr: body, len: body_len }, output, refusal, error) }
}

/// Gives the size of the buffer for an AssumeRoleWithWebIdentity request. No signer has a part in
/// it: `signature_len` is 0.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED,
/// CLOUDAUTH_ERR_MISMATCH or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used;
/// CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
/// CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_sts_assume_role_with_web_identity_needed(
    params: *const cloudauth_sts_assume_role_with_web_identity_params,
    at: *const cloudauth_attempt,
    signature_len: usize,
    len: *mut usize,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe { needed(params, at, signature_len, len, error) }
}

/// Makes an AssumeRoleWithWebIdentity request. `*request` points into `out`, of which `*len` octets
/// are used.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_STATE;
/// CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED, CLOUDAUTH_ERR_MISMATCH
/// or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used; CLOUDAUTH_ERR_NULL,
/// CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
/// CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_sts_assume_role_with_web_identity_request(
    params: *const cloudauth_sts_assume_role_with_web_identity_params,
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

/// Reads the answer to an AssumeRoleWithWebIdentity request. The body is changed in place, and
/// `*output` points into it. `refusal` may be NULL.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_SERVICE if the service refused: `*refusal` says why;
/// CLOUDAUTH_ERR_MALFORMED for what is no such answer; CLOUDAUTH_ERR_CAPACITY for more than
/// CLOUDAUTH_MAX_HEADERS headers; otherwise as cloudauth_sts_assume_role_with_web_identity_request.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_sts_assume_role_with_web_identity_response(
    params: *const cloudauth_sts_assume_role_with_web_identity_params,
    head: *const cloudauth_response_head,
    body: *mut u8,
    body_len: usize,
    output: *mut cloudauth_sts_federated_role,
    refusal: *mut cloudauth_refusal,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe { response(params, head, InPlace { ptr: body, len: body_len }, output, refusal, error) }
}

/// Gives the size of the buffer for a GetSessionToken request. No signer has a part in it:
/// `signature_len` is 0.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED,
/// CLOUDAUTH_ERR_MISMATCH or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used;
/// CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
/// CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_sts_get_session_token_needed(
    params: *const cloudauth_sts_get_session_token_params,
    at: *const cloudauth_attempt,
    signature_len: usize,
    len: *mut usize,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe { needed(params, at, signature_len, len, error) }
}

/// Makes a GetSessionToken request. `*request` points into `out`, of which `*len` octets are used.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_STATE;
/// CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED, CLOUDAUTH_ERR_MISMATCH
/// or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used; CLOUDAUTH_ERR_NULL,
/// CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
/// CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_sts_get_session_token_request(
    params: *const cloudauth_sts_get_session_token_params,
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

/// Reads the answer to a GetSessionToken request. The body is changed in place, and `*output`
/// points into it. `refusal` may be NULL.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_SERVICE if the service refused: `*refusal` says why;
/// CLOUDAUTH_ERR_MALFORMED for what is no such answer; CLOUDAUTH_ERR_CAPACITY for more than
/// CLOUDAUTH_MAX_HEADERS headers; otherwise as cloudauth_sts_get_session_token_request.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_sts_get_session_token_response(
    params: *const cloudauth_sts_get_session_token_params,
    head: *const cloudauth_response_head,
    body: *mut u8,
    body_len: usize,
    output: *mut cloudauth_aws_credentials,
    refusal: *mut cloudauth_refusal,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe { response(params, head, InPlace { ptr: body, len: body_len }, output, refusal, error) }
}

/// Gives the size of the buffer for a GetCallerIdentity request. No signer has a part in it:
/// `signature_len` is 0.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED,
/// CLOUDAUTH_ERR_MISMATCH or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used;
/// CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
/// CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_sts_get_caller_identity_needed(
    params: *const cloudauth_sts_get_caller_identity_params,
    at: *const cloudauth_attempt,
    signature_len: usize,
    len: *mut usize,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe { needed(params, at, signature_len, len, error) }
}

/// Makes a GetCallerIdentity request. `*request` points into `out`, of which `*len` octets are
/// used.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_STATE;
/// CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED, CLOUDAUTH_ERR_MISMATCH
/// or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used; CLOUDAUTH_ERR_NULL,
/// CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
/// CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_sts_get_caller_identity_request(
    params: *const cloudauth_sts_get_caller_identity_params,
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

/// Reads the answer to a GetCallerIdentity request. The body is changed in place, and `*output`
/// points into it. `refusal` may be NULL.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_SERVICE if the service refused: `*refusal` says why;
/// CLOUDAUTH_ERR_MALFORMED for what is no such answer; CLOUDAUTH_ERR_CAPACITY for more than
/// CLOUDAUTH_MAX_HEADERS headers; otherwise as cloudauth_sts_get_caller_identity_request.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_sts_get_caller_identity_response(
    params: *const cloudauth_sts_get_caller_identity_params,
    head: *const cloudauth_response_head,
    body: *mut u8,
    body_len: usize,
    output: *mut cloudauth_sts_caller_identity,
    refusal: *mut cloudauth_refusal,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe { response(params, head, InPlace { ptr: body, len: body_len }, output, refusal, error) }
}
