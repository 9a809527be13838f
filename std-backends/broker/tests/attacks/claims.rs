//! What is attested and what a grant wants: each claim wrong in turn, and claims on their way into a session's policy.

use cloudauth_emulator::{AttestationKind, AttestationToken};
use serde_json::{Value, json};

use crate::table::{Expect, Outcome, Table};
use crate::tokens::object;
use crate::world::{READER, World};

const STRICT: &str = "
image-digests = 'sha256:1111111111111111111111111111111111111111111111111111111111111111'
min-swversion = 260800
secure-boot = true
support-attributes = ['STABLE', 'USABLE']
zones = ['europe-west4-a', 'europe-west4-b']
service-accounts = 'workload@demo-project.iam.gserviceaccount.com'
[grants.strict.attested.claims]
'/oemid' = 11129
'/submods/container/restart_policy' = ['Never', 'OnFailure']
'/submods/confidential_space/monitoring_enabled/memory' = false
";

const fn denied(check: &str) -> Expect<'_> {
    Expect::Check("denied", check)
}

pub(crate) fn run(table: &mut Table) {
    let world = World::still();
    let hash = format!(
        "policy-hashes = '{}A'\ndebuggable = false\nissuer = 'microsoft'\n",
        "d".repeat(42)
    );
    let microsoft = |own: String| format!("{hash}{own}");
    let digits = |digit: &str, n| digit.repeat(n);
    let signed = "image-signature-keys = ['k1', 'k2']\n";
    let network = "image-digests = 'sha256:1111111111111111111111111111111111111111111111111111111111111111'\n\
                   source-networks = ['192.0.2.0/24']\n";
    let policy = r#"policy = '{"Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/name":"${claim:/submods/gce/instance_name}"}}}]}'"#;
    let tags = "source-identity = '${claim:/submods/gce/project_id}'\n\
                tags = { zone = '${claim:/submods/gce/zone}' }\n";
    let of_image = "image-digests = 'sha256:1111111111111111111111111111111111111111111111111111111111111111'\n";
    let grants = [
        world.grant("strict", &format!("{}{STRICT}", World::workload()), &world.azure_token()),
        world.grant("signed", &format!("{}{signed}", World::workload()), &world.azure_token()),
        world.grant("network", &format!("{}{network}", World::workload()), &world.azure_token()),
        world.grant(
            "policy",
            &format!("{}{of_image}", World::workload()),
            &format!("{}{tags}{policy}\n", world.assume_role()),
        ),
        world.grant(
            "snp",
            &microsoft(format!(
                "type = 'sevsnpvm'\nlaunch-measurements = '{}'\nhost-data = '{}'\ncompliance = 'azure-compliant-cvm'",
                digits("3", 96),
                digits("4", 64)
            )),
            &world.azure_token(),
        ),
        world.grant(
            "enclave",
            &microsoft(format!("type = 'sgx'\nmrenclave = '{}'", digits("5", 64))),
            &world.azure_token(),
        ),
        world.grant(
            "signer",
            &microsoft(format!("type = 'sgx'\nmrsigner = '{}'\nproduct-id = 1\nmin-svn = 2", digits("6", 64))),
            &world.azure_token(),
        ),
        world.grant(
            "tdx",
            &microsoft(format!(
                "type = 'tdxvm'\nmrtd = '{}'\nrtmr1 = '{}'\nrtmr2 = '{}'\nrtmr3 = '{}'\nwaive = ['config-id']",
                digits("3", 96),
                digits("b", 96),
                digits("c", 96),
                digits("0", 96)
            )),
            &world.azure_token(),
        ),
    ]
    .concat();
    let mut world = world;
    world.configure("", &grants);
    world.start().unwrap();
    google(table, &world);
    elsewhere(table, &world);
    templates(table, &world);
    microsofts(table, &world);
    quotes(table, &world);
}

fn asks(world: &World, grant: &str, claims: Value) -> Outcome {
    world.exchange(&format!("{{\"grant\":\"{grant}\"}}"), |t| t.claims = object(claims))
}

