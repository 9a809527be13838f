//! What the clouds ask of an X.509 certificate (RFC 5280): serial number, thumbprints, key, validity. It
//! is read, not verified: whether to trust it is for the service to decide.

use der::asn1::{AnyRef, BitStringRef, GeneralizedTime, UintRef, UtcTime};
use der::{Decode, Reader, SliceReader, Tag, Tagged};
use spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};

use crate::digest::sha256;
use crate::{Error, Result, Sink, UnixTime};

/// The longest serial number, in octets (RFC 5280, section 4.1.2.2).
const MAX_SERIAL_LEN: usize = 20;

/// A certificate whose structure has been read from end to end. The content of names, and of extensions
/// other than basicConstraints, is not looked at.
#[derive(Clone, Copy, Debug)]
pub struct Certificate<'a> {
    der: &'a [u8],
    serial: &'a [u8],
    spki: &'a [u8],
    not_before: UnixTime,
    not_after: UnixTime,
    is_ca: bool,
}

impl<'a> Certificate<'a> {
    /// Reads one certificate in DER, with nothing after it.
    ///
    /// # Errors
    /// [`Malformed`](crate::ErrorKind::Malformed) for what is not one by RFC 5280, section 4.1, such as
    /// a serial number that is zero, negative or longer than 20 octets. Dates before 1970 are refused.
    pub fn parse(der: &'a [u8]) -> Result<Self> {
        Self::read(der).map_err(|Fault(error)| error)
    }

    /// The certificate itself, in DER.
    #[must_use]
    pub const fn der(&self) -> &'a [u8] {
        self.der
    }

    /// The serial number, big-endian without leading zeros: 1 to 20 octets.
    #[must_use]
    pub const fn serial(&self) -> &'a [u8] {
        self.serial
    }

    /// Appends the serial number in decimal: up to 49 digits.
    pub fn write_serial_decimal(&self, out: &mut (impl Sink + ?Sized)) {
        // 2^160 has 49 digits. Long division by ten, a digit at a time from the right.
        let mut digits = [0u8; 49];
        let mut rest = [0u8; MAX_SERIAL_LEN];
        for (to, from) in rest.iter_mut().rev().zip(self.serial.iter().rev()) {
            *to = *from;
        }
        for digit in digits.iter_mut().rev() {
            let mut remainder = 0u16;
            for octet in &mut rest {
                let part = remainder << 8 | u16::from(*octet);
                // At most (9 * 256 + 255) / 10 = 255: the high octet is zero.
                [_, *octet] = (part / 10).to_be_bytes();
                remainder = part % 10;
            }
            *digit = b'0' + (remainder % 10) as u8;
        }
        let zeros = digits.iter().take_while(|d| **d == b'0').count();
        out.put(digits.get(zeros..).unwrap_or_default());
    }

    /// The SubjectPublicKeyInfo in DER, of whatever algorithm.
    #[must_use]
    pub const fn spki(&self) -> &'a [u8] {
        self.spki
    }

    /// The first second of validity.
    #[must_use]
    pub const fn not_before(&self) -> UnixTime {
        self.not_before
    }

    /// The last second of validity; the end of the year 9999 for "no expiry" (RFC 5280, section
    /// 4.1.2.5).
    #[must_use]
    pub const fn not_after(&self) -> UnixTime {
        self.not_after
    }

    /// Refuses a certificate that is not valid at `now`.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) before its first and after its last second.
    pub fn check_validity(&self, now: UnixTime) -> Result<()> {
        if now < self.not_before() {
            return Err(Error::invalid("certificate", "not yet valid; check it and the clock"));
        }
        if now > self.not_after() {
            return Err(Error::invalid("certificate", "expired; renew it, or check the clock"));
        }
        Ok(())
    }

    /// Refuses what cannot be sent as the rest of this certificate's chain.
    pub(crate) fn check_chain(&self, chain: &[&[u8]]) -> Result<()> {
        for der in chain {
            // Others read them: an authority of old may have a serial number that a leaf must not have.
            let help = if !is_certificate(der) {
                "expected one DER certificate an entry"
            } else if *der == self.der {
                "leave out the leaf: it is sent anyway"
            } else {
                continue;
            };
            return Err(Error::invalid("certificate chain", help));
        }
        Ok(())
    }

    /// SHA-256 of the DER: `x5t#S256` (RFC 7515, section 4.1.8).
    #[must_use]
    pub fn thumbprint_sha256(&self) -> [u8; 32] {
        sha256(self.der)
    }

    /// SHA-1 of the DER: `x5t` (RFC 7515, section 4.1.7). A name, not a proof.
    #[must_use]
    pub fn thumbprint_sha1(&self) -> [u8; 20] {
        <sha1::Sha1 as sha1::Digest>::digest(self.der).into()
    }

    /// Whether basicConstraints says that the subject is a certification authority (RFC 5280, section
    /// 4.2.1.9).
    #[must_use]
    pub const fn is_ca(&self) -> bool {
        self.is_ca
    }

    fn read(der: &'a [u8]) -> core::result::Result<Self, Fault> {
        let mut reader = SliceReader::new(der)?;
        let certificate = reader.sequence(|outer| -> core::result::Result<_, Fault> {
            let (certificate, signature) = outer.sequence(|tbs| to_be_signed(der, tbs))?;
            if outer.tlv_bytes()? != signature {
                return Err(Fault::because("the two signature algorithms must be the same"));
            }
            BitStringRef::decode(outer)?;
            Ok(certificate)
        })?;
        reader.finish()?;
        Ok(certificate)
    }
}

