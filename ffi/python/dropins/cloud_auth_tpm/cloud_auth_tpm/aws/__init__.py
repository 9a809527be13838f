"""AWS."""

from cloud_auth_tpm.aws.awscredentials import AWSCredentials as AWSCredentials
from cloud_auth_tpm.aws.awshmaccredentials import AWSHMACCredentials as AWSHMACCredentials
