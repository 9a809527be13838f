//! What the hosted half does: keys, clients, and what they say when they fail. Miri cannot open files, so
//! all of it is ignored there; the arguments are looked at by `abuse`.
#![cfg(not(miri))]

use cloudauth::*;
use cloudauth_core::aws::SecretAccessKey;
use cloudauth_core::encode::hex;

use crate::cases::{self, ASKED, SECRET, at, client, config, file, self_signed};
use crate::probe::{Mode, Probe, blank, held, held_text, leak, text};

/// A result, and what was said.
type Said = (cloudauth_result, String, u32, u32);

fn said(call: impl FnOnce(*mut cloudauth_message) -> cloudauth_result) -> Said {
    let message = blank::<cloudauth_message>();
    let result = call(message);
    // SAFETY: made above.
    let message = unsafe { &*message };
    (result, held_text(message), message.transient, message.status)
}

fn aws_keys(p: &Probe, profile: &str) -> (Said, *mut cloudauth_aws_credentials) {
    let keys = blank();
    // SAFETY: as the header says.
    let said = said(|message| unsafe {
        let (out, cap, len) = (p.out(), p.cap(), p.len());
        cloudauth_client_aws_keys(client(), text(profile), out, cap, len, keys, message, p.error())
    });
    (said, keys)
}

fn bearer_token(p: &Probe, profile: &str) -> (Said, i64) {
    let mut expiration = -1;
    // SAFETY: as the header says.
    let said = said(|message| unsafe {
        cloudauth_client_bearer_token(
            client(),
            text(profile),
            p.out(),
            p.cap(),
            p.len(),
            &raw mut expiration,
            message,
            p.error(),
        )
    });
    (said, expiration)
}

const GOOD: Said = (CLOUDAUTH_OK, String::new(), 0, 0);

/// How often the service was asked for a session.
fn asked(name: &str) -> usize {
    ASKED.lock().unwrap().iter().filter(|session| *session == name).count()
}

#[test]
fn credentials_are_kept_whatever_the_buffer() {
    let p = Probe::new(Mode::Cap(0));
    let (first, _) = aws_keys(&p, "once");
    assert_eq!(first.0, CLOUDAUTH_ERR_BUFFER_TOO_SMALL);
    assert_eq!(p.written(), "ASIAEXAMPLEsecret/exampletoken==".len());
    for _ in 0..3 {
        let p = Probe::good();
        let (said, keys) = aws_keys(&p, "once");
        assert_eq!(said, GOOD);
        // SAFETY: made by `aws_keys`.
        let keys = unsafe { &*keys };
        assert_eq!(held(keys.access_key_id), b"ASIAEXAMPLE");
        assert_eq!(held(keys.secret_access_key), b"secret/example");
        assert_eq!(held(keys.session_token), b"token==");
        assert_eq!(keys.expiration, 4_070_908_800);
    }
    assert_eq!(asked("once"), 1);
}

/// Sixteen threads at once: one call.
#[test]
fn threads_share_a_client() {
    let work = || {
        let p = Probe::good();
        let (result, keys) = aws_keys(&p, "many");
        // SAFETY: made by `aws_keys`.
        (result, held(unsafe { (*keys).session_token }))
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), (GOOD, b"token==".to_vec()));
        }
    });
    assert_eq!(asked("many"), 1);
}

#[test]
fn invalidated_credentials_are_got_again() {
    let tokens: Vec<_> = [false, false, true]
        .into_iter()
        .map(|invalidate| {
            if invalidate {
                let null = std::ptr::null_mut();
                // SAFETY: as the header says.
                let said = said(|message| unsafe {
                    cloudauth_client_invalidate(client(), text("google"), message, null)
                });
                assert_eq!(said, GOOD);
            }
            let p = Probe::good();
            let (said, expiration) = bearer_token(&p, "google");
            assert_eq!(said, GOOD);
            assert!(expiration > cases::NOW - 100_000_000);
            p.content()[..p.written()].to_vec()
        })
        .collect();
    // ECDSA signatures differ, whatever is signed.
    assert_eq!(tokens[0], tokens[1]);
    assert_ne!(tokens[0], tokens[2]);
    assert_eq!(tokens[0].split(|octet| *octet == b'.').count(), 3);
}

