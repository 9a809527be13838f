//! What a grant asks of the connection rather than of the workload.

use cloudauth_core::digest::sha256;
use cloudauth_core::x509::Certificate;
use ipnet::IpNet;

use super::Record;
use crate::config::Config;
use crate::config::attested::{ClientCertificate, Common};
use crate::config::issuer::sha256_pin;
use crate::decision::{CheckLine, Peer};
use crate::error::LoadError;

const CERTIFICATE: &str = "client-certificate";
const NETWORK: &str = "source-network";

#[derive(Debug)]
pub(super) struct PeerRules {
    certificate: Wanted,
    networks: Option<Vec<IpNet>>,
}

#[derive(Debug)]
enum Wanted {
    Nothing,
    Any,
    /// One with a key of this SHA-256 (SPKI).
    Keys(Vec<[u8; 32]>),
}

impl PeerRules {
    pub(super) fn new(common: &Common, config: &Config, wrong: &mut LoadError) -> Self {
        let certificate = match common.client_certificate.clone() {
            None => Wanted::Nothing,
            Some(ClientCertificate::Required(_)) => Wanted::Any,
            Some(ClientCertificate::Pins(pins)) => {
                let pins = pins.into_vec();
                let keys: Vec<_> = pins.iter().filter_map(|pin| sha256_pin(pin)).collect();
                if keys.len() != pins.len() || keys.is_empty() {
                    let help = "expected \"required\", or SHA-256 pins of public keys: 64 hexadecimal digits";
                    wrong.add(CERTIFICATE, help);
                }
                Wanted::Keys(keys)
            }
        };
        if common.client_certificate.is_some() && config.server.client_certificate.is_none() {
            let help =
                "no client is asked for one: set client-certificate and client-ca in [server]";
            wrong.add(CERTIFICATE, help);
        }
        if common.source_networks.as_ref().is_some_and(Vec::is_empty) {
            wrong.add("source-networks", "is empty; nobody could ever be there");
        }
        Self { certificate, networks: common.source_networks.clone() }
    }

    pub(super) fn check(&self, peer: Peer<'_>, record: &mut Record) -> bool {
        let certificate = self.certificate(peer);
        let network = self.networks.as_ref().map(|networks| {
            let address = peer.address.to_canonical();
            match networks.iter().any(|network| network.contains(&address)) {
                true => Ok(()),
                false => Err("the client is in none of these networks"),
            }
        });
        let mut holds = true;
        for (name, result) in [(CERTIFICATE, certificate), (NETWORK, network)] {
            let (outcome, reason) = match result {
                None => ("not-asked", None),
                Some(Ok(())) => ("passed", None),
                Some(Err(reason)) => {
                    holds = false;
                    ("failed", Some(reason.to_owned()))
                }
            };
            record.checks.push(CheckLine { name: name.into(), outcome, reason });
        }
        holds
    }

    /// Lines for where there is no connection.
    pub(super) fn not_reached(&self, record: &mut Record) {
        let asked = [
            (CERTIFICATE, !matches!(self.certificate, Wanted::Nothing)),
            (NETWORK, self.networks.is_some()),
        ];
        for (name, asked) in asked {
            let outcome = if asked { "not-reached" } else { "not-asked" };
            record.checks.push(CheckLine { name: name.into(), outcome, reason: None });
        }
    }

    fn certificate(&self, peer: Peer<'_>) -> Option<Result<(), &'static str>> {
        const NONE: &str = "the client showed none";
        match (&self.certificate, peer.certificate) {
            (Wanted::Nothing, _) => None,
            (Wanted::Any | Wanted::Keys(_), None) => Some(Err(NONE)),
            (Wanted::Any, Some(_)) => Some(Ok(())),
            (Wanted::Keys(keys), Some(der)) => {
                let key = Certificate::parse(der).map(|certificate| sha256(certificate.spki()));
                Some(match key {
                    // Public keys: nothing to compare in constant time.
                    Ok(key) if keys.contains(&key) => Ok(()),
                    _ => Err("its key is not a pinned one"),
                })
            }
        }
    }
}
