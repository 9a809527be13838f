//! `cloudauth key show`, and how keys are shown.

use core::fmt::Write as _;
use std::path::PathBuf;

use cloudauth_core::encode::{base64, hex};
use cloudauth_core::verifier::PublicKey;
use cloudauth_core::x509::Certificate;
use cloudauth_core::{Out, Scheme, Signer};
use cloudauth_keys::manage::{self, Description};
use cloudauth_keys::pem;
use serde_json::{Value, json};

use super::csr::{self, Request};
use crate::context::{Context, Output, json, key_uri, with_buffer};
use crate::error::CliError;

const AFTER: &str = "\
Examples:
  cloudauth key show --key 'pkcs11:token=LABEL;object=robot?module-path=/usr/lib/softhsm/libsofthsm2.so'
  cloudauth key show --jwks --key tpm:file=robot.pem >jwks.json
  cloudauth key show --csr --subject CN=robot --key file:robot.pem >robot.csr";

#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// The key: pkcs11:…, tpm:handle=0x81000005, tpm:file=PATH, tpm:fapi=/HS/SRK/NAME, file:PATH or env:NAME
    #[arg(long, value_name = "URI")]
    key: String,
    /// Its certificate, PEM or DER, for its thumbprint, if it is not in the token
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// Print the public key as a JWK set (RFC 7517); kid is its thumbprint (RFC 7638)
    #[arg(long, conflicts_with = "csr")]
    jwks: bool,
    #[command(flatten)]
    request: Request,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Vec<u8>, CliError> {
    if let Some(subject) = args.request.subject()? {
        return csr::signed(subject, &context.key(&args.key)?, context);
    }
    let mut key = manage::describe(&key_uri(&args.key)?, &context.prompt)?;
    let public = key.public_key.clone();
    if args.jwks {
        let spki = public.ok_or_else(|| CliError::Key("a secret has no public key".to_owned()))?;
        return jwks(&spki);
    }
    if let Some(path) = &args.certificate {
        let leaf = context.certificates(path)?.into_iter().next().unwrap_or_default();
        let of_certificate = Certificate::parse(&leaf)?;
        let same = public.as_deref().is_some_and(|spki| {
            PublicKey::from_spki(spki).ok() == PublicKey::from_spki(of_certificate.spki()).ok()
        });
        if !same {
            return Err(CliError::input(path.display(), "the certificate belongs to another key"));
        }
        key.certificate = Some(leaf);
    }
    // Opened for use: what the device can do with it is another thing than what its type can.
    let uses = if key.secret {
        context.mac_key(&key.uri).map(|_| vec![SIGV4.to_owned()])
    } else {
        let uri = if key.token.is_some() { &key.uri } else { &args.key };
        context.key(uri).map(|opened| {
            key.notes.extend(opened.notes().into_iter().map(str::to_owned));
            uses(&opened)
        })
    };
    let mut text = String::new();
    let uses = uses.unwrap_or_else(|error| {
        key.notes.push(error.to_string());
        Vec::new()
    });
    if context.output == Output::Json {
        let mut facts = facts(&key)?;
        if let Some(object) = facts.as_object_mut() {
            object.insert("uses".to_owned(), uses.into());
        }
        return Ok(json(&facts));
    }
    words(&key, &mut text)?;
    let uses = if uses.is_empty() { "nothing here".to_owned() } else { uses.join(", ") };
    line(&mut text, "good for", &uses);
    if let Some(spki) = &key.public_key {
        text.push_str(&pem::encode("PUBLIC KEY", spki)?);
    }
    Ok(text.into_bytes())
}

const SIGV4: &str = "AWS Signature Version 4 (STS and every other service)";

/// The flows that a key can serve.
fn uses(key: &impl Signer) -> Vec<String> {
    let names = |schemes: &[Scheme]| {
        let names: Vec<_> =
            schemes.iter().filter(|s| key.supports(**s)).filter_map(|s| s.jws_name()).collect();
        names.join(", ")
    };
    let mut uses = Vec::new();
    let anywhere = [Scheme::RsaPkcs1Sha256, Scheme::EcdsaP256Sha256, Scheme::EcdsaP384Sha256];
    if anywhere.into_iter().any(|s| key.supports(s)) {
        uses.push("AWS IAM Roles Anywhere".to_owned());
    }
    for (cloud, schemes) in [
        ("Azure", &[Scheme::RsaPkcs1Sha256, Scheme::RsaPssSha256][..]),
        ("Google", &[Scheme::RsaPkcs1Sha256, Scheme::EcdsaP256Sha256][..]),
    ] {
        let names = names(schemes);
        if !names.is_empty() {
            uses.push(format!("{cloud} ({names})"));
        }
    }
    uses
}

