//! Configuration files: what is refused, and what the refusal says.

use std::path::Path;

use cloudauth_client::Config;

use crate::world::World;

fn refused(text: &str) -> String {
    Config::parse(text, Path::new("/etc"), "file \"c.toml\"").unwrap_err().to_string()
}

const OAUTH: &str = "[profiles.a]\nkind = 'gcp-oauth'\nkey = 'file:k'\n";

#[test]
fn what_is_refused() {
    assert!(Config::parse(OAUTH, Path::new("/etc"), "c").is_ok());
    for (text, line, says) in [
        // Of a profile serde knows no more than where it begins.
        (format!("{OAUTH}e-mail = 'x'\n"), "line 1", "e-mail"),
        (format!("colour = 'red'\n{OAUTH}"), "line 1", "colour"),
        ("[profiles.a]\nkind = 'gcp-oath'\n".into(), "line 2", "unknown variant, expected one of"),
        ("[profiles.a]\nkey = 'file:k'\n".into(), "line 1", "kind"),
        ("[profiles.a]\nkind = 'gcp-oauth'\n".into(), "line 1", "key"),
        ("\n\ntimeout = -1\n".into(), "line 3", "invalid value: integer, expected u32"),
        ("timeout = 30\ntimeout = 40\n".into(), "line 2", "duplicate"),
    ] {
        let error = refused(&text);
        assert!(error.contains(line) && error.contains(says), "{text}: {error}");
        assert!(error.contains("c.toml"), "{error}");
    }
}

/// The line that is broken may hold a PIN.
#[test]
fn no_pin_is_shown() {
    const PIN: &str = "84310975";
    let uri = format!("pkcs11:object=k?pin-value={PIN}");
    for text in [
        format!("[profiles.a]\nkind = 'gcp-oauth'\nkey = '{uri}' x\n"),
        format!("[profiles.a]\nkind = 'gcp-oauth'\nkey = '{uri}\n"),
        format!("[profiles.a]\nkind = 'gcp-oauth'\nkey = ['{uri}']\n"),
        format!("[profiles.a]\nkind = 'gcp-oauth'\nkey = 'x{uri}'\n"),
        format!("[profiles.a]\nkind = 'gcp-oauth'\nkey = 'file:k'\nemail = {PIN}\n"),
        format!("[profiles.a]\nkind = 'azure-token'\nclient-secret = '{PIN}'\n"),
        format!("[profiles.a]\nkind = 'azure-token'\nthumbprint = '{uri}'\n"),
        format!("[profiles.a]\nkind = 'azure-token'\nscopes = '{uri}, expected x'\n"),
        format!("[profiles.a]\nkind = '{uri}'\n"),
        format!("timeout = '{uri}'\n"),
    ] {
        let error = refused(&text);
        assert!(!error.contains(PIN), "{error}");
    }
}

#[test]
fn chains() {
    let role = |name: &str, source: &str| {
        format!(
            "[profiles.{name}]\nkind = 'aws-assume-role'\nsource-profile = '{source}'\n\
             role-arn = 'arn:aws:iam::123456789012:role/r'\nsession-name = 's'\n"
        )
    };
    for text in [role("a", "a"), role("a", "b") + &role("b", "c") + &role("c", "a")] {
        let error = refused(&text);
        assert!(error.contains("stands on itself"), "{error}");
    }
    let error = refused(&role("a", "nobody"));
    assert!(error.contains("no profile \"nobody\"") && error.contains("it has: a"), "{error}");
    // Eight are allowed, nine are not.
    let chain = |length: usize| {
        let last = role("p1", "p0").replace("source-profile = 'p0'\n", "");
        (2..=length).fold(last, |text, n| text + &role(&format!("p{n}"), &format!("p{}", n - 1)))
    };
    assert!(Config::parse(&chain(8), Path::new("/"), "c").is_ok());
    assert!(refused(&chain(9)).contains("more than 7 others"));
}

/// Refused before anything is asked.
#[tokio::test]
async fn wrong_kinds_in_a_chain() {
    let world = World::new();
    let client = world.client();
    for (source, on, says) in [
        ("aws-assume-role", "gcp-token", "a kind that begins with aws-"),
        ("gcp-impersonated", "anywhere-p256", "an access token of Google Cloud"),
    ] {
        let fields = match source {
            "aws-assume-role" => "role-arn = 'r'\nsession-name = 's'\nregion = 'eu-west-1'\n",
            _ => "email = 'a@b'\n",
        };
        let text = format!(
            "{}\n[profiles.wrong]\nkind = '{source}'\nsource-profile = '{on}'\n{fields}",
            world.toml()
        );
        let folder = world.path("");
        let error = Config::parse(&text, &folder, "c").unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
    let config = world.config();
    let error = config.provider(&client, "gcp_token").unwrap_err().to_string();
    assert!(error.contains("\"gcp_token\"") && error.contains("gcp-token"), "{error}");
}

/// Relative paths start at the file's own directory, wherever the program runs.
#[tokio::test]
async fn from_a_file() {
    let world = World::new();
    world.write("config.toml", &world.toml());
    let config = Config::from_file(&world.path("config.toml")).unwrap();
    let client = config.client(cloudauth_client::Inputs::default(), 0).unwrap();
    config.provider(&client, "anywhere-rsa").unwrap().credential().await.unwrap();
    let error = Config::from_file(&world.path("none.toml")).unwrap_err().to_string();
    assert!(error.contains("none.toml"), "{error}");
}

/// What goes with another kind of proof is refused, and not passed over.
#[test]
fn fields_of_another_proof() {
    let world = World::new();
    world.write("secret", "s");
    world.write("token", "aa.bb.cc");
    let at = cloudauth_core::Attempt::new(cloudauth_core::UnixTime::new(1).unwrap(), [7; 32]);
    let azure = "kind = 'azure-token'\ntenant = 't'\nclient-id = 'c'\nscopes = ['s/.default']\n";
    let azure = format!("{azure}federated-token-file = 'token'\n");
    let gcp = "kind = 'gcp-federated'\nprovider = '//iam.googleapis.com/projects/1/locations/global/\
               workloadIdentityPools/pool/providers/p'\ntoken-file = 'token'\n";
    for (profile, field) in [
        (azure.as_str(), "algorithm = 'PS256'"),
        (azure.as_str(), "thumbprint = 'sha1'"),
        (azure.as_str(), "send-chain = true"),
        (gcp, "issuer = 'https://issuer.example'"),
        (gcp, "subject = 's'"),
        (gcp, "audience = 'a'"),
        (gcp, "key-id = 'k'"),
        (gcp, "lifetime = 60"),
    ] {
        let built = |field: &str| {
            let text = format!("[profiles.p]\n{profile}{field}\n");
            let config = Config::parse(&text, &world.path(""), "c").unwrap();
            let inputs = std::sync::Arc::default();
            config.profile("p").unwrap().request(&inputs, None, &at, |_| {})
        };
        built("").unwrap();
        let error = built(field).unwrap_err().to_string();
        let name = field.split(' ').next().unwrap();
        assert!(error.starts_with(name) && error.contains("goes with a key"), "{error}");
    }
}
