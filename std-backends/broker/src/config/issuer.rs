//! `[issuers.NAME]`: who attests workloads, and with which keys.

use std::path::{Path, PathBuf};

use cloudauth_core::Scheme;
use cloudauth_tls::Endpoint;
use serde::Deserialize;

use crate::error::LoadError;

/// Google's own issuer of Confidential Space tokens.
pub(crate) const GOOGLE: &str = "https://confidentialcomputing.googleapis.com";

/// The greatest age of a token that is accepted unless the configuration says otherwise, in seconds.
const MAX_AGE: u64 = 600;

/// An issuer of attestations.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Issuer {
    /// Whose claims its tokens hold.
    pub(crate) kind: Kind,
    /// `iss`, octet by octet.
    pub(crate) issuer: String,
    /// `discovery` finds the keys as OpenID Connect Discovery 1.0 says.
    keys: Option<Discovery>,
    /// Where the keys are, when that is known without discovery.
    jwks_uri: Option<String>,
    /// A file with the keys: a JWK set.
    keys_file: Option<PathBuf>,
    /// For tokens with their chain in `x5c`: the root, PEM or DER.
    root: Option<PathBuf>,
    /// The same, by the SHA-256 of its certificate in DER: 64 hexadecimal digits.
    root_sha256: Option<String>,
    /// The authority (PEM) of the hosts that publish the keys; else the system's own are trusted.
    pub(crate) trusted_ca: Option<PathBuf>,
    /// The algorithms of its signatures; RS256 alone by default.
    #[serde(default = "rs256")]
    algorithms: Vec<String>,
    /// The greatest age of a token, in seconds from `iat`: 600.
    #[serde(default = "max_age")]
    pub(crate) max_age: u64,
}

/// Whose claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// Google Confidential Space.
    ConfidentialSpace,
    /// Microsoft Azure Attestation.
    Maa,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Discovery {
    Discovery,
}

/// Where an issuer's key set comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Keys {
    /// From the `jwks_uri` of the discovery document below the issuer.
    Discovery,
    /// From this URL.
    Uri(String),
    /// From this file.
    File(PathBuf),
}

/// The one root that chains may end in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Root {
    /// The certificate of this file.
    File(PathBuf),
    /// The certificate with this SHA-256.
    Sha256([u8; 32]),
}

fn rs256() -> Vec<String> {
    vec!["RS256".into()]
}

fn max_age() -> u64 {
    MAX_AGE
}

impl Issuer {
    /// Google's own, by discovery.
    pub(crate) fn google() -> Self {
        Self {
            kind: Kind::ConfidentialSpace,
            issuer: GOOGLE.into(),
            keys: Some(Discovery::Discovery),
            jwks_uri: None,
            keys_file: None,
            root: None,
            root_sha256: None,
            trusted_ca: None,
            algorithms: rs256(),
            max_age: MAX_AGE,
        }
    }

    /// Where its key set comes from; `None` where there is only a root.
    pub(crate) fn keys(&self) -> Option<Keys> {
        if let Some(path) = &self.keys_file {
            return Some(Keys::File(path.clone()));
        }
        if let Some(uri) = &self.jwks_uri {
            return Some(Keys::Uri(uri.clone()));
        }
        if self.keys.is_some() {
            return Some(Keys::Discovery);
        }
        if self.root.is_some() || self.root_sha256.is_some() {
            return None;
        }
        match self.kind {
            Kind::ConfidentialSpace => (self.issuer == GOOGLE).then_some(Keys::Discovery),
            Kind::Maa => {
                is_microsofts(&self.issuer).then(|| Keys::Uri(format!("{}/certs", self.issuer)))
            }
        }
    }

    /// The root of its chains, if tokens may bring theirs.
    pub(crate) fn root(&self) -> Option<Root> {
        if let Some(path) = &self.root {
            return Some(Root::File(path.clone()));
        }
        self.root_sha256.as_deref().and_then(sha256_pin).map(Root::Sha256)
    }

