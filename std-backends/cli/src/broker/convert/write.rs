//! Writing a session as a broker's configuration, and as those of `cloudauth run`.

use core::fmt::Write as _;

use super::read::Reader;
use super::session::{Secret, Service, Session, Source, Token};
use super::text::Part;

/// Where the operator has to write the true ones; both are names of nobody.
const BROKER: &str = "https://broker.example.com:8443";
const AUDIENCE: &str = "https://broker.example.com";
const INSTANCE: &str = "https://INSTANCE.attest.azure.net";

/// The name and content of a file to be.
pub(super) type File = (String, String);

/// The broker's configuration, and one of `cloudauth run` for each service that gets a secret.
pub(super) fn files(session: &Session, from: &str, reader: &mut Reader) -> Vec<File> {
    let mut runs = Vec::new();
    let mut grants = String::new();
    let mut given = Vec::new();
    for service in &session.services {
        let place = format!("services.{}", service.name);
        let run = run(session, service, from, reader);
        if run.secrets.is_empty() {
            reader.lost(&place, "it gets no secret, so it needs no grant");
            continue;
        }
        grant(&mut grants, session, service, &run.secrets, reader);
        given.extend(run.secrets.iter().map(|secret| &secret.name));
        runs.push((format!("{}.run.toml", service.name), run.text));
        let help = format!(
            "SCONE_CONFIG_ID={}/{} is the grant {:?} now, in the client's own file",
            session.name, service.name, service.name
        );
        reader.ask(&place, &help);
    }
    for secret in &session.secrets {
        if secret.source.is_ok() && !given.contains(&&secret.name) {
            let place = format!("secrets.{}", secret.scone);
            reader.lost(&place, "no service has use for it, so no grant gives it");
        }
    }
    if runs.is_empty() {
        return Vec::new();
    }
    let mut broker = format!(
        "# What the broker is told in place of {from}, written by `cloudauth broker convert scone`. Lines with\n\
         # TO DO are yours. Where there is a broker already, its file needs [issuers] and [grants] of this one.\n\
         audience = {}\n\n\
         [server]\n\
         listen = \"0.0.0.0:8443\"\n\
         certificate = \"broker.pem\"              # TO DO: the broker's own, the chain behind it\n\
         key = \"file:broker.key\"                 # or in a TPM or an HSM\n",
        quoted(AUDIENCE)
    );
    issuer(&mut broker, session.maa.as_deref(), reader);
    broker.push_str(&grants);
    reader.ask("server", "the broker's certificate and key, its address and its audience");
    let help = "the broker's address and authority, and the command that attests: it gets runtime data and \
                writes a token of the instance";
    reader.ask("attested", help);
    runs.insert(0, ("broker.toml".to_owned(), broker));
    runs
}

fn issuer(text: &mut String, maa: Option<&str>, reader: &mut Reader) {
    let url = maa.unwrap_or_else(|| {
        reader.ask("issuers.maa.issuer", "the instance of Microsoft Azure Attestation: its URL");
        INSTANCE
    });
    let _ = write!(text, "\n[issuers.maa]\nkind = \"maa\"\nissuer = {}\n", quoted(url));
    let host = url.strip_prefix("https://").unwrap_or(url);
    let own = ["attest.azure.net", "attest.azure.us", "attest.azure.cn"];
    if !own.into_iter().any(|domain| host.ends_with(&format!(".{domain}"))) {
        let _ = writeln!(text, "jwks-uri = {}", quoted(&format!("{url}/certs")));
    }
}

