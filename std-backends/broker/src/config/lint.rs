//! What is wrong or doubtful across the sections of a configuration.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use cloudauth_client::Source;

use super::issuer::{GOOGLE, Kind};
use super::server::Admin;
use super::{Config, Grant};
use crate::error::LoadError;

/// The longest session in seconds of a role that another role's session assumes.
const MOST_CHAINED: i64 = 3600;

/// What contradicts itself.
pub(super) fn check(config: &Config) -> Result<(), LoadError> {
    let mut wrong = LoadError::default();
    for (name, grant) in &config.grants {
        let place = format!("{}: grants.{name}", config.place);
        if texts(&grant.attested, "waive").contains(&"policy-hash")
            && of_shared_instance(config, grant)
        {
            let help = "\"policy-hash\" is waived, and anyone may have a shared instance apply a policy of his own, \
                        which adds any claim: fix policy-hashes";
            wrong.add(format!("{place}: attested: waive"), help);
        }
        if of_chained_role(config, grant) {
            let help = format!(
                "the profile is a role's session: AWS gives no longer session from it than {MOST_CHAINED} seconds"
            );
            wrong.add(format!("{place}: give: duration"), help);
        }
    }
    wrong.finish()
}

/// What loads, and yet may not be meant: a line each.
pub(super) fn warnings(config: &Config) -> Vec<String> {
    let mut found = LoadError::default();
    let place = &config.place;
    for network in &config.server.proxy_protocol_from {
        if network.prefix_len() == 0 {
            let help = format!(
                "{network} is everybody: any client may then say that its address is another"
            );
            found.add(format!("{place}: server.proxy-protocol-from"), help);
        }
    }
    if let Admin::At(address) = config.server.admin_listen
        && !is_loopback(address.ip())
    {
        let help = "it is not on loopback: whoever reaches it reads the metrics, without TLS";
        found.add(format!("{place}: server.admin-listen"), help);
    }
    for (name, issuer) in &config.issuers {
        if issuer.root().is_some() && issuer.issuer != GOOGLE {
            let help = "whoever has a certificate below it signs for this issuer: let it be a root of nothing else";
            found.add(format!("{place}: issuers.{name}: root"), help);
        }
    }
    for (name, grant) in &config.grants {
        let field = |field: &str| format!("{place}: grants.{name}: attested: {field}");
        if texts(&grant.attested, "hwmodel").contains(&"GCP_SHIELDED_VM") {
            found.add(
                field("hwmodel"),
                "the memory of a GCP_SHIELDED_VM is not confidential: its host can read the credential",
            );
        }
        if texts(&grant.attested, "swname").contains(&"GCE") {
            let help =
                "GCE is no Confidential Space: nothing says what else runs beside the workload";
            found.add(field("swname"), help);
        }
        for (secret, path) in open_to_all(config, grant) {
            let place = format!("{place}: grants.{name}: give: secrets.{secret}");
            let help = "every user of this machine can read it, without any attestation";
            found.add(place, format!("{path:?}: {help}: chmod o-r it"));
        }
    }
    found.lines().to_vec()
}

/// The files that a grant gives and that everybody can read anyhow. One that is not there is told elsewhere.
fn open_to_all<'a>(config: &Config, grant: &'a Grant) -> Vec<(&'a str, PathBuf)> {
    let secrets = grant.give.get("secrets").and_then(toml::Value::as_table);
    let files = secrets.into_iter().flatten().filter_map(|(name, secret)| {
        let path = config.folder.join(secret.get("file")?.as_str()?);
        is_open_to_all(&path).then_some((name.as_str(), path))
    });
    files.collect()
}

#[cfg(unix)]
fn is_open_to_all(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    path.metadata().is_ok_and(|metadata| metadata.mode() & 0o004 != 0)
}

/// Rights are not looked at here.
#[cfg(not(unix))]
fn is_open_to_all(_: &Path) -> bool {
    false
}

