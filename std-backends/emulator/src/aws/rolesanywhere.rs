//! IAM Roles Anywhere: `CreateSession`, signed with the key of a certificate.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P521_SHA256_ASN1,
    RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::{CertificateDer, UnixTime};
use serde::Deserialize;
use serde_json::json;
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use super::sigv4::{canonical_hash, header_parameter};
use super::{AwsError, account_of, assumed_role_arn, is_name, issue, unique_id};
use crate::clock;
use crate::keys::{hex, unhex, uuid};
use crate::request::{Call, Reply};
use crate::route::region_of_host;
use crate::state::Session;

const WINDOW: i64 = 15 * 60;
/// The most certificates between the leaf and the trust anchor.
const MAX_CHAIN: usize = 5;

/// Answers a request.
pub(crate) fn answer(call: &mut Call<'_>) -> Reply {
    call.record.operation = Some("CreateSession".into());
    if call.request.path != "/sessions" {
        return failure(&AwsError::new(404, "UnknownOperationException", "POST /sessions it is."));
    }
    if call.request.method != "POST" {
        return failure(&AwsError::new(405, "UnknownOperationException", "POST /sessions it is."));
    }
    create_session(call).unwrap_or_else(|error| failure(&error))
}

/// An error in the form of the service.
pub(crate) fn failure(error: &AwsError) -> Reply {
    let body = json!({"message": error.message}).to_string();
    Reply::new(error.status, "application/json", body)
        .header("x-amzn-errortype", error.code)
        .header("x-amzn-requestid", uuid())
        .error(error.code)
}

fn denied(message: impl Into<String>) -> AwsError {
    AwsError::new(403, "AccessDeniedException", message)
}

fn validation(message: impl Into<String>) -> AwsError {
    AwsError::new(400, "ValidationException", message)
}

/// The body; the ARNs may stand in the query in its place.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Body {
    duration_seconds: Option<u32>,
    profile_arn: Option<String>,
    role_arn: Option<String>,
    trust_anchor_arn: Option<String>,
    role_session_name: Option<String>,
    /// The deprecated name of the same.
    session_name: Option<String>,
    instance_properties: BTreeMap<String, String>,
}

fn create_session(call: &mut Call<'_>) -> Result<Reply, AwsError> {
    let body: Body = serde_json::from_slice(&call.request.body)
        .map_err(|_| validation("The body is no JSON object of this operation"))?;
    let query = call.request.query_pairs();
    let arn = |name: &str, in_body: &Option<String>| {
        let value = query.get(name).map(str::to_owned).or_else(|| in_body.clone());
        value.ok_or_else(|| validation(format!("{name} is required")))
    };
    let anchor_arn = arn("trustAnchorArn", &body.trust_anchor_arn)?;
    let profile_arn = arn("profileArn", &body.profile_arn)?;
    let role_arn = arn("roleArn", &body.role_arn)?;
    let leaf = certificate_header(call)?;
    let (_, certificate) =
        X509Certificate::from_der(&leaf).map_err(|_| validation("x-amz-x509 is no certificate"))?;
    let anchor = call.state.trust_anchors.iter().find(|(name, _)| *name == anchor_arn);
    let (_, anchors) = anchor
        .ok_or_else(|| AwsError::new(404, "ResourceNotFoundException", "TrustAnchor not found"))?;
    check_signature(call, &certificate, &anchor_arn)?;
    check_end_entity(&certificate)?;
    check_chain(call, &leaf, anchors)?;
    // From here on the caller is known.
    let serial = hex(certificate.raw_serial()).trim_start_matches("00").to_owned();
    call.record.principal = Some(certificate.subject().to_string());
    let profile = call.state.profiles.iter().find(|profile| profile.arn == profile_arn);
    let profile = profile
        .ok_or_else(|| AwsError::new(404, "ResourceNotFoundException", "Profile not found"))?;
    let unable = || denied(format!("Unable to assume role for {role_arn}"));
    let role = call.state.role(&role_arn).filter(|role| role.roles_anywhere);
    let role = role.ok_or_else(unable)?;
    if !profile.roles.contains(&role_arn) {
        return Err(denied("Role is not among the roles of the profile"));
    }
    let asked = body.duration_seconds.unwrap_or(profile.duration);
    if !(900..=43_200).contains(&asked) {
        return Err(validation("durationSeconds must be between 900 and 43200"));
    }
    let given = body.role_session_name.as_ref().or(body.session_name.as_ref());
    if given.is_some() && !profile.accept_role_session_name {
        return Err(denied("Not authorized to set roleSessionName"));
    }
    let name = given.unwrap_or(&serial).clone();
    if !is_name(&name, 2, 64, "_+=,.@-") {
        return Err(validation("roleSessionName must match [\\w+=,.@-]{2,64}"));
    }
    let common_name = certificate.subject().iter_common_name().next();
    let source_identity = common_name.and_then(|cn| cn.as_str().ok()).map(|cn| format!("CN={cn}"));
    let duration = asked.min(profile.duration.max(900)).min(role.max_duration);
    let issued = issue(Session {
        operation: "CreateSession".into(),
        arn: assumed_role_arn(&role_arn, &name),
        user_id: format!("{}:{name}", unique_id("AROA", &role_arn)),
        account: account_of(&role_arn).to_owned(),
        issued_to: certificate.subject().to_string(),
        expires: call.expiry(duration),
        role_arn: Some(role_arn.clone()),
        session_name: Some(name),
        source_identity: source_identity.clone(),
        instance_properties: body.instance_properties,
        ..Session::default()
    });
    let subject = unique_id("", &certificate.subject().to_string()).to_ascii_lowercase();
    let region = anchor_arn.split(':').nth(3).unwrap_or_default();
    let account = account_of(&anchor_arn);
    let answer = json!({
        "credentialSet": [{
            "assumedRoleUser": {"arn": issued.session.arn, "assumedRoleId": issued.session.user_id},
            "credentials": {
                "accessKeyId": issued.session.access_key_id,
                "secretAccessKey": issued.secret,
                "sessionToken": issued.token,
                "expiration": clock::rfc3339(issued.session.expires),
            },
            "packedPolicySize": 0,
            "roleArn": role_arn,
            "sourceIdentity": source_identity,
        }],
        "subjectArn": format!("arn:aws:rolesanywhere:{region}:{account}:subject/{subject}"),
    });
    call.state.remember_session(issued, call.now);
    Ok(Reply::new(201, "application/json", answer.to_string()).header("x-amzn-requestid", uuid()))
}

