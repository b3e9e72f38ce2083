"""Elastic IP addresses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from ecsnet.model import ec2
from ecsnet.model.tables import (
    ADDRESS_TRANSFERS,
    ELASTIC_IPS,
    ELASTIC_IPS_BY_ASSOCIATION,
    ELASTIC_IPS_BY_INTERFACE,
    ELASTIC_IPS_BY_PUBLIC_IP,
    INTERFACES,
    INTERNET_GATEWAYS_BY_VPC,
)
from ecsnet.services.call import AwsError, Cached, Call, Operation, Reply, Request, not_implemented, read, write
from ecsnet.services.ec2 import cidrs, errors, families
from ecsnet.services.ec2.addressing import allocate_public_ip, elastic_ip_of
from ecsnet.services.ec2.filters import Filters, some
from ecsnet.services.ec2.instances import interfaces_of, primary_interface
from ecsnet.services.ec2.interface_permission import granted
from ecsnet.services.ec2.interfaces import associate, unassociate
from ecsnet.services.ec2.listing import Listing, drop_empty, each
from ecsnet.services.ec2.quotas import quota
from ecsnet.services.ec2.tagging import specified, tag_set


def allocate_address(call: Call, request: Request) -> Reply:
    """Source: EC2 API, AllocateAddress. Raises AddressLimitExceeded."""
    for member in ("Address", "CustomerOwnedIpv4Pool", "IpamPoolId"):
        if request.get(member):
            raise not_implemented("AllocateAddress", member)
    if request.get("PublicIpv4Pool") not in (None, "amazon"):
        raise not_implemented("AllocateAddress", "PublicIpv4Pool")
    if request.get("Domain") not in (None, "vpc"):
        raise errors.invalid_value("domain", request["Domain"], "EC2-Classic addresses do not exist any more. Use vpc.")
    if families.ELASTIC_IP.count(call) >= quota(call, "elastic_ips_per_region"):
        raise errors.limit_exceeded("AddressLimitExceeded", "addresses")
    eip = call.tx.put(
        ELASTIC_IPS,
        ec2.ElasticIp(
            allocation=call.ids.resource("eipalloc"),
            account=call.account,
            region=call.region,
            public_ip=allocate_public_ip(call),
            tags=specified(request, families.ELASTIC_IP.noun),
        ),
    )
    return {
        "PublicIp": str(eip.public_ip),
        "AllocationId": eip.allocation,
        "PublicIpv4Pool": "amazon",
        "NetworkBorderGroup": call.region,
        "Domain": "vpc",
    }


def associate_address(call: Call, request: Request) -> Reply:
    """Bind an address to a private address of an interface.

    Source: EC2 API, AssociateAddress. Raises Resource.AlreadyAssociated without AllowReassociation,
    Gateway.NotAttached in a VPC without an internet gateway, InvalidInstanceID.NotFound, IncorrectInstanceState.
    """
    eip = _chosen(call, request)
    eni = _wanted_interface(call, request)
    if eni.requester_managed:
        raise errors.service_owned()
    private_ip = eni.private_ip
    if request.get("PrivateIpAddress"):
        private_ip = cidrs.address(request["PrivateIpAddress"], "privateIpAddress")
        if private_ip not in eni.private_ips:
            raise errors.invalid_value("privateIpAddress", private_ip, f"It is not assigned to {eni.id}.")
    if private_ip is None:
        raise errors.invalid_value("networkInterfaceId", eni.id, "It has no private IPv4 address.")
    if not call.tx.keys(INTERNET_GATEWAYS_BY_VPC, eni.vpc):
        raise AwsError("Gateway.NotAttached", f"Network {eni.vpc} is not attached to any internet gateway")
    if eip.interface == eni.id and eip.private_ip == private_ip:
        return {"AssociationId": eip.association}
    again = bool(request.get("AllowReassociation"))
    present = elastic_ip_of(call.tx, eni.id, private_ip)
    if eip.association is not None:
        if not again:
            raise _already(eip.allocation, eip.association)
        _check_manager(call, eip)
        eip = unassociate(call, eip)
    if present is not None:
        if not again:
            raise _already(eni.id, present.association)
        unassociate(call, present)
    return {"AssociationId": associate(call, eip, eni, private_ip).association}


def _wanted_interface(call: Call, request: Request) -> ec2.NetworkInterface:
    """The interface that the request names, by itself or as its instance's primary one."""
    if request.get("NetworkInterfaceId"):
        key = request["NetworkInterfaceId"]
        return granted(call, key, "EIP-ASSOCIATE") or families.INTERFACE.require(call, key)
    if not request.get("InstanceId"):
        raise errors.missing_parameter("networkInterfaceId")
    instance = families.INSTANCE.require(call, request["InstanceId"])
    primary = primary_interface(call.tx, instance.id)
    if primary is None or not (ec2.holds_stack(instance) or instance.state in ("stopping", "stopped")):
        raise AwsError("IncorrectInstanceState", f"The instance '{instance.id}' is not in a valid state.")
    if len(interfaces_of(call.tx, instance.id)) > 1:
        raise AwsError(
            "InvalidInstanceID",
            f"There are multiple interfaces attached to instance '{instance.id}'. Please specify an interface ID for "
            "the operation instead.",
        )
    return primary


def _already(resource: str, association: str | None) -> AwsError:
    return AwsError(
        "Resource.AlreadyAssociated", f"resource {resource} is already associated with associate-id {association}"
    )


def _check_manager(call: Call, eip: ec2.ElasticIp) -> None:
    eni = call.tx.get(INTERFACES, eip.interface) if eip.interface else None
    if eni is not None and eni.requester_managed:
        raise errors.service_owned()


