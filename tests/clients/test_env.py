"""`cloudauth env` with unmodified clients below it: boto3, the AWS CLI, google-auth and azure-identity find
the emulator's credentials, and find them renewed; signals, exit codes, what stays behind."""

import fcntl
import json
import os
import pathlib
import pty
import shutil
import signal
import stat
import subprocess
import sys
import termios
import time

import pytest

import emulator as e
import support
from test_emulator import no_network, running  # noqa: F401 (fixtures)

VAULT = "https://vault.azure.net/.default"
AWS = pathlib.Path(sys.executable).with_name("aws")
# Every variable of a cloud that the command must not find, or find changed.
FOREIGN = {
    "AWS_ACCESS_KEY_ID": "AKIAFOREIGN000000000",
    "AWS_SECRET_ACCESS_KEY": "foreign",
    "AWS_SESSION_TOKEN": "foreign",
    "AWS_PROFILE": "foreign",
    "AWS_DEFAULT_PROFILE": "foreign",
    "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/foreign",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "/foreign",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/foreign",
    "AZURE_CLIENT_SECRET": "foreign",
    "AZURE_CLIENT_CERTIFICATE_PATH": "/foreign",
    "AZURE_TOKEN_CREDENTIALS": "dev",
    "GOOGLE_APPLICATION_CREDENTIALS": "/foreign",
    "GOOGLE_OAUTH_ACCESS_TOKEN": "foreign",
    "CLOUDSDK_AUTH_ACCESS_TOKEN": "foreign",
    "CLOUDAUTH_KEY_PIN": "1234",
}


