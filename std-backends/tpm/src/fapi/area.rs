//! Public areas in the JSON of FAPI (TCG TSS 2.0 JSON Data Types and Policy Language).

use serde_json::{Map, Value, json};

pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    let mut out = vec![0; text.len() / 2];
    cloudauth_core::encode::hex::decode(text.as_bytes(), &mut out).ok()?;
    Some(out)
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Names and numbers of TPM_ALG_ID (TPM 2.0 Library, part 2, section 6.3).
const ALGORITHMS: [(&str, u16); 15] = [
    ("RSA", 0x0001),
    ("SHA1", 0x0004),
    ("HMAC", 0x0005),
    ("AES", 0x0006),
    ("KEYEDHASH", 0x0008),
    ("SHA256", 0x000b),
    ("SHA384", 0x000c),
    ("SHA512", 0x000d),
    ("NULL", 0x0010),
    ("RSASSA", 0x0014),
    ("RSAPSS", 0x0016),
    ("ECDSA", 0x0018),
    ("ECC", 0x0023),
    ("CFB", 0x0043),
    ("CBC", 0x0042),
];

const CURVES: [(&str, u16); 2] = [("NIST_P256", 0x0003), ("NIST_P384", 0x0004)];

/// The attributes and their bits (part 2, section 8.3).
const ATTRIBUTES: [(&str, u32); 11] = [
    ("fixedTPM", 1),
    ("stClear", 2),
    ("fixedParent", 4),
    ("sensitiveDataOrigin", 5),
    ("userWithAuth", 6),
    ("adminWithPolicy", 7),
    ("noDA", 10),
    ("encryptedDuplication", 11),
    ("restricted", 16),
    ("decrypt", 17),
    ("sign", 18),
];

fn named(value: &Value, prefix: &str, names: &[(&str, u16)]) -> Option<u16> {
    if let Some(number) = value.as_u64() {
        return u16::try_from(number).ok();
    }
    let text = value.as_str()?;
    let text = text.strip_prefix(prefix).unwrap_or(text);
    names.iter().find(|(name, _)| *name == text).map(|(_, number)| *number)
}

pub(super) fn algorithm(value: &Value) -> Option<u16> {
    named(value, "TPM2_ALG_", &ALGORITHMS)
}

/// TPMT_PUBLIC out of FAPI's JSON; none for what no signing key has.
pub(super) fn marshal(area: &Value) -> Option<Vec<u8>> {
    const NULL: u16 = 0x0010;
    let kind = algorithm(area.get("type")?)?;
    let attributes = area.get("objectAttributes")?;
    let bits = ATTRIBUTES.iter().try_fold(0u32, |bits, (name, bit)| {
        let set = match attributes.get(name)? {
            Value::Bool(set) => u64::from(*set),
            value => value.as_u64()?,
        };
        (set <= 1).then_some(if set == 1 { bits | 1 << bit } else { bits })
    })?;
    let mut out = kind.to_be_bytes().to_vec();
    out.extend(algorithm(area.get("nameAlg")?)?.to_be_bytes());
    out.extend(bits.to_be_bytes());
    let two_b = |value: &Value| -> Option<Vec<u8>> {
        let bytes = unhex(value.as_str()?)?;
        Some([&u16::try_from(bytes.len()).ok()?.to_be_bytes()[..], &bytes].concat())
    };
    out.extend(two_b(area.get("authPolicy")?)?);
    let parameters = area.get("parameters")?;
    let scheme = |value: &Value| -> Option<Vec<u8>> {
        let number = algorithm(value.get("scheme")?)?;
        let mut out = number.to_be_bytes().to_vec();
        if number != NULL {
            out.extend(algorithm(value.pointer("/details/hashAlg")?)?.to_be_bytes());
        }
        Some(out)
    };
    let symmetric = |value: &Value| -> Option<Vec<u8>> {
        let number = algorithm(value.get("algorithm")?)?;
        let mut out = number.to_be_bytes().to_vec();
        if number != NULL {
            out.extend(u16::try_from(value.get("keyBits")?.as_u64()?).ok()?.to_be_bytes());
            out.extend(algorithm(value.get("mode")?)?.to_be_bytes());
        }
        Some(out)
    };
    let unique = area.get("unique")?;
    match kind {
        0x0001 => {
            out.extend(symmetric(parameters.get("symmetric")?)?);
            out.extend(scheme(parameters.get("scheme")?)?);
            out.extend(u16::try_from(parameters.get("keyBits")?.as_u64()?).ok()?.to_be_bytes());
            out.extend(u32::try_from(parameters.get("exponent")?.as_u64()?).ok()?.to_be_bytes());
            out.extend(two_b(unique)?);
        }
        0x0023 => {
            out.extend(symmetric(parameters.get("symmetric")?)?);
            out.extend(scheme(parameters.get("scheme")?)?);
            out.extend(named(parameters.get("curveID")?, "TPM2_ECC_", &CURVES)?.to_be_bytes());
            out.extend(scheme(parameters.get("kdf")?)?);
            out.extend(two_b(unique.get("x")?)?);
            out.extend(two_b(unique.get("y")?)?);
        }
        0x0008 => {
            out.extend(scheme(parameters.get("scheme")?)?);
            out.extend(two_b(unique)?);
        }
        _ => return None,
    }
    Some(out)
}

