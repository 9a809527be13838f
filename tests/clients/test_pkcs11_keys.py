"""`cloudauth key` with a SoftHSM token: keys made and imported by it and used by pkcs11-tool, p11tool,
openssl, python-pkcs11 and the package cloud-auth-pkcs; what is refused; PINs typed at a terminal.
"""

import base64
import hashlib
import hmac
import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import termios
import time

import joserfc.jwk
import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

import support
import test_azure
import test_roles_anywhere
import test_sts
from support import openssl
from test_pkcs11 import EMAIL, GCP, KINDS, MODULE, PIN, StandIn, Token, Who

SECRET = test_sts.SECRET
PASSPHRASE = "correct-horse-battery-staple"


@pytest.fixture(scope="module")
def token(tmp_path_factory):
    assert MODULE, "SoftHSM is not installed: tests/run tools"
    token = Token(tmp_path_factory.mktemp("keys"))
    token.init("t")
    return token


@pytest.fixture
def key(cloudauth, token):
    """Runs `cloudauth key COMMAND --key URI-OF-LABEL …`, which must succeed without a warning."""

    def run(command, label, *options, **kwargs):
        uri = token.uri(label) if label else f"pkcs11:token=t?module-path={MODULE}"
        kwargs.setdefault("env", token.env)
        return cloudauth.text("key", command, "--key", uri, *options, **kwargs)

    return run


@pytest.fixture
def refused(cloudauth, token):
    def run(code, part, command, uri, *options, **kwargs):
        kwargs.setdefault("env", token.env)
        done = cloudauth.run("key", command, "--key", uri, *options, **kwargs)
        assert (done.returncode, done.stdout) == (code, b""), done.stderr
        assert part in done.stderr, done.stderr
        for secret in (PIN, SECRET, PASSPHRASE):
            assert secret not in done.stderr
        return done.stderr

    return run


def facts(key, label, *options):
    return json.loads(key("show", label, "--output", "json", *options))


def objects(token, label, kind):
    """What pkcs11-tool says of the objects of this label, which it lists among all others."""
    listed = token.tool("--list-objects", "--type", kind)
    blocks = re.split(r"^(?=\S)", listed, flags=re.MULTILINE)
    return "".join(b for b in blocks if re.search(rf"^  label: +{re.escape(label)}$", b, re.MULTILINE))


def tool_signs(token, shown, public_pem, folder):
    """pkcs11-tool signs with the key, openssl verifies it with the public key."""
    data, signature, public = folder / "data", folder / "signature", folder / "public.pem"
    data.write_bytes(b"a message")
    public.write_text(public_pem)
    options, given = ["--mechanism", "SHA256-RSA-PKCS"], data
    if shown["algorithm"].startswith("EC"):
        # SoftHSM has no ECDSA with a hash.
        given = folder / "digest"
        given.write_bytes(hashlib.sha256(b"a message").digest())
        options = ["--mechanism", "ECDSA", "--signature-format", "openssl"]
    token.tool("--sign", "--id", shown["id"], "--input-file", given, "--output-file", signature, *options)
    openssl("dgst", "-sha256", "-verify", public, "-signature", signature, data)


def p11tool(token, *args):
    return subprocess.run(
        ["p11tool", "--batch", "--login", "--provider", MODULE, *args],
        env={**os.environ, "SOFTHSM2_CONF": str(token.conf), "GNUTLS_PIN": PIN},
        capture_output=True, check=True,
    ).stdout.decode()  # fmt: skip


