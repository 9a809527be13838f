"""`cloudauth azure assertion` beside msal's own assertion, and read by PyJWT.

What differs, and why it is compared as it is:
- cloudauth adds `nbf`, which the documentation of Entra ID asks for and msal leaves out.
- msal pads `x5t` and `x5t#S256`; RFC 7515 takes base64url without padding. Compared without.
- msal writes times as fractions of seconds where its clock has some; here it has none.
- msal breaks the base64 of `x5c` into the lines of PEM. Compared without line ends.
- msal always sends `x5c` when it is given the certificate as text: --send-chain here.
"""

import base64
import hashlib
import json
import time
import urllib.parse
import uuid

import jwt
import msal
import pytest
from cryptography.hazmat.primitives import hashes
from msal.oauth2cli.assertion import JwtAssertionCreator

import support

TENANT = "6babcaad-604b-40ac-a9d7-9fd97c0b779f"
CLIENT = "11111111-2222-3333-4444-555555555555"
HOST = "login.microsoftonline.com"
HOSTS = [HOST, "login.microsoftonline.us", "login.partner.microsoftonline.cn"]
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@pytest.fixture(autouse=True)
def fixed_clocks(monkeypatch):
    monkeypatch.setattr(jwt.api_jwt, "datetime", support.FixedDatetime)
    monkeypatch.setattr(time, "time", lambda: support.EPOCH)


def endpoint(host=HOST, tenant=TENANT):
    return f"https://{host}/{tenant}/oauth2/v2.0/token"


def assertion(cloudauth, who, *options, certificate=None, tenant=TENANT, **kwargs):
    text = cloudauth.text(
        "azure", "assertion", "--time", support.TIME,
        "--key", who.key_uri, "--certificate", certificate or who.certificate_file,
        "--tenant", tenant, "--client-id", CLIENT, *options, **kwargs,
    )  # fmt: skip
    assert text.endswith("\n") and text.count("\n") == 1
    return text[:-1]


def read(token, who, algorithm, audience=None):
    """PyJWT verifies it (PS256: with a salt as long as the hash); gives header and claims."""
    claims = jwt.decode(
        token,
        support.public_pem(who.key),
        [algorithm],
        audience=audience or endpoint(),
        issuer=CLIENT,
        subject=CLIENT,
        options={"require": ["aud", "exp", "iss", "jti", "nbf", "sub", "iat"]},
    )
    header, same, _, signature = support.jws_parts(token)
    assert claims == same
    head, body, _ = token.split(".")
    broken = bytes([signature[0] ^ 1]) + signature[1:]
    with pytest.raises(jwt.InvalidSignatureError):
        bad = f"{head}.{body}.{jwt.utils.base64url_encode(broken).decode()}"
        jwt.decode(bad, support.public_pem(who.key), [algorithm], audience=audience or endpoint())
    return header, claims


class Wire:
    """In place of msal's HTTP client: answers from memory, keeps the posted form."""

    class Answer:
        def __init__(self, members):
            self.status_code, self.text, self.headers = 200, json.dumps(members), {}

        def raise_for_status(self):
            pass

    def __init__(self, host=HOST):
        self.host, self.form = host, None

    def get(self, url, **kwargs):
        base = f"https://{self.host}/{TENANT}"
        assert url == f"{base}/v2.0/.well-known/openid-configuration"
        return self.Answer({
            "issuer": f"{base}/v2.0",
            "token_endpoint": f"{base}/oauth2/v2.0/token",
            "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
        })

    def post(self, url, data=None, **kwargs):
        assert url == endpoint(self.host)
        self.form = data
        return self.Answer({"access_token": "t", "token_type": "Bearer", "expires_in": 3600})

    def close(self):
        pass


def msal_form(credential, host=HOST):
    """The form that a confidential client of msal sends for a token."""
    wire = Wire(host)
    app = msal.ConfidentialClientApplication(
        CLIENT,
        client_credential=credential,
        authority=f"https://{host}/{TENANT}",
        instance_discovery=False,
        http_client=wire,
    )
    answer = app.acquire_token_for_client(["https://graph.microsoft.com/.default"])
    assert answer["access_token"] == "t"
    return wire.form


def parts(token):
    token = token.decode() if isinstance(token, bytes) else token
    header, claims, _ = token.split(".")
    decode = jwt.utils.base64url_decode
    return json.loads(decode(header)), json.loads(decode(claims))


