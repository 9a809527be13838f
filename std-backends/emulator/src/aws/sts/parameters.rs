//! What a role is assumed with, and the limits that STS puts on it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{denied, validation};
use crate::aws::{AwsError, is_name};
use crate::request::Form;
use crate::state::Session;

/// A session policy has so many characters at most.
pub(super) const MAX_POLICY: usize = 2048;

/// The parameters of `AssumeRole` and `AssumeRoleWithWebIdentity`.
pub(super) struct Parameters {
    pub(super) role_arn: String,
    pub(super) session_name: String,
    pub(super) duration: Option<u32>,
    pub(super) external_id: Option<String>,
    policy: Option<String>,
    policy_arns: Vec<String>,
    tags: BTreeMap<String, String>,
    transitive: Vec<String>,
    source_identity: Option<String>,
}

/// `DurationSeconds`, 900 to `most`.
pub(super) fn duration(form: &Form, most: u32) -> Result<Option<u32>, AwsError> {
    let Some(text) = form.get("DurationSeconds") else { return Ok(None) };
    let seconds = text.parse().ok().filter(|seconds| (900..=most).contains(seconds));
    seconds.map(Some).ok_or_else(|| {
        validation(format!(
            "1 validation error detected: Value '{text}' at 'durationSeconds' failed to satisfy \
             constraint: Member must have value between 900 and {most}"
        ))
    })
}

impl Parameters {
    pub(super) fn read(form: &Form) -> Result<Self, AwsError> {
        if let Some(name) = form.repeated() {
            return Err(validation(format!("'{name}' is given twice")));
        }
        let required = |name: &str| {
            form.get(name).ok_or_else(|| {
                validation(format!(
                    "1 validation error detected: Value null at '{name}' failed to satisfy \
                     constraint: Member must not be null"
                ))
            })
        };
        let checked = |name: &str, least: usize, most: usize, extra: &str| match form.get(name) {
            Some(value) if is_name(value, least, most, extra) => Ok(Some(value.to_owned())),
            None => Ok(None),
            Some(value) => Err(validation(format!(
                "1 validation error detected: Value '{value}' at '{name}' failed to satisfy \
                 constraint: Member must satisfy regular expression pattern [\\w{extra}]*, with \
                 {least} to {most} characters"
            ))),
        };
        let role_arn = required("RoleArn")?;
        if !role_arn.starts_with("arn:") || !(20..=2048).contains(&role_arn.len()) {
            return Err(validation(format!("{role_arn} is invalid")));
        }
        required("RoleSessionName")?;
        let session_name = checked("RoleSessionName", 2, 64, "_+=,.@-")?.unwrap_or_default();
        let policy = form.get("Policy").map(str::to_owned);
        if let Some(policy) = &policy {
            let document = serde_json::from_str::<Value>(policy);
            if !document.is_ok_and(|document| document.get("Statement").is_some()) {
                let message = "This policy contains invalid Json";
                return Err(AwsError::new(400, "MalformedPolicyDocument", message));
            }
            if policy.chars().count() > MAX_POLICY {
                return Err(validation("'policy' must have length less than or equal to 2048"));
            }
        }
        let transitive = members(form, "TransitiveTagKeys", "").into_values().collect();
        Ok(Self {
            role_arn: role_arn.to_owned(),
            session_name,
            duration: duration(form, 43_200)?,
            external_id: checked("ExternalId", 2, 1224, "_+=,.@:/-")?,
            policy,
            policy_arns: policy_arns(form)?,
            tags: tags(form)?,
            transitive,
            source_identity: checked("SourceIdentity", 2, 64, "_+=,.@-")?,
        })
    }

    /// The session that they ask for, with what it inherits from the caller's own session.
    pub(super) fn session(&self, caller: Option<&Session>) -> Result<Session, AwsError> {
        let mut session = Session {
            session_name: Some(self.session_name.clone()),
            policy: self.policy.clone(),
            policy_arns: self.policy_arns.clone(),
            tags: self.tags.clone(),
            transitive_tag_keys: self.transitive.clone(),
            source_identity: self.source_identity.clone(),
            external_id: self.external_id.clone(),
            ..Session::default()
        };
        if let Some(key) = self.transitive.iter().find(|key| !self.tags.contains_key(*key)) {
            return Err(validation(format!(
                "The specified transitive tag key '{key}' must be included in the requested tags."
            )));
        }
        let Some(caller) = caller else { return Ok(session) };
        if let Some(source) = &caller.source_identity {
            if self.source_identity.as_ref().is_some_and(|new| new != source) {
                return Err(denied("The source identity of a session cannot be changed."));
            }
            session.source_identity = Some(source.clone());
        }
        for key in &caller.transitive_tag_keys {
            if self.tags.contains_key(key) {
                return Err(AwsError::new(
                    400,
                    "InvalidParameterValue",
                    format!(
                        "One of the specified transitive tag keys can't be set because it \
                             conflicts with a transitive tag key from the calling session: {key}"
                    ),
                ));
            }
            if let Some(value) = caller.tags.get(key) {
                session.tags.insert(key.clone(), value.clone());
                session.transitive_tag_keys.push(key.clone());
            }
        }
        Ok(session)
    }
}

/// `<list>.member.<n>[.<field>]`, by n.
fn members(form: &Form, list: &str, field: &str) -> BTreeMap<u32, String> {
    let found = form.0.iter().filter_map(|(name, value)| {
        let rest = name.strip_prefix(list)?.strip_prefix(".member.")?;
        let (number, after) = rest.split_once('.').unwrap_or((rest, ""));
        (after == field).then_some((number.parse().ok()?, value.clone()))
    });
    found.collect()
}

fn policy_arns(form: &Form) -> Result<Vec<String>, AwsError> {
    let all: Vec<String> = members(form, "PolicyArns", "arn").into_values().collect();
    if all.len() > 10 {
        return Err(validation("'policyArns' must have length less than or equal to 10"));
    }
    match all.iter().find(|arn| !arn.starts_with("arn:")) {
        Some(wrong) => Err(validation(format!("The policy ARN {wrong} is invalid"))),
        None => Ok(all),
    }
}

fn tags(form: &Form) -> Result<BTreeMap<String, String>, AwsError> {
    let keys = members(form, "Tags", "Key");
    let mut values = members(form, "Tags", "Value");
    if keys.len() > 50 {
        return Err(validation("'tags' must have length less than or equal to 50"));
    }
    let mut tags = BTreeMap::new();
    for (number, key) in keys {
        let value = values.remove(&number).ok_or_else(|| {
            validation(format!("Value null at 'tags.{number}.member.value' must not be null"))
        })?;
        if !(1..=128).contains(&key.chars().count()) || value.chars().count() > 256 {
            return Err(validation(format!("The tag {key} is too long")));
        }
        if tags.insert(key.clone(), value).is_some() {
            return Err(AwsError::new(
                400,
                "InvalidParameterValue",
                format!("Duplicate tag keys found: {key}"),
            ));
        }
    }
    if values.is_empty() { Ok(tags) } else { Err(validation("a tag's value without its key")) }
}
