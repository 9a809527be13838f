//! Keys by URI, and clients. Under Miri nothing is opened: the handles are zeros, and whatever is wrong
//! with the other arguments must be found before they are looked at.
#![cfg_attr(miri, allow(dead_code))]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use cloudauth::*;

use super::{Case, EMAIL, Shared, case};
use crate::probe::{Probe, leak, text};

pub(crate) const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const KEY: &[u8] = include_bytes!("../../../../tests/fuzz/seeds/pem/pkcs8-p256");

/// A file that others cannot write. It appears whole: tests beside this one read it meanwhile.
pub(crate) fn file(name: &str, content: &[u8]) -> PathBuf {
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("hosted-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let new = folder.join(format!("new-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(&new).unwrap().write_all(content).unwrap();
    let path = folder.join(name);
    std::fs::rename(new, &path).unwrap();
    path
}

fn uri(name: &str, content: &[u8]) -> String {
    format!("file:{}", file(name, content).display())
}

/// For which sessions `sts` was asked.
pub(crate) static ASKED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// An STS that believes everyone: where it listens.
fn sts() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || listener.incoming().for_each(|stream| answer(stream.unwrap())));
    url
}

fn answer(mut stream: TcpStream) {
    let mut request = Vec::new();
    let mut octets = [0; 4096];
    let form = loop {
        let len = stream.read(&mut octets).unwrap();
        assert!(len > 0, "{}", String::from_utf8_lossy(&request));
        request.extend_from_slice(&octets[..len]);
        let text = String::from_utf8(request.clone()).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_lowercase();
        let needed = head.split_once("content-length: ").unwrap().1;
        if body.len() >= needed.lines().next().unwrap().parse().unwrap() {
            break body.to_owned();
        }
    };
    let session = form.split('&').find_map(|field| field.strip_prefix("RoleSessionName=")).unwrap();
    ASKED.lock().unwrap().push(session.to_owned());
    let (status, body) = if session == "refused" {
        let body = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>\
            <Message>not\u{9b}you&#10;</Message></Error></ErrorResponse>";
        ("403 Forbidden", body)
    } else {
        let body = "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>\
            <AccessKeyId>ASIAEXAMPLE</AccessKeyId><SecretAccessKey>secret/example</SecretAccessKey>\
            <SessionToken>token==</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>\
            </Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>";
        ("200 OK", body)
    };
    let len = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: text/xml\r\nContent-Length: {len}\r\n\
         Connection: close\r\n\r\n{body}"
    )
    .unwrap();
}

/// A configuration, whose services are `sts` or nobody.
pub(crate) fn config() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let (url, key) = (sts(), uri("key.pem", KEY));
        let token = file("token", b"a.b.c").display().to_string();
        let role = |name: &str, session: &str, url: &str| {
            format!(
                "[profiles.{name}]\nkind = 'aws-web-identity'\ntoken-file = '{token}'\n\
                 role-arn = 'arn:aws:iam::123456789012:role/demo'\nsession-name = '{session}'\n\
                 region = 'eu-central-1'\nendpoint-url = '{url}'\n"
            )
        };
        let mut text =
            format!("[profiles.google]\nkind = 'gcp-token'\nkey = '{key}'\nemail = '{EMAIL}'\n");
        for name in ["aws", "once", "many"] {
            text += &role(name, name, &url);
        }
        text += &role("refused", "refused", &url);
        text += &role("nobody", "nobody", "http://127.0.0.1:9");
        text +=
            "[profiles.lost]\nkind = 'gcp-token'\nkey = 'file:/missing'\nemail = 'a@example.com'\n";
        text += &format!(
            "[profiles.attested]\nkind = 'attested'\nbroker = 'https://127.0.0.1:9'\npin = '{}'\n\
             grant = 'g'\naudience = 'a'\n",
            "0".repeat(64)
        );
        file("config.toml", text.as_bytes())
    })
}

/// An object of the library's that stays open: zeros under Miri.
fn opened<T>(open: impl FnOnce(*mut T) -> cloudauth_result) -> Shared<T> {
    let handle = leak([0_u64; 8]).cast();
    assert!(cfg!(miri) || open(handle) == CLOUDAUTH_OK);
    Shared(handle)
}

