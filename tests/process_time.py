"""Times `cloudauth gcp token` as a whole process, with an RSA-2048 key in software, in SoftHSM and in swtpm.

usage: process_time.py PROGRAM [PROGRAM_WITH_TPM]
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS = 101
GOAL_MS = 6.0
TOKEN_GOAL_MS = 10.0
TPM_GOAL_MS = 15.0
MODULE = "/usr/lib/softhsm/libsofthsm2.so"
PIN = "84310975"


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
    if not shutil.which("softhsm2-util") or not shutil.which("pkcs11-tool"):
        print("`cloudauth gcp token` from SoftHSM: skipped, SoftHSM or OpenSC is not installed")
    elif token(program) > 3 * TOKEN_GOAL_MS:
        return 1
    if len(sys.argv) < 3 or not shutil.which("swtpm") or not shutil.which("tpm2_sign"):
        print("`cloudauth gcp token` from swtpm: skipped, swtpm, tpm2-tools or the program for it is missing")
    elif tpm(sys.argv[2]) > 3 * TPM_GOAL_MS:
        return 1
    # A shared machine's absolute time means little: fail only where something is broken.
    return 0 if mine <= 3 * GOAL_MS else 1


def quiet(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return (time.perf_counter() - start) * 1e3


def tpm(program: str) -> float:
    """The same from a persistent key in swtpm, with a persistent storage root key, beside tpm2_sign."""
    port = 28000 + os.getpid() % 2000 * 2
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"TPM2TOOLS_TCTI": f"swtpm:host=127.0.0.1,port={port}", "TSS2_LOG": "all+NONE"}
        server = "type=tcp,bindaddr=127.0.0.1,port="
        flags = ["--flags", "not-need-init,startup-clear", "--tpmstate", f"dir={folder}"]
        ends = ["--server", f"{server}{port}", "--ctrl", f"{server}{port + 1}"]
        swtpm = subprocess.Popen(["swtpm", "socket", "--tpm2", *flags, *ends], stderr=subprocess.DEVNULL)
        try:
            until = time.monotonic() + 20
            ready = ["tpm2_getcap", "properties-fixed"]
            while subprocess.run(ready, capture_output=True).returncode:
                if time.monotonic() > until:
                    raise RuntimeError("swtpm does not start")
                time.sleep(0.05)
            made = {name: str(Path(folder) / name) for name in ["p", "u", "r", "k", "m", "s"]}
            Path(made["m"]).write_bytes(b"x" * 400)
            for line in [
                ["tpm2_createprimary", "-C", "o", "-G", "ecc", "-c", made["p"]],
                ["tpm2_flushcontext", "-t"],
                ["tpm2_evictcontrol", "-C", "o", "-c", made["p"], "0x81000001"],
                ["tpm2_flushcontext", "-t"],
                ["tpm2_create", "-C", "0x81000001", "-G", "rsa2048", "-u", made["u"], "-r", made["r"]],
                ["tpm2_load", "-C", "0x81000001", "-u", made["u"], "-r", made["r"], "-c", made["k"]],
                ["tpm2_flushcontext", "-t"],
                ["tpm2_evictcontrol", "-C", "o", "-c", made["k"], "0x81000010"],
                ["tpm2_flushcontext", "-t"],
            ]:
                subprocess.run(line, check=True, capture_output=True)
            uri = "tpm:handle=0x81000010"
            ours = [program, "gcp", "token", "--key", uri, "--email", "robot@example.com"]
            how = ["-g", "sha256", "-s", "rsassa", "-o", made["s"], made["m"]]
            peer = ["tpm2_sign", "-Q", "-c", "0x81000010", *how]
            quiet(ours), quiet(peer)
            pairs = [(quiet(ours), quiet(peer)) for _ in range(RUNS)]
        finally:
            swtpm.kill()
            swtpm.wait()
    mine = statistics.median(a for a, _ in pairs)
    theirs = statistics.median(b for _, b in pairs)
    print(
        f"`cloudauth gcp token` from a persistent RSA-2048 key in swtpm, whole process: {mine:.1f} ms wall "
        f"(goal <= {TPM_GOAL_MS:.0f} ms: {'yes' if mine <= TPM_GOAL_MS else 'NO'}); "
        f"`tpm2_sign` {theirs:.1f} ms (password session); fastest {min(a for a, _ in pairs):.1f} and "
        f"{min(b for _, b in pairs):.1f} ms"
    )
    return mine


def token(program: str) -> float:
    """The same from SoftHSM, beside pkcs11-tool: our median in milliseconds."""
    with tempfile.TemporaryDirectory() as folder:
        conf = Path(folder) / "conf"
        (Path(folder) / "tokens").mkdir()
        conf.write_text(f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\n")
        os.environ |= {"SOFTHSM2_CONF": str(conf), "CLOUDAUTH_KEY_PIN": PIN}
        init = ["--init-token", "--free", "--label", "t", "--pin", PIN, "--so-pin", "12345678"]
        subprocess.run(["softhsm2-util", *init], check=True, capture_output=True)
        tool = ["pkcs11-tool", "--module", MODULE, "--token-label", "t", "--login", "--pin", PIN]
        make = ["--keypairgen", "--key-type", "rsa:2048", "--label", "k", "--id", "01"]
        subprocess.run([*tool, *make], check=True, capture_output=True)
        uri = f"pkcs11:token=t;object=k?module-path={MODULE}"
        ours = [program, "gcp", "token", "--key", uri, "--email", "robot@example.com"]
        signed = ["--sign", "--id", "01", "--mechanism", "SHA256-RSA-PKCS"]
        files = ["--input-file", str(conf), "--output-file", str(Path(folder) / "signature")]
        peer = [*tool, *signed, *files]

        quiet(ours), quiet(peer)
        pairs = [(quiet(ours), quiet(peer)) for _ in range(RUNS)]
    mine = statistics.median(a for a, _ in pairs)
    theirs = statistics.median(b for _, b in pairs)
    print(
        f"`cloudauth gcp token` from an RSA-2048 key in SoftHSM, whole process: {mine:.1f} ms wall "
        f"(goal <= {TOKEN_GOAL_MS:.0f} ms: {'yes' if mine <= TOKEN_GOAL_MS else 'NO'}); "
        f"`pkcs11-tool --sign` {theirs:.1f} ms; fastest {min(a for a, _ in pairs):.1f} and "
        f"{min(b for _, b in pairs):.1f} ms"
    )
    return mine


if __name__ == "__main__":
    sys.exit(main())
