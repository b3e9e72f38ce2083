"""AWS Security Token Service: who am I, and temporary credentials that keep their account.

Later requests carry nothing but the access key, so keys and their accounts are kept in the store. Signatures and trust
policies are not checked: ecsnet is one user's machine.
"""

from __future__ import annotations

from ecsnet.services.call import Operation
from ecsnet.services.sts import identity, session

OPERATIONS: tuple[Operation, ...] = (*identity.OPERATIONS, *session.OPERATIONS)
