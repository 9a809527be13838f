//! `cloudauth broker convert scone`: what it writes, what it says it did not, what it refuses.

use std::path::{Path, PathBuf};
use std::process::Output;

use tempfile::TempDir;

use crate::program::{cloudauth, run};

/// With every field that SCONE's Azure sample has.
const TEMPLATE: &str = r#"
name: $SPACE/${SESSION}
version: "0.3"
security:
  attestation:
    mode: maa
    url: $INSTANCE
    tolerate: [debug-mode, maa-managed-tcb]
    min_rsa_signing_key_size: 1024
secrets:
  - name: ENTRA
    kind: aad-token
    tenant_id: $TENANT
    client_id: $CLIENT
    application_secret: $APP_SECRET
  - name: PASSWORD
    kind: ascii
    import_akv:
      vault: $VAULT
      secret_name: $SECRET_NAME
      token: $$SCONE::ENTRA$$
  - name: SITE
    kind: x509
    import_akv:
      vault: $VAULT
      secret_name: site
services:
  - name: shop
    image_name: shop_image
    command: python3 /app/shop.py
    mrenclaves: ["6B86B273FF34FCE19D6B804EFF5A3F5747ADA4EAA22F1D49C01E52DDB7875B4B"]
    pwd: /app
    environment:
      PASSWORD: $$SCONE::PASSWORD$$
      URL: "db://shop:$$SCONE::PASSWORD:hex$$@db/$$x?a=1"
      SCONE_LOG: 7
images:
  - name: shop_image
    injection_files:
      - path: /tls/site.crt
        content: $$SCONE::SITE.crt$$
      - path: /tls/site.key
        content: $$SCONE::SITE:privatekey$$
"#;

const VARIABLES: [(&str, &str); 8] = [
    ("SPACE", "space"),
    ("SESSION", "demo"),
    ("INSTANCE", "https://mine.weu.attest.azure.net/"),
    ("TENANT", "contoso.onmicrosoft.com"),
    ("CLIENT", "9b6d7a52-aaaa-4bbb-8ccc-ddddeeeeffff"),
    ("APP_SECRET", "s3cr3t~of~the~application"),
    ("VAULT", "https://prod.vault.azure.net/"),
    ("SECRET_NAME", "db-password"),
];

struct Done {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Done {
    #[track_caller]
    fn said(&self, kind: &str, parts: &[&str]) {
        let found = self
            .err
            .lines()
            .any(|line| line.starts_with(kind) && parts.iter().all(|p| line.contains(p)));
        assert!(found, "{kind} {parts:?}: {}", self.err);
    }

    #[track_caller]
    fn lost(&self, parts: &[&str]) {
        self.said("cloudauth: not carried over: ", parts);
    }

    #[track_caller]
    fn ask(&self, parts: &[&str]) {
        self.said("cloudauth: to do: ", parts);
    }
}

struct World {
    folder: TempDir,
}

impl World {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn convert(&self, template: &str, variables: &[(&str, &str)], more: &[&str]) -> Done {
        let path = self.path("session.yml");
        std::fs::write(&path, template).unwrap();
        let mut command = cloudauth(&["broker", "convert", "scone"]);
        command.arg(path).args(more).envs(variables.iter().copied());
        let Output { status, stdout, stderr } = run(&mut command, b"");
        let text = |octets| String::from_utf8(octets).unwrap();
        Done { code: status.code(), out: text(stdout), err: text(stderr) }
    }