/// Whether it is one certificate on the outside: what is signed, the algorithm, the signature.
fn is_certificate(der: &[u8]) -> bool {
    let read = || -> der::Result<()> {
        let mut reader = SliceReader::new(der)?;
        reader.sequence(|outer| -> der::Result<()> {
            for tag in [Tag::Sequence, Tag::Sequence, Tag::BitString] {
                AnyRef::decode(outer)?.tag().assert_eq(tag)?;
            }
            Ok(())
        })?;
        reader.finish()
    };
    read().is_ok()
}

/// An error of this module, or of `der`, on its way out of the closures that `der` calls.
struct Fault(Error);

impl Fault {
    const fn because(help: &'static str) -> Self {
        Self(Error::malformed("certificate", help))
    }
}

impl From<der::Error> for Fault {
    fn from(_: der::Error) -> Self {
        Self::because("expected one X.509 certificate in DER")
    }
}

type Step<T> = core::result::Result<T, Fault>;

/// The content of TBSCertificate (RFC 5280, section 4.1), and the signature algorithm in it.
fn to_be_signed<'a>(der: &'a [u8], tbs: &mut SliceReader<'a>) -> Step<(Certificate<'a>, &'a [u8])> {
    let mut version = 1;
    if tbs.peek_byte() == Some(0xa0) {
        version = match u8::from_der(AnyRef::decode(tbs)?.value())? {
            1 => 2,
            2 => 3,
            // Version 1 is the default, which DER leaves out.
            _ => return Err(Fault::because("expected version 1, 2 or 3")),
        };
    }
    let serial = UintRef::decode(tbs)
        .map_err(|_| Fault::because("expected a positive serial number"))?
        .as_bytes();
    if serial.len() > MAX_SERIAL_LEN || matches!(serial, [] | [0, ..]) {
        return Err(Fault::because("the serial number must be positive, of at most 20 octets"));
    }
    let signature = tbs.tlv_bytes()?;
    AlgorithmIdentifierRef::from_der(signature)?;
    name(tbs)?;
    let (not_before, not_after) =
        tbs.sequence(|validity| -> Step<_> { Ok((time(validity)?, time(validity)?)) })?;
    name(tbs)?;
    let spki = tbs.tlv_bytes()?;
    SubjectPublicKeyInfoRef::from_der(spki)?;

    // issuerUniqueID [1], subjectUniqueID [2], extensions [3]: each at most once, in this order.
    let mut is_ca = false;
    let mut last = 0;
    while let Some(tag) = tbs.peek_byte() {
        let field = AnyRef::decode(tbs)?;
        let since = match tag {
            0x81 | 0x82 => 2,
            0xa3 => 3,
            _ => return Err(Fault::because("unknown field after the public key")),
        };
        if tag & 0x1f <= last || version < since {
            return Err(Fault::because("a field after the public key is repeated or misplaced"));
        }
        last = tag & 0x1f;
        if tag == 0xa3 {
            is_ca = extensions(field.value())?;
        } else {
            // IMPLICIT BIT STRING: the first octet counts unused bits.
            let Some((0..8, _)) = field.value().split_first() else {
                return Err(Fault::because("a unique identifier must be a BIT STRING"));
            };
        }
    }
    let certificate = Certificate { der, serial, spki, not_before, not_after, is_ca };
    Ok((certificate, signature))
}

