"""The shared library: its structures, its functions, and the objects that it owns.

ctypes lets go of the interpreter's lock during every call, those of function pointers included: other
threads run while a device signs or a service is asked.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import sys
import threading
import time
import weakref
from ctypes import POINTER, byref, c_char, c_char_p, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p

from ._errors import CloudAuthError, Code, ForkError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: The binary interface that this package was written for: CLOUDAUTH_ABI_VERSION.
ABI_VERSION = 0

_TEXT = 2024


class Bytes(ctypes.Structure):
    """``cloudauth_bytes``"""

    _fields_ = [("ptr", c_void_p), ("len", c_size_t)]


class Message(ctypes.Structure):
    """``cloudauth_message``"""

    _fields_ = [
        ("size", c_size_t), ("len", c_size_t), ("transient", c_uint32), ("status", c_uint32), ("text", c_char * _TEXT),
    ]  # fmt: skip


class AwsCredentials(ctypes.Structure):
    """``cloudauth_aws_credentials``"""

    _fields_ = [
        ("size", c_size_t), ("access_key_id", Bytes), ("secret_access_key", Bytes), ("session_token", Bytes),
        ("expiration", c_int64),
    ]  # fmt: skip


_SUPPORTS = ctypes.CFUNCTYPE(c_uint32, c_void_p, c_uint32)
_MAX_LEN = ctypes.CFUNCTYPE(c_size_t, c_void_p, c_uint32)
_SIGN = ctypes.CFUNCTYPE(
    c_int32, c_void_p, c_uint32, Bytes, Bytes, c_char_p, c_void_p, c_size_t, POINTER(c_size_t)
)  # fmt: skip
_HMAC = ctypes.CFUNCTYPE(c_int32, c_void_p, Bytes, c_void_p)


class Signer(ctypes.Structure):
    """``cloudauth_signer``"""

    _fields_ = [
        ("size", c_size_t), ("ctx", c_void_p), ("ctx_size", c_size_t), ("public_key", c_void_p),
        ("supports", _SUPPORTS), ("max_signature_len", _MAX_LEN), ("sign", _SIGN),
    ]  # fmt: skip


class Mac(ctypes.Structure):
    """``cloudauth_mac``"""

    _fields_ = [("size", c_size_t), ("ctx", c_void_p), ("ctx_size", c_size_t), ("hmac_sha256", _HMAC)]


class Handle(ctypes.Structure):
    """``cloudauth_client``, ``cloudauth_key`` and ``cloudauth_mac_key``: opaque, and never moved."""

    _fields_ = [("reserved", c_uint64 * 8)]


_FUNCTIONS: dict[str, list[Any]] = {
    "cloudauth_client_open": [Bytes, c_void_p, c_void_p, c_void_p],
    "cloudauth_client_open_text": [Bytes, Bytes, c_void_p, c_void_p, c_void_p],
    "cloudauth_client_aws_keys": [
        c_void_p, Bytes, c_void_p, c_size_t, c_void_p, c_void_p, c_void_p, c_void_p,
    ],
    "cloudauth_client_bearer_token": [
        c_void_p, Bytes, c_void_p, c_size_t, c_void_p, c_void_p, c_void_p, c_void_p,
    ],
    "cloudauth_client_invalidate": [c_void_p, Bytes, c_void_p, c_void_p],
    "cloudauth_key_open": [Bytes, c_void_p, c_void_p, c_void_p],
    "cloudauth_key_signer": [c_void_p, c_void_p, c_void_p],
    "cloudauth_key_public": [c_void_p, c_void_p, c_void_p],
    "cloudauth_mac_key_open": [Bytes, c_void_p, c_void_p, c_void_p],
    "cloudauth_mac_key_mac": [c_void_p, c_void_p, c_void_p],
}  # fmt: skip
_CLOSERS = ["cloudauth_client_close", "cloudauth_key_close", "cloudauth_mac_key_close"]

_loaded: ctypes.CDLL | None = None


class _Gate:
    """Who is in the library. A fork, and the end of the interpreter, wait until nobody is: the child of a fork
    inherits a module's locks as they are, and a module's own state ends with the process, whoever is in it.
    """

    # How long they wait, in seconds: a device signs within one, but a service may be silent for longer.
    WAIT = 5.0

    def __init__(self) -> None:
        # It may be taken again by what holds it: collecting garbage closes things.
        self.lock = threading.Condition(threading.RLock())
        self._inside = 0
        self._held_off = self._in_vain = self._waited_in_vain = False
        self._ended_by: int | None = None

    def enter(self) -> None:
        """Begins a call, for whoever holds the lock."""
        while self._held_off:
            self.lock.wait()
        if self._waited_in_vain or self._ended_by is not None:
            self._refuse()
        self._inside += 1

    def leave(self) -> None:
        """Ends a call, for whoever holds the lock."""
        self._inside -= 1
        if not self._inside and (self._held_off or self._ended_by is not None):
            self.lock.notify_all()

    def _refuse(self) -> None:
        if self._waited_in_vain:
            raise ForkError(
                f"this process was forked while another thread of its parent was in a call for more than "
                f"{self.WAIT:.0f} s, and what that thread held is held here for good; use the start method spawn",
                Code.STATE,
            )
        # What the main thread does at the end is done before the process ends.
        if threading.get_ident() != self._ended_by:
            raise CloudAuthError("the interpreter is ending: join threads that use credentials or keys", Code.STATE)

    def close(self, name: str, handle: Handle) -> None:
        """Closes something. It does not wait: the thread may be in a call, and collecting garbage."""
        with self.lock:
            # Not while the modules go away; the process takes it along.
            if self._ended_by not in (None, threading.get_ident()):
                return
            self._inside += 1
        try:
            getattr(library(), name)(byref(handle))
        finally:
            with self.lock:
                self.leave()

    def _wait(self) -> bool:
        until = time.monotonic() + self.WAIT
        while self._inside and (left := until - time.monotonic()) > 0:
            self.lock.wait(left)
        return not self._inside

    def before_fork(self) -> None:
        self.lock.acquire()
        while self._held_off:
            # Another thread is about to fork.
            self.lock.wait()
        self._held_off = True
        self._in_vain = not self._wait()

    def after_in_parent(self) -> None:
        self._held_off = False
        self.lock.notify_all()
        self.lock.release()

    def after_in_child(self) -> None:
        self.lock = threading.Condition(threading.RLock())
        self._inside, self._held_off = 0, False
        self._waited_in_vain |= self._in_vain

    @property
    def ended(self) -> bool:
        """Whether the interpreter ends, and nobody is in the library."""
        return self._ended_by is not None and not self._inside

    def end(self) -> None:
        with self.lock:
            self._ended_by = threading.get_ident()
            self._wait()


gate = _Gate()
_locks: weakref.WeakSet[Lock] = weakref.WeakSet()


class Lock:
    """A lock that is free in the child of a fork, whoever held it in the parent."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        _locks.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def renew(self) -> None:
        """In the child, which has one thread."""
        self._lock = threading.Lock()


