//! The API: challenges, credentials, and what older clients ask for.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use cloudauth_core::digest::sha256;
use cloudauth_core::ekm::{Compat, Exported, Prover};
use cloudauth_core::encode::{base64, hex};
use cloudauth_core::json::{self, Object, Value};
use cloudauth_core::{Out, Sink as _, UnixTime};
use cloudauth_tls::Session;
use http::request::Parts;
use http::{Method, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout};
use zeroize::Zeroizing;

use super::answers::{Answer, seed, v1};
use super::http::{self as form, Malformed, Problem};
use super::rate::network;
use super::record::{Record, rfc3339};
use super::{Kind, Shared, Snapshot};
use crate::config::server::{Limits, Scheme, seconds};
use crate::decision::{Channel, Evidence, GiveError, Given, Peer};

/// How long a challenge lives.
const CHALLENGE_LIFE: Duration = Duration::from_secs(60);

/// The client of one connection.
pub(super) struct Caller {
    shared: Arc<Shared>,
    kind: Kind,
    session: Session,
    address: IpAddr,
    /// Requests that may still come.
    left: AtomicU32,
    body: Duration,
    challenge: Mutex<Option<Challenge>>,
}

struct Challenge {
    octets: [u8; 32],
    made: Instant,
}

impl Challenge {
    fn is_alive(&self, now: Instant) -> bool {
        now.duration_since(self.made) <= CHALLENGE_LIFE
    }
}

impl Caller {
    pub(super) fn new(
        shared: Arc<Shared>,
        kind: Kind,
        session: Session,
        address: IpAddr,
        limits: &Limits,
    ) -> Arc<Self> {
        let left = match kind {
            Kind::V1 => limits.requests.get(),
            // What these export is the same for all that happens on a connection.
            Kind::Compatibility { .. } => 1,
        };
        Arc::new(Self {
            shared,
            kind,
            session,
            address,
            left: AtomicU32::new(left),
            body: seconds(limits.body_seconds),
            challenge: Mutex::new(None),
        })
    }

    /// Answers a request, whatever it is.
    pub(super) async fn answer(
        self: &Arc<Self>,
        request: http::Request<Incoming>,
    ) -> Response<Full<Bytes>> {
        let left = self.left.fetch_sub(1, Ordering::Relaxed);
        let (head, body) = request.into_parts();
        let endpoint = self.endpoint(&head);
        let record = self.record();
        let id = record.id.clone();
        // Whatever is wrong with it, a request for credentials uses the challenge up.
        let challenge = match endpoint {
            Endpoint::Credentials => self.challenge().take(),
            _ => None,
        };
        let body = self.read(&head, body).await;
        // From here on it goes on when the client is gone: a cloud may have been asked, and there is a record
        // of every decision.
        let (caller, alive) = (self.clone(), self.shared.alive());
        let deciding = tokio::spawn(async move {
            let mut record = record;
            let answer = match body {
                Ok(body) => caller.decide(endpoint, &head, challenge, body, &mut record).await,
                Err(problem) => Err(problem),
            };
            let answer = caller.keep(endpoint, &mut record, answer).await;
            caller.shared.metrics.request(endpoint.name(), record.verdict);
            drop(alive);
            answer
        });
        let answer = deciding.await.unwrap_or(Err(Problem::Unavailable));
        let mut response = match (&answer, &self.kind) {
            (Ok(_), _) if id.is_empty() => Problem::Unavailable.answer(""),
            (Ok(answer), _) => form::response(StatusCode::OK, "application/json", answer.clone()),
            (
                Err(problem),
                Kind::Compatibility { scheme: Scheme::GoogleCodelab, .. } | Kind::V1,
            ) => problem.answer(&id),
            (Err(problem), Kind::Compatibility { .. }) => problem.plain(&id),
        };
        if left <= 1 {
            form::close(response.headers_mut());
        }
        response
    }

    fn endpoint(&self, head: &Parts) -> Endpoint {
        match (&self.kind, head.uri.path()) {
            (Kind::V1, "/v1/challenge") => Endpoint::Challenge,
            (Kind::V1, "/v1/credentials") => Endpoint::Credentials,
            (Kind::Compatibility { .. }, "/token") => Endpoint::Token,
            _ => Endpoint::Other,
        }
    }

