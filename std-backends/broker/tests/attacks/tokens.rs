//! Attacks on the token: header, signature, times, nonces.

use cloudauth_emulator::{AttestationKey, AttestationToken};
use serde_json::{Map, Value, json};

use crate::binder::base64url;
use crate::sink::Sink;
use crate::table::{Expect, Table};
use crate::world::{READER, World};

const fn invalid(check: &str) -> Expect<'_> {
    Expect::Check("attestation_invalid", check)
}

const MISMATCH: Expect<'_> = Expect::Check("channel_mismatch", "nonce");

pub(crate) fn run(table: &mut Table) {
    let world = World::new("", "");
    signatures(table, &world);
    headers(table, &world);
    elsewhere(table, &world);
    repeated(table, &world);
    nonces(table, &world);
    times(table, &world);
    forms(table, &world);
}

pub(crate) fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn signatures(table: &mut Table, world: &World) {
    let good = world.good();
    let mut case = |name, sent, expected, change: fn(&mut AttestationToken)| {
        let refused = world.exchange(READER, change);
        table.attack(name, sent, &refused, expected, "RS256 with the issuer's key", &good);
    };
    case("alg none", "no signature", invalid("alg"), |t| t.key = Some(AttestationKey::None));
    case("HS256 with the public key", "HMAC under the issuer's PEM", invalid("alg"), |t| {
        t.key = Some(AttestationKey::Hs256PublicKey);
    });
    for algorithm in ["RS384", "RS512", "PS256"] {
        let refused = world.exchange(READER, |t| t.algorithm = Some(algorithm.into()));
        table.attack(
            &format!("{algorithm} with the issuer's own key"),
            "an algorithm that is not configured",
            &refused,
            invalid("alg"),
            "RS256 with the issuer's key",
            &good,
        );
    }
    let mut case = |name, sent, expected, change: fn(&mut AttestationToken)| {
        let refused = world.exchange(READER, change);
        table.attack(name, sent, &refused, expected, "RS256 with the issuer's key", &good);
    };
    case("RS256 said, PS256 signed", "alg changed in the header", invalid("signature"), |t| {
        t.algorithm = Some("PS256".into());
        t.header = object(json!({"alg": "RS256"}));
    });
    case("alg in other letters", "rs256", invalid("alg"), |t| {
        t.header = object(json!({"alg": "rs256"}));
    });
    case("no alg", "alg: null", invalid("alg"), |t| t.header = object(json!({"alg": null})));
    case(
        "a key that nobody trusts, under the issuer's kid",
        "signed by the attacker",
        invalid("signature"),
        |t| {
            t.key = Some(AttestationKey::Attacker);
        },
    );
    // The signature taken away, and another's put in its place.
    let mut client = world.connect();
    for (name, change) in [
        ("signature left out", (|_, _| String::new()) as fn(&str, &str) -> String),
        ("signature of another token", |_, other| other.to_owned()),
        ("signature with one octet changed", |own, _| {
            let first = if own.starts_with('A') { "B" } else { "A" };
            format!("{first}{}", &own[1..])
        }),
    ] {
        let challenge = client.challenge();
        let nonce = client.binder(challenge, READER).nonce();
        let token = world.mint(&world.token(&[&nonce]));
        let other = world.mint(&world.token(&["another-token"]));
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let signature = change(signature, other.rsplit_once('.').unwrap().1);
        let sent = format!("{signed}.{signature}");
        let refused = world.outcome(client.credentials(READER, &sent));
        table.attack(
            name,
            "the third part",
            &refused,
            invalid("signature"),
            "as it was signed",
            &good,
        );
    }
}

