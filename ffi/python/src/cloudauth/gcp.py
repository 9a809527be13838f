"""Credentials for Google Cloud, in the shape of the package google-auth."""

from __future__ import annotations

import datetime
import os
import time
from collections.abc import Sequence
from typing import Any

import google.auth.credentials
import google.auth.exceptions

from ._client import Client
from ._errors import CloudAuthError, Code, ForkError
from ._key import Key, Scheme
from ._native import Lock
from ._options import PROFILE, KeyOptions, client, one_of, path, required, scope_list, seconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing_extensions import Self

    # What a path may be.
    Path = str | bytes | os.PathLike[Any]

#: What a token is for unless something else is asked for.
CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"

# A token that came within these seconds is not what a service refuses.
_NEW = 5.0

# What a copy of a credential has of its own.
_OWN = {"token", "expiry", "_got", "_guard", "_live", "_refresh_worker", "_closed"}


class SigningError(CloudAuthError, google.auth.exceptions.GoogleAuthError):  # type: ignore[misc]
    """The device did not sign."""

    def __init__(self, text: str, code: int = Code.INTERNAL, transient: bool = False, status: int = 0) -> None:
        super().__init__(text, code, transient, status)
        self._retryable = transient


class _Account:
    """A service account's key, and the tokens that it signs; shared by the copies of a credential."""

    def __init__(self, key: KeyOptions, profile: dict[str, object], ca_file: Path | None) -> None:
        self.key, self.profile, self.ca_file = key, profile, path("ca_file", ca_file)
        self._opened: Key | None = None
        self._lock = Lock()

    def client(self, kind: str, **more: object) -> Client:
        return client(kind, self.key, {**self.profile, **more}, ca_file=self.ca_file)

    def _key(self) -> Key:
        with self._lock:
            if self._opened is None:
                self._opened = self.key.open()
            return self._opened

    def close(self, key: Key | None = None) -> None:
        """Forgets the key, or that one; it is closed when the last thread that signs with it has."""
        with self._lock:
            if key is None or self._opened is key:
                self._opened = None

    def sign(self, message: bytes) -> bytes:
        try:
            return self._sign(message)
        except ForkError:
            raise
        except CloudAuthError as e:
            raise SigningError(str(e), e.code, e.transient, e.status) from e

    def _sign(self, message: bytes) -> bytes:
        key = self._key()
        if not key.supports(Scheme.RSA_PKCS1_SHA256):
            raise CloudAuthError(
                "sign: signed URLs and JWTs of google-auth are signed with RSA (PKCS#1 v1.5, SHA-256), and this key is "
                "none of RSA; for access tokens it can be used",
                Code.UNSUPPORTED,
            )
        try:
            return key.sign(message)
        except CloudAuthError as e:
            if e.code != Code.SIGNER:
                raise
        # Opened anew it works again, or says what is wrong.
        self.close(key)
        del key
        return self._key().sign(message)


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
        self._guard = Lock()
        self._live: Client | None = None
        self._closed = False

    def _copy(self, **changes: Any) -> Self:
        copy = type(self).__new__(type(self))
        copy._begin(self._account, self._quota_project_id)
        # With what google-auth and subclasses keep.
        copy.__dict__.update({name: value for name, value in self.__dict__.items() if name not in _OWN})
        copy.__dict__.update(changes)
        return copy

    def __copy__(self) -> Self:
        return self._copy(token=self.token, expiry=self.expiry)

    def __deepcopy__(self, memo: Any) -> Self:
        return self.__copy__()

    def with_quota_project(self, quota_project_id: str | None) -> Self:
        """The same key, with another project that is billed."""
        return self._copy(_quota_project_id=quota_project_id)

    def close(self) -> None:
        """Forgets the token, and closes the key once nobody uses it. Copies go on, and open it again."""
        with self._guard:
            live, self._live, self._closed = self._live, None, True
        if live is not None:
            live.close()
        self._account.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise SigningError(f"{type(self).__name__}: it is closed", Code.STATE)

    def _more(self) -> dict[str, object]:
        return {}

    def refresh(self, request: Any) -> None:
        """Gets a token; one that a service refused is forgotten first.

        :param request: not used: the library calls the services itself.
        :raises google.auth.exceptions.RefreshError: when there is none to be had.
        """
        if self._live is not None:
            self._live._object.check_fork()
        seen = self._got
        with self._guard:
            if self._got is not seen and self.valid:
                # Another thread was first.
                return
            try:
                self._check_open()
                if self._live is None:
                    self._live = self._account.client(self._kind, **self._more())
                live = self._live
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

        :raises SigningError: when the device does not, or its key is not of RSA.
        """
        self._check_open()
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

    def __reduce_ex__(self, protocol: Any) -> Any:
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
    """Access tokens that a service account's key signs in a device: no call to Google is made for them, unless they
    are for a user.

    :param key: the key's URI (``pkcs11:…``, ``tpm:…``, ``file:…``), in place of ``module``, ``token``, ``label``
        and ``pin``, or of ``keyfile`` or ``path`` and the other options of a TPM: see :mod:`cloudauth`.
    :param email: the service account's e-mail.
    :param scopes: what the tokens are for: a list, or a text with spaces.
    :param key_id: the key's id at Google; also called ``keyid``.
    :param expire_in: the tokens' life in seconds, at most 3600.
    :param subject: a user to act for, with domain-wide delegation: Google's token endpoint is asked.
    :param endpoint_url: with ``subject``: where the request is sent, when not to Google.
    :param ca_file: with ``subject``: certificates that are trusted in place of the system's.
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
        endpoint_url: str | None = None,
        ca_file: Path | None = None,
        **options: Any,
    ) -> None:
        of_key = KeyOptions(key, options)
        del key
        required(email=email)
        if not subject and (endpoint_url or ca_file):
            raise ValueError("endpoint_url and ca_file go with subject: without one, no call is made")
        profile = {
            "email": email,
            "key_id": one_of("key_id", key_id, "keyid", keyid),
            "lifetime": seconds("expire_in", expire_in),
            "subject": subject,
            "endpoint_url": endpoint_url,
        }
        self._begin(_Account(of_key, profile, ca_file), quota_project_id)
        if subject:
            # A token that it signs itself is the service account's own, whatever it says.
            self._kind = "gcp-oauth"
        self._scopes, self._default_scopes = scope_list(scopes), None

    def _more(self) -> dict[str, object]:
        return {"scopes": self._scopes or scope_list(self._default_scopes)}

    @property
    def requires_scopes(self) -> bool:
        """Whether scopes must be named before a token can be had."""
        return not self._scopes

    def with_scopes(
        self, scopes: Sequence[str] | None, default_scopes: Sequence[str] | None = None
    ) -> Self:
        """The same key, for something else."""
        return self._copy(_scopes=scope_list(scopes), _default_scopes=scope_list(default_scopes))


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
        ca_file: Path | None = None,
        **options: Any,
    ) -> None:
        of_key = KeyOptions(key, options)
        del key
        required(email=email, target_audience=target_audience)
        profile = {
            "email": email,
            "key_id": one_of("key_id", key_id, "keyid", keyid),
            "endpoint_url": endpoint_url,
        }
        self._begin(_Account(of_key, profile, ca_file), quota_project_id)
        self._target_audience = target_audience

    def _more(self) -> dict[str, object]:
        return {"audience": self._target_audience}

    def with_target_audience(self, target_audience: str) -> Self:
        """The same key, for another audience."""
        return self._copy(_target_audience=target_audience)


__all__ = ["CLOUD_PLATFORM", "GCPCredentials", "IDTokenCredentials", "SigningError"]
