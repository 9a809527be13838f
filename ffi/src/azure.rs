//! Microsoft Entra ID.

use cloudauth_core::azure::{
    Application, Authority, ClientAssertion, Credential, Thumbprint, Token, TokenRequest,
};
use cloudauth_core::x509::Certificate;
use cloudauth_core::{Error, Scheme, Secret};

use crate::bytes::cloudauth_bytes;
use crate::call::{Cx, InPlace, Outcome, Output, unused};
use crate::exchange::{
    Answer, Parameters, cloudauth_attempt, cloudauth_refusal, jws_needed, jws_prepare, needed,
    prepare, request, response, sign,
};
use crate::gcp::MAX_SCOPES;
use crate::http::{cloudauth_request, cloudauth_response_head};
use crate::prepared::cloudauth_prepared;
use crate::result::{Fault, cloudauth_error, cloudauth_result};
use crate::signer::{cloudauth_scheme, cloudauth_signer, scheme_or};

/// The public cloud: login.microsoftonline.com.
pub const CLOUDAUTH_AZURE_PUBLIC: u32 = 0;
/// The US government's cloud: login.microsoftonline.us.
pub const CLOUDAUTH_AZURE_US_GOVERNMENT: u32 = 1;
/// The cloud in China: login.partner.microsoftonline.cn.
pub const CLOUDAUTH_AZURE_CHINA: u32 = 2;
/// The host in `authority_host`.
pub const CLOUDAUTH_AZURE_CUSTOM: u32 = 3;

/// Also send the certificates (x5c), for applications that trust a subject name and issuer.
pub const CLOUDAUTH_AZURE_SEND_CHAIN: u32 = 1;
/// Name the certificate by its SHA-1 (x5t) instead of its SHA-256, for services such as ADFS.
pub const CLOUDAUTH_AZURE_SHA1_THUMBPRINT: u32 = 2;

/// The most certificates of a chain.
pub const CLOUDAUTH_MAX_CHAIN: u32 = 8;

/// The same, for arrays.
pub(crate) const MAX_CHAIN: usize = CLOUDAUTH_MAX_CHAIN as usize;

/// Which application asks, and with what certificate, if any. An assertion is valid for ten
/// minutes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_azure_client_assertion_params {
    /// sizeof(cloudauth_azure_client_assertion_params)
    pub size: usize,
    /// The application's certificate in DER. The key that signs must be its key.
    pub certificate: cloudauth_bytes,
    /// The certificates between it and the root, in DER, the issuer of the first one first.
    pub chain: *const cloudauth_bytes,
    /// How many there are: at most CLOUDAUTH_MAX_CHAIN.
    pub chain_count: usize,
    /// The tenant: its id or one of its domains.
    pub tenant: cloudauth_bytes,
    /// The application's (client) id.
    pub client_id: cloudauth_bytes,
    /// The cloud: CLOUDAUTH_AZURE_PUBLIC and so on.
    pub authority: u32,
    /// CLOUDAUTH_SCHEME_RSA_PSS_SHA256 or CLOUDAUTH_SCHEME_RSA_PKCS1_SHA256; 0 for the first.
    pub scheme: cloudauth_scheme,
    /// With CLOUDAUTH_AZURE_CUSTOM: the host, with an optional port.
    pub authority_host: cloudauth_bytes,
    /// 0, or a sum of CLOUDAUTH_AZURE_SEND_CHAIN and CLOUDAUTH_AZURE_SHA1_THUMBPRINT.
    pub flags: u32,
    /// 0.
    pub reserved: u32,
}

fn authority<'a>(cx: &'a Cx, number: u32, host: cloudauth_bytes) -> Outcome<Authority<'a>> {
    let host = cx.optional(host, "authority host")?;
    match (number, host) {
        (CLOUDAUTH_AZURE_PUBLIC, None) => Ok(Authority::Public),
        (CLOUDAUTH_AZURE_US_GOVERNMENT, None) => Ok(Authority::UsGovernment),
        (CLOUDAUTH_AZURE_CHINA, None) => Ok(Authority::China),
        (CLOUDAUTH_AZURE_CUSTOM, host) => Ok(Authority::Custom(host.unwrap_or_default())),
        (CLOUDAUTH_AZURE_PUBLIC..CLOUDAUTH_AZURE_CUSTOM, Some(_)) => {
            let help = "leave it empty, or make the authority CLOUDAUTH_AZURE_CUSTOM";
            Err(Error::invalid("authority host", help).into())
        }
        _ => Err(Fault::number("authority")),
    }
}

impl Parameters for cloudauth_azure_client_assertion_params {
    type Flow<'a> = ClientAssertion<'a>;

