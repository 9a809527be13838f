//! Signature Version 4, checked: the crate aws-sigv4 signs the request as it arrived, and the two
//! signatures are compared.

use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_sigv4::http_request::{
    PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;

use super::{account_of, unique_id};
use crate::clock;
use crate::keys::{hex, sha256};
use crate::request::{Call, Form};
use crate::route::region_of_host;
use crate::state::Session;

/// How far a signature's time may be off the server's.
const WINDOW: i64 = 15 * 60;
/// STS lets a signature be only so much ahead.
const AHEAD: i64 = 5 * 60;
/// A presigned URL is good for a week at most.
const MAX_PRESIGNED: i64 = 7 * 86_400;

/// The parameters that presigning adds to a query; the signature covers the rest too.
const PRESIGNING: [&str; 7] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Security-Token",
    "X-Amz-Signature",
];

/// Who signed, and with what.
pub(crate) struct Caller {
    pub(crate) arn: String,
    pub(crate) user_id: String,
    pub(crate) account: String,
    /// The session whose credentials signed; None for a user's own key.
    pub(crate) session: Option<Session>,
    pub(crate) signed: Signed,
    secret: String,
}

/// What a signature says about itself.
pub(crate) struct Signed {
    pub(crate) access_key_id: String,
    pub(crate) time: i64,
    pub(crate) date: String,
    pub(crate) region: String,
    pub(crate) service: String,
    pub(crate) headers: String,
    pub(crate) signature: String,
    /// Seconds from `time`, of a presigned URL.
    expires: Option<i64>,
    token: Option<String>,
}

/// Why a signature is refused.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Refusal {
    /// There is none.
    Missing,
    /// It cannot be read.
    Malformed(String),
    /// Nobody has this access key.
    UnknownKey,
    /// The session token is absent, or not the one that was issued with the key.
    WrongToken,
    /// The session is over.
    Expired,
    /// Signed too long ago, or not yet.
    Skewed { signed: i64 },
    /// The presigned URL's time is over.
    UrlExpired,
    /// Date, region or service of the scope is not the request's.
    Scope(String),
    /// A header that must be signed is not.
    Unsigned(String),
    /// The signature is another one.
    Mismatch,
}

impl Caller {
    /// The signature of a chunk or trailer of an `aws-chunked` body.
    pub(crate) fn sign_chunk(&self, string_to_sign: &str) -> String {
        let Signed { region, service, .. } = &self.signed;
        let key = v4::generate_signing_key(&self.secret, moment(self.signed.time), region, service);
        v4::calculate_signature(key, string_to_sign.as_bytes())
    }

    /// `20150830/us-east-1/s3/aws4_request`.
    pub(crate) fn scope(&self) -> String {
        let Signed { date, region, service, .. } = &self.signed;
        format!("{date}/{region}/{service}/aws4_request")
    }
}

fn moment(seconds: i64) -> std::time::SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
}

/// Checks the request's signature for the service (`sts`, `s3`) and finds whose it is.
pub(crate) fn verify(call: &Call<'_>, service: &str) -> Result<Caller, Refusal> {
    let query = call.request.query_pairs();
    let signed = match call.request.header("authorization") {
        Some(header) => from_header(call, header)?,
        None if call.request.headers.contains_key("authorization") => {
            return Err(Refusal::Malformed("more than one Authorization header".into()));
        }
        None => from_query(&query)?,
    };
    let (secret, token, expires, caller) = find(call, &signed.access_key_id)?;
    if signed.token.as_deref().unwrap_or_default().is_empty() != token.is_none() {
        return Err(Refusal::WrongToken);
    }
    if let Some((issued, sent)) = token.as_ref().zip(signed.token.as_ref()) {
        verify_slices_are_equal(issued.as_bytes(), sent.as_bytes())
            .map_err(|_| Refusal::WrongToken)?;
    }
    check_scope(call, &signed, service)?;
    check_time(call.now, &signed, service)?;
    check_signed_headers(call, &signed, service)?;
    let ours = compute(call, &signed, &secret)?;
    verify_slices_are_equal(ours.as_bytes(), signed.signature.as_bytes())
        .map_err(|_| Refusal::Mismatch)?;
    // Only the holder of the secret learns that the session is over.
    if expires.is_some_and(|expires| expires <= call.now) {
        return Err(Refusal::Expired);
    }
    let (arn, user_id, account, session) = caller;
    Ok(Caller { arn, user_id, account, session, signed, secret })
}

type Found = (String, Option<String>, Option<i64>, (String, String, String, Option<Session>));

/// Secret, token, expiry and principal of an access key.
fn find(call: &Call<'_>, id: &str) -> Result<Found, Refusal> {
    if let Some(user) = call.state.users.iter().find(|user| user.access_key_id == id) {
        let arn = user.arn.clone();
        let account = account_of(&arn).to_owned();
        let who = (arn, unique_id("AIDA", &user.arn), account, None);
        return Ok((user.secret_access_key.expose().to_owned(), None, None, who));
    }
    let issued = call.state.sessions.get(id).ok_or(Refusal::UnknownKey)?;
    let session = issued.session.clone();
    let who = (session.arn.clone(), session.user_id.clone(), session.account.clone());
    let who = (who.0, who.1, who.2, Some(session));
    let expires = issued.session.expires;
    Ok((issued.secret.clone(), Some(issued.token.clone()), Some(expires), who))
}

