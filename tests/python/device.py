"""Keys of the emulator's identities in a SoftHSM token and in a swtpm: put there by other programs."""

import gc
import itertools
import os
import pathlib
import subprocess
import sys
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes

import emulator as e
import support

MODULE = next(
    (
        path
        for path in ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so")
        if pathlib.Path(path).exists()
    ),
    "SoftHSM is not installed: tests/run tools",
)
PIN = "84310975"
#: A role without an external id, which the old packages cannot send.
ROLE = f"arn:aws:iam::{e.ACCOUNT}:role/plain"

IMPORT = """
import sys, pkcs11
from pkcs11 import Attribute as A, KeyType, ObjectClass
token = pkcs11.lib(sys.argv[1]).get_token(token_label="token1")
with token.open(user_pin=sys.argv[2], rw=True) as session:
    session.create_object({
        A.CLASS: ObjectClass.SECRET_KEY, A.KEY_TYPE: KeyType.GENERIC_SECRET, A.TOKEN: True, A.SENSITIVE: True,
        A.EXTRACTABLE: False, A.SIGN: True, A.LABEL: "hmac", A.VALUE: open(sys.argv[3], "rb").read(),
    })
"""


def call(*args, env=None, cwd=None):
    done = subprocess.run(
        list(map(str, args)), capture_output=True, env={**os.environ, **(env or {})}, cwd=cwd, timeout=60
    )
    assert done.returncode == 0, (args[0], done.stdout, done.stderr)
    return done.stdout.decode()


