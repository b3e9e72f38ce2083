"""Network interfaces as replies show them (EC2 API, shape NetworkInterface), with everything that is derived."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from ipaddress import IPv4Address
from typing import Any

from ecsnet.model import ec2
from ecsnet.model.dnsnames import private_dns_name, public_dns_name
from ecsnet.model.tables import ELASTIC_IPS_BY_INTERFACE, GROUPS, OBSERVED_INTERFACES, SUBNETS, VPCS
from ecsnet.services.call import Cached, Call
from ecsnet.services.ec2.interfaces import is_idle, owning_instance
from ecsnet.services.ec2.listing import drop_empty
from ecsnet.services.ec2.tagging import tag_set

_Surroundings = tuple[ec2.Vpc | None, ec2.Subnet | None, *tuple[ec2.SecurityGroup, ...]]


def cached_interface(call: Call, eni: ec2.NetworkInterface) -> Cached:
    """One interface. Its sources are all records that `interface_item` reads."""
    (item,) = cached_interfaces(call, (eni,))
    return item


def cached_interfaces(call: Call, interfaces: Iterable[ec2.NetworkInterface]) -> list[Cached]:
    """List items. Many interfaces share a subnet and groups, so those are looked up once for all of them."""
    tx = call.tx
    surroundings: dict[tuple[str, tuple[str, ...]], _Surroundings] = {}
    items = []
    for eni in interfaces:
        place = (eni.subnet, eni.groups)
        around = surroundings.get(place)
        if around is None:
            around = (
                tx.get(VPCS, eni.vpc),
                tx.get(SUBNETS, eni.subnet),
                *(group for group in (tx.get(GROUPS, key) for key in eni.groups) if group is not None),
            )
            surroundings[place] = around
        observed, instance = tx.get(OBSERVED_INTERFACES, eni.id), owning_instance(tx, eni)
        elastic = tuple(tx.find(ELASTIC_IPS_BY_INTERFACE, eni.id)) if tx.keys(ELASTIC_IPS_BY_INTERFACE, eni.id) else ()
        items.append(
            Cached(
                key=eni.id,
                sources=(eni, observed, instance, *around, *elastic),
                build=partial(interface_item, eni, observed is not None or is_idle(instance), around, elastic),
            )
        )
    return items


def interface_item(
    eni: ec2.NetworkInterface,
    attached: bool,
    around: _Surroundings,
    addresses: Sequence[ec2.ElasticIp],
) -> Mapping[str, Any]:
    """The wire form. Names are given where the VPC gives names (VPC User Guide, "DNS attributes for your VPC")."""
    vpc, subnet, *groups = around
    named = vpc is not None and vpc.dns_support and vpc.dns_hostnames
    primary = eni.private_ip
    return drop_empty(
        {
            "NetworkInterfaceId": eni.id,
            "OwnerId": eni.account,
            "VpcId": eni.vpc,
            "SubnetId": eni.subnet,
            "AvailabilityZone": eni.az,
            "AvailabilityZoneId": None if subnet is None else subnet.az_id,
            "Description": eni.description,
            "InterfaceType": eni.interface_type,
            "MacAddress": eni.mac,
            "PrivateIpAddress": None if primary is None else str(primary),
            "PrivateDnsName": private_dns_name(eni.region, primary) if named and primary is not None else None,
            "PrivateIpAddresses": [
                drop_empty(
                    {
                        "PrivateIpAddress": str(address),
                        "Primary": address == eni.private_ip,
                        "PrivateDnsName": private_dns_name(eni.region, address) if named else None,
                        "Association": association_item(eni, address, addresses, named=named),
                    }
                )
                for address in eni.private_ips
            ],
            "Ipv4Prefixes": [{"Ipv4Prefix": str(prefix)} for prefix in eni.ipv4_prefixes] or None,
            "Ipv6Address": str(eni.ipv6_ips[0]) if eni.ipv6_ips else None,
            "Ipv6Addresses": [
                {"Ipv6Address": str(address), "IsPrimaryIpv6": eni.primary_ipv6 and address == eni.ipv6_ips[0]}
                for address in eni.ipv6_ips
            ],
            "Ipv6Prefixes": [{"Ipv6Prefix": str(prefix)} for prefix in eni.ipv6_prefixes] or None,
            "Ipv6Native": True if primary is None else None,
            "Association": None if primary is None else association_item(eni, primary, addresses, named=named),
            "Groups": [{"GroupId": one.id, "GroupName": one.name} for one in groups],
            "SourceDestCheck": eni.source_dest_check,
            "RequesterManaged": eni.requester_managed,
            "RequesterId": eni.requester_id,
            "Status": _status(eni, attached),
            "Attachment": _attachment_item(eni, attached),
            "TagSet": tag_set(eni.tags),
        }
    )


def attachment_account(eni: ec2.NetworkInterface, attachment: ec2.Attachment) -> str:
    """Whose instance an interface is attached to, as AWS shows it."""
    if attachment.owner_kind == "instance":
        return eni.account
    return "amazon-elb" if attachment.owner_kind == "load_balancer" else "amazon-aws"


def _status(eni: ec2.NetworkInterface, attached: bool) -> str:
    if eni.attachment is None:
        return "available"
    return "in-use" if attached else "attaching"


def _attachment_item(eni: ec2.NetworkInterface, attached: bool) -> Mapping[str, Any] | None:
    attachment = eni.attachment
    if attachment is None:
        return None
    return drop_empty(
        {
            "AttachmentId": attachment.id,
            "AttachTime": attachment.attached,
            "DeleteOnTermination": attachment.delete_on_termination,
            "DeviceIndex": attachment.device_index,
            "NetworkCardIndex": 0,
            "InstanceId": attachment.owner if attachment.owner_kind == "instance" else None,
            "InstanceOwnerId": attachment_account(eni, attachment),
            "Status": "attached" if attached else "attaching",
        }
    )


def association_item(
    eni: ec2.NetworkInterface, address: IPv4Address, addresses: Sequence[ec2.ElasticIp], *, named: bool
) -> Mapping[str, Any] | None:
    """The public side of one private address: its Elastic IP, else the automatic address, else nothing."""
    for eip in addresses:
        if eip.private_ip == address:
            return drop_empty(
                {
                    "AllocationId": eip.allocation,
                    "AssociationId": eip.association,
                    "IpOwnerId": eip.account,
                    "PublicIp": str(eip.public_ip),
                    "PublicDnsName": public_dns_name(eni.region, eip.public_ip) if named else None,
                }
            )
    if eni.auto_public_ip is None or address != eni.private_ip:
        return None
    return drop_empty(
        {
            "IpOwnerId": "amazon",
            "PublicIp": str(eni.auto_public_ip),
            "PublicDnsName": public_dns_name(eni.region, eni.auto_public_ip) if named else None,
        }
    )
