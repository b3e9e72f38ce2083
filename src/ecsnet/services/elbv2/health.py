"""The health state of a target, derived from what is registered, what refers to it and what the probes saw.

States, reason codes and texts: "Health checks for Application Load Balancer target groups" (ELB user guide, target
health status and reason codes) and the API type `TargetHealth`.
"""

from __future__ import annotations

from collections.abc import Iterable

from ecsnet.model.base import Record
from ecsnet.model.elbv2 import Listener, LoadBalancer, Rule, Target, TargetGroup
from ecsnet.model.tables import (
    INTERFACES_BY_ADDRESS,
    LISTENER_RULES_BY_TARGET_GROUP,
    LISTENERS,
    LISTENERS_BY_LOAD_BALANCER,
    LISTENERS_BY_TARGET_GROUP,
    LOAD_BALANCERS,
    OBSERVED_LOAD_BALANCERS,
    RULES_BY_LISTENER,
    TARGET_GROUPS,
    TARGET_HEALTH,
    TARGET_HEALTH_BY_GROUP,
    TARGETS,
    target_key,
)
from ecsnet.store.snapshot import Reader
from ecsnet.store.store import Transaction


class Health(Record, frozen=True, kw_only=True, gc=False):
    """A target's state as DescribeTargetHealth reports it."""

    state: str
    reason: str | None = None
    description: str | None = None


NOT_REGISTERED = Health(
    state="unused", reason="Target.NotRegistered", description="Target is not registered to the target group"
)
NOT_IN_USE = Health(
    state="unused",
    reason="Target.NotInUse",
    description="Target group is not configured to receive traffic from the load balancer",
)
ZONE_NOT_ENABLED = Health(
    state="unused",
    reason="Target.NotInUse",
    description="Target is in an Availability Zone that is not enabled for the load balancer",
)
IP_UNUSABLE = Health(
    state="unused",
    reason="Target.IpUnusable",
    description="The IP address cannot be used as a target, as it is in use by a load balancer",
)
REGISTERING = Health(
    state="initial", reason="Elb.RegistrationInProgress", description="Target registration is in progress"
)
CHECKING = Health(state="initial", reason="Elb.InitialHealthChecking", description="Initial health checks in progress")
DRAINING = Health(
    state="draining",
    reason="Target.DeregistrationInProgress",
    description="Target deregistration is in progress",
)


def load_balancers_of(reader: Reader, target_group: str) -> tuple[LoadBalancer, ...]:
    """The load balancers one of whose listeners or rules forwards to the target group (at most one for an ALB)."""
    listeners = {listener.load_balancer for listener in reader.find(LISTENERS_BY_TARGET_GROUP, target_group)}
    for rule in reader.find(LISTENER_RULES_BY_TARGET_GROUP, target_group):
        listener = reader.get(LISTENERS, rule.listener)
        if listener is not None:
            listeners.add(listener.load_balancer)
    found = (reader.get(LOAD_BALANCERS, arn) for arn in sorted(listeners))
    return tuple(balancer for balancer in found if balancer is not None)


def target_groups_of(reader: Reader, load_balancer: str) -> set[str]:
    """ARNs of the target groups to which a load balancer's listeners and rules forward."""
    found: set[str] = set()
    for listener in reader.find(LISTENERS_BY_LOAD_BALANCER, load_balancer):
        holders: tuple[Listener | Rule, ...] = (listener, *reader.find(RULES_BY_LISTENER, listener.arn))
        for holder in holders:
            actions = holder.default_actions if isinstance(holder, Listener) else holder.actions
            found |= {item.target_group for action in actions for item in action.forward}
    return found


def forget_unused(tx: Transaction, target_groups: Iterable[str]) -> None:
    """Forget what the probes saw of target groups that no load balancer uses any more (nothing checks them now)."""
    for group in target_groups:
        if not load_balancers_of(tx, group):
            for key in tuple(tx.keys(TARGET_HEALTH_BY_GROUP, group)):
                tx.delete(TARGET_HEALTH, key)


def target_health(reader: Reader, target_group: str, id: str, port: int) -> Health:
    """State, reason and description of one target of a target group (an ARN)."""
    key = target_key(target_group, id, port)
    target = reader.get(TARGETS, key)
    group = reader.get(TARGET_GROUPS, target_group)
    if target is None or group is None:
        return NOT_REGISTERED
    if target.draining_since is not None:
        return DRAINING
    balancers = load_balancers_of(reader, target_group)
    if not balancers:
        return NOT_IN_USE
    if _is_balancer_address(reader, group, target):
        return IP_UNUSABLE
    if not any(_zone_enabled(balancer, target) for balancer in balancers):
        return ZONE_NOT_ENABLED
    if not any(reader.get(OBSERVED_LOAD_BALANCERS, balancer.arn) for balancer in balancers):
        return REGISTERING
    seen = reader.get(TARGET_HEALTH, key)
    if seen is None or seen.changed < target.registered:
        return CHECKING
    return Health(state=seen.state, reason=seen.reason, description=seen.description)


def _zone_enabled(balancer: LoadBalancer, target: Target) -> bool:
    return target.az is None or target.az == "all" or any(node.az == target.az for node in balancer.nodes)


def _is_balancer_address(reader: Reader, group: TargetGroup, target: Target) -> bool:
    owners = reader.find(INTERFACES_BY_ADDRESS, f"{group.vpc}/{target.address}")
    return any(eni.attachment is not None and eni.attachment.owner_kind == "load_balancer" for eni in owners)
