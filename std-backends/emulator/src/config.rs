//! What the emulated services know: users, roles, trust anchors, applications, service accounts.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fmt, fs};

use serde::Deserialize;

use crate::EmulatorError;
use crate::attestation::Attestation;
use crate::keyvault::Vault;

/// The accounts, keys and identities that the emulated services know.
///
/// The same names in TOML ([`Config::from_toml`]), in the JSON of `POST /_emulator/register`, and
/// here. Nothing is trusted that is not registered. Values that hold PEM text or a key set may be
/// the text itself or, in a TOML file, the path of a file, relative to that file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What AWS knows.
    pub aws: Aws,
    /// What Microsoft Entra ID knows.
    pub entra: Entra,
    /// What Google knows.
    pub google: Google,
    /// What the attestation services find.
    pub attestation: Attestation,
    /// The vaults of Azure Key Vault.
    pub vaults: Vec<Vault>,
    /// The OpenID Connect issuers whose tokens the three clouds can check.
    pub issuers: Vec<Issuer>,
}

/// What AWS knows.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Aws {
    /// IAM users, each with one access key.
    pub users: Vec<AwsUser>,
    /// IAM roles.
    pub roles: Vec<AwsRole>,
    /// Trust anchors of IAM Roles Anywhere.
    pub trust_anchors: Vec<TrustAnchor>,
    /// Profiles of IAM Roles Anywhere.
    pub profiles: Vec<Profile>,
    /// S3 buckets that are there from the start.
    pub buckets: Vec<Bucket>,
}

/// An IAM user with one access key.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwsUser {
    /// `arn:aws:iam::<account>:user/<name>`.
    pub arn: String,
    /// The access key's identifier, `AKIA…`.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: Secret,
    /// The serial number of the user's MFA device.
    #[serde(default)]
    pub mfa_serial: Option<String>,
    /// The one code that this MFA device shows.
    #[serde(default)]
    pub mfa_code: Option<Secret>,
}

/// An IAM role and who may assume it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwsRole {
    /// `arn:aws:iam::<account>:role/<name>`.
    pub arn: String,
    /// The ARNs that may call `AssumeRole`: users, roles (for role chaining), or `*`.
    #[serde(default)]
    pub trust: Vec<String>,
    /// The external identifier that `AssumeRole` must give.
    #[serde(default)]
    pub external_id: Option<String>,
    /// The longest session in seconds, 3600 unless given.
    #[serde(default = "hour")]
    pub max_duration: u32,
    /// The web identities that may assume the role.
    #[serde(default)]
    pub web_identity: Vec<WebIdentity>,
    /// Whether the role trusts `rolesanywhere.amazonaws.com`.
    #[serde(default)]
    pub roles_anywhere: bool,
}

/// A web identity that a role trusts.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebIdentity {
    /// The `iss` of the token, which must be one of [`Config::issuers`].
    pub issuer: String,
    /// The `aud` of the token.
    pub audience: String,
    /// The `sub` of the token; any unless given.
    #[serde(default)]
    pub subject: Option<String>,
}

/// A trust anchor of IAM Roles Anywhere.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustAnchor {
    /// `arn:aws:rolesanywhere:<region>:<account>:trust-anchor/<id>`.
    pub arn: String,
    /// The certification authorities: one or two certificates in PEM.
    pub certificates: String,
}

/// A profile of IAM Roles Anywhere.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// `arn:aws:rolesanywhere:<region>:<account>:profile/<id>`.
    pub arn: String,
    /// The roles that the profile may hand out.
    pub roles: Vec<String>,
    /// Whether the caller may choose the session's name.
    #[serde(default)]
    pub accept_role_session_name: bool,
    /// The longest session in seconds, 3600 unless given.
    #[serde(default = "hour")]
    pub duration: u32,
}

/// An S3 bucket.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bucket {
    /// The bucket's name.
    pub name: String,
    /// Objects that are there from the start: key and text.
    #[serde(default)]
    pub objects: BTreeMap<String, String>,
}

