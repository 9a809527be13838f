"""Credentials for AWS, in the shape of boto3 and botocore."""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping, Sequence
from typing import Any

import boto3.session
import botocore.credentials
import botocore.exceptions
import botocore.session

from ._errors import CloudAuthError, Code, ForkError
from ._native import Lock
from ._options import PROFILE, KeyOptions, client, flag, one_of, path, required, seconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    # What a path may be.
    Path = str | bytes | os.PathLike[Any]

#: The session name of roles when none is given.
SESSION_NAME = "cloudauth"


class RetrievalError(CloudAuthError, botocore.exceptions.CredentialRetrievalError):  # type: ignore[misc]
    """There are no credentials: as botocore's own providers say it."""

    def __init__(self, text: str, code: int = Code.INTERNAL, transient: bool = False, status: int = 0) -> None:
        super().__init__(text, code, transient, status)
        self.kwargs = {"provider": _Provider.METHOD, "error_msg": text}


class _Provider(botocore.credentials.CredentialProvider):  # type: ignore[misc]
    """A profile as a provider of botocore's."""

    METHOD = "cloudauth"
    CANONICAL_NAME = None

    def __init__(
        self,
        kind: str,
        key: KeyOptions,
        profile: Mapping[str, object],
        region: str | None,
        ca_file: Path | None,
    ) -> None:
        super().__init__()
        self._client = client(kind, key, profile, ca_file=path("ca_file", ca_file))
        self._region = region
        self._session: boto3.session.Session | None = None
        self._lock = Lock()

    def _metadata(self) -> dict[str, str]:
        try:
            keys = self._client.aws_keys(PROFILE)
        except ForkError:
            raise
        except CloudAuthError as e:
            raise RetrievalError(str(e), e.code, e.transient, e.status) from e
        ends = datetime.datetime.fromtimestamp(keys.expiration, datetime.timezone.utc)
        return {
            "access_key": keys.access_key_id,
            "secret_key": keys.secret_access_key,
            "token": keys.session_token,
            "expiry_time": ends.isoformat(),
        }

    def load(self) -> Any:
        """Credentials that renew themselves, as botocore asks its providers for them."""
        return botocore.credentials.DeferredRefreshableCredentials(self._metadata, self.METHOD)

    def get_session(self) -> boto3.session.Session:
        """A session of boto3 whose credentials renew themselves: always the same one."""
        self._client._object.check_fork()
        with self._lock:
            if self._session is None:
                session = botocore.session.get_session()
                session._credentials = self.load()
                if self._region:
                    session.set_config_variable("region", self._region)
                self._session = boto3.session.Session(botocore_session=session)
            return self._session

    def invalidate(self) -> None:
        """Forgets the credentials, because a service refused them: the next session gets new ones."""
        self._client.invalidate(PROFILE)
        with self._lock:
            self._session = None

    def close(self) -> None:
        """Forgets the credentials and closes the key; its sessions cannot renew them any more."""
        self._client.close()

    def __getstate__(self) -> Any:
        raise TypeError("a credential of a device cannot be pickled: make it where it is used")


class AWSCredentials(_Provider):
    """Credentials of IAM Roles Anywhere: a certificate, and its key in a device.

    :param key: the key's URI (``pkcs11:…``, ``tpm:…``, ``file:…``), in place of ``module``, ``token``, ``label``
        and ``pin``, or of ``keyfile`` or ``path`` and the other options of a TPM: see :mod:`cloudauth`.
    :param public_certificate_file: the certificate, PEM or DER; further ones are its intermediates.
    :param trust_anchor_arn: the trust anchor whose certificates the certificate leads to.
    :param profile_arn: the profile of IAM Roles Anywhere.
    :param role_arn: the role that is assumed.
    :param region: else that of the trust anchor.
    :param duration_seconds: the credentials' life, 900 to 43200.
    :param session_name: the role session's name, for profiles that accept one.
    :param intermediates: a file with intermediate certificates.
    :param endpoint_url: where the request is sent, when not to the region's service.
    :param ca_file: certificates that are trusted in place of the system's.
    """

    def __init__(
        self,
        key: str | None = None,
        *,
        public_certificate_file: Path | None = None,
        region: str | None = None,
        duration_seconds: int | str = 3600,
        trust_anchor_arn: str | None = None,
        profile_arn: str | None = None,
        role_arn: str | None = None,
        session_name: str | None = None,
        intermediates: Path | None = None,
        endpoint_url: str | None = None,
        ca_file: Path | None = None,
        **options: Any,
    ) -> None:
        of_key = KeyOptions(key, options)
        del key
        required(
            public_certificate_file=public_certificate_file, trust_anchor_arn=trust_anchor_arn,
            profile_arn=profile_arn, role_arn=role_arn,
        )  # fmt: skip
        profile = {
            "certificate": path("public_certificate_file", public_certificate_file),
            "intermediates": path("intermediates", intermediates),
            "trust_anchor_arn": trust_anchor_arn,
            "profile_arn": profile_arn,
            "role_arn": role_arn,
            "region": region,
            "duration": seconds("duration_seconds", duration_seconds),
            "session_name": session_name,
            "endpoint_url": endpoint_url,
        }
        of_anchor = str(trust_anchor_arn).split(":")[3:4]
        super().__init__("aws-roles-anywhere", of_key, profile, region or "".join(of_anchor), ca_file)


