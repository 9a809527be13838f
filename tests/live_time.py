"""Times `cloudauth aws roles-anywhere` as a whole process, live against the emulator on loopback over TLS.

usage: live_time.py PROGRAM [PYTHON]

The peer is curl, which sends the same request over TLS, signed beforehand: one process, one handshake, one
answer, and nothing to sign. With PYTHON, one that has the package iam-rolesanywhere-session, that is timed too.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS = 101
PYTHON_RUNS = 5
ARN = "arn:aws:rolesanywhere:eu-west-1:123456789012"
ROLE = "arn:aws:iam::123456789012:role/r"
KINDS = {"RSA-2048": (["rsa:2048"], 8.0), "P-256": (["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], 7.0)}
WARM_GOAL_MS = 4.0

PACKAGE = """
import sys, warnings
warnings.simplefilter("ignore")
from iam_rolesanywhere_session import IAMRolesAnywhereSession
certificate, key, profile, role, anchor, endpoint, ca = sys.argv[1:]
session = IAMRolesAnywhereSession(
    profile_arn=profile, role_arn=role, trust_anchor_arn=anchor, certificate=certificate, private_key=key,
    region="eu-west-1", endpoint=endpoint, verify=ca,
)
print(session.get_session().get_credentials().get_frozen_credentials().access_key)
"""


def openssl(*args) -> None:
    subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True)


def certificate(folder: Path, name: str, kind: list[str], *extensions: str, issuer: str = "") -> None:
    """A key and a certificate in NAME.key and NAME.pem."""
    signed = ["-CA", folder / f"{issuer}.pem", "-CAkey", folder / f"{issuer}.key"] if issuer else []
    added = [part for extension in extensions for part in ("-addext", extension)]
    openssl(
        "req", "-x509", "-newkey", *kind, "-nodes", "-keyout", folder / f"{name}.key", "-days", 30,
        "-out", folder / f"{name}.pem", "-subj", f"/CN={name}", *signed, *added,
    )  # fmt: skip
    (folder / f"{name}.key").chmod(0o600)


def wall(command: list[str], env: dict[str, str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=env)
    return (time.perf_counter() - start) * 1e3


def show(what: str, mine: list[float], peer: list[float], goal: float) -> float:
    median, fastest = statistics.median(mine), min(mine)
    ratio = statistics.median(a / b for a, b in zip(mine, peer))
    print(
        f"`cloudauth aws roles-anywhere`, {what}, whole process: {median:.1f} ms wall, fastest {fastest:.1f} "
        f"(goal <= {goal:.0f} ms: {'yes' if median <= goal else 'NO'}); "
        f"curl, the same request signed beforehand, {statistics.median(peer):.1f}, fastest {min(peer):.1f}; "
        f"ratio {ratio:.2f}"
    )
    return median / goal


def measure(program: str, folder: Path, kind: str, url: str, python: str | None) -> float:
    env = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    arns = {"--trust-anchor-arn": f"{ARN}:trust-anchor/t", "--profile-arn": f"{ARN}:profile/p"}
    ours = [
        program, "aws", "roles-anywhere", "--key", f"file:{folder}/{kind}.key", "--certificate",
        f"{folder}/{kind}.pem", *[part for pair in arns.items() for part in pair], "--role-arn", ROLE,
        "--endpoint-url", url,
    ]  # fmt: skip
    shown = subprocess.run([*ours, "--dry-run", "--output", "json"], check=True, capture_output=True, env=env)
    request = json.loads(shown.stdout)
    (folder / "headers").write_text("".join(f"{n}: {v}\n" for n, v in request["headers"].items()))
    (folder / "body").write_text(request["body"])
    ca = f"{folder}/ca.pem"
    curl = ["curl", "-sS", "--fail", "--cacert", ca, "-H", f"@{folder}/headers", "--data-binary",
            f"@{folder}/body", request["url"]]  # fmt: skip
    ours += ["--ca-file", ca]
    warm = [*ours, "--cache-dir", f"{folder}/cache"]
    times = {"without cache": ours, "with a warm file cache": warm, "curl": curl}
    for command in times.values():
        wall(command, env)
    found = {name: [] for name in times}
    for _ in range(RUNS):
        for name, command in times.items():
            found[name].append(wall(command, env))
    goals = {"without cache": KINDS[kind][1], "with a warm file cache": WARM_GOAL_MS}
    worst = max(show(f"{kind}, {name}", found[name], found["curl"], goal) for name, goal in goals.items())
    if python:
        package = [
            python, "-c", PACKAGE, f"{folder}/{kind}.pem", f"{folder}/{kind}.key", arns["--profile-arn"], ROLE,
            arns["--trust-anchor-arn"], url.removeprefix("https://"), ca,
        ]  # fmt: skip
        bundle = {**env, "AWS_EC2_METADATA_DISABLED": "true"}
        slow = [wall(package, bundle) for _ in range(PYTHON_RUNS)]
        print(f"  the package iam-rolesanywhere-session (Python), the same: fastest {min(slow):.0f} ms")
    return worst


def main() -> int:
    program, python = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        certificate(folder, "root", KINDS["P-256"][0], "keyUsage=critical,keyCertSign")
        for kind, (how, _) in KINDS.items():
            leaf = ["basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature"]
            certificate(folder, kind, how, *leaf, issuer="root")
        (folder / "emulator.toml").write_text(f"""
[aws]
roles = [{{ arn = "{ROLE}", roles_anywhere = true }}]
trust_anchors = [{{ arn = "{ARN}:trust-anchor/t", certificates = "root.pem" }}]
profiles = [{{ arn = "{ARN}:profile/p", roles = ["{ROLE}"] }}]
""")
        emulator = subprocess.Popen(
            [program, "emulator", "--config", folder / "emulator.toml", "--state-dir", folder],
            stdout=subprocess.PIPE, env={},
        )  # fmt: skip
        try:
            url = json.loads(emulator.stdout.readline())["url"]
            worst = max(measure(program, folder, kind, url, python) for kind in KINDS)
        finally:
            emulator.terminate()
            emulator.wait()
    # A shared machine's absolute time means little: fail only where something is broken.
    return 0 if worst <= 3 else 1


if __name__ == "__main__":
    sys.exit(main())