def _after_in_child() -> None:
    gate.after_in_child()
    for lock in list(_locks):
        lock.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=gate.before_fork, after_in_parent=gate.after_in_parent, after_in_child=_after_in_child
    )  # fmt: skip
atexit.register(gate.end)


def _name() -> str:
    return "libcloudauth.dylib" if sys.platform == "darwin" else "libcloudauth.so"


def library() -> ctypes.CDLL:
    """The library: the one in the wheel, else that of the system. It is loaded when it is first used."""
    global _loaded
    if _loaded is not None:
        return _loaded
    with gate.lock:
        if _loaded is None:
            carried = os.path.join(os.path.dirname(os.path.abspath(__file__)), _name())
            _loaded = _bind(carried if os.path.exists(carried) else _name())
        return _loaded


def _bind(path: str) -> ctypes.CDLL:
    try:
        lib = ctypes.CDLL(path)
        lib.cloudauth_abi_version.restype = c_uint32
        found = lib.cloudauth_abi_version()
        if found != ABI_VERSION:
            raise CloudAuthError(f"{path} has the binary interface {found}; this package needs {ABI_VERSION}")
        for name, arguments in _FUNCTIONS.items():
            function = getattr(lib, name)
            function.argtypes, function.restype = arguments, c_int32
        for name in _CLOSERS:
            function = getattr(lib, name)
            function.argtypes, function.restype = [c_void_p], None
        lib.cloudauth_version.restype = c_char_p
        lib.cloudauth_strerror.argtypes, lib.cloudauth_strerror.restype = [c_int32], c_char_p
        lib.cloudauth_wipe.argtypes, lib.cloudauth_wipe.restype = [c_void_p, c_size_t], None
    except (OSError, AttributeError) as e:
        help = "install the wheel of this package, or libcloudauth by ffi/install"
        raise CloudAuthError(f"load {path}: {e}; {help}") from e
    return lib


