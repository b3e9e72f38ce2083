"""Delegated prefixes of interfaces: whole /28 and /80 blocks of a subnet (EC2 User Guide, "Prefix delegation")."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network
from typing import Literal, TypeVar, cast

from ecsnet.model import ec2
from ecsnet.model.base import IpNetwork
from ecsnet.model.tables import INTERFACES_BY_BLOCK, INTERFACES_BY_PREFIX, address_block
from ecsnet.services.call import AwsError, Call
from ecsnet.services.ec2.addressing import PREFIX_LENGTH, is_usable, reservations

_DRAWS = 64
_MOST_TRIED = 4096
"""How many blocks are looked at one after the other: all of the largest IPv4 subnet."""

N = TypeVar("N", IPv4Network, IPv6Network)


def subnet_block(subnet: ec2.Subnet, version: Literal[4, 6]) -> IpNetwork | None:
    if version == 4:
        return subnet.cidr
    return None if subnet.ipv6_cidr is None else subnet.ipv6_cidr.cidr


def claim_prefix(call: Call, subnet: ec2.Subnet, prefix: N) -> N:
    """The wanted prefix, if all of it is free.

    Raises InvalidParameterValue for another length or outside the subnet, InvalidIPAddress.InUse when an interface has
    an address of it.
    """
    version = cast("Literal[4, 6]", prefix.version)
    block = subnet_block(subnet, version)
    if prefix.prefixlen != PREFIX_LENGTH[version]:
        raise AwsError("InvalidParameterValue", f"The prefix '{prefix}' must be a /{PREFIX_LENGTH[version]}")
    if block is None or not contains(block, prefix):
        raise AwsError("InvalidParameterValue", "Address does not fall within the subnet's address range")
    if not _is_free(call, subnet, block, prefix):
        raise AwsError("InvalidIPAddress.InUse", "The specified address is already in use.")
    return prefix


def pick_prefix(call: Call, subnet: ec2.Subnet, version: Literal[4, 6]) -> IpNetwork:
    """A free prefix, from the subnet's reservations for prefixes if it has any. Raises InsufficientCidrBlocks."""
    block = subnet_block(subnet, version)
    if block is not None:
        reserved = [one for one in reservations(call.tx, subnet) if one.cidr.version == version]
        kept = [one.cidr for one in reserved if one.kind == "explicit"]
        for area in [one.cidr for one in reserved if one.kind == "prefix"] or [block]:
            for prefix in _candidates(call, area, PREFIX_LENGTH[version]):
                if _is_free(call, subnet, block, prefix) and not any(overlap(prefix, one) for one in kept):
                    return prefix
    raise AwsError(
        "InsufficientCidrBlocks",
        "The specified subnet does not have enough free cidr blocks to satisfy the request.",
    )


def _candidates(call: Call, area: IpNetwork, length: int) -> Iterator[IpNetwork]:
    """Random blocks of the area, then one after the other."""
    if area.prefixlen > length:
        return
    count, step = 1 << (length - area.prefixlen), 1 << (area.max_prefixlen - length)
    start = 0
    for draw in range(_DRAWS + min(count, _MOST_TRIED)):
        if draw < _DRAWS:
            start = number = int(call.ids.hex(16), 16) % count
        else:
            number = (start + draw - _DRAWS) % count
        yield type(area)((int(area.network_address) + number * step, length))


def _is_free(call: Call, subnet: ec2.Subnet, block: IpNetwork, prefix: IpNetwork) -> bool:
    usable = is_usable(block, prefix.network_address) and is_usable(block, prefix.broadcast_address)
    first = address_block(subnet.vpc, prefix.network_address)
    return (
        usable
        and not call.tx.keys(INTERFACES_BY_BLOCK, first)
        and not call.tx.keys(INTERFACES_BY_PREFIX, f"{subnet.vpc}/{prefix}")
    )


def contains(outer: IpNetwork, inner: IpNetwork) -> bool:
    """Whether all of `inner` lies in `outer`."""
    return inner.prefixlen >= outer.prefixlen and overlap(inner, outer)


def overlap(one: IpNetwork, other: IpNetwork) -> bool:
    """Whether two blocks share addresses; blocks of different IP versions never do."""
    if isinstance(one, IPv4Network):
        return isinstance(other, IPv4Network) and one.overlaps(other)
    return isinstance(other, IPv6Network) and one.overlaps(other)