/// `<id>/<date>/<region>/<service>/aws4_request`.
fn credential(text: &str) -> Result<[String; 4], Refusal> {
    let parts: Vec<&str> = text.split('/').collect();
    match parts.as_slice() {
        [id, date, region, service, "aws4_request"] if !id.is_empty() => {
            Ok([*id, *date, *region, *service].map(str::to_owned))
        }
        _ => Err(Refusal::Malformed(format!(
            "Credential must have exactly 5 slash-delimited elements, e.g. \
             keyid/date/region/service/term, got '{text}'"
        ))),
    }
}

/// The parameters of an `Authorization` header behind its algorithm.
pub(crate) fn header_parameter<'a>(parameters: &'a str, name: &str) -> Result<&'a str, Refusal> {
    let mut all = parameters.split(',').filter_map(|part| part.trim().split_once('='));
    let missing =
        || Refusal::Malformed(format!("Authorization header requires '{name}' parameter."));
    all.find(|(found, _)| *found == name).map(|(_, value)| value).ok_or_else(missing)
}

fn from_header(call: &Call<'_>, header: &str) -> Result<Signed, Refusal> {
    let Some(parameters) = header.strip_prefix("AWS4-HMAC-SHA256 ") else {
        return Err(Refusal::Malformed(
            "Unsupported AWS 'algorithm': AWS4-HMAC-SHA256 it is.".into(),
        ));
    };
    let [access_key_id, date, region, service] =
        credential(header_parameter(parameters, "Credential")?)?;
    let time = call.request.header("x-amz-date").and_then(clock::parse_basic).ok_or_else(|| {
        Refusal::Malformed(
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
                .into(),
        )
    })?;
    Ok(Signed {
        access_key_id,
        time,
        date,
        region,
        service,
        headers: header_parameter(parameters, "SignedHeaders")?.to_owned(),
        signature: header_parameter(parameters, "Signature")?.to_owned(),
        expires: None,
        token: call.request.header("x-amz-security-token").map(str::to_owned),
    })
}

fn from_query(query: &Form) -> Result<Signed, Refusal> {
    if query.get("X-Amz-Signature").is_none() {
        return Err(Refusal::Missing);
    }
    let get = |name: &str| {
        query.get(name).ok_or_else(|| Refusal::Malformed(format!("The query lacks '{name}'.")))
    };
    if get("X-Amz-Algorithm")? != "AWS4-HMAC-SHA256" {
        return Err(Refusal::Malformed("X-Amz-Algorithm only supports AWS4-HMAC-SHA256".into()));
    }
    let [access_key_id, date, region, service] = credential(get("X-Amz-Credential")?)?;
    let time = clock::parse_basic(get("X-Amz-Date")?).ok_or_else(|| {
        Refusal::Malformed("X-Amz-Date must be in the format 20060102T150405Z".into())
    })?;
    let expires = get("X-Amz-Expires")?.parse().ok();
    let expires =
        expires.filter(|seconds| (1..=MAX_PRESIGNED).contains(seconds)).ok_or_else(|| {
            Refusal::Malformed("X-Amz-Expires must be between 1 and 604800 seconds".into())
        })?;
    Ok(Signed {
        access_key_id,
        time,
        date,
        region,
        service,
        headers: get("X-Amz-SignedHeaders")?.to_owned(),
        signature: get("X-Amz-Signature")?.to_owned(),
        expires: Some(expires),
        token: query.get("X-Amz-Security-Token").map(str::to_owned),
    })
}

fn check_scope(call: &Call<'_>, signed: &Signed, service: &str) -> Result<(), Refusal> {
    if signed.service != service {
        return Err(Refusal::Scope(format!(
            "Credential should be scoped to correct service: '{service}'."
        )));
    }
    // On a loopback address any region will do.
    let region = region_of_host(call.request.hostname());
    if region.is_some_and(|region| region != signed.region) || signed.region.is_empty() {
        return Err(Refusal::Scope("Credential should be scoped to a valid region.".into()));
    }
    if clock::basic(signed.time).split('T').next() != Some(signed.date.as_str()) {
        return Err(Refusal::Scope(format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from \
             HTTP: '{}' != '{}'",
            signed.date,
            clock::basic(signed.time)
        )));
    }
    Ok(())
}

fn check_time(now: i64, signed: &Signed, service: &str) -> Result<(), Refusal> {
    let age = now.saturating_sub(signed.time);
    if let Some(expires) = signed.expires {
        if age > expires {
            return Err(Refusal::UrlExpired);
        }
    } else if age > WINDOW {
        return Err(Refusal::Skewed { signed: signed.time });
    }
    let ahead = if service == "s3" { WINDOW } else { AHEAD };
    if age < -ahead { Err(Refusal::Skewed { signed: signed.time }) } else { Ok(()) }
}