@pytest.mark.parametrize("kind", ["rsa-2048", "rsa-3072", "ec-p256", "ec-p384"])
def test_keys_made_here(cloudauth, token, key, tmp_path, kind):
    label = f"made-{kind}"
    request = key("create", label, "--type", kind, "--csr", "--subject", "CN=robot,O=Example")
    csr = tmp_path / "csr.pem"
    csr.write_text(request)
    subject = openssl("req", "-in", csr, "-verify", "-noout", "-subject").decode()
    assert "CN = robot, O = Example" in subject or "CN=robot, O=Example" in subject
    shown = facts(key, label)
    # One key for all of them.
    assert openssl("req", "-in", csr, "-noout", "-pubkey").decode() == shown["public_key"]
    exported = p11tool(token, "--export", f"pkcs11:token=t;object={label};type=public")
    assert exported.strip() == shown["public_key"].strip()
    tool_signs(token, shown, shown["public_key"], tmp_path)
    # Kept as it should be, as others see it.
    listed = objects(token, label, "privkey")
    assert "sensitive, always sensitive, never extractable, local" in listed, listed
    assert [u.split(":")[1].strip() for u in listed.splitlines() if "Usage" in u] == ["sign"], listed
    assert (shown["sensitive"], shown["extractable"], shown["made_in_device"]) == (True, False, True)
    assert "signs and verifies" in key("test", label, "--count", "2")
    # The same request again, from the key that is there.
    csr.write_text(key("show", label, "--csr", "--subject", "CN=again"))
    assert b"again" in openssl("req", "-in", csr, "-verify", "-noout", "-subject")


def test_an_hmac_secret_made_here(cloudauth, token, key):
    shown = json.loads(key("create", "mac", "--type", "hmac-sha256", "--output", "json"))
    assert shown["algorithm"] == "generic secret, 32 octets" and shown["made_in_device"]
    assert "stays the same" in key("test", "mac")
    listed = objects(token, "mac", "secrkey")
    assert "never extractable" in listed and "sensitive" in listed


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["PKCS8", "TraditionalOpenSSL", "encrypted", "stdin", "JSON"])
def test_imported_keys(cloudauth, token, key, keys, identities, tmp_path, kind, form):
    label, options, env, stdin = f"{kind}-{form}", [], dict(token.env), b""
    if form == "encrypted":
        text = support.key_pem(keys(kind), passphrase=PASSPHRASE)
        env["CLOUDAUTH_KEY_PASSPHRASE"] = PASSPHRASE
    elif form == "JSON":
        text = json.dumps(support.service_account(keys(kind)))
    else:
        text = support.key_pem(keys(kind), "PKCS8" if form == "stdin" else form)
    if form == "stdin":
        options, stdin = ["--from", "-"], text.encode()
    else:
        options = ["--from", support.private_file(tmp_path / "a key.pem", text)]
    said = key("import", label, *options, env=env, stdin=stdin)
    assert ("--email robot@a-project.iam.gserviceaccount.com --key-id 0123" in said) == (form == "JSON")
    public = support.public_pem(keys(kind)).decode()
    assert public in said and PASSPHRASE not in said
    shown = facts(key, label)
    assert (shown["sensitive"], shown["extractable"], shown["made_in_device"]) == (True, False, False)
    listed = objects(token, label, "privkey")
    assert "sensitive" in listed and " extractable" not in listed.replace("never extractable", "")
    tool_signs(token, shown, public, tmp_path)
    one = Who(identities(kind), token.uri(label))
    made = cloudauth.text(*test_roles_anywhere.arguments(one), env=token.env)
    software = cloudauth.text(*test_roles_anywhere.arguments(identities(kind)))
    assert made.split("Signature=")[0] == software.split("Signature=")[0]
    if kind.startswith("rsa"):
        assert made == software
        expected = cloudauth.text(*GCP, identities(kind).key_uri)
        assert cloudauth.text(*GCP, token.uri(label), env=token.env) == expected


