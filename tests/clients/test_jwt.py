"""`cloudauth jwt verify` beside PyJWT and joserfc: their tokens and key sets here, this program's tokens there,
and what must be refused, with nothing of the token in what is printed.
"""

import base64
import datetime
import json

import jwt
import pytest
from joserfc import jwk
from joserfc import jwt as joserfc_jwt

import support

USAGE, INPUT, REFUSED = 2, 4, 7
ISSUER = "https://issuer.example"
AUDIENCE = "https://service.example"
ALGORITHMS = {"RS256": "rsa-2048", "PS256": "rsa-2048", "ES256": "p-256", "ES384": "p-384"}
CLAIMS = {
    "iss": ISSUER, "aud": AUDIENCE, "sub": "you", "iat": support.EPOCH, "nbf": support.EPOCH,
    "exp": support.EPOCH + 300, "nested": {"list": [1, 2.5, "ü", None, True], "big": 2**63 + 1},
}  # fmt: skip


def pyjwt_token(key, algorithm, claims=CLAIMS, **headers):
    return jwt.encode(claims, key, algorithm=algorithm, headers=headers)


def joserfc_token(key, algorithm, claims=CLAIMS, **headers):
    key = jwk.import_key(support.key_pem(key), "RSA" if algorithm[0] in "RP" else "EC")
    return joserfc_jwt.encode({"alg": algorithm, **headers}, claims, key, algorithms=[algorithm])


def pyjwt_jwk(key, **members):
    kind = jwt.algorithms.RSAAlgorithm if hasattr(key.public_key(), "encrypt") else jwt.algorithms.ECAlgorithm
    return {**kind.to_jwk(key.public_key(), as_dict=True), "key_ops": ["verify"], **members}


def joserfc_jwk(key, **members):
    kind = "RSA" if hasattr(key.public_key(), "encrypt") else "EC"
    return {**jwk.import_key(support.public_pem(key), kind).as_dict(private=False), **members}


def key_set(*keys):
    return json.dumps({"keys": list(keys)})


def raw(header, claims, signature=b""):
    """A token of these texts."""
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, claims, signature)]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


@pytest.fixture
def verify(cloudauth, keys, tmp_path):
    """Arguments for verifying by a set of all keys, each under the name of its kind, or by another set."""
    count = 0

    def arguments(*options, jwks=None, algorithms=ALGORITHMS):
        nonlocal count
        if jwks is None:
            jwks = key_set(*(joserfc_jwk(keys(kind), kid=kind) for kind in sorted(set(ALGORITHMS.values()))))
        count += 1
        file = support.private_file(tmp_path / f"jwks-{count}.json", jwks)
        return (
            "jwt", "verify", "--time", support.TIME, "--jwks", file,
            *(part for name in algorithms for part in ("--algorithm", name)), *options,
        )  # fmt: skip

    return arguments


@pytest.fixture
def refused(cloudauth, verify):
    """The lines that say why a token is refused, which hold nothing of it."""

    def run(token, *options, code=REFUSED, **kwargs):
        done = cloudauth.run(*verify(*options, **kwargs), stdin=token.encode())
        assert done.stdout == b"", "something on standard output"
        assert done.returncode == code, f"exit {done.returncode}: {done.stderr}"
        assert "panicked" not in done.stderr
        assert done.stderr.startswith("cloudauth: ") and done.stderr.endswith("\n")
        for part in token.split("."):
            assert len(part) < 12 or part[:12] not in done.stderr, "the token on standard error"
        return done.stderr.removeprefix("cloudauth: ").splitlines()

    return run


