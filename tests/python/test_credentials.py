"""The samples of the old packages' READMEs, with only the constructor changed, against the emulator: keys in
SoftHSM and in a swtpm."""

import asyncio
import json
import threading

import azure.identity
import google.auth.exceptions
import jwt
import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.storage.blob import BlobServiceClient
from azure.storage.blob.aio import BlobServiceClient as AsyncBlobServiceClient
from google.auth.transport.requests import AuthorizedSession
from google.cloud import storage as gcs

import device as d
import emulator as e
from cloudauth import CloudAuthError, Key, MACKey, Scheme
from cloudauth.aws import AWSCredentials, AWSHMACCredentials
from cloudauth.azure import AzureCredentials
from cloudauth.azure.aio import AzureCredentials as AsyncAzureCredentials
from cloudauth.gcp import CLOUD_PLATFORM, GCPCredentials, IDTokenCredentials

VAULT = "https://vault.azure.net/.default"


@pytest.fixture(params=["softhsm", "uri", "swtpm"])
def key(request, device):
    """The options of a key, by its label."""
    if request.param == "uri":
        return lambda label: {"key": device.uri(label)}
    return (request.getfixturevalue("tpm") if request.param == "swtpm" else device).options


def buckets(session, emulator):
    s3 = session.resource("s3", endpoint_url=emulator.url, verify=str(emulator.ca))
    return [bucket.name for bucket in s3.buckets.all()]


def listed(storage, credentials):
    client = gcs.Client(
        project="a-project", credentials=credentials, client_options={"api_endpoint": storage.url}
    )  # fmt: skip
    return [bucket.name for bucket in client.list_buckets()]


# Google


def test_buckets_of_google(emulator, storage, key):
    pc = GCPCredentials(**key("gcp"), email=e.ROBOT)
    assert listed(storage, pc) == ["a", "b"]
    claims = jwt.decode(storage.seen[0][0], options={"verify_signature": False})
    assert claims["scope"] == CLOUD_PLATFORM and claims["exp"] - claims["iat"] == 3600
    assert pc.valid and not pc.expired


def test_a_wrong_google_key(emulator, storage, device):
    pc = GCPCredentials(**device.options("azure"), email=e.ROBOT)
    with pytest.raises(Exception, match="401"):
        listed(storage, pc)


def test_what_google_tokens_say(device):
    pc = GCPCredentials(
        **device.options("gcp"), email=e.ROBOT, scopes="one two", keyid="k7", expire_in="600"
    )  # fmt: skip
    for credential, scopes in [(pc, "one two"), (pc.with_scopes(["three"]), "three"),
                               (pc.with_quota_project("paid"), "one two")]:  # fmt: skip
        credential.refresh(None)
        claims = jwt.decode(credential.token, options={"verify_signature": False})
        assert claims["scope"] == scopes and claims["exp"] - claims["iat"] == 600
        assert jwt.get_unverified_header(credential.token) == {"alg": "RS256", "typ": "JWT", "kid": "k7"}
    assert pc.with_quota_project("paid").quota_project_id == "paid" and pc.quota_project_id is None
    headers = {}
    pc.with_quota_project("paid").before_request(None, "GET", "https://a.example", headers)
    assert headers["x-goog-user-project"] == "paid"
    # No "kid": null.
    plain = GCPCredentials(**device.options("gcp"), email=e.ROBOT)
    plain.refresh(None)
    assert jwt.get_unverified_header(plain.token) == {"alg": "RS256", "typ": "JWT"}
    assert GCPCredentials(**device.options("gcp"), email=e.ROBOT, scopes=None).requires_scopes


def test_a_token_that_is_refused(storage, device, monkeypatch):
    """AuthorizedSession refreshes after a 401: the token that is kept must not come back."""
    pc = GCPCredentials(**device.options("gcp"), email=e.ROBOT)
    pc.refresh(None)
    first = pc.token
    pc.refresh(None)
    assert pc.token == first, "a token that came just now is not got again"
    monkeypatch.setattr("cloudauth.gcp._NEW", 0.0)
    renewed = []
    refresh = GCPCredentials.refresh
    monkeypatch.setattr(
        GCPCredentials, "refresh", lambda self, request: (renewed.append(1), refresh(self, request))
    )
    storage.refuse = 1
    with AuthorizedSession(pc) as session:
        assert session.get(f"{storage.url}/storage/v1/b").status_code == 200
    assert renewed == [1] and len(storage.seen) == 2


