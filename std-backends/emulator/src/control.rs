//! The control API below `/_emulator`.

use std::net::IpAddr;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::config::Config;
use crate::fault::Fault;
use crate::request::{Call, Reply};
use crate::route::service_of_host;
use crate::{attestation, clock};

const ATTESTATION: &str = "/_emulator/attestation/";
/// How many faults may wait at a time.
const MAX_FAULTS: usize = 100;

/// What the control API needs beside the state.
pub(crate) struct Control<'a> {
    pub(crate) ca_pem: &'a str,
    /// Whether the emulator may be reached by any name: it does not listen on loopback alone.
    pub(crate) any_host: bool,
}

fn failure(status: u16, what: &str) -> Reply {
    Reply::json(status, &json!({"error": what})).error(what)
}

/// Answers a request.
pub(crate) fn answer(call: &mut Call<'_>, control: &Control<'_>) -> Reply {
    // A page in a browser on this machine must not steer the emulator: neither by a request of its
    // own nor by a name that it makes point to loopback.
    let headers = &call.request.headers;
    if headers.contains_key("origin") || headers.contains_key("sec-fetch-site") {
        return failure(403, "the control API is not for browsers");
    }
    if !control.any_host && !is_local(call.request.hostname()) {
        return failure(403, "the control API answers to localhost and addresses only");
    }
    let request = call.request;
    let body = || match request.header("content-type") {
        Some(kind) if kind.starts_with("application/json") => Ok(&*request.body),
        _ => Err(failure(415, "application/json it is")),
    };
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/_emulator/ca.pem") => {
            Reply::new(200, "application/x-pem-file", control.ca_pem.to_owned())
        }
        ("GET", "/_emulator/requests") => requests(call),
        ("DELETE", "/_emulator/requests") => {
            call.state.log.clear();
            Reply::empty(204)
        }
        ("GET", "/_emulator/sessions") => {
            let mut all: Vec<_> =
                call.state.sessions.values().map(|issued| &issued.session).collect();
            all.sort_by(|a, b| (a.expires, &a.access_key_id).cmp(&(b.expires, &b.access_key_id)));
            listed(&json!(all))
        }
        ("GET", "/_emulator/fault") => listed(&json!(call.state.faults)),
        ("POST", "/_emulator/fault") => match body() {
            Ok(body) => add_fault(call, body),
            Err(reply) => reply,
        },
        ("DELETE", "/_emulator/fault") => {
            call.state.faults.clear();
            Reply::empty(204)
        }
        ("GET", "/_emulator/clock") => time(call),
        ("POST", "/_emulator/clock") => match body() {
            Ok(body) => set_clock(call, body),
            Err(reply) => reply,
        },
        ("POST", "/_emulator/register") => match body().map(serde_json::from_slice::<Config>) {
            Ok(Ok(config)) => match call.state.register(config) {
                Ok(()) => Reply::empty(204),
                Err(error) => failure(400, &error.to_string()),
            },
            // Its text may quote a value.
            Ok(Err(error)) => failure(
                400,
                &format!("the configuration, line {}, column {}", error.line(), error.column()),
            ),
            Err(reply) => reply,
        },
        ("GET", "/_emulator/attestation/attacker-jwks") => {
            match call.state.attestation.attacker_jwks() {
                Ok(keys) => listed(&keys),
                Err(error) => failure(500, &error.to_string()),
            }
        }
        ("POST", path) if path.starts_with(ATTESTATION) => match body() {
            Ok(body) => {
                let what = path.strip_prefix(ATTESTATION).unwrap_or_default();
                attestation::control(call, what, body).unwrap_or_else(|what| failure(400, &what))
            }
            Err(reply) => reply,
        },
        _ => failure(404, "see the documentation of cloudauth-emulator"),
    }
}

fn is_local(hostname: &str) -> bool {
    hostname.parse::<IpAddr>().is_ok()
        || hostname == "localhost"
        || hostname.ends_with(".localhost")
        || service_of_host(hostname).is_some()
}

fn listed(value: &Value) -> Reply {
    Reply::json(200, value)
}

fn requests(call: &Call<'_>) -> Reply {
    let query = call.request.query_pairs();
    let only = query.get("service");
    let wanted = call
        .state
        .log
        .iter()
        .filter(|record| only.is_none_or(|service| record.service.to_string() == service));
    listed(&json!(wanted.collect::<Vec<_>>()))
}

fn add_fault(call: &mut Call<'_>, body: &[u8]) -> Reply {
    match serde_json::from_slice::<Fault>(body) {
        Ok(_) if call.state.faults.len() >= MAX_FAULTS => failure(400, "too many faults wait"),
        Ok(fault) => {
            call.state.faults.push(fault);
            Reply::empty(204)
        }
        Err(error) => failure(400, &error.to_string()),
    }
}

/// One of the two.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetClock {
    offset: Option<i64>,
    time: Option<String>,
}

fn time(call: &Call<'_>) -> Reply {
    let offset = call.state.offset;
    let now = clock::system().saturating_add(offset);
    listed(&json!({"time": clock::rfc3339(now), "offset": offset}))
}

fn set_clock(call: &mut Call<'_>, body: &[u8]) -> Reply {
    let offset = match serde_json::from_slice::<SetClock>(body) {
        Ok(SetClock { offset: Some(offset), time: None }) => Some(offset),
        Ok(SetClock { offset: None, time: Some(time) }) => {
            clock::parse_rfc3339(&time).map(|time| time.saturating_sub(clock::system()))
        }
        _ => None,
    };
    match offset.filter(|offset| offset.saturating_abs() <= clock::MAX_OFFSET) {
        Some(offset) => {
            call.state.offset = offset;
            time(call)
        }
        None => failure(400, "offset (seconds) or time (2026-01-02T03:04:05Z)"),
    }
}
