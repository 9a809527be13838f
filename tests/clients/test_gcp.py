"""`cloudauth gcp token` beside google-auth, and read by google-auth and PyJWT.

google-auth writes the members of header and claims in another order; they are compared as JSON, and the
signature as what google-auth's own signer makes of our signing input (RS256 is deterministic).
"""

import json
import os

import google.auth.crypt
import google.auth.crypt.es
import google.auth.jwt
import jwt
import pytest
from google.auth import _helpers
from google.oauth2 import service_account

import support

EMAIL = "robot@a-project.iam.gserviceaccount.com"
KEY_ID = "0123456789abcdef0123456789abcdef01234567"
CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"
STORAGE = "https://www.googleapis.com/auth/devstorage.read_only"
MAIL = "https://www.googleapis.com/auth/userinfo.email"
PASSPHRASE = "correct horse battery staple"


@pytest.fixture(autouse=True)
def fixed_clocks(monkeypatch):
    monkeypatch.setattr(_helpers, "utcnow", lambda: support.NOW.replace(tzinfo=None))
    monkeypatch.setattr(jwt.api_jwt, "datetime", support.FixedDatetime)


@pytest.fixture(scope="module")
def rsa(keys):
    return keys("rsa-2048")


@pytest.fixture(scope="module")
def account_file(tmp_path_factory, rsa):
    text = json.dumps(support.service_account(rsa), indent=2)
    return support.private_file(tmp_path_factory.mktemp("account") / "account.json", text)


@pytest.fixture(scope="module")
def certificate(rsa):
    """As Google publishes the public key of a service account."""
    return support.cert_pem(support.certify(rsa, EMAIL, EMAIL, rsa))


def token(cloudauth, key, *options, **kwargs):
    text = cloudauth.text("gcp", "token", "--time", support.TIME, "--key", key, *options, **kwargs)
    assert text.endswith("\n") and text.count("\n") == 1
    return text[:-1]


def google_credentials(rsa, **options):
    return service_account.Credentials.from_service_account_info(
        support.service_account(rsa), always_use_jwt_access=True, **options
    )


def google_self_signed(credentials, audience=None):
    """The self-signed token that google-auth sends to an API in place of an access token."""
    credentials._create_self_signed_jwt(audience)
    made, _ = credentials._jwt_credentials._make_jwt()
    return made.decode()


def check_same(ours, theirs, key):
    """Two RS256 tokens that differ in the order of members at most."""
    header, claims, signing_input, signature = support.jws_parts(ours)
    their_header, their_claims, _, _ = support.jws_parts(theirs)
    assert header == their_header
    assert claims == their_claims
    assert signature == google.auth.crypt.RSASigner(key).sign(signing_input)


def check_readable(ours, certificate, key, audience=None):
    """google-auth and PyJWT accept it, and refuse it when a bit of it is another."""
    header, claims, _, signature = support.jws_parts(ours)
    kid = header.get("kid", "any")
    for certs in (certificate, support.public_pem(key), {kid: certificate}):
        assert google.auth.jwt.decode(ours, certs=certs, audience=audience) == claims
    options = {"require": ["iss", "sub", "iat", "exp"]}
    read = jwt.decode(ours, support.public_pem(key), ["RS256"], audience=audience, options=options)
    assert read == claims
    head, body, _ = ours.split(".")
    broken = bytes([signature[0] ^ 1]) + signature[1:]
    bad = f"{head}.{body}.{jwt.utils.base64url_encode(broken).decode()}"
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(bad, support.public_pem(key), ["RS256"], audience=audience)
    with pytest.raises(google.auth.exceptions.MalformedError):
        google.auth.jwt.decode(bad, certs=certificate)


