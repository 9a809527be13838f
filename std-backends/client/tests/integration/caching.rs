//! The file cache, shared by clients as by processes.

use cloudauth_client::{AwsKeys, Client, Config, Credential, FileCache};
use cloudauth_emulator::Service;

use crate::world::{LIVE, World};

fn cached(world: &World) -> Client {
    world.client().with_file_cache(FileCache::at(&world.path("cache")).unwrap())
}

#[tokio::test]
async fn two_clients_make_one_request() {
    let world = World::new();
    for (profile, service) in LIVE {
        let (first, second) = (cached(&world), cached(&world));
        let before = world.count(*service);
        let one = world.provider(&first, profile).credential().await.unwrap();
        let two = world.provider(&second, profile).credential().await.unwrap();
        assert_eq!(one, two, "{profile}");
        assert_eq!(world.count(*service), before + 1, "{profile}");
        // A third that the service refused: what the file holds is not taken again.
        let third = world.provider(&cached(&world), profile);
        third.invalidate();
        third.credential().await.unwrap();
        assert_eq!(world.count(*service), before + 2, "{profile}");
    }
}

/// At the same moment, too: one fetches, the others wait for it.
#[tokio::test(flavor = "multi_thread")]
async fn clients_that_come_together_make_one_request() {
    let world = World::new();
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let provider = world.provider(&cached(&world), "anywhere-rsa");
            tokio::spawn(async move { provider.aws_keys().await.unwrap() })
        })
        .collect();
    let mut keys: Vec<AwsKeys> = Vec::new();
    for task in tasks {
        keys.push(task.await.unwrap());
    }
    assert!(keys.iter().all(|key| key == &keys[0]));
    assert_eq!(world.count(Service::RolesAnywhere), 1);
}

/// Whether what the cache holds is passed over when `profile`'s text is changed.
async fn asks_again(world: &World, profile: &str, change: &dyn Fn(&str) -> String) -> bool {
    let text = world.toml();
    let start = text.find(&format!("[profiles.{profile}]")).unwrap();
    let end = text[start + 1..].find("\n[").map_or(text.len(), |at| start + 1 + at);
    let changed = change(&text[start..end]);
    assert_ne!(changed, text[start..end], "{profile}: the change changes nothing");
    let text = format!("{}{changed}{}", &text[..start], &text[end..]);
    let config = Config::parse(&text, &world.path(""), "c").unwrap();
    let before = world.emulator.requests().len();
    let result = config.provider(&cached(world), profile).unwrap().credential().await;
    // The service may well refuse, or the request not make sense: it is not the old credential, then.
    result.is_err() || world.emulator.requests().len() > before
}

