"""`cloudauth gcp token --oauth`, `gcp id-token` and `gcp federate` beside what google-auth sends for the
same parameters, through an HTTP layer that keeps the request.

What differs, and why:
- google-auth adds `x-goog-api-client`, which names google-auth; cloudauth adds `Accept`.
- The fields of forms and the members of header and claims stand in another order.
- google-auth percent-encodes the JSON of the STS field `options` once more inside the form. The service's
  reference (and Google's client for Go) has the JSON itself; compared after that step.
"""

import json
import urllib.parse

import google.auth.crypt
import google.auth.jwt
import jwt
import pytest
from google.auth import _helpers, identity_pool
from google.oauth2 import service_account
from joserfc import jwk

import support
from test_bad_input import INPUT, KEY, USAGE, refused  # noqa: F401 (a fixture)
from test_gcp import CLOUD_PLATFORM, EMAIL, KEY_ID, MAIL, STORAGE
from test_roles_anywhere import Handler

TOKEN_URI = "https://oauth2.googleapis.com/token"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
AUDIENCE = 'https://service-abcdefghij-ew.a.run.app/?a="b"&c=ü'
ISSUER = "https://issuer.example/a"
PROVIDER = (
    "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/a-pool/providers/a-provider"
)
WORKFORCE = "//iam.googleapis.com/locations/global/workforcePools/a-pool/providers/a-provider"


@pytest.fixture(autouse=True)
def fixed_clocks(monkeypatch):
    monkeypatch.setattr(_helpers, "utcnow", lambda: support.NOW.replace(tzinfo=None))
    monkeypatch.setattr(jwt.api_jwt, "datetime", support.FixedDatetime)


@pytest.fixture(scope="module")
def rsa(keys):
    return keys("rsa-2048")


@pytest.fixture(scope="module")
def account_file(tmp_path_factory, rsa):
    text = json.dumps(support.service_account(rsa))
    return support.private_file(tmp_path_factory.mktemp("account") / "account.json", text)


def check(raw, url):
    """The parts of a request that never change; gives the form."""
    request = Handler(raw)
    assert (request.command, request.request_version) == ("POST", "HTTP/1.1")
    assert f"https://{request.headers['Host']}{request.path}" == url
    assert dict(request.headers.items()) == {
        "Host": urllib.parse.urlsplit(url).netloc,
        "Content-Type": "application/x-www-form-urlencoded",
        "Accept": "application/json",
        "Content-Length": str(len(request.body)),
    }
    pairs = urllib.parse.parse_qsl(request.body.decode(), strict_parsing=True)
    form = dict(pairs)
    assert len(form) == len(pairs), "a field twice"
    # The same octets as Python writes.
    assert urllib.parse.urlencode(pairs).encode() == request.body
    return form


class Wire:
    """In place of google-auth's HTTP client: keeps the request, and answers from memory."""

    def __init__(self, answer):
        self.status, self.headers, self.data = 200, {}, json.dumps(answer).encode()

    def __call__(self, url, method="GET", body=None, headers=None, **kwargs):
        assert method == "POST" and headers["Content-Type"] == "application/x-www-form-urlencoded"
        self.url = url
        self.form = dict(urllib.parse.parse_qsl(body.decode(), strict_parsing=True))
        return self


def check_same(ours, theirs, key, field):
    """Two forms with a JWT in `field`, RS256: the same but for the order of members."""
    mine, other = ours.pop(field), theirs.pop(field)
    assert ours == theirs
    header, claims, signing_input, signature = support.jws_parts(mine)
    their_header, their_claims, _, _ = support.jws_parts(other)
    assert (header, claims) == (their_header, their_claims)
    assert signature == google.auth.crypt.RSASigner(key).sign(signing_input)
    read = jwt.decode(mine, support.public_pem(key), ["RS256"], audience=claims["aud"])
    assert read == claims
    broken = mine[:-10] + ("A" if mine[-10] != "A" else "B") + mine[-9:]
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(broken, support.public_pem(key), ["RS256"], audience=claims["aud"])
    return claims


def oauth(*options, key):
    return ("gcp", "token", "--oauth", "--dry-run", "--time", support.TIME, "--key", key, *options)


def id_token(*options, key, audience=AUDIENCE):
    return (
        "gcp", "id-token", "--dry-run", "--time", support.TIME, "--key", key, "--audience", audience, *options,
    )  # fmt: skip


