//! Every rule with what it refuses, and beside it the nearest thing that is accepted. The verifier here
//! believes everything, so that nothing is refused for its signature.

use core::cell::Cell;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::super::testing::NOW;
use super::*;
use crate::encode::base64::url_encode;
use crate::out::Out;

const ES256: Scheme = Scheme::EcdsaP256Sha256;
const RS256: Scheme = Scheme::RsaPkcs1Sha256;
const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "https://service.example";

struct Believer {
    schemes: &'static [Scheme],
    asked: Cell<usize>,
}

impl Believer {
    const fn new(schemes: &'static [Scheme]) -> Self {
        Self { schemes, asked: Cell::new(0) }
    }
}

impl Verifier for Believer {
    fn supports(&self, scheme: Scheme) -> bool {
        self.schemes.contains(&scheme)
    }

    fn verify(&self, _: Scheme, _: &[u8], _: &[u8]) -> Result<()> {
        self.asked.set(self.asked.get() + 1);
        Ok(())
    }
}

fn encoded(octets: &[u8]) -> String {
    let mut buf = vec![0; octets.len() * 2 + 4];
    let mut out = Out::new(&mut buf);
    url_encode(octets, &mut out);
    String::from_utf8(out.finish().unwrap().to_vec()).unwrap()
}

fn token(header: &Json, claims: &Json, signature: &[u8]) -> String {
    let (header, claims) = (header.to_string(), claims.to_string());
    [header.as_bytes(), claims.as_bytes(), signature].map(encoded).join(".")
}

fn header() -> Json {
    json!({"alg": "ES256", "kid": "k1", "typ": "JWT"})
}

fn claims() -> Json {
    json!({"iss": ISSUER, "aud": AUDIENCE, "exp": NOW + 300, "nbf": NOW, "iat": NOW, "sub": "you"})
}

/// `value` with one member changed; null removes it.
fn with(mut value: Json, name: &str, member: Json) -> Json {
    let members = value.as_object_mut().unwrap();
    match member {
        Json::Null => members.remove(name),
        member => members.insert(name.to_owned(), member),
    };
    value
}

fn expect(algorithms: &[Scheme]) -> Expect<'_> {
    Expect {
        issuer: Some(ISSUER),
        audience: Some(AUDIENCE),
        typ: Some("JWT"),
        max_age: Some(3600),
        ..Expect::new(algorithms, UnixTime::new(NOW).unwrap())
    }
}

/// The checks that fail, by a set of one key, "k1", that can do ES256 and RS256.
fn failures(header: &Json, claims: &Json, signature: &[u8], expect: &Expect<'_>) -> Vec<Check> {
    let text = token(header, claims, signature);
    let mut buf = vec![0; text.len()];
    let verifier = Believer::new(&[ES256, RS256]);
    let keys = [Key { kid: Some("k1"), scheme: None, verifier: &verifier }];
    let report = Token::parse(&text, &mut buf).unwrap().verify(expect, &keys);
    let failed: Vec<(Check, Outcome)> =
        report.outcomes().filter(|(_, o)| matches!(o, Outcome::Failed(_))).collect();
    match (failed.first(), report.verdict()) {
        (Some((_, Outcome::Failed(first))), Err(error)) => assert_eq!(*first, error),
        (None, Ok(verified)) => {
            assert_eq!(verified.claims().get("sub").unwrap().as_str(), Some("you"));
            assert_eq!(verifier.asked.get(), 1);
        }
        other => panic!("{other:?}"),
    }
    // A verdict that is not earned by the signature is none.
    let asked = verifier.asked.get() == 1;
    assert_eq!(asked, report.outcome(Check::Signature) == Outcome::Passed);
    failed.into_iter().map(|(check, _)| check).collect()
}

fn of_header(name: &str, member: Json) -> Vec<Check> {
    failures(&with(header(), name, member), &claims(), &[0xa5; 64], &expect(&[ES256]))
}

fn of_claim(name: &str, member: Json) -> Vec<Check> {
    failures(&header(), &with(claims(), name, member), &[0xa5; 64], &expect(&[ES256]))
}

const NONE: &[Check] = &[];

#[test]
fn the_neighbour_of_all_refusals() {
    assert_eq!(failures(&header(), &claims(), &[0xa5; 64], &expect(&[ES256])), NONE);
    // The least that a token can say, and the least that can be asked.
    let (least, one) = (json!({"alg": "ES256"}), json!({"exp": NOW + 1, "sub": "you"}));
    let at = Expect::new(&[RS256, ES256], UnixTime::new(NOW).unwrap());
    assert_eq!(failures(&least, &one, &[0xa5; 64], &at), NONE);
    assert_eq!(at.skew, DEFAULT_SKEW);
}