def test_an_aws_secret(cloudauth, token, key, tmp_path):
    file = support.private_file(tmp_path / "secret", SECRET + "\n")
    key("import", "aws-file", "--aws-secret", "--from", file)
    key("import", "aws-stdin", "--aws-secret", "--from", "-", stdin=SECRET.encode())
    key("import", "aws-env", "--aws-secret", "--from", "env:S", env={**token.env, "S": SECRET})
    args = ("aws", "caller-identity", "--dry-run", "--time", support.TIME, "--region", test_sts.REGION)
    expected = cloudauth.bytes(*args, env=test_sts.CREDENTIALS)
    for label in ("aws-file", "aws-stdin", "aws-env"):
        options = ("--access-key-id", test_sts.ACCESS_KEY, "--key", token.uri(label))
        assert cloudauth.bytes(*args, *options, env=token.env) == expected
    # python-pkcs11 makes the first tag of the key chain with it.
    made = token.call(
        sys.executable, "-c",
        "import sys, pkcs11\n"
        "from pkcs11 import KeyType, ObjectClass\n"
        "t = pkcs11.lib(sys.argv[1]).get_token(token_label='t')\n"
        "with t.open(user_pin=sys.argv[2]) as s:\n"
        "    k = s.get_key(label='aws-file', object_class=ObjectClass.SECRET_KEY)\n"
        "    print(k.sign(b'20261122', mechanism=pkcs11.Mechanism.SHA256_HMAC).hex())\n",
        MODULE, PIN,
    )  # fmt: skip
    assert made.strip() == hmac.new(f"AWS4{SECRET}".encode(), b"20261122", hashlib.sha256).hexdigest()
    shown = facts(key, "aws-file")
    assert shown["algorithm"] == "generic secret, 44 octets" and shown["extractable"] is False
    assert any("Signature Version 4" in use for use in shown["uses"])


def test_thumbprints_and_key_sets(cloudauth, token, key, keys, identities, tmp_path):
    file = support.private_file(tmp_path / "key.pem", support.key_pem(keys("rsa-2048")))
    key("import", "thumb", "--from", file)
    expected = joserfc.jwk.RSAKey.import_key(support.public_pem(keys("rsa-2048")))
    jwks = json.loads(key("show", "thumb", "--jwks"))
    (jwk,) = jwks["keys"]
    assert jwk["kid"] == expected.thumbprint() and jwk["use"] == "sig" and "d" not in jwk
    assert {n: jwk[n] for n in ("kty", "n", "e")} == {
        n: expected.as_dict(private=False)[n] for n in ("kty", "n", "e")
    }
    certificate = identities("rsa-2048").certificate_file
    shown = facts(key, "thumb", "--certificate", certificate)
    assert shown["jwk_thumbprint"] == expected.thumbprint()
    der = support.cert_der(identities("rsa-2048").certificate)
    digest = base64.urlsafe_b64encode(hashlib.sha256(der).digest()).decode().rstrip("=")
    assert shown["x5t#S256"] == digest
    assert shown["uses"] == ["AWS IAM Roles Anywhere", "Azure (RS256, PS256)", "Google (RS256)"]
    # A certificate in the token.
    own = tmp_path / "certificate.der"
    own.write_bytes(der)
    assert facts(key, "thumb")["x5t#S256"] is None
    token.tool("--write-object", own, "--type", "cert", "--label", "thumb", "--id", shown["id"])
    assert facts(key, "thumb")["x5t#S256"] == digest
    # What the key signs verifies with its key set.
    (tmp_path / "jwks.json").write_text(json.dumps(jwks))
    made = cloudauth.text(*GCP, token.uri("thumb"), "--key-id", jwk["kid"], env=token.env)
    verify = ("jwt", "verify", "--jwks", tmp_path / "jwks.json", "--algorithm", "RS256")
    claims = cloudauth.json(*verify, "--time", support.TIME, "-", stdin=made.encode())
    assert claims["iss"] == EMAIL
    done = cloudauth.run("key", "show", "--key", token.uri("thumb"), "--certificate",
                         identities("rsa-3072").certificate_file, env=token.env)  # fmt: skip
    assert done.returncode == 4 and "another key" in done.stderr


