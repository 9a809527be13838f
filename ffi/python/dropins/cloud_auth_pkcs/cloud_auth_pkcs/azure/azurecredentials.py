"""Where the old package has it; see :mod:`cloudauth.azure`."""

from cloudauth.azure import AzureCredentials as AzureCredentials
