"""What the live commands read, and what they refuse to: variables, files, profiles. Each refusal has a neighbour
that is accepted."""

import os
import time

import pytest

import emulator as e
import support
from short_sts import ShortSts
from test_emulator import emulator, no_network, running  # noqa: F401
from test_live_cli import device, refused  # noqa: F401

SCOPE = ("--scope", "https://vault.azure.net/.default")


def web(token, sts, *more):
    return ["aws", "web-identity", "--token-file", token, "--role-arn", e.ROLE, "--region", "eu-west-1",
            "--endpoint-url", sts.url, *more]  # fmt: skip


@pytest.fixture
def token(tmp_path):
    return support.private_file(tmp_path / "token", "eyJhbGciOiJSUzI1NiJ9.e30.c2ln")


def test_a_configuration_that_others_can_change(cloudauth, device):  # noqa: F811
    config = device.config()
    args = ["credential", "--profile", "machine", "--config", config]
    for mode in (0o620, 0o602, 0o666):
        config.chmod(mode)
        refused(cloudauth, args, 4, "others can change it", "config.toml")
    config.chmod(0o644)
    assert cloudauth.json(*args)["Version"] == 1


@pytest.mark.parametrize(
    "wrong, says",
    [
        ("source-profile = 'app'", "begins with aws-"),
        ("source-profile = 'machine'\naccess-key-id = 'AKIAEXAMPLE'", "of its own"),
        ("source-profile = 'nobody'", "no profile"),
    ],
)
def test_chains(cloudauth, device, wrong, says):  # noqa: F811
    """Whoever a role is assumed as is never a matter of what happens to be set."""
    config = device.config()
    text = config.read_text()
    config.write_text(text.replace("source-profile = \"machine\"", wrong))
    env = {"AWS_ACCESS_KEY_ID": e.ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": e.SECRET_KEY}
    args = ["credential", "--profile", "deploy", "--config", config]
    device.emulator.control("requests", method="DELETE")
    refused(cloudauth, args, 4, says, env=env)
    assert device.requests("sts") == []
    config.write_text(text)
    assert cloudauth.json(*args, env=env)["Version"] == 1


def test_fips(cloudauth, device):  # noqa: F811
    """It is not passed over."""
    env = {"AWS_USE_FIPS_ENDPOINT": "true"}
    refused(cloudauth, device.assume_role(endpoint=False), 4, "AWS_USE_FIPS_ENDPOINT", env=env)
    assert cloudauth.json(*device.assume_role(), env=env)["Version"] == 1


def test_aws_ca_bundle_is_for_aws(cloudauth, device, tmp_path):  # noqa: F811
    stranger = support.identity(tmp_path / "ca", "p-256").certificate_file
    env = {"AWS_CA_BUNDLE": str(stranger), "SSL_CERT_FILE": device.emulator.ca}
    assert cloudauth.text(*device.azure("token", *SCOPE), env=env)
    bare = [arg for arg in device.assume_role() if arg not in ("--ca-file", device.emulator.ca)]
    refused(cloudauth, bare, 5, env=env)
    # And where there is nothing else to trust, it is enough for AWS.
    env = {"AWS_CA_BUNDLE": device.emulator.ca, "SSL_CERT_FILE": "/nonexistent"}
    assert cloudauth.json(*bare, env=env)["Version"] == 1


def test_a_session_token_belongs_to_its_key(cloudauth, device):  # noqa: F811
    env = {"AWS_SESSION_TOKEN": "of-another-key", "AWS_ACCESS_KEY_ID": e.ACCESS_KEY,
           "AWS_SECRET_ACCESS_KEY": e.SECRET_KEY}  # fmt: skip
    given = cloudauth.text(*device.assume_role("--dry-run"), env=env)
    assert "of-another-key" not in given
    bare = ["aws", "caller-identity", "--region", "eu-west-1", "--dry-run"]
    assert "x-amz-security-token: of-another-key" in cloudauth.text(*bare, env=env)
    env["OTHER"] = "its-own"
    named = cloudauth.text(*device.assume_role("--dry-run", "--session-token-source", "env:OTHER"), env=env)
    assert "x-amz-security-token: its-own" in named


def test_web_identity_as_the_sdks_have_it(cloudauth, token):
    """The session's name may be left out; a path is used as it is, and not another one in its place."""
    with ShortSts(900) as sts:
        args = [arg for arg in web(token, sts) if arg]
        shown = cloudauth.text(*args, "--dry-run")
        assert "RoleSessionName=cloudauth&" in shown
        shown = cloudauth.text(*args, "--dry-run", env={"AWS_ROLE_SESSION_NAME": "pod-7"})
        assert "RoleSessionName=pod-7&" in shown
        odd = os.fsencode(token.parent) + b"/\xff"
        args[args.index(token)] = os.fsdecode(odd)
        refused(cloudauth, args, 4, env={"AWS_WEB_IDENTITY_TOKEN_FILE": str(token)})
        os.link(token, odd)
        assert cloudauth.json(*args)["Version"] == 1


def test_a_file_that_never_comes(cloudauth, tmp_path):
    """A pipe that nobody writes to ends with the time-out, and so does the program."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ShortSts(900) as sts:
        start = time.monotonic()
        refused(cloudauth, web(pipe, sts, "--timeout", "2"), 4, "within 2 s")
        assert time.monotonic() - start < 10 and sts.calls == 0


def test_another_time_has_no_cache(cloudauth, device):  # noqa: F811
    cache = device.folder / "cache"
    args = device.anywhere("--cache-dir", cache)
    first = cloudauth.json(*args)
    kept = sorted(file.name for file in cache.iterdir())
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 30))
    assert cloudauth.json(*args, "--time", now) != first
    assert sorted(file.name for file in cache.iterdir()) == kept
    assert cloudauth.json(*args) == first


def test_a_code_serves_once(cloudauth, device):  # noqa: F811
    """What was got with a code is given to nobody who has none."""
    cache = device.folder / "cache"
    device.emulator.control("register", {"aws": {"users": [{
        "arn": f"arn:aws:iam::{e.ACCOUNT}:user/mfa", "access_key_id": "AKIAIOSFODNN7MFAUSER",
        "secret_access_key": e.SECRET_KEY, "mfa_serial": "GAHT12345678", "mfa_code": "123456",
    }]}})  # fmt: skip
    args = ["aws", "session-token", "--region", "eu-west-1", "--access-key-id", "AKIAIOSFODNN7MFAUSER",
            "--key", f"file:{device.secret}", "--cache-dir", cache, *device.common(),
            "--serial-number", "GAHT12345678"]  # fmt: skip
    refused(cloudauth, args, 4, "code")
    first = cloudauth.json(*args, "--token-code", "123456")
    refused(cloudauth, [*args, "--token-code", "000000"], 5)
    assert cloudauth.json(*args, "--token-code", "123456") != first
    assert not list(cache.glob("?" * 64))
    # Where there is no code, it would lie there.
    cloudauth.json(*device.anywhere("--cache-dir", cache))
    assert len(list(cache.glob("?" * 64))) == 1


def test_google_executable_leaves_the_exchange_alone(cloudauth, device):  # noqa: F811
    bare = device.federate("--output", "google-executable", endpoint=False)
    for more in (["--impersonate", e.OTHER_ROBOT], ["--scope", "s"], ["--dry-run"], ["--endpoint-url", "x"]):
        refused(cloudauth, [*bare, *more], 2, "google-executable")
    assert cloudauth.json(*bare)["success"] is True


def test_a_profile_says_where_sts_is(cloudauth, device):  # noqa: F811
    config = device.config()
    ours = ["aws", "caller-identity", "--profile", "deploy", "--config", config]
    assert cloudauth.json(*ours)["Arn"].endswith("/deploy/machine-7")
    # The trust anchor's region will do; its endpoint is that of another service.
    anchor = ["aws", "caller-identity", "--profile", "machine", "--config", config]
    assert "/reader/" in cloudauth.json(*anchor, env={"AWS_ENDPOINT_URL_STS": device.emulator.url})["Arn"]


def test_what_a_profile_lacks_is_no_option(cloudauth, tmp_path):
    key = support.private_file(tmp_path / "key.pem", support.key_pem(support.new_key("p-256")))
    profile = f"[profiles.p]\nkind = 'gcp-token'\nkey = 'file:{key}'\n"
    config = support.private_file(tmp_path / "c.toml", profile)
    args = ["credential", "--profile", "p", "--config", config]
    says = refused(cloudauth, args, 4, 'profile "p"', "email is missing")
    assert "--email" not in says
    config.write_text(f"{profile}email = '{e.ROBOT}'\n")
    assert cloudauth.text(*args).count(".") == 2
