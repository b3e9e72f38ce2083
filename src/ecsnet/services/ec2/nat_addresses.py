"""Secondary addresses of NAT gateways: given, drained and taken away.

Source: VPC User Guide, "Edit secondary IP address associations": new connections stop using an address at once, the
ones that there are have MaxDrainDurationSeconds to end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Address
from typing import Any

import msgspec

from ecsnet.model import ec2
from ecsnet.model.tables import ELASTIC_IPS, INTERFACES, NAT_GATEWAYS, OBSERVED_INTERFACES
from ecsnet.services.call import AwsError, Call, Operation, Reply, Request, write
from ecsnet.services.ec2 import cidrs, errors, families
from ecsnet.services.ec2.addressing import claim_private, pick_private
from ecsnet.services.ec2.interfaces import associate, unassociate
from ecsnet.services.ec2.listing import drop_empty
from ecsnet.services.ec2.quotas import quota

_DRAIN = 350
_LONGEST_DRAIN = 4000
"""Seconds (EC2 API, DisassociateNatGatewayAddress, MaxDrainDurationSeconds)."""


# ── verbs ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def add_addresses(
    call: Call,
    nat: ec2.NatGateway,
    *,
    allocations: Sequence[str] = (),
    private_ips: Sequence[IPv4Address] = (),
    count: int = 0,
) -> ec2.NatGateway:
    """The gateway with secondary addresses: one per allocation (public gateways), or those named or counted.

    `private_ips` names the private address of each allocation. Raises AddressLimitExceeded or
    PrivateIpAddressLimitExceeded, Resource.AlreadyAssociated, InvalidParameterCombination, and what `claim_private` and
    `pick_private` raise.
    """
    if allocations and private_ips and len(allocations) != len(private_ips):
        raise errors.combination("The number of private IP addresses must be the number of allocation IDs.")
    wanted = len(allocations) or len(private_ips) or count
    _check_room(call, nat, wanted)
    subnet = families.SUBNET.require(call, nat.subnet)
    for number in range(wanted):
        address = claim_private(call, subnet, private_ips[number]) if private_ips else pick_private(call, subnet)
        nat = _add(call, nat, address, allocations[number] if allocations else None)
    return call.tx.put(NAT_GATEWAYS, nat)


def _add(call: Call, nat: ec2.NatGateway, address: IPv4Address, allocation: str | None) -> ec2.NatGateway:
    eni = families.INTERFACE.require(call, nat.interface or "")
    eni = call.tx.put(INTERFACES, msgspec.structs.replace(eni, secondary_ips=(*eni.secondary_ips, address)))
    added = ec2.NatAddress(private_ip=address, since=call.tx.base.revision + 1)
    if allocation is not None:
        eip = families.ELASTIC_IP.require(call, allocation)
        if eip.association is not None:
            raise AwsError(
                "Resource.AlreadyAssociated",
                f"resource {allocation} is already associated with associate-id {eip.association}",
            )
        eip = associate(call, eip, eni, address)
        added = msgspec.structs.replace(
            added, allocation=allocation, public_ip=eip.public_ip, association=eip.association
        )
    return msgspec.structs.replace(nat, secondary=(*nat.secondary, added))


def _check_room(call: Call, nat: ec2.NatGateway, wanted: int) -> None:
    """VPC User Guide, "Amazon VPC quotas", section "Gateways"."""
    name = "elastic_ips_per_nat_gateway" if nat.connectivity == "public" else "addresses_per_nat_gateway"
    limit = quota(call, name)
    if 1 + len(nat.secondary) + wanted > limit:
        raise AwsError(
            "PrivateIpAddressLimitExceeded" if nat.connectivity == "private" else "AddressLimitExceeded",
            f"Performing this operation would exceed the limit of {limit} addresses of a NAT gateway",
        )


def finish_drains(call: Call, nat: ec2.NatGateway) -> float | None:
    """Take away what has drained; answers when the next address is due."""
    over = [one for one in nat.secondary if one.draining_until is not None and one.draining_until <= call.now]
    for one in over:
        eip = call.tx.get(ELASTIC_IPS, one.allocation) if one.allocation is not None else None
        if eip is not None and eip.association == one.association:
            unassociate(call, eip)
    gone = {one.private_ip for one in over}
    if gone:
        left = tuple(one for one in nat.secondary if one.private_ip not in gone)
        nat = call.tx.put(NAT_GATEWAYS, msgspec.structs.replace(nat, secondary=left))
        eni = call.tx.get(INTERFACES, nat.interface) if nat.interface is not None else None
        if eni is not None:
            kept = tuple(address for address in eni.secondary_ips if address not in gone)
            call.tx.put(INTERFACES, msgspec.structs.replace(eni, secondary_ips=kept))
    return min((one.draining_until for one in nat.secondary if one.draining_until is not None), default=None)


# ── calls ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def associate_nat_gateway_address(call: Call, request: Request) -> Reply:
    """Source: EC2 API, AssociateNatGatewayAddress (public gateways)."""
    nat = _available(call, request, "public")
    named = [cidrs.address(text, "privateIpAddress") for text in request.get("PrivateIpAddresses") or ()]
    changed = add_addresses(call, nat, allocations=request["AllocationIds"], private_ips=named)
    return _reply(call, changed, changed.secondary[len(nat.secondary) :])


def assign_private_nat_gateway_address(call: Call, request: Request) -> Reply:
    """Source: EC2 API, AssignPrivateNatGatewayAddress (private gateways)."""
    nat = _available(call, request, "private")
    named = [cidrs.address(text, "privateIpAddress") for text in request.get("PrivateIpAddresses") or ()]
    count = errors.not_negative(request, "PrivateIpAddressCount")
    if bool(named) == bool(count):
        raise errors.combination("Use exactly one of privateIpAddresses and privateIpAddressCount.")
    changed = add_addresses(call, nat, private_ips=named, count=count)
    return _reply(call, changed, changed.secondary[len(nat.secondary) :])


def disassociate_nat_gateway_address(call: Call, request: Request) -> Reply:
    """Source: EC2 API, DisassociateNatGatewayAddress. The primary association stays for the gateway's life."""
    nat = _available(call, request, "public")
    wanted = set(request["AssociationIds"])
    if nat.association in wanted:
        raise errors.invalid_value("associationId", nat.association, "The primary address cannot be disassociated.")
    known = {one.association for one in nat.secondary}
    for association in request["AssociationIds"]:
        if association not in known:
            raise AwsError("InvalidAssociationID.NotFound", f"The association ID '{association}' does not exist")
    return _drain(call, request, nat, lambda one: one.association in wanted)


