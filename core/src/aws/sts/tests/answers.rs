//! Answers that moto 5.2.5 gave (in `testdata`; it made up the keys), and answers written after AWS's
//! documentation.

use super::*;
use crate::aws::Credentials;
use crate::{Failure, Secret};

pub(super) const ROLE_ANSWER: &[u8] = include_bytes!("../testdata/assume-role.xml");
const TOKEN_ANSWER: &[u8] = include_bytes!("../testdata/session-token.xml");
const WEB_ANSWER: &[u8] = include_bytes!("../testdata/web-identity.xml");
const WHO_ANSWER: &[u8] = include_bytes!("../testdata/caller-identity.xml");
const REFUSED: &[u8] = include_bytes!("../testdata/validation-error.xml");
const REFUSED_EARLY: &[u8] = include_bytes!("../testdata/authorization-error.xml");

#[test]
fn recorded_answers() {
    let key = key("us-east-1");
    let call = assume(&key);
    let mut body = ROLE_ANSWER.to_vec();
    let role = call.response(&OK, &mut body).unwrap();
    assert_eq!(role.credentials.access_key_id, "ASIARZPUZDIKI4GCKVGE");
    let secret = "5zFhtGHAQzyr/UuYYgqvUXZRK1OhNQTFfQI1GaOM";
    assert_eq!(role.credentials.secret_access_key.expose(), secret);
    let token = role.credentials.session_token.expose();
    assert!(token.starts_with("FQoGZXIvYXdzEBYaDQIG") && token.ends_with("UmYx8NmJA="));
    assert_eq!(role.credentials.expiration, UnixTime::parse("2026-11-22T07:06:46Z").unwrap());
    let arn = "arn:aws:sts::123456789012:assumed-role/demo/mysession";
    assert_eq!(role.assumed_role_arn, Some(arn));
    assert_eq!(role.assumed_role_id, Some("AROA3X42LBCDHYE2RHA4Z:mysession"));
    assert_eq!((role.packed_policy_size, role.source_identity), (Some(6), None));

    let mut body = TOKEN_ANSWER.to_vec();
    let own = GetSessionToken::new(call.signer).response(&OK, &mut body).unwrap();
    assert_eq!(own.access_key_id, "AKIAIOSFODNN7EXAMPLE");
    assert_eq!(own.expiration, UnixTime::parse("2026-11-22T07:06:46Z").unwrap());

    let mut body = WEB_ANSWER.to_vec();
    let web = web_identity().response(&OK, &mut body).unwrap();
    assert_eq!(web.role.credentials.access_key_id, "ASIARZPUZDIKBP3VTXOX");
    assert_eq!(web.role.assumed_role_arn, Some(arn));
    assert_eq!((web.subject, web.audience, web.provider), (None, None, None));

    let mut body = WHO_ANSWER.to_vec();
    let who = GetCallerIdentity::new(call.signer).response(&OK, &mut body).unwrap();
    let want = CallerIdentity {
        account: "123456789012",
        arn: "arn:aws:sts::123456789012:user/moto",
        user_id: "AKIAIOSFODNN7EXAMPLE",
    };
    assert_eq!(who, want);
}

/// As AWS documents the answer in XML, with parts changed.
fn xml(changes: &[(&str, &str)]) -> Vec<u8> {
    let mut text =
        r#"<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleWithWebIdentityResult>
    <SubjectFromWebIdentityToken>amzn1.account&amp;1</SubjectFromWebIdentityToken>
    <Audience>client.5498841531868486423.1548@apps.example.com</Audience>
    <AssumedRoleUser>
      <Arn>arn:aws:sts::123456789012:assumed-role/demo/app1</Arn>
      <AssumedRoleId>AROACLKWSDQRAOEXAMPLE:app1</AssumedRoleId>
    </AssumedRoleUser>
    <Credentials>
      <SessionToken>token==</SessionToken>
      <SecretAccessKey>secret/+</SecretAccessKey>
      <Expiration>2014-10-24T23:00:23Z</Expiration>
      <AccessKeyId>ASgeIAIOSFODNN7EXAMPLE</AccessKeyId>
    </Credentials>
    <SourceIdentity>SourceIdentityValue</SourceIdentity>
    <Provider>www.amazon.com</Provider>
  </AssumeRoleWithWebIdentityResult>
  <ResponseMetadata>
    <RequestId>ad4156e9-bce1-11e2-82e6-6b6efEXAMPLE</RequestId>
  </ResponseMetadata>
</AssumeRoleWithWebIdentityResponse>"#
            .to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    text.into_bytes()
}

