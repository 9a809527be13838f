"""Cloud credentials from keys that cannot be copied: Google Cloud, AWS and Azure, from keys in files, PKCS#11
tokens and TPMs.

:mod:`cloudauth.gcp`, :mod:`cloudauth.aws` and :mod:`cloudauth.azure` have the credentials that the clouds' own
packages take; they need these packages. What is here needs nothing but the shared library.
"""

from ._client import AWSKeys, BearerToken, Client
from ._errors import CloudAuthError, Code, ForkError
from ._key import Key, MACKey, Scheme

__all__ = [
    "AWSKeys", "BearerToken", "Client", "CloudAuthError", "Code", "ForkError", "Key", "MACKey", "Scheme",
]  # fmt: skip
__version__ = "0.1.0"
