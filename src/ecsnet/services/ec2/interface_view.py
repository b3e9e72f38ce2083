"""Network interfaces as replies show them (EC2 API, shape NetworkInterface), with everything that is derived."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from ipaddress import IPv4Address
from typing import Any

from ecsnet.model import ec2
from ecsnet.model.tables import ELASTIC_IPS_BY_INTERFACE, GROUPS, OBSERVED_INTERFACES, SUBNETS, VPCS
from ecsnet.services.call import Cached, Call
from ecsnet.services.ec2.addressing import private_dns_name, public_dns_name
from ecsnet.services.ec2.listing import drop_empty
from ecsnet.services.ec2.tagging import tag_set


def cached_interface(call: Call, eni: ec2.NetworkInterface) -> Cached:
    """One list item. Its sources are all records that `interface_item` reads."""
    tx = call.tx
    observed = tx.get(OBSERVED_INTERFACES, eni.id)
    vpc = tx.get(VPCS, eni.vpc)
    subnet = tx.get(SUBNETS, eni.subnet)
    groups = [tx.get(GROUPS, key) for key in eni.groups]
    addresses = tuple(tx.find(ELASTIC_IPS_BY_INTERFACE, eni.id)) if tx.keys(ELASTIC_IPS_BY_INTERFACE, eni.id) else ()
    return Cached(
        key=("eni", eni.id),
        sources=(eni, observed, vpc, subnet, *groups, *addresses),
        build=partial(interface_item, eni, observed is not None, vpc, subnet, groups, addresses),
    )


def interface_item(
    eni: ec2.NetworkInterface,
    observed: bool,
    vpc: ec2.Vpc | None,
    subnet: ec2.Subnet | None,
    groups: Sequence[ec2.SecurityGroup | None],
    addresses: Sequence[ec2.ElasticIp],
) -> Mapping[str, Any]:
    """The wire form. Names are given where the VPC gives names (VPC User Guide, "DNS attributes for your VPC")."""
    named = vpc is not None and vpc.dns_support and vpc.dns_hostnames
    private_name = private_dns_name(eni.region, eni.private_ip) if named else None
    public = association_item(eni, eni.private_ip, addresses, named=named)
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
            "PrivateIpAddress": str(eni.private_ip),
            "PrivateDnsName": private_name,
            "PrivateIpAddresses": [
                drop_empty(
                    {
                        "PrivateIpAddress": str(address),
                        "Primary": address == eni.private_ip,
                        "PrivateDnsName": private_dns_name(eni.region, address) if named else None,
                        "Association": association_item(eni, address, addresses, named=named),
                    }
                )
                for address in (eni.private_ip, *eni.secondary_ips)
            ],
            "Ipv6Addresses": [{"Ipv6Address": str(address)} for address in eni.ipv6_ips],
            "Association": public,
            "Groups": [{"GroupId": one.id, "GroupName": one.name} for one in groups if one is not None],
            "SourceDestCheck": eni.source_dest_check,
            "RequesterManaged": eni.requester_managed,
            "RequesterId": eni.requester_id,
            "Status": _status(eni, observed),
            "Attachment": _attachment_item(eni.attachment, observed),
            "TagSet": tag_set(eni.tags),
        }
    )


def _status(eni: ec2.NetworkInterface, observed: bool) -> str:
    if eni.attachment is None:
        return "available"
    return "in-use" if observed else "attaching"


def _attachment_item(attachment: ec2.Attachment | None, observed: bool) -> Mapping[str, Any] | None:
    if attachment is None:
        return None
    return {
        "AttachmentId": attachment.id,
        "AttachTime": attachment.attached,
        "DeleteOnTermination": attachment.delete_on_termination,
        "DeviceIndex": attachment.device_index,
        "InstanceOwnerId": "amazon-aws",
        "Status": "attached" if observed else "attaching",
    }


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