fn google(table: &mut Table, world: &World) {
    let container = |claims: Value| json!({"submods": {"container": claims}});
    let gce = |claims: Value| json!({"submods": {"gce": claims}});
    let space = |claims: Value| json!({"submods": {"confidential_space": claims}});
    let other = format!("sha256:{}", "9".repeat(64));
    let good = asks(world, "strict", json!({}));
    // A changed cmd_override is also another list of arguments, a changed env_override another environment.
    for (name, sent, claims, checks) in [
        ("debug image", "dbgstat: enabled", json!({"dbgstat": "enabled"}), &["debug"][..]),
        ("debug image", "no dbgstat", json!({"dbgstat": null}), &["debug"]),
        ("debug image", "dbgstat: disabled", json!({"dbgstat": "disabled"}), &["debug"]),
        (
            "policy claim: image",
            "another digest",
            container(json!({"image_digest": other})),
            &["image"],
        ),
        ("policy claim: image", "none", container(json!({"image_digest": null})), &["image"]),
        (
            "policy claim: image",
            "the digest in an array",
            container(json!({"image_digest": [format!("sha256:{}", "1".repeat(64))]})),
            &["image"],
        ),
        (
            "policy claim: image",
            "in capitals",
            container(json!({"image_digest": format!("SHA256:{}", "1".repeat(64))})),
            &["image"],
        ),
        ("policy claim: swname", "GCE", json!({"swname": "GCE"}), &["swname"]),
        (
            "policy claim: hwmodel",
            "GCP_SHIELDED_VM",
            json!({"hwmodel": "GCP_SHIELDED_VM"}),
            &["hwmodel"],
        ),
        ("policy claim: hwmodel", "none", json!({"hwmodel": null}), &["hwmodel"]),
        (
            "policy claim: project",
            "demo-project-2",
            gce(json!({"project_id": "demo-project-2"})),
            &["project"],
        ),
        ("policy claim: zone", "us-east1-a", gce(json!({"zone": "us-east1-a"})), &["zone"]),
        (
            "policy claim: service account",
            "another",
            json!({"google_service_accounts": ["x@demo-project.iam.gserviceaccount.com"]}),
            &["service-account"],
        ),
        (
            "policy claim: service account",
            "none",
            json!({"google_service_accounts": []}),
            &["service-account"],
        ),
        (
            "policy claim: arguments",
            "cmd_override: /bin/sh",
            container(json!({"cmd_override": ["/bin/sh"]})),
            &["cmd-override", "args"],
        ),
        (
            "policy claim: environment",
            "env_override: LD_PRELOAD",
            container(json!({"env_override": {"LD_PRELOAD": "/x"}})),
            &["env", "env-override"],
        ),
        ("policy claim: swversion", "260799", json!({"swversion": ["260799"]}), &["swversion"]),
        (
            "policy claim: swversion",
            "an old one beside a new one",
            json!({"swversion": ["260800", "260799"]}),
            &["swversion"],
        ),
        ("policy claim: secure boot", "false", json!({"secboot": false}), &["secure-boot"]),
        ("policy claim: secure boot", "\"true\"", json!({"secboot": "true"}), &["secure-boot"]),
        (
            "policy claim: support attributes",
            "USABLE alone",
            space(json!({"support_attributes": ["USABLE"]})),
            &["support-attributes"],
        ),
        ("policy claim: by pointer", "oemid 1", json!({"oemid": 1}), &["/oemid"]),
        ("policy claim: by pointer", "oemid \"11129\"", json!({"oemid": "11129"}), &["/oemid"]),
        (
            "policy claim: by pointer",
            "restart_policy Always",
            container(json!({"restart_policy": "Always"})),
            &["/submods/container/restart_policy"],
        ),
        (
            "policy claim: all of it",
            "no submods",
            json!({"submods": null}),
            &[
                "image",
                "project",
                "support-attributes",
                "zone",
                "/submods/confidential_space/monitoring_enabled/memory",
                "/submods/container/restart_policy",
            ],
        ),
    ] {
        let refused = asks(world, "strict", claims);
        let mut failed: Vec<_> = refused.failed().into_iter().map(|(name, _)| name).collect();
        let mut wanted: Vec<_> = checks.to_vec();
        failed.sort();
        wanted.sort_unstable();
        // In whatever order.
        let order: Vec<_> = refused.failed().into_iter().map(|(name, _)| name).collect();
        let order: Vec<&str> = order.iter().map(String::as_str).collect();
        let expected = if failed == wanted { &order[..] } else { checks };
        table.attack(
            name,
            sent,
            &refused,
            Expect::Problem(403, "denied", expected),
            "as the grant wants it",
            &good,
        );
    }
    let signature = |key: &str| {
        let signature = json!([{"key_id": key, "signature": "AA==", "signature_algorithm": "X"}]);
        asks(world, "signed", json!({"submods": {"container": {"image_signatures": signature}}}))
    };
    let (refused, good) = (signature("k3"), signature("k2"));
    table.attack(
        "policy claim: image signature",
        "of another key",
        &refused,
        denied("image"),
        "of a key that is named",
        &good,
    );
    let refused = asks(world, "signed", json!({}));
    table.attack(
        "policy claim: image signature",
        "none",
        &refused,
        denied("image"),
        "of a key that is named",
        &good,
    );
    let refused = asks(world, "network", json!({}));
    table.attack(
        "source network",
        "from 127.0.0.1",
        &refused,
        denied("source-network"),
        "without that rule",
        &world.good(),
    );
}

