"""Cloud credentials from keys that cannot be copied: Google Cloud, AWS and Azure, from keys in files, PKCS#11
tokens and TPMs.

:mod:`cloudauth.gcp`, :mod:`cloudauth.aws` and :mod:`cloudauth.azure` have the credentials that the clouds' own
packages take; they need these packages. What is here needs nothing but the shared library.

Each credential takes ``key``, a URI (``pkcs11:…``, ``tpm:…``, ``file:PATH`` or ``env:NAME``), or by name:

- a key in a PKCS#11 token: ``module``, ``token``, ``label``, ``pin``;
- a key in a TPM, in a file: ``keyfile``, with ``password`` (the key's), ``ownerpassword`` (the owner hierarchy's),
  ``policy_impl`` (the PCRs of the key's policy, such as ``"sha256:0,7"``), ``use_ek_cert`` (it is under the RSA
  endorsement key), ``enc_key_name`` (the Name of the endorsement key that the TPM must prove to have) and ``tcti``;
- a key in a TPM, of FAPI: ``path`` in place of ``keyfile``, and ``profile``, ``system_dir`` and ``user_dir`` where
  these are not FAPI's own. ``profile_dir`` is taken, and not read: the key store has what is needed.
"""

from ._client import AWSKeys, BearerToken, Client
from ._errors import CloudAuthError, Code, ForkError
from ._key import Key, MACKey, Scheme

__all__ = [
    "AWSKeys", "BearerToken", "Client", "CloudAuthError", "Code", "ForkError", "Key", "MACKey", "Scheme",
]  # fmt: skip
__version__ = "0.1.0"
