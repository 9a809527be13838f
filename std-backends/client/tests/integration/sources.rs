//! Every kind of source gets a credential that the services take.

use std::sync::Arc;

use cloudauth_client::{CallerIdentity, Credential, Source};
use cloudauth_emulator::{Fault, FaultKind, Service};

use crate::world::{DEPLOY, LIVE, ROBOT, ROLE, World};

/// Whether two profiles together cover every kind is seen here: a new kind without a profile fails.
#[test]
fn every_kind_has_a_profile() {
    let config = World::new().config();
    let mut kinds: Vec<_> = config.profiles.values().map(Source::kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let all = [
        "aws-assume-role",
        "aws-roles-anywhere",
        "aws-session-token",
        "aws-web-identity",
        "azure-token",
        "gcp-federated",
        "gcp-id-token",
        "gcp-impersonated",
        "gcp-oauth",
        "gcp-token",
    ];
    assert_eq!(kinds, all);
}

#[tokio::test]
async fn every_source() {
    let world = World::new();
    for (profile, service) in LIVE {
        let client = world.client();
        let provider = world.provider(&client, profile);
        let before = world.count(*service);
        let credential = provider.credential().await.unwrap_or_else(|e| panic!("{profile}: {e}"));
        assert_eq!(world.count(*service), before + 1, "{profile}");
        let left = credential.expiration().as_secs() - client.attempt().unwrap().time().as_secs();
        assert!((600..=43_200).contains(&left), "{profile}: {left} s");
        // The same again, without a request; and a handle of the other kind is refused.
        assert!(Arc::ptr_eq(&credential, &provider.credential().await.unwrap()), "{profile}");
        assert_eq!(world.count(*service), before + 1, "{profile}");
        let aws = provider.aws_keys().await;
        let bearer = provider.bearer_token().await;
        match &*credential {
            Credential::Aws(keys) => {
                assert_eq!(&aws.unwrap(), keys);
                let error = bearer.unwrap_err().to_string();
                assert!(error.contains("AWS credentials, not a token"), "{error}");
                let secret: &str = &keys.secret_access_key;
                assert!(!format!("{credential:?}{provider:?}").contains(secret));
            }
            Credential::Bearer(token) => {
                assert_eq!(&bearer.unwrap(), token);
                let error = aws.unwrap_err().to_string();
                assert!(error.contains("a token, not AWS credentials"), "{error}");
                let secret: &str = &token.token;
                assert!(!format!("{credential:?}{provider:?}").contains(secret));
            }
            other => panic!("{profile}: {other:?}"),
        }
        let record = world.emulator.requests().pop().unwrap();
        assert_eq!((record.service, record.status / 100), (*service, 2), "{profile}");
        let agent = &record.headers["user-agent"];
        assert!(agent.starts_with("libcloudauth/"), "{profile}: {agent}");
    }
}

/// STS itself says whose credentials these are.
#[tokio::test]
async fn credentials_of_aws_are_those_of_the_role() {
    let world = World::new();
    let client = world.client();
    let call = CallerIdentity {
        region: Some("eu-west-1".into()),
        endpoint_url: Some(world.emulator.url()),
        ..CallerIdentity::default()
    };
    for (profile, principal) in [
        ("anywhere-rsa", ROLE),
        ("assume-role", ROLE),
        ("assume-role-chained", DEPLOY),
        ("session-token", "arn:aws:iam::123456789012:user/tester"),
        ("web-identity", ROLE),
    ] {
        let provider = world.provider(&client, profile);
        let identity = client.caller_identity(&call, Some(&provider)).await.unwrap();
        let expected = principal.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/");
        let expected = if profile == "session-token" { principal } else { &expected };
        assert!(identity.arn.starts_with(expected), "{profile}: {}", identity.arn);
        assert_eq!(identity.account, "123456789012");
    }
}

/// It is made here: no service has a request, and it is made anew when it is forgotten.
#[tokio::test]
async fn self_signed_tokens_need_no_network() {
    let world = World::new();
    let client = world.client();
    let provider = world.provider(&client, "gcp-token");
    let token = provider.bearer_token().await.unwrap();
    assert_eq!(token.token.split('.').count(), 3);
    assert!(provider.aws_keys().await.is_err());
    provider.invalidate();
    assert!(provider.bearer_token().await.is_ok());
    assert!(world.emulator.requests().is_empty());
    let Source::GcpToken(source) = provider.source() else { panic!("{provider:?}") };
    assert_eq!(source.email.as_deref(), Some(ROBOT));
}

/// What stands in files is read for each call; a key is opened again when its file has changed.
#[tokio::test]
async fn replaced_files_are_picked_up() {
    let world = World::new();
    let client = world.client();
    let provider = world.provider(&client, "anywhere-p256");
    let certificate = || {
        let record = world.emulator.requests().pop().unwrap();
        record.headers["x-amz-x509"].clone()
    };
    provider.credential().await.unwrap();
    let first = certificate();
    world.issue("p256", &rcgen::PKCS_ECDSA_P256_SHA256);
    provider.invalidate();
    provider.credential().await.unwrap();
    assert_ne!(certificate(), first);

    // A key that does not belong to the certificate is told as such, before anything is sent.
    let before = world.emulator.requests().len();
    let other = std::fs::read_to_string(world.path("issuer.key")).unwrap();
    world.write("p256.key", &other);
    provider.invalidate();
    let error = provider.credential().await.unwrap_err().to_string();
    assert!(error.contains("certificate"), "{error}");
    assert_eq!(world.emulator.requests().len(), before, "{error}");

    // And a file that is gone.
    std::fs::remove_file(world.path("p256.pem")).unwrap();
    let error = provider.credential().await.unwrap_err().to_string();
    assert!(error.contains("p256.pem") && error.contains("read"), "{error}");
    world.issue("p256", &rcgen::PKCS_ECDSA_P256_SHA256);
    provider.credential().await.unwrap();
}

/// A base credential that STS does not know any more is renewed, once.
#[tokio::test]
async fn a_refused_base_is_renewed_once() {
    let world = World::new();
    let client = world.client();
    let provider = world.provider(&client, "assume-role-chained");
    provider.credential().await.unwrap();
    let anywhere = || world.count(Service::RolesAnywhere);
    let (bases, calls) = (anywhere(), world.count(Service::Sts));
    assert_eq!((bases, calls), (1, 1));

    // STS refuses the caller once: a new base, and the call again.
    let refusal =
        |count| Fault { service: Some(Service::Sts), count, kind: FaultKind::Status(401) };
    provider.invalidate();
    world.emulator.fault(refusal(1));
    provider.credential().await.unwrap();
    assert_eq!((anywhere(), world.count(Service::Sts)), (bases + 1, calls + 2));

    // It refuses the new one too: that is told, and not tried for ever.
    provider.invalidate();
    world.emulator.fault(refusal(99));
    let error = provider.credential().await.unwrap_err().to_string();
    assert!(error.contains("401"), "{error}");
    assert_eq!((anywhere(), world.count(Service::Sts)), (bases + 2, calls + 4));
    world.emulator.clear_faults();

    // A refusal of the call, not of the caller, costs no new base.
    world.emulator.fault(Fault {
        service: Some(Service::Sts),
        count: 1,
        kind: FaultKind::Status(403),
    });
    assert!(provider.credential().await.is_err());
    assert_eq!((anywhere(), world.count(Service::Sts)), (bases + 2, calls + 5));
    provider.credential().await.unwrap();
}
