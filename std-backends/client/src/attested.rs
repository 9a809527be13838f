//! Credentials of an attested token broker.

mod exchange;
mod expected;
mod source;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cloudauth_core::attest::teeserver::{MAX_AUDIENCE_LEN, SOCKET, TokenType};
use cloudauth_core::encode::{base64, hex};
use cloudauth_keys::{ALLOWED_MODULES_VARIABLE, KeyUri};
use cloudauth_tls::{Builder, Endpoint, Identity, Step, Transport, TransportError, Trust};
use serde::{Deserialize, Serialize};

use crate::environment::{endpoint, variable};
use crate::inputs::{read_file, read_own_file};
use crate::provider::blocking;
use crate::{Credential, Error, Inputs, Result, text};
use source::TokenSource;

/// The most octets of a file with certificates.
const MAX_CERTIFICATES: u64 = 1 << 20;
/// How long everything together may take, in seconds: an attestation takes a few.
const TIMEOUT: u32 = 60;
/// How long a broker may take for an answer: it verifies, asks a cloud, and writes its record, each with a limit
/// of its own. Whoever gives up before that throws away what was made for him.
const ANSWER: Duration = Duration::from_secs(40);

/// A credential that a broker gives to an attested workload, on one TLS 1.3 connection that the attestation
/// is bound to.
///
/// Its adversary is the workload's own operator, who sets its environment. So nothing that decides whom it
/// trusts comes from there: not the broker, not what its certificate is held against, not a proxy, and not
/// the configuration file itself ([`Config`](crate::Config) refuses this kind in a file that a variable
/// names). Put the file into the measured image. What it gives is never in the file cache, which the
/// operator could write.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Attested {
    /// The broker's URL; with [`scheme`](Self::scheme) `seed` the one of its API, such as
    /// `https://broker.example/token`. In a file `url` is the same.
    #[serde(alias = "url")]
    pub broker: String,
    /// Connect to this `host:port` in place of the URL's.
    pub address: Option<String>,
    /// The name in the broker's certificate; else the host that is connected to.
    pub server_name: Option<String>,
    /// The certificates (PEM) that the broker's is held against, in a file that nobody but root and this user
    /// can change.
    pub ca_file: Option<PathBuf>,
    /// The SHA-256 of the SubjectPublicKeyInfo of the broker's certificate, in hexadecimal or base64, in place
    /// of [`ca_file`](Self::ca_file).
    pub pin: Option<String>,
    /// Whether the environment has a say: the system's certificates (where neither `ca-file` nor `pin` is
    /// given), `SSL_CERT_FILE`, the proxy variables and AWS's endpoint variables. Only where the operator is
    /// trusted as the workload is.
    #[serde(default)]
    pub trust_environment: bool,
    /// The grant that is asked for.
    pub grant: Option<String>,
    /// The attestation's audience, as the broker wants it. Use it for nothing else.
    pub audience: String,
    /// What kind of attestation token.
    #[serde(default)]
    pub token_type: AttestationType,
    /// The socket of the service that gives the token; else Confidential Space's own.
    pub teeserver: Option<PathBuf>,
    /// A command that gives the token in its place: an absolute path and its arguments.
    ///
    /// On standard input it gets `{"audience":"…","nonces":["…"],"token_type":"…","runtime_data":"…"}`, where
    /// `runtime_data` is the text `{"nonce":"…"}` whose octets a Microsoft attestation covers; on standard
    /// output it writes the token and nothing else, at most 64 KiB, within 30 seconds. Its environment is
    /// empty: name `/usr/bin/env` first to give it variables.
    #[serde(default)]
    pub command: Vec<String>,
    /// The client certificate (PEM, its chain behind it), for a broker that wants one.
    pub certificate: Option<PathBuf>,
    /// The key of [`certificate`](Self::certificate). Unless [`trust_environment`](Self::trust_environment), a
    /// `pkcs11:` URI names its `module-path`, which must be root's (the variable
    /// `CLOUDAUTH_PKCS11_ALLOWED_MODULES` is refused), and a `tpm:` URI its `tcti`.
    #[serde(default, deserialize_with = "text::optional", skip_serializing)]
    pub key: Option<KeyUri>,
    /// Refuse AWS credentials of another account, and everything that is none: STS is asked whose they are
    /// (`GetCallerIdentity`), at an address and with certificates that the broker has no say in.
    pub expect_account: Option<String>,
    /// Refuse a token of another tenant, by its id, and everything that is none. The token's own `tid` is read;
    /// it is not verified, for a token whose `tid` was changed is no token for anyone.
    pub expect_tenant: Option<String>,
    /// Refuse a token of a service account of another project, by its id, and everything that is none. It must
    /// be self-signed: its own `iss` is read, as with [`expect_tenant`](Self::expect_tenant).
    pub expect_project: Option<String>,
    /// With [`expect_account`](Self::expect_account): the region whose STS is asked; else `us-east-1`.
    pub region: Option<String>,
    /// With [`expect_account`](Self::expect_account): another endpoint of STS.
    pub sts_endpoint_url: Option<String>,
    /// With [`expect_account`](Self::expect_account): the certificates that STS's is held against, in a file as
    /// [`ca_file`](Self::ca_file); else those of Mozilla's programme that are built in.
    pub sts_ca_file: Option<PathBuf>,
    /// How many seconds everything together may take, at least 1; else 60.
    pub timeout: Option<u32>,
    /// How the attestation is bound.
    #[serde(default)]
    pub scheme: AttestedScheme,
    /// With [`scheme`](Self::scheme) `seed`: what is asked for, in place of a grant.
    pub seed: Option<SeedRequest>,
}

