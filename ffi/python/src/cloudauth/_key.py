"""Keys by URI."""

from __future__ import annotations

import ctypes
import enum
import os
from ctypes import byref, c_size_t

from . import _native
from ._errors import CloudAuthError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


# A signer of the C interface gives no more than a number.
_AGAIN = "; open the key again to see why"


class Scheme(enum.IntEnum):
    """How a key signs: the numbers of ``cloudauth.h``."""

    RSA_PKCS1_SHA256 = 1
    RSA_PSS_SHA256 = 2
    ECDSA_P256_SHA256 = 3
    ECDSA_P384_SHA256 = 4
    ECDSA_P384_SHA384 = 5


class _Opened:
    _KIND = ""

    def __init__(self, uri: _native.Hidden) -> None:
        if not isinstance(uri.value, str):
            raise TypeError(f"a key is named by a URI such as 'file:PATH', not by {type(uri.value).__name__}")

        def opener(lib: Any, handle: _native.Handle, message: _native.Message) -> int:
            name, kept = _native.text(uri.value)
            result: int = getattr(lib, f"{self._KIND}_open")(name, byref(handle), byref(message), None)
            del kept
            return result

        self._object = _native.Object(self._KIND, "open key", opener)
        #: What must live as long as it does.
        self._kept: object = None

    @property
    def warning(self) -> str:
        """How the key is kept, where it should be kept better; else empty."""
        return self._object.warning

    def close(self) -> None:
        """Closes the key, once the calls that use it have ended. It may be called again."""
        self._object.close()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Key(_Opened):
    """A key that signs, in a file, a PKCS#11 token or a TPM. Several threads may use it at once.

    :param uri: ``file:PATH``, ``env:NAME``, ``pkcs11:…`` (RFC 7512) or ``tpm:…``.
    :raises CloudAuthError: when it cannot be opened.
    """

    _KIND = "cloudauth_key"

    def __init__(self, uri: str) -> None:
        # It may have a PIN in it.
        hidden = _native.Hidden(uri)
        del uri
        super().__init__(hidden)
        self._signer = _native.Signer(size=ctypes.sizeof(_native.Signer))
        with self._object as handle:
            result = _native.library().cloudauth_key_signer(byref(handle), byref(self._signer), None)
        if result:
            raise _native.failed("signer of key", result)

    @property
    def public_key(self) -> bytes:
        """The SubjectPublicKeyInfo in DER."""
        spki = _native.Bytes()
        with self._object as handle:
            result = _native.library().cloudauth_key_public(byref(handle), byref(spki), None)
            if result:
                raise _native.failed("public key", result)
            return ctypes.string_at(spki.ptr, spki.len)

    def supports(self, scheme: int) -> bool:
        """Whether the key can sign with a scheme."""
        with self._object:
            return bool(self._signer.supports(self._signer.ctx, scheme))

    @property
    def schemes(self) -> list[Scheme]:
        """The schemes that the key can sign with."""
        return [scheme for scheme in Scheme if self.supports(scheme)]

    def sign(self, message: bytes, scheme: int = Scheme.RSA_PKCS1_SHA256) -> bytes:
        """Signs a message, which the library or the device hashes; a signature of ECDSA is r||s.

        :raises CloudAuthError: when the key cannot sign so, or the device failed.
        """
        if not isinstance(message, bytes):
            raise TypeError(f"message: expected bytes, not {type(message).__name__}")
        if not isinstance(scheme, int):
            raise TypeError(f"scheme: expected a cloudauth.Scheme, not {scheme!r}")
        with self._object:
            room = self._signer.max_signature_len(self._signer.ctx, scheme)
            out, length = ctypes.create_string_buffer(max(room, 1)), c_size_t()
            octets, kept = _native.text(message)
            result = self._signer.sign(
                self._signer.ctx, scheme, octets, _native.Bytes(), os.urandom(32), ctypes.addressof(out), room,
                byref(length),
            )  # fmt: skip
            del kept
        if result and not self.supports(scheme):
            names = ", ".join(known.name for known in self.schemes)
            raise CloudAuthError(f"sign: this key signs with {names}: not with {scheme!r}", result)
        if result:
            raise _native.failed("sign", result, hint=_AGAIN)
        return out.raw[: length.value]


class MACKey(_Opened):
    """An AWS secret access key in a file, a PKCS#11 token or a TPM. Several threads may use it at once.

    :param uri: as that of :class:`Key`. A file holds the secret as AWS gives it; a device ``AWS4`` and the secret.
    :raises CloudAuthError: when it cannot be opened.
    """

    _KIND = "cloudauth_mac_key"

    def __init__(self, uri: str) -> None:
        hidden = _native.Hidden(uri)
        del uri
        super().__init__(hidden)
        self._mac = _native.Mac(size=ctypes.sizeof(_native.Mac))
        with self._object as handle:
            result = _native.library().cloudauth_mac_key_mac(byref(handle), byref(self._mac), None)
        if result:
            raise _native.failed("MAC of key", result)

    def hmac_sha256(self, message: bytes) -> bytes:
        """The HMAC-SHA256 of a message. That of a date is a key for everything on that day: guard it.

        :raises CloudAuthError: when the device failed.
        """
        tag = ctypes.create_string_buffer(32)
        octets, kept = _native.text(message)
        try:
            with self._object:
                result = self._mac.hmac_sha256(self._mac.ctx, octets, ctypes.addressof(tag))
            if result:
                raise _native.failed("HMAC", result, hint=_AGAIN)
            return tag.raw
        finally:
            del kept
            _native.library().cloudauth_wipe(tag, 32)
