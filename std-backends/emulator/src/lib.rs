#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod attestation;
mod aws;
mod clock;
mod config;
mod control;
mod entra;
mod fault;
mod google;
mod keys;
mod keyvault;
mod log;
mod request;
mod route;
mod server;
mod socket;
mod state;
mod tls;

use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener as StdListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use serde_json::{Value, json};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::oneshot;

pub use attestation::{
    Attestation, AttestationKey, AttestationKind, AttestationToken, Chain, ConfidentialSpace,
    ImageSignature, Maa,
};
pub use config::{
    AccountKey, Application, Aws, AwsRole, AwsUser, Bucket, Config, Entra, Federated, Google,
    Issuer, Profile, Provider, Secret, ServiceAccount, TrustAnchor, WebIdentity,
};
pub use fault::{Fault, FaultKind};
pub use keyvault::{Vault, VaultCertificate, VaultSecret};
pub use log::Record;
pub use route::Service;
pub use state::Session;

use server::Shared;
use socket::Socket;
use state::State;
use tls::Authority;

/// Why the emulator does not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmulatorError {
    /// The configuration is wrong; the text says where.
    #[error("configuration: {0}")]
    Config(String),
    /// It would be reachable from other machines, and [`Options::allow_remote`] is not set.
    #[error("{0} is not a loopback address: whoever reaches the emulator can steer it")]
    NotLoopback(SocketAddr),
    /// An address cannot be listened on.
    #[error("listening on {0}: {1}")]
    Listen(SocketAddr, #[source] io::Error),
    /// The unix socket cannot be listened on.
    #[error("listening on {}: {}", .0.display(), .1)]
    Socket(PathBuf, #[source] io::Error),
    /// Certificates cannot be made.
    #[error("TLS: {0}")]
    Tls(String),
    /// A file cannot be written.
    #[error("writing {}: {}", .0.display(), .1)]
    Write(PathBuf, #[source] io::Error),
    /// A thread or its event loop cannot be started, or standard output cannot be written.
    #[error("starting: {0}")]
    Start(#[source] io::Error),
}

/// How the emulator runs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Where to listen with TLS; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where to listen without TLS, and as a proxy for HTTPS to the services' real names.
    pub listen_http: Option<SocketAddr>,
    /// Whether addresses other than loopback may be listened on. Whoever reaches the emulator can
    /// steer it.
    pub allow_remote: bool,
    /// Further names and addresses for the certificate.
    pub names: Vec<String>,
    /// A unix socket for the token service of Confidential Space's launcher; made here, for its
    /// owner alone (the launcher's is for everybody), and removed at the end.
    pub teeserver: Option<PathBuf>,
    /// A directory for `ca.pem`; made where it is missing. Keys are never written.
    pub state_dir: Option<PathBuf>,
    /// How many seconds the emulator's clock is ahead of the machine's.
    pub time_offset: i64,
    /// What the services know from the start.
    pub config: Config,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            listen_http: None,
            allow_remote: false,
            names: Vec::new(),
            teeserver: None,
            state_dir: None,
            time_offset: 0,
            config: Config::default(),
        }
    }
}