class Env:
    """`cloudauth env` with a configuration file whose place has blanks and quotes in its name."""

    def __init__(self, cloudauth, emulator, folder):
        self.cloudauth, self.emulator = cloudauth, emulator
        self.folder = folder / "it's a #1 ;place"
        self.runtime = folder / "runtime"
        self.folder.mkdir()
        self.runtime.mkdir(mode=0o700)
        leaf, leaf_key = emulator.leaf_pem()
        self.write("leaf.pem", leaf)
        self.leaf_key = support.private_file(folder / "leaf-key.pem", leaf_key)
        self.write("secret", e.SECRET_KEY)
        self.issuer = support.private_file(folder / "issuer.pem", support.key_pem(emulator.keys["issuer"]))
        self.client = support.private_file(folder / "client.pem", support.key_pem(emulator.keys["client"]))
        self.robot = support.private_file(
            folder / "robot.json", json.dumps(support.service_account(emulator.keys["robot"]))
        )
        shutil.copy(emulator.client_pem.parent / "public.pem", self.folder / "public.pem")
        self.secret = support.private_file(folder / "secret", e.SECRET_KEY)
        start = int(time.time()) - 3600
        self.write("web-token", emulator.token("sts.amazonaws.com", life=3600, iat=start))
        self.write("config.toml", self.config())

    def write(self, name, content):
        return support.private_file(self.folder / name, content)

    def config(self):
        url = self.emulator.url
        return f"""
ca-file = "{self.emulator.ca}"

[profiles.device]
kind = "aws-roles-anywhere"
key = "file:{self.leaf_key}"
certificate = "leaf.pem"
trust-anchor-arn = "{e.ANCHOR}"
profile-arn = "{e.PROFILE}"
role-arn = "{e.ROLE}"
region = "eu-west-1"
endpoint-url = "{url}"

[profiles."a deploy's #2"]
kind = "aws-assume-role"
access-key-id = "{e.ACCESS_KEY}"
key = "file:{self.secret}"
role-arn = "{e.ROLE}"
session-name = "robot-7"
external-id = "ext-1"
region = "eu-west-1"
endpoint-url = "{url}"

[profiles.by-variable]
kind = "aws-assume-role"
access-key-id = "{e.ACCESS_KEY}"
key = "env:THE_SECRET"
role-arn = "{e.ROLE}"
session-name = "robot-8"
external-id = "ext-1"
region = "eu-west-1"
endpoint-url = "{url}"

[profiles.standing]
kind = "aws-assume-role"
source-profile = "by-variable"
role-arn = "{e.ROLE}"
session-name = "robot-9"
region = "eu-west-1"

[profiles.unnamed]
kind = "aws-session-token"
region = "eu-west-1"

[profiles.relative]
kind = "aws-session-token"
access-key-id = "{e.ACCESS_KEY}"
key = "file:secret"
region = "eu-west-1"

[profiles.web]
kind = "aws-web-identity"
region = "eu-west-1"

[profiles.workload]
kind = "aws-web-identity"
token-file = "web-token"
role-arn = "{e.ROLE}"
session-name = "robot-10"
region = "eu-west-1"
duration = 900
endpoint-url = "{url}"

[profiles.app]
kind = "azure-token"
tenant = "{e.TENANT}"
client-id = "{e.CLIENT}"
authority = "{url}"
scopes = ["{VAULT}"]
key = "file:{self.client}"
certificate = "public.pem"

[profiles.public-app]
kind = "azure-token"
tenant = "{e.TENANT}"
client-id = "{e.CLIENT}"
scopes = ["{VAULT}"]
key = "env:CLIENT_KEY"
certificate = "public.pem"

[profiles.secret-app]
kind = "azure-token"
tenant = "{e.TENANT}"
client-id = "{e.CLIENT}"
authority = "{url}"
scopes = ["{VAULT}"]
client-secret = "env:THE_SECRET"

[profiles.pool]
kind = "gcp-federated"
provider = "{e.PROVIDER}"
issuer = "{e.ISSUER}"
subject = "workload"
key = "file:{self.issuer}"
key-id = "k1"
lifetime = 4
endpoint-url = "{url}"

[profiles.other-robot]
kind = "gcp-impersonated"
source-profile = "pool"
email = "{e.OTHER_ROBOT}"
lifetime = 1200
endpoint-url = "{url}"

[profiles.other-robot-id]
kind = "gcp-impersonated"
source-profile = "pool"
email = "{e.OTHER_ROBOT}"
id-token-audience = "https://a.example"
endpoint-url = "{url}"

[profiles.robot]
kind = "gcp-oauth"
key = "file:{self.robot}"
endpoint-url = "{url}"

[profiles.robot-id]
kind = "gcp-id-token"
key = "file:{self.robot}"
audience = "https://a.example"
endpoint-url = "{url}"
"""

    def args(self, profiles, command, options=()):
        named = [arg for name in profiles for arg in ("--profile", name)]
        config = ["--config", self.folder / "config.toml"]
        return list(map(str, [self.cloudauth.path, "env", *named, *config, *options, "--", *command]))

    def environment(self, **more):
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "XDG_RUNTIME_DIR": str(self.runtime),
            "AWS_ENDPOINT_URL": self.emulator.url,
            "AWS_CA_BUNDLE": self.emulator.ca,
            "REQUESTS_CA_BUNDLE": self.emulator.ca,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_GCE_CHECK": "true",
            # Or google-auth asks the resource manager for its name.
            "GOOGLE_CLOUD_PROJECT": "a-project",
            **FOREIGN,
            **more,
        }

    def start(self, profiles, *command, options=(), without=(), env=None, **kwargs):
        given = self.environment(**(env or {}))
        given = {name: value for name, value in given.items() if name not in without}
        return subprocess.Popen(
            self.args(profiles, command, options), env=given, cwd=kwargs.pop("cwd", "/"),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kwargs,
        )  # fmt: skip

    def run(self, profiles, *command, stderr="", code=0, **kwargs):
        process = self.start(profiles, *command, **kwargs)
        out, err = process.communicate(timeout=60)
        assert process.returncode == code, (command, out, err)
        if stderr is not None:
            assert err == stderr
        assert self.left() == []
        return out

    def left(self):
        """What is in the directory of the session, but for the cache that processes share."""
        return sorted(name for name in os.listdir(self.runtime) if name != "cloudauth")

    def python(self, profiles, code, **kwargs):
        return json.loads(self.run(profiles, sys.executable, "-W", "error", "-c", code, **kwargs))


@pytest.fixture
def env(cloudauth, running, tmp_path):  # noqa: F811
    running.reset()
    return Env(cloudauth, running, tmp_path)


def refused(env, profiles, *texts, options=(), given=None):
    process = env.start(profiles, "touch", env.folder / "ran", options=options, env=given)
    out, err = process.communicate(timeout=60)
    assert process.returncode in (2, 3, 4, 5) and not out, (process.returncode, err)
    for text in texts:
        assert text in err, err
    assert not (env.folder / "ran").exists() and env.left() == []
    return err


