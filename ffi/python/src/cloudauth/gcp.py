"""Credentials for Google Cloud, in the shape of the package google-auth."""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Sequence
from typing import Any

import google.auth.credentials
import google.auth.exceptions

from ._client import Client
from ._errors import CloudAuthError, Code
from ._key import Key
from ._options import PROFILE, KeyOptions, Secrets, client, one_of, required, scope_list, seconds

#: What a token is for unless something else is asked for.
CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"

# A token that came within these seconds is not what a service refuses.
_NEW = 5.0


class _Account:
    """A service account's key, and the tokens that it signs; shared by the copies of a credential."""

    def __init__(self, key: KeyOptions, profile: dict[str, object], ca_file: str | None) -> None:
        self.key, self.profile, self.ca_file = key, profile, ca_file
        self._opened: Key | None = None
        self._secrets = Secrets()
        self._lock = threading.Lock()

    def client(self, kind: str, **more: object) -> tuple[Client, Secrets]:
        secrets = Secrets()
        uri = self.key.uri(secrets)
        return client(kind, {"key": uri, **self.profile, **more}, ca_file=self.ca_file), secrets

    def _key(self) -> Key:
        with self._lock:
            if self._opened is None:
                self._opened = Key(self.key.uri(self._secrets))
            return self._opened

    def sign(self, message: bytes) -> bytes:
        key = self._key()
        try:
            return key.sign(message, key.schemes[0])
        except CloudAuthError as e:
            if e.code != Code.SIGNER:
                raise
        # Opened anew it works again, or says what is wrong.
        with self._lock:
            if self._opened is key:
                self._opened = None
        # Not closed: another thread may be signing with it.
        del key
        key = self._key()
        return key.sign(message, key.schemes[0])


class _Tokens(
    google.auth.credentials.CredentialsWithQuotaProject,  # type: ignore[misc]
    google.auth.credentials.Signing,  # type: ignore[misc]
):
    """What access tokens and ID tokens have in common."""

    _account: _Account
    _kind: str
    token: str | None
    expiry: datetime.datetime | None

    def _begin(self, account: _Account, quota_project_id: str | None) -> None:
        super().__init__()
        self._account, self._quota_project_id = account, quota_project_id
        self._got: tuple[str | None, float] = (None, 0.0)
        self._guard = threading.Lock()
        self._live: tuple[Client, Secrets] | None = None

    def _more(self) -> dict[str, object]:
        return {}

    def refresh(self, request: Any) -> None:
        """Gets a token; one that a service refused is forgotten first.

        :param request: not used: the library calls the services itself.
        :raises google.auth.exceptions.RefreshError: when there is none to be had.
        """
        if self._live is not None:
            self._live[0]._object.check_fork()
        seen = self._got
        with self._guard:
            if self._got is not seen and self.valid:
                # Another thread was first.
                return
            try:
                if self._live is None:
                    self._live = self._account.client(self._kind, **self._more())
                live = self._live[0]
                refused = self.token is not None and self.token == seen[0] and self.valid
                if refused and time.monotonic() - seen[1] > _NEW:
                    live.invalidate(PROFILE)
                got = live.bearer_token(PROFILE)
            except CloudAuthError as e:
                raise google.auth.exceptions.RefreshError(str(e), retryable=e.transient) from e
            self.token = got.token
            utc = datetime.datetime.fromtimestamp(got.expiration, datetime.timezone.utc)
            # google-auth compares times without a zone.
            self.expiry = utc.replace(tzinfo=None)
            self._got = (got.token, time.monotonic())

    def sign_bytes(self, message: bytes) -> bytes:
        """Signs in the device, as signed URLs need it: RSA with PKCS#1 v1.5 and SHA-256.

        :raises CloudAuthError: when the device does not.
        """
        return self._account.sign(message)

    @property
    def signer_email(self) -> str:
        """The service account's e-mail."""
        return str(self._account.profile["email"])

    service_account_email = signer_email

    @property
    def signer(self) -> Any:
        """What signs: an object with ``sign`` and ``key_id``."""
        return _Signer(self._account)

    def __getstate__(self) -> Any:
        raise TypeError("a credential of a device cannot be pickled: make it where it is used")


class _Signer:
    def __init__(self, account: _Account) -> None:
        self._account = account

    @property
    def key_id(self) -> str | None:
        key_id = self._account.profile.get("key_id")
        return None if key_id is None else str(key_id)

    def sign(self, message: str | bytes) -> bytes:
        return self._account.sign(message.encode() if isinstance(message, str) else message)


