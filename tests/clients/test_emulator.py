"""`cloudauth emulator` with unmodified clients: boto3, iam-rolesanywhere-session, google-auth,
azure-identity, MSAL and curl. Each is accepted, and with a wrong key, signature, time or body refused
with the SDK's own exception."""

import datetime
import email.utils
import http.client
import json
import socket
import subprocess
import time

import azure.core.exceptions
import azure.identity
import boto3
import botocore.exceptions
import google.auth.exceptions
import google.auth.identity_pool
import google.auth.transport.requests
import google.oauth2.id_token
import google.oauth2.service_account
import msal
import pytest
import requests
from botocore.config import Config
from iam_rolesanywhere_session import IAMRolesAnywhereSession
from iam_rolesanywhere_session.exceptions import CredentialsRetrievalError

import emulator as e
import support

SCOPE = "https://www.googleapis.com/auth/cloud-platform"


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Loopback alone."""
    connect, resolve = socket.socket.connect, socket.getaddrinfo

    def checked(self, address):
        assert address[0] in ("127.0.0.1", "::1"), f"a test tried to reach {address}"
        return connect(self, address)

    def resolved(host, *args, **kwargs):
        assert host in ("127.0.0.1", "::1", "localhost"), f"a test tried to resolve {host}"
        return resolve(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", checked)
    monkeypatch.setattr(socket, "getaddrinfo", resolved)


@pytest.fixture(scope="module")
def running(cloudauth, tmp_path_factory):
    started = e.Emulator(cloudauth, tmp_path_factory.mktemp("emulator"))
    yield started
    started.stop()


@pytest.fixture
def emulator(running):
    running.reset()
    return running


@pytest.fixture
def client(emulator):
    """Makes boto3 clients, and closes them."""
    made = []

    def make(service, key=e.ACCESS_KEY, secret=e.SECRET_KEY, token=None, **options):
        options.setdefault("endpoint_url", emulator.url)
        session = boto3.session.Session(key, secret, token, region_name="eu-west-1")
        config = Config(retries={"max_attempts": 0}).merge(options.pop("config", None) or Config())
        made.append(session.client(service, verify=emulator.ca, config=config, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def transport(emulator):
    """A transport of google-auth that trusts the emulator."""
    with requests.Session() as session:
        session.verify, session.trust_env = emulator.ca, False
        yield google.auth.transport.requests.Request(session)


def code(raised):
    return raised.value.response["Error"]["Code"]


def tamper(client, change):
    """Changes each request of the boto3 client after it was signed."""

    def before_send(request, **kwargs):
        change(request)

    client.meta.events.register("before-send", before_send)


def assume(client, **more):
    more = {"RoleArn": e.ROLE, "RoleSessionName": "s-1", "ExternalId": "ext-1", **more}
    return client.assume_role(**more)


def keys_of(answer):
    found = answer["Credentials"]
    return {
        "key": found["AccessKeyId"],
        "secret": found["SecretAccessKey"],
        "token": found["SessionToken"],
    }


# AWS STS


def test_sts(emulator, client):
    sts = client("sts")
    assert sts.get_caller_identity()["Arn"] == f"arn:aws:iam::{e.ACCOUNT}:user/tester"
    policy = json.dumps({"Version": "2012-10-17", "Statement": []})
    answer = assume(
        sts, DurationSeconds=900, Policy=policy, SourceIdentity="me",
        Tags=[{"Key": "team", "Value": "a b+c"}], TransitiveTagKeys=["team"],
        PolicyArns=[{"arn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}],
    )  # fmt: skip
    arn = f"arn:aws:sts::{e.ACCOUNT}:assumed-role/reader/s-1"
    assert answer["AssumedRoleUser"]["Arn"] == arn
    left = answer["Credentials"]["Expiration"] - e.now()
    assert datetime.timedelta(seconds=880) < left <= datetime.timedelta(seconds=900)
    assert client("sts", **keys_of(answer)).get_caller_identity()["Arn"] == arn
    recorded = emulator.control("sessions")
    recorded = next(s for s in recorded if s["access_key_id"] == keys_of(answer)["key"])
    assert recorded["policy"] == policy and recorded["tags"] == {"team": "a b+c"}
    assert recorded["source_identity"] == "me" and recorded["transitive_tag_keys"] == ["team"]
    assert recorded["policy_arns"] == ["arn:aws:iam::aws:policy/ReadOnlyAccess"]
    temporary = client("sts", **keys_of(sts.get_session_token()))
    assert temporary.get_caller_identity()["Arn"].endswith(":user/tester")
    with pytest.raises(botocore.exceptions.ClientError) as raised:
        temporary.get_session_token()
    assert code(raised) == "AccessDenied"
    log = json.dumps(emulator.control("requests"))
    assert "AssumeRole" in log
    for secret in [e.SECRET_KEY, keys_of(answer)["secret"], keys_of(answer)["token"]]:
        assert secret not in log


def test_sts_refuses(emulator, client):
    def refused(call, expected):
        with pytest.raises(botocore.exceptions.ClientError) as raised:
            call()
        assert code(raised) == expected

    refused(client("sts", secret="wrong").get_caller_identity, "SignatureDoesNotMatch")
    refused(client("sts", key="AKIANOBODY0000000000").get_caller_identity, "InvalidClientTokenId")
    refused(client("sts", token="stray").get_caller_identity, "InvalidClientTokenId")
    sts = client("sts")
    temporary = keys_of(assume(sts))
    client("sts", **temporary).get_caller_identity()
    refused(client("sts", **{**temporary, "token": "x"}).get_caller_identity, "InvalidClientTokenId")
    refused(client("sts", **{**temporary, "token": None}).get_caller_identity, "InvalidClientTokenId")
    refused(lambda: assume(sts, ExternalId="ext-2"), "AccessDenied")
    refused(lambda: assume(sts, RoleArn=e.ROLE + "x"), "AccessDenied")
    refused(lambda: assume(sts, DurationSeconds=43201), "ValidationError")
    refused(lambda: assume(sts, Policy="{"), "MalformedPolicyDocument")
    emulator.fault("expired", "sts")
    over = keys_of(assume(sts))
    refused(client("sts", **over).get_caller_identity, "ExpiredToken")
    for offset, accepted in [(840, True), (-240, True), (960, False), (-360, False)]:
        emulator.control("clock", {"offset": offset})
        if accepted:
            client("sts").get_caller_identity()
        else:
            refused(client("sts").get_caller_identity, "SignatureDoesNotMatch")


def test_sts_changed_on_the_way(client):
    changed = client("sts")

    def body(request):
        assert "RoleSessionName=s-1" in request.body
        request.body = request.body.replace("s-1", "s-2")

    tamper(changed, body)
    with pytest.raises(botocore.exceptions.ClientError) as raised:
        assume(changed)
    assert code(raised) == "SignatureDoesNotMatch"


def test_sts_web_identity(emulator, client):
    sts = client("sts", config=Config(signature_version=botocore.UNSIGNED))

    def exchange(token):
        return sts.assume_role_with_web_identity(
            RoleArn=e.ROLE, RoleSessionName="web", WebIdentityToken=token
        )

    answer = exchange(emulator.token("sts.amazonaws.com"))
    assert answer["SubjectFromWebIdentityToken"] == "workload"
    client("sts", **keys_of(answer)).get_caller_identity()
    for token, expected in [
        (emulator.token("sts.amazonaws.com", key=support.new_key("rsa-2048")), "InvalidIdentityToken"),
        (emulator.token("other"), "InvalidIdentityToken"),
        (emulator.token("sts.amazonaws.com", issuer="https://x.example"), "InvalidIdentityToken"),
        (emulator.token("sts.amazonaws.com", subject="another"), "AccessDenied"),
        (emulator.token("sts.amazonaws.com", life=-10), "ExpiredTokenException"),
    ]:
        with pytest.raises(botocore.exceptions.ClientError) as raised:
            exchange(token)
        assert code(raised) == expected


def test_real_names_through_the_proxy(emulator, client):
    """The client believes that it talks to sts.eu-west-1.amazonaws.com."""
    proxied = Config(proxies={"https": emulator.http_url})
    client("sts", endpoint_url=None, config=proxied).get_caller_identity()
    names = [b["Name"] for b in client("s3", endpoint_url=None, config=proxied).list_buckets()["Buckets"]]
    assert names == ["bucket-1"]
    hosts = [record["host"] for record in emulator.control("requests")]
    assert hosts == ["sts.eu-west-1.amazonaws.com", "s3.eu-west-1.amazonaws.com"]
    with pytest.raises(botocore.exceptions.ProxyConnectionError):
        client("ec2", endpoint_url=None, config=proxied).describe_regions()


def test_faults(emulator, client):
    patient = client("sts", config=Config(retries={"mode": "standard", "max_attempts": 3}))
    for kind, more in [("throttle", {"retry_after": 0}), ("status", {"status": 500}), ("reset", {})]:
        emulator.fault(kind, "sts", **more)
        patient.get_caller_identity()
    met = [record["fault"]["kind"] for record in emulator.control("requests") if record["fault"]]
    assert met == ["throttle", "status", "reset"]
    sts = client("sts", config=Config(read_timeout=1))
    emulator.fault("latency", "sts", milliseconds=3000)
    with pytest.raises(botocore.exceptions.ReadTimeoutError):
        sts.get_caller_identity()
    emulator.fault("truncate", "sts")
    with pytest.raises(botocore.parsers.ResponseParserError, match="no element found"):
        sts.get_caller_identity()
    emulator.fault("html", "sts")
    with pytest.raises(botocore.parsers.ResponseParserError):
        sts.get_caller_identity()
    emulator.fault("throttle", "sts")
    with pytest.raises(botocore.exceptions.ClientError) as raised:
        sts.get_caller_identity()
    assert code(raised) == "Throttling"
    emulator.fault("clock", "sts", seconds=3600)
    with pytest.raises(botocore.exceptions.ClientError) as raised:
        sts.get_caller_identity()
    assert code(raised) == "SignatureDoesNotMatch"
    date = raised.value.response["ResponseMetadata"]["HTTPHeaders"]["date"]
    ahead = email.utils.parsedate_to_datetime(date) - e.now()
    assert datetime.timedelta(seconds=3500) < ahead < datetime.timedelta(seconds=3700)


# Amazon S3


def test_s3(emulator, client):
    s3 = client("s3", **keys_of(assume(client("sts"))))
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["bucket-1"]
    s3.put_object(Bucket="bucket-1", Key="dir/a b+ü.txt", Body=b"content" * 1000)
    sent = emulator.control("requests")[-1]["headers"]
    assert sent["x-amz-content-sha256"] == "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    assert sent["content-encoding"] == "aws-chunked"
    answer = s3.get_object(Bucket="bucket-1", Key="dir/a b+ü.txt")
    assert answer["Body"].read() == b"content" * 1000
    assert answer["ChecksumCRC32"]
    for algorithm in ["CRC32", "SHA1", "SHA256"]:
        s3.put_object(Bucket="bucket-1", Key="sum", Body=b"x", ChecksumAlgorithm=algorithm)
    plain = client("s3", endpoint_url=emulator.http_url)
    plain.put_object(Bucket="bucket-1", Key="plain", Body=b"by http")
    assert emulator.control("requests")[-1]["headers"]["x-amz-content-sha256"].isalnum()
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket="bucket-1")["Contents"]]
    assert keys == ["dir/a b+ü.txt", "hello.txt", "logs/1", "logs/2", "plain", "sum"]
    listed = s3.list_objects_v2(Bucket="bucket-1", Delimiter="/", Prefix="", MaxKeys=2)
    assert [one["Prefix"] for one in listed["CommonPrefixes"]] == ["dir/"]
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket="bucket-1", PaginationConfig={"PageSize": 2}
    )
    assert [one["Key"] for page in pages for one in page["Contents"]] == keys
    for key in ["dir/a b+ü.txt", "plain", "sum"]:
        s3.delete_object(Bucket="bucket-1", Key=key)


def test_s3_presigned(emulator, client):
    temporary = keys_of(assume(client("sts")))
    s3 = client("s3", **temporary, config=Config(signature_version="s3v4"))
    url = s3.generate_presigned_url(
        "get_object", Params={"Bucket": "bucket-1", "Key": "hello.txt"}, ExpiresIn=60
    )

    def get(url):
        done = subprocess.run(
            ["curl", "-q", "-s", "--cacert", emulator.ca, "-w", "\\n%{http_code}", url],
            capture_output=True, env={}, timeout=20,
        )  # fmt: skip
        body, _, status = done.stdout.decode().rpartition("\n")
        return int(status), body

    assert get(url) == (200, "hello")
    status, body = get(url.replace("hello.txt", "logs/1"))
    assert status == 403 and "SignatureDoesNotMatch" in body
    status, body = get(url.replace("Expires=60", "Expires=61"))
    assert status == 403 and "SignatureDoesNotMatch" in body
    emulator.control("clock", {"offset": 120})
    status, body = get(url)
    assert status == 403 and "Request has expired" in body


def test_s3_refuses(emulator, client):
    def refused(call, expected):
        with pytest.raises(botocore.exceptions.ClientError) as raised:
            call()
        assert code(raised) == expected

    refused(client("s3", secret="wrong").list_buckets, "SignatureDoesNotMatch")
    refused(client("s3", key="AKIANOBODY0000000000").list_buckets, "InvalidAccessKeyId")
    emulator.fault("expired", "sts")
    refused(client("s3", **keys_of(assume(client("sts")))).list_buckets, "ExpiredToken")
    refused(lambda: client("s3").get_object(Bucket="bucket-1", Key="none"), "NoSuchKey")
    refused(lambda: client("s3").list_objects_v2(Bucket="bucket-2"), "NoSuchBucket")
    changed = client("s3", endpoint_url=emulator.http_url)
    tamper(changed, lambda request: setattr(request, "body", b"changed"))
    refused(lambda: changed.put_object(Bucket="bucket-1", Key="k", Body=b"content"),
            "XAmzContentSHA256Mismatch")  # fmt: skip
    wrong_sum = client("s3")
    refused(lambda: wrong_sum.put_object(Bucket="bucket-1", Key="k", Body=b"a", ChecksumCRC32="AAAAAA=="),
            "BadDigest")  # fmt: skip
    emulator.control("clock", {"offset": 1000})
    refused(client("s3").list_buckets, "RequestTimeTooSkewed")


# IAM Roles Anywhere


def anywhere(emulator, certificate=None, key=None, **options):
    pems = emulator.leaf_pem()
    return IAMRolesAnywhereSession(
        profile_arn=e.PROFILE, role_arn=e.ROLE, trust_anchor_arn=e.ANCHOR,
        certificate=certificate or pems[0], private_key=key or pems[1], region="eu-west-1",
        endpoint=emulator.host, verify=emulator.ca, **options,
    )  # fmt: skip


def test_roles_anywhere(emulator, client):
    session = anywhere(emulator, role_session_name="device-7").get_session()
    found = session.get_credentials().get_frozen_credentials()
    sts = client("sts", found.access_key, found.secret_key, found.token)
    arn = f"arn:aws:sts::{e.ACCOUNT}:assumed-role/reader/device-7"
    assert sts.get_caller_identity()["Arn"] == arn


def test_roles_anywhere_refuses(emulator):
    def refused(text, **options):
        with pytest.raises(CredentialsRetrievalError, match=text):
            anywhere(emulator, **options).get_session().get_credentials().get_frozen_credentials()

    stranger = support.new_key("p-256")
    pem = support.key_pem(stranger, "TraditionalOpenSSL").encode()
    refused("Invalid signature", key=pem)
    alone = e.certify(stranger, "alone", "alone", stranger)
    refused("no chain to the trust anchor", key=pem, certificate=support.cert_pem(alone).encode())
    over = e.certify(stranger, "over", "root", emulator.root_key, days=(-3, -1))
    refused("Certificate is expired", key=pem, certificate=support.cert_pem(over).encode())
    ca = e.certify(stranger, "ca", "root", emulator.root_key, ca=True)
    refused("CA false", key=pem, certificate=support.cert_pem(ca).encode())
    refused("roleSessionName", role_session_name="no spaces please")
    emulator.control("clock", {"offset": 1000})
    refused("not yet current")


# Google


def robot(emulator, key=None, **changes):
    token_uri = f"{emulator.url}/token"
    return support.service_account(key or emulator.keys["robot"], token_uri=token_uri, **changes)


def test_google_service_account(emulator, transport):
    info = robot(emulator)
    credentials = google.oauth2.service_account.Credentials.from_service_account_info(
        info, scopes=[SCOPE]
    )
    credentials.refresh(transport)
    assert credentials.valid and credentials.token.startswith("ya29.")
    asked = google.oauth2.service_account.IDTokenCredentials.from_service_account_info(
        info, target_audience="https://service.example"
    )
    asked.refresh(transport)
    claims = google.oauth2.id_token.verify_token(
        asked.token, transport, "https://service.example", f"{emulator.url}/oauth2/v3/certs"
    )
    assert claims["email"] == e.ROBOT and claims["iss"] == "https://accounts.google.com"


def test_google_by_its_real_name(emulator):
    info = support.service_account(emulator.keys["robot"])
    credentials = google.oauth2.service_account.Credentials.from_service_account_info(
        info, scopes=[SCOPE]
    )
    with requests.Session() as session:
        session.verify, session.trust_env = emulator.ca, False
        session.proxies = {"https": emulator.http_url}
        credentials.refresh(google.auth.transport.requests.Request(session))
    assert credentials.valid
    assert emulator.control("requests")[-1]["host"] == "oauth2.googleapis.com"


def test_google_service_account_refused(emulator, transport):
    def refused(info, text):
        credentials = google.oauth2.service_account.Credentials.from_service_account_info(
            info, scopes=[SCOPE]
        )
        with pytest.raises(google.auth.exceptions.RefreshError, match=text):
            credentials.refresh(transport)

    refused(robot(emulator, key=support.new_key("rsa-2048")), "Invalid JWT Signature")
    refused(robot(emulator, private_key_id="f" * 40), "Invalid JWT Signature")
    refused(robot(emulator, client_email="nobody@a.example"), "account not found")
    emulator.control("clock", {"offset": 2 * 3600})
    refused(robot(emulator), "short-lived token")
    emulator.control("clock", {"offset": 0})
    emulator.fault("status", "google-oauth", count=10, status=503)
    refused(robot(emulator), "internal_failure")


def federated(emulator, token, tmp_path, **more):
    file = tmp_path / "token.jwt"
    file.write_text(token)
    return google.auth.identity_pool.Credentials(
        audience=e.PROVIDER,
        subject_token_type="urn:ietf:params:oauth:token-type:jwt",
        token_url=f"{emulator.url}/v1/token",
        credential_source={"file": str(file)},
        scopes=[SCOPE],
        **more,
    )


def test_google_federation(emulator, transport, tmp_path):
    good = emulator.token(f"https:{e.PROVIDER}")
    credentials = federated(emulator, good, tmp_path)
    credentials.refresh(transport)
    assert credentials.valid
    accounts = f"{emulator.url}/v1/projects/-/serviceAccounts"
    impersonate = {
        "service_account_impersonation_url": f"{accounts}/{e.OTHER_ROBOT}:generateAccessToken"
    }
    credentials = federated(emulator, good, tmp_path, **impersonate)
    credentials.refresh(transport)
    assert credentials.valid
    done = emulator.control("requests?service=google-iam")[-1]
    assert done["principal"].endswith("/subject/workload") and done["status"] == 200
    another = emulator.token(f"https:{e.PROVIDER}", subject="another")
    with pytest.raises(google.auth.exceptions.RefreshError, match="getAccessToken"):
        federated(emulator, another, tmp_path, **impersonate).refresh(transport)
    for token, text in [
        (emulator.token(f"https:{e.PROVIDER}", key=support.new_key("rsa-2048")), "signature"),
        (emulator.token("https://other.example"), "does not match the expected audience"),
        (emulator.token(f"https:{e.PROVIDER}", issuer="https://x.example"), "issuer"),
        (emulator.token(f"https:{e.PROVIDER}", life=-10), "valid time frame"),
    ]:
        with pytest.raises(google.auth.exceptions.OAuthError, match=text):
            federated(emulator, token, tmp_path).refresh(transport)


# Microsoft Entra ID

VAULT = "https://vault.azure.net/.default"


def azure_token(emulator, kind, **options):
    """An access token by a credential class of azure-identity."""
    with kind(
        e.TENANT, e.CLIENT, authority=emulator.url, disable_instance_discovery=True,
        connection_verify=emulator.ca, retry_total=0, **options,
    ) as credential:  # fmt: skip
        return credential.get_token(VAULT)


def test_entra_azure_identity(emulator):
    certificate = {"certificate_path": str(emulator.client_pem)}
    for kind, options in [
        (azure.identity.CertificateCredential, certificate),
        (azure.identity.CertificateCredential, {**certificate, "send_certificate_chain": True}),
        (azure.identity.ClientSecretCredential, {"client_secret": e.CLIENT_SECRET}),
        (azure.identity.ClientAssertionCredential, {"func": lambda: emulator.token(e.AZURE_AUDIENCE)}),
    ]:
        token = azure_token(emulator, kind, **options)
        assert token.expires_on > time.time() + 3000
        assert support.jws_parts(token.token)[1]["aud"] == "https://vault.azure.net"


def test_entra_refuses(emulator, tmp_path):
    def refused(number, kind, **options):
        with pytest.raises(azure.core.exceptions.ClientAuthenticationError, match=f"AADSTS{number}:"):
            azure_token(emulator, kind, **options)

    stranger = support.new_key("rsa-2048")
    pem = support.key_pem(stranger) + support.cert_pem(e.certify(stranger, "a", "a", stranger))
    support.private_file(tmp_path / "stranger.pem", pem)
    by_certificate, by_assertion = (
        azure.identity.CertificateCredential, azure.identity.ClientAssertionCredential
    )  # fmt: skip
    refused(700027, by_certificate, certificate_path=str(tmp_path / "stranger.pem"))
    refused(7000215, azure.identity.ClientSecretCredential, client_secret="wrong")
    for number, token in [
        (50013, emulator.token(e.AZURE_AUDIENCE, key=stranger)),
        (700211, emulator.token(e.AZURE_AUDIENCE, issuer="https://x.example")),
        (700213, emulator.token(e.AZURE_AUDIENCE, subject="another")),
        (700212, emulator.token("api://other")),
        (700024, emulator.token(e.AZURE_AUDIENCE, life=-400)),
        (50027, "no token"),
    ]:
        refused(number, by_assertion, func=lambda token=token: token)
    emulator.control("clock", {"offset": 7200})
    refused(700024, by_certificate, certificate_path=str(emulator.client_pem))


def test_entra_msal(emulator):
    def application(tenant=e.TENANT, credential=e.CLIENT_SECRET, session=None):
        return msal.ConfidentialClientApplication(
            e.CLIENT, client_credential=credential, authority=f"{emulator.url}/{tenant}",
            instance_discovery=False, http_client=session,
        )  # fmt: skip

    with requests.Session() as session:
        session.verify, session.trust_env = emulator.ca, False
        private = support.key_pem(emulator.keys["client"])
        public = (emulator.client_pem.parent / "public.pem").read_text()
        for credential in [
            e.CLIENT_SECRET,
            {"private_key": private, "public_certificate": public},
            {"client_assertion": lambda: emulator.token(e.AZURE_AUDIENCE)},
        ]:
            answer = application(credential=credential, session=session).acquire_token_for_client([VAULT])
            assert answer["token_type"] == "Bearer", answer
        answer = application(session=session).acquire_token_for_client(["https://vault.azure.net/x"])
        assert answer["error"] == "invalid_scope" and answer["error_codes"] == [1002012]
        answer = application(credential="wrong", session=session).acquire_token_for_client([VAULT])
        assert answer["error"] == "invalid_client" and answer["error_codes"] == [7000215]
        with pytest.raises(ValueError, match="AADSTS90002|tenant"):
            application(tenant="nobody.example", session=session).acquire_token_for_client([VAULT])


def test_entra_replay(emulator):
    """The same assertion twice: what an SDK would never send."""
    sent = []

    class Keeps(requests.Session):
        def post(self, url, data=None, **kwargs):
            sent.append((url, dict(data)))
            return super().post(url, data=data, **kwargs)

    with Keeps() as session:
        session.verify, session.trust_env = emulator.ca, False
        msal.ConfidentialClientApplication(
            e.CLIENT,
            client_credential={
                "private_key": support.key_pem(emulator.keys["client"]),
                "public_certificate": (emulator.client_pem.parent / "public.pem").read_text(),
            },
            authority=f"{emulator.url}/{e.TENANT}",
            instance_discovery=False,
            http_client=session,
        ).acquire_token_for_client([VAULT])
        url, data = sent[-1]
        answer = session.post(url, data=data)
    assert answer.status_code == 401 and answer.json()["error_codes"] == [50013]
    shown = emulator.control("requests")[-1]["form"]["client_assertion"]
    assert shown.endswith(".***") and shown.split(".")[0] == data["client_assertion"].decode().split(".")[0]


def test_entra_by_its_real_name(emulator):
    """Nothing is set but a proxy: instance discovery included."""
    with azure.identity.ClientSecretCredential(
        e.TENANT, e.CLIENT, e.CLIENT_SECRET, proxies={"https": emulator.http_url},
        connection_verify=emulator.ca, retry_total=0,
    ) as credential:  # fmt: skip
        assert credential.get_token(VAULT).token
    asked = {record["host"] for record in emulator.control("requests?service=entra")}
    assert asked == {"login.microsoftonline.com"}


# curl


def curl(emulator, *args, config=""):
    done = subprocess.run(
        ["curl", "-q", "-s", "-K", "-", "--cacert", emulator.ca, "-w", "\n%{http_code}", *args],
        input=config.encode(), capture_output=True, env={}, timeout=20,
    )  # fmt: skip
    body, _, status = done.stdout.decode().rpartition("\n")
    return done.returncode, int(status), body


def test_curl(emulator):
    """curl has a SigV4 of its own; the secret goes by standard input."""
    call = ["--aws-sigv4", "aws:amz:us-east-1:sts", "-d", "Action=GetCallerIdentity&Version=2011-06-15"]
    user = f'user = "{e.ACCESS_KEY}:{e.SECRET_KEY}"'
    done, status, body = curl(emulator, *call, emulator.url + "/", config=user)
    assert (done, status) == (0, 200) and "user/tester" in body
    host, port = emulator.host.split(":")
    real = ["--connect-to", f"sts.us-east-1.amazonaws.com:443:{host}:{port}"]
    url = "https://sts.us-east-1.amazonaws.com/"
    done, status, body = curl(emulator, *call, *real, url, config=user)
    assert (done, status) == (0, 200)
    done, status, body = curl(emulator, *call, emulator.url + "/", config=user.replace("Key", "key"))
    assert (done, status) == (0, 403) and "SignatureDoesNotMatch" in body
    call += ["-H", "Accept: application/json"]
    done, status, body = curl(emulator, *call, emulator.url + "/", config=user)
    body = json.loads(body)["GetCallerIdentityResponse"]["GetCallerIdentityResult"]
    assert body["Account"] == e.ACCOUNT


def test_curl_faults(emulator):
    page = f"{emulator.url}/{e.TENANT}/v2.0/.well-known/openid-configuration"
    done, status, body = curl(emulator, page)
    assert (done, status) == (0, 200) and json.loads(body)["token_endpoint"].startswith(emulator.url)
    for kind, more, expected in [
        ("truncate", {}, 18),
        ("reset", {}, 56),
        ("huge", {}, 63),
        ("latency", {"milliseconds": 3000}, 28),
    ]:
        emulator.fault(kind, "entra", **more)
        done, _, _ = curl(emulator, "--max-filesize", "1000000", "--max-time", "2", page)
        assert done == expected, kind
    emulator.fault("throttle", "entra", retry_after=7)
    done, status, body = curl(emulator, "-D", "-", page)
    assert status == 429 and "retry-after: 7" in body.lower() and "temporarily_unavailable" in body


def test_control_api_is_not_for_browsers(emulator):
    page = f"{emulator.http_url}/_emulator/requests"
    assert curl(emulator, page)[1] == 200
    assert curl(emulator, "-H", "Origin: https://evil.example", page)[1] == 403
    assert curl(emulator, "-H", "Host: evil.example", page)[1] == 403
    assert curl(emulator, "-d", "{}", page.replace("requests", "fault"))[1] == 415


def test_loopback_alone(cloudauth):
    done = cloudauth.run("emulator", "--listen", "0.0.0.0:0")
    assert done.returncode == 2 and "loopback" in done.stderr and not done.stdout


def test_what_cloudauth_sends(cloudauth, emulator, tmp_path):
    """What the program's commands print for the real services, sent as it is."""

    def ask(*command, change=lambda octets: octets, **options):
        octets = cloudauth.bytes(*command, "--dry-run", **options)
        host, port = emulator.http_url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), 20) as connection:
            connection.sendall(change(octets))
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            return answer.status, answer.read().decode()

    def flip(octets):
        """Another first digit of the signature in hexadecimal."""
        at = octets.index(b"Signature=") + 10
        return octets[:at] + (b"1" if octets[at : at + 1] == b"0" else b"0") + octets[at + 1 :]

    secret = support.private_file(tmp_path / "secret", e.SECRET_KEY)
    leaf, leaf_key = emulator.leaf_pem()
    support.private_file(tmp_path / "leaf.pem", leaf)
    support.private_file(tmp_path / "leaf-key.pem", leaf_key)
    aws = ["--region", "eu-west-1", "--access-key-id", e.ACCESS_KEY, "--key", f"file:{secret}"]
    role = ["--role-arn", e.ROLE, "--session-name", "robot-7", "--external-id", "ext-1"]
    for command in [
        ["aws", "caller-identity", *aws],
        ["aws", "session-token", *aws],
        ["aws", "assume-role", *aws, *role, "--tag", "a=b c", "--source-identity", "me"],
        ["aws", "roles-anywhere", "--key", f"file:{tmp_path}/leaf-key.pem", "--certificate",
         tmp_path / "leaf.pem", "--trust-anchor-arn", e.ANCHOR, "--profile-arn", e.PROFILE,
         "--role-arn", e.ROLE, "--role-session-name", "device-7"],
    ]:  # fmt: skip
        status, body = ask(*command)
        assert status in (200, 201), (command, body)
        status, body = ask(*command, change=flip)
        assert status == 403, (command, body)
    key = support.private_file(tmp_path / "client.pem", support.key_pem(emulator.keys["client"]))
    azure_token = ["azure", "token", "--tenant", e.TENANT, "--client-id", e.CLIENT, "--scope", VAULT]
    public = emulator.client_pem.parent / "public.pem"
    by_key = [*azure_token, "--key", f"file:{key}", "--certificate", public]
    for more in [[], ["--algorithm", "RS256"], ["--thumbprint", "sha1", "--algorithm", "RS256"]]:
        status, body = ask(*by_key, *more)
        assert status == 200, body
    past = (e.now() - datetime.timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    status, body = ask(*by_key, "--time", past)
    assert status == 401 and "AADSTS700024" in body
    secret = support.private_file(tmp_path / "client-secret", e.CLIENT_SECRET)
    assert ask(*azure_token, "--client-secret", f"file:{secret}")[0] == 200
    account = json.dumps(support.service_account(emulator.keys["robot"]))
    account = support.private_file(tmp_path / "robot.json", account)
    assert ask("gcp", "token", "--oauth", "--key", f"file:{account}")[0] == 200
    status, body = ask("gcp", "id-token", "--key", f"file:{account}", "--audience", "https://a.example")
    assert status == 200 and json.loads(body)["id_token"]
    key = support.private_file(tmp_path / "issuer.pem", support.key_pem(emulator.keys["issuer"]))
    federate = ["gcp", "federate", "--provider", e.PROVIDER, "--key", f"file:{key}",
                "--issuer", e.ISSUER, "--key-id", "k1"]  # fmt: skip
    assert ask(*federate, "--subject", "workload")[0] == 200
    status, body = ask(*federate, "--subject", "workload", "--audience", "https://other.example")
    assert status == 400 and "audience" in body


def test_command_line(cloudauth, tmp_path):
    wrong = support.private_file(tmp_path / "wrong.toml", "[[aws.users]]\narn = 1\n")
    for args, status, text in [
        (["--config", wrong], 4, "line 2"),
        (["--config", tmp_path / "none.toml"], 4, "none.toml"),
        (["--demo", "--config", wrong], 2, "cannot be used"),
        (["--time-offset", "9223372036854775807"], 4, "hundred years"),
    ]:
        done = cloudauth.run("emulator", *args)
        assert done.returncode == status and text in done.stderr and not done.stdout
    process = subprocess.Popen(
        [cloudauth.path, "emulator", "--demo", "--time-offset", "-86400", "--state-dir", tmp_path / "s"],
        stdout=subprocess.PIPE, env={}, text=True,
    )  # fmt: skip
    try:
        line = json.loads(process.stdout.readline())
        assert line["http_url"] is None
        session = boto3.session.Session(
            "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            region_name="eu-west-1",
        )  # fmt: skip
        sts = session.client("sts", endpoint_url=line["url"], verify=line["ca_file"])
        with pytest.raises(botocore.exceptions.ClientError, match="not yet current") as raised:
            sts.get_caller_identity()
        assert code(raised) == "SignatureDoesNotMatch"
        sts.close()
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()