def test_defaults(cloudauth, rsa, account_file, certificate):
    ours = token(cloudauth, f"file:{account_file}")
    check_same(ours, google_self_signed(google_credentials(rsa, scopes=[CLOUD_PLATFORM])), rsa)
    check_readable(ours, certificate, rsa)
    header, claims, _, _ = support.jws_parts(ours)
    assert header == {"alg": "RS256", "typ": "JWT", "kid": KEY_ID}
    assert claims == {
        "iss": EMAIL,
        "sub": EMAIL,
        "scope": CLOUD_PLATFORM,
        "iat": support.EPOCH,
        "exp": support.EPOCH + 3600,
    }


@pytest.mark.parametrize("scopes", [[STORAGE], [STORAGE, MAIL], [MAIL, CLOUD_PLATFORM, STORAGE]])
@pytest.mark.parametrize("form", ["repeated", "list"])
def test_scopes(cloudauth, rsa, account_file, certificate, scopes, form):
    repeated = [option for scope in scopes for option in ("--scope", scope)]
    options = repeated if form == "repeated" else ["--scope", ",".join(scopes)]
    ours = token(cloudauth, f"file:{account_file}", *options)
    check_same(ours, google_self_signed(google_credentials(rsa, scopes=scopes)), rsa)
    check_readable(ours, certificate, rsa)


@pytest.mark.parametrize("audience", ["https://pubsub.googleapis.com/", "https://x.example/ü?a=\"b\""])
def test_audience(cloudauth, rsa, account_file, certificate, audience):
    ours = token(cloudauth, f"file:{account_file}", "--audience", audience)
    check_same(ours, google_self_signed(google_credentials(rsa), audience), rsa)
    check_readable(ours, certificate, rsa, audience)
    with pytest.raises(jwt.InvalidAudienceError):
        jwt.decode(ours, support.public_pem(rsa), ["RS256"], audience="https://other.example/")


def google_jwt(rsa, *, key_id=KEY_ID, subject=EMAIL, audience=None, lifetime=3600, scope=None):
    credentials = google.auth.jwt.Credentials(
        google.auth.crypt.RSASigner(rsa, key_id),
        issuer=EMAIL,
        subject=subject,
        audience=audience,
        token_lifetime=lifetime,
        additional_claims={"scope": scope} if scope else {},
    )
    return credentials._make_jwt()[0].decode()


@pytest.mark.parametrize("lifetime", [1, 599, 3600])
def test_lifetime(cloudauth, rsa, account_file, certificate, lifetime):
    ours = token(cloudauth, f"file:{account_file}", "--lifetime", str(lifetime))
    check_same(ours, google_jwt(rsa, lifetime=lifetime, scope=CLOUD_PLATFORM), rsa)
    check_readable(ours, certificate, rsa)


def test_subject(cloudauth, rsa, account_file, certificate):
    subject = "Jörg.O'Neil@example.com"
    ours = token(cloudauth, f"file:{account_file}", "--subject", subject)
    check_same(ours, google_jwt(rsa, subject=subject, scope=CLOUD_PLATFORM), rsa)
    check_readable(ours, certificate, rsa)
    ours = token(cloudauth, f"file:{account_file}", "--subject", subject, "--audience", "https://a.b/")
    check_same(ours, google_jwt(rsa, subject=subject, audience="https://a.b/"), rsa)


@pytest.mark.parametrize("key_id", [None, "an id"])
def test_key_id_of_a_bare_key(cloudauth, tmp_path, rsa, certificate, key_id):
    file = support.private_file(tmp_path / "key.pem", support.key_pem(rsa))
    options = ["--key-id", key_id] if key_id else []
    ours = token(cloudauth, f"file:{file}", "--email", EMAIL, *options)
    check_same(ours, google_jwt(rsa, key_id=key_id, scope=CLOUD_PLATFORM), rsa)
    check_readable(ours, certificate, rsa)
    assert support.jws_parts(ours)[0].get("kid") == key_id
    assert ("kid" in support.jws_parts(ours)[0]) == (key_id is not None)


