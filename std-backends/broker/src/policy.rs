//! Who gets what: the grants of a configuration, ready to decide.

mod chosen;
mod claims;
mod grant;
mod peer;
mod rules;
mod seed;

use std::collections::BTreeMap;
use std::sync::Arc;

use cloudauth_client::{Client, Inputs};
use cloudauth_core::UnixTime;
use cloudauth_core::attest::{Binding, confidential_space, maa};
use cloudauth_core::json;
use cloudauth_core::jws::Token;
use serde_json::Value;

use crate::config::Config;
use crate::config::issuer::Kind;
use crate::config::server::Scheme;
use crate::decision::{Channel, CheckLine, Decision, Evidence, GiveError, Given, Granted, Refusal};
use crate::error::LoadError;
use crate::key_sets::{Held, KeySets};
use grant::Grant;

/// The policy of one configuration. It does not change; a reload makes another.
pub(crate) struct Policy {
    key_sets: Arc<KeySets>,
    client: Client,
    /// What tokens without an audience of their own are bound to.
    audience: Option<String>,
    grants: BTreeMap<String, Grant>,
}

impl std::fmt::Debug for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policy").field("grants", &self.grants.keys()).finish_non_exhaustive()
    }
}

/// What a record shows, as far as it got.
#[derive(Default)]
struct Record {
    grant: Option<String>,
    claims: Value,
    checks: Vec<CheckLine>,
}

impl Record {
    fn failed(&mut self, name: &str, reason: impl ToString) {
        let reason = Some(reason.to_string());
        self.checks.push(CheckLine { name: name.into(), outcome: "failed", reason });
    }

    fn passed(&mut self, name: &str) {
        self.checks.push(CheckLine { name: name.into(), outcome: "passed", reason: None });
    }
}

impl Policy {
    /// The policy of `config`: every grant is checked, files are read, keys are not opened yet.
    ///
    /// # Errors
    /// [`LoadError`] with all that is wrong.
    pub(crate) fn new(config: &Config, key_sets: &Arc<KeySets>) -> Result<Self, LoadError> {
        let failed = |e| LoadError::one(&config.place, e);
        let profiles = config.profiles.clone();
        let mut profiles =
            cloudauth_client::Config::from_profiles(profiles, &config.folder, &config.place)
                .map_err(|e| LoadError::one("profiles", e))?;
        profiles.ca_file.clone_from(&config.ca_file);
        let client = profiles.client(Inputs::default(), 0).map_err(failed)?;
        let mut wrong = LoadError::default();
        let mut grants = BTreeMap::new();
        for (name, raw) in &config.grants {
            let place = format!("{}: grants.{name}", config.place);
            let grant = Grant::new(raw, config, &profiles, &client);
            if let Some(grant) = wrong.take(grant.map_err(|e| e.within(place))) {
                grants.insert(name.clone(), grant);
            }
        }
        if config.grants.is_empty() {
            wrong.add(&config.place, "has no grants: nobody would get anything");
        }
        for entry in &config.compatibility {
            let place = || format!("{}: compatibility: grant {:?}", config.place, entry.grant);
            let Some(grant) = grants.get(&entry.grant) else { continue };
            if let Err(help) = grant.suits(entry.scheme) {
                wrong.add(place(), help);
            }
        }
        wrong.finish()?;
        let audience = config.audience.clone();
        Ok(Self { key_sets: key_sets.clone(), client, audience, grants })
    }

    /// Decides. No cloud is asked; an issuer's keys may be fetched, where the token names one that is unknown.
    pub(crate) async fn decide(&self, evidence: &Evidence<'_>) -> Decision {
        let mut record = Record::default();
        let verdict = self.verdict(evidence, &mut record).await;
        let Record { grant, claims, checks } = record;
        Decision { grant, claims, checks, verdict }
    }

    async fn verdict(
        &self,
        evidence: &Evidence<'_>,
        record: &mut Record,
    ) -> Result<Granted, Refusal> {
        if let Channel::Seed { grant, .. } | Channel::GoogleCodelab { grant, .. } = evidence.channel
        {
            record.grant = Some(grant.to_owned());
        }
        let mut buf = vec![0; evidence.attestation.len()];
        let token = Token::parse(evidence.attestation, &mut buf).map_err(|error| {
            record.failed("attestation", error);
            Refusal::AttestationInvalid
        })?;
        let Some(held) = self.key_sets.verify(&token, evidence.time, true).await else {
            let report = KeySets::unverified(&token, evidence.time);
            record.claims = claims::issuer_only(&report);
            record.failed("issuer", "no configured issuer is called that");
            return Err(Refusal::AttestationInvalid);
        };
        let Held { kind, report, chain, missing } = held;
        record.claims = claims::summary(kind, &report);
        if let Some(why) = missing {
            record.failed("issuer", why);
            return Err(Refusal::Unavailable);
        }
        let chain_holds = chain_line(record, chain);
        let before = record.checks.len();
        for (check, outcome) in report.outcomes() {
            record.checks.push(rules::line(check.as_str(), outcome));
        }
        let verified = report.verdict().map_err(|_| Refusal::AttestationInvalid)?;
        if !chain_holds {
            return Err(Refusal::AttestationInvalid);
        }

        let binding = self.binding(&evidence.channel, kind);
        let bound = match kind {
            Kind::ConfidentialSpace => confidential_space::binding(&verified, &binding),
            Kind::Maa => maa::binding(&verified, &binding),
        };
        if let Err(error) = bound {
            record.failed("nonce", error);
            return Err(Refusal::ChannelMismatch);
        }

        // Only now is anything of the request read.
        let (name, request) = match evidence.channel {
            Channel::V1 { request, .. } => (grant_of(request, record)?, None),
            Channel::Seed { exported, token_jwt, grant } => {
                let request = seed::Request::verify(token_jwt, exported).map_err(|error| {
                    record.failed("token_jwt", error.reason);
                    error.refusal
                })?;
                (grant.to_owned(), Some(request))
            }
            Channel::GoogleCodelab { grant, .. } => (grant.to_owned(), None),
        };
        let Some(grant) = self.grants.get(&name) else {
            record.failed("grant", "there is none of this name");
            return Err(Refusal::Denied);
        };
        // The same checks and more, now that it is known what is asked of the workload.
        if grant.kind() == kind {
            record.checks.truncate(before);
        }
        let (peer, request) = (evidence.peer, request.as_ref());
        let granted = grant.check(kind, &report, &binding, peer, request, record);
        granted.map(|order| Granted { grant: name, order }).map_err(|()| Refusal::Denied)
    }

