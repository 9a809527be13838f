//! Grants that give secrets: the emulator's vault, files, leases, and everything that a vault can say no with.

use std::process::Command;

use base64::Engine as _;
use cloudauth_client::Secrets;
use cloudauth_core::x509::Certificate;
use cloudauth_emulator::{Fault, FaultKind, Service};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PublicKeyData as _,
};
use serde_json::{Value, json};

use super::world::*;
use crate::decision::{GiveError, Given};

const TENANT: &str = "11111111-2222-3333-4444-555555555555";
const CLIENT: &str = "66666666-7777-8888-9999-000000000000";
const SECRET: &str = "gruene Gurke 🥒";

fn world() -> World {
    let world = World::new();
    write(world.folder.path(), "azure-secret", "demo-secret");
    vault(&world, json!([{"name": "sample-secret", "value": SECRET}]), json!([]));
    world
}

/// Adds to the vault, which only this client may read.
fn vault(world: &World, secrets: Value, certificates: Value) {
    readers(world, json!([CLIENT]), secrets, certificates);
}

fn readers(world: &World, readers: Value, secrets: Value, certificates: Value) {
    let known = json!({"vaults": [{"name": "contoso", "tenant": TENANT, "readers": readers,
        "secrets": secrets, "certificates": certificates}]});
    world.emulator.register(serde_json::from_value(known).unwrap()).unwrap();
}

fn give(world: &World, secrets: &str) -> String {
    let url = world.emulator.url();
    format!(
        "kind = 'secrets'\nvault = 'https://contoso.vault.azure.net'\nvault-endpoint-url = '{url}'\n\
         tenant = '{TENANT}'\nclient-id = '{CLIENT}'\nclient-secret = 'file:{}/azure-secret'\n\
         authority = '{url}'\n[grants.g.give.secrets]\n{secrets}\n",
        world.folder.path().display()
    )
}

async fn given(world: &World, give: &str) -> Result<Secrets, GiveError> {
    let loaded = world.grant(WORKLOAD, give).unwrap();
    again(world, &loaded).await
}

async fn again(world: &World, loaded: &Loaded) -> Result<Secrets, GiveError> {
    let granted = loaded.decide(&world.token(json!({}))).await.verdict.unwrap();
    match loaded.policy.give(&granted).await? {
        Given::Secrets(secrets, versions) => {
            assert!(versions.keys().eq(secrets.bundle.keys()), "{versions:?}");
            Ok(secrets)
        }
        other => panic!("{other:?}"),
    }
}

fn text<'a>(secrets: &'a Secrets, name: &str, field: &str) -> &'a str {
    std::str::from_utf8(&secrets.bundle[name][field]).unwrap()
}

fn left(secrets: &Secrets) -> u64 {
    secrets.expiration.as_secs() - now().as_secs()
}

