"""Where the old package has it; see :mod:`cloudauth.gcp`."""

from cloudauth.gcp import GCPCredentials as GCPCredentials