fn headers(table: &mut Table, world: &World) {
    let good = world.good();
    for kid in [
        "../../../../../../dev/null",
        "/etc/passwd",
        "..%2f..%2fkeys",
        "https://attacker.example/key",
        "' OR '1'='1",
        "",
        "\u{0}",
    ] {
        let refused = world.exchange(READER, |t| t.header = object(json!({"kid": kid})));
        table.attack(
            "kid with path tricks",
            &format!("kid {kid:?}, the issuer's signature"),
            &refused,
            invalid("key"),
            "the issuer's kid",
            &good,
        );
    }
    for (sent, header) in [
        ("crit: [\"b64\"], b64: false", json!({"crit": ["b64"], "b64": false})),
        ("crit: [\"exp\"]", json!({"crit": ["exp"], "exp": 1})),
        ("crit: []", json!({"crit": []})),
        ("crit: \"kid\"", json!({"crit": "kid"})),
    ] {
        let refused = world.exchange(READER, |t| t.header = object(header));
        table.attack("unknown crit", sent, &refused, invalid("crit"), "no crit", &good);
    }
}

/// Headers that offer keys, and issuers that nobody named: nobody asks there.
fn elsewhere(table: &mut Table, world: &World) {
    let sink = Sink::new();
    let url = sink.url();
    let jwk = world.emulator.attacker_jwks().unwrap()["keys"][0].clone();
    let attacker = |header: Value| {
        world.exchange(READER, |t| {
            t.key = Some(AttestationKey::Attacker);
            t.header = object(header);
        })
    };
    for (name, header) in [
        ("jku to an attacker", json!({"jku": format!("{url}/jwks")})),
        ("x5u to an attacker", json!({"x5u": format!("{url}/chain.pem")})),
        ("jwk of the attacker's in the header", json!({"jwk": jwk})),
    ] {
        let refused = attacker(header.clone());
        // The neighbour has the same header, and the issuer's signature: it says nothing.
        let passed = world.exchange(READER, |t| t.header = object(header));
        table.attack(
            name,
            "signed by the attacker under the issuer's kid",
            &refused,
            invalid("signature"),
            "the same header, the issuer's signature",
            &sink.unless_asked(passed),
        );
    }
    let named = json!({"jku": format!("{url}/jwks"), "kid": jwk["kid"]});
    let refused = attacker(named);
    let good = sink.unless_asked(world.good());
    table.attack(
        "jku to an attacker, with his kid",
        "signed by the attacker",
        &refused,
        invalid("key"),
        "no jku",
        &good,
    );

    for iss in [
        format!("{url}/confidential-space"),
        format!("{}/confidential-space/", world.emulator.url()),
        "https://confidentialcomputing.googleapis.com".to_owned(),
        "file:///etc/passwd".to_owned(),
        String::new(),
    ] {
        let refused = world.exchange(READER, |t| t.claims = object(json!({"iss": iss})));
        let shown =
            iss.replace(&url, "https://attacker").replace(&world.emulator.url(), "https://issuer");
        table.attack(
            "an issuer that is not configured",
            &format!("iss {shown:?}"),
            &refused,
            invalid("issuer"),
            "the configured issuer",
            &sink.unless_asked(good.clone()),
        );
    }
    let refused = world.exchange(READER, |t| {
        t.claims = object(json!({"iss": format!("{}/maa", world.emulator.url())}))
    });
    table.attack(
        "a token of one issuer in the name of another",
        "iss Microsoft's, signed by Google's key",
        &refused,
        invalid("key"),
        "the issuer's own",
        &good,
    );
}

