//! `CreateSession`: requests verified with aws-lc-rs, answers and refusals read.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA256_ASN1, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
};
use cloudauth_core::aws::{CreateSession, rolesanywhere};
use cloudauth_core::encode::{base64, hex};
use cloudauth_core::x509::Certificate;
use cloudauth_core::{
    Attempt, ErrorKind, Exchange, Failure, Out, ResponseHead, Scheme, Signer, UnixTime,
};
use cloudauth_keys::Key;
use rcgen::{CertificateParams, KeyPair, SerialNumber, SignatureAlgorithm};

pub(crate) const ANCHOR: &str = "arn:aws:rolesanywhere:eu-central-1:123456789012:trust-anchor/3b5c1c2e-1f1c-4a0e-9c46-0a8f0d1f9d11";
pub(crate) const PROFILE: &str =
    "arn:aws:rolesanywhere:eu-central-1:123456789012:profile/7c9f3a5e-2b1d-4b0e-8d57-1b9e1e2e0e22";
pub(crate) const ROLE: &str = "arn:aws:iam::123456789012:role/robots/demo";

/// A key and a certificate for it, with this serial number, valid from 1975 to 4096.
pub(crate) fn leaf(algorithm: &'static SignatureAlgorithm, serial: &[u8]) -> (Key, Vec<u8>) {
    let pair = KeyPair::generate_for(algorithm).unwrap();
    let mut params = CertificateParams::new(vec!["leaf.example".to_owned()]).unwrap();
    params.serial_number = Some(SerialNumber::from_slice(serial));
    let certificate = params.self_signed(&pair).unwrap();
    let key = Key::from_pkcs8(pair.serialized_der()).unwrap();
    (key, certificate.der().to_vec())
}

fn at() -> Attempt {
    Attempt::new(UnixTime::parse("2026-11-22T12:00:00Z").unwrap(), [9; 32])
}

fn session(der: &[u8]) -> CreateSession<'_> {
    CreateSession::new(Certificate::parse(der).unwrap(), ANCHOR, PROFILE, ROLE)
}

#[test]
fn every_key_type_signs_what_the_service_verifies() {
    let algorithms = [
        (&rcgen::PKCS_RSA_SHA256, "RSA", Scheme::RsaPkcs1Sha256),
        (&rcgen::PKCS_ECDSA_P256_SHA256, "ECDSA", Scheme::EcdsaP256Sha256),
        (&rcgen::PKCS_ECDSA_P384_SHA384, "ECDSA", Scheme::EcdsaP384Sha256),
    ];
    for (algorithm, name, scheme) in algorithms {
        let (key, der) = leaf(algorithm, &[0x7f; 20]);
        let (_, authority) = leaf(&rcgen::PKCS_ECDSA_P256_SHA256, &[6]);
        let chain: [&[u8]; 2] = [&authority, &authority];
        let session = CreateSession {
            chain: &chain,
            duration_seconds: Some(900),
            role_session_name: Some("robot@factory"),
            instance_properties: &[("rack", "7 \"b\"")],
            ..session(&der)
        };
        assert_eq!(session.scheme(), Ok(scheme));
        let mut buf = vec![0u8; 16_384];
        let request = session.request(&key, &at(), &mut buf).unwrap();
        assert_eq!(request.host(), "rolesanywhere.eu-central-1.amazonaws.com");
        let body: serde_json::Value = serde_json::from_slice(request.body()).unwrap();
        let want = serde_json::json!({
            "durationSeconds": 900, "roleSessionName": "robot@factory",
            "instanceProperties": {"rack": "7 \"b\""},
        });
        assert_eq!(body, want);
        let authorization = request.header("authorization").unwrap();
        // 0x7f7f…7f, by Python.
        let serial = "727885129180488904360266563744972327436484050815";
        let start = format!(
            "AWS4-X509-{name}-SHA256 Credential={serial}/20261122/eu-central-1/rolesanywhere/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date;x-amz-x509;x-amz-x509-chain, Signature="
        );
        let signature =
            authorization.strip_prefix(&start).unwrap_or_else(|| panic!("{authorization}"));
        let mut octets = vec![0u8; signature.len() / 2];
        hex::decode(signature.as_bytes(), &mut octets).unwrap();

        // The string to sign, rebuilt from the finished request and hashed by aws-lc-rs.
        let mut canonical = vec![0u8; 16_384];
        let mut out = Out::new(&mut canonical);
        rolesanywhere::canonical_request(&request, &mut out).unwrap();
        let canonical = out.finish().unwrap();
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, canonical);
        let digest: String = digest.as_ref().iter().map(|b| format!("{b:02x}")).collect();
        let message = format!(
            "AWS4-X509-{name}-SHA256\n20261122T120000Z\n\
             20261122/eu-central-1/rolesanywhere/aws4_request\n{digest}"
        );
        let public = ParsedPublicKey::new(
            match scheme {
                Scheme::RsaPkcs1Sha256 => &RSA_PKCS1_2048_8192_SHA256,
                Scheme::EcdsaP256Sha256 => {
                    &ECDSA_P256_SHA256_ASN1 as &dyn aws_lc_rs::signature::VerificationAlgorithm
                }
                _ => &ECDSA_P384_SHA256_ASN1,
            },
            key.public_key(),
        );
        public.unwrap().verify_sig(message.as_bytes(), &octets).unwrap();

        let encoded = |der: &[u8]| {
            let mut text = vec![0u8; base64::encoded_len(der.len())];
            base64::encode(der, &mut Out::new(&mut text));
            String::from_utf8(text).unwrap()
        };
        let authority = encoded(&authority);
        assert_eq!(request.header("X-Amz-X509"), Some(&*encoded(&der)));
        assert_eq!(request.header("X-Amz-X509-Chain"), Some(&*format!("{authority},{authority}")));
    }
}

