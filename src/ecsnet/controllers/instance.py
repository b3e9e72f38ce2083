"""Instances: each state ends with an observation (EC2 User Guide, "Amazon EC2 instance state changes").

pending → running when its network stack and its primary interface were seen; stopping → stopped and shutting-down →
terminated when the stack was seen to be gone.
"""

from __future__ import annotations

from ecsnet.model.tables import INSTANCES, OBSERVED_INSTANCES
from ecsnet.services.call import Call
from ecsnet.services.ec2 import ops as ec2_ops


def step(call: Call, key: str) -> float | None:
    """Move one instance on; answers when a terminated one is no longer to be listed."""
    instance = call.tx.get(INSTANCES, key)
    if instance is None:
        return None
    gone = call.tx.get(OBSERVED_INSTANCES, key) is None
    match instance.state:
        case "pending" if ec2_ops.in_force(call.tx, key):
            ec2_ops.make_running(call, instance)
        case "stopping" if gone:
            ec2_ops.finish_stop(call, instance)
        case "shutting-down" if gone:
            instance = ec2_ops.finish_terminate(call, instance)
        case _:
            pass
    if instance.ended is None:
        return None
    due = instance.ended + ec2_ops.INSTANCE_LISTED_AFTER_END
    if call.now < due:
        return due
    ec2_ops.forget_instance(call, instance)
    return None
