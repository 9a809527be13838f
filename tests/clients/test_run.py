"""`cloudauth run` whole: attestation, broker and vault, whose secrets reach a command, are renewed, and end. What the
program does with files, signals and processes is in its own tests (std-backends/cli/tests/integration/run.rs)."""

import hashlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

import emulator as e
import support
from test_emulator import no_network  # noqa: F401 (fixture)

LEASE = 10
SECRET = "the-vault's-s3cret"
DIGEST = "sha256:" + "1" * 64
DAY = 86400


class World(e.Emulator):
    """An emulator with a teeserver and a vault, a broker with a grant of secrets, and what `run` needs."""

    def __init__(self, cloudauth, folder):
        self.path, self.folder = cloudauth.path, folder
        self.memory = pathlib.Path(tempfile.mkdtemp(dir="/dev/shm"))
        self.directory = self.memory / "app"
        self.key = support.new_key("p-256")
        self.tls = e.certify(self.key, "service", "service", self.key)
        self.client_key = support.private_file(folder / "app.secret", e.CLIENT_SECRET)
        server = subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
             "30", "-subj", "/CN=broker", "-addext", "subjectAltName=DNS:localhost", "-addext",
             "basicConstraints=CA:FALSE", "-keyout", folder / "broker.key", "-out", folder / "broker.pem"],
            capture_output=True, check=False,
        )  # fmt: skip
        assert server.returncode == 0, server.stderr
        self.file("emulator.toml", self.config())
        self.process = subprocess.Popen(
            [self.path, "emulator", "--config", folder / "emulator.toml", "--state-dir", folder,
             "--listen-http", "127.0.0.1:0", "--teeserver", folder / "tee.sock"],
            stdout=subprocess.PIPE, env={}, text=True,
        )  # fmt: skip
        line = json.loads(self.process.stdout.readline())
        self.url, self.http_url, self.ca = line["url"], line["http_url"], line["ca_file"]
        self.rotate(SECRET)
        self.address = "127.0.0.1:0"
        self.start_broker()

    def file(self, name, text):
        path = self.folder / name
        path.unlink(missing_ok=True)
        return support.private_file(path, text)

    def config(self):
        return f"""
[[entra.applications]]
tenant = "{e.TENANT}"
client_id = "{e.CLIENT}"
secrets = ["{e.CLIENT_SECRET}"]

[attestation.confidential_space]
image_digest = "{DIGEST}"
"""

    def rotate(self, value, **more):
        pem = support.key_pem(self.key) + support.cert_pem(self.tls)
        vault = {
            "name": "contoso", "tenant": e.TENANT, "readers": [e.CLIENT],
            "secrets": [{"name": "sample-secret", "value": value, **more}],
            "certificates": [{"name": "flask", "pem": pem}],
        }  # fmt: skip
        self.control("register", {"vaults": [vault]})

    def start_broker(self, secrets=""):
        self.file("broker.toml", f"""
audience = "https://broker.example"
ca-file = "{self.ca}"
[server]
listen = "{self.address}"
admin-listen = "off"
certificate = "broker.pem"
key = "file:{self.folder}/broker.key"
records = "records.jsonl"
[issuers.demo]
kind = "confidential-space"
issuer = "{self.url}/confidential-space"
keys = "discovery"
trusted-ca = "{self.ca}"
[grants.rest-api.attested]
issuer = "demo"
image-digests = ["{DIGEST}"]
dbgstat = "disabled-since-boot"
swname = "CONFIDENTIAL_SPACE"
hwmodel = ["GCP_AMD_SEV", "GCP_INTEL_TDX"]
projects = ["demo-project"]
[grants.rest-api.give]
kind = "secrets"
lease = {LEASE}
vault = "https://contoso.vault.azure.net"
vault-endpoint-url = "{self.url}"
tenant = "{e.TENANT}"
client-id = "{e.CLIENT}"
client-secret = "file:{self.client_key}"
authority = "{self.url}"
[grants.rest-api.give.secrets]
api-key = {{ secret = "sample-secret" }}
tls = {{ certificate = "flask" }}
{secrets}
""")  # fmt: skip
        log = open(self.folder / "broker.log", "ab")
        self.broker = subprocess.Popen(
            [self.path, "broker", "serve", "--config", self.folder / "broker.toml"],
            stdout=subprocess.PIPE, stderr=log, env={}, text=True,
        )  # fmt: skip
        log.close()
        line = self.broker.stdout.readline()
        assert line, (self.folder / "broker.log").read_text()
        # The same port after a restart.
        self.address = re.search(r"127\.0\.0\.1:\d+", line)[0]

    def stop_broker(self):
        self.broker.terminate()
        self.broker.wait(20)
        self.broker.stdout.close()

    def stop(self):
        self.stop_broker()
        super().stop()

    def run_toml(self, renewal, trust):
        port = self.address.rpartition(":")[2]
        return self.file("run.toml", f"""
[attested]
url = "https://localhost:{port}"
{trust}
grant = "rest-api"
audience = "https://broker.example"
teeserver = "tee.sock"
[environment]
API_KEY = "${{api-key}}"
[files]
directory = "{self.directory}"
[files.content]
"key" = "${{api-key}}"
"tls/flask.crt" = "${{tls.crt}}${{tls.chain}}"
"tls/flask.key" = "${{tls.key}}"
[renewal]
{renewal}
""")  # fmt: skip

    def run(self, script, renewal="", trust='ca-file = "broker.pem"', **env):
        """Starts a shell below `cloudauth run`."""
        command = [self.path, "run", "--config", self.run_toml(renewal, trust), "--", "/bin/sh", "-c", script]
        env = {"PATH": "/usr/bin:/bin", **env}
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdout=pipe, stderr=pipe, env=env, text=True, cwd=self.folder)

    def content(self, name="key"):
        try:
            return (self.directory / name).read_text()
        except FileNotFoundError:
            return None

    def deliveries(self):
        return sum('"verdict":"granted"' in line for line in (self.folder / "records.jsonl").read_text().splitlines())


