//! Google service-account JSON: a private key, and whose it is.

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::{KeyError, Result};

/// What a service-account JSON says about its key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GoogleAccount {
    /// The e-mail address of the service account: `iss` and `sub` of its JWTs.
    pub client_email: String,
    /// The identifier of the key: `kid` of its JWTs.
    pub private_key_id: Option<String>,
    /// Where tokens are asked for, `https://oauth2.googleapis.com/token` unless the file says otherwise.
    /// Checked to be inside [`universe_domain`](Self::universe_domain).
    pub token_uri: String,
    /// The domain of the cloud, `googleapis.com` unless the file says otherwise.
    pub universe_domain: String,
    /// The project of the service account.
    pub project_id: Option<String>,
}

/// The account and its private key (PEM) out of the JSON text of a service-account key.
pub(crate) fn parse_service_account(
    json: &[u8],
    place: &str,
) -> Result<(GoogleAccount, Zeroizing<String>)> {
    // Not serde_json's own text: it can quote the input.
    let mut object: Map<String, Value> = serde_json::from_slice(json).map_err(|e| {
        KeyError::malformed(place, format!("not a JSON object (line {})", e.line()))
    })?;
    // Taken first, so that every way out wipes it.
    let private_key = take(&mut object, "private_key", place).map(|k| k.map(Zeroizing::new));
    let bad = |field, help: &str| KeyError::ServiceAccount {
        place: place.to_owned(),
        field,
        help: help.to_owned(),
    };
    if take(&mut object, "type", place)?.as_deref() != Some("service_account") {
        return Err(bad(
            "type",
            "expected \"service_account\"; only those hold a private key",
        ));
    }
    let private_key = private_key?.ok_or_else(|| bad("private_key", "missing"))?;
    let client_email =
        take(&mut object, "client_email", place)?.ok_or_else(|| bad("client_email", "missing"))?;
    let universe_domain =
        take(&mut object, "universe_domain", place)?.unwrap_or_else(|| "googleapis.com".to_owned());
    if !is_domain(&universe_domain) {
        return Err(bad(
            "universe_domain",
            "expected a domain such as googleapis.com",
        ));
    }
    let token_uri = take(&mut object, "token_uri", place)?
        .unwrap_or_else(|| format!("https://oauth2.{universe_domain}/token"));
    if !inside(&token_uri, &universe_domain) {
        return Err(KeyError::ServiceAccount {
            place: place.to_owned(),
            field: "token_uri",
            help: format!(
                "expected https and a host inside {universe_domain}, such as \
                 https://oauth2.{universe_domain}/token: the token goes to whoever is named here"
            ),
        });
    }
    let account = GoogleAccount {
        client_email,
        private_key_id: take(&mut object, "private_key_id", place)?,
        token_uri,
        universe_domain,
        project_id: take(&mut object, "project_id", place)?,
    };
    Ok((account, private_key))
}

/// A string member; absent, null and empty are the same.
fn take(
    object: &mut Map<String, Value>,
    name: &'static str,
    place: &str,
) -> Result<Option<String>> {
    let bad = |help: &str| {
        Err(KeyError::ServiceAccount {
            place: place.to_owned(),
            field: name,
            help: help.to_owned(),
        })
    };
    match object.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => {
            if name != "private_key" && text.contains(char::is_control) {
                return bad("control characters must not stand in it");
            }
            Ok(Some(text))
        }
        Some(_) => bad("expected a string"),
    }
}

/// At least two labels of lower-case letters, digits and hyphens.
fn is_domain(name: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    name.len() <= 253 && name.contains('.') && name.split('.').all(label)
}

