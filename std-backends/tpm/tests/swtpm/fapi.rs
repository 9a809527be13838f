//! The FAPI key store of tpm2-tss: its keys here, ours there.

use std::process::Command;

use cloudauth_core::{Mac as _, Scheme};
use cloudauth_tpm::{Destination, FapiStore, KeyKind, Material, TpmKey, TpmMac, create, import};
use zeroize::Zeroizing;

use crate::support::{MESSAGE, Swtpm, check, pcrs};

struct Fapi<'a> {
    tpm: &'a Swtpm,
    store: FapiStore,
}

impl<'a> Fapi<'a> {
    /// A provisioned store of the given profile.
    fn new(tpm: &'a Swtpm, profile: &str) -> Self {
        let dir = |name: &str| {
            let dir = tpm.path(&format!("{profile}-{name}"));
            std::fs::create_dir(&dir).unwrap();
            dir
        };
        let store = FapiStore {
            profile: profile.to_owned(),
            user_dir: dir("user"),
            system_dir: dir("system"),
        };
        let config = serde_json::json!({
            "profile_name": profile,
            "profile_dir": "/etc/tpm2-tss/fapi-profiles/",
            "user_dir": store.user_dir,
            "system_dir": store.system_dir,
            "log_dir": dir("log"),
            "tcti": tpm.conf(),
            "system_pcrs": [],
            "ek_cert_less": "yes",
        });
        std::fs::write(tpm.path(&format!("{profile}.json")), config.to_string()).unwrap();
        let fapi = Self { tpm, store };
        fapi.run(&["tss2_provision"]);
        fapi
    }

    fn run(&self, line: &[&str]) -> String {
        let done = Command::new(line[0])
            .args(&line[1..])
            .current_dir(self.tpm.path("."))
            .env("TSS2_FAPICONF", self.tpm.path(&format!("{}.json", self.store.profile)))
            .env("TSS2_LOG", "all+NONE")
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{line:?}: {error}");
        String::from_utf8_lossy(&done.stdout).into_owned()
    }

    fn open(&self, path: &str) -> TpmKey {
        TpmKey::open(self.tpm.query(self.store.key(path).unwrap())).unwrap()
    }
}

#[test]
#[ignore = "needs swtpm and the FAPI tools: tests/run tpm"]
fn rsa_store() {
    let tpm = Swtpm::new();
    let fapi = Fapi::new(&tpm, "P_RSA2048SHA256");
    fapi.run(&["tss2_createkey", "--path=/HS/SRK/a", "--type=sign,noDa", "--authValue="]);
    fapi.run(&[
        "tss2_createkey",
        "--path=/HS/SRK/p",
        "--type=sign,noDa,0x81000055",
        "--authValue=",
    ]);
    std::fs::write(
        tpm.path("policy.json"),
        r#"{"description":"","policy":[{"type":"POLICYPCR","currentPCRs":[16]}]}"#,
    )
    .unwrap();
    fapi.run(&["tss2_import", "--path=/policy/pcr", "--importData=policy.json"]);
    fapi.run(&[
        "tss2_createkey",
        "--path=/HS/SRK/c",
        "--type=sign,noDa",
        "--authValue=",
        "--policyPath=/policy/pcr",
    ]);
    {
        let key = fapi.open("/HS/SRK/a");
        check(&key, Scheme::RsaPkcs1Sha256);
        check(&key, Scheme::RsaPssSha256);
        check(&fapi.open("/P_RSA2048SHA256/HS/SRK/p"), Scheme::RsaPkcs1Sha256);
        let mut query = tpm.query(fapi.store.key("/HS/SRK/c").unwrap());
        query.pcrs = pcrs("sha256:16");
        check(&TpmKey::open(query).unwrap(), Scheme::RsaPkcs1Sha256);
        let error = TpmKey::open(tpm.query(fapi.store.key("/HS/SRK/c").unwrap())).unwrap_err();
        assert!(error.to_string().contains("pcrs="), "{error}");
    }
    let mut listed = fapi.store.list("/HS/SRK").unwrap().unwrap();
    listed.retain(|path| path.ends_with("SRK/a"));
    assert_eq!(listed, ["/P_RSA2048SHA256/HS/SRK/a"]);

    // Ours, signed with by FAPI and verified by OpenSSL.
    for (kind, name, padding) in
        [(KeyKind::Rsa2048, "r", Some("--padding=RSA_SSA")), (KeyKind::EcP256, "e", None)]
    {
        let path = format!("/HS/SRK/{name}");
        let to = Destination::Fapi(fapi.store.clone(), path.clone());
        create(&tpm.access(), kind, None, &to).unwrap();
        let error = create(&tpm.access(), kind, None, &to).unwrap_err().to_string();
        assert!(error.contains("exists"), "{error}");
        std::fs::write(tpm.path("m"), MESSAGE).unwrap();
        std::fs::write(tpm.path("digest"), cloudauth_core::digest::sha256(MESSAGE)).unwrap();
        let key_path = format!("--keyPath={path}");
        let mut line = vec!["tss2_sign", "-f", &key_path, "--digest=digest", "--signature=sig"];
        line.push("--publicKey=pub.pem");
        line.extend(padding);
        fapi.run(&line);
        tpm.run("openssl dgst -sha256 -verify pub.pem -signature sig m");
    }
    check(&fapi.open("/HS/SRK/e"), Scheme::EcdsaP256Sha256);
    let material = Material::Secret(Zeroizing::new(b"AWS4secret".to_vec()));
    let to = Destination::Fapi(fapi.store.clone(), "/HS/SRK/aws".to_owned());
    import(&tpm.access(), &material, None, &to).unwrap();
    let mac = TpmMac::open(tpm.query(fapi.store.key("/HS/SRK/aws").unwrap())).unwrap();
    let expected = cloudauth_core::digest::hmac_sha256(b"AWS4secret", b"20260101");
    assert_eq!(mac.hmac_sha256(b"20260101").unwrap(), expected);
    drop(mac);
    fapi.store.delete("/HS/SRK/aws").unwrap();
    assert!(fapi.store.key("/HS/SRK/aws").unwrap_err().to_string().contains("no FAPI key"));
    // Another key at the handle of one in the store.
    tpm.run("tpm2_evictcontrol -Q -C o -c 0x81000055");
    tpm.run("tpm2_createprimary -Q -C o -G ecc -c p.ctx");
    tpm.run("tpm2_flushcontext -t");
    tpm.key_at(0x8100_0055, "ecc256", "");
    let error = TpmKey::open(tpm.query(fapi.store.key("/HS/SRK/p").unwrap())).unwrap_err();
    assert!(error.to_string().contains("not the key"), "{error}");
    let error = fapi.store.delete("/HS/SRK/p").unwrap_err().to_string();
    assert!(error.contains("tss2_delete"), "{error}");
    assert_eq!(tpm.leftovers(), "");
}

/// A profile whose storage root key is not persistent.
#[test]
#[ignore = "needs swtpm and the FAPI tools: tests/run tpm"]
fn ecc_store() {
    let tpm = Swtpm::new();
    let fapi = Fapi::new(&tpm, "P_ECCP256SHA256");
    fapi.run(&["tss2_createkey", "--path=/HS/SRK/a", "--type=sign,noDa", "--authValue="]);
    check(&fapi.open("/HS/SRK/a"), Scheme::EcdsaP256Sha256);
    assert_eq!(tpm.leftovers(), "");
}
