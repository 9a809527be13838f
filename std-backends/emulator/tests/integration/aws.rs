//! STS and S3 with requests signed by aws-sigv4; IAM Roles Anywhere with aws-lc-rs.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use aws_sigv4::http_request::{
    PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cloudauth_emulator::{
    AwsRole, AwsUser, Config, Emulator, Fault, FaultKind, Profile, TrustAnchor,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use serde_json::{Value, json};

use crate::client::{Answer, form, now, send, start};

const ID: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const ROLE: &str = "arn:aws:iam::123456789012:role/demo";

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn sha256(octets: &[u8]) -> String {
    hex(digest(&SHA256, octets).as_ref())
}

/// `20150830T123600Z`.
fn stamp(seconds: i64) -> String {
    let form = time::macros::format_description!("[year][month][day]T[hour][minute][second]Z");
    time::OffsetDateTime::from_unix_timestamp(seconds).unwrap().format(form).unwrap()
}

struct Signing<'a> {
    id: &'a str,
    secret: &'a str,
    token: Option<&'a str>,
    service: &'a str,
    region: &'a str,
    time: i64,
}

impl Signing<'_> {
    const STS: Self =
        Self { id: ID, secret: SECRET, token: None, service: "sts", region: "eu-west-1", time: 0 };

    fn moment(&self) -> SystemTime {
        let seconds = if self.time == 0 { now() } else { self.time };
        UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap())
    }

    /// Sends the request with a signature; `payload` is what x-amz-content-sha256 says.
    fn send(
        &self,
        emulator: &Emulator,
        method: &str,
        target: &str,
        extra: &[(&str, &str)],
        body: &[u8],
        payload: Option<&str>,
    ) -> Answer {
        let host = emulator.address().to_string();
        let mut headers = vec![("host", host.as_str())];
        headers.extend_from_slice(extra);
        headers.extend(payload.map(|payload| ("x-amz-content-sha256", payload)));
        let mut settings = SigningSettings::default();
        if self.service == "s3" {
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        }
        let token = self.token.map(str::to_owned);
        let identity = Credentials::new(self.id, self.secret, token, None, "test").into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name(self.service)
            .time(self.moment())
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let signable = match payload {
            Some(payload) => SignableBody::Precomputed(payload.to_owned()),
            None => SignableBody::Bytes(body),
        };
        let url = format!("https://{host}{target}");
        let request = SignableRequest::new(method, url, headers.iter().copied(), signable).unwrap();
        let (instructions, _) = sign(request, &params).unwrap().into_parts();
        let mut all = headers.clone();
        let signed: Vec<_> =
            instructions.headers().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        all.extend(signed.iter().map(|(n, v)| (n.as_str(), v.as_str())));
        send(emulator, method, target, &all, body)
    }

    fn call(&self, emulator: &Emulator, pairs: &[(&str, &str)]) -> Answer {
        let body = form_urlencoded::Serializer::new("Version=2011-06-15".to_owned())
            .extend_pairs(pairs)
            .finish();
        let extra =
            [("accept", "application/json"), ("content-type", "application/x-www-form-urlencoded")];
        self.send(emulator, "POST", "/", &extra, body.as_bytes(), None)
    }
}

fn code(answer: &Answer) -> String {
    answer.json()["Error"]["Code"].as_str().unwrap().to_owned()
}

const WHO: &[(&str, &str)] = &[("Action", "GetCallerIdentity")];

fn assume(more: &[(&str, &str)]) -> Vec<(&'static str, String)> {
    let mut all = vec![
        ("Action", "AssumeRole".to_owned()),
        ("RoleArn", ROLE.to_owned()),
        ("RoleSessionName", "name".to_owned()),
    ];
    for (name, value) in more {
        let name: &'static str = Box::leak((*name).to_owned().into_boxed_str());
        all.retain(|(known, _)| *known != name);
        all.push((name, (*value).to_owned()));
    }
    all
}

fn assume_with(emulator: &Emulator, signing: &Signing<'_>, more: &[(&str, &str)]) -> Answer {
    let all = assume(more);
    let pairs: Vec<_> = all.iter().map(|(name, value)| (*name, value.as_str())).collect();
    signing.call(emulator, &pairs)
}

