"""Writes what a load balancer's probes saw of a target; DescribeTargetHealth derives the state from it."""

from __future__ import annotations

from typing import Literal

from ecsnet.model.elbv2 import TargetHealth
from ecsnet.model.tables import INTERFACES_BY_ADDRESS, TARGET_GROUPS, TARGET_HEALTH, TARGETS, target_key
from ecsnet.services.call import Call
from ecsnet.services.elbv2 import ops as elbv2_ops

_REASON, _DESCRIPTION = "Target.FailedHealthChecks", "Health checks failed"


def record(
    call: Call,
    group: str,
    address: str,
    port: int,
    healthy: bool,
    reason: str | None = None,
    description: str | None = None,
) -> None:
    """Remember that the probes of `group` (a target group ARN) find `address`:`port` healthy or not.

    The thresholds have been applied by the prober. What was seen of a target that is not registered, that drains, or
    whose group no load balancer uses is dropped: its state does not depend on probes ("Target health status", Elastic
    Load Balancing user guide). `changed` stays when only the reason differs.
    """
    id = _target_id(call, group, address)
    key = target_key(group, id, port)
    target = call.tx.get(TARGETS, key)
    if target is None or target.draining_since is not None or not elbv2_ops.has_load_balancer(call.tx, group):
        return
    before = call.tx.get(TARGET_HEALTH, key)
    state: Literal["healthy", "unhealthy"] = "healthy" if healthy else "unhealthy"
    same = before is not None and before.state == state and before.changed >= target.registered
    call.tx.put(
        TARGET_HEALTH,
        TargetHealth(
            target_group=group,
            id=id,
            port=port,
            state=state,
            reason=None if healthy else reason or _REASON,
            description=None if healthy else description or _DESCRIPTION,
            changed=before.changed if same and before is not None else call.now,
        ),
    )


def _target_id(call: Call, group: str, address: str) -> str:
    """What a probed address is registered as: itself, or the instance whose address it is."""
    row = call.tx.get(TARGET_GROUPS, group)
    if row is not None and row.target_type == "instance":
        for eni in call.tx.find(INTERFACES_BY_ADDRESS, f"{row.vpc}/{address}"):
            if eni.attachment is not None and eni.attachment.owner_kind == "instance":
                return eni.attachment.owner
    return address
