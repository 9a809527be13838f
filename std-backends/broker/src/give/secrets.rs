//! A bundle of secrets: of Azure Key Vault, and of files of the broker. All of them, or nothing.

mod certificate;
mod vault;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cloudauth_client::{AzureToken, Client, Provider, Secrets as Bundle, Source};
use cloudauth_core::UnixTime;
use cloudauth_core::broker::{MAX_NAME, MAX_SECRETS, is_name};
use cloudauth_core::encode::base64::encoded_len;
use cloudauth_tls::Endpoint;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use zeroize::Zeroizing;

use super::failed;
use crate::config::{Config, check_rights, give, section};
use crate::decision::{GiveError, Given};
use crate::error::LoadError;
use vault::{Entry, Vault, What};

/// The leases that a grant can have, in seconds: up to a week.
const LEASES: std::ops::RangeInclusive<u32> = 10..=604_800;
/// The shortest lease that is given, in seconds: what ends before that is refused.
const LEAST_LEASE: u64 = 10;
/// The most secrets of one grant: an answer's JSON has no more members.
const MOST: usize = 256;
/// The most octets of a file.
const MAX_FILE: u64 = 512 * 1024;
/// How many secrets of one grant are fetched at once, for however many clients.
const AT_ONCE: usize = 64;
/// Room in an answer for all but the secrets.
const HEAD: usize = 1024;
/// How many secrets an error names.
const NAMED: usize = 10;

/// What a grant gives.
#[derive(Debug)]
pub(crate) struct Secrets {
    lease: u64,
    /// By name.
    places: BTreeMap<String, Place>,
    /// Where tokens for the vaults come from.
    tokens: Vec<Provider>,
    at_once: Arc<Semaphore>,
}

/// Where a secret is.
#[derive(Clone, Debug)]
enum Place {
    File(PathBuf),
    Vault(Arc<Entry>),
}

/// A secret that was fetched.
struct Fetched {
    fields: BTreeMap<String, Zeroizing<Vec<u8>>>,
    /// Its version in the vault, for the record.
    version: String,
    /// When it ends by itself.
    end: Option<UnixTime>,
}

/// Why a secret was not had: in words without any of it.
struct Failure {
    /// It may work later.
    passing: bool,
    why: String,
}

impl Failure {
    fn refused(why: impl Into<String>) -> Self {
        Self { passing: false, why: why.into() }
    }
}

impl Secrets {
    pub(super) fn new(
        own: give::Secrets,
        config: &Config,
        profiles: &cloudauth_client::Config,
        client: &Client,
    ) -> Result<Self, LoadError> {
        let mut wrong = LoadError::default();
        if !LEASES.contains(&own.lease) {
            wrong.add("lease", format!("expected {} to {} seconds", LEASES.start(), LEASES.end()));
        }
        if !(1..=MOST).contains(&own.secrets.len()) {
            wrong.add(
                "secrets",
                format!("expected 1 to {MOST}, such as NAME = {{ secret = \"…\" }}"),
            );
        }
        let of_vault = own.secrets.values().any(|secret| secret.file.is_none());
        if !of_vault {
            let given = [
                ("vault", own.vault.is_some()),
                ("vault-endpoint-url", own.vault_endpoint_url.is_some()),
                ("profile", own.profile.is_some()),
            ];
            let fields = given.iter().filter(|(_, given)| *given).map(|(field, _)| *field);
            for field in fields.chain(own.token.keys().map(String::as_str)) {
                wrong.add(field, "is for secrets of a vault, and there are none");
            }
        }
        let default = own.vault.as_deref();
        let via = own.vault_endpoint_url.as_deref().map(Endpoint::parse).transpose();
        let via = via.map_err(|e| LoadError::one("vault-endpoint-url", e));
        let via = wrong.take(via).flatten();
        let mut vaults = BTreeMap::new();
        let mut places = BTreeMap::new();
        let mut entries = Vec::new();
        for (name, secret) in own.secrets {
            let place = format!("secrets.{name}");
            if !is_name(&name) {
                let help =
                    format!("expected a name of 1 to {MAX_NAME} of A-Z, a-z, 0-9, _, . and -");
                wrong.add(&place, help);
            }
            let (what, item) = match (secret.secret, secret.certificate, secret.file) {
                (Some(item), None, None) => (What::Secret, item),
                (None, Some(item), None) => (What::Certificate, item),
                (None, None, Some(path)) => {
                    if secret.version.is_some() || secret.vault.is_some() {
                        wrong.add(&place, "version and vault are not for a file");
                    }
                    places.insert(name, Place::File(config.folder.join(path)));
                    continue;
                }
                _ => {
                    wrong.add(&place, "expected one of secret, certificate and file");
                    continue;
                }
            };
            let Some(url) = secret.vault.as_deref().or(default) else {
                wrong.add(
                    &place,
                    "say in which vault it is: vault = \"https://NAME.vault.azure.net\"",
                );
                continue;
            };
            let vault = Vault::new(url, via.as_ref()).map_err(|help| LoadError::one("vault", help));
            let Some(vault) = wrong.take(vault.map_err(|e| e.within(&place))) else { continue };
            if let Err(help) = vault.check(&item, secret.version.as_deref()) {
                wrong.add(&place, help);
            }
            vaults.entry(vault.scope.clone()).or_insert(None::<Provider>);
            entries.push((name, vault, what, item, secret.version));
        }
        if of_vault {
            let scopes: Vec<_> = vaults.keys().cloned().collect();
            let tokens = tokens(own.profile, &own.token, &scopes, config, profiles, client);
            for (scope, provider) in wrong.take(tokens).unwrap_or_default() {
                vaults.insert(scope, Some(provider));
            }
        }
        wrong.finish()?;
        for (name, vault, what, item, version) in entries {
            let Some(Some(tokens)) = vaults.get(&vault.scope) else { continue };
            let tokens = tokens.clone();
            let entry = Entry { vault, tokens, what, name: item, version };
            places.insert(name, Place::Vault(Arc::new(entry)));
        }
        let tokens = vaults.into_values().flatten().collect();
        let at_once = Arc::new(Semaphore::new(AT_ONCE));
        Ok(Self { lease: own.lease.into(), places, tokens, at_once })
    }

