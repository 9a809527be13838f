//! What the emulator knows and has issued.

use std::collections::{BTreeMap, HashMap, VecDeque};

use bytes::Bytes;
use serde::Serialize;

use crate::EmulatorError;
use crate::attestation::Services;
use crate::clock;
use crate::config::{
    AccountKey, Application, AwsRole, AwsUser, Config, Profile, Provider, ServiceAccount,
};
use crate::fault::Fault;
use crate::keys::{KeySet, PublicKey, pem_certificates, sha1, sha256};
use crate::keyvault::Vaults;
use crate::log::{CAPACITY, Record};

/// How many sessions, tokens and assertion identifiers are remembered, each.
const MAX_ISSUED: usize = 10_000;

/// Temporary credentials of AWS that the emulator issued, and what they were asked for with; no
/// secret is among them.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Session {
    /// The access key's identifier.
    pub access_key_id: String,
    /// The operation that issued them.
    pub operation: String,
    /// The principal that they stand for.
    pub arn: String,
    /// Its unique identifier.
    pub user_id: String,
    /// The account.
    pub account: String,
    /// Who asked for them.
    pub issued_to: String,
    /// When they expire, in Unix seconds.
    pub expires: i64,
    /// The role.
    pub role_arn: Option<String>,
    /// The session's name.
    pub session_name: Option<String>,
    /// The session policy, as it was sent.
    pub policy: Option<String>,
    /// The managed policies that were sent as session policies.
    pub policy_arns: Vec<String>,
    /// Session tags.
    pub tags: BTreeMap<String, String>,
    /// The tags that are passed on when the session assumes another role.
    pub transitive_tag_keys: Vec<String>,
    /// The source identity.
    pub source_identity: Option<String>,
    /// The external identifier.
    pub external_id: Option<String>,
    /// The serial number of the MFA device.
    pub mfa_serial: Option<String>,
    /// `instanceProperties` of IAM Roles Anywhere.
    pub instance_properties: BTreeMap<String, String>,
}

/// A session with its secrets.
pub(crate) struct Issued {
    pub(crate) session: Session,
    pub(crate) secret: String,
    pub(crate) token: String,
}

/// A certificate of an application.
pub(crate) struct Registered {
    pub(crate) sha256: Vec<u8>,
    pub(crate) sha1: Vec<u8>,
    pub(crate) key: PublicKey,
}

/// An access token of Google that the emulator issued.
pub(crate) struct GoogleToken {
    /// The address of a service account, or `principal://…`.
    pub(crate) principal: String,
    pub(crate) expires: i64,
}

/// An object in a bucket.
pub(crate) struct Object {
    pub(crate) body: Bytes,
    pub(crate) content_type: String,
    /// The header and value of the checksum that it came with.
    pub(crate) checksum: Option<(&'static str, String)>,
    pub(crate) modified: i64,
}

impl Object {
    pub(crate) fn etag(&self) -> String {
        let hash: String = crate::keys::hex(&sha256(&self.body)).chars().take(32).collect();
        format!("\"{hash}\"")
    }
}

/// Everything.
#[derive(Default)]
pub(crate) struct State {
    /// How far the emulator's clock is ahead of the machine's.
    pub(crate) offset: i64,
    pub(crate) users: Vec<AwsUser>,
    pub(crate) roles: Vec<AwsRole>,
    /// ARN and certificates in DER.
    pub(crate) trust_anchors: Vec<(String, Vec<Vec<u8>>)>,
    pub(crate) profiles: Vec<Profile>,
    pub(crate) buckets: BTreeMap<String, BTreeMap<String, Object>>,
    pub(crate) applications: Vec<(Application, Vec<Registered>)>,
    pub(crate) service_accounts: Vec<(ServiceAccount, Vec<(String, PublicKey)>)>,
    pub(crate) providers: Vec<Provider>,
    pub(crate) issuers: HashMap<String, KeySet>,
    pub(crate) attestation: Services,
    pub(crate) vaults: Vaults,
    /// By access key identifier.
    pub(crate) sessions: HashMap<String, Issued>,
    /// By token.
    pub(crate) google_tokens: HashMap<String, GoogleToken>,
    /// By client and `jti`: when it may be forgotten.
    pub(crate) seen: HashMap<(String, String), i64>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) log: VecDeque<Record>,
}

/// Adds `new` in the place of what has the same key, else at the end.
fn put<T>(all: &mut Vec<T>, new: T, same: impl Fn(&T, &T) -> bool) {
    match all.iter_mut().find(|old| same(old, &new)) {
        Some(old) => *old = new,
        None => all.push(new),
    }
}

/// Room for one more: expired entries go first, then those that expire next.
fn make_room<K: Clone + Eq + std::hash::Hash, V>(
    all: &mut HashMap<K, V>,
    now: i64,
    expires: impl Fn(&V) -> i64,
) {
    if all.len() < MAX_ISSUED {
        return;
    }
    all.retain(|_, value| expires(value) > now);
    if all.len() < MAX_ISSUED {
        return;
    }
    let oldest = all.iter().min_by_key(|(_, value)| expires(value)).map(|(key, _)| key.clone());
    if let Some(key) = oldest {
        all.remove(&key);
    }
}

