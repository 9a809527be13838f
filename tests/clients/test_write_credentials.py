"""`cloudauth aws write-credentials` beside what reads its file, unmodified: boto3 and the AWS CLI; and what
AWS's own helper does wrong in its `update`: it ends on an error, cuts the file short, lets writers collide,
writes what has expired."""

import configparser
import datetime
import fcntl
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time

import pytest

import emulator as e
import support
from short_sts import ShortSts
from test_emulator import no_network, running  # noqa: F401 (fixtures)
from test_env import AWS, BOTO

KEYS = ["aws_access_key_id", "aws_secret_access_key", "aws_session_token", "x_security_token_expires"]


class Writer:
    def __init__(self, cloudauth, emulator, folder):
        self.cloudauth, self.emulator, self.folder = cloudauth, emulator, folder
        self.started = []
        self.file = folder / "home" / ".aws" / "credentials"
        leaf, leaf_key = emulator.leaf_pem()
        support.private_file(folder / "leaf.pem", leaf)
        support.private_file(folder / "leaf-key.pem", leaf_key)
        secret = support.private_file(folder / "secret", e.SECRET_KEY)
        start = int(time.time()) - 3600
        token = emulator.token("sts.amazonaws.com", life=3600, iat=start)
        support.private_file(folder / "web-token", token)
        self.config = support.private_file(folder / "config.toml", f"""
ca-file = "{emulator.ca}"
timeout = 3

[profiles.device]
kind = "aws-roles-anywhere"
key = "file:{folder}/leaf-key.pem"
certificate = "leaf.pem"
trust-anchor-arn = "{e.ANCHOR}"
profile-arn = "{e.PROFILE}"
role-arn = "{e.ROLE}"
endpoint-url = "{emulator.url}"

[profiles.short]
kind = "aws-assume-role"
access-key-id = "{e.ACCESS_KEY}"
key = "file:{secret}"
role-arn = "{e.ROLE}"
session-name = "robot-7"
external-id = "ext-1"
region = "eu-west-1"
duration = 900
endpoint-url = "{emulator.url}"

[profiles.web]
kind = "aws-web-identity"
token-file = "web-token"
role-arn = "{e.ROLE}"
session-name = "robot-8"
region = "eu-west-1"
duration = 900
endpoint-url = "{emulator.url}"

[profiles.google]
kind = "gcp-token"
key = "file:{secret}"
""")  # fmt: skip

    def args(self, *more, profile="device"):
        args = ["aws", "write-credentials", "--profile", profile, "--config", self.config, *more]
        return [str(arg) for arg in args]

    def environment(self):
        return {"PATH": os.environ["PATH"], "HOME": str(self.folder / "home")}

    def once(self, *more, profile="device", **kwargs):
        out = self.cloudauth.bytes(
            *self.args("--once", *more, profile=profile), env=self.environment(), **kwargs
        )
        assert out == b""
        return self.read(*more)

    def refused(self, code, *texts, more=(), profile="device"):
        done = self.cloudauth.run(*self.args("--once", *more, profile=profile), env=self.environment())
        assert done.returncode == code and not done.stdout, done.stderr
        for text in texts:
            assert text in done.stderr

    def start(self, *more, profile="short"):
        self.said = self.folder / f"stderr-{time.monotonic_ns()}"
        with open(self.said, "w") as said:
            process = subprocess.Popen(
                [self.cloudauth.path, *self.args(*more, profile=profile)], env=self.environment(),
                stdout=subprocess.DEVNULL, stderr=said,
            )  # fmt: skip
        self.started.append(process)
        return process

    def read(self, *more):
        parser = configparser.RawConfigParser()
        parser.read_string(self.file.read_text())
        name = more[more.index("--to-profile") + 1] if "--to-profile" in more else "default"
        return dict(parser[name])

    def wait_for(self, condition, file=None, seconds=30):
        file, end = file or self.file, time.monotonic() + seconds
        while time.monotonic() < end:
            if file.exists() and condition(file.read_text()):
                return
            time.sleep(0.05)
        raise AssertionError(self.said.read_text())

    def wait_said(self, text):
        self.wait_for(lambda said: text in said, self.said)

    def keep(self, content, mode=0o600):
        self.file.parent.mkdir(parents=True)
        self.file.write_bytes(content.encode())
        self.file.chmod(mode)

    def left(self):
        return sorted(os.listdir(self.file.parent))


