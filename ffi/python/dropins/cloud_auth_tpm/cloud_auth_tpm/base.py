"""Where the old package has it: a key in a TPM that signs."""

from __future__ import annotations

import hashlib
from typing import Any

from cloudauth import Key
from cloudauth._options import KeyOptions, Secret


def sha256(data: bytes) -> bytes:
    """The SHA-256 of some octets."""
    return hashlib.sha256(data).digest()


class BaseCredential:
    """A key alone."""

    _key: Key

    def __init__(
        self,
        tcti: Any = None,
        keyfile: Any = None,
        ownerpassword: Any = None,
        password: Any = None,
        policy_impl: Any = None,
        enc_key_name: Any = None,
        use_ek_cert: bool = False,
    ) -> None:
        # A traceback may show the locals.
        ownerpassword = Secret(ownerpassword)
        password = Secret(password)
        options = {
            "tcti": tcti, "keyfile": keyfile, "ownerpassword": ownerpassword, "password": password,
            "policy_impl": policy_impl, "enc_key_name": enc_key_name, "use_ek_cert": use_ek_cert,
        }  # fmt: skip
        self._key = KeyOptions(None, options).open()

    def sign(self, data: bytes) -> bytes:
        """Signs with RSA (PKCS#1 v1.5, SHA-256)."""
        return self._key.sign(data)


__all__ = ["BaseCredential", "sha256"]
