//! How a key is authorized: by its authorization value, or by a policy whose digest is computed here.

use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::structures::Public;

use crate::device::Live;
use crate::error::{Call as _, Result, TpmError};
use crate::key::KeyQuery;
use crate::keyfile::KeyFile;
use crate::policy::{PcrSelection, Step, hash, policy_digest};
use crate::public;

/// How the TPM is convinced to use the key.
pub(crate) enum Authorization {
    /// By the authorization value, which may be empty.
    Value,
    /// By a policy.
    Policy(HashingAlgorithm, Vec<Step>),
}

impl Authorization {
    /// Whether the authorization value is part of it.
    pub(crate) fn takes_value(&self) -> bool {
        match self {
            Self::Value => true,
            Self::Policy(_, steps) => steps.contains(&Step::AuthValue),
        }
    }
}

/// How the key is authorized, with its policy digest computed here.
pub(crate) fn authorization(
    live: &mut Live,
    query: &KeyQuery,
    public: &Public,
) -> Result<Authorization> {
    let (attributes, algorithm, wanted) = public::common(public);
    let file = query.source.file();
    let from_file = file.and_then(|file| file.policy.clone()).filter(|steps| !steps.is_empty());
    let bad = |help: &str| Err(TpmError::Policy(help.to_owned()));
    if wanted.is_empty() {
        return match (&query.pcrs, attributes.user_with_auth()) {
            (Some(_), _) => bad("the key has no policy; leave pcrs out"),
            (None, true) => Ok(Authorization::Value),
            (None, false) => bad("the key can be used by policy only, and has none"),
        };
    }
    let candidates = match (from_file, &query.pcrs) {
        (Some(_), Some(_)) => return bad("the key file names its policy; leave pcrs out"),
        (Some(steps), None) => vec![steps],
        (None, Some(selection)) => {
            let digest = pcr_digest(live, selection, algorithm)?;
            let pcr = Step::Pcr { selection: selection.clone(), digest };
            vec![vec![pcr.clone()], vec![pcr.clone(), Step::AuthValue], vec![Step::AuthValue, pcr]]
        }
        (None, None) if attributes.user_with_auth() => return Ok(Authorization::Value),
        (None, None) => vec![vec![Step::AuthValue]],
    };
    for mut steps in candidates {
        // A file may leave the digest to the TPM: then it is the present one.
        for step in &mut steps {
            if let Step::Pcr { selection, digest } = step
                && digest.is_empty()
            {
                *digest = pcr_digest(live, selection, algorithm)?;
            }
        }
        match policy_digest(algorithm, &steps) {
            None => return bad("the key's policy is made with an unknown hash"),
            Some(digest) if digest == wanted => {
                check_present(live, &steps, algorithm)?;
                return Ok(Authorization::Policy(algorithm, steps));
            }
            Some(_) => {}
        }
    }
    match query.pcrs.as_ref().or(file.and_then(KeyFile::pcrs)) {
        Some(pcrs) => Err(TpmError::Policy(format!(
            "a PCR changed, or the key's policy is another: the present values of {pcrs} do not make the policy \
             that the key wants. Look at them with: tpm2_pcrread {pcrs}; boot the state that the key was made \
             for, name the right PCRs, or make a new key"
        ))),
        None => bad(
            "the key can be used by a policy only that its file does not name; name its PCRs with pcrs= in \
             the URI (other policies are not supported)",
        ),
    }
}

/// That the PCRs have the values now that the policy wants.
fn check_present(live: &mut Live, steps: &[Step], algorithm: HashingAlgorithm) -> Result<()> {
    for step in steps {
        if let Step::Pcr { selection, digest } = step
            && pcr_digest(live, selection, algorithm)? != *digest
        {
            return Err(pcr_changed(Some(selection)));
        }
    }
    Ok(())
}

/// The digest of PCR values, by bank and in the order of their numbers.
pub(crate) fn pcr_digest(
    live: &mut Live,
    selection: &PcrSelection,
    algorithm: HashingAlgorithm,
) -> Result<Vec<u8>> {
    let mut values: Vec<((u16, u8), Vec<u8>)> = Vec::new();
    let mut missing: Vec<_> = selection.each().collect();
    while !missing.is_empty() {
        let rest = PcrSelection::from_pcrs(missing.iter().copied()).ok_or_else(|| {
            TpmError::Policy("the key's policy names a PCR above 23, or too many banks".to_owned())
        })?;
        let list = rest.list()?;
        let (_, read, digests) = live
            .context
            .execute_without_session(|context| context.pcr_read(list))
            .call("Esys_PCR_Read")?;
        // The answer holds at most eight, and says which.
        let read = PcrSelection::from_list(read);
        let count = values.len();
        values.extend(read.each().zip(digests.value().iter().map(|digest| digest.to_vec())));
        missing.retain(|pcr| !values.iter().any(|(known, _)| known == pcr));
        if values.len() == count {
            return Err(TpmError::Policy(format!(
                "the TPM does not have a PCR of {rest}; tpm2_getcap pcrs lists its banks"
            )));
        }
    }
    let parts: Vec<&[u8]> = selection
        .each()
        .filter_map(|pcr| values.iter().find(|(known, _)| *known == pcr))
        .map(|(_, value)| value.as_slice())
        .collect();
    hash(algorithm, &parts)
        .ok_or_else(|| TpmError::Policy("the key's policy is made with an unknown hash".to_owned()))
}

pub(crate) fn pcr_changed(pcrs: Option<&PcrSelection>) -> TpmError {
    TpmError::Policy(match pcrs {
        Some(pcrs) => format!(
            "a PCR changed: the values of {pcrs} are not those that the key was made for. Look at them with: \
             tpm2_pcrread {pcrs}; boot the state that the key was made for, or make a new key"
        ),
        None => "the key's policy does not hold".to_owned(),
    })
}
