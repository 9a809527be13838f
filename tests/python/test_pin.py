"""A wrong PIN: told at once, tried once, and no reason to start the program again."""

import json
import os
import pathlib
import subprocess
import sys

import device as d
import emulator as e

# In a process of its own, behind OpenSC's spy, which writes down each call that the token gets.
TRIES = """
import json, sys, threading, traceback
from cloudauth import CloudAuthError, Key
from cloudauth.aws import AWSHMACCredentials
from cloudauth.azure import AzureCredentials
from cloudauth.gcp import GCPCredentials
told = json.loads(sys.argv[1])

def logins():
    return open(told["log"]).read().count(": C_Login\\n")

def google(pin):
    return GCPCredentials(**{**told["gcp"], "pin": pin})

def refused(use, wrong):
    try:
        use()
    except Exception as error:
        text = traceback.format_exc()
        assert "PIN" in str(error) and "CKR_PIN_INCORRECT" in str(error), error
        assert wrong not in text + repr(error), "the PIN is shown"
    else:
        raise SystemExit("a wrong PIN was taken")

for number, wrong in enumerate(["00246813", "13579000"], 1):
    pc = google(wrong)
    threads = [threading.Thread(target=refused, args=(lambda: pc.refresh(None), wrong)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refused(lambda: pc.refresh(None), wrong)
    refused(lambda: pc.sign_bytes(b"m"), wrong)
    # Others with the same PIN for the same token.
    refused(lambda: google(wrong).refresh(None), wrong)
    azure = AzureCredentials(**{**told["azure"], "pin": wrong})
    refused(lambda: azure.get_token("https://vault.azure.net/.default"), wrong)
    aws = AWSHMACCredentials(**{**told["hmac"], "pin": wrong})
    refused(lambda: aws.get_session().get_credentials().get_frozen_credentials(), wrong)
    refused(lambda: Key(told["uri"] + wrong), wrong)
    assert logins() == number, logins()
right = google(told["gcp"]["pin"])
right.refresh(None)
assert right.token.count(".") == 2
assert len(Key(told["uri"] + told["gcp"]["pin"]).sign(b"m")) == 256
assert logins() == 3, logins()
"""


def test_a_wrong_pin(emulator, device, tmp_path):
    spy = next(pathlib.Path("/usr").glob("lib*/**/pkcs11-spy.so"), None)
    assert spy, "OpenSC's pkcs11-spy is not installed: tests/run tools"
    log = tmp_path / "log"
    told = {
        "log": str(log), "uri": f"pkcs11:token=token1;object=gcp;type=private?module-path={spy}&pin-value=",
        "gcp": {**device.options("gcp"), "module": str(spy), "email": e.ROBOT},
        "azure": {**device.options("azure"), "module": str(spy), **device.entra_here()},
        "hmac": {**device.options("hmac"), "module": str(spy), **device.sts_here()},
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", TRIES, json.dumps(told)], capture_output=True, timeout=60, text=True,
        env={**os.environ, "PKCS11SPY": d.MODULE, "PKCS11SPY_OUTPUT": str(log)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    # The token is not a try nearer to its lock: the right PIN came last.
    shown = d.call("pkcs11-tool", "--module", d.MODULE, "--list-token-slots", env=device.env)
    assert "token1" in shown and "PIN count low" not in shown and "locked" not in shown, shown
