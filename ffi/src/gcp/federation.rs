//! Workload and workforce identity federation.

use cloudauth_core::gcp::{
    DEFAULT_UNIVERSE, Subject, SubjectToken, SubjectTokenType, TokenExchange,
};
use cloudauth_core::{AccessToken, Error, Scheme, Secret};

use super::token::{MAX_SCOPES, cloudauth_access_token};
use crate::bytes::cloudauth_bytes;
use crate::call::{Cx, InPlace, Outcome, Output, unused};
use crate::exchange::{
    Answer, Parameters, cloudauth_attempt, cloudauth_refusal, jws_needed, jws_prepare, needed,
    prepare, request, response, sign,
};
use crate::http::{cloudauth_request, cloudauth_response_head};
use crate::prepared::cloudauth_prepared;
use crate::result::{Fault, cloudauth_error, cloudauth_result};
use crate::signer::{cloudauth_scheme, cloudauth_signer, scheme_or};

/// A token that a key of ours signs as the issuer of an OIDC provider of a workload or workforce
/// identity pool.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_gcp_subject_token_params {
    /// sizeof(cloudauth_gcp_subject_token_params)
    pub size: usize,
    /// The provider that is to believe it: "//iam.googleapis.com/projects/NUMBER/locations/global/
    /// workloadIdentityPools/POOL/providers/PROVIDER", or of a workforce pool.
    pub provider: cloudauth_bytes,
    /// The issuer: an https URI, exactly as the provider was given it.
    pub issuer: cloudauth_bytes,
    /// The subject, which the provider's mapping makes google.subject.
    pub subject: cloudauth_bytes,
    /// The audience; empty for the provider's own.
    pub audience: cloudauth_bytes,
    /// The key's id in the provider's key set (kid); empty for none.
    pub key_id: cloudauth_bytes,
    /// How long the token is valid, in seconds: 1 to 86400; 0 for 600.
    pub lifetime: u32,
    /// CLOUDAUTH_SCHEME_RSA_PKCS1_SHA256 or CLOUDAUTH_SCHEME_ECDSA_P256_SHA256; 0 for the first.
    pub scheme: cloudauth_scheme,
}

impl cloudauth_gcp_subject_token_params {
    fn read<'a>(&self, cx: &'a Cx) -> Outcome<SubjectToken<'a>> {
        let provider = cx.text(self.provider, "provider")?;
        let issuer = cx.text(self.issuer, "issuer")?;
        let new = SubjectToken::new(provider, issuer, cx.text(self.subject, "subject")?);
        Ok(SubjectToken {
            audience: cx.optional(self.audience, "audience")?,
            key_id: cx.optional(self.key_id, "key id")?,
            lifetime: if self.lifetime == 0 { new.lifetime } else { self.lifetime },
            scheme: scheme_or(self.scheme, Scheme::RsaPkcs1Sha256)?,
            ..new
        })
    }
}

impl Parameters for cloudauth_gcp_subject_token_params {
    type Flow<'a> = SubjectToken<'a>;

    fn with(&self, cx: &Cx, then: &mut dyn FnMut(&SubjectToken<'_>) -> Outcome) -> Outcome {
        then(&self.read(cx)?)
    }
}

/// A signed GetCallerIdentity request of AWS, in Google's JSON form.
pub const CLOUDAUTH_GCP_TOKEN_TYPE_AWS4_REQUEST: u32 = 1;
/// An OpenID Connect ID token.
pub const CLOUDAUTH_GCP_TOKEN_TYPE_ID_TOKEN: u32 = 2;
/// A JWT.
pub const CLOUDAUTH_GCP_TOKEN_TYPE_JWT: u32 = 3;
/// A SAML 2.0 assertion, in base64.
pub const CLOUDAUTH_GCP_TOKEN_TYPE_SAML2: u32 = 4;

/// The exchange of a token for a federated access token at Google's Security Token Service. Exactly
/// one of `signed_token` and `token` is given.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_gcp_federation_params {
    /// sizeof(cloudauth_gcp_federation_params)
    pub size: usize,
    /// A token that our key signs, so that the request needs a signer; or NULL.
    pub signed_token: *const cloudauth_gcp_subject_token_params,
    /// A token that was given to us (a secret): the request then needs no signer.
    pub token: cloudauth_bytes,
    /// With `token`: the provider, as in cloudauth_gcp_subject_token_params.
    pub provider: cloudauth_bytes,
    /// With `token`: its type, CLOUDAUTH_GCP_TOKEN_TYPE_*.
    pub token_type: u32,
    /// 0.
    pub reserved: u32,
    /// What the access token is for.
    pub scopes: *const cloudauth_bytes,
    /// How many scopes there are: 1 to CLOUDAUTH_MAX_SCOPES.
    pub scope_count: usize,
    /// The project that is billed, for workforce pools only; empty for none.
    pub user_project: cloudauth_bytes,
    /// The domain of the cloud; empty for "googleapis.com".
    pub universe: cloudauth_bytes,
}

