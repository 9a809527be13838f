"""Where the old package has it; see :mod:`cloudauth.aws`."""

from cloudauth.aws import AWSCredentials as AWSCredentials