fn certificate_header(call: &Call<'_>) -> Result<Vec<u8>, AwsError> {
    let header = call.request.header("x-amz-x509");
    let header = header.ok_or_else(|| denied("The header X-Amz-X509 is missing"))?;
    STANDARD.decode(header).map_err(|_| validation("x-amz-x509 is not base64"))
}

/// The intermediates of the header `X-Amz-X509-Chain`.
fn chain_header(call: &Call<'_>) -> Result<Vec<Vec<u8>>, AwsError> {
    let Some(header) = call.request.header("x-amz-x509-chain") else { return Ok(Vec::new()) };
    let all: Result<Vec<_>, _> = header.split(',').map(|one| STANDARD.decode(one.trim())).collect();
    let all = all.map_err(|_| validation("x-amz-x509-chain is not base64"))?;
    if all.len() > MAX_CHAIN { Err(validation("the chain is too long")) } else { Ok(all) }
}

/// The signature over the canonical request, under the certificate's key.
fn check_signature(
    call: &Call<'_>,
    certificate: &X509Certificate<'_>,
    anchor_arn: &str,
) -> Result<(), AwsError> {
    let header = call.request.header("authorization");
    let header = header.ok_or_else(|| {
        AwsError::new(403, "AccessDeniedException", "Missing Authentication Token")
    })?;
    let (name, parameters) = header.split_once(' ').unwrap_or((header, ""));
    let parameter = |name| {
        header_parameter(parameters, name)
            .map_err(|_| denied(format!("Authorization lacks {name}")))
    };
    let credential: Vec<&str> = parameter("Credential")?.split('/').collect();
    let &[serial, date, region, "rolesanywhere", "aws4_request"] = credential.as_slice() else {
        return Err(denied(
            "Credential is not <serial>/<date>/<region>/rolesanywhere/aws4_request",
        ));
    };
    if serial != certificate.tbs_certificate.serial.to_str_radix(10) {
        return Err(denied("The serial number in Credential is not the certificate's, in decimal"));
    }
    let expected = region_of_host(call.request.hostname())
        .unwrap_or_else(|| anchor_arn.split(':').nth(3).unwrap_or_default());
    if region != expected {
        return Err(denied(format!("Credential should be scoped to the region {expected}")));
    }
    let stamp = call.request.header("x-amz-date").unwrap_or_default();
    let time =
        clock::parse_basic(stamp).ok_or_else(|| denied("X-Amz-Date is missing or malformed"))?;
    if stamp.split('T').next() != Some(date) {
        return Err(denied("The date in Credential is not the date of X-Amz-Date"));
    }
    if call.now.saturating_sub(time).saturating_abs() > WINDOW {
        return Err(denied(format!(
            "Signature expired or not yet current: {stamp}, and it is {}",
            clock::basic(call.now)
        )));
    }
    let listed = parameter("SignedHeaders")?;
    let names: Vec<&str> = listed.split(';').collect();
    let mut needed = vec!["host", "x-amz-date", "x-amz-x509"];
    needed.extend(
        call.request.headers.contains_key("x-amz-x509-chain").then_some("x-amz-x509-chain"),
    );
    if !names.is_sorted() || needed.iter().any(|needed| !names.contains(needed)) {
        return Err(denied(format!("SignedHeaders must be sorted and hold {}", needed.join(", "))));
    }
    let hash = canonical_hash(call, listed).ok_or_else(|| denied("A signed header is missing"))?;
    let text = format!("{name}\n{stamp}\n{date}/{region}/rolesanywhere/aws4_request\n{hash}");
    let invalid = || denied("Invalid signature");
    let signature = unhex(parameter("Signature")?).ok_or_else(invalid)?;
    let spki = certificate.public_key();
    let point = spki.subject_public_key.data.len();
    let algorithm: &'static dyn VerificationAlgorithm = match (name, point) {
        ("AWS4-X509-RSA-SHA256", _) => &RSA_PKCS1_2048_8192_SHA256,
        ("AWS4-X509-ECDSA-SHA256", 65) => &ECDSA_P256_SHA256_ASN1,
        ("AWS4-X509-ECDSA-SHA256", 97) => &ECDSA_P384_SHA256_ASN1,
        ("AWS4-X509-ECDSA-SHA256", 133) => &ECDSA_P521_SHA256_ASN1,
        _ => {
            return Err(denied(format!(
                "The algorithm {name} is unknown or not the certificate's"
            )));
        }
    };
    UnparsedPublicKey::new(algorithm, &spki.subject_public_key.data)
        .verify(text.as_bytes(), &signature)
        .map_err(|_| invalid())
}

