#!/usr/bin/env python3
"""Runs the C examples and verifies what they print with packages that others wrote.

usage: check.py [--program CLOUDAUTH] [--keylog LIBRARY] [--flow NAME | --without NAME] BUILD [-- COMMAND...]

BUILD is the folder with the programs; COMMAND, if given, runs each of them (valgrind). CLOUDAUTH is the program
with the emulator of the clouds. With LIBRARY, keylog.c as a shared library, the exported octets of the TLS
connection are computed from its secrets.
"""

import argparse
import base64
import concurrent.futures
import datetime
import hashlib
import hmac
import json
import os
import pathlib
import re
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request

import botocore.auth
import jwt
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

parser = argparse.ArgumentParser()
parser.add_argument("build", type=pathlib.Path)
parser.add_argument("--program", type=pathlib.Path)
parser.add_argument("--keylog", type=pathlib.Path)
parser.add_argument("--flow")
parser.add_argument("--without")
parser.add_argument("command", nargs="*")
options = parser.parse_args()

EMAIL = "robot@project.iam.gserviceaccount.com"
ANYWHERE = "arn:aws:rolesanywhere:eu-central-1:123456789012"
ARNS = [
    f"{ANYWHERE}:trust-anchor/3b5c1c2e-1f1c-4a0e-9c46-0a8f0d1f9d11",
    f"{ANYWHERE}:profile/7c9f3a5e-2b1d-4b0e-8d57-1b9e1e2e0e22",
    "arn:aws:iam::123456789012:role/robots/demo",
]
CLIENT = "11112222-bbbb-3333-cccc-4444dddd5555"
AWS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}


def execute(name, *arguments, env=None, stdin="", command=None):
    """Runs an example; the sanitizers and valgrind have exit codes of their own."""
    done = subprocess.run(
        [*(options.command if command is None else command), options.build / name, *arguments],
        input=stdin.encode(), capture_output=True, timeout=120,
        env={"PATH": os.environ["PATH"], "ASAN_OPTIONS": "exitcode=98", "UBSAN_OPTIONS": "exitcode=98"}
        | {k: v for k, v in os.environ.items() if k == "LD_LIBRARY_PATH"}
        | (env or {}),
    )  # fmt: skip
    # As it is: text mode would change line ends.
    done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()
    return done


def good(name, *arguments, **kwargs):
    """What it prints; it must print nothing else."""
    done = execute(name, *arguments, **kwargs)
    assert done.returncode == 0 and not done.stderr, (name, done)
    return done.stdout


def bad(said, name, *arguments, code=1, **kwargs):
    """It must fail, say why, and print nothing."""
    done = execute(name, *arguments, **kwargs)
    assert done.returncode == code, (name, done)
    assert re.search(said, done.stderr) and not done.stdout, (name, said, done)


