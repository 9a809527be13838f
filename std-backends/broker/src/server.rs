//! The server: listeners, the snapshot of the configuration that is in force, its beginning and its end.

mod admin;
mod answers;
mod api;
mod connection;
mod http;
pub(crate) mod load;
mod metrics;
mod proxy_protocol;
mod rate;
mod record;
mod signer;
mod stall;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use cloudauth_core::UnixTime;
use cloudauth_tls::Acceptor;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::config::Config;
use crate::config::server::{Admin, Scheme};
use crate::error::LoadError;
use crate::key_sets::KeySets;
use crate::policy::Policy;
use connection::Count;
use metrics::Metrics;
use rate::Buckets;
use record::Sink;

/// A running broker. It belongs to a multi-threaded tokio runtime with I/O and time enabled; it prints nothing but
/// its decision records, and never ends the process. Dropped, it ends at once; see [`drain`](Self::drain).
///
/// What happens is told through `tracing`: no tokens, no nonces, no exported values.
#[derive(Debug)]
pub struct Broker {
    shared: Arc<Shared>,
    path: PathBuf,
    addresses: Addresses,
    /// One reload after the other: what the last one began to load.
    reloading: tokio::sync::Mutex<Option<Loading>>,
    connections: mpsc::Receiver<()>,
}

type Loading = JoinHandle<Result<Snapshot, LoadError>>;

/// How long a reload may take. Keys in devices are opened for it.
const LOADING: Duration = Duration::from_secs(60);

/// Where a broker listens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Addresses {
    /// The API.
    pub api: SocketAddr,
    /// `/healthz`, `/readyz` and `/metrics`, if anywhere.
    pub admin: Option<SocketAddr>,
    /// The compatibility listeners, in the order of the configuration.
    pub compatibility: Vec<SocketAddr>,
}

/// Why a broker does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration, or what it names, cannot be used.
    #[error(transparent)]
    Config(#[from] LoadError),
    /// There is no listening at an address.
    #[error("listening on {address} failed: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
}