STRICT = ("--issuer", ISSUER, "--audience", AUDIENCE, "--typ", "JWT", "--max-age", "60")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("encode", [pyjwt_token, joserfc_token])
@pytest.mark.parametrize("to_jwk", [pyjwt_jwk, joserfc_jwk])
def test_their_tokens_by_their_key_sets(cloudauth, keys, verify, algorithm, encode, to_jwk):
    key = keys(ALGORITHMS[algorithm])
    token = encode(key, algorithm, kid="k", typ="JWT")
    jwks = key_set(to_jwk(keys("rsa-3072"), kid="other", alg="RS256"), to_jwk(key, kid="k", alg=algorithm, use="sig"))
    arguments = verify(*STRICT, jwks=jwks, algorithms=[algorithm])
    assert cloudauth.json(*arguments, stdin=token.encode()) == CLAIMS
    said = cloudauth.json(*arguments, "--output", "json", stdin=token.encode())
    assert said == {
        "valid": True,
        "header": {"alg": algorithm, "kid": "k", "typ": "JWT"},
        "claims": CLAIMS,
        "checks": dict.fromkeys(
            ["alg", "crit", "typ", "key", "signature", "exp", "nbf", "iat", "max_age", "iss", "aud"], "passed"
        ),
    }


def test_what_is_not_asked_is_not_said_to_be_checked(cloudauth, keys, verify):
    token = pyjwt_token(keys("p-256"), "ES256", {"exp": support.EPOCH + 1}, kid="p-256")
    checks = cloudauth.json(*verify("--output", "json"), stdin=token.encode())["checks"]
    passed = ["alg", "crit", "key", "signature", "exp"]
    assert [name for name, outcome in checks.items() if outcome == "passed"] == passed
    assert {outcome for name, outcome in checks.items() if name not in passed} == {"not asked"}


def test_claims_keep_order_and_numbers(cloudauth, keys, verify):
    text = b'{ "z" : 1.50, "exp":%d.25 , "a":12345678901234567890123, "s":"\\u00fc\\/" }' % (support.EPOCH + 1)
    key = keys("p-256")
    token = jwt.api_jws.encode(text, key, "ES256", headers={"kid": "p-256"})
    want = '{"z":1.50,"exp":%d.25,"a":12345678901234567890123,"s":"ü/"}\n' % (support.EPOCH + 1)
    assert cloudauth.text(*verify(), stdin=token.encode()) == want


def test_files_and_newlines(cloudauth, keys, verify, tmp_path):
    token = pyjwt_token(keys("rsa-2048"), "RS256", kid="rsa-2048")
    for number, end in enumerate(["", "\n", "\r\n"]):
        file = support.private_file(tmp_path / f"token-{number}", token + end)
        assert cloudauth.json(*verify(file)) == CLAIMS
        assert cloudauth.json(*verify("-"), stdin=(token + end).encode()) == CLAIMS
    # The key set on standard input is as good.
    file = support.private_file(tmp_path / "token", token)
    jwks = key_set(joserfc_jwk(keys("rsa-2048"), kid="rsa-2048")).encode()
    arguments = ["jwt", "verify", "--time", support.TIME, "--algorithm", "RS256", "--jwks", "-", file]
    assert cloudauth.json(*arguments, stdin=jwks) == CLAIMS


@pytest.mark.parametrize("kind, algorithm", [("rsa-2048", "RS256"), ("p-256", "ES256")])
def test_our_tokens_in_pyjwt_and_joserfc(cloudauth, identities, verify, kind, algorithm):
    who = identities(kind)
    email = "robot@a-project.iam.gserviceaccount.com"
    token = cloudauth.text(
        "gcp", "token", "--time", support.TIME, "--key", who.key_uri, "--email", email, "--key-id", kind
    ).strip()  # fmt: skip
    jwks = key_set(pyjwt_jwk(who.key, kid=kind))
    key = jwt.PyJWKSet.from_json(jwks)[kind]
    theirs = jwt.decode(token, key, [algorithm], issuer=email, options={"verify_exp": False, "verify_iat": False})
    also = joserfc_jwt.decode(token, jwk.KeySet.import_key_set(json.loads(jwks)), algorithms=[algorithm])
    ours = cloudauth.json(*verify("--issuer", email, jwks=jwks), stdin=token.encode())
    assert theirs == also.claims == ours
    assert also.header["kid"] == kind


