"""`cloudauth aws roles-anywhere --dry-run` beside the package iam-rolesanywhere-session.

The package signs a request of its own shape: `Content-Type: application/x-amz-json-1.0`, the ARNs in the
body. So its signer is given cloudauth's request, and computes what it would sign there; what the package
writes itself (the certificate headers, the parameters) is compared on its own.

The package derives the algorithm's name from the hash that the *issuer* used; the service knows
AWS4-X509-RSA-SHA256 and AWS4-X509-ECDSA-SHA256 alone. The certificates compared here are issued with
SHA-256; test_issuer_hash_does_not_matter has one that is not.
"""

import base64
import http.server
import io
import json
import urllib.parse

import boto3
import pytest
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from iam_rolesanywhere_session import IAMRolesAnywhereSession, IAMRolesAnywhereSigner
from iam_rolesanywhere_session import iam_rolesanywhere_session as package

import support

ACCOUNT = "123456789012"
KINDS = ["rsa-2048", "rsa-3072", "p-256", "p-384"]
SESSION = boto3.session.Session()
PARTITIONS = ["aws", "aws-cn", "aws-us-gov"]


@pytest.fixture(autouse=True)
def package_clock(monkeypatch):
    monkeypatch.setattr(package, "datetime", support.FixedDatetime)


def arns(region="eu-central-1", partition="aws"):
    anywhere = f"arn:{partition}:rolesanywhere:{region}:{ACCOUNT}"
    return {
        "trustAnchorArn": f"{anywhere}:trust-anchor/0b2d9e2a-1f0e-4c53-9f1c-2f7a0f6b1d11",
        "profileArn": f"{anywhere}:profile/6f9c2f0e-7b55-4a13-8a4f-1d9d1d0d9f22",
        "roleArn": f"arn:{partition}:iam::{ACCOUNT}:role/path/to/a-role+=,.@_x",
    }


def arguments(who, *options, named=None, certificates=None):
    named = named or arns()
    return (
        "aws", "roles-anywhere", "--dry-run", "--time", support.TIME,
        "--key", who.key_uri,
        "--certificate", certificates or who.certificate_file,
        "--trust-anchor-arn", named["trustAnchorArn"],
        "--profile-arn", named["profileArn"],
        "--role-arn", named["roleArn"],
        *options,
    )  # fmt: skip


class Handler(http.server.BaseHTTPRequestHandler):
    """Python's own HTTP server, reading one request from memory."""

    def __init__(self, octets):
        self.rfile, self.wfile = io.BytesIO(octets), io.BytesIO()
        self.raw_requestline = self.rfile.readline(65537)
        self.error = None
        assert self.parse_request(), self.wfile.getvalue()
        assert not self.headers.defects
        self.body = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.rfile.read() == b"", "octets after the body"

    def log_message(self, *args):
        pass


class KeepsOurHeaders(IAMRolesAnywhereSigner):
    """The package's signer, leaving the request's headers as they are; keeps what it computes."""

    def _modify_request_before_signing(self, request):
        pass

    def canonical_request(self, request):
        self.canonical = super().canonical_request(request)
        return self.canonical

    def string_to_sign(self, request, canonical_request):
        self.to_sign = super().string_to_sign(request, canonical_request)
        return self.to_sign


def make_signer(cls, who, region, chain):
    return cls(
        certificate=str(who.certificate_file),
        private_key=str(who.folder / "key.pem"),
        certificate_chain=str(who.chain_file) if chain else None,
        region=region,
    )


def their_signature(who, request, region="eu-central-1", chain=False):
    """The package's signer on our request."""
    theirs = AWSRequest(
        method=request.command, url=f"https://{request.headers['Host']}{request.path}", data=request.body
    )
    theirs.headers = HTTPHeaders()
    for name, value in request.headers.items():
        # Content-Length comes in when the package's request is sent, after signing.
        if name not in ("Authorization", "Content-Length"):
            theirs.headers[name] = value
    signer = make_signer(KeepsOurHeaders, who, region, chain)
    signer.add_auth(theirs)
    return signer, theirs.headers["Authorization"]


