"""The module paths of the old package cloud_auth_tpm, over cloudauth."""