@pytest.fixture
def world(cloudauth, tmp_path):
    world = World(cloudauth, tmp_path)
    yield world
    world.stop()
    assert not world.directory.exists()
    world.memory.rmdir()


def until(what, is_so, limit=40):
    end = time.monotonic() + limit
    while not is_so():
        assert time.monotonic() < end, f"not in time: {what}"
        time.sleep(0.02)


def finish(process, timeout=40):
    out, err = process.communicate(timeout=timeout)
    assert SECRET not in err
    return process.returncode, out, err


# Goes on until it is told to end.
SERVE = "trap 'echo changed' HUP; while :; do sleep 0.05; done"


def test_secrets_of_the_vault(world):
    script = f"""test "$API_KEY" = "{SECRET}" && cd $CLOUDAUTH_RUN_DIRECTORY && cat tls/flask.key tls/flask.crt"""
    code, out, err = finish(world.run(script))
    assert (code, err) == (0, "")
    # The service can serve with them: the key is the certificate's.
    assert "-----BEGIN PRIVATE KEY-----" in out and support.cert_pem(world.tls).strip() in out
    # From start to start, with everything that the emulator does meanwhile.
    times = []
    for _ in range(5):
        start = time.time()
        code, out, err = finish(world.run("date +%s.%N"))
        times.append(float(out) - start)
    print(f"start to start: {sorted(times)}")
    # The goal is 100 ms over what the emulator takes; on a busy machine the best of them counts.
    assert min(times) < 0.3


def test_a_hundred_secrets(world):
    names = [f"s{i}" for i in range(100)]
    secrets = [{"name": name, "value": f"{SECRET} {name}"} for name in names]
    vault = {"name": "contoso", "tenant": e.TENANT, "readers": [e.CLIENT], "secrets": secrets}
    world.control("register", {"vaults": [vault]})
    world.stop_broker()
    world.start_broker("\n".join(f'{name} = {{ secret = "{name}" }}' for name in names))
    world.control("requests", method="DELETE")
    config = world.run_toml("", 'ca-file = "broker.pem"').read_text()
    files = "".join(f'"{name}" = "${{{name}}}"\n' for name in names)
    world.file("many.toml", config.replace("[renewal]", files + "[renewal]"))
    command = [world.path, "run", "--config", world.folder / "many.toml", "--", "/bin/sh", "-c"]
    start = time.time()
    script = "date +%s.%N; cat $CLOUDAUTH_RUN_DIRECTORY/s*"
    out = subprocess.run([*command, script], env={"PATH": "/usr/bin:/bin"}, capture_output=True, check=True).stdout
    began, _, values = out.decode().partition("\n")
    assert values == "".join(f"{SECRET} {name}" for name in sorted(names))
    took = float(began) - start
    print(f"start to start with 100 secrets: {took}")
    # The goal for a renewal is a second, and one attestation.
    assert took < 3
    asked = world.control("requests?service=teeserver")
    assert len(asked["requests"] if isinstance(asked, dict) else asked) == 1