def check_same(ours, theirs):
    """Every field of two assertions."""
    (header, claims), (their_header, their_claims) = parts(ours), parts(theirs)
    assert header.keys() == their_header.keys()
    for name in ("alg", "typ"):
        assert header[name] == their_header[name]
    for name in ("x5t", "x5t#S256"):
        if name in header:
            assert "=" not in header[name]
            assert header[name] == their_header[name].rstrip("=")
    if "x5c" in header:
        assert header["x5c"] == ["".join(c.split()) for c in their_header["x5c"]]
    assert claims.keys() == their_claims.keys() | {"nbf"}
    for name in ("aud", "iss", "sub", "iat", "exp"):
        assert claims[name] == their_claims[name]
        assert type(claims[name]) is type(their_claims[name])
    assert claims["exp"] - claims["iat"] == 600
    assert claims["nbf"] == claims["iat"] == support.EPOCH
    for jti in (claims["jti"], their_claims["jti"]):
        assert str(uuid.UUID(jti)) == jti and uuid.UUID(jti).version == 4


@pytest.mark.parametrize("kind", ["rsa-2048", "rsa-3072"])
def test_ps256_is_the_default(cloudauth, identities, kind):
    who = identities(kind)
    ours = assertion(cloudauth, who)
    header, claims = read(ours, who, "PS256")
    thumbprint = base64.urlsafe_b64encode(hashlib.sha256(support.cert_der(who.certificate)).digest())
    assert header == {
        "alg": "PS256", "typ": "JWT", "x5t#S256": thumbprint.decode().rstrip("="),
    }  # fmt: skip
    del claims["jti"]
    assert claims == {
        "aud": endpoint(), "iss": CLIENT, "sub": CLIENT,
        "iat": support.EPOCH, "nbf": support.EPOCH, "exp": support.EPOCH + 600,
    }  # fmt: skip


def creator(who, algorithm, **options):
    made = JwtAssertionCreator(support.key_pem(who.key), algorithm, **options)
    return made.create_normal_assertion(endpoint(), CLIENT)


@pytest.mark.parametrize("algorithm", [None, "PS256", "RS256"])
@pytest.mark.parametrize("thumbprint", ["sha256", "sha1"])
def test_same_as_msals_assertion(cloudauth, identities, algorithm, thumbprint):
    who = identities("rsa-2048")
    digest = who.certificate.fingerprint({"sha256": hashes.SHA256(), "sha1": hashes.SHA1()}[thumbprint])
    theirs = creator(who, algorithm or "PS256", **{f"{thumbprint}_thumbprint": digest.hex()})
    options = ["--algorithm", algorithm] if algorithm else []
    ours = assertion(cloudauth, who, *options, "--thumbprint", thumbprint)
    check_same(ours, theirs)
    read(ours, who, algorithm or "PS256")


def test_same_as_msals_client_with_the_certificate(cloudauth, identities):
    """msal given key and certificate: PS256, x5t#S256, x5c of the leaf."""
    who = identities("rsa-2048")
    form = msal_form({
        "private_key": support.key_pem(who.key),
        "public_certificate": support.cert_pem(who.certificate),
    })
    assert form["client_assertion_type"] == ASSERTION_TYPE
    ours = assertion(cloudauth, who, "--send-chain")
    check_same(ours, form["client_assertion"])
    header, _ = read(ours, who, "PS256")
    assert header["x5c"] == [base64.b64encode(support.cert_der(who.certificate)).decode()]


@pytest.mark.parametrize("intermediates", [0, 1, 2])
def test_same_as_msals_client_with_a_thumbprint(cloudauth, identities, intermediates):
    """msal given a thumbprint: RS256 and x5t; with the certificates beside it, x5c of all."""
    who = identities("rsa-2048", intermediates)
    credential = {
        "private_key": support.key_pem(who.key),
        "thumbprint": who.certificate.fingerprint(hashes.SHA1()).hex(),
    }
    options = ("--algorithm", "RS256", "--thumbprint", "sha1")
    ours = assertion(cloudauth, who, *options, certificate=who.bundle_file)
    check_same(ours, msal_form(credential)["client_assertion"])
    read(ours, who, "RS256")

    credential["public_certificate"] = who.bundle_file.read_text()
    ours = assertion(cloudauth, who, *options, "--send-chain", certificate=who.bundle_file)
    check_same(ours, msal_form(credential)["client_assertion"])
    header, _ = read(ours, who, "RS256")
    ders = [support.cert_der(c) for c in [who.certificate, *who.chain]]
    assert header["x5c"] == [base64.b64encode(der).decode() for der in ders]


