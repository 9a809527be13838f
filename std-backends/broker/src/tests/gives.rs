//! What grants give, by the emulator's clouds.

use cloudauth_emulator as emulator;
use cloudauth_emulator::{Fault, FaultKind, Service, Session};
use rcgen::PublicKeyData as _;
use serde_json::{Value, json};

use super::world::*;
use crate::decision::{Decision, GiveError, Given, Granted, Refusal};

const ROLE: &str = "arn:aws:iam::123456789012:role/demo";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

fn world() -> World {
    let world = World::new();
    write(world.folder.path(), "aws-secret", SECRET);
    write(world.folder.path(), "azure-secret", "demo-secret");
    world
}

fn assume(world: &World, more: &str) -> String {
    format!(
        "kind = 'aws-assume-role'\nrole-arn = '{ROLE}'\nregion = 'eu-central-1'\n{}\n{more}",
        access_key(world)
    )
}

fn access_key(world: &World) -> String {
    format!(
        "access-key-id = 'AKIAIOSFODNN7EXAMPLE'\nkey = 'file:{}'\nendpoint-url = '{}'",
        world.folder.path().join("aws-secret").display(),
        world.emulator.url()
    )
}

async fn granted(world: &World, loaded: &Loaded, claims: Value) -> Granted {
    decided(world, loaded, claims).await.verdict.unwrap()
}

async fn decided(world: &World, loaded: &Loaded, claims: Value) -> Decision {
    loaded.decide(&world.token(claims)).await
}

fn session(world: &World, given: &Given) -> Session {
    let Given::Aws(keys, region) = given else { panic!("{given:?}") };
    assert_eq!(region, "eu-central-1");
    let sessions = world.emulator.sessions();
    sessions.into_iter().find(|session| session.access_key_id == keys.access_key_id).unwrap()
}

#[tokio::test]
async fn a_role_with_claims_in_it() {
    let world = world();
    let policy = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:GetObject",
        "Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/project":"${claim:/submods/gce/project_id}"}}}}"#;
    write(world.folder.path(), "policy.json", policy);
    let give = assume(
        &world,
        "duration = 1200\npolicy-file = 'policy.json'\nsource-ip = true\n\
         source-identity = '${claim:/submods/gce/instance_name}'\n\
         tags = { project = '${claim:/submods/gce/project_id}', fixed = 'a b' }",
    );
    let loaded = world.grant(WORKLOAD, &give).unwrap();
    let granted = granted(&world, &loaded, json!({})).await;
    let given = loaded.policy.give(&granted).await.unwrap();
    let session = session(&world, &given);
    assert_eq!(session.role_arn.as_deref(), Some(ROLE));
    assert_eq!(session.session_name.as_deref(), Some("1234567890123456789"));
    assert_eq!(session.source_identity.as_deref(), Some("workload-1"));
    assert_eq!(session.tags["project"], "demo-project");
    assert_eq!(session.tags["fixed"], "a b");
    let life = session.expires - i64::try_from(now().as_secs()).unwrap();
    assert!((1190..=1200).contains(&life), "{life}");
    let policy: Value = serde_json::from_str(&session.policy.unwrap()).unwrap();
    let condition = &policy["Statement"][0]["Condition"]["StringEquals"];
    assert_eq!(condition["aws:PrincipalTag/project"], "demo-project");
    let deny = &policy["Statement"][1];
    assert_eq!(deny["Effect"], "Deny");
    assert_eq!(deny["Condition"]["NotIpAddress"]["aws:SourceIp"], "192.0.2.7/32");
    // Every workload has a session of its own.
    let again = loaded.policy.give(&granted).await.unwrap();
    assert_ne!(self::session(&world, &again).access_key_id, session.access_key_id);
}

#[tokio::test]
async fn a_claim_that_means_something_is_refused() {
    let world = world();
    let policy = r#"policy = '{"Statement":[{"Resource":"${claim:/submods/gce/instance_name}"}]}'"#;
    let loaded = world.grant(WORKLOAD, &assume(&world, policy)).unwrap();
    for bad in ["*", "a?", "${aws:username}", "a b", "", "a\"", "é"] {
        let claims = submod("gce", json!({"instance_name": bad}));
        refused(&decided(&world, &loaded, claims).await, Refusal::Denied, "give");
        // As the session's name, by default.
        let claims = submod("gce", json!({"instance_id": bad}));
        refused(&decided(&world, &loaded, claims).await, Refusal::Denied, "give");
    }
    let claims = submod("gce", json!({"instance_name": null}));
    refused(&decided(&world, &loaded, claims).await, Refusal::Denied, "give");
    let claims = submod("gce", json!({"instance_name": "workload-2"}));
    loaded.granted(&decided(&world, &loaded, claims).await);
}