/// What Microsoft Entra ID knows.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Entra {
    /// The applications, each in its tenant.
    pub applications: Vec<Application>,
}

/// An application (service principal) of Entra ID.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Application {
    /// The tenant's identifier or domain.
    pub tenant: String,
    /// The application's (client's) identifier.
    pub client_id: String,
    /// Client secrets.
    #[serde(default)]
    pub secrets: Vec<Secret>,
    /// Certificates whose keys sign client assertions, in PEM.
    #[serde(default)]
    pub certificates: Vec<String>,
    /// Federated credentials.
    #[serde(default)]
    pub federated: Vec<Federated>,
}

/// A federated credential of an application: the three must match exactly.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Federated {
    /// The `iss` of the assertion, which must be one of [`Config::issuers`].
    pub issuer: String,
    /// The `sub` of the assertion.
    pub subject: String,
    /// The `aud` of the assertion, `api://AzureADTokenExchange` unless given.
    #[serde(default = "azure_audience")]
    pub audience: String,
}

/// What Google knows.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Google {
    /// Service accounts.
    pub service_accounts: Vec<ServiceAccount>,
    /// Providers of workload identity pools.
    pub providers: Vec<Provider>,
}

/// A service account of Google Cloud.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceAccount {
    /// The account's address.
    pub email: String,
    /// The keys that sign its assertions.
    #[serde(default)]
    pub keys: Vec<AccountKey>,
    /// Who may make tokens for it: addresses of service accounts and
    /// `principal://iam.googleapis.com/projects/…/subject/<sub>`.
    #[serde(default)]
    pub impersonators: Vec<String>,
}

/// A key of a service account.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountKey {
    /// `private_key_id` in the account's JSON, `kid` in its assertions.
    pub id: String,
    /// The RSA public key or a certificate of it, in PEM.
    pub public_key: String,
}

/// An OpenID Connect provider of a workload identity pool.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// `//iam.googleapis.com/projects/<number>/locations/global/workloadIdentityPools/<pool>/providers/<provider>`.
    pub audience: String,
    /// The `iss` of subject tokens, which must be one of [`Config::issuers`].
    pub issuer: String,
    /// The `aud` that subject tokens may have; unless given, the provider's own name, with or
    /// without `https:`.
    #[serde(default)]
    pub allowed_audiences: Vec<String>,
}

/// An OpenID Connect issuer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// The `iss` of its tokens.
    pub url: String,
    /// Its key set (RFC 7517).
    pub jwks: String,
}

/// A secret: never shown.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

const fn hour() -> u32 {
    3600
}

fn azure_audience() -> String {
    "api://AzureADTokenExchange".to_owned()
}

/// The tenant of [`Config::demo`].
pub(crate) const DEMO_TENANT: &str = "11111111-2222-3333-4444-555555555555";

impl Config {
    /// Identities that everybody knows, for a first try: AWS's documented example key for the user
    /// `demo`, a role `demo` that the user may assume and a bucket `demo`; in Entra ID the tenant
    /// `11111111-2222-3333-4444-555555555555` with the application
    /// `66666666-7777-8888-9999-000000000000`, whose secret is `demo-secret`.
    #[must_use]
    pub fn demo() -> Self {
        let user = AwsUser {
            arn: "arn:aws:iam::123456789012:user/demo".to_owned(),
            access_key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
            mfa_serial: None,
            mfa_code: None,
        };
        let role = AwsRole {
            arn: "arn:aws:iam::123456789012:role/demo".to_owned(),
            trust: vec![user.arn.clone()],
            external_id: None,
            max_duration: 43_200,
            web_identity: Vec::new(),
            roles_anywhere: true,
        };
        let bucket = Bucket {
            name: "demo".to_owned(),
            objects: BTreeMap::from([("hello.txt".to_owned(), "hello\n".to_owned())]),
        };
        let application = Application {
            tenant: DEMO_TENANT.to_owned(),
            client_id: "66666666-7777-8888-9999-000000000000".to_owned(),
            secrets: vec!["demo-secret".into()],
            certificates: Vec::new(),
            federated: Vec::new(),
        };
        Self {
            aws: Aws {
                users: vec![user],
                roles: vec![role],
                buckets: vec![bucket],
                ..Aws::default()
            },
            entra: Entra { applications: vec![application] },
            ..Self::default()
        }
    }

