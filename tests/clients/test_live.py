"""Credentials of `cloudauth`, live, in the hands of unmodified clients: AWS CLI, boto3, google-auth,
azure-identity, MSAL and curl at the emulator; and moto's server as an STS that somebody else wrote."""

import json
import os
import shlex
import subprocess
import sys

import azure.identity
import boto3
import google.auth.pluggable
import google.auth.transport.requests
import google.oauth2.credentials
import msal
import pytest
import requests

import emulator as e
import support
from live import DEPLOY, Device
from test_emulator import VAULT, azure_token, emulator, no_network, running, transport  # noqa: F401
from test_sts import ROLE as MOTO_ROLE
from test_sts import WEB_TOKEN, checked, moto, user  # noqa: F401


@pytest.fixture
def device(emulator, tmp_path):  # noqa: F811
    return Device(emulator, tmp_path)


# AWS: credential_process


def sources(device):
    config = device.config()
    profile = ["credential", "--config", config, "--profile"]
    return {
        "roles-anywhere": (device.anywhere(), ":assumed-role/reader/"),
        "assume-role": (device.assume_role(), ":assumed-role/reader/s-1"),
        "profile": ([*profile, "machine"], ":assumed-role/reader/"),
        "chained-profile": ([*profile, "deploy"], ":assumed-role/deploy/machine-7"),
    }


SOURCES = ["roles-anywhere", "assume-role", "profile", "chained-profile"]


@pytest.fixture
def aws_config(cloudauth, device, tmp_path, monkeypatch):
    """Writes AWS's own configuration file, with our program in it."""

    def write(which):
        args, principal = sources(device)[which]
        command = shlex.join([cloudauth.path, *map(str, args)])
        text = f"[profile ours]\nregion = eu-west-1\ncredential_process = {command}\n"
        monkeypatch.setenv("AWS_CONFIG_FILE", str(support.private_file(tmp_path / "aws", text)))
        return principal

    return write


@pytest.mark.parametrize("source", SOURCES)
def test_boto3(device, aws_config, source):
    principal = aws_config(source)
    session = boto3.session.Session(profile_name="ours")
    options = {"endpoint_url": device.emulator.url, "verify": device.emulator.ca}
    s3, sts = session.client("s3", **options), session.client("sts", **options)
    listed = s3.list_objects_v2(Bucket="bucket-1")["Contents"]
    assert [found["Key"] for found in listed] == ["hello.txt", "logs/1", "logs/2"]
    assert principal in sts.get_caller_identity()["Arn"]
    s3.close(), sts.close()


@pytest.mark.parametrize("source", SOURCES)
def test_aws_cli(device, aws_config, source):
    """Our program is started by the CLI, in its environment, and heeds the same variables."""
    principal = aws_config(source)
    env = {
        "PATH": os.environ["PATH"], "AWS_CONFIG_FILE": os.environ["AWS_CONFIG_FILE"],
        "AWS_ENDPOINT_URL": device.emulator.url, "AWS_CA_BUNDLE": device.emulator.ca,
        "AWS_EC2_METADATA_DISABLED": "true", "HOME": str(device.folder),
    }  # fmt: skip

    def aws(*args):
        command = [sys.executable, "-m", "awscli", "--profile", "ours", *args]
        done = subprocess.run(command, capture_output=True, env=env, timeout=120)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    assert "hello.txt" in aws("s3", "ls", "s3://bucket-1")
    assert principal in json.loads(aws("sts", "get-caller-identity", "--output", "json"))["Arn"]


