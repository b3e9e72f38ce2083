"""NAT gateways: available once their interface was seen (VPC User Guide, "NAT gateway states")."""

from __future__ import annotations

from ecsnet.model.tables import NAT_GATEWAYS, OBSERVED_INTERFACES
from ecsnet.services.call import Call
from ecsnet.services.ec2 import ops as ec2_ops

_LISTED_AFTER_END = 3600.0
"""Seconds for which failed and deleted gateways are still listed."""


def step(call: Call, nat_id: str) -> float | None:
    """Move one gateway on; answers when it is no longer to be listed."""
    nat = call.tx.get(NAT_GATEWAYS, nat_id)
    if nat is None:
        return None
    match nat.state:
        case "pending":
            if nat.interface is None or call.tx.get(OBSERVED_INTERFACES, nat.interface) is not None:
                nat = ec2_ops.make_nat_available(call, nat_id)
        case "deleting":
            nat = ec2_ops.finish_nat_delete(call, nat_id)
        case "available":
            return ec2_ops.finish_drains(call, nat)
        case "failed" | "deleted":
            pass
    if nat is None or nat.deleted is None:
        return None
    due = nat.deleted + _LISTED_AFTER_END
    if call.now < due:
        return due
    ec2_ops.forget_nat_gateway(call, nat_id)
    return None
