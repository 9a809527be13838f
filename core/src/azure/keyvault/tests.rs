use proptest::prelude::*;

use super::*;
use crate::jws::testing::attempt;
use crate::oauth::testing::answered;
use crate::{ErrorKind, Out};

const HOST: &str = "prod.vault.azure.net";

const fn item() -> Item<'static> {
    Item { host: HOST, name: "db-password", version: None, token: Secret::new("tok.en") }
}

fn sent(exchange: &impl Exchange) -> String {
    let mut buf = [0; 1024];
    let request = exchange.build(&attempt(), &mut buf).unwrap();
    let mut whole = [0; 1024];
    String::from_utf8(request.write_http1(&mut whole).unwrap().to_vec()).unwrap()
}

fn refused(exchange: &impl Exchange) -> (ErrorKind, &'static str) {
    let e = exchange.needed(&attempt(), 0).unwrap_err();
    (e.kind(), e.field())
}

#[test]
fn requests() {
    let present = sent(&GetSecret(item()));
    assert!(present.starts_with("GET /secrets/db-password?api-version=7.4 HTTP/1.1\r\n"));
    assert!(present.contains("\r\nHost: prod.vault.azure.net\r\n"));
    assert!(present.contains("\r\nAuthorization: Bearer tok.en\r\n"), "{present}");
    let item = Item { version: Some("4387e9f3d6e14c459867679a90fd0f79"), ..item() };
    let old = sent(&GetCertificate(item));
    assert!(old.starts_with(
        "GET /certificates/db-password/4387e9f3d6e14c459867679a90fd0f79?api-version=7.4 "
    ));
    let versions = GetSecretVersions { item, next_link: None };
    assert!(sent(&versions).starts_with("GET /secrets/db-password/versions?api-version=7.4 "));
    let next =
        "https://Prod.vault.azure.net/secrets/db-password/versions?api-version=7.4&$skiptoken=a%3D";
    let page = GetSecretVersions { next_link: Some(next), ..versions };
    let page = sent(&page);
    assert!(page.starts_with("GET /secrets/db-password/versions?api-version=7.4&$skiptoken=a%3D "));
    assert!(page.contains("\r\nHost: prod.vault.azure.net\r\n"));
    assert!(!format!("{:?}", GetSecret(item)).contains("tok.en"));
}

#[test]
fn what_cannot_be_asked() {
    assert!(GetSecret(item()).needed(&attempt(), 0).is_ok());
    let long = "a".repeat(127);
    assert!(GetSecret(Item { name: &long, ..item() }).needed(&attempt(), 0).is_ok());
    let longer = "a".repeat(128);
    for name in ["", "a/b", "a?b", "..", "a b", "a%2f", "ä", &longer] {
        let refused = refused(&GetSecret(Item { name, ..item() }));
        assert_eq!(refused, (ErrorKind::Invalid, "name"), "{name}");
    }
    for version in ["", "a/b", "?", &longer] {
        let refused = refused(&GetSecret(Item { version: Some(version), ..item() }));
        assert_eq!(refused, (ErrorKind::Invalid, "version"), "{version}");
    }
    for host in ["", "a/b", "a\r\nX: y", "a@b"] {
        assert_eq!(refused(&GetSecret(Item { host, ..item() })).1, "vault", "{host}");
    }
    for token in ["", "a b", "a\r\n"] {
        let refused = refused(&GetSecret(Item { token: Secret::new(token), ..item() }));
        assert_eq!(refused, (ErrorKind::Invalid, "access token"));
    }
}

// A link leads nowhere but to further versions of the same secret.
#[test]
fn links_to_elsewhere() {
    let link = |link| refused(&GetSecretVersions { item: item(), next_link: Some(link) });
    for bad in [
        "",
        "https://evil.example/secrets/db-password/versions?a",
        "https://prod.vault.azure.net.evil.example/secrets/db-password/versions?a",
        "http://prod.vault.azure.net/secrets/db-password/versions?a",
        "https://prod.vault.azure.net/secrets/other/versions?a",
        "https://prod.vault.azure.net/secrets/db-password?a",
        "https://prod.vault.azure.net/secrets/db-password/versions?a b",
        "https://prod.vault.azure.net/secrets/db-password/versions?a\r\nX: y",
        "https://prod.vault.azure.net/secrets/db-password/versions?\u{e4}",
    ] {
        assert_eq!(link(bad), (ErrorKind::Invalid, "next link"), "{bad}");
    }
}