/// What AWS demands of an end-entity certificate.
fn check_end_entity(certificate: &X509Certificate<'_>) -> Result<(), AwsError> {
    let insufficient = |what: &str| {
        denied(format!("Untrusted certificate. Insufficient certificate: it must {what}"))
    };
    if certificate.version() != x509_parser::x509::X509Version::V3 {
        return Err(insufficient("be of X.509 version 3"));
    }
    let constraints = certificate.basic_constraints().ok().flatten();
    if constraints.is_none_or(|constraints| constraints.value.ca) {
        return Err(insufficient("have basic constraints with CA false"));
    }
    let usage = certificate.key_usage().ok().flatten();
    if !usage.is_some_and(|usage| usage.value.digital_signature()) {
        return Err(insufficient("have the key usage Digital Signature"));
    }
    Ok(())
}

/// From the leaf over the intermediates to the trust anchor, at the emulator's time.
fn check_chain(call: &Call<'_>, leaf: &[u8], anchors: &[Vec<u8>]) -> Result<(), AwsError> {
    let untrusted = |what: String| denied(format!("Untrusted certificate. {what}"));
    let leaf = CertificateDer::from(leaf);
    let leaf = EndEntityCert::try_from(&leaf).map_err(|e| untrusted(e.to_string()))?;
    let anchors: Vec<CertificateDer<'_>> =
        anchors.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
    let anchors: Vec<_> =
        anchors.iter().filter_map(|der| anchor_from_trusted_cert(der).ok()).collect();
    let intermediates: Vec<_> = chain_header(call)?.into_iter().map(CertificateDer::from).collect();
    let seconds = u64::try_from(call.now).unwrap_or_default();
    leaf.verify_for_usage(
        ALL_VERIFICATION_ALGS,
        &anchors,
        &intermediates,
        UnixTime::since_unix_epoch(Duration::from_secs(seconds)),
        KeyUsage::client_auth(),
        None,
        None,
    )
    .map_err(|error| match error {
        webpki::Error::CertExpired { .. } => untrusted("Certificate is expired".into()),
        webpki::Error::CertNotValidYet { .. } => untrusted("Certificate is not valid yet".into()),
        webpki::Error::UnknownIssuer => {
            untrusted("Insufficient certificate: no chain to the trust anchor".into())
        }
        other => untrusted(other.to_string()),
    })?;
    Ok(())
}
