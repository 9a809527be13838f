"""Where the old package has it; see :mod:`cloudauth.aws`."""

from __future__ import annotations

from typing import Any

import cloudauth.aws
from cloudauth._options import Secret


class AWSCredentials(cloudauth.aws.AWSCredentials):
    """As :class:`cloudauth.aws.AWSCredentials`, with the old package's order of parameters."""

    def __init__(
        self,
        tcti: Any = None,
        keyfile: Any = None,
        ownerpassword: Any = None,
        password: Any = None,
        policy_impl: Any = None,
        enc_key_name: Any = None,
        use_ek_cert: bool = False,
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
        ownerpassword = Secret(ownerpassword)
        password = Secret(password)
        super().__init__(
            tcti=tcti, keyfile=keyfile, ownerpassword=ownerpassword, password=password,
            policy_impl=policy_impl, enc_key_name=enc_key_name, use_ek_cert=use_ek_cert,
            public_certificate_file=public_certificate_file, region=region,
            duration_seconds=duration_seconds, trust_anchor_arn=trust_anchor_arn,
            profile_arn=profile_arn, role_arn=role_arn, session_name=session_name, **options,
        )  # fmt: skip


__all__ = ["AWSCredentials"]
