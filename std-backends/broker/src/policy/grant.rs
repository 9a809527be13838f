//! One grant.

use cloudauth_client::Client;
use cloudauth_core::attest::Binding;
use cloudauth_core::attest::confidential_space::Claims;
use cloudauth_core::jws::Report;

use super::peer::PeerRules;
use super::rules::Rules;
use super::{Record, Scheme, seed};
use crate::config::issuer::Kind;
use crate::config::{Config, attested};
use crate::decision::Peer;
use crate::error::LoadError;
use crate::give::{Give, Order};

/// One grant: what must hold, and what it gives.
#[derive(Debug)]
pub(super) struct Grant {
    kind: Kind,
    rules: Rules,
    peer: PeerRules,
    pub(super) give: Give,
}

impl Grant {
    pub(super) fn new(
        raw: &crate::config::Grant,
        config: &Config,
        profiles: &cloudauth_client::Config,
        client: &Client,
    ) -> Result<Self, LoadError> {
        let mut wrong = LoadError::default();
        let (common, own) = attested::split(&raw.attested).map_err(|e| e.within("attested"))?;
        let (kind, issuers) = issuers(&common, &own, config, &mut wrong);
        let audience = audience(&common, kind, config, &mut wrong);
        let peer = PeerRules::new(&common, config, &mut wrong);
        let rules = wrong.take(Rules::new(kind, issuers, audience, &own, common));
        let wrong = match wrong.finish() {
            Ok(()) => LoadError::default(),
            Err(error) => error.within("attested"),
        };
        let mut wrong = wrong;
        let give = Give::new(&raw.give, kind, config, profiles, client);
        let give = wrong.take(give.map_err(|e| e.within("give")));
        if let (Some(rules), Some(give)) = (&rules, &give) {
            for (field, pointer) in give.claims() {
                if let Some(help) = rules.keeps_out(pointer) {
                    wrong.add(format!("give: {field}"), format!("{pointer} {help}"));
                }
            }
        }
        match (rules, give) {
            (Some(rules), Some(give)) if wrong.lines().is_empty() => {
                Ok(Self { kind, rules, peer, give })
            }
            _ => Err(wrong),
        }
    }

    /// The kind of tokens that it is about.
    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether clients of an older scheme can get what it gives.
    pub(super) fn suits(&self, scheme: Scheme) -> Result<(), String> {
        let kind = self.give.kind();
        let (what, holds) = match scheme {
            Scheme::SeedAws => ("kind that begins with aws-", kind.starts_with("aws-")),
            Scheme::SeedAzure => ("kind azure-token", kind == "azure-token"),
            Scheme::GoogleCodelab => ("kind other than secrets", kind != "secrets"),
        };
        if self.kind != Kind::ConfidentialSpace {
            return Err("such clients show Confidential Space tokens only".into());
        }
        match holds {
            true => Ok(()),
            false => Err(format!("such clients take a give of a {what}, not {kind}")),
        }
    }

    /// Makes every check, and puts the claims in their places.
    pub(super) fn check(
        &self,
        kind: Kind,
        report: &Report<'_>,
        binding: &Binding<'_>,
        peer: Peer<'_>,
        request: Option<&seed::Request>,
        record: &mut Record,
    ) -> Result<Order, ()> {
        if !self.is_for(kind, record) {
            return Err(());
        }
        let checked = self.rules.check(report, binding);
        record.checks.extend(checked.lines);
        let mut holds = checked.verdict.is_ok();
        holds &= self.peer.check(peer, record);
        let mut duration = None;
        if let Some(request) = request {
            match request.fits(&self.give) {
                Ok(asked) => {
                    record.passed("request");
                    duration = asked;
                }
                Err(error) => {
                    record.failed("request", error);
                    holds = false;
                }
            }
        }
        let order = self.order(report, peer.address, duration, record);
        match (holds, order) {
            (true, Ok(order)) => Ok(order),
            _ => Err(()),
        }
    }

    /// Whether the token is of the kind that the rules are about. Else its claims mean something else, whatever
    /// their names are, and other people may have written them: an owner's policy at Microsoft Azure Attestation
    /// adds any claim.
    fn is_for(&self, kind: Kind, record: &mut Record) -> bool {
        let holds = kind == self.kind;
        if !holds {
            record.failed("kind", "the token is of another kind of issuer than the grant's");
        }
        holds
    }