/// What kind of attestation token is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum AttestationType {
    /// Google's, signed by a key of the issuer's key set.
    #[default]
    #[serde(rename = "OIDC")]
    Oidc,
    /// Google's, signed by a key whose certificates are in its header.
    #[serde(rename = "PKI")]
    Pki,
    /// Microsoft Azure Attestation's; from a command only.
    #[serde(rename = "MAA")]
    Maa,
}

/// How an attestation is bound to its connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AttestedScheme {
    /// Binder v1: to the connection, both certificates, the audience and the request.
    #[default]
    V1,
    /// As the `aws-` and `azure-channel-jwt-credential` brokers want it: to the connection alone.
    Seed,
}

/// What an `aws-` or `azure-channel-jwt-credential` broker is asked for.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(
    deny_unknown_fields,
    rename_all = "lowercase",
    rename_all_fields = "kebab-case",
    tag = "cloud"
)]
pub enum SeedRequest {
    /// Credentials of AWS.
    Aws {
        /// A role's; else the broker's own.
        #[serde(default)]
        use_assume_role: bool,
        /// An access key id.
        #[serde(default)]
        access_key_id: String,
        /// The role.
        #[serde(default)]
        role_arn: String,
        /// A region.
        #[serde(default)]
        region: String,
        /// The life of the credentials in seconds, at least 900; else that.
        duration: Option<u32>,
        /// The role session's name; else `gcp-` and a UUID.
        session_name: Option<String>,
    },
    /// A token of Azure.
    Azure {
        /// The tenant.
        tenant: Option<String>,
        /// The application.
        appid: Option<String>,
        /// What the token is for.
        scope: String,
    },
}

impl AttestationType {
    const fn name(self) -> &'static str {
        match self {
            Self::Oidc => "OIDC",
            Self::Pki => "PKI",
            Self::Maa => "MAA",
        }
    }

    /// Google's name for it; `None` for what is not Google's.
    const fn of_google(self) -> Option<TokenType> {
        match self {
            Self::Oidc => Some(TokenType::Oidc),
            Self::Pki => Some(TokenType::Pki),
            Self::Maa => None,
        }
    }
}

/// A source with its files read and its key opened.
struct Opened {
    config: Attested,
    broker: Endpoint,
    /// The path of the broker's API.
    path: String,
    transport: Transport,
    has_identity: bool,
    tokens: TokenSource,
    /// For the look whose credentials these are.
    sts: Option<(Transport, Option<Endpoint>)>,
}

