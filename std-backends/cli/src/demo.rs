//! `cloudauth demo`: every flow with throw-away keys, each verified with an implementation that is not
//! ours: aws-lc-rs for signatures, aws-sigv4 for the HMAC form.

mod exchanges;
mod peer;
mod receive;

use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA256_ASN1,
    RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};
use cloudauth_core::aws::sigv4::{Payload, Request, Settings, SigV4};
use cloudauth_core::aws::{CreateSession, SecretAccessKey, SigningKey, rolesanywhere};
use cloudauth_core::azure::{ClientAssertion, Thumbprint};
use cloudauth_core::encode::{base64, hex};
use cloudauth_core::gcp::{Grant, SelfSigned};
use cloudauth_core::x509::Certificate;
use cloudauth_core::{Assertion, Exchange, Out, Scheme, Signer};
use cloudauth_keys::Key;
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, SerialNumber, SignatureAlgorithm};
use serde_json::json;

use crate::context::{Context, Output, json, with_buffer};
use crate::error::CliError;

/// One line of the table.
struct Row {
    flow: &'static str,
    key: &'static str,
    octets: usize,
    time: Duration,
    verified_by: &'static str,
}

/// A key and its certificate, gone when the program ends.
struct Identity {
    key: Key,
    pkcs8: Vec<u8>,
    der: Vec<u8>,
}

pub(crate) fn run(context: &Context) -> Result<Vec<u8>, CliError> {
    let rsa = Identity::new(&PKCS_RSA_SHA256)?;
    let p256 = Identity::new(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let p384 = Identity::new(&rcgen::PKCS_ECDSA_P384_SHA384)?;
    let mut rows = Vec::new();
    sigv4(context, &mut rows)?;
    for (identity, key, algorithm) in [
        (&rsa, "RSA-2048", &RSA_PKCS1_2048_8192_SHA256 as &'static dyn VerificationAlgorithm),
        (&p256, "P-256", &ECDSA_P256_SHA256_ASN1),
        (&p384, "P-384", &ECDSA_P384_SHA256_ASN1),
    ] {
        rows.push(roles_anywhere(context, identity, key, algorithm)?);
    }
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
    exchanges::run(context, &rsa, &p256, &mut rows)?;
    receive::run(context, &rsa, &p256, &mut rows)?;
    Ok(match context.output {
        Output::Json => {
            let row = |r: &Row| {
                json!({"flow": r.flow, "key": r.key, "octets": r.octets,
                       "microseconds": r.time.as_secs_f64() * 1e6, "verified_by": r.verified_by})
            };
            json(&rows.iter().map(row).collect())
        }
        _ => table(&rows).into_bytes(),
    })
}

impl Identity {
    fn new(algorithm: &'static SignatureAlgorithm) -> Result<Self, CliError> {
        let failed = |e: rcgen::Error| CliError::Key(format!("make a throw-away key: {e}"));
        let pair = KeyPair::generate_for(algorithm).map_err(failed)?;
        let mut params = CertificateParams::new(vec!["demo.example".to_owned()]).map_err(failed)?;
        params.serial_number = Some(SerialNumber::from_slice(&[0x42; 20]));
        let certificate = params.self_signed(&pair).map_err(failed)?;
        let pkcs8 = pair.serialize_der();
        Ok(Self { key: Key::from_pkcs8(&pkcs8)?, pkcs8, der: certificate.der().to_vec() })
    }

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
    let (signature, octets) = with_buffer(|buf| {
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
    rows.push(Row { flow: "AWS SigV4, S3 GET, header", key: "HMAC", octets, time, verified_by });
    let start = Instant::now();
    let presigned = with_buffer(|buf| Ok(signer.presign(&request, now, 3600, buf)?.to_owned()))?;
    let (time, octets) = (start.elapsed(), presigned.len());
    if !presigned.ends_with(&peer.signature(now, "eu-central-1", "s3", true)?) {
        return Err(wrong("the presigned URL's signature"));
    }
    rows.push(Row { flow: "AWS SigV4, S3 GET, presigned", key: "HMAC", octets, time, verified_by });
    Ok(())
}

fn roles_anywhere(
    context: &Context,
    identity: &Identity,
    key: &'static str,
    algorithm: &'static dyn VerificationAlgorithm,
) -> Result<Row, CliError> {
    let session = CreateSession::new(
        Certificate::parse(&identity.der)?,
        "arn:aws:rolesanywhere:eu-central-1:123456789012:trust-anchor/demo",
        "arn:aws:rolesanywhere:eu-central-1:123456789012:profile/demo",
        "arn:aws:iam::123456789012:role/demo",
    );
    let at = context.attempt()?;
    let signature_len = identity.key.max_signature_len(session.scheme()?);
    let mut buf = vec![0u8; session.needed(&at, signature_len)?];
    let start = Instant::now();
    let request = session.request(&identity.key, &at, &mut buf)?;
    let time = start.elapsed();
    let octets = with_buffer(|buf| Ok(request.write_http1(buf)?.len()))?;

    // The string to sign, put together again from the finished request and hashed by aws-lc-rs.
    let canonical = with_buffer(|buf| {
        let mut out = Out::new(buf);
        rolesanywhere::canonical_request(&request, &mut out)?;
        Ok(out.finish()?.to_vec())
    })?;
    let authorization = request.header("Authorization").unwrap_or_default();
    let (name, rest) = authorization.split_once(' ').unwrap_or_default();
    let date = request.header("X-Amz-Date").unwrap_or_default();
    let hashed: String =
        digest(&SHA256, &canonical).as_ref().iter().map(|b| format!("{b:02x}")).collect();
    let scope = rest.split([',', '/']).skip(1).take(4).collect::<Vec<_>>().join("/");
    let message = format!("{name}\n{date}\n{scope}\n{hashed}");
    let signature = authorization.rsplit('=').next().unwrap_or_default();
    let mut octets_of_signature = vec![0u8; signature.len() / 2];
    hex::decode(signature.as_bytes(), &mut octets_of_signature)?;
    identity.verify(algorithm, message.as_bytes(), &octets_of_signature)?;
    let flow = "AWS Roles Anywhere CreateSession";
    Ok(Row { flow, key, octets, time, verified_by: "aws-lc-rs" })
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
    let mut octets = vec![0u8; signature.len()];
    let signature = base64::url_decode(signature.as_bytes(), &mut octets)?;
    identity.verify(algorithm, input.as_bytes(), signature)?;
    Ok(Row { flow, key, octets: token.len(), time, verified_by: "aws-lc-rs" })
}

fn table(rows: &[Row]) -> String {
    let mut text =
        format!("{:<40} {:<9} {:>6} {:>10}  {}\n", "flow", "key", "octets", "time", "verified by");
    for row in rows {
        let time = format!("{:.1} us", row.time.as_secs_f64() * 1e6);
        text.push_str(&format!(
            "{:<40} {:<9} {:>6} {time:>10}  {}\n",
            row.flow, row.key, row.octets, row.verified_by
        ));
    }
    text.push_str(&format!(
        "\n{} flows, every signature verified. Times are of one first call each; tests/bench measures \
         properly.\n",
        rows.len()
    ));
    text
}
