//! Policies that are computed here: PCR values and authorization values.

use core::fmt;

use aws_lc_rs::digest;
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::structures::PcrSelectionList;
use tss_esapi::tss2_esys::{TPML_PCR_SELECTION, TPMS_PCR_SELECTION};

use crate::error::{Call as _, Result, TpmError};

const POLICY_PCR: u32 = 0x17f;
const POLICY_AUTH_VALUE: u32 = 0x16b;

/// The most banks in a selection: TPM2_NUM_PCR_BANKS of the TPM software stack.
const MAX_BANKS: usize = 16;

/// The highest PCR of the platforms' specifications (PC Client Platform TPM Profile, section 4.6).
const LAST_PCR: u8 = 23;

/// PCRs of one or more banks, as the tpm2 tools write them: `sha256:0,7` or `sha256:0,7+sha1:1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PcrSelection(Vec<Bank>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Bank {
    /// TPM_ALG_ID.
    hash: u16,
    /// One bit a PCR, the lowest bit of the first octet for PCR 0.
    bits: Vec<u8>,
}

/// The names and numbers of the banks (TPM 2.0 Library, part 2, section 6.3), and the size of their values.
const BANKS: [(&str, u16); 4] =
    [("sha1", 0x0004), ("sha256", 0x000b), ("sha384", 0x000c), ("sha512", 0x000d)];

impl PcrSelection {
    /// Reads `sha256:0,7`, several banks with `+` between them.
    ///
    /// # Errors
    /// [`TpmError::Format`] says what is expected.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = || {
            TpmError::Format(
                "pcrs is a list such as sha256:0,7 or sha256:0,7+sha1:1: a bank (sha1, sha256, sha384, \
                 sha512), and PCRs from 0 to 23, each once"
                    .to_owned(),
            )
        };
        let mut banks: Vec<Bank> = Vec::new();
        for part in text.split('+') {
            let (name, list) = part.split_once(':').ok_or_else(bad)?;
            let (_, hash) = BANKS.iter().find(|(known, _)| *known == name).ok_or_else(bad)?;
            let mut bits = vec![0u8; 3];
            for number in list.split(',') {
                let plain = number.bytes().all(|b| b.is_ascii_digit());
                let pcr = number.parse::<u8>().ok().filter(|_| plain).ok_or_else(bad)?;
                let octet = bits.get_mut(usize::from(pcr / 8)).ok_or_else(bad)?;
                if core::mem::replace(octet, *octet | 1 << (pcr % 8)) >> (pcr % 8) & 1 == 1 {
                    return Err(bad());
                }
            }
            if banks.iter().any(|bank| bank.hash == *hash) {
                return Err(bad());
            }
            banks.push(Bank { hash: *hash, bits });
        }
        Ok(Self(banks))
    }

    /// TPML_PCR_SELECTION.
    pub(crate) fn marshal(&self) -> Vec<u8> {
        let mut out = u32::try_from(self.0.len()).unwrap_or_default().to_be_bytes().to_vec();
        for bank in &self.0 {
            out.extend(bank.hash.to_be_bytes());
            out.push(u8::try_from(bank.bits.len()).unwrap_or_default());
            out.extend(&bank.bits);
        }
        out
    }

    fn unmarshal(bytes: &[u8]) -> Option<Self> {
        let (count, mut rest) = bytes.split_first_chunk::<4>()?;
        let mut banks = Vec::new();
        for _ in 0..u32::from_be_bytes(*count) {
            let (hash, after) = rest.split_first_chunk::<2>()?;
            let (len, after) = after.split_first()?;
            let (bits, after) = after.split_at_checked(usize::from(*len))?;
            if banks.len() == MAX_BANKS || bits.len() > 4 {
                return None;
            }
            banks.push(Bank { hash: u16::from_be_bytes(*hash), bits: bits.to_vec() });
            rest = after;
        }
        rest.is_empty().then_some(Self(banks))
    }

    /// A selection out of single PCRs, in the order of their banks' first appearance.
    pub(crate) fn from_pcrs(pcrs: impl IntoIterator<Item = (u16, u8)>) -> Option<Self> {
        let mut banks: Vec<Bank> = Vec::new();
        for (hash, pcr) in pcrs {
            if !banks.iter().any(|bank| bank.hash == hash) {
                banks.push(Bank { hash, bits: vec![0; 3] });
            }
            let bank = banks.iter_mut().find(|bank| bank.hash == hash)?;
            *bank.bits.get_mut(usize::from(pcr / 8))? |= 1 << (pcr % 8);
        }
        (!banks.is_empty() && banks.len() <= MAX_BANKS).then_some(Self(banks))
    }

    /// The selection in a TPM's answer.
    pub(crate) fn from_list(list: PcrSelectionList) -> Self {
        let list = TPML_PCR_SELECTION::from(list);
        let count = usize::try_from(list.count).unwrap_or(0);
        let banks = list.pcrSelections.iter().take(count).map(|one| Bank {
            hash: one.hash,
            bits: one.pcrSelect.iter().take(usize::from(one.sizeofSelect)).copied().collect(),
        });
        Self(banks.collect())
    }

    /// The banks and PCRs, in the order in which their digests are hashed: by bank, then by number.
    pub(crate) fn each(&self) -> impl Iterator<Item = (u16, u8)> {
        self.0
            .iter()
            .flat_map(|bank| (0u8..32).filter(|pcr| bank.has(*pcr)).map(|pcr| (bank.hash, pcr)))
    }

    /// The form that the TPM software stack takes. Not by its builder, which forgets the order of banks.
    pub(crate) fn list(&self) -> Result<PcrSelectionList> {
        let mut list = TPML_PCR_SELECTION::default();
        for (to, bank) in list.pcrSelections.iter_mut().zip(&self.0) {
            let mut one = TPMS_PCR_SELECTION { hash: bank.hash, ..Default::default() };
            one.sizeofSelect = u8::try_from(bank.bits.len()).unwrap_or_default();
            for (to, bits) in one.pcrSelect.iter_mut().zip(&bank.bits) {
                *to = *bits;
            }
            *to = one;
            list.count += 1;
        }
        PcrSelectionList::try_from(list).call("TPML_PCR_SELECTION")
    }
}

