//! What is refused before anything is sent, each beside what is accepted.

use super::*;
use crate::{Error, ErrorKind, Result};

fn refused(call: &impl Exchange) -> Error {
    let mut buf = [0u8; 16_384];
    let error = call.build(&at(), &mut buf).unwrap_err();
    assert_eq!(call.needed(&at(), 0), Err(error));
    error
}

#[test]
fn keys_and_endpoints() {
    let secret = SecretAccessKey::new(SECRET).unwrap();
    let other = SigningKey::derive(&secret, at().time(), "us-east-1", "s3").unwrap();
    let error = refused(&assume(&other));
    assert_eq!((error.kind(), error.field()), (ErrorKind::Mismatch, "signing key"));
    let tomorrow = SigningKey::derive(&secret, at().time().plus(86_400), "us-east-1", "sts");
    let error = refused(&assume(&tomorrow.unwrap()));
    assert_eq!((error.kind(), error.field()), (ErrorKind::Mismatch, "signing key"));

    let (east, central) = (key("us-east-1"), key("eu-central-1"));
    for (key, host, kind) in [
        (&east, "sts.amazonaws.com", None),
        (&east, "sts.amazonaws.com:443", None),
        (&east, "127.0.0.1:5000", None),
        (&central, "localhost", None),
        (&central, "sts.eu-central-1.amazonaws.com", None),
        (&central, "sts-fips.eu-central-1.amazonaws.com", None),
        (&central, "sts.my-own.example", None),
        (&central, "vpce-1.sts.eu-central-1.vpce.amazonaws.com", None),
        (&central, "sts.amazonaws.com", Some(ErrorKind::Mismatch)),
        (&central, "STS.amazonaws.com:443", Some(ErrorKind::Mismatch)),
        (&central, "sts.us-east-1.amazonaws.com", Some(ErrorKind::Mismatch)),
        (&central, "sts.cn-north-1.amazonaws.com.cn:443", Some(ErrorKind::Mismatch)),
        (&east, "", Some(ErrorKind::Invalid)),
        (&east, "https://sts.amazonaws.com", Some(ErrorKind::Invalid)),
        (&east, "a\r\nb", Some(ErrorKind::Invalid)),
    ] {
        let calls = |endpoint| {
            let role = AssumeRole { endpoint, ..assume(key) };
            let token = GetSessionToken { endpoint, ..GetSessionToken::new(role.signer) };
            let who = GetCallerIdentity { endpoint, ..GetCallerIdentity::new(role.signer) };
            [role.needed(&at(), 0), token.needed(&at(), 0), who.needed(&at(), 0)]
        };
        for result in calls(Some(host)) {
            let error = result.err().map(|e| (e.kind(), e.field()));
            assert_eq!(error, kind.map(|kind| (kind, "endpoint")), "{host}");
        }
        assert!(calls(None).iter().all(Result::is_ok));
    }
    let mut buf = Vec::new();
    let own = AssumeRole { endpoint: Some("127.0.0.1:5000"), ..assume(&central) };
    assert_eq!(built(&own, &mut buf).host(), "127.0.0.1:5000");
    // Without a signature, no region need match.
    let call = AssumeRoleWithWebIdentity { endpoint: Some("sts.amazonaws.com"), ..web_identity() };
    assert_eq!(built(&call, &mut buf).host(), "sts.amazonaws.com");
    let call = AssumeRoleWithWebIdentity { endpoint: Some("a/b"), ..web_identity() };
    assert_eq!(refused(&call).field(), "endpoint");
    let call = AssumeRoleWithWebIdentity { region: "evil.example/", ..web_identity() };
    assert_eq!(refused(&call).field(), "region");
}

/// The field that a call is refused for.
fn field(call: &impl Exchange) -> Option<&'static str> {
    call.needed(&at(), 0).err().map(|e| e.field())
}

