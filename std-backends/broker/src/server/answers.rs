//! Good answers: a credential in the words of the API, and what its record says of it.

use std::collections::BTreeMap;

use base64ct::{Base64, Encoding as _};
use bytes::Bytes;
use cloudauth_core::json::Object;
use cloudauth_core::{Out, Sink};
use zeroize::Zeroizing;

use super::http as form;
use super::record::{Gave, rfc3339};
use crate::decision::Given;
use crate::give::secrets;

/// A good answer, and what its record says of it.
pub(super) struct Answer {
    pub(super) body: Bytes,
    pub(super) gave: Option<Gave>,
}

/// The answer of the API's version 1.
pub(super) fn v1(grant: &str, given: &Given) -> Answer {
    let gave = gave(given);
    let body = form::json(size(given), |out| {
        let mut object = Object::new(out);
        object.string("grant", grant).string("expires_at", &gave.expires_at);
        match given {
            Given::Aws(keys, region) => {
                let mut aws = Object::new(object.name("aws"));
                aws.string("access_key_id", &keys.access_key_id)
                    .string("secret_access_key", &keys.secret_access_key)
                    .string("session_token", &keys.session_token)
                    .string("region", region);
                aws.end();
            }
            Given::Bearer(token) => {
                let mut bearer = Object::new(object.name("bearer"));
                bearer.string("access_token", &token.token).string("token_type", "Bearer");
                bearer.end();
            }
            Given::Secrets(secrets, _) => {
                let mut all = Object::new(object.name("secrets"));
                for (name, fields) in &secrets.bundle {
                    let mut one = Object::new(all.name(name));
                    for (field, octets) in fields {
                        encode(octets, one.name(field));
                    }
                    one.end();
                }
                all.end();
            }
        }
        object.end();
    });
    Answer { body, gave: Some(gave) }
}

/// The answers of the older brokers.
pub(super) fn seed(given: &Given) -> Answer {
    let gave = gave(given);
    let body = form::json(size(given), |out: &mut Out<'_>| {
        let mut object = Object::new(out);
        match given {
            Given::Aws(keys, _) => {
                object
                    .number("Version", 0)
                    .string("AccessKeyId", &keys.access_key_id)
                    .string("SecretAccessKey", &keys.secret_access_key)
                    .string("SessionToken", &keys.session_token)
                    .string("Expiration", &gave.expires_at);
            }
            Given::Bearer(token) => {
                object.string("expires_in", &gave.expires_at).string("access_token", &token.token);
            }
            // These schemes carry none: such a grant does not load with one.
            Given::Secrets(..) => {}
        }
        object.end();
    });
    Answer { body, gave: Some(gave) }
}

fn gave(given: &Given) -> Gave {
    let (kind, end, secrets) = match given {
        Given::Aws(keys, _) => ("aws", keys.expiration, BTreeMap::new()),
        Given::Bearer(token) => ("bearer", token.expiration, BTreeMap::new()),
        Given::Secrets(secrets, versions) => ("secrets", secrets.expiration, versions.clone()),
    };
    Gave { kind, expires_at: rfc3339(end), secrets }
}

/// Octets as a text in base64, in constant time. What was in between is wiped.
fn encode(octets: &[u8], to: &mut impl Sink) {
    to.octet(b'"');
    // 48 octets make 64 characters: a whole number of groups, so pieces join without padding.
    for piece in octets.chunks(48) {
        let mut text = Zeroizing::new([0; 64]);
        to.text(Base64::encode(piece, &mut *text).unwrap_or_default());
    }
    to.octet(b'"');
}