impl Broker {
    /// Reads the configuration at `path` and starts: when this returns, connections are accepted. The keys of issuers
    /// may still be on their way; `/readyz` tells.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(path: &Path) -> Result<Self, StartError> {
        let snapshot = Snapshot::load(path, None).await?;
        let server = &snapshot.config.server;
        let api = listen(server.listen).await?;
        let admin = match server.admin_listen {
            Admin::At(address) => Some(listen(address).await?),
            Admin::Off => None,
        };
        let mut compatibility = Vec::new();
        for entry in &snapshot.config.compatibility {
            let kind = Kind::Compatibility { configured: entry.listen, scheme: entry.scheme };
            compatibility.push((kind, listen(entry.listen).await?));
        }
        let records = Sink::new(&server.records)
            .map_err(|e| LoadError::one("server.records", format!("cannot be written: {e}")))?;
        let (alive, connections) = mpsc::channel(1);
        let shared = Arc::new(Shared {
            current: RwLock::new(Arc::new(snapshot)),
            metrics: Metrics::default(),
            records,
            phase: watch::Sender::new(Phase::Running),
            alive: alive.downgrade(),
            count: Arc::default(),
            connection_rate: Buckets::new(),
            client_rate: Buckets::new(),
            grant_rate: Buckets::new(),
        });
        let address =
            |listener: &TcpListener, configured| listener.local_addr().unwrap_or(configured);
        let addresses = Addresses {
            api: address(&api, shared.snapshot().config.server.listen),
            admin: admin.as_ref().and_then(|admin| admin.local_addr().ok()),
            compatibility: compatibility
                .iter()
                .map(|(kind, listener)| address(listener, kind.configured()))
                .collect(),
        };
        if let Some(admin) = admin {
            tokio::spawn(admin::accept(admin, shared.clone()));
        }
        for (kind, listener) in compatibility.into_iter().chain([(Kind::V1, api)]) {
            let (shared, alive) = (shared.clone(), alive.clone());
            tokio::spawn(async move {
                connection::accept(listener, kind, shared).await;
                drop(alive);
            });
        }
        tracing::info!(api = %addresses.api, admin = ?addresses.admin, "broker started");
        let path = path.to_owned();
        Ok(Self { shared, path, addresses, reloading: tokio::sync::Mutex::default(), connections })
    }

    /// Where it listens, with the ports that were free.
    #[must_use]
    pub const fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Reads the configuration again, with certificates, keys, authorities and policies, and opens the file of the
    /// decision records again. Connections go on; their next request is decided by the new policy. New ones
    /// get the new certificate. Where the broker listens stays as it was at the start.
    ///
    /// # Errors
    /// [`LoadError`]; all is then as before. Metrics and the log say so too.
    pub async fn reload(&self) -> Result<(), LoadError> {
        let mut loading = self.reloading.lock().await;
        match self.load_again(&mut loading).await {
            Ok(()) => {
                self.shared.metrics.reload("loaded");
                tracing::info!("configuration loaded again");
                Ok(())
            }
            Err(error) => {
                self.shared.metrics.reload("refused");
                tracing::error!(%error, "the configuration stays as it was");
                Err(error)
            }
        }
    }

    async fn load_again(&self, loading: &mut Option<Loading>) -> Result<(), LoadError> {
        let before = self.shared.snapshot();
        let next = load_within(LOADING, loading, {
            let (path, key_sets) = (self.path.clone(), before.key_sets.clone());
            async move { Snapshot::load(&path, Some(key_sets)).await }
        });
        let next = next.await?;
        let records = self.shared.records.reopen(&next.config.server.records).await;
        records.map_err(|e| LoadError::one("server.records", format!("cannot be written: {e}")))?;
        for moved in next.moved(&before) {
            tracing::warn!(listen = moved, "listeners change only when the broker starts again");
        }
        *self.shared.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
        Ok(())
    }

    /// Ends: no connection is accepted any more, idle ones are closed, requests in flight are answered, for as long as
    /// `drain-seconds` of the configuration. Returns whether all were.
    pub async fn drain(mut self) -> bool {
        let limit = self.shared.snapshot().config.server.drain_seconds;
        self.shared.phase.send_replace(Phase::Draining);
        tracing::info!(connections = self.shared.count.all(), "draining");
        // The last connection drops the last sender.
        let drained = timeout(Duration::from_secs(limit.into()), self.connections.recv()).await;
        self.shared.records.flush().await;
        drained.is_ok()
    }
}

/// Loads in a task of its own. A device that does not answer holds one thread for ever, not one for each reload: what
/// began to load before must have ended.
async fn load_within<T: Send + 'static>(
    limit: Duration,
    loading: &mut Option<JoinHandle<Result<T, LoadError>>>,
    load: impl Future<Output = Result<T, LoadError>> + Send + 'static,
) -> Result<T, LoadError> {
    if loading.as_ref().is_some_and(|loading| !loading.is_finished()) {
        let help = "the reload before this one still waits for a file or a device; is it there?";
        return Err(LoadError::one("loading", help));
    }
    let task = loading.insert(tokio::spawn(load));
    let loaded = timeout(limit, &mut *task).await.map_err(|_| {
        let help =
            format!("a file or a device gave no answer within {} s; is it there?", limit.as_secs());
        LoadError::one("loading", help)
    })?;
    // What has given its result must not be asked again.
    *loading = None;
    loaded.map_err(|e| LoadError::one("loading", e))?
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.shared.phase.send_replace(Phase::Ended);
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })
}

/// How far a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
enum Phase {
    Running,
    /// No new connections, no new requests.
    Draining,
    Ended,
}

/// Which listener a connection came by.
#[derive(Clone, Debug)]
enum Kind {
    V1,
    Compatibility { configured: SocketAddr, scheme: Scheme },
}

