//! Entra ID and Google, with tokens signed by jsonwebtoken.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use cloudauth_emulator::{
    AccountKey, Application, Config, Emulator, Federated, Issuer, Provider, ServiceAccount,
};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{CertificateParams, KeyPair, PublicKeyData as _};
use serde_json::{Value, json};

use crate::client::{Answer, form, now, post_json, send, start};

const TENANT: &str = "contoso.example";
const CLIENT: &str = "client-1";
const ROBOT: &str = "robot@p.iam.gserviceaccount.com";
const OTHER: &str = "other@p.iam.gserviceaccount.com";
const PROVIDER: &str =
    "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q";
const BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

struct Party {
    rsa: KeyPair,
    certificate: Vec<u8>,
    issuer: KeyPair,
}

impl Party {
    fn new() -> Self {
        let rsa = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        let certificate = CertificateParams::default().self_signed(&rsa).unwrap().der().to_vec();
        Self { rsa, certificate, issuer: KeyPair::generate().unwrap() }
    }

    fn config(&self) -> Config {
        let pem = format!(
            "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
            STANDARD.encode(&self.certificate)
        );
        // An uncompressed point: 4, x, y.
        let spki = self.issuer.subject_public_key_info();
        let (x, y) = spki[spki.len() - 64..].split_at(32);
        let jwk = json!({
            "kty": "EC", "crv": "P-256", "kid": "k",
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        });
        let issuers = vec![Issuer {
            url: "https://i.example".into(),
            jwks: json!({"keys": [jwk]}).to_string(),
        }];
        let mut config = Config { issuers, ..Config::default() };
        config.entra.applications = vec![Application {
            tenant: TENANT.into(),
            client_id: CLIENT.into(),
            secrets: vec!["s1".into(), "s2".into()],
            certificates: vec![pem],
            federated: vec![Federated {
                issuer: "https://i.example".into(),
                subject: "w".into(),
                audience: "api://AzureADTokenExchange".into(),
            }],
        }];
        let account = |email: &str, keys, impersonators: &[&str]| ServiceAccount {
            email: email.into(),
            keys,
            impersonators: impersonators.iter().map(|&who| who.into()).collect(),
        };
        let key = AccountKey { id: "k".into(), public_key: self.rsa.public_key_pem() };
        let pool = PROVIDER.split("/providers/").next().unwrap();
        config.google.service_accounts = vec![
            account(ROBOT, vec![key], &[]),
            account(OTHER, vec![], &[ROBOT, &format!("principal:{pool}/subject/w")]),
        ];
        config.google.providers = vec![Provider {
            audience: PROVIDER.into(),
            issuer: "https://i.example".into(),
            allowed_audiences: Vec::new(),
        }];
        config
    }

    fn sign(&self, header: &Header, claims: &Value) -> String {
        let key = match header.alg {
            Algorithm::ES256 => EncodingKey::from_ec_pem(self.issuer.serialize_pem().as_bytes()),
            _ => EncodingKey::from_rsa_pem(self.rsa.serialize_pem().as_bytes()),
        };
        jsonwebtoken::encode(header, claims, &key.unwrap()).unwrap()
    }

    fn issued(&self, change: impl Fn(&mut Value)) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some("k".into());
        let mut claims = json!({"iss": "https://i.example", "sub": "w", "aud": "a", "iat": now(), "exp": now() + 600});
        change(&mut claims);
        self.sign(&header, &claims)
    }
}

fn entra(emulator: &Emulator, credential: &[(&str, &str)]) -> Answer {
    let mut pairs = vec![
        ("grant_type", "client_credentials"),
        ("client_id", CLIENT),
        ("scope", "https://vault.azure.net/.default"),
    ];
    for pair in credential {
        pairs.retain(|(name, _)| *name != pair.0 || *name == "repeat");
        pairs.push(*pair);
    }
    form(emulator, &format!("/{TENANT}/oauth2/v2.0/token"), &pairs)
}

fn number(answer: &Answer) -> u64 {
    answer.json()["error_codes"][0].as_u64().unwrap_or(0)
}

fn assert_entra(emulator: &Emulator, assertion: &str) -> Answer {
    entra(emulator, &[("client_assertion", assertion), ("client_assertion_type", BEARER)])
}