def verify(key, signature, message):
    if isinstance(key, ec.EllipticCurvePrivateKey):
        key.public_key().verify(signature, message, ec.ECDSA(hashes.SHA256()))
    else:
        key.public_key().verify(signature, message, padding.PKCS1v15(), hashes.SHA256())


def check_against_package(cloudauth, who, *options, region="eu-central-1", named=None, chain=False, bundle=False):
    """One request, compared in all its parts; returns it."""
    if bundle:
        certificates = who.bundle_file
    else:
        certificates = who.certificate_file
        options += ("--intermediates", who.chain_file) if chain else ()
    args = arguments(who, *options, named=named, certificates=certificates)
    request = Handler(cloudauth.bytes(*args))
    explained = cloudauth.json(*args, "--explain")
    signer, authorization = their_signature(who, request, region, chain)

    assert explained["canonical_request"] == signer.canonical
    assert explained["string_to_sign"] == signer.to_sign
    ours, our_signature = request.headers["Authorization"].split(", Signature=")
    theirs, their_hex = authorization.split(", Signature=")
    assert ours == theirs
    # Name by name, so that this does not hang on the package alone.
    kind = "ECDSA" if who.kind.startswith("p-") else "RSA"
    names = "content-type;host;x-amz-date;x-amz-x509" + (";x-amz-x509-chain" if chain else "")
    assert ours == (
        f"AWS4-X509-{kind}-SHA256 Credential={who.certificate.serial_number}"
        f"/20261122/{region}/rolesanywhere/aws4_request, SignedHeaders={names}"
    )
    assert our_signature == our_signature.lower()
    if kind == "RSA":
        assert our_signature == their_hex
        assert explained["authorization"] == request.headers["Authorization"]
    for signature in (our_signature, explained["signature"]):
        verify(who.key, bytes.fromhex(signature), signer.to_sign.encode())
        with pytest.raises(InvalidSignature):
            verify(who.key, bytes.fromhex(signature), signer.to_sign.encode() + b"x")
    check_headers_against_package(who, request, region, chain)
    return request


def check_headers_against_package(who, request, region, chain):
    """The headers that the package writes itself, of a request of its own."""
    theirs = AWSRequest("POST", f"https://{request.headers['Host']}/sessions", data=b"{}")
    make_signer(IAMRolesAnywhereSigner, who, region, chain).add_auth(theirs)
    written = {n.lower(): v for n, v in theirs.headers.items()}
    own = {n.lower(): v for n, v in request.headers.items()}
    assert own.pop("content-length") == str(len(request.body))
    # CreateSession is a REST-JSON operation: the SDKs of AWS send application/json.
    assert own.pop("content-type") == "application/json"
    assert written.pop("content-type") == "application/x-amz-json-1.0"
    assert own.pop("authorization") and written.pop("authorization")
    assert own == written
    assert base64.b64decode(own["x-amz-x509"], validate=True) == support.cert_der(who.certificate)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("intermediates", [0, 1, 2])
def test_same_as_the_package(cloudauth, identities, kind, intermediates):
    who = identities(kind, intermediates)
    chain = intermediates > 0
    request = check_against_package(cloudauth, who, chain=chain)
    assert request.command == "POST"
    sent = request.headers["X-Amz-X509-Chain"]
    assert (sent.split(",") if sent else []) == [
        base64.b64encode(support.cert_der(c)).decode() for c in who.chain
    ]
    if chain:
        in_one_file = check_against_package(cloudauth, who, chain=True, bundle=True)
        assert in_one_file.headers["X-Amz-X509-Chain"] == sent


@pytest.mark.parametrize("kind", KINDS)
def test_openssl_verifies(cloudauth, identities, tmp_path, kind):
    who = identities(kind, 1)
    explained = cloudauth.json(*arguments(who, "--intermediates", who.chain_file, "--explain"))
    (tmp_path / "to-sign").write_text(explained["string_to_sign"], newline="")
    (tmp_path / "signature").write_bytes(bytes.fromhex(explained["signature"]))
    verdict = support.openssl(
        "dgst", "-sha256", "-verify", who.public_key_file,
        "-signature", tmp_path / "signature", tmp_path / "to-sign",
    )  # fmt: skip
    assert verdict == b"Verified OK\n"