#[tokio::test]
async fn a_role_by_way_of_a_profile() {
    let world = world();
    let give = format!(
        "kind = 'aws-assume-role'\nrole-arn = '{ROLE}'\nregion = 'eu-central-1'\nprofile = 'base'\n\
         endpoint-url = '{}'\n\
         [profiles.base]\nkind = 'aws-session-token'\nregion = 'eu-central-1'\n{}",
        world.emulator.url(),
        access_key(&world)
    );
    let loaded = world.grant(WORKLOAD, &give).unwrap();
    loaded.policy.try_keys().unwrap();
    for _ in 0..2 {
        let granted = granted(&world, &loaded, json!({})).await;
        let given = loaded.policy.give(&granted).await.unwrap();
        assert_eq!(session(&world, &given).operation, "AssumeRole");
    }
    let base = world.emulator.sessions().into_iter().filter(|s| s.operation == "GetSessionToken");
    assert_eq!(base.count(), 1, "the base credential is kept");
}

#[tokio::test]
async fn the_brokers_own_rights() {
    let world = world();
    let give = format!(
        "kind = 'aws-session-token'\nregion = 'eu-central-1'\naccept-base-rights = true\n{}",
        access_key(&world)
    );
    let loaded = world.grant(WORKLOAD, &give).unwrap();
    let granted = granted(&world, &loaded, json!({})).await;
    let given = loaded.policy.give(&granted).await.unwrap();
    assert_eq!(session(&world, &given).operation, "GetSessionToken");
}