/// A text, or a list of them, as it stands there. Those that are neither are told elsewhere.
pub(super) fn texts<'a>(table: &'a toml::Table, field: &str) -> Vec<&'a str> {
    match table.get(field) {
        Some(toml::Value::String(text)) => vec![text],
        Some(toml::Value::Array(texts)) => texts.iter().filter_map(toml::Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// Whether a shared instance of Microsoft Azure Attestation may be its issuer.
fn of_shared_instance(config: &Config, grant: &Grant) -> bool {
    let any = texts(&grant.attested, "waive").contains(&"issuer");
    let named = texts(&grant.attested, "issuer");
    config.issuers.iter().any(|(name, issuer)| {
        issuer.kind == Kind::Maa && issuer.is_shared() && (any || named.contains(&name.as_str()))
    })
}

/// Whether its sessions are longer than AWS gives to whom has a role's session already. `aws-session-token` is no
/// role: it may.
fn of_chained_role(config: &Config, grant: &Grant) -> bool {
    let text = |field| grant.give.get(field).and_then(toml::Value::as_str);
    let profile = text("profile").and_then(|name| config.profiles.get(name));
    let duration = grant.give.get("duration").and_then(toml::Value::as_integer);
    text("kind") == Some("aws-assume-role")
        && duration.is_some_and(|duration| duration > MOST_CHAINED)
        && matches!(
            profile,
            Some(
                Source::AwsAssumeRole(_) | Source::AwsRolesAnywhere(_) | Source::AwsWebIdentity(_)
            )
        )
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: &str =
        "[server]\nlisten = '127.0.0.1:0'\ncertificate = 'c.pem'\nkey = 'file:k.pem'\n";

    fn parse(text: &str) -> Result<Config, LoadError> {
        Config::parse(&format!("{SERVER}{text}"), Path::new(""), "b.toml")
    }

    #[track_caller]
    fn warns(text: &str, places: &[&str]) {
        let lines = parse(text).unwrap().warnings();
        assert_eq!(lines.len(), places.len(), "{text}: {lines:?}");
        for (line, place) in lines.iter().zip(places) {
            assert!(line.starts_with(&format!("b.toml: {place}: ")), "{text}: {line}");
        }
    }

    #[test]
    fn what_may_not_be_meant() {
        warns("", &[]);
        warns("proxy-protocol-from = ['10.0.0.0/8', 'fd00::/8']", &[]);
        let from = "server.proxy-protocol-from";
        warns("proxy-protocol-from = ['0.0.0.0/0']", &[from]);
        warns("proxy-protocol-from = ['::/0', '0.0.0.0/0', '10.0.0.0/8']", &[from, from]);
        for loopback in ["127.0.0.2:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "off"] {
            warns(&format!("admin-listen = '{loopback}'"), &[]);
        }
        for open in ["0.0.0.0:1", "[::]:1", "192.0.2.1:1"] {
            warns(&format!("admin-listen = '{open}'"), &["server.admin-listen"]);
        }
        let issuer = |issuer: &str, keys: &str| {
            format!("[issuers.i]\nkind = 'confidential-space'\nissuer = '{issuer}'\n{keys}")
        };
        warns(&issuer(GOOGLE, "root = 'r.pem'"), &[]);
        warns(&issuer("https://i.example", "keys = 'discovery'"), &[]);
        warns(&issuer("https://i.example", "root = 'r.pem'"), &["issuers.i: root"]);
        let pin = format!("keys = 'discovery'\nroot-sha256 = '{}'", "ab".repeat(32));
        warns(&issuer("https://i.example", &pin), &["issuers.i: root"]);
        let grant = |rules: &str| format!("[grants.g.attested]\n{rules}\n[grants.g.give]\n");
        warns(&grant("hwmodel = 'GCP_AMD_SEV'\nswname = 'CONFIDENTIAL_SPACE'"), &[]);
        let model = "grants.g: attested: hwmodel";
        warns(&grant("hwmodel = 'GCP_SHIELDED_VM'"), &[model]);
        warns(&grant("hwmodel = ['GCP_AMD_SEV', 'GCP_SHIELDED_VM']"), &[model]);
        warns(&grant("swname = 'GCE'"), &["grants.g: attested: swname"]);
        warns(&grant("swname = ['CONFIDENTIAL_SPACE', 'GCE']"), &["grants.g: attested: swname"]);
    }

    #[cfg(unix)]
    #[test]
    fn files_that_everybody_can_read() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "{SERVER}[grants.g.attested]\n[grants.g.give]\nkind = 'secrets'\n[grants.g.give.secrets]\n\
             a = {{ file = 'a' }}\nb = {{ file = 'b' }}\nc = {{ file = 'none' }}\nd = {{ secret = 'b' }}"
        );
        let config = Config::parse(&text, folder.path(), "b.toml").unwrap();
        for (name, mode) in [("a", 0o640), ("b", 0o644)] {
            std::fs::write(folder.path().join(name), "").unwrap();
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(folder.path().join(name), mode).unwrap();
        }
        let lines = config.warnings();
        assert_eq!(lines.len(), 1, "{lines:?}");
        let place = "b.toml: grants.g: give: secrets.b: ";
        assert!(lines[0].starts_with(place) && lines[0].contains("chmod o-r"), "{lines:?}");
    }

    #[test]
    fn a_shared_instance_needs_its_policys_hash() {
        let text = |host: &str, rules: &str| {
            format!(
                "[issuers.m]\nkind = 'maa'\nissuer = 'https://{host}'\n[issuers.google]\n\
                 kind = 'confidential-space'\nissuer = '{GOOGLE}'\n\
                 [grants.g.attested]\n{rules}\n[grants.g.give]\n"
            )
        };
        let shared = "sharedweu.weu.attest.azure.net";
        for rules in [
            "issuer = 'm'\nwaive = ['policy-hash']",
            "issuer = ['m']\nwaive = ['debug', 'policy-hash']",
            "waive = ['issuer', 'policy-hash']",
        ] {
            let error = parse(&text(shared, rules)).unwrap_err().to_string();
            assert!(error.starts_with("b.toml: grants.g: attested: waive: "), "{error}");
            parse(&text("mine.weu.attest.azure.net", rules)).unwrap();
        }
        parse(&text(shared, "issuer = 'm'\npolicy-hashes = 'h'\nwaive = ['debug']")).unwrap();
        parse(&text(shared, "issuer = 'google'\nwaive = ['policy-hash']")).unwrap();
    }

    #[test]
    fn a_chained_roles_session_is_short() {
        let text = |profile: &str, duration: u32| {
            let role = "role-arn = 'arn:aws:iam::123456789012:role/r'\n";
            format!(
                "[profiles.role]\nkind = 'aws-assume-role'\nsession-name = 's'\n{role}\
                 [profiles.user]\nkind = 'aws-session-token'\n\
                 [grants.g.attested]\n[grants.g.give]\nkind = 'aws-assume-role'\n{profile}\n\
                 duration = {duration}\n"
            )
        };
        let error = parse(&text("profile = 'role'", 3601)).unwrap_err().to_string();
        assert!(error.starts_with("b.toml: grants.g: give: duration: "), "{error}");
        parse(&text("profile = 'role'", 3600)).unwrap();
        parse(&text("profile = 'user'", 43_200)).unwrap();
        parse(&text("", 43_200)).unwrap();
    }
}