#[test]
fn algorithms() {
    for alg in [
        "none", "None", "nOnE", "NONE", "", "HS256", "HS384", "HS512", "RS384", "RS512", "ES512",
        "PS384", "EdDSA", "es256", "ES256 ", "ES256K", "RS256",
    ] {
        assert_eq!(of_header("alg", json!(alg)), [Check::Algorithm], "{alg}");
    }
    for alg in [json!(null), json!(256), json!(["ES256"]), json!({"alg": "ES256"}), json!(true)] {
        assert_eq!(of_header("alg", alg.clone()), [Check::Algorithm], "{alg}");
    }
    assert_eq!(
        failures(&header(), &claims(), &[0xa5; 64], &expect(&[])),
        [Check::Algorithm],
        "an empty list expects nothing"
    );
    let rsa = with(header(), "alg", json!("RS256"));
    assert_eq!(failures(&rsa, &claims(), &[0xa5; 256], &expect(&[ES256])), [Check::Algorithm]);
    assert_eq!(failures(&rsa, &claims(), &[0xa5; 256], &expect(&[RS256])), NONE);
    // No name in a token can mean this scheme, though a caller may list it.
    assert_eq!(
        failures(&header(), &claims(), &[0xa5; 64], &expect(&[Scheme::EcdsaP384Sha256])),
        [Check::Algorithm]
    );
}

#[test]
fn what_rests_on_a_failure_is_not_reached() {
    let text = token(&json!({"alg": "none", "crit": []}), &json!({}), b"");
    let mut buf = vec![0; text.len()];
    let verifier = Believer::new(&Scheme::ALL);
    let keys = [Key { kid: None, scheme: None, verifier: &verifier }];
    let report = Token::parse(&text, &mut buf).unwrap().verify(&expect(&[ES256]), &keys);
    let outcomes: Vec<_> = report.outcomes().collect();
    assert_eq!(outcomes.iter().map(|(check, _)| *check).collect::<Vec<_>>(), Check::ALL);
    for (check, outcome) in outcomes {
        match check {
            Check::Key | Check::Signature => assert_eq!(outcome, Outcome::NotReached),
            Check::NotBefore | Check::IssuedAt => assert_eq!(outcome, Outcome::NotAsked),
            _ => assert!(matches!(outcome, Outcome::Failed(_)), "{check}"),
        }
    }
    assert_eq!(verifier.asked.get(), 0);
    assert_eq!(report.verdict().unwrap_err().field(), "alg");
    let shown = format!("{report:?} {keys:?}");
    assert!(shown.contains("Algorithm: Failed") && !shown.contains("none"), "{shown}");
}

#[test]
fn critical_extensions() {
    for crit in [
        json!([]),
        json!(["exp"]),
        json!(["b64"]),
        json!(["exp", "exp"]),
        json!(["alg"]),
        json!([""]),
        json!("exp"),
        json!({}),
        json!(0),
        json!(false),
    ] {
        assert_eq!(of_header("crit", crit.clone()), [Check::Critical], "{crit}");
    }
    // As `with` takes null for "remove".
    let null = json!({"alg": "ES256", "typ": "JWT", "crit": null});
    assert_eq!(failures(&null, &claims(), &[0xa5; 64], &expect(&[ES256])), [Check::Critical]);
    for b64 in [false, true] {
        assert_eq!(of_header("b64", json!(b64)), [Check::Critical]);
    }
    // Others say nothing, and lead nowhere.
    for name in ["jku", "x5u", "x5c", "jwk", "cty", "x", "Crit", "crit "] {
        assert_eq!(of_header(name, json!("https://attacker.example")), NONE, "{name}");
    }
}