@pytest.mark.parametrize("scopes", [[CLOUD_PLATFORM], [STORAGE, MAIL]])
@pytest.mark.parametrize("subject", [None, "user+tag@example.com"])
def test_access_token(cloudauth, rsa, account_file, scopes, subject):
    options = [] if scopes == [CLOUD_PLATFORM] else ["--scope", ",".join(scopes)]
    options += ["--subject", subject] if subject else []
    ours = check(cloudauth.bytes(*oauth(*options, key=f"file:{account_file}")), TOKEN_URI)
    wire = Wire({"access_token": "t", "expires_in": 3600, "token_type": "Bearer"})
    credentials = service_account.Credentials.from_service_account_info(
        support.service_account(rsa), scopes=scopes, subject=subject
    )
    credentials._perform_refresh_token(wire)
    assert (wire.url, credentials.token) == (TOKEN_URI, "t")
    assert list(ours) == ["grant_type", "assertion"]
    claims = check_same(ours, wire.form, rsa, "assertion")
    assert ours == {"grant_type": JWT_BEARER}
    assert claims.get("sub") == subject


@pytest.mark.parametrize("audience", ["32555940559.apps.googleusercontent.com", AUDIENCE])
def test_id_token(cloudauth, rsa, account_file, audience):
    args = id_token(key=f"file:{account_file}", audience=audience)
    ours = check(cloudauth.bytes(*args), TOKEN_URI)
    made = google.auth.jwt.encode(google.auth.crypt.RSASigner(rsa), {"exp": support.EPOCH + 3600}).decode()
    wire = Wire({"id_token": made})
    credentials = service_account.IDTokenCredentials.from_service_account_info(
        support.service_account(rsa), target_audience=audience
    )
    credentials.refresh(wire)
    assert (wire.url, credentials.token) == (TOKEN_URI, made)
    claims = check_same(ours, wire.form, rsa, "assertion")
    assert ours == {"grant_type": JWT_BEARER}
    assert claims["target_audience"] == audience and "sub" not in claims


def test_a_plain_key(cloudauth, identities, keys):
    """No JSON: the endpoint of all service accounts, and no key id."""
    who = identities("p-256")
    for args in (oauth, id_token):
        form = check(cloudauth.bytes(*args("--email", EMAIL, "--lifetime", "600", key=who.key_uri)), TOKEN_URI)
        header, _, _, _ = support.jws_parts(form["assertion"])
        assert header == {"alg": "ES256", "typ": "JWT"}
        public = support.public_pem(keys("p-256"))
        claims = jwt.decode(form["assertion"], public, ["ES256"], audience=TOKEN_URI, issuer=EMAIL)
        assert claims["exp"] - claims["iat"] == 600
        form = check(cloudauth.bytes(*args("--email", EMAIL, "--key-id", "k", key=who.key_uri)), TOKEN_URI)
        assert support.jws_parts(form["assertion"])[0]["kid"] == "k"


def test_the_endpoint_of_the_file(cloudauth, tmp_path, rsa):
    """Another universe: the file says where."""
    uri = "https://oauth2.apis.example.goog/v1/token"
    text = json.dumps(support.service_account(rsa, token_uri=uri, universe_domain="apis.example.goog"))
    file = support.private_file(tmp_path / "account.json", text)
    for args in (oauth, id_token):
        form = check(cloudauth.bytes(*args(key=f"file:{file}")), uri)
        header, claims, _, _ = support.jws_parts(form["assertion"])
        assert (header["kid"], claims["aud"]) == (KEY_ID, uri)


