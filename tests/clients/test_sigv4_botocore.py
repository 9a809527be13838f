"""`cloudauth aws sign` beside botocore: the same request, clock and credentials.

Where inputs are chosen so that the two can be compared:
- botocore signs a query as it is written, cloudauth brings it into canonical form first. Queries here
  are written in canonical encoding (upper-case hexadecimal, %20 for a space, %2B for a plus, %3D for an
  equals sign in a value), in any order, and without empty pairs (`a=1&&b=2`), of which botocore makes a
  nameless parameter.
- botocore signs `Date` in place of `X-Amz-Date` when the request has one. No request here has one.
- botocore keeps the first of repeated keys when it presigns, and moves a body into the query. Presigned
  requests here have neither.
- Where cloudauth sides with AWS's SDK for Rust against botocore, test_known_differences says how.
"""

import hashlib
import http.client
import io
import json
import random
import urllib.parse

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.config import Config
from botocore.credentials import Credentials

import support

ACCESS_KEY = "AKIDEXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TOKEN = "IQoJb3JpZ2luX2VjEJr//////////wEaCXVzLWVhc3QtMSJHMEUCIQD+a/b=c=="
HOST = "example.amazonaws.com"
ISO = "%Y-%m-%dT%H:%M:%SZ"


@pytest.fixture(autouse=True)
def botocore_clock(monkeypatch):
    naive = support.NOW.replace(tzinfo=None)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda remove_tzinfo=True: naive)


class Recorded:
    """Keeps what a botocore signer computes on its way."""

    def canonical_request(self, request):
        self.canonical = super().canonical_request(request)
        return self.canonical

    def string_to_sign(self, request, canonical_request):
        self.to_sign = super().string_to_sign(request, canonical_request)
        return self.to_sign


class Header(Recorded, botocore.auth.SigV4Auth):
    pass


class S3Header(Recorded, botocore.auth.S3SigV4Auth):
    pass


class Query(Recorded, botocore.auth.SigV4QueryAuth):
    pass


class S3Query(Recorded, botocore.auth.S3SigV4QueryAuth):
    pass


def sign_theirs(signer, method, target, headers, body, *, service, region, token, unsigned, **options):
    every = HTTPHeaders()
    for name, value in headers:
        every[name] = value  # adds: a repeated name stays repeated
    host = every["Host"]
    request = AWSRequest(method=method, url=f"https://{host}{target}", data=body)
    request.headers = every
    if unsigned:
        request.context["payload_signing_enabled"] = False
        request.context["client_config"] = Config(s3={"payload_signing_enabled": False})
    auth = signer(Credentials(ACCESS_KEY, SECRET, token), service, region, **options)
    auth.add_auth(request)
    return auth, request


def raw(method, target, headers, body, line_end="\r\n"):
    lines = [f"{method} {target} HTTP/1.1", *(f"{n}: {v}" for n, v in headers), "", ""]
    return line_end.join(lines).encode() + body


def environment(token):
    env = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
    return {**env, "AWS_SESSION_TOKEN": token} if token else env


def arguments(service, region, *options, time=support.TIME):
    where = ("--request", "-", "--region", region, "--service", service)
    return ("aws", "sign", *where, "--time", time, *options)


def parse(written):
    """A request as Python's http package reads it: request line, headers, body."""
    stream = io.BytesIO(written)
    line = stream.readline().decode().rstrip("\r\n")
    headers = http.client.parse_headers(stream)
    assert not headers.defects
    utf8 = [(n.lower(), v.encode("latin-1").decode()) for n, v in headers.items()]
    return line, utf8, stream.read()


