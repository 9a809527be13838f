//! The attested flows: the emulator attests, a broker within this process decides, and each cloud's credential
//! comes over one connection that the attestation is bound to.

use cloudauth_broker::Broker;
use cloudauth_client::{Attested, Client};
use cloudauth_core::Signer as _;
use cloudauth_core::digest::sha256;
use cloudauth_core::encode::hex;
use cloudauth_emulator::Emulator;

use super::{
    ACCOUNT, CLIENT_ID, EMAIL, Files, ID, Identity, KEY_ID, KeyUri, REGION, TENANT, Table, role,
};
use crate::error::CliError;
use crate::live::inputs;

const AUDIENCE: &str = "https://broker.example";
/// What verifies the attestation and its binding, and then the broker's own calls.
const BROKER: &str = "broker, emulator";

/// The socket, in the demo's own folder.
pub(super) const SOCKET: &str = "teeserver.sock";

pub(super) fn run(
    table: &mut Table<'_>,
    files: &Files,
    p256: &Identity,
    services: &Emulator,
) -> Result<(), CliError> {
    let failed = |e: &dyn core::fmt::Display| CliError::input("broker", e);
    let path = |name: &str| files.0.path().join(name);
    let config = files.write("broker.toml", configuration(files, &services.url())?.as_bytes())?;
    // The broker's own threads: it works while the table waits.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|e| failed(&e))?;
    let broker = runtime.block_on(Broker::start(&config)).map_err(|e| failed(&e))?;
    let client = Client::attested(inputs(table.context));
    let source = |grant: &str| Attested {
        broker: format!("https://{}", broker.addresses().api),
        pin: Some(String::from_utf8_lossy(&hex::digest(&sha256(p256.key.public_key()))).into()),
        grant: Some(grant.to_owned()),
        audience: AUDIENCE.to_owned(),
        teeserver: Some(path(SOCKET)),
        ..Attested::default()
    };
    let aws = Attested {
        expect_account: Some(ACCOUNT.to_owned()),
        region: Some(REGION.to_owned()),
        sts_endpoint_url: Some(services.url()),
        sts_ca_file: Some(path("ca.pem")),
        ..source("aws")
    };
    let azure = Attested { expect_tenant: Some(TENANT.to_owned()), ..source("azure") };
    let gcp = Attested { expect_project: Some("project".to_owned()), ..source("gcp") };
    for (flow, source) in [
        ("Attested: AWS keys, account checked", aws),
        ("Attested: Azure token, tenant checked", azure),
        ("Attested: GCP token, project checked", gcp),
    ] {
        table.row(flow, "-", BROKER, &client.provider(source))?;
    }
    runtime.block_on(broker.drain());
    Ok(())
}

/// A broker that trusts the emulator's issuer, and a grant for each cloud.
fn configuration(files: &Files, url: &str) -> Result<String, CliError> {
    let uri = |name: &str| KeyUri::of_file(&files.0.path().join(name));
    let (broker, secret, rsa) = (uri("p256.key")?, uri("secret")?, uri("rsa.key")?);
    // What the emulator says of its workload.
    let attested = format!(
        "issuer = 'emulator'\nimage-digests = 'sha256:{}'\ndbgstat = 'disabled-since-boot'\n\
         swname = 'CONFIDENTIAL_SPACE'\nhwmodel = 'GCP_AMD_SEV'\nprojects = 'demo-project'\n",
        "1".repeat(64)
    );
    Ok(format!(
        "audience = '{AUDIENCE}'
ca-file = 'ca.pem'
[server]
listen = '127.0.0.1:0'
admin-listen = 'off'
certificate = 'p256.pem'
key = '{broker}'
records = 'records.jsonl'
[issuers.emulator]
kind = 'confidential-space'
issuer = '{url}/confidential-space'
keys = 'discovery'
trusted-ca = 'ca.pem'
[grants.aws.attested]
{attested}
[grants.aws.give]
kind = 'aws-assume-role'
access-key-id = '{ID}'
key = '{secret}'
role-arn = '{deploy}'
region = '{REGION}'
endpoint-url = '{url}'
[grants.azure.attested]
{attested}
[grants.azure.give]
kind = 'azure-token'
tenant = '{TENANT}'
client-id = '{CLIENT_ID}'
authority = '{url}'
key = '{rsa}'
certificate = 'rsa.pem'
scopes = ['https://vault.azure.net/.default']
[grants.gcp.attested]
{attested}
[grants.gcp.give]
kind = 'gcp-token'
key = '{rsa}'
email = '{EMAIL}'
key-id = '{KEY_ID}'
scopes = ['https://www.googleapis.com/auth/cloud-platform']
",
        deploy = role("deploy"),
    ))
}
