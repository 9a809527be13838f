//! Answers in JSON, of every exchange: never an empty credential, never one out of a refusal.
#![no_main]

use cloudauth_core::aws::CreateSession;
use cloudauth_core::azure::{self, Application, Authority, Credential};
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
        let id = gcp::GenerateIdToken::new(Secret::new("t"), email, "audience");
        if let Ok(answer) = id.response(&head, &mut data.to_vec()) {
            good(answer);
        }
    }
});
