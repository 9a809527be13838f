//! Secrets and certificates of Azure Key Vault.

use std::collections::BTreeMap;
use std::future::ready;

use cloudauth_client::{Client, Provider};
use cloudauth_core::azure::keyvault::{Challenge, GetSecret, Item, KeyVaultSecret, scope};
use cloudauth_core::{Attempt, Exchange as _, Out, Secret, UnixTime};
use cloudauth_tls::{BuildError, Endpoint, Request, TransportError};
use zeroize::Zeroizing;

use super::{Failure, Fetched, blocking, certificate};
use crate::decision::GiveError;

/// A vault.
#[derive(Clone, Debug)]
pub(super) struct Vault {
    host: String,
    /// Where requests are sent, when not to the host.
    endpoint: Option<Endpoint>,
    /// What a token for it is for.
    pub(super) scope: String,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Secret,
    Certificate,
}

/// One thing in a vault.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) vault: Vault,
    pub(super) tokens: Provider,
    pub(super) what: What,
    pub(super) name: String,
    pub(super) version: Option<String>,
}

/// A secret, copied out of the answer.
struct Copied {
    value: Zeroizing<String>,
    version: String,
    content: Option<cloudauth_core::azure::keyvault::Content>,
    enabled: bool,
    not_before: Option<UnixTime>,
    expires: Option<UnixTime>,
}

impl Vault {
    /// The vault at `url`; requests go to `via`, if there is one.
    pub(super) fn new(url: &str, via: Option<&Endpoint>) -> Result<Self, String> {
        const HELP: &str = "expected https://NAME.vault.azure.net, or the same of another cloud";
        let host = url.strip_prefix("https://").ok_or(HELP)?;
        let host = host.strip_suffix('/').unwrap_or(host);
        let mut space = vec![0; host.len() + 32];
        let mut out = Out::new(&mut space);
        scope(host, &mut out).map_err(|_| HELP)?;
        let scope = out.finish().map_err(|_| HELP)?;
        let scope = String::from_utf8_lossy(scope).into_owned();
        Ok(Self { host: host.to_owned(), endpoint: via.cloned(), scope })
    }

    /// Refuses names that a vault cannot have.
    pub(super) fn check(&self, name: &str, version: Option<&str>) -> Result<(), String> {
        let item = Item { host: &self.host, name, version, token: Secret::new("t") };
        let at = Attempt::new(UnixTime::MAX, [0; 32]);
        GetSecret(item).needed(&at, 0).map(drop).map_err(|e| e.to_string())
    }
}

impl Entry {
    pub(super) async fn get(&self, client: &Client) -> Result<Fetched, Failure> {
        let secret = match self.ask(client).await? {
            Ok(secret) => secret,
            // The token may have been revoked: once more with another.
            Err(_) => self.ask(client).await??,
        };
        let now = client.attempt().map_err(of_client)?.time();
        let time = |time: UnixTime| String::from_utf8_lossy(&time.rfc3339()).into_owned();
        if !secret.enabled {
            return Err(Failure::refused("is disabled"));
        }
        if let Some(start) = secret.not_before.filter(|start| *start > now) {
            return Err(Failure::refused(format!("is not valid before {}", time(start))));
        }
        if let Some(end) = secret.expires.filter(|end| *end <= now) {
            return Err(Failure::refused(format!("ended at {}", time(end))));
        }
        let Copied { mut value, version, content, expires, .. } = secret;
        if self.what == What::Secret {
            // The octets of the text, which are not copied.
            let value = Zeroizing::new(std::mem::take(&mut *value).into_bytes());
            let fields = BTreeMap::from([("value".to_owned(), value)]);
            return Ok(Fetched { fields, version, end: expires });
        }
        let Some(content) = content else {
            let help = "is no certificate whose private key may leave the vault";
            return Err(Failure::refused(help));
        };
        blocking(move || {
            let pair = certificate::read(&value, content).map_err(Failure::refused)?;
            if pair.not_before > now {
                let start = time(pair.not_before);
                return Err(Failure::refused(format!(
                    "the certificate is not valid before {start}"
                )));
            }
            if pair.not_after <= now {
                let end = time(pair.not_after);
                return Err(Failure::refused(format!("the certificate ended at {end}")));
            }
            let end = expires.map_or(pair.not_after, |end| end.min(pair.not_after));
            Ok(Fetched { fields: pair.fields, version, end: Some(end) })
        })
        .await
    }

    /// Asks the vault. The inner error is a refusal of the token, which is forgotten.
    async fn ask(&self, client: &Client) -> Result<Result<Copied, Failure>, Failure> {
        let token = self.tokens.bearer_token().await.map_err(of_client)?;
        let version = self.version.as_deref();
        let Vault { host, endpoint, .. } = &self.vault;
        let item = Item { host, name: &self.name, version, token: Secret::new(&token.token) };
        let exchange = GetSecret(item);
        let transport = client.transport().map_err(of_client)?;
        let transport = match endpoint {
            Some(endpoint) => transport.via(endpoint.clone()),
            None => transport.clone(),
        };
        let mut wanted = None;
        let answer = transport.call(
            |at| ready(Request::build(&exchange, None, &at).map_err(BuildError::from)),
            |head, body| {
                wanted = Challenge::read(head).and_then(|challenge| {
                    Some(format!("of tenant {} for {}", challenge.tenant()?, challenge.resource))
                });
                exchange.response(head, body).map(|secret| copied(&secret))
            },
        );
        let error = match answer.await {
            Ok(secret) => return Ok(Ok(secret)),
            Err(error) => error,
        };
        if error.refusal().is_none_or(|refusal| refusal.status != 401) {
            return Err(of_vault(&error));
        }
        // Another call may have got a new one meanwhile.
        if self.tokens.bearer_token().await.is_ok_and(|present| present == token) {
            self.tokens.invalidate();
        }
        let mut failure = of_vault(&error);
        if let Some(wanted) =
            wanted.filter(|wanted| wanted.bytes().all(|c| c.is_ascii_graphic() || c == b' '))
        {
            failure.why += &format!("; it wants a token {wanted}");
        }
        Ok(Err(failure))
    }
}

fn copied(secret: &KeyVaultSecret<'_>) -> Copied {
    let properties = &secret.properties;
    // What goes into a record.
    let version = properties.version.chars().filter(char::is_ascii_alphanumeric).take(64).collect();
    Copied {
        value: Zeroizing::new(secret.value.expose().to_owned()),
        version,
        content: properties.content(),
        enabled: properties.enabled,
        not_before: properties.not_before,
        expires: properties.expires,
    }
}

/// The vault's code, and not its text: that is free to say anything.
fn of_vault(error: &TransportError) -> Failure {
    let passing = error.is_transient() || error.refusal().is_none();
    let why = match error.refusal() {
        None => error.to_string(),
        Some(refusal) => {
            let code: String =
                refusal.code.chars().filter(char::is_ascii_alphanumeric).take(64).collect();
            format!("the vault answered {} {code}", refusal.status).trim_end().to_owned()
        }
    };
    Failure { passing, why }
}

fn of_client(error: cloudauth_client::Error) -> Failure {
    match super::failed(error) {
        GiveError::Upstream(why) => Failure { passing: false, why },
        GiveError::Unavailable(why) => Failure { passing: true, why },
    }
}
