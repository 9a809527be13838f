//! Access tokens of Azure (Entra ID).

use std::path::PathBuf;
use std::sync::Arc;

use cloudauth_core::azure::{
    Application, Authority, ClientAssertion, Credential as Proof, Thumbprint, TokenRequest,
};
use cloudauth_core::x509::Certificate;
use cloudauth_core::{
    Assertion as _, Attempt, Exchange as _, Failure, ResponseHead, Scheme, Secret, Signer, json,
};
use cloudauth_keys::{Key, KeyUri, SecretRef};
use cloudauth_tls::Endpoint;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::environment::{endpoint, given, variable};
use crate::file_cache::CacheKey;
use crate::flow::{Flow, Issued, Then, build, identity};
use crate::text::strs;
use crate::{Error, Inputs, Result, text};

/// An application's access token (client credentials flow), for a certificate's key, a client secret or a
/// federated token. What is not given comes from the variables of Microsoft's own tools.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AzureToken {
    /// The tenant, by its id or a domain; else `AZURE_TENANT_ID`.
    #[serde(alias = "tenant-id")]
    pub tenant: Option<String>,
    /// The application's (client) id; else `AZURE_CLIENT_ID`.
    pub client_id: Option<String>,
    /// The authority, a host or URL; else `AZURE_AUTHORITY_HOST`, else the public cloud's. An assertion
    /// names it.
    #[serde(alias = "authority-host")]
    pub authority: Option<String>,
    /// What the token is for, such as `https://vault.azure.net/.default`.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// The claims that a resource asked for: a JSON object.
    pub claims: Option<String>,
    /// The key of the certificate.
    #[serde(default, deserialize_with = "text::optional", skip_serializing)]
    pub key: Option<KeyUri>,
    /// The certificate that is registered with the application, PEM or DER; further ones are its chain. Else
    /// `AZURE_CLIENT_CERTIFICATE_PATH`, whose file also holds the key where none is given (encrypted:
    /// `AZURE_CLIENT_CERTIFICATE_PASSWORD`).
    pub certificate: Option<PathBuf>,
    /// The signature algorithm; else `PS256` where the key can, else `RS256`.
    pub algorithm: Option<AzureAlgorithm>,
    /// Which of the certificate's thumbprints goes into the header.
    #[serde(default)]
    pub thumbprint: AzureThumbprint,
    /// Send the certificates too (`x5c`): subject-name and issuer authentication. Else, for the certificate of
    /// the variable, `AZURE_CLIENT_SEND_CERTIFICATE_CHAIN` says so with `true` or `1`.
    pub send_chain: Option<bool>,
    /// Where the client secret is; else the variable `AZURE_CLIENT_SECRET` holds it.
    #[serde(default, deserialize_with = "text::optional", skip_serializing)]
    pub client_secret: Option<SecretRef>,
    /// A file with a token (JWT) of an issuer that the application trusts; else
    /// `AZURE_FEDERATED_TOKEN_FILE`.
    pub federated_token_file: Option<PathBuf>,
    /// Where the request is sent, when not to the authority.
    pub endpoint_url: Option<String>,
}

/// What signs a client assertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum AzureAlgorithm {
    /// RSASSA-PSS with SHA-256.
    #[serde(rename = "PS256")]
    Ps256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
}

/// Which of a certificate's thumbprints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AzureThumbprint {
    /// `x5t#S256`.
    #[default]
    Sha256,
    /// `x5t`, for services that know no other.
    Sha1,
}

/// Which of the credentials is used.
pub(crate) enum Choice {
    Certificate { key: KeyUri, certificate: PathBuf },
    Federated(PathBuf),
    Secret(SecretRef),
}