#[test]
fn types() {
    let of_type = |typ: Json, expected| {
        let expect = Expect { typ: Some(expected), ..expect(&[ES256]) };
        failures(&with(header(), "typ", typ), &claims(), &[0xa5; 64], &expect)
    };
    for (typ, expected) in [
        ("jwt", "JWT"),
        ("application/JWT", "jwt"),
        ("at+jwt", "application/at+JWT"),
        ("APPLICATION/at+jwt", "at+jwt"),
        ("text/x", "text/X"),
    ] {
        assert_eq!(of_type(json!(typ), expected), NONE, "{typ} {expected}");
    }
    for (typ, expected) in [
        ("at+jwt", "JWT"),
        ("JWT", "at+jwt"),
        ("", "JWT"),
        ("JWT ", "JWT"),
        ("text/jwt", "jwt"),
        ("application/text/jwt", "text/jwt"),
        ("application/application/jwt", "jwt"),
        ("application/", "application"),
    ] {
        assert_eq!(of_type(json!(typ), expected), [Check::Type], "{typ} {expected}");
    }
    for typ in [json!(null), json!(1), json!(["JWT"])] {
        assert_eq!(of_type(typ.clone(), "JWT"), [Check::Type], "{typ}");
        let expect = Expect { typ: None, ..expect(&[ES256]) };
        let any = with(header(), "typ", typ);
        assert_eq!(failures(&any, &claims(), &[0xa5; 64], &expect), NONE);
    }
}

