"""How long credentials, keys and memory last: renewal, forks, and nothing that stays behind."""

import json
import os
import pathlib
import subprocess
import sys
import threading
import time

import pytest

import emulator as e

HERE = pathlib.Path(__file__).parent


def run(folder, *args, **env):
    done = subprocess.run(
        [sys.executable, *map(str, args)], capture_output=True, timeout=240, cwd=HERE, env={**os.environ, **env}
    )
    assert done.returncode == 0, (done.returncode, done.stdout.decode(), done.stderr.decode())
    return done.stdout.decode()


def test_an_hour(emulator, device, tmp_path):
    """Each credential is renewed once in an hour, however many threads use it."""
    shim = tmp_path / "clock.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", shim, HERE / "clock.c"], check=True)
    told = tmp_path / "told.json"
    told.write_text(json.dumps({
        "clock": f"{emulator.http_url}/_emulator/clock",
        "gcp": {**device.options("gcp"), "email": e.ROBOT},
        "aws": {**device.options("aws"), **device.anywhere_here()},
        "azure": {**device.options("azure"), **device.entra_here()},
    }))  # fmt: skip
    try:
        found = json.loads(run(tmp_path, "hour.py", shim, told, LD_PRELOAD=str(shim)))
    finally:
        emulator.control("clock", {"offset": 0})
    # The first one, and the one that took its place.
    assert found == {"failures": [], "gcp": 2, "aws": 2, "azure": 2}
    for service in ("roles-anywhere", "entra"):
        assert len(emulator.control(f"requests?service={service}")) == 2, service


FORK = """
import json, os, sys
from cloudauth import ForkError, Key
from cloudauth.aws import AWSCredentials
from cloudauth.azure import AzureCredentials
from cloudauth.gcp import GCPCredentials
told = json.loads(sys.argv[1])
key, other = Key(told["uri"]), Key(told["uri"])
before = GCPCredentials(**told["gcp"])
google = GCPCredentials(**told["gcp"])
aws = AWSCredentials(**told["aws"])
azure = AzureCredentials(**told["azure"])
google.refresh(None), azure.get_token("https://vault.azure.net/.default")
aws.get_session().get_credentials().get_frozen_credentials()
first = key.sign(b"m")

def refused(use):
    try:
        use()
    except ForkError as error:
        assert "fork" in str(error)
    else:
        raise SystemExit(f"{use} went on in the child")

child = os.fork()
if child == 0:
    refused(lambda: key.sign(b"m"))
    refused(lambda: google.refresh(None))
    refused(lambda: aws.get_session())
    refused(lambda: azure.get_token("https://vault.azure.net/.default"))
    # Its parent's are left alone, closed or dropped.
    other.close()
    del other
    # What the child makes for itself works: also with a credential that its parent had not used.
    with Key(told["uri"]) as own:
        assert own.sign(b"m") == first
    before.refresh(None)
    AWSCredentials(**told["aws"]).get_session().get_credentials().get_frozen_credentials()
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
# And the parent goes on.
assert key.sign(b"m") == other.sign(b"m") == first
aws.get_session().get_credentials().get_frozen_credentials()
print("good")
"""


def test_a_fork(emulator, device, tmp_path):
    """Of a process that has used everything: a clear error in the child, which SoftHSM would not give."""
    told = {
        "uri": device.uri("gcp"), "gcp": {**device.options("gcp"), "email": e.ROBOT},
        "aws": {**device.options("aws"), **device.anywhere_here()},
        "azure": {**device.options("azure"), **device.entra_here()},
    }  # fmt: skip
    assert run(tmp_path, "-c", FORK, json.dumps(told)) == "good\n"


LEAK = """
import gc, json, sys
from cloudauth import CloudAuthError, Client, Key, MACKey
from cloudauth.gcp import GCPCredentials
told = json.loads(sys.argv[1])
key, mac, google = Key(told["key"]), MACKey(told["mac"]), GCPCredentials(**told["gcp"])
google.refresh(None)
live = google._live

def once(number):
    key.sign(b"m")
    mac.hmac_sha256(b"m")
    live.bearer_token("credential")
    try:
        live.aws_keys("credential")
    except CloudAuthError:
        pass
    # What costs threads and sessions, now and then: dropped, not closed.
    if number % 20 == 0:
        Client(text="[profiles]")
        GCPCredentials(**told["gcp"]).refresh(None)

def resident():
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4

for number in range(1500):
    once(number)
start = resident()
for number in range(10000):
    once(number)
import os
print(resident() - start, len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task")))
"""


def test_ten_thousand_calls(device, tmp_path):
    told = {
        "key": device.uri("gcp"), "mac": device.uri("hmac"), "gcp": {**device.options("gcp"), "email": e.ROBOT},
    }  # fmt: skip
    grown, files, threads = map(int, run(tmp_path, "-c", LEAK, json.dumps(told)).split())
    # 100 octets a call would be a megabyte.
    assert grown < 1024, f"{grown} KiB more after 10,000 calls"
    assert files < 40 and threads < 20


def test_other_threads_run_while_a_device_signs(tpm):
    """The interpreter's lock is let go: a TPM takes its time, and a counter goes on."""
    from cloudauth import Key
    from cloudauth._options import KeyOptions, Secrets

    secrets = Secrets()
    key = Key(KeyOptions(None, tpm.options("gcp")).uri(secrets))
    key.sign(b"m")
    stop, ticks = threading.Event(), [0]

    def count():
        while not stop.is_set():
            ticks[0] += 1
            time.sleep(0.0001)

    thread = threading.Thread(target=count)
    thread.start()
    ticks[0] = 0
    for _ in range(50):
        key.sign(b"m")
    seen = ticks[0]
    stop.set()
    thread.join()
    assert seen > 50, seen


def test_import_is_light(tmp_path):
    """Neither an SDK nor the library is loaded before it is asked for."""
    code = (
        "import sys, cloudauth, cloudauth._native as n\n"
        "assert n._loaded is None\n"
        "assert not {'google.auth', 'boto3', 'botocore', 'azure.core', 'requests', 'ssl'} & set(sys.modules)\n"
    )
    run(tmp_path, "-c", code)


@pytest.mark.parametrize("module", ["gcp", "aws", "azure", "azure.aio"])
def test_each_module_needs_its_own_sdk_alone(tmp_path, module):
    others = {"gcp": "google", "aws": "boto3", "azure": "azure.core", "azure.aio": "azure.core"}
    wrong = sorted(set(others.values()) - {others[module]})
    code = f"import sys, cloudauth.{module}\nassert not set({wrong}) & set(sys.modules)\n"
    run(tmp_path, "-c", code)
