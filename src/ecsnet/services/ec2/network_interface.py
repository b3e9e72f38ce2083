"""The network interface calls."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import Any

import msgspec

from ecsnet.model import ec2
from ecsnet.model.tables import INTERFACES
from ecsnet.services.call import Call, Operation, Reply, Request, not_implemented, read, write
from ecsnet.services.ec2 import cidrs, errors, families, idempotency, interface_addresses
from ecsnet.services.ec2.attachment import with_attachment_change
from ecsnet.services.ec2.interface_addresses import Wanted, add, own_interface, wanted_ipv6, wanted_prefixes4
from ecsnet.services.ec2.interface_filters import FILTERS
from ecsnet.services.ec2.interface_view import cached_interface, cached_interfaces
from ecsnet.services.ec2.interfaces import (
    allocate_interface,
    release_interface,
    validate_subnets_and_groups,
    with_groups,
)
from ecsnet.services.ec2.listing import Listing, drop_empty
from ecsnet.services.ec2.tagging import specified

_NOT_BUILT = ("ConnectionTrackingSpecification", "Operator")


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
    primary, wanted = wanted_addresses(request)
    eni = allocate_interface(
        call,
        subnet=request["SubnetId"],
        groups=tuple(request.get("Groups") or ()),
        description=request.get("Description") or "",
        requester_managed=False,
        requester_id=None,
        attachment=None,
        private_ip=primary,
        # Ipv6AddressCount 0 keeps the subnet from giving one by itself.
        ipv6=False if wanted.number_of(6) or request.get("Ipv6AddressCount") == 0 else None,
        tags=specified(request, families.INTERFACE.noun),
    )
    eni = finish(call, eni, wanted, primary_ipv6=bool(request.get("EnablePrimaryIpv6")))
    idempotency.remember(call, "CreateNetworkInterface", request, eni.id)
    return _created(call, eni, request)


def finish(call: Call, eni: ec2.NetworkInterface, wanted: Wanted, *, primary_ipv6: bool) -> ec2.NetworkInterface:
    """Give a new interface what it has beside its primary address.

    Raises MissingParameter when it would have no address at all, and what `interface_addresses.add` raises.
    """
    eni = add(call, eni, wanted)
    if eni.private_ip is None and not eni.ipv6_ips:
        raise errors.missing_parameter("ipv6Addresses")
    return call.tx.put(INTERFACES, _with_primary_ipv6(eni)) if primary_ipv6 else eni


def _with_primary_ipv6(eni: ec2.NetworkInterface) -> ec2.NetworkInterface:
    """Source: EC2 API, CreateNetworkInterface, EnablePrimaryIpv6: the first address then stays for the ENI's life."""
    if not eni.ipv6_ips:
        raise errors.invalid_value("enablePrimaryIpv6", "true", f"{eni.id} has no IPv6 address.")
    return msgspec.structs.replace(eni, primary_ipv6=True)


def wanted_addresses(request: Request) -> tuple[IPv4Address | None, Wanted]:
    """The primary address that the request names, and what comes beside it."""
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
    count = errors.not_negative(request, "SecondaryPrivateIpAddressCount")
    if secondary and count:
        raise errors.combination(
            "The parameter secondaryPrivateIpAddressCount cannot be used with the parameter privateIpAddresses"
        )
    prefixes, prefix_count = wanted_prefixes4(request)
    six = wanted_ipv6(request, [one.get("Ipv6Address") or "" for one in request.get("Ipv6Addresses") or ()])
    return primary, dataclasses.replace(
        six,
        private=tuple(secondary),
        private_count=count,
        prefixes4=prefixes,
        prefix4_count=prefix_count,
    )


def _created(call: Call, eni: ec2.NetworkInterface, request: Request) -> Reply:
    return drop_empty(
        {"NetworkInterface": cached_interface(call, eni).build(), "ClientToken": request.get("ClientToken")}
    )


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
    eni = own_interface(call, request["NetworkInterfaceId"])
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
            validate_subnets_and_groups(call, (eni.subnet,), request["Groups"])
            changed = with_groups(call, eni, request["Groups"])
        case "Attachment":
            changed = with_attachment_change(call, eni, request["Attachment"])
        case "EnablePrimaryIpv6":
            changed = _with_primary_ipv6(eni) if request["EnablePrimaryIpv6"] else eni
        case other:
            raise not_implemented("ModifyNetworkInterfaceAttribute", other)
    call.tx.put(INTERFACES, changed)
    return {}


def reset_network_interface_attribute(call: Call, request: Request) -> Reply:
    """Source: EC2 API, ResetNetworkInterfaceAttribute: the source/destination check is on again."""
    eni = own_interface(call, request["NetworkInterfaceId"])
    if not request.get("SourceDestCheck"):
        raise errors.missing_parameter("sourceDestCheck")
    call.tx.put(INTERFACES, msgspec.structs.replace(eni, source_dest_check=True))
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
    write("ResetNetworkInterfaceAttribute", reset_network_interface_attribute),
    read("DescribeNetworkInterfaceAttribute", describe_network_interface_attribute),
    *interface_addresses.OPERATIONS,
)
