//! Answers in JSON, of every exchange: never an empty credential, never one out of a refusal.
#![no_main]

use cloudauth_core::attest::teeserver::{TokenRequest, TokenType};
use cloudauth_core::aws::CreateSession;
use cloudauth_core::azure::{self, Application, Authority, Credential};
use cloudauth_core::broker::{self, Challenge, Credentials, seed};
use cloudauth_core::gcp;
use cloudauth_core::x509::Certificate;
use cloudauth_core::{Exchange, ResponseHead, Secret};
use libfuzzer_sys::fuzz_target;

/// Any will do: answers do not depend on it.
const CERTIFICATE: &[u8] = include_bytes!("../seeds/certificate/p256");

fuzz_target!(|data: &[u8]| {
    let certificate = Certificate::parse(CERTIFICATE).expect("a certificate");
    let arn = "arn:aws:iam::123456789012:role/r";
    let session = CreateSession::new(certificate, arn, arn, arn);
    for status in [201, 403] {
        let head = ResponseHead { status, headers: &[] };
        if let Ok(session) = session.response(&head, &mut data.to_vec()) {
            assert_eq!(status, 201);
            assert!(!session.credentials.access_key_id.is_empty());
            assert!(!session.credentials.secret_access_key.expose().is_empty());
            assert!(!session.credentials.session_token.expose().is_empty());
        }
    }
    for status in [200, 400, 500] {
        let head = ResponseHead { status, headers: &[("content-type", "application/json")] };
        let good = |secret: Secret<'_>| {
            assert_eq!(status, 200);
            assert!(!secret.expose().is_empty());
        };
        let application = Application { tenant: "t", client_id: "c", authority: Authority::Public };
        let azure = azure::TokenRequest {
            scopes: &["s"],
            claims: None,
            credential: Credential::Federated(application, Secret::new("t")),
        };
        if let Ok(answer) = azure.response(&head, &mut data.to_vec()) {
            good(answer.token.access_token);
        }
        let token = gcp::AccessTokenRequest::new("r@p.iam.gserviceaccount.com", &["s"]);
        if let Ok(answer) = token.response(&head, &mut data.to_vec()) {
            good(answer.access_token);
        }
        let id = gcp::IdTokenRequest::new("r@p.iam.gserviceaccount.com", "audience");
        if let Ok(answer) = id.response(&head, &mut data.to_vec()) {
            good(answer);
        }
        let email = "r@p.iam.gserviceaccount.com";
        let access = gcp::GenerateAccessToken::new(Secret::new("t"), email);
        if let Ok(answer) = access.response(&head, &mut data.to_vec()) {
            good(answer.access_token);
        }
        let provider =
            "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/p";
        let token_type = gcp::SubjectTokenType::Jwt;
        let given = gcp::Subject::Given { provider, token: Secret::new("t"), token_type };
        let exchange = gcp::TokenExchange::new(given, &["s"]);
        if let Ok(answer) = exchange.response(&head, &mut data.to_vec()) {
            good(answer.access_token);
        }
        let challenge = Challenge { host: "h" };
        if let Ok(answer) = challenge.response(&head, &mut data.to_vec()) {
            assert_eq!(status, 200);
            assert!(answer.expires_in > 0);
        }
        let issued = |credential: broker::Credential<'_>| match credential {
            broker::Credential::Aws(keys) => {
                assert!(!keys.access_key_id.is_empty());
                good(keys.secret_access_key);
                good(keys.session_token);
            }
            broker::Credential::Bearer(token) => good(token),
            broker::Credential::Secrets(secrets) => {
                assert!(secrets.iter().next().is_some());
                for (name, fields) in secrets.iter() {
                    assert!(broker::is_name(name) && secrets.get(name) == Some(fields));
                    assert!(fields.iter().next().is_some());
                    for (field, encoded) in fields.iter() {
                        assert!(broker::is_name(field) && fields.get(field) == Some(encoded));
                        let mut space = vec![0; encoded.max_len()];
                        let _ = encoded.decode(&mut space);
                    }
                }
            }
            _ => {}
        };
        let credentials = Credentials { host: "h", request: b"r", attestation: "a.b.c" };
        if let Ok(answer) = credentials.response(&head, &mut data.to_vec()) {
            issued(answer.issued.credential);
        }
        let own = seed::Request::Aws {
            use_assume_role: false,
            access_key_id: "",
            role_arn: "",
            region: "",
            duration: 900,
            session_name: "",
        };
        for request in [own, seed::Request::Azure { tenant: None, appid: None, scope: "s" }] {
            let (token_jwt, attestation) = ("a.b.c", "a.b.c");
            let token = seed::Token { host: "h", path: "/", request, token_jwt, attestation };
            if let Ok(answer) = token.response(&head, &mut data.to_vec()) {
                issued(answer.credential);
            }
        }
        let nonces = &["0123456789"];
        let tee = TokenRequest { audience: "a", nonces, token_type: TokenType::Oidc };
        if let Ok(token) = tee.response(&head, &mut data.to_vec()) {
            good(token);
            let _ = tee.check(token.expose(), &mut vec![0; data.len()]);
        }
        let id = gcp::GenerateIdToken::new(Secret::new("t"), email, "audience");
        if let Ok(answer) = id.response(&head, &mut data.to_vec()) {
            good(answer);
        }
    }
});
