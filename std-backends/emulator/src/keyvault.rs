//! Azure Key Vault: secrets and certificates with their versions, for a bearer token of the emulator's own
//! Entra ID.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::config::Secret;
use crate::keys::{KeySet, Token, TokenKey, hex, pem_blocks, random, sha1};
use crate::request::{Call, Reply};

/// What the vaults of the public cloud want tokens for.
const PUBLIC: &str = "https://vault.azure.net";
/// The versions of the API that are known.
const VERSIONS: [&str; 6] = ["7.3", "7.4", "7.5", "7.6", "2025-07-01", "2026-04-01"];
/// Versions on one page.
const PAGE: usize = 25;

/// A vault: `https://{name}.vault.azure.net`, and `https://127.0.0.1:{port}` where it is the only one.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vault {
    /// The vault's name.
    pub name: String,
    /// The tenant whose tokens it takes.
    pub tenant: String,
    /// The applications (client identifiers) that may read it.
    pub readers: Vec<String>,
    /// Its secrets. One that is there already gets another version.
    #[serde(default)]
    pub secrets: Vec<VaultSecret>,
    /// Its certificates. One that is there already gets another version.
    #[serde(default)]
    pub certificates: Vec<VaultCertificate>,
}

/// A secret of a vault.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaultSecret {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Secret,
    /// What the value is.
    #[serde(default)]
    pub content_type: Option<String>,
    /// Whether it may be read, true unless given.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// From when on it is good, in Unix seconds. The vault says so, and gives it all the same.
    #[serde(default)]
    pub not_before: Option<i64>,
    /// When it ends, in Unix seconds. The vault says so, and gives it all the same.
    #[serde(default)]
    pub expires: Option<i64>,
}

/// A certificate of a vault, with its private key.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaultCertificate {
    /// Its name.
    pub name: String,
    /// The private key and the certificates, the key's own first, in PEM: the text, not a file's name.
    pub pem: Secret,
    /// The same as PKCS#12 without a password, in base64: the secret then holds this in place of the PEM.
    #[serde(default)]
    pub pkcs12: Option<Secret>,
}

const fn yes() -> bool {
    true
}

/// What the vaults hold.
#[derive(Default)]
pub(crate) struct Vaults(BTreeMap<String, Contents>);

struct Contents {
    tenant: String,
    readers: Vec<String>,
    /// By name in lower case, the newest version last.
    secrets: BTreeMap<String, Vec<SecretVersion>>,
    certificates: BTreeMap<String, Vec<CertificateVersion>>,
}

struct SecretVersion {
    version: String,
    secret: VaultSecret,
    created: i64,
    /// It is the private key of the certificate of the same name.
    managed: bool,
}

struct CertificateVersion {
    version: String,
    name: String,
    der: Vec<u8>,
    created: i64,
}

impl fmt::Debug for Vaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Vaults {
    /// Why a configuration's vaults cannot be registered.
    pub(crate) fn check(vaults: &[Vault]) -> Result<(), String> {
        let plain = |name: &str| {
            !name.is_empty() && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
        };
        for vault in vaults {
            let secrets = vault.secrets.iter().map(|s| &s.name);
            let names = secrets.chain(vault.certificates.iter().map(|c| &c.name));
            if let Some(bad) = names.chain([&vault.name]).find(|name| !plain(name)) {
                return Err(format!("vault {}: the name {bad:?}", vault.name));
            }
            if let Some(bad) = vault.certificates.iter().find(|c| leaf(c).is_none()) {
                return Err(format!(
                    "vault {}: {} has no certificate in PEM",
                    vault.name, bad.name
                ));
            }
        }
        Ok(())
    }

