"""The sample of rest-api/ as plain processes: a broker and services, by the commands of the manifests."""

import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

import emulator as e
import support

HERE = Path(__file__).parent / "rest-api"
HOST = "rest-api.scone.sample"
VAULT = "scone-sample"
DIGEST = "sha256:" + "1" * 64
LEASE = 10


def manifests():
    """Every object of the manifests, by kind and name."""
    found = {}
    for path in sorted((HERE / "kubernetes").glob("*.yaml")):
        for one in yaml.safe_load_all(path.read_text()):
            found[one["kind"], one["metadata"]["name"]] = one
    return found


def pod(name):
    """A pod, or a deployment's: its metadata and specification."""
    every = manifests()
    return every["Pod", name] if ("Pod", name) in every else every["Deployment", name]["spec"]["template"]


def container(name):
    """The one container of a pod."""
    [one] = pod(name)["spec"]["containers"]
    return one


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def within(seconds, what):
    """Waits until `what` gives something true, and gives that."""
    end = time.monotonic() + seconds
    while True:
        if found := what():
            return found
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.05)


class Process:
    """A process whose standard error goes into a file."""

    def __init__(self, command, log, env):
        self.log = log
        with log.open("ab") as errors:
            self.popen = subprocess.Popen(
                list(map(str, command)), env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
            )  # fmt: skip

    @property
    def pid(self):
        return self.popen.pid

    def children(self):
        """The processes that it has started."""
        path = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return [int(pid) for pid in path.read_text().split()] if path.exists() else []

    def ended(self, seconds=20):
        return self.popen.wait(seconds)

    def stop(self, kill=False):
        if self.popen.poll() is None:
            self.popen.kill() if kill else self.popen.terminate()
        code = self.popen.wait(20)
        self.popen.stdout.close()
        return code

    def said(self):
        return self.log.read_text()