/// Whether `uri` is https at `domain` or below it, on the usual port, without anything (such as user
/// information or a fragment) that readers of URIs disagree about.
fn inside(uri: &str, domain: &str) -> bool {
    let Some(rest) = uri.strip_prefix("https://") else {
        return false;
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let Some((authority, path)) = rest.split_at_checked(end) else {
        return false;
    };
    let host = authority.strip_suffix(":443").unwrap_or(authority);
    is_domain(host)
        && host
            .strip_suffix(domain)
            .is_some_and(|sub| sub.is_empty() || sub.ends_with('.'))
        && path
            .bytes()
            .all(|b| b.is_ascii_graphic() && !b"#\\\"<>^`{|}".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn json(changes: &[(&str, Value)]) -> Vec<u8> {
        let mut object = serde_json::json!({
            "type": "service_account",
            "project_id": "a-project",
            "private_key_id": "0123abcd",
            "private_key": "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n",
            "client_email": "sa@a-project.iam.gserviceaccount.com",
            "client_id": "1",
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": "https://oauth2.googleapis.com/token",
            "universe_domain": "googleapis.com"
        });
        for (name, value) in changes {
            object[name] = value.clone();
        }
        serde_json::to_vec(&object).unwrap()
    }

    fn with(name: &str, value: impl Into<Value>) -> Result<GoogleAccount> {
        let read = parse_service_account(&json(&[(name, value.into())]), "test");
        read.map(|(account, _)| account)
    }

    fn field(result: Result<GoogleAccount>) -> &'static str {
        match result {
            Err(KeyError::ServiceAccount { field, .. }) => field,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn whole_and_minimal() {
        let (account, key) = parse_service_account(&json(&[]), "test").unwrap();
        assert_eq!(account.client_email, "sa@a-project.iam.gserviceaccount.com");
        assert_eq!(account.private_key_id.as_deref(), Some("0123abcd"));
        assert_eq!(account.project_id.as_deref(), Some("a-project"));
        assert!(key.contains("\nhunter2\n"));
        assert!(!format!("{account:?}").contains("hunter2"));
        let minimal = br#" {"type":"service_account","client_email":"e@x","private_key":"k"} "#;
        let (account, _) = parse_service_account(minimal, "test").unwrap();
        assert_eq!(account.token_uri, "https://oauth2.googleapis.com/token");
        assert_eq!(account.universe_domain, "googleapis.com");
        assert_eq!((account.private_key_id, account.project_id), (None, None));
    }

    #[test]
    fn missing_and_wrong_members() {
        for name in ["client_email", "private_key"] {
            for value in [Value::Null, "".into()] {
                assert_eq!(field(with(name, value)), name);
            }
        }
        for name in [
            "type",
            "client_email",
            "private_key",
            "private_key_id",
            "project_id",
        ] {
            assert_eq!(field(with(name, 1)), name);
        }
        for name in [
            "type",
            "client_email",
            "private_key_id",
            "token_uri",
            "universe_domain",
        ] {
            assert_eq!(field(with(name, "a\nb")), name);
        }
        assert_eq!(field(with("type", "authorized_user")), "type");
        for text in [
            "",
            "{",
            "[]",
            "{}x",
            "{\"type\":\"service_account\"",
            "{'hunter2'}",
        ] {
            let error = parse_service_account(text.as_bytes(), "test").unwrap_err();
            assert!(matches!(error, KeyError::Malformed { .. }), "{error:?}");
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
    }

    #[test]
    fn token_uri_stays_in_its_universe() {
        for good in [
            "https://oauth2.googleapis.com/token",
            "https://googleapis.com/token",
            "https://oauth2.googleapis.com",
            "https://oauth2.googleapis.com:443/token",
            "https://oauth2.mtls.googleapis.com/token?x=y",
        ] {
            assert_eq!(with("token_uri", good).unwrap().token_uri, good);
        }
        for bad in [
            "http://oauth2.googleapis.com/token",
            "HTTPS://oauth2.googleapis.com/token",
            "https://accounts.google.com/o/oauth2/token",
            "https://evilgoogleapis.com/token",
            "https://oauth2.googleapis.com.evil.example/token",
            "https://evil.example/oauth2.googleapis.com",
            "https://evil.example?.googleapis.com",
            "https://evil.example#.googleapis.com",
            "https://evil.example\\.googleapis.com",
            "https://oauth2.googleapis.com@evil.example/token",
            "https://user@oauth2.googleapis.com/token",
            "https://oauth2.googleapis.com:8443/token",
            "https://oauth2.googleapis.com./token",
            "https://.googleapis.com/token",
            "https://oauth2.googleapis.com/token#x",
            "https://oauth2.googleapis.com/to ken",
            "//oauth2.googleapis.com/token",
            "https://",
        ] {
            assert_eq!(field(with("token_uri", bad)), "token_uri", "{bad}");
        }
        let other = |token_uri: &str| {
            let json = json(&[
                ("universe_domain", "cloud.example".into()),
                ("token_uri", token_uri.into()),
            ]);
            parse_service_account(&json, "test").map(|(account, _)| account)
        };
        assert!(other("https://oauth2.cloud.example/token").is_ok());
        assert_eq!(
            field(other("https://oauth2.googleapis.com/token")),
            "token_uri"
        );
        for bad in [
            "com",
            "googleapis.com.",
            ".com",
            "a..b",
            "a b.c",
            "GOOGLEAPIS.COM",
            "-a.com",
        ] {
            assert_eq!(
                field(with("universe_domain", bad)),
                "universe_domain",
                "{bad}"
            );
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,60}", uri in "https://\\PC{0,40}", domain in "\\PC{0,20}") {
            let _ = parse_service_account(text.as_bytes(), "test");
            let _ = with("token_uri", uri.clone());
            let _ = inside(&uri, &domain);
        }
    }
}