    /// Adds what [`check`](Self::check) has passed.
    pub(crate) fn register(&mut self, vaults: Vec<Vault>, now: i64) {
        for vault in vaults {
            let name = vault.name.to_lowercase();
            let contents = self.0.entry(name).or_insert_with(|| Contents {
                tenant: String::new(),
                readers: Vec::new(),
                secrets: BTreeMap::new(),
                certificates: BTreeMap::new(),
            });
            (contents.tenant, contents.readers) = (vault.tenant, vault.readers);
            for secret in vault.secrets {
                contents.add(hex(&random::<16>()), secret, false, now);
            }
            for certificate in vault.certificates {
                let Some(der) = leaf(&certificate) else { continue };
                let version = hex(&random::<16>());
                let VaultCertificate { name, pem, pkcs12 } = certificate;
                let content_type = match pkcs12 {
                    Some(_) => "application/x-pkcs12",
                    None => "application/x-pem-file",
                };
                let secret = VaultSecret {
                    name: name.clone(),
                    value: pkcs12.unwrap_or(pem),
                    content_type: Some(content_type.to_owned()),
                    enabled: true,
                    not_before: None,
                    expires: None,
                };
                contents.add(version.clone(), secret, true, now);
                let all = contents.certificates.entry(name.to_lowercase()).or_default();
                all.push(CertificateVersion { version, name, der, created: now });
            }
        }
    }

    /// The vault of a host name; on loopback, the only one.
    fn of_host(&self, host: &str) -> Option<&Contents> {
        match host.split_once(".vault.") {
            Some((name, _)) => self.0.get(name),
            None if self.0.len() == 1 => self.0.values().next(),
            None => None,
        }
    }
}

impl Contents {
    fn add(&mut self, version: String, secret: VaultSecret, managed: bool, now: i64) {
        let all = self.secrets.entry(secret.name.to_lowercase()).or_default();
        all.push(SecretVersion { version, secret, created: now, managed });
    }
}

/// The first certificate of the PEM text, in DER.
fn leaf(certificate: &VaultCertificate) -> Option<Vec<u8>> {
    let blocks = pem_blocks(certificate.pem.expose()).ok()?;
    blocks.into_iter().find(|pem| pem.label == "CERTIFICATE").map(|pem| pem.contents)
}

/// Status, code, inner code and message.
struct Refusal(u16, &'static str, Option<&'static str>, String);

type Answered = Result<Reply, Refusal>;

/// Answers a request.
pub(crate) fn answer(call: &mut Call<'_>) -> Reply {
    let request = call.request;
    let segments: Vec<&str> = request.path.split('/').skip(1).collect();
    let Some(vault) = call.state.vaults.of_host(request.hostname()) else {
        return failure(Refusal(404, "NotFound", None, "There is no such vault.".into()));
    };
    let principal = match authorize(call, vault) {
        Ok(principal) => principal,
        Err(refused) => return *refused,
    };
    let done = match (request.method.as_str(), segments.as_slice()) {
        ("GET", _) if api_version(call).is_none() => {
            let what = format!("api-version must be one of {}.", VERSIONS.join(", "));
            Err(Refusal(400, "BadParameter", None, what))
        }
        ("GET", ["secrets", name]) => secret(call, vault, name, None),
        ("GET", ["secrets", name, "versions"]) => secret_versions(call, vault, name),
        ("GET", ["secrets", name, version]) => secret(call, vault, name, Some(version)),
        ("GET", ["certificates", name]) => certificate(call, vault, name, None),
        ("GET", ["certificates", name, version]) => certificate(call, vault, name, Some(version)),
        ("GET", _) => Err(Refusal(404, "NotFound", None, "There is no such page.".into())),
        _ => Err(Refusal(405, "MethodNotAllowed", None, "Secrets are read only here.".into())),
    };
    call.record.operation = segments.first().map(|first| (*first).to_owned());
    call.record.principal = Some(principal);
    done.unwrap_or_else(failure)
}

fn failure(Refusal(status, code, inner, message): Refusal) -> Reply {
    let mut error = json!({"code": code, "message": message});
    if let (Some(inner), Some(error)) = (inner, error.as_object_mut()) {
        error.insert("innererror".to_owned(), json!({"code": inner}));
    }
    Reply::json(status, &json!({"error": error})).error(inner.unwrap_or(code))
}