#[test]
fn entra_assertions() {
    let party = Party::new();
    let emulator = start(party.config());
    let serial = std::cell::Cell::new(0);
    let claims = || {
        serial.set(serial.get() + 1);
        json!({
            "aud": format!("{}/{TENANT}/oauth2/v2.0/token", emulator.url()), "iss": CLIENT,
            "sub": CLIENT, "jti": format!("j{}", serial.get()), "nbf": now(), "exp": now() + 600,
        })
    };
    let s256 = digest(&SHA256, &party.certificate);
    let s1 = digest(&SHA1_FOR_LEGACY_USE_ONLY, &party.certificate);
    let header = |algorithm, s256: Option<String>, s1: Option<String>| {
        let mut header = Header::new(algorithm);
        (header.x5t_s256, header.x5t) = (s256, s1);
        header
    };
    // Both thumbprints, both algorithms, every base64 that SDKs write.
    for header in [
        header(Algorithm::PS256, Some(URL_SAFE_NO_PAD.encode(s256)), None),
        header(Algorithm::RS256, Some(URL_SAFE.encode(s256)), None),
        header(Algorithm::PS256, Some(STANDARD.encode(s256)), None),
        header(Algorithm::RS256, None, Some(STANDARD.encode(s1))),
        header(Algorithm::RS256, None, Some(URL_SAFE_NO_PAD.encode(s1))),
    ] {
        let answer = assert_entra(&emulator, &party.sign(&header, &claims()));
        assert_eq!(answer.status, 200, "{header:?}: {}", answer.text());
    }
    let good = header(Algorithm::PS256, Some(URL_SAFE_NO_PAD.encode(s256)), None);
    for header in [
        header(Algorithm::RS512, good.x5t_s256.clone(), None),
        header(Algorithm::PS256, None, None),
        header(Algorithm::PS256, None, Some(URL_SAFE_NO_PAD.encode(s256))),
        header(Algorithm::PS256, Some(URL_SAFE_NO_PAD.encode(s1)), None),
        header(Algorithm::PS256, Some("!".into()), None),
    ] {
        let answer = assert_entra(&emulator, &party.sign(&header, &claims()));
        assert_eq!((answer.status, number(&answer)), (401, 700_027), "{header:?}");
    }
    let with = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        assert_entra(&emulator, &party.sign(&good, &claims))
    };
    for (name, value, expected) in [
        ("aud", json!("https://login.microsoftonline.com/contoso.example/oauth2/v2.0/token"), 0),
        (
            "aud",
            json!("https://login.microsoftonline.com/other.example/oauth2/v2.0/token"),
            700_023,
        ),
        ("aud", json!(["a", "b"]), 700_023),
        ("sub", json!("other"), 700_021),
        ("iss", json!("other"), 700_211),
        ("exp", json!(now() - 400), 700_024),
        ("exp", json!(now() + 100_000), 700_024),
        ("exp", Value::Null, 50_027),
        ("nbf", json!(now() + 400), 700_024),
        ("nbf", json!(now() + 200), 0),
        ("jti", Value::Null, 50_027),
        ("jti", json!("once"), 0),
        ("jti", json!("once"), 50_013),
    ] {
        let answer = with(name, value.clone());
        let found = if answer.status == 200 { 0 } else { number(&answer) };
        assert_eq!(found, expected, "{name} {value}: {}", answer.text());
    }
    let changed = party.sign(&good, &claims());
    let (rest, signature) = changed.rsplit_once('.').unwrap();
    let other = if signature.starts_with('A') { "B" } else { "A" };
    let changed = format!("{rest}.{other}{}", &signature[1..]);
    assert_eq!(number(&assert_entra(&emulator, &changed)), 700_027);
    assert_eq!(number(&assert_entra(&emulator, "a.b.c")), 50_027);
}