class AWSHMACCredentials(_Provider):
    """Credentials of STS, for an AWS secret access key in a device.

    :param key: the key's URI, or its options, as with :class:`AWSCredentials`. A device holds ``AWS4`` and the secret.
    :param access_key: the access key id; also called ``aws_access_key_id``.
    :param assume_role_arn: the role that is assumed.
    :param role_session_name: the session's name, which logs and policies show; else ``cloudauth``.
    :param get_session_token: no role, but a session of the key's own user, with all of its rights.
    :param region: the region of STS; else that of ``AWS_REGION`` or ``AWS_DEFAULT_REGION``.
    :param duration_seconds: the credentials' life, from 900.
    :param tags: session tags: a mapping, or a list of ``{"Key": …, "Value": …}``.
    :param external_id: what the role's owner wants from third parties.
    :param endpoint_url: where the request is sent, when not to the region's service.
    :param ca_file: certificates that are trusted in place of the system's.
    """

    def __init__(
        self,
        key: str | None = None,
        *,
        region: str | None = None,
        duration_seconds: int | str = 3600,
        access_key: str | None = None,
        aws_access_key_id: str | None = None,
        assume_role_arn: str | None = None,
        role_session_name: str | None = None,
        tags: Mapping[str, str] | Sequence[Mapping[str, str]] | None = None,
        get_session_token: bool = False,
        external_id: str | None = None,
        endpoint_url: str | None = None,
        ca_file: Path | None = None,
        **options: Any,
    ) -> None:
        of_key = KeyOptions(key, options, "secret-key")
        del key
        access_key = one_of("access_key", access_key, "aws_access_key_id", aws_access_key_id)
        required(access_key=access_key)
        profile: dict[str, object] = {
            "access_key_id": access_key,
            "region": region,
            "duration": seconds("duration_seconds", duration_seconds),
            "endpoint_url": endpoint_url,
        }
        if flag("get_session_token", get_session_token):
            of_role = {
                "assume_role_arn": assume_role_arn, "role_session_name": role_session_name, "tags": tags,
                "external_id": external_id,
            }  # fmt: skip
            wrong = [name for name, value in of_role.items() if value]
            if wrong:
                raise ValueError(f"{', '.join(wrong)}: not with get_session_token, which assumes no role")
            kind = "aws-session-token"
        else:
            if not assume_role_arn:
                raise ValueError("give assume_role_arn, or get_session_token=True")
            kind = "aws-assume-role"
            profile |= {
                "role_arn": assume_role_arn,
                "session_name": role_session_name or SESSION_NAME,
                "external_id": external_id,
                "tags": _tags(tags),
            }
        # The session's is where STS is: of these two botocore knows the second alone.
        region = region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        super().__init__(kind, of_key, profile, region, ca_file)


def _tags(tags: Mapping[str, str] | Sequence[Mapping[str, str]] | None) -> list[list[str]]:
    if isinstance(tags, Mapping):
        return [[name, value] for name, value in tags.items()]
    return [[tag["Key"], tag["Value"]] for tag in tags or ()]


__all__ = ["SESSION_NAME", "AWSCredentials", "AWSHMACCredentials", "RetrievalError"]
