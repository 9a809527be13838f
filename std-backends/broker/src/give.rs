//! What a grant gives: a credential of one cloud, for a workload that was granted it.

pub(crate) mod secrets;
mod session_policy;
mod text;

use std::net::IpAddr;
use std::time::Duration;

use cloudauth_client::{
    AssumeRole as AssumeRoleSource, Client, Credential, Error, Provider, SessionToken, Source,
};
use cloudauth_core::json::Value;

use crate::config::issuer::Kind;
use crate::config::{Config, give};
use crate::decision::{GiveError, Given};
use crate::error::LoadError;
use secrets::Secrets;
use session_policy::SessionPolicy;
use text::Text;

/// How long a credential may take.
const LIMIT: Duration = Duration::from_secs(25);
/// How much of its life a credential that several workloads get must have before it, in seconds.
const LEAST_LIFE: u64 = 300;
/// The least life that AWS gives, in seconds.
const LEAST_DURATION: u32 = 900;

/// What a grant gives, checked.
#[derive(Debug)]
pub(crate) enum Give {
    /// A session of its own for each workload.
    AssumeRole(Box<AssumeRole>),
    /// A credential of its own for each workload, without a claim in it.
    SessionToken(Box<SessionToken>),
    /// One credential for all, as long as it is good; for who asks for a shorter life, one of its own. AWS wants
    /// the region beside it.
    Shared { provider: Provider, region: Option<String> },
    /// The same secrets for all, fetched anew for each.
    Secrets(Box<Secrets>),
}

/// A role's session.
#[derive(Debug)]
pub(crate) struct AssumeRole {
    source: AssumeRoleSource,
    base: Option<Provider>,
    /// What all the others stand on: its key signs first.
    ground: Option<Source>,
    region: String,
    session_name: Text,
    policy: Option<SessionPolicy>,
    source_ip: bool,
    tags: Vec<(String, Text)>,
    source_identity: Option<Text>,
}

/// What is asked of a cloud for one workload: everything that its claims have a part in stands fixed.
#[derive(Clone, Debug)]
pub(crate) enum Order {
    /// This call.
    Call(Box<Source>),
    /// What is shared.
    Shared,
}

impl Give {
    /// # Errors
    /// [`LoadError`] with all that is wrong.
    pub(crate) fn new(
        table: &toml::Table,
        kind: Kind,
        config: &Config,
        profiles: &cloudauth_client::Config,
        client: &Client,
    ) -> Result<Self, LoadError> {
        match crate::config::section::<give::Give>(table)? {
            give::Give::AwsAssumeRole(own) => Ok(Self::AssumeRole(Box::new(AssumeRole::new(
                *own, kind, config, profiles, client,
            )?))),
            give::Give::AwsSessionToken(own) => Self::session_token(own),
            give::Give::AwsRolesAnywhere(own) => {
                let mut wrong = LoadError::default();
                check_duration(own.duration.unwrap_or(3600), 43_200, &mut wrong);
                let region = own.region.clone();
                let region =
                    region.or_else(|| Some(own.trust_anchor_arn.split(':').nth(3)?.into()));
                if region.as_deref().is_none_or(str::is_empty) {
                    wrong.add("region", "is missing; clients are told where to use the credential");
                }
                wrong.finish()?;
                Ok(Self::shared(Source::AwsRolesAnywhere(*own), region, config, client))
            }
            give::Give::AzureToken(own) => {
                let mut wrong = LoadError::default();
                if own.tenant.is_none() {
                    wrong.add("tenant", "is missing; a grant fixes it");
                }
                if own.scopes.is_empty() {
                    wrong.add("scopes", "are missing; a grant fixes what its token is for");
                }
                wrong.finish()?;
                Ok(Self::shared(Source::AzureToken(*own), None, config, client))
            }
            give::Give::GcpToken(own) => {
                check_scopes(own.scopes.is_empty() && own.audience.is_none(), own.lifetime)?;
                Ok(Self::shared(Source::GcpToken(own), None, config, client))
            }
            give::Give::GcpOauth(own) => {
                check_scopes(own.scopes.is_empty(), own.lifetime)?;
                Ok(Self::shared(Source::GcpOauth(own), None, config, client))
            }
            give::Give::Secrets(own) => {
                Ok(Self::Secrets(Box::new(Secrets::new(*own, config, profiles, client)?)))
            }
        }
    }

    fn shared(
        mut source: Source,
        region: Option<String>,
        config: &Config,
        client: &Client,
    ) -> Self {
        source.resolve_paths(&config.folder);
        Self::Shared { provider: client.provider(source), region }
    }