class GCPCredentials(_Tokens, google.auth.credentials.Scoped):  # type: ignore[misc]
    """Access tokens that a service account's key signs in a device: no call to Google is made for them.

    :param key: the key's URI (``pkcs11:…``, ``tpm:…``, ``file:…``), in place of ``module``, ``token``, ``label``
        and ``pin``, or of ``keyfile`` or ``path`` and the other options of a TPM: see :mod:`cloudauth`.
    :param email: the service account's e-mail.
    :param scopes: what the tokens are for: a list, or a text with spaces.
    :param key_id: the key's id at Google; also called ``keyid``.
    :param expire_in: the tokens' life in seconds, at most 3600.
    :param subject: a user to act for, with domain-wide delegation.
    :param quota_project_id: the project that is billed, when not the key's.
    """

    _kind = "gcp-token"

    def __init__(
        self,
        key: str | None = None,
        *,
        email: str | None = None,
        scopes: str | Sequence[str] | None = CLOUD_PLATFORM,
        key_id: str | None = None,
        keyid: str | None = None,
        expire_in: int | str = 3600,
        subject: str | None = None,
        quota_project_id: str | None = None,
        **options: Any,
    ) -> None:
        required(email=email)
        profile = {
            "email": email,
            "key_id": one_of("key_id", key_id, "keyid", keyid),
            "lifetime": seconds("expire_in", expire_in),
            "subject": subject,
        }
        self._begin(_Account(KeyOptions(key, options), profile, None), quota_project_id)
        self._scopes, self._default_scopes = scope_list(scopes), None

    def _more(self) -> dict[str, object]:
        return {"scopes": self._scopes or scope_list(self._default_scopes)}

    def _copy(self, **changes: Any) -> GCPCredentials:
        copy = type(self).__new__(type(self))
        copy._begin(self._account, changes.get("quota_project_id", self._quota_project_id))
        copy._scopes = changes.get("scopes", self._scopes)
        copy._default_scopes = changes.get("default_scopes", self._default_scopes)
        return copy

    @property
    def requires_scopes(self) -> bool:
        """Whether scopes must be named before a token can be had."""
        return not self._scopes

    def with_scopes(
        self, scopes: Sequence[str] | None, default_scopes: Sequence[str] | None = None
    ) -> GCPCredentials:
        """The same key, for something else."""
        return self._copy(scopes=scope_list(scopes), default_scopes=scope_list(default_scopes))

    def with_quota_project(self, quota_project_id: str | None) -> GCPCredentials:
        """The same key, with another project that is billed."""
        return self._copy(quota_project_id=quota_project_id)


class IDTokenCredentials(_Tokens):
    """ID tokens of a service account, from Google's token endpoint.

    :param target_audience: who they are for: a service's URL or an OAuth client id.
    :param endpoint_url: where the request is sent, when not to Google.
    :param ca_file: certificates that are trusted in place of the system's.

    The other parameters are those of :class:`GCPCredentials`.
    """

    _kind = "gcp-id-token"

    def __init__(
        self,
        key: str | None = None,
        *,
        email: str | None = None,
        target_audience: str | None = None,
        key_id: str | None = None,
        keyid: str | None = None,
        quota_project_id: str | None = None,
        endpoint_url: str | None = None,
        ca_file: str | None = None,
        **options: Any,
    ) -> None:
        required(email=email, target_audience=target_audience)
        profile = {
            "email": email,
            "key_id": one_of("key_id", key_id, "keyid", keyid),
            "endpoint_url": endpoint_url,
        }
        self._begin(_Account(KeyOptions(key, options), profile, ca_file), quota_project_id)
        self._target_audience = target_audience

    def _more(self) -> dict[str, object]:
        return {"audience": self._target_audience}

    def _copy(self, audience: str | None, quota_project_id: str | None) -> IDTokenCredentials:
        copy = type(self).__new__(type(self))
        copy._begin(self._account, quota_project_id)
        copy._target_audience = audience
        return copy

    def with_target_audience(self, target_audience: str) -> IDTokenCredentials:
        """The same key, for another audience."""
        return self._copy(target_audience, self._quota_project_id)

    def with_quota_project(self, quota_project_id: str | None) -> IDTokenCredentials:
        """The same key, with another project that is billed."""
        return self._copy(self._target_audience, quota_project_id)


__all__ = ["CLOUD_PLATFORM", "GCPCredentials", "IDTokenCredentials"]
