//! `cloudauth aws roles-anywhere`.

use std::path::PathBuf;

use cloudauth_core::aws::{CreateSession, rolesanywhere};
use cloudauth_core::x509::Certificate;
use cloudauth_core::{Exchange, Out, Signer};
use serde_json::json;

use super::host;
use crate::context::{Context, DryRun, Output, json, with_buffer};
use crate::error::CliError;

const AFTER: &str = "\
Example:
  cloudauth aws roles-anywhere --dry-run --key file:leaf.key --certificate leaf.pem \\
    --trust-anchor-arn arn:aws:rolesanywhere:eu-central-1:123456789012:trust-anchor/T \\
    --profile-arn arn:aws:rolesanywhere:eu-central-1:123456789012:profile/P \\
    --role-arn arn:aws:iam::123456789012:role/R";

#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    #[command(flatten)]
    dry_run: DryRun,
    /// The key of the certificate
    #[arg(long, alias = "private-key", value_name = "URI")]
    key: String,
    /// The certificate, PEM or DER; further certificates in the file are intermediates
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
    /// Intermediate certificates, PEM or DER, the leaf's issuer first
    #[arg(long, value_name = "FILE")]
    intermediates: Option<PathBuf>,
    /// The trust anchor
    #[arg(long, value_name = "ARN")]
    trust_anchor_arn: String,
    /// The profile
    #[arg(long, value_name = "ARN")]
    profile_arn: String,
    /// The role
    #[arg(long, value_name = "ARN")]
    role_arn: String,
    /// The region, if it is not the trust anchor's
    #[arg(long)]
    region: Option<String>,
    /// Host (and port) in place of the region's endpoint
    #[arg(long, value_name = "HOST")]
    endpoint: Option<String>,
    /// The life of the credentials in seconds (900 to 43200)
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    session_duration: u32,
    /// The role session's name, for profiles that accept one
    #[arg(long, value_name = "NAME")]
    role_session_name: Option<String>,
    /// A property of the instance; may be repeated
    #[arg(long = "instance-property", value_name = "NAME=VALUE")]
    instance_properties: Vec<String>,
    /// Send the certificate in the body too
    #[arg(long)]
    certificate_in_body: bool,
    /// Print one JSON object with the canonical request, the string to sign and the signature
    #[arg(long)]
    explain: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Vec<u8>, CliError> {
    args.dry_run.check()?;
    let mut ders = context.certificates(&args.certificate)?;
    if let Some(path) = &args.intermediates {
        ders.extend(context.certificates(path)?);
    }
    let (leaf, chain) =
        ders.split_first().ok_or_else(|| CliError::input("certificate", "the file holds none"))?;
    let chain: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
    let mut properties = Vec::new();
    for property in &args.instance_properties {
        properties.push(
            property
                .split_once('=')
                .ok_or_else(|| CliError::input("instance property", "expected NAME=VALUE"))?,
        );
    }
    let session = CreateSession {
        chain: &chain,
        region: args.region.as_deref(),
        endpoint: args.endpoint.as_deref().map(host),
        duration_seconds: Some(args.session_duration),
        role_session_name: args.role_session_name.as_deref(),
        instance_properties: &properties,
        certificate_in_body: args.certificate_in_body,
        ..CreateSession::new(
            Certificate::parse(leaf)?,
            &args.trust_anchor_arn,
            &args.profile_arn,
            &args.role_arn,
        )
    };
    let key = context.key(&args.key)?;
    let at = context.attempt()?;
    let size = session.needed(&at, key.max_signature_len(session.scheme()?))?;
    let mut buf = vec![0u8; size];
    let request = session.request(&key, &at, &mut buf)?;
    if !args.explain && context.output == Output::Text {
        return with_buffer(|buf| Ok(request.write_http1(buf)?.to_vec()));
    }
    let canonical = with_buffer(|buf| {
        let mut out = Out::new(buf);
        rolesanywhere::canonical_request(&request, &mut out)?;
        Ok(String::from_utf8_lossy(out.finish()?).into_owned())
    })?;
    let mut buf = vec![0u8; size + cloudauth_core::signer::MAX_SIGNATURE_LEN * 2];
    let prepared = session.prepare(&at, &mut buf)?;
    let string_to_sign = prepared.to_sign().map(|(_, to_sign)| to_sign.message().to_vec());
    let authorization = request.header("Authorization").unwrap_or_default();
    Ok(json(&json!({
        "canonical_request": canonical,
        "string_to_sign": String::from_utf8_lossy(&string_to_sign.unwrap_or_default()),
        "signature": authorization.rsplit('=').next(),
        "authorization": authorization,
    })))
}
