"""Fixtures: the program of $CLOUDAUTH, no network, keys made once a run."""

import os
import socket

import pytest

import support


def pytest_configure(config):
    path = os.environ.get("CLOUDAUTH")
    if not path:
        raise pytest.UsageError("CLOUDAUTH is not set: name the cloudauth program to test in it")
    if not (os.path.isfile(path) and os.access(path, os.X_OK)):
        raise pytest.UsageError(f"CLOUDAUTH={path} is no program")
    # A package must not find this machine's cloud settings.
    for name in list(os.environ):
        if name.startswith(("AWS_", "AZURE_", "GOOGLE_", "BOTO_")):
            del os.environ[name]
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a test tried to use the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="session")
def cloudauth():
    return support.Program(os.path.realpath(os.environ["CLOUDAUTH"]))


@pytest.fixture(scope="session")
def keys():
    """Private keys by kind, each made when it is first asked for."""
    made = {}

    def get(kind):
        if kind not in made:
            made[kind] = support.new_key(kind)
        return made[kind]

    return get


@pytest.fixture(scope="session")
def identities(tmp_path_factory, keys):
    """Identities by kind and number of intermediates, each made when it is first asked for."""
    made = {}
    top = tmp_path_factory.mktemp("identities")

    def get(kind, intermediates=0):
        which = (kind, intermediates)
        if which not in made:
            folder = top / f"{kind}-{intermediates}"
            made[which] = support.identity(
                folder, kind, intermediates=intermediates, key=keys(kind)
            )
        return made[which]

    return get