/// Room for a credential in JSON, mostly.
fn size(given: &Given) -> usize {
    1024 + match given {
        Given::Aws(keys, _) => keys.session_token.len(),
        Given::Bearer(token) => token.token.len(),
        Given::Secrets(secrets, _) => secrets::size(secrets),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudauth_client::{AwsKeys, BearerToken, Secrets};
    use cloudauth_core::broker::{Credential, Credentials};
    use cloudauth_core::{Exchange as _, ResponseHead, UnixTime};
    use proptest::prelude::*;

    fn aws() -> Given {
        let keys = AwsKeys {
            access_key_id: "ASIAEXAMPLE".to_owned(),
            secret_access_key: "s/\"".to_owned().into(),
            session_token: "t".repeat(2000).into(),
            expiration: UnixTime::parse("2026-11-22T13:00:00Z").unwrap(),
        };
        Given::Aws(keys, "eu-central-1".to_owned())
    }

    fn bearer() -> Given {
        let expiration = UnixTime::parse("2026-11-22T13:00:00Z").unwrap();
        Given::Bearer(BearerToken { token: "abc".to_owned().into(), expiration })
    }

    #[test]
    fn answers_are_as_the_protocol_says() {
        let token = "t".repeat(2000);
        let text = |answer: Answer| String::from_utf8(answer.body.to_vec()).unwrap();
        assert_eq!(
            text(v1("s3-reader", &aws())),
            format!(
                r#"{{"grant":"s3-reader","expires_at":"2026-11-22T13:00:00Z","aws":{{"access_key_id":"ASIAEXAMPLE","secret_access_key":"s/\"","session_token":"{token}","region":"eu-central-1"}}}}"#
            )
        );
        assert_eq!(
            text(v1("g", &bearer())),
            r#"{"grant":"g","expires_at":"2026-11-22T13:00:00Z","bearer":{"access_token":"abc","token_type":"Bearer"}}"#
        );
        assert_eq!(
            text(seed(&aws())),
            format!(
                r#"{{"Version":0,"AccessKeyId":"ASIAEXAMPLE","SecretAccessKey":"s/\"","SessionToken":"{token}","Expiration":"2026-11-22T13:00:00Z"}}"#
            )
        );
        assert_eq!(
            text(seed(&bearer())),
            r#"{"expires_in":"2026-11-22T13:00:00Z","access_token":"abc"}"#
        );
        let gave = v1("g", &bearer()).gave.unwrap();
        assert_eq!((gave.kind, gave.expires_at.as_str()), ("bearer", "2026-11-22T13:00:00Z"));
    }

    fn secrets(bundle: &BTreeMap<String, BTreeMap<String, Vec<u8>>>) -> Given {
        let expiration = UnixTime::parse("2026-11-22T13:00:00Z").unwrap();
        let wiped = |fields: &BTreeMap<String, Vec<u8>>| {
            fields.iter().map(|(field, octets)| (field.clone(), octets.clone().into())).collect()
        };
        let versions = bundle.keys().map(|name| (name.clone(), "v".to_owned())).collect();
        let bundle = bundle.iter().map(|(name, fields)| (name.clone(), wiped(fields))).collect();
        Given::Secrets(Secrets { bundle, expiration, issued: None }, versions)
    }

    #[test]
    fn an_answer_with_secrets() {
        let field = |field: &str, octets: &[u8]| (field.to_owned(), octets.to_vec());
        let bundle = BTreeMap::from([
            ("api-key".to_owned(), [field("value", b"geheim\0")].into()),
            ("tls".to_owned(), [field("chain", b""), field("crt", b"c")].into()),
        ]);
        let answer = v1("g", &secrets(&bundle));
        // By `printf 'geheim\\0' | base64`.
        assert_eq!(
            std::str::from_utf8(&answer.body).unwrap(),
            r#"{"grant":"g","expires_at":"2026-11-22T13:00:00Z","secrets":{"api-key":{"value":"Z2VoZWltAA=="},"tls":{"chain":"","crt":"Yw=="}}}"#
        );
        let gave = answer.gave.unwrap();
        assert_eq!((gave.kind, gave.secrets["tls"].as_str()), ("secrets", "v"));
    }

    proptest! {
        /// What is written is what the client's side reads, in the room that was reckoned with.
        #[test]
        fn clients_read_what_is_given(
            bundle in proptest::collection::btree_map(
                "[A-Za-z0-9_.-]{1,127}",
                proptest::collection::btree_map(
                    "[A-Za-z0-9_.-]{1,127}", proptest::collection::vec(any::<u8>(), 0..300), 1..4),
                1..9)
        ) {
            let given = secrets(&bundle);
            let answer = v1("g", &given);
            prop_assert!(answer.body.len() <= size(&given));
            let mut body = answer.body.to_vec();
            let exchange = Credentials { host: "h", request: b"r", attestation: "a.b.c" };
            let granted = exchange.response(&ResponseHead { status: 200, headers: &[] }, &mut body);
            let Credential::Secrets(read) = granted.unwrap().issued.credential else {
                unreachable!()
            };
            let decode = |encoded: cloudauth_core::broker::Encoded<'_>| {
                let mut space = vec![0; encoded.max_len()];
                encoded.decode(&mut space).unwrap().to_vec()
            };
            let read: BTreeMap<String, BTreeMap<String, Vec<u8>>> = read
                .iter()
                .map(|(name, fields)| {
                    let fields = fields.iter().map(|(f, octets)| (f.to_owned(), decode(octets)));
                    (name.to_owned(), fields.collect())
                })
                .collect();
            prop_assert_eq!(read, bundle);
        }
    }
}
