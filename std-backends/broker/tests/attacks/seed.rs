//! Attacks on a listener for the older brokers' clients. It is bound to less, and decides no less.

use aws_lc_rs::hmac;
use cloudauth_emulator::AttestationToken;
use serde_json::{Value, json};

use crate::binder::{SEED_LABEL, base64url, hex, sha256};
use crate::table::{Expect, Outcome, Table};
use crate::tokens::object;
use crate::wire::Client;
use crate::world::{READER, ROLE, World};

const AWS: usize = 0;
const AZURE: usize = 1;
const SCOPE: &str = "https://vault.azure.net/.default";

pub(crate) fn run(table: &mut Table) {
    let listener = |scheme: &str, grant: &str| {
        format!(
            "[[compatibility]]\nlisten = '127.0.0.1:0'\nscheme = '{scheme}'\ngrant = '{grant}'\n"
        )
    };
    let world =
        World::new("", &[listener("seed-aws", "reader"), listener("seed-azure", "azure")].concat());
    asked(table, &world);
    channel(table, &world);
    policy(table, &world);
}

fn connect(world: &World, at: usize) -> Client {
    let mut dialer = world.dialer();
    // As those clients do.
    dialer.alpn.clear();
    dialer.connect(world.compatibility(at)).unwrap()
}

fn aws(change: Value) -> Value {
    let mut payload = json!({"use_assume_role": true, "access_key_id": "AKIAOFTHECLIENT00000", "role_arn": ROLE,
        "region": "us-west-2", "duration": 900, "session_name": "mine"});
    payload.as_object_mut().unwrap().extend(object(change));
    payload
}