    fn with(&self, cx: &Cx, then: &mut dyn FnMut(&ClientAssertion<'_>) -> Outcome) -> Outcome {
        unused(self.reserved)?;
        if self.flags > CLOUDAUTH_AZURE_SEND_CHAIN + CLOUDAUTH_AZURE_SHA1_THUMBPRINT {
            return Err(Fault::number("flags"));
        }
        let mut space = [[].as_slice(); MAX_CHAIN];
        let certificate = Certificate::parse(cx.bytes(self.certificate, "certificate")?)?;
        let tenant = cx.text(self.tenant, "tenant")?;
        let sha1 = self.flags & CLOUDAUTH_AZURE_SHA1_THUMBPRINT != 0;
        then(&ClientAssertion {
            chain: cx.octets((self.chain, self.chain_count), "certificate chain", &mut space)?,
            authority: authority(cx, self.authority, self.authority_host)?,
            scheme: scheme_or(self.scheme, Scheme::RsaPssSha256)?,
            thumbprint: if sha1 { Thumbprint::Sha1 } else { Thumbprint::Sha256 },
            send_chain: self.flags & CLOUDAUTH_AZURE_SEND_CHAIN != 0,
            ..ClientAssertion::new(certificate, tenant, cx.text(self.client_id, "client id")?)
        })
    }
}

/// The application proves itself with `assertion`: the request needs a signer.
pub const CLOUDAUTH_AZURE_CREDENTIAL_ASSERTION: u32 = 1;
/// The application proves itself with a client secret.
pub const CLOUDAUTH_AZURE_CREDENTIAL_SECRET: u32 = 2;
/// The application proves itself with a token (JWT) of an issuer that it trusts.
pub const CLOUDAUTH_AZURE_CREDENTIAL_FEDERATED: u32 = 3;

/// An access token for an application (client credentials flow).
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_azure_token_params {
    /// sizeof(cloudauth_azure_token_params)
    pub size: usize,
    /// What the token is for: one resource's "/.default".
    pub scopes: *const cloudauth_bytes,
    /// How many scopes there are: 1 to CLOUDAUTH_MAX_SCOPES.
    pub scope_count: usize,
    /// The claims that a resource asked for: the JSON object of its challenge, out of base64; empty
    /// for none.
    pub claims: cloudauth_bytes,
    /// What proves who the application is: CLOUDAUTH_AZURE_CREDENTIAL_*.
    pub credential: u32,
    /// With a secret or a federated token: the cloud, CLOUDAUTH_AZURE_PUBLIC and so on.
    pub authority: u32,
    /// With CLOUDAUTH_AZURE_CREDENTIAL_ASSERTION: the application and its certificate; else NULL.
    pub assertion: *const cloudauth_azure_client_assertion_params,
    /// With a secret or a federated token: the tenant.
    pub tenant: cloudauth_bytes,
    /// With a secret or a federated token: the application's (client) id.
    pub client_id: cloudauth_bytes,
    /// With CLOUDAUTH_AZURE_CUSTOM: the host, with an optional port.
    pub authority_host: cloudauth_bytes,
    /// The secret or the federated token: a secret either way.
    pub secret: cloudauth_bytes,
}

impl Parameters for cloudauth_azure_token_params {
    type Flow<'a> = TokenRequest<'a>;

    fn with(&self, cx: &Cx, then: &mut dyn FnMut(&TokenRequest<'_>) -> Outcome) -> Outcome {
        let mut space = [""; MAX_SCOPES];
        let scopes = cx.texts((self.scopes, self.scope_count), "scope", &mut space)?;
        let claims = cx.optional(self.claims, "claims")?;
        if !(CLOUDAUTH_AZURE_CREDENTIAL_ASSERTION..=CLOUDAUTH_AZURE_CREDENTIAL_FEDERATED)
            .contains(&self.credential)
        {
            return Err(Fault::number("credential"));
        }
        let given = [self.tenant, self.client_id, self.authority_host, self.secret];
        if self.credential == CLOUDAUTH_AZURE_CREDENTIAL_ASSERTION {
            if given.iter().any(|text| text.len != 0) || self.authority != 0 {
                let help = "is in the assertion's parameters, not beside them";
                return Err(Error::invalid("application", help).into());
            }
            let assertion = cx.read(self.assertion, "assertion")?;
            return assertion.with(cx, &mut |assertion| {
                then(&TokenRequest {
                    scopes,
                    claims,
                    credential: Credential::Assertion(*assertion),
                })
            });
        }
        if !self.assertion.is_null() {
            return Err(Error::invalid("assertion", "must be NULL with this credential").into());
        }
        let [tenant, client_id, host, secret] = given;
        let application = Application {
            authority: authority(cx, self.authority, host)?,
            ..Application::new(cx.text(tenant, "tenant")?, cx.text(client_id, "client id")?)
        };
        let secret = Secret::new(cx.text(secret, "secret")?);
        let credential = match self.credential {
            CLOUDAUTH_AZURE_CREDENTIAL_SECRET => Credential::Secret(application, secret),
            _ => Credential::Federated(application, secret),
        };
        then(&TokenRequest { scopes, claims, credential })
    }
}

/// What the token endpoint of Entra ID gives.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_azure_access_token {
    /// sizeof(cloudauth_azure_access_token)
    pub size: usize,
    /// The access token: a secret. Printable ASCII without spaces.
    pub access_token: cloudauth_bytes,
    /// "Bearer", in the letter case of the answer.
    pub token_type: cloudauth_bytes,
    /// How long it is good for, in seconds from the moment of the answer: never 0.
    pub expires_in: i64,
    /// How long it may be used while Entra ID cannot be reached, in seconds; 0 if that is not said.
    pub ext_expires_in: i64,
    /// When a new token should be asked for, in seconds; 0 if that is not said.
    pub refresh_in: i64,
}

impl Answer for cloudauth_azure_token_params {
    type Output = cloudauth_azure_access_token;

