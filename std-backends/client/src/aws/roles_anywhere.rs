//! IAM Roles Anywhere.

use std::path::PathBuf;
use std::sync::Arc;

use cloudauth_core::aws::CreateSession;
use cloudauth_core::x509::Certificate;
use cloudauth_core::{Attempt, Exchange as _, Failure, ResponseHead};
use cloudauth_keys::{Key, KeyUri};
use cloudauth_tls::Endpoint;
use serde::{Deserialize, Serialize};

use super::keys;
use crate::environment::aws_endpoint;
use crate::file_cache::CacheKey;
use crate::flow::{Flow, Issued, Then, build, identity};
use crate::{Inputs, Result, text};

/// Credentials for a certificate and its key: `CreateSession`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RolesAnywhere {
    /// The key of the certificate. The certificate stands for it in [`crate::FileCache`]'s keys.
    #[serde(deserialize_with = "text::parsed", skip_serializing)]
    pub key: KeyUri,
    /// The certificate, PEM or DER; further certificates in the file are intermediates.
    pub certificate: PathBuf,
    /// Intermediate certificates, the leaf's issuer first.
    pub intermediates: Option<PathBuf>,
    /// The trust anchor.
    pub trust_anchor_arn: String,
    /// The profile.
    pub profile_arn: String,
    /// The role.
    pub role_arn: String,
    /// The region, if it is not the trust anchor's.
    pub region: Option<String>,
    /// The life of the credentials in seconds, 900 to 43200; else an hour.
    #[serde(alias = "duration-seconds")]
    pub duration: Option<u32>,
    /// The role session's name, for profiles that accept one.
    #[serde(alias = "role-session-name")]
    pub session_name: Option<String>,
    /// Properties of the instance: name and value.
    #[serde(default)]
    pub instance_properties: Vec<(String, String)>,
    /// Send the certificate in the body too.
    #[serde(default)]
    pub certificate_in_body: bool,
    /// Another endpoint; else `AWS_ENDPOINT_URL_ROLESANYWHERE`, `AWS_ENDPOINT_URL`.
    pub endpoint_url: Option<String>,
}

impl RolesAnywhere {
    /// Reads the files.
    pub(crate) fn open(&self, inputs: &Arc<Inputs>) -> Result<CreateSessionFlow> {
        let mut ders = inputs.certificates(&self.certificate)?;
        if let Some(path) = &self.intermediates {
            // A file with the full chain has the leaf again, which is sent anyway.
            let leaf = ders.first().cloned();
            let others = inputs.certificates(path)?.into_iter();
            ders.extend(others.filter(|der| Some(der) != leaf.as_ref()));
        }
        let endpoint = aws_endpoint(self.endpoint_url.as_deref(), "ROLESANYWHERE")?;
        let authority = endpoint.as_ref().map(Endpoint::authority);
        Ok(CreateSessionFlow {
            config: self.clone(),
            ders,
            inputs: inputs.clone(),
            endpoint,
            authority,
        })
    }

    /// Reads the files, opens the key, and gives the exchange and the key to `with`: for whoever wants to
    /// look at the request, or to send it by other means.
    ///
    /// # Errors
    /// As a provider's, but for the network.
    pub fn exchange<T>(
        &self,
        inputs: &Arc<Inputs>,
        with: impl FnOnce(&CreateSession<'_>, &Key) -> cloudauth_core::Result<T>,
    ) -> Result<T> {
        let flow = self.open(inputs)?;
        let key = inputs.key(&self.key)?;
        Ok(flow.with(|exchange| with(exchange, &key))?)
    }
}

/// A session's inputs.
pub(crate) struct CreateSessionFlow {
    config: RolesAnywhere,
    ders: Vec<Vec<u8>>,
    inputs: Arc<Inputs>,
    endpoint: Option<Endpoint>,
    authority: Option<String>,
}

impl CreateSessionFlow {
    fn with<T>(
        &self,
        then: impl FnOnce(&CreateSession<'_>) -> cloudauth_core::Result<T>,
    ) -> cloudauth_core::Result<T> {
        let config = &self.config;
        let (leaf, chain) = self.ders.split_first().map_or((&[][..], &[][..]), |(l, c)| (l, c));
        let chain: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
        let properties: Vec<_> =
            config.instance_properties.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        then(&CreateSession {
            chain: &chain,
            region: config.region.as_deref(),
            endpoint: self.authority.as_deref(),
            duration_seconds: Some(config.duration.unwrap_or(3600)),
            role_session_name: config.session_name.as_deref(),
            instance_properties: &properties,
            certificate_in_body: config.certificate_in_body,
            ..CreateSession::new(
                Certificate::parse(leaf)?,
                &config.trust_anchor_arn,
                &config.profile_arn,
                &config.role_arn,
            )
        })
    }
}

impl Flow for CreateSessionFlow {
    fn name(&self) -> &'static str {
        "CreateSession"
    }

    fn endpoint(&self) -> Option<&Endpoint> {
        self.endpoint.as_ref()
    }

    fn identity(&self, key: CacheKey) -> Result<CacheKey> {
        // The certificates stand for the key, which need not be opened for this.
        let key = identity(key, &self.config, self.endpoint())?;
        Ok(self.ders.iter().fold(key, |key, der| key.field("certificate", der)))
    }

    fn request(&self, at: &Attempt, then: Then<'_>) -> Result<()> {
        let key = self.inputs.key(&self.config.key)?;
        self.with(|exchange| Ok(build(exchange, Some(&*key), at, then)))?
    }

    fn read<'b>(
        &self,
        head: &ResponseHead<'b>,
        body: &'b mut [u8],
    ) -> core::result::Result<Issued, Failure<'b>> {
        self.with(|exchange| Ok(exchange.response(head, body).map(|s| keys(&s.credentials))))?
    }
}