def compare_header(
    cloudauth, method="GET", target="/", headers=(), body=b"", *options,
    service="service", region="us-east-1", token=None, unsigned=False, whole=True, line_end="\r\n",
):
    """Signs in headers with both and compares all that can be seen of it."""
    headers = [("Host", HOST), *headers]
    auth, request = sign_theirs(
        S3Header if service == "s3" else Header, method, target, headers, body,
        service=service, region=region, token=token, unsigned=unsigned,
    )
    if unsigned:
        options = ("--unsigned-payload", "--content-sha256-header", *options)
    stdin = raw(method, target, headers, body, line_end)
    args = arguments(service, region, *options)
    explained = cloudauth.json(*args, "--explain", stdin=stdin, env=environment(token))
    assert explained["canonical_request"] == auth.canonical
    assert explained["string_to_sign"] == auth.to_sign
    assert explained["authorization"] == request.headers["Authorization"]
    assert explained["signature"] == request.headers["Authorization"].rsplit("Signature=", 1)[1]
    if not whole:
        return
    line, ours, written_body = parse(cloudauth.bytes(*args, stdin=stdin, env=environment(token)))
    assert line == f"{method} {target} HTTP/1.1"
    assert written_body == body
    theirs = [(name.lower(), value) for name, value in request.headers.items()]
    # The order of repeated headers matters, that of the others does not.
    assert sorted(ours, key=lambda h: h[0]) == sorted(theirs, key=lambda h: h[0])


def compare_query(
    cloudauth, method="GET", target="/", headers=(), *options,
    service="service", region="us-east-1", token=None, expires=3600,
):
    """Presigns with both and compares."""
    headers = [("Host", HOST), *headers]
    auth, request = sign_theirs(
        S3Query if service == "s3" else Query, method, target, headers, b"",
        service=service, region=region, token=token, unsigned=False, expires=expires,
    )
    stdin = raw(method, target, headers, b"")
    args = arguments(service, region, "--presign", "--expires", str(expires), *options)
    explained = cloudauth.json(*args, "--explain", stdin=stdin, env=environment(token))
    assert explained["canonical_request"] == auth.canonical
    assert explained["string_to_sign"] == auth.to_sign
    assert explained["url"] == request.url
    assert explained["signature"] == request.url.rsplit("X-Amz-Signature=", 1)[1]
    line, ours, _ = parse(cloudauth.bytes(*args, stdin=stdin, env=environment(token)))
    url = urllib.parse.urlsplit(request.url)
    assert line == f"{method} {url.path}?{url.query} HTTP/1.1"
    assert ours == [(name.lower(), value) for name, value in headers]


@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE", "HEAD", "PATCH"])
@pytest.mark.parametrize("body", [b"", b'{"TableName": "t"}', bytes(range(256))])
def test_methods_and_bodies(cloudauth, method, body):
    compare_header(cloudauth, method, "/", [("Content-Type", "application/octet-stream")], body)


@pytest.mark.parametrize(
    "query",
    [
        "Action=ListUsers&Version=2010-05-08",
        "b=2&a=1",
        "a=2&a=1&a=10&a=",
        "acl",
        "a=&b&c=3",
        "a=b%3Dc&d=%3D",
        "b=1&B=1&a=1&A=1&_=1&-=1&.=1&~=1&0=1",
        "a%20b=c%20d&a%2Fb=%2F&a-b=1&ab=1",
        "ab=1&a%21=1&a=%21&a=-",
        "%E1%88%B4=bar&%C3%BC=%F0%9F%98%80",
        "x=%2B%25%26%3D%3B%23",
        "list-type=2&prefix=a%2Fb%2F&delimiter=%2F&continuation-token=1ueGcxLPRx1Tr%2FXYExHnhbYLgveDs2J%3D%3D",
        "&".join(f"key{i % 97}={i}" for i in range(300)),
    ],
)
def test_queries(cloudauth, query):
    compare_header(cloudauth, "GET", f"/?{query}")


PATHS = [
    "/",
    "//",
    "/a",
    "/a/",
    "/a//b///c",
    "/a/./b",
    "/a/../b",
    "/a/b/../../..",
    "/./",
    "/../../a",
    "/.../..a/a..",
    "/a%20b",
    "/a%2Fb%2fc",
    "/%E1%88%B4/%C3%BC",
    "/~user/-._",
    "/a+b@c:d=e;f,g!h$i&j'k(l)m*n",
    "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Afunction%3Af/invocations",
    "/%2e%2e/a/%2E/b",
    "/a%",
    "/" + "long/" * 500,
]