fn grant(
    text: &mut String,
    session: &Session,
    service: &Service,
    secrets: &[&Secret],
    reader: &mut Reader,
) {
    let name = key(&service.name);
    let place = format!("grants.{}", service.name);
    let _ = write!(
        text,
        "\n[grants.{name}.attested]\nissuer = \"maa\"\ntype = \"sgx\"\ndebuggable = false\n"
    );
    if service.mrenclaves.is_empty() {
        text.push_str(
            "# mrenclave = [\"…\"]                    # TO DO: the enclave's measurement\n",
        );
        reader.ask(&place, "mrenclave: the template names no measurement");
    } else {
        let _ = writeln!(text, "mrenclave = {}", list(&service.mrenclaves));
        let help = "mrenclave: an enclave that is built anew, with cloudauth in it, has another measurement";
        reader.ask(&place, help);
    }
    text.push_str("# policy-hashes = [\"…\"]                # TO DO: the instance's policy, x-ms-policy-hash\n");
    let help = "policy-hashes: fix the instance's policy (x-ms-policy-hash of its tokens); the grant does not \
                load without it";
    reader.ask(&place, help);

    let vaults = secrets.iter().filter_map(|secret| match &secret.source {
        Ok(Source::Vault { vault, token, .. }) => Some((vault, token)),
        _ => None,
    });
    let first = vaults.clone().next();
    let _ = write!(text, "\n[grants.{name}.give]\nkind = \"secrets\"\nlease = 3600\n");
    if let Some((vault, token)) = first {
        let _ = writeln!(text, "vault = {}", quoted(vault));
        if let Some(token) = session.tokens.iter().find(|other| other.name == *token) {
            credential(text, token);
        }
    }
    let _ = write!(text, "\n[grants.{name}.give.secrets]\n");
    for secret in secrets {
        let Ok(source) = &secret.source else { continue };
        let what = match source {
            Source::File(path) => format!("{{ file = {} }}", quoted(path)),
            Source::Vault { vault, name, version, token } => {
                if first.is_some_and(|(_, other)| other != token) {
                    let place = format!("secrets.{}", secret.scone);
                    let help = format!(
                        "{token}: a grant has one token for its vaults, and {:?} has that of another; see \
                         that it may read this one too, or make another grant",
                        service.name
                    );
                    reader.lost(&place, &help);
                }
                let kind = if secret.is_certificate { "certificate" } else { "secret" };
                let mut what = format!("{{ {kind} = {}", quoted(name));
                if let Some(version) = version {
                    let _ = write!(what, ", version = {}", quoted(version));
                }
                if first.is_some_and(|(other, _)| other != vault) {
                    let _ = write!(what, ", vault = {}", quoted(vault));
                }
                format!("{what} }}")
            }
        };
        let _ = writeln!(text, "{} = {what}", secret.name);
    }
}

fn credential(text: &mut String, token: &Token) {
    let (field, held) = &token.with;
    let _ = write!(
        text,
        "tenant = {}\nclient-id = {}\n{field} = {}\n",
        quoted(&token.tenant),
        quoted(&token.client),
        quoted(held)
    );
    if *field == "key" {
        text.push_str("certificate = \"azure.pem\"\n");
    }
}

/// What `cloudauth run` is told, and which secrets that takes.
struct Run<'a> {
    text: String,
    secrets: Vec<&'a Secret>,
}

