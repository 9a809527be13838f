//! A credential that is always fresh.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use cloudauth_core::Attempt;
use cloudauth_tls::Transport;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::clock::{Clock, Moment};
use crate::file_cache::{CacheKey, FileCache};
use crate::flow::send;
use crate::memory::Memory;
use crate::{
    AwsKeys, BearerToken, CallerIdentity, Credential, Error, Identity, Inputs, Result, Source,
};

/// What a profile gives that is for no cloud.
const SECRETS: &str = "secrets, which are for a program's files and variables: use cloudauth run";

/// What providers have in common: the way to the services, the inputs, and perhaps a cache that several
/// processes share. A clone is another handle on the same.
#[derive(Clone)]
pub struct Client {
    transport: Route,
    /// For AWS, where its own variable names other trusted certificates.
    aws: Option<Route>,
    /// Which certificates are trusted, for the file cache's keys.
    trust: Vec<u8>,
    inputs: Arc<Inputs>,
    file_cache: Option<Arc<FileCache>>,
}

impl Client {
    /// A client without a file cache.
    #[must_use]
    pub fn new(transport: Transport, inputs: Inputs) -> Self {
        Self::with_routes(Route::new(|| Ok(transport)), None, Vec::new(), inputs)
    }

    /// A client for [`Attested`](crate::Attested) sources alone, which have a way of their own: nothing of the
    /// environment is looked at.
    #[must_use]
    pub fn attested(inputs: Inputs) -> Self {
        let none = || Err(Error::config("client", "is for attested sources alone"));
        Self::with_routes(Route::new(none), None, Vec::new(), inputs)
    }

    /// With a way for AWS of its own, and with what tells the trusted certificates apart from others.
    pub(crate) fn with_routes(
        transport: Route,
        aws: Option<Route>,
        trust: Vec<u8>,
        inputs: Inputs,
    ) -> Self {
        Self { transport, aws, trust, inputs: Arc::new(inputs), file_cache: None }
    }

    fn route(&self, source: &Source) -> &Route {
        match &self.aws {
            Some(route) if source.is_aws() => route,
            _ => &self.transport,
        }
    }

    /// With a cache that several processes share. It is asked before a service is, for everything but what
    /// is made without one.
    #[must_use]
    pub fn with_file_cache(self, cache: FileCache) -> Self {
        Self { file_cache: Some(Arc::new(cache)), ..self }
    }

    /// The way to the services of Azure and Google Cloud, for calls of one's own.
    ///
    /// # Errors
    /// [`Error::Service`] when it cannot be set up; [`Error::Config`] for [`attested`](Self::attested) sources.
    pub fn transport(&self) -> Result<&Transport> {
        self.transport.get()
    }

    /// What reads keys, certificates and tokens.
    #[must_use]
    pub const fn inputs(&self) -> &Arc<Inputs> {
        &self.inputs
    }

    /// The time and random octets for one signature.
    ///
    /// # Errors
    /// [`Error::Service`] when the system gives no random octets.
    pub fn attempt(&self) -> Result<Attempt> {
        self.transport.get()?.attempt().map_err(|e| Error::service("random octets", e))
    }

    /// A provider of what `source` says.
    #[must_use]
    pub fn provider(&self, source: impl Into<Source>) -> Provider {
        self.chained(source, None)
    }

    /// The same, standing on the credential of `base`: a role that other credentials assume.
    #[must_use]
    pub fn chained(&self, source: impl Into<Source>, base: Option<Provider>) -> Provider {
        let source = source.into();
        let clock = match source {
            // It has a way of its own, and must not set up one that the environment has a say in.
            Source::Attested(_) => Clock::system(),
            _ => clock(self.route(&source).clone()),
        };
        let memory = Memory::new(clock.clone(), source.kind());
        let refused = AtomicBool::new(false);
        let (spent, key) = (AtomicBool::new(false), Mutex::default());
        Provider(Arc::new(Inner {
            client: self.clone(),
            source,
            base,
            clock,
            memory,
            refused,
            spent,
            key,
        }))
    }

    /// Asks STS whose credentials these are: those that `base` gives, else those that `call` names.
    ///
    /// # Errors
    /// As a provider's.
    pub async fn caller_identity(
        &self,
        call: &CallerIdentity,
        base: Option<&Provider>,
    ) -> Result<Identity> {
        let base = match base {
            Some(base) => Some(base.credential().await?),
            None => None,
        };
        let transport = self.aws.as_ref().unwrap_or(&self.transport).get()?;
        call.send(&self.inputs, base.as_deref(), transport).await
    }
}

