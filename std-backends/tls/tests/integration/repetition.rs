//! When a call is repeated, and with what time.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cloudauth_tls::{Transport, TransportError};

use crate::support::{Authority, Ping, Reply, Server, answer, good, ping};

async fn scripted(replies: &[Reply]) -> (Transport, Server) {
    let server = Server::start(None, replies).await;
    (Authority::new().transport().build().unwrap(), server)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// `Date`, off by so many seconds.
fn date(off: i64) -> String {
    let time = UNIX_EPOCH + Duration::from_secs(now().saturating_add_signed(off));
    format!("Date: {}", httpdate::fmt_http_date(time))
}

/// The times the requests were made with, less the present.
fn times(server: &Server) -> Vec<i64> {
    let seconds = |request: &String| -> i64 {
        let line = request.lines().find_map(|l| l.strip_prefix("x-time: ")).unwrap();
        line.parse::<i64>().unwrap() - i64::try_from(now()).unwrap()
    };
    server.requests().iter().map(seconds).collect()
}

fn about(actual: i64, expected: i64) -> bool {
    (actual - expected).abs() <= 5
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    let busy = answer("429 Too Many Requests", &[], "busy");
    let down = answer("503 Service Unavailable", &[], "\u{1b}[31mdown");
    let named = answer("400 Bad Request", &["X-Code: Throttling"], "slowly");
    let cut = Reply::Cut(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npong".to_vec());
    let page = Reply::Octets(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 1\r\n\r\n\xff".to_vec());
    for first in [busy, down, named, cut, page, Reply::Reset] {
        let (transport, server) = scripted(&[first.clone(), good()]).await;
        assert_eq!(ping(&transport, server.http()).await.unwrap(), "pong");
        assert_eq!(server.requests().len(), 2);
        // But not what can be used once.
        let (transport, server) = scripted(&[first, good()]).await;
        let error = ping(&transport.once(), server.http()).await.unwrap_err();
        assert!(error.is_transient(), "{error}");
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn what_will_not_pass_is_not() {
    let headers = ["X-Code: AccessDenied", "x-amzn-RequestId: 1f2e"];
    let (transport, server) = scripted(&[answer("403 Forbidden", &headers, "no")]).await;
    let error = ping(&transport, server.http()).await.unwrap_err();
    assert!(!error.is_transient());
    assert_eq!(server.requests().len(), 1);
    let refusal = error.refusal().unwrap();
    assert_eq!((refusal.status, refusal.code.as_str()), (403, "AccessDenied"));
    assert_eq!(refusal.request_id.as_deref(), Some("1f2e"));
    let text = error.to_string();
    assert!(
        text.contains("the service answered 403: AccessDenied: no (request id 1f2e)"),
        "{text}"
    );
    let (transport, server) = scripted(&[answer("200 OK", &[], "nonsense")]).await;
    assert!(ping(&transport, server.http()).await.is_err());
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn the_number_of_tries_is_limited() {
    let (transport, server) = scripted(&[answer("500 Internal Server Error", &[], "")]).await;
    let error = ping(&transport, server.http()).await.unwrap_err();
    assert_eq!(error.refusal().map(|r| r.status), Some(500));
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn connecting_is_repeated_even_for_what_is_sent_once() {
    let reserved = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = reserved.local_addr().unwrap();
    drop(reserved);
    let transport = Authority::new().transport().attempts(2).build().unwrap();
    let endpoint = cloudauth_tls::Endpoint::parse(&format!("http://{address}")).unwrap();
    let mut built = 0;
    let error = transport
        .once()
        .via(endpoint)
        .call(
            |at| {
                built += 1;
                let request = cloudauth_tls::Request::build(&Ping::new("x.example"), None, &at);
                std::future::ready(request.map_err(Into::into))
            },
            |_, _| Ok(()),
        )
        .await
        .unwrap_err();
    assert!(matches!(error, TransportError::Connect { .. }), "{error}");
    assert_eq!(built, 2);
}

#[tokio::test]
async fn retry_after_is_heeded_within_limits() {
    let busy = |value: &str| {
        let header = format!("Retry-After: {value}");
        answer("429 Too Many Requests", &[&header], "busy")
    };
    let (transport, server) = scripted(&[busy("2"), good()]).await;
    let began = Instant::now();
    assert_eq!(ping(&transport, server.http()).await.unwrap(), "pong");
    assert!(began.elapsed() >= Duration::from_secs(2));

    // As a date, which counts from the service's own: an hour ahead here, and two seconds to wait.
    let later = date(3602).replace("Date: ", "Retry-After: ");
    let dated = answer("503 Service Unavailable", &[&date(3600), &later], "busy");
    let (transport, server) = scripted(&[dated, good()]).await;
    let began = Instant::now();
    assert_eq!(ping(&transport, server.http()).await.unwrap(), "pong");
    assert!((1..6).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());

    // Longer than the call may take: at once an error that says so.
    for value in ["30", "99999999999999999999"] {
        let (transport, server) = scripted(&[busy(value), good()]).await;
        let began = Instant::now();
        let error = ping(&transport, server.http()).await.unwrap_err();
        assert!(error.is_transient() && began.elapsed() < Duration::from_secs(2), "{error}");
        assert!(error.refusal().unwrap().retry_after.unwrap() >= Duration::from_secs(30));
        assert!(error.to_string().contains("asks not to be called again for"), "{error}");
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_wrong_clock_is_corrected_once_and_kept() {
    let refusal = |off| answer("403 Forbidden", &[&date(off)], "expired");
    let right = |off| answer("200 OK", &[&date(off)], "pong");
    for off in [3600, -7200] {
        let (transport, server) = scripted(&[refusal(off), right(off)]).await;
        assert_eq!(transport.clock_offset(), 0);
        assert_eq!(ping(&transport, server.http()).await.unwrap(), "pong");
        assert!(about(transport.clock_offset(), off), "{}", transport.clock_offset());
        assert_eq!(ping(&transport, server.http()).await.unwrap(), "pong");
        let times = times(&server);
        assert!(about(times[0], 0) && about(times[1], off) && about(times[2], off), "{times:?}");
    }
}

/// What it says of a credential's end is in its own time.
#[tokio::test]
async fn a_good_answer_teaches_the_time_too() {
    for off in [3600, -7200] {
        let (transport, server) = scripted(&[answer("200 OK", &[&date(off)], "pong")]).await;
        assert!(ping(&transport, server.http()).await.is_ok());
        assert!(about(transport.clock_offset(), off), "{}", transport.clock_offset());
        assert_eq!(server.requests().len(), 1);
    }
    // Not more than a day.
    let (transport, server) = scripted(&[answer("200 OK", &[&date(100_000)], "pong")]).await;
    assert!(ping(&transport, server.http()).await.is_ok());
    assert_eq!(transport.clock_offset(), 0);
}

#[tokio::test]
async fn a_right_clock_is_left_alone() {
    // Within a minute; not a refusal for which time may be the reason; and no `Date`.
    let near = answer("403 Forbidden", &[&date(40)], "no");
    let found = answer("404 Not Found", &[&date(3600)], "no");
    let dateless = answer("401 Unauthorized", &[], "no");
    for reply in [near, found, dateless] {
        let (transport, server) = scripted(&[reply]).await;
        assert!(ping(&transport, server.http()).await.is_err());
        assert_eq!((server.requests().len(), transport.clock_offset()), (1, 0));
    }
    let (transport, server) = scripted(&[answer("200 OK", &[&date(40)], "pong")]).await;
    assert!(ping(&transport, server.http()).await.is_ok());
    assert_eq!(transport.clock_offset(), 0);

    // Refused again: time was not the reason, nothing is kept, and it is said all the same.
    let (transport, server) = scripted(&[answer("403 Forbidden", &[&date(3600)], "no")]).await;
    let error = ping(&transport, server.http()).await.unwrap_err();
    assert_eq!((server.requests().len(), transport.clock_offset()), (2, 0));
    assert!(about(error.refusal().unwrap().clock_skew.unwrap(), 3600), "{error}");

    // More than a day: said, not done.
    let (transport, server) = scripted(&[answer("403 Forbidden", &[&date(100_000)], "no")]).await;
    let error = ping(&transport, server.http()).await.unwrap_err();
    assert_eq!(server.requests().len(), 1);
    assert!(error.to_string().contains("s behind the service's: set it"), "{error}");
}

#[tokio::test]
async fn a_call_ends_in_time_however_often_it_is_tried() {
    let (_, server) = scripted(&[Reply::Stuck(Vec::new())]).await;
    let transport = Authority::new()
        .transport()
        .attempts(100)
        .read_timeout(Duration::from_millis(200))
        .timeout(Duration::from_secs(1))
        .build()
        .unwrap();
    let began = Instant::now();
    let error = ping(&transport, server.http()).await.unwrap_err();
    assert!(matches!(error, TransportError::TimedOut { .. }), "{error}");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert!(server.requests().len() >= 2);
}