def test_ecdsa_signatures_differ_in_length_and_hold(cloudauth, identities):
    """DER drops leading zeros of r and s: many signatures, so that short ones are among them."""
    who = identities("p-256")
    lengths = set()
    for _ in range(150):
        explained = cloudauth.json(*arguments(who, "--explain"))
        signature = bytes.fromhex(explained["signature"])
        lengths.add(len(signature))
        verify(who.key, signature, explained["string_to_sign"].encode())
    assert len(lengths) > 1


SERIALS = [1, 127, 128, 255, 2**63, 2**64, 2**152 - 1, 2**158 + 1, 2**159 - 1]


@pytest.mark.parametrize("serial", SERIALS)
def test_serials(cloudauth, tmp_path, keys, serial):
    """Up to 20 octets, the most that RFC 5280 allows."""
    who = support.identity(tmp_path / "id", "p-256", key=keys("p-256"), serial=serial)
    request = check_against_package(cloudauth, who)
    assert f" Credential={serial}/" in request.headers["Authorization"]


def test_serial_of_20_full_octets(cloudauth, tmp_path, keys):
    """160 bits: DER puts a zero octet before them, which is no part of the number."""
    who = support.identity(tmp_path / "id", "p-256", key=keys("p-256"))
    who.certificate_file.unlink()
    support.openssl(
        "req", "-x509", "-new", "-key", who.folder / "key.pem", "-subj", "/CN=leaf",
        "-set_serial", "0x" + 20 * "ff", "-days", "3", "-out", who.certificate_file,
    )  # fmt: skip
    # openssl's certificate begins now, so this one is signed now, not at the fixed time.
    args = [a for a in arguments(who) if a not in ("--time", support.TIME)]
    authorization = Handler(cloudauth.bytes(*args)).headers["Authorization"]
    assert f" Credential={2**160 - 1}/" in authorization


@pytest.mark.parametrize("digest", [hashes.SHA384(), hashes.SHA512()])
@pytest.mark.parametrize("kind", ["rsa-2048", "p-384"])
def test_issuer_hash_does_not_matter(cloudauth, tmp_path, keys, kind, digest):
    who = support.identity(tmp_path / "id", kind, key=keys(kind), digest=digest)
    args = arguments(who)
    request = Handler(cloudauth.bytes(*args))
    explained = cloudauth.json(*args, "--explain")
    signer, _ = their_signature(who, request)
    assert explained["canonical_request"] == signer.canonical
    algorithm = "AWS4-X509-RSA-SHA256" if kind == "rsa-2048" else "AWS4-X509-ECDSA-SHA256"
    assert explained["string_to_sign"].split("\n")[1:] == signer.to_sign.split("\n")[1:]
    assert explained["string_to_sign"].split("\n")[0] == algorithm
    signature = bytes.fromhex(request.headers["Authorization"].split("Signature=")[1])
    verify(who.key, signature, explained["string_to_sign"].encode())


def their_parameters(who, named, **options):
    """The body that the package sends."""
    session = IAMRolesAnywhereSession(
        profile_arn=named["profileArn"],
        role_arn=named["roleArn"],
        trust_anchor_arn=named["trustAnchorArn"],
        certificate=str(who.certificate_file),
        private_key=str(who.folder / "key.pem"),
        region="eu-central-1",
        **options,
    )
    return session._build_session_request_body()


def our_parameters(request):
    """Query and body together: the service takes the ARNs in either."""
    path, _, query = request.path.partition("?")
    assert path == "/sessions"
    in_query = urllib.parse.parse_qsl(query, keep_blank_values=True, strict_parsing=True)
    assert [name for name, _ in in_query] == ["profileArn", "roleArn", "trustAnchorArn"]

    def distinct(pairs):
        assert len({name for name, _ in pairs}) == len(pairs)
        return dict(pairs)

    body = json.loads(request.body, object_pairs_hook=distinct)
    assert body.keys().isdisjoint(dict(in_query))
    return {**dict(in_query), **body}


