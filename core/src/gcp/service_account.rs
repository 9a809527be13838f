//! The JSON file of a service-account key.

use crate::gcp::{AccessTokenRequest, IdTokenRequest, SelfSigned};
use crate::json::{self, Value};
use crate::{Error, Result, Secret};

/// Google's token endpoint.
pub const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";

/// The universe of the public Google Cloud.
pub const DEFAULT_UNIVERSE: &str = "googleapis.com";

/// A service-account key file (`"type": "service_account"`), as slices into its text. The private key is
/// in that text too: wipe the buffer once the key is loaded.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ServiceAccount<'b> {
    /// The account's e-mail.
    pub client_email: &'b str,
    /// The key's id (`kid`).
    pub private_key_id: Option<&'b str>,
    /// The private key in PEM.
    pub private_key: Secret<'b>,
    /// The token endpoint: an `https` URI without port or user, on a host within
    /// [`universe_domain`](Self::universe_domain). [`TOKEN_URI`] when the file has none.
    pub token_uri: &'b str,
    /// The domain of all this cloud's APIs. [`DEFAULT_UNIVERSE`] when the file has none. It comes from the
    /// same file as the rest: compare it with the one you expect where the file is not trusted.
    pub universe_domain: &'b str,
    /// The project the account belongs to.
    pub project_id: Option<&'b str>,
    /// The account's numeric id.
    pub client_id: Option<&'b str>,
}

impl<'b> ServiceAccount<'b> {
    /// Reads the file. Strings are unescaped in place, so `text` is changed. Members this crate does not
    /// know are ignored.
    ///
    /// # Errors
    /// [`Malformed`](crate::ErrorKind::Malformed) for bad JSON, and for a member that is missing or not
    /// what it should be; [`Unsupported`](crate::ErrorKind::Unsupported) for another kind of credential;
    /// [`Mismatch`](crate::ErrorKind::Mismatch) when `token_uri` leads out of the universe domain.
    pub fn parse(text: &'b mut [u8]) -> Result<Self> {
        let file = json::parse(text)?;
        if required(&file, "type")? != "service_account" {
            return Err(Error::unsupported("type", "expected \"service_account\""));
        }
        let private_key = required(&file, "private_key")?;
        if !private_key.trim_start().starts_with("-----BEGIN ") {
            return Err(Error::malformed(
                "private_key",
                "expected PEM (-----BEGIN PRIVATE KEY-----)",
            ));
        }
        let account = Self {
            client_email: required(&file, "client_email")?,
            private_key_id: optional(&file, "private_key_id")?,
            private_key: Secret::new(private_key),
            token_uri: optional(&file, "token_uri")?.unwrap_or(TOKEN_URI),
            universe_domain: optional(&file, "universe_domain")?.unwrap_or(DEFAULT_UNIVERSE),
            project_id: optional(&file, "project_id")?,
            client_id: optional(&file, "client_id")?,
        };
        if !host_name(account.universe_domain) {
            return Err(Error::malformed("universe_domain", "expected a plain host name"));
        }
        check_token_uri(account.token_uri, account.universe_domain)?;
        Ok(account)
    }

    /// A token of this account, with the key id of the file and the defaults of [`SelfSigned::new`].
    #[must_use]
    pub const fn self_signed(&self) -> SelfSigned<'b> {
        SelfSigned { key_id: self.private_key_id, ..SelfSigned::new(self.client_email) }
    }

    /// A request for an access token of this account, with the key id and the token endpoint of the file
    /// and the defaults of [`AccessTokenRequest::new`].
    #[must_use]
    pub const fn access_token<'a>(&self, scopes: &'a [&'a str]) -> AccessTokenRequest<'a>
    where
        'b: 'a,
    {
        AccessTokenRequest {
            key_id: self.private_key_id,
            token_uri: self.token_uri,
            ..AccessTokenRequest::new(self.client_email, scopes)
        }
    }

    /// A request for an ID token of this account, in the same way.
    #[must_use]
    pub const fn id_token<'a>(&self, target_audience: &'a str) -> IdTokenRequest<'a>
    where
        'b: 'a,
    {
        IdTokenRequest {
            key_id: self.private_key_id,
            token_uri: self.token_uri,
            ..IdTokenRequest::new(self.client_email, target_audience)
        }
    }
}

