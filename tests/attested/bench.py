"""The broker beside one of Go's net/http, under the same load: python3 tests/attested/bench.py CLOUDAUTH

Each takes full handshakes, then whole exchanges (handshake, challenge, attestation verified, binder, grant, a
credential from memory), then holds idle connections. The load (Go, tests/attested/cmd/load) signs the
attestations itself, on the same machine: so the servers' own processor time is the fairest of these numbers.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
DIGEST = "sha256:" + "1" * 64
AUDIENCE, ISSUER, PROJECT = "https://broker.example", "https://issuer.example", "demo-project"
LENGTH = os.environ.get("ATTESTED_BENCH_LENGTH", "6s")
CONNECTIONS = os.environ.get("ATTESTED_BENCH_CONNECTIONS", "2000")

CLAIMS = {
    "iss": ISSUER,
    "sub": f"https://www.googleapis.com/compute/v1/projects/{PROJECT}/zones/europe-west4-a/instances/w",
    "secboot": True, "oemid": 11129, "hwmodel": "GCP_AMD_SEV", "swname": "CONFIDENTIAL_SPACE",
    "swversion": ["260800"], "dbgstat": "disabled-since-boot",
    "google_service_accounts": [f"workload@{PROJECT}.iam.gserviceaccount.com"],
    "submods": {
        "confidential_space": {"support_attributes": ["LATEST", "STABLE", "USABLE"]},
        "container": {
            "image_reference": f"us-docker.pkg.dev/{PROJECT}/images/workload@{DIGEST}",
            "image_digest": DIGEST, "image_id": "sha256:" + "2" * 64, "restart_policy": "Never",
        },
        "gce": {
            "project_id": PROJECT, "project_number": "123456789012", "zone": "europe-west4-a",
            "instance_name": "w", "instance_id": "1234567890123456789",
        },
    },
}

BROKER = f"""
audience = "{AUDIENCE}"
[server]
listen = "127.0.0.1:0"
certificate = "server.pem"
key = "file:FOLDER/server.key"
admin-listen = "off"
records = "records.jsonl"
[server.limits]
connections = 20000
connections-per-address = 20000
[server.rates]
connections = {{ per-minute = 10000000, burst = 1000000 }}
client = {{ per-minute = 10000000, burst = 1000000 }}
grant = {{ per-minute = 10000000, burst = 1000000 }}
[issuers.load]
kind = "confidential-space"
issuer = "{ISSUER}"
keys-file = "jwks.json"
[grants.g.attested]
issuer = "load"
image-digests = ["{DIGEST}"]
dbgstat = "disabled-since-boot"
swname = "CONFIDENTIAL_SPACE"
hwmodel = "GCP_AMD_SEV"
projects = ["{PROJECT}"]
secure-boot = true
support-attributes = ["STABLE"]
[grants.g.give]
kind = "gcp-token"
key = "file:FOLDER/gcp.key"
email = "reader@{PROJECT}.iam.gserviceaccount.com"
scopes = ["https://www.googleapis.com/auth/bigquery.readonly"]
"""


def certificates(folder: Path) -> None:
    """An authority and a server's certificate, P-256; an RSA key for the credential."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=folder)

    for name in ("ca", "server"):
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", f"{name}.key")
    openssl("req", "-x509", "-new", "-key", "ca.key", "-subj", "/CN=Bench", "-days", "2", "-out", "ca.pem")
    openssl("req", "-new", "-key", "server.key", "-subj", "/CN=localhost", "-out", "server.csr")
    (folder / "ext").write_text("subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-extfile", "ext",
            "-days", "2", "-out", "server.pem")
    openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "gcp.key")
    for key in ("server.key", "gcp.key"):
        (folder / key).chmod(0o600)


def main() -> None:
    cloudauth = sys.argv[1]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        go = dict(os.environ, GOTOOLCHAIN="local")
        subprocess.run(["go", "build", "-o", f"{folder}/", "./cmd/load", "./cmd/peer"], check=True, cwd=HERE, env=go)
        certificates(folder)
        subprocess.run([folder / "load", "keys", folder], check=True)
        (folder / "claims.json").write_text(json.dumps(CLAIMS))
        (folder / "broker.toml").write_text(BROKER.replace("FOLDER", str(folder)))
        ours = [cloudauth, "broker", "serve", "--config", str(folder / "broker.toml")]
        peer = [
            str(folder / "peer"), "-cert", str(folder / "server.pem"), "-key", str(folder / "server.key"),
            "-jwks", str(folder / "jwks.json"), "-issuer", ISSUER, "-audience", AUDIENCE,
            "-image-digest", DIGEST, "-project", PROJECT,
        ]
        results = {"ours": measure(ours, folder), "Go net/http": measure(peer, folder)}
    rows = [
        ("handshakes", "per_second", "handshakes, 1/s"), ("handshakes", "p50_ms", "  p50, ms"),
        ("handshakes", "p99_ms", "  p99, ms"), ("handshakes", "server_cpu_ms_each", "  server's processor, ms each"),
        ("exchanges", "per_second", "exchanges, 1/s"), ("exchanges", "p50_ms", "  p50, ms"),
        ("exchanges", "p99_ms", "  p99, ms"), ("exchanges", "server_cpu_ms_each", "  server's processor, ms each"),
        ("hold", "bytes_each", "held connection, octets of memory"),
    ]
    print(f"{'attested broker':36}" + "".join(f"{side:>14}" for side in results))
    for mode, member, title in rows:
        print(f"{title:36}" + "".join(f"{result[mode][member]:>14}" for result in results.values()))
    failed = [(side, mode) for side, modes in results.items() for mode in modes if modes[mode].get("failed")]
    if failed:
        sys.exit(f"requests failed: {failed}: {results}")


def measure(command: list[str], folder: Path) -> dict[str, dict]:
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ, RUST_LOG="warn"))
    try:
        line = server.stdout.readline()
        port = json.loads(line)["api"].rsplit(":", 1)[1] if line.startswith("{") else line.split()[1]
        shared = ["-address", f"127.0.0.1:{port}", "-ca", folder / "ca.pem", "-pid", str(server.pid)]
        modes = {
            "handshakes": ["-length", LENGTH],
            "exchanges": ["-length", LENGTH, "-keys", folder, "-claims", folder / "claims.json"],
            "hold": ["-connections", CONNECTIONS],
        }
        results = {}
        for mode, more in modes.items():
            done = subprocess.run([folder / "load", mode, *shared, *more], check=True, capture_output=True, text=True)
            results[mode] = json.loads(done.stdout)
        return results
    finally:
        server.kill()
        server.wait()


if __name__ == "__main__":
    main()