    /// Reads the files, and signs what would be sent for tokens.
    ///
    /// # Errors
    /// What cannot be read, opened or signed.
    pub(super) fn try_keys(&self, client: &Client) -> cloudauth_client::Result<()> {
        for (name, place) in &self.places {
            if let Place::File(path) = place {
                read(path).map_err(|Failure { why: help, .. }| {
                    cloudauth_client::Error::Config { place: format!("secrets.{name}"), help }
                })?;
            }
        }
        for provider in &self.tokens {
            let at = client.attempt()?;
            provider.source().request(client.inputs(), None, &at, |_| ())?;
        }
        Ok(())
    }

    /// Fetches all of them.
    pub(super) async fn get(&self, client: &Client) -> Result<Given, GiveError> {
        let mut running = JoinSet::new();
        for (name, place) in &self.places {
            let (name, place) = (name.clone(), place.clone());
            let (client, at_once) = (client.clone(), self.at_once.clone());
            running.spawn(async move {
                // It is never closed.
                let _one = at_once.acquire().await;
                let fetched = match place {
                    Place::Vault(entry) => entry.get(&client).await,
                    Place::File(path) => blocking(move || read(&path)).await,
                };
                (name, fetched)
            });
        }
        let mut bundle = BTreeMap::new();
        let mut versions = BTreeMap::new();
        let mut end = UnixTime::MAX;
        let mut failures = BTreeMap::new();
        let mut octets = HEAD;
        while let Some(done) = running.join_next().await {
            match done {
                Ok((name, Ok(fetched))) => {
                    octets += size_of(&name, &fetched.fields);
                    if octets > MAX_SECRETS {
                        // What is still under way ends with the set.
                        let help = "together they are larger than 1 MiB";
                        return Err(GiveError::Upstream(help.into()));
                    }
                    end = fetched.end.map_or(end, |own| own.min(end));
                    versions.insert(name.clone(), fetched.version);
                    bundle.insert(name, fetched.fields);
                }
                Ok((name, Err(failure))) => {
                    failures.insert(name, failure);
                }
                Err(_) => return Err(GiveError::Unavailable("fetching was cut short".into())),
            }
        }
        if !failures.is_empty() {
            return Err(told(&failures));
        }
        let now = client.attempt().map_err(failed)?.time();
        let expiration = end.min(now.plus(self.lease));
        if expiration.as_secs() < now.as_secs().saturating_add(LEAST_LEASE) {
            let help = format!("one of the secrets ends within {LEAST_LEASE} seconds; renew it");
            return Err(GiveError::Upstream(help));
        }
        Ok(Given::Secrets(Bundle { bundle, expiration, issued: None }, versions))
    }
}

