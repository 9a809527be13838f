//! A session template of SCONE, session language 0.3, as its Azure integration publishes it.
//! <https://sconedocs.github.io/CAS_session_lang_0_3/>, <https://github.com/scontain/scone-azure-integration>

use super::read::{Fields, Reader, at, is_plain};
use super::text::Part;
use super::yaml::{Node, Value};
use crate::error::CliError;

/// The least size in bits of the RSA keys whose signatures the broker takes.
const MIN_RSA: u32 = 2048;

/// What of a session there is a place for here.
pub(super) struct Session {
    /// `NAMESPACE/SESSION`.
    pub(super) name: String,
    /// The instance of Microsoft Azure Attestation: its URL.
    pub(super) maa: Option<String>,
    pub(super) tokens: Vec<Token>,
    pub(super) secrets: Vec<Secret>,
    pub(super) services: Vec<Service>,
}

/// A secret of kind `aad-token`: how to get at the vault.
pub(super) struct Token {
    pub(super) name: String,
    pub(super) tenant: String,
    pub(super) client: String,
    /// `client-secret` or `key`, and where it is.
    pub(super) with: (&'static str, String),
}

/// Another secret.
pub(super) struct Secret {
    /// As the template names it.
    pub(super) scone: String,
    /// As it is named here.
    pub(super) name: String,
    pub(super) is_certificate: bool,
    /// Else why there is none.
    pub(super) source: Result<Source, String>,
}

/// Where a secret comes from.
pub(super) enum Source {
    /// A file beside the broker's configuration.
    File(String),
    /// A vault, the secret's name in it, its version, and which of the tokens is for it.
    Vault { vault: String, name: String, version: Option<String>, token: String },
}

/// A service, with what its image has injected.
pub(super) struct Service {
    pub(super) name: String,
    pub(super) command: Option<String>,
    pub(super) folder: Option<String>,
    pub(super) mrenclaves: Vec<String>,
    pub(super) environment: Vec<(String, Vec<Part>)>,
    pub(super) files: Vec<(String, Vec<Part>)>,
}

impl Session {
    pub(super) fn read(root: Node, reader: &mut Reader) -> Result<Self, CliError> {
        let mut fields = Fields::of(root, "")?;
        let name = fields.needed("name", reader)?;
        let version = fields.text("version", reader)?;
        if let Some(version) = version.filter(|v| v != "0.3" && !v.starts_with("0.3.")) {
            let help = format!("{version:?} is another language than that which is read here, 0.3");
            return Err(CliError::input("version", help));
        }
        access_policy(&mut fields, reader)?;
        let maa = attestation(&mut fields, reader)?;
        let (tokens, secrets) = secrets(&mut fields, reader)?;
        let mut images = images(&mut fields, reader)?;
        let services = services(&mut fields, &mut images, reader)?;
        for (image, files) in images {
            if !files.is_empty() {
                reader.lost(&format!("images.{image}"), "no service has this image");
            }
        }
        fields.finish(reader, |name| match name {
            "volumes" => Some("encrypted volumes are none of the broker's"),
            "predecessor" | "creator" => Some("a configuration is a file, and has no history"),
            _ => None,
        });
        Ok(Self { name, maa, tokens, secrets, services })
    }
}

/// Who may read and change the session: here, whoever may read and change the broker's file.
fn access_policy(fields: &mut Fields, reader: &mut Reader) -> Result<(), CliError> {
    for (right, node) in fields.map("access_policy")? {
        let place = format!("access_policy.{right}");
        let mut who = Vec::new();
        node.texts(&mut |text| who.push(text.to_owned()));
        let who = who.join(", ");
        let help = format!(
            "{who}: here the rights of broker.toml decide, which its owner and root alone can change"
        );
        reader.lost(&place, &help);
    }
    Ok(())
}

fn attestation(fields: &mut Fields, reader: &mut Reader) -> Result<Option<String>, CliError> {
    let Some(node) = fields.take("security") else { return Ok(None) };
    let mut security = Fields::of(node, "security")?;
    let node = security.take("attestation");
    security.finish(reader, |_| None);
    let Some(node) = node else { return Ok(None) };
    let mut fields = Fields::of(node, "security.attestation")?;
    let mode = fields.text("mode", reader)?;
    let url = fields.text("url", reader)?;
    if mode.as_deref() != Some("maa") {
        let mode = mode.unwrap_or_else(|| "none is given".to_owned());
        let help = format!(
            "{mode}: the broker does not look at quotes itself; an instance of Microsoft Azure Attestation does"
        );
        reader.lost(&fields.at("mode"), &help);
    }
    let place = fields.at("tolerate");
    for tolerated in fields.texts("tolerate", reader)? {
        match tolerated.as_str() {
            "debug-mode" => reader.lost(
                &place,
                "debug-mode: a debug enclave's memory is open to its host, so none gets anything; for a \
                 trial write waive = [\"debug\"] in place of debuggable = false",
            ),
            // The broker never has another.
            "maa-managed-tcb" => {}
            other => {
                let help =
                    format!("{other}: the policy of the attestation's instance decides on it");
                reader.lost(&place, &help);
            }
        }
    }
    let place = fields.at("min_rsa_signing_key_size");
    if let Some(text) = fields.text("min_rsa_signing_key_size", reader)? {
        let size: u32 = text.parse().map_err(|_| CliError::input(&place, "expected a number"))?;
        if size != MIN_RSA {
            let help = format!("{size}: the broker takes RSA keys of {MIN_RSA} bits and more");
            reader.lost(&place, &help);
        }
    }
    fields.finish(reader, |name| match name {
        "ignore_advisories" => Some("the policy of the attestation's instance decides on them"),
        _ => None,
    });
    Ok(url.map(|url| url.trim_end_matches('/').to_owned()))
}

fn secrets(
    fields: &mut Fields,
    reader: &mut Reader,
) -> Result<(Vec<Token>, Vec<Secret>), CliError> {
    let (mut tokens, mut others) = (Vec::new(), Vec::new());
    for (i, node) in fields.list("secrets")?.into_iter().enumerate() {
        let mut fields = Fields::of(node, &format!("secrets[{i}]"))?;
        let name = fields.needed("name", reader)?;
        fields.place = format!("secrets.{name}");
        let known = |other: &str| other == name;
        if tokens.iter().any(|t: &Token| known(&t.name))
            || others.iter().any(|(s, _): &(String, _)| known(s))
        {
            return Err(CliError::input(&fields.place, "another secret has this name"));
        }
        match fields.needed("kind", reader)?.as_str() {
            "aad-token" => tokens.push(token(name, fields, reader)?),
            kind => others.push((name, (kind.to_owned(), fields))),
        }
    }
    let mut secrets: Vec<Secret> = Vec::new();
    for (scone, (kind, fields)) in others {
        let secret = secret(scone, &kind, fields, &tokens, reader)?;
        if secrets.iter().any(|other| other.name == secret.name) {
            let place = format!("secrets.{}", secret.scone);
            let help = format!("another secret is {:?} here too; rename one", secret.name);
            return Err(CliError::input(place, help));
        }
        secrets.push(secret);
    }
    Ok((tokens, secrets))
}

fn token(name: String, mut fields: Fields, reader: &mut Reader) -> Result<Token, CliError> {
    let tenant = fields.needed("tenant_id", reader)?;
    let client = fields.needed("client_id", reader)?;
    let with = match (fields.take("application_secret"), fields.take("private_key")) {
        (Some(node), None) => (
            "client-secret",
            held(&node, &fields.at("application_secret"), "client-secret", reader)?,
        ),
        (None, Some(node)) => {
            let place = fields.at("certificate_thumbprint");
            let thumbprint = fields.text("certificate_thumbprint", reader)?.unwrap_or_default();
            let help = format!(
                "put the certificate itself, with this thumbprint, into azure.pem: {thumbprint}"
            );
            reader.ask(&place, &help);
            ("key", held(&node, &fields.at("private_key"), "azure.key", reader)?)
        }
        _ => {
            let help =
                "expected either application_secret, or private_key and certificate_thumbprint";
            return Err(CliError::input(&fields.place, help));
        }
    };
    fields.finish(reader, |_| None);
    Ok(Token { name, tenant, client, with })
}

/// Where the broker finds a credential of its own. It is never written: where a variable holds it that same
/// variable does for the broker, else a file must.
fn held(node: &Node, place: &str, file: &str, reader: &mut Reader) -> Result<String, CliError> {
    let Value::Text(text) = &node.value else { return Err(at(node, place, "expected a text")) };
    if let [Part::Variable(name)] = super::text::parts(text).as_slice() {
        reader.ask(place, &format!("the broker takes it from its own variable {name}"));
        return Ok(format!("env:{name}"));
    }
    let help = format!(
        "it stands in the template itself; write it into the file {file} (mode 0600) where the broker starts, \
         or better make a new one"
    );
    reader.ask(place, &help);
    Ok(format!("file:{file}"))
}

fn secret(
    scone: String,
    kind: &str,
    mut fields: Fields,
    tokens: &[Token],
    reader: &mut Reader,
) -> Result<Secret, CliError> {
    let place = fields.place.clone();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let name: String = scone.chars().take(127).map(|c| if plain(c) { c } else { '-' }).collect();
    let is_certificate = kind == "x509";
    let has_value = fields.take("value").is_some();
    let size = fields.text("size", reader)?;
    let source = match (fields.take("import_akv"), kind) {
        (Some(node), "ascii" | "binary" | "x509") => {
            Ok(import(Fields::of(node, &format!("{place}.import_akv"))?, tokens, reader)?)
        }
        (None, "ascii" | "binary") if has_value => {
            let help = format!(
                "its value stands in the template; write it into {name}.secret (mode 0600) beside broker.toml"
            );
            reader.ask(&place, &help);
            Ok(Source::File(format!("{name}.secret")))
        }
        (None, "ascii" | "binary") if fields.take("import").is_none() => {
            let size = size.and_then(|size| size.parse::<u32>().ok()).unwrap_or(32);
            let command = match kind {
                "ascii" => format!(
                    "(umask 077; openssl rand -base64 {size} | head -c {size} >{name}.secret)"
                ),
                _ => format!("(umask 077; openssl rand -out {name}.secret {size})"),
            };
            let help =
                format!("CAS made it up; make one for everybody, beside broker.toml: {command}");
            reader.ask(&place, &help);
            Ok(Source::File(format!("{name}.secret")))
        }
        (_, "ascii" | "binary") => {
            Err("it is another session's; give it to both grants".to_owned())
        }
        (_, kind) => {
            let why = if has_value {
                "its value stands in the template"
            } else {
                "nothing is generated here"
            };
            Err(format!(
                "kind {kind}: {why}; have a certificate with its key in the vault, and write {name} = \
                 {{ certificate = \"…\" }}"
            ))
        }
    };
    if let Err(why) = &source {
        reader.lost(&place, why);
    }
    let is_lost = source.is_err();
    fields.finish(reader, |field| match field {
        "export" | "export_public" => Some("other grants name the secret themselves"),
        "migrate" => Some("nothing is generated anew, so there is nothing to keep"),
        // Said above.
        _ if is_lost => Some("goes with it"),
        _ => None,
    });
    Ok(Secret { scone, name, is_certificate, source })
}

fn import(mut fields: Fields, tokens: &[Token], reader: &mut Reader) -> Result<Source, CliError> {
    let vault = fields.needed("vault", reader)?.trim_end_matches('/').to_owned();
    let name = fields.needed("secret_name", reader)?;
    let version = fields.text("secret_version", reader)?;
    let place = fields.at("token");
    let named = match fields.take("token") {
        Some(node) => match reader.parts(&node, &place)?.as_slice() {
            [Part::Secret(name)] => Some(name.clone()),
            _ => return Err(at(&node, &place, "expected $$SCONE::NAME$$ of an aad-token")),
        },
        None => None,
    };
    let token = match (named, tokens) {
        (Some(name), _) => {
            if !tokens.iter().any(|token| token.name == name) {
                return Err(CliError::input(&place, format!("there is no aad-token {name:?}")));
            }
            name
        }
        (None, [only]) => only.name.clone(),
        (None, _) => {
            let help = format!("name it: there are {} secrets of kind aad-token", tokens.len());
            return Err(CliError::input(&place, help));
        }
    };
    fields.finish(reader, |_| None);
    Ok(Source::Vault { vault, name, version, token })
}

type Files = Vec<(String, Vec<Part>)>;

fn images(fields: &mut Fields, reader: &mut Reader) -> Result<Vec<(String, Files)>, CliError> {
    let mut images = Vec::new();
    for (i, node) in fields.list("images")?.into_iter().enumerate() {
        let mut fields = Fields::of(node, &format!("images[{i}]"))?;
        let name = fields.needed("name", reader)?;
        fields.place = format!("images.{name}");
        let mut files = Files::new();
        let mut in_words = Vec::new();
        for (i, node) in fields.list("injection_files")?.into_iter().enumerate() {
            let mut file = Fields::of(node, &format!("images.{name}.injection_files[{i}]"))?;
            let path = file.needed("path", reader)?;
            let place = file.at("content");
            if !path.starts_with('/') || path.split('/').any(|part| part == "..") {
                return Err(CliError::input(
                    file.at("path"),
                    "expected an absolute path without ..",
                ));
            }
            if files.iter().any(|(other, _)| *other == path) {
                return Err(CliError::input(file.at("path"), "another file has it"));
            }
            match file.take("content") {
                Some(node) => {
                    if is_plain(&node) {
                        in_words.push(path.clone());
                    }
                    files.push((path, reader.parts(&node, &place)?));
                    reader.tell_filled(&node, &place);
                }
                None => reader.lost(&file.place, "it has no content"),
            }
            file.finish(reader, |_| None);
        }
        reader.tell_plain(&in_words, &fields.at("injection_files"));
        fields.finish(reader, |name| match name {
            "volumes" => Some("encrypted volumes are none of the broker's"),
            _ => None,
        });
        images.push((name, files));
    }
    Ok(images)
}

fn services(
    fields: &mut Fields,
    images: &mut Vec<(String, Files)>,
    reader: &mut Reader,
) -> Result<Vec<Service>, CliError> {
    let mut services: Vec<Service> = Vec::new();
    let nodes = fields.list("services")?;
    let mut used = Vec::new();
    for (i, node) in nodes.into_iter().enumerate() {
        let mut fields = Fields::of(node, &format!("services[{i}]"))?;
        let name = fields.needed("name", reader)?;
        let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
        if name.len() > 64 || !name.bytes().all(plain) || name.starts_with('.') {
            let help = "is no name of a grant: 1 to 64 of A-Z a-z 0-9 - _ .";
            return Err(CliError::input(fields.at("name"), help));
        }
        if services.iter().any(|other| other.name == name) {
            return Err(CliError::input(fields.at("name"), "another service has it"));
        }
        fields.place = format!("services.{name}");
        let files = match fields.text("image_name", reader)? {
            Some(image) => {
                let files = images.iter().find(|(other, _)| *other == image);
                used.push(image.clone());
                files.map(|(_, files)| files.clone()).unwrap_or_default()
            }
            None => Files::new(),
        };
        let service = service(name, files, fields, reader)?;
        services.push(service);
    }
    images.retain(|(image, _)| !used.contains(image));
    Ok(services)
}

fn service(
    name: String,
    files: Files,
    mut fields: Fields,
    reader: &mut Reader,
) -> Result<Service, CliError> {
    let place = fields.at("mrenclaves");
    let mut mrenclaves = Vec::new();
    for text in fields.texts("mrenclaves", reader)? {
        let text = text.to_ascii_lowercase();
        if text.len() != 64 || !text.bytes().all(|c| c.is_ascii_hexdigit()) {
            return Err(CliError::input(&place, "expected 64 hexadecimal digits each"));
        }
        mrenclaves.push(text);
    }
    let place = fields.at("command");
    let words = fields.take("command").map(|node| command(&node, &place, reader)).transpose()?;
    let (mut environment, mut in_words) = (Vec::new(), Vec::new());
    let place = fields.at("environment");
    for (variable, node) in fields.map("environment")? {
        let place = format!("{place}.{variable}");
        if variable.starts_with("SCONE_") {
            reader.lost(&place, "is for the SCONE runtime");
            continue;
        }
        let parts = reader.parts(&node, &place)?;
        reader.tell_filled(&node, &place);
        if is_plain(&node) {
            in_words.push(variable.clone());
        }
        environment.push((variable, parts));
    }
    reader.tell_plain(&in_words, &place);
    let folder = fields.text("pwd", reader)?;
    fields.finish(reader, |name| match name {
        "fspf_path" | "fspf_key" | "fspf_tag" => {
            Some("SCONE's file protection: what the service reads belongs into its measured image")
        }
        "mrsigners" | "isvprodid" | "isvsvn" => Some(
            "write mrsigner with product-id and min-svn in place of mrenclave, if that is meant",
        ),
        _ => None,
    });
    Ok(Service { name, command: words.flatten(), folder, mrenclaves, environment, files })
}

/// A command in one line, for a comment.
fn command(node: &Node, place: &str, reader: &mut Reader) -> Result<Option<String>, CliError> {
    let parts = match &node.value {
        Value::List(items) => {
            let items = items.iter().map(|item| reader.parts(item, place));
            let items: Result<Vec<_>, _> = items.collect();
            items?.join(&Part::Text(" ".to_owned()))
        }
        _ => reader.parts(node, place)?,
    };
    reader.tell_filled(node, place);
    match super::text::plain(&parts) {
        Some(text) if !text.chars().any(char::is_control) => Ok(Some(text)),
        Some(_) => {
            reader.lost(place, "it has several lines");
            Ok(None)
        }
        None => {
            reader
                .lost(place, "a secret stands in it, where every user of the machine can read it");
            Ok(None)
        }
    }
}
