//! `cloudauth aws sign`: Signature Version 4 on a raw HTTP request.

use std::path::PathBuf;

use cloudauth_core::Out;
use cloudauth_core::aws::SigningKey;
use cloudauth_core::aws::sigv4::{Form, Payload, Request, Settings, SigV4};
use cloudauth_core::digest::sha256;
use cloudauth_core::encode::hex;
use serde_json::json;

use super::{access_key_id, region, session_token};
use crate::context::{Context, MAX_REQUEST, Output, body, body_name, json, read, with_buffer};
use crate::error::CliError;
use crate::raw_request::RawRequest;

const AFTER: &str = "\
Credentials come from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN; with --key the
secret access key comes from there instead, never from the command line.

Example:
  printf 'GET / HTTP/1.1\\nHost: example.amazonaws.com\\n' |
    cloudauth aws sign --request - --region us-east-1 --service service";

#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// The raw HTTP/1.1 request: a file, or - for standard input. Line ends, headers and body stay as
    /// they are: for sending, end lines with CR LF and give a Content-Length
    #[arg(long, value_name = "FILE")]
    request: PathBuf,
    /// The region, such as eu-central-1 [env: AWS_REGION, AWS_DEFAULT_REGION]
    #[arg(long)]
    region: Option<String>,
    /// The service's signing name. For s3 the path is taken as it is and the payload's hash is added
    #[arg(long)]
    service: String,
    /// The access key id [env: AWS_ACCESS_KEY_ID]
    #[arg(long, value_name = "ID")]
    access_key_id: Option<String>,
    /// Where the secret access key is: file:PATH of a file that holds it and nothing else, or env:NAME
    #[arg(long, value_name = "URI", default_value = "env:AWS_SECRET_ACCESS_KEY")]
    key: String,
    /// Sign in the query: a presigned URL. For s3 the payload is not signed (UNSIGNED-PAYLOAD)
    #[arg(long)]
    presign: bool,
    /// How long a presigned URL is good for, in seconds (1 to 604800)
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, requires = "presign")]
    expires: u32,
    /// Do not resolve . and .. and repeated slashes in the path
    #[arg(long)]
    no_normalize_path: bool,
    /// Do not encode the path a second time
    #[arg(long)]
    no_double_encode: bool,
    /// Add X-Amz-Content-Sha256
    #[arg(long)]
    content_sha256_header: bool,
    /// Sign UNSIGNED-PAYLOAD in place of the body's hash
    #[arg(long)]
    unsigned_payload: bool,
    /// Add the session token after signing, without signing it
    #[arg(long)]
    session_token_after_signing: bool,
    /// Print one JSON object with the canonical request, the string to sign and the signature
    #[arg(long)]
    explain: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Vec<u8>, CliError> {
    let now = context.now()?;
    let mut raw = RawRequest::parse(&read(&args.request, MAX_REQUEST)?)?;
    let region = region(args.region.as_deref())?;
    let id = access_key_id(args.access_key_id.as_deref())?;
    let secret = context.mac_key(&args.key)?;
    let session_token = session_token()?;
    if args.presign {
        // Of a signature before this one, in the headers: services refuse two at once.
        for name in ["authorization", "x-amz-date"] {
            raw.remove(name);
        }
        if args.service == "s3" {
            raw.remove("x-amz-content-sha256");
        }
        const TOKEN: &str = "x-amz-security-token";
        if raw.header(TOKEN).is_some() {
            if session_token.is_none() {
                return Err(CliError::input(
                    "request",
                    "X-Amz-Security-Token: a presigned URL has it in the query; set AWS_SESSION_TOKEN",
                ));
            }
            raw.remove(TOKEN);
        }
    } else if raw.path_and_query().1.split('&').any(|pair| pair.starts_with("X-Amz-Signature=")) {
        return Err(CliError::input(
            "request",
            "its query is signed already; remove the X-Amz- parameters",
        ));
    }
    let key = SigningKey::derive(&secret, now, &region, &args.service)?;
    let s3 = args.service == "s3";
    let signer = SigV4 {
        access_key_id: &id,
        session_token: session_token.as_deref(),
        key: &key,
        settings: Settings {
            normalize_path: !(s3 || args.no_normalize_path),
            double_encode: !(s3 || args.no_double_encode),
            content_sha256_header: s3 || args.content_sha256_header,
            session_token_after_signing: args.session_token_after_signing,
        },
    };
    // S3 takes no payload hash in a presigned URL.
    let unsigned = args.unsigned_payload || s3 && args.presign;
    let form = if args.presign { Form::Query { expires: args.expires } } else { Form::Headers };
    let headers: Vec<(&str, &str)> = raw.headers.iter().map(|(n, v)| (&**n, &**v)).collect();
    let (path, query) = raw.path_and_query();
    let payload = if unsigned { Payload::Unsigned } else { payload(&raw)? };
    let request = Request { method: &raw.method, path, query, headers: &headers, payload };

    let mut added: Vec<(String, String)> = Vec::new();
    let mut target = None;
    let signature = match form {
        Form::Headers => with_buffer(|buf| {
            let signed = signer.sign(&request, now, buf)?;
            added = signed.headers().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
            Ok(signed.signature().to_owned())
        })?,
        Form::Query { expires } => with_buffer(|buf| {
            let signed = signer.presign(&request, now, expires, buf)?;
            target = Some(signed.to_owned());
            Ok(signed.rsplit('=').next().unwrap_or_default().to_owned())
        })?,
    };
    if args.explain {
        let canonical = written(|out| signer.canonical_request(&request, now, form, out))?;
        let string_to_sign = written(|out| signer.string_to_sign(&request, now, form, out))?;
        let (name, value) = match (target, added.pop()) {
            (Some(target), _) => ("url", format!("https://{}{target}", raw.host())),
            (None, authorization) => ("authorization", authorization.unwrap_or_default().1),
        };
        return Ok(json(&json!({
            "canonical_request": canonical,
            "string_to_sign": string_to_sign,
            "signature": signature,
            name: value,
        })));
    }
    drop(headers);
    if let Some(target) = target {
        raw.target = target;
    }
    for (name, value) in added {
        raw.set(&name, &value);
    }
    if context.output == Output::Json {
        // A repeated header is a list (RFC 9110, section 5.3), joined as it was signed.
        let mut joined: Vec<(&str, String)> = Vec::new();
        for (name, value) in &raw.headers {
            match joined.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
                Some((_, list)) => list.extend([",", value]),
                None => joined.push((name, value.clone())),
            }
        }
        let headers: serde_json::Map<_, _> =
            joined.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        return Ok(json(&json!({
            "method": raw.method,
            "url": format!("https://{}{}", raw.host(), raw.target),
            "headers": headers,
            body_name(&raw.body): body(&raw.body),
        })));
    }
    Ok(raw.write())
}