impl Bank {
    fn has(&self, pcr: u8) -> bool {
        self.bits.get(usize::from(pcr / 8)).is_some_and(|bits| bits >> (pcr % 8) & 1 == 1)
    }
}

impl fmt::Display for PcrSelection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, bank) in self.0.iter().enumerate() {
            let name = BANKS.iter().find(|(_, hash)| *hash == bank.hash);
            let pcrs: Vec<_> =
                (0u8..32).filter(|pcr| bank.has(*pcr)).map(|pcr| pcr.to_string()).collect();
            let plus = if i == 0 { "" } else { "+" };
            write!(f, "{plus}{}:{}", name.map_or("?", |(name, _)| *name), pcrs.join(","))?;
        }
        Ok(())
    }
}

/// One command of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// TPM2_PolicyPCR.
    Pcr {
        selection: PcrSelection,
        /// The digest of the PCR values that the key was made for; empty when it is not known.
        digest: Vec<u8>,
    },
    /// TPM2_PolicyAuthValue.
    AuthValue,
}

impl Step {
    /// A step as key files hold it: the command code, and the command's parameters behind the session.
    pub(crate) fn from_command(code: u32, data: &[u8]) -> Result<Self> {
        let bad = |help: String| Err(TpmError::Format(format!("TSS2 PRIVATE KEY: {help}")));
        match code {
            POLICY_AUTH_VALUE if data.is_empty() => Ok(Self::AuthValue),
            POLICY_PCR => {
                let parsed = data.split_first_chunk::<2>().and_then(|(len, rest)| {
                    let (digest, rest) =
                        rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
                    Some((digest.to_vec(), PcrSelection::unmarshal(rest)?))
                });
                match parsed {
                    Some((_, selection)) if selection.each().any(|(_, pcr)| pcr > LAST_PCR) => {
                        bad(format!("its policy names a PCR above {LAST_PCR}, which no TPM has"))
                    }
                    Some((digest, selection)) => Ok(Self::Pcr { selection, digest }),
                    None => bad("its PCR policy is damaged".to_owned()),
                }
            }
            _ => bad(format!(
                "its policy has the command {code:#x}; only PCRs (TPM2_PolicyPCR) and authorization \
                 values (TPM2_PolicyAuthValue) are supported"
            )),
        }
    }

    /// As [`from_command`](Self::from_command) reads it.
    pub(crate) fn command(&self) -> (u32, Vec<u8>) {
        match self {
            Self::AuthValue => (POLICY_AUTH_VALUE, Vec::new()),
            Self::Pcr { selection, digest } => {
                let len = u16::try_from(digest.len()).unwrap_or_default();
                let mut data = len.to_be_bytes().to_vec();
                data.extend(digest);
                data.extend(selection.marshal());
                (POLICY_PCR, data)
            }
        }
    }
}

