"""What cannot work: the exit code that `cloudauth --help` documents (2 usage, 3 key, 4 input), a message on
standard error that names the field or the file, nothing on standard output, and no secret anywhere.
"""

import base64
import json
import re

import pytest

import support
from test_roles_anywhere import arns

USAGE, KEY, INPUT = 2, 3, 4
EMAIL = "robot@a-project.iam.gserviceaccount.com"
PASSPHRASE = "correct-horse-battery-staple"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TENANT = "6babcaad-604b-40ac-a9d7-9fd97c0b779f"
CLIENT = "11111111-2222-3333-4444-555555555555"
REQUEST = b"GET / HTTP/1.1\r\nHost: example.amazonaws.com\r\n\r\n"


def secrets_of(text):
    """Pieces of a key's PEM that must not come out: 12 characters of base64, in any alignment."""
    body = "".join(line for line in re.split(r"\\n|\s", text) if re.fullmatch(r"[A-Za-z0-9+/=]+", line))
    return {body[i : i + 12] for i in range(0, max(len(body) - 12, 0))}


@pytest.fixture(scope="module")
def rsa_text(keys):
    return support.key_pem(keys("rsa-2048"))


@pytest.fixture
def refused(cloudauth, keys):
    """Runs the program, which must fail in the right way; gives what it says."""

    def run(code, names, *args, secrets=(), **kwargs):
        done = cloudauth.run(*args, **kwargs)
        assert done.stdout == b"", "something on standard output"
        assert done.returncode == code, f"exit {done.returncode}: {done.stderr}"
        for name in [names] if isinstance(names, str) else names:
            assert name in done.stderr, f"{name!r} is not named: {done.stderr}"
        assert "panicked" not in done.stderr
        known = {PASSPHRASE, SECRET, *secrets}
        for kind in ("rsa-2048", "rsa-3072", "p-256", "p-384"):
            known |= secrets_of(support.key_pem(keys(kind)))
        assert not [s for s in known if s in done.stderr], "a secret on standard error"
        if code != USAGE:  # clap has its own form
            assert done.stderr.startswith("cloudauth: ") and done.stderr.endswith("\n")
            assert all(c.isprintable() or c == "\n" for c in done.stderr)
        return done.stderr

    return run


def sign(*options, service="service", region="us-east-1"):
    return (
        "aws", "sign", "--request", "-", "--region", region, "--service", service,
        "--time", support.TIME, *options,
    )  # fmt: skip


CREDENTIALS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": SECRET}


def gcp(key, *options):
    return ("gcp", "token", "--time", support.TIME, "--key", key, "--email", EMAIL, *options)


def azure(who, *options, **changes):
    given = {
        "key": who.key_uri, "certificate": who.certificate_file, "tenant": TENANT,
        "client-id": CLIENT, "time": support.TIME, **changes,
    }  # fmt: skip
    named = [part for name, value in given.items() for part in (f"--{name}", value)]
    return ("azure", "assertion", *named, *options)


def anywhere(who, *options, **changes):
    named = arns()
    given = {
        "key": who.key_uri, "certificate": who.certificate_file, "time": support.TIME,
        "trust-anchor-arn": named["trustAnchorArn"], "profile-arn": named["profileArn"],
        "role-arn": named["roleArn"], **changes,
    }  # fmt: skip
    named = [part for name, value in given.items() for part in (f"--{name}", value)]
    return ("aws", "roles-anywhere", "--dry-run", *named, *options)


def test_what_is_refused_here_works_when_it_is_right(cloudauth, identities):
    """Otherwise the tests below could pass for another reason."""
    who = identities("rsa-2048", 1)
    assert cloudauth.bytes(*sign(), stdin=REQUEST, env=CREDENTIALS).startswith(b"GET / ")
    assert cloudauth.text(*gcp(who.key_uri)).count(".") == 2
    assert cloudauth.text(*azure(who)).count(".") == 2
    assert cloudauth.bytes(*anywhere(who)).startswith(b"POST /sessions?")


# Request files


