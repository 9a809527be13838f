//! `cloudauth azure`.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use cloudauth_core::azure::{Authority, ClientAssertion, Thumbprint};
use cloudauth_core::x509::Certificate;
use cloudauth_core::{Assertion, Scheme, Signer};
use serde_json::json;

use crate::context::{Context, Output, json, with_buffer};
use crate::error::CliError;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// A client assertion: what an app sends to Entra ID in place of a secret
    Assertion(AssertionArgs),
}

const AFTER: &str = "\
Example:
  cloudauth azure assertion --key file:app.key --certificate app.pem \\
    --tenant contoso.onmicrosoft.com --client-id 11111111-2222-3333-4444-555555555555";

#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct AssertionArgs {
    /// The key of the certificate
    #[arg(long, value_name = "URI")]
    key: String,
    /// The certificate that is registered with the app, PEM or DER; further certificates are its chain
    #[arg(
        long,
        value_name = "FILE",
        env = "AZURE_CLIENT_CERTIFICATE_PATH",
        hide_env_values = true
    )]
    certificate: PathBuf,
    /// The tenant: its id or a domain
    #[arg(long, env = "AZURE_TENANT_ID", hide_env_values = true)]
    tenant: String,
    /// The app's (client) id
    #[arg(long, env = "AZURE_CLIENT_ID", hide_env_values = true, value_name = "ID")]
    client_id: String,
    /// The signature algorithm [default: PS256 where the key can, else RS256]
    #[arg(long, value_enum)]
    algorithm: Option<Algorithm>,
    /// The certificate's thumbprint in the header: x5t#S256, or x5t (SHA-1)
    #[arg(long, value_enum, default_value_t = Hash::Sha256)]
    thumbprint: Hash,
    /// Send the certificates too (x5c): subject-name and issuer authentication
    #[arg(long)]
    send_chain: bool,
    /// Host of the authority, for other clouds: login.microsoftonline.us (US government),
    /// login.partner.microsoftonline.cn (China)
    #[arg(long, env = "AZURE_AUTHORITY_HOST", hide_env_values = true, value_name = "HOST")]
    authority: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Algorithm {
    #[value(name = "PS256")]
    Ps256,
    #[value(name = "RS256")]
    Rs256,
}

#[derive(Clone, Copy, ValueEnum)]
enum Hash {
    Sha1,
    Sha256,
}

pub(crate) fn run(command: &Command, context: &Context) -> Result<Vec<u8>, CliError> {
    let Command::Assertion(args) = command;
    let ders = context.certificates(&args.certificate)?;
    let (leaf, chain) =
        ders.split_first().ok_or_else(|| CliError::input("certificate", "the file holds none"))?;
    let chain: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
    let key = context.key(&args.key)?;
    let authority = args
        .authority
        .as_deref()
        .map(|host| host.strip_prefix("https://").unwrap_or(host).trim_end_matches('/'));
    let assertion = ClientAssertion {
        certificate: Certificate::parse(leaf)?,
        chain: &chain,
        tenant: &args.tenant,
        client_id: &args.client_id,
        authority: authority.map_or(Authority::Public, Authority::Custom),
        scheme: match args.algorithm {
            Some(Algorithm::Ps256) => Scheme::RsaPssSha256,
            Some(Algorithm::Rs256) => Scheme::RsaPkcs1Sha256,
            None => ClientAssertion::scheme_for(|s| key.supports(s))?,
        },
        thumbprint: match args.thumbprint {
            Hash::Sha1 => Thumbprint::Sha1,
            Hash::Sha256 => Thumbprint::Sha256,
        },
        send_chain: args.send_chain,
    };
    let at = context.attempt()?;
    let token = with_buffer(|buf| Ok(assertion.sign(&key, &at, buf)?.to_owned()))?;
    Ok(match context.output {
        Output::Text => format!("{token}\n").into_bytes(),
        Output::Json => json(&json!({
            "client_assertion": token,
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "expires_in": ClientAssertion::LIFETIME,
        })),
    })
}
