"""A running `cloudauth emulator` with identities of its own, for test_emulator.py."""

import base64
import datetime
import json
import subprocess
import urllib.request

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

import support

ACCOUNT = "123456789012"
ACCESS_KEY, SECRET_KEY = "AKIAEMULATORTEST0001", "rB2x0nYyqS+1z/8emulatorTestSecretKey000"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/app/reader"
ANYWHERE = f"arn:aws:rolesanywhere:eu-west-1:{ACCOUNT}"
ANCHOR = f"{ANYWHERE}:trust-anchor/0b2d9e2a-1f0e-4c53-9f1c-2f7a0f6b1d11"
PROFILE = f"{ANYWHERE}:profile/6f9c2f0e-7b55-4a13-8a4f-1d9d1d0d9f22"
TENANT = "0f5a1c3e-1111-4222-8333-444455556666"
CLIENT = "9b6d7a52-aaaa-4bbb-8ccc-ddddeeeeffff"
CLIENT_SECRET = "emulator~client~secret"
ISSUER = "https://issuer.example"
ROBOT = "robot@a-project.iam.gserviceaccount.com"
OTHER_ROBOT = "other@a-project.iam.gserviceaccount.com"
PROVIDER = "//iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/p/providers/q"
AZURE_AUDIENCE = "api://AzureADTokenExchange"
USAGES = dict.fromkeys(
    ["content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign",
     "crl_sign", "encipher_only", "decipher_only"], False
)  # fmt: skip


def now():
    return datetime.datetime.now(datetime.timezone.utc)


def certify(key, subject, issuer, issuer_key, ca=False, days=(-1, 30)):
    """A certificate that is good now, as IAM Roles Anywhere wants them."""
    usages = {**USAGES, "digital_signature": not ca, "key_cert_sign": ca}
    return (
        x509.CertificateBuilder()
        .subject_name(support.name(subject))
        .issuer_name(support.name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now() + datetime.timedelta(days=days[0]))
        .not_valid_after(now() + datetime.timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**usages), critical=True)
        .sign(issuer_key, hashes.SHA256())
    )


def segment(octets):
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


class Emulator:
    """The process, its keys, and its control API."""

    def __init__(self, program, folder, *options):
        self.folder = folder
        self.keys = {name: support.new_key("rsa-2048") for name in ["issuer", "robot", "client"]}
        self.root_key, self.leaf_key = support.new_key("p-256"), support.new_key("p-256")
        self.root = certify(self.root_key, "root", "root", self.root_key, ca=True)
        self.leaf = certify(self.leaf_key, "device 7", "root", self.root_key)
        client = certify(self.keys["client"], "client", "client", self.keys["client"])
        self.client_pem = folder / "client.pem"
        support.private_file(
            self.client_pem, support.key_pem(self.keys["client"]) + support.cert_pem(client)
        )
        support.private_file(folder / "root.pem", support.cert_pem(self.root))
        support.private_file(folder / "public.pem", support.cert_pem(client))
        support.private_file(folder / "robot.pem", support.public_pem(self.keys["robot"]))
        numbers = self.keys["issuer"].public_key().public_numbers()
        jwk = {
            "kty": "RSA", "kid": "k1", "e": "AQAB", "n": segment(numbers.n.to_bytes(256)),
        }  # fmt: skip
        support.private_file(folder / "jwks.json", json.dumps({"keys": [jwk]}))
        support.private_file(folder / "emulator.toml", self.config())
        self.process = subprocess.Popen(
            [program.path, "emulator", "--config", folder / "emulator.toml",
             "--state-dir", folder / "state", "--listen-http", "127.0.0.1:0", *options],
            stdout=subprocess.PIPE, env={}, text=True,
        )  # fmt: skip
        line = json.loads(self.process.stdout.readline())
        self.url, self.http_url, self.ca = line["url"], line["http_url"], line["ca_file"]
        self.host = self.url.removeprefix("https://")

    def config(self):
        return f"""
[[aws.users]]
arn = "arn:aws:iam::{ACCOUNT}:user/tester"
access_key_id = "{ACCESS_KEY}"
secret_access_key = "{SECRET_KEY}"

[[aws.roles]]
arn = "{ROLE}"
trust = ["arn:aws:iam::{ACCOUNT}:user/tester"]
external_id = "ext-1"
roles_anywhere = true
web_identity = [{{ issuer = "{ISSUER}", audience = "sts.amazonaws.com", subject = "workload" }}]

[[aws.trust_anchors]]
arn = "{ANCHOR}"
certificates = "root.pem"

[[aws.profiles]]
arn = "{PROFILE}"
roles = ["{ROLE}"]
accept_role_session_name = true

[[aws.buckets]]
name = "bucket-1"
objects = {{ "hello.txt" = "hello", "logs/1" = "1", "logs/2" = "2" }}

[[entra.applications]]
tenant = "{TENANT}"
client_id = "{CLIENT}"
secrets = ["{CLIENT_SECRET}"]
certificates = ["public.pem"]
federated = [{{ issuer = "{ISSUER}", subject = "workload" }}]

[[google.service_accounts]]
email = "{ROBOT}"
keys = [{{ id = "0123456789abcdef0123456789abcdef01234567", public_key = "robot.pem" }}]

[[google.service_accounts]]
email = "{OTHER_ROBOT}"
impersonators = ["principal:{PROVIDER.split("/providers/")[0]}/subject/workload"]

[[google.providers]]
audience = "{PROVIDER}"
issuer = "{ISSUER}"

[[issuers]]
url = "{ISSUER}"
jwks = "jwks.json"
"""

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
        self.process.stdout.close()

    def control(self, path, body=None, method=None):
        """A request to the control API, without TLS and by no library under test."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.http_url}/_emulator/{path}", data, {"Content-Type": "application/json"},
            method=method,
        )  # fmt: skip
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=10) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def fault(self, kind, service, count=1, **more):
        self.control("fault", {"kind": kind, "service": service, "count": count, **more})

    def reset(self):
        self.control("clock", {"offset": 0})
        self.control("fault", method="DELETE")
        self.control("requests", method="DELETE")

    def token(self, audience, *, key=None, subject="workload", issuer=ISSUER, life=600, **more):
        """A token of the registered issuer."""
        start = int(now().timestamp())
        claims = {
            "iss": issuer, "sub": subject, "aud": audience, "iat": start, "exp": start + life, **more
        }  # fmt: skip
        header = {"alg": "RS256", "typ": "JWT", "kid": "k1"}
        signed = ".".join(segment(json.dumps(part).encode()) for part in [header, claims])
        key = key or self.keys["issuer"]
        signature = key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{segment(signature)}"

    def leaf_pem(self):
        return support.cert_pem(self.leaf).encode(), self.leaf_key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