/// The same in JSON.
fn json(changes: &[(&str, &str)]) -> Vec<u8> {
    let mut text = r#"{"AssumeRoleWithWebIdentityResponse":{"AssumeRoleWithWebIdentityResult":{
        "SubjectFromWebIdentityToken":"amzn1.account\u00261","PackedPolicySize":null,
        "Audience":"client.5498841531868486423.1548@apps.example.com",
        "AssumedRoleUser":{"Arn":"arn:aws:sts::123456789012:assumed-role/demo/app1",
        "AssumedRoleId":"AROACLKWSDQRAOEXAMPLE:app1"},
        "Credentials":{"AccessKeyId":"ASgeIAIOSFODNN7EXAMPLE","SecretAccessKey":"secret\/+",
        "SessionToken":"token==","Expiration":1.414191623E9},
        "SourceIdentity":"SourceIdentityValue","Provider":"www.amazon.com"},
        "ResponseMetadata":{"RequestId":"ad4156e9-bce1-11e2-82e6-6b6efEXAMPLE"}}}"#
        .to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    text.into_bytes()
}

#[test]
fn documented_answers_in_both_forms() {
    let want = FederatedRole {
        role: AssumedRole {
            credentials: Credentials {
                access_key_id: "ASgeIAIOSFODNN7EXAMPLE",
                secret_access_key: Secret::new("secret/+"),
                session_token: Secret::new("token=="),
                expiration: UnixTime::new(1_414_191_623).unwrap(),
            },
            assumed_role_arn: Some("arn:aws:sts::123456789012:assumed-role/demo/app1"),
            assumed_role_id: Some("AROACLKWSDQRAOEXAMPLE:app1"),
            packed_policy_size: None,
            source_identity: Some("SourceIdentityValue"),
        },
        subject: Some("amzn1.account&1"),
        audience: Some("client.5498841531868486423.1548@apps.example.com"),
        provider: Some("www.amazon.com"),
    };
    let number = "1.414191623E9";
    for mut body in [
        xml(&[]),
        xml(&[("23:00:23Z", "23:00:23.999Z")]),
        xml(&[
            ("<AssumeRole", "<n:AssumeRole"),
            ("</AssumeRole", "</n:AssumeRole"),
            ("xmlns=", "xmlns:n="),
        ]),
        json(&[]),
        json(&[(number, "1414191623")]),
        json(&[(number, "1414191623.75")]),
        json(&[(number, "\"2014-10-24T23:00:23Z\"")]),
    ] {
        assert_eq!(web_identity().response(&OK, &mut body), Ok(want));
    }
    let mut body = json(&[("\"PackedPolicySize\":null", "\"PackedPolicySize\":42")]);
    let answer = web_identity().response(&OK, &mut body).unwrap();
    assert_eq!(answer.role.packed_policy_size, Some(42));
    // Some other makers' services leave the user out, or empty.
    for mut body in [
        xml(&[("AssumedRoleUser>", "Other>")]),
        xml(&[
            ("<Arn>arn:aws:sts::123456789012:assumed-role/demo/app1</Arn>", "<Arn/>"),
            ("<AssumedRoleId>AROACLKWSDQRAOEXAMPLE:app1</AssumedRoleId>", ""),
        ]),
        json(&[("AssumedRoleUser", "Other")]),
    ] {
        let answer = web_identity().response(&OK, &mut body).unwrap();
        assert_eq!((answer.role.assumed_role_arn, answer.role.assumed_role_id), (None, None));
    }
}