@pytest.mark.parametrize("path", PATHS)
def test_paths(cloudauth, path):
    compare_header(cloudauth, "GET", path)
    compare_header(cloudauth, "GET", f"{path}?x=1&x=0", whole=False)


@pytest.mark.parametrize("path", PATHS)
def test_s3_paths_stay_as_they_are(cloudauth, path):
    compare_header(cloudauth, "GET", path, service="s3")


@pytest.mark.parametrize(
    "headers",
    [
        [("My-Header1", "a   b   c")],
        [("My-Header1", 'a  "b   c"  d')],
        [("X-Many", "b"), ("X-Many", "a"), ("x-many", "c")],
        [("X-Many", "1, 2"), ("Other", "x"), ("X-MANY", "3  4")],
        [("X-Empty", "")],
        [("x-b", "1"), ("x-a", "2"), ("x", "3"), ("X-B-C", "4"), ("x-B.c", "5"), ("x_b", "6")],
        [("X-Utf8", "grün 日本")],
        [("X-Amz-Meta-Json", '{"a": [1, 2]}'), ("X-Amz-Target", "DynamoDB_20120810.ListTables")],
        [("Content-Type", "application/x-amz-json-1.0"), ("Accept", "*/*"), ("Accept-Encoding", "identity")],
        # Headers that neither of the two signs.
        [("User-Agent", "test/1.0"), ("X-Amzn-Trace-Id", "Root=1-5759e988-bd862e3fe1be46a994272793")],
        # A request that was signed before: the old signature goes away.
        [("X-Amz-Date", "20150830T123600Z"), ("Authorization", "AWS4-HMAC-SHA256 old")],
        [(f"X-Header-{i * 37 % 97}", str(i)) for i in range(90)],
    ],
)
@pytest.mark.parametrize("line_end", ["\r\n", "\n"])
def test_headers(cloudauth, headers, line_end):
    compare_header(cloudauth, "GET", "/", headers, line_end=line_end)


@pytest.mark.parametrize("value", [" a", "a  ", "\ta\t", "  a  b \t"])
def test_white_space_around_a_header_value(cloudauth, value):
    """It is no part of the value (RFC 9110, section 5.5); cloudauth does not write it again."""
    compare_header(cloudauth, "GET", "/", [("X-Note", value)], whole=False)


def test_many_headers(cloudauth):
    headers = [(f"X-Header-{i * 37 % 997}", str(i)) for i in range(1000)]
    compare_header(cloudauth, "GET", "/", headers, whole=False)


@pytest.mark.parametrize("host", ["h", "example.amazonaws.com:8443", "127.0.0.1:9000", "[::1]:8080"])
def test_hosts(cloudauth, host):
    auth, request = sign_theirs(
        Header, "GET", "/", [("Host", host)], b"",
        service="service", region="us-east-1", token=None, unsigned=False,
    )
    stdin = raw("GET", "/", [("Host", host)], b"")
    args = arguments("service", "us-east-1", "--explain")
    explained = cloudauth.json(*args, stdin=stdin, env=environment(None))
    assert explained["canonical_request"] == auth.canonical
    assert explained["authorization"] == request.headers["Authorization"]


@pytest.mark.parametrize("service", ["service", "s3", "dynamodb", "execute-api"])
def test_session_token(cloudauth, service):
    compare_header(cloudauth, "GET", "/x?y=z", service=service, token=TOKEN)
    old = [("X-Amz-Security-Token", "an older one")]
    compare_header(cloudauth, "GET", "/x", old, service=service, token=TOKEN)


