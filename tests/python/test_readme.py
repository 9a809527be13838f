"""The sections "Moving from" of the README are run as they stand, with this machine's names in the place of
those in capitals."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

import device as d
import emulator as e

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
SECTION = re.compile(r"^#+ Moving from `?(cloud_auth_\w+)`?\n.*?^```python\n(.*?)^```$", re.M | re.S)


def sections():
    readme = CHECKOUT / "README.md"
    return [(readme, *found) for found in SECTION.findall(readme.read_text())]


@pytest.mark.parametrize("package", ["cloud_auth_pkcs", "cloud_auth_tpm"])
def test_moving_from(emulator, device, tpm, storage, tmp_path, package):
    found = [(file, code) for file, name, code in sections() if name == package]
    assert found, f"the README does not say how to move from {package}"
    names = {
        "MODULE": d.MODULE, "PIN": d.PIN, "EMAIL": e.ROBOT, "TCTI": tpm.tcti, "PASSWORD": tpm.PASSWORD,
        "TRUST_ANCHOR": e.ANCHOR, "ROLE": e.ROLE, "PROFILE": e.PROFILE,
    }  # fmt: skip
    shutil.copy(tpm.folder / "aws.pem", tmp_path / "aws.pem")
    shutil.copy(device.certificates["aws"], tmp_path / "aws.crt")
    env = {
        **os.environ, "STORAGE_EMULATOR_HOST": storage.url, "AWS_ENDPOINT_URL": emulator.url,
        "AWS_CA_BUNDLE": str(emulator.ca),
    }  # fmt: skip
    for file, code in found:
        assert len(code.splitlines()) == 5, f"{file}: a move has five lines"
        for name, value in names.items():
            code = code.replace(f'"{name}"', repr(value))
        tpm.hand_over()
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, cwd=tmp_path, env=env, timeout=60, text=True
        )
        assert done.returncode == 0, (file, done.stderr)
        assert done.stdout.split() in (["a", "b"], ["bucket-1"]), file
