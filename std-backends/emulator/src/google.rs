//! Google: the OAuth 2.0 token endpoint (service accounts), the Security Token Service, and the IAM
//! Service Account Credentials API.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::clock;
use crate::keys::{Token, TokenKey, random};
use crate::request::{Call, Reply};
use crate::state::GoogleToken;

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const SUBJECT_TOKENS: [&str; 2] =
    ["urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:id_token"];
const ISSUER: &str = "https://accounts.google.com";
const LIFE: u32 = 3599;
/// Clocks may differ so much.
const LEEWAY: i64 = 300;

/// An OAuth error: name and description.
struct Refusal(&'static str, String);

fn refuse<T>(name: &'static str, what: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal(name, what.into()))
}

fn oauth_failure(status: u16, name: &str, what: &str) -> Reply {
    Reply::json(status, &json!({"error": name, "error_description": what})).error(name)
}

/// An error for a fault, of the OAuth endpoints.
pub(crate) fn oauth_fault(status: u16) -> Reply {
    let name = if status == 429 { "rate_limit_exceeded" } else { "internal_failure" };
    oauth_failure(status, name, "The emulator was told to fail.")
}

/// An error in the form of Google's APIs.
pub(crate) fn api_failure(status: u16, name: &'static str, what: &str) -> Reply {
    Reply::json(status, &json!({"error": {"code": status, "message": what, "status": name}}))
        .error(name)
}

/// Answers a request to the OAuth server.
pub(crate) fn oauth(call: &mut Call<'_>) -> Reply {
    match (call.request.method.as_str(), call.request.path.as_str()) {
        ("POST", "/token") => {
            token(call).unwrap_or_else(|Refusal(name, what)| oauth_failure(400, name, &what))
        }
        ("GET", "/oauth2/v3/certs") => Reply::json(200, &TokenKey::get().jwks()),
        ("GET", "/.well-known/openid-configuration") => {
            let base = call.request.base();
            Reply::json(
                200,
                &json!({
                    "issuer": ISSUER,
                    "token_endpoint": format!("{base}/token"),
                    "jwks_uri": format!("{base}/oauth2/v3/certs"),
                    "id_token_signing_alg_values_supported": ["RS256"],
                }),
            )
        }
        _ => oauth_failure(404, "invalid_request", "There is no such page."),
    }
}

fn access_token(call: &mut Call<'_>, principal: &str, life: u32) -> String {
    let token = format!("ya29.{}", URL_SAFE_NO_PAD.encode(random::<96>()));
    let value = GoogleToken { principal: principal.to_owned(), expires: call.expiry(life) };
    call.state.remember_google_token(token.clone(), value, call.now);
    token
}

fn id_token(call: &Call<'_>, email: &str, audience: &str, with_email: bool) -> Option<String> {
    let mut claims = json!({
        "iss": ISSUER, "aud": audience, "azp": email, "sub": subject_of(email),
        "iat": call.now, "exp": call.expiry(3600),
    });
    if let (true, Some(members)) = (with_email, claims.as_object_mut()) {
        members.insert("email".into(), json!(email));
        members.insert("email_verified".into(), json!(true));
    }
    TokenKey::get().sign(&claims)
}

/// A numeric subject, always the same for the same account.
fn subject_of(email: &str) -> String {
    let hash = crate::keys::sha256(email.as_bytes());
    hash.iter().take(21).map(|octet| char::from(b'0' + octet % 10)).collect()
}

fn token(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let form = call.request.form();
    let grant = form.get("grant_type").unwrap_or_default();
    call.record.operation = Some(grant.rsplit(':').next().unwrap_or_default().to_owned());
    if grant != JWT_BEARER {
        return refuse("unsupported_grant_type", format!("Invalid grant_type: {grant}"));
    }
    let Some(text) = form.get("assertion") else {
        return refuse("invalid_request", "Missing required parameter: assertion");
    };
    let Some(token) = Token::parse(text) else {
        return refuse("invalid_grant", "Invalid JWT: Failed to parse.");
    };
    let email = verified_account(call, &token)?;
    let audiences = token.audiences();
    let endpoints =
        [format!("{}/token", call.request.base()), "https://oauth2.googleapis.com/token".into()];
    if !matches!(audiences.as_slice(), [one] if endpoints.iter().any(|known| known == one)) {
        return refuse("invalid_grant", "Invalid JWT: Failed audience check.");
    }
    call.record.principal = Some(email.clone());
    match (token.text("target_audience"), token.text("scope")) {
        (Some(audience), None) if !audience.is_empty() => {
            match id_token(call, &email, audience, true) {
                Some(token) => Ok(Reply::json(200, &json!({"id_token": token}))),
                None => refuse("internal_failure", "The emulator has no token key."),
            }
        }
        (None, Some(scope)) if !scope.is_empty() => {
            let token = access_token(call, &email, LIFE);
            let expires_in = call.expires_in(LIFE);
            let body = json!({
                "access_token": token, "expires_in": expires_in, "token_type": "Bearer",
                "scope": scope,
            });
            Ok(Reply::json(200, &body))
        }
        _ => refuse("invalid_scope", "Invalid OAuth scope or ID token audience provided."),
    }
}

/// The service account whose key signed the token, its times checked.
fn verified_account(call: &Call<'_>, token: &Token<'_>) -> Result<String, Refusal> {
    let issuer = token.text("iss").unwrap_or_default();
    let found = call.state.service_accounts.iter().find(|(account, _)| account.email == issuer);
    let Some((account, keys)) = found else {
        return refuse("invalid_grant", "Invalid grant: account not found");
    };
    let signed = token.header.alg == Algorithm::RS256
        && keys.iter().any(|(id, key)| {
            token.header.kid.as_ref().is_none_or(|kid| kid == id) && token.verified_by(key)
        });
    if !signed {
        return refuse("invalid_grant", "Invalid JWT Signature.");
    }
    let (issued, expires) = (token.time("iat"), token.time("exp"));
    let in_time = issued.zip(expires).is_some_and(|(issued, expires)| {
        let life = expires.saturating_sub(issued);
        (1..=3600).contains(&life)
            && issued <= call.now.saturating_add(LEEWAY)
            && expires.saturating_add(LEEWAY) > call.now
    });
    if !in_time {
        return refuse(
            "invalid_grant",
            "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable \
             timeframe. Check your iat and exp values in the JWT claim.",
        );
    }
    // Domain-wide delegation is not emulated.
    if token.text("sub").is_some_and(|subject| subject != issuer) {
        let what = "Client is unauthorized to retrieve access tokens using this method, or client \
                    not authorized for any of the scopes requested.";
        return refuse("unauthorized_client", what);
    }
    Ok(account.email.clone())
}

/// Answers a request to the Security Token Service: a token exchange (RFC 8693).
pub(crate) fn sts(call: &mut Call<'_>) -> Reply {
    call.record.operation = Some("token-exchange".into());
    if (call.request.method.as_str(), call.request.path.as_str()) != ("POST", "/v1/token") {
        return oauth_failure(404, "invalid_request", "POST /v1/token it is.");
    }
    exchange(call).unwrap_or_else(|Refusal(name, what)| oauth_failure(400, name, &what))
}

/// The parameters, from a form or from JSON, whose names are in camel case.
fn parameters(call: &Call<'_>) -> Result<Map<String, Value>, Refusal> {
    let json = call.request.header("content-type").is_some_and(|t| t.contains("json"));
    if !json {
        let form = call.request.form();
        if let Some(name) = form.repeated() {
            return refuse("invalid_request", format!("{name} is given twice"));
        }
        return Ok(form.0.into_iter().map(|(name, value)| (name, Value::String(value))).collect());
    }
    let Ok(members) = serde_json::from_slice::<Map<String, Value>>(&call.request.body) else {
        return refuse("invalid_request", "The body is no JSON object.");
    };
    let snake = |name: String| {
        let mut out = String::new();
        for c in name.chars() {
            if c.is_ascii_uppercase() {
                out.push('_');
            }
            out.push(c.to_ascii_lowercase());
        }
        out
    };
    Ok(members.into_iter().map(|(name, value)| (snake(name), value)).collect())
}

fn exchange(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let parameters = parameters(call)?;
    let get = |name: &str| {
        let value = parameters.get(name).and_then(Value::as_str).filter(|value| !value.is_empty());
        value.ok_or_else(|| Refusal("invalid_request", format!("Missing required field: {name}")))
    };
    if get("grant_type")? != TOKEN_EXCHANGE {
        return refuse("invalid_request", "The grant_type must be token-exchange.");
    }
    if get("requested_token_type")? != ACCESS_TOKEN {
        return refuse("invalid_request", "The requested_token_type must be access_token.");
    }
    if !SUBJECT_TOKENS.contains(&get("subject_token_type")?) {
        return refuse("invalid_request", "The subject_token_type must be jwt or id_token.");
    }
    get("scope")?;
    let name = get("audience")?;
    let provider = call.state.providers.iter().find(|provider| provider.audience == name);
    let Some(provider) = provider else {
        return refuse(
            "invalid_target",
            "The target service indicated by the \"audience\" parameters is invalid. This might \
             either be because the pool or provider is disabled or deleted or because it doesn't \
             exist.",
        );
    };
    let Some(token) = Token::parse(get("subject_token")?) else {
        return refuse("invalid_request", "Unable to parse the ID Token.");
    };
    if token.text("iss") != Some(provider.issuer.as_str()) {
        let what = format!(
            "The issuer in ID Token {} does not match the expected ones: {}",
            token.text("iss").unwrap_or_default(),
            provider.issuer
        );
        return refuse("invalid_grant", what);
    }
    if !call.state.issuers.get(&provider.issuer).is_some_and(|keys| keys.verifies(&token)) {
        return refuse(
            "invalid_grant",
            "Error connecting to the given credential's issuer or \
                       Invalid ID Token signature.",
        );
    }
    let audiences = token.audiences();
    let expected = if provider.allowed_audiences.is_empty() {
        vec![name.to_owned(), format!("https:{name}")]
    } else {
        provider.allowed_audiences.clone()
    };
    if !audiences.iter().any(|audience| expected.iter().any(|known| known == audience)) {
        let what = format!(
            "The audience in ID Token {audiences:?} does not match the expected audience {expected:?}."
        );
        return refuse("invalid_grant", what);
    }
    let (issued, expires) = (token.time("iat"), token.time("exp"));
    let in_time = issued.zip(expires).is_some_and(|(issued, expires)| {
        issued <= call.now.saturating_add(LEEWAY)
            && expires > call.now
            && (1..=86_400).contains(&expires.saturating_sub(issued))
    });
    if !in_time {
        return refuse(
            "invalid_grant",
            "ID Token issued at or expiry is not in a valid time frame.",
        );
    }
    let Some(subject) = token.text("sub").filter(|s| (1..=127).contains(&s.len())) else {
        return refuse(
            "invalid_grant",
            "The mapped attribute google.subject must be 1 to 127 octets.",
        );
    };
    let pool = name.split("/providers/").next().unwrap_or_default();
    let principal = format!("principal:{pool}/subject/{subject}");
    call.record.principal = Some(principal.clone());
    let token = access_token(call, &principal, LIFE);
    let body = json!({
        "access_token": token,
        "issued_token_type": ACCESS_TOKEN,
        "token_type": "Bearer",
        "expires_in": call.expires_in(LIFE),
    });
    Ok(Reply::json(200, &body))
}

/// The body of both methods; names of other members are an error, as they are at Google's.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct Generate {
    // google-auth writes null for what it does not need.
    delegates: Option<Vec<String>>,
    scope: Option<Vec<String>>,
    lifetime: Option<String>,
    audience: Option<String>,
    include_email: Option<bool>,
    #[serde(rename = "useEmailAzp")]
    _use_email_azp: Option<bool>,
}

