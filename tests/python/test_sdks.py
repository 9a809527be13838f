"""What the clouds' own packages expect of a credential: its errors, its copies, and when it asks whom."""

import asyncio
import base64
import copy
import json
import pathlib
import pickle
import socket
import threading
import time

import azure.core.exceptions
import botocore.exceptions
import google.auth.exceptions
import google.auth.impersonated_credentials
import pytest
from azure.core import PipelineClient
from azure.core.pipeline.policies import BearerTokenCredentialPolicy, RetryPolicy
from azure.core.rest import HttpRequest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

import emulator as e
from cloudauth import CloudAuthError, ForkError
from cloudauth.aws import AWSCredentials, AWSHMACCredentials, RetrievalError
from cloudauth.azure import AzureCredentials
from cloudauth.azure.aio import AzureCredentials as AsyncAzureCredentials
from cloudauth.gcp import GCPCredentials, IDTokenCredentials, SigningError

VAULT = "https://vault.azure.net/.default"
CHALLENGE = '{"access_token":{"nbf":{"essential":true,"value":"1"}}}'


def asked(emulator, service="entra"):
    return emulator.control(f"requests?service={service}")


# Google


def test_a_subject_asks_google(emulator, device):
    """Delegation is Google's to grant: a token that the key signs alone would be the robot's own."""
    here = {"endpoint_url": emulator.url, "ca_file": emulator.ca, "email": e.ROBOT, "scopes": ["one"]}
    pc = GCPCredentials(**device.options("gcp"), **here, subject="user@a.example")
    # The emulator delegates nothing.
    with pytest.raises(google.auth.exceptions.RefreshError, match="unauthorized_client"):
        pc.with_scopes(["two"]).refresh(None)
    (request,) = asked(emulator, "google-oauth")
    # Its signature is not written down.
    payload = request["form"]["assertion"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert (claims["iss"], claims["sub"], claims["scope"]) == (e.ROBOT, "user@a.example", "two")
    # For itself it may.
    own = GCPCredentials(**device.options("gcp"), **here, subject=e.ROBOT)
    own.refresh(None)
    assert own.valid and len(asked(emulator, "google-oauth")) == 2
    with pytest.raises(ValueError, match="subject"):
        GCPCredentials(**device.options("gcp"), **{**here, "subject": None})


class Sub(GCPCredentials):
    def __init__(self, **options):
        super().__init__(**options)
        self.extra = 1


def test_copies(device):
    pc = Sub(**device.options("gcp"), email=e.ROBOT)
    pc.with_non_blocking_refresh()
    pc._universe_domain = "a.example"
    pc.refresh(None)
    for same in (copy.copy(pc), copy.deepcopy(pc)):
        assert type(same) is Sub and same.valid and same.token == pc.token
    for other in (pc.with_scopes(["x"]), pc.with_quota_project("q"), copy.copy(pc)):
        assert (other.extra, other._use_non_blocking_refresh, other.universe_domain) == (1, True, "a.example")
        assert other._refresh_worker is not pc._refresh_worker and other._guard is not pc._guard
        other.refresh(None)
        assert other.valid
    assert not pc.with_scopes(["x"]).token
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(pc)
    ids = IDTokenCredentials(**device.options("gcp"), email=e.ROBOT, target_audience="a")
    assert ids.with_target_audience("b")._target_audience == copy.copy(ids.with_target_audience("b"))._target_audience
    google.auth.impersonated_credentials.Credentials(
        source_credentials=pc, target_principal="other@a.iam.gserviceaccount.com", target_scopes=["a"]
    )


def test_closing(device):
    with GCPCredentials(**device.options("gcp"), email=e.ROBOT) as pc:
        pc.refresh(None)
        other = pc.with_scopes(["x"])
        assert pc.sign_bytes(b"m") == other.sign_bytes(b"m")
    pc.close()
    with pytest.raises(google.auth.exceptions.RefreshError, match="closed"):
        pc.refresh(None)
    with pytest.raises(SigningError, match="closed"):
        pc.sign_bytes(b"m")
    other.refresh(None)
    assert other.sign_bytes(b"m")


def test_errors_of_signing(device, emulator):
    lost = GCPCredentials(**{**device.options("gcp"), "label": "missing"}, email=e.ROBOT)
    curve = GCPCredentials(**device.options("aws-ec"), email=e.ROBOT)
    for pc, words in [(lost, "missing"), (curve, "RSA")]:
        for sign in (pc.sign_bytes, pc.signer.sign):
            with pytest.raises(google.auth.exceptions.GoogleAuthError, match=words) as caught:
                sign(b"m")
            assert isinstance(caught.value, CloudAuthError) and caught.value.code < 0
    pc = GCPCredentials(**device.options("gcp"), email=e.ROBOT)
    emulator.keys["robot"].public_key().verify(pc.sign_bytes(b"m"), b"m", padding.PKCS1v15(), hashes.SHA256())


# AWS


def test_errors_of_botocore(emulator, device):
    session = AWSCredentials(**device.options("azure"), **device.anywhere_here()).get_session()
    with pytest.raises(botocore.exceptions.BotoCoreError, match="certificate") as caught:
        session.client("s3", endpoint_url=emulator.url, verify=str(emulator.ca)).list_buckets()
    assert type(caught.value) is RetrievalError and caught.value.code < 0
    same = pickle.loads(pickle.dumps(caught.value))
    assert str(same) == str(caught.value) and same.kwargs == caught.value.kwargs
    assert not issubclass(ForkError, botocore.exceptions.BotoCoreError)


def test_the_region_of_the_variable(emulator, device, monkeypatch):
    """Where STS is, the session is."""
    options = device.sts_here()
    del options["region"]
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    session = AWSHMACCredentials(**device.options("hmac"), **options).get_session()
    assert session.region_name == "eu-west-1"
    assert session.get_credentials().get_frozen_credentials().access_key


def test_paths(emulator, device):
    """Paths of any kind are taken where a path is wanted, and octets nowhere else."""
    path = pathlib.Path(device.certificates["azure"])
    for certificate in (path, bytes(path)):
        here = {**device.entra_here(), "certificate_path": certificate, "ca_file": emulator.ca}
        assert AzureCredentials(**device.options("azure"), **here).get_token(VAULT).token
    options = {**device.options("aws"), "module": pathlib.Path(device.options("aws")["module"])}
    here = {**device.anywhere_here(), "public_certificate_file": pathlib.Path(device.certificates["aws"])}
    assert AWSCredentials(**options, **here).get_session().get_credentials().get_frozen_credentials()
    with pytest.raises(TypeError, match="certificate_path.*int"):
        AzureCredentials(**device.options("azure"), **{**device.entra_here(), "certificate_path": 7})
    for name in ("role_arn", "session_name"):
        with pytest.raises(TypeError, match=f"{name}.*bytes"):
            AWSCredentials(**device.options("aws"), **{**device.anywhere_here(), name: b"abc"})


# Azure


def test_a_transient_failure_is_tried_again(device):
    tries = []

    class Counted(AzureCredentials):
        def get_token_info(self, *scopes, options=None):
            tries.append(1)
            return super().get_token_info(*scopes, options=options)

    nobody = Counted(**device.options("azure"), **{**device.entra_here(), "authority": "127.0.0.1:1"})
    policies = [RetryPolicy(retry_total=2, retry_backoff_factor=0.01), BearerTokenCredentialPolicy(nobody, VAULT)]
    with pytest.raises(azure.core.exceptions.ServiceRequestError) as caught:
        PipelineClient("https://a.example", policies=policies).send_request(HttpRequest("GET", "https://a.example/"))
    assert len(tries) == 3 and caught.value.__cause__.transient
    wrong = AzureCredentials(**device.options("gcp"), **device.entra_here())
    with pytest.raises(azure.core.exceptions.ClientAuthenticationError):
        wrong.get_token(VAULT)


def test_one_challenge_for_all(emulator, device, monkeypatch):
    pc = AzureCredentials(**device.options("azure"), **device.entra_here())
    first = pc.get_token(VAULT)
    emulator.control("clock", {"offset": 2})
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(pc.get_token(VAULT, claims=CHALLENGE))) for _ in range(30)
    ]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(asked(emulator)) == 2 and len(found) == 30 and set(found) == {pc.get_token(VAULT)} != {first}
    # The same one again, much later: what came of it was refused.
    monkeypatch.setattr("cloudauth.azure._NEW", 0.0)
    pc.get_token(VAULT, claims=CHALLENGE)
    assert len(asked(emulator)) == 3
    emulator.control("clock", {"offset": 0})