    /// A record that says nothing yet.
    fn record(&self) -> Record {
        let client_key = self
            .session
            .client_spki()
            .map(|spki| String::from_utf8_lossy(&hex::digest(&sha256(spki))).into_owned());
        Record {
            time: now().map(rfc3339).unwrap_or_default(),
            id: id(),
            listener: self.kind.name(),
            address: self.address,
            client_key,
            grant: None,
            verdict: "",
            error: None,
            claims: serde_json::Value::Null,
            checks: Vec::new(),
            gave: None,
        }
    }

    /// The body. It is read before the request is refused for anything but its form: what follows on the connection
    /// is then the next request.
    async fn read(&self, head: &Parts, body: Incoming) -> Result<Zeroizing<Vec<u8>>, Problem> {
        let length = form::check(head)?;
        let body = form::read(body, length, self.body).await?;
        let rate = self.shared.snapshot().config.server.rates.client;
        self.shared.client_rate.take(network(self.address), rate).map_err(Problem::RateLimited)?;
        Ok(body)
    }

    async fn decide(
        &self,
        endpoint: Endpoint,
        head: &Parts,
        challenge: Option<Challenge>,
        mut body: Zeroizing<Vec<u8>>,
        record: &mut Record,
    ) -> Result<Answer, Problem> {
        let refused = |status, title| Malformed { status, title, close: false };
        if endpoint == Endpoint::Other {
            return Err(refused(StatusCode::NOT_FOUND, "there is nothing here").into());
        }
        if head.method != Method::POST {
            return Err(refused(StatusCode::METHOD_NOT_ALLOWED, "POST only").into());
        }
        if head.uri.query().is_some() {
            return Err(form::content("no query").into());
        }
        form::check_json(&head.headers)?;
        let snapshot = self.shared.snapshot();
        let limit = seconds(snapshot.config.server.limits.decision_seconds);
        let deciding = async {
            match (endpoint, &self.kind) {
                (Endpoint::Challenge, _) => self.new_challenge(&mut body),
                (Endpoint::Credentials, _) => {
                    self.credentials(&snapshot, challenge, &mut body, record).await
                }
                (_, Kind::Compatibility { scheme, .. }) => {
                    self.token(&snapshot, *scheme, &mut body, record).await
                }
                _ => Err(Problem::Unavailable),
            }
        };
        let decided = timeout(limit, deciding).await;
        decided.unwrap_or_else(|_| {
            record.error = Some("the time for a decision is over (decision-seconds)".to_owned());
            Err(Problem::Unavailable)
        })
    }

    /// Writes the record, without which nothing is given.
    async fn keep(
        &self,
        endpoint: Endpoint,
        record: &mut Record,
        answer: Result<Answer, Problem>,
    ) -> Result<Bytes, Problem> {
        let result = match answer {
            Ok(Answer { body, gave }) => {
                record.verdict = if gave.is_some() { "granted" } else { "ok" };
                record.gave = gave;
                Ok(body)
            }
            Err(problem) => {
                record.verdict = problem.name();
                if let Problem::Malformed(malformed) = problem {
                    record.error.get_or_insert_with(|| malformed.title.to_owned());
                }
                Err(problem)
            }
        };
        let written = match (&result, endpoint) {
            // A challenge is no decision.
            (Ok(_), Endpoint::Challenge) => return result,
            // Those who flood are not waited for.
            (Err(Problem::RateLimited(_) | Problem::Malformed(_)), _) => {
                self.shared.records.note(record)
            }
            _ => self.shared.records.write(record).await,
        };
        match written {
            Ok(()) => result,
            Err(_) => {
                self.shared.metrics.records_failed.fetch_add(1, Ordering::Relaxed);
                if result.is_ok() {
                    record.verdict = Problem::Unavailable.name();
                    return Err(Problem::Unavailable);
                }
                result
            }
        }
    }