def test_sign_bytes(device, emulator):
    """Signed URLs: google-cloud-storage signs them with what the credential has."""
    pc = GCPCredentials(**device.options("gcp"), email=e.ROBOT)
    assert pc.signer_email == e.ROBOT
    blob = gcs.Client(project="p", credentials=pc).bucket("b").blob("o")
    url = blob.generate_signed_url(version="v4", expiration=60)
    assert "X-Goog-Signature=" in url and len(url.split("X-Goog-Signature=")[1]) == 512
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    for signature in (pc.sign_bytes(b"octets"), pc.signer.sign("octets")):
        emulator.keys["robot"].public_key().verify(signature, b"octets", padding.PKCS1v15(), hashes.SHA256())


def test_id_tokens(emulator, device):
    ends = {"endpoint_url": emulator.url, "ca_file": str(emulator.ca)}
    pc = IDTokenCredentials(**device.options("gcp"), email=e.ROBOT, target_audience="https://a.example", **ends)
    for credential, audience in [(pc, "https://a.example"), (pc.with_target_audience("b"), "b"),
                                 (pc.with_quota_project("q"), "https://a.example")]:  # fmt: skip
        credential.refresh(None)
        assert jwt.decode(credential.token, options={"verify_signature": False})["aud"] == audience
    wrong = IDTokenCredentials(**device.options("azure"), email=e.ROBOT, target_audience="a", **ends)
    with pytest.raises(google.auth.exceptions.RefreshError, match="invalid_grant"):
        wrong.refresh(None)


# AWS


def test_buckets_of_a_certificate(emulator, device, key):
    pc = AWSCredentials(**key("aws"), **device.anywhere_here(), session_name="foo", duration_seconds=1000)
    session = pc.get_session()
    assert buckets(session, emulator) == ["bucket-1"]
    assert session.region_name == "eu-west-1" and pc.get_session() is session
    asked = emulator.control("requests?service=roles-anywhere")
    assert len(asked) == 1


def test_an_elliptic_key(emulator, device):
    """The old packages took RSA keys alone."""
    pc = AWSCredentials(**device.options("aws-ec"), **device.anywhere_here("aws-ec"))
    assert buckets(pc.get_session(), emulator) == ["bucket-1"]


def test_the_region_of_the_anchor(device):
    options = {**device.anywhere_here(), "region": None}
    assert AWSCredentials(**device.options("aws"), **options).get_session().region_name == "eu-west-1"


def test_a_wrong_certificate(emulator, device):
    pc = AWSCredentials(**device.options("azure"), **device.anywhere_here())
    with pytest.raises(CloudAuthError, match="certificate"):
        buckets(pc.get_session(), emulator)


def identity(session, emulator):
    sts = session.client("sts", endpoint_url=emulator.url, verify=str(emulator.ca))
    return sts.get_caller_identity()["Arn"]


@pytest.mark.parametrize("name", ["access_key", "aws_access_key_id"])
def test_an_assumed_role(emulator, device, key, name):
    options = device.sts_here(role_session_name="foo", duration_seconds=1000)
    options[name] = options.pop("access_key")
    session = AWSHMACCredentials(**key("hmac"), **options).get_session()
    assert buckets(session, emulator) == ["bucket-1"]
    # Not the region.
    assert identity(session, emulator).endswith(":assumed-role/plain/foo")


def test_what_is_not_given_is_not_sent(emulator, device):
    session = AWSHMACCredentials(**device.options("hmac"), **device.sts_here()).get_session()
    assert identity(session, emulator).endswith(":assumed-role/plain/cloudauth")
    session = AWSCredentials(**device.options("aws"), **device.anywhere_here()).get_session()
    assert "None" not in identity(session, emulator)


def test_a_session_of_the_user(emulator, device, key):
    options = device.sts_here(get_session_token=True)
    del options["assume_role_arn"]
    session = AWSHMACCredentials(**key("hmac"), **options).get_session()
    assert identity(session, emulator).endswith(":user/tester")


