"""Where the old package has it; see :mod:`cloudauth.gcp`."""

from __future__ import annotations

from typing import Any

import cloudauth.gcp
from cloudauth._options import Secret

# As the old package's code has it; its README has the first one alone, as cloudauth does.
SCOPES = f"{cloudauth.gcp.CLOUD_PLATFORM} https://www.googleapis.com/auth/userinfo.email"


class GCPCredentials(cloudauth.gcp.GCPCredentials):
    """As :class:`cloudauth.gcp.GCPCredentials`, with the old package's order of parameters."""

    def __init__(
        self,
        module: Any = None,
        token: Any = None,
        label: Any = None,
        pin: Any = None,
        email: Any = None,
        scopes: Any = SCOPES,
        key_id: Any = None,
        expire_in: Any = 3600,
        **options: Any,
    ) -> None:
        # A traceback may show the locals.
        pin = Secret(pin)
        super().__init__(
            module=module, token=token, label=label, pin=pin,
            email=email, scopes=scopes, key_id=key_id, expire_in=expire_in, **options,
        )  # fmt: skip


__all__ = ["SCOPES", "GCPCredentials"]