fn required<'b>(file: &Value<'b>, name: &'static str) -> Result<&'b str> {
    optional(file, name)?.ok_or(Error::malformed(name, "missing from the service-account file"))
}

/// A string member that, where it stands, says something.
fn optional<'b>(file: &Value<'b>, name: &'static str) -> Result<Option<&'b str>> {
    let Some(value) = file.get(name) else {
        return Ok(None);
    };
    match value.as_str() {
        // Only the key's PEM has lines.
        Some(text) if name != "private_key" && text.contains(char::is_control) => {
            Err(Error::malformed(name, "holds a control character"))
        }
        Some(text) if !text.is_empty() => Ok(Some(text)),
        _ => Err(Error::malformed(name, "expected a string that is not empty")),
    }
}

/// Whoever controls the token endpoint receives assertions, so it must be Google's.
fn check_token_uri(uri: &str, universe: &str) -> Result<()> {
    const BAD: Error = Error::malformed(
        "token_uri",
        "expected https://, a plain host name without port or user, and a path",
    );
    let (host, _) = split_uri(uri).ok_or(BAD)?;
    if within(host, universe) {
        Ok(())
    } else {
        Err(Error::mismatch(
            "token_uri",
            "its host is not in the universe domain; a file from Google names an endpoint that is",
        ))
    }
}

/// Host and request target of an `https` URI. Only the plainest form is taken, which no two parsers read
/// differently.
pub(super) fn split_uri(uri: &str) -> Option<(&str, &str)> {
    let rest = uri.strip_prefix("https://")?;
    let (host, target) = rest.split_at_checked(rest.find('/')?)?;
    let plain = |c: u8| c.is_ascii_graphic() && !matches!(c, b'#' | b'"' | b'<' | b'>' | b'\\');
    (host_name(host) && target.bytes().all(plain)).then_some((host, target))
}

/// Refuses a universe domain that is no host name: the hosts of Google's APIs are made from it.
pub(super) fn check_universe(domain: &str) -> Result<()> {
    // Longer names would be too long with a service's name in front.
    if host_name(domain) && domain.len() <= 200 {
        Ok(())
    } else {
        Err(Error::invalid("universe domain", "expected a plain host name, such as googleapis.com"))
    }
}

/// A name of at least two labels (RFC 1123, section 2.1), and no IPv4 address.
pub(super) fn host_name(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let top = host.rsplit_once('.').map(|(_, top)| top);
    host.len() <= 253
        && host.split('.').all(label)
        && top.is_some_and(|top| top.bytes().any(|c| c.is_ascii_alphabetic()))
}