/// `host` and every `x-amz-…` header that is there must be signed.
pub(crate) fn check_signed_headers(
    call: &Call<'_>,
    signed: &Signed,
    service: &str,
) -> Result<(), Refusal> {
    let listed: Vec<&str> = signed.headers.split(';').collect();
    if !listed.is_sorted() || listed.iter().any(|name| name.chars().any(|c| c.is_ascii_uppercase()))
    {
        return Err(Refusal::Malformed("'SignedHeaders' must be in lower case and sorted.".into()));
    }
    if !listed.contains(&"host") {
        return Err(Refusal::Unsigned("'Host' or ':authority' must be a 'SignedHeader'.".into()));
    }
    for name in call.request.headers.keys().map(hyper::header::HeaderName::as_str) {
        if name.starts_with("x-amz-") && !listed.contains(&name) {
            return Err(Refusal::Unsigned(format!("'{name}' must be a 'SignedHeader'.")));
        }
    }
    let payload = signed.expires.is_none() && service == "s3";
    if payload && call.request.header("x-amz-content-sha256").is_none() {
        return Err(Refusal::Malformed("Missing required header: x-amz-content-sha256".into()));
    }
    Ok(())
}

/// The signature that the request should have.
fn compute(call: &Call<'_>, signed: &Signed, secret: &str) -> Result<String, Refusal> {
    let request = call.request;
    let mut settings = SigningSettings::default();
    settings.excluded_headers = None;
    let mut query = request.query.clone();
    if let Some(seconds) = signed.expires {
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(Duration::from_secs(u64::try_from(seconds).unwrap_or_default()));
        let parts = query.split('&').filter(|part| {
            let name = part.split('=').next().unwrap_or_default();
            !PRESIGNING.contains(&name)
        });
        query = parts.collect::<Vec<_>>().join("&");
    }
    let s3 = signed.service == "s3";
    if s3 {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    }
    let body = match (s3, request.header("x-amz-content-sha256")) {
        // What it says about the body is checked against the body elsewhere.
        (true, Some(claimed)) => SignableBody::Precomputed(claimed.to_owned()),
        (true, None) => SignableBody::UnsignedPayload,
        (false, _) => SignableBody::Bytes(&request.body),
    };
    // The token of the header form is among the signed headers.
    let token = signed.token.clone().filter(|_| signed.expires.is_some());
    let identity = Credentials::new(&signed.access_key_id, secret, token, None, "emulator").into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(&signed.region)
        .name(&signed.service)
        .time(moment(signed.time))
        .settings(settings)
        .build()
        .map_err(|e| Refusal::Malformed(e.to_string()))?
        .into();
    let listed = signed.headers.split(';');
    let mut headers = Vec::new();
    for name in listed {
        if name == "host" {
            headers.push((name, request.host.as_str()));
            continue;
        }
        for value in request.headers.get_all(name) {
            let value = value.to_str().map_err(|_| {
                Refusal::Malformed(format!("the header '{name}' is not visible ASCII"))
            })?;
            headers.push((name, value));
        }
    }
    let question = if query.is_empty() { "" } else { "?" };
    let url = format!("{}{}{question}{query}", request.base(), request.path);
    let unreadable = |_| Refusal::Malformed("the request cannot be put in canonical form".into());
    let signable = SignableRequest::new(&request.method, url, headers.into_iter(), body);
    let made = sign(signable.map_err(unreadable)?, &params).map_err(unreadable)?;
    Ok(made.signature().to_owned())
}

/// The canonical request of a form that aws-sigv4 does not have (IAM Roles Anywhere), hashed: the
/// path as it was sent, the query and the listed headers put in order.
pub(crate) fn canonical_hash(call: &Call<'_>, signed_headers: &str) -> Option<String> {
    let request = call.request;
    let mut query: Vec<String> = request
        .query_pairs()
        .0
        .iter()
        .map(|(name, value)| format!("{}={}", percent(name), percent(value)))
        .collect();
    query.sort();
    let mut headers = String::new();
    for name in signed_headers.split(';') {
        let value = if name == "host" { Some(request.host.as_str()) } else { request.header(name) };
        let words: Vec<&str> = value?.split_ascii_whitespace().collect();
        headers.push_str(&format!("{name}:{}\n", words.join(" ")));
    }
    let canonical = format!(
        "{}\n{}\n{}\n{headers}\n{signed_headers}\n{}",
        request.method,
        request.path,
        query.join("&"),
        hex(&sha256(&request.body))
    );
    Some(hex(&sha256(canonical.as_bytes())))
}

fn percent(text: &str) -> String {
    const KEEP: percent_encoding::AsciiSet =
        percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    percent_encoding::utf8_percent_encode(text, &KEEP).to_string()
}