def test_listed_uris_can_be_pasted(cloudauth, token, key):
    listed = json.loads(key("list", None, "--output", "json"))
    assert len(listed) >= 4
    assert len({k["uri"] for k in listed}) == len(listed)
    for found in listed:
        env = token.env
        again = cloudauth.json("key", "list", "--output", "json", "--key", found["uri"], env=env)
        assert [k["uri"] for k in again] == [found["uri"]]
        said = cloudauth.text("key", "test", "--count", "1", "--key", found["uri"], env=env)
        assert ("stays the same" if "secret" in found["algorithm"] else "signs and verifies") in said
    words = key("list", None)
    assert all(found["uri"] in words for found in listed)
    # p11tool knows them by the same ids.
    urls = p11tool(token, "--list-privkeys", "--only-urls", "pkcs11:token=t")
    ids = {part.removeprefix("id=").upper() for url in urls.split() for part in url.split(";") if part.startswith("id=")}
    private = [k for k in listed if "type=private" in k["uri"]]
    assert {k["uri"].split("id=")[1].split(";")[0] for k in private} == ids


def test_keys_of_other_tools(cloudauth, token, key, keys, tmp_path):
    pem = support.private_file(tmp_path / "key.pem", support.key_pem(keys("p-256")))
    token.load(pem, "of-util", "a1")
    token.tool("--keypairgen", "--key-type", "rsa:2048", "--label", "of-tool", "--id", "a2")
    assert "ES256" in key("test", "of-util")
    assert "PS256" in key("test", "of-tool")
    assert facts(key, "of-util")["public_key"] == support.public_pem(keys("p-256")).decode()
    # softhsm2-util leaves keys extractable or not: what the token says is what is shown.
    listed = objects(token, "of-tool", "privkey")
    assert facts(key, "of-tool")["made_in_device"] == (" local" in listed)


def test_delete(cloudauth, token, key, refused):
    for label in ("gone", "stays"):
        key("create", label, "--type", "ec-p256")
    said = refused(2, "--yes", "delete", token.uri("gone"))
    assert "EC P-256" in said and "object=gone" in said
    token_alone = f"pkcs11:token=t?module-path={MODULE}"
    refused(3, "several keys", "delete", token_alone, "--yes")
    assert "deleted EC P-256" in key("delete", "gone", "--yes")
    refused(3, "no key fits", "delete", token.uri("gone"), "--yes")
    for kind in ("privkey", "pubkey"):
        assert not objects(token, "gone", kind).strip(), "left behind"
        assert objects(token, "stays", kind).strip()
    refused(3, "type=private", "delete", token.uri("stays").replace("object", "type=public;object"), "--yes")


def test_nothing_is_replaced(cloudauth, token, key, refused, keys, tmp_path):
    key("create", "there", "--type", "ec-p256")
    before = facts(key, "there")
    pem = support.private_file(tmp_path / "key.pem", support.key_pem(keys("p-256")))
    refused(3, "already", "create", token.uri("there"), "--type", "rsa-2048")
    refused(3, "already", "import", token.uri("there"), "--from", pem)
    same_id = token.uri("other").replace("?", f";id=%{bytes.fromhex(before['id']).hex('%')}?")
    refused(3, "already", "create", same_id, "--type", "ec-p256")
    assert facts(key, "there") == before
    file = tmp_path / "new.pem"
    assert "EC P-256" in cloudauth.text("key", "create", "--type", "ec-p256", "--key", f"file:{file}")
    assert file.stat().st_mode & 0o777 == 0o600
    openssl("pkey", "-in", file, "-check", "-noout")
    text = file.read_text()
    refused(3, "not replaced", "create", f"file:{file}", "--type", "ec-p256")
    assert file.read_text() == text and os.listdir(tmp_path).count("new.pem") == 1
    assert sorted(os.listdir(tmp_path)) == ["key.pem", "new.pem"]
    locked = tmp_path / "locked.pem"
    env = {"P": PASSPHRASE}
    uri = f"file:{locked}?passphrase-source=env:P"
    cloudauth.text("key", "create", "--type", "rsa-2048", "--key", uri, env=env)
    assert "ENCRYPTED" in locked.read_text()
    openssl("pkey", "-in", locked, "-passin", f"pass:{PASSPHRASE}", "-noout")


