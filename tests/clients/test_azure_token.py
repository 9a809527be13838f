"""`cloudauth azure token --dry-run` beside what msal and azure-identity send for the same parameters.

Both packages are given an HTTP layer that keeps the request. What differs, and why:
- msal adds `client_info`, for a cache that cloudauth has not, and headers that name msal itself.
- msal sorts the scopes; cloudauth keeps their order. The tests give them in order.
- The assertions themselves are compared as in test_azure.py.
"""

import json
import os
import time
import urllib.parse

import azure.identity
import jwt
import msal
import pytest
from azure.core.pipeline.transport import HttpTransport
from azure.identity._internal.aad_client import AadClient

import support
import test_azure
from test_azure import ASSERTION_TYPE, CLIENT, HOST, HOSTS, TENANT, endpoint
from test_bad_input import INPUT, KEY, USAGE, refused  # noqa: F401 (a fixture)
from test_roles_anywhere import Handler

SECRET = "qWgdY~Amab0.YSkuL1q_Kv5bPX+/=&%? ü"
SCOPE = "https://graph.microsoft.com/.default"
CLAIMS = '{"access_token": {"nbf": {"essential": true, "value": "1603742800"}, "x": {"value": "a+b&c ü"}}}'


@pytest.fixture(autouse=True)
def fixed_clocks(monkeypatch):
    monkeypatch.setattr(jwt.api_jwt, "datetime", support.FixedDatetime)
    monkeypatch.setattr(time, "time", lambda: support.EPOCH)


@pytest.fixture(scope="module")
def federated():
    """A token as Kubernetes projects it for a service account."""
    claims = {"iss": "https://cluster.example", "sub": "system:serviceaccount:a:b", "exp": support.EPOCH}
    return jwt.encode(claims, support.new_key("p-256"), "ES256", headers={"kid": "1"})


def arguments(*options, scopes=(SCOPE,), tenant=TENANT):
    named = [part for scope in scopes for part in ("--scope", scope)]
    return (
        "azure", "token", "--dry-run", "--time", support.TIME,
        "--tenant", tenant, "--client-id", CLIENT, *named, *options,
    )  # fmt: skip


def with_key(who):
    return ("--key", who.key_uri, "--certificate", who.certificate_file)


def check(raw, host=HOST, tenant=TENANT):
    """The parts of the request that never change; gives the form."""
    request = Handler(raw)
    assert (request.command, request.request_version) == ("POST", "HTTP/1.1")
    assert f"https://{request.headers['Host']}{request.path}" == endpoint(host, tenant)
    assert dict(request.headers.items()) == {
        "Host": host,
        "Content-Type": "application/x-www-form-urlencoded",
        "Accept": "application/json",
        "Content-Length": str(len(request.body)),
    }
    pairs = urllib.parse.parse_qsl(request.body.decode(), strict_parsing=True)
    form = dict(pairs)
    assert len(form) == len(pairs), "a field twice"
    # The same octets as Python writes, which is what requests and azure-core send.
    assert urllib.parse.urlencode(pairs).encode() == request.body
    return form


def send(cloudauth, *options, host=HOST, tenant=TENANT, scopes=(SCOPE,), **kwargs):
    return check(cloudauth.bytes(*arguments(*options, scopes=scopes, tenant=tenant), **kwargs), host, tenant)


class Wire(test_azure.Wire):
    """In place of msal's HTTP client; keeps the headers too."""

    def post(self, url, data=None, headers=None, **kwargs):
        self.headers = headers
        return super().post(url, data=data, **kwargs)


def msal_form(credential, host=HOST, scopes=(SCOPE,), claims=None):
    wire = Wire(host)
    app = msal.ConfidentialClientApplication(
        CLIENT,
        client_credential=credential,
        authority=f"https://{host}/{TENANT}",
        instance_discovery=False,
        http_client=wire,
    )
    assert app.acquire_token_for_client(list(scopes), claims_challenge=claims)["access_token"] == "t"
    assert wire.headers["Accept"] == "application/json"
    form = dict(wire.form)
    assert form.pop("client_info") == 1
    return form


class Answer:
    """What azure-core reads of an answer."""

    def __init__(self, request, members):
        self.request, self.members = request, members
        self.status_code, self.reason = 200, "OK"
        self.headers = {"Content-Type": "application/json"}
        self.content_type = "application/json"

    def body(self):
        return json.dumps(self.members).encode()

    def text(self, encoding=None):
        return self.body().decode()