/// A transport, set up when it is first used: reading a system's trusted certificates takes its time.
#[derive(Clone)]
pub(crate) struct Route(Arc<LazyLock<Result<Transport>, Setup>>);

type Setup = Box<dyn FnOnce() -> Result<Transport> + Send>;

impl Route {
    pub(crate) fn new(set_up: impl FnOnce() -> Result<Transport> + Send + 'static) -> Self {
        Self(Arc::new(LazyLock::new(Box::new(set_up))))
    }

    fn get(&self) -> Result<&Transport> {
        (**self.0).as_ref().map_err(Error::clone)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("inputs", &self.inputs).finish_non_exhaustive()
    }
}

/// Gives a credential that is good now: the one it has, or a new one in time. However many ask, one call
/// is made; while a refresh fails, the last credential serves until its end. A clone is another handle on
/// the same.
#[derive(Clone)]
pub struct Provider(Arc<Inner>);

struct Inner {
    client: Client,
    source: Source,
    base: Option<Provider>,
    clock: Clock,
    memory: Memory,
    /// What the file cache holds is not to be used.
    refused: AtomicBool,
    /// A code that serves once was sent.
    spent: AtomicBool,
    /// Where the last credential is in the file cache: whose it is, for what stands on it.
    key: Mutex<Option<CacheKey>>,
}

impl Provider {
    /// The credential.
    ///
    /// # Errors
    /// Any [`Error`], when there is none that is valid.
    pub async fn credential(&self) -> Result<Arc<Credential>> {
        self.0.memory.get(|| self.0.fetch()).await
    }

    /// AWS credentials.
    ///
    /// # Errors
    /// As [`credential`](Self::credential); [`Error::Config`] when the source gives none of AWS.
    pub async fn aws_keys(&self) -> Result<AwsKeys> {
        match &*self.credential().await? {
            Credential::Aws(keys) => Ok(keys.clone()),
            Credential::Bearer(_) => Err(self.0.other("a token, not AWS credentials")),
            Credential::Secrets(_) => Err(self.0.other(SECRETS)),
        }
    }

    /// A bearer token of Azure or Google Cloud.
    ///
    /// # Errors
    /// As [`credential`](Self::credential); [`Error::Config`] when the source gives no token.
    pub async fn bearer_token(&self) -> Result<BearerToken> {
        match &*self.credential().await? {
            Credential::Bearer(token) => Ok(token.clone()),
            Credential::Aws(_) => Err(self.0.other("AWS credentials, not a token")),
            Credential::Secrets(_) => Err(self.0.other(SECRETS)),
        }
    }

    /// Forgets the credential, because a service refused it. The next call gets a new one.
    pub fn invalidate(&self) {
        self.0.refused.store(true, Ordering::Release);
        self.0.memory.invalidate();
    }

    /// What it gives, and how.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.0.source
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Provider").field(&self.0.source.kind()).finish()
    }
}

impl Inner {
    fn other(&self, gives: &str) -> Error {
        Error::config("profile", format!("its kind, {}, gives {gives}", self.source.kind()))
    }

    fn key(&self) -> Option<CacheKey> {
        self.key.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_key(&self, key: Option<CacheKey>) {
        *self.key.lock().unwrap_or_else(PoisonError::into_inner) = key;
    }

    // Boxed, because a provider may stand on another.
    fn fetch(&self) -> Pin<Box<dyn Future<Output = Result<Credential>> + Send + '_>> {
        Box::pin(async {
            // Before anything is asked or sent.
            self.source.check_base(self.base.as_ref().map(Provider::source))?;
            if self.source.has_code() && self.spent.swap(true, Ordering::AcqRel) {
                return Err(Error::config(
                    "token-code",
                    "was used; it serves once: give a new one",
                ));
            }
            let Some(base) = &self.base else { return self.fetch_with(None).await };
            let result = self.fetch_with(Some(base.credential().await?)).await;
            match result {
                Err(error) if error.refuses_caller() && !self.source.has_code() => {
                    tracing::debug!(%error, "the credential below is refused: getting a new one");
                    base.invalidate();
                    self.fetch_with(Some(base.credential().await?)).await
                }
                result => result,
            }
        })
    }