def unassign_private_nat_gateway_address(call: Call, request: Request) -> Reply:
    """Source: EC2 API, UnassignPrivateNatGatewayAddress. The primary address stays for the gateway's life."""
    nat = _available(call, request, "private")
    wanted = [cidrs.address(text, "privateIpAddress") for text in request["PrivateIpAddresses"]]
    known = {one.private_ip for one in nat.secondary}
    for address in wanted:
        if address not in known:
            raise AwsError(
                "InvalidParameterValue",
                f"Address {address} is not a secondary address of {nat.id}; the primary one cannot be unassigned.",
            )
    return _drain(call, request, nat, lambda one: one.private_ip in wanted)


def _drain(call: Call, request: Request, nat: ec2.NatGateway, chosen: Callable[[ec2.NatAddress], bool]) -> Reply:
    seconds = request.get("MaxDrainDurationSeconds")
    seconds = _DRAIN if seconds is None else int(seconds)
    if not 1 <= seconds <= _LONGEST_DRAIN:
        raise errors.invalid_value("maxDrainDurationSeconds", seconds, f"Use a number from 1 to {_LONGEST_DRAIN}.")
    until = call.now + seconds / call.settings.speed
    secondary = tuple(
        msgspec.structs.replace(one, draining_until=until) if chosen(one) and one.draining_until is None else one
        for one in nat.secondary
    )
    changed = call.tx.put(NAT_GATEWAYS, msgspec.structs.replace(nat, secondary=secondary))
    return _reply(call, changed, [one for one in secondary if chosen(one)])


def _available(call: Call, request: Request, connectivity: str) -> ec2.NatGateway:
    nat = families.NAT_GATEWAY.require(call, request["NatGatewayId"])
    if nat.connectivity != connectivity:
        raise AwsError("InvalidParameterValue", f"NAT gateway {nat.id} is not a {connectivity} NAT gateway.")
    if nat.state != "available":
        raise AwsError("IncorrectState", f"NAT gateway {nat.id} is {nat.state}, not available.")
    return nat


def _reply(call: Call, nat: ec2.NatGateway, addresses: Sequence[ec2.NatAddress]) -> Reply:
    seen = call.tx.get(OBSERVED_INTERFACES, nat.interface or "")
    return {"NatGatewayId": nat.id, "NatGatewayAddresses": [address_item(nat, one, seen) for one in addresses]}


def address_item(nat: ec2.NatGateway, one: ec2.NatAddress, seen: ec2.ObservedInterface | None) -> Mapping[str, Any]:
    """The wire form of a secondary address (EC2 API, shape NatGatewayAddress)."""
    return drop_empty(
        {
            "AllocationId": one.allocation,
            "AssociationId": one.association,
            "NetworkInterfaceId": nat.interface,
            "PrivateIp": str(one.private_ip),
            "PublicIp": None if one.public_ip is None else str(one.public_ip),
            "IsPrimary": False,
            "Status": _status(nat, one, seen),
        }
    )


def _status(nat: ec2.NatGateway, one: ec2.NatAddress, seen: ec2.ObservedInterface | None) -> str:
    public = nat.connectivity == "public"
    if nat.state in ("failed", "deleting", "deleted") or one.draining_until is not None:
        return "disassociating" if public else "unassigning"
    if nat.state == "available" and seen is not None and seen.revision >= one.since:
        return "succeeded"
    return "associating" if public else "assigning"


OPERATIONS: tuple[Operation, ...] = (
    write("AssociateNatGatewayAddress", associate_nat_gateway_address),
    write("DisassociateNatGatewayAddress", disassociate_nat_gateway_address),
    write("AssignPrivateNatGatewayAddress", assign_private_nat_gateway_address),
    write("UnassignPrivateNatGatewayAddress", unassign_private_nat_gateway_address),
)