@pytest.mark.parametrize("algorithm", ["RS256", "PS256"])
def test_our_assertions_in_pyjwt_and_joserfc(cloudauth, identities, verify, algorithm):
    who = identities("rsa-2048")
    token = cloudauth.text(
        "azure", "assertion", "--time", support.TIME, "--key", who.key_uri, "--certificate", who.certificate_file,
        "--tenant", "contoso.example", "--client-id", "11111111-2222-3333-4444-555555555555",
        "--algorithm", algorithm,
    ).strip()  # fmt: skip
    header, claims, _, _ = support.jws_parts(token)
    # Entra ID finds the key by x5t#S256; there is no kid, or one that these sets need not have.
    member = {"kid": header["kid"]} if "kid" in header else {}
    jwks = key_set(joserfc_jwk(who.key, **member))
    key = jwt.PyJWKSet.from_json(jwks).keys[0]
    theirs = jwt.decode(
        token, key.key, [algorithm], audience=claims["aud"], options={"verify_exp": False, "verify_iat": False, "verify_nbf": False}
    )  # fmt: skip
    also = joserfc_jwt.decode(token, jwk.KeySet.import_key_set(json.loads(jwks)), algorithms=[algorithm])
    ours = cloudauth.json(*verify("--audience", claims["aud"], jwks=jwks), stdin=token.encode())
    assert theirs == also.claims == ours == claims


# What is refused


@pytest.mark.parametrize(
    "change, options, reason",
    [
        ({"exp": support.EPOCH - 60}, (), "exp: the token has expired"),
        ({"exp": None}, (), "exp: the claim is missing"),
        ({"exp": str(support.EPOCH + 9)}, (), "exp: expected a number"),
        ({"exp": (support.EPOCH + 9) * 1000}, (), "exp: expected a number"),
        ({"nbf": support.EPOCH + 61}, (), "nbf: the token is not valid yet"),
        ({"iat": support.EPOCH + 61}, (), "iat: lies in the future"),
        ({"iat": support.EPOCH - 121}, ("--max-age", "60"), "iat: the token is older"),
        ({"iat": None}, ("--max-age", "60"), "iat: the claim is missing"),
        ({"aud": [AUDIENCE, "https://other.example"]}, ("--audience", AUDIENCE), "aud: must name exactly one"),
        ({"aud": "https://other.example"}, ("--audience", AUDIENCE), "aud: is not the expected"),
        ({"aud": None}, ("--audience", AUDIENCE), "aud: the claim is missing"),
        ({"iss": ISSUER + "/"}, ("--issuer", ISSUER), "iss: is not the expected"),
        ({"iss": None}, ("--issuer", ISSUER), "iss: the member is missing"),
    ],
)
def test_claims_that_do_not_hold(cloudauth, keys, verify, refused, change, options, reason):
    def token(changes):
        claims = {name: value for name, value in {**CLAIMS, **changes}.items() if value is not None}
        # joserfc signs any claims; PyJWT refuses some itself.
        return joserfc_token(keys("p-256"), "ES256", claims, kid="p-256")

    assert cloudauth.json(*verify(*options), stdin=token({}).encode()) == CLAIMS
    first, *lines = refused(token(change), *options)
    assert first == "the token is refused"
    assert len(lines) == 1 and lines[0].startswith(f"  {reason}")


def test_every_failure_has_its_line(keys, refused):
    token = joserfc_token(keys("p-256"), "ES256", {"exp": 1, "aud": []}, kid="x", typ="at+jwt")
    lines = refused(token, *STRICT)
    assert [line.split(":")[0].strip() for line in lines[1:]] == ["typ", "key", "exp", "iat", "iss", "aud"]


def test_skew(cloudauth, keys, verify, refused):
    token = joserfc_token(keys("p-256"), "ES256", {**CLAIMS, "exp": support.EPOCH - 1}, kid="p-256")
    assert cloudauth.json(*verify("--skew", "2"), stdin=token.encode())
    assert "expired" in refused(token, "--skew", "1")[1]


