//! The claims themselves.

use core::fmt;

use super::hold;
use crate::Result;
use crate::attest::{at, strings};
use crate::json::{Kind, Value};
use crate::jws;

/// The claims of a token, with old names standing in for present ones.
#[derive(Clone, Copy)]
pub struct Claims<'b>(pub(super) Value<'b>);

impl<'b> Claims<'b> {
    /// The claims of any token, whoever wrote it: for records, and for nothing else.
    #[must_use]
    pub const fn unverified(token: &jws::Report<'b>) -> Self {
        Self(token.claims())
    }

    /// All of them: an object.
    #[must_use]
    pub const fn json(self) -> Value<'b> {
        self.0
    }

    /// `iss`.
    #[must_use]
    pub fn issuer(self) -> Option<&'b str> {
        self.top("iss")?.as_str()
    }

    /// `sub`: the instance's selfLink.
    #[must_use]
    pub fn subject(self) -> Option<&'b str> {
        self.top("sub")?.as_str()
    }

    /// The one audience; `None` also for several.
    #[must_use]
    pub fn audience(self) -> Option<&'b str> {
        jws::single_audience(&self.0).ok()
    }

    /// `dbgstat`: `disabled-since-boot` or `enabled`.
    #[must_use]
    pub fn dbgstat(self) -> Option<&'b str> {
        self.top("dbgstat")?.as_str()
    }

    /// `secboot`: whether secure boot was on.
    #[must_use]
    pub fn secboot(self) -> Option<bool> {
        self.top("secboot")?.as_bool()
    }

    /// `oemid`: 11129 is Google.
    #[must_use]
    pub fn oemid(self) -> Option<u64> {
        self.top("oemid")?.as_u64()
    }

    /// `hwmodel`, such as `GCP_AMD_SEV`.
    #[must_use]
    pub fn hwmodel(self) -> Option<&'b str> {
        self.top("hwmodel")?.as_str()
    }

    /// `swname`: `CONFIDENTIAL_SPACE` or `GCE`.
    #[must_use]
    pub fn swname(self) -> Option<&'b str> {
        self.top("swname")?.as_str()
    }

    /// The first `swversion`; there is one.
    #[must_use]
    pub fn swversion(self) -> Option<&'b str> {
        strings(self.top("swversion")).next()
    }

    /// `google_service_accounts`, once `tee.emails`.
    pub fn service_accounts(self) -> impl Iterator<Item = &'b str> + use<'b> {
        strings(self.top("google_service_accounts").or_else(|| at(self.0, &["tee", "emails"])))
    }

    /// The name of the image as it was started: `registry/name:tag` or `@digest`.
    #[must_use]
    pub fn image_reference(self) -> Option<&'b str> {
        self.container("image_reference")?.as_str()
    }

    /// The digest of the image's manifest: `sha256:` and lower-case hexadecimal.
    #[must_use]
    pub fn image_digest(self) -> Option<&'b str> {
        self.container("image_digest")?.as_str()
    }

    /// The digest of the image's configuration.
    #[must_use]
    pub fn image_id(self) -> Option<&'b str> {
        self.container("image_id")?.as_str()
    }

    /// The keys of the image's signatures, by `key_id`.
    pub fn signature_keys(self) -> impl Iterator<Item = &'b str> + use<'b> {
        let signatures = self.container("image_signatures").into_iter();
        signatures.flat_map(|list| list.elements()).filter_map(|one| one.get("key_id")?.as_str())
    }

    /// `Always`, `OnFailure` or `Never`.
    #[must_use]
    pub fn restart_policy(self) -> Option<&'b str> {
        self.container("restart_policy")?.as_str()
    }

    /// The zone of the instance.
    #[must_use]
    pub fn zone(self) -> Option<&'b str> {
        self.gce("zone")?.as_str()
    }

    /// The id of the instance's project.
    #[must_use]
    pub fn project_id(self) -> Option<&'b str> {
        self.gce("project_id")?.as_str()
    }

    /// The number of the instance's project, in decimal.
    #[must_use]
    pub fn project_number(self) -> Option<&'b str> {
        digits(self.gce("project_number"))
    }

    /// The name of the instance.
    #[must_use]
    pub fn instance_name(self) -> Option<&'b str> {
        self.gce("instance_name")?.as_str()
    }

    /// The id of the instance, in decimal.
    #[must_use]
    pub fn instance_id(self) -> Option<&'b str> {
        digits(self.gce("instance_id"))
    }

    /// What Google says of the image's support: some of `EXPERIMENTAL`, `USABLE`, `STABLE`, `LATEST`.
    pub fn support_attributes(self) -> impl Iterator<Item = &'b str> + use<'b> {
        strings(at(self.0, &["submods", "confidential_space", "support_attributes"]))
    }

    pub(super) fn top(self, name: &str) -> Option<Value<'b>> {
        at(self.0, &[name])
    }

    pub(super) fn container(self, name: &str) -> Option<Value<'b>> {
        self.moved("container", name)
    }

    pub(super) fn gce(self, name: &str) -> Option<Value<'b>> {
        self.moved("gce", name)
    }

    /// A claim of a block that was once inside `tee`.
    fn moved(self, block: &str, name: &str) -> Option<Value<'b>> {
        at(self.0, &["submods", block, name]).or_else(|| at(self.0, &["tee", block, name]))
    }

    /// Whether each old name says what the present name says, or nothing.
    pub(super) fn names_agree(self) -> Result<()> {
        let agree = |old: Value<'_>, present: Option<Value<'_>>| {
            says_nothing(old) || present.is_none_or(|present| same(old, present))
        };
        let blocks = ["container", "gce"].into_iter().all(|block| {
            let mut old = at(self.0, &["tee", block]).into_iter().flat_map(|old| old.members());
            old.all(|(name, old)| agree(old, at(self.0, &["submods", block, name])))
        });
        let emails = at(self.0, &["tee", "emails"])
            .is_none_or(|old| agree(old, self.top("google_service_accounts")));
        hold(blocks && emails, "tee", "an old claim name contradicts the present one")
    }
}

/// Nothing but that they are claims: they may hold nonces that are secrets.
impl fmt::Debug for Claims<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims").finish_non_exhaustive()
    }
}

/// A number, which these tokens write as a string.
fn digits<'b>(claim: Option<Value<'b>>) -> Option<&'b str> {
    let claim = claim?;
    claim.as_str().or_else(|| claim.number_text())
}

/// What a writer puts under a name that it has no value for.
fn says_nothing(value: Value<'_>) -> bool {
    match value.kind() {
        Kind::Array => value.elements().next().is_none(),
        Kind::Null => true,
        Kind::Object => value.members().next().is_none(),
        Kind::String => value.as_str() == Some(""),
        Kind::Bool | Kind::Number => false,
    }
}

/// Whether two values are the same, numbers by their text. As deep as the reader allows
/// ([`MAX_DEPTH`](crate::json::MAX_DEPTH)).
pub(super) fn same(a: Value<'_>, b: Value<'_>) -> bool {
    a.kind() == b.kind()
        && match a.kind() {
            Kind::Array => {
                a.elements().count() == b.elements().count()
                    && a.elements().zip(b.elements()).all(|(a, b)| same(a, b))
            }
            Kind::Bool => a.as_bool() == b.as_bool(),
            Kind::Null => true,
            Kind::Number => a.number_text() == b.number_text(),
            Kind::Object => {
                a.members().count() == b.members().count()
                    && a.members().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
            }
            Kind::String => a.as_str() == b.as_str(),
        }
}
