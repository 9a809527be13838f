//! Getting an issuer's keys over HTTPS.

use std::path::Path;
use std::time::Duration;

use cloudauth_core::{Failure, ServiceError, json};
use cloudauth_tls::{Request, Transport, TransportError, Trust};

use super::jwks::Keys;
use crate::config::issuer::{Issuer, Keys as From};
use crate::error::LoadError;

/// The largest document that is read. Google's have 3 KiB, Microsoft's up to 100.
const MAX_BODY: usize = 512 * 1024;
/// How long one document may take in all.
const LIMIT: Duration = Duration::from_secs(8);

/// Asks an issuer.
#[derive(Debug)]
pub(super) struct Fetcher {
    trust: Trust,
    issuer: Issuer,
    from: From,
}

impl Fetcher {
    pub(super) fn new(issuer: &Issuer, from: From) -> Result<Self, LoadError> {
        let trust = match &issuer.trusted_ca {
            Some(path) => Trust::Only(ca(path)?),
            None => Trust::Platform,
        };
        let fetcher = Self { trust, issuer: issuer.clone(), from };
        if issuer.trusted_ca.is_some() {
            fetcher.transport().map_err(|e| LoadError::one("trusted-ca", e))?;
        }
        Ok(fetcher)
    }

    /// Whether what `other` fetches can be believed as what this fetches.
    pub(super) fn trusts_as(&self, other: &Self) -> bool {
        match (&self.trust, &other.trust) {
            (Trust::Only(own), Trust::Only(other)) => own == other,
            (Trust::Platform, Trust::Platform) => true,
            _ => false,
        }
    }

    /// Made anew for each attempt: what the system trusts may change meanwhile.
    fn transport(&self) -> Result<Transport, TransportError> {
        Transport::builder()
            .trust(self.trust.clone())
            .connect_timeout(Duration::from_secs(4))
            .read_timeout(Duration::from_secs(4))
            .timeout(LIMIT)
            .body_limit(MAX_BODY)
            .attempts(1)
            .build()
    }

    /// The keys as they are published now.
    ///
    /// # Errors
    /// What failed, in words.
    pub(super) async fn keys(&self) -> Result<Keys, String> {
        let uri = match &self.from {
            From::Discovery => self.discover().await?,
            From::Uri(uri) => uri.clone(),
            // There is no fetcher for a file.
            From::File(_) => return Err("they are in a file".into()),
        };
        let text = self.get(&uri).await?;
        Keys::parse(self.issuer.kind, &text).map_err(|e| format!("{uri}: {e}"))
    }

    /// The key set's URL, by OpenID Connect Discovery 1.0, section 4. It may be at another host, as Google's
    /// is: the issuer's own host vouches for it, over TLS. Redirects are not followed.
    async fn discover(&self) -> Result<String, String> {
        let issuer = &self.issuer.issuer;
        let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let mut text = self.get(&url).await?;
        let wrong = |e: &dyn std::fmt::Display| format!("{url}: {e}");
        let document = json::parse(&mut text).map_err(|e| wrong(&e))?;
        if document.string("issuer").map_err(|e| wrong(&e))? != issuer {
            return Err(wrong(&"is about another issuer"));
        }
        let uri = document.string("jwks_uri").map_err(|e| wrong(&e))?;
        // Its form is checked before it is used.
        Request::get(uri).map_err(|e| wrong(&format!("jwks_uri: {e}")))?;
        Ok(uri.to_owned())
    }

    async fn get(&self, url: &str) -> Result<Vec<u8>, String> {
        let transport = self.transport().map_err(|e| e.to_string())?;
        let call = transport.call(
            |_| std::future::ready(Request::get(url).map_err(Into::into)),
            |head, body| match head.status {
                200 => Ok(body.to_vec()),
                status => {
                    Err(Failure::Service(ServiceError { status, code: "", message: "no keys" }))
                }
            },
        );
        call.await.map_err(|e| e.to_string())
    }
}

fn ca(path: &Path) -> Result<Vec<u8>, LoadError> {
    crate::config::read(path, 1 << 20).map_err(|e| e.within("trusted-ca"))
}