def identity(kind, key):
    """PEM files of a key and its certificate."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, kind)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1 if kind != "expired" else -0.5))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    key_file, certificate_file = pathlib.Path(f"{kind}.key"), pathlib.Path(f"{kind}.crt")
    key_file.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    certificate_file.write_bytes(certificate.public_bytes(pem))
    return key, certificate


def near_now(seconds):
    return abs(seconds - time.time()) < 120


def request(raw):
    """Method, target, headers and body of a raw HTTP request."""
    head, body = raw.split("\r\n\r\n", 1)
    first, *lines = head.split("\r\n")
    method, target, version = first.split(" ")
    headers = {}
    for line in lines:
        name, value = line.split(": ", 1)
        assert name.lower() not in headers
        headers[name.lower()] = value
    assert version == "HTTP/1.1" and int(headers["content-length"]) == len(body)
    return method, target, headers, body


def gcp_jwt(keys):
    for kind, algorithm in [("rsa", "RS256"), ("p256", "ES256")]:
        out = good("gcp_jwt", f"{kind}.key", EMAIL, "https://www.googleapis.com/auth/pubsub")
        claims = jwt.decode(out.strip(), keys[kind][0].public_key(), [algorithm])
        assert claims["iss"] == claims["sub"] == EMAIL and near_now(claims["iat"])
        assert claims["scope"] == "https://www.googleapis.com/auth/pubsub"
        assert claims["exp"] == claims["iat"] + 3600
    bad(r"^usage:", "gcp_jwt", code=2)
    bad(r"^missing: no such file", "gcp_jwt", "missing", EMAIL)
    bad(r"^rsa\.crt: ", "gcp_jwt", "rsa.crt", EMAIL)
    bad(r"^token: .*service account e-mail: must not be empty", "gcp_jwt", "rsa.key", "")
    bad(r"^token: .*scope: ", "gcp_jwt", "rsa.key", EMAIL, "")
    bad(r"^token: ", "gcp_jwt", "p384.key", EMAIL)


def two_phase(keys):
    method, target, headers, body = request(good("two_phase", "rsa.key", EMAIL))
    assert (method, headers["host"], target) == ("POST", "oauth2.googleapis.com", "/token")
    form = urllib.parse.parse_qs(body, strict_parsing=True)
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    claims = jwt.decode(
        form["assertion"][0], keys["rsa"][0].public_key(), ["RS256"],
        audience="https://oauth2.googleapis.com/token",
    )  # fmt: skip
    assert claims["iss"] == EMAIL and near_now(claims["iat"])
    bad(r"^usage:", "two_phase", code=2)
    bad(r"^missing: no such file[^$]*the key did not sign", "two_phase", "missing", EMAIL)
    bad(r"^the key did not sign", "two_phase", "p256.key", EMAIL)


def sigv4_s3(_):
    for token, path in [(None, "/hello.txt"), ("IQoJ/b3+JpZ2==", "/a%20b/c+d~%C3%A9.txt"), (None, "/")]:
        env = AWS | ({"AWS_SESSION_TOKEN": token} if token else {})
        out = good("sigv4_s3", "eu-central-1", "bucket", path, env=env)
        headers = dict(line.split(": ", 1) for line in out.splitlines())
        headers = {name.lower(): value for name, value in headers.items()}
        at = datetime.datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ")
        assert near_now(at.replace(tzinfo=datetime.UTC).timestamp())
        botocore.auth.get_current_datetime = lambda remove_tzinfo=True: at
        peer = AWSRequest("GET", f"https://bucket.s3.eu-central-1.amazonaws.com{path}")
        credentials = Credentials(*AWS.values(), token)
        botocore.auth.S3SigV4Auth(credentials, "s3", "eu-central-1").add_auth(peer)
        theirs = {name.lower(): value for name, value in peer.headers.items()}
        assert headers == theirs, (headers, theirs)
    bad(r"^usage:", "sigv4_s3", "eu-central-1", "bucket", "/", code=2)
    bad(r"^key: .*region", "sigv4_s3", "", "bucket", "/", env=AWS)
    bad(r"^key: .*secret", "sigv4_s3", "r", "b", "/", env=AWS | {"AWS_SECRET_ACCESS_KEY": ""})
    bad(r"^request: .*path", "sigv4_s3", "eu-central-1", "bucket", "/a\nb", env=AWS)
    bad(r"^BUCKET: too long", "sigv4_s3", "eu-central-1", "b" * 300, "/", env=AWS)


def roles_anywhere(keys):
    for kind in ["rsa", "p256", "p384"]:
        key, certificate = keys[kind]
        out = good("roles_anywhere", f"{kind}.key", f"{kind}.crt", *ARNS)
        method, target, headers, body = request(out)
        assert json.loads(body) == {"durationSeconds": 3600}
        der = certificate.public_bytes(serialization.Encoding.DER)
        assert base64.b64decode(headers["x-amz-x509"], validate=True) == der
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(target).query, strict_parsing=True)
        assert query == dict(zip(["trustAnchorArn", "profileArn", "roleArn"], ([a] for a in ARNS)))

        algorithm, credential, signed, signature = re.fullmatch(
            r"(\S+) Credential=(\S+), SignedHeaders=(\S+), Signature=([0-9a-f]+)",
            headers["authorization"],
        ).groups()
        assert algorithm == f"AWS4-X509-{'RSA' if kind == 'rsa' else 'ECDSA'}-SHA256"
        serial, scope = credential.split("/", 1)
        assert int(serial) == certificate.serial_number
        assert scope == f"{headers['x-amz-date'][:8]}/eu-central-1/rolesanywhere/aws4_request"
        # The canonical request is botocore's.
        peer = AWSRequest(method, f"https://{headers['host']}{target}", data=body)
        for name in signed.split(";"):
            peer.headers[name] = headers[name]
        assert {"host", "x-amz-date", "x-amz-x509"} < set(signed.split(";"))
        auth = botocore.auth.SigV4Auth(Credentials("a", "b"), "rolesanywhere", "eu-central-1")
        canonical = hashlib.sha256(auth.canonical_request(peer).encode()).hexdigest()
        to_sign = f"{algorithm}\n{headers['x-amz-date']}\n{scope}\n{canonical}".encode()
        how = [padding.PKCS1v15()] if kind == "rsa" else []
        how.append(hashes.SHA256() if kind == "rsa" else ec.ECDSA(hashes.SHA256()))
        key.public_key().verify(bytes.fromhex(signature), to_sign, *how)
    bad(r"^usage:", "roles_anywhere", "rsa.key", code=2)
    bad(r"^missing: no such file", "roles_anywhere", "rsa.key", "missing", *ARNS)
    bad(r"^rsa\.key: ", "roles_anywhere", "rsa.key", "rsa.key", *ARNS)
    bad(r"^request: .*certificate: ", "roles_anywhere", "rsa.key", "p256.crt", *ARNS)
    bad(r"^request: .*trust anchor ARN", "roles_anywhere", "rsa.key", "rsa.crt", "arn", *ARNS[1:])
    bad(r"^certificate: ", "roles_anywhere", "expired.key", "expired.crt", *ARNS)


def azure_assertion(keys):
    key, certificate = keys["rsa"]
    token = good("azure_assertion", "rsa.key", "rsa.crt", "contoso.example", CLIENT).strip()
    audience = "https://login.microsoftonline.com/contoso.example/oauth2/v2.0/token"
    claims = jwt.decode(token, key.public_key(), ["PS256"], audience=audience)
    assert claims["iss"] == claims["sub"] == CLIENT and claims["jti"]
    thumbprint = base64.urlsafe_b64encode(certificate.fingerprint(hashes.SHA256())).rstrip(b"=")
    assert jwt.get_unverified_header(token)["x5t#S256"] == thumbprint.decode()
    bad(r"^usage:", "azure_assertion", code=2)
    bad(r"^missing: no such file", "azure_assertion", "missing", "rsa.crt", "t", CLIENT)
    bad(r"^assertion: .*RSA certificates only", "azure_assertion", "p256.key", "p256.crt", "t", CLIENT)
    bad(r"^assertion: .*certificate: ", "azure_assertion", "rsa.key", "other.crt", "t", CLIENT)
    bad(r"^assertion: .*tenant", "azure_assertion", "rsa.key", "rsa.crt", "", CLIENT)


def expand_label(secret, label, context, length):
    """HKDF-Expand-Label of RFC 8446, section 7.1, for one block."""
    label = b"tls13 " + label
    info = length.to_bytes(2) + bytes([len(label)]) + label + bytes([len(context)]) + context
    algorithm = {32: "sha256", 48: "sha384"}[len(secret)]
    return hmac.digest(secret, info + b"\x01", algorithm)[:length]


def ekm_binder(keys):
    audience, body = "https://broker.example", '{"grant":"g"}'
    for kind in ["p256", "rsa"]:
        arguments = "ekm_binder", f"{kind}.key", f"{kind}.crt", audience, body
        challenge, nonce = good(*arguments).split()
        assert re.fullmatch(r"[0-9a-f]{64}", challenge) and re.fullmatch(r"[\w-]{43}", nonce, re.ASCII)
        if not options.keylog:
            continue
        log = pathlib.Path("keylog")
        env = {"LD_PRELOAD": str(options.keylog.resolve()), "KEYLOG": str(log)}
        challenge, nonce = good(*arguments, env=env, command=[]).split()
        challenge = bytes.fromhex(challenge)
        secrets = re.findall(r"^EXPORTER_SECRET \S+ (\S+)$", log.read_text(), re.MULTILINE)
        log.unlink()
        assert len(set(secrets)) == 1
        secret = bytes.fromhex(secrets[0])
        algorithm = {32: "sha256", 48: "sha384"}[len(secret)]
        of_nothing = hashlib.new(algorithm).digest()
        derived = expand_label(secret, b"EXPORTER-libcloudauth-v1-server", of_nothing, len(secret))
        context = hashlib.new(algorithm, challenge).digest()
        exported = expand_label(derived, b"exporter", context, 32)

        def sha256(octets):
            return hashlib.sha256(octets).digest()

        spki = keys[kind][1].public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        message = b"libcloudauth binder v1\0" + b"\x02" + exported + challenge + sha256(spki)
        message += bytes(33) + sha256(audience.encode())
        message += sha256(b"POST /v1/credentials\n" + body.encode())
        assert nonce == base64.urlsafe_b64encode(sha256(message)).rstrip(b"=").decode()
    bad(r"^usage:", "ekm_binder", code=2)
    bad(r"^missing, p256\.crt: ", "ekm_binder", "missing", "p256.crt", audience, body)
    bad(r"^rsa\.key, p256\.crt: ", "ekm_binder", "rsa.key", "p256.crt", audience, body)
    bad(r"^nonce: .*audience", "ekm_binder", "p256.key", "p256.crt", "", body)


def verify_token(keys):
    jwks = []
    for kind, algorithm in [("rsa", jwt.algorithms.RSAAlgorithm), ("p256", jwt.algorithms.ECAlgorithm)]:
        jwks.append(algorithm.to_jwk(keys[kind][0].public_key(), as_dict=True) | {"kid": kind, "use": "sig"})
    pathlib.Path("jwks.json").write_text(json.dumps({"keys": jwks}))
    issuer, audience = "https://issuer.example", "https://service.example"
    now = int(time.time())
    claims = {"iss": issuer, "aud": audience, "sub": "robot é \"7\"", "iat": now, "exp": now + 300, "n": [1, None]}

    def token(kind="rsa", signer=None, algorithm=None, **changed):
        key = keys[signer or kind][0]
        algorithm = algorithm or {"rsa": "RS256", "p256": "ES256"}[kind]
        return jwt.encode(claims | changed, key, algorithm, headers={"kid": kind})

    arguments = "verify_token", "jwks.json", issuer, audience
    for kind in ["rsa", "p256"]:
        assert json.loads(good(*arguments, stdin=token(kind))) == claims
    assert json.loads(good(*arguments, stdin=token() + "\n")) == claims

    bad(r"^usage:", "verify_token", code=2)
    bad(r"^missing: cannot be read", "verify_token", "missing", issuer, audience, stdin=token())
    bad(r"^rsa\.key: ", "verify_token", "rsa.key", issuer, audience, stdin=token())
    bad(r"does not hold: signature\n", *arguments, stdin=token(signer="other"))
    bad(r"does not hold: algorithm\n", *arguments, stdin=token(algorithm="PS256"))
    bad(r"does not hold: expiry\n", *arguments, stdin=token(exp=now - 61))
    bad(r"does not hold: not before\n", *arguments, stdin=token(nbf=now + 120))
    bad(r"does not hold: issued at\n", *arguments, stdin=token(iat=now + 120))
    bad(r"does not hold: issuer\ndoes not hold: audience\n", *arguments, stdin=token(iss="i", aud="a"))
    bad(r"^does not hold: algorithm\ntoken: ", *arguments, stdin=jwt.encode(claims, None, "none"))
    bad(r"^token: ", *arguments, stdin="no token")
    bad(r"^token: ", *arguments, stdin="")


def live_credentials(keys):
    assert options.program, "live_credentials needs --program"
    folder = pathlib.Path("live").resolve()
    folder.mkdir(mode=0o700)
    emulator = subprocess.Popen(
        [options.program, "emulator", "--demo", "--state-dir", folder, "--listen-http", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        where = json.loads(emulator.stdout.readline())
        live_with(keys, folder, where["url"], f"{where['http_url']}/_emulator/")
    finally:
        emulator.kill()
        emulator.wait()


def live_with(keys, folder, url, control):
    def ask(path, body=None):
        body = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(control + path, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(asked) as answer:
            return json.loads(answer.read() or b"null")

    def secret(name, octets):
        path = folder / name
        path.touch(0o600)
        path.write_bytes(octets)
        return f"file:{path}"

    key = secret("p256.key", pathlib.Path("p256.key").read_bytes())
    aws = secret("secret", b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    (folder / "config.toml").write_text(f"""
