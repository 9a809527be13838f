//! `TSS2 PRIVATE KEY` files: the ASN.1 that OpenSSL's TPM engines and providers, `tpm2_encodeobject` and
//! others write (draft-bottomley-tpm2-keys).

use cloudauth_core::encode::base64;
use der::asn1::{ContextSpecific, ObjectIdentifier, OctetStringRef};
use der::{
    AnyRef, Decode as _, Encode as _, Header, Reader as _, SliceReader, Tag, TagNumber, Tagged as _,
};
use zeroize::Zeroizing;

use crate::error::{Result, TpmError};
use crate::policy::{PcrSelection, Step};
use crate::source::Parent;

/// The label of the PEM block.
pub(crate) const LABEL: &str = "TSS2 PRIVATE KEY";

const LOADABLE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.10.1.3");
const IMPORTABLE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.10.1.4");
const SEALED: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.10.1.5");

/// A key that only one TPM can load: its public area, and its private area encrypted by its parent.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyFile {
    pub(crate) parent: Parent,
    /// Whether the key has no authorization value; none when the file does not say. Not relied on.
    pub(crate) empty_auth: Option<bool>,
    /// None when the file says nothing of a policy.
    pub(crate) policy: Option<Vec<Step>>,
    /// TPMT_PUBLIC.
    pub(crate) public: Vec<u8>,
    /// What TPM2B_PRIVATE holds.
    pub(crate) private: Vec<u8>,
    /// Of an importable key: the encrypted seed.
    pub(crate) secret: Option<Vec<u8>>,
}

impl KeyFile {
    /// Reads the DER inside the PEM block.
    ///
    /// # Errors
    /// [`TpmError::Format`] says what is wrong, or cannot be used.
    pub fn from_der(der: &[u8]) -> Result<Self> {
        let damaged = |_| bad("it is damaged, or not the ASN.1 of a TPM key");
        let mut reader = SliceReader::new(der).map_err(damaged)?;
        let header = Header::decode(&mut reader).map_err(damaged)?;
        if header.tag() != Tag::Sequence || usize::try_from(header.length()) != Ok(rest(&reader)) {
            return Err(bad("it is damaged, or not the ASN.1 of a TPM key"));
        }
        let oid = ObjectIdentifier::decode(&mut reader).map_err(damaged)?;
        if oid == SEALED {
            return Err(bad("it holds sealed data, not a key"));
        }
        if oid != LOADABLE && oid != IMPORTABLE {
            return Err(bad("it is of an unknown kind (not a loadable or importable key)"));
        }
        let mut file = Self {
            parent: Parent::Handle(0),
            empty_auth: None,
            policy: None,
            public: Vec::new(),
            private: Vec::new(),
            secret: None,
        };
        let (mut rsa, mut last) = (false, None);
        while let Some(number) = optional(&reader) {
            if last.is_some_and(|last| last >= number) {
                return Err(bad("its optional parts are not in order"));
            }
            last = Some(number);
            let any = AnyRef::decode(&mut reader).map_err(damaged)?;
            let inner = AnyRef::from_der(any.value()).map_err(damaged)?;
            match number {
                0 => file.empty_auth = Some(boolean(inner)?),
                1 => file.policy = Some(policy(inner)?),
                2 => file.secret = Some(sized(octets(inner)?)?.to_vec()),
                3 => {
                    return Err(bad(
                        "it has an authPolicy (a choice of signed policies), which is not supported; \
                         make the key with a PCR policy, or none",
                    ));
                }
                // A description for people.
                4 => {}
                5 => rsa = boolean(inner)?,
                _ => return Err(bad("it has a part that is not known")),
            }
        }
        let parent = AnyRef::decode(&mut reader).map_err(damaged)?;
        file.parent = handle(parent)
            .and_then(|number| Parent::from_handle(number, rsa))
            .ok_or_else(|| bad("its parent is no hierarchy and no persistent handle"))?;
        let mut part = || -> Result<Vec<u8>> {
            let part = AnyRef::decode(&mut reader).map_err(damaged)?;
            Ok(sized(octets(part)?)?.to_vec())
        };
        file.public = part()?;
        file.private = part()?;
        if rest(&reader) != 0 {
            return Err(bad("there is something behind it"));
        }
        if file.secret.is_some() != (oid == IMPORTABLE) {
            return Err(bad("an importable key has a secret, and no other has one"));
        }
        Ok(file)
    }