def test_what_is_refused(cloudauth, token, refused, keys, tmp_path):
    pem = support.private_file(tmp_path / "key.pem", support.key_pem(keys("rsa-2048")))
    uri = token.uri("refused")
    nameless = f"pkcs11:token=t?module-path={MODULE}"
    refused(3, "object=LABEL", "create", nameless, "--type", "ec-p256")
    refused(3, "object=LABEL", "import", nameless, "--from", pem)
    refused(2, "--subject", "create", uri, "--type", "ec-p256", "--csr")
    refused(4, "subject", "create", uri, "--type", "ec-p256", "--csr", "--subject", "robot")
    refused(2, "no certificate", "create", uri, "--type", "hmac-sha256", "--csr", "--subject", "CN=a")
    refused(2, "--type", "create", uri)
    refused(3, "PEM", "import", uri, "--aws-secret", "--from", pem)
    refused(3, "AWS4", "import", uri, "--aws-secret", "--from", "-", stdin=f"AWS4{SECRET}".encode())
    refused(3, "empty", "import", uri, "--aws-secret", "--from", "-", stdin=b"\n")
    refused(3, "empty", "import", uri, "--from", "-")
    refused(3, "no such file", "import", uri, "--from", tmp_path / "none")
    refused(3, "expected PEM", "import", uri, "--from", "-", stdin=SECRET.encode())
    locked = support.private_file(tmp_path / "locked.pem", support.key_pem(keys("p-256"), passphrase=PASSPHRASE))
    refused(3, "CLOUDAUTH_KEY_PASSPHRASE", "import", uri, "--from", locked)
    wrong = {**token.env, "CLOUDAUTH_KEY_PASSPHRASE": "wrong"}
    refused(3, "is wrong", "import", uri, "--from", locked, env=wrong)
    # The secret itself on the command line: clap would quote it.
    for options in (["--aws-secret", SECRET], [f"--aws-secret={SECRET}"]):
        refused(2, "--from", "import", uri, *options)
    pem.chmod(0o622)
    refused(3, "others can change it", "import", uri, "--from", pem)
    refused(3, "only devices", "list", f"file:{locked}")
    pem.chmod(0o600)
    refused(3, "remove a file yourself", "delete", f"file:{pem}", "--yes")
    refused(3, "no key fits", "show", uri)
    # Nothing was made by any of them.
    assert not objects(token, "refused", "privkey").strip()


def test_wrong_pins_of_key_commands(cloudauth, token, refused, tmp_path):
    tmp_path.chmod(0o755)
    standin = StandIn(tmp_path, token)
    wrong = {**standin.env, "CLOUDAUTH_KEY_PIN": "00000000"}
    for command, *options in [("list",), ("create", "--type", "ec-p256"), ("delete", "--yes"), ("show",)]:
        refused(3, "CKR_PIN_INCORRECT", command, standin.uri("x"), *options, env=wrong)
        assert standin.calls().count("C_Login") == 1
        final = {**standin.env, "STANDIN_FLAGS": "40000"}
        refused(3, "CKF_USER_PIN_LOCKED", command, standin.uri("x"), *options, env=final)
        assert standin.calls().count("C_Login") == 0


