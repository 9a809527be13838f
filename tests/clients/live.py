"""What test_live.py and test_live_cli.py share: keys in files, and the program's arguments for the emulator."""

import json

import emulator as e
import support

# Roles that nothing but a role of the emulator's may assume, and only with its session.
DEPLOY = f"arn:aws:iam::{e.ACCOUNT}:role/deploy"


class Device:
    """The files of a machine, and what cloudauth is told of them."""

    def __init__(self, emulator, folder):
        self.emulator, self.folder = emulator, folder
        certificate, key = emulator.leaf_pem()
        self.key = support.private_file(folder / "leaf.key", key)
        self.certificate = support.private_file(folder / "leaf.pem", certificate)
        self.secret = support.private_file(folder / "secret", e.SECRET_KEY)
        self.issuer = support.private_file(folder / "issuer.key", support.key_pem(emulator.keys["issuer"]))
        account = support.service_account(emulator.keys["robot"], client_email=e.ROBOT)
        self.account = support.private_file(folder / "account.json", json.dumps(account))
        emulator.control("register", {"aws": {"roles": [{"arn": DEPLOY, "trust": [e.ROLE]}]}})

    def common(self, endpoint=True):
        options = ["--ca-file", self.emulator.ca]
        return [*options, "--endpoint-url", self.emulator.url] if endpoint else options

    def anywhere(self, *more, **how):
        return [
            "aws", "roles-anywhere", "--key", f"file:{self.key}", "--certificate", self.certificate,
            "--trust-anchor-arn", e.ANCHOR, "--profile-arn", e.PROFILE, "--role-arn", e.ROLE,
            *self.common(**how), *more,
        ]  # fmt: skip

    def assume_role(self, *more, key=None, **how):
        return [
            "aws", "assume-role", "--access-key-id", e.ACCESS_KEY, "--key", key or f"file:{self.secret}",
            "--region", "eu-west-1", "--role-arn", e.ROLE, "--session-name", "s-1",
            "--external-id", "ext-1", *self.common(**how), *more,
        ]  # fmt: skip

    def azure(self, command, *more, **how):
        pem = self.emulator.client_pem
        return [
            "azure", command, "--key", f"file:{pem}", "--certificate", pem, "--tenant", e.TENANT,
            "--client-id", e.CLIENT, "--authority", self.emulator.host, *more,
        ]  # fmt: skip

    def federate(self, *more, **how):
        return [
            "gcp", "federate", "--provider", e.PROVIDER, "--key", f"file:{self.issuer}",
            "--issuer", e.ISSUER, "--subject", "workload", "--key-id", "k1", *self.common(**how), *more,
        ]  # fmt: skip

    def config(self, name="config.toml"):
        """A configuration file with profiles."""
        text = f"""
ca-file = "{self.emulator.ca}"

[profiles.machine]
kind = "aws-roles-anywhere"
key = "file:{self.key}"
certificate = "leaf.pem"
trust-anchor-arn = "{e.ANCHOR}"
profile-arn = "{e.PROFILE}"
role-arn = "{e.ROLE}"
endpoint-url = "{self.emulator.url}"

[profiles.deploy]
kind = "aws-assume-role"
source-profile = "machine"
role-arn = "{DEPLOY}"
session-name = "machine-7"
region = "eu-west-1"
endpoint-url = "{self.emulator.url}"

[profiles.robot]
kind = "gcp-oauth"
key = "file:{self.account}"
endpoint-url = "{self.emulator.url}"

[profiles.app]
kind = "azure-token"
tenant = "{e.TENANT}"
client-id = "{e.CLIENT}"
authority = "{self.emulator.host}"
scopes = ["https://vault.azure.net/.default"]
key = "file:{self.emulator.client_pem}"
certificate = "{self.emulator.client_pem}"
"""
        return support.private_file(self.folder / name, text)

    def requests(self, service):
        return self.emulator.control(f"requests?service={service}")