#[test]
fn signatures() {
    let emulator = start(Config::demo());
    let good = Signing::STS.call(&emulator, WHO);
    assert_eq!(good.status, 200, "{}", good.text());
    let result = &good.json()["GetCallerIdentityResponse"]["GetCallerIdentityResult"];
    assert_eq!(result["Arn"], "arn:aws:iam::123456789012:user/demo");
    let refused = |signing: Signing<'_>| {
        let answer = signing.call(&emulator, WHO);
        (answer.status, code(&answer))
    };
    let mismatch = (403, "SignatureDoesNotMatch".to_owned());
    assert_eq!(refused(Signing { secret: "other", ..Signing::STS }), mismatch);
    assert_eq!(refused(Signing { service: "s4", ..Signing::STS }), mismatch);
    assert_eq!(refused(Signing { time: now() - 1000, ..Signing::STS }), mismatch);
    assert_eq!(refused(Signing { time: now() + 400, ..Signing::STS }), mismatch);
    assert_eq!(Signing { time: now() - 800, ..Signing::STS }.call(&emulator, WHO).status, 200);
    assert_eq!(Signing { time: now() + 200, ..Signing::STS }.call(&emulator, WHO).status, 200);
    let unknown = (403, "InvalidClientTokenId".to_owned());
    assert_eq!(refused(Signing { id: "AKIANOBODY", ..Signing::STS }), unknown);
    assert_eq!(refused(Signing { token: Some("t"), ..Signing::STS }), unknown);
    let answer = form(&emulator, "/", WHO);
    assert!(answer.status == 403 && answer.text().contains("MissingAuthenticationToken"));
    let answer = Signing::STS.call(&emulator, &[("Action", "Nothing")]);
    assert_eq!((answer.status, code(&answer).as_str()), (400, "InvalidAction"));
    let xml = Signing::STS.send(
        &emulator,
        "GET",
        "/?Action=GetCallerIdentity&x=a%20b%2Bc",
        &[],
        b"",
        None,
    );
    assert!(xml.status == 200 && xml.text().starts_with("<?xml"), "{}", xml.text());
}

#[test]
fn headers_that_must_be_signed() {
    let emulator = start(Config::demo());
    // A header added on the way: after signing, so not among the signed ones.
    let time = stamp(now());
    let date = &time[..8];
    let body = b"Action=GetCallerIdentity&Version=2011-06-15";
    let sign_it = |listed: &str| {
        let canonical = format!(
            "POST\n/\n\n{}\n{listed}\n{}",
            listed.split(';').fold(String::new(), |all, name| match name {
                "host" => format!("{all}host:{}\n", emulator.address()),
                _ => format!("{all}x-amz-date:{time}\n"),
            }),
            sha256(body)
        );
        let scope = format!("{date}/eu-west-1/sts/aws4_request");
        let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", sha256(canonical.as_bytes()));
        let moment = Signing::STS.moment();
        let key = v4::generate_signing_key(SECRET, moment, "eu-west-1", "sts");
        let signature = v4::calculate_signature(key, text.as_bytes());
        format!(
            "AWS4-HMAC-SHA256 Credential={ID}/{scope}, SignedHeaders={listed}, Signature={signature}"
        )
    };
    let post = |authorization: &str, extra: &[(&str, &str)]| {
        let mut headers = vec![("authorization", authorization), ("x-amz-date", time.as_str())];
        headers.extend_from_slice(extra);
        send(&emulator, "POST", "/", &headers, body)
    };
    let both = sign_it("host;x-amz-date");
    assert_eq!(post(&both, &[]).status, 200);
    assert_eq!(post(&both, &[("x-other", "1")]).status, 200);
    assert!(post(&both, &[("x-amz-other", "1")]).text().contains("must be a"));
    assert!(post(&sign_it("host"), &[]).text().contains("must be a"));
    assert!(post(&sign_it("x-amz-date"), &[]).text().contains("must be a"));
    assert_eq!(post(&both.replace("host;x-amz-date", "x-amz-date;host"), &[]).status, 400);
    assert_eq!(post(&both.to_uppercase(), &[]).status, 400);
}