#[test]
fn sizes_are_exact_and_both_ways_give_the_same() {
    let (key, der) = leaf(&rcgen::PKCS_RSA_SHA256, &[5]);
    let session = session(&der);
    let needed = session.needed(&at(), 256).unwrap();
    let mut buf = vec![0u8; needed];
    let whole = session.request(&key, &at(), &mut buf).unwrap();
    let mut text = vec![0u8; 8192];
    let whole = whole.write_http1(&mut text).unwrap().to_vec();
    let mut short = vec![0u8; needed - 1];
    let error = session.request(&key, &at(), &mut short).unwrap_err();
    assert_eq!((error.kind(), error.needed()), (ErrorKind::BufferTooSmall, Some(needed)));
    let error = session.request(&key, &at(), &mut []).unwrap_err();
    assert_eq!(error.needed(), Some(needed));

    let needed = session.prepare(&at(), &mut []).unwrap_err().needed().unwrap();
    let mut buf = vec![0u8; needed];
    let prepared = session.prepare(&at(), &mut buf).unwrap();
    let (scheme, to_sign) = prepared.to_sign().unwrap();
    let mut signature = [0u8; 256];
    assert_eq!(key.sign(scheme, &to_sign, &mut signature), Ok(256));
    let request = prepared.finish(&signature).unwrap();
    assert_eq!(request.write_http1(&mut text).unwrap(), whole);
}

#[test]
fn what_cannot_work_is_refused_before_signing() {
    let (key, der) = leaf(&rcgen::PKCS_ECDSA_P256_SHA256, &[5]);
    let (other, _) = leaf(&rcgen::PKCS_ECDSA_P256_SHA256, &[5]);
    let mut buf = vec![0u8; 8192];
    let good = session(&der);
    let mut field = |session: CreateSession<'_>, key: &Key, at: &Attempt| {
        session.request(key, at, &mut buf).err().map(|e| e.field())
    };
    assert_eq!(field(good, &key, &at()), None);
    assert_eq!(field(good, &other, &at()), Some("certificate"));
    let late = Attempt::new(UnixTime::MAX, [0; 32]);
    assert_eq!(field(good, &key, &late), Some("certificate"));
    let early = Attempt::new(UnixTime::new(0).unwrap(), [0; 32]);
    assert_eq!(field(good, &key, &early), Some("certificate"));
    let with = |change: fn(&mut CreateSession<'static>)| {
        let der: &'static [u8] = Vec::leak(der.clone());
        let mut session = session(der);
        change(&mut session);
        session
    };
    for (session, wrong) in [
        (
            with(|s| s.trust_anchor_arn = "arn:aws:rolesanywhere::1:trust-anchor/x"),
            "trust anchor ARN",
        ),
        (with(|s| s.profile_arn = ANCHOR), "profile ARN"),
        (
            with(|s| s.profile_arn = "arn:aws:rolesanywhere:us-east-1:123456789012:profile/p"),
            "profile ARN",
        ),
        (with(|s| s.role_arn = "arn:aws:iam::123456789012:user/u"), "role ARN"),
        (with(|s| s.region = Some("eu central")), "region"),
        (with(|s| s.region = Some("us-gov-west-1")), "region"),
        (with(|s| s.endpoint = Some("host/path")), "endpoint"),
        (with(|s| s.duration_seconds = Some(899)), "session duration"),
        (with(|s| s.duration_seconds = Some(43_201)), "session duration"),
        (with(|s| s.role_session_name = Some("x")), "role session name"),
        (with(|s| s.role_session_name = Some("a/b")), "role session name"),
        (with(|s| s.instance_properties = &[("", "x")]), "instance property"),
        (with(|s| s.instance_properties = &[("a", "1"), ("a", "2")]), "instance property"),
        (with(|s| s.chain = &[&[] as &[u8]; 6]), "certificate chain"),
    ] {
        assert_eq!(field(session, &key, &at()), Some(wrong));
    }
    for session in [
        with(|s| s.duration_seconds = Some(43_200)),
        with(|s| s.role_session_name = Some("ab")),
        with(|s| s.endpoint = Some("localhost:8443")),
        with(|s| s.region = Some("us-west-1")),
        with(|s| s.region = Some("a-region-of-thirty-two-octets-01")),
    ] {
        assert_eq!(field(session, &key, &at()), None);
    }
}

