//! `cloudauth demo`: every flow with throw-away keys. What asks a service is sent, over TLS, to the emulator,
//! which checks it with implementations that are not ours; the rest is verified here in the same way:
//! aws-lc-rs for signatures, aws-sigv4 for the HMAC form.

mod live;
mod peer;
mod receive;

use std::time::{Duration, Instant};

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
    UnparsedPublicKey, VerificationAlgorithm,
};
use cloudauth_core::aws::sigv4::{Payload, Request, Settings, SigV4};
use cloudauth_core::aws::{SecretAccessKey, SigningKey};
use cloudauth_core::azure::{ClientAssertion, Thumbprint};
use cloudauth_core::encode::base64;
use cloudauth_core::gcp::{Grant, SelfSigned};
use cloudauth_core::x509::Certificate;
use cloudauth_core::{Assertion, Scheme, Signer};
use cloudauth_keys::Key;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_RSA_SHA256, SignatureAlgorithm,
};
use serde_json::json;

use crate::context::{Context, Output, json, with_buffer};
use crate::error::CliError;

/// One line of the table.
struct Row {
    flow: &'static str,
    key: &'static str,
    time: Duration,
    result: String,
    verified_by: &'static str,
}

/// A key and its certificate, gone when the program ends.
struct Identity {
    key: Key,
    pkcs8: Vec<u8>,
    der: Vec<u8>,
}

pub(crate) fn run(context: &Context) -> Result<Vec<u8>, CliError> {
    let authority = Authority::new()?;
    let rsa = authority.identity(&PKCS_RSA_SHA256)?;
    let p256 = authority.identity(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let p384 = authority.identity(&rcgen::PKCS_ECDSA_P384_SHA384)?;
    let mut rows = Vec::new();
    sigv4(context, &mut rows)?;
    let certificate = Certificate::parse(&rsa.der)?;
    let app = "11111111-2222-3333-4444-555555555555";
    let azure = ClientAssertion::new(certificate, "contoso.onmicrosoft.com", app);
    let legacy =
        ClientAssertion { scheme: Scheme::RsaPkcs1Sha256, thumbprint: Thumbprint::Sha1, ..azure };
    let scoped = SelfSigned::new("robot@project.iam.gserviceaccount.com");
    let audience =
        SelfSigned { grant: Grant::Audience("https://pubsub.googleapis.com/"), ..scoped };
    let ec = SelfSigned { scheme: Scheme::EcdsaP256Sha256, ..scoped };
    let jwts: [(_, _, _, &dyn Assertion, &'static dyn VerificationAlgorithm); 5] = [
        ("Azure client assertion, PS256", "RSA-2048", &rsa, &azure, &RSA_PSS_2048_8192_SHA256),
        (
            "Azure client assertion, RS256 x5t",
            "RSA-2048",
            &rsa,
            &legacy,
            &RSA_PKCS1_2048_8192_SHA256,
        ),
        ("GCP self-signed token, scope", "RSA-2048", &rsa, &scoped, &RSA_PKCS1_2048_8192_SHA256),
        (
            "GCP self-signed token, audience",
            "RSA-2048",
            &rsa,
            &audience,
            &RSA_PKCS1_2048_8192_SHA256,
        ),
        ("GCP self-signed token, ES256", "P-256", &p256, &ec, &ECDSA_P256_SHA256_FIXED),
    ];
    for (flow, key, identity, assertion, algorithm) in jwts {
        rows.push(jwt(context, flow, key, identity, assertion, algorithm)?);
    }
    receive::run(context, &rsa, &p256, &mut rows)?;
    live::run(context, &authority, [&rsa, &p256, &p384], &mut rows)?;
    Ok(match context.output {
        Output::Json => {
            let row = |r: &Row| {
                json!({"flow": r.flow, "key": r.key, "microseconds": r.time.as_secs_f64() * 1e6,
                       "result": r.result, "verified_by": r.verified_by})
            };
            json(&rows.iter().map(row).collect())
        }
        _ => table(&rows).into_bytes(),
    })
}

/// A certification authority, as short-lived.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Result<Self, CliError> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "demo authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(unmade)?;
        CertifiedIssuer::self_signed(params, pair).map(Self).map_err(unmade)
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    fn identity(&self, algorithm: &'static SignatureAlgorithm) -> Result<Identity, CliError> {
        let pair = KeyPair::generate_for(algorithm).map_err(unmade)?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "demo");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&pair, &self.0).map_err(unmade)?;
        let pkcs8 = pair.serialize_der();
        Ok(Identity { key: Key::from_pkcs8(&pkcs8)?, pkcs8, der: certificate.der().to_vec() })
    }
}

