"""Every flow with keys in a TPM (swtpm): against the same key in software where the signature is
deterministic, else verified by openssl and PyJWT; and what goes wrong. For a program built with the feature tpm.

The keys are put there by tpm2_import and tpm2-openssl. Faults in the middle of a process, and keys that this program makes, are in
std-backends/tpm/tests.
"""

import hashlib
import hmac
import json
import os
import shutil
import subprocess
import time

import jwt
import pytest

import support
import test_azure
import test_roles_anywhere
import test_sts
from support import openssl
from test_pkcs11_keys import typed

# tpm2_import takes no RSA keys of 3072 bits.
KINDS = ["rsa-2048", "p-256", "p-384"]
EMAIL = "robot@a-project.iam.gserviceaccount.com"
VALUE = "authvalue-1357"
PORT = 24000 + os.getpid() % 4000 * 2
GCP = ("gcp", "token", "--time", support.TIME, "--email", EMAIL, "--key")


class Tpm:
    """A swtpm in a folder of its own."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "state").mkdir(parents=True)
        self.tcti = f"swtpm:host=127.0.0.1,port={PORT}"
        self.env = {"TPM2TOOLS_TCTI": self.tcti, "TSS2_LOG": "all+NONE"}
        server = "type=tcp,bindaddr=127.0.0.1,port="
        self.process = subprocess.Popen(
            [
                "swtpm", "socket", "--tpm2", "--tpmstate", f"dir={folder}/state",
                "--flags", "not-need-init,startup-clear",
                "--server", f"{server}{PORT}", "--ctrl", f"{server}{PORT + 1}",
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until = time.monotonic() + 20
        while self.try_call("tpm2_getcap", "properties-fixed").returncode:
            assert time.monotonic() < until, "swtpm does not start"
            time.sleep(0.05)
        self.call("tpm2_createprimary", "-C", "o", "-G", "ecc", "-c", "p.ctx")
        self.flush()

    def try_call(self, *args):
        return subprocess.run(
            list(map(str, args)),
            capture_output=True,
            cwd=self.folder,
            env={**os.environ, **self.env, "TPM2OPENSSL_TCTI": self.tcti},
        )

    def call(self, *args):
        done = self.try_call(*args)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode()

    def flush(self):
        for kind in ["-t", "-l"]:
            self.call("tpm2_flushcontext", kind)

    def load(self, kind, source, name, auth=None):
        """The key of a PEM file, or a secret, as NAME.pem."""
        value = ("-p", auth) if auth else ()
        self.call(
            "tpm2_import", "-C", "p.ctx", "-G", kind, "-i", source,
            "-u", f"{name}.pub", "-r", f"{name}.priv", *value,
        )  # fmt: skip
        self.flush()
        flag = ("-p",) if auth else ()
        self.call(
            "tpm2_encodeobject", "-C", "p.ctx", "-u", f"{name}.pub", "-r", f"{name}.priv",
            "-o", f"{name}.pem", *flag,
        )  # fmt: skip
        (self.folder / f"{name}.pem").chmod(0o600)
        self.flush()

    def persist(self, name, handle):
        self.call("tpm2_load", "-C", "p.ctx", "-u", f"{name}.pub", "-r", f"{name}.priv", "-c", "k.ctx")
        self.call("tpm2_flushcontext", "-t")
        self.call("tpm2_evictcontrol", "-C", "o", "-c", "k.ctx", handle)
        self.flush()

    def uri(self, name, more=""):
        return f"tpm:file={self.folder}/{name}.pem{more}"

    def leftovers(self):
        kinds = ["handles-transient", "handles-loaded-session", "handles-saved-session"]
        return "".join(self.call("tpm2_getcap", kind) for kind in kinds)


@pytest.fixture(scope="module")
def device(tmp_path_factory, identities):
    for program in ["swtpm", "tpm2_import", "tpm2_encodeobject"]:
        assert shutil.which(program), f"{program} is not installed: tests/run tools"
    tpm = Tpm(tmp_path_factory.mktemp("swtpm"))
    try:
        for kind in KINDS:
            algorithm = "rsa" if kind.startswith("rsa") else "ecc"
            tpm.load(algorithm, identities(kind).folder / "key.pem", kind)
        tpm.load("rsa", identities("rsa-2048").folder / "key.pem", "secret", VALUE)
        tpm.persist("rsa-2048", "0x81000100")
        secret = support.private_file(tpm.folder / "aws", "AWS4" + test_sts.SECRET)
        tpm.load("hmac", secret, "aws", VALUE)
        yield tpm
    finally:
        tpm.process.kill()
        tpm.process.wait()


@pytest.fixture(autouse=True)
def nothing_is_left_behind(device):
    yield
    assert device.leftovers() == ""


class Who:
    """An identity whose key is in the TPM."""

    def __init__(self, identity, uri):
        self.identity, self.key_uri = identity, uri

    def __getattr__(self, name):
        return getattr(self.identity, name)


@pytest.mark.parametrize("kind", ["rsa-2048"])
def test_gcp_token_is_the_software_key_s(cloudauth, device, identities, kind):
    expected = cloudauth.text(*GCP, identities(kind).key_uri)
    assert cloudauth.text(*GCP, device.uri(kind), env=device.env) == expected


def test_ways_to_the_tpm(cloudauth, device, identities):
    expected = cloudauth.text(*GCP, identities("rsa-2048").key_uri)
    quiet = {"TSS2_LOG": "all+NONE"}
    assert cloudauth.text(*GCP, "tpm:handle=0x81000100", env=device.env) == expected
    uri = f"tpm:handle=0x81000100?tcti={device.tcti}"
    assert cloudauth.text(*GCP, uri, env=quiet) == expected
    assert cloudauth.text(*GCP, "tpm:handle=0x81000100", env={**quiet, "TCTI": device.tcti}) == expected
    failure(cloudauth, "tpm:handle=0x81000100", "connect to the TPM at device:/dev/no-such",
            env={**quiet, "TPM2TOOLS_TCTI": "device:/dev/no-such"})  # fmt: skip
    failure(cloudauth, "tpm:handle=0x81000100", "TPM2TOOLS_TCTI", "a TCTI is",
            env={**quiet, "TPM2TOOLS_TCTI": "cmd:sh"})  # fmt: skip


def test_gcp_requests(cloudauth, device, identities):
    for command in [("token", "--oauth"), ("id-token", "--audience", "https://example.com")]:
        args = ("gcp", *command, "--dry-run", "--time", support.TIME, "--email", EMAIL, "--key")
        expected = cloudauth.text(*args, identities("rsa-2048").key_uri)
        assert cloudauth.text(*args, device.uri("rsa-2048"), env=device.env) == expected


@pytest.mark.parametrize("kind", ["rsa-2048"])
@pytest.mark.parametrize("algorithm", ["RS256", "PS256"])
def test_azure_assertions(cloudauth, device, identities, monkeypatch, kind, algorithm):
    monkeypatch.setattr(jwt.api_jwt, "datetime", support.FixedDatetime)
    one = Who(identities(kind), device.uri(kind))
    made = test_azure.assertion(cloudauth, one, "--algorithm", algorithm, env=device.env)
    header, _ = test_azure.read(made, one, algorithm)
    assert header["alg"] == algorithm


@pytest.mark.parametrize("kind", KINDS)
def test_aws_roles_anywhere(cloudauth, device, identities, tmp_path, kind):
    one = Who(identities(kind), device.uri(kind))
    software = cloudauth.text(*test_roles_anywhere.arguments(identities(kind)))
    made = cloudauth.text(*test_roles_anywhere.arguments(one), env=device.env)
    if kind.startswith("rsa"):
        assert made == software
        return
    assert made.split("Signature=")[0] == software.split("Signature=")[0]
    explained = cloudauth.json(*test_roles_anywhere.arguments(one, "--explain"), env=device.env)
    signature = bytes.fromhex(explained["signature"])
    message = explained["string_to_sign"].encode()
    test_roles_anywhere.verify(one.key, signature, message)
    (tmp_path / "signed").write_bytes(message)
    (tmp_path / "signature").write_bytes(signature)
    openssl(
        "dgst", "-sha256", "-verify", one.public_key_file,
        "-signature", tmp_path / "signature", tmp_path / "signed",
    )  # fmt: skip


def test_aws_secret(cloudauth, device):
    env = {**device.env, "CLOUDAUTH_KEY_AUTH": VALUE}
    options = ("--access-key-id", test_sts.ACCESS_KEY, "--key", device.uri("aws"))
    args = ("aws", "caller-identity", "--dry-run", "--time", support.TIME, "--region", test_sts.REGION)
    expected = cloudauth.bytes(*args, env=test_sts.CREDENTIALS)
    assert cloudauth.bytes(*args, *options, env=env) == expected
    args = (
        "aws", "assume-role", "--dry-run", "--time", support.TIME, "--region", test_sts.REGION,
        "--role-arn", test_sts.ROLE, "--session-name", "robot",
    )  # fmt: skip
    expected = cloudauth.bytes(*args, env=test_sts.CREDENTIALS)
    assert cloudauth.bytes(*args, *options, env=env) == expected


def failure(cloudauth, uri, *parts, env):
    done = cloudauth.run(*GCP, uri, env=env)
    assert (done.returncode, done.stdout) == (3, b""), done.stderr
    assert done.stderr.count("\n") == 1 and VALUE not in done.stderr
    for part in parts:
        assert part in done.stderr, done.stderr
    return done.stderr


def test_auth_sources(cloudauth, device, identities, tmp_path):
    expected = cloudauth.text(*GCP, identities("rsa-2048").key_uri)
    file = support.private_file(tmp_path / "auth", VALUE + "\n")
    uri = device.uri("secret", f"?auth-source=file:{file}")
    assert cloudauth.text(*GCP, uri, env=device.env) == expected
    uri = device.uri("secret", "?auth-source=env:MY_AUTH")
    assert cloudauth.text(*GCP, uri, env={**device.env, "MY_AUTH": VALUE}) == expected
    reader, writer = os.pipe()
    os.write(writer, VALUE.encode())
    os.close(writer)
    uri = device.uri("secret", f"?auth-source=fd:{reader}")
    assert cloudauth.text(*GCP, uri, env=device.env, pass_fds=[reader]) == expected
    os.close(reader)


def test_refusals(cloudauth, device, tmp_path):
    env = {**device.env, "CLOUDAUTH_KEY_AUTH": "wrong-value"}
    text = failure(cloudauth, device.uri("secret"), "Esys_Sign", "TPM_RC_AUTH_FAIL", "0x98e", "auth-source", env=env)
    assert "wrong-value" not in text
    device.call("tpm2_dictionarylockout", "--clear-lockout")
    failure(cloudauth, "tpm:handle=0x81000199", "no key at the persistent handle", env=device.env)
    failure(cloudauth, device.uri("none"), "no such file", env=device.env)
    other = support.private_file(tmp_path / "k.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    failure(cloudauth, f"tpm:file={other}", "TSS2 PRIVATE KEY", env=device.env)
    failure(cloudauth, device.uri("rsa-2048", f"?auth={VALUE}"), "auth-source", env=device.env)
    name = "000b" + "00" * 32
    failure(cloudauth, device.uri("rsa-2048", f"?srk-name={name}"), "not the pinned", env=device.env)


def descriptor(value):
    """A pipe that gives the value once."""
    reader, writer = os.pipe()
    os.write(writer, value.encode())
    os.close(writer)
    return reader


def test_a_descriptor_is_read_once(cloudauth, device, tmp_path):
    """A new key and its certificate request: two openings, one value."""
    reader = descriptor(VALUE)
    uri = f"tpm:file={tmp_path}/new.pem?auth-source=fd:{reader}"
    csr = cloudauth.text(
        "key", "create", "--type", "ec-p256", "--csr", "--subject", "CN=robot", "--key", uri,
        env=device.env, pass_fds=[reader],
    )  # fmt: skip
    os.close(reader)
    (tmp_path / "csr.pem").write_text(csr)
    openssl("req", "-in", tmp_path / "csr.pem", "-verify", "-noout")
    args = ("key", "test", "--count", "1", "--key", f"tpm:file={tmp_path}/new.pem")
    assert "signs and verifies" in cloudauth.text(*args, env={**device.env, "CLOUDAUTH_KEY_AUTH": VALUE})
    # The value is that of the descriptor, not an empty one.
    done = cloudauth.run(*args, env=device.env)
    assert "TPM_RC_AUTH_FAIL" in done.stdout.decode() + done.stderr
    device.call("tpm2_dictionarylockout", "--clear-lockout")


def test_empty_sources(cloudauth, device, tmp_path):
    """They are mistakes, not keys without a value."""
    env = {**device.env, "CLOUDAUTH_KEY_AUTH": ""}
    failure(cloudauth, device.uri("rsa-2048"), "CLOUDAUTH_KEY_AUTH", "empty", env=env)
    file = support.private_file(tmp_path / "empty", "\n")
    failure(cloudauth, device.uri("rsa-2048", f"?auth-source=file:{file}"), "empty", env=device.env)
    reader = descriptor("")
    done = cloudauth.run(*GCP, device.uri("rsa-2048", f"?auth-source=fd:{reader}"), env=device.env, pass_fds=[reader])
    os.close(reader)
    assert done.returncode == 3 and "empty" in done.stderr, done.stderr


def test_a_value_is_typed(cloudauth, device, identities):
    # A key in the form of tpm2-openssl says whether it has one.
    expected = cloudauth.bytes(*GCP, identities("rsa-2048").key_uri)
    device.call("tpm2_load", "-C", "p.ctx", "-u", "secret.pub", "-r", "secret.priv", "-c", "k.ctx")
    device.call("tpm2_flushcontext", "-t")
    device.call("tpm2_evictcontrol", "-C", "o", "-c", "k.ctx", "0x81000101")
    device.flush()
    env = {**os.environ, **device.env}
    uri = "tpm:handle=0x81000101"
    seen, out, code = typed(cloudauth.path, (*GCP, uri), env, VALUE)
    assert (code, out) == (0, expected), seen
    assert seen.startswith("Authorization value of tpm:handle=0x81000101") and VALUE not in seen
    # Enter for a key that has none.
    seen, out, code = typed(cloudauth.path, (*GCP, "tpm:handle=0x81000100"), env, "")
    assert (code, out) == (0, expected), seen
    seen, out, code = typed(cloudauth.path, (*GCP, uri), env, "wrong-value")
    assert (code, out) == (3, b"") and "TPM_RC_AUTH_FAIL" in seen and seen.count("Authorization value of") == 1
    device.call("tpm2_dictionarylockout", "--clear-lockout")
    device.call("tpm2_evictcontrol", "-C", "o", "-c", "0x81000101")


def test_a_key_store_is_listed(cloudauth, device, tmp_path):
    root = tmp_path / "system" / "P_RSA2048SHA256" / "HS" / "SRK"
    root.mkdir(parents=True)
    device.call("tpm2_createprimary", "-C", "o", "-G", "rsa", "-c", "srk.ctx")
    device.call("tpm2_flushcontext", "-t")
    device.call("tpm2_evictcontrol", "-C", "o", "-c", "srk.ctx", "0x81000102")
    device.flush()
    (root / "object.json").write_text(json.dumps({"persistent_handle": 0x81000102}))
    dirs = f"fapi-user-dir={tmp_path}/user&fapi-system-dir={tmp_path}/system"
    for name in ["one", "two"]:
        uri = f"tpm:fapi=/HS/SRK/{name}?{dirs}"
        cloudauth.text("key", "create", "--type", "ec-p256", "--key", uri, env=device.env)
    damaged = tmp_path / "user" / "P_RSA2048SHA256" / "HS" / "SRK" / "zero"
    damaged.mkdir()
    support.private_file(damaged / "object.json", "{}")
    listed = cloudauth.json("key", "list", "--output", "json", "--key", f"tpm:fapi=/HS/SRK?{dirs}", env=device.env)
    assert [key["uri"] for key in listed] == [
        f"tpm:fapi=/P_RSA2048SHA256/HS/SRK/{name}?{dirs}" for name in ["one", "two", "zero"]
    ]
    assert "public area" in json.dumps(listed[2])
    for key in listed[:2]:
        args = ("key", "test", "--count", "1", "--key", key["uri"])
        assert "signs and verifies" in cloudauth.text(*args, env=device.env)
        cloudauth.text("key", "delete", "--yes", "--key", key["uri"], env=device.env)
    listed = cloudauth.text("key", "list", "--key", f"tpm:fapi=/HS/SRK?{dirs}", env=device.env)
    assert "zero" in listed and "one" not in listed
    device.call("tpm2_evictcontrol", "-C", "o", "-c", "0x81000102")


OLD = """
import json, sys
from cloud_auth_tpm.gcp import GCPCredentials
from cloud_auth_tpm.aws.awshmaccredentials import AWSHMACCredentials
tcti, rsa, secret, email, signed, kid = sys.argv[1:]
gcp = GCPCredentials(tcti=tcti, keyfile=rsa, email=email)
scope = "https://www.googleapis.com/auth/cloud-platform"
aws = object.__new__(AWSHMACCredentials)  # its constructor would call AWS
aws._tcti, aws._keyfile = tcti, open(secret).read()
aws._ownerpassword = aws._password = aws._policy_impl = aws._enc_key_name = None
aws._use_ek_cert = False
print(json.dumps({
    "signature": gcp.sign(data=signed.encode()).hex(),
    "token": gcp.jwt_token(1795348800, 1795352400, kid, email, scope),
    "aws": aws._getSignatureKey(None, "20261122", "eu-central-1", "sts").hex(),
}))
"""


def test_the_old_package(cloudauth, device, identities, tmp_path):
    """cloud-auth-tpm with the key files that this program made: the same signatures, and each accepts the
    other's token."""
    rsa, secret = tmp_path / "rsa.pem", tmp_path / "aws.pem"
    key = ("key", "import", "--key")
    cloudauth.text(*key, f"tpm:file={rsa}", "--from", identities("rsa-2048").folder / "key.pem", env=device.env)
    cloudauth.text(
        *key, f"tpm:file={secret}", "--aws-secret", "--from", "-", env=device.env, stdin=test_sts.SECRET.encode()
    )
    jwks = json.loads(cloudauth.text("key", "show", "--jwks", "--key", f"tpm:file={rsa}", env=device.env))
    ours = cloudauth.text(*GCP, f"tpm:file={rsa}", env=device.env).strip()
    assert ours == cloudauth.text(*GCP, identities("rsa-2048").key_uri).strip()
    signed, _, signature = ours.rpartition(".")
    kid = jwks["keys"][0]["kid"]
    old = device.call(support.old_python("tpm"), "-W", "ignore", "-c", OLD, device.tcti, rsa, secret, EMAIL, signed, kid)
    device.flush()
    old = json.loads(old)
    assert bytes.fromhex(old["signature"]) == support.unpad(signature)
    (tmp_path / "jwks.json").write_text(json.dumps(jwks))
    verify = ("jwt", "verify", "--jwks", tmp_path / "jwks.json", "--algorithm", "RS256", "--issuer", EMAIL)
    claims = cloudauth.json(*verify, "--time", support.TIME, "-", stdin=old["token"].encode())
    assert claims["sub"] == EMAIL
    args = ("aws", "sign", "--request", "-", "--region", "eu-central-1", "--service", "sts", "--explain")
    explained = cloudauth.json(
        *args, "--time", support.TIME, "--access-key-id", test_sts.ACCESS_KEY, "--key", f"tpm:file={secret}",
        env=device.env,
        stdin=b"GET /?Action=GetCallerIdentity HTTP/1.1\r\nHost: sts.eu-central-1.amazonaws.com\r\n\r\n",
    )  # fmt: skip
    expected = hmac.new(bytes.fromhex(old["aws"]), explained["string_to_sign"].encode(), hashlib.sha256)
    assert explained["signature"] == expected.hexdigest()