# AWS

BOTO = """
import boto3, json
session = boto3.session.Session()
frozen = session.get_credentials()
print(json.dumps({
    "method": frozen.method,
    "arn": session.client("sts").get_caller_identity()["Arn"],
    "keys": [o["Key"] for o in session.client("s3").list_objects_v2(Bucket="bucket-1")["Contents"]],
    "region": session.region_name,
}))
"""


@pytest.mark.parametrize(
    ("profile", "arn"), [("device", "reader/"), ("a deploy's #2", "reader/robot-7"), ("workload", "reader/robot-10")]
)
def test_boto3(env, profile, arn):
    seen = env.python([profile], BOTO)
    assert seen["method"] == "custom-process" and seen["region"] == "eu-west-1"
    assert arn in seen["arn"] and seen["keys"] == ["hello.txt", "logs/1", "logs/2"]


def test_aws_cli(env):
    seen = json.loads(env.run(["device"], AWS, "sts", "get-caller-identity"))
    assert ":assumed-role/reader/" in seen["Arn"]
    listed = env.run(["device"], AWS, "s3", "ls", "bucket-1").split()
    assert "hello.txt" in listed
    # One session for both: the cache of the runtime directory.
    assert len(env.emulator.control("requests?service=roles-anywhere")) == 1
    # The credential process needs nothing of this directory or its name.
    seen = env.run(["device"], AWS, "sts", "get-caller-identity", options=["--no-cache", "--timeout", "9"])
    assert ":assumed-role/reader/" in seen
    assert len(env.emulator.control("requests?service=roles-anywhere")) == 2


def test_a_refusal_is_told_by_the_sdk(env):
    """What AWS's helper leaves unclear: why access is denied."""
    env.emulator.fault("status", "roles-anywhere", count=9, status=403)
    process = env.start(["device"], AWS, "sts", "get-caller-identity")
    out, err = process.communicate(timeout=60)
    assert process.returncode not in (0, 1) and not out
    assert "CreateSession" in err and "403" in err
    assert env.left() == []


def test_what_the_command_finds(env):
    """Files that this user alone can read, no secret in them or in arguments, nothing foreign."""
    code = """
import json, os, pathlib, stat
folder = pathlib.Path(os.environ["AWS_CONFIG_FILE"]).parent
config = pathlib.Path(os.environ["AWS_CONFIG_FILE"]).read_text().splitlines()
line = [line for line in config if line.startswith("credential_process")][0]
print(json.dumps({
    "env": dict(os.environ), "folder": str(folder), "mode": stat.S_IMODE(os.stat(folder).st_mode),
    "modes": {p.name: stat.S_IMODE(p.stat().st_mode) for p in folder.iterdir()},
    "texts": {p.name: p.read_text() for p in folder.iterdir()},
    "process": line.split("=", 1)[1].strip(), "parent": pathlib.Path(f"/proc/{os.getppid()}/cmdline").read_text(),
}))
"""
    seen = env.python(["device", "app", "pool"], code)
    assert seen["folder"].startswith(str(env.runtime)) and seen["mode"] == 0o700
    assert set(seen["modes"]) == {
        "aws-config", "aws-credentials", "azure-federated-token", "google-external-account.json",
        "google-subject-token",
    }  # fmt: skip
    assert set(seen["modes"].values()) == {0o600}
    assert seen["texts"]["aws-credentials"] == ""
    kept = {"GOOGLE_APPLICATION_CREDENTIALS"}
    assert not (set(FOREIGN) - kept) & set(seen["env"])
    assert seen["env"]["GOOGLE_APPLICATION_CREDENTIALS"].startswith(seen["folder"])
    assert seen["env"]["AWS_ENDPOINT_URL"] == env.emulator.url
    everything = json.dumps(seen)
    for secret in [e.SECRET_KEY, "PRIVATE KEY", "foreign", "ASIA"]:
        assert secret not in everything
    # As a shell reads it: the same program, from wherever.
    done = subprocess.run(["sh", "-c", seen["process"]], capture_output=True, env=env.environment(), cwd="/tmp")
    assert json.loads(done.stdout)["Version"] == 1, done.stderr


