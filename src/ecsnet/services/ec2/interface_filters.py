"""The filters of DescribeNetworkInterfaces."""

from __future__ import annotations

from collections.abc import Iterable

from ecsnet.model import ec2
from ecsnet.model.dnsnames import private_dns_name, public_dns_name
from ecsnet.model.tables import (
    ELASTIC_IPS_BY_INTERFACE,
    GROUPS,
    INTERFACES_BY_GROUP,
    INTERFACES_BY_SUBNET,
    INTERFACES_BY_VPC,
    SUBNETS,
)
from ecsnet.services.call import Call
from ecsnet.services.ec2.addressing import public_ip_of
from ecsnet.services.ec2.filters import Filters, flag, some
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


def _public_name(call: Call, eni: ec2.NetworkInterface) -> Iterable[str]:
    address = public_ip_of(call.tx, eni, eni.private_ip)
    return () if address is None else (public_dns_name(eni.region, address),)


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
        "attachment.attach-time": lambda call, r: (),
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
        "private-dns-name": lambda call, r: () if r.private_ip is None else (private_dns_name(r.region, r.private_ip),),
        "private-ip-address": lambda call, r: [str(a) for a in r.private_ips],
        "requester-id": lambda call, r: some(r.requester_id),
        "requester-managed": lambda call, r: flag(r.requester_managed),
        "source-dest-check": lambda call, r: flag(r.source_dest_check),
        "status": lambda call, r: (interface_status(call.tx, r),),
        "subnet-id": lambda call, r: (r.subnet,),
        "vpc-id": lambda call, r: (r.vpc,),
    },
    indexes={
        "group-id": INTERFACES_BY_GROUP,
        "subnet-id": INTERFACES_BY_SUBNET,
        "vpc-id": INTERFACES_BY_VPC,
    },
    keys=frozenset({"network-interface-id"}),
    tags=lambda r: r.tags,
)