/// A running emulator, with a thread of its own; dropping it ends it.
pub struct Emulator {
    shared: Arc<Shared>,
    address: SocketAddr,
    http_address: Option<SocketAddr>,
    ca_file: Option<PathBuf>,
    teeserver: Option<Socket>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Emulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Emulator").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Emulator {
    /// Starts an emulator; when this returns it answers.
    ///
    /// # Errors
    /// [`EmulatorError`]: the configuration, the addresses or the state directory.
    pub fn start(options: Options) -> Result<Self, EmulatorError> {
        let Options {
            listen,
            listen_http,
            allow_remote,
            names,
            teeserver,
            state_dir,
            time_offset,
            config,
        } = options;
        let mut state = State { offset: checked_offset(time_offset)?, ..State::default() };
        state.register(config)?;
        let authority = Authority::new(&names)?;
        let secure = bind(listen, allow_remote)?;
        let plain = listen_http.map(|address| bind(address, allow_remote)).transpose()?;
        let address = secure.local_addr().map_err(|e| EmulatorError::Listen(listen, e))?;
        state.attestation.url = format!("https://{address}");
        let http_address = plain.as_ref().and_then(|plain| plain.local_addr().ok());
        let ca_file = state_dir.map(|folder| write_ca(&folder, &authority.pem)).transpose()?;
        let (unix, teeserver) = teeserver.map(Socket::bind).transpose()?.unzip();
        let shared = Arc::new(Shared::new(state, authority, allow_remote));
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(EmulatorError::Start)?;
        let listeners = {
            let _guard = runtime.enter();
            let secure = TcpListener::from_std(secure).map_err(EmulatorError::Start)?;
            let plain =
                plain.map(TcpListener::from_std).transpose().map_err(EmulatorError::Start)?;
            let unix = unix.map(UnixListener::from_std).transpose();
            (secure, plain, unix.map_err(EmulatorError::Start)?)
        };
        let of_thread = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("emulator".into())
            .spawn(move || {
                let (secure, plain, unix) = listeners;
                runtime.block_on(async move {
                    tokio::spawn(server::accept(secure, Arc::clone(&of_thread), true));
                    if let Some(plain) = plain {
                        tokio::spawn(server::accept(plain, Arc::clone(&of_thread), false));
                    }
                    if let Some(unix) = unix {
                        tokio::spawn(server::accept_unix(unix, of_thread));
                    }
                    // Ends when told to, or when the handle is gone.
                    let _ = stopped.await;
                });
            })
            .map_err(EmulatorError::Start)?;
        let (stop, thread) = (Some(stop), Some(thread));
        Ok(Self { shared, address, http_address, ca_file, teeserver, stop, thread })
    }

    /// Where it listens with TLS.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `https://127.0.0.1:<port>`, the endpoint URL of every service.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// `http://127.0.0.1:<port>`: the same without TLS, and the proxy; None unless asked for.
    #[must_use]
    pub fn http_url(&self) -> Option<String> {
        self.http_address.map(|address| format!("http://{address}"))
    }