impl AzureToken {
    /// What is given, else what the variables say, the strongest first.
    pub(crate) fn choice(&self) -> Result<Choice> {
        let of_variable = |name| variable(name).map(|path| path.map(PathBuf::from));
        const CERTIFICATE: &str = "AZURE_CLIENT_CERTIFICATE_PATH";
        const PASSWORD: &str = "AZURE_CLIENT_CERTIFICATE_PASSWORD";
        let given = [
            self.key.is_some() || self.certificate.is_some(),
            self.client_secret.is_some(),
            self.federated_token_file.is_some(),
        ];
        if given.into_iter().filter(|given| *given).count() > 1 {
            return Err(Error::config(
                "credential",
                "give one of key with certificate, client secret and federated token file",
            ));
        }
        if self.client_secret.is_some() || self.federated_token_file.is_some() {
            // They would be passed over in silence.
            let of_certificate = [
                (self.algorithm.is_some(), "algorithm"),
                (self.thumbprint != AzureThumbprint::default(), "thumbprint"),
                (self.send_chain == Some(true), "send-chain"),
            ];
            if let Some((_, field)) = of_certificate.iter().find(|(given, _)| *given) {
                return Err(Error::config(*field, "goes with a key and certificate only"));
            }
        }
        if let Some(reference) = &self.client_secret {
            return Ok(Choice::Secret(reference.clone()));
        }
        if let Some(file) = &self.federated_token_file {
            return Ok(Choice::Federated(file.clone()));
        }
        let certificate = match &self.certificate {
            Some(path) => Some(path.clone()),
            None => of_variable(CERTIFICATE)?,
        };
        match (certificate, &self.key) {
            (Some(certificate), Some(key)) => {
                return Ok(Choice::Certificate { key: key.clone(), certificate });
            }
            (Some(_), None) if self.certificate.is_some() => {
                let help = "give it; it may be in the certificate's file too: file:PATH".to_owned();
                return Err(Error::Missing { field: "key", help });
            }
            (Some(certificate), None) => {
                let mut key = KeyUri::of_file(&certificate)?;
                if variable(PASSWORD)?.is_some() {
                    key = KeyUri::parse(&format!("{key}?passphrase-source=env:{PASSWORD}"))?;
                }
                return Ok(Choice::Certificate { key, certificate });
            }
            (None, Some(_)) => {
                let help = format!("Entra ID knows the key by it: give it, or set {CERTIFICATE}");
                return Err(Error::Missing { field: "certificate", help });
            }
            (None, None) => {}
        }
        if let Some(file) = of_variable("AZURE_FEDERATED_TOKEN_FILE")? {
            return Ok(Choice::Federated(file));
        }
        if variable("AZURE_CLIENT_SECRET")?.is_some() {
            return Ok(Choice::Secret(SecretRef::parse("env:AZURE_CLIENT_SECRET")?));
        }
        Err(Error::Missing {
            field: "key",
            help:
                "give it with certificate, or give client-secret or federated-token-file, or set \
                   AZURE_CLIENT_CERTIFICATE_PATH, AZURE_FEDERATED_TOKEN_FILE or AZURE_CLIENT_SECRET"
                    .to_owned(),
        })
    }

    pub(crate) fn open(&self, inputs: &Arc<Inputs>) -> Result<TokenFlow> {
        if let Some(claims) = &self.claims {
            json::parse(&mut claims.clone().into_bytes()).map_err(|e| {
                let help = format!("expected a JSON object, not the base64 of one: {e}");
                Error::config("claims", help)
            })?;
        }
        let authority = match &self.authority {
            Some(text) => Some(authority(text, "authority")?),
            None => match variable("AZURE_AUTHORITY_HOST")? {
                Some(text) => Some(authority(&text, "AZURE_AUTHORITY_HOST")?),
                None => None,
            },
        };
        let via = match &self.endpoint_url {
            Some(url) => Some(endpoint(url, "endpoint URL")?),
            None => authority.clone(),
        };
        let proof = match self.choice()? {
            Choice::Certificate { key, certificate } => Opened::Certificate {
                ders: inputs.certificates(&certificate)?,
                key,
                send_chain: match self.send_chain {
                    Some(send) => send,
                    None if self.certificate.is_some() => false,
                    None => variable("AZURE_CLIENT_SEND_CERTIFICATE_CHAIN")?
                        .is_some_and(|value| value == "1" || value.eq_ignore_ascii_case("true")),
                },
            },
            Choice::Secret(reference) => {
                Opened::Secret(inputs.secret(&reference, "client secret")?)
            }
            Choice::Federated(file) => Opened::Federated(inputs.token(&file, "federated token")?),
        };
        Ok(TokenFlow {
            tenant: given(self.tenant.as_deref(), "tenant", &["AZURE_TENANT_ID"])?,
            client_id: given(self.client_id.as_deref(), "client-id", &["AZURE_CLIENT_ID"])?,
            authority: authority.as_ref().map(Endpoint::authority),
            config: self.clone(),
            inputs: inputs.clone(),
            proof,
            via,
        })
    }

    /// A client assertion: what proves the application to Entra ID for ten minutes. SDKs take it as
    /// `client_assertion`, or as the content of a federated token file.
    ///
    /// # Errors
    /// As a provider's, but for the network; and when the credential is no certificate.
    pub fn assertion(&self, inputs: &Arc<Inputs>, at: &Attempt) -> Result<Zeroizing<String>> {
        let unkeyed = || {
            Error::Missing {
            field: "key",
            help: "an assertion is made by one: give it with certificate, or set AZURE_CLIENT_CERTIFICATE_PATH"
                .to_owned(),
        }
        };
        match self.choice() {
            Ok(Choice::Certificate { .. }) => {}
            Ok(Choice::Secret(_) | Choice::Federated(_)) => return Err(unkeyed()),
            Err(Error::Missing { field: "key", .. }) if self.certificate.is_none() => {
                return Err(unkeyed());
            }
            Err(error) => return Err(error),
        }
        let flow = self.open(inputs)?;
        let key = flow.key()?.ok_or_else(unkeyed)?;
        Ok(flow.with(Some(&key), |request| {
            let Proof::Assertion(assertion) = request.credential else {
                return Err(cloudauth_core::Error::invalid("credential", "is no certificate"));
            };
            let size = assertion.needed(at, key.max_signature_len(assertion.scheme))?;
            let mut buf = Zeroizing::new(vec![0; size]);
            assertion.sign(&*key, at, &mut buf).map(|token| Zeroizing::new(token.to_owned()))
        })?)
    }
}