    /// The PEM text: a loadable key, in the form that tpm2-openssl and the tpm2 tools read.
    pub(crate) fn to_pem(&self) -> Result<Zeroizing<String>> {
        let der = self.to_der().map_err(|_| bad("it is too large to be written"))?;
        let mut text = String::new();
        base64::encode(&der, &mut Characters(&mut text));
        let mut pem = Zeroizing::new(format!("-----BEGIN {LABEL}-----\n"));
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (line, after) = rest.split_at_checked(64).unwrap_or((rest, ""));
            pem.push_str(line);
            pem.push('\n');
            rest = after;
        }
        pem.push_str(&format!("-----END {LABEL}-----\n"));
        Ok(pem)
    }

    fn to_der(&self) -> der::Result<Vec<u8>> {
        let mut body = LOADABLE.to_der()?;
        let explicit = |number, inner: AnyRef<'_>| {
            ContextSpecific {
                tag_number: TagNumber(number),
                tag_mode: der::TagMode::Explicit,
                value: inner,
            }
            .to_der()
        };
        if let Some(empty) = self.empty_auth {
            let value: &[u8] = if empty { &[0xff] } else { &[0] };
            body.extend(explicit(0, AnyRef::new(Tag::Boolean, value)?)?);
        }
        if let Some(steps) = self.policy.as_ref().filter(|steps| !steps.is_empty()) {
            let mut list = Vec::new();
            for step in steps {
                let (code, data) = step.command();
                let mut one = explicit(0, AnyRef::new(Tag::Integer, &code.to_be_bytes())?)?;
                one.extend(explicit(1, AnyRef::new(Tag::OctetString, &data)?)?);
                list.extend(AnyRef::new(Tag::Sequence, &one)?.to_der()?);
            }
            body.extend(explicit(1, AnyRef::new(Tag::Sequence, &list)?)?);
        }
        if matches!(self.parent, Parent::Rsa(_)) {
            body.extend(explicit(5, AnyRef::new(Tag::Boolean, &[0xff])?)?);
        }
        // An INTEGER is signed: a handle with its highest bit set gets a zero in front.
        let handle = self.parent.handle().to_be_bytes();
        let signed = [&[0][..], &handle].concat();
        let integer = if self.parent.handle() >> 31 == 1 { &signed[..] } else { &handle[..] };
        body.extend(AnyRef::new(Tag::Integer, integer)?.to_der()?);
        for part in [&self.public, &self.private] {
            let len = u16::try_from(part.len()).map_err(|_| der::ErrorKind::Overlength)?;
            let whole = [&len.to_be_bytes()[..], part].concat();
            body.extend(OctetStringRef::new(&whole)?.to_der()?);
        }
        AnyRef::new(Tag::Sequence, &body)?.to_der()
    }
}

/// Base64 is ASCII.
struct Characters<'a>(&'a mut String);

impl cloudauth_core::Sink for Characters<'_> {
    fn put(&mut self, bytes: &[u8]) {
        self.0.extend(bytes.iter().map(|byte| char::from(*byte)));
    }
}

fn bad(help: &str) -> TpmError {
    TpmError::Format(format!("TSS2 PRIVATE KEY: {help}"))
}

fn rest(reader: &SliceReader<'_>) -> usize {
    usize::try_from(reader.remaining_len()).unwrap_or(usize::MAX)
}

/// The number of the optional part that comes next.
fn optional(reader: &SliceReader<'_>) -> Option<u8> {
    match reader.clone().peek_byte()? {
        byte @ 0xa0..=0xbe => Some(byte & 0x1f),
        _ => None,
    }
}

/// Any value but 0 is true: some writers take 1, as BER allows.
fn boolean(any: AnyRef<'_>) -> Result<bool> {
    match (any.tag(), any.value()) {
        (Tag::Boolean, [value]) => Ok(*value != 0),
        _ => Err(bad("a flag is no BOOLEAN")),
    }
}

fn octets(any: AnyRef<'_>) -> Result<&[u8]> {
    match any.tag() {
        Tag::OctetString => Ok(any.value()),
        _ => Err(bad("a part is no OCTET STRING")),
    }
}

