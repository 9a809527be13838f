"""Times `cloudauth gcp token` as a whole process, with a software RSA-2048 key."""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS = 101
GOAL_MS = 6.0


def wall(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - start) * 1e3


def main() -> int:
    program = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        key = Path(folder) / "key.pem"
        options = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", str(key)]
        subprocess.run(["openssl", "genpkey", *options], check=True, capture_output=True)
        key.chmod(0o600)
        ours = [program, "gcp", "token", "--key", f"file:{key}", "--email", "robot@example.com"]
        # The peer signs the same amount with the same key, and does nothing else.
        peer = ["openssl", "dgst", "-sha256", "-sign", str(key), "/dev/null"]
        wall(ours), wall(peer)
        pairs = [(wall(ours), wall(peer)) for _ in range(RUNS)]
    mine = statistics.median(a for a, _ in pairs)
    theirs = statistics.median(b for _, b in pairs)
    ratio = statistics.median(a / b for a, b in pairs)
    met = mine <= GOAL_MS
    print(
        f"\n`cloudauth gcp token` from an RSA-2048 PEM, whole process: {mine:.1f} ms wall "
        f"(goal <= {GOAL_MS:.0f} ms: {'yes' if met else 'NO'}); "
        f"`openssl dgst -sign` {theirs:.1f} ms; ratio {ratio:.2f}"
    )
    # A shared machine's absolute time means little: fail only where something is broken.
    return 0 if mine <= 3 * GOAL_MS else 1


if __name__ == "__main__":
    sys.exit(main())
