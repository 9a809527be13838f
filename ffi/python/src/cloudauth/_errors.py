"""What can go wrong."""

from __future__ import annotations

import enum


class Code(enum.IntEnum):
    """What kind of failure it is: the numbers of ``cloudauth.h``."""

    NULL = -1
    LENGTH = -2
    STRUCT_SIZE = -3
    OVERLAP = -4
    UNKNOWN_NUMBER = -5
    UTF8 = -6
    STATE = -7
    BUFFER_TOO_SMALL = -100
    CAPACITY = -101
    INVALID = -102
    MALFORMED = -103
    MISMATCH = -104
    SIGNER = -105
    UNSUPPORTED = -106
    VERIFICATION = -107
    SERVICE = -108
    NOT_FOUND = -109
    KEY = -110
    CONFIG = -111
    FILE = -112
    TRANSPORT = -113
    INTERNAL = -199


class CloudAuthError(Exception):
    """A call of the library failed. Its text says what failed and what to do, and holds no secret."""

    def __init__(self, text: str, code: int = Code.INTERNAL, transient: bool = False, status: int = 0) -> None:
        # Not what comes next in a class that is an SDK's error, too.
        Exception.__init__(self, text)
        #: A number of :class:`Code`, or one that a newer library has.
        self.code = code
        #: Whether the same call may succeed later.
        self.transient = transient
        #: The HTTP status of a service's refusal, else 0.
        self.status = status

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (str(self), self.code, self.transient, self.status)


class ForkError(CloudAuthError):
    """A key or client that the parent of this process opened was used after a fork."""