@pytest.mark.parametrize(
    "options, theirs",
    [
        ([], {}),
        (["--session-duration", "900"], {"session_duration": 900}),
        (["--session-duration", "43200"], {"session_duration": 43200}),
        (["--role-session-name", "a session"], {"role_session_name": "a session"}),
        (["--role-session-name", "ab_+=,.@-"], {"role_session_name": "ab_+=,.@-"}),
        (["--role-session-name", "x" * 64], {"role_session_name": "x" * 64}),
        (
            ["--instance-property", "Name=Worker 1", "--instance-property", "Note=a=b"],
            {"instance_properties": {"Name": "Worker 1", "Note": "a=b"}},
        ),
        (
            ["--instance-property", 'Quote="\\/', "--instance-property", "Ünï=日本\n\t\x7f😀", "--instance-property", "e="],
            {"instance_properties": {"Quote": '"\\/', "Ünï": "日本\n\t\x7f😀", "e": ""}},
        ),
        (
            ["--role-session-name", "both", "--session-duration", "1800", "--instance-property", "a=1"],
            {"role_session_name": "both", "session_duration": 1800, "instance_properties": {"a": "1"}},
        ),
    ],
)
def test_parameters(cloudauth, identities, options, theirs):
    who = identities("p-256")
    request = check_against_package(cloudauth, who, *options)
    assert our_parameters(request) == their_parameters(who, arns(), **theirs)


def test_certificate_in_the_body(cloudauth, identities):
    who = identities("rsa-2048")
    request = check_against_package(cloudauth, who, "--certificate-in-body")
    parameters = our_parameters(request)
    der = base64.b64decode(parameters.pop("cert"), validate=True)
    assert der == support.cert_der(who.certificate)
    assert parameters == their_parameters(who, arns())


def test_one_date(cloudauth, identities):
    request = Handler(cloudauth.bytes(*arguments(identities("p-256"))))
    assert request.headers["X-Amz-Date"] == support.NOW.strftime("%Y%m%dT%H%M%SZ")
    assert "Date" not in request.headers


def regions():
    return [
        (partition, region)
        for partition in PARTITIONS
        for region in SESSION.get_available_regions("rolesanywhere", partition_name=partition)
    ]


def their_host(region):
    client = SESSION.client(
        "rolesanywhere", region_name=region, aws_access_key_id="x", aws_secret_access_key="x"
    )
    return urllib.parse.urlsplit(client.meta.endpoint_url).netloc


@pytest.mark.parametrize("partition, region", regions())
def test_regional_hosts(cloudauth, identities, partition, region):
    named = arns(region, partition)
    request = Handler(cloudauth.bytes(*arguments(identities("p-256"), named=named)))
    assert request.headers["Host"] == their_host(region)
    assert f"/20261122/{region}/rolesanywhere/" in request.headers["Authorization"]


def test_every_partition_has_regions():
    assert {partition for partition, _ in regions()} >= set(PARTITIONS)


@pytest.mark.parametrize("partition, region", [("aws", "us-east-2"), ("aws-cn", "cn-north-1"), ("aws-us-gov", "us-gov-west-1")])
def test_signed_for_the_region(cloudauth, identities, partition, region):
    named = arns(region, partition)
    check_against_package(cloudauth, identities("rsa-2048"), region=region, named=named)


def test_region_option_overrides(cloudauth, identities):
    who = identities("rsa-2048")
    request = check_against_package(cloudauth, who, "--region", "us-west-2", region="us-west-2")
    assert request.headers["Host"] == their_host("us-west-2")


@pytest.mark.parametrize("given", ["127.0.0.1:8080", "https://127.0.0.1:8080", "https://127.0.0.1:8080/"])
def test_endpoint_option(cloudauth, identities, given):
    request = check_against_package(cloudauth, identities("rsa-2048"), "--endpoint", given)
    assert request.headers["Host"] == "127.0.0.1:8080"
