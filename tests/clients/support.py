"""What the client tests share: running the program, fixed clocks, keys and certificates."""

import base64
import dataclasses
import datetime
import json
import os
import pathlib
import subprocess

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

NOW = datetime.datetime(2026, 11, 22, 12, 0, 0, tzinfo=datetime.timezone.utc)
TIME = "2026-11-22T12:00:00Z"
EPOCH = int(NOW.timestamp())


def old_python(library):
    """The Python of the environment with cloud_auth_pkcs or cloud_auth_tpm, made where it is missing."""
    venv = pathlib.Path(__file__).resolve().parents[1] / "python" / "venv"
    return subprocess.run([venv, f"old-{library}"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


class FixedDatetime(datetime.datetime):
    """`datetime.datetime` whose clock stands at NOW."""

    @classmethod
    def now(cls, tz=None):
        return NOW.astimezone(tz) if tz else NOW.replace(tzinfo=None)


class Program:
    """The cloudauth program, run with none of this machine's settings."""

    def __init__(self, path):
        self.path = path

    def run(self, *args, stdin=b"", env=None, pass_fds=()):
        """Runs it, whatever comes of it: stdout as bytes, stderr as text."""
        done = subprocess.run(
            [self.path, *map(str, args)],
            input=stdin,
            capture_output=True,
            env=env or {},
            pass_fds=pass_fds,
            timeout=60,
        )
        done.stderr = done.stderr.decode()
        return done

    def bytes(self, *args, stderr="", **kwargs):
        """Standard output of a run that must succeed, with `stderr` as all it says there."""
        done = self.run(*args, **kwargs)
        assert done.returncode == 0, f"{args}: exit {done.returncode}: {done.stderr}"
        assert done.stderr == stderr
        return done.stdout

    def text(self, *args, **kwargs):
        return self.bytes(*args, **kwargs).decode()

    def json(self, *args, **kwargs):
        return json.loads(self.bytes(*args, **kwargs))


def private_file(path, content):
    """Writes a file that its owner alone can read."""
    path = pathlib.Path(path)
    data = content.encode() if isinstance(content, str) else content
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
    return path


def new_key(kind):
    """A private key: `rsa-BITS`, `p-256` or `p-384`."""
    if kind.startswith("rsa-"):
        return rsa.generate_private_key(65537, int(kind.removeprefix("rsa-")))
    return ec.generate_private_key({"p-256": ec.SECP256R1(), "p-384": ec.SECP384R1()}[kind])


def key_pem(key, form="PKCS8", passphrase=None):
    """The key as PEM: `PKCS8` or `TraditionalOpenSSL` (PKCS#1, SEC1)."""
    protection = (
        serialization.BestAvailableEncryption(passphrase.encode())
        if passphrase
        else serialization.NoEncryption()
    )
    form = getattr(serialization.PrivateFormat, form)
    return key.private_bytes(serialization.Encoding.PEM, form, protection).decode()


def public_pem(key):
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def cert_pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def cert_der(certificate):
    return certificate.public_bytes(serialization.Encoding.DER)


def name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def certify(key, subject, issuer, issuer_key, *, serial=None, ca=False, digest=None, days=(-30, 30)):
    """A certificate for `key`, valid from and to so many days off NOW."""
    start, end = (NOW + datetime.timedelta(days=d) for d in days)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    return builder.sign(issuer_key, digest or hashes.SHA256())


@dataclasses.dataclass
class Identity:
    """A key, its certificate and the intermediates above it, in memory and as files."""

    kind: str
    key: object
    certificate: x509.Certificate
    chain: list
    folder: pathlib.Path

    @property
    def key_uri(self):
        return f"file:{self.folder}/key.pem"

    @property
    def certificate_file(self):
        return self.folder / "certificate.pem"

    @property
    def chain_file(self):
        return self.folder / "chain.pem"

    @property
    def bundle_file(self):
        return self.folder / "bundle.pem"

    @property
    def public_key_file(self):
        return self.folder / "public.pem"


def identity(folder, kind, *, intermediates=0, key=None, **options):
    """A key with a certificate, issued below `intermediates` authorities, in the empty `folder`."""
    folder.mkdir()
    key = key or new_key(kind)
    issuer, issuer_key = "root", new_key("p-256")
    chain = []
    for number in range(intermediates):
        own = new_key("p-256")
        chain.insert(0, certify(own, f"intermediate {number}", issuer, issuer_key, ca=True))
        issuer, issuer_key = f"intermediate {number}", own
    certificate = certify(key, "leaf", issuer, issuer_key, **options)
    result = Identity(kind, key, certificate, chain, folder)
    private_file(folder / "key.pem", key_pem(key))
    private_file(result.public_key_file, public_pem(key))
    pems = [cert_pem(c) for c in [certificate, *chain]]
    private_file(result.certificate_file, pems[0])
    private_file(result.chain_file, "".join(pems[1:]))
    private_file(result.bundle_file, "".join(pems))
    return result


def service_account(key, **changes):
    """The JSON of a service-account key, as Google's console gives it; None removes a member."""
    members = {
        "type": "service_account",
        "project_id": "a-project",
        "private_key_id": "0123456789abcdef0123456789abcdef01234567",
        "private_key": key_pem(key),
        "client_email": "robot@a-project.iam.gserviceaccount.com",
        "client_id": "123456789012345678901",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": "https://oauth2.googleapis.com/token",
        "auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs",
        "universe_domain": "googleapis.com",
    }
    members.update(changes)
    return {name: value for name, value in members.items() if value is not None}


def unpad(text):
    """A compact JWS segment as octets; padding is refused (RFC 7515, section 2)."""
    assert "=" not in text
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def jws_parts(token):
    """Header, claims, signing input and signature of a compact JWS, nothing verified."""
    header, claims, signature = token.split(".")
    return (
        json.loads(unpad(header)),
        json.loads(unpad(claims)),
        f"{header}.{claims}".encode(),
        unpad(signature),
    )


def openssl(*args):
    return subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True).stdout
