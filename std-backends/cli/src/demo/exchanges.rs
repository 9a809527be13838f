//! The exchanges with token services.

use std::time::Instant;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
    VerificationAlgorithm,
};
use cloudauth_core::aws::sigv4::SigV4;
use cloudauth_core::aws::{
    AssumeRole, AssumeRoleWithWebIdentity, GetCallerIdentity, GetSessionToken, SecretAccessKey,
    SigningKey,
};
use cloudauth_core::azure::{Application, ClientAssertion, Credential, TokenRequest};
use cloudauth_core::encode::base64;
use cloudauth_core::gcp::{
    AccessTokenRequest, CLOUD_PLATFORM, GenerateAccessToken, GenerateIdToken, IdTokenRequest,
    Subject, SubjectToken, TokenExchange,
};
use cloudauth_core::x509::Certificate;
use cloudauth_core::{Exchange, HttpRequest, Scheme, Secret, Signer};

use super::{ID, Identity, Row, SECRET, peer, wrong};
use crate::context::{Context, with_buffer};
use crate::error::CliError;

const ROLE: &str = "arn:aws:iam::123456789012:role/demo";
const REGION: &str = "eu-central-1";
const EMAIL: &str = "robot@project.iam.gserviceaccount.com";
const PROVIDER: &str =
    "//iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/pool/providers/demo";
/// Where a service trusts a token that this program cannot make.
const GIVEN: &str = "e30.e30.AA";

pub(super) fn run(
    context: &Context,
    rsa: &Identity,
    p256: &Identity,
    rows: &mut Vec<Row>,
) -> Result<(), CliError> {
    aws(context, rows)?;
    azure(context, rsa, rows)?;
    google(context, rsa, p256, rows)
}

fn aws(context: &Context, rows: &mut Vec<Row>) -> Result<(), CliError> {
    let secret = SecretAccessKey::new(SECRET)?;
    let key = SigningKey::derive(&secret, context.now()?, REGION, "sts")?;
    let signer = SigV4::new(ID, &key);
    let role = AssumeRole {
        external_id: Some("demo"),
        tags: &[("team", "a b+c")],
        ..AssumeRole::new(signer, ROLE, "session")
    };
    rows.push(sts(context, "AWS STS AssumeRole", &role)?);
    rows.push(sts(context, "AWS STS GetSessionToken", &GetSessionToken::new(signer))?);
    rows.push(sts(context, "AWS STS GetCallerIdentity", &GetCallerIdentity::new(signer))?);
    let web = AssumeRoleWithWebIdentity::new(REGION, ROLE, "session", GIVEN);
    rows.push(unsigned(context, "AWS STS AssumeRoleWithWebIdentity", &web)?);
    Ok(())
}

fn azure(context: &Context, rsa: &Identity, rows: &mut Vec<Row>) -> Result<(), CliError> {
    let certificate = Certificate::parse(&rsa.der)?;
    let (tenant, client) = ("contoso.onmicrosoft.com", "11111111-2222-3333-4444-555555555555");
    let application = Application::new(tenant, client);
    let scopes = ["https://vault.azure.net/.default"];
    let assertion = Credential::Assertion(ClientAssertion::new(certificate, tenant, client));
    for (flow, credential) in [
        ("Azure token, certificate", assertion),
        ("Azure token, client secret", Credential::Secret(application, Secret::new("demo"))),
        ("Azure token, federated", Credential::Federated(application, Secret::new(GIVEN))),
    ] {
        let request = TokenRequest { scopes: &scopes, claims: None, credential };
        rows.push(match credential {
            Credential::Assertion(_) => {
                signed(context, flow, "RSA-2048", rsa, &request, &RSA_PSS_2048_8192_SHA256)?
            }
            _ => unsigned(context, flow, &request)?,
        });
    }
    Ok(())
}

