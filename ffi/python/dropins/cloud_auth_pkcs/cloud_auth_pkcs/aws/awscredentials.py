"""Where the old package has it; see :mod:`cloudauth.aws`."""

from __future__ import annotations

from typing import Any

import cloudauth.aws
from cloudauth._options import Secret


class AWSCredentials(cloudauth.aws.AWSCredentials):
    """As :class:`cloudauth.aws.AWSCredentials`, with the old package's order of parameters."""

    def __init__(
        self,
        module: Any = None,
        token: Any = None,
        label: Any = None,
        pin: Any = None,
        public_certificate_file: Any = None,
        region: Any = None,
        duration_seconds: Any = 3600,
        trust_anchor_arn: Any = None,
        profile_arn: Any = None,
        role_arn: Any = None,
        session_name: Any = None,
        **options: Any,
    ) -> None:
        # A traceback may show the locals.
        pin = Secret(pin)
        super().__init__(
            module=module, token=token, label=label, pin=pin,
            public_certificate_file=public_certificate_file, region=region,
            duration_seconds=duration_seconds, trust_anchor_arn=trust_anchor_arn,
            profile_arn=profile_arn, role_arn=role_arn, session_name=session_name, **options,
        )  # fmt: skip


__all__ = ["AWSCredentials"]
