//! Microsoft Entra ID: the token endpoint (client credentials) and what SDKs discover before it.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use jsonwebtoken::Algorithm;
use serde_json::json;

use crate::clock;
use crate::config::Federated;
use crate::keys::{Token, TokenKey, any_base64, uuid};
use crate::request::{Call, Form, Reply};

/// Times of an assertion may be so much off.
const LEEWAY: i64 = 300;
/// An assertion lives a day at most.
const MAX_LIFE: i64 = 86_400;
/// How long the access tokens live.
const LIFE: u32 = 3599;
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// An error: status, OAuth name, number and message.
struct Refusal(u16, &'static str, u32, String);

fn refuse<T>(
    status: u16,
    name: &'static str,
    code: u32,
    what: impl Into<String>,
) -> Result<T, Refusal> {
    Err(Refusal(status, name, code, what.into()))
}

/// A client that is not who it says: 401.
fn invalid<T>(code: u32, what: impl Into<String>) -> Result<T, Refusal> {
    refuse(401, "invalid_client", code, what)
}

/// Answers a request.
pub(crate) fn answer(call: &mut Call<'_>) -> Reply {
    let request = call.request;
    let segments: Vec<&str> = request.path.split('/').skip(1).collect();
    let done = match segments.as_slice() {
        ["common", "discovery", "instance"] => Ok(instance(call)),
        [tenant, "v2.0", ".well-known", "openid-configuration"] => configuration(call, tenant),
        [_, "discovery", "v2.0", "keys"] => Ok(Reply::json(200, &TokenKey::get().jwks())),
        [tenant, "oauth2", "v2.0", "token"] if request.method == "POST" => token(call, tenant),
        [_, "oauth2", "v2.0", "token"] => {
            refuse(405, "invalid_request", 900_561, "The endpoint only accepts POST requests.")
        }
        _ => refuse(404, "invalid_request", 90_020, "There is no such page."),
    };
    done.unwrap_or_else(|refusal| failure(call.now, refusal))
}

fn failure(now: i64, Refusal(status, name, code, what): Refusal) -> Reply {
    let (trace, correlation) = (uuid(), uuid());
    let time = clock::rfc3339(now).replace('T', " ");
    let body = json!({
        "error": name,
        "error_description": format!(
            "AADSTS{code}: {what} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {time}"
        ),
        "error_codes": [code],
        "timestamp": time,
        "trace_id": trace,
        "correlation_id": correlation,
        "error_uri": format!("https://login.microsoftonline.com/error?code={code}"),
    });
    Reply::json(status, &body).error(format!("AADSTS{code}"))
}

/// An error for a fault.
pub(crate) fn fault(now: i64, status: u16) -> Reply {
    let code = if status == 429 { 50_196 } else { 90_033 };
    let what = "A transient error has occurred. Please try again.";
    failure(now, Refusal(status, "temporarily_unavailable", code, what.into()))
}

fn instance(call: &Call<'_>) -> Reply {
    let query = call.request.query_pairs();
    let host = &call.request.host;
    let tenant = query.get("authorization_endpoint").and_then(|url| url.split('/').nth(3));
    let discovery = format!(
        "{}/{}/v2.0/.well-known/openid-configuration",
        call.request.base(),
        tenant.unwrap_or("common")
    );
    Reply::json(
        200,
        &json!({
            "tenant_discovery_endpoint": discovery,
            "api-version": "1.1",
            "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
        }),
    )
}

fn known_tenant(call: &Call<'_>, tenant: &str) -> Result<(), Refusal> {
    let known =
        call.state.applications.iter().any(|(app, _)| app.tenant.eq_ignore_ascii_case(tenant));
    if known || matches!(tenant, "common" | "organizations") {
        return Ok(());
    }
    refuse(
        400,
        "invalid_request",
        90_002,
        format!(
            "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are \
             signing into the correct cloud."
        ),
    )
}

fn configuration(call: &Call<'_>, tenant: &str) -> Result<Reply, Refusal> {
    known_tenant(call, tenant)?;
    let base = format!("{}/{tenant}", call.request.base());
    Ok(Reply::json(
        200,
        &json!({
            "issuer": format!("{base}/v2.0"),
            "authorization_endpoint": format!("{base}/oauth2/v2.0/authorize"),
            "token_endpoint": format!("{base}/oauth2/v2.0/token"),
            "jwks_uri": format!("{base}/discovery/v2.0/keys"),
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "response_types_supported": ["token"],
            "subject_types_supported": ["pairwise"],
        }),
    ))
}

fn token(call: &mut Call<'_>, tenant: &str) -> Result<Reply, Refusal> {
    let form = call.request.form();
    call.record.operation = form.get("grant_type").map(str::to_owned);
    known_tenant(call, tenant)?;
    if let Some(name) = form.repeated() {
        return refuse(400, "invalid_request", 900_144, format!("'{name}' is given twice."));
    }
    let required = |name: &str| match form.get(name) {
        Some(value) => Ok(value),
        None => refuse(
            400,
            "invalid_request",
            900_144,
            format!("The request body must contain the following parameter: '{name}'."),
        ),
    };
    let grant = required("grant_type")?;
    if grant != "client_credentials" {
        let what = format!("The app requested an unsupported grant type '{grant}'.");
        return refuse(400, "unsupported_grant_type", 70_003, what);
    }
    let client_id = required("client_id")?;
    let scope = required("scope")?;
    authenticate(call, tenant, client_id, &form)?;
    call.record.principal = Some(client_id.to_owned());
    let resource = match scope.strip_suffix("/.default") {
        Some(resource) if !resource.is_empty() && !scope.contains(' ') => resource,
        _ => {
            return refuse(
                400,
                "invalid_scope",
                1_002_012,
                format!(
                    "The provided value for scope {scope} is not valid. Client credential flows \
                     must have a scope value with /.default suffixed to the resource identifier \
                     (application ID URI)."
                ),
            );
        }
    };
    let claims = json!({
        "aud": resource,
        "iss": format!("{}/{tenant}/v2.0", call.request.base()),
        "iat": call.now, "nbf": call.now, "exp": call.expiry(LIFE),
        "appid": client_id, "azp": client_id, "sub": client_id, "tid": tenant, "ver": "2.0",
    });
    let Some(access_token) = TokenKey::get().sign(&claims) else {
        return refuse(503, "temporarily_unavailable", 90_033, "The emulator has no token key.");
    };
    let expires_in = call.expires_in(LIFE);
    Ok(Reply::json(
        200,
        &json!({
            "token_type": "Bearer",
            "expires_in": expires_in,
            "ext_expires_in": expires_in,
            "access_token": access_token,
        }),
    )
    .header("cache-control", "no-store, no-cache"))
}

fn authenticate(
    call: &mut Call<'_>,
    tenant: &str,
    client_id: &str,
    form: &Form,
) -> Result<(), Refusal> {
    let found = call.state.applications.iter().find(|(app, _)| {
        app.tenant.eq_ignore_ascii_case(tenant) && app.client_id.eq_ignore_ascii_case(client_id)
    });
    let Some((application, certificates)) = found else {
        return refuse(
            400,
            "unauthorized_client",
            700_016,
            format!(
                "Application with identifier '{client_id}' was not found in the directory \
                 '{tenant}'."
            ),
        );
    };
    if let Some(secret) = form.get("client_secret") {
        let same = |known: &crate::config::Secret| {
            verify_slices_are_equal(known.expose().as_bytes(), secret.as_bytes()).is_ok()
        };
        return if application.secrets.iter().any(same) {
            Ok(())
        } else {
            let what = format!(
                "Invalid client secret provided. Ensure the secret being sent in the request is \
                 the client secret value, not the client secret ID, for a secret added to app \
                 '{client_id}'."
            );
            invalid(7_000_215, what)
        };
    }
    let Some(text) = form.get("client_assertion") else {
        let what = "The request body must contain the following parameter: 'client_assertion' or \
                    'client_secret'.";
        return invalid(7_000_218, what);
    };
    if form.get("client_assertion_type") != Some(JWT_BEARER) {
        let what = format!("'client_assertion_type' must be '{JWT_BEARER}'.");
        return refuse(400, "invalid_request", 900_144, what);
    }
    let malformed = "JWT token is invalid or malformed.";
    let Some(token) = Token::parse(text) else { return invalid(50_027, malformed) };
    let issuer = token.text("iss").unwrap_or_default();
    if !issuer.eq_ignore_ascii_case(client_id) {
        return federated(call, client_id, &application.federated, &token);
    }
    // An assertion signed with a certificate's key.
    let thumbprints = (token.header.x5t_s256.as_deref(), token.header.x5t.as_deref());
    let certificate = match thumbprints {
        (Some(s256), _) => {
            any_base64(s256).and_then(|wanted| certificates.iter().find(|one| one.sha256 == wanted))
        }
        (None, Some(s1)) => {
            any_base64(s1).and_then(|wanted| certificates.iter().find(|one| one.sha1 == wanted))
        }
        _ => None,
    };
    let signed = certificate.is_some_and(|certificate| {
        matches!(token.header.alg, Algorithm::PS256 | Algorithm::RS256)
            && token.verified_by(&certificate.key)
    });
    if !signed {
        let reason = match (certificate, thumbprints) {
            (Some(_), _) => {
                "The signature is not of the certificate's key, or its algorithm is \
                             neither PS256 nor RS256."
            }
            (None, (None, None)) => "The assertion has no x5t#S256 or x5t header.",
            _ => "No certificate of this thumbprint is registered on the application.",
        };
        return invalid(
            700_027,
            format!(
                "The certificate with identifier used to sign the client assertion is not \
                 registered on application, or the signature is not valid. [Reason - {reason}]"
            ),
        );
    }
    if token.text("sub").is_none_or(|sub| !sub.eq_ignore_ascii_case(client_id)) {
        let what = "Client assertion application identifier doesn't match 'client_id' parameter.";
        return invalid(700_021, what);
    }
    check_audience(call, tenant, &token)?;
    let expires = check_times(call, &token)?;
    let Some(jti) = token.text("jti") else {
        return invalid(50_027, format!("{malformed} The claim 'jti' is missing."));
    };
    if !call.state.first_use(client_id, jti, expires.saturating_add(LEEWAY), call.now) {
        return invalid(50_013, "Assertion failed: its 'jti' has been used before (replay).");
    }
    Ok(())
}

/// `aud`: the token endpoint as it was asked, or by its public name, or the tenant's issuer.
fn check_audience(call: &Call<'_>, tenant: &str, token: &Token<'_>) -> Result<(), Refusal> {
    let names = [
        call.request.base(),
        format!("https://{}", call.request.host),
        "https://login.microsoftonline.com".to_owned(),
        "https://login.microsoftonline.us".to_owned(),
        "https://login.partner.microsoftonline.cn".to_owned(),
    ];
    let audiences = token.audiences();
    let right = names.iter().any(|base| {
        ["oauth2/v2.0/token", "v2.0"].iter().any(
            |end| matches!(audiences.as_slice(), [one] if *one == format!("{base}/{tenant}/{end}")),
        )
    });
    if right {
        return Ok(());
    }
    let what = format!(
        "Client assertion audience claim does not match Realm issuer. The claim is {audiences:?}, \
         the token endpoint {}/{tenant}/oauth2/v2.0/token.",
        call.request.base()
    );
    invalid(700_023, what)
}

fn check_times(call: &Call<'_>, token: &Token<'_>) -> Result<i64, Refusal> {
    let Some(expires) = token.time("exp") else {
        return invalid(50_027, "JWT token is invalid or malformed. The claim 'exp' is missing.");
    };
    let starts = token.time("nbf").or_else(|| token.time("iat")).unwrap_or(call.now);
    let early = starts > call.now.saturating_add(LEEWAY);
    let late = expires.saturating_add(LEEWAY) <= call.now;
    if early || late || expires.saturating_sub(starts) > MAX_LIFE || expires <= starts {
        return invalid(
            700_024,
            format!(
                "Client assertion is not within its valid time range. Current time: {}, assertion \
                 valid from {}, expiry time of assertion {}.",
                clock::rfc3339(call.now),
                clock::rfc3339(starts),
                clock::rfc3339(expires)
            ),
        );
    }
    Ok(expires)
}

/// A token of another issuer in the place of a certificate (workload identity federation).
fn federated(
    call: &Call<'_>,
    client_id: &str,
    credentials: &[Federated],
    token: &Token<'_>,
) -> Result<(), Refusal> {
    let issuer = token.text("iss").unwrap_or_default();
    let subject = token.text("sub").unwrap_or_default();
    let of_issuer: Vec<&Federated> =
        credentials.iter().filter(|credential| credential.issuer == issuer).collect();
    if of_issuer.is_empty() {
        return invalid(
            700_211,
            format!(
                "No matching federated identity record found for presented assertion issuer \
                 '{issuer}' on application '{client_id}'."
            ),
        );
    }
    let of_subject: Vec<_> = of_issuer.into_iter().filter(|one| one.subject == subject).collect();
    if of_subject.is_empty() {
        return invalid(
            700_213,
            format!(
                "No matching federated identity record found for presented assertion subject \
                 '{subject}'."
            ),
        );
    }
    let audiences = token.audiences();
    if !of_subject.iter().any(|one| audiences == [one.audience.as_str()]) {
        return invalid(
            700_212,
            format!(
                "No matching federated identity record found for presented assertion audience \
                 {audiences:?}."
            ),
        );
    }
    if !call.state.issuers.get(issuer).is_some_and(|keys| keys.verifies(token)) {
        return invalid(
            50_013,
            "Assertion failed signature validation. [Reason - The key was not found or the \
             signature is wrong.]",
        );
    }
    check_times(call, token).map(|_| ())
}