fn token_jwt(payload: &str, key: &[u8]) -> String {
    let header = base64url(br#"{"alg":"HS256","typ":"JWT"}"#);
    let signed = format!("{header}.{}", base64url(payload.as_bytes()));
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    format!("{signed}.{}", base64url(hmac::sign(&key, signed.as_bytes()).as_ref()))
}

/// Sends a request with an attestation that is changed before.
fn post(
    world: &World,
    client: &mut Client,
    jwt: &str,
    change: impl FnOnce(&mut AttestationToken),
) -> Outcome {
    let nonces = [hex(&client.export(SEED_LABEL, None)), hex(&sha256(jwt.as_bytes()))];
    let mut token = world.token(&[&nonces[0], &nonces[1]]);
    change(&mut token);
    let body = json!({"token_jwt": jwt, "attestation_jwt": world.mint(&token)});
    world.outcome(client.post("/token", &body.to_string()))
}

/// The exchange for a payload, all else right.
fn asks(world: &World, at: usize, payload: &str) -> Outcome {
    let mut client = connect(world, at);
    let jwt = token_jwt(payload, &client.export(SEED_LABEL, None));
    post(world, &mut client, &jwt, |_| {})
}

fn asked(table: &mut Table, world: &World) {
    let good = asks(world, AWS, &aws(json!({})).to_string());
    let Outcome::Answer(answer, record) = &good else { panic!("{good:?}") };
    assert!(
        !answer.body.trim_end().ends_with("ok") && answer.json()["AccessKeyId"].is_string(),
        "{good:?}"
    );
    // What the client wished for is nobody's name and nobody's region.
    let id = answer.json()["AccessKeyId"].clone();
    let session =
        world.emulator.sessions().into_iter().find(|session| id == session.access_key_id).unwrap();
    assert_eq!(session.session_name.as_deref(), Some("1234567890123456789"), "{record}");
    let denied = Expect::Plain(403, "request");
    for (name, change) in [
        ("other role_arn", json!({"role_arn": "arn:aws:iam::123456789012:role/admin"})),
        ("no role_arn", json!({"role_arn": ""})),
        ("longer duration than the grant's", json!({"duration": 1801})),
        ("shorter duration than there is", json!({"duration": 1})),
        (
            "use_assume_role false, for the broker's own rights",
            json!({"use_assume_role": false, "role_arn": ""}),
        ),
    ] {
        let refused = asks(world, AWS, &aws(change).to_string());
        table.attack(
            &format!("seed listener: {name}"),
            "in token_jwt",
            &refused,
            denied,
            "the grant's role, 900 s",
            &good,
        );
    }
    let azure = asks(world, AZURE, &json!({"scope": SCOPE}).to_string());
    for (name, at, payload, near) in [
        ("other scope", AZURE, json!({"scope": "https://graph.microsoft.com/.default"}), &azure),
        ("a scope more", AZURE, json!({"scope": format!("{SCOPE} offline_access")}), &azure),
        ("AWS asked of Azure's listener", AZURE, aws(json!({})), &azure),
        ("Azure asked of AWS's listener", AWS, json!({"scope": SCOPE}), &good),
    ] {
        let refused = asks(world, at, &payload.to_string());
        table.attack(
            &format!("seed listener: {name}"),
            "in token_jwt",
            &refused,
            denied,
            "what the grant gives",
            near,
        );
    }
    let malformed = Expect::Plain(400, "token_jwt");
    let text = aws(json!({})).to_string();
    for (name, payload) in [
        ("a member more", aws(json!({"policy": "{}"})).to_string()),
        ("repeated members", text.replacen('{', "{\"role_arn\":\"arn:aws:iam::1:role/admin\",", 1)),
        ("a negative duration", text.replace("900", "-900")),
        ("a duration of text", text.replace("900", "\"900\"")),
    ] {
        let refused = asks(world, AWS, &payload);
        table.attack(
            &format!("seed listener: {name}"),
            "in token_jwt",
            &refused,
            malformed,
            "the six members",
            &good,
        );
    }
}

fn channel(table: &mut Table, world: &World) {
    let payload = aws(json!({})).to_string();
    let good = asks(world, AWS, &payload);
    let mismatch = |check| Expect::Plain(403, check);
    let mut client = connect(world, AWS);
    let refused = post(world, &mut client, &token_jwt(&payload, &[7; 32]), |_| {});
    let near = "signed with the exported octets";
    table.attack(
        "seed listener: token_jwt signed with another key",
        "32 octets of 7",
        &refused,
        mismatch("token_jwt"),
        near,
        &good,
    );
    let mut client = connect(world, AWS);
    let jwt = token_jwt(&payload, &client.export(SEED_LABEL, None));
    let unsigned = jwt.rsplit_once('.').unwrap().0;
    let refused = post(world, &mut client, &format!("{unsigned}."), |_| {});
    table.attack(
        "seed listener: token_jwt without a signature",
        "the third part empty",
        &refused,
        mismatch("token_jwt"),
        near,
        &good,
    );
    let mut client = connect(world, AWS);
    let key = client.export(SEED_LABEL, None);
    let none = format!(
        "{}.{}.",
        base64url(br#"{"alg":"none","typ":"JWT"}"#),
        base64url(payload.as_bytes())
    );
    let signature = base64url(
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), none.trim_end_matches('.').as_bytes())
            .as_ref(),
    );
    let refused = post(world, &mut client, &format!("{none}{signature}"), |_| {});
    table.attack(
        "seed listener: token_jwt with alg none",
        "and an HMAC all the same",
        &refused,
        Expect::Plain(400, "token_jwt"),
        near,
        &good,
    );

    for (name, change) in [
        (
            "nonces in the other order",
            (|t: &mut AttestationToken| t.nonces.reverse()) as fn(&mut AttestationToken),
        ),
        ("the exported value alone", |t| t.nonces.truncate(1)),
        ("three nonces", |t| t.nonces.push("aaaaaaaaaa".to_owned())),
        ("nonces in capitals", |t| t.nonces[0].make_ascii_uppercase()),
    ] {
        let mut client = connect(world, AWS);
        let jwt = token_jwt(&payload, &client.export(SEED_LABEL, None));
        let refused = post(world, &mut client, &jwt, change);
        table.attack(
            &format!("seed listener: {name}"),
            "in eat_nonce",
            &refused,
            mismatch("nonce"),
            "the two, in order",
            &good,
        );
    }
    // Attested for one request, sent with another.
    let mut client = connect(world, AWS);
    let key = client.export(SEED_LABEL, None);
    let (one, other) =
        (token_jwt(&payload, &key), token_jwt(&aws(json!({"duration": 1800})).to_string(), &key));
    let token = world.mint(&world.token(&[&hex(&key), &hex(&sha256(one.as_bytes()))]));
    let body = json!({"token_jwt": other, "attestation_jwt": token});
    let refused = world.outcome(client.post("/token", &body.to_string()));
    table.attack(
        "seed listener: another request than was attested",
        "duration changed",
        &refused,
        mismatch("nonce"),
        "the attested one",
        &good,
    );
    // On another connection.
    let mut there = connect(world, AWS);
    let body = json!({"token_jwt": one, "attestation_jwt": token});
    let refused = world.outcome(there.post("/token", &body.to_string()));
    table.attack(
        "seed listener: replayed on another connection",
        "token_jwt and attestation of A on B",
        &refused,
        mismatch("nonce"),
        "on A",
        &good,
    );

    let mut client = connect(world, AWS);
    let jwt = token_jwt(&payload, &client.export(SEED_LABEL, None));
    let passed = post(world, &mut client, &jwt, |_| {});
    let refused = post(world, &mut client, &jwt, |_| {});
    table.attack(
        "seed listener: second exchange on one connection",
        "the same again",
        &refused,
        Expect::Refused("closed"),
        "the first",
        &passed,
    );
    let mut client = connect(world, AWS);
    let jwt = token_jwt(&payload, &client.export(SEED_LABEL, None));
    let token = world.mint(
        &world.token(&[&hex(&client.export(SEED_LABEL, None)), &hex(&sha256(jwt.as_bytes()))]),
    );
    let body = json!({"token_jwt": jwt, "attestation_jwt": token}).to_string();
    let one = crate::wire::post("/token", &body);
    client.send(format!("{one}{one}"));
    let passed = world.outcome(client.hear());
    let refused = world.outcome(client.hear());
    table.attack(
        "seed listener: two exchanges at once",
        "pipelined",
        &refused,
        Expect::Refused("closed"),
        "the first",
        &passed,
    );

    // One scheme's nonces are not the other's.
    let mut client = connect(world, AWS);
    let jwt = token_jwt(&payload, &client.export(SEED_LABEL, None));
    let v1 = client.binder([0; 32], READER).nonce();
    let refused = post(world, &mut client, &jwt, |t| t.nonces = vec![v1]);
    table.attack(
        "seed listener: binder v1's nonce",
        "of the same connection",
        &refused,
        mismatch("nonce"),
        "the scheme's own",
        &good,
    );
    let refused = {
        let mut client = world.connect();
        client.challenge();
        let exported = hex(&client.export(SEED_LABEL, None));
        let token = world.mint(&world.token(&[&exported, &hex(&sha256(READER.as_bytes()))]));
        world.outcome(client.credentials(READER, &token))
    };
    table.attack(
        "the older scheme's nonces on the API",
        "of the same connection",
        &refused,
        Expect::Check("channel_mismatch", "nonce"),
        "binder v1's",
        &world.good(),
    );
    let mut client = connect(world, AWS);
    let refused = world.outcome(client.post("/v1/challenge", "{}"));
    let refused = match refused {
        Outcome::Answer(answer, _) if answer.status == 400 => {
            Outcome::Refused("400: there is nothing here".to_owned())
        }
        other => other,
    };
    table.attack(
        "the API on a seed listener",
        "POST /v1/challenge",
        &refused,
        Expect::Refused("400"),
        "on its own listener",
        &world.good(),
    );
}

/// Policy decides here as everywhere.
fn policy(table: &mut Table, world: &World) {
    let payload = aws(json!({})).to_string();
    let good = asks(world, AWS, &payload);
    let with = |change: &dyn Fn(&mut AttestationToken)| {
        let mut client = connect(world, AWS);
        let jwt = token_jwt(&payload, &client.export(SEED_LABEL, None));
        post(world, &mut client, &jwt, change)
    };
    for (name, claims, check) in [
        ("debug image", json!({"dbgstat": "enabled"}), "debug"),
        ("another project", json!({"submods": {"gce": {"project_id": "attackers"}}}), "project"),
        ("another audience", json!({"aud": "https://other.example"}), "audience"),
        ("expired", json!({"exp": 1}), "exp"),
    ] {
        let refused = with(&|t| t.claims = object(claims.clone()));
        table.attack(
            &format!("seed listener: {name}"),
            "a genuine token, rightly bound",
            &refused,
            Expect::Plain(403, check),
            "as the grant wants it",
            &good,
        );
    }
}