// The members of AWS's own mock server, see the documentation of CreateSession.
const ANSWER: &str = r#"{"credentialSet":[{"assumedRoleUser":{"arn":"arn:aws:sts::123456789012:assumed-role/demo/5",
"assumedRoleId":"AROA:5"},"credentials":{"accessKeyId":"ASIAEXAMPLE","expiration":"2022-07-27T04:36:55Z",
"secretAccessKey":"wJal\/rXUt","sessionToken":"FQoGZX\u0049v"},"packedPolicySize":10,"roleArn":"arn:aws:iam::123456789012:role/demo",
"sourceIdentity":"CN=leaf"}],"subjectArn":"arn:aws:rolesanywhere:eu-central-1:123456789012:subject/s"}"#;

fn read<'b>(
    status: u16,
    headers: &'b [(&'b str, &'b str)],
    body: &'b mut [u8],
) -> Result<rolesanywhere::Session<'b>, Failure<'b>> {
    let der: &'static [u8] = Vec::leak(leaf(&rcgen::PKCS_ECDSA_P256_SHA256, &[5]).1);
    session(der).response(&ResponseHead { status, headers }, body)
}

#[test]
fn answers() {
    let mut body = ANSWER.as_bytes().to_vec();
    let session = read(201, &[], &mut body).unwrap();
    let credentials = session.credentials;
    assert_eq!(credentials.access_key_id, "ASIAEXAMPLE");
    assert_eq!(credentials.secret_access_key.expose(), "wJal/rXUt");
    assert_eq!(credentials.session_token.expose(), "FQoGZXIv");
    assert_eq!(credentials.expiration.as_secs(), 1_658_896_615);
    assert_eq!(session.source_identity, Some("CN=leaf"));
    assert!(!format!("{session:?}").contains("wJal"));
    for (from, to, field) in [
        ("accessKeyId", "accessKeyID", "accessKeyId"),
        ("wJal\\/rXUt", "", "secretAccessKey"),
        ("2022-07-27T04:36:55Z", "soon", "expiration"),
        ("[{", "[],\"x\":[{", "credentialSet"),
        ("\"subjectArn\"", "\"credentialSet\"", "JSON"),
        ("}]", "}", "JSON"),
    ] {
        let mut body = ANSWER.replacen(from, to, 1).into_bytes();
        let Err(Failure::Answer(error)) = read(201, &[], &mut body) else { panic!("{from}") };
        assert_eq!(error.field(), field);
    }
}

#[test]
fn refusals_of_the_service() {
    let refused = |status, headers, body: &str| {
        let body: &'static mut [u8] = Vec::leak(body.as_bytes().to_vec());
        let Err(Failure::Service(error)) = read(status, headers, body) else { panic!() };
        (error.code, error.message, error.is_transient())
    };
    let header = &[("X-Amzn-ErrorType", "AccessDeniedException:http://internal/")];
    let body = r#"{"message":"Untrusted certificate. Insufficient certificate"}"#;
    let message = "Untrusted certificate. Insufficient certificate";
    assert_eq!(refused(403, header, body), ("AccessDeniedException", message, false));
    let typed = r#"{"__type":"com.amazon.coral#ThrottlingException","Message":"slow"}"#;
    assert_eq!(refused(400, &[], typed), ("ThrottlingException", "slow", true));
    assert_eq!(refused(502, &[], "<html>Bad Gateway</html>"), ("", "", true));
    // A good answer with the wrong status is no success.
    assert_eq!(refused(200, &[], ANSWER), ("", "", false));
}