    /// The same for a token from a file: whether it would give, apart from what only a connection shows.
    pub(super) fn try_token(&self, kind: Kind, report: &Report<'_>, record: &mut Record) -> bool {
        if !self.is_for(kind, record) {
            return false;
        }
        let checked = self.rules.check(report, &Binding::Unchecked);
        record.checks.extend(checked.lines);
        self.peer.not_reached(record);
        let address = std::net::Ipv4Addr::UNSPECIFIED.into();
        let order = self.order(report, address, None, record);
        checked.unbound.is_ok() && order.is_ok()
    }

    fn order(
        &self,
        report: &Report<'_>,
        address: std::net::IpAddr,
        duration: Option<u32>,
        record: &mut Record,
    ) -> Result<Order, ()> {
        let claims = Claims::unverified(report).json();
        match self.give.order(&claims, address, duration) {
            Ok(order) => {
                record.passed("give");
                Ok(order)
            }
            Err(error) => {
                record.failed("give", error);
                Err(())
            }
        }
    }
}

/// The kind of the issuers that a grant names, and their URLs; `None` where they are waived.
fn issuers(
    common: &attested::Common,
    own: &toml::Table,
    config: &Config,
    wrong: &mut LoadError,
) -> (Kind, Option<Vec<String>>) {
    // A guess, for what else is wrong.
    let guess = if own.contains_key("type") { Kind::Maa } else { Kind::ConfidentialSpace };
    let waived = common.waive.iter().any(|name| name == "issuer");
    let names = match (common.issuer.clone(), waived) {
        (Some(_), true) => {
            wrong.add(
                "waive",
                "\"issuer\" is waived, and yet issuer is given; leave one of them out",
            );
            return (guess, None);
        }
        (None, true) => return (guess, None),
        (None, false) => {
            let help = "is neither fixed nor waived: name an entry of [issuers], or write waive = [\"issuer\"] for \
                        any of them";
            wrong.add("issuer", help);
            return (guess, None);
        }
        (Some(names), false) => names.into_vec(),
    };
    let mut kind = None;
    let mut urls = Vec::new();
    for name in &names {
        let Some(issuer) = config.issuer(name) else {
            wrong.add("issuer", format!("there is no [issuers.{name}]"));
            continue;
        };
        if kind.is_some_and(|kind| kind != issuer.kind) {
            wrong.add("issuer", "they are of two kinds; make two grants");
        }
        kind = Some(issuer.kind);
        urls.push(issuer.issuer);
    }
    if names.is_empty() {
        wrong.add("issuer", "is empty; nothing could ever be that");
    }
    (kind.unwrap_or(guess), Some(urls))
}

/// The one audience; `None` where it is waived.
fn audience(
    common: &attested::Common,
    kind: Kind,
    config: &Config,
    wrong: &mut LoadError,
) -> Option<String> {
    let waived = common.waive.iter().any(|name| name == "audience");
    if kind == Kind::Maa {
        // Its tokens name none: they are bound to the broker's, before any grant is known.
        if waived || common.audience.is_some() {
            let help = "tokens of Microsoft Azure Attestation name none; they are bound to the audience at the \
                        top of the configuration";
            wrong.add("audience", help);
        } else if config.audience.is_none() {
            wrong.add("audience", "is missing: give it at the top of the configuration");
        }
        return None;
    }
    match (&common.audience, waived) {
        (Some(_), true) => {
            wrong.add(
                "waive",
                "\"audience\" is waived, and yet audience is given; leave one of them out",
            );
            None
        }
        (None, true) => None,
        (Some(audience), false) if audience.is_empty() => {
            wrong.add("audience", "is empty");
            None
        }
        (Some(audience), false) => Some(audience.clone()),
        (None, false) => {
            if config.audience.is_none() {
                let help = "is neither fixed nor waived: give it here or at the top of the configuration, or write \
                            waive = [\"audience\"]";
                wrong.add("audience", help);
            }
            config.audience.clone()
        }
    }
}
