//! One call to a service: what every flow comes down to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cloudauth_core::signer::MAX_SIGNATURE_LEN;
use cloudauth_core::{
    AccessToken, Attempt, Exchange, Failure, HttpRequest, ResponseHead, Signer, UnixTime,
};
use cloudauth_tls::{Endpoint, Request, Transport};
use serde::Serialize;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::clock::Clock;
use crate::file_cache::CacheKey;
use crate::freshness::check;
use crate::{BearerToken, Credential, Error, Result};

/// What gets a finished request.
pub(crate) type Then<'a> = &'a mut dyn FnMut(&HttpRequest<'_>);

/// What a service issued.
pub(crate) enum Issued {
    /// With the moment of its end.
    Until(Credential),
    /// A token, and for how many seconds it is good.
    For(Zeroizing<String>, u64),
}

impl Issued {
    pub(crate) fn access_token(token: &AccessToken<'_>) -> Self {
        Self::For(Zeroizing::new(token.access_token.expose().to_owned()), token.expires_in)
    }

    fn at(self, now: UnixTime) -> Credential {
        match self {
            Self::Until(credential) => credential,
            Self::For(token, seconds) => {
                Credential::Bearer(BearerToken { token, expiration: now.plus(seconds) })
            }
        }
    }
}

/// A call with its inputs read: files, keys, the credential it stands on.
pub(crate) trait Flow: Send + Sync {
    /// The call's name in errors, such as `AssumeRole`.
    fn name(&self) -> &'static str;

    /// Where it is sent, when not to the service that its request names.
    fn endpoint(&self) -> Option<&Endpoint>;

    /// Whether it holds what can be used only once, such as a code of multi-factor authentication.
    fn only_once(&self) -> bool {
        false
    }

    /// Adds everything that decides which credential comes out: no two that differ may have one key.
    fn identity(&self, key: CacheKey) -> Result<CacheKey>;

    /// Builds and signs the request, and hands it to `then`. A device may take its time for it.
    fn request(&self, at: &Attempt, then: Then<'_>) -> Result<()>;

    /// Reads an answer.
    fn read<'b>(
        &self,
        head: &ResponseHead<'b>,
        body: &'b mut [u8],
    ) -> core::result::Result<Issued, Failure<'b>>;
}

/// Builds an exchange's request for `then`; `signer` signs it, where it needs a signature.
pub(crate) fn build(
    exchange: &impl Exchange,
    signer: Option<&dyn Signer>,
    at: &Attempt,
    then: Then<'_>,
) -> Result<()> {
    let room = if signer.is_some() { MAX_SIGNATURE_LEN } else { 0 };
    let mut buf = Zeroizing::new(vec![0; exchange.needed(at, room)?]);
    then(&match signer {
        Some(signer) => exchange.request(signer, at, &mut buf)?,
        None => exchange.build(at, &mut buf)?,
    });
    Ok(())
}

/// What every flow's identity begins with: all that its profile says (but for the key, which each adds in
/// its own way), and where it is sent.
pub(crate) fn identity(
    key: CacheKey,
    config: &impl Serialize,
    endpoint: Option<&Endpoint>,
) -> Result<CacheKey> {
    let config = serde_json::to_vec(config).map_err(|e| Error::config("profile", e.to_string()))?;
    let endpoint = endpoint.map(Endpoint::to_string).unwrap_or_default();
    Ok(key.field("profile", &config).field("endpoint", endpoint.as_bytes()))
}

/// A handle that sends to `endpoint`, if there is one.
pub(crate) fn to(endpoint: Option<&Endpoint>, transport: &Transport) -> Transport {
    match endpoint {
        Some(endpoint) => transport.via(endpoint.clone()),
        None => transport.clone(),
    }
}

/// Sends a flow's request, which one of these threads builds, and reads its answer.
pub(crate) async fn send(
    flow: Arc<dyn Flow>,
    transport: &Transport,
    clock: &Clock,
    threads: &Arc<Semaphore>,
) -> Result<Credential> {
    let name = flow.name();
    let mut transport = to(flow.endpoint(), transport);
    if flow.only_once() {
        transport = transport.once();
    }
    // Life is counted from the last try, not from its answer.
    let began = AtomicU64::new(clock.now().uptime);
    let sent = transport.call(
        |at| {
            began.store(clock.now().uptime, Ordering::Relaxed);
            let (flow, threads) = (flow.clone(), threads.clone());
            async move {
                let place = threads.acquire_owned().await?;
                // Elsewhere, because a device is slow and other tasks should not wait for it.
                let build = move || {
                    let request = owned(&*flow, &at);
                    drop(place);
                    request
                };
                Ok(tokio::task::spawn_blocking(build).await??)
            }
        },
        |head, body| flow.read(head, body),
    );
    let issued = sent.await.map_err(|e| Error::service(name, e))?;
    // Read now: the answer may have taught the transport the service's time.
    let now = clock.now();
    let took = now.uptime.saturating_sub(began.into_inner());
    let credential = issued.at(now.time.minus(took));
    check(&credential, now, name)?;
    Ok(credential)
}

fn owned(flow: &dyn Flow, at: &Attempt) -> Result<Request> {
    const NOT_BUILT: cloudauth_core::Error =
        cloudauth_core::Error::invalid("request", "was not built");
    let mut request = Err(NOT_BUILT);
    flow.request(at, &mut |built| request = Request::new(built))?;
    Ok(request?)
}