def test_rotation_and_what_is_in_between(world):
    running = world.run(SERVE, 'on-change = "SIGHUP"')
    until("started", lambda: world.content("tls/flask.key"))
    # No other process than the command has them in its environment or its arguments.
    for path in ["environ", "cmdline"]:
        assert SECRET.encode() not in pathlib.Path(f"/proc/{running.pid}/{path}").read_bytes()
    world.rotate("the second")
    until("rotated", lambda: world.content() == "the second")
    # A vault that throttles, denies or is down takes nothing away.
    for fault in [{"kind": "throttle"}, {"kind": "status", "status": 403}, {"kind": "status", "status": 503}]:
        world.fault(fault.pop("kind"), "key-vault", count=4, **fault)
        time.sleep(1)
        assert world.content() == "the second"
    world.control("fault", method="DELETE")
    world.rotate("the third")
    until("rotated", lambda: world.content() == "the third")
    # Nor does a broker that is started again.
    world.stop_broker()
    # Long enough for an attempt, not for the end of the lease.
    time.sleep(LEASE * 0.8)
    assert world.content() == "the third"
    world.rotate("the fourth")
    world.start_broker()
    until("rotated", lambda: world.content() == "the fourth")
    # The shell is to be told of the last, too, before it ends.
    time.sleep(0.5)
    running.send_signal(signal.SIGTERM)
    code, out, err = finish(running)
    assert code == 143 and out == "changed\n" * 3, (out, err)
    assert "could not be renewed" in err and "renewed again" in err
    # One search of all that was written.
    for path in world.folder.rglob("*"):
        if path.is_file() and path.name not in ("emulator.toml",):
            assert SECRET.encode() not in path.read_bytes(), path


def test_nothing_starts_without_everything(world):
    def refused(says):
        code, out, err = finish(world.run("echo started"))
        assert (code, out) == (5, ""), err
        assert says in err and not world.directory.exists()

    faults = [("throttle", {"retry_after": 30}, ""), ("status", {"status": 403}, "upstream"), ("reset", {}, "")]
    for kind, more, says in faults:
        world.fault(kind, "key-vault", count=20, **more)
        refused(says or "unavailable")
        world.control("fault", method="DELETE")
    world.rotate("x", enabled=False)
    refused("upstream")
    world.rotate(SECRET)
    world.fault("status", "teeserver", count=20)
    refused("attestation")
    world.control("fault", method="DELETE")
    world.stop_broker()
    refused("connect")
    world.start_broker()
    assert finish(world.run("echo started"))[:2] == (0, "started\n")


@pytest.fixture(scope="module")
def clock(tmp_path_factory):
    library = tmp_path_factory.mktemp("clock") / "clock.so"
    source = pathlib.Path(__file__).with_name("clock.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


def test_the_clock_jumps_by_a_day(world, clock):
    offset = world.folder / "offset"
    offset.write_text("0")
    env = {"LD_PRELOAD": str(clock), "CLOCK_FILE": str(offset)}

    def jump(seconds):
        new = world.folder / "offset.new"
        new.write_text(str(seconds))
        os.replace(new, offset)

    # Forward: seen at once, long before the lease was due, and renewed; the broker's time says for how long.
    running = world.run(SERVE, "stop-after = 1", **env)
    until("started", lambda: world.content())
    before = world.deliveries()
    jump(DAY)
    until("renewed", lambda: world.deliveries() > before)
    assert world.content() == SECRET
    # What cannot be renewed then has ended.
    world.stop_broker()
    jump(2 * DAY)
    code, _, err = finish(running)
    assert code == 5 and "has ended" in err, err
    world.start_broker()
    jump(0)
    # Forward, and put right before anybody has been asked in vain.
    # By a pin: the broker's certificate is not valid yet when the clock is set back.
    public = x509.load_pem_x509_certificate((world.folder / "broker.pem").read_bytes()).public_key()
    spki = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    pin = f'pin = "{hashlib.sha256(spki).hexdigest()}"'
    running = world.run(SERVE, 'at-end = "wipe"', pin, **env)
    until("started", lambda: world.content())
    world.stop_broker()
    jump(DAY)
    until("wiped", lambda: world.content() is None)
    jump(0)
    world.start_broker()
    until("back", lambda: world.content() == SECRET)
    # Back: no lease is longer for that.
    jump(-DAY)
    before = world.deliveries()
    until("renewed", lambda: world.deliveries() > before + 1)
    world.stop_broker()
    until("wiped", lambda: world.content() is None, limit=2 * LEASE)
    running.send_signal(signal.SIGTERM)
    finish(running)
    world.start_broker()


def test_metrics(world):
    port = free_port()
    running = world.run(SERVE, f'metrics-listen = "127.0.0.1:{port}"')
    until("started", lambda: world.content())

    def metrics():
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        return {name: int(value) for name, value in (line.split(" ") for line in lines if not line.startswith("#"))}

    first = metrics()
    assert first["cloudauth_run_renewals_total{outcome=\"renewed\"}"] == 0
    assert 0 < first["cloudauth_run_lease_end_timestamp_seconds"] - time.time() <= LEASE
    world.rotate("the second")
    until("rotated", lambda: world.content() == "the second")
    until("counted", lambda: metrics()["cloudauth_run_changes_total"] == 1)
    assert metrics()["cloudauth_run_environment_stale"] == 1
    world.stop_broker()
    until("failed", lambda: metrics()["cloudauth_run_renewals_total{outcome=\"failed\"}"] > 0)
    assert metrics()["cloudauth_run_lease_ended"] == 0
    code, _, err = finish(running)
    assert code == 5 and "has ended" in err, err
    world.start_broker()


def free_port():
    """One that is free now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]
