"""RunInstances: making the instances of a request, each with its interfaces.

What the request asks for is read in `launch_settings` and `launch_interfaces`. User data, block devices and credit
options change nothing in the network: user data is kept and shown, the others are accepted and have no effect, as there
are no volumes here.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ecsnet.model import ec2
from ecsnet.model.base import Tags
from ecsnet.model.tables import INSTANCES, INSTANCES_BY_RESERVATION
from ecsnet.services.call import AwsError, Call, Reply, Request, not_implemented
from ecsnet.services.ec2 import errors, idempotency
from ecsnet.services.ec2.addressing import free_count
from ecsnet.services.ec2.instance_view import cached_instance
from ecsnet.services.ec2.instances import check_interface_limit
from ecsnet.services.ec2.interface_addresses import add
from ecsnet.services.ec2.interfaces import allocate_interface, attach_interface, validate_subnets_and_groups
from ecsnet.services.ec2.launch_interfaces import WantedInterface, wanted_interfaces
from ecsnet.services.ec2.launch_settings import launch_settings, pending_instance
from ecsnet.services.ec2.launch_template import launch_request
from ecsnet.services.ec2.network_interface import finish
from ecsnet.services.ec2.tagging import merged

_NOT_BUILT = (
    "InstanceMarketOptions",
    "PrivateDnsNameOptions",
    "SecondaryInterfaces",
)
_MOST_AT_ONCE = 1000


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
    settings = launch_settings(request)
    wanted = wanted_interfaces(call, request)
    check_interface_limit(settings.type, len(wanted))
    count = _count(call, request, wanted)
    reservation = call.ids.resource("r")
    for number in range(count):
        row = pending_instance(call, request, settings, wanted[0])
        row = call.tx.put(INSTANCES, msgspec.structs.replace(row, reservation=reservation, launch_index=number))
        for one in wanted:
            _plug_in(call, row, one, settings.interface_tags)
    idempotency.remember(call, "RunInstances", given, reservation)
    return _reservation(call, reservation)


def launch_instance(call: Call, request: Request, tags: Tags) -> ec2.Instance:
    """RunInstances for one instance on behalf of another service, whose `tags` (aws:… among them) it gets as well.

    Everything that may be refused is refused before a row is written, so that the caller may go on after an AwsError.
    """
    completed = launch_request(call, request) if request.get("LaunchTemplate") else request
    for one in wanted_interfaces(call, completed):
        validate_subnets_and_groups(call, [one.subnet.id], one.groups)
    reservation = run_instances(call, request)["ReservationId"]
    (row,) = call.tx.find(INSTANCES_BY_RESERVATION, reservation)
    return call.tx.put(INSTANCES, msgspec.structs.replace(row, tags=merged(row.tags, tags)))


def _count(call: Call, request: Request, wanted: Sequence[WantedInterface]) -> int:
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


def _plug_in(call: Call, instance: ec2.Instance, one: WantedInterface, tags: Tags) -> None:
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