@pytest.mark.parametrize("command", ["assume-role", "session-token", "caller-identity"])
def test_moto(cloudauth, moto, checked, tmp_path, command):  # noqa: F811
    """Another STS, which checks signatures, over plain HTTP on loopback."""
    key = support.private_file(tmp_path / "secret", checked["AWS_SECRET_ACCESS_KEY"])
    caller = ["--access-key-id", checked["AWS_ACCESS_KEY_ID"], "--key", f"file:{key}"]
    role = ["--role-arn", MOTO_ROLE, "--session-name", "robot-7"]
    options = {
        "assume-role": [*caller, *role], "session-token": caller, "caller-identity": caller,
    }  # fmt: skip
    # moto finds the region in the signature, and is not configured for others.
    ends = ["--region", "us-east-1", "--endpoint-url", f"http://{moto.endpoint}"]
    answer = cloudauth.json("aws", command, *options[command], *ends)
    if command == "caller-identity":
        assert answer["Arn"].endswith(":user/robot")
        return
    assert answer["Version"] == 1 and answer["Expiration"].endswith("Z")
    env = {
        "AWS_ACCESS_KEY_ID": answer["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": answer["SecretAccessKey"],
        "AWS_SESSION_TOKEN": answer["SessionToken"],
    }
    if command == "assume-role":
        who = cloudauth.json("aws", "caller-identity", *ends, env=env)
        assert who["Arn"].endswith("/robot-7")
        # With a wrong secret moto refuses, and says so through us.
        wrong = support.private_file(tmp_path / "wrong", e.SECRET_KEY)
        args = ["--access-key-id", checked["AWS_ACCESS_KEY_ID"], "--key", f"file:{wrong}", *role]
        done = cloudauth.run("aws", "assume-role", *args, *ends)
        assert done.returncode == 5 and done.stdout == b"", done
        assert "SignatureDoesNotMatch" in done.stderr


def test_moto_web_identity(cloudauth, moto, tmp_path):  # noqa: F811
    """Unsigned, which a moto that checks signatures cannot answer."""
    token = support.private_file(tmp_path / "token", WEB_TOKEN)
    answer = cloudauth.json(
        "aws", "web-identity", "--role-arn", MOTO_ROLE, "--session-name", "robot-7", "--token-file", token,
        "--region", "us-east-1", "--endpoint-url", f"http://{moto.endpoint}",
    )  # fmt: skip
    assert all(answer[name] for name in ["AccessKeyId", "SecretAccessKey", "SessionToken"])


# Google


def executable(cloudauth, device, **changes):
    # The library exchanges the token, not the program: it is told of no endpoint.
    federate = device.federate("--output", "google-executable")
    at = federate.index("--endpoint-url")
    command = [cloudauth.path, *map(str, federate[:at] + federate[at + 2 :])]
    return google.auth.pluggable.Credentials.from_info({
        "type": "external_account", "audience": e.PROVIDER,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": f"{device.emulator.url}/v1/token",
        "credential_source": {"executable": {"command": shlex.join(command), "timeout_millis": 30000}},
        **changes,
    }, scopes=["https://www.googleapis.com/auth/cloud-platform"])  # fmt: skip


def test_google_executable(cloudauth, device, transport, monkeypatch):  # noqa: F811
    monkeypatch.setenv("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", "1")
    credentials = executable(cloudauth, device)
    credentials.refresh(transport)
    assert credentials.valid
    accounts = f"{device.emulator.url}/v1/projects/-/serviceAccounts"
    impersonate = f"{accounts}/{e.OTHER_ROBOT}:generateAccessToken"
    credentials = executable(cloudauth, device, service_account_impersonation_url=impersonate)
    credentials.refresh(transport)
    assert credentials.valid
    assert device.requests("google-iam")[-1]["principal"].endswith("/subject/workload")


def impersonation(device):
    return f"{device.emulator.url}/v1/projects/-/serviceAccounts/{e.OTHER_ROBOT}:generateAccessToken"


def test_google_credentials_with_our_token(cloudauth, device):
    """Our token in google-auth's own class calls one of Google's APIs."""
    token = cloudauth.text(*device.federate()).strip()
    credentials = google.oauth2.credentials.Credentials(token)
    with google.auth.transport.requests.AuthorizedSession(credentials) as session:
        session.verify, session.trust_env = device.emulator.ca, False
        answer = session.post(impersonation(device), json={"scope": ["s"], "lifetime": "600s"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["accessToken"]


def test_curl(cloudauth, device):
    """`curl -H @-`: the token never stands on a command line."""
    token = cloudauth.text(*device.federate()).strip()
    call = ["-d", '{"scope": ["s"]}', "-H", "Content-Type: application/json"]
    for header, code in [(token, "200"), (token[:-4] + "AAAA", "401")]:
        done = subprocess.run(
            ["curl", "-sS", "--cacert", device.emulator.ca, "-H", "@-", *call, "-w", "\n%{http_code}",
             impersonation(device)],
            input=f"Authorization: Bearer {header}", capture_output=True, text=True, timeout=30,
            env={"PATH": os.environ["PATH"]},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stdout.rsplit("\n", 1)[1] == code, done.stdout


def test_google_tokens(cloudauth, device):
    for args in [
        ["gcp", "token", "--oauth", "--key", f"file:{device.account}", *device.common()],
        ["gcp", "id-token", "--key", f"file:{device.account}", "--audience", "https://a.example",
         *device.common()],
        device.federate("--impersonate", e.OTHER_ROBOT),
    ]:  # fmt: skip
        found = cloudauth.json(*args, "--output", "json")
        assert found["access_token"] and found["token_type"] == "Bearer"
        assert 3000 < found["expires_in"] <= 3600 and found["expires_on"].endswith("Z")
        assert cloudauth.text(*args).count("\n") == 1


# Azure


def test_azure_identity(cloudauth, device):
    def assertion():
        return cloudauth.text(*device.azure("assertion")).strip()

    token = azure_token(device.emulator, azure.identity.ClientAssertionCredential, func=assertion)
    assert support.jws_parts(token.token)[1]["aud"] == "https://vault.azure.net"


def test_msal(cloudauth, device):
    def assertion():
        return cloudauth.text(*device.azure("assertion")).strip()

    with requests.Session() as session:
        session.verify, session.trust_env = device.emulator.ca, False
        application = msal.ConfidentialClientApplication(
            e.CLIENT, client_credential={"client_assertion": assertion}, http_client=session,
            authority=f"{device.emulator.url}/{e.TENANT}", instance_discovery=False,
        )  # fmt: skip
        assert application.acquire_token_for_client([VAULT])["token_type"] == "Bearer"


def test_azure_token(cloudauth, device):
    token = cloudauth.text(*device.azure("token", "--scope", VAULT, "--ca-file", device.emulator.ca)).strip()
    assert support.jws_parts(token)[1]["aud"] == "https://vault.azure.net"


def test_what_the_profiles_are(cloudauth, device):
    """One command for every kind; the kinds' own commands take their own profiles alone."""
    config = ["--config", device.config()]
    deploy = cloudauth.json("aws", "caller-identity", "--profile", "deploy", "--region", "eu-west-1",
                            "--endpoint-url", device.emulator.url, *config)  # fmt: skip
    assert deploy["Arn"].startswith(DEPLOY.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/"))
    assert cloudauth.text("gcp", "token", "--profile", "robot", *config).strip()
    assert cloudauth.text("azure", "token", "--profile", "app", *config).count(".") == 2
    assert cloudauth.json("aws", "roles-anywhere", "--profile", "machine", *config)["Version"] == 1
    by_variable = {"CLOUDAUTH_PROFILE": "app", "CLOUDAUTH_CONFIG": str(config[1])}
    assert cloudauth.text("credential", env=by_variable).count(".") == 2
    for args, code, says in [
        (["aws", "roles-anywhere", "--profile", "deploy"], 2, "cloudauth credential --profile deploy"),
        (["credential", "--profile", "nobody"], 4, "it has: app, deploy, machine, robot"),
        (["credential"], 2, "CLOUDAUTH_PROFILE"),
    ]:
        done = cloudauth.run(*args, *config)
        assert (done.returncode, done.stdout) == (code, b""), done
        assert says in done.stderr, done.stderr