/// A give by IAM Roles Anywhere, for at most half an hour.
pub(super) fn roles_anywhere(world: &World) -> String {
    use rcgen::{
        BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    };
    const ANCHOR: &str = "arn:aws:rolesanywhere:eu-central-1:123456789012:trust-anchor/a";
    const PROFILE: &str = "arn:aws:rolesanywhere:eu-central-1:123456789012:profile/p";
    let root_key = KeyPair::generate().unwrap();
    let mut root = CertificateParams::default();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    root.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    root.distinguished_name.push(DnType::CommonName, "root");
    let root_pem = root.self_signed(&root_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let mut leaf = CertificateParams::default();
    leaf.is_ca = IsCa::ExplicitNoCa;
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.distinguished_name.push(DnType::CommonName, "broker");
    let leaf = leaf.signed_by(&key, &Issuer::new(root, root_key)).unwrap();
    write(world.folder.path(), "machine.key", &key.serialize_pem());
    write(world.folder.path(), "machine.pem", &leaf.pem());
    let known = json!({"aws": {
        "trust_anchors": [{"arn": ANCHOR, "certificates": root_pem}],
        "profiles": [{"arn": PROFILE, "roles": [ROLE]}],
    }});
    world.emulator.register(serde_json::from_value(known).unwrap()).unwrap();
    format!(
        "kind = 'aws-roles-anywhere'\ncertificate = 'machine.pem'\nkey = 'file:{}'\n\
         trust-anchor-arn = '{ANCHOR}'\nprofile-arn = '{PROFILE}'\nrole-arn = '{ROLE}'\n\
         endpoint-url = '{}'\nduration = 1800",
        world.folder.path().join("machine.key").display(),
        world.emulator.url()
    )
}

#[tokio::test]
async fn a_machine_of_its_own() {
    let world = world();
    let give = roles_anywhere(&world);
    let loaded = world.grant(WORKLOAD, &give).unwrap();
    loaded.policy.try_keys().unwrap();
    let granted = granted(&world, &loaded, json!({})).await;
    let given = loaded.policy.give(&granted).await.unwrap();
    // The region is the trust anchor's.
    assert_eq!(session(&world, &given).role_arn.as_deref(), Some(ROLE));
}

#[tokio::test]
async fn azure_shared_and_renewed() {
    let world = world();
    let give = format!(
        "{}authority = '{}'",
        GIVE.replace("file:", &format!("file:{}/", world.folder.path().display())),
        world.emulator.url()
    );
    let loaded = world.grant(WORKLOAD, &give).unwrap();
    loaded.policy.try_keys().unwrap();
    let granted = granted(&world, &loaded, json!({})).await;
    let mut tokens = Vec::new();
    for _ in 0..3 {
        let Given::Bearer(token) = loaded.policy.give(&granted).await.unwrap() else { panic!() };
        tokens.push(token);
    }
    assert!(tokens.windows(2).all(|pair| pair[0] == pair[1]));
    assert!(tokens[0].expiration.as_secs() > now().as_secs() + 300);
    let asked = world.emulator.requests().iter().filter(|r| r.service == Service::Entra).count();
    assert_eq!(asked, 1);
}

#[tokio::test]
async fn google_self_signed_and_asked_for() {
    let world = world();
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    write(world.folder.path(), "robot.pem", &key.serialize_pem());
    let email = "robot@project.iam.gserviceaccount.com";
    let spki = key.subject_public_key_info();
    let account = json!({"google": {"service_accounts": [{"email": email, "keys": [
        {"id": "k1", "public_key": pem(&spki)}]}]}});
    let known: emulator::Config = serde_json::from_value(account).unwrap();
    world.emulator.register(known).unwrap();
    let common = format!(
        "key = 'file:{}'\nemail = '{email}'\nkey-id = 'k1'\nscopes = ['https://www.googleapis.com/auth/x']",
        world.folder.path().join("robot.pem").display()
    );
    for (kind, more) in [
        ("gcp-token", String::new()),
        ("gcp-oauth", format!("endpoint-url = '{}'", world.emulator.url())),
    ] {
        let loaded = world.grant(WORKLOAD, &format!("kind = '{kind}'\n{common}\n{more}")).unwrap();
        loaded.policy.try_keys().unwrap();
        let granted = granted(&world, &loaded, json!({})).await;
        let Given::Bearer(token) = loaded.policy.give(&granted).await.unwrap() else { panic!() };
        assert!(token.expiration.as_secs() > now().as_secs() + 300);
    }
}

fn pem(spki: &[u8]) -> String {
    cloudauth_keys::pem::encode("PUBLIC KEY", spki).unwrap()
}

#[tokio::test]
async fn what_the_cloud_says_stays_in_the_record() {
    let world = world();
    let give = assume(&world, "").replace(ROLE, "arn:aws:iam::123456789012:role/unknown");
    let loaded = world.grant(WORKLOAD, &give).unwrap();
    let order = granted(&world, &loaded, json!({})).await;
    let error = loaded.policy.give(&order).await.unwrap_err();
    assert!(
        matches!(&error, GiveError::Upstream(text) if text.contains("AccessDenied")),
        "{error:?}"
    );

    let loaded = world.grant(WORKLOAD, &assume(&world, "")).unwrap();
    let order = granted(&world, &loaded, json!({})).await;
    world.emulator.fault(Fault {
        service: Some(Service::Sts),
        count: 9,
        kind: FaultKind::Status(503),
    });
    let error = loaded.policy.give(&order).await.unwrap_err();
    assert!(matches!(error, GiveError::Unavailable(_)), "{error:?}");
    world.emulator.clear_faults();

    let missing = assume(&world, "").replace("aws-secret", "missing");
    let loaded = world.grant(WORKLOAD, &missing).unwrap();
    assert!(loaded.policy.try_keys().unwrap_err().to_string().contains("missing"));
    let order = granted(&world, &loaded, json!({})).await;
    let error = loaded.policy.give(&order).await.unwrap_err();
    assert!(matches!(error, GiveError::Unavailable(_)), "{error:?}");
}

#[tokio::test]
async fn as_good_as_expired_is_not_given() {
    let world = world();
    let give = format!(
        "{}authority = '{}'",
        GIVE.replace("file:", &format!("file:{}/", world.folder.path().display())),
        world.emulator.url()
    );
    let loaded = world.grant(WORKLOAD, &give).unwrap();
    let granted = granted(&world, &loaded, json!({})).await;
    world.emulator.fault(Fault {
        service: Some(Service::Entra),
        count: 9,
        kind: FaultKind::Expired,
    });
    assert!(loaded.policy.give(&granted).await.is_err());
    world.emulator.clear_faults();
    loaded.policy.give(&granted).await.unwrap();
}
