"""How `cloudauth` behaves live: what users complain of in AWS's helper (an empty credential served as
success, no cache, unclear refusals, …), exit codes, the environment, time-outs, proxies, trusted
certificates."""

import concurrent.futures
import json
import os
import stat
import time

import pytest

import emulator as e
import support
from short_sts import ShortSts
from live import Device
from test_emulator import emulator, no_network, running  # noqa: F401

VARIABLES = ["AccessKeyId", "SecretAccessKey", "SessionToken"]


@pytest.fixture
def device(emulator, tmp_path):  # noqa: F811
    return Device(emulator, tmp_path)


def refused(cloudauth, args, code, *says, **how):
    """A run that fails with this code: nothing on standard output, one message on standard error."""
    done = cloudauth.run(*args, **how)
    assert (done.returncode, done.stdout) == (code, b""), (args, done.returncode, done.stderr)
    for text in says:
        assert text in done.stderr, done.stderr
    assert e.SECRET_KEY not in done.stderr and "-----BEGIN" not in done.stderr
    return done.stderr


# What users of the AWS helper complain of (rolesanywhere-credential-helper)


def test_no_empty_credential_is_a_success(cloudauth, device):
    """There: `serve` gave a credential of empty strings with Code "Success" when the service failed."""
    for fault in [
        {"kind": "expired"}, {"kind": "html"}, {"kind": "status", "status": 403}, {"kind": "huge"},
        {"kind": "status", "count": 9}, {"kind": "truncate", "count": 9}, {"kind": "reset", "count": 9},
    ]:  # fmt: skip
        device.emulator.reset()
        device.emulator.fault(service="roles-anywhere", **fault)
        refused(cloudauth, device.anywhere(), 5, "cloudauth: CreateSession: ")
    device.emulator.reset()
    found = cloudauth.json(*device.anywhere())
    assert all(found[name] for name in VARIABLES)


def test_an_empty_answer_is_none(cloudauth, tmp_path):
    """A service that answers with empty strings."""
    import http.server
    import threading

    body = json.dumps({"credentialSet": [{"credentials": {
        "accessKeyId": "", "secretAccessKey": "", "sessionToken": "", "expiration": "2099-01-01T00:00:00Z",
    }}]}).encode()  # fmt: skip

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(201)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    who = support.identity(tmp_path / "who", "p-256")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        args = ["aws", "roles-anywhere", "--key", who.key_uri, "--certificate", who.certificate_file,
                "--trust-anchor-arn", e.ANCHOR, "--profile-arn", e.PROFILE, "--role-arn", e.ROLE,
                "--endpoint-url", f"http://127.0.0.1:{server.server_address[1]}"]  # fmt: skip
        refused(cloudauth, args, 5)
        server.shutdown()


def test_a_failed_refresh_kills_nothing(cloudauth, tmp_path):
    """There: a refresh that fails ends the daemon. Here: what is at hand serves until its end."""
    token = support.private_file(tmp_path / "token", "eyJhbGciOiJSUzI1NiJ9.e30.c2ln")
    with ShortSts(36) as sts:
        args = ["aws", "web-identity", "--token-file", token, "--role-arn", e.ROLE, "--region", "eu-west-1",
                "--endpoint-url", sts.url, "--cache-dir", tmp_path / "cache"]  # fmt: skip
        first, start = cloudauth.json(*args), time.monotonic()
        assert sts.calls == 1
        # In its last quarter a renewal is tried, fails, and is told in no way that breaks the caller.
        sts.down = True
        while sts.calls == 1 and time.monotonic() < start + 31:
            done = cloudauth.run(*args)
            assert done.returncode == 0 and json.loads(done.stdout) == first, done
            time.sleep(0.5)
        assert sts.calls > 1
        # Five seconds before its end, and from then on, the error is told.
        time.sleep(max(0, start + 32 - time.monotonic()))
        refused(cloudauth, args, 5, "AssumeRoleWithWebIdentity", "500")
        sts.down = False
        assert cloudauth.json(*args) != first


def test_parallel_runs_make_one_session(cloudauth, device):
    """There: no cache, so parallel runs exceed the ten sessions a second. Here: one CreateSession."""
    cache = ["--cache-dir", device.folder / "cache"]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        runs = [pool.submit(cloudauth.json, *device.anywhere(*cache)) for _ in range(16)]
        found = [run.result() for run in runs]
    assert all(one == found[0] for one in found)
    assert len(device.requests("roles-anywhere")) == 1
    assert stat.S_IMODE((device.folder / "cache").stat().st_mode) == 0o700
    for file in (device.folder / "cache").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    # Without the cache each asks, and nothing is written.
    for _ in range(2):
        cloudauth.json(*device.anywhere("--no-cache"), env={"XDG_RUNTIME_DIR": str(device.folder)})
    assert len(device.requests("roles-anywhere")) == 3
    assert not (device.folder / "cloudauth").exists()
    # The runtime directory is the default.
    os.chmod(device.folder, 0o700)
    env = {"XDG_RUNTIME_DIR": str(device.folder)}
    assert cloudauth.json(*device.anywhere(), env=env) == cloudauth.json(*device.anywhere(), env=env)
    assert len(device.requests("roles-anywhere")) == 4
    # Cleared, it asks again.
    cloudauth.run("cache", "clear", env=env)
    cloudauth.json(*device.anywhere(), env=env)
    assert len(device.requests("roles-anywhere")) == 5