#[test]
fn failures_are_told_in_full() {
    let aws = |profile| aws_keys(&Probe::good(), profile).0;
    let token = |profile| bearer_token(&Probe::good(), profile).0;
    for (said, result, transient, status, words) in [
        (aws("refused"), CLOUDAUTH_ERR_SERVICE, 0, 403, "AccessDenied"),
        (aws("nobody"), CLOUDAUTH_ERR_TRANSPORT, 1, 0, "127.0.0.1"),
        (aws("attested"), CLOUDAUTH_ERR_TRANSPORT, 1, 0, "connecting to the broker: 127.0.0.1:9"),
        (aws("unknown"), CLOUDAUTH_ERR_CONFIG, 0, 0, "has no profile \"unknown\""),
        (aws("google"), CLOUDAUTH_ERR_CONFIG, 0, 0, "gives a token"),
        (token("aws"), CLOUDAUTH_ERR_CONFIG, 0, 0, "gives AWS credentials"),
        (token("lost"), CLOUDAUTH_ERR_KEY, 0, 0, "/missing"),
    ] {
        assert_eq!((said.0, said.2, said.3), (result, transient, status), "{}", said.1);
        assert!(said.1.contains(words) && !said.1.contains(char::is_control), "{}", said.1);
    }
}

fn open_key(uri: &str) -> (Said, *mut cloudauth_key) {
    let key = leak(cloudauth_key { reserved: [7; 8] });
    let null = std::ptr::null_mut();
    // SAFETY: as the header says.
    (said(|message| unsafe { cloudauth_key_open(text(uri), key, message, null) }), key)
}

#[test]
fn keys_that_cannot_be_opened() {
    let secret = file("no-key", b"wJalrXUtnFEMI");
    for (uri, result, words) in [
        ("", CLOUDAUTH_ERR_INVALID, "key URI"),
        ("ftp:a", CLOUDAUTH_ERR_INVALID, "key URI"),
        ("file:/missing", CLOUDAUTH_ERR_KEY, "/missing"),
        ("env:CLOUDAUTH_NO_SUCH_KEY", CLOUDAUTH_ERR_KEY, "CLOUDAUTH_NO_SUCH_KEY"),
        (&*format!("file:{}", secret.display()), CLOUDAUTH_ERR_KEY, "no-key"),
    ] {
        let (said, key) = open_key(uri);
        assert_eq!(said.0, result, "{uri}: {}", said.1);
        assert!(said.1.contains(words) && !said.1.contains("wJalr"), "{uri}: {}", said.1);
        // SAFETY: it is zeros, and so is what closing leaves.
        unsafe {
            assert_eq!((*key).reserved, [0; 8]);
            cloudauth_key_close(key);
            assert_eq!(
                cloudauth_key_public(key, blank(), std::ptr::null_mut()),
                CLOUDAUTH_ERR_STATE
            );
        }
    }
}

