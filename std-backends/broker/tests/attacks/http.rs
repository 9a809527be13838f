//! Attacks on the form of requests: two readings of one text, more of it than there is room for, members that are
//! not the protocol's.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::binder::base64url;
use crate::table::{Expect, Outcome, Table};
use crate::wire::{Heard, credentials, post};
use crate::world::{READER, World};

pub(crate) fn run(table: &mut Table) {
    let world = World::new("", "");
    smuggling(table, &world);
    sizes(table, &world);
    bodies(table, &world);
    escalation(table, &world);
}

/// What a front end may understand in another way than the broker. After such a request nothing more is read: the
/// request behind it, hidden or not, gets no answer.
fn smuggling(table: &mut Table, world: &World) {
    let hidden = post("/v1/challenge", "{}");
    let head = |lines: &str| format!("POST /v1/challenge HTTP/1.1\r\n{lines}\r\n\r\n");
    let json = "Host: localhost\r\nContent-Type: application/json\r\n";
    let shapes: Vec<(&str, String, u16)> = vec![
        (
            "Content-Length and Transfer-Encoding",
            head(&format!("{json}Content-Length: 2\r\nTransfer-Encoding: chunked"))
                + "2\r\n{}\r\n0\r\n\r\n",
            501,
        ),
        (
            "Transfer-Encoding and Content-Length",
            head(&format!("{json}Transfer-Encoding: chunked\r\nContent-Length: 5")) + "0\r\n\r\n",
            501,
        ),
        (
            "chunked",
            head(&format!("{json}Transfer-Encoding: chunked")) + "2\r\n{}\r\n0\r\n\r\n",
            501,
        ),
        (
            "Transfer-Encoding: identity",
            head(&format!("{json}Transfer-Encoding: identity\r\nContent-Length: 2")) + "{}",
            400,
        ),
        (
            "Transfer-Encoding: xchunked",
            head(&format!("{json}Transfer-Encoding: xchunked\r\nContent-Length: 2")) + "{}",
            400,
        ),
        (
            "two Content-Lengths, different",
            head(&format!("{json}Content-Length: 2\r\nContent-Length: 60")) + "{}",
            400,
        ),
        ("Content-Length: 2, 2", head(&format!("{json}Content-Length: 2, 2")) + "{}", 400),
        ("Content-Length: +2", head(&format!("{json}Content-Length: +2")) + "{}", 400),
        ("Content-Length: 0x2", head(&format!("{json}Content-Length: 0x2")) + "{}", 400),
        ("Content-Length: -1", head(&format!("{json}Content-Length: -1")) + "{}", 400),
        (
            "Content-Length: 2^64 + 2",
            head(&format!("{json}Content-Length: 18446744073709551618")) + "{}",
            400,
        ),
        ("no Content-Length", head(json.trim_end()) + "{}", 411),
        (
            "obs-fold: a header on two lines",
            head(&format!("{json}X-A: b\r\n Content-Length: 60\r\nContent-Length: 2")) + "{}",
            400,
        ),
        (
            "a bare line feed before a Content-Length",
            head(&format!("{json}X-A: b\nContent-Length: 60\r\nContent-Length: 2")) + "{}",
            400,
        ),
        (
            "a bare line feed before a Transfer-Encoding",
            head(&format!("{json}X-A: b\nTransfer-Encoding: chunked\r\nContent-Length: 5"))
                + "0\r\n\r\n",
            501,
        ),
        (
            "a bare carriage return in a value",
            head(&format!("{json}X-A: b\rContent-Length: 60\r\nContent-Length: 2")) + "{}",
            400,
        ),
        ("space before the colon", head(&format!("{json}Content-Length : 2")) + "{}", 400),
        (
            "Transfer-Encoding with a space before the colon",
            head(&format!("{json}Transfer-Encoding : chunked\r\nContent-Length: 2")) + "{}",
            400,
        ),
        (
            "a header line that begins with a space",
            head(&format!(" X: y\r\n{json}Content-Length: 2")) + "{}",
            400,
        ),
        ("a NUL in a value", head(&format!("{json}X-A: \0\r\nContent-Length: 2")) + "{}", 400),
        ("absolute form", post("https://other.example/v1/challenge", "{}"), 400),
        ("asterisk form", post("*", "{}"), 400),
        (
            "CONNECT",
            "CONNECT attacker.example:443 HTTP/1.1\r\nHost: attacker.example:443\r\n\r\n"
                .to_owned(),
            400,
        ),
        ("two Hosts", head(&format!("{json}Host: other.example\r\nContent-Length: 2")) + "{}", 400),
        ("no Host", head("Content-Type: application/json\r\nContent-Length: 2") + "{}", 400),
        ("HTTP/1.0", post("/v1/challenge", "{}").replace("HTTP/1.1", "HTTP/1.0"), 505),
        ("HTTP/2's preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), 0),
        (
            "Expect: 100-continue",
            head(&format!("{json}Expect: 100-continue\r\nContent-Length: 2")) + "{}",
            417,
        ),
        ("GET with a body", post("/v1/challenge", "{}").replacen("POST", "GET", 1), 405),
        ("a request line of three words and more", post("/v1/challenge HTTP/1.1 x", "{}"), 400),
    ];
    for (name, request, status) in shapes {
        let mut client = world.connect();
        let passed = Outcome::heard(client.post("/v1/challenge", "{}"), serde_json::Value::Null);
        client.send(format!("{request}{hidden}"));
        let heard = client.hear();
        // It must be the last answer of this connection.
        let outcome = match (&heard, client.hear()) {
            (Heard::Answer(_), Heard::Answer(more)) => Outcome::Accepted(format!(
                "and the request behind it was answered: {}",
                more.status
            )),
            (Heard::Answer(_), Heard::Nothing) => Outcome::Accepted("and it stays open".to_owned()),
            _ => world.outcome(heard),
        };
        // hyper refuses some by itself, without a body, before there is a request that a record could be of.
        let bare = matches!(&outcome, Outcome::Answer(answer, _) if answer.body.is_empty());
        let (outcome, expected) = match &outcome {
            Outcome::Answer(answer, _) if bare && answer.status < 500 && status < 500 => (
                Outcome::Refused(format!("{} without a body, closed", answer.status)),
                Expect::Refused("4"),
            ),
            Outcome::Refused(_) if status == 0 => (outcome, Expect::Refused("closed")),
            _ => (outcome, Expect::Malformed(status)),
        };
        table.attack(
            &format!("request smuggling: {name}"),
            "with another request behind it",
            &outcome,
            expected,
            "a plain request, before",
            &passed,
        );
    }
    // Two shapes that RFC 9112 lets a server take (sections 2.2 and 6.3), and that are read in one way only: what is
    // in the body is no request.
    let length = hidden.len();
    for (name, request) in [
        ("bare line feeds", {
            let json = json.replace('\r', "");
            format!("POST /v1/challenge HTTP/1.1\n{json}Content-Length: {length}\n\n{hidden}")
        }),
        ("two Content-Lengths, the same", {
            let lengths = format!("Content-Length: {length}\r\nContent-Length: {length}");
            head(&format!("{json}{lengths}")) + &hidden
        }),
    ] {
        let mut client = world.connect();
        let passed = Outcome::heard(client.post("/v1/challenge", "{}"), serde_json::Value::Null);
        client.send(request);
        let heard = client.hear();
        client.tls.sock.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let refused = match client.hear() {
            Heard::Answer(more) => Outcome::Accepted(format!("another answer: {}", more.status)),
            _ => world.outcome(heard),
        };
        let name = format!("request smuggling: {name}");
        let expected = Expect::Malformed(400);
        table.attack(
            &name,
            "with a request as the body",
            &refused,
            expected,
            "a plain request",
            &passed,
        );
    }
    // What is longer than it says is the next request, for everybody.
    let mut client = world.connect();
    client.send(format!(
        "{}{}",
        post("/v1/challenge", "{}"),
        "GET /v1/credentials HTTP/1.1\r\nHost: localhost\r\n\r\n"
    ));
    let passed = Outcome::heard(client.hear(), serde_json::Value::Null);
    let refused = world.outcome(client.hear());
    table.attack(
        "a request hidden behind a short Content-Length",
        "GET /v1/credentials",
        &refused,
        Expect::Malformed(405),
        "the one before it",
        &passed,
    );
}

fn sizes(table: &mut Table, world: &World) {
    // 64 KiB, white space included.
    let body = |length: usize| format!("{{{}}}", " ".repeat(length - 2));
    let challenge = |body: &str| world.outcome(world.connect().post("/v1/challenge", body));
    let passed = challenge(&body(65_536));
    let refused = challenge(&body(65_537));
    table.attack(
        "a body of 64 KiB and an octet",
        "white space",
        &refused,
        Expect::Malformed(413),
        "64 KiB",
        &passed,
    );

    let mut client = world.connect();
    let start = Instant::now();
    client.send("POST /v1/challenge HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 52428800\r\n\r\n");
    let block = vec![b' '; 1 << 20];
    let taken = (0..50).take_while(|_| client.send(&block)).count();
    let refused = world.outcome(client.hear());
    let expected = match &refused {
        // A peer that sends on is reset: it may never read what was said.
        Outcome::Refused(_) => Expect::Refused("closed"),
        _ => Expect::Malformed(413),
    };
    assert!(taken < 50 && start.elapsed().as_secs() < 10, "{taken} MB taken");
    table.attack(
        "50 MB body",
        &format!("{taken} MB sent until the end"),
        &refused,
        expected,
        "64 KiB",
        &passed,
    );

    let with = |name: &str, length: usize| {
        let mut client = world.connect();
        let line = format!("Host: localhost\r\n{name}: {}\r\n", "a".repeat(length));
        client.send(post("/v1/challenge", "{}").replacen("Host: localhost\r\n", &line, 1));
        world.outcome(client.hear())
    };
    let passed = with("X-Long", 8000);
    for (name, refused) in [
        ("a head of 20,000 octets", with("X-Long", 20_000)),
        (
            "a target of 20,000 octets",
            world.outcome(world.connect().post(&format!("/{}", "a".repeat(20_000)), "{}")),
        ),
        ("a thousand headers", {
            let mut client = world.connect();
            let many = format!("Host: localhost\r\n{}", "A: b\r\n".repeat(1000));
            client.send(post("/v1/challenge", "{}").replacen("Host: localhost\r\n", &many, 1));
            world.outcome(client.hear())
        }),
    ] {
        let refused = match refused {
            Outcome::Answer(answer, _) if answer.status == 431 || answer.status == 414 => {
                Outcome::Refused(format!("{} without a body", answer.status))
            }
            other => other,
        };
        table.attack(
            "too long a head",
            name,
            &refused,
            Expect::Refused(""),
            "a head of 8,000 octets",
            &passed,
        );
    }
}

fn bodies(table: &mut Table, world: &World) {
    let token = "eyJhbGciOiJSUzI1NiJ9.e30.AA";
    let request = base64url(READER.as_bytes());
    let good = world.good();
    for (name, body) in [
        ("no JSON", "grant=reader".to_owned()),
        ("cut off", format!(r#"{{"request":"{request}","attestation":"{token}""#)),
        (
            "repeated members",
            format!(r#"{{"request":"{request}","request":"{request}","attestation":"{token}"}}"#),
        ),
        (
            "repeated members, escaped",
            format!(
                r#"{{"request":"{request}","\u0072equest":"{request}","attestation":"{token}"}}"#
            ),
        ),
        (
            "a member more: role_arn",
            format!(
                r#"{{"request":"{request}","attestation":"{token}","role_arn":"arn:aws:iam::1:role/admin"}}"#
            ),
        ),
        ("a member less", format!(r#"{{"request":"{request}"}}"#)),
        ("an array", format!(r#"["{request}","{token}"]"#)),
        ("attestation null", format!(r#"{{"request":"{request}","attestation":null}}"#)),
        (
            "request in base64 with padding",
            format!(r#"{{"request":"{request}=","attestation":"{token}"}}"#),
        ),
        ("request in JSON", format!(r#"{{"request":{READER},"attestation":"{token}"}}"#)),
        ("not UTF-8", "\u{fffd}".to_owned()),
        ("ten thousand arrays", "[".repeat(10_000)),
    ] {
        let mut client = world.connect();
        client.challenge();
        let refused = world.outcome(client.post("/v1/credentials", &body));
        table.attack(
            "a body that is not the protocol's",
            name,
            &refused,
            Expect::Malformed(400),
            "exactly the two members",
            &good,
        );
    }
    for (name, change) in [
        ("Content-Type: text/plain", ("application/json", "text/plain")),
        ("no Content-Type", ("Content-Type: application/json\r\n", "")),
        ("charset=utf-16", ("application/json", "application/json; charset=utf-16")),
        ("a form", ("application/json", "application/x-www-form-urlencoded")),
    ] {
        let mut client = world.connect();
        client.send(post("/v1/challenge", "{}").replace(change.0, change.1));
        let refused = world.outcome(client.hear());
        table.attack(
            "a request as pages in browsers make them",
            name,
            &refused,
            Expect::Malformed(415),
            "application/json",
            &good,
        );
    }
    for (name, path, status) in [
        ("a query", "/v1/credentials?grant=reader", 400),
        ("dots", "/v1/../v1/credentials", 404),
        ("an encoded letter", "/v1/%63redentials", 404),
        ("two slashes", "//v1/credentials", 404),
        ("the plain listener's", "/metrics", 404),
        ("the older brokers'", "/token", 404),
    ] {
        let mut client = world.connect();
        client.challenge();
        let refused = world.outcome(client.post(path, &credentials(READER, token)));
        table.attack(
            "a path that is nearly one",
            name,
            &refused,
            Expect::Malformed(status),
            "/v1/credentials",
            &good,
        );
    }
}

/// R is bound, so it is the workload's own wish: it may name a grant, and nothing else.
fn escalation(table: &mut Table, world: &World) {
    let good = world.good();
    let denied = |check| Expect::Check("denied", check);
    let other = world.exchange(r#"{"grant":"other"}"#, |_| {});
    table.attack(
        "grant escalation: another workload's grant",
        r#"{"grant":"other"}"#,
        &other,
        denied("image"),
        READER,
        &good,
    );
    let unknown = world.exchange(r#"{"grant":"admin"}"#, |_| {});
    table.attack(
        "grant escalation: a grant that is not there",
        r#"{"grant":"admin"}"#,
        &unknown,
        denied("grant"),
        READER,
        &good,
    );
    // Whoever may not have it does not learn whether there is one.
    let same = match (&other, &unknown) {
        (Outcome::Answer(one, _), Outcome::Answer(two, _)) => {
            let told = |answer: &crate::wire::Answer| {
                let mut json = answer.json();
                json["instance"] = json!("");
                (answer.status, json)
            };
            told(one) == told(two)
        }
        _ => false,
    };
    let refused = match same {
        true => Outcome::Refused("the two answers are the same".to_owned()),
        false => Outcome::Accepted("the two answers differ".to_owned()),
    };
    table.attack(
        "finding out which grants there are",
        "answers to both compared",
        &refused,
        Expect::Refused("same"),
        READER,
        &good,
    );

    for request in [
        r#"{"grant":"READER"}"#,
        r#"{"grant":"reader "}"#,
        r#"{"grant":"reader\u0000"}"#,
        r#"{"grant":"*"}"#,
        r#"{"grant":""}"#,
        r#"{"grant":"../reader"}"#,
    ] {
        let refused = world.exchange(request, |_| {});
        table.attack(
            "grant escalation: a name that is nearly one",
            request,
            &refused,
            denied("grant"),
            READER,
            &good,
        );
    }
    for request in [
        r#"{"grant":"reader","role_arn":"arn:aws:iam::123456789012:role/admin"}"#,
        r#"{"grant":"reader","duration":43200}"#,
        r#"{"grant":"reader","scope":"https://graph.microsoft.com/.default"}"#,
        r#"{"grant":"reader","grant":"other"}"#,
        r#"{"grant":"other","grant":"reader"}"#,
        r#"{"grant":"reader","\u0067rant":"other"}"#,
        r#"{"grant":["reader"]}"#,
        r#"{"grant":null}"#,
        r#"["reader"]"#,
        r#""reader""#,
        r#"{"grant":"reader"} {}"#,
        r#"{"grant":"reader",}"#,
        "{'grant':'reader'}",
        "{}",
    ] {
        let refused = world.exchange(request, |_| {});
        let expected = Expect::Problem(400, "malformed", &["request"]);
        table.attack(
            "grant escalation: more in R than a grant",
            request,
            &refused,
            expected,
            READER,
            &good,
        );
    }
}