def test_json_output(cloudauth, account_file):
    args = oauth(key=f"file:{account_file}")
    shown = cloudauth.json("--output", "json", *args)
    head, body = cloudauth.bytes(*args).split(b"\r\n\r\n", 1)
    assert shown == {
        "method": "POST",
        "url": TOKEN_URI,
        "headers": {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"},
        "body": body.decode(),
    }


# Federation


def signed(who, *options, provider=PROVIDER, issuer=ISSUER, subject="machine 1"):
    return (
        "gcp", "federate", "--dry-run", "--time", support.TIME, "--key", who.key_uri, "--provider", provider,
        "--issuer", issuer, "--subject", subject, *options,
    )  # fmt: skip


def given(file, *options, provider=PROVIDER):
    return (
        "gcp", "federate", "--dry-run", "--time", support.TIME, "--provider", provider,
        "--token-file", file, *options,
    )  # fmt: skip


class Supplier(identity_pool.SubjectTokenSupplier):
    def __init__(self, token):
        self.token = token

    def get_subject_token(self, context, request):
        return self.token


def google_exchange(token, token_type="jwt", provider=PROVIDER, scopes=(CLOUD_PLATFORM,), **options):
    """URL and form of google-auth's exchange of `token`."""
    wire = Wire({"access_token": "t", "token_type": "Bearer", "expires_in": 3600})
    credentials = identity_pool.Credentials(
        audience=provider,
        subject_token_type=f"urn:ietf:params:oauth:token-type:{token_type}",
        subject_token_supplier=Supplier(token),
        scopes=list(scopes),
        **options,
    )
    credentials._perform_refresh_token(wire)
    if "options" in wire.form:
        wire.form["options"] = json.loads(urllib.parse.unquote(wire.form["options"]))
    return wire.url, wire.form


def our_exchange(cloudauth, args, url="https://sts.googleapis.com/v1/token", **kwargs):
    form = check(cloudauth.bytes(*args, **kwargs), url)
    if "options" in form:
        form["options"] = json.loads(form["options"])
    return url, form


@pytest.mark.parametrize("kind, algorithm", [("rsa-2048", "RS256"), ("p-256", "ES256")])
@pytest.mark.parametrize("scopes", [[CLOUD_PLATFORM], [STORAGE, MAIL]])
def test_a_subject_token_that_the_key_signs(cloudauth, identities, kind, algorithm, scopes):
    who = identities(kind)
    args = signed(who, "--scope", ",".join(scopes))
    ours = our_exchange(cloudauth, args)
    assert list(ours[1])[-1] == "subject_token"
    token = ours[1]["subject_token"]
    assert ours == google_exchange(token, scopes=scopes)
    header, _, _, _ = support.jws_parts(token)
    kid = jwk.import_key(support.public_pem(who.key), "RSA" if kind == "rsa-2048" else "EC").thumbprint()
    assert header == {"alg": algorithm, "typ": "JWT", "kid": kid}
    claims = jwt.decode(
        token, support.public_pem(who.key), [algorithm], audience=f"https:{PROVIDER}", issuer=ISSUER,
        options={"require": ["iss", "sub", "aud", "iat", "exp"]},
    )  # fmt: skip
    assert claims == {
        "iss": ISSUER, "sub": "machine 1", "aud": f"https:{PROVIDER}",
        "iat": support.EPOCH, "exp": support.EPOCH + 600,
    }  # fmt: skip


def test_options_of_the_subject_token(cloudauth, identities):
    args = signed(identities("p-256"), "--audience", "an audience", "--key-id", "k1", "--lifetime", "86400")
    token = our_exchange(cloudauth, args)[1]["subject_token"]
    header, claims, _, _ = support.jws_parts(token)
    assert header["kid"] == "k1"
    assert (claims["aud"], claims["exp"]) == ("an audience", support.EPOCH + 86400)


@pytest.mark.parametrize("token_type", ["jwt", "id-token", "saml2"])
@pytest.mark.parametrize("provider, project", [(PROVIDER, None), (WORKFORCE, None), (WORKFORCE, "a-project")])
def test_a_token_that_was_given(cloudauth, tmp_path, token_type, provider, project):
    token = "PHNhbWw+/+=" if token_type == "saml2" else "aaa.bbb.ccc"
    file = tmp_path / "token"
    file.write_text(token + "\n")
    options = ["--token-type", token_type]
    options += ["--user-project", project] if project else []
    ours = our_exchange(cloudauth, given(file, *options, provider=provider))
    extra = {"workforce_pool_user_project": project} if project else {}
    assert ours == google_exchange(token, token_type.replace("-", "_"), provider, **extra)
    assert ours[1].get("options") == ({"userProject": project} if project else None)
    again = given("-", *options, provider=provider)
    assert our_exchange(cloudauth, again, stdin=token.encode()) == ours


def test_aws4_request(cloudauth, tmp_path):
    file = tmp_path / "token"
    file.write_text('{"url": "https://sts.amazonaws.com?Action=GetCallerIdentity", "headers": []}')
    form = our_exchange(cloudauth, given(file, "--token-type", "aws4-request"))[1]
    assert form["subject_token"] == file.read_text()
    assert form["subject_token_type"] == "urn:ietf:params:aws:token-type:aws4_request"


def test_another_universe(cloudauth, tmp_path):
    file = tmp_path / "token"
    file.write_text("a.b.c")
    args = given(file, "--universe-domain", "apis.example.goog")
    ours = our_exchange(cloudauth, args, "https://sts.apis.example.goog/v1/token")
    assert ours == google_exchange("a.b.c", universe_domain="apis.example.goog")


# What is refused


def test_what_needs_what(refused, account_file):  # noqa: F811
    key = f"file:{account_file}"
    base = ("gcp", "token", "--key", key)
    refused(USAGE, ["--dry-run", "--oauth"], *base, "--dry-run")
    refused(USAGE, "--audience", *base, "--oauth", "--dry-run", "--audience", "x")
    refused(USAGE, "--audience", "gcp", "id-token", "--dry-run", "--key", key)
    refused(USAGE, "--provider", "gcp", "federate", "--dry-run", "--token-file", "x")


def test_one_subject(refused, identities, tmp_path):  # noqa: F811
    who, file = identities("p-256"), tmp_path / "token"
    file.write_text("a.b.c")
    bare = ("gcp", "federate", "--dry-run", "--provider", PROVIDER)
    refused(USAGE, ["--key", "--token-file"], *bare)
    refused(USAGE, "--token-file", *signed(who, "--token-file", file))
    refused(USAGE, "--token-type", *signed(who, "--token-type", "jwt"))
    refused(USAGE, "--issuer", *bare, "--key", who.key_uri, "--subject", "s")
    refused(USAGE, "--subject", *bare, "--key", who.key_uri, "--issuer", ISSUER)
    for option in ("--issuer", "--subject", "--audience", "--key-id", "--lifetime"):
        refused(USAGE, option, *given(file, option, "1"))


def test_an_e_mail_is_needed(refused, identities):  # noqa: F811
    for args in (oauth, id_token):
        refused(USAGE, "--email", *args(key=identities("rsa-2048").key_uri))


@pytest.mark.parametrize("make", [oauth, id_token])
def test_keys_that_google_does_not_take(refused, identities, make):  # noqa: F811
    refused(KEY, "key", *make("--email", EMAIL, key=identities("p-384").key_uri))
    refused(KEY, "/nonexistent", *make("--email", EMAIL, key="file:/nonexistent"))


@pytest.mark.parametrize("lifetime", ["0", "3601"])
@pytest.mark.parametrize("make", [oauth, id_token])
def test_lifetime(refused, account_file, make, lifetime):  # noqa: F811
    refused(INPUT, "lifetime", *make("--lifetime", lifetime, key=f"file:{account_file}"))


@pytest.mark.parametrize(
    "options, names",
    [
        (("--scope", "a b"), "scope"),
        (("--scope", ""), "scope"),
        (("--subject", ""), "subject"),
        (("--email", ""), "service account e-mail"),
        (("--key-id", ""), "key id"),
    ],
)
def test_parameters(refused, account_file, options, names):  # noqa: F811
    refused(INPUT, names, *oauth(*options, key=f"file:{account_file}"))


def test_target_audience(refused, account_file):  # noqa: F811
    refused(INPUT, "target audience", *id_token(key=f"file:{account_file}", audience=""))


@pytest.mark.parametrize(
    "uri", ["http://oauth2.googleapis.com/token", "https://oauth2.evil.example/token", "https://u@googleapis.com/t"]
)
def test_token_uri_of_the_file(refused, tmp_path, rsa, uri):  # noqa: F811
    text = json.dumps(support.service_account(rsa, token_uri=uri))
    file = support.private_file(tmp_path / "account.json", text)
    for args in (oauth, id_token):
        refused(KEY, "token_uri", *args(key=f"file:{file}"))


@pytest.mark.parametrize(
    "changes, options, names",
    [
        ({"provider": ""}, (), "provider"),
        ({"provider": f"https:{PROVIDER}"}, (), "provider"),
        ({"provider": PROVIDER.replace("123456789012", "a-project")}, (), "provider"),
        ({"provider": PROVIDER + "/x"}, (), "provider"),
        ({"provider": PROVIDER.replace("googleapis.com", "apis.example.goog")}, (), "provider"),
        ({"issuer": "http://issuer.example"}, (), "issuer"),
        ({"issuer": ""}, (), "issuer"),
        ({"subject": ""}, (), "subject"),
        ({}, ("--audience", ""), "audience"),
        ({}, ("--key-id", ""), "key id"),
        ({}, ("--lifetime", "0"), "lifetime"),
        ({}, ("--lifetime", "86401"), "lifetime"),
        ({}, ("--scope", "a b"), "scope"),
        ({}, ("--user-project", "p"), "user project"),
        ({"provider": WORKFORCE}, ("--user-project", 'p"'), "user project"),
        ({}, ("--universe-domain", "evil.example/"), "universe domain"),
    ],
)
def test_federation_parameters(refused, identities, changes, options, names):  # noqa: F811
    refused(INPUT, names, *signed(identities("p-256"), *options, **changes))


@pytest.mark.parametrize("token", [b"", b"\n", b"the-token\nb", b"\xff"])
def test_subject_tokens(refused, token):  # noqa: F811
    refused(INPUT, "subject token", *given("-"), stdin=token, secrets={"the-token"})