/// The right public image, run by somebody else or in another way.
fn elsewhere(table: &mut Table, world: &World) {
    let good = world.good();
    for (name, claims, checks) in [
        (
            "the right public image in another project",
            json!({"submods": {"gce": {"project_id": "attackers-project", "project_number": "666666666666"}},
                   "google_service_accounts": ["robot@attackers-project.iam.gserviceaccount.com"]}),
            &["project"][..],
        ),
        (
            "the right public image with other arguments",
            json!({"submods": {"container": {"args": ["/workload", "--send-to=attacker"], "cmd_override": ["--send-to=attacker"]}}}),
            &["cmd-override", "args"],
        ),
        (
            "the right public image with another environment",
            json!({"submods": {"container": {"env_override": {"ENDPOINT": "https://attacker.example"}}}}),
            &["env", "env-override"],
        ),
        (
            "the right public image on a machine that is not confidential",
            json!({"swname": "GCE", "hwmodel": "GCP_SHIELDED_VM"}),
            &["swname", "hwmodel"],
        ),
        (
            "the right image by the name of old, another by the present one",
            json!({"tee": {"container": {"image_digest": format!("sha256:{}", "1".repeat(64))}},
                   "submods": {"container": {"image_digest": format!("sha256:{}", "9".repeat(64))}}}),
            &["claim-names", "image"],
        ),
    ] {
        let refused = asks(world, "reader", claims);
        let failed = refused.failed();
        let mut order: Vec<&str> = failed.iter().map(|(name, _)| name.as_str()).collect();
        let shown = order.clone();
        let mut wanted = checks.to_vec();
        order.sort_unstable();
        wanted.sort_unstable();
        let expected = if order == wanted { &shown[..] } else { checks };
        table.attack(
            name,
            "a genuine token",
            &refused,
            Expect::Problem(403, "denied", expected),
            "in the project of the grant, nothing overridden",
            &good,
        );
    }
}

/// Claims on their way into policy, tags, source identity and session name.
fn templates(table: &mut Table, world: &World) {
    let gce = |name: &str, value: Value| {
        asks(world, "policy", json!({"submods": {"gce": {name: value}}}))
    };
    let good = gce("instance_name", json!("workload-2"));
    for (place, name) in [
        ("session policy", "instance_name"),
        ("session tag", "zone"),
        ("session name", "instance_id"),
    ] {
        for value in ["*", "work?oad", "${aws:username}", "a\",\"b\":\"c", "a b", "", "é"] {
            let refused = gce(name, json!(value));
            let sent = format!("{name} {value:?}");
            table.attack(
                &format!("claim on its way into a {place}"),
                &sent,
                &refused,
                denied("give"),
                "workload-2",
                &good,
            );
        }
    }
    for (sent, value) in [
        ("an object", json!({"a": 1})),
        ("a list", json!(["workload-2"])),
        ("null", Value::Null),
        ("true", json!(true)),
    ] {
        let refused = gce("instance_name", value);
        table.attack(
            "claim on its way into a session policy",
            sent,
            &refused,
            denied("give"),
            "a text",
            &good,
        );
    }
    // What the cloud was asked for, as it was asked.
    let Outcome::Answer(answer, _) = &good else { return };
    let id = answer.json()["aws"]["access_key_id"].clone();
    let session = world.emulator.sessions().into_iter().find(|session| id == session.access_key_id);
    let session = session.unwrap();
    let policy: Value = serde_json::from_str(session.policy.as_deref().unwrap()).unwrap();
    let condition = &policy["Statement"][0]["Condition"]["StringEquals"]["aws:PrincipalTag/name"];
    assert_eq!(condition, "workload-2");
    assert_eq!(session.tags["zone"], "europe-west4-a");
    assert_eq!(session.source_identity.as_deref(), Some("demo-project"));
}

fn maa(
    world: &World,
    grant: &str,
    kind: AttestationKind,
    change: impl FnOnce(&mut AttestationToken),
) -> Outcome {
    world.exchange(&format!("{{\"grant\":\"{grant}\"}}"), |token| {
        *token = AttestationToken {
            kind,
            runtime: Some(json!({"nonce": token.nonces[0]})),
            ..AttestationToken::default()
        };
        change(token);
    })
}

