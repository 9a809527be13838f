//! Grants of secrets: who does not get them, and a vault that gives only a part.

use cloudauth_emulator::{Fault, FaultKind, Service};
use serde_json::json;

use crate::leaks;
use crate::table::{Expect, Table};
use crate::tokens::object;
use crate::world::{TENANT, World};

const VALUE: &str = "a secret of the vault, to be found nowhere";
const FILE: &str = "a secret in a file, to be found nowhere";

fn request(grant: &str) -> String {
    format!("{{\"grant\":\"{grant}\"}}")
}

pub(crate) fn run(table: &mut Table) {
    for value in [VALUE, FILE] {
        leaks::octets("a secret of the bundle", value.as_bytes());
        leaks::secret("a secret of the bundle", value);
    }
    let mut world = World::still();
    let known = json!({"vaults": [{"name": "contoso", "tenant": TENANT,
        "readers": ["66666666-7777-8888-9999-000000000000"], "certificates": [], "secrets": [
            {"name": "good", "value": VALUE}, {"name": "disabled", "value": VALUE, "enabled": false}]}]});
    world.emulator.register(serde_json::from_value(known).unwrap()).unwrap();
    world.write("file", FILE);
    let (url, folder) = (world.emulator.url(), world.folder.path().display());
    let give = |secrets: &str, name: &str| {
        format!(
            "kind = 'secrets'\nvault = 'https://contoso.vault.azure.net'\n\
             vault-endpoint-url = '{url}'\ntenant = '{TENANT}'\nauthority = '{url}'\n\
             client-id = '66666666-7777-8888-9999-000000000000'\n\
             client-secret = 'file:{folder}/azure-secret'\n[grants.{name}.give.secrets]\n{secrets}"
        )
    };
    let attested = format!("{}image-digests = 'sha256:{}'\n", World::workload(), "1".repeat(64));
    let grants = [
        world.grant(
            "secrets",
            &attested,
            &give("x = { secret = 'good' }\ny = { file = 'file' }", "secrets"),
        ),
        world.grant(
            "partial",
            &attested,
            &give("x = { secret = 'good' }\ny = { secret = 'disabled' }", "partial"),
        ),
    ]
    .concat();
    world.configure("", &grants);
    world.start().unwrap();
    let good = || world.exchange(&request("secrets"), |_| {});
    let passed = good();
    for (input, claims, check) in [
        (
            "another image",
            json!({"submods": {"container": {"image_digest": format!("sha256:{}", "9".repeat(64))}}}),
            "image",
        ),
        ("a debug image", json!({"dbgstat": "enabled"}), "debug"),
        (
            "another project",
            json!({"submods": {"gce": {"project_id": "other-project"}}}),
            "project",
        ),
    ] {
        let refused =
            world.exchange(&request("secrets"), |token| token.claims = object(claims.clone()));
        table.attack(
            "asking for the secrets of another workload",
            input,
            &refused,
            Expect::Check("denied", check),
            "the workload itself",
            &passed,
        );
    }
    table.attack(
        "a bundle of which one secret is disabled",
        "the vault: 403 SecretDisabled",
        &world.exchange(&request("partial"), |_| {}),
        Expect::Problem(502, "upstream", &[]),
        "one that is whole",
        &good(),
    );
    world.emulator.fault(Fault {
        service: Some(Service::KeyVault),
        count: 99,
        kind: FaultKind::Status(503),
    });
    let refused = world.exchange(&request("secrets"), |_| {});
    world.emulator.clear_faults();
    table.attack(
        "a vault that is down: none, not those of the file",
        "the vault: 503",
        &refused,
        Expect::Problem(503, "unavailable", &[]),
        "once it is up",
        &good(),
    );
}
