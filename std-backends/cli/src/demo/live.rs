//! The flows that ask a service: sent to the emulator, which starts and ends with the demo.

#[cfg(unix)]
mod attested;

use std::path::{Path, PathBuf};
use std::time::Instant;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use cloudauth_client::blocking::Runtime;
use cloudauth_client::{
    AssumeRole, AzureToken, CallerIdentity, Client, Config, Credential, GcpFederated, GcpIdToken,
    GcpImpersonated, GcpOauth, Provider, RolesAnywhere, SessionToken, Source, WebIdentity,
};
use cloudauth_core::Signer as _;
use cloudauth_emulator as emulator;
use cloudauth_keys::{KeyUri, SecretRef, pem};
use serde_json::json;
use tempfile::TempDir;

use super::receive::signed;
use super::{Authority, ID, Identity, Row, SECRET, wrong};
use crate::context::Context;
use crate::error::CliError;
use crate::key::{jwks, thumbprint};
use crate::live::inputs;

const ACCOUNT: &str = "123456789012";
const REGION: &str = "eu-central-1";
const EMAIL: &str = "robot@project.iam.gserviceaccount.com";
const KEY_ID: &str = "demo";
const TENANT: &str = "contoso.onmicrosoft.com";
const CLIENT_ID: &str = "11111111-2222-3333-4444-555555555555";
const ISSUER: &str = "https://issuer.example";
const SUBJECT: &str = "device-1";
const AUDIENCE: &str = "demo-audience";
const POOL: &str = "iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/pool";
/// What verifies, in the emulator.
const SIGV4: &str = "emulator: aws-sigv4";
const X509: &str = "emulator: webpki";
const JWT: &str = "emulator: jsonwebtoken";
const SECRET_TEXT: &str = "emulator";

/// Where the demo's files are; gone when it ends.
struct Files(TempDir);

impl Files {
    fn write(&self, name: &str, text: &[u8]) -> Result<PathBuf, CliError> {
        let path = self.0.path().join(name);
        write_private(&path, text).map_err(|e| CliError::input(path.display(), e))?;
        Ok(path)
    }

    /// A key and its certificate: the URI of one and the file of the other.
    fn identity(&self, name: &str, of: &Identity) -> Result<(KeyUri, PathBuf), CliError> {
        let key = pem::encode("PRIVATE KEY", &of.pkcs8)?;
        let key = self.write(&format!("{name}.key"), key.as_bytes())?;
        let certificate = pem::encode("CERTIFICATE", &of.der)?;
        let certificate = self.write(&format!("{name}.pem"), certificate.as_bytes())?;
        Ok((KeyUri::of_file(&key)?, certificate))
    }
}

/// For one line of the table.
struct Table<'a> {
    runtime: Runtime,
    context: &'a Context,
    rows: &'a mut Vec<Row>,
}

pub(super) fn run(
    context: &Context,
    authority: &Authority,
    [rsa, p256, p384]: [&Identity; 3],
    rows: &mut Vec<Row>,
) -> Result<(), CliError> {
    let files = tempfile::Builder::new().prefix("cloudauth-demo-").tempdir();
    let files = Files(files.map_err(|e| CliError::input("temporary directory", e))?);
    let mut options = emulator::Options::default();
    options.config = known(authority, rsa, p256)?;
    options.time_offset = context.clock_offset()?;
    #[cfg(unix)]
    {
        options.teeserver = Some(files.0.path().join(attested::SOCKET));
    }
    let services =
        emulator::Emulator::start(options).map_err(|e| CliError::input("emulator", e))?;
    let url = services.url();
    let mut config = Config::default();
    config.ca_file = Some(files.write("ca.pem", services.ca_pem().as_bytes())?);
    let client = config.client(inputs(context), context.clock_offset()?)?;
    let token = files.write("token", issued(context, p256, AUDIENCE)?.as_bytes())?;
    let mut table = Table { runtime: Runtime::new()?, context, rows };

    let mut base = None;
    for (name, of, key) in
        [("rsa", rsa, "RSA-2048"), ("p256", p256, "P-256"), ("p384", p384, "P-384")]
    {
        let (uri, certificate) = files.identity(name, of)?;
        let provider = client.provider(RolesAnywhere {
            key: uri,
            certificate,
            intermediates: None,
            trust_anchor_arn: anywhere("trust-anchor"),
            profile_arn: anywhere("profile"),
            role_arn: role("machine"),
            region: None,
            duration: None,
            session_name: None,
            instance_properties: Vec::new(),
            certificate_in_body: false,
            endpoint_url: Some(url.clone()),
        });
        table.row("AWS Roles Anywhere", key, X509, &provider)?;
        base = Some(provider);
    }
    aws(&mut table, &client, base, &files, &token, &url)?;
    azure(&mut table, &client, &files, [rsa, p256], &url)?;
    google(&mut table, &client, &files, thumbprint(p256.key.public_key())?, &token, &url)?;
    #[cfg(unix)]
    {
        // A broker knows no clock but the system's.
        services.set_time_offset(0).map_err(|e| CliError::input("emulator", e))?;
        attested::run(&mut table, &files, p256, &services)?;
    }
    Ok(())
}

