//! What a record shows of a token's claims: who asked, never a nonce.

use cloudauth_core::attest::{confidential_space, maa};
use cloudauth_core::jws::Report;
use serde_json::{Map, Value};

use crate::config::issuer::Kind;

/// The longest text of a claim in a record, in octets.
const MAX_TEXT: usize = 512;

/// The claims that say who it is. They need not be verified.
pub(super) fn summary(kind: Kind, report: &Report<'_>) -> Value {
    match kind {
        Kind::ConfidentialSpace => google(confidential_space::Claims::unverified(report)),
        Kind::Maa => microsoft(maa::Claims::unverified(report)),
    }
}

/// Of a token of somebody who is not known here.
pub(super) fn issuer_only(report: &Report<'_>) -> Value {
    let mut shown = Shown::default();
    shown.text("iss", confidential_space::Claims::unverified(report).issuer());
    shown.into()
}

fn google(claims: confidential_space::Claims<'_>) -> Value {
    let mut shown = Shown::default();
    shown.text("iss", claims.issuer());
    shown.text("sub", claims.subject());
    shown.text("aud", claims.audience());
    shown.text("image_digest", claims.image_digest());
    shown.text("image_reference", claims.image_reference());
    shown.text("project_id", claims.project_id());
    shown.text("zone", claims.zone());
    shown.text("instance_id", claims.instance_id());
    shown.text("hwmodel", claims.hwmodel());
    shown.text("swname", claims.swname());
    shown.text("swversion", claims.swversion());
    shown.text("dbgstat", claims.dbgstat());
    let accounts: Vec<_> =
        claims.service_accounts().take(8).map(|account| Value::from(cut(account))).collect();
    shown.0.insert("google_service_accounts".into(), accounts.into());
    shown.into()
}

fn microsoft(claims: maa::Claims<'_>) -> Value {
    let mut shown = Shown::default();
    shown.text("iss", claims.issuer());
    shown.text("jti", claims.id());
    shown.text("type", claims.kind().map(maa::Kind::as_str));
    shown.text("policy_hash", claims.policy_hash());
    shown.text("compliance_status", claims.compliance_status());
    shown.text("mrenclave", claims.mrenclave());
    shown.text("mrsigner", claims.mrsigner());
    shown.number("product_id", claims.product_id());
    shown.number("svn", claims.svn());
    shown.text("launch_measurement", claims.launch_measurement());
    shown.text("host_data", claims.host_data());
    shown.text("mrtd", claims.mrtd());
    shown.text("config_id", claims.config_id());
    for (name, rtmr) in ["rtmr1", "rtmr2", "rtmr3"].into_iter().zip(claims.rtmrs()) {
        shown.text(name, rtmr);
    }
    shown.into()
}

#[derive(Default)]
struct Shown(Map<String, Value>);

impl Shown {
    fn text(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.0.insert(name.into(), cut(value).into());
        }
    }

    fn number(&mut self, name: &str, value: Option<u64>) {
        if let Some(value) = value {
            self.0.insert(name.into(), value.into());
        }
    }
}

impl From<Shown> for Value {
    fn from(shown: Shown) -> Self {
        Self::Object(shown.0)
    }
}

/// The beginning of a text that someone else chose.
fn cut(text: &str) -> &str {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}