/// Whether a token with this header passes, by a set of these keys; or what is wrong.
fn by_keys(header: &Json, keys: &[Key<'_>]) -> core::result::Result<(), &'static str> {
    let text = token(header, &claims(), &[0xa5; 64]);
    let mut buf = vec![0; text.len()];
    let expect = Expect { typ: None, ..expect(&[ES256]) };
    let report = Token::parse(&text, &mut buf).unwrap().verify(&expect, keys);
    match report.outcome(Check::Key) {
        Outcome::Failed(error) => {
            assert_eq!(report.verdict().unwrap_err(), error);
            assert_eq!(report.outcome(Check::Signature), Outcome::NotReached);
            Err(error.help())
        }
        outcome => {
            assert_eq!(outcome, Outcome::Passed);
            report.verdict().unwrap();
            Ok(())
        }
    }
}

#[test]
fn keys_by_their_names() {
    let verifier = &Believer::new(&[ES256]);
    let key = |kid| Key { kid, scheme: None, verifier };
    let named = |kid: &str| json!({"alg": "ES256", "kid": kid});
    let unnamed = json!({"alg": "ES256"});
    let no_name = "no key has the name of the token's kid";

    let two = [key(Some("a")), key(Some("../a")), key(Some(""))];
    for kid in ["a", "../a", ""] {
        assert_eq!(by_keys(&named(kid), &two), Ok(()), "{kid}");
    }
    for kid in ["A", "a ", "./a", "b/../a", "/dev/null", "a\0", "a' OR '1'='1", "ａ", "%61", "0"] {
        assert_eq!(by_keys(&named(kid), &two), Err(no_name), "{kid}");
    }
    for kid in [json!(0), json!(null), json!(["a"]), json!({"kid": "a"})] {
        let wrong = by_keys(&json!({"alg": "ES256", "kid": kid}), &two);
        assert_eq!(wrong, Err("the member must be a string"));
    }
    let more = "the token has no kid, and there is more than one key";
    assert_eq!(by_keys(&unnamed, &two), Err(more));
    assert_eq!(by_keys(&unnamed, &two[..1]), Ok(()));
    assert_eq!(by_keys(&unnamed, &[key(None)]), Ok(()));
    assert_eq!(by_keys(&unnamed, &[key(None), key(None)]), Err(more));
    assert_eq!(by_keys(&named("a"), &[key(None)]), Err(no_name));
    assert_eq!(by_keys(&named("a"), &[key(None), key(Some("a"))]), Ok(()));
    let twice = [key(Some("a")), key(Some("b")), key(Some("a"))];
    let repeated = "more than one key has the name of the token's kid";
    assert_eq!(by_keys(&named("a"), &twice), Err(repeated));
    assert_eq!(by_keys(&named("b"), &twice), Ok(()));
    assert_eq!(by_keys(&named("a"), &[]), Err(no_name));
    assert_eq!(by_keys(&unnamed, &[]), Err("there is none"));

    let mut many = vec![key(Some("x")); MAX_KEYS - 1];
    many.push(key(Some("a")));
    assert_eq!(by_keys(&named("a"), &many), Ok(()));
    many.push(key(Some("b")));
    assert_eq!(by_keys(&named("a"), &many), Err("at most 64 keys in a set"));
}

#[test]
fn keys_for_the_algorithm() {
    let (ec, rsa) = (&Believer::new(&[ES256]), &Believer::new(&[RS256]));
    let key = |scheme, verifier| [Key { kid: None, scheme, verifier }];
    let header = json!({"alg": "ES256"});
    let type_of_key = Err("is of another type than the token's alg needs");
    let alg_of_key = Err("is for another algorithm than the token's alg");
    assert_eq!(by_keys(&header, &key(None, ec)), Ok(()));
    assert_eq!(by_keys(&header, &key(Some(ES256), ec)), Ok(()));
    assert_eq!(by_keys(&header, &key(None, rsa)), type_of_key);
    assert_eq!(by_keys(&header, &key(Some(RS256), rsa)), alg_of_key);
    assert_eq!(by_keys(&header, &key(Some(Scheme::EcdsaP384Sha384), ec)), alg_of_key);
    assert_eq!(by_keys(&header, &key(Some(ES256), rsa)), type_of_key);
}

#[test]
fn lengths_of_signatures() {
    for len in [0, 1, 63, 65, 70, 71, 72, 96, 128] {
        let failed = failures(&header(), &claims(), &vec![0xa5; len], &expect(&[ES256]));
        assert_eq!(failed, [Check::Signature], "{len}");
    }
    let rsa = with(header(), "alg", json!("RS256"));
    assert_eq!(failures(&rsa, &claims(), b"", &expect(&[RS256])), [Check::Signature]);
    // How long, the key says.
    assert_eq!(failures(&rsa, &claims(), b"x", &expect(&[RS256])), NONE);
}

#[test]
fn times() {
    let past = NOW - DEFAULT_SKEW;
    let soon = NOW + DEFAULT_SKEW;
    for exp in [json!(past + 1), json!(NOW as f64 + 0.5), json!(UnixTime::MAX.as_secs())] {
        assert_eq!(of_claim("exp", exp.clone()), NONE, "{exp}");
    }
    for exp in [json!(past), json!(past as f64 + 0.5), json!(0), json!(null)] {
        assert_eq!(of_claim("exp", exp.clone()), [Check::Expiry], "{exp}");
    }
    for (name, check) in [("nbf", Check::NotBefore), ("iat", Check::IssuedAt)] {
        for time in [json!(soon), json!(NOW - 1)] {
            assert_eq!(of_claim(name, time.clone()), NONE, "{name} {time}");
        }
        for time in [json!(soon + 1), json!(UnixTime::MAX.as_secs())] {
            assert_eq!(of_claim(name, time.clone()), [check], "{name} {time}");
        }
    }
    assert_eq!(of_claim("nbf", json!(null)), NONE);
    assert_eq!(of_claim("nbf", json!(0)), NONE);

    let wrong = [
        json!((NOW + 1).to_string()),
        json!("2026-11-22T12:00:00Z"),
        json!(true),
        json!([NOW]),
        json!({}),
        json!(-1),
        json!(-0.5),
        json!(UnixTime::MAX.as_secs() + 1),
        json!(NOW * 1000),
        json!(u64::MAX),
        json!(1e300),
        json!(1.5e18),
    ];
    for time in wrong {
        assert_eq!(of_claim("exp", time.clone()), [Check::Expiry], "{time}");
        assert_eq!(of_claim("nbf", time.clone()), [Check::NotBefore], "{time}");
        let both = [Check::IssuedAt, Check::MaxAge];
        assert_eq!(of_claim("iat", time.clone()), both, "{time}");
    }
    // Null is no number either, and not the same as no claim.
    for (name, check) in [("exp", Check::Expiry), ("nbf", Check::NotBefore)] {
        let mut claims = claims();
        claims[name] = Json::Null;
        assert_eq!(failures(&header(), &claims, &[0xa5; 64], &expect(&[ES256])), [check]);
    }
}

#[test]
fn skew_and_age() {
    let at = |claims: &Json, expect: &Expect<'_>| failures(&header(), claims, &[0xa5; 64], expect);
    let strict = Expect { skew: 0, max_age: Some(10), ..expect(&[ES256]) };
    let claims = with(claims(), "exp", json!(NOW + 1));
    assert_eq!(at(&claims, &strict), NONE);
    assert_eq!(at(&with(claims.clone(), "exp", json!(NOW)), &strict), [Check::Expiry]);
    assert_eq!(at(&with(claims.clone(), "nbf", json!(NOW + 1)), &strict), [Check::NotBefore]);
    assert_eq!(at(&with(claims.clone(), "iat", json!(NOW + 1)), &strict), [Check::IssuedAt]);
    assert_eq!(at(&with(claims.clone(), "iat", json!(NOW - 10)), &strict), NONE);
    assert_eq!(at(&with(claims.clone(), "iat", json!(NOW - 11)), &strict), [Check::MaxAge]);
    let unissued = with(claims.clone(), "iat", Json::Null);
    assert_eq!(at(&unissued, &strict), [Check::MaxAge]);
    assert_eq!(at(&unissued, &Expect { max_age: None, ..strict }), NONE);
    let lenient = Expect { skew: 11, ..strict };
    assert_eq!(at(&with(claims.clone(), "iat", json!(NOW - 21)), &lenient), NONE);
    assert_eq!(at(&with(claims.clone(), "iat", json!(NOW - 22)), &lenient), [Check::MaxAge]);
    // The ends of the range.
    let all = Expect { skew: u64::MAX, max_age: Some(u64::MAX), ..strict };
    assert_eq!(at(&with(claims.clone(), "exp", json!(0)), &all), NONE);
    let end = Expect { time: UnixTime::MAX, ..strict };
    let last = UnixTime::MAX.as_secs();
    let claims = with(with(claims, "exp", json!(last)), "iat", json!(last));
    assert_eq!(at(&claims, &end), [Check::Expiry]);
    assert_eq!(at(&claims, &Expect { skew: 1, ..end }), NONE);
}

#[test]
fn issuers_and_audiences() {
    for iss in [
        json!("https://issuer.example/"),
        json!("https://ISSUER.example"),
        json!("issuer.example"),
        json!(""),
        json!(null),
        json!([ISSUER]),
        json!({ "iss": ISSUER }),
        json!(1),
    ] {
        assert_eq!(of_claim("iss", iss.clone()), [Check::Issuer], "{iss}");
    }
    assert_eq!(of_claim("aud", json!([AUDIENCE])), NONE);
    for aud in [
        json!("https://service.example/"),
        json!("https://other.example"),
        json!(""),
        json!(null),
        json!([]),
        json!([AUDIENCE, "https://other.example"]),
        json!(["https://other.example", AUDIENCE]),
        json!([AUDIENCE, AUDIENCE]),
        json!([[AUDIENCE]]),
        json!([1]),
        json!(1),
        json!(true),
        json!({ AUDIENCE: true }),
    ] {
        assert_eq!(of_claim("aud", aud.clone()), [Check::Audience], "{aud}");
    }
    let any = Expect { issuer: None, audience: None, ..expect(&[ES256]) };
    let anyone = with(with(claims(), "iss", json!(1)), "aud", json!([1, 2]));
    assert_eq!(failures(&header(), &anyone, &[0xa5; 64], &any), NONE);
}

#[test]
fn everything_wrong_at_once_is_reported() {
    let claims = json!({"exp": 1, "nbf": NOW + 999, "iat": NOW + 999, "sub": "you"});
    let failed = failures(&json!({"alg": "ES256", "kid": "x"}), &claims, &[], &expect(&[ES256]));
    let all = [
        Check::Type,
        Check::Key,
        Check::Expiry,
        Check::NotBefore,
        Check::IssuedAt,
        Check::Issuer,
        Check::Audience,
    ];
    assert_eq!(failed, all);
}

#[test]
fn names_are_distinct() {
    let mut names = Check::ALL.map(Check::as_str);
    names.sort_unstable();
    assert!(names.windows(2).all(|w| w[0] != w[1]));
    assert_eq!(Check::NotBefore.to_string(), "nbf");
}

fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(|b| json!(b)),
        any::<i64>().prop_map(|n| json!(n)),
        any::<f64>().prop_map(|n| json!(n)),
        "\\PC{0,6}".prop_map(|s| json!(s)),
        Just(json!(AUDIENCE)),
        (NOW - 100..NOW + 100).prop_map(|n| json!(n)),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        proptest::collection::vec(inner, 0..3).prop_map(Json::from)
    })
}

proptest! {
    /// Whatever the members are: no panic, and a verdict for good exactly when no check fails.
    #[test]
    fn any_members(
        headers in proptest::collection::hash_map("alg|kid|typ|crit|b64", any_json(), 0..3),
        changes in proptest::collection::hash_map("exp|nbf|iat|iss|aud", any_json(), 0..4),
    ) {
        let mut header = header();
        header.as_object_mut().unwrap().extend(headers);
        let mut claims = claims();
        claims.as_object_mut().unwrap().extend(changes);
        failures(&header, &claims, &[0xa5; 64], &expect(&[ES256]));
    }
}