    fn session_token(own: give::SessionToken) -> Result<Self, LoadError> {
        let mut wrong = LoadError::default();
        if !own.accept_base_rights {
            let help = "GetSessionToken gives all the rights of the broker's own user, whatever is attested; \
                        use aws-assume-role, or write accept-base-rights = true";
            wrong.add("accept-base-rights", help);
        }
        check_duration(own.duration, 129_600, &mut wrong);
        wrong.finish()?;
        Ok(Self::SessionToken(Box::new(SessionToken {
            access_key_id: own.access_key_id,
            key: own.key,
            region: Some(own.region),
            duration: Some(own.duration),
            endpoint_url: own.endpoint_url,
            ..SessionToken::default()
        })))
    }

    /// What it is, for records.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::AssumeRole(_) => "aws-assume-role",
            Self::SessionToken(_) => "aws-session-token",
            Self::Shared { provider, .. } => provider.source().kind(),
            Self::Secrets(_) => "secrets",
        }
    }

    /// The role whose credentials it gives.
    pub(crate) fn role_arn(&self) -> Option<&str> {
        match self {
            Self::AssumeRole(give) => Some(&give.source.role_arn),
            Self::Shared { provider, .. } => match provider.source() {
                Source::AwsRolesAnywhere(source) => Some(&source.role_arn),
                _ => None,
            },
            Self::SessionToken(_) | Self::Secrets(_) => None,
        }
    }

    /// The longest life in seconds of what AWS gives.
    pub(crate) fn duration(&self) -> Option<u32> {
        match self {
            Self::AssumeRole(give) => give.source.duration,
            Self::SessionToken(source) => source.duration,
            Self::Shared { provider, .. } => match provider.source() {
                Source::AwsRolesAnywhere(source) => Some(source.duration.unwrap_or(3600)),
                _ => None,
            },
            Self::Secrets(_) => None,
        }
    }

    /// What its token is for, with spaces between, as in a token request to Entra ID.
    pub(crate) fn azure_scope(&self) -> Option<String> {
        match self {
            Self::Shared { provider, .. } => match provider.source() {
                Source::AzureToken(source) => Some(source.scopes.join(" ")),
                _ => None,
            },
            _ => None,
        }
    }

    /// The claims that become part of the credential: in which field, and their JSON pointers.
    pub(crate) fn claims(&self) -> Vec<(String, &str)> {
        match self {
            Self::AssumeRole(give) => give.claims(),
            Self::SessionToken(_) | Self::Shared { .. } | Self::Secrets(_) => Vec::new(),
        }
    }

    /// Puts the claims of a token in their places. `duration` is what the client asked for, within the cap.
    ///
    /// # Errors
    /// Which text cannot be made of these claims, and why; never a claim's value.
    pub(crate) fn order(
        &self,
        claims: &Value<'_>,
        client: IpAddr,
        duration: Option<u32>,
    ) -> Result<Order, String> {
        Ok(match self {
            Self::AssumeRole(give) => {
                let mut source = give.order(claims, client)?;
                source.duration = duration.or(source.duration);
                Order::Call(Box::new(source.into()))
            }
            Self::SessionToken(source) => {
                let mut source = (**source).clone();
                source.duration = duration.or(source.duration);
                Order::Call(Box::new(source.into()))
            }
            Self::Shared { provider, .. } => match provider.source() {
                // What is shared lives as long as the grant says, not as the client wants.
                Source::AwsRolesAnywhere(source)
                    if duration.is_some_and(|d| Some(d) != self.duration()) =>
                {
                    let source = cloudauth_client::RolesAnywhere { duration, ..source.clone() };
                    Order::Call(Box::new(source.into()))
                }
                _ => Order::Shared,
            },
            Self::Secrets(_) => Order::Shared,
        })
    }

    /// Opens files and keys, and signs what would be sent, where that takes no network.
    ///
    /// # Errors
    /// What cannot be read, opened or signed.
    pub(crate) fn try_keys(&self, client: &Client) -> cloudauth_client::Result<()> {
        let at = client.attempt()?;
        let inputs = client.inputs();
        let call = match self {
            Self::AssumeRole(give) => match &give.base {
                Some(base) => give.ground.as_ref().unwrap_or(base.source()).clone(),
                None => {
                    let mut source = give.source.clone();
                    source.session_name = "check".into();
                    source.into()
                }
            },
            Self::SessionToken(source) => (**source).clone().into(),
            Self::Shared { provider, .. } => provider.source().clone(),
            Self::Secrets(give) => return give.try_keys(client),
        };
        match &call {
            Source::GcpToken(token) => token.sign(inputs, &at).map(drop),
            source => source.request(inputs, None, &at, |_| ()),
        }
    }

    /// Gets the credential.
    ///
    /// # Errors
    /// [`GiveError`].
    pub(crate) async fn give(&self, order: &Order, client: &Client) -> Result<Given, GiveError> {
        let slow = || {
            let help = format!("the cloud gave nothing within {} s", LIMIT.as_secs());
            GiveError::Unavailable(help)
        };
        tokio::time::timeout(LIMIT, self.get(order, client)).await.map_err(|_| slow())?
    }

    async fn get(&self, order: &Order, client: &Client) -> Result<Given, GiveError> {
        let (credential, region) = match (self, order) {
            (Self::Secrets(give), Order::Shared) => return give.get(client).await,
            (Self::AssumeRole(give), Order::Call(source)) => {
                let provider = client.chained((**source).clone(), give.base.clone());
                (provider.credential().await.map_err(failed)?, Some(&give.region))
            }
            (Self::SessionToken(give), Order::Call(source)) => {
                let provider = client.provider((**source).clone());
                (provider.credential().await.map_err(failed)?, give.region.as_ref())
            }
            (Self::Shared { provider, region }, Order::Shared) => {
                let mut credential = provider.credential().await.map_err(failed)?;
                if !lasts(&credential, client)? {
                    // A renewal failed, or the provider keeps it to its end.
                    provider.invalidate();
                    credential = provider.credential().await.map_err(failed)?;
                }
                if !lasts(&credential, client)? {
                    return Err(GiveError::Unavailable(
                        "the cloud's credential ends within 5 minutes".into(),
                    ));
                }
                (credential, region.as_ref())
            }
            (Self::Shared { region, .. }, Order::Call(source)) => {
                let provider = client.provider((**source).clone());
                (provider.credential().await.map_err(failed)?, region.as_ref())
            }
            _ => {
                return Err(GiveError::Unavailable("the grant was changed meanwhile".into()));
            }
        };
        Ok(match (&*credential, region) {
            (Credential::Aws(keys), Some(region)) => Given::Aws(keys.clone(), region.clone()),
            (Credential::Bearer(token), _) => Given::Bearer(token.clone()),
            _ => return Err(GiveError::Upstream("gave another kind of credential".into())),
        })
    }
}