impl Kind {
    const fn name(&self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::Compatibility { scheme: Scheme::SeedAws, .. } => "seed-aws",
            Self::Compatibility { scheme: Scheme::SeedAzure, .. } => "seed-azure",
            Self::Compatibility { scheme: Scheme::GoogleCodelab, .. } => "google-codelab",
        }
    }

    fn configured(&self) -> SocketAddr {
        match self {
            Self::V1 => (IpAddr::from([0, 0, 0, 0]), 0).into(),
            Self::Compatibility { configured, .. } => *configured,
        }
    }

    /// The grant that a compatibility listener stands for now.
    fn grant<'s>(&self, snapshot: &'s Snapshot) -> Option<&'s str> {
        let Self::Compatibility { configured, scheme } = self else { return None };
        let entries = &snapshot.config.compatibility;
        let entry = entries.iter().find(|e| e.listen == *configured && e.scheme == *scheme)?;
        Some(&entry.grant)
    }
}

/// What all connections share.
struct Shared {
    current: RwLock<Arc<Snapshot>>,
    metrics: Metrics,
    records: Arc<Sink>,
    phase: watch::Sender<Phase>,
    /// Every accepting task and every connection holds one.
    alive: mpsc::WeakSender<()>,
    count: Arc<Count>,
    connection_rate: Buckets<IpAddr>,
    client_rate: Buckets<IpAddr>,
    grant_rate: Buckets<String>,
}

impl Shared {
    fn snapshot(&self) -> Arc<Snapshot> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn alive(&self) -> Option<mpsc::Sender<()>> {
        self.alive.upgrade()
    }

    /// Whether requests can be decided, or why not.
    fn ready(&self) -> Result<(), String> {
        if *self.phase.borrow() != Phase::Running {
            return Err("draining".to_owned());
        }
        if !self.records.ready() {
            return Err("decision records cannot be written".to_owned());
        }
        self.snapshot().key_sets.ready()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("count", &self.count).finish_non_exhaustive()
    }
}

/// A configuration with all that it names. It does not change; a reload makes another.
struct Snapshot {
    config: Config,
    v1: Acceptor,
    compatibility: Acceptor,
    policy: Policy,
    key_sets: Arc<KeySets>,
    certificate_end: UnixTime,
    loaded: UnixTime,
    /// Keeps the key sets fresh for as long as this is in force.
    fresh: JoinHandle<()>,
}

impl Snapshot {
    /// Listeners that are configured in another way than `before`.
    fn moved(&self, before: &Self) -> Vec<&'static str> {
        let (now, then) = (&self.config, &before.config);
        let compatibility = |config: &Config| -> Vec<_> {
            config.compatibility.iter().map(|entry| (entry.listen, entry.scheme as u8)).collect()
        };
        let mut moved = Vec::new();
        if now.server.listen != then.server.listen {
            moved.push("server.listen");
        }
        if now.server.admin_listen != then.server.admin_listen {
            moved.push("server.admin-listen");
        }
        if compatibility(now) != compatibility(then) {
            moved.push("compatibility");
        }
        moved
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("loaded", &self.loaded).finish_non_exhaustive()
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        self.fresh.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_device_that_hangs_holds_one_reload() {
        let mut loading = None;
        let limit = Duration::from_secs(60);
        let (answer, answered) = tokio::sync::oneshot::channel::<()>();
        let hung = async {
            let _ = answered.await;
            Ok(1)
        };
        let error = load_within(limit, &mut loading, hung).await.unwrap_err().to_string();
        assert!(error.contains("within 60 s"), "{error}");
        let another = load_within(limit, &mut loading, async { Ok(2) }).await;
        assert!(another.unwrap_err().to_string().contains("still waits"));
        drop(answer);
        tokio::task::yield_now().await;
        // What came too late is not used.
        assert_eq!(load_within(limit, &mut loading, async { Ok(3) }).await.unwrap(), 3);
        assert_eq!(load_within(limit, &mut loading, async { Ok(4) }).await.unwrap(), 4);
    }
}
