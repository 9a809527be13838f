//! Session policies with claims in them.

use std::net::IpAddr;
use std::path::Path;

use cloudauth_core::json::{self, Value as Claims};
use serde_json::{Value, json};

use super::text::Claim;
use crate::error::LoadError;

/// The most characters of a session policy. Source: AWS STS API Reference, AssumeRole, Policy.
const MAX_LEN: usize = 2048;

/// A session policy, parsed. Claims come in afterwards, each as a whole JSON string: no claim can add to the
/// policy's form.
#[derive(Clone, Debug)]
pub(super) struct SessionPolicy(Value);

impl SessionPolicy {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        // The strict reader first: no name twice.
        json::parse(&mut text.as_bytes().to_vec()).map_err(|e| format!("is no JSON: {e}"))?;
        let policy: Value = serde_json::from_str(text).map_err(|e| format!("is no JSON: {e}"))?;
        if !policy.get("Statement").is_some_and(|s| s.is_array() || s.is_object()) {
            return Err("expected an IAM policy: an object with a Statement".into());
        }
        check(&policy)?;
        Ok(Self(policy))
    }

    pub(super) fn from_file(path: &Path) -> Result<Self, LoadError> {
        let wrong = |e: String| LoadError::one(format!("policy-file: file {path:?}"), e);
        let text = crate::config::read(path, 1 << 16).map_err(|e| e.within("policy-file"))?;
        let text = String::from_utf8(text).map_err(|_| wrong("is not UTF-8".into()))?;
        Self::parse(&text).map_err(wrong)
    }

    /// The JSON pointers of the claims in it.
    pub(super) fn claims(&self) -> Vec<&str> {
        let mut claims = Vec::new();
        collect(&self.0, &mut claims);
        claims
    }

    /// The policy for a token with these claims; `client` is the address that all calls must come from.
    pub(super) fn fill(
        &self,
        claims: &Claims<'_>,
        client: Option<IpAddr>,
    ) -> Result<String, String> {
        let mut policy = self.0.clone();
        fill(&mut policy, claims)?;
        if let Some(client) = client {
            deny_elsewhere(&mut policy, client);
        }
        let text = policy.to_string();
        match text.chars().count() <= MAX_LEN {
            true => Ok(text),
            false => Err(format!("it has more than {MAX_LEN} characters with the claims in it")),
        }
    }
}

/// Whether every placeholder is one.
fn check(value: &Value) -> Result<(), String> {
    match value {
        Value::String(text) => Claim::parse(text).map(drop),
        Value::Array(elements) => elements.iter().try_for_each(check),
        Value::Object(members) => members.iter().try_for_each(|(name, value)| {
            if Claim::parse(name).map_or(true, |claim| claim.is_some()) {
                return Err("a claim cannot stand for a member's name".into());
            }
            check(value)
        }),
        _ => Ok(()),
    }
}

fn collect<'a>(value: &'a Value, claims: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => claims.extend(Claim::pointer(text).ok().flatten()),
        Value::Array(elements) => elements.iter().for_each(|value| collect(value, claims)),
        Value::Object(members) => members.values().for_each(|value| collect(value, claims)),
        _ => {}
    }
}

fn fill(value: &mut Value, claims: &Claims<'_>) -> Result<(), String> {
    match value {
        Value::String(text) => {
            if let Some(claim) = Claim::parse(text)? {
                *text = claim.value(claims)?;
            }
            Ok(())
        }
        Value::Array(elements) => elements.iter_mut().try_for_each(|value| fill(value, claims)),
        Value::Object(members) => members.values_mut().try_for_each(|value| fill(value, claims)),
        _ => Ok(()),
    }
}

