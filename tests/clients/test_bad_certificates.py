"""What cannot work of the flows with a certificate: IAM Roles Anywhere and Azure's assertion. As in test_bad_input.py."""

import pytest

import support
from test_bad_input import (  # noqa: F401 (refused is a fixture)
    INPUT,
    KEY,
    REQUEST,
    USAGE,
    anywhere,
    azure,
    der_alone,
    flipped,
    gcp,
    refused,
    secrets_of,
    sign,
    spoiled,
    truncated,
)


def both(who, **changes):
    return [azure(who, **changes), anywhere(who, **changes)]


SPOILED_CERTIFICATES = {
    "half": truncated,
    "no end": lambda text: text.replace("-----END CERTIFICATE-----\n", ""),
    "not base64": spoiled,
    "another octet": flipped,  # in the modulus: a certificate of another key
    "empty": lambda text: "",
    "other text": lambda text: "no certificate\n",
    "noise": lambda text: bytes(range(256)) * 3,
    "DER cut short": lambda text: der_alone(text)[:-1],
    "octet behind": lambda text: der_alone(text) + b"\0",
    "endless DER": lambda text: b"\x30\x84\xff\xff\xff\xff",
    "a request": lambda text: text.replace("CERTIFICATE", "CERTIFICATE REQUEST"),
    "short block": lambda text: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
}


@pytest.mark.parametrize("spoil", SPOILED_CERTIFICATES)
def test_certificate_file(refused, identities, tmp_path, spoil):
    who = identities("rsa-2048")
    text = who.certificate_file.read_text()
    file = support.private_file(tmp_path / "leaf", SPOILED_CERTIFICATES[spoil](text))
    for args in both(who, certificate=file):
        said = refused(INPUT, [], *args)
        assert str(file) in said or "certificate" in said


def test_certificate_file_with_the_key_in_it(refused, identities):
    """The key's file by mistake: none of it comes out."""
    who = identities("rsa-2048")
    for args in both(who, certificate=who.folder / "key.pem"):
        refused(INPUT, "key.pem", *args)


def test_certificate_file_that_cannot_be_read(refused, identities, tmp_path):
    who = identities("rsa-2048")
    for path in (tmp_path / "missing.pem", tmp_path):
        for args in both(who, certificate=path):
            refused(INPUT, str(path), *args)
    for path in (tmp_path / "missing.pem", tmp_path):
        refused(INPUT, str(path), *anywhere(who, intermediates=path))


@pytest.mark.parametrize("days, word", [((-30, -1), "expired"), ((1, 30), "not yet valid")])
def test_certificate_out_of_its_time(refused, tmp_path, keys, days, word):
    who = support.identity(tmp_path / "id", "rsa-2048", key=keys("rsa-2048"), days=days)
    for args in both(who):
        refused(INPUT, ["certificate", word], *args)


@pytest.mark.parametrize("key, certificate", [("rsa-2048", "rsa-3072"), ("p-256", "p-384")])
def test_key_of_another_certificate(refused, identities, key, certificate):
    """Of another size, caught early or late."""
    key, certificate = identities(key), identities(certificate)
    runs = [anywhere(key, certificate=certificate.certificate_file)]
    if key.kind.startswith("rsa"):
        runs.append(azure(key, certificate=certificate.certificate_file))
    for args in runs:
        refused(INPUT, ["key", "certificate"], *args)


@pytest.mark.parametrize("kind", ["rsa-2048", "p-256", "p-384"])
def test_key_of_another_certificate_alike(refused, identities, tmp_path, kind):
    """Of the same size: only a comparison of the public keys tells."""
    mine = identities(kind)
    other = support.identity(tmp_path / "other", kind)
    runs = [anywhere(mine, certificate=other.certificate_file)]
    if kind == "rsa-2048":
        runs.append(azure(mine, certificate=other.certificate_file))
    for args in runs:
        refused(INPUT, ["key", "certificate"], *args, secrets=secrets_of(support.key_pem(other.key)))


@pytest.mark.parametrize("key, certificate", [("rsa-2048", "p-256"), ("p-256", "rsa-2048")])
def test_key_of_another_kind(cloudauth, refused, identities, key, certificate):
    key, certificate = identities(key), identities(certificate)
    args = anywhere(key, certificate=certificate.certificate_file)
    done = cloudauth.run(*args)
    # Which of the two is at fault cannot be known: the key that cannot, or the certificate.
    assert done.returncode in (KEY, INPUT)
    refused(done.returncode, [], *args)