/// What is signed of the body: what the request's own X-Amz-Content-Sha256 says, else the body.
fn payload(raw: &RawRequest) -> Result<Payload<'_>, CliError> {
    match raw.header("x-amz-content-sha256") {
        Some("UNSIGNED-PAYLOAD") => return Ok(Payload::Unsigned),
        Some("STREAMING-UNSIGNED-PAYLOAD-TRAILER") => return Ok(Payload::StreamingUnsignedTrailer),
        Some(stated) => {
            let mut digest = [0u8; 32];
            hex::decode(stated.as_bytes(), &mut digest).map_err(|_| {
                CliError::input(
                    "X-Amz-Content-Sha256",
                    "expected 64 hexadecimal digits or UNSIGNED-PAYLOAD",
                )
            })?;
            if !raw.body.is_empty() && digest != sha256(&raw.body) {
                return Err(CliError::input("X-Amz-Content-Sha256", "is not the body's hash"));
            }
            return Ok(Payload::Sha256(digest));
        }
        None => {}
    }
    let announced = raw.header("content-length").is_some_and(|length| length != "0")
        || raw.header("transfer-encoding").is_some();
    if raw.body.is_empty() && announced {
        return Err(CliError::input(
            "request",
            "a header says that there is a body, but it is missing; add it, or use --unsigned-payload",
        ));
    }
    Ok(Payload::Bytes(&raw.body))
}

fn written(
    mut write: impl FnMut(&mut Out<'_>) -> Result<(), cloudauth_core::Error>,
) -> Result<String, CliError> {
    with_buffer(|buf| {
        let mut out = Out::new(buf);
        write(&mut out)?;
        Ok(String::from_utf8_lossy(out.finish()?).into_owned())
    })
}
