"""Giving addresses and prefixes to interfaces that exist, and taking them away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Literal, cast

import msgspec

from ecsnet.model import ec2
from ecsnet.model.tables import INTERFACES, INTERFACES_BY_ADDRESS
from ecsnet.services.call import AwsError, Call, Operation, Reply, Request, write
from ecsnet.services.ec2 import cidrs, errors, families
from ecsnet.services.ec2.addressing import claim_ipv6, claim_private, elastic_ip_of, no_ipv6, pick_ipv6, pick_private
from ecsnet.services.ec2.instances import check_address_limit
from ecsnet.services.ec2.interfaces import owning_instance, unassociate
from ecsnet.services.ec2.prefixes import claim_prefix, pick_prefix, subnet_block
from ecsnet.services.ec2.quotas import quota

replace = msgspec.structs.replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a request asks to add to an interface: by name, or a number of each to pick."""

    private: tuple[IPv4Address, ...] = ()
    private_count: int = 0
    prefixes4: tuple[IPv4Network, ...] = ()
    prefix4_count: int = 0
    ipv6: tuple[IPv6Address, ...] = ()
    ipv6_count: int = 0
    prefixes6: tuple[IPv6Network, ...] = ()
    prefix6_count: int = 0

    def number_of(self, version: Literal[4, 6]) -> int:
        """How many addresses and prefixes are asked for."""
        if version == 4:
            return len(self.private) + self.private_count + len(self.prefixes4) + self.prefix4_count
        return len(self.ipv6) + self.ipv6_count + len(self.prefixes6) + self.prefix6_count


NOTHING = Wanted()


def wanted_ipv6(request: Request, addresses: Sequence[str]) -> Wanted:
    """The IPv6 part of a request. Raises InvalidParameterCombination for names together with a count."""
    count = errors.not_negative(request, "Ipv6AddressCount")
    prefix_count = errors.not_negative(request, "Ipv6PrefixCount")
    prefixes = _texts(request.get("Ipv6Prefixes"), "Ipv6Prefix")
    _exclude("ipv6AddressCount", count, "ipv6Addresses", addresses)
    _exclude("ipv6PrefixCount", prefix_count, "ipv6Prefixes", prefixes)
    return Wanted(
        ipv6=tuple(cidrs.address6(text, "ipv6Addresses") for text in addresses),
        ipv6_count=count,
        prefixes6=tuple(cidrs.ipv6(text, "ipv6Prefixes") for text in prefixes),
        prefix6_count=prefix_count,
    )


def wanted_prefixes4(request: Request) -> tuple[tuple[IPv4Network, ...], int]:
    """The IPv4 prefixes of a request by name, and how many to pick."""
    prefixes, count = _texts(request.get("Ipv4Prefixes"), "Ipv4Prefix"), errors.not_negative(request, "Ipv4PrefixCount")
    _exclude("ipv4PrefixCount", count, "ipv4Prefixes", prefixes)
    return tuple(cidrs.ipv4(text, "ipv4Prefixes") for text in prefixes), count


def _texts(items: Sequence[object] | None, member: str) -> list[str]:
    """Prefixes come as texts (Assign…) or as structures (CreateNetworkInterface). Raises MissingParameter."""
    texts = [item if isinstance(item, str) else cast("dict[str, str]", item).get(member) for item in items or ()]
    if None in texts:
        raise errors.missing_parameter(member)
    return cast("list[str]", texts)


def _exclude(count_name: str, count: int, list_name: str, named: Sequence[str]) -> None:
    if count and named:
        raise errors.combination(f"The parameter {count_name} cannot be used with the parameter {list_name}")


