"""RunInstances: which interfaces an instance is to have, and making it with them.

User data, block devices and credit options change nothing in the network: user data is kept and shown, the others are
accepted and have no effect, as there are no volumes here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from typing import Any

import msgspec

from ecsnet.model import ec2
from ecsnet.model.base import Tags
from ecsnet.model.tables import INSTANCES, INSTANCES_BY_RESERVATION, SUBNETS_BY_VPC
from ecsnet.services.call import AwsError, Call, Reply, Request, not_implemented
from ecsnet.services.ec2 import cidrs, errors, families, idempotency
from ecsnet.services.ec2.addressing import free_count
from ecsnet.services.ec2.default_vpc import find_default_vpc
from ecsnet.services.ec2.instance_type import DEFAULT, instance_type
from ecsnet.services.ec2.instance_view import cached_instance
from ecsnet.services.ec2.instances import check_interface_limit
from ecsnet.services.ec2.interface_addresses import NOTHING, Wanted, add, wanted_ipv6
from ecsnet.services.ec2.interfaces import allocate_interface, attach_interface, validate_subnets_and_groups
from ecsnet.services.ec2.launch_template import launch_request
from ecsnet.services.ec2.network_interface import finish, wanted_addresses
from ecsnet.services.ec2.security_groups import group_by_name
from ecsnet.services.ec2.tagging import checked, merged, pairs

_NOT_BUILT = (
    "InstanceMarketOptions",
    "PrivateDnsNameOptions",
    "SecondaryInterfaces",
)
_NOT_BUILT_OF_INTERFACE = (
    "NetworkCardIndex",
    "EnaSrdSpecification",
    "ConnectionTrackingSpecification",
    "AssociateCarrierIpAddress",
)
_USER_DATA_LIMIT = 16384
_MOST_AT_ONCE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
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


def run_instances(call: Call, request: Request) -> Reply:
    """Make instances in state pending; a controller moves each on once it was seen.

    Any image id is taken: nothing of the image runs here, an instance is its network stack.

    Source: EC2 API, RunInstances. Raises MissingParameter, InvalidAMIID.Malformed, InvalidParameterCombination,
    InvalidParameterValue, VPCIdNotSpecified, InsufficientFreeAddressesInSubnet, AttachmentLimitExceeded,
    PrivateIpAddressLimitExceeded, InvalidNetworkInterface.InUse, IdempotentParameterMismatch and what
    `allocate_interface` raises.
    """
    known = idempotency.earlier(call, "RunInstances", request)
    if known is not None:
        return _reservation(call, known)
    given = request
    if request.get("LaunchTemplate"):
        request = launch_request(call, request)
    for member in _NOT_BUILT:
        if request.get(member):
            raise not_implemented("RunInstances", member)
    kind = instance_type(request.get("InstanceType") or DEFAULT).name
    image = _image(request)
    _check_user_data(request.get("UserData"))
    instance_tags, interface_tags = _tags(request)
    wanted = _wanted(call, request)
    check_interface_limit(kind, len(wanted))
    count = _count(call, request, wanted)
    reservation = call.ids.resource("r")
    for number in range(count):
        row = _instance(call, request, wanted[0], kind=kind, image=image, tags=instance_tags)
        row = call.tx.put(INSTANCES, msgspec.structs.replace(row, reservation=reservation, launch_index=number))
        for one in wanted:
            _plug_in(call, row, one, interface_tags)
    idempotency.remember(call, "RunInstances", given, reservation)
    return _reservation(call, reservation)


def launch_instance(call: Call, request: Request, tags: Tags) -> ec2.Instance:
    """RunInstances for one instance on behalf of another service, whose `tags` (aws:… among them) it gets as well.

    Everything that may be refused is refused before a row is written, so that the caller may go on after an AwsError.
    """
    completed = launch_request(call, request) if request.get("LaunchTemplate") else request
    for one in _wanted(call, completed):
        validate_subnets_and_groups(call, [one.subnet.id], one.groups)
    reservation = run_instances(call, request)["ReservationId"]
    (row,) = call.tx.find(INSTANCES_BY_RESERVATION, reservation)
    return call.tx.put(INSTANCES, msgspec.structs.replace(row, tags=merged(row.tags, tags)))


def _instance(call: Call, request: Request, primary: _Wanted, *, kind: str, image: str, tags: Tags) -> ec2.Instance:
    """One instance of the request, without its place in the reservation."""
    metadata: Mapping[str, Any] = request.get("MetadataOptions") or {}
    return ec2.Instance(
        id=call.ids.resource("i"),
        account=call.account,
        region=call.region,
        az=primary.subnet.az,
        vpc=primary.subnet.vpc,
        subnet=primary.subnet.id,
        image=image,
        type=kind,
        state="pending",
        reservation="",
        launched=call.now,
        key_name=request.get("KeyName"),
        user_data=request.get("UserData"),
        profile=_profile(call, request.get("IamInstanceProfile") or {}),
        client_token=request.get("ClientToken"),
        http_tokens=metadata.get("HttpTokens") or "optional",
        http_hop_limit=int(metadata.get("HttpPutResponseHopLimit") or 1),
        http_endpoint=metadata.get("HttpEndpoint") != "disabled",
        metadata_tags=metadata.get("InstanceMetadataTags") == "enabled",
        shutdown_behavior=request.get("InstanceInitiatedShutdownBehavior") or "stop",
        termination_protection=bool(request.get("DisableApiTermination")),
        stop_protection=bool(request.get("DisableApiStop")),
        public_ip=primary.public,
        tags=tags,
    )


def _plug_in(call: Call, instance: ec2.Instance, one: _Wanted, tags: Tags) -> None:
    attachment = ec2.Attachment(
        id=call.ids.resource("eni-attach"),
        owner_kind="instance",
        owner=instance.id,
        device_index=one.index,
        attached=call.now,
        delete_on_termination=one.delete_on_termination,
    )
    if one.present is not None:
        eni = attach_interface(call, one.present, attachment)
        add(call, eni, one.more)
        return
    eni = allocate_interface(
        call,
        subnet=one.subnet.id,
        groups=one.groups,
        description=one.description,
        requester_managed=False,
        requester_id=None,
        attachment=attachment,
        public_ip=one.public,
        private_ip=one.primary,
        ipv6=one.ipv6,
        tags=tags,
    )
    finish(call, eni, one.more, primary_ipv6=one.primary_ipv6)


def _reservation(call: Call, reservation: str) -> Reply:
    rows = sorted(call.tx.find(INSTANCES_BY_RESERVATION, reservation), key=lambda row: row.launch_index)
    return {
        "ReservationId": reservation,
        "OwnerId": call.account,
        "Groups": [],
        "Instances": [cached_instance(call, row) for row in rows],
    }


# ── what the request says ────────────────────────────────────────────────────────────────────────────────────────────


def _image(request: Request) -> str:
    image: str | None = request.get("ImageId")
    if not image:
        raise errors.missing_parameter("ImageId")
    if not image.startswith("ami-"):
        raise AwsError("InvalidAMIID.Malformed", f'Invalid id: "{image}" (expecting "ami-...")')
    return image


def _check_user_data(text: str | None) -> None:
    # base64 makes four characters of three bytes
    if text is not None and len(text) * 3 // 4 > _USER_DATA_LIMIT + 2:
        raise AwsError("InvalidParameterValue", f"User data is limited to {_USER_DATA_LIMIT} bytes")


def _profile(call: Call, given: Mapping[str, Any]) -> str | None:
    if given.get("Arn"):
        return str(given["Arn"])
    return f"arn:aws:iam::{call.account}:instance-profile/{given['Name']}" if given.get("Name") else None


def _tags(request: Request) -> tuple[Tags, Tags]:
    """The tags of the instances and of their interfaces; those of volumes have nothing to go to."""
    given: dict[str, list[tuple[str, str]]] = {"instance": [], "network-interface": [], "volume": []}
    for one in request.get("TagSpecifications") or ():
        kind = one.get("ResourceType")
        if kind not in given:
            raise AwsError(
                "InvalidParameterValue", f"'{kind}' is not a valid taggable resource type for this operation."
            )
        given[kind].extend(pairs(one.get("Tags") or ()))
    return checked(given["instance"]), checked(given["network-interface"])


def _count(call: Call, request: Request, wanted: tuple[_Wanted, ...]) -> int:
    """As many as the subnets have room for, between MinCount and MaxCount."""
    least, most = int(request["MinCount"]), int(request["MaxCount"])
    if least < 1 or most < least or most > _MOST_AT_ONCE:
        raise errors.invalid_value(
            "maxCount", most, f"It must be at least minCount ({least}), which is at least 1, and at most 1000."
        )
    if most > 1 and any(one.present for one in wanted):
        raise errors.combination("Network interfaces cannot be attached to more than one instance.")
    if most > 1 and any(one.primary or one.more.private or one.more.ipv6 for one in wanted):
        raise errors.combination("A private IP address cannot be given to more than one instance.")
    room = most
    for subnet in {one.subnet.id: one.subnet for one in wanted}.values():
        each = sum(
            1 + one.more.number_of(4)
            for one in wanted
            if one.subnet.id == subnet.id and subnet.cidr is not None and not one.present
        )
        if each:
            room = min(room, free_count(call.tx, subnet) // each)
    if room < least:
        raise AwsError(
            "InsufficientFreeAddressesInSubnet",
            f"There are not enough free addresses in subnet '{wanted[0].subnet.id}' to satisfy the requested number of "
            "instances.",
        )
    return room


def _wanted(call: Call, request: Request) -> tuple[_Wanted, ...]:
    """The interfaces, the primary one first."""
    given = request.get("NetworkInterfaces") or ()
    if not given:
        subnet = families.SUBNET.require(call, request["SubnetId"]) if request.get("SubnetId") else None
        subnet = subnet or _default_subnet(call, (request.get("Placement") or {}).get("AvailabilityZone"))
        address = request.get("PrivateIpAddress")
        more = wanted_ipv6(request, [one.get("Ipv6Address") or "" for one in request.get("Ipv6Addresses") or ()])
        return (
            _Wanted(
                index=0,
                subnet=subnet,
                groups=_groups(call, request, subnet),
                primary=cidrs.address(address, "privateIpAddress") if address else None,
                more=more,
                ipv6=_automatic_ipv6(request, more),
                primary_ipv6=bool(request.get("EnablePrimaryIpv6")),
                public=subnet.map_public_ip_on_launch,
            ),
        )
    for member, text in (
        ("SubnetId", "subnet ID"),
        ("SecurityGroupIds", "security groups"),
        ("SecurityGroups", "security groups"),
        ("PrivateIpAddress", "private address"),
        ("Ipv6Addresses", "IPv6 addresses"),
        ("Ipv6AddressCount", "IPv6 address count"),
    ):
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


def _one_wanted(call: Call, one: Mapping[str, Any]) -> _Wanted:
    for member in _NOT_BUILT_OF_INTERFACE:
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
    made = _Wanted(
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


def _automatic_ipv6(request: Mapping[str, Any], more: Wanted) -> bool | None:
    return False if more.number_of(6) or request.get("Ipv6AddressCount") == 0 else None


def _present(call: Call, one: Mapping[str, Any]) -> _Wanted:
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
    return _Wanted(
        index=int(one["DeviceIndex"]),
        present=eni.id,
        subnet=families.SUBNET.require(call, eni.subnet),
        groups=eni.groups,
        public=False,
        delete_on_termination=bool(one.get("DeleteOnTermination")),
    )


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