#[test]
fn a_key_signs_and_is_closed() {
    use std::os::unix::fs::PermissionsExt;
    let path = file("readable.pem", include_bytes!("../../../tests/fuzz/seeds/pem/pkcs8-p256"));
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
    let (warned, key) = open_key(&format!("file:{}", path.display()));
    // That others can read it is told, and no more.
    assert!(warned.0 == CLOUDAUTH_OK && warned.1.contains("readable.pem"), "{warned:?}");

    let (p, signer, null) = (Probe::good(), blank(), std::ptr::null_mut());
    let mut spki = text("");
    // SAFETY: as the header says.
    unsafe {
        assert_eq!(cloudauth_key_public(key, &raw mut spki, null), CLOUDAUTH_OK);
        assert_eq!(cloudauth_key_signer(key, signer, null), CLOUDAUTH_OK);
        let (params, at) = (self_signed(&p), at(&p));
        let (out, cap, len) = (p.out(), p.cap(), p.len());
        let sign = |scheme| {
            (*params).scheme = scheme;
            cloudauth_gcp_self_signed_sign(params, signer, at, out, cap, len, p.error())
        };
        assert_eq!(sign(CLOUDAUTH_SCHEME_ECDSA_P256_SHA256), CLOUDAUTH_OK);

        let (header_and_claims, signature) = {
            let token = String::from_utf8(p.content()[..p.written()].to_vec()).unwrap();
            let (signed, signature) = token.rsplit_once('.').unwrap();
            let mut raw = [0; 64];
            let raw_len =
                cloudauth_core::encode::base64::url_decode(signature.as_bytes(), &mut raw);
            assert_eq!(raw_len.unwrap().len(), 64);
            (signed.to_owned(), raw)
        };
        let verifier = cloudauth_keys::PublicVerifier::from_spki(&held(spki)).unwrap();
        let verify = |message: &[u8]| {
            use cloudauth_core::verifier::Verifier as _;
            verifier.verify(cloudauth_core::Scheme::EcdsaP256Sha256, message, &signature)
        };
        assert!(verify(header_and_claims.as_bytes()).is_ok());
        assert!(verify(b"another").is_err());

        // Another scheme is refused before the key is asked.
        assert_eq!(sign(CLOUDAUTH_SCHEME_RSA_PKCS1_SHA256), CLOUDAUTH_ERR_SIGNER);
        // And so is a key that is closed.
        cloudauth_key_close(key);
        assert_eq!(sign(CLOUDAUTH_SCHEME_ECDSA_P256_SHA256), CLOUDAUTH_ERR_SIGNER);
        cloudauth_key_close(key);
        cloudauth_key_close(null.cast());
    }
}

/// A digest is signed as it is, or refused: never as the digest of something else.
#[test]
fn a_key_signs_digests() {
    use cloudauth_core::Scheme;
    // Of RFC 6979, appendix A.2.6.
    let p384 = b"-----BEGIN EC PRIVATE KEY-----\n\
    MD4CAQEEMGudPa0uG4wcBbGYdbZln03iPDtme/KXupqkd0B4cTfYltVyTkxwqCX4\n\
    csnqYNLt9aAHBgUrgQQAIg==\n\
    -----END EC PRIVATE KEY-----\n";
    let rsa = include_bytes!("../../../tests/fuzz/seeds/pem/pkcs8-rsa");
    let p256 = include_bytes!("../../../tests/fuzz/seeds/pem/pkcs8-p256");
    let (short, long) =
        (cloudauth_core::digest::sha256(b"m"), cloudauth_core::digest::sha384(b"m"));
    let cases: [(&str, &[u8], Scheme, &[u8]); 5] = [
        ("RS256", rsa, Scheme::RsaPkcs1Sha256, &short),
        ("PS256", rsa, Scheme::RsaPssSha256, &short),
        ("ES256", p256, Scheme::EcdsaP256Sha256, &short),
        ("P-384", p384, Scheme::EcdsaP384Sha256, &short),
        ("ES384", p384, Scheme::EcdsaP384Sha384, &long),
    ];
    for (name, pem, scheme, digest) in cases {
        let path = file(&format!("digest-{name}.pem"), pem);
        let (said, key) = open_key(&format!("file:{}", path.display()));
        assert_eq!(said.0, CLOUDAUTH_OK, "{name}: {}", said.1);
        let p = Probe::good();
        let mut spki = text("");
        let number = scheme as u32;
        let sign = |scheme, digest: &[u8], cap| {
            // SAFETY: as the header says.
            unsafe {
                let digest = crate::probe::bytes(digest);
                cloudauth_key_sign_digest(key, scheme, digest, p.out(), cap, p.len(), p.error())
            }
        };
        assert_eq!(sign(number, digest, p.cap()), CLOUDAUTH_OK, "{name}");
        let signature = p.content()[..p.written()].to_vec();
        // SAFETY: as the header says.
        let public = unsafe {
            cloudauth_key_public(key, &raw mut spki, std::ptr::null_mut());
            held(spki)
        };
        let public = cloudauth_keys::PublicVerifier::from_spki(&public).unwrap();
        let verify = |message| {
            cloudauth_core::verifier::Verifier::verify(&public, scheme, message, &signature)
        };
        assert!(verify(b"m").is_ok() && verify(b"n").is_err(), "{name}");

        let short_by_one = signature.len() - 1;
        assert_eq!(sign(number, digest, short_by_one), CLOUDAUTH_ERR_BUFFER_TOO_SMALL, "{name}");
        assert_eq!(p.written(), signature.len());
        for wrong in [&digest[1..], &[], &[7; 20], if digest == short { &long[..] } else { &short }]
        {
            assert_eq!(sign(number, wrong, p.cap()), CLOUDAUTH_ERR_LENGTH, "{name}");
        }
        let other = if name == "RS256" || name == "PS256" { 3 } else { 1 };
        assert_eq!(sign(other, digest, p.cap()), CLOUDAUTH_ERR_UNSUPPORTED, "{name}");
        assert_eq!(sign(6, digest, p.cap()), CLOUDAUTH_ERR_UNKNOWN_NUMBER, "{name}");
        // SAFETY: as the header says.
        unsafe { cloudauth_key_close(key) };
        assert_eq!(sign(number, digest, p.cap()), CLOUDAUTH_ERR_STATE, "{name}");
    }
}