/// A Name: a sequence of sets of attributes.
fn name<'a>(reader: &mut SliceReader<'a>) -> Step<()> {
    reader.sequence(|rdns| {
        while !rdns.is_finished() {
            let rdn = AnyRef::decode(rdns)?;
            rdn.tag().assert_eq(Tag::Set)?;
            let mut attributes = SliceReader::new(rdn.value())?;
            if attributes.is_finished() {
                return Err(Fault::because("a relative distinguished name must not be empty"));
            }
            while !attributes.is_finished() {
                attributes.sequence(|attribute| -> Step<()> {
                    oid(attribute)?;
                    AnyRef::decode(attribute)?;
                    Ok(())
                })?;
            }
        }
        Ok(())
    })
}

/// The octets of an object identifier. Not as `ObjectIdentifier`, which has a largest size.
fn oid<'a>(reader: &mut SliceReader<'a>) -> Step<&'a [u8]> {
    let id = AnyRef::decode(reader)?;
    id.tag().assert_eq(Tag::ObjectIdentifier)?;
    Ok(id.value())
}

/// UTCTime or GeneralizedTime, both in seconds and UTC (RFC 5280, section 4.1.2.5).
fn time<'a>(reader: &mut SliceReader<'a>) -> Step<UnixTime> {
    const BAD: Fault = Fault::because("expected dates from 1970 on, in seconds and UTC");
    let time = AnyRef::decode(reader)?;
    let since_epoch = match time.tag() {
        Tag::UtcTime => time.decode_as::<UtcTime>().map_err(|_| BAD)?.to_unix_duration(),
        Tag::GeneralizedTime => {
            time.decode_as::<GeneralizedTime>().map_err(|_| BAD)?.to_unix_duration()
        }
        _ => return Err(BAD),
    };
    UnixTime::new(since_epoch.as_secs()).map_err(Fault)
}

/// The content of `[3] EXPLICIT Extensions`; whether the subject is a certification authority.
fn extensions(der: &[u8]) -> Step<bool> {
    // id-ce-basicConstraints, 2.5.29.19
    const BASIC_CONSTRAINTS: [u8; 3] = [0x55, 0x1d, 0x13];
    let mut reader = SliceReader::new(der)?;
    let constraints = reader.sequence(|list| -> Step<_> {
        let mut found = None;
        if list.is_finished() {
            return Err(Fault::because("extensions, where present, must not be empty"));
        }
        while !list.is_finished() {
            list.sequence(|extension| -> Step<()> {
                let id = oid(extension)?;
                optional_boolean(extension)?;
                let value = AnyRef::decode(extension)?;
                value.tag().assert_eq(Tag::OctetString)?;
                if id == BASIC_CONSTRAINTS && found.replace(value.value()).is_some() {
                    return Err(Fault::because("basicConstraints must not be repeated"));
                }
                Ok(())
            })?;
        }
        Ok(found)
    })?;
    reader.finish()?;
    let Some(constraints) = constraints else {
        return Ok(false);
    };
    let mut reader = SliceReader::new(constraints)?;
    let is_ca = reader.sequence(|fields| -> Step<_> {
        let is_ca = optional_boolean(fields)?;
        if !fields.is_finished() {
            UintRef::decode(fields)?;
        }
        Ok(is_ca)
    })?;
    reader.finish()?;
    Ok(is_ca)
}