def test_refusals_say_what_to_look_at(cloudauth, device, tmp_path):
    """There: an AccessDenied for a chain, a clock or an ARN, with nothing to go by."""
    other = support.identity(tmp_path / "other", "p-256")
    args = [str(arg) for arg in device.anywhere()]
    stranger = [a.replace(str(device.certificate), str(other.certificate_file)) for a in args]
    stranger = [a.replace(f"file:{device.key}", other.key_uri) for a in stranger]
    refused(cloudauth, stranger, 5, "CreateSession", "403", "AccessDenied", "trust")
    # The wrong key for the certificate is found before anything is sent.
    mixed = [a.replace(f"file:{device.key}", other.key_uri) for a in args]
    device.emulator.control("requests", method="DELETE")
    refused(cloudauth, mixed, 4, "certificate")
    assert device.requests("roles-anywhere") == []
    # A clock that cannot be corrected is named, with the side it is off to.
    device.emulator.control("clock", {"offset": 3 * 86400})
    refused(cloudauth, args, 5, "clock is 2", "s behind the service's: set it")
    device.emulator.control("clock", {"offset": 0})
    wrong = [a.replace("role/app/reader", "role/app/writer") for a in args]
    refused(cloudauth, wrong, 5, "AccessDenied")


def test_a_wrong_clock_is_corrected(cloudauth, device):
    for offset in [-4000, 4000]:
        device.emulator.control("clock", {"offset": offset})
        device.emulator.control("requests", method="DELETE")
        assert cloudauth.json(*device.anywhere())["Version"] == 1
        assert [r["status"] for r in device.requests("roles-anywhere")] == [403, 201]


def test_nothing_is_sent_when_signing_fails(cloudauth, device):
    """There: `os.Exit` in the library, or an unsigned request."""
    for key in ["file:/nonexistent", "env:NOT_SET", f"file:{device.certificate}", "pkcs11:object=none"]:
        args = [str(arg) for arg in device.anywhere()]
        args = [a.replace(f"file:{device.key}", key) for a in args]
        refused(cloudauth, args, 3)
        refused(cloudauth, device.assume_role(key=key.replace("leaf.pem", "none")), 3)
    assert device.requests("roles-anywhere") == [] and device.requests("sts") == []


def test_option_names_of_the_helper(cloudauth, device):
    names = {"--key": "--private-key", "--endpoint-url": "--endpoint"}
    args = [names.get(arg, arg) for arg in device.anywhere()]
    assert "--private-key" in args and cloudauth.json(*args)["Version"] == 1
    # A bare path, which the helper takes: told how it is written here.
    bare = [str(a).removeprefix("file:") for a in args]
    refused(cloudauth, bare, 3, "file:PATH")
    for option in ["--no-verify-ssl", "--with-proxy"]:
        refused(cloudauth, [*args, option], 2)


# Exit codes, output, environment


def test_exit_codes(cloudauth, device):
    none = "https://127.0.0.1:9"
    args = [none if a == device.emulator.url else a for a in device.anywhere()]
    refused(cloudauth, args, 5, "CreateSession", "127.0.0.1:9")
    refused(cloudauth, device.anywhere("--session-duration", "1"), 4, "duration")
    refused(cloudauth, device.anywhere("--config", "/nonexistent.toml"), 4, "/nonexistent.toml")
    refused(cloudauth, ["aws", "roles-anywhere"], 2)
    refused(cloudauth, device.anywhere("--profile", "x"), 2)


def test_output(cloudauth, device):
    plain, machine = (cloudauth.json(*device.anywhere(*o)) for o in [[], ["--output", "json"]])
    assert set(plain) == set(machine) == {"Version", "Expiration", *VARIABLES}
    refused(cloudauth, device.anywhere("--output", "google-executable"), 2)


def test_timeout(cloudauth, device):
    device.emulator.fault("latency", "roles-anywhere", count=9, milliseconds=8000)
    start = time.monotonic()
    refused(cloudauth, device.anywhere("--timeout", "2"), 5, "2000 ms")
    assert time.monotonic() - start < 6