    /// The algorithms that its tokens may be signed with.
    pub(crate) fn algorithms(&self) -> Vec<Scheme> {
        self.algorithms.iter().filter_map(|name| Scheme::from_jws_name(name)).collect()
    }

    /// Whether it is an instance that Microsoft runs for everybody: who asks it may bring a policy of his own.
    pub(crate) fn is_shared(&self) -> bool {
        is_microsofts(&self.issuer) && self.issuer.starts_with("https://shared")
    }

    /// Lets relative paths start at `folder`.
    pub(crate) fn resolve_paths(&mut self, folder: &Path) {
        let paths = [&mut self.keys_file, &mut self.root, &mut self.trusted_ca];
        paths.into_iter().flatten().for_each(|path| *path = folder.join(&*path));
    }

    /// What is wrong with it, by field.
    pub(crate) fn check(&self) -> Result<(), LoadError> {
        let mut wrong = LoadError::default();
        if Endpoint::parse(&self.issuer).is_err() || !self.issuer.starts_with("https://") {
            wrong.add("issuer", "expected an https URL, exactly as in the tokens' iss");
        }
        let other = match self.kind {
            Kind::ConfidentialSpace => is_microsofts(&self.issuer).then_some("maa"),
            Kind::Maa => (self.issuer == GOOGLE).then_some("confidential-space"),
        };
        if let Some(other) = other {
            wrong.add("kind", format!("the tokens of this issuer are of kind {other:?}"));
        }
        let ways = [self.keys.is_some(), self.jwks_uri.is_some(), self.keys_file.is_some()];
        if ways.into_iter().filter(|given| *given).count() > 1 {
            wrong.add("keys", "give one of keys, jwks-uri and keys-file");
        }
        if let Some(uri) = &self.jwks_uri
            && cloudauth_tls::Request::get(uri).is_err()
        {
            wrong.add("jwks-uri", "expected an https URL");
        }
        if self.root.is_some() && self.root_sha256.is_some() {
            wrong.add("root", "give the file or root-sha256, not both");
        }
        if self.root_sha256.as_deref().is_some_and(|pin| sha256_pin(pin).is_none()) {
            wrong.add("root-sha256", "expected 64 hexadecimal digits");
        }
        if self.kind == Kind::Maa && (self.root.is_some() || self.root_sha256.is_some()) {
            wrong.add(
                "root",
                "tokens of Microsoft Azure Attestation bring no chain; name their keys",
            );
        }
        let keys = self.keys();
        if keys.is_none() && self.root.is_none() && self.root_sha256.is_none() {
            wrong.add(
                "keys",
                "this issuer is not Google's or Microsoft's own: say where its keys come from: \
                 keys = \"discovery\", jwks-uri, keys-file, or a root (root, root-sha256)",
            );
        }
        if self.trusted_ca.is_some() && !matches!(keys, Some(Keys::Discovery | Keys::Uri(_))) {
            wrong.add("trusted-ca", "nothing is fetched for this issuer; leave it out");
        }
        if self.algorithms.is_empty() || self.algorithms().len() != self.algorithms.len() {
            wrong.add("algorithms", "expected some of RS256, PS256, ES256 and ES384");
        }
        if self.max_age == 0 || self.max_age > 86_400 {
            wrong.add("max-age", "expected 1 to 86400 seconds");
        }
        wrong.finish()
    }
}

/// Whether it is an instance of the public service or of a national cloud.
fn is_microsofts(issuer: &str) -> bool {
    let host = issuer.strip_prefix("https://").unwrap_or_default();
    ["attest.azure.net", "attest.azure.us", "attest.azure.cn"].into_iter().any(|domain| {
        host.strip_suffix(domain).is_some_and(|instance| {
            let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.');
            instance.len() > 1 && instance.ends_with('.') && instance.bytes().all(plain)
        })
    })
}

