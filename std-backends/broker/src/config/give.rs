//! `give` in `[grants.NAME]`: which credential.

use std::collections::BTreeMap;
use std::path::PathBuf;

use cloudauth_client::{AzureToken, GcpOauth, GcpToken, RolesAnywhere};
use cloudauth_keys::KeyUri;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// Which credential a grant gives, by its `kind`.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Give {
    /// `aws-assume-role`
    AwsAssumeRole(Box<AssumeRole>),
    /// `aws-roles-anywhere`
    AwsRolesAnywhere(Box<RolesAnywhere>),
    /// `aws-session-token`
    AwsSessionToken(SessionToken),
    /// `azure-token`
    AzureToken(Box<AzureToken>),
    /// `gcp-token`
    GcpToken(GcpToken),
    /// `gcp-oauth`
    GcpOauth(GcpOauth),
    /// `secrets`
    Secrets(Box<Secrets>),
}

/// A session of a role. Texts may be a claim of the token, as `${claim:/pointer}` and nothing else.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct AssumeRole {
    /// The profile whose credentials call; without one, the access key below does.
    pub(crate) profile: Option<String>,
    /// The access key id; else `AWS_ACCESS_KEY_ID`.
    pub(crate) access_key_id: Option<String>,
    /// Its secret: in a device, a file or a variable; else `env:AWS_SECRET_ACCESS_KEY`.
    #[serde(default, deserialize_with = "key")]
    pub(crate) key: Option<KeyUri>,
    pub(crate) role_arn: String,
    pub(crate) region: String,
    /// The life of the credentials in seconds: 3600. Nobody gets a longer one.
    #[serde(default = "hour")]
    pub(crate) duration: u32,
    /// The session's name; for Google, the instance's id unless another is given.
    pub(crate) session_name: Option<String>,
    /// A session policy, in JSON.
    pub(crate) policy: Option<String>,
    /// The same, in a file.
    pub(crate) policy_file: Option<PathBuf>,
    #[serde(default)]
    pub(crate) policy_arns: Vec<String>,
    /// Session tags.
    #[serde(default)]
    pub(crate) tags: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) transitive_tag_keys: Vec<String>,
    pub(crate) source_identity: Option<String>,
    pub(crate) external_id: Option<String>,
    /// Let the session policy deny what does not come from the client's address.
    #[serde(default)]
    pub(crate) source_ip: bool,
    pub(crate) endpoint_url: Option<String>,
}

/// Temporary credentials with all the rights of the broker's own user.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct SessionToken {
    /// That this is meant.
    #[serde(default)]
    pub(crate) accept_base_rights: bool,
    /// The access key id; else `AWS_ACCESS_KEY_ID`.
    pub(crate) access_key_id: Option<String>,
    /// Its secret; else `env:AWS_SECRET_ACCESS_KEY`.
    #[serde(default, deserialize_with = "key")]
    pub(crate) key: Option<KeyUri>,
    pub(crate) region: String,
    /// The life of the credentials in seconds: 3600. Nobody gets a longer one.
    #[serde(default = "hour")]
    pub(crate) duration: u32,
    pub(crate) endpoint_url: Option<String>,
}

/// A bundle of secrets.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Secrets {
    /// How long clients may hold them without asking again, in seconds: 3600.
    #[serde(default = "hour")]
    pub(crate) lease: u32,
    /// The URL of the vault, for secrets that name none of their own.
    pub(crate) vault: Option<String>,
    /// Where requests to vaults are sent, when not to their hosts.
    pub(crate) vault_endpoint_url: Option<String>,
    /// The profile whose tokens the vaults take; without one, the fields below.
    pub(crate) profile: Option<String>,
    #[serde(default)]
    pub(crate) secrets: BTreeMap<String, Secret>,
    /// The fields of an azure-token, without its scopes. They are checked as such.
    #[serde(flatten)]
    pub(crate) token: toml::Table,
}

/// Where one secret is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Secret {
    /// A secret of a vault.
    pub(crate) secret: Option<String>,
    /// A certificate of a vault, with its private key.
    pub(crate) certificate: Option<String>,
    /// A file of the broker.
    pub(crate) file: Option<PathBuf>,
    /// Its version; else the present one.
    pub(crate) version: Option<String>,
    /// The URL of its vault, where it is another.
    pub(crate) vault: Option<String>,
}

const fn hour() -> u32 {
    3600
}

/// The error does not repeat the text.
fn key<'de, D: Deserializer<'de>>(from: D) -> Result<Option<KeyUri>, D::Error> {
    String::deserialize(from)?.parse().map(Some).map_err(D::Error::custom)
}
