"""Puts the shared library into the wheel.

It is that of the variable CLOUDAUTH_LIBRARY; without one, cargo makes it from the checkout around this folder,
with the hosted half and, where the TPM's libraries are installed, keys in a TPM. A source distribution carries it
beside this file, for the wheel that is built from it: it has no checkout, and is for its platform alone.
"""

import os
import pathlib
import shutil
import subprocess
import sys

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist
from setuptools.dist import Distribution

NAME = "libcloudauth.dylib" if sys.platform == "darwin" else "libcloudauth.so"


def library():
    given = os.environ.get("CLOUDAUTH_LIBRARY")
    if given:
        return pathlib.Path(given)
    carried = pathlib.Path(__file__).resolve().with_name(NAME)
    if carried.exists():
        return carried
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


class WithLibraryToo(sdist):
    def make_release_tree(self, base_dir, files):
        super().make_release_tree(base_dir, files)
        shutil.copyfile(library(), pathlib.Path(base_dir) / NAME)


# What every Linux with glibc has (PEP 600); the libraries of a TPM are not among it.
EVERYWHERE = {
    "libc.so.6", "libdl.so.2", "libgcc_s.so.1", "libm.so.6", "libpthread.so.0", "librt.so.1", "ld-linux-x86-64.so.2",
    "ld-linux-aarch64.so.1",
}  # fmt: skip


def platform(path, own):
    """The platform's tag: manylinux with the glibc that the library needs, or `own` where it needs more than that."""
    # An editable installation has none here.
    if not own.startswith("linux_") or not path.exists():
        return own
    from elftools.elf.elffile import ELFFile

    with path.open("rb") as file:
        elf = ELFFile(file)
        needed = {tag.needed for tag in elf.get_section_by_name(".dynamic").iter_tags("DT_NEEDED")}
        wanted = [
            version.name
            for _, versions in elf.get_section_by_name(".gnu.version_r").iter_versions()
            for version in versions
        ]
    minors = [int(name.split(".")[1]) for name in wanted if name.startswith("GLIBC_2.")]
    if needed - EVERYWHERE or not minors:
        return own
    # The oldest that pip and the index still know by this scheme for every processor.
    return f"manylinux_2_{max(17, *minors)}_{own.removeprefix('linux_')}"


class ForAnyPython(bdist_wheel):
    """One wheel for every Python of a platform: nothing in it is compiled for one of them."""

    def get_tag(self):
        found = pathlib.Path(self.bdist_dir) / "cloudauth" / NAME
        return "py3", "none", platform(found, super().get_tag()[2])


class OfPlatform(Distribution):
    def has_ext_modules(self):
        return True


setup(cmdclass={"build_py": WithLibrary, "sdist": WithLibraryToo, "bdist_wheel": ForAnyPython}, distclass=OfPlatform)
