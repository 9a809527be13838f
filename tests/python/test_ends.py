"""Forks and the interpreter's end, while other threads are at work."""

import json
import signal
import socket
import subprocess
import sys

import pytest

import emulator as e


def run(code, told, timeout=120):
    return subprocess.run(
        [sys.executable, "-c", code, json.dumps(told)], capture_output=True, timeout=timeout, text=True
    )  # fmt: skip


START = """
import json, os, signal, sys, threading, time
from cloudauth import CloudAuthError, ForkError, Key, _native
from cloudauth.azure import AzureCredentials
from cloudauth.gcp import GCPCredentials
told = json.loads(sys.argv[1])

def child(work):
    number = os.fork()
    if number == 0:
        # It ends, whatever it waits for.
        signal.alarm(10)
        try:
            work()
            os._exit(0)
        except BaseException as error:
            print(repr(error), flush=True)
            os._exit(4)
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])
"""

AT_WORK = START + """
stop = threading.Event()

def opens():
    while not stop.is_set():
        with Key(told["uri"]) as key:
            key.sign(b"m")

def signs():
    key = Key(told["uri"])
    while not stop.is_set():
        key.sign(b"m")

def own():
    with Key(told["uri"]) as key:
        assert len(key.sign(b"m")) == 256

threads = [threading.Thread(target=work) for work in (opens, signs) * 2]
for thread in threads:
    thread.start()
found = [child(own) for _ in range(40)]
stop.set()
for thread in threads:
    thread.join()
# The parent goes on.
own()
assert found == [0] * 40, found
"""


def test_forks_while_threads_sign(device):
    """No child inherits a lock of SoftHSM's that a thread of its parent holds."""
    done = run(AT_WORK, {"uri": device.uri("gcp")})
    assert done.returncode == 0, (done.stdout, done.stderr)


TOO_LONG = START + """
_native.gate.WAIT = 0.5
azure = AzureCredentials(**told["azure"])
thread = threading.Thread(target=lambda: azure.get_token("https://a.example/.default"), daemon=True)
thread.start()
while not azure._kept or not _native.gate._inside:
    time.sleep(0.01)

def refused():
    try:
        Key(told["uri"])
    except ForkError as error:
        assert "spawn" in str(error)
    else:
        raise SystemExit("it went on")

assert child(refused) == 0
with Key(told["uri"]) as key:
    assert key.sign(b"m")
os._exit(0)
"""


@pytest.fixture
def silent():
    """A service that takes a connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_a_fork_does_not_wait_for_ever(device, silent):
    told = {
        "uri": f"file:{device.pems['gcp']}",
        "azure": {"key": f"file:{device.pems['azure']}", **device.entra_here(), "authority": silent},
    }
    done = run(TOO_LONG, told, 30)
    assert done.returncode == 0, (done.stdout, done.stderr)


LOCKED = START + """
google, azure, unused = GCPCredentials(**told["gcp"]), AzureCredentials(**told["azure"]), GCPCredentials(**told["gcp"])
locks = [google._guard, google._account._lock, azure._lock]
held, free = threading.Event(), threading.Event()

def hold():
    with locks[0], locks[1], locks[2]:
        held.set()
        free.wait()

thread = threading.Thread(target=hold)
thread.start()
held.wait()

def own():
    google.refresh(None)
    assert google.sign_bytes(b"m")
    azure.get_token("https://vault.azure.net/.default")
    azure.close()

assert child(own) == 0
free.set()
thread.join()
own()
"""


def test_a_fork_during_the_first_token(device, emulator):
    """What another thread was making, the child makes for itself."""
    told = {
        "gcp": {**device.options("gcp"), "email": e.ROBOT}, "azure": {**device.options("azure"), **device.entra_here()},
    }  # fmt: skip
    done = run(LOCKED, told)
    assert done.returncode == 0, (done.stdout, done.stderr)


AT_THE_END = """
import atexit, json, sys, threading, time
from cloudauth import Key
told = json.loads(sys.argv[1])
mine = Key(told)
# Registered after the package's own is, but the library's functions are what counts: the main thread may go on.
import cloudauth._native as native
atexit.unregister(native.gate.end)
atexit.register(lambda: print(len(mine.sign(b"m"))))
atexit.register(native.gate.end)

def work():
    key = Key(told)
    while True:
        key.sign(b"m")

for _ in range(6):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.3)
"""


def test_the_end_waits_for_who_signs(device):
    """SoftHSM's statics go away with the process: nobody is to be in it then."""
    for _ in range(40):
        done = run(AT_THE_END, device.uri("gcp"), 60)
        assert done.returncode == 0 and done.stdout == "256\n", (signal.Signals(-done.returncode), done.stderr)


LEFT = """
import json, sys
from cloudauth import Key
from cloudauth.gcp import GCPCredentials
from cloudauth._options import KeyOptions
told = json.loads(sys.argv[1])
key = KeyOptions(None, dict(told)).open()
credential = GCPCredentials(**told, email="a@b.example")
credential.refresh(None)
class Knot:
    pass
knot = Knot()
knot.own, knot.credential = knot, credential
print(len(key.sign(b"m")), credential.token.count("."))
"""


def test_nothing_stays_in_a_tpm(tpm):
    """Of what was not closed, in a TPM whose three slots nobody lends."""
    tpm.hand_over()
    for _ in range(4):
        done = run(LEFT, tpm.options("gcp"))
        assert (done.returncode, done.stdout) == (0, "256 2\n"), done.stderr
        assert done.stderr == ""
    for kind in ("transient", "loaded-session"):
        assert tpm.call("tpm2_getcap", f"handles-{kind}") == ""