    /// With every variable, into a new directory: its files.
    fn converted(&self, template: &str) -> (Done, PathBuf) {
        let out = tempfile::tempdir_in(self.folder.path()).unwrap().keep().join("out");
        let done =
            self.convert(template, &VARIABLES, &["--use-env", "--out", out.to_str().unwrap()]);
        assert_eq!((done.code, &*done.out), (Some(0), ""), "{}", done.err);
        (done, out)
    }
}

fn table(path: &Path) -> toml::Table {
    std::fs::read_to_string(path).unwrap().parse().unwrap()
}

fn toml(text: &str) -> toml::Table {
    text.parse().unwrap()
}

#[test]
fn the_published_fields() {
    let world = World::new();
    let (done, out) = world.converted(TEMPLATE);
    let expected = r#"
audience = "https://broker.example.com"
[server]
listen = "0.0.0.0:8443"
certificate = "broker.pem"
key = "file:broker.key"
[issuers.maa]
kind = "maa"
issuer = "https://mine.weu.attest.azure.net"
[grants.shop.attested]
issuer = "maa"
type = "sgx"
debuggable = false
mrenclave = ["6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"]
[grants.shop.give]
kind = "secrets"
lease = 3600
vault = "https://prod.vault.azure.net"
tenant = "contoso.onmicrosoft.com"
client-id = "9b6d7a52-aaaa-4bbb-8ccc-ddddeeeeffff"
client-secret = "env:APP_SECRET"
[grants.shop.give.secrets]
PASSWORD = { secret = "db-password" }
SITE = { certificate = "site" }
"#;
    assert_eq!(table(&out.join("broker.toml")), toml(expected));
    let run = out.join("shop.run.toml");
    let expected = r#"
[attested]
url = "https://broker.example.com:8443"
ca-file = "broker-ca.pem"
audience = "https://broker.example.com"
grant = "shop"
token-type = "MAA"
command = ["/usr/local/bin/attest-maa"]
[environment]
PASSWORD = "${PASSWORD}"
URL = "db://shop:${PASSWORD.value:hex}@db/$$$$x?a=1"
[files.content]
"/tls/site.crt" = "${SITE.crt}"
"/tls/site.key" = "${SITE.key}"
"#;
    assert_eq!(table(&run), toml(expected));
    let text = std::fs::read_to_string(&run).unwrap();
    let start = "#   cd /app && cloudauth run --config /etc/cloudauth/shop.run.toml -- python3 /app/shop.py";
    assert!(text.lines().any(|line| line == start), "{text}");

    done.lost(&["security.attestation.tolerate", "debug-mode"]);
    done.lost(&["security.attestation.min_rsa_signing_key_size", "1024"]);
    done.lost(&["services.shop.environment.SCONE_LOG"]);
    done.ask(&["grants.shop", "policy-hashes"]);
    done.ask(&["grants.shop", "mrenclave"]);
    done.ask(&["secrets.ENTRA.application_secret", "APP_SECRET"]);
    done.ask(&["SCONE_CONFIG_ID=space/demo/shop", "\"shop\""]);
    assert!(!done.err.contains("maa-managed-tcb"), "{}", done.err);
    for written in ["broker.toml", "shop.run.toml"] {
        let text = std::fs::read_to_string(out.join(written)).unwrap();
        assert!(!text.contains("s3cr3t"), "{text}");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = out.join(written).metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }
    assert!(!done.err.contains("s3cr3t"), "{}", done.err);
}

/// Each of these is in the template, and stands on standard error.
#[test]
fn what_is_not_carried_over() {
    let world = World::new();
    let change = |from: &str, to: &str| {
        assert!(TEMPLATE.contains(from), "{from}");
        world.converted(&TEMPLATE.replacen(from, to, 1))
    };
    let policy = "access_policy:\n  read: [CREATOR]\n  update: [CREATOR, ops]\n";
    let (done, _) = change("security:\n", &format!("{policy}volumes: []\nmystery: 1\nsecurity:\n"));
    done.lost(&["access_policy.update", "CREATOR, ops"]);
    done.lost(&["volumes"]);
    done.lost(&["mystery", "is nothing that this converter knows"]);

    let (done, _) = change("min_rsa_signing_key_size: 1024", "min_rsa_signing_key_size: 2048");
    assert!(!done.err.contains("min_rsa"), "{}", done.err);
    let (done, _) = change("mode: maa", "mode: hardware");
    done.lost(&["security.attestation.mode", "hardware"]);
    let (done, _) = change("[debug-mode, maa-managed-tcb]", "[hyperthreading]");
    done.lost(&["security.attestation.tolerate", "hyperthreading"]);

    // Secrets that CAS makes.
    let made = "secrets:\n  - {name: MADE, kind: binary, size: 16}\n";
    let uses = "PASSWORD: $$SCONE::PASSWORD$$\n      MADE: $$SCONE::MADE:base64url$$";
    let template = TEMPLATE.replacen("secrets:\n", made, 1);
    let (done, out) = world.converted(&template.replacen("PASSWORD: $$SCONE::PASSWORD$$", uses, 1));
    done.ask(&["secrets.MADE", "(umask 077; openssl rand -out MADE.secret 16)"]);
    let broker = table(&out.join("broker.toml"));
    let given = &broker["grants"]["shop"]["give"]["secrets"]["MADE"]["file"];
    assert_eq!(given.as_str(), Some("MADE.secret"));
    let run = table(&out.join("shop.run.toml"));
    assert_eq!(run["environment"]["MADE"].as_str(), Some("${MADE.value:base64url}"));

    // A certificate that CAS makes, and what names it.
    let (done, out) = change(
        "    import_akv:\n      vault: $VAULT\n      secret_name: site\n",
        "    private_key: KEY\n",
    );
    done.lost(&["secrets.SITE", "nothing is generated here"]);
    done.lost(&["/tls/site.key", "SITE"]);
    assert!(!table(&out.join("shop.run.toml")).contains_key("files"));

    // A value in the template itself.
    let (done, out) = change(
        "    import_akv:\n      vault: $VAULT\n      secret_name: $SECRET_NAME\n      token: $$SCONE::ENTRA$$\n",
        "    value: in-the-template\n",
    );
    done.ask(&["secrets.PASSWORD", "PASSWORD.secret"]);
    let text = std::fs::read_to_string(out.join("broker.toml")).unwrap();
    assert!(!text.contains("in-the-template") && !done.err.contains("in-the-template"));
    let (done, out) =
        change("application_secret: $APP_SECRET", "application_secret: in-the-template");
    done.ask(&["secrets.ENTRA.application_secret", "client-secret"]);
    let text = std::fs::read_to_string(out.join("broker.toml")).unwrap();
    assert!(text.contains("client-secret = \"file:client-secret\"\n"), "{text}");
    assert!(!text.contains("in-the-template") && !done.err.contains("in-the-template"));
    let (done, out) = change(
        "application_secret: $APP_SECRET",
        "private_key: $APP_SECRET\n    certificate_thumbprint: A1B2",
    );
    done.ask(&["secrets.ENTRA.certificate_thumbprint", "A1B2"]);
    let give = &table(&out.join("broker.toml"))["grants"]["shop"]["give"];
    assert_eq!(give["key"].as_str(), Some("env:APP_SECRET"));
    assert_eq!(give["certificate"].as_str(), Some("azure.pem"));

    // Forms and names that there are not, tokens, secrets on a command line, a secret for nobody.
    for (from, to, parts) in [
        ("SITE.crt$$", "SITE:crt:der$$", ["/tls/site.crt", "no such form"]),
        ("SITE.crt$$", "SITE$$", ["/tls/site.crt", "which part"]),
        ("SITE.crt$$", "NONE.crt$$", ["/tls/site.crt", "NONE"]),
        ("SITE.crt$$", "ENTRA$$", ["/tls/site.crt", "azure-token"]),
        ("python3 /app/shop.py", "app $$SCONE::PASSWORD$$", ["services.shop.command", "secret"]),
        (
            "      - path: /tls/site.key\n        content: $$SCONE::SITE:privatekey$$\n",
            "",
            ["", ""],
        ),
    ] {
        change(from, to).0.lost(&parts);
    }
    let alone = TEMPLATE.split("images:").next().unwrap();
    let (done, out) = world.converted(alone);
    done.lost(&["secrets.SITE", "no service has use for it"]);
    assert!(!std::fs::read_to_string(out.join("broker.toml")).unwrap().contains("SITE"));
}

/// A namespace has nothing but names and rights: there is nothing to write, and that is said.
#[test]
fn a_namespace() {
    let world = World::new();
    let template =
        "name: $SPACE\nversion: '0.3'\naccess_policy:\n  create_sessions:\n    - CREATOR\n";
    let out = world.path("none");
    for more in [&["--use-env"][..], &["--use-env", "--out", out.to_str().unwrap()]] {
        let done = world.convert(template, &VARIABLES, more);
        assert_eq!((done.code, &*done.out), (Some(0), ""), "{}", done.err);
        done.lost(&["access_policy.create_sessions", "CREATOR"]);
    }
    assert!(!out.exists());
}

#[test]
fn variables() {
    let world = World::new();
    // All at once, also one whose value is not needed.
    let done = world.convert(TEMPLATE, &VARIABLES[..4], &["--use-env"]);
    assert_eq!((done.code, &*done.out), (Some(4), ""));
    for name in ["CLIENT", "APP_SECRET", "VAULT", "SECRET_NAME"] {
        assert!(done.err.contains(name), "{name}: {}", done.err);
    }
    assert!(!done.err.contains("TENANT") && !done.err.contains(" SPACE"), "{}", done.err);
    let done = world.convert(TEMPLATE, &VARIABLES, &[]);
    assert_eq!((done.code, &*done.out), (Some(4), ""));
    assert!(
        done.err.contains("name: $SPACE stands there") && done.err.contains("--use-env"),
        "{}",
        done.err
    );
    // A secret may stay where it is, and so may what a shell fills in.
    let mut template = TEMPLATE.replace("shop.py", "shop.py --home $HOME");
    for (name, value) in VARIABLES.iter().filter(|(name, _)| *name != "APP_SECRET") {
        template =
            template.replace(&format!("${name}"), value).replace(&format!("${{{name}}}"), value);
    }
    let done = world.convert(&template, &[], &[]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert!(
        done.out.contains("# ---- broker.toml ----")
            && done.out.contains("# ---- shop.run.toml ----")
    );
    assert!(done.out.contains("client-secret = \"env:APP_SECRET\""), "{}", done.out);
    assert!(done.out.contains("shop.py --home ${HOME}\n"), "{}", done.out);

    // What a variable holds is text: no reference, no line, no field of its own.
    let hostile = "$$SCONE::PASSWORD$$\"\nwaive = ['debug']\n";
    let mut variables = VARIABLES;
    variables[7].1 = hostile;
    let out = world.path("hostile");
    let done = world.convert(TEMPLATE, &variables, &["--use-env", "--out", out.to_str().unwrap()]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    let broker = table(&out.join("broker.toml"));
    assert_eq!(
        broker["grants"]["shop"]["give"]["secrets"]["PASSWORD"]["secret"].as_str(),
        Some(hostile)
    );
    assert!(!broker["grants"]["shop"]["attested"].as_table().unwrap().contains_key("waive"));
    let template = TEMPLATE.replace("PASSWORD: $$SCONE::PASSWORD$$", "PLAIN: $SECRET_NAME");
    let out = world.path("hostile-too");
    let done = world.convert(&template, &variables, &["--use-env", "--out", out.to_str().unwrap()]);
    done.ask(&["services.shop.environment.PLAIN", "if it is a secret"]);
    let plain = &table(&out.join("shop.run.toml"))["environment"]["PLAIN"];
    assert_eq!(plain.as_str(), Some(&*hostile.replace('$', "$$")));
    for (from, to, place) in [
        ("shop.py", "shop.py $SECRET_NAME", "services.shop.command"),
        ("$$SCONE::SITE.crt$$", "$SECRET_NAME", "images.shop_image.injection_files[0].content"),
    ] {
        let done = world.convert(&TEMPLATE.replace(from, to), &VARIABLES, &["--use-env"]);
        done.ask(&[place, "if it is a secret"]);
    }
    // What is no variable's may be a secret as well. References alone are none.
    let words = TEMPLATE
        .replace("PASSWORD: $$SCONE::PASSWORD$$", "PLAIN: geheim")
        .replace("$$SCONE::SITE.crt$$", "also geheim");
    let done = world.convert(&words, &VARIABLES, &["--use-env"]);
    done.ask(&["services.shop.environment: PLAIN, URL: ", "as it stands", "if a secret"]);
    done.ask(&["images.shop_image.injection_files: /tls/site.crt: ", "as it stands"]);
    assert!(!done.err.contains("geheim"), "{}", done.err);
    // Nor does it begin a line of a comment's.
    let template = TEMPLATE
        .replace("python3 /app/shop.py", "$SECRET_NAME")
        .replace("/app\n", "$SECRET_NAME\n");
    let done = world.convert(&template, &variables, &["--use-env"]);
    assert!(!done.out.lines().any(|line| line.starts_with("waive")), "{}", done.out);
    done.lost(&["services.shop.command"]);
}

#[test]
fn refusals() {
    let world = World::new();
    let wrong = |from: &str, to: &str, part: &str| {
        assert!(TEMPLATE.contains(from), "{from}");
        let done = world.convert(&TEMPLATE.replacen(from, to, 1), &VARIABLES, &["--use-env"]);
        assert_eq!((done.code, &*done.out), (Some(4), ""), "{from} {to}");
        assert!(
            done.err.contains(part) && done.err.contains("session.yml"),
            "{part}: {}",
            done.err
        );
    };
    wrong("\"0.3\"", "\"0.2\"", "version");
    wrong("tenant_id: $TENANT", "tenant: $TENANT", "secrets.ENTRA.tenant_id: is missing");
    wrong(
        "tenant_id: $TENANT",
        "tenant_id: [$TENANT]",
        "secrets.ENTRA.tenant_id: expected a text, not a list",
    );
    wrong("tenant_id: $TENANT", "tenant_id: $$SCONE::SITE$$", "a secret cannot stand there");
    wrong("    application_secret: $APP_SECRET\n", "", "either application_secret");
    wrong("token: $$SCONE::ENTRA$$", "token: ENTRA", "secrets.PASSWORD.import_akv.token");
    wrong("token: $$SCONE::ENTRA$$", "token: $$SCONE::OTHER$$", "there is no aad-token");
    let second = "- name: OTHER\n    kind: aad-token\n    tenant_id: t\n    client_id: c\n    \
                  application_secret: s\n  - name: PASSWORD";
    wrong("- name: PASSWORD", second, "secrets.SITE.import_akv.token: name it");
    wrong("- name: SITE", "- name: PASSWORD", "secrets.PASSWORD: another secret has this name");
    wrong("\"6B86", "\"XB86", "mrenclaves");
    wrong("- name: shop\n", "- name: sh op\n", "services[0].name");
    wrong("path: /tls/site.crt", "path: tls/site.crt", "absolute path");
    wrong("path: /tls/site.crt", "path: /tls/../etc/passwd", "absolute path");
    wrong("path: /tls/site.crt", "path: /tls/site.key", "another file has it");
    wrong("security:", "security: [", "line ");
    wrong("services:", "services: 1\nservices:", "stands there already");

    // Files that are there stay as they are.
    let out = world.path("out");
    std::fs::create_dir(&out).unwrap();
    std::fs::write(out.join("shop.run.toml"), "mine").unwrap();
    let done = world.convert(TEMPLATE, &VARIABLES, &["--use-env", "--out", out.to_str().unwrap()]);
    assert!(done.code == Some(4) && done.err.contains("is there already"), "{}", done.err);
    assert_eq!(std::fs::read_to_string(out.join("shop.run.toml")).unwrap(), "mine");
    assert!(!out.join("broker.toml").exists());
}

/// What is written loads as soon as the policy is fixed and the broker has a certificate, and not before.
#[test]
fn the_broker_takes_it() {
    let world = World::new();
    let (_, out) = world.converted(TEMPLATE);
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(out.join("broker.pem"), made.cert.pem()).unwrap();
    std::fs::write(out.join("broker.key"), made.signing_key.serialize_pem()).unwrap();
    let check = || {
        let mut command = cloudauth(&["broker", "check", "--offline", "--config", "broker.toml"]);
        let Output { status, stdout, stderr } = run(command.current_dir(&out), b"");
        (status.code(), String::from_utf8([stdout, stderr].concat()).unwrap())
    };
    let (code, said) = check();
    assert!(code == Some(4) && said.contains("policy-hash"), "{said}");
    let path = out.join("broker.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let fixed = text.replace("# policy-hashes = [\"…\"]", "policy-hashes = [\"aGFzaA\"]");
    std::fs::write(&path, fixed).unwrap();
    let (code, said) = check();
    assert_eq!((code, &*said), (Some(0), "nothing is wrong; grants: shop\n"));
}
