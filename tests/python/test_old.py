"""The old packages, each in an environment of its own, beside the drop-ins of their names: with the same keys in
the same devices, the same comes of it."""

import base64
import importlib
import json
import os
import pathlib
import subprocess
import sys
import uuid

import jwt
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

import device as d
import emulator as e
import support

ANCHOR = f"{e.ANYWHERE}:trust-anchor/1c3e9e2a-1f0e-4c53-9f1c-2f7a0f6b1d22"


def old_python(library):
    variable = f"CLOUDAUTH_OLD_{library.upper()}_PYTHON"
    path = os.environ.get(variable)
    assert path, f"{variable} names no Python with cloud_auth_{library}: see tests/python/run"
    return path


def told(device, library):
    """What both are told. The old ones want a certificate that RSA with SHA-256 signed."""
    emulator = device.emulator
    root_key = support.new_key("rsa-2048")
    root = e.certify(root_key, "rsa root", "rsa root", root_key, ca=True)
    leaf = e.certify(device.rsa_leaf_key, "device 9", "rsa root", root_key)
    assert isinstance(leaf.signature_hash_algorithm, hashes.SHA256)
    emulator.control(
        "register",
        {"aws": {"trust_anchors": [{"arn": ANCHOR, "certificates": support.cert_pem(root)}]}},
    )
    certificate = device.folder / "rsa.crt"
    certificate.write_text(support.cert_pem(leaf))
    # The old ones ask the global endpoint of STS, which is in this region.
    life = {"region": "us-east-1", "duration_seconds": 1000}
    return {
        "keys": {label: library.options(label) for label in ("gcp", "aws", "hmac", "azure")},
        "env": {**device.env, "TSS2_LOG": "all+NONE"},
        "url": emulator.url, "http": emulator.http_url, "ca": str(emulator.ca),
        "robot": support.public_pem(emulator.keys["robot"]).decode(),
        "gcp": {"email": e.ROBOT, "scopes": "one two", "key_id": "k7", "expire_in": 3600},
        "anywhere": {
            **life, "region": "eu-west-1", "public_certificate_file": str(certificate), "trust_anchor_arn": ANCHOR,
            "role_arn": e.ROLE, "profile_arn": e.PROFILE, "session_name": "foo",
        },
        # What the old ones name a session.
        "role": {**life, "access_key": e.ACCESS_KEY, "assume_role_arn": d.ROLE, "role_session_name": "us-east-1"},
        "user": {**life, "access_key": e.ACCESS_KEY, "get_session_token": True},
        "azure": device.entra(),
    }  # fmt: skip


def ours(said, emulator, service):
    """The same, with where the services are: a program without these options asks the clouds."""
    here = {"endpoint_url": emulator.url, "ca_file": str(emulator.ca)}
    entra = {"endpoint_url": service.url, "ca_file": str(service.ca)}
    aws = {name: {**said[name], **here} for name in ("anywhere", "role", "user")}
    return {**said, **aws, "azure": {**said["azure"], **entra}}


def run(python, which, package, said, folder, **env):
    path = folder / f"{which}.json"
    path.write_text(json.dumps(said))
    done = subprocess.run(
        [python, pathlib.Path(__file__).with_name("peer.py"), which, package, path],
        capture_output=True, timeout=120,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "AWS_EC2_METADATA_DISABLED": "true", **env},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def same_request(old, new, thumbprint):
    """The token requests, field by field: what differs is what was wrong in the old one, or only older."""
    (old,), (new,) = old, new
    old_assertion, new_assertion = (form.pop("client_assertion") for form in (old, new))
    assert old == new and old["scope"] == "https://storage.azure.com/.default"
    (old, old_claims), (new, new_claims) = (
        (jwt.get_unverified_header(one), jwt.decode(one, options={"verify_signature": False}))
        for one in (old_assertion, new_assertion)
    )
    # RSASSA-PSS, which Microsoft asks for; the thumbprint in base64url, as RFC 7515 has it.
    assert (old.pop("alg"), new.pop("alg")) == ("RS256", "PS256")
    standard, url = base64.standard_b64encode(thumbprint), base64.urlsafe_b64encode(thumbprint).rstrip(b"=")
    assert (old.pop("x5t#S256"), new.pop("x5t#S256")) == (standard.decode(), url.decode())
    assert old == new == {"typ": "JWT"}
    # The id's name; ten minutes, not ten seconds; and when it was made.
    assert uuid.UUID(old_claims.pop("id")) and uuid.UUID(new_claims.pop("jti"))
    lives = [claims.pop("exp") - claims["nbf"] for claims in (old_claims, new_claims)]
    assert lives == [10, 600]
    assert new_claims.pop("iat") == new_claims["nbf"]
    assert abs(old_claims.pop("nbf") - new_claims.pop("nbf")) < 60
    assert old_claims == new_claims
    assert new_claims["aud"] == f"https://login.microsoftonline.com/{e.TENANT}/oauth2/v2.0/token"


@pytest.mark.parametrize("library", ["pkcs", "tpm"])
def test_both_get_the_same(emulator, device, entra, request, tmp_path, library):
    package, python = f"cloud_auth_{library}", old_python(library)
    library = device if library == "pkcs" else request.getfixturevalue("tpm")
    said = told(device, library)
    getattr(library, "hand_over", lambda: None)()
    old = run(python, "old", package, said, tmp_path)
    getattr(library, "hand_over", lambda: None)()
    new = run(
        sys.executable, "new", package, ours(said, emulator, entra), tmp_path, PYTHONPATH=os.environ["PYTHONPATH"],
        **{name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ},
    )  # fmt: skip
    # The old ones call the claim "id", and the emulator wants it as Entra's documentation does.
    assert "'jti' is missing" in old.pop("azure")
    same_request(old.pop("forms"), entra.seen, device.thumbprint("azure"))
    azure = new.pop("azure")
    assert (azure["aud"], azure["tid"]) == ("https://storage.azure.com", e.TENANT) and new.pop("azure life")
    assert old == new
    assert old["anywhere"][0] == ["bucket-1"] and old["role"][1].endswith("/us-east-1")


