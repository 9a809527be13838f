"""`cloudauth aws assume-role` and its siblings: the same requests as botocore's, octet for octet, and
requests that a live moto answers. moto is a server on the loopback interface that checks signatures.
"""

import http.client
import io
import json
import logging
import socket
import urllib.parse
import xml.etree.ElementTree as ElementTree

import boto3
import botocore.auth
import pytest

import support
from test_bad_input import CREDENTIALS, INPUT, KEY, SECRET, USAGE, refused  # noqa: F401
from test_roles_anywhere import Handler

ACCESS_KEY = CREDENTIALS["AWS_ACCESS_KEY_ID"]
TOKEN = "IQoJb3JpZ2luX2VjEJr//////////wEaCXVzLWVhc3QtMSJHMEUCIQD+a/b=c=="
WEB_TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJyb2JvdCJ9.c2lnbmF0dXJl_-~+/="
ROLE = "arn:aws:iam::123456789012:role/path/to/a-role+=,.@_x"
SESSION = boto3.session.Session()
REGION = "eu-central-1"


# Beside botocore


@pytest.fixture(autouse=True)
def botocore_clock(monkeypatch):
    naive = support.NOW.replace(tzinfo=None)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda remove_tzinfo=True: naive)


class Captured(Exception):
    pass


def theirs(action, parameters, region=REGION, token=None, endpoint=None):
    """The request that botocore would send."""

    def capture(request, **kwargs):
        raise Captured(request)

    client = SESSION.client(
        "sts",
        region_name=region,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET,
        aws_session_token=token,
        endpoint_url=endpoint,
    )
    client.meta.events.register("before-send.sts", capture)
    with pytest.raises(Captured) as captured:
        getattr(client, action)(**parameters)
    return captured.value.args[0]


def environment(token=None):
    return {**CREDENTIALS, "AWS_SESSION_TOKEN": token} if token else CREDENTIALS


def compare(cloudauth, command, options, action, parameters, *, region=REGION, token=None, endpoint=None):
    """Runs the program and compares all that botocore's request says; gives our request."""
    args = ("aws", command, "--dry-run", "--time", support.TIME, "--region", region, *options)
    env = {} if command == "web-identity" else environment(token)
    ours = Handler(cloudauth.bytes(*args, env=env))
    expected = theirs(action, parameters, region, token, endpoint and f"https://{endpoint}")
    url = urllib.parse.urlsplit(expected.url)
    assert (ours.command, ours.path) == (expected.method, url.path) == ("POST", "/")
    assert ours.headers["Host"] == url.netloc
    body = expected.body if isinstance(expected.body, bytes) else expected.body.encode()
    assert ours.body == body
    own = {name.lower(): value for name, value in ours.headers.items()}
    sent = {}
    for name, value in expected.headers.items():
        value = value.decode() if isinstance(value, bytes) else value
        # What a client says about itself and its tries; botocore signs none of it.
        if not name.lower().startswith(("user-agent", "amz-sdk-")):
            sent[name.lower()] = value
    assert own.pop("host") and own.pop("accept", None) in (None, "application/json")
    assert own == sent
    if command == "web-identity":
        assert "authorization" not in own and "x-amz-date" not in own
    else:
        names = "content-type;host;x-amz-date" + (";x-amz-security-token" if token else "")
        assert f"/{region}/sts/aws4_request, SignedHeaders={names}, " in own["authorization"]
    assert own["content-type"] == "application/x-www-form-urlencoded; charset=utf-8"
    return ours


def assume_role(cloudauth, options=(), parameters=(), role=ROLE, name="robot-7", **kwargs):
    options = ("--role-arn", role, "--session-name", name, *options)
    parameters = {"RoleArn": role, "RoleSessionName": name, **dict(parameters)}
    return compare(cloudauth, "assume-role", options, "assume_role", parameters, **kwargs)


POLICY = '{"Version":"2012-10-17", "Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}\n'
PROVIDER = "arn:aws:iam::aws:contextProvider/IdentityCenter"