def disassociate_address(call: Call, request: Request) -> Reply:
    """Source: EC2 API, DisassociateAddress. Raises InvalidAssociationID.NotFound."""
    if request.get("AssociationId"):
        wanted = request["AssociationId"]
        found = next(call.tx.find(ELASTIC_IPS_BY_ASSOCIATION, wanted), None)
        if found is None or families.ELASTIC_IP.find(call, found.allocation) is None:
            raise AwsError("InvalidAssociationID.NotFound", f"The association ID '{wanted}' does not exist")
    elif request.get("PublicIp"):
        found = _by_public_ip(call, request["PublicIp"])
    else:
        raise errors.missing_parameter("associationId")
    if found.association is not None:
        _check_manager(call, found)
        unassociate(call, found)
    return {}


def release_address(call: Call, request: Request) -> Reply:
    """Source: EC2 API, ReleaseAddress. Raises InvalidIPAddress.InUse while associated.

    Raises InvalidAddress.Locked while it has a reverse DNS name.
    """
    eip = _chosen(call, request)
    if eip.reverse_name is not None:
        raise AwsError("InvalidAddress.Locked", f"Address {eip.public_ip} has a reverse DNS name. Reset it first.")
    if eip.association is not None:
        raise AwsError("InvalidIPAddress.InUse", f"Address {eip.public_ip} is in use.")
    offer = call.tx.get(ADDRESS_TRANSFERS, eip.allocation)
    if offer is not None and offer.accepted is None:
        call.tx.delete(ADDRESS_TRANSFERS, eip.allocation)
    call.tx.delete(ELASTIC_IPS, eip.allocation)
    return {}


def _chosen(call: Call, request: Request) -> ec2.ElasticIp:
    if request.get("AllocationId"):
        return families.ELASTIC_IP.require(call, request["AllocationId"])
    if request.get("PublicIp"):
        return _by_public_ip(call, request["PublicIp"])
    raise errors.missing_parameter("allocationId")


def _by_public_ip(call: Call, text: str) -> ec2.ElasticIp:
    for eip in call.tx.find(ELASTIC_IPS_BY_PUBLIC_IP, text):
        if eip.account == call.account and eip.region == call.region:
            return eip
    raise AwsError("InvalidAddress.NotFound", f"Address '{text}' not found.")


def _interface(call: Call, eip: ec2.ElasticIp) -> ec2.NetworkInterface | None:
    return call.tx.get(INTERFACES, eip.interface) if eip.interface else None


def _instance_of(eni: ec2.NetworkInterface) -> str | None:
    attachment = eni.attachment
    return attachment.owner if attachment is not None and attachment.owner_kind == "instance" else None


def _item(eip: ec2.ElasticIp, eni: ec2.NetworkInterface | None) -> Mapping[str, Any]:
    """The wire form (EC2 API, shape Address)."""
    return drop_empty(
        {
            "PublicIp": str(eip.public_ip),
            "AllocationId": eip.allocation,
            "AssociationId": eip.association,
            "Domain": "vpc",
            "InstanceId": None if eni is None else _instance_of(eni),
            "NetworkInterfaceId": eip.interface,
            "NetworkInterfaceOwnerId": None if eni is None else eni.account,
            "PrivateIpAddress": None if eip.private_ip is None else str(eip.private_ip),
            "SubnetId": None if eni is None else eni.subnet,
            "PublicIpv4Pool": "amazon",
            "NetworkBorderGroup": eip.region,
            "Tags": tag_set(eip.tags),
        }
    )


def _cached(call: Call, eip: ec2.ElasticIp) -> Cached:
    eni = _interface(call, eip)
    return Cached(key=("eip", eip.allocation), sources=(eip, eni), build=partial(_item, eip, eni))


_LISTING = Listing(
    family=families.ELASTIC_IP,
    filters=Filters(
        fields={
            "allocation-id": lambda call, r: (r.allocation,),
            "association-id": lambda call, r: some(r.association),
            "domain": lambda call, r: ("vpc",),
            "instance-id": lambda call, r: some((eni := _interface(call, r)) and _instance_of(eni)),
            "network-border-group": lambda call, r: (r.region,),
            "network-interface-id": lambda call, r: some(r.interface),
            "network-interface-owner-id": lambda call, r: some(r.interface and r.account),
            "private-ip-address": lambda call, r: some(r.private_ip),
            "public-ip": lambda call, r: (str(r.public_ip),),
        },
        indexes={
            "association-id": ELASTIC_IPS_BY_ASSOCIATION,
            "network-interface-id": ELASTIC_IPS_BY_INTERFACE,
            "public-ip": ELASTIC_IPS_BY_PUBLIC_IP,
        },
        keys=frozenset({"allocation-id"}),
        tags=lambda r: r.tags,
    ),
    ids="AllocationIds",
    members="Addresses",
    items=each(_cached),
)


def describe_addresses(call: Call, request: Request) -> Reply:
    """Source: EC2 API, DescribeAddresses; addresses may be named by allocation or by themselves."""
    if request.get("PublicIps"):
        named = [_by_public_ip(call, text).allocation for text in request["PublicIps"]]
        request = {**request, "AllocationIds": [*(request.get("AllocationIds") or ()), *named]}
    return _LISTING.describe(call, request)


def selected(call: Call, request: Request) -> Iterable[ec2.ElasticIp]:
    """The addresses that a request names by allocation, else all."""
    return _LISTING.select(call, request)


OPERATIONS: tuple[Operation, ...] = (
    write("AllocateAddress", allocate_address),
    write("AssociateAddress", associate_address),
    write("DisassociateAddress", disassociate_address),
    write("ReleaseAddress", release_address),
    read("DescribeAddresses", describe_addresses),
)
