//! Random requests signed by us and by the `aws-sigv4` crate: the same octets, in headers and in the
//! query.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SessionTokenMode, SignableBody, SignableRequest,
    SignatureLocation, SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use cloudauth_core::UnixTime;
use cloudauth_core::aws::sigv4::{Payload, Request, Settings, SigV4};
use cloudauth_core::aws::{SecretAccessKey, SigningKey};
use proptest::prelude::*;

type Pairs = Vec<(String, String)>;

#[derive(Clone, Debug)]
struct Case {
    method: &'static str,
    path: String,
    query: Option<String>,
    headers: Vec<(String, String)>,
    payload: u8,
    body: Vec<u8>,
    token: Option<String>,
    settings: Settings,
    time: u64,
    expires: Option<u32>,
}

const HOST: &str = "bucket.example.amazonaws.com";

fn case() -> impl Strategy<Value = Case> {
    // What `http::Uri` takes in a path or query, with dots, slashes and percent signs in plenty.
    let path =
        "(/|/\\.|/\\.\\.|[a-zA-Z0-9._~!$&'()*+,;=:@-]{1,6}|%[0-7][0-9A-Fa-f]|%E1%88%B4|//){0,12}";
    let pair =
        "([a-cA-C]|%20|%2F|%c3%b6|%[0-9]|\\+|-|~){0,4}(=([a-z0-9/:;,.=?]|%3d|%zz|\\+|%0A){0,6})?";
    let query = proptest::collection::vec(pair, 0..80).prop_map(|pairs| pairs.join("&"));
    let name = "[a-zA-Z][a-zA-Z0-9-]{0,8}|X-Amz-Meta-[A-C]|my-header|User-Agent|Transfer-Encoding";
    let value = "[ a-zA-Z0-9,;=\"/öß-]{0,20}";
    let headers = proptest::collection::vec((name, value), 0..90);
    let settings = any::<[bool; 4]>().prop_map(|[a, b, c, d]| Settings {
        normalize_path: a,
        double_encode: b,
        content_sha256_header: c,
        session_token_after_signing: d,
    });
    (
        (prop_oneof![Just("GET"), Just("PUT"), Just("POST"), Just("DELETE")], path),
        proptest::option::of(query),
        headers,
        (0u8..4, proptest::collection::vec(any::<u8>(), 0..200)),
        proptest::option::of("[A-Za-z0-9+/=]{1,40}"),
        settings,
        0u64..4_000_000_000,
        proptest::option::of(1u32..604_801),
    )
        .prop_map(
            |((method, path), query, headers, (payload, body), token, settings, time, expires)| {
                Case {
                    method,
                    path: format!("/{}", path.trim_start_matches('/')),
                    query,
                    // The peer panics on names of its own that are repeated; they are no caller's headers.
                    headers: headers
                        .into_iter()
                        .filter(|(n, _)| {
                            !["host", "x-amz-date"].contains(&n.to_lowercase().as_str())
                        })
                        .collect(),
                    payload,
                    body,
                    token,
                    settings,
                    time,
                    expires,
                }
            },
        )
}