/// After the example of "Get Secret".
const SECRET: &str = r#"{"value":"mysecretvalue",
    "id":"https://prod.vault.azure.net/secrets/db-password/4387e9f3d6e14c459867679a90fd0f79",
    "contentType":"text/plain","tags":{},
    "attributes":{"enabled":true,"nbf":1493938000,"exp":1893938410,"created":1493938410,
        "updated":1493938410,"recoveryLevel":"Recoverable+Purgeable"}}"#;

#[test]
fn a_secret() {
    let mut body = SECRET.as_bytes().to_vec();
    let head = ResponseHead { status: 200, headers: &[] };
    let secret = GetSecret(item()).response(&head, &mut body).unwrap();
    assert_eq!(secret.value.expose(), "mysecretvalue");
    let properties = secret.properties;
    assert_eq!(properties.version, "4387e9f3d6e14c459867679a90fd0f79");
    assert_eq!((properties.content_type, properties.content()), (Some("text/plain"), None));
    assert_eq!(properties.not_before.unwrap().as_secs(), 1_493_938_000);
    assert_eq!(properties.expires.unwrap().as_secs(), 1_893_938_410);
    assert!(properties.enabled && !format!("{secret:?}").contains("mysecret"));
    for (text, content) in
        [("application/x-pkcs12", Content::Pkcs12), ("application/x-pem-file", Content::Pem)]
    {
        let mut body = SECRET.replace("text/plain", text).into_bytes();
        let secret = GetSecret(item()).response(&head, &mut body).unwrap();
        assert_eq!(secret.properties.content(), Some(content));
    }
}

#[test]
fn answers_that_cannot_be_used() {
    let secret = GetSecret(item());
    assert!(answered(&secret, 200, SECRET).is_ok());
    assert!(answered(&secret, 200, &SECRET.replace("db-password", "DB-Password")).is_ok());
    let null = SECRET.replace("1893938410", "null");
    assert!(answered(&secret, 200, &null).unwrap().contains("expires: None"));
    for (from, to, field) in [
        ("\"value\"", "\"values\"", "value"),
        ("\"mysecretvalue\"", "7", "value"),
        ("db-password", "another", "id"),
        ("\"id\"", "\"ids\"", "id"),
        ("true", "\"true\"", "enabled"),
        ("1893938410", "\"soon\"", "attributes"),
        ("\"attributes\"", "\"attribute\"", "attributes"),
        ("\"tags\"", "\"value\"", "JSON"),
    ] {
        let bad = SECRET.replace(from, to);
        assert_ne!(bad, SECRET);
        let (status, at, _) = answered(&secret, 200, &bad).unwrap_err();
        assert_eq!((status, at.as_str()), (0, field), "{bad}");
    }
    let version = "4387e9f3d6e14c459867679a90fd0f79";
    let asked = GetSecret(Item { version: Some(version), ..item() });
    assert!(answered(&asked, 200, SECRET).is_ok());
    let other = SECRET.replace(version, "00000000000000000000000000000000");
    assert_eq!(answered(&asked, 200, &other).unwrap_err().1, "id");
}

#[test]
fn refusals() {
    let not_found = r#"{"error":{"code":"SecretNotFound","message":"A secret was not found"}}"#;
    let disabled = r#"{"error":{"code":"Forbidden","message":"Operation get is not allowed",
        "innererror":{"code":"SecretDisabled"}}}"#;
    let of = |status, body| answered(&GetSecret(item()), status, body).unwrap_err();
    let refusal =
        |status: u16, code: &str, message: &str| (status, code.to_owned(), message.to_owned());
    assert_eq!(of(404, not_found), refusal(404, "SecretNotFound", "A secret was not found"));
    assert_eq!(of(403, disabled), refusal(403, "SecretDisabled", "Operation get is not allowed"));
    assert_eq!(of(503, "<html>"), refusal(503, "", ""));
    assert_eq!(of(429, "{}"), refusal(429, "", ""));
    assert_eq!(of(200, "<html>").0, 0);
    // A good body does not make up for the status.
    assert_eq!(of(403, SECRET), refusal(403, "", ""));
}