fn google(
    context: &Context,
    rsa: &Identity,
    p256: &Identity,
    rows: &mut Vec<Row>,
) -> Result<(), CliError> {
    let rs256: &'static dyn VerificationAlgorithm = &RSA_PKCS1_2048_8192_SHA256;
    let access = AccessTokenRequest::new(EMAIL, &[CLOUD_PLATFORM]);
    rows.push(signed(context, "GCP OAuth token", "RSA-2048", rsa, &access, rs256)?);
    let id = IdTokenRequest::new(EMAIL, "https://service.example");
    rows.push(signed(context, "GCP ID token", "RSA-2048", rsa, &id, rs256)?);
    let subject = SubjectToken {
        scheme: Scheme::EcdsaP256Sha256,
        ..SubjectToken::new(PROVIDER, "https://issuer.example", "device-1")
    };
    let federation = TokenExchange::new(Subject::Signed(subject), &[CLOUD_PLATFORM]);
    let es256: &'static dyn VerificationAlgorithm = &ECDSA_P256_SHA256_FIXED;
    let flow = "GCP workload identity federation";
    rows.push(signed(context, flow, "P-256", p256, &federation, es256)?);
    let token = Secret::new("demo");
    let access = GenerateAccessToken::new(token, EMAIL);
    rows.push(unsigned(context, "GCP impersonation, access token", &access)?);
    let id = GenerateIdToken::new(token, EMAIL, "https://service.example");
    rows.push(unsigned(context, "GCP impersonation, ID token", &id)?);
    Ok(())
}

/// A request that the derived key signs, beside the same by aws-sigv4.
fn sts<E: Exchange>(context: &Context, flow: &'static str, exchange: &E) -> Result<Row, CliError> {
    let at = context.attempt()?;
    let mut buf = vec![0u8; exchange.needed(&at, 0)?];
    let start = Instant::now();
    let request = exchange.build(&at, &mut buf)?;
    let time = start.elapsed();
    let headers: Vec<_> =
        request.headers().filter(|(name, _)| name.eq_ignore_ascii_case("content-type")).collect();
    let peer = peer::Request {
        method: request.method(),
        url: &format!("https://{}{}", request.host(), request.target()),
        headers: &headers,
        body: Some(request.body()),
    };
    let authorization = request.header("Authorization").unwrap_or_default();
    if !authorization.ends_with(&peer.signature(at.time(), REGION, "sts", false)?) {
        return Err(wrong("the signature of a call to STS"));
    }
    let octets = octets(&request)?;
    Ok(Row { flow, key: "HMAC", octets, time, verified_by: "aws-sigv4" })
}

/// A request whose body ends with a token that the key signs.
fn signed<E: Exchange>(
    context: &Context,
    flow: &'static str,
    key: &'static str,
    identity: &Identity,
    exchange: &E,
    algorithm: &'static dyn VerificationAlgorithm,
) -> Result<Row, CliError> {
    let at = context.attempt()?;
    let signature_len = Scheme::ALL.map(|s| identity.key.max_signature_len(s));
    let signature_len = signature_len.into_iter().max().unwrap_or_default();
    let mut buf = vec![0u8; exchange.needed(&at, signature_len)?];
    let start = Instant::now();
    let request = exchange.request(&identity.key, &at, &mut buf)?;
    let time = start.elapsed();
    let body = String::from_utf8_lossy(request.body());
    let token = body.rsplit('=').next().unwrap_or_default();
    let (input, signature) = token.rsplit_once('.').ok_or_else(|| wrong("a token"))?;
    let mut space = vec![0u8; signature.len()];
    let signature = base64::url_decode(signature.as_bytes(), &mut space)?;
    identity.verify(algorithm, input.as_bytes(), signature)?;
    let octets = octets(&request)?;
    Ok(Row { flow, key, octets, time, verified_by: "aws-lc-rs" })
}

/// A request that shows a secret or a token instead of a signature.
fn unsigned<E: Exchange>(
    context: &Context,
    flow: &'static str,
    exchange: &E,
) -> Result<Row, CliError> {
    let at = context.attempt()?;
    let mut buf = vec![0u8; exchange.needed(&at, 0)?];
    let start = Instant::now();
    let request = exchange.build(&at, &mut buf)?;
    let time = start.elapsed();
    let octets = octets(&request)?;
    Ok(Row { flow, key: "-", octets, time, verified_by: "nothing to sign" })
}

fn octets(request: &HttpRequest<'_>) -> Result<usize, CliError> {
    with_buffer(|buf| Ok(request.write_http1(buf)?.len()))
}