/// Headers that the peer adds, or the presigned query pairs it adds, and its signature.
fn theirs(case: &Case) -> (Pairs, Pairs, String) {
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = match case.settings.double_encode {
        true => PercentEncodingMode::Double,
        false => PercentEncodingMode::Single,
    };
    settings.uri_path_normalization_mode = match case.settings.normalize_path {
        true => UriPathNormalizationMode::Enabled,
        false => UriPathNormalizationMode::Disabled,
    };
    settings.payload_checksum_kind = match case.settings.content_sha256_header {
        true => PayloadChecksumKind::XAmzSha256,
        false => PayloadChecksumKind::NoHeader,
    };
    settings.session_token_mode = match case.settings.session_token_after_signing {
        true => SessionTokenMode::Exclude,
        false => SessionTokenMode::Include,
    };
    if let Some(expires) = case.expires {
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(Duration::from_secs(expires.into()));
    }
    let identity =
        Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG", case.token.clone(), None, "test")
            .into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region("eu-central-1")
        .name("service")
        .time(SystemTime::UNIX_EPOCH + Duration::from_secs(case.time))
        .settings(settings)
        .build()
        .unwrap()
        .into();
    let body = match case.payload {
        0 => SignableBody::Bytes(&case.body),
        1 => SignableBody::UnsignedPayload,
        2 => SignableBody::StreamingUnsignedPayloadTrailer,
        _ => SignableBody::Precomputed("ab".repeat(32)),
    };
    let headers = case.headers.iter().map(|(n, v)| (n.as_str(), v.as_str()));
    let request = SignableRequest::new(case.method, uri(case), headers, body).unwrap();
    let (out, signature) = sign(request, &params).unwrap().into_parts();
    let own = |(n, v): (&str, Cow<'static, str>)| (n.to_owned(), v.into_owned());
    let headers = out.headers().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    (headers, out.params().iter().cloned().map(own).collect(), signature)
}

fn uri(case: &Case) -> String {
    let query = case.query.as_ref().map(|q| format!("?{q}")).unwrap_or_default();
    format!("https://{HOST}{}{query}", case.path)
}

fn ours(case: &Case) -> (Pairs, Pairs, String) {
    let time = UnixTime::new(case.time).unwrap();
    let secret = SecretAccessKey::new("wJalrXUtnFEMI/K7MDENG").unwrap();
    let key = SigningKey::derive(&secret, time, "eu-central-1", "service").unwrap();
    let mut headers: Vec<(&str, &str)> =
        case.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    headers.push(("Host", HOST));
    let request = Request {
        method: case.method,
        path: &case.path,
        query: case.query.as_deref().unwrap_or_default(),
        headers: &headers,
        payload: match case.payload {
            0 => Payload::Bytes(&case.body),
            1 => Payload::Unsigned,
            2 => Payload::StreamingUnsignedTrailer,
            _ => Payload::Sha256([0xab; 32]),
        },
    };
    let signer = SigV4 {
        access_key_id: "AKIDEXAMPLE",
        session_token: case.token.as_deref(),
        key: &key,
        settings: case.settings,
    };
    let mut buf = vec![0u8; 65_536];
    match case.expires {
        None => {
            let signed = signer.sign(&request, time, &mut buf).unwrap();
            let headers = signed.headers().map(|(n, v)| (n.to_lowercase(), v.to_owned()));
            (headers.collect(), vec![], signed.signature().to_owned())
        }
        Some(expires) => {
            let target = signer.presign(&request, time, expires, &mut buf).unwrap();
            let (path, query) = target.split_once('?').unwrap();
            assert_eq!(path, case.path);
            let own = case.query.as_deref().filter(|q| !q.is_empty());
            let added = own
                .map_or(query, |own| query.strip_prefix(own).unwrap().strip_prefix('&').unwrap());
            let pairs = added.split('&').map(|pair| {
                let (name, value) = pair.split_once('=').unwrap();
                let value = percent_decoded(value);
                (name.to_owned(), value)
            });
            let pairs: Vec<_> = pairs.collect();
            let signature = pairs.last().unwrap().1.clone();
            (vec![], pairs, signature)
        }
    }
}

fn percent_decoded(text: &str) -> String {
    let bytes = cloudauth_core::encode::percent::Decoder::new(text.as_bytes()).collect();
    String::from_utf8(bytes).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]
    #[test]
    fn same_as_aws_sigv4(case in case()) {
        // A path that is no URI is not the peer's to sign.
        prop_assume!(uri(&case).parse::<http::Uri>().is_ok());
        // The peer replaces octets that are not UTF-8; we sign them as they are.
        let query = case.query.as_deref().unwrap_or_default().as_bytes();
        let decoded: Vec<u8> = cloudauth_core::encode::percent::Decoder::new(query).collect();
        prop_assume!(String::from_utf8(decoded).is_ok());
        let (mut their_headers, mut their_pairs, their_signature) = theirs(&case);
        let (mut our_headers, mut our_pairs, our_signature) = ours(&case);
        for list in [&mut their_headers, &mut our_headers, &mut their_pairs, &mut our_pairs] {
            list.sort();
        }
        prop_assert_eq!(our_signature, their_signature);
        prop_assert_eq!(our_headers, their_headers);
        prop_assert_eq!(our_pairs, their_pairs);
    }

    #[test]
    fn no_request_panics(
        method in "\\PC{0,5}", path in "\\PC{0,30}", query in "\\PC{0,30}",
        headers in proptest::collection::vec((any::<String>(), any::<String>()), 0..4),
        room in 0usize..700,
    ) {
        let time = UnixTime::new(1_440_938_160).unwrap();
        let secret = SecretAccessKey::new("s").unwrap();
        let key = SigningKey::derive(&secret, time, "us-east-1", "s3").unwrap();
        let mut all: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (&**n, &**v)).collect();
        all.push(("host", "h"));
        let request = Request {
            method: &method, path: &path, query: &query, headers: &all, payload: Payload::Unsigned,
        };
        let mut buf = vec![0u8; room];
        let signer = SigV4::new("AKID", &key);
        if let Err(error) = signer.sign(&request, time, &mut buf)
            && let Some(needed) = error.needed()
        {
            prop_assert!(needed > room);
            prop_assert!(signer.sign(&request, time, &mut vec![0; needed]).is_ok());
            prop_assert!(signer.sign(&request, time, &mut vec![0; needed - 1]).is_err());
        }
        let _ = signer.presign(&request, time, 60, &mut buf);
    }
}
