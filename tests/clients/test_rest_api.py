"""The sample of rest-api/: a service that has its secret and its TLS certificate only where it is attested."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest
import yaml

import emulator as e
import rest_api
import support
from rest_api import HERE, LEASE, container, manifests, pod, readme_commands, within
from test_emulator import no_network  # noqa: F401 (fixture)


@pytest.fixture(scope="module")
def emulator(cloudauth, tmp_path_factory):
    folder = tmp_path_factory.mktemp("emulator")
    socket = folder / "tee.sock"
    started = e.Emulator(cloudauth, folder, "--teeserver", socket)
    started.socket = socket
    yield started
    started.stop()


@pytest.fixture
def place(cloudauth, emulator, tmp_path):
    emulator.reset()
    made = rest_api.Place(cloudauth, emulator, tmp_path)
    made.attest()
    yield made
    made.close()


# The files


def test_manifests():
    every = manifests()
    names = {"broker", "rest-api", "rest-api-no-attestation"}
    assert {name for kind, name in every if kind in ("Deployment", "Pod")} == names
    # It ends, and that is what is to be seen: a deployment would start it over and over.
    assert every["Pod", "rest-api-no-attestation"]["spec"]["restartPolicy"] == "Never"
    assert {name for kind, name in every if kind == "Service"} == {"broker", "rest-api"}
    for name in names:
        spec = pod(name)["spec"]
        if ("Deployment", name) in every:
            selector = every["Deployment", name]["spec"]["selector"]["matchLabels"]
            assert selector.items() <= pod(name)["metadata"]["labels"].items()
        assert spec["securityContext"]["runAsNonRoot"] and not spec["automountServiceAccountToken"]
        one = container(name)
        assert one["securityContext"]["readOnlyRootFilesystem"]
        assert not one["securityContext"]["allowPrivilegeEscalation"]
        assert one["securityContext"]["capabilities"]["drop"] == ["ALL"]
        # No secret in the environment, where whoever sees the cluster sees it.
        assert "env" not in one and "envFrom" not in one
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        assert {mount["name"] for mount in one["volumeMounts"]} == volumes.keys()
        mounts = {mount["mountPath"]: volumes[mount["name"]] for mount in one["volumeMounts"]}
        if name != "broker":
            assert mounts["/run/rest-api"]["emptyDir"]["medium"] == "Memory"
    for name in ("broker", "rest-api"):
        service = every["Service", name]["spec"]
        assert service["selector"] == {"app": name}
        assert service["ports"][0]["targetPort"] == container(name)["ports"][0]["name"]


def test_images_and_compose():
    text = (HERE / "Containerfile").read_text()
    pinned = re.search(r"^Flask==(.*)$", (HERE.parent / "requirements.txt").read_text(), re.M).group()
    assert f" {pinned}\n" in text
    stages = {stage.split(None, 1)[0]: stage for stage in re.split(r"^FROM \S+ AS ", text, flags=re.M)[1:]}
    assert all("USER 10001:10001" in stages[name] for name in ("broker", "rest-api"))
    entry = {name: yaml.safe_load(re.search(r"ENTRYPOINT (.*)", stages[name]).group(1)) for name in ("broker", "rest-api")}
    # The manifests run what the images run.
    assert entry["rest-api"] == container("rest-api")["command"]
    assert entry["broker"][:-1] == container("broker")["command"][:-1]
    services = yaml.safe_load((HERE / "compose.yaml").read_text())["services"]
    assert services.keys() == {"broker", "rest-api", "rest-api-no-attestation"}
    without = services["rest-api-no-attestation"]
    assert without["entrypoint"] == container("rest-api-no-attestation")["command"]
    for name, service in services.items():
        root = (HERE / service["build"]["context"]).resolve()
        assert (root / service["build"]["dockerfile"]) == HERE / "Containerfile"
        assert service["build"]["target"] in stages and "environment" not in service
        if name != "broker":
            assert any(mount.startswith("/run/rest-api:") for mount in service["tmpfs"])
    # A checkout may let its group write; what others can change is refused.
    for configuration in ("broker.toml", "run.toml", "broker-ca.pem"):
        [flags] = re.findall(rf"^COPY (.*?)tests/clients/.*\b{configuration}\b.* /etc", text, re.M)
        assert flags == "--chmod=0644 "
    for copied in re.findall(r"^COPY (?!--from)(?:--chmod=\d+ )?(.*) \S+$", text, re.M):
        for path in copied.split():
            # The one that the reader makes.
            assert path == "." or path.endswith("broker-ca.pem") or (HERE.parents[2] / path).exists(), path


def test_keys_of_the_reader_stay_out_of_images_and_history():
    """None is made in the build context; and what someone makes there after all is in no layer."""
    root = HERE.parents[2]
    blocks = "\n".join(readme_commands())
    without_a_cloud, rest = blocks.split("\nkeys=", 1)
    assert "demo=$(mktemp -d) && cd $demo" in without_a_cloud
    made = re.findall(r"-(?:keyout|out) (\S+)", rest)
    assert made and all(path.startswith("$keys/") for path in made), made
    assert rest.startswith("~/")
    services = yaml.safe_load((HERE / "compose.yaml").read_text())["services"]
    mounted = services["broker"]["volumes"]
    assert mounted and all(mount.startswith("${REST_API_KEYS:?") for mount in mounted)
    assert "export REST_API_KEYS=~/" in rest
    ignored = (root / ".dockerignore").read_text().splitlines()
    assert {"**/*.key", "**/target", ".git", "secrets-demo", "broker-demo"} <= set(ignored)
    kept_out = (root / ".gitignore").read_text().splitlines()
    assert {"/secrets-demo/", "/broker-demo/", "/tests/clients/rest-api/broker-ca.pem"} <= set(kept_out)
    # A second list would be read in the place of this one.
    assert not list(HERE.glob("*ignore"))


def test_everything_is_cleaned_up():
    blocks = "\n".join(readme_commands())
    applied = set(re.findall(r"kubectl apply -f (\S+)", blocks))
    assert applied == {f"tests/clients/rest-api/kubernetes/{p.name}" for p in (HERE / "kubernetes").iterdir()}
    assert applied == set(re.findall(r"kubectl delete -f (\S+)", blocks))
    made = set(re.findall(r"kubectl create (?:secret \w+|configmap) (\S+)", blocks))
    deleted = {name for line in re.findall(r"kubectl delete (?:secret|configmap) (.*) --", blocks) for name in line.split()}
    assert made == deleted
    mounted = set()
    for volume in manifests()["Deployment", "broker"]["spec"]["template"]["spec"]["volumes"]:
        mounted.add(volume.get("configMap", {}).get("name") or volume["secret"]["secretName"])
    assert mounted == made
    assert "compose.yaml up" in blocks and "compose.yaml down" in blocks
    removed = re.search(r"^podman rmi --ignore (.*)$", blocks, re.M).group(1).split()
    assert set(re.findall(r"podman build .* -t (\S+) \.$", blocks, re.M)) == set(removed)
    gone = {path for line in re.findall(r"^(?:podman unshare )?rm -r (.*)$", blocks, re.M) for path in line.split()}
    assert {"$REST_API_KEYS", "~/rest-api-keys", "tests/clients/rest-api/broker-ca.pem"} <= gone


def test_the_readme_without_a_cloud(cloudauth, tmp_path):
    """As pasted, but for the ports and the repository's place."""
    first, clean = [block for block in readme_commands() if "$demo" in block]
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/cloudauth").symlink_to(cloudauth.path)
    (tmp_path / "tests/clients").mkdir(parents=True)
    (tmp_path / "tests/clients/rest-api").symlink_to(HERE)
    temporary = tmp_path / "t"
    temporary.mkdir()
    script = f"set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{first}\n{clean}"
    for port in ["8443", "8444", "8445", "9090", "4996"]:
        assert port in script
        script = script.replace(port, str(rest_api.free_port()))
    path = f"{tmp_path}/bin:{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60,
        env={"PATH": path, "HOME": str(tmp_path), "TMPDIR": str(temporary)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines() if "access_timestamp" in line]
    assert [answer["secret"] for answer in answers] == ["the first one", "the second one"], done.stdout + done.stderr
    assert not list(temporary.iterdir())


