"""A session template of SCONE, converted, and what comes of it run: an SGX enclave that Microsoft attests."""

import json
import sys

import pytest

import emulator as e
import rest_api
import support
from test_emulator import no_network  # noqa: F401 (fixture)
from test_rest_api import emulator, place  # noqa: F401 (fixtures)

MEASUREMENT = "5" * 64
POLICY = "d" * 42 + "A"

TEMPLATE = """
name: $NAMESPACE/$SESSION
version: "0.3"
security:
  attestation:
    mode: maa
    url: $MAA_PROVIDER
    tolerate: [debug-mode, maa-managed-tcb]
secrets:
  - name: ENTRA
    kind: aad-token
    tenant_id: $AZURE_TENANT_ID
    client_id: $AZURE_CLIENT_ID
    application_secret: $AZURE_CLIENT_SECRET
  - name: PASSWORD
    kind: ascii
    import_akv:
      vault: $AKV_VAULT
      secret_name: $AKV_SECRET_NAME
      token: $$SCONE::ENTRA$$
  - name: SITE
    kind: x509
    import_akv:
      vault: $AKV_VAULT
      secret_name: flask
  - name: SALT
    kind: binary
    size: 16
services:
  - name: rest-api
    image_name: rest-api
    command: $COMMAND
    mrenclaves: [$MRENCLAVE]
    environment:
      AKV_SECRET: $$SCONE::PASSWORD$$
      URL: "db://user:$$SCONE::PASSWORD:hex$$@db"
      SALT: $$SCONE::SALT:base64$$
images:
  - name: rest-api
    injection_files:
      - path: $TLS/flask.crt
        content: $$SCONE::SITE.crt$$
      - path: $TLS/flask.key
        content: $$SCONE::SITE.key$$
"""

# The enclave's part: it asks for a quote's token with the runtime data that it is told.
ATTEST = """
import json, sys, urllib.request
url, extra = sys.argv[1:]
told = json.load(sys.stdin)
asked = {"kind": "sgx", "runtime": json.loads(told["runtime_data"]), "claims": json.loads(extra)}
request = urllib.request.Request(url, json.dumps(asked).encode(), {"Content-Type": "application/json"})
print(json.load(urllib.request.urlopen(request, timeout=10))["token"])
"""

# What the service does with what it gets.
SERVICE = """
import json, os, sys
files = {name: open(f"{sys.argv[1]}/flask.{name}").read() for name in ("crt", "key")}
print(json.dumps({**files, **{name: os.environ[name] for name in ("AKV_SECRET", "URL", "SALT")}}))
"""


@pytest.fixture
def converted(cloudauth, place):  # noqa: F811
    """The template's broker and service, after what the converter said is left to do."""
    folder = place.folder
    (folder / "session.yml").write_text(TEMPLATE)
    (folder / "attest.py").write_text(ATTEST)
    (folder / "service.py").write_text(SERVICE)
    tls = place.memory / "tls"
    tls.mkdir()
    out = folder / "converted"
    variables = {
        "NAMESPACE": "space", "SESSION": "demo", "MAA_PROVIDER": f"{place.emulator.url}/maa",
        "AZURE_TENANT_ID": e.TENANT, "AZURE_CLIENT_ID": e.CLIENT, "AZURE_CLIENT_SECRET": e.CLIENT_SECRET,
        "AKV_VAULT": f"https://{rest_api.VAULT}.vault.azure.net/", "AKV_SECRET_NAME": "sample-secret",
        "COMMAND": "service", "MRENCLAVE": MEASUREMENT, "TLS": str(tls),
    }  # fmt: skip
    done = cloudauth.run("broker", "convert", "scone", folder / "session.yml", "--use-env", "--out", out, env=variables)
    assert done.returncode == 0, done.stderr
    assert "debug-mode" in done.stderr and e.CLIENT_SECRET not in done.stderr
    assert all(e.CLIENT_SECRET not in path.read_text() for path in out.iterdir())

    def fill(name, *changes):
        text = (out / name).read_text()
        for mine, given in changes:
            assert mine in text, mine
            text = text.replace(mine, given)
        (out / name).write_text(text)

    etc = folder / "etc/broker/tls"
    fill(
        "broker.toml",
        ('# policy-hashes = ["…"]', f'policy-hashes = ["{POLICY}"]'),
        ('"0.0.0.0:8443"', f'"127.0.0.1:{place.broker_port}"\nadmin-listen = "off"'),
        ('"broker.pem"', f'"{etc}/tls.crt"'),
        ('"file:broker.key"', f'"file:{etc}/tls.key"'),
        ("[server]", f'ca-file = "{place.emulator.ca}"\n\n[server]'),
        ('kind = "maa"', f'kind = "maa"\ntrusted-ca = "{place.emulator.ca}"'),
    )
    support.private_file(out / "SALT.secret", bytes(range(16)))
    env = {
        "HTTPS_PROXY": place.emulator.http_url, "NO_PROXY": "127.0.0.1",
        "AZURE_CLIENT_SECRET": e.CLIENT_SECRET,
    }  # fmt: skip
    broker = place.start(["cloudauth", "broker", "serve", "--config", out / "broker.toml"], "broker", **env)
    assert broker.popen.stdout.readline(), broker.said()
    run = (out / "rest-api.run.toml").read_text()

    def service(**claims):
        attest = [sys.executable, str(folder / "attest.py"), f"{place.emulator.http_url}/_emulator/attestation/token"]
        (out / "rest-api.run.toml").write_text(
            run.replace("https://broker.example.com:8443", f"https://broker:8443\"\nserver-name = \"broker\"\n"
                        f"address = \"127.0.0.1:{place.broker_port}")
            .replace("broker-ca.pem", f"{etc}/tls.crt")
            .replace('["/usr/local/bin/attest-maa"]', json.dumps([*attest, json.dumps(claims)]))
        )
        command = ["cloudauth", "run", "--config", out / "rest-api.run.toml", "--"]
        command += ["python3", folder / "service.py", tls]
        return place.start(command, f"service-{len(place.processes)}")

    return service


def test_the_enclave_gets_what_the_session_gave(place, converted):  # noqa: F811
    service = converted()
    out, _ = service.popen.communicate(timeout=30)
    assert service.popen.returncode == 0, service.said()
    got = json.loads(out)
    assert got["AKV_SECRET"] == place.secret
    assert got["URL"] == f"db://user:{place.secret.encode().hex()}@db"
    assert got["SALT"] == "AAECAwQFBgcICQoLDA0ODw=="
    assert got["crt"] == support.cert_pem(place.certificate)
    assert got["key"] == place.private_key
    assert not [path for path in (place.memory / "tls").iterdir() if not path.name.startswith(".")]


@pytest.mark.parametrize(
    ("claims", "check"),
    [({"x-ms-sgx-mrenclave": "7" * 64}, "measurement"), ({"x-ms-sgx-is-debuggable": True}, "debug"),
     ({"x-ms-policy-hash": "e" * 42 + "A"}, "policy-hash")],
    ids=["measurement", "debug", "policy"],
)  # fmt: skip
def test_another_enclave_gets_nothing(place, converted, claims, check):  # noqa: F811
    service = converted(**claims)
    assert service.ended() in (4, 5), service.said()
    assert not service.popen.stdout.read()
    record = place.record()
    assert record["verdict"] == "denied"
    assert [one["name"] for one in record["checks"] if one["outcome"] == "failed"] == [check]