class Hidden:
    """A text that a traceback does not show which shows the locals of its frames."""

    __slots__ = ("value",)

    def __init__(self, value: str) -> None:
        self.value = value


def text(value: str | bytes) -> tuple[Bytes, bytes]:
    """What is handed over, and what must stay alive meanwhile."""
    if not isinstance(value, (str, bytes)):
        raise TypeError(f"expected a str or bytes, not {type(value).__name__}")
    octets = value.encode() if isinstance(value, str) else value
    return Bytes(ctypes.cast(c_char_p(octets), c_void_p) if octets else None, len(octets)), octets


def failed(operation: str, result: int, message: Message | None = None, hint: str = "") -> CloudAuthError:
    """The exception of a result that is not CLOUDAUTH_OK."""
    said = message.text.decode(errors="replace") if message is not None else ""
    if not said:
        said = library().cloudauth_strerror(result).decode()
    transient, status = (bool(message.transient), message.status) if message is not None else (False, 0)
    hint = hint if result == Code.SIGNER else ""
    return CloudAuthError(f"{operation}: {said}{hint}", result, transient, status)


def new_message() -> Message:
    return Message(size=ctypes.sizeof(Message))


def _close(name: str, handle: Handle, pid: int) -> None:
    # A fork's child has neither the threads nor the sessions: it must leave them alone.
    if os.getpid() == pid:
        gate.close(name, handle)


def check_process(pid: int) -> None:
    """Refuses to go on in a fork's child: asked before any lock, which the child may find locked."""
    if os.getpid() != pid:
        raise ForkError(
            "this process is a fork of the one that made the credential or key; make it again here, or use the "
            "start method spawn",
            Code.STATE,
        )


class Object:
    """Something that the library opened. It is closed once, and not before the last call on it has ended."""

    def __init__(self, kind: str, operation: str, opener: Callable[[Any, Handle, Message], int]) -> None:
        self._kind, self._pid = kind, os.getpid()
        self._users, self._closed, self._opened = 0, False, False
        self._handle = Handle()
        message = new_message()
        with gate.lock:
            gate.enter()
        try:
            result = opener(library(), self._handle, message)
        finally:
            with gate.lock:
                gate.leave()
        if result:
            raise failed(operation, result, message)
        #: How a key is kept that should be kept better; mostly empty.
        self.warning: str = message.text.decode(errors="replace")
        self._finalizer = weakref.finalize(self, _close, f"{kind}_close", self._handle, self._pid)
        # Other threads may be at work when the interpreter ends, and the process takes everything along.
        self._finalizer.atexit = False
        self._opened = True

    def __del__(self) -> None:
        # Finalizers do not run at the interpreter's end, and what a key has in a TPM would stay there. Others that
        # run at the end may have used it until now.
        if self._opened and not self._closed and gate is not None and gate.ended:
            self._closed = True
            _close(f"{self._kind}_close", self._handle, self._pid)

    def check_fork(self) -> None:
        """Refuses to go on in a process that did not open it; asked before any lock."""
        check_process(self._pid)

    def __enter__(self) -> Handle:
        """The handle, which stays open meanwhile."""
        self.check_fork()
        with gate.lock:
            gate.enter()
            if self._closed:
                gate.leave()
                raise CloudAuthError(f"{self._kind}: it is closed", Code.STATE)
            self._users += 1
        return self._handle

    def __exit__(self, *_: object) -> None:
        with gate.lock:
            gate.leave()
            self._users -= 1
            last = self._closed and not self._users
        if last:
            self._finalizer()

    def close(self) -> None:
        """Closes it, once the calls that use it have ended. It may be closed again."""
        if os.getpid() != self._pid:
            return
        with gate.lock:
            self._closed = True
            idle = not self._users
        if idle:
            self._finalizer()
