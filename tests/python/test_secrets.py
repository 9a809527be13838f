"""Secrets: where they go, what shows them, and the descriptors that carry them."""

import gc
import os
import traceback

import pytest

import device as d
import emulator as e
from cloudauth import CloudAuthError, Key, MACKey
from cloudauth._options import PROFILE
from cloudauth.aws import AWSCredentials
from cloudauth.azure import AzureCredentials
from cloudauth.azure.aio import AzureCredentials as Aio
from cloudauth.gcp import GCPCredentials

PASSWORD = "a-password-2468"


def shown(use, *args, **options):
    """What a report of the failure would show, without the caller's own frame."""
    try:
        use(*args, **options)
    except Exception as error:
        told = traceback.TracebackException(type(error), error, error.__traceback__.tb_next, capture_locals=True)
        return "".join(told.format())
    raise AssertionError(f"{options} were taken")


def test_locals_show_no_secret(device):
    aws, azure, google = device.anywhere_here(), device.entra_here(), {"email": e.ROBOT, "subject": "u"}
    from cloud_auth_pkcs.aws import AWSCredentials as Old

    for key in (device.options("aws"), {"key": device.uri("aws")}):
        text = shown(AWSCredentials, **key, **{**aws, "ca_file": "/missing"})
        assert "/missing" in text and d.PIN not in text, text
        text = shown(GCPCredentials(**key, **google, ca_file="/missing").refresh, None)
        text += shown(AzureCredentials(**key, **{**azure, "ca_file": "/missing"}).get_token, "https://a.example")
        assert text.count('read file "/missing"') >= 2 and d.PIN not in text, text
    for kind, options in [(AWSCredentials, aws), (GCPCredentials, google), (AzureCredentials, azure), (Old, aws)]:
        text = shown(kind, **device.options("aws"), **options, no_such_option=1)
        assert "no_such_option" in text and d.PIN not in text, text
    text = shown(Old, **device.options("aws"), **{**aws, "ca_file": "/missing"})
    assert "/missing" in text and d.PIN not in text, text
    tpm = {"keyfile": "/k", "password": PASSWORD, "ownerpassword": PASSWORD + "2"}
    for wrong in ({"system_dir": "/s"}, {"use_ek_cert": "yes"}, {"email": ""}, {"policy_impl": 7}):
        assert PASSWORD not in shown(GCPCredentials, **{**tpm, "email": e.ROBOT, **wrong})
    for kind in (Key, MACKey):
        text = shown(kind, device.uri("no-such-label"))
        assert "no-such-label" in text and d.PIN not in text, text
    for more in ({"no_such_option": 1}, {}):
        assert d.PIN not in shown(Aio, **device.options("azure"), **more)
        assert d.PIN not in shown(Aio, device.uri("azure"), **more)
    pem = device.pems["gcp"].read_text()
    text = shown(AzureCredentials, "file:/k", **{**azure, "certificate_path": pem})
    last = text.splitlines()[-1]
    assert "expected a path" in last and pem.splitlines()[1] not in last
    for pin in (84310975, b"84310975", "84310975\ud800", "84310975" * 1000):
        assert "84310975" not in shown(GCPCredentials, **{**device.options("gcp"), "pin": pin, "email": e.ROBOT})


def test_a_client_in_use_keeps_its_password(device, tpm):
    """Though so many others were asked for meanwhile that it is not kept any more."""
    azure = AzureCredentials(**tpm.options("azure"), **device.entra_here())
    scope = ("https://vault.azure.net/.default",)
    used = azure._client(azure._tenant, scope, False, None).client
    for number in range(33):
        azure._client(azure._tenant, (f"https://s{number}.example/.default",), False, None)
    gc.collect()
    assert used.bearer_token(PROFILE).token
    azure.close()


def test_failures_leave_no_descriptor(tpm):
    wrong = {**tpm.options("gcp"), "tcti": "swtpm:host=127.0.0.1,port=1"}
    pc = GCPCredentials(**wrong, email=e.ROBOT)
    gc.disable()
    try:
        kept, start = [], len(os.listdir("/proc/self/fd"))
        for _ in range(20):
            with pytest.raises(CloudAuthError) as caught:
                pc.sign_bytes(b"m")
            with pytest.raises(CloudAuthError):
                pc.signer.sign(b"m")
            # With all frames of the failure.
            kept.append(caught)
        assert len(os.listdir("/proc/self/fd")) <= start + 1
    finally:
        gc.enable()


def test_a_password_that_ends_with_a_line_end(device, tpm):
    tpm.hand_over()
    (tpm.folder / "password").write_bytes(b"two lines\n\n")
    tpm.load("rsa", device.pems["gcp"], "line", password="file:password")
    pem = str(tpm.folder / "line.pem")
    # What stands in a file is taken as it is by the tools, and that is the password.
    pc = GCPCredentials(tcti=tpm.tcti, keyfile=pem, password="two lines\n\n", email=e.ROBOT)
    assert pc.sign_bytes(b"m")
    pc.close()
