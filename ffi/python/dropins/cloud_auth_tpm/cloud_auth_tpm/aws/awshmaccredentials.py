"""Where the old package has it; see :mod:`cloudauth.aws`."""

from cloudauth.aws import AWSHMACCredentials as AWSHMACCredentials