    fn output(answer: Token<'_>) -> cloudauth_azure_access_token {
        cloudauth_azure_access_token {
            size: 0,
            access_token: cloudauth_bytes::text(answer.token.access_token.expose()),
            token_type: cloudauth_bytes::text(answer.token.token_type),
            expires_in: answer.token.expires_in.cast_signed(),
            ext_expires_in: answer.ext_expires_in.unwrap_or_default().cast_signed(),
            refresh_in: answer.refresh_in.unwrap_or_default().cast_signed(),
        }
    }
}

/// Gives the size of the buffer for a client assertion, for a signature of `signature_len` octets:
/// 64 for P-256, 96 for P-384, the length of the modulus for RSA. The two-step form always needs
/// room for 1024 where the scheme is one of RSA.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED,
/// CLOUDAUTH_ERR_MISMATCH or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used;
/// CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
/// CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_azure_client_assertion_needed(
    params: *const cloudauth_azure_client_assertion_params,
    at: *const cloudauth_attempt,
    signature_len: usize,
    len: *mut usize,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe { jws_needed(params, at, signature_len, len, error) }
}

/// Makes a client assertion: the signed token is in `out`, `*len` octets. Nothing is signed before
/// the buffer is known to be large enough.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_SIGNER;
/// CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED, CLOUDAUTH_ERR_MISMATCH
/// or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used; CLOUDAUTH_ERR_NULL,
/// CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
/// CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_azure_client_assertion_sign(
    params: *const cloudauth_azure_client_assertion_params,
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

/// The first of two steps: a client assertion but for its signature. Sign what
/// cloudauth_prepared_to_sign tells, then call cloudauth_prepared_jws_finish.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_STATE;
/// CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED, CLOUDAUTH_ERR_MISMATCH
/// or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used; CLOUDAUTH_ERR_NULL,
/// CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
/// CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_azure_client_assertion_prepare(
    params: *const cloudauth_azure_client_assertion_params,
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

/// Gives the size of the buffer for a token request, for a signature of `signature_len` octets: 64
/// for P-256, 96 for P-384, the length of the modulus for RSA. The two-step form always needs room
/// for 1024 where the scheme is one of RSA.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED,
/// CLOUDAUTH_ERR_MISMATCH or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used;
/// CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
/// CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_azure_token_needed(
    params: *const cloudauth_azure_token_params,
    at: *const cloudauth_attempt,
    signature_len: usize,
    len: *mut usize,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe { needed(params, at, signature_len, len, error) }
}

/// Makes a token request. `signer` is NULL where the parameters need none. `*request` points into
/// `out`, of which `*len` octets are used. Nothing is signed before the buffer is known to be large
/// enough.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_SIGNER;
/// CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED, CLOUDAUTH_ERR_MISMATCH
/// or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used; CLOUDAUTH_ERR_NULL,
/// CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
/// CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_azure_token_request(
    params: *const cloudauth_azure_token_params,
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

/// The first of two steps: a token request but for its signature. Sign what
/// cloudauth_prepared_to_sign tells, then call cloudauth_prepared_finish.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_STATE;
/// CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED, CLOUDAUTH_ERR_MISMATCH
/// or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used; CLOUDAUTH_ERR_NULL,
/// CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
/// CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_azure_token_prepare(
    params: *const cloudauth_azure_token_params,
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

/// Reads the answer to a token request. The body is changed in place, and `*output` points into it.
/// `refusal` may be NULL.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_SERVICE if the service refused: `*refusal` says why;
/// CLOUDAUTH_ERR_MALFORMED for what is no such answer; CLOUDAUTH_ERR_CAPACITY for more than
/// CLOUDAUTH_MAX_HEADERS headers; otherwise as cloudauth_azure_token_request.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_azure_token_response(
    params: *const cloudauth_azure_token_params,
    head: *const cloudauth_response_head,
    body: *mut u8,
    body_len: usize,
    output: *mut cloudauth_azure_access_token,
    refusal: *mut cloudauth_refusal,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe { response(params, head, InPlace { ptr: body, len: body_len }, output, refusal, error) }
}
