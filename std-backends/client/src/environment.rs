//! The variables that the clouds' own tools read.

use std::env::VarError;

use cloudauth_tls::{Endpoint, TransportError};

use crate::{Error, Result};

/// An environment variable. An empty one is the same as none, as in the clouds' own tools.
///
/// # Errors
/// [`Error::Config`] when it is not UTF-8.
pub fn variable(name: &str) -> Result<Option<String>> {
    match std::env::var(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(Error::config(name, "is not UTF-8")),
    }
}

/// What is given, else the first variable that is set.
pub(crate) fn given(
    value: Option<&str>,
    field: &'static str,
    variables: &[&str],
) -> Result<String> {
    if let Some(value) = value {
        return Ok(value.to_owned());
    }
    for name in variables {
        if let Some(value) = variable(name)? {
            return Ok(value);
        }
    }
    let variables = variables.join(" or ");
    Err(Error::Missing { field, help: format!("give it, or set {variables}") })
}

/// The endpoint that is given, else that of the AWS SDKs' variables: of the service, then of all. Source: AWS
/// SDKs and Tools Reference Guide, "Service-specific endpoints".
pub(crate) fn aws_endpoint(given: Option<&str>, service: &str) -> Result<Option<Endpoint>> {
    if let Some(url) = given {
        return endpoint(url, "endpoint URL").map(Some);
    }
    if variable("AWS_USE_FIPS_ENDPOINT")?.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Err(Error::config(
            "AWS_USE_FIPS_ENDPOINT",
            "FIPS endpoints are not chosen by themselves; give the URL of one as endpoint-url, such as \
             https://sts-fips.us-east-1.amazonaws.com",
        ));
    }
    let ignored = variable("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")?;
    if ignored.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    for name in [&*format!("AWS_ENDPOINT_URL_{service}"), "AWS_ENDPOINT_URL"] {
        if let Some(url) = variable(name)? {
            return endpoint(&url, name).map(Some);
        }
    }
    Ok(None)
}

/// A URL, or a bare host, which is reached by https.
pub(crate) fn endpoint(text: &str, place: &str) -> Result<Endpoint> {
    let url = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    Endpoint::parse(&url).map_err(|e| match e {
        TransportError::Config { help, .. } => Error::config(place, help),
        e => Error::config(place, e.to_string()),
    })
}