#[test]
fn roles() {
    let mut config = Config::demo();
    config.aws.users.push(AwsUser {
        arn: "arn:aws:iam::123456789012:user/mfa".into(),
        access_key_id: "AKIAMFA".into(),
        secret_access_key: SECRET.into(),
        mfa_serial: Some("arn:aws:iam::123456789012:mfa/a".into()),
        mfa_code: Some("123456".into()),
    });
    config.aws.roles.push(AwsRole {
        arn: "arn:aws:iam::210987654321:role/second".into(),
        trust: vec![ROLE.into()],
        external_id: None,
        max_duration: 7200,
        web_identity: Vec::new(),
        roles_anywhere: false,
    });
    let emulator = start(config);
    let answer = assume_with(
        &emulator,
        &Signing::STS,
        &[
            ("SourceIdentity", "me"),
            ("Tags.member.1.Key", "a"),
            ("Tags.member.1.Value", "1"),
            ("Tags.member.2.Key", "b"),
            ("Tags.member.2.Value", "2"),
            ("TransitiveTagKeys.member.1", "b"),
        ],
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
    let first = answer.json()["AssumeRoleResponse"]["AssumeRoleResult"]["Credentials"].clone();
    let get = |name: &str| first[name].as_str().unwrap();
    let (id, secret, token) = (get("AccessKeyId"), get("SecretAccessKey"), get("SessionToken"));
    assert!((now() + 3400..=now() + 3600).contains(&first["Expiration"].as_i64().unwrap()));
    let session = Signing { id, secret, token: Some(token), ..Signing::STS };
    assert_eq!(session.call(&emulator, WHO).status, 200);
    // Role chaining: tags marked so and the source identity go along, an hour at most.
    let second = ("RoleArn", "arn:aws:iam::210987654321:role/second");
    assert_eq!(assume_with(&emulator, &session, &[second]).status, 200);
    let sessions = emulator.sessions();
    let chained = sessions.iter().find(|s| s.account == "210987654321").unwrap();
    assert_eq!(chained.source_identity.as_deref(), Some("me"));
    assert_eq!(chained.tags.keys().collect::<Vec<_>>(), ["b"]);
    for (more, expected) in [
        (&[second, ("DurationSeconds", "3601")][..], "ValidationError"),
        (&[second, ("SourceIdentity", "you")], "AccessDenied"),
        (
            &[second, ("Tags.member.1.Key", "b"), ("Tags.member.1.Value", "3")],
            "InvalidParameterValue",
        ),
        (&[], "AccessDenied"),
    ] {
        assert_eq!(code(&assume_with(&emulator, &session, more)), expected, "{more:?}");
    }
    assert_eq!(code(&assume_with(&emulator, &Signing::STS, &[second])), "AccessDenied");
    let long = "x".repeat(65);
    for more in [
        &[("RoleSessionName", "a b")][..],
        &[("RoleSessionName", long.as_str())],
        &[("RoleSessionName", "")],
        &[("RoleArn", "role")],
        &[("DurationSeconds", "899")],
        &[("DurationSeconds", "x")],
        &[("Tags.member.1.Key", "a")],
        &[("TransitiveTagKeys.member.1", "a")],
        &[("PolicyArns.member.1.arn", "policy")],
        &[("SerialNumber", "arn:aws:iam::1:mfa/a")],
    ] {
        assert_eq!(
            code(&assume_with(&emulator, &Signing::STS, more)),
            "ValidationError",
            "{more:?}"
        );
    }
    let mfa = Signing { id: "AKIAMFA", ..Signing::STS };
    let with = |code: &'static str| {
        let serial = ("SerialNumber", "arn:aws:iam::123456789012:mfa/a");
        mfa.call(&emulator, &[("Action", "GetSessionToken"), serial, ("TokenCode", code)])
    };
    assert_eq!(with("123456").status, 200);
    assert_eq!(code(&with("123457")), "AccessDenied");
    emulator.fault(Fault { service: None, count: 1, kind: FaultKind::Expired });
    let answer = assume_with(&emulator, &Signing::STS, &[]);
    let over = answer.json()["AssumeRoleResponse"]["AssumeRoleResult"]["Credentials"].clone();
    let get = |name: &str| over[name].as_str().unwrap();
    let token = Some(get("SessionToken"));
    let session =
        Signing { id: get("AccessKeyId"), secret: get("SecretAccessKey"), token, ..Signing::STS };
    assert_eq!(code(&session.call(&emulator, WHO)), "ExpiredToken");
}