/// The content of a TPM2B structure: two octets of length, and as many octets.
fn sized(bytes: &[u8]) -> Result<&[u8]> {
    bytes
        .split_first_chunk::<2>()
        .filter(|(len, rest)| usize::from(u16::from_be_bytes(**len)) == rest.len())
        .map(|(_, rest)| rest)
        .filter(|rest| !rest.is_empty())
        .ok_or_else(|| bad("a part is damaged (its length is wrong)"))
}

/// A handle: some writers drop the zero before a number with the highest bit set.
fn handle(any: AnyRef<'_>) -> Option<u32> {
    let bytes = match (any.tag(), any.value()) {
        (Tag::Integer, [0, rest @ ..]) if rest.len() == 4 => rest,
        (Tag::Integer, bytes) => bytes,
        _ => return None,
    };
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

fn policy(list: AnyRef<'_>) -> Result<Vec<Step>> {
    let damaged = |_| bad("its policy is damaged");
    if list.tag() != Tag::Sequence {
        return Err(bad("its policy is damaged"));
    }
    let mut steps = Vec::new();
    let mut reader = SliceReader::new(list.value()).map_err(damaged)?;
    while rest(&reader) != 0 {
        let step = AnyRef::decode(&mut reader).map_err(damaged)?;
        let mut parts = SliceReader::new(step.value()).map_err(damaged)?;
        let mut part = |number: u8| -> Result<AnyRef<'_>> {
            let any = AnyRef::decode(&mut parts).map_err(damaged)?;
            match any.tag() {
                Tag::ContextSpecific { number: found, .. }
                    if found == TagNumber(u32::from(number)) =>
                {
                    AnyRef::from_der(any.value()).map_err(damaged)
                }
                _ => Err(bad("its policy is damaged")),
            }
        };
        let code = part(0)?;
        let code = code.value().iter().fold(0u32, |code, byte| code << 8 | u32::from(*byte));
        let data = part(1).and_then(octets)?;
        steps.push(Step::from_command(code, data)?);
    }
    Ok(steps)
}

impl core::fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "a key under {}", self.parent)
    }
}

