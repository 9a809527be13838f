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
        tcti: Any = None,
        keyfile: Any = None,
        ownerpassword: Any = None,
        password: Any = None,
        policy_impl: Any = None,
        enc_key_name: Any = None,
        use_ek_cert: bool = False,
        email: Any = None,
        scopes: Any = SCOPES,
        key_id: Any = None,
        expire_in: Any = 3600,
        **options: Any,
    ) -> None:
        # A traceback may show the locals.
        ownerpassword = Secret(ownerpassword)
        password = Secret(password)
        super().__init__(
            tcti=tcti, keyfile=keyfile, ownerpassword=ownerpassword, password=password,
            policy_impl=policy_impl, enc_key_name=enc_key_name, use_ek_cert=use_ek_cert,
            email=email, scopes=scopes, key_id=key_id, expire_in=expire_in, **options,
        )  # fmt: skip


__all__ = ["SCOPES", "GCPCredentials"]