def test_when_to_renew(emulator, device):
    pc = AzureCredentials(**device.options("azure"), **device.entra_here())
    info = pc.get_token_info(VAULT)
    assert info.refresh_on == info.expires_on - 900 and info.refresh_on > time.time() + 30


def test_a_silent_service_holds_up_nobody_else(emulator, device):
    async def main(silent):
        here = {**device.entra_here(), "authority": f"127.0.0.1:{silent.getsockname()[1]}"}
        stuck = AsyncAzureCredentials(**device.options("azure"), **here)
        good = AsyncAzureCredentials(**device.options("azure"), **device.entra_here())
        token = await good.get_token(VAULT)
        tasks = [asyncio.create_task(stuck.get_token(VAULT)) for _ in range(40)]
        await asyncio.sleep(0.2)
        start = time.monotonic()
        await asyncio.get_running_loop().getaddrinfo("localhost", 80)
        assert await good.get_token(VAULT) == token
        assert (await good.get_token_info(VAULT)).token == token.token
        assert time.monotonic() - start < 2
        # A token that is kept needs no thread at all.
        good._threads.shutdown()
        assert await good.get_token(VAULT) == token
        for task in tasks:
            task.cancel()
        # Who waits is let go, and answered.
        silent.close()

    with socket.create_server(("127.0.0.1", 0), backlog=100) as silent:
        asyncio.run(main(silent))
