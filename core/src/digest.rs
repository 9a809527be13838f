//! SHA-256, SHA-384 and HMAC-SHA256, streaming. There are two forms of one interface: hosts get `fast`,
//! over the compression functions of the crate `sha2`; microcontrollers get `compact`.

// On a host it is there for its tests only.
#[cfg_attr(test, allow(unreachable_pub, dead_code))]
#[cfg(any(test, all(target_os = "none", target_pointer_width = "32")))]
mod compact;
#[cfg(any(test, not(all(target_os = "none", target_pointer_width = "32"))))]
mod fast;

#[cfg(all(target_os = "none", target_pointer_width = "32"))]
use compact as form;
#[cfg(not(all(target_os = "none", target_pointer_width = "32")))]
use fast as form;

use sha2::Digest as _;

pub(crate) use form::{Chain, KeyStates};
pub use form::{HmacSha256, Sha256, sha256};

/// The initial state of SHA-256 (FIPS 180-4, section 5.3.3).
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// SHA-384 of `bytes`.
#[must_use]
pub fn sha384(bytes: &[u8]) -> [u8; 48] {
    sha2::Sha384::digest(bytes).into()
}

/// HMAC-SHA256 of `message` under `key`.
#[must_use]
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    KeyStates::new(key).tag(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    macro_rules! in_form {
        ($form:ident, $parts:ident, $key:ident, $digest:ident, $tag:ident) => {
            let mut hash = $form::Sha256::new();
            let mut mac = $form::HmacSha256::new(&$key);
            for part in &$parts {
                hash.update(part);
                mac.update(part);
            }
            prop_assert_eq!(hash.finish(), $digest);
            prop_assert_eq!(mac.finish(), $tag);
            prop_assert_eq!($form::sha256(&$parts.concat()), $digest);
            prop_assert_eq!($form::KeyStates::new(&$key).tag(&$parts.concat()), $tag);
        };
    }

    proptest! {
        #[test]
        fn in_pieces_as_the_crates_do_at_once(
            parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..150), 0..6),
            key in proptest::collection::vec(any::<u8>(), 0..150),
        ) {
            use hmac::{KeyInit as _, Mac as _};
            let whole = parts.concat();
            let mut peer = hmac::Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap();
            peer.update(&whole);
            let digest: [u8; 32] = sha2::Sha256::digest(&whole).into();
            let tag: [u8; 32] = peer.finalize().into_bytes().into();
            in_form!(fast, parts, key, digest, tag);
            in_form!(compact, parts, key, digest, tag);
        }
    }

    #[test]
    fn chains_are_of_tags() {
        let message = [b'm'; 120];
        for len in 0..=119u8 {
            let (message, _) = message.split_at(len.into());
            let messages = [message, b"second", b"third"];
            let mut want = [len; 32];
            for message in messages {
                want = hmac_sha256(&want, message);
            }
            let (mut fast, mut compact) = ([len; 32], [len; 32]);
            let (mut of_fast, mut of_compact) = (Chain::default(), compact::Chain::default());
            assert!(of_fast.load(messages) && of_compact.load(messages));
            of_fast.run(&mut fast);
            of_compact.run(&mut compact);
            assert_eq!((fast, compact), (want, want));
        }
        assert!(!Chain::default().load([&message, b"", b""]));
    }

    // FIPS 180-4 examples, RFC 4231 test cases 2 and 6.
    #[test]
    fn known_answers() {
        let hex = |b: &[u8]| b.iter().map(|x| format!("{x:02x}")).collect::<String>();
        assert_eq!(
            hex(&sha256(b"abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(
            hex(&sha384(b"abc")),
            "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed\
             8086072ba1e7cc2358baeca134c825a7"
        );
        assert_eq!(
            hex(&hmac_sha256(b"Jefe", b"what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            hex(&hmac_sha256(
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First"
            )),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }
}
