"""Keys of a TPM in every way that the old package's options name them: key stores of FAPI, PCR policies, hierarchies
with passwords, sessions to a known endorsement key, and keys under it."""

import json
import os
import pathlib

import cloud_auth_tpm.gcp
import google.auth.exceptions
import jwt
import pytest
from cloud_auth_tpm.policy import PCRAuthValuePolicy, PCRPolicy
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

import cloudauth.gcp
import device as d
import emulator as e
from cloudauth import CloudAuthError, Key

PASSWORD, OWNER = "fapi-2468", "owner-9753"


@pytest.fixture
def swtpm(tmp_path):
    made = d.Swtpm(tmp_path)
    yield made
    made.stop()


def credentials(module=cloudauth.gcp, **options):
    return module.GCPCredentials(**options, email=e.ROBOT)


def signed(pc, public_key, algorithm="RS256"):
    """A new token of the credential, verified."""
    pc.refresh(None)
    assert jwt.decode(pc.token, public_key, [algorithm])["iss"] == e.ROBOT


def refused(pc, *words, secret=None):
    """There is no token, and the text says why."""
    with pytest.raises(google.auth.exceptions.RefreshError) as caught:
        pc.refresh(None)
    text = str(caught.value)
    assert pc.token is None and all(word in text for word in words), text
    assert secret is None or secret not in text


# FAPI


class Store:
    """A key store, provisioned by tpm2-tss."""

    def __init__(self, swtpm, profile, profile_dir="/etc/tpm2-tss/fapi-profiles"):
        self.swtpm, self.profile = swtpm, profile
        folder = swtpm.folder / "store"
        for name in ("user", "system", "log"):
            (folder / name).mkdir(parents=True)
        # As the old package's options name them, one with a slash at its end.
        self.dirs = {"user_dir": f"{folder}/user/", "system_dir": str(folder / "system")}
        self.config = folder / "config.json"
        self.config.write_text(json.dumps({
            "profile_name": profile, "profile_dir": str(profile_dir), "log_dir": str(folder / "log"), **self.dirs,
            "tcti": swtpm.tcti, "system_pcrs": [], "ek_cert_less": "yes",
        }))  # fmt: skip
        self.run("tss2_provision")

    def run(self, *args):
        env = {"TSS2_FAPICONF": str(self.config), "TSS2_LOG": "all+NONE"}
        return d.call(*args, env=env, cwd=self.swtpm.folder)

    def key(self, name, *more, password=""):
        self.run("tss2_createkey", f"--path=/HS/SRK/{name}", "--type=sign,noDa", f"--authValue={password}", *more)

    def public(self, name):
        """As tpm2-tss writes it."""
        (self.swtpm.folder / "digest").write_bytes(bytes(32))
        self.run("tss2_sign", f"--keyPath=/HS/SRK/{name}", "--digest=digest", "--signature=sig", "--force",
                 "--publicKey=public.pem")  # fmt: skip
        return (self.swtpm.folder / "public.pem").read_text()

    def options(self, name, **more):
        return {"tcti": self.swtpm.tcti, "path": f"/HS/SRK/{name}", "profile": self.profile, **self.dirs, **more}


@pytest.mark.parametrize("module", [cloudauth.gcp, cloud_auth_tpm.gcp])
@pytest.mark.parametrize(("profile", "algorithm"), [("P_RSA2048SHA256", "RS256"), ("P_ECCP256SHA256", "ES256")])
def test_a_key_store(swtpm, module, profile, algorithm):
    store = Store(swtpm, profile)
    store.key("sign1")
    public = store.public("sign1")
    store.key("guarded", password=PASSWORD)
    swtpm.hand_over()
    signed(credentials(module, **store.options("sign1")), public, algorithm)
    # The profile's name may stand in the path.
    other = store.options("sign1", path=f"/{profile}/HS/SRK/sign1", profile="P_OTHER")
    signed(credentials(module, **other), public, algorithm)
    guarded = credentials(module, **store.options("guarded", password=PASSWORD))
    guarded.refresh(None)
    assert guarded.token.count(".") == 2
    refused(credentials(module, **store.options("guarded", password="wrong-864")), "AUTH", secret="wrong-864")
    refused(credentials(module, **store.options("missing")), "no FAPI key missing", "fapi-user-dir")


