"""The sections "Moving from" of the README, and the package's own README, are run as they stand, with this machine's
names in the place of those in capitals."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

import pytest

import device as d
import emulator as e

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
SECTION = re.compile(r"^#+ Moving from `?(cloud_auth_\w+)`?\n.*?^```python\n(.*?)^```$", re.M | re.S)


def sections():
    readme = CHECKOUT / "README.md"
    return [(readme, *found) for found in SECTION.findall(readme.read_text())]


@pytest.fixture
def run(emulator, device, tpm, storage, tmp_path):
    """Runs an example, and gives what it says."""
    names = {
        "MODULE": d.MODULE, "PIN": d.PIN, "EMAIL": e.ROBOT, "TCTI": tpm.tcti, "PASSWORD": tpm.PASSWORD,
        "TRUST_ANCHOR": e.ANCHOR, "ROLE": e.ROLE, "PROFILE": e.PROFILE, "TENANT": e.TENANT, "CLIENT": e.CLIENT,
        "KEY_FILE": device.pems["gcp"],
    }  # fmt: skip
    shutil.copy(tpm.folder / "aws.pem", tmp_path / "aws.pem")
    for name in ("aws", "azure"):
        shutil.copy(device.certificates[name], tmp_path / f"{name}.crt")
    env = {
        **os.environ, "STORAGE_EMULATOR_HOST": storage.url, "AWS_ENDPOINT_URL": emulator.url,
        "AZURE_AUTHORITY_HOST": emulator.url, "AWS_CA_BUNDLE": str(emulator.ca), "SSL_CERT_FILE": str(emulator.ca),
    }  # fmt: skip

    def of(code):
        for name, value in names.items():
            code = re.sub(rf'(?<=["=:]){name}(?=["&])', str(value), code)
        tpm.hand_over()
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code], capture_output=True, cwd=tmp_path, env=env, timeout=60,
            text=True,
        )  # fmt: skip
        assert done.returncode == 0, (code, done.stderr)
        return done.stdout.split()

    return of


@pytest.mark.parametrize("package", ["cloud_auth_pkcs", "cloud_auth_tpm"])
def test_moving_from(run, package):
    found = [(file, code) for file, name, code in sections() if name == package]
    assert found, f"the README does not say how to move from {package}"
    for file, code in found:
        assert len(code.splitlines()) == 5, f"{file}: a move has five lines"
        assert run(code) in (["a", "b"], ["bucket-1"]), file


def test_the_package_s_own(run):
    readme = (CHECKOUT / "ffi" / "python" / "README.md").read_text()
    google, aws, azure, key = re.findall(r"^```python\n(.*?)^```$", readme, re.M | re.S)
    assert run(google) == ["a", "b"] and run(aws) == ["bucket-1"] and run(key) == ["256"]
    (ends,) = run(azure)
    assert int(ends) > time.time() + 3000


def test_every_option_is_in_the_readme():
    from cloudauth import _options

    readme = (CHECKOUT / "ffi" / "python" / "README.md").read_text()
    cells = [line.split("|")[1] for line in readme.splitlines() if line.startswith("| ")]
    listed = set(re.findall(r"`(\w+)`", "".join(cells)))
    assert listed == {"key", *_options._PKCS11, *_options._TPM}