#[test]
fn a_certificate() {
    let body = r#"{"id":"https://prod.vault.azure.net/certificates/db-password/c3d3",
        "kid":"https://prod.vault.azure.net/keys/db-password/c3d3",
        "sid":"https://prod.vault.azure.net/secrets/db-password/c3d3",
        "x5t":"TFk","cer":"AQIDBA==","attributes":{"enabled":true}}"#;
    let mut octets = body.as_bytes().to_vec();
    let head = ResponseHead { status: 200, headers: &[] };
    let read = GetCertificate(item()).response(&head, &mut octets).unwrap();
    assert_eq!(read.der(&mut [0; 4]).unwrap(), [1, 2, 3, 4]);
    assert!(read.der(&mut [0; 3]).is_err());
    assert_eq!(read.secret_id, Some("https://prod.vault.azure.net/secrets/db-password/c3d3"));
    let bad = body.replace("\"cer\"", "\"der\"");
    assert_eq!(answered(&GetCertificate(item()), 200, &bad).unwrap_err().1, "cer");
}

#[test]
fn versions() {
    let entry = |version: &str| {
        format!(
            r#"{{"id":"https://prod.vault.azure.net/secrets/db-password/{version}","attributes":{{"enabled":false}}}}"#
        )
    };
    let body = format!(
        r#"{{"value":[{},{}],"nextLink":"https://prod.vault.azure.net/x"}}"#,
        entry("one"),
        entry("two")
    );
    let list = GetSecretVersions { item: item(), next_link: None };
    let head = ResponseHead { status: 200, headers: &[] };
    let mut octets = body.clone().into_bytes();
    let page = list.response(&head, &mut octets).unwrap();
    assert_eq!(page.next_link, Some("https://prod.vault.azure.net/x"));
    let read: Vec<_> = page.map(|p| p.map(|p| (p.version, p.enabled))).collect();
    assert_eq!(read, [Ok(("one", false)), Ok(("two", false))]);
    let mut last = body.replace("\"https://prod.vault.azure.net/x\"", "null").into_bytes();
    assert_eq!(list.response(&head, &mut last).unwrap().next_link, None);
    assert_eq!(answered(&list, 200, r#"{"value":{}}"#).unwrap_err().1, "value");
}

#[test]
fn challenges() {
    let read = |text: &'static str| {
        let headers = Box::leak(Box::new([("WWW-Authenticate", text)]));
        Challenge::read(&ResponseHead { status: 401, headers })
    };
    let challenge = read(
        "Bearer authorization=\"https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555\", \
         resource=\"https://vault.azure.net\"",
    )
    .unwrap();
    assert_eq!(challenge.tenant(), Some("11111111-2222-3333-4444-555555555555"));
    assert_eq!(challenge.resource, "https://vault.azure.net");
    assert!(challenge.covers(HOST));
    for host in ["vault.azure.net", "prod.vault.azure.cn", "prod.vault.azure.net.evil.example", ""]
    {
        assert!(!challenge.covers(host), "{host}");
    }
    assert!(!Challenge { resource: "https://", ..challenge }.covers("prod."));
    for bad in ["Basic realm=\"a\"", "Bearer", "Bearer resource=\"a\"", "Bearer authorization=a"] {
        assert_eq!(read(bad), None, "{bad}");
    }
    assert_eq!(Challenge::read(&ResponseHead { status: 401, headers: &[] }), None);
}

#[test]
fn scopes() {
    let of = |host| {
        let mut buf = [0; 64];
        let mut out = Out::new(&mut buf);
        scope(host, &mut out).map(|()| String::from_utf8(out.finish().unwrap().to_vec()).unwrap())
    };
    assert_eq!(of(HOST).unwrap(), "https://vault.azure.net/.default");
    assert_eq!(
        of("a.vault.usgovcloudapi.net").unwrap(),
        "https://vault.usgovcloudapi.net/.default"
    );
    assert_eq!(of("a.vault.azure.cn:443").unwrap(), "https://vault.azure.cn/.default");
    for bad in ["vault.azure.net", "localhost", "a.evil.example", "", "a/b.vault.azure.net"] {
        assert_eq!(of(bad).unwrap_err().field(), "vault", "{bad}");
    }
}

proptest! {
    #[test]
    fn no_answer_panics(status in 100..600u16, body in "\\PC{0,80}") {
        let list = GetSecretVersions { item: item(), next_link: None };
        let _ = (answered(&GetSecret(item()), status, &body), answered(&list, status, &body));
    }

    #[test]
    fn no_challenge_panics(text in "(Bearer )?[a-z=\", ]{0,40}") {
        let headers = [("www-authenticate", text.as_str())];
        let _ = Challenge::read(&ResponseHead { status: 401, headers: &headers });
    }
}