impl Table<'_> {
    fn row(
        &mut self,
        flow: &'static str,
        key: &'static str,
        verified_by: &'static str,
        provider: &Provider,
    ) -> Result<(), CliError> {
        let start = Instant::now();
        let credential = self.runtime.wait(provider.credential())?;
        let time = start.elapsed();
        let left = credential.expiration().as_secs().saturating_sub(self.context.now()?.as_secs());
        let what = match *credential {
            Credential::Aws(_) => "AWS keys",
            Credential::Secrets(_) => "secrets",
            _ => "token",
        };
        let result = format!("{what}, {left} s");
        self.rows.push(Row { flow, key, time, result, verified_by });
        Ok(())
    }
}

fn aws(
    table: &mut Table<'_>,
    client: &Client,
    base: Option<Provider>,
    files: &Files,
    token: &Path,
    url: &str,
) -> Result<(), CliError> {
    let secret = KeyUri::of_file(&files.write("secret", SECRET.as_bytes())?)?;
    let region = Some(REGION.to_owned());
    let endpoint_url = Some(url.to_owned());
    let deploy = AssumeRole {
        role_arn: role("deploy"),
        session_name: "demo".to_owned(),
        region: region.clone(),
        endpoint_url: endpoint_url.clone(),
        ..AssumeRole::default()
    };
    let own = AssumeRole {
        access_key_id: Some(ID.to_owned()),
        key: Some(secret.clone()),
        tags: vec![("team".to_owned(), "a b+c".to_owned())],
        ..deploy.clone()
    };
    table.row(
        "AWS Roles Anywhere, then AssumeRole",
        "P-384",
        SIGV4,
        &client.chained(deploy, base),
    )?;
    table.row("AWS STS AssumeRole", "HMAC", SIGV4, &client.provider(own))?;
    let session = client.provider(SessionToken {
        access_key_id: Some(ID.to_owned()),
        key: Some(secret),
        region: region.clone(),
        endpoint_url: endpoint_url.clone(),
        ..SessionToken::default()
    });
    table.row("AWS STS GetSessionToken", "HMAC", SIGV4, &session)?;
    let call = CallerIdentity {
        region: region.clone(),
        endpoint_url: endpoint_url.clone(),
        ..CallerIdentity::default()
    };
    let start = Instant::now();
    let identity = table.runtime.wait(client.caller_identity(&call, Some(&session)))?;
    let time = start.elapsed();
    if !identity.arn.ends_with(":user/demo") {
        return Err(wrong("the caller's identity"));
    }
    let (flow, result) = ("AWS STS GetCallerIdentity", "user/demo".to_owned());
    table.rows.push(Row { flow, key: "HMAC", time, result, verified_by: SIGV4 });
    let web = WebIdentity {
        token_file: Some(token.to_owned()),
        role_arn: Some(role("web")),
        session_name: Some("demo".to_owned()),
        region,
        endpoint_url,
        ..WebIdentity::default()
    };
    table.row("AWS STS AssumeRoleWithWebIdentity", "-", JWT, &client.provider(web))
}

fn azure(
    table: &mut Table<'_>,
    client: &Client,
    files: &Files,
    [rsa, p256]: [&Identity; 2],
    url: &str,
) -> Result<(), CliError> {
    let app = AzureToken {
        tenant: Some(TENANT.to_owned()),
        client_id: Some(CLIENT_ID.to_owned()),
        authority: Some(url.to_owned()),
        scopes: vec!["https://vault.azure.net/.default".to_owned()],
        ..AzureToken::default()
    };
    let (key, certificate) = files.identity("azure", rsa)?;
    let certified = AzureToken { key: Some(key), certificate: Some(certificate), ..app.clone() };
    table.row("Azure token, certificate", "RSA-2048", JWT, &client.provider(certified))?;
    let file = files.write("client-secret", b"demo-secret")?;
    let secret = KeyUri::of_file(&file)?.to_string();
    let secret = AzureToken { client_secret: Some(SecretRef::parse(&secret)?), ..app.clone() };
    table.row("Azure token, client secret", "-", SECRET_TEXT, &client.provider(secret))?;
    let token = issued(table.context, p256, "api://AzureADTokenExchange")?;
    let federated_token_file = Some(files.write("azure-token", token.as_bytes())?);
    let federated = AzureToken { federated_token_file, ..app };
    table.row("Azure token, federated", "-", JWT, &client.provider(federated))
}