#[test]
fn limits_of_texts() {
    let key = key("us-east-1");
    let call = assume(&key);
    let long = |n| "x".repeat(n);
    let wide = |n| "é".repeat(n);

    for (arn, good) in [
        (ROLE, true),
        ("arn:aws-cn:iam::123456789012:role/a/b/c+=,.@_-", true),
        ("arn:aws-us-gov:iam::123456789012:role/r", true),
        ("arn:aws-iso-b:iam::123456789012:role/r", true),
        ("arn:aws-eusc:iam::123456789012:role/r", true),
        ("", false),
        ("demo", false),
        ("arn:aws:iam::123456789012:role/", false),
        ("arn:aws:iam::123456789012:user/u", false),
        ("arn:aws:iam:us-east-1:123456789012:role/r", false),
        ("arn:aws:iam::aws:role/r", false),
        ("arn:aws:sts::123456789012:assumed-role/r/s", false),
        ("arn:aws:iam::123456789012:role/a b", false),
    ] {
        let want = (!good).then_some("role ARN");
        assert_eq!(field(&AssumeRole { role_arn: arn, ..call }), want, "{arn}");
        let web = AssumeRoleWithWebIdentity { role_arn: arn, ..web_identity() };
        assert_eq!(field(&web), want, "{arn}");
    }
    for (name, good) in [
        ("ab", true),
        ("_+=,.@-", true),
        (&*long(64), true),
        ("", false),
        ("a", false),
        (&*long(65), false),
        ("a b", false),
        ("a/b", false),
        ("a:b", false),
        ("ab\n", false),
        ("éé", false),
    ] {
        let want = (!good).then_some("role session name");
        assert_eq!(field(&AssumeRole { role_session_name: name, ..call }), want, "{name}");
        let web = AssumeRoleWithWebIdentity { role_session_name: name, ..web_identity() };
        assert_eq!(field(&web), want, "{name}");
        let want = (!good).then_some("source identity");
        assert_eq!(field(&AssumeRole { source_identity: Some(name), ..call }), want, "{name}");
    }
    let reserved = AssumeRole { source_identity: Some("aws:me"), ..call };
    assert_eq!(field(&reserved), Some("source identity"));
    for (id, good) in [
        ("ab", true),
        ("a_+=,.@:/-", true),
        (&*long(1224), true),
        ("", false),
        ("a", false),
        (&*long(1225), false),
        ("a b", false),
        ("a\\b", false),
    ] {
        let want = (!good).then_some("external id");
        assert_eq!(field(&AssumeRole { external_id: Some(id), ..call }), want, "{id}");
    }
    for (policy, good) in [
        ("{}", true),
        ("{ \"é\":\t\r\n1}", true),
        (&*wide(2048), true),
        ("", false),
        (&*wide(2049), false),
        ("{\u{100}}", false),
        ("{\u{0}}", false),
        ("{\u{b}}", false),
    ] {
        let want = (!good).then_some("session policy");
        assert_eq!(field(&AssumeRole { policy: Some(policy), ..call }), want, "{policy}");
        let web = AssumeRoleWithWebIdentity { policy: Some(policy), ..web_identity() };
        assert_eq!(field(&web), want, "{policy}");
    }
    for (token, good) in [
        ("a.b.", true),
        (&*long(20_000), true),
        ("abc", false),
        (&*long(20_001), false),
        ("a.b.c\n", false),
        ("a b c", false),
        ("éééé", false),
    ] {
        let web = AssumeRoleWithWebIdentity { web_identity_token: token, ..web_identity() };
        assert_eq!(field(&web), (!good).then_some("web identity token"), "{token}");
    }
    for (id, good) in [("www.amazon.com", true), ("abc", false), ("a b.example", false)] {
        let web = AssumeRoleWithWebIdentity { provider_id: Some(id), ..web_identity() };
        assert_eq!(field(&web), (!good).then_some("provider id"), "{id}");
    }
}