fn repeated(table: &mut Table, world: &World) {
    // A good token's texts, with one member more.
    let exchange = |header: &dyn Fn(&str) -> String, claims: &dyn Fn(&str) -> String| {
        let mut client = world.connect();
        let challenge = client.challenge();
        let nonce = client.binder(challenge, READER).nonce();
        let mut token = world.token(&[&nonce]);
        let good = world.mint(&token);
        let part = |at| {
            use base64::Engine as _;
            let part = good.split('.').nth(at).unwrap();
            let octets = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap();
            String::from_utf8(octets).unwrap()
        };
        token.raw_header = Some(header(&part(0)));
        token.raw_claims = Some(claims(&part(1)));
        world.outcome(client.credentials(READER, &world.mint(&token)))
    };
    let same = |text: &str| text.to_owned();
    let before = |member: &'static str| move |text: &str| format!("{{{member},{}", &text[1..]);
    let behind =
        |member: &'static str| move |text: &str| format!("{},{member}}}", &text[..text.len() - 1]);
    let good = exchange(&same, &same);
    for (name, sent, refused) in [
        (
            "duplicate JSON keys: claims",
            "dbgstat twice, the good one last",
            exchange(&same, &before(r#""dbgstat":"enabled""#)),
        ),
        (
            "duplicate JSON keys: claims",
            "dbgstat twice, the good one first",
            exchange(&same, &behind(r#""dbgstat":"enabled""#)),
        ),
        (
            "duplicate JSON keys: claims",
            "eat_nonce twice",
            exchange(&same, &before(r#""eat_nonce":"aaaaaaaaaa""#)),
        ),
        (
            "duplicate JSON keys: escaped",
            r"dbgst\u0061t",
            exchange(&same, &before(r#""dbgst\u0061t":"enabled""#)),
        ),
        (
            "duplicate JSON keys: below",
            "submods twice",
            exchange(&same, &behind(r#""submods":{}"#)),
        ),
        ("duplicate JSON keys: header", "alg twice", exchange(&before(r#""alg":"none""#), &same)),
        ("duplicate JSON keys: header", "kid twice", exchange(&behind(r#""kid":"x""#), &same)),
        ("octets behind the claims", "{…} {}", exchange(&same, &|text| format!("{text} {{}}"))),
        ("claims that are no object", "[…]", exchange(&same, &|text| format!("[{text}]"))),
        (
            "claims deeper than any",
            "a thousand arrays",
            exchange(&same, &|text| {
                format!("{{\"a\":{}{},{}", "[".repeat(1000), "]".repeat(1000), &text[1..])
            }),
        ),
    ] {
        table.attack(
            name,
            sent,
            &refused,
            invalid("attestation"),
            "the same text without it",
            &good,
        );
    }
}

fn nonces(table: &mut Table, world: &World) {
    let good = world.good();
    let exchange = |eat_nonce: &dyn Fn(&str) -> Value| {
        world.exchange(READER, |t| {
            let nonce = t.nonces[0].clone();
            t.claims = object(json!({"eat_nonce": eat_nonce(&nonce)}));
        })
    };
    let one = exchange(&|nonce| json!([nonce]));
    let filler = "aaaaaaaaaa";
    for (sent, refused) in [
        ("0 values: none", exchange(&|_| Value::Null)),
        ("0 values: []", exchange(&|_| json!([]))),
        ("1 value, another's", exchange(&|_| json!(base64url(&[7; 32])))),
        ("2 values: the right one first", exchange(&|nonce| json!([nonce, filler]))),
        ("2 values: the right one last", exchange(&|nonce| json!([filler, nonce]))),
        ("2 values: the right one twice", exchange(&|nonce| json!([nonce, nonce]))),
        ("6 values", exchange(&|nonce| json!([nonce, filler, filler, filler, filler, filler]))),
        (
            "7 values",
            exchange(&|nonce| json!([nonce, filler, filler, filler, filler, filler, filler])),
        ),
        ("a value of 7 octets", exchange(&|nonce| json!(nonce[..7]))),
        ("a value of 7 octets beside the right one", exchange(&|nonce| json!([nonce, "aaaaaaa"]))),
        (
            "a value of 89 octets: the right one and more",
            exchange(&|nonce| json!(format!("{nonce}{}", "a".repeat(46)))),
        ),
        ("the beginning of the right one", exchange(&|nonce| json!(nonce[..42]))),
        ("the right one with padding", exchange(&|nonce| json!(format!("{nonce}=")))),
        ("a number", exchange(&|_| json!(12_345_678_901_u64))),
        ("an object", exchange(&|nonce| json!({"0": nonce}))),
    ] {
        table.attack("eat_nonce", sent, &refused, MISMATCH, "the one value, in an array", &one);
    }
    let refused = world.exchange(READER, |t| {
        t.claims = object(json!({"eat_nonce": null, "nonce": t.nonces[0]}));
    });
    table.attack("eat_nonce", "the right one as nonce", &refused, MISMATCH, "as eat_nonce", &good);
}

fn times(table: &mut Table, world: &World) {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let claim = |claims: Value| world.exchange(READER, |t| t.claims = object(claims));
    let aged = |age, lifetime| {
        world.exchange(READER, |t| {
            t.age = age;
            t.lifetime = Some(lifetime);
        })
    };
    let passed = aged(500, 3600);
    let near = "issued 500 s ago, good for an hour";
    table.attack(
        "expired",
        "500 s old, good for 400 s",
        &aged(500, 400),
        invalid("exp"),
        near,
        &passed,
    );
    table.attack(
        "expired",
        "exp is iat",
        &claim(json!({"exp": now - 90, "iat": now - 90, "nbf": now - 90})),
        invalid("exp"),
        near,
        &passed,
    );
    table.attack(
        "no exp",
        "exp: null",
        &claim(json!({"exp": null})),
        invalid("exp"),
        near,
        &passed,
    );
    table.attack(
        "exp that is no time",
        "exp: \"9999999999\"",
        &claim(json!({"exp": "9999999999"})),
        invalid("exp"),
        near,
        &passed,
    );
    let soon = claim(json!({"nbf": now + 30, "iat": now + 30}));
    let near = "half a minute ahead";
    table.attack(
        "not yet valid",
        "nbf in ten minutes",
        &claim(json!({"nbf": now + 600})),
        invalid("nbf"),
        near,
        &soon,
    );
    table.attack(
        "issued in the future",
        "iat in ten minutes",
        &claim(json!({"iat": now + 600})),
        invalid("iat"),
        near,
        &soon,
    );
    table.attack(
        "too old",
        "issued 3,000 s ago, good for hours",
        &aged(3000, 90_000),
        invalid("max_age"),
        "issued 500 s ago",
        &passed,
    );
    let refused = claim(json!({"iat": null}));
    let failed: Vec<_> = refused.failed().into_iter().map(|(name, _)| name).collect();
    let expected = Expect::Problem(403, "attestation_invalid", &["iat", "max_age"]);
    let expected = if failed == ["max_age"] { invalid("max_age") } else { expected };
    table.attack("no iat", "iat: null", &refused, expected, "issued 500 s ago", &passed);
}

/// What is no token at all.
fn forms(table: &mut Table, world: &World) {
    let good = world.good();
    for (sent, token) in [
        ("an empty text", String::new()),
        ("two dots", "..".to_owned()),
        ("five parts (JWE)", "eyJhbGciOiJkaXIifQ..a.b.c".to_owned()),
        ("JSON serialization", r#"{"payload":"","signatures":[]}"#.to_owned()),
        ("60,000 octets of a", "a".repeat(60_000)),
    ] {
        let mut client = world.connect();
        client.challenge();
        let refused = world.outcome(client.credentials(READER, &token));
        table.attack("no token", sent, &refused, invalid("attestation"), "a token", &good);
    }
    // White space and padding, which base64url has none of.
    for (sent, change) in [
        ("a line feed at the end", (|token| format!("{token}\n")) as fn(&str) -> String),
        ("padding", |token| format!("{token}==")),
        ("Bearer before it", |token| format!("Bearer {token}")),
    ] {
        let mut client = world.connect();
        let challenge = client.challenge();
        let nonce = client.binder(challenge, READER).nonce();
        let token = change(&world.mint(&world.token(&[&nonce])));
        let refused = world.outcome(client.credentials(READER, &token));
        table.attack("a token and more", sent, &refused, invalid("attestation"), "a token", &good);
    }
}