/// An `aws-chunked` body whose chunks and trailer are signed, as the SDK for Java sends them.
fn chunked(seed: &str, time: &str, chunks: &[&[u8]], checksum: &str) -> Vec<u8> {
    let scope = format!("{}/eu-west-1/s3/aws4_request", &time[..8]);
    let moment = Signing::STS.moment();
    let mut previous = seed.to_owned();
    let mut sign = |what: &str, hashes: &str| {
        let text = format!("AWS4-HMAC-SHA256-{what}\n{time}\n{scope}\n{previous}\n{hashes}");
        let key = v4::generate_signing_key(SECRET, moment, "eu-west-1", "s3");
        previous = v4::calculate_signature(key, text.as_bytes());
        previous.clone()
    };
    let mut body = Vec::new();
    for chunk in chunks.iter().chain([&b"".as_slice()]) {
        let signature = sign("PAYLOAD", &format!("{}\n{}", sha256(b""), sha256(chunk)));
        body.extend(format!("{:x};chunk-signature={signature}\r\n", chunk.len()).into_bytes());
        body.extend_from_slice(chunk);
        if !chunk.is_empty() {
            body.extend(b"\r\n");
        }
    }
    let trailer = format!("x-amz-checksum-crc32c:{checksum}\n");
    let signature = sign("TRAILER", &sha256(trailer.as_bytes()));
    body.extend(trailer.replace('\n', "\r\n").into_bytes());
    body.extend(format!("x-amz-trailer-signature:{signature}\r\n\r\n").into_bytes());
    body
}

#[test]
fn signed_chunks() {
    let emulator = start(Config::demo());
    let kind = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
    let put = |change: &dyn Fn(String) -> String, length: &str| {
        // The seed is the request's own signature, so the request is signed before its body.
        let host = emulator.address().to_string();
        let moment = Signing::STS.moment();
        let seconds = moment.duration_since(UNIX_EPOCH).unwrap().as_secs();
        let time = stamp(i64::try_from(seconds).unwrap());
        let headers = [
            ("host", host.as_str()),
            ("x-amz-content-sha256", kind),
            ("x-amz-decoded-content-length", length),
            ("x-amz-trailer", "x-amz-checksum-crc32c"),
        ];
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        let identity = Credentials::new(ID, SECRET, None, None, "test").into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region("eu-west-1")
            .name("s3")
            .time(moment)
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let body = SignableBody::Precomputed(kind.into());
        let url = format!("https://{host}/demo/key");
        let request = SignableRequest::new("PUT", url, headers.iter().copied(), body).unwrap();
        let (instructions, seed) = sign(request, &params).unwrap().into_parts();
        let mut all = headers.to_vec();
        all.extend(instructions.headers());
        // CRC-32C of "123456789" is e3069283.
        let sum = STANDARD.encode([0xe3, 0x06, 0x92, 0x83]);
        let body = chunked(&seed, &time, &[b"12345", b"6789"], &sum);
        let body = change(String::from_utf8(body).unwrap());
        send(&emulator, "PUT", "/demo/key", &all, body.as_bytes())
    };
    let same = |body: String| body;
    let good = put(&same, "9");
    assert_eq!(good.status, 200, "{}", good.text());
    assert_eq!(good.header("x-amz-checksum-crc32c"), Some("4waSgw=="));
    assert!(put(&same, "8").text().contains("IncompleteBody"));
    for (from, to, expected) in [
        ("12345", "12346", "SignatureDoesNotMatch"),
        ("6789", "6780", "SignatureDoesNotMatch"),
        ("4waSgw", "4waSgg", "SignatureDoesNotMatch"),
        ("5;chunk", "6;chunk", "SignatureDoesNotMatch"),
        ("5;chunk", "g;chunk", "IncompleteBody"),
        ("5;chunk", "ffffffffffffffff;chunk", "IncompleteBody"),
        ("chunk-signature", "chunk-other", "SignatureDoesNotMatch"),
        ("x-amz-trailer-signature", "x-amz-trailer-other", "SignatureDoesNotMatch"),
        ("x-amz-checksum-crc32c:4waSgw==\r\n", "", "SignatureDoesNotMatch"),
    ] {
        let answer = put(&|body| body.replacen(from, to, 1), "9");
        assert!(answer.text().contains(expected), "{from} {to}: {}", answer.text());
    }
}

