"""Google Cloud."""

from cloud_auth_pkcs.gcp.gcpcredentials import GCPCredentials as GCPCredentials