# The service


def test_the_secret_over_https(place):
    broker = place.broker()
    service = place.serving()
    before = time.time()
    status, answer, _ = place.get(service)
    assert status == 200 and answer.keys() == {"access_timestamp", "secret"}
    assert answer["secret"] == place.secret and before <= answer["access_timestamp"] <= time.time()

    assert {path.stat().st_mode & 0o777 for path in place.files()} == {0o400}
    names = {str(path.relative_to(place.memory / "rest-api/files")) for path in place.files()}
    assert {"secret", "tls/flask.crt", "tls/flask.key"} <= names

    record = place.record()
    assert (record["grant"], record["verdict"]) == ("rest-api", "granted")
    nowhere_but_in_memory(place, broker, service)

    service.popen.terminate()
    service.ended()
    assert not (place.memory / "rest-api/files").exists()


def nowhere_but_in_memory(place, broker, service):
    """No value stands where others, or those who come later, can read it."""
    key = place.private_key.splitlines()[1]
    values = [place.secret.encode(), key.encode()]
    [app] = service.children()
    for pid in [broker.pid, service.pid, app]:
        for name in ("cmdline", "environ"):
            with open(f"/proc/{pid}/{name}", "rb") as file:
                text = file.read()
            assert not any(value in text for value in values), (pid, name)
    assert not any(value in place.metrics() for value in values)
    for path in place.folder.rglob("*"):
        if path.is_file():
            assert not any(value in path.read_bytes() for value in values), path


