"""The README's "Bring your key", as pasted: a SoftHSM token, and a TPM in software."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import jwt
import pytest
from cryptography import x509

import support
import test_sts
from test_pkcs11 import MODULE

README = Path(__file__).resolve().parents[2] / "README.md"
# What the text leaves to the user's certification authority.
CERTIFY = """
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -subj /CN=ca -out ca.pem 2>/dev/null
printf 'basicConstraints=CA:FALSE\\nkeyUsage=digitalSignature\\n' >ext
openssl x509 -req -in robot.csr -CA ca.pem -CAkey ca.key -days 30 -extfile ext -out robot.pem 2>/dev/null
"""


def commands(title, blocks=2, level="###"):
    """The commands of each console block below a heading."""
    section = README.read_text().split(f"\n{level} {title}\n", 1)[1]
    section = section.split("\n## ", 1)[0].split("\n### ", 1)[0]
    found = re.findall(r"```console\n(.*?)```", section, re.DOTALL)
    assert len(found) == blocks, f"{title}: {blocks} blocks were expected"
    return [re.sub(r"^\$ ", "", block, flags=re.MULTILINE) for block in found]


@pytest.fixture
def bash(cloudauth, tmp_path, keys):
    """Runs a script where a user would be who has the program and a service account."""
    folder = tmp_path / "home"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "cloudauth").symlink_to(os.environ["CLOUDAUTH"])
    account = support.service_account(keys("rsa-2048"))
    support.private_file(folder / "service-account.json", json.dumps(account))

    def run(script, **env):
        env = {
            "PATH": f"{folder}/bin:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(folder),
            "AWS_SECRET_ACCESS_KEY": test_sts.SECRET,
            **env,
        }
        done = subprocess.run(
            ["bash", "-c", f"set -euo pipefail\n{script}"],
            cwd=folder, env=env, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    run.folder = folder
    return run


@pytest.fixture
def pasted(bash, keys):
    """Runs both blocks of a section, and looks at what the second printed."""
    folder = bash.folder

    def run(first, second):
        done = bash(f"{first}\n{CERTIFY}\necho '== tokens'\n{second}\n")
        made, tokens = done.stdout.split("== tokens\n")
        assert "AWS IAM Roles Anywhere" in made
        tokens = tokens.splitlines()
        google, azure = tokens[:2]
        certificate = x509.load_pem_x509_certificate((folder / "robot.pem").read_bytes())
        claims = {"verify_aud": False}
        jwt.decode(google, keys("rsa-2048").public_key(), algorithms=["RS256"], options=claims)
        jwt.decode(azure, certificate.public_key(), algorithms=["RS256", "PS256"], options=claims)
        rest = "\n".join(tokens)
        assert re.search(r"Authorization: AWS4-X509-RSA-SHA256 .*Signature=[0-9a-f]{512}\b", rest, re.I)
        assert re.search(r"Authorization: AWS4-HMAC-SHA256 .*Signature=[0-9a-f]{64}\b", rest, re.I)
        for secret in [test_sts.SECRET, "84310975", "PRIVATE KEY"]:
            assert secret not in done.stdout + done.stderr

    return run


def test_readme_pkcs11(pasted):
    assert MODULE, "SoftHSM is not installed: tests/run tools"
    first, second = commands("In a PKCS#11 token")
    pasted(first.replace("/usr/lib/softhsm/libsofthsm2.so", str(MODULE)), second)


KNOWN = """
[[aws.roles]]
arn = "arn:aws:iam::123456789012:role/R"
roles_anywhere = true

[[aws.trust_anchors]]
arn = "arn:aws:rolesanywhere:eu-central-1:123456789012:trust-anchor/T"
certificates = "ca.pem"

[[aws.profiles]]
arn = "arn:aws:rolesanywhere:eu-central-1:123456789012:profile/P"
roles = ["arn:aws:iam::123456789012:role/R"]

[[entra.applications]]
tenant = "contoso.onmicrosoft.com"
client_id = "11111111-2222-3333-4444-555555555555"
certificates = ["robot.pem"]

[[google.providers]]
audience = "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/P/providers/Q"
issuer = "https://issuer.example"