def test_rsa_1024_certificate(refused, identities, tmp_path):
    small = support.new_key("rsa-1024")
    certificate = support.certify(small, "leaf", "root", support.new_key("p-256"))
    file = support.private_file(tmp_path / "small.pem", support.cert_pem(certificate))
    for args in both(identities("rsa-2048"), certificate=file):
        refused(INPUT, "2048", *args)


def test_ec_certificate_is_nothing_for_entra(cloudauth, refused, identities):
    args = azure(identities("p-256"))
    done = cloudauth.run(*args)
    assert done.returncode in (KEY, INPUT)
    refused(done.returncode, "RSA", *args)


def test_too_many_intermediates(refused, identities, tmp_path):
    who = identities("p-256", 2)
    file = support.private_file(tmp_path / "chain.pem", who.chain_file.read_text() * 3)
    refused(INPUT, "certificate chain", *anywhere(who, intermediates=file))


def test_an_intermediate_that_is_none(cloudauth, refused, identities, tmp_path):
    who = identities("p-256", 1)
    leaf, none = who.certificate_file.read_text(), "-----BEGIN CERTIFICATE-----\nMAMCAQU=\n-----END CERTIFICATE-----\n"
    for name, chain in (("none.pem", none), ("leaf.pem", leaf)):
        file = support.private_file(tmp_path / name, leaf + chain)
        refused(INPUT, "certificate chain", *anywhere(who, certificate=file))
    # A file with the full chain has the leaf again.
    full = cloudauth.bytes(*anywhere(who, intermediates=who.bundle_file))
    sent = [line for line in full.split(b"\r\n") if line.startswith(b"X-Amz-X509")]
    chain = cloudauth.bytes(*anywhere(who, intermediates=who.chain_file))
    assert len(sent) == 2 and sent == [l for l in chain.split(b"\r\n") if l.startswith(b"X-Amz-X509")]


def test_an_authority_with_serial_number_0(cloudauth, identities, tmp_path):
    """Of old there were some; whoever verifies the chain decides."""
    who = identities("p-256")
    support.openssl(
        "req", "-x509", "-new", "-key", who.folder / "key.pem", "-subj", "/CN=old", "-set_serial", "0", "-days", "3",
        "-out", tmp_path / "old.pem",
    )  # fmt: skip
    assert b"X-Amz-X509-Chain: " in cloudauth.bytes(*anywhere(who, intermediates=tmp_path / "old.pem"))


# ARNs and the other parameters of Roles Anywhere

GOOD = "arn:aws:rolesanywhere:eu-central-1:123456789012"


@pytest.mark.parametrize(
    "changes, names",
    [
        ({"trust-anchor-arn": ""}, "trust anchor ARN"),
        ({"trust-anchor-arn": "nonsense"}, "trust anchor ARN"),
        ({"trust-anchor-arn": GOOD}, "trust anchor ARN"),
        ({"trust-anchor-arn": f"{GOOD}:trust-anchor/"}, "trust anchor ARN"),
        ({"trust-anchor-arn": f"{GOOD}:profile/P"}, "trust anchor ARN"),
        ({"trust-anchor-arn": f"{GOOD}:trust-anchor/a b"}, "trust anchor ARN"),
        ({"trust-anchor-arn": f"{GOOD}:trust-anchor/T\r\nX: y"}, "trust anchor ARN"),
        ({"trust-anchor-arn": "arn:aws:iam::123456789012:role/R"}, "trust anchor ARN"),
        ({"trust-anchor-arn": "arn:gcp:rolesanywhere:eu-central-1:123456789012:trust-anchor/T"}, "trust anchor ARN"),
        ({"trust-anchor-arn": "arn:aws:rolesanywhere:eu-central-1:1234:trust-anchor/T"}, "trust anchor ARN"),
        ({"trust-anchor-arn": "arn:aws:rolesanywhere::123456789012:trust-anchor/T"}, ["trust anchor", "region"]),
        ({"trust-anchor-arn": "arn:aws:rolesanywhere:evil.example/:123456789012:trust-anchor/T"}, ""),
        ({"profile-arn": ""}, "profile ARN"),
        ({"profile-arn": f"{GOOD}:trust-anchor/T"}, "profile ARN"),
        ({"profile-arn": f"{GOOD.replace('eu-', 'us-')}:profile/P"}, ["profile ARN", "region"]),
        ({"role-arn": ""}, "role ARN"),
        ({"role-arn": "arn:aws:iam::123456789012:user/U"}, "role ARN"),
        ({"role-arn": "arn:aws:iam::123456789012:role/"}, "role ARN"),
        ({"role-arn": "role/R"}, "role ARN"),
        ({"role-arn": "arn:aws:iam:eu-central-1:123456789012:role/R"}, "role ARN"),
        ({"role-arn": "arn:aws-cn:iam::123456789012:role/R"}, ["role ARN", "partition"]),
        ({"profile-arn": f"{GOOD.replace('123456789012', '210987654321')}:profile/P"}, ["profile ARN", "account"]),
        ({"profile-arn": f"{GOOD.replace('arn:aws:', 'arn:aws-us-gov:')}:profile/P"}, "partition"),
        ({"region": "cn-north-1"}, ["region", "partition"]),
        ({"region": "EU"}, "region"),
        ({"region": ""}, "region"),
        ({"region": "evil.example/"}, "region"),
        ({"endpoint": "a b"}, "endpoint"),
        ({"endpoint": ""}, "endpoint"),
        ({"endpoint": "evil.example/?path"}, "endpoint"),
        ({"endpoint": "http://evil.example"}, ["endpoint", "loopback"]),
        ({"endpoint": "user@evil.example"}, "endpoint"),
        ({"endpoint": "host:port"}, "endpoint"),
        ({"endpoint": "host:99999"}, "endpoint"),
        ({"endpoint": ":443"}, "endpoint"),
        ({"endpoint": "]:["}, "endpoint"),
        ({"session-duration": "899"}, "session duration"),
        ({"session-duration": "43201"}, "session duration"),
        ({"role-session-name": ""}, "role session name"),
        ({"role-session-name": "x"}, "role session name"),
        ({"role-session-name": "x" * 65}, "role session name"),
        ({"role-session-name": "a/b"}, "role session name"),
        ({"role-session-name": "ünï"}, "role session name"),
        ({"instance-property": "no equals sign"}, "instance property"),
        ({"instance-property": "=value"}, "instance property"),
    ],
)
def test_roles_anywhere_parameter(refused, identities, changes, names):
    for options in ((), ("--explain",)):
        refused(INPUT, names, *anywhere(identities("p-256"), *options, **changes))