#[test]
fn a_mac_key_derives_what_the_secret_does() {
    let secret = SecretAccessKey::new(SECRET).unwrap();
    let (mac, null) = (blank::<cloudauth_mac>(), std::ptr::null_mut());
    let mut tag = [0; 32];
    // SAFETY: as the header says.
    unsafe {
        assert_eq!(cloudauth_mac_key_mac(cases::mac_key(), mac, null), CLOUDAUTH_OK);
        let hmac = (*mac).hmac_sha256.unwrap();
        assert_eq!(hmac((*mac).ctx, text("20150830"), tag.as_mut_ptr()), CLOUDAUTH_OK);
    }
    let expected = cloudauth_core::Mac::hmac_sha256(&secret, b"20150830").unwrap();
    assert_eq!(hex_of(&tag), hex_of(&expected));

    let key = leak(cloudauth_mac_key { reserved: [7; 8] });
    let prefixed = file("prefixed", format!("AWS4{SECRET}").as_bytes());
    let uri = format!("file:{}", prefixed.display());
    // SAFETY: as the header says.
    let said = said(|message| unsafe { cloudauth_mac_key_open(text(&uri), key, message, null) });
    assert!(said.0 == CLOUDAUTH_ERR_KEY && said.1.contains("AWS4"), "{said:?}");
    // SAFETY: it is zeros; NULL is allowed.
    unsafe {
        cloudauth_mac_key_close(key);
        cloudauth_mac_key_close(null.cast());
    }
}

fn hex_of(octets: &[u8]) -> String {
    let mut text = vec![0; 2 * octets.len()];
    let mut out = cloudauth_core::Out::new(&mut text);
    hex::encode(octets, &mut out);
    out.finish().unwrap();
    String::from_utf8(text).unwrap()
}

#[test]
fn configurations_that_cannot_be_used() {
    let unknown = file("unknown.toml", b"[profiles.a]\nkind = 'gcp-token'\nsecret = 's3cr3t'\n");
    let no_ca = file("no-ca.toml", b"ca-file = 'missing.pem'\n");
    let null = std::ptr::null_mut();
    for (path, result, words) in [
        ("/missing/config.toml", CLOUDAUTH_ERR_FILE, "/missing/config.toml"),
        (unknown.to_str().unwrap(), CLOUDAUTH_ERR_CONFIG, "unknown.toml"),
        (no_ca.to_str().unwrap(), CLOUDAUTH_ERR_FILE, "missing.pem"),
    ] {
        let client = leak(cloudauth_client { reserved: [7; 8] });
        // SAFETY: as the header says.
        let said =
            said(|message| unsafe { cloudauth_client_open(text(path), client, message, null) });
        assert_eq!(said.0, result, "{}", said.1);
        assert!(said.1.contains(words) && !said.1.contains("s3cr3t"), "{}", said.1);
        // SAFETY: it is zeros.
        unsafe {
            assert_eq!((*client).reserved, [0; 8]);
            cloudauth_client_close(client);
        }
    }
}