/// `BOOLEAN DEFAULT FALSE`. DER leaves the default out, but many issuers write it, and it harms nobody.
fn optional_boolean<'a>(reader: &mut SliceReader<'a>) -> Step<bool> {
    Ok(reader.peek_byte() == Some(0x01) && bool::decode(reader)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ErrorKind, Out};
    use proptest::prelude::*;

    // All four made by OpenSSL 3.0, which also gave the values expected below.

    // P-256, version 3, dates as GeneralizedTime where needed, a CA with path length 1.
    const CA: &str = "\
        MIIBrDCCAVGgAwIBAgIUIdT6Myj6V/HCR3BlXP3hUr7dXrIwCgYIKoZIzj0EAwIwMTEQMA4GA1UEAwwHVGVz\
        dCBDQTELMAkGA1UEBhMCREUxEDAOBgNVBAoMB0V4YW1wbGUwIBcNMjAwMjI5MTIwMDAwWhgPOTk5OTEyMzEy\
        MzU5NTlaMDExEDAOBgNVBAMMB1Rlc3QgQ0ExCzAJBgNVBAYTAkRFMRAwDgYDVQQKDAdFeGFtcGxlMFkwEwYH\
        KoZIzj0CAQYIKoZIzj0DAQcDQgAEzMzjAHhLXSG6iW4feSDrIpPL7AARD12lIxkNiA0fD1W4SdfeSK1bI/AA\
        Hos/b67Q/BeJ372sKeLF0ZjZmJ9fJ6NFMEMwEgYDVR0TAQH/BAgwBgEB/wIBATAOBgNVHQ8BAf8EBAMCAQYw\
        HQYDVR0OBBYEFPrOoLBclzLk91Yc8JTGSHRs/7tiMAoGCCqGSM49BAMCA0kAMEYCIQDjD5IdCAQsITHzOwoF\
        egEU/VkcOeraN4b4Dgxq8FFJlQIhAM+eS6RRjpFKqIzErEFZgf1en0DgAWStgc8MP02M99if";
    // The same key with the largest kind of serial number: 20 octets, top bit set.
    const BIG: &str = "\
        MIIBqTCCAVCgAwIBAgIVAP7cuph2VDIQASNFZ4mrze/w4dLDMAoGCCqGSM49BAMCMDExCzAJBgNVBAYTAkRF\
        MRAwDgYDVQQKDAdFeGFtcGxlMRAwDgYDVQQDDAdUZXN0IENBMB4XDTI2MTEyMjA0MDQ0NFoXDTM2MTExOTA0\
        MDQ0NFowMTELMAkGA1UEBhMCREUxEDAOBgNVBAoMB0V4YW1wbGUxEDAOBgNVBAMMB1Rlc3QgQ0EwWTATBgcq\
        hkjOPQIBBggqhkjOPQMBBwNCAATMzOMAeEtdIbqJbh95IOsik8vsABEPXaUjGQ2IDR8PVbhJ195IrVsj8AAe\
        iz9vrtD8F4nfvawp4sXRmNmYn18no0UwQzASBgNVHRMBAf8ECDAGAQH/AgEBMA4GA1UdDwEB/wQEAwIBBjAd\
        BgNVHQ4EFgQU+s6gsFyXMuT3VhzwlMZIdGz/u2IwCgYIKoZIzj0EAwIDRwAwRAIgEOlCFnu1cKT95m9uEyQz\
        n4vwcH1H6r5uBRofCHPEukACIAkzoJzIiObJnsYqbiHDIhL9aW2aqJsDseRrQf/lazL+";
    // RSA with 2048 bits, version 1, serial number 1.
    const V1: &str = "\
        MIIB8TCCAZcCAQEwCgYIKoZIzj0EAwIwMTEQMA4GA1UEAwwHVGVzdCBDQTELMAkGA1UEBhMCREUxEDAOBgNV\
        BAoMB0V4YW1wbGUwHhcNMjYxMTIyMDQwNDQ0WhcNMzYxMTE5MDQwNDQ0WjANMQswCQYDVQQDDAJ2MTCCASIw\
        DQYJKoZIhvcNAQEBBQADggEPADCCAQoCggEBAJu1wu1KHl2tNRGN6IQdT0idro3I8L/Mieb0gviF2GsRdUyt\
        EnPEwdb+zVSM/cVTn85K3TCgszSvoV/WB/pWMgYrzcCEjW4hCiuQB4J9ozKJPaKYUGYWrnEYcUZwPd1tgmw3\
        4gp9lbR5zLYH9Mk252SbbcVqg72t+owSyjOhwflhc+8kmrCSbBO6MmpmO/GRQ8feSXwxu1Qq2XcZNI8U3zxX\
        W0yt71WoaSpsE39rSSf8FiItwCoHPDY3Z5r2uQk2bWWr8mRyedd1hYcpLGikWa/mDWAhxi3RWeTWd5AY4Ao6\
        0igdNcgoCsUxkndSZfjVLwFONSAIoXx+IssdyRURDd8CAwEAATAKBggqhkjOPQQDAgNIADBFAiATeJ+v/9hy\
        XX7y4D7vNfCYyM0PkP3lRZQzWZo01ksFowIhAKun93vQg5hyJrAHt5dK0lxtVMRFyJzYIJyVQKbS0h0b";
    // P-384, CA:FALSE.
    const LEAF: &str = "\
        MIIBuDCCAV+gAwIBAgIMAIAAAAAAAAAAAAAAMAoGCCqGSM49BAMCMDExEDAOBgNVBAMMB1Rlc3QgQ0ExCzAJ\
        BgNVBAYTAkRFMRAwDgYDVQQKDAdFeGFtcGxlMB4XDTI2MTEyMjA0MDQ0NFoXDTM2MTExOTA0MDQ0NFowDzEN\
        MAsGA1UEAwwEbGVhZjB2MBAGByqGSM49AgEGBSuBBAAiA2IABEM4/1b/7xo13rmZKnZKjQQEFAQ0hJHIlLGF\
        2wr3ns6HN7FPnCzeLu6Buun76DzqFqQmbGe+1q2DArq/RYLbMmJUfwLfW9DoIcgbUBk44KvExAsLilTd/o9T\
        coFrBQiKLaNiMGAwCQYDVR0TBAIwADATBgNVHSUEDDAKBggrBgEFBQcDAjAdBgNVHQ4EFgQUglM/LSOdvO1/\
        WJYs8QBtmzZhrMkwHwYDVR0jBBgwFoAU+s6gsFyXMuT3VhzwlMZIdGz/u2IwCgYIKoZIzj0EAwIDRwAwRAIg\
        SpShBA6qVYOSnBxukp+J+UnS6Qd2RNkbhEhYodoHJvACIEot1foEG5E9klyuc7CKyihMoJ/PFKp344WSNOoX\
        Z6oN";

    fn der(text: &str) -> Vec<u8> {
        let mut out = vec![0; text.len()];
        crate::encode::base64::decode(text.as_bytes(), &mut out).unwrap().to_vec()
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    fn decimal(certificate: &Certificate<'_>) -> String {
        let mut buf = [0; 49];
        let mut out = Out::new(&mut buf);
        certificate.write_serial_decimal(&mut out);
        String::from_utf8(out.finish().unwrap().to_vec()).unwrap()
    }

    #[test]
    fn agrees_with_openssl() {
        struct Case {
            text: &'static str,
            serial: &'static str,
            decimal: &'static str,
            dates: [u64; 2],
            sha1: &'static str,
            sha256: &'static str,
            spki_sha256: &'static str,
            is_ca: bool,
        }
        let cases = [
            Case {
                text: CA,
                serial: "21d4fa3328fa57f1c24770655cfde152bedd5eb2",
                decimal: "193146248899627827205002094717834147191018315442",
                dates: [1_582_977_600, 253_402_300_799],
                sha1: "488b69438d7ec35d867177a9ad3a1271b84ccb4c",
                sha256: "0771092abf6ab90ead5e8cae9c1b0f20f7b3234779b59b902c74af8fa3e269c2",
                spki_sha256: "895c6f77a7786c627ca0108f1d0e76edaffb9870dccb95be7d6380d8d91c4e86",
                is_ca: true,
            },
            Case {
                text: BIG,
                serial: "fedcba98765432100123456789abcdeff0e1d2c3",
                decimal: "1455006074498321127462099027960843956186192663235",
                dates: [1_795_320_284, 2_110_680_284],
                sha1: "7cf96a73c2821fc36d8f1543ce44936fb85bb4c1",
                sha256: "c22750667643ffc4644a6033c1270c20069679ba3ba7e850144dfa13c02162f7",
                spki_sha256: "895c6f77a7786c627ca0108f1d0e76edaffb9870dccb95be7d6380d8d91c4e86",
                is_ca: true,
            },
            Case {
                text: V1,
                serial: "01",
                decimal: "1",
                dates: [1_795_320_284, 2_110_680_284],
                sha1: "b355beb7a0a124f1971f6573843272718d9d06ee",
                sha256: "8832ea51f1dff4eef562fb944191ced9a3da1dc25fb37fd4fb423eb2337af242",
                spki_sha256: "54fb907dc3d6b5690baa81aa56d022f24080393f717d561b4a375ac609d28786",
                is_ca: false,
            },
            Case {
                text: LEAF,
                serial: "8000000000000000000000",
                decimal: "154742504910672534362390528",
                dates: [1_795_320_284, 2_110_680_284],
                sha1: "7015e028951c44e7e8c23a3af3cc20e44d0f8193",
                sha256: "e5bc7dd391bebc9a266ee0fe5105872609ac340dd6a3f5b7659fcbaabe2e30b4",
                spki_sha256: "0617d36b14ae20137cd7efb4b4bf5267caf81cfc2fa84050b383fe2e5f3745cd",
                is_ca: false,
            },
        ];
        for case in cases {
            let bytes = der(case.text);
            let read = Certificate::parse(&bytes).unwrap();
            assert_eq!(hex(read.serial()), case.serial);
            assert_eq!(decimal(&read), case.decimal);
            assert_eq!([read.not_before().as_secs(), read.not_after().as_secs()], case.dates);
            assert_eq!(hex(&read.thumbprint_sha1()), case.sha1);
            assert_eq!(hex(&read.thumbprint_sha256()), case.sha256);
            assert_eq!(hex(&sha256(read.spki())), case.spki_sha256);
            assert_eq!(read.is_ca(), case.is_ca);
            assert_eq!(read.der(), bytes);
            assert!(crate::verifier::PublicKey::from_spki(read.spki()).is_ok());
        }
    }

    fn refused(bytes: &[u8], why: &str) {
        let error = Certificate::parse(bytes).unwrap_err();
        assert_eq!((error.kind(), error.field()), (ErrorKind::Malformed, "certificate"));
        assert!(error.help().contains(why), "{error}");
    }

    /// `bytes` with the one place where `old` stands replaced by as many octets.
    fn patched(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
        assert_eq!(old.len(), new.len());
        let at: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(old)).collect();
        assert_eq!(at.len(), 1, "{at:?}");
        [&bytes[..at[0]], new, &bytes[at[0] + old.len()..]].concat()
    }

    #[test]
    fn refusals() {
        let v1 = der(V1);
        for end in 0..v1.len() {
            refused(&v1[..end], "");
        }
        refused(&[&v1[..], &[0]].concat(), "");
        // The serial number stands before the algorithm identifier.
        let serial = |value| patched(&v1, &[2, 1, 1, 0x30, 10], &[2, 1, value, 0x30, 10]);
        assert!(Certificate::parse(&serial(0x7f)).is_ok());
        refused(&serial(0), "positive");
        refused(&serial(0x80), "positive");
        let mut other_algorithm = v1.clone();
        let outer = v1.windows(4).rposition(|w| w == [0xce, 0x3d, 4, 3]).unwrap();
        other_algorithm[outer + 4] += 1;
        refused(&other_algorithm, "same");

        let big = der(BIG);
        let longer = patched(&big, &[2, 21, 0, 0xfe], &[2, 21, 1, 0xfe]);
        refused(&longer, "20 octets");
        let padded = patched(&big, &[2, 21, 0, 0xfe], &[2, 21, 0, 0x7e]);
        refused(&padded, "positive");
        let version = |value| patched(&big, &[0xa0, 3, 2, 1, 2], &[0xa0, 3, 2, 1, value]);
        refused(&version(0), "version");
        refused(&version(3), "version");
        refused(&version(1), "misplaced");
        refused(&patched(&big, &[0xa3, 69], &[0xa4, 69]), "unknown field");
        refused(&patched(&big, &[0xa3, 69], &[0x81, 69]), "BIT STRING");
        // keyUsage (2.5.29.15) made a second basicConstraints (2.5.29.19).
        refused(&patched(&big, &[0x55, 0x1d, 0x0f], &[0x55, 0x1d, 0x13]), "repeated");

        let ca = der(CA);
        let date = |text: &[u8; 15]| patched(&ca, b"99991231235959Z", text);
        assert!(Certificate::parse(&date(b"20500101000000Z")).is_ok());
        for bad in [b"20500101000000+", b"20501301000000Z", b"19691231235959Z", b"2050010100000.Z"]
        {
            refused(&date(bad), "dates");
        }
    }

    /// Multiplies where the code divides.
    fn decimal_by_multiplication(serial: &[u8]) -> String {
        let mut digits = vec![0u32];
        for octet in serial {
            let mut carry = u32::from(*octet);
            for digit in &mut digits {
                carry += *digit * 256;
                *digit = carry % 10;
                carry /= 10;
            }
            while carry > 0 {
                digits.push(carry % 10);
                carry /= 10;
            }
        }
        digits.iter().rev().map(|d| char::from_digit(*d, 10).unwrap()).collect()
    }

    proptest! {
        #[test]
        fn serial_in_decimal(
            first in 1u8..,
            rest in prop::collection::vec(prop_oneof![Just(0), Just(0xff), any::<u8>()], 0..20),
        ) {
            let bytes = der(V1);
            let serial = [&[first], &rest[..]].concat();
            let certificate = Certificate { serial: &serial, ..Certificate::parse(&bytes).unwrap() };
            prop_assert_eq!(decimal(&certificate), decimal_by_multiplication(&serial));
            if serial.len() <= 16 {
                let number = serial.iter().fold(0u128, |n, octet| n << 8 | u128::from(*octet));
                prop_assert_eq!(decimal(&certificate), number.to_string());
            }
        }

        #[test]
        fn never_panics(
            which in prop::sample::select(&[CA, BIG, V1, LEAF][..]),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        ) {
            let mut bytes = der(which);
            for (at, value) in changes {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            if let Ok(certificate) = Certificate::parse(&bytes) {
                prop_assert!((1..=20).contains(&certificate.serial().len()));
                let _ = crate::verifier::PublicKey::from_spki(certificate.spki());
                decimal(&certificate);
            }
        }

        #[test]
        fn never_panics_on_noise(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Certificate::parse(&bytes);
            let _ = extensions(&bytes);
        }
    }

    #[test]
    fn every_octet_with_every_value() {
        for text in [CA, BIG, V1, LEAF] {
            let good = der(text);
            let mut bytes = good.clone();
            for at in 0..bytes.len() {
                for value in (0..=255).filter(|v| *v != good[at]) {
                    bytes[at] = value;
                    if let Ok(certificate) = Certificate::parse(&bytes) {
                        assert!(!certificate.serial().is_empty());
                        assert!(at >= 4, "the outermost header has one form only");
                    }
                }
                bytes[at] = good[at];
            }
        }
    }
}