def test_external_id_and_tags(emulator, device):
    options = {**device.sts_here(), "assume_role_arn": e.ROLE, "tags": [{"Key": "a", "Value": "b c"}]}
    session = AWSHMACCredentials(**device.options("hmac"), **options, external_id="ext-1").get_session()
    assert identity(session, emulator).endswith("/cloudauth")
    refused = AWSHMACCredentials(**device.options("hmac"), **options, external_id="ext-2").get_session()
    with pytest.raises(CloudAuthError, match="AccessDenied") as caught:
        identity(refused, emulator)
    assert caught.value.status == 403 and not caught.value.transient


# Azure


def test_blobs(emulator, device, key, blobs):
    pc = AzureCredentials(**key("azure"), **device.entra_here())
    service = BlobServiceClient(account_url=blobs.url, credential=pc, connection_verify=str(blobs.ca))
    for _ in range(2):
        container = service.get_container_client("container1")
        assert [blob.name for blob in container.list_blobs()] == ["x", "y"]
    assert len(emulator.control("requests?service=entra")) == 1


def test_tokens_of_azure(emulator, device):
    with AzureCredentials(**device.options("azure"), **device.entra_here()) as pc:
        first, info = pc.get_token(VAULT), pc.get_token_info(VAULT)
        assert first == (info.token, info.expires_on)
        assert pc.get_token("https://storage.azure.com/.default").token != first.token
        assert len(emulator.control("requests?service=entra")) == 2
        # A challenge: what is kept was refused.
        claims = '{"access_token":{"nbf":{"essential":true,"value":"1"}}}'
        challenged = pc.get_token(VAULT, claims=claims)
        assert challenged.token and len(emulator.control("requests?service=entra")) == 3
        # What came of it takes the other's place.
        assert pc.get_token(VAULT) == challenged and len(emulator.control("requests?service=entra")) == 3
        with pytest.raises(ValueError, match="scope"):
            pc.get_token()
        with pytest.raises(ClientAuthenticationError, match="additionally_allowed_tenants"):
            pc.get_token(VAULT, tenant_id="11111111-1111-4222-8333-444455556666")
    with pytest.raises(ClientAuthenticationError, match="closed"):
        pc.get_token(VAULT)
    other = AzureCredentials(
        **device.options("azure"), **{**device.entra_here(), "tenant_id": "elsewhere.example"},
        additionally_allowed_tenants=[e.TENANT],
    )  # fmt: skip
    assert other.get_token(VAULT, tenant_id=e.TENANT).token
    wrong = AzureCredentials(**device.options("gcp"), **device.entra_here())
    with pytest.raises(ClientAuthenticationError, match="certificate"):
        wrong.get_token(VAULT)


CHALLENGE = '{"access_token":{"nbf":{"essential":true,"value":"1"}}}'


def identity_credential(emulator, entra):
    """Microsoft's own, for the same application."""
    return azure.identity.CertificateCredential(
        e.TENANT, e.CLIENT, certificate_path=str(emulator.client_pem), authority=entra.url,
        disable_instance_discovery=True, connection_verify=str(entra.ca), retry_total=0,
    )  # fmt: skip


def test_continuous_access_evaluation(emulator, device, entra):
    """The claims that are sent, and which tokens are kept for whom, are those of azure-identity."""
    here = {"authority": entra.url.removeprefix("https://"), "ca_file": str(entra.ca)}
    ours = {**device.options("azure"), **device.entra(), **here}

    class Twin:
        """The asynchronous one, called as the others are."""

        def __init__(self):
            self.twin = AsyncAzureCredentials(**ours)

        def get_token(self, *scopes, **options):
            return asyncio.run(self.twin.get_token(*scopes, **options))

        def get_token_info(self, *scopes, options):
            return asyncio.run(self.twin.get_token_info(*scopes, options=options))

    found = {}
    for name, new in {
        "azure-identity": lambda: identity_credential(emulator, entra),
        "cloudauth": lambda: AzureCredentials(**ours),
        "cloudauth.aio": Twin,
    }.items():
        entra.seen.clear()
        credential = new()
        plain = credential.get_token(VAULT)
        # Or both would be the same octets.
        emulator.control("clock", {"offset": 2})
        capable = credential.get_token(VAULT, enable_cae=True)
        emulator.control("clock", {"offset": 0})
        assert plain.token != capable.token
        # Each from its own store.
        assert credential.get_token(VAULT).token == plain.token
        assert credential.get_token_info(VAULT, options={"enable_cae": True}).token == capable.token
        assert credential.get_token_info(VAULT, options={}).token == plain.token
        for options in ({}, {"enable_cae": True}):
            # Each its own: azure-identity sends an assertion twice, which the emulator refuses.
            new().get_token(VAULT, claims=CHALLENGE, **options)
            new().get_token_info(VAULT, options={"claims": CHALLENGE, **options})
        found[name] = [json.loads(form.get("claims", "null")) for form in entra.seen]
    capable = {"xms_cc": {"values": ["CP1"]}}
    challenge = json.loads(CHALLENGE)
    both = {"access_token": {**challenge["access_token"], **capable}}
    assert found["azure-identity"] == [None, {"access_token": capable}, challenge, challenge, both, both]
    assert found["cloudauth"] == found["cloudauth.aio"] == found["azure-identity"]
    for bad in ("eyJhIjoxfQ==", "[]", '{"access_token":"x"}'):
        with pytest.raises(ValueError, match="base64"):
            AzureCredentials(**ours).get_token(VAULT, claims=bad, enable_cae=True)