/// FAPI's JSON out of TPMT_PUBLIC.
pub(super) fn unmarshal(area: &[u8]) -> Option<Value> {
    let mut reader = Bytes(area);
    let name = |number: u16| {
        ALGORITHMS.iter().find(|(_, known)| *known == number).map(|(name, _)| json!(name))
    };
    let kind = reader.two()?;
    let mut out = Map::new();
    let mut put = |key: &str, value: Value| out.insert(key.to_owned(), value);
    put("type", name(kind)?);
    put("nameAlg", name(reader.two()?)?);
    let bits = u32::from(reader.two()?) << 16 | u32::from(reader.two()?);
    let attributes: Map<_, _> =
        ATTRIBUTES.iter().map(|(name, bit)| ((*name).to_owned(), json!(bits >> bit & 1))).collect();
    put("objectAttributes", Value::Object(attributes));
    put("authPolicy", json!(reader.hex()?));
    let scheme = |reader: &mut Bytes<'_>| -> Option<Value> {
        let number = reader.two()?;
        let scheme = name(number)?;
        Some(match number {
            0x0010 => json!({ "scheme": scheme }),
            _ => json!({ "scheme": scheme, "details": { "hashAlg": name(reader.two()?)? } }),
        })
    };
    match kind {
        0x0001 | 0x0023 => {
            // A signing key has no symmetric algorithm.
            let symmetric = json!({ "algorithm": name(reader.two().filter(|n| *n == 0x0010)?)? });
            let scheme_ = scheme(&mut reader)?;
            if kind == 0x0001 {
                let bits = reader.two()?;
                let exponent = u32::from(reader.two()?) << 16 | u32::from(reader.two()?);
                put(
                    "parameters",
                    json!({ "symmetric": symmetric, "scheme": scheme_, "keyBits": bits,
                            "exponent": exponent }),
                );
                put("unique", json!(reader.hex()?));
            } else {
                let curve = reader.two()?;
                let curve = CURVES.iter().find(|(_, known)| *known == curve).map(|(n, _)| n)?;
                let kdf = scheme(&mut reader)?;
                put(
                    "parameters",
                    json!({ "symmetric": symmetric, "scheme": scheme_, "curveID": curve, "kdf": kdf }),
                );
                put("unique", json!({ "x": reader.hex()?, "y": reader.hex()? }));
            }
        }
        0x0008 => {
            put("parameters", json!({ "scheme": scheme(&mut reader)? }));
            put("unique", json!(reader.hex()?));
        }
        _ => return None,
    }
    reader.0.is_empty().then_some(Value::Object(out))
}

struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn two(&mut self) -> Option<u16> {
        let (number, rest) = self.0.split_first_chunk::<2>()?;
        self.0 = rest;
        Some(u16::from_be_bytes(*number))
    }

    fn hex(&mut self) -> Option<String> {
        let len = usize::from(self.two()?);
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(hex(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::public::{KeyKind, signing_template};
    use tss_esapi::traits::Marshall as _;

    #[test]
    fn areas() {
        for kind in [
            KeyKind::Rsa2048,
            KeyKind::Rsa4096,
            KeyKind::EcP256,
            KeyKind::EcP384,
            KeyKind::HmacSha256,
        ] {
            for policy in [&[][..], &[7; 32]] {
                let public = signing_template(kind, policy, true, None).unwrap();
                let area = public.marshall().unwrap();
                let value = unmarshal(&area).unwrap();
                assert_eq!(marshal(&value).unwrap(), area, "{value}");
                for len in 0..area.len() {
                    assert_eq!(unmarshal(&area[..len]), None);
                }
            }
        }
        assert_eq!(marshal(&json!({})), None);
        assert_eq!(algorithm(&json!("TPM2_ALG_RSASSA")), Some(0x14));
        assert_eq!(algorithm(&json!(20)), Some(0x14));
        assert_eq!(algorithm(&json!("ROT13")), None);
    }
}
