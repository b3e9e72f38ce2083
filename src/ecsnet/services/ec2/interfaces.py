"""The life of network interfaces, as verbs for this service and for others in the same transaction."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Literal

import msgspec

from ecsnet.model import ec2
from ecsnet.model.base import Tags
from ecsnet.model.tables import (
    ELASTIC_IPS,
    ELASTIC_IPS_BY_INTERFACE,
    INSTANCES,
    INTERFACE_PERMISSIONS,
    INTERFACE_PERMISSIONS_BY_INTERFACE,
    INTERFACES,
    OBSERVED_INTERFACES,
)
from ecsnet.services.call import AwsError, Call
from ecsnet.services.ec2 import families, idempotency
from ecsnet.services.ec2.addressing import allocate_public_ip, claim_private, mac_of, pick_ipv6, pick_private
from ecsnet.services.ec2.errors import interface_in_use, limit_exceeded
from ecsnet.services.ec2.flow_logs import drop_flow_logs_of
from ecsnet.services.ec2.quotas import quota
from ecsnet.services.ec2.security_groups import default_group, number_group_set, usable_in
from ecsnet.store.snapshot import Reader

WITHOUT_GROUPS = frozenset({"nat_gateway", "network_load_balancer"})
"""Interface types that no security group filters (VPC User Guide, "NAT gateway basics")."""


def validate_subnets_and_groups(call: Call, subnets: Sequence[str], groups: Sequence[str]) -> str:
    """The VPC that all subnets belong to and all groups may be used in.

    Raises InvalidSubnetID.NotFound, InvalidGroup.NotFound, InvalidParameter when they are of different VPCs, and
    SecurityGroupsPerInterfaceLimitExceeded.
    """
    if not subnets:
        raise AwsError("MissingParameter", "The request must contain the parameter subnetId")
    rows = [families.SUBNET.require(call, subnet) for subnet in subnets]
    first = rows[0]
    for row in rows[1:]:
        if row.vpc != first.vpc:
            raise AwsError("InvalidParameter", f"Subnet {first.id} and subnet {row.id} belong to different networks.")
    for group in groups:
        if not usable_in(call.tx, families.GROUP.require(call, group), first.vpc):
            raise AwsError(
                "InvalidParameter", f"Security group {group} and subnet {first.id} belong to different networks."
            )
    if len(set(groups)) > quota(call, "groups_per_interface"):
        raise AwsError(
            "SecurityGroupsPerInterfaceLimitExceeded",
            "The maximum number of security groups per interface has been reached.",
        )
    return first.vpc


def allocate_interface(
    call: Call,
    *,
    subnet: str,
    groups: Sequence[str],
    description: str,
    interface_type: str = "interface",
    requester_managed: bool,
    requester_id: str | None,
    attachment: ec2.Attachment | None,
    public_ip: bool = False,
    private_ip: IPv4Address | None = None,
    ipv6: bool | None = None,
    source_dest_check: bool = True,
    tags: Tags = (),
) -> ec2.NetworkInterface:
    """Make an interface with a random free address of the subnet (or `private_ip`).

    Without groups it gets the VPC's default group, as CreateNetworkInterface does; NAT gateways and network load
    balancers get none.
    `public_ip` also gives it an automatic public address, `ipv6` an IPv6 address; None leaves that to the subnet's
    AssignIpv6AddressOnCreation. In an IPv6-only subnet there is no private (IPv4) address and no public one.

    Raises what `validate_subnets_and_groups`, `pick_private`, `pick_ipv6` and `claim_private` raise, and
    NetworkInterfaceLimitExceeded.
    """
    vpc = validate_subnets_and_groups(call, (subnet,), groups)
    if families.INTERFACE.count(call) >= quota(call, "interfaces_per_region"):
        raise limit_exceeded("NetworkInterfaceLimitExceeded", "network interfaces")
    home = families.SUBNET.require(call, subnet)
    chosen = tuple(dict.fromkeys(groups))
    if not chosen and interface_type not in WITHOUT_GROUPS:
        chosen = (default_group(call.tx, vpc).id,)
    address = None
    if private_ip is not None:
        address = claim_private(call, home, private_ip)
    elif home.cidr is not None:
        address = pick_private(call, home)
    six = home.assign_ipv6_on_creation if ipv6 is None else ipv6
    number_group_set(call.tx, vpc, chosen)
    key = call.ids.resource("eni")
    return call.tx.put(
        INTERFACES,
        ec2.NetworkInterface(
            id=key,
            account=call.account,
            region=call.region,
            vpc=vpc,
            subnet=subnet,
            az=home.az,
            private_ip=address,
            ipv6_ips=(pick_ipv6(call, home),) if six else (),
            mac=mac_of(key),
            groups=chosen,
            description=description,
            interface_type=interface_type,
            source_dest_check=source_dest_check,
            requester_managed=requester_managed,
            requester_id=requester_id,
            auto_public_ip=allocate_public_ip(call) if public_ip and address is not None else None,
            attachment=attachment,
            created=call.now,
            tags=tags,
        ),
    )


def with_groups(call: Call, interface: ec2.NetworkInterface, groups: Sequence[str]) -> ec2.NetworkInterface:
    """The interface with other groups, which its VPC may use; without repetitions. It is not stored."""
    chosen = tuple(dict.fromkeys(groups))
    number_group_set(call.tx, interface.vpc, chosen)
    return msgspec.structs.replace(interface, groups=chosen)


def attach_interface(call: Call, interface: str, attachment: ec2.Attachment) -> ec2.NetworkInterface:
    """Give the interface to a task, gateway, load balancer or instance. Raises InvalidParameterValue when in use."""
    eni = families.INTERFACE.require(call, interface)
    if eni.attachment is not None:
        raise interface_in_use(interface)
    return call.tx.put(INTERFACES, msgspec.structs.replace(eni, attachment=attachment))


def set_ipv6(call: Call, interface: str, *, wanted: bool) -> IPv6Address | None:
    """Make the interface of a service have one IPv6 address, or none."""
    eni = families.INTERFACE.require(call, interface)
    if wanted and not eni.ipv6_ips:
        six = pick_ipv6(call, families.SUBNET.require(call, eni.subnet))
        eni = call.tx.put(INTERFACES, msgspec.structs.replace(eni, ipv6_ips=(six,)))
    elif not wanted and eni.ipv6_ips:
        eni = call.tx.put(INTERFACES, msgspec.structs.replace(eni, ipv6_ips=()))
    return eni.ipv6_ips[0] if eni.ipv6_ips else None


def detach_interface(call: Call, interface: str) -> ec2.NetworkInterface:
    """Take the interface away from its user; it keeps its addresses. Detaching a free one changes nothing."""
    eni = families.INTERFACE.require(call, interface)
    call.tx.delete(OBSERVED_INTERFACES, interface)  # what was seen of it ends here; the next owner is seen anew
    return call.tx.put(INTERFACES, msgspec.structs.replace(eni, attachment=None))


def release_interface(call: Call, interface: str) -> None:
    """Delete the interface whatever it is attached to. Its Elastic IPs stay allocated; its other addresses are free.

    Releasing a missing interface changes nothing, so that a controller may repeat itself.
    """
    for eip in list(call.tx.find(ELASTIC_IPS_BY_INTERFACE, interface)):
        unassociate(call, eip)
    for permission in list(call.tx.keys(INTERFACE_PERMISSIONS_BY_INTERFACE, interface)):
        call.tx.delete(INTERFACE_PERMISSIONS, permission)
    idempotency.forget(call, interface)
    call.tx.delete(INTERFACES, interface)
    drop_flow_logs_of(call, interface)


def associate(call: Call, eip: ec2.ElasticIp, eni: ec2.NetworkInterface, private_ip: IPv4Address) -> ec2.ElasticIp:
    """Bind an Elastic IP to one private address; an automatic public address of it goes back to the pool."""
    if private_ip == eni.private_ip and eni.auto_public_ip is not None:
        call.tx.put(INTERFACES, msgspec.structs.replace(eni, auto_public_ip=None))
    return call.tx.put(
        ELASTIC_IPS,
        msgspec.structs.replace(
            eip, association=call.ids.resource("eipassoc"), interface=eni.id, private_ip=private_ip
        ),
    )


def unassociate(call: Call, eip: ec2.ElasticIp) -> ec2.ElasticIp:
    """Take an Elastic IP off its private address."""
    return call.tx.put(ELASTIC_IPS, msgspec.structs.replace(eip, association=None, interface=None, private_ip=None))


def interface_status(reader: Reader, eni: ec2.NetworkInterface) -> Literal["available", "attaching", "in-use"]:
    """The API status. An attached interface is in-use only once the agent has seen it with its filter in place."""
    if eni.attachment is None:
        return "available"
    return "in-use" if is_attached(reader, eni) else "attaching"


def is_attached(reader: Reader, eni: ec2.NetworkInterface) -> bool:
    """Whether the interface was seen in force with its owner.

    An instance that does not run has nothing to see; its interfaces stay attached (EC2 User Guide, "Stop and start").
    """
    if eni.attachment is None:
        return False
    return reader.get(OBSERVED_INTERFACES, eni.id) is not None or is_idle(owning_instance(reader, eni))


def owning_instance(reader: Reader, eni: ec2.NetworkInterface) -> ec2.Instance | None:
    """The instance to which the interface is attached."""
    if eni.attachment is None or eni.attachment.owner_kind != "instance":
        return None
    return reader.get(INSTANCES, eni.attachment.owner)


def is_idle(instance: ec2.Instance | None) -> bool:
    """Whether an interface is attached to an instance without a network stack."""
    return instance is not None and not ec2.holds_stack(instance)