pub(crate) fn client() -> *const cloudauth_client {
    static CLIENT: OnceLock<Shared<cloudauth_client>> = OnceLock::new();
    let none = std::ptr::null_mut;
    let null = std::ptr::null_mut;
    // SAFETY: as the header says.
    let open = |client| unsafe {
        cloudauth_client_open(text(config().to_str().unwrap()), client, none(), null())
    };
    CLIENT.get_or_init(|| opened(open)).0
}

pub(crate) fn uri_key() -> *const cloudauth_key {
    static OPEN: OnceLock<Shared<cloudauth_key>> = OnceLock::new();
    let none = std::ptr::null_mut;
    let null = std::ptr::null_mut;
    // SAFETY: as the header says.
    let open =
        |key| unsafe { cloudauth_key_open(text(&uri("signs.pem", KEY)), key, none(), null()) };
    OPEN.get_or_init(|| opened(open)).0
}

pub(crate) fn mac_key() -> *const cloudauth_mac_key {
    static OPEN: OnceLock<Shared<cloudauth_mac_key>> = OnceLock::new();
    let none = std::ptr::null_mut;
    let null = std::ptr::null_mut;
    // SAFETY: as the header says.
    let open = |key| unsafe {
        cloudauth_mac_key_open(text(&uri("aws-secret", SECRET.as_bytes())), key, none(), null())
    };
    OPEN.get_or_init(|| opened(open)).0
}

/// A URI of a file, or one like it where nothing is opened.
fn shown(p: &Probe, name: &str, content: &[u8]) -> cloudauth_bytes {
    p.text(&if cfg!(miri) { "file:/missing".into() } else { uri(name, content) })
}

fn path(p: &Probe) -> cloudauth_bytes {
    p.text(if cfg!(miri) { "/missing" } else { config().to_str().unwrap() })
}

pub(super) fn cases(c: &mut Vec<Case>) {
    case!(
        c,
        cloudauth_key_open,
        hosted,
        |p| shown(p, "key.pem", KEY),
        p.plain(),
        p.message(),
        p.error()
    );
    case!(c, cloudauth_key_signer, hosted, |p| p.handle(uri_key()), p.made(), p.error());
    case!(c, cloudauth_key_public, hosted, |p| p.handle(uri_key()), p.plain(), p.error());
    case!(
        c,
        cloudauth_key_sign_digest,
        fills hosted,
        |p| p.handle(uri_key()),
        p.number(CLOUDAUTH_SCHEME_ECDSA_P256_SHA256),
        p.octets(&[7; 32]),
        p.out(),
        p.cap(),
        p.len(),
        p.error()
    );
    case!(
        c,
        cloudauth_mac_key_open,
        hosted,
        |p| shown(p, "aws-secret", SECRET.as_bytes()),
        p.plain(),
        p.message(),
        p.error()
    );
    case!(c, cloudauth_mac_key_mac, hosted, |p| p.handle(mac_key()), p.made(), p.error());
    case!(c, cloudauth_client_open, hosted, |p| path(p), p.plain(), p.message(), p.error());
    case!(
        c,
        cloudauth_client_open_text,
        hosted,
        |p| p.text("[profiles]"),
        p.text("/"),
        p.plain(),
        p.message(),
        p.error()
    );
    case!(
        c,
        cloudauth_client_aws_keys,
        fills hosted,
        |p| p.handle(client()),
        p.text("aws"),
        p.out(),
        p.cap(),
        p.len(),
        p.made(),
        p.message(),
        p.error()
    );
    case!(
        c,
        cloudauth_client_bearer_token,
        fills hosted,
        |p| p.handle(client()),
        p.text("google"),
        p.out(),
        p.cap(),
        p.len(),
        p.plain(),
        p.message(),
        p.error()
    );
    case!(
        c,
        cloudauth_client_invalidate,
        hosted,
        |p| p.handle(client()),
        p.text("aws"),
        p.message(),
        p.error()
    );
}