impl KeyFile {
    /// The PCRs that the file's policy names, for messages.
    pub(crate) fn pcrs(&self) -> Option<&PcrSelection> {
        self.policy.iter().flatten().find_map(|step| match step {
            Step::Pcr { selection, .. } => Some(selection),
            Step::AuthValue => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
        assert!(value.len() < 128);
        [&[tag, u8::try_from(value.len()).unwrap()][..], value].concat()
    }

    fn file(oid: u8, optional: &[Vec<u8>], parent: &[u8]) -> Vec<u8> {
        let mut body = tlv(0x06, &[0x67, 0x81, 0x05, 0x0a, 0x01, oid]);
        body.extend(optional.concat());
        body.extend(tlv(0x02, parent));
        body.extend(tlv(0x04, &[0, 2, 7, 7]));
        body.extend(tlv(0x04, &[0, 1, 9]));
        tlv(0x30, &body)
    }

    fn refused(der: &[u8]) -> String {
        KeyFile::from_der(der).unwrap_err().to_string()
    }

    const OWNER: [u8; 4] = [0x40, 0, 0, 1];

    #[test]
    fn forms() {
        let plain = KeyFile::from_der(&file(3, &[], &OWNER)).unwrap();
        assert_eq!((plain.empty_auth, &plain.policy, &plain.secret), (None, &None, &None));
        assert_eq!((plain.public.as_slice(), plain.private.as_slice()), (&[7, 7][..], &[9][..]));
        assert_eq!(plain.parent.handle(), 0x4000_0001);
        // BER's true, and DER's.
        for (value, empty) in [(0, false), (1, true), (0xff, true)] {
            let flag = tlv(0xa0, &tlv(0x01, &[value]));
            let read = KeyFile::from_der(&file(3, &[flag], &OWNER)).unwrap();
            assert_eq!(read.empty_auth, Some(empty));
        }
        // A persistent parent, as DER wants it, and without the zero before it.
        for parent in [&[0, 0x81, 0, 0, 1][..], &[0x81, 0, 0, 1]] {
            let read = KeyFile::from_der(&file(3, &[], parent)).unwrap();
            assert_eq!(read.parent, Parent::Handle(0x8100_0001));
        }
        let description = tlv(0xa4, &tlv(0x0c, b"mine"));
        let rsa = tlv(0xa5, &tlv(0x01, &[0xff]));
        let read = KeyFile::from_der(&file(3, &[description, rsa.clone()], &OWNER)).unwrap();
        assert_eq!(read.parent, Parent::parse("owner-rsa").unwrap());
        let secret = tlv(0xa2, &tlv(0x04, &[0, 2, 5, 5]));
        let read = KeyFile::from_der(&file(4, core::slice::from_ref(&secret), &OWNER)).unwrap();
        assert_eq!(read.secret.as_deref(), Some(&[5, 5][..]));

        assert!(refused(&file(5, &[], &OWNER)).contains("sealed"));
        assert!(refused(&file(9, &[], &OWNER)).contains("unknown kind"));
        assert!(refused(&file(4, &[], &OWNER)).contains("secret"));
        assert!(refused(&file(3, core::slice::from_ref(&secret), &OWNER)).contains("secret"));
        assert!(refused(&file(3, &[rsa, secret], &OWNER)).contains("order"));
        assert!(refused(&file(3, &[tlv(0xa6, &tlv(0x05, &[]))], &OWNER)).contains("not known"));
        assert!(refused(&file(3, &[tlv(0xa3, &tlv(0x30, &[]))], &OWNER)).contains("authPolicy"));
        assert!(refused(&file(3, &[], &[0x80, 0, 0, 1])).contains("parent"));
        assert!(refused(&file(3, &[], &[1])).contains("parent"));
    }

    #[test]
    fn round_trip() {
        let selection = PcrSelection::parse("sha256:0,7").unwrap();
        let pcr = Step::Pcr { selection, digest: vec![3; 32] };
        for policy in [None, Some(vec![pcr.clone()]), Some(vec![pcr, Step::AuthValue])] {
            for parent in ["owner", "owner-rsa", "0x81000001", "null"] {
                let file = KeyFile {
                    parent: Parent::parse(parent).unwrap(),
                    empty_auth: Some(policy.is_none()),
                    policy: policy.clone(),
                    public: vec![1; 300],
                    private: vec![2; 200],
                    secret: None,
                };
                let der = file.to_der().unwrap();
                assert_eq!(KeyFile::from_der(&der).unwrap(), file);
                for len in 0..der.len() {
                    assert!(KeyFile::from_der(&der[..len]).is_err());
                }
                assert!(KeyFile::from_der(&[&der[..], &[0]].concat()).is_err());
                let pem = file.to_pem().unwrap();
                assert!(pem.starts_with("-----BEGIN TSS2 PRIVATE KEY-----\n"));
                assert!(pem.lines().all(|line| line.len() <= 64));
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200), at: usize) {
            let _ = KeyFile::from_der(&bytes);
            // Whole files, a few octets of which are others.
            let selection = PcrSelection::parse("sha256:0,7+sha1:3").unwrap();
            let public = crate::public::signing_template(crate::public::KeyKind::EcP256, &[5; 32], false, None);
            let whole = KeyFile {
                parent: Parent::parse("0x81000001").unwrap(),
                empty_auth: Some(false),
                policy: Some(vec![Step::Pcr { selection, digest: vec![3; 32] }, Step::AuthValue]),
                public: tss_esapi::traits::Marshall::marshall(&public.unwrap()).unwrap(),
                private: vec![2; 90],
                secret: None,
            };
            let small = file(3, &[tlv(0xa0, &tlv(0x01, &[1]))], &OWNER);
            for mut good in [small, whole.to_der().unwrap()] {
                for (i, byte) in bytes.iter().take(3).enumerate() {
                    let at = at.wrapping_mul(i + 1) % good.len();
                    good[at] = *byte;
                }
                if let Ok(read) = KeyFile::from_der(&good) {
                    // What is read can be written, and is the same again; its public area is one, or none.
                    if read.secret.is_none() && read.policy.as_ref().is_none_or(|steps| !steps.is_empty()) {
                        let again = KeyFile::from_der(&read.to_der().unwrap());
                        proptest::prop_assert_eq!(again.as_ref(), Ok(&read));
                    }
                    let _ = crate::source::KeySource::File(Box::new(read)).name();
                }
            }
        }
    }
}