def test_relative_options(env):
    """The configuration is found from wherever the command looks for it."""
    process = subprocess.Popen(
        [env.cloudauth.path, "env", "--config", "config.toml", "--", "sh", "-c", f"cd / && {AWS} sts get-caller-identity"],
        env=env.environment(CLOUDAUTH_PROFILE="device"), cwd=env.folder,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    out, err = process.communicate(timeout=60)
    assert ":assumed-role/reader/" in out and not err


def test_without_a_runtime_directory(env):
    temporary = env.folder / "tmp"
    temporary.mkdir()
    out = env.run(["pool"], "sh", "-c", "echo $GOOGLE_APPLICATION_CREDENTIALS",
                  without=["XDG_RUNTIME_DIR"], env={"TMPDIR": str(temporary)})  # fmt: skip
    assert out.startswith(str(temporary)) and not os.listdir(temporary)


def test_aws_refused(env):
    """What the credential process, started by the command, could not read."""
    variable = {"THE_SECRET": e.SECRET_KEY}
    refused(env, ["by-variable"], "--static", "THE_SECRET", given=variable)
    refused(env, ["standing"], "--static", "THE_SECRET", given=variable)
    refused(env, ["device"], "CLOUDAUTH_KEY_PASSPHRASE", given={"CLOUDAUTH_KEY_PASSPHRASE": "x"})
    refused(env, ["unnamed"], "access-key-id", "AWS_ACCESS_KEY_ID")
    refused(env, ["web"], "token-file", "AWS_WEB_IDENTITY_TOKEN_FILE")
    refused(env, ["relative"], "absolute path")
    out = env.run(["by-variable"], "sh", "-c", "echo $THE_SECRET $CLOUDAUTH_KEY_PIN; "
                  f"{AWS} sts get-caller-identity", options=["--static"], env=variable, stderr=None)  # fmt: skip
    assert out.startswith("\n") and "reader/robot-8" in out


def test_static(env):
    code = """
import json, os
print(json.dumps({n: v for n, v in os.environ.items() if n.startswith(("AWS_", "AZURE_", "GOOGLE_", "CLOUDSDK"))}))
"""
    process = env.start(["device", "app", "robot"], sys.executable, "-c", code, options=["--static"])
    out, err = process.communicate(timeout=60)
    seen = json.loads(out)
    assert process.returncode == 0 and err.count("is not renewed (--static)") == 3
    for name in ["AWS_SESSION_TOKEN", "AZURE_ACCESS_TOKEN", "GOOGLE_OAUTH_ACCESS_TOKEN"]:
        assert len(seen[name]) > 20 and seen[name] not in err
    assert seen["CLOUDSDK_AUTH_ACCESS_TOKEN"] == seen["GOOGLE_OAUTH_ACCESS_TOKEN"]
    assert "GOOGLE_APPLICATION_CREDENTIALS" not in seen and "AZURE_FEDERATED_TOKEN_FILE" not in seen
    assert seen["AWS_REGION"] == seen["AWS_DEFAULT_REGION"] == "eu-west-1"
    seen = env.python(["device"], BOTO, options=["--static"], stderr=None)
    assert seen["method"] == "env" and ":assumed-role/reader/" in seen["arn"]


def test_static_ends(env):
    """A service whose clock is behind: what it issues for fifteen minutes ends here in eight seconds."""
    env.emulator.control("clock", {"offset": -892})
    process = env.start(["workload"], "sleep", "10", options=["--static"])
    _, err = process.communicate(timeout=30)
    said = err.splitlines()
    assert process.returncode == 0 and len(said) == 2, err
    assert "is not renewed (--static)" in said[0] and "has ended" in said[1]


def test_only_static(env):
    for profile in ["robot", "secret-app"]:
        refused(env, [profile], "--static", given={"THE_SECRET": e.CLIENT_SECRET})
    for profile in ["robot-id", "other-robot-id"]:
        for options in [[], ["--static"]]:
            assert "ID token" in refused(env, [profile], "cloudauth credential", options=options)
    assert env.run(["robot"], "true", options=["--static"], stderr=None) == ""
    assert env.run(["secret-app"], "true", options=["--static"], stderr=None,
                   env={"THE_SECRET": e.CLIENT_SECRET}) == ""  # fmt: skip


def test_command_line(env):
    refused(env, ["nobody"], "has no profile")
    refused(env, ["device", "a deploy's #2"], "second of one cloud")
    refused(env, [], "--profile is missing")
    refused(env, ["device"], "--time", options=["--time", support.TIME])
    # The arguments of the command are its own affair; ours are not.
    out = env.run(["pool"], "echo", "--password", "x", "eyJhIjoxfQ.eyJhIjoxfQ.c2ln")
    assert out == "--password x eyJhIjoxfQ.eyJhIjoxfQ.c2ln\n"
    refused(env, ["device"], "a secret or a token", options=["--password", "x"])


# Google Cloud

GOOGLE = """
import calendar, json, sys, google.auth, google.auth.transport.requests
credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
request = google.auth.transport.requests.Request()
def seen():
    credentials.refresh(request)
    return {"kind": type(credentials).__name__, "token": credentials.token,
            "expiry": calendar.timegm(credentials.expiry.timetuple()), "email": credentials.service_account_email}
first = seen()
if "wait" in sys.argv:
    import time
    time.sleep(6)
print(json.dumps([first, seen()]))
"""


def test_google_auth(env):
    """The second exchange comes when the first subject token, good for four seconds, has long ended."""
    process = env.start(["pool"], sys.executable, "-W", "error", "-c", GOOGLE, "wait")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0 and not err, err
    first, second = json.loads(out)
    assert first["kind"] == "Credentials" and first["email"] is None
    assert first["token"] != second["token"]
    assert [r["status"] for r in env.emulator.control("requests?service=google-sts")] == [200, 200]
    assert env.left() == []


def test_google_auth_impersonation(env):
    first, second = env.python(["other-robot"], GOOGLE)
    assert first["email"] == e.OTHER_ROBOT and first["token"] != second["token"]
    # Not an hour: the profile's own twenty minutes.
    assert 1100 < second["expiry"] - time.time() <= 1200
    asked = env.emulator.control("requests?service=google-iam")[-1]
    assert asked["principal"].endswith("/subject/workload") and asked["status"] == 200


def test_renewal_fails_and_recovers(env):
    """The last token stays where it is; a warning says so; the new key is taken up at once."""
    script = 'echo $GOOGLE_APPLICATION_CREDENTIALS; read x'
    process = env.start(["pool"], "sh", "-c", script, stdin=subprocess.PIPE)
    token = pathlib.Path(process.stdout.readline().strip()).with_name("google-subject-token")
    aside = env.issuer.with_name("aside.pem")
    env.issuer.rename(aside)
    assert "could not be renewed, and serves until" in process.stderr.readline()
    kept = token.read_text()
    assert "has ended" in process.stderr.readline()
    assert token.read_text() == kept
    aside.rename(env.issuer)
    assert "renewed again" in process.stderr.readline()
    assert token.read_text() != kept and stat.S_IMODE(token.stat().st_mode) == 0o600
    process.communicate("x\n", timeout=20)
    assert process.returncode == 0 and not token.exists() and env.left() == []


def test_renewal_is_never_half_there(env):
    """A reader that never stops finds a whole token each time, and more than one."""
    code = """
import json, os, pathlib, time
path = pathlib.Path(os.environ["GOOGLE_APPLICATION_CREDENTIALS"]).with_name("google-subject-token")
seen, end = set(), time.monotonic() + 5
while time.monotonic() < end:
    text = path.read_text()
    assert text.count(".") == 2 and len(text.rpartition(".")[2]) == 342, text
    seen.add(text)
print(len(seen))
"""
    assert env.python(["pool"], code) in (2, 3, 4)


# Azure

AZURE = """
import json, os, sys, time, azure.identity
options = {"disable_instance_discovery": True} if "local" in sys.argv else {}
kinds = [azure.identity.WorkloadIdentityCredential, azure.identity.DefaultAzureCredential]
tokens, path = [], os.environ["AZURE_FEDERATED_TOKEN_FILE"]
for kind in kinds:
    before = open(path).read()
    with kind(**options) as credential:
        tokens.append(credential.get_token("https://vault.azure.net/.default").token)
    if kind is kinds[0]:
        while open(path).read() == before:
            time.sleep(0.1)
print(json.dumps(tokens))
"""


def test_azure_identity(env):
    """Both take the file; the second has to wait for the next assertion, which is used once."""
    process = env.start(["app"], sys.executable, "-c", AZURE, "local")
    out, err = process.communicate(timeout=90)
    assert process.returncode == 0 and not err, err
    for token in json.loads(out):
        assert support.jws_parts(token)[1]["aud"] == "https://vault.azure.net"
    assert [r["status"] for r in env.emulator.control("requests?service=entra")] == [200, 200]
    assert env.left() == []


def test_azure_identity_by_its_real_name(env):
    """Nothing is set but a proxy: instance discovery included; the key is in a variable, which this program
    reads and the command does not find."""
    code = AZURE.replace("[azure.identity.WorkloadIdentityCredential, ", "[") + "print(os.environ.get('CLIENT_KEY'))"
    code = code.replace("if kind is kinds[0]", "if False")
    key = {"CLIENT_KEY": env.client.read_text(), "HTTPS_PROXY": env.emulator.http_url}
    out = env.run(["public-app"], sys.executable, "-c", code, env=key)
    assert out.endswith("\nNone\n") and len(json.loads(out.splitlines()[0])) == 1


# The process


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -TERM $$", 143), ("kill -KILL $$", 137)]
)
def test_exit_code(env, script, code):
    env.run(["pool"], "sh", "-c", script, code=code)


