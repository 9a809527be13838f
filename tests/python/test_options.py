"""The options of the old packages: each is taken or refused, and none is passed over."""

import copy
import os
import pathlib
import pickle
import re
import traceback

import pytest

import device as d
import emulator as e
from cloudauth import CloudAuthError, Client
from cloudauth._options import KeyOptions, Secrets
from cloudauth.aws import AWSCredentials, AWSHMACCredentials
from cloudauth.azure import AzureCredentials
from cloudauth.gcp import GCPCredentials

HSM = {"module": d.MODULE, "token": "t;1", "label": "a b", "pin": "1?2&3"}


def uri(**options):
    kind = options.pop("kind", "private")
    secrets = Secrets()
    try:
        return KeyOptions(options.pop("key", None), options, kind).uri(secrets)
    finally:
        secrets.close()


def test_pkcs11_options():
    found = uri(**HSM)
    assert re.fullmatch(
        f"pkcs11:token=t%3B1;object=a%20b;type=private\\?module-path={d.MODULE}&pin-source=fd:\\d+", found
    )
    assert "pin" not in uri(**{**HSM, "pin": ""})
    assert ";type=secret-key?" in uri(**HSM, kind="secret-key")


def test_tpm_options(monkeypatch):
    monkeypatch.setenv("HOME", "/home/robot")
    assert uri(keyfile="key.pem") == "tpm:file=key.pem"
    assert uri(keyfile="/a b.pem", tcti="device:/dev/tpmrm0") == "tpm:file=/a%20b.pem?tcti=device:/dev/tpmrm0"
    name = "000b" + "ab" * 32
    found = uri(keyfile="k", password="p", ownerpassword="o", enc_key_name=name, use_ek_cert=True)
    start, auth, owner = found.rsplit("&", 2)
    assert start == f"tpm:file=k?parent=ek&ek-name={name}"
    assert auth.startswith("auth-source=fd:") and owner.startswith("owner-auth-source=fd:")
    store = "/home/robot/.local/share/tpm2-tss"
    assert uri(path="/HS/SRK/sign1") == (
        f"tpm:fapi=/HS/SRK/sign1?fapi-profile=P_RSA2048SHA256&fapi-system-dir={store}/system/keystore"
        f"&fapi-user-dir={store}/user/keystore/"
    )
    found = uri(path="/HS/SRK/s", profile="P_ECCP256SHA256", system_dir="/s", user_dir="/u", profile_dir="./profiles")
    assert found == "tpm:fapi=/HS/SRK/s?fapi-profile=P_ECCP256SHA256&fapi-system-dir=/s&fapi-user-dir=/u"


class Policy:
    def __init__(self, *steps):
        self._policy = {"description": "d", "policy": list(steps)}


# As TSS writes it, whose words have no case.
PCR = {"type": "PolicyPCR", "pcrs": [{"pcr": 23, "hashAlg": "TPM2_ALG_SHA256", "digest": "0" * 64}]}


def test_wrong_types():
    from cloudauth import Key

    for call, words in [
        (lambda: Key(pathlib.Path("k")), "file:PATH"), (lambda: Client(text=7), "expected a str"),
        (lambda: GCPCredentials("file:k", email="e", scopes=5), "scopes"),
        (lambda: uri(**HSM, debug=True), "leave it out"),
    ]:  # fmt: skip
        with pytest.raises(TypeError, match=words):
            call()
    assert uri(**HSM, debug=False) == uri(**HSM)


def test_wrong_ways_to_sign(device):
    from cloudauth import Key, Scheme

    with Key(device.uri("aws-ec")) as key:
        for wrong in ("text", 7, None):
            with pytest.raises(TypeError, match="message"):
                key.sign(wrong, Scheme.ECDSA_P256_SHA256)
        with pytest.raises(TypeError, match="Scheme"):
            key.sign(b"m", "RS256")
        for scheme in (Scheme.RSA_PKCS1_SHA256, 99):
            with pytest.raises(CloudAuthError, match="signs with ECDSA_P256_SHA256"):
                key.sign(b"m", scheme)
        assert len(key.sign(b"m", Scheme.ECDSA_P256_SHA256)) == 64