    fn challenge(&self) -> std::sync::MutexGuard<'_, Option<Challenge>> {
        self.challenge.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn new_challenge(&self, body: &mut [u8]) -> Result<Answer, Problem> {
        members(body, [])?;
        let mut octets = [0; 32];
        getrandom::fill(&mut octets).map_err(|_| Problem::Unavailable)?;
        *self.challenge() = Some(Challenge { octets, made: Instant::now() });
        let body = form::json(128, |out| {
            let mut object = Object::new(out);
            let to = object.name("challenge");
            to.octet(b'"');
            base64::url_encode(&octets, to);
            to.octet(b'"');
            object.number("expires_in", CHALLENGE_LIFE.as_secs());
            object.end();
        });
        Ok(Answer { body, gave: None })
    }

    async fn credentials(
        &self,
        snapshot: &Snapshot,
        challenge: Option<Challenge>,
        body: &mut [u8],
        record: &mut Record,
    ) -> Result<Answer, Problem> {
        let challenge = match challenge {
            Some(challenge) if challenge.is_alive(Instant::now()) => challenge,
            late => {
                let why = match late {
                    Some(_) => "the challenge is older than 60 seconds",
                    None => "no challenge is outstanding: none was asked for, or it was used",
                };
                record.error = Some(why.to_owned());
                return Err(Problem::ChallengeExpired);
            }
        };
        let [request, attestation] = members(body, ["request", "attestation"])?;
        let mut decoded = vec![0; request.len()];
        let request = base64::url_decode(request.as_bytes(), &mut decoded)
            .map_err(|_| form::content("request must be base64url without padding"))?;
        let octets = self.export(Prover::Client.label(), &challenge.octets, record)?;
        let exported =
            Exported::new(Prover::Client, *octets).map_err(|e| unavailable(record, &e))?;
        let channel = Channel::V1 {
            exported: &exported,
            challenge: &challenge.octets,
            server_spki: self.session.server_spki(),
            client_spki: self.session.client_spki(),
            request,
        };
        let (grant, given) = self.grant(snapshot, attestation, channel, record).await?;
        Ok(v1(&grant, &given))
    }

    /// The older brokers' one request.
    async fn token(
        &self,
        snapshot: &Snapshot,
        scheme: Scheme,
        body: &mut [u8],
        record: &mut Record,
    ) -> Result<Answer, Problem> {
        // As configured now: a reload may have closed this listener, or given it another grant.
        let Some(grant) = self.kind.grant(snapshot) else {
            record.error = Some("this listener is not in the configuration any more".to_owned());
            return Err(Problem::Denied);
        };
        if scheme == Scheme::GoogleCodelab {
            let [attestation] = members(body, ["attestation_jwt"])?;
            let exported = self.export(Compat::GoogleCodelab.label(), &[], record)?;
            let channel = Channel::GoogleCodelab { exported: &exported, grant };
            let (grant, given) = self.grant(snapshot, attestation, channel, record).await?;
            return Ok(v1(&grant, &given));
        }
        let [token_jwt, attestation] = members(body, ["token_jwt", "attestation_jwt"])?;
        let exported = self.export(Compat::Seed.label(), &[], record)?;
        let channel = Channel::Seed { exported: &exported, token_jwt, grant };
        let (_, given) = self.grant(snapshot, attestation, channel, record).await?;
        match (scheme, &given) {
            (Scheme::SeedAws, Given::Aws(..)) | (Scheme::SeedAzure, Given::Bearer(_)) => {
                Ok(seed(&given))
            }
            _ => {
                record.error =
                    Some("this listener's scheme cannot carry what its grant gives".to_owned());
                Err(Problem::Denied)
            }
        }
    }

    fn export(
        &self,
        label: &str,
        context: &[u8],
        record: &mut Record,
    ) -> Result<Zeroizing<[u8; 32]>, Problem> {
        self.session.export(label, context).map_err(|e| unavailable(record, &e))
    }

