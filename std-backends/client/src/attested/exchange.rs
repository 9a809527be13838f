//! From a connection to a credential.

use std::collections::BTreeMap;

use cloudauth_core::Out;
use cloudauth_core::broker::{self, Challenge, Credentials, Issued, seed, write_request};
use cloudauth_core::digest::sha256;
use cloudauth_core::ekm::{Binder, Compat, Exported, Prover};
use cloudauth_core::encode::hex;
use cloudauth_tls::{Connection, TransportError};
use tokio::runtime::Handle;
use zeroize::Zeroizing;

use super::{Opened, SeedRequest};
use crate::{AwsKeys, BearerToken, Credential, Error, Result, Secrets};

/// The life that a seed's broker is asked for where nothing else is said, in seconds.
const DURATION: u32 = 900;

impl Opened {
    /// A new connection, and on it everything up to the credential. `sent` says whether that was asked for.
    pub(super) async fn credential(&self, sent: &mut bool) -> Result<Credential> {
        *sent = false;
        let mut connection = self.connect().await?;
        match &self.config.seed {
            None => self.bound(&mut connection, sent).await,
            Some(request) => self.seed(&mut connection, request, sent).await,
        }
    }

    async fn connect(&self) -> Result<Connection> {
        let failed = |e| Error::service("connecting to the broker", e);
        if !self.has_identity {
            return self.transport.connect(&self.broker).await.map_err(failed);
        }
        // The handshake asks the key, which may be slow: elsewhere, so that other tasks need not wait.
        let (transport, broker, runtime) =
            (self.transport.clone(), self.broker.clone(), Handle::current());
        let connecting = move || runtime.block_on(transport.connect(&broker));
        match tokio::task::spawn_blocking(connecting).await {
            Ok(connected) => connected.map_err(failed),
            Err(e) => Err(Error::config("broker", format!("connecting was cut short: {e}"))),
        }
    }

    /// With binder v1.
    async fn bound(&self, connection: &mut Connection, sent: &mut bool) -> Result<Credential> {
        let host = self.broker.authority();
        let grant = self.config.grant.as_deref().unwrap_or_default();
        let challenge = connection
            .send(&Challenge { host: &host }, None, |answer| answer.challenge)
            .await
            .map_err(|e| refused("broker's challenge", e))?;
        let exported = connection.export(Prover::Client.label(), &challenge).map_err(export)?;
        let exported = Exported::new(Prover::Client, *exported)?;
        // A character of the name has at most six of JSON.
        let mut space = vec![0; 6 * grant.len() + 16];
        let mut out = Out::new(&mut space);
        write_request(grant, &mut out);
        let request = &*out.finish()?;
        let binder = Binder {
            exported: &exported,
            challenge: &challenge,
            server_spki: connection.server_spki(),
            client_spki: connection.client_spki(),
            audience: &self.config.audience,
            request,
        };
        let nonce = binder.nonce()?;
        let attestation = self.tokens.token(&self.config, &[nonce.as_str()]).await?;
        *sent = true;
        let exchange = Credentials { host: &host, request, attestation: &attestation };
        let granted = connection.send(&exchange, None, |granted| {
            (granted.grant == grant).then(|| owned(&granted.issued))
        });
        match granted.await.map_err(|e| refused("broker's credentials", e))? {
            Some(Ok(Credential::Secrets(secrets))) => {
                Ok(Credential::Secrets(Secrets { issued: connection.date(), ..secrets }))
            }
            Some(credential) => credential,
            None => Err(Error::refused("broker", "it answered for another grant")),
        }
    }

    /// As the older brokers want it.
    async fn seed(
        &self,
        connection: &mut Connection,
        asked: &SeedRequest,
        sent: &mut bool,
    ) -> Result<Credential> {
        let exported = connection.export(Compat::Seed.label(), &[]).map_err(export)?;
        let nonce = Compat::Seed.nonce(&exported)?;
        let at = self.transport.attempt().map_err(|e| Error::service("random octets", e))?;
        let made_up = format!("gcp-{}", String::from_utf8_lossy(&at.uuid()));
        let request = match asked {
            SeedRequest::Aws {
                use_assume_role,
                access_key_id,
                role_arn,
                region,
                duration,
                session_name,
            } => seed::Request::Aws {
                use_assume_role: *use_assume_role,
                access_key_id,
                role_arn,
                region,
                duration: duration.unwrap_or(DURATION),
                session_name: session_name.as_deref().unwrap_or(&made_up),
            },
            SeedRequest::Azure { tenant, appid, scope } => {
                seed::Request::Azure { tenant: tenant.as_deref(), appid: appid.as_deref(), scope }
            }
        };
        let needed = request.sign(&exported, &mut []).map_or_else(|e| e.needed(), |_| None);
        let mut space = Zeroizing::new(vec![0; needed.unwrap_or_default()]);
        let token_jwt = request.sign(&exported, &mut space)?;
        let digest = hex::digest(&sha256(token_jwt.as_bytes()));
        let digest = String::from_utf8_lossy(&digest);
        let nonces = [nonce.as_str(), &*digest];
        let attestation = self.tokens.token(&self.config, &nonces).await?;
        let host = self.broker.authority();
        let (path, attestation) = (self.path.as_str(), attestation.as_str());
        *sent = true;
        let exchange = seed::Token { host: &host, path, request, token_jwt, attestation };
        let issued = connection.send(&exchange, None, |issued| owned(&issued));
        issued.await.map_err(|e| Error::service("broker's credentials", e))?
    }
}