def test_msal_takes_our_assertion(cloudauth, identities):
    """What a program does that has msal and a key elsewhere."""
    ours = assertion(cloudauth, identities("rsa-2048"))
    form = msal_form({"client_assertion": lambda: ours})
    assert form["client_assertion"] == ours
    assert form["client_assertion_type"] == ASSERTION_TYPE


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("form", ["{}", "https://{}", "https://{}/"])
@pytest.mark.parametrize("by", ["option", "variable"])
def test_authorities(cloudauth, identities, host, form, by):
    who = identities("rsa-2048")
    given = form.format(host)
    if by == "option":
        ours = assertion(cloudauth, who, "--authority", given, "--send-chain")
    else:
        ours = assertion(cloudauth, who, "--send-chain", env={"AZURE_AUTHORITY_HOST": given})
    _, claims = read(ours, who, "PS256", audience=endpoint(host))
    assert urllib.parse.urlsplit(claims["aud"]).netloc == host
    credential = {
        "private_key": support.key_pem(who.key),
        "public_certificate": support.cert_pem(who.certificate),
    }
    check_same(ours, msal_form(credential, host)["client_assertion"])


def test_tenant_by_domain(cloudauth, identities):
    who = identities("rsa-2048")
    ours = assertion(cloudauth, who, tenant="contoso.onmicrosoft.com")
    read(ours, who, "PS256", audience=endpoint(tenant="contoso.onmicrosoft.com"))


def test_each_assertion_has_an_id_of_its_own(cloudauth, identities):
    """Under one fixed clock too: Entra ID may refuse an id it has seen."""
    who = identities("rsa-2048")
    ids = {parts(assertion(cloudauth, who))[1]["jti"] for _ in range(20)}
    assert len(ids) == 20


@pytest.mark.parametrize("form", ["pem", "der"])
def test_certificate_forms(cloudauth, identities, tmp_path, form):
    who = identities("rsa-2048")
    file = tmp_path / "certificate"
    if form == "der":
        file.write_bytes(support.cert_der(who.certificate))
    else:  # as `openssl x509 -text` writes it, with CR LF
        text = support.openssl("x509", "-in", who.certificate_file, "-text")
        file.write_bytes(text.replace(b"\n", b"\r\n"))
    header, _ = read(assertion(cloudauth, who, certificate=file), who, "PS256")
    digest = hashlib.sha256(support.cert_der(who.certificate)).digest()
    assert support.unpad(header["x5t#S256"]) == digest


def test_issued_by_an_ec_authority_with_another_hash(cloudauth, tmp_path, keys):
    """The issuer's algorithm says nothing about the key's."""
    who = support.identity(tmp_path / "id", "rsa-2048", key=keys("rsa-2048"), digest=hashes.SHA512())
    read(assertion(cloudauth, who), who, "PS256")


def test_variables(cloudauth, identities):
    """The names that Microsoft's own tools read."""
    who = identities("rsa-2048")
    env = {
        "AZURE_CLIENT_CERTIFICATE_PATH": str(who.certificate_file),
        "AZURE_TENANT_ID": TENANT,
        "AZURE_CLIENT_ID": CLIENT,
    }
    token = cloudauth.text("azure", "assertion", "--time", support.TIME, "--key", who.key_uri, env=env)
    read(token.strip(), who, "PS256")
    args = ("azure", "assertion", "--time", support.TIME, "--key", who.key_uri)
    for value, given, sent in [
        ("true", (), True), ("TRUE", (), True), ("1", (), True), ("false", (), False), ("0", (), False),
        # It is said of the variable's certificate.
        ("true", ("--certificate", who.certificate_file), False),
    ]:  # fmt: skip
        token = cloudauth.text(*args, *given, env={**env, "AZURE_CLIENT_SEND_CERTIFICATE_CHAIN": value})
        assert ("x5c" in parts(token.strip())[0]) == sent, (value, given)


def test_json_output(cloudauth, identities):
    """Members named as the token endpoint's form wants them."""
    who = identities("rsa-2048")
    answer = cloudauth.json(
        "azure", "assertion", "--output", "json", "--time", support.TIME,
        "--key", who.key_uri, "--certificate", who.certificate_file,
        "--tenant", TENANT, "--client-id", CLIENT, "--algorithm", "RS256",
    )  # fmt: skip
    read(answer.pop("client_assertion"), who, "RS256")
    assert answer == {"client_assertion_type": ASSERTION_TYPE, "expires_in": 600}