impl Attested {
    /// The credential, always a new one.
    pub(crate) async fn fetch(&self, inputs: &Arc<Inputs>) -> Result<Credential> {
        let limit = self.limit();
        let work = async {
            let (config, with) = (self.clone(), inputs.clone());
            let opened = blocking(limit, move || config.open(&with)).await?;
            let mut sent = false;
            let credential = match opened.credential(&mut sent).await {
                Err(e) if let Some(wait) = worth_another(&e, sent) => {
                    tracing::debug!(error = %e, "beginning again on a new connection");
                    tokio::time::sleep(wait).await;
                    opened.credential(&mut sent).await?
                }
                result => result?,
            };
            opened.check(&credential, inputs).await?;
            Ok(credential)
        };
        tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
            let host = self.broker.clone();
            let late = TransportError::TimedOut { host, step: Step::Answer, limit };
            Err(Error::service("attested credential", late))
        })
    }

    /// How long everything together may take.
    fn limit(&self) -> Duration {
        Duration::from_secs(self.timeout.unwrap_or(TIMEOUT).into())
    }

    fn answer_limit(&self) -> Duration {
        self.limit().min(ANSWER)
    }

    /// Whether it makes sense, before anything is asked or opened.
    pub(crate) fn check(&self) -> Result<()> {
        let wrong = |place: &str, help: &str| Err(Error::config(place, help));
        match (self.scheme, &self.grant, &self.seed) {
            (AttestedScheme::V1, Some(grant), None) if !grant.is_empty() => {}
            (AttestedScheme::V1, _, None) => {
                return Err(Error::Missing {
                    field: "grant",
                    help: "name what is asked for".into(),
                });
            }
            (AttestedScheme::V1, ..) => return wrong("seed", "is for scheme = \"seed\" only"),
            (AttestedScheme::Seed, None, Some(_)) => {}
            (AttestedScheme::Seed, Some(_), _) => {
                return wrong("grant", "such a broker knows none; say in [seed] what is asked for");
            }
            (AttestedScheme::Seed, None, None) => {
                return Err(Error::Missing { field: "seed", help: "say what is asked for".into() });
            }
        }
        match (&self.ca_file, &self.pin) {
            (Some(_), Some(_)) => return wrong("pin", "give one of ca-file and pin"),
            (None, None) if !self.trust_environment => {
                return Err(Error::Missing {
                    field: "ca-file",
                    help: "give it or pin: the system's certificates are the operator's to choose \
                           (trust-environment = true takes them)"
                        .into(),
                });
            }
            _ => {}
        }
        if self.certificate.is_some() != self.key.is_some() {
            return wrong("key", "give certificate and key, or neither");
        }
        if !self.trust_environment {
            self.check_key(variable(ALLOWED_MODULES_VARIABLE)?.is_some())?;
        }
        if self.audience.len() > MAX_AUDIENCE_LEN {
            return wrong("audience", "expected at most 512 octets");
        }
        if self.audience.is_empty() {
            return Err(Error::Missing {
                field: "audience",
                help: "say which the broker wants".into(),
            });
        }
        let expected =
            [&self.expect_account, &self.expect_tenant, &self.expect_project].map(Option::is_some);
        if expected.into_iter().filter(|expected| *expected).count() > 1 {
            return wrong("expect-account", "expect one of account, tenant and project");
        }
        let of_sts =
            self.region.is_some() || self.sts_endpoint_url.is_some() || self.sts_ca_file.is_some();
        if of_sts && self.expect_account.is_none() {
            return wrong("expect-account", "is missing; region and sts-… are for it alone");
        }
        if self.timeout == Some(0) {
            return wrong("timeout", "expected at least 1 second");
        }
        if !self.command.is_empty() && self.teeserver.is_some() {
            return wrong("command", "give one of command and teeserver");
        }
        if self.command.is_empty() && self.token_type == AttestationType::Maa {
            return wrong("token-type", "the teeserver gives no such tokens: name a command");
        }
        if self.command.first().is_some_and(|program| !program.starts_with('/')) {
            return wrong("command", "expected an absolute path: PATH is the operator's to set");
        }
        Ok(())
    }

    /// Refuses a key with which a variable chooses the code that is loaded, or where the authorization value
    /// goes. `listed` is whether the operator lists modules, which need not be root's then.
    fn check_key(&self, listed: bool) -> Result<()> {
        let wrong = |place: &str, help: &str| {
            Err(Error::config(place, format!("{help} (trust-environment = true leaves it to it)")))
        };
        let Some(key) = &self.key else { return Ok(()) };
        if let Some(uri) = key.pkcs11() {
            if uri.module_path.is_none() {
                return wrong(
                    "key",
                    "name the module with module-path: which code is loaded is not the environment's \
                     to say",
                );
            }
            if listed {
                return wrong(
                    ALLOWED_MODULES_VARIABLE,
                    "unset it: which code is loaded is not the environment's to say",
                );
            }
        }
        if key.tpm().is_some_and(|uri| uri.tcti.is_none()) {
            return wrong(
                "key",
                "name the way to the TPM with tcti, such as tcti=device:/dev/tpmrm0: it is not the \
                 environment's to say",
            );
        }
        Ok(())
    }

    fn open(self, inputs: &Inputs) -> Result<Opened> {
        self.check()?;
        let (broker, path) = self.endpoint()?;
        let pin = self.pin.as_deref().map(pin).transpose()?;
        let trust = match (&self.ca_file, pin) {
            (Some(path), _) => Trust::Only(read_own_file(path, MAX_CERTIFICATES)?.to_vec()),
            (None, Some(pin)) => Trust::Pin(pin),
            (None, None) => Trust::Platform,
        };
        let built = |builder: Builder| builder.build().map_err(|e| Error::service("setting up", e));
        let mut transport = Transport::builder()
            .trust_environment(self.trust_environment)
            .timeout(self.limit())
            .read_timeout(self.answer_limit())
            .trust(trust);
        if let (Some(certificate), Some(key)) = (&self.certificate, &self.key) {
            let chain = read_file(certificate, MAX_CERTIFICATES)?;
            let identity = Identity::from_pem(&chain, inputs.key(key)?)
                .map_err(|e| Error::service("setting up", e))?;
            transport = transport.identity(identity);
        }
        let sts = match &self.expect_account {
            None => None,
            Some(_) => {
                let trust = match &self.sts_ca_file {
                    Some(path) => Trust::Only(read_own_file(path, MAX_CERTIFICATES)?.to_vec()),
                    None if self.trust_environment => Trust::Platform,
                    None => Trust::BuiltIn,
                };
                let sts = Transport::builder().trust_environment(self.trust_environment);
                Some((built(sts.trust(trust))?, self.sts_endpoint()?))
            }
        };
        let tokens = match self.command.is_empty() {
            true => TokenSource::teeserver(self.teeserver.as_deref().unwrap_or(SOCKET.as_ref()))?,
            false => TokenSource::Command(self.command.clone()),
        };
        let has_identity = self.key.is_some();
        let transport = built(transport)?;
        Ok(Opened { config: self, broker, path, transport, has_identity, tokens, sts })
    }

    /// The broker, and the path of its API.
    fn endpoint(&self) -> Result<(Endpoint, String)> {
        const WHAT: &str = "broker";
        let bad = |e| match e {
            TransportError::Config { help, .. } => Error::config(WHAT, help),
            e => Error::config(WHAT, e.to_string()),
        };
        let (url, path) = match self.scheme {
            AttestedScheme::V1 => (self.broker.as_str(), ""),
            // The whole path is the API's.
            AttestedScheme::Seed => {
                let start = self.broker.find("://").map_or(0, |at| at + 3);
                let end = self.broker.get(start..).and_then(|rest| rest.find('/'));
                self.broker.split_at(end.map_or(self.broker.len(), |at| start + at))
            }
        };
        let mut broker = endpoint(url, WHAT)?;
        if !url.starts_with("https://") && url.contains("://") {
            return Err(Error::config(WHAT, "expected an https URL"));
        }
        if let Some(address) = &self.address {
            broker = broker.dial(address).map_err(bad)?;
        }
        if let Some(name) = &self.server_name {
            broker = broker.server_name(name).map_err(bad)?;
        }
        Ok((broker, if path.is_empty() { "/".to_owned() } else { path.to_owned() }))
    }
}

