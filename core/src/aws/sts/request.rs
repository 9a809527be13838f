//! The request that all actions share: a signed or unsigned form.

use super::SERVICE;
use crate::aws::endpoint::regional_host;
use crate::aws::sigv4::{Payload, Request, SigV4};
use crate::digest::sha256;
use crate::encode::form::Form;
use crate::exchange::Draft;
use crate::out::decimal;
use crate::{Out, Result, Sink, UnixTime};

const CONTENT_TYPE: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// Where a call goes, and what form its answer has.
pub(super) struct Route<'a> {
    pub(super) region: &'a str,
    pub(super) endpoint: Option<&'a str>,
    pub(super) accept_json: bool,
}

/// Writes a request, `signed` where there is someone to sign it. Everything must have been checked.
pub(super) fn write<'b>(
    draft: &mut Draft<'b>,
    route: &Route<'_>,
    signed: Option<(&SigV4<'_>, UnixTime)>,
    action: &str,
    parameters: impl FnOnce(&mut Parameters<'_, 'b>),
) -> Result<()> {
    // A region has at most 32 octets; the longest suffix, with `sts` and the dots, 21.
    let mut space = [0u8; 64];
    let mut out = Out::new(&mut space);
    regional_host(SERVICE, route.region, &mut out);
    let regional = core::str::from_utf8(out.finish()?).unwrap_or_default();
    let host = route.endpoint.unwrap_or(regional);
    draft.method("POST");
    draft.host(|out| out.text(host));
    draft.target(|out| out.text("/"));
    draft.body(|out| {
        let mut all = Parameters(Form::new(out));
        all.text("Action", action);
        all.text("Version", "2011-06-15");
        parameters(&mut all);
    });
    let payload = Payload::Sha256(match signed {
        Some(_) => sha256(draft.body_written()),
        None => [0; 32],
    });
    let mut result = Ok(());
    draft.head(|out| {
        out.text("Content-Type: ");
        out.text(CONTENT_TYPE);
        if route.accept_json {
            out.text("\r\nAccept: application/json");
        }
        if let Some((signer, time)) = signed {
            out.text("\r\n");
            let headers = [("Content-Type", CONTENT_TYPE), ("Host", host)];
            let request =
                Request { method: "POST", path: "/", query: "", headers: &headers, payload };
            result = signer.sign_onto(&request, None, time, out).map(|_| ());
        }
    });
    result
}

/// The body's fields.
pub(super) struct Parameters<'s, 'b>(Form<'s, Out<'b>>);

impl Parameters<'_, '_> {
    pub(super) fn text(&mut self, name: &str, value: &str) {
        self.0.field(name, value);
    }

    pub(super) fn optional(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    pub(super) fn number(&mut self, name: &str, value: Option<u32>) {
        if let Some(value) = value {
            decimal(self.0.open(name), u64::from(value));
        }
    }

    /// `LIST.member.N` and `member`, which is empty or begins with a dot; lists count from 1.
    pub(super) fn member(&mut self, list: &str, index: usize, member: &str, value: &str) {
        // The longest is ProvidedContexts.member.5.ContextAssertion.
        let mut space = [0u8; 64];
        let mut name = Out::new(&mut space);
        name.text(list);
        name.text(".member.");
        decimal(&mut name, index as u64 + 1);
        name.text(member);
        let name = name.finish().unwrap_or_default();
        self.text(core::str::from_utf8(name).unwrap_or_default(), value);
    }

    pub(super) fn policies(&mut self, arns: &[&str]) {
        for (i, arn) in arns.iter().enumerate() {
            self.member("PolicyArns", i, ".arn", arn);
        }
    }
}
