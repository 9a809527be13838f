"""Where the old package has it; see :mod:`cloudauth.azure`."""

from __future__ import annotations

from typing import Any

import cloudauth.azure
from cloudauth._options import Secret


class AzureCredentials(cloudauth.azure.AzureCredentials):
    """As :class:`cloudauth.azure.AzureCredentials`, with the old package's order of parameters."""

    def __init__(
        self,
        module: Any = None,
        token: Any = None,
        label: Any = None,
        pin: Any = None,
        tenant_id: Any = None,
        client_id: Any = None,
        certificate_path: Any = None,
        **options: Any,
    ) -> None:
        # A traceback may show the locals.
        pin = Secret(pin)
        super().__init__(
            module=module, token=token, label=label, pin=pin,
            tenant_id=tenant_id, client_id=client_id, certificate_path=certificate_path, **options,
        )  # fmt: skip


__all__ = ["AzureCredentials"]
