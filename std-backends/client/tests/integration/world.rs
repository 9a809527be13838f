//! An emulator, the keys that it knows, and a configuration with a profile for every kind of source.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cloudauth_client::{Client, Config, GcpFederated, Inputs, Provider};
use cloudauth_core::Out;
use cloudauth_core::encode::base64;
use cloudauth_emulator as emulator;
use cloudauth_emulator::{Emulator, Service};
use cloudauth_tls::{Transport, Trust};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256, PublicKeyData as _,
    SignatureAlgorithm,
};
use tempfile::TempDir;

pub(crate) const ID: &str = "AKIAIOSFODNN7EXAMPLE";
pub(crate) const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
pub(crate) const ROLE: &str = "arn:aws:iam::123456789012:role/machine";
pub(crate) const DEPLOY: &str = "arn:aws:iam::123456789012:role/deploy";
const ANCHOR: &str = "arn:aws:rolesanywhere:eu-west-1:123456789012:trust-anchor/a";
const PROFILE: &str = "arn:aws:rolesanywhere:eu-west-1:123456789012:profile/p";
const TENANT: &str = "contoso.example";
const APPLICATION: &str = "9b6d7a52-aaaa-4bbb-8ccc-ddddeeeeffff";
const APPLICATION_SECRET: &str = "application~secret";
const ISSUER: &str = "https://issuer.example";
pub(crate) const ROBOT: &str = "robot@project.iam.gserviceaccount.com";
pub(crate) const OTHER: &str = "other@project.iam.gserviceaccount.com";
const POOL: &str = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p";

/// Every profile of [`World::toml`] that asks a service, and which.
pub(crate) const LIVE: &[(&str, Service)] = &[
    ("anywhere-rsa", Service::RolesAnywhere),
    ("anywhere-p256", Service::RolesAnywhere),
    ("anywhere-p384", Service::RolesAnywhere),
    ("assume-role", Service::Sts),
    ("assume-role-chained", Service::Sts),
    ("session-token", Service::Sts),
    ("web-identity", Service::Sts),
    ("azure-certificate", Service::Entra),
    ("azure-secret", Service::Entra),
    ("azure-federated", Service::Entra),
    ("gcp-oauth", Service::GoogleOauth),
    ("gcp-id-token", Service::GoogleOauth),
    ("gcp-federated-key", Service::GoogleSts),
    ("gcp-federated-file", Service::GoogleSts),
    ("gcp-impersonated", Service::GoogleIam),
    ("gcp-impersonated-id", Service::GoogleIam),
];

/// The short limits that [`World::client`] has.
pub(crate) const READ: Duration = Duration::from_millis(1500);
pub(crate) const TOTAL: Duration = Duration::from_secs(8);

pub(crate) struct World {
    pub(crate) emulator: Emulator,
    folder: TempDir,
    root: Issuer<'static, KeyPair>,
}

