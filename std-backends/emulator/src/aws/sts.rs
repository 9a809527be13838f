//! AWS Security Token Service (API version 2011-06-15).

mod parameters;
mod web_identity;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use serde_json::{Value, json};

use super::sigv4::{Caller, Refusal, verify};
use super::{AwsError, account_of, assumed_role_arn, issue, unique_id, xml};
use crate::clock;
use crate::config::AwsRole;
use crate::keys::uuid;
use crate::request::{Call, Form, Reply};
use crate::state::{Issued, Session};
use parameters::Parameters;

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";
const VERSION: &str = "2011-06-15";
/// The longest session of a role that another role's session assumes.
const CHAINED: u32 = 3600;

/// Answers a request.
pub(crate) fn answer(call: &mut Call<'_>) -> Reply {
    let form = match call.request.method.as_str() {
        "GET" => call.request.query_pairs(),
        _ => call.request.form(),
    };
    let action = form.get("Action").unwrap_or_default().to_owned();
    call.record.operation = (!action.is_empty()).then(|| action.clone());
    let done = match action.as_str() {
        _ if !matches!(call.request.method.as_str(), "GET" | "POST") => {
            Err(AwsError::new(405, "InvalidRequest", "GET or POST it is."))
        }
        _ if form.get("Version").is_some_and(|version| version != VERSION) => {
            Err(AwsError::new(400, "InvalidAction", format!("Could not find operation {action}")))
        }
        "AssumeRole" => authentic(call).and_then(|caller| assume_role(call, &caller, &form)),
        "AssumeRoleWithWebIdentity" => web_identity::assume(call, &form),
        "GetSessionToken" => authentic(call).and_then(|caller| session_token(call, &caller, &form)),
        "GetCallerIdentity" => authentic(call).map(|caller| {
            json!({"Arn": caller.arn, "UserId": caller.user_id, "Account": caller.account})
        }),
        _ => Err(AwsError::new(
            400,
            "InvalidAction",
            format!("Could not find operation {action} for version {VERSION}"),
        )),
    };
    match done {
        Ok(result) => success(call, &action, &result),
        Err(error) => failure(call, &error),
    }
}

/// Whether the client wants JSON in the place of XML.
fn wants_json(call: &Call<'_>) -> bool {
    call.request.header("accept").is_some_and(|accept| accept.contains("application/json"))
}

fn success(call: &Call<'_>, action: &str, result: &Value) -> Reply {
    let request_id = uuid();
    let content =
        json!({format!("{action}Result"): result, "ResponseMetadata": {"RequestId": request_id}});
    let response = format!("{action}Response");
    let reply = if wants_json(call) {
        Reply::new(200, "application/json", json!({response: content}).to_string())
    } else {
        Reply::new(200, "text/xml", xml::document(&response, Some(NAMESPACE), &content))
    };
    reply.header("x-amzn-requestid", request_id)
}

/// An error in the form of the service.
pub(crate) fn failure(call: &Call<'_>, error: &AwsError) -> Reply {
    let request_id = uuid();
    let kind = if error.status < 500 { "Sender" } else { "Receiver" };
    let content = json!({
        "Error": {"Type": kind, "Code": error.code, "Message": error.message},
        "RequestId": request_id,
    });
    let reply = if wants_json(call) {
        Reply::new(error.status, "application/json", content.to_string())
    } else {
        Reply::new(
            error.status,
            "text/xml",
            xml::document("ErrorResponse", Some(NAMESPACE), &content),
        )
    };
    reply.header("x-amzn-requestid", request_id).error(error.code)
}

/// The caller, by the signature.
fn authentic(call: &mut Call<'_>) -> Result<Caller, AwsError> {
    let caller = verify(call, "sts").map_err(|refusal| refused(call.now, refusal))?;
    call.record.principal = Some(caller.arn.clone());
    Ok(caller)
}

fn refused(now: i64, refusal: Refusal) -> AwsError {
    let mismatch = |message: String| AwsError::new(403, "SignatureDoesNotMatch", message);
    match refusal {
        Refusal::Missing => AwsError::new(
            403,
            "MissingAuthenticationToken",
            "Request is missing Authentication Token",
        ),
        Refusal::Malformed(what) => AwsError::new(400, "IncompleteSignature", what),
        Refusal::UnknownKey | Refusal::WrongToken => AwsError::new(
            403,
            "InvalidClientTokenId",
            "The security token included in the request is invalid.",
        ),
        Refusal::Expired => AwsError::new(
            403,
            "ExpiredToken",
            "The security token included in the request is expired",
        ),
        Refusal::Skewed { signed } if signed < now => mismatch(format!(
            "Signature expired: {} is now earlier than {} ({} - 15 min.)",
            clock::basic(signed),
            clock::basic(now.saturating_sub(900)),
            clock::basic(now)
        )),
        Refusal::Skewed { signed } => mismatch(format!(
            "Signature not yet current: {} is still later than {} ({} + 5 min.)",
            clock::basic(signed),
            clock::basic(now.saturating_add(300)),
            clock::basic(now)
        )),
        Refusal::UrlExpired => mismatch(format!("Signature expired: it is {}", clock::basic(now))),
        Refusal::Scope(what) | Refusal::Unsigned(what) => mismatch(what),
        Refusal::Mismatch => mismatch(
            "The request signature we calculated does not match the signature you provided. Check \
             your AWS Secret Access Key and signing method. Consult the service documentation for \
             details."
                .into(),
        ),
    }
}