def test_form_body(cloudauth):
    fields = {"Action": "SendMessage", "MessageBody": "grün & blau = 日本", "Version": "2012-11-05"}
    body = urllib.parse.urlencode(fields).encode()
    form = "application/x-www-form-urlencoded; charset=utf-8"
    headers = [("Content-Type", form), ("Content-Length", str(len(body)))]
    compare_header(cloudauth, "POST", "/", headers, body, service="sqs", region="eu-central-1")


STS_BODY = (
    b"Action=AssumeRole&DurationSeconds=3600&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fdemo"
    b"&RoleSessionName=mysession&Version=2011-06-15"
)


# The signatures were computed by botocore 1.44.5 and by the Go SDK for one recorded request.
@pytest.mark.parametrize(
    "with_length, signature",
    [
        (False, "250785b324c1e0326ba211b1ca757444fe61872d1cdc0b8a3ef8a17a04ab8e56"),
        (True, "934117b32803827f3668b747b656a811abf977c374a3bcb9781a182aa85f04a4"),
    ],
)
def test_sts_vector(cloudauth, with_length, signature):
    headers = [
        ("Host", "sts.amazonaws.com"),
        ("Content-Type", "application/x-www-form-urlencoded"),
    ]
    if with_length:
        headers.append(("Content-Length", str(len(STS_BODY))))
    args = arguments("sts", "us-east-1", "--explain", time="2015-08-30T12:36:00Z")
    explained = cloudauth.json(
        *args, stdin=raw("POST", "/", headers, STS_BODY), env=environment(None)
    )
    assert explained["signature"] == signature
    names = "content-length;" * with_length + "content-type;host;x-amz-date"
    assert explained["authorization"] == (
        f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/20150830/us-east-1/sts/aws4_request, "
        f"SignedHeaders={names}, Signature={signature}"
    )


def test_sts_post(cloudauth):
    headers = [("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")]
    compare_header(cloudauth, "POST", "/", headers, STS_BODY, service="sts")
    compare_header(cloudauth, "POST", "/", headers, STS_BODY, service="sts", token=TOKEN)


@pytest.mark.parametrize("body", [b"", b"content of an object", b"x" * 300_000])
@pytest.mark.parametrize("unsigned", [False, True])
def test_s3(cloudauth, body, unsigned):
    headers = [
        ("Content-Length", str(len(body))),
        ("Content-Type", "text/plain"),
        ("x-amz-storage-class", "STANDARD_IA"),
        ("x-amz-meta-note", "two  spaces"),
    ]
    target = "/bucket/a%20folder/../%C3%BC//obj?partNumber=1&uploadId=VCVsb2FkIElEIGZvciBl"
    compare_header(cloudauth, "PUT", target, headers, body, service="s3", unsigned=unsigned)
    hashed = "UNSIGNED-PAYLOAD" if unsigned else hashlib.sha256(body).hexdigest()
    stdin = raw("PUT", target, [("Host", HOST), *headers], body)
    options = ["--unsigned-payload"] if unsigned else []
    written = cloudauth.bytes(
        *arguments("s3", "us-east-1", *options), stdin=stdin, env=environment(None)
    )
    assert ("x-amz-content-sha256", hashed) in parse(written)[1]


@pytest.mark.parametrize(
    "value", ["UNSIGNED-PAYLOAD", hashlib.sha256(b"content").hexdigest()]
)
def test_payload_hash_header_of_the_request_itself(cloudauth, value):
    """A service takes the payload's hash from this header: it must stand in the canonical request too."""
    headers = [("X-Amz-Content-Sha256", value)]
    compare_header(cloudauth, "PUT", "/x", headers, b"content", service="glacier")


def test_unsigned_payload_of_other_services(cloudauth):
    compare_header(cloudauth, "PUT", "/x", [], b"content", service="glacier", unsigned=True)
    compare_header(cloudauth, "PUT", "/x", [], b"content", service="vpc-lattice-svcs", unsigned=True, token=TOKEN)


