"""Times signatures of the package beside those of the packages that it replaces, on the same keys of the same
devices, in turn; and what Python adds.

usage: bench.py PROGRAM LIBRARY OLD_PKCS_PYTHON OLD_TPM_PYTHON
  PROGRAM is the cloudauth binary (for its emulator, whose identities the keys are), LIBRARY libcloudauth.so with
  keys in a TPM; OLD_PKCS_PYTHON is a Python that has cloud_auth_pkcs, OLD_TPM_PYTHON one that has cloud_auth_tpm.

Exits with 1 when a result is far below its goal.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROUNDS = 5
# How long each measurement of a round takes, in seconds.
SPAN = 0.4
# Times the old package's signatures a second: the goal, and below what something is wrong, whatever the machine
# does beside. In a TPM each signature proves the password in a session that is kept: for each of the six or seven
# hashes of it libtss2-esys makes an OpenSSL library context of its own. That is nearly all of an HMAC's time, the
# bare call's as much as ours (the rows "TPM (swtpm)"), and why its goal is not reached.
GOALS = {
    "softhsm RSA-2048": (2.5, 1.25), "softhsm HMAC": (50, 20), "swtpm RSA-2048": (12, 4), "swtpm HMAC": (200, 3),
}  # fmt: skip
OVERHEAD_US, IMPORT_MS = 20, 30


def seconds_each(call):
    call()
    count, start = 0, time.perf_counter()
    while True:
        call()
        count += 1
        spent = time.perf_counter() - start
        if spent > SPAN:
            return spent / count


def new(told):
    from cloudauth import Key, MACKey
    from cloudauth._options import KeyOptions, Secrets

    secrets = Secrets()

    def uri(label, where, kind="private"):
        return KeyOptions(None, told[where][label], kind).uri(secrets)

    calls = {}
    for where in ("softhsm", "swtpm"):
        calls[f"{where} RSA-2048"] = lambda key=Key(uri("gcp", where)): key.sign(b"m" * 600)
        calls[f"{where} HMAC"] = lambda key=MACKey(uri("hmac", where, "secret-key")): key.hmac_sha256(b"20261122")
    # In software it is a microsecond or two: nearly all of it is Python.
    calls["overhead"] = lambda key=MACKey(told["file"]): key.hmac_sha256(b"20261122")
    return calls


def old_mac(kind, **attributes):
    # Without the constructor, which calls AWS.
    made = kind.__new__(kind)
    vars(made).update({f"_{name}": value for name, value in attributes.items()})
    return lambda: made._getSignatureKey("AKIAEXAMPLE", "20261122", "us-east-1", "sts")


def old_pkcs(told):
    import pkcs11
    from cloud_auth_pkcs.aws.awshmaccredentials import AWSHMACCredentials
    from cloud_auth_pkcs.base import BaseCredential

    key, options = BaseCredential(**told["softhsm"]["gcp"]), told["softhsm"]["hmac"]
    token = pkcs11.lib(options["module"]).get_token(token_label=options["token"])
    return {
        "softhsm RSA-2048": lambda: key.sign(b"m" * 600),
        "softhsm HMAC": old_mac(AWSHMACCredentials, token=token, label=options["label"], pin=options["pin"]),
    }


def old_tpm(told):
    # It prints nothing, but what it stands on warns.
    import warnings

    warnings.simplefilter("ignore")
    from cloud_auth_tpm.aws.awshmaccredentials import AWSHMACCredentials
    from cloud_auth_tpm.base import BaseCredential

    unset = {"ownerpassword": None, "policy_impl": None, "enc_key_name": None, "use_ek_cert": False}
    key, options = BaseCredential(**told["swtpm"]["gcp"], **unset), told["swtpm"]["hmac"]
    secret = {**options, "keyfile": pathlib.Path(options["keyfile"]).read_text()}
    return {
        "swtpm RSA-2048": lambda: key.sign(b"m" * 600),
        "swtpm HMAC": old_mac(AWSHMACCredentials, **secret, **unset),
    }


def work(which, path):
    told = json.loads(pathlib.Path(path).read_text())
    calls = KINDS[which](told)
    print(json.dumps({name: seconds_each(call) for name, call in calls.items()}))


KINDS = {"new": new, "old-pkcs": old_pkcs, "old-tpm": old_tpm}


def import_ms():
    code = "import time; t = time.perf_counter(); import cloudauth; print(time.perf_counter() - t)"
    runs = [
        float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout) for _ in range(21)
    ]
    return statistics.median(runs) * 1e3


def main():
    program, library, *old_pythons = sys.argv[1:]
    pythons = dict(zip(KINDS, [sys.executable, *old_pythons], strict=True))
    sys.path.insert(1, str(HERE.parent / "clients"))
    import emulator as e
    import support
    from device import Device, Tpm

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for part in ("emulator", "softhsm", "swtpm", "lib"):
            (folder / part).mkdir()
        (folder / "lib" / "libcloudauth.so").symlink_to(pathlib.Path(library).resolve())
        secret = support.private_file(folder / "secret", e.SECRET_KEY)
        emulator = e.Emulator(support.Program(os.path.realpath(program)), folder / "emulator")
        tpm = None
        try:
            device = Device(emulator, folder / "softhsm")
            tpm = Tpm(device, folder / "swtpm")
            os.environ |= {
                **device.env, "LD_LIBRARY_PATH": str(folder / "lib"), "TSS2_LOG": "all+NONE",
                "PYTHONPATH": str(HERE.parents[1] / "ffi" / "python" / "src"), "PYTHONDONTWRITEBYTECODE": "",
            }  # fmt: skip
            told = {
                "file": f"file:{secret}",
                **{where: {label: kind.options(label) for label in ("gcp", "hmac")}
                   for where, kind in (("softhsm", device), ("swtpm", tpm))},
            }  # fmt: skip
            (folder / "told.json").write_text(json.dumps(told))
            found = {"new": [], "old": []}
            for _ in range(ROUNDS):
                found["old"].append({})
                for which, python in pythons.items():
                    done = subprocess.run(
                        [python, __file__, which, folder / "told.json"], check=True, stdout=subprocess.PIPE, timeout=120
                    )
                    times = json.loads(done.stdout)
                    if which == "new":
                        found["new"].append(times)
                    else:
                        found["old"][-1] |= times
        finally:
            if tpm:
                tpm.stop()
            emulator.stop()
        light = import_ms()
    wrong = False
    for name, (goal, least) in GOALS.items():
        mine, theirs = (statistics.median(run[name] for run in found[which]) for which in ("new", "old"))
        ratio = statistics.median(b[name] / a[name] for a, b in zip(found["new"], found["old"], strict=True))
        print(
            f"Python, {name}: {mine * 1e3:.3f} ms a signature, the old package {theirs * 1e3:.2f} ms; "
            f"{ratio:.1f} times (goal >= {goal}: {'yes' if ratio >= goal else 'NO'})"
        )
        wrong |= ratio < least
    overhead = statistics.median(run["overhead"] for run in found["new"]) * 1e6
    for what, value, goal, unit in [
        ("a call with HMAC in software, over C no more than", overhead, OVERHEAD_US, "us"),
        ("import cloudauth, median of 21", light, IMPORT_MS, "ms"),
    ]:
        print(f"Python, {what}: {value:.1f} {unit} (goal <= {goal}: {'yes' if value <= goal else 'NO'})")
        wrong |= value > 4 * goal
    return int(wrong)


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] in KINDS:
        work(*sys.argv[1:])
    else:
        sys.exit(main())
