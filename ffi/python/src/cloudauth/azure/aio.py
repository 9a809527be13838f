"""The asynchronous twin of :class:`cloudauth.azure.AzureCredentials`."""

from __future__ import annotations

import asyncio
from typing import Any

from azure.core.credentials import AccessToken, AccessTokenInfo, TokenRequestOptions

from . import AzureCredentials as _Blocking


class AzureCredentials:
    """As :class:`cloudauth.azure.AzureCredentials`, whose parameters it takes, for azure-core's ``aio`` clients.

    The library waits for the service in a thread of the event loop's executor.
    """

    def __init__(self, key: str | None = None, **options: Any) -> None:
        self._blocking = _Blocking(key, **options)

    async def get_token(
        self,
        *scopes: str,
        claims: str | None = None,
        tenant_id: str | None = None,
        enable_cae: bool = False,
        **_: Any,
    ) -> AccessToken:
        """See :meth:`cloudauth.azure.AzureCredentials.get_token`."""
        return await asyncio.to_thread(
            self._blocking.get_token, *scopes, claims=claims, tenant_id=tenant_id, enable_cae=enable_cae
        )

    async def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        """See :meth:`cloudauth.azure.AzureCredentials.get_token_info`."""
        return await asyncio.to_thread(self._blocking.get_token_info, *scopes, options=options)

    async def close(self) -> None:
        """Forgets the tokens and closes the key."""
        await asyncio.to_thread(self._blocking.close)

    async def __aenter__(self) -> AzureCredentials:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


__all__ = ["AzureCredentials"]
