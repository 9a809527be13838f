//! Credentials of AWS.

mod assume_role;
mod caller_identity;
mod roles_anywhere;
mod session_token;
mod web_identity;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use cloudauth_core::aws::sigv4::SigV4;
use cloudauth_core::aws::{Credentials, SecretAccessKey, SigningKey};
use cloudauth_core::{Mac, UnixTime, json};
use cloudauth_keys::{KeyUri, SecretRef};
use zeroize::Zeroizing;

use crate::environment::{given, variable};
use crate::file_cache::CacheKey;
use crate::flow::Issued;
use crate::{AwsKeys, Credential, Error, Inputs, Result};

pub use assume_role::AssumeRole;
pub use caller_identity::{CallerIdentity, Identity};
pub use roles_anywhere::RolesAnywhere;
pub use session_token::SessionToken;
pub use web_identity::WebIdentity;

/// A code of multi-factor authentication. It does not show itself.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenCode(String);

impl From<String> for TokenCode {
    fn from(code: String) -> Self {
        Self(code)
    }
}

impl TokenCode {
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for TokenCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenCode(…)")
    }
}

/// Who calls STS: an access key id and where its secret is.
pub(crate) struct Caller<'a> {
    pub(crate) access_key_id: Option<&'a str>,
    pub(crate) key: Option<&'a KeyUri>,
    pub(crate) session_token: Option<&'a SecretRef>,
}

/// A caller, opened.
pub(crate) struct Signer {
    region: String,
    access_key_id: String,
    session_token: Option<Zeroizing<String>>,
    secret: SecretKey,
}

enum SecretKey {
    /// Of another provider's credentials.
    Temporary(SecretAccessKey),
    /// In a device, a file or a variable.
    Named(KeyUri, Arc<Inputs>),
}

impl Signer {
    /// `base` is the credential of the provider that the call stands on, if it stands on one.
    pub(crate) fn open(
        caller: Caller<'_>,
        base: Option<&Credential>,
        region: Option<&str>,
        inputs: &Arc<Inputs>,
    ) -> Result<Self> {
        let region = self::region(region)?;
        if let Some(base) = base {
            let Credential::Aws(keys) = base else {
                return Err(Error::config(
                    "source profile",
                    "gives no AWS credentials; name a profile of a kind that begins with aws-",
                ));
            };
            return Ok(Self {
                region,
                access_key_id: keys.access_key_id.clone(),
                session_token: Some(keys.session_token.clone()),
                secret: SecretKey::Temporary(SecretAccessKey::new(&keys.secret_access_key)?),
            });
        }
        let access_key_id = given(caller.access_key_id, "access-key-id", &["AWS_ACCESS_KEY_ID"])?;
        let session_token = match caller.session_token {
            Some(reference) => Some(inputs.secret(reference, "session token")?),
            None if caller.access_key_id.is_none() => {
                variable("AWS_SESSION_TOKEN")?.map(Zeroizing::new)
            }
            None => None,
        };
        let secret = match caller.key {
            Some(uri) => uri.clone(),
            None => KeyUri::parse("env:AWS_SECRET_ACCESS_KEY")?,
        };
        let secret = SecretKey::Named(secret, inputs.clone());
        Ok(Self { region, access_key_id, session_token, secret })
    }

    /// Who calls and where. A secret needs no place here: it belongs to its id.
    pub(crate) fn identity(&self, key: CacheKey) -> CacheKey {
        key.field("region", self.region.as_bytes())
            .field("access key id", self.access_key_id.as_bytes())
    }

    /// Gives `with` what signs at `time`.
    pub(crate) fn sign<T>(
        &self,
        time: UnixTime,
        with: impl FnOnce(SigV4<'_>) -> Result<T>,
    ) -> Result<T> {
        let derive = |mac: &dyn Mac| SigningKey::derive(mac, time, &self.region, "sts");
        let key = match &self.secret {
            SecretKey::Temporary(secret) => derive(secret)?,
            SecretKey::Named(uri, inputs) => derive(&*inputs.mac_key(uri)?)?,
        };
        let session_token = self.session_token.as_ref().map(|token| token.as_str());
        with(SigV4 { session_token, ..SigV4::new(&self.access_key_id, &key) })
    }
}

/// The region, else that of the variables of AWS's own tools.
pub(crate) fn region(region: Option<&str>) -> Result<String> {
    given(region, "region", &["AWS_REGION", "AWS_DEFAULT_REGION"])
}

/// A session policy: JSON in a file.
pub(crate) fn policy(path: Option<&Path>, inputs: &Inputs) -> Result<Option<Zeroizing<String>>> {
    let Some(path) = path else { return Ok(None) };
    let policy = inputs.text(path, "policy")?;
    json::parse(&mut policy.as_bytes().to_vec())
        .map_err(|e| Error::config(inputs.place(path), format!("the policy is no JSON: {e}")))?;
    Ok(Some(policy))
}

pub(crate) fn keys(credentials: &Credentials<'_>) -> Issued {
    Issued::Until(Credential::Aws(AwsKeys {
        access_key_id: credentials.access_key_id.to_owned(),
        secret_access_key: Zeroizing::new(credentials.secret_access_key.expose().to_owned()),
        session_token: Zeroizing::new(credentials.session_token.expose().to_owned()),
        expiration: credentials.expiration,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_does_not_show_itself() {
        let source = SessionToken {
            token_code: Some("123456".to_owned().into()),
            ..SessionToken::default()
        };
        assert!(format!("{source:?}").contains("TokenCode"));
        assert!(!format!("{source:?}").contains("123456"));
    }
}
