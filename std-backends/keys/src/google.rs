//! Google service-account JSON: a private key, and whose it is.

use cloudauth_core::gcp::ServiceAccount;
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

/// The account and its private key (PEM) out of the JSON text of a service-account key, through the
/// core's strict reader.
pub(crate) fn parse_service_account(
    json: &[u8],
    place: &str,
) -> Result<(GoogleAccount, Zeroizing<String>)> {
    // Read in place, so this copy holds the only other text of the key, and wipes it.
    let mut text = Zeroizing::new(json.to_vec());
    let account = ServiceAccount::parse(&mut text).map_err(|e| match e.field() {
        "JSON" => KeyError::malformed(place, e.to_string()),
        field => {
            KeyError::ServiceAccount { place: place.to_owned(), field, help: e.help().to_owned() }
        }
    })?;
    let owned = |text: Option<&str>| text.map(str::to_owned);
    Ok((
        GoogleAccount {
            client_email: account.client_email.to_owned(),
            private_key_id: owned(account.private_key_id),
            token_uri: account.token_uri.to_owned(),
            universe_domain: account.universe_domain.to_owned(),
            project_id: owned(account.project_id),
        },
        Zeroizing::new(account.private_key.expose().to_owned()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{"type":"service_account","project_id":"a-project","private_key_id":"0123abcd",
"private_key":"-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n",
"client_email":"sa@a-project.iam.gserviceaccount.com"}"#;

    #[test]
    fn account_and_key() {
        let (account, key) = parse_service_account(FILE.as_bytes(), "test").unwrap();
        assert_eq!(account.client_email, "sa@a-project.iam.gserviceaccount.com");
        assert_eq!(account.private_key_id.as_deref(), Some("0123abcd"));
        assert_eq!(account.project_id.as_deref(), Some("a-project"));
        assert_eq!(account.token_uri, "https://oauth2.googleapis.com/token");
        assert!(key.contains("\nhunter2\n"));
        assert!(!format!("{account:?}").contains("hunter2"));
    }

    #[test]
    fn refusals_name_the_member_and_keep_the_key() {
        for (from, to, field) in [
            ("client_email", "client_mail", Some("client_email")),
            ("service_account", "authorized_user", Some("type")),
            ("private_key\"", "private_kez\"", Some("private_key")),
            (
                "\"project_id\":\"a-project\"",
                "\"token_uri\":\"https://evil.example/t\"",
                Some("token_uri"),
            ),
            ("project_id", "client_email", None),
            ("}", "", None),
        ] {
            let text = FILE.replacen(from, to, 1);
            let error = parse_service_account(text.as_bytes(), "test").unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"));
            match error {
                KeyError::ServiceAccount { field: named, .. } => assert_eq!(Some(named), field),
                KeyError::Malformed { .. } => assert_eq!(field, None),
                other => panic!("{other:?}"),
            }
        }
    }
}
