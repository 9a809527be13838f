//! Requests beside botocore's.

mod answers;
mod limits;

use core::cell::Cell;

use proptest::prelude::*;

use super::*;
use crate::aws::sigv4::{Payload, Request, SigV4};
use crate::aws::{SecretAccessKey, SigningKey};
use crate::digest::hmac_sha256;
use crate::{Attempt, ErrorKind, Exchange, HttpRequest, Mac, ResponseHead, SignError, UnixTime};

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const ROLE: &str = "arn:aws:iam::123456789012:role/demo";
const OK: ResponseHead<'_> = ResponseHead { status: 200, headers: &[] };

fn at() -> Attempt {
    Attempt::new(UnixTime::parse("20150830T123600Z").unwrap(), [7; 32])
}

fn key(region: &str) -> SigningKey {
    let secret = SecretAccessKey::new(SECRET).unwrap();
    SigningKey::derive(&secret, at().time(), region, "sts").unwrap()
}

fn assume(key: &SigningKey) -> AssumeRole<'_> {
    AssumeRole::new(SigV4::new("AKIDEXAMPLE", key), ROLE, "mysession")
}

fn web_identity() -> AssumeRoleWithWebIdentity<'static> {
    AssumeRoleWithWebIdentity::new("eu-central-1", ROLE, "mysession", "a.b-c_d~/+=")
}

/// Builds the request in a buffer of exactly the size that was asked for.
fn built<'b>(call: &impl Exchange, buf: &'b mut Vec<u8>) -> HttpRequest<'b> {
    let needed = call.needed(&at(), 0).unwrap();
    buf.resize(needed, 0);
    let short = buf.get_mut(1..).unwrap();
    assert_eq!(call.build(&at(), short).unwrap_err().needed(), Some(needed));
    let request = call.build(&at(), buf).unwrap();
    assert_eq!((request.method(), request.target()), ("POST", "/"));
    let content_type = "application/x-www-form-urlencoded; charset=utf-8";
    assert_eq!(request.header("content-type"), Some(content_type));
    request
}

#[track_caller]
fn check(call: &impl Exchange, host: &str, credential: &str, body: &str) {
    let mut buf = Vec::new();
    let request = built(call, &mut buf);
    assert_eq!(request.host(), host);
    assert_eq!(std::str::from_utf8(request.body()).unwrap(), body);
    assert_eq!(request.header("x-amz-date"), Some("20150830T123600Z"));
    let authorization = format!("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/{credential}");
    assert_eq!(request.header("authorization"), Some(&*authorization));
}

// The vector that our notes have of the two programs we replace: Python signs content-type, host and
// x-amz-date, Go signs content-length too. Both were computed with botocore 1.44.5.
#[test]
fn recorded_vector() {
    let body = b"Action=AssumeRole&DurationSeconds=3600\
        &RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fdemo&RoleSessionName=mysession\
        &Version=2011-06-15";
    let length = body.len().to_string();
    let headers = [
        ("Host", "sts.amazonaws.com"),
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Content-Length", &length),
    ];
    let key = key("us-east-1");
    let signer = SigV4::new("AKIDEXAMPLE", &key);
    for (count, signature) in [
        (2, "250785b324c1e0326ba211b1ca757444fe61872d1cdc0b8a3ef8a17a04ab8e56"),
        (3, "934117b32803827f3668b747b656a811abf977c374a3bcb9781a182aa85f04a4"),
    ] {
        let request = Request {
            method: "POST",
            path: "/",
            query: "",
            headers: headers.get(..count).unwrap(),
            payload: Payload::Bytes(body),
        };
        let mut buf = [0u8; 512];
        let signed = signer.sign(&request, at().time(), &mut buf).unwrap();
        assert_eq!(signed.signature(), signature);
    }
}