[[issuers]]
url = "https://issuer.example"
jwks = "jwks.json"
"""


def test_readme_tools(bash, cloudauth):
    """The clouds' own tools, unmodified, by the services' real names: a proxy leads them to the emulator."""
    device, _ = commands("In a PKCS#11 token")
    device = device.replace("/usr/lib/softhsm/libsofthsm2.so", str(MODULE))
    jwks = "cloudauth key show --jwks --key 'pkcs11:token=demo;object=robot' >jwks.json"
    bash(f"{device}\n{CERTIFY}\n{jwks}")
    folder = bash.folder
    (folder / "emulator.toml").write_text(KNOWN)
    emulator = subprocess.Popen(
        [cloudauth.path, "emulator", "--config", folder / "emulator.toml",
         "--state-dir", folder / "state", "--listen-http", "127.0.0.1:0"],
        stdout=subprocess.PIPE, env={}, text=True,
    )  # fmt: skip
    try:
        at = json.loads(emulator.stdout.readline())
        env = {
            "HTTPS_PROXY": at["http_url"],
            **{name: at["ca_file"] for name in ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"]},
            "SOFTHSM2_CONF": f"{folder}/softhsm/softhsm2.conf",
            "CLOUDAUTH_PKCS11_MODULE": str(MODULE),
            "CLOUDAUTH_KEY_PIN": "84310975",
            # Else google-auth asks a service for it that nobody emulates.
            "GOOGLE_CLOUD_PROJECT": "project",
        }
        profiles, aws, others = commands("For the tools you have", 3)
        done = bash(f"{profiles}\n{aws}\n{others}", **env)
    finally:
        emulator.kill()
        emulator.communicate()
    identity, end = json.JSONDecoder().raw_decode(done.stdout)
    assert identity["Arn"].startswith("arn:aws:sts::123456789012:assumed-role/R/")
    azure, google = done.stdout[end:].split()
    assert jwt.decode(azure, options={"verify_signature": False})["tid"]
    assert len(google) > 20
    assert test_sts.SECRET not in done.stdout + done.stderr


def test_readme_broker(bash):
    """The broker in five minutes: the emulator, the broker and a workload, in one shell."""
    operator, workload, check = commands("A token broker in five minutes", 3, level="##")
    ports = {port: free_port() for port in ["8443", "8444", "9090"]}
    script = f"trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{operator}\n{workload}\n{check}"
    for port, free in ports.items():
        assert port in script
        script = script.replace(port, str(free))
    done = bash(script)
    found = re.search(r"^nothing is wrong; grants: s3-reader$", done.stdout, re.MULTILINE)
    assert found, done.stdout
    start = done.stdout.index('{\n  "AccessKeyId"')
    keys, end = json.JSONDecoder().raw_decode(done.stdout[start:])
    assert keys["Version"] == 1 and keys["SessionToken"]
    record, report = done.stdout[start + end :].strip().split("\n", 1)
    record = json.loads(record)
    assert "s3-reader" in report and "image" in report, report
    assert (record["grant"], record["verdict"]) == ("s3-reader", "granted")
    assert {"name": "image", "outcome": "passed"} in record["checks"]
    for secret in [keys["SecretAccessKey"], keys["SessionToken"], "wJalrXUtnFEMI"]:
        assert secret not in (bash.folder / "broker-demo" / "broker.log").read_text()


def test_readme_secrets(bash):
    """A service gets a secret, and the next one while it runs."""
    operator, workload = commands("Secrets into an attested service", 2, level="##")
    script = f"trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{operator}\n{workload}"
    for port in ["8443", "8444", "9090"]:
        assert port in script
        script = script.replace(port, str(free_port()))
    done = bash(script)
    lines = [line for line in done.stdout.splitlines() if line.startswith("the key is")]
    first, second = "the first one", "the second one"
    assert lines == [f"the key is {key}; it was {first}" for key in (first, second)], done.stdout + done.stderr
    assert not (bash.folder / "secrets-demo").exists()


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def two_ports():
    """A free port whose successor is free: swtpm's control channel is expected there."""
    while True:
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            try:
                other.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port


def test_readme_tpm(pasted, tmp_path):
    first, second = commands("In a TPM")
    port = two_ports()
    first = first.replace("2321", str(port)).replace("2322", str(port + 1))
    try:
        pasted(first, second)
    finally:
        pid = tmp_path / "home" / "tpm" / "pid"
        if pid.exists():
            os.kill(int(pid.read_text()), 15)
