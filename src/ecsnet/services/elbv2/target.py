"""RegisterTargets, DeregisterTargets and DescribeTargetHealth."""

from __future__ import annotations

import ipaddress
from ipaddress import IPv4Address

import msgspec

from ecsnet.model.elbv2 import Target, TargetGroup
from ecsnet.model.tables import SUBNETS_BY_VPC, TARGET_GROUPS, TARGET_HEALTH, TARGETS, target_key
from ecsnet.services.call import Call
from ecsnet.services.elbv2 import errors

_REACHABLE = tuple(
    ipaddress.IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
)
"""Where an `ip` target may lie besides the subnets of the VPC (guide page "Target groups", target type)."""


def register(call: Call, target_group: str, id: str, port: int, az: str | None) -> None:
    group = call.tx.get(TARGET_GROUPS, target_group)
    if group is None:
        raise errors.target_group_not_found(target_group)
    if group.target_type != "ip":
        raise errors.invalid_target(
            f"The target '{id}' is not valid. ecsnet has no instances; use a target group of target type 'ip'."
        )
    address = _address(id)
    zone = _zone(call, group, address, az)
    key = target_key(target_group, id, port)
    present = call.tx.get(TARGETS, key)
    if present is not None and present.draining_since is None:
        if present.az != zone:
            call.tx.put(TARGETS, msgspec.structs.replace(present, az=zone))
        return
    call.tx.delete(TARGET_HEALTH, key)
    call.tx.put(
        TARGETS,
        Target(target_group=target_group, id=id, port=port, az=zone, address=address, registered=call.now),
    )


def deregister(call: Call, target_group: str, id: str, port: int) -> None:
    if call.tx.get(TARGET_GROUPS, target_group) is None:
        raise errors.target_group_not_found(target_group)
    present = call.tx.get(TARGETS, target_key(target_group, id, port))
    if present is not None and present.draining_since is None:
        call.tx.put(TARGETS, msgspec.structs.replace(present, draining_since=call.now))


def _address(id: str) -> IPv4Address:
    try:
        return IPv4Address(id)
    except ValueError:
        raise errors.validation(f"The IP address '{id}' is not a valid IPv4 address") from None


def _zone(call: Call, group: TargetGroup, address: IPv4Address, given: str | None) -> str | None:
    """The zone of a target: that of its subnet, or what the caller said for an address outside the VPC."""
    for subnet in call.tx.find(SUBNETS_BY_VPC, group.vpc or ""):
        if subnet.cidr is not None and address in subnet.cidr:
            return subnet.az if given is None else given
    if not any(address in block for block in _REACHABLE):
        raise errors.validation(f"The IP address '{address}' is not within a range permitted for targets")
    if given is None:
        raise errors.validation(
            f"You must specify an Availability Zone or 'all' for the IP address '{address}', which is outside the VPC"
        )
    return given
