"""The module paths of the old package cloud_auth_pkcs, over cloudauth."""