#[test]
fn bad_answers_are_never_credentials() {
    let x = |from: &str, to: &str| xml(&[(from, to)]);
    let j = |from: &str, to: &str| json(&[(from, to)]);
    let key = "<AccessKeyId>ASgeIAIOSFODNN7EXAMPLE</AccessKeyId>";
    for (mut body, field) in [
        (Vec::new(), "answer"),
        (b"  ".to_vec(), "answer"),
        (b"[]".to_vec(), "answer"),
        (b"null".to_vec(), "answer"),
        (b"{}".to_vec(), "AssumeRoleWithWebIdentityResponse"),
        (b"<html/>".to_vec(), "AssumeRoleWithWebIdentityResponse"),
        (ROLE_ANSWER.to_vec(), "AssumeRoleWithWebIdentityResponse"),
        (x("WebIdentityResult>", "Result>"), "AssumeRoleWithWebIdentityResult"),
        (x("Credentials>", "Other>"), "Credentials"),
        (x("<Credentials>", "<Credentials/><Credentials>"), "Credentials"),
        (x(key, ""), "AccessKeyId"),
        (x(key, "<AccessKeyId/>"), "AccessKeyId"),
        (x(key, "<AccessKeyId></AccessKeyId>"), "AccessKeyId"),
        (x(key, "<AccessKeyId> </AccessKeyId>"), "AccessKeyId"),
        (x(key, "<AccessKeyId><x/></AccessKeyId>"), "AccessKeyId"),
        (x(key, &format!("{key}{key}")), "AccessKeyId"),
        (x("secret/+", ""), "SecretAccessKey"),
        (x("secret/+", "a&#10;b"), "SecretAccessKey"),
        (x("token==", ""), "SessionToken"),
        (x("token==", "a b"), "SessionToken"),
        (x("token==", "é"), "SessionToken"),
        (x("<Expiration>2014-10-24T23:00:23Z</Expiration>", ""), "Expiration"),
        (x("2014-10-24T23:00:23Z", ""), "Expiration"),
        (x("2014-10-24T23:00:23Z", "soon"), "Expiration"),
        (x("2014-10-24T23:00:23Z", "1414191623"), "Expiration"),
        (x("<Provider>www.amazon.com", "<Provider/><Provider>"), "Provider"),
        (
            x("<SourceIdentity>", "<PackedPolicySize>x</PackedPolicySize><SourceIdentity>"),
            "PackedPolicySize",
        ),
        (x("<Credentials>", "<Credentials>x"), "XML"),
        (j("Response\":", "Answer\":"), "AssumeRoleWithWebIdentityResponse"),
        (j("Result\":", "Answer\":"), "AssumeRoleWithWebIdentityResult"),
        (j("\"Credentials\":", "\"Credentials\":null,\"Other\":"), "Credentials"),
        (j("\"Credentials\":", "\"Credentials\":7,\"Other\":"), "AccessKeyId"),
        (j("\"ASgeIAIOSFODNN7EXAMPLE\"", "\"\""), "AccessKeyId"),
        (j("\"ASgeIAIOSFODNN7EXAMPLE\"", "7"), "AccessKeyId"),
        (j("\"ASgeIAIOSFODNN7EXAMPLE\"", "null"), "AccessKeyId"),
        (j("token==", "a\\nb"), "SessionToken"),
        (j("1.414191623E9", "null"), "Expiration"),
        (j("1.414191623E9", "\"\""), "Expiration"),
        (j("1.414191623E9", "-1"), "Expiration"),
        // Milliseconds: after the year 9999.
        (j("1.414191623E9", "1414191623000"), "Expiration"),
        (j("1.414191623E9", "true"), "Expiration"),
        (j("\"PackedPolicySize\":null", "\"PackedPolicySize\":-1"), "PackedPolicySize"),
        (j("\"Provider\":\"", "\"Provider\":\"x\",\"Provider\":\""), "JSON"),
    ] {
        let text = String::from_utf8_lossy(&body).into_owned();
        match web_identity().response(&OK, &mut body) {
            Err(Failure::Answer(e)) => assert_eq!(e.field(), field, "{e}: {text}"),
            other => panic!("{other:?}: {text}"),
        }
    }
    let key = self::key("us-east-1");
    let who = GetCallerIdentity::new(assume(&key).signer);
    for part in ["Arn", "Account", "UserId"] {
        let text = String::from_utf8(WHO_ANSWER.to_vec()).unwrap();
        let mut body = text.replace(&format!("{part}>"), "Other>").into_bytes();
        let error = who.response(&OK, &mut body).unwrap_err();
        assert!(matches!(error, Failure::Answer(e) if e.field() == part), "{error}");
    }
}