// Bodies and signatures by botocore 1.44.5, with its clock at the time of `at`.
#[test]
fn as_botocore() {
    let scope = "sts/aws4_request, SignedHeaders=content-type;host;x-amz-date";
    let key = key("us-east-1");
    let short = AssumeRole { duration_seconds: Some(3600), ..assume(&key) };
    let body = "Action=AssumeRole&Version=2011-06-15\
        &RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fdemo&RoleSessionName=mysession\
        &DurationSeconds=3600";
    let signature = "ebcaa69bcf9fd5b9123c49a16e5c8e1eb48760e8a46a75d76adcba528535384d";
    let credential = format!("us-east-1/{scope}, Signature={signature}");
    check(&short, "sts.us-east-1.amazonaws.com", &credential, body);
    let global = AssumeRole { endpoint: Some("sts.amazonaws.com"), ..short };
    let signature = "da0037620996ddcab03efbb115a120c198ec3a13cecc51ca57a249d6dc0d2fd1";
    let credential = format!("us-east-1/{scope}, Signature={signature}");
    check(&global, "sts.amazonaws.com", &credential, body);

    let key = self::key("eu-central-1");
    let everything = AssumeRole {
        policy_arns: &[
            "arn:aws:iam::aws:policy/ReadOnlyAccess",
            "arn:aws:iam::123456789012:policy/p",
        ],
        policy: Some(r#"{"a b": "é&+~*"}"#),
        duration_seconds: Some(900),
        tags: &[("a b", ""), ("é", "1=+")],
        transitive_tag_keys: &["é", "a b"],
        external_id: Some("a+b/c:d"),
        serial_number: Some("GAHT12345678"),
        token_code: Some("000001"),
        source_identity: Some("me@x"),
        provided_contexts: &[ProvidedContext {
            provider_arn: "arn:aws:iam::aws:contextProvider/IdentityCenter",
            context_assertion: "abcd",
        }],
        ..assume(&key)
    };
    let body = "Action=AssumeRole&Version=2011-06-15\
        &RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fdemo&RoleSessionName=mysession\
        &PolicyArns.member.1.arn=arn%3Aaws%3Aiam%3A%3Aaws%3Apolicy%2FReadOnlyAccess\
        &PolicyArns.member.2.arn=arn%3Aaws%3Aiam%3A%3A123456789012%3Apolicy%2Fp\
        &Policy=%7B%22a+b%22%3A+%22%C3%A9%26%2B~%2A%22%7D&DurationSeconds=900\
        &Tags.member.1.Key=a+b&Tags.member.1.Value=&Tags.member.2.Key=%C3%A9\
        &Tags.member.2.Value=1%3D%2B&TransitiveTagKeys.member.1=%C3%A9\
        &TransitiveTagKeys.member.2=a+b&ExternalId=a%2Bb%2Fc%3Ad&SerialNumber=GAHT12345678\
        &TokenCode=000001&SourceIdentity=me%40x\
        &ProvidedContexts.member.1.ProviderArn=arn%3Aaws%3Aiam%3A%3Aaws%3AcontextProvider%2FIdentityCenter\
        &ProvidedContexts.member.1.ContextAssertion=abcd";
    let signature = "d71b2ed783a0404d4a2ed0c896bc4a281efdc4c9c4d44a48fc3c458773f3f33e";
    let credential = format!("eu-central-1/{scope}, Signature={signature}");
    check(&everything, "sts.eu-central-1.amazonaws.com", &credential, body);

    let who = GetCallerIdentity::new(everything.signer);
    let signature = "02eb614c741be9dae6ff5149b7e794aaf28a8c539edecc8bc6157bff8063ae52";
    let credential = format!("eu-central-1/{scope}, Signature={signature}");
    let body = "Action=GetCallerIdentity&Version=2011-06-15";
    check(&who, "sts.eu-central-1.amazonaws.com", &credential, body);

    let key = self::key("cn-north-1");
    let signer = SigV4 { session_token: Some("tok+/="), ..SigV4::new("AKIDEXAMPLE", &key) };
    let temporary = GetSessionToken::new(signer);
    let error = temporary.needed(&at(), 0).unwrap_err();
    assert_eq!((error.kind(), error.field()), (ErrorKind::Invalid, "session token"));
    let own = GetSessionToken {
        duration_seconds: Some(900),
        serial_number: Some("arn:aws:iam::123456789012:mfa/u"),
        token_code: Some("123456"),
        ..GetSessionToken::new(SigV4::new("AKIDEXAMPLE", &key))
    };
    let signature = "d0d9b3573c2c2bd9105f1bee4ff59e0f9ba695f4746e5ec19d80145d889c9ea5";
    let credential = format!("cn-north-1/{scope}, Signature={signature}");
    let body = "Action=GetSessionToken&Version=2011-06-15&DurationSeconds=900\
        &SerialNumber=arn%3Aaws%3Aiam%3A%3A123456789012%3Amfa%2Fu&TokenCode=123456";
    check(&own, "sts.cn-north-1.amazonaws.com.cn", &credential, body);

    let who = GetCallerIdentity::new(signer);
    let signature = "34fee431358e53dfc932699d727587226c44fd3828c53d0e0c56d08965aaae2e";
    let credential = format!("cn-north-1/{scope};x-amz-security-token, Signature={signature}");
    let body = "Action=GetCallerIdentity&Version=2011-06-15";
    check(&who, "sts.cn-north-1.amazonaws.com.cn", &credential, body);
    let mut buf = Vec::new();
    assert_eq!(built(&who, &mut buf).header("x-amz-security-token"), Some("tok+/="));
}

#[test]
fn web_identity_as_botocore() {
    let call = AssumeRoleWithWebIdentity {
        provider_id: Some("www.amazon.com"),
        policy_arns: &["arn:aws:iam::aws:policy/ReadOnlyAccess"],
        policy: Some("{}"),
        duration_seconds: Some(900),
        ..web_identity()
    };
    let mut buf = Vec::new();
    let request = built(&call, &mut buf);
    assert_eq!(request.host(), "sts.eu-central-1.amazonaws.com");
    let body = "Action=AssumeRoleWithWebIdentity&Version=2011-06-15\
        &RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fdemo&RoleSessionName=mysession\
        &WebIdentityToken=a.b-c_d~%2F%2B%3D&ProviderId=www.amazon.com\
        &PolicyArns.member.1.arn=arn%3Aaws%3Aiam%3A%3Aaws%3Apolicy%2FReadOnlyAccess\
        &Policy=%7B%7D&DurationSeconds=900";
    assert_eq!(std::str::from_utf8(request.body()).unwrap(), body);
    let names: Vec<&str> = request.headers().map(|(name, _)| name).collect();
    assert_eq!(names, ["Content-Type"]);
}

#[test]
fn json_is_asked_for_without_signing_that() {
    let key = key("eu-central-1");
    let (mut plain, mut with_json) = (Vec::new(), Vec::new());
    let xml = built(&assume(&key), &mut plain);
    let json = AssumeRole { accept_json: true, ..assume(&key) };
    let json = built(&json, &mut with_json);
    assert_eq!((xml.header("accept"), json.header("accept")), (None, Some("application/json")));
    assert_eq!(xml.header("authorization"), json.header("authorization"));
    let call = AssumeRoleWithWebIdentity { accept_json: true, ..web_identity() };
    let mut buf = Vec::new();
    assert_eq!(built(&call, &mut buf).header("accept"), Some("application/json"));
}

/// A stand-in for a device: it holds the key, and counts how often it is asked.
struct Device(Cell<usize>);

impl Mac for Device {
    fn hmac_sha256(&self, message: &[u8]) -> Result<[u8; 32], SignError> {
        self.0.set(self.0.get() + 1);
        Ok(hmac_sha256(format!("AWS4{SECRET}").as_bytes(), message))
    }
}

#[test]
fn a_device_signs_the_same() {
    let device = Device(Cell::new(0));
    let inside = SigningKey::derive(&device, at().time(), "eu-west-1", "sts").unwrap();
    let outside = key("eu-west-1");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    built(&assume(&inside), &mut ours);
    built(&assume(&outside), &mut theirs);
    assert_eq!(ours, theirs);
    assert_eq!(device.0.get(), 1);
}

#[test]
fn debug_shows_no_secret() {
    let key = key("us-east-1");
    let signer = SigV4 { session_token: Some("SECRET1"), ..SigV4::new("AKIDEXAMPLE", &key) };
    let contexts = [ProvidedContext { provider_arn: "arn", context_assertion: "SECRET2" }];
    let role = AssumeRole {
        token_code: Some("SECRET3"),
        external_id: Some("SECRET4"),
        provided_contexts: &contexts,
        ..AssumeRole::new(signer, ROLE, "name")
    };
    let token = GetSessionToken { token_code: Some("SECRET5"), ..GetSessionToken::new(signer) };
    let who = GetCallerIdentity::new(signer);
    let web = AssumeRoleWithWebIdentity::new("r", ROLE, "name", "SECRET6");
    let shown = format!("{role:?}{contexts:?}{token:?}{who:?}{web:?}");
    assert!(!shown.contains("SECRET") && !shown.contains(SECRET), "{shown}");
    assert!(shown.contains(ROLE) && shown.contains("AKIDEXAMPLE"), "{shown}");
    let mut body = answers::ROLE_ANSWER.to_vec();
    let answer = role.response(&OK, &mut body).unwrap();
    let shown = format!("{answer:?}");
    assert!(shown.contains("ASIARZPUZDIKI4GCKVGE"), "{shown}");
    assert!(!shown.contains("5zFhtGHA") && !shown.contains("FQoGZXIvYXdz"), "{shown}");
}

proptest! {
    /// Any value that is accepted comes out of the form again, and nothing else does.
    #[test]
    fn parameters_survive_the_form(
        name in "[A-Za-z0-9_+=,.@-]{2,64}",
        tag in "[\\p{L}\\p{N} _.:/=+@-]{1,20}",
        policy in "[\t\n\r -\u{ff}]{1,80}",
    ) {
        prop_assume!(!tag.to_lowercase().starts_with("aws:"));
        let key = key("us-east-1");
        let tags = [(&*tag, &*tag)];
        let call = AssumeRole {
            role_session_name: &name,
            tags: &tags,
            policy: Some(&policy),
            ..assume(&key)
        };
        let mut buf = Vec::new();
        let request = built(&call, &mut buf);
        let body = std::str::from_utf8(request.body()).unwrap();
        let pairs: Vec<(&str, String)> = body
            .split('&')
            .map(|pair| pair.split_once('=').unwrap())
            .map(|(name, value)| (name, decoded(value)))
            .collect();
        let want = [
            ("Action", "AssumeRole"),
            ("Version", "2011-06-15"),
            ("RoleArn", ROLE),
            ("RoleSessionName", &*name),
            ("Policy", &*policy),
            ("Tags.member.1.Key", &*tag),
            ("Tags.member.1.Value", &*tag),
        ];
        prop_assert_eq!(pairs, want.map(|(name, value)| (name, value.to_owned())));
    }
}

/// A form's value, read by the rules of WHATWG's URL standard.
fn decoded(value: &str) -> String {
    let mut octets = Vec::new();
    let mut rest = value.bytes();
    while let Some(c) = rest.next() {
        octets.push(match c {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            c => c,
        });
    }
    String::from_utf8(octets).unwrap()
}