class Device:
    def __init__(self, emulator, folder):
        self.emulator, self.folder = emulator, folder
        (folder / "tokens").mkdir()
        self.conf = folder / "softhsm2.conf"
        self.conf.write_text(f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\n")
        self.env = {"SOFTHSM2_CONF": str(self.conf)}
        call(
            "softhsm2-util", "--init-token", "--free", "--label", "token1", "--pin", PIN, "--so-pin", "12345678",
            env=self.env,
        )  # fmt: skip
        # AWS: one leaf of each kind.
        self.rsa_leaf_key = support.new_key("rsa-2048")
        self.rsa_leaf = e.certify(self.rsa_leaf_key, "device 8", "root", emulator.root_key)
        keys = {
            "gcp": emulator.keys["robot"], "azure": emulator.keys["client"], "aws": self.rsa_leaf_key,
            "aws-ec": emulator.leaf_key,
        }  # fmt: skip
        self.pems = {}
        for number, (label, key) in enumerate(keys.items(), 1):
            self.pems[label] = support.private_file(folder / f"{label}.key", support.key_pem(key))
            call(
                "softhsm2-util", "--import", self.pems[label], "--token", "token1", "--label", label,
                "--id", f"0{number}", "--pin", PIN, env=self.env,
            )  # fmt: skip
            if "ec" not in label:
                # A private key alone, as the old READMEs import it: the old packages take no other.
                call(
                    "pkcs11-tool", "--module", MODULE, "--token-label", "token1", "--login", "--pin", PIN,
                    "--delete-object", "--type", "pubkey", "--label", label, env=self.env,
                )  # fmt: skip
        secret = support.private_file(folder / "hmac.key", "AWS4" + e.SECRET_KEY)
        self.secret = secret
        # In a process of its own: SoftHSM reads the configuration of this one's environment once.
        call(sys.executable, "-c", IMPORT, MODULE, PIN, secret, env=self.env)
        self.certificates = {
            "aws": support.private_file(folder / "aws.crt", support.cert_pem(self.rsa_leaf)),
            "aws-ec": support.private_file(folder / "aws-ec.crt", support.cert_pem(emulator.leaf)),
            "azure": pathlib.Path(emulator.client_pem).with_name("public.pem"),
        }
        emulator.control(
            "register", {"aws": {"roles": [{"arn": ROLE, "trust": [f"arn:aws:iam::{e.ACCOUNT}:user/tester"]}]}}
        )

    def options(self, label):
        return {"module": MODULE, "token": "token1", "label": label, "pin": PIN}

    def uri(self, label):
        return f"pkcs11:token=token1;object={label}?module-path={MODULE}&pin-value={PIN}"

    def thumbprint(self, label):
        return x509.load_pem_x509_certificate(self.certificates[label].read_bytes()).fingerprint(hashes.SHA256())

    # What the credentials are told besides the key.

    def anywhere(self, label="aws"):
        return {
            "public_certificate_file": str(self.certificates[label]), "region": "eu-west-1",
            "trust_anchor_arn": e.ANCHOR, "role_arn": e.ROLE, "profile_arn": e.PROFILE,
        }  # fmt: skip

    def anywhere_here(self, label="aws"):
        return {**self.anywhere(label), "endpoint_url": self.emulator.url, "ca_file": str(self.emulator.ca)}

    def sts(self, **more):
        return {"access_key": e.ACCESS_KEY, "region": "eu-west-1", "assume_role_arn": ROLE, **more}

    def sts_here(self, **more):
        return {**self.sts(**more), "endpoint_url": self.emulator.url, "ca_file": str(self.emulator.ca)}

    def entra(self):
        return {
            "tenant_id": e.TENANT, "client_id": e.CLIENT, "certificate_path": str(self.certificates["azure"]),
        }  # fmt: skip

    def entra_here(self):
        return {**self.entra(), "authority": self.emulator.host, "ca_file": str(self.emulator.ca)}


class Swtpm:
    """A swtpm of its own, and the storage root key that the old package makes for itself as p.ctx."""

    _numbers = itertools.count()

    def __init__(self, folder):
        self.folder = folder
        (folder / "state").mkdir()
        # No two of a process at one place, which stands for one TPM.
        port = 26000 + os.getpid() % 80 * 50 + next(self._numbers) * 2
        self.tcti = f"swtpm:host=127.0.0.1,port={port}"
        self.env = {"TPM2TOOLS_TCTI": self.tcti, "TSS2_LOG": "all+NONE"}
        where = "type=tcp,bindaddr=127.0.0.1,port="
        self.process = subprocess.Popen(
            ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={folder}/state",
             "--flags", "not-need-init,startup-clear", "--server", f"{where}{port}", "--ctrl", f"{where}{port + 1}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until = time.monotonic() + 20
        while True:
            try:
                self.call("tpm2_getcap", "properties-fixed")
                break
            except AssertionError:
                if time.monotonic() > until:
                    self.stop()
                    raise
                time.sleep(0.05)
        self.call("tpm2_createprimary", "-C", "o", "-G", "ecc", "-c", "p.ctx", "-a",
                  "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt")  # fmt: skip
        self.flush()

    def call(self, *args):
        return call(*args, env=self.env, cwd=self.folder)

    def flush(self):
        for kind in ("-t", "-l"):
            self.call("tpm2_flushcontext", kind)

    def hand_over(self):
        """To another process: there are three slots, and no resource manager that would lend them."""
        gc.collect()
        self.flush()

    def load(self, kind, source, name, *more, password=None, parent="p.ctx"):
        """The key of a PEM file, or a secret, as NAME.pem: as the old package's README does."""
        told = ("-p", password) if password else ()
        self.call("tpm2_import", "-C", parent, "-G", kind, "-i", source, "-u", f"{name}.pub",
                  "-r", f"{name}.priv", *told, *more)  # fmt: skip
        self.flush()
        self.call("tpm2_encodeobject", "-C", parent, "-u", f"{name}.pub", "-r", f"{name}.priv",
                  "-o", f"{name}.pem", *(["-p"] if password else []))  # fmt: skip
        (self.folder / f"{name}.pem").chmod(0o600)
        self.flush()

    def options(self, label, **more):
        return {"tcti": self.tcti, "keyfile": str(self.folder / f"{label}.pem"), **more}

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


class Tpm(Swtpm):
    """With the same keys, each with the password PASSWORD."""

    PASSWORD = "authvalue-1357"

    def __init__(self, device, folder):
        super().__init__(folder)
        for label in ("gcp", "aws", "azure"):
            self.load("rsa", device.pems[label], label, password=self.PASSWORD)
        self.load("hmac", device.secret, "hmac", password=self.PASSWORD)

    def options(self, label):
        return super().options(label, password=self.PASSWORD)