fn unmade(e: rcgen::Error) -> CliError {
    CliError::Key(format!("make a throw-away key: {e}"))
}

impl Identity {
    fn verify(
        &self,
        algorithm: &'static dyn VerificationAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), CliError> {
        UnparsedPublicKey::new(algorithm, self.key.public_key())
            .verify(message, signature)
            .map_err(|_| wrong("a signature"))
    }
}

/// The demo's own finding: what we made does not verify.
fn wrong(what: &str) -> CliError {
    CliError::Key(format!("demo: {what} does not verify; this is a bug in cloudauth"))
}

const HOST: &str = "bucket.s3.eu-central-1.amazonaws.com";
const PATH: &str = "/a//folder/../object%20one";
const ID: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

fn url() -> String {
    format!("https://{HOST}{PATH}")
}

fn sigv4(context: &Context, rows: &mut Vec<Row>) -> Result<(), CliError> {
    let now = context.now()?;
    let secret = SecretAccessKey::new(SECRET)?;
    let key = SigningKey::derive(&secret, now, "eu-central-1", "s3")?;
    let signer = SigV4 { settings: Settings::S3, ..SigV4::new(ID, &key) };
    let headers = [("Host", HOST), ("Range", "bytes=0-99")];
    let request = Request {
        method: "GET",
        path: PATH,
        query: "",
        headers: &headers,
        payload: Payload::Unsigned,
    };
    let start = Instant::now();
    let (signature, len) = with_buffer(|buf| {
        let signed = signer.sign(&request, now, buf)?;
        Ok((signed.signature().to_owned(), signed.headers().map(|(n, v)| n.len() + v.len()).sum()))
    })?;
    let time = start.elapsed();
    let peer =
        peer::Request { url: &url(), headers: &[("Range", "bytes=0-99")], ..peer::Request::GET };
    if signature != peer.signature(now, "eu-central-1", "s3", false)? {
        return Err(wrong("the SigV4 signature"));
    }
    let verified_by = "aws-sigv4";
    let (key, result) = ("HMAC", octets(len));
    rows.push(Row { flow: "AWS SigV4, S3 GET, header", key, time, result, verified_by });
    let start = Instant::now();
    let presigned = with_buffer(|buf| Ok(signer.presign(&request, now, 3600, buf)?.to_owned()))?;
    let (time, result) = (start.elapsed(), octets(presigned.len()));
    if !presigned.ends_with(&peer.signature(now, "eu-central-1", "s3", true)?) {
        return Err(wrong("the presigned URL's signature"));
    }
    rows.push(Row { flow: "AWS SigV4, S3 GET, presigned", key, time, result, verified_by });
    Ok(())
}

fn jwt(
    context: &Context,
    flow: &'static str,
    key: &'static str,
    identity: &Identity,
    assertion: &dyn Assertion,
    algorithm: &'static dyn VerificationAlgorithm,
) -> Result<Row, CliError> {
    let at = context.attempt()?;
    let signature_len = identity.key.max_signature_len(assertion.scheme());
    let mut buf = vec![0u8; assertion.needed(&at, signature_len)?];
    let start = Instant::now();
    let token = assertion.sign(&identity.key, &at, &mut buf)?;
    let time = start.elapsed();
    let (input, signature) = token.rsplit_once('.').ok_or_else(|| wrong("a token"))?;
    let mut decoded = vec![0u8; signature.len()];
    let signature = base64::url_decode(signature.as_bytes(), &mut decoded)?;
    identity.verify(algorithm, input.as_bytes(), signature)?;
    Ok(Row { flow, key, time, result: octets(token.len()), verified_by: "aws-lc-rs" })
}

fn octets(len: usize) -> String {
    format!("{len} octets")
}

fn table(rows: &[Row]) -> String {
    let mut text =
        format!("{:<40} {:<9} {:>10}  {:<19} {}\n", "flow", "key", "time", "result", "verified by");
    for row in rows {
        let time = format!("{:.1} us", row.time.as_secs_f64() * 1e6);
        text.push_str(&format!(
            "{:<40} {:<9} {time:>10}  {:<19} {}\n",
            row.flow, row.key, row.result, row.verified_by
        ));
    }
    text.push_str(&format!(
        "\n{} flows, each verified. Times are of one first call each, of the live ones with connection and \
         answer; tests/bench measures properly.\n",
        rows.len()
    ));
    text
}