/// Answers a request to the IAM Service Account Credentials API.
pub(crate) fn iam(call: &mut Call<'_>) -> Reply {
    let last = call.request.path.strip_prefix("/v1/projects/-/serviceAccounts/");
    let Some((email, method)) = last.and_then(|last| last.rsplit_once(':')) else {
        return api_failure(404, "NOT_FOUND", "There is no such method.");
    };
    let email = percent_encoding::percent_decode_str(email).decode_utf8_lossy().into_owned();
    call.record.operation = Some(method.to_owned());
    if call.request.method != "POST" {
        return api_failure(404, "NOT_FOUND", "The method is called with POST.");
    }
    let Some(caller) = bearer(call) else {
        return api_failure(
            401,
            "UNAUTHENTICATED",
            "Request had invalid authentication credentials. Expected OAuth 2 access token, login \
             cookie or other valid authentication credential.",
        );
    };
    call.record.principal = Some(caller.clone());
    let Ok(body) = serde_json::from_slice::<Generate>(&call.request.body) else {
        return api_failure(400, "INVALID_ARGUMENT", "Invalid JSON payload received.");
    };
    let found = call.state.service_accounts.iter().find(|(account, _)| account.email == email);
    let trusted = found.is_some_and(|(account, _)| account.impersonators.contains(&caller));
    if !trusted || body.delegates.is_some_and(|delegates| !delegates.is_empty()) {
        let permission =
            if method == "generateIdToken" { "getOpenIdToken" } else { "getAccessToken" };
        let what = format!(
            "Permission 'iam.serviceAccounts.{permission}' denied on resource (or it may not exist)."
        );
        return api_failure(403, "PERMISSION_DENIED", &what);
    }
    match method {
        "generateAccessToken" => {
            if body.scope.is_none_or(|scopes| scopes.is_empty()) {
                return api_failure(400, "INVALID_ARGUMENT", "scope is required");
            }
            let seconds = body.lifetime.as_deref().unwrap_or("3600s").strip_suffix('s');
            let seconds = seconds.and_then(|text| text.parse().ok());
            let Some(life) = seconds.filter(|seconds| (1..=3600).contains(seconds)) else {
                return api_failure(400, "INVALID_ARGUMENT", "lifetime must be 1s to 3600s");
            };
            let token = access_token(call, &email, life);
            let expire = clock::rfc3339(call.expiry(life));
            Reply::json(200, &json!({"accessToken": token, "expireTime": expire}))
        }
        "generateIdToken" => {
            let Some(audience) = body.audience.filter(|audience| !audience.is_empty()) else {
                return api_failure(400, "INVALID_ARGUMENT", "audience is required");
            };
            match id_token(call, &email, &audience, body.include_email == Some(true)) {
                Some(token) => Reply::json(200, &json!({"token": token})),
                None => api_failure(500, "INTERNAL", "The emulator has no token key."),
            }
        }
        _ => api_failure(404, "NOT_FOUND", "There is no such method."),
    }
}

/// Who a bearer token stands for: an access token that was issued here, or the token that a
/// service account signs for itself.
fn bearer(call: &Call<'_>) -> Option<String> {
    let text = call.request.header("authorization")?.strip_prefix("Bearer ")?;
    if let Some(known) = call.state.google_tokens.get(text) {
        return (known.expires > call.now).then(|| known.principal.clone());
    }
    let token = Token::parse(text)?;
    let scoped = token.text("scope").is_some_and(|scope| !scope.is_empty());
    let audiences = token.audiences();
    let addressed = audiences
        .iter()
        .any(|audience| audience.trim_end_matches('/') == "https://iamcredentials.googleapis.com");
    // Expired is expired: what is presented gets no leeway.
    let fresh = token.time("exp").is_some_and(|expires| expires > call.now);
    let right = fresh && token.text("sub") == token.text("iss") && (scoped || addressed);
    right.then(|| verified_account(call, &token).ok()).flatten()
}
