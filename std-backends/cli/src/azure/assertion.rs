//! `cloudauth azure assertion`.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use cloudauth_core::azure::{Application, ClientAssertion, Thumbprint};
use cloudauth_core::x509::Certificate;
use cloudauth_core::{Assertion, Scheme, Signer};
use cloudauth_keys::Key;
use serde_json::json;

use super::App;
use crate::context::{Context, Output, json, path_or, with_buffer};
use crate::error::CliError;

const AFTER: &str = "\
Example:
  cloudauth azure assertion --key file:app.key --certificate app.pem \\
    --tenant contoso.onmicrosoft.com --client-id 11111111-2222-3333-4444-555555555555";

#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// The key of the certificate
    #[arg(long, value_name = "URI")]
    key: String,
    /// The certificate that is registered with the app, PEM or DER; further certificates are its chain
    /// [env: AZURE_CLIENT_CERTIFICATE_PATH]
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    #[command(flatten)]
    app: App,
    /// The signature algorithm [default: PS256 where the key can, else RS256]
    #[arg(long, value_enum)]
    algorithm: Option<Algorithm>,
    /// The certificate's thumbprint in the header: x5t#S256, or x5t (SHA-1)
    #[arg(long, value_enum, default_value_t = Hash::Sha256)]
    thumbprint: Hash,
    /// Send the certificates too (x5c): subject-name and issuer authentication
    #[arg(long)]
    send_chain: bool,
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Algorithm {
    #[value(name = "PS256")]
    Ps256,
    #[value(name = "RS256")]
    Rs256,
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Hash {
    Sha1,
    Sha256,
}

/// How an assertion is made, once its options are known.
pub(super) struct Choice<'a> {
    pub(super) app: Application<'a>,
    pub(super) certificate: &'a Path,
    pub(super) algorithm: Option<Algorithm>,
    pub(super) thumbprint: Hash,
    pub(super) send_chain: bool,
}

impl Choice<'_> {
    /// Reads the certificates, and gives the assertion to `then`.
    pub(super) fn with<T>(
        &self,
        context: &Context,
        key: &Key,
        then: impl FnOnce(&ClientAssertion<'_>) -> Result<T, CliError>,
    ) -> Result<T, CliError> {
        let ders = context.certificates(self.certificate)?;
        let (leaf, chain) = ders
            .split_first()
            .ok_or_else(|| CliError::input("certificate", "the file holds none"))?;
        let chain: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
        let Application { tenant, client_id, authority } = self.app;
        then(&ClientAssertion {
            certificate: Certificate::parse(leaf)?,
            chain: &chain,
            tenant,
            client_id,
            authority,
            scheme: match self.algorithm {
                Some(Algorithm::Ps256) => Scheme::RsaPssSha256,
                Some(Algorithm::Rs256) => Scheme::RsaPkcs1Sha256,
                None => ClientAssertion::scheme_for(|s| key.supports(s))?,
            },
            thumbprint: match self.thumbprint {
                Hash::Sha1 => Thumbprint::Sha1,
                Hash::Sha256 => Thumbprint::Sha256,
            },
            send_chain: self.send_chain,
        })
    }
}

/// The certificate's path, from the option or the variable of Microsoft's own tools.
pub(super) fn certificate(option: Option<&Path>) -> Result<PathBuf, CliError> {
    path_or(option, "AZURE_CLIENT_CERTIFICATE_PATH")?.ok_or_else(|| {
        CliError::Usage(
            "--certificate is missing: Entra ID knows the key by it; give it, or set \
             AZURE_CLIENT_CERTIFICATE_PATH"
                .to_owned(),
        )
    })
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Vec<u8>, CliError> {
    let names = args.app.names()?;
    let certificate = certificate(args.certificate.as_deref())?;
    let choice = Choice {
        app: names.application(),
        certificate: &certificate,
        algorithm: args.algorithm,
        thumbprint: args.thumbprint,
        send_chain: args.send_chain,
    };
    let key = context.key(&args.key)?;
    let token = choice.with(context, &key, |assertion| {
        let at = context.attempt()?;
        with_buffer(|buf| Ok(assertion.sign(&key, &at, buf)?.to_owned()))
    })?;
    Ok(match context.output {
        Output::Text => format!("{token}\n").into_bytes(),
        Output::Json => json(&json!({
            "client_assertion": token,
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "expires_in": ClientAssertion::LIFETIME,
        })),
    })
}
