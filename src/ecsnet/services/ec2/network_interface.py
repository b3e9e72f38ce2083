"""The network interface calls."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import Any

import msgspec

from ecsnet.model import ec2
from ecsnet.model.tables import (
    INTERFACES,
    INTERFACES_BY_SUBNET,
)
from ecsnet.services.call import AwsError, Call, Operation, Reply, Request, not_implemented, read, write
from ecsnet.services.ec2 import cidrs, errors, families, idempotency
from ecsnet.services.ec2.addressing import claim_private, elastic_ip_of, pick_private
from ecsnet.services.ec2.attachment import with_attachment_change
from ecsnet.services.ec2.instances import check_address_limit
from ecsnet.services.ec2.interface_filters import FILTERS
from ecsnet.services.ec2.interface_view import cached_interface, cached_interfaces
from ecsnet.services.ec2.interfaces import (
    allocate_interface,
    owning_instance,
    release_interface,
    unassociate,
    validate_subnets_and_groups,
)
from ecsnet.services.ec2.listing import Listing, drop_empty
from ecsnet.services.ec2.quotas import quota
from ecsnet.services.ec2.tagging import specified

_NOT_BUILT = (
    "Ipv4Prefixes",
    "Ipv4PrefixCount",
    "Ipv6Prefixes",
    "Ipv6PrefixCount",
    "Ipv6Addresses",
    "Ipv6AddressCount",
    "EnablePrimaryIpv6",
    "ConnectionTrackingSpecification",
    "Operator",
)


def create_network_interface(call: Call, request: Request) -> Reply:
    """Source: EC2 API, CreateNetworkInterface.

    Raises InsufficientFreeAddressesInSubnet, InvalidIPAddress.InUse, InvalidParameter,
    SecurityGroupsPerInterfaceLimitExceeded, IdempotentParameterMismatch.
    """
    for member in _NOT_BUILT:
        if request.get(member):
            raise not_implemented("CreateNetworkInterface", member)
    if request.get("InterfaceType") not in (None, "interface"):
        raise not_implemented("CreateNetworkInterface", f"InterfaceType {request['InterfaceType']}")
    known = idempotency.earlier(call, "CreateNetworkInterface", request)
    if known is not None:
        return _created(call, families.INTERFACE.require(call, known), request)
    primary, named = wanted_addresses(request)
    eni = allocate_interface(
        call,
        subnet=request["SubnetId"],
        groups=tuple(request.get("Groups") or ()),
        description=request.get("Description") or "",
        requester_managed=False,
        requester_id=None,
        attachment=None,
        private_ip=primary,
        tags=specified(request, families.INTERFACE.noun),
    )
    count = int(request.get("SecondaryPrivateIpAddressCount") or 0)
    if named and count:
        raise errors.combination(
            "The parameter secondaryPrivateIpAddressCount cannot be used with the parameter privateIpAddresses"
        )
    if named or count:
        eni = assign_addresses(call, eni, named, count)
    idempotency.remember(call, "CreateNetworkInterface", request, eni.id)
    return _created(call, eni, request)


def wanted_addresses(request: Request) -> tuple[IPv4Address | None, tuple[IPv4Address, ...]]:
    """The primary and the secondary addresses that the request names."""
    single = request.get("PrivateIpAddress")
    primary = cidrs.address(single, "privateIpAddress") if single else None
    secondary = []
    for one in request.get("PrivateIpAddresses") or ():
        address = cidrs.address(one.get("PrivateIpAddress") or "", "privateIpAddress")
        if not one.get("Primary"):
            secondary.append(address)
        elif primary is None or primary == address:
            primary = address
        else:
            raise errors.combination("Only one primary private IP address can be specified.")
    return primary, tuple(secondary)


def _created(call: Call, eni: ec2.NetworkInterface, request: Request) -> Reply:
    return drop_empty(
        {"NetworkInterface": cached_interface(call, eni).build(), "ClientToken": request.get("ClientToken")}
    )


def assign_addresses(
    call: Call, eni: ec2.NetworkInterface, named: tuple[IPv4Address, ...], count: int
) -> ec2.NetworkInterface:
    """Add secondary addresses one by one, so that each pick sees the ones before."""
    subnet = families.SUBNET.require(call, eni.subnet)
    held = 1 + len(eni.secondary_ips) + len(named) + count
    instance = owning_instance(call.tx, eni)
    if instance is not None:
        check_address_limit(instance, held)
    if held > quota(call, "addresses_per_interface"):
        raise AwsError("PrivateIpAddressLimitExceeded", "Number of private addresses will exceed limit.")
    wanted: tuple[IPv4Address | None, ...] = (*named, *(None for _ in range(count)))
    for one in wanted:
        address = pick_private(call, subnet) if one is None else claim_private(call, subnet, one)
        eni = call.tx.put(INTERFACES, msgspec.structs.replace(eni, secondary_ips=(*eni.secondary_ips, address)))
    return eni


def _own(call: Call, key: str) -> ec2.NetworkInterface:
    """An interface that the user may change. Raises AuthFailure for one that a service manages."""
    eni = families.INTERFACE.require(call, key)
    if eni.requester_managed:
        raise errors.service_owned()
    return eni


def delete_network_interface(call: Call, request: Request) -> Reply:
    """Source: EC2 API, DeleteNetworkInterface. Raises InvalidParameterValue while attached."""
    eni = families.INTERFACE.require(call, request["NetworkInterfaceId"])
    if eni.attachment is not None:
        raise errors.interface_in_use(eni.id)
    if eni.requester_managed:
        raise errors.service_owned()
    release_interface(call, eni.id)
    return {}


def modify_network_interface_attribute(call: Call, request: Request) -> Reply:
    """Source: EC2 API, ModifyNetworkInterfaceAttribute (one attribute per call)."""
    eni = _own(call, request["NetworkInterfaceId"])
    given = [name for name in request if name not in ("NetworkInterfaceId", "DryRun") and request[name] is not None]
    if not given:
        raise errors.missing_parameter("attribute")
    if len(given) > 1:
        raise errors.combination(f"Only one attribute may be changed per call: {' and '.join(given)} were given.")
    match given[0]:
        case "Description":
            changed = msgspec.structs.replace(eni, description=str(request["Description"].get("Value") or ""))
        case "SourceDestCheck":
            changed = msgspec.structs.replace(eni, source_dest_check=bool(request["SourceDestCheck"].get("Value")))
        case "Groups":
            groups = tuple(dict.fromkeys(request["Groups"]))
            validate_subnets_and_groups(call, (eni.subnet,), groups)
            changed = msgspec.structs.replace(eni, groups=groups)
        case "Attachment":
            changed = with_attachment_change(call, eni, request["Attachment"])
        case other:
            raise not_implemented("ModifyNetworkInterfaceAttribute", other)
    call.tx.put(INTERFACES, changed)
    return {}


def describe_network_interface_attribute(call: Call, request: Request) -> Reply:
    """Source: EC2 API, DescribeNetworkInterfaceAttribute."""
    eni = families.INTERFACE.require(call, request["NetworkInterfaceId"])
    reply: dict[str, Any] = {"NetworkInterfaceId": eni.id}
    match request.get("Attribute"):
        case None:
            raise errors.missing_parameter("attribute")
        case "description":
            reply["Description"] = {"Value": eni.description}
        case "sourceDestCheck":
            reply["SourceDestCheck"] = {"Value": eni.source_dest_check}
        case "groupSet":
            reply["Groups"] = cached_interface(call, eni).build()["Groups"]
        case "attachment":
            reply.update(_only(cached_interface(call, eni).build(), "Attachment"))
        case "associatePublicIpAddress":
            reply["AssociatePublicIpAddress"] = eni.auto_public_ip is not None
        case other:
            raise errors.invalid_value("attribute", other, "Unknown attribute.")
    return reply


def _only(item: Mapping[str, Any], member: str) -> Mapping[str, Any]:
    return {member: item[member]} if member in item else {}


def assign_private_ip_addresses(call: Call, request: Request) -> Reply:
    """Source: EC2 API, AssignPrivateIpAddresses; AllowReassignment moves a secondary address here."""
    eni = _own(call, request["NetworkInterfaceId"])
    for member in ("Ipv4Prefixes", "Ipv4PrefixCount"):
        if request.get(member):
            raise not_implemented("AssignPrivateIpAddresses", member)
    texts = request.get("PrivateIpAddresses") or ()
    named = tuple(cidrs.address(text, "privateIpAddress") for text in texts)
    count = int(request.get("SecondaryPrivateIpAddressCount") or 0)
    if bool(named) == bool(count):
        raise errors.combination("Use exactly one of privateIpAddresses and secondaryPrivateIpAddressCount.")
    if request.get("AllowReassignment"):
        for address in named:
            _take_from_others(call, eni, address)
    changed = assign_addresses(call, eni, named, count)
    return {
        "NetworkInterfaceId": eni.id,
        "AssignedPrivateIpAddresses": [
            {"PrivateIpAddress": str(address)} for address in changed.secondary_ips[len(eni.secondary_ips) :]
        ],
        "AssignedIpv4Prefixes": [],
    }


def _take_from_others(call: Call, eni: ec2.NetworkInterface, address: IPv4Address) -> None:
    for other in list(call.tx.find(INTERFACES_BY_SUBNET, eni.subnet)):
        if other.id != eni.id and address in other.secondary_ips and not other.requester_managed:
            _drop(call, other, (address,))


def unassign_private_ip_addresses(call: Call, request: Request) -> Reply:
    """Source: EC2 API, UnassignPrivateIpAddresses; the primary address stays."""
    eni = _own(call, request["NetworkInterfaceId"])
    if request.get("Ipv4Prefixes"):
        raise not_implemented("UnassignPrivateIpAddresses", "Ipv4Prefixes")
    gone = tuple(cidrs.address(text, "privateIpAddress") for text in request.get("PrivateIpAddresses") or ())
    for address in gone:
        if address not in eni.secondary_ips:
            raise AwsError(
                "InvalidParameterValue", f"Some of the specified addresses are not assigned to interface {eni.id}"
            )
    _drop(call, eni, gone)
    return {}


def _drop(call: Call, eni: ec2.NetworkInterface, gone: tuple[IPv4Address, ...]) -> None:
    for address in gone:
        eip = elastic_ip_of(call.tx, eni.id, address)
        if eip is not None:
            unassociate(call, eip)
    kept = tuple(address for address in eni.secondary_ips if address not in gone)
    call.tx.put(INTERFACES, msgspec.structs.replace(eni, secondary_ips=kept))


_LISTING = Listing(
    family=families.INTERFACE,
    filters=FILTERS,
    ids="NetworkInterfaceIds",
    members="NetworkInterfaces",
    items=cached_interfaces,
)

OPERATIONS: tuple[Operation, ...] = (
    write("CreateNetworkInterface", create_network_interface),
    write("DeleteNetworkInterface", delete_network_interface),
    read("DescribeNetworkInterfaces", _LISTING.describe),
    write("ModifyNetworkInterfaceAttribute", modify_network_interface_attribute),
    read("DescribeNetworkInterfaceAttribute", describe_network_interface_attribute),
    write("AssignPrivateIpAddresses", assign_private_ip_addresses),
    write("UnassignPrivateIpAddresses", unassign_private_ip_addresses),
)