class Transport(HttpTransport):
    """In place of azure-core's HTTP client: answers from memory, keeps the posted form."""

    def __init__(self, host):
        self.host, self.sent = host, []

    def open(self):
        pass

    def close(self):
        pass

    def __exit__(self, *args):
        pass

    def send(self, request, **kwargs):
        base = f"https://{self.host}/{TENANT}"
        if request.method == "GET":
            assert request.url == f"{base}/v2.0/.well-known/openid-configuration"
            return Answer(request, {
                "issuer": f"{base}/v2.0",
                "token_endpoint": f"{base}/oauth2/v2.0/token",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            })
        assert (request.method, request.url) == ("POST", endpoint(self.host))
        assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
        data = request.body if isinstance(request.body, dict) else request.data
        self.sent.append(dict(data))
        return Answer(request, {"access_token": "t", "token_type": "Bearer", "expires_in": 3600})


def identity_form(make, host=HOST, scopes=(SCOPE,), claims=None):
    """The form that a credential of azure-identity sends."""
    transport = Transport(host)
    credential = make(transport=transport, authority=host, disable_instance_discovery=True)
    assert credential.get_token(*scopes, **({"claims": claims} if claims else {})).token == "t"
    [form] = transport.sent
    form.pop("client_info", None)  # where it goes through msal
    return form


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("claims", [None, CLAIMS])
def test_client_secret(cloudauth, host, claims):
    options = ["--client-secret", "env:THE_SECRET", "--authority", host]
    options += ["--claims", claims] if claims else []
    ours = send(cloudauth, *options, host=host, env={"THE_SECRET": SECRET})
    expected = {
        "client_id": CLIENT, "client_secret": SECRET, "grant_type": "client_credentials", "scope": SCOPE,
    }  # fmt: skip
    assert ours == expected | ({"claims": claims} if claims else {})
    assert ours == msal_form(SECRET, host, claims=claims)
    assert ours == identity_form(
        lambda **options: azure.identity.ClientSecretCredential(TENANT, CLIENT, SECRET, **options),
        host, claims=claims,
    )  # fmt: skip


@pytest.mark.parametrize("scopes", [["a"], ["api://b/.default", "https://vault.azure.net/.default", "x~y*+!"]])
def test_scopes(cloudauth, scopes):
    ours = send(cloudauth, "--client-secret", "env:S", scopes=scopes, env={"S": "s"})
    assert ours["scope"].split(" ") == scopes
    assert ours == msal_form("s", scopes=scopes)


@pytest.mark.parametrize("source", ["file", "fd"])
def test_secret_sources(cloudauth, tmp_path, source):
    if source == "file":
        reference, fds = f"file:{support.private_file(tmp_path / 'secret', SECRET + chr(10))}", ()
    else:
        reader, writer = os.pipe()
        os.write(writer, SECRET.encode())
        os.close(writer)
        reference, fds = f"fd:{reader}", (reader,)
    assert send(cloudauth, "--client-secret", reference, pass_fds=fds)["client_secret"] == SECRET
    for fd in fds:
        os.close(fd)


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("kind", ["rsa-2048", "rsa-3072"])
def test_certificate(cloudauth, identities, host, kind):
    """Beside msal with the certificate: the same form, and the same assertion in it."""
    who = identities(kind)
    ours = send(cloudauth, *with_key(who), "--send-chain", "--claims", CLAIMS, "--authority", host, host=host)
    theirs = msal_form(
        {"private_key": support.key_pem(who.key), "public_certificate": support.cert_pem(who.certificate)},
        host, claims=CLAIMS,
    )  # fmt: skip
    assert list(ours)[-1] == "client_assertion"  # it is signed where it stands
    mine, other = ours.pop("client_assertion"), theirs.pop("client_assertion")
    test_azure.read(mine, who, "PS256", audience=endpoint(host))
    test_azure.check_same(mine, other)
    assert ours == theirs
    assert ours == {
        "client_id": CLIENT, "grant_type": "client_credentials", "scope": SCOPE, "claims": CLAIMS,
        "client_assertion_type": ASSERTION_TYPE,
    }  # fmt: skip


