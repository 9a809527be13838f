"""Where the old package has it; see :mod:`cloudauth.aws`."""

from __future__ import annotations

from typing import Any

import cloudauth.aws
from cloudauth._options import Secret


class AWSHMACCredentials(cloudauth.aws.AWSHMACCredentials):
    """As :class:`cloudauth.aws.AWSHMACCredentials`, with the old package's order of parameters."""

    def __init__(
        self,
        tcti: Any = None,
        keyfile: Any = None,
        ownerpassword: Any = None,
        password: Any = None,
        policy_impl: Any = None,
        enc_key_name: Any = None,
        use_ek_cert: bool = False,
        region: Any = None,
        duration_seconds: Any = 3600,
        access_key: Any = None,
        assume_role_arn: Any = None,
        role_session_name: Any = None,
        tags: Any = None,
        get_session_token: bool = False,
        **options: Any,
    ) -> None:
        # A traceback may show the locals.
        ownerpassword = Secret(ownerpassword)
        password = Secret(password)
        super().__init__(
            tcti=tcti, keyfile=keyfile, ownerpassword=ownerpassword, password=password,
            policy_impl=policy_impl, enc_key_name=enc_key_name, use_ek_cert=use_ek_cert,
            region=region, duration_seconds=duration_seconds, access_key=access_key,
            assume_role_arn=assume_role_arn, role_session_name=role_session_name, tags=tags,
            get_session_token=get_session_token, **options,
        )  # fmt: skip


__all__ = ["AWSHMACCredentials"]
