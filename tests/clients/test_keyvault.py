"""The emulator's Key Vault, read by Microsoft's own libraries for it."""

import base64
import datetime

import azure.core.exceptions
import azure.identity
import pytest
from azure.keyvault.certificates import CertificateClient
from azure.keyvault.secrets import SecretClient
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

import emulator as e
import support
from test_emulator import emulator, no_network, running  # noqa: F401 (fixtures)


def register(emulator, readers=(e.CLIENT,), name="prod", **contents):
    vault = {"name": name, "tenant": e.TENANT, "readers": list(readers), **contents}
    emulator.control("register", {"vaults": [vault]})


@pytest.fixture
def client(emulator):
    """Makes clients by the vault's real name: nothing is set but a proxy."""
    made = []

    def make(kind, host="prod.vault.azure.net", secret=e.CLIENT_SECRET, **options):
        proxy = {"proxies": {"https": emulator.http_url}, "connection_verify": emulator.ca, "retry_total": 0}
        credential = azure.identity.ClientSecretCredential(e.TENANT, e.CLIENT, secret, **proxy)
        made.append(credential)
        made.append(kind(f"https://{host}", credential, **{**proxy, **options}))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_secrets_and_their_versions(emulator, client):
    ends = 1_900_000_000
    register(emulator, secrets=[{"name": "db", "value": "one", "content_type": "text/plain"}])
    vault = client(SecretClient)
    first = vault.get_secret("db")
    assert (first.value, first.properties.content_type, first.properties.enabled) == ("one", "text/plain", True)
    register(emulator, secrets=[{"name": "db", "value": "two", "expires": ends, "not_before": 5}])
    second = vault.get_secret("DB")
    assert second.value == "two" and second.properties.version != first.properties.version
    assert second.properties.expires_on == datetime.datetime.fromtimestamp(ends, datetime.timezone.utc)
    assert vault.get_secret("db", first.properties.version).value == "one"
    for _ in range(40):
        register(emulator, secrets=[{"name": "db", "value": "more"}])
    versions = [one.version for one in vault.list_properties_of_secret_versions("db")]
    assert len(versions) == len(set(versions)) == 42 and first.properties.version in versions


def test_secrets_that_are_refused(emulator, client):
    register(emulator, secrets=[{"name": "db", "value": "one"}, {"name": "off", "value": "x", "enabled": False}])
    vault = client(SecretClient)
    assert vault.get_secret("db").value
    with pytest.raises(azure.core.exceptions.ResourceNotFoundError, match="SecretNotFound"):
        vault.get_secret("none")
    with pytest.raises(azure.core.exceptions.ResourceNotFoundError):
        vault.get_secret("db", "0" * 32)
    with pytest.raises(azure.core.exceptions.HttpResponseError, match="SecretDisabled|disabled") as refused:
        vault.get_secret("off")
    assert refused.value.status_code == 403
    for status in (429, 503):
        emulator.fault("status", "key-vault", status=status) if status == 503 else emulator.fault("throttle", "key-vault")
        with pytest.raises(azure.core.exceptions.HttpResponseError) as failed:
            vault.get_secret("db")
        assert failed.value.status_code == status
    assert vault.get_secret("db").value == "one"


def test_who_may_read(emulator, client):
    register(emulator, secrets=[{"name": "db", "value": "one"}])
    register(emulator, name="other", readers=["somebody-else"], secrets=[{"name": "db", "value": "hidden"}])
    assert client(SecretClient).get_secret("db").value == "one"
    with pytest.raises(azure.core.exceptions.HttpResponseError, match="permission") as refused:
        client(SecretClient, host="other.vault.azure.net").get_secret("db")
    assert refused.value.status_code == 403
    with pytest.raises(azure.core.exceptions.ResourceNotFoundError):
        client(SecretClient, host="none.vault.azure.net").get_secret("db")
    with pytest.raises(azure.core.exceptions.ClientAuthenticationError):
        client(SecretClient, secret="wrong").get_secret("db")
    vault = client(SecretClient)
    assert vault.get_secret("db").value == "one"
    # The client's clock has not moved: it shows its old token, which has ended.
    emulator.control("clock", {"offset": 7200})
    with pytest.raises(azure.core.exceptions.ClientAuthenticationError, match="expired"):
        vault.get_secret("db")
    assert client(SecretClient).get_secret("db").value == "one"


@pytest.mark.parametrize("form", ["pem", "pkcs12"])
def test_certificates(emulator, client, form):
    key = support.new_key("rsa-2048")
    certificate = e.certify(key, "service", "service", key)
    pem = support.key_pem(key) + support.cert_pem(certificate)
    pem = pem.decode() if isinstance(pem, bytes) else pem
    stored = {"name": f"tls-{form}", "pem": pem}
    if form == "pkcs12":
        pfx = pkcs12.serialize_key_and_certificates(
            None, key, certificate, None, serialization.NoEncryption()
        )
        stored["pkcs12"] = base64.b64encode(pfx).decode()
    register(emulator, certificates=[stored])
    read = client(CertificateClient).get_certificate(stored["name"])
    assert bytes(read.cer) == support.cert_der(certificate)
    assert read.secret_id.startswith("https://prod.vault.azure.net/secrets/tls-")
    secret = client(SecretClient).get_secret(stored["name"])
    assert secret.properties.version == read.properties.version
    if form == "pkcs12":
        assert secret.properties.content_type == "application/x-pkcs12"
        opened = pkcs12.load_pkcs12(base64.b64decode(secret.value), None)
        assert opened.cert.certificate == certificate
    else:
        assert secret.properties.content_type == "application/x-pem-file"
        assert secret.value == pem


def test_registration_says_what_is_wrong(emulator):
    for contents in ({"secrets": [{"name": "a/b", "value": "x"}]}, {"certificates": [{"name": "a", "pem": "x"}]}):
        with pytest.raises(Exception, match="400"):
            register(emulator, name="bad", **contents)
    register(emulator, name="good", secrets=[{"name": "a-b", "value": "x"}])