fn run<'a>(session: &'a Session, service: &Service, from: &str, reader: &mut Reader) -> Run<'a> {
    let command = service.command.as_deref().unwrap_or("COMMAND");
    let folder = service.folder.as_ref().map(|folder| format!("cd {folder} && "));
    let folder = folder.filter(|folder| !folder.chars().any(char::is_control));
    let mut text = format!(
        "# What {} of {from} gets, and how. Its start, once it is there:\n#   {}cloudauth run --config /etc/cloudauth/{}.run.toml -- {command}\n\
         # This file belongs into the measured image. Lines with TO DO are yours.\n\n\
         [attested]\nurl = {}   # TO DO\nca-file = \"broker-ca.pem\"                # TO DO: whom to trust\n\
         audience = {}\ngrant = {}\ntoken-type = \"MAA\"\n\
         command = [\"/usr/local/bin/attest-maa\"]  # TO DO: what gets a token of the instance\n",
        service.name,
        folder.unwrap_or_default(),
        service.name,
        quoted(BROKER),
        quoted(AUDIENCE),
        quoted(&service.name),
    );
    let mut secrets: Vec<&Secret> = Vec::new();
    let mut entries = |of: &[(String, Vec<Part>)], place: &str| {
        let mut lines = String::new();
        for (name, parts) in of {
            let place = format!("{place}{name}");
            match template(parts, &session.secrets, &session.tokens) {
                Ok((content, used)) => {
                    let _ = writeln!(lines, "{} = {}", key(name), quoted(&content));
                    for secret in used {
                        if !secrets.iter().any(|other| other.name == secret.name) {
                            secrets.push(secret);
                        }
                    }
                }
                Err(why) => reader.lost(&place, &why),
            }
        }
        lines
    };
    let place = format!("services.{}.environment.", service.name);
    let environment = entries(&service.environment, &place);
    let files = entries(&service.files, &format!("services.{}: its image's file ", service.name));
    if !environment.is_empty() {
        let _ = write!(text, "\n[environment]\n{environment}");
    }
    if !files.is_empty() {
        let _ = write!(
            text,
            "\n# Each of these files lies in a tmpfs: mount one on its folder or, where that holds other files, too, name\n\
             # another folder here and to the service.\n[files.content]\n{files}"
        );
    }
    Run { text, secrets }
}

/// A text with references as `cloudauth run` has them, and the secrets in it.
fn template<'a>(
    parts: &[Part],
    secrets: &'a [Secret],
    tokens: &[Token],
) -> Result<(String, Vec<&'a Secret>), String> {
    let (mut text, mut used) = (String::new(), Vec::new());
    for part in parts {
        match part {
            Part::Text(part) => text.push_str(&part.replace('$', "$$")),
            Part::Variable(name) => {
                let _ = write!(text, "$${name}");
            }
            Part::Secret(name) => {
                let (reference, secret) = reference(name, secrets, tokens)?;
                text.push_str(&reference);
                used.push(secret);
            }
        }
    }
    Ok((text, used))
}

/// `${NAME.FIELD:FORMAT}` for what SCONE writes `$$SCONE::NAME.FIELD$$` or `$$SCONE::NAME:FORMAT$$`.
fn reference<'a>(
    text: &str,
    secrets: &'a [Secret],
    tokens: &[Token],
) -> Result<(String, &'a Secret), String> {
    let at = text.find([':', '.']).unwrap_or(text.len());
    let (name, form) = text.split_at_checked(at).unwrap_or((text, ""));
    if tokens.iter().any(|token| token.name == name) {
        return Err(format!(
            "{name} is a token of Entra ID: make a grant of kind \"azure-token\", and start the command under \
             cloudauth env"
        ));
    }
    let secret = secrets.iter().find(|secret| secret.scone == name);
    let secret = secret.ok_or_else(|| format!("there is no secret {name:?}"))?;
    if let Err(why) = &secret.source {
        return Err(format!("{name}: {why}"));
    }
    let form = form.trim_start_matches([':', '.']);
    let field = match (secret.is_certificate, form) {
        (false, "" | "bin") => "",
        (false, "hex") => ".value:hex",
        (false, "base64") => ".value:base64",
        (false, "base64url") => ".value:base64url",
        (true, "crt" | "crt:pem") => ".crt",
        (true, "key" | "privatekey" | "privatekey:pem" | "privatekey:pkcs8:pem") => ".key",
        (true, "chain" | "chain:pem") => ".chain",
        (true, "") => {
            return Err(format!("{name} is a certificate: say which part: .crt, .key or .chain"));
        }
        _ => return Err(format!("{text}: there is no such form of it here")),
    };
    Ok((format!("${{{}{field}}}", secret.name), secret))
}

/// A text in TOML: a basic string has the escapes of JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

fn list(texts: &[String]) -> String {
    let texts: Vec<_> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", texts.join(", "))
}

/// A name in TOML.
fn key(name: &str) -> String {
    let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_');
    if !name.is_empty() && name.bytes().all(plain) { name.to_owned() } else { quoted(name) }
}
