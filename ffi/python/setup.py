"""Puts the shared library into the wheel.

It is that of the variable CLOUDAUTH_LIBRARY; without one, cargo makes it from the checkout around this folder,
with the hosted half and, where the TPM's libraries are installed, keys in a TPM.
"""

import os
import pathlib
import shutil
import subprocess
import sys

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py
from setuptools.dist import Distribution

NAME = "libcloudauth.dylib" if sys.platform == "darwin" else "libcloudauth.so"


def library():
    given = os.environ.get("CLOUDAUTH_LIBRARY")
    if given:
        return pathlib.Path(given)
    checkout = pathlib.Path(__file__).resolve().parents[2]
    if not (checkout / "ffi" / "Cargo.toml").exists():
        sys.exit("cloudauth: no checkout to build from: name libcloudauth.so in CLOUDAUTH_LIBRARY")
    tss = subprocess.run(["pkg-config", "--exists", "tss2-esys"], check=False).returncode == 0
    features = "std,tpm" if tss else "std"
    subprocess.run(
        ["cargo", "build", "--locked", "--release", "-p", "cloudauth", "--lib", "--features", features],
        cwd=checkout, check=True,
    )  # fmt: skip
    return pathlib.Path(os.environ.get("CARGO_TARGET_DIR", checkout / "target")) / "release" / NAME


class WithLibrary(build_py):
    def run(self):
        super().run()
        shutil.copyfile(library(), pathlib.Path(self.build_lib) / "cloudauth" / NAME)


class ForAnyPython(bdist_wheel):
    """One wheel for every Python of a platform: nothing in it is compiled for one of them."""

    def get_tag(self):
        return "py3", "none", super().get_tag()[2]


class OfPlatform(Distribution):
    def has_ext_modules(self):
        return True


setup(cmdclass={"build_py": WithLibrary, "bdist_wheel": ForAnyPython}, distclass=OfPlatform)