#[test]
fn payloads() {
    let emulator = start(Config::demo());
    let s3 = Signing { service: "s3", ..Signing::STS };
    let put = |payload: &str, body: &[u8]| {
        s3.send(&emulator, "PUT", "/demo/a%20b", &[], body, Some(payload))
    };
    assert_eq!(put("UNSIGNED-PAYLOAD", b"1").status, 200);
    assert_eq!(put(&sha256(b"2"), b"2").status, 200);
    assert!(put(&sha256(b"2"), b"3").text().contains("XAmzContentSHA256Mismatch"));
    assert!(put("STREAMING-OTHER", b"3").text().contains("XAmzContentSHA256Mismatch"));
    let got = s3.send(&emulator, "GET", "/demo/a%20b", &[], b"", Some(&sha256(b"")));
    assert_eq!(got.body, b"2");
    let head = s3.send(&emulator, "HEAD", "/demo/a%20b", &[], b"", Some(&sha256(b"")));
    assert!(head.status == 200 && head.body.is_empty());
    let none = s3.send(&emulator, "GET", "/demo/a%20b", &[], b"", None);
    assert!(none.status == 400 && none.text().contains("x-amz-content-sha256"));
    let multipart = s3.send(&emulator, "POST", "/demo/k?uploads=", &[], b"", Some(&sha256(b"")));
    assert_eq!(multipart.status, 501);
    assert!(send(&emulator, "GET", "/demo/hello.txt", &[], b"").text().contains("AccessDenied"));
}

struct Device {
    key: EcdsaKeyPair,
    der: Vec<u8>,
    serial: u64,
}

const ANCHOR: &str = "arn:aws:rolesanywhere:eu-west-1:123456789012:trust-anchor/a";
const PROFILE: &str = "arn:aws:rolesanywhere:eu-west-1:123456789012:profile/p";

/// A trust anchor, an intermediate (not known to the emulator) and a device below it.
fn devices() -> (Config, Vec<u8>, Device) {
    let authority = |name: &str| {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        (params, KeyPair::generate().unwrap())
    };
    let (root_params, root_key) = authority("root");
    let root = root_params.self_signed(&root_key).unwrap();
    let (middle_params, middle_key) = authority("middle");
    let middle = middle_params
        .signed_by(&middle_key, &Issuer::from_params(&root_params, &root_key))
        .unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, "device");
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.serial_number = Some(0x8000_0000_0000_0001_u64.into());
    let leaf = params.signed_by(&key, &Issuer::from_params(&middle_params, &middle_key)).unwrap();
    let device = Device {
        key: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &key.serialize_der())
            .unwrap(),
        der: leaf.der().to_vec(),
        serial: 0x8000_0000_0000_0001,
    };
    let mut config = Config::demo();
    config.aws.trust_anchors = vec![TrustAnchor { arn: ANCHOR.into(), certificates: root.pem() }];
    config.aws.profiles = vec![Profile {
        arn: PROFILE.into(),
        roles: vec![ROLE.into()],
        accept_role_session_name: false,
        duration: 3600,
    }];
    (config, middle.der().to_vec(), device)
}

#[derive(Clone)]
struct Create {
    chain: Option<Vec<u8>>,
    serial: String,
    region: &'static str,
    algorithm: &'static str,
    time: i64,
    listed: &'static str,
    body: Value,
    in_query: bool,
    tamper: bool,
}

fn create(emulator: &Emulator, device: &Device, how: &Create) -> Answer {
    let time = stamp(how.time);
    let host = emulator.address().to_string();
    let certificate = STANDARD.encode(&device.der);
    let chain = how.chain.as_ref().map(|der| STANDARD.encode(der));
    let mut headers = vec![
        ("content-type", "application/json"),
        ("host", host.as_str()),
        ("x-amz-date", &time),
        ("x-amz-x509", &certificate),
    ];
    headers.extend(chain.as_deref().map(|chain| ("x-amz-x509-chain", chain)));
    let mut body = how.body.clone();
    let mut query = String::new();
    if how.in_query {
        let mut pairs = form_urlencoded::Serializer::new(String::new());
        for name in ["profileArn", "roleArn", "trustAnchorArn"] {
            let value = body.as_object_mut().unwrap().remove(name).unwrap();
            pairs.append_pair(name, value.as_str().unwrap());
        }
        query = pairs.finish();
    }
    let body = body.to_string();
    let listed: Vec<_> =
        how.listed.split(';').filter(|n| headers.iter().any(|(h, _)| h == n)).collect();
    let lines: String = headers
        .iter()
        .filter(|(name, _)| listed.contains(name))
        .map(|(name, value)| format!("{name}:{value}\n"))
        .collect();
    let listed = listed.join(";");
    let canonical =
        format!("POST\n/sessions\n{query}\n{lines}\n{listed}\n{}", sha256(body.as_bytes()));
    let scope = format!("{}/{}/rolesanywhere/aws4_request", &time[..8], how.region);
    let text = format!("{}\n{time}\n{scope}\n{}", how.algorithm, sha256(canonical.as_bytes()));
    let signature = device.key.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
    let authorization = format!(
        "{} Credential={}/{scope}, SignedHeaders={listed}, Signature={}",
        how.algorithm,
        how.serial,
        hex(signature.as_ref())
    );
    headers.push(("authorization", &authorization));
    let target =
        if query.is_empty() { "/sessions".to_owned() } else { format!("/sessions?{query}") };
    let body = if how.tamper { body.replace("3600", "3601") } else { body };
    send(emulator, "POST", &target, &headers, body.as_bytes())
}