def test_no_such_command(env):
    plain = support.private_file(env.folder / "plain", "x")
    env.run(["pool"], "/no/such", code=127, stderr="cloudauth: /no/such: No such file or directory (os error 2)\n")
    env.run(["pool"], plain, code=126, stderr=None)


TRAPS = """
import os, signal, sys, time
def got(number, frame):
    os.write(1, signal.Signals(number).name.encode() + b"\\n")
    if number == signal.SIGTERM:
        time.sleep(0.5)
        sys.exit(3)
for number in [signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2]:
    signal.signal(number, got)
os.write(1, b"ready\\n")
while True:
    time.sleep(0.05)
"""


def test_signals(env):
    """Each goes to the command, which decides what comes of it."""
    process = env.start(["pool"], sys.executable, "-c", TRAPS)
    assert process.stdout.readline() == "ready\n"
    for name in ["SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGTERM"]:
        process.send_signal(getattr(signal, name))
        assert process.stdout.readline() == f"{name}\n"
    assert process.wait(20) == 3 and env.left() == []
    process.communicate()


def test_a_signal_that_ends_the_command(env):
    process = env.start(["pool"], "sh", "-c", "echo ready; exec sleep 60")
    assert process.stdout.readline() == "ready\n" and env.left() != []
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130 and env.left() == []
    process.communicate()