/// The cloud's no, with all of these in it.
#[track_caller]
fn upstream(result: Result<Secrets, GiveError>, parts: &[&str]) {
    match result {
        Err(GiveError::Upstream(why)) => {
            assert!(parts.iter().all(|part| why.contains(part)), "{why}");
            assert!(!why.contains(SECRET), "{why}");
        }
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn unavailable(result: Result<Secrets, GiveError>, parts: &[&str]) {
    match result {
        Err(GiveError::Unavailable(why)) => {
            assert!(parts.iter().all(|part| why.contains(part)), "{why}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn of_a_vault_and_of_files() {
    let world = world();
    std::fs::write(world.folder.path().join("banner"), b"a\0\xffb").unwrap();
    std::fs::write(world.folder.path().join("empty"), b"").unwrap();
    let give = give(
        &world,
        "api-key = { secret = 'sample-secret' }\nbanner = { file = 'banner' }\n\
         'no.thing_1' = { file = 'empty' }",
    );
    let loaded = world.grant(WORKLOAD, &give).unwrap();
    loaded.policy.try_keys().unwrap();
    let secrets = again(&world, &loaded).await.unwrap();
    assert_eq!(secrets.bundle.len(), 3);
    assert_eq!(text(&secrets, "api-key", "value"), SECRET);
    assert_eq!(*secrets.bundle["banner"]["value"], b"a\0\xffb");
    assert!(secrets.bundle["no.thing_1"]["value"].is_empty());
    assert!((3598..=3600).contains(&left(&secrets)), "{}", left(&secrets));
    // What was changed is given anew, and one token serves.
    vault(&world, json!([{"name": "sample-secret", "value": "rotated"}]), json!([]));
    std::fs::write(world.folder.path().join("banner"), b"new").unwrap();
    let secrets = again(&world, &loaded).await.unwrap();
    assert_eq!(text(&secrets, "api-key", "value"), "rotated");
    assert_eq!(text(&secrets, "banner", "value"), "new");
    let asked = world.emulator.requests().iter().filter(|r| r.service == Service::Entra).count();
    assert_eq!(asked, 1);
}

#[tokio::test]
async fn files_alone_need_no_vault() {
    let world = world();
    write(world.folder.path(), "banner", "b");
    let give = "kind = 'secrets'\nlease = 60\n[grants.g.give.secrets]\nx = { file = 'banner' }";
    let secrets = given(&world, give).await.unwrap();
    assert!((58..=60).contains(&left(&secrets)));
    assert!(world.emulator.requests().iter().all(|r| r.service != Service::KeyVault));
}

#[cfg(unix)]
#[tokio::test]
async fn files_that_are_not_given() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = world();
    let path = world.folder.path().join("banner");
    let give = "kind = 'secrets'\n[grants.g.give.secrets]\nx = { file = 'banner' }";
    let loaded = world.grant(WORKLOAD, give).unwrap();
    unavailable(again(&world, &loaded).await, &["x: ", "banner"]);
    assert!(loaded.policy.try_keys().is_err());
    std::fs::write(&path, vec![b'a'; 512 * 1024]).unwrap();
    loaded.policy.try_keys().unwrap();
    again(&world, &loaded).await.unwrap();
    std::fs::write(&path, vec![b'a'; 512 * 1024 + 1]).unwrap();
    upstream(again(&world, &loaded).await, &["x: ", "larger"]);
    std::fs::write(&path, "b").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o622)).unwrap();
    upstream(again(&world, &loaded).await, &["x: ", "others can change it"]);
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    upstream(again(&world, &loaded).await, &["x: ", "no file"]);
    std::fs::remove_dir(&path).unwrap();
    // Nobody writes into it, and nobody waits for that.
    let made = Command::new("mkfifo").args(["-m", "600"]).arg(&path).status();
    assert!(made.expect("the mkfifo program").success());
    let waits = std::time::Duration::from_secs(20);
    let answer = tokio::time::timeout(waits, again(&world, &loaded)).await;
    if answer.is_err() {
        // Lets the thread go, which the end of the test would wait for.
        drop(std::fs::OpenOptions::new().write(true).open(&path));
    }
    upstream(answer.expect("an answer"), &["x: ", "no file"]);
    std::fs::remove_file(&path).unwrap();
    // Each is small enough, and all together are not.
    std::fs::write(&path, vec![b'a'; 400 * 1024]).unwrap();
    let three = format!("{give}\ny = {{ file = 'banner' }}");
    upstream(given(&world, &three).await, &["1 MiB"]);
}

#[tokio::test]
async fn a_lease_ends_with_what_is_in_it() {
    let world = world();
    let start = i64::try_from(now().as_secs()).unwrap();
    let secret = |name: &str, more: Value| {
        let mut secret = json!({"name": name, "value": SECRET});
        secret.as_object_mut().unwrap().append(&mut object(more));
        secret
    };
    vault(
        &world,
        json!([
            secret("disabled", json!({"enabled": false})),
            secret("expired", json!({"expires": start - 1})),
            secret("soon", json!({"expires": start + 600})),
            secret("now", json!({"expires": start + 5})),
            secret("early", json!({"not_before": start + 600})),
            secret("late", json!({"not_before": start - 600, "expires": start + 100_000})),
        ]),
        json!([]),
    );
    let one = async |name: &str| {
        given(&world, &give(&world, &format!("x = {{ secret = '{name}' }}"))).await
    };
    assert!((598..=600).contains(&left(&one("soon").await.unwrap())));
    assert!((3598..=3600).contains(&left(&one("late").await.unwrap())));
    upstream(one("disabled").await, &["x: ", "403 SecretDisabled"]);
    upstream(one("expired").await, &["x: ", "ended at"]);
    upstream(one("early").await, &["x: ", "not valid before"]);
    upstream(one("now").await, &["ends within 10 seconds"]);
    upstream(one("missing").await, &["x: ", "404 SecretNotFound"]);
    // One that fails spoils all; the record says which.
    let give = give(
        &world,
        "a = { secret = 'soon' }\nb = { secret = 'missing' }\nc = { secret = 'disabled' }",
    );
    upstream(given(&world, &give).await, &["b: the vault answered 404", "; c: the vault"]);
}

#[tokio::test]
async fn versions() {
    let world = world();
    let loaded = world.grant(WORKLOAD, &give(&world, "x = { secret = 'sample-secret' }")).unwrap();
    let granted = loaded.decide(&world.token(json!({}))).await.verdict.unwrap();
    let Given::Secrets(_, versions) = loaded.policy.give(&granted).await.unwrap() else { panic!() };
    let version = &versions["x"];
    assert_eq!(version.len(), 32, "{version}");
    vault(&world, json!([{"name": "sample-secret", "value": "rotated"}]), json!([]));
    let fixed = format!("x = {{ secret = 'sample-secret', version = '{version}' }}");
    let secrets = given(&world, &give(&world, &fixed)).await.unwrap();
    assert_eq!(text(&secrets, "x", "value"), SECRET);
    let other = fixed.replace(version.as_str(), &"0".repeat(32));
    upstream(given(&world, &give(&world, &other)).await, &["x: ", "404"]);
}

#[tokio::test]
async fn a_vault_that_denies_throttles_or_is_down() {
    let world = world();
    let give = give(&world, "x = { secret = 'sample-secret' }");
    let loaded = world.grant(WORKLOAD, &give).unwrap();
    let fault = |service, count, kind| {
        world.emulator.fault(Fault { service: Some(service), count, kind });
    };
    again(&world, &loaded).await.unwrap();
    // For a moment.
    fault(Service::KeyVault, 1, FaultKind::Throttle(None));
    again(&world, &loaded).await.unwrap();
    fault(Service::KeyVault, 1, FaultKind::Reset);
    again(&world, &loaded).await.unwrap();
    // For longer.
    for kind in [FaultKind::Throttle(Some(0)), FaultKind::Status(503), FaultKind::Reset] {
        fault(Service::KeyVault, 99, kind);
        unavailable(again(&world, &loaded).await, &["x: "]);
        world.emulator.clear_faults();
        again(&world, &loaded).await.unwrap();
    }
    fault(Service::KeyVault, 99, FaultKind::Html(200));
    assert!(again(&world, &loaded).await.is_err());
    world.emulator.clear_faults();
    // A token that is refused is forgotten, and another one asked for.
    let tokens =
        || world.emulator.requests().iter().filter(|r| r.service == Service::Entra).count();
    let before = tokens();
    fault(Service::KeyVault, 1, FaultKind::Status(401));
    again(&world, &loaded).await.unwrap();
    assert_eq!(tokens(), before + 1);
    fault(Service::KeyVault, 99, FaultKind::Status(401));
    upstream(again(&world, &loaded).await, &["x: the vault answered 401"]);
    world.emulator.clear_faults();
    readers(&world, json!(["other"]), json!([]), json!([]));
    upstream(again(&world, &loaded).await, &["x: the vault answered 403 Forbidden"]);
    readers(&world, json!([CLIENT]), json!([]), json!([]));
    again(&world, &loaded).await.unwrap();
    // Without a token.
    let loaded = world.grant(WORKLOAD, &give).unwrap();
    fault(Service::Entra, 99, FaultKind::Status(503));
    unavailable(again(&world, &loaded).await, &["x: "]);
    world.emulator.clear_faults();
    let wrong = give.replace("azure-secret", "wrong-secret");
    write(world.folder.path(), "wrong-secret", "wrong");
    upstream(given(&world, &wrong).await, &["x: ", "invalid_client"]);
}

#[tokio::test]
async fn a_vault_of_another_tenant_says_which() {
    let world = world();
    let known = json!({"vaults": [{"name": "fabrikam", "tenant": "00000000-0000-0000-0000-000000000009",
        "readers": [CLIENT], "secrets": [{"name": "s", "value": "v"}], "certificates": []}]});
    world.emulator.register(serde_json::from_value(known).unwrap()).unwrap();
    let give = give(&world, "x = { secret = 's', vault = 'https://fabrikam.vault.azure.net/' }");
    let parts =
        ["x: the vault answered 401", "of tenant 00000000-0000-0000-0000-000000000009 for "];
    upstream(given(&world, &give).await, &parts);
}

#[tokio::test]
async fn tokens_of_a_profile() {
    let world = world();
    let url = world.emulator.url();
    let profile = |scope: &str| {
        format!(
            "kind = 'secrets'\nvault = 'https://contoso.vault.azure.net'\nvault-endpoint-url = '{url}'\n\
             profile = 'entra'\n[grants.g.give.secrets]\nx = {{ secret = 'sample-secret' }}\n\
             [profiles.entra]\nkind = 'azure-token'\ntenant = '{TENANT}'\nclient-id = '{CLIENT}'\n\
             client-secret = 'file:{}/azure-secret'\nauthority = '{url}'\nscopes = ['{scope}']",
            world.folder.path().display()
        )
    };
    let good = profile("https://vault.azure.net/.default");
    assert_eq!(text(&given(&world, &good).await.unwrap(), "x", "value"), SECRET);
    for (bad, place) in [
        (profile("https://storage.azure.com/.default"), "give: profile"),
        (profile("https://vault.azure.cn/.default"), "give: profile"),
        (good.replace("profile = 'entra'", "profile = 'nobody'"), "give: profile"),
        (good.replace("profile = 'entra'", "profile = 'entra'\ntenant = 't'"), "give: tenant"),
    ] {
        let error = world.grant(WORKLOAD, &bad).err().unwrap().to_string();
        assert!(error.contains(place), "{bad}: {error}");
    }
}

/// An authority of two stages, and a leaf below it that is good for so many seconds.
fn chain(life: i64) -> (String, KeyPair, [Vec<u8>; 3]) {
    let authority = |name: &str| {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        params
    };
    let (root_key, middle_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let root = authority("root").self_signed(&root_key).unwrap();
    let root_issuer = Issuer::new(authority("root"), root_key);
    let middle = authority("middle").signed_by(&middle_key, &root_issuer).unwrap();
    let mut leaf = CertificateParams::new(vec!["flask.example".to_owned()]).unwrap();
    leaf.distinguished_name.push(DnType::CommonName, "flask");
    let start = now().as_secs();
    let days =
        |seconds: u64| rcgen::date_time_ymd(1970, 1, 1) + std::time::Duration::from_secs(seconds);
    leaf.not_before = days(start.saturating_add_signed(life.min(0)).saturating_sub(1000));
    leaf.not_after = days(start.saturating_add_signed(life));
    let key = KeyPair::generate().unwrap();
    let leaf = leaf.signed_by(&key, &Issuer::new(authority("middle"), middle_key)).unwrap();
    // As no server would send them.
    let text = key.serialize_pem() + &root.pem() + &leaf.pem() + &middle.pem();
    (text, key, [leaf.der().to_vec(), middle.der().to_vec(), root.der().to_vec()])
}

/// What a certificate must come out as, whatever form it had.
#[track_caller]
fn is_pair(secrets: &Secrets, key: &KeyPair, ders: &[Vec<u8>]) {
    let crt = cloudauth_keys::pem::certificates(&secrets.bundle["tls"]["crt"]).unwrap();
    let chain =
        cloudauth_keys::pem::certificates(&secrets.bundle["tls"]["chain"]).unwrap_or_default();
    assert_eq!([crt, chain].concat(), ders);
    let der = cloudauth_keys::pem::private_key(&secrets.bundle["tls"]["key"]).unwrap();
    let read = KeyPair::try_from(&**der).unwrap();
    assert_eq!(read.subject_public_key_info(), key.subject_public_key_info());
    assert!(text(secrets, "tls", "key").starts_with("-----BEGIN PRIVATE KEY-----\n"));
}

/// PKCS#12 without a password, by OpenSSL.
fn pkcs12(pem: &str, options: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "all.pem", pem);
    // It takes the first certificate for the key's.
    let line = format!("pkcs12 -export -in all.pem -passout pass: -out all.p12 {options}");
    let mut command = Command::new("openssl");
    let done = command.args(line.split_whitespace()).current_dir(folder.path()).output();
    let done = done.expect("the openssl program");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let octets = std::fs::read(folder.path().join("all.p12")).unwrap();
    base64::engine::general_purpose::STANDARD.encode(octets)
}

#[tokio::test]
async fn certificates_with_their_keys() {
    let world = world();
    let give = give(&world, "tls = { certificate = 'flask' }");
    let loaded = world.grant(WORKLOAD, &give).unwrap();
    let (pem, key, ders) = chain(600);
    let cert = |pem: &str, pkcs12: Option<String>| {
        vault(&world, json!([]), json!([{"name": "flask", "pem": pem, "pkcs12": pkcs12}]));
    };
    cert(&pem, None);
    let secrets = again(&world, &loaded).await.unwrap();
    is_pair(&secrets, &key, &ders);
    let life = left(&secrets);
    assert!((590..=600).contains(&life), "the lease ends with the certificate: {life}");
    for options in [
        "",
        "-keypbe NONE -certpbe NONE",
        "-nomac",
        "-keypbe PBE-SHA1-3DES -certpbe PBE-SHA1-3DES -macalg sha1",
        "-name flask -iter 100000",
    ] {
        cert(&pem, Some(pkcs12(&pem, options)));
        let secrets = again(&world, &loaded).await.unwrap_or_else(|e| panic!("{options}: {e:?}"));
        is_pair(&secrets, &key, &ders);
    }
    // One that nobody issued.
    let lone_key = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let lone =
        CertificateParams::new(vec!["x".to_owned()]).unwrap().self_signed(&lone_key).unwrap();
    let lone_pem = lone.pem() + &lone_key.serialize_pem();
    for form in [None, Some(pkcs12(&lone_pem, ""))] {
        cert(&lone_pem, form);
        let secrets = again(&world, &loaded).await.unwrap();
        is_pair(&secrets, &lone_key, &[lone.der().to_vec()]);
        assert!(secrets.bundle["tls"]["chain"].is_empty());
        assert!(Certificate::parse(lone.der()).unwrap().not_after() > secrets.expiration);
    }
}

#[tokio::test]
async fn certificates_that_are_not_given() {
    let world = world();
    let give = give(&world, "tls = { certificate = 'flask' }");
    let loaded = world.grant(WORKLOAD, &give).unwrap();
    let (pem, key, _) = chain(600);
    let cert = |pem: &str, pkcs12: Option<&str>| {
        vault(&world, json!([]), json!([{"name": "flask", "pem": pem, "pkcs12": pkcs12}]));
    };
    let other = KeyPair::generate().unwrap();
    let (key, other_key) = (key.serialize_pem(), other.serialize_pem());
    let certificates = pem.replace(&key, "");
    let sec1 = key.replace("PRIVATE KEY", "EC PRIVATE KEY");
    for (text, help) in [
        (certificates.clone(), "BEGIN PRIVATE KEY"),
        (format!("{certificates}{other_key}"), "none of the certificates is of the private key"),
        (format!("{pem}{other_key}"), "more than one"),
        (format!("{certificates}{sec1}"), "PKCS#8"),
        (chain(-10).0, "the certificate ended at"),
        (chain(5).0, "ends within 10 seconds"),
    ] {
        cert(&text, None);
        upstream(again(&world, &loaded).await, &[help]);
    }
    let good = pkcs12(&pem, "");
    let half = good.len() / 8 * 4;
    let (cut, rest) = good.split_at(half);
    let other = if rest.starts_with('A') { "B" } else { "A" };
    let flipped = format!("{cut}{other}{}", rest.split_at(1).1);
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "all.pem", &pem);
    for (text, help) in [
        ("", "PKCS#12"),
        ("!", "no base64"),
        ("AQID", "damaged"),
        (cut, "damaged"),
        (&*flipped, "damaged"),
        (&*pkcs12(&pem, "-nocerts"), "none of the certificates"),
        (&*pkcs12(&certificates, "-nokeys"), "exactly one private key"),
        (&*pkcs12(&pem, "-passout pass:geheim"), "has a password"),
    ] {
        cert(&pem, Some(text));
        upstream(again(&world, &loaded).await, &["tls: ", help]);
    }
    cert(&pem, Some(&good));
    again(&world, &loaded).await.unwrap();
    // A plain secret is no certificate; a certificate's secret is one, as it is.
    vault(&world, json!([{"name": "plain", "value": pem}]), json!([]));
    let plain = give.replace("flask", "plain");
    upstream(given(&world, &plain).await, &["tls: is no certificate"]);
    let raw = give.replace("certificate", "secret");
    assert_eq!(text(&given(&world, &raw).await.unwrap(), "tls", "value"), good);
}

#[test]
fn what_does_not_load() {
    let world = world();
    let good = give(&world, "x = { secret = 'sample-secret' }\ny = { file = 'f' }");
    world.grant(WORKLOAD, &good).unwrap();
    let all = |n: usize| (0..n).map(|i| format!("s{i} = {{ file = 'f' }}\n")).collect::<String>();
    let files = |more: &str, secrets: &str| {
        format!("kind = 'secrets'\n{more}\n[grants.g.give.secrets]\n{secrets}")
    };
    world.grant(WORKLOAD, &files("lease = 10", &all(256))).unwrap();
    world.grant(WORKLOAD, &files("lease = 604800", &all(1))).unwrap();
    let vault = "'https://contoso.vault.azure.net'";
    for (bad, place, help) in [
        (files("lease = 9", &all(1)), "give: lease", "10 to 604800"),
        (files("lease = 604801", &all(1)), "give: lease", "10 to 604800"),
        (files("", &all(257)), "give: secrets", "1 to 256"),
        (files("", ""), "give: secrets", "1 to 256"),
        ("kind = 'secrets'".to_owned(), "give: secrets", "1 to 256"),
        (files(&format!("vault = {vault}"), &all(1)), "give: vault", "there are none"),
        (files("tenant = 't'", &all(1)), "give: tenant", "there are none"),
        (files("unknown = 't'", &all(1)), "give: unknown", "there are none"),
        (files("", "'a b' = { file = 'f' }"), "give: secrets.a b", "expected a name"),
        (files("", "x = { }"), "give: secrets.x", "one of"),
        (files("", "x = { file = 'f', secret = 's' }"), "give: secrets.x", "one of"),
        (files("", "x = { file = 'f', version = '1' }"), "give: secrets.x", "not for a file"),
        (files("", "x = { path = 'f' }"), "give: ", "unknown field"),
        (files("", "x = 'f'"), "give: ", "invalid type"),
        (files("", "x = { secret = 's' }"), "give: secrets.x", "in which vault"),
        (good.replace("sample-secret", "sample_secret"), "give: secrets.x", "hyphens"),
        (good.replace("'sample-secret'", "'s', version = 'a/b'"), "give: secrets.x", "version"),
        (good.replace("client-id", "clientid"), "give: ", "unknown field `clientid`"),
        (good.replace("authority", "scopes = ['s']\nauthority"), "give: scopes", "leave them out"),
        (
            good.replace("vault-endpoint-url = 'https", "vault-endpoint-url = 'ftp"),
            "give: vault-endpoint-url",
            "https",
        ),
    ] {
        let error = world.grant(WORKLOAD, &bad).err().unwrap().to_string();
        assert!(error.contains(&format!("grants.g: {place}")), "{bad}: {error}");
        assert!(error.contains(help), "{bad}: {error}");
    }
    for bad in [
        "http://contoso.vault.azure.net",
        "contoso.vault.azure.net",
        "https://contoso.vault.azure.net/secrets",
        "https://u@contoso.vault.azure.net",
        "https://evil.example",
        "https://vault.azure.net",
        "",
    ] {
        let error = world.grant(WORKLOAD, &good.replace(vault, &format!("'{bad}'"))).err().unwrap();
        assert!(
            error.to_string().contains("secrets.x: vault: expected https://NAME"),
            "{bad}: {error}"
        );
    }
    for cloud in ["vault.azure.cn", "vault.usgovcloudapi.net"] {
        world.grant(WORKLOAD, &good.replace("vault.azure.net", cloud)).unwrap();
    }
}

#[test]
fn older_schemes_carry_no_secrets() {
    let world = world();
    let give = "kind = 'secrets'\n[grants.g.give.secrets]\nx = { file = 'f' }";
    for scheme in ["seed-aws", "seed-azure", "google-codelab"] {
        let listener = format!(
            "{give}\n[[compatibility]]\nlisten = '127.0.0.1:0'\nscheme = '{scheme}'\ngrant = 'g'\n"
        );
        let error = world.grant(WORKLOAD, &listener).err().unwrap().to_string();
        assert!(error.contains("not secrets"), "{error}");
    }
}