impl World {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root_key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, "root");
        let root_pem = params.self_signed(&root_key).unwrap().pem();
        let mut options = emulator::Options::default();
        options.state_dir = Some(folder.path().to_owned());
        let emulator = Emulator::start(options).unwrap();
        let world = Self { emulator, folder, root: Issuer::new(params, root_key) };
        let rsa = world.issue("rsa", &PKCS_RSA_SHA256);
        world.issue("p256", &PKCS_ECDSA_P256_SHA256);
        world.issue("p384", &PKCS_ECDSA_P384_SHA384);
        let issuer = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        world.write("issuer.key", &issuer.serialize_pem());
        world.write("secret", SECRET);
        world.write("application-secret", APPLICATION_SECRET);
        world.emulator.register(known(&root_pem, &rsa, &jwks(&issuer))).unwrap();
        for (file, audience) in [
            ("web.jwt", "sts.amazonaws.com"),
            ("azure.jwt", "api://AzureADTokenExchange"),
            ("gcp.jwt", &format!("{POOL}/providers/q")),
        ] {
            world.write(file, &world.token(audience));
        }
        world
    }

    /// A token of the issuer that all clouds trust.
    fn token(&self, audience: &str) -> String {
        let source = GcpFederated {
            provider: format!("{POOL}/providers/q"),
            key: Some(format!("file:{}", self.path("issuer.key").display()).parse().unwrap()),
            issuer: Some(ISSUER.into()),
            subject: Some("workload".into()),
            audience: Some(audience.into()),
            key_id: Some("k1".into()),
            lifetime: Some(86_400),
            ..GcpFederated::default()
        };
        let at = self.client().attempt().unwrap();
        source.subject_token(&Inputs::default(), &at).unwrap().token.to_string()
    }

    /// Writes a key and a certificate of the trust anchor for it: `NAME.key`, `NAME.pem`.
    pub(crate) fn issue(&self, name: &str, algorithm: &'static SignatureAlgorithm) -> String {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.distinguished_name.push(DnType::CommonName, name);
        let pem = params.signed_by(&key, &self.root).unwrap().pem();
        self.write(&format!("{name}.key"), &key.serialize_pem());
        self.write(&format!("{name}.pem"), &pem);
        pem
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file that its owner alone can read, in the place of the one that was there.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let new = self.path("new");
        fs::write(&new, text).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
        }
        fs::rename(new, self.path(name)).unwrap();
    }

    /// A transport with short limits that does not look at the environment.
    pub(crate) fn client(&self) -> Client {
        let transport = Transport::builder()
            .trust(Trust::Only(self.emulator.ca_pem().into()))
            .trust_environment(false)
            .connect_timeout(Duration::from_secs(4))
            .read_timeout(READ)
            .timeout(TOTAL)
            .build()
            .unwrap();
        Client::new(transport, Inputs::default())
    }

    pub(crate) fn config(&self) -> Config {
        Config::parse(&self.toml(), self.folder.path(), "test").unwrap()
    }

    pub(crate) fn provider(&self, client: &Client, profile: &str) -> Provider {
        self.config().provider(client, profile).unwrap()
    }

    /// How many requests a service has had.
    pub(crate) fn count(&self, service: Service) -> usize {
        self.emulator.requests().iter().filter(|record| record.service == service).count()
    }

    pub(crate) fn toml(&self) -> String {
        let url = self.emulator.url();
        let key = |name: &str| format!("file:{}", self.path(name).display());
        let mut text = format!("ca-file = {:?}\n", path(&self.path("ca.pem")));
        for name in ["rsa", "p256", "p384"] {
            text += &format!(
                "
[profiles.anywhere-{name}]
kind = 'aws-roles-anywhere'
key = '{}'
certificate = '{name}.pem'
trust-anchor-arn = '{ANCHOR}'
profile-arn = '{PROFILE}'
role-arn = '{ROLE}'
endpoint-url = '{url}'
",
                key(&format!("{name}.key"))
            );
        }
        let (secret, rsa, issuer) = (key("secret"), key("rsa.key"), key("issuer.key"));
        let application = format!(
            "kind = 'azure-token'
tenant = '{TENANT}'
client-id = '{APPLICATION}'
authority = '{url}'
scopes = ['https://vault.azure.net/.default']"
        );
        let account = format!("key = '{rsa}'\nemail = '{ROBOT}'\nkey-id = 'k2'");
        let federated = format!("kind = 'gcp-federated'\nprovider = '{POOL}/providers/q'");
        text + &format!(
            "
[profiles.assume-role]
kind = 'aws-assume-role'
access-key-id = '{ID}'
key = '{secret}'
role-arn = '{ROLE}'
session-name = 'machine-7'
region = 'eu-west-1'
endpoint-url = '{url}'

[profiles.assume-role-chained]
kind = 'aws-assume-role'
source-profile = 'anywhere-p256'
role-arn = '{DEPLOY}'
session-name = 'machine-7'
region = 'eu-west-1'
endpoint-url = '{url}'

[profiles.session-token]
kind = 'aws-session-token'
access-key-id = '{ID}'
key = '{secret}'
region = 'eu-west-1'
endpoint-url = '{url}'

[profiles.web-identity]
kind = 'aws-web-identity'
token-file = 'web.jwt'
role-arn = '{ROLE}'
session-name = 'machine-7'
region = 'eu-west-1'
endpoint-url = '{url}'

[profiles.azure-certificate]
{application}
key = '{rsa}'
certificate = 'rsa.pem'

[profiles.azure-secret]
{application}
client-secret = 'file:{secret_file}'

[profiles.azure-federated]
{application}
federated-token-file = 'azure.jwt'

[profiles.gcp-token]
kind = 'gcp-token'
{account}

[profiles.gcp-oauth]
kind = 'gcp-oauth'
{account}
endpoint-url = '{url}'

[profiles.gcp-id-token]
kind = 'gcp-id-token'
{account}
audience = 'https://service.example'
endpoint-url = '{url}'

[profiles.gcp-federated-key]
{federated}
key = '{issuer}'
issuer = '{ISSUER}'
subject = 'workload'
key-id = 'k1'
endpoint-url = '{url}'

[profiles.gcp-federated-file]
{federated}
token-file = 'gcp.jwt'
endpoint-url = '{url}'

[profiles.gcp-impersonated]
kind = 'gcp-impersonated'
source-profile = 'gcp-federated-key'
email = '{OTHER}'
endpoint-url = '{url}'

[profiles.gcp-impersonated-id]
kind = 'gcp-impersonated'
source-profile = 'gcp-federated-file'
email = '{OTHER}'
id-token-audience = 'https://service.example'
endpoint-url = '{url}'
",
            secret_file = self.path("application-secret").display(),
        )
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// What the emulator knows.
fn known(root: &str, rsa: &str, jwks: &str) -> emulator::Config {
    let user = "arn:aws:iam::123456789012:user/tester";
    let role = |arn: &str, trust: &str| emulator::AwsRole {
        arn: arn.into(),
        trust: vec![trust.into()],
        external_id: None,
        max_duration: 43_200,
        web_identity: vec![emulator::WebIdentity {
            issuer: ISSUER.into(),
            audience: "sts.amazonaws.com".into(),
            subject: None,
        }],
        roles_anywhere: arn == ROLE,
    };
    let account = |email: &str, key: &str| emulator::ServiceAccount {
        email: email.into(),
        keys: vec![emulator::AccountKey { id: "k2".into(), public_key: key.into() }],
        impersonators: vec![format!("principal:{POOL}/subject/workload")],
    };
    emulator::Config {
        aws: emulator::Aws {
            users: vec![emulator::AwsUser {
                arn: user.into(),
                access_key_id: ID.into(),
                secret_access_key: SECRET.into(),
                mfa_serial: None,
                mfa_code: None,
            }],
            roles: vec![role(ROLE, user), role(DEPLOY, ROLE)],
            trust_anchors: vec![emulator::TrustAnchor {
                arn: ANCHOR.into(),
                certificates: root.into(),
            }],
            profiles: vec![emulator::Profile {
                arn: PROFILE.into(),
                roles: vec![ROLE.into()],
                accept_role_session_name: true,
                duration: 43_200,
            }],
            buckets: vec![],
        },
        entra: emulator::Entra {
            applications: vec![emulator::Application {
                tenant: TENANT.into(),
                client_id: APPLICATION.into(),
                secrets: vec![APPLICATION_SECRET.into()],
                certificates: vec![rsa.into()],
                federated: vec![emulator::Federated {
                    issuer: ISSUER.into(),
                    subject: "workload".into(),
                    audience: "api://AzureADTokenExchange".into(),
                }],
            }],
        },
        google: emulator::Google {
            service_accounts: vec![account(ROBOT, rsa), account(OTHER, rsa)],
            providers: vec![emulator::Provider {
                audience: format!("{POOL}/providers/q"),
                issuer: ISSUER.into(),
                allowed_audiences: vec![],
            }],
        },
        issuers: vec![emulator::Issuer { url: ISSUER.into(), jwks: jwks.into() }],
        ..emulator::Config::default()
    }
}

/// The key set of a P-256 key (RFC 7518, section 6.2).
fn jwks(key: &KeyPair) -> String {
    // An uncompressed point: 4, x, y.
    let point = key.der_bytes();
    let part = |octets: &[u8]| {
        let mut buf = [0; 64];
        let mut text = Out::new(&mut buf);
        base64::url_encode(octets, &mut text);
        String::from_utf8(text.finish().unwrap().to_vec()).unwrap()
    };
    let (x, y) = (part(&point[1..33]), part(&point[33..65]));
    format!(
        r#"{{"keys":[{{"kty":"EC","crv":"P-256","kid":"k1","alg":"ES256","x":"{x}","y":"{y}"}}]}}"#
    )
}
