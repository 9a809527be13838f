//! Key URIs and references to secrets. Errors must not quote what may be a secret.
#![no_main]

use cloudauth_keys::{KeyUri, SecretRef, UriScheme};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match KeyUri::parse(text) {
        Ok(uri) => {
            let shown = format!("{uri:?}");
            // Whatever stands behind a pin-value, however it is separated, unless it also stands elsewhere.
            for after in text.split("pin-value=").skip(1) {
                let pin = after.split([';', '?', '&']).next().unwrap_or_default();
                let device = matches!(uri.scheme(), UriScheme::Pkcs11 | UriScheme::Tpm);
                let plain = pin.bytes().all(|c| c.is_ascii_digit());
                let checked = device && plain && pin.len() >= 8 && text.matches(pin).count() == 1;
                assert!(!checked || !shown.contains(pin), "{shown}");
            }
            let _ = (uri.scheme(), uri.path(), uri.query(), uri.env_variables());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    match SecretRef::parse(text) {
        Ok(reference) => assert!(!format!("{reference:?}").is_empty()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
