"""The asynchronous twin of :class:`cloudauth.azure.AzureCredentials`."""

from __future__ import annotations

import asyncio
import functools
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

from azure.core.credentials import AccessToken, AccessTokenInfo, TokenRequestOptions

from .._client import BearerToken
from .._options import Secret, hide
from . import AzureCredentials as _Blocking
from . import _info

# A service that is silent holds up whoever asks it for a token, and nobody else: these threads are the credential's.
_THREADS = 4


class AzureCredentials:
    """As :class:`cloudauth.azure.AzureCredentials`, whose parameters it takes, for azure-core's ``aio`` clients.

    The library waits for the service in threads of the credential's own; a token that is kept needs none.
    """

    def __init__(self, key: str | None = None, **options: Any) -> None:
        # A traceback may show the locals.
        hide(options)
        hidden = cast(Any, Secret(key) if key else None)
        del key
        self._blocking = _Blocking(hidden, **options)
        self._new_threads()

    def _new_threads(self) -> None:
        self._pid = os.getpid()
        self._threads = ThreadPoolExecutor(_THREADS, "cloudauth")

    async def get_token(
        self,
        *scopes: str,
        claims: str | None = None,
        tenant_id: str | None = None,
        enable_cae: bool = False,
        **_: Any,
    ) -> AccessToken:
        """See :meth:`cloudauth.azure.AzureCredentials.get_token`."""
        token = await self._ask(scopes, claims, tenant_id, enable_cae)
        return AccessToken(token.token, token.expiration)

    async def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        """See :meth:`cloudauth.azure.AzureCredentials.get_token_info`."""
        asked = options or {}
        return _info(
            await self._ask(scopes, asked.get("claims"), asked.get("tenant_id"), bool(asked.get("enable_cae")))
        )

    async def _ask(self, scopes: tuple[str, ...], claims: str | None, tenant: str | None, cae: bool) -> BearerToken:
        token = None if claims else self._blocking._at_hand(scopes, tenant, cae)
        if token is not None:
            return token
        if self._pid != os.getpid():
            # The child of a fork has none of them.
            self._new_threads()
        ask = functools.partial(self._blocking._ask, scopes, claims, tenant, cae)
        return await asyncio.get_running_loop().run_in_executor(self._threads, ask)

    async def close(self) -> None:
        """Forgets the tokens and closes the key."""
        # It waits for nobody: calls that are under way end, and then what they use is closed.
        self._blocking.close()

    async def __aenter__(self) -> AzureCredentials:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


__all__ = ["AzureCredentials"]
