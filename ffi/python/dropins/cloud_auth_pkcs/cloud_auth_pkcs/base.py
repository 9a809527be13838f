"""Where the old package has it: a key in a PKCS#11 token that signs."""

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
        module: Any = None,
        token: Any = None,
        label: Any = None,
        pin: Any = None,
    ) -> None:
        # A traceback may show the locals.
        pin = Secret(pin)
        options = {
            "module": module, "token": token, "label": label, "pin": pin,
        }  # fmt: skip
        self._key = KeyOptions(None, options).open()

    def sign(self, data: bytes) -> bytes:
        """Signs with RSA (PKCS#1 v1.5, SHA-256)."""
        return self._key.sign(data)


__all__ = ["BaseCredential", "sha256"]