QUERY_TARGETS = [
    "/",
    "/?",
    "/a/../b/./c//d",
    "/a%20b/%C3%BC?Action=GetCallerIdentity&Version=2011-06-15",
    "/?X=%20%2B%2F&b=&a=1&a-b=%E1%88%B4",
    "/?x-amz-meta=1&zz=1&X-Amz-A=0&Z=1",
]


@pytest.mark.parametrize("target", QUERY_TARGETS)
@pytest.mark.parametrize("service", ["service", "s3"])
@pytest.mark.parametrize("token", [None, TOKEN])
def test_presigned(cloudauth, target, service, token):
    if target == "/?":  # An empty query: urlsplit cannot see it.
        target = "/"
    compare_query(cloudauth, "GET", target, service=service, token=token)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD"])
@pytest.mark.parametrize("service", ["service", "s3"])
def test_presigned_with_headers(cloudauth, method, service):
    headers = [("X-Amz-Acl", "private"), ("Content-Type", "text/plain"), ("X-Note", "a   b")]
    compare_query(cloudauth, method, "/key%20name?versionId=3", headers, service=service)


@pytest.mark.parametrize("expires", [1, 60, 604800])
def test_presigned_expiry(cloudauth, expires):
    compare_query(cloudauth, expires=expires, service="sts", region="us-gov-west-1")


def test_presigned_cluster_token(cloudauth):
    """The request inside an EKS token, which the STS of a region checks."""
    headers = [("x-k8s-aws-id", "my-cluster")]
    target = "/?Action=GetCallerIdentity&Version=2011-06-15"
    compare_query(cloudauth, "GET", target, headers, service="sts", region="eu-west-1", expires=60)


@pytest.mark.parametrize("region", ["us-east-1", "cn-north-1", "us-gov-west-1", "ap-southeast-5"])
def test_regions(cloudauth, region):
    compare_header(cloudauth, service="ec2", region=region, whole=False)


def random_request(source):
    text = "abzAZ019-._~ /+%=&?#:@!$'()*,;<>[]{}|\"\\^`üß日😀\u00a0"

    def word(longest):
        return "".join(source.choice(text) for _ in range(source.randrange(longest)))

    def quoted(longest):
        return urllib.parse.quote(word(longest), safe="-_.~")

    segments = [source.choice([quoted(6), ".", "..", "", "a"]) for _ in range(source.randrange(6))]
    segments.append(source.choice([quoted(6).strip(".") + "z", "z/"]))
    names = [quoted(4) or "n" for _ in range(3)]
    pairs = [f"{source.choice(names)}={quoted(5)}" for _ in range(source.randrange(6))]
    target = "/" + "/".join(segments) + ("?" + "&".join(pairs) if pairs else "")
    headers = []
    for _ in range(source.randrange(5)):
        value = "".join(source.choice("ab Z9 ,;:=\"'/üß") for _ in range(source.randrange(12)))
        headers.append((source.choice(["X-A", "x-a", "X-Amz-Meta-B", "x", "X_1", "Content-Type"]), value))
    method = source.choice(["GET", "PUT", "POST", "DELETE", "PATCH"])
    return method, target, headers, source.randbytes(source.randrange(40))


@pytest.mark.parametrize("seed", range(120))
def test_random_requests(cloudauth, seed):
    source = random.Random(seed)
    method, target, headers, body = random_request(source)
    service = source.choice(["service", "s3", "iam"])
    token = source.choice([None, TOKEN])
    compare_header(cloudauth, method, target, headers, body, service=service, token=token, whole=False)
    # Presigning: no body and no repeated keys (see above).
    path, _, query = target.partition("?")
    unique = {pair.partition("=")[0]: pair for pair in query.split("&")}
    target = path + ("?" + "&".join(unique.values()) if query else "")
    compare_query(cloudauth, method, target, service=service, token=token)


