"""The filters of DescribeNetworkInterfaces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ecsnet.model import ec2
from ecsnet.model.base import scope
from ecsnet.model.dnsnames import private_dns_name, public_dns_name
from ecsnet.model.tables import (
    ELASTIC_IPS,
    ELASTIC_IPS_BY_INTERFACE,
    ELASTIC_IPS_BY_PUBLIC_IP,
    GROUPS,
    INTERFACES,
    INTERFACES_BY_ADDRESS,
    INTERFACES_BY_ATTACHMENT,
    INTERFACES_BY_GROUP,
    INTERFACES_BY_OWNER,
    INTERFACES_BY_PUBLIC_IP,
    INTERFACES_BY_SUBNET,
    INTERFACES_BY_VPC,
    SUBNETS,
    VPCS,
    VPCS_BY_SCOPE,
)
from ecsnet.services.call import Call
from ecsnet.services.ec2.addressing import public_ip_of
from ecsnet.services.ec2.filters import Filters, flag, moment, some
from ecsnet.services.ec2.interface_view import attachment_account
from ecsnet.services.ec2.interfaces import interface_status, is_attached


def _group_names(call: Call, eni: ec2.NetworkInterface) -> Iterable[str]:
    groups = (call.tx.get(GROUPS, key) for key in eni.groups)
    return [group.name for group in groups if group is not None]


def _public_ips(call: Call, eni: ec2.NetworkInterface) -> Iterable[str]:
    found = (public_ip_of(call.tx, eni, address) for address in eni.private_ips)
    return [str(address) for address in found if address is not None]


def _public_ip(call: Call, eni: ec2.NetworkInterface) -> Iterable[str]:
    return some(public_ip_of(call.tx, eni, eni.private_ip))


def _is_named(call: Call, eni: ec2.NetworkInterface) -> bool:
    """Whether the VPC gives names (VPC User Guide, "DNS attributes for your VPC")."""
    vpc = call.tx.get(VPCS, eni.vpc)
    return vpc is not None and vpc.dns_support and vpc.dns_hostnames


def _public_name(call: Call, eni: ec2.NetworkInterface) -> Iterable[str]:
    address = public_ip_of(call.tx, eni, eni.private_ip)
    return () if address is None or not _is_named(call, eni) else (public_dns_name(eni.region, address),)


def _private_name(call: Call, eni: ec2.NetworkInterface) -> Iterable[str]:
    named = eni.private_ip is not None and _is_named(call, eni)
    return (private_dns_name(eni.region, eni.private_ip),) if named and eni.private_ip is not None else ()


def _with_private_ip(call: Call, value: str) -> Iterator[ec2.NetworkInterface]:
    for vpc in call.tx.keys(VPCS_BY_SCOPE, scope(call.account, call.region)):
        yield from call.tx.find(INTERFACES_BY_ADDRESS, f"{vpc}/{value}")


def _with_public_ip(call: Call, value: str) -> Iterator[ec2.NetworkInterface]:
    yield from call.tx.find(INTERFACES_BY_PUBLIC_IP, value)
    for eip in call.tx.find(ELASTIC_IPS_BY_PUBLIC_IP, value):
        yield from _bound(call, eip)


def _with_allocation(call: Call, value: str) -> Iterator[ec2.NetworkInterface]:
    yield from _bound(call, call.tx.get(ELASTIC_IPS, value))


def _bound(call: Call, eip: ec2.ElasticIp | None) -> Iterator[ec2.NetworkInterface]:
    eni = call.tx.get(INTERFACES, eip.interface) if eip is not None and eip.interface is not None else None
    if eni is not None:
        yield eni


def _owner(call: Call, eni: ec2.NetworkInterface) -> Iterable[str]:
    if call.tx.keys(ELASTIC_IPS_BY_INTERFACE, eni.id):
        return (eni.account,)
    return () if eni.auto_public_ip is None else ("amazon",)


def _attachment_status(call: Call, eni: ec2.NetworkInterface) -> Iterable[str]:
    if eni.attachment is None:
        return ()
    return ("attached",) if is_attached(call.tx, eni) else ("attaching",)


def _zone_id(call: Call, eni: ec2.NetworkInterface) -> Iterable[str]:
    subnet = call.tx.get(SUBNETS, eni.subnet)
    return () if subnet is None else (subnet.az_id,)


FILTERS: Filters[ec2.NetworkInterface] = Filters(
    fields={
        "addresses.association.owner-id": _owner,
        "addresses.association.public-ip": _public_ips,
        "addresses.primary": lambda call, r: ("true", "false") if r.secondary_ips else ("true",),
        "addresses.private-ip-address": lambda call, r: [str(a) for a in r.private_ips],
        "association.allocation-id": lambda call, r: [
            eip.allocation for eip in call.tx.find(ELASTIC_IPS_BY_INTERFACE, r.id)
        ],
        "association.association-id": lambda call, r: [
            eip.association for eip in call.tx.find(ELASTIC_IPS_BY_INTERFACE, r.id) if eip.association
        ],
        "association.ip-owner-id": _owner,
        "association.public-dns-name": _public_name,
        "association.public-ip": _public_ip,
        "attachment.attach-time": lambda call, r: () if r.attachment is None else (moment(r.attachment.attached),),
        "attachment.attachment-id": lambda call, r: some(r.attachment and r.attachment.id),
        "attachment.delete-on-termination": lambda call, r: (
            () if r.attachment is None else flag(r.attachment.delete_on_termination)
        ),
        "attachment.device-index": lambda call, r: () if r.attachment is None else (str(r.attachment.device_index),),
        "attachment.instance-id": lambda call, r: (
            (r.attachment.owner,) if r.attachment is not None and r.attachment.owner_kind == "instance" else ()
        ),
        "attachment.instance-owner-id": lambda call, r: (
            () if r.attachment is None else (attachment_account(r, r.attachment),)
        ),
        "attachment.status": _attachment_status,
        "availability-zone": lambda call, r: (r.az,),
        "availability-zone-id": _zone_id,
        "description": lambda call, r: (r.description,),
        "group-id": lambda call, r: r.groups,
        "group-name": _group_names,
        "interface-type": lambda call, r: (r.interface_type,),
        "ipv6-addresses.ipv6-address": lambda call, r: [str(address) for address in r.ipv6_ips],
        "mac-address": lambda call, r: (r.mac,),
        "network-interface-id": lambda call, r: (r.id,),
        "operator.managed": lambda call, r: flag(False),
        "operator.principal": lambda call, r: (),
        "owner-id": lambda call, r: (r.account,),
        "private-dns-name": _private_name,
        "private-ip-address": lambda call, r: [str(a) for a in r.private_ips],
        "requester-id": lambda call, r: some(r.requester_id),
        "requester-managed": lambda call, r: flag(r.requester_managed),
        "source-dest-check": lambda call, r: flag(r.source_dest_check),
        "status": lambda call, r: (interface_status(call.tx, r),),
        "subnet-id": lambda call, r: (r.subnet,),
        "vpc-id": lambda call, r: (r.vpc,),
    },
    indexes={
        "attachment.attachment-id": INTERFACES_BY_ATTACHMENT,
        "attachment.instance-id": INTERFACES_BY_OWNER,
        "group-id": INTERFACES_BY_GROUP,
        "subnet-id": INTERFACES_BY_SUBNET,
        "vpc-id": INTERFACES_BY_VPC,
    },
    lookups={
        "addresses.association.public-ip": _with_public_ip,
        "addresses.private-ip-address": _with_private_ip,
        "association.allocation-id": _with_allocation,
        "association.public-ip": _with_public_ip,
        "ipv6-addresses.ipv6-address": _with_private_ip,
        "private-ip-address": _with_private_ip,
    },
    keys=frozenset({"network-interface-id"}),
    tags=lambda r: r.tags,
)