/// An authority, which is a host and nothing more.
fn authority(text: &str, place: &str) -> Result<Endpoint> {
    let host = text.split_once("://").map_or(text, |(_, host)| host);
    if host.trim_end_matches('/').contains('/') {
        return Err(Error::config(place, "expected a host, without a path"));
    }
    endpoint(text, place)
}

/// A token request's inputs.
pub(crate) struct TokenFlow {
    config: AzureToken,
    tenant: String,
    client_id: String,
    authority: Option<String>,
    inputs: Arc<Inputs>,
    proof: Opened,
    via: Option<Endpoint>,
}

enum Opened {
    Certificate { ders: Vec<Vec<u8>>, key: KeyUri, send_chain: bool },
    Secret(Zeroizing<String>),
    Federated(Zeroizing<String>),
}

impl TokenFlow {
    fn key(&self) -> Result<Option<Arc<Key>>> {
        match &self.proof {
            Opened::Certificate { key, .. } => self.inputs.key(key).map(Some),
            Opened::Secret(_) | Opened::Federated(_) => Ok(None),
        }
    }

    /// Answers are read without a key.
    fn with<T>(
        &self,
        key: Option<&Key>,
        then: impl FnOnce(&TokenRequest<'_>) -> cloudauth_core::Result<T>,
    ) -> cloudauth_core::Result<T> {
        let config = &self.config;
        let authority = self.authority.as_deref().map_or(Authority::Public, Authority::Custom);
        let (tenant, client_id) = (self.tenant.as_str(), self.client_id.as_str());
        let app = Application { tenant, client_id, authority };
        let chain: Vec<&[u8]>;
        let credential = match &self.proof {
            Opened::Certificate { ders, send_chain, .. } => {
                let (leaf, rest) = ders.split_first().map_or((&[][..], &[][..]), |(l, c)| (l, c));
                chain = rest.iter().map(Vec::as_slice).collect();
                Proof::Assertion(ClientAssertion {
                    chain: &chain,
                    authority,
                    scheme: match (config.algorithm, key) {
                        (Some(AzureAlgorithm::Rs256), _) => Scheme::RsaPkcs1Sha256,
                        (Some(AzureAlgorithm::Ps256), _) | (None, None) => Scheme::RsaPssSha256,
                        (None, Some(key)) => ClientAssertion::scheme_for(|s| key.supports(s))?,
                    },
                    thumbprint: match config.thumbprint {
                        AzureThumbprint::Sha256 => Thumbprint::Sha256,
                        AzureThumbprint::Sha1 => Thumbprint::Sha1,
                    },
                    send_chain: *send_chain,
                    ..ClientAssertion::new(Certificate::parse(leaf)?, tenant, client_id)
                })
            }
            Opened::Secret(secret) => Proof::Secret(app, Secret::new(secret)),
            Opened::Federated(token) => Proof::Federated(app, Secret::new(token)),
        };
        let scopes = strs(&config.scopes);
        then(&TokenRequest { scopes: &scopes, claims: config.claims.as_deref(), credential })
    }
}

impl Flow for TokenFlow {
    fn name(&self) -> &'static str {
        "Entra ID token"
    }

    fn endpoint(&self) -> Option<&Endpoint> {
        self.via.as_ref()
    }

    fn identity(&self, key: CacheKey) -> Result<CacheKey> {
        let key = identity(key, &self.config, self.endpoint())?
            .field("tenant", self.tenant.as_bytes())
            .field("client id", self.client_id.as_bytes())
            .field("authority", self.authority.as_deref().unwrap_or_default().as_bytes());
        Ok(match &self.proof {
            // The certificates stand for the key, which need not be opened for this.
            Opened::Certificate { ders, .. } => {
                ders.iter().fold(key, |key, der| key.field("certificate", der))
            }
            Opened::Secret(secret) => key.field("client secret", secret.as_bytes()),
            Opened::Federated(token) => key.field("token", token.as_bytes()),
        })
    }

    fn request(&self, at: &Attempt, then: Then<'_>) -> Result<()> {
        let key = self.key()?;
        let signer = key.as_deref().map(|key| key as &dyn Signer);
        self.with(key.as_deref(), |exchange| Ok(build(exchange, signer, at, then)))?
    }

    fn read<'b>(
        &self,
        head: &ResponseHead<'b>,
        body: &'b mut [u8],
    ) -> core::result::Result<Issued, Failure<'b>> {
        self.with(None, |exchange| {
            Ok(exchange.response(head, body).map(|answer| Issued::access_token(&answer.token)))
        })?
    }
}
