"""The README's "Bring your key", as pasted: a SoftHSM token, and a TPM in software."""

import json
import os
import re
import socket
import subprocess
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


def commands(title):
    """The commands of each console block below a heading."""
    section = README.read_text().split(f"### {title}\n", 1)[1].split("\n## ", 1)[0].split("\n### ", 1)[0]
    blocks = re.findall(r"```console\n(.*?)```", section, re.DOTALL)
    assert len(blocks) == 2, f"{title}: two blocks were expected"
    return [re.sub(r"^\$ ", "", block, flags=re.MULTILINE) for block in blocks]


@pytest.fixture
def pasted(cloudauth, tmp_path, keys):
    """Runs both blocks of a section, and looks at what the second printed."""
    folder = tmp_path / "home"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "cloudauth").symlink_to(os.environ["CLOUDAUTH"])
    account = support.service_account(keys("rsa-2048"))
    support.private_file(folder / "service-account.json", json.dumps(account))

    def run(first, second):
        script = f"set -euo pipefail\n{first}\n{CERTIFY}\necho '== tokens'\n{second}\n"
        env = {
            "PATH": f"{folder}/bin:{os.environ['PATH']}",
            "HOME": str(folder),
            "AWS_SECRET_ACCESS_KEY": test_sts.SECRET,
        }
        done = subprocess.run(
            ["bash", "-c", script], cwd=folder, env=env, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr
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