    /// Decides, and gets the credential.
    async fn grant(
        &self,
        snapshot: &Snapshot,
        attestation: &str,
        channel: Channel<'_>,
        record: &mut Record,
    ) -> Result<(String, Given), Problem> {
        let time = now().ok_or(Problem::Unavailable)?;
        let peer = Peer { address: self.address, certificate: self.session.client_certificate() };
        let began = Instant::now();
        let decision = snapshot.policy.decide(&Evidence { attestation, channel, peer, time }).await;
        self.shared.metrics.decision.add(began.elapsed());
        record.grant = decision.grant;
        record.claims = decision.claims;
        record.checks = decision.checks;
        let granted = decision.verdict?;
        let rate = snapshot.config.server.rates.grant;
        self.shared.grant_rate.take(granted.grant.clone(), rate).map_err(Problem::RateLimited)?;
        let began = Instant::now();
        let given = snapshot.policy.give(&granted).await;
        self.shared.metrics.give.add(began.elapsed());
        match given {
            Ok(given) => {
                if let Given::Secrets(secrets, _) = &given {
                    let count = u64::try_from(secrets.bundle.len()).unwrap_or_default();
                    self.shared.metrics.secrets_given.fetch_add(count, Ordering::Relaxed);
                }
                Ok((granted.grant, given))
            }
            Err(GiveError::Upstream(why)) => {
                record.error = Some(why);
                Err(Problem::Upstream)
            }
            Err(GiveError::Unavailable(why)) => {
                record.error = Some(why);
                Err(Problem::Unavailable)
            }
        }
    }
}

/// What is asked for, in metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint {
    Challenge,
    Credentials,
    Other,
    Token,
}

impl Endpoint {
    const fn name(self) -> &'static str {
        match self {
            Self::Challenge => "challenge",
            Self::Credentials => "credentials",
            Self::Other => "other",
            Self::Token => "token",
        }
    }
}

fn unavailable(record: &mut Record, why: &dyn std::fmt::Display) -> Problem {
    record.error = Some(why.to_string());
    Problem::Unavailable
}

/// The members of an object, which are these texts and no others.
fn members<'b, const N: usize>(
    body: &'b mut [u8],
    names: [&'static str; N],
) -> Result<[&'b str; N], Malformed> {
    const WRONG: Malformed =
        form::content("the body must be an object with exactly the members it has room for");
    let value = json::parse(body)
        .map_err(|_| form::content("the body must be JSON, without repeated members"))?;
    if value.kind() != json::Kind::Object || value.members().count() != N {
        return Err(WRONG);
    }
    let mut texts = [""; N];
    for (text, name) in texts.iter_mut().zip(names) {
        *text = value.get(name).as_ref().and_then(Value::as_str).ok_or(WRONG)?;
    }
    Ok(texts)
}

/// The time, if the clock is after 1970.
pub(super) fn now() -> Option<UnixTime> {
    UnixTime::new(SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()
}

/// A record's name: 128 random bits; empty without randomness, and then nothing is given.
fn id() -> String {
    let mut octets = [0; 16];
    let mut text = [0; 32];
    let mut out = Out::new(&mut text);
    match getrandom::fill(&mut octets) {
        Ok(()) => hex::encode(&octets, &mut out),
        Err(_) => return String::new(),
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies() {
        let read = |text: &str| {
            members(&mut text.to_owned().into_bytes(), ["a", "b"]).map(|m| m.map(str::to_owned))
        };
        let good = Ok(["1".to_owned(), "2".to_owned()]);
        assert_eq!(read(r#"{"a":"1","b":"2"}"#), good);
        assert_eq!(read(r#" {"b":"2","\u0061":"1"} "#), good);
        for bad in [
            "",
            "{}",
            r#"{"a":"1"}"#,
            r#"{"a":"1","b":2}"#,
            r#"{"a":"1","b":null}"#,
            r#"{"a":"1","b":"2","c":"3"}"#,
            r#"{"a":"1","c":"2"}"#,
            r#"{"a":"1","a":"1","b":"2"}"#,
            r#"{"a":"1","\u0061":"1","b":"2"}"#,
            r#"{"a":"1","b":"2"} ok"#,
            r#"["1","2"]"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(members(&mut b"{}".to_vec(), []).is_ok());
        assert!(members(&mut b"[]".to_vec(), []).is_err());
    }

    #[test]
    fn challenges_die() {
        let made = Instant::now();
        let challenge = Challenge { octets: [1; 32], made };
        assert!(challenge.is_alive(made + Duration::from_secs(60)));
        assert!(!challenge.is_alive(made + Duration::from_millis(60_001)));
    }

    #[test]
    fn names_of_records() {
        assert_eq!(id().len(), 32);
        assert_ne!(id(), id());
    }
}