def test_trust(cloudauth, device, tmp_path):
    args = device.anywhere()
    at = args.index("--ca-file")
    bare = args[:at] + args[at + 2 :]
    assert cloudauth.json(*bare, env={"AWS_CA_BUNDLE": device.emulator.ca})["Version"] == 1
    assert cloudauth.json(*bare, env={"SSL_CERT_FILE": device.emulator.ca})["Version"] == 1
    stranger = support.identity(tmp_path / "ca", "p-256").certificate_file
    for env in [{}, {"AWS_CA_BUNDLE": str(stranger)}, {"SSL_CERT_FILE": str(stranger)}]:
        says = refused(cloudauth, bare, 5, env=env)
        assert "trusted" in says or "certificate" in says, says
    # The option goes before the variable.
    env = {"AWS_CA_BUNDLE": str(stranger), "SSL_CERT_FILE": "/nonexistent"}
    assert cloudauth.json(*args, env=env)["Version"] == 1
    empty = support.private_file(tmp_path / "empty.pem", "")
    refused(cloudauth, [*bare, "--ca-file", empty], 5)
    refused(cloudauth, [*bare, "--ca-file", tmp_path / "none.pem"], 4, "none.pem")


def test_endpoint_variables(cloudauth, device):
    url, none = device.emulator.url, "https://127.0.0.1:9"
    sts, anywhere = device.assume_role(endpoint=False), device.anywhere(endpoint=False)
    assert cloudauth.json(*sts, env={"AWS_ENDPOINT_URL": url})
    assert cloudauth.json(*sts, env={"AWS_ENDPOINT_URL_STS": url, "AWS_ENDPOINT_URL": none})
    assert cloudauth.json(*anywhere, env={"AWS_ENDPOINT_URL": url})
    assert cloudauth.json(*anywhere, env={"AWS_ENDPOINT_URL_ROLESANYWHERE": url, "AWS_ENDPOINT_URL": none})
    # What is given goes before what is set.
    assert cloudauth.json(*device.assume_role(), env={"AWS_ENDPOINT_URL_STS": none})
    refused(cloudauth, sts, 5, "127.0.0.1:9", env={"AWS_ENDPOINT_URL": none})
    args = device.azure("token", "--scope", "https://vault.azure.net/.default", "--ca-file", device.emulator.ca)
    at = args.index("--authority")
    args = args[:at] + args[at + 2 :]
    assert cloudauth.text(*args, env={"AZURE_AUTHORITY_HOST": url})
    refused(cloudauth, args, 5, "127.0.0.1:9", env={"AZURE_AUTHORITY_HOST": "127.0.0.1:9"})


def test_proxy(cloudauth, device):
    """The services by their real names, which only the proxy leads to."""
    proxy = {"HTTPS_PROXY": device.emulator.http_url}
    for args, service, host in [
        (device.anywhere(endpoint=False), "roles-anywhere", "rolesanywhere.eu-west-1.amazonaws.com"),
        (device.assume_role(endpoint=False), "sts", "sts.eu-west-1.amazonaws.com"),
        (device.federate(endpoint=False), "google-sts", "sts.googleapis.com"),
    ]:
        cloudauth.bytes(*args, env=proxy)
        assert device.requests(service)[-1]["host"] == host
    args = device.assume_role(endpoint=False)
    refused(cloudauth, args, 5, "127.0.0.1:9", env={"HTTPS_PROXY": "http://127.0.0.1:9"})
    refused(cloudauth, args, 5, "HTTPS_PROXY", env={"HTTPS_PROXY": "socks5://127.0.0.1:9"})
    # Loopback is never behind a proxy.
    assert cloudauth.json(*device.assume_role(), env={"HTTPS_PROXY": "http://127.0.0.1:9"})


def test_plain_http(cloudauth, device):
    def to(url):
        return [url if a == device.emulator.url else a for a in device.assume_role()]

    assert cloudauth.json(*to(device.emulator.http_url))["Version"] == 1
    for url in ["http://sts.example", "http://192.0.2.1", "http://localhost.example:8080"]:
        refused(cloudauth, to(url), 4, "plain http is allowed to loopback hosts only")
        refused(cloudauth, device.assume_role(endpoint=False), 4, "loopback", env={"AWS_ENDPOINT_URL": url})


def test_faults_that_pass(cloudauth, device):
    """One is tried again; the caller sees nothing of it."""
    for fault in [
        {"kind": "throttle"}, {"kind": "throttle", "retry_after": 1}, {"kind": "status"}, {"kind": "reset"},
        {"kind": "truncate"}, {"kind": "html", "status": 503}, {"kind": "latency", "milliseconds": 300},
    ]:  # fmt: skip
        device.emulator.fault(service="roles-anywhere", **fault)
        assert cloudauth.json(*device.anywhere())["Version"] == 1, fault