def add(call: Call, eni: ec2.NetworkInterface, wanted: Wanted) -> ec2.NetworkInterface:
    """Add what is wanted one by one, so that each pick sees the ones before.

    Raises PrivateIpAddressLimitExceeded, and what `addressing` and `prefixes` raise.
    """
    subnet = families.SUBNET.require(call, eni.subnet)
    if wanted.number_of(6) and subnet_block(subnet, 6) is None:
        raise no_ipv6(subnet)
    _check_limits(call, eni, wanted)
    for one in (*wanted.private, *(None for _ in range(wanted.private_count))):
        private = pick_private(call, subnet) if one is None else claim_private(call, subnet, one)
        eni = _put(call, replace(eni, secondary_ips=(*eni.secondary_ips, private)))
    for block in (*wanted.prefixes4, *(None for _ in range(wanted.prefix4_count))):
        prefix = pick_prefix(call, subnet, 4) if block is None else claim_prefix(call, subnet, block)
        eni = _put(call, replace(eni, ipv4_prefixes=(*eni.ipv4_prefixes, cast(IPv4Network, prefix))))
    for six in (*wanted.ipv6, *(None for _ in range(wanted.ipv6_count))):
        address = pick_ipv6(call, subnet) if six is None else claim_ipv6(call, subnet, six)
        eni = _put(call, replace(eni, ipv6_ips=(*eni.ipv6_ips, address)))
    for block6 in (*wanted.prefixes6, *(None for _ in range(wanted.prefix6_count))):
        prefix = pick_prefix(call, subnet, 6) if block6 is None else claim_prefix(call, subnet, block6)
        eni = _put(call, replace(eni, ipv6_prefixes=(*eni.ipv6_prefixes, cast(IPv6Network, prefix))))
    return eni


def _check_limits(call: Call, eni: ec2.NetworkInterface, wanted: Wanted) -> None:
    ipv4 = len(eni.private_ips) + len(eni.ipv4_prefixes) + wanted.number_of(4)
    ipv6 = len(eni.ipv6_ips) + len(eni.ipv6_prefixes) + wanted.number_of(6)
    instance = owning_instance(call.tx, eni)
    if instance is not None:
        check_address_limit(instance, ipv4, ipv6)
    if max(ipv4, ipv6) > quota(call, "addresses_per_interface"):
        raise AwsError("PrivateIpAddressLimitExceeded", "Number of private addresses will exceed limit.")


def _put(call: Call, eni: ec2.NetworkInterface) -> ec2.NetworkInterface:
    return call.tx.put(INTERFACES, eni)


def own_interface(call: Call, key: str) -> ec2.NetworkInterface:
    """An interface that the user may change. Raises AuthFailure for one that a service manages."""
    eni = families.INTERFACE.require(call, key)
    if eni.requester_managed:
        raise errors.service_owned()
    return eni


# ── IPv4 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def assign_private_ip_addresses(call: Call, request: Request) -> Reply:
    """Source: EC2 API, AssignPrivateIpAddresses; AllowReassignment moves a secondary address here."""
    eni = own_interface(call, request["NetworkInterfaceId"])
    named = tuple(cidrs.address(text, "privateIpAddress") for text in request.get("PrivateIpAddresses") or ())
    count = errors.not_negative(request, "SecondaryPrivateIpAddressCount")
    prefixes, prefix_count = wanted_prefixes4(request)
    if sum(bool(one) for one in (named, count, prefixes, prefix_count)) != 1:
        raise errors.combination(
            "Use exactly one of privateIpAddresses, secondaryPrivateIpAddressCount, ipv4Prefixes and ipv4PrefixCount."
        )
    if eni.private_ip is None:
        raise AwsError("InvalidParameterValue", f"The subnet '{eni.subnet}' has no IPv4 CIDR block")
    if request.get("AllowReassignment"):
        for address in named:
            _take_from_others(call, eni, address)
    wanted = Wanted(private=named, private_count=count, prefixes4=prefixes, prefix4_count=prefix_count)
    changed = add(call, eni, wanted)
    return {
        "NetworkInterfaceId": eni.id,
        "AssignedPrivateIpAddresses": [
            {"PrivateIpAddress": str(address)} for address in changed.secondary_ips[len(eni.secondary_ips) :]
        ],
        "AssignedIpv4Prefixes": [
            {"Ipv4Prefix": str(prefix)} for prefix in changed.ipv4_prefixes[len(eni.ipv4_prefixes) :]
        ],
    }


def _take_from_others(call: Call, eni: ec2.NetworkInterface, address: IPv4Address) -> None:
    for other in list(call.tx.find(INTERFACES_BY_ADDRESS, f"{eni.vpc}/{address}")):
        if other.id != eni.id and address in other.secondary_ips and not other.requester_managed:
            _drop(call, other, (address,), ())