/// An error for a fault.
pub(crate) fn fault(status: u16) -> Reply {
    let code = if status == 429 { "Throttled" } else { "InternalServerError" };
    failure(Refusal(status, code, None, "The emulator was told to fail.".into()))
}

fn api_version(call: &Call<'_>) -> Option<String> {
    let query = call.request.query_pairs();
    let version = query.get("api-version")?;
    VERSIONS.contains(&version).then(|| version.to_owned())
}

/// The client that asks: by a token of our own Entra ID for vaults, of the vault's tenant, that is valid
/// now and whose application may read. Without one, the challenge of which SDKs learn tenant and resource.
fn authorize(call: &Call<'_>, vault: &Contents) -> Result<String, Box<Reply>> {
    // The domain of the vault's host, without its first label.
    let domain = call.request.hostname().split_once('.').map(|(_, domain)| domain);
    let resource = domain.filter(|domain| domain.starts_with("vault."));
    let resource = resource.map_or(PUBLIC.to_owned(), |domain| format!("https://{domain}"));
    let refuse = |status, code, what: &str| {
        let reply = failure(Refusal(status, code, None, what.to_owned()));
        let base = match call.request.hostname().contains(".vault.") {
            true => "https://login.microsoftonline.com".to_owned(),
            false => call.request.base(),
        };
        let challenge =
            format!("Bearer authorization=\"{base}/{}\", resource=\"{resource}\"", vault.tenant);
        Box::new(match status {
            401 => reply.header("www-authenticate", challenge),
            _ => reply,
        })
    };
    let unauthorized = |what: &str| refuse(401, "Unauthorized", what);
    let token = call.request.header("authorization").and_then(|h| h.strip_prefix("Bearer "));
    let Some(text) = token else {
        return Err(unauthorized("AKV10000: Request is missing a Bearer or PoP token."));
    };
    let Some(token) = Token::parse(text) else {
        return Err(unauthorized("AKV10001: The token is malformed."));
    };
    let ours = KeySet::parse(&TokenKey::get().jwks().to_string());
    if !ours.is_some_and(|keys| keys.verifies(&token)) {
        return Err(unauthorized("AKV10031: The token's signature is not Entra ID's."));
    }
    if token.audiences() != [resource.as_str()] {
        let what = format!("AKV10022: Invalid audience. Expected {resource}.");
        return Err(unauthorized(&what));
    }
    let tenant = token.text("tid").unwrap_or_default();
    if !tenant.eq_ignore_ascii_case(&vault.tenant) {
        return Err(unauthorized("AKV10032: Invalid issuer: the token is of another tenant."));
    }
    let starts = token.time("nbf").unwrap_or(i64::MAX);
    if token.time("exp").is_none_or(|expires| expires <= call.now) || starts > call.now + 300 {
        return Err(unauthorized("AKV10022: The token is expired or not yet valid."));
    }
    let client = token.text("appid").unwrap_or_default();
    if !vault.readers.iter().any(|reader| reader.eq_ignore_ascii_case(client)) {
        let what =
            "The user, group or application does not have secrets get permission on the vault.";
        return Err(refuse(403, "Forbidden", what));
    }
    Ok(client.to_owned())
}

/// `https://host`, for the identifiers in answers.
fn base(call: &Call<'_>) -> String {
    format!("https://{}", call.request.host)
}

fn attributes(call: &Call<'_>, created: i64, of: Option<&VaultSecret>) -> Value {
    let mut all = json!({
        "enabled": of.is_none_or(|secret| secret.enabled),
        "created": created.min(call.now),
        "updated": created.min(call.now),
        "recoveryLevel": "Recoverable+Purgeable",
        "recoverableDays": 90,
    });
    let times = [
        ("nbf", of.and_then(|secret| secret.not_before)),
        ("exp", of.and_then(|secret| secret.expires)),
    ];
    for (name, time) in times {
        if let (Some(time), Some(all)) = (time, all.as_object_mut()) {
            all.insert(name.to_owned(), json!(time));
        }
    }
    all
}