# In the order of the service's model, which is the order that we send. botocore sends the caller's.
PARAMETERS = [
    (
        ["--policy-arn", "arn:aws:iam::aws:policy/ReadOnlyAccess", "--policy-arn", "arn:aws-cn:iam::123456789012:policy/a/b+c"],
        {"PolicyArns": [{"arn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}, {"arn": "arn:aws-cn:iam::123456789012:policy/a/b+c"}]},
    ),
    (["--policy", "POLICY"], {"Policy": POLICY}),
    (["--duration", "900"], {"DurationSeconds": 900}),
    (
        ["--tag", "Cost Center=a+b=c", "--tag", "Ünï 日本=٣:/@-_", "--tag", "empty="],
        {"Tags": [{"Key": "Cost Center", "Value": "a+b=c"}, {"Key": "Ünï 日本", "Value": "٣:/@-_"}, {"Key": "empty", "Value": ""}]},
    ),
    (
        ["--transitive-tag-key", "Cost Center", "--transitive-tag-key", "Ünï 日本"],
        {"TransitiveTagKeys": ["Cost Center", "Ünï 日本"]},
    ),
    (["--external-id", "a_+=,.@:/-b"], {"ExternalId": "a_+=,.@:/-b"}),
    (
        ["--serial-number", "arn:aws:iam::123456789012:mfa/a+b", "--token-code", "012345"],
        {"SerialNumber": "arn:aws:iam::123456789012:mfa/a+b", "TokenCode": "012345"},
    ),
    (["--source-identity", "me@example.com"], {"SourceIdentity": "me@example.com"}),
    (
        ["--provided-context", f"{PROVIDER}=ASSERTION"],
        {"ProvidedContexts": [{"ProviderArn": PROVIDER, "ContextAssertion": "c29tZQ+/=="}]},
    ),
]  # fmt: skip


@pytest.fixture
def files(tmp_path):
    """Puts the names of files in place of POLICY and ASSERTION."""
    policy, assertion = tmp_path / "policy.json", tmp_path / "assertion"
    policy.write_text(POLICY, newline="")
    assertion.write_text("c29tZQ+/==\n")
    return lambda options: [
        o.replace("POLICY", str(policy)).replace("ASSERTION", str(assertion)) for o in options
    ]


@pytest.mark.parametrize("options, parameters", PARAMETERS, ids=lambda v: next(iter(v)) if isinstance(v, dict) else "")
def test_each_parameter_alone(cloudauth, files, options, parameters):
    assume_role(cloudauth, files(options), parameters)


@pytest.mark.parametrize("token", [None, TOKEN])
def test_all_parameters(cloudauth, files, token):
    options = [o for all, _ in PARAMETERS for o in files(all)]
    parameters = {name: value for _, some in PARAMETERS for name, value in some.items()}
    request = assume_role(cloudauth, options, parameters, token=token)
    sent = urllib.parse.parse_qsl(request.body.decode(), keep_blank_values=True, strict_parsing=True)
    assert len(sent) == len(dict(sent)) == 22
    # Without what is optional, nothing but what is required goes out.
    request = assume_role(cloudauth, token=token)
    sent = dict(urllib.parse.parse_qsl(request.body.decode(), strict_parsing=True))
    want = {"Action": "AssumeRole", "Version": "2011-06-15", "RoleArn": ROLE, "RoleSessionName": "robot-7"}
    assert sent == want


@pytest.mark.parametrize("name", ["ab", "_+=,.@-", "x" * 64])
def test_session_names(cloudauth, name):
    assume_role(cloudauth, name=name)


@pytest.mark.parametrize(
    "policy",
    ['{"a":"&+ %20~*\'()/?#[]@!$;,:=<>`|^"}', "{\t\r\n}", '{"é":"\u00ff\u00a0\u0085"}', '"&Action=x"', '"' + "x" * 2046 + '"',
     '"' + "ÿ" * 2046 + '"'],
)  # fmt: skip
def test_policies(cloudauth, tmp_path, policy):
    file = tmp_path / "policy"
    file.write_bytes(policy.encode())
    assume_role(cloudauth, ["--policy", file], {"Policy": policy})
    args = ("--role-arn", ROLE, "--session-name", "ab", "--region", REGION, "--policy", "-")
    sent = cloudauth.bytes("aws", "assume-role", "--dry-run", *args, stdin=policy.encode(), env=CREDENTIALS)
    form = urllib.parse.parse_qs(Handler(sent).body.decode(), strict_parsing=True)
    assert form["Policy"] == [policy]


@pytest.mark.parametrize("seconds", [900, 43200])
def test_durations(cloudauth, seconds):
    assume_role(cloudauth, ["--duration", seconds], {"DurationSeconds": seconds})


@pytest.mark.parametrize(
    "options, parameters",
    [
        ([], {}),
        (["--duration", "900"], {"DurationSeconds": 900}),
        (["--duration", "129600"], {"DurationSeconds": 129600}),
        (
            ["--serial-number", "GAHT12345678", "--token-code", "000000"],
            {"SerialNumber": "GAHT12345678", "TokenCode": "000000"},
        ),
        (
            ["--duration", "3600", "--serial-number", "arn:aws:iam::123456789012:mfa/u", "--token-code", "123456"],
            {"DurationSeconds": 3600, "SerialNumber": "arn:aws:iam::123456789012:mfa/u", "TokenCode": "123456"},
        ),
    ],
)
def test_session_token(cloudauth, options, parameters):
    compare(cloudauth, "session-token", options, "get_session_token", parameters)


@pytest.mark.parametrize("token", [None, TOKEN])
def test_caller_identity(cloudauth, token):
    compare(cloudauth, "caller-identity", [], "get_caller_identity", {}, token=token)


@pytest.mark.parametrize(
    "options, parameters",
    [
        ([], {}),
        (["--provider-id", "www.amazon.com"], {"ProviderId": "www.amazon.com"}),
        PARAMETERS[0],
        PARAMETERS[1],
        PARAMETERS[2],
        (
            ["--provider-id", "graph.facebook.com", *PARAMETERS[0][0], *PARAMETERS[1][0], *PARAMETERS[2][0]],
            {"ProviderId": "graph.facebook.com", **PARAMETERS[0][1], **PARAMETERS[1][1], **PARAMETERS[2][1]},
        ),
    ],
)
def test_web_identity(cloudauth, files, tmp_path, options, parameters):
    file = support.private_file(tmp_path / "token", WEB_TOKEN + "\n")
    options = ("--role-arn", ROLE, "--session-name", "robot-7", "--token-file", file, *files(options))
    parameters = {"RoleArn": ROLE, "RoleSessionName": "robot-7", "WebIdentityToken": WEB_TOKEN, **parameters}
    compare(cloudauth, "web-identity", options, "assume_role_with_web_identity", parameters)


def test_web_identity_from_the_environment(cloudauth, tmp_path):
    """The variables that Kubernetes sets for AWS's own tools."""
    file = support.private_file(tmp_path / "token", WEB_TOKEN)
    env = {
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(file), "AWS_ROLE_ARN": ROLE, "AWS_ROLE_SESSION_NAME": "robot-7",
        "AWS_REGION": REGION,
    }  # fmt: skip
    in_environment = cloudauth.bytes("aws", "web-identity", "--dry-run", env=env)
    options = ("--role-arn", ROLE, "--session-name", "robot-7", "--token-file", "-", "--region", REGION)
    in_options = cloudauth.bytes("aws", "web-identity", "--dry-run", *options, stdin=WEB_TOKEN.encode() + b"\r\n")
    assert in_environment == in_options
    # An option comes before a variable.
    other = cloudauth.bytes("aws", "web-identity", "--dry-run", "--session-name", "robot-8", env=env)
    assert other == in_environment.replace(b"robot-7", b"robot-8")


def test_region_variables(cloudauth):
    def host(**env):
        sent = cloudauth.bytes("aws", "caller-identity", "--dry-run", env={**CREDENTIALS, **env})
        return Handler(sent).headers["Host"]

    assert host(AWS_REGION="us-west-2", AWS_DEFAULT_REGION="us-east-1") == "sts.us-west-2.amazonaws.com"
    assert host(AWS_REGION="", AWS_DEFAULT_REGION="us-east-1") == "sts.us-east-1.amazonaws.com"


def test_secret_from_a_file(cloudauth, tmp_path):
    file = support.private_file(tmp_path / "secret", SECRET + "\n")
    args = ("aws", "caller-identity", "--dry-run", "--time", support.TIME, "--region", REGION)
    from_file = cloudauth.bytes(*args, "--access-key-id", ACCESS_KEY, "--key", f"file:{file}")
    assert from_file == cloudauth.bytes(*args, env=CREDENTIALS)


def test_accept_json(cloudauth):
    """The header is added; the signature stays the same as botocore's."""
    request = assume_role(cloudauth, ["--accept-json"])
    assert request.headers["Accept"] == "application/json"
    assert assume_role(cloudauth).headers["Accept"] is None


def test_output_json(cloudauth):
    args = ("aws", "caller-identity", "--dry-run", "--time", support.TIME, "--region", REGION)
    raw = Handler(cloudauth.bytes(*args, env=CREDENTIALS))
    request = cloudauth.json(*args, "--output", "json", env=CREDENTIALS)
    assert request["method"] == "POST" and request["url"] == f"https://{raw.headers['Host']}/"
    assert request["body"] == raw.body.decode()
    others = {n: v for n, v in raw.headers.items() if n not in ("Host", "Content-Length")}
    assert request["headers"] == others


def regions():
    return [
        (partition, region)
        for partition in SESSION.get_available_partitions()
        for region in SESSION.get_available_regions("sts", partition_name=partition)
    ]


@pytest.mark.parametrize("partition, region", regions())
def test_regional_hosts(cloudauth, partition, region):
    role = f"arn:{partition}:iam::123456789012:role/r"
    assume_role(cloudauth, role=role, region=region)


def test_every_partition_has_regions():
    assert {partition for partition, _ in regions()} >= {"aws", "aws-cn", "aws-us-gov"}


@pytest.mark.parametrize("endpoint, region", [("sts.amazonaws.com", "us-east-1"), ("127.0.0.1:5000", REGION)])
def test_endpoints(cloudauth, endpoint, region):
    assume_role(cloudauth, ["--endpoint", endpoint], region=region, endpoint=endpoint)
    assume_role(cloudauth, ["--endpoint", f"https://{endpoint}/"], region=region, endpoint=endpoint)


# What is refused


def arguments(command, **changes):
    given = {"region": REGION, "time": support.TIME}
    if command in ("assume-role", "web-identity"):
        given |= {"role-arn": ROLE, "session-name": "robot-7"}
    given |= changes
    named = [part for name, value in given.items() if value is not None for part in (f"--{name}", value)]
    return ("aws", command, "--dry-run", *named)


@pytest.fixture
def token_file(tmp_path):
    return support.private_file(tmp_path / "token", WEB_TOKEN)


SHARED = [
    ({"role-arn": ""}, "role ARN"),
    ({"role-arn": "R"}, "role ARN"),
    ({"role-arn": "arn:aws:iam::123456789012:user/U"}, "role ARN"),
    ({"role-arn": "arn:aws:iam::123456789012:role/R\r\nX: y"}, "role ARN"),
    ({"role-arn": "arn:aws:iam:us-east-1:123456789012:role/R"}, "role ARN"),
    ({"session-name": ""}, "role session name"),
    ({"session-name": "x"}, "role session name"),
    ({"session-name": "x" * 65}, "role session name"),
    ({"session-name": "a b"}, "role session name"),
    ({"session-name": "a&Policy=b"}, "role session name"),
    ({"session-name": "ünï"}, "role session name"),
    ({"duration": "899"}, "session duration"),
    ({"duration": "43201"}, "session duration"),
    ({"policy-arn": "ReadOnlyAccess"}, "policy ARN"),
    ({"policy-arn": "arn:aws:iam::aws:role/R"}, "policy ARN"),
    ({"region": ""}, "region"),
    ({"region": "EU"}, "region"),
    ({"region": "evil.example/"}, "region"),
    ({"endpoint": ""}, "endpoint"),
    ({"endpoint": "evil.example/#path"}, "endpoint"),
    ({"endpoint": "http://10.0.0.1:5000"}, ["endpoint", "loopback"]),
    ({"policy": "/nowhere/policy.json"}, "/nowhere/policy.json"),
]


@pytest.mark.parametrize("changes, names", SHARED)
def test_bad_parameter_of_both_ways_to_a_role(refused, token_file, changes, names):  # noqa: F811
    refused(INPUT, names, *arguments("assume-role", **changes), env=CREDENTIALS)
    args = arguments("web-identity", **{"token-file": token_file, **changes})
    refused(INPUT, names, *args, secrets={WEB_TOKEN})


@pytest.mark.parametrize(
    "changes, names",
    [
        ({"endpoint": "sts.amazonaws.com"}, ["endpoint", "us-east-1"]),
        ({"endpoint": "sts.us-west-2.amazonaws.com"}, ["endpoint", "another region"]),
        ({"tag": "no equals sign"}, ["session tag", "KEY=VALUE"]),
        ({"tag": "=value"}, "session tag"),
        ({"tag": "a&b=1"}, "session tag"),
        ({"tag": "aws:x=1"}, ["session tag", "aws:"]),
        ({"tag": "a=1*"}, "session tag"),
        ({"tag": "k=" + "x" * 257}, "session tag"),
        ({"tag": "k" * 129 + "="}, "session tag"),
        ({"transitive-tag-key": ""}, "transitive tag key"),
        ({"external-id": "x"}, "external id"),
        ({"external-id": "x" * 1225}, "external id"),
        ({"external-id": "a b"}, "external id"),
        ({"source-identity": "x"}, "source identity"),
        ({"source-identity": "aws:me"}, "source identity"),
        ({"serial-number": "GAHT12345678"}, "token code"),
        ({"token-code": "123456"}, "serial number"),
        ({"serial-number": "GAHT1234", "token-code": "123456"}, "serial number"),
        ({"serial-number": "GAHT12345678", "token-code": "12345"}, "token code"),
        ({"serial-number": "GAHT12345678", "token-code": "12345x"}, "token code"),
        ({"provided-context": "nonsense"}, ["provided context", "ARN=FILE"]),
        ({"provided-context": f"{PROVIDER}=/nowhere/assertion"}, "/nowhere/assertion"),
        ({"provided-context": "arn:aws:iam::aws:policy/p=/dev/null"}, "provider ARN"),
        ({"provided-context": f"{PROVIDER}=/dev/null"}, "context assertion"),
        ({"access-key-id": "AK/ID"}, "access key id"),
    ],
)
def test_bad_parameter(refused, changes, names):  # noqa: F811
    refused(INPUT, names, *arguments("assume-role", **changes), env=CREDENTIALS)


@pytest.mark.parametrize(
    "option, values, names",
    [
        ("--tag", ["a=1", "A=2"], "twice"),
        ("--tag", [f"k{i}=v" for i in range(51)], "session tag"),
        ("--transitive-tag-key", [f"k{i}" for i in range(51)], "transitive tag key"),
        ("--policy-arn", ["arn:aws:iam::aws:policy/p"] * 11, "policy ARN"),
        ("--provided-context", [f"{PROVIDER}=ASSERTION"] * 6, "provided context"),
    ],
)
def test_too_many(cloudauth, refused, files, option, values, names):  # noqa: F811
    options = [part for value in files(values) for part in (option, value)]
    refused(INPUT, names, *arguments("assume-role"), *options, env=CREDENTIALS)
    cloudauth.bytes(*arguments("assume-role"), *options[:-2], env=CREDENTIALS)


@pytest.mark.parametrize("policy", [b"", b"x" * 2049, "{\u0100}".encode(), b"{\0}", b"{\xff}", b"\xef\xbb\xbf{}"])
def test_bad_policy(refused, token_file, policy):  # noqa: F811
    names = "policy" if policy != b"{\xff}" else "UTF-8"
    refused(INPUT, names, *arguments("assume-role", policy="-"), stdin=policy, env=CREDENTIALS)
    args = arguments("web-identity", policy="-", **{"token-file": token_file})
    refused(INPUT, names, *args, stdin=policy)


@pytest.mark.parametrize("token", [b"", b"abc", b"a b c d", b"a.b.c\n\nd", "tökén".encode(), b"x" * 20001, b"\xff" * 9])
def test_bad_web_identity_token(refused, token):  # noqa: F811
    names = "UTF-8" if token.startswith(b"\xff") else "web identity token"
    said = refused(INPUT, names, *arguments("web-identity", **{"token-file": "-"}), stdin=token)
    assert len(token) < 5 or token.decode(errors="replace") not in said


def test_bad_session_token_duration(refused):  # noqa: F811
    for seconds in ("899", "129601"):
        refused(INPUT, "session duration", *arguments("session-token", duration=seconds), env=CREDENTIALS)


def test_missing_options(refused, token_file):  # noqa: F811
    for name in ("role-arn", "session-name"):
        refused(USAGE, f"--{name}", *arguments("assume-role", **{name: None}), env=CREDENTIALS)
    refused(USAGE, "--role-arn", *arguments("web-identity", **{"token-file": token_file, "role-arn": None}))
    for command in ("assume-role", "session-token", "caller-identity"):
        refused(USAGE, "--region", *arguments(command, region=None), env=CREDENTIALS)
        refused(USAGE, "--access-key-id", *arguments(command))
        only_id = {"AWS_ACCESS_KEY_ID": ACCESS_KEY}
        refused(KEY, "AWS_SECRET_ACCESS_KEY", *arguments(command), env=only_id)
    refused(USAGE, "--token-file", *arguments("web-identity"))
    refused(USAGE, "--policy", *arguments("web-identity", **{"token-file": "-", "policy": "-"}))
    refused(INPUT, "/nowhere/token", *arguments("web-identity", **{"token-file": "/nowhere/token"}))


@pytest.mark.parametrize("token", ["a b", "a\nb", "ü"])
def test_bad_session_token(refused, token):  # noqa: F811
    refused(INPUT, "session token", *arguments("assume-role"), env=environment(token))


def test_help_shows_no_secret(cloudauth):
    env = {**environment("session-token-text"), "AWS_WEB_IDENTITY_TOKEN_FILE": "token-file-name"}
    for command in ("assume-role", "session-token", "caller-identity", "web-identity"):
        shown = cloudauth.text("aws", command, "--help", env=env)
        assert "Example:" in shown
        for secret in (SECRET, "session-token-text"):
            assert secret not in shown


# A live moto

CONNECT = socket.socket.connect
NAMESPACE = "{https://sts.amazonaws.com/doc/2011-06-15/}"


class Moto:
    """moto's server, spoken to over plain HTTP with requests as octets."""

    def __init__(self):
        from moto.server import ThreadedMotoServer

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self.server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self.server.start()
        self.address = self.server.get_host_and_port()
        self.endpoint = "%s:%d" % self.address

    def send(self, octets):
        """Status and body of the answer."""
        with socket.socket() as connection:
            connection.settimeout(30)
            CONNECT(connection, self.address)
            connection.sendall(octets)
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            with answer:
                return answer.status, answer.read()

    def post(self, path, body, kind):
        # moto finds the service in the credential scope.
        scope = "Credential=x/20261122/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=0"
        head = f"POST {path} HTTP/1.1\r\nHost: {self.endpoint}\r\nAuthorization: AWS4-HMAC-SHA256 {scope}\r\n"
        head += f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        status, answer = self.send(f"{head}\r\n{body}".encode())
        assert status == 200, answer
        return answer

    def check_signatures(self, yes):
        # moto lets so many requests through unchecked.
        self.post("/moto-api/reset-auth", "0" if yes else "inf", "text/plain")

    def iam(self, **parameters):
        body = urllib.parse.urlencode({**parameters, "Version": "2010-05-08"})
        return self.post("/", body, "application/x-www-form-urlencoded")

    def new_user(self):
        """A user and a role who may call STS: the environment with the user's access key."""
        # All servers of one process have one state.
        self.post("/moto-api/reset", "", "text/plain")
        statement = [{"Effect": "Allow", "Action": "sts:*", "Resource": "*"}]
        document = json.dumps({"Version": "2012-10-17", "Statement": statement})
        self.iam(Action="CreateUser", UserName="robot")
        self.iam(Action="PutUserPolicy", UserName="robot", PolicyName="p", PolicyDocument=document)
        _, _, path = ROLE.partition(":role")
        path, _, name = path.rpartition("/")
        self.iam(Action="CreateRole", RoleName=name, Path=f"{path}/", AssumeRolePolicyDocument=document)
        self.iam(Action="PutRolePolicy", RoleName=name, PolicyName="p", PolicyDocument=document)
        answer = ElementTree.parse(io.BytesIO(self.iam(Action="CreateAccessKey", UserName="robot")))
        texts = {element.tag.rpartition("}")[2]: element.text for element in answer.iter()}
        return {"AWS_ACCESS_KEY_ID": texts["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": texts["SecretAccessKey"]}


@pytest.fixture(scope="module")
def moto():
    server = Moto()
    yield server
    server.server.stop()


@pytest.fixture(scope="module")
def user(moto):
    return moto.new_user()


@pytest.fixture
def checked(moto, user):
    moto.check_signatures(True)
    yield user
    moto.check_signatures(False)


def texts(answer):
    return {e.tag.removeprefix(NAMESPACE): e.text for e in ElementTree.fromstring(answer).iter()}


@pytest.mark.parametrize("endpoint", [False, True])
@pytest.mark.parametrize(
    "command, wrapper", [("assume-role", "AssumeRole"), ("session-token", "GetSessionToken"), ("caller-identity", "GetCallerIdentity")]
)
def test_moto_verifies_and_answers(cloudauth, moto, checked, files, command, wrapper, endpoint):
    options = [o for all, _ in PARAMETERS for o in files(all)] if command == "assume-role" else []
    changes = {"endpoint": moto.endpoint} if endpoint else {}
    request = cloudauth.bytes(*arguments(command, region="us-east-1", **changes), *options, env=checked)
    status, answer = moto.send(request)
    assert status == 200, answer
    assert ElementTree.fromstring(answer).tag == f"{NAMESPACE}{wrapper}Response"
    got = texts(answer)
    if command == "caller-identity":
        assert got["Account"] == "123456789012" and got["Arn"].endswith(":user/robot")
    else:
        assert got["AccessKeyId"] and got["SecretAccessKey"] and got["SessionToken"] and got["Expiration"]
    if command == "assume-role":
        assert got["AssumedRoleId"].endswith(":robot-7")
    # moto does look at the signature.
    signature = b"Signature="
    at = request.index(signature) + len(signature)
    digit = b"1" if request[at : at + 1] == b"0" else b"0"
    status, answer = moto.send(request[:at] + digit + request[at + 1 :])
    assert status == 403 and b"<Code>SignatureDoesNotMatch</Code>" in answer


def test_moto_answers_assumed_credentials(cloudauth, moto, checked):
    """The credentials of one answer sign the next request, with their session token."""
    status, answer = moto.send(cloudauth.bytes(*arguments("assume-role", region="us-east-1"), env=checked))
    assert status == 200, answer
    got = texts(answer)
    env = {
        "AWS_ACCESS_KEY_ID": got["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": got["SecretAccessKey"],
        "AWS_SESSION_TOKEN": got["SessionToken"],
    }  # fmt: skip
    request = cloudauth.bytes(*arguments("caller-identity", region="us-east-1"), env=env)
    status, answer = moto.send(request)
    assert status == 200, answer
    assert texts(answer)["Arn"].endswith(":assumed-role/a-role+=,.@_x/robot-7")
    wrong = {**env, "AWS_SECRET_ACCESS_KEY": SECRET}
    request = cloudauth.bytes(*arguments("caller-identity", region="us-east-1"), env=wrong)
    assert moto.send(request)[0] == 403


@pytest.mark.parametrize("endpoint", [False, True])
def test_moto_answers_web_identity(cloudauth, moto, token_file, endpoint):
    changes = {"endpoint": moto.endpoint} if endpoint else {}
    args = arguments("web-identity", region="us-east-1", **{"token-file": token_file, **changes})
    status, answer = moto.send(cloudauth.bytes(*args))
    assert status == 200, answer
    got = texts(answer)
    assert got["AccessKeyId"] and got["SecretAccessKey"] and got["SessionToken"] and got["Expiration"]
    assert got["AssumedRoleId"].endswith(":robot-7")