impl cloudauth_gcp_federation_params {
    fn subject<'a>(&self, cx: &'a Cx) -> Outcome<Subject<'a>> {
        let token = cx.optional(self.token, "subject token")?;
        let provider = cx.optional(self.provider, "provider")?;
        if self.signed_token.is_null() {
            let token_type = match self.token_type {
                CLOUDAUTH_GCP_TOKEN_TYPE_AWS4_REQUEST => SubjectTokenType::Aws4Request,
                CLOUDAUTH_GCP_TOKEN_TYPE_ID_TOKEN => SubjectTokenType::IdToken,
                CLOUDAUTH_GCP_TOKEN_TYPE_JWT => SubjectTokenType::Jwt,
                CLOUDAUTH_GCP_TOKEN_TYPE_SAML2 => SubjectTokenType::Saml2,
                _ => return Err(Fault::number("token type")),
            };
            return Ok(Subject::Given {
                provider: provider.unwrap_or_default(),
                token: Secret::new(token.unwrap_or_default()),
                token_type,
            });
        }
        if token.is_some() || provider.is_some() || self.token_type != 0 {
            let help = "give a token to sign or one that is signed, not both";
            return Err(Error::invalid("subject token", help).into());
        }
        Ok(Subject::Signed(cx.read(self.signed_token, "signed token")?.read(cx)?))
    }
}

impl Parameters for cloudauth_gcp_federation_params {
    type Flow<'a> = TokenExchange<'a>;

    fn with(&self, cx: &Cx, then: &mut dyn FnMut(&TokenExchange<'_>) -> Outcome) -> Outcome {
        unused(self.reserved)?;
        let mut space = [""; MAX_SCOPES];
        let scopes = cx.texts((self.scopes, self.scope_count), "scope", &mut space)?;
        then(&TokenExchange {
            user_project: cx.optional(self.user_project, "user project")?,
            universe: cx.optional(self.universe, "universe domain")?.unwrap_or(DEFAULT_UNIVERSE),
            ..TokenExchange::new(self.subject(cx)?, scopes)
        })
    }
}

impl Answer for cloudauth_gcp_federation_params {
    type Output = cloudauth_access_token;

    fn output(token: AccessToken<'_>) -> cloudauth_access_token {
        cloudauth_access_token::of(&token)
    }
}

/// Gives the size of the buffer for a subject token, for a signature of `signature_len` octets: 64
/// for P-256, 96 for P-384, the length of the modulus for RSA. The two-step form always needs room
/// for 1024 where the scheme is one of RSA.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED,
/// CLOUDAUTH_ERR_MISMATCH or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used;
/// CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
/// CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_gcp_subject_token_needed(
    params: *const cloudauth_gcp_subject_token_params,
    at: *const cloudauth_attempt,
    signature_len: usize,
    len: *mut usize,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe { jws_needed(params, at, signature_len, len, error) }
}

/// Makes a subject token: the signed token is in `out`, `*len` octets. Nothing is signed before the
/// buffer is known to be large enough.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_SIGNER;
/// CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED, CLOUDAUTH_ERR_MISMATCH
/// or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used; CLOUDAUTH_ERR_NULL,
/// CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
/// CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_gcp_subject_token_sign(
    params: *const cloudauth_gcp_subject_token_params,
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

/// The first of two steps: a subject token but for its signature. Sign what
/// cloudauth_prepared_to_sign tells, then call cloudauth_prepared_jws_finish.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_STATE;
/// CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED, CLOUDAUTH_ERR_MISMATCH
/// or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used; CLOUDAUTH_ERR_NULL,
/// CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
/// CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_gcp_subject_token_prepare(
    params: *const cloudauth_gcp_subject_token_params,
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

/// Gives the size of the buffer for a token exchange, for a signature of `signature_len` octets: 64
/// for P-256, 96 for P-384, the length of the modulus for RSA. The two-step form always needs room
/// for 1024 where the scheme is one of RSA.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED,
/// CLOUDAUTH_ERR_MISMATCH or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used;
/// CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
/// CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_gcp_federation_needed(
    params: *const cloudauth_gcp_federation_params,
    at: *const cloudauth_attempt,
    signature_len: usize,
    len: *mut usize,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe { needed(params, at, signature_len, len, error) }
}

/// Makes a token exchange. `signer` is NULL where the parameters need none. `*request` points into
/// `out`, of which `*len` octets are used. Nothing is signed before the buffer is known to be large
/// enough.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_SIGNER;
/// CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED, CLOUDAUTH_ERR_MISMATCH
/// or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used; CLOUDAUTH_ERR_NULL,
/// CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
/// CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_gcp_federation_request(
    params: *const cloudauth_gcp_federation_params,
    signer: *const cloudauth_signer,
    at: *const cloudauth_attempt,
    out: *mut u8,
    cap: usize,
    len: *mut usize,
    request: *mut cloudauth_request,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe { self::request(params, signer, at, Output { ptr: out, cap, len }, request, error) }
}

/// The first of two steps: a token exchange but for its signature. Sign what
/// cloudauth_prepared_to_sign tells, then call cloudauth_prepared_finish.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_STATE;
/// CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED, CLOUDAUTH_ERR_MISMATCH
/// or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used; CLOUDAUTH_ERR_NULL,
/// CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
/// CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_gcp_federation_prepare(
    params: *const cloudauth_gcp_federation_params,
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

/// Reads the answer to a token exchange. The body is changed in place, and `*output` points into
/// it. `refusal` may be NULL.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_SERVICE if the service refused: `*refusal` says why;
/// CLOUDAUTH_ERR_MALFORMED for what is no such answer; CLOUDAUTH_ERR_CAPACITY for more than
/// CLOUDAUTH_MAX_HEADERS headers; otherwise as cloudauth_gcp_federation_request.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_gcp_federation_response(
    params: *const cloudauth_gcp_federation_params,
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