def test_the_clock_is_real_unless_told_otherwise(cloudauth, keys, verify):
    now = int(datetime.datetime.now(datetime.timezone.utc).timestamp())
    token = pyjwt_token(keys("p-256"), "ES256", {"exp": now + 300}, kid="p-256")
    arguments = [a for a in verify() if a not in ("--time", support.TIME)]
    assert cloudauth.json(*arguments, stdin=token.encode()) == {"exp": now + 300}


def test_algorithms(cloudauth, keys, refused, verify):
    rsa = keys("rsa-2048")
    public = support.public_pem(rsa)
    token = pyjwt_token(rsa, "RS256", kid="rsa-2048")
    assert cloudauth.json(*verify(algorithms=["RS256"]), stdin=token.encode()) == CLAIMS
    assert refused(token, algorithms=["PS256", "ES256"])[1].strip().startswith("alg: ")
    header = {"alg": "HS256", "kid": "rsa-2048"}
    # PyJWT will not take a PEM as a secret; an attacker would.
    secret = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    signed = raw(header, CLAIMS).rsplit(".", 1)[0]
    forged = signed + "." + base64.urlsafe_b64encode(secret.sign(signed.encode(), public)).rstrip(b"=").decode()
    for bad in [
        forged,
        raw({"alg": "none", "kid": "rsa-2048"}, CLAIMS),
        raw({"alg": "nOnE", "kid": "rsa-2048"}, CLAIMS),
        raw({"kid": "rsa-2048"}, CLAIMS),
        pyjwt_token(rsa, "RS384", kid="rsa-2048"),
        pyjwt_token(rsa, "PS512", kid="rsa-2048"),
    ]:
        lines = refused(bad)
        assert len(lines) == 2 and lines[1].startswith("  alg: "), lines
    # A good signature of another key.
    other = pyjwt_token(keys("rsa-3072"), "RS256", kid="rsa-2048")
    assert refused(other)[1:] == ["  signature: does not belong to this message and key"]


def test_headers(cloudauth, keys, refused, verify):
    def token(**headers):
        return joserfc_jwt.encode(
            {"alg": "ES256", "kid": "p-256", **headers}, CLAIMS,
            jwk.import_key(support.key_pem(keys("p-256")), "EC"), algorithms=["ES256"],
        )  # fmt: skip

    assert cloudauth.json(*verify(), stdin=token().encode()) == CLAIMS
    assert cloudauth.json(*verify(), stdin=token(jku="https://attacker.example/").encode()) == CLAIMS
    for kid in ["../p-256", "/dev/null", "P-256", ""]:
        assert refused(token(kid=kid))[1:] == ["  key: no key has the name of the token's kid"]
    critical = raw({"alg": "ES256", "kid": "p-256", "crit": ["x"], "x": 1}, CLAIMS, b"\1" * 64)
    assert refused(critical)[1].startswith("  crit: ")
    unnamed = pyjwt_token(keys("p-256"), "ES256")
    assert "no kid" in refused(unnamed)[1]
    only = key_set(joserfc_jwk(keys("p-256"), kid="whatever"))
    assert cloudauth.json(*verify(jwks=only), stdin=unnamed.encode()) == CLAIMS