/// A version of a secret without its value.
fn listed(call: &Call<'_>, one: &SecretVersion) -> Value {
    let SecretVersion { version, secret, created, managed } = one;
    let mut item = json!({
        "id": format!("{}/secrets/{}/{version}", base(call), secret.name),
        "attributes": attributes(call, *created, Some(secret)),
        "tags": {},
    });
    if let Some(item) = item.as_object_mut() {
        if let Some(kind) = &secret.content_type {
            item.insert("contentType".to_owned(), json!(kind));
        }
        if *managed {
            item.insert("managed".to_owned(), json!(true));
            let kid = format!("{}/keys/{}/{version}", base(call), secret.name);
            item.insert("kid".to_owned(), json!(kid));
        }
    }
    item
}

fn not_found(kind: &str, name: &str) -> Refusal {
    let (code, what) = match kind {
        "secrets" => ("SecretNotFound", "A secret"),
        _ => ("CertificateNotFound", "A certificate"),
    };
    Refusal(
        404,
        code,
        None,
        format!("{what} with (name/id) {name} was not found in this key vault."),
    )
}

fn secret(call: &Call<'_>, vault: &Contents, name: &str, version: Option<&str>) -> Answered {
    let all = vault.secrets.get(&name.to_lowercase());
    let found = match version.filter(|version| !version.is_empty()) {
        Some(version) => all.and_then(|all| all.iter().find(|one| one.version == version)),
        None => all.and_then(|all| all.last()),
    };
    let found = found.ok_or_else(|| not_found("secrets", name))?;
    if !found.secret.enabled {
        let what = "Operation get is not allowed on a disabled secret.";
        return Err(Refusal(403, "Forbidden", Some("SecretDisabled"), what.into()));
    }
    let mut item = listed(call, found);
    if let Some(item) = item.as_object_mut() {
        item.insert("value".to_owned(), json!(found.secret.value.expose()));
    }
    Ok(Reply::json(200, &item).header("cache-control", "no-cache"))
}

fn secret_versions(call: &Call<'_>, vault: &Contents, name: &str) -> Answered {
    let all = vault.secrets.get(&name.to_lowercase());
    let all = all.ok_or_else(|| not_found("secrets", name))?;
    let query = call.request.query_pairs();
    let page = query.get("maxresults").and_then(|most| most.parse().ok());
    let page = page.map_or(PAGE, |most: usize| most.clamp(1, PAGE));
    let from = query.get("$skiptoken").and_then(|token| token.parse().ok()).unwrap_or(0usize);
    let items: Vec<_> = all.iter().skip(from).take(page).map(|one| listed(call, one)).collect();
    let next = from.saturating_add(page);
    let next_link = (next < all.len()).then(|| {
        let version = query.get("api-version").unwrap_or_default();
        let path = format!("{}/secrets/{name}/versions", base(call));
        format!("{path}?api-version={version}&$skiptoken={next}&maxresults={page}")
    });
    Ok(Reply::json(200, &json!({"value": items, "nextLink": next_link})))
}

fn certificate(call: &Call<'_>, vault: &Contents, name: &str, version: Option<&str>) -> Answered {
    let all = vault.certificates.get(&name.to_lowercase());
    let found = match version.filter(|version| !version.is_empty()) {
        Some(version) => all.and_then(|all| all.iter().find(|one| one.version == version)),
        None => all.and_then(|all| all.last()),
    };
    let found = found.ok_or_else(|| not_found("certificates", name))?;
    let CertificateVersion { version, name, der, created } = found;
    let id = |kind: &str| format!("{}/{kind}/{name}/{version}", base(call));
    Ok(Reply::json(
        200,
        &json!({
            "id": id("certificates"), "kid": id("keys"), "sid": id("secrets"),
            "x5t": URL_SAFE_NO_PAD.encode(sha1(der)),
            "cer": STANDARD.encode(der),
            "attributes": attributes(call, *created, None),
            "policy": {
                "id": format!("{}/certificates/{name}/policy", base(call)),
                "key_props": {"exportable": true, "reuse_key": false},
                "issuer": {"name": "Unknown"},
            },
            "tags": {},
        }),
    ))
}