/// Denies every call that does not come from `client`. A statement that denies wins over whatever allows, and
/// its condition holds too where there is no address at all (through a VPC endpoint): that is refused. Calls
/// that a service makes for the session come from that service, and stay allowed.
fn deny_elsewhere(policy: &mut Value, client: IpAddr) {
    let client = client.to_canonical();
    let network = ipnet::IpNet::from(client).to_string();
    let deny = json!({
        "Effect": "Deny",
        "Action": "*",
        "Resource": "*",
        "Condition": {
            "NotIpAddress": {"aws:SourceIp": network},
            "Bool": {"aws:ViaAWSService": "false"},
        },
    });
    let Some(statement) = policy.get_mut("Statement") else { return };
    match statement {
        Value::Array(statements) => statements.push(deny),
        one => *one = json!([one.take(), deny]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const POLICY: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:GetObject",
        "Resource":"arn:aws:s3:::b/${aws:PrincipalTag/x}/*",
        "Condition":{"StringEquals":{"s3:prefix":["${claim:/submods/gce/project_id}"]}}}}"#;

    fn filled(policy: &str, project: &Value) -> Result<Value, String> {
        let claims = json!({"submods": {"gce": {"project_id": project}}}).to_string();
        let mut claims = claims.into_bytes();
        let claims = json::parse(&mut claims).unwrap();
        let text = SessionPolicy::parse(policy)?.fill(&claims, None)?;
        Ok(serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn a_claim_is_a_whole_string() {
        let policy = filled(POLICY, &json!("my-project")).unwrap();
        let prefix = "/Statement/Condition/StringEquals/s3:prefix/0";
        assert_eq!(policy.pointer(prefix).unwrap(), "my-project");
        // The operator's own variables stay.
        assert_eq!(policy["Statement"]["Resource"], "arn:aws:s3:::b/${aws:PrincipalTag/x}/*");
        assert_eq!(filled(POLICY, &json!(7)).unwrap().pointer(prefix).unwrap(), "7");
        assert!(filled(POLICY, &json!("a_=,.@/:-Z9")).is_ok());
    }

    #[test]
    fn what_means_something_in_a_policy_is_an_error() {
        for bad in [
            "*",
            "a*",
            "?",
            "a?b",
            "${aws:username}",
            "$",
            "{",
            "}",
            "a b",
            "",
            "é",
            "a\"b",
            "a\\b",
            "a\nb",
            "a\0",
            "<",
            "%2a",
            "+",
            "\u{ff0a}",
        ] {
            let error = filled(POLICY, &json!(bad)).unwrap_err();
            assert!(error.contains("/submods/gce/project_id"), "{error}");
            assert!(bad.len() < 2 || !error.contains(bad), "{error}");
        }
        for bad in
            [json!(null), json!(true), json!(["a"]), json!({"a": "b"}), json!(1.5), json!(-1)]
        {
            assert!(filled(POLICY, &bad).is_err(), "{bad}");
        }
        let missing = SessionPolicy::parse(POLICY).unwrap();
        let mut none = b"{}".to_vec();
        assert!(missing.fill(&json::parse(&mut none).unwrap(), None).is_err());
    }

    #[test]
    fn placeholders_of_no_good_form() {
        for bad in [
            "arn:aws:s3:::${claim:/a}",
            "${claim:/a}/x",
            "${claim:a}",
            "${claim:}",
            "${claim:/a",
            "${claim:/a}${claim:/b}",
            " ${claim:/a}",
            "${claim:/a} ",
        ] {
            let policy = json!({"Statement": [{"Resource": bad}]}).to_string();
            assert!(SessionPolicy::parse(&policy).is_err(), "{bad}");
            let policy = json!({"Statement": [{"Condition": {bad: "x"}}]}).to_string();
            assert!(SessionPolicy::parse(&policy).is_err(), "{bad}");
        }
        assert!(SessionPolicy::parse(r#"{"Statement":[{"${claim:/a}":1}]}"#).is_err());
        assert!(SessionPolicy::parse(r#"{"Statement":[],"Statement":[]}"#).is_err());
        assert!(SessionPolicy::parse("[]").is_err() && SessionPolicy::parse("{}").is_err());
        assert!(SessionPolicy::parse(r#"{"Statement":[{"Resource":"${claim:/a}"}]}"#).is_ok());
    }

    #[test]
    fn elsewhere_is_denied() {
        let policy = SessionPolicy::parse(r#"{"Statement":{"Effect":"Allow"}}"#).unwrap();
        let mut none = b"{}".to_vec();
        let none = json::parse(&mut none).unwrap();
        for (client, network) in [
            ("192.0.2.7", "192.0.2.7/32"),
            ("2001:db8::1", "2001:db8::1/128"),
            ("::ffff:192.0.2.7", "192.0.2.7/32"),
        ] {
            let text = policy.fill(&none, Some(client.parse().unwrap())).unwrap();
            let text: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(text["Statement"][0], json!({"Effect": "Allow"}));
            let deny = &text["Statement"][1];
            assert_eq!(deny["Effect"], "Deny");
            assert_eq!(deny["Condition"]["NotIpAddress"]["aws:SourceIp"], network);
        }
    }

    #[test]
    fn no_longer_than_aws_takes() {
        let long = "a".repeat(MAX_LEN);
        assert!(filled(POLICY, &json!(long)).unwrap_err().contains("2048"));
    }

    proptest! {
        #[test]
        fn no_claim_changes_the_form(
            project in "[a-zA-Z0-9_=,.@/:-]{0,6}[*?$ \\\\{}\"]?[a-zA-Z0-9:]{0,4}|\\PC{0,8}",
        ) {
            let harmless =
                |c: char| c.is_ascii_alphanumeric() || "_=,.@/:-".contains(c);
            let good = !project.is_empty() && project.chars().all(harmless);
            let policy = filled(POLICY, &json!(project));
            prop_assert_eq!(policy.is_ok(), good);
            if let Ok(mut policy) = policy {
                let prefix = "/Statement/Condition/StringEquals/s3:prefix/0";
                let is = policy.pointer_mut(prefix).unwrap().take();
                prop_assert_eq!(is, json!(project));
                let mut other = filled(POLICY, &json!("x")).unwrap();
                other.pointer_mut(prefix).unwrap().take();
                prop_assert_eq!(policy, other);
            }
        }
    }
}
