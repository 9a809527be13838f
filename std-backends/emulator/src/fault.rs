//! Faults on request: what a client must survive.

use serde::{Deserialize, Serialize};

use crate::route::Service;

/// A fault that the next requests meet.
///
/// As JSON: `{"service": "sts", "count": 2, "kind": "throttle", "retry_after": 1}`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "Fields", into = "Fields")]
pub struct Fault {
    /// The service that misbehaves; None for each of them. The control API never does.
    pub service: Option<Service>,
    /// How many requests meet the fault.
    pub count: u32,
    /// What goes wrong.
    pub kind: FaultKind,
}

/// What goes wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum FaultKind {
    /// The answer comes so many milliseconds late, at most ten minutes.
    Latency(u32),
    /// 429 with the header `Retry-After`, in seconds, unless None.
    Throttle(Option<u32>),
    /// This status, 400 to 599, with an error in the service's own form.
    Status(u16),
    /// The connection ends in the middle of the body.
    Truncate,
    /// The service's clock is so many seconds ahead (or behind): `Date`, checks and token times.
    Clock(i64),
    /// What is issued has expired already.
    Expired,
    /// The connection is reset before an answer.
    Reset,
    /// A page of HTML with this status, as captive portals and proxies answer.
    Html(u16),
    /// A body of so many octets, at most 64 MiB.
    Huge(u32),
}

/// The one flat form, in which an unknown or misplaced name is an error.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct Fields {
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<Service>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u32>,
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    milliseconds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    octets: Option<u32>,
}

const MAX_LATENCY: u32 = 600_000;
const MAX_OCTETS: u32 = 64 << 20;
const TEN_MEGABYTES: u32 = 10 << 20;

impl TryFrom<Fields> for Fault {
    type Error = String;

    fn try_from(mut fields: Fields) -> Result<Self, String> {
        let status = |status: u16, least: u16| {
            (least..=599).contains(&status).then_some(status).ok_or(format!("status {status}"))
        };
        let kind = match fields.kind.as_str() {
            "latency" => FaultKind::Latency(
                fields
                    .milliseconds
                    .take()
                    .filter(|ms| *ms <= MAX_LATENCY)
                    .ok_or("latency needs milliseconds, at most 600000")?,
            ),
            "throttle" => FaultKind::Throttle(fields.retry_after.take()),
            "status" => FaultKind::Status(status(fields.status.take().unwrap_or(500), 400)?),
            "truncate" => FaultKind::Truncate,
            "clock" => FaultKind::Clock(
                fields.seconds.take().ok_or("clock needs seconds, ahead or behind")?,
            ),
            "expired" => FaultKind::Expired,
            "reset" => FaultKind::Reset,
            "html" => FaultKind::Html(status(fields.status.take().unwrap_or(200), 200)?),
            "huge" => FaultKind::Huge(
                Some(fields.octets.take().unwrap_or(TEN_MEGABYTES))
                    .filter(|octets| *octets <= MAX_OCTETS)
                    .ok_or("huge: at most 67108864 octets")?,
            ),
            other => {
                return Err(format!(
                    "no fault {other:?}: latency, throttle, status, truncate, clock, expired, reset, \
                     html or huge"
                ));
            }
        };
        let left = [
            ("milliseconds", fields.milliseconds.is_some()),
            ("retry_after", fields.retry_after.is_some()),
            ("status", fields.status.is_some()),
            ("seconds", fields.seconds.is_some()),
            ("octets", fields.octets.is_some()),
        ];
        if let Some((name, _)) = left.iter().find(|(_, there)| *there) {
            return Err(format!("the fault {:?} takes no {name}", fields.kind));
        }
        Ok(Self { service: fields.service, count: fields.count.unwrap_or(1), kind })
    }
}

impl From<Fault> for Fields {
    fn from(fault: Fault) -> Self {
        let mut fields =
            Self { service: fault.service, count: Some(fault.count), ..Self::default() };
        let kind = match fault.kind {
            FaultKind::Latency(milliseconds) => {
                fields.milliseconds = Some(milliseconds);
                "latency"
            }
            FaultKind::Throttle(seconds) => {
                fields.retry_after = seconds;
                "throttle"
            }
            FaultKind::Status(status) => {
                fields.status = Some(status);
                "status"
            }
            FaultKind::Truncate => "truncate",
            FaultKind::Clock(seconds) => {
                fields.seconds = Some(seconds);
                "clock"
            }
            FaultKind::Expired => "expired",
            FaultKind::Reset => "reset",
            FaultKind::Html(status) => {
                fields.status = Some(status);
                "html"
            }
            FaultKind::Huge(octets) => {
                fields.octets = Some(octets);
                "huge"
            }
        };
        fields.kind = kind.to_owned();
        fields
    }
}

/// The first fault that the service is to meet, counted down and dropped at nought.
pub(crate) fn next(faults: &mut Vec<Fault>, service: Service) -> Option<Fault> {
    if service == Service::Control {
        return None;
    }
    let at = faults
        .iter()
        .position(|fault| fault.count > 0 && fault.service.is_none_or(|only| only == service))?;
    let fault = faults.get_mut(at)?;
    fault.count = fault.count.saturating_sub(1);
    let applied = fault.clone();
    faults.retain(|fault| fault.count > 0);
    Some(applied)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways() {
        for text in [
            r#"{"service":"sts","count":2,"kind":"throttle","retry_after":1}"#,
            r#"{"count":1,"kind":"latency","milliseconds":5}"#,
            r#"{"count":1,"kind":"clock","seconds":-600}"#,
            r#"{"service":"google-iam","count":1,"kind":"html","status":503}"#,
            r#"{"count":1,"kind":"huge","octets":10}"#,
        ] {
            let fault: Fault = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&fault).unwrap(), text);
        }
        for wrong in [
            r#"{}"#,
            r#"{"kind":"other"}"#,
            r#"{"kind":"latency"}"#,
            r#"{"kind":"latency","milliseconds":600001}"#,
            r#"{"kind":"reset","milliseconds":1}"#,
            r#"{"kind":"status","status":200}"#,
            r#"{"kind":"reset","service":"none"}"#,
            r#"{"kind":"reset","unknown":1}"#,
        ] {
            assert!(serde_json::from_str::<Fault>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn counted_down() {
        let fault = |service| Fault { service, count: 1, kind: FaultKind::Reset };
        let mut faults = vec![fault(Some(Service::S3)), fault(None)];
        assert_eq!(next(&mut faults, Service::Control), None);
        assert_eq!(next(&mut faults, Service::Sts), Some(Fault { count: 0, ..fault(None) }));
        assert_eq!(next(&mut faults, Service::Sts), None);
        assert!(next(&mut faults, Service::S3).is_some() && faults.is_empty());
    }
}