/// A key that was made or imported.
pub(super) fn output(
    key: &Description,
    notes: Vec<String>,
    context: &Context,
) -> Result<Vec<u8>, CliError> {
    let mut key = key.clone();
    key.notes.extend(notes);
    if context.output == Output::Json {
        return Ok(json(&facts(&key)?));
    }
    let mut text = String::new();
    words(&key, &mut text)?;
    if let Some(spki) = &key.public_key {
        text.push_str(&pem::encode("PUBLIC KEY", spki)?);
    }
    Ok(text.into_bytes())
}

fn line(text: &mut String, name: &str, value: &str) {
    let _ = writeln!(text, "{name:<10} {value}");
}

/// What is known of a key, in words.
fn words(key: &Description, text: &mut String) -> Result<(), CliError> {
    line(text, "key", &key.uri);
    line(text, "algorithm", &key.kind);
    let kept: Vec<_> = [
        (key.sensitive, "sensitive", "shown by the device to whoever logs in"),
        (key.extractable.map(|e| !e), "not extractable", "extractable"),
        (key.made_in_device, "made in the device", "made elsewhere"),
        (key.always_authenticate.filter(|a| *a), "wants its PIN for each signature", ""),
    ]
    .into_iter()
    .filter_map(|(flag, yes, no)| flag.map(|flag| if flag { yes } else { no }))
    .collect();
    if !kept.is_empty() {
        line(text, "kept", &kept.join(", "));
    }
    if let Some(spki) = &key.public_key {
        line(text, "kid", &thumbprint(spki)?);
    }
    if let Some(der) = &key.certificate {
        line(text, "x5t#S256", &url(&Certificate::parse(der)?.thumbprint_sha256()));
    }
    for note in &key.notes {
        line(text, "note", note);
    }
    Ok(())
}

/// The same for machines.
pub(super) fn facts(key: &Description) -> Result<Value, CliError> {
    let public = key.public_key.as_deref();
    let certificate = key.certificate.as_deref().map(Certificate::parse).transpose()?;
    Ok(json!({
        "uri": key.uri,
        "algorithm": key.kind,
        "token": key.token,
        "label": key.label,
        "id": key.id.as_deref().map(hexadecimal),
        "public_key": public.map(|spki| pem::encode("PUBLIC KEY", spki)).transpose()?,
        "jwk_thumbprint": public.map(thumbprint).transpose()?,
        "x5t#S256": certificate.map(|c| url(&c.thumbprint_sha256())),
        "sensitive": key.sensitive,
        "extractable": key.extractable,
        "made_in_device": key.made_in_device,
        "always_authenticate": key.always_authenticate,
        "notes": key.notes,
    }))
}

/// A key set with this key alone, to be uploaded where its signatures are to be believed.
pub(crate) fn jwks(spki: &[u8]) -> Result<Vec<u8>, CliError> {
    let key = PublicKey::from_spki(spki)?;
    let kid = thumbprint(spki)?;
    // An RSA key signs with RS256 and PS256; alg would rule one out (RFC 7517, section 4.4).
    let alg =
        [Scheme::EcdsaP256Sha256, Scheme::EcdsaP384Sha384].into_iter().find(|s| key.supports(*s));
    let alg = alg.and_then(Scheme::jws_name);
    let jwk = with_buffer(|buf| {
        let mut out = Out::new(buf);
        key.write_jwk(Some(&kid), alg, &mut out);
        Ok(out.finish()?.to_vec())
    })?;
    let mut jwk: Value = serde_json::from_slice(&jwk).map_err(|e| CliError::input("JWK", e))?;
    if let Some(object) = jwk.as_object_mut() {
        object.insert("use".to_owned(), "sig".into());
    }
    Ok(json(&json!({ "keys": [jwk] })))
}

/// The thumbprint of the JWK (RFC 7638), as a kid.
pub(crate) fn thumbprint(spki: &[u8]) -> Result<String, CliError> {
    Ok(url(&PublicKey::from_spki(spki)?.jwk_thumbprint()))
}

fn url(bytes: &[u8]) -> String {
    let mut text = vec![0; base64::encoded_len(bytes.len())];
    let mut out = Out::new(&mut text);
    base64::url_encode(bytes, &mut out);
    out.finish().map(|text| String::from_utf8_lossy(text).into_owned()).unwrap_or_default()
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = vec![0; bytes.len() * 2];
    let mut out = Out::new(&mut text);
    hex::encode(bytes, &mut out);
    out.finish().map(|text| String::from_utf8_lossy(text).into_owned()).unwrap_or_default()
}
