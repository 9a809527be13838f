//! What the emulator received: for tests to look at, with no secret in it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::clock;
use crate::fault::Fault;
use crate::request::{Reply, Request};
use crate::route::Service;

/// How many requests are remembered.
pub(crate) const CAPACITY: usize = 1000;

const MASK: &str = "***";
/// Longer values are cut: the log is for people.
const MAX_VALUE: usize = 4096;

/// A request that the emulator answered; every secret and signature in it is `***`.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Record {
    /// The emulator's time, RFC 3339.
    pub time: String,
    /// The service that answered.
    pub service: Service,
    /// The operation, as far as it was understood: `AssumeRole`, `client_credentials`, ….
    pub operation: Option<String>,
    /// The method.
    pub method: String,
    /// The host name and port that the client asked for.
    pub host: String,
    /// The path, percent-encoded as it was sent.
    pub path: String,
    /// The query, decoded.
    pub query: BTreeMap<String, String>,
    /// The headers.
    pub headers: BTreeMap<String, String>,
    /// The body, where it is a form, decoded.
    pub form: BTreeMap<String, String>,
    /// How many octets the body has.
    pub body_length: usize,
    /// Who the request was found to come from.
    pub principal: Option<String>,
    /// The status of the answer; 0 where the connection was reset.
    pub status: u16,
    /// The name of the error in the answer.
    pub error: Option<String>,
    /// The fault that was applied.
    pub fault: Option<Fault>,
}

impl Record {
    pub(crate) fn new(request: &Request, service: Service, now: i64) -> Self {
        let pairs = |pairs: Vec<(String, String)>| {
            pairs.into_iter().map(|(name, value)| masked(name, &value)).collect()
        };
        let headers = request.headers.iter().map(|(name, value)| {
            masked(name.as_str().to_owned(), &String::from_utf8_lossy(value.as_bytes()))
        });
        let form = request.header("content-type").is_some_and(|t| t.contains("form-urlencoded"));
        Self {
            time: clock::rfc3339(now),
            service,
            operation: None,
            method: request.method.clone(),
            host: request.host.clone(),
            path: request.path.clone(),
            query: pairs(request.query_pairs().0),
            headers: headers.collect(),
            form: if form { pairs(request.form().0) } else { BTreeMap::new() },
            body_length: request.body.len(),
            principal: None,
            status: 0,
            error: None,
            fault: None,
        }
    }

    pub(crate) fn answered(&mut self, reply: &Reply) {
        self.status = reply.status;
        self.error.clone_from(&reply.error);
    }
}

/// The value without what must not be shown. Of a token (JWT) the signature goes: its claims are
/// what a test wants to see.
fn masked(name: String, value: &str) -> (String, String) {
    let lower = name.to_ascii_lowercase();
    let shown = match lower.as_str() {
        "authorization" => authorization(value),
        "client_secret"
        | "x-amz-security-token"
        | "x-amz-signature"
        | "tokencode"
        | "cookie"
        | "proxy-authorization"
        | "password"
        | "refresh_token" => MASK.to_owned(),
        "client_assertion" | "assertion" | "subject_token" | "actor_token" | "webidentitytoken" => {
            token(value)
        }
        _ => value.chars().take(MAX_VALUE).collect(),
    };
    (name, shown)
}

fn authorization(value: &str) -> String {
    match value.split_once("Signature=") {
        Some((before, _)) if value.starts_with("AWS4-") => format!("{before}Signature={MASK}"),
        _ => match value.split_once(' ') {
            Some((scheme, rest)) => format!("{scheme} {}", token(rest)),
            None => MASK.to_owned(),
        },
    }
}

/// `header.claims.***`, or `***` where it is no JWT.
fn token(value: &str) -> String {
    match value.rsplit_once('.') {
        Some((signed, _)) if signed.matches('.').count() == 1 && value.starts_with("ey") => {
            let signed: String = signed.chars().take(MAX_VALUE).collect();
            format!("{signed}.{MASK}")
        }
        _ => MASK.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked() {
        for (name, value, shown) in [
            (
                "Authorization",
                "AWS4-HMAC-SHA256 Credential=A/b, Signature=12ab",
                "AWS4-HMAC-SHA256 Credential=A/b, Signature=***",
            ),
            ("authorization", "Bearer ya29.secret", "Bearer ***"),
            ("authorization", "Bearer eyJh.eyJi.c2ln", "Bearer eyJh.eyJi.***"),
            ("authorization", "secret", "***"),
            ("client_secret", "a", "***"),
            ("client_assertion", "eyJh.eyJi.c2ln", "eyJh.eyJi.***"),
            ("X-Amz-Security-Token", "a", "***"),
            ("WebIdentityToken", "opaque", "***"),
            ("RoleArn", "arn:x", "arn:x"),
        ] {
            assert_eq!(masked(name.to_owned(), value).1, shown, "{name}");
        }
    }
}