/// Whether `host` is `domain` or below it.
fn within(host: &str, domain: &str) -> bool {
    let (host, domain) = (host.as_bytes(), domain.as_bytes());
    let below = host.len().checked_sub(domain.len()).and_then(|n| host.split_at_checked(n));
    below.is_some_and(|(front, back)| {
        back.eq_ignore_ascii_case(domain) && (front.is_empty() || front.ends_with(b"."))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    // As Google's console makes it, with the key shortened.
    fn file() -> Json {
        json!({
            "type": "service_account",
            "project_id": "project",
            "private_key_id": "0123456789abcdef0123456789abcdef01234567",
            "private_key": "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n",
            "client_email": "robot@project.iam.gserviceaccount.com",
            "client_id": "123456789012345678901",
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": "https://oauth2.googleapis.com/token",
            "auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs",
            "universe_domain": "googleapis.com"
        })
    }

    fn parse_error(file: &Json) -> Option<(ErrorKind, &'static str)> {
        let mut text = serde_json::to_vec_pretty(file).unwrap();
        ServiceAccount::parse(&mut text).err().map(|e| (e.kind(), e.field()))
    }

    fn with(name: &str, value: Json) -> Json {
        let mut file = file();
        file[name] = value;
        file
    }

    fn without(names: &[&str]) -> Json {
        let mut file = file();
        for name in names {
            file.as_object_mut().unwrap().remove(*name).unwrap();
        }
        file
    }

    #[test]
    fn reads_what_google_writes() {
        let mut text = serde_json::to_vec_pretty(&file()).unwrap();
        let account = ServiceAccount::parse(&mut text).unwrap();
        let shown = format!("{account:?}");
        assert!(shown.contains("robot@") && !shown.contains("MIIE"), "{shown}");
        assert_eq!(account.client_email, file()["client_email"]);
        assert_eq!(account.private_key_id, file()["private_key_id"].as_str());
        assert_eq!(account.private_key.expose(), file()["private_key"]);
        assert_eq!(account.token_uri, TOKEN_URI);
        assert_eq!(account.universe_domain, DEFAULT_UNIVERSE);
        assert_eq!(account.project_id, Some("project"));
        assert_eq!(account.client_id, file()["client_id"].as_str());
        let token = account.self_signed();
        assert_eq!((token.email, token.key_id), (account.client_email, account.private_key_id));
        let access = account.access_token(&["a"]);
        assert_eq!((access.email, access.key_id), (token.email, token.key_id));
        assert_eq!((access.scopes, access.token_uri), (&["a"][..], account.token_uri));
        let id = account.id_token("b");
        assert_eq!((id.email, id.key_id), (token.email, token.key_id));
        assert_eq!((id.target_audience, id.token_uri), ("b", account.token_uri));
    }

    #[test]
    fn what_may_be_left_out() {
        let optional =
            ["project_id", "private_key_id", "client_id", "token_uri", "universe_domain"];
        let mut text = serde_json::to_vec(&without(&optional)).unwrap();
        let account = ServiceAccount::parse(&mut text).unwrap();
        assert_eq!((account.private_key_id, account.project_id), (None, None));
        assert_eq!(account.client_id, None);
        assert_eq!((account.token_uri, account.universe_domain), (TOKEN_URI, DEFAULT_UNIVERSE));
        for name in ["type", "private_key", "client_email"] {
            assert_eq!(parse_error(&without(&[name])), Some((ErrorKind::Malformed, name)));
        }
        for name in file().as_object().unwrap().keys() {
            let unknown = matches!(name.as_str(), "auth_uri" | "auth_provider_x509_cert_url");
            for value in [json!(""), json!(7), Json::Null, json!({}), json!(["x"])] {
                assert_eq!(parse_error(&with(name, value)).is_none(), unknown, "{name}");
            }
        }
    }

    #[test]
    fn other_files_are_refused() {
        assert_eq!(
            parse_error(&with("type", json!("authorized_user"))),
            Some((ErrorKind::Unsupported, "type"))
        );
        assert_eq!(
            parse_error(&with("private_key", json!("MIIE"))),
            Some((ErrorKind::Malformed, "private_key"))
        );
        assert!(parse_error(&json!([file()])).is_some());
        for text in ["", "{", "null", "\"service_account\"", "{\"type\":\"service_account\"}"] {
            assert!(ServiceAccount::parse(&mut text.to_owned().into_bytes()).is_err(), "{text}");
        }
        let twice = file().to_string().replacen('{', "{\"client_email\":\"x@y\",", 1);
        assert!(ServiceAccount::parse(&mut twice.into_bytes()).is_err());
    }

    #[test]
    fn the_token_endpoint_stays_in_its_universe() {
        for (uri, universe) in [
            ("https://oauth2.googleapis.com/token", "googleapis.com"),
            ("https://www.googleapis.com/oauth2/v4/token", "googleapis.com"),
            ("https://googleapis.com/", "GoogleAPIs.com"),
            ("https://OAUTH2.mtls.googleapis.com/token?x=1", "googleapis.com"),
            ("https://oauth2.apis-tpczero.goog/token", "apis-tpczero.goog"),
        ] {
            let mut file = with("token_uri", json!(uri));
            file["universe_domain"] = json!(universe);
            assert_eq!(parse_error(&file), None, "{uri}");
        }
        for uri in [
            "https://evil.example/token",
            "https://evilgoogleapis.com/token",
            "https://oauth2.googleapis.com.evil.example/token",
            "https://com/token.googleapis.com",
            "https://oauth2.apis-tpczero.goog/token",
        ] {
            let e = parse_error(&with("token_uri", json!(uri))).unwrap();
            assert_eq!(e.1, "token_uri", "{uri}");
        }
        for uri in [
            "http://oauth2.googleapis.com/token",
            "HTTPS://oauth2.googleapis.com/token",
            "oauth2.googleapis.com/token",
            "https:oauth2.googleapis.com/token",
            "https:///oauth2.googleapis.com/token",
            "https://oauth2.googleapis.com",
            "https://oauth2.googleapis.com:443/token",
            "https://oauth2.googleapis.com.:443/token",
            "https://oauth2.googleapis.com./token",
            "https://.googleapis.com/token",
            "https://x@oauth2.googleapis.com/token",
            "https://evil.example\\@oauth2.googleapis.com/token",
            "https://evil.example\\.googleapis.com/token",
            "https://evil.example#.googleapis.com/token",
            "https://evil.example?.googleapis.com/token",
            "https://evil.example%2f.googleapis.com/token",
            "https://evil.example\t.googleapis.com/token",
            "https://oauth2.googleapis.com/to ken",
            "https://oauth2.googleapis.com/token#x",
            "https://oauth2.googleapis.com/token\r\nHost: evil.example",
            " https://oauth2.googleapis.com/token",
        ] {
            let e = parse_error(&with("token_uri", json!(uri)));
            assert_eq!(e, Some((ErrorKind::Malformed, "token_uri")), "{uri}");
        }
    }

    #[test]
    fn a_universe_is_a_host_name() {
        for universe in
            ["com", ".", "googleapis.com.", ".com", "a..b", "-a.com", "127.0.0.1", "a/b.c"]
        {
            let e = parse_error(&with("universe_domain", json!(universe)));
            assert_eq!(e, Some((ErrorKind::Malformed, "universe_domain")), "{universe}");
        }
        // Google's endpoint is not another universe's.
        let e = parse_error(&with("universe_domain", json!("apis-tpczero.goog")));
        assert_eq!(e, Some((ErrorKind::Mismatch, "token_uri")));
    }

    proptest! {
        #[test]
        fn never_panics(mut text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = ServiceAccount::parse(&mut text);
        }

        #[test]
        fn a_changed_file_never_panics(at in 0usize..600, byte: u8) {
            let mut text = file().to_string().into_bytes();
            let at = at % text.len();
            text[at] = byte;
            let _ = ServiceAccount::parse(&mut text);
        }

        #[test]
        fn strings_come_back(email in "\\PC{1,30}", id in any::<String>(), uri in any::<String>()) {
            let mut file = with("client_email", json!(email));
            file["private_key_id"] = json!(id);
            let mut text = file.to_string().into_bytes();
            match ServiceAccount::parse(&mut text) {
                Ok(account) => {
                    prop_assert_eq!(account.client_email, email);
                    prop_assert_eq!(account.private_key_id, Some(id.as_str()));
                }
                Err(e) => prop_assert!(id.is_empty(), "{e}"),
            }
            prop_assert!(check_token_uri(&uri, DEFAULT_UNIVERSE).is_err());
        }

        #[test]
        fn no_uri_leaves_the_universe(
            uri in "https://[a-z.@:#?/\\\\-]{0,12}(google\\.com|googleapis\\.com)?[a-z.@:#?/\\\\]{0,6}/?[a-z]{0,3}"
        ) {
            if check_token_uri(&uri, DEFAULT_UNIVERSE).is_ok() {
                // What a browser would make of it: everything up to the first delimiter is the host.
                let rest = uri.strip_prefix("https://").unwrap();
                let host = rest.split(['/', '\\', '?', '#']).next().unwrap();
                prop_assert!(host == DEFAULT_UNIVERSE || host.ends_with(".googleapis.com"));
                prop_assert!(!host.contains(['@', ':']));
            }
        }
    }
}