def test_rotation_under_load(place):
    place.broker()
    service = place.serving()
    [app] = service.children()
    seen, failed, done = [], [], threading.Event()

    def ask():
        while not done.is_set():
            try:
                status, answer, certificate = place.get(service, verify=False)
                assert status == 200
                seen.append((time.monotonic(), answer["secret"], certificate))
            except Exception as error:
                failed.append(error)
            time.sleep(0.01)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    first = place.secret
    try:
        within(10, lambda: len(seen) > 20)
        place.rotate_secret("second-value-of-the-secret")
        place.rotate_certificate()
        rotated = time.monotonic()
        new = (place.secret, support.cert_der(place.certificate))
        within(LEASE + 5, lambda: seen[-1][1:] == new)
        took = time.monotonic() - rotated
        # And once more, the secret alone.
        place.rotate_secret("third-value-of-the-secret")
        within(LEASE + 5, lambda: seen[-1][1:] == (place.secret, new[1]))
        time.sleep(0.5)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert not failed, failed[:3]
    assert took < LEASE
    values = [value for _, value, _ in sorted(seen, key=lambda one: one[0])]
    order = list(dict.fromkeys(values))
    assert order == [first, "second-value-of-the-secret", "third-value-of-the-secret"]
    # It is the process that it was.
    assert service.children() == [app] and service.popen.poll() is None


def test_without_attestation_it_does_not_start(place):
    place.broker()
    service = place.service("rest-api-no-attestation")
    assert service.ended() == 1
    assert "flask" in service.said() or "No such file" in service.said(), service.said()
    assert "start it with cloudauth run" in service.said()
    # Nor where cloudauth run finds nobody who attests.
    never_starts(place, lambda text: text.replace("tee.sock", "none.sock"), "Confidential Space")


def never_starts(place, change=lambda text: text, says="", code=None, limit=60):
    """The command of a service that gets nothing is not started, and leaves nothing."""
    mark = place.folder / "started"
    command = container("rest-api")["command"]
    command = [*command[: command.index("--") + 1], "/usr/bin/touch", str(mark)]
    service = place.service(command=command, change=change)
    ended = service.ended(limit)
    assert ended in ([code] if code else [4, 5]), (ended, service.said())
    assert says in service.said(), service.said()
    assert not mark.exists() and not place.files()


@pytest.mark.parametrize(
    ("claims", "check"),
    [({"image_digest": "sha256:" + "2" * 64}, "image"), ({"debug": True}, "debug"), ({"project": "other"}, "project")],
    ids=["measurement", "debug", "project"],
)  # fmt: skip
def test_another_workload_gets_nothing(place, claims, check):
    place.broker()
    place.attest(**claims)
    never_starts(place, says="denied")
    record = place.record()
    assert record["verdict"] == "denied"
    assert [one["name"] for one in record["checks"] if one["outcome"] == "failed"] == [check]
    # Its neighbour does.
    place.attest()
    place.serving()


@pytest.mark.parametrize("fault", ["denied", "disabled", "throttled", "down"])
def test_a_vault_that_gives_nothing_at_the_start(place, fault):
    place.broker()
    spoil(place, fault)
    never_starts(place)
    record = place.record()
    assert record["verdict"] != "granted"
    assert place.secret not in str(record)
    mend(place)
    service = place.serving()
    assert place.get(service)[1]["secret"] == place.secret


def spoil(place, fault):
    if fault == "denied":
        place.readers("somebody-else")
    elif fault == "disabled":
        place.rotate_secret("disabled-value", enabled=False)
    elif fault == "throttled":
        place.emulator.fault("throttle", "key-vault", count=1000, retry_after=1)
    else:
        place.emulator.fault("reset", "key-vault", count=1000)


