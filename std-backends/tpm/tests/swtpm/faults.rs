//! What can go wrong.

use cloudauth_core::Scheme;
use cloudauth_tpm::TpmKey;

use crate::support::{MESSAGE, Swtpm, auth, check, sign};

/// Killed in mid-run: an error that names the call, then a new start is enough.
#[test]
#[ignore = "needs swtpm: tests/run tpm"]
fn restarts() {
    let mut tpm = Swtpm::new();
    // A TPM that loses power while such keys are in use counts that as a wrong value.
    tpm.run("tpm2_dictionarylockout -s -n 100 -t 1000 -l 1000");
    tpm.primary();
    tpm.key_file("ec", "ecc256", " -p secret");
    tpm.key_at(0x8100_0010, "ecc256", "");
    let mut query = tpm.file("ec.pem");
    query.key_auth = auth("secret");
    let file = TpmKey::open(query).unwrap();
    let handle = TpmKey::open(tpm.handle(0x8100_0010)).unwrap();
    for _ in 0..3 {
        check(&file, Scheme::EcdsaP256Sha256);
        check(&handle, Scheme::EcdsaP256Sha256);
        tpm.kill();
        let error = sign(&file, Scheme::EcdsaP256Sha256, MESSAGE).unwrap_err().to_string();
        assert!(error.contains("connect to the TPM"), "{error}");
        tpm.start();
        check(&file, Scheme::EcdsaP256Sha256);
        check(&handle, Scheme::EcdsaP256Sha256);
    }
    drop((file, handle));
    assert_eq!(tpm.leftovers(), "");
}