@pytest.mark.parametrize("library", ["pkcs", "tpm"])
def test_module_paths(library):
    """Every class of the old packages is where they have it, and is ours."""
    package = f"cloud_auth_{library}"
    for module, name in [
        ("gcp", "GCPCredentials"), ("gcp.gcpcredentials", "GCPCredentials"), ("aws", "AWSCredentials"),
        ("aws", "AWSHMACCredentials"), ("aws.awscredentials", "AWSCredentials"),
        ("aws.awshmaccredentials", "AWSHMACCredentials"), ("azure", "AzureCredentials"),
        ("azure.azurecredentials", "AzureCredentials"),
    ]:  # fmt: skip
        kind = getattr(importlib.import_module(f"{package}.{module}"), name)
        assert kind.__mro__[1].__module__.startswith("cloudauth."), kind


@pytest.mark.parametrize("library", ["pkcs", "tpm"])
def test_the_order_of_parameters(device, emulator, request, library):
    """Programs of the old packages may give everything by place, and use what their classes stand on."""
    package = f"cloud_auth_{library}"
    if library == "pkcs":

        def of_key(label):
            return [d.MODULE, "token1", label, d.PIN]
    else:
        tpm = request.getfixturevalue("tpm")
        tpm.hand_over()

        def of_key(label):
            return [tpm.tcti, tpm.options(label)["keyfile"], None, tpm.PASSWORD, None, None, False]

    def kind(module, name):
        return getattr(importlib.import_module(f"{package}.{module}"), name)

    google = kind("gcp", "GCPCredentials")(*of_key("gcp"), e.ROBOT, "one two", "k7", 600)
    with google:
        google.refresh(None)
    claims = jwt.decode(google.token, options={"verify_signature": False})
    assert (claims["scope"], claims["exp"] - claims["iat"]) == ("one two", 600)
    assert google.with_scopes(["three"]).signer.key_id == "k7"
    # That of its code, not that of its README.
    google = kind("gcp", "GCPCredentials")(*of_key("gcp"), e.ROBOT)
    assert google._scopes[1].endswith("/auth/userinfo.email")
    here = {"endpoint_url": emulator.url, "ca_file": str(emulator.ca)}
    aws = kind("aws", "AWSCredentials")(
        *of_key("aws"), str(device.certificates["aws"]), "eu-west-1", 1000, e.ANCHOR, e.PROFILE, e.ROLE, "foo", **here
    )
    assert aws.get_session().get_credentials().get_frozen_credentials().access_key
    aws.close()
    hmac = kind("aws", "AWSHMACCredentials")(
        *of_key("hmac"), "eu-west-1", 1000, e.ACCESS_KEY, d.ROLE, "foo", None, False, **here
    )
    assert hmac.get_session().get_credentials().get_frozen_credentials().access_key
    hmac.close()
    azure = kind("azure", "AzureCredentials")(
        *of_key("azure"), e.TENANT, e.CLIENT, str(device.certificates["azure"]), authority=emulator.host,
        ca_file=str(emulator.ca),
    )  # fmt: skip
    with azure:
        assert azure.get_token("https://vault.azure.net/.default").token
    base = importlib.import_module(f"{package}.base")
    signed = base.BaseCredential(*of_key("gcp")).sign(b"m")
    emulator.keys["robot"].public_key().verify(signed, b"m", padding.PKCS1v15(), hashes.SHA256())
    assert base.sha256(b"m").hex().startswith("62c66a7a")


def test_policies():
    from cloud_auth_tpm.policy import PCRAuthValuePolicy, PCRPolicy, PolicyEval
    from cloud_auth_tpm.policy.pcr import PCRPolicy as same
    from cloudauth._options import KeyOptions, Secrets

    policy = {"description": "d", "policy": [{"type": "POLICYPCR", "pcrs": [{"pcr": 23, "hashAlg": "SHA256"}]}]}
    assert same is PCRPolicy and issubclass(PCRAuthValuePolicy, PolicyEval)
    options = {"keyfile": "k", "policy_impl": PCRPolicy(policy=policy)}
    assert KeyOptions(None, options).uri(Secrets()) == "tpm:file=k?pcrs=sha256:23"
    with pytest.raises(TypeError, match="debug"):
        PCRPolicy(policy=policy, debug=True)
    from cloud_auth_tpm.policy.or_duplicateselect import PolicyORAndDuplicateSelectPolicy

    with pytest.raises(TypeError, match="PolicyORAndDuplicateSelectPolicy.*cloudauth key import"):
        PolicyORAndDuplicateSelectPolicy(policy=policy)


def test_a_policy_of_ones_own(tmp_path):
    """As the old package's README has it: its callback is not passed over in silence."""
    from cloud_auth_tpm.gcp import GCPCredentials
    from cloud_auth_tpm.policy.policy import PolicyEval

    class SignedPolicy(PolicyEval):
        def __init__(self, policy=None, debug=False):
            super().__init__(policy=policy, debug=debug)

        def policy_callback(self, ectx, handle):
            raise AssertionError("called")

    for policy in ({"description": "d", "policy": [{"type": "POLICYSIGNED"}]}, None):
        with pytest.raises(TypeError, match="SignedPolicy.*not supported.*PCRPolicy"):
            GCPCredentials(keyfile="k", email=e.ROBOT, policy_impl=SignedPolicy(policy))
