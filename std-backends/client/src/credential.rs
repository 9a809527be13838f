//! What a provider gives.

use std::collections::BTreeMap;
use std::fmt;

use cloudauth_core::UnixTime;
use zeroize::Zeroizing;

/// A credential and the moment from which the cloud refuses it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Credential {
    /// Temporary AWS credentials.
    Aws(AwsKeys),
    /// A token for the `Authorization: Bearer` header, of Azure or Google Cloud.
    Bearer(BearerToken),
    /// Secrets of an attested token broker.
    Secrets(Secrets),
}

/// Temporary AWS credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct AwsKeys {
    /// The access key id (`ASIA…`).
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: Zeroizing<String>,
    /// The session token that goes with the key.
    pub session_token: Zeroizing<String>,
    /// When AWS stops accepting them.
    pub expiration: UnixTime,
}

/// A bearer token: an access token or an ID token.
#[derive(Clone, PartialEq, Eq)]
pub struct BearerToken {
    /// The token: printable ASCII without spaces.
    pub token: Zeroizing<String>,
    /// When the cloud stops accepting it.
    pub expiration: UnixTime,
}

/// Secrets that a broker gives to an attested workload. They are never in the file cache.
#[derive(Clone, PartialEq, Eq)]
pub struct Secrets {
    /// The fields of each secret, by its name: `value` alone, or `crt` (the certificate, PEM), `key` (PKCS#8,
    /// PEM) and `chain` (the other certificates, PEM, empty when there are none).
    pub bundle: BTreeMap<String, BTreeMap<String, Zeroizing<Vec<u8>>>>,
    /// When the lease ends: get them anew before that.
    pub expiration: UnixTime,
    /// The broker's time when it gave them, if its answer said so. The lease is the time from then to
    /// [`expiration`](Self::expiration), whatever this machine's clock shows.
    pub issued: Option<UnixTime>,
}

impl Credential {
    /// When the cloud stops accepting it; of secrets, when their lease ends.
    #[must_use]
    pub const fn expiration(&self) -> UnixTime {
        match self {
            Self::Aws(keys) => keys.expiration,
            Self::Bearer(token) => token.expiration,
            Self::Secrets(secrets) => secrets.expiration,
        }
    }

    /// Whether something that it must hold is missing.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Aws(keys) => {
                keys.access_key_id.is_empty()
                    || keys.secret_access_key.is_empty()
                    || keys.session_token.is_empty()
            }
            Self::Bearer(token) => token.token.is_empty(),
            // A certificate's chain may be empty, and so may a file.
            Self::Secrets(Secrets { bundle, .. }) => {
                bundle.is_empty() || bundle.values().any(BTreeMap::is_empty)
            }
        }
    }
}

impl fmt::Debug for AwsKeys {
    /// Without the secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsKeys")
            .field("access_key_id", &self.access_key_id)
            .field("expiration", &self.expiration)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for BearerToken {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerToken").field("expiration", &self.expiration).finish_non_exhaustive()
    }
}

impl fmt::Debug for Secrets {
    /// Names alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: BTreeMap<_, Vec<_>> =
            self.bundle.iter().map(|(name, fields)| (name, fields.keys().collect())).collect();
        f.debug_struct("Secrets")
            .field("bundle", &names)
            .field("expiration", &self.expiration)
            .field("issued", &self.issued)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_show_names_alone() {
        let field = ("value".to_owned(), Zeroizing::new(b"geheim".to_vec()));
        let bundle = BTreeMap::from([("api-key".to_owned(), BTreeMap::from([field]))]);
        let secrets = Secrets { bundle, expiration: UnixTime::MAX, issued: None };
        let shown = format!("{secrets:?}");
        assert!(shown.contains("api-key") && shown.contains("value"), "{shown}");
        assert!(!shown.contains("geheim") && !shown.contains("103, 101"), "{shown}");
        assert!(!Credential::Secrets(secrets.clone()).is_empty());
        let none = Secrets { bundle: BTreeMap::new(), ..secrets };
        assert!(Credential::Secrets(none.clone()).is_empty());
        let bundle = BTreeMap::from([("api-key".to_owned(), BTreeMap::new())]);
        assert!(Credential::Secrets(Secrets { bundle, ..none }).is_empty());
    }
}