#[test]
fn refusals_of_the_service() {
    let json = br#"{"Error":{"Code":"ExpiredTokenException","Message":"Token expired","Type":"Sender"},"RequestId":"x"}"#;
    let documented =
        b"<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n<Error>\n\
        <Type>Sender</Type><Code>AccessDenied</Code><Message>no &lt;role&gt;</Message></Error>\n\
        <RequestId>x</RequestId></ErrorResponse>";
    let length = format!(
        "1 validation error detected: Value '{}' at 'roleSessionName' failed to satisfy constraint: \
         Member must have length less than or  equal to 64",
        "x".repeat(100)
    );
    let html = b"<!DOCTYPE html><html><body><p>502</body></html>";
    let xhtml = b"<html><body>Bad gateway</body></html>";
    let repeated = b"<ErrorResponse><Error><Code>A</Code><Code>B</Code></Error></ErrorResponse>";
    for (status, body, code, message) in [
        (400, REFUSED, "ValidationError", &*length),
        (
            403,
            REFUSED_EARLY,
            "InvalidClientTokenId",
            "The security token included in the request is invalid.",
        ),
        (403, documented, "AccessDenied", "no <role>"),
        (400, json, "ExpiredTokenException", "Token expired"),
        (502, html, "", ""),
        (502, xhtml, "", ""),
        (503, b"", "", ""),
        (500, b"\xff\x00", "", ""),
        (400, repeated, "", ""),
        (400, b"{\"Error\":7}", "", ""),
        (302, ROLE_ANSWER, "", ""),
        (201, ROLE_ANSWER, "", ""),
        // A refusal is one whatever the status says.
        (200, documented, "AccessDenied", "no <role>"),
        (200, json, "ExpiredTokenException", "Token expired"),
    ] {
        let key = key("us-east-1");
        let call = assume(&key);
        let head = ResponseHead { status, headers: &[] };
        let mut body = body.to_vec();
        match call.response(&head, &mut body) {
            Err(Failure::Service(e)) => {
                assert_eq!((e.status, e.code, e.message), (status, code, message));
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Whether an answer is good for any of the four calls. What is good must be complete.
fn accepted(status: u16, octets: &[u8]) -> bool {
    let key = key("us-east-1");
    let call = assume(&key);
    let head = ResponseHead { status, headers: &[] };
    let complete = |c: Credentials<'_>| {
        let texts = [c.access_key_id, c.secret_access_key.expose(), c.session_token.expose()];
        assert!(texts.iter().all(|text| !text.is_empty() && text.is_ascii()));
    };
    let copies = &mut [octets.to_vec(), octets.to_vec(), octets.to_vec(), octets.to_vec()];
    let [a, b, c, d] = copies;
    let role = call.response(&head, a).map(|role| complete(role.credentials));
    let token = GetSessionToken::new(call.signer).response(&head, b).map(complete);
    let web = web_identity().response(&head, c).map(|web| complete(web.role.credentials));
    let who = GetCallerIdentity::new(call.signer).response(&head, d).map(|who| {
        assert!(![who.account, who.arn, who.user_id].contains(&""));
    });
    [role, token, web, who].iter().any(Result::is_ok)
}

fn answers() -> Vec<Vec<u8>> {
    let recorded = [ROLE_ANSWER, TOKEN_ANSWER, WEB_ANSWER, WHO_ANSWER];
    let mut all: Vec<Vec<u8>> = recorded.iter().map(|answer| answer.to_vec()).collect();
    all.extend([xml(&[]), json(&[])]);
    all
}

#[test]
fn truncated_answers_are_refused() {
    for answer in answers() {
        assert!(accepted(200, &answer));
        for end in 0..answer.len() {
            assert!(!accepted(200, answer.get(..end).unwrap()), "{end}");
        }
    }
}

proptest! {
    #[test]
    fn no_answer_panics(
        octets in proptest::collection::vec(any::<u8>(), 0..80),
        status in any::<u16>(),
    ) {
        prop_assert!(!accepted(status, &octets));
        let mut tagged = b"<ErrorResponse><Error>".to_vec();
        tagged.extend_from_slice(&octets);
        prop_assert!(!accepted(status, &tagged));
    }

    #[test]
    fn spoiled_answers_do_not_panic(
        which in any::<proptest::sample::Index>(),
        at in any::<proptest::sample::Index>(),
        with in proptest::collection::vec(any::<u8>(), 0..4),
        cut in 0usize..8,
    ) {
        let answers = answers();
        let mut octets = which.get(&answers).clone();
        let at = at.index(octets.len());
        let end = (at + cut).min(octets.len());
        octets.splice(at..end, with);
        accepted(200, &octets);
    }
}