    /// Reads a TOML file, and the files that it names for PEM text and key sets.
    ///
    /// # Errors
    /// [`EmulatorError::Config`]: a file cannot be read, or a name in it is unknown or missing.
    pub fn from_file(path: &Path) -> Result<Self, EmulatorError> {
        let text = fs::read_to_string(path)
            .map_err(|e| EmulatorError::Config(format!("reading {}: {e}", path.display())))?;
        let mut config = Self::from_toml(&text).map_err(|e| match e {
            EmulatorError::Config(what) => {
                EmulatorError::Config(format!("{}: {what}", path.display()))
            }
            other => other,
        })?;
        let folder = path.parent().unwrap_or(Path::new("."));
        for value in config.texts() {
            if !is_text(value) {
                let file = folder.join(&*value);
                *value = fs::read_to_string(&file).map_err(|e| {
                    EmulatorError::Config(format!("reading {}: {e}", file.display()))
                })?;
            }
        }
        Ok(config)
    }

    /// Reads TOML.
    ///
    /// # Errors
    /// [`EmulatorError::Config`]: a name is unknown or missing, with the line it is in.
    pub fn from_toml(text: &str) -> Result<Self, EmulatorError> {
        // Without the source line that `Display` shows: a secret may stand in it.
        toml::from_str(text).map_err(|e| {
            let line = e.span().and_then(|span| text.get(..span.start));
            let line = line.map_or(0, |before| before.matches('\n').count().saturating_add(1));
            EmulatorError::Config(format!("line {line}: {}", e.message()))
        })
    }

    /// Every value that may be a file's name.
    fn texts(&mut self) -> impl Iterator<Item = &mut String> {
        let anchors = self.aws.trust_anchors.iter_mut().map(|a| &mut a.certificates);
        let applications = self.entra.applications.iter_mut().flat_map(|a| &mut a.certificates);
        let accounts = self.google.service_accounts.iter_mut().flat_map(|a| &mut a.keys);
        let issuers = self.issuers.iter_mut().map(|i| &mut i.jwks);
        anchors.chain(applications).chain(accounts.map(|k| &mut k.public_key)).chain(issuers)
    }
}

/// PEM text or a JSON object, as against the name of a file.
fn is_text(value: &str) -> bool {
    value.contains("-----BEGIN") || value.trim_start().starts_with('{')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_beside_the_toml() {
        let folder = tempfile::tempdir().unwrap();
        let toml = folder.path().join("config.toml");
        fs::write(folder.path().join("keys.json"), "{\"keys\":[]}").unwrap();
        fs::write(&toml, "[[issuers]]\nurl = 'https://a.example'\njwks = 'keys.json'\n").unwrap();
        assert_eq!(Config::from_file(&toml).unwrap().issuers[0].jwks, "{\"keys\":[]}");
        fs::write(&toml, "[[issuers]]\nurl = 'https://a.example'\njwks = 'none.json'\n").unwrap();
        let error = Config::from_file(&toml).unwrap_err().to_string();
        assert!(error.contains("none.json"), "{error}");
    }

    #[test]
    fn errors_name_the_line_and_no_secret() {
        let text =
            "[[aws.users]]\narn = 'a'\naccess_key_id = 'b'\nsecret_access_key = 'hidden'\nx = 1\n";
        let error = Config::from_toml(text).unwrap_err().to_string();
        assert!(error.contains("`x`") && error.contains("line 5"), "{error}");
        let error = Config::from_toml("[[aws.users]]\nsecret_access_key = 'hidden").unwrap_err();
        assert!(!error.to_string().contains("hidden"), "{error}");
        assert!(!format!("{:?}", Config::demo()).contains("EXAMPLEKEY"));
    }
}