@pytest.mark.parametrize(
    "request_file, names",
    [
        (b"", "request, line 1"),
        (b"\r\n", "request, line 1"),
        (b"GET", "request, line 1"),
        (b"GET /\r\nHost: h\r\n\r\n", "request, line 1"),
        (b"GET / HTTP/2\r\nHost: h\r\n\r\n", "request, line 1"),
        (b"GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n", "request, line 1"),
        (b"GET /#fragment HTTP/1.1\r\nHost: h\r\n\r\n", ["request, line 1", "%23"]),
        (b"G(T / HTTP/1.1\r\nHost: h\r\n\r\n", "method"),
        (b"GET / HTTP/1.1\r\nno colon\r\nHost: h\r\n\r\n", "request, line 2"),
        (b"GET / HTTP/1.1\r\nHost : h\r\n\r\n", "request, line 2"),
        (b"GET / HTTP/1.1\r\n: h\r\nHost: h\r\n\r\n", "request, line 2"),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX(: 1\r\n\r\n", "header name"),
        (b"GET / HTTP/1.1\r\n indented: h\r\n\r\n", "request, line 2"),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n", "request, line 3"),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: a\rY: b\r\n\r\n", "request, line 3"),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: \xff\xfe\r\n\r\n", ["request, line 3", "UTF-8"]),
        (b"GET /\xe4 HTTP/1.1\r\nHost: h\r\n\r\n", ["request, line 1", "UTF-8"]),
        (b"GET / HTTP/1.1\r\n\r\n", "Host"),
        (b"GET / HTTP/1.1\r\nHost: h\r\nHOST: h\r\n\r\n", "Host"),
        (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", "Host"),
        (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "Host"),
        (b"GET / HTTP/1.1\r\nHost: evil.example/\r\n\r\n", "Host"),
        ("GET / HTTP/1.1\r\nHost: ä.example\r\n\r\n".encode(), "Host"),
        (b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nabc", "Content-Length"),
        (b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: +2\r\n\r\nab", "Content-Length"),
        (b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab", "Content-Length"),
        (b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n", "Content-Length"),
        (b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: two\r\n\r\nab", "Content-Length"),
        (b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "Transfer-Encoding"),
        (b"\x80\x04\x95 not a request at all", "request, line 1"),
    ],
)
@pytest.mark.parametrize("options", [(), ("--explain",), ("--presign",)])
def test_request_file(refused, request_file, names, options):
    refused(INPUT, names, *sign(*options), stdin=request_file, env=CREDENTIALS)


def test_request_file_that_cannot_be_read(refused, tmp_path):
    for path in (tmp_path / "missing.http", tmp_path):
        args = [str(path) if a == "-" else a for a in sign()]
        refused(INPUT, str(path), *args, env=CREDENTIALS)


@pytest.mark.parametrize("query", ["X-Amz-Signature=1", "a=1&X-Amz-Expires=60", "X-Amz-Algorithm"])
def test_signed_already(refused, query):
    stdin = REQUEST.replace(b"/ ", b"/?%s " % query.encode(), 1)
    refused(INPUT, "query", *sign("--presign"), stdin=stdin, env=CREDENTIALS)


@pytest.mark.parametrize("expires", ["0", "604801"])
def test_expires(refused, expires):
    args = sign("--presign", "--expires", expires)
    refused(INPUT, "expires", *args, stdin=REQUEST, env=CREDENTIALS)


@pytest.mark.parametrize("expires", ["-1", "1h", "99999999999", ""])
def test_expires_that_is_no_number(refused, expires):
    args = sign("--presign", f"--expires={expires}")
    refused(USAGE, "--expires", *args, stdin=REQUEST, env=CREDENTIALS)


@pytest.mark.parametrize("region", ["", "EU-CENTRAL-1", "eu central", "a/b", "x" * 65, "eu-central-1\n"])
def test_signing_region(refused, region):
    refused(INPUT, "region", *sign(region=region), stdin=REQUEST, env=CREDENTIALS)


@pytest.mark.parametrize("service", ["", "a/b", "a b", "s3\n", "x" * 100])
def test_signing_service(refused, service):
    refused(INPUT, "service", *sign(service=service), stdin=REQUEST, env=CREDENTIALS)


@pytest.mark.parametrize("access_key", ["AK/ID", "AK ID", "AKID\n"])
def test_access_key_id(refused, access_key):
    env = {**CREDENTIALS, "AWS_ACCESS_KEY_ID": access_key}
    refused(INPUT, "access key id", *sign(), stdin=REQUEST, env=env)


@pytest.mark.parametrize("token", ["a b", "a\nb", "ü"])
def test_session_token(refused, token):
    env = {**CREDENTIALS, "AWS_SESSION_TOKEN": token}
    for options in ((), ("--presign",), ("--session-token-after-signing",)):
        refused(INPUT, "session token", *sign(*options), stdin=REQUEST, env=env)


# The AWS secret


@pytest.mark.parametrize(
    "secret, names",
    [
        ("", "empty"),
        ("AWS4" + SECRET, "AWS4"),
        (f"{SECRET[:20]} {SECRET[20:]}", "white space"),
        (f'"{SECRET}\n"', "white space"),
        (SECRET + "ü", "non-ASCII"),
    ],
)
@pytest.mark.parametrize("place", ["env", "file"])
def test_secret_access_key(refused, tmp_path, secret, names, place):
    env = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE"}
    args = sign()
    if place == "env":
        env["AWS_SECRET_ACCESS_KEY"] = secret
        where = "AWS_SECRET_ACCESS_KEY"
    else:
        where = str(support.private_file(tmp_path / "secret", secret))
        args += ("--key", f"file:{where}")
    secrets = {SECRET[:20], SECRET[20:]}
    refused(KEY, [names, where], *args, stdin=REQUEST, env=env, secrets=secrets)


def test_a_private_key_is_no_secret_access_key(refused, identities):
    args = sign("--key", identities("rsa-2048").key_uri)
    refused(KEY, ["PEM", "key.pem"], *args, stdin=REQUEST, env=CREDENTIALS)


def test_missing_credentials(refused):
    only_id = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE"}
    refused(KEY, "AWS_SECRET_ACCESS_KEY", *sign(), stdin=REQUEST, env=only_id)
    only_secret = {"AWS_SECRET_ACCESS_KEY": SECRET}
    refused(USAGE, "--access-key-id", *sign(), stdin=REQUEST, env=only_secret)


def test_help_shows_no_secret(cloudauth):
    env = {**CREDENTIALS, "AWS_SESSION_TOKEN": "session-token-text", "CLOUDAUTH_KEY_PASSPHRASE": PASSPHRASE}
    commands = ["aws sign", "aws roles-anywhere", "gcp token", "gcp id-token", "gcp federate",
                "azure assertion", "azure token", ""]  # fmt: skip
    for command in map(str.split, commands):
        shown = cloudauth.text(*command, "--help", env=env)
        for secret in (SECRET, "session-token-text", PASSPHRASE):
            assert secret not in shown


def test_help_documents_the_exit_codes(cloudauth):
    assert "0 success, 2 usage, 3 key, 4 input" in cloudauth.text("--help")


# Key files


def truncated(text):
    return text[: len(text) // 2]


def without_end(text):
    return text.replace("-----END PRIVATE KEY-----\n", "")


def spoiled(text):
    """One character that is not base64."""
    lines = text.splitlines()
    lines[5] = "!" + lines[5][1:]
    return "\n".join(lines) + "\n"


def flipped(text):
    """Another octet inside the private numbers: well-formed DER, but no key."""
    lines = text.splitlines()
    der = bytearray(base64.b64decode("".join(lines[1:-1])))
    der[len(der) // 2] ^= 0x55
    body = base64.encodebytes(bytes(der)).decode()
    return f"{lines[0]}\n{body}{lines[-1]}\n"


def relabelled(text):
    return text.replace("PRIVATE KEY", "RSA PRIVATE KEY")


def doubled(text):
    return text + text


def der_alone(text):
    return base64.b64decode("".join(text.splitlines()[1:-1]))


SPOILED_KEYS = {
    "half": truncated,
    "no end": without_end,
    "not base64": spoiled,
    "another octet": flipped,
    "PKCS#8 as PKCS#1": relabelled,
    "two keys": doubled,
    "DER": der_alone,
    "empty": lambda text: "",
    "blank": lambda text: "\n \n",
    "other text": lambda text: "no key\n",
    "noise": lambda text: bytes(range(256)) * 2,
    "empty block": lambda text: "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n",
    "short block": lambda text: "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    "a megabyte": lambda text: "x" * 1_000_000,
}


@pytest.mark.parametrize("spoil", SPOILED_KEYS)
def test_key_file(refused, tmp_path, rsa_text, spoil):
    file = support.private_file(tmp_path / "spoiled.pem", SPOILED_KEYS[spoil](rsa_text))
    refused(KEY, str(file), *gcp(f"file:{file}"))


def test_key_in_a_variable(refused, rsa_text):
    refused(KEY, "THE_KEY", *gcp("env:THE_KEY"), env={"THE_KEY": truncated(rsa_text)})
    refused(KEY, "THE_KEY", *gcp("env:THE_KEY"), env={"THE_KEY": ""})
    refused(KEY, "THE_KEY", *gcp("env:THE_KEY"))


def test_other_things_than_private_keys(refused, identities, tmp_path):
    who = identities("rsa-2048")
    refused(KEY, ["certificate.pem", "a certificate"], *gcp(f"file:{who.certificate_file}"))
    refused(KEY, ["public.pem", "a public key"], *gcp(f"file:{who.public_key_file}"))
    refused(KEY, str(tmp_path), *gcp(f"file:{tmp_path}"))
    refused(KEY, [str(tmp_path / "no"), "no such file"], *gcp(f"file:{tmp_path}/no"))


def test_rsa_1024(refused, tmp_path):
    small = support.new_key("rsa-1024")
    text = support.key_pem(small)
    file = support.private_file(tmp_path / "small.pem", text)
    secrets = secrets_of(text)
    refused(KEY, [str(file), "1024", "2048"], *gcp(f"file:{file}"), secrets=secrets)
    account = json.dumps(support.service_account(small))
    file = support.private_file(tmp_path / "small.json", account)
    refused(KEY, [str(file), "1024"], *gcp(f"file:{file}"), secrets=secrets)


@pytest.mark.parametrize("kind", ["p-521", "ed25519", "secp256k1"])
def test_unsupported_keys(refused, tmp_path, kind):
    file = tmp_path / f"{kind}.pem"
    if kind == "ed25519":
        support.openssl("genpkey", "-algorithm", "ed25519", "-out", file)
    else:
        curve = {"p-521": "P-521"}.get(kind, kind)
        support.openssl("genpkey", "-algorithm", "EC", "-pkeyopt", f"ec_paramgen_curve:{curve}", "-out", file)
    file.chmod(0o600)
    refused(KEY, str(file), *gcp(f"file:{file}"), secrets=secrets_of(file.read_text()))


def test_p384_is_no_key_for_google(refused, identities):
    refused(KEY, ["key", "P-256"], *gcp(identities("p-384").key_uri))


@pytest.mark.parametrize("mode", [0o622, 0o602, 0o620, 0o666, 0o777])
def test_key_file_that_others_can_change(refused, tmp_path, rsa_text, mode):
    file = support.private_file(tmp_path / "key.pem", rsa_text)
    file.chmod(mode)
    refused(KEY, [str(file), "chmod"], *gcp(f"file:{file}"))


def test_secret_file_that_others_can_change(refused, tmp_path):
    file = support.private_file(tmp_path / "secret", SECRET)
    file.chmod(0o666)
    refused(KEY, [str(file), "chmod"], *sign("--key", f"file:{file}"), stdin=REQUEST, env=CREDENTIALS)


# Passphrases


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory, keys):
    text = support.key_pem(keys("rsa-2048"), passphrase=PASSPHRASE)
    return support.private_file(tmp_path_factory.mktemp("encrypted") / "encrypted.pem", text)


def test_no_passphrase(refused, encrypted):
    said = refused(KEY, [str(encrypted), "passphrase-source"], *gcp(f"file:{encrypted}"))
    assert "encrypted" in said


def test_wrong_passphrase(refused, encrypted):
    wrong = PASSPHRASE + "r"
    args = gcp(f"file:{encrypted}?passphrase-source=env:PASS")
    refused(KEY, [str(encrypted), "passphrase"], *args, env={"PASS": wrong}, secrets={wrong})


def test_passphrase_source_without_a_passphrase(refused, encrypted, tmp_path):
    key = f"file:{encrypted}?passphrase-source="
    refused(KEY, "PASS", *gcp(key + "env:PASS"))
    refused(KEY, f"{tmp_path}/no", *gcp(f"{key}file:{tmp_path}/no"))
    refused(KEY, "descriptor 77", *gcp(key + "fd:77"))
    others = support.private_file(tmp_path / "passphrase", PASSPHRASE)
    others.chmod(0o666)
    refused(KEY, [str(others), "chmod"], *gcp(f"{key}file:{others}"))


@pytest.mark.parametrize(
    "attribute, names",
    [
        (f"passphrase-source={PASSPHRASE}", "secret reference"),
        (f"passphrase-source=pass:{PASSPHRASE}", "secret reference"),
        (f"passphrase={PASSPHRASE}", "passphrase-source"),
        (f"pin-value={PASSPHRASE}", "passphrase-source"),
        (PASSPHRASE, "passphrase-source"),
    ],
)
def test_passphrase_in_the_uri(refused, encrypted, attribute, names):
    """A passphrase written where the name of one belongs is not repeated."""
    refused(KEY, names, *gcp(f"file:{encrypted}?{attribute}"))


# Key URIs


@pytest.mark.parametrize(
    "uri", ["", "key.pem", "/etc/key.pem", "file:", "env:", "env:A=B", "https://example.com/key",
            "file:key.pem#fragment", "file:%zz", "file:%00", "file://host/key.pem", "x" * 5000]
)  # fmt: skip
def test_key_uri(refused, uri):
    refused(KEY, "key URI", *gcp(uri))


def test_key_as_uri(refused, rsa_text):
    """The key itself where its name belongs: none of it comes out."""
    args = list(gcp("uri"))
    at = args.index("--key")
    refused(USAGE, "command line", *args[:at], f"--key={rsa_text}", *args[at + 2 :])
    args[at + 1] = rsa_text.replace("-----BEGIN PRIVATE KEY-----\n", "")
    refused(KEY, "key URI", *args)


@pytest.mark.parametrize("option", ["--key", "--certificate", "--tenant"])
def test_key_as_the_value_of_an_option(cloudauth, identities, rsa_text, option):
    """As `--key "$(cat key.pem)"` has it: the value begins with a dash, and goes through clap."""
    args = list(azure(identities("rsa-2048")))
    args[args.index(option) + 1] = rsa_text
    done = cloudauth.run(*args)
    assert done.returncode in (USAGE, KEY, INPUT)
    assert done.stdout == b""
    # Not `assert … in`: pytest would print the key.
    leaked = any(secret in done.stderr for secret in secrets_of(rsa_text))
    assert not leaked, "the key is on standard error"


def test_devices(refused):
    refused(USAGE, "pin-source", *gcp(f"pkcs11:token=t;object=k?pin-value={PASSPHRASE}"))
    refused(KEY, "pin-source", *gcp(f"pkcs11:token=t;pin={PASSPHRASE}"))
    refused(KEY, "module-path", *gcp("pkcs11:token=t;object=k"))
    refused(KEY, "tpm:", *gcp(f"tpm:file=key.pem?auth-value={PASSPHRASE}"))


# Service-account JSON


@pytest.mark.parametrize(
    "changes, names",
    [
        ({"type": "authorized_user"}, "type"),
        ({"type": None}, "type"),
        ({"type": 1}, "type"),
        ({"client_email": None}, "client_email"),
        ({"client_email": ["a"]}, "client_email"),
        ({"client_email": "a\nb"}, "client_email"),
        ({"private_key": None}, "private_key"),
        ({"private_key": {}}, "private_key"),
        ({"private_key": "no PEM"}, ["account.json", "PEM"]),
        ({"private_key_id": 7}, "private_key_id"),
        ({"token_uri": "https://evil.example/token"}, "token_uri"),
        ({"token_uri": "http://oauth2.googleapis.com/token"}, "token_uri"),
        ({"token_uri": "https://oauth2.googleapis.com.evil.example/token"}, "token_uri"),
        ({"token_uri": "https://evilgoogleapis.com/token"}, "token_uri"),
        ({"token_uri": "https://user@oauth2.googleapis.com/token"}, "token_uri"),
        ({"universe_domain": "com"}, "universe_domain"),
        ({"universe_domain": "a/b.example"}, "universe_domain"),
    ],
)
def test_service_account_member(refused, tmp_path, keys, changes, names):
    text = json.dumps(support.service_account(keys("rsa-2048"), **changes))
    file = support.private_file(tmp_path / "account.json", text)
    args = ("gcp", "token", "--time", support.TIME, "--key", f"file:{file}")
    refused(KEY, [str(file), *([names] if isinstance(names, str) else names)], *args)


SPOILED_JSON = {
    "end missing": lambda t: t[:-2],
    "half": lambda t: t[: len(t) // 2],
    "text behind": lambda t: t + "x",
    "single quotes": lambda t: t.replace('"', "'"),
    "empty object": lambda t: "{}",
    "open brace": lambda t: "{",
    "deep": lambda t: '{"a":' * 10_000,
    "colon missing": lambda t: t.replace(":", "", 1),
    "e-mail twice": lambda t: t.replace("}", ',"client_email":"second@example.com"}'),
    "key twice": lambda t: t.replace("}", ',"private_key":"second"}'),
    "lone surrogate": lambda t: t.replace("robot@", "\\ud800"),
    "not UTF-8": lambda t: t.encode().replace(b"robot@", b"\xff"),
}


@pytest.mark.parametrize("spoil", SPOILED_JSON)
def test_service_account_json(refused, tmp_path, keys, spoil):
    text = json.dumps(support.service_account(keys("rsa-2048")), indent=1)
    file = support.private_file(tmp_path / "account.json", SPOILED_JSON[spoil](text))
    refused(KEY, str(file), "gcp", "token", "--time", support.TIME, "--key", f"file:{file}")


# Options of gcp token


def test_email_missing(refused, identities):
    key = identities("rsa-2048").key_uri
    refused(USAGE, "--email", "gcp", "token", "--time", support.TIME, "--key", key)


@pytest.mark.parametrize(
    "code, names, options",
    [
        (INPUT, "lifetime", ["--lifetime", "0"]),
        (INPUT, "lifetime", ["--lifetime", "3601"]),
        (USAGE, "--lifetime", ["--lifetime", "1h"]),
        (INPUT, "scope", ["--scope", ""]),
        (INPUT, "scope", ["--scope", "a b"]),
        (INPUT, "scope", ["--scope", "a,,b"]),
        (INPUT, "scope", ["--scope", 'a"b']),
        (INPUT, "audience", ["--audience", ""]),
        (INPUT, "subject", ["--subject", ""]),
        (INPUT, "key id", ["--key-id", ""]),
        (INPUT, "e-mail", ["--email", ""]),
        (USAGE, "--oauth", ["--ca-file", "/missing"]),
        (USAGE, "--audience", ["--audience", "https://a.b/", "--scope", "s"]),
        (USAGE, "--no-such-option", ["--no-such-option"]),
        (USAGE, "--output", ["--output", "yaml"]),
    ],
)
def test_gcp_options(refused, identities, code, names, options):
    key = identities("rsa-2048").key_uri
    email = [] if "--email" in options else ["--email", EMAIL]
    refused(code, names, "gcp", "token", "--time", support.TIME, "--key", key, *email, *options)


# Time


@pytest.mark.parametrize(
    "time",
    ["yesterday", "", "2026-11-22", "2026-11-22 12:00", "2026-11-22T12:00:00", "2026-13-01T00:00:00Z",
     "2026-02-29T00:00:00Z", "2026-11-22T24:00:00Z", "2026-11-22T12:60:00Z", "1969-12-31T23:59:59Z",
     "20261122T120000", "20261122", "1795348800", "2026-11-22T12:00:00Zx", "+2026-11-22T12:00:00Z",
     "２０２６-11-22T12:00:00Z"],
)  # fmt: skip
def test_time(refused, identities, time):
    key = identities("rsa-2048").key_uri
    refused(USAGE, "--time", "gcp", "token", "--key", key, "--email", EMAIL, f"--time={time}")
    args = ["--time" if a == "--time" else a for a in sign()]
    args[args.index("--time") + 1] = time
    refused(USAGE, "--time", *args[: args.index("--time")], f"--time={time}", stdin=REQUEST, env=CREDENTIALS)