impl AssumeRole {
    fn new(
        own: give::AssumeRole,
        kind: Kind,
        config: &Config,
        profiles: &cloudauth_client::Config,
        client: &Client,
    ) -> Result<Self, LoadError> {
        let mut wrong = LoadError::default();
        let base = match &own.profile {
            Some(_) if own.access_key_id.is_some() || own.key.is_some() => {
                wrong.add("profile", "give it, or an access key, not both");
                None
            }
            Some(name) => match profiles.provider(client, name) {
                Ok(provider) if provider.source().kind().starts_with("aws-") => Some(provider),
                Ok(_) => {
                    wrong.add("profile", "name one of a kind that begins with aws-");
                    None
                }
                Err(error) => {
                    wrong.add("profile", error);
                    None
                }
            },
            None => None,
        };
        check_duration(own.duration, 43_200, &mut wrong);
        let mut text = |field: &str, value: &str, of: fn(&str) -> Result<Text, String>| {
            of(value).map_err(|help| wrong.add(field, help)).ok()
        };
        let session_name = match (&own.session_name, kind) {
            (Some(value), _) => text("session-name", value, Text::name),
            (None, Kind::ConfidentialSpace) => Some(Text::instance_id()),
            (None, Kind::Maa) => {
                wrong.add("session-name", "is missing: give a text, or \"${claim:/pointer}\"");
                None
            }
        };
        let mut text = |field: &str, value: &str, of: fn(&str) -> Result<Text, String>| {
            of(value).map_err(|help| wrong.add(field, help)).ok()
        };
        let identity = own.source_identity.as_deref();
        let source_identity = identity.and_then(|value| text("source-identity", value, Text::name));
        let tags = own.tags.iter().filter_map(|(key, value)| {
            Some((key.clone(), text(&format!("tags.{key}"), value, Text::tag)?))
        });
        let tags: Vec<_> = tags.collect();
        let policy = match (&own.policy, &own.policy_file) {
            (Some(_), Some(_)) => {
                wrong.add("policy", "give it, or policy-file, not both");
                None
            }
            (Some(text), None) => {
                wrong.take(SessionPolicy::parse(text).map_err(|e| LoadError::one("policy", e)))
            }
            (None, Some(path)) => wrong.take(SessionPolicy::from_file(&config.folder.join(path))),
            (None, None) => None,
        };
        if own.source_ip && own.policy.is_none() && own.policy_file.is_none() {
            let help =
                "adds to a session policy, which says what is allowed: give policy or policy-file";
            wrong.add("source-ip", help);
        }
        // The profiles that stand on others sign with what only calls can get.
        let mut ground = own.profile.as_ref().and_then(|name| profiles.profiles.get(name));
        while let Some(next) = ground.and_then(Source::source_profile) {
            ground = profiles.profiles.get(next);
        }
        let ground = ground.cloned();
        let source = AssumeRoleSource {
            source_profile: own.profile,
            access_key_id: own.access_key_id,
            key: own.key,
            role_arn: own.role_arn,
            region: Some(own.region.clone()),
            duration: Some(own.duration),
            policy_arns: own.policy_arns,
            transitive_tag_keys: own.transitive_tag_keys,
            external_id: own.external_id,
            endpoint_url: own.endpoint_url,
            ..AssumeRoleSource::default()
        };
        wrong.finish()?;
        let session_name = session_name.unwrap_or_else(Text::instance_id);
        Ok(Self {
            source,
            base,
            ground,
            region: own.region,
            session_name,
            policy,
            source_ip: own.source_ip,
            tags,
            source_identity,
        })
    }