def unassign_private_ip_addresses(call: Call, request: Request) -> Reply:
    """Source: EC2 API, UnassignPrivateIpAddresses; the primary address stays."""
    eni = own_interface(call, request["NetworkInterfaceId"])
    gone = tuple(cidrs.address(text, "privateIpAddress") for text in request.get("PrivateIpAddresses") or ())
    prefixes = tuple(cidrs.ipv4(text, "ipv4Prefixes") for text in request.get("Ipv4Prefixes") or ())
    if not set(gone) <= set(eni.secondary_ips) or not set(prefixes) <= set(eni.ipv4_prefixes):
        raise _not_assigned(eni)
    _drop(call, eni, gone, prefixes)
    return {}


def _not_assigned(eni: ec2.NetworkInterface) -> AwsError:
    return AwsError("InvalidParameterValue", f"Some of the specified addresses are not assigned to interface {eni.id}")


def _drop(
    call: Call, eni: ec2.NetworkInterface, gone: tuple[IPv4Address, ...], prefixes: tuple[IPv4Network, ...]
) -> None:
    for address in gone:
        eip = elastic_ip_of(call.tx, eni.id, address)
        if eip is not None:
            unassociate(call, eip)
    kept = tuple(address for address in eni.secondary_ips if address not in gone)
    blocks = tuple(prefix for prefix in eni.ipv4_prefixes if prefix not in prefixes)
    _put(call, replace(eni, secondary_ips=kept, ipv4_prefixes=blocks))


# ── IPv6 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def assign_ipv6_addresses(call: Call, request: Request) -> Reply:
    """Source: EC2 API, AssignIpv6Addresses."""
    eni = own_interface(call, request["NetworkInterfaceId"])
    wanted = wanted_ipv6(request, request.get("Ipv6Addresses") or ())
    if not wanted.number_of(6):
        raise errors.missing_parameter("ipv6Addresses")
    changed = add(call, eni, wanted)
    return {
        "NetworkInterfaceId": eni.id,
        "AssignedIpv6Addresses": [str(address) for address in changed.ipv6_ips[len(eni.ipv6_ips) :]],
        "AssignedIpv6Prefixes": [str(prefix) for prefix in changed.ipv6_prefixes[len(eni.ipv6_prefixes) :]],
    }


def unassign_ipv6_addresses(call: Call, request: Request) -> Reply:
    """Source: EC2 API, UnassignIpv6Addresses. Raises OperationNotPermitted for a primary IPv6 address."""
    eni = own_interface(call, request["NetworkInterfaceId"])
    gone = tuple(cidrs.address6(text, "ipv6Addresses") for text in request.get("Ipv6Addresses") or ())
    prefixes = tuple(cidrs.ipv6(text, "ipv6Prefixes") for text in request.get("Ipv6Prefixes") or ())
    if not set(gone) <= set(eni.ipv6_ips) or not set(prefixes) <= set(eni.ipv6_prefixes):
        raise _not_assigned(eni)
    if eni.primary_ipv6 and eni.ipv6_ips[0] in gone:
        raise AwsError("OperationNotPermitted", f"The primary IPv6 address of {eni.id} cannot be unassigned.")
    _put(
        call,
        replace(
            eni,
            ipv6_ips=tuple(address for address in eni.ipv6_ips if address not in gone),
            ipv6_prefixes=tuple(prefix for prefix in eni.ipv6_prefixes if prefix not in prefixes),
        ),
    )
    return {
        "NetworkInterfaceId": eni.id,
        "UnassignedIpv6Addresses": [str(address) for address in gone],
        "UnassignedIpv6Prefixes": [str(prefix) for prefix in prefixes],
    }


OPERATIONS: tuple[Operation, ...] = (
    write("AssignPrivateIpAddresses", assign_private_ip_addresses),
    write("UnassignPrivateIpAddresses", unassign_private_ip_addresses),
    write("AssignIpv6Addresses", assign_ipv6_addresses),
    write("UnassignIpv6Addresses", unassign_ipv6_addresses),
)