fn microsofts(table: &mut Table, world: &World) {
    use AttestationKind::{Sevsnpvm, Sgx, Tdxvm};
    let zeros = json!("0".repeat(64));
    for (grant, kind, wrong) in [
        (
            "snp",
            Sevsnpvm,
            vec![
                (json!({"x-ms-policy-hash": "other"}), "policy-hash"),
                (json!({"x-ms-policy-hash": null}), "policy-hash"),
                (json!({"x-ms-sevsnpvm-is-debuggable": true}), "debug"),
                (json!({"x-ms-sevsnpvm-is-debuggable": null}), "debug"),
                (json!({"x-ms-sevsnpvm-launchmeasurement": zeros}), "measurement"),
                (json!({"x-ms-sevsnpvm-hostdata": zeros}), "host-data"),
                (json!({"x-ms-compliance-status": "azure-signed-uvm"}), "compliance"),
            ],
        ),
        (
            "enclave",
            Sgx,
            vec![
                (json!({"x-ms-sgx-mrenclave": zeros}), "measurement"),
                (json!({"x-ms-sgx-is-debuggable": true}), "debug"),
            ],
        ),
        (
            "signer",
            Sgx,
            vec![
                (json!({"x-ms-sgx-mrsigner": zeros}), "measurement"),
                (json!({"x-ms-sgx-product-id": 2}), "product-id"),
                (json!({"x-ms-sgx-svn": 1}), "svn"),
            ],
        ),
        (
            "tdx",
            Tdxvm,
            vec![
                (json!({"tdx_mrtd": zeros}), "measurement"),
                (json!({"tdx_rtmr1": zeros}), "rtmr1"),
                (json!({"tdx_rtmr2": null}), "rtmr2"),
                (json!({"tdx_rtmr3": "b".repeat(96)}), "rtmr3"),
                (json!({"tdx_td_attributes_debug": true}), "debug"),
            ],
        ),
    ] {
        let good = maa(world, grant, kind, |_| {});
        for (claims, check) in wrong {
            let sent: String = claims.to_string().chars().take(60).collect();
            let refused = maa(world, grant, kind, |token| token.claims = object(claims));
            table.attack(
                &format!("policy claim: Microsoft's, {grant}"),
                &sent,
                &refused,
                denied(check),
                "as the grant wants it",
                &good,
            );
        }
    }
}

/// What the hardware's report does not cover binds nothing.
fn quotes(table: &mut Table, world: &World) {
    use AttestationKind::{Azurevm, Sevsnpvm, Sgx};
    const MISMATCH: Expect<'_> = Expect::Check("channel_mismatch", "nonce");
    let good = maa(world, "snp", Sevsnpvm, |_| {});
    let near = "a report that covers the nonce";
    let refused = world.exchange(r#"{"grant":"snp"}"#, |token| {
        token.kind = Sevsnpvm;
        token.audience.clear();
        token.runtime =
            Some(json!({"nonce": "of an old connection: this is no nonce of now".get(..43)}));
    });
    table.attack(
        "an old Microsoft quote with a fresh nonce",
        "top-level nonce right, the covered one old",
        &refused,
        MISMATCH,
        near,
        &good,
    );
    let refused = world.exchange(r#"{"grant":"snp"}"#, |token| {
        token.kind = Sevsnpvm;
        token.audience.clear();
    });
    table.attack(
        "a Microsoft quote of no data, with a fresh nonce",
        "top-level nonce alone",
        &refused,
        MISMATCH,
        near,
        &good,
    );
    // Microsoft's tokens name their keys' place. It is not followed, wherever it leads.
    let sink = crate::sink::Sink::new();
    let jku = object(json!({"jku": format!("{}/certs", sink.url())}));
    let refused = maa(world, "snp", Sevsnpvm, |token| {
        token.header = jku.clone();
        token.key = Some(cloudauth_emulator::AttestationKey::Attacker);
    });
    let passed = maa(world, "snp", Sevsnpvm, |token| token.header = jku.clone());
    table.attack(
        "Microsoft's token with a jku to an attacker",
        "signed by the attacker under the issuer's kid",
        &refused,
        Expect::Check("attestation_invalid", "signature"),
        "the same header, the issuer's signature",
        &sink.unless_asked(passed),
    );
    let refused = maa(world, "snp", Azurevm, |_| {});
    table.attack("azurevm token", "the nonce in its runtime data", &refused, MISMATCH, near, &good);
    let good = world.exchange(r#"{"grant":"enclave"}"#, |token| {
        let held = token.nonces.remove(0);
        token.kind = Sgx;
        token.audience.clear();
        token.runtime = Some(json!(held));
    });
    let refused = world.exchange(r#"{"grant":"enclave"}"#, |token| {
        let held = token.nonces.remove(0);
        token.kind = Sgx;
        token.audience.clear();
        token.runtime = Some(json!(format!("{held}{held}")));
    });
    table.attack(
        "SGX with more data than the nonce",
        "held data of 86 octets",
        &refused,
        MISMATCH,
        "held data of 43",
        &good,
    );
    let own = world.good();
    let refused = world.exchange(READER, |token| {
        *token = AttestationToken {
            kind: Sevsnpvm,
            runtime: Some(json!({"nonce": token.nonces[0]})),
            ..AttestationToken::default()
        };
    });
    let expected = denied("kind");
    table.attack(
        "Microsoft's token for a grant of Google's",
        "bound, and genuine",
        &refused,
        expected,
        "Google's token",
        &own,
    );
}
