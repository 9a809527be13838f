"""Where the old package has it."""

from cloud_auth_tpm.policy import PolicyORAndDuplicateSelectPolicy as PolicyORAndDuplicateSelectPolicy