def test_options_come_before_the_json(cloudauth, rsa, account_file):
    ours = token(cloudauth, f"file:{account_file}", "--email", "other@example.com", "--key-id", "other")
    header, claims, _, _ = support.jws_parts(ours)
    assert header["kid"] == "other"
    assert claims["iss"] == claims["sub"] == "other@example.com"


def test_json_without_optional_members(cloudauth, tmp_path, rsa, certificate):
    text = json.dumps(support.service_account(rsa, private_key_id=None, universe_domain=None, project_id=None))
    file = support.private_file(tmp_path / "account.json", text)
    ours = token(cloudauth, f"file:{file}")
    check_same(ours, google_jwt(rsa, key_id=None, scope=CLOUD_PLATFORM), rsa)
    check_readable(ours, certificate, rsa)


def openssl_encrypted(folder, rsa, *options):
    plain = support.private_file(folder / "plain.pem", support.key_pem(rsa))
    command = ("pkcs8", "-topk8", "-in", plain, "-passout", f"pass:{PASSPHRASE}", *options)
    return support.openssl(*command).decode()


KEY_FORMS = {
    "pkcs8": lambda folder, rsa: support.key_pem(rsa),
    "pkcs1": lambda folder, rsa: support.key_pem(rsa, "TraditionalOpenSSL"),
    "service-account": lambda folder, rsa: json.dumps(support.service_account(rsa)),
    "encrypted-cryptography": lambda folder, rsa: support.key_pem(rsa, passphrase=PASSPHRASE),
    "encrypted-openssl-aes256": lambda folder, rsa: openssl_encrypted(folder, rsa, "-v2", "aes-256-cbc"),
    "encrypted-openssl-aes128": lambda folder, rsa: openssl_encrypted(
        folder, rsa, "-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA512"
    ),
    "encrypted-openssl-scrypt": lambda folder, rsa: openssl_encrypted(folder, rsa, "-scrypt"),
}


@pytest.mark.parametrize("form", KEY_FORMS)
@pytest.mark.parametrize("place", ["file", "env"])
def test_key_forms(cloudauth, tmp_path, rsa, form, place):
    text = KEY_FORMS[form](tmp_path, rsa)
    env = {}
    if place == "file":
        uri = f"file:{support.private_file(tmp_path / 'the-key', text)}"
    else:
        uri, env["THE_KEY"] = "env:THE_KEY", text
    if form.startswith("encrypted"):
        assert "ENCRYPTED PRIVATE KEY" in text
        uri += "?passphrase-source=env:KEY_PASSPHRASE"
        env["KEY_PASSPHRASE"] = PASSPHRASE
    options = ("--email", EMAIL, "--key-id", KEY_ID)
    check_same(token(cloudauth, uri, *options, env=env), google_jwt(rsa, scope=CLOUD_PLATFORM), rsa)


@pytest.mark.parametrize("source", ["file", "fd", "variable"])
def test_passphrase_sources(cloudauth, tmp_path, rsa, source):
    text = support.key_pem(rsa, passphrase=PASSPHRASE)
    uri = f"file:{support.private_file(tmp_path / 'key.pem', text)}"
    env, fds = {}, ()
    if source == "file":
        file = support.private_file(tmp_path / "passphrase", PASSPHRASE + "\n")
        uri += f"?passphrase-source=file:{file}"
    elif source == "fd":
        reader, writer = os.pipe()
        os.write(writer, PASSPHRASE.encode())
        os.close(writer)
        uri, fds = uri + f"?passphrase-source=fd:{reader}", (reader,)
    else:
        env["CLOUDAUTH_KEY_PASSPHRASE"] = PASSPHRASE
    ours = token(cloudauth, uri, "--email", EMAIL, "--key-id", KEY_ID, env=env, pass_fds=fds)
    for fd in fds:
        os.close(fd)
    check_same(ours, google_jwt(rsa, scope=CLOUD_PLATFORM), rsa)


