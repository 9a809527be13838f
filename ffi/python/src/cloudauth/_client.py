"""Live credentials of profiles."""

from __future__ import annotations

import ctypes
import os
from ctypes import byref, c_int64, c_size_t

from . import _native
from ._errors import Code

# What types are for is not loaded: it takes as long as all the rest.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    _T = TypeVar("_T")

# More than any credential of today's; larger ones are asked for again with room.
_ROOM = 4096
_MOST = 1 << 20


class AWSKeys:
    """Temporary AWS credentials."""

    __slots__ = ("access_key_id", "expiration", "secret_access_key", "session_token")

    def __init__(self, access_key_id: str, secret_access_key: str, session_token: str, expiration: int) -> None:
        self.access_key_id, self.secret_access_key, self.session_token = access_key_id, secret_access_key, session_token
        #: When they end, in seconds since 1970.
        self.expiration = expiration

    def __repr__(self) -> str:
        return f"AWSKeys(access_key_id={self.access_key_id!r}, expiration={self.expiration})"


class BearerToken:
    """A token for the header ``Authorization: Bearer``."""

    __slots__ = ("expiration", "token")

    def __init__(self, token: str, expiration: int) -> None:
        self.token = token
        #: When it is refused, in seconds since 1970.
        self.expiration = expiration

    def __repr__(self) -> str:
        return f"BearerToken(expiration={self.expiration})"


class Client:
    """The profiles of a configuration file, and their credentials: they are kept, and renewed before they end.

    May be used by several threads at once; however many ask, one call to the service is made. A fork's child
    must make its own: it gets a :class:`ForkError`.

    :param path: the file; else that of ``CLOUDAUTH_CONFIG``, else ``cloudauth/config.toml`` in
        ``$XDG_CONFIG_HOME`` or ``~/.config``.
    :param text: a configuration in TOML, in place of a file. It is kept in memory alone.
    :param folder: where relative paths in the text start; else the working directory.
    """

    def __init__(
        self, path: str | os.PathLike[str] | None = None, *, text: str | None = None, folder: str | None = None
    ) -> None:
        if text is not None and path is not None:
            raise ValueError("give one of path and text")
        if folder is not None and text is None:
            raise ValueError("a folder goes with a text")

        def from_text(lib: Any, handle: _native.Handle, message: _native.Message) -> int:
            config, kept = _native.text(text or "")
            start, kept_too = _native.text(folder or "")
            result: int = lib.cloudauth_client_open_text(config, start, byref(handle), byref(message), None)
            del kept, kept_too
            return result

        def from_file(lib: Any, handle: _native.Handle, message: _native.Message) -> int:
            name, kept = _native.text(os.fsencode(path) if path is not None else b"")
            result: int = lib.cloudauth_client_open(name, byref(handle), byref(message), None)
            del kept
            return result

        opener = from_file if text is None else from_text
        self._object = _native.Object("cloudauth_client", "open configuration", opener)
        #: What must live as long as it does.
        self._kept: object = None

    def aws_keys(self, profile: str = "") -> AWSKeys:
        """The AWS credentials of a profile; an empty one is that of the variable ``CLOUDAUTH_PROFILE``.

        :raises CloudAuthError: as its text says.
        """
        keys = _native.AwsCredentials(size=ctypes.sizeof(_native.AwsCredentials))

        def read(_: Any, __: int) -> AWSKeys:
            parts = (keys.access_key_id, keys.secret_access_key, keys.session_token)
            identifier, secret, token = (ctypes.string_at(part.ptr, part.len).decode() for part in parts)
            return AWSKeys(identifier, secret, token, keys.expiration)

        return self._ask("AWS credentials", "cloudauth_client_aws_keys", profile, keys, read)

    def bearer_token(self, profile: str = "") -> BearerToken:
        """The token of a profile of Azure or Google Cloud.

        :raises CloudAuthError: as its text says.
        """
        expiration = c_int64()

        def read(buffer: Any, length: int) -> BearerToken:
            return BearerToken(buffer.raw[:length].decode(), expiration.value)

        return self._ask("bearer token", "cloudauth_client_bearer_token", profile, expiration, read)

    def invalidate(self, profile: str = "") -> None:
        """Forgets the credential of a profile, because a service refused it: the next call gets a new one."""
        name, kept = _native.text(profile)
        message = _native.new_message()
        with self._object as handle:
            result = _native.library().cloudauth_client_invalidate(byref(handle), name, byref(message), None)
        del kept
        if result:
            raise _native.failed("forget credential", result, message)

    def close(self) -> None:
        """Forgets the credentials, once the calls that use them have ended. It may be called again."""
        self._object.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(
        self, operation: str, function: str, profile: str, output: Any, read: Callable[[Any, int], _T]
    ) -> _T:
        lib = _native.library()
        name, kept = _native.text(profile)
        message = _native.new_message()
        room = _ROOM
        while True:
            buffer, length = ctypes.create_string_buffer(room), c_size_t()
            try:
                with self._object as handle:
                    result = getattr(lib, function)(
                        byref(handle), name, buffer, room, byref(length), byref(output), byref(message), None
                    )
                if result == 0:
                    return read(buffer, length.value)
            finally:
                lib.cloudauth_wipe(buffer, room)
            if result != Code.BUFFER_TOO_SMALL or not room < length.value <= _MOST:
                break
            room = length.value
        del kept
        raise _native.failed(operation, result, message)
