"""The policies of the old package that a key in a TPM can need, as ``policy_impl`` takes them."""

from __future__ import annotations

from typing import Any


class PolicyEval:
    """A policy in the JSON form of TSS; the library reads which PCRs it names, and does the rest itself.

    A ``policy_callback`` of a class of your own is not called, because it would need tpm2-pytss: credentials refuse
    such a policy unless it is one of PCRs all the same.
    """

    def __init__(self, policy: dict[str, Any] | None = None, debug: bool = False) -> None:
        if debug:
            raise TypeError("debug: the policy is evaluated in the library, which prints nothing")
        self._policy = policy


class PCRPolicy(PolicyEval):
    """One POLICYPCR."""


class PCRAuthValuePolicy(PolicyEval):
    """One POLICYPCR, and the key's password."""


class PolicyORAndDuplicateSelectPolicy(PolicyEval):
    """The policy of keys that tpmcopy transfers, which is refused.

    :raises TypeError: always, with what to do.
    """

    def __init__(self, policy: dict[str, Any] | None = None, debug: bool = False) -> None:
        raise TypeError(
            "PolicyORAndDuplicateSelectPolicy is not supported: import the key into this TPM without a policy that lets "
            "it be duplicated again (tpm2_import, or cloudauth key import), with a password or PCRs, and leave "
            "policy_impl out, or give PCRPolicy or PCRAuthValuePolicy"
        )


__all__ = ["PCRAuthValuePolicy", "PCRPolicy", "PolicyEval", "PolicyORAndDuplicateSelectPolicy"]