def test_a_key_store_with_a_policy(swtpm):
    store = Store(swtpm, "P_RSA2048SHA256")
    policy = {"description": "", "policy": [{"type": "POLICYPCR", "currentPCRs": [16]}]}
    (swtpm.folder / "policy.json").write_text(json.dumps(policy))
    store.run("tss2_import", "--path=/policy/pcr", "--importData=policy.json")
    store.key("bound", "--policyPath=/policy/pcr")
    public = store.public("bound")
    swtpm.hand_over()
    options = store.options("bound", policy_impl="sha256:16")
    pc = credentials(**options)
    signed(pc, public)
    refused(credentials(**store.options("bound")), "pcrs=")
    swtpm.call("tpm2_pcrextend", "16:sha256=" + "5a" * 32)
    refused(credentials(**options), "PCR changed", "sha256:16")
    with pytest.raises(CloudAuthError, match="PCR"):
        pc.sign_bytes(b"m")


def test_the_profiles_are_not_read(swtpm, tmp_path):
    """What a key needs of its profile is in the store: without the profile's file the key is there all the same."""
    profiles = tmp_path / "profiles"
    profiles.mkdir()
    profile = pathlib.Path("/etc/tpm2-tss/fapi-profiles/P_RSA2048SHA256.json").read_text()
    # Not the template that is everywhere, at a handle of its own.
    changed = profile.replace("0x81000001", "0x81000009").replace('"TPM2_ALG_RSAPSS"', '"TPM2_ALG_RSASSA"')
    assert changed != profile
    (profiles / "P_OURS.json").write_text(changed)
    store = Store(swtpm, "P_OURS", profiles)
    store.key("sign1")
    public = store.public("sign1")
    swtpm.hand_over()
    for where in (profiles, tmp_path / "missing"):
        for module in (cloudauth.gcp, cloud_auth_tpm.gcp):
            signed(credentials(module, **store.options("sign1", profile_dir=str(where))), public)


# Files


def policy_of(pcr, swtpm):
    """As the old package's README writes one, with the PCR's value."""
    swtpm.call("tpm2_pcrread", f"sha256:{pcr}", "-o", "pcr.bin")
    digest = (swtpm.folder / "pcr.bin").read_bytes().hex().upper()
    return {
        "description": f"Policy PCR {pcr} TPM2_ALG_SHA256",
        "policy": [{"type": "POLICYPCR", "pcrs": [{"pcr": pcr, "hashAlg": "TPM2_ALG_SHA256", "digest": digest}]}],
    }


def bind(swtpm, *steps):
    """A policy's digest, in policy.dat."""
    swtpm.call("tpm2_startauthsession", "-S", "session.dat")
    for name, *args in steps:
        swtpm.call(name, "-S", "session.dat", *args, "-L", "policy.dat")
    swtpm.call("tpm2_flushcontext", "session.dat")


PCR = ("tpm2_policypcr", "-l", "sha256:23")


@pytest.mark.parametrize("kind", [PCRPolicy, PCRAuthValuePolicy])
def test_a_file_with_a_policy(swtpm, device, kind, monkeypatch):
    public = device.emulator.keys["robot"].public_key()
    value = kind is PCRAuthValuePolicy
    bind(swtpm, PCR, *([("tpm2_policyauthvalue",)] if value else []))
    swtpm.load("rsa2048:rsassa:null", device.pems["gcp"], "key", "-L", "policy.dat",
               "-a", "sign|noda", password=PASSWORD if value else None)  # fmt: skip
    policy = kind(policy=policy_of(23, swtpm))
    told = swtpm.options("key", policy_impl=policy, **({"password": PASSWORD} if value else {}))
    pc = credentials(cloud_auth_tpm.gcp, **told)
    signed(pc, public)
    public.verify(pc.sign_bytes(b"m"), b"m", padding.PKCS1v15(), hashes.SHA256())
    told_by_uri = f"tpm:file={told['keyfile']}?tcti={swtpm.tcti}&pcrs=sha256:23"
    key = None if value else Key(told_by_uri)
    if value:
        wrong = {**told, "password": "wrong-864"}
        refused(credentials(cloud_auth_tpm.gcp, **wrong), "AUTH", secret="wrong-864")
    # The policy of another PCR, and none.
    other = {**told, "policy_impl": kind(policy=policy_of(22, swtpm))}
    refused(credentials(cloud_auth_tpm.gcp, **other), "sha256:22", "policy", secret=PASSWORD)
    refused(credentials(cloud_auth_tpm.gcp, **{**told, "policy_impl": None}), "pcrs=", secret=PASSWORD)
    swtpm.call("tpm2_pcrextend", "23:sha256=" + "5a" * 32)
    refused(credentials(cloud_auth_tpm.gcp, **told), "PCR changed", "sha256:23", secret=PASSWORD)
    # And the one that has the key already.
    with pytest.raises(CloudAuthError, match="PCR"):
        pc.sign_bytes(b"m")
    if key:
        with pytest.raises(CloudAuthError, match="open the key again"):
            key.sign(b"m")
        with pytest.raises(CloudAuthError, match="PCR changed"):
            Key(told_by_uri)
    first = pc.token
    monkeypatch.setattr("cloudauth.gcp._NEW", 0.0)
    with pytest.raises(google.auth.exceptions.RefreshError, match="PCR"):
        pc.refresh(None)
    assert pc.token == first