fn google(
    table: &mut Table<'_>,
    client: &Client,
    files: &Files,
    kid: String,
    token: &Path,
    url: &str,
) -> Result<(), CliError> {
    let rsa = KeyUri::of_file(&files.0.path().join("rsa.key"))?;
    let p256 = KeyUri::of_file(&files.0.path().join("p256.key"))?;
    let (email, key_id) = (Some(EMAIL.to_owned()), Some(KEY_ID.to_owned()));
    let endpoint_url = Some(url.to_owned());
    let access = GcpOauth {
        key: rsa.clone(),
        email: email.clone(),
        key_id: key_id.clone(),
        scopes: Vec::new(),
        subject: None,
        lifetime: None,
        endpoint_url: endpoint_url.clone(),
    };
    table.row("GCP OAuth token", "RSA-2048", JWT, &client.provider(access))?;
    let id = GcpIdToken {
        key: rsa,
        email,
        key_id,
        audience: "https://service.example".to_owned(),
        lifetime: None,
        endpoint_url: endpoint_url.clone(),
    };
    table.row("GCP ID token", "RSA-2048", JWT, &client.provider(id))?;
    let provider = GcpFederated {
        provider: format!("//{POOL}/providers/demo"),
        endpoint_url: endpoint_url.clone(),
        ..GcpFederated::default()
    };
    let signed = client.provider(GcpFederated {
        key: Some(p256),
        issuer: Some(ISSUER.to_owned()),
        subject: Some(SUBJECT.to_owned()),
        key_id: Some(kid),
        ..provider.clone()
    });
    table.row("GCP workload identity federation", "P-256", JWT, &signed)?;
    let given = GcpFederated { token_file: Some(token.to_owned()), ..provider };
    table.row("GCP federation, token of an issuer", "-", JWT, &client.provider(given))?;
    for (flow, id_token_audience) in [
        ("GCP impersonation, access token", None),
        ("GCP impersonation, ID token", Some("https://service.example".to_owned())),
    ] {
        let source = Source::from(GcpImpersonated {
            email: EMAIL.to_owned(),
            id_token_audience,
            endpoint_url: endpoint_url.clone(),
            ..GcpImpersonated::default()
        });
        table.row(flow, "P-256", SECRET_TEXT, &client.chained(source, Some(signed.clone())))?;
    }
    Ok(())
}

fn role(name: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:role/{name}")
}

fn anywhere(kind: &str) -> String {
    format!("arn:aws:rolesanywhere:{REGION}:{ACCOUNT}:{kind}/0b2d9e2a-1f0e-4c53-9f1c-2f7a0f6b1d11")
}

/// What the services know: the demo's keys and nothing else.
fn known(
    authority: &Authority,
    rsa: &Identity,
    p256: &Identity,
) -> Result<emulator::Config, CliError> {
    let failed = |e| CliError::input("emulator", e);
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let user = format!("arn:aws:iam::{ACCOUNT}:user/demo");
    let config = json!({
        "aws": {
            "users": [{ "arn": user, "access_key_id": ID, "secret_access_key": SECRET }],
            "roles": [
                { "arn": role("machine"), "roles_anywhere": true },
                { "arn": role("deploy"), "trust": [user, role("machine")] },
                { "arn": role("web"), "web_identity": [{ "issuer": ISSUER, "audience": AUDIENCE }] },
            ],
            "trust_anchors": [
                { "arn": anywhere("trust-anchor"), "certificates": authority.pem() },
            ],
            "profiles": [{ "arn": anywhere("profile"), "roles": [role("machine")] }],
        },
        "entra": { "applications": [{
            "tenant": TENANT,
            "client_id": CLIENT_ID,
            "secrets": ["demo-secret"],
            "certificates": [pem::encode("CERTIFICATE", &rsa.der)?],
            "federated": [{ "issuer": ISSUER, "subject": SUBJECT }],
        }] },
        "google": {
            "service_accounts": [{
                "email": EMAIL,
                "keys": [{
                    "id": KEY_ID,
                    "public_key": pem::encode("PUBLIC KEY", rsa.key.public_key())?,
                }],
                "impersonators": [format!("principal://{POOL}/subject/{SUBJECT}")],
            }],
            "providers": [{
                "audience": format!("//{POOL}/providers/demo"),
                "issuer": ISSUER,
                "allowed_audiences": [AUDIENCE, format!("https://{POOL}/providers/demo")],
            }],
        },
        "issuers": [{ "url": ISSUER, "jwks": text(jwks(p256.key.public_key())?) }],
    });
    serde_json::from_value(config).map_err(failed)
}

/// A token of an issuer that has nothing to do with our code: aws-lc-rs signs it.
fn issued(context: &Context, p256: &Identity, audience: &str) -> Result<String, CliError> {
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &p256.pkcs8);
    let pair = pair.map_err(|_| wrong("a key of aws-lc-rs"))?;
    let random = SystemRandom::new();
    let now = context.now()?.as_secs();
    let claims = json!({
        "iss": ISSUER, "sub": SUBJECT, "aud": audience, "iat": now, "exp": now + 600,
    });
    let header = json!({"alg": "ES256", "kid": thumbprint(p256.key.public_key())?});
    signed(&header, &claims, |input| Some(pair.sign(&random, input).ok()?.as_ref().to_vec()))
}

/// A file that nobody else can read.
fn write_private(path: &Path, text: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(text)
}
