"""Credentials for Azure, in the shape of azure-core; :mod:`cloudauth.azure.aio` has the asynchronous twin."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from azure.core.credentials import AccessToken, AccessTokenInfo, TokenRequestOptions
from azure.core.exceptions import ClientAuthenticationError

from .._client import BearerToken, Client
from .._errors import CloudAuthError
from .._native import check_process
from .._options import PROFILE, KeyOptions, Secrets, client, required

# What a program asks for is the same few things again and again; each has a client with a key of its own.
_KEPT = 32


class AzureCredentials:
    """Access tokens of Entra ID for an application: a certificate, and its key in a device.

    Tokens are kept by what they are for, and renewed before they end.

    :param key: the key's URI (``pkcs11:…``, ``tpm:…``, ``file:…``), in place of ``module``, ``token``, ``label``
        and ``pin``, or of ``tcti``, ``keyfile``, ``path`` and the other options of a TPM.
    :param tenant_id: the tenant, by its id or a domain.
    :param client_id: the application's (client) id.
    :param certificate_path: the certificate that is registered with the application, PEM or DER.
    :param authority: another cloud's host, such as ``login.microsoftonline.us``.
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
        certificate_path: str | None = None,
        authority: str | None = None,
        send_chain: bool = False,
        additionally_allowed_tenants: Sequence[str] = (),
        ca_file: str | None = None,
        **options: Any,
    ) -> None:
        required(tenant_id=tenant_id, client_id=client_id, certificate_path=certificate_path)
        self._key = KeyOptions(key, options)
        self._profile = {
            "client_id": client_id, "certificate": certificate_path, "authority": authority, "send_chain": send_chain,
        }  # fmt: skip
        self._tenant, self._ca_file = str(tenant_id), ca_file
        self._allowed = frozenset([self._tenant, *additionally_allowed_tenants])
        self._kept: OrderedDict[tuple[str, tuple[str, ...]], tuple[Client, Secrets]] = OrderedDict()
        self._lock = threading.Lock()
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
        :param claims: those of a challenge, with which a service refused the token that was kept.
        :param tenant_id: another tenant; it must be allowed.
        :param enable_cae: accepted; the tokens are those of a client without the capability.
        :raises azure.core.exceptions.ClientAuthenticationError: when there is none to be had.
        """
        token = self._ask(scopes, claims, tenant_id)
        return AccessToken(token.token, token.expiration)

    def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        """As :meth:`get_token`, which has the options as parameters."""
        asked = options or {}
        token = self._ask(scopes, asked.get("claims"), asked.get("tenant_id"))
        return AccessTokenInfo(token.token, token.expiration)

    def _ask(self, scopes: tuple[str, ...], claims: str | None, tenant: str | None) -> BearerToken:
        if not scopes:
            raise ValueError("get_token: name at least one scope")
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
            if claims:
                return self._challenged(tenant, scopes, claims)
            return self._client(tenant, scopes).bearer_token(PROFILE)
        except CloudAuthError as e:
            raise ClientAuthenticationError(message=str(e)) from e

    def _make(self, tenant: str, scopes: tuple[str, ...], claims: str | None = None) -> tuple[Client, Secrets]:
        secrets = Secrets()
        profile = {
            "key": self._key.uri(secrets), "tenant": tenant, "scopes": list(scopes), "claims": claims, **self._profile,
        }  # fmt: skip
        return client("azure-token", profile, ca_file=self._ca_file), secrets

    def _client(self, tenant: str, scopes: tuple[str, ...]) -> Client:
        with self._lock:
            if self._closed:
                raise CloudAuthError("AzureCredentials: it is closed")
            kept = self._kept.pop((tenant, scopes), None) or self._make(tenant, scopes)
            self._kept[tenant, scopes] = kept
            if len(self._kept) > _KEPT:
                # Whoever is using it goes on; then it is closed.
                self._kept.popitem(last=False)
            return kept[0]

    def _challenged(self, tenant: str, scopes: tuple[str, ...], claims: str) -> BearerToken:
        # The one that is kept was refused.
        self._client(tenant, scopes).invalidate(PROFILE)
        made, secrets = self._make(tenant, scopes, claims)
        try:
            return made.bearer_token(PROFILE)
        finally:
            made.close()
            secrets.close()

    def close(self) -> None:
        """Forgets the tokens and closes the key."""
        with self._lock:
            self._closed = True
            for kept, secrets in self._kept.values():
                kept.close()
                secrets.close()
            self._kept.clear()

    def __enter__(self) -> AzureCredentials:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getstate__(self) -> Any:
        raise TypeError("a credential of a device cannot be pickled: make it where it is used")


__all__ = ["AzureCredentials"]
