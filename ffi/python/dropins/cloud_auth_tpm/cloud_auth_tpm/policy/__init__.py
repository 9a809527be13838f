"""The policies of the old package that a key in a TPM can need, as ``policy_impl`` takes them."""

from __future__ import annotations

from typing import Any


class PolicyEval:
    """A policy in the JSON form of TSS; the library reads which PCRs it names, and does the rest itself."""

    def __init__(self, policy: dict[str, Any] | None = None, debug: bool = False) -> None:
        if debug:
            raise TypeError("debug: the policy is evaluated in the library, which prints nothing")
        self._policy = policy


class PCRPolicy(PolicyEval):
    """One POLICYPCR."""


class PCRAuthValuePolicy(PolicyEval):
    """One POLICYPCR, and the key's password."""


__all__ = ["PCRAuthValuePolicy", "PCRPolicy", "PolicyEval"]