@pytest.fixture
def writer(cloudauth, running, tmp_path):  # noqa: F811
    running.reset()
    made = Writer(cloudauth, running, tmp_path)
    yield made
    for process in made.started:
        process.kill()
        process.wait()


@pytest.fixture
def short(writer):
    """Starts one with a service whose credentials end in `life` seconds."""
    with ShortSts(10) as sts:
        before, web = writer.config.read_text().split("[profiles.web]")
        web = web.replace(writer.emulator.url, sts.url, 1)
        writer.config.write_text(f"{before}[profiles.web]{web}")

        def start(life):
            sts.life = life
            return writer.start(profile="web")

        writer.short, writer.sts = start, sts
        yield writer


def clients(writer):
    env = {
        **writer.environment(),
        "AWS_ENDPOINT_URL": writer.emulator.url,
        "AWS_CA_BUNDLE": writer.emulator.ca,
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }

    def run(*command, **more):
        done = subprocess.run(command, env={**env, **more}, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_boto3_and_aws_cli(writer):
    written = writer.once()
    assert list(written) == KEYS
    assert stat.S_IMODE(writer.file.stat().st_mode) == 0o600
    assert stat.S_IMODE(writer.file.parent.stat().st_mode) == 0o700
    assert writer.left() == ["credentials"]
    end = datetime.datetime.fromisoformat(written["x_security_token_expires"])
    assert 3500 < (end - e.now()).total_seconds() <= 3600
    run = clients(writer)
    seen = json.loads(run(sys.executable, "-c", BOTO))
    assert seen["method"] == "shared-credentials-file" and ":assumed-role/reader/" in seen["arn"]
    assert seen["keys"] == ["hello.txt", "logs/1", "logs/2"]
    assert ":assumed-role/reader/" in run(AWS, "sts", "get-caller-identity")
    assert "hello.txt" in run(AWS, "s3", "ls", "bucket-1")
    writer.once("--to-profile", "other", profile="short")
    assert ":assumed-role/reader/robot-7" in run(AWS, "--profile", "other", "sts", "get-caller-identity")
    assert writer.read() == written


def test_the_rest_stays(writer):
    """Comments, other sections, other keys, line ends, mode, and the link that leads to the file."""
    real = writer.folder / "real"
    real.mkdir()
    writer.file.parent.mkdir(parents=True)
    before = "# mine \r\n[work]\r\naws_access_key_id = AKIAWORK\r\n\r\n[default]\r\nregion=eu-west-1\r\n"
    old = "AWS_SECRET_ACCESS_KEY=old\r\n  continued\r\naws_security_token = stale\r\n"
    after = "; between\r\n\r\n[last]\r\naws_secret_access_key = keep"
    (real / "file").write_bytes((before + old + after).encode())
    (real / "file").chmod(0o640)
    writer.file.symlink_to("../../real/file")
    written = writer.once()
    content = (real / "file").read_bytes().decode()
    assert writer.file.is_symlink() and os.listdir(real) == ["file"]
    assert stat.S_IMODE((real / "file").stat().st_mode) == 0o640
    assert content.startswith(before + "AWS_SECRET_ACCESS_KEY=") and content.endswith("\r\n" + after)
    assert "old" not in content and "continued" not in content and "stale" not in content
    assert content.count("\n") == content.count("\r\n")
    assert written["aws_security_token"] == written["aws_session_token"]
    assert ":assumed-role/reader/" in clients(writer)(AWS, "sts", "get-caller-identity")
    again = writer.once()
    assert again["aws_access_key_id"] != written["aws_access_key_id"]
    assert len((real / "file").read_bytes()) == len(content)


def test_refused(writer):
    writer.refused(2, "gcp-token", profile="google")
    writer.refused(4, "has no profile", profile="nobody")
    writer.refused(2, "--to-profile", more=["--to-profile", "a]\n[b"])
    writer.refused(2, "--to-profile", more=["--to-profile", ""])
    assert not writer.file.exists()
    writer.keep("[default]\nx = 1\n[default]\ny = 2\n")
    content = writer.file.read_bytes()
    writer.refused(4, "twice")
    assert writer.file.read_bytes() == content and writer.left() == ["credentials"]
    # The device stays one: nothing takes its place.
    for path in [os.devnull, writer.folder]:
        writer.refused(4, "is no regular file", more=["--file", path])
    writer.file.unlink()
    writer.file.symlink_to("nowhere")
    writer.refused(4, "follow")
    writer.file.unlink()
    writer.once()


def test_large_file(writer):
    writer.keep("#" * (1 << 20) + "\n")
    writer.refused(4, "larger than")
    writer.file.write_text("#" * ((1 << 20) - 1) + "\n")
    writer.once()


@pytest.mark.parametrize("fault", ["expired", "status", "html", "truncate"])
def test_nothing_is_written_when_it_fails(writer, fault):
    writer.keep("[default]\naws_access_key_id = OLD\n")
    writer.emulator.fault(fault, "roles-anywhere", count=99)
    writer.refused(5)
    assert writer.file.read_text() == "[default]\naws_access_key_id = OLD\n"
    assert writer.left() == ["credentials"]


def test_writers_take_turns(writer):
    """Eight at once, each with a section of its own; none loses what another wrote, and a reader that never
    stops finds a whole file each time."""
    writer.keep("[default]\naws_access_key_id = OLD\n")
    stop, broken = threading.Event(), []

    def read():
        while not stop.is_set():
            text = writer.file.read_text()
            if not text.startswith("[default]\n") or not text.endswith("\n"):
                broken.append(text)

    reader = threading.Thread(target=read)
    reader.start()
    names = [f"p{number}" for number in range(8)]
    try:
        processes = [writer.start("--once", "--to-profile", name) for name in names]
        assert [process.wait(60) for process in processes] == [0] * 8
    finally:
        stop.set()
        reader.join()
    assert not broken
    for name in names:
        assert len(writer.read("--to-profile", name)) == len(KEYS)
    assert writer.read()["aws_access_key_id"] == "old".upper()


def test_lock(writer):
    """Who holds the directory's lock is waited for."""
    writer.keep("")
    held = os.open(writer.file.parent, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    process = writer.start("--once")
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(2)
    assert writer.file.read_text() == ""
    os.close(held)
    assert process.wait(20) == 0 and writer.file.read_text() != ""


def test_what_a_killed_one_left(writer):
    """It is one file, in the way of nobody, and gone afterwards; nor is a link in its place followed."""
    writer.keep("")
    left = writer.file.with_name(".credentials.cloudauth")
    left.write_text("half")
    writer.once()
    assert writer.left() == ["credentials"]
    victim = support.private_file(writer.folder / "victim", "x")
    left.symlink_to(victim)
    writer.once()
    assert writer.left() == ["credentials"] and victim.read_text() == "x"


def test_it_renews(short):
    """Before the end, again and again; ended by a signal, it leaves a whole file."""
    process = short.short(10)
    seen, end = set(), time.monotonic() + 40
    while len(seen) < 3 and time.monotonic() < end:
        if short.file.exists():
            written = short.read()
            seen.add(written["aws_access_key_id"])
            assert datetime.datetime.fromisoformat(written["x_security_token_expires"]) > e.now()
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == -signal.SIGTERM
    assert len(seen) == 3 and short.said.read_text() == ""
    assert short.left() == ["credentials"] and list(short.read()) == KEYS


def test_a_failure_does_not_end_it(short):
    """Nor is the file touched, which keeps what is still good; when the service is back, it goes on."""
    process = short.short(36)
    short.wait_for(lambda text: "aws_session_token" in text)
    first = short.file.read_text()
    short.sts.down = True
    short.wait_said("it is used on while it is valid")
    short.wait_said("the next attempt is in")
    assert process.poll() is None and short.file.read_text() == first
    # What comes expired is not written either.
    short.sts.down, short.sts.life = False, -60
    short.wait_said("expired already")
    assert short.file.read_text() == first
    short.sts.life = 36
    short.wait_for(lambda text: text != first)
    assert process.poll() is None and short.left() == ["credentials"]
    process.terminate()
    process.wait(20)


def test_a_service_that_is_down_at_first(writer):
    """A machine that starts before its network does."""
    writer.emulator.fault("status", "sts", count=100000, status=503)
    process = writer.start()
    writer.wait_said("the next attempt is in 1 s")
    assert not writer.file.exists()
    writer.emulator.control("fault", method="DELETE")
    writer.wait_for(lambda text: "aws_session_token" in text)
    process.terminate()
    process.wait(20)
    # A mistake is told at once.
    process = writer.start(profile="nobody")
    assert process.wait(20) == 4 and "has no profile" in writer.said.read_text()