@pytest.mark.parametrize(
    "token, reason",
    [
        ("e30.e30", "token"),
        ("e30.e30.AA.AA", "token"),
        ("e30.e30.AA=", "JWS signature"),
        ("e30.e30.AB", "JWS signature"),
        ("e30.e30.AA ", "JWS signature"),
        ("e30.e30.AA\n\n", "JWS signature"),
        ("e30.W10.AA", "JWS claims"),
        (raw(b'{"alg":"ES256","alg":"none"}', b"{}"), "JWS header"),
        (raw(b"{}", b'{"exp":1,"exp":2}'), "JWS claims"),
        (raw(b"{}", b'{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}"), "JWS claims: at most 16"),
        ("e30." + "A" * 65_530 + ".AA", "at most 65,536 octets"),
    ],
)
def test_what_is_no_token(refused, token, reason):
    assert reason in refused(token)[0]


@pytest.mark.parametrize(
    "text, reason",
    [
        ("", "standard input: is empty"),
        ("\r\n", "standard input: is empty"),
        ("Bearer e30.e30.AA", "without Bearer"),
        ("e30." + "A" * 70_000 + ".AA", "standard input: is larger than"),
    ],
)
def test_what_is_no_file_with_a_token(refused, text, reason):
    assert reason in refused(text, code=INPUT)[0]


def test_key_sets(keys, refused):
    token = pyjwt_token(keys("p-256"), "ES256", kid="p-256")
    good = joserfc_jwk(keys("p-256"), kid="p-256")
    private = jwk.import_key(support.key_pem(keys("p-256")), "EC").as_dict(private=True)
    secret = {"kty": "oct", "k": "c2VjcmV0", "kid": "h"}
    for jwks, reason in [
        ("", "ends too early"),
        ("[]", "expected an array of keys"),
        ("-----BEGIN PUBLIC KEY-----\n", "is PEM"),
        (json.dumps(good), "expected an array of keys"),
        (key_set(), "no key that verifies"),
        (key_set(secret), "no key that verifies"),
        (key_set(good, good), "keys[1]: kid: "),
        (key_set(secret, {**private, "kid": "p-256"}), "keys[1]: d: this is a private key"),
        (key_set({**good, "x": good["x"][:-2]}), "keys[0]: "),
        (key_set({**good, "x": good["y"], "y": good["x"]}), "not on the curve"),
        (key_set({**good, "alg": "ES384"}), "keys[0]: alg: "),
        (key_set(*({"kty": "oct", "kid": str(n)} for n in range(65))), "at most 64"),
        (" " * (1 << 20) + key_set(good), "larger than"),
    ]:
        said = refused(token, jwks=jwks, code=INPUT)
        assert len(said) == 1 and reason in said[0] and "jwks-" in said[0], said
        assert private["d"] not in said[0]


def test_usage(cloudauth, keys, verify, tmp_path):
    token = pyjwt_token(keys("p-256"), "ES256", kid="p-256")

    def run(*arguments):
        done = cloudauth.run(*arguments, stdin=token.encode())
        assert (done.stdout, done.returncode) == (b"", USAGE), done.stderr
        assert token[:12] not in done.stderr
        return done.stderr

    assert "command line" in run(*verify(token))
    assert "standard input" in run("jwt", "verify", "--jwks", "-", "--algorithm", "ES256")
    assert "--algorithm" in run(*verify(algorithms=[]))
    for name in ["none", "HS256", "RS384", "ES512", "EdDSA", "es256", ""]:
        assert "RS256, PS256, ES256 or ES384" in run(*verify(algorithms=[name])), name
    run(*verify("--skew", "3601"))
    run(*verify("--skew", "-1"))
    missing = cloudauth.run(*verify(tmp_path / "missing"))
    assert missing.returncode == INPUT and "missing" in missing.stderr


def test_secrets_on_the_command_line(cloudauth, keys):
    """Whatever the command, nothing of them is repeated."""
    token = pyjwt_token(keys("p-256"), "ES256", kid="p-256")
    spaced = raw(b'{\r\n"alg":"ES256"}', b"{}", b"\1" * 64)
    for secret, arguments in [
        (token, ("aws", "web-identity", "--token-file", token)),
        (token, ("azure", "token", f"--federated-token-file={token}")),
        (token, ("gcp", "federate", "--token-file", f"Bearer {token}")),
        (spaced, ("gcp", "federate", "--token-file", spaced)),
        (token, ("jwt", "verify", "--jwks", token)),
        ("wJalrXUtnFEMI", ("aws", "assume-role", "--secret-access-key", "wJalrXUtnFEMI")),
        ("wJalrXUtnFEMI", ("aws", "assume-role", "--secret-access-key=wJalrXUtnFEMI")),
        ("wJalrXUtnFEMI", ("aws", "sign", "--session-token", "wJalrXUtnFEMI")),
    ]:
        done = cloudauth.run(*arguments)
        assert (done.stdout, done.returncode) == (b"", USAGE), done.stderr
        assert "command line" in done.stderr and secret[:12] not in done.stderr
