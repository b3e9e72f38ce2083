"""RunInstances: which network interfaces every instance of a request is to have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from typing import Any

from ecsnet.model import ec2
from ecsnet.model.tables import SUBNETS_BY_VPC
from ecsnet.services.call import AwsError, Call, Request, not_implemented
from ecsnet.services.ec2 import cidrs, errors, families
from ecsnet.services.ec2.default_vpc import find_default_vpc
from ecsnet.services.ec2.interface_addresses import NOTHING, Wanted, wanted_ipv6
from ecsnet.services.ec2.network_interface import wanted_addresses
from ecsnet.services.ec2.security_groups import group_by_name

_NOT_BUILT = (
    "NetworkCardIndex",
    "EnaSrdSpecification",
    "ConnectionTrackingSpecification",
    "AssociateCarrierIpAddress",
)

_OF_THE_INSTANCE = (
    ("SubnetId", "subnet ID"),
    ("SecurityGroupIds", "security groups"),
    ("SecurityGroups", "security groups"),
    ("PrivateIpAddress", "private address"),
    ("Ipv6Addresses", "IPv6 addresses"),
    ("Ipv6AddressCount", "IPv6 address count"),
)
"""Members of the request and their names in words; they stand in for a list of interfaces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedInterface:
    """One interface of the request."""

    index: int
    present: str | None = None
    """An interface that exists already."""
    subnet: ec2.Subnet
    groups: tuple[str, ...]
    primary: IPv4Address | None = None
    more: Wanted = NOTHING
    ipv6: bool | None = None
    """Whether the subnet gives an IPv6 address by itself; None: as its attribute says."""
    primary_ipv6: bool = False
    public: bool
    delete_on_termination: bool = True
    description: str = ""


def wanted_interfaces(call: Call, request: Request) -> tuple[WantedInterface, ...]:
    """The interfaces of each instance, the primary one first.

    Raises InvalidParameterCombination, InvalidParameterValue, MissingParameter, VPCIdNotSpecified, MissingInput and
    what says that something named does not exist.
    """
    given = request.get("NetworkInterfaces") or ()
    return _listed(call, request, given) if given else (_only(call, request),)


def _only(call: Call, request: Request) -> WantedInterface:
    """The one interface of a request that lists none: the request's own members describe it."""
    subnet = families.SUBNET.require(call, request["SubnetId"]) if request.get("SubnetId") else None
    subnet = subnet or _default_subnet(call, (request.get("Placement") or {}).get("AvailabilityZone"))
    address = request.get("PrivateIpAddress")
    more = wanted_ipv6(request, [one.get("Ipv6Address") or "" for one in request.get("Ipv6Addresses") or ()])
    return WantedInterface(
        index=0,
        subnet=subnet,
        groups=_groups(call, request, subnet),
        primary=cidrs.address(address, "privateIpAddress") if address else None,
        more=more,
        ipv6=_automatic_ipv6(request, more),
        primary_ipv6=bool(request.get("EnablePrimaryIpv6")),
        public=subnet.map_public_ip_on_launch,
    )


def _listed(call: Call, request: Request, given: Sequence[Mapping[str, Any]]) -> tuple[WantedInterface, ...]:
    for member, text in _OF_THE_INSTANCE:
        if request.get(member):
            raise errors.combination(
                f"Network interfaces and an instance-level {text} may not be specified on the same request"
            )
    found = sorted((_one_wanted(call, one) for one in given), key=lambda one: one.index)
    if [one.index for one in found] != sorted({one.index for one in found}):
        raise errors.invalid_value("deviceIndex", found[-1].index, "Each device index can only be given once.")
    if found[0].index != 0:
        raise AwsError("InvalidParameterValue", "You must specify a network interface with device index 0.")
    if any((one.subnet.az, one.subnet.vpc) != (found[0].subnet.az, found[0].subnet.vpc) for one in found):
        raise errors.different_zones()
    return tuple(found)


def _one_wanted(call: Call, one: Mapping[str, Any]) -> WantedInterface:
    for member in _NOT_BUILT:
        if one.get(member):
            raise not_implemented("RunInstances", f"NetworkInterfaces.{member}")
    if one.get("InterfaceType") not in (None, "interface"):
        raise not_implemented("RunInstances", f"InterfaceType {one['InterfaceType']}")
    if one.get("DeviceIndex") is None:
        raise errors.missing_parameter("deviceIndex")
    if one.get("NetworkInterfaceId"):
        return _present(call, one)
    subnet = families.SUBNET.require(call, one["SubnetId"]) if one.get("SubnetId") else _default_subnet(call, None)
    primary, more = wanted_addresses(one)
    public = one.get("AssociatePublicIpAddress")
    made = WantedInterface(
        index=int(one["DeviceIndex"]),
        subnet=subnet,
        groups=tuple(one.get("Groups") or ()),
        primary=primary,
        more=more,
        ipv6=_automatic_ipv6(one, more),
        primary_ipv6=bool(one.get("PrimaryIpv6")),
        public=False,
        delete_on_termination=one.get("DeleteOnTermination", True) is not False,
        description=one.get("Description") or "",
    )
    if made.index != 0:
        if public:
            raise errors.combination("The associatePublicIpAddress parameter can only be used with device index 0.")
        return made
    return replace(made, public=subnet.map_public_ip_on_launch if public is None else bool(public))


def _present(call: Call, one: Mapping[str, Any]) -> WantedInterface:
    eni = families.INTERFACE.require(call, one["NetworkInterfaceId"])
    if eni.requester_managed:
        raise errors.service_owned()
    if eni.attachment is not None:
        raise AwsError("InvalidNetworkInterface.InUse", f"Interface: [{eni.id}] in use.")
    for member in ("SubnetId", "Groups", "PrivateIpAddress", "PrivateIpAddresses", "AssociatePublicIpAddress"):
        if one.get(member):
            raise errors.combination(
                f"The {member} parameter cannot be used with a network interface that exists ({eni.id})."
            )
    return WantedInterface(
        index=int(one["DeviceIndex"]),
        present=eni.id,
        subnet=families.SUBNET.require(call, eni.subnet),
        groups=eni.groups,
        public=False,
        delete_on_termination=bool(one.get("DeleteOnTermination")),
    )


def _automatic_ipv6(request: Mapping[str, Any], more: Wanted) -> bool | None:
    return False if more.number_of(6) or request.get("Ipv6AddressCount") == 0 else None


def _groups(call: Call, request: Request, subnet: ec2.Subnet) -> tuple[str, ...]:
    groups = list(request.get("SecurityGroupIds") or ())
    for name in request.get("SecurityGroups") or ():
        group = group_by_name(call.tx, subnet.vpc, name)
        if group is None:
            raise AwsError("InvalidGroup.NotFound", f"The security group '{name}' does not exist in VPC '{subnet.vpc}'")
        groups.append(group.id)
    return tuple(groups)


def _default_subnet(call: Call, zone: str | None) -> ec2.Subnet:
    """Where an instance without a subnet goes (EC2 User Guide, "Launch into a default subnet")."""
    vpc = find_default_vpc(call)
    if vpc is None:
        raise AwsError("VPCIdNotSpecified", "No default VPC for this user")
    fitting = [
        subnet for subnet in call.tx.find(SUBNETS_BY_VPC, vpc.id) if subnet.default_for_az and zone in (None, subnet.az)
    ]
    if not fitting:
        raise AwsError("MissingInput", f"No subnets found for the default VPC '{vpc.id}'. Please specify a subnet.")
    return min(fitting, key=lambda subnet: subnet.az)
