"""The platform that a wheel names is the one that auditwheel finds for what is in it.

usage: wheel_tag.py WHEEL linux|manylinux, with the kind of platform that it should be
"""

import json
import pathlib
import subprocess
import sys
import zipfile

wheel, kind = pathlib.Path(sys.argv[1]), sys.argv[2]
named = wheel.stem.rsplit("-", 1)[1]
with zipfile.ZipFile(wheel) as archive:
    (path,) = [name for name in archive.namelist() if name.endswith(".dist-info/WHEEL")]
    lines = archive.read(path).decode().splitlines()
assert [line for line in lines if line.startswith("Tag:")] == [f"Tag: py3-none-{named}"], lines
done = subprocess.run(
    [sys.executable, "-m", "auditwheel", "show", "--json", wheel], check=True, stdout=subprocess.PIPE
)
found = json.loads(done.stdout)
assert named == found["overall_tag"] and named.startswith(f"{kind}_"), (named, found)
# Only the libraries of a TPM keep a wheel from running elsewhere.
assert all(name.startswith(("libtss2-", "libcrypto.")) for name in found["external_libs"]), found