#[test]
fn entra_requests() {
    let party = Party::new();
    let emulator = start(party.config());
    for secret in ["s1", "s2"] {
        let answer = entra(&emulator, &[("client_secret", secret)]);
        assert_eq!((answer.status, &answer.json()["expires_in"]), (200, &json!(3599)));
    }
    for (pair, expected) in [
        (("client_secret", "s3"), 7_000_215),
        (("client_secret", ""), 7_000_218),
        (("client_id", "nobody"), 700_016),
        (("client_id", ""), 900_144),
        (("grant_type", "password"), 70_003),
        (("grant_type", ""), 900_144),
    ] {
        assert_eq!(number(&entra(&emulator, &[pair])), expected, "{pair:?}");
    }
    for scope in ["https://vault.azure.net/x", "a/.default b/.default", "/.default"] {
        let answer = entra(&emulator, &[("client_secret", "s1"), ("scope", scope)]);
        assert_eq!(number(&answer), 1_002_012, "{scope}");
    }
    let twice = format!("/{TENANT}/oauth2/v2.0/token");
    let answer = form(&emulator, &twice, &[("client_id", "a"), ("client_id", "b")]);
    assert_eq!(number(&answer), 900_144);
    let answer = form(&emulator, "/nobody.example/oauth2/v2.0/token", &[]);
    assert_eq!(number(&answer), 90_002);
    assert_eq!(send(&emulator, "GET", &twice, &[], b"").status, 405);
    let instance = send(
        &emulator,
        "GET",
        "/common/discovery/instance?api-version=1.1&authorization_endpoint=https://127.0.0.1/t/oauth2/v2.0/authorize",
        &[],
        b"",
    );
    let found = instance.json()["tenant_discovery_endpoint"].as_str().unwrap().to_owned();
    assert!(found.ends_with("/t/v2.0/.well-known/openid-configuration"), "{found}");
    let keys = send(&emulator, "GET", &format!("/{TENANT}/discovery/v2.0/keys"), &[], b"");
    assert_eq!(keys.json()["keys"][0]["alg"], "RS256");
}

#[test]
fn entra_federation() {
    let party = Party::new();
    let emulator = start(party.config());
    let audience = json!("api://AzureADTokenExchange");
    let good = party.issued(|claims| claims["aud"] = audience.clone());
    assert_eq!(assert_entra(&emulator, &good).status, 200);
    assert_eq!(assert_entra(&emulator, &good).status, 200, "no jti, no replay check");
    for (name, value, expected) in [
        ("sub", json!("x"), 700_213),
        ("aud", json!("x"), 700_212),
        ("iss", json!("x"), 700_211),
        ("exp", json!(now() - 400), 700_024),
    ] {
        let token = party.issued(|claims| {
            claims["aud"] = audience.clone();
            claims[name] = value.clone();
        });
        assert_eq!(number(&assert_entra(&emulator, &token)), expected, "{name}");
    }
    let stranger = Party::new().issued(|claims| claims["aud"] = audience.clone());
    assert_eq!(number(&assert_entra(&emulator, &stranger)), 50_013);
}

fn google(emulator: &Emulator, assertion: &str) -> Answer {
    let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    form(emulator, "/token", &[("grant_type", grant), ("assertion", assertion)])
}

#[test]
fn google_service_accounts() {
    let party = Party::new();
    let emulator = start(party.config());
    let mut header = Header::new(Algorithm::RS256);
    header.kid = Some("k".into());
    let claims = json!({
        "iss": ROBOT, "aud": "https://oauth2.googleapis.com/token", "scope": "s",
        "iat": now(), "exp": now() + 3600,
    });
    let answer = google(&emulator, &party.sign(&header, &claims));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let token = answer.json()["access_token"].as_str().unwrap().to_owned();
    let with = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        google(&emulator, &party.sign(&header, &claims))
    };
    for (name, value, expected) in [
        ("aud", json!(format!("{}/token", emulator.url())), ""),
        ("aud", json!("https://other.example/token"), "audience check"),
        ("iss", json!("nobody"), "account not found"),
        ("iss", json!(OTHER), "Invalid JWT Signature"),
        ("exp", json!(now() + 3700), "short-lived"),
        ("exp", json!(now() - 400), "short-lived"),
        ("iat", json!(now() + 400), "short-lived"),
        ("iat", Value::Null, "short-lived"),
        ("scope", json!(""), "Invalid OAuth scope"),
        ("target_audience", json!("a"), "Invalid OAuth scope"),
        ("sub", json!("user@example.com"), "unauthorized"),
        ("sub", json!(ROBOT), ""),
    ] {
        let answer = with(name, value.clone());
        assert_eq!(answer.status == 200, expected.is_empty(), "{name} {value}: {}", answer.text());
        assert!(answer.text().contains(expected), "{name} {value}: {}", answer.text());
    }
    header.alg = Algorithm::PS256;
    assert!(google(&emulator, &party.sign(&header, &claims)).text().contains("Signature"));
    // The token opens the IAM API, and so does one that the account signs for itself.
    header.alg = Algorithm::RS256;
    let own = json!({"iss": ROBOT, "sub": ROBOT, "scope": "s", "iat": now(), "exp": now() + 3600});
    let own = party.sign(&header, &own);
    for (bearer, account, status) in [
        (token.as_str(), OTHER, 200),
        (&own, OTHER, 200),
        (&own, ROBOT, 403),
        ("ya29.other", OTHER, 401),
        ("", OTHER, 401),
    ] {
        let answer =
            generate(&emulator, bearer, account, "generateAccessToken", &json!({"scope": ["s"]}));
        assert_eq!(answer.status, status, "{account}: {}", answer.text());
    }
    emulator.set_time_offset(3601).unwrap();
    let late = generate(&emulator, &token, OTHER, "generateAccessToken", &json!({"scope": ["s"]}));
    assert_eq!(late.json()["error"]["status"], "UNAUTHENTICATED");
}

