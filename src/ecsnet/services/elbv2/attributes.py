"""Attributes of load balancers, target groups and listeners: their defaults and legal values.

Tables: API types `LoadBalancerAttribute`, `TargetGroupAttribute` and `ListenerAttribute`.
"""

from __future__ import annotations

from ecsnet.model.tables import TARGET_GROUPS
from ecsnet.store.snapshot import Reader


def deregistration_delay(reader: Reader, target_group: str) -> float:
    """Seconds between deregistration and the end of draining (`deregistration_delay.timeout_seconds`)."""
    group = reader.get(TARGET_GROUPS, target_group)
    values = dict(group.attributes) if group is not None else {}
    return float(values.get("deregistration_delay.timeout_seconds", "300"))