def test_policies():
    assert uri(keyfile="k", policy_impl="sha256:0,7") == "tpm:file=k?pcrs=sha256:0,7"
    assert uri(keyfile="k", policy_impl=Policy(PCR)) == "tpm:file=k?pcrs=sha256:23"
    assert uri(keyfile="k", policy_impl=Policy(PCR, {"type": "POLICYAUTHVALUE"})) == "tpm:file=k?pcrs=sha256:23"
    for wrong in [Policy(), Policy({"type": "POLICYOR"}), Policy(PCR, PCR), object(), 7,
                  Policy({"type": "POLICYPCR", "pcrs": []}), Policy({"type": "POLICYPCR", "currentPCRs": [1]}),
                  Policy("POLICYPCR")]:  # fmt: skip
        with pytest.raises(TypeError, match="policy_impl"):
            uri(keyfile="k", policy_impl=wrong)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "give one of"),
        ({"key": "file:k", **HSM}, "give one of"),
        ({**HSM, "keyfile": "k"}, "give one of"),
        ({"keyfile": "k", "path": "/HS/SRK/k"}, "one of keyfile"),
        ({"tcti": "device:/dev/tpmrm0"}, "one of keyfile"),
        ({"keyfile": "k", "system_dir": "/s"}, "goes with path"),
        ({"keyfile": "k", "profile_dir": "/p"}, "goes with path"),
        ({"path": "/HS/SRK/k", "use_ek_cert": True}, "goes with keyfile"),
        ({"keyfile": "k", "password": "p" * 5000}, "4096"),
        ({"module": d.MODULE, "token": "t"}, "label must be given"),
        ({"token": "t", "label": "l"}, "module must be given"),
    ],
)
def test_options_that_do_not_go_together(options, words):
    with pytest.raises(ValueError, match=words):
        uri(**options)


@pytest.mark.parametrize(
    "options",
    [{"keyfile": "k", "use_ek_cert": "False"}, {**HSM, "pin": 1234}, {**HSM, "pin": b"1"},
     {"keyfile": 7}, {**HSM, "label": b"l"}, {"lable": "l"}, {"key": 7}],
)
def test_options_of_another_type(options):
    with pytest.raises(TypeError):
        uri(**options)


STS = {"key": "file:/k", "access_key": "AKIAEXAMPLE", "region": "eu-west-1", "assume_role_arn": d.ROLE}


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({}, None, ""),
        ({"get_session_token": "False"}, TypeError, "True or False"),
        ({"get_session_token": True}, ValueError, "assume_role_arn"),
        ({"get_session_token": True, "assume_role_arn": None}, None, ""),
        ({"assume_role_arn": None}, ValueError, "assume_role_arn"),
        ({"assume_role_arn": ""}, ValueError, "assume_role_arn"),
        ({"access_key": ""}, ValueError, "access_key"),
        ({"aws_access_key_id": "AKIAOTHER"}, ValueError, "same option"),
        ({"aws_access_key_id": "AKIAEXAMPLE"}, None, ""),
        ({"duration_seconds": "1000"}, None, ""),
        ({"duration_seconds": 0}, ValueError, "seconds"),
        ({"duration_seconds": "an hour"}, ValueError, "seconds"),
        ({"duration_seconds": True}, TypeError, "seconds"),
        ({"regoin": "eu-west-1"}, TypeError, "regoin"),
    ],
)
def test_options_of_sts(changes, error, words):
    options = {**STS, **changes}
    if error is None:
        AWSHMACCredentials(**options).close()
    else:
        with pytest.raises(error, match=words):
            AWSHMACCredentials(**options)


def test_options_that_must_be_given():
    anywhere = {
        "key": "file:/k", "public_certificate_file": "/c", "trust_anchor_arn": e.ANCHOR, "role_arn": e.ROLE,
        "profile_arn": e.PROFILE,
    }  # fmt: skip
    entra = {"key": "file:/k", "tenant_id": e.TENANT, "client_id": e.CLIENT, "certificate_path": "/c"}
    google = {"key": "file:/k", "email": e.ROBOT}
    for kind, options in [(AWSCredentials, anywhere), (AzureCredentials, entra), (GCPCredentials, google)]:
        kind(**options)
        for name in options:
            for value in (None, ""):
                with pytest.raises((ValueError, CloudAuthError)):
                    kind(**{**options, name: value})


def test_text_cannot_leave_its_string():
    """What looks like TOML in an option stays an option."""
    for text in ['x"\nregion = "r', "a\\", "\x00\x1f\x7f", "é\u2028", '"""']:
        AWSHMACCredentials(**{**STS, "role_session_name": text}).close()


def test_a_credential_is_not_pickled():
    pc = GCPCredentials(key="file:/k", email=e.ROBOT)
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(pc)


def test_clients(tmp_path):
    for arguments, words in [({"text": "", "path": "/x"}, "one of"), ({"folder": "/"}, "folder")]:
        with pytest.raises(ValueError, match=words):
            Client(**arguments)
    with pytest.raises(CloudAuthError, match="missing.toml") as caught:
        Client(tmp_path / "missing.toml")
    same = pickle.loads(pickle.dumps(caught.value))
    assert str(same) == str(caught.value) and same.code == caught.value.code == -112
    with pytest.raises(CloudAuthError, match="not absolute"):
        Client(text="", folder="relative")
    with Client(text="") as client, pytest.raises(CloudAuthError, match="no profile"):
        client.aws_keys("p")
    with pytest.raises(CloudAuthError, match="closed"):
        client.bearer_token("p")
