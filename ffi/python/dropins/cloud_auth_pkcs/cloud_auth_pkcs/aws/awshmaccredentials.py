"""Where the old package has it; see :mod:`cloudauth.aws`."""

from __future__ import annotations

from typing import Any

import cloudauth.aws
from cloudauth._options import Secret


class AWSHMACCredentials(cloudauth.aws.AWSHMACCredentials):
    """As :class:`cloudauth.aws.AWSHMACCredentials`, with the old package's order of parameters."""

    def __init__(
        self,
        module: Any = None,
        token: Any = None,
        label: Any = None,
        pin: Any = None,
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
        pin = Secret(pin)
        super().__init__(
            module=module, token=token, label=label, pin=pin,
            region=region, duration_seconds=duration_seconds, access_key=access_key,
            assume_role_arn=assume_role_arn, role_session_name=role_session_name, tags=tags,
            get_session_token=get_session_token, **options,
        )  # fmt: skip


__all__ = ["AWSHMACCredentials"]