    async fn fetch_with(&self, base: Option<Arc<Credential>>) -> Result<Credential> {
        let Self { client, clock, .. } = self;
        if let Source::Attested(attested) = &self.source {
            // By a way of its own, and never out of a file.
            return attested.fetch(&client.inputs).await;
        }
        let (transport, inputs) = (client.route(&self.source).get()?, &client.inputs);
        // What was got with a code is given to nobody who does not have one.
        let file_cache = client.file_cache.as_ref().filter(|_| !self.source.has_code());
        let limit = transport.limit();
        let threads = inputs.threads(self.source.key());
        if let Source::GcpToken(token) = &self.source {
            let (token, inputs, at) = (token.clone(), inputs.clone(), self.client.attempt()?);
            let (token, key) = limited(&threads, limit, move || {
                let key = token.identity(CacheKey::new("gcp-token"), &inputs)?;
                Ok((token.sign(&inputs, &at)?, key))
            })
            .await?;
            self.set_key(Some(key));
            return Ok(Credential::Bearer(token));
        }
        let cached = file_cache.is_some();
        let below = self.base.as_ref().and_then(|base| base.0.key());
        let (source, inputs) = (self.source.clone(), inputs.clone());
        // Files are read and devices opened, which takes its time.
        let trust = client.trust.clone();
        let (flow, key) = limited(&threads, limit, move || {
            let flow = source.open(&inputs, base.as_deref())?;
            let flow = flow.ok_or_else(|| Error::config("profile", "has nothing to ask for"))?;
            if !cached {
                return Ok((flow, None));
            }
            let key = flow.identity(CacheKey::new(source.kind()))?.field("trust", &trust);
            Ok((flow, Some(below.iter().fold(key, |key, below| key.on(below)))))
        })
        .await?;
        let send = || send(Arc::clone(&flow), transport, clock, &threads);
        let credential = match (file_cache, &key) {
            (Some(cache), Some(key)) => {
                if self.refused.swap(false, Ordering::AcqRel) {
                    cache.forget(key);
                }
                cache.get(key, clock, send).await?
            }
            _ => send().await?,
        };
        self.set_key(key);
        Ok(credential)
    }
}

/// The services' time, as far as answers have taught it: expiry is theirs.
fn clock(route: Route) -> Clock {
    let system = Clock::system();
    Clock::new(move || {
        let Moment { time, uptime } = system.now();
        let offset = route.get().map_or(0, Transport::clock_offset);
        let time = match u64::try_from(offset) {
            Ok(ahead) => time.plus(ahead),
            Err(_) => time.minus(offset.unsigned_abs()),
        };
        Moment { time, uptime }
    })
}

/// Elsewhere, so that other tasks need not wait; and not for ever.
pub(crate) async fn blocking<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    within(limit, async { tokio::task::spawn_blocking(work).await.map_err(cut_short)? }).await
}

/// The same, in one of these threads. Whoever gives up waiting leaves the thread behind, which keeps its place: work
/// that never ends must not take all threads of the program.
async fn limited<T: Send + 'static>(
    threads: &Arc<Semaphore>,
    limit: Duration,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let working = async {
        let place = threads.clone().acquire_owned().await.map_err(cut_short)?;
        let work = move || {
            let result = work();
            drop(place);
            result
        };
        tokio::task::spawn_blocking(work).await.map_err(cut_short)?
    };
    within(limit, working).await
}

async fn within<T>(limit: Duration, working: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(limit, working).await.unwrap_or_else(|_| {
        let help = format!("gave no answer within {} s; is the device there?", limit.as_secs());
        Err(Error::config("key or file", help))
    })
}

fn cut_short(e: impl fmt::Display) -> Error {
    Error::config("provider", format!("its work was cut short: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc;

    #[tokio::test]
    async fn work_that_never_ends_takes_few_threads() {
        const LIMIT: Duration = Duration::from_millis(200);
        let inputs = Inputs::default();
        let key = |text: &str| inputs.threads(Some(&text.parse().unwrap()));
        let began = Arc::new(AtomicUsize::new(0));
        let mut answers = Vec::new();
        let mut waiting = Vec::new();
        for _ in 0..20 {
            let (answer, answered) = mpsc::channel::<()>();
            answers.push(answer);
            let (threads, began) = (key("tpm:handle=0x81000001"), began.clone());
            waiting.push(tokio::spawn(async move {
                let work = move || {
                    began.fetch_add(1, Ordering::Relaxed);
                    let _ = answered.recv();
                    Ok(())
                };
                limited(&threads, LIMIT, work).await
            }));
        }
        for waiting in waiting {
            let error = waiting.await.unwrap().unwrap_err().to_string();
            assert!(error.contains("is the device there"), "{error}");
        }
        assert_eq!(began.load(Ordering::Relaxed), 8);
        // Another device is not affected; nor is this one, once it answers.
        limited(&key("tpm:handle=0x81000002"), LIMIT, || Ok(())).await.unwrap();
        assert!(limited(&key("tpm:handle=0x81000001"), LIMIT, || Ok(())).await.is_err());
        drop(answers);
        limited(&key("tpm:handle=0x81000001"), 50 * LIMIT, || Ok(())).await.unwrap();
    }
}