    fn binding<'a>(&'a self, channel: &Channel<'a>, kind: Kind) -> Binding<'a> {
        match *channel {
            Channel::V1 { exported, challenge, server_spki, client_spki, request } => Binding::V1 {
                exported,
                challenge,
                server_spki,
                client_spki,
                request,
                audience: match kind {
                    Kind::ConfidentialSpace => None,
                    Kind::Maa => self.audience.as_deref(),
                },
            },
            Channel::Seed { exported, token_jwt, .. } => Binding::Seed { exported, token_jwt },
            Channel::GoogleCodelab { exported, .. } => Binding::GoogleCodelab { exported },
        }
    }

    /// Gets the credential of what was granted.
    ///
    /// # Errors
    /// [`GiveError`].
    pub(crate) async fn give(&self, granted: &Granted) -> Result<Given, GiveError> {
        let Some(grant) = self.grants.get(&granted.grant) else {
            return Err(GiveError::Unavailable("the grant was removed meanwhile".into()));
        };
        grant.give.give(&granted.order, &self.client).await
    }

    /// What a token from a file would get, grant by grant: everything is checked but the binding, which no file
    /// can show, and what the connection would show.
    pub(crate) async fn try_token(
        &self,
        attestation: &str,
        time: UnixTime,
        fetch: bool,
    ) -> Result<Tried, String> {
        let mut buf = vec![0; attestation.len()];
        let token = Token::parse(attestation, &mut buf).map_err(|e| e.to_string())?;
        let held = self.key_sets.verify(&token, time, fetch).await;
        let Some(Held { kind, report, chain, missing }) = held else {
            return Err("no configured issuer is called what the token's iss says".into());
        };
        if let Some(why) = missing {
            return Err(why);
        }
        let mut grants = Vec::new();
        for (name, grant) in &self.grants {
            let mut record = Record::default();
            let chain_holds = chain_line(&mut record, chain.clone());
            let would = grant.try_token(kind, &report, &mut record) && chain_holds;
            grants.push((name.clone(), would, record.checks));
        }
        Ok(Tried { claims: claims::summary(kind, &report), grants })
    }

    /// Makes every request that its grants would make, as far as that takes no network, and sends none.
    pub(crate) fn try_keys(&self) -> Result<(), LoadError> {
        let mut wrong = LoadError::default();
        for (name, grant) in &self.grants {
            if let Err(error) = grant.give.try_keys(&self.client) {
                wrong.add(format!("grants.{name}: give"), error);
            }
        }
        wrong.finish()
    }
}

/// What became of a token from a file.
pub(crate) struct Tried {
    pub(crate) claims: Value,
    /// Of each grant: its name, whether it would give, and why.
    pub(crate) grants: Vec<(String, bool, Vec<CheckLine>)>,
}

/// A line for the chain, if the token has one; whether it holds.
fn chain_line(record: &mut Record, chain: Option<Result<(), String>>) -> bool {
    match chain {
        None => true,
        Some(Ok(())) => {
            record.passed("x5c");
            true
        }
        Some(Err(error)) => {
            record.failed("x5c", error);
            false
        }
    }
}

/// The grant that a request asks for: `{"grant":"NAME"}` and nothing else.
fn grant_of(request: &[u8], record: &mut Record) -> Result<String, Refusal> {
    let mut text = request.to_vec();
    let name = json::parse(&mut text).ok().and_then(|request| {
        let mut members = request.members();
        match (members.next(), members.next()) {
            (Some(("grant", name)), None) => name.as_str().map(str::to_owned),
            _ => None,
        }
    });
    let Some(name) = name else {
        record.failed("request", "expected {\"grant\":\"NAME\"} and nothing else");
        return Err(Refusal::Malformed);
    };
    // A record holds no text of any length or kind.
    if name.len() <= 64 && name.bytes().all(|c| c.is_ascii_graphic()) {
        record.grant = Some(name.clone());
    }
    Ok(name)
}