def mend(place):
    place.emulator.control("fault", method="DELETE")
    place.readers(e.CLIENT)
    place.rotate_secret("value-after-the-fault")


@pytest.mark.parametrize("fault", ["denied", "disabled", "throttled", "down"])
def test_a_vault_that_gives_nothing_in_mid_run(place, fault):
    """What is valid is kept; once the vault is well again the service has what is new, and never ended."""
    # Long enough that the fault is over before the lease ends.
    place.broker_config(lambda text: text.replace(f"lease = {LEASE}", "lease = 20"))
    place.broker()
    service = place.serving()
    first = place.secret
    spoil(place, fault)
    within(20, lambda: place.record()["verdict"] != "granted")
    assert place.get(service)[1]["secret"] == first
    mend(place)
    within(20, lambda: place.get(service)[1]["secret"] == place.secret)
    assert service.popen.poll() is None


@pytest.mark.parametrize("whose", ["attestation", "vault"])
@pytest.mark.parametrize("offset", [86_400, -86_400], ids=["ahead", "behind"])
def test_a_jump_of_a_clock_by_a_day(place, whose, offset):
    """The attestation service's, or the vault's alone: nothing is given meanwhile, and what is valid is kept."""
    place.broker_config(lambda text: text.replace(f"lease = {LEASE}", "lease = 20"))
    place.broker()
    service = place.serving()
    first = place.secret
    place.rotate_secret("value-of-tomorrow")
    service_of = {"attestation": "teeserver", "vault": "key-vault"}
    place.emulator.fault("clock", service_of[whose], count=1000, seconds=offset)
    within(20, lambda: place.record()["verdict"] != "granted")
    record = place.record()
    failed = {one["name"] for one in record["checks"] if one["outcome"] == "failed"}
    if whose == "attestation":
        # Before anybody asks the vault.
        assert record["verdict"] == "attestation_invalid", record
        assert failed and failed <= {"exp", "nbf", "iat", "max_age"}, failed
    else:
        # The attestation is good, and so is the token of Entra ID: it is the vault that says no.
        assert not failed and "vault answered 401" in json.dumps(record), record
    assert place.get(service)[1]["secret"] == first
    place.emulator.control("fault", method="DELETE")
    within(20, lambda: place.get(service)[1]["secret"] == place.secret)
    assert service.popen.poll() is None


def test_a_lease_that_ends_stops_the_service(place):
    place.broker()
    began = time.monotonic()
    service = place.serving()
    spoil(place, "denied")
    # SIGTERM, as run.toml has it. The service ends well, but not by itself: whoever looks after it starts it again.
    assert service.ended(LEASE + 20) == 5, service.said()
    assert time.monotonic() - began >= LEASE - 1
    assert "the lease of the secrets has ended" in service.said(), service.said()
    assert not place.files()


def test_the_broker_restarts(place):
    broker = place.broker()
    service = place.serving()
    [app] = service.children()
    broker.stop(kill=True)
    place.rotate_secret("value-while-the-broker-was-away")
    time.sleep(1)
    place.broker()
    within(LEASE + 5, lambda: place.get(service)[1]["secret"] == place.secret)
    assert service.children() == [app]


def test_kill_leaves_files_that_the_next_start_wipes(place):
    place.broker()
    service = place.serving()
    [app] = service.children()
    old = {path: path.read_bytes() for path in place.files()}
    service.stop(kill=True)
    # The service goes with it: nobody would renew what it has.
    within(10, lambda: not os.path.exists(f"/proc/{app}") or state(app) == "Z")
    assert old and place.files()
    place.attest(image_digest="sha256:" + "2" * 64)
    never_starts(place)
    place.attest()
    place.rotate_secret("value-of-the-next-start")
    service = place.serving()
    assert place.get(service)[1]["secret"] == place.secret


def state(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(") ")[2].split()[0]


def test_a_pair_that_does_not_fit_is_not_used(place):
    """What only the service itself can look at: SIGHUP with a broken pair keeps the old one."""
    place.broker()
    service = place.serving()
    [app] = service.children()
    crt = place.memory / "rest-api/files/tls/flask.crt"
    good = crt.read_bytes()
    crt.chmod(0o600)
    crt.write_bytes(b"nothing")
    os.kill(app, signal.SIGHUP)
    within(10, lambda: "the old one stays" in service.said())
    place.get(service)
    crt.write_bytes(good)
    os.kill(app, signal.SIGHUP)
    within(10, lambda: "loaded again" in service.said())
    place.get(service)