fn validation(message: impl Into<String>) -> AwsError {
    AwsError::new(400, "ValidationError", message)
}

fn denied(message: impl Into<String>) -> AwsError {
    AwsError::new(403, "AccessDenied", message)
}

fn check_mfa(call: &Call<'_>, caller: &Caller, form: &Form) -> Result<Option<String>, AwsError> {
    let (serial, code) = match (form.get("SerialNumber"), form.get("TokenCode")) {
        (None, None) => return Ok(None),
        (Some(serial), Some(code)) => (serial, code),
        _ => return Err(validation("SerialNumber and TokenCode go together")),
    };
    let user = call.state.users.iter().find(|u| u.access_key_id == caller.signed.access_key_id);
    let right = user.is_some_and(|user| {
        let expected = user.mfa_code.as_ref().map(|code| code.expose()).unwrap_or_default();
        user.mfa_serial.as_deref() == Some(serial)
            && verify_slices_are_equal(expected.as_bytes(), code.as_bytes()).is_ok()
    });
    if right {
        return Ok(Some(serial.to_owned()));
    }
    Err(denied("MultiFactorAuthentication failed with invalid MFA one time pass code."))
}

fn assume_role(call: &mut Call<'_>, caller: &Caller, form: &Form) -> Result<Value, AwsError> {
    let parameters = Parameters::read(form)?;
    let mfa_serial = check_mfa(call, caller, form)?;
    let refuse = || {
        denied(format!(
            "User: {} is not authorized to perform: sts:AssumeRole on resource: {}",
            caller.arn, parameters.role_arn
        ))
    };
    let role = call.state.role(&parameters.role_arn).ok_or_else(refuse)?;
    // A session of a role is trusted by the role's own ARN too.
    let of_session = caller.session.as_ref().and_then(|session| session.role_arn.as_deref());
    let trusted = role.trust.iter().any(|principal| {
        principal == "*" || *principal == caller.arn || Some(principal.as_str()) == of_session
    });
    let external = role.external_id.is_none() || role.external_id == parameters.external_id;
    if !trusted || !external {
        return Err(refuse());
    }
    let chained = of_session.is_some();
    if chained && parameters.duration.is_some_and(|seconds| seconds > CHAINED) {
        return Err(validation(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by \
             role chaining",
        ));
    }
    let mut session = parameters.session(caller.session.as_ref())?;
    session.operation = "AssumeRole".into();
    session.mfa_serial = mfa_serial;
    session.issued_to = caller.arn.clone();
    let role = role.clone();
    Ok(finish(call, &role, &parameters, session))
}

/// Makes the session of a role and describes it.
fn finish(
    call: &mut Call<'_>,
    role: &AwsRole,
    parameters: &Parameters,
    mut session: Session,
) -> Value {
    let name = &parameters.session_name;
    let role_id = unique_id("AROA", &role.arn);
    session.arn = assumed_role_arn(&role.arn, name);
    session.user_id = format!("{role_id}:{name}");
    session.account = account_of(&role.arn).to_owned();
    session.role_arn = Some(role.arn.clone());
    session.expires = call.expiry(parameters.duration.unwrap_or(3600).min(role.max_duration));
    let issued = issue(session);
    let mut result = json!({
        "Credentials": credentials(&issued),
        "AssumedRoleUser": {"Arn": issued.session.arn, "AssumedRoleId": issued.session.user_id},
    });
    if let Some(source) = &issued.session.source_identity {
        put(&mut result, "SourceIdentity", json!(source));
    }
    if let Some(policy) = &issued.session.policy {
        put(&mut result, "PackedPolicySize", json!(policy.len() * 100 / parameters::MAX_POLICY));
    }
    call.state.remember_session(issued, call.now);
    result
}

fn put(result: &mut Value, name: &str, value: Value) {
    if let Some(members) = result.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}

fn credentials(issued: &Issued) -> Value {
    json!({
        "AccessKeyId": issued.session.access_key_id,
        "SecretAccessKey": issued.secret,
        "SessionToken": issued.token,
        "Expiration": issued.session.expires,
    })
}

fn session_token(call: &mut Call<'_>, caller: &Caller, form: &Form) -> Result<Value, AwsError> {
    if caller.session.is_some() {
        return Err(denied("Cannot call GetSessionToken with session credentials"));
    }
    let duration = parameters::duration(form, 129_600)?.unwrap_or(43_200);
    let mfa_serial = check_mfa(call, caller, form)?;
    let issued = issue(Session {
        operation: "GetSessionToken".into(),
        arn: caller.arn.clone(),
        user_id: caller.user_id.clone(),
        account: caller.account.clone(),
        issued_to: caller.arn.clone(),
        expires: call.expiry(duration),
        mfa_serial,
        ..Session::default()
    });
    let result = json!({"Credentials": credentials(&issued)});
    call.state.remember_session(issued, call.now);
    Ok(result)
}
