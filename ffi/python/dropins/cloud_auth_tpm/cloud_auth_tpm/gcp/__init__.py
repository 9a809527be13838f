"""Google Cloud."""

from cloud_auth_tpm.gcp.gcpcredentials import GCPCredentials as GCPCredentials