/// Whatever decides which credential comes out is in the key.
#[tokio::test]
async fn every_field_makes_another_key() {
    let world = World::new();
    world.write("policy.json", r#"{"Version":"2012-10-17"}"#);
    world.issue("other", &rcgen::PKCS_RSA_SHA256);
    let replaced = |from: &'static str, to: &'static str| {
        Box::new(move |text: &str| text.replace(from, to)) as Box<dyn Fn(&str) -> String>
    };
    let with = |line: &'static str| {
        Box::new(move |text: &str| format!("{text}{line}\n")) as Box<dyn Fn(&str) -> String>
    };
    let anywhere = vec![
        replaced("'rsa.pem'", "'other.pem'"),
        replaced("trust-anchor/a", "trust-anchor/b"),
        replaced("profile/p", "profile/q"),
        replaced("role/machine", "role/deploy"),
        with("intermediates = 'other.pem'"),
        with("region = 'eu-west-2'"),
        with("duration = 1800"),
        with("session-name = 'n'"),
        with("instance-properties = [['a', 'b']]"),
        with("certificate-in-body = true"),
        replaced("https://127.0.0.1", "https://localhost"),
    ];
    let role = vec![
        replaced("AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLF"),
        replaced("role/machine", "role/deploy"),
        replaced("machine-7", "machine-8"),
        replaced("eu-west-1", "eu-west-2"),
        with("duration = 1800"),
        with("policy = 'policy.json'"),
        with("policy-arns = ['arn:aws:iam::aws:policy/ReadOnlyAccess']"),
        with("external-id = 'x'"),
        with("tags = [['a', 'b']]"),
        with("tags = [['a', 'c']]"),
        with("tags = [['a', 'b']]\ntransitive-tag-keys = ['a']"),
        with("source-identity = 'me'"),
        with("serial-number = 'arn:aws:iam::123456789012:mfa/u'"),
        replaced("https://127.0.0.1", "https://localhost"),
    ];
    let azure = vec![
        replaced("contoso.example", "other.example"),
        replaced("9b6d7a52", "9b6d7a53"),
        replaced("vault.azure.net", "storage.azure.com"),
        with("claims = '{}'"),
        with("algorithm = 'RS256'"),
        with("thumbprint = 'sha1'"),
        with("send-chain = true"),
        replaced("'rsa.pem'", "'other.pem'"),
        replaced("https://127.0.0.1", "https://localhost"),
    ];
    let oauth = vec![
        replaced("robot@", "other@"),
        replaced("'k2'", "'k3'"),
        with("scopes = ['https://www.googleapis.com/auth/devstorage.read_only']"),
        with("subject = 'user@example.com'"),
        with("lifetime = 600"),
        replaced("rsa.key", "other.key"),
    ];
    let federated = vec![
        replaced("providers/q", "providers/r"),
        replaced("'workload'", "'other'"),
        replaced("issuer.example", "other.example"),
        replaced("'k1'", "'k3'"),
        with("scopes = ['a']"),
        with("audience = 'https://a'"),
        with("lifetime = 601"),
        with("user-project = 'p'"),
        replaced("issuer.key", "p256.key"),
    ];
    let impersonated = vec![
        replaced("other@", "robot@"),
        with("scopes = ['https://www.googleapis.com/auth/devstorage.read_only']"),
        with("lifetime = 600"),
        with("id-token-audience = 'https://a.example'"),
        with("delegates = ['robot@project.iam.gserviceaccount.com']"),
        // Whose right to impersonate it is.
        replaced("gcp-federated-key", "gcp-federated-file"),
    ];
    for (profile, changes) in [
        ("anywhere-rsa", anywhere),
        ("assume-role", role),
        ("azure-certificate", azure),
        ("gcp-oauth", oauth),
        ("gcp-federated-key", federated),
        ("gcp-impersonated", impersonated),
    ] {
        // The base of the last one as well, so that it is not what is asked for.
        for profile in [profile, "gcp-federated-file"] {
            world.provider(&cached(&world), profile).credential().await.unwrap();
        }
        let unchanged = |text: &str| format!("{text}# a comment\n");
        assert!(!asks_again(&world, profile, &unchanged).await, "{profile}");
        for (n, change) in changes.iter().enumerate() {
            assert!(asks_again(&world, profile, change).await, "{profile}: change {n}");
        }
    }
}

/// Two who impersonate one account do not get each other's token, though their profiles read the same.
#[tokio::test]
async fn the_base_of_an_impersonation_counts() {
    let world = World::new();
    let text = world.toml();
    let client = cached(&world);
    let config = Config::parse(&text, &world.path(""), "c").unwrap();
    let base = |name: &str| config.provider(&client, name).unwrap();
    let source = cloudauth_client::GcpImpersonated {
        email: crate::world::OTHER.into(),
        endpoint_url: Some(world.emulator.url()),
        ..cloudauth_client::GcpImpersonated::default()
    };
    let of = |name: &str| client.chained(source.clone(), Some(base(name)));
    let first = of("gcp-federated-key").credential().await.unwrap();
    assert!(matches!(&*first, Credential::Bearer(_)));
    assert_eq!(of("gcp-federated-key").credential().await.unwrap(), first);
    assert_ne!(of("gcp-federated-file").credential().await.unwrap(), first);
    assert_eq!(world.count(Service::GoogleIam), 2);
}