ca-file = "ca.pem"
[profiles.demo]
kind = "aws-assume-role"
access-key-id = "AKIAIOSFODNN7EXAMPLE"
key = "{aws}"
role-arn = "arn:aws:iam::123456789012:role/demo"
session-name = "example"
region = "eu-central-1"
endpoint-url = "{url}"
[profiles.google]
kind = "gcp-token"
key = "{key}"
email = "{EMAIL}"
[profiles.azure]
kind = "azure-token"
tenant = "11111111-2222-3333-4444-555555555555"
client-id = "66666666-7777-8888-9999-000000000000"
client-secret = "{secret("azure", b"demo-secret")}"
scopes = ["https://vault.azure.net/.default"]
endpoint-url = "{url}"
""")
    env = {"CLOUDAUTH_CONFIG": str(folder / "config.toml")}

    printed = json.loads(good("live_credentials", "aws", "demo", env=env))
    assert set(printed) == {"Version", "AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"}
    (session,) = ask("sessions")
    assert printed["AccessKeyId"] == session["access_key_id"], (printed, session)
    left = datetime.datetime.fromisoformat(printed["Expiration"]) - datetime.datetime.now(datetime.UTC)
    assert datetime.timedelta(minutes=55) < left <= datetime.timedelta(hours=1)
    # botocore takes it, and the emulator its signature.
    peer = AWSRequest("POST", f"{control.split('/_')[0]}/", data="Action=GetCallerIdentity&Version=2011-06-15")
    peer.headers["Content-Type"] = "application/x-www-form-urlencoded"
    credentials = Credentials(*(printed[name] for name in ["AccessKeyId", "SecretAccessKey", "SessionToken"]))
    botocore.auth.SigV4Auth(credentials, "sts", "eu-central-1").add_auth(peer)
    raw = urllib.request.Request(peer.url, peer.body, dict(peer.headers.items()))
    assert b":assumed-role/demo/example<" in urllib.request.urlopen(raw).read()

    token = good("live_credentials", "token", "google", env=env).strip()
    assert jwt.decode(token, keys["p256"][0].public_key(), ["ES256"])["iss"] == EMAIL
    token = good("live_credentials", "token", "azure", env=env).strip()
    assert jwt.decode(token, options={"verify_signature": False})["aud"]

    assert good("live_credentials", "token", "", env=env | {"CLOUDAUTH_PROFILE": "google"}).count(".") == 2

    bad(r"^usage:", "live_credentials", "aws", code=2)
    bad(r"profile: is not given; name one, or set CLOUDAUTH_PROFILE", "live_credentials", "token", "", env=env)
    bad(r"^configuration: .*/missing", "live_credentials", "aws", "demo", env={"CLOUDAUTH_CONFIG": "/missing"})
    bad(r'^unknown: .*no profile "unknown"; it has: azure, demo, google', "live_credentials", "aws", "unknown", env=env)
    bad(r"^google: .*gives a token", "live_credentials", "aws", "google", env=env)
    bad(r"^demo: .*gives AWS credentials", "live_credentials", "token", "demo", env=env)
    ask("fault", {"kind": "status", "status": 403})
    bad(r"^demo: AssumeRole: .*403", "live_credentials", "aws", "demo", env=env)


def readme(_):
    method, target, headers, body = request(good("readme", env=AWS))
    at = datetime.datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ")
    botocore.auth.get_current_datetime = lambda remove_tzinfo=True: at
    peer = AWSRequest(method, f"https://{headers['host']}{target}", data=body)
    peer.headers["Content-Type"] = headers["content-type"]
    botocore.auth.SigV4Auth(Credentials(*AWS.values()), "sts", "us-east-1").add_auth(peer)
    assert peer.headers["Authorization"] == headers["authorization"]
    assert urllib.parse.parse_qs(body)["Action"] == ["GetCallerIdentity"]
    bad(r"secret access key: expected", "readme")


def demo(_):
    """What the firmware prints: BUILD/demo is the same source for this machine."""
    parts = dict(part.split("\n", 1) for part in good("demo").strip().split("\n\n"))
    s3, google, azure, subject = parts.values()

    botocore.auth.get_current_datetime = lambda remove_tzinfo=True: datetime.datetime(2026, 11, 22, 12)
    peer = AWSRequest("GET", "https://bucket.s3.eu-central-1.amazonaws.com/firmware/v2.bin")
    botocore.auth.S3SigV4Auth(Credentials(*AWS.values()), "s3", "eu-central-1").add_auth(peer)
    headers = dict(line.split(": ", 1) for line in s3.splitlines())
    assert headers["Authorization"] == peer.headers["Authorization"]

    def public(octet):
        scalar = int.from_bytes(bytes([octet] * 3 + [0] * 29))
        return ec.derive_private_key(scalar, ec.SECP256R1()).public_key()

    past = {"verify_exp": False, "verify_iat": False}
    claims = jwt.decode(google, public(2), ["ES256"], options=past)
    assert claims["iss"] == "device@project.iam.gserviceaccount.com" and claims["iat"] == 1795348800
    claims = jwt.decode(azure, public(5), ["ES256"], options=past, audience="api://AzureADTokenExchange")
    assert claims["sub"] == subject.strip() == "device-42" and claims["iss"] == "https://devices.example"


def main():
    options.build = options.build.resolve()
    if options.keylog:
        options.keylog = options.keylog.resolve()
    if options.program:
        options.program = options.program.resolve()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        rsa_key = lambda: rsa.generate_private_key(65537, 2048)  # noqa: E731
        keys = {
            kind: identity(kind, key)
            for kind, key in {
                "rsa": rsa_key(), "other": rsa_key(), "p256": ec.generate_private_key(ec.SECP256R1()),
                "p384": ec.generate_private_key(ec.SECP384R1()),
                "expired": ec.generate_private_key(ec.SECP256R1()),
            }.items()
        }  # fmt: skip
        flows = [
            gcp_jwt, two_phase, sigv4_s3, roles_anywhere, azure_assertion, ekm_binder, verify_token,
            live_credentials,
        ]  # fmt: skip
        if options.flow:
            flows = [globals()[options.flow]]
        if options.without:
            flows.remove(globals()[options.without])
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(lambda flow: flow(keys), flows))
        os.chdir("/")
    print(", ".join(flow.__name__ for flow in flows) + ": right")


main()
