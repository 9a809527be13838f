"""Credentials for Azure, in the shape of azure-core; :mod:`cloudauth.azure.aio` has the asynchronous twin."""

from __future__ import annotations

import json
import os
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from azure.core.credentials import AccessToken, AccessTokenInfo, TokenRequestOptions
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError

from .._client import BearerToken, Client
from .._errors import CloudAuthError
from .._native import Lock, check_process
from .._options import PROFILE, KeyOptions, client, path, required

TYPE_CHECKING = False
if TYPE_CHECKING:
    # What a path may be.
    Path = str | bytes | os.PathLike[Any]

# What a program asks for is the same few things again and again; each has a client with a key of its own.
_KEPT = 32

# With so many seconds left the library serves a token without thinking of the next one; then it is renewed.
_FRESH = 900

# For so many seconds a challenge is answered with the token that came of it: who else was refused has the same one.
_NEW = 60.0

# What says that the client answers the challenges of continuous access evaluation.
_CAPABILITY = {"values": ["CP1"]}


class _Kept:
    """The client of one kind of token, and what it gave last."""

    def __init__(self, made: Client, claims: str | None) -> None:
        self.client, self.claims, self.since = made, claims, time.monotonic()
        self.token: BearerToken | None = None


class AzureCredentials:
    """Access tokens of Entra ID for an application: a certificate, and its key in a device.

    Tokens are kept by what they are for, and renewed before they end.

    :param key: the key's URI (``pkcs11:…``, ``tpm:…``, ``file:…``), in place of ``module``, ``token``, ``label``
        and ``pin``, or of ``keyfile`` or ``path`` and the other options of a TPM: see :mod:`cloudauth`.
    :param tenant_id: the tenant, by its id or a domain.
    :param client_id: the application's (client) id.
    :param certificate_path: the certificate that is registered with the application, PEM or DER.
    :param authority: another cloud's host, such as ``login.microsoftonline.us``.
    :param endpoint_url: where the request is sent, when not to the authority.
    :param send_chain: send the certificates too: subject-name and issuer authentication.
    :param additionally_allowed_tenants: other tenants for which ``get_token`` may ask; ``*`` is all.
    :param ca_file: certificates that are trusted in place of the system's.
    """

    def __init__(
        self,
        key: str | None = None,
        *,
        tenant_id: str | None = None,
        client_id: str | None = None,
        certificate_path: Path | None = None,
        authority: str | None = None,
        endpoint_url: str | None = None,
        send_chain: bool = False,
        additionally_allowed_tenants: Sequence[str] = (),
        ca_file: Path | None = None,
        **options: Any,
    ) -> None:
        self._key = KeyOptions(key, options)
        del key
        required(tenant_id=tenant_id, client_id=client_id, certificate_path=certificate_path)
        self._profile = {
            "client_id": client_id, "certificate": path("certificate_path", certificate_path),
            "authority": authority, "endpoint_url": endpoint_url, "send_chain": send_chain,
        }  # fmt: skip
        self._tenant, self._ca_file = str(tenant_id), path("ca_file", ca_file)
        self._allowed = frozenset([self._tenant, *additionally_allowed_tenants])
        self._kept: OrderedDict[tuple[str, tuple[str, ...], bool], _Kept] = OrderedDict()
        self._lock = Lock()
        self._closed, self._pid = False, os.getpid()

    def get_token(
        self,
        *scopes: str,
        claims: str | None = None,
        tenant_id: str | None = None,
        enable_cae: bool = False,
        **_: Any,
    ) -> AccessToken:
        """A token that is kept, or a new one.

        :param scopes: what it is for, such as ``https://vault.azure.net/.default``.
        :param claims: those of a challenge, with which a service refused the token that was kept. What comes of it
            takes that one's place, for calls without claims, too.
        :param tenant_id: another tenant; it must be allowed.
        :param enable_cae: continuous access evaluation: a service may refuse the token before its end with a
            challenge, which the caller passes on as ``claims``. Such tokens are kept apart from the others.
        :raises ValueError: when ``claims`` are no JSON object.
        :raises azure.core.exceptions.ClientAuthenticationError: when there is none to be had.
        :raises azure.core.exceptions.ServiceRequestError: when it may be had later: azure-core tries again.
        """
        token = self._ask(scopes, claims, tenant_id, enable_cae)
        return AccessToken(token.token, token.expiration)

    def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        """As :meth:`get_token`, which has the options as parameters."""
        asked = options or {}
        return _info(self._ask(scopes, asked.get("claims"), asked.get("tenant_id"), bool(asked.get("enable_cae"))))

    def _at_hand(self, scopes: tuple[str, ...], tenant: str | None, cae: bool) -> BearerToken | None:
        """A token that needs neither a device nor a service, nor a wait for whoever does."""
        kept = self._kept.get((tenant or self._tenant, scopes, cae))
        token = kept.token if kept is not None and os.getpid() == self._pid else None
        return token if token is not None and token.expiration - time.time() > _FRESH else None

    def _ask(self, scopes: tuple[str, ...], claims: str | None, tenant: str | None, cae: bool) -> BearerToken:
        if not scopes:
            raise ValueError("get_token: name at least one scope")
        wanted = _claims(claims, cae)
        tenant = tenant or self._tenant
        if tenant not in self._allowed and "*" not in self._allowed:
            raise ClientAuthenticationError(
                message=f"tenant {tenant} is not the credential's; allow it by additionally_allowed_tenants"
            )
        if self._kept:
            check_process(self._pid)
        else:
            # Nothing was opened before a fork.
            self._pid = os.getpid()
        try:
            kept = self._client(tenant, scopes, cae, wanted if claims else None)
            try:
                kept.token = kept.client.bearer_token(PROFILE)
                return kept.token
            except CloudAuthError:
                if claims:
                    # It is not to stand in the way of calls without claims.
                    with self._lock:
                        if self._kept.get((tenant, scopes, cae)) is kept:
                            del self._kept[tenant, scopes, cae]
                raise
        except CloudAuthError as e:
            kind = ServiceRequestError if e.transient else ClientAuthenticationError
            raise kind(message=str(e)) from e

    def _client(self, tenant: str, scopes: tuple[str, ...], cae: bool, challenge: str | None) -> _Kept:
        with self._lock:
            if self._closed:
                raise CloudAuthError("AzureCredentials: it is closed")
            kept = self._kept.pop((tenant, scopes, cae), None)
            if challenge and kept and (kept.claims != challenge or time.monotonic() - kept.since > _NEW):
                # What is kept was refused.
                kept = None
            if kept is None:
                claims = challenge or _claims(None, cae)
                profile = {"tenant": tenant, "scopes": list(scopes), "claims": claims, **self._profile}
                kept = _Kept(client("azure-token", self._key, profile, ca_file=self._ca_file), claims)
            self._kept[tenant, scopes, cae] = kept
            if len(self._kept) > _KEPT:
                # Whoever is using it goes on; then it is closed.
                self._kept.popitem(last=False)
            return kept

    def close(self) -> None:
        """Forgets the tokens and closes the key."""
        with self._lock:
            self._closed = True
            for kept in self._kept.values():
                kept.client.close()
            self._kept.clear()

    def __enter__(self) -> AzureCredentials:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getstate__(self) -> Any:
        raise TypeError("a credential of a device cannot be pickled: make it where it is used")


def _info(token: BearerToken) -> AccessTokenInfo:
    # When the library gives a new one: to ask earlier is of no use.
    refresh_on = max(token.expiration - _FRESH, int(time.time()) + 30)
    return AccessTokenInfo(token.token, token.expiration, refresh_on=refresh_on)


def _claims(asked: str | None, cae: bool) -> str | None:
    """The claims of a challenge, with what the client is capable of, as Microsoft's own packages send them."""
    try:
        claims = json.loads(asked or "{}")
        if cae:
            claims.setdefault("access_token", {})["xms_cc"] = _CAPABILITY
    except (ValueError, AttributeError, TypeError):
        claims = None
    if not isinstance(claims, dict):
        raise ValueError("claims: expected the JSON object of a challenge; decode its base64 first")
    return json.dumps(claims) if cae else asked or None


__all__ = ["AzureCredentials"]