impl State {
    /// Adds what the configuration names, in the place of what has the same name: all of it, or
    /// nothing and an error.
    pub(crate) fn register(&mut self, config: Config) -> Result<(), EmulatorError> {
        let wrong = |what: &str, name: &str| EmulatorError::Config(format!("{name}: {what}"));
        let anchors = config.aws.trust_anchors.into_iter().map(|anchor| {
            let certificates = pem_certificates(&anchor.certificates)
                .ok_or_else(|| wrong("the trust anchor's certificates are not PEM", &anchor.arn))?;
            Ok((anchor.arn, certificates))
        });
        let anchors = anchors.collect::<Result<Vec<_>, EmulatorError>>()?;
        let applications = config.entra.applications.into_iter().map(|application| {
            let certificates = application.certificates.iter().map(|pem| {
                let certificates = pem_certificates(pem);
                let der = certificates.as_ref().and_then(|all| all.first());
                let (der, key) = der.zip(PublicKey::from_pem(pem)).ok_or_else(|| {
                    let what = "a certificate is not PEM, or its key is no RSA or NIST key";
                    wrong(what, &application.client_id)
                })?;
                Ok(Registered { sha256: sha256(der), sha1: sha1(der), key })
            });
            let certificates = certificates.collect::<Result<Vec<_>, EmulatorError>>()?;
            Ok((application, certificates))
        });
        let applications = applications.collect::<Result<Vec<_>, EmulatorError>>()?;
        let accounts = config.google.service_accounts.into_iter().map(|account| {
            let keys = account.keys.iter().map(|AccountKey { id, public_key }| {
                let key = PublicKey::from_pem(public_key).ok_or_else(|| {
                    wrong("a key is no PEM public key or certificate", &account.email)
                })?;
                Ok((id.clone(), key))
            });
            let keys = keys.collect::<Result<Vec<_>, EmulatorError>>()?;
            Ok((account, keys))
        });
        let accounts = accounts.collect::<Result<Vec<_>, EmulatorError>>()?;
        let issuers = config.issuers.into_iter().map(|issuer| {
            let keys = KeySet::parse(&issuer.jwks)
                .ok_or_else(|| wrong("jwks is no JSON Web Key Set", &issuer.url))?;
            Ok((issuer.url, keys))
        });
        let issuers = issuers.collect::<Result<Vec<_>, EmulatorError>>()?;
        Vaults::check(&config.vaults).map_err(EmulatorError::Config)?;
        // Nothing can fail from here on.
        for user in config.aws.users {
            put(&mut self.users, user, |a, b| a.access_key_id == b.access_key_id);
        }
        for role in config.aws.roles {
            put(&mut self.roles, role, |a, b| a.arn == b.arn);
        }
        for anchor in anchors {
            put(&mut self.trust_anchors, anchor, |a, b| a.0 == b.0);
        }
        for profile in config.aws.profiles {
            put(&mut self.profiles, profile, |a, b| a.arn == b.arn);
        }
        for bucket in config.aws.buckets {
            let objects = self.buckets.entry(bucket.name).or_default();
            for (key, text) in bucket.objects {
                let content_type = "text/plain".to_owned();
                let body = Bytes::from(text);
                objects.insert(key, Object { body, content_type, checksum: None, modified: 0 });
            }
        }
        for application in applications {
            put(&mut self.applications, application, |(a, _), (b, _)| {
                (&a.tenant, &a.client_id) == (&b.tenant, &b.client_id)
            });
        }
        for account in accounts {
            put(&mut self.service_accounts, account, |(a, _), (b, _)| a.email == b.email);
        }
        for provider in config.google.providers {
            put(&mut self.providers, provider, |a, b| a.audience == b.audience);
        }
        let now = clock::system().saturating_add(self.offset);
        self.vaults.register(config.vaults, now);
        self.issuers.extend(issuers);
        self.attestation.register(config.attestation);
        Ok(())
    }

    pub(crate) fn role(&self, arn: &str) -> Option<&AwsRole> {
        self.roles.iter().find(|role| role.arn == arn)
    }

    pub(crate) fn remember_session(&mut self, issued: Issued, now: i64) {
        make_room(&mut self.sessions, now, |issued| issued.session.expires);
        self.sessions.insert(issued.session.access_key_id.clone(), issued);
    }

    pub(crate) fn remember_google_token(&mut self, token: String, value: GoogleToken, now: i64) {
        make_room(&mut self.google_tokens, now, |token| token.expires);
        self.google_tokens.insert(token, value);
    }

    /// Whether the client has not used this `jti` before; remembered until it expires.
    pub(crate) fn first_use(&mut self, client: &str, jti: &str, expires: i64, now: i64) -> bool {
        let key = (client.to_owned(), jti.to_owned());
        if self.seen.get(&key).is_some_and(|until| *until >= now) {
            return false;
        }
        make_room(&mut self.seen, now, |until| *until);
        self.seen.insert(key, expires);
        true
    }

    pub(crate) fn remember(&mut self, record: Record) {
        if self.log.len() >= CAPACITY {
            self.log.pop_front();
        }
        self.log.push_back(record);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_bounded() {
        let mut state = State::default();
        assert!(state.first_use("c", "j", 100, 50) && !state.first_use("c", "j", 100, 60));
        assert!(state.first_use("d", "j", 100, 60));
        assert!(state.first_use("c", "j", 200, 101));
        for n in 0..MAX_ISSUED {
            state.first_use("e", &n.to_string(), 300, 102);
        }
        assert_eq!(state.seen.len(), MAX_ISSUED);
        assert!(!state.first_use("e", "9999", 300, 102), "the newest is kept");
    }

    #[test]
    fn registration_is_all_or_nothing() {
        let mut state = State::default();
        let mut config = Config::demo();
        config.issuers.push(crate::config::Issuer { url: "u".into(), jwks: "{}".into() });
        assert!(state.register(config).is_err() && state.users.is_empty());
        state.register(Config::demo()).unwrap();
        state.register(Config::demo()).unwrap();
        assert_eq!((state.users.len(), state.roles.len()), (1, 1));
    }
}