#[test]
fn roles_anywhere() {
    let (config, middle, device) = devices();
    let emulator = start(config);
    let good = Create {
        chain: Some(middle),
        serial: device.serial.to_string(),
        region: "eu-west-1",
        algorithm: "AWS4-X509-ECDSA-SHA256",
        time: now(),
        listed: "content-type;host;x-amz-date;x-amz-x509;x-amz-x509-chain",
        body: json!({
            "durationSeconds": 3600, "profileArn": PROFILE, "roleArn": ROLE, "trustAnchorArn": ANCHOR,
            "instanceProperties": {"rack": "7"},
        }),
        in_query: false,
        tamper: false,
    };
    for in_query in [false, true] {
        let answer = create(&emulator, &device, &Create { in_query, ..good.clone() });
        assert_eq!(answer.status, 201, "{}", answer.text());
        let set = &answer.json()["credentialSet"][0];
        assert_eq!(set["sourceIdentity"], "CN=device");
        assert_eq!(
            set["assumedRoleUser"]["arn"],
            "arn:aws:sts::123456789012:assumed-role/demo/8000000000000001"
        );
        let get = |name: &str| set["credentials"][name].as_str().unwrap().to_owned();
        let (id, secret, token) = (get("accessKeyId"), get("secretAccessKey"), get("sessionToken"));
        let session = Signing { id: &id, secret: &secret, token: Some(&token), ..Signing::STS };
        assert_eq!(session.call(&emulator, WHO).status, 200);
    }
    assert_eq!(emulator.sessions()[0].instance_properties["rack"], "7");
    let body = |name: &str, value: Value| {
        let mut body = good.body.clone();
        body[name] = value;
        Create { body, ..good.clone() }
    };
    let hexadecimal = format!("{:x}", device.serial);
    for (what, how, status) in [
        ("a changed body", Create { tamper: true, ..good.clone() }, 403),
        ("no chain", Create { chain: None, ..good.clone() }, 403),
        ("a hexadecimal serial", Create { serial: hexadecimal, ..good.clone() }, 403),
        ("another region", Create { region: "us-east-1", ..good.clone() }, 403),
        ("another algorithm", Create { algorithm: "AWS4-X509-RSA-SHA256", ..good.clone() }, 403),
        ("too old", Create { time: now() - 1000, ..good.clone() }, 403),
        ("too new", Create { time: now() + 1000, ..good.clone() }, 403),
        (
            "an unsigned certificate",
            Create { listed: "content-type;host;x-amz-date", ..good.clone() },
            403,
        ),
        ("an unsigned chain", Create { listed: "host;x-amz-date;x-amz-x509", ..good.clone() }, 403),
        ("an unknown anchor", body("trustAnchorArn", json!("arn:x")), 404),
        ("an unknown profile", body("profileArn", json!("arn:x")), 404),
        ("an unknown role", body("roleArn", json!("arn:x")), 403),
        ("a short session", body("durationSeconds", json!(899)), 400),
        ("a session's name", body("roleSessionName", json!("name")), 403),
    ] {
        let answer = create(&emulator, &device, &how);
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        assert!(answer.header("x-amzn-errortype").is_some(), "{what}");
        assert!(answer.json()["message"].is_string(), "{what}");
    }
    let late = Create { time: now() + 60 * 86_400, ..good.clone() };
    emulator.set_time_offset(60 * 86_400).unwrap();
    assert_eq!(create(&emulator, &device, &late).status, 201, "rcgen's certificates are for ever");
    emulator.set_time_offset(0).unwrap();
    assert_eq!(create(&emulator, &device, &good).status, 201);
}
