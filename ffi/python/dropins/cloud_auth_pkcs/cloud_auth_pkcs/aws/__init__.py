"""AWS."""

from cloud_auth_pkcs.aws.awscredentials import AWSCredentials as AWSCredentials
from cloud_auth_pkcs.aws.awshmaccredentials import AWSHMACCredentials as AWSHMACCredentials
