"""Where the old package has it; see :mod:`cloudauth.azure`."""

from __future__ import annotations

from typing import Any

import cloudauth.azure
from cloudauth._options import Secret


class AzureCredentials(cloudauth.azure.AzureCredentials):
    """As :class:`cloudauth.azure.AzureCredentials`, with the old package's order of parameters."""

    def __init__(
        self,
        tcti: Any = None,
        keyfile: Any = None,
        ownerpassword: Any = None,
        password: Any = None,
        policy_impl: Any = None,
        enc_key_name: Any = None,
        use_ek_cert: bool = False,
        tenant_id: Any = None,
        client_id: Any = None,
        certificate_path: Any = None,
        **options: Any,
    ) -> None:
        # A traceback may show the locals.
        ownerpassword = Secret(ownerpassword)
        password = Secret(password)
        super().__init__(
            tcti=tcti, keyfile=keyfile, ownerpassword=ownerpassword, password=password,
            policy_impl=policy_impl, enc_key_name=enc_key_name, use_ek_cert=use_ek_cert,
            tenant_id=tenant_id, client_id=client_id, certificate_path=certificate_path, **options,
        )  # fmt: skip


__all__ = ["AzureCredentials"]
