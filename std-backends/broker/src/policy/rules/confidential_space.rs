//! What a grant asks of a Google Confidential Space workload.

use std::collections::BTreeMap;

use cloudauth_core::attest::confidential_space::{Expect, Image, Overrides, check};
use cloudauth_core::attest::{Binding, ClaimRule, Debugging};
use cloudauth_core::jws;

use super::super::chosen;
use super::{Checked, ListRule, Reader, checked, refs};
use crate::config::attested::ConfidentialSpace;

#[derive(Debug)]
pub(super) struct Rules {
    issuer: ListRule,
    audience: ListRule,
    image: ImageRule,
    debug: Debugging,
    swname: ListRule,
    hwmodel: ListRule,
    project: ListRule,
    service_account: ListRule,
    env: Variables,
    env_override: Variables,
    cmd_override: Arguments,
    args: Arguments,
    min_swversion: Option<u32>,
    secure_boot: bool,
    support_attributes: Vec<String>,
    zone: ListRule,
}

#[derive(Debug)]
enum ImageRule {
    Digests(Vec<String>),
    SignatureKeys(Vec<String>),
    Waived,
}

type Variables = Overrides<BTreeMap<String, String>>;
type Arguments = Overrides<Vec<String>>;

impl Rules {
    pub(super) fn read(
        own: ConfidentialSpace,
        issuer: ListRule,
        audience: Option<String>,
        reader: &mut Reader,
    ) -> Self {
        let image = image(&own, reader);
        let debug = match (own.dbgstat.as_deref(), reader.waived("debug")) {
            (Some("disabled-since-boot"), false) => Debugging::Refused,
            (Some(_), false) => {
                reader.wrong.add("dbgstat", "expected \"disabled-since-boot\"");
                Debugging::Refused
            }
            (Some(_), true) => {
                reader.both("debug", "dbgstat");
                Debugging::Refused
            }
            (None, true) => Debugging::Waived,
            (None, false) => {
                reader.missing("debug", "dbgstat = \"disabled-since-boot\"");
                Debugging::Refused
            }
        };
        let swname = reader.fixed("swname", "swname = \"CONFIDENTIAL_SPACE\"", own.swname);
        let hwmodel = reader.fixed("hwmodel", "hwmodel", own.hwmodel);
        let account = reader.optional("service-accounts", own.service_accounts);
        let project = match (own.projects, &account) {
            // The account says as much.
            (None, ListRule::OneOf(_)) => {
                if reader.waived("project") {
                    reader.both("project", "service-accounts");
                }
                ListRule::NotAsked
            }
            (projects, _) => reader.fixed("project", "projects or service-accounts", projects),
        };
        let env = overrides("env", own.env, reader);
        let env_override = overrides("env-override", own.env_override, reader);
        let cmd_override = overrides("cmd-override", own.cmd_override, reader);
        let args = overrides("args", own.args, reader);
        let (env, args) = (unless(env, &env_override), unless(args, &cmd_override));
        if own.min_swversion.is_some_and(|least| !is_version(least)) {
            let help = "expected a version: YYYYMM## or YYMM##, with a month from 01 to 12";
            reader.wrong.add("min-swversion", help);
        }
        let support_attributes = match own.support_attributes {
            Some(wanted) => reader.texts("support-attributes", wanted),
            None => Vec::new(),
        };
        Self {
            issuer,
            audience: audience.map_or(ListRule::Waived, |audience| ListRule::OneOf(vec![audience])),
            image,
            debug,
            swname,
            hwmodel,
            project,
            service_account: account,
            env,
            env_override,
            cmd_override,
            args,
            min_swversion: own.min_swversion,
            secure_boot: own.secure_boot.unwrap_or_default(),
            support_attributes,
            zone: reader.optional("zones", own.zones),
        }
    }

