"""Fixtures: an emulator of the clouds, a SoftHSM token with the keys of its identities, and what listens for
google-cloud-storage and azure-storage-blob."""

import os
import pathlib
import sys

import pytest

CLIENTS = pathlib.Path(__file__).resolve().parent.parent / "clients"
sys.path.insert(1, str(CLIENTS))

#: The variables with the Python of each old package.
OLD_PYTHONS = {"pkcs": "CLOUDAUTH_OLD_PKCS_PYTHON", "tpm": "CLOUDAUTH_OLD_TPM_PYTHON"}

import emulator as e  # noqa: E402
import support  # noqa: E402
from device import Device, Tpm  # noqa: E402
from stubs import BlobService, StorageService, TokenService  # noqa: E402


def pytest_configure(config):
    path = os.environ.get("CLOUDAUTH")
    if not path or not os.access(path, os.X_OK):
        raise pytest.UsageError("CLOUDAUTH names no cloudauth program: it is needed for its emulator")
    # A package must not find this machine's cloud settings.
    for name in list(os.environ):
        if name.startswith(("AWS_", "AZURE_", "GOOGLE_", "BOTO_", "CLOUDAUTH_")) and name not in OLD_PYTHONS.values():
            del os.environ[name]
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull


@pytest.fixture(scope="session")
def running(tmp_path_factory):
    program = support.Program(os.path.realpath(os.environ["CLOUDAUTH"]))
    started = e.Emulator(program, tmp_path_factory.mktemp("emulator"))
    yield started
    started.stop()


@pytest.fixture(scope="session")
def device(running, tmp_path_factory):
    """A token with every key. SoftHSM reads its configuration once a process: there is one token."""
    made = Device(running, tmp_path_factory.mktemp("softhsm"))
    os.environ["SOFTHSM2_CONF"] = str(made.conf)
    return made


@pytest.fixture
def emulator(running, device):
    running.reset()
    return running


@pytest.fixture(scope="session")
def tpm(running, device, tmp_path_factory):
    made = Tpm(device, tmp_path_factory.mktemp("swtpm"))
    yield made
    made.stop()


@pytest.fixture
def storage(running):
    with StorageService(running.keys["robot"].public_key()) as service:
        yield service


@pytest.fixture
def blobs(running, tmp_path):
    with BlobService(tmp_path) as service:
        yield service


@pytest.fixture
def entra(emulator, tmp_path):
    with TokenService(emulator, tmp_path) as service:
        yield service