def test_instance_property_twice(refused, identities):
    """JSON with a name twice means what its reader makes of it."""
    options = ("--instance-property", "a=1", "--instance-property", "a=2")
    refused(INPUT, "instance property", *anywhere(identities("p-256"), *options))


@pytest.mark.parametrize("serial", ["0", "-5", "0x01" + 20 * "00"])
def test_serial_number(refused, identities, tmp_path, serial):
    """Not positive, or of more than 20 octets (RFC 5280, section 4.1.2.2)."""
    who = identities("rsa-2048")
    file = tmp_path / "leaf.pem"
    support.openssl(
        "req", "-x509", "-new", "-key", who.folder / "key.pem", "-subj", "/CN=leaf",
        "-set_serial", serial, "-days", "3", "-out", file,
    )  # fmt: skip
    refused(INPUT, "serial number", *anywhere(who, certificate=file))


@pytest.mark.parametrize("value", ["15m", "-900", ""])
def test_session_duration_that_is_no_number(refused, identities, value):
    refused(USAGE, "--session-duration", *anywhere(identities("p-256"), f"--session-duration={value}"))


# Parameters of azure assertion


@pytest.mark.parametrize(
    "changes, names",
    [
        ({"tenant": ""}, "tenant"),
        ({"tenant": ".."}, "tenant"),
        ({"tenant": "a/b"}, "tenant"),
        ({"tenant": "contoso.com?x"}, "tenant"),
        ({"client-id": ""}, "client id"),
        ({"client-id": 'a"b'}, "client id"),
        ({"authority": ""}, "authority"),
        ({"authority": "a/b"}, "authority"),
        ({"authority": "http://login.microsoftonline.com"}, "authority"),
        ({"authority": "user@host"}, "authority"),
        ({"authority": "host:99999"}, "authority"),
    ],
)
def test_azure_parameter(refused, identities, changes, names):
    refused(INPUT, names, *azure(identities("rsa-2048"), **changes))


def test_azure_missing_options(refused, identities):
    who = identities("rsa-2048")
    for name in ("--key", "--certificate", "--tenant", "--client-id"):
        args = list(azure(who))
        at = args.index(name)
        del args[at : at + 2]
        refused(USAGE, name, *args)


def test_leaf_in_its_own_chain(refused, identities, tmp_path):
    who = identities("rsa-2048")
    file = support.private_file(tmp_path / "twice.pem", who.certificate_file.read_text() * 2)
    refused(INPUT, "certificate chain", *azure(who, "--send-chain", certificate=file))