    fn claims(&self) -> Vec<(String, &str)> {
        let identity = self.source_identity.iter().map(|text| ("source-identity".into(), text));
        let tags = self.tags.iter().map(|(key, text)| (format!("tags.{key}"), text));
        let texts = [("session-name".into(), &self.session_name)].into_iter();
        let texts = texts.chain(identity).chain(tags);
        let policy = self.policy.iter().flat_map(SessionPolicy::claims);
        texts
            .filter_map(|(field, text)| Some((field, text.claim()?)))
            .chain(policy.map(|pointer| ("policy".into(), pointer)))
            .collect()
    }

    fn order(&self, claims: &Value<'_>, client: IpAddr) -> Result<AssumeRoleSource, String> {
        let mut source = self.source.clone();
        let named =
            |field: &str, text: &Text| text.fill(claims).map_err(|help| format!("{field}: {help}"));
        source.session_name = named("session-name", &self.session_name)?;
        source.source_identity =
            self.source_identity.as_ref().map(|t| named("source-identity", t)).transpose()?;
        for (key, value) in &self.tags {
            source.tags.push((key.clone(), named(&format!("tags.{key}"), value)?));
        }
        if let Some(policy) = &self.policy {
            let client = self.source_ip.then_some(client);
            let text = policy.fill(claims, client).map_err(|help| format!("policy: {help}"))?;
            source.policy_text = Some(text);
        }
        Ok(source)
    }
}

fn check_duration(duration: u32, most: u32, wrong: &mut LoadError) {
    if !(LEAST_DURATION..=most).contains(&duration) {
        wrong.add("duration", format!("expected {LEAST_DURATION} to {most} seconds"));
    }
}

fn check_scopes(missing: bool, lifetime: Option<u32>) -> Result<(), LoadError> {
    let mut wrong = LoadError::default();
    if missing {
        wrong.add("scopes", "are missing; a grant fixes what its token is for");
    }
    if lifetime.is_some_and(|lifetime| !(2 * LEAST_LIFE..=3600).contains(&lifetime.into())) {
        wrong.add("lifetime", "expected 600 to 3600 seconds");
    }
    wrong.finish()
}

/// Whether there is enough life before it.
fn lasts(credential: &Credential, client: &Client) -> Result<bool, GiveError> {
    let now = client.attempt().map_err(failed)?.time();
    Ok(credential.expiration().as_secs() >= now.as_secs().saturating_add(LEAST_LIFE))
}

/// Whether it is the cloud that says no, or something that may pass.
fn failed(error: Error) -> GiveError {
    let refused = match &error {
        Error::Service { source, .. } => !source.is_transient() && source.refusal().is_some(),
        Error::Expired { .. } | Error::Empty { .. } => true,
        _ => false,
    };
    match refused {
        true => GiveError::Upstream(error.to_string()),
        false => GiveError::Unavailable(error.to_string()),
    }
}
