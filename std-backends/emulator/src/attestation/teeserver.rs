//! The token service of Confidential Space's launcher, on a unix socket
//! (<https://cloud.google.com/confidential-computing/confidential-space/docs/connect-external-resources>).

use serde::Deserialize;

use super::AttestationKind;
use super::claims::{Runtime, Tags};
use super::mint::{self, AttestationToken};
use crate::request::{Call, Reply};

/// The audience of the default token, which is for Google's token exchange alone.
const DEFAULT_AUDIENCE: &str = "https://sts.googleapis.com";
const MAX_NONCES: usize = 6;
const NONCE_OCTETS: core::ops::RangeInclusive<usize> = 10..=74;
const MAX_AUDIENCE: usize = 512;
const LIFE: u32 = 3600;

/// An error: text, whatever the client accepts.
pub(crate) fn failure(status: u16, what: &str) -> Reply {
    Reply::new(status, "text/plain; charset=utf-8", what.to_owned()).error(what)
}

/// The body of a request; a name that is none of these is an error, as it is at the launcher.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default)]
    audience: String,
    #[serde(default)]
    nonces: Option<Vec<String>>,
    #[serde(default)]
    token_type: String,
    #[serde(default)]
    aws_principal_tag_options: Option<TagOptions>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct TagOptions {
    allowed_principal_tags: Option<AllowedTags>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct AllowedTags {
    container_image_signatures: Option<Signatures>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Signatures {
    key_ids: Option<Vec<String>>,
}

/// Answers a request that came over the socket.
pub(crate) fn answer(call: &mut Call<'_>) -> Reply {
    match (call.request.method.as_str(), call.request.path.as_str()) {
        ("GET", "/v1/token") => {
            call.record.operation = Some("default".into());
            issue(call, AttestationKind::Oidc, DEFAULT_AUDIENCE.into(), Vec::new(), None)
        }
        ("POST", "/v1/token") => custom(call),
        (_, "/v1/token") => failure(400, "the token is asked for with GET or POST"),
        _ => failure(404, "there is no such page"),
    }
}

fn custom(call: &mut Call<'_>) -> Reply {
    // serde would read the members from a list too.
    if !call.request.body.trim_ascii_start().starts_with(b"{") {
        return failure(400, "the body is no JSON object");
    }
    let options = match serde_json::from_slice::<Options>(&call.request.body) {
        Ok(options) => options,
        Err(error) => return failure(400, &format!("the body is not as it should be: {error}")),
    };
    call.record.operation = Some(options.token_type.clone());
    if options.audience.is_empty() {
        return failure(400, "audience is missing: the default token is asked for with GET");
    }
    if options.audience.len() > MAX_AUDIENCE {
        return failure(400, "audience has more than 512 octets");
    }
    let kind = match options.token_type.as_str() {
        "OIDC" => AttestationKind::Oidc,
        "PKI" => AttestationKind::Pki,
        "LIMITED_AWS" => AttestationKind::LimitedAws,
        "AWS_PRINCIPALTAGS" => AttestationKind::AwsPrincipalTags,
        "" => return failure(400, "token_type is missing"),
        _ => {
            let what = "token_type must be OIDC, PKI, LIMITED_AWS or AWS_PRINCIPALTAGS";
            return failure(400, what);
        }
    };
    let nonces = options.nonces.unwrap_or_default();
    if nonces.len() > MAX_NONCES {
        return failure(400, "there are more than 6 nonces");
    }
    if !nonces.iter().all(|nonce| NONCE_OCTETS.contains(&nonce.len())) {
        return failure(400, "a nonce must have 10 to 74 octets");
    }
    if options.aws_principal_tag_options.is_some() && kind != AttestationKind::AwsPrincipalTags {
        return failure(400, "aws_principal_tag_options are for the type AWS_PRINCIPALTAGS");
    }
    let tags = (kind == AttestationKind::AwsPrincipalTags).then(|| {
        let allowed = options.aws_principal_tag_options.and_then(|it| it.allowed_principal_tags);
        let ids = allowed.and_then(|it| it.container_image_signatures).and_then(|it| it.key_ids);
        ids.filter(|ids| !ids.is_empty()).map_or(Tags::ImageDigest, Tags::KeyIds)
    });
    issue(call, kind, options.audience, nonces, tags)
}

fn issue(
    call: &Call<'_>,
    kind: AttestationKind,
    audience: String,
    nonces: Vec<String>,
    tags: Option<Tags>,
) -> Reply {
    let lifetime = Some(call.expiry(LIFE).saturating_sub(call.now));
    let token =
        AttestationToken { kind, audience, nonces, lifetime, ..AttestationToken::default() };
    match mint::build(&call.state.attestation, call.now, &token, tags, &Runtime::None) {
        Ok(token) => Reply::new(200, "text/html", token).chunked(),
        Err(error) => failure(500, &error.to_string()),
    }
}