def test_readable_by_others_warns(cloudauth, tmp_path, rsa):
    """Signed all the same, with a warning that is not mixed into the token."""
    file = support.private_file(tmp_path / "key.pem", support.key_pem(rsa))
    file.chmod(0o644)
    done = cloudauth.run("gcp", "token", "--time", support.TIME, "--key", f"file:{file}", "--email", EMAIL)
    assert done.returncode == 0
    assert "warning" in done.stderr and str(file) in done.stderr and "chmod 600" in done.stderr
    header, _, signing_input, signature = support.jws_parts(done.stdout.decode().strip())
    assert signature == google.auth.crypt.RSASigner(rsa).sign(signing_input)


@pytest.mark.parametrize("bits", [3072, 4096])
def test_larger_keys(cloudauth, tmp_path, keys, bits):
    key = keys(f"rsa-{bits}")
    file = support.private_file(tmp_path / "account.json", json.dumps(support.service_account(key)))
    ours = token(cloudauth, f"file:{file}")
    check_same(ours, google_jwt(key, scope=CLOUD_PLATFORM), key)


@pytest.mark.parametrize("form", ["PKCS8", "TraditionalOpenSSL"])
def test_es256(cloudauth, tmp_path, keys, form):
    """A P-256 key, PKCS#8 or SEC1: r and s side by side (RFC 7518, section 3.4), 64 octets always."""
    key = keys("p-256")
    file = support.private_file(tmp_path / "key.pem", support.key_pem(key, form))
    certificate = support.cert_pem(support.certify(key, EMAIL, EMAIL, key))
    theirs = google.auth.jwt.Credentials(
        google.auth.crypt.es.EsSigner(key, KEY_ID),
        issuer=EMAIL, subject=EMAIL, audience=None, additional_claims={"scope": CLOUD_PLATFORM},
    )._make_jwt()[0].decode()  # fmt: skip
    for _ in range(20):
        ours = token(cloudauth, f"file:{file}", "--email", EMAIL, "--key-id", KEY_ID)
        header, claims, _, signature = support.jws_parts(ours)
        assert (header, claims) == support.jws_parts(theirs)[:2]
        assert header["alg"] == "ES256" and len(signature) == 64
        assert google.auth.jwt.decode(ours, certs=certificate) == claims
        assert jwt.decode(ours, support.public_pem(key), ["ES256"]) == claims


def test_json_output(cloudauth, account_file):
    """The members of an OAuth token answer (RFC 6749, section 5.1)."""
    answer = cloudauth.json(
        "--output", "json", "gcp", "token", "--time", support.TIME, "--key", f"file:{account_file}",
        "--lifetime", "600",
    )  # fmt: skip
    again = token(cloudauth, f"file:{account_file}", "--lifetime", "600")
    assert answer == {"access_token": again, "token_type": "Bearer", "expires_in": 600,
                      "expires_on": "2026-11-22T12:10:00Z"}


@pytest.mark.parametrize(
    "time",
    ["2026-11-22T12:00:00Z", "2026-11-22t12:00:00z", "2026-11-22 12:00:00Z", "2026-11-22T12:00:00.999Z",
     "2026-11-22T14:00:00+02:00", "2026-11-22T00:30:00-11:30", "20261122T120000Z"],
)  # fmt: skip
def test_forms_of_time(cloudauth, account_file, time):
    """RFC 3339 in all its forms, and the form of X-Amz-Date."""
    ours = cloudauth.text("gcp", "token", f"--time={time}", "--key", f"file:{account_file}").strip()
    assert support.jws_parts(ours)[1]["iat"] == support.EPOCH


def test_the_clock(cloudauth, account_file):
    """Without --time, the system's clock."""
    before = support.datetime.datetime.now().timestamp()
    ours = cloudauth.text("gcp", "token", "--key", f"file:{account_file}").strip()
    after = support.datetime.datetime.now().timestamp()
    claims = support.jws_parts(ours)[1]
    assert int(before) <= claims["iat"] <= after
    assert claims["exp"] == claims["iat"] + 3600