fn generate(
    emulator: &Emulator,
    bearer: &str,
    account: &str,
    method: &str,
    body: &Value,
) -> Answer {
    let bearer = format!("Bearer {bearer}");
    let target = format!("/v1/projects/-/serviceAccounts/{account}:{method}");
    send(emulator, "POST", &target, &[("authorization", &bearer)], body.to_string().as_bytes())
}

fn exchange(emulator: &Emulator, token: &str, change: Option<(&str, &str)>) -> Answer {
    let mut pairs = vec![
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("audience", PROVIDER),
        ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ("scope", "s"),
        ("subject_token", token),
    ];
    for pair in pairs.iter_mut() {
        if let Some(change) = change.filter(|(name, _)| *name == pair.0) {
            *pair = change;
        }
    }
    form(emulator, "/v1/token", &pairs)
}

#[test]
fn google_federation() {
    let party = Party::new();
    let emulator = start(party.config());
    let good = party.issued(|claims| claims["aud"] = json!(format!("https:{PROVIDER}")));
    let answer = exchange(&emulator, &good, None);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let token = answer.json()["access_token"].as_str().unwrap().to_owned();
    let json_form = json!({
        "grantType": "urn:ietf:params:oauth:grant-type:token-exchange", "audience": PROVIDER,
        "requestedTokenType": "urn:ietf:params:oauth:token-type:access_token",
        "subjectTokenType": "urn:ietf:params:oauth:token-type:jwt", "scope": "s",
        "subjectToken": good,
    });
    assert_eq!(post_json(&emulator, "/v1/token", &json_form).status, 200);
    for change in [
        ("grant_type", "x"),
        ("audience", "//iam.googleapis.com/x"),
        ("requested_token_type", "x"),
        ("subject_token_type", "x"),
        ("scope", ""),
        ("subject_token", "x"),
    ] {
        let answer = exchange(&emulator, &good, Some(change));
        assert!(answer.status == 400 && answer.json()["error"].is_string(), "{change:?}");
    }
    for (name, value) in [
        ("aud", json!("https://other.example")),
        ("iss", json!("https://other.example")),
        ("exp", json!(now() - 1)),
        ("exp", json!(now() + 100_000)),
        ("iat", Value::Null),
        ("sub", json!("")),
    ] {
        let token = party.issued(|claims| {
            claims["aud"] = json!(PROVIDER);
            claims[name] = value.clone();
        });
        let answer = exchange(&emulator, &token, None);
        assert_eq!(answer.json()["error"], "invalid_grant", "{name} {value}");
    }
    let id = generate(
        &emulator,
        &token,
        OTHER,
        "generateIdToken",
        &json!({"audience": "a", "includeEmail": true}),
    );
    assert_eq!(id.status, 200, "{}", id.text());
    let claims = id.json()["token"].as_str().unwrap().split('.').nth(1).unwrap().to_owned();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    assert_eq!((&claims["aud"], &claims["email"]), (&json!("a"), &json!(OTHER)));
    for (method, body, status) in [
        ("generateAccessToken", json!({"scope": ["s"], "lifetime": "3600s"}), 200),
        ("generateAccessToken", json!({"scope": ["s"], "lifetime": "3601s"}), 400),
        ("generateAccessToken", json!({"scope": []}), 400),
        ("generateAccessToken", json!({"scope": ["s"], "other": 1}), 400),
        ("generateAccessToken", json!({"scope": ["s"], "delegates": ["d"]}), 403),
        ("generateIdToken", json!({}), 400),
        ("signBlob", json!({}), 404),
    ] {
        let answer = generate(&emulator, &token, OTHER, method, &body);
        assert_eq!(answer.status, status, "{method} {body}: {}", answer.text());
    }
}
