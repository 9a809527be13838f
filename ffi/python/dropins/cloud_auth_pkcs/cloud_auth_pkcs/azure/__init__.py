"""Azure."""

from cloud_auth_pkcs.azure.azurecredentials import AzureCredentials as AzureCredentials