/// 64 hexadecimal digits of either case, with or without `sha256:` before them.
pub(crate) fn sha256_pin(text: &str) -> Option<[u8; 32]> {
    let digits = text.strip_prefix("sha256:").unwrap_or(text).to_ascii_lowercase();
    let mut pin = [0; 32];
    (digits.len() == 64).then_some(())?;
    cloudauth_core::encode::hex::decode(digits.as_bytes(), &mut pin).ok()?;
    Some(pin)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issuer(text: &str) -> Issuer {
        toml::from_str(text).unwrap()
    }

    fn refused(text: &str, field: &str) {
        let error = issuer(text).check().unwrap_err();
        assert!(error.lines().iter().any(|line| line.starts_with(field)), "{text}: {error}");
    }

    #[test]
    fn known_issuers_need_no_keys() {
        let google = issuer(&format!("kind = 'confidential-space'\nissuer = '{GOOGLE}'"));
        google.check().unwrap();
        assert_eq!(google.keys(), Some(Keys::Discovery));
        assert_eq!(google.algorithms(), [Scheme::RsaPkcs1Sha256]);
        let maa = issuer("kind = 'maa'\nissuer = 'https://sharedweu.weu.attest.azure.net'");
        maa.check().unwrap();
        let certs = "https://sharedweu.weu.attest.azure.net/certs".to_owned();
        assert_eq!(maa.keys(), Some(Keys::Uri(certs)));
        let pki = issuer(&format!(
            "kind = 'confidential-space'\nissuer = '{GOOGLE}'\nroot-sha256 = '{}'",
            "ab".repeat(32)
        ));
        pki.check().unwrap();
        // A root alone lets no token in that brings no chain.
        assert_eq!((pki.keys(), pki.root()), (None, Some(Root::Sha256([0xab; 32]))));
    }

    #[test]
    fn others_name_their_keys() {
        for other in [
            "https://issuer.example",
            "https://confidentialcomputing.googleapis.com/",
            "https://confidentialcomputing.googleapis.com.example",
        ] {
            refused(&format!("kind = 'confidential-space'\nissuer = '{other}'"), "keys");
        }
        for other in [
            "https://attest.azure.net",
            "https://evil.example/.attest.azure.net",
            "https://evilattest.azure.net",
            "https://a@b.attest.azure.net",
            "https://a.attest.azure.net.example",
        ] {
            refused(&format!("kind = 'maa'\nissuer = '{other}'"), "keys");
        }
        issuer("kind = 'maa'\nissuer = 'https://maa.example'\nkeys = 'discovery'").check().unwrap();
    }

    #[test]
    fn what_does_not_go_together() {
        let base = "kind = 'confidential-space'\nissuer = 'https://i.example'\n";
        refused(&format!("{base}keys = 'discovery'\nkeys-file = 'k.json'"), "keys");
        refused(&format!("{base}jwks-uri = 'http://i.example/k'"), "jwks-uri");
        refused(&format!("{base}root-sha256 = 'ab'"), "root-sha256");
        refused(&format!("{base}keys-file = 'k.json'\ntrusted-ca = 'ca.pem'"), "trusted-ca");
        refused(&format!("{base}keys-file = 'k.json'\nalgorithms = ['HS256']"), "algorithms");
        refused(&format!("{base}keys-file = 'k.json'\nalgorithms = []"), "algorithms");
        refused(&format!("{base}keys-file = 'k.json'\nmax-age = 0"), "max-age");
        refused("kind = 'maa'\nissuer = 'https://m.example'\nroot = 'r.pem'", "root");
        refused("kind = 'maa'\nissuer = 'http://m.example'\nkeys = 'discovery'", "issuer");
        for microsofts in ["https://sharedweu.weu.attest.azure.net", "https://a.b.attest.azure.us"]
        {
            let text =
                format!("kind = 'confidential-space'\nissuer = '{microsofts}'\nkeys = 'discovery'");
            refused(&text, "kind");
        }
        refused(&format!("kind = 'maa'\nissuer = '{GOOGLE}'\nkeys = 'discovery'"), "kind");
    }
}