def typed(program, args, env, answer, stdin_terminal=True):
    """Runs the program at a terminal where a person types `answer`: what the terminal shows, standard output
    and the exit code."""
    out_read, out_write = os.pipe()
    pid, terminal = pty.fork()
    if pid == 0:
        os.dup2(out_write, 1)
        if not stdin_terminal:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.execve(program, [program, *map(str, args)], env)
    os.close(out_write)
    seen, asked, end = b"", False, time.monotonic() + 30
    while time.monotonic() < end:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            piece = os.read(terminal, 4096)
        except OSError:
            break
        if not piece:
            break
        seen += piece
        if not asked and seen.rstrip().endswith(b":"):
            asked = True
            # A secret is typed once the echo is off; a yes is not secret.
            secret = not seen.rstrip().endswith(b"go on:")
            while secret and termios.tcgetattr(terminal)[3] & termios.ECHO and time.monotonic() < end:
                time.sleep(0.01)
            os.write(terminal, answer.encode() + b"\n")
    _, status = os.waitpid(pid, 0)
    with os.fdopen(out_read, "rb") as file:
        out = file.read()
    os.close(terminal)
    return seen.decode(), out, os.waitstatus_to_exitcode(status)


@pytest.mark.parametrize("stdin_terminal", [True, False])
def test_a_pin_is_typed(cloudauth, token, key, tmp_path, stdin_terminal):
    if f"typed-{stdin_terminal}" not in key("list", None):
        key("create", f"typed-{stdin_terminal}", "--type", "rsa-2048")
    tmp_path.chmod(0o755)
    standin = StandIn(tmp_path, token)
    env = {n: v for n, v in standin.env.items() if n != "CLOUDAUTH_KEY_PIN"}
    uri = standin.uri(f"typed-{stdin_terminal}")
    seen, out, code = typed(cloudauth.path, (*GCP, uri), env, PIN, stdin_terminal)
    assert code == 0 and out == cloudauth.bytes(*GCP, uri, env=standin.env)
    assert seen.startswith("PIN for pkcs11:token=t") and PIN not in seen
    standin.calls()
    # Asked once for a command that opens the key twice.
    seen, out, code = typed(cloudauth.path, ("key", "test", "--key", uri), env, PIN, stdin_terminal)
    assert code == 0 and b"RS256" in out and seen.count("PIN for") == 1
    standin.calls()
    # A wrong one is tried once, and not asked for again.
    seen, out, code = typed(cloudauth.path, (*GCP, uri), env, "00000000", stdin_terminal)
    assert (code, out) == (3, b"") and "CKR_PIN_INCORRECT" in seen and seen.count("PIN for") == 1
    assert standin.calls().count("C_Login") == 1 and "00000000" not in seen
    seen, out, code = typed(cloudauth.path, (*GCP, uri), env, "", stdin_terminal)
    assert (code, out) == (3, b"") and "nothing was entered" in seen
    assert standin.calls().count("C_Login") == 0
    # Nobody there.
    done = cloudauth.run(*GCP, uri, env=env)
    assert done.returncode == 3 and "CLOUDAUTH_KEY_PIN" in done.stderr


def test_a_passphrase_and_a_yes_are_typed(cloudauth, token, key, keys, tmp_path):
    locked = support.private_file(tmp_path / "locked.pem", support.key_pem(keys("rsa-2048"), passphrase=PASSPHRASE))
    seen, out, code = typed(cloudauth.path, (*GCP, f"file:{locked}"), {}, PASSPHRASE)
    assert code == 0 and out.count(b".") == 2
    assert seen.startswith("Passphrase for file") and PASSPHRASE not in seen
    key("create", "asked", "--type", "ec-p256")
    args = ("key", "delete", "--key", token.uri("asked"))
    seen, out, code = typed(cloudauth.path, args, token.env, "no")
    assert (code, out) == (2, b"") and "Delete EC P-256 pkcs11:" in seen and "nothing was deleted" in seen
    seen, out, code = typed(cloudauth.path, args, token.env, "yes")
    assert code == 0 and out.startswith(b"deleted EC P-256")


