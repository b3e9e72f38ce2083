"""The trunk of a container instance (Developer Guide, "Increasing Amazon ECS Linux container instance network
interfaces"): one interface of type trunk, attached to the instance; the interfaces of its tasks are of type branch.

The trunk is a real interface of the instance. The branches are links of their own beside it: a VLAN would be seen by
nobody, and each branch is filtered by its own groups either way.
"""

from __future__ import annotations

import msgspec

from ecsnet.model import ec2
from ecsnet.model.capacity import ContainerInstance
from ecsnet.model.tables import CONTAINER_INSTANCES, INTERFACES, INTERFACES_BY_OWNER, OBSERVED_INTERFACES
from ecsnet.services.call import AwsError, Call
from ecsnet.services.ec2 import ops as ec2_ops
from ecsnet.services.ecs.interfaces import REQUESTER

ATTRIBUTE = "ecs.awsvpc-trunk-id"


def attach(call: Call, row: ContainerInstance, most: int) -> ContainerInstance:
    """The instance with a trunk on its way: REGISTERING; REGISTRATION_FAILED with the reason when it gets none.

    `most` is how many interfaces its type carries (ECS API, ContainerInstance, `status`).
    """
    present = [call.tx.get(INTERFACES, key) for key in call.tx.keys(INTERFACES_BY_OWNER, row.instance)]
    taken = {one.attachment.device_index for one in present if one is not None and one.attachment is not None}
    if len(taken) >= most:
        return _failed(row, f"Interface count {len(taken) + 1} exceeds the limit for {row.type}")
    try:
        trunk = ec2_ops.allocate_interface(
            call,
            subnet=row.subnet or "",
            groups=(),
            description=f"ECS trunk of {row.arn}",
            interface_type="trunk",
            requester_managed=True,
            requester_id=REQUESTER,
            attachment=ec2.Attachment(
                id=call.ids.resource("eni-attach"),
                owner_kind="instance",
                owner=row.instance,
                device_index=next(index for index in range(1, most + 1) if index not in taken),
                attached=call.now,
            ),
        )
    except AwsError as error:
        return _failed(row, f"{error.code}: {error.message}")
    return msgspec.structs.replace(row, status="REGISTERING", trunk=trunk.id)


def _failed(row: ContainerInstance, reason: str) -> ContainerInstance:
    return msgspec.structs.replace(row, status="REGISTRATION_FAILED", status_reason=reason)


def seen(call: Call, row: ContainerInstance) -> ContainerInstance:
    """A REGISTERING instance is ACTIVE once its trunk was seen in it, and names it in an attribute."""
    if row.trunk is None or call.tx.get(OBSERVED_INTERFACES, row.trunk) is None:
        return row
    attributes = tuple(sorted((*row.attributes, (ATTRIBUTE, row.trunk))))
    row = msgspec.structs.replace(row, status="ACTIVE", attributes=attributes, version=row.version + 1)
    return call.tx.put(CONTAINER_INSTANCES, row)