/// Of a broker of version 1. What it calls the instance of its refusal is the id of its record, where the reason
/// stands.
fn refused(call: &'static str, mut e: TransportError) -> Error {
    if let TransportError::Service { refusal, .. } = &mut e
        && !refusal.code.is_empty()
        && !refusal.message.contains(char::is_whitespace)
    {
        refusal.request_id = Some(std::mem::take(&mut refusal.message)).filter(|id| !id.is_empty());
    }
    Error::service(call, e)
}

fn export(e: TransportError) -> Error {
    Error::service("exporting keying material", e)
}

fn owned(issued: &Issued<'_>) -> Result<Credential> {
    let expiration = issued.expires_at;
    match issued.credential {
        broker::Credential::Aws(keys) => Ok(Credential::Aws(AwsKeys {
            access_key_id: keys.access_key_id.to_owned(),
            secret_access_key: Zeroizing::new(keys.secret_access_key.expose().to_owned()),
            session_token: Zeroizing::new(keys.session_token.expose().to_owned()),
            expiration,
        })),
        broker::Credential::Bearer(token) => Ok(Credential::Bearer(BearerToken {
            token: Zeroizing::new(token.expose().to_owned()),
            expiration,
        })),
        broker::Credential::Secrets(secrets) => Ok(Credential::Secrets(Secrets {
            bundle: secrets
                .iter()
                .map(|(name, fields)| Ok((name.to_owned(), decoded(name, fields)?)))
                .collect::<Result<_>>()?,
            expiration,
            issued: None,
        })),
        _ => Err(Error::refused(
            "broker",
            "it gave a kind of credential that this version does not know",
        )),
    }
}

/// The octets of a secret's fields.
fn decoded(name: &str, fields: broker::Fields<'_>) -> Result<BTreeMap<String, Zeroizing<Vec<u8>>>> {
    let decode = |(field, encoded): (&str, broker::Encoded<'_>)| {
        let mut octets = Zeroizing::new(vec![0; encoded.max_len()]);
        let length = encoded.decode(&mut octets).map(<[u8]>::len);
        let length = length
            .map_err(|e| Error::refused("broker", format!("secret {name}, field {field}: {e}")))?;
        octets.truncate(length);
        Ok((field.to_owned(), octets))
    };
    fields.iter().map(decode).collect()
}

#[cfg(test)]
mod tests {
    use cloudauth_core::{Exchange as _, ResponseHead};

    use super::*;

    fn read(secrets: &str) -> Result<Credential> {
        let text =
            format!(r#"{{"grant":"g","expires_at":"2026-11-22T13:00:00Z","secrets":{secrets}}}"#);
        let exchange = Credentials { host: "h", request: b"r", attestation: "a.b.c" };
        let mut body = text.into_bytes();
        let head = ResponseHead { status: 200, headers: &[] };
        owned(&exchange.response(&head, &mut body).unwrap().issued)
    }

    #[test]
    fn secrets() {
        let good = r#"{"tls":{"crt":"Yw==","chain":""},"api-key":{"value":"Z2VoZWlt"}}"#;
        let Credential::Secrets(secrets) = read(good).unwrap() else { unreachable!() };
        let shown: Vec<_> = secrets
            .bundle
            .iter()
            .flat_map(|(name, fields)| fields.iter().map(move |(f, o)| (&**name, &**f, &***o)))
            .collect();
        let expected: [(&str, &str, &[u8]); 3] =
            [("api-key", "value", b"geheim"), ("tls", "chain", b""), ("tls", "crt", b"c")];
        assert_eq!(shown, expected);
        assert_eq!(secrets.expiration.as_secs(), 1_795_352_400);
        // One that is cut off spoils all, and is not shown.
        let error = read(&good.replace("Z2VoZWlt", "Z2VoZWl")).unwrap_err().to_string();
        assert!(error.contains("api-key") && error.contains("value"), "{error}");
        assert!(!error.contains("Z2Vo") && !error.contains("tls"), "{error}");
    }
}
