//! Certificates, and the programs of others.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;

use cloudauth_core::ekm::{Binder, Compat, Exported, Prover};
use cloudauth_keys::Key;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

/// Where `tests/attested/run` put the programs.
pub(crate) fn program(name: &str) -> PathBuf {
    let folder =
        std::env::var_os("ATTESTED_PEERS").expect("tests/attested/run sets ATTESTED_PEERS");
    PathBuf::from(folder).join(name)
}

/// A folder with `ca.pem`, `server.pem`, `server.key`, `client.pem` and `client.key`.
pub(crate) struct Material {
    folder: tempfile::TempDir,
    pub(crate) ca: String,
    pub(crate) server: Pair,
    pub(crate) client: Pair,
}

pub(crate) struct Pair {
    pub(crate) pem: String,
    pub(crate) key: KeyPair,
}

impl Pair {
    pub(crate) fn signer(&self) -> Arc<Key> {
        Arc::new(Key::from_pkcs8(&self.key.serialize_der()).unwrap())
    }
}

impl Material {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, "Test authority");
        let ca = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        let leaf = |name: &str| {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new([name.to_owned()]).unwrap();
            params.distinguished_name.push(DnType::CommonName, name);
            params.use_authority_key_identifier_extension = true;
            Pair { pem: params.signed_by(&key, &issuer).unwrap().pem(), key }
        };
        let (server, client) = (leaf("localhost"), leaf("client.example"));
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("ca.pem", &ca);
        for (name, pair) in [("server", &server), ("client", &client)] {
            write(&format!("{name}.pem"), &pair.pem);
            let key = format!("{name}.key");
            write(&key, &pair.key.serialize_pem());
            let own = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(folder.path().join(key), own).unwrap();
        }
        Self { folder, ca, server, client }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// One of the exporter programs: its name, and whether it also computes binders.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) binders: bool,
}

pub(crate) const PEERS: [Peer; 3] = [
    Peer { name: "openssl", binders: false },
    Peer { name: "go", binders: true },
    Peer { name: "node", binders: false },
];

/// What a peer, or this side, says of a connection: names and values.
pub(crate) type Lines = BTreeMap<String, String>;

/// A peer that runs.
pub(crate) struct Running {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Peer {
    pub(crate) fn start(
        self,
        mode: &str,
        address: &str,
        material: &Material,
        context: &[u8; 32],
        options: &[&str],
    ) -> Running {
        let mut command = match self.name {
            "node" => {
                let mut node = Command::new("node");
                node.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/attested/exporter.mjs"));
                node
            }
            name => Command::new(program(&format!("exporter-{name}"))),
        };
        let context: String = context.iter().map(|octet| format!("{octet:02x}")).collect();
        command.args([mode, address]).arg(material.path()).arg(context).args(options);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Running { child, output }
    }
}

impl Running {
    /// The port that a server says first.
    pub(crate) fn port(&mut self) -> u16 {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim().strip_prefix("port ").expect("a port").parse().unwrap()
    }

    /// All it says, how it ended, and what it complains of.
    pub(crate) fn end(mut self) -> (Lines, ExitStatus, String) {
        let lines = self.output.lines().map(|line| {
            let line = line.unwrap();
            let (name, value) = line.split_once(' ').expect("name and value");
            (name.to_owned(), value.to_owned())
        });
        let lines = lines.collect();
        let status = self.child.wait().unwrap();
        let mut complaint = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
        (lines, status, complaint)
    }
}

/// The same of this side, from what it exports and the keys that it saw.
pub(crate) fn ours(
    export: impl Fn(&str, &[u8]) -> [u8; 32],
    context: &[u8; 32],
    server_spki: &[u8],
    client_spki: Option<&[u8]>,
) -> Lines {
    let hex =
        |octets: [u8; 32]| octets.iter().map(|octet| format!("{octet:02x}")).collect::<String>();
    let mut lines = Lines::new();
    for (name, prover) in [("client", Prover::Client), ("server", Prover::Server)] {
        let octets = export(prover.label(), context);
        let binder = Binder {
            exported: &Exported::new(prover, octets).unwrap(),
            challenge: context,
            server_spki,
            client_spki,
            audience: "https://broker.example",
            request: br#"{"grant":"g"}"#,
        };
        lines.insert(format!("binder-{name}"), binder.nonce().unwrap().as_str().to_owned());
        lines.insert(name.to_owned(), hex(octets));
    }
    for (name, scheme) in [("my_nonce", Compat::Seed), ("testing_nonce", Compat::GoogleCodelab)] {
        lines.insert(name.to_owned(), hex(export(scheme.label(), &[])));
    }
    lines
}

/// That a peer says the same of a connection, and of two connections nothing is the same.
pub(crate) fn same(peer: Peer, theirs: &Lines, ours: &Lines) {
    let expected: Lines = ours
        .iter()
        .filter(|(name, _)| peer.binders || !name.starts_with("binder"))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    assert_eq!(*theirs, expected, "{peer:?}");
    assert_eq!(theirs.len(), if peer.binders { 6 } else { 4 });
    let different: std::collections::BTreeSet<&String> = theirs.values().collect();
    assert_eq!(different.len(), theirs.len(), "{theirs:?}");
}
