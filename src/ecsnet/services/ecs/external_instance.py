"""What EXTERNAL instances (ECS Anywhere) have instead of EC2: an id of Systems Manager, and an address of their own.

Developer Guide, "Amazon ECS clusters for external instances". An address of the internet side stands for the network in
which such a machine is; it is shown as the attribute `ecsnet.address`, because no other API of AWS tells it.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address

from ecsnet.model.capacity import EXTERNAL_NETWORK
from ecsnet.model.tables import CONTAINER_INSTANCES_BY_ADDRESS, CONTAINER_INSTANCES_BY_INSTANCE
from ecsnet.services.call import Call
from ecsnet.services.ecs import errors

ADDRESS_ATTRIBUTE = "ecsnet.address"

_ID = re.compile(r"mi-[0-9a-f]{17}")
_LAST = int(EXTERNAL_NETWORK.network_address) + 199


def is_id(given: str) -> bool:
    """Whether Systems Manager could have given out such an id."""
    return _ID.fullmatch(given) is not None


def check_free(call: Call, cluster: str, instance: str) -> None:
    """Raises ClientException when the instance is registered with another cluster than `cluster` (an ARN)."""
    for row in call.tx.find(CONTAINER_INSTANCES_BY_INSTANCE, instance):
        if row.status != "INACTIVE" and row.cluster != cluster:
            raise errors.client(
                f"Unable to register container instance: {instance} is registered with the cluster {row.cluster}. An "
                "external instance can be in one cluster at a time."
            )


def give_address(call: Call) -> IPv4Address:
    """The lowest address that no EXTERNAL instance has. Raises ClientException when there is none left."""
    for number in range(int(EXTERNAL_NETWORK.network_address) + 1, _LAST + 1):
        address = IPv4Address(number)
        if not call.tx.keys(CONTAINER_INSTANCES_BY_ADDRESS, str(address)):
            return address
    raise errors.client("Unable to register container instance: ecsnet has addresses for 199 external instances.")
