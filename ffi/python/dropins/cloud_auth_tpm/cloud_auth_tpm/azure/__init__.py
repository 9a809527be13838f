"""Azure."""

from cloud_auth_tpm.azure.azurecredentials import AzureCredentials as AzureCredentials