/// The octets of an answer with these secrets, or a few more.
pub(crate) fn size(secrets: &Bundle) -> usize {
    HEAD + secrets.bundle.iter().map(|(name, fields)| size_of(name, fields)).sum::<usize>()
}

/// What one of them takes in an answer.
fn size_of(name: &str, fields: &BTreeMap<String, Zeroizing<Vec<u8>>>) -> usize {
    let field = |(field, octets): (&String, &Zeroizing<Vec<u8>>)| {
        field.len() + encoded_len(octets.len()) + 6
    };
    name.len() + 6 + fields.iter().map(field).sum::<usize>()
}

/// What gives tokens for each of the scopes.
fn tokens(
    profile: Option<String>,
    own: &toml::Table,
    scopes: &[String],
    config: &Config,
    profiles: &cloudauth_client::Config,
    client: &Client,
) -> Result<Vec<(String, Provider)>, LoadError> {
    let Some(name) = profile else {
        if own.contains_key("scopes") {
            return Err(LoadError::one(
                "scopes",
                "leave them out: they follow from the vault's host",
            ));
        }
        let token: AzureToken = section(own)?;
        let provider = |scope: &String| {
            let token = AzureToken { scopes: vec![scope.clone()], ..token.clone() };
            let mut source = Source::AzureToken(token);
            source.resolve_paths(&config.folder);
            (scope.clone(), client.provider(source))
        };
        return Ok(scopes.iter().map(provider).collect());
    };
    if let Some(field) = own.keys().next() {
        return Err(LoadError::one(field, "give it, or profile, not both"));
    }
    let provider =
        profiles.provider(client, &name).map_err(|error| LoadError::one("profile", error))?;
    match provider.source() {
        Source::AzureToken(source)
            if scopes.iter().all(|scope| source.scopes == [scope.as_str()]) =>
        {
            Ok(scopes.iter().map(|scope| (scope.clone(), provider.clone())).collect())
        }
        _ => {
            let help = format!(
                "name one of kind azure-token with scopes = [\"{}\"] for this vault",
                scopes.first().map_or("", String::as_str)
            );
            Err(LoadError::one("profile", help))
        }
    }
}

/// A file's octets, of one that nobody else may change.
fn read(path: &Path) -> Result<Fetched, Failure> {
    use std::io::Read as _;
    // The path is the operator's own, and the record is for him.
    let failed = |e: std::io::Error| Failure { passing: true, why: format!("read {path:?}: {e}") };
    let file = open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(Failure::refused(format!("{path:?} is no file")));
    }
    check_rights(&metadata).map_err(|help| Failure::refused(format!("{path:?}: {help}")))?;
    // Room for everything, and for the look whether there is more: a vector that grows leaves copies behind.
    let room = metadata.len().min(MAX_FILE).saturating_add(64);
    let mut octets = Zeroizing::new(vec![0; usize::try_from(room).unwrap_or_default()]);
    let mut file = file.take(room);
    let mut len = 0;
    while let Some(rest) = octets.get_mut(len..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(failed(e)),
        }
    }
    if len as u64 > MAX_FILE {
        return Err(Failure::refused(format!("{path:?} is larger than {MAX_FILE} octets")));
    }
    if len as u64 > metadata.len() {
        return Err(Failure { passing: true, why: format!("{path:?} grew while it was read") });
    }
    octets.truncate(len);
    let fields = BTreeMap::from([("value".to_owned(), octets)]);
    Ok(Fetched { fields, version: "file".to_owned(), end: None })
}

/// Opens a file for reading. Of a FIFO this would wait for who writes into it, and keep a thread for ever.
fn open(path: &Path) -> std::io::Result<std::fs::File> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    }
    options.open(path)
}

/// Runs `work` where it may take its time.
async fn blocking(
    work: impl FnOnce() -> Result<Fetched, Failure> + Send + 'static,
) -> Result<Fetched, Failure> {
    let cut = |_| Failure { passing: true, why: "was cut short".to_owned() };
    tokio::task::spawn_blocking(work).await.map_err(cut)?
}

/// All that failed, by name. Only what may work later in every part may do so as a whole.
fn told(failures: &BTreeMap<String, Failure>) -> GiveError {
    let lines =
        failures.iter().take(NAMED).map(|(name, failure)| format!("{name}: {}", failure.why));
    let mut text = lines.collect::<Vec<_>>().join("; ");
    if failures.len() > NAMED {
        text += &format!("; and {} more", failures.len() - NAMED);
    }
    match failures.values().all(|failure| failure.passing) {
        true => GiveError::Unavailable(text),
        false => GiveError::Upstream(text),
    }
}