def test_an_owner_with_a_password(swtpm, device):
    """The storage root key cannot be made without it."""
    swtpm.load("rsa", device.pems["gcp"], "key")
    swtpm.call("tpm2_changeauth", "-c", "owner", OWNER)
    public = device.emulator.keys["robot"].public_key()
    for module in (cloudauth.gcp, cloud_auth_tpm.gcp):
        signed(credentials(module, **swtpm.options("key", ownerpassword=OWNER)), public)
        refused(credentials(module, **swtpm.options("key")), "owner-auth-source")
        refused(credentials(module, **swtpm.options("key", ownerpassword="wrong-864")), "owner", secret="wrong-864")


def name_of_ek(swtpm):
    """As the old package's README has it."""
    swtpm.call("tpm2_createek", "-c", "ek.ctx", "-G", "rsa", "-u", "ek.pub")
    swtpm.call("tpm2_readpublic", "-c", "ek.ctx", "-n", "name.bin")
    swtpm.flush()
    return (swtpm.folder / "name.bin").read_bytes().hex()


def test_sessions_to_a_known_key(swtpm, device):
    swtpm.load("rsa", device.pems["gcp"], "key", password=PASSWORD)
    name = name_of_ek(swtpm)
    public = device.emulator.keys["robot"].public_key()
    for module in (cloudauth.gcp, cloud_auth_tpm.gcp):
        told = swtpm.options("key", password=PASSWORD)
        signed(credentials(module, **told, enc_key_name=name), public)
        other = name[:-2] + f"{int(name[-2:], 16) ^ 1:02x}"
        refused(credentials(module, **told, enc_key_name=other), name, other, "another TPM", secret=PASSWORD)


def old_token(swtpm, **options):
    """What the old package signs with the same options."""
    code = "import json, sys; from cloud_auth_tpm.gcp import GCPCredentials; "
    code += "pc = GCPCredentials(**json.loads(sys.argv[1])); pc.refresh(None); print(pc.token)"
    python, told = os.environ["CLOUDAUTH_OLD_TPM_PYTHON"], {**options, "email": e.ROBOT, "key_id": "k"}
    found = d.call(python, "-W", "ignore", "-c", code, json.dumps(told), env={"PYTHONPATH": ""})
    # It leaves what it opened.
    for kind in ("-t", "-l", "-s"):
        swtpm.call("tpm2_flushcontext", kind)
    return found.strip()


@pytest.mark.parametrize("kept", [False, True])
def test_a_key_under_the_endorsement_key(swtpm, device, kept):
    """As it comes from another machine: use_ek_cert. The endorsement key is made anew, or kept at its handle."""
    name = name_of_ek(swtpm)
    swtpm.call("tpm2_startauthsession", "--policy-session", "-S", "session.dat")
    swtpm.call("tpm2_policysecret", "-S", "session.dat", "-c", "endorsement")
    swtpm.load("rsa", device.pems["gcp"], "key", "-P", "session:session.dat", password=PASSWORD, parent="ek.ctx")
    swtpm.call("tpm2_flushcontext", "session.dat")
    if kept:
        swtpm.call("tpm2_evictcontrol", "-C", "owner", "-c", "ek.ctx", "0x81010001")
        swtpm.flush()
    public = device.emulator.keys["robot"].public_key()
    told = swtpm.options("key", password=PASSWORD, use_ek_cert=True)
    assert jwt.decode(old_token(swtpm, **told), public, ["RS256"])["iss"] == e.ROBOT
    for module in (cloudauth.gcp, cloud_auth_tpm.gcp):
        signed(credentials(module, **told), public)
        signed(credentials(module, **told, enc_key_name=name), public)
        refused(credentials(module, **{**told, "use_ek_cert": False}), "INTEGRITY", secret=PASSWORD)
    # Once, because the TPM counts.
    refused(credentials(**{**told, "password": "wrong-864"}), "AUTH", secret="wrong-864")