#[test]
fn limits_of_numbers_and_pairs() {
    let key = key("us-east-1");
    let call = assume(&key);
    let own = GetSessionToken::new(call.signer);
    for (seconds, role, token) in [
        (0, false, false),
        (899, false, false),
        (900, true, true),
        (43_200, true, true),
        (43_201, false, true),
        (129_600, false, true),
        (129_601, false, false),
        (u32::MAX, false, false),
    ] {
        let duration_seconds = Some(seconds);
        let wrong = |good: bool| (!good).then_some("session duration");
        assert_eq!(field(&AssumeRole { duration_seconds, ..call }), wrong(role));
        let web = AssumeRoleWithWebIdentity { duration_seconds, ..web_identity() };
        assert_eq!(field(&web), wrong(role));
        assert_eq!(field(&GetSessionToken { duration_seconds, ..own }), wrong(token));
    }
    let long = "x".repeat(256);
    let longer = "x".repeat(257);
    for (serial_number, token_code, want) in [
        (None, None, None),
        (Some("GAHT12345"), Some("000000"), None),
        (Some("arn:aws:iam::123456789012:mfa/a_+=,.@-"), Some("123456"), None),
        (Some(&*long), Some("123456"), None),
        (Some("GAHT12345"), None, Some("token code")),
        (None, Some("123456"), Some("serial number")),
        (Some("GAHT1234"), Some("123456"), Some("serial number")),
        (Some(&*longer), Some("123456"), Some("serial number")),
        (Some("GAHT 12345"), Some("123456"), Some("serial number")),
        (Some("GAHT12345"), Some("12345"), Some("token code")),
        (Some("GAHT12345"), Some("1234567"), Some("token code")),
        (Some("GAHT12345"), Some("12345a"), Some("token code")),
        (Some("GAHT12345"), Some(""), Some("token code")),
    ] {
        assert_eq!(field(&AssumeRole { serial_number, token_code, ..call }), want);
        assert_eq!(field(&GetSessionToken { serial_number, token_code, ..own }), want);
    }
}

#[test]
fn limits_of_lists() {
    let key = key("us-east-1");
    let call = assume(&key);
    let arn = "arn:aws:iam::123456789012:policy/p";
    for (arns, want) in [
        (&[arn; 10][..], None),
        (&[arn; 11], Some("policy ARN")),
        (&[arn, ROLE], Some("policy ARN")),
        (&[""], Some("policy ARN")),
    ] {
        assert_eq!(field(&AssumeRole { policy_arns: arns, ..call }), want);
        let web = AssumeRoleWithWebIdentity { policy_arns: arns, ..web_identity() };
        assert_eq!(field(&web), want);
    }
    let names: Vec<String> = (0..51).map(|i| format!("k{i}")).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (&**name, "v")).collect();
    let keys: Vec<&str> = names.iter().map(String::as_str).collect();
    let (wide, wider) = ("é".repeat(128), "é".repeat(129));
    let (value, long_value) = ("日".repeat(256), "日".repeat(257));
    for (tags, good) in [
        (&many[..50], true),
        (&many[..], false),
        (&[("Cost Center", "")][..], true),
        (&[("_.:/=+-@", "_.:/=+-@")], true),
        (&[("日本\u{a0}é٣", "x")], true),
        (&[(&*wide, &*value)], true),
        (&[("", "x")], false),
        (&[(&*wider, "x")], false),
        (&[("x", &*long_value)], false),
        (&[("a&b", "x")], false),
        (&[("a", "x*")], false),
        (&[("a\n", "x")], false),
        (&[("a", "\t")], false),
        (&[("aws:x", "x")], false),
        (&[("x", "AWS:x")], false),
        (&[("a", "1"), ("b", "1")], true),
        (&[("a", "1"), ("A", "1")], false),
    ] {
        let want = (!good).then_some("session tag");
        assert_eq!(field(&AssumeRole { tags, ..call }), want, "{tags:?}");
    }
    for (transitive_tag_keys, good) in
        [(&keys[..50], true), (&keys[..], false), (&["a b"], true), (&[""], false), (&["*"], false)]
    {
        let want = (!good).then_some("transitive tag key");
        assert_eq!(field(&AssumeRole { transitive_tag_keys, ..call }), want);
    }
    let context =
        |provider_arn, context_assertion| ProvidedContext { provider_arn, context_assertion };
    let provider = "arn:aws:iam::aws:contextProvider/IdentityCenter";
    let (long, longer) = ("x".repeat(2048), "x".repeat(2049));
    for (provided_contexts, want) in [
        (&[context(provider, &long); 5][..], None),
        (&[context(provider, "abcd"); 6], Some("provided context")),
        (&[context(provider, "abc")], Some("context assertion")),
        (&[context(provider, &longer)], Some("context assertion")),
        (&[context(provider, "ab cd")], Some("context assertion")),
        (&[context(ROLE, "abcd")], Some("provider ARN")),
    ] {
        assert_eq!(field(&AssumeRole { provided_contexts, ..call }), want);
    }
}