def test_certificate_beside_azure_identity(cloudauth, identities):
    """azure-identity names the certificate by x5t, for which msal takes RS256."""
    who = identities("rsa-2048")
    ours = send(cloudauth, *with_key(who), "--send-chain", "--algorithm", "RS256", "--thumbprint", "sha1")
    pem = who.folder.joinpath("key.pem").read_bytes() + who.certificate_file.read_bytes()
    theirs = identity_form(
        lambda **options: azure.identity.CertificateCredential(
            TENANT, CLIENT, certificate_data=pem, send_certificate_chain=True, **options
        )
    )
    mine, other = ours.pop("client_assertion"), theirs.pop("client_assertion")
    assert ours == theirs
    test_azure.read(mine, who, "RS256")
    test_azure.check_same(mine, other)


def test_options_of_the_assertion(cloudauth, identities):
    who = identities("rsa-2048", 2)
    options = ("--key", who.key_uri, "--certificate", who.bundle_file, "--algorithm", "RS256",
               "--thumbprint", "sha1", "--send-chain")  # fmt: skip
    token = send(cloudauth, *options)["client_assertion"]
    header, _ = test_azure.read(token, who, "RS256")
    assert header.keys() == {"alg", "typ", "x5t", "x5c"} and len(header["x5c"]) == 3


def test_federated_token(cloudauth, tmp_path, federated):
    """As azure-identity sends the token of a Kubernetes workload."""
    file = tmp_path / "token"
    file.write_text(federated + "\n")
    by_option = send(cloudauth, "--federated-token-file", file)
    # The variable is set for every pod, so it stands back behind a named credential.
    env = {"AZURE_FEDERATED_TOKEN_FILE": str(file), "S": "s"}
    assert send(cloudauth, env=env) == by_option
    assert send(cloudauth, "--federated-token-file", "-", stdin=federated.encode()) == by_option
    assert "client_secret" in send(cloudauth, "--client-secret", "env:S", env=env)
    assert by_option == {
        "client_id": CLIENT, "grant_type": "client_credentials", "scope": SCOPE,
        "client_assertion_type": ASSERTION_TYPE, "client_assertion": federated,
    }  # fmt: skip
    assert by_option == msal_form({"client_assertion": lambda: federated})
    file.write_text(federated)
    assert by_option == identity_form(
        lambda **options: azure.identity.WorkloadIdentityCredential(
            tenant_id=TENANT, client_id=CLIENT, token_file_path=str(file), **options
        )
    )


def test_variables(cloudauth, identities):
    who = identities("rsa-2048")
    env = {
        "AZURE_CLIENT_CERTIFICATE_PATH": str(who.certificate_file),
        "AZURE_TENANT_ID": TENANT,
        "AZURE_CLIENT_ID": CLIENT,
        "AZURE_AUTHORITY_HOST": f"https://{HOSTS[1]}/",
    }
    args = ("azure", "token", "--dry-run", "--time", support.TIME, "--scope", SCOPE, "--key", who.key_uri)
    form = check(cloudauth.bytes(*args, env=env), HOSTS[1])
    test_azure.read(form["client_assertion"], who, "PS256", audience=endpoint(HOSTS[1]))


def test_each_request_has_an_assertion_of_its_own(cloudauth, identities):
    made = [send(cloudauth, *with_key(identities("rsa-2048")))["client_assertion"] for _ in range(10)]
    assert len({test_azure.parts(token)[1]["jti"] for token in made}) == 10