def test_secrets_do_not_cross_the_bus(cloudauth, device, tmp_path):
    """The authorization value: in no process's arguments, not in what is written, not in what goes to the TPM. The day's
    key of AWS, which the TPM computes: not in what comes back."""
    if not shutil.which("strace"):
        pytest.fail("strace is not installed: tests/run tools")
    file = support.private_file(tmp_path / "auth", VALUE)
    trace = tmp_path / "trace"
    calls = "trace=execve,connect,read,readv,recv,recvfrom,recvmsg,write,writev,send,sendto,sendmsg"
    day = support.NOW.strftime("%Y%m%d").encode()
    day_key = hmac.digest(b"AWS4" + test_sts.SECRET.encode(), day, "sha256")
    sts = ("aws", "caller-identity", "--dry-run", "--time", support.TIME, "--region", "us-east-1",
           "--access-key-id", "AKIDEXAMPLE", "--key", device.uri("aws", f"?auth-source=file:{file}"))  # fmt: skip
    for args in [(*GCP, device.uri("secret", f"?auth-source=file:{file}")), sts]:
        done = subprocess.run(
            ["strace", "-f", "-v", "-xx", "-s", "99999", "-e", calls, "-o", trace, cloudauth.path, *map(str, args)],
            env=device.env, capture_output=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        lines = trace.read_text().replace("\\x", "").splitlines()
        sent = [l for l in lines if any(f" {c}" in l for c in ("execve(", "write", "send"))]
        received = [l for l in lines if " read" in l or " recv" in l]
        # The trace shows what it should: the file with the value is read, and the TPM is spoken to.
        assert any(VALUE.encode().hex() in l for l in received)
        assert any("connect(" in l for l in lines) and len(sent) > 3
        assert not any(VALUE.encode().hex() in l for l in sent)
        assert not any(day_key.hex() in l for l in lines)
        assert VALUE.encode() not in done.stdout + done.stderr
        assert sum("execve(" in l for l in lines) == 1