def test_nothing_secret_shows(cloudauth, token, keys, tmp_path):
    """Neither in arguments, environments of processes that are started, nor in anything that is written."""
    if not shutil.which("strace"):
        pytest.fail("strace is not installed: tests/run tools")
    pin = support.private_file(tmp_path / "pin", PIN)
    uri = lambda label: token.uri(label, f"&pin-source=file:{pin}")  # noqa: E731
    secret = support.private_file(tmp_path / "secret", SECRET)
    pem = support.key_pem(keys("rsa-3072"))
    file = support.private_file(tmp_path / "key.pem", pem)
    prime = keys("rsa-3072").private_numbers().p.to_bytes(192, "big")
    for args in [
        ("create", "--type", "ec-p256", "--key", uri("hidden")),
        ("import", "--aws-secret", "--from", secret, "--key", uri("hidden-aws")),
        ("import", "--from", file, "--key", uri("hidden-rsa")),
        ("list", "--key", uri("hidden-rsa")),
        ("show", "--key", uri("hidden-rsa")),
        ("test", "--key", uri("hidden-aws")),
        ("delete", "--yes", "--key", uri("hidden-rsa")),
    ]:
        trace = tmp_path / "trace"
        done = subprocess.run(
            ["strace", "-f", "-v", "-xx", "-s", "99999", "-e", "trace=execve,write,writev,pwrite64,sendto,connect",
             "-o", trace, cloudauth.path, "key", *map(str, args)],
            env={"SOFTHSM2_CONF": str(token.conf)}, capture_output=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        # Every octet of every argument as \x..: encoded text is found too.
        text = trace.read_text().replace("\\x", "")
        assert text.count("execve(") == 1 and args[0].encode().hex() in text
        body = "".join(pem.splitlines()[3:5])
        for hidden in (PIN.encode(), SECRET.encode(), SECRET[:20].encode(), body.encode(), prime[:32]):
            assert hidden.hex() not in text, args
            assert hidden not in done.stdout + done.stderr


def test_flows_with_keys_made_here(cloudauth, token, key, tmp_path, monkeypatch):
    """Each flow with a key that never was anywhere but in the token; openssl verifies."""
    public = tmp_path / "public.pem"

    def verify(signed, signature, *options):
        (tmp_path / "signed").write_bytes(signed)
        (tmp_path / "signature").write_bytes(signature)
        openssl("dgst", "-sha256", *options, "-verify", public, "-signature", tmp_path / "signature", tmp_path / "signed")

    ca_key = support.new_key("p-256")
    for kind, label in [("rsa-2048", "flow-rsa"), ("ec-p256", "flow-p256"), ("ec-p384", "flow-p384")]:
        csr = tmp_path / f"{kind}.csr"
        csr.write_text(key("create", label, "--type", kind, "--csr", "--subject", f"CN={label}"))
        public.write_text(facts(key, label)["public_key"])
        ca = tmp_path / "ca.pem"
        if not ca.exists():
            support.private_file(tmp_path / "ca.key", support.key_pem(ca_key))
            openssl("req", "-x509", "-new", "-key", tmp_path / "ca.key", "-subj", "/CN=ca", "-out", ca)
        leaf = tmp_path / f"{kind}.pem"
        # The authority takes the request that the token signed.
        openssl("x509", "-req", "-in", csr, "-CA", ca, "-CAkey", tmp_path / "ca.key", "-set_serial", "7", "-days", "3", "-out", leaf)
        named = test_roles_anywhere.arns()
        explained = cloudauth.json(
            "aws", "roles-anywhere", "--dry-run", "--explain", "--key", token.uri(label), "--certificate", leaf,
            "--trust-anchor-arn", named["trustAnchorArn"], "--profile-arn", named["profileArn"],
            "--role-arn", named["roleArn"], env=token.env,
        )  # fmt: skip
        verify(explained["string_to_sign"].encode(), bytes.fromhex(explained["signature"]))
        if kind == "rsa-2048":
            for algorithm in ("RS256", "PS256"):
                made = cloudauth.text(
                    "azure", "assertion", "--key", token.uri(label), "--certificate", leaf, "--tenant",
                    test_azure.TENANT, "--client-id", test_azure.CLIENT, "--algorithm", algorithm, env=token.env,
                )  # fmt: skip
                _, _, signed, signature = support.jws_parts(made.strip())
                pss = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"]
                verify(signed, signature, *(pss if algorithm == "PS256" else []))
        if kind != "ec-p384":
            made = cloudauth.text("gcp", "token", "--email", EMAIL, "--key", token.uri(label), env=token.env)
            _, _, signed, signature = support.jws_parts(made.strip())
            if kind == "ec-p256":
                signature = encode_dss_signature(int.from_bytes(signature[:32]), int.from_bytes(signature[32:]))
            verify(signed, signature)


OLD = """
import json, sys
import pkcs11
from cloud_auth_pkcs.gcp import GCPCredentials
from cloud_auth_pkcs.aws.awshmaccredentials import AWSHMACCredentials
module, pin, email, signed, kid = sys.argv[1:]
gcp = GCPCredentials(module=module, token="t", label="old-rsa", pin=pin, email=email)
scope = "https://www.googleapis.com/auth/cloud-platform"
aws = object.__new__(AWSHMACCredentials)  # its constructor would call AWS
aws._token, aws._label, aws._pin = pkcs11.lib(module).get_token(token_label="t"), "old-aws", pin
print(json.dumps({
    "signature": gcp.sign(data=signed).hex(),
    "token": gcp.jwt_token(1795348800, 1795352400, kid, email, scope),
    "aws": aws._getSignatureKey(None, "20261122", "eu-central-1", "sts").hex(),
}))
"""


def test_the_old_package(cloudauth, token, key, keys, tmp_path):
    """cloud-auth-pkcs with the same token and the same keys: the same signatures, and each accepts the
    other's token."""
    pem = support.private_file(tmp_path / "key.pem", support.key_pem(keys("rsa-2048")))
    key("import", "old-rsa", "--from", pem)
    key("import", "old-aws", "--aws-secret", "--from", "-", stdin=SECRET.encode())
    jwks = json.loads(key("show", "old-rsa", "--jwks"))
    kid = jwks["keys"][0]["kid"]
    # It asks for a key by label alone, and does not tell the private one from its public half.
    token.tool("--delete-object", "--type", "pubkey", "--id", facts(key, "old-rsa")["id"])
    ours = cloudauth.text(*GCP, token.uri("old-rsa"), env=token.env).strip()
    signed, _, signature = ours.rpartition(".")
    old = json.loads(token.call(support.old_python("pkcs"), "-W", "ignore", "-c", OLD, MODULE, PIN, EMAIL, signed, kid))
    assert bytes.fromhex(old["signature"]) == support.unpad(signature)
    (tmp_path / "jwks.json").write_text(json.dumps(jwks))
    verify = ("jwt", "verify", "--jwks", tmp_path / "jwks.json", "--algorithm", "RS256", "--issuer", EMAIL)
    claims = cloudauth.json(*verify, "--time", support.TIME, "-", stdin=old["token"].encode())
    assert claims["sub"] == EMAIL
    args = ("aws", "sign", "--request", "-", "--region", "eu-central-1", "--service", "sts", "--explain")
    explained = cloudauth.json(
        *args, "--time", support.TIME, "--access-key-id", test_sts.ACCESS_KEY, "--key", token.uri("old-aws"),
        env=token.env, stdin=b"GET /?Action=GetCallerIdentity HTTP/1.1\r\nHost: sts.eu-central-1.amazonaws.com\r\n\r\n",
    )  # fmt: skip
    expected = hmac.new(bytes.fromhex(old["aws"]), explained["string_to_sign"].encode(), hashlib.sha256)
    assert explained["signature"] == expected.hexdigest()
