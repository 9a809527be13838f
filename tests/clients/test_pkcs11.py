"""Every flow with keys in a SoftHSM token: against the same key in software where the signature is
deterministic, else verified by openssl and PyJWT; and what goes wrong.

The keys are put there by other programs: softhsm2-util (imported), pkcs11-tool (made in the token),
python-pkcs11 (the AWS secret). Faults in the middle of a process are in std-backends/pkcs11/tests.
"""

import os
import pathlib
import shutil
import subprocess
import sys

import jwt
import pytest

import support
import test_azure
import test_roles_anywhere
import test_sts
from support import openssl

MODULE = next(
    (
        p
        for p in map(
            pathlib.Path,
            [
                "/usr/lib/softhsm/libsofthsm2.so",
                "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
                "/usr/lib64/softhsm/libsofthsm2.so",
            ],
        )
        if p.exists()
    ),
    None,
)
PIN = "84310975"
KINDS = ["rsa-2048", "rsa-3072", "p-256", "p-384"]
EMAIL = "robot@a-project.iam.gserviceaccount.com"


class Token:
    """A SoftHSM token in a folder of its own."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "tokens").mkdir(parents=True)
        self.conf = folder / "softhsm2.conf"
        self.conf.write_text(f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\n")
        self.env = {"SOFTHSM2_CONF": str(self.conf), "CLOUDAUTH_KEY_PIN": PIN}

    def call(self, *args):
        done = subprocess.run(
            list(map(str, args)),
            capture_output=True,
            env={**os.environ, "SOFTHSM2_CONF": str(self.conf)},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.decode()

    def init(self, label):
        self.call(
            "softhsm2-util", "--init-token", "--free",
            "--label", label, "--pin", PIN, "--so-pin", "12345678",
        )  # fmt: skip

    def load(self, pem, label, id):
        self.call(
            "softhsm2-util", "--import", pem, "--token", "t",
            "--label", label, "--id", id, "--pin", PIN,
        )  # fmt: skip

    def tool(self, *args):
        return self.call(
            "pkcs11-tool", "--module", MODULE, "--token-label", "t", "--login", "--pin", PIN, *args
        )

    def uri(self, label, more=""):
        return f"pkcs11:token=t;object={label}?module-path={MODULE}{more}"


@pytest.fixture(scope="module")
def token(tmp_path_factory, identities):
    assert MODULE, "SoftHSM is not installed: tests/run tools"
    token = Token(tmp_path_factory.mktemp("softhsm"))
    token.init("t")
    for number, kind in enumerate(KINDS, 1):
        token.load(identities(kind).folder / "key.pem", kind, f"0{number}")
    for label, kind in [("made-rsa", "rsa:2048"), ("made-p256", "EC:prime256v1"), ("made-p384", "EC:secp384r1")]:
        token.tool("--keypairgen", "--key-type", kind, "--label", label, "--id", label.encode().hex())
    # In a process of its own: SoftHSM reads the configuration of this one's environment once.
    token.call(
        sys.executable, "-c",
        "import sys, pkcs11\n"
        "from pkcs11 import Attribute as A, KeyType, ObjectClass\n"
        "t = pkcs11.lib(sys.argv[1]).get_token(token_label='t')\n"
        "with t.open(user_pin=sys.argv[2], rw=True) as s:\n"
        "    for label, kind in (('aws', KeyType.GENERIC_SECRET), ('aws-hmac', KeyType.SHA256_HMAC)):\n"
        "        s.create_object({A.CLASS: ObjectClass.SECRET_KEY, A.KEY_TYPE: kind, A.TOKEN: True,\n"
        "            A.SENSITIVE: True, A.EXTRACTABLE: False, A.SIGN: True, A.LABEL: label,\n"
        "            A.VALUE: ('AWS4' + sys.argv[3]).encode()})\n",
        MODULE, PIN, test_sts.SECRET,
    )  # fmt: skip
    return token


class Who:
    """An identity whose key is in the token."""

    def __init__(self, identity, uri):
        self.identity, self.key_uri = identity, uri

    def __getattr__(self, name):
        return getattr(self.identity, name)


def who(token, identities, kind):
    return Who(identities(kind), token.uri(kind))


@pytest.mark.parametrize("kind", ["rsa-2048", "rsa-3072"])
def test_gcp_token_is_the_software_key_s(cloudauth, token, identities, kind):
    args = ("gcp", "token", "--time", support.TIME, "--email", EMAIL, "--key")
    expected = cloudauth.text(*args, identities(kind).key_uri)
    assert cloudauth.text(*args, token.uri(kind), env=token.env) == expected
    by_id = f"pkcs11:token=t;id=%0{KINDS.index(kind) + 1};type=private?module-path={MODULE}"
    assert cloudauth.text(*args, by_id, env=token.env) == expected
    by_name = f"pkcs11:token=t;object={kind}?module-name=softhsm2"
    assert cloudauth.text(*args, by_name, env=token.env) == expected


def test_uris_of_p11tool(cloudauth, token, identities):
    """GnuTLS writes whole URIs (RFC 7512) of the same keys: ours reads them."""
    listed = subprocess.run(
        ["p11tool", "--batch", "--login", "--provider", MODULE, "--list-privkeys", "--only-urls", "pkcs11:token=t"],
        env={**os.environ, "SOFTHSM2_CONF": str(token.conf), "GNUTLS_PIN": PIN},
        capture_output=True, check=True,
    )  # fmt: skip
    urls = [u for u in listed.stdout.decode().split() if "object=rsa-2048" in u]
    assert len(urls) == 1 and "model=SoftHSM%20v2" in urls[0] and "serial=" in urls[0]
    args = ("gcp", "token", "--time", support.TIME, "--email", EMAIL, "--key")
    made = cloudauth.text(*args, f"{urls[0]}?module-path={MODULE}", env=token.env)
    assert made == cloudauth.text(*args, identities("rsa-2048").key_uri)
    other = urls[0].replace("model=SoftHSM%20v2", "model=SoftHSM%20v3")
    failure(cloudauth, token, f"{other}?module-path={MODULE}", "no token fits")


def test_gcp_requests(cloudauth, token, identities):
    for command in [("token", "--oauth"), ("id-token", "--audience", "https://example.com")]:
        args = ("gcp", *command, "--dry-run", "--time", support.TIME, "--email", EMAIL, "--key")
        expected = cloudauth.text(*args, identities("rsa-2048").key_uri)
        assert cloudauth.text(*args, token.uri("rsa-2048"), env=token.env) == expected


@pytest.mark.parametrize("kind", ["rsa-2048", "rsa-3072"])
@pytest.mark.parametrize("algorithm", ["RS256", "PS256"])
def test_azure_assertions(cloudauth, token, identities, monkeypatch, kind, algorithm):
    monkeypatch.setattr(jwt.api_jwt, "datetime", support.FixedDatetime)
    one = who(token, identities, kind)
    options = ("--algorithm", algorithm)
    made = test_azure.assertion(cloudauth, one, *options, env=token.env)
    # PyJWT takes a PSS salt of 32 octets only.
    header, _ = test_azure.read(made, one, algorithm)
    assert header["alg"] == algorithm


@pytest.mark.parametrize("kind", KINDS)
def test_aws_roles_anywhere(cloudauth, token, identities, tmp_path, kind):
    one = who(token, identities, kind)
    software = cloudauth.text(*test_roles_anywhere.arguments(identities(kind)))
    made = cloudauth.text(*test_roles_anywhere.arguments(one), env=token.env)
    if kind.startswith("rsa"):
        assert made == software
        return
    # ECDSA: all but the signature is the same; pyca and openssl verify the signature.
    assert made.split("Signature=")[0] == software.split("Signature=")[0]
    for _ in range(4):
        explained = cloudauth.json(*test_roles_anywhere.arguments(one, "--explain"), env=token.env)
        signature = bytes.fromhex(explained["signature"])
        message = explained["string_to_sign"].encode()
        test_roles_anywhere.verify(one.key, signature, message)
    (tmp_path / "signed").write_bytes(message)
    (tmp_path / "signature").write_bytes(signature)
    openssl(
        "dgst", "-sha256", "-verify", one.public_key_file,
        "-signature", tmp_path / "signature", tmp_path / "signed",
    )  # fmt: skip


@pytest.mark.parametrize("label", ["aws", "aws-hmac"])
def test_aws_secret(cloudauth, token, label):
    args = ("aws", "caller-identity", "--dry-run", "--time", support.TIME, "--region", test_sts.REGION)
    expected = cloudauth.bytes(*args, env=test_sts.CREDENTIALS)
    options = ("--access-key-id", test_sts.ACCESS_KEY, "--key", token.uri(label))
    assert cloudauth.bytes(*args, *options, env=token.env) == expected
    args = (
        "aws", "assume-role", "--dry-run", "--time", support.TIME, "--region", test_sts.REGION,
        "--role-arn", test_sts.ROLE, "--session-name", "robot",
    )  # fmt: skip
    expected = cloudauth.bytes(*args, env=test_sts.CREDENTIALS)
    assert cloudauth.bytes(*args, *options, env=token.env) == expected


def test_keys_made_in_the_token(cloudauth, token, tmp_path):
    """The signature of a token verifies with the public key that pkcs11-tool reads."""
    der = tmp_path / "public.der"
    token.tool("--read-object", "--type", "pubkey", "--label", "made-rsa", "--output-file", der)
    args = ("gcp", "token", "--time", support.TIME, "--email", EMAIL, "--key")
    text = cloudauth.text(*args, token.uri("made-rsa"), env=token.env).strip()
    _, _, signed, signature = support.jws_parts(text)
    (tmp_path / "signed").write_bytes(signed)
    (tmp_path / "signature").write_bytes(signature)
    openssl("dgst", "-sha256", "-verify", der, "-keyform", "DER", "-signature", tmp_path / "signature", tmp_path / "signed")


def test_pin_sources(cloudauth, token, identities, tmp_path):
    args = ("gcp", "token", "--time", support.TIME, "--email", EMAIL, "--key")
    expected = cloudauth.text(*args, identities("rsa-2048").key_uri)
    conf = {"SOFTHSM2_CONF": str(token.conf)}
    file = support.private_file(tmp_path / "pin", PIN + "\n")
    uri = token.uri("rsa-2048", f"&pin-source=file:{file}")
    assert cloudauth.text(*args, uri, env=conf) == expected
    uri = token.uri("rsa-2048", "&pin-source=env:MY_PIN")
    assert cloudauth.text(*args, uri, env={**conf, "MY_PIN": PIN}) == expected
    reader, writer = os.pipe()
    os.write(writer, PIN.encode())
    os.close(writer)
    uri = token.uri("rsa-2048", f"&pin-source=fd:{reader}")
    assert cloudauth.text(*args, uri, env=conf, pass_fds=[reader]) == expected
    os.close(reader)
    program = tmp_path / "pinentry"
    program.write_text(f"#!/bin/sh\ntest -z \"$CLOUDAUTH_KEY_PIN\" && cat {file}\n")
    program.chmod(0o755)
    uri = token.uri("rsa-2048", f"&pin-source=%7C{program}")
    allowed = {**conf, "CLOUDAUTH_KEY_PIN_COMMAND": str(program), "CLOUDAUTH_KEY_PIN": "x"}
    assert cloudauth.text(*args, uri, env={**allowed, "PATH": os.environ["PATH"]}) == expected
    done = cloudauth.run(*args, uri, env=conf)
    assert done.returncode == 3 and "CLOUDAUTH_KEY_PIN_COMMAND" in done.stderr
    # The operator allows a whole command: the URI adds no argument to it, and takes none away.
    more = token.uri("rsa-2048", f"&pin-source=%7C{program}%20--more")
    done = cloudauth.run(*args, more, env={**allowed, "PATH": os.environ["PATH"]})
    assert done.returncode == 3 and "all its arguments" in done.stderr
    whole = {**allowed, "CLOUDAUTH_KEY_PIN_COMMAND": f"{program} --more", "PATH": os.environ["PATH"]}
    assert cloudauth.text(*args, more, env=whole) == expected
    assert cloudauth.run(*args, uri, env=whole).returncode == 3
    file.chmod(0o644)
    uri = token.uri("rsa-2048", f"&pin-source=file:{file}")
    done = cloudauth.run(*args, uri, env=conf)
    assert done.returncode == 0 and "others can read" in done.stderr
    file.chmod(0o666)
    done = cloudauth.run(*args, uri, env=conf)
    assert done.returncode == 3 and "others can change it" in done.stderr and not done.stdout


def failure(cloudauth, token, uri, *parts, env=None, code=3):
    args = ("gcp", "token", "--time", support.TIME, "--email", EMAIL, "--key")
    done = cloudauth.run(*args, uri, env=env or token.env)
    assert (done.returncode, done.stdout) == (code, b""), done.stderr
    assert done.stderr.count("\n") == 1 and PIN not in done.stderr
    for part in parts:
        assert part in done.stderr
    return done.stderr


def test_a_pin_on_the_command_line(cloudauth, token):
    for name in ["pin-value", "PIN-VALUE", "pin%2dvalue", "pin%2Dvalue"]:
        failure(cloudauth, token, token.uri("rsa-2048", f"&{name}={PIN}"), "pin-source", code=2)
    # Its neighbour.
    failure(cloudauth, token, token.uri("rsa-2048", "&pin-source=" + PIN), "env:NAME")


def test_wrong_pins(cloudauth, token):
    conf = {"SOFTHSM2_CONF": str(token.conf)}
    uri = token.uri("rsa-2048")
    failure(cloudauth, token, uri, "C_Login", "wants a PIN", "CLOUDAUTH_KEY_PIN", env=conf)
    wrong = {**conf, "CLOUDAUTH_KEY_PIN": "00000000"}
    text = failure(cloudauth, token, uri, "C_Login", "CKR_PIN_INCORRECT", "0xa0", env=wrong)
    assert "00000000" not in text
    args = ("gcp", "token", "--email", EMAIL, "--key")
    assert cloudauth.text(*args, uri, env=token.env)


def test_modules(cloudauth, token, tmp_path):
    name = lambda path: f"pkcs11:token=t;object=rsa-2048?module-path={path}"  # noqa: E731
    failure(cloudauth, token, name("/no/such.so"), "is it installed?")
    failure(cloudauth, token, name("softhsm.so"), "absolute")
    failure(cloudauth, token, "pkcs11:token=t;object=rsa-2048", "module-path", "CLOUDAUTH_PKCS11_MODULE")
    default = {**token.env, "CLOUDAUTH_PKCS11_MODULE": str(MODULE)}
    args = ("gcp", "token", "--email", EMAIL, "--key")
    assert cloudauth.text(*args, "pkcs11:token=t;object=rsa-2048", env=default)
    copy = tmp_path / "copy.so"
    copy.write_bytes(MODULE.read_bytes())
    copy.chmod(0o755)
    tmp_path.chmod(0o755)
    failure(cloudauth, token, name(copy), "can be changed by", "CLOUDAUTH_PKCS11_ALLOWED_MODULES")
    listed = {**token.env, "CLOUDAUTH_PKCS11_ALLOWED_MODULES": f"/x.so:{copy}"}
    assert cloudauth.text(*args, name(copy), env=listed)
    failure(cloudauth, token, name(MODULE), "not on the operator's list", env=listed)
    copy.chmod(0o757)
    failure(cloudauth, token, name(copy), "by every user", env=listed)
    copy.chmod(0o755)
    copy.write_text("no module")
    failure(cloudauth, token, name(copy), "cannot be loaded", env=listed)


def test_keys_that_do_not_fit(cloudauth, token, identities):
    text = failure(cloudauth, token, f"pkcs11:token=t?module-path={MODULE}", "several keys", "C_FindObjects")
    for label in [*KINDS, "made-rsa", "made-p256"]:
        assert f'"{label}"' in text
    text = failure(cloudauth, token, token.uri("none"), "no private key", "C_FindObjects")
    assert '"rsa-2048"' in text
    failure(cloudauth, token, token.uri("aws"), "no private key")
    failure(cloudauth, token, f"pkcs11:token=other;object=rsa-2048?module-path={MODULE}", "no token fits", '"t"')
    failure(cloudauth, token, token.uri("p-256").replace("object", "type=public;object"), "type=private")


def test_the_pin_shows_nowhere(cloudauth, token, tmp_path):
    """Not in the arguments or environment of any process that is started, nor in what is written."""
    if not shutil.which("strace"):
        pytest.fail("strace is not installed: tests/run tools")
    file = support.private_file(tmp_path / "pin", PIN)
    uri = token.uri("rsa-2048", f"&pin-source=file:{file}")
    trace = tmp_path / "trace"
    done = subprocess.run(
        ["strace", "-f", "-v", "-s", "99999", "-e", "trace=execve,write,sendto,connect", "-o", trace,
         cloudauth.path, "gcp", "token", "--email", EMAIL, "--key", uri],
        env={"SOFTHSM2_CONF": str(token.conf)}, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    text = trace.read_text()
    assert "execve(" in text and "write(1" in text
    assert PIN not in text and PIN.encode() not in done.stdout + done.stderr
    # One program, no children.
    assert text.count("execve(") == 1


class StandIn:
    """SoftHSM behind a module that adds flags, counts calls and hides mechanisms (standin.c)."""

    def __init__(self, folder, token):
        self.module, self.log = folder / "standin.so", folder / "log"
        source = pathlib.Path(__file__).parent / "standin.c"
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-Wall", "-Werror", "-o", self.module, source, "-ldl"], check=True
        )
        self.env = {
            **token.env,
            "CLOUDAUTH_PKCS11_ALLOWED_MODULES": str(self.module),
            "STANDIN_MODULE": str(MODULE),
            "STANDIN_LOG": str(self.log),
        }

    def uri(self, label):
        return f"pkcs11:token=t;object={label}?module-path={self.module}"

    def calls(self):
        calls = self.log.read_text().split() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return calls


@pytest.fixture
def standin(tmp_path, token):
    tmp_path.chmod(0o755)
    return StandIn(tmp_path, token)


GCP = ("gcp", "token", "--time", support.TIME, "--email", EMAIL, "--key")


def test_one_initialise_one_login(cloudauth, standin, identities):
    text = cloudauth.text(*GCP, standin.uri("rsa-2048"), env=standin.env)
    assert text == cloudauth.text(*GCP, identities("rsa-2048").key_uri)
    calls = standin.calls()
    assert (calls.count("C_Initialize"), calls.count("C_Login")) == (1, 1)
    # The key, and its public half.
    assert calls.count("C_FindObjectsInit") == 2


def test_a_wrong_pin_is_one_login(cloudauth, token, standin):
    env = {**standin.env, "CLOUDAUTH_KEY_PIN": "00000000"}
    failure(cloudauth, token, standin.uri("rsa-2048"), "CKR_PIN_INCORRECT", env=env)
    assert standin.calls().count("C_Login") == 1


@pytest.mark.parametrize("right", [True, False])
def test_the_final_try_is_left_to_people(cloudauth, token, standin, right):
    env = {**standin.env, "STANDIN_FLAGS": "30000"}
    if not right:
        env["CLOUDAUTH_KEY_PIN"] = "00000000"
    failure(
        cloudauth, token, standin.uri("rsa-2048"),
        "CKF_USER_PIN_FINAL_TRY", "pkcs11-tool", "--login", '"t"', env=env,
    )  # fmt: skip
    assert "C_Login" not in standin.calls()
    # Its neighbour: a low count alone.
    env = {**standin.env, "STANDIN_FLAGS": "10000"}
    assert cloudauth.text(*GCP, standin.uri("rsa-2048"), env=env)


def test_locked(cloudauth, token, standin):
    uri = standin.uri("rsa-2048")
    failure(cloudauth, token, uri, "CKF_USER_PIN_LOCKED", "--init-pin", env={**standin.env, "STANDIN_FLAGS": "40000"})
    assert "C_Login" not in standin.calls()
    failure(cloudauth, token, uri, "C_Login", "CKR_PIN_LOCKED", "0xa4", env={**standin.env, "STANDIN_LOGIN": "a4"})
    assert standin.calls().count("C_Login") == 1
    failure(cloudauth, token, uri, "C_Login", "CKR_PIN_EXPIRED", env={**standin.env, "STANDIN_LOGIN": "a3"})
    failure(cloudauth, token, uri, "C_Login", "vendor", "0x80000007", env={**standin.env, "STANDIN_LOGIN": "80000007"})


def test_tokens_that_do_not_hash(cloudauth, token, standin, identities, monkeypatch):
    """DigestInfo under CKM_RSA_PKCS and a digest under CKM_RSA_PKCS_PSS give the same signatures."""
    env = {**standin.env, "STANDIN_NO_SIGN": "40,43,1044,1045"}
    assert cloudauth.text(*GCP, standin.uri("rsa-2048"), env=env) == cloudauth.text(
        *GCP, identities("rsa-2048").key_uri
    )
    monkeypatch.setattr(jwt.api_jwt, "datetime", support.FixedDatetime)
    one = Who(identities("rsa-2048"), standin.uri("rsa-2048"))
    made = test_azure.assertion(cloudauth, one, "--algorithm", "PS256", env=env)
    test_azure.read(made, one, "PS256")
    # Without PSS there is RS256 alone; without anything, an error that says so.
    env = {**standin.env, "STANDIN_NO_SIGN": "43,d"}
    assert cloudauth.text(*GCP, standin.uri("rsa-2048"), env=env)
    done = cloudauth.run(
        "azure", "assertion", "--key", one.key_uri, "--certificate", one.certificate_file,
        "--tenant", test_azure.TENANT, "--client-id", test_azure.CLIENT, "--algorithm", "PS256", env=env,
    )  # fmt: skip
    assert done.returncode == 3 and not done.stdout, done.stderr
    env = {**standin.env, "STANDIN_NO_SIGN": "40,1,43,d"}
    failure(cloudauth, token, standin.uri("rsa-2048"), "C_GetMechanismInfo", "CKM_RSA_PKCS", env=env)
    env = {**standin.env, "STANDIN_NO_SIGN": "251"}
    args = ("aws", "caller-identity", "--dry-run", "--access-key-id", "AKID", "--key", standin.uri("aws"))
    done = cloudauth.run(*args, "--region", "us-east-1", env=env)
    assert done.returncode == 3 and "CKM_SHA256_HMAC" in done.stderr


def test_a_public_key_of_another_key(cloudauth, token, tmp_path, keys):
    """The first signature is verified: a certificate or public key of the same id can be another's."""
    der = tmp_path / "other.der"
    openssl(
        "pkey", "-pubin", "-inform", "PEM", "-outform", "DER", "-out", der,
        "-in", support.private_file(tmp_path / "other.pem", support.public_pem(keys("p-256"))),
    )  # fmt: skip
    token.tool("--keypairgen", "--key-type", "EC:prime256v1", "--label", "liar", "--id", "77")
    token.tool("--delete-object", "--type", "pubkey", "--id", "77")
    args = ("aws", "roles-anywhere", "--dry-run")
    named = test_roles_anywhere.arns()
    folder = tmp_path / "certificate"
    certificate = support.identity(folder, "p-256", key=keys("p-256")).certificate_file
    options = (
        "--certificate", certificate, "--trust-anchor-arn", named["trustAnchorArn"],
        "--profile-arn", named["profileArn"], "--role-arn", named["roleArn"], "--time", support.TIME,
    )  # fmt: skip
    done = cloudauth.run(*args, "--key", token.uri("liar"), *options, env=token.env)
    assert done.returncode == 3 and "no public key" in done.stderr
    token.tool("--write-object", der, "--type", "pubkey", "--label", "liar", "--id", "77")
    done = cloudauth.run(*args, "--key", token.uri("liar"), *options, env=token.env)
    assert done.returncode == 3 and "does not verify" in done.stderr, done.stderr
    assert not done.stdout
    token.tool("--delete-object", "--type", "privkey", "--id", "77")
    token.tool("--delete-object", "--type", "pubkey", "--id", "77")