    /// The certificate of the certification authority, PEM.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.shared.authority.pem
    }

    /// The file that holds it, where there is a state directory.
    #[must_use]
    pub fn ca_file(&self) -> Option<&Path> {
        self.ca_file.as_deref()
    }

    /// The socket of the launcher's token service; None unless asked for.
    #[must_use]
    pub fn teeserver(&self) -> Option<&Path> {
        self.teeserver.as_ref().map(Socket::path)
    }

    /// Mints an attestation token, right or wrong.
    ///
    /// # Errors
    /// [`EmulatorError`]: what is asked for does not go together, or no key can be made.
    pub fn attestation_token(&self, token: &AttestationToken) -> Result<String, EmulatorError> {
        let state = self.shared.state();
        let now = clock::system().saturating_add(state.offset);
        attestation::mint(&state.attestation, now, token)
    }

    /// Gives both attestation issuers a new key; the one so far stays in their key sets if it is to
    /// be kept, and can be minted with ([`AttestationKey::Previous`]) either way.
    ///
    /// # Errors
    /// [`EmulatorError`]: no key can be made.
    pub fn rotate_attestation_keys(&self, keep_previous: bool) -> Result<(), EmulatorError> {
        self.shared.state().attestation.rotate(keep_previous)
    }

    /// The certificate of the root that Google's PKI tokens lead to, PEM.
    ///
    /// # Errors
    /// [`EmulatorError`]: it cannot be made.
    pub fn attestation_root_pem(&self) -> Result<String, EmulatorError> {
        self.shared.state().attestation.root_pem()
    }

    /// The public key (RFC 7517) of [`AttestationKey::Attacker`] as a key set, for headers that
    /// offer it.
    ///
    /// # Errors
    /// [`EmulatorError`]: it cannot be made.
    pub fn attacker_jwks(&self) -> Result<Value, EmulatorError> {
        self.shared.state().attestation.attacker_jwks()
    }

    /// Adds to what the services know, in the place of what has the same name.
    ///
    /// # Errors
    /// [`EmulatorError::Config`]: nothing has been added then.
    pub fn register(&self, config: Config) -> Result<(), EmulatorError> {
        self.shared.state().register(config)
    }

    /// Makes the next requests meet a fault.
    pub fn fault(&self, fault: Fault) {
        self.shared.state().faults.push(fault);
    }

    /// Drops the faults that no request has met yet.
    pub fn clear_faults(&self) {
        self.shared.state().faults.clear();
    }

    /// Sets how many seconds the emulator's clock is ahead of the machine's.
    ///
    /// # Errors
    /// [`EmulatorError::Config`]: more than a hundred years.
    pub fn set_time_offset(&self, seconds: i64) -> Result<(), EmulatorError> {
        self.shared.state().offset = checked_offset(seconds)?;
        Ok(())
    }

    /// The last thousand requests, the oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Record> {
        self.shared.state().log.iter().cloned().collect()
    }

    /// The temporary credentials of AWS that have been issued.
    #[must_use]
    pub fn sessions(&self) -> Vec<Session> {
        self.shared.state().sessions.values().map(|issued| issued.session.clone()).collect()
    }

    /// Waits until the emulator ends, which it does not by itself. A signal to end it takes the
    /// socket away first.
    fn wait(mut self) -> Result<(), EmulatorError> {
        if self.teeserver.is_some() {
            let ends = [SIGHUP, SIGINT, SIGTERM];
            let mut signals = Signals::new(ends).map_err(EmulatorError::Start)?;
            let signal = signals.forever().next();
            drop(self);
            let signal = signal.unwrap_or(SIGTERM);
            return emulate_default_handler(signal).map_err(EmulatorError::Start);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        Ok(())
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Runs an emulator until the process ends. Once it answers, one line of JSON is written to standard
/// output: `{"url":…,"http_url":…,"ca_file":…,"teeserver":…}`.
///
/// # Errors
/// As [`Emulator::start`]; and standard output cannot be written.
pub fn run(options: Options) -> Result<(), EmulatorError> {
    let emulator = Emulator::start(options)?;
    let line = json!({
        "url": emulator.url(),
        "http_url": emulator.http_url(),
        "ca_file": emulator.ca_file(),
        "teeserver": emulator.teeserver(),
    });
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).map_err(EmulatorError::Start)?;
    drop(stdout);
    emulator.wait()
}

fn checked_offset(seconds: i64) -> Result<i64, EmulatorError> {
    if seconds.saturating_abs() <= clock::MAX_OFFSET {
        return Ok(seconds);
    }
    Err(EmulatorError::Config("the time offset is more than a hundred years".into()))
}

fn bind(address: SocketAddr, allow_remote: bool) -> Result<StdListener, EmulatorError> {
    if !address.ip().is_loopback() && !allow_remote {
        return Err(EmulatorError::NotLoopback(address));
    }
    let failed = |e| EmulatorError::Listen(address, e);
    let listener = StdListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}

/// Writes `ca.pem`, in one step for whoever waits for it.
fn write_ca(folder: &Path, pem: &str) -> Result<PathBuf, EmulatorError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |e| EmulatorError::Write(path, e)
    };
    std::fs::create_dir_all(folder).map_err(failed(folder))?;
    let (path, new) = (folder.join("ca.pem"), folder.join(".ca.pem.new"));
    std::fs::write(&new, pem).map_err(failed(&new))?;
    std::fs::rename(&new, &path).map_err(failed(&path))?;
    Ok(path)
}