/// How long to wait before it is worth another try: a challenge that ended while the attestation was made, and
/// what may pass. Once the credentials were asked for (`sent`) only where the broker has answered, or was not
/// reached: else it may have given them, and each is recorded and limited.
fn worth_another(error: &Error, sent: bool) -> Option<Duration> {
    let Error::Service { source, .. } = error else { return None };
    let refusal = source.refusal();
    let unsent = matches!(**source, TransportError::Ended { .. });
    if sent && !unsent && refusal.is_none() {
        return None;
    }
    let ended = unsent || refusal.is_some_and(|refusal| refusal.code == "challenge_expired");
    let asked = refusal.and_then(|refusal| refusal.retry_after).unwrap_or_default();
    let wait = asked.max(Duration::from_millis(300));
    ((ended || source.is_transient()) && wait <= Duration::from_secs(10)).then_some(wait)
}

/// The SHA-256 of a key, in hexadecimal or base64.
fn pin(text: &str) -> Result<[u8; 32]> {
    let mut octets = [0; 32];
    let hash = text.strip_prefix("sha256:").or(text.strip_prefix("sha256//")).unwrap_or(text);
    let read = if hash.len() == 64 {
        hex::decode(hash.as_bytes(), &mut octets).map(|()| 32)
    } else {
        base64::decode(hash.as_bytes(), &mut octets).map(<[u8]>::len)
    };
    match read {
        Ok(32) => Ok(octets),
        _ => Err(Error::config(
            "pin",
            "expected the SHA-256 of a SubjectPublicKeyInfo: 64 characters of hexadecimal, or 44 of base64",
        )),
    }
}