def test_typed_once(env):
    """Control-C reaches the command from the terminal; passed on as well it would come twice."""
    leader, follower = pty.openpty()

    def own_terminal():
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(
        env.args(["pool"], [sys.executable, "-c", TRAPS]), env=env.environment(), stdin=follower,
        stdout=subprocess.PIPE, preexec_fn=own_terminal, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "ready\n"
    os.write(leader, b"\x03")
    time.sleep(0.5)
    process.terminate()
    out, _ = process.communicate(timeout=20)
    assert out == "SIGINT\nSIGTERM\n" and process.returncode == 3
    os.close(leader)
    os.close(follower)


def test_nohup(env):
    """What is ignored stays ignored."""
    def ignore():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    process = env.start(["pool"], "sh", "-c", "echo ready; sleep 1; kill -HUP $$; echo still",
                        preexec_fn=ignore)  # fmt: skip
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGHUP)
    out, err = process.communicate(timeout=20)
    assert (out, err, process.returncode) == ("still\n", "", 0) and env.left() == []


def test_a_signal_before_the_command(env):
    """While the services are slow: it ends by the signal, and leaves nothing."""
    env.emulator.fault("latency", "roles-anywhere", milliseconds=20000)
    process = env.start(["device"], "true", options=["--static"])
    end = time.monotonic() + 20
    while not env.left() and time.monotonic() < end:
        time.sleep(0.02)
    assert env.left()
    process.terminate()
    assert process.wait(5) == -signal.SIGTERM and env.left() == []
    process.communicate()