fn open_text(config: &str, folder: &str) -> (Said, *mut cloudauth_client) {
    let client = leak(cloudauth_client { reserved: [7; 8] });
    let null = std::ptr::null_mut();
    let (config, folder) = (text(config), text(folder));
    // SAFETY: as the header says.
    let open =
        |message| unsafe { cloudauth_client_open_text(config, folder, client, message, null) };
    (said(open), client)
}

/// The text of the file does what the file does, from any folder.
#[test]
fn configurations_in_memory() {
    let text_of = std::fs::read_to_string(config()).unwrap();
    let token = config().parent().unwrap().to_str().unwrap();
    let beside = "[profiles.google]\nkind = 'gcp-federated'\ntoken-file = 'token'\n\
        provider = '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q'\n\
        endpoint-url = 'http://127.0.0.1:9'\n";
    for (config, folder, result) in [
        (&*text_of, "/", CLOUDAUTH_OK),
        (&*text_of, "", CLOUDAUTH_OK),
        // The file is found, and then nobody listens.
        (beside, token, CLOUDAUTH_ERR_TRANSPORT),
        (beside, "/", CLOUDAUTH_ERR_FILE),
        (beside, "", CLOUDAUTH_ERR_FILE),
    ] {
        let (said, client) = open_text(config, folder);
        assert_eq!(said, GOOD);
        let p = Probe::good();
        let (null, mut expiration) = (std::ptr::null_mut::<cloudauth_error>(), 0);
        // SAFETY: as the header says.
        let found = unsafe {
            let (out, cap, len) = (p.out(), p.cap(), p.len());
            let (profile, at) = (text("google"), &raw mut expiration);
            cloudauth_client_bearer_token(client, profile, out, cap, len, at, null.cast(), null)
        };
        assert_eq!(found, result, "{folder}");
        // SAFETY: nothing uses it.
        unsafe { cloudauth_client_close(client) };
    }
}

#[test]
fn configurations_in_memory_that_cannot_be_used() {
    for (config, folder, result, words) in [
        ("[profiles]", "relative/folder", CLOUDAUTH_ERR_CONFIG, "not absolute"),
        (
            "[profiles.a]\nkind = 'gcp-token'\nsecret = 's3cr3t'\n",
            "/",
            CLOUDAUTH_ERR_CONFIG,
            "line 1",
        ),
        ("ca-file = 'missing.pem'", "/nowhere", CLOUDAUTH_ERR_FILE, "/nowhere/missing.pem"),
    ] {
        let (said, client) = open_text(config, folder);
        assert_eq!(said.0, result, "{}", said.1);
        assert!(said.1.contains(words) && !said.1.contains("s3cr3t"), "{}", said.1);
        // SAFETY: it is zeros.
        unsafe {
            assert_eq!((*client).reserved, [0; 8]);
            cloudauth_client_close(client);
        }
    }
}

/// A client that is closed cannot be used, and can be closed again.
#[test]
fn closed_clients() {
    let null = std::ptr::null_mut::<cloudauth_error>();
    let client = leak(cloudauth_client { reserved: [7; 8] });
    let path = text(config().to_str().unwrap());
    // SAFETY: as the header says.
    unsafe {
        assert_eq!(cloudauth_client_open(path, client, null.cast(), null), CLOUDAUTH_OK);
        let invalidate = || cloudauth_client_invalidate(client, text("aws"), null.cast(), null);
        assert_eq!(invalidate(), CLOUDAUTH_OK);
        cloudauth_client_close(client);
        assert_eq!(invalidate(), CLOUDAUTH_ERR_STATE);
        cloudauth_client_close(client);
        cloudauth_client_close(null.cast());
    }
}

/// What is longer than a message has room for is cut off between characters.
#[test]
fn long_messages() {
    let name = "é".repeat(3000);
    let p = Probe::good();
    let (result, words, ..) = aws_keys(&p, &name).0;
    assert_eq!(result, CLOUDAUTH_ERR_CONFIG);
    // But for the quotes, of characters of two octets.
    assert!((2015..=2023).contains(&words.len()), "{}", words.len());
}
