//! A request as the services see it, and what they answer.

use bytes::Bytes;
use hyper::HeaderMap;
use serde_json::Value;

use crate::log::Record;
use crate::state::State;

/// The scheme of what comes over the unix socket.
pub(crate) const UNIX: &str = "unix";

/// A request, its body read in full.
pub(crate) struct Request {
    pub(crate) method: String,
    /// As it was sent, percent-encoded, without the query.
    pub(crate) path: String,
    /// As it was sent, percent-encoded, without the question mark.
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The authority of the request: host name and, unless it is the scheme's own, port.
    pub(crate) host: String,
    /// `https`, `http`, or [`UNIX`].
    pub(crate) scheme: &'static str,
}

impl Request {
    /// A header's value; None where it is absent, given twice or not visible ASCII.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers.get_all(name).iter();
        let value = all.next()?.to_str().ok()?;
        all.next().is_none().then_some(value)
    }

    /// The host name in lower case, without the port and without the brackets of an IPv6 address.
    pub(crate) fn hostname(&self) -> &str {
        if let Some(rest) = self.host.strip_prefix('[') {
            return rest.split(']').next().unwrap_or_default();
        }
        self.host.split(':').next().unwrap_or_default()
    }

    /// `https://host:port`, for URLs of ours in answers.
    pub(crate) fn base(&self) -> String {
        format!("{}://{}", self.scheme, self.host)
    }

    /// The body as an HTML form, decoded.
    pub(crate) fn form(&self) -> Form {
        Form::parse(&self.body)
    }

    /// The query, decoded.
    pub(crate) fn query_pairs(&self) -> Form {
        Form::parse(self.query.as_bytes())
    }
}

/// Names and values, decoded, in the order in which they came.
pub(crate) struct Form(pub(crate) Vec<(String, String)>);

impl Form {
    fn parse(octets: &[u8]) -> Self {
        Self(form_urlencoded::parse(octets).into_owned().collect())
    }

    /// The value of the name; None where it is absent or empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
        found.filter(|value| !value.is_empty())
    }

    /// A name that is there twice.
    pub(crate) fn repeated(&self) -> Option<&str> {
        self.0.iter().enumerate().find_map(|(at, (name, _))| {
            self.0
                .iter()
                .skip(at.saturating_add(1))
                .any(|(n, _)| n == name)
                .then_some(name.as_str())
        })
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
    /// The name of the error, for the log.
    pub(crate) error: Option<String>,
    /// Whether it is sent in pieces, its length unsaid.
    pub(crate) chunked: bool,
}

impl Reply {
    pub(crate) fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        let headers = vec![("content-type", content_type.to_owned())];
        Self { status, headers, body: body.into(), error: None, chunked: false }
    }

    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json; charset=utf-8", body.to_string())
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new(), error: None, chunked: false }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    pub(crate) fn error(mut self, name: impl Into<String>) -> Self {
        self.error = Some(name.into());
        self
    }
}

/// One request being answered.
pub(crate) struct Call<'a> {
    pub(crate) state: &'a mut State,
    pub(crate) request: &'a Request,
    /// The emulator's time, as the fault that applies has it.
    pub(crate) now: i64,
    /// Whether what is issued has expired already.
    pub(crate) expired: bool,
    /// What the log will say.
    pub(crate) record: &'a mut Record,
}

impl Call<'_> {
    /// When something issued now for so many seconds expires.
    pub(crate) fn expiry(&self, seconds: u32) -> i64 {
        self.now.saturating_add(if self.expired { -60 } else { i64::from(seconds) })
    }

    /// `expires_in` of the same.
    pub(crate) fn expires_in(&self, seconds: u32) -> u32 {
        if self.expired { 0 } else { seconds }
    }
}