def test_json_output(cloudauth):
    env = {"S": "s"}
    shown = cloudauth.json("--output", "json", *arguments("--client-secret", "env:S"), env=env)
    raw = cloudauth.bytes(*arguments("--client-secret", "env:S"), env=env)
    assert shown == {
        "method": "POST",
        "url": endpoint(),
        "headers": {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"},
        "body": raw.split(b"\r\n\r\n", 1)[1].decode(),
    }


def test_the_form_of_azure_identitys_older_client(cloudauth):
    """It writes the form itself, without msal."""
    form = AadClient(TENANT, CLIENT)._get_client_secret_request([SCOPE], SECRET)
    assert send(cloudauth, "--client-secret", "env:S", env={"S": SECRET}) == form._data


# What is refused


@pytest.mark.parametrize(
    "options, names",
    [
        ((), ["--key", "client-secret", "federated-token-file"]),
        (("--client-secret", "env:S", "--federated-token-file", "x"), "--federated-token-file"),
        (("--client-secret", "env:S", "--key", "file:x"), "--client-secret"),
        (("--key", "file:x"), "--certificate"),
        (("--client-secret", "env:S", "--certificate", "x"), "--certificate"),
        (("--certificate", "x",), ["--certificate", "--key"]),
        (("--client-secret", "env:S", "--send-chain"), "--send-chain"),
        (("--send-chain",), ["--send-chain", "--key"]),
        (("--client-secret", "env:S", "--algorithm", "PS256"), "--algorithm"),
        (("--algorithm", "PS256",), ["--algorithm", "--key"]),
        (("--client-secret", "env:S", "--thumbprint", "sha1"), "--thumbprint"),
        (("--thumbprint", "sha1",), ["--thumbprint", "--key"]),
    ],
)
def test_one_credential(refused, options, names):  # noqa: F811
    refused(USAGE, names, *arguments(*options), env={"S": "the-secret-text"}, secrets={"the-secret-text"})


def test_a_scope_is_needed(refused):  # noqa: F811
    args = list(arguments("--client-secret", "env:S"))
    at = args.index("--scope")
    del args[at : at + 2]
    refused(USAGE, "--scope", *args, env={"S": "s"})


@pytest.mark.parametrize(
    "reference, names",
    [
        ("the-secret-text", "env:NAME"),
        ("env:MISSING", "MISSING"),
        ("file:/nonexistent/secret", "/nonexistent/secret"),
        ("fd:99", "descriptor 99"),
        ("env:EMPTY", "EMPTY"),
    ],
)
def test_client_secret_that_cannot_be_read(refused, reference, names):  # noqa: F811
    args = arguments("--client-secret", reference)
    refused(KEY, names, *args, env={"EMPTY": ""}, secrets={"the-secret-text"})


@pytest.mark.parametrize("secret", ["the-secret\ntext", "the-secret\ttext"])
def test_client_secret_with_control_characters(refused, secret):  # noqa: F811
    args = arguments("--client-secret", "env:S")
    refused(INPUT, "client secret", *args, env={"S": secret}, secrets={"the-secret"})


def test_client_secret_that_is_not_text(refused, tmp_path):  # noqa: F811
    file = support.private_file(tmp_path / "secret", b"\xff\xfe")
    refused(INPUT, "client secret", *arguments("--client-secret", f"file:{file}"))


@pytest.mark.parametrize("token", ["", "the-token", "the-token.b", "the-token.b.c d", "the-token.b.c=", "ü.b.c"])
def test_federated_token_that_is_no_jwt(refused, token):  # noqa: F811
    args = arguments("--federated-token-file", "-")
    refused(INPUT, "federated token", *args, stdin=token.encode(), secrets={"the-token"})


def test_federated_token_file_that_is_not_there(refused, tmp_path):  # noqa: F811
    file = tmp_path / "missing"
    refused(INPUT, str(file), *arguments("--federated-token-file", file))
    refused(INPUT, str(file), *arguments(), env={"AZURE_FEDERATED_TOKEN_FILE": str(file)})
    refused(USAGE, "--key", *arguments(), env={"AZURE_FEDERATED_TOKEN_FILE": ""})
    large = tmp_path / "large"
    large.write_text("a" * 65537)
    refused(INPUT, [str(large), "larger"], *arguments("--federated-token-file", large))


@pytest.mark.parametrize(
    "options, names",
    [
        (("--scope", "a b"), "scope"),
        (("--scope", ""), "scope"),
        (("--scope", 'a"'), "scope"),
        (("--claims", ""), "claims"),
        (("--claims", "eyJhY2Nlc3NfdG9rZW4iOnt9fQ=="), ["claims", "base64"]),
        (("--authority", "https://login.example/path"), "authority"),
        (("--authority", "user@login.example"), "authority"),
        (("--authority", "http://login.example"), "authority"),
    ],
)
def test_parameters(refused, options, names):  # noqa: F811
    refused(INPUT, names, *arguments("--client-secret", "env:S", *options), env={"S": "s"})


@pytest.mark.parametrize("value", ["", "a/b", "..", "a b", "a?b", "a\nb"])
@pytest.mark.parametrize("option", ["--tenant", "--client-id"])
def test_tenant_and_client(refused, option, value):  # noqa: F811
    args = list(arguments("--client-secret", "env:S"))
    args[args.index(option) + 1] = value
    refused(INPUT, option.strip("-").replace("-", " "), *args, env={"S": "s"})


def test_another_keys_certificate(refused, identities):  # noqa: F811
    mine, other = identities("rsa-2048"), identities("rsa-3072")
    args = arguments("--key", mine.key_uri, "--certificate", other.certificate_file)
    refused(INPUT, "certificate", *args)
    ec = identities("p-256")
    refused(KEY, "key", *arguments(*with_key(ec)))