def test_the_asynchronous_twin(emulator, device):
    async def main():
        async with AsyncAzureCredentials(**device.options("azure"), **device.entra_here()) as pc:
            tokens = await asyncio.gather(*[pc.get_token(VAULT) for _ in range(20)])
            assert len({token.token for token in tokens}) == 1
            info = await pc.get_token_info(VAULT, options={})
            assert info.token == tokens[0].token
            with pytest.raises(ClientAuthenticationError):
                await pc.get_token(VAULT, tenant_id="elsewhere")

    asyncio.run(main())
    assert len(emulator.control("requests?service=entra")) == 1


def test_asynchronous_blobs(emulator, device, blobs):
    async def main():
        pc = AsyncAzureCredentials(**device.options("azure"), **device.entra_here())
        service = AsyncBlobServiceClient(blobs.url, credential=pc, connection_verify=str(blobs.ca))
        async with pc, service:
            return [blob.name async for blob in service.get_container_client("container1").list_blobs()]

    assert asyncio.run(main()) == ["x", "y"]


# Keys


def test_keys(device, emulator):
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    with Key(device.uri("gcp")) as key:
        assert key.schemes == [Scheme.RSA_PKCS1_SHA256, Scheme.RSA_PSS_SHA256]
        signature = key.sign(b"m" * 5000)
        emulator.keys["robot"].public_key().verify(signature, b"m" * 5000, padding.PKCS1v15(), hashes.SHA256())
        with pytest.raises(CloudAuthError):
            key.sign(b"m", Scheme.ECDSA_P256_SHA256)
        assert len(key.public_key) > 256
    with pytest.raises(CloudAuthError, match="closed"):
        key.sign(b"m")
    key.close()
    with MACKey(device.uri("hmac")) as key:
        import hashlib
        import hmac

        wanted = hmac.new(b"AWS4" + e.SECRET_KEY.encode(), b"20150830", hashlib.sha256).digest()
        assert key.hmac_sha256(b"20150830") == wanted


def test_closed_while_in_use(device):
    """Threads that sign while another one closes: each signs, or is told."""
    key = Key(device.uri("gcp"))
    failures, done = [], []

    def work():
        try:
            while True:
                assert len(key.sign(b"m")) == 256
                done.append(1)
        except CloudAuthError as error:
            failures.append(str(error))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    while len(done) < 50:
        pass
    key.close()
    for thread in threads:
        thread.join(20)
    assert len(failures) == 8 and all("closed" in failure for failure in failures)


def test_secrets_do_not_show(emulator, tpm, device):
    wrong = {**tpm.options("gcp"), "password": "wrong-password-777"}
    pc = GCPCredentials(**wrong, email=e.ROBOT)
    for _ in range(2):
        # And again: the descriptor was read, and the answer is the same.
        with pytest.raises(google.auth.exceptions.RefreshError) as caught:
            pc.refresh(None)
        assert "wrong-password-777" not in str(caught.value), caught.value
    # The TPM counts failures; ours is not to lock it.
    pc = GCPCredentials(**tpm.options("gcp"), email=e.ROBOT)
    pc.refresh(None)
    live = AWSHMACCredentials(**device.options("hmac"), **device.sts_here())
    for shown in (repr(pc), str(vars(live)), repr(live._client.aws_keys("credential"))):
        assert d.PIN not in shown and tpm.PASSWORD not in shown
    assert live._client.aws_keys("credential").secret_access_key not in repr(live._client.aws_keys("credential"))
