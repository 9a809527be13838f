//! `AssumeRoleWithWebIdentity`: a token of a registered issuer in the place of a signature.

use serde_json::{Value, json};

use super::parameters::Parameters;
use super::{finish, put, validation};
use crate::aws::{AwsError, account_of, is_name};
use crate::clock;
use crate::keys::Token;
use crate::request::{Call, Form};

/// A `nbf` or `iat` may be so much ahead.
const LEEWAY: i64 = 300;

pub(super) fn assume(call: &mut Call<'_>, form: &Form) -> Result<Value, AwsError> {
    let parameters = Parameters::read(form)?;
    let text = form.get("WebIdentityToken").ok_or_else(|| {
        validation("Value null at 'webIdentityToken' failed to satisfy constraint: not null")
    })?;
    let invalid = |message: String| AwsError::new(400, "InvalidIdentityToken", message);
    let token = Token::parse(text).ok_or_else(|| {
        invalid(
            "The ID Token provided is not a valid JWT. (You may see this error if you sent an \
                 Access Token)"
                .into(),
        )
    })?;
    let issuer = token.text("iss").unwrap_or_default();
    let keys = call.state.issuers.get(issuer).ok_or_else(|| {
        invalid(format!("No OpenIDConnect provider found in your account for {issuer}"))
    })?;
    if !keys.verifies(&token) {
        return Err(invalid(
            "Couldn't retrieve verification key from your identity provider, please reference \
             AssumeRoleWithWebIdentity documentation for requirements"
                .into(),
        ));
    }
    check_times(call, &token)?;
    let subject = token.text("sub").unwrap_or_default();
    let refuse = || {
        AwsError::new(
            403,
            "AccessDenied",
            "Not authorized to perform sts:AssumeRoleWithWebIdentity",
        )
    };
    let role = call.state.role(&parameters.role_arn).ok_or_else(refuse)?;
    let of_issuer = || role.web_identity.iter().filter(|trusted| trusted.issuer == issuer);
    if of_issuer().next().is_none() {
        return Err(refuse());
    }
    let audiences = token.audiences();
    let mut matching = of_issuer().filter(|trusted| audiences.contains(&trusted.audience.as_str()));
    let first = matching.next().ok_or_else(|| invalid("Incorrect token audience".into()))?;
    let wanted = |subject_of: &Option<String>| subject_of.as_ref().is_none_or(|s| s == subject);
    let trusted = wanted(&first.subject).then_some(first);
    let trusted = trusted.or_else(|| matching.find(|other| wanted(&other.subject)));
    let audience = trusted.ok_or_else(refuse)?.audience.clone();
    let mut session = parameters.session(None)?;
    session.operation = "AssumeRoleWithWebIdentity".into();
    session.issued_to = format!("{issuer} {subject}");
    session.source_identity = source_identity(&token)?;
    principal_tags(&token, &mut session.tags, &mut session.transitive_tag_keys);
    call.record.principal = Some(session.issued_to.clone());
    let provider = format!(
        "arn:aws:iam::{}:oidc-provider/{}",
        account_of(&role.arn),
        issuer.trim_start_matches("https://")
    );
    let role = role.clone();
    let mut result = finish(call, &role, &parameters, session);
    put(&mut result, "SubjectFromWebIdentityToken", json!(subject));
    put(&mut result, "Audience", json!(audience));
    put(&mut result, "Provider", json!(provider));
    Ok(result)
}

fn check_times(call: &Call<'_>, token: &Token<'_>) -> Result<(), AwsError> {
    let invalid = |message: &str| AwsError::new(400, "InvalidIdentityToken", message);
    let expires = token.time("exp").ok_or_else(|| invalid("Missing a required claim: exp"))?;
    let issued = token.time("iat").ok_or_else(|| invalid("Missing a required claim: iat"))?;
    if expires <= call.now {
        return Err(AwsError::new(
            400,
            "ExpiredTokenException",
            format!(
                "Token expired: current date/time {} must be before the expiration date/time {}",
                clock::rfc3339(call.now),
                clock::rfc3339(expires)
            ),
        ));
    }
    let starts = token.time("nbf").unwrap_or(issued).max(issued);
    if starts > call.now.saturating_add(LEEWAY) {
        return Err(invalid("The ID Token is not valid yet"));
    }
    Ok(())
}

/// The claim that becomes the session's source identity.
fn source_identity(token: &Token<'_>) -> Result<Option<String>, AwsError> {
    match token.text("https://aws.amazon.com/source_identity") {
        Some(name) if is_name(name, 2, 64, "_+=,.@-") => Ok(Some(name.to_owned())),
        None => Ok(None),
        Some(_) => Err(validation("the claim source_identity does not fit its pattern")),
    }
}

/// The claim `https://aws.amazon.com/tags`, whose values are lists of one text.
fn principal_tags(
    token: &Token<'_>,
    tags: &mut std::collections::BTreeMap<String, String>,
    transitive: &mut Vec<String>,
) {
    let Some(claim) = token.claims.get("https://aws.amazon.com/tags") else { return };
    let given = claim.get("principal_tags").and_then(Value::as_object);
    for (key, value) in given.into_iter().flatten() {
        let first = value.as_array().and_then(|all| all.first()).unwrap_or(value);
        tags.insert(key.clone(), first.as_str().unwrap_or_default().to_owned());
    }
    let keys = claim.get("transitive_tag_keys").and_then(Value::as_array);
    transitive.extend(keys.into_iter().flatten().filter_map(|key| key.as_str().map(str::to_owned)));
}