# What botocore does otherwise, and cloudauth's answer.
DIFFERENCES = {
    # RFC 3986, section 5.2.4: what ends in a dot segment ends in a slash.
    "trailing dot": ("/a/.", [], ("\n/a/\n", "\n/a\n")),
    "trailing dots": ("/a/b/..", [], ("\n/a/\n", "\n/a\n")),
    # The query in canonical encoding, whatever encoding it comes in.
    "equals sign": ("/?a=b=c", [], ("\na=b%3Dc\n", "\na=b=c\n")),
    "lower-case hexadecimal": ("/?a=%2f", [], ("\na=%2F\n", "\na=%2f\n")),
    "encoded without need": ("/?a=%41", [], ("\na=A\n", "\na=%41\n")),
    "nameless pair": ("/?b=1&&a=1", [], ("\na=1&b=1\n", "\n=&a=1&b=1\n")),
    # Only spaces are folded inside a value, not tabs.
    "tab": ("/", [("X-A", "a \t  b")], ("x-a:a \t b\n", "x-a:a b\n")),
    # Hop-by-hop and tracing headers are signed like any other.
    "connection": ("/", [("Connection", "close")], ("connection:close\n", None)),
    "expect": ("/", [("Expect", "100-continue")], ("expect:100-continue\n", None)),
    "traceparent": ("/", [("traceparent", "00-1-2-01")], ("traceparent:00-1-2-01\n", None)),
}


@pytest.mark.parametrize("which", DIFFERENCES)
def test_known_differences(cloudauth, which):
    target, headers, (ours, theirs) = DIFFERENCES[which]
    headers = [("Host", HOST), *headers]
    auth, _ = sign_theirs(
        Header, "GET", target, headers, b"",
        service="service", region="us-east-1", token=None, unsigned=False,
    )
    stdin = raw("GET", target, headers, b"")
    args = arguments("service", "us-east-1", "--explain")
    canonical = cloudauth.json(*args, stdin=stdin, env=environment(None))["canonical_request"]
    assert ours in canonical
    assert theirs is None or theirs in auth.canonical
    # Nothing but that differs.
    if theirs is not None:
        assert canonical.replace(ours, theirs) == auth.canonical
    else:
        name = ours.partition(":")[0]
        names = canonical.splitlines()[-2].split(";")
        names.remove(name)
        lines = canonical.replace(ours, "").splitlines()
        assert "\n".join([*lines[:-2], ";".join(names), lines[-1]]) == auth.canonical


def test_secret_from_a_file(cloudauth, tmp_path):
    """The same signature when the secret comes from a file, with an editor's line end or without."""
    stdin = raw("GET", "/", [("Host", HOST)], b"")
    args = arguments("service", "us-east-1", "--explain")
    expected = cloudauth.json(*args, stdin=stdin, env=environment(None))
    for number, end in enumerate(["", "\n", "\r\n"]):
        file = support.private_file(tmp_path / f"secret{number}", SECRET + end)
        options = ("--key", f"file:{file}", "--access-key-id", ACCESS_KEY)
        assert cloudauth.json(*args, *options, stdin=stdin) == expected


def test_request_from_a_file(cloudauth, tmp_path):
    stdin = raw("GET", "/a?b", [("Host", HOST)], b"")
    file = tmp_path / "request.http"
    file.write_bytes(stdin)
    args = arguments("service", "us-east-1")
    expected = cloudauth.bytes(*args, stdin=stdin, env=environment(None))
    from_file = [str(file) if a == "-" else a for a in args]
    assert cloudauth.bytes(*from_file, env=environment(None)) == expected


def test_explain_is_json_of_the_documented_members(cloudauth):
    stdin = raw("GET", "/", [("Host", HOST)], b"")
    args = arguments("service", "us-east-1", "--explain")
    common = {"canonical_request", "string_to_sign", "signature"}
    header = cloudauth.text(*args, stdin=stdin, env=environment(None))
    assert json.loads(header).keys() == common | {"authorization"}
    query = cloudauth.text(*args, "--presign", stdin=stdin, env=environment(None))
    assert json.loads(query).keys() == common | {"url"}
    assert SECRET not in header + query