/// A hash that policies and Names are made with.
pub(crate) fn hash(algorithm: HashingAlgorithm, parts: &[&[u8]]) -> Option<Vec<u8>> {
    let algorithm = match algorithm {
        HashingAlgorithm::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        HashingAlgorithm::Sha256 => &digest::SHA256,
        HashingAlgorithm::Sha384 => &digest::SHA384,
        HashingAlgorithm::Sha512 => &digest::SHA512,
        _ => return None,
    };
    let mut context = digest::Context::new(algorithm);
    for part in parts {
        context.update(part);
    }
    Some(context.finish().as_ref().to_vec())
}

/// The digest that a policy session has after these steps (TPM 2.0 Library, part 3, sections 23.7 and
/// 23.17); none for a hash that is not known here.
pub(crate) fn policy_digest(algorithm: HashingAlgorithm, steps: &[Step]) -> Option<Vec<u8>> {
    let mut policy = vec![0; hash(algorithm, &[])?.len()];
    for step in steps {
        policy = match step {
            Step::Pcr { selection, digest } => hash(
                algorithm,
                &[&policy, &POLICY_PCR.to_be_bytes(), &selection.marshal(), digest],
            )?,
            Step::AuthValue => hash(algorithm, &[&policy, &POLICY_AUTH_VALUE.to_be_bytes()])?,
        };
    }
    Some(policy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selections() {
        for (text, canonical) in [
            ("sha256:0,7", "sha256:0,7"),
            ("sha256:7,0", "sha256:0,7"),
            ("sha1:23+sha256:8,16", "sha1:23+sha256:8,16"),
            ("sha256:1+sha1:1", "sha256:1+sha1:1"),
        ] {
            let selection = PcrSelection::parse(text).unwrap();
            assert_eq!(selection.to_string(), canonical);
            assert_eq!(PcrSelection::unmarshal(&selection.marshal()), Some(selection.clone()));
            let list = selection.list().unwrap();
            assert_eq!(TPML_PCR_SELECTION::from(list).count as usize, selection.0.len());
            assert_eq!(PcrSelection::from_pcrs(selection.each()), Some(selection));
        }
        for bad in [
            "",
            "sha256",
            "sha256:",
            "sha256:24",
            "sha256:0,0",
            "sha256:+1",
            "md5:0",
            "sha256:0+",
            "sha256:0+sha256:1",
            "sha256: 0",
            "sha256:0,",
            "0,7",
        ] {
            assert!(PcrSelection::parse(bad).is_err(), "{bad}");
        }
        let order: Vec<_> = PcrSelection::parse("sha256:10,9,2").unwrap().each().collect();
        assert_eq!(order, [(11, 2), (11, 9), (11, 10)]);
    }

    #[test]
    fn damaged_selections() {
        let good = PcrSelection::parse("sha256:0,7").unwrap().marshal();
        for len in 0..good.len() {
            assert_eq!(PcrSelection::unmarshal(&good[..len]), None);
        }
        assert_eq!(PcrSelection::unmarshal(&[&good[..], &[0]].concat()), None);
        assert_eq!(PcrSelection::unmarshal(&[0xff; 8]), None);
    }

    /// tpm2_policypcr -l sha256:0 on a fresh TPM (PCR 0 all zero), and tpm2_policyauthvalue.
    #[test]
    fn digests() {
        let zero = hash(HashingAlgorithm::Sha256, &[&[0; 32]]).unwrap();
        let selection = PcrSelection::parse("sha256:0").unwrap();
        let steps = [Step::Pcr { selection, digest: zero }];
        let digest = policy_digest(HashingAlgorithm::Sha256, &steps).unwrap();
        assert_eq!(digest.len(), 32);
        for step in steps.iter().chain(&[Step::AuthValue]) {
            let (code, data) = step.command();
            assert_eq!(Step::from_command(code, &data).as_ref(), Ok(step));
        }
        assert!(Step::from_command(0x16c, &[]).unwrap_err().to_string().contains("0x16c"));
        assert!(Step::from_command(POLICY_AUTH_VALUE, &[1]).is_err());
        assert!(Step::from_command(POLICY_PCR, &[0, 32]).is_err());
        // Four octets of PCRs: the last one must be empty.
        let selected = |last| [0, 0, 0, 0, 0, 1, 0, 0x0b, 4, 1, 0, 0x80, last];
        assert!(Step::from_command(POLICY_PCR, &selected(0)).is_ok());
        for last in [1, 0x80] {
            let error = Step::from_command(POLICY_PCR, &selected(last)).unwrap_err().to_string();
            assert!(error.contains("PCR above 23"), "{error}");
        }
    }
}
