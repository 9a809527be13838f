//! `cloudauth aws roles-anywhere`.

use std::path::PathBuf;
use std::sync::Arc;

use cloudauth_client::RolesAnywhere;
use cloudauth_core::aws::rolesanywhere;
use cloudauth_core::signer::MAX_SIGNATURE_LEN;
use cloudauth_core::{Exchange, Out, Signer};
use serde_json::json;

use super::pairs;
use crate::context::{Context, json, key_uri};
use crate::error::CliError;
use crate::live::{Live, inputs};

const AFTER: &str = "\
Prints what credential_process of the AWS CLI and SDKs wants. The option names of AWS's own helper
(--private-key, --endpoint, ...) do too.

Example:
  cloudauth aws roles-anywhere --key pkcs11:object=leaf --certificate leaf.pem \\
    --trust-anchor-arn arn:aws:rolesanywhere:eu-central-1:123456789012:trust-anchor/T \\
    --profile-arn arn:aws:rolesanywhere:eu-central-1:123456789012:profile/P \\
    --role-arn arn:aws:iam::123456789012:role/R";

#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    #[command(flatten)]
    source: Option<Source>,
    #[command(flatten)]
    live: Live,
    /// With --dry-run: print one JSON object with the canonical request, the string to sign and the signature
    #[arg(long, requires = "dry_run")]
    explain: bool,
}

#[derive(clap::Args)]
#[group(id = "roles_anywhere", conflicts_with = "profile")]
struct Source {
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
    /// The profile of IAM Roles Anywhere
    #[arg(long, value_name = "ARN")]
    profile_arn: String,
    /// The role
    #[arg(long, value_name = "ARN")]
    role_arn: String,
    /// The region, if it is not the trust anchor's
    #[arg(long)]
    region: Option<String>,
    /// The life of the credentials in seconds (900 to 43200) [default: 3600]
    #[arg(long, value_name = "SECONDS")]
    session_duration: Option<u32>,
    /// The role session's name, for profiles that accept one
    #[arg(long, value_name = "NAME")]
    role_session_name: Option<String>,
    /// A property of the instance; may be repeated
    #[arg(long = "instance-property", value_name = "NAME=VALUE")]
    instance_properties: Vec<String>,
    /// Send the certificate in the body too
    #[arg(long)]
    certificate_in_body: bool,
}

impl Args {
    fn source(&self) -> Result<Option<RolesAnywhere>, CliError> {
        let Some(args) = &self.source else { return Ok(None) };
        Ok(Some(RolesAnywhere {
            key: key_uri(&args.key)?,
            certificate: args.certificate.clone(),
            intermediates: args.intermediates.clone(),
            trust_anchor_arn: args.trust_anchor_arn.clone(),
            profile_arn: args.profile_arn.clone(),
            role_arn: args.role_arn.clone(),
            region: args.region.clone(),
            duration: args.session_duration,
            session_name: args.role_session_name.clone(),
            instance_properties: pairs(
                &args.instance_properties,
                "instance property",
                "NAME=VALUE",
            )?,
            certificate_in_body: args.certificate_in_body,
            endpoint_url: self.live.endpoint_url.clone(),
        }))
    }
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Vec<u8>, CliError> {
    match args.source()? {
        Some(source) if args.explain => explain(&source, context),
        source => args.live.run(source.map(Into::into), &["aws-roles-anywhere"], context),
    }
}

fn explain(source: &RolesAnywhere, context: &Context) -> Result<Vec<u8>, CliError> {
    let at = context.attempt()?;
    let inputs = Arc::new(inputs(context));
    let explained = source.exchange(&inputs, |session, key| {
        let size = session.needed(&at, key.max_signature_len(session.scheme()?))?;
        let mut buf = vec![0u8; size];
        let request = session.request(key, &at, &mut buf)?;
        let mut canonical = Vec::new();
        let mut counted = Out::new(&mut canonical);
        rolesanywhere::canonical_request(&request, &mut counted)?;
        let len = counted.len();
        canonical.resize(len, 0);
        rolesanywhere::canonical_request(&request, &mut Out::new(&mut canonical))?;
        let mut buf = vec![0u8; session.needed(&at, MAX_SIGNATURE_LEN)?];
        let prepared = session.prepare(&at, &mut buf)?;
        let string_to_sign = prepared.to_sign().and_then(|(_, to_sign)| to_sign.message());
        let authorization = request.header("Authorization").unwrap_or_default();
        Ok(json(&json!({
            "canonical_request": String::from_utf8_lossy(&canonical),
            "string_to_sign": String::from_utf8_lossy(string_to_sign.unwrap_or_default()),
            "signature": authorization.rsplit('=').next(),
            "authorization": authorization,
        })))
    });
    Ok(explained?)
}