class Place:
    """Where the sample runs: its files, with the places of the images and clusters as places below a folder."""

    def __init__(self, cloudauth, emulator, folder):
        self.cloudauth, self.emulator, self.folder = cloudauth, emulator, folder
        self.memory = Path(tempfile.mkdtemp(dir="/dev/shm", prefix="rest-api-"))
        self.broker_port, self.admin_port = free_port(), free_port()
        self.processes = []
        self.images = 0
        self._broker_files()
        self.secret, self.certificate = None, None
        self.rotate_secret("first-value-of-the-secret")
        self.rotate_certificate()

    def close(self):
        for process in reversed(self.processes):
            process.stop(kill=True)
        shutil.rmtree(self.memory, ignore_errors=True)

    def rotate_secret(self, value, **more):
        self.secret = value
        self._register(secrets=[{"name": "sample-secret", "value": value, **more}])

    def rotate_certificate(self):
        key = support.new_key("p-256")
        self.certificate = e.certify(key, HOST, HOST, key)
        pem = support.key_pem(key) + support.cert_pem(self.certificate)
        self.private_key = support.key_pem(key)
        self._register(certificates=[{"name": "flask", "pem": pem}])

    def _register(self, readers=(e.CLIENT,), **contents):
        vault = {"name": VAULT, "tenant": e.TENANT, "readers": list(readers), **contents}
        self.emulator.control("register", {"vaults": [vault]})

    def readers(self, *readers):
        self._register(readers)

    def attest(self, **claims):
        """What the machine's attestation service says of it from now on."""
        workload = {"image_digest": DIGEST, "project": "demo-project", **claims}
        self.emulator.control("register", {"attestation": {"confidential_space": workload}})

    # The broker

    def _broker_files(self):
        etc = self.folder / "etc/broker"
        for folder in ("tls", "azure", "config"):
            (etc / folder).mkdir(parents=True)
        support.openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=broker", "-addext", "subjectAltName=DNS:broker", "-addext", "basicConstraints=CA:FALSE",
            "-keyout", etc / "tls/tls.key", "-out", etc / "tls/tls.crt",
        )  # fmt: skip
        support.private_file(etc / "azure/azure.key", support.key_pem(self.emulator.keys["client"]))
        shutil.copy(self.emulator.folder / "public.pem", etc / "azure/azure.pem")
        self.broker_config()

    def broker_config(self, change=lambda text: text):
        """broker.toml with what is one's own in it, the emulator for the clouds, and a short lease."""
        text = (HERE / "broker.toml").read_text()
        for mine, given in [
            ("contoso.onmicrosoft.com", e.TENANT),
            ("9b6d7a52-aaaa-4bbb-8ccc-ddddeeeeffff", e.CLIENT),
            ("lease = 3600", f"lease = {LEASE}"),
            ('issuer = "google"', 'issuer = "emulator"'),
            ("/etc/broker", f"{self.folder}/etc/broker"),
            ("0.0.0.0:8443", f"127.0.0.1:{self.broker_port}"),
            ("127.0.0.1:9090", f"127.0.0.1:{self.admin_port}"),
            ("[server]", f'ca-file = "{self.emulator.ca}"\n\n[server]'),
        ]:
            assert mine in text, mine
            text = text.replace(mine, given)
        text += f"""
[issuers.emulator]
kind = "confidential-space"
issuer = "{self.emulator.url}/confidential-space"
keys = "discovery"
trusted-ca = "{self.emulator.ca}"
"""
        path = self.folder / "etc/broker/config/broker.toml"
        path.write_text(change(text))
        path.chmod(0o644)

    def inside(self, argument):
        """A container's argument here."""
        for there, here in [
            ("/etc/", f"{self.folder}/etc/"),
            ("/srv/rest-api", str(HERE)),
            ("/run/rest-api", str(self.memory / "rest-api")),
        ]:
            if argument.startswith(there):
                return here + argument.removeprefix(there)
        return {"cloudauth": self.cloudauth.path, "python3": sys.executable}.get(argument, argument)

    def start(self, command, name, **env):
        command = [self.inside(str(part)) for part in command]
        process = Process(command, self.folder / f"{name}.log", {"PATH": os.environ["PATH"], **env})
        self.processes.append(process)
        return process

    def broker(self):
        """Starts it, by the manifest's command; the clouds' names lead to the emulator by a proxy."""
        env = {"HTTPS_PROXY": self.emulator.http_url, "NO_PROXY": "127.0.0.1"}
        process = self.start(container("broker")["command"], "broker", **env)
        assert process.popen.stdout.readline(), process.said()
        return process

    def record(self):
        """The broker's last decision."""
        lines = [line for line in (self.folder / "broker.log").read_text().splitlines() if '"verdict"' in line]
        return json.loads(lines[-1])

    def metrics(self):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=10)) as connection:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read()
        assert b"# TYPE" in text
        return text

    # The services

    def image(self, change=lambda text: text):
        """The files of the service's image; gives their place."""
        etc = self.folder / "etc/rest-api"
        etc.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.folder / "etc/broker/tls/tls.crt", etc / "broker-ca.pem")
        text = (HERE / "run.toml").read_text()
        text = text.replace("/etc/rest-api", str(etc)).replace("/run/rest-api", str(self.memory / "rest-api"))
        own = f'address = "127.0.0.1:{self.broker_port}"\nserver-name = "broker"\n'
        own += f'teeserver = "{self.emulator.socket}"\n'
        text = text.replace("[files]\n", f"{own}\n[files]\n")
        (etc / "run.toml").write_text(change(text))

    def service(self, name="rest-api", command=None, change=lambda text: text, **env):
        """Starts a service by its manifest's command, or by another one."""
        self.image(change)
        port = free_port()
        self.mount()
        command = command or container(name)["command"]
        process = self.start(command, f"{name}-{len(self.processes)}", LISTEN=f"127.0.0.1:{port}", **env)
        process.port = port
        return process

    def mount(self):
        """The volume as a cluster mounts it: another user's, and open to all."""
        volume = self.memory / "rest-api"
        if not volume.exists():
            volume.mkdir()
            volume.chmod(0o777)
            if os.geteuid() == 0:
                os.chown(volume, 12345, -1)

    def serving(self, **options):
        """A service that answers."""
        process = self.service(**options)
        within(20, lambda: process.popen.poll() is not None or self.answers(process))
        assert process.popen.poll() is None, process.said()
        return process

    def answers(self, process):
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.get(process, "/healthz", verify=False)[0] == 204

    def get(self, process, path="/secret", verify=True):
        """Status, JSON and certificate (DER) of an answer, on a connection of its own."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection("127.0.0.1", process.port, context=context, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", path, headers={"Host": f"{HOST}:4996"})
            certificate = connection.sock.getpeercert(binary_form=True)
            answer = connection.getresponse()
            body = answer.read()
        if verify:
            assert certificate == support.cert_der(self.certificate)
        return answer.status, json.loads(body) if body else None, certificate

    def files(self):
        """What is in the service's directory, but for the program's own list of it."""
        everything = (self.memory / "rest-api/files").rglob("*")
        return sorted(path for path in everything if path.is_file() and not path.name.startswith(".cloudauth-run"))


def readme_commands():
    text = (HERE / "README.md").read_text()
    return [re.sub(r"^\$ ", "", block, flags=re.M) for block in re.findall(r"```console\n(.*?)```", text, re.S)]