    /// What is waived, if that lets whoever starts the workload choose the claim at `pointer`.
    pub(super) fn waived_part(&self, pointer: &str) -> Option<&'static str> {
        let parts = [
            ("env_override", waived("env-override", &self.env_override)),
            ("cmd_override", waived("cmd-override", &self.cmd_override)),
            ("env", waived_whole("env", &self.env, "env-override", &self.env_override)),
            ("args", waived_whole("args", &self.args, "cmd-override", &self.cmd_override)),
        ];
        let of = |(member, _): &(&str, _)| chosen::is_of_container(pointer, member);
        parts.into_iter().find(of)?.1
    }

    pub(super) fn check(
        &self,
        token: &jws::Report<'_>,
        binding: &Binding<'_>,
        claims: &[ClaimRule<'_>],
    ) -> Checked {
        let (issuer, audience) = (self.issuer.refs(), self.audience.refs());
        let (swname, hwmodel) = (self.swname.refs(), self.hwmodel.refs());
        let (project, account) = (self.project.refs(), self.service_account.refs());
        let (env, env_override) = (pairs(&self.env), pairs(&self.env_override));
        let (cmd_override, args) = (list(&self.cmd_override), list(&self.args));
        let zone = self.zone.refs();
        let image = match &self.image {
            ImageRule::Digests(texts) | ImageRule::SignatureKeys(texts) => refs(texts),
            ImageRule::Waived => Vec::new(),
        };
        let expect = Expect {
            issuer: self.issuer.rule(&issuer),
            audience: self.audience.rule(&audience),
            image: match &self.image {
                ImageRule::Digests(_) => Image::Digests(&image),
                ImageRule::SignatureKeys(_) => Image::SignatureKeys(&image),
                ImageRule::Waived => Image::Waived,
            },
            debug: self.debug,
            swname: self.swname.rule(&swname),
            hwmodel: self.hwmodel.rule(&hwmodel),
            project: self.project.rule(&project),
            service_account: self.service_account.rule(&account),
            env: borrowed(&env),
            env_override: borrowed(&env_override),
            cmd_override: borrowed(&cmd_override),
            args: borrowed(&args),
            min_swversion: self.min_swversion,
            secure_boot: self.secure_boot,
            support_attributes: &refs(&self.support_attributes),
            zone: self.zone.rule(&zone),
            claims,
        };
        checked(&check(token, &expect, binding))
    }
}

fn image(own: &ConfidentialSpace, reader: &mut Reader) -> ImageRule {
    const FIELDS: &str = "image-digests or image-signature-keys";
    match (&own.image_digests, &own.image_signature_keys, reader.waived("image")) {
        (None, None, true) => ImageRule::Waived,
        (None, None, false) => {
            reader.missing("image", FIELDS);
            ImageRule::Waived
        }
        (_, _, true) => {
            reader.both("image", FIELDS);
            ImageRule::Waived
        }
        (Some(_), Some(_), _) => {
            reader.wrong.add("image-digests", "give these or image-signature-keys, not both");
            ImageRule::Waived
        }
        (Some(digests), None, _) => {
            let digests = reader.texts("image-digests", digests.clone());
            if !digests.iter().all(|digest| is_digest(digest)) {
                let help = "expected sha256: and 64 lower-case hexadecimal digits";
                reader.wrong.add("image-digests", help);
            }
            ImageRule::Digests(digests)
        }
        (None, Some(keys), _) => {
            ImageRule::SignatureKeys(reader.texts("image-signature-keys", keys.clone()))
        }
    }
}

fn is_digest(text: &str) -> bool {
    let digits = text.strip_prefix("sha256:").unwrap_or_default();
    digits.len() == 64 && digits.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
}

/// Six or eight digits with a month in them.
fn is_version(version: u32) -> bool {
    let digits = matches!(version, 100_000..1_000_000 | 10_000_000..100_000_000);
    digits && matches!(version / 100 % 100, 1..=12)
}

fn overrides<T>(name: &'static str, wanted: Option<T>, reader: &mut Reader) -> Overrides<T> {
    match (wanted, reader.waived(name)) {
        (Some(_), true) => {
            reader.both(name, name);
            Overrides::None
        }
        (Some(wanted), false) => Overrides::Exactly(wanted),
        (None, true) => Overrides::Waived,
        (None, false) => Overrides::None,
    }
}

/// A rule on the whole that was left out, beside the one on what overrides it: "nothing is overridden" would
/// contradict an override that is expected or waived.
fn unless<T>(whole: Overrides<T>, overriding: &Overrides<T>) -> Overrides<T> {
    match (whole, overriding) {
        (Overrides::None, Overrides::Exactly(_) | Overrides::Waived) => Overrides::NotAsked,
        (whole, _) => whole,
    }
}

fn waived<T>(name: &'static str, rule: &Overrides<T>) -> Option<&'static str> {
    matches!(rule, Overrides::Waived).then_some(name)
}

/// The same of a rule on the whole, which may be left to the one on what overrides it.
fn waived_whole<T>(
    name: &'static str,
    rule: &Overrides<T>,
    override_name: &'static str,
    overriding: &Overrides<T>,
) -> Option<&'static str> {
    match rule {
        Overrides::NotAsked => waived(override_name, overriding),
        rule => waived(name, rule),
    }
}

fn pairs(rule: &Variables) -> Overrides<Vec<(&str, &str)>> {
    map(rule, |wanted| wanted.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect())
}

fn list(rule: &Arguments) -> Overrides<Vec<&str>> {
    map(rule, |wanted| refs(wanted))
}

fn borrowed<T>(rule: &Overrides<Vec<T>>) -> Overrides<&[T]> {
    map(rule, Vec::as_slice)
}

fn map<'a, T, U>(rule: &'a Overrides<T>, with: impl FnOnce(&'a T) -> U) -> Overrides<U> {
    match rule {
        Overrides::Exactly(wanted) => Overrides::Exactly(with(wanted)),
        Overrides::None => Overrides::None,
        Overrides::NotAsked => Overrides::NotAsked,
        Overrides::Waived => Overrides::Waived,
    }
}
